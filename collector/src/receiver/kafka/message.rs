//! What rows does a message hold?
//!
//! A message is decoded by the same code as a request of the doors, with the time that Kafka gave it as the time of its receipt: read
//! a second time, it gives the same rows.
//!
//! B0  A message without a record is none: of another signal or another encoding, it would vanish unsaid.
//! B1  What decoding takes is counted before, as at the doors, and a message that takes more than all requests there may is not decoded. That depends
//!     on nothing but the message.

use super::config::Topic;
use crate::collector::columns_bytes;
use crate::decode::foreign::{self, Format};
use crate::decode::{self, DecodeLimits, json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use storage::model::attribute::{Map, MapBuilder, Value, put_array, put_map, put_value};
use storage::model::origin::{Resource, Scope};
use storage::model::{Batch, LogBatchBuilder, LogRecord, Signal};

/// What a plain message becomes: an encoded value, and a cell of a column.
const PLAIN_COPIES: usize = 2;
/// What one of others becomes: its makers' protobuf, and OTLP's, in a buffer that grows.
const FOREIGN_COPIES: usize = 4;

/// How a topic's messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// OTLP's protobuf messages, as the collector's exporter sends by default.
    OtlpProto,
    /// OTLP/JSON.
    OtlpJson,
    /// Spans as Jaeger or Zipkin writes them.
    Foreign(Format),
    /// A log record whose body is the message's bytes.
    Raw,
    /// A log record whose body is the message's text.
    Text,
    /// A log record whose body is the message's JSON.
    Json,
}

impl Encoding {
    const ALL: [Encoding; 9] = [
        Encoding::OtlpProto,
        Encoding::OtlpJson,
        Encoding::Foreign(Format::JaegerProto),
        Encoding::Foreign(Format::JaegerJson),
        Encoding::Foreign(Format::ZipkinProto),
        Encoding::Foreign(Format::ZipkinJson),
        Encoding::Raw,
        Encoding::Text,
        Encoding::Json,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Encoding::OtlpProto => "otlp_proto",
            Encoding::OtlpJson => "otlp_json",
            Encoding::Foreign(Format::JaegerProto) => "jaeger_proto",
            Encoding::Foreign(Format::JaegerJson) => "jaeger_json",
            Encoding::Foreign(Format::ZipkinProto) => "zipkin_proto",
            Encoding::Foreign(Format::ZipkinJson) => "zipkin_json",
            Encoding::Raw => "raw",
            Encoding::Text => "text",
            Encoding::Json => "json",
        }
    }

    /// The encoding of that name, if a signal can be written so.
    pub(super) fn from_name(name: &str, signal: Signal) -> Result<Encoding, String> {
        let fits = |encoding: &Encoding| match encoding {
            Encoding::OtlpProto | Encoding::OtlpJson => true,
            Encoding::Foreign(_) => signal == Signal::Spans,
            Encoding::Raw | Encoding::Text | Encoding::Json => signal == Signal::Logs,
        };
        let fitting: Vec<Encoding> = Encoding::ALL.into_iter().filter(fits).collect();
        let names: Vec<&str> = fitting.iter().map(|encoding| encoding.name()).collect();
        let found = fitting.iter().find(|encoding| encoding.name() == name).copied();
        found.ok_or_else(|| format!("`{name}` is no encoding of {signal}; there are {}", names.join(", ")))
    }
}

/// A message without what it does not need to be decoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) payload: &'a [u8],
    pub(super) topic: &'a str,
    /// Unix nanoseconds.
    pub(super) time: i64,
}

/// The rows of a message.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) batch: Batch,
    /// Records that were left out, and why the first of them was.
    pub(super) rejected: u64,
    pub(super) message: Option<String>,
    /// Memory that decoding was thought to take.
    pub(super) held: usize,
}

/// The limits of what is decoded.
#[derive(Debug, Clone)]
pub(super) struct MessageBounds {
    pub(super) bytes: usize,
    pub(super) memory: usize,
    pub(super) decode: DecodeLimits,
}

/// The memory that a message takes.
#[derive(Debug)]
struct Memory {
    held: usize,
    limit: usize,
}

impl Memory {
    fn reserve(&mut self, bytes: usize) -> Result<(), String> {
        self.held = self.held.saturating_add(bytes);
        if self.held <= self.limit {
            return Ok(());
        }
        let Memory { held, limit } = self;
        Err(format!("decoding it takes {held} bytes of memory or more, and `otlp.max_bytes_in_flight` allows {limit}"))
    }
}

/// Decodes a message; an `Err` says why it cannot be.
pub(super) fn decode(message: Message<'_>, topic: &Topic, bounds: &MessageBounds) -> Result<Rows, String> {
    let bytes = message.payload.len();
    if bytes > bounds.bytes {
        return Err(format!("it has {bytes} bytes, more than the {} of a request", bounds.bytes));
    }
    let memory = Memory { held: 0, limit: bounds.memory };
    let rows = rows_of(message, topic, bounds, memory)?;
    if rows.batch.num_rows() == 0 && rows.rejected == 0 {
        let (signal, encoding) = (topic.signal, topic.encoding.name());
        return Err(format!("it holds no records of {signal}, read as `{encoding}`"));
    }
    Ok(rows)
}

fn rows_of(message: Message<'_>, topic: &Topic, bounds: &MessageBounds, mut memory: Memory) -> Result<Rows, String> {
    let bytes = message.payload.len();
    match topic.encoding {
        Encoding::OtlpProto => otlp(message.payload, message.time, topic.signal, bounds, memory),
        Encoding::OtlpJson => {
            memory.reserve(bytes)?;
            let transcoded = json::to_protobuf(topic.signal, message.payload, bounds.bytes);
            let protobuf = transcoded.map_err(|error| error.to_string())?.protobuf;
            otlp(&protobuf, message.time, topic.signal, bounds, memory)
        }
        Encoding::Foreign(format) => {
            memory.reserve(FOREIGN_COPIES * bytes)?;
            let converted = foreign::to_otlp(format, message.payload, message.time, bounds.bytes);
            otlp(&converted.map_err(|error| error.to_string())?, message.time, topic.signal, bounds, memory)
        }
        Encoding::Raw => {
            memory.reserve(PLAIN_COPIES * bytes)?;
            log_record(message, &memory, |body| put_value(body, Value::Bytes(message.payload)))
        }
        Encoding::Text => {
            memory.reserve(PLAIN_COPIES * bytes)?;
            let text = text(message.payload)?;
            log_record(message, &memory, |body| put_value(body, Value::String(text)))
        }
        Encoding::Json => {
            memory.reserve((PLAIN_COPIES * bytes).saturating_add(tree_bytes(message.payload)))?;
            let json = parse_json(message.payload)?;
            log_record(message, &memory, |body| put_json(body, &json))
        }
    }
}

fn otlp(payload: &[u8], time: i64, signal: Signal, bounds: &MessageBounds, mut memory: Memory) -> Result<Rows, String> {
    memory.reserve(columns_bytes(signal, payload, &bounds.decode))?;
    let decoded = decode::decode(signal, time, payload, &bounds.decode).map_err(|error| error.to_string())?;
    Ok(Rows { batch: decoded.batch, rejected: decoded.rejected, message: decoded.message, held: memory.held })
}

/// Memory of the tree that JSON is parsed to, at most: a value for each comma and each beginning of a list or map outside of texts, in
/// lists that are half empty as they grow, or in nodes of maps.
fn tree_bytes(json: &[u8]) -> usize {
    const ENTRY_BYTES: usize = 3 * size_of::<(String, serde_json::Value)>();
    let (mut values, mut in_text, mut is_escaped) = (0usize, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_text,
            b'"' => in_text = !in_text,
            b',' | b'[' | b'{' if !in_text => values += 1,
            _ => {}
        }
    }
    values.saturating_mul(ENTRY_BYTES)
}

/// Turns a message into a request of OTLP's protobuf, which the log can hold.
pub(super) fn to_otlp(message: Message<'_>, topic: &Topic, limit: usize) -> Result<Vec<u8>, String> {
    let body = match topic.encoding {
        Encoding::OtlpProto => return Ok(message.payload.to_vec()),
        Encoding::OtlpJson => return from_json(topic.signal, message.payload, limit),
        Encoding::Foreign(format) => {
            let converted = foreign::to_otlp(format, message.payload, message.time, limit);
            return converted.map_err(|error| error.to_string());
        }
        Encoding::Raw => json!({ "bytesValue": STANDARD.encode(message.payload) }),
        Encoding::Text => json!({ "stringValue": text(message.payload)? }),
        Encoding::Json => any_value(&parse_json(message.payload)?),
    };
    let service = json!([{ "key": "service.name", "value": { "stringValue": message.topic } }]);
    let record = json!({ "timeUnixNano": message.time.to_string(), "body": body });
    let request = json!({ "resourceLogs": [{
        "resource": { "attributes": service },
        "scopeLogs": [{ "logRecords": [record] }],
    }] });
    from_json(Signal::Logs, request.to_string().as_bytes(), limit)
}

fn from_json(signal: Signal, json: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    json::to_protobuf(signal, json, limit).map(|transcoded| transcoded.protobuf).map_err(|error| error.to_string())
}

fn text(payload: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(payload).map_err(|error| format!("it is no UTF-8: {error}"))
}

/// JSON that nests no deeper than values may.
fn parse_json(payload: &[u8]) -> Result<serde_json::Value, String> {
    let json = serde_json::from_slice(payload).map_err(|error| format!("it is no JSON: {error}"))?;
    if depth(&json) > decode::MAX_VALUE_DEPTH {
        return Err(format!("its values nest deeper than {}", decode::MAX_VALUE_DEPTH - 1));
    }
    Ok(json)
}

/// A whole number; `Err` with one that takes 64 bits without a sign. OpenTelemetry has no such numbers, and ids are made of
/// them: a double would be another one, so its digits are kept as text.
fn whole(number: &serde_json::Number) -> Option<Result<i64, u64>> {
    number.as_i64().map(Ok).or_else(|| number.as_u64().map(Err))
}

/// JSON as OTLP/JSON writes it, with the types that `put_json` gives.
fn any_value(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Null => json!({}),
        serde_json::Value::Bool(value) => json!({ "boolValue": value }),
        serde_json::Value::Number(number) => match whole(number) {
            Some(Ok(integer)) => json!({ "intValue": integer.to_string() }),
            Some(Err(large)) => json!({ "stringValue": large.to_string() }),
            None => json!({ "doubleValue": number.as_f64() }),
        },
        serde_json::Value::String(text) => json!({ "stringValue": text }),
        serde_json::Value::Array(items) => {
            json!({ "arrayValue": { "values": items.iter().map(any_value).collect::<Vec<_>>() } })
        }
        serde_json::Value::Object(entries) => {
            let entry = |(key, value)| json!({ "key": key, "value": any_value(value) });
            json!({ "kvlistValue": { "values": entries.iter().map(entry).collect::<Vec<_>>() } })
        }
    }
}

/// A record of the service that has the topic's name: a plain message names none.
fn log_record(message: Message<'_>, memory: &Memory, body: impl FnOnce(&mut Vec<u8>)) -> Result<Rows, String> {
    let mut encoded = Vec::with_capacity(message.payload.len() + 8);
    body(&mut encoded);
    let mut builder = LogBatchBuilder::default();
    let mut attributes = MapBuilder::default();
    attributes.push("service.name", Value::String(message.topic));
    let attributes = attributes.finish();
    builder.set_resource(&Resource { attributes: Map::new(&attributes), ..Resource::default() });
    builder.set_scope(&Scope::default());
    let record = LogRecord { time: message.time, body: &encoded, ..LogRecord::default() };
    builder.append(&record).map_err(|error| error.to_string())?;
    let batch = builder.finish().map_err(|error| error.to_string())?;
    Ok(Rows { batch, rejected: 0, message: None, held: memory.held })
}

/// Writes JSON as a value.
fn put_json(out: &mut Vec<u8>, json: &serde_json::Value) {
    match json {
        serde_json::Value::Null => put_value(out, Value::Empty),
        serde_json::Value::Bool(value) => put_value(out, Value::Bool(*value)),
        serde_json::Value::Number(number) => match whole(number) {
            Some(Ok(integer)) => put_value(out, Value::Int(integer)),
            Some(Err(large)) => put_value(out, Value::String(&large.to_string())),
            None => put_value(out, Value::Double(number.as_f64().unwrap_or(f64::NAN))),
        },
        serde_json::Value::String(text) => put_value(out, Value::String(text)),
        serde_json::Value::Array(items) => put_array(out, |out| items.iter().for_each(|item| put_json(out, item))),
        serde_json::Value::Object(entries) => {
            let mut builder = MapBuilder::default();
            for (key, value) in entries {
                builder.push_with(key, |out| put_json(out, value));
            }
            put_map(out, |out| builder.finish_into(out));
        }
    }
}

/// How many arrays and maps lie in one another. serde_json has refused more than 128.
fn depth(json: &serde_json::Value) -> usize {
    match json {
        serde_json::Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        serde_json::Value::Object(entries) => 1 + entries.values().map(depth).max().unwrap_or(0),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::model::TenantId;

    fn within(memory: usize, encoding: &str, payload: &[u8]) -> Result<Rows, String> {
        let encoding = Encoding::from_name(encoding, Signal::Logs).unwrap();
        let topic = Topic { signal: Signal::Logs, encoding, tenant: TenantId::default() };
        let bounds = MessageBounds { bytes: 1 << 20, memory, decode: DecodeLimits::default() };
        decode(Message { payload, topic: "lines", time: 7 }, &topic, &bounds)
    }

    fn rows(encoding: &str, payload: &[u8]) -> Result<Rows, String> {
        within(256 << 20, encoding, payload)
    }

    #[test]
    fn b1_what_decoding_takes_is_counted_before() {
        let many = format!("[{}0]", "0,".repeat(100_000));
        let records =
            format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{}{{}}]}}]}}]}}"#, "{},".repeat(10_000));
        for (encoding, payload, at_least) in
            [("json", many.as_str(), 100_000 * 32), ("otlp_json", &records, 10_000 * 192), ("text", "a line", 12)]
        {
            let held = rows(encoding, payload.as_bytes()).unwrap().held;
            assert!(held >= at_least, "{encoding}: {held}");
            assert!(within(held, encoding, payload.as_bytes()).is_ok(), "{encoding}");
            let why = within(held - 1, encoding, payload.as_bytes()).unwrap_err();
            assert!(why.contains("`otlp.max_bytes_in_flight` allows"), "{encoding}: {why}");
        }
    }

    #[test]
    fn b1_what_stands_in_texts_is_no_value() {
        let text = format!(r#"{{"message":"\"{}\\"}}"#, "1,[2,{3,".repeat(400_000));
        assert!(within(16 << 20, "json", text.as_bytes()).is_err(), "more bytes than a message may have");
        let text = format!(r#"{{"message":"\"{}\\"}}"#, "1,[2,{3,".repeat(100_000));
        assert!(within(4 << 20, "json", text.as_bytes()).is_ok());
        assert!(within(4 << 20, "json", format!("[{}1]", "1,".repeat(100_000)).as_bytes()).is_err());
    }

    #[test]
    fn b1_parts_that_are_larger_in_memory_count_as_what_they_become() {
        // A span of empty events: two bytes each, and more than ten times as many once they are read.
        let nested = |key: u8, inside: &[u8]| {
            let mut message = vec![key];
            let mut length = inside.len();
            while length >= 0x80 {
                message.push((length & 0x7f) as u8 | 0x80);
                length >>= 7;
            }
            message.push(length as u8);
            message.extend_from_slice(inside);
            message
        };
        let span = [0x5a, 0].repeat(1 << 20);
        let request = nested(0x0a, &nested(0x12, &nested(0x12, &span)));
        let topic = Topic { signal: Signal::Spans, encoding: Encoding::OtlpProto, tenant: TenantId::default() };
        let memory = |memory| MessageBounds { bytes: 8 << 20, memory, decode: DecodeLimits::default() };
        let message = Message { payload: &request, topic: "spans", time: 7 };
        assert!(decode(message, &topic, &memory(32 << 20)).unwrap_err().contains("allows"));
        let wide = decode(message, &topic, &memory(256 << 20));
        assert!(wide.is_ok_and(|rows| rows.held > 32 << 20));
    }

    #[test]
    fn b0_a_message_without_a_record_is_none() {
        for (encoding, payload) in [
            ("otlp_proto", &b""[..]),
            ("otlp_proto", b"\x78\x05"),
            ("otlp_json", b"{}"),
            ("otlp_json", br#"{"event":"payment","id":7}"#),
            ("otlp_json", br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"}]}]}]}"#),
            ("otlp_json", br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[]}]}]}"#),
        ] {
            let error = rows(encoding, payload).unwrap_err();
            assert_eq!(error, format!("it holds no records of logs, read as `{encoding}`"));
        }
        assert_eq!(rows("text", b"").unwrap().batch.num_rows(), 1, "an empty line");
    }

    #[test]
    fn a_plain_message_is_one_record_of_the_service_that_its_topic_names() {
        use arrow_array::Array;
        use arrow_array::cast::AsArray;
        for (encoding, payload, body) in [
            ("raw", &b"\xff\0"[..], Value::Bytes(b"\xff\0")),
            ("text", "ü".as_bytes(), Value::String("ü")),
            ("json", b"7", Value::Int(7)),
            ("json", b"-9223372036854775808", Value::Int(i64::MIN)),
            ("json", b"18446744073709551615", Value::String("18446744073709551615")),
            ("json", b"1e3", Value::Double(1_000.0)),
            ("json", b"null", Value::Empty),
        ] {
            let batch = rows(encoding, payload).unwrap().batch;
            assert_eq!((batch.num_rows(), batch.time_range()), (1, Some((7, 7))), "{encoding}");
            let column = |name: &str| batch.columns().column_by_name(name).unwrap();
            let (texts, values) = (column("body").as_string::<i32>(), column("body_value").as_binary::<i32>());
            let found =
                if texts.is_null(0) { Value::parse(values.value(0)) } else { Some(Value::String(texts.value(0))) };
            assert_eq!(found, Some(body), "{encoding}");
        }
    }

    #[test]
    fn a_message_that_comes_by_the_log_is_the_record_that_it_would_have_been() {
        use arrow_array::cast::AsArray;
        for (encoding, payload) in [
            ("raw", &b"\xff\0"[..]),
            ("text", "ü".as_bytes()),
            ("json", br#"{"a":[1,null,-0.5,true,"b"],"c":{"d":[]}}"#),
            ("json", b"18446744073709551615"),
        ] {
            let direct = rows(encoding, payload).unwrap().batch;
            let encoding = Encoding::from_name(encoding, Signal::Logs).unwrap();
            let topic = Topic { signal: Signal::Logs, encoding, tenant: TenantId::default() };
            let request = to_otlp(Message { payload, topic: "lines", time: 7 }, &topic, 1 << 20).unwrap();
            let replayed = decode::decode(Signal::Logs, 7, &request, &DecodeLimits::default()).unwrap().batch;
            let values = |batch: &Batch| {
                let columns = batch.columns();
                let body = columns.column_by_name("body").unwrap().as_string::<i32>().clone();
                (body, columns.column_by_name("body_value").unwrap().as_binary::<i32>().clone(), batch.time_range())
            };
            assert_eq!(values(&direct), values(&replayed), "{encoding:?}");
        }
    }

    #[test]
    fn what_cannot_be_decoded_says_why() {
        for (encoding, payload, reason) in [
            ("otlp_proto", &b"\x0a\xff"[..], "malformed protobuf"),
            ("otlp_json", b"[", "JSON"),
            ("text", b"\xff", "it is no UTF-8"),
            ("json", b"{", "it is no JSON"),
            ("json", "[".repeat(100_000).as_bytes(), "recursion limit"),
            ("json", format!("{}{}", "[".repeat(100), "]".repeat(100)).as_bytes(), "deeper than"),
            ("raw", &[0; (1 << 20) + 1], "more than the 1048576 of a request"),
        ] {
            let error = rows(encoding, payload).unwrap_err();
            assert!(error.contains(reason), "{encoding}: {error}");
        }
    }
}
