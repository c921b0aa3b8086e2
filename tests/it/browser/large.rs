//! Which trace is larger than a screen?

use crate::server::{Server, request};
use hyper::body::Bytes;
use serde_json::{Value, json};
use std::ops::RangeInclusive;

/// Its id.
pub(crate) const TRACE: &str = "5b8efff798038103d269b633813fc60c";

/// Spans of one request.
const AT_ONCE: usize = 10_000;

/// Of so many spans the last failed, and the one behind it is of the same operation as all such.
pub(crate) const FAULTS: usize = 2_500;

/// Sends a trace of many spans, each below the one before up to some depth.
pub(crate) async fn send(server: &Server, spans: usize) {
    let headers = [("content-type", "application/json")];
    for first in (1..=spans).step_by(AT_ONCE) {
        let body = Bytes::from(otlp(first..=spans.min(first + AT_ONCE - 1)));
        let sent = request(&server.otlp_http, "POST", "/v1/traces", &headers, body).await;
        assert_eq!(sent.0, 200, "{}", String::from_utf8_lossy(&sent.1));
    }
}

fn otlp(numbers: RangeInclusive<usize>) -> String {
    let spans: Vec<Value> = numbers
        .map(|number| {
            let parent = if number == 1 { String::new() } else { format!("{:016x}", number - 1 - (number - 2) % 7) };
            let start = 1_795_392_000_000_000_000u64 + number as u64 * 10_000;
            json!({
                "traceId": TRACE,
                "spanId": format!("{number:016x}"),
                "parentSpanId": parent,
                "name": if number % FAULTS == 1 && number > 1 { "again".to_owned() } else { format!("step {number}") },
                "status": {"code": if number % FAULTS == 0 { 2 } else { 0 }},
                "kind": 1,
                "startTimeUnixNano": start.to_string(),
                "endTimeUnixNano": (start + 5_000_000).to_string(),
            })
        })
        .collect();
    let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": "large"}}]});
    json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}).to_string()
}
