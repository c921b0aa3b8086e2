//! X1 to X4: is each record of a request in one message, with what it belongs to, and all of a trace in one partition?

use super::super::cut::{Cut, Mould, cut};
use super::arbitrary::{logs_request, metrics_request, trace_request};
use super::*;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A record with all that surrounds it, and what decides on its partition.
type Whole = (Vec<u8>, Vec<u8>);

fn identity(resource: Option<&Resource>) -> Vec<u8> {
    let mut attributes: Vec<_> = resource.iter().flat_map(|resource| &resource.attributes).collect();
    attributes.sort_by_cached_key(|attribute| attribute.encode_to_vec());
    attributes.iter().flat_map(|attribute| attribute.encode_length_delimited_to_vec()).collect()
}

fn whole_spans(bytes: &[u8]) -> Vec<Whole> {
    let mut all = Vec::new();
    for mut resource in ExportTraceServiceRequest::decode(bytes).unwrap().resource_spans {
        for mut scope in std::mem::take(&mut resource.scope_spans) {
            for span in std::mem::take(&mut scope.spans) {
                let identity = span.trace_id.clone();
                let scope_spans = vec![ScopeSpans { spans: vec![span], ..scope.clone() }];
                all.push((identity, ResourceSpans { scope_spans, ..resource.clone() }.encode_to_vec()));
            }
        }
    }
    all
}

fn whole_logs(bytes: &[u8]) -> Vec<Whole> {
    let mut all = Vec::new();
    for mut resource in ExportLogsServiceRequest::decode(bytes).unwrap().resource_logs {
        for mut scope in std::mem::take(&mut resource.scope_logs) {
            for record in std::mem::take(&mut scope.log_records) {
                let scope_logs = vec![ScopeLogs { log_records: vec![record], ..scope.clone() }];
                let identity = identity(resource.resource.as_ref());
                all.push((identity, ResourceLogs { scope_logs, ..resource.clone() }.encode_to_vec()));
            }
        }
    }
    all
}

/// The same metric with each of its points alone.
fn by_point(metric: &metrics::Metric) -> Vec<metrics::Metric> {
    macro_rules! alone {
        ($kind:ident, $data:expr) => {{
            let mut data = $data.clone();
            let points = std::mem::take(&mut data.data_points);
            let alone = |point| {
                Data::$kind({
                    let mut data = data.clone();
                    data.data_points = vec![point];
                    data
                })
            };
            points.into_iter().map(alone).collect::<Vec<_>>()
        }};
    }
    let points = match &metric.data {
        None => Vec::new(),
        Some(Data::Gauge(data)) => alone!(Gauge, data),
        Some(Data::Sum(data)) => alone!(Sum, data),
        Some(Data::Histogram(data)) => alone!(Histogram, data),
        Some(Data::ExponentialHistogram(data)) => alone!(ExponentialHistogram, data),
        Some(Data::Summary(data)) => alone!(Summary, data),
    };
    points.into_iter().map(|data| metrics::Metric { data: Some(data), ..metric.clone() }).collect()
}

fn whole_points(bytes: &[u8]) -> Vec<Whole> {
    let mut all = Vec::new();
    for mut resource in ExportMetricsServiceRequest::decode(bytes).unwrap().resource_metrics {
        for mut scope in std::mem::take(&mut resource.scope_metrics) {
            for metric in std::mem::take(&mut scope.metrics) {
                for point in by_point(&metric) {
                    let mut identity = identity(resource.resource.as_ref());
                    identity.extend_from_slice(metric.name.as_bytes());
                    let scope_metrics = vec![metrics::ScopeMetrics { metrics: vec![point], ..scope.clone() }];
                    let resource = metrics::ResourceMetrics { scope_metrics, ..resource.clone() };
                    all.push((identity, resource.encode_to_vec()));
                }
            }
        }
    }
    all
}

fn whole(signal: Signal, bytes: &[u8]) -> Vec<Whole> {
    match signal {
        Signal::Spans => whole_spans(bytes),
        Signal::Logs => whole_logs(bytes),
        Signal::Metrics => whole_points(bytes),
    }
}

fn cut_all(signal: Signal, bytes: &[u8], mould: Mould) -> Cut {
    let decoded = run(signal, bytes).unwrap();
    cut::<Malformed>(signal, bytes, &decoded.left_out, mould, &mut |_| Ok(())).unwrap()
}

fn keeps_all(signal: Signal, bytes: &[u8], mould: Mould) -> Result<(), TestCaseError> {
    let decoded = run(signal, bytes).unwrap();
    let is_left_out = |row: &usize| decoded.left_out.iter().any(|range| range.contains(row));
    let expected: Vec<Whole> = whole(signal, bytes)
        .into_iter()
        .enumerate()
        .filter(|(row, _)| !is_left_out(row))
        .map(|(_, record)| record)
        .collect();
    prop_assert_eq!(expected.len(), decoded.batch.num_rows());
    let cut = cut_all(signal, bytes, mould);
    let mut found: Vec<Whole> = Vec::new();
    let mut partitions: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    for (partition, message) in &cut.messages {
        prop_assert!(message.len() <= mould.bytes && *partition < mould.partitions);
        prop_assert_eq!(run(signal, message).unwrap().rejected, 0);
        let records = whole(signal, message);
        prop_assert!(!records.is_empty());
        for (identity, _) in &records {
            prop_assert_eq!(partitions.entry(identity.clone()).or_insert(*partition), partition);
        }
        found.extend(records);
    }
    prop_assert_eq!(found.len() as u64 + cut.too_large, expected.len() as u64);
    prop_assert_eq!(cut.too_large > 0, cut.first_too_large.is_some_and(|bytes| bytes > mould.bytes));
    // Of one identity in the order in which they came; what is too large is missing.
    for identity in partitions.keys() {
        let of = |all: &[Whole]| all.iter().filter(|(of, _)| of == identity).cloned().collect::<Vec<_>>();
        let mut rest = of(&expected).into_iter();
        for record in of(&found) {
            prop_assert!(rest.any(|expected| expected == record), "a record is another, or not in its order");
        }
    }
    Ok(())
}

fn mould() -> impl Strategy<Value = Mould> {
    (1..9u32, prop_oneof![Just(1 << 20), 100..2_000usize]).prop_map(|(partitions, bytes)| Mould { partitions, bytes })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn x1_x2_x3_hold_for_spans(request in trace_request(), mould in mould()) {
        keeps_all(Signal::Spans, &request.encode_to_vec(), mould)?;
    }

    #[test]
    fn x1_x2_x3_hold_for_logs(request in logs_request(), mould in mould()) {
        keeps_all(Signal::Logs, &request.encode_to_vec(), mould)?;
    }

    #[test]
    fn x1_x2_x3_hold_for_metrics(request in metrics_request(), mould in mould()) {
        keeps_all(Signal::Metrics, &request.encode_to_vec(), mould)?;
    }
}

const ONE: Mould = Mould { partitions: 1, bytes: 1 << 20 };

#[test]
fn x1_what_is_unknown_and_what_comes_in_pieces_is_kept() {
    let request = spans(vec![good_span()]);
    // Behind the scope, within the resource: a field that no version knows, and a second piece of the resource.
    let mut resource = request[2..].to_vec();
    resource.extend_from_slice(&[0xfa, 0x01, 3, b'n', b'e', b'w']);
    let attributes = vec![key_value("a", int(1))];
    let piece = Resource { attributes, ..Resource::default() }.encode_to_vec();
    storage::model::record::put_varint(&mut resource, 0x0a);
    storage::model::record::put_bytes(&mut resource, &piece);
    let mut changed = vec![0x0a];
    storage::model::record::put_bytes(&mut changed, &resource);
    let cut = cut_all(Signal::Spans, &changed, ONE);
    let [(0, message)] = &cut.messages[..] else { panic!("{cut:?}") };
    assert_eq!(whole_spans(message), whole_spans(&changed));
    assert!(message.windows(6).any(|bytes| bytes == [0xfa, 0x01, 3, b'n', b'e', b'w']));
}

#[test]
fn x1_of_several_kinds_of_data_the_last_is_kept_in_one_piece() {
    let gauge = |value: f64| {
        let value = Some(metrics::number_data_point::Value::AsDouble(value));
        let data_points = vec![metrics::NumberDataPoint { value, time_unix_nano: 5, ..Default::default() }];
        metrics::Metric {
            name: "m".into(),
            data: Some(Data::Gauge(metrics::Gauge { data_points })),
            ..Default::default()
        }
    };
    let sum = |value: f64, temporality: i32| {
        let value = Some(metrics::number_data_point::Value::AsDouble(value));
        let data_points = vec![metrics::NumberDataPoint { value, time_unix_nano: 5, ..Default::default() }];
        let sum = metrics::Sum { data_points, aggregation_temporality: temporality, is_monotonic: true };
        metrics::Metric { data: Some(Data::Sum(sum)), ..Default::default() }
    };
    let mut joined = gauge(1.0).encode_to_vec();
    joined.extend(sum(2.0, 1).encode_to_vec());
    joined.extend(sum(3.0, 2).encode_to_vec());
    let mut scope = vec![0x12];
    storage::model::record::put_bytes(&mut scope, &joined);
    let mut resource = vec![0x12];
    storage::model::record::put_bytes(&mut resource, &scope);
    let mut request = vec![0x0a];
    storage::model::record::put_bytes(&mut request, &resource);
    let cut = cut_all(Signal::Metrics, &request, ONE);
    let [(0, message)] = &cut.messages[..] else { panic!("{cut:?}") };
    assert_eq!(whole_points(message), whole_points(&request));
    assert_eq!(whole_points(message).len(), 2);
}

#[test]
fn x2_a_resource_is_the_same_in_any_order_of_its_attributes() {
    let log = |attributes: Vec<KeyValue>| {
        let scope_logs = vec![ScopeLogs { log_records: vec![LogRecord::default()], ..ScopeLogs::default() }];
        let resource = Some(Resource { attributes, ..Resource::default() });
        let resource_logs = vec![ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }];
        let request = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
        cut_all(Signal::Logs, &request, Mould { partitions: 1 << 20, bytes: 1 << 20 }).messages[0].0
    };
    let (a, b) = (key_value("a", int(1)), key_value("b", int(2)));
    assert_eq!(log(vec![a.clone(), b.clone()]), log(vec![b.clone(), a.clone()]));
    assert_ne!(log(vec![a.clone(), b]), log(vec![a]));
}

#[test]
fn x2_partitions_stay_what_they_are_from_release_to_release() {
    let cut = cut_all(Signal::Spans, &spans(vec![good_span()]), Mould { partitions: 1_000, bytes: 1 << 20 });
    assert_eq!(cut.messages[0].0, 702);
}

#[test]
fn x4_a_large_resource_of_many_traces_is_refused_where_its_copies_do_not_fit() {
    let span = |number: u8| Span { trace_id: vec![number + 1; 16], ..good_span() };
    let scope_spans = vec![ScopeSpans { spans: (0..100).map(span).collect(), ..ScopeSpans::default() }];
    let attributes = vec![key_value("large", any_value::Value::StringValue("x".repeat(100_000)))];
    let resource = Some(Resource { attributes, ..Resource::default() });
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }],
    }
    .encode_to_vec();
    let (mut asked, mould) = (0, Mould { partitions: 1_000, bytes: 1 << 20 });
    let refusal = Malformed { reason: wire::Reason::Columns, field: 0, offset: None, path: String::new() };
    let mut reserve = |bytes| {
        asked += bytes;
        if asked > 1_000_000 { Err(refusal.clone()) } else { Ok(()) }
    };
    let refused = cut::<Malformed>(Signal::Spans, &request, &[], mould, &mut reserve);
    assert_eq!(refused.unwrap_err(), refusal);
    let mut asked = 0;
    let whole = cut::<Malformed>(Signal::Spans, &request, &[], mould, &mut |bytes| {
        asked += bytes;
        Ok(())
    });
    let held: usize = whole.unwrap().messages.iter().map(|(_, message)| message.len()).sum();
    assert!(held > 8_000_000 && asked >= held, "{held} bytes held, {asked} asked for");
}
