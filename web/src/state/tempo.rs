//! Which shapes have the answers of TraceQL's metrics? Series of samples, and single values, as Grafana reads them too.

use super::address::Params;
use super::attribute;
use super::time::Range;
use query_api::nanos;
use query_api::otlp::{KeyValue, double};
use serde::Deserialize;

/// The answer of `query_range`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Ranged {
    /// The series.
    pub series: Vec<Series>,
    /// What is missing, if something is.
    pub message: String,
}

/// Samples of what has the same labels.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Series {
    /// What tells it apart.
    pub labels: Vec<KeyValue>,
    /// One for each step.
    pub samples: Vec<Sample>,
}

/// One step of a series.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Sample {
    /// Its end.
    #[serde(with = "nanos")]
    pub timestamp_ms: i64,
    /// Its value.
    #[serde(with = "double")]
    pub value: f64,
}

/// The answer of `query`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Instant {
    /// The values.
    pub series: Vec<Value>,
    /// What is missing, if something is.
    pub message: String,
}

/// The value of what has the same labels.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Value {
    /// What tells it apart.
    pub labels: Vec<KeyValue>,
    /// The value.
    #[serde(with = "double")]
    pub value: f64,
}

/// The text of a label.
pub fn label(labels: &[KeyValue], key: &str) -> String {
    attribute::find(labels, key).unwrap_or_default()
}

/// Asks for series of a range, a sample for each step.
pub fn range_request(query: &str, range: Range, step: i64) -> String {
    let mut params = asked(query, range);
    params.set("step", Some(&format!("{}ms", step / 1_000_000)));
    params.behind("/tempo/api/metrics/query_range")
}

/// Asks for the values of a range as a whole.
pub fn request(query: &str, range: Range) -> String {
    asked(query, range).behind("/tempo/api/metrics/query")
}

fn asked(query: &str, range: Range) -> Params {
    let mut params = Params::default();
    params.set("q", Some(query));
    super::filter::within(&mut params, range);
    params
}
