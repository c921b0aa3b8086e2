//! What have a tenant's spans come to since their series began, and how is that written? As OTLP/JSON.

use super::figures::Durations;
use super::{Ends, Interval, MOST_SERIES, Operation, STALE};
use crate::service::Edge;
use bytes::Bytes;
use query_api::service::Connection;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use storage::scan::TimeRange;

const CUMULATIVE: u8 = 2;
/// The metric that there is whenever there is any.
pub(super) const CALLS: &str = "traces_spanmetrics_calls_total";
/// The scope of all of them.
pub(super) const SCOPE: &str = "spanlight.span_metrics";
/// A series' zero stands behind the start of its first interval: there may be a sample of an earlier life of it.
const BEHIND: i64 = 1_000_000;

/// A series' sum, since when, and when it grew last.
#[derive(Debug)]
struct Total<T> {
    sum: T,
    since: i64,
    grew: i64,
    /// Whether its zero has been written.
    has_begun: bool,
}

/// Of a key; nothing stands for all that there was no room for.
type Map<K, T> = BTreeMap<Option<K>, Total<T>>;

#[derive(Debug, Default)]
pub(super) struct Totals {
    operations: Map<Operation, Durations>,
    edges: Map<Ends, Edge<Durations>>,
}

fn entry<K: Ord, T: Default>(map: &mut Map<K, T>, key: K, range: TimeRange) -> &mut T {
    let key = Some(key);
    let key = if map.contains_key(&key) || map.len() < MOST_SERIES { key } else { None };
    let new = || Total { sum: T::default(), since: range.start + BEHIND, grew: range.end, has_begun: false };
    let total = map.entry(key).or_insert_with(new);
    total.grew = range.end;
    &mut total.sum
}

impl Totals {
    /// Adds what an interval came to.
    pub(super) fn add(&mut self, interval: Interval, range: TimeRange) {
        self.operations.retain(|_, total| range.end - total.grew < STALE);
        self.edges.retain(|_, total| range.end - total.grew < STALE);
        for (key, durations) in interval.operations.into_named() {
            entry(&mut self.operations, key, range).merge(&durations);
        }
        for (key, edge) in interval.edges {
            let sum = entry(&mut self.edges, key, range);
            sum.calls.merge(edge.calls);
            sum.failed.merge(edge.failed);
            sum.client.merge(&edge.client);
            sum.server.merge(&edge.server);
        }
    }

    /// All sums at a moment, as a request; nothing where there is none.
    pub(super) fn request(&mut self, time: i64) -> Option<Bytes> {
        if self.operations.is_empty() && self.edges.is_empty() {
            return None;
        }
        let mut metrics = Metrics { time, points: BTreeMap::new() };
        for (key, total) in &mut self.operations {
            let attributes = key.as_ref().map_or_else(overflow, operation);
            metrics.sum(CALLS, total, &attributes, |sum| sum.count());
            metrics.histogram("traces_spanmetrics_latency", total, &attributes, |sum| sum);
            total.has_begun = true;
        }
        for (key, total) in &mut self.edges {
            let attributes = key.as_ref().map_or_else(overflow, ends);
            metrics.sum("traces_service_graph_request_total", total, &attributes, |sum| sum.calls.total());
            metrics.sum("traces_service_graph_request_failed_total", total, &attributes, |sum| sum.failed.total());
            metrics.histogram("traces_service_graph_request_client_seconds", total, &attributes, |sum| &sum.client);
            metrics.histogram("traces_service_graph_request_server_seconds", total, &attributes, |sum| &sum.server);
            total.has_begun = true;
        }
        Some(metrics.request().to_string().into())
    }
}

/// Points by the name of their metric.
struct Metrics {
    time: i64,
    points: BTreeMap<(&'static str, Kind), Vec<Value>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Sum,
    Histogram,
}

impl Metrics {
    fn sum<T>(&mut self, name: &'static str, total: &Total<T>, attributes: &Value, of: impl Fn(&T) -> u64) {
        let points = self.points.entry((name, Kind::Sum)).or_default();
        let mut point = |time: i64, value: u64| {
            points.push(json!({
                "attributes": attributes, "startTimeUnixNano": total.since.to_string(),
                "timeUnixNano": time.to_string(), "asInt": value.to_string(),
            }));
        };
        if !total.has_begun {
            point(total.since, 0);
        }
        point(self.time, of(&total.sum));
    }

    fn histogram<T>(
        &mut self,
        name: &'static str,
        total: &Total<T>,
        attributes: &Value,
        of: impl Fn(&T) -> &Durations,
    ) {
        let points = self.points.entry((name, Kind::Histogram)).or_default();
        let bounds = Durations::bounds();
        let mut point = |time: i64, durations: &Durations| {
            let buckets: Vec<String> = durations.counts().iter().map(u64::to_string).collect();
            points.push(json!({
                "attributes": attributes, "startTimeUnixNano": total.since.to_string(),
                "timeUnixNano": time.to_string(), "count": durations.count().to_string(), "sum": durations.seconds,
                "explicitBounds": bounds, "bucketCounts": buckets,
            }));
        };
        // An end that sends no spans has no durations.
        let durations = of(&total.sum);
        if durations.count() == 0 {
            return;
        }
        if !total.has_begun {
            point(total.since, &Durations::default());
        }
        point(self.time, durations);
    }

    fn request(self) -> Value {
        let metric = |((name, kind), points): ((&str, Kind), Vec<Value>)| match kind {
            Kind::Sum => json!({ "name": name, "sum": {
                "aggregationTemporality": CUMULATIVE, "isMonotonic": true, "dataPoints": points,
            }}),
            Kind::Histogram => json!({ "name": name, "histogram": {
                "aggregationTemporality": CUMULATIVE, "dataPoints": points,
            }}),
        };
        let metrics: Vec<Value> = self.points.into_iter().map(metric).collect();
        json!({ "resourceMetrics": [{
            "resource": { "attributes": attributes(&[("service.name", "spanlight")]) },
            "scopeMetrics": [{ "scope": { "name": SCOPE }, "metrics": metrics }],
        }]})
    }
}

fn attributes(list: &[(&str, &str)]) -> Value {
    list.iter().map(|(key, value)| json!({ "key": key, "value": { "stringValue": value } })).collect()
}

fn overflow() -> Value {
    json!([{ "key": "otel.metric.overflow", "value": { "boolValue": true } }])
}

fn operation((service, name, kind, status): &Operation) -> Value {
    let kind = match kind {
        1 => "SPAN_KIND_INTERNAL",
        2 => "SPAN_KIND_SERVER",
        3 => "SPAN_KIND_CLIENT",
        4 => "SPAN_KIND_PRODUCER",
        5 => "SPAN_KIND_CONSUMER",
        _ => "SPAN_KIND_UNSPECIFIED",
    };
    let status = match status {
        1 => "STATUS_CODE_OK",
        2 => "STATUS_CODE_ERROR",
        _ => "STATUS_CODE_UNSET",
    };
    attributes(&[("service", service), ("span_name", name), ("span_kind", kind), ("status_code", status)])
}

fn ends((client, server, connection): &Ends) -> Value {
    let connection = match connection {
        Connection::Direct => "",
        Connection::MessagingSystem => "messaging_system",
        Connection::Database => "database",
        Connection::VirtualNode => "virtual_node",
    };
    attributes(&[("client", client), ("server", server), ("connection_type", connection)])
}
