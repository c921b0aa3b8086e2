//! How are durations aggregated? Explicit and exponential histograms as the metrics SDK specification has them.
//!
//! Invariants
//! - H1: bucket counts sum to `count`; for the exponential kind together with `zero_count`.
//! - H2: bucket `i` of scale `s` holds values in `(2^(i/2^s), 2^((i+1)/2^s)]`.
//! - H3: an exponential histogram keeps at most `MAX_BUCKETS` buckets and gives up resolution instead.
//! - H4: counts are cumulative: they never shrink.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, exemplar};

/// Bounds that the HTTP and RPC conventions recommend, in seconds.
pub(super) const SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// The same for instrumentations that still count in milliseconds.
pub(super) const MILLISECONDS: &[f64] =
    &[0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1_000.0, 2_500.0, 5_000.0, 7_500.0, 10_000.0];
/// Bounds for pauses of garbage collectors, in seconds.
pub(super) const PAUSES: &[f64] = &[0.01, 0.1, 1.0, 10.0];

const MAX_BUCKETS: usize = 160;
const FIRST_SCALE: i32 = 20;

/// When and in which trace a value was seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sighting<'a> {
    pub(super) trace: &'a [u8; 16],
    pub(super) span: &'a [u8; 8],
    pub(super) now: u64,
}

fn exemplar(value: f64, sighting: Sighting<'_>) -> Exemplar {
    Exemplar {
        filtered_attributes: Vec::new(),
        time_unix_nano: sighting.now,
        span_id: sighting.span.to_vec(),
        trace_id: sighting.trace.to_vec(),
        value: Some(exemplar::Value::AsDouble(value)),
    }
}

/// A histogram with fixed bounds.
#[derive(Debug, Clone)]
pub(super) struct Explicit {
    bounds: &'static [f64],
    counts: Vec<u64>,
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    /// The latest per bucket since the last collection.
    exemplars: Vec<Option<Exemplar>>,
}

impl Explicit {
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        let buckets = bounds.len() + 1;
        Self {
            bounds,
            counts: vec![0; buckets],
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            exemplars: vec![None; buckets],
        }
    }

    pub(super) fn record(&mut self, value: f64, sighting: Option<Sighting<'_>>) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket] += 1;
        self.count += 1;
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        // The first of an interval is kept: a busy bucket does not build an exemplar for every request.
        if let Some(sighting) = sighting
            && self.exemplars[bucket].is_none()
        {
            self.exemplars[bucket] = Some(exemplar(value, sighting));
        }
    }

    pub(super) fn point(&mut self, attributes: Vec<KeyValue>, start: u64, now: u64) -> HistogramDataPoint {
        HistogramDataPoint {
            attributes,
            start_time_unix_nano: start,
            time_unix_nano: now,
            count: self.count,
            sum: Some(self.sum),
            bucket_counts: self.counts.clone(),
            explicit_bounds: self.bounds.to_vec(),
            exemplars: self.exemplars.iter_mut().filter_map(Option::take).collect(),
            flags: 0,
            min: (self.count > 0).then_some(self.min),
            max: (self.count > 0).then_some(self.max),
        }
    }
}

/// A histogram whose bounds are powers of `2^(2^-scale)`.
#[derive(Debug, Clone)]
pub(super) struct Exponential {
    scale: i32,
    /// Index of the first bucket.
    offset: i32,
    counts: Vec<u64>,
    zero_count: u64,
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    exemplar: Option<Exemplar>,
}

impl Default for Exponential {
    fn default() -> Self {
        Self {
            scale: FIRST_SCALE,
            offset: 0,
            counts: Vec::new(),
            zero_count: 0,
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            exemplar: None,
        }
    }
}

/// The bucket of a positive value.
fn index(value: f64, scale: i32) -> i32 {
    let exact = value.log2() * f64::from(scale).exp2();
    (exact.ceil() as i32).saturating_sub(1)
}

impl Exponential {
    /// Takes a value that is not negative.
    pub(super) fn record(&mut self, value: f64, sighting: Option<Sighting<'_>>) {
        self.count += 1;
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if self.exemplar.is_none() {
            self.exemplar = sighting.map(|sighting| exemplar(value, sighting));
        }
        if value <= 0.0 {
            self.zero_count += 1;
            return;
        }
        if self.counts.is_empty() {
            self.offset = index(value, self.scale);
            self.counts.push(1);
            return;
        }
        loop {
            let bucket = index(value, self.scale);
            let first = self.offset.min(bucket);
            let last = (self.offset + self.counts.len() as i32 - 1).max(bucket);
            let width = i64::from(last) - i64::from(first) + 1;
            if width <= MAX_BUCKETS as i64 {
                self.widen(first, width as usize);
                self.counts[(bucket - self.offset) as usize] += 1;
                return;
            }
            self.halve();
        }
    }

    fn widen(&mut self, first: i32, width: usize) {
        let before = (self.offset - first) as usize;
        if before > 0 {
            self.counts.splice(0..0, std::iter::repeat_n(0, before));
            self.offset = first;
        }
        if width > self.counts.len() {
            self.counts.resize(width, 0);
        }
    }

    /// Merges neighbouring buckets: one scale less.
    fn halve(&mut self) {
        let offset = self.offset >> 1;
        let mut counts = Vec::new();
        for (bucket, count) in (self.offset..).zip(&self.counts) {
            let place = ((bucket >> 1) - offset) as usize;
            if place >= counts.len() {
                counts.resize(place + 1, 0);
            }
            counts[place] += count;
        }
        self.scale -= 1;
        self.offset = offset;
        self.counts = counts;
    }

    pub(super) fn point(&mut self, attributes: Vec<KeyValue>, start: u64, now: u64) -> ExponentialHistogramDataPoint {
        ExponentialHistogramDataPoint {
            attributes,
            start_time_unix_nano: start,
            time_unix_nano: now,
            count: self.count,
            sum: Some(self.sum),
            scale: self.scale,
            zero_count: self.zero_count,
            positive: Some(Buckets { offset: self.offset, bucket_counts: self.counts.clone() }),
            negative: Some(Buckets::default()),
            flags: 0,
            exemplars: self.exemplar.take().into_iter().collect(),
            min: (self.count > 0).then_some(self.min),
            max: (self.count > 0).then_some(self.max),
            zero_threshold: 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn h1_h2_h3_exponential_buckets_hold_what_was_recorded(
            values in proptest::collection::vec(prop_oneof![Just(0.0), 1e-9..1e-3, 1e-3..10.0, 10.0..1e7], 1..400),
        ) {
            let mut histogram = Exponential::default();
            for value in &values {
                histogram.record(*value, None);
            }
            let point = histogram.point(Vec::new(), 0, 1);
            let buckets = point.positive.clone().unwrap();
            prop_assert!(buckets.bucket_counts.len() <= MAX_BUCKETS);
            prop_assert_eq!(point.count, values.len() as u64);
            prop_assert_eq!(buckets.bucket_counts.iter().sum::<u64>() + point.zero_count, point.count);
            let base = f64::from(-point.scale).exp2();
            for (bucket, count) in (buckets.offset..).zip(&buckets.bucket_counts) {
                let (low, high) = ((f64::from(bucket) * base).exp2(), (f64::from(bucket + 1) * base).exp2());
                // One part in 10^12 for the logarithm's rounding at a bound.
                let inside = values.iter().filter(|v| **v > low * (1.0 + 1e-12) && **v <= high * (1.0 - 1e-12)).count();
                let near = values.iter().filter(|v| **v > low * (1.0 - 1e-12) && **v <= high * (1.0 + 1e-12)).count();
                prop_assert!((inside as u64..=near as u64).contains(count), "bucket {} {}..{}", bucket, low, high);
            }
        }

        #[test]
        fn h1_explicit_buckets_sum_to_the_count(values in proptest::collection::vec(0.0..20.0, 0..200)) {
            let mut histogram = Explicit::new(SECONDS);
            for value in &values {
                histogram.record(*value, None);
            }
            let point = histogram.point(Vec::new(), 0, 1);
            prop_assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
            prop_assert_eq!(point.bucket_counts.iter().sum::<u64>(), values.len() as u64);
            let upto = values.iter().filter(|value| **value <= 0.1).count() as u64;
            prop_assert_eq!(point.bucket_counts[..6].iter().sum::<u64>(), upto);
        }
    }
}
