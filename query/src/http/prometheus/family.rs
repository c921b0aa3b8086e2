//! How are the newest samples told as protobuf? As messages `io.prometheus.client.MetricFamily`, each behind its length.
//!
//! P1  Families come by name. What is a number of a name is untyped, as in the texts; what is a histogram is one, in a family of its own.
//! P2  A native histogram has a span at least, which tells it from a classic one: where it has no bucket, an empty one.
//! P3  A histogram with bounds of its own has the buckets of a classic one, for this message has no other place for its bounds.

use super::federate::{Format, Newest};
use super::refusal::Refusal;
use crate::exec::Control;
use crate::prometheus::protobuf::{BucketSpan, Histogram as Stored, whole};
use crate::series::{Hint, Histogram as Native, Labels, Value};
use prost::Message as _;

/// Types of families.
const UNTYPED: i32 = 3;
const HISTOGRAM: i32 = 4;
const GAUGE_HISTOGRAM: i32 = 5;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Family {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(int32, optional, tag = "3")]
    pub(super) r#type: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    pub(super) metrics: Vec<Metric>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Metric {
    #[prost(message, repeated, tag = "1")]
    pub(super) labels: Vec<Pair>,
    #[prost(message, optional, tag = "5")]
    pub(super) untyped: Option<Untyped>,
    /// Milliseconds since 1970.
    #[prost(int64, optional, tag = "6")]
    pub(super) time: Option<i64>,
    #[prost(message, optional, tag = "7")]
    pub(super) histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Pair {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Untyped {
    #[prost(double, optional, tag = "1")]
    pub(super) value: Option<f64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    pub(super) whole_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub(super) sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    pub(super) buckets: Vec<Bucket>,
    #[prost(double, optional, tag = "4")]
    pub(super) count: Option<f64>,
    #[prost(sint32, optional, tag = "5")]
    pub(super) schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    pub(super) zero_threshold: Option<f64>,
    #[prost(uint64, optional, tag = "7")]
    pub(super) whole_zero_count: Option<u64>,
    #[prost(double, optional, tag = "8")]
    pub(super) zero_count: Option<f64>,
    #[prost(message, repeated, tag = "9")]
    pub(super) negative_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, packed = "false", tag = "10")]
    pub(super) negative_deltas: Vec<i64>,
    #[prost(double, repeated, packed = "false", tag = "11")]
    pub(super) negative_counts: Vec<f64>,
    #[prost(message, repeated, tag = "12")]
    pub(super) positive_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, packed = "false", tag = "13")]
    pub(super) positive_deltas: Vec<i64>,
    #[prost(double, repeated, packed = "false", tag = "14")]
    pub(super) positive_counts: Vec<f64>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    pub(super) whole_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub(super) bound: Option<f64>,
    #[prost(double, optional, tag = "4")]
    pub(super) count: Option<f64>,
}

/// The messages. What is written is charged family by family.
pub(super) fn families(control: &Control, newest: &Newest, format: Format) -> Result<Vec<u8>, Refusal> {
    let mut out = Vec::new();
    let mut open: Option<Family> = None;
    for ((name, labels), (time, value)) in newest {
        control.check()?;
        let r#type = match value {
            Value::Float(_) => UNTYPED,
            Value::Histogram(histogram) if histogram.hint == Hint::Gauge => GAUGE_HISTOGRAM,
            Value::Histogram(_) => HISTOGRAM,
        };
        let name = format.bare(name, true);
        let is_open = |family: &Family| family.name == name && family.r#type == Some(r#type);
        if !open.as_ref().is_some_and(is_open) {
            close(control, &mut out, open.take())?;
        }
        let new = || Family { name: name.into_owned(), r#type: Some(r#type), metrics: Vec::new() };
        let mut metric = Metric { labels: pairs(labels, format), time: Some(*time), ..Metric::default() };
        match value {
            Value::Float(value) => metric.untyped = Some(Untyped { value: Some(*value) }),
            Value::Histogram(histogram) => metric.histogram = Some(histogram_of(histogram, *time)),
        }
        open.get_or_insert_with(new).metrics.push(metric);
    }
    close(control, &mut out, open)?;
    Ok(out)
}

fn close(control: &Control, out: &mut Vec<u8>, family: Option<Family>) -> Result<(), Refusal> {
    let Some(family) = family else { return Ok(()) };
    control.charge(family.encoded_len().saturating_add(10))?;
    out.extend_from_slice(&family.encode_length_delimited_to_vec());
    Ok(())
}

fn pairs(labels: &Labels, format: Format) -> Vec<Pair> {
    let pair =
        |(name, value): (&str, &str)| Pair { name: format.bare(name, false).into_owned(), value: value.to_owned() };
    let mut pairs: Vec<Pair> = labels.iter().map(pair).collect();
    if labels.get("instance").is_empty() {
        pairs.push(Pair { name: "instance".to_owned(), value: String::new() });
    }
    pairs
}

pub(super) fn histogram_of(histogram: &Native, time: i64) -> Histogram {
    if histogram.is_custom() {
        return classic(histogram);
    }
    let stored = Stored::stored(histogram, time);
    let mut told = Histogram {
        whole_count: stored.whole_count,
        sum: Some(stored.sum),
        count: stored.count,
        schema: Some(stored.schema),
        zero_threshold: Some(stored.zero_threshold),
        whole_zero_count: stored.whole_zero_count,
        zero_count: stored.zero_count,
        negative_spans: stored.negative_spans,
        negative_deltas: stored.negative_deltas,
        negative_counts: stored.negative_counts,
        positive_spans: stored.positive_spans,
        positive_deltas: stored.positive_deltas,
        positive_counts: stored.positive_counts,
        buckets: Vec::new(),
    };
    if told.positive_spans.is_empty() && told.negative_spans.is_empty() {
        told.positive_spans.push(BucketSpan { offset: 0, length: 0 });
    }
    told
}

/// With the buckets of a classic histogram (P3).
fn classic(histogram: &Native) -> Histogram {
    let is_whole = histogram.has_whole_counts();
    let (mut below, mut buckets) = (0.0, Vec::with_capacity(histogram.bounds.len() + 1));
    let mut own = histogram.positive.iter().peekable();
    for (index, bound) in histogram.bounds.iter().chain([&f64::INFINITY]).enumerate() {
        while let Some(bucket) = own.next_if(|bucket| usize::try_from(bucket.index).is_ok_and(|own| own <= index)) {
            below += bucket.count;
        }
        buckets.push(Bucket {
            whole_count: is_whole.then(|| whole(below)),
            bound: Some(*bound),
            count: (!is_whole).then_some(below),
        });
    }
    Histogram {
        whole_count: is_whole.then(|| whole(histogram.count)),
        count: (!is_whole).then_some(histogram.count),
        sum: Some(histogram.sum),
        buckets,
        ..Histogram::default()
    }
}
