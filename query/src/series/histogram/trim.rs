//! What is left of a histogram without the observations above or below a value? Within a bucket it is estimated.

use super::{Histogram, Interval};

/// Which observations stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Below,
    Above,
}

/// What is left of a bucket: how many observations, and about where they are.
struct Kept {
    count: f64,
    middle: f64,
}

impl Histogram {
    /// Without the observations on the other side of a value.
    pub(crate) fn trimmed(&self, at: f64, side: Side) -> Histogram {
        let mut trimmed = self.clone();
        let (mut count, mut sum, mut changed) = (0.0, 0.0, false);
        let mut keep = |bucket_count: &mut f64, kept: Kept| {
            count += kept.count;
            sum += kept.middle * kept.count;
            if *bucket_count != kept.count {
                *bucket_count = kept.count;
                changed = true;
            }
        };
        let has = |buckets: &[super::Bucket]| buckets.iter().any(|bucket| bucket.count != 0.0);
        let (has_positive, has_negative) = (has(&self.positive), has(&self.negative));
        for (bucket, own) in trimmed.positive.iter_mut().zip(&self.positive).filter(|(_, own)| own.count != 0.0) {
            keep(&mut bucket.count, self.kept(&self.positive_interval(own), at, side, 1.0));
        }
        for (bucket, own) in trimmed.negative.iter_mut().zip(&self.negative).filter(|(_, own)| own.count != 0.0) {
            keep(&mut bucket.count, self.kept(&self.negative_interval(own), at, side, -1.0));
        }
        if self.zero_count > 0.0 {
            let mut zero = self.zero_interval();
            if has_negative && !has_positive {
                zero.upper = 0.0;
            }
            if has_positive && !has_negative {
                zero.lower = 0.0;
            }
            keep(&mut trimmed.zero_count, kept_of_zero(&zero, at, side));
        }
        if changed {
            trimmed.count = count;
            trimmed.sum = sum;
            trimmed.compact();
        }
        trimmed
    }

    /// `sign` is that of the bucket's values.
    fn kept(&self, interval: &Interval, at: f64, side: Side, sign: f64) -> Kept {
        let is_linear = self.is_custom();
        let (all, none) = match side {
            Side::Below => (interval.upper <= at, interval.lower >= at),
            Side::Above => (interval.lower >= at, interval.upper <= at),
        };
        if all {
            return Kept { count: interval.count, middle: middle(interval.lower, interval.upper, sign, is_linear) };
        }
        if none || at.is_nan() {
            return Kept { count: 0.0, middle: 0.0 };
        }
        if interval.lower == f64::NEG_INFINITY || interval.upper == f64::INFINITY {
            return kept_of_infinite(interval, at, side);
        }
        let below = interval.count * interval.share_below(at, is_linear);
        match side {
            Side::Below => Kept { count: below, middle: middle(interval.lower, at, sign, is_linear) },
            Side::Above => Kept { count: interval.count - below, middle: middle(at, interval.upper, sign, is_linear) },
        }
    }
}

fn kept_of_zero(zero: &Interval, at: f64, side: Side) -> Kept {
    let width = zero.upper - zero.lower;
    let whole = Kept { count: zero.count, middle: (zero.lower + zero.upper) / 2.0 };
    let nothing = Kept { count: 0.0, middle: 0.0 };
    match side {
        Side::Below if at <= zero.lower => nothing,
        Side::Below if at >= zero.upper => whole,
        Side::Below => Kept { count: zero.count * ((at - zero.lower) / width), middle: (zero.lower + at) / 2.0 },
        Side::Above if at <= zero.lower => whole,
        Side::Above if at >= zero.upper => nothing,
        Side::Above => Kept { count: zero.count * ((zero.upper - at) / width), middle: (at + zero.upper) / 2.0 },
    }
}

/// Nobody knows where observations lie in a bucket without an end. The first of bounds that begin above 0 is taken to
/// begin at 0; otherwise the observations of such a bucket stay only if they must be on the kept side.
fn kept_of_infinite(interval: &Interval, at: f64, side: Side) -> Kept {
    let Interval { lower, upper, count, .. } = *interval;
    let ends_above_zero = upper > 0.0 && upper.is_finite();
    if lower == f64::NEG_INFINITY {
        return match side {
            Side::Below if at >= upper => Kept { count, middle: 0.0 },
            Side::Below if at > 0.0 && ends_above_zero => Kept { count: count * at / upper, middle: at / 2.0 },
            Side::Below if upper <= 0.0 => Kept { count, middle: at },
            Side::Above if at == f64::NEG_INFINITY => Kept { count, middle: 0.0 },
            Side::Above if at >= 0.0 && upper > at && ends_above_zero => {
                Kept { count: count * (1.0 - at / upper), middle: f64::midpoint(at, upper) }
            }
            _ => Kept { count: 0.0, middle: 0.0 },
        };
    }
    match side {
        Side::Above if at >= lower => Kept { count, middle: at },
        _ => Kept { count: 0.0, middle: 0.0 },
    }
}

fn middle(lower: f64, upper: f64, sign: f64, is_linear: bool) -> f64 {
    match (lower.is_infinite(), upper.is_infinite()) {
        (true, true) => 0.0,
        (true, false) if upper > 0.0 => upper / 2.0,
        (true, false) => upper,
        (false, true) => lower,
        (false, false) if is_linear => (lower + upper) / 2.0,
        (false, false) => sign * (lower * upper).abs().sqrt(),
    }
}
