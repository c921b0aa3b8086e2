//! Which bytes does a case send?
//!
//! Written out (hex, text, JSON, protobuf field by field) or generated where writing out would be too long: deep nesting,
//! an exact size, many zeros, a repeated piece.
//!
//! Y1  `{{now}}` stands for the present time in nanoseconds, so that no case grows too old to be accepted.
//!
//! Not here: compression (`otlp`), the wire format (`wire`).

use super::wire::{put_bytes, put_key, put_varint, unhex};
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

const NOW: &str = "{{now}}";

/// A body, before compression.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Body {
    /// Bytes.
    Hex(String),
    /// UTF-8, sent as JSON.
    Text(String),
    /// A JSON value, sent without blanks.
    Json(Value),
    /// Fields `[number, type, value]`; types: varint, fixed64, fixed32, double, string, bytes (hex), message, raw (hex of
    /// a whole field; its number is ignored).
    Protobuf(Vec<Value>),
    /// A trace whose span has an attribute that nests.
    Nested {
        /// Levels around the innermost value.
        depth: usize,
        /// What each level is.
        of: Level,
        /// Encoding.
        format: Format,
    },
    /// A trace with one span, and an unknown field that fills it up to an exact size.
    Padded {
        /// Size of the whole body.
        bytes: usize,
        /// Encoding.
        format: Format,
    },
    /// So many zero bytes, sent as protobuf.
    Zeros(usize),
    /// The same bytes again and again, sent as protobuf.
    Repeat {
        /// The bytes.
        hex: String,
        /// How often.
        times: usize,
    },
}

/// A container of AnyValue.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// `arrayValue`.
    Array,
    /// `kvlistValue`.
    Kvlist,
}

/// An encoding of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// `application/json`.
    Json,
    /// `application/x-protobuf`.
    Protobuf,
}

impl Format {
    /// The content type.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Protobuf => "application/x-protobuf",
        }
    }
}

impl Body {
    /// The encoding that the body claims to be, unless the case's headers say otherwise.
    pub(crate) fn format(&self) -> Format {
        match self {
            Body::Text(_) | Body::Json(_) => Format::Json,
            Body::Nested { format, .. } | Body::Padded { format, .. } => *format,
            Body::Hex(_) | Body::Protobuf(_) | Body::Zeros(_) | Body::Repeat { .. } => Format::Protobuf,
        }
    }

    /// The bytes, at the time `now` in nanoseconds.
    pub(crate) fn build(&self, now: u64) -> Result<Vec<u8>> {
        Ok(match self {
            Body::Hex(hex) => unhex(hex)?,
            Body::Text(text) => text.replace(NOW, &now.to_string()).into_bytes(),
            Body::Json(value) => value.to_string().replace(NOW, &now.to_string()).into_bytes(),
            Body::Protobuf(fields) => message(fields, now)?,
            Body::Nested { depth, of, format: Format::Protobuf } => trace(now, &nested_protobuf(*depth, *of)),
            Body::Nested { depth, of, format: Format::Json } => trace_json(now, &nested_json(*depth, *of)).into_bytes(),
            Body::Padded { bytes, format: Format::Protobuf } => pad_protobuf(trace(now, &text_value("x")), *bytes)?,
            Body::Padded { bytes, format: Format::Json } => {
                pad_json(&trace_json(now, r#"{"stringValue":"x"}"#), *bytes)?
            }
            Body::Zeros(bytes) => vec![0; *bytes],
            Body::Repeat { hex, times } => unhex(hex)?.repeat(*times),
        })
    }
}

/// Encodes fields of the form `[number, type, value]`.
fn message(fields: &[Value], now: u64) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for field in fields {
        put_field(&mut out, field, now).with_context(|| format!("field {field}"))?;
    }
    Ok(out)
}

fn put_field(out: &mut Vec<u8>, field: &Value, now: u64) -> Result<()> {
    let Some([number, kind, value]) = field.as_array().map(Vec::as_slice) else { bail!("not [number, type, value]") };
    let number = number.as_u64().context("the number is not one")?;
    let text = || value.as_str().context("the value is no text");
    match kind.as_str().context("the type is no text")? {
        "varint" => {
            put_key(out, number, 0);
            put_varint(out, integer(value, now)?);
        }
        "fixed64" => {
            put_key(out, number, 1);
            out.extend_from_slice(&integer(value, now)?.to_le_bytes());
        }
        "double" => {
            put_key(out, number, 1);
            out.extend_from_slice(&value.as_f64().context("the value is no number")?.to_le_bytes());
        }
        "fixed32" => {
            put_key(out, number, 5);
            out.extend_from_slice(&u32::try_from(integer(value, now)?)?.to_le_bytes());
        }
        "string" => put_bytes(out, number, text()?.as_bytes()),
        "bytes" => put_bytes(out, number, &unhex(text()?)?),
        "message" => put_bytes(out, number, &message(value.as_array().context("the value is no list")?, now)?),
        "raw" => out.extend_from_slice(&unhex(text()?)?),
        other => bail!("unknown type `{other}`"),
    }
    Ok(())
}

/// A 64-bit pattern: a number, signed or not, or the present time.
fn integer(value: &Value, now: u64) -> Result<u64> {
    if value.as_str() == Some(NOW) {
        return Ok(now);
    }
    let signed = || value.as_i64().map(i64::cast_unsigned);
    value.as_u64().or_else(signed).with_context(|| format!("`{value}` is no 64-bit integer"))
}

/// `ExportTraceServiceRequest` with one span with one attribute.
fn trace(now: u64, attribute: &[u8]) -> Vec<u8> {
    let mut pair = Vec::new();
    put_bytes(&mut pair, 1, b"deep");
    put_bytes(&mut pair, 2, attribute);
    let mut span = Vec::new();
    put_bytes(&mut span, 1, &[0xce; 16]);
    put_bytes(&mut span, 2, &[0xce; 8]);
    put_bytes(&mut span, 5, b"generated");
    for (number, time) in [(7, now), (8, now + 1)] {
        put_key(&mut span, number, 1);
        span.extend_from_slice(&time.to_le_bytes());
    }
    put_bytes(&mut span, 9, &pair);
    let wrap = |number: u64, content: &[u8]| {
        let mut out = Vec::new();
        put_bytes(&mut out, number, content);
        out
    };
    wrap(1, &wrap(2, &wrap(2, &span)))
}

fn trace_json(now: u64, attribute: &str) -> String {
    let span = json!({
        "traceId": "ce".repeat(16), "spanId": "ce".repeat(8), "name": "generated",
        "startTimeUnixNano": now.to_string(), "endTimeUnixNano": (now + 1).to_string(),
        "attributes": [{"key": "deep", "value": "{{attribute}}"}],
    });
    let request = json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]});
    request.to_string().replace("\"{{attribute}}\"", attribute)
}

fn text_value(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, 1, text.as_bytes());
    out
}

fn nested_protobuf(depth: usize, of: Level) -> Vec<u8> {
    let mut value = text_value("x");
    for _ in 0..depth {
        let mut list = Vec::new();
        let number = match of {
            Level::Array => {
                put_bytes(&mut list, 1, &value);
                5
            }
            Level::Kvlist => {
                let mut pair = Vec::new();
                put_bytes(&mut pair, 1, b"k");
                put_bytes(&mut pair, 2, &value);
                put_bytes(&mut list, 1, &pair);
                6
            }
        };
        value.clear();
        put_bytes(&mut value, number, &list);
    }
    value
}

fn nested_json(depth: usize, of: Level) -> String {
    let (open, close) = match of {
        Level::Array => (r#"{"arrayValue":{"values":["#, "]}}"),
        Level::Kvlist => (r#"{"kvlistValue":{"values":[{"key":"k","value":"#, "}]}}"),
    };
    [&open.repeat(depth), r#"{"stringValue":"x"}"#, &close.repeat(depth)].concat()
}

/// Appends field 15, which no OTLP request has, so that the body has exactly `bytes` bytes.
fn pad_protobuf(mut body: Vec<u8>, bytes: usize) -> Result<Vec<u8>> {
    let room = bytes.checked_sub(body.len()).context("the body is larger already")?;
    for length_bytes in 1..=5 {
        let mut field = Vec::new();
        put_bytes(&mut field, 15, &vec![b'a'; room.saturating_sub(1 + length_bytes)]);
        if field.len() == room {
            body.append(&mut field);
            return Ok(body);
        }
    }
    bail!("no field has exactly {room} bytes")
}

/// Adds an unknown field so that the body has exactly `bytes` bytes.
fn pad_json(body: &str, bytes: usize) -> Result<Vec<u8>> {
    let body = body.strip_suffix('}').context("the body is no object")?;
    let frame = format!(r#"{body},"padding":""}}"#);
    let room = bytes.checked_sub(frame.len()).context("the body is larger already")?;
    let padded = format!(r#"{body},"padding":"{}"}}"#, "a".repeat(room)).into_bytes();
    ensure!(padded.len() == bytes, "the padding is off");
    Ok(padded)
}

#[cfg(test)]
mod tests {
    use super::super::wire::{Field, fields};
    use super::*;

    fn check(body: &str, expected: &[u8]) {
        let body: Body = serde_json::from_str(body).unwrap();
        assert_eq!(body.build(7).unwrap(), expected);
    }

    #[test]
    fn bodies_are_built_to_the_byte() {
        check(r#"{"hex":"00 ff"}"#, &[0, 255]);
        check(r#"{"text":"a {{now}}"}"#, b"a 7");
        check(r#"{"json":{"a":["{{now}}"]}}"#, br#"{"a":["7"]}"#);
        check(
            r#"{"protobuf":[[1,"message",[[2,"string","x"]]],[3,"varint",-1]]}"#,
            b"\x0a\x03\x12\x01x\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        );
        check(r#"{"protobuf":[[7,"fixed64","{{now}}"],[0,"raw","0b"]]}"#, b"\x39\x07\0\0\0\0\0\0\0\x0b");
        check(r#"{"zeros":3}"#, &[0; 3]);
        check(r#"{"repeat":{"hex":"0a00","times":2}}"#, &[10, 0, 10, 0]);
    }

    #[test]
    fn padding_reaches_the_exact_size_across_length_borders() {
        for bytes in [300, 400, 16_600, 16_601, 100_000] {
            for format in [Format::Json, Format::Protobuf] {
                let body = Body::Padded { bytes, format };
                assert_eq!(body.build(1).unwrap().len(), bytes);
            }
        }
    }

    #[test]
    fn nesting_has_the_depth_that_was_asked_for() {
        for (of, number) in [(Level::Array, 5), (Level::Kvlist, 6)] {
            let mut value = nested_protobuf(3, of);
            for _ in 0..3 {
                let [(seen, Field::Bytes(list))] = fields(&value).unwrap()[..] else { panic!("one field") };
                assert_eq!(seen, number);
                let [(1, Field::Bytes(inner))] = fields(list).unwrap()[..] else { panic!("one value") };
                value = match of {
                    Level::Array => inner.to_vec(),
                    Level::Kvlist => match fields(inner).unwrap()[..] {
                        [(1, _), (2, Field::Bytes(inner))] => inner.to_vec(),
                        _ => panic!("a pair"),
                    },
                };
            }
            assert_eq!(value, text_value("x"));
            let json: Value = serde_json::from_str(&nested_json(3, of)).unwrap();
            assert_eq!(json.to_string().matches("values").count(), 3);
        }
    }
}
