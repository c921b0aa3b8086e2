//! Where do the numbers of a range lead to?

use super::Window;
use crate::promql::fault::{Fault, Result};
use crate::series::{Amount, Kahan, Value};

/// Slope per second, and the value at a time, of the line that is nearest to all points.
fn regression(points: &[(i64, f64)], origin: i64) -> (f64, f64) {
    let first = points.first().map_or(f64::NAN, |point| point.1);
    if points.iter().all(|point| point.1 == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let mut sums = [Kahan::default(); 4];
    for (time, y) in points {
        let x = time.saturating_sub(origin) as f64 / 1000.0;
        for (sum, part) in sums.iter_mut().zip([x, *y, x * y, x * x]) {
            sum.add(part);
        }
    }
    let [x, y, xy, xx] = sums.map(|sum| sum.sum + sum.residue);
    let n = points.len() as f64;
    let slope = (xy - x * y / n) / (xx - x * x / n);
    (slope, y / n - slope * x / n)
}

pub(super) fn deriv(window: &mut Window<'_>) -> Result<Option<Value>> {
    let Some(floats) = window.numbers(2) else { return Ok(None) };
    // A time near the values loses least to floating point.
    let origin = floats.first().map_or(0, |point| point.0);
    Ok(Some(Value::Float(regression(&floats, origin).0)))
}

pub(super) fn predict_linear(window: &mut Window<'_>) -> Result<Option<Value>> {
    let ahead = window.arg(0);
    let Some(floats) = window.numbers(2) else { return Ok(None) };
    let (slope, now) = regression(&floats, window.time);
    Ok(Some(Value::Float(slope * ahead + now)))
}

/// Of Holt and Winters: newer values count more, for the level and for the trend.
pub(super) fn double_exponential_smoothing(window: &mut Window<'_>) -> Result<Option<Value>> {
    let (level_factor, trend_factor) = (window.arg(0), window.arg(1));
    for (name, factor, symbol) in [("smoothing", level_factor, "sf"), ("trend", trend_factor, "tf")] {
        if factor <= 0.0 || factor >= 1.0 {
            let message = format!("invalid {name} factor. Expected: 0 < {symbol} < 1, got: {factor:.6}");
            return Fault::evaluation(message);
        }
    }
    let Some(floats) = window.numbers(2) else { return Ok(None) };
    let mut values = floats.iter().map(|(_, value)| *value);
    let (Some(first), Some(second)) = (values.next(), values.clone().next()) else { return Ok(None) };
    let (mut before, mut level, mut trend) = (0.0, first, second - first);
    for (place, value) in values.enumerate() {
        if place > 0 {
            trend = trend_factor * (level - before) + (1.0 - trend_factor) * trend;
        }
        let next = level_factor * value + (1.0 - level_factor) * (level + trend);
        (before, level) = (level, next);
    }
    Ok(Some(Value::Float(level)))
}
