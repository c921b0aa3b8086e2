//! For tests: the questions of `tests/language` asked over Tempo's API, and its answers as those files write them.
//!
//! Durations are told as Go writes them there, so that both sides are made plain: nanoseconds.

use super::model::BASE;
use super::{number, range};
use crate::config::Config;
use crate::fixture::Fixture;
use crate::http::{Host, QueryState, router};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use std::fmt::Write;
use tower::ServiceExt;

const SECOND: i64 = 1_000_000_000;

/// A line with each value that is a duration in nanoseconds.
pub(super) fn plain(line: &str) -> String {
    let told = regex::Regex::new(r"= ([^\]\[;=]*)\]").unwrap();
    let line = told.replace_all(line, |found: &regex::Captures<'_>| format!("= {}]", plain_value(&found[1])));
    let label = regex::Regex::new(r"(\{|, )([^=,{}]+)=([^,{}]*)").unwrap();
    label
        .replace_all(&line, |found: &regex::Captures<'_>| {
            format!("{}{}={}", &found[1], &found[2], plain_value(&found[3]))
        })
        .into_owned()
}

fn plain_value(text: &str) -> String {
    match crate::time::length(text) {
        Ok(nanos) if text.ends_with(|last: char| last.is_ascii_alphabetic()) => format!("{nanos}ns"),
        _ => text.to_owned(),
    }
}

async fn get(fixture: &Fixture, path: &str) -> Result<Value, String> {
    let state =
        QueryState::new(Config::default(), fixture.engine.clone(), fixture.clock.clone(), Host::default()).unwrap();
    let request = Request::get(format!("/tempo{path}")).body(Body::empty()).unwrap();
    let (parts, body) = router(state).oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    match parts.status {
        StatusCode::OK => Ok(serde_json::from_slice(&body).unwrap()),
        _ => Err(String::from_utf8_lossy(&body).into_owned()),
    }
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// What is answered, line by line.
pub(super) async fn answer(fixture: &Fixture, question: &str) -> Vec<String> {
    let path = match question.strip_prefix("find ") {
        Some(query) => {
            let range = range();
            let (start, end) = (range.start / SECOND, range.end / SECOND);
            format!("/api/search?q={}&start={start}&end={end}&limit=100&spss=1000", escaped(query))
        }
        None => {
            let mut words = question.strip_prefix("series ").unwrap().splitn(3, ' ');
            let (step, end) = (words.next().unwrap(), words.next().unwrap().parse::<i64>().unwrap());
            let (start, end) = (BASE / SECOND, BASE / SECOND + end);
            format!("/api/metrics/query_range?q={}&start={start}&end={end}&step={step}", escaped(words.next().unwrap()))
        }
    };
    let answered = match get(fixture, &path).await {
        Ok(answered) => answered,
        Err(message) => return vec![format!("fail {message}")],
    };
    let lines: Vec<String> = match question.strip_prefix("series ") {
        None => list(&answered["traces"]).iter().map(trace).collect(),
        Some(rest) => {
            let mut numbers = rest.split(' ').map(|word| word.parse::<i64>());
            let (step, end) = (numbers.next().unwrap().unwrap(), numbers.next().unwrap().unwrap());
            list(&answered["series"]).iter().map(|of_labels| series(of_labels, step, end)).collect()
        }
    };
    if lines.is_empty() { vec!["none".into()] } else { lines.iter().map(|line| plain(line)).collect() }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn trace(found: &Value) -> String {
    let set = |set: &Value| {
        let ids = list(&set["spans"]).iter().map(|span| number(span["spanID"].as_str().unwrap()).to_string());
        let mut line = ids.collect::<Vec<_>>().join(" ");
        for told in list(&set["attributes"]) {
            write!(line, " [{} = {}]", told["key"].as_str().unwrap(), text(&told["value"])).unwrap();
        }
        line
    };
    let sets: Vec<String> = list(&found["spanSets"]).iter().map(set).collect();
    format!("trace {}: {}", number(&found["traceID"].as_str().unwrap()[..2]), sets.join("; "))
}

fn series(of_labels: &Value, step: i64, end: i64) -> String {
    let labels = list(&of_labels["labels"]).iter();
    let labels = labels.map(|label| format!("{}={}", label["key"].as_str().unwrap(), text(&label["value"])));
    let mut line = format!("{{{}}}", labels.collect::<Vec<_>>().join(", "));
    let milliseconds = |sample: &Value| sample["timestampMs"].as_str().unwrap().parse::<i64>().unwrap();
    for place in 1..=(end + step - 1) / step {
        let at = BASE / 1_000_000 + place * step * 1_000;
        let sample = list(&of_labels["samples"]).iter().find(|sample| milliseconds(sample) == at);
        let value = sample.map(|sample| match &sample["value"] {
            Value::String(text) => text.parse::<f64>().unwrap().to_string(),
            number => number.as_f64().unwrap_or(0.0).to_string(),
        });
        line.push(' ');
        line.push_str(value.as_deref().unwrap_or("_"));
    }
    line
}

/// A value as OTLP/JSON has it.
fn text(value: &Value) -> String {
    let (kind, value) = value.as_object().and_then(|object| object.iter().next()).unwrap();
    match kind.as_str() {
        "doubleValue" => format!("{:?}", value.as_f64().unwrap()),
        "arrayValue" => format!("[{}]", list(&value["values"]).iter().map(text).collect::<Vec<_>>().join(",")),
        _ => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    }
}
