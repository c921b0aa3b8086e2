//! Does a search by Jaeger's APIs find what it does in Jaeger? Runs the searches of `tests/conformance/jaeger`, and of
//! `jaeger/storage_integration` in the corpora, whose format they have.
//!
//! A1  Every search is asked by both HTTP APIs. The traces that come are those that are expected, no other, and whole: of the third
//!     API every field of every span is compared, of the first what its model tells.
//!     The same searches are asked of the remote storage by gRPC, by a test of the binary (`tests/it/jaeger`) whose verdict counts.
//! A2  The corpora's file of OTLP becomes the answer that is beside it, to the letter.
//!
//! Not here: lists of services (the tests of `query`).

use super::http::{self, Request, Response};
use super::server::Server;
use super::{Context, Tally};
use crate::repo::files_below;
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

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

/// Traces by their name.
type Fixtures = BTreeMap<String, Value>;

/// Starts a server, fills it, and asks every search.
pub(super) fn run(context: &Context) -> Result<Tally> {
    let mut folders = vec![context.repo.root.join("tests/conformance/jaeger")];
    let corpora = context.repo.corpora().map(|corpora| corpora.join("jaeger"));
    match &corpora {
        Some(corpora) => folders.push(corpora.join("storage_integration")),
        None => eprintln!("jaeger: no corpora folder: the project's own cases only"),
    }
    let server = Server::start(&context.repo)?;
    let (mut tallies, mut suites) = (BTreeMap::<&str, Tally>::new(), Vec::new());
    for folder in &folders {
        let fixtures = fixtures(&folder.join("traces"))?;
        for (name, trace) in &fixtures {
            let sent = post(server.otlp_http, "/v1/traces", trace)?;
            ensure!(sent.status == 200, "{name} was refused: {}", String::from_utf8_lossy(&sent.body));
        }
        suites.push((folder, fixtures));
    }
    let mut note = |api: &'static str, caption: &str, outcome: Result<()>| {
        let tally = tallies.entry(api).or_default();
        tally.total += 1;
        match outcome {
            Ok(()) => {
                tally.passed += 1;
                if context.verbose {
                    println!("ok    {api}: {caption}");
                }
            }
            Err(error) => println!("FAIL  {api}: {caption}: {error:#}"),
        }
    };
    for (folder, fixtures) in &suites {
        for file in
            ["queries.json", "queries_es.json"].map(|name| folder.join(name)).iter().filter(|file| file.is_file())
        {
            let cases: Vec<Case> = serde_json::from_str(&std::fs::read_to_string(file)?)?;
            for case in &cases {
                note("searches by v1", &case.caption, first(server.http, case, fixtures));
                note("searches by v3", &case.caption, third(server.http, case, fixtures));
            }
        }
    }
    if let Some(corpora) = corpora {
        note("conversions", "a file of OTLP in the model of Jaeger", converted(server.http, &corpora));
    }
    tallies.insert("searches by gRPC storage", by_storage(context)?);
    for (api, tally) in &tallies {
        println!("  {api}: {} of {}", tally.passed, tally.total);
    }
    let sum = |of: fn(&Tally) -> usize| tallies.values().map(of).sum();
    Ok(Tally { passed: sum(|tally| tally.passed), total: sum(|tally| tally.total) })
}

/// The searches as Jaeger asks a remote storage. A client of gRPC would make every task slow to build; the tests have one.
fn by_storage(context: &Context) -> Result<Tally> {
    const TEST: &str = "jaeger::searches_of_jaeger_find_its_traces_by_the_remote_storage";
    super::test(context, &["--test", "it"], TEST, "jaeger storage")
}

fn fixtures(folder: &Path) -> Result<Fixtures> {
    let mut fixtures = Fixtures::new();
    for file in files_below(folder)? {
        let name = file.file_stem().context("no name")?.to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file)?;
        fixtures.insert(name, serde_json::from_str(&text).with_context(|| format!("{}", file.display()))?);
    }
    Ok(fixtures)
}

fn post(to: SocketAddr, path: &str, body: &Value) -> Result<Response> {
    let body = body.to_string().into_bytes();
    let headers = vec![
        ("content-length".to_owned(), body.len().to_string()),
        ("content-type".to_owned(), "application/json".to_owned()),
    ];
    let request = Request { method: "POST".to_owned(), path: path.to_owned(), headers, body, hang_up: false };
    http::send(to, &request)?.context("no answer")
}

fn ask(to: SocketAddr, path: &str, parameters: &[(&str, String)]) -> Result<Value> {
    let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let given = parameters.iter().filter(|(_, value)| !value.is_empty());
    let query: Vec<String> = given.map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    let whole = format!("/jaeger{path}?{}", query.join("&"));
    let request =
        Request { method: "GET".to_owned(), path: whole, headers: Vec::new(), body: Vec::new(), hang_up: false };
    let response = http::send(to, &request)?.context("no answer")?;
    // A search of the third API that finds none is answered so.
    if response.status == 404 && path == "/api/v3/traces" {
        return Ok(json!({}));
    }
    ensure!(response.status == 200, "{}: {}", response.status, String::from_utf8_lossy(&response.body));
    Ok(serde_json::from_slice(&response.body)?)
}

impl Query {
    /// The tags, their values as texts: that is how Jaeger's clients send them.
    fn tags(&self) -> String {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let tags = self.tags.iter().flatten().map(|(key, value)| (key.clone(), json!(text(value))));
        let tags: Map<String, Value> = tags.collect();
        if tags.is_empty() { String::new() } else { Value::Object(tags).to_string() }
    }
}

fn length(nanos: u64) -> String {
    if nanos == 0 { String::new() } else { format!("{nanos}ns") }
}

fn expected<'a>(case: &Case, fixtures: &'a Fixtures) -> Result<Vec<&'a Value>> {
    let trace = |name: &String| fixtures.get(name).with_context(|| format!("there is no trace `{name}`"));
    case.expected_fixtures.iter().map(trace).collect()
}

/// Asks the first API and compares what its model tells of each span.
fn first(to: SocketAddr, case: &Case, fixtures: &Fixtures) -> Result<()> {
    let query = &case.query;
    let micros = |text: &str| -> Result<String> { Ok(text.parse::<jiff::Timestamp>()?.as_microsecond().to_string()) };
    let parameters = [
        ("service", query.service_name.clone()),
        ("operation", query.operation_name.clone()),
        ("tags", query.tags()),
        ("start", micros(&query.start_time_min)?),
        ("end", micros(&query.start_time_max)?),
        ("minDuration", length(query.duration_min)),
        ("maxDuration", length(query.duration_max)),
        ("limit", query.num_traces.to_string()),
    ];
    let answer = ask(to, "/api/traces", &parameters)?;
    let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    let mut found = BTreeSet::new();
    for trace in list(&answer, "data") {
        for span in list(&trace, "spans") {
            let process = &trace["processes"][span["processID"].as_str().unwrap_or_default()];
            found.insert(
                json!([
                    span["traceID"],
                    span["spanID"],
                    span["operationName"],
                    span["startTime"],
                    span["duration"],
                    process["serviceName"],
                    list(&span, "logs").len(),
                    list(&span, "references").len(),
                ])
                .to_string(),
            );
        }
    }
    let mut wanted = BTreeSet::new();
    for trace in expected(case, fixtures)? {
        for (resource, _, span) in spans(trace) {
            let nanos = |name: &str| span[name].as_str().and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
            let (start, end) = (nanos("startTimeUnixNano"), nanos("endTimeUnixNano"));
            let attributes = list(&resource, "attributes");
            let service = attributes.iter().find(|attribute| attribute["key"] == "service.name");
            let service =
                service.map_or(json!("OTLPResourceNoServiceName"), |service| service["value"]["stringValue"].clone());
            let parents = usize::from(span["parentSpanId"].as_str().is_some_and(|parent| !parent.is_empty()));
            wanted.insert(
                json!([
                    span["traceId"],
                    span["spanId"],
                    span["name"],
                    start / 1_000,
                    (end - start) / 1_000,
                    service,
                    list(&span, "events").len(),
                    parents + list(&span, "links").len(),
                ])
                .to_string(),
            );
        }
    }
    compare(&found, &wanted)
}

/// Asks the third API and compares every field.
fn third(to: SocketAddr, case: &Case, fixtures: &Fixtures) -> Result<()> {
    let query = &case.query;
    let parameters = [
        ("query.serviceName", query.service_name.clone()),
        ("query.operationName", query.operation_name.clone()),
        ("query.attributes", query.tags()),
        ("query.startTimeMin", query.start_time_min.clone()),
        ("query.startTimeMax", query.start_time_max.clone()),
        ("query.durationMin", length(query.duration_min)),
        ("query.durationMax", length(query.duration_max)),
        ("query.searchDepth", query.num_traces.to_string()),
    ];
    let answer = ask(to, "/api/v3/traces", &parameters)?;
    let written = |(resource, scope, span): (Value, Value, Value)| json!([resource, scope, span]).to_string();
    let found: BTreeSet<String> = spans(&answer["result"]).into_iter().map(written).collect();
    let wanted: BTreeSet<String> = expected(case, fixtures)?.into_iter().flat_map(spans).map(written).collect();
    compare(&found, &wanted)
}

/// The spans of OTLP/JSON with resource and scope, without fields that say nothing, attributes by their keys.
fn spans(data: &Value) -> Vec<(Value, Value, Value)> {
    let mut found = Vec::new();
    for part in data["resourceSpans"].as_array().into_iter().flatten() {
        for scoped in part["scopeSpans"].as_array().into_iter().flatten() {
            for span in scoped["spans"].as_array().into_iter().flatten() {
                let parts = [&part["resource"], &scoped["scope"], span].map(|value| said(value).unwrap_or(json!({})));
                let [resource, scope, span] = parts;
                found.push((resource, scope, span));
            }
        }
    }
    found
}

/// A value without the fields that say nothing.
fn said(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(fields) => {
            // An attribute says something whatever its value.
            let whole = fields.contains_key("key");
            let keep = |(name, value): (&String, &Value)| match said(value) {
                None if whole => Some((name.clone(), value.clone())),
                said => said.map(|value| (name.clone(), value)),
            };
            let fields: Map<String, Value> = fields.iter().filter_map(keep).collect();
            (!fields.is_empty()).then_some(Value::Object(fields))
        }
        Value::Array(list) => {
            let mut list: Vec<Value> = list.iter().filter_map(said).collect();
            let key = |value: &Value| value["key"].as_str().map(str::to_owned);
            if list.iter().all(|value| key(value).is_some()) {
                list.sort_by_key(key);
            }
            (!list.is_empty()).then_some(Value::Array(list))
        }
        Value::String(text) => (!text.is_empty()).then(|| value.clone()),
        Value::Number(number) => (number.as_f64() != Some(0.0)).then(|| value.clone()),
        Value::Bool(_) => Some(value.clone()),
    }
}

fn compare(found: &BTreeSet<String>, wanted: &BTreeSet<String>) -> Result<()> {
    let missing: Vec<&String> = wanted.difference(found).collect();
    let more: Vec<&String> = found.difference(wanted).collect();
    ensure!(missing.is_empty() && more.is_empty(), "missing {missing:?}, not expected {more:?}");
    Ok(())
}

/// The pair of a file and how Jaeger shows it (A2).
fn converted(to: SocketAddr, corpora: &Path) -> Result<()> {
    let read =
        |name: &str| -> Result<Value> { Ok(serde_json::from_str(&std::fs::read_to_string(corpora.join(name))?)?) };
    let answer = post(to, "/jaeger/api/transform", &read("otlp2jaeger-in.json")?)?;
    let said: Value = serde_json::from_slice(&answer.body)?;
    let wanted = read("otlp2jaeger-out.json")?;
    ensure!(answer.status == 200 && said == wanted, "{}: {said}", answer.status);
    Ok(())
}
