//! How do Span messages become rows?
//!
//! S1  A span is rejected for a trace_id or span_id that is not 16 or 8 bytes or all zeros, for a parent_span_id of
//!     another length (empty and all zeros mean "root"), and for times past i64.
//! S2  Events and links are kept as sent, whatever their ids and times.

use super::Rejection;
use super::envelope::{self, Frame, Head, Names, Records};
use super::value::Scratch;
use super::wire::{Reader, Reason, Result, Within};
use storage::model::attribute::{Map, MapBuilder};
use storage::model::origin::{Resource, Scope};
use storage::model::record::{Event, Link};
use storage::model::{Batch, Signal, Span, SpanBatchBuilder, SpanId, TraceId};

mod key {
    use super::super::wire::{bytes, fields, fixed32, fixed64, varint};
    pub(super) const TRACE_ID: u32 = bytes(1);
    pub(super) const SPAN_ID: u32 = bytes(2);
    pub(super) const TRACE_STATE: u32 = bytes(3);
    pub(super) const PARENT_SPAN_ID: u32 = bytes(4);
    pub(super) const NAME: u32 = bytes(5);
    pub(super) const KIND: u32 = varint(6);
    pub(super) const START: u32 = fixed64(7);
    pub(super) const END: u32 = fixed64(8);
    pub(super) const ATTRIBUTES: u32 = bytes(9);
    pub(super) const DROPPED_ATTRIBUTES_COUNT: u32 = varint(10);
    pub(super) const EVENTS: u32 = bytes(11);
    pub(super) const DROPPED_EVENTS_COUNT: u32 = varint(12);
    pub(super) const LINKS: u32 = bytes(13);
    pub(super) const DROPPED_LINKS_COUNT: u32 = varint(14);
    pub(super) const STATUS: u32 = bytes(15);
    pub(super) const FLAGS: u32 = fixed32(16);
    pub(super) const ALL: u64 = fields(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);

    pub(super) mod event {
        use super::{bytes, fields, fixed64, varint};
        pub(in super::super) const TIME: u32 = fixed64(1);
        pub(in super::super) const NAME: u32 = bytes(2);
        pub(in super::super) const ATTRIBUTES: u32 = bytes(3);
        pub(in super::super) const DROPPED_ATTRIBUTES_COUNT: u32 = varint(4);
        pub(in super::super) const ALL: u64 = fields(&[1, 2, 3, 4]);
    }
    pub(super) mod link {
        use super::{bytes, fields, fixed32, varint};
        pub(in super::super) const TRACE_ID: u32 = bytes(1);
        pub(in super::super) const SPAN_ID: u32 = bytes(2);
        pub(in super::super) const TRACE_STATE: u32 = bytes(3);
        pub(in super::super) const ATTRIBUTES: u32 = bytes(4);
        pub(in super::super) const DROPPED_ATTRIBUTES_COUNT: u32 = varint(5);
        pub(in super::super) const FLAGS: u32 = fixed32(6);
        pub(in super::super) const ALL: u64 = fields(&[1, 2, 3, 4, 5, 6]);
    }
    pub(super) mod status {
        use super::{bytes, fields, varint};
        pub(in super::super) const MESSAGE: u32 = bytes(2);
        pub(in super::super) const CODE: u32 = varint(3);
        pub(in super::super) const ALL: u64 = fields(&[2, 3]);
    }
}

/// The parts of a span of which there may be many, and of events and links.
pub(super) const PARTS: [u32; 3] = [key::ATTRIBUTES, key::EVENTS, key::LINKS];
pub(super) const PARTS_OF_PARTS: [u32; 2] = [key::event::ATTRIBUTES, key::link::ATTRIBUTES];

/// Attributes take one byte in so many of a request, about, as columns have them.
const ATTRIBUTE_SHARE: usize = 2;

/// Decodes a request of spans.
pub(super) fn decode(payload: &[u8], frame: &mut Frame) -> Result<Batch> {
    let rows = envelope::count(Signal::Spans, payload).min(frame.scratch.limits.records);
    let builder = SpanBatchBuilder::with_room(rows, payload.len() / ATTRIBUTE_SHARE);
    let mut spans = Spans { builder, ..Spans::default() };
    envelope::request(payload, &mut spans, frame)?;
    spans.builder.finish().or_else(|_| Reader::new(payload).fault(Reason::Columns))
}

#[derive(Debug, Default)]
struct Spans {
    builder: SpanBatchBuilder,
    attributes: MapBuilder,
    /// Attributes of events and links in the making, then encoded.
    inner: MapBuilder,
    cell: Vec<u8>,
    /// Encoded parts of the span at hand.
    attributes_cell: Vec<u8>,
    events: Vec<u8>,
    links: Vec<u8>,
}

/// The fields of a Span message as sent, without its lists.
#[derive(Default)]
struct Raw<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    parent_span_id: &'a [u8],
    trace_state: &'a str,
    name: &'a str,
    kind: i32,
    start: u64,
    end: u64,
    dropped_attributes_count: u32,
    dropped_events_count: u32,
    dropped_links_count: u32,
    status_code: i32,
    status_message: &'a str,
    flags: u32,
}

impl Records for Spans {
    const NAMES: Names = Names { resources: "resource_spans", scopes: "scope_spans", records: "spans", row: "span" };

    fn set_resource(&mut self, resource: &Resource<'_>) {
        self.builder.set_resource(resource);
    }

    fn set_scope(&mut self, scope: &Scope<'_>) {
        self.builder.set_scope(scope);
    }

    fn record(&mut self, message: &[u8], head: &Head<'_>, frame: &mut Frame) -> Result<()> {
        self.events.clear();
        self.links.clear();
        let raw = self.read(message, &mut frame.scratch)?;
        self.attributes_cell.clear();
        self.attributes.finish_into(&mut self.attributes_cell);
        let checked = check(&raw).map_err(|rejection| frame.scratch.reject(rejection));
        if !frame.accept(self, head) {
            return Ok(());
        }
        let Ok((trace_id, span_id, parent_span_id, start, end)) = checked else { return Ok(()) };
        let span = Span {
            trace_id,
            span_id,
            parent_span_id,
            trace_state: raw.trace_state,
            flags: raw.flags,
            name: raw.name,
            kind: raw.kind,
            start,
            // Both are at least 0, so the difference fits.
            duration: end.wrapping_sub(start),
            status_code: raw.status_code,
            status_message: raw.status_message,
            attributes: Map::new(&self.attributes_cell),
            dropped_attributes_count: raw.dropped_attributes_count,
            events: &self.events,
            dropped_events_count: raw.dropped_events_count,
            links: &self.links,
            dropped_links_count: raw.dropped_links_count,
        };
        self.builder.append(&span).or_else(|_| Reader::new(message).fault(Reason::Columns))
    }
}

impl Spans {
    fn read<'a>(&mut self, message: &'a [u8], scratch: &mut Scratch) -> Result<Raw<'a>> {
        let mut raw = Raw::default();
        let mut reader = Reader::new(message);
        while let Some(key) = reader.key()? {
            match key {
                key::ATTRIBUTES => {
                    scratch.key_value(reader.bytes()?, &mut self.attributes, 1).within("attributes")?;
                }
                key::TRACE_ID => raw.trace_id = reader.bytes()?,
                key::SPAN_ID => raw.span_id = reader.bytes()?,
                key::TRACE_STATE => raw.trace_state = reader.str()?,
                key::PARENT_SPAN_ID => raw.parent_span_id = reader.bytes()?,
                key::NAME => raw.name = reader.str()?,
                key::KIND => raw.kind = reader.int32()?,
                key::START => raw.start = reader.fixed64()?,
                key::END => raw.end = reader.fixed64()?,
                key::DROPPED_ATTRIBUTES_COUNT => raw.dropped_attributes_count = reader.uint32()?,
                key::EVENTS => self.event(reader.bytes()?, scratch).within("events")?,
                key::DROPPED_EVENTS_COUNT => raw.dropped_events_count = reader.uint32()?,
                key::LINKS => self.link(reader.bytes()?, scratch).within("links")?,
                key::DROPPED_LINKS_COUNT => raw.dropped_links_count = reader.uint32()?,
                key::STATUS => status(reader.bytes()?, &mut raw).within("status")?,
                key::FLAGS => raw.flags = reader.fixed32()?,
                _ => reader.other(key, key::ALL)?,
            }
        }
        Ok(raw)
    }

    fn event(&mut self, message: &[u8], scratch: &mut Scratch) -> Result<()> {
        let mut event = Event { time_unix_nano: 0, name: "", attributes: Map::default(), dropped_attributes_count: 0 };
        let mut reader = Reader::new(message);
        while let Some(key) = reader.key()? {
            match key {
                key::event::TIME => event.time_unix_nano = reader.fixed64()?,
                key::event::NAME => event.name = reader.str()?,
                key::event::ATTRIBUTES => {
                    scratch.key_value(reader.bytes()?, &mut self.inner, 1).within("attributes")?;
                }
                key::event::DROPPED_ATTRIBUTES_COUNT => event.dropped_attributes_count = reader.uint32()?,
                _ => reader.other(key, key::event::ALL)?,
            }
        }
        self.cell.clear();
        self.inner.finish_into(&mut self.cell);
        event.attributes = Map::new(&self.cell);
        event.put(&mut self.events);
        Ok(())
    }

    fn link(&mut self, message: &[u8], scratch: &mut Scratch) -> Result<()> {
        let mut link = Link {
            trace_id: &[],
            span_id: &[],
            trace_state: "",
            attributes: Map::default(),
            dropped_attributes_count: 0,
            flags: 0,
        };
        let mut reader = Reader::new(message);
        while let Some(key) = reader.key()? {
            match key {
                key::link::TRACE_ID => link.trace_id = reader.bytes()?,
                key::link::SPAN_ID => link.span_id = reader.bytes()?,
                key::link::TRACE_STATE => link.trace_state = reader.str()?,
                key::link::ATTRIBUTES => {
                    scratch.key_value(reader.bytes()?, &mut self.inner, 1).within("attributes")?;
                }
                key::link::DROPPED_ATTRIBUTES_COUNT => link.dropped_attributes_count = reader.uint32()?,
                key::link::FLAGS => link.flags = reader.fixed32()?,
                _ => reader.other(key, key::link::ALL)?,
            }
        }
        self.cell.clear();
        self.inner.finish_into(&mut self.cell);
        link.attributes = Map::new(&self.cell);
        link.put(&mut self.links);
        Ok(())
    }
}

fn status<'a>(message: &'a [u8], raw: &mut Raw<'a>) -> Result<()> {
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            key::status::MESSAGE => raw.status_message = reader.str()?,
            key::status::CODE => raw.status_code = reader.int32()?,
            _ => reader.other(key, key::status::ALL)?,
        }
    }
    Ok(())
}

type Checked = (TraceId, SpanId, Option<SpanId>, i64, i64);

fn check(raw: &Raw<'_>) -> std::result::Result<Checked, Rejection> {
    let trace_id = TraceId::from_slice(raw.trace_id).ok_or_else(|| invalid_id("trace_id", raw.trace_id, 16))?;
    let span_id = SpanId::from_slice(raw.span_id).ok_or_else(|| invalid_id("span_id", raw.span_id, 8))?;
    let parent_span_id = SpanId::from_slice(raw.parent_span_id);
    if parent_span_id.is_none() && raw.parent_span_id.iter().any(|&byte| byte != 0) {
        return Err(invalid_id("parent_span_id", raw.parent_span_id, 8));
    }
    let start = time("start_time_unix_nano", raw.start)?;
    let end = time("end_time_unix_nano", raw.end)?;
    Ok((trace_id, span_id, parent_span_id, start, end))
}

fn invalid_id(field: &'static str, id: &[u8], expected: usize) -> Rejection {
    if id.len() == expected {
        Rejection::IdZero { field }
    } else {
        Rejection::IdLength { field, length: id.len(), expected }
    }
}

/// A time as the store holds it.
#[inline]
pub(super) fn time(field: &'static str, value: u64) -> std::result::Result<i64, Rejection> {
    i64::try_from(value).map_err(|_| Rejection::TimeRange { field, value })
}
