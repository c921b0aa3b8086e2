//! How do Jaeger's monitoring pages ask how services do? For families of metrics, which are made of the spans.
//!
//! R1  Each point stands for the time before it that `ratePer` says, as Prometheus's `rate(…[ratePer])` does behind Jaeger: points begin
//!     where the range does, are a step apart, and none is after the range.
//! R2  Latencies are milliseconds, calls are per second, errors are the share of calls that failed: zeros where none did.

use super::model::{stored_service, told_service};
use super::request::{Request, quoted};
use crate::error::{Error, Result};
use crate::exec::Control;
use crate::traceql::{self, Axis, Value};
use jiff::Timestamp;
use query_api::otlp::double;
use serde::Serialize;

const MILLIS: i64 = 1_000_000;
const HOUR: i64 = 3_600_000 * MILLIS;
/// Between two points, where it is not said.
const USUAL_STEP: i64 = 5_000 * MILLIS;
/// How long the time is that a point stands for, where it is not said.
const USUAL_WINDOW: i64 = 600_000 * MILLIS;
/// The least step that can be asked for, in milliseconds.
pub(super) const MIN_STEP: i64 = 1_000;
const ALL: &str = "with(extrapolate=true)";
const KINDS: [&str; 6] = ["unspecified", "internal", "server", "client", "producer", "consumer"];

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    Latencies,
    Calls,
    Errors,
}

/// `MetricFamily` of OpenMetrics, as JSON.
#[derive(Debug, Serialize)]
pub(super) struct Family {
    name: String,
    r#type: &'static str,
    help: String,
    metrics: Vec<Metric>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Metric {
    labels: Vec<Label>,
    metric_points: Vec<Point>,
}

#[derive(Debug, Serialize)]
struct Label {
    name: &'static str,
    value: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Point {
    gauge_value: Gauge,
    timestamp: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Gauge {
    #[serde(with = "double")]
    double_value: f64,
}

/// The family that a request asks for.
pub(super) fn family(control: &Control, request: &Request, measure: Measure) -> Result<Family> {
    let by_operation = request.text("groupByOperation").is_some_and(|text| text == "true");
    let range = request.lookback(HOUR)?;
    let step = request.number("step", MILLIS)?.unwrap_or(USUAL_STEP);
    if step < MIN_STEP * MILLIS {
        return Err(Error::parameter("step", format!("unable to parse param 'step': at least {MIN_STEP} ms")));
    }
    let window = request.number("ratePer", MILLIS)?.unwrap_or(USUAL_WINDOW);
    if window < MILLIS {
        return Err(Error::parameter("ratePer", "unable to parse param 'ratePer': at least 1 ms"));
    }
    let quantile = match measure {
        Measure::Latencies => request.quantile()?,
        Measure::Calls | Measure::Errors => String::new(),
    };
    let (spans, by) = asked(request, by_operation)?;
    let axis = Axis::trailing(range, step, window)?;
    let ask = |text: String| Ok::<_, Error>(traceql::parse(&text)?.metrics()?.series(control, &axis, 0)?.series);
    // Spans stand for as many as there were where samples were taken.
    let calls = || ask(format!("{{ {spans} }} | rate() {by} {ALL}"));
    let series = match measure {
        Measure::Latencies => ask(format!("{{ {spans} }} | quantile_over_time(duration, {quantile}) {by} {ALL}"))?,
        Measure::Calls => calls()?,
        Measure::Errors => shares(calls()?, &ask(format!("{{ {spans} && status = error }} | rate() {by} {ALL}"))?),
    };
    let scale = if measure == Measure::Latencies { 1e3 } else { 1.0 };
    let point = |(place, value): (usize, f64)| {
        let timestamp = Timestamp::from_nanosecond(axis.time(place).into()).ok()?;
        Some(Point { gauge_value: Gauge { double_value: value * scale }, timestamp: timestamp.to_string() })
    };
    let metric = |series: traceql::Series| Metric {
        labels: series.labels.iter().filter_map(label).collect(),
        metric_points: series.values.into_iter().enumerate().filter_map(point).collect(),
    };
    let (what, help) = match measure {
        Measure::Latencies => ("latencies", format!("{quantile}th quantile latency")),
        Measure::Calls => ("call_rate", "calls/sec".to_owned()),
        Measure::Errors => ("error_rate", "error rate, computed as a fraction of errors/sec over calls/sec".to_owned()),
    };
    let (of, by) = if by_operation { ("service_operation", "service & operation") } else { ("service", "service") };
    Ok(Family {
        name: format!("{of}_{what}"),
        r#type: "GAUGE",
        help: format!("{help}, grouped by {by}"),
        metrics: series.into_iter().map(metric).collect(),
    })
}

/// What of each series of calls failed.
fn shares(calls: Vec<traceql::Series>, failed: &[traceql::Series]) -> Vec<traceql::Series> {
    let share = |calls: traceql::Series| {
        let failed = failed.iter().find(|failed| failed.labels == calls.labels);
        let values = match failed {
            None => vec![0.0; calls.values.len()],
            Some(failed) => failed.values.iter().zip(&calls.values).map(|(failed, all)| failed / all).collect(),
        };
        traceql::Series { values, ..calls }
    };
    calls.into_iter().map(share).collect()
}

/// Which spans, and how they are grouped, in TraceQL.
fn asked(request: &Request, by_operation: bool) -> Result<(String, &'static str)> {
    let services: Vec<String> = request
        .texts("service")
        .map(|name| format!("resource.service.name = {}", quoted(stored_service(name))))
        .collect();
    if services.is_empty() {
        return Err(Error::parameter("service", "please provide at least one service name"));
    }
    let mut kinds = Vec::new();
    for kind in request.texts("spanKind") {
        let known = kind.strip_prefix("SPAN_KIND_").unwrap_or(kind).to_lowercase();
        let known = KINDS.iter().find(|name| **name == known);
        let known = known.ok_or_else(|| Error::parameter("spanKind", format!("unsupported span kind: '{kind}'")))?;
        kinds.push(format!("kind = {known}"));
    }
    if kinds.is_empty() {
        kinds.push("kind = server".to_owned());
    }
    let spans = format!("({}) && ({})", services.join(" || "), kinds.join(" || "));
    let by = if by_operation { "by (resource.service.name, name)" } else { "by (resource.service.name)" };
    Ok((spans, by))
}

/// A label under Jaeger's name.
fn label((name, value): &(String, Value<'static>)) -> Option<Label> {
    let name = match name.as_str() {
        "resource.service.name" => "service_name",
        "name" => "operation",
        _ => return None,
    };
    match value {
        Value::Text(text) if name == "service_name" => {
            Some(Label { name, value: told_service(text.clone().into_owned()) })
        }
        Value::Text(text) => Some(Label { name, value: text.clone().into_owned() }),
        _ => None,
    }
}
