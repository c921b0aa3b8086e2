//! Do Prometheus's own senders and readers find in Spanlight what they expect?

mod bad_input;
mod contract;
mod debian;
mod grafana;
mod import;
mod limit;
mod message;
mod random;
mod remote_write;
mod rules;
mod scrape;
mod show;

use crate::server::{Server, exchange, request};
use hyper::body::Bytes;
use hyper::http::response::Parts;
use serde_json::Value;

/// A text as a part of a query string.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// `data` of an answer that must succeed.
async fn ask(server: &Server, path: &str, parameters: &[(&str, &str)]) -> Value {
    let query: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let answer = server.json(&format!("/prometheus/api/v1/{path}?{}", query.join("&"))).await;
    assert_eq!(answer["status"], "success", "{path}: {answer}");
    answer["data"].clone()
}

/// The value of a query with one series at a moment, as text; empty where there is none.
async fn value(server: &Server, query: &str, time: &str) -> String {
    let data = ask(server, "query", &[("query", query), ("time", time)]).await;
    data["result"][0]["value"][1].as_str().unwrap_or_default().to_owned()
}

/// Posts a message of remote write, packed.
async fn push(address: &str, version: u8, message: &[u8]) -> (Parts, String) {
    let packed = snap::raw::Encoder::new().compress_vec(message).unwrap();
    let content_type = match version {
        1 => "application/x-protobuf",
        _ => "application/x-protobuf;proto=io.prometheus.write.v2.Request",
    };
    let headers = [("content-type", content_type), ("content-encoding", "snappy")];
    let (head, body) = exchange(address, "POST", "/prometheus/api/v1/write", &headers, packed.into()).await;
    (head, String::from_utf8(body.to_vec()).unwrap())
}

/// How much was written, by the three headers.
fn written(head: &Parts) -> [&str; 3] {
    ["samples", "histograms", "exemplars"]
        .map(|what| head.headers[&format!("x-prometheus-remote-write-{what}-written")].to_str().unwrap())
}

async fn post(address: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> (u16, String) {
    let (status, body) = request(address, "POST", path, headers, body.into()).await;
    (status, String::from_utf8(body.to_vec()).unwrap())
}
