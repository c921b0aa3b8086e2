//! How are samples packed into Prometheus's chunks? Numbers as XOR chunks, histograms as those of histograms of whole or of float counts.
//!
//! C1  A chunk has samples of one kind, in order of time, at most [`MOST_SAMPLES`].
//! C2  Histograms of a chunk have the same buckets, as the format wants it: those that only others have are empty, as in Prometheus's chunks.

use super::bits::{Bits, Xor, fits, put_varint};
use super::message::Chunk;
use crate::prometheus::protobuf::{BucketSpan, deltas, spans, whole};
use crate::series::{Bucket, Hint, Histogram, Sample, Value};
use std::collections::BTreeSet;

/// Buckets of a chunk that has several histograms.
const MOST_BUCKETS: usize = 1_024;

/// Fields before the sum: the count, and that of the zero bucket.
const COUNTS: usize = 2;

/// Samples of a chunk, as in Prometheus's own.
const MOST_SAMPLES: usize = 120;

const XOR: i32 = 1;
const HISTOGRAM: i32 = 2;
const FLOAT_HISTOGRAM: i32 = 3;

/// Chunks of a series' samples.
pub(super) fn chunks(samples: &[Sample]) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut rest = samples;
    while let Some(first) = rest.first() {
        let mut layout = Layout::of(&first.value);
        let pairs = rest.iter().zip(rest.iter().skip(1)).take(MOST_SAMPLES - 1);
        let goes_on = |(one, next): &(&Sample, &Sample)| follows(&one.value, &next.value) && layout.takes(&next.value);
        let alike = 1 + pairs.take_while(goes_on).count();
        let (own, others) = rest.split_at(alike.min(rest.len()));
        chunks.push(match &first.value {
            Value::Float(value) => floats(own, first.time, *value),
            Value::Histogram(_) => layout.pack(own),
        });
        rest = others;
    }
    chunks
}

/// Whether a value can be in the chunk of the one before it. Of counters readers take it that none began anew within a chunk.
fn follows(one: &Value, next: &Value) -> bool {
    match (one, next) {
        (Value::Float(_), Value::Float(_)) => true,
        // Behind the mark of an end readers look for no buckets.
        (Value::Histogram(_), Value::Histogram(_)) if one.is_stale() != next.is_stale() => false,
        (Value::Histogram(one), Value::Histogram(next)) if one.hint == Hint::Gauge || next.hint == Hint::Gauge => {
            one.hint == next.hint && is_alike(one, next)
        }
        (Value::Histogram(one), Value::Histogram(next)) => {
            next.hint != Hint::Reset && is_alike(one, next) && has_grown(one, next)
        }
        _ => false,
    }
}

fn has_grown(one: &Histogram, next: &Histogram) -> bool {
    let grows = |one: &[Bucket], next: &[Bucket]| {
        let count = |index: i32| {
            let place = next.binary_search_by_key(&index, |bucket| bucket.index);
            place.ok().and_then(|place| next.get(place)).map_or(0.0, |bucket| bucket.count)
        };
        one.iter().all(|bucket| bucket.count <= count(bucket.index))
    };
    one.count <= next.count
        && one.zero_count <= next.zero_count
        && grows(&one.positive, &next.positive)
        && grows(&one.negative, &next.negative)
}

/// Whether two histograms have the same kind of buckets and counts.
fn is_alike(a: &Histogram, b: &Histogram) -> bool {
    a.has_whole_counts() == b.has_whole_counts()
        && a.schema == b.schema
        && a.zero_threshold.to_bits() == b.zero_threshold.to_bits()
        && a.bounds == b.bounds
        && a.sum.is_nan() == b.sum.is_nan()
}

/// Indexes of the buckets that a chunk of histograms has: of all that one of them has (C2).
#[derive(Debug, Default)]
struct Layout {
    positive: BTreeSet<i32>,
    negative: BTreeSet<i32>,
}

impl Layout {
    fn of(value: &Value) -> Self {
        let mut layout = Layout::default();
        if let Value::Histogram(histogram) = value {
            layout.positive.extend(histogram.positive.iter().map(|bucket| bucket.index));
            layout.negative.extend(histogram.negative.iter().map(|bucket| bucket.index));
        }
        layout
    }

    /// Makes room for one more value; not for so many buckets that most would be empty.
    fn takes(&mut self, value: &Value) -> bool {
        let other = Layout::of(value);
        let new = other.positive.difference(&self.positive).count() + other.negative.difference(&self.negative).count();
        if new > 0 && self.positive.len() + self.negative.len() + new > MOST_BUCKETS {
            return false;
        }
        self.positive.extend(other.positive);
        self.negative.extend(other.negative);
        true
    }

    fn pack(&self, samples: &[Sample]) -> Chunk {
        let samples: Vec<(i64, Histogram)> =
            samples.iter().filter_map(|sample| Some((sample.time, self.spread(sample.value.histogram()?)))).collect();
        match samples.first() {
            Some((_, first)) if first.has_whole_counts() => whole_histograms(&samples),
            _ => float_histograms(&samples),
        }
    }

    /// A histogram with all of these buckets.
    fn spread(&self, histogram: &Histogram) -> Histogram {
        let buckets = |indexes: &BTreeSet<i32>, own: &[Bucket]| {
            let mut own = own.iter().peekable();
            let bucket = |index: &i32| {
                let found = own.next_if(|bucket| bucket.index == *index);
                Bucket { index: *index, count: found.map_or(0.0, |bucket| bucket.count) }
            };
            indexes.iter().map(bucket).collect()
        };
        Histogram {
            positive: buckets(&self.positive, &histogram.positive),
            negative: buckets(&self.negative, &histogram.negative),
            ..histogram.clone()
        }
    }
}

fn count(samples: usize) -> [u8; 2] {
    u16::try_from(samples).unwrap_or(u16::MAX).to_be_bytes()
}

fn chunk((first, last): (i64, i64), r#type: i32, data: Vec<u8>) -> Chunk {
    Chunk { min_time_ms: first, max_time_ms: last, r#type, data }
}

/// From an unsigned number a signed one of small size: 0, -1, 1, -2 are 0, 1, 2, 3.
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn floats(samples: &[Sample], first_time: i64, first: f64) -> Chunk {
    let mut bytes = count(samples.len()).to_vec();
    put_varint(&mut bytes, zigzag(first_time));
    bytes.extend_from_slice(&first.to_bits().to_be_bytes());
    let (mut before, mut delta_before, mut xor) = (first_time, 0i64, Xor::new(first));
    let mut bits = Bits::after(bytes);
    for (place, sample) in samples.iter().enumerate().skip(1) {
        let delta = sample.time.wrapping_sub(before);
        if place == 1 {
            let mut varint = Vec::with_capacity(10);
            put_varint(&mut varint, delta.cast_unsigned());
            varint.into_iter().for_each(|byte| bits.put(byte.into(), 8));
        } else {
            put_difference(&mut bits, delta.wrapping_sub(delta_before));
        }
        (before, delta_before) = (sample.time, delta);
        xor.put(&mut bits, sample.value.float().unwrap_or(f64::NAN));
    }
    chunk((first_time, before), XOR, bits.into_bytes())
}

/// By how much more or less time than before has passed.
fn put_difference(bits: &mut Bits, difference: i64) {
    let value = difference.cast_unsigned();
    match difference {
        0 => bits.put(0, 1),
        _ if fits(difference, 14) => {
            bits.put(0b10, 2);
            bits.put(value, 14);
        }
        _ if fits(difference, 17) => {
            bits.put(0b110, 3);
            bits.put(value, 17);
        }
        _ if fits(difference, 20) => {
            bits.put(0b1110, 4);
            bits.put(value, 20);
        }
        _ => {
            bits.put(0b1111, 4);
            bits.put(value, 64);
        }
    }
}

/// Count, count of the zero bucket, sum, and the buckets.
fn fields(histogram: &Histogram) -> impl Iterator<Item = f64> {
    let buckets = histogram.positive.iter().chain(&histogram.negative).map(|bucket| bucket.count);
    [histogram.count, histogram.zero_count, histogram.sum].into_iter().chain(buckets)
}

/// What comes before the first sample of a chunk of histograms.
fn head(samples: usize, first: &Histogram) -> Bits {
    let mut bytes = count(samples).to_vec();
    // What is known about a reset.
    bytes.push(match first.hint {
        Hint::Unknown => 0b0000_0000,
        Hint::Reset => 0b1000_0000,
        Hint::NotReset => 0b0100_0000,
        Hint::Gauge => 0b1100_0000,
    });
    let mut bits = Bits::after(bytes);
    put_layout(&mut bits, first);
    bits
}

fn float_histograms(samples: &[(i64, Histogram)]) -> Chunk {
    let Some(((first_time, first), others)) = samples.split_first() else { return Chunk::default() };
    let mut bits = head(samples.len(), first);
    bits.put_signed(*first_time);
    let mut xors: Vec<Xor> = fields(first)
        .map(|field| {
            bits.put_float(field);
            Xor::new(field)
        })
        .collect();
    let (mut before, mut delta_before) = (*first_time, 0i64);
    for (time, histogram) in others {
        let delta = time.wrapping_sub(before);
        bits.put_signed(delta.wrapping_sub(delta_before));
        (before, delta_before) = (*time, delta);
        for (xor, field) in xors.iter_mut().zip(fields(histogram)) {
            xor.put(&mut bits, field);
        }
    }
    chunk((*first_time, before), FLOAT_HISTOGRAM, bits.into_bytes())
}

/// Counts and buckets, which are written as times are: by how much more or less they grew than before.
fn whole_fields(histogram: &Histogram) -> Vec<i64> {
    let counts = [histogram.count, histogram.zero_count].map(|count| whole(count).cast_signed());
    counts.into_iter().chain(deltas(&histogram.positive)).chain(deltas(&histogram.negative)).collect()
}

fn whole_histograms(samples: &[(i64, Histogram)]) -> Chunk {
    let Some(((first_time, first), others)) = samples.split_first() else { return Chunk::default() };
    let mut bits = head(samples.len(), first);
    bits.put_signed(*first_time);
    // Of each field what it was, and by how much it grew.
    let mut fields: Vec<(i64, i64)> = whole_fields(first).into_iter().map(|field| (field, 0)).collect();
    for (place, (field, _)) in fields.iter().enumerate() {
        if place < COUNTS {
            bits.put_unsigned(field.cast_unsigned())
        } else {
            bits.put_signed(*field)
        }
        if place + 1 == COUNTS {
            bits.put_float(first.sum);
        }
    }
    let (mut before, mut delta_before, mut sum) = (*first_time, 0i64, Xor::new(first.sum));
    for (time, histogram) in others {
        let delta = time.wrapping_sub(before);
        bits.put_signed(delta.wrapping_sub(delta_before));
        (before, delta_before) = (*time, delta);
        for (place, (field, new)) in fields.iter_mut().zip(whole_fields(histogram)).enumerate() {
            let growth = new.wrapping_sub(field.0);
            bits.put_signed(growth.wrapping_sub(field.1));
            *field = (new, growth);
            if place + 1 == COUNTS {
                sum.put(&mut bits, histogram.sum);
            }
        }
    }
    chunk((*first_time, before), HISTOGRAM, bits.into_bytes())
}

fn put_layout(bits: &mut Bits, histogram: &Histogram) {
    put_threshold(bits, histogram.zero_threshold);
    bits.put_signed(histogram.schema.into());
    for buckets in [&histogram.positive, &histogram.negative] {
        let spans: Vec<BucketSpan> = spans(buckets);
        bits.put_unsigned(u64::try_from(spans.len()).unwrap_or(u64::MAX));
        for span in spans {
            bits.put_unsigned(span.length.into());
            bits.put_signed(span.offset.into());
        }
    }
    if histogram.is_custom() {
        bits.put_unsigned(u64::try_from(histogram.bounds.len()).unwrap_or(u64::MAX));
        for bound in histogram.bounds.iter() {
            put_bound(bits, *bound);
        }
    }
}

/// The width of the zero bucket: a byte for the usual powers of two.
fn put_threshold(bits: &mut Bits, width: f64) {
    let (exponent, fraction) = ((width.to_bits() >> 52) & 0x7ff, width.to_bits() & ((1 << 52) - 1));
    // As `0.5 * 2^n`, n is the exponent without its bias, and one more.
    let power = i64::try_from(exponent).unwrap_or(0) - 1_022;
    if width == 0.0 {
        bits.put(0, 8);
    } else if fraction == 0 && width > 0.0 && exponent != 0 && (-242..=11).contains(&power) {
        bits.put((power + 243).cast_unsigned(), 8);
    } else {
        bits.put(255, 8);
        bits.put_float(width);
    }
}

/// A bound: few bits where it is a number of thousandths.
fn put_bound(bits: &mut Bits, bound: f64) {
    let thousandths = bound * 1_000.0;
    let rounded = thousandths.round();
    if (0.0..=33_554_430.0).contains(&thousandths) && rounded / 1_000.0 == bound {
        bits.put_unsigned(rounded as u64 + 1);
    } else {
        bits.put(0, 1);
        bits.put_float(bound);
    }
}
