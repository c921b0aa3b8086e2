//! What do functions know about histograms? Counts, quantiles, shares, and how fast native ones rise.

use super::rate::{ends, is_start_reset, note_overlaps};
use super::{Window, text_arg};
use crate::promql::ast::{Call, Expr, Extension, Span};
use crate::promql::eval::{Answer, Evaluator, SAME_LABELS};
use crate::promql::fault::{Fault, Result};
use crate::promql::note::{Combination, Note, Notes};
use crate::promql::quantile::{self, Classic};
use crate::series::number::open_metrics;
use crate::series::{Amount, Grid, Hint, Histogram, Kahan, Labels, Row, Value};
use std::collections::HashMap;
use std::sync::Arc;

pub(super) fn count(value: &Value, _: &[f64]) -> Option<f64> {
    value.histogram().map(|histogram| histogram.count)
}

pub(super) fn sum(value: &Value, _: &[f64]) -> Option<f64> {
    value.histogram().map(|histogram| histogram.sum)
}

pub(super) fn avg(value: &Value, _: &[f64]) -> Option<f64> {
    value.histogram().map(|histogram| histogram.sum / histogram.count)
}

pub(super) fn stdvar(value: &Value, _: &[f64]) -> Option<f64> {
    let histogram = value.histogram()?;
    let mean = histogram.sum / histogram.count;
    let mut variance = Kahan::default();
    for interval in histogram.intervals().iter().filter(|interval| interval.count != 0.0) {
        let (lower, upper) = (interval.lower, interval.upper);
        let middle = if histogram.is_custom() {
            (upper + lower) / 2.0
        } else if lower <= 0.0 && upper >= 0.0 {
            0.0
        } else {
            (upper * lower).sqrt() * upper.signum()
        };
        let delta = middle - mean;
        variance.add(interval.count * delta * delta);
    }
    Some((variance.sum + variance.residue) / histogram.count)
}

pub(super) fn stddev(value: &Value, args: &[f64]) -> Option<f64> {
    stdvar(value, args).map(f64::sqrt)
}

/// A histogram at a step: native, or put together of buckets.
enum Whole<'r> {
    Native(&'r Histogram, &'r Labels),
    Classic(Vec<Classic>, &'r Labels),
}

/// All histograms of a vector at a step. Where there are both kinds for one label set, there is neither.
struct Gathering<'r> {
    rows: &'r [Row],
    /// For each row its upper bound and its labels without that.
    bounds: Vec<(Option<f64>, Labels)>,
}

impl<'r> Gathering<'r> {
    fn new(rows: &'r [Row]) -> Self {
        let bound = |row: &Row| (row.labels.get("le").parse().ok(), row.labels.without_label("le"));
        Gathering { rows, bounds: rows.iter().map(bound).collect() }
    }

    fn at(&self, step: usize, span: Span, notes: &mut Notes) -> Vec<Whole<'_>> {
        let mut classic: HashMap<&Labels, Vec<Classic>> = HashMap::new();
        let mut order: Vec<&Labels> = Vec::new();
        for (row, (bound, labels)) in self.rows.iter().zip(&self.bounds) {
            let Some(count) = row.cells.get(step).and_then(|cell| cell.as_ref()?.float()) else { continue };
            let Some(bound) = *bound else {
                notes.add(Note::bad_bucket_label(&row.labels, span));
                continue;
            };
            let buckets = classic.entry(labels).or_insert_with(|| {
                order.push(labels);
                Vec::new()
            });
            buckets.push(Classic { bound, count });
        }
        let mut all = Vec::new();
        for row in self.rows {
            let Some(histogram) = row.cells.get(step).and_then(|cell| cell.as_ref()?.histogram()) else { continue };
            if classic.remove(&row.labels).is_some() {
                notes.add(Note::mixed_classic(&row.labels, span));
            } else {
                all.push(Whole::Native(histogram, &row.labels));
            }
        }
        all.extend(order.into_iter().filter_map(|labels| Some(Whole::Classic(classic.remove(labels)?, labels))));
        all
    }
}

/// Results by their labels.
#[derive(Default)]
struct Results {
    rows: Vec<Row>,
    places: HashMap<Labels, usize>,
}

impl Results {
    /// Fails where a histogram's label was taken for another meaning, so that two results look alike.
    fn set(&mut self, labels: Labels, grid: Grid, step: usize, value: f64) -> Result<()> {
        let next = self.rows.len();
        let place = *self.places.entry(labels.clone()).or_insert(next);
        if place == next {
            self.rows.push(Row { drop_name: true, ..Row::empty(labels, grid.count) });
        }
        if let Some(cell) = self.rows.get_mut(place).and_then(|row| row.cells.get_mut(step)) {
            if cell.is_some() {
                return Fault::evaluation(SAME_LABELS);
            }
            *cell = Some(Value::Float(value));
        }
        Ok(())
    }
}

fn quantile_of(q: f64, whole: &mut Whole<'_>, span: Span, time: i64, notes: &mut Notes) -> f64 {
    match whole {
        Whole::Native(histogram, labels) => quantile::of_native(q, histogram, labels, span, notes),
        Whole::Classic(buckets, labels) => {
            let (value, forced) = quantile::of_classic(q, buckets);
            if let Some(forced) = forced {
                notes.add(Note::forced_monotonic(labels, span, time, forced));
            }
            value
        }
    }
}

fn labels_of<'a>(whole: &Whole<'a>) -> &'a Labels {
    match whole {
        Whole::Native(_, labels) | Whole::Classic(_, labels) => labels,
    }
}

fn arg(call: &Call, place: usize) -> Result<&Expr> {
    match call.args.get(place) {
        Some(arg) => Ok(arg),
        None => Fault::evaluation("an argument was expected"),
    }
}

fn note_invalid(q: f64, span: Span, notes: &mut Notes) {
    if !(0.0..=1.0).contains(&q) {
        notes.add(Note::invalid_quantile(q, span));
    }
}

pub(super) fn histogram_quantile(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Result<Answer> {
    let qs = evaluator.scalars(arg(call, 0)?, grid)?;
    let vector = arg(call, 1)?;
    let rows = evaluator.rows(vector, grid)?;
    evaluator.count(rows.len().saturating_mul(grid.count))?;
    let (gathering, mut results) = (Gathering::new(&rows), Results::default());
    for (step, q) in qs.into_iter().enumerate() {
        evaluator.source.check()?;
        note_invalid(q, arg(call, 0)?.span(), &mut evaluator.notes);
        for mut whole in gathering.at(step, vector.span(), &mut evaluator.notes) {
            let value = quantile_of(q, &mut whole, vector.span(), grid.at(step), &mut evaluator.notes);
            results.set(labels_of(&whole).clone(), grid, step, value)?;
        }
    }
    Ok(Answer::Instant(results.rows))
}

pub(super) fn histogram_quantiles(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Result<Answer> {
    let vector = arg(call, 0)?;
    let label = String::from_utf8_lossy(text_arg(call, 1)).into_owned();
    let rows = evaluator.rows(vector, grid)?;
    let args = evaluator.numbers(call, grid)?;
    evaluator.count(rows.len().saturating_mul(grid.count))?;
    let spans: Vec<Span> = call.args.iter().skip(2).map(Expr::span).collect();
    let (gathering, mut results) = (Gathering::new(&rows), Results::default());
    for step in 0..grid.count {
        evaluator.source.check()?;
        let qs = super::at(&args, step);
        for (q, span) in qs.iter().zip(&spans) {
            note_invalid(*q, *span, &mut evaluator.notes);
        }
        for mut whole in gathering.at(step, vector.span(), &mut evaluator.notes) {
            for q in &qs {
                let value = quantile_of(*q, &mut whole, vector.span(), grid.at(step), &mut evaluator.notes);
                let labels = labels_of(&whole).with(&label, &open_metrics(*q));
                evaluator.source.check()?;
                results.set(labels, grid, step, value)?;
            }
        }
    }
    Ok(Answer::Instant(results.rows))
}

pub(super) fn histogram_fraction(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Result<Answer> {
    let lower = evaluator.scalars(arg(call, 0)?, grid)?;
    let upper = evaluator.scalars(arg(call, 1)?, grid)?;
    let vector = arg(call, 2)?;
    let rows = evaluator.rows(vector, grid)?;
    evaluator.count(rows.len().saturating_mul(grid.count))?;
    let (gathering, mut results) = (Gathering::new(&rows), Results::default());
    for (step, bounds) in lower.into_iter().zip(upper).enumerate() {
        evaluator.source.check()?;
        let notes = &mut evaluator.notes;
        for mut whole in gathering.at(step, vector.span(), notes) {
            let value = match &mut whole {
                Whole::Native(histogram, labels) => {
                    quantile::share_of_native(bounds, histogram, labels, vector.span(), notes)
                }
                Whole::Classic(buckets, _) => quantile::share_of_classic(bounds, buckets),
            };
            results.set(labels_of(&whole).clone(), grid, step, value)?;
        }
    }
    Ok(Answer::Instant(results.rows))
}

/// Adds one histogram to another and notes what came of it.
pub(super) fn add_noted(
    sum: &mut Histogram,
    other: &Histogram,
    labels: &Labels,
    span: Span,
    notes: &mut Notes,
) -> Option<()> {
    match sum.add(other) {
        Ok(added) => notes.add_reconciled(added, Combination::Addition, span),
        Err(_) => {
            notes.add(Note::mixed_schemas(labels, span));
            return None;
        }
    }
    Some(())
}

fn subtract_noted(
    from: &mut Histogram,
    other: &Histogram,
    labels: &Labels,
    span: Span,
    notes: &mut Notes,
) -> Option<()> {
    match from.subtract(other) {
        Ok(added) => notes.add_reconciled(added, Combination::Subtraction, span),
        Err(_) => {
            notes.add(Note::mixed_schemas(labels, span));
            return None;
        }
    }
    Some(())
}

/// What was counted between the first and the last of some histograms, of which there are two at least.
pub(super) fn risen(window: &mut Window<'_>, is_counter: bool) -> Option<Histogram> {
    let samples = window.samples;
    let histograms: Vec<&Arc<Histogram>> = samples.iter().filter_map(|sample| sample.value.histogram()).collect();
    let (first, last) = (*histograms.first()?, *histograms.last()?);
    let (labels, span) = (window.labels, window.span);
    let is_reset = |place: usize, before: &Histogram| {
        let (Some(a), Some(b)) = (samples.get(place), samples.get(place + 1)) else { return false };
        (window.knows_starts && is_start_reset(a, b))
            || b.value.histogram().is_some_and(|after| after.is_reset_after(before))
    };
    let mut base = first.as_ref().clone();
    let second = histograms.get(1)?;
    // What was before a reset does not have to fit.
    if is_counter && is_reset(0, first) {
        base = Histogram { schema: second.schema, bounds: second.bounds.clone(), ..Histogram::default() };
    }
    let resets: Vec<usize> = match is_counter {
        true => (0..histograms.len() - 1)
            .filter(|&place| match (place, histograms.get(place)) {
                (0, _) => is_reset(0, &base),
                (_, Some(before)) => is_reset(place, before),
                _ => false,
            })
            .collect(),
        false => Vec::new(),
    };
    let gauges = histograms.iter().filter(|histogram| histogram.hint == Hint::Gauge).count();
    if is_counter && gauges > 0 {
        window.note(Note::not_a_counter(labels, span));
    }
    let between = if is_counter { histograms.get(1..histograms.len() - 1).unwrap_or_default() } else { &[] };
    let mut all = between.iter().chain([&last]);
    if all.any(|histogram| histogram.is_custom() != base.is_custom()) {
        window.note(Note::mixed_schemas(labels, span));
        return None;
    }
    let coarsest = between.iter().map(|histogram| histogram.schema).chain([last.schema, base.schema]).min()?;
    let mut risen = last.as_ref().clone();
    if coarsest != last.schema {
        risen.hint = Hint::Unknown;
    }
    risen.reduce(coarsest);
    subtract_noted(&mut risen, &base, labels, span, window.notes)?;
    if is_counter {
        note_overlaps(window);
        for place in resets {
            let before = if place == 0 { &base } else { histograms.get(place)?.as_ref() };
            add_noted(&mut risen, before, labels, span, window.notes)?;
        }
    } else if first.hint != Hint::Gauge || last.hint != Hint::Gauge {
        window.note(Note::not_a_gauge(labels, span));
    }
    risen.hint = Hint::Gauge;
    risen.compact();
    Some(risen)
}

/// Values between two histograms.
pub(super) struct Interpolation<'a> {
    pub(super) labels: &'a Labels,
    pub(super) span: Span,
    pub(super) notes: &'a mut Notes,
    pub(super) is_counter: bool,
}

impl Interpolation<'_> {
    /// On the line between two histograms. A counter that began anew between them is taken to have begun at 0.
    pub(super) fn at(&mut self, a: (i64, &Histogram), b: (i64, &Histogram), at: i64) -> Option<Histogram> {
        if at == a.0 {
            return Some(a.1.clone());
        }
        let share = (at - a.0) as f64 / (b.0 - a.0) as f64;
        let mut between = b.1.clone();
        if at == b.0 {
            return Some(between);
        }
        if self.is_counter && b.1.is_reset_after(a.1) {
            between.scale(share);
            return Some(between);
        }
        subtract_noted(&mut between, a.1, self.labels, self.span, self.notes)?;
        between.scale(share);
        add_noted(&mut between, a.1, self.labels, self.span, self.notes)?;
        Some(between)
    }
}

/// What was counted between the ends of an anchored or smoothed range.
pub(super) fn extended_rate(window: &mut Window<'_>, is_counter: bool, extension: Extension) -> Option<Histogram> {
    let points = window.histograms();
    let times: Vec<i64> = points.iter().map(|point| point.0).collect();
    let (exact, labels, span) = (window.exact, window.labels, window.span);
    let (first, last) = ends(&times, exact, extension)?;
    let counted = points.get(first..=last)?;
    let is_custom = counted.first()?.1.is_custom();
    if counted.iter().any(|(_, histogram)| histogram.is_custom() != is_custom) {
        window.note(Note::mixed_schemas(labels, span));
        return None;
    }
    if is_counter && counted.iter().any(|(_, histogram)| histogram.hint == Hint::Gauge) {
        window.note(Note::not_a_counter(labels, span));
    }
    let smooths = extension == Extension::Smoothed;
    let (start, end) = (*points.get(first)?, *points.get(last)?);
    let cuts_left = smooths && start.0 < exact.after;
    let mut between = Interpolation { labels, span, notes: window.notes, is_counter };
    let left = match points.get(first + 1) {
        Some(next) if cuts_left => between.at((start.0, start.1), (next.0, next.1), exact.after)?,
        _ => start.1.as_ref().clone(),
    };
    let right = match last.checked_sub(1).and_then(|before| points.get(before)) {
        Some(before) if smooths && end.0 > exact.until => {
            between.at((before.0, before.1), (end.0, end.1), exact.until)?
        }
        _ => end.1.as_ref().clone(),
    };
    if !is_counter && (left.hint != Hint::Gauge || right.hint != Hint::Gauge) {
        window.note(Note::not_a_gauge(labels, span));
    }
    let mut risen = right.clone();
    subtract_noted(&mut risen, &left, labels, span, window.notes)?;
    if is_counter {
        let mut before: &Histogram = &left;
        let mut from = first + 1;
        if let Some(next) = points.get(first + 1).filter(|next| cuts_left && next.1.is_reset_after(start.1)) {
            // The left end was computed over this reset.
            before = next.1;
            from += 1;
        }
        // Where nothing is left between the ends, both were computed over the same reset.
        if from <= last {
            let inner = points.get(from..last).unwrap_or_default().iter().map(|(_, histogram)| histogram.as_ref());
            let mut correction: Option<Histogram> = None;
            for histogram in inner.chain([&right]) {
                if histogram.is_reset_after(before) {
                    match &mut correction {
                        None => correction = Some(before.clone()),
                        Some(sum) => add_noted(sum, before, labels, span, window.notes)?,
                    }
                }
                before = histogram;
            }
            if let Some(correction) = correction {
                add_noted(&mut risen, &correction, labels, span, window.notes)?;
            }
        }
    }
    Some(risen)
}
