//! How is a trace written as protobuf? Field numbers of OTLP 1.11's `trace/v1`, `common/v1` and `resource/v1`.
//!
//! B1  Bytes are what any protobuf reader of OTLP expects: fields in order of their numbers, defaults left out.
//! B2  A message within another is written before its length is known, and its length is then put before it: memory is that of
//!     the answer, time linear but for moving each level once.
//!
//! Not here: JSON (`json`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use query_api::otlp::{AnyValue, EntityRef, Event, KeyValue, Link, Resource, Scope, Span, Status, TracesData};

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

fn traces_data(out: &mut Writer, data: &TracesData) {
    for resource in &data.resource_spans {
        out.message(1, |out| {
            out.message(1, |out| write_resource(out, &resource.resource));
            for scope in &resource.scope_spans {
                out.message(2, |out| {
                    out.message(1, |out| write_scope(out, &scope.scope));
                    scope.spans.iter().for_each(|span| out.message(2, |out| write_span(out, span)));
                    out.text(3, &scope.schema_url);
                });
            }
            out.text(3, &resource.schema_url);
        });
    }
}

fn write_resource(out: &mut Writer, resource: &Resource) {
    key_values(out, 1, &resource.attributes);
    out.varint(2, resource.dropped_attributes_count.into());
    resource.entity_refs.iter().for_each(|entity| out.message(3, |out| write_entity(out, entity)));
}

fn write_entity(out: &mut Writer, entity: &EntityRef) {
    out.text(1, &entity.schema_url);
    out.text(2, &entity.r#type);
    entity.id_keys.iter().for_each(|key| out.bytes(3, key.as_bytes()));
    entity.description_keys.iter().for_each(|key| out.bytes(4, key.as_bytes()));
}

fn write_scope(out: &mut Writer, scope: &Scope) {
    out.text(1, &scope.name);
    out.text(2, &scope.version);
    key_values(out, 3, &scope.attributes);
    out.varint(4, scope.dropped_attributes_count.into());
}

fn write_span(out: &mut Writer, span: &Span) {
    out.id(1, &span.trace_id);
    out.id(2, &span.span_id);
    out.text(3, &span.trace_state);
    out.id(4, &span.parent_span_id);
    out.text(5, &span.name);
    out.int(6, span.kind);
    out.fixed64(7, span.start_time_unix_nano);
    out.fixed64(8, span.end_time_unix_nano);
    key_values(out, 9, &span.attributes);
    out.varint(10, span.dropped_attributes_count.into());
    span.events.iter().for_each(|event| out.message(11, |out| write_event(out, event)));
    out.varint(12, span.dropped_events_count.into());
    span.links.iter().for_each(|link| out.message(13, |out| write_link(out, link)));
    out.varint(14, span.dropped_links_count.into());
    if span.status != Status::default() {
        out.message(15, |out| {
            out.text(2, &span.status.message);
            out.int(3, span.status.code);
        });
    }
    out.fixed32(16, span.flags);
}

fn write_event(out: &mut Writer, event: &Event) {
    out.fixed64(1, event.time_unix_nano);
    out.text(2, &event.name);
    key_values(out, 3, &event.attributes);
    out.varint(4, event.dropped_attributes_count.into());
}

fn write_link(out: &mut Writer, link: &Link) {
    out.id(1, &link.trace_id);
    out.id(2, &link.span_id);
    out.text(3, &link.trace_state);
    key_values(out, 4, &link.attributes);
    out.varint(5, link.dropped_attributes_count.into());
    out.fixed32(6, link.flags);
}

fn key_values(out: &mut Writer, field: u32, list: &[KeyValue]) {
    for entry in list {
        out.message(field, |out| {
            out.text(1, &entry.key);
            out.message(2, |out| any_value(out, &entry.value));
        });
    }
}

/// A value's field is written also where it is the default, since it tells the type.
fn any_value(out: &mut Writer, value: &AnyValue) {
    match value {
        AnyValue::StringValue(text) => out.bytes(1, text.as_bytes()),
        AnyValue::BoolValue(value) => out.always_varint(2, (*value).into()),
        AnyValue::IntValue(value) => out.always_varint(3, value.cast_unsigned()),
        AnyValue::DoubleValue(value) => {
            out.key(4, 1);
            out.0.extend(value.to_le_bytes());
        }
        AnyValue::ArrayValue(list) => {
            out.message(5, |out| list.values.iter().for_each(|value| out.message(1, |out| any_value(out, value))));
        }
        AnyValue::KvlistValue(map) => out.message(6, |out| key_values(out, 1, &map.values)),
        // Written by ourselves, so what is not base64 does not occur.
        AnyValue::BytesValue(text) => out.bytes(7, &STANDARD.decode(text).unwrap_or_default()),
        AnyValue::Empty(_) => {}
    }
}

/// Bytes of hex digits; nothing of what is none.
pub(super) fn id_bytes(hex: &str) -> Vec<u8> {
    let digits: Option<Vec<u32>> = hex.chars().map(|digit| digit.to_digit(16)).collect();
    let pairs = digits.unwrap_or_default();
    let bytes = pairs.chunks_exact(2).filter_map(|pair| match pair {
        [high, low] => u8::try_from(high << 4 | low).ok(),
        _ => None,
    });
    bytes.collect()
}

/// A message as far as it is written.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn key(&mut self, field: u32, wire: u32) {
        self.raw_varint((field << 3 | wire).into());
    }

    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
            value >>= 7;
        }
        self.0.push(u8::try_from(value).unwrap_or(0));
    }

    fn always_varint(&mut self, field: u32, value: u64) {
        self.key(field, 0);
        self.raw_varint(value);
    }

    fn varint(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.always_varint(field, value);
        }
    }

    /// An `int32` or an enum: negative ones take ten bytes.
    fn int(&mut self, field: u32, value: i32) {
        self.varint(field, i64::from(value).cast_unsigned());
    }

    fn fixed64(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.key(field, 1);
            self.0.extend(value.to_le_bytes());
        }
    }

    fn fixed32(&mut self, field: u32, value: u32) {
        if value != 0 {
            self.key(field, 5);
            self.0.extend(value.to_le_bytes());
        }
    }

    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.key(field, 2);
        self.raw_varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, field: u32, text: &str) {
        if !text.is_empty() {
            self.bytes(field, text.as_bytes());
        }
    }

    fn id(&mut self, field: u32, hex: &str) {
        if !hex.is_empty() {
            self.bytes(field, &id_bytes(hex));
        }
    }

    fn message(&mut self, field: u32, write: impl FnOnce(&mut Writer)) {
        self.key(field, 2);
        let at = self.0.len();
        write(self);
        let length = self.0.len() - at;
        let mut prefix = Writer::default();
        prefix.raw_varint(length as u64);
        self.0.splice(at..at, prefix.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::trace::v1::TracesData as Sent;
    use prost::Message;
    use query_api::otlp::{ArrayValue, EmptyValue, KeyValueList, ResourceSpans, ScopeSpans};

    fn attribute(key: &str, value: AnyValue) -> KeyValue {
        KeyValue { key: key.into(), value }
    }

    fn sample() -> TracesData {
        let attributes = vec![
            attribute("s", AnyValue::StringValue(String::new())),
            attribute("b", AnyValue::BoolValue(false)),
            attribute("i", AnyValue::IntValue(-5)),
            attribute("d", AnyValue::DoubleValue(0.5)),
            attribute("x", AnyValue::BytesValue(STANDARD.encode([0, 255]))),
            attribute(
                "l",
                AnyValue::ArrayValue(ArrayValue {
                    values: vec![AnyValue::IntValue(1), AnyValue::Empty(EmptyValue {})],
                }),
            ),
            attribute(
                "m",
                AnyValue::KvlistValue(KeyValueList { values: vec![attribute("k", AnyValue::BoolValue(true))] }),
            ),
        ];
        let link = Link { trace_id: "0f".repeat(16), span_id: "a1".repeat(8), flags: 3, ..Link::default() };
        let span = Span {
            trace_id: "ab".repeat(16),
            span_id: "cd".repeat(8),
            parent_span_id: "ef".repeat(8),
            trace_state: "a=b".into(),
            flags: 257,
            name: "GET /".repeat(40),
            kind: 2,
            start_time_unix_nano: 1_795_413_600_000_000_000,
            end_time_unix_nano: u64::MAX,
            attributes,
            events: vec![Event { time_unix_nano: 7, name: "e".into(), ..Event::default() }],
            links: vec![link],
            status: Status { message: "m".into(), code: 2 },
            ..Span::default()
        };
        let scope_spans =
            vec![ScopeSpans { spans: vec![span, Span::default()], schema_url: "u".into(), ..ScopeSpans::default() }];
        TracesData {
            resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
            missing: Vec::new(),
        }
    }

    #[test]
    fn b1_another_reader_reads_what_was_written() {
        let read = Sent::decode(trace(&sample()).as_slice()).unwrap();
        let spans = &read.resource_spans[0].scope_spans[0].spans;
        assert_eq!((spans.len(), spans[0].trace_id.as_slice()), (2, [0xab; 16].as_slice()));
        assert_eq!((spans[0].kind, spans[0].flags, spans[0].end_time_unix_nano), (2, 257, u64::MAX));
        assert_eq!(spans[0].attributes.len(), 7);
        assert_eq!(spans[0].links[0].flags, 3);
        assert_eq!(spans[0].status.as_ref().map(|status| status.code), Some(2));
        assert_eq!(
            read.encode_to_vec().len(),
            trace(&sample()).len(),
            "nothing is written that the other would leave out"
        );
    }

    #[test]
    fn the_answer_by_id_holds_trace_and_status() {
        let bytes = trace_by_id(&sample(), Some("a block is damaged"));
        assert_eq!(bytes[0], 0x0a);
        assert!(bytes.ends_with(b"a block is damaged"));
        let whole = trace_by_id(&sample(), None);
        assert!(whole.ends_with(&[0x12, 0]) && whole.len() < bytes.len());
    }
}
