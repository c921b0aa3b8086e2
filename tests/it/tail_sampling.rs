//! Are traces sampled by tail as the settings say, from OTLP to the answers? With the binary, over HTTP.

use crate::server::{Server, eventually, request, spanlight};
use hyper::body::Bytes;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

const SECOND: i64 = 1_000_000_000;
const POLICIES: &str = r#"
[storage]
flush_age_seconds = 1
[retention.tail_sampling]
wait_seconds = 4
policies = [
    { name = "errors", status = "error" },
    { name = "health", attribute = "url.path", matches = "/(healthz|ready)", keep = 0 },
    { name = "rest", keep = 0.1 },
]
"#;
/// Traces that fail, ask for health, and do neither; each of two spans.
const FAILED: usize = 40;
const HEALTH: usize = 60;
const OTHERS: usize = 3_000;

fn span(trace: &str, id: u64, parent: u64, time: i64, failed: bool, path: &str) -> Value {
    let parent = if parent == 0 { String::new() } else { format!("{parent:016x}") };
    json!({
        "traceId": trace, "spanId": format!("{id:016x}"), "parentSpanId": parent, "name": "work", "kind": 2,
        "startTimeUnixNano": time.to_string(), "endTimeUnixNano": (time + 5_000_000).to_string(),
        "status": { "code": if failed { 2 } else { 0 } },
        "attributes": [{ "key": "url.path", "value": { "stringValue": path } }],
    })
}

async fn send(server: &Server, spans: &[Value]) {
    let resource = json!({ "attributes": [{ "key": "service.name", "value": { "stringValue": "shop" } }] });
    for spans in spans.chunks(1_000) {
        let body = json!({ "resourceSpans": [{ "resource": resource, "scopeSpans": [{ "spans": spans }] }] });
        let headers = [("content-type", "application/json")];
        let body = Bytes::from(body.to_string());
        let (status, answer) = request(&server.otlp_http, "POST", "/v1/traces", &headers, body).await;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
    }
}

/// Kept and dropped traces and spans, by policy.
async fn tallies(server: &Server) -> BTreeMap<String, [u64; 4]> {
    let status = server.json("/api/v1/status").await;
    let told = status["tail_sampling"].as_array().cloned().unwrap_or_default();
    let counts = ["kept_traces", "kept_spans", "dropped_traces", "dropped_spans"];
    let each =
        |one: Value| (one["policy"].as_str().unwrap().to_owned(), counts.map(|name| one[name].as_u64().unwrap()));
    told.into_iter().map(each).collect()
}

async fn count(server: &Server, query: &str, now: i64) -> f64 {
    let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let path = format!("/tempo/api/metrics/query?q={query}&start={}&end={}", now - 600 * SECOND, now + 60 * SECOND);
    let answer = server.json(&path).await;
    answer["series"][0]["value"].as_f64().unwrap_or_else(|| panic!("{answer}"))
}

/// How many spans of a trace are found.
async fn spans_of(server: &Server, trace: &str) -> usize {
    match server.get(&format!("/api/v1/traces/{trace}")).await {
        (200, body) => String::from_utf8_lossy(&body).matches("\"spanId\"").count(),
        (404, _) => 0,
        (status, body) => panic!("{status}: {}", String::from_utf8_lossy(&body)),
    }
}

#[tokio::test]
async fn traces_are_kept_whole_or_not_at_all_and_rates_are_those_of_what_happened() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("spanlight.toml");
    fs::write(&file, POLICIES).unwrap();
    let data = dir.path().join("data");
    let start = || Server::start_with(&data, &["--config", file.to_str().unwrap()], &[]);
    let server = start();
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
    let mut random = Pcg64::seed_from_u64(1);
    let mut traces: Vec<(String, bool, &str)> = Vec::new();
    for number in 0..FAILED + HEALTH + OTHERS {
        let path = if (FAILED..FAILED + HEALTH).contains(&number) { "/healthz" } else { "/cart" };
        traces.push((format!("{:032x}", random.random::<u128>()), number < FAILED, path));
    }
    let of = |(trace, failed, path): &(String, bool, &str)| {
        let time = now - i64::from(trace.as_bytes()[0] % 5) * SECOND;
        [span(trace, 1, 0, time, false, path), span(trace, 2, 1, time, *failed, path)]
    };
    send(&server, &traces.iter().flat_map(of).collect::<Vec<_>>()).await;
    let all = traces.len() as u64;
    let decided = eventually("all traces are decided", || async {
        let tallies = tallies(&server).await;
        let traces: u64 = tallies.values().map(|[kept, _, dropped, _]| kept + dropped).sum();
        (traces == all).then_some(tallies)
    })
    .await;
    let (failed, health) = (FAILED as u64, HEALTH as u64);
    assert_eq!(decided["errors"], [failed, 2 * failed, 0, 0]);
    assert_eq!(decided["health"], [0, 0, health, 2 * health]);
    let [kept, kept_spans, dropped, dropped_spans] = decided["rest"];
    assert_eq!((kept + dropped, kept_spans, dropped_spans), (OTHERS as u64, 2 * kept, 2 * dropped));

    // Whole or not at all.
    let mut there = 0;
    for (trace, failed, path) in traces.iter().step_by(7) {
        let spans = spans_of(&server, trace).await;
        assert!([0, 2].contains(&spans), "{spans} spans of {trace}");
        assert!(!failed || spans == 2, "{trace} failed");
        assert!(*path != "/healthz" || spans == 0, "{trace} asked for health");
        there += spans;
    }
    assert!(there > 0);

    // What is counted is what was kept, and who extrapolates is told of what was, but for the policy that keeps none.
    let stored = count(&server, "{ } | count_over_time()", now).await;
    assert_eq!(stored as u64, 2 * (failed + kept));
    let share = 0.1f64;
    let error = 2.0 * (OTHERS as f64 * (1.0 - share) / share).sqrt();
    let truth = (2 * (FAILED + OTHERS)) as f64;
    let told = count(&server, "{ } | count_over_time() with(extrapolate=true)", now).await;
    assert!((told - truth).abs() < 4.0 * error, "{told} of {truth} ± {error}");
    let of_errors = "{ status = error } | count_over_time() with(extrapolate=true)";
    assert_eq!(count(&server, of_errors, now).await, FAILED as f64, "what is kept for certain is counted exactly");
    let range = format!("start={}&end={}", now - 600 * SECOND, now + 60 * SECOND);
    let services = server.json(&format!("/api/v1/services?{range}")).await;
    let red = &services["services"][0]["red"];
    let requests = red["request_count"].as_f64().unwrap();
    assert!((requests - told).abs() < 1.0, "{red} and {told}");
    assert_eq!(red["error_count"], FAILED);
    let metrics = String::from_utf8(server.get("/metrics").await.1.to_vec()).unwrap();
    let line = format!("spanlight_tail_sampling_traces_total{{policy=\"rest\",decision=\"dropped\"}} {dropped}\n");
    assert!(metrics.contains(&line), "{metrics}");

    // What comes late shares the fate of its trace, also after the server was killed.
    server.kill();
    let server = start();
    let mut fates = Vec::new();
    for (trace, _, _) in traces.iter().filter(|(_, failed, path)| !failed && *path == "/cart").take(40) {
        fates.push((trace, spans_of(&server, trace).await));
    }
    assert!(fates.iter().any(|(_, spans)| *spans == 0) && fates.iter().any(|(_, spans)| *spans == 2));
    let late: Vec<Value> = fates.iter().map(|(trace, _)| span(trace, 3, 1, now, true, "/cart")).collect();
    send(&server, &late).await;
    let decided_late = eventually("what came late is decided", || async {
        let late = tallies(&server).await.get("late").copied().unwrap_or_default();
        (late[1] + late[3] == 40).then_some(late)
    })
    .await;
    assert_eq!((decided_late[0], decided_late[2]), (0, 0), "no trace is counted twice");
    for (trace, before) in fates {
        let expected = if before == 0 { 0 } else { 3 };
        assert_eq!(spans_of(&server, trace).await, expected, "{trace}");
    }
}

#[test]
fn check_config_tells_what_is_wrong_with_a_policy() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("spanlight.toml");
    let check = |text: &str| {
        fs::write(&file, text).unwrap();
        let output = spanlight().args(["check-config", "--config"]).arg(&file).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (success, told) = check(POLICIES);
    assert!(success, "{told}");
    let (success, told) = check(&format!("{POLICIES}[query]\nspan_metrics = true\n"));
    let expected = "`retention.tail_sampling.wait_seconds` is 4; `query.span_metrics` reads what is up to 90 s old";
    assert!(!success && told.contains(expected), "{told}");
    let policies = |policies: &str| format!("[retention.tail_sampling]\npolicies = [{policies}]\n");
    for (wrong, expected) in [
        (
            r#"{ name = "a", keep = 2 }"#,
            "`retention.tail_sampling.policies[0]` (`a`): `keep` is 2, not between 0 and 1",
        ),
        (
            r#"{ name = "a", attribute = "k", matches = "(" }"#,
            "`retention.tail_sampling.policies`: the pattern `(` cannot be used",
        ),
        (r#"{ name = "a", state = "error" }"#, "unknown field `state`"),
        (r#"{ name = "a", status = "bad" }"#, "unknown variant `bad`, expected `error` or `ok`"),
    ] {
        let (success, told) = check(&policies(wrong));
        assert!(!success && told.contains(expected), "{told}");
    }
    let (success, told) = check("[retention.tenants.a.tail_sampling]\nwait_seconds = 0\n");
    assert!(!success && told.contains("`retention.tenants.a.tail_sampling.wait_seconds` is 0"), "{told}");
    let (success, told) = check("[retention.tail_sampling]\nwait = 1\n");
    assert!(!success && told.contains("line 2, column 1") && told.contains("unknown field `wait`"), "{told}");
}
