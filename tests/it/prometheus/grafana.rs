//! Is each call of Grafana's Prometheus data source answered as it should be, to the letter?
//!
//! `grafana.txt` is the session: lines that begin with `>` are asked in their order (method, path, form or query), and the line below
//! each is the whole answer, with its status. A form is sent as Grafana sends it; `*` in the answer stands for what differs from run to run.

use super::message::{Exemplar2, Histogram, Metadata2, Request2, Series2, Span, Symbols, sample};
use super::push;
use crate::server::{Server, request};
use hyper::body::Bytes;
use prost::Message as _;

const SESSION: &str = include_str!("grafana.txt");

/// 2026-11-23T06:00:00Z, in milliseconds; the samples are those of ten minutes until then.
const END: i64 = 1_795_413_600_000;
const STEP: i64 = 15_000;

/// Two instances of a shop: requests by code, their durations as a classic histogram with an exemplar, and as a native one.
fn shop() -> Vec<u8> {
    let mut symbols = Symbols::default();
    let mut timeseries = Vec::new();
    let mut add = |symbols: &mut Symbols, pairs: &[(&str, &str)], metadata, step: f64, exemplars: Vec<Exemplar2>| {
        let samples = (0..=40i32).map(|n| sample(f64::from(n) * step, END - i64::from(40 - n) * STEP)).collect();
        let (labels_refs, histograms) = (symbols.references(pairs), vec![]);
        timeseries.push(Series2 { labels_refs, samples, histograms, exemplars, metadata: Some(metadata) });
    };
    let told = |symbols: &mut Symbols, r#type, help: &str, unit: &str| Metadata2 {
        r#type,
        help_ref: symbols.reference(help),
        unit_ref: symbols.reference(unit),
    };
    let requests = told(&mut symbols, 1, "Requests that were answered.", "");
    let durations = told(&mut symbols, 3, "How long answers took.", "seconds");
    for (instance, factor) in [("a", 1.0), ("b", 2.0)] {
        for (code, step) in [("200", 15.0), ("500", 1.5)] {
            let name = ("__name__", "http_requests_total");
            let pairs = [name, ("code", code), ("instance", instance), ("job", "shop")];
            add(&mut symbols, &pairs, requests.clone(), step * factor, vec![]);
        }
        for (le, step) in [("0.1", 6.0), ("1", 12.0), ("+Inf", 15.0)] {
            let name = ("__name__", "http_request_duration_seconds_bucket");
            let trace = [("trace_id", "0af7651916cd43dd8448eb211c80319c")];
            let exemplar = Exemplar2 { labels_refs: symbols.references(&trace), value: 0.5, timestamp: END - 30_500 };
            let exemplars = if le == "1" && instance == "a" { vec![exemplar] } else { vec![] };
            let pairs = [name, ("instance", instance), ("job", "shop"), ("le", le)];
            add(&mut symbols, &pairs, durations.clone(), step * factor, exemplars);
        }
    }
    let labels_refs = symbols.references(&[("__name__", "latency"), ("job", "shop")]);
    let histogram = |n: i32| Histogram {
        count: Some(u64::try_from(3 * n).unwrap()),
        sum: f64::from(n) * 2.5,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_deltas: vec![i64::from(n), i64::from(n)],
        timestamp: END - i64::from(40 - n) * STEP,
        ..Histogram::default()
    };
    let histograms = (0..=40).map(histogram).collect();
    timeseries.push(Series2 { labels_refs, samples: vec![], histograms, exemplars: vec![], metadata: Some(durations) });
    Request2 { symbols: symbols.0, timeseries }.encode_to_vec()
}

/// Whether a text is what is expected, in which a `*` stands for anything.
fn is_like(text: &str, expected: &str) -> bool {
    let mut parts = expected.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_of_grafana_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &[], &[("SPANLIGHT_RETENTION_METRICS_DAYS", "40000")]);
    let (head, text) = push(&server.http, 2, &shop()).await;
    assert_eq!(head.status, 204, "{text}");
    let mut lines = SESSION.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut odd = Vec::new();
    let mut calls = 0;
    while let Some(line) = lines.next() {
        let words: Vec<&str> = line.trim_start_matches("> ").splitn(3, ' ').collect();
        let [method, path, form] = words.as_slice() else { panic!("no call: {line}") };
        let path = format!("/prometheus/api/v1/{path}");
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let (status, body) = match *method {
            "POST" => request(&server.http, method, &path, &headers, Bytes::from(form.to_string())).await,
            _ => request(&server.http, method, &format!("{path}?{form}"), &[], Bytes::new()).await,
        };
        let answer = format!("{status} {}", String::from_utf8_lossy(&body));
        if !lines.next().is_some_and(|expected| is_like(&answer, expected)) {
            odd.push(format!("{line}\n{answer}"));
        }
        calls += 1;
    }
    assert!(odd.is_empty(), "{} of {calls} calls are answered otherwise:\n\n{}", odd.len(), odd.join("\n\n"));
}
