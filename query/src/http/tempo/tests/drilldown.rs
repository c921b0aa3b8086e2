//! For tests: every query that Grafana's Traces Drilldown sends, over HTTP, and the whole answers, which are in `tests/drilldown`.
//!
//! A file says what is asked and what is answered. Where an answer changes for a good reason, `SPANLIGHT_GOLDEN=write` writes
//! the files anew; the change is then to be looked at.

use super::escaped;
use crate::config::Config;
use crate::fixture::{Fixture, NOW, SECOND, span_id, text_map, trace};
use crate::http::{Host, QueryState, router};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Map as Object, Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use storage::model::attribute::Map;
use storage::model::origin::{Resource, Scope};
use storage::model::record::Event;
use storage::model::{Batch, Span, SpanBatchBuilder};
use tower::ServiceExt;

const MILLISECOND: i64 = 1_000_000;

/// A span of the data that is asked about.
struct Told {
    trace: u8,
    id: u64,
    parent: Option<u64>,
    service: &'static str,
    name: &'static str,
    kind: i32,
    /// Milliseconds after the start of its trace.
    start: i64,
    milliseconds: i64,
    status: i32,
    attributes: &'static [(&'static str, &'static str)],
    exception: Option<&'static str>,
}

const SPAN: Told = Told {
    trace: 1,
    id: 1,
    parent: None,
    service: "frontend",
    name: "GET /checkout",
    kind: 2,
    start: 0,
    milliseconds: 120,
    status: 0,
    attributes: &[("http.route", "/checkout")],
    exception: None,
};

/// A checkout that went well, one whose payment failed, and a mail that was sent later.
const DATA: [Told; 12] = [
    SPAN,
    Told { id: 2, parent: Some(1), name: "charge", kind: 3, start: 10, milliseconds: 60, attributes: &[], ..SPAN },
    Told {
        id: 3,
        parent: Some(2),
        service: "payment",
        name: "Charge",
        start: 15,
        milliseconds: 50,
        attributes: &[],
        ..SPAN
    },
    Told {
        id: 4,
        parent: Some(3),
        service: "payment",
        name: "INSERT charges",
        kind: 3,
        start: 20,
        milliseconds: 30,
        attributes: &[("db.system.name", "postgresql"), ("db.namespace", "payments")],
        ..SPAN
    },
    Told { trace: 2, id: 11, milliseconds: 900, status: 2, ..SPAN },
    Told {
        trace: 2,
        id: 12,
        parent: Some(11),
        name: "charge",
        kind: 3,
        start: 10,
        milliseconds: 850,
        status: 2,
        attributes: &[],
        ..SPAN
    },
    Told {
        trace: 2,
        id: 13,
        parent: Some(12),
        service: "payment",
        name: "Charge",
        start: 15,
        milliseconds: 840,
        status: 2,
        attributes: &[("card.network", "visa")],
        exception: Some("card was declined: \"<b>&'limit'</b>\""),
        ..SPAN
    },
    Told {
        trace: 2,
        id: 14,
        parent: Some(13),
        service: "payment",
        name: "INSERT charges",
        kind: 3,
        start: 20,
        milliseconds: 800,
        attributes: &[("db.system.name", "postgresql"), ("db.namespace", "payments")],
        ..SPAN
    },
    Told {
        trace: 2,
        id: 15,
        parent: Some(11),
        name: "render",
        kind: 1,
        start: 870,
        milliseconds: 20,
        attributes: &[],
        ..SPAN
    },
    Told {
        trace: 3,
        id: 21,
        name: "publish mail",
        kind: 4,
        milliseconds: 3,
        attributes: &[("messaging.destination.name", "mails")],
        ..SPAN
    },
    Told {
        trace: 3,
        id: 22,
        parent: Some(21),
        service: "mail",
        name: "process mail",
        kind: 5,
        start: 40,
        milliseconds: 200,
        attributes: &[("messaging.destination.name", "mails")],
        ..SPAN
    },
    // Its root has not come.
    Told {
        trace: 4,
        id: 31,
        parent: Some(30),
        service: "mail",
        name: "send",
        kind: 1,
        milliseconds: 5,
        attributes: &[],
        ..SPAN
    },
];

fn batch() -> Batch {
    let mut builder = SpanBatchBuilder::default();
    for told in DATA {
        let resource = text_map(&[("service.name", told.service), ("service.namespace", "shop")]);
        builder.set_resource(&Resource { attributes: Map::new(&resource), ..Resource::default() });
        builder.set_scope(&Scope { name: "test", ..Scope::default() });
        let attributes = text_map(told.attributes);
        let start = NOW - 60 * SECOND + i64::from(told.trace) * 10 * SECOND + told.start * MILLISECOND;
        let mut events = Vec::new();
        if let Some(message) = told.exception {
            let attributes = text_map(&[
                ("exception.message", message),
                ("exception.stacktrace", "at charge\n\tat main"),
                ("exception.type", "CardDeclined"),
            ]);
            let event = Event {
                time_unix_nano: (start + MILLISECOND).cast_unsigned(),
                name: "exception",
                attributes: Map::new(&attributes),
                dropped_attributes_count: 0,
            };
            event.put(&mut events);
        }
        builder
            .append(&Span {
                parent_span_id: told.parent.map(span_id),
                name: told.name,
                kind: told.kind,
                start,
                duration: told.milliseconds * MILLISECOND,
                status_code: told.status,
                attributes: Map::new(&attributes),
                events: &events,
                ..Span::new(trace(told.trace), span_id(told.id))
            })
            .unwrap();
    }
    builder.finish().unwrap()
}

/// What is asked: the name of its file, the path, and the query in it, if it has one.
fn questions() -> Vec<(String, String, String)> {
    const SIGNALS: [(&str, &str); 5] = [
        ("root_spans", "nestedSetParent<0"),
        ("all_spans", "true"),
        ("server_spans", "kind=server"),
        ("consumer_spans", "kind=consumer"),
        ("database_calls", "span.db.system.name!=\"\""),
    ];
    let (start, end) = (NOW / SECOND - 60, NOW / SECOND);
    let mut asked = Vec::new();
    let range = |step: &str| format!("/api/metrics/query_range?start={start}&end={end}&step={step}");
    let search = format!("/api/search?limit=200&spss=20&start={start}&end={end}");
    let mut ask = |name: String, path: String, query: String| asked.push((name, path, query));
    for (name, signal) in SIGNALS {
        let filtered = format!("{signal} && resource.service.namespace=\"shop\"");
        ask(
            format!("rate.{name}"),
            range("30s"),
            format!("{{{signal} && true}} | rate() by(resource.service.name) with(sample=true)"),
        );
        ask(format!("errors.{name}"), range("30s"), format!("{{{filtered} && status=error}} | rate()"));
        let quantile = format!(
            "{{{signal} && resource.service.name != nil}} | quantile_over_time(duration, 0.9) by(resource.service.name)"
        );
        ask(format!("duration.{name}"), range("60s"), quantile);
        ask(
            format!("heatmap.{name}"),
            range("30s"),
            format!("{{{filtered}}} | histogram_over_time(duration) with(sample=true)"),
        );
        let (from, to) = (start * SECOND, end * SECOND);
        ask(format!("compare_errors.{name}"), range("60s"), format!("{{{signal}}} | compare({{status = error}})"));
        let slow = format!("{{{signal}}} | compare({{duration > 100ms}}, 10, {from}, {to})");
        ask(format!("compare_slow.{name}"), range("60s"), slow);
        let root = format!("{{{signal}}}");
        let told = "select(status, resource.service.name, name, nestedSetParent, nestedSetLeft, nestedSetRight)";
        ask(
            format!("structure.{name}"),
            search.clone(),
            format!("({root} &>> {{ status = error }}) || ({root}) | {told}"),
        );
        let exceptions =
            "select(resource.service.name, event.exception.message,event.exception.stacktrace,event.exception.type)";
        let failed = format!("{{{signal} && status = error}} | {exceptions} with(most_recent=true)");
        ask(format!("exceptions.{name}"), search.clone(), failed);
        let slow = format!("{{{signal} && duration > 100ms}} | select(resource.service.name,.http.route, status)");
        ask(format!("slow.{name}"), search.clone(), slow);
    }
    ask("probe".into(), range("60s"), "{} | rate()".into());
    let tags = format!("start={start}&end={end}");
    ask("tags".into(), format!("/api/v2/search/tags?{tags}&limit=5000"), String::new());
    for (name, tag) in [("service", "resource.service.name"), ("status", "status"), ("route", "span.http.route")] {
        let path = format!("/api/v2/search/tag/{tag}/values?tag={tag}&{tags}");
        ask(format!("values.{name}"), path, "{nestedSetParent<0 && true}".into());
    }
    asked
}

async fn answer(router: &Router, path: &str, query: &str) -> Value {
    let joined = if query.is_empty() { String::new() } else { format!("&q={}", escaped(query)) };
    let request = Request::get(format!("/tempo{path}{joined}")).header("accept", "application/json");
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(status, StatusCode::OK, "{path} {query}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}

fn folder() -> PathBuf {
    Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../tests/drilldown")
}

/// What Grafana's plugin reads with a parser that refuses what it does not know: name, and the shape of the value.
enum Shape {
    Text,
    /// A 64-bit integer, as a decimal string.
    Wide,
    Number,
    /// A value of an attribute: one field of four, named after its type.
    Any,
    List(&'static Shape),
    /// Objects by a name that is data.
    Named(&'static Shape),
    Object(&'static [(&'static str, Shape)]),
}

use Shape::{Any, List, Named, Number, Text, Wide};

static ATTRIBUTE: Shape = Shape::Object(&[("key", Text), ("value", Any)]);
static SPANSET: Shape = Shape::Object(&[
    (
        "spans",
        List(&Shape::Object(&[
            ("spanID", Text),
            ("name", Text),
            ("startTimeUnixNano", Wide),
            ("durationNanos", Wide),
            ("attributes", List(&ATTRIBUTE)),
        ])),
    ),
    ("matched", Number),
    ("attributes", List(&ATTRIBUTE)),
]);
static METRICS: Shape = Shape::Object(&[
    ("inspectedTraces", Number),
    ("inspectedBytes", Wide),
    ("totalBlocks", Number),
    ("completedJobs", Number),
    ("totalJobs", Number),
    ("totalBlockBytes", Wide),
    ("inspectedSpans", Wide),
]);
static SEARCH: Shape = Shape::Object(&[
    (
        "traces",
        List(&Shape::Object(&[
            ("traceID", Text),
            ("rootServiceName", Text),
            ("rootTraceName", Text),
            ("startTimeUnixNano", Wide),
            ("durationMs", Number),
            ("spanSet", Shape::Object(&[])),
            ("spanSets", List(&SPANSET)),
            ("serviceStats", Named(&Shape::Object(&[("spanCount", Number), ("errorCount", Number)]))),
        ])),
    ),
    ("metrics", Shape::Object(&[])),
]);
static SERIES: Shape = Shape::Object(&[
    (
        "series",
        List(&Shape::Object(&[
            ("labels", List(&ATTRIBUTE)),
            ("samples", List(&Shape::Object(&[("timestampMs", Wide), ("value", Number)]))),
            ("promLabels", Text),
            (
                "exemplars",
                List(&Shape::Object(&[("labels", List(&ATTRIBUTE)), ("value", Number), ("timestampMs", Wide)])),
            ),
        ])),
    ),
    ("metrics", Shape::Object(&[])),
    ("status", Text),
    ("message", Text),
]);
static TAGS: Shape = Shape::Object(&[
    ("scopes", List(&Shape::Object(&[("name", Text), ("tags", List(&Text))]))),
    ("tagValues", List(&Shape::Object(&[("type", Text), ("value", Text)]))),
    ("metrics", Shape::Object(&[])),
]);

fn fits(shape: &Shape, value: &Value, at: &str) {
    match shape {
        Text => assert!(value.is_string(), "{at}: {value}"),
        Wide => assert!(value.as_str().is_some_and(|text| text.parse::<i64>().is_ok()), "{at}: {value}"),
        Number => assert!(value.is_number(), "{at}: {value}"),
        Any => {
            let (name, value) =
                value.as_object().and_then(|object| object.iter().next()).unwrap_or_else(|| panic!("{at}"));
            match name.as_str() {
                "stringValue" => assert!(value.is_string(), "{at}: {value}"),
                "intValue" => fits(&Wide, value, at),
                "doubleValue" => assert!(value.is_number(), "{at}: {value}"),
                "boolValue" => assert!(value.is_boolean(), "{at}: {value}"),
                "arrayValue" => value["values"].as_array().unwrap().iter().for_each(|value| fits(&Any, value, at)),
                other => panic!("{at}: {other}"),
            }
        }
        List(of) => value.as_array().unwrap_or_else(|| panic!("{at}")).iter().for_each(|value| fits(of, value, at)),
        Named(of) => object(value, at).values().for_each(|value| fits(of, value, at)),
        Shape::Object(fields) => {
            for (name, value) in object(value, at) {
                let at = format!("{at}.{name}");
                match (name.as_str(), fields.iter().find(|(known, _)| known == name)) {
                    ("metrics", Some(_)) => fits(&METRICS, value, &at),
                    ("spanSet", Some(_)) => fits(&SPANSET, value, &at),
                    (_, Some((_, shape))) => fits(shape, value, &at),
                    (_, None) => panic!("{at}: Grafana does not know it"),
                }
            }
        }
    }
}

fn object<'v>(value: &'v Value, at: &str) -> &'v Object<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("{at}: {value}"))
}

#[tokio::test]
async fn every_query_of_traces_drilldown_has_the_answer_in_its_file() {
    let fixture = Fixture::new();
    fixture.put(batch()).await;
    fixture.flush().await;
    let state =
        QueryState::new(Config::default(), fixture.engine.clone(), fixture.clock.clone(), Host::default()).unwrap();
    let router = router(state);
    let (mut names, mut wrong) = (BTreeSet::new(), Vec::new());
    for (name, path, query) in questions() {
        let mut answered = answer(&router, &path, &query).await;
        let shape = match path.as_str() {
            path if path.starts_with("/api/search?") => &SEARCH,
            path if path.starts_with("/api/metrics/") => &SERIES,
            _ => &TAGS,
        };
        fits(shape, &answered, &name);
        // What it has cost is not what it is.
        answered.as_object_mut().unwrap().remove("metrics");
        let found = json!({ "path": path, "query": query, "answer": answered });
        let file = folder().join(format!("{name}.json"));
        if std::env::var_os("SPANLIGHT_GOLDEN").is_some_and(|how| how == "write") {
            std::fs::create_dir_all(folder()).unwrap();
            std::fs::write(&file, format!("{found:#}\n")).unwrap();
        }
        let expected = std::fs::read(&file).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        if expected.as_ref() != Some(&found) {
            wrong.push(format!("{name}: {found:#}"));
        }
        names.insert(format!("{name}.json"));
    }
    assert!(wrong.is_empty(), "{} answers are not those of their files:\n{}", wrong.len(), wrong.join("\n"));
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(
        files.filter(|file| file.ends_with(".json")).collect::<BTreeSet<_>>(),
        names,
        "files that nobody asks for"
    );
}
