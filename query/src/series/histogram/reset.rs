//! Did a counter begin anew between two histograms?

use super::combine::reduced;
use super::interval::bucket_bound;
use super::{Bucket, Hint, Histogram};

impl Histogram {
    /// Whether this one cannot have followed the previous one by counting on: a count fell, a bucket is gone, or the buckets
    /// became finer. What is known already (`hint`) counts before what can be found out.
    pub(crate) fn is_reset_after(&self, previous: &Histogram) -> bool {
        match self.hint {
            Hint::Reset => true,
            Hint::NotReset => false,
            Hint::Unknown | Hint::Gauge => self.counts_less_than(previous),
        }
    }

    /// The same, whatever is known already.
    fn counts_less_than(&self, previous: &Histogram) -> bool {
        if self.count < previous.count {
            return true;
        }
        if self.is_custom() {
            if !previous.is_custom() {
                return true;
            }
            if self.bounds != previous.bounds {
                return self.fell_on_shared_bounds(previous);
            }
            return fell(&self.positive, &previous.positive);
        }
        if self.schema > previous.schema || self.zero_threshold < previous.zero_threshold {
            return true;
        }
        let (zero_count, threshold) = previous.widened_zero(self.zero_threshold);
        if threshold != self.zero_threshold || self.zero_count < zero_count {
            return true;
        }
        let outside = |buckets: &[Bucket]| -> Vec<Bucket> {
            let skipped = |bucket: &&Bucket| bucket_bound(bucket.index, self.schema) <= self.zero_threshold;
            buckets.iter().skip_while(skipped).copied().collect()
        };
        let fell_outside = |own: &[Bucket], before: &[Bucket]| {
            fell(&outside(own), &outside(&reduced(before, previous.schema, self.schema)))
        };
        fell_outside(&self.positive, &previous.positive) || fell_outside(&self.negative, &previous.negative)
    }

    /// Whether this one, as a counter, goes on where the previous one was, with the same buckets.
    pub(crate) fn continues(&self, previous: &Histogram) -> bool {
        let same_layout = previous.schema == self.schema
            && previous.zero_threshold == self.zero_threshold
            && previous.bounds == self.bounds;
        let is_told_otherwise = previous.hint == Hint::Gauge || matches!(self.hint, Hint::Gauge | Hint::Reset);
        same_layout && !is_told_otherwise && !self.counts_less_than(previous)
    }

    /// Whether fewer observations lie between two bounds that both have.
    fn fell_on_shared_bounds(&self, previous: &Histogram) -> bool {
        let shared: Vec<f64> = self.bounds.iter().filter(|bound| previous.bounds.contains(bound)).copied().collect();
        let counts = |histogram: &Histogram| {
            let mut counts = vec![0.0; shared.len() + 1];
            for bucket in &histogram.positive {
                let upper = histogram.positive_interval(bucket).upper;
                if let Some(count) = counts.get_mut(shared.partition_point(|bound| *bound < upper)) {
                    *count += bucket.count;
                }
            }
            counts
        };
        counts(self).iter().zip(counts(previous)).any(|(now, before)| *now < before)
    }
}

/// Whether a bucket has fewer observations than before, or is gone.
fn fell(now: &[Bucket], before: &[Bucket]) -> bool {
    let mut now = now.iter().peekable();
    before.iter().any(|bucket| {
        while now.next_if(|own| own.index < bucket.index).is_some() {}
        match now.peek().filter(|own| own.index == bucket.index) {
            Some(own) => own.count < bucket.count,
            None => bucket.count != 0.0,
        }
    })
}
