//! What is a native histogram, and what can be done with it?
//!
//! H1  Buckets are sorted by index, each index once. A bucket with no observations may be listed; `compact` removes it.
//! H2  Exponential histograms have schemas -4 to 8 (2^schema buckets per power of two); a histogram with bounds of its own
//!     has [`CUSTOM_SCHEMA`], `bounds`, and neither a zero bucket nor negative buckets.
//! H3  What is added to a histogram brings both to the coarser schema, the wider zero bucket, or the bounds that both have.
//!
//! - `combine`: sums and differences.
//! - `interval`: buckets with their limits, in order.
//! - `reset`: whether a counter began anew.
//! - `trim`: what is left below or above a value.
//!
//! Not here: quantiles (`promql::function`), how histograms are stored or sent.

mod combine;
mod interval;
mod reset;
#[cfg(test)]
mod tests;
mod trim;

pub(crate) use combine::Added;
#[cfg(test)]
use combine::Incompatible;
pub(crate) use interval::Interval;
#[cfg(test)]
use interval::bucket_bound;
pub(crate) use trim::Side;

use super::kahan::Amount;
use super::number::general;
use std::fmt;
use std::sync::Arc;

/// The schema of histograms with bounds of their own.
pub(crate) const CUSTOM_SCHEMA: i32 = -53;

/// Up to here every whole number is a float of its own.
const MOST_WHOLE: f64 = 9_007_199_254_740_992.0;

/// What is known about whether a counter began anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Hint {
    #[default]
    Unknown,
    Reset,
    NotReset,
    Gauge,
}

/// Observations in a bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bucket<N = f64> {
    pub(crate) index: i32,
    pub(crate) count: N,
}

/// A native histogram.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Histogram<N = f64> {
    pub(crate) hint: Hint,
    /// Whether its counts came as whole numbers. Of what was computed it says nothing.
    pub(crate) is_whole: bool,
    pub(crate) schema: i32,
    pub(crate) zero_threshold: f64,
    pub(crate) zero_count: N,
    pub(crate) count: N,
    pub(crate) sum: N,
    pub(crate) positive: Vec<Bucket<N>>,
    pub(crate) negative: Vec<Bucket<N>>,
    /// Upper bounds of the buckets, the infinite one left out.
    pub(crate) bounds: Arc<[f64]>,
}

impl<N: Amount> Default for Histogram<N> {
    fn default() -> Self {
        Histogram {
            hint: Hint::Unknown,
            is_whole: false,
            schema: 0,
            zero_threshold: 0.0,
            zero_count: N::default(),
            count: N::default(),
            sum: N::default(),
            positive: Vec::new(),
            negative: Vec::new(),
            bounds: Arc::from([]),
        }
    }
}

impl<N: Amount> Histogram<N> {
    /// Whether it has bounds of its own.
    pub(crate) fn is_custom(&self) -> bool {
        self.schema == CUSTOM_SCHEMA
    }

    fn amounts(&mut self) -> impl Iterator<Item = &mut N> {
        let buckets = self.positive.iter_mut().chain(&mut self.negative).map(|bucket| &mut bucket.count);
        [&mut self.zero_count, &mut self.count, &mut self.sum].into_iter().chain(buckets)
    }

    /// Every count times a number.
    pub(crate) fn scale(&mut self, factor: f64) {
        self.amounts().for_each(|amount| amount.scale(factor));
        if factor < 0.0 {
            self.hint = Hint::Gauge;
        }
    }

    /// Every count by a number. Nothing is left of the buckets if that is 0.
    pub(crate) fn divide(&mut self, divisor: f64) {
        self.amounts().for_each(|amount| amount.divide(divisor));
        if divisor == 0.0 {
            self.positive.clear();
            self.negative.clear();
        } else if divisor < 0.0 {
            self.hint = Hint::Gauge;
        }
    }

    /// Without empty buckets.
    pub(crate) fn compact(&mut self) {
        for buckets in [&mut self.positive, &mut self.negative] {
            buckets.retain(|bucket| bucket.count.rounded() != 0.0);
        }
    }

    /// Whether a count has become infinite.
    pub(crate) fn overflows(&self) -> bool {
        let buckets = self.positive.iter().chain(&self.negative).map(|bucket| bucket.count);
        let mut amounts = [self.zero_count, self.count, self.sum].into_iter().chain(buckets);
        amounts.any(|amount| amount.rounded().is_infinite())
    }

    /// With another kind of number.
    fn converted<M: Amount>(&self, convert: impl Fn(N) -> M) -> Histogram<M> {
        let buckets = |buckets: &[Bucket<N>]| {
            buckets.iter().map(|bucket| Bucket { index: bucket.index, count: convert(bucket.count) }).collect()
        };
        Histogram {
            hint: self.hint,
            is_whole: self.is_whole,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: convert(self.zero_count),
            count: convert(self.count),
            sum: convert(self.sum),
            positive: buckets(&self.positive),
            negative: buckets(&self.negative),
            bounds: self.bounds.clone(),
        }
    }

    /// With plain numbers.
    pub(crate) fn total(&self) -> Histogram {
        self.converted(Amount::total)
    }
}

impl Histogram {
    /// Whether it is one of whole numbers, each of which is here what it was.
    pub(crate) fn has_whole_counts(&self) -> bool {
        let is_whole = |count: f64| (0.0..=MOST_WHOLE).contains(&count) && count.fract() == 0.0;
        let buckets = self.positive.iter().chain(&self.negative).map(|bucket| bucket.count);
        self.is_whole && [self.count, self.zero_count].into_iter().chain(buckets).all(is_whole)
    }

    /// Ready to be summed up with others.
    pub(crate) fn summable(&self) -> Histogram<super::Kahan> {
        self.converted(Amount::of)
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        168 + 16 * (self.positive.len() + self.negative.len()) + 8 * self.bounds.len()
    }

    /// Whether both hold the same bits in the same buckets, whatever their hints.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let same = |a: f64, b: f64| a.to_bits() == b.to_bits();
        let same_buckets = |a: &[Bucket], b: &[Bucket]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.index == b.index && same(a.count, b.count))
        };
        self.schema == other.schema
            && same(self.count, other.count)
            && same(self.sum, other.sum)
            && (!self.is_custom() || self.bounds == other.bounds)
            && self.zero_threshold == other.zero_threshold
            && same(self.zero_count, other.zero_count)
            && same_buckets(&self.positive, &other.positive)
            && same_buckets(&self.negative, &other.negative)
    }
}

/// As Prometheus writes it, for instance as the value of a label.
impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", general(self.count), general(self.sum))?;
        for interval in self.stored_intervals().iter().filter(|interval| interval.count != 0.0) {
            let open = if interval.lower_inclusive { '[' } else { '(' };
            let close = if interval.upper_inclusive { ']' } else { ')' };
            let (lower, upper) = (general(interval.lower), general(interval.upper));
            write!(f, ", {open}{lower},{upper}{close}:{}", general(interval.count))?;
        }
        f.write_str("}")
    }
}
