//! What does a native histogram of remote write say?
//!
//! B1  What Prometheus calls invalid is left out: counts that are negative or do not add up, spans that do not fit the counts,
//!     bounds that do not rise, schemas that nobody knows.
//! B2  Buckets are written one by one from the first to the last, those between spans with 0; there are no more than
//!     [`MAX_BUCKETS`] of them.
//! B3  Counts that are floats are written as their bits, and the point's flags say so.
//!
//! - `resolution`: coarser buckets.

pub(super) mod resolution;

use super::super::wire::{Reader, Result as Walk, Within, bytes, fields, fixed64, varint};
use super::{MAX_BUCKETS, Unfit};
use storage::model::PointData;
use storage::model::record::{put_buckets, put_counts, put_doubles};
use storage::model::verbatim::{FLOAT_COUNTS, ResetHint, STALE_BITS};

mod key {
    use super::{bytes, fields, fixed64, varint};
    pub(super) const COUNT: u32 = varint(1);
    pub(super) const COUNT_FLOAT: u32 = fixed64(2);
    pub(super) const SUM: u32 = fixed64(3);
    pub(super) const SCHEMA: u32 = varint(4);
    pub(super) const ZERO_THRESHOLD: u32 = fixed64(5);
    pub(super) const ZERO_COUNT: u32 = varint(6);
    pub(super) const ZERO_COUNT_FLOAT: u32 = fixed64(7);
    pub(super) const NEGATIVE_SPANS: u32 = bytes(8);
    pub(super) const NEGATIVE_DELTA: u32 = varint(9);
    pub(super) const NEGATIVE_DELTAS: u32 = bytes(9);
    pub(super) const NEGATIVE_COUNT: u32 = fixed64(10);
    pub(super) const NEGATIVE_COUNTS: u32 = bytes(10);
    pub(super) const POSITIVE_SPANS: u32 = bytes(11);
    pub(super) const POSITIVE_DELTA: u32 = varint(12);
    pub(super) const POSITIVE_DELTAS: u32 = bytes(12);
    pub(super) const POSITIVE_COUNT: u32 = fixed64(13);
    pub(super) const POSITIVE_COUNTS: u32 = bytes(13);
    pub(super) const RESET_HINT: u32 = varint(14);
    pub(super) const TIMESTAMP: u32 = varint(15);
    pub(super) const CUSTOM_VALUE: u32 = fixed64(16);
    pub(super) const CUSTOM_VALUES: u32 = bytes(16);
    pub(super) const START: u32 = varint(17);
    pub(super) const ALL: u64 = fields(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]);
    pub(super) const SPAN_OFFSET: u32 = varint(1);
    pub(super) const SPAN_LENGTH: u32 = varint(2);
    pub(super) const SPAN_ALL: u64 = fields(&[1, 2]);
}

/// The schema of histograms with bounds of their own.
const CUSTOM_SCHEMA: i32 = -53;
/// Schemas of exponential histograms. Those finer than 8 are brought to it when they are asked for.
const SCHEMAS: std::ops::RangeInclusive<i32> = -4..=52;

/// A number of observations.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Count {
    Whole(u64),
    Float(f64),
}

impl Count {
    fn bits(self) -> u64 {
        match self {
            Count::Whole(count) => count,
            Count::Float(count) => count.to_bits(),
        }
    }

    fn is_negative(self) -> bool {
        matches!(self, Count::Float(count) if count < 0.0)
    }
}

/// A histogram as sent, and the cells that are made of it. Meant to be used again and again.
#[derive(Debug)]
pub(super) struct Histogram {
    count: Count,
    sum: f64,
    schema: i32,
    zero_threshold: f64,
    zero_count: Count,
    negative: Side,
    positive: Side,
    hint: ResetHint,
    bounds: Vec<f64>,
    bounds_cell: Vec<u8>,
    pub(super) timestamp: i64,
    pub(super) start: i64,
}

/// One side's buckets, as sent and as a cell.
#[derive(Debug, Default)]
struct Side {
    spans: Vec<(i32, u32)>,
    deltas: Vec<i64>,
    counts: Vec<f64>,
    /// There were more of something than may be.
    is_too_long: bool,
    dense: Vec<u64>,
    cell: Vec<u8>,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            count: Count::Whole(0),
            sum: 0.0,
            schema: 0,
            zero_threshold: 0.0,
            zero_count: Count::Whole(0),
            negative: Side::default(),
            positive: Side::default(),
            hint: ResetHint::Unknown,
            bounds: Vec::new(),
            bounds_cell: Vec::new(),
            timestamp: 0,
            start: 0,
        }
    }
}

impl Histogram {
    /// Reads a message in the place of what was read before.
    pub(super) fn read(&mut self, message: &[u8]) -> Walk<()> {
        self.clear();
        let mut reader = Reader::new(message);
        while let Some(key) = reader.key()? {
            match key {
                key::COUNT => self.count = Count::Whole(reader.varint()?),
                key::COUNT_FLOAT => self.count = Count::Float(reader.double()?),
                key::SUM => self.sum = reader.double()?,
                key::SCHEMA => self.schema = reader.sint32()?,
                key::ZERO_THRESHOLD => self.zero_threshold = reader.double()?,
                key::ZERO_COUNT => self.zero_count = Count::Whole(reader.varint()?),
                key::ZERO_COUNT_FLOAT => self.zero_count = Count::Float(reader.double()?),
                key::NEGATIVE_SPANS => self.negative.span(reader.bytes()?).within("negative_spans")?,
                key::NEGATIVE_DELTA => self.negative.delta(reader.varint()?),
                key::NEGATIVE_DELTAS => self.negative.deltas(reader.bytes()?).within("negative_deltas")?,
                key::NEGATIVE_COUNT => self.negative.count(reader.double()?),
                key::NEGATIVE_COUNTS => reader.packed64()?.for_each(|bits| self.negative.count(f64::from_bits(bits))),
                key::POSITIVE_SPANS => self.positive.span(reader.bytes()?).within("positive_spans")?,
                key::POSITIVE_DELTA => self.positive.delta(reader.varint()?),
                key::POSITIVE_DELTAS => self.positive.deltas(reader.bytes()?).within("positive_deltas")?,
                key::POSITIVE_COUNT => self.positive.count(reader.double()?),
                key::POSITIVE_COUNTS => reader.packed64()?.for_each(|bits| self.positive.count(f64::from_bits(bits))),
                key::RESET_HINT => self.hint = hint(reader.int32()?),
                key::TIMESTAMP => self.timestamp = reader.varint()?.cast_signed(),
                key::CUSTOM_VALUE => self.bound(reader.double()?),
                key::CUSTOM_VALUES => reader.packed64()?.for_each(|bits| self.bound(f64::from_bits(bits))),
                key::START => self.start = reader.varint()?.cast_signed(),
                _ => reader.other(key, key::ALL)?,
            }
        }
        Ok(())
    }

    fn clear(&mut self) {
        (self.count, self.zero_count) = (Count::Whole(0), Count::Whole(0));
        (self.sum, self.schema, self.zero_threshold) = (0.0, 0, 0.0);
        (self.hint, self.timestamp, self.start) = (ResetHint::Unknown, 0, 0);
        self.bounds.clear();
        self.positive.clear();
        self.negative.clear();
    }

    fn bound(&mut self, bound: f64) {
        if self.bounds.len() < MAX_BUCKETS {
            self.bounds.push(bound);
        } else {
            self.positive.is_too_long = true;
        }
    }

    /// Whether it says that its series ended.
    pub(super) fn is_stale(&self) -> bool {
        self.sum.to_bits() == STALE_BITS
    }

    fn is_float(&self) -> bool {
        matches!(self.count, Count::Float(_))
    }

    fn is_custom(&self) -> bool {
        self.schema == CUSTOM_SCHEMA
    }

    /// The flags of its point.
    pub(super) fn flags(&self) -> u32 {
        self.hint.flags() | if self.is_float() { FLOAT_COUNTS } else { 0 }
    }

    /// Whether it is fit (B1); makes the cells of its point.
    pub(super) fn check(&mut self) -> Result<(), Unfit> {
        if self.is_stale() {
            return Ok(());
        }
        if self.count.is_negative() || self.zero_count.is_negative() {
            return Err(Unfit::NegativeCount);
        }
        let is_float = self.is_float();
        if self.is_custom() {
            self.check_bounds()?;
            self.positive.explicit(is_float, self.bounds.len())?;
            self.bounds_cell.clear();
            put_doubles(&mut self.bounds_cell, self.bounds.iter().copied());
            return self.check_sum();
        }
        if !SCHEMAS.contains(&self.schema) {
            return Err(Unfit::Schema(self.schema));
        }
        if !self.bounds.is_empty() {
            return Err(Unfit::NotCustom);
        }
        self.positive.exponential(is_float)?;
        self.negative.exponential(is_float)?;
        self.check_sum()
    }

    /// What its point holds, once it was checked.
    pub(super) fn data(&self) -> PointData<'_> {
        let (count, min, max) = (self.count.bits(), None, None);
        let (positive, negative) = (self.positive.cell.as_slice(), self.negative.cell.as_slice());
        if self.is_stale() {
            // Nothing is counted at a series' end.
            return PointData::ExponentialHistogram {
                count: 0,
                sum: None,
                min,
                max,
                scale: 0,
                zero_count: 0,
                zero_threshold: 0.0,
                positive: &[],
                negative: &[],
            };
        }
        let sum = Some(self.sum);
        if self.is_custom() {
            return PointData::Histogram {
                count,
                sum,
                min,
                max,
                explicit_bounds: &self.bounds_cell,
                bucket_counts: positive,
            };
        }
        PointData::ExponentialHistogram {
            count,
            sum,
            min,
            max,
            scale: self.schema,
            zero_count: self.zero_bits(),
            zero_threshold: self.zero_threshold,
            positive,
            negative,
        }
    }

    /// The zero count in the same kind of number as the count.
    fn zero_bits(&self) -> u64 {
        match (self.is_float(), self.zero_count) {
            (true, Count::Whole(count)) => (count as f64).to_bits(),
            (false, Count::Float(_)) => 0,
            (_, count) => count.bits(),
        }
    }

    fn check_bounds(&self) -> Result<(), Unfit> {
        let rises = self.bounds.windows(2).all(|pair| matches!(pair, [lower, upper] if lower < upper));
        if !rises || self.bounds.iter().any(|bound| bound.is_nan() || *bound == f64::INFINITY) {
            return Err(Unfit::Bounds);
        }
        let has_zero = self.zero_threshold != 0.0 || !matches!(self.zero_bits(), 0);
        let has_negative = !self.negative.spans.is_empty() || !self.negative.deltas.is_empty();
        if has_zero || has_negative || !self.negative.counts.is_empty() { Err(Unfit::Custom) } else { Ok(()) }
    }

    /// Whole counts must add up; where NaN was observed, it is in no bucket. Floats are not asked, as by Prometheus.
    fn check_sum(&self) -> Result<(), Unfit> {
        let Count::Whole(count) = self.count else { return Ok(()) };
        let zero = if self.is_custom() { 0 } else { self.zero_bits() };
        let sides: [&[u64]; 2] = [&self.positive.dense, if self.is_custom() { &[] } else { &self.negative.dense }];
        let buckets = sides.into_iter().flatten().map(|count| u128::from(*count)).sum::<u128>() + u128::from(zero);
        let fits = if self.sum.is_nan() { buckets <= u128::from(count) } else { buckets == u128::from(count) };
        if fits { Ok(()) } else { Err(Unfit::Count { count, buckets }) }
    }
}

impl Side {
    fn clear(&mut self) {
        self.spans.clear();
        self.deltas.clear();
        self.counts.clear();
        self.dense.clear();
        self.cell.clear();
        self.is_too_long = false;
    }

    fn span(&mut self, message: &[u8]) -> Walk<()> {
        let span = span(message)?;
        if self.spans.len() < MAX_BUCKETS {
            self.spans.push(span)
        } else {
            self.is_too_long = true
        }
        Ok(())
    }

    fn delta(&mut self, zigzag: u64) {
        let delta = (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed();
        if self.deltas.len() < MAX_BUCKETS { self.deltas.push(delta) } else { self.is_too_long = true }
    }

    fn deltas(&mut self, message: &[u8]) -> Walk<()> {
        let mut packed = Reader::new(message);
        while !packed.is_empty() {
            self.delta(packed.varint()?);
        }
        Ok(())
    }

    fn count(&mut self, count: f64) {
        if self.counts.len() < MAX_BUCKETS { self.counts.push(count) } else { self.is_too_long = true }
    }

    /// Fills `dense` with the buckets from the first to the last, and gives the first one's index.
    fn fill(&mut self, is_float: bool) -> Result<Option<i64>, Unfit> {
        let (mut dense, mut first) = (std::mem::take(&mut self.dense), None);
        let filled = self.each(is_float, |index, count| {
            let from_first = usize::try_from(index - *first.get_or_insert(index)).unwrap_or(usize::MAX);
            if from_first >= MAX_BUCKETS {
                return Err(Unfit::TooWide);
            }
            dense.resize(from_first, 0);
            dense.push(count);
            Ok(())
        });
        self.dense = dense;
        filled.map(|()| first)
    }

    /// Gives each bucket with its index and the bits of its count.
    fn each(&self, is_float: bool, mut give: impl FnMut(i64, u64) -> Result<(), Unfit>) -> Result<(), Unfit> {
        if self.is_too_long {
            return Err(Unfit::TooWide);
        }
        let buckets = if is_float { self.counts.len() } else { self.deltas.len() };
        let (mut index, mut next, mut total) = (0i64, 0usize, 0i64);
        for (place, (offset, length)) in self.spans.iter().enumerate() {
            if place > 0 && *offset < 0 {
                return Err(Unfit::SpanOffset);
            }
            index += i64::from(*offset);
            for _ in 0..*length {
                let count = if is_float {
                    let count = *self.counts.get(next).ok_or(Unfit::SpanLength)?;
                    if count < 0.0 {
                        return Err(Unfit::BucketCount);
                    }
                    count.to_bits()
                } else {
                    let delta = *self.deltas.get(next).ok_or(Unfit::SpanLength)?;
                    total = total.checked_add(delta).ok_or(Unfit::BucketCount)?;
                    u64::try_from(total).map_err(|_| Unfit::BucketCount)?
                };
                next += 1;
                give(index, count)?;
                index += 1;
            }
        }
        if next == buckets { Ok(()) } else { Err(Unfit::SpanLength) }
    }

    /// Writes the cell of one side of an exponential histogram. OTLP counts up to a bucket's end without it, Prometheus with it,
    /// so the indexes differ by one.
    fn exponential(&mut self, is_float: bool) -> Result<(), Unfit> {
        let Some(first) = self.fill(is_float)? else { return Ok(()) };
        let offset = i32::try_from(first - 1).map_err(|_| Unfit::TooWide)?;
        let last = first.saturating_add(i64::try_from(self.dense.len()).unwrap_or(i64::MAX));
        if last > i64::from(i32::MAX) {
            return Err(Unfit::TooWide);
        }
        put_buckets(&mut self.cell, offset, self.dense.iter().copied());
        Ok(())
    }

    /// Writes the cell of counts that belong to bounds: from index 0, one more than there are bounds.
    fn explicit(&mut self, is_float: bool, bounds: usize) -> Result<(), Unfit> {
        let first = self.fill(is_float)?.unwrap_or(0);
        let before = usize::try_from(first).map_err(|_| Unfit::Custom)?;
        if before.saturating_add(self.dense.len()) > bounds + 1 {
            return Err(Unfit::Custom);
        }
        self.dense.splice(0..0, std::iter::repeat_n(0, before));
        self.dense.resize(bounds + 1, 0);
        put_counts(&mut self.cell, self.dense.iter().copied());
        Ok(())
    }
}

/// Offset and length of a BucketSpan.
fn span(message: &[u8]) -> Walk<(i32, u32)> {
    let (mut offset, mut length) = (0, 0);
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            key::SPAN_OFFSET => offset = reader.sint32()?,
            key::SPAN_LENGTH => length = reader.uint32()?,
            _ => reader.other(key, key::SPAN_ALL)?,
        }
    }
    Ok((offset, length))
}

/// Bytes that the cells of a histogram take at most, whether it is fit or not.
pub(super) fn measure(message: &[u8]) -> usize {
    // A difference of one byte may make a count of ten.
    let mut bytes = message.len().saturating_mul(10);
    for side in [key::POSITIVE_SPANS, key::NEGATIVE_SPANS] {
        let mut buckets = 0usize;
        super::super::envelope::each(message, &[side], &mut |message| {
            let (offset, length) = span(message).unwrap_or_default();
            let gap = if buckets == 0 { 0 } else { usize::try_from(offset).unwrap_or_default() };
            buckets = buckets.saturating_add(gap).saturating_add(length as usize);
        });
        bytes = bytes.saturating_add(buckets.min(MAX_BUCKETS));
    }
    bytes
}

fn hint(code: i32) -> ResetHint {
    match code {
        1 => ResetHint::Reset,
        2 => ResetHint::NotReset,
        3 => ResetHint::Gauge,
        _ => ResetHint::Unknown,
    }
}
