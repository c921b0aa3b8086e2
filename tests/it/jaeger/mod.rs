//! Can Jaeger run on Spanlight? Its own searches over its own traces, asked as Jaeger asks a remote storage.
//!
//! The cases are those of `tests/conformance/jaeger`, and of `jaeger/storage_integration` in the corpora where these are; the last
//! line says how many hold, for `cargo xtask conformance jaeger`.

mod storage;

use crate::server::{Server, request};
use hyper::body::Bytes;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use storage::Storage;

/// A case, as Jaeger writes it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Case {
    caption: String,
    query: Query,
    expected_fixtures: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Query {
    service_name: String,
    operation_name: String,
    tags: Option<Map<String, Value>>,
    start_time_min: String,
    start_time_max: String,
    /// Nanoseconds, none if zero.
    duration_min: u64,
    duration_max: u64,
    num_traces: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_of_jaeger_find_its_traces_by_the_remote_storage() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpora = std::env::var_os("SPANLIGHT_CORPORA").map_or_else(|| root.join("../shared/corpora"), PathBuf::from);
    let own = root.join("tests/conformance/jaeger");
    let folders: Vec<PathBuf> =
        [own, corpora.join("jaeger/storage_integration")].into_iter().filter(|f| f.is_dir()).collect();
    let mut suites = Vec::new();
    for folder in &folders {
        suites.push((folder, send(&server, &folder.join("traces")).await));
    }
    let storage = Storage::connect(&server.http).await;
    let (mut passed, mut failed) = (0, Vec::new());
    for (folder, fixtures) in &suites {
        for file in ["queries.json", "queries_es.json"].map(|name| folder.join(name)) {
            let Ok(text) = std::fs::read_to_string(&file) else { continue };
            for case in serde_json::from_str::<Vec<Case>>(&text).unwrap() {
                let expected = case.expected_fixtures.iter().flat_map(|name| told(&fixtures[name]));
                let found = storage.find(&case.query).await;
                match found.map(|found| found.iter().flat_map(told).collect::<BTreeSet<_>>()) {
                    Ok(found) if found == expected.collect() => passed += 1,
                    other => failed.push(format!("  {}: {other:?}", case.caption)),
                }
            }
        }
    }
    failed.iter().for_each(|line| println!("{line}"));
    println!("jaeger storage: {passed} of {}", passed + failed.len());
    assert!(failed.is_empty() && passed >= suites.len() * 5);
}

/// Sends the traces of a folder, and gives them by their names.
async fn send(server: &Server, folder: &Path) -> BTreeMap<String, TracesData> {
    let mut fixtures = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read(&path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        fixtures.insert(name, serde_json::from_slice(&text).unwrap());
        let json = [("content-type", "application/json")];
        let (status, body) = request(&server.otlp_http, "POST", "/v1/traces", &json, Bytes::from(text)).await;
        assert_eq!(status, 200, "{}: {}", path.display(), String::from_utf8_lossy(&body));
    }
    fixtures
}

/// Every span with what stands around it, as text; attributes by their keys.
fn told(data: &TracesData) -> Vec<String> {
    let mut data = data.clone();
    let mut told = Vec::new();
    for part in &mut data.resource_spans {
        let resource = part.resource.take().unwrap_or_default();
        for scoped in &mut part.scope_spans {
            let scope = scoped.scope.take().unwrap_or_default();
            for span in &mut scoped.spans {
                let mut around = (resource.clone(), scope.clone());
                // No status is the same as one that says nothing.
                span.status.get_or_insert_default();
                let events = span.events.iter_mut().map(|event| &mut event.attributes);
                let links = span.links.iter_mut().map(|link| &mut link.attributes);
                let own = [&mut around.0.attributes, &mut around.1.attributes, &mut span.attributes];
                for attributes in own.into_iter().chain(events).chain(links) {
                    attributes.sort_by(|one, other| one.key.cmp(&other.key));
                }
                told.push(format!("{around:?} {span:?}"));
            }
        }
    }
    told
}
