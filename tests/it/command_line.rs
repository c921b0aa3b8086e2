//! Do the commands do what they say?

use crate::server::{Server, request, serve, spanlight};
use hyper::body::Bytes;
use std::fs::{self, File};
use std::time::Duration;

#[test]
fn check_config_names_an_unknown_key() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("spanlight.toml");
    fs::write(&file, "[storage]\nflush_byte = 1\n").unwrap();
    let output = spanlight().args(["check-config", "--config"]).arg(&file).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("flush_byte"));

    fs::write(&file, "[storage]\nflush_bytes = 1000000\n").unwrap();
    let output = spanlight().args(["check-config", "--config"]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn check_config_names_an_unknown_variable() {
    let output = spanlight().arg("check-config").env("SPANLIGHT_STORAGE_FLUSH_BYTE", "1").output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("SPANLIGHT_STORAGE_FLUSH_BYTE"));
}

#[test]
fn check_config_refuses_what_serve_would_refuse() {
    for (name, value, named) in [
        ("SPANLIGHT_LOG_FILTER", "foo=bar=baz", "log.filter"),
        ("SPANLIGHT_DATA_DIR", "", "data_dir"),
        ("SPANLIGHT_QUERY_TIMEOUT_SECONDS", "400", "query.timeout_seconds"),
    ] {
        let output = spanlight().arg("check-config").env(name, value).output().unwrap();
        assert!(!output.status.success(), "{name}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(named), "{name}");
    }
}

#[test]
fn sigterm_ends_the_server_with_success_within_ten_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let (code, took) = Server::start(dir.path()).terminate();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test]
async fn a_second_process_on_one_data_directory_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let second = serve(dir.path(), &[]).output().unwrap();
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("in use by another process"));
    assert_eq!(server.get("/ready").await.0, 200);
}

#[test]
fn log_lines_in_a_file_have_no_colours() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut command = serve(&dir.path().join("data"), &[]);
    command.stderr(File::create(&log).unwrap());
    Server::run(command).terminate();
    let lines = fs::read_to_string(log).unwrap();
    assert!(lines.contains("opened the store") && !lines.contains('\u{1b}'), "{lines:?}");
}

/// Sends one span of a trace of its own; the status of the answer.
async fn send_span(server: &Server, number: u8) -> u16 {
    let span = format!("{{\"traceId\":\"{number:032x}\",\"spanId\":\"{number:016x}\",\"name\":\"op\"}}");
    let body = format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{span}]}}]}}]}}");
    let json = [("content-type", "application/json")];
    request(&server.otlp_http, "POST", "/v1/traces", &json, Bytes::from(body)).await.0
}

#[tokio::test]
async fn a_store_that_refuses_writes_is_ready_and_says_why_it_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let never = [("SPANLIGHT_STORAGE_MIN_FREE_BYTES", "9000000000000000000")];
    let server = Server::start_with(dir.path(), &[], &never);
    assert_eq!(send_span(&server, 1).await, 503);
    let (status, ready) = server.get("/ready").await;
    let ready = String::from_utf8(ready.to_vec()).unwrap();
    assert!(status == 200 && ready.starts_with("ready\nwrites are refused: the disk has "), "{status} {ready}");
    let told = server.json("/api/v1/status").await["write_refusal"].to_string();
    assert!(told.contains("storage.min_free_bytes"), "{told}");
    let (_, metrics) = server.get("/metrics").await;
    let metrics = String::from_utf8(metrics.to_vec()).unwrap();
    for line in ["spanlight_writes_refused{reason=\"disk\"} 1", "spanlight_writes_refused{reason=\"memory\"} 0"] {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert_eq!(server.get("/api/v1/services").await.0, 200, "answers go on");
}

#[tokio::test]
async fn a_log_that_is_damaged_in_its_middle_is_refused_by_name_and_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    for number in 1..=3 {
        assert_eq!(send_span(&server, number).await, 200);
    }
    server.kill();
    let segment = dir.path().join("wal/00000000000000000001.wal");
    let mut bytes = fs::read(&segment).unwrap();
    // In the first record, behind a header of 40 bytes.
    bytes[90] ^= 1;
    fs::write(&segment, &bytes).unwrap();

    let refused = serve(dir.path(), &[]).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success());
    for word in ["00000000000000000001.wal is damaged", "at byte 40", "spanlight inspect --repair"] {
        assert!(told.contains(word), "{told}");
    }
    let repaired = spanlight().args(["inspect", "--repair"]).arg(dir.path()).output().unwrap();
    let told = String::from_utf8_lossy(&repaired.stdout).into_owned();
    assert!(repaired.status.success() && told.contains("2 records kept") && told.contains("at byte 40"), "{told}");
    assert_eq!(fs::read(dir.path().join("damaged/00000000000000000001.wal")).unwrap(), bytes);

    let server = Server::start(dir.path());
    for (number, status) in [(1, 404), (2, 200), (3, 200)] {
        assert_eq!(server.get(&format!("/api/v1/traces/{number:032x}")).await.0, status, "{number}");
    }
}

#[tokio::test]
async fn what_is_bounded_stands_beside_its_limit_and_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    for number in 1..=3 {
        assert_eq!(send_span(&server, number).await, 200);
    }
    assert_eq!(server.get("/api/v1/traces").await.0, 200);
    let mut metrics = String::new();
    // A query that has been answered gives its memory back a moment later.
    for _ in 0..100 {
        metrics = String::from_utf8(server.get("/metrics").await.1.to_vec()).unwrap();
        if metrics.contains("\nspanlight_queries_running 0\n") {
            break;
        }
        tokio::task::yield_now().await;
    }
    let value = |name: &str| -> f64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
    };
    for name in [
        "collector_bytes_in_flight",
        "write_queue",
        "queries_running",
        "queries_waiting",
        "query_memory_bytes",
        "outline_memory_bytes",
        "compaction_memory_bytes",
    ] {
        assert_eq!(value(&format!("spanlight_{name}")), 0.0, "{name}");
    }
    assert!(value("spanlight_memtables_bytes") > 0.0 && value("spanlight_collector_bytes_in_flight_peak") > 0.0);
    for name in [
        "collector_bytes_in_flight_limit",
        "collector_tenants_limit",
        "write_queue_limit",
        "memtables_limit_bytes",
        "queries_running_limit",
        "queries_waiting_limit",
        "query_memory_limit_bytes",
        "compaction_memory_limit_bytes",
    ] {
        assert!(value(&format!("spanlight_{name}")) > 0.0, "{name}");
    }
    assert_eq!((value("spanlight_open_blocks"), value("spanlight_open_block_index_bytes")), (0.0, 0.0));
}

#[tokio::test]
async fn health_readiness_metrics_and_the_ui_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    assert_eq!(server.get("/healthz").await.0, 200);
    assert_eq!(server.get("/ready").await.0, 200);
    let (status, metrics) = server.get("/metrics").await;
    assert_eq!(status, 200);
    let metrics = String::from_utf8(metrics.to_vec()).unwrap();
    assert!(metrics.contains("# TYPE spanlight_commit_groups_total counter"), "{metrics}");
    let (status, page) = server.get("/trace/0af7651916cd43dd8448eb211c80319c").await;
    assert_eq!(status, 200);
    assert!(String::from_utf8_lossy(&page).starts_with("<!doctype html>") || page.starts_with(b"<!DOCTYPE html>"));
}
