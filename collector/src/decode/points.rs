//! How do the five kinds of data points become rows?
//!
//! P3  A point is rejected for what no query could answer from: times past i64; bucket_counts that are not one more
//!     than explicit_bounds (both may be empty); explicit_bounds that do not rise strictly; exponential buckets whose
//!     index leaves 32 bits. Counts that do not add up, any scale, any sum are kept as sent.
//! P4  Exemplars are kept as sent, whatever their ids and times.

use super::Rejection;
use super::spans::time;
use super::value::Scratch;
use super::wire::{Reader, Result, Within};
use storage::model::attribute::{Map, MapBuilder};
use storage::model::record::{self, Exemplar, Number};
use storage::model::{Point, PointData};

/// Field numbers differ from kind to kind.
mod key {
    use super::super::wire::{bytes, fields, fixed64, varint};
    pub(super) const START: u32 = fixed64(2);
    pub(super) const TIME: u32 = fixed64(3);
    pub(super) mod number {
        use super::{bytes, fields, fixed64, varint};
        pub(in super::super) const AS_DOUBLE: u32 = fixed64(4);
        pub(in super::super) const EXEMPLARS: u32 = bytes(5);
        pub(in super::super) const AS_INT: u32 = fixed64(6);
        pub(in super::super) const ATTRIBUTES: u32 = bytes(7);
        pub(in super::super) const FLAGS: u32 = varint(8);
        pub(in super::super) const ALL: u64 = fields(&[2, 3, 4, 5, 6, 7, 8]);
    }
    pub(super) mod histogram {
        use super::{bytes, fields, fixed64, varint};
        pub(in super::super) const COUNT: u32 = fixed64(4);
        pub(in super::super) const SUM: u32 = fixed64(5);
        pub(in super::super) const BUCKET_COUNT: u32 = fixed64(6);
        pub(in super::super) const BUCKET_COUNTS: u32 = bytes(6);
        pub(in super::super) const EXPLICIT_BOUND: u32 = fixed64(7);
        pub(in super::super) const EXPLICIT_BOUNDS: u32 = bytes(7);
        pub(in super::super) const EXEMPLARS: u32 = bytes(8);
        pub(in super::super) const ATTRIBUTES: u32 = bytes(9);
        pub(in super::super) const FLAGS: u32 = varint(10);
        pub(in super::super) const MIN: u32 = fixed64(11);
        pub(in super::super) const MAX: u32 = fixed64(12);
        pub(in super::super) const ALL: u64 = fields(&[2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    }
    pub(super) mod exponential {
        use super::{bytes, fields, fixed64, varint};
        pub(in super::super) const ATTRIBUTES: u32 = bytes(1);
        pub(in super::super) const COUNT: u32 = fixed64(4);
        pub(in super::super) const SUM: u32 = fixed64(5);
        pub(in super::super) const SCALE: u32 = varint(6);
        pub(in super::super) const ZERO_COUNT: u32 = fixed64(7);
        pub(in super::super) const POSITIVE: u32 = bytes(8);
        pub(in super::super) const NEGATIVE: u32 = bytes(9);
        pub(in super::super) const FLAGS: u32 = varint(10);
        pub(in super::super) const EXEMPLARS: u32 = bytes(11);
        pub(in super::super) const MIN: u32 = fixed64(12);
        pub(in super::super) const MAX: u32 = fixed64(13);
        pub(in super::super) const ZERO_THRESHOLD: u32 = fixed64(14);
        pub(in super::super) const ALL: u64 = fields(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
    }
    pub(super) mod buckets {
        use super::{bytes, fields, varint};
        pub(in super::super) const OFFSET: u32 = varint(1);
        pub(in super::super) const BUCKET_COUNT: u32 = varint(2);
        pub(in super::super) const BUCKET_COUNTS: u32 = bytes(2);
        pub(in super::super) const ALL: u64 = fields(&[1, 2]);
    }
    pub(super) mod summary {
        use super::{bytes, fields, fixed64, varint};
        pub(in super::super) const COUNT: u32 = fixed64(4);
        pub(in super::super) const SUM: u32 = fixed64(5);
        pub(in super::super) const QUANTILE_VALUES: u32 = bytes(6);
        pub(in super::super) const ATTRIBUTES: u32 = bytes(7);
        pub(in super::super) const FLAGS: u32 = varint(8);
        pub(in super::super) const ALL: u64 = fields(&[2, 3, 4, 5, 6, 7, 8]);
    }
    pub(super) mod quantile {
        use super::{fields, fixed64};
        pub(in super::super) const QUANTILE: u32 = fixed64(1);
        pub(in super::super) const VALUE: u32 = fixed64(2);
        pub(in super::super) const ALL: u64 = fields(&[1, 2]);
    }
    pub(super) mod exemplar {
        use super::{bytes, fields, fixed64};
        pub(in super::super) const AS_DOUBLE: u32 = fixed64(3);
        pub(in super::super) const TIME: u32 = fixed64(2);
        pub(in super::super) const SPAN_ID: u32 = bytes(4);
        pub(in super::super) const TRACE_ID: u32 = bytes(5);
        pub(in super::super) const AS_INT: u32 = fixed64(6);
        pub(in super::super) const FILTERED_ATTRIBUTES: u32 = bytes(7);
        pub(in super::super) const ALL: u64 = fields(&[2, 3, 4, 5, 6, 7]);
    }
}

/// The variants of a metric's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Sum,
    Histogram,
    ExponentialHistogram,
    Summary,
}

/// The part of a point that may be larger in memory than in its message.
pub(super) fn small_part(kind: Kind) -> u32 {
    match kind {
        Kind::Gauge | Kind::Sum => key::number::EXEMPLARS,
        Kind::Histogram => key::histogram::EXEMPLARS,
        Kind::ExponentialHistogram => key::exponential::EXEMPLARS,
        Kind::Summary => key::summary::QUANTILE_VALUES,
    }
}

/// Memory that is used again from point to point.
#[derive(Debug, Default)]
pub(super) struct PointBuffers {
    attributes: MapBuilder,
    attributes_cell: Vec<u8>,
    exemplars: Vec<u8>,
    inner: MapBuilder,
    cell: Vec<u8>,
    bounds: Vec<u8>,
    counts: Vec<u8>,
    positive: Buckets,
    negative: Buckets,
    quantiles: Vec<u8>,
}

/// One side of an exponential histogram in the making.
#[derive(Debug, Default)]
struct Buckets {
    offset: i32,
    counts: Vec<u8>,
    len: usize,
    cell: Vec<u8>,
}

/// The numbers of a point of any kind, as sent.
#[derive(Default)]
struct Raw {
    start: u64,
    time: u64,
    flags: u32,
    value: Option<Number>,
    count: u64,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    scale: i32,
    zero_count: u64,
    zero_threshold: f64,
    rejection: Option<Rejection>,
}

impl PointBuffers {
    /// Decodes a point; the inner result says why it must be rejected.
    pub(super) fn decode<'a>(
        &'a mut self,
        kind: Kind,
        message: &'a [u8],
        scratch: &mut Scratch,
    ) -> Result<std::result::Result<Point<'a>, Rejection>> {
        self.exemplars.clear();
        let mut raw = Raw::default();
        match kind {
            Kind::Gauge | Kind::Sum => self.number(message, &mut raw, scratch)?,
            Kind::Histogram => self.histogram(message, &mut raw, scratch)?,
            Kind::ExponentialHistogram => self.exponential(message, &mut raw, scratch)?,
            Kind::Summary => self.summary(message, &mut raw, scratch)?,
        }
        self.attributes_cell.clear();
        self.attributes.finish_into(&mut self.attributes_cell);
        Ok(self.checked(kind, raw))
    }

    fn checked(&self, kind: Kind, mut raw: Raw) -> std::result::Result<Point<'_>, Rejection> {
        if let Some(rejection) = raw.rejection.take() {
            return Err(rejection);
        }
        let start_time = time("start_time_unix_nano", raw.start)?;
        Ok(Point {
            attributes: Map::new(&self.attributes_cell),
            time: time("time_unix_nano", raw.time)?,
            start_time: (start_time != 0).then_some(start_time),
            flags: raw.flags,
            exemplars: &self.exemplars,
            data: self.data(kind, &raw),
        })
    }

    fn data(&self, kind: Kind, raw: &Raw) -> PointData<'_> {
        let Raw { value, count, sum, min, max, scale, zero_count, zero_threshold, .. } = *raw;
        match kind {
            Kind::Gauge => PointData::Gauge(value),
            Kind::Sum => PointData::Sum(value),
            Kind::Histogram => PointData::Histogram {
                count,
                sum,
                min,
                max,
                explicit_bounds: &self.bounds,
                bucket_counts: &self.counts,
            },
            Kind::ExponentialHistogram => PointData::ExponentialHistogram {
                count,
                sum,
                min,
                max,
                scale,
                zero_count,
                zero_threshold,
                positive: &self.positive.cell,
                negative: &self.negative.cell,
            },
            Kind::Summary => PointData::Summary { count, sum: sum.unwrap_or_default(), quantiles: &self.quantiles },
        }
    }

    fn number(&mut self, message: &[u8], raw: &mut Raw, scratch: &mut Scratch) -> Result<()> {
        let mut reader = Reader::new(message);
        while let Some(key) = reader.key()? {
            match key {
                key::START => raw.start = reader.fixed64()?,
                key::TIME => raw.time = reader.fixed64()?,
                key::number::AS_DOUBLE => raw.value = Some(Number::Double(reader.double()?)),
                key::number::AS_INT => raw.value = Some(Number::Int(reader.fixed64()?.cast_signed())),
                key::number::ATTRIBUTES => self.attribute(reader.bytes()?, scratch)?,
                key::number::EXEMPLARS => self.exemplar(reader.bytes()?, scratch).within("exemplars")?,
                key::number::FLAGS => raw.flags = reader.uint32()?,
                _ => reader.other(key, key::number::ALL)?,
            }
        }
        Ok(())
    }

    fn histogram(&mut self, message: &[u8], raw: &mut Raw, scratch: &mut Scratch) -> Result<()> {
        self.bounds.clear();
        self.counts.clear();
        let mut counts = 0;
        let mut reader = Reader::new(message);
        while let Some(key) = reader.key()? {
            match key {
                key::START => raw.start = reader.fixed64()?,
                key::TIME => raw.time = reader.fixed64()?,
                key::histogram::COUNT => raw.count = reader.fixed64()?,
                key::histogram::SUM => raw.sum = Some(reader.double()?),
                key::histogram::BUCKET_COUNT => {
                    record::put_varint(&mut self.counts, reader.fixed64()?);
                    counts += 1;
                }
                key::histogram::BUCKET_COUNTS => {
                    let values = reader.packed64()?;
                    record::put_counts(&mut self.counts, values.inspect(|_| counts += 1));
                }
                key::histogram::EXPLICIT_BOUND => record::put_doubles(&mut self.bounds, [reader.double()?]),
                key::histogram::EXPLICIT_BOUNDS => {
                    let values = reader.packed64()?;
                    record::put_doubles(&mut self.bounds, values.map(f64::from_bits));
                }
                key::histogram::EXEMPLARS => self.exemplar(reader.bytes()?, scratch).within("exemplars")?,
                key::histogram::ATTRIBUTES => self.attribute(reader.bytes()?, scratch)?,
                key::histogram::FLAGS => raw.flags = reader.uint32()?,
                key::histogram::MIN => raw.min = Some(reader.double()?),
                key::histogram::MAX => raw.max = Some(reader.double()?),
                _ => reader.other(key, key::histogram::ALL)?,
            }
        }
        raw.rejection = check_bounds(&self.bounds, counts);
        Ok(())
    }

    fn exponential(&mut self, message: &[u8], raw: &mut Raw, scratch: &mut Scratch) -> Result<()> {
        self.positive.clear();
        self.negative.clear();
        let mut reader = Reader::new(message);
        while let Some(key) = reader.key()? {
            match key {
                key::START => raw.start = reader.fixed64()?,
                key::TIME => raw.time = reader.fixed64()?,
                key::exponential::ATTRIBUTES => self.attribute(reader.bytes()?, scratch)?,
                key::exponential::COUNT => raw.count = reader.fixed64()?,
                key::exponential::SUM => raw.sum = Some(reader.double()?),
                key::exponential::SCALE => raw.scale = reader.sint32()?,
                key::exponential::ZERO_COUNT => raw.zero_count = reader.fixed64()?,
                key::exponential::POSITIVE => self.positive.read(reader.bytes()?).within("positive")?,
                key::exponential::NEGATIVE => self.negative.read(reader.bytes()?).within("negative")?,
                key::exponential::FLAGS => raw.flags = reader.uint32()?,
                key::exponential::EXEMPLARS => self.exemplar(reader.bytes()?, scratch).within("exemplars")?,
                key::exponential::MIN => raw.min = Some(reader.double()?),
                key::exponential::MAX => raw.max = Some(reader.double()?),
                key::exponential::ZERO_THRESHOLD => raw.zero_threshold = reader.double()?,
                _ => reader.other(key, key::exponential::ALL)?,
            }
        }
        let in_range = self.positive.finish() & self.negative.finish();
        raw.rejection = (!in_range).then_some(Rejection::BucketRange);
        Ok(())
    }

    fn summary(&mut self, message: &[u8], raw: &mut Raw, scratch: &mut Scratch) -> Result<()> {
        self.quantiles.clear();
        let mut reader = Reader::new(message);
        while let Some(key) = reader.key()? {
            match key {
                key::START => raw.start = reader.fixed64()?,
                key::TIME => raw.time = reader.fixed64()?,
                key::summary::COUNT => raw.count = reader.fixed64()?,
                key::summary::SUM => raw.sum = Some(reader.double()?),
                key::summary::QUANTILE_VALUES => self.quantile(reader.bytes()?).within("quantile_values")?,
                key::summary::ATTRIBUTES => self.attribute(reader.bytes()?, scratch)?,
                key::summary::FLAGS => raw.flags = reader.uint32()?,
                _ => reader.other(key, key::summary::ALL)?,
            }
        }
        Ok(())
    }

    fn quantile(&mut self, message: &[u8]) -> Result<()> {
        let (mut quantile, mut value) = (0.0, 0.0);
        let mut reader = Reader::new(message);
        while let Some(key) = reader.key()? {
            match key {
                key::quantile::QUANTILE => quantile = reader.double()?,
                key::quantile::VALUE => value = reader.double()?,
                _ => reader.other(key, key::quantile::ALL)?,
            }
        }
        record::put_quantile(&mut self.quantiles, quantile, value);
        Ok(())
    }

    fn attribute(&mut self, message: &[u8], scratch: &mut Scratch) -> Result<()> {
        scratch.key_value(message, &mut self.attributes, 1).within("attributes")
    }

    fn exemplar(&mut self, message: &[u8], scratch: &mut Scratch) -> Result<()> {
        let mut exemplar = Exemplar {
            time_unix_nano: 0,
            value: None,
            trace_id: &[],
            span_id: &[],
            filtered_attributes: Map::default(),
        };
        let mut reader = Reader::new(message);
        while let Some(key) = reader.key()? {
            match key {
                key::exemplar::TIME => exemplar.time_unix_nano = reader.fixed64()?,
                key::exemplar::AS_DOUBLE => exemplar.value = Some(Number::Double(reader.double()?)),
                key::exemplar::AS_INT => exemplar.value = Some(Number::Int(reader.fixed64()?.cast_signed())),
                key::exemplar::SPAN_ID => exemplar.span_id = reader.bytes()?,
                key::exemplar::TRACE_ID => exemplar.trace_id = reader.bytes()?,
                key::exemplar::FILTERED_ATTRIBUTES => {
                    scratch.key_value(reader.bytes()?, &mut self.inner, 1).within("filtered_attributes")?;
                }
                _ => reader.other(key, key::exemplar::ALL)?,
            }
        }
        self.cell.clear();
        self.inner.finish_into(&mut self.cell);
        exemplar.filtered_attributes = Map::new(&self.cell);
        exemplar.put(&mut self.exemplars);
        Ok(())
    }
}

fn check_bounds(bounds: &[u8], counts: usize) -> Option<Rejection> {
    let len = bounds.len() / size_of::<f64>();
    if counts != len + 1 && (counts, len) != (0, 0) {
        return Some(Rejection::BucketCount { bounds: len, counts });
    }
    let mut before: Option<f64> = None;
    for bound in record::doubles(bounds) {
        // Written so that NaN, which compares with nothing, does not rise.
        if bound.is_nan() || before.is_some_and(|before| bound <= before) {
            return Some(Rejection::BoundsOrder);
        }
        before = Some(bound);
    }
    None
}

impl Buckets {
    fn clear(&mut self) {
        self.offset = 0;
        self.counts.clear();
        self.len = 0;
    }

    /// Adds one piece.
    fn read(&mut self, message: &[u8]) -> Result<()> {
        let mut reader = Reader::new(message);
        while let Some(key) = reader.key()? {
            match key {
                key::buckets::OFFSET => self.offset = reader.sint32()?,
                key::buckets::BUCKET_COUNT => self.push(reader.varint()?),
                key::buckets::BUCKET_COUNTS => {
                    let mut packed = Reader::new(reader.bytes()?);
                    while !packed.is_empty() {
                        self.push(packed.varint()?);
                    }
                }
                _ => reader.other(key, key::buckets::ALL)?,
            }
        }
        Ok(())
    }

    fn push(&mut self, count: u64) {
        record::put_varint(&mut self.counts, count);
        self.len += 1;
    }

    /// Writes the cell; says whether the last bucket's index fits 32 bits.
    fn finish(&mut self) -> bool {
        self.cell.clear();
        if self.offset != 0 || self.len != 0 {
            record::put_buckets(&mut self.cell, self.offset, record::counts(&self.counts));
        }
        let room = i64::from(i32::MAX) - i64::from(self.offset) + 1;
        i64::try_from(self.len).is_ok_and(|len| len <= room)
    }
}
