//! How long did they take? Counts in buckets whose bounds double, and their sum.

use crate::quantile::Count;
use crate::service::Figures;

/// Upper bounds: 2 ms, and twice the one before, up to 16.4 s. Tempo's.
const BOUNDS: usize = 14;
const FIRST: i64 = 2_000_000;

/// Durations of spans.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Durations {
    pub(super) seconds: f64,
    /// The last has what is above all bounds.
    buckets: [Count; BOUNDS + 1],
}

impl Durations {
    /// The bounds in seconds.
    pub(super) fn bounds() -> [f64; BOUNDS] {
        std::array::from_fn(|bound| (FIRST << bound) as f64 / 1e9)
    }

    /// How many spans there were, by bucket; those that were sampled stand for as many as their threshold says.
    pub(super) fn counts(&self) -> [u64; BOUNDS + 1] {
        self.buckets.map(Count::total)
    }

    pub(super) fn count(&self) -> u64 {
        self.counts().into_iter().sum()
    }

    pub(super) fn merge(&mut self, other: &Durations) {
        self.seconds += other.seconds;
        self.buckets.iter_mut().zip(other.buckets).for_each(|(sum, more)| sum.merge(more));
    }
}

impl Figures for Durations {
    fn add(&mut self, duration: i64, _: bool, stands_for: f64) {
        let above = (0..BOUNDS).take_while(|bound| duration > FIRST << bound).count();
        self.seconds += duration as f64 / 1e9 * stands_for;
        if let Some(bucket) = self.buckets.get_mut(above) {
            bucket.add(stands_for);
        }
    }

    fn memory_bytes(&self) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let mut durations = Durations::default();
        [0, 2_000_000, 2_000_001, 4_000_000, i64::MAX].into_iter().for_each(|nanos| durations.add(nanos, false, 1.0));
        let counts = durations.counts();
        assert_eq!((counts[0], counts[1], counts[BOUNDS]), (2, 2, 1));
        assert_eq!((Durations::bounds()[0], Durations::bounds()[13], durations.count()), (0.002, 16.384, 5));
    }

    #[test]
    fn what_is_left_of_many_counts_for_them() {
        let mut durations = Durations::default();
        [1.5, 1.5, 4.0].into_iter().for_each(|stands_for| durations.add(1_000_000_000, false, stands_for));
        assert_eq!((durations.count(), durations.seconds), (7, 7.0));
    }
}
