//! How does the first API write a trace? As Jaeger's own model, of which OTLP is translated as Jaeger does it.
//!
//! J1  A process for each resource that differs, told by number. Fields of OTLP that the model lacks are tags under their usual
//!     names: `otel.scope.name`, `span.kind`, `otel.status_code`, `error`, `otel.status_description`, `w3c.tracestate`.
//! J2  Integers that a browser would round are texts. Lists and maps are their JSON.
//! J3  Times are whole microseconds since 1970.

use crate::error::{Error, Result};
use crate::service::Call;
use query_api::otlp::{AnyValue, Event, KeyValue, Link, Resource, ResourceSpans, Scope, Span, TracesData};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use storage::model::TraceId;
use storage::model::origin::UNKNOWN_SERVICE;

const SERVICE_NAME: &str = "service.name";
/// The service of a resource that names none, in Jaeger's words.
const NO_SERVICE: &str = "OTLPResourceNoServiceName";
/// The link's attribute that says how Jaeger would call it.
const REF_TYPE: &str = "opentracing.ref_type";
/// The largest integer up to which a double has them all.
const SAFE: u64 = (1 << 53) - 1;

/// Every answer of the first API.
#[derive(Debug, Serialize)]
pub(super) struct Envelope<T> {
    data: Vec<T>,
    total: usize,
    limit: usize,
    offset: usize,
    errors: Option<Vec<Value>>,
}

impl<T: Serialize> Envelope<T> {
    /// A list whose total Jaeger does not tell.
    pub(super) fn new(data: Vec<T>) -> Self {
        Envelope { data, total: 0, limit: 0, offset: 0, errors: None }
    }

    /// Says of some traces that were asked for that they are not there.
    pub(super) fn without(self, lost: &[TraceId]) -> Self {
        let error = |id: &TraceId| json!({ "msg": "trace not found", "traceID": id.to_string() });
        let errors = (!lost.is_empty()).then(|| lost.iter().map(error).collect());
        Envelope { errors, ..self }
    }

    pub(super) fn counted(data: Vec<T>) -> Self {
        Envelope { total: data.len(), ..Envelope::new(data) }
    }

    /// The same without what it borrows.
    pub(super) fn to_value(&self) -> Result<Value> {
        serde_json::to_value(self).map_err(|error| Error::bug(format!("an answer cannot be written: {error}")))
    }
}

/// Who calls whom.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Dependency {
    pub(super) parent: String,
    pub(super) child: String,
    pub(super) call_count: u64,
}

impl From<Call> for Dependency {
    fn from(call: Call) -> Self {
        Dependency { parent: told_service(call.parent), child: told_service(call.child), call_count: call.count }
    }
}

/// A service as Jaeger calls it.
pub(super) fn told_service(stored: String) -> String {
    if stored.is_empty() || stored == UNKNOWN_SERVICE { NO_SERVICE.to_owned() } else { stored }
}

/// A service that is asked for in Jaeger's words, as it is stored.
pub(super) fn stored_service(asked: &str) -> &str {
    if asked == NO_SERVICE { UNKNOWN_SERVICE } else { asked }
}

/// A trace.
#[derive(Debug, Serialize)]
pub(super) struct Trace<'a> {
    #[serde(rename = "traceID")]
    trace_id: &'a str,
    spans: Vec<JaegerSpan<'a>>,
    processes: BTreeMap<String, Process<'a>>,
    warnings: Option<Vec<String>>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Process<'a> {
    service_name: &'a str,
    tags: Vec<Tag<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct JaegerSpan<'a> {
    #[serde(rename = "traceID")]
    trace_id: &'a str,
    #[serde(rename = "spanID")]
    span_id: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    flags: u32,
    operation_name: &'a str,
    references: Vec<Reference<'a>>,
    start_time: u64,
    duration: u64,
    tags: Vec<Tag<'a>>,
    logs: Vec<Log<'a>>,
    #[serde(rename = "processID")]
    process_id: String,
    warnings: Option<Vec<String>>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Reference<'a> {
    ref_type: &'static str,
    #[serde(rename = "traceID")]
    trace_id: &'a str,
    #[serde(rename = "spanID")]
    span_id: &'a str,
}

#[derive(Debug, PartialEq, Serialize)]
struct Tag<'a> {
    key: &'a str,
    r#type: &'static str,
    value: Value,
}

#[derive(Debug, Serialize)]
struct Log<'a> {
    timestamp: u64,
    fields: Vec<Tag<'a>>,
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

impl<'a> Trace<'a> {
    /// A trace that is one.
    pub(super) fn new(data: &'a TracesData) -> Self {
        let mut trace = Trace { trace_id: "", spans: Vec::new(), processes: BTreeMap::new(), warnings: None };
        data.resource_spans.iter().for_each(|part| trace.add(part, None));
        if !data.missing.is_empty() {
            trace.warnings = Some(vec![format!("{} damaged blocks may have more spans of it", data.missing.len())]);
        }
        trace
    }

    /// Adds spans, of one trace alone where that is said.
    fn add(&mut self, part: &'a ResourceSpans, only: Option<&str>) {
        let mut process = None;
        for scoped in &part.scope_spans {
            for span in scoped.spans.iter().filter(|span| only.is_none_or(|only| span.trace_id == only)) {
                let process_id = process.get_or_insert_with(|| self.process(&part.resource)).clone();
                self.trace_id = &span.trace_id;
                self.spans.push(jaeger_span(span, &scoped.scope, process_id));
            }
        }
    }

    fn process(&mut self, resource: &'a Resource) -> String {
        let is_name = |attribute: &&KeyValue| attribute.key == SERVICE_NAME;
        let service_name = match resource.attributes.iter().find(is_name).map(|attribute| &attribute.value) {
            Some(AnyValue::StringValue(name)) if !name.is_empty() => name,
            _ => NO_SERVICE,
        };
        let tags = resource.attributes.iter().filter(|attribute| !is_name(attribute)).map(tag).collect();
        let process = Process { service_name, tags };
        if let Some((id, _)) = self.processes.iter().find(|(_, known)| **known == process) {
            return id.clone();
        }
        let id = format!("p{}", self.processes.len() + 1);
        self.processes.insert(id.clone(), process);
        id
    }
}

/// The traces of a file, each for itself, as they come.
pub(super) fn by_trace(data: &TracesData) -> Vec<Trace<'_>> {
    let spans = data.resource_spans.iter().flat_map(|part| &part.scope_spans).flat_map(|scoped| &scoped.spans);
    let mut known = HashSet::new();
    let ids: Vec<&str> = spans.map(|span| span.trace_id.as_str()).filter(|id| known.insert(*id)).collect();
    let trace = |id: &str| {
        let mut trace = Trace { trace_id: "", spans: Vec::new(), processes: BTreeMap::new(), warnings: None };
        data.resource_spans.iter().for_each(|part| trace.add(part, Some(id)));
        trace
    };
    ids.into_iter().map(trace).collect()
}

fn jaeger_span<'a>(span: &'a Span, scope: &'a Scope, process_id: String) -> JaegerSpan<'a> {
    JaegerSpan {
        trace_id: &span.trace_id,
        span_id: &span.span_id,
        flags: span.flags & 0xff,
        operation_name: &span.name,
        references: references(span),
        start_time: span.start_time_unix_nano / 1_000,
        duration: span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano) / 1_000,
        tags: tags(span, scope),
        logs: span.events.iter().map(log).collect(),
        process_id,
        warnings: None,
    }
}

/// The parent, then the links. A link to the parent is the parent.
fn references(span: &Span) -> Vec<Reference<'_>> {
    let mut references = Vec::new();
    if !span.parent_span_id.is_empty() {
        let (trace_id, span_id) = (span.trace_id.as_str(), span.parent_span_id.as_str());
        references.push(Reference { ref_type: "CHILD_OF", trace_id, span_id });
    }
    for link in &span.links {
        let (trace_id, span_id) = (link.trace_id.as_str(), link.span_id.as_str());
        let is_parent = trace_id == span.trace_id && span_id == span.parent_span_id;
        if !is_parent {
            references.push(Reference { ref_type: ref_type(link), trace_id, span_id });
        }
    }
    references
}

fn ref_type(link: &Link) -> &'static str {
    let says = link.attributes.iter().find(|attribute| attribute.key == REF_TYPE).map(|attribute| &attribute.value);
    match says {
        Some(AnyValue::StringValue(kind)) if kind == "child_of" => "CHILD_OF",
        _ => "FOLLOWS_FROM",
    }
}

fn text<'a>(key: &'a str, value: &str) -> Tag<'a> {
    Tag { key, r#type: "string", value: value.into() }
}

fn tags<'a>(span: &'a Span, scope: &'a Scope) -> Vec<Tag<'a>> {
    let mut tags = Vec::new();
    let unless_empty = |tags: &mut Vec<Tag<'a>>, key: &'static str, value: &str| {
        if !value.is_empty() {
            tags.push(text(key, value));
        }
    };
    unless_empty(&mut tags, "otel.scope.name", &scope.name);
    unless_empty(&mut tags, "otel.scope.version", &scope.version);
    tags.extend(scope.attributes.iter().map(tag));
    tags.extend(span.attributes.iter().map(tag));
    unless_empty(&mut tags, "span.kind", kind(span.kind).unwrap_or_default());
    match span.status.code {
        1 => tags.push(text("otel.status_code", "OK")),
        2 => {
            tags.push(text("otel.status_code", "ERROR"));
            tags.push(Tag { key: "error", r#type: "bool", value: true.into() });
        }
        _ => {}
    }
    unless_empty(&mut tags, "otel.status_description", &span.status.message);
    unless_empty(&mut tags, "w3c.tracestate", &span.trace_state);
    tags
}

/// A span's kind in Jaeger's words, if it has one.
pub(super) fn kind(kind: i32) -> Option<&'static str> {
    match kind {
        1 => Some("internal"),
        2 => Some("server"),
        3 => Some("client"),
        4 => Some("producer"),
        5 => Some("consumer"),
        _ => None,
    }
}

fn log(event: &Event) -> Log<'_> {
    let mut fields = Vec::new();
    if !event.name.is_empty() {
        fields.push(text("event", &event.name));
    }
    fields.extend(event.attributes.iter().map(tag));
    Log { timestamp: event.time_unix_nano / 1_000, fields }
}

fn tag(attribute: &KeyValue) -> Tag<'_> {
    let (r#type, value) = match &attribute.value {
        AnyValue::StringValue(text) => ("string", text.as_str().into()),
        AnyValue::BoolValue(value) => ("bool", (*value).into()),
        // J2
        AnyValue::IntValue(value) if value.unsigned_abs() > SAFE => ("int64", value.to_string().into()),
        AnyValue::IntValue(value) => ("int64", (*value).into()),
        AnyValue::DoubleValue(value) if value.is_finite() => ("float64", (*value).into()),
        AnyValue::DoubleValue(value) => ("float64", value.to_string().into()),
        AnyValue::BytesValue(base64) => ("binary", base64.as_str().into()),
        list @ (AnyValue::ArrayValue(_) | AnyValue::KvlistValue(_)) => ("string", plain(list).to_string().into()),
        AnyValue::Empty(_) => ("string", "".into()),
    };
    Tag { key: &attribute.key, r#type, value }
}

/// A value as JSON has it, without OTLP's names of types.
fn plain(value: &AnyValue) -> Value {
    match value {
        AnyValue::ArrayValue(list) => list.values.iter().map(plain).collect(),
        AnyValue::KvlistValue(map) => map.values.iter().map(|entry| (entry.key.clone(), plain(&entry.value))).collect(),
        AnyValue::StringValue(text) | AnyValue::BytesValue(text) => json!(text),
        AnyValue::BoolValue(value) => json!(value),
        AnyValue::IntValue(value) => json!(value),
        AnyValue::DoubleValue(value) => json!(value),
        AnyValue::Empty(_) => Value::Null,
    }
}
