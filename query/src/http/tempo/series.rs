//! Which shapes have Tempo's answers of series?
//!
//! J1  As in `json`: no field that Grafana's data source does not know.

use super::json::{SearchMetrics, any_value};
use crate::exec::Control;
use crate::traceql::{Answer, Axis, MOST_SERIES};
use query_api::otlp::{AnyValue, KeyValue, double};
use serde::Serialize;

/// `QueryRangeResponse`.
#[derive(Debug, Serialize)]
pub(super) struct QueryRangeResponse {
    series: Vec<TimeSeries>,
    metrics: SearchMetrics,
    #[serde(flatten)]
    wholeness: Wholeness,
}

/// `QueryInstantResponse`.
#[derive(Debug, Serialize)]
pub(super) struct QueryInstantResponse {
    series: Vec<InstantSeries>,
    metrics: SearchMetrics,
    #[serde(flatten)]
    wholeness: Wholeness,
}

/// Said only where something is missing.
#[derive(Debug, Serialize)]
struct Wholeness {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

#[derive(Debug, Serialize)]
struct TimeSeries {
    labels: Vec<KeyValue>,
    samples: Vec<Sample>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exemplars: Vec<Exemplar>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Sample {
    #[serde(with = "query_api::nanos")]
    timestamp_ms: i64,
    #[serde(with = "double")]
    value: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Exemplar {
    labels: Vec<KeyValue>,
    #[serde(with = "double")]
    value: f64,
    #[serde(with = "query_api::nanos")]
    timestamp_ms: i64,
}

#[derive(Debug, Serialize)]
struct InstantSeries {
    labels: Vec<KeyValue>,
    #[serde(with = "double")]
    value: f64,
}

fn labels(list: Vec<(String, crate::traceql::Value<'static>)>) -> Vec<KeyValue> {
    list.into_iter().map(|(key, value)| KeyValue { key, value: any_value(value) }).collect()
}

fn text(key: &str, value: String) -> KeyValue {
    KeyValue { key: key.to_owned(), value: AnyValue::StringValue(value) }
}

fn wholeness(answer: &Answer, control: &Control) -> Wholeness {
    let damaged = control.missing().len();
    let message = match (answer.left_out, damaged) {
        (Some(all), _) => {
            Some(format!("{MOST_SERIES} of {all} series are told, those of the greatest values; group by less"))
        }
        (None, 0) => None,
        (None, damaged) => Some(format!("{damaged} damaged blocks may have more spans")),
    };
    Wholeness { status: message.is_some().then_some("PARTIAL"), message }
}

impl QueryRangeResponse {
    pub(super) fn new(answer: Answer, axis: &Axis, control: &Control) -> Self {
        let wholeness = wholeness(&answer, control);
        let series = answer.series.into_iter().map(|series| TimeSeries {
            labels: labels(series.labels),
            samples: series
                .values
                .into_iter()
                .enumerate()
                .filter(|(_, value)| !value.is_nan())
                .map(|(step, value)| Sample { timestamp_ms: axis.time(step) / 1_000_000, value })
                .collect(),
            exemplars: series
                .exemplars
                .into_iter()
                .map(|exemplar| Exemplar {
                    labels: vec![
                        text("trace:id", exemplar.trace.to_string()),
                        text("span:id", exemplar.span.to_string()),
                    ],
                    value: exemplar.value,
                    timestamp_ms: exemplar.time / 1_000_000,
                })
                .collect(),
        });
        QueryRangeResponse { series: series.collect(), metrics: SearchMetrics::of(control), wholeness }
    }
}

impl QueryInstantResponse {
    pub(super) fn new(answer: Answer, control: &Control) -> Self {
        let wholeness = wholeness(&answer, control);
        let series = answer.series.into_iter().filter_map(|series| {
            let value = series.values.first().copied().filter(|value| !value.is_nan())?;
            Some(InstantSeries { labels: labels(series.labels), value })
        });
        QueryInstantResponse { series: series.collect(), metrics: SearchMetrics::of(control), wholeness }
    }
}
