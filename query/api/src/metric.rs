//! What is asked and answered about metrics? `GET /api/v1/metrics` and `GET /api/v1/series`.

use crate::nanos;
use crate::otlp::KeyValue;
use crate::trace::Stats;
use serde::{Deserialize, Serialize};

/// The answer of `GET /api/v1/metrics`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricsResponse {
    /// Metrics with a point in the range, by name, then type.
    pub metrics: Vec<Metric>,
    /// What the answer cost.
    pub stats: Stats,
}

/// What kind of points a metric has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricType {
    /// A value that goes up and down.
    #[default]
    Gauge,
    /// A sum; a counter when monotonic.
    Sum,
    /// A histogram with explicit bounds.
    Histogram,
    /// A histogram with exponential buckets.
    ExponentialHistogram,
    /// Quantiles that the sender computed.
    Summary,
}

/// Whether points count from the start or since the point before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Temporality {
    /// Not told, or without meaning for the type.
    #[default]
    Unspecified,
    /// Since the point before.
    Delta,
    /// Since the start time.
    Cumulative,
}

/// One metric.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Name.
    pub name: String,
    /// What PromQL calls it, without the suffixes of its parts (`_bucket`, `_sum`, `_count`); empty where PromQL cannot name it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub promql_name: String,
    /// Kind of points.
    pub r#type: MetricType,
    /// Unit, as UCUM writes it.
    pub unit: String,
    /// What it measures.
    pub description: String,
    /// What else was told of it, with the newest point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metadata: Vec<KeyValue>,
    /// Of its points.
    pub temporality: Temporality,
    /// Whether a sum never falls.
    pub is_monotonic: bool,
    /// Distinct series in the range.
    pub series_count: u64,
    /// Points in the range.
    pub point_count: u64,
    /// Services that sent it, by name.
    pub services: Vec<String>,
    /// Time of the newest point.
    #[serde(with = "nanos")]
    pub last_time_unix_nano: i64,
    /// Between which its series are now: of those whose newest point is a number, and is among those of the last five minutes for which
    /// there is anything in the range, the least and the greatest. Of a metric of one series that is its last value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_values: Option<Values>,
    /// Whether it has no points of its own: they are those of a histogram's or summary's parts, which Prometheus's senders send as series of
    /// several names (`…_bucket`, `…_sum`, `…_count`). PromQL asks for them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_in_parts: bool,
}

impl Metric {
    /// Whether it is called so: by its own name, or by what PromQL calls it or one of its parts.
    pub fn is_called(&self, name: &str) -> bool {
        let parts: &[&str] = match self.r#type {
            MetricType::Histogram => &["", "_bucket", "_sum", "_count"],
            MetricType::Summary => &["", "_sum", "_count"],
            _ => &[""],
        };
        let rest = name.strip_prefix(self.promql_name.as_str()).filter(|_| !self.promql_name.is_empty());
        self.name == name || rest.is_some_and(|rest| parts.contains(&rest))
    }
}

/// From one number to another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Values {
    /// The least.
    #[serde(with = "crate::otlp::double")]
    pub least: f64,
    /// The greatest.
    #[serde(with = "crate::otlp::double")]
    pub greatest: f64,
}

/// The answer of `GET /api/v1/series`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SeriesResponse {
    /// The series, by their identity.
    pub series: Vec<Series>,
    /// Whether the row limit cut the answer.
    pub truncated: bool,
    /// What the answer cost.
    pub stats: Stats,
}

/// One series and its points, by time; of two points with one time the one that arrived last. Of old metrics there may be only those
/// that stand for others.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Metric name.
    pub name: String,
    /// Kind of points.
    pub r#type: MetricType,
    /// Unit.
    pub unit: String,
    /// Of the points.
    pub temporality: Temporality,
    /// Whether a sum never falls.
    pub is_monotonic: bool,
    /// service.name.
    pub service: String,
    /// The points' attributes.
    pub attributes: Vec<KeyValue>,
    /// The resource's attributes.
    pub resource: Vec<KeyValue>,
    /// Instrumentation scope's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope_name: String,
    /// Instrumentation scope's version.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope_version: String,
    /// The scope's attributes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scope_attributes: Vec<KeyValue>,
    /// What else came with the resource and the scope.
    #[serde(default)]
    pub origin: crate::otlp::OriginDetail,
    /// The points.
    pub points: Vec<Point>,
}

/// One data point.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Time of the point.
    #[serde(with = "nanos")]
    pub time_unix_nano: i64,
    /// Since when it counts; 0 when not told.
    #[serde(with = "nanos", default)]
    pub start_unix_nano: i64,
    /// Whether the sender marked it as having no recorded value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_recorded_value: bool,
    /// What was measured.
    pub value: PointValue,
    /// Single measurements behind the point, with their traces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exemplars: Vec<Exemplar>,
    /// What it stands for, where points were left out between it and the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downsampled: Option<Downsampled>,
}

/// Points of a window of time that one of them stands for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Downsampled {
    /// How many; 0 for a point that was kept beside the one that stands for the window.
    pub count: u64,
    /// Of numbers, their sum.
    #[serde(default, with = "crate::otlp::double::option", skip_serializing_if = "Option::is_none")]
    pub sum: Option<f64>,
    /// Of numbers, the smallest, where it is not among the points that were kept.
    #[serde(default, with = "crate::otlp::double::option", skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Likewise the largest.
    #[serde(default, with = "crate::otlp::double::option", skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// What was measured. JSON has no NaN and no infinities: those travel as the strings `NaN`, `Infinity`, `-Infinity`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PointValue {
    /// No value (see `no_recorded_value`).
    #[default]
    None,
    /// An integer, as a decimal string.
    Int(#[serde(with = "nanos")] i64),
    /// A double.
    Double(#[serde(with = "crate::otlp::double")] f64),
    /// Explicit bounds.
    Histogram(Histogram),
    /// Exponential buckets.
    ExponentialHistogram(ExponentialHistogram),
    /// Quantiles.
    Summary(Summary),
}

/// A histogram with explicit bounds; `bucket_counts` has one entry more than `bounds`, or both are empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Measurements.
    pub count: u64,
    /// Their sum, if told.
    #[serde(default, with = "crate::otlp::double::option", skip_serializing_if = "Option::is_none")]
    pub sum: Option<f64>,
    /// Smallest, if told.
    #[serde(default, with = "crate::otlp::double::option", skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Largest, if told.
    #[serde(default, with = "crate::otlp::double::option", skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Upper bounds, inclusive.
    #[serde(with = "crate::otlp::double::list")]
    pub bounds: Vec<f64>,
    /// Measurements per bucket.
    pub bucket_counts: Vec<u64>,
}

/// A histogram with exponential buckets of base `2^(2^-scale)`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ExponentialHistogram {
    /// Measurements.
    pub count: u64,
    /// Their sum, if told.
    #[serde(default, with = "crate::otlp::double::option", skip_serializing_if = "Option::is_none")]
    pub sum: Option<f64>,
    /// Smallest, if told.
    #[serde(default, with = "crate::otlp::double::option", skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Largest, if told.
    #[serde(default, with = "crate::otlp::double::option", skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Resolution.
    pub scale: i32,
    /// Measurements within the zero threshold.
    pub zero_count: u64,
    /// Half-width of the zero bucket.
    #[serde(with = "crate::otlp::double")]
    pub zero_threshold: f64,
    /// Index of the first positive bucket.
    pub positive_offset: i32,
    /// Measurements per positive bucket.
    pub positive_counts: Vec<u64>,
    /// Index of the first negative bucket.
    pub negative_offset: i32,
    /// Measurements per negative bucket.
    pub negative_counts: Vec<u64>,
}

/// Quantiles that the sender computed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Measurements.
    pub count: u64,
    /// Their sum.
    #[serde(with = "crate::otlp::double")]
    pub sum: f64,
    /// The quantiles.
    pub quantiles: Vec<Quantile>,
}

/// One quantile.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantile {
    /// 0 to 1.
    #[serde(with = "crate::otlp::double")]
    pub quantile: f64,
    /// Value at it.
    #[serde(with = "crate::otlp::double")]
    pub value: f64,
}

/// One measurement with its trace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Exemplar {
    /// When it was measured.
    #[serde(with = "nanos")]
    pub time_unix_nano: i64,
    /// What was measured.
    #[serde(with = "crate::otlp::double")]
    pub value: f64,
    /// The same in decimal digits where it is an integer; empty where not. Above 2^53, `value` is only the nearest double.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value_int: String,
    /// 32 hex digits, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trace_id: String,
    /// 16 hex digits, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub span_id: String,
    /// Attributes that the aggregation left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filtered_attributes: Vec<KeyValue>,
}
