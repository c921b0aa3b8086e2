//! Below which value does a share of observations lie, and which share lies between two values?
//!
//! Within a bucket observations are taken to be spread evenly: on a line for bounds of one's own and around zero, on a
//! logarithmic scale for exponential buckets.

use super::ast::Span;
use super::note::{Note, Notes};
use crate::series::{Histogram, Interval, Labels};

/// Counts that differ by less than this share are taken to be equal: floating point made the difference.
const TOLERANCE: f64 = 1e-12;

/// Of numbers: between two of them a weighted average.
pub(crate) fn of_numbers(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    // What is no number comes first.
    values.sort_by(|a, b| b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(b)));
    let last = values.len() - 1;
    let rank = q * last as f64;
    let lower = rank.floor();
    let weight = rank - lower;
    let at = |place: f64| values.get((place as usize).min(last)).copied().unwrap_or(f64::NAN);
    at(lower) * (1.0 - weight) + at(lower + 1.0) * weight
}

/// Bounds between which counts had to be made to rise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Forced {
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
    pub(crate) most: f64,
}

/// A bucket of a classic histogram: all observations up to its bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Classic {
    pub(crate) bound: f64,
    pub(crate) count: f64,
}

/// Sorted, each bound once; `None` where the infinite bound is missing.
fn in_order(buckets: &mut Vec<Classic>) -> Option<()> {
    buckets.sort_by(|a, b| a.bound.total_cmp(&b.bound));
    buckets.last().filter(|last| last.bound == f64::INFINITY)?;
    buckets.dedup_by(|later, kept| {
        let same = later.bound == kept.bound;
        if same {
            kept.count += later.count;
        }
        same
    });
    Some(())
}

fn force_to_rise(buckets: &mut [Classic]) -> Option<Forced> {
    let mut forced: Option<Forced> = None;
    let mut previous = buckets.first()?.count;
    for bucket in buckets.iter_mut().skip(1) {
        let Classic { bound, count } = *bucket;
        if count == previous {
            continue;
        }
        let is_noise = (previous - count).abs() / (previous.abs() + count.abs()).min(f64::MAX) < TOLERANCE;
        if is_noise && previous != 0.0 && count != 0.0 {
            bucket.count = previous;
        } else if count < previous {
            bucket.count = previous;
            let now = forced.get_or_insert(Forced { lowest: bound, highest: bound, most: 0.0 });
            now.lowest = now.lowest.min(bound);
            now.highest = now.highest.max(bound);
            now.most = now.most.max(previous - count);
        } else {
            previous = count;
        }
    }
    forced
}

/// Of a classic histogram.
pub(crate) fn of_classic(q: f64, buckets: &mut Vec<Classic>) -> (f64, Option<Forced>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if !(0.0..=1.0).contains(&q) {
        return (if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY }, None);
    }
    if in_order(buckets).is_none() {
        return (f64::NAN, None);
    }
    let forced = force_to_rise(buckets);
    (interpolated(q, buckets).unwrap_or(f64::NAN), forced)
}

fn interpolated(q: f64, buckets: &[Classic]) -> Option<f64> {
    let (last, finite) = buckets.split_last()?;
    let highest = finite.last()?;
    if last.count == 0.0 || last.count.is_nan() {
        return None;
    }
    let rank = q * last.count;
    let at = finite.partition_point(|bucket| bucket.count < rank || bucket.count.is_nan());
    let Some(bucket) = finite.get(at) else { return Some(highest.bound) };
    let before = at.checked_sub(1).and_then(|before| finite.get(before));
    match before {
        None if bucket.bound <= 0.0 => Some(bucket.bound),
        None => Some(bucket.bound * (rank / bucket.count)),
        Some(before) => {
            let share = (rank - before.count) / (bucket.count - before.count);
            Some(before.bound + (bucket.bound - before.bound) * share)
        }
    }
}

/// Of a native histogram.
pub(crate) fn of_native(q: f64, histogram: &Histogram, labels: &Labels, span: Span, notes: &mut Notes) -> f64 {
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    if histogram.count == 0.0 || q.is_nan() {
        return f64::NAN;
    }
    // Observations that are no numbers make the sum none; they are in no bucket and count as above all.
    let has_nan = histogram.sum.is_nan();
    let upwards = has_nan || q < 0.5;
    let mut intervals = histogram.intervals();
    if !upwards {
        intervals.reverse();
    }
    let rank = if upwards { q } else { 1.0 - q } * histogram.count;
    let (mut count, mut found, mut rest) = (0.0, None, intervals.iter());
    for interval in rest.by_ref().filter(|interval| interval.count != 0.0) {
        count += interval.count;
        found = Some(*interval);
        if count >= rank {
            break;
        }
    }
    let nowhere = Interval { lower: 0.0, upper: 0.0, lower_inclusive: true, upper_inclusive: true, count: 0.0 };
    let mut interval = found.unwrap_or(nowhere);
    if let Some(value) = limited(histogram, &mut interval) {
        return value;
    }
    count = count.min(histogram.count);
    if count < rank {
        if has_nan {
            notes.add(Note::quantile_is_nan(labels, span));
            return f64::NAN;
        }
        return interval.upper;
    }
    let within = if upwards { rank - (count - interval.count) } else { count - rank };
    let mut width = interval.count;
    if has_nan {
        for later in rest {
            count += later.count;
            width = later.count;
            interval = *later;
        }
        if count < histogram.count {
            notes.add(Note::quantile_is_skewed(labels, span));
        }
    }
    value_at(histogram, &interval, within / width)
}

/// Ends that are known better than the bucket says; the answer itself if it lies beyond all finite bounds.
fn limited(histogram: &Histogram, interval: &mut Interval) -> Option<f64> {
    if histogram.is_custom() {
        if interval.lower == f64::NEG_INFINITY {
            if interval.upper <= 0.0 {
                return Some(interval.upper);
            }
            interval.lower = 0.0;
        } else if interval.upper == f64::INFINITY {
            return Some(interval.lower);
        }
    } else if interval.lower < 0.0 && interval.upper > 0.0 {
        if histogram.negative.is_empty() && !histogram.positive.is_empty() {
            interval.lower = 0.0;
        } else if histogram.positive.is_empty() && !histogram.negative.is_empty() {
            interval.upper = 0.0;
        }
    }
    None
}

fn value_at(histogram: &Histogram, interval: &Interval, share: f64) -> f64 {
    let Interval { lower, upper, .. } = *interval;
    if histogram.is_custom() || (lower <= 0.0 && upper >= 0.0) {
        return lower + (upper - lower) * share;
    }
    let (low, high) = (lower.abs().log2(), upper.abs().log2());
    if lower > 0.0 {
        return (low + (high - low) * share).exp2();
    }
    -(high + (low - high) * (1.0 - share)).exp2()
}

/// How many observations lie below two bounds, while buckets are passed in order.
#[derive(Debug, Default)]
struct Ranks {
    below: f64,
    lower: Option<f64>,
    upper: Option<f64>,
}

impl Ranks {
    fn is_known(&self) -> bool {
        self.lower.is_some() && self.upper.is_some()
    }

    /// Passes a bucket; `inside` says how many observations lie below a value in it.
    fn pass(&mut self, bounds: (f64, f64), bucket: (f64, f64), inside: impl Fn(f64, f64) -> f64) {
        let below = self.below;
        for (rank, bound) in [(&mut self.lower, bounds.0), (&mut self.upper, bounds.1)] {
            if rank.is_none() && bucket.0 >= bound {
                *rank = Some(below);
            }
        }
        if self.is_known() {
            return;
        }
        for (rank, bound) in [(&mut self.lower, bounds.0), (&mut self.upper, bounds.1)] {
            if rank.is_none() && bucket.0 < bound && bucket.1 > bound {
                *rank = Some(inside(below, bound));
            }
        }
    }

    fn share(&self, count: f64, all: f64) -> f64 {
        let rank = |rank: Option<f64>| rank.filter(|rank| *rank <= count || rank.is_nan()).unwrap_or(count);
        (rank(self.upper) - rank(self.lower)) / all
    }
}

/// The share of a native histogram's observations between two values.
pub(crate) fn share_of_native(
    bounds: (f64, f64),
    histogram: &Histogram,
    labels: &Labels,
    span: Span,
    notes: &mut Notes,
) -> f64 {
    if histogram.count == 0.0 || bounds.0.is_nan() || bounds.1.is_nan() {
        return f64::NAN;
    }
    if bounds.0 >= bounds.1 {
        return 0.0;
    }
    let (mut ranks, mut counted) = (Ranks::default(), 0.0);
    for mut interval in histogram.intervals() {
        counted += interval.count;
        if ranks.is_known() {
            continue;
        }
        let is_zero = interval.lower <= 0.0 && interval.upper >= 0.0;
        if is_zero && histogram.negative.is_empty() && !histogram.positive.is_empty() {
            interval.lower = 0.0;
        } else if is_zero && histogram.positive.is_empty() && !histogram.negative.is_empty() {
            interval.upper = 0.0;
        }
        let is_linear = histogram.is_custom() || is_zero;
        ranks.pass(bounds, (interval.lower, interval.upper), |below, bound| {
            if is_linear && interval.lower == f64::NEG_INFINITY {
                return interval.count;
            }
            below + interval.count * interval.share_below(bound, is_linear)
        });
        ranks.below += interval.count;
    }
    let mut count = histogram.count;
    if histogram.sum.is_nan() {
        count = counted;
        if counted < histogram.count {
            notes.add(Note::fraction_without_nan(labels, span));
        }
    }
    ranks.share(count, histogram.count)
}

/// The share of a classic histogram's observations between two values.
pub(crate) fn share_of_classic(bounds: (f64, f64), buckets: &mut Vec<Classic>) -> f64 {
    if in_order(buckets).is_none() {
        return f64::NAN;
    }
    let count = buckets.last().map_or(0.0, |last| last.count);
    if count == 0.0 || bounds.0.is_nan() || bounds.1.is_nan() {
        return f64::NAN;
    }
    if bounds.0 >= bounds.1 {
        return 0.0;
    }
    let mut ranks = Ranks::default();
    let starts_at_zero = buckets.first().is_some_and(|first| first.bound > 0.0);
    let mut lower = if starts_at_zero { 0.0 } else { f64::NEG_INFINITY };
    for bucket in buckets.iter() {
        ranks.pass(bounds, (lower, bucket.bound), |below, bound| {
            if lower == f64::NEG_INFINITY {
                return bucket.count;
            }
            below + (bucket.count - below) * (bound - lower) / (bucket.bound - lower)
        });
        if ranks.is_known() {
            break;
        }
        ranks.below = bucket.count;
        lower = bucket.bound;
    }
    ranks.share(count, count)
}
