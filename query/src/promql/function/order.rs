//! In which order are the series of an answer? Only answers for one moment have one.

use super::text_arg;
use crate::promql::ast::Call;
use crate::promql::eval::rank::descending;
use crate::promql::eval::{Answer, Evaluator};
use crate::promql::fault::{Fault, Result};
use crate::promql::note::Note;
use crate::series::{Grid, Row, Value};
use std::cmp::Ordering;

fn sorted(
    evaluator: &mut Evaluator<'_>,
    call: &Call,
    grid: Grid,
    keep: fn(&Value) -> bool,
    compare: impl Fn(&Row, &Row) -> Ordering,
) -> Result<Answer> {
    let Some(arg) = call.args.first() else { return Fault::evaluation("an argument was expected") };
    if grid.count > 1 {
        evaluator.note(Note::sort_in_range(call.span));
    }
    let rows = evaluator.rows(arg, grid)?.into_iter();
    let mut rows: Vec<Row> = rows.filter_map(|row| row.mapped(|_, value| keep(&value).then_some(value))).collect();
    if grid.count == 1 {
        rows.sort_by(compare);
    }
    Ok(Answer::Instant(rows))
}

fn number(row: &Row) -> f64 {
    row.cells.first().and_then(|cell| cell.as_ref()?.float()).unwrap_or(f64::NAN)
}

fn is_number(value: &Value) -> bool {
    value.float().is_some()
}

pub(super) fn sort(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Result<Answer> {
    sorted(evaluator, call, grid, is_number, |a, b| descending(-number(a), -number(b)))
}

pub(super) fn sort_desc(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Result<Answer> {
    sorted(evaluator, call, grid, is_number, |a, b| descending(number(a), number(b)))
}

pub(super) fn sort_by_label(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Result<Answer> {
    let labels = label_args(call);
    sorted(evaluator, call, grid, |_| true, |a, b| by_labels(&labels, a, b))
}

pub(super) fn sort_by_label_desc(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Result<Answer> {
    let labels = label_args(call);
    sorted(evaluator, call, grid, |_| true, |a, b| by_labels(&labels, b, a))
}

fn label_args(call: &Call) -> Vec<String> {
    (1..call.args.len()).map(|place| String::from_utf8_lossy(text_arg(call, place)).into_owned()).collect()
}

fn by_labels(labels: &[String], a: &Row, b: &Row) -> Ordering {
    let orders = labels.iter().map(|label| natural(a.labels.get(label), b.labels.get(label)));
    orders.into_iter().find(|order| *order != Ordering::Equal).unwrap_or_else(|| a.labels.cmp(&b.labels))
}

/// Numbers in texts by their worth: `a9` is before `a10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a_rest, mut b_rest) = (a, b);
    while !a_rest.is_empty() && !b_rest.is_empty() {
        let ((a_part, a_next), (b_part, b_next)) = (part(a_rest), part(b_rest));
        let order = match (a_part.parse::<u64>(), b_part.parse::<u64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            _ => a_part.cmp(b_part),
        };
        if order != Ordering::Equal {
            return order;
        }
        (a_rest, b_rest) = (a_next, b_next);
    }
    a_rest.len().cmp(&b_rest.len()).then_with(|| a.cmp(b))
}

/// Digits alone, or all that is before the next digit.
fn part(text: &str) -> (&str, &str) {
    let starts_with_digit = text.starts_with(|letter: char| letter.is_ascii_digit());
    let end = text.find(|letter: char| letter.is_ascii_digit() != starts_with_digit).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_texts_are_compared_by_their_worth() {
        let mut texts = ["a10", "a9", "b", "a", "a9b", "9", "10", ""];
        texts.sort_by(|a, b| natural(a, b));
        assert_eq!(texts, ["", "9", "10", "a", "a9", "a9b", "a10", "b"]);
    }
}
