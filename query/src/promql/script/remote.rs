//! How are samples sent by remote write 2?

use crate::series::{Bucket, CUSTOM_SCHEMA, Hint, Histogram, Labels, Sample, Value};
use prost::Message as _;
use std::collections::BTreeMap;

#[derive(Clone, PartialEq, prost::Message)]
struct Request {
    #[prost(string, repeated, tag = "4")]
    symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    timeseries: Vec<Series>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Series {
    #[prost(uint32, repeated, tag = "1")]
    labels_refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Number>,
    #[prost(message, repeated, tag = "3")]
    histograms: Vec<Native>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Number {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
    #[prost(int64, tag = "3")]
    start: i64,
}

/// A histogram whose counts are floats, as those of scripts are.
#[derive(Clone, PartialEq, prost::Message)]
struct Native {
    #[prost(double, optional, tag = "2")]
    count: Option<f64>,
    #[prost(double, tag = "3")]
    sum: f64,
    #[prost(sint32, tag = "4")]
    schema: i32,
    #[prost(double, tag = "5")]
    zero_threshold: f64,
    #[prost(double, optional, tag = "7")]
    zero_count: Option<f64>,
    #[prost(message, repeated, tag = "8")]
    negative_spans: Vec<Span>,
    #[prost(double, repeated, tag = "10")]
    negative_counts: Vec<f64>,
    #[prost(message, repeated, tag = "11")]
    positive_spans: Vec<Span>,
    #[prost(double, repeated, tag = "13")]
    positive_counts: Vec<f64>,
    #[prost(int32, tag = "14")]
    hint: i32,
    #[prost(int64, tag = "15")]
    timestamp: i64,
    #[prost(double, repeated, tag = "16")]
    custom_values: Vec<f64>,
    #[prost(int64, tag = "17")]
    start: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Span {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

/// The body of a request, packed.
pub(super) fn request(samples: &[(Labels, Sample)]) -> Vec<u8> {
    let mut places: BTreeMap<&str, u32> = BTreeMap::from([("", 0)]);
    let mut request = Request { symbols: vec![String::new()], timeseries: Vec::new() };
    let mut series: BTreeMap<&Labels, Series> = BTreeMap::new();
    for (labels, sample) in samples {
        let series = series.entry(labels).or_insert_with(|| {
            let texts = labels.iter().flat_map(|(name, value)| [name, value]);
            let labels_refs = texts
                .map(|text| {
                    *places.entry(text).or_insert_with(|| {
                        request.symbols.push(text.to_owned());
                        u32::try_from(request.symbols.len() - 1).unwrap()
                    })
                })
                .collect();
            Series { labels_refs, ..Series::default() }
        });
        match &sample.value {
            Value::Float(value) => {
                series.samples.push(Number { value: *value, timestamp: sample.time, start: sample.start });
            }
            Value::Histogram(histogram) => series.histograms.push(native(histogram, sample)),
        }
    }
    request.timeseries = series.into_values().collect();
    snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap()
}

fn native(histogram: &Histogram, sample: &Sample) -> Native {
    let (positive_spans, positive_counts) = spans(&histogram.positive);
    let (negative_spans, negative_counts) = spans(&histogram.negative);
    Native {
        count: Some(histogram.count),
        sum: histogram.sum,
        schema: histogram.schema,
        zero_threshold: histogram.zero_threshold,
        zero_count: (histogram.schema != CUSTOM_SCHEMA).then_some(histogram.zero_count),
        negative_spans,
        negative_counts,
        positive_spans,
        positive_counts,
        hint: match histogram.hint {
            Hint::Unknown => 0,
            Hint::Reset => 1,
            Hint::NotReset => 2,
            Hint::Gauge => 3,
        },
        timestamp: sample.time,
        custom_values: histogram.bounds.to_vec(),
        start: sample.start,
    }
}

/// Buckets as runs of neighbours, and their counts.
fn spans(buckets: &[Bucket]) -> (Vec<Span>, Vec<f64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut next = 0;
    for bucket in buckets {
        match spans.last_mut().filter(|_| bucket.index == next) {
            Some(span) => span.length += 1,
            None => spans.push(Span { offset: bucket.index - next, length: 1 }),
        }
        next = bucket.index + 1;
    }
    (spans, buckets.iter().map(|bucket| bucket.count).collect())
}
