//! How long did they take? Counts in buckets whose bounds double, and their sum.

use crate::service::Figures;

/// Upper bounds: 2 ms, and twice the one before, up to 16.4 s. Tempo's.
const BOUNDS: usize = 14;
const FIRST: i64 = 2_000_000;

/// Durations of spans.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Durations {
    pub(super) count: u64,
    pub(super) seconds: f64,
    /// The last has what is above all bounds.
    pub(super) buckets: [u64; BOUNDS + 1],
}

impl Durations {
    /// The bounds in seconds.
    pub(super) fn bounds() -> [f64; BOUNDS] {
        std::array::from_fn(|bound| (FIRST << bound) as f64 / 1e9)
    }

    pub(super) fn merge(&mut self, other: &Durations) {
        self.count += other.count;
        self.seconds += other.seconds;
        self.buckets.iter_mut().zip(other.buckets).for_each(|(sum, more)| *sum += more);
    }
}

impl Figures for Durations {
    fn add(&mut self, duration: i64, _: bool, _: f64) {
        let above = (0..BOUNDS).take_while(|bound| duration > FIRST << bound).count();
        self.count += 1;
        self.seconds += duration as f64 / 1e9;
        if let Some(bucket) = self.buckets.get_mut(above) {
            *bucket += 1;
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
        assert_eq!((durations.buckets[0], durations.buckets[1], durations.buckets[BOUNDS]), (2, 2, 1));
        assert_eq!((Durations::bounds()[0], Durations::bounds()[13], durations.count), (0.002, 16.384, 5));
    }
}
