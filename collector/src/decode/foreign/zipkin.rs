//! How do spans of Zipkin become ones of OTLP?
//!
//! The local endpoint names the service; its address is `net.host.*`, that of the remote one `peer.service` and `net.peer.*`.
//! Annotations are events. A span without a time has that of its first annotation, else that of its message, and says so in
//! `otel.zipkin.absentField.startTime`.

use super::super::wire::{Result as Walk, Within, bytes, fields, fixed64, varint};
use super::jaeger::wide;
use super::tag::{CLIENT, CONSUMER, Known, PRODUCER, SERVER, Tag, put_attribute};
use super::{each, nested, otlp, put_bytes, put_fixed64, put_number, put_text, unix_nano};
use std::net::IpAddr;

const SPANS: u32 = bytes(1);

const TRACE_ID: u32 = bytes(1);
const PARENT_ID: u32 = bytes(2);
const ID: u32 = bytes(3);
const KIND: u32 = varint(4);
const NAME: u32 = bytes(5);
const TIMESTAMP: u32 = fixed64(6);
const DURATION: u32 = varint(7);
const LOCAL: u32 = bytes(8);
const REMOTE: u32 = bytes(9);
const ANNOTATIONS: u32 = bytes(10);
const TAGS: u32 = bytes(11);
const DEBUG: u32 = varint(12);
const SHARED: u32 = varint(13);
const ALL: u64 = fields(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);

#[derive(Default)]
struct Head<'a> {
    trace_id: &'a [u8],
    id: &'a [u8],
    parent_id: &'a [u8],
    kind: i32,
    name: &'a str,
    /// Microseconds, as all of Zipkin's times.
    timestamp: u64,
    first_annotation: Option<u64>,
    duration: u64,
    local: Endpoint<'a>,
    remote: Endpoint<'a>,
    is_debug: bool,
    is_shared: bool,
    known: Known<'a>,
}

#[derive(Default)]
struct Endpoint<'a> {
    service: &'a str,
    ipv4: &'a [u8],
    ipv6: &'a [u8],
    port: i32,
}

/// Appends a request with the spans of a list; stops where it has become larger than `limit`.
pub(super) fn spans(message: &[u8], time: i64, limit: usize, out: &mut Vec<u8>) -> Walk<()> {
    each(message, |key, reader| match key {
        SPANS => {
            let message = reader.bytes()?;
            if out.len() > limit {
                return Ok(());
            }
            nested(out, otlp::RESOURCE_SPANS, |out| span(message, time, out)).within("spans")
        }
        _ => reader.other(key, fields(&[1])),
    })
}

fn span(message: &[u8], time: i64, out: &mut Vec<u8>) -> Walk<()> {
    let head = head(message)?;
    nested(out, otlp::RESOURCE, |out| {
        if head.local.service.is_empty() {
            return Ok(());
        }
        put_attribute(out, otlp::RESOURCE_ATTRIBUTES, "service.name", Tag::Text(head.local.service))
    })?;
    nested(out, otlp::SCOPE_SPANS, |out| {
        head.known.put_scope(out)?;
        nested(out, otlp::SPANS, |out| {
            put_head(&head, time, out)?;
            lists(message, &head, out)
        })
    })
}

fn head(message: &[u8]) -> Walk<Head<'_>> {
    let mut head = Head::default();
    each(message, |key, reader| {
        match key {
            TRACE_ID => head.trace_id = reader.bytes()?,
            PARENT_ID => head.parent_id = reader.bytes()?,
            ID => head.id = reader.bytes()?,
            KIND => head.kind = reader.int32()?,
            NAME => head.name = reader.str()?,
            TIMESTAMP => head.timestamp = reader.fixed64()?,
            DURATION => head.duration = reader.varint()?,
            LOCAL => endpoint(reader.bytes()?, &mut head.local).within("local_endpoint")?,
            REMOTE => endpoint(reader.bytes()?, &mut head.remote).within("remote_endpoint")?,
            ANNOTATIONS => {
                let (at, _) = annotation(reader.bytes()?).within("annotations")?;
                head.first_annotation = Some(head.first_annotation.map_or(at, |first| first.min(at)));
            }
            TAGS => {
                let (name, value) = entry(reader.bytes()?).within("tags")?;
                head.known.see(name, Tag::Text(value));
            }
            DEBUG => head.is_debug = reader.varint()? != 0,
            SHARED => head.is_shared = reader.varint()? != 0,
            _ => reader.other(key, ALL)?,
        }
        Ok(())
    })?;
    Ok(head)
}

fn put_head(head: &Head<'_>, time: i64, out: &mut Vec<u8>) -> Walk<()> {
    put_bytes(out, otlp::span::TRACE_ID, &wide(head.trace_id));
    put_bytes(out, otlp::span::SPAN_ID, head.id);
    // Some old clients name a root its own parent.
    if head.parent_id != head.id {
        put_bytes(out, otlp::span::PARENT_SPAN_ID, head.parent_id);
    }
    put_text(out, otlp::span::NAME, head.name);
    let kind = match head.kind {
        1 => CLIENT,
        2 => SERVER,
        3 => PRODUCER,
        4 => CONSUMER,
        _ => head.known.kind(),
    };
    put_number(out, otlp::span::KIND, kind);
    let nanos = |micros: u64| i128::from(micros) * 1_000;
    let start = match (head.timestamp, head.first_annotation) {
        (0, None | Some(0)) => time.into(),
        (0, Some(first)) => nanos(first),
        (timestamp, _) => nanos(timestamp),
    };
    put_fixed64(out, otlp::span::START, unix_nano(start));
    put_fixed64(out, otlp::span::END, unix_nano(start + nanos(head.duration)));
    head.known.put_fields(out, kind)?;
    put_endpoint(&head.local, ["net.host.ip", "net.host.ipv6", "net.host.port"], out)?;
    if !head.remote.service.is_empty() {
        put_attribute(out, otlp::span::ATTRIBUTES, "peer.service", Tag::Text(head.remote.service))?;
    }
    put_endpoint(&head.remote, ["net.peer.ip", "net.peer.ipv6", "net.peer.port"], out)?;
    let flags = [
        ("otel.zipkin.absentField.startTime", head.timestamp == 0),
        ("zipkin.debug", head.is_debug),
        ("zipkin.shared", head.is_shared),
    ];
    for (name, _) in flags.iter().filter(|(_, is_so)| *is_so) {
        put_attribute(out, otlp::span::ATTRIBUTES, name, Tag::Bool(true))?;
    }
    Ok(())
}

/// The address of an endpoint. The second name is for an IPv6 address beside an IPv4 one.
fn put_endpoint(endpoint: &Endpoint<'_>, [ip, ipv6, port]: [&str; 3], out: &mut Vec<u8>) -> Walk<()> {
    let addresses = [endpoint.ipv4, endpoint.ipv6].map(address);
    let name_of_second = if addresses[0].is_some() { ipv6 } else { ip };
    for (name, address) in [ip, name_of_second].into_iter().zip(addresses) {
        if let Some(address) = address {
            put_attribute(out, otlp::span::ATTRIBUTES, name, address.as_tag())?;
        }
    }
    if endpoint.port != 0 {
        put_attribute(out, otlp::span::ATTRIBUTES, port, Tag::Int(endpoint.port.into()))?;
    }
    Ok(())
}

/// An address as it is shown: its text, or its bytes where they are none.
enum Address<'a> {
    Text(String),
    Bytes(&'a [u8]),
}

impl Address<'_> {
    fn as_tag(&self) -> Tag<'_> {
        match self {
            Address::Text(text) => Tag::Text(text),
            Address::Bytes(bytes) => Tag::Bytes(bytes),
        }
    }
}

fn address(bytes: &[u8]) -> Option<Address<'_>> {
    let known = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let known = known.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
    match known {
        Ok(address) => Some(Address::Text(address.to_string())),
        Err(_) => (!bytes.is_empty()).then_some(Address::Bytes(bytes)),
    }
}

fn lists(message: &[u8], head: &Head<'_>, out: &mut Vec<u8>) -> Walk<()> {
    each(message, |key, reader| match key {
        TAGS => {
            let (name, value) = entry(reader.bytes()?)?;
            if head.known.takes(name, Tag::Text(value)) {
                return Ok(());
            }
            put_attribute(out, otlp::span::ATTRIBUTES, name, Tag::Text(value))
        }
        ANNOTATIONS => {
            let (at, value) = annotation(reader.bytes()?)?;
            nested(out, otlp::span::EVENTS, |out| {
                put_fixed64(out, otlp::EVENT_TIME, unix_nano(i128::from(at) * 1_000));
                put_text(out, otlp::EVENT_NAME, value);
                Ok(())
            })
        }
        _ => reader.other(key, 0),
    })
}

fn endpoint<'a>(message: &'a [u8], endpoint: &mut Endpoint<'a>) -> Walk<()> {
    each(message, |key, reader| {
        match key {
            _ if key == bytes(1) => endpoint.service = reader.str()?,
            _ if key == bytes(2) => endpoint.ipv4 = reader.bytes()?,
            _ if key == bytes(3) => endpoint.ipv6 = reader.bytes()?,
            _ if key == varint(4) => endpoint.port = reader.int32()?,
            _ => reader.other(key, fields(&[1, 2, 3, 4]))?,
        }
        Ok(())
    })
}

fn annotation(message: &[u8]) -> Walk<(u64, &str)> {
    let (mut at, mut value) = (0, "");
    each(message, |key, reader| {
        match key {
            _ if key == fixed64(1) => at = reader.fixed64()?,
            _ if key == bytes(2) => value = reader.str()?,
            _ => reader.other(key, fields(&[1, 2]))?,
        }
        Ok(())
    })?;
    Ok((at, value))
}

/// An entry of a map of texts.
fn entry(message: &[u8]) -> Walk<(&str, &str)> {
    let (mut name, mut value) = ("", "");
    each(message, |key, reader| {
        match key {
            _ if key == bytes(1) => name = reader.str()?,
            _ if key == bytes(2) => value = reader.str()?,
            _ => reader.other(key, fields(&[1, 2]))?,
        }
        Ok(())
    })?;
    Ok((name, value))
}
