//! How are labels made of labels?

use super::text_arg;
use crate::promql::ast::Call;
use crate::promql::eval::{Answer, Evaluator, merged};
use crate::promql::fault::{Fault, Result};
use crate::promql::regex::Replacer;
use crate::series::{Grid, NAME, Row};

/// A text argument as it can stand in a label.
fn text(call: &Call, place: usize) -> String {
    String::from_utf8_lossy(text_arg(call, place)).into_owned()
}

/// A text argument as the name of a label.
fn label_name(call: &Call, place: usize, role: &str) -> Result<String> {
    let bytes = text_arg(call, place);
    match std::str::from_utf8(bytes) {
        Ok(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => {
            let (name, function) = (String::from_utf8_lossy(bytes), call.function.name);
            Fault::evaluation(format!("invalid {role} label name in {function}(): {name}"))
        }
    }
}

fn relabelled(row: Row, label: &str, value: &str) -> Row {
    // Who gives a name wants it kept.
    let drop_name = row.drop_name && label != NAME;
    Row { labels: row.labels.with(label, value), drop_name, cells: row.cells }
}

pub(super) fn label_replace(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Result<Answer> {
    let (template, source, pattern) = (text(call, 2), text(call, 3), text(call, 4));
    let Ok(mut replacer) = Replacer::new(&pattern) else {
        return Fault::evaluation(format!("invalid regular expression in label_replace(): {pattern}"));
    };
    let label = label_name(call, 1, "destination")?;
    let rows = arg_rows(evaluator, call, grid)?;
    let mut replaced = Vec::with_capacity(rows.len());
    for row in rows {
        evaluator.source.check()?;
        let value = row.labels.get(&source);
        if !replacer.is_in_time(value) {
            let bytes = value.len();
            return Fault::evaluation(format!(
                "the regular expression in label_replace() takes too long for a value of {bytes} bytes"
            ));
        }
        let admit = |bytes| evaluator.count_label(&label, bytes);
        let row = match replacer.expand(value, &template, admit)? {
            Some(value) => relabelled(row, &label, &value),
            None => row,
        };
        replaced.push(row);
    }
    Ok(Answer::Instant(merged(replaced)?))
}

pub(super) fn label_join(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Result<Answer> {
    let separator = text(call, 2);
    let sources = (3..call.args.len()).map(|place| label_name(call, place, "source"));
    let sources: Vec<String> = sources.collect::<Result<_>>()?;
    let label = label_name(call, 1, "destination")?;
    let rows = arg_rows(evaluator, call, grid)?;
    let mut joined = Vec::with_capacity(rows.len());
    let separators = separator.len().saturating_mul(sources.len().saturating_sub(1));
    for row in rows {
        let values: Vec<&str> = sources.iter().map(|source| row.labels.get(source)).collect();
        let bytes = values.iter().map(|value| value.len()).fold(separators, usize::saturating_add);
        evaluator.count_label(&label, bytes)?;
        let value = values.join(&separator);
        joined.push(relabelled(row, &label, &value));
    }
    Ok(Answer::Instant(merged(joined)?))
}

fn arg_rows(evaluator: &mut Evaluator<'_>, call: &Call, grid: Grid) -> Result<Vec<Row>> {
    match call.args.first() {
        Some(arg) => evaluator.rows(arg, grid),
        None => Fault::evaluation("an argument was expected"),
    }
}
