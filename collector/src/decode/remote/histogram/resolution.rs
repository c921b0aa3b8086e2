//! How is a native histogram told with fewer buckets? At a schema below its own each power of two has half as many; two neighbours become
//! one, with the observations of both.
//!
//! G1  Nothing is lost but resolution: count, sum, zero bucket and the sum of all buckets stay.
//! G2  A histogram that is not fit stays as it is: why it cannot be stored is told where that is tried.

use super::super::writer::{put_deltas, put_double, put_doubles, put_number, put_span, put_whole, zigzag};
use super::{Count, Histogram, ResetHint, SCHEMAS, Side, Unfit};

/// How fine a native histogram may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resolution {
    /// The finest schema.
    pub(crate) max_schema: i32,
    /// Buckets of both sides. Empty ones do not count: that they are told says nothing.
    pub(crate) max_buckets: usize,
}

impl Resolution {
    /// The fields of a histogram that is as fine as may be; `None` where it is as it came. Fails where even the coarsest one, or one with
    /// bounds of its own, has too many buckets.
    pub(crate) fn fit(self, fields: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let mut histogram = Histogram::default();
        if histogram.read(fields).is_err() || histogram.is_stale() {
            return Ok(None);
        }
        let is_float = histogram.is_float();
        let sides = [&histogram.negative, &histogram.positive].map(|side| Buckets::of(side, is_float));
        let [Ok(negative), Ok(positive)] = sides else { return Ok(None) };
        let has_room = |down: u32| negative.len(down).saturating_add(positive.len(down)) <= self.max_buckets;
        let too_many = || {
            format!(
                "a native histogram has more than the {} buckets of native_histogram_bucket_limit",
                self.max_buckets
            )
        };
        if !SCHEMAS.contains(&histogram.schema) {
            return if has_room(0) { Ok(None) } else { Err(too_many()) };
        }
        let least = u32::try_from(histogram.schema.saturating_sub(self.max_schema)).unwrap_or_default();
        let most = histogram.schema.abs_diff(*SCHEMAS.start());
        let down = (least..=most).find(|down| has_room(*down)).ok_or_else(too_many)?;
        if down == 0 {
            return Ok(None);
        }
        histogram.schema = histogram.schema.saturating_sub_unsigned(down);
        Ok(written(&histogram, [negative.coarser(down), positive.coarser(down)]))
    }
}

/// The buckets of one side: index and the bits of the count, rising.
#[derive(Debug)]
struct Buckets {
    list: Vec<(i64, u64)>,
    is_float: bool,
}

impl Buckets {
    fn of(side: &Side, is_float: bool) -> Result<Self, Unfit> {
        let mut list = Vec::new();
        side.each(is_float, |index, count| {
            list.push((index, count));
            Ok(())
        })?;
        Ok(Buckets { list, is_float })
    }

    /// How many with observations there are so many schemas further down.
    fn len(&self, down: u32) -> usize {
        let is_empty = |bits: u64| bits == 0 || self.is_float && f64::from_bits(bits) == 0.0;
        let same = self.list.chunk_by(|(one, _), (next, _)| coarser(*one, down) == coarser(*next, down));
        same.filter(|same| same.iter().any(|(_, bits)| !is_empty(*bits))).count()
    }

    fn coarser(&self, down: u32) -> Self {
        let add = |one: u64, other: u64| match self.is_float {
            true => (f64::from_bits(one) + f64::from_bits(other)).to_bits(),
            false => one.saturating_add(other),
        };
        let mut list: Vec<(i64, u64)> = Vec::new();
        for (index, count) in &self.list {
            let index = coarser(*index, down);
            match list.last_mut() {
                Some((last, all)) if *last == index => *all = add(*all, *count),
                _ => list.push((index, *count)),
            }
        }
        Buckets { list, is_float: self.is_float }
    }

    /// Spans at this field, counts at those behind it. `None` where a count is past 63 bits.
    fn put(&self, out: &mut Vec<u8>, field: u32) -> Option<()> {
        let mut behind = 0;
        for span in self.list.chunk_by(|(one, _), (next, _)| one + 1 == *next) {
            let (first, length) = (span.first()?.0, i64::try_from(span.len()).ok()?);
            put_span(out, field, first - behind, length);
            behind = first + length;
        }
        let counts = self.list.iter().map(|(_, count)| *count);
        if self.is_float {
            put_doubles(out, field + 2, counts.map(f64::from_bits));
        } else {
            let counts: Option<Vec<i64>> = counts.map(|count| i64::try_from(count).ok()).collect();
            put_deltas(out, field + 1, counts?.into_iter());
        }
        Some(())
    }
}

/// The index, so many schemas further down, of the bucket in which one lies. A bucket has its upper bound in it.
fn coarser(index: i64, down: u32) -> i64 {
    ((index - 1) >> down) + 1
}

/// The fields of an exponential histogram with other buckets.
fn written(histogram: &Histogram, [negative, positive]: [Buckets; 2]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match histogram.count {
        Count::Whole(count) => put_whole(&mut out, 1, count),
        Count::Float(count) => put_double(&mut out, 2, count),
    }
    put_double(&mut out, 3, histogram.sum);
    put_number(&mut out, 4, zigzag(histogram.schema.into()));
    put_double(&mut out, 5, histogram.zero_threshold);
    match histogram.zero_count {
        Count::Whole(count) => put_whole(&mut out, 6, count),
        Count::Float(count) => put_double(&mut out, 7, count),
    }
    negative.put(&mut out, 8)?;
    positive.put(&mut out, 11)?;
    let hint = match histogram.hint {
        ResetHint::Unknown => 0,
        ResetHint::Reset => 1,
        ResetHint::NotReset => 2,
        ResetHint::Gauge => 3,
    };
    put_number(&mut out, 14, hint);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Fields with buckets of both sides, by index.
    fn fields(schema: i32, is_float: bool, [negative, positive]: [&[(i64, u64)]; 2]) -> Vec<u8> {
        let bits = |count: u64| if is_float { (count as f64).to_bits() } else { count };
        let side = |list: &[(i64, u64)]| Buckets {
            list: list.iter().map(|(index, count)| (*index, bits(*count))).collect(),
            is_float,
        };
        let count: u64 = negative.iter().chain(positive).map(|(_, count)| count).sum();
        let count = if is_float { Count::Float(count as f64) } else { Count::Whole(count) };
        let histogram =
            Histogram { schema, count, sum: 7.5, zero_threshold: 0.5, hint: ResetHint::Gauge, ..Histogram::default() };
        written(&histogram, [side(negative), side(positive)]).unwrap()
    }

    const ALL: Resolution = Resolution { max_schema: 52, max_buckets: usize::MAX };

    #[test]
    fn neighbours_become_one_until_there_is_room() {
        let fine = [(-3, 1), (-2, 2), (0, 3), (1, 4), (2, 5), (5, 6)];
        for is_float in [false, true] {
            let check = |limit: Resolution, expected: Option<Vec<u8>>| {
                assert_eq!(limit.fit(&fields(3, is_float, [&[(4, 7)], &fine])), Ok(expected), "{limit:?}");
            };
            let coarse = fields(2, is_float, [&[(2, 7)], &[(-1, 3), (0, 3), (1, 9), (3, 6)]]);
            check(ALL, None);
            check(Resolution { max_schema: 3, ..ALL }, None);
            check(Resolution { max_buckets: 7, ..ALL }, None);
            check(Resolution { max_schema: 2, ..ALL }, Some(coarse.clone()));
            check(Resolution { max_buckets: 6, ..ALL }, Some(coarse.clone()));
            check(Resolution { max_buckets: 5, ..ALL }, Some(coarse));
            check(Resolution { max_buckets: 3, ..ALL }, Some(fields(0, is_float, [&[(1, 7)], &[(0, 6), (1, 15)]])));
        }
    }

    #[test]
    fn empty_buckets_take_no_room() {
        for is_float in [false, true] {
            let sparse = fields(3, is_float, [&[], &[(1, 1), (2, 0), (3, 0), (4, 2)]]);
            assert_eq!(Resolution { max_buckets: 2, ..ALL }.fit(&sparse), Ok(None));
        }
        let custom = fields(-53, false, [&[], &[(0, 0), (1, 7), (2, 0)]]);
        assert_eq!(Resolution { max_buckets: 1, ..ALL }.fit(&custom), Ok(None));
    }

    #[test]
    fn what_cannot_have_room_fails() {
        let two = fields(8, false, [&[(1, 1)], &[(1, 1)]]);
        let error = Resolution { max_buckets: 1, ..ALL }.fit(&two).unwrap_err();
        assert_eq!(error, "a native histogram has more than the 1 buckets of native_histogram_bucket_limit");
        assert_eq!(Resolution { max_buckets: 2, ..ALL }.fit(&two), Ok(None));
        let custom = fields(-53, false, [&[], &[(0, 1), (1, 1)]]);
        assert_eq!(Resolution { max_schema: -4, max_buckets: 2 }.fit(&custom), Ok(None));
        assert!(Resolution { max_buckets: 1, ..ALL }.fit(&custom).is_err());
    }

    #[test]
    fn g2_what_is_not_fit_stays() {
        for bad in [&[0xff][..], &[0x62, 1, 2], &fields(53, false, [&[], &[(1, 1)]])] {
            assert_eq!(Resolution { max_schema: 0, max_buckets: 10 }.fit(bad), Ok(None), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn g1_nothing_is_lost_but_resolution(
            steps in proptest::collection::vec((1i64..9, 0u64..100), 1..60),
            first in -1_000i64..1_000,
            schema in -4i32..9,
            max_schema in -4i32..9,
        ) {
            let mut index = first;
            let list: Vec<(i64, u64)> = steps.iter().map(|(step, count)| { index += step; (index, *count) }).collect();
            let before = fields(schema, false, [&list, &[]]);
            let after = Resolution { max_schema, ..ALL }.fit(&before).unwrap().unwrap_or(before);
            let mut histogram = Histogram::default();
            histogram.read(&after).unwrap();
            prop_assert!(histogram.check().is_ok());
            prop_assert_eq!(histogram.schema, schema.min(max_schema));
            prop_assert_eq!((histogram.sum, histogram.zero_threshold, histogram.hint), (7.5, 0.5, ResetHint::Gauge));
            // What was below a bound that both have still is.
            let told = Buckets::of(&histogram.negative, false).unwrap().list;
            for (index, _) in &told {
                let bound = index << (schema - histogram.schema);
                let below = |list: &[(i64, u64)], bound: i64| list.iter().filter(|(index, _)| *index <= bound).map(|(_, count)| count).sum::<u64>();
                prop_assert_eq!(below(&told, *index), below(&list, bound));
            }
        }
    }
}
