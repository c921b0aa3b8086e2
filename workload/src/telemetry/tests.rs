//! Do log records and data points say the same as the spans?

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Exemplar, Metric, NumberDataPoint};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use super::{Context, Path, Query};
use crate::reading::{by_id, int, logs, metrics, run, small, spans, text, value};
use crate::{Config, Incident};

fn eventful() -> Config {
    let start = small().start_unix_nano;
    let incident = |(kind, service)| Incident { kind, service, start, end: start + 20_000_000_000 };
    let incidents = [
        (crate::IncidentKind::ErrorBurst, crate::Service::User),
        (crate::IncidentKind::RetryStorm, crate::Service::Shipping),
    ];
    Config { incidents: incidents.map(incident).to_vec(), ..small() }
}

#[test]
fn log_records_carry_the_ids_of_spans_of_their_service() {
    let batches = run(eventful());
    let (seen, records) = (spans(&batches), logs(&batches));
    let known = by_id(&seen);
    let mut severities = BTreeSet::new();
    let (mut without, mut maps, mut events) = (0, 0, 0);
    for (service, record) in &records {
        severities.insert(record.severity_number);
        assert!(record.observed_time_unix_nano > record.time_unix_nano && !record.severity_text.is_empty());
        events += usize::from(!record.event_name.is_empty());
        match record.body.as_ref().unwrap().value.as_ref().unwrap() {
            Value::StringValue(body) => {
                assert!(!body.is_empty() && !body.contains("{user}") && !body.contains("{order}"), "{body}")
            }
            Value::KvlistValue(body) => {
                assert!(text(&body.values, "msg").is_some());
                maps += 1;
            }
            other => panic!("{other:?}"),
        }
        if record.trace_id.is_empty() {
            without += 1;
            continue;
        }
        let span = known[&(&*record.trace_id, &*record.span_id)];
        assert_eq!(&span.service, service);
        let during = span.span.start_time_unix_nano..=span.span.end_time_unix_nano;
        assert!(during.contains(&record.time_unix_nano), "{:?} outside {}", record.body, span.span.name);
    }
    assert_eq!(severities.into_iter().collect::<Vec<_>>(), [5, 9, 13, 17]);
    assert!(records.len() > seen.len() / 12, "{} records for {} spans", records.len(), seen.len());
    assert!(without > 20 && maps > 5 && events > 50, "{without} without trace, {maps} maps, {events} events");
    let traces = records.iter().filter(|(_, record)| text(&record.attributes, "exception.stacktrace").is_some());
    assert!(traces.count() > 10);
}

fn name(instance: &str, metric: &Metric, attributes: &[opentelemetry_proto::tonic::common::v1::KeyValue]) -> String {
    format!("{instance} {} {attributes:?}", metric.name)
}

fn as_double(point: &NumberDataPoint) -> f64 {
    match point.value.as_ref().unwrap() {
        Number::AsDouble(value) => *value,
        Number::AsInt(value) => *value as f64,
    }
}

#[test]
fn q2_cumulative_sums_never_fall_and_q3_deltas_are_contiguous() {
    let batches = run(eventful());
    let mut last: BTreeMap<String, (u64, u64, f64)> = BTreeMap::new();
    let (mut counters, mut deltas, mut ups) = (0, 0, 0);
    for (instance, metric) in metrics(&batches) {
        let Some(Data::Sum(sum)) = &metric.data else { continue };
        let delta = sum.aggregation_temporality() == AggregationTemporality::Delta;
        for point in &sum.data_points {
            let value = as_double(point);
            assert!(point.start_time_unix_nano > 0 && point.start_time_unix_nano <= point.time_unix_nano);
            let now = (point.start_time_unix_nano, point.time_unix_nano, value);
            if let Some((start, time, before)) = last.insert(name(&instance, &metric, &point.attributes), now) {
                assert!(point.time_unix_nano > time, "{} twice", metric.name);
                if delta {
                    assert!(point.start_time_unix_nano >= time);
                    deltas += 1;
                } else if sum.is_monotonic {
                    assert!(value >= before && point.start_time_unix_nano == start, "{} fell", metric.name);
                    counters += 1;
                } else {
                    ups += 1;
                }
            }
        }
    }
    assert!(counters > 100 && deltas > 10 && ups > 100, "{counters} {deltas} {ups}");
}

#[test]
fn h4_histogram_counts_never_fall_and_sum_to_their_buckets() {
    let batches = run(eventful());
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    let (mut explicit, mut exponential) = (0, 0);
    for (instance, metric) in metrics(&batches) {
        let points: Vec<_> = match &metric.data {
            Some(Data::Histogram(data)) => data
                .data_points
                .iter()
                .map(|point| {
                    explicit += 1;
                    assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
                    assert!(point.explicit_bounds.is_sorted());
                    (&point.attributes, point.count, point.sum, point.min, point.max)
                })
                .collect(),
            Some(Data::ExponentialHistogram(data)) => data
                .data_points
                .iter()
                .map(|point| {
                    exponential += 1;
                    let positive = point.positive.as_ref().unwrap();
                    assert_eq!(positive.bucket_counts.iter().sum::<u64>() + point.zero_count, point.count);
                    (&point.attributes, point.count, point.sum, point.min, point.max)
                })
                .collect(),
            _ => continue,
        };
        for (attributes, count, sum, min, max) in points {
            if count > 0 {
                let mean = sum.unwrap() / count as f64;
                assert!(min.unwrap() <= mean * 1.000_001 && mean <= max.unwrap() * 1.000_001);
            }
            if let Some(before) = last.insert(name(&instance, &metric, attributes), count) {
                assert!(count >= before, "{} fell", metric.name);
            }
        }
    }
    assert!(explicit > 100 && exponential > 100);
}

#[test]
fn server_histograms_count_the_server_spans_and_exemplars_lead_to_them() {
    let batches = run(small());
    let seen = spans(&batches);
    let known = by_id(&seen);
    let mut counted: BTreeMap<(String, String, i64), u64> = BTreeMap::new();
    let mut exemplars: Vec<Exemplar> = Vec::new();
    for (instance, metric) in metrics(&batches) {
        if metric.name != "http.server.request.duration" {
            continue;
        }
        let Some(Data::Histogram(data)) = metric.data else { panic!("not a histogram") };
        for point in data.data_points {
            let route = text(&point.attributes, "http.route").unwrap().to_owned();
            let code = int(&point.attributes, "http.response.status_code").unwrap();
            // Cumulative: the last export of a series tells the whole.
            counted.insert(
                (instance.clone(), format!("{:?}{route}", text(&point.attributes, "http.request.method")), code),
                point.count,
            );
            exemplars.extend(point.exemplars);
        }
    }
    let mut served: BTreeMap<(String, String, i64), u64> = BTreeMap::new();
    for seen in &seen {
        let a = &seen.span.attributes;
        if seen.span.kind() == SpanKind::Server && value(a, "http.route").is_some() {
            let route = format!("{:?}{}", text(a, "http.request.method"), text(a, "http.route").unwrap());
            *served.entry((seen.instance.clone(), route, int(a, "http.response.status_code").unwrap())).or_default() +=
                1;
        }
    }
    assert_eq!(counted, served);
    assert!(exemplars.len() > 50);
    for exemplar in exemplars {
        assert!(known.contains_key(&(&*exemplar.trace_id, &*exemplar.span_id)));
    }
}

#[test]
fn every_kind_of_metric_is_there() {
    let mut kinds: BTreeSet<&str> = BTreeSet::new();
    for (_, metric) in metrics(&run(small())) {
        kinds.insert(match metric.data.unwrap() {
            Data::Gauge(data) => match data.data_points[0].value.unwrap() {
                Number::AsDouble(_) => "double gauge",
                Number::AsInt(_) => "int gauge",
            },
            Data::Sum(data) => match (data.is_monotonic, data.aggregation_temporality()) {
                (true, AggregationTemporality::Delta) => "delta",
                (true, _) => "counter",
                (false, _) => "up-down counter",
            },
            Data::Histogram(_) => "histogram",
            Data::ExponentialHistogram(_) => "exponential histogram",
            Data::Summary(_) => "summary",
        });
    }
    assert_eq!(kinds.len(), 8, "{kinds:?}");
}

const CONTEXT: Context =
    Context { user: 7, session: 4, product: 1_001, order: 9, amount_minor: 1, address: 0x0102_0304 };

#[test]
fn routes_are_filled_with_the_request_s_ids() {
    let path = |route| Path { route, context: &CONTEXT }.to_string();
    assert_eq!(path("/cart"), "/cart");
    assert_eq!(path("/users/{user_id}"), "/users/7");
    assert_eq!(path("/orders/{order_id}/lines"), "/orders/9/lines");
    assert_eq!(path("/products/{product_id}"), "/products/1001");
}

#[test]
fn query_strings_have_no_spaces() {
    for product in 0..24 {
        let query = Query(&Context { product, ..CONTEXT }).to_string();
        assert!(query.starts_with("q=") && !query.contains(' ') && query.ends_with("&page=2"), "{query}");
    }
}
