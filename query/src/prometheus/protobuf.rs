//! How are samples written in Prometheus's protobuf messages? For what is answered to remote read, and what goes through the door of
//! remote write 2. Histograms have the same fields in both.

use crate::series::{Bucket, Hint, Histogram as Native};

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Sample {
    #[prost(double, tag = "1")]
    pub(crate) value: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "2")]
    pub(crate) timestamp: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct BucketSpan {
    /// From the end of the span before it; of the first one its index.
    #[prost(sint32, tag = "1")]
    pub(crate) offset: i32,
    #[prost(uint32, tag = "2")]
    pub(crate) length: u32,
}

/// A histogram: its counts are whole numbers, of which those of buckets are told by their differences, or floats.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    pub(crate) whole_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub(crate) count: Option<f64>,
    #[prost(double, tag = "3")]
    pub(crate) sum: f64,
    #[prost(sint32, tag = "4")]
    pub(crate) schema: i32,
    #[prost(double, tag = "5")]
    pub(crate) zero_threshold: f64,
    #[prost(uint64, optional, tag = "6")]
    pub(crate) whole_zero_count: Option<u64>,
    #[prost(double, optional, tag = "7")]
    pub(crate) zero_count: Option<f64>,
    #[prost(message, repeated, tag = "8")]
    pub(crate) negative_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "9")]
    pub(crate) negative_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "10")]
    pub(crate) negative_counts: Vec<f64>,
    #[prost(message, repeated, tag = "11")]
    pub(crate) positive_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "12")]
    pub(crate) positive_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "13")]
    pub(crate) positive_counts: Vec<f64>,
    #[prost(int32, tag = "14")]
    pub(crate) reset_hint: i32,
    #[prost(int64, tag = "15")]
    pub(crate) timestamp: i64,
    #[prost(double, repeated, tag = "16")]
    pub(crate) custom_values: Vec<f64>,
}

impl Histogram {
    /// A histogram that was stored at a moment, of the numbers that it came with.
    pub(crate) fn stored(histogram: &Native, timestamp: i64) -> Self {
        if !histogram.has_whole_counts() {
            return Histogram::computed(histogram, timestamp);
        }
        Histogram {
            whole_count: Some(whole(histogram.count)),
            whole_zero_count: Some(whole(histogram.zero_count)),
            negative_deltas: deltas(&histogram.negative),
            positive_deltas: deltas(&histogram.positive),
            ..Histogram::frame(histogram, timestamp)
        }
    }

    /// A histogram that was computed for a moment: its counts are floats.
    pub(crate) fn computed(histogram: &Native, timestamp: i64) -> Self {
        let counts = |buckets: &[Bucket]| buckets.iter().map(|bucket| bucket.count).collect();
        Histogram {
            count: Some(histogram.count),
            zero_count: Some(histogram.zero_count),
            negative_counts: counts(&histogram.negative),
            positive_counts: counts(&histogram.positive),
            ..Histogram::frame(histogram, timestamp)
        }
    }

    /// Without counts.
    fn frame(histogram: &Native, timestamp: i64) -> Self {
        Histogram {
            sum: histogram.sum,
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold,
            negative_spans: spans(&histogram.negative),
            positive_spans: spans(&histogram.positive),
            reset_hint: match histogram.hint {
                Hint::Unknown => 0,
                Hint::Reset => 1,
                Hint::NotReset => 2,
                Hint::Gauge => 3,
            },
            timestamp,
            custom_values: histogram.bounds.to_vec(),
            ..Histogram::default()
        }
    }
}

/// A count of a histogram of whole ones.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is out of range becomes its end")]
pub(crate) fn whole(count: f64) -> u64 {
    count as u64
}

/// The counts of buckets, each as what it is more than the one before; of a histogram of whole ones.
#[expect(clippy::cast_possible_truncation, reason = "what is out of range becomes its end")]
pub(crate) fn deltas(buckets: &[Bucket]) -> Vec<i64> {
    let mut before = 0i64;
    let delta = |bucket: &Bucket| {
        let count = bucket.count as i64;
        count.wrapping_sub(std::mem::replace(&mut before, count))
    };
    buckets.iter().map(delta).collect()
}

/// Which indexes buckets have: runs without gaps.
pub(crate) fn spans(buckets: &[Bucket]) -> Vec<BucketSpan> {
    let mut spans: Vec<BucketSpan> = Vec::new();
    // The index behind the last bucket; before the first one it counts from 0.
    let mut next = 0i32;
    for bucket in buckets {
        let gap = bucket.index.saturating_sub(next);
        match spans.last_mut() {
            Some(span) if gap == 0 => span.length += 1,
            _ => spans.push(BucketSpan { offset: gap, length: 1 }),
        }
        next = bucket.index.saturating_add(1);
    }
    spans
}

/// A message of remote write 2.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WriteRequest {
    #[prost(string, repeated, tag = "4")]
    pub(crate) symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) series: Vec<WrittenSeries>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WrittenSeries {
    /// Names and values in turn, by their places among the symbols.
    #[prost(uint32, repeated, tag = "1")]
    pub(crate) labels: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) histograms: Vec<Histogram>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_without_gaps_are_one_span() {
        let buckets = |indexes: &[i32]| -> Vec<Bucket> {
            indexes.iter().map(|index| Bucket { index: *index, count: 1.0 }).collect()
        };
        let told = |indexes: &[i32]| -> Vec<(i32, u32)> {
            spans(&buckets(indexes)).into_iter().map(|span| (span.offset, span.length)).collect()
        };
        assert_eq!(told(&[]), []);
        assert_eq!(told(&[0, 1, 2]), [(0, 3)]);
        assert_eq!(told(&[-3, -2, 4]), [(-3, 2), (5, 1)]);
        assert_eq!(told(&[2, 3, 5]), [(2, 2), (1, 1)]);
    }
}
