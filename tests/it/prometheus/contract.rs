//! Is every path of Prometheus's own description of its API answered, by every method that it has there?

use super::*;
use std::path::PathBuf;

/// Paths of Prometheus 3.14 with their methods.
const PATHS: [(&str, &str); 36] = [
    ("/query", "get post"),
    ("/query_range", "get post"),
    ("/query_exemplars", "get post"),
    ("/format_query", "get post"),
    ("/parse_query", "get post"),
    ("/labels", "get post"),
    ("/label/{name}/values", "get"),
    ("/search/metric_names", "get post"),
    ("/search/label_names", "get post"),
    ("/search/label_values", "get post"),
    ("/series", "get post"),
    ("/metadata", "get"),
    ("/scrape_pools", "get"),
    ("/scrape_pools/config", "get"),
    ("/targets", "get"),
    ("/targets/metadata", "get"),
    ("/targets/relabel_steps", "get"),
    ("/rules", "get"),
    ("/alerts", "get"),
    ("/alertmanagers", "get"),
    ("/status/config", "get"),
    ("/status/runtimeinfo", "get"),
    ("/status/buildinfo", "get"),
    ("/status/flags", "get"),
    ("/status/tsdb", "get"),
    ("/status/tsdb/blocks", "get"),
    ("/status/walreplay", "get"),
    ("/status/self_metrics", "get"),
    ("/admin/tsdb/delete_series", "put post"),
    ("/admin/tsdb/clean_tombstones", "put post"),
    ("/admin/tsdb/snapshot", "put post"),
    ("/read", "post"),
    ("/write", "post"),
    ("/otlp/v1/metrics", "post"),
    ("/notifications", "get"),
    ("/features", "get"),
];

/// The paths of the corpora's description, if it is there: keys of four and eight blanks below `paths`.
fn described() -> Option<Vec<(String, String)>> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora");
    let folder = std::env::var_os("SPANLIGHT_CORPORA").map_or_else(beside, PathBuf::from);
    let text = std::fs::read_to_string(folder.join("promql/openapi_3.1_golden.yaml")).ok()?;
    let mut paths: Vec<(String, String)> = Vec::new();
    for line in text
        .lines()
        .skip_while(|line| *line != "paths:")
        .skip(1)
        .take_while(|line| line.is_empty() || line.starts_with(' '))
    {
        if let Some(path) = line.strip_prefix("    /") {
            paths.push((format!("/{}", path.trim_end_matches(':')), String::new()));
        } else if let Some(method) = line.strip_prefix("        ").filter(|rest| !rest.starts_with(' ')) {
            let methods = &mut paths.last_mut().unwrap().1;
            let blank = if methods.is_empty() { "" } else { " " };
            methods.push_str(&format!("{blank}{}", method.trim_end_matches(':')));
        }
    }
    Some(paths)
}

#[tokio::test]
async fn every_path_of_prometheus_is_answered_by_its_methods() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let own: Vec<(String, String)> =
        PATHS.iter().map(|(path, methods)| ((*path).to_owned(), (*methods).to_owned())).collect();
    let described = described().unwrap_or_else(|| own.clone());
    assert_eq!(described, own, "the description has other paths than the list of our own");
    for (path, methods) in own {
        let path = format!("/prometheus/api/v1{}", path.replace("{name}", "job"));
        for method in methods.split(' ') {
            let method = method.to_uppercase();
            let form = [("content-type", "application/x-www-form-urlencoded")];
            let (status, body) = request(&server.http, &method, &path, &form, Bytes::new()).await;
            let body = String::from_utf8_lossy(&body).into_owned();
            let is_there = !matches!(status, 404 | 405) || body.contains("specified metadata not found");
            assert!(is_there && status != 500, "{method} {path}: {status} {body}");
        }
    }
}

#[tokio::test]
async fn own_metrics_are_told_as_json_with_those_of_all_rooms() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let told = ask(&server, "status/self_metrics", &[]).await;
    let names: Vec<&str> = told.as_array().unwrap().iter().filter_map(|family| family["name"].as_str()).collect();
    for name in ["spanlight_queries_running", "spanlight_collector_tenants", "spanlight_wal_bytes"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    let (_, metrics) = server.get("/metrics").await;
    let metrics = String::from_utf8(metrics.to_vec()).unwrap();
    assert_eq!(metrics.matches("# TYPE spanlight_queries_running gauge").count(), 1, "{metrics}");
    let one = ask(&server, "status/self_metrics", &[("metric_name_pattern", "spanlight_queries_running")]).await;
    assert_eq!((one.as_array().unwrap().len(), &one[0]["type"]), (1, &Value::from("GAUGE")));
}
