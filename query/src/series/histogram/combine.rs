//! What is the sum of two histograms, or their difference (H3)?

use super::interval::bucket_bound;
use super::{Bucket, Hint, Histogram};
use crate::series::kahan::Amount;
use std::sync::Arc;

/// Exponential buckets and buckets with bounds of their own do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Incompatible;

/// What happened beside the addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Added {
    /// One of the two was known to be a reset, the other not to be one.
    pub(crate) hints_collide: bool,
    /// The bounds were not the same, and only those are left that both had.
    pub(crate) bounds_reconciled: bool,
}

impl<N: Amount> Histogram<N> {
    /// Adds another histogram.
    pub(crate) fn add(&mut self, other: &Histogram) -> Result<Added, Incompatible> {
        self.combine(other, 1.0)
    }

    /// Takes another histogram away.
    pub(crate) fn subtract(&mut self, other: &Histogram) -> Result<Added, Incompatible> {
        self.combine(other, -1.0)
    }

    fn combine(&mut self, other: &Histogram, sign: f64) -> Result<Added, Incompatible> {
        if self.is_custom() != other.is_custom() {
            return Err(Incompatible);
        }
        let mut added = Added { hints_collide: self.combine_hints(other.hint), bounds_reconciled: false };
        if self.is_custom() {
            self.count.add(sign * other.count);
            self.sum.add(sign * other.sum);
            if self.bounds == other.bounds {
                merge(&mut self.positive, other.positive.iter().copied(), sign);
            } else {
                added.bounds_reconciled = true;
                self.combine_on_shared_bounds(other, sign);
            }
            return Ok(added);
        }
        let zero_count = self.reconcile_zero_buckets(other);
        self.zero_count.add(sign * zero_count);
        self.count.add(sign * other.count);
        self.sum.add(sign * other.sum);
        if other.schema < self.schema {
            self.reduce(other.schema);
        }
        let (schema, threshold) = (self.schema, self.zero_threshold);
        for (own, others) in [(&mut self.positive, &other.positive), (&mut self.negative, &other.negative)] {
            let coarse = if other.schema > schema { reduced(others, other.schema, schema) } else { others.clone() };
            // What lies in the zero bucket was counted there.
            let outside = coarse.into_iter().skip_while(|bucket| bucket_bound(bucket.index, schema) <= threshold);
            merge(own, outside, sign);
        }
        Ok(added)
    }

    /// Whether the two contradict each other.
    fn combine_hints(&mut self, other: Hint) -> bool {
        let (hint, collide) = match (self.hint, other) {
            (own, other) if own == other => (own, false),
            (Hint::Gauge, _) | (_, Hint::Gauge) => (Hint::Gauge, false),
            (Hint::Unknown, _) | (_, Hint::Unknown) => (Hint::Unknown, false),
            _ => (Hint::Unknown, true),
        };
        self.hint = hint;
        collide
    }

    fn combine_on_shared_bounds(&mut self, other: &Histogram, sign: f64) {
        let shared: Arc<[f64]> = self.bounds.iter().filter(|bound| other.bounds.contains(bound)).copied().collect();
        let mut own = mapped(&self.positive, &self.bounds, &shared);
        merge(&mut own, mapped(&other.positive, &other.bounds, &shared).into_iter(), sign);
        own.retain(|bucket| bucket.count.rounded() != 0.0);
        self.positive = own;
        self.bounds = shared;
    }

    /// Brings the buckets to a coarser schema.
    pub(crate) fn reduce(&mut self, schema: i32) {
        if schema < self.schema && !self.is_custom() {
            self.positive = reduced(&self.positive, self.schema, schema);
            self.negative = reduced(&self.negative, self.schema, schema);
            self.schema = schema;
        }
    }

    /// Widens the zero bucket until it is as wide as the other's could be; returns what the other's count would be.
    fn reconcile_zero_buckets(&mut self, other: &Histogram) -> f64 {
        let (mut count, mut threshold) = (other.zero_count, other.zero_threshold);
        while threshold != self.zero_threshold {
            if self.zero_threshold > threshold {
                (count, threshold) = other.widened_zero(self.zero_threshold);
            }
            if threshold > self.zero_threshold {
                (self.zero_count, self.zero_threshold) = self.widened_zero(threshold);
                self.drop_buckets_in_zero();
            }
            if threshold.is_nan() || self.zero_threshold.is_nan() {
                break;
            }
        }
        count
    }

    /// The count of a zero bucket of at least this width, and the width that does not cut a bucket with observations.
    pub(super) fn widened_zero(&self, threshold: f64) -> (N, f64) {
        let mut threshold = threshold;
        if threshold == self.zero_threshold {
            return (self.zero_count, threshold);
        }
        'wider: loop {
            let mut count = self.zero_count;
            for (bucket, interval) in self.positive.iter().map(|bucket| (bucket, self.positive_interval(bucket))) {
                if interval.lower >= threshold {
                    break;
                }
                count.merge(bucket.count);
                if interval.upper > threshold {
                    if interval.count != 0.0 {
                        threshold = interval.upper;
                    }
                    break;
                }
            }
            for (bucket, interval) in self.negative.iter().map(|bucket| (bucket, self.negative_interval(bucket))) {
                if interval.upper <= -threshold {
                    break;
                }
                count.merge(bucket.count);
                if interval.lower < -threshold {
                    if interval.count != 0.0 {
                        threshold = -interval.lower;
                        continue 'wider;
                    }
                    break;
                }
            }
            return (count, threshold);
        }
    }

    fn drop_buckets_in_zero(&mut self) {
        let (schema, threshold) = (self.schema, self.zero_threshold);
        for buckets in [&mut self.positive, &mut self.negative] {
            buckets.retain(|bucket| {
                bucket_bound(bucket.index.saturating_sub(1), schema) >= threshold && bucket.count.rounded() != 0.0
            });
        }
    }
}

/// Adds sorted buckets to sorted buckets.
fn merge<N: Amount>(own: &mut Vec<Bucket<N>>, others: impl Iterator<Item = Bucket>, sign: f64) {
    let mut at = 0;
    for other in others {
        while own.get(at).is_some_and(|bucket| bucket.index < other.index) {
            at += 1;
        }
        let count = sign * other.count;
        match own.get_mut(at).filter(|bucket| bucket.index == other.index) {
            Some(bucket) => bucket.count.add(count),
            None => own.insert(at, Bucket { index: other.index, count: N::of(count) }),
        }
    }
}

/// Buckets of a coarser schema.
pub(super) fn reduced<N: Amount>(buckets: &[Bucket<N>], from: i32, to: i32) -> Vec<Bucket<N>> {
    let shift = u32::try_from(from.saturating_sub(to)).unwrap_or_default().min(31);
    let mut coarse: Vec<Bucket<N>> = Vec::with_capacity(buckets.len());
    for bucket in buckets {
        let index = (bucket.index.saturating_sub(1) >> shift) + 1;
        match coarse.last_mut().filter(|last| last.index == index) {
            Some(last) => last.count.merge(bucket.count),
            None => coarse.push(Bucket { index, count: bucket.count }),
        }
    }
    coarse
}

/// Buckets of fewer bounds, all of which the finer bounds have.
fn mapped<N: Amount>(buckets: &[Bucket<N>], bounds: &[f64], coarser: &[f64]) -> Vec<Bucket<N>> {
    let mut coarse: Vec<Bucket<N>> = Vec::with_capacity(buckets.len());
    for bucket in buckets {
        let bound = usize::try_from(bucket.index).ok().and_then(|index| bounds.get(index));
        let place = bound.map_or(coarser.len(), |bound| coarser.partition_point(|other| other < bound));
        let index = i32::try_from(place).unwrap_or(i32::MAX);
        match coarse.last_mut().filter(|last| last.index == index) {
            Some(last) => last.count.merge(bucket.count),
            None => coarse.push(Bucket { index, count: bucket.count }),
        }
    }
    coarse
}
