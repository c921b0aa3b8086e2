//! Which shapes have Tempo's answers of series, in JSON and in protobuf?
//!
//! J1  As in `json`: no field that Grafana's data source does not know.

use super::super::protobuf::{Writer, key_values};
use super::json::{SearchMetrics, named};
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
            labels: named(series.labels),
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

    /// The same as several messages, each closed once it has about `size` bytes; a reader puts their series together.
    pub(super) fn messages<E>(&self, size: usize, mut send: impl FnMut(Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let mut out = Writer::default();
        let close = |mut out: Writer| {
            self.wholeness.write(&mut out, &self.metrics);
            out.0
        };
        let mut series = self.series.iter().peekable();
        while let Some(one) = series.next() {
            out.message(1, |out| one.write(out));
            if out.0.len() >= size && series.peek().is_some() {
                send(close(std::mem::take(&mut out)))?;
            }
        }
        send(close(out))
    }
}

impl TimeSeries {
    fn write(&self, out: &mut Writer) {
        key_values(out, 1, &self.labels);
        for sample in &self.samples {
            out.message(2, |out| {
                out.double(1, sample.value);
                out.int64(2, sample.timestamp_ms);
            });
        }
        for exemplar in &self.exemplars {
            out.message(4, |out| {
                key_values(out, 1, &exemplar.labels);
                out.double(2, exemplar.value);
                out.int64(3, exemplar.timestamp_ms);
            });
        }
    }
}

impl Wholeness {
    fn write(&self, out: &mut Writer, metrics: &SearchMetrics) {
        out.message(2, |out| metrics.write(out));
        out.varint(3, self.status.is_some().into());
        out.text(4, self.message.as_deref().unwrap_or_default());
    }
}

impl QueryInstantResponse {
    pub(super) fn new(answer: Answer, control: &Control) -> Self {
        let wholeness = wholeness(&answer, control);
        let series = answer.series.into_iter().filter_map(|series| {
            let value = series.values.first().copied().filter(|value| !value.is_nan())?;
            Some(InstantSeries { labels: named(series.labels), value })
        });
        QueryInstantResponse { series: series.collect(), metrics: SearchMetrics::of(control), wholeness }
    }

    /// The same as one message: of several a reader would take the last.
    pub(super) fn message(&self) -> Vec<u8> {
        let mut out = Writer::default();
        for series in &self.series {
            out.message(1, |out| {
                key_values(out, 1, &series.labels);
                out.double(2, series.value);
            });
        }
        self.wholeness.write(&mut out, &self.metrics);
        out.0
    }
}
