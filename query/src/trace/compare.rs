//! How do two traces differ? Span by span, by their places in the two trees.
//!
//! D1  Every span of either trace is in exactly one pair. The spans of a pair have one service, operation and kind, and so have
//!     their parents, up to the roots; where a parent has no partner nothing below it has (`pair`).
//! D2  The answer depends on the spans only: like siblings are matched in the order of their trace, so that two answers are equal.
//! D3  A span whose parent is not there, and the first of spans that are each other's ancestors, are roots, as in TraceQL; they
//!     are told apart (`detached`).
//! D4  Time and memory grow with the number of spans, whatever the trees look like; attributes are written for a page only.
//!
//! Not here: groups of traces (`compare` of TraceQL), which differ by how often a value occurs.

mod pair;
mod service;
mod side;
#[cfg(test)]
mod tests;

use crate::attribute::{any_value, memory_of};
use crate::error::{Error, Result};
use crate::exec::Control;
use pair::{NONE, Pair, pairs};
use query_api::compare::{
    AttributeDifference, CompareCounts, CompareNode, CompareResponse, ComparedSpan, ComparedTrace,
};
use side::{Interner, Node, Side, Stored};
use storage::model::TraceId;
use storage::model::attribute::{Map, Value};

/// Which nodes are shown, with all that are above them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Show {
    #[default]
    All,
    /// What is in one trace only, or has another status or another attribute.
    Changed,
    /// What is in one trace only, or has another status.
    Structure,
}

/// A comparison to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CompareQuery {
    pub(crate) base: TraceId,
    pub(crate) other: TraceId,
    pub(crate) show: Show,
    /// Nodes of pages before.
    pub(crate) skip: u64,
    pub(crate) limit: usize,
}

/// What a node takes beyond its texts and attributes.
const NODE_BYTES: usize = size_of::<CompareNode>() + 64;
/// What a pair takes while it is decided which are shown.
const PAIR_BYTES: usize = size_of::<Pair>() + size_of::<Change>() + 1;

/// Compares two traces. The answer has no cursor yet.
pub(crate) fn compare(control: &Control, query: &CompareQuery) -> Result<CompareResponse> {
    let stored = [Stored::read(control, query.base)?, Stored::read(control, query.other)?];
    for stored in &stored {
        if stored.is_empty() && control.missing().is_empty() {
            return Err(Error::NotFound { what: format!("no span of trace {} is stored", stored.id) });
        }
    }
    let [base, other] = &stored;
    let mut names = Interner::default();
    let base = Side::new(control, base, &mut names)?;
    let other = Side::new(control, other, &mut names)?;
    let pairs = pairs(control, &base, &other)?;
    control.charge(pairs.len() * PAIR_BYTES)?;
    let both = Both { control, base: &base, other: &other };
    let changes = pairs.iter().map(|pair| both.change(*pair)).collect::<Vec<_>>();
    control.check()?;
    let shown = shown(&pairs, &changes, query.show);
    let skip = usize::try_from(query.skip).unwrap_or(usize::MAX);
    let page = pairs.iter().zip(&shown).filter(|(_, shown)| **shown).skip(skip).take(query.limit);
    let nodes = page.map(|(pair, _)| both.node(*pair, &names)).collect::<Result<Vec<_>>>()?;
    Ok(CompareResponse {
        base: base.summary(&names),
        other: other.summary(&names),
        counts: counts(&pairs, &changes),
        services: service::services(control, (&base, &other), &pairs, &names)?,
        nodes,
        node_count: u64::try_from(shown.iter().filter(|shown| **shown).count()).unwrap_or(u64::MAX),
        next_cursor: None,
        stats: control.stats(),
    })
}

/// How the spans of a pair differ.
#[derive(Debug, Clone, Copy, Default)]
struct Change {
    is_alone: bool,
    status: bool,
    attributes: bool,
}

/// Which pairs are shown: those asked for, and what is above them.
fn shown(pairs: &[Pair], changes: &[Change], show: Show) -> Vec<bool> {
    let wanted = |change: &Change| match show {
        Show::All => true,
        Show::Changed => change.is_alone || change.status || change.attributes,
        Show::Structure => change.is_alone || change.status,
    };
    let mut shown: Vec<bool> = changes.iter().map(wanted).collect();
    // Parents stand before their children.
    for (at, pair) in pairs.iter().enumerate().rev() {
        if shown.get(at) == Some(&true)
            && let Some(parent) = shown.get_mut(pair.parent)
        {
            *parent = true;
        }
    }
    shown
}

fn counts(pairs: &[Pair], changes: &[Change]) -> CompareCounts {
    let mut counts = CompareCounts::default();
    for (pair, change) in pairs.iter().zip(changes) {
        match (pair.base == NONE, pair.other == NONE) {
            (false, true) => counts.only_base += 1,
            (true, _) => counts.only_other += 1,
            (false, false) => counts.both += 1,
        }
        counts.status_changed += u32::from(change.status);
        counts.attributes_changed += u32::from(change.attributes);
    }
    counts
}

/// Two traces in their trees.
struct Both<'a> {
    control: &'a Control,
    base: &'a Side<'a>,
    other: &'a Side<'a>,
}

impl Both<'_> {
    fn change(&self, pair: Pair) -> Change {
        match (self.base.node(pair.base), self.other.node(pair.other)) {
            (Some(base), Some(other)) => Change {
                is_alone: false,
                status: base.status != other.status,
                // The encoding is canonical.
                attributes: self.base.attributes(base).as_bytes() != self.other.attributes(other).as_bytes(),
            },
            _ => Change { is_alone: true, ..Change::default() },
        }
    }

    fn node(&self, pair: Pair, names: &Interner<'_>) -> Result<CompareNode> {
        let (base, other) = (self.base.node(pair.base), self.other.node(pair.other));
        let key = base.or(other).map(|node| node.key).unwrap_or_default();
        let (service, name) = (names.text(key.service).to_owned(), names.text(key.name).to_owned());
        self.control.charge(NODE_BYTES + service.len() + name.len())?;
        let attributes = match (base, other) {
            (Some(base), Some(other)) => self.differences(base, other)?,
            _ => Vec::new(),
        };
        let span = |side: &Side<'_>, node: Option<&Node>| {
            node.map(|node| {
                let span = compared(side, node);
                self.control.charge(span.status_message.len()).map(|()| span)
            })
        };
        Ok(CompareNode {
            depth: pair.depth,
            service,
            name,
            kind: key.kind,
            base: span(self.base, base).transpose()?,
            other: span(self.other, other).transpose()?,
            attributes,
        })
    }

    fn differences(&self, base: &Node, other: &Node) -> Result<Vec<AttributeDifference>> {
        let (base, other) = (self.base.attributes(base), self.other.attributes(other));
        if base.as_bytes() == other.as_bytes() {
            return Ok(Vec::new());
        }
        self.control.charge(memory_of(base) + memory_of(other))?;
        Ok(differences(base, other))
    }
}

fn compared(side: &Side<'_>, node: &Node) -> ComparedSpan {
    ComparedSpan {
        span_id: side.id(node).map(|id| id.to_string()).unwrap_or_default(),
        start_nano: node.start.saturating_sub(side.start),
        duration_nano: node.duration,
        self_nano: node.self_nano,
        status: node.status,
        status_message: side.status_message(node).to_owned(),
        detached: node.is_detached,
    }
}

/// Entries that are in one map only, or have another value there, by key.
fn differences(base: Map<'_>, other: Map<'_>) -> Vec<AttributeDifference> {
    let mut found = Vec::new();
    let (mut base, mut other) = (base.raw_entries().peekable(), other.raw_entries().peekable());
    let key_of = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
    let value_of = |encoded: &[u8]| Value::parse(encoded).map(any_value);
    loop {
        let before = match (base.peek(), other.peek()) {
            (None, None) => return found,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(base), Some(other)) => base.key.cmp(other.key),
        };
        let one = if before.is_le() { base.next() } else { None };
        let two = if before.is_ge() { other.next() } else { None };
        let (one_value, two_value) = (one.map(|entry| entry.value), two.map(|entry| entry.value));
        if one_value != two_value {
            let key = one.or(two).map(|entry| key_of(entry.key)).unwrap_or_default();
            let (base, other) = (one_value.and_then(value_of), two_value.and_then(value_of));
            found.push(AttributeDifference { key, base, other });
        }
    }
}
