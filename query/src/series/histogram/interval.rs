//! Between which values lie the observations of a bucket?

use super::{Bucket, CUSTOM_SCHEMA, Histogram};
use crate::series::kahan::Amount;
use std::f64::consts::SQRT_2;
use std::sync::LazyLock;

/// By how much a bound is more than the one before it, at schemas 1 to 8. The first is a little less than the root of two: so it is where
/// Prometheus and its clients have their bounds from, and a bound that differs in its last bit looks as if observations had moved.
const FACTORS: [f64; 8] = [
    SQRT_2.next_down(),
    1.189207115002721,
    1.0905077326652577,
    1.0442737824274138,
    1.0218971486541166,
    1.0108892860517005,
    1.0054299011128027,
    1.0027112750502025,
];

/// The finest schema that has bounds in common with Prometheus.
const FINEST: u32 = 8;

/// The bounds of that schema from 0.5 on and below 1. Those of each schema are every second one of the next.
static BOUNDS: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let between =
        |bounds: Vec<f64>, factor: &f64| bounds.into_iter().flat_map(|bound| [bound, bound * factor]).collect();
    FACTORS.iter().fold(vec![0.5], between)
});

/// A bucket with its limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Interval {
    pub(crate) lower: f64,
    pub(crate) upper: f64,
    pub(crate) lower_inclusive: bool,
    pub(crate) upper_inclusive: bool,
    pub(crate) count: f64,
}

impl Interval {
    /// Which share of its width lies below a value inside of it: on a line, or on a logarithmic scale.
    pub(crate) fn share_below(&self, value: f64, is_linear: bool) -> f64 {
        if is_linear {
            return (value - self.lower) / (self.upper - self.lower);
        }
        let (lower, upper, at) = (self.lower.abs().log2(), self.upper.abs().log2(), value.abs().log2());
        if value > 0.0 { (at - lower) / (upper - lower) } else { 1.0 - (at - upper) / (lower - upper) }
    }
}

/// The upper bound of a positive bucket of an exponential schema.
pub(crate) fn bucket_bound(index: i32, schema: i32) -> f64 {
    if schema < 0 {
        let exponent = i64::from(index) << schema.unsigned_abs().min(31);
        // The last bucket ends with the largest number there is; one more holds the infinite.
        return if exponent == 1024 { f64::MAX } else { power_of_two(exponent) };
    }
    let schema = u32::try_from(schema).unwrap_or_default().min(FINEST);
    let (exponent, fraction) = (i64::from(index) >> schema, i64::from(index) & ((1 << schema) - 1));
    if fraction == 0 && exponent == 1024 {
        return f64::MAX;
    }
    let place = usize::try_from(fraction << (FINEST - schema)).unwrap_or_default();
    let (bound, exponent) = (BOUNDS.get(place).copied().unwrap_or(0.5), exponent + 1);
    // In two steps, so that neither goes past the ends of the scale on its own.
    bound * power_of_two(exponent / 2) * power_of_two(exponent - exponent / 2)
}

fn power_of_two(exponent: i64) -> f64 {
    2f64.powi(i32::try_from(exponent.clamp(-1100, 1100)).unwrap_or_default())
}

impl<N: Amount> Histogram<N> {
    /// The limits of a bucket's absolute values.
    fn limits(&self, index: i32) -> (f64, f64) {
        (self.bound(index.saturating_sub(1)), self.bound(index))
    }

    fn bound(&self, index: i32) -> f64 {
        if self.schema != CUSTOM_SCHEMA {
            return bucket_bound(index, self.schema);
        }
        match usize::try_from(index) {
            Ok(index) => self.bounds.get(index).copied().unwrap_or(f64::INFINITY),
            Err(_) => f64::NEG_INFINITY,
        }
    }

    pub(super) fn positive_interval(&self, bucket: &Bucket<N>) -> Interval {
        let (lower, upper) = self.limits(bucket.index);
        self.interval(lower, upper, bucket)
    }

    pub(super) fn negative_interval(&self, bucket: &Bucket<N>) -> Interval {
        let (lower, upper) = self.limits(bucket.index);
        self.interval(-upper, -lower, bucket)
    }

    fn interval(&self, lower: f64, upper: f64, bucket: &Bucket<N>) -> Interval {
        let (lower_inclusive, upper_inclusive) =
            if self.is_custom() { (bucket.index == 0, true) } else { (lower < 0.0, upper > 0.0) };
        Interval { lower, upper, lower_inclusive, upper_inclusive, count: bucket.count.rounded() }
    }

    pub(super) fn zero_interval(&self) -> Interval {
        Interval {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count.rounded(),
        }
    }
}

impl Histogram {
    /// All buckets by ascending values.
    pub(super) fn stored_intervals(&self) -> Vec<Interval> {
        let mut all = Vec::with_capacity(self.negative.len() + self.positive.len() + 1);
        all.extend(self.negative.iter().rev().map(|bucket| self.negative_interval(bucket)));
        if self.zero_count != 0.0 {
            all.push(self.zero_interval());
        }
        all.extend(self.positive.iter().map(|bucket| self.positive_interval(bucket)));
        all
    }

    /// All buckets by ascending values, those beside the zero bucket cut where they would reach into it. The zero bucket is
    /// among them if it has observations.
    pub(crate) fn intervals(&self) -> Vec<Interval> {
        let threshold = self.zero_threshold;
        let mut all = Vec::with_capacity(self.negative.len() + self.positive.len() + 1);
        for bucket in self.negative.iter().rev() {
            let mut interval = self.negative_interval(bucket);
            if interval.upper < 0.0 && interval.upper > -threshold {
                interval.upper = -threshold;
            }
            all.push(interval);
        }
        if self.zero_count > 0.0 {
            all.push(self.zero_interval());
        }
        for bucket in &self.positive {
            let mut interval = self.positive_interval(bucket);
            if interval.lower > 0.0 && interval.lower < threshold {
                interval.lower = threshold;
            }
            all.push(interval);
        }
        all
    }
}
