//! What comes of the samples of a range taken together?

use super::Window;
use crate::promql::eval::aggregate::HistogramTotal;
use crate::promql::fault::Result;
use crate::promql::note::{Combination, Note};
use crate::promql::quantile::of_numbers;
use crate::series::{Amount, Kahan, Mean, Sample, Value};

fn seconds(milliseconds: i64) -> Value {
    Value::Float(milliseconds as f64 / 1000.0)
}

pub(super) fn avg(window: &mut Window<'_>) -> Result<Option<Value>> {
    Ok(combined(window, true))
}

pub(super) fn sum(window: &mut Window<'_>) -> Result<Option<Value>> {
    Ok(combined(window, false))
}

fn combined(window: &mut Window<'_>, is_mean: bool) -> Option<Value> {
    if window.is_mixed() {
        return None;
    }
    if window.has_histograms() {
        return histograms_combined(window, is_mean);
    }
    if !window.stands.is_empty() {
        return sums_combined(&window.sums(), is_mean);
    }
    let values = values(&window.floats());
    Some(Value::Float(if is_mean { mean(&values) } else { total(&values) }))
}

/// The mean of numbers.
pub(super) fn mean(values: &[f64]) -> f64 {
    let mut mean = Mean::default();
    values.iter().for_each(|value| mean.add(*value));
    mean.get()
}

/// The sum of numbers.
pub(super) fn total(values: &[f64]) -> f64 {
    let mut sum = Kahan::default();
    values.iter().for_each(|value| sum.add(*value));
    sum.total()
}

/// The same of parts that are added up already.
fn sums_combined(parts: &[(f64, u64)], is_mean: bool) -> Option<Value> {
    let (mut total, mut count) = (Kahan::default(), 0u64);
    for (sum, of) in parts {
        total.add(*sum);
        count = count.saturating_add(*of);
    }
    (count > 0).then(|| Value::Float(if is_mean { total.total() / count as f64 } else { total.total() }))
}

fn histograms_combined(window: &mut Window<'_>, is_mean: bool) -> Option<Value> {
    let mut total = HistogramTotal::default();
    for (_, histogram) in window.histograms() {
        total.add(histogram, is_mean);
    }
    if total.is_incompatible {
        window.note(Note::mixed_schemas(window.labels, window.span));
        return None;
    }
    if total.hints_collide() {
        window.note(Note::hints_collide(Combination::Aggregation, window.span));
    }
    if total.reconciled {
        window.note(Note::mismatched_bounds(Combination::Aggregation, window.span));
    }
    total.finish(is_mean).map(Value::from)
}

pub(super) fn count(window: &mut Window<'_>) -> Result<Option<Value>> {
    let count = window.count();
    Ok((count > 0).then_some(Value::Float(count as f64)))
}

pub(super) fn present(_: &mut Window<'_>) -> Result<Option<Value>> {
    Ok(Some(Value::Float(1.0)))
}

pub(super) fn first(window: &mut Window<'_>) -> Result<Option<Value>> {
    Ok(window.samples.first().map(|sample| sample.value.clone()))
}

pub(super) fn last(window: &mut Window<'_>) -> Result<Option<Value>> {
    Ok(window.samples.last().map(|sample| sample.value.clone()))
}

pub(super) fn ts_of_first(window: &mut Window<'_>) -> Result<Option<Value>> {
    Ok(window.samples.first().map(|sample: &Sample| seconds(sample.time)))
}

pub(super) fn ts_of_last(window: &mut Window<'_>) -> Result<Option<Value>> {
    Ok(window.samples.last().map(|sample| seconds(sample.time)))
}

/// The sample that no other one is better than; what is no number is better than nothing.
fn best(window: &mut Window<'_>, is_better: fn(f64, f64) -> bool) -> Option<(i64, f64)> {
    let floats = window.numbers(1)?;
    floats.into_iter().reduce(|best, next| if is_better(next.1, best.1) || best.1.is_nan() { next } else { best })
}

/// The same of all that there were.
fn extreme(window: &mut Window<'_>, is_better: fn(f64, f64) -> bool, end: fn((f64, f64)) -> f64) -> Option<Value> {
    let (_, kept) = best(window, is_better)?;
    let others = window.stands.iter().filter_map(|stand| stand.range).map(end);
    let found = others.fold(kept, |best, next| if is_better(next, best) || best.is_nan() { next } else { best });
    Some(Value::Float(found))
}

/// The greatest of numbers.
pub(super) fn greatest(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(|best, next| if next > best || best.is_nan() { next } else { best })
}

/// The least of numbers.
pub(super) fn least(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(|best, next| if next < best || best.is_nan() { next } else { best })
}

pub(super) fn max(window: &mut Window<'_>) -> Result<Option<Value>> {
    Ok(extreme(window, |next, best| next > best, |(_, max)| max))
}

pub(super) fn min(window: &mut Window<'_>) -> Result<Option<Value>> {
    Ok(extreme(window, |next, best| next < best, |(min, _)| min))
}

pub(super) fn ts_of_max(window: &mut Window<'_>) -> Result<Option<Value>> {
    Ok(best(window, |next, best| next >= best).map(|(time, _)| seconds(time)))
}

pub(super) fn ts_of_min(window: &mut Window<'_>) -> Result<Option<Value>> {
    Ok(best(window, |next, best| next <= best).map(|(time, _)| seconds(time)))
}

fn values(floats: &[(i64, f64)]) -> Vec<f64> {
    floats.iter().map(|(_, value)| *value).collect()
}

pub(super) fn quantile(window: &mut Window<'_>) -> Result<Option<Value>> {
    let q = window.arg(0);
    let Some(floats) = window.numbers(1) else { return Ok(None) };
    if !(0.0..=1.0).contains(&q) {
        window.note(Note::invalid_quantile(q, window.span));
    }
    Ok(Some(Value::Float(of_numbers(q, &mut values(&floats)))))
}

/// The median of the distances from the median.
pub(super) fn mad(window: &mut Window<'_>) -> Result<Option<Value>> {
    let Some(floats) = window.numbers(1) else { return Ok(None) };
    let mut values = values(&floats);
    if values.iter().any(|value| value.is_nan()) {
        return Ok(Some(Value::Float(f64::NAN)));
    }
    let median = of_numbers(0.5, &mut values);
    values.iter_mut().for_each(|value| *value = (*value - median).abs());
    Ok(Some(Value::Float(of_numbers(0.5, &mut values))))
}

fn variance(window: &mut Window<'_>) -> Option<f64> {
    let floats = window.numbers(1)?;
    let (mut count, mut mean, mut squares) = (0.0, Kahan::default(), Kahan::default());
    for (_, value) in floats {
        count += 1.0;
        let delta = value - (mean.sum + mean.residue);
        mean.add(delta / count);
        squares.add(delta * (value - (mean.sum + mean.residue)));
    }
    Some((squares.sum + squares.residue) / count)
}

pub(super) fn stdvar(window: &mut Window<'_>) -> Result<Option<Value>> {
    Ok(variance(window).map(Value::Float))
}

pub(super) fn stddev(window: &mut Window<'_>) -> Result<Option<Value>> {
    Ok(variance(window).map(|variance| Value::Float(variance.sqrt())))
}
