//! Does Spanlight tell of itself where that is asked for, and does it stop there?

use crate::server::{Server, eventually};
use std::net::TcpListener;
use std::time::Duration;

const ENDPOINT: &str = "SPANLIGHT_SELF_TELEMETRY_OTLP_ENDPOINT";
const OWN_TRACES: &str = "/api/v1/traces?service=spanlight&limit=100";
/// So that a loop would turn many times within a test.
const EXPORT_EVERY: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "20");

#[tokio::test]
async fn queries_of_one_server_are_traces_of_another() {
    let (watched, watching) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let watching = Server::start(watching.path());
    let endpoint = format!("http://{}", watching.otlp_grpc);
    let watched = Server::start_with(watched.path(), &[], &[(ENDPOINT, &endpoint), EXPORT_EVERY]);
    watched.json("/api/v1/services").await;
    assert_eq!(watched.get("/api/v1/traces?limit=0").await.0, 400);
    let found = eventually("both requests", || async {
        let found = watching.json(OWN_TRACES).await;
        (found["traces"].as_array().unwrap().len() == 2).then_some(found)
    });
    let found = found.await;
    let mut names: Vec<&str> =
        found["traces"].as_array().unwrap().iter().map(|trace| trace["root_name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["GET /api/v1/services", "GET /api/v1/traces"]);
    // The query runs on a thread of its own, and is still below its request.
    let counts: Vec<_> = found["traces"].as_array().unwrap().iter().map(|trace| trace["span_count"].clone()).collect();
    assert!(counts.contains(&2.into()), "{found}");
}

/// A port that is free, and stays so: no other test has this loopback address.
fn free_address() -> String {
    TcpListener::bind("127.0.0.4:0").unwrap().local_addr().unwrap().to_string()
}

/// A value of `/metrics`, which is not a query and so makes no span.
async fn sum_of(server: &Server, name: &str) -> f64 {
    let text = String::from_utf8(server.get("/metrics").await.1.to_vec()).unwrap();
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

#[tokio::test]
async fn a_server_that_exports_to_itself_does_not_feed_on_its_own_spans() {
    let dir = tempfile::tempdir().unwrap();
    let door = free_address();
    let endpoint = format!("http://{door}");
    let variables = [(ENDPOINT, endpoint.as_str()), EXPORT_EVERY, ("SPANLIGHT_STORAGE_FLUSH_AGE_SECONDS", "1")];
    let server = Server::start_with(dir.path(), &["--otlp-grpc-addr", &door], &variables);
    server.json("/api/v1/services").await;
    // Until the spans have been flushed, so that a span of the flush would have come too.
    let flushed = eventually("the query's spans in a block", || async {
        (sum_of(&server, "spanlight_flush_rows_total").await > 0.0).then_some(())
    });
    flushed.await;
    let rows = sum_of(&server, "spanlight_rows_visible_total").await;
    assert_eq!(rows, 2.0, "the request and its query");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(sum_of(&server, "spanlight_rows_visible_total").await, rows, "nothing was asked since");
}
