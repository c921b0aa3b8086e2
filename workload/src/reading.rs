//! What did the model send? For tests: requests decoded with `opentelemetry_proto`, spans with their resource beside them.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::{Batch, Config, Signal, Workload};

/// A span with where it came from.
pub(crate) struct Seen {
    pub(crate) service: String,
    pub(crate) instance: String,
    pub(crate) span: Span,
}

/// Everything that a model sent before it ended.
pub(crate) fn run(config: Config) -> Vec<Batch> {
    assert!(config.stop_after.is_some(), "the model must end");
    let mut shop = Workload::new(config).unwrap();
    std::iter::from_fn(|| shop.next_batch()).collect()
}

/// A short run of everything.
pub(crate) fn small() -> Config {
    Config { stop_after: Some(1_200), requests_per_second: 40.0, ..Config::default() }
}

pub(crate) fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    match value(attributes, key)? {
        Value::StringValue(text) => Some(text),
        other => panic!("{key} is {other:?}"),
    }
}

pub(crate) fn int(attributes: &[KeyValue], key: &str) -> Option<i64> {
    match value(attributes, key)? {
        Value::IntValue(number) => Some(*number),
        other => panic!("{key} is {other:?}"),
    }
}

pub(crate) fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let found: Vec<_> = attributes.iter().filter(|pair| pair.key == key).collect();
    assert!(found.len() <= 1, "{key} is there twice");
    let AnyValue { value } = found.first()?.value.as_ref()?;
    value.as_ref()
}

pub(crate) fn spans(batches: &[Batch]) -> Vec<Seen> {
    let mut seen = Vec::new();
    for batch in batches.iter().filter(|batch| batch.signal == Signal::Spans) {
        for resource in ExportTraceServiceRequest::decode(batch.bytes.clone()).unwrap().resource_spans {
            let attributes = resource.resource.unwrap().attributes;
            let service = text(&attributes, "service.name").unwrap().to_owned();
            let instance = text(&attributes, "service.instance.id").unwrap().to_owned();
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                seen.push(Seen { service: service.clone(), instance: instance.clone(), span });
            }
        }
    }
    seen
}

/// Spans by trace id and span id.
pub(crate) fn by_id(seen: &[Seen]) -> BTreeMap<(&[u8], &[u8]), &Seen> {
    let map: BTreeMap<_, _> = seen.iter().map(|seen| ((&*seen.span.trace_id, &*seen.span.span_id), seen)).collect();
    assert_eq!(map.len(), seen.len(), "span ids are not unique");
    map
}

pub(crate) fn logs(batches: &[Batch]) -> Vec<(String, LogRecord)> {
    let mut seen = Vec::new();
    for batch in batches.iter().filter(|batch| batch.signal == Signal::Logs) {
        for resource in ExportLogsServiceRequest::decode(batch.bytes.clone()).unwrap().resource_logs {
            let service = text(&resource.resource.unwrap().attributes, "service.name").unwrap().to_owned();
            let records = resource.scope_logs.into_iter().flat_map(|scope| scope.log_records);
            seen.extend(records.map(|record| (service.clone(), record)));
        }
    }
    seen
}

/// Metrics in the order of their export, with the instance that sent them.
pub(crate) fn metrics(batches: &[Batch]) -> Vec<(String, Metric)> {
    let mut seen = Vec::new();
    for batch in batches.iter().filter(|batch| batch.signal == Signal::Metrics) {
        for resource in ExportMetricsServiceRequest::decode(batch.bytes.clone()).unwrap().resource_metrics {
            let attributes = resource.resource.unwrap().attributes;
            let instance = text(&attributes, "service.instance.id").unwrap().to_owned();
            let metrics = resource.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
            seen.extend(metrics.map(|metric| (instance.clone(), metric)));
        }
    }
    seen
}
