use super::endpoint::{Kind, Place};
use super::openapi::tests::{answer_schema, check};
use super::*;
use crate::config::Config;
use crate::fixture::{Fixture, NOW, SECOND, TestLog, TestPoint, TestSpan, logs, points, spans};
use axum::body::Body as HttpBody;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use query_api::error::{Class, ErrorBody};
use query_api::letter::Replayed;
use query_api::log::LogsResponse;
use query_api::otlp::TracesData;
use query_api::status::{DemoStatus, LastReceived};
use query_api::trace::SearchResponse;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use tower::ServiceExt;

mod metric;
mod outline;

/// A server with one trace, a few logs and points; its clock stands still.
struct Server {
    fixture: Fixture,
    router: Router,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&self.body)))
    }

    fn error(&self) -> query_api::error::Error {
        serde_json::from_slice::<ErrorBody>(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.json())).error
    }

    fn read<T: serde::de::DeserializeOwned>(&self) -> T {
        assert_eq!(self.status, StatusCode::OK, "{}", self.json());
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Server {
    async fn new() -> Self {
        Self::with(Fixture::new(), Config::default(), host()).await
    }

    async fn with(fixture: Fixture, config: Config, host: Host) -> Self {
        let attributes = vec![("http.route", "/cart"), ("a=b", "c"), ("n", "42")];
        fixture
            .put(spans(&[
                TestSpan { id: 1, attributes, ..TestSpan::default() },
                TestSpan { id: 2, parent: Some(1), service: "cart/é", status: 2, kind: 3, ..TestSpan::default() },
                TestSpan { trace: 2, id: 3, duration: 5, start: NOW - 2 * SECOND, ..TestSpan::default() },
            ]))
            .await;
        fixture.flush().await;
        let log = |body: &str, severity| TestLog { body: body.into(), severity, trace: Some(1), ..TestLog::default() };
        fixture.put(logs(&[log("Straße GESPERRT", 17), log("fine", 9), log("fine", 9)])).await;
        fixture.put(points(&[TestPoint::default()])).await;
        let state = QueryState::new(config, fixture.engine.clone(), fixture.clock.clone(), host).unwrap();
        state.span_metrics().lend(crate::Door::new(|_, _| std::future::ready(Ok(()))));
        Server { router: router(state), fixture }
    }

    async fn send(&self, request: Request<HttpBody>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(format!("{PREFIX}{path}")).body(HttpBody::empty()).unwrap()).await
    }

    async fn get_with(&self, path: &str, header: &str, value: &str) -> Answer {
        let request = Request::get(format!("{PREFIX}{path}")).header(header, value);
        self.send(request.body(HttpBody::empty()).unwrap()).await
    }
}

/// A host whose demo can be switched.
fn host() -> Host {
    let running = AtomicBool::new(false);
    let demo = move |action| {
        match action {
            DemoAction::Tell => {}
            DemoAction::Start => running.store(true, Ordering::Relaxed),
            DemoAction::Stop => running.store(false, Ordering::Relaxed),
        }
        Ok(DemoStatus { running: running.load(Ordering::Relaxed), available: true })
    };
    let last_received = |tenant: &TenantId| {
        let default = *tenant == TenantId::default();
        default.then(|| LastReceived { time_unix_nano: NOW, signal: "spans".into(), service: "shop".into() })
    };
    let replay = |_| -> std::pin::Pin<Box<dyn Future<Output = Result<Replayed, String>> + Send>> {
        Box::pin(std::future::ready(Ok(Replayed { accepted: 1, ..Replayed::default() })))
    };
    Host { last_received: Box::new(last_received), demo: Box::new(demo), replay: Box::new(replay), ..Host::default() }
}

const LETTER: &str = "1700000000000000000-0-7-otlp_spans";

/// A message that could not be read.
fn dead_letter() -> storage::model::Batch {
    use storage::model::attribute::{Map, Value, put_value};
    let attributes = crate::fixture::text_map(&[
        ("spanlight.dead_letter.id", LETTER),
        ("spanlight.signal", "spans"),
        ("spanlight.encoding", "otlp_proto"),
        ("spanlight.tenant", "default"),
        ("messaging.destination.name", "otlp_spans"),
    ]);
    let mut body = Vec::new();
    put_value(&mut body, Value::Bytes(b"\xff"));
    let mut builder = storage::model::LogBatchBuilder::default();
    builder.set_resource(&storage::model::origin::Resource::default());
    builder.set_scope(&storage::model::origin::Scope::default());
    let record = storage::model::LogRecord {
        time: 1_700_000_000_000_000_000,
        body: &body,
        event_name: "spanlight.dead_letter",
        attributes: Map::new(&attributes),
        ..storage::model::LogRecord::default()
    };
    builder.append(&record).unwrap();
    builder.finish().unwrap()
}

/// A value that the parameter takes.
fn sample(name: &str, kind: Kind) -> String {
    match kind {
        Kind::Number => "0".into(),
        Kind::Text if name == "turned" => "0".into(),
        Kind::Text if name == "spans" => "01".repeat(8),
        Kind::Text if name == "by" => "attr.k".into(),
        Kind::Text if name == "name" => "requests".into(),
        // A query of its own beside other filters is refused.
        Kind::Text if name == "cursor" || name == "q" => String::new(),
        Kind::Text => "x".into(),
        Kind::TraceId => "01".repeat(16),
        Kind::SpanId => "01".repeat(8),
        Kind::Time if name == "end" => "now".into(),
        Kind::Time => "now-15m".into(),
        Kind::Duration => "1.5s".into(),
        Kind::Attribute => "k%3Dv&attr=l=w".into(),
        Kind::Severity => "warn".into(),
        Kind::Choice(choices) => choices[0].into(),
        Kind::Count { max, .. } => max.to_string(),
    }
}

fn path_of(endpoint: &Endpoint) -> String {
    endpoint
        .path
        .replace("{trace_id}", &"01".repeat(16))
        .replace("{span_id}", "0000000000000001")
        .replace("{other}", &"02".repeat(16))
        .replace("{name}", "shop")
        .replace("{key}", "n")
        .replace("{id}", LETTER)
}

fn request(endpoint: &Endpoint, query: &str) -> Request<HttpBody> {
    let uri = format!("{PREFIX}{}?{query}", path_of(endpoint));
    Request::builder().method(&endpoint.method).uri(uri).body(HttpBody::empty()).unwrap()
}

fn check_headers(answer: &Answer) {
    for (name, value) in [
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("vary", "accept-encoding"),
    ] {
        assert_eq!(answer.headers.get(name).and_then(|value| value.to_str().ok()), Some(value), "{name}");
    }
}

#[tokio::test]
async fn w1_every_described_endpoint_answers_as_described_with_and_without_all_its_parameters() {
    let server = Server::new().await;
    server.fixture.put(dead_letter()).await;
    for endpoint in ENDPOINTS {
        let sampled =
            endpoint.query_parameters().map(|found| format!("{}={}", found.name, sample(found.name, found.kind)));
        let all = sampled.collect::<Vec<_>>().join("&");
        let required = endpoint.query_parameters().filter(|found| found.is_required);
        let required = required.map(|found| format!("{}={}", found.name, sample(found.name, found.kind)));
        for query in [all, required.collect::<Vec<_>>().join("&")] {
            let answer = server.send(request(endpoint, &query)).await;
            let at = format!("{} {}?{query}", endpoint.method, endpoint.path);
            if endpoint.answer == super::endpoint::BYTES {
                assert_eq!((answer.status, &*answer.body), (StatusCode::OK, &b"\xff"[..]), "{at}");
                assert_eq!(answer.headers["content-type"], "application/octet-stream");
                continue;
            }
            assert_eq!(answer.status, StatusCode::OK, "{at}: {}", answer.json());
            check(&answer_schema(endpoint), &answer.json(), &at).unwrap();
            check_headers(&answer);
        }
    }
}

#[tokio::test]
async fn w1_what_is_not_described_is_not_there() {
    let server = Server::new().await;
    let methods = |path: &str| -> BTreeSet<Method> {
        ENDPOINTS.iter().filter(|endpoint| endpoint.path == path).map(|endpoint| endpoint.method.clone()).collect()
    };
    for endpoint in ENDPOINTS {
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            if methods(endpoint.path).contains(&method) {
                continue;
            }
            let uri = format!("{PREFIX}{}", path_of(endpoint));
            let answer =
                server.send(Request::builder().method(&method).uri(uri).body(HttpBody::empty()).unwrap()).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {}", endpoint.path);
            assert_eq!(answer.error().class, Class::Caller);
            check_headers(&answer);
        }
    }
    for path in [
        "",
        "/",
        "/nothing",
        "/traces/",
        "//traces",
        "/./traces",
        "/traces;x",
        "/traces/01/02",
        "/services/shop",
        "/logs/x",
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.error().class, Class::NotFound);
        check_headers(&answer);
    }
}

#[tokio::test]
async fn w2_bad_parameters_are_refused_by_name() {
    let server = Server::new().await;
    let cases: &[(&str, &str)] = &[
        ("/traces?colour=blue", "colour"),
        ("/traces?Service=shop", "Service"),
        ("/traces?service=a&service=b", "service"),
        ("/traces?limit=5&limit=5", "limit"),
        ("/traces?limit=-1", "limit"),
        ("/traces?limit=0", "limit"),
        ("/traces?limit=18446744073709551615", "limit"),
        ("/traces?limit=18446744073709551616", "limit"),
        ("/traces?limit=1e3", "limit"),
        ("/traces?limit=1001", "limit"),
        ("/logs?limit=5001", "limit"),
        ("/logs/histogram?buckets=0", "buckets"),
        ("/logs/volume?by=kind", "by"),
        ("/spans/volume?by=level", "by"),
        ("/logs/volume?step=0", "step"),
        ("/logs/volume?step=1ms", "step"),
        ("/logs/volume?measure=weight", "measure"),
        ("/attributes?signal=metrics", "signal"),
        ("/attributes/a/values?scope=mine", "scope"),
        ("/attributes/a/values?limit=10001", "limit"),
        ("/attributes/%ff/values", "path"),
        ("/series?name=a&limit=99999999", "limit"),
        ("/traces?status=bad", "status"),
        ("/traces?order=sideways", "order"),
        ("/traces?min_duration=-1s", "min_duration"),
        ("/traces?min_duration=1parsec", "min_duration"),
        ("/traces?max_duration=9223372036854775808", "max_duration"),
        ("/traces?min_duration=2s&max_duration=1s", "min_duration"),
        ("/traces?attr=novalue", "attr"),
        ("/traces?attr==v", "attr"),
        ("/traces?attr=", "attr"),
        ("/traces?start=now&end=now-1h", "start"),
        ("/traces?start=now&end=now", "start"),
        ("/traces?start=2026-11-23T25:00:00Z", "start"),
        ("/traces?start=2026-11-23T06:00:00Mars/Olympus", "start"),
        ("/traces?end=18446744073709551615", "end"),
        ("/traces?start=now-99999999999999999999w", "start"),
        ("/traces?cursor=garbage", "cursor"),
        ("/traces?cursor=%00", "cursor"),
        ("/traces?timeout=0", "timeout"),
        ("/traces?timeout=10h", "timeout"),
        ("/traces?timeout=forever", "timeout"),
        ("/traces?service=%ff%fe", "service"),
        ("/traces/xyz", "trace_id"),
        ("/traces/00000000000000000000000000000000", "trace_id"),
        ("/traces/0101010101010101010101010101010", "trace_id"),
        ("/traces/010101010101010101010101010101010", "trace_id"),
        ("/traces/..%2f..%2fetc%2fpasswd", "trace_id"),
        ("/traces/01010101010101010101010101010101/compare/xyz", "other"),
        ("/traces/xyz/compare/01010101010101010101010101010101", "trace_id"),
        ("/traces/01010101010101010101010101010101/compare/02020202020202020202020202020202?show=some", "show"),
        ("/traces/01010101010101010101010101010101/compare/02020202020202020202020202020202?limit=100001", "limit"),
        ("/traces/01010101010101010101010101010101/compare/02020202020202020202020202020202?cursor=AA", "cursor"),
        ("/services/%ff/operations", "path"),
        ("/logs?trace_id=1", "trace_id"),
        ("/logs?span_id=zz", "span_id"),
        ("/logs?min_severity=loud", "min_severity"),
        ("/logs?min_severity=25", "min_severity"),
        ("/series", "name"),
        ("/series?name=", "name"),
        ("/status?verbose=1", "verbose"),
        ("/openapi.json?x=1", "x"),
    ];
    for (path, r#where) in cases {
        let answer = server.get(path).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}: {}", answer.json());
        let error = answer.error();
        assert_eq!((error.class, error.r#where.as_deref()), (Class::Caller, Some(*r#where)), "{path}");
        assert!(!error.message.is_empty());
        check_headers(&answer);
    }
    let unknown = server.get("/services?limit=5").await.error().message;
    assert!(unknown.contains("start, end, timeout"), "{unknown}");
}

#[tokio::test]
async fn hostile_texts_are_only_texts() {
    let server = Server::new().await;
    let long = "x".repeat(20_000);
    for text in [
        "%3Cscript%3E",
        "%22%3E%3Cimg%20onerror%3E",
        "%24%7Bjndi:%7D",
        "%27%3B--",
        "__proto__",
        "%00",
        "%E2%80%AE",
        long.as_str(),
    ] {
        let of_values = "/attributes/n/values?prefix=";
        for path in
            ["/traces?service=", "/traces?attr=k=", "/logs?contains=", "/metrics?prefix=", "/series?name=", of_values]
        {
            let answer = server.get(&format!("{path}{text}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}{text}");
        }
        for (before, after) in [("/services/", "/operations"), ("/attributes/", "/values")] {
            let answer = server.get(&format!("{before}{text}{after}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{before}{text}");
        }
    }
}

#[tokio::test]
async fn operations_are_those_of_a_service_in_the_path_or_in_a_parameter() {
    let server = Server::new().await;
    let names = async |path: &str| {
        let answer: query_api::service::OperationsResponse = server.get(path).await.read();
        answer.operations.into_iter().map(|operation| operation.name).collect::<Vec<_>>()
    };
    let shop = names("/services/shop/operations").await;
    assert!(!shop.is_empty());
    assert_eq!(names("/operations?service=shop").await, shop);
    for none in ["/operations?service=..", "/operations?service=.", "/operations"] {
        assert_eq!(names(none).await, Vec::<String>::new(), "{none}");
    }
}

#[tokio::test]
async fn volumes_and_values_are_those_of_the_rows_that_match() {
    use query_api::volume::{AttributeValuesResponse, VolumeResponse};
    let server = Server::new().await;
    let volume = async |path: &str| {
        let answer: VolumeResponse = server.get(path).await.read();
        answer.groups.into_iter().map(|group| (group.name, group.rows.iter().sum())).collect::<Vec<(String, u64)>>()
    };
    assert_eq!(volume("/logs/volume").await, [("info".to_owned(), 2), ("error".to_owned(), 1)]);
    assert_eq!(volume("/logs/volume?by=none&contains=fine&step=10m").await, [(String::new(), 2)]);
    assert_eq!(volume("/logs/volume?min_severity=error&by=service").await, [("shop".to_owned(), 1)]);
    assert_eq!(volume("/spans/volume?by=status").await, [("unset".to_owned(), 2), ("error".to_owned(), 1)]);
    assert_eq!(volume("/spans/volume?by=kind&status=error").await, [("client".to_owned(), 1)]);
    for (path, found) in [
        ("/attributes/http.route/values", 1),
        ("/attributes/a%3Db/values?scope=own", 1),
        ("/attributes/http.route/values?scope=resource", 0),
        ("/attributes/http.route/values?prefix=%2Fc", 1),
        ("/attributes/http.route/values?signal=logs", 0),
    ] {
        let answer: AttributeValuesResponse = server.get(path).await.read();
        assert_eq!(answer.values.len(), found, "{path}");
        assert!(answer.complete && answer.values.iter().all(|value| value.rows == 1), "{path}");
    }
}

#[tokio::test]
async fn a_trace_is_found_by_each_of_its_filters() {
    let server = Server::new().await;
    let ids = |answer: Answer| -> Vec<String> {
        answer.read::<SearchResponse>().traces.into_iter().map(|found| found.trace_id).collect()
    };
    let (one, two) = ("01".repeat(16), "02".repeat(16));
    let cases: &[(&str, &[&String])] = &[
        ("", &[&one, &two]),
        ("order=oldest", &[&two, &one]),
        ("order=longest", &[&one, &two]),
        ("order=most_spans", &[&one, &two]),
        ("order=most_errors", &[&one, &two]),
        ("order=most_errors&q=%7B+status+%21%3D+error+%7D", &[&one, &two]),
        ("service=cart/%C3%A9", &[&one]),
        ("service=cart/%C3%A9&status=error", &[&one]),
        // One span must match all filters, not several together.
        ("service=shop&status=error", &[]),
        ("attr=http.route=/cart&attr=n=42", &[&one]),
        ("attr=n=43", &[]),
        ("attr=service.instance.id=a&service=cart/%C3%A9", &[&one]),
        ("max_duration=5", &[&two]),
        ("min_duration=1ms", &[&one]),
        ("min_duration=999us&max_duration=999us", &[]),
        ("start=now-1.5s&end=now", &[&one]),
        ("end=now-1s", &[&two]),
        ("limit=1", &[&one]),
        ("start=now%2B1h&end=now%2B2h", &[]),
        ("start=2026-11-23T06:59:58+01:00&end=2026-11-23T06:59:59%2B01:00", &[&two]),
        ("start=1795413598&end=1795413599", &[&two]),
    ];
    for (query, expected) in cases {
        let found = ids(server.get(&format!("/traces?{query}")).await);
        assert_eq!(found.iter().collect::<Vec<_>>(), *expected, "{query}");
    }
}

#[tokio::test]
async fn a_cursor_leads_to_the_next_page_of_its_own_list_only() {
    let server = Server::new().await;
    let first: SearchResponse = server.get("/traces?limit=1&start=now-1h").await.read();
    let cursor = first.next_cursor.unwrap();
    // The clock goes on; the list stays that of the first page.
    server.fixture.clock.advance(std::time::Duration::from_secs(3599));
    let second: SearchResponse = server.get(&format!("/traces?start=now-1h&cursor={cursor}&limit=5")).await.read();
    assert_eq!(second.traces.len(), 1);
    assert_ne!(second.traces[0].trace_id, first.traces[0].trace_id);
    assert_eq!(second.next_cursor, None);

    for other in
        ["/traces?start=now-2h&", "/traces?service=shop&start=now-1h&", "/traces?start=now-1h&order=oldest&", "/logs?"]
    {
        let answer = server.get(&format!("{other}cursor={cursor}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{other}");
        assert_eq!(answer.error().r#where.as_deref(), Some("cursor"));
    }
    let path = format!("/traces?start=now-1h&cursor={cursor}");
    assert_eq!(server.get_with(&path, "x-scope-orgid", "other").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn logs_are_found_by_text_severity_and_trace_and_paged() {
    let server = Server::new().await;
    let count = |answer: Answer| answer.read::<LogsResponse>().logs.len();
    for (query, expected) in [
        ("", 3),
        ("contains=gesperrt", 1),
        ("contains=STRA", 1),
        ("contains=open", 0),
        ("min_severity=error", 1),
        ("min_severity=18", 0),
        ("service=shop&attr=k=v", 0),
        (&format!("trace_id={}", "01".repeat(16)), 3),
        (&format!("trace_id={}", "02".repeat(16)), 0),
        ("span_id=0000000000000001", 3),
    ] {
        assert_eq!(count(server.get(&format!("/logs?{query}")).await), expected, "{query}");
    }
    let first: LogsResponse = server.get("/logs?limit=2").await.read();
    let cursor = first.next_cursor.unwrap();
    let second: LogsResponse = server.get(&format!("/logs?limit=2&cursor={cursor}")).await.read();
    assert_eq!((first.logs.len(), second.logs.len(), second.next_cursor), (2, 1, None));

    // A trace's logs are found however old they are, unless a range is asked for.
    server.fixture.clock.advance(std::time::Duration::from_secs(7 * 24 * 3600));
    assert_eq!(count(server.get(&format!("/logs?trace_id={}", "01".repeat(16))).await), 3);
    assert_eq!(count(server.get(&format!("/logs?trace_id={}&start=now-1h", "01".repeat(16))).await), 0);
    assert_eq!(count(server.get("/logs").await), 0);
}

#[tokio::test]
async fn a_trace_is_answered_whole_and_an_unknown_one_is_not_found() {
    let server = Server::new().await;
    let trace: TracesData = server.get(&format!("/traces/{}", "01".repeat(16))).await.read();
    assert_eq!(trace.resource_spans.len(), 2);
    let answer = server.get(&format!("/traces/{}", "0F".repeat(16))).await;
    assert_eq!((answer.status, answer.error().class), (StatusCode::NOT_FOUND, Class::NotFound));
}

#[tokio::test]
async fn a_tenant_sees_its_own_data_only_and_a_bad_name_is_refused() {
    let server = Server::new().await;
    let path = format!("/traces/{}", "01".repeat(16));
    assert_eq!(server.get_with(&path, "X-Scope-OrgID", "default").await.status, StatusCode::OK);
    assert_eq!(server.get_with(&path, "X-Scope-OrgID", "other").await.status, StatusCode::NOT_FOUND);
    let status = server.get_with("/status", "X-Scope-OrgID", "other").await.json();
    assert_eq!(status.pointer("/signals/0/rows"), Some(&Value::from(0)));
    for bad in ["..", "../x", "a/b", "", "a b", &"x".repeat(65), "é", "%2e%2e"] {
        let answer = server.get_with(&path, "X-Scope-OrgID", bad).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
        assert_eq!(answer.error().r#where.as_deref(), Some("X-Scope-OrgID"));
    }
    let twice =
        Request::get(format!("{PREFIX}{path}")).header("X-Scope-OrgID", "default").header("X-Scope-OrgID", "other");
    assert_eq!(server.send(twice.body(HttpBody::empty()).unwrap()).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn large_answers_are_compressed_for_those_who_take_it() {
    let server = Server::new().await;
    let plain = server.get("/services").await;
    assert_eq!(plain.headers.get("content-encoding"), None);
    assert!(plain.body.len() > 1024);
    let packed = server.get_with("/services", "accept-encoding", "br, gzip").await;
    assert_eq!(packed.headers.get("content-encoding").unwrap(), "gzip");
    assert!(packed.body.len() < plain.body.len());
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(packed.body.as_slice()).read_to_end(&mut unpacked).unwrap();
    let without_stats = |body: &[u8]| {
        let mut json: Value = serde_json::from_slice(body).unwrap();
        json.as_object_mut().unwrap().remove("stats");
        json
    };
    assert_eq!(without_stats(&unpacked), without_stats(&plain.body));
    let small = server.get_with("/traces?service=nobody", "accept-encoding", "gzip").await;
    assert_eq!(small.headers.get("content-encoding"), None);
}

#[tokio::test]
async fn the_demo_is_switched_by_its_own_pages_and_by_programs() {
    let server = Server::new().await;
    let demo = |method: Method, origin: Option<&'static str>| {
        let mut request =
            Request::builder().method(method).uri(format!("{PREFIX}/demo")).header("host", "localhost:7726");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        server.send(request.body(HttpBody::empty()).unwrap())
    };
    let running = |answer: Answer| answer.read::<DemoStatus>().running;
    assert!(!running(demo(Method::GET, None).await));
    for origin in ["http://evil.example", "null", "http://localhost:7727", "http://evil.example/localhost:7726"] {
        let answer = demo(Method::POST, Some(origin)).await;
        assert_eq!((answer.status, answer.error().class), (StatusCode::FORBIDDEN, Class::Caller), "{origin}");
    }
    assert!(!running(demo(Method::GET, None).await));
    assert!(running(demo(Method::POST, Some("http://localhost:7726")).await));
    assert!(running(demo(Method::GET, Some("http://evil.example")).await), "reading changes nothing");
    assert!(!running(demo(Method::DELETE, None).await));
    let status = server.get("/status").await.json();
    assert_eq!(status.pointer("/demo/available"), Some(&Value::from(true)));
    assert_eq!(status.pointer("/last_received/service"), Some(&Value::from("shop")));
}

#[tokio::test]
async fn a_busy_server_says_when_to_come_back_and_still_tells_its_status() {
    let config = Config { concurrency: 1, queue: 0, ..Config::default() };
    let fixture = Fixture::new();
    let state = Arc::new(QueryState::new(config, fixture.engine.clone(), fixture.clock.clone(), host()).unwrap());
    let (started, has_started) = tokio::sync::oneshot::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let context = crate::fixture::context();
    let occupied = state.executor().run(context, move |_| {
        started.send(()).unwrap();
        may_go_on.recv().map_err(|_| Error::Cancelled)
    });
    let asked = async {
        has_started.await.unwrap();
        let services = ENDPOINTS.iter().find(|endpoint| endpoint.path == "/services").unwrap();
        let status = ENDPOINTS.iter().find(|endpoint| endpoint.path == "/status").unwrap();
        let mut answers = Vec::new();
        for endpoint in [services, status] {
            let path = Ok(Path(Vec::new()));
            let response = called(endpoint, State(state.clone()), path, request(endpoint, "")).await;
            answers.push((response.status(), response.headers().get("retry-after").cloned()));
        }
        go_on.send(()).unwrap();
        answers
    };
    let (outcome, answers) = tokio::join!(occupied, asked);
    outcome.unwrap();
    assert_eq!(answers[0], (StatusCode::SERVICE_UNAVAILABLE, Some("1".parse().unwrap())));
    assert_eq!(answers[1], (StatusCode::OK, None));
}

#[tokio::test]
async fn answers_past_a_limit_are_422_and_a_panic_is_500_and_the_server_goes_on() {
    let demo = |_| panic!("secret");
    let host = Host { demo: Box::new(demo), ..Host::default() };
    let config = Config { memory_per_query: 100, ..Config::default() };
    let server = Server::with(Fixture::new(), config, host).await;
    let answer = server.get("/traces").await;
    assert_eq!((answer.status, answer.error().class), (StatusCode::UNPROCESSABLE_ENTITY, Class::Limit));
    check_headers(&answer);
    let answer = server.get("/demo").await;
    assert_eq!((answer.status, answer.error().class), (StatusCode::INTERNAL_SERVER_ERROR, Class::Bug));
    assert!(!answer.error().message.contains("secret"));
    check_headers(&answer);
    assert_eq!(server.get("/openapi.json").await.status, StatusCode::OK);
}

#[test]
fn every_parameter_of_a_path_is_a_text_or_an_id() {
    let in_path = ENDPOINTS.iter().flat_map(|endpoint| endpoint.parameters).filter(|found| found.place == Place::Path);
    assert!(
        in_path
            .into_iter()
            .all(|found| matches!(found.kind, Kind::Text | Kind::TraceId | Kind::SpanId) && found.is_required)
    );
}

#[tokio::test]
async fn two_traces_are_compared_page_by_page() {
    let server = Server::new().await;
    let path = |from: &str, to: &str| format!("/traces/{}/compare/{}", from.repeat(16), to.repeat(16));
    let first: query_api::compare::CompareResponse = server.get(&format!("{}?limit=1", path("01", "02"))).await.read();
    assert_eq!((first.counts.both, first.counts.only_base, first.node_count), (1, 1, 2));
    let cursor = first.next_cursor.unwrap();
    let page = |path: String| format!("{path}?limit=1&cursor={cursor}");
    let next: query_api::compare::CompareResponse = server.get(&page(path("01", "02"))).await.read();
    assert_eq!((next.nodes.len(), &next.nodes[0].other, next.next_cursor), (1, &None, None));
    let answer = server.get(&page(path("02", "01"))).await;
    assert_eq!((answer.status, answer.error().r#where.as_deref()), (StatusCode::BAD_REQUEST, Some("cursor")));
    let answer = server.get(&path("01", "09")).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(answer.error().message.contains("0909"), "{}", answer.error().message);
}

#[tokio::test]
async fn what_was_deleted_is_in_no_answer_and_on_record() {
    let server = Server::new().await;
    let send = async |method: Method, path: &str, tenant: &str| {
        let request = Request::builder().method(method).uri(format!("{PREFIX}{path}")).header(TENANT, tenant);
        server.send(request.body(HttpBody::empty()).unwrap()).await
    };
    let trace = format!("/traces/{}", "01".repeat(16));
    assert_eq!(send(Method::DELETE, &trace, "other").await.json(), serde_json::json!({}), "another tenant's trace");
    assert_eq!(server.get(&trace).await.status, StatusCode::OK);
    let answer = send(Method::DELETE, &trace, "default").await;
    let deleted = answer.read::<query_api::deletion::DeleteResponse>().deleted.unwrap();
    assert_eq!((deleted.cause.as_str(), deleted.signal.as_str(), deleted.blocks), ("request", "spans", 1));
    assert_eq!(server.get(&trace).await.status, StatusCode::NOT_FOUND);
    assert_eq!(send(Method::DELETE, &trace, "default").await.json(), serde_json::json!({}), "there is nothing left");

    let logs = "/logs/delete?contains=gesperrt&start=now-1h&end=now%2B1h";
    assert!(send(Method::POST, logs, "default").await.json().get("deleted").is_some());
    let left = server.get("/logs?start=now-1h&end=now%2B1h").await.read::<LogsResponse>();
    assert_eq!(left.logs.len(), 2, "also what was in memory");
    assert!(!left.stats.partial);

    let without_range = send(Method::POST, "/logs/delete?contains=fine&start=now-1h", "default").await;
    assert_eq!(
        (without_range.status, without_range.error().r#where.as_deref()),
        (StatusCode::BAD_REQUEST, Some("end"))
    );
    let record = server.get("/deletions").await.read::<query_api::deletion::DeletionsResponse>().deletions;
    assert_eq!(record.iter().map(|each| each.signal.as_str()).collect::<Vec<_>>(), ["logs", "spans"]);
    assert!(record[1].predicate.as_ref().unwrap().contains(&"01".repeat(16)));
    let others = send(Method::GET, "/deletions", "other").await;
    assert!(others.read::<query_api::deletion::DeletionsResponse>().deletions.is_empty());
}
