//! Which series does a query give?
//!
//! S1  A step is open on its left and closed on its right, and told by its right end; steps are multiples of their length.
//! S2  Durations are told in seconds. A step without spans counts zero; of what has no value then (least, most, mean, sum,
//!     quantile) nothing is told.
//! S3  Counts that need no more than the store's statistics are answered from them, and are equal to those of rows.
//! S4  The same question has the same answer: which series, samples and exemplars are told depends on the spans only.
//! S5  At most [`MOST_SERIES`] series are told, those of the greatest sums; that some were left out is said, however many there were
//!     and however short the steps are: the others take memory for the steps with spans only, and none for their values.
//! S6  What is told early, of some of the spans, is told again in the end, with the same labels; so a reader who replaces values
//!     by those that come later has the answer. Only series that stay are told early: not those of a comparison, nor those
//!     that a second stage chooses among.
//!
//! S7  Who asks to extrapolate is told of the spans that there were: each that was kept counts for as many as the threshold says that its
//!     trace passed (`storage::model::trace_state`). Least and most are those of what was kept, and a comparison counts that.
//!
//! Not here: spansets (`pipeline`), arithmetic of series (`combine`).

mod axis;
mod combine;
mod compare;
mod fold;

pub(crate) use axis::Axis;

use super::ast::{Arithmetic, Comparison, Function, Intrinsic, Measure, Metrics, Name, Pipeline, Scope, Second, What};
use super::columnar::{Columnar, Sought, Traces, each_piece};
use super::expression::{Expression, Spot};
use super::pipeline::{Plan, Set, Step};
use super::search::left_of;
use super::span::{Spans, columns_of, needs_trace};
use super::trace::{self, Tree};
use super::value::Value;
use crate::error::{Error, Result};
use crate::exec::Control;
use compare::Comparing;
use fold::Folding;
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use storage::model::schema::column;
use storage::model::{Signal, SpanId, TraceId};
use storage::scan::{Dimension, Group, ScanOrder, ScanRequest, VolumeRequest};

/// Series of an answer: more lines than a chart shows.
pub(crate) const MOST_SERIES: usize = 1000;
/// Traces that are put together before what they brought is told.
const LOT: usize = 4096;
/// Values that are told before the answer is whole: what takes a few milliseconds and megabytes.
const MOST_EARLY_VALUES: usize = 200_000;

/// Values over time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) labels: Vec<(String, Value<'static>)>,
    /// One per step; not a number where there is none.
    pub(crate) values: Vec<f64>,
    pub(crate) exemplars: Vec<Exemplar>,
}

/// A span behind a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Exemplar {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
    /// Unix nanoseconds.
    pub(crate) time: i64,
    pub(crate) value: f64,
}

/// What is told of series.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Answer {
    pub(crate) series: Vec<Series>,
    /// How many series there were, where not all are told.
    pub(crate) left_out: Option<usize>,
}

/// A query of series, ready to be asked.
#[derive(Debug, Clone)]
pub(crate) struct MetricsQuery {
    metrics: Metrics,
    extrapolates: bool,
}

impl MetricsQuery {
    pub(super) fn new(metrics: &Metrics, extrapolates: bool) -> Self {
        MetricsQuery { metrics: metrics.clone(), extrapolates }
    }

    /// The series, by their labels; of each at most so many exemplars.
    pub(crate) fn series(&self, control: &Control, axis: &Axis, exemplars: usize) -> Result<Answer> {
        let told = RefCell::<BTreeSet<String>>::default();
        let (series, all) =
            self.of(control, axis, &self.metrics, (exemplars, Keep::Greatest(&told)), &mut |_| Ok(()))?;
        Ok(chosen(series, all, &told.borrow()))
    }

    /// The same, which tells every so often what there is so far (S6).
    pub(crate) fn growing(
        &self,
        control: &Control,
        axis: &Axis,
        exemplars: usize,
        every: Duration,
        tell: &mut dyn FnMut(Answer) -> Result<()>,
    ) -> Result<Answer> {
        let (told, mut next) = (RefCell::<BTreeSet<String>>::default(), Instant::now() + every);
        let (series, all) =
            self.of(control, axis, &self.metrics, (exemplars, Keep::Greatest(&told)), &mut |so_far| {
                let begun = Instant::now();
                if begun < next {
                    return Ok(());
                }
                if let Some(mut series) = so_far().filter(|series| series.len() <= MOST_SERIES) {
                    // Other exemplars may be chosen in the end, and nothing would replace these.
                    series.iter_mut().for_each(|series| series.exemplars.clear());
                    told.borrow_mut().extend(series.iter().map(|series| key_of(&series.labels)));
                    let all = series.len();
                    tell(chosen(series, all, &BTreeSet::new()))?;
                }
                // Where telling takes long, it is done less often.
                next = Instant::now() + every.max(10 * begun.elapsed());
                Ok(())
            })?;
        Ok(chosen(series, all, &told.borrow()))
    }

    /// All series, with no more exemplars than so many, and without telling of them early.
    fn whole(&self, control: &Control, axis: &Axis, metrics: &Metrics, exemplars: usize) -> Result<Vec<Series>> {
        Ok(self.of(control, axis, metrics, (exemplars, Keep::All), &mut |_| Ok(()))?.0)
    }

    fn of(
        &self,
        control: &Control,
        axis: &Axis,
        metrics: &Metrics,
        (exemplars, keep): (usize, Keep<'_>),
        grown: Grown<'_>,
    ) -> Result<(Vec<Series>, usize)> {
        let series = match metrics {
            // Two numbers were made one when the query was read.
            Metrics::Number(_) => Vec::new(),
            Metrics::Spans { pipeline, function, .. } => {
                let mut source = Source::new(pipeline, function, exemplars)?;
                if self.extrapolates {
                    source.columns.insert(column::TRACE_STATE);
                }
                return source.series(control, axis, keep, grown);
            }
            Metrics::Binary { op, left, right, .. } => self.binary(control, axis, *op, [left, right], grown)?,
            Metrics::Then { inner, second, .. } => {
                // What is among the first or passes a bound now may not do so in the end.
                let series = self.whole(control, axis, inner, exemplars)?;
                match second {
                    Second::Top(count) => combine::ranked(series, *count, true),
                    Second::Bottom(count) => combine::ranked(series, *count, false),
                    Second::Filter(op, bound) => combine::filtered(series, *op, bound),
                }
            }
        };
        let all = series.len();
        Ok((series, all))
    }

    fn binary(
        &self,
        control: &Control,
        axis: &Axis,
        op: Arithmetic,
        sides: [&Metrics; 2],
        grown: Grown<'_>,
    ) -> Result<Vec<Series>> {
        match sides {
            [Metrics::Number(number), side] | [side, Metrics::Number(number)] => {
                let is_left = matches!(sides, [Metrics::Number(_), _]);
                let with_number = |series| {
                    combine::with_number(series, |value| match is_left {
                        true => combine::calculate(op, *number, value),
                        false => combine::calculate(op, value, *number),
                    })
                };
                let mut grown = |so_far: &dyn Fn() -> Option<Vec<Series>>| grown(&|| so_far().map(&with_number));
                Ok(with_number(self.of(control, axis, side, (0, Keep::All), &mut grown)?.0))
            }
            [left, right] => {
                let left = self.whole(control, axis, left, 0)?;
                let (right, _) = self.of(control, axis, right, (0, Keep::All), &mut |so_far| {
                    grown(&|| Some(combine::joined(op, left.clone(), so_far()?)))
                })?;
                Ok(combine::joined(op, left, right))
            }
        }
    }
}

/// Is offered what there is so far, which is made when it is asked for; none where it is too much to be told early.
type Grown<'g> = &'g mut dyn FnMut(&dyn Fn() -> Option<Vec<Series>>) -> Result<()>;

/// Which series are wanted of a function.
#[derive(Debug, Clone, Copy)]
enum Keep<'k> {
    /// All, as others are made of them.
    All,
    /// Those that are told, which those that were told before are.
    Greatest(&'k RefCell<BTreeSet<String>>),
}

/// The series that are told, of so many (S5).
fn chosen(mut series: Vec<Series>, all: usize, told: &BTreeSet<String>) -> Answer {
    keep_greatest(&mut series, told);
    series.sort_by_cached_key(|series| key_of(&series.labels));
    Answer { series, left_out: (all > MOST_SERIES).then_some(all) }
}

/// Lets go the series of the least sums, but for those that were told before.
fn keep_greatest(series: &mut Vec<Series>, told: &BTreeSet<String>) {
    if series.len() > MOST_SERIES {
        let weight = |series: &Series| {
            series.values.iter().filter(|value| value.is_finite()).map(|value| value.abs()).sum::<f64>()
        };
        series.sort_by_cached_key(|series| {
            let key = key_of(&series.labels);
            (!told.contains(&key), Reverse(weight(series).to_bits()), key)
        });
        series.truncate(MOST_SERIES);
    }
}

/// What tells series apart, and puts them in order.
fn key_of(labels: &[(String, Value<'_>)]) -> String {
    labels.iter().map(|(name, value)| format!("{name}={value:?}\u{0}")).collect()
}

/// Spans, and what becomes of them.
struct Source<'q> {
    plan: Plan,
    function: &'q Function,
    columns: BTreeSet<&'static str>,
    /// Of each series at most so many.
    exemplars: usize,
    /// Whether each span is judged by itself.
    by_row: bool,
    /// Whether something is asked of spans that their trace decides.
    names_trace: bool,
    /// What finds the spans where they are related.
    columnar: Option<Columnar>,
}

/// Takes spans, one by one.
enum Sink<'q> {
    Folding(Folding<'q>),
    Comparing(Comparing),
}

impl Sink<'_> {
    fn take(&mut self, control: &Control, spot: Spot<'_>) -> Result<()> {
        match self {
            Sink::Folding(folding) => folding.take(control, spot),
            Sink::Comparing(comparing) => comparing.take(control, spot),
        }
    }

    fn so_far(&self) -> Option<Vec<Series>> {
        match self {
            Sink::Folding(folding) if folding.values() <= MOST_EARLY_VALUES => Some(folding.series()),
            Sink::Folding(_) | Sink::Comparing(_) => None,
        }
    }
}

impl Sink<'_> {
    /// Takes all spans of a batch, each of which knows by itself what it is asked.
    fn take_all(&mut self, control: &Control, spans: &Spans<'_>) -> Result<()> {
        if let Sink::Folding(folding) = self
            && folding.count_all(control, spans)?
        {
            return Ok(());
        }
        (0..spans.rows()).try_for_each(|row| self.take(control, Spot { spans, row, place: None }))
    }
}

impl<'q> Source<'q> {
    fn new(pipeline: &Pipeline, function: &'q Function, exemplars: usize) -> Result<Self> {
        let wrong = |message| Error::parameter("q", message);
        let plan = Plan::new(pipeline).map_err(wrong)?;
        let mut names: Vec<Name> = told_of(function).cloned().collect();
        let mut add = |expression: &Expression| expression.names(&mut |name| names.push(name.clone()));
        plan.expressions(&mut add);
        if let Function::Compare(Comparison { selection: Some(selection), .. }) = function {
            add(&Expression::new(selection).map_err(wrong)?);
        }
        let mut columns = columns_of(&names);
        columns.insert(column::START);
        if exemplars > 0 {
            columns.extend([column::TRACE_ID, column::SPAN_ID]);
        }
        if matches!(function, Function::Compare(_)) {
            columns.extend(compare::COLUMNS);
        }
        let filters = plan.steps.iter().all(|step| matches!(step, Step::Spansets(Set::Filter(_)) | Step::Select));
        // Whether a span names a parent it knows by itself.
        let names_trace = names.iter().any(needs_trace);
        let by_row = filters && !names_trace;
        let columnar = Columnar::new(&plan).filter(|columnar| columnar.relates);
        Ok(Source { columnar, plan, function, columns, exemplars, by_row, names_trace })
    }

    fn series(&self, control: &Control, axis: &Axis, keep: Keep<'_>, grown: Grown<'_>) -> Result<(Vec<Series>, usize)> {
        let mut sink = match self.function {
            Function::Over { measure, by } => {
                if let Some(folding) = self.counted(control, axis, measure, by)? {
                    return folding.kept(control, keep);
                }
                Sink::Folding(Folding::new(axis.clone(), measure, by, self.exemplars))
            }
            Function::Compare(comparison) => Sink::Comparing(Comparing::new(control, axis.clone(), comparison)?),
        };
        let of_groups = match &self.columnar {
            Some(columnar) => self.groups(control, axis, columnar, &mut sink, &mut *grown)?,
            None => false,
        };
        if self.by_row {
            self.rows(control, axis, &mut sink, grown)?;
        } else if !of_groups {
            self.traces(control, axis, &mut sink, grown)?;
        }
        match sink {
            Sink::Folding(folding) => folding.kept(control, keep),
            Sink::Comparing(comparing) => {
                let series = comparing.finish();
                let all = series.len();
                Ok((series, all))
            }
        }
    }

    /// Counts from the store's statistics, where they suffice (S3).
    fn counted<'m>(
        &self,
        control: &Control,
        axis: &Axis,
        measure: &'m Measure,
        by: &'m [Name],
    ) -> Result<Option<Folding<'m>>> {
        let left = left_of(&self.plan);
        let extrapolates = self.columns.contains(column::TRACE_STATE);
        let counts = matches!(measure, Measure::Rate | Measure::Count) && !extrapolates;
        let is_even = axis.window().is_none_or(|window| !window.splits());
        if !counts || !is_even || self.exemplars > 0 || !self.by_row || !left.exact {
            return Ok(None);
        }
        let dimension = match by {
            [] => None,
            [name] if name.parent => return Ok(None),
            [name] => match &name.what {
                What::Attribute(Scope::Resource, key) if key == "service.name" => Some(Dimension::Service),
                What::Intrinsic(Intrinsic::Status) => Some(Dimension::Status),
                What::Intrinsic(Intrinsic::Kind) => Some(Dimension::Kind),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let request = VolumeRequest {
            time: axis.range(),
            step: axis.step_nanos(),
            by: dimension,
            predicate: left.predicate,
            measure: storage::scan::Measure::Rows,
        };
        let mut folding = Folding::new(axis.clone(), measure, by, 0);
        for ((step, group), count) in control.volume(Signal::Spans, request)? {
            let value = match (group, dimension) {
                (Group::Service(service), _) => Some(Value::Text(service.into())),
                (Group::Number(number), Some(Dimension::Status)) => Some(Value::Status(number)),
                (Group::Number(number), _) => Some(Value::Kind(number)),
                (Group::All, _) => None,
            };
            folding.add_count(
                control,
                value.into_iter().collect(),
                usize::try_from(step).unwrap_or(usize::MAX),
                count.rows as f64,
            )?;
        }
        Ok(Some(folding))
    }

    /// Gives each span that all filters leave to the sink.
    fn rows(&self, control: &Control, axis: &Axis, sink: &mut Sink<'_>, grown: Grown<'_>) -> Result<()> {
        let mut request = ScanRequest::all(self.columns.iter().copied());
        request.time = axis.range();
        let left = left_of(&self.plan);
        request.predicate = left.predicate;
        let filters: Vec<&Expression> = self
            .plan
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Spansets(Set::Filter(expression)) => expression.as_ref(),
                _ => None,
            })
            .collect();
        control.scan(Signal::Spans, request, |batch| {
            let spans = Spans::new(batch)?;
            for row in 0..spans.rows() {
                let spot = Spot { spans: &spans, row, place: None };
                if left.exact || filters.iter().all(|filter| filter.holds(spot)) {
                    sink.take(control, spot)?;
                }
            }
            grown(&|| sink.so_far())
        })
    }

    /// Gives the spans that are left of each row group to the sink, and those of traces that are asked one by one.
    fn groups(
        &self,
        control: &Control,
        axis: &Axis,
        columnar: &Columnar,
        sink: &mut Sink<'_>,
        grown: Grown<'_>,
    ) -> Result<bool> {
        let sought = Sought { range: axis.range(), order: ScanOrder::Any, threshold: None };
        let Some(mut scan) = columnar.scan(control, &sought)? else { return Ok(false) };
        let mut traces = Traces::default();
        for batch in columnar.in_memory(&mut scan, axis.range(), [column::TRACE_ID])? {
            traces.add(control, &batch)?;
        }
        let told_by_rows = columnar.is_whole && !self.names_trace;
        let columns: Vec<&'static str> = self.columns.iter().copied().collect();
        while scan.advance()? {
            control.check()?;
            let Some(left) = columnar.left(control, &mut scan)? else { continue };
            let asked = if told_by_rows { left.apart } else { &left.whole | &left.apart };
            traces.add_rows(control, &mut scan, &asked)?;
            if told_by_rows {
                each_piece(control, &mut scan, &left.whole, &columns, |spans, _| sink.take_all(control, spans))?;
                grown(&|| sink.so_far())?;
            }
        }
        trace::read_many(control, &mut scan, (traces.list, columnar.needed()), &self.columns, |traces, spans| {
            // One that is told alone may be longer than a lineage.
            if told_by_rows && traces.len() > 1 {
                let left = columnar.left_of_all(control, spans, axis.range())?;
                return left
                    .into_iter()
                    .try_for_each(|(spans, row)| sink.take(control, Spot { spans, row, place: None }));
            }
            trace::each_tree(traces, spans, |_, tree| self.trace(control, axis, tree, sink))?;
            grown(&|| sink.so_far())
        })?;
        control.count_traces(&scan);
        Ok(true)
    }

    /// Reads each trace that may have spans left, and gives these to the sink.
    fn traces(&self, control: &Control, axis: &Axis, sink: &mut Sink<'_>, grown: Grown<'_>) -> Result<()> {
        let mut request = ScanRequest::all([column::TRACE_ID]);
        request.time = axis.range();
        request.predicate = left_of(&self.plan).predicate;
        let mut traces = Traces::default();
        control.scan(Signal::Spans, request, |batch| traces.add(control, batch))?;
        let mut scan = trace::scan(control)?;
        for lot in traces.list.chunks(LOT) {
            let each = |_, tree: &Tree<'_>| self.trace(control, axis, tree, sink);
            trace::each_of(control, scan.as_mut(), lot.to_vec(), &self.columns, each)?;
            grown(&|| sink.so_far())?;
        }
        Ok(())
    }

    fn trace(&self, control: &Control, axis: &Axis, tree: &Tree<'_>, sink: &mut Sink<'_>) -> Result<()> {
        for set in self.plan.run(control, tree, axis.range())? {
            for spot in set.spans.iter().filter_map(|place| tree.spot(*place)) {
                sink.take(control, spot)?;
            }
        }
        Ok(())
    }
}

fn measured(measure: &Measure) -> Option<&Name> {
    match measure {
        Measure::Rate | Measure::Count => None,
        Measure::Min(name)
        | Measure::Max(name)
        | Measure::Avg(name)
        | Measure::Sum(name)
        | Measure::Histogram(name)
        | Measure::Quantile(name, _) => Some(name),
    }
}

/// What a function asks of each span, a selection aside.
fn told_of(function: &Function) -> impl Iterator<Item = &Name> {
    let (by, measure) = match function {
        Function::Over { measure, by } => (by.as_slice(), Some(measure)),
        Function::Compare(_) => (&[][..], None),
    };
    by.iter().chain(measure.and_then(measured))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, NOW, SECOND, TestSpan, spans};
    use crate::traceql::parse;
    use storage::scan::TimeRange;

    #[tokio::test]
    async fn s5_more_series_than_are_told_take_no_memory_for_steps_without_spans() {
        let fixture = Fixture::new();
        let span =
            |id: u64| TestSpan { id, start: NOW - SECOND * i64::try_from(id % 600).unwrap(), ..TestSpan::default() };
        fixture.put(spans(&(1..=3_000).map(span).collect::<Vec<_>>())).await;
        // A place for each step of each series would take 600 MB.
        let axis = Axis::steps(TimeRange { start: NOW - 1_000 * SECOND, end: NOW + SECOND }, SECOND / 5).unwrap();
        let text = "{ } | rate() by (span:id)";
        let answer = fixture.run(move |control| parse(text)?.metrics()?.series(control, &axis, 0)).await.unwrap();
        assert_eq!((answer.series.len(), answer.left_out), (MOST_SERIES, Some(3_000)));
        let has_one = |series: &Series| series.values.iter().filter(|value| **value > 0.0).count() == 1;
        assert!(answer.series.iter().all(has_one));
    }

    #[test]
    fn s5_of_too_many_series_those_that_were_told_and_the_greatest_are_told() {
        let series = |number: u32| Series {
            labels: vec![("n".to_owned(), Value::Int(number.into()))],
            values: vec![f64::from(number), f64::NAN],
            exemplars: Vec::new(),
        };
        let all: Vec<Series> = (0..1_100).map(series).collect();
        let told = BTreeSet::from([key_of(&all[3].labels)]);
        let kept = |told: &BTreeSet<String>| -> Vec<f64> {
            let answer = chosen(all.clone(), all.len(), told);
            assert_eq!((answer.series.len(), answer.left_out), (MOST_SERIES, Some(1_100)));
            let mut values: Vec<f64> = answer.series.iter().map(|series| series.values[0]).collect();
            values.sort_unstable_by(f64::total_cmp);
            values
        };
        assert_eq!(kept(&BTreeSet::new())[..2], [100.0, 101.0]);
        assert_eq!(kept(&told)[..2], [3.0, 101.0]);
        assert_eq!(chosen(all[..5].to_vec(), 5, &told).left_out, None);
    }
}
