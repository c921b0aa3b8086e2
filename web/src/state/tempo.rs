//! Which shapes have the answers of TraceQL's metrics? Series of samples, and single values, as Grafana reads them too.

use super::address::Params;
use super::attribute;
use super::format;
use super::metric::names::Labels;
use super::time::Range;
use query_api::metric::Exemplar;
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
    /// Some of the spans that it was worked out from, where they were asked for.
    pub exemplars: Vec<Spanned>,
}

/// A span that a series was worked out from.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spanned {
    /// Which it is.
    pub labels: Vec<KeyValue>,
    /// What it adds to the series.
    #[serde(with = "double")]
    pub value: f64,
    /// When it began.
    #[serde(with = "nanos")]
    pub timestamp_ms: i64,
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

impl Series {
    /// What tells it from its sisters.
    pub fn names(&self) -> Labels {
        let told = self.labels.iter().map(|label| (label.key.clone(), attribute::text(&label.value))).collect();
        Labels { told, spare: Vec::new() }
    }

    /// Its exemplars as those of any metric.
    pub fn exemplars(&self) -> impl Iterator<Item = Exemplar> {
        self.exemplars.iter().map(|one| Exemplar {
            time_unix_nano: one.timestamp_ms.saturating_mul(1_000_000),
            value: one.value,
            trace_id: label(&one.labels, "trace:id"),
            span_id: label(&one.labels, "span:id"),
            ..Exemplar::default()
        })
    }

    /// Its moments in nanoseconds, and values.
    pub fn moments(&self) -> Vec<(i64, f64)> {
        self.samples.iter().map(|one| (one.timestamp_ms.saturating_mul(1_000_000), one.value)).collect()
    }
}

/// The unit of what a query answers, as far as its functions tell it.
pub fn unit(query: &str) -> String {
    let of_duration = ["quantile_over_time", "avg_over_time", "max_over_time", "min_over_time", "sum_over_time"];
    if query.contains("rate(") {
        format::rate_unit("")
    } else if of_duration.iter().any(|function| query.contains(&format!("{function}(duration"))) {
        "s".to_owned()
    } else {
        String::new()
    }
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

/// The same with so many exemplars of each series.
pub fn range_request_with_exemplars(query: &str, range: Range, step: i64, exemplars: u32) -> String {
    format!("{}&exemplars={exemplars}", range_request(query, range, step))
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

#[cfg(test)]
mod tests {
    use super::*;
    use query_api::otlp::AnyValue;

    #[test]
    fn a_series_tells_its_labels_and_moments_and_a_query_its_unit() {
        let labels = vec![KeyValue { key: "span.code".into(), value: AnyValue::IntValue(5) }];
        let one = Series { labels, samples: vec![Sample { timestamp_ms: 2, value: 0.5 }], ..Series::default() };
        assert_eq!(one.names().told, [("span.code".to_owned(), "5".to_owned())]);
        assert_eq!(one.moments(), [(2_000_000, 0.5)]);
        assert_eq!(unit("{ } | rate() by (name)"), "/s");
        assert_eq!(unit("{ } | quantile_over_time(duration, .9)"), "s");
        assert_eq!(unit("{ } | quantile_over_time(span.size, .9)"), "");
        assert_eq!(unit("{ } | count_over_time()"), "");
    }

    #[test]
    fn exemplars_of_a_series_name_spans() {
        let text = r#"{"series":[{"labels":[],"samples":[{"timestampMs":"60000","value":0.5}],"exemplars":[{"labels":[
            {"key":"trace:id","value":{"stringValue":"5b8a"}},{"key":"span:id","value":{"stringValue":"051f"}}],
            "value":0.25,"timestampMs":"42000"}]}]}"#;
        let answer: Ranged = super::super::object::read(text).unwrap();
        let told: Vec<Exemplar> = answer.series[0].exemplars().collect();
        let expected = Exemplar {
            time_unix_nano: 42_000_000_000,
            value: 0.25,
            trace_id: "5b8a".into(),
            span_id: "051f".into(),
            ..Exemplar::default()
        };
        assert_eq!(told, [expected]);
        let asked =
            range_request_with_exemplars("{ } | rate()", Range { start: 0, end: 60_000_000_000 }, 1_000_000_000, 20);
        assert!(asked.contains("query_range?q=") && asked.ends_with("&step=1000ms&exemplars=20"), "{asked}");
    }
}
