//! How do LogRecord messages become rows?
//!
//! L1  A record is rejected for times past i64 only. A trace or span id of a wrong length means "no correlation", as
//!     the protocol has it, and is counted as a warning.
//! L2  A record that tells no time has the time of its observation, else that of its receipt.

use super::envelope::{self, Frame, Head, Names, Records};
use super::spans::time;
use super::value::Scratch;
use super::wire::{Reader, Reason, Result, Within};
use std::borrow::Cow;
use storage::model::attribute::{Map, MapBuilder};
use storage::model::origin::{Resource, Scope};
use storage::model::{Batch, LogBatchBuilder, LogRecord, Signal, SpanId, TraceId};

mod key {
    use super::super::wire::{bytes, fields, fixed32, fixed64, varint};
    pub(super) const TIME: u32 = fixed64(1);
    pub(super) const SEVERITY_NUMBER: u32 = varint(2);
    pub(super) const SEVERITY_TEXT: u32 = bytes(3);
    pub(super) const BODY: u32 = bytes(5);
    pub(super) const ATTRIBUTES: u32 = bytes(6);
    pub(super) const DROPPED_ATTRIBUTES_COUNT: u32 = varint(7);
    pub(super) const FLAGS: u32 = fixed32(8);
    pub(super) const TRACE_ID: u32 = bytes(9);
    pub(super) const SPAN_ID: u32 = bytes(10);
    pub(super) const OBSERVED_TIME: u32 = fixed64(11);
    pub(super) const EVENT_NAME: u32 = bytes(12);
    pub(super) const ALL: u64 = fields(&[1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12]);
}

/// Bodies, and attributes, take one byte in so many of a request, about, as columns have them.
const SHARE: usize = 4;

/// The parts of a record of which there may be many.
pub(super) const PARTS: [u32; 1] = [key::ATTRIBUTES];

/// Decodes a request of log records.
pub(super) fn decode(payload: &[u8], frame: &mut Frame) -> Result<Batch> {
    let rows = envelope::count(Signal::Logs, payload).min(frame.scratch.limits.records);
    let share = payload.len() / SHARE;
    let mut logs = Logs { builder: LogBatchBuilder::with_room(rows, share, share), ..Logs::default() };
    envelope::request(payload, &mut logs, frame)?;
    logs.builder.finish().or_else(|_| Reader::new(payload).fault(Reason::Columns))
}

#[derive(Debug, Default)]
struct Logs {
    builder: LogBatchBuilder,
    attributes: MapBuilder,
    attributes_cell: Vec<u8>,
    body: Vec<u8>,
}

#[derive(Default)]
struct Raw<'a> {
    time: u64,
    observed_time: u64,
    severity_number: i32,
    severity_text: &'a str,
    body: Option<Cow<'a, [u8]>>,
    event_name: &'a str,
    trace_id: &'a [u8],
    span_id: &'a [u8],
    flags: u32,
    dropped_attributes_count: u32,
}

impl Records for Logs {
    const NAMES: Names =
        Names { resources: "resource_logs", scopes: "scope_logs", records: "log_records", row: "log record" };

    fn set_resource(&mut self, resource: &Resource<'_>) {
        self.builder.set_resource(resource);
    }

    fn set_scope(&mut self, scope: &Scope<'_>) {
        self.builder.set_scope(scope);
    }

    fn record(&mut self, message: &[u8], head: &Head<'_>, frame: &mut Frame) -> Result<()> {
        let raw = self.read(message, &mut frame.scratch)?;
        self.body.clear();
        if let Some(body) = &raw.body {
            frame.scratch.any_value(body, &mut self.body, 1).within("body")?;
        }
        self.attributes_cell.clear();
        self.attributes.finish_into(&mut self.attributes_cell);
        let times = time("time_unix_nano", raw.time)
            .and_then(|told| Ok((told, time("observed_time_unix_nano", raw.observed_time)?)))
            .map_err(|rejection| frame.scratch.reject(rejection));
        if !frame.accept(self, head) {
            return Ok(());
        }
        let Ok((told, observed)) = times else { return Ok(()) };
        let time = [told, observed].into_iter().find(|&time| time != 0).unwrap_or(frame.received_at);
        let (trace_id, span_id) = (TraceId::from_slice(raw.trace_id), SpanId::from_slice(raw.span_id));
        frame.scratch.warnings += u64::from(trace_id.is_none() && !raw.trace_id.is_empty());
        frame.scratch.warnings += u64::from(span_id.is_none() && !raw.span_id.is_empty());
        let record = LogRecord {
            time,
            observed_time: (observed != 0).then_some(observed),
            severity_number: raw.severity_number,
            severity_text: raw.severity_text,
            body: &self.body,
            event_name: raw.event_name,
            trace_id,
            span_id,
            flags: raw.flags,
            attributes: Map::new(&self.attributes_cell),
            dropped_attributes_count: raw.dropped_attributes_count,
        };
        self.builder.append(&record).or_else(|_| Reader::new(message).fault(Reason::Columns))
    }
}

impl Logs {
    fn read<'a>(&mut self, message: &'a [u8], scratch: &mut Scratch) -> Result<Raw<'a>> {
        let mut raw = Raw::default();
        let mut reader = Reader::new(message);
        while let Some(key) = reader.key()? {
            match key {
                key::TIME => raw.time = reader.fixed64()?,
                key::OBSERVED_TIME => raw.observed_time = reader.fixed64()?,
                key::SEVERITY_NUMBER => raw.severity_number = reader.int32()?,
                key::SEVERITY_TEXT => raw.severity_text = reader.str()?,
                key::BODY => {
                    let piece = reader.bytes()?;
                    raw.body = Some(match raw.body {
                        None => Cow::Borrowed(piece),
                        Some(before) => scratch.join_values(before, piece, 1).within("body")?,
                    });
                }
                key::ATTRIBUTES => {
                    scratch.key_value(reader.bytes()?, &mut self.attributes, 1).within("attributes")?;
                }
                key::DROPPED_ATTRIBUTES_COUNT => raw.dropped_attributes_count = reader.uint32()?,
                key::FLAGS => raw.flags = reader.fixed32()?,
                key::TRACE_ID => raw.trace_id = reader.bytes()?,
                key::SPAN_ID => raw.span_id = reader.bytes()?,
                key::EVENT_NAME => raw.event_name = reader.str()?,
                _ => reader.other(key, key::ALL)?,
            }
        }
        Ok(raw)
    }
}
