//! What holds for decoding as a whole: the rules by record, and hostile messages. Equality with prost: `differential`.

mod arbitrary;
mod cut;
mod differential;

use super::*;
use crate::collector::columns_bytes;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampNanosecondType};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1 as metrics;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use storage::model::attribute::{Map, Value};
use storage::model::origin;
use storage::model::schema::column;

const RECEIVED_AT: i64 = 1_700_000_000_000_000_000;

fn run(signal: Signal, payload: &[u8]) -> Result<Decoded, Malformed> {
    decode(signal, RECEIVED_AT, payload, &DecodeLimits::default())
}

fn good_span() -> Span {
    Span { trace_id: vec![1; 16], span_id: vec![2; 8], name: "op".into(), start_time_unix_nano: 5, ..Span::default() }
}

fn spans(spans: Vec<Span>) -> Vec<u8> {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn logs(log_records: Vec<LogRecord>) -> Vec<u8> {
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

fn metric(data: metrics::metric::Data) -> Vec<u8> {
    all_metrics(vec![metrics::Metric { name: "m".into(), data: Some(data), ..metrics::Metric::default() }])
}

fn all_metrics(metrics: Vec<metrics::Metric>) -> Vec<u8> {
    let scope_metrics = vec![metrics::ScopeMetrics { metrics, ..metrics::ScopeMetrics::default() }];
    let resource_metrics = vec![metrics::ResourceMetrics { scope_metrics, ..metrics::ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

fn key_value(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn int(value: i64) -> any_value::Value {
    any_value::Value::IntValue(value)
}

fn cell<'a>(columns: &'a RecordBatch, name: &str, row: usize) -> &'a [u8] {
    columns.column_by_name(name).unwrap().as_binary::<i32>().value(row)
}

fn time_of(columns: &RecordBatch, name: &str, row: usize) -> i64 {
    columns.column_by_name(name).unwrap().as_primitive::<TimestampNanosecondType>().value(row)
}

/// Puts a message into a length-delimited field.
fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::encode_varint(u64::from(number << 3 | 2), &mut out);
    prost::encoding::encode_varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

/// A request of one span with the given bytes after those of a good span.
fn span_with(extra: &[u8]) -> Vec<u8> {
    let span = [good_span().encode_to_vec().as_slice(), extra].concat();
    field(1, &field(2, &field(2, &span)))
}

#[test]
fn an_empty_request_is_an_empty_batch() {
    for signal in Signal::ALL {
        let decoded = run(signal, &[]).unwrap();
        assert_eq!((decoded.batch.num_rows(), decoded.rejected, decoded.message), (0, 0, None));
    }
}

type Spoil = fn(&mut Span);

#[test]
fn s1_a_bad_span_is_rejected_and_its_neighbours_stay() {
    let cases: &[(Spoil, &str)] = &[
        (|span| span.trace_id = vec![1; 15], "trace_id has 15 bytes, 16 are needed"),
        (|span| span.trace_id = vec![], "trace_id has 0 bytes, 16 are needed"),
        (|span| span.trace_id = vec![0; 16], "trace_id is all zeros"),
        (|span| span.span_id = vec![1; 16], "span_id has 16 bytes, 8 are needed"),
        (|span| span.span_id = vec![0; 8], "span_id is all zeros"),
        (|span| span.parent_span_id = vec![1; 7], "parent_span_id has 7 bytes, 8 are needed"),
        (|span| span.start_time_unix_nano = u64::MAX, "start_time_unix_nano is 18446744073709551615, past the year"),
        (|span| span.end_time_unix_nano = 1 << 63, "end_time_unix_nano is 9223372036854775808, past the year"),
    ];
    for (spoil, reason) in cases {
        let mut bad = good_span();
        spoil(&mut bad);
        let decoded = run(Signal::Spans, &spans(vec![good_span(), bad.clone(), good_span(), bad])).unwrap();
        assert_eq!((decoded.batch.num_rows(), decoded.rejected), (2, 2), "{reason}");
        let message = decoded.message.unwrap();
        let place = "first rejected span in resource_spans[0].scope_spans[0].spans[1]: ";
        assert!(message.starts_with(&format!("{place}{reason}")), "{message}");
    }
}

#[test]
fn s1_odd_but_representable_spans_are_kept() {
    let cases: &[Spoil] = &[
        |span| span.parent_span_id = vec![0; 8],
        |span| span.parent_span_id = vec![0; 3],
        |span| span.parent_span_id = span.span_id.clone(),
        |span| span.start_time_unix_nano = 0,
        |span| span.end_time_unix_nano = i64::MAX.unsigned_abs(),
        |span| (span.start_time_unix_nano, span.end_time_unix_nano) = (7, 3),
        |span| span.kind = -5,
        |span| span.name = "a\0b".into(),
        |span| span.attributes = vec![KeyValue::default()],
        |span| span.attributes = vec![key_value(&"k".repeat(MAX_KEY_BYTES), int(1))],
        |span| span.attributes = (0..10_000).map(|i| key_value(&i.to_string(), int(i))).collect(),
    ];
    for (index, change) in cases.iter().enumerate() {
        let mut span = good_span();
        change(&mut span);
        let decoded = run(Signal::Spans, &spans(vec![span])).unwrap();
        assert_eq!((decoded.batch.num_rows(), decoded.message), (1, None), "case {index}");
    }
}

#[test]
fn of_two_attributes_with_one_key_the_last_wins() {
    let mut span = good_span();
    span.attributes = vec![key_value("a", int(1)), key_value("", int(2)), key_value("a", int(3))];
    let decoded = run(Signal::Spans, &spans(vec![span])).unwrap();
    let attributes = Map::new(cell(decoded.batch.columns(), column::ATTRIBUTES, 0));
    assert_eq!(attributes.iter().collect::<Vec<_>>(), [("", Value::Int(2)), ("a", Value::Int(3))]);
}

#[test]
fn v3_references_into_profile_tables_are_empty_values_and_warnings() {
    let mut span = good_span();
    span.attributes = vec![key_value("a", any_value::Value::StringValueStrindex(3))];
    span.attributes.push(KeyValue { key_strindex: 4, ..key_value("b", int(1)) });
    let decoded = run(Signal::Spans, &spans(vec![span])).unwrap();
    let attributes = Map::new(cell(decoded.batch.columns(), column::ATTRIBUTES, 0));
    assert_eq!(attributes.iter().collect::<Vec<_>>(), [("a", Value::Empty), ("b", Value::Int(1))]);
    assert_eq!((decoded.rejected, decoded.warnings), (0, 2));
}

#[test]
fn limits_reject_records_and_say_so() {
    let limits = DecodeLimits { records: 2, attributes_per_map: 3, key_bytes: 4, entities: 1 };
    let mut many = good_span();
    many.attributes = (0..4).map(|i| key_value(&i.to_string(), int(i))).collect();
    let mut nested = good_span();
    let values = many.attributes.clone();
    nested.attributes = vec![key_value("m", any_value::Value::KvlistValue(KeyValueList { values }))];
    let mut long = good_span();
    long.attributes = vec![key_value("12345", int(1))];
    let check = |list: Vec<Span>, rows: usize, reason: &str| {
        let decoded = decode(Signal::Spans, 0, &spans(list), &limits).unwrap();
        assert_eq!(decoded.batch.num_rows(), rows);
        assert!(decoded.message.as_ref().is_some_and(|message| message.contains(reason)), "{:?}", decoded.message);
    };
    check(vec![many], 0, "more than 3 attributes");
    check(vec![nested], 0, "more than 3 attributes");
    check(vec![long], 0, "longer than 4 bytes");
    check(vec![good_span(), good_span(), good_span(), good_span()], 2, "more than 2 records");
    let entity = field(3, &[]);
    let resource = field(1, &[entity.clone(), entity].concat());
    let request = field(1, &[resource, field(2, &field(2, &good_span().encode_to_vec()))].concat());
    let decoded = decode(Signal::Spans, 0, &request, &limits).unwrap();
    assert!(decoded.message.unwrap().contains("more than 1 entities"));
}

/// An AnyValue that nests to the given depth, as bytes, so that no encoder of ours recurses.
fn nested(depth: usize, list: bool) -> Vec<u8> {
    let mut value = vec![0x18, 7];
    for _ in 1..depth {
        value = if list { field(5, &field(1, &value)) } else { field(6, &field(1, &field(2, &value))) };
    }
    value
}

#[test]
fn v1_values_up_to_64_deep_are_kept_and_deeper_ones_reject_their_record() {
    for list in [true, false] {
        for (depth, rows) in [(1, 1), (63, 1), (64, 1), (65, 1), (66, 0), (99, 0), (100, 0), (101, 0), (10_000, 0)] {
            let attribute = field(9, &field(2, &nested(depth, list)));
            let decoded = run(Signal::Spans, &span_with(&attribute)).unwrap();
            assert_eq!(decoded.batch.num_rows(), rows, "depth {depth}, list {list}");
            assert_eq!(decoded.message.is_some_and(|message| message.contains("deeper than 65")), rows == 0);
        }
    }
    let body = field(1, &field(2, &field(2, &field(5, &nested(66, true)))));
    assert_eq!(run(Signal::Logs, &body).unwrap().rejected, 1);
    let resource = field(1, &field(1, &field(2, &nested(66, true))));
    let request = field(1, &[resource, field(2, &field(2, &good_span().encode_to_vec()))].concat());
    let decoded = run(Signal::Spans, &[request.clone(), spans(vec![good_span()])].concat()).unwrap();
    assert_eq!((decoded.batch.num_rows(), decoded.rejected), (1, 1), "only the spans of that resource");
}

#[test]
fn v2_pieces_of_one_value_are_joined() {
    let list = |values: &[i64]| {
        let values = values.iter().map(|value| AnyValue { value: Some(int(*value)) }).collect();
        AnyValue { value: Some(any_value::Value::ArrayValue(ArrayValue { values })) }.encode_to_vec()
    };
    // KeyValue.value twice; then AnyValue.array_value twice; then with a scalar between, which starts afresh.
    let cases: [(Vec<u8>, &[i64]); 3] = [
        ([field(2, &list(&[1])), field(2, &list(&[2])), field(2, &list(&[3]))].concat(), &[1, 2, 3]),
        (field(2, &[list(&[1]), list(&[2]), list(&[3])].concat()), &[1, 2, 3]),
        (field(2, &[list(&[1]), vec![0x18, 9], list(&[3])].concat()), &[3]),
    ];
    for (key_value, expected) in cases {
        let decoded = run(Signal::Spans, &span_with(&field(9, &key_value))).unwrap();
        let attributes = Map::new(cell(decoded.batch.columns(), column::ATTRIBUTES, 0));
        let Some(Value::Array(array)) = attributes.get("") else { panic!("{attributes:?}") };
        assert_eq!(array.iter().collect::<Vec<_>>(), expected.iter().map(|i| Value::Int(*i)).collect::<Vec<_>>());
    }
}

#[test]
fn v2_the_work_for_pieces_is_bounded() {
    // At each level two pieces, of which one holds all the rest: naive joining would double the work per level.
    let mut value = vec![b'x'; 100_000];
    value = field(1, &value);
    for _ in 0..60 {
        value = [field(5, &[]), field(5, &field(1, &value))].concat();
    }
    let error = run(Signal::Spans, &span_with(&field(9, &field(2, &value)))).unwrap_err();
    assert!(error.to_string().contains("piecewise"), "{error}");
    let gauges = field(5, &[]).repeat(5_000);
    let request = field(1, &field(2, &field(2, &gauges)));
    assert!(run(Signal::Metrics, &request).unwrap_err().to_string().contains("piecewise"));
}

#[test]
fn d1_malformed_protobuf_names_the_place() {
    let cases: &[(&[u8], &str)] = &[
        (&[0x2a, 5, b'a'], "ends within a field"),
        (&[0x2a, 1, 0xff], "not UTF-8"),
        (&[0x28, 1], "wrong wire type"),
        (&[0x4a, 2, 0x0a, 5], "ends within a field"),
        (&[0x50, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], "longer than 64 bits"),
        (&[0x2a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], "ends within a field"),
        (&[0x00, 0x00], "number 0"),
        (&[0xa3, 0x06], "group"),
        (&[0xa4, 0x06], "group"),
        (&[0xa7, 0x06], "wrong wire type"),
    ];
    for (extra, what) in cases {
        let error = run(Signal::Spans, &span_with(extra)).unwrap_err();
        assert!(error.path.starts_with("resource_spans.scope_spans.spans"), "{error}");
        assert!(error.to_string().contains(what), "{error}");
        assert!(error.offset.is_some_and(|offset| offset > 30), "{error}");
    }
    let error = run(Signal::Spans, &span_with(&[0x4a, 2, 0x0a, 5])).unwrap_err();
    assert_eq!(error.path, "resource_spans.scope_spans.spans.attributes");
}

#[test]
fn unknown_fields_of_every_type_are_skipped() {
    let unknown =
        [0xa0, 6, 1, 0xa1, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0xa2, 6, 1, 9, 0xa3, 6, 8, 1, 0xa4, 6, 0xa5, 6, 0, 0, 0, 0];
    let decoded = run(Signal::Spans, &span_with(&unknown)).unwrap();
    assert_eq!((decoded.batch.num_rows(), decoded.rejected), (1, 0));
}

#[test]
fn a_resource_after_its_scopes_counts_and_pieces_of_it_add_up() {
    let attribute = |key: &str, value: &str| {
        let value = any_value::Value::StringValue(value.into());
        field(1, &Resource { attributes: vec![key_value(key, value)], ..Resource::default() }.encode_to_vec())
    };
    let scope_spans = field(2, &field(2, &good_span().encode_to_vec()));
    let request =
        field(1, &[scope_spans.as_slice(), &attribute("service.name", "cart"), &attribute("b", "c")].concat());
    let decoded = run(Signal::Spans, &request).unwrap();
    assert_eq!(decoded.service.as_deref(), Some("cart"));
    let resources = decoded.batch.columns().column_by_name(column::RESOURCE).unwrap().as_dictionary::<Int32Type>();
    let resource = origin::Resource::parse(resources.values().as_binary::<i32>().value(0)).unwrap();
    assert_eq!(resource.attributes.iter().count(), 2);
}

#[test]
fn l1_l2_logs_are_kept_without_correlation_and_get_a_time() {
    let record = LogRecord { trace_id: vec![1; 3], span_id: vec![0; 8], ..LogRecord::default() };
    let observed = LogRecord { observed_time_unix_nano: 9, ..LogRecord::default() };
    let told = LogRecord { time_unix_nano: 7, ..observed.clone() };
    let bad = LogRecord { time_unix_nano: u64::MAX, ..LogRecord::default() };
    let decoded = run(Signal::Logs, &logs(vec![record, observed, told, bad])).unwrap();
    assert_eq!((decoded.batch.num_rows(), decoded.rejected, decoded.warnings), (3, 1, 2));
    let times: Vec<_> = (0..3).map(|row| time_of(decoded.batch.columns(), column::TIME, row)).collect();
    assert_eq!(times, [RECEIVED_AT, 9, 7]);
}

#[test]
fn p3_histograms_must_make_sense() {
    let point = |bounds: &[f64], counts: &[u64]| {
        let point = metrics::HistogramDataPoint {
            explicit_bounds: bounds.to_vec(),
            bucket_counts: counts.to_vec(),
            count: 1_000,
            ..metrics::HistogramDataPoint::default()
        };
        let histogram = metrics::Histogram { data_points: vec![point], aggregation_temporality: 2 };
        run(Signal::Metrics, &metric(metrics::metric::Data::Histogram(histogram))).unwrap()
    };
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    for (bounds, counts) in [(&[][..], &[][..]), (&[], &[3]), (&[1.0], &[1, 2]), (&[-inf, 0.0, inf], &[1, 2, 3, 4])] {
        assert_eq!(point(bounds, counts).batch.num_rows(), 1, "{bounds:?}");
    }
    for (bounds, counts) in
        [(&[1.0][..], &[][..]), (&[], &[1, 2]), (&[1.0], &[1]), (&[1.0, 1.0], &[1, 2, 3]), (&[nan], &[1, 2])]
    {
        let decoded = point(bounds, counts);
        assert_eq!((decoded.batch.num_rows(), decoded.rejected), (0, 1), "{bounds:?}");
    }
}

#[test]
fn p3_exponential_histograms_keep_any_scale_and_lose_only_impossible_indexes() {
    let decoded = |scale: i32, offset: i32, buckets: usize| {
        let positive =
            Some(metrics::exponential_histogram_data_point::Buckets { offset, bucket_counts: vec![1; buckets] });
        let point = metrics::ExponentialHistogramDataPoint { scale, positive, ..Default::default() };
        let data = metrics::ExponentialHistogram { data_points: vec![point], aggregation_temporality: 1 };
        run(Signal::Metrics, &metric(metrics::metric::Data::ExponentialHistogram(data))).unwrap()
    };
    let rows = |scale, offset, buckets| decoded(scale, offset, buckets).batch.num_rows();
    for (scale, offset, buckets) in [(-10, 0, 3), (20, i32::MIN, 160), (i32::MAX, i32::MAX, 1), (0, i32::MAX, 0)] {
        assert_eq!(rows(scale, offset, buckets), 1);
    }
    assert_eq!(rows(0, i32::MAX, 2), 0);
    // What PromQL will not see is kept, and told.
    assert_eq!(decoded(-4, 0, 1).message, None);
    let coarse = decoded(-5, 0, 1);
    assert_eq!((coarse.rejected, coarse.batch.num_rows()), (0, 1));
    let message = coarse.message.unwrap();
    assert!(message.starts_with("PromQL has no") && message.contains("metric \"m\" of scale -5"), "{message}");
}

/// Beside a point that is rejected: one of a scale that PromQL does not have and one of a name that it does not have.
#[test]
fn of_each_kind_of_fault_the_sender_is_told_once() {
    let number = |time: u64| metrics::Gauge {
        data_points: vec![metrics::NumberDataPoint { time_unix_nano: time, ..Default::default() }],
    };
    let coarse = metrics::ExponentialHistogram {
        data_points: vec![metrics::ExponentialHistogramDataPoint { scale: -7, ..Default::default() }],
        aggregation_temporality: 2,
    };
    let one = |name: &str, data| metrics::Metric { name: name.into(), data: Some(data), ..Default::default() };
    let all = vec![
        one("coarse", metrics::metric::Data::ExponentialHistogram(coarse.clone())),
        one("coarse too", metrics::metric::Data::ExponentialHistogram(coarse)),
        one("", metrics::metric::Data::Gauge(number(1))),
        one("late", metrics::metric::Data::Gauge(number(u64::MAX))),
    ];
    let decoded = run(Signal::Metrics, &all_metrics(all)).unwrap();
    assert_eq!((decoded.rejected, decoded.batch.num_rows()), (1, 3));
    let message = decoded.message.unwrap();
    for part in [
        "first rejected data point in resource_metrics[0].scope_metrics[0].metrics[3]",
        "; PromQL has no",
        "scale -7",
        "; no letter or digit is in the name \"\"",
    ] {
        assert_eq!(message.matches(part).count(), 1, "{part}: {message}");
    }
}

#[test]
fn a_metric_that_nobody_could_name_is_kept_and_told() {
    let named = |name: &str| {
        let point = field(5, &field(1, &[0x11, 1, 0, 0, 0, 0, 0, 0, 0]));
        let metric = [field(1, name.as_bytes()), point].concat();
        run(Signal::Metrics, &field(1, &field(2, &field(2, &metric)))).unwrap()
    };
    assert_eq!((named("a").message, named("a").batch.num_rows()), (None, 1));
    let odd = named("...");
    assert_eq!((odd.rejected, odd.batch.num_rows()), (0, 1));
    assert!(odd.message.unwrap().contains("no letter or digit is in the name \"...\""));
}

#[test]
fn p1_a_metric_without_data_has_no_rows() {
    let request = field(1, &field(2, &field(2, &field(1, b"name"))));
    let decoded = run(Signal::Metrics, &request).unwrap();
    assert_eq!((decoded.batch.num_rows(), decoded.rejected), (0, 0));
    let points = metrics::Gauge { data_points: vec![metrics::NumberDataPoint::default(); 3] };
    let decoded = run(Signal::Metrics, &metric(metrics::metric::Data::Gauge(points.clone()))).unwrap();
    assert_eq!((decoded.batch.num_rows(), decoded.rejected), (3, 0));
    assert_eq!(count_records(Signal::Metrics, &metric(metrics::metric::Data::Gauge(points))), 3);
}

#[test]
fn many_resources_without_spans_cost_nothing() {
    let empty = run(Signal::Spans, &[]).unwrap().batch.memory_bytes();
    let decoded = run(Signal::Spans, &field(1, &[]).repeat(100_000)).unwrap();
    assert_eq!((decoded.batch.num_rows(), decoded.batch.memory_bytes()), (0, empty));
}

#[test]
fn small_parts_of_points_are_counted_as_what_they_become() {
    // Of each variant of data, the part of its points that may be empty and is not so in memory.
    for (data, part) in [(5, 5), (7, 5), (9, 8), (10, 11), (11, 6)] {
        let metric = field(data, &field(1, &field(part, &[]).repeat(600_000)));
        let request = field(1, &field(2, &field(2, &metric)));
        let decoded = run(Signal::Metrics, &request).unwrap();
        assert_eq!((count_small_parts(Signal::Metrics, &request), decoded.batch.num_rows()), (600_000, 1));
        let (bytes, counted) =
            (decoded.batch.memory_bytes(), columns_bytes(Signal::Metrics, &request, &DecodeLimits::default()));
        assert!(bytes > 4 * request.len() && bytes < counted, "{bytes} of {counted}");
    }
}

#[test]
fn a_small_batch_takes_little_memory() {
    let batches = [
        run(Signal::Spans, &spans(vec![good_span()])).unwrap().batch,
        run(Signal::Logs, &logs(vec![LogRecord::default()])).unwrap().batch,
    ];
    for batch in batches {
        assert!(batch.num_rows() == 1 && batch.memory_bytes() < 8 << 10, "{}", batch.memory_bytes());
    }
}
