//! Do the commands do what they say?

use crate::server::{Server, spanlight};
use std::time::Duration;

#[test]
fn check_config_names_an_unknown_key() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("spanlight.toml");
    std::fs::write(&file, "[storage]\nflush_byte = 1\n").unwrap();
    let output = spanlight().args(["check-config", "--config"]).arg(&file).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("flush_byte"));

    std::fs::write(&file, "[storage]\nflush_bytes = 1000000\n").unwrap();
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
    let second = spanlight()
        .args([
            "serve",
            "--http-addr",
            "127.0.0.1:0",
            "--otlp-grpc-addr",
            "127.0.0.1:0",
            "--otlp-http-addr",
            "127.0.0.1:0",
        ])
        .arg("--data-dir")
        .arg(dir.path())
        .output()
        .unwrap();
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("in use by another process"));
    assert_eq!(server.get("/ready").await.0, 200);
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
