//! What is the median of a stream of durations? A histogram with 64 buckets per power of two, mergeable.
//!
//! H1  A quantile is within 1 % of the exact value of its rank: a bucket is 1/64 of its power of two wide, and its
//!     middle is answered. Values below 128 are exact.
//! H2  Merging two histograms is the same as adding all their values to one.
//! H3  A value may stand for several, also for a fraction more: each counts as so many.

/// Sub-buckets per power of two, as a power of two.
const SUB_BITS: u32 = 6;
/// Values below this have a bucket of their own.
const EXACT: u64 = 1 << (SUB_BITS + 1);

/// A millionth, about: what stands for several is counted in these, so that the order of what is added does not matter.
const PARTS: f64 = (1u64 << 20) as f64;

/// How many there are of what may each stand for several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count(u64);

impl Count {
    fn of(stands_for: f64) -> Self {
        Count((stands_for * PARTS).round() as u64)
    }

    /// One more, which stands for so many.
    pub(crate) fn add(&mut self, stands_for: f64) {
        self.merge(Count::of(stands_for));
    }

    pub(crate) fn merge(&mut self, other: Count) {
        self.0 = self.0.saturating_add(other.0);
    }

    pub(crate) fn total(self) -> u64 {
        self.exactly().round() as u64
    }

    pub(crate) fn exactly(self) -> f64 {
        self.0 as f64 / PARTS
    }
}

/// Counts of values by size. Takes ten bytes per distinct bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Histogram {
    /// Ascending.
    buckets: Vec<u16>,
    counts: Vec<Count>,
    total: Count,
}

impl Histogram {
    /// Adds a value; a negative one (a clock that went backwards) counts as zero.
    pub(crate) fn add(&mut self, value: i64, stands_for: f64) {
        self.add_to(bucket(u64::try_from(value).unwrap_or(0)), Count::of(stands_for));
    }

    /// Adds all values of another histogram.
    pub(crate) fn merge(&mut self, other: &Histogram) {
        other.buckets.iter().zip(&other.counts).for_each(|(&bucket, &count)| self.add_to(bucket, count));
    }

    /// How many values were added.
    pub(crate) fn total(&self) -> Count {
        self.total
    }

    /// About how many bytes it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.buckets.capacity() * (size_of::<u16>() + size_of::<u64>())
    }

    /// The value at a rank: for `q` = 0.95, the smallest value that 95 % of all values do not exceed.
    pub(crate) fn quantile(&self, q: f64) -> Option<i64> {
        let total = self.total.0;
        if total == 0 {
            return None;
        }
        let rank = ((total as f64) * q).ceil().clamp(1.0, total as f64) as u64;
        let mut seen = Count::default();
        for (&bucket, &count) in self.buckets.iter().zip(&self.counts) {
            seen.merge(count);
            if seen.0 >= rank {
                return Some(i64::try_from(middle(bucket)).unwrap_or(i64::MAX));
            }
        }
        None
    }

    fn add_to(&mut self, bucket: u16, count: Count) {
        self.total.merge(count);
        match self.buckets.binary_search(&bucket) {
            Ok(at) => {
                if let Some(slot) = self.counts.get_mut(at) {
                    slot.merge(count);
                }
            }
            Err(at) => {
                self.buckets.insert(at, bucket);
                self.counts.insert(at, count);
            }
        }
    }
}

/// At most 128 + 56 × 64 + 63, which a u16 holds.
fn bucket(value: u64) -> u16 {
    let index = if value < EXACT {
        value
    } else {
        let power = value.ilog2();
        let sub = (value >> (power - SUB_BITS)) & ((1 << SUB_BITS) - 1);
        EXACT + (u64::from(power - SUB_BITS - 1) << SUB_BITS) + sub
    };
    u16::try_from(index).unwrap_or(u16::MAX)
}

fn middle(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    if bucket < EXACT {
        return bucket;
    }
    let shift = ((bucket - EXACT) >> SUB_BITS) + 1;
    let low = ((1 << SUB_BITS) | ((bucket - EXACT) & ((1 << SUB_BITS) - 1))) << shift;
    low + (1 << (shift - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exact(values: &[i64], q: f64) -> i64 {
        let mut sorted: Vec<i64> = values.iter().map(|value| (*value).max(0)).collect();
        sorted.sort_unstable();
        let rank = ((sorted.len() as f64 * q).ceil() as usize).clamp(1, sorted.len());
        sorted[rank - 1]
    }

    fn durations() -> impl Strategy<Value = Vec<i64>> {
        let value = prop_oneof![-5i64..300, (0u32..63).prop_flat_map(|bits| 0i64..=(1i64 << bits)), Just(i64::MAX),];
        proptest::collection::vec(value, 1..400)
    }

    proptest! {
        #[test]
        fn h1_quantiles_are_within_one_percent(values in durations(), q in 0.0f64..=1.0) {
            let mut histogram = Histogram::default();
            values.iter().for_each(|value| histogram.add(*value, 1.0));
            for q in [q, 0.5, 0.95, 0.99] {
                let (found, exact) = (histogram.quantile(q).unwrap() as f64, exact(&values, q) as f64);
                prop_assert!((found - exact).abs() <= exact * 0.01, "{found} is not {exact}");
            }
        }

        #[test]
        fn h2_merged_is_added(a in durations(), b in durations()) {
            let mut one = Histogram::default();
            a.iter().chain(&b).for_each(|value| one.add(*value, 1.0));
            let (mut left, mut right) = (Histogram::default(), Histogram::default());
            a.iter().for_each(|value| left.add(*value, 1.0));
            b.iter().for_each(|value| right.add(*value, 1.0));
            left.merge(&right);
            prop_assert_eq!(left, one);
        }
    }

    #[test]
    fn h3_what_stands_for_several_counts_as_so_many() {
        let (mut weighted, mut many) = (Histogram::default(), Histogram::default());
        for (value, count) in [(5, 3), (700, 1), (90, 10)] {
            weighted.add(value, f64::from(count));
            (0..count).for_each(|_| many.add(value, 1.0));
        }
        assert_eq!(weighted, many);
        let mut third = Histogram::default();
        (0..3).for_each(|_| third.add(1, 10.0 / 3.0));
        assert_eq!((third.total().total(), third.quantile(0.5)), (10, Some(1)));
        third.add(2, f64::INFINITY);
        assert_eq!(third.quantile(0.5), Some(2));
    }

    #[test]
    fn an_empty_histogram_has_no_quantile() {
        assert_eq!(Histogram::default().quantile(0.5), None);
    }
}
