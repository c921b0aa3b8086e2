//! Where on the screen is a value, and where do the ticks of an axis go?
//!
//! X1  Ticks lie within the domain, rise strictly, and are round numbers of their kind.
//! X2  A logarithmic scale maps zero and less to its foot, never to nowhere.

use super::calendar::{DAY, HOUR, MINUTE, SECOND};

/// A logarithmic scale from `low` to `high`, both above zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Log {
    low: f64,
    high: f64,
}

impl Log {
    /// A scale that holds all of `values` with room to breathe; at least one decade wide.
    pub fn over(values: impl IntoIterator<Item = f64>) -> Log {
        let (mut low, mut high) = (f64::INFINITY, 0.0f64);
        for value in values.into_iter().filter(|v| *v > 0.0 && v.is_finite()) {
            low = low.min(value);
            high = high.max(value);
        }
        if high == 0.0 {
            return Log { low: 1.0, high: 10.0 };
        }
        let (low, high) = (low / 1.25, high * 1.25);
        if high / low >= 10.0 {
            Log { low, high }
        } else {
            Log { low: (low * high).sqrt() / 10f64.sqrt(), high: (low * high).sqrt() * 10f64.sqrt() }
        }
    }

    /// Position of a value: 0 at the foot, 1 at the top.
    pub fn position(self, value: f64) -> f64 {
        if value <= self.low {
            return 0.0;
        }
        ((value / self.low).ln() / (self.high / self.low).ln()).clamp(0.0, 1.0)
    }

    /// The value at a position.
    pub fn value(self, position: f64) -> f64 {
        self.low * (self.high / self.low).powf(position.clamp(0.0, 1.0))
    }

    /// Powers of ten within the scale; with their halves and fifths when there are few.
    pub fn ticks(self) -> Vec<f64> {
        let decades = (self.high / self.low).log10();
        let steps: &[f64] = if decades < 2.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let mut power = 10f64.powf(self.low.log10().floor());
        let mut ticks = Vec::new();
        while power <= self.high && ticks.len() < 64 {
            ticks.extend(steps.iter().map(|s| s * power).filter(|t| *t >= self.low && *t <= self.high));
            power *= 10.0;
        }
        ticks
    }
}

/// Round steps of time for about `wanted` ticks between two moments.
pub fn time_ticks(start: i64, end: i64, wanted: usize, offset_minutes: i32) -> (i64, Vec<i64>) {
    let length = end.saturating_sub(start).max(1);
    let step = time_step(length / wanted.max(1) as i64);
    let shift = i64::from(offset_minutes) * MINUTE;
    let local = start.saturating_add(shift);
    let mut tick = local.div_euclid(step).saturating_mul(step).saturating_sub(shift);
    let mut ticks = Vec::new();
    while tick < end && ticks.len() < 200 {
        if tick >= start {
            ticks.push(tick);
        }
        tick = match tick.checked_add(step) {
            Some(next) => next,
            None => break,
        };
    }
    (step, ticks)
}

/// The smallest round step that is not below `least`.
fn time_step(least: i64) -> i64 {
    let mut power = 1i64;
    while power < SECOND {
        if let Some(step) = [1, 2, 5].map(|m| m * power).into_iter().find(|s| *s >= least) {
            return step;
        }
        power *= 10;
    }
    let steps = [1, 2, 5, 10, 15, 30].map(|s| s * SECOND).into_iter();
    let steps = steps.chain([1, 2, 5, 10, 15, 30].map(|m| m * MINUTE)).chain([1, 2, 3, 6, 12].map(|h| h * HOUR));
    let mut steps = steps.chain([1, 2, 7, 14, 28, 91, 182, 364].map(|d| d * DAY));
    steps.find(|s| *s >= least).unwrap_or(364 * 10 * DAY)
}

/// Ticks of a length that starts at zero, for a waterfall: round durations, zero included.
pub fn duration_ticks(start: f64, end: f64, wanted: usize) -> Vec<f64> {
    let length = end - start;
    if !(length > 0.0 && length.is_finite()) {
        return Vec::new();
    }
    let least = length / wanted.max(1) as f64;
    let step = if least < 60e9 { linear_step(least) } else { time_step(least as i64) as f64 };
    let mut ticks = Vec::new();
    let mut index = (start / step).ceil();
    while index * step <= end && ticks.len() < 100 {
        ticks.push(index * step);
        index += 1.0;
    }
    ticks
}

fn linear_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= least * 0.999_999).unwrap_or(power * 10.0)
}

/// A share of the full bar on a logarithmic scale, for a duration among others: never invisible.
pub fn log_share(value: i64, longest: i64) -> f64 {
    const FOOT: f64 = 1e4;
    let (value, longest) = ((value.max(0) as f64).max(1.0), (longest.max(1) as f64).max(10.0 * FOOT));
    ((value / FOOT).max(1.0).ln() / (longest / FOOT).ln()).clamp(0.01, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_log_scale_with_one_value_is_a_decade_wide() {
        let scale = Log::over([100.0]);
        assert!((scale.position(100.0) - 0.5).abs() < 1e-9);
        assert_eq!(scale.position(0.0), 0.0);
        assert_eq!(Log::over([]).ticks(), [1.0, 2.0, 5.0, 10.0]);
    }

    #[test]
    fn time_ticks_are_round_in_the_zone() {
        let (step, ticks) = time_ticks(0, 6 * HOUR, 6, 30);
        assert_eq!(step, HOUR);
        assert_eq!(ticks.first(), Some(&(30 * MINUTE)));
    }

    proptest! {
        #[test]
        fn positions_and_values_are_inverse(a in 1.0f64..1e12, b in 1.0f64..1e12) {
            let scale = Log::over([a, b]);
            prop_assert!((scale.value(scale.position(a)) / a - 1.0).abs() < 1e-6);
            prop_assert!(scale.position(a.min(b)) <= scale.position(a.max(b)));
        }

        #[test]
        fn ticks_rise_within_the_domain(start in 0i64..2_000_000_000 * SECOND, length in 1i64..400 * DAY, n in 1usize..20) {
            let (step, ticks) = time_ticks(start, start + length, n, 0);
            prop_assert!(step > 0);
            prop_assert!(ticks.iter().all(|t| *t >= start && *t < start + length));
            prop_assert!(ticks.windows(2).all(|w| w[0] < w[1]));
            let ticks = duration_ticks(0.0, length as f64, n);
            prop_assert!(!ticks.is_empty() && ticks.windows(2).all(|w| w[0] < w[1]));
            prop_assert!(ticks.len() <= n + 2, "{} for {n}", ticks.len());
        }

        #[test]
        fn ticks_end_for_any_range(start in proptest::num::i64::ANY, end in proptest::num::i64::ANY) {
            prop_assert!(time_ticks(start, end, 8, 0).1.len() <= 200);
        }

        #[test]
        fn a_longer_duration_never_has_a_shorter_bar(a in 0i64..1_000_000_000_000, b in 0i64..1_000_000_000_000) {
            let longest = a.max(b);
            prop_assert!(log_share(a.min(b), longest) <= log_share(longest, longest));
        }
    }
}
