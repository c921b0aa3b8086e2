//! Which members of a group are the largest, the smallest, the first, or chosen by chance?

use super::Evaluator;
use super::aggregate::groups;
use crate::promql::ast::{Aggregate, Aggregator, Expr};
use crate::promql::fault::{Fault, Result};
use crate::promql::note::Note;
use crate::series::{Grid, Row, Value};
use std::cmp::Ordering;

impl Evaluator<'_> {
    /// Rows of which only the chosen values are left; for one moment in the order of their rank.
    pub(super) fn ranked(
        &mut self,
        aggregate: &Aggregate,
        params: &[f64],
        rows: Vec<Row>,
        grid: Grid,
    ) -> Result<Vec<Row>> {
        if !self.check_parameter(aggregate, params)? {
            return Ok(Vec::new());
        }
        let groups = groups(aggregate, &rows);
        let chances: Vec<f64> = match aggregate.op {
            Aggregator::LimitRatio => rows.iter().map(|row| row.labels.chance()).collect(),
            _ => Vec::new(),
        };
        let mut kept: Vec<Row> = rows.iter().map(|row| Row { cells: vec![None; grid.count], ..row.clone() }).collect();
        let mut order = Vec::new();
        for (step, param) in params.iter().copied().enumerate().take(grid.count) {
            self.source.check()?;
            for group in &groups {
                let members = group.members.iter().filter_map(|&member| {
                    let value = rows.get(member)?.cells.get(step)?.as_ref()?;
                    Some((member, value))
                });
                let chosen = match aggregate.op {
                    Aggregator::LimitRatio => {
                        let is_chosen = |member: usize| chances.get(member).is_some_and(|at| is_within(param, *at));
                        members.map(|(member, _)| member).filter(|member| is_chosen(*member)).collect()
                    }
                    Aggregator::Limitk => members.map(|(member, _)| member).take(whole(param)).collect(),
                    _ => self.extremes(aggregate, members.collect(), whole(param)),
                };
                for member in chosen {
                    let value = rows.get(member).and_then(|row| row.cells.get(step)?.clone());
                    if let Some(cell) = kept.get_mut(member).and_then(|row| row.cells.get_mut(step)) {
                        *cell = value;
                    }
                    if grid.count == 1 {
                        order.push(member);
                    }
                }
            }
        }
        if grid.count == 1 {
            return Ok(order.into_iter().filter_map(|member| kept.get(member).cloned()).collect());
        }
        Ok(kept.into_iter().filter(Row::has_value).collect())
    }

    /// The best of some members, the best first; of equal ones those that come first.
    fn extremes(&mut self, aggregate: &Aggregate, members: Vec<(usize, &Value)>, count: usize) -> Vec<usize> {
        if count == 0 {
            return Vec::new();
        }
        let sign = if aggregate.op == Aggregator::Topk { 1.0 } else { -1.0 };
        let mut numbers: Vec<(usize, f64)> = Vec::with_capacity(members.len());
        for (member, value) in members {
            match value.float() {
                Some(value) => numbers.push((member, sign * value)),
                None => self.note(Note::ignored_in_aggregation(aggregate.op.name(), aggregate.span)),
            }
        }
        numbers.sort_by(|a, b| descending(a.1, b.1));
        numbers.into_iter().take(count).map(|(member, _)| member).collect()
    }

    /// False where nothing is chosen at any step.
    fn check_parameter(&mut self, aggregate: &Aggregate, params: &[f64]) -> Result<bool> {
        let span = aggregate.param.as_ref().map(Expr::span).unwrap_or_default();
        let most = params.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let least = params.iter().copied().fold(f64::INFINITY, f64::min);
        let has_nan = params.iter().any(|param| param.is_nan());
        if aggregate.op == Aggregator::LimitRatio {
            if has_nan {
                return Fault::evaluation("Ratio value is NaN");
            }
            if most > 1.0 {
                self.note(Note::invalid_ratio(most, 1.0, span));
            }
            if least < -1.0 {
                self.note(Note::invalid_ratio(least, -1.0, span));
            }
            return Ok(most != 0.0 || least != 0.0);
        }
        if has_nan {
            return Fault::evaluation("Parameter value is NaN");
        }
        if most < 1.0 {
            return Ok(false);
        }
        if least <= -9.223_372_036_854_776e18 {
            return Fault::evaluation(format!("Scalar value {least} underflows int64"));
        }
        if most >= 9.223_372_036_854_776e18 {
            return Fault::evaluation(format!("Scalar value {most} overflows int64"));
        }
        Ok(true)
    }
}

/// A count; 0 below 1.
fn whole(param: f64) -> usize {
    if param >= 1.0 { param as usize } else { 0 }
}

/// Whether a place in the order of chance is within a ratio, counted from the start, or from the end if it is below 0.
fn is_within(ratio: f64, at: f64) -> bool {
    let ratio = ratio.clamp(-1.0, 1.0);
    if ratio >= 0.0 { at < ratio } else { at >= 1.0 + ratio }
}

/// The largest first, what is no number last.
pub(crate) fn descending(a: f64, b: f64) -> Ordering {
    a.is_nan().cmp(&b.is_nan()).then(b.partial_cmp(&a).unwrap_or(Ordering::Equal))
}
