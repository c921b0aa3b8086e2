//! What are the time of evaluation, the times of samples, and single numbers?

use super::unlabelled;
use crate::promql::ast::{Call, Expr};
use crate::promql::eval::{Answer, Evaluator};
use crate::promql::fault::{Fault, Result};
use crate::series::{Grid, Row, Sample, Value};

pub(super) fn time(_: &mut Evaluator<'_>, _: &Call, grid: Grid) -> Result<Answer> {
    Ok(Answer::Scalar(grid.times().map(|time| time as f64 / 1000.0).collect()))
}

/// When a sample was taken; of what was computed, the step's time.
pub(super) fn timestamp(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Result<Answer> {
    of_samples(evaluator, call, grid, |sample| sample.time, true)
}

/// Since when a sample's counter counts.
pub(super) fn start_timestamp(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Result<Answer> {
    of_samples(evaluator, call, grid, |sample| sample.start, false)
}

fn of_samples(
    evaluator: &mut Evaluator<'_>,
    call: &Call,
    grid: Grid,
    time: fn(&Sample) -> i64,
    else_step: bool,
) -> Result<Answer> {
    let Some(arg) = call.args.first() else { return Fault::evaluation("an argument was expected") };
    let rows = match arg {
        Expr::Vector(selector) => {
            evaluator.looked_up(selector, grid, |sample| Value::Float(time(sample) as f64 / 1000.0))?
        }
        _ if else_step => {
            let rows = evaluator.rows(arg, grid)?;
            let rows = rows
                .into_iter()
                .filter_map(|row| row.mapped(|step, _| Some(Value::Float(grid.at(step) as f64 / 1000.0))));
            rows.collect()
        }
        _ => {
            evaluator.rows(arg, grid)?;
            Vec::new()
        }
    };
    Ok(Answer::Instant(rows.into_iter().map(|row| Row { drop_name: true, ..row }).collect()))
}

pub(super) fn vector(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Result<Answer> {
    let Some(arg) = call.args.first() else { return Fault::evaluation("an argument was expected") };
    let cells = evaluator.scalars(arg, grid)?.into_iter().map(|value| Some(Value::Float(value)));
    Ok(Answer::Instant(vec![unlabelled(cells.collect())]))
}

/// The number of the only series; not a number where there is none or more than one.
pub(super) fn scalar(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Result<Answer> {
    let Some(arg) = call.args.first() else { return Fault::evaluation("an argument was expected") };
    let rows = evaluator.rows(arg, grid)?;
    let values = (0..grid.count).map(|step| {
        let mut numbers = rows.iter().filter_map(|row| row.cells.get(step)?.as_ref()?.float());
        match (numbers.next(), numbers.next()) {
            (Some(only), None) => only,
            _ => f64::NAN,
        }
    });
    Ok(Answer::Scalar(values.collect()))
}

/// Folded into a number before evaluation (`prepare`).
pub(super) fn folded(_: &mut Evaluator<'_>, call: &Call, _: Grid) -> Result<Answer> {
    Fault::evaluation(format!("{}() was not resolved", call.function.name))
}
