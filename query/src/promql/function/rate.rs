//! How fast does a counter rise, or a gauge change?
//!
//! `rate` and `increase` know that counters begin anew: a value that fell, or a start time between two samples, is a reset,
//! and what was counted before stays counted. Towards the ends of a range they extrapolate, but not below 0. `anchored` and
//! `smoothed` ranges do not extrapolate: they take the value at an end from the sample before it, or from a line.

use super::Window;
use super::numeric::Stretch;
use crate::promql::ast::{Extension, Span};
use crate::promql::fault::Result;
use crate::promql::note::{Combination, Note, Notes};
use crate::series::{Hint, Histogram, Labels, Sample, Value};
use std::sync::Arc;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
struct Question {
    is_counter: bool,
    per_second: bool,
}

pub(super) fn rate(window: &mut Window<'_>) -> Result<Option<Value>> {
    Ok(answer(window, Question { is_counter: true, per_second: true }))
}

pub(super) fn increase(window: &mut Window<'_>) -> Result<Option<Value>> {
    Ok(answer(window, Question { is_counter: true, per_second: false }))
}

pub(super) fn delta(window: &mut Window<'_>) -> Result<Option<Value>> {
    Ok(answer(window, Question { is_counter: false, per_second: false }))
}

fn answer(window: &mut Window<'_>, question: Question) -> Option<Value> {
    if window.is_mixed() {
        return None;
    }
    match (window.extension, window.has_histograms()) {
        (None, _) => extrapolated(window, question),
        (Some(extension), false) => extended_float(window, question, extension).map(Value::Float),
        (Some(extension), true) => {
            super::histogram::extended_rate(window, question.is_counter, extension).map(|mut h| {
                if question.per_second {
                    h.divide(range_seconds(window));
                }
                h.hint = Hint::Gauge;
                h.compact();
                h.into()
            })
        }
    }
}

fn range_seconds(window: &Window<'_>) -> f64 {
    seconds_of(window.exact)
}

fn seconds_of(span: crate::promql::eval::Span) -> f64 {
    span.until.saturating_sub(span.after) as f64 / 1000.0
}

/// Whether a start time says that a counter began anew between two samples.
pub(super) fn is_start_reset(before: &Sample, after: &Sample) -> bool {
    let start = after.start;
    if start == 0 || start >= after.time || start < before.time {
        return false;
    }
    if start > before.time {
        return true;
    }
    // It starts with the sample before: a delta, unless that one does not know its start either.
    before.start <= before.time && before.start != 0 && before.start != before.time
}

fn overlaps(before: &Sample, after: &Sample) -> bool {
    after.start != 0 && after.start < before.time && after.start != before.start
}

/// Notes once per series and step that start times overlap.
pub(super) fn note_overlaps(window: &mut Window<'_>) {
    if !window.is_plain()
        && window.knows_starts
        && window.samples.iter().zip(window.samples.iter().skip(1)).any(|(a, b)| overlaps(a, b))
    {
        window.note(Note::start_overlap(window.labels, window.span));
    }
}

/// What was counted between the first and the last sample.
enum Risen {
    Float(f64),
    Histogram(Option<Histogram>),
}

fn extrapolated(window: &mut Window<'_>, question: Question) -> Option<Value> {
    let (first, last) = (window.samples.first()?, window.samples.last()?);
    let mut risen = match (&first.value, &last.value) {
        (Value::Float(from), Value::Float(to)) => {
            let mut risen = to - from;
            if question.is_counter && window.is_plain() {
                window.peaks().for_each(|peak| risen += peak);
            } else if question.is_counter {
                note_overlaps(window);
                let knows_starts = window.knows_starts;
                for (before, after) in window.samples.iter().zip(window.samples.iter().skip(1)) {
                    let (Some(a), Some(b)) = (before.value.float(), after.value.float()) else { continue };
                    if b < a || (knows_starts && is_start_reset(before, after)) {
                        risen += a;
                    }
                }
            }
            Risen::Float(risen)
        }
        _ if window.samples.len() > 1 => Risen::Histogram(Some(super::histogram::risen(window, question.is_counter)?)),
        _ => Risen::Histogram(None),
    };
    // A part of a window may have one sample that stands for many.
    let gaps = if window.samples.len() > 1 { window.count().saturating_sub(1) as f64 } else { 0.0 };
    let mut reach = Reach::new(first.time, last.time, gaps, window.exact);
    let starts_inside = question.is_counter
        && window.knows_starts
        && first.start != 0
        && first.start > window.exact.after
        && first.start < first.time;
    if starts_inside {
        // There it was 0, so nothing has to be guessed.
        reach.to_start = 0.0;
        reach.interval = (last.time - first.start) as f64 / 1000.0;
        add_first(window, &mut risen, &first.value)?;
    } else if gaps == 0.0 {
        return None;
    } else if question.is_counter {
        reach = reach.bounded(to_zero(&risen, &first.value, reach.interval));
    }
    let factor = reach.factor(question);
    match risen {
        Risen::Float(risen) => Some(Value::Float(risen * factor)),
        Risen::Histogram(risen) => {
            let mut risen = risen?;
            risen.scale(factor);
            Some(risen.into())
        }
    }
}

/// How far samples reach in their range, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    /// From the first to the last one.
    interval: f64,
    /// How far it is extrapolated to both sides.
    to_start: f64,
    to_end: f64,
    /// Distances between samples.
    gaps: f64,
    range: f64,
}

impl Reach {
    fn new(first: i64, last: i64, gaps: f64, exact: crate::promql::eval::Span) -> Self {
        let interval = (last - first) as f64 / 1000.0;
        let mean_gap = if gaps > 0.0 { interval / gaps } else { 0.0 };
        let threshold = mean_gap * 1.1;
        let bounded = |distance: f64| if distance >= threshold { mean_gap / 2.0 } else { distance };
        let to_start = bounded((first - exact.after) as f64 / 1000.0);
        let to_end = bounded((exact.until - last) as f64 / 1000.0);
        Reach { interval, to_start, to_end, gaps, range: seconds_of(exact) }
    }

    /// Of samples at some times.
    pub(super) fn of(times: &[i64], exact: crate::promql::eval::Span) -> Self {
        let first = times.first().copied().unwrap_or_default();
        let last = times.last().copied().unwrap_or_default();
        Reach::new(first, last, times.len().saturating_sub(1) as f64, exact)
    }

    /// Not before the moment at which the counter was 0.
    fn bounded(self, to_zero: Option<f64>) -> Self {
        Reach { to_start: self.to_start.min(to_zero.unwrap_or(self.to_start)), ..self }
    }

    /// By what the rise between the samples is multiplied.
    fn factor(&self, question: Question) -> f64 {
        let Reach { interval, to_start, to_end, range, .. } = *self;
        let factor = if interval == 0.0 { 1.0 } else { (interval + to_start + to_end) / interval };
        if question.per_second { factor / range } else { factor }
    }
}

pub(super) fn rate_of(range: &Stretch<'_>) -> Option<f64> {
    extrapolated_number(range, Question { is_counter: true, per_second: true })
}

pub(super) fn increase_of(range: &Stretch<'_>) -> Option<f64> {
    extrapolated_number(range, Question { is_counter: true, per_second: false })
}

pub(super) fn delta_of(range: &Stretch<'_>) -> Option<f64> {
    extrapolated_number(range, Question { is_counter: false, per_second: false })
}

/// The same as `extrapolated`, of numbers alone.
#[inline]
fn extrapolated_number(range: &Stretch<'_>, question: Question) -> Option<f64> {
    let (first, last, reach) = (*range.values.first()?, *range.values.last()?, *range.reach?);
    if reach.gaps == 0.0 {
        return None;
    }
    let mut risen = last - first;
    if !question.is_counter {
        return Some(risen * reach.factor(question));
    }
    range.peaks.iter().for_each(|fall| risen += fall.from);
    let to_zero = number_to_zero(risen, first, reach.interval);
    Some(risen * reach.bounded(to_zero).factor(question))
}

fn number_to_zero(risen: f64, first: f64, interval: f64) -> Option<f64> {
    (risen > 0.0 && first >= 0.0).then(|| interval * (first / risen))
}

/// How long before the first sample a counter that rose so fast was 0.
fn to_zero(risen: &Risen, first: &Value, interval: f64) -> Option<f64> {
    let (risen, first) = match (risen, first) {
        (Risen::Float(risen), Value::Float(first)) => (*risen, *first),
        (Risen::Histogram(Some(risen)), Value::Histogram(first)) => (risen.count, first.count),
        _ => return None,
    };
    number_to_zero(risen, first, interval)
}

fn add_first(window: &mut Window<'_>, risen: &mut Risen, first: &Value) -> Option<()> {
    match (risen, first) {
        (Risen::Float(risen), Value::Float(first)) => *risen += first,
        (Risen::Histogram(risen @ None), Value::Histogram(first)) => *risen = Some(first.as_ref().clone()),
        (Risen::Histogram(Some(risen)), Value::Histogram(first)) => {
            let (labels, span) = (window.labels, window.span);
            super::histogram::add_noted(risen, first, labels, span, window.notes)?;
        }
        _ => {}
    }
    Some(())
}

pub(super) fn irate(window: &mut Window<'_>) -> Result<Option<Value>> {
    Ok(between_last_two(window, true))
}

pub(super) fn idelta(window: &mut Window<'_>) -> Result<Option<Value>> {
    Ok(between_last_two(window, false))
}

fn between_last_two(window: &mut Window<'_>, is_rate: bool) -> Option<Value> {
    let (last, others) = window.samples.split_last()?;
    let before = others.last()?;
    let seconds = last.time.saturating_sub(before.time) as f64 / 1000.0;
    if seconds == 0.0 {
        return None;
    }
    let starts_anew = window.knows_starts && is_start_reset(before, last);
    let difference: Value = match (&before.value, &last.value) {
        (Value::Float(a), Value::Float(b)) => {
            let is_reset = is_rate && (b < a || starts_anew);
            Value::Float(if is_reset { *b } else { b - a })
        }
        (Value::Histogram(a), Value::Histogram(b)) => {
            let mut difference = b.as_ref().clone();
            let gauges = [a, b].iter().filter(|histogram| histogram.hint == Hint::Gauge).count();
            if is_rate && gauges > 0 {
                window.note(Note::not_a_counter(window.labels, window.span));
            }
            if !is_rate && gauges < 2 {
                window.note(Note::not_a_gauge(window.labels, window.span));
            }
            if !is_rate || (!starts_anew && !b.is_reset_after(a)) {
                match difference.subtract(a) {
                    Ok(added) => window.notes.add_reconciled(added, Combination::Subtraction, window.span),
                    Err(_) => {
                        window.note(Note::mixed_schemas(window.labels, window.span));
                        return None;
                    }
                }
            }
            difference.hint = Hint::Gauge;
            difference.compact();
            difference.into()
        }
        _ => {
            window.note(Note::mixed(window.labels, window.span));
            return None;
        }
    };
    Some(match difference {
        Value::Float(value) if is_rate => Value::Float(value / seconds),
        Value::Histogram(histogram) if is_rate => {
            let mut histogram = Arc::unwrap_or_clone(histogram);
            histogram.divide(seconds);
            histogram.into()
        }
        difference => difference,
    })
}

/// On the line between two points. A counter that fell between them is taken to have begun at 0.
fn interpolated(a: (i64, f64), b: (i64, f64), at: i64, is_counter: bool) -> f64 {
    let from = if is_counter && b.1 < a.1 { 0.0 } else { a.1 };
    from + (b.1 - from) * (at - a.0) as f64 / (b.0 - a.0) as f64
}

/// The samples around a range that an extension looks at: the places of the first and the last.
pub(super) fn ends(times: &[i64], exact: crate::promql::eval::Span, extension: Extension) -> Option<(usize, usize)> {
    let mut last = times.len().checked_sub(1)?;
    let others = times.get(..last)?;
    let first = others.partition_point(|time| *time <= exact.after).saturating_sub(1);
    if extension == Extension::Smoothed {
        last = others.partition_point(|time| *time < exact.until);
    }
    let (first_time, last_time) = (times.get(first)?, times.get(last)?);
    let is_outside = *last_time <= exact.after || (extension == Extension::Smoothed && *first_time > exact.until);
    (!is_outside).then_some((first, last))
}

/// The values at the two ends of a range.
fn end_values(
    points: &[(i64, f64)],
    ends: (usize, usize),
    exact: crate::promql::eval::Span,
    extension: Extension,
    is_counter: bool,
) -> Option<(f64, f64)> {
    let (first, last) = (*points.get(ends.0)?, *points.get(ends.1)?);
    let smooths = extension == Extension::Smoothed;
    let left = match points.get(ends.0 + 1) {
        Some(next) if smooths && first.0 < exact.after => interpolated(first, *next, exact.after, is_counter),
        _ => first.1,
    };
    let right = match ends.1.checked_sub(1).and_then(|before| points.get(before)) {
        Some(before) if smooths && last.0 > exact.until => interpolated(*before, last, exact.until, is_counter),
        _ => last.1,
    };
    Some((left, right))
}

/// The points strictly between the ends of a range.
fn inner(points: &[(i64, f64)], ends: (usize, usize), exact: crate::promql::eval::Span) -> &[(i64, f64)] {
    let (mut from, mut to) = (ends.0, ends.1 + 1);
    if points.get(from).is_some_and(|point| point.0 <= exact.after) {
        from += 1;
    }
    if points.get(ends.1).is_some_and(|point| point.0 >= exact.until) {
        to -= 1;
    }
    points.get(from..to.max(from)).unwrap_or_default()
}

fn extended_float(window: &Window<'_>, question: Question, extension: Extension) -> Option<f64> {
    let points = window.floats();
    let times: Vec<i64> = points.iter().map(|point| point.0).collect();
    let ends = ends(&times, window.exact, extension)?;
    let (left, right) = end_values(&points, ends, window.exact, extension, question.is_counter)?;
    let mut risen = right - left;
    if question.is_counter {
        let mut before = left;
        let between = inner(&points, ends, window.exact).iter().map(|point| point.1);
        for value in between.chain([right]) {
            if value < before {
                risen += before;
            }
            before = value;
        }
    }
    Some(if question.per_second { risen / range_seconds(window) } else { risen })
}

/// A range with a sample at each of its ends.
pub(crate) fn extended_samples(
    samples: &[Sample],
    exact: crate::promql::eval::Span,
    extension: Extension,
) -> Vec<Sample> {
    let points: Vec<(i64, f64)> =
        samples.iter().filter_map(|sample| Some((sample.time, sample.value.float()?))).collect();
    let times: Vec<i64> = points.iter().map(|point| point.0).collect();
    let extended = || {
        let ends = ends(&times, exact, extension)?;
        let (left, right) = end_values(&points, ends, exact, extension, false)?;
        let inner = inner(&points, ends, exact).iter().copied();
        Some([(exact.after, left)].into_iter().chain(inner).chain([(exact.until, right)]).collect::<Vec<_>>())
    };
    let points = extended().unwrap_or_default().into_iter();
    points.map(|(time, value)| Sample { time, start: 0, value: Value::Float(value) }).collect()
}

/// The value at a moment: that of a sample, or on the line between two; behind the last sample its value.
pub(crate) fn smoothed_at(
    samples: &[Sample],
    at: i64,
    labels: &Labels,
    span: Span,
    notes: &mut Notes,
) -> Option<Value> {
    let histograms = samples.iter().filter(|sample| sample.value.histogram().is_some()).count();
    if histograms != 0 && histograms != samples.len() {
        notes.add(Note::mixed(labels, span));
        return None;
    }
    let behind = samples.partition_point(|sample| sample.time < at);
    let next = samples.get(behind);
    if let Some(exact) = next.filter(|sample| sample.time == at) {
        return Some(exact.value.clone());
    }
    let before = samples.get(behind.checked_sub(1)?)?;
    match (&before.value, next.map(|next| (&next.value, next.time))) {
        (Value::Float(value), None) => Some(Value::Float(*value)),
        (Value::Histogram(histogram), None) => {
            let mut histogram = histogram.as_ref().clone();
            histogram.hint = Hint::Unknown;
            Some(histogram.into())
        }
        (Value::Float(a), Some((Value::Float(b), time))) => {
            Some(Value::Float(interpolated((before.time, *a), (time, *b), at, false)))
        }
        (Value::Histogram(a), Some((Value::Histogram(b), time))) => {
            if a.is_custom() != b.is_custom() {
                notes.add(Note::mixed_schemas(labels, span));
                return None;
            }
            let is_counter = a.hint != Hint::Gauge || b.hint != Hint::Gauge;
            let mut between = super::histogram::Interpolation { labels, span, notes, is_counter };
            between.at((before.time, a), (time, b), at).map(Value::from)
        }
        _ => None,
    }
}
