//! How fast does a sum grow? Raw points of any temporality as a rate per second.
//!
//! RT1  A rate of a monotonic sum is never negative: a fall, or a new start time, is a reset, after which the value
//!      counts from zero.
//! RT2  The first cumulative point gives a rate only where it began to count within the range: what lies before is not known.

use query_api::metric::{Point, PointValue, Series, Temporality};

/// A moment and a value.
pub type Sample = (i64, f64);

/// The plain value of a point, if it has one.
pub fn number(point: &Point) -> Option<f64> {
    if point.no_recorded_value {
        return None;
    }
    match &point.value {
        PointValue::Int(value) => Some(*value as f64),
        PointValue::Double(value) => Some(*value),
        _ => None,
    }
}

/// The plain values of a series.
pub fn values(series: &Series) -> Vec<Sample> {
    series.points.iter().filter_map(|point| Some((point.time_unix_nano, number(point)?))).collect()
}

/// Since when a first point has counted, if that was at or after `from`.
pub fn begun(point: &Point, from: i64) -> Option<i64> {
    Some(point.start_unix_nano).filter(|&start| start > 0 && start >= from)
}

/// The rate per second of a sum, in a range that starts at `from`.
pub fn per_second(series: &Series, from: i64) -> Vec<Sample> {
    let mut rates = Vec::new();
    let mut before: Option<(&Point, f64)> = None;
    for point in &series.points {
        let Some(value) = number(point) else {
            before = None;
            continue;
        };
        let (grown, since) = match (series.temporality, before) {
            (Temporality::Delta, _) => (value, delta_start(point, before.map(|b| b.0))),
            (_, None) => (value, begun(point, from)),
            (_, Some((last, old))) => growth(point, value, last, old, series.is_monotonic),
        };
        if let Some(rate) = since.and_then(|since| over(grown, point.time_unix_nano - since)) {
            rates.push((point.time_unix_nano, rate));
        }
        before = Some((point, value));
    }
    rates
}

fn delta_start(point: &Point, last: Option<&Point>) -> Option<i64> {
    if point.start_unix_nano > 0 { Some(point.start_unix_nano) } else { last.map(|p| p.time_unix_nano) }
}

fn growth(point: &Point, value: f64, last: &Point, old: f64, is_monotonic: bool) -> (f64, Option<i64>) {
    let restarted = point.start_unix_nano > last.time_unix_nano;
    if is_monotonic && (value < old || restarted) {
        let since = if restarted { point.start_unix_nano } else { last.time_unix_nano };
        (value, Some(since))
    } else {
        (value - old, Some(last.time_unix_nano))
    }
}

fn over(grown: f64, nanos: i64) -> Option<f64> {
    (nanos > 0).then(|| grown * 1e9 / nanos as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: i64 = 1_000_000_000;
    /// Start of the range.
    const FROM: i64 = 5 * S;

    fn series(temporality: Temporality, points: &[(i64, i64, f64)]) -> Series {
        let points = points.iter().map(|(start, time, value)| Point {
            start_unix_nano: start * S,
            time_unix_nano: time * S,
            value: PointValue::Double(*value),
            ..Point::default()
        });
        Series { temporality, is_monotonic: true, points: points.collect(), ..Series::default() }
    }

    fn rates(temporality: Temporality, points: &[(i64, i64, f64)]) -> Vec<(i64, f64)> {
        per_second(&series(temporality, points), FROM).into_iter().map(|(t, v)| (t / S, v)).collect()
    }

    #[test]
    fn cumulative_sums_are_differenced() {
        let got = rates(Temporality::Cumulative, &[(1, 10, 100.0), (1, 20, 150.0), (1, 30, 150.0)]);
        assert_eq!(got, [(20, 5.0), (30, 0.0)]);
    }

    #[test]
    fn what_began_within_the_range_counts_from_its_start() {
        assert_eq!(rates(Temporality::Cumulative, &[(6, 10, 100.0)]), [(10, 25.0)]);
        assert_eq!(rates(Temporality::Cumulative, &[(4, 10, 100.0)]), []);
        assert_eq!(rates(Temporality::Cumulative, &[(0, 10, 100.0)]), []);
    }

    #[test]
    fn a_reset_counts_from_zero() {
        let got = rates(Temporality::Cumulative, &[(1, 10, 100.0), (15, 20, 20.0), (15, 30, 30.0)]);
        assert_eq!(got, [(20, 4.0), (30, 1.0)]);
        let untold = rates(Temporality::Cumulative, &[(0, 10, 100.0), (0, 20, 20.0)]);
        assert_eq!(untold, [(20, 2.0)]);
        let hidden = rates(Temporality::Cumulative, &[(1, 10, 100.0), (15, 20, 200.0)]);
        assert_eq!(hidden, [(20, 40.0)]);
    }

    #[test]
    fn deltas_are_divided_by_their_own_interval() {
        assert_eq!(rates(Temporality::Delta, &[(0, 10, 50.0), (10, 20, 50.0)]), [(20, 5.0)]);
        assert_eq!(rates(Temporality::Delta, &[(5, 10, 50.0)]), [(10, 10.0)]);
    }

    proptest! {
        #[test]
        fn a_monotonic_sum_never_shrinks(values in proptest::collection::vec(0.0f64..1e9, 0..20)) {
            let points: Vec<_> = values.iter().enumerate().map(|(i, v)| (0, i as i64 + 1, *v)).collect();
            prop_assert!(rates(Temporality::Cumulative, &points).iter().all(|(_, rate)| *rate >= 0.0));
        }
    }
}
