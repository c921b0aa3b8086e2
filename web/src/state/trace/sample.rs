//! Which traces are tried in tests? Spans by id, parent, start and end.

use super::tree::Trace;
use query_api::otlp::{AnyValue, KeyValue, Resource, ResourceSpans, ScopeSpans, Span, TracesData};

/// A span of the service `x`.
pub(crate) fn span((id, parent, start, end): (u64, u64, u64, u64)) -> Span {
    Span {
        span_id: format!("{id:016x}"),
        parent_span_id: if parent == 0 { String::new() } else { format!("{parent:016x}") },
        start_time_unix_nano: start,
        end_time_unix_nano: end,
        ..Span::default()
    }
}

/// A trace of them: id, parent (0 is none), start, end.
pub(crate) fn trace(spans: &[(u64, u64, u64, u64)]) -> Trace {
    of(spans.iter().map(|one| ("x", span(*one))).collect())
}

/// A trace of spans with their services.
pub(crate) fn of(spans: Vec<(&str, Span)>) -> Trace {
    let group = |(service, span): (&str, Span)| ResourceSpans {
        resource: Resource { attributes: vec![attribute("service.name", service)], ..Resource::default() },
        scope_spans: vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    };
    Trace::new(TracesData { resource_spans: spans.into_iter().map(group).collect(), ..TracesData::default() })
}

/// An attribute that is a text.
pub(crate) fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.into(), value: AnyValue::StringValue(value.into()) }
}
