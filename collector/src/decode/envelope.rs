//! How are the two outer levels of a request walked? They are alike for the three signals:
//!
//! ```text
//! request    := 1: per resource*
//! per resource := 1: resource, 2: per scope*, 3: schema url
//! per scope    := 1: scope,    2: record*,    3: schema url
//! ```
//!
//! A resource may stand after its scopes, so each level is walked twice: once for what its records share, once for
//! the records. A resource or scope reaches the batch with its first accepted record.

use super::origin::{self, OriginBuffers};
use super::value::Scratch;
use super::wire::{self, Reader, Result, Within};
use super::{DecodeLimits, Rejection};
use std::ops::Range;
use storage::model::Signal;
use storage::model::origin::{Resource, Scope};

const SHARED: u32 = wire::bytes(1);
const ITEMS: u32 = wire::bytes(2);
const SCHEMA_URL: u32 = wire::bytes(3);
const ALL: u64 = wire::fields(&[1, 2, 3]);

const RESOURCES: u32 = wire::bytes(1);
const RESOURCES_ALL: u64 = wire::fields(&[1]);

/// The names of the levels in one signal's messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    pub(super) resources: &'static str,
    pub(super) scopes: &'static str,
    pub(super) records: &'static str,
    /// What a row is called in messages.
    pub(super) row: &'static str,
}

/// What one signal does with its records.
pub(super) trait Records {
    const NAMES: Names;

    /// Decodes one Span, LogRecord or Metric.
    fn record(&mut self, message: &[u8], head: &Head<'_>, frame: &mut Frame) -> Result<()>;
    fn set_resource(&mut self, resource: &Resource<'_>);
    fn set_scope(&mut self, scope: &Scope<'_>);
}

/// What the records of one scope share.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) resource: &'a Resource<'a>,
    pub(super) scope: &'a Scope<'a>,
    /// Why all of them must be rejected, if they must.
    pub(super) rejection: Option<Rejection>,
}

/// What is said of records that are stored: one of each kind.
pub(super) type Notices = [Option<String>; 2];

/// The state of one request's decoding.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) scratch: Scratch,
    pub(super) received_at: i64,
    pub(super) rejected: u64,
    /// The rows that were rejected; neighbours are one range.
    pub(super) left_out: Vec<Range<usize>>,
    pub(super) message: Option<String>,
    pub(super) notices: Notices,
    pub(super) service: Option<String>,
    buffers: OriginBuffers,
    resource_is_set: bool,
    scope_is_set: bool,
    rows: usize,
    resource: u64,
    scope: u64,
    record: u64,
}

impl Frame {
    pub(super) fn new(received_at: i64, limits: &DecodeLimits) -> Self {
        Frame {
            scratch: Scratch::new(limits),
            received_at,
            rejected: 0,
            left_out: Vec::new(),
            message: None,
            notices: Notices::default(),
            service: None,
            buffers: OriginBuffers::default(),
            resource_is_set: false,
            scope_is_set: false,
            rows: 0,
            resource: 0,
            scope: 0,
            record: 0,
        }
    }

    /// Says whether the row at hand is accepted; if so, its resource and scope are set.
    #[inline]
    pub(super) fn accept<R: Records>(&mut self, records: &mut R, head: &Head<'_>) -> bool {
        self.rows += 1;
        if self.scratch.rejection.is_some() || head.rejection.is_some() || self.rows > self.scratch.limits.records {
            self.reject(head, &R::NAMES);
            return false;
        }
        if !self.resource_is_set {
            self.resource_is_set = true;
            self.service.get_or_insert_with(|| head.resource.service_name().to_owned());
            records.set_resource(head.resource);
        }
        if !self.scope_is_set {
            self.scope_is_set = true;
            records.set_scope(head.scope);
        }
        true
    }

    /// What the sender is told of what was rejected first, and of what is not seen by everyone.
    pub(super) fn told(&mut self) -> Option<String> {
        let all = self.message.take().into_iter().chain(std::mem::take(&mut self.notices).into_iter().flatten());
        all.reduce(|told, more| format!("{told}; {more}"))
    }

    #[cold]
    fn reject(&mut self, head: &Head<'_>, names: &Names) {
        let rejection = self.scratch.rejection.take().or_else(|| head.rejection.clone());
        let rejection = rejection.unwrap_or(Rejection::TooManyRecords { limit: self.scratch.limits.records });
        self.rejected += 1;
        match self.left_out.last_mut() {
            Some(last) if last.end + 1 == self.rows => last.end = self.rows,
            _ => self.left_out.push(self.rows - 1..self.rows),
        }
        let Frame { resource, scope, record, .. } = self;
        self.message.get_or_insert_with(|| {
            let Names { resources, scopes, records, row } = names;
            format!(
                "first rejected {row} in {resources}[{resource}].{scopes}[{scope}].{records}[{record}]: {rejection}"
            )
        });
    }
}

/// Walks a request.
pub(super) fn request<R: Records>(payload: &[u8], records: &mut R, frame: &mut Frame) -> Result<()> {
    let mut reader = Reader::new(payload);
    while let Some(key) = reader.key()? {
        match key {
            RESOURCES => {
                resource(reader.bytes()?, records, frame).within(R::NAMES.resources)?;
                frame.resource += 1;
            }
            _ => reader.other(key, RESOURCES_ALL)?,
        }
    }
    Ok(())
}

fn resource<R: Records>(message: &[u8], records: &mut R, frame: &mut Frame) -> Result<()> {
    let mut buffers = std::mem::take(&mut frame.buffers);
    buffers.resource.clear();
    let mut shared = Resource::default();
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            SHARED => {
                let piece = reader.bytes()?;
                origin::resource(piece, &mut shared, &mut buffers.map, &mut frame.scratch).within("resource")?;
            }
            ITEMS => drop(reader.bytes()?),
            SCHEMA_URL => shared.schema_url = reader.str()?,
            _ => reader.other(key, ALL)?,
        }
    }
    buffers.map.finish_into(&mut buffers.resource);
    let resource_cell = std::mem::take(&mut buffers.resource);
    shared.attributes = storage::model::attribute::Map::new(&resource_cell);
    let rejection = frame.scratch.rejection.take();
    frame.resource_is_set = false;
    frame.scope = 0;
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            ITEMS => {
                let items = reader.bytes()?;
                scope(items, (&shared, rejection.as_ref()), records, frame, &mut buffers).within(R::NAMES.scopes)?;
                frame.scope += 1;
            }
            SHARED | SCHEMA_URL => drop(reader.bytes()?),
            _ => reader.other(key, ALL)?,
        }
    }
    buffers.resource = resource_cell;
    frame.buffers = buffers;
    Ok(())
}

fn scope<R: Records>(
    message: &[u8],
    (resource, rejection): (&Resource<'_>, Option<&Rejection>),
    records: &mut R,
    frame: &mut Frame,
    buffers: &mut OriginBuffers,
) -> Result<()> {
    let mut shared = Scope::default();
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            ITEMS => drop(reader.bytes()?),
            SHARED => {
                let piece = reader.bytes()?;
                origin::scope(piece, &mut shared, &mut buffers.map, &mut frame.scratch).within("scope")?;
            }
            SCHEMA_URL => shared.schema_url = reader.str()?,
            _ => reader.other(key, ALL)?,
        }
    }
    buffers.scope.clear();
    buffers.map.finish_into(&mut buffers.scope);
    shared.attributes = storage::model::attribute::Map::new(&buffers.scope);
    let rejection = rejection.cloned().or_else(|| frame.scratch.rejection.take());
    frame.scratch.rejection = None;
    let head = Head { resource, scope: &shared, rejection };
    frame.scope_is_set = false;
    frame.record = 0;
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            ITEMS => {
                records.record(reader.bytes()?, &head, frame).within(R::NAMES.records)?;
                frame.record += 1;
            }
            SHARED | SCHEMA_URL => drop(reader.bytes()?),
            _ => reader.other(key, ALL)?,
        }
    }
    Ok(())
}

/// Counts rows without decoding them; where the request is malformed, those before.
pub(super) fn count(signal: Signal, payload: &[u8]) -> usize {
    let mut rows = 0;
    each(payload, &[RESOURCES], &mut |resource| {
        each(resource, &[ITEMS], &mut |scope| {
            each(scope, &[ITEMS], &mut |record| match signal {
                Signal::Spans | Signal::Logs => rows += 1,
                Signal::Metrics => {
                    each(record, &super::metrics::DATA_KEYS, &mut |data| {
                        each(data, &[super::metrics::POINTS], &mut |_| rows += 1);
                    });
                }
            });
        });
    });
    rows
}

/// Counts attributes, events and links of spans and log records, and exemplars and quantiles of points, that take few bytes here.
pub(super) fn count_small_parts(signal: Signal, payload: &[u8]) -> usize {
    let mut small = 0;
    each(payload, &[RESOURCES], &mut |resource| {
        each(resource, &[ITEMS], &mut |scope| {
            each(scope, &[ITEMS], &mut |record| {
                small += match signal {
                    Signal::Spans => small_parts(record, &super::spans::PARTS, &super::spans::PARTS_OF_PARTS),
                    Signal::Logs => small_parts(record, &super::logs::PARTS, &[]),
                    Signal::Metrics => super::metrics::small_parts(record),
                };
            });
        });
    });
    small
}

/// How many of a message's parts of these keys are small, and within larger ones those of the inner keys.
pub(super) fn small_parts(message: &[u8], keys: &[u32], inner: &[u32]) -> usize {
    /// What takes more is not much larger in memory.
    const SMALL_BYTES: usize = 16;
    let mut small = 0;
    each(message, keys, &mut |part| {
        small += match part.len() {
            ..SMALL_BYTES => 1,
            _ if inner.is_empty() => 0,
            _ => small_parts(part, inner, &[]),
        };
    });
    small
}

/// Calls back for each length-delimited field of the keys, up to the first malformed byte.
pub(super) fn each(message: &[u8], keys: &[u32], found: &mut dyn FnMut(&[u8])) {
    let mut reader = Reader::new(message);
    while let Ok(Some(key)) = reader.key() {
        let went_on = if keys.contains(&key) { reader.bytes().map(&mut *found) } else { reader.other(key, 0) };
        if went_on.is_err() {
            return;
        }
    }
}
