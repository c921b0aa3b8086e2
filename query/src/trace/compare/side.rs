//! What is a trace, once it is to be compared? Its spans in the order of a walk through its tree, each with its self time.
//!
//! S1  A node's descendants stand right behind it; its children come by start.
//! S2  Self time is what no child covers of a span: between zero and its duration.

use super::ComparedTrace;
use crate::column::{Cells, Columns, Repeated, Text, span_id};
use crate::error::{Error, Result};
use crate::exec::{Control, Held};
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{
    BinaryArray, FixedSizeBinaryArray, Int32Array, Int64Array, PrimitiveArray, RecordBatch, StringArray,
};
use std::collections::HashMap;
use storage::model::attribute::Map;
use storage::model::schema::column;
use storage::model::{SpanId, TraceId};
use storage::trace::{MOST_SPANS, Nested, TreeSpan, nest};

const STATUS_ERROR: i32 = 2;
const COLUMNS: [&str; 11] = [
    column::SPAN_ID,
    column::PARENT_SPAN_ID,
    column::NAME,
    column::SERVICE_NAME,
    column::KIND,
    column::START,
    column::DURATION,
    column::STATUS_CODE,
    column::STATUS_MESSAGE,
    column::ATTRIBUTES,
    column::RESOURCE,
];
/// What a span takes beside its columns, numbers and sorting included.
const SPAN_BYTES: usize = size_of::<Node>() + 2 * size_of::<TreeSpan>() + size_of::<Nested>() + 96;

/// The stored rows of a trace, whose bytes count while this lives.
pub(super) struct Stored<'c> {
    pub(super) id: TraceId,
    batches: Vec<RecordBatch>,
    _held: Vec<Held<'c>>,
}

impl<'c> Stored<'c> {
    pub(super) fn read(control: &'c Control, trace: TraceId) -> Result<Self> {
        let (mut batches, mut held) = (Vec::new(), Vec::new());
        control.trace(trace, COLUMNS, |batch| {
            control.collect(batch.num_rows())?;
            held.push(control.hold(batch.get_array_memory_size() + batch.num_rows() * SPAN_BYTES)?);
            batches.push(batch.clone());
            Ok(())
        })?;
        Ok(Stored { id: trace, batches, _held: held })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.iter().all(|batch| batch.num_rows() == 0)
    }
}

/// Texts as numbers that can be compared.
#[derive(Default)]
pub(super) struct Interner<'a> {
    numbers: HashMap<&'a str, u32>,
    texts: Vec<&'a str>,
}

impl<'a> Interner<'a> {
    fn number(&mut self, text: &'a str) -> u32 {
        *self.numbers.entry(text).or_insert_with(|| {
            self.texts.push(text);
            u32::try_from(self.texts.len() - 1).unwrap_or(u32::MAX)
        })
    }

    pub(super) fn text(&self, number: u32) -> &'a str {
        usize::try_from(number).ok().and_then(|at| self.texts.get(at)).copied().unwrap_or_default()
    }
}

/// What spans of a pair have in common.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) service: u32,
    pub(super) name: u32,
    pub(super) kind: i32,
}

/// A span in its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) key: Key,
    pub(super) start: i64,
    /// Zero when it ends before it starts.
    pub(super) duration: i64,
    pub(super) self_nano: i64,
    pub(super) status: i32,
    pub(super) is_detached: bool,
    /// Nodes of its subtree, itself included.
    subtree: usize,
    batch: usize,
    row: usize,
}

impl Node {
    fn end(&self) -> i64 {
        self.start.saturating_add(self.duration)
    }
}

/// One of the two traces.
pub(super) struct Side<'a> {
    id: TraceId,
    spans: Vec<Spans<'a>>,
    /// In the order of a walk (S1).
    pub(super) nodes: Vec<Node>,
    /// The node that the trace is named after.
    head: Option<usize>,
    pub(super) start: i64,
    end: i64,
}

impl<'a> Side<'a> {
    pub(super) fn new(control: &Control, stored: &'a Stored<'_>, names: &mut Interner<'a>) -> Result<Self> {
        let spans = stored.batches.iter().map(Spans::new).collect::<Result<Vec<_>>>()?;
        let mut rows = Vec::new();
        for (batch, columns) in spans.iter().enumerate() {
            rows.extend((0..columns.rows).map(|row| (columns.tree_span(row), batch, row)));
        }
        control.check()?;
        let full = |(span, batch, row): &(TreeSpan, usize, usize)| {
            let columns = spans.get(*batch);
            let texts = columns.map(|columns| (columns.name.get(*row), columns.service.get(*row)));
            let rest = columns.map(|columns| (columns.duration.value(*row), columns.attributes.get(*row)));
            (span.start, span.id.0, span.kind, texts, rest)
        };
        rows.sort_by(|one, two| full(one).cmp(&full(two)));
        control.check()?;
        let tree: Vec<TreeSpan> = rows.iter().map(|(span, ..)| *span).collect();
        // The earliest span without parent, else the earliest of all.
        let head_place = tree.iter().position(|span| span.parent.is_none()).unwrap_or(0);
        let mut order = Vec::with_capacity(rows.len());
        for (place, nested) in nest(&tree).into_iter().enumerate() {
            let message = || format!("a trace of more than {MOST_SPANS} spans is not compared");
            order.push((nested.ok_or_else(|| Error::Limit { message: message() })?, place));
        }
        order.sort_unstable_by_key(|(nested, _)| nested.left);
        let mut side =
            Side { id: stored.id, spans, nodes: Vec::with_capacity(rows.len()), head: None, start: 0, end: 0 };
        for (at, (nested, place)) in order.into_iter().enumerate() {
            let Some((span, batch, row)) = rows.get(place) else { continue };
            let Some(columns) = side.spans.get(*batch) else { continue };
            side.nodes.push(columns.node(span, nested, (*batch, *row), names));
            if place == head_place {
                side.head = Some(at);
            }
        }
        side.start = side.nodes.iter().map(|node| node.start).min().unwrap_or(0);
        side.end = side.nodes.iter().map(Node::end).max().unwrap_or(0);
        side.add_self_times();
        Ok(side)
    }

    pub(super) fn node(&self, at: usize) -> Option<&Node> {
        self.nodes.get(at)
    }

    /// The roots, or the children of a node, by start.
    pub(super) fn children(&self, of: Option<usize>) -> impl Iterator<Item = usize> + '_ {
        let (mut next, end) = match of {
            None => (0, self.nodes.len()),
            Some(at) => (at + 1, at + self.subtree(at)),
        };
        std::iter::from_fn(move || {
            let child = next;
            next += self.subtree(child);
            (child < end).then_some(child)
        })
    }

    fn subtree(&self, at: usize) -> usize {
        self.nodes.get(at).map_or(1, |node| node.subtree)
    }

    fn add_self_times(&mut self) {
        for at in 0..self.nodes.len() {
            let Some(node) = self.nodes.get(at) else { continue };
            let (mut covered, end, mut own) = (node.start, node.end(), 0i64);
            for child in self.children(Some(at)).filter_map(|child| self.nodes.get(child)) {
                own += child.start.min(end).saturating_sub(covered).max(0);
                covered = covered.max(child.end());
            }
            own += end.saturating_sub(covered).max(0);
            if let Some(node) = self.nodes.get_mut(at) {
                node.self_nano = own;
            }
        }
    }

    pub(super) fn id(&self, node: &Node) -> Option<SpanId> {
        self.spans.get(node.batch).and_then(|spans| span_id(spans.id, node.row))
    }

    pub(super) fn attributes(&self, node: &Node) -> Map<'a> {
        Map::new(self.spans.get(node.batch).map(|spans| spans.attributes.get(node.row)).unwrap_or_default())
    }

    pub(super) fn status_message(&self, node: &Node) -> &'a str {
        self.spans.get(node.batch).map(|spans| spans.status_message.get(node.row)).unwrap_or_default()
    }

    /// The resource that the span came with, as it is stored.
    pub(super) fn resource(&self, node: &Node) -> &'a [u8] {
        self.spans.get(node.batch).map(|spans| spans.resource.get(node.row)).unwrap_or_default()
    }

    pub(super) fn summary(&self, names: &Interner<'_>) -> ComparedTrace {
        let count =
            |which: fn(&&Node) -> bool| u32::try_from(self.nodes.iter().filter(which).count()).unwrap_or(u32::MAX);
        let head = self.head.and_then(|head| self.nodes.get(head)).map(|head| head.key);
        let text = |of: fn(Key) -> u32| head.map(|key| names.text(of(key)).to_owned()).unwrap_or_default();
        ComparedTrace {
            trace_id: self.id.to_string(),
            root_service: text(|key| key.service),
            root_name: text(|key| key.name),
            start_unix_nano: self.start,
            duration_nano: self.end.saturating_sub(self.start),
            span_count: count(|_| true),
            error_count: count(|node| node.is_error()),
            detached_count: count(|node| node.is_detached),
        }
    }
}

impl Node {
    pub(super) fn is_error(&self) -> bool {
        self.status == STATUS_ERROR
    }
}

/// The columns of the spans of one batch.
struct Spans<'a> {
    rows: usize,
    id: &'a FixedSizeBinaryArray,
    parent: &'a FixedSizeBinaryArray,
    name: Text<'a>,
    service: Repeated<'a, StringArray>,
    kind: &'a Int32Array,
    start: &'a PrimitiveArray<TimestampNanosecondType>,
    duration: &'a Int64Array,
    status: &'a Int32Array,
    status_message: Text<'a>,
    attributes: Cells<'a>,
    resource: Repeated<'a, BinaryArray>,
}

impl<'a> Spans<'a> {
    fn new(batch: &'a RecordBatch) -> Result<Self> {
        let columns = Columns(batch);
        Ok(Spans {
            rows: columns.rows(),
            id: columns.fixed(column::SPAN_ID)?,
            parent: columns.fixed(column::PARENT_SPAN_ID)?,
            name: columns.text(column::NAME)?,
            service: columns.repeated_text(column::SERVICE_NAME)?,
            kind: columns.int32(column::KIND)?,
            start: columns.times(column::START)?,
            duration: columns.int64(column::DURATION)?,
            status: columns.int32(column::STATUS_CODE)?,
            status_message: columns.text(column::STATUS_MESSAGE)?,
            attributes: columns.cells(column::ATTRIBUTES)?,
            resource: columns.repeated_cells(column::RESOURCE)?,
        })
    }

    fn tree_span(&self, row: usize) -> TreeSpan {
        TreeSpan {
            id: span_id(self.id, row).unwrap_or(SpanId([0; 8])),
            parent: span_id(self.parent, row),
            start: self.start.value(row),
            kind: self.kind.value(row),
        }
    }

    fn node(&self, span: &TreeSpan, nested: Nested, (batch, row): (usize, usize), names: &mut Interner<'a>) -> Node {
        let (service, name) = (names.number(self.service.get(row)), names.number(self.name.get(row)));
        // Every number on the way in and out is a node's: half of those between its own are its descendants'.
        let below = nested.right.saturating_sub(nested.left) / 2;
        Node {
            key: Key { service, name, kind: span.kind },
            start: span.start,
            duration: self.duration.value(row).max(0),
            self_nano: 0,
            status: self.status.value(row),
            is_detached: nested.parent == 0,
            subtree: usize::try_from(below).unwrap_or(0) + 1,
            batch,
            row,
        }
    }
}
