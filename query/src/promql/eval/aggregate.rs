//! What comes of the members of a group?

use super::Evaluator;
use crate::promql::ast::{Aggregate, Aggregator, Expr, Span};
use crate::promql::fault::{Fault, Result};
use crate::promql::note::{Combination, Note, Notes};
use crate::promql::quantile;
use crate::series::number::plain;
use crate::series::{Amount, Grid, Hint, Histogram, Kahan, Labels, Mean, NAME, Row, Value, quoted};
use std::collections::HashMap;

/// Series that belong together: the places of the rows, and the labels of the result.
pub(super) struct Group {
    pub(super) labels: Labels,
    pub(super) members: Vec<usize>,
}

/// The groups that a clause makes, in the order of their first members.
pub(super) fn groups(aggregate: &Aggregate, rows: &[Row]) -> Vec<Group> {
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    let dropped: Vec<String> = aggregate.grouping.iter().cloned().chain([NAME.to_owned()]).collect();
    for (member, row) in rows.iter().enumerate() {
        let labels = group_labels(&row.labels, aggregate, &dropped);
        let next = groups.len();
        let place = *places.entry(labels.clone()).or_insert(next);
        if place == next {
            groups.push(Group { labels, members: Vec::new() });
        }
        if let Some(group) = groups.get_mut(place) {
            group.members.push(member);
        }
    }
    groups
}

fn group_labels(labels: &Labels, aggregate: &Aggregate, dropped: &[String]) -> Labels {
    if aggregate.without { labels.without(dropped) } else { labels.only(&aggregate.grouping) }
}

impl Evaluator<'_> {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate, grid: Grid) -> Result<Vec<Row>> {
        if aggregate.op == Aggregator::CountValues {
            return self.count_values(aggregate, grid);
        }
        let params = match &aggregate.param {
            Some(param) => self.scalars(param, grid)?,
            None => Vec::new(),
        };
        let rows = self.rows(&aggregate.expr, grid)?;
        match aggregate.op {
            Aggregator::Topk | Aggregator::Bottomk | Aggregator::Limitk | Aggregator::LimitRatio => {
                self.ranked(aggregate, &params, rows, grid)
            }
            _ => self.grouped(aggregate, &params, &rows, grid),
        }
    }

    fn grouped(&mut self, aggregate: &Aggregate, params: &[f64], rows: &[Row], grid: Grid) -> Result<Vec<Row>> {
        if aggregate.op == Aggregator::Quantile {
            self.check_quantiles(aggregate, params);
        }
        let span = aggregate.expr.span();
        let groups = groups(aggregate, rows);
        self.count(groups.len().saturating_mul(grid.count))?;
        let mut results = Vec::with_capacity(groups.len());
        for group in groups {
            self.source.check()?;
            let mut states: Vec<State> = (0..grid.count).map(|_| State::new(aggregate.op)).collect();
            let mut drop_name = false;
            for row in group.members.iter().filter_map(|member| rows.get(*member)) {
                drop_name |= row.drop_name;
                for (state, cell) in states.iter_mut().zip(&row.cells) {
                    if let Some(value) = cell {
                        state.add(value, row, span, &mut self.notes);
                    }
                }
            }
            let cells = states.into_iter().enumerate().map(|(step, state)| {
                state.finish(params.get(step).copied().unwrap_or(f64::NAN), span, &mut self.notes)
            });
            let row = Row { cells: cells.collect(), labels: group.labels, drop_name };
            if row.has_value() {
                results.push(row);
            }
        }
        Ok(results)
    }

    fn check_quantiles(&mut self, aggregate: &Aggregate, params: &[f64]) {
        let Some(span) = aggregate.param.as_ref().map(Expr::span) else { return };
        if params.iter().any(|q| q.is_nan()) {
            self.note(Note::invalid_quantile(f64::NAN, span));
        }
        let most = params.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let least = params.iter().copied().fold(f64::INFINITY, f64::min);
        if most > 1.0 {
            self.note(Note::invalid_quantile(most, span));
        }
        if least < 0.0 {
            self.note(Note::invalid_quantile(least, span));
        }
    }

    fn count_values(&mut self, aggregate: &Aggregate, grid: Grid) -> Result<Vec<Row>> {
        let bytes = match &aggregate.param {
            Some(Expr::Text(text)) => text.bytes.as_slice(),
            _ => b"",
        };
        let Some(label) = std::str::from_utf8(bytes).ok().filter(|label| !label.is_empty()) else {
            return Fault::evaluation(format!("invalid label name {}", quoted(bytes)));
        };
        let mut aggregate = aggregate.clone();
        if !aggregate.without {
            aggregate.grouping.push(label.to_owned());
        }
        let dropped: Vec<String> = aggregate.grouping.iter().cloned().chain([NAME.to_owned()]).collect();
        let rows = self.rows(&aggregate.expr, grid)?;
        let mut places: HashMap<Labels, usize> = HashMap::new();
        let mut results: Vec<Row> = Vec::new();
        for row in &rows {
            for (step, cell) in row.cells.iter().enumerate() {
                let Some(value) = cell else { continue };
                // Long labels are much work at many steps, as a histogram's text is.
                self.source.check()?;
                let text = match value {
                    Value::Float(value) => plain(*value),
                    Value::Histogram(histogram) => histogram.to_string(),
                };
                let labels = group_labels(&row.labels.with(label, &text), &aggregate, &dropped);
                let next = results.len();
                let place = *places.entry(labels.clone()).or_insert(next);
                if place == next {
                    self.count(grid.count)?;
                    self.count_label(label, text.len())?;
                    results.push(Row::empty(labels, grid.count));
                }
                if let Some(cell) = results.get_mut(place).and_then(|row| row.cells.get_mut(step)) {
                    let count = cell.as_ref().and_then(Value::float).unwrap_or_default();
                    *cell = Some(Value::Float(count + 1.0));
                }
            }
        }
        Ok(results)
    }
}

/// What is known of a group's members at a step.
enum State {
    Total(Total),
    Extreme { name: &'static str, most: f64, sign: f64, is_empty: bool },
    Count(f64),
    Group(bool),
    Variance { name: &'static str, is_root: bool, count: f64, mean: f64, squares: f64 },
    Quantile(Vec<f64>),
}

impl State {
    fn new(op: Aggregator) -> Self {
        match op {
            Aggregator::Avg => State::Total(Total { is_mean: true, ..Total::default() }),
            Aggregator::Sum => State::Total(Total::default()),
            Aggregator::Max => State::Extreme { name: "max", most: 0.0, sign: 1.0, is_empty: true },
            Aggregator::Min => State::Extreme { name: "min", most: 0.0, sign: -1.0, is_empty: true },
            Aggregator::Count => State::Count(0.0),
            Aggregator::Stddev | Aggregator::Stdvar => {
                let is_root = op == Aggregator::Stddev;
                State::Variance { name: op.name(), is_root, count: 0.0, mean: 0.0, squares: 0.0 }
            }
            Aggregator::Quantile => State::Quantile(Vec::new()),
            _ => State::Group(false),
        }
    }

    fn add(&mut self, value: &Value, row: &Row, span: Span, notes: &mut Notes) {
        let ignores = match self {
            State::Total(total) => return total.add(value, row, span, notes),
            State::Count(count) => {
                *count += 1.0;
                return;
            }
            State::Group(seen) => {
                *seen = true;
                return;
            }
            State::Extreme { name, .. } | State::Variance { name, .. } => *name,
            State::Quantile(_) => "quantile",
        };
        let Some(value) = value.float() else { return notes.add(Note::ignored_in_aggregation(ignores, span)) };
        match self {
            State::Extreme { most, sign, is_empty, .. } => {
                if *is_empty || *sign * *most < *sign * value || most.is_nan() {
                    *most = value;
                }
                *is_empty = false;
            }
            State::Variance { count, mean, squares, .. } => {
                *count += 1.0;
                let delta = value - *mean;
                *mean += delta / *count;
                *squares += delta * (value - *mean);
                if *count == 1.0 {
                    *mean = value;
                    *squares = if value.is_finite() { 0.0 } else { f64::NAN };
                }
            }
            State::Quantile(values) => values.push(value),
            State::Total(_) | State::Count(_) | State::Group(_) => {}
        }
    }

    fn finish(self, param: f64, span: Span, notes: &mut Notes) -> Option<Value> {
        match self {
            State::Total(total) => total.finish(span, notes),
            State::Extreme { most, is_empty, .. } => (!is_empty).then_some(Value::Float(most)),
            State::Count(count) => (count > 0.0).then_some(Value::Float(count)),
            State::Group(seen) => seen.then_some(Value::Float(1.0)),
            State::Variance { is_root, count, squares, .. } => {
                let variance = squares / count;
                (count > 0.0).then(|| Value::Float(if is_root { variance.sqrt() } else { variance }))
            }
            State::Quantile(values) if values.is_empty() => None,
            State::Quantile(mut values) => Some(Value::Float(quantile::of_numbers(param, &mut values))),
        }
    }
}

/// The sum or mean of numbers or histograms.
#[derive(Default)]
struct Total {
    is_mean: bool,
    floats: usize,
    sum: Kahan,
    mean: Mean,
    /// Where there was one.
    histograms: Option<Box<HistogramTotal>>,
}

impl Total {
    fn add(&mut self, value: &Value, row: &Row, span: Span, notes: &mut Notes) {
        match value {
            Value::Float(value) => {
                self.floats += 1;
                if self.is_mean { self.mean.add(*value) } else { self.sum.add(*value) }
            }
            Value::Histogram(histogram) => {
                let histograms = self.histograms.get_or_insert_default();
                let was_compatible = !histograms.is_incompatible;
                if self.floats > 0 && histograms.count == 0.0 {
                    // A mix has no sum; that there is one is all that counts.
                    histograms.count = 1.0;
                    histograms.is_mixed = true;
                    return;
                }
                if histograms.is_mixed {
                    return;
                }
                histograms.add(histogram, self.is_mean);
                if was_compatible && histograms.is_incompatible {
                    notes.add(Note::mixed_schemas(&row.labels, span));
                }
                if std::mem::take(&mut histograms.reconciled) {
                    notes.add(Note::mismatched_bounds(Combination::Aggregation, span));
                }
            }
        }
    }

    fn finish(self, span: Span, notes: &mut Notes) -> Option<Value> {
        if let Some(histograms) = self.histograms.filter(|histograms| histograms.count > 0.0) {
            if self.floats > 0 {
                notes.add(Note::mixed_aggregation(span));
                return None;
            }
            if histograms.is_incompatible {
                return None;
            }
            if histograms.hints_collide() {
                notes.add(Note::hints_collide(Combination::Aggregation, span));
            }
            return histograms.finish(self.is_mean).map(Value::from);
        }
        (self.floats > 0).then(|| Value::Float(if self.is_mean { self.mean.get() } else { self.sum.total() }))
    }
}

/// The sum or mean of histograms; also for ranges (`function::over_time`).
#[derive(Debug, Default)]
pub(crate) struct HistogramTotal {
    sum: Option<Histogram<Kahan>>,
    count: f64,
    is_incremental: bool,
    is_mixed: bool,
    pub(crate) is_incompatible: bool,
    pub(crate) reconciled: bool,
    saw_reset: bool,
    saw_none: bool,
}

impl HistogramTotal {
    pub(crate) fn add(&mut self, histogram: &Histogram, is_mean: bool) {
        if self.is_incompatible {
            return;
        }
        self.saw_reset |= histogram.hint == Hint::Reset;
        self.saw_none |= histogram.hint == Hint::NotReset;
        self.count += 1.0;
        let Some(sum) = &mut self.sum else {
            self.sum = Some(histogram.summable());
            return;
        };
        if !is_mean {
            return match sum.add(histogram) {
                Ok(added) => self.reconciled |= added.bounds_reconciled,
                Err(_) => self.is_incompatible = true,
            };
        }
        if !self.is_incremental {
            let mut larger = sum.clone();
            match larger.add(histogram) {
                Err(_) => {
                    self.is_incompatible = true;
                    return;
                }
                Ok(added) => self.reconciled |= added.bounds_reconciled,
            }
            if !larger.overflows() {
                *sum = larger;
                return;
            }
            // From here on the mean itself is kept.
            self.is_incremental = true;
            sum.divide(self.count - 1.0);
        }
        sum.scale((self.count - 1.0) / self.count);
        let mut part = histogram.clone();
        part.divide(self.count);
        match sum.add(&part) {
            Ok(added) => self.reconciled |= added.bounds_reconciled,
            Err(_) => self.is_incompatible = true,
        }
    }

    pub(crate) fn hints_collide(&self) -> bool {
        self.saw_reset && self.saw_none
    }

    pub(crate) fn finish(self, is_mean: bool) -> Option<Histogram> {
        let mut sum = self.sum?;
        if is_mean && !self.is_incremental {
            sum.divide(self.count);
        }
        let mut total = sum.total();
        total.compact();
        Some(total)
    }
}
