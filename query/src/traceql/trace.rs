//! What is there to know of a whole trace? Its spans in order, their places in the tree, its root and its extent.
//!
//! W1  Everything depends on the spans only, not on where they lie: spans stand by start, then id, then what else they say.
//! W2  Places are numbers of nested sets (`storage::trace`), of all spans of the trace; nothing here walks the tree.
//!
//! Not here: which spans match (`pipeline`).

use super::ast::{Intrinsic, Name, What};
use super::expression::Spot;
use super::span::Spans;
use super::value::Value;
use crate::error::Result;
use crate::exec::{Control, Held};
use arrow_array::RecordBatch;
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use storage::engine::{TraceRequest, TraceScan};
use storage::model::TraceId;
use storage::model::schema::column;
use storage::scan::{ScanOrder, TimeRange};
use storage::trace::{Nested, TreeSpan, nest};

/// What every answer about a trace is made of.
const COLUMNS: [&str; 8] = [
    column::SPAN_ID,
    column::PARENT_SPAN_ID,
    column::TRACE_ID,
    column::START,
    column::DURATION,
    column::KIND,
    column::NAME,
    column::SERVICE_NAME,
];
/// What a span takes beside its columns.
const SPAN_BYTES: usize = 96;
/// About so many rows of many traces are put together at once, unless one trace alone has more.
const MOST_ROWS: usize = 64 * 1024;

/// The stored rows of a trace, whose bytes count while this lives.
#[derive(Debug)]
struct Stored<'c> {
    batches: Vec<RecordBatch>,
    _held: Vec<Held<'c>>,
}

/// Reads a trace in the columns that a query needs.
fn read<'c>(control: &'c Control, trace: TraceId, needed: &BTreeSet<&'static str>) -> Result<Stored<'c>> {
    let columns = columns(needed);
    let (mut batches, mut held) = (Vec::new(), Vec::new());
    control.trace(trace, columns, |batch| {
        held.push(control.hold(batch.get_array_memory_size() + batch.num_rows() * SPAN_BYTES)?);
        batches.push(batch.clone());
        Ok(())
    })?;
    Ok(Stored { batches, _held: held })
}

/// Puts traces together, many at once, and gives each lot to `each`: as many traces, and their spans in any order. Traces are left out that have no
/// rows which meet each of some conditions of the scan.
pub(super) fn read_many(
    control: &Control,
    scan: &mut TraceScan,
    (traces, conditions): (Vec<TraceId>, &[usize]),
    needed: &BTreeSet<&'static str>,
    mut each: impl FnMut(&[TraceId], &[Spans<'_>]) -> Result<()>,
) -> Result<()> {
    let columns: Vec<&'static str> = columns(needed).into_iter().collect();
    let mut located = scan.locate(traces)?;
    for condition in conditions {
        let mut narrowing = scan.narrowing(&located, *condition);
        while scan.narrow(&located, &mut narrowing)? {
            control.check()?;
        }
        located.keep(&narrowing);
    }
    while let Some((traces, batches)) = scan.assemble(&mut located, &columns, MOST_ROWS)? {
        control.check()?;
        let bytes = |batch: &RecordBatch| batch.get_array_memory_size() + batch.num_rows() * SPAN_BYTES;
        let _held = control.hold(batches.iter().map(bytes).sum())?;
        let spans: Vec<Spans<'_>> = batches.iter().map(Spans::new).collect::<Result<_>>()?;
        each(&traces, &spans)?;
    }
    Ok(())
}

/// Gives the tree of each of some traces to `each`, of the spans of all of them.
pub(super) fn each_tree(
    traces: &[TraceId],
    spans: &[Spans<'_>],
    mut each: impl FnMut(TraceId, &Tree<'_>) -> Result<()>,
) -> Result<()> {
    let mut by_trace: HashMap<TraceId, Vec<(&Spans<'_>, usize)>> = HashMap::with_capacity(traces.len());
    for spans in spans {
        for (row, trace) in (0..spans.rows()).filter_map(|row| Some((row, spans.trace(row)?))) {
            by_trace.entry(trace).or_default().push((spans, row));
        }
    }
    traces.iter().try_for_each(|trace| match by_trace.remove(trace) {
        Some(rows) => each(*trace, &Tree::of(rows)),
        None => Ok(()),
    })
}

/// What traces are put together by; `None` where they have to be read one by one.
pub(super) fn scan(control: &Control) -> Result<Option<TraceScan>> {
    let conditions = Vec::new();
    control.traces(TraceRequest { time: TimeRange::ALL, order: ScanOrder::Any, threshold: None, conditions })
}

/// Gives the tree of each of some traces to `each`: they are put together many at once where a scan says how, else read one by one.
pub(super) fn each_of(
    control: &Control,
    scan: Option<&mut TraceScan>,
    traces: Vec<TraceId>,
    needed: &BTreeSet<&'static str>,
    mut each: impl FnMut(TraceId, &Tree<'_>) -> Result<()>,
) -> Result<()> {
    if let Some(scan) = scan {
        return read_many(control, scan, (traces, &[]), needed, |traces, spans| each_tree(traces, spans, &mut each));
    }
    for trace in traces {
        control.check()?;
        let stored = read(control, trace, needed)?;
        let spans = stored.spans()?;
        each(trace, &Tree::new(&spans))?;
    }
    Ok(())
}

/// The order of spans of a trace (W1).
pub(super) fn order_of(a: (&Spans<'_>, usize), b: (&Spans<'_>, usize)) -> Ordering {
    let key = |(spans, row): (&Spans<'_>, usize)| (spans.start(row), spans.id(row), spans.kind(row));
    let rest = |(spans, row): (&Spans<'_>, usize)| {
        (spans.duration(row), spans.name(row).to_owned(), spans.service(row).to_owned())
    };
    key(a).cmp(&key(b)).then_with(|| rest(a).cmp(&rest(b)))
}

fn columns(needed: &BTreeSet<&'static str>) -> BTreeSet<&'static str> {
    let mut columns = needed.clone();
    columns.extend(COLUMNS);
    columns.insert(column::STATUS_CODE);
    columns
}

impl Stored<'_> {
    /// The spans of each batch.
    fn spans(&self) -> Result<Vec<Spans<'_>>> {
        self.batches.iter().map(Spans::new).collect()
    }
}

/// What its place in the tree depends on.
pub(super) fn tree_span(spans: &Spans<'_>, row: usize) -> TreeSpan {
    TreeSpan { id: spans.id(row), parent: spans.parent(row), start: spans.start(row), kind: spans.kind(row) }
}

/// A trace, span by span.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    /// Batch and row of each span, in order (W1).
    rows: Vec<(&'a Spans<'a>, usize)>,
    nested: Vec<Option<Nested>>,
    by_left: HashMap<i32, usize>,
    root: Option<usize>,
    has_root: bool,
    pub(super) start: i64,
    pub(super) end: i64,
}

impl<'a> Tree<'a> {
    /// Of all rows of some batches.
    pub(super) fn new(batches: &'a [Spans<'a>]) -> Self {
        Tree::of(batches.iter().flat_map(|spans| (0..spans.rows()).map(move |row| (spans, row))).collect())
    }

    /// Of some rows, which are all of a trace.
    pub(super) fn of(mut rows: Vec<(&'a Spans<'a>, usize)>) -> Self {
        rows.sort_by(|a, b| order_of(*a, *b));
        let tree: Vec<TreeSpan> = rows.iter().map(|(spans, row)| tree_span(spans, *row)).collect();
        let nested = nest(&tree);
        let lefts = nested.iter().enumerate().filter_map(|(place, nested)| Some((nested.as_ref()?.left, place)));
        let by_left = lefts.collect();
        let end_of = |(spans, row): &(&Spans<'_>, usize)| spans.start(*row).saturating_add(spans.duration(*row).max(0));
        // The earliest span without parent, else the earliest of all.
        let first_root = tree.iter().position(|span| span.parent.is_none());
        Tree {
            start: tree.first().map_or(0, |span| span.start),
            end: rows.iter().map(end_of).max().unwrap_or(0),
            root: first_root.or(if rows.is_empty() { None } else { Some(0) }),
            has_root: first_root.is_some(),
            rows,
            nested,
            by_left,
        }
    }

    /// How many spans there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// A span by its place.
    pub(super) fn spot(&'a self, place: usize) -> Option<Spot<'a>> {
        self.rows.get(place).map(|(spans, row)| Spot { spans, row: *row, place: Some((self, place)) })
    }

    /// Its numbers.
    pub(super) fn nested(&self, place: usize) -> Option<Nested> {
        self.nested.get(place).copied().flatten()
    }

    /// The span that a trace is named after.
    pub(super) fn root(&'a self) -> Option<Spot<'a>> {
        self.root.and_then(|place| self.spot(place))
    }

    /// Whether that span names no parent.
    pub(super) fn has_root(&self) -> bool {
        self.has_root
    }

    pub(super) fn duration(&self) -> i64 {
        self.end.saturating_sub(self.start)
    }

    fn parent(&self, place: usize) -> Option<usize> {
        self.by_left.get(&self.nested(place)?.parent).copied()
    }

    /// What the trace says of a span.
    pub(super) fn value(&'a self, place: usize, name: &Name) -> Value<'a> {
        if name.parent {
            let own = Name { parent: false, ..name.clone() };
            let parent = self.parent(place).and_then(|parent| self.spot(parent));
            return parent.map_or(Value::Nil, |spot| spot.value(&own));
        }
        let What::Intrinsic(intrinsic) = &name.what else { return Value::Nil };
        let number =
            |of: fn(&Nested) -> i32| self.nested(place).map_or(Value::Nil, |nested| Value::Int(of(&nested).into()));
        let text = |of: fn(&Spans<'a>, usize) -> &'a str| {
            let root = self.root.and_then(|root| self.rows.get(root));
            root.map_or(Value::Nil, |(spans, row)| Value::Text(of(spans, *row).into()))
        };
        match intrinsic {
            Intrinsic::RootName => text(Spans::name),
            Intrinsic::RootServiceName => text(Spans::service),
            Intrinsic::TraceDuration => Value::Duration(self.duration()),
            Intrinsic::NestedSetLeft => number(|nested| nested.left),
            Intrinsic::NestedSetRight => number(|nested| nested.right),
            Intrinsic::NestedSetParent => number(|nested| nested.parent),
            Intrinsic::ChildCount => number(|nested| nested.children),
            Intrinsic::Parent => self.parent(place).map_or(Value::Nil, |_| Value::Bool(true)),
            _ => Value::Nil,
        }
    }
}
