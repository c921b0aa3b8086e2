//! Which tags are fields in OTLP? Jaeger and Zipkin have no status, trace state or scope: those are tags with known names.

use super::super::wire::{self, Result as Walk};
use super::{nested, otlp, put_bytes, put_number, put_text};
use storage::model::record::put_varint;

/// A tag's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Tag<'a> {
    Text(&'a str),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(&'a [u8]),
}

/// OTLP's numbers of kinds and codes.
const INTERNAL: u32 = 1;
pub(super) const SERVER: u32 = 2;
pub(super) const CLIENT: u32 = 3;
pub(super) const PRODUCER: u32 = 4;
pub(super) const CONSUMER: u32 = 5;
const OK: u32 = 1;
const ERROR: u32 = 2;

/// The tags of a span that say what OTLP has a field for; of two with one name, the last.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known<'a> {
    kind: Option<u32>,
    error: Option<Tag<'a>>,
    status_code: Option<&'a str>,
    status_message: Option<&'a str>,
    http_status: Option<i64>,
    http_message: Option<&'a str>,
    trace_state: Option<&'a str>,
    scope_name: Option<&'a str>,
    scope_version: Option<&'a str>,
}

impl<'a> Known<'a> {
    /// Takes note of a tag.
    pub(super) fn see(&mut self, key: &str, tag: Tag<'a>) {
        match (key, tag) {
            ("span.kind", Tag::Text(text)) => self.kind = kind(text),
            ("error", tag) => self.error = Some(tag),
            ("otel.status_code", Tag::Text(text)) => self.status_code = Some(text),
            ("otel.status_description", Tag::Text(text)) => self.status_message = Some(text),
            ("http.status_code", Tag::Int(code)) => self.http_status = Some(code),
            ("http.status_code", Tag::Text(text)) => self.http_status = text.parse().ok(),
            ("http.status_message", Tag::Text(text)) => self.http_message = Some(text),
            ("w3c.tracestate", Tag::Text(text)) => self.trace_state = Some(text),
            ("otel.scope.name" | "otel.library.name", Tag::Text(text)) => self.scope_name = Some(text),
            ("otel.scope.version" | "otel.library.version", Tag::Text(text)) => self.scope_version = Some(text),
            _ => {}
        }
    }

    /// Whether a tag says no more than a field does now.
    pub(super) fn takes(&self, key: &str, tag: Tag<'_>) -> bool {
        match (key, tag) {
            ("span.kind", Tag::Text(text)) => kind(text).is_some(),
            ("error", tag) => matches!(tag, Tag::Bool(true) | Tag::Text("true" | "")),
            ("otel.status_code", Tag::Text(text)) => code(text).is_some(),
            ("otel.status_description", Tag::Text(text)) => self.status(0).1 == text,
            (
                "w3c.tracestate"
                | "otel.scope.name"
                | "otel.library.name"
                | "otel.scope.version"
                | "otel.library.version",
                Tag::Text(_),
            ) => true,
            _ => false,
        }
    }

    /// The kind that a tag says; 0 where none does.
    pub(super) fn kind(&self) -> u32 {
        self.kind.unwrap_or(0)
    }

    /// Code and message. An error tag decides; then the code's tag; then that of HTTP's answer.
    pub(super) fn status(&self, kind: u32) -> (u32, &'a str) {
        let told = self.status_message.unwrap_or_default();
        let or_told = |message: &'a str| if told.is_empty() { message } else { told };
        match self.error {
            Some(Tag::Bool(true) | Tag::Text("true" | "")) => {
                return (ERROR, or_told(self.http_message.unwrap_or_default()));
            }
            // Zipkin's way: there is an error, and the value says which.
            Some(Tag::Text(text)) if text != "false" => return (ERROR, or_told(text)),
            _ => {}
        }
        if let Some(code) = self.status_code.and_then(code) {
            return (code, told);
        }
        match self.http_status {
            Some(100..=399) | None => (0, told),
            // A server is not to blame for what it was asked.
            Some(400..=499) if kind == SERVER => (0, told),
            Some(_) => (ERROR, or_told(self.http_message.unwrap_or_default())),
        }
    }

    /// Writes the fields of a span that tags tell, but for its kind.
    pub(super) fn put_fields(&self, out: &mut Vec<u8>, kind: u32) -> Walk<()> {
        put_text(out, otlp::span::TRACE_STATE, self.trace_state.unwrap_or_default());
        let (code, message) = self.status(kind);
        if code == 0 && message.is_empty() {
            return Ok(());
        }
        nested(out, otlp::span::STATUS, |out| {
            put_text(out, otlp::STATUS_MESSAGE, message);
            put_number(out, otlp::STATUS_CODE, code);
            Ok(())
        })
    }

    /// Writes the scope, if tags tell one.
    pub(super) fn put_scope(&self, out: &mut Vec<u8>) -> Walk<()> {
        if self.scope_name.is_none() && self.scope_version.is_none() {
            return Ok(());
        }
        nested(out, otlp::SCOPE, |out| {
            put_text(out, otlp::SCOPE_NAME, self.scope_name.unwrap_or_default());
            put_text(out, otlp::SCOPE_VERSION, self.scope_version.unwrap_or_default());
            Ok(())
        })
    }
}

fn kind(text: &str) -> Option<u32> {
    let kinds = [
        ("internal", INTERNAL),
        ("server", SERVER),
        ("client", CLIENT),
        ("producer", PRODUCER),
        ("consumer", CONSUMER),
    ];
    kinds.iter().find(|(name, _)| text.eq_ignore_ascii_case(name)).map(|(_, kind)| *kind)
}

fn code(text: &str) -> Option<u32> {
    let name = text.strip_prefix("STATUS_CODE_").unwrap_or(text);
    let codes = [("unset", 0), ("ok", OK), ("error", ERROR)];
    codes.iter().find(|(code, _)| name.eq_ignore_ascii_case(code)).map(|(_, number)| *number)
}

/// Appends a KeyValue as a field.
pub(super) fn put_attribute(out: &mut Vec<u8>, field: u32, key: &str, tag: Tag<'_>) -> Walk<()> {
    nested(out, field, |out| {
        put_bytes(out, 1, key.as_bytes());
        nested(out, 2, |out| {
            match tag {
                Tag::Text(text) => put_bytes(out, 1, text.as_bytes()),
                Tag::Bool(value) => {
                    put_varint(out, wire::varint(2).into());
                    put_varint(out, value.into());
                }
                Tag::Int(value) => {
                    put_varint(out, wire::varint(3).into());
                    put_varint(out, value.cast_unsigned());
                }
                Tag::Double(value) => super::put_fixed64(out, 4, value.to_bits()),
                Tag::Bytes(bytes) => put_bytes(out, 7, bytes),
            }
            Ok(())
        })
    })
}
