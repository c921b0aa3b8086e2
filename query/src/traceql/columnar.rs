//! Which spans does a plan leave, asked of row groups instead of traces?
//!
//! C1  What is left of a trace that lies whole in a row group is what `pipeline` leaves of it; a trace that does not is told apart, by
//!     those of its spans that may be left.
//! C2  Only what filters name is read, and the parents only of traces that have spans on each side.
//!
//! Only stages that make spansets of spans are asked so: filters, and operators between them. What comes behind is asked of whole
//! traces.
//!
//! Not here: where a trace lies (`storage::engine`), what filters mean (`expression`).

use super::ast::{Mode, Relation, SpansetOp};
use super::expression::{Expression, Spot};
use super::lower::{Lowered, lower};
use super::pipeline::{Plan, Set, Step};
use super::search::left_of;
use super::span::{Spans, columns_of, needs_trace};
use super::structure::inverse;
use super::trace::{order_of, tree_span};
use crate::column::{Columns, trace_id};
use crate::error::Result;
use crate::exec::{Control, Held};
use arrow_array::RecordBatch;
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use storage::engine::{TraceRequest, TraceScan};
use storage::model::TraceId;
use storage::model::schema::column;
use storage::scan::{Predicate, ScanOrder, ScanRequest, Threshold, TimeRange};
use storage::trace::{Lineage, TreeSpan};

/// Rows that are read at once.
const PIECE_ROWS: usize = 8 * 1024;

/// The first stages of a plan, by the filters that they are made of.
#[derive(Debug, Clone)]
pub(super) struct Columnar {
    top: Node,
    filters: Vec<Filter>,
    /// The filters that some span of every trace meets which has spans left, by their places.
    needed: Vec<usize>,
    /// Spans that may be left.
    left: Predicate,
    /// Whether there are no further stages.
    pub(super) is_whole: bool,
    /// Whether an answer depends on other spans of the trace.
    pub(super) relates: bool,
}

#[derive(Debug, Clone)]
enum Node {
    /// By its place.
    Filter(usize),
    /// One after the other.
    Steps(Vec<Node>),
    Binary {
        op: SpansetOp,
        left: Box<Node>,
        right: Box<Node>,
    },
}

#[derive(Debug, Clone)]
struct Filter {
    /// Without one every span is meant.
    expression: Option<Expression>,
    predicate: Predicate,
    /// Whether the predicate says all that the expression does.
    exact: bool,
    columns: Vec<&'static str>,
}

/// Which spans, and where a scan looks first.
#[derive(Debug, Clone)]
pub(super) struct Sought {
    pub(super) range: TimeRange,
    pub(super) order: ScanOrder,
    pub(super) threshold: Option<Arc<Threshold>>,
}

/// The rows of a row group that are left.
#[derive(Debug)]
pub(super) struct Left {
    /// Of traces that are whole there, or of all where spans are not related.
    pub(super) whole: BooleanBuffer,
    /// Of traces that have spans elsewhere: those that may be left.
    pub(super) apart: BooleanBuffer,
}

impl Columnar {
    /// The first stages of a plan; `None` where these are filters of which predicates say all, or the first one asks about the trace.
    pub(super) fn new(plan: &Plan) -> Option<Self> {
        let (mut steps, mut filters, mut taken) = (Vec::new(), Vec::new(), 0);
        for step in &plan.steps {
            match step {
                Step::Spansets(set) => {
                    let before = filters.len();
                    let Some(node) = node_of(set, &mut filters) else {
                        filters.truncate(before);
                        break;
                    };
                    steps.push(node);
                }
                Step::Select => {}
                Step::Scalar { .. } | Step::By { .. } | Step::Coalesce => break,
            }
            taken += 1;
        }
        let relates = steps.iter().any(|node| !matches!(node, Node::Filter(_)));
        let left = left_of(&Plan { steps: plan.steps.iter().take(taken).cloned().collect() }).predicate;
        let (top, mut needed) = (Node::Steps(steps), Vec::new());
        top.needed(&mut needed);
        let is_of_use = relates || filters.iter().any(|filter| !filter.exact);
        is_of_use.then(|| Columnar { top, filters, needed, left, is_whole: taken == plan.steps.len(), relates })
    }

    /// The conditions of a scan that some span of every trace meets which has spans left.
    pub(super) fn needed(&self) -> &[usize] {
        &self.needed
    }

    /// The columns that filters ask for.
    pub(super) fn columns(&self) -> BTreeSet<&'static str> {
        self.filters.iter().flat_map(|filter| filter.columns.iter().copied()).collect()
    }

    /// The traces to be asked; `None` where they have to be asked one by one.
    pub(super) fn scan(&self, control: &Control, sought: &Sought) -> Result<Option<TraceScan>> {
        let Sought { range, order, threshold } = sought.clone();
        let conditions = self.filters.iter().map(|filter| filter.predicate.clone()).collect();
        control.traces(TraceRequest { time: range, order, threshold, conditions })
    }

    /// What is left of the row group that a scan has come to; `None` where that is nothing.
    pub(super) fn left(&self, control: &Control, scan: &mut TraceScan) -> Result<Option<Left>> {
        let mut group =
            Group { filters: &self.filters, control, scan, met: vec![None; self.filters.len()], held: Vec::new() };
        let possible = group.possible(&self.top)?;
        if possible.count_set_bits() == 0 {
            return Ok(None);
        }
        if !self.relates {
            let apart = BooleanBuffer::new_unset(possible.len());
            return Ok(Some(Left { whole: possible, apart }));
        }
        let needed = group.needed(&self.needed)?;
        let lineage = group.scan.lineage(&possible, &needed)?;
        let apart = &possible & lineage.apart();
        let whole = match lineage.whole().count_set_bits() {
            0 => BooleanBuffer::new_unset(possible.len()),
            _ => &answer(&self.top, &lineage, None, &mut |place| group.met(place))? & lineage.whole(),
        };
        Ok((whole.count_set_bits() + apart.count_set_bits() > 0).then_some(Left { whole, apart }))
    }

    /// The spans that are left of some traces, of which there are all spans, with what was read of each.
    pub(super) fn left_of_all<'s>(
        &self,
        control: &Control,
        spans: &'s [Spans<'s>],
        range: TimeRange,
    ) -> Result<Vec<(&'s Spans<'s>, usize)>> {
        let mut rows: Vec<(TraceId, &Spans<'_>, usize)> = Vec::with_capacity(spans.iter().map(Spans::rows).sum());
        for spans in spans {
            rows.extend((0..spans.rows()).filter_map(|row| Some((spans.trace(row)?, spans, row))));
        }
        rows.sort_by(|(a, spans, row), (b, others, other)| {
            a.cmp(b).then_with(|| order_of((*spans, *row), (*others, *other)))
        });
        let places: Vec<TreeSpan> = rows.iter().map(|(_, spans, row)| tree_span(spans, *row)).collect();
        let mut left = places.as_slice();
        let traces: Vec<&[TreeSpan]> = rows
            .chunk_by(|(a, ..), (b, ..)| a == b)
            .map(|trace| {
                let (now, later) = left.split_at(trace.len().min(left.len()));
                left = later;
                now
            })
            .collect();
        let lineage = Lineage::of(traces);
        let mut met = |place: usize| {
            control.check()?;
            let expression = self.filters.get(place).and_then(|filter| filter.expression.as_ref());
            Ok(BooleanBuffer::collect_bool(rows.len(), |at| {
                rows.get(at).is_some_and(|(_, spans, row)| {
                    range.contains(spans.start(*row))
                        && expression.is_none_or(|expression| expression.holds(Spot { spans, row: *row, place: None }))
                })
            }))
        };
        let left = answer(&self.top, &lineage, None, &mut met)?;
        Ok(left.set_indices().filter_map(|at| rows.get(at).map(|(_, spans, row)| (*spans, *row))).collect())
    }

    /// The spans in memory that may be left, in some columns.
    pub(super) fn in_memory(
        &self,
        scan: &mut TraceScan,
        range: TimeRange,
        columns: impl IntoIterator<Item = &'static str>,
    ) -> Result<Vec<RecordBatch>> {
        let request = ScanRequest { time: range, predicate: self.left.clone(), ..ScanRequest::all(columns) };
        Ok(scan.in_memory(&request)?)
    }
}

fn node_of(set: &Set, filters: &mut Vec<Filter>) -> Option<Node> {
    Some(match set {
        Set::Filter(expression) => {
            let mut names = Vec::new();
            expression.iter().for_each(|expression| expression.names(&mut |name| names.push(name.clone())));
            if names.iter().any(needs_trace) {
                return None;
            }
            let columns = columns_of(&names).into_iter().collect();
            let Lowered { predicate, exact } = lower(expression.as_ref());
            filters.push(Filter { expression: expression.clone(), predicate, exact, columns });
            Node::Filter(filters.len() - 1)
        }
        Set::Pipeline(plan) => {
            let mut steps = Vec::new();
            for step in &plan.steps {
                match step {
                    Step::Spansets(set) => steps.push(node_of(set, filters)?),
                    Step::Select => {}
                    Step::Scalar { .. } | Step::By { .. } | Step::Coalesce => return None,
                }
            }
            Node::Steps(steps)
        }
        Set::Binary { op, left, right } => {
            Node::Binary { op: *op, left: Box::new(node_of(left, filters)?), right: Box::new(node_of(right, filters)?) }
        }
    })
}

impl Node {
    /// The filters that some span of every trace meets which has spans left.
    fn needed(&self, filters: &mut Vec<usize>) {
        match self {
            Node::Filter(place) => filters.push(*place),
            Node::Steps(steps) => steps.iter().for_each(|step| step.needed(filters)),
            Node::Binary { op: SpansetOp::Or, .. } => {}
            Node::Binary { op, left, right } => {
                right.needed(filters);
                if !matches!(op, SpansetOp::Structural { mode: Mode::Negated, .. }) {
                    left.needed(filters);
                }
            }
        }
    }
}

/// A row group that is being asked.
struct Group<'q> {
    filters: &'q [Filter],
    control: &'q Control,
    scan: &'q mut TraceScan,
    /// The rows that meet each filter, as far as that was asked.
    met: Vec<Option<BooleanBuffer>>,
    /// What these take: a query may have thousands of filters.
    held: Vec<Held<'q>>,
}

impl Group<'_> {
    /// The rows that meet a filter.
    fn met(&mut self, place: usize) -> Result<BooleanBuffer> {
        self.control.check()?;
        if let Some(Some(met)) = self.met.get(place) {
            return Ok(met.clone());
        }
        let mut met = self.scan.matching(place)?;
        let filters = self.filters;
        let inexact = filters.get(place).filter(|filter| !filter.exact);
        if let Some((expression, columns)) =
            inexact.and_then(|filter| Some((filter.expression.as_ref()?, &filter.columns)))
        {
            let mut rows = Vec::new();
            each_piece(self.control, self.scan, &met, columns, |spans, of_batch| {
                let held = (0..spans.rows()).filter(|row| expression.holds(Spot { spans, row: *row, place: None }));
                rows.extend(held.filter_map(|row| of_batch.get(row)));
                Ok(())
            })?;
            met = mask_of(met.len(), &rows);
        }
        if let Some(slot) = self.met.get_mut(place) {
            self.held.push(self.control.hold(met.len() / 8)?);
            *slot = Some(met.clone());
        }
        Ok(met)
    }

    /// The rows that may be left, whatever their traces are.
    fn possible(&mut self, node: &Node) -> Result<BooleanBuffer> {
        match node {
            Node::Filter(place) => self.met(*place),
            Node::Steps(steps) => {
                let mut all: Option<BooleanBuffer> = None;
                for step in steps {
                    let left = self.possible(step)?;
                    let left = all.map_or(left.clone(), |all| &all & &left);
                    if left.count_set_bits() == 0 {
                        return Ok(left);
                    }
                    all = Some(left);
                }
                Ok(all.unwrap_or_else(|| BooleanBuffer::new_set(self.scan.rows())))
            }
            Node::Binary { op: SpansetOp::Structural { mode: Mode::Right | Mode::Negated, .. }, right, .. } => {
                self.possible(right)
            }
            Node::Binary { left, right, .. } => Ok(&self.possible(right)? | &self.possible(left)?),
        }
    }

    /// Rows of each of which every trace with rows left has some. Ends with none, where there are none of a kind.
    fn needed(&mut self, filters: &[usize]) -> Result<Vec<BooleanBuffer>> {
        let mut needed = Vec::with_capacity(filters.len());
        for filter in filters {
            let met = self.met(*filter)?;
            let is_none = met.count_set_bits() == 0;
            needed.push(met);
            if is_none {
                break;
            }
        }
        Ok(needed)
    }
}

/// The rows that are left of some, or of all, by those that meet each filter.
fn answer(
    node: &Node,
    lineage: &Lineage,
    input: Option<&BooleanBuffer>,
    met: &mut dyn FnMut(usize) -> Result<BooleanBuffer>,
) -> Result<BooleanBuffer> {
    match node {
        Node::Filter(place) => {
            let met = met(*place)?;
            Ok(input.map_or(met.clone(), |input| input & &met))
        }
        Node::Steps(steps) => {
            let mut left = input.cloned();
            for step in steps {
                left = Some(answer(step, lineage, left.as_ref(), met)?);
            }
            Ok(left.unwrap_or_else(|| BooleanBuffer::new_set(lineage.whole().len())))
        }
        Node::Binary { op, left, right } => {
            let right = answer(right, lineage, input, met)?;
            let left = answer(left, lineage, input, met)?;
            Ok(match op {
                SpansetOp::And => lineage.of_both(&left, &right),
                SpansetOp::Or => &left | &right,
                SpansetOp::Structural { relation, mode } => {
                    let stands = partners(*relation, lineage, &left);
                    match mode {
                        Mode::Right => &right & &stands,
                        Mode::Negated => &right & &!&stands,
                        Mode::Union => &(&right & &stands) | &(&left & &partners(inverse(*relation), lineage, &right)),
                    }
                }
            })
        }
    }
}

/// The spans that stand so to some others.
fn partners(relation: Relation, lineage: &Lineage, others: &BooleanBuffer) -> BooleanBuffer {
    match relation {
        Relation::Child => lineage.children_of(others),
        Relation::Parent => lineage.parents_of(others),
        Relation::Descendant => lineage.descendants_of(others),
        Relation::Ancestor => lineage.ancestors_of(others),
        Relation::Sibling => lineage.siblings_of(others),
    }
}

/// Reads some rows of the row group that a scan has come to, and gives them to `each` piece by piece, beside their places.
pub(super) fn each_piece(
    control: &Control,
    scan: &mut TraceScan,
    rows: &BooleanBuffer,
    columns: &[&'static str],
    mut each: impl FnMut(&Spans<'_>, &[usize]) -> Result<()>,
) -> Result<()> {
    let places: Vec<usize> = rows.set_indices().collect();
    for places in places.chunks(PIECE_ROWS) {
        control.check()?;
        let Some(batch) = scan.read(&mask_of(rows.len(), places), columns)? else { return Ok(()) };
        let _held = control.hold(batch.get_array_memory_size())?;
        each(&Spans::new(&batch)?, places)?;
    }
    Ok(())
}

/// Traces, each once, in the order in which they were found: what lies together is named together.
#[derive(Debug, Default)]
pub(super) struct Traces {
    known: HashSet<TraceId>,
    pub(super) list: Vec<TraceId>,
}

impl Traces {
    /// Adds those of some rows of the row group that a scan has come to.
    pub(super) fn add_rows(&mut self, control: &Control, scan: &mut TraceScan, rows: &BooleanBuffer) -> Result<()> {
        if rows.count_set_bits() == 0 {
            return Ok(());
        }
        scan.read(rows, &[column::TRACE_ID])?.map_or(Ok(()), |batch| self.add(control, &batch))
    }

    /// Adds those of a batch.
    pub(super) fn add(&mut self, control: &Control, batch: &RecordBatch) -> Result<()> {
        /// What a trace's id takes while all are collected.
        const TRACE_BYTES: usize = 64;
        let before = self.list.len();
        let columns = Columns(batch);
        let ids = columns.fixed(column::TRACE_ID)?;
        for trace in (0..columns.rows()).filter_map(|row| trace_id(ids, row)) {
            if self.list.last() != Some(&trace) && self.known.insert(trace) {
                self.list.push(trace);
            }
        }
        control.charge((self.list.len() - before) * TRACE_BYTES)
    }
}

fn mask_of(len: usize, rows: &[usize]) -> BooleanBuffer {
    let mut mask = BooleanBufferBuilder::new(len);
    mask.append_n(len, false);
    rows.iter().for_each(|&row| mask.set_bit(row, true));
    mask.finish()
}
