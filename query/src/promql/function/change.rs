//! How often did a series change, or begin anew?

use super::Window;
use super::rate::is_start_reset;
use crate::promql::ast::Extension;
use crate::promql::fault::Result;
use crate::series::{Sample, Value};

/// With an anchor: from the last sample at or before the range's start on.
fn counted<'a>(window: &Window<'a>) -> Option<&'a [Sample]> {
    if window.extension != Some(Extension::Anchored) {
        return Some(window.samples);
    }
    let inside = window.samples.partition_point(|sample| sample.time <= window.exact.after);
    if inside == window.samples.len() {
        return None;
    }
    window.samples.get(inside.saturating_sub(1)..)
}

fn pairs(window: &Window<'_>, differs: impl Fn(&Sample, &Sample) -> bool) -> Option<Value> {
    let samples = counted(window)?;
    let neighbours = samples.iter().zip(samples.iter().skip(1));
    Some(Value::Float(neighbours.filter(|(before, after)| differs(before, after)).count() as f64))
}

pub(super) fn changes(window: &mut Window<'_>) -> Result<Option<Value>> {
    Ok(pairs(window, |before, after| match (&before.value, &after.value) {
        (Value::Float(before), Value::Float(after)) => before != after && !(before.is_nan() && after.is_nan()),
        (Value::Histogram(before), Value::Histogram(after)) => !after.is_same(before),
        _ => true,
    }))
}

pub(super) fn resets(window: &mut Window<'_>) -> Result<Option<Value>> {
    Ok(pairs(window, |before, after| match (&before.value, &after.value) {
        (Value::Float(a), Value::Float(b)) => b < a || is_start_reset(before, after),
        (Value::Histogram(a), Value::Histogram(b)) => is_start_reset(before, after) || b.is_reset_after(a),
        _ => true,
    }))
}
