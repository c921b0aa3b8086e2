//! How does a span of Jaeger become one of OTLP?
//!
//! References: of those to the same trace, the first child-of, else the first follows-from, is the parent; every other is a link with
//! `opentracing.ref_type`, and so is the parent where it was a follows-from. Logs are events, named by their field `event`. Process is
//! the resource. The debug flag and warnings are attributes.

use super::super::wire::{Reader, Result as Walk, Within, bytes, fields, fixed64, varint};
use super::tag::{Known, Tag, put_attribute};
use super::{each, nested, otlp, put_bytes, put_fixed64, put_number, put_text, unix_nano};
use std::borrow::Cow;

const TRACE_ID: u32 = bytes(1);
const SPAN_ID: u32 = bytes(2);
const OPERATION_NAME: u32 = bytes(3);
const REFERENCES: u32 = bytes(4);
const FLAGS: u32 = varint(5);
const START_TIME: u32 = bytes(6);
const DURATION: u32 = bytes(7);
const TAGS: u32 = bytes(8);
const LOGS: u32 = bytes(9);
const PROCESS: u32 = bytes(10);
const PROCESS_ID: u32 = bytes(11);
const WARNINGS: u32 = bytes(12);
const SPAN_ALL: u64 = fields(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);

const CHILD_OF: i32 = 0;
/// W3C's bit, which is Jaeger's too.
const SAMPLED: u32 = 1;
/// The field of a log that names it.
const EVENT: &str = "event";

/// The fields of a span that stand alone.
#[derive(Default)]
struct Head<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    name: &'a str,
    flags: u32,
    start: i128,
    duration: i128,
    process_id: &'a str,
    has_process: bool,
    known: Known<'a>,
}

/// A reference to another span.
#[derive(Debug, Clone, Copy, Default)]
struct Reference<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    kind: i32,
}

/// Appends a request with the span.
pub(super) fn span(message: &[u8], out: &mut Vec<u8>) -> Walk<()> {
    let head = head(message)?;
    let parent = parent(message, &head)?;
    nested(out, otlp::RESOURCE_SPANS, |out| {
        nested(out, otlp::RESOURCE, |out| resource(message, out))?;
        nested(out, otlp::SCOPE_SPANS, |out| {
            head.known.put_scope(out)?;
            nested(out, otlp::SPANS, |out| {
                put_head(&head, parent, out)?;
                lists(message, &head, parent, out)
            })
        })
    })
}

fn head(message: &[u8]) -> Walk<Head<'_>> {
    let mut head = Head::default();
    each(message, |key, reader| {
        match key {
            TRACE_ID => head.trace_id = reader.bytes()?,
            SPAN_ID => head.span_id = reader.bytes()?,
            OPERATION_NAME => head.name = reader.str()?,
            FLAGS => head.flags = reader.uint32()?,
            START_TIME => head.start = nanos(reader.bytes()?).within("start_time")?,
            DURATION => head.duration = nanos(reader.bytes()?).within("duration")?,
            TAGS => {
                let (name, tag) = key_value(reader.bytes()?).within("tags")?;
                head.known.see(name, tag);
            }
            PROCESS_ID => head.process_id = reader.str()?,
            PROCESS => {
                head.has_process = true;
                reader.bytes()?;
            }
            REFERENCES | LOGS | WARNINGS => drop(reader.bytes()?),
            _ => reader.other(key, SPAN_ALL)?,
        }
        Ok(())
    })?;
    Ok(head)
}

/// Calls back for each of the fields with that key. The message was walked before.
fn each_of<'a>(message: &'a [u8], wanted: u32, mut found: impl FnMut(&'a [u8]) -> Walk<()>) -> Walk<()> {
    each(message, |key, reader| if key == wanted { found(reader.bytes()?) } else { reader.other(key, 0) })
}

fn parent<'a>(message: &'a [u8], head: &Head<'_>) -> Walk<Option<Reference<'a>>> {
    let mut parent: Option<Reference<'a>> = None;
    each_of(message, REFERENCES, |piece| {
        let found = reference(piece).within("references")?;
        let is_better = parent.is_none_or(|before| before.kind != CHILD_OF && found.kind == CHILD_OF);
        let names_a_span = found.span_id.iter().any(|byte| *byte != 0);
        if is_better && names_a_span && wide(found.trace_id) == wide(head.trace_id) {
            parent = Some(found);
        }
        Ok(())
    })?;
    Ok(parent)
}

fn resource(message: &[u8], out: &mut Vec<u8>) -> Walk<()> {
    const SERVICE_NAME: u32 = bytes(1);
    const PROCESS_TAGS: u32 = bytes(2);
    let mut has_host_name = false;
    let tags = |found: &mut dyn FnMut(u32, &mut Reader<'_>) -> Walk<()>| {
        each_of(message, PROCESS, |process| each(process, &mut *found).within("process"))
    };
    let mut service_name = String::new();
    tags(&mut |key, reader| {
        match key {
            SERVICE_NAME => reader.str()?.clone_into(&mut service_name),
            PROCESS_TAGS => has_host_name |= key_value(reader.bytes()?).within("tags")?.0 == "host.name",
            _ => reader.other(key, fields(&[1, 2]))?,
        }
        Ok(())
    })?;
    if !service_name.is_empty() {
        put_attribute(out, otlp::RESOURCE_ATTRIBUTES, "service.name", Tag::Text(&service_name))?;
    }
    tags(&mut |key, reader| {
        if key != PROCESS_TAGS {
            return reader.other(key, 0);
        }
        let (name, tag) = key_value(reader.bytes()?)?;
        // What Jaeger's clients call it.
        let name = if name == "hostname" && !has_host_name { "host.name" } else { name };
        put_attribute(out, otlp::RESOURCE_ATTRIBUTES, name, tag)
    })
}

fn put_head(head: &Head<'_>, parent: Option<Reference<'_>>, out: &mut Vec<u8>) -> Walk<()> {
    put_bytes(out, otlp::span::TRACE_ID, &wide(head.trace_id));
    put_bytes(out, otlp::span::SPAN_ID, head.span_id);
    if let Some(parent) = parent {
        put_bytes(out, otlp::span::PARENT_SPAN_ID, parent.span_id);
    }
    put_text(out, otlp::span::NAME, head.name);
    put_number(out, otlp::span::KIND, head.known.kind());
    put_fixed64(out, otlp::span::START, unix_nano(head.start));
    put_fixed64(out, otlp::span::END, unix_nano(head.start + head.duration));
    head.known.put_fields(out, head.known.kind())?;
    if head.flags & SAMPLED != 0 {
        storage::model::record::put_varint(out, super::wire::fixed32(otlp::span::FLAGS).into());
        out.extend_from_slice(&SAMPLED.to_le_bytes());
    }
    if head.flags & !SAMPLED != 0 {
        put_attribute(out, otlp::span::ATTRIBUTES, "jaeger.flags", Tag::Int(head.flags.into()))?;
    }
    if !head.has_process && !head.process_id.is_empty() {
        put_attribute(out, otlp::span::ATTRIBUTES, "jaeger.process_id", Tag::Text(head.process_id))?;
    }
    Ok(())
}

/// Attributes, events and links.
fn lists(message: &[u8], head: &Head<'_>, parent: Option<Reference<'_>>, out: &mut Vec<u8>) -> Walk<()> {
    let (mut warnings, mut parent_is_out) = (0, false);
    each(message, |key, reader| match key {
        TAGS => {
            let (name, tag) = key_value(reader.bytes()?)?;
            if head.known.takes(name, tag) {
                return Ok(());
            }
            put_attribute(out, otlp::span::ATTRIBUTES, name, tag)
        }
        WARNINGS => {
            let warning = reader.str()?;
            let name = if warnings == 0 { "jaeger.warning".to_owned() } else { format!("jaeger.warning.{warnings}") };
            warnings += 1;
            put_attribute(out, otlp::span::ATTRIBUTES, &name, Tag::Text(warning))
        }
        LOGS => {
            let log = reader.bytes()?;
            nested(out, otlp::span::EVENTS, |out| event(log, out).within("logs"))
        }
        REFERENCES => {
            let found = reference(reader.bytes()?)?;
            let is_parent = parent.is_some_and(|parent| {
                parent.kind == CHILD_OF && found.kind == CHILD_OF && parent.span_id == found.span_id
            });
            // The same parent twice is a link as well: who sent it meant something.
            if is_parent && !std::mem::replace(&mut parent_is_out, true) {
                return Ok(());
            }
            nested(out, otlp::span::LINKS, |out| link(&found, out))
        }
        _ => reader.other(key, 0),
    })
}

fn link(reference: &Reference<'_>, out: &mut Vec<u8>) -> Walk<()> {
    put_bytes(out, otlp::LINK_TRACE_ID, &wide(reference.trace_id));
    put_bytes(out, otlp::LINK_SPAN_ID, reference.span_id);
    let kind = if reference.kind == CHILD_OF { "child_of" } else { "follows_from" };
    put_attribute(out, otlp::LINK_ATTRIBUTES, "opentracing.ref_type", Tag::Text(kind))
}

fn event(message: &[u8], out: &mut Vec<u8>) -> Walk<()> {
    const TIMESTAMP: u32 = bytes(1);
    const FIELDS: u32 = bytes(2);
    each(message, |key, reader| match key {
        TIMESTAMP => {
            put_fixed64(out, otlp::EVENT_TIME, unix_nano(nanos(reader.bytes()?).within("timestamp")?));
            Ok(())
        }
        FIELDS => match key_value(reader.bytes()?).within("fields")? {
            (EVENT, Tag::Text(name)) => {
                put_text(out, otlp::EVENT_NAME, name);
                Ok(())
            }
            (name, tag) => put_attribute(out, otlp::EVENT_ATTRIBUTES, name, tag),
        },
        _ => reader.other(key, fields(&[1, 2])),
    })
}

fn reference(message: &[u8]) -> Walk<Reference<'_>> {
    let mut reference = Reference::default();
    each(message, |key, reader| {
        match key {
            TRACE_ID => reference.trace_id = reader.bytes()?,
            SPAN_ID => reference.span_id = reader.bytes()?,
            _ if key == varint(3) => reference.kind = reader.int32()?,
            _ => reader.other(key, fields(&[1, 2, 3]))?,
        }
        Ok(())
    })?;
    Ok(reference)
}

/// A tag's name and value. Of a type that we do not know, the text is the value.
fn key_value(message: &[u8]) -> Walk<(&str, Tag<'_>)> {
    const KEY: u32 = bytes(1);
    const KIND: u32 = varint(2);
    const TEXT: u32 = bytes(3);
    const BOOL: u32 = varint(4);
    const INT: u32 = varint(5);
    const DOUBLE: u32 = fixed64(6);
    const BINARY: u32 = bytes(7);
    let (mut name, mut kind, mut text, mut bool, mut int, mut double, mut binary) = ("", 0, "", false, 0, 0.0, &[][..]);
    each(message, |key, reader| {
        match key {
            KEY => name = reader.str()?,
            KIND => kind = reader.int32()?,
            TEXT => text = reader.str()?,
            BOOL => bool = reader.varint()? != 0,
            INT => int = reader.varint()?.cast_signed(),
            DOUBLE => double = reader.double()?,
            BINARY => binary = reader.bytes()?,
            _ => reader.other(key, fields(&[1, 2, 3, 4, 5, 6, 7]))?,
        }
        Ok(())
    })?;
    let tag = match kind {
        1 => Tag::Bool(bool),
        2 => Tag::Int(int),
        3 => Tag::Double(double),
        4 => Tag::Bytes(binary),
        _ => Tag::Text(text),
    };
    Ok((name, tag))
}

/// A google.protobuf.Timestamp or Duration in nanoseconds.
fn nanos(message: &[u8]) -> Walk<i128> {
    let (mut seconds, mut nanos) = (0, 0);
    each(message, |key, reader| {
        match key {
            _ if key == varint(1) => seconds = reader.varint()?.cast_signed(),
            _ if key == varint(2) => nanos = reader.int32()?,
            _ => reader.other(key, fields(&[1, 2]))?,
        }
        Ok(())
    })?;
    Ok(i128::from(seconds) * 1_000_000_000 + i128::from(nanos))
}

/// A trace id of 64 bits as one of 128; any other as it is.
pub(super) fn wide(trace_id: &[u8]) -> Cow<'_, [u8]> {
    if trace_id.len() == 8 { [&[0; 8], trace_id].concat().into() } else { trace_id.into() }
}
