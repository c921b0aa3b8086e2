//! Which shapes has Tempo's JSON? proto3's: camel case, 64-bit integers as texts. What lists hold is written as protobuf, too.
//!
//! J1  Grafana's data source refuses a search or an instant query with a field that it does not know, so none is added here.
//! J2  In traces ids are base64 and enums their names, as Go's `jsonpb` writes them.
//!
//! Not here: traces as protobuf (`protobuf`).

use super::super::protobuf::{Writer, id_bytes, key_values};
use crate::exec::Control;
use crate::traceql::{Found, FoundSet, FoundSpan, Value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use query_api::otlp::{self, AnyValue, ArrayValue, KeyValue, TracesData};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// The names of OTLP's statuses and kinds, by number.
const STATUSES: [&str; 3] = ["unset", "ok", "error"];
const KINDS: [&str; 6] = ["unspecified", "internal", "server", "client", "producer", "consumer"];

/// What a search cost.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SearchMetrics {
    total_blocks: u64,
    completed_jobs: u32,
    total_jobs: u32,
    #[serde(with = "query_api::nanos")]
    inspected_spans: u64,
}

impl SearchMetrics {
    pub(super) fn of(control: &Control) -> Self {
        let stats = control.stats();
        let jobs = jobs(control.steps().1);
        SearchMetrics {
            total_blocks: stats.blocks_read.saturating_add(stats.blocks_pruned).min(u32::MAX.into()),
            completed_jobs: jobs,
            total_jobs: jobs,
            inspected_spans: stats.rows_scanned,
        }
    }

    /// Of a search that goes on.
    pub(super) fn under_way(done: u64, all: u64) -> Self {
        SearchMetrics { total_blocks: 0, completed_jobs: jobs(done), total_jobs: jobs(all), inspected_spans: 0 }
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.varint(3, self.total_blocks);
        out.varint(4, self.completed_jobs.into());
        out.varint(5, self.total_jobs.into());
        out.varint(7, self.inspected_spans);
    }
}

fn jobs(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// `SearchResponse`.
#[derive(Debug, Serialize)]
pub(super) struct SearchResponse {
    traces: Vec<TraceSearchMetadata>,
    metrics: SearchMetrics,
}

/// A trace that was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TraceSearchMetadata {
    #[serde(rename = "traceID")]
    trace_id: String,
    root_service_name: String,
    root_trace_name: String,
    #[serde(with = "query_api::nanos")]
    start_time_unix_nano: i64,
    duration_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_set: Option<SpanSet>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    span_sets: Vec<SpanSet>,
    service_stats: BTreeMap<String, ServiceStats>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceStats {
    span_count: u32,
    #[serde(skip_serializing_if = "is_zero")]
    error_count: u32,
}

#[derive(Debug, Clone, Serialize)]
struct SpanSet {
    spans: Vec<Span>,
    matched: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<KeyValue>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    #[serde(rename = "spanID")]
    span_id: String,
    name: String,
    #[serde(with = "query_api::nanos")]
    start_time_unix_nano: i64,
    #[serde(with = "query_api::nanos")]
    duration_nanos: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<KeyValue>,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl SearchResponse {
    pub(super) fn new(found: Vec<Found>, control: &Control) -> Self {
        SearchResponse {
            traces: found.into_iter().map(TraceSearchMetadata::new).collect(),
            metrics: SearchMetrics::of(control),
        }
    }
}

impl TraceSearchMetadata {
    pub(super) fn new(found: Found) -> Self {
        let summary = found.summary;
        let stats = |share: query_api::trace::ServiceShare| {
            (share.name, ServiceStats { span_count: share.span_count, error_count: share.error_count })
        };
        let root_trace_name =
            if summary.has_root { summary.root_name } else { "<root span not yet received>".to_owned() };
        let span_sets: Vec<SpanSet> = found.sets.into_iter().map(span_set).collect();
        TraceSearchMetadata {
            trace_id: summary.trace_id,
            root_service_name: summary.root_service,
            root_trace_name,
            start_time_unix_nano: summary.start_unix_nano,
            duration_ms: summary.duration_nano / 1_000_000,
            span_set: span_sets.first().cloned(),
            span_sets,
            service_stats: summary.services.into_iter().map(stats).collect(),
        }
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.text(1, &self.trace_id);
        out.text(2, &self.root_service_name);
        out.text(3, &self.root_trace_name);
        out.int64(4, self.start_time_unix_nano);
        out.varint(5, u32::try_from(self.duration_ms).unwrap_or(u32::MAX).into());
        self.span_set.iter().for_each(|set| out.message(6, |out| set.write(out)));
        self.span_sets.iter().for_each(|set| out.message(7, |out| set.write(out)));
        for (service, stats) in &self.service_stats {
            out.message(8, |out| {
                out.text(1, service);
                out.message(2, |out| {
                    out.varint(1, stats.span_count.into());
                    out.varint(2, stats.error_count.into());
                });
            });
        }
    }
}

impl SpanSet {
    fn write(&self, out: &mut Writer) {
        self.spans.iter().for_each(|span| out.message(1, |out| span.write(out)));
        out.varint(2, self.matched as u64);
        key_values(out, 3, &self.attributes);
    }
}

impl Span {
    fn write(&self, out: &mut Writer) {
        out.text(1, &self.span_id);
        out.text(2, &self.name);
        out.int64(3, self.start_time_unix_nano);
        out.int64(4, self.duration_nanos);
        key_values(out, 5, &self.attributes);
    }
}

fn span_set(set: FoundSet) -> SpanSet {
    SpanSet { spans: set.spans.into_iter().map(span).collect(), matched: set.matched, attributes: named(set.told) }
}

fn span(span: FoundSpan) -> Span {
    Span {
        span_id: span.id.to_string(),
        name: span.name,
        start_time_unix_nano: span.start,
        duration_nanos: span.duration,
        attributes: named(span.attributes),
    }
}

/// Names and values as OTLP writes them.
pub(super) fn named(list: Vec<(String, Value<'_>)>) -> Vec<KeyValue> {
    list.into_iter().map(|(key, value)| KeyValue { key, value: any_value(value) }).collect()
}

/// A value as OTLP writes it; statuses and kinds by name, durations as texts.
pub(super) fn any_value(value: Value<'_>) -> AnyValue {
    let named = |names: &[&str], number: i32| {
        let name = usize::try_from(number).ok().and_then(|number| names.get(number));
        AnyValue::StringValue(name.map_or_else(|| number.to_string(), |name| (*name).to_owned()))
    };
    match value {
        Value::Nil | Value::Other => AnyValue::StringValue("nil".to_owned()),
        Value::Bool(value) => AnyValue::BoolValue(value),
        Value::Int(value) => AnyValue::IntValue(value),
        Value::Float(value) => AnyValue::DoubleValue(value),
        Value::Text(text) => AnyValue::StringValue(text.into_owned()),
        Value::Duration(nanos) => AnyValue::StringValue(duration(nanos)),
        Value::Status(code) => named(&STATUSES, code),
        Value::Kind(kind) => named(&KINDS, kind),
        Value::List(list) => AnyValue::ArrayValue(ArrayValue { values: list.into_iter().map(any_value).collect() }),
    }
}

/// A duration as Go writes it: `1h2m3.5s`, `1.5ms`.
fn duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let whole = nanos.unsigned_abs();
    let scaled = |unit: u64, name: &str| {
        let (before, after) = (whole / unit, whole % unit);
        let digits = format!("{after:0width$}", width = unit.ilog10() as usize);
        let digits = if unit == 1 { "" } else { digits.trim_end_matches('0') };
        let point = if digits.is_empty() { "" } else { "." };
        format!("{sign}{before}{point}{digits}{name}")
    };
    match whole {
        0 => "0s".to_owned(),
        1..1_000 => scaled(1, "ns"),
        1_000..1_000_000 => scaled(1_000, "µs"),
        1_000_000..1_000_000_000 => scaled(1_000_000, "ms"),
        _ => {
            let (hours, minutes) = (whole / 3_600_000_000_000, whole / 60_000_000_000 % 60);
            let seconds = whole % 60_000_000_000;
            let digits = format!("{:09}", seconds % 1_000_000_000);
            let digits = digits.trim_end_matches('0');
            let point = if digits.is_empty() { "" } else { "." };
            let hours_text = if hours > 0 { format!("{hours}h") } else { String::new() };
            let minutes_text = if hours + minutes > 0 { format!("{minutes}m") } else { String::new() };
            format!("{sign}{hours_text}{minutes_text}{}{point}{digits}s", seconds / 1_000_000_000)
        }
    }
}

/// `TraceByIDResponse`.
#[derive(Debug, Serialize)]
pub(super) struct TraceById<'a> {
    pub(super) trace: Trace<'a>,
    pub(super) metrics: BTreeMap<(), ()>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
}

/// A trace whose resources stand under `resourceSpans`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Trace<'a> {
    resource_spans: Vec<ResourceSpans<'a>>,
}

/// A trace whose resources stand under `batches`, as in the first version of the endpoint.
#[derive(Debug, Serialize)]
pub(super) struct Batches<'a> {
    batches: Vec<ResourceSpans<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: &'a otlp::Resource,
    scope_spans: Vec<ScopeSpans<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    schema_url: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ScopeSpans<'a> {
    scope: &'a otlp::Scope,
    spans: Vec<FullSpan<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    schema_url: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FullSpan<'a> {
    trace_id: Id<'a>,
    span_id: Id<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    trace_state: &'a str,
    #[serde(skip_serializing_if = "Id::is_empty")]
    parent_span_id: Id<'a>,
    #[serde(skip_serializing_if = "is_zero")]
    flags: u32,
    name: &'a str,
    kind: &'static str,
    #[serde(with = "query_api::nanos")]
    start_time_unix_nano: u64,
    #[serde(with = "query_api::nanos")]
    end_time_unix_nano: u64,
    attributes: &'a [KeyValue],
    #[serde(skip_serializing_if = "is_zero")]
    dropped_attributes_count: u32,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    events: &'a [otlp::Event],
    #[serde(skip_serializing_if = "is_zero")]
    dropped_events_count: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<FullLink<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    dropped_links_count: u32,
    status: FullStatus<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FullLink<'a> {
    trace_id: Id<'a>,
    span_id: Id<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    trace_state: &'a str,
    attributes: &'a [KeyValue],
    #[serde(skip_serializing_if = "is_zero")]
    dropped_attributes_count: u32,
    #[serde(skip_serializing_if = "is_zero")]
    flags: u32,
}

#[derive(Debug, Serialize)]
struct FullStatus<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    code: &'static str,
}

/// Hex digits that are written as base64 (J2).
#[derive(Debug)]
struct Id<'a>(&'a str);

impl Id<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Id<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(id_bytes(self.0)))
    }
}

impl<'a> Trace<'a> {
    pub(super) fn new(data: &'a TracesData) -> Self {
        Trace { resource_spans: data.resource_spans.iter().map(resource_spans).collect() }
    }
}

impl<'a> Batches<'a> {
    pub(super) fn new(data: &'a TracesData) -> Self {
        Batches { batches: data.resource_spans.iter().map(resource_spans).collect() }
    }
}

fn resource_spans(part: &otlp::ResourceSpans) -> ResourceSpans<'_> {
    let scope_spans = part.scope_spans.iter().map(|part| ScopeSpans {
        scope: &part.scope,
        spans: part.spans.iter().map(full_span).collect(),
        schema_url: &part.schema_url,
    });
    ResourceSpans { resource: &part.resource, scope_spans: scope_spans.collect(), schema_url: &part.schema_url }
}

fn full_span(span: &otlp::Span) -> FullSpan<'_> {
    FullSpan {
        trace_id: Id(&span.trace_id),
        span_id: Id(&span.span_id),
        trace_state: &span.trace_state,
        parent_span_id: Id(&span.parent_span_id),
        flags: span.flags,
        name: &span.name,
        kind: match span.kind {
            1 => "SPAN_KIND_INTERNAL",
            2 => "SPAN_KIND_SERVER",
            3 => "SPAN_KIND_CLIENT",
            4 => "SPAN_KIND_PRODUCER",
            5 => "SPAN_KIND_CONSUMER",
            _ => "SPAN_KIND_UNSPECIFIED",
        },
        start_time_unix_nano: span.start_time_unix_nano,
        end_time_unix_nano: span.end_time_unix_nano,
        attributes: &span.attributes,
        dropped_attributes_count: span.dropped_attributes_count,
        events: &span.events,
        dropped_events_count: span.dropped_events_count,
        links: span.links.iter().map(full_link).collect(),
        dropped_links_count: span.dropped_links_count,
        status: FullStatus {
            message: &span.status.message,
            code: match span.status.code {
                1 => "STATUS_CODE_OK",
                2 => "STATUS_CODE_ERROR",
                _ => "",
            },
        },
    }
}

fn full_link(link: &otlp::Link) -> FullLink<'_> {
    FullLink {
        trace_id: Id(&link.trace_id),
        span_id: Id(&link.span_id),
        trace_state: &link.trace_state,
        attributes: &link.attributes,
        dropped_attributes_count: link.dropped_attributes_count,
        flags: link.flags,
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_are_written_as_go_does() {
        let cases = [
            (0, "0s"),
            (999, "999ns"),
            (1_500, "1.5µs"),
            (100_000_000, "100ms"),
            (1_500_000_000, "1.5s"),
            (61_000_000_000, "1m1s"),
            (3_600_000_000_000, "1h0m0s"),
            (-1_000_001, "-1.000001ms"),
        ];
        for (nanos, expected) in cases {
            assert_eq!(duration(nanos), expected);
        }
    }
}
