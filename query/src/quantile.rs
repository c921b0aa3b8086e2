//! What is the median of a stream of durations? A histogram with 64 buckets per power of two, mergeable.
//!
//! H1  A quantile is within 1 % of the exact value of its rank: a bucket is 1/64 of its power of two wide, and its
//!     middle is answered. Values below 128 are exact.
//! H2  Merging two histograms is the same as adding all their values to one.

/// Sub-buckets per power of two, as a power of two.
const SUB_BITS: u32 = 6;
/// Values below this have a bucket of their own.
const EXACT: u64 = 1 << (SUB_BITS + 1);

/// Counts of values by size. Takes ten bytes per distinct bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Histogram {
    /// Ascending.
    buckets: Vec<u16>,
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    /// Adds a value; a negative one (a clock that went backwards) counts as zero.
    pub(crate) fn add(&mut self, value: i64) {
        self.add_to(bucket(u64::try_from(value).unwrap_or(0)), 1);
    }

    /// Adds all values of another histogram.
    pub(crate) fn merge(&mut self, other: &Histogram) {
        other.buckets.iter().zip(&other.counts).for_each(|(&bucket, &count)| self.add_to(bucket, count));
    }

    /// How many values were added.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// About how many bytes it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.buckets.capacity() * (size_of::<u16>() + size_of::<u64>())
    }

    /// The value at a rank: for `q` = 0.95, the smallest value that 95 % of all values do not exceed.
    pub(crate) fn quantile(&self, q: f64) -> Option<i64> {
        if self.total == 0 {
            return None;
        }
        let rank = ((self.total as f64) * q).ceil().clamp(1.0, self.total as f64) as u64;
        let mut seen = 0u64;
        for (&bucket, &count) in self.buckets.iter().zip(&self.counts) {
            seen += count;
            if seen >= rank {
                return Some(i64::try_from(middle(bucket)).unwrap_or(i64::MAX));
            }
        }
        None
    }

    fn add_to(&mut self, bucket: u16, count: u64) {
        self.total += count;
        match self.buckets.binary_search(&bucket) {
            Ok(at) => {
                if let Some(slot) = self.counts.get_mut(at) {
                    *slot += count;
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
            values.iter().for_each(|value| histogram.add(*value));
            for q in [q, 0.5, 0.95, 0.99] {
                let (found, exact) = (histogram.quantile(q).unwrap() as f64, exact(&values, q) as f64);
                prop_assert!((found - exact).abs() <= exact * 0.01, "{found} is not {exact}");
            }
        }

        #[test]
        fn h2_merged_is_added(a in durations(), b in durations()) {
            let mut one = Histogram::default();
            a.iter().chain(&b).for_each(|value| one.add(*value));
            let (mut left, mut right) = (Histogram::default(), Histogram::default());
            a.iter().for_each(|value| left.add(*value));
            b.iter().for_each(|value| right.add(*value));
            left.merge(&right);
            prop_assert_eq!(left, one);
        }
    }

    #[test]
    fn an_empty_histogram_has_no_quantile() {
        assert_eq!(Histogram::default().quantile(0.5), None);
    }
}
