//! D1, D4: do we accept what prost accepts, and is every field that prost reads in our columns?

use super::arbitrary::{logs_request, metrics_request, trace_request};
use super::*;
use arrow_array::Array;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, UInt32Type, UInt64Type};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use storage::model::record;

/// A value in a form that both sides can be turned into.
#[derive(Debug, Clone, PartialEq)]
enum Plain {
    Empty,
    String(String),
    Bool(bool),
    Int(i64),
    Double(u64),
    Bytes(Vec<u8>),
    Array(Vec<Plain>),
    Map(BTreeMap<String, Plain>),
}

type PlainMap = BTreeMap<String, Plain>;

fn prost_value(value: Option<&AnyValue>) -> Plain {
    use any_value::Value as V;
    match value.and_then(|value| value.value.as_ref()) {
        None | Some(V::StringValueStrindex(_)) => Plain::Empty,
        Some(V::StringValue(text)) => Plain::String(text.clone()),
        Some(V::BoolValue(value)) => Plain::Bool(*value),
        Some(V::IntValue(value)) => Plain::Int(*value),
        Some(V::DoubleValue(value)) => Plain::Double(value.to_bits()),
        Some(V::BytesValue(bytes)) => Plain::Bytes(bytes.clone()),
        Some(V::ArrayValue(array)) => Plain::Array(array.values.iter().map(|value| prost_value(Some(value))).collect()),
        Some(V::KvlistValue(list)) => Plain::Map(prost_map(&list.values)),
    }
}

fn prost_map(attributes: &[KeyValue]) -> PlainMap {
    attributes.iter().map(|kv| (kv.key.clone(), prost_value(kv.value.as_ref()))).collect()
}

fn our_value(value: Value<'_>) -> Plain {
    match value {
        Value::Empty => Plain::Empty,
        Value::String(text) => Plain::String(text.into()),
        Value::Bool(value) => Plain::Bool(value),
        Value::Int(value) => Plain::Int(value),
        Value::Double(value) => Plain::Double(value.to_bits()),
        Value::Bytes(bytes) => Plain::Bytes(bytes.into()),
        Value::Array(array) => Plain::Array(array.iter().map(our_value).collect()),
        Value::Map(map) => Plain::Map(our_map(map)),
    }
}

fn our_map(map: Map<'_>) -> PlainMap {
    map.iter().map(|(key, value)| (key.to_owned(), our_value(value))).collect()
}

/// One row of a batch, by column names.
struct Row<'a>(&'a RecordBatch, usize);

impl<'a> Row<'a> {
    fn column(&self, name: &str) -> &'a dyn Array {
        self.0.column_by_name(name).unwrap()
    }
    fn cell(&self, name: &str) -> &'a [u8] {
        let column = self.column(name).as_binary::<i32>();
        if column.is_null(self.1) { &[] } else { column.value(self.1) }
    }
    fn id(&self, name: &str) -> &'a [u8] {
        let column = self.column(name).as_fixed_size_binary();
        if column.is_null(self.1) { &[] } else { column.value(self.1) }
    }
    fn text(&self, name: &str) -> &'a str {
        let column = self.column(name).as_string::<i32>();
        if column.is_null(self.1) { "" } else { column.value(self.1) }
    }
    fn repeated_text(&self, name: &str) -> &'a str {
        let column = self.column(name).as_dictionary::<Int32Type>();
        column.values().as_string::<i32>().value(column.key(self.1).unwrap())
    }
    fn repeated_cell(&self, name: &str) -> &'a [u8] {
        let column = self.column(name).as_dictionary::<Int32Type>();
        column.values().as_binary::<i32>().value(column.key(self.1).unwrap())
    }
    fn time(&self, name: &str) -> u64 {
        let column = self.column(name).as_primitive::<TimestampNanosecondType>();
        if column.is_null(self.1) { 0 } else { column.value(self.1).try_into().unwrap() }
    }
    fn i32(&self, name: &str) -> i32 {
        self.column(name).as_primitive::<Int32Type>().value(self.1)
    }
    fn u32(&self, name: &str) -> u32 {
        self.column(name).as_primitive::<UInt32Type>().value(self.1)
    }
    fn i64(&self, name: &str) -> Option<i64> {
        let column = self.column(name).as_primitive::<Int64Type>();
        column.is_valid(self.1).then(|| column.value(self.1))
    }
    fn u64(&self, name: &str) -> Option<u64> {
        let column = self.column(name).as_primitive::<UInt64Type>();
        column.is_valid(self.1).then(|| column.value(self.1))
    }
    /// As bits, so that NaN equals itself.
    fn f64(&self, name: &str) -> Option<u64> {
        let column = self.column(name).as_primitive::<Float64Type>();
        column.is_valid(self.1).then(|| column.value(self.1).to_bits())
    }

    fn check_origin(
        &self,
        resource: Option<&Resource>,
        url: &str,
        scope: Option<&InstrumentationScope>,
        scope_url: &str,
    ) {
        let read = origin::Resource::parse(self.repeated_cell(column::RESOURCE)).unwrap();
        let resource = resource.cloned().unwrap_or_default();
        assert_eq!(our_map(read.attributes), prost_map(&resource.attributes));
        assert_eq!(read.dropped_attributes_count, resource.dropped_attributes_count);
        assert_eq!(read.schema_url, url);
        let entities: Vec<_> = resource
            .entity_refs
            .iter()
            .map(|entity| origin::Entity {
                schema_url: &entity.schema_url,
                r#type: &entity.r#type,
                id_keys: entity.id_keys.iter().map(String::as_str).collect(),
                description_keys: entity.description_keys.iter().map(String::as_str).collect(),
            })
            .collect();
        assert_eq!(read.entities, entities);
        let name = match prost_map(&resource.attributes).get("service.name") {
            Some(Plain::String(name)) if !name.is_empty() => name.clone(),
            _ => origin::UNKNOWN_SERVICE.to_owned(),
        };
        assert_eq!(self.repeated_text(column::SERVICE_NAME), name);
        let read = origin::Scope::parse(self.repeated_cell(column::SCOPE)).unwrap();
        let scope = scope.cloned().unwrap_or_default();
        assert_eq!(
            (read.name, read.version, read.schema_url),
            (scope.name.as_str(), scope.version.as_str(), scope_url)
        );
        assert_eq!(our_map(read.attributes), prost_map(&scope.attributes));
        assert_eq!(read.dropped_attributes_count, scope.dropped_attributes_count);
    }

    fn check_exemplars(&self, exemplars: &[metrics::Exemplar]) {
        use metrics::exemplar::Value as V;
        let cell = self.cell(column::EXEMPLARS);
        assert_eq!(record::Exemplar::list(cell).count(), exemplars.len());
        for (read, sent) in record::Exemplar::list(cell).zip(exemplars) {
            assert_eq!(read.time_unix_nano, sent.time_unix_nano);
            assert_eq!((read.trace_id, read.span_id), (sent.trace_id.as_slice(), sent.span_id.as_slice()));
            assert_eq!(our_map(read.filtered_attributes), prost_map(&sent.filtered_attributes));
            let bits = |number: Option<record::Number>| match number {
                None => None,
                Some(record::Number::Int(value)) => Some((0, value.cast_unsigned())),
                Some(record::Number::Double(value)) => Some((1, value.to_bits())),
            };
            let expected = sent.value.map(|value| match value {
                V::AsInt(value) => record::Number::Int(value),
                V::AsDouble(value) => record::Number::Double(value),
            });
            assert_eq!(bits(read.value), bits(expected));
        }
    }
}

fn check_span(row: &Row<'_>, sent: &Span) {
    let parent = if sent.parent_span_id.iter().all(|byte| *byte == 0) { &[][..] } else { &sent.parent_span_id };
    assert_eq!((row.id(column::TRACE_ID), row.id(column::SPAN_ID)), (&*sent.trace_id, &*sent.span_id));
    assert_eq!(row.id(column::PARENT_SPAN_ID), parent);
    assert_eq!((row.text(column::TRACE_STATE), row.text(column::NAME)), (&*sent.trace_state, &*sent.name));
    assert_eq!((row.u32(column::FLAGS), row.i32(column::KIND)), (sent.flags, sent.kind));
    assert_eq!(row.time(column::START), sent.start_time_unix_nano);
    let duration = i128::from(sent.end_time_unix_nano) - i128::from(sent.start_time_unix_nano);
    assert_eq!(row.i64(column::DURATION).map(i128::from), Some(duration));
    let status = sent.status.clone().unwrap_or_default();
    assert_eq!((row.i32(column::STATUS_CODE), row.text(column::STATUS_MESSAGE)), (status.code, &*status.message));
    assert_eq!(our_map(Map::new(row.cell(column::ATTRIBUTES))), prost_map(&sent.attributes));
    assert_eq!(row.u32(column::DROPPED_ATTRIBUTES_COUNT), sent.dropped_attributes_count);
    assert_eq!(row.u32(column::DROPPED_EVENTS_COUNT), sent.dropped_events_count);
    assert_eq!(row.u32(column::DROPPED_LINKS_COUNT), sent.dropped_links_count);
    assert_eq!(record::Event::list(row.cell(column::EVENTS)).count(), sent.events.len());
    for (read, sent) in record::Event::list(row.cell(column::EVENTS)).zip(&sent.events) {
        assert_eq!((read.time_unix_nano, read.name), (sent.time_unix_nano, sent.name.as_str()));
        assert_eq!(our_map(read.attributes), prost_map(&sent.attributes));
        assert_eq!(read.dropped_attributes_count, sent.dropped_attributes_count);
    }
    assert_eq!(record::Link::list(row.cell(column::LINKS)).count(), sent.links.len());
    for (read, sent) in record::Link::list(row.cell(column::LINKS)).zip(&sent.links) {
        assert_eq!((read.trace_id, read.span_id), (&*sent.trace_id, &*sent.span_id));
        assert_eq!((read.trace_state, read.flags), (&*sent.trace_state, sent.flags));
        assert_eq!(our_map(read.attributes), prost_map(&sent.attributes));
        assert_eq!(read.dropped_attributes_count, sent.dropped_attributes_count);
    }
}

fn check_log(row: &Row<'_>, sent: &LogRecord) {
    let valid = |id: &[u8], len| if id.len() == len && id.iter().any(|byte| *byte != 0) { id.to_vec() } else { vec![] };
    let time = [sent.time_unix_nano, sent.observed_time_unix_nano, RECEIVED_AT.unsigned_abs()];
    assert_eq!(row.time(column::TIME), time.into_iter().find(|time| *time != 0).unwrap());
    assert_eq!(row.time(column::OBSERVED_TIME), sent.observed_time_unix_nano);
    assert_eq!(row.i32(column::SEVERITY_NUMBER), sent.severity_number);
    assert_eq!(
        (row.text(column::SEVERITY_TEXT), row.text(column::EVENT_NAME)),
        (&*sent.severity_text, &*sent.event_name)
    );
    assert_eq!(row.id(column::TRACE_ID), valid(&sent.trace_id, 16));
    assert_eq!(row.id(column::SPAN_ID), valid(&sent.span_id, 8));
    assert_eq!(
        (row.u32(column::FLAGS), row.u32(column::DROPPED_ATTRIBUTES_COUNT)),
        (sent.flags, sent.dropped_attributes_count)
    );
    assert_eq!(our_map(Map::new(row.cell(column::ATTRIBUTES))), prost_map(&sent.attributes));
    let (text, value) = (row.column(column::BODY), row.column(column::BODY_VALUE));
    let body = match (text.is_valid(row.1), value.is_valid(row.1)) {
        (true, false) => Some(Plain::String(row.text(column::BODY).into())),
        (false, true) => Some(our_value(Value::parse(row.cell(column::BODY_VALUE)).unwrap())),
        (false, false) => None,
        (true, true) => panic!("two bodies"),
    };
    assert_eq!(body, sent.body.as_ref().map(|body| prost_value(Some(body))));
}

/// What all rows of a metric repeat.
fn check_metric(row: &Row<'_>, metric: &metrics::Metric, kind: i32, temporality: i32, monotonic: bool) {
    let texts = [column::NAME, column::UNIT, column::DESCRIPTION].map(|name| row.repeated_text(name));
    assert_eq!(texts, [&*metric.name, &*metric.unit, &*metric.description]);
    assert_eq!(our_map(Map::new(row.repeated_cell(column::METADATA))), prost_map(&metric.metadata));
    assert_eq!((row.i32(column::TYPE), row.i32(column::TEMPORALITY)), (kind, temporality));
    assert_eq!(row.column(column::IS_MONOTONIC).as_boolean().value(row.1), monotonic);
}

/// What points of all kinds have; evaluates to nothing.
macro_rules! check_common {
    ($row:expr, $point:expr) => {
        assert_eq!(our_map(Map::new($row.cell(column::ATTRIBUTES))), prost_map(&$point.attributes));
        assert_eq!($row.time(column::START_TIME), $point.start_time_unix_nano);
        assert_eq!(($row.time(column::TIME), $row.u32(column::FLAGS)), ($point.time_unix_nano, $point.flags));
    };
}

fn bits(value: Option<f64>) -> Option<u64> {
    value.map(f64::to_bits)
}

fn check_number(row: &Row<'_>, point: &metrics::NumberDataPoint) {
    use metrics::number_data_point::Value as V;
    check_common!(row, point);
    row.check_exemplars(&point.exemplars);
    let expected = match point.value {
        None => (None, None),
        Some(V::AsInt(value)) => (Some(value), None),
        Some(V::AsDouble(value)) => (None, Some(value.to_bits())),
    };
    assert_eq!((row.i64(column::VALUE_INT), row.f64(column::VALUE_DOUBLE)), expected);
}

fn check_histogram(row: &Row<'_>, point: &metrics::HistogramDataPoint) {
    check_common!(row, point);
    row.check_exemplars(&point.exemplars);
    assert_eq!((row.u64(column::COUNT), row.f64(column::SUM)), (Some(point.count), bits(point.sum)));
    assert_eq!((row.f64(column::MIN), row.f64(column::MAX)), (bits(point.min), bits(point.max)));
    assert_eq!(record::doubles(row.cell(column::EXPLICIT_BOUNDS)).collect::<Vec<_>>(), point.explicit_bounds);
    assert_eq!(record::counts(row.cell(column::BUCKET_COUNTS)).collect::<Vec<_>>(), point.bucket_counts);
}

fn check_exponential(row: &Row<'_>, point: &metrics::ExponentialHistogramDataPoint) {
    check_common!(row, point);
    row.check_exemplars(&point.exemplars);
    assert_eq!((row.u64(column::COUNT), row.f64(column::SUM)), (Some(point.count), bits(point.sum)));
    assert_eq!((row.f64(column::MIN), row.f64(column::MAX)), (bits(point.min), bits(point.max)));
    assert_eq!((row.i32(column::SCALE), row.u64(column::ZERO_COUNT)), (point.scale, Some(point.zero_count)));
    assert_eq!(row.f64(column::ZERO_THRESHOLD), Some(point.zero_threshold.to_bits()));
    for (name, sent) in [(column::POSITIVE, &point.positive), (column::NEGATIVE, &point.negative)] {
        let (offset, counts) = record::buckets(row.cell(name));
        let sent = sent.clone().unwrap_or_default();
        assert_eq!((offset, counts.collect::<Vec<_>>()), (sent.offset, sent.bucket_counts));
    }
}

fn check_summary(row: &Row<'_>, point: &metrics::SummaryDataPoint) {
    check_common!(row, point);
    assert_eq!((row.u64(column::COUNT), row.f64(column::SUM)), (Some(point.count), Some(point.sum.to_bits())));
    let read: Vec<_> = record::quantiles(row.cell(column::QUANTILES)).collect();
    let sent: Vec<_> = point.quantile_values.iter().map(|quantile| (quantile.quantile, quantile.value)).collect();
    assert_eq!(read, sent);
}

/// Compares the rows of a metric, from the first on, and says how many there are.
fn check_points(batch: &RecordBatch, first: usize, metric: &metrics::Metric) -> usize {
    use metrics::metric::Data;
    fn each<P>(batch: &RecordBatch, first: usize, points: &[P], mut check: impl FnMut(&Row<'_>, &P)) -> usize {
        points.iter().enumerate().for_each(|(index, point)| check(&Row(batch, first + index), point));
        points.len()
    }
    match metric.data.as_ref() {
        None => 0,
        Some(Data::Gauge(data)) => each(batch, first, &data.data_points, |row, point| {
            check_metric(row, metric, 1, 0, false);
            check_number(row, point);
        }),
        Some(Data::Sum(data)) => each(batch, first, &data.data_points, |row, point| {
            check_metric(row, metric, 2, data.aggregation_temporality, data.is_monotonic);
            check_number(row, point);
        }),
        Some(Data::Histogram(data)) => each(batch, first, &data.data_points, |row, point| {
            check_metric(row, metric, 3, data.aggregation_temporality, false);
            check_histogram(row, point);
        }),
        Some(Data::ExponentialHistogram(data)) => each(batch, first, &data.data_points, |row, point| {
            check_metric(row, metric, 4, data.aggregation_temporality, false);
            check_exponential(row, point);
        }),
        Some(Data::Summary(data)) => each(batch, first, &data.data_points, |row, point| {
            check_metric(row, metric, 5, 0, false);
            check_summary(row, point);
        }),
    }
}

fn is_valid_span(span: &Span) -> bool {
    let valid = |id: &[u8], len| id.len() == len && id.iter().any(|byte| *byte != 0);
    let parent = &span.parent_span_id;
    valid(&span.trace_id, 16) && valid(&span.span_id, 8) && (parent.iter().all(|byte| *byte == 0) || valid(parent, 8))
}

// ── changed bytes ──

#[derive(Debug, Clone)]
enum Change {
    Set(usize, u8),
    Remove(usize, usize),
    Insert(usize, Vec<u8>),
    Repeat(usize, usize),
    Cut(usize),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let at = any::<u16>().prop_map(usize::from);
    vec(
        prop_oneof![
            (at.clone(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
            (at.clone(), 1usize..4).prop_map(|(at, len)| Change::Remove(at, len)),
            (at.clone(), vec(any::<u8>(), 1..4)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
            (at.clone(), 1usize..12).prop_map(|(at, len)| Change::Repeat(at, len)),
            at.prop_map(Change::Cut),
        ],
        1..4,
    )
}

fn apply(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let len = bytes.len();
        let place = |at: usize| at % (len + 1);
        match change {
            Change::Set(at, byte) => {
                if let Some(slot) = bytes.get_mut(place(*at)) {
                    *slot = *byte;
                }
            }
            Change::Remove(at, count) => drop(bytes.drain(place(*at)..(place(*at) + count).min(len))),
            Change::Insert(at, new) => drop(bytes.splice(place(*at)..place(*at), new.iter().copied())),
            Change::Repeat(at, count) => {
                let piece = bytes[place(*at)..(place(*at) + count).min(len)].to_vec();
                bytes.splice(place(*at)..place(*at), piece);
            }
            Change::Cut(at) => bytes.truncate(place(*at)),
        }
    }
    bytes
}

/// Both accept or both refuse; prost's depth limit, which counts differently, aside.
fn same_verdict<M: prost::Message + Default>(signal: Signal, bytes: &[u8]) -> Result<Option<M>, TestCaseError> {
    let (theirs, ours) = (M::decode(bytes), run(signal, bytes));
    if theirs.as_ref().is_err_and(|error| error.to_string().contains("recursion limit")) {
        return Ok(None);
    }
    prop_assert_eq!(theirs.is_ok(), ours.is_ok(), "prost {:?}, we {:?}", theirs.err(), ours.err());
    Ok(theirs.ok())
}

/// A message as the receiver sees it: an encoder leaves out defaults, to which it counts -0.0.
fn sent<M: prost::Message + Default>(message: &M) -> (M, Vec<u8>) {
    let bytes = message.encode_to_vec();
    (M::decode(bytes.as_slice()).unwrap(), bytes)
}

/// What opentelemetry-proto writes as JSON must be read as what it was.
fn same_as_json<M>(signal: Signal, request: &M) -> Result<(), TestCaseError>
where
    M: prost::Message + Default + PartialEq + serde::Serialize + std::fmt::Debug,
{
    let (request, _) = sent(request);
    let json = serde_json::to_vec(&request).unwrap();
    let transcoded = json::to_protobuf(signal, &json, 1 << 20);
    let transcoded = transcoded.map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(M::decode(transcoded.protobuf.as_slice()).unwrap(), request);
    Ok(())
}

fn compare_spans(request: &ExportTraceServiceRequest, bytes: &[u8]) -> Result<(), TestCaseError> {
    let decoded = run(Signal::Spans, bytes).unwrap();
    let batch = decoded.batch.columns();
    let (mut rows, mut rejected) = (0, 0);
    for resource in &request.resource_spans {
        for scope in &resource.scope_spans {
            for span in &scope.spans {
                let in_range = span.start_time_unix_nano.max(span.end_time_unix_nano) <= i64::MAX.unsigned_abs();
                if !is_valid_span(span) || !in_range {
                    rejected += 1;
                    continue;
                }
                let row = Row(batch, rows);
                check_span(&row, span);
                row.check_origin(
                    resource.resource.as_ref(),
                    &resource.schema_url,
                    scope.scope.as_ref(),
                    &scope.schema_url,
                );
                rows += 1;
            }
        }
    }
    prop_assert_eq!((batch.num_rows(), decoded.rejected), (rows, rejected));
    prop_assert_eq!(count_records(Signal::Spans, bytes) as u64, rows as u64 + rejected);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn d4_every_field_of_spans_has_its_place(request in trace_request()) {
        let (request, bytes) = sent(&request);
        compare_spans(&request, &bytes)?;
    }

    #[test]
    fn d4_every_field_of_logs_has_its_place(request in logs_request()) {
        let (request, bytes) = sent(&request);
        let decoded = run(Signal::Logs, &bytes).unwrap();
        let mut rows = 0;
        for resource in &request.resource_logs {
            for scope in &resource.scope_logs {
                for record in &scope.log_records {
                    let row = Row(decoded.batch.columns(), rows);
                    check_log(&row, record);
                    row.check_origin(resource.resource.as_ref(), &resource.schema_url, scope.scope.as_ref(), &scope.schema_url);
                    rows += 1;
                }
            }
        }
        prop_assert_eq!((decoded.batch.num_rows(), decoded.rejected), (rows, 0));
        prop_assert_eq!(count_records(Signal::Logs, &bytes), rows);
    }

    #[test]
    fn d4_every_field_of_metrics_has_its_place(request in metrics_request()) {
        let (request, bytes) = sent(&request);
        let decoded = run(Signal::Metrics, &bytes).unwrap();
        let mut rows = 0;
        for resource in &request.resource_metrics {
            for scope in &resource.scope_metrics {
                for metric in &scope.metrics {
                    let points = check_points(decoded.batch.columns(), rows, metric);
                    for row in rows..rows + points {
                        Row(decoded.batch.columns(), row)
                            .check_origin(resource.resource.as_ref(), &resource.schema_url, scope.scope.as_ref(), &scope.schema_url);
                    }
                    rows += points;
                }
            }
        }
        prop_assert_eq!((decoded.batch.num_rows(), decoded.rejected), (rows, 0));
        prop_assert_eq!(count_records(Signal::Metrics, &bytes), rows);
    }

    #[test]
    fn d1_changed_spans_are_accepted_exactly_when_prost_accepts_them(request in trace_request(), changes in changes()) {
        let bytes = apply(request.encode_to_vec(), &changes);
        if let Some(request) = same_verdict::<ExportTraceServiceRequest>(Signal::Spans, &bytes)? {
            compare_spans(&request, &bytes)?;
        }
    }

    #[test]
    fn d1_changed_logs_are_accepted_exactly_when_prost_accepts_them(request in logs_request(), changes in changes()) {
        same_verdict::<ExportLogsServiceRequest>(Signal::Logs, &apply(request.encode_to_vec(), &changes))?;
    }

    #[test]
    fn d1_changed_metrics_are_accepted_exactly_when_prost_accepts_them(request in metrics_request(), changes in changes()) {
        same_verdict::<ExportMetricsServiceRequest>(Signal::Metrics, &apply(request.encode_to_vec(), &changes))?;
    }

    #[test]
    fn j_json_of_spans_is_the_protobuf_of_the_same_spans(request in trace_request()) {
        same_as_json(Signal::Spans, &request)?;
    }

    #[test]
    fn j_json_of_logs_is_the_protobuf_of_the_same_logs(request in logs_request()) {
        same_as_json(Signal::Logs, &request)?;
    }

    #[test]
    fn j_json_of_metrics_is_the_protobuf_of_the_same_metrics(request in metrics_request()) {
        same_as_json(Signal::Metrics, &request)?;
    }

    #[test]
    fn j_changed_json_never_becomes_malformed_protobuf(request in trace_request(), changes in changes()) {
        let json = apply(serde_json::to_vec(&request).unwrap(), &changes);
        if let Ok(transcoded) = json::to_protobuf(Signal::Spans, &json, 1 << 20) {
            prop_assert!(run(Signal::Spans, &transcoded.protobuf).is_ok());
        }
    }
}
