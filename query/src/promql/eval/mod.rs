//! What is the value of an expression at each step?
//!
//! V1  A selector reads each of its series once, and holds the samples of one series at a time.
//! V2  What has one value for all steps is computed once.
//! V3  Names are dropped at the end, not on the way, so that functions can tell series apart that differ in name only; if
//!     what is left then is the same label set twice at one step, the expression has no value.
//! V4  What labels a part makes is counted before they are made, and those of series that it selects are while it keeps them; they are given
//!     back where its value no longer has them. A short text can ask for labels that double with each call.
//!
//! - `selector`: instant and range selectors, subqueries.
//! - `binary`, `set`, `element`: operators between vectors; `and`, `or`, `unless`; two values.
//! - `aggregate`, `rank`: groups, and the best of each.
//! - `tally`: samples that each step has looked at.
//!
//! Not here: functions (`function`).

pub(crate) mod aggregate;
mod binary;
mod element;
pub(crate) mod rank;
mod selector;
mod set;
mod tally;

pub(crate) use selector::{Cursor, Ranged, Span, advanced, present};
pub(crate) use tally::Tally;

use super::ast::{Expr, Kind};
use super::fault::{Fault, Result};
use super::note::Notes;
use super::parser;
use super::prepare::{Frame, prepare};
use super::source::Source;
use crate::series::{Grid, Labels, RawSeries, Row, Value};
use std::collections::HashMap;

/// What is said when two series cannot be told apart.
pub(crate) const SAME_LABELS: &str = "vector cannot contain metrics with the same labelset";

/// How much memory the parts of an expression take for each letter of it, at most: `a+a+a` has two letters a selector.
const BYTES_OF_A_LETTER: usize = 256;

/// How long a label's value may be that a query makes.
const MOST_LABEL_BYTES: usize = 1 << 20;

/// What a label takes beside its text.
const LABEL_BYTES: usize = 64;

/// What a query may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// How old a sample may be to count as the present one.
    pub(crate) lookback: i64,
    /// The step of subqueries that say none.
    pub(crate) subquery_step: i64,
    /// How many samples may be read and computed.
    pub(crate) most_samples: usize,
    /// Whether somebody asks for the [`Tally`].
    pub(crate) tells_samples: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { lookback: 300_000, subquery_step: 60_000, most_samples: 50_000_000, tells_samples: false }
    }
}

/// The value of an expression.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// A number per step.
    Scalar(Vec<f64>),
    Text(Vec<u8>),
    Instant(Vec<Row>),
    Range(Vec<RawSeries>),
}

/// The value of an expression, and what there is to say about it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) answer: Result<Answer>,
    pub(crate) notes: Notes,
    /// How many samples were read and computed.
    pub(crate) samples: usize,
    /// Which steps looked at how many, where it was asked for.
    pub(crate) tally: Option<Tally>,
}

/// Evaluates an expression.
pub(crate) fn evaluate(source: &dyn Source, settings: Settings, expression: &str, frame: Frame) -> Outcome {
    let tally = settings.tells_samples.then(|| Tally::new(frame.grid().count));
    let mut evaluator = Evaluator { source, settings, notes: Notes::default(), samples: 0, label_bytes: 0, tally };
    let answer = evaluator.run(expression, frame);
    Outcome { answer, notes: evaluator.notes, samples: evaluator.samples, tally: evaluator.tally }
}

/// A running evaluation.
pub(crate) struct Evaluator<'s> {
    pub(crate) source: &'s dyn Source,
    pub(crate) settings: Settings,
    pub(crate) notes: Notes,
    samples: usize,
    /// What was counted of labels that were made, and not given back.
    label_bytes: usize,
    tally: Option<Tally>,
}

impl Evaluator<'_> {
    fn run(&mut self, expression: &str, frame: Frame) -> Result<Answer> {
        // A longer one is refused before it takes any.
        let letters = expression.len().min(parser::MOST_BYTES);
        self.source.charge(letters.saturating_mul(BYTES_OF_A_LETTER))?;
        let expr = parser::parse(expression)?;
        let kind = expr.kind();
        if frame.step != 0 && kind != Kind::Scalar && kind != Kind::Instant {
            let kind = crate::series::quoted(kind.name().as_bytes());
            return Fault::evaluation(format!(
                "invalid expression type {kind} for range query, must be Scalar or instant Vector"
            ));
        }
        let expr = prepare(expr, frame)?;
        match self.eval(&expr, frame.grid())? {
            Answer::Instant(rows) => {
                let mut rows = named(rows)?;
                if frame.step != 0 {
                    rows.sort_by(|a, b| a.labels.cmp(&b.labels));
                }
                Ok(Answer::Instant(rows))
            }
            Answer::Range(mut series) => {
                series.sort_by(|a, b| a.labels.cmp(&b.labels));
                if series.iter().zip(series.iter().skip(1)).any(|(a, b)| a.labels == b.labels) {
                    return Fault::evaluation(SAME_LABELS);
                }
                Ok(Answer::Range(series))
            }
            other => Ok(other),
        }
    }

    /// The value of a part.
    pub(crate) fn eval(&mut self, expr: &Expr, grid: Grid) -> Result<Answer> {
        self.source.check()?;
        let before = self.label_bytes;
        let answer = self.eval_part(expr, grid)?;
        self.give_back_labels(before, &answer);
        Ok(answer)
    }

    fn eval_part(&mut self, expr: &Expr, grid: Grid) -> Result<Answer> {
        match expr {
            Expr::Number(number) => Ok(Answer::Scalar(vec![number.value; grid.count])),
            Expr::Text(text) => Ok(Answer::Text(text.bytes.clone())),
            Expr::Paren(paren) => self.eval(&paren.expr, grid),
            Expr::Invariant(inner) => self.eval_once(inner, grid),
            Expr::Vector(selector) => Ok(Answer::Instant(self.instant_selector(selector, grid)?)),
            Expr::Range(range) => Ok(Answer::Range(self.range_selector(range, grid)?)),
            Expr::Subquery(subquery) => Ok(Answer::Range(self.subquery_series(subquery, grid)?)),
            Expr::Unary(unary) => {
                let answer = self.eval(&unary.expr, grid)?;
                Ok(if unary.is_negative { negated(answer) } else { answer })
            }
            Expr::Aggregate(aggregate) => Ok(Answer::Instant(self.aggregate(aggregate, grid)?)),
            Expr::Chain(chain) => self.chain(chain, grid),
            Expr::Call(call) => self.call(call, grid),
        }
    }

    /// Computed at the first step, and the same at all others (V2).
    fn eval_once(&mut self, expr: &Expr, grid: Grid) -> Result<Answer> {
        if grid.count <= 1 {
            return self.eval(expr, grid);
        }
        let first = Grid { count: 1, ..grid };
        Ok(match self.repeated(grid.count, |evaluator| evaluator.eval(expr, first))? {
            Answer::Scalar(values) => {
                let value = values.first().copied().unwrap_or(f64::NAN);
                Answer::Scalar(vec![value; grid.count])
            }
            Answer::Instant(rows) => {
                self.count(rows.len().saturating_mul(grid.count))?;
                let repeated = rows.into_iter().map(|row| {
                    let cell = row.cells.into_iter().next().flatten();
                    Row { cells: vec![cell; grid.count], labels: row.labels, drop_name: row.drop_name }
                });
                Answer::Instant(repeated.collect())
            }
            other => other,
        })
    }

    /// A number per step.
    pub(crate) fn scalars(&mut self, expr: &Expr, grid: Grid) -> Result<Vec<f64>> {
        match self.eval(expr, grid)? {
            Answer::Scalar(values) => Ok(values),
            _ => Fault::evaluation("a number was expected"),
        }
    }

    /// A vector per step.
    pub(crate) fn rows(&mut self, expr: &Expr, grid: Grid) -> Result<Vec<Row>> {
        match self.eval(expr, grid)? {
            Answer::Instant(rows) => Ok(rows),
            _ => Fault::evaluation("an instant vector was expected"),
        }
    }

    /// Counts samples that were read or computed.
    pub(crate) fn count(&mut self, samples: usize) -> Result<()> {
        self.samples = self.samples.saturating_add(samples);
        if self.samples > self.settings.most_samples {
            return Fault::evaluation("query processing would load too many samples into memory in query execution");
        }
        self.source.charge(samples.saturating_mul(size_of::<Option<Value>>()))
    }

    /// Counts a series that was selected, with so many samples: its labels until no value has them any more (V4).
    pub(crate) fn count_series(&mut self, labels: &Labels, samples: usize) -> Result<()> {
        let bytes = labels.memory_bytes();
        self.source.charge(bytes)?;
        self.label_bytes += bytes;
        self.count(samples)
    }

    /// Counts a label before it is made, of which its value's length is known.
    pub(crate) fn count_label(&mut self, name: &str, value: usize) -> Result<()> {
        self.source.check()?;
        if value > MOST_LABEL_BYTES {
            let name: String = name.chars().take(64).collect();
            let name = crate::series::quoted(name.as_bytes());
            return Fault::evaluation(format!(
                "the value of label {name} would have {value} bytes; a query makes none of more than {MOST_LABEL_BYTES}"
            ));
        }
        let bytes = name.len() + value + LABEL_BYTES;
        self.source.charge(bytes)?;
        self.label_bytes += bytes;
        Ok(())
    }

    /// Gives back what was counted of labels since `before` and is in an answer no more (V4).
    fn give_back_labels(&mut self, before: usize, answer: &Answer) {
        let made = self.label_bytes.saturating_sub(before);
        if made == 0 {
            return;
        }
        let kept: usize = match answer {
            Answer::Instant(rows) => rows.iter().map(|row| row.labels.memory_bytes()).sum(),
            Answer::Range(series) => series.iter().map(|series| series.labels.memory_bytes()).sum(),
            Answer::Scalar(_) | Answer::Text(_) => 0,
        };
        let dropped = made.saturating_sub(kept);
        self.source.release(dropped);
        self.label_bytes -= dropped;
    }
}

fn negated(answer: Answer) -> Answer {
    match answer {
        Answer::Scalar(values) => Answer::Scalar(values.into_iter().map(|value| -value).collect()),
        Answer::Instant(rows) => {
            let negated = rows.into_iter().filter_map(|row| {
                let row = Row { drop_name: true, ..row };
                row.mapped(|_, value| Some(scaled(&value, -1.0)))
            });
            Answer::Instant(negated.collect())
        }
        other => other,
    }
}

/// A value times a number.
pub(crate) fn scaled(value: &Value, factor: f64) -> Value {
    match value {
        Value::Float(value) => Value::Float(value * factor),
        Value::Histogram(histogram) => {
            let mut histogram = histogram.as_ref().clone();
            histogram.scale(factor);
            histogram.into()
        }
    }
}

/// Without the names that are to be dropped (V3).
fn named(rows: Vec<Row>) -> Result<Vec<Row>> {
    let named = rows.into_iter().filter(Row::has_value).map(|row| {
        if !row.drop_name {
            return row;
        }
        Row { labels: row.labels.without_metadata(), drop_name: false, cells: row.cells }
    });
    merged(named.collect())
}

/// Rows of the same labels as one row; an error where both have a value at a step.
pub(crate) fn merged(rows: Vec<Row>) -> Result<Vec<Row>> {
    let mut places: HashMap<Labels, usize> = HashMap::with_capacity(rows.len());
    let mut merged: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        match places.get(&row.labels).and_then(|place| merged.get_mut(*place)) {
            None => {
                places.insert(row.labels.clone(), merged.len());
                merged.push(row);
            }
            Some(own) => merge(own, row)?,
        }
    }
    Ok(merged)
}

/// Adds the values of a row of the same labels.
fn merge(own: &mut Row, row: Row) -> Result<()> {
    for (cell, other) in own.cells.iter_mut().zip(row.cells) {
        match (&cell, other) {
            (_, None) => {}
            (None, Some(value)) => *cell = Some(value),
            (Some(_), Some(_)) => return Fault::evaluation(SAME_LABELS),
        }
    }
    Ok(())
}
