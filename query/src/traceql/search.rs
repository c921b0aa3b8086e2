//! Which traces does a query find?
//!
//! F1  A trace is found when its pipeline leaves spans. Traces stand by the best key of these, then by trace id; pages follow
//!     each other without a gap and without a double, and the same question has the same answer, as long as nothing comes in: a trace
//!     whose place a late span moves before the page that was read last is not told by the next one.
//! F2  What the store can leave out, or row groups say (`columnar`), only proposes traces; each is then read whole and asked.
//! F3  A proposal's key is never worse than the trace's own (`trace::propose`). So the answer is whole once as many traces as were asked for
//!     stand before the next proposal, and the store is told which keys are still of use.
//! F4  A trace is told once, in its place: what is told early is what is told in the end.
//!
//! Not here: spansets (`pipeline`), predicates (`lower`).

use super::ast::{Intrinsic, Mode, Name, Pipeline, SpansetOp, What};
use super::columnar::{Columnar, Sought, Traces};
use super::lower::{Lowered, lower};
use super::pipeline::{Number, Plan, Set, Spanset, Step, told_names};
use super::span::{Spans, columns_of};
use super::trace::{self, Tree};
use super::value::Value;
use crate::column::{Columns, trace_id};
use crate::error::{Error, Result};
use crate::exec::Control;
use crate::trace::{Matched, Position, Top, propose};
use arrow_array::RecordBatch;
use query_api::trace::{Order, ServiceShare, TraceSummary};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use storage::engine::TraceScan;
use storage::model::schema::column;
use storage::model::{Signal, SpanId, TraceId};
use storage::scan::{Predicate, ScanOrder, ScanRequest, Threshold, TimeRange};

const STATUS_ERROR: i32 = 2;
/// Proposals of the first round beyond the page, where some may turn out to be none. Tests, with few traces, come to further rounds.
const SPARE: usize = if cfg!(test) { 1 } else { 64 };
/// So few traces, told by one condition that all answers meet, are asked one by one.
const FEW: usize = if cfg!(test) { 2 } else { 256 };
/// How many times as many traces are proposed in the next round.
const MORE: usize = if cfg!(test) { 2 } else { 8 };
/// So many of them are put together at once at first, and at most.
const LOTS: [usize; 2] = if cfg!(test) { [2, 8] } else { [64, 4096] };
/// What a proposal takes.
const CANDIDATE_BYTES: usize = 128;

/// A page of traces.
#[derive(Debug, Clone)]
pub(crate) struct SearchQuery {
    /// Which spans take part.
    pub(crate) range: TimeRange,
    pub(crate) order: Order,
    /// Traces on the page.
    pub(crate) limit: usize,
    /// Spans told of each spanset.
    pub(crate) spans_per_set: usize,
    /// The last trace of the page before.
    pub(crate) after: Option<Position>,
}

/// A trace that was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) summary: TraceSummary,
    pub(crate) sets: Vec<FoundSet>,
}

/// What is told while a search goes on.
#[derive(Debug)]
pub(crate) enum Told {
    /// The next trace of the page.
    Trace(Box<Found>),
    /// None yet: another trace is asked.
    Asking,
    /// None yet: the store is scanned again, which may take its time.
    Scanning,
}

impl Told {
    /// The trace, if it is one.
    pub(crate) fn trace(self) -> Option<Found> {
        match self {
            Told::Trace(found) => Some(*found),
            Told::Asking | Told::Scanning => None,
        }
    }
}

/// One of its spansets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FoundSet {
    /// How many spans it has.
    pub(crate) matched: usize,
    /// The first of them.
    pub(crate) spans: Vec<FoundSpan>,
    /// What stages told of it.
    pub(crate) told: Vec<(String, Value<'static>)>,
}

/// One of its spans.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FoundSpan {
    pub(crate) id: SpanId,
    pub(crate) name: String,
    pub(crate) start: i64,
    pub(crate) duration: i64,
    /// What the query asks or selects, where the span has it.
    pub(crate) attributes: Vec<(String, Value<'static>)>,
}

/// A query of traces, ready to be asked.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    plan: Plan,
    told: Vec<Name>,
    columns: BTreeSet<&'static str>,
    /// Of the spans that may be left in the end.
    left: Lowered,
    /// Each of them is met by some span of every trace that is found.
    needed: Vec<Predicate>,
    /// Whether the best of the proposed spans is the best of the trace.
    exact: bool,
    /// What proposes where spans are related and answers are rare.
    columnar: Option<Columnar>,
}

impl Search {
    /// Makes a checked pipeline ready.
    pub(super) fn new(pipeline: &Pipeline) -> Result<Self, String> {
        let plan = Plan::new(pipeline)?;
        let told: Vec<Name> = told_names(pipeline).into_iter().filter(is_told).collect();
        let mut names = told.clone();
        plan.expressions(&mut |expression| expression.names(&mut |name| names.push(name.clone())));
        let left = left_of(&plan);
        let only_filters = plan.steps.iter().all(|step| matches!(step, Step::Spansets(Set::Filter(_)) | Step::Select));
        let mut needed = Vec::new();
        needed_by(&plan, &mut needed);
        let columnar = Columnar::new(&plan);
        let exact = only_filters && left.exact;
        Ok(Search { told, columns: columns_of(&names), exact, left, needed, columnar, plan })
    }

    /// The traces of a page, and the place of the last one where another page follows.
    pub(crate) fn page(&self, control: &Control, query: &SearchQuery) -> Result<(Vec<Found>, Option<Position>)> {
        let mut all = Vec::new();
        let last = self.tell(control, query, &mut |told| {
            all.extend(told.trace());
            Ok(())
        })?;
        Ok((all, last))
    }

    /// Tells the traces of a page, each as soon as it is known that none comes before it (F4), and gives the place of the last one
    /// where another page follows.
    pub(crate) fn tell(
        &self,
        control: &Control,
        query: &SearchQuery,
        tell: &mut dyn FnMut(Told) -> Result<()>,
    ) -> Result<Option<Position>> {
        let mut page =
            Page { limit: query.limit, after: query.after, found: BTreeMap::new(), told: 0, last: None, tell };
        let mut asked: HashSet<TraceId> = HashSet::new();
        if let Some(few) = self.few(control, query)? {
            self.ask(control, None, few.into_iter().collect(), query, &mut |found| page.add(control, found))?;
            return page.finish();
        }
        let mut keep = query.limit.saturating_add(if self.exact && query.after.is_none() { 1 } else { SPARE });
        // What predicates propose suffices where answers are common; to relate all spans is dear, but not when they are rare.
        let (mut columnar, mut scan, mut lot) = (None, None, 1);
        loop {
            // Of exact proposals those of earlier pages are known without asking.
            let top = self.proposals(control, query, columnar, query.after.filter(|_| self.exact), keep)?;
            let exhausted = top.len() < keep;
            let last = top.last();
            let mut proposals = top.into_sorted().peekable();
            while let Some(next) = proposals.peek() {
                page.settle(|found| found < next)?;
                if page.is_whole() {
                    return page.finish();
                }
                let traces = proposals.by_ref().take(lot).map(|proposal| proposal.trace);
                let traces: Vec<TraceId> = traces.filter(|trace| asked.insert(*trace)).collect();
                if traces.is_empty() {
                    continue;
                }
                (page.tell)(Told::Asking)?;
                control.charge(traces.len() * CANDIDATE_BYTES)?;
                control.check()?;
                self.ask(control, scan.as_mut(), traces, query, &mut |found| page.add(control, found))?;
                lot = if scan.is_some() { LOTS[1].min(lot * 2) } else { lot };
            }
            // What was not proposed stands behind all that was.
            page.settle(|found| Some(*found) <= last)?;
            if exhausted || page.is_whole() {
                return page.finish();
            }
            (page.tell)(Told::Scanning)?;
            keep = keep.saturating_mul(MORE);
            columnar = self.columnar.as_ref();
            if scan.is_none() {
                scan = trace::scan(control)?;
                lot = if scan.is_some() { LOTS[0] } else { lot };
            }
        }
    }

    /// The traces that meet one of the needed conditions, where they are few.
    fn few(&self, control: &Control, query: &SearchQuery) -> Result<Option<BTreeSet<TraceId>>> {
        if self.exact {
            return Ok(None);
        }
        for predicate in &self.needed {
            let mut request = ScanRequest::all([column::TRACE_ID]);
            request.time = query.range;
            request.predicate = predicate.clone();
            let mut traces = BTreeSet::new();
            let scanned = control.scan(Signal::Spans, request, |batch| {
                let columns = Columns(batch);
                let ids = columns.fixed(column::TRACE_ID)?;
                traces.extend((0..columns.rows()).filter_map(|row| trace_id(ids, row)));
                // The scan ends by the error; it is not handed on.
                if traces.len() > FEW { Err(Error::Cancelled) } else { Ok(()) }
            });
            match scanned {
                Ok(()) => return Ok(Some(traces)),
                Err(Error::Cancelled) if traces.len() > FEW => control.check()?,
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The first `keep` traces by the spans that may be left, or are left of row groups.
    fn proposals(
        &self,
        control: &Control,
        query: &SearchQuery,
        columnar: Option<&Columnar>,
        after: Option<Position>,
        keep: usize,
    ) -> Result<Top> {
        let by_groups = match columnar {
            Some(columnar) => propose_by_groups(control, columnar, query, after, keep)?,
            None => None,
        };
        match by_groups {
            Some(top) => Ok(top),
            None => propose(control, (query.range, &self.left.predicate), query.order, after, keep),
        }
    }

    /// Asks some traces, and gives what is found to `found`.
    fn ask(
        &self,
        control: &Control,
        scan: Option<&mut TraceScan>,
        traces: Vec<TraceId>,
        query: &SearchQuery,
        found: &mut dyn FnMut((Position, Found)) -> Result<()>,
    ) -> Result<()> {
        trace::each_of(control, scan, traces, &self.columns, |trace, tree| {
            self.answer(control, trace, tree, query)?.map_or(Ok(()), &mut *found)
        })
    }

    /// What is found of a trace.
    fn answer(
        &self,
        control: &Control,
        trace: TraceId,
        tree: &Tree<'_>,
        query: &SearchQuery,
    ) -> Result<Option<(Position, Found)>> {
        let sets = self.plan.run(control, tree, query.range)?;
        let places: BTreeSet<usize> = sets.iter().flat_map(|set| set.spans.iter().copied()).collect();
        let mut matched = Matched::default();
        for spot in places.iter().filter_map(|place| tree.spot(*place)) {
            matched.add(spot.spans.start(spot.row), spot.spans.duration(spot.row), spot.spans.status(spot.row));
        }
        let Some(position) = matched.best(query.order, trace) else { return Ok(None) };
        let sets = sets.into_iter().map(|set| self.describe(tree, set, query.spans_per_set)).collect();
        Ok(Some((position, Found { summary: summary(trace, tree, &matched), sets })))
    }

    fn describe(&self, tree: &Tree<'_>, set: Spanset, most: usize) -> FoundSet {
        let spots = set.spans.iter().take(most).filter_map(|place| tree.spot(*place));
        let spans = spots.map(|spot| {
            let attributes = self.told.iter().filter_map(|name| {
                let value = spot.value(name).into_owned();
                (value != Value::Nil).then(|| (key_of(name), value))
            });
            FoundSpan {
                id: spot.spans.id(spot.row),
                name: spot.spans.name(spot.row).to_owned(),
                start: spot.spans.start(spot.row),
                duration: spot.spans.duration(spot.row),
                attributes: attributes.collect(),
            }
        });
        FoundSet { matched: set.spans.len(), spans: spans.collect(), told: set.told }
    }
}

/// Proposes traces by what is left of row groups, and by spans in memory; `None` where traces cannot be asked so.
fn propose_by_groups(
    control: &Control,
    columnar: &Columnar,
    query: &SearchQuery,
    after: Option<Position>,
    keep: usize,
) -> Result<Option<Top>> {
    let (key_column, threshold, order) = match query.order {
        Order::Newest => (column::START, Threshold::at_least(column::START), ScanOrder::Newest),
        Order::Oldest => (column::START, Threshold::at_most(column::START), ScanOrder::Oldest),
        Order::Longest => (column::DURATION, Threshold::at_least(column::DURATION), ScanOrder::Any),
        // A row group does not know how many there are of a trace that is in another, too.
        Order::MostSpans | Order::MostErrors => return Ok(None),
    };
    let largest = query.order != Order::Oldest;
    let mut best = Best { top: Top::new(query.order, keep, after), key_column, largest, threshold, charged: 0 };
    let sought = Sought { range: query.range, order, threshold: Some(best.threshold.clone()) };
    let Some(mut scan) = columnar.scan(control, &sought)? else { return Ok(None) };
    let columns = [column::TRACE_ID, best.key_column];
    let mut apart = Apart::default();
    for batch in columnar.in_memory(&mut scan, query.range, columns)? {
        apart.add(control, &best, &batch)?;
    }
    while scan.advance()? {
        control.check()?;
        let Some(left) = columnar.left(control, &mut scan)? else { continue };
        for (rows, is_whole) in [(&left.whole, true), (&left.apart, false)] {
            if rows.count_set_bits() == 0 {
                continue;
            }
            let Some(batch) = scan.read(rows, &columns)? else { continue };
            let _held = control.hold(batch.get_array_memory_size())?;
            if is_whole {
                best.take(control, &batch)?;
            } else {
                apart.add(control, &best, &batch)?;
            }
        }
    }
    let Apart { traces, keys } = apart;
    let admitted = |trace: &TraceId| keys.get(trace).is_some_and(|key| best.threshold.admits(*key, *key));
    let traces: Vec<TraceId> = traces.list.into_iter().filter(admitted).collect();
    trace::read_many(control, &mut scan, (traces, columnar.needed()), &columnar.columns(), |traces, spans| {
        if let ([trace], Some(key)) = (traces, traces.first().and_then(|trace| keys.get(trace))) {
            // It may be longer than can be related at once; that it may be an answer is proposal enough.
            return best.offer(control, [(*key, *trace)]);
        }
        let left = columnar.left_of_all(control, spans, query.range)?;
        let key_column = best.key_column;
        let key_of = |spans: &Spans<'_>, row: usize| match key_column {
            column::DURATION => spans.duration(row),
            _ => spans.start(row),
        };
        let keys: Vec<(i64, TraceId)> =
            left.into_iter().filter_map(|(spans, row)| Some((key_of(spans, row), spans.trace(row)?))).collect();
        best.offer(control, keys)
    })?;
    control.count_traces(&scan);
    control.release(best.charged * CANDIDATE_BYTES);
    Ok(Some(best.top))
}

/// Traces that have to be put together, and the best key that each may have.
#[derive(Default)]
struct Apart {
    traces: Traces,
    keys: HashMap<TraceId, i64>,
}

impl Apart {
    /// Adds spans that may be left.
    fn add(&mut self, control: &Control, best: &Best, batch: &RecordBatch) -> Result<()> {
        self.traces.add(control, batch)?;
        for (key, trace) in best.keys(batch)? {
            let known = self.keys.entry(trace).or_insert(key);
            *known = if best.largest { key.max(*known) } else { key.min(*known) };
        }
        Ok(())
    }
}

/// The best of the proposed traces.
struct Best {
    top: Top,
    key_column: &'static str,
    /// Whether the largest keys are the best.
    largest: bool,
    threshold: Arc<Threshold>,
    charged: usize,
}

impl Best {
    /// The keys of spans, and their traces.
    fn keys<'b>(&self, batch: &'b RecordBatch) -> Result<impl Iterator<Item = (i64, TraceId)> + use<'b>> {
        let columns = Columns(batch);
        let ids = columns.fixed(column::TRACE_ID)?;
        let keys = match self.key_column {
            column::DURATION => columns.int64(column::DURATION)?.values(),
            _ => columns.times(column::START)?.values(),
        };
        Ok(keys.iter().enumerate().filter_map(move |(row, key)| Some((*key, trace_id(ids, row)?))))
    }

    /// Takes the keys of spans that may be left.
    fn offer(&mut self, control: &Control, keys: impl IntoIterator<Item = (i64, TraceId)>) -> Result<()> {
        keys.into_iter().for_each(|(key, trace)| self.top.offer(key, trace));
        if let Some(bound) = self.top.bound() {
            self.threshold.set(bound);
        }
        let grown = self.top.len().saturating_sub(self.charged);
        self.charged += grown;
        control.charge(grown * CANDIDATE_BYTES)
    }

    /// Takes spans that may be left.
    fn take(&mut self, control: &Control, batch: &RecordBatch) -> Result<()> {
        let keys = self.keys(batch)?;
        self.offer(control, keys)
    }
}

/// The best traces after a place.
struct Page<'t> {
    limit: usize,
    after: Option<Position>,
    /// Those that are not told yet, and one more than the page: it says that another follows.
    found: BTreeMap<Position, Found>,
    told: usize,
    last: Option<Position>,
    tell: &'t mut dyn FnMut(Told) -> Result<()>,
}

impl Page<'_> {
    fn add(&mut self, control: &Control, (position, found): (Position, Found)) -> Result<()> {
        if self.after.is_some_and(|after| position <= after) {
            return Ok(());
        }
        control.charge(memory_of(&found))?;
        self.found.insert(position, found);
        if self.told + self.found.len() > self.limit.saturating_add(1)
            && let Some((_, dropped)) = self.found.pop_last()
        {
            control.release(memory_of(&dropped));
        }
        Ok(())
    }

    /// Tells the traces of the page of which is known that they stand before all that may still come.
    fn settle(&mut self, is_known: impl Fn(&Position) -> bool) -> Result<()> {
        while self.told < self.limit
            && let Some(first) = self.found.first_entry()
            && is_known(first.key())
        {
            let (position, found) = first.remove_entry();
            (self.told, self.last) = (self.told + 1, Some(position));
            (self.tell)(Told::Trace(Box::new(found)))?;
        }
        Ok(())
    }

    /// Whether all of the page is told, and whether another follows is known.
    fn is_whole(&self) -> bool {
        self.told >= self.limit && !self.found.is_empty()
    }

    fn finish(mut self) -> Result<Option<Position>> {
        self.settle(|_| true)?;
        Ok(self.last.filter(|_| !self.found.is_empty()))
    }
}

fn memory_of(found: &Found) -> usize {
    let attributes = |list: &[(String, Value<'_>)]| -> usize {
        list.iter().map(|(key, value)| 64 + key.len() + value.memory_bytes()).sum()
    };
    let spans = |set: &FoundSet| -> usize {
        set.spans.iter().map(|span| size_of_val(span) + span.name.len() + attributes(&span.attributes)).sum()
    };
    let services: usize = found.summary.services.iter().map(|share| size_of_val(share) + share.name.len()).sum();
    let sets: usize = found.sets.iter().map(|set| size_of_val(set) + spans(set) + attributes(&set.told)).sum();
    size_of_val(found) + services + sets + found.summary.root_name.len() + found.summary.root_service.len()
}

/// Spans that a plan may leave.
pub(super) fn left_of(plan: &Plan) -> Lowered {
    let mut left = Lowered { predicate: Predicate::All, exact: true };
    let mut narrow = |more: Lowered| {
        left.predicate = std::mem::take(&mut left.predicate).and(more.predicate);
        left.exact &= more.exact;
    };
    for step in &plan.steps {
        match step {
            Step::Spansets(set) => narrow(left_of_set(set)),
            Step::Scalar { left, right, .. } => {
                let mut piped = Vec::new();
                left.piped(&mut piped);
                right.piped(&mut piped);
                if let Some(all) = piped.into_iter().map(left_of).reduce(either) {
                    narrow(all);
                }
            }
            Step::By { .. } | Step::Coalesce | Step::Select => {}
        }
    }
    left
}

fn either(one: Lowered, other: Lowered) -> Lowered {
    let exact = one.exact && other.exact;
    if one.predicate == Predicate::All || other.predicate == Predicate::All {
        return Lowered { predicate: Predicate::All, exact };
    }
    Lowered { predicate: Predicate::Or(vec![one.predicate, other.predicate]), exact }
}

fn left_of_set(set: &Set) -> Lowered {
    match set {
        Set::Filter(expression) => lower(expression.as_ref()),
        Set::Pipeline(plan) => left_of(plan),
        Set::Binary { op, left, right } => match op {
            SpansetOp::Structural { mode: Mode::Right | Mode::Negated, .. } => left_of_set(right),
            SpansetOp::And | SpansetOp::Or | SpansetOp::Structural { .. } => {
                either(left_of_set(left), left_of_set(right))
            }
        },
    }
}

/// What some span of every trace meets that a plan leaves spans of.
fn needed_by(plan: &Plan, needed: &mut Vec<Predicate>) {
    for step in &plan.steps {
        if let Step::Spansets(set) = step {
            needed_by_set(set, needed);
        }
    }
}

fn needed_by_set(set: &Set, needed: &mut Vec<Predicate>) {
    match set {
        Set::Filter(expression) => {
            needed.extend(Some(lower(expression.as_ref()).predicate).filter(|predicate| *predicate != Predicate::All));
        }
        Set::Pipeline(plan) => needed_by(plan, needed),
        Set::Binary { op: SpansetOp::Or, .. } => {}
        Set::Binary { op, left, right } => {
            if !matches!(op, SpansetOp::Structural { mode: Mode::Negated, .. }) {
                needed_by_set(left, needed);
            }
            needed_by_set(right, needed);
        }
    }
}

impl Number {
    fn piped<'n>(&'n self, plans: &mut Vec<&'n Plan>) {
        match self {
            Number::Static(_) | Number::Aggregate { .. } => {}
            Number::Binary { left, right, .. } => {
                left.piped(plans);
                right.piped(plans);
            }
            Number::Piped { plan, .. } => plans.push(plan),
        }
    }
}

/// Whether a name is told of each span; some are told anyway, some of the trace.
fn is_told(name: &Name) -> bool {
    !matches!(
        name.what,
        What::Intrinsic(
            Intrinsic::Duration
                | Intrinsic::Name
                | Intrinsic::RootName
                | Intrinsic::RootServiceName
                | Intrinsic::TraceDuration
                | Intrinsic::TraceId
                | Intrinsic::SpanId
        )
    ) || name.parent
}

/// What an attribute is called in an answer.
pub(super) fn key_of(name: &Name) -> String {
    match &name.what {
        What::Attribute(_, key) if !name.parent => key.clone(),
        _ => name.to_string(),
    }
}

fn summary(trace: TraceId, tree: &Tree<'_>, matched: &Matched) -> TraceSummary {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let mut order: Vec<&str> = Vec::new();
    let mut services: HashMap<&str, (usize, usize)> = HashMap::new();
    let mut errors = 0;
    for spot in (0..tree.len()).filter_map(|place| tree.spot(place)) {
        let failed = usize::from(spot.spans.status(spot.row) == STATUS_ERROR);
        errors += failed;
        let share = services.entry(spot.spans.service(spot.row)).or_insert_with_key(|name| {
            order.push(name);
            (0, 0)
        });
        *share = (share.0 + 1, share.1 + failed);
    }
    let share = |name: &str| {
        let (spans, errors) = services.get(name).copied().unwrap_or_default();
        ServiceShare { name: name.to_owned(), span_count: count(spans), error_count: count(errors) }
    };
    let root = tree.root();
    let mut summary = TraceSummary {
        trace_id: trace.to_string(),
        root_service: root.map(|spot| spot.spans.service(spot.row).to_owned()).unwrap_or_default(),
        root_name: root.map(|spot| spot.spans.name(spot.row).to_owned()).unwrap_or_default(),
        has_root: tree.has_root(),
        start_unix_nano: tree.start,
        duration_nano: tree.duration(),
        span_count: count(tree.len()),
        error_count: count(errors),
        services: order.into_iter().map(share).collect(),
        ..TraceSummary::default()
    };
    matched.tell(&mut summary);
    summary
}
