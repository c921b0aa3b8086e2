//! How do series become other series? Arithmetic, comparison, rank.
//!
//! C1  Series of two sides belong together by their labels, the name of the function aside; a side of one series without
//!     labels belongs to each of the other. What has no partner is left out.
//! C2  A value that is missing on one side is missing in the result.
//! C3  Of equal values the series that stands first by its labels ranks first.

use super::super::ast::{Arithmetic, Compare, Static};
use super::super::value::Value;
use super::{Series, key_of};
use std::collections::BTreeMap;

pub(super) fn calculate(op: Arithmetic, left: f64, right: f64) -> f64 {
    match op {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide => left / right,
        Arithmetic::Modulo => left % right,
        Arithmetic::Power => left.powf(right),
    }
}

/// Each value calculated with a number.
pub(super) fn with_number(series: Vec<Series>, calculate: impl Fn(f64) -> f64) -> Vec<Series> {
    let of = |series: Series| Series { values: series.values.into_iter().map(&calculate).collect(), ..series };
    series.into_iter().map(of).collect()
}

/// The labels that series are matched by.
fn identity(series: &Series) -> Vec<(String, Value<'static>)> {
    series.labels.iter().filter(|(name, _)| name != "__name__").cloned().collect()
}

/// The series of both sides, step by step (C1).
pub(super) fn joined(op: Arithmetic, left: Vec<Series>, right: Vec<Series>) -> Vec<Series> {
    let join = |labels: Vec<(String, Value<'static>)>, left: &Series, right: &Series| {
        let values = left.values.iter().zip(&right.values).map(|(left, right)| calculate(op, *left, *right));
        Series { labels, values: values.collect(), exemplars: Vec::new() }
    };
    let unlabelled = |side: &[Series]| match side {
        [only] if identity(only).is_empty() => Some(only.clone()),
        _ => None,
    };
    match (unlabelled(&left), unlabelled(&right)) {
        (Some(left), _) => right.iter().map(|right| join(identity(right), &left, right)).collect(),
        (None, Some(right)) => left.iter().map(|left| join(identity(left), left, &right)).collect(),
        (None, None) => {
            let others: BTreeMap<String, Series> =
                right.into_iter().map(|series| (key_of(&identity(&series)), series)).collect();
            let partner = |left: &Series| {
                let labels = identity(left);
                others.get(&key_of(&labels)).map(|right| join(labels, left, right))
            };
            left.iter().filter_map(partner).collect()
        }
    }
}

/// Only values that compare so.
pub(super) fn filtered(series: Vec<Series>, op: Compare, bound: &Static) -> Vec<Series> {
    let bound = match bound {
        Static::Float(value) => *value,
        Static::Int(value) => *value as f64,
        Static::Duration(nanos) => *nanos as f64 / 1e9,
        _ => f64::NAN,
    };
    let keeps = |value: f64| match op {
        Compare::Equal => value == bound,
        Compare::NotEqual => value != bound && !value.is_nan(),
        Compare::Less => value < bound,
        Compare::LessOrEqual => value <= bound,
        Compare::Greater => value > bound,
        Compare::GreaterOrEqual => value >= bound,
        Compare::Matches | Compare::MatchesNot => false,
    };
    chosen(series, |_, value| keeps(value))
}

/// Of each step the greatest or least values (C3).
pub(super) fn ranked(mut series: Vec<Series>, count: i64, greatest: bool) -> Vec<Series> {
    series.sort_by_cached_key(|series| key_of(&series.labels));
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let steps = series.iter().map(|series| series.values.len()).max().unwrap_or(0);
    let mut kept = vec![vec![false; steps]; series.len()];
    for step in 0..steps {
        let value = |place: &usize| series.get(*place).and_then(|series| series.values.get(step)).copied();
        let mut places: Vec<usize> =
            (0..series.len()).filter(|place| value(place).is_some_and(|value| !value.is_nan())).collect();
        places.sort_by(|a, b| {
            let ordering = value(a).partial_cmp(&value(b)).unwrap_or(std::cmp::Ordering::Equal);
            if greatest { ordering.reverse() } else { ordering }
        });
        for place in places.into_iter().take(count) {
            if let Some(slot) = kept.get_mut(place).and_then(|steps| steps.get_mut(step)) {
                *slot = true;
            }
        }
    }
    let mut marks = kept.into_iter();
    let mut of_series = Vec::new();
    for series in series {
        let marks = marks.next().unwrap_or_default();
        of_series.extend(chosen(vec![series], |step, _| marks.get(step).copied().unwrap_or(false)));
    }
    of_series
}

/// Values that are kept; a series of which none is kept is left out.
fn chosen(series: Vec<Series>, keep: impl Fn(usize, f64) -> bool) -> Vec<Series> {
    let of = |series: Series| {
        let values = series.values.iter().enumerate();
        let values: Vec<f64> = values.map(|(step, value)| if keep(step, *value) { *value } else { f64::NAN }).collect();
        values.iter().any(|value| !value.is_nan()).then_some(Series { values, ..series })
    };
    series.into_iter().filter_map(of).collect()
}
