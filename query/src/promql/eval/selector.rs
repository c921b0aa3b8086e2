//! Which values have the series that a selector selects?

use super::{Evaluator, named};
use crate::promql::ast::{Extension, RangeSelector, Shift, Subquery, VectorSelector};
use crate::promql::fault::{Fault, Result};
use crate::promql::function::rate;
use crate::promql::note::Note;
use crate::promql::source::Reading;
use crate::series::{
    Grid, Hint, Histogram, Labels, Needs, Numbers, Points, RawSeries, Row, Sample, Selected, Stand, Thinning, Value,
};
use std::ops::Range;
use std::sync::Arc;

/// So many samples are looked at before their place is searched for.
const ADVANCE_ONE_BY_ONE: usize = 64;

/// After one moment, until another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) after: i64,
    pub(crate) until: i64,
}

impl Span {
    fn back_from(until: i64, length: i64) -> Self {
        Span { after: until.saturating_sub(length), until }
    }

    /// What a query reads for a selector with an extension.
    fn extended(self, extension: Option<Extension>, lookback: i64) -> Self {
        match extension {
            None => self,
            Some(Extension::Anchored) => Span { after: self.after.saturating_sub(lookback), ..self },
            Some(Extension::Smoothed) => {
                Span { after: self.after.saturating_sub(lookback), until: self.until.saturating_add(lookback) }
            }
        }
    }

    /// The samples in it, of some by ascending time.
    pub(crate) fn of(self, samples: &[Sample]) -> &[Sample] {
        let from = samples.partition_point(|sample| sample.time <= self.after);
        let to = samples.partition_point(|sample| sample.time <= self.until);
        samples.get(from..to.max(from)).unwrap_or_default()
    }

    /// The same of what they stand for.
    pub(crate) fn of_stands(self, stands: &[Stand]) -> &[Stand] {
        let from = stands.partition_point(|stand| stand.time <= self.after);
        let to = stands.partition_point(|stand| stand.time <= self.until);
        stands.get(from..to.max(from)).unwrap_or_default()
    }
}

/// Where the samples of a span are, of one span after the other: nearly always they rise.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    from: usize,
    to: usize,
}

impl Cursor {
    /// The places of the samples in a span, of some by ascending time.
    pub(crate) fn at(&mut self, span: Span, samples: &[Sample]) -> Range<usize> {
        self.from = advanced(self.from, span.after, samples, |sample| sample.time);
        self.to = advanced(self.to, span.until, samples, |sample| sample.time);
        self.from..self.to.max(self.from)
    }
}

/// How many samples are not behind a moment; `from` was so of an earlier one.
pub(crate) fn advanced<T>(from: usize, moment: i64, samples: &[T], time: impl Fn(&T) -> i64) -> usize {
    let before = from.checked_sub(1).and_then(|before| samples.get(before));
    if before.is_some_and(|sample| time(sample) > moment) {
        return samples.partition_point(|sample| time(sample) <= moment);
    }
    let rest = samples.get(from..).unwrap_or_default();
    // Where steps are far from each other, the next sample is too.
    match rest.iter().take(ADVANCE_ONE_BY_ONE).position(|sample| time(sample) > moment) {
        Some(ahead) => from + ahead,
        None => from + rest.partition_point(|sample| time(sample) <= moment),
    }
}

/// The moment that a selector looks at, seen from a step.
fn reference(shift: &Shift, time: i64) -> i64 {
    shift.time().unwrap_or(time).saturating_sub(shift.offset_ms())
}

/// From the first to the last moment that a selector looks at.
fn references(shift: &Shift, grid: Grid) -> (i64, i64) {
    (reference(shift, grid.start), reference(shift, grid.end()))
}

/// How a selector looks at samples, from the steps of a grid and over a range.
fn reading(shift: &Shift, grid: Grid, range: i64, needs: Needs) -> Reading {
    Reading::new(references(shift, grid), grid.step, range, needs)
}

/// The sample that counts at a moment.
pub(crate) fn present(samples: &[Sample], at: i64, lookback: i64) -> Option<&Sample> {
    of_behind(samples, samples.partition_point(|sample| sample.time <= at), at, lookback)
}

/// The same, where it is known how many samples are not behind the moment.
fn of_behind(samples: &[Sample], behind: usize, at: i64, lookback: i64) -> Option<&Sample> {
    let sample = samples.get(behind.checked_sub(1)?)?;
    (sample.time > at.saturating_sub(lookback) && !sample.value.is_stale()).then_some(sample)
}

/// Which of the numbers at some times counts at each step: the same one of every series that has these times.
struct Places {
    times: Arc<[i64]>,
    lookback: i64,
    at: Vec<Option<usize>>,
}

impl Places {
    fn new(moments: impl Iterator<Item = i64>, numbers: &Numbers, lookback: i64) -> Self {
        let (times, mut behind) = (Arc::clone(&numbers.times), 0);
        let place = |at: i64| {
            behind = advanced(behind, at, &times, |time| *time);
            let last = behind.checked_sub(1)?;
            times.get(last).is_some_and(|time| *time > at.saturating_sub(lookback)).then_some(last)
        };
        let at = moments.map(place).collect();
        Places { times, lookback, at }
    }

    fn are_of(&self, numbers: &Numbers, lookback: i64) -> bool {
        self.lookback == lookback && Arc::ptr_eq(&self.times, &numbers.times)
    }

    fn cells(&self, numbers: &Numbers, value: impl Fn(&Sample) -> Value) -> Vec<Option<Value>> {
        let cell = |place: &Option<usize>| {
            let place = (*place)?;
            let (time, number) = (*self.times.get(place)?, *numbers.values.get(place)?);
            Some(value(&Sample { time, start: 0, value: Value::Float(number) }))
        };
        self.at.iter().map(cell).collect()
    }
}

impl Evaluator<'_> {
    /// Gives each series that a selector selects, with the samples between two moments.
    fn select_of(
        &mut self,
        selector: &VectorSelector,
        span: Span,
        reading: Reading,
        mut each: impl FnMut(&mut Self, Selected) -> Result<()>,
    ) -> Result<()> {
        self.select(&selector.matchers, span, (reading, selector.span), |evaluator, mut series| {
            if let (true, Points::Samples(samples)) = (selector.skips_buckets, &mut series.points) {
                without_buckets(samples);
            }
            each(evaluator, series)
        })
    }

    /// The same for any conditions, which stand at a place of the expression.
    pub(crate) fn select(
        &mut self,
        matchers: &[crate::promql::regex::Matcher],
        span: Span,
        (reading, place): (Reading, crate::promql::ast::Span),
        mut each: impl FnMut(&mut Self, Selected) -> Result<()>,
    ) -> Result<()> {
        let source = self.source;
        source.select(matchers, span.after, span.until, reading, &mut |series| {
            self.source.check()?;
            self.note_thinning(&series.thinning, reading, place);
            if series.is_mixed {
                self.note(Note::not_told_apart(&series.labels, place));
            }
            let most = self.settings.most_samples;
            self.samples = self.samples.saturating_add(series.points.weight());
            self.tally_read(&series.points);
            if self.samples > most {
                return Fault::evaluation(
                    "query processing would load too many samples into memory in query execution",
                );
            }
            each(self, series)
        })
    }

    /// Tells that samples were left out, and where an answer is therefore not the one that all of them would have given.
    fn note_thinning(&mut self, thinning: &Thinning, reading: Reading, place: crate::promql::ast::Span) {
        if thinning.resolution == 0 {
            return;
        }
        self.note(Note::downsampled(thinning.resolution, place));
        if thinning.is_cut_by(reading.every) {
            self.note(Note::cuts_windows(thinning.resolution, place));
        }
        if !thinning.tells(reading.needs) {
            self.note(Note::lacks_samples(thinning.resolution, place));
        }
    }

    pub(super) fn instant_selector(&mut self, selector: &VectorSelector, grid: Grid) -> Result<Vec<Row>> {
        if selector.extension == Some(Extension::Smoothed) {
            return self.smoothed_selector(selector, grid);
        }
        self.looked_up(selector, grid, |sample| sample.value.clone())
    }

    /// What is asked of the sample that counts at each step.
    pub(crate) fn looked_up(
        &mut self,
        selector: &VectorSelector,
        grid: Grid,
        value: impl Fn(&Sample) -> Value,
    ) -> Result<Vec<Row>> {
        let (first, last) = references(&selector.shift, grid);
        let lookback = self.settings.lookback;
        let span = Span { after: first.saturating_sub(lookback), until: last };
        let reading = reading(&selector.shift, grid, 0, Needs::Ends);
        let (mut rows, mut places) = (Vec::new(), None::<Places>);
        self.select_of(selector, span, reading, |evaluator, series| {
            let lookback = lookback.saturating_add(reading.slack(&series.thinning));
            let moments = grid.times().map(|time| reference(&selector.shift, time));
            let cells = match &series.points {
                Points::Samples(samples) => {
                    let mut behind = 0;
                    let cells = moments.map(|at| {
                        behind = advanced(behind, at, samples, |sample| sample.time);
                        of_behind(samples, behind, at, lookback).map(&value)
                    });
                    cells.collect()
                }
                Points::Numbers(numbers) => {
                    let known = places.as_ref().filter(|known| known.are_of(numbers, lookback));
                    let known = match known {
                        Some(_) => known,
                        None => Some(&*places.insert(Places::new(moments, numbers, lookback))),
                    };
                    known.map(|known| known.cells(numbers, &value)).unwrap_or_default()
                }
            };
            let row = Row { labels: series.labels, drop_name: false, cells };
            evaluator.tally_cells(&row.cells);
            if row.has_value() {
                evaluator.count_series(&row.labels, grid.count)?;
                rows.push(row);
            }
            Ok(())
        })?;
        Ok(rows)
    }

    /// Between two samples the value is on the line between them.
    fn smoothed_selector(&mut self, selector: &VectorSelector, grid: Grid) -> Result<Vec<Row>> {
        let (first, last) = references(&selector.shift, grid);
        let lookback = self.settings.lookback;
        let span = Span { after: first.saturating_sub(lookback), until: last.saturating_add(lookback) };
        let reading = reading(&selector.shift, grid, 0, Needs::Ends);
        let mut rows = Vec::new();
        self.select_of(selector, span, reading, |evaluator, series| {
            let samples = living(series.points.into_samples());
            let cells = grid.times().map(|time| {
                let at = reference(&selector.shift, time);
                let around = Span { after: at.saturating_sub(lookback), until: at.saturating_add(lookback) };
                rate::smoothed_at(around.of(&samples), at, &series.labels, selector.span, &mut evaluator.notes)
            });
            let row = Row { cells: cells.collect(), labels: series.labels, drop_name: false };
            evaluator.tally_cells(&row.cells);
            if row.has_value() {
                evaluator.count_series(&row.labels, grid.count)?;
                rows.push(row);
            }
            Ok(())
        })?;
        Ok(rows)
    }

    /// The samples of a range at one moment, as an answer.
    pub(super) fn range_selector(&mut self, range: &RangeSelector, grid: Grid) -> Result<Vec<RawSeries>> {
        let selector = &range.selector;
        let exact = Span::back_from(reference(&selector.shift, grid.start), range.range.milliseconds());
        let span = exact.extended(selector.extension, self.settings.lookback);
        let reading = reading(&selector.shift, grid, range.range.milliseconds(), Needs::Everything);
        let mut found = Vec::new();
        self.select_of(selector, span, reading, |evaluator, series| {
            // Of thinned samples there may be some from before.
            let mut samples = living(series.points.into_samples());
            samples.retain(|sample| sample.time > span.after && sample.time <= span.until);
            if let Some(extension) = selector.extension.filter(|_| !samples.is_empty()) {
                if samples.iter().any(|sample| sample.value.histogram().is_some()) {
                    let name = extension.name();
                    return Fault::evaluation(format!("{name} modifier is not supported with histograms"));
                }
                samples = rate::extended_samples(&samples, exact, extension);
            }
            if !samples.is_empty() {
                evaluator.tally_samples(&samples);
                evaluator.source.charge(samples.len().saturating_mul(size_of::<Sample>()))?;
                evaluator.count_series(&series.labels, 0)?;
                found.push(RawSeries::whole(series.labels, samples));
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// The steps of a subquery, as an answer.
    pub(super) fn subquery_series(&mut self, subquery: &Subquery, grid: Grid) -> Result<Vec<RawSeries>> {
        let (inner, rows) = self.subquery_rows(subquery, Grid { count: 1, ..grid })?;
        let rows = named(rows)?;
        let series = rows.into_iter().map(|row| RawSeries::whole(row.labels, samples_of(inner, row.cells)));
        let series: Vec<RawSeries> = series.collect();
        series.iter().for_each(|series| self.tally_samples(&series.samples));
        Ok(series)
    }

    fn subquery_rows(&mut self, subquery: &Subquery, grid: Grid) -> Result<(Grid, Vec<Row>)> {
        let (first, last) = references(&subquery.shift, grid);
        let step = subquery.step.as_ref().map_or(self.settings.subquery_step, |step| step.milliseconds()).max(1);
        let after = first.saturating_sub(subquery.range.milliseconds());
        // The first multiple of the step behind the start.
        let start = after.div_euclid(step).saturating_add(1).saturating_mul(step);
        let inner = Grid::range(start, last, step);
        if inner.count == 0 {
            return Ok((inner, Vec::new()));
        }
        self.count(inner.count)?;
        let rows = self.untold(|evaluator| evaluator.rows(&subquery.expr, inner))?;
        Ok((inner, rows))
    }

    /// For each series of a range its living samples, and for each step the span that they are asked for.
    pub(crate) fn each_range(
        &mut self,
        range: &RangeSelector,
        grid: Grid,
        needs: Needs,
        mut each: impl FnMut(&mut Self, Ranged) -> Result<()>,
    ) -> Result<()> {
        let selector = &range.selector;
        let length = range.range.milliseconds();
        let (first, last) = references(&selector.shift, grid);
        let lookback = self.settings.lookback;
        let all = Span { after: first.saturating_sub(length), until: last };
        let all = all.extended(selector.extension, lookback);
        let exact: Vec<Span> =
            grid.times().map(|time| Span::back_from(reference(&selector.shift, time), length)).collect();
        let exact: Arc<[Span]> = exact.into();
        let extended: Arc<[Span]> = exact.iter().map(|span| span.extended(selector.extension, lookback)).collect();
        let reading = reading(&selector.shift, grid, length, needs);
        self.select_of(selector, all, reading, |evaluator, series| {
            let points = match series.points {
                Points::Samples(samples) => Points::Samples(living(samples)),
                numbers @ Points::Numbers(_) => numbers,
            };
            evaluator.tally_spans(&points, &extended);
            let (exact, extended, stands) = (exact.clone(), extended.clone(), series.thinning.stands);
            each(evaluator, Ranged { labels: series.labels, drop_name: false, points, stands, exact, extended })
        })
    }

    /// The same for a subquery.
    pub(crate) fn each_subquery_range(
        &mut self,
        subquery: &Subquery,
        grid: Grid,
        mut each: impl FnMut(&mut Self, Ranged) -> Result<()>,
    ) -> Result<()> {
        let (inner, rows) = self.subquery_rows(subquery, grid)?;
        let length = subquery.range.milliseconds();
        let spans = grid.times().map(|time| Span::back_from(reference(&subquery.shift, time), length));
        let exact: Arc<[Span]> = spans.collect();
        for row in rows {
            let (labels, drop_name) = (row.labels, row.drop_name);
            let mut samples = samples_of(inner, row.cells);
            for sample in &mut samples {
                forget_resets(&mut sample.value);
            }
            let (exact, extended) = (exact.clone(), exact.clone());
            let points = Points::of(samples);
            self.tally_spans(&points, &exact);
            each(self, Ranged { labels, drop_name, points, stands: Vec::new(), exact, extended })?;
        }
        Ok(())
    }

    pub(crate) fn note(&mut self, note: Note) {
        self.notes.add(note);
    }
}

/// A series, and what of it each step of a query looks at.
pub(crate) struct Ranged {
    pub(crate) labels: Labels,
    pub(crate) drop_name: bool,
    /// None of them says that the series ended.
    pub(crate) points: Points,
    /// What they say of samples that were left out.
    pub(crate) stands: Vec<Stand>,
    /// What the expression says.
    pub(crate) exact: Arc<[Span]>,
    /// With the samples beyond it that an extension looks at.
    pub(crate) extended: Arc<[Span]>,
}

/// Counts and sums of histograms. Whether a counter began anew is found out before the buckets are gone.
fn without_buckets(samples: &mut [Sample]) {
    let mut before: Option<Arc<Histogram>> = None;
    for sample in samples {
        let Value::Histogram(histogram) = &sample.value else { continue };
        if sample.value.is_stale() {
            continue;
        }
        let hint = match (&before, histogram.hint) {
            (Some(before), Hint::Unknown) if histogram.is_reset_after(before) => Hint::Reset,
            (Some(_), Hint::Unknown) => Hint::NotReset,
            (_, hint) => hint,
        };
        let (schema, count, sum) = (histogram.schema, histogram.count, histogram.sum);
        let mut known = histogram.clone();
        Arc::make_mut(&mut known).hint = hint;
        sample.value = Histogram { hint, schema, count, sum, ..Histogram::default() }.into();
        before = Some(known);
    }
}

/// Without markers of a series' end.
fn living(mut samples: Vec<Sample>) -> Vec<Sample> {
    samples.retain(|sample| !sample.value.is_stale());
    samples
}

fn samples_of(grid: Grid, cells: Vec<Option<Value>>) -> Vec<Sample> {
    let cells = cells.into_iter().zip(grid.times());
    cells.filter_map(|(cell, time)| Some(Sample { time, start: 0, value: cell? })).collect()
}

/// A subquery may leave out or repeat samples, so that what is known about resets between them does not hold.
fn forget_resets(value: &mut Value) {
    if let Value::Histogram(histogram) = value
        && matches!(histogram.hint, Hint::Reset | Hint::NotReset)
    {
        Arc::make_mut(histogram).hint = Hint::Unknown;
    }
}
