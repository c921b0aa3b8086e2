//! What is computed of one number? Rounding, logarithms, angles, limits.

use crate::promql::prepare::smaller;
use crate::series::Value;

pub(super) fn sgn(value: f64) -> f64 {
    if value < 0.0 {
        -1.0
    } else if value > 0.0 {
        1.0
    } else {
        value
    }
}

pub(super) fn rad(value: f64) -> f64 {
    value * std::f64::consts::PI / 180.0
}

pub(super) fn deg(value: f64) -> f64 {
    value * 180.0 / std::f64::consts::PI
}

/// To the nearest multiple, halves up.
pub(super) fn round(value: &Value, args: &[f64]) -> Option<f64> {
    // The inverse loses less to floating point.
    let inverse = 1.0 / args.first().copied().unwrap_or(1.0);
    Some((value.float()? * inverse + 0.5).floor() / inverse)
}

pub(super) fn clamp(value: &Value, args: &[f64]) -> Option<f64> {
    limited(value, args.first().copied()?, args.get(1).copied()?)
}

pub(super) fn clamp_min(value: &Value, args: &[f64]) -> Option<f64> {
    limited(value, args.first().copied()?, f64::INFINITY)
}

pub(super) fn clamp_max(value: &Value, args: &[f64]) -> Option<f64> {
    limited(value, f64::NEG_INFINITY, args.first().copied()?)
}

fn limited(value: &Value, least: f64, most: f64) -> Option<f64> {
    if most < least {
        return None;
    }
    Some(larger(least, smaller(most, value.float()?)))
}

fn larger(a: f64, b: f64) -> f64 {
    -smaller(-a, -b)
}

pub(super) fn max_of(args: &[f64]) -> f64 {
    larger(args.first().copied().unwrap_or(f64::NAN), args.get(1).copied().unwrap_or(f64::NAN))
}

pub(super) fn min_of(args: &[f64]) -> f64 {
    smaller(args.first().copied().unwrap_or(f64::NAN), args.get(1).copied().unwrap_or(f64::NAN))
}

pub(super) fn pi(_: &[f64]) -> f64 {
    std::f64::consts::PI
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_infinity_on_its_side_wins_over_what_is_no_number() {
        const INF: f64 = f64::INFINITY;
        const NAN: f64 = f64::NAN;
        let at = |value: f64, limit: fn(&Value, &[f64]) -> Option<f64>, args: &[f64]| {
            limit(&Value::Float(value), args).unwrap().to_string()
        };
        assert_eq!(at(-INF, clamp_max, &[NAN]), "-inf");
        assert_eq!(at(INF, clamp_max, &[NAN]), "NaN");
        assert_eq!(at(INF, clamp_min, &[NAN]), "inf");
        assert_eq!(at(-INF, clamp_min, &[NAN]), "NaN");
        assert_eq!(at(-INF, clamp, &[0.0, NAN]), "0");
        assert_eq!(at(1.0, clamp, &[0.0, NAN]), "NaN");
        assert_eq!(at(NAN, clamp, &[0.0, 2.0]), "NaN");
        assert_eq!((min_of(&[NAN, -INF]), max_of(&[INF, NAN])), (-INF, INF));
        assert!(min_of(&[NAN, INF]).is_nan() && max_of(&[NAN, 0.0]).is_nan());
    }
}
