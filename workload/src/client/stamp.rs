//! How does one prepared request become many, each with ids and times of its own?
//!
//! A walk over the encoded request notes where its ids and times lie; a copy is then overwritten in place. Ids keep their
//! number and get another generation, so that parents, links and exemplars still point at the same things, in whatever
//! request of the same generation those are.
//!
//! Invariants
//! - P1: stamping changes ids and times only; lengths and everything else stay.
//! - P2: within one generation, equal ids stay equal; over all generations different ids stay different.
//! - P3: generation 0 without a shift is the identity.
//!
//! Not here: choosing generation and times (`dispenser`).

use crate::config::Signal;
use crate::identity::Identity;

/// The bytes are not the protobuf message that they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed protobuf at byte {0}")]
pub struct Malformed(usize);

/// A request that cannot be rewritten.
pub(super) fn malformed() -> Malformed {
    Malformed(0)
}

/// What lies at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Trace,
    Span,
    /// A moment.
    Time,
    /// When a metric point's counting began.
    Start,
}

/// A place in a request, and the number of the id or the time that lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Site {
    pub(super) at: u32,
    pub(super) mark: Mark,
    pub(super) value: u64,
}

/// How ids and times are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As protobuf does: raw bytes, little-endian words.
    Binary,
    /// As OTLP/JSON does: hex digits, 19 decimal digits.
    Text,
}

/// What times become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// Each moves by as much.
    Shift(i64),
    /// All moments become `now`, all beginnings `start` (for metrics sent faster than they were collected).
    Fixed { start: u64, now: u64 },
}

impl Clock {
    fn read(self, mark: Mark, value: u64) -> u64 {
        match (self, mark) {
            // A gauge has no beginning.
            (_, Mark::Start) if value == 0 => 0,
            (Self::Shift(by), _) => value.saturating_add_signed(by),
            (Self::Fixed { start, .. }, Mark::Start) => start,
            (Self::Fixed { now, .. }, _) => now,
        }
    }
}

/// The places of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sites {
    pub(super) sites: Vec<Site>,
    /// Per span of a trace request: the numbers of its own trace id and span id.
    pub(super) spans: Vec<(u64, u64)>,
    /// Spans, log records or data points.
    pub(super) items: u64,
}

/// The messages on the way to ids and times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Request,
    Resource,
    Scope,
    Span,
    Event,
    Link,
    Log,
    Metric,
    /// Gauge, sum or another kind of data, with what its points are.
    Data(&'static Node),
    Number,
    Histogram,
    Exponential,
    Summary,
    Exemplar,
}

/// What to do with a field.
#[derive(Debug, Clone, Copy)]
enum Action {
    Pass,
    Enter(Node),
    Mark(Mark),
}

fn action(node: Node, field: u64, signal: Signal) -> Action {
    match (node, field) {
        (Node::Request, 1) => Action::Enter(Node::Resource),
        (Node::Resource, 2) => Action::Enter(Node::Scope),
        (Node::Scope, 2) => Action::Enter(match signal {
            Signal::Spans => Node::Span,
            Signal::Logs => Node::Log,
            Signal::Metrics => Node::Metric,
        }),
        (Node::Span, 11) => Action::Enter(Node::Event),
        (Node::Span, 13) => Action::Enter(Node::Link),
        (Node::Span | Node::Link, 1) | (Node::Log, 9) | (Node::Exemplar, 5) => Action::Mark(Mark::Trace),
        (Node::Span, 2 | 4) | (Node::Link, 2) | (Node::Log, 10) | (Node::Exemplar, 4) => Action::Mark(Mark::Span),
        (Node::Span, 7 | 8) | (Node::Event, 1) | (Node::Log, 1 | 11) | (Node::Exemplar, 2) => Action::Mark(Mark::Time),
        (Node::Metric, 5 | 7) => Action::Enter(Node::Data(&Node::Number)),
        (Node::Metric, 9) => Action::Enter(Node::Data(&Node::Histogram)),
        (Node::Metric, 10) => Action::Enter(Node::Data(&Node::Exponential)),
        (Node::Metric, 11) => Action::Enter(Node::Data(&Node::Summary)),
        (Node::Data(point), 1) => Action::Enter(*point),
        (Node::Number | Node::Histogram | Node::Exponential | Node::Summary, 2) => Action::Mark(Mark::Start),
        (Node::Number | Node::Histogram | Node::Exponential | Node::Summary, 3) => Action::Mark(Mark::Time),
        (Node::Number, 5) | (Node::Histogram, 8) | (Node::Exponential, 11) => Action::Enter(Node::Exemplar),
        _ => Action::Pass,
    }
}

/// Finds the places of a protobuf request.
pub(super) fn scan(bytes: &[u8], signal: Signal, identity: &Identity) -> Result<Sites, Malformed> {
    let mut walk = Walk { bytes, signal, identity, found: Sites::default() };
    walk.message(Node::Request, 0, bytes.len())?;
    Ok(walk.found)
}

struct Walk<'a> {
    bytes: &'a [u8],
    signal: Signal,
    identity: &'a Identity,
    found: Sites,
}

impl Walk<'_> {
    fn varint(&self, at: &mut usize, end: usize) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(*at).filter(|_| *at < end).ok_or(Malformed(*at))?;
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed(*at))
    }

    /// The recursion is as deep as `Node` has levels.
    fn message(&mut self, node: Node, mut at: usize, end: usize) -> Result<(), Malformed> {
        let own = self.found.sites.len();
        while at < end {
            let tag = self.varint(&mut at, end)?;
            let length = match tag & 7 {
                0 => {
                    self.varint(&mut at, end)?;
                    0
                }
                1 => 8,
                2 => usize::try_from(self.varint(&mut at, end)?).map_err(|_| Malformed(at))?,
                5 => 4,
                _ => return Err(Malformed(at)),
            };
            let next = at.checked_add(length).filter(|next| *next <= end).ok_or(Malformed(at))?;
            match (action(node, tag >> 3, self.signal), tag & 7) {
                (Action::Enter(inner), 2) => self.message(inner, at, next)?,
                (Action::Mark(mark), 1 | 2) => self.mark(mark, at, next)?,
                _ => {}
            }
            at = next;
        }
        self.count(node, own);
        Ok(())
    }

    fn mark(&mut self, mark: Mark, at: usize, end: usize) -> Result<(), Malformed> {
        let bytes = &self.bytes[at..end];
        let value = match mark {
            _ if bytes.is_empty() => return Ok(()),
            Mark::Trace => self.identity.trace_number(bytes.try_into().map_err(|_| Malformed(at))?).1,
            Mark::Span => self.identity.span_number(bytes.try_into().map_err(|_| Malformed(at))?).1,
            Mark::Time | Mark::Start => u64::from_le_bytes(bytes.try_into().map_err(|_| Malformed(at))?),
        };
        let at = u32::try_from(at).map_err(|_| Malformed(at))?;
        self.found.sites.push(Site { at, mark, value });
        Ok(())
    }

    fn count(&mut self, node: Node, own: usize) {
        match node {
            Node::Span => {
                // Tag order: the span's own ids come before its parent's and its links'.
                let first =
                    |mark| self.found.sites[own..].iter().find(|site| site.mark == mark).map_or(0, |site| site.value);
                self.found.spans.push((first(Mark::Trace), first(Mark::Span)));
                self.found.items += 1;
            }
            Node::Log | Node::Number | Node::Histogram | Node::Exponential | Node::Summary => self.found.items += 1,
            _ => {}
        }
    }
}

/// Overwrites the ids and times of a copy of the request that was scanned.
pub(super) fn stamp(bytes: &mut [u8], sites: &Sites, form: Form, identity: &Identity, generation: u64, clock: Clock) {
    for site in &sites.sites {
        let at = site.at as usize;
        match (site.mark, form) {
            (Mark::Trace, Form::Binary) => put(bytes, at, &identity.trace_id(generation, site.value)),
            (Mark::Span, Form::Binary) => put(bytes, at, &identity.span_id(generation, site.value)),
            (Mark::Trace, Form::Text) => put_hex(bytes, at, &identity.trace_id(generation, site.value)),
            (Mark::Span, Form::Text) => put_hex(bytes, at, &identity.span_id(generation, site.value)),
            (mark, Form::Binary) => put(bytes, at, &clock.read(mark, site.value).to_le_bytes()),
            (mark, Form::Text) => put_decimal(bytes, at, clock.read(mark, site.value)),
        }
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

pub(super) const HEX: &[u8; 16] = b"0123456789abcdef";

fn put_hex(bytes: &mut [u8], at: usize, value: &[u8]) {
    for (pair, byte) in bytes[at..at + 2 * value.len()].chunks_exact_mut(2).zip(value) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
}

/// Times of this century have 19 digits; see `EARLIEST_START`.
const DIGITS: usize = 19;

fn put_decimal(bytes: &mut [u8], at: usize, mut value: u64) {
    if value == 0 {
        return;
    }
    for digit in bytes[at..at + DIGITS].iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests;
