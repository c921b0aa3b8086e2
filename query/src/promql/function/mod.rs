//! Which functions are there, and how are they called?
//!
//! F1  A function that looks at ranges gets one series and one step at a time (`Window`).
//! F2  A histogram where a function knows numbers only is left out, in ranges with a note.
//!
//! One file per family: `math`, `calendar`, `label`, `over_time`, `rate`, `change`, `trend`, `histogram`, `order`, `absent`,
//! `info`, `time`. `table` lists them all.

mod absent;
mod calendar;
mod change;
mod histogram;
mod info;
mod label;
mod math;
mod numeric;
mod order;
mod over_time;
pub(crate) mod rate;
mod table;
mod time;
mod trend;
mod window;

pub(crate) use table::FUNCTIONS;
pub(crate) use window::Window;

use super::ast::{Call, Expr, Extension, Kind};
use super::eval::{Answer, Cursor, Evaluator};
use super::fault::{Fault, Result};
use super::note::Note;
use crate::series::{Grid, Labels, Needs, Points, Row, Value};
use window::Nature;

/// So many samples of ranges are looked at between two looks at the clock.
const SAMPLES_PER_CHECK: usize = 10_000;

/// A function.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// The kinds of its arguments.
    pub(crate) args: &'static [Kind],
    /// How many of the last kind may be left out or added: -1 for any number.
    pub(crate) variadic: i8,
    pub(crate) returns: Kind,
    pub(crate) rule: Rule,
}

/// What it does.
#[derive(Clone, Copy)]
pub(crate) enum Rule {
    /// A number for each number.
    Math(fn(f64) -> f64),
    /// A number for each value, with further numbers.
    Each(fn(&Value, &[f64]) -> Option<f64>),
    /// A number for each moment, in seconds.
    Calendar(fn(i64) -> i64),
    /// Numbers from numbers.
    Scalar(fn(&[f64]) -> f64),
    /// A value for each range of a series.
    Range(fn(&mut Window<'_>) -> Result<Option<Value>>),
    /// Everything.
    Whole(fn(&mut Evaluator<'_>, &Call, Grid) -> Result<Answer>),
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rule")
    }
}

/// A function by its name.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// One whose name is a keyword too, and can be written in capitals as those can.
pub(crate) fn find_keyword(name: &str) -> Option<&'static Function> {
    let lower = name.to_ascii_lowercase();
    ["start", "end", "step", "range", "max_of", "min_of"].contains(&lower.as_str()).then(|| find(&lower))?
}

impl Evaluator<'_> {
    pub(crate) fn call(&mut self, call: &Call, grid: Grid) -> Result<Answer> {
        match call.function.rule {
            Rule::Whole(whole) => whole(self, call, grid),
            Rule::Range(function) => Ok(Answer::Instant(self.over_ranges(call, grid, function)?)),
            Rule::Calendar(function) => self.calendar(call, grid, function),
            Rule::Scalar(function) => {
                let args = self.numbers(call, grid)?;
                Ok(Answer::Scalar((0..grid.count).map(|step| function(&at(&args, step))).collect()))
            }
            Rule::Math(function) => self.each(call, grid, |value, _| value.float().map(function)),
            Rule::Each(function) => self.each(call, grid, function),
        }
    }

    /// The arguments that are numbers, in their order.
    pub(crate) fn numbers(&mut self, call: &Call, grid: Grid) -> Result<Vec<Vec<f64>>> {
        let numbers = call.args.iter().filter(|arg| arg.kind() == Kind::Scalar);
        numbers.map(|arg| self.scalars(arg, grid)).collect()
    }

    fn each(&mut self, call: &Call, grid: Grid, function: impl Fn(&Value, &[f64]) -> Option<f64>) -> Result<Answer> {
        let vector = call.args.iter().find(|arg| arg.kind() == Kind::Instant);
        let rows = match vector {
            Some(vector) => self.rows(vector, grid)?,
            None => Vec::new(),
        };
        let args = self.numbers(call, grid)?;
        let by_step: Vec<Vec<f64>> = (0..grid.count).map(|step| at(&args, step)).collect();
        let computed = rows.into_iter().filter_map(|row| {
            let row = Row { drop_name: true, ..row };
            row.mapped(|step, value| function(&value, by_step.get(step)?).map(Value::Float))
        });
        Ok(Answer::Instant(computed.collect()))
    }

    /// Calls a function for each range of each series.
    fn over_ranges(
        &mut self,
        call: &Call,
        grid: Grid,
        function: fn(&mut Window<'_>) -> Result<Option<Value>>,
    ) -> Result<Vec<Row>> {
        let args = self.numbers(call, grid)?;
        let name = call.function.name;
        let span = call.args.first().map(Expr::span).unwrap_or_default();
        let keeps_name = matches!(name, "last_over_time" | "first_over_time");
        let knows_starts = matches!(name, "rate" | "irate" | "increase" | "resets");
        let extension = extension_of(call)?;
        let mut rows = Vec::new();
        let mut numeric = numeric::find(name).filter(|_| extension.is_none()).map(numeric::Ranges::new);
        let mut each = |evaluator: &mut Self, series: super::eval::Ranged| {
            let drop_name = !keeps_name || series.drop_name;
            let mut keep = |evaluator: &mut Self, row: Row| {
                if row.has_value() {
                    evaluator.count_series(&row.labels, grid.count)?;
                    if matches!(name, "rate" | "increase") {
                        evaluator.note_no_counter(&row, span);
                    }
                    rows.push(row);
                }
                Ok(())
            };
            if let (Some(ranges), Points::Numbers(numbers), true) =
                (&mut numeric, &series.points, series.stands.is_empty())
            {
                let cells = ranges.cells(&series.exact, numbers, || evaluator.source.check())?;
                return keep(evaluator, Row { labels: series.labels, drop_name, cells });
            }
            let mut row = Row::empty(series.labels.clone(), grid.count);
            row.drop_name = drop_name;
            let samples_of_all = series.points.into_samples();
            let spans = series.exact.iter().zip(series.extended.iter());
            let (nature, mut cursor, mut looked_at) = (Nature::of(&samples_of_all), Cursor::default(), 0usize);
            for (step, (cell, (exact, extended))) in row.cells.iter_mut().zip(spans).enumerate() {
                let places = cursor.at(*extended, &samples_of_all);
                let samples = samples_of_all.get(places.clone()).unwrap_or_default();
                if samples.is_empty() {
                    continue;
                }
                // One step of a long range can be much work.
                looked_at += samples.len();
                if looked_at > SAMPLES_PER_CHECK {
                    looked_at = 0;
                    evaluator.source.check()?;
                }
                let args = at(&args, step);
                let mut window = Window {
                    samples,
                    stands: extended.of_stands(&series.stands),
                    nature: &nature,
                    first: places.start,
                    exact: *exact,
                    time: grid.at(step),
                    extension,
                    knows_starts,
                    labels: &series.labels,
                    args: &args,
                    span,
                    notes: &mut evaluator.notes,
                };
                *cell = function(&mut window)?;
            }
            keep(evaluator, row)
        };
        match call.args.iter().find(|arg| arg.kind() == Kind::Range) {
            Some(Expr::Range(range)) => self.each_range(range, grid, needs_of(name), &mut each)?,
            Some(Expr::Subquery(subquery)) => self.each_subquery_range(subquery, grid, &mut each)?,
            _ => return Fault::evaluation("a range vector was expected"),
        }
        Ok(rows)
    }

    fn note_no_counter(&mut self, row: &Row, span: super::ast::Span) {
        let name = row.labels.name();
        let is_counter = ["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix));
        let has_numbers = row.cells.iter().flatten().any(|value| value.float().is_some());
        if !name.is_empty() && !is_counter && has_numbers {
            self.note(Note::possibly_no_counter(&row.labels, span));
        }
    }
}

/// What a function asks of the samples of a range.
fn needs_of(name: &str) -> Needs {
    match name {
        "count_over_time"
        | "delta"
        | "first_over_time"
        | "last_over_time"
        | "present_over_time"
        | "ts_of_first_over_time"
        | "ts_of_last_over_time" => Needs::Ends,
        "avg_over_time" | "sum_over_time" => Needs::Sums,
        "max_over_time" | "min_over_time" => Needs::Extremes,
        "increase" | "rate" | "resets" => Needs::Falls,
        _ => Needs::Everything,
    }
}

/// Only some functions make sense of samples beyond a range.
fn extension_of(call: &Call) -> Result<Option<Extension>> {
    const ANCHORED: [&str; 5] = ["changes", "delta", "increase", "rate", "resets"];
    const SMOOTHED: [&str; 3] = ["delta", "increase", "rate"];
    let range = call.args.iter().find_map(|arg| match arg {
        Expr::Range(range) => Some(range),
        _ => None,
    });
    let extension = range.and_then(|range| range.selector.extension);
    let (allowed, name) = match extension {
        None => return Ok(None),
        Some(Extension::Anchored) => (ANCHORED.as_slice(), "anchored"),
        Some(Extension::Smoothed) => (SMOOTHED.as_slice(), "smoothed"),
    };
    let function = call.function.name;
    if allowed.contains(&function) {
        return Ok(extension);
    }
    let allowed = allowed.join(", ");
    Fault::evaluation(format!("{name} modifier can only be used with: {allowed} - not with {function}"))
}

/// What each argument is at a step.
fn at(args: &[Vec<f64>], step: usize) -> Vec<f64> {
    args.iter().map(|values| values.get(step).copied().unwrap_or(f64::NAN)).collect()
}

/// A row without labels.
fn unlabelled(cells: Vec<Option<Value>>) -> Row {
    Row { labels: Labels::default(), drop_name: false, cells }
}

/// A text argument.
fn text_arg(call: &Call, place: usize) -> &[u8] {
    match call.args.get(place) {
        Some(Expr::Text(text)) => &text.bytes,
        _ => b"",
    }
}
