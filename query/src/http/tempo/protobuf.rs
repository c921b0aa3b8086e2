//! How does Tempo put a trace into protobuf?
//!
//! Not here: OTLP itself (`http::protobuf`), lists and series (beside their JSON: `json`, `series`, `tag`).

use super::super::protobuf::{Writer, traces_data};
use query_api::otlp::TracesData;

/// `tempopb.Trace`, which is `TracesData`.
pub(super) fn trace(data: &TracesData) -> Vec<u8> {
    let mut out = Writer::default();
    traces_data(&mut out, data);
    out.0
}

/// `tempopb.TraceByIDResponse`: the trace, and whether some of it is missing.
pub(super) fn trace_by_id(data: &TracesData, partial: Option<&str>) -> Vec<u8> {
    let mut out = Writer::default();
    out.message(1, |out| traces_data(out, data));
    out.message(2, |_| ());
    if let Some(message) = partial {
        out.varint(3, 1);
        out.text(4, message);
    }
    out.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use query_api::otlp::{ResourceSpans, ScopeSpans, Span};

    #[test]
    fn the_answer_by_id_holds_trace_and_status() {
        let scope_spans = vec![ScopeSpans { spans: vec![Span::default()], ..ScopeSpans::default() }];
        let part = ResourceSpans { scope_spans, ..ResourceSpans::default() };
        let data = TracesData { resource_spans: vec![part], missing: Vec::new() };
        let bytes = trace_by_id(&data, Some("a block is damaged"));
        assert_eq!(bytes[0], 0x0a);
        assert!(bytes.ends_with(b"a block is damaged"));
        let whole = trace_by_id(&data, None);
        assert!(whole.ends_with(&[0x12, 0]) && whole.len() < bytes.len());
    }
}
