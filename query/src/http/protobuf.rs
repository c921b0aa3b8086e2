//! How is an answer written as protobuf? A writer of fields, and OTLP 1.11's `trace/v1`, `common/v1` and `resource/v1` with it.
//!
//! B1  Bytes are what any protobuf reader expects: fields in order of their numbers, defaults left out.
//! B2  A message within another is written before its length is known, and its length is then put before it: memory is that of
//!     the answer, time linear but for moving each level once.
//! B3  A trace in chunks is the same trace: each chunk has the resource and the scope of its spans, none is empty, and the spans
//!     of all stand in the order of the whole.
//!
//! Not here: JSON, and the messages of Tempo and Jaeger around traces (`tempo`, `jaeger`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use query_api::otlp::{AnyValue, EntityRef, Event, KeyValue, Link, Resource, Scope, Span, Status, TracesData};

/// `TracesData`.
pub(super) fn traces_data(out: &mut Writer, data: &TracesData) {
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

/// The same as several `TracesData`, each closed once it has about `size` bytes (B3).
pub(super) fn in_chunks<E>(
    data: &TracesData,
    size: usize,
    mut send: impl FnMut(Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let mut chunk = Writer::default();
    for resource in &data.resource_spans {
        let mut scopes = Writer::default();
        let close_resource = |chunk: &mut Writer, scopes: &mut Writer| {
            let scopes = std::mem::take(scopes);
            if !scopes.0.is_empty() {
                chunk.message(1, |out| {
                    out.message(1, |out| write_resource(out, &resource.resource));
                    out.0.extend(scopes.0);
                    out.text(3, &resource.schema_url);
                });
            }
        };
        for scope in &resource.scope_spans {
            let mut spans = Writer::default();
            let close_scope = |scopes: &mut Writer, spans: &mut Writer| {
                let spans = std::mem::take(spans);
                if !spans.0.is_empty() {
                    scopes.message(2, |out| {
                        out.message(1, |out| write_scope(out, &scope.scope));
                        out.0.extend(spans.0);
                        out.text(3, &scope.schema_url);
                    });
                }
            };
            for span in &scope.spans {
                spans.message(2, |out| write_span(out, span));
                if chunk.0.len() + scopes.0.len() + spans.0.len() >= size {
                    close_scope(&mut scopes, &mut spans);
                    close_resource(&mut chunk, &mut scopes);
                    send(std::mem::take(&mut chunk).0)?;
                }
            }
            close_scope(&mut scopes, &mut spans);
        }
        close_resource(&mut chunk, &mut scopes);
    }
    if chunk.0.is_empty() { Ok(()) } else { send(chunk.0) }
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

/// Attributes, or whatever else has keys and values.
pub(super) fn key_values(out: &mut Writer, field: u32, list: &[KeyValue]) {
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
        AnyValue::DoubleValue(value) => out.always_fixed64(4, value.to_bits()),
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
#[derive(Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

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

    pub(super) fn varint(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.always_varint(field, value);
        }
    }

    /// An `int32` or an enum: negative ones take ten bytes.
    pub(super) fn int(&mut self, field: u32, value: i32) {
        self.varint(field, i64::from(value).cast_unsigned());
    }

    /// An `int64`: negative ones take ten bytes.
    pub(super) fn int64(&mut self, field: u32, value: i64) {
        self.varint(field, value.cast_unsigned());
    }

    fn always_fixed64(&mut self, field: u32, value: u64) {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn fixed64(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.always_fixed64(field, value);
        }
    }

    /// A `double`; of the zeros the negative one is none that may be left out.
    pub(super) fn double(&mut self, field: u32, value: f64) {
        self.fixed64(field, value.to_bits());
    }

    fn fixed32(&mut self, field: u32, value: u32) {
        if value != 0 {
            self.key(field, 5);
            self.0.extend(value.to_le_bytes());
        }
    }

    pub(super) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.key(field, 2);
        self.raw_varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn text(&mut self, field: u32, text: &str) {
        if !text.is_empty() {
            self.bytes(field, text.as_bytes());
        }
    }

    fn id(&mut self, field: u32, hex: &str) {
        if !hex.is_empty() {
            self.bytes(field, &id_bytes(hex));
        }
    }

    /// A message within.
    pub(super) fn message(&mut self, field: u32, write: impl FnOnce(&mut Writer)) {
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

    fn trace(data: &TracesData) -> Vec<u8> {
        let mut out = Writer::default();
        traces_data(&mut out, data);
        out.0
    }

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
    fn b3_chunks_are_the_trace() {
        let mut data = sample();
        let spans = |scope: &str, ids: std::ops::Range<u8>| {
            let span = |id| Span { span_id: format!("{id:02x}").repeat(8), name: "a".repeat(20), ..Span::default() };
            let scope = Scope { name: scope.to_owned(), ..Scope::default() };
            ScopeSpans { scope, spans: ids.map(span).collect(), schema_url: "s".to_owned() }
        };
        let resource = |name: &str, scope_spans| ResourceSpans {
            resource: Resource {
                attributes: vec![attribute("service.name", AnyValue::StringValue(name.into()))],
                ..Resource::default()
            },
            scope_spans,
            schema_url: "r".to_owned(),
        };
        data.resource_spans.push(resource("one", vec![spans("x", 1..9), spans("empty", 0..0), spans("y", 9..12)]));
        data.resource_spans.push(resource("two", vec![spans("z", 12..14)]));
        // Every span with what stands around it.
        let told = |sent: &Sent| -> Vec<String> {
            let resources = sent.resource_spans.iter();
            resources
                .flat_map(|part| part.scope_spans.iter().map(move |scoped| (part, scoped)))
                .flat_map(|(part, scoped)| scoped.spans.iter().map(move |span| (part, scoped, span)))
                .map(|(part, scoped, span)| {
                    format!("{:?} {} {:?} {} {span:?}", part.resource, part.schema_url, scoped.scope, scoped.schema_url)
                })
                .collect()
        };
        let whole = told(&Sent::decode(trace(&data).as_slice()).unwrap());
        assert_eq!(whole.len(), 15);
        for size in [1, 100, 200, 500, 1_000_000] {
            let mut chunks: Vec<Sent> = Vec::new();
            let sent = in_chunks(&data, size, |chunk| {
                chunks.push(Sent::decode(chunk.as_slice()).unwrap());
                Ok::<(), ()>(())
            });
            assert_eq!(sent, Ok(()));
            assert_eq!(chunks.len() == 1, size == 1_000_000, "{size}");
            assert!(chunks.iter().all(|chunk| !told(chunk).is_empty()), "{size}");
            assert_eq!(chunks.iter().flat_map(told).collect::<Vec<_>>(), whole, "{size}");
        }
        assert_eq!(in_chunks(&TracesData::default(), 1, |_| Err(())), Ok(()));
        assert_eq!(in_chunks(&data, 1, |_| Err("gone")), Err("gone"));
    }
}
