//! How is a trace written for the context of a language model? Each attribute once as `key: value`, ids as hex, durations beside times.
//!
//! L1  Shapes and names are those of Tempo's `application/vnd.grafana.llm`, which may change, as Tempo says, so nobody should read
//!     them by program.
//!
//! Not here: which spans are told (`trace`).

use super::tag::TypedValues;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use query_api::otlp::{AnyValue, Event, KeyValue, Link, ResourceSpans, ScopeSpans, Span, Status, TracesData};
use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use storage::model::TraceId;

/// What a client accepts that wants this.
pub(super) const ACCEPTED: &str = "application/vnd.grafana.llm";
/// What it is told to have got.
pub(super) const MEDIA: &str = "application/vnd.grafana.llm+json";

const SERVICE: &str = "service.name";

/// A trace, and whether it is whole.
#[derive(Debug, Serialize)]
pub(super) struct TraceById<'a> {
    trace: Trace<'a>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Trace<'a> {
    trace_id: String,
    services: Vec<Service<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Service<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    service_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Flat::is_empty")]
    resource: Flat<'a>,
    scopes: Vec<Scope<'a>>,
}

#[derive(Debug, Serialize)]
struct Scope<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    spans: Vec<OneSpan<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OneSpan<'a> {
    span_id: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    parent_span_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    kind: &'static str,
    #[serde(with = "query_api::nanos")]
    start_time_unix_nano: u64,
    #[serde(with = "query_api::nanos")]
    end_time_unix_nano: u64,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Flat::is_empty")]
    attributes: Flat<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<OneEvent<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<OneLink<'a>>,
    status: OneStatus<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OneEvent<'a> {
    name: &'a str,
    #[serde(with = "query_api::nanos")]
    time_unix_nano: u64,
    #[serde(skip_serializing_if = "Flat::is_empty")]
    attributes: Flat<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OneLink<'a> {
    trace_id: &'a str,
    span_id: &'a str,
    #[serde(skip_serializing_if = "Flat::is_empty")]
    attributes: Flat<'a>,
}

#[derive(Debug, Serialize)]
struct OneStatus<'a> {
    code: &'static str,
    message: &'a str,
}

/// Attributes as an object; of those with one key the last.
#[derive(Debug)]
struct Flat<'a>(BTreeMap<&'a str, &'a AnyValue>);

impl<'a> Flat<'a> {
    fn new(attributes: &'a [KeyValue]) -> Self {
        Flat(attributes.iter().map(|attribute| (attribute.key.as_str(), &attribute.value)).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Flat<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, &Plain(value))?;
        }
        map.end()
    }
}

/// A value as JSON's own; bytes as hex digits.
struct Plain<'a>(&'a AnyValue);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            AnyValue::StringValue(text) => serializer.serialize_str(text),
            AnyValue::BoolValue(value) => serializer.serialize_bool(*value),
            AnyValue::IntValue(value) => serializer.serialize_i64(*value),
            AnyValue::DoubleValue(value) if value.is_finite() => serializer.serialize_f64(*value),
            AnyValue::DoubleValue(value) => serializer.serialize_str(&value.to_string()),
            AnyValue::BytesValue(text) => {
                serializer.serialize_str(&crate::trace::hex(&STANDARD.decode(text).unwrap_or_default()))
            }
            AnyValue::ArrayValue(list) => {
                let mut sequence = serializer.serialize_seq(Some(list.values.len()))?;
                list.values.iter().try_for_each(|value| sequence.serialize_element(&Plain(value)))?;
                sequence.end()
            }
            AnyValue::KvlistValue(map) => Flat::new(&map.values).serialize(serializer),
            AnyValue::Empty(_) => serializer.serialize_unit(),
        }
    }
}

impl<'a> TraceById<'a> {
    pub(super) fn new(id: TraceId, data: &'a TracesData, partial: Option<&'a str>) -> Self {
        TraceById {
            trace: Trace { trace_id: id.to_string(), services: data.resource_spans.iter().map(service).collect() },
            status: if partial.is_some() { "PARTIAL" } else { "COMPLETE" },
            message: partial,
        }
    }
}

fn service(part: &ResourceSpans) -> Service<'_> {
    let mut resource = Flat::new(&part.resource.attributes);
    let service_name = match resource.0.get(SERVICE) {
        Some(AnyValue::StringValue(name)) => Some(name.as_str()),
        _ => None,
    };
    if service_name.is_some() {
        resource.0.remove(SERVICE);
    }
    Service { service_name, resource, scopes: part.scope_spans.iter().map(scope).collect() }
}

fn scope(part: &ScopeSpans) -> Scope<'_> {
    Scope { name: &part.scope.name, version: &part.scope.version, spans: part.spans.iter().map(one_span).collect() }
}

fn one_span(span: &Span) -> OneSpan<'_> {
    let duration = span.end_time_unix_nano.wrapping_sub(span.start_time_unix_nano).cast_signed();
    OneSpan {
        span_id: &span.span_id,
        name: &span.name,
        parent_span_id: &span.parent_span_id,
        kind: match span.kind {
            1 => "SPAN_KIND_INTERNAL",
            2 => "SPAN_KIND_SERVER",
            3 => "SPAN_KIND_CLIENT",
            4 => "SPAN_KIND_PRODUCER",
            5 => "SPAN_KIND_CONSUMER",
            _ => "",
        },
        start_time_unix_nano: span.start_time_unix_nano,
        end_time_unix_nano: span.end_time_unix_nano,
        duration_ms: duration as f64 / 1e6,
        attributes: Flat::new(&span.attributes),
        events: span.events.iter().map(one_event).collect(),
        links: span.links.iter().map(one_link).collect(),
        status: one_status(&span.status),
    }
}

fn one_event(event: &Event) -> OneEvent<'_> {
    OneEvent { name: &event.name, time_unix_nano: event.time_unix_nano, attributes: Flat::new(&event.attributes) }
}

fn one_link(link: &Link) -> OneLink<'_> {
    OneLink { trace_id: &link.trace_id, span_id: &link.span_id, attributes: Flat::new(&link.attributes) }
}

fn one_status(status: &Status) -> OneStatus<'_> {
    let code = match status.code {
        1 => "STATUS_CODE_OK",
        2 => "STATUS_CODE_ERROR",
        _ => "STATUS_CODE_UNSET",
    };
    OneStatus { code, message: &status.message }
}

/// Values of a tag by their types.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TagValues {
    tag_values: BTreeMap<&'static str, Vec<String>>,
}

impl TagValues {
    pub(super) fn new(values: TypedValues) -> Self {
        let mut tag_values: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        values.each(|r#type, value| tag_values.entry(r#type).or_default().push(value));
        TagValues { tag_values }
    }
}
