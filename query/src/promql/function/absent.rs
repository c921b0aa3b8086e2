//! Is there nothing?

use super::unlabelled;
use crate::promql::ast::{Call, Expr};
use crate::promql::eval::{Answer, Evaluator};
use crate::promql::fault::{Fault, Result};
use crate::promql::regex::Matcher;
use crate::series::{Grid, Labels, NAME, Needs, Row, Value};
use std::collections::HashSet;
use storage::metric::Relation;

pub(super) fn absent(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Result<Answer> {
    let Some(arg) = call.args.first() else { return Fault::evaluation("an argument was expected") };
    let rows = evaluator.rows(arg, grid)?;
    let present = (0..grid.count).map(|step| rows.iter().any(|row| matches!(row.cells.get(step), Some(Some(_)))));
    Ok(answer(arg, present.collect()))
}

pub(super) fn absent_over_time(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Result<Answer> {
    let mut present = vec![false; grid.count];
    let mut each = |_: &mut Evaluator<'_>, series: crate::promql::eval::Ranged| {
        let samples = series.points.into_samples();
        for (present, span) in present.iter_mut().zip(series.exact.iter()) {
            *present |= !span.of(&samples).is_empty();
        }
        Ok(())
    };
    let Some(arg) = call.args.first() else { return Fault::evaluation("an argument was expected") };
    super::extension_of(call)?;
    match arg {
        Expr::Range(range) => evaluator.each_range(range, grid, Needs::Ends, &mut each)?,
        Expr::Subquery(subquery) => evaluator.each_subquery_range(subquery, grid, &mut each)?,
        _ => return Fault::evaluation("a range vector was expected"),
    }
    Ok(answer(arg, present))
}

fn answer(arg: &Expr, present: Vec<bool>) -> Answer {
    let cells = present.into_iter().map(|present| (!present).then_some(Value::Float(1.0)));
    let row = Row { labels: asked_labels(arg), ..unlabelled(cells.collect()) };
    Answer::Instant(if row.has_value() { vec![row] } else { Vec::new() })
}

/// The labels that what is not there would surely have had.
fn asked_labels(expr: &Expr) -> Labels {
    let matchers: &[Matcher] = match expr {
        Expr::Vector(selector) => &selector.matchers,
        Expr::Range(range) => &range.selector.matchers,
        Expr::Invariant(inner) => return asked_labels(inner),
        _ => &[],
    };
    let (mut labels, mut seen) = (Labels::default(), HashSet::new());
    for matcher in matchers.iter().filter(|matcher| matcher.label != NAME) {
        let is_certain = matcher.relation == Relation::Equal && seen.insert(&matcher.label);
        labels = labels.with(&matcher.label, if is_certain { &matcher.value } else { "" });
    }
    labels
}
