mod diff;
mod drilldown;
mod mcp;
mod part;

use crate::config::Config;
use crate::fixture::{Fixture, NOW, SECOND, TestSpan, span_id, spans, trace};
use crate::http::{Host, QueryState, router};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use storage::model::attribute::{Map, MapBuilder, Value as Attribute};
use storage::model::origin::{Resource, Scope};
use storage::model::{Span, SpanBatchBuilder};
use tower::ServiceExt;

struct Server {
    fixture: Fixture,
    router: Router,
}

impl Server {
    async fn new() -> Self {
        let fixture = Fixture::new();
        let span = |id, parent, service, name, status, kind| TestSpan {
            id,
            parent,
            service,
            name,
            status,
            kind,
            start: NOW - 10 * SECOND + id as i64,
            duration: 1_000_000 * id as i64,
            attributes: vec![("http.method", "GET"), ("a/b", "x")],
            ..TestSpan::default()
        };
        fixture
            .put(spans(&[
                span(1, None, "gateway", "GET /", 0, 2),
                span(2, Some(1), "cart", "add", 2, 3),
                span(3, Some(2), "db", "SELECT", 0, 3),
                TestSpan { trace: 2, id: 9, start: NOW - 20 * SECOND, ..TestSpan::default() },
            ]))
            .await;
        fixture.flush().await;
        let state =
            QueryState::new(Config::default(), fixture.engine.clone(), fixture.clock.clone(), Host::default()).unwrap();
        Server { router: router(state), fixture }
    }

    async fn send(&self, path: &str, accept: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
        let request = Request::get(format!("/tempo{path}")).header("accept", accept).body(Body::empty()).unwrap();
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        (parts.status, parts.headers, body.collect().await.unwrap().to_bytes().to_vec())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, _, body) = self.send(path, "application/json").await;
        let text = String::from_utf8(body).unwrap();
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn refused(&self, path: &str) -> (u16, String) {
        let (status, headers, body) = self.send(path, "*/*").await;
        assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
        (status.as_u16(), String::from_utf8(body).unwrap())
    }

    async fn search(&self, query: &str) -> Value {
        self.get(&format!("/api/search?q={}&limit=200&spss=20", escaped(query))).await
    }
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn grafana_finds_the_server() {
    let server = Server::new().await;
    let (status, _, body) = server.send("/api/echo", "*/*").await;
    assert_eq!((status, body.as_slice()), (StatusCode::OK, b"echo".as_slice()));
    assert!(server.get("/api/status/buildinfo").await["version"].is_string());
    assert_eq!(server.refused("/api/nothing").await.0, 404);
    assert_eq!(server.send("/api/v2/traces/diff", "*/*").await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_trace_is_answered_as_protobuf_and_as_json() {
    let server = Server::new().await;
    let id = trace(1).to_string();
    let (status, headers, body) = server.send(&format!("/api/traces/{id}"), "application/protobuf").await;
    assert_eq!((status, &headers["content-type"]), (StatusCode::OK, &"application/protobuf".parse().unwrap()));
    assert_eq!(TracesData::decode(body.as_slice()).unwrap().resource_spans.len(), 3);

    let (_, _, wrapped) = server.send(&format!("/api/v2/traces/{id}"), "application/protobuf").await;
    // `TraceByIDResponse`: the trace is field 1, empty metrics field 2.
    assert!(wrapped.starts_with(&[0x0a]) && wrapped.ends_with(&[0x12, 0]) && wrapped.len() > body.len());

    let v1 = server.get(&format!("/api/traces/{}", id.to_uppercase())).await;
    let span = &v1["batches"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["traceId"], "AQEBAQEBAQEBAQEBAQEBAQ==");
    assert_eq!(span["kind"], "SPAN_KIND_SERVER");
    assert!(span.get("parentSpanId").is_none());
    let v2 = server.get(&format!("/api/v2/traces/{id}")).await;
    assert_eq!(v2["trace"]["resourceSpans"], v1["batches"]);

    for version in ["", "/v2"] {
        assert_eq!(server.refused(&format!("/api{version}/traces/ffff")).await.0, 404);
        assert_eq!(server.refused(&format!("/api{version}/traces/xyz")).await.0, 400);
        assert_eq!(server.refused(&format!("/api{version}/traces/{}", "f".repeat(33))).await.0, 400);
    }
}

#[tokio::test]
async fn a_search_has_the_fields_that_grafana_knows_and_no_other() {
    let server = Server::new().await;
    let answer = server.search("{ status = error } | select(resource.service.name, nestedSetParent, kind)").await;
    let span = json!({
        "spanID": "0000000000000002", "name": "add", "startTimeUnixNano": (NOW - 10 * SECOND + 2).to_string(),
        "durationNanos": "2000000",
        "attributes": [
            { "key": "status", "value": { "stringValue": "error" } },
            { "key": "service.name", "value": { "stringValue": "cart" } },
            { "key": "nestedSetParent", "value": { "intValue": "1" } },
            { "key": "kind", "value": { "stringValue": "client" } },
        ],
    });
    let set = json!({ "spans": [span], "matched": 1 });
    assert_eq!(
        answer["traces"],
        json!([{
            "traceID": trace(1).to_string(), "rootServiceName": "gateway", "rootTraceName": "GET /",
            "startTimeUnixNano": (NOW - 10 * SECOND + 1).to_string(), "durationMs": 3, "spanSet": set, "spanSets": [set],
            "serviceStats": { "gateway": { "spanCount": 1 }, "cart": { "spanCount": 1, "errorCount": 1 }, "db": { "spanCount": 1 } },
        }])
    );
    let known = [
        "inspectedTraces",
        "inspectedBytes",
        "totalBlocks",
        "completedJobs",
        "totalJobs",
        "totalBlockBytes",
        "inspectedSpans",
    ];
    let metrics = answer["metrics"].as_object().unwrap();
    assert!(metrics.keys().all(|key| known.contains(&key.as_str())), "{metrics:?}");
    assert_eq!(server.get("/api/search").await["traces"].as_array().unwrap().len(), 2);
    assert_eq!(
        server.get("/api/search?tags=http.method%3Dget&minDuration=1ms").await["traces"].as_array().unwrap().len(),
        1
    );
    let grouped = server.search("{ } | by(resource.service.name) | count() = 1").await;
    let told = &grouped["traces"][0]["spanSets"][1]["attributes"];
    assert_eq!(told[0], json!({ "key": "by(resource.service.name)", "value": { "stringValue": "cart" } }));
    assert_eq!(told[1], json!({ "key": "count()", "value": { "intValue": "1" } }));
}

#[tokio::test]
async fn the_searches_of_traces_drilldown_are_answered() {
    let server = Server::new().await;
    let root = "nestedSetParent<0 && true";
    let structure = format!(
        "({{{root}}} &>> {{ status = error }}) || ({{{root}}}) | select(status, resource.service.name, name, nestedSetParent, nestedSetLeft, nestedSetRight)"
    );
    let answer = server.search(&structure).await;
    let spans = &answer["traces"][0]["spanSets"][0]["spans"];
    let names: Vec<&str> = spans.as_array().unwrap().iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert_eq!((names, answer["traces"].as_array().unwrap().len()), (vec!["GET /", "add"], 2));
    let attributes = spans[0]["attributes"].as_array().unwrap();
    let left = attributes.iter().find(|entry| entry["key"] == "nestedSetLeft").unwrap();
    assert_eq!(left["value"], json!({ "intValue": "1" }));
    let exceptions = "{nestedSetParent<0 && status = error} | select(resource.service.name, event.exception.message,event.exception.stacktrace,event.exception.type) with(most_recent=true)";
    assert_eq!(server.search(exceptions).await["traces"], json!([]));
    let slow = server.search("{nestedSetParent<0 && duration > 1ms} | select(name)").await;
    assert_eq!(slow["traces"], json!([]));
}

#[tokio::test]
async fn what_is_no_query_is_refused_with_its_place() {
    let server = Server::new().await;
    let refused = |query: &'static str| server.refused_search(query);
    assert_eq!(refused("{ .a = }").await, (400, "invalid TraceQL query: parse error at line 1, column 8: expected a value, an attribute such as `.http.method`, or an intrinsic, found `}`".into()));
    assert_eq!(
        refused("{ 1 = \"a\" }").await,
        (400, "invalid TraceQL query: line 1, column 5: a number never equals a text".into())
    );
    assert_eq!(server.refused("/api/search?start=9&end=5").await.0, 400);
    assert_eq!(server.refused("/api/search?limit=x").await.0, 400);
    for path in ["search?limit=10001", "v2/search/tag/span.a/values?limit=99999999999999999999"] {
        let (status, why) = server.refused(&format!("/api/{path}")).await;
        assert_eq!(status, 400, "{path}");
        assert!(why.contains("exceeds the most that is allowed, 10000"), "{why}");
    }
}

impl Server {
    async fn refused_search(&self, query: &str) -> (u16, String) {
        self.refused(&format!("/api/search?q={}", escaped(query))).await
    }
}

#[tokio::test]
async fn tags_and_values_are_listed() {
    let server = Server::new().await;
    let scopes = server.get("/api/v2/search/tags").await;
    let of = |name: &str| -> BTreeSet<String> {
        let scopes = scopes["scopes"].as_array().unwrap();
        let scope = scopes.iter().find(|scope| scope["name"] == name).unwrap_or_else(|| panic!("{name}: {scopes:?}"));
        scope["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned()).collect()
    };
    assert!(of("span").contains("http.method") && of("resource").contains("service.name"));
    assert!(of("intrinsic").contains("rootServiceName"));
    let only = server.get("/api/v2/search/tags?scope=span").await;
    assert_eq!(only["scopes"].as_array().unwrap().len(), 1);
    // As far as it is typed, a filter counts here, too.
    let filtered = |query: &str| format!("/api/v2/search/tags?scope=span&q={}", escaped(query));
    let keys = server.get(&filtered("{ name = \"SELECT\" && status = }")).await;
    assert_eq!(keys["scopes"][0]["tags"], json!(["a/b", "http.method"]));
    let keys = server.get(&filtered("{ span.http.method = nil }")).await;
    assert_eq!(keys["scopes"][0]["tags"], json!([]), "a span without attributes");
    let first = server.get("/api/v2/search/tags?scope=span&limit=1").await;
    assert_eq!(first["scopes"][0]["tags"], json!(["a/b"]));
    let names = server.get("/api/search/tags").await;
    assert!(names["tagNames"].as_array().unwrap().contains(&json!("http.method")));

    let values = async |path: &str| server.get(path).await["tagValues"].clone();
    let text = |value: &str| json!({ "type": "string", "value": value });
    let services = values("/api/v2/search/tag/resource.service.name/values?tag=resource.service.name").await;
    assert_eq!(services, json!([text("cart"), text("db"), text("gateway"), text("shop")]));
    let filtered =
        format!("/api/v2/search/tag/resource.service.name/values?q={}", escaped("{ status = error && name = }"));
    assert_eq!(values(&filtered).await, json!([text("cart")]));
    // What the trace decides filters nothing, what the span does goes on to.
    let of_trace = "{ rootName = \"GET /\" && status = error && traceDuration > 1ns && name = }";
    let filtered = format!("/api/v2/search/tag/resource.service.name/values?q={}", escaped(of_trace));
    assert_eq!(values(&filtered).await, json!([text("cart")]));
    assert_eq!(values("/api/v2/search/tag/span.a%2Fb/values").await, json!([text("x")]));
    assert_eq!(values("/api/v2/search/tag/span.a/b/values").await, json!([text("x")]));
    assert_eq!(values("/api/v2/search/tag/rootServiceName/values").await, json!([text("gateway"), text("shop")]));
    let status = values("/api/v2/search/tag/status/values").await;
    assert!(status.as_array().unwrap().contains(&json!({ "type": "keyword", "value": "error" })));
    assert_eq!(values("/api/search/tag/service.name/values").await, json!(["cart", "db", "gateway", "shop"]));
    assert_eq!(server.refused("/api/v2/search/tag/foo/values").await.0, 400);
}

#[tokio::test]
async fn a_resource_that_tells_no_service_is_among_the_values() {
    let server = Server::new().await;
    let values = async |tag: &str| {
        let answer = server.get(&format!("/api/v2/search/tag/{tag}/values")).await;
        let list = answer["tagValues"].as_array().unwrap().clone();
        list.iter().filter(|value| value["value"] == "unknown_service").count()
    };
    assert_eq!((values("resource.service.name").await, values(".service.name").await), (0, 0));
    for (id, service) in [(91, "-"), (92, "")] {
        let start = NOW - 10 * SECOND;
        server.fixture.put(spans(&[TestSpan { trace: 9, id, start, service, ..TestSpan::default() }])).await;
        assert_eq!((values("resource.service.name").await, values(".service.name").await), (1, 1), "in memory");
        server.fixture.flush().await;
        assert_eq!((values("resource.service.name").await, values(".service.name").await), (1, 1), "in a block");
    }
    let (status, message) = server.refused("/api/v2/search/tags?scope=bogus").await;
    assert_eq!((status, message.contains("'bogus'")), (400, true), "{message}");
}

#[tokio::test]
async fn the_metrics_of_traces_drilldown_are_answered() {
    let server = Server::new().await;
    let end = NOW / SECOND;
    let range = async |query: &str, step: &str| {
        let path = format!("/api/metrics/query_range?q={}&start={}&end={end}&step={step}", escaped(query), end - 60);
        server.get(&path).await["series"].clone()
    };
    let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let sample =
        |offset: i64, value: f64| json!({ "timestampMs": ((end + offset) * 1000).to_string(), "value": value });

    let rate = range("{nestedSetParent<0 && true} | rate() by(resource.service.name) with(sample=true)", "30s").await;
    let expected = json!([
        { "labels": [text("resource.service.name", "gateway")], "samples": [sample(-30, 0.0), sample(0, 1.0 / 30.0)] },
        { "labels": [text("resource.service.name", "shop")], "samples": [sample(-30, 0.0), sample(0, 1.0 / 30.0)] },
    ]);
    assert_eq!(rate, expected);
    let errors = range("{nestedSetParent<0 && status=error} | rate()", "60s").await;
    assert_eq!(errors, json!([{ "labels": [text("__name__", "rate")], "samples": [sample(0, 0.0)] }]));
    let probe = range("{} | rate()", "60s").await;
    assert_eq!(probe[0]["samples"], json!([sample(0, 4.0 / 60.0)]));
    let slow = range(
        "{true && resource.service.name != nil} | quantile_over_time(duration, 0.9) by(resource.service.name)",
        "60s",
    )
    .await;
    let labels = json!([text("resource.service.name", "cart"), { "key": "p", "value": { "doubleValue": 0.9 } }]);
    assert_eq!(slow[0], json!({ "labels": labels, "samples": [sample(0, 0.002)] }));
    let heat = range("{true} | histogram_over_time(duration) with(sample=true)", "60s").await;
    let bucket = |bucket: f64| json!([{ "key": "__bucket", "value": { "doubleValue": bucket } }]);
    assert_eq!(heat[0], json!({ "labels": bucket(0.001048576), "samples": [sample(0, 2.0)] }));
    assert_eq!(heat.as_array().unwrap().len(), 3);
    let compared =
        range(&format!("{{kind=client}} | compare({{status = error}}, 10, {}, {})", NOW - 60 * SECOND, NOW), "60s")
            .await;
    let series = compared.as_array().unwrap();
    let told = |kind: &str, key: &str, value: &str| {
        let labels = json!([text("__meta_type", kind), text(key, value)]);
        series.iter().any(|series| series["labels"] == labels && series["samples"] == json!([sample(0, 1.0)]))
    };
    assert!(told("selection", "name", "add") && told("baseline", "name", "SELECT"), "{compared}");
    assert!(told("selection_total", "span.http.method", "nil") && told("baseline", "resource.service.name", "db"));
}

#[tokio::test]
async fn what_is_compared_keeps_its_type() {
    let server = Server::new().await;
    let values = [
        (51, Attribute::Int(1)),
        (52, Attribute::Double(1.0)),
        (53, Attribute::String("1")),
        (54, Attribute::Bool(true)),
    ];
    let mut builder = SpanBatchBuilder::default();
    builder.set_resource(&Resource::default());
    builder.set_scope(&Scope::default());
    for (id, value) in values {
        let mut attributes = MapBuilder::default();
        attributes.push("n", value);
        let (start, attributes) = (NOW - 5 * SECOND, attributes.finish());
        let attributes = Map::new(&attributes);
        builder.append(&Span { start, duration: 7, attributes, ..Span::new(trace(5), span_id(id)) }).unwrap();
    }
    server.fixture.put(builder.finish().unwrap()).await;
    let query = escaped("{ duration = 7ns } | compare({ status = error })");
    let path = format!("/api/metrics/query?q={query}&start={}&end={}", NOW - 60 * SECOND, NOW);
    let answer = server.get(&path).await;
    let mut told: Vec<String> = Vec::new();
    for series in answer["series"].as_array().unwrap() {
        let labels = series["labels"].as_array().unwrap();
        if labels[0]["value"]["stringValue"] == "baseline" && labels[1]["key"] == "span.n" {
            told.push(format!("{} {}", labels[1]["value"], series["value"]));
        }
    }
    told.sort_unstable();
    let expected = [
        r#"{"boolValue":true} 1.0"#,
        r#"{"doubleValue":1.0} 1.0"#,
        r#"{"intValue":"1"} 1.0"#,
        r#"{"stringValue":"1"} 1.0"#,
    ];
    assert_eq!(told, expected);
    let plain = server.get("/api/search/tag/n/values").await;
    assert_eq!(plain["tagValues"], json!(["1", "true"]), "as texts each once");
}

#[tokio::test]
async fn an_instant_query_has_a_value_and_no_field_that_grafana_does_not_know() {
    let server = Server::new().await;
    let query = escaped("{ } | count_over_time() by (resource.service.name) | topk(1)");
    let answer = server.get(&format!("/api/metrics/query?q={query}&start={}&end={}", NOW - 60 * SECOND, NOW)).await;
    let label = json!([{ "key": "resource.service.name", "value": { "stringValue": "cart" } }]);
    assert_eq!(answer["series"], json!([{ "labels": label, "value": 1.0 }]));
    let keys: Vec<&str> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["metrics", "series"]);
    let recent = server.get(&format!("/api/metrics/query?since=15s&q={}", escaped("{ } | count_over_time()"))).await;
    assert_eq!(recent["series"][0]["value"], json!(3.0));
    for bad in ["step=0", "step=x", "start=1&end=1", "since=-1s", "step=1ns&start=0"] {
        let (status, message) =
            server.refused(&format!("/api/metrics/query_range?q={}&{bad}", escaped("{} | rate()"))).await;
        assert_eq!(status, 400, "{bad}: {message}");
    }
    assert!(server.refused("/api/metrics/query?q=%7B%7D").await.1.contains("asks for traces"));
}

#[tokio::test]
async fn exemplars_name_a_span_of_each_step() {
    let server = Server::new().await;
    let query = format!("/api/metrics/query_range?q={}&step=60s&exemplars=10", escaped("{ status = error } | rate()"));
    let series = &server.get(&query).await["series"][0];
    let labels = json!([
        { "key": "trace:id", "value": { "stringValue": trace(1).to_string() } },
        { "key": "span:id", "value": { "stringValue": "0000000000000002" } },
    ]);
    assert_eq!(series["exemplars"][0]["labels"], labels);
    assert_eq!(series["exemplars"][0]["value"], json!(1.0 / 60.0));
    assert_eq!(series["exemplars"][0]["timestampMs"], json!(((NOW - 10 * SECOND) / 1_000_000).to_string()));
    // Those of a histogram stand with the bucket that their values are counted in.
    let text = "{ status = error } | histogram_over_time(duration)";
    let query = format!("/api/metrics/query_range?q={}&step=60s&exemplars=10", escaped(text));
    let answer = server.get(&query).await;
    let buckets = answer["series"].as_array().unwrap();
    assert!(!buckets.is_empty());
    for bucket in buckets {
        let (upper, told) = (&bucket["labels"][0], &bucket["exemplars"][0]);
        assert_eq!((&upper["key"], &told["labels"]), (&json!("__bucket"), &labels), "{bucket}");
        let (upper, value) = (upper["value"]["doubleValue"].as_f64().unwrap(), told["value"].as_f64().unwrap());
        assert!(upper / 2.0 < value && value <= upper, "{bucket}");
    }
}

#[tokio::test]
async fn of_too_many_series_the_greatest_are_told_and_that_is_said() {
    let server = Server::new().await;
    let names: Vec<&'static str> = (0..1200).map(|id| &*format!("n{id:04}").leak()).collect();
    let span = |(id, name): (u64, &'static str)| TestSpan { trace: 3, id, name, ..TestSpan::default() };
    let mut list: Vec<TestSpan> = (100u64..).zip(names.iter().copied()).map(span).collect();
    list.push(TestSpan { trace: 3, id: 9999, name: "n0777", ..TestSpan::default() });
    server.fixture.put(spans(&list)).await;
    let query = format!("/api/metrics/query?q={}", escaped("{ } | count_over_time() by (name)"));
    let answer = server.get(&query).await;
    assert_eq!(answer["series"].as_array().unwrap().len(), 1000);
    assert_eq!(answer["status"], "PARTIAL");
    assert!(answer["message"].as_str().unwrap().contains("1000 of 1203 series"), "{}", answer["message"]);
    let twice = answer["series"].as_array().unwrap().iter().filter(|series| series["value"] == json!(2.0));
    let names: Vec<&Value> = twice.map(|series| &series["labels"][0]["value"]["stringValue"]).collect();
    assert_eq!(names, ["GET /", "n0777"], "those of most spans are among them");
}
