//! Which shapes have the answers of TraceQL's metrics? Series of samples, and single values, as Grafana reads them too.

use super::address::Params;
use super::attribute;
use super::format;
use super::metric::answer;
use super::metric::grid::Grid;
use super::metric::heat::{Bucket, Heat};
use super::metric::names::Labels;
use super::time::Range;
use query_api::metric::Exemplar;
use query_api::nanos;
use query_api::otlp::{AnyValue, KeyValue, double};
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
    /// What tells it from its sisters; the function that all have in common needs no key.
    pub fn names(&self) -> Labels {
        let key = |label: &KeyValue| if label.key == "__name__" { String::new() } else { label.key.clone() };
        let told = self.labels.iter().map(|label| (key(label), attribute::text(&label.value))).collect();
        Labels { told, spare: Vec::new() }
    }

    /// The service that it is of, if it is grouped by services.
    pub fn service(&self) -> Option<&str> {
        match &self.labels.iter().find(|label| label.key == "resource.service.name")?.value {
            AnyValue::StringValue(name) => Some(name),
            _ => None,
        }
    }

    /// The upper edge of the bucket that it counts, of durations in seconds; half of it is the lower edge.
    pub fn bucket(&self) -> Option<f64> {
        match self.labels.iter().find(|label| label.key == "__bucket")?.value {
            AnyValue::DoubleValue(edge) => Some(edge),
            AnyValue::IntValue(edge) => Some(edge as f64),
            _ => None,
        }
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

/// The heat map of series of buckets, all groups together; `None` where some series is none of a bucket.
pub fn heat(found: &[Series], range: Range) -> Option<Heat> {
    let step = i64::try_from(answer::step_seconds(range)).ok()?.saturating_mul(1_000_000_000).max(1);
    let count = usize::try_from(range.length() / step).ok()?.saturating_add(1).min(10_000);
    let grid = Grid { start: range.start, step, count };
    let mut columns: Vec<Vec<Bucket>> = vec![Vec::new(); count];
    for one in found {
        let high = one.bucket()?;
        // What took no time is in no row: it would press all others together.
        for (end, count) in
            one.moments().into_iter().filter(|(_, count)| high > 1e-9 && count.is_finite() && *count > 0.0)
        {
            if let Some(column) = grid.index(end.saturating_sub(step / 2)).and_then(|index| columns.get_mut(index)) {
                column.push(Bucket { low: high / 2.0, high, count });
            }
        }
    }
    Some(Heat::of_columns(grid, columns))
}

/// The unit of what a query answers, as far as its functions tell it; of a histogram that of its buckets.
pub fn unit(query: &str) -> String {
    let of_duration = [
        "quantile_over_time",
        "avg_over_time",
        "max_over_time",
        "min_over_time",
        "sum_over_time",
        "histogram_over_time",
    ];
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

    #[test]
    fn a_series_tells_its_labels_and_moments_and_a_query_its_unit() {
        let labels = vec![KeyValue { key: "span.code".into(), value: AnyValue::IntValue(5) }];
        let one = Series { labels, samples: vec![Sample { timestamp_ms: 2, value: 0.5 }], ..Series::default() };
        assert_eq!(one.names().told, [("span.code".to_owned(), "5".to_owned())]);
        assert_eq!(one.service(), None);
        let label = |key: &str| KeyValue { key: key.into(), value: AnyValue::StringValue("rate".into()) };
        let of = |key: &str| Series { labels: vec![label(key)], ..Series::default() };
        assert_eq!(of("__name__").names().told, [(String::new(), "rate".to_owned())]);
        assert_eq!(of("resource.service.name").service(), Some("rate"));
        assert_eq!(one.moments(), [(2_000_000, 0.5)]);
        assert_eq!(unit("{ } | rate() by (name)"), "/s");
        assert_eq!(unit("{ } | quantile_over_time(duration, .9)"), "s");
        assert_eq!(unit("{ } | quantile_over_time(span.size, .9)"), "");
        assert_eq!(unit("{ } | count_over_time()"), "");
    }

    #[test]
    fn series_of_buckets_are_a_heat_map_of_all_groups() {
        let range = Range { start: 0, end: 10_000_000_000 };
        let one = |edge: f64, samples: &[(i64, f64)]| Series {
            labels: vec![KeyValue { key: "__bucket".into(), value: AnyValue::DoubleValue(edge) }],
            samples: samples.iter().map(|(ms, value)| Sample { timestamp_ms: *ms, value: *value }).collect(),
            ..Series::default()
        };
        let found = [one(0.5, &[(1_000, 2.0), (3_000, 1.0)]), one(0.5, &[(1_000, 3.0)]), one(0.25, &[(1_000, 4.0)])];
        let heat = heat(&found, range).unwrap();
        assert_eq!(heat.edges, [0.125, 0.25, 0.5]);
        assert_eq!(
            (&heat.cells[0], &heat.cells[1], &heat.cells[2]),
            (&vec![4.0, 5.0], &vec![0.0, 0.0], &vec![0.0, 1.0])
        );
        assert_eq!(super::heat(&[Series::default()], range), None);
        assert_eq!(unit("{ } | histogram_over_time(duration) by (name)"), "s");
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
