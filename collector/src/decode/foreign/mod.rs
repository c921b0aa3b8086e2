//! How do spans of Jaeger and Zipkin become the OTLP message that the decoder reads?
//!
//! F1  Nothing is decided twice: JSON becomes the makers' own protobuf (`json`), that becomes OTLP here, and ids, times, sizes and
//!     depths are judged by the decoder of OTLP alone.
//! F2  Memory is that of the messages. No list of what is inside is built; who needs to know a later field first walks twice.
//! F3  Nothing that was sent vanishes: what has no place of its own in OTLP is an attribute. Names of attributes are those that
//!     OpenTelemetry's collector gives.
//! F4  Pure, as the decoder: the same bytes and time give the same spans.
//!
//! Not here: which topic is written how (`receiver::kafka`).

mod jaeger;
mod tag;
#[cfg(test)]
mod tests;
mod zipkin;

use super::json::{self, JsonError};
use super::wire::{self, Reader, Result as Walk};
use super::{Malformed, malformed};
use storage::model::record::put_varint;

/// How spans are written that are not OTLP's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One `jaeger.api_v2.Span`.
    JaegerProto,
    /// The same in protobuf's JSON: ids in base64, times in RFC 3339.
    JaegerJson,
    /// Zipkin's `zipkin.proto3.ListOfSpans`.
    ZipkinProto,
    /// A JSON array of Zipkin's v2 spans.
    ZipkinJson,
}

/// Why it is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForeignError {
    /// It is not the protobuf message of that format.
    #[error(transparent)]
    Protobuf(#[from] Malformed),
    /// It is not the JSON of that format, or too large.
    #[error(transparent)]
    Json(#[from] JsonError),
}

/// Turns spans into an ExportTraceServiceRequest of at most `limit` bytes. `time` is that of a span of Zipkin without one, in Unix
/// nanoseconds.
pub fn to_otlp(format: Format, payload: &[u8], time: i64, limit: usize) -> Result<Vec<u8>, ForeignError> {
    let transcoded = match format {
        Format::JaegerJson => Some(json::jaeger_span(payload, limit)?.protobuf),
        Format::ZipkinJson => Some(json::zipkin_spans(payload, limit)?.protobuf),
        Format::JaegerProto | Format::ZipkinProto => None,
    };
    let payload = transcoded.as_deref().unwrap_or(payload);
    let mut out = Vec::with_capacity(payload.len().saturating_mul(2).min(limit));
    let walked = match format {
        Format::JaegerProto | Format::JaegerJson => jaeger::span(payload, &mut out),
        Format::ZipkinProto | Format::ZipkinJson => zipkin::spans(payload, time, limit, &mut out),
    };
    walked.map_err(|fault| malformed(*fault, payload))?;
    if out.len() > limit { Err(JsonError::TooLarge { limit }.into()) } else { Ok(out) }
}

/// Calls back for each field of a message with its key; who is called reads it.
fn each<'a>(message: &'a [u8], mut found: impl FnMut(u32, &mut Reader<'a>) -> Walk<()>) -> Walk<()> {
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        found(key, &mut reader)?;
    }
    Ok(())
}

/// Appends a message as a field: what `write` appends, with its length before it.
fn nested(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>) -> Walk<()>) -> Walk<()> {
    put_varint(out, wire::bytes(field).into());
    let start = out.len();
    write(out)?;
    let mut prefix = Vec::with_capacity(10);
    put_varint(&mut prefix, (out.len() - start) as u64);
    out.splice(start..start, prefix);
    Ok(())
}

fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_varint(out, wire::bytes(field).into());
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a text, if there is any.
fn put_text(out: &mut Vec<u8>, field: u32, text: &str) {
    if !text.is_empty() {
        put_bytes(out, field, text.as_bytes());
    }
}

/// Appends a number, if it is not 0.
fn put_number(out: &mut Vec<u8>, field: u32, value: u32) {
    if value != 0 {
        put_varint(out, wire::varint(field).into());
        put_varint(out, value.into());
    }
}

fn put_fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    put_varint(out, wire::fixed64(field).into());
    out.extend_from_slice(&value.to_le_bytes());
}

/// A time in Unix nanoseconds as OTLP writes it; what OTLP cannot write becomes what the decoder rejects.
fn unix_nano(nanos: i128) -> u64 {
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

/// Fields of OTLP's messages, as far as they are written here.
mod otlp {
    pub(super) const RESOURCE_SPANS: u32 = 1;
    pub(super) const RESOURCE: u32 = 1;
    pub(super) const RESOURCE_ATTRIBUTES: u32 = 1;
    pub(super) const SCOPE_SPANS: u32 = 2;
    pub(super) const SCOPE: u32 = 1;
    pub(super) const SCOPE_NAME: u32 = 1;
    pub(super) const SCOPE_VERSION: u32 = 2;
    pub(super) const SPANS: u32 = 2;
    pub(super) mod span {
        pub(in super::super) const TRACE_ID: u32 = 1;
        pub(in super::super) const SPAN_ID: u32 = 2;
        pub(in super::super) const TRACE_STATE: u32 = 3;
        pub(in super::super) const PARENT_SPAN_ID: u32 = 4;
        pub(in super::super) const NAME: u32 = 5;
        pub(in super::super) const KIND: u32 = 6;
        pub(in super::super) const START: u32 = 7;
        pub(in super::super) const END: u32 = 8;
        pub(in super::super) const ATTRIBUTES: u32 = 9;
        pub(in super::super) const EVENTS: u32 = 11;
        pub(in super::super) const LINKS: u32 = 13;
        pub(in super::super) const STATUS: u32 = 15;
        pub(in super::super) const FLAGS: u32 = 16;
    }
    pub(super) const EVENT_TIME: u32 = 1;
    pub(super) const EVENT_NAME: u32 = 2;
    pub(super) const EVENT_ATTRIBUTES: u32 = 3;
    pub(super) const LINK_TRACE_ID: u32 = 1;
    pub(super) const LINK_SPAN_ID: u32 = 2;
    pub(super) const LINK_ATTRIBUTES: u32 = 4;
    pub(super) const STATUS_MESSAGE: u32 = 2;
    pub(super) const STATUS_CODE: u32 = 3;
}
