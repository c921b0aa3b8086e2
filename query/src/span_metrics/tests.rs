use super::*;
use crate::config::Config;
use crate::fixture::{Fixture, NOW, TestSpan, spans};
use crate::http::Host;
use serde_json::{Value, json};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

struct World {
    fixture: Fixture,
    metrics: SpanMetrics,
    sent: Arc<Mutex<Vec<Value>>>,
    /// Whether nothing can be stored.
    is_shut: Arc<AtomicBool>,
}

impl World {
    fn new() -> Self {
        let fixture = Fixture::new();
        let (config, host) = (Config::default(), Host::default());
        let state = QueryState::new(config, fixture.engine.clone(), fixture.clock.clone(), host).unwrap();
        let sent: Arc<Mutex<Vec<Value>>> = Arc::default();
        let is_shut: Arc<AtomicBool> = Arc::default();
        let (taken, shut) = (Arc::clone(&sent), Arc::clone(&is_shut));
        let door = Door::new(move |tenant, body| {
            assert_eq!(tenant, TenantId::default());
            if shut.load(Ordering::Relaxed) {
                return std::future::ready(Err("the disk is full".to_owned()));
            }
            taken.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
            std::future::ready(Ok(()))
        });
        World { fixture, metrics: SpanMetrics::new(Arc::new(state), door), sent, is_shut }
    }

    /// What one more step sends.
    async fn step(&mut self) -> Vec<Value> {
        self.metrics.step().await;
        std::mem::take(&mut self.sent.lock().unwrap())
    }
}

/// The last point of a metric that has some attribute.
fn point(request: &Value, name: &str, attribute: &str) -> Option<Value> {
    let metrics = request["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().unwrap();
    let metric = metrics.iter().find(|metric| metric["name"] == name)?;
    let points =
        if metric["sum"].is_null() { &metric["histogram"]["dataPoints"] } else { &metric["sum"]["dataPoints"] };
    let has = |point: &&Value| point["attributes"].to_string().contains(attribute);
    points.as_array().unwrap().iter().rfind(has).cloned()
}

fn at(seconds_ago: i64, id: u64) -> TestSpan {
    TestSpan { id, start: NOW - seconds_ago * SECOND, ..TestSpan::default() }
}

#[tokio::test]
async fn metrics_grow_with_the_spans_and_each_counts_once() {
    let mut world = World::new();
    let call = TestSpan { parent: Some(1), kind: 3, service: "shop", name: "charge", status: 2, ..at(50, 2) };
    let server = TestSpan { parent: Some(2), service: "bank", duration: 3_000_000, ..at(49, 3) };
    world.fixture.put(spans(&[at(50, 1), call, server, at(90, 7), at(44, 8)])).await;
    let sent = world.step().await;
    let [old, _, first] = &sent[..] else { panic!("an hour back there is one span: {sent:?}") };
    let calls = point(old, "traces_spanmetrics_calls_total", "GET /").unwrap();
    assert_eq!((&calls["asInt"], &calls["timeUnixNano"]), (&json!("1"), &json!((NOW - 75 * SECOND).to_string())));
    let calls = point(first, "traces_spanmetrics_calls_total", "GET /").unwrap();
    assert_eq!((&calls["asInt"], &calls["timeUnixNano"]), (&json!("2"), &json!((NOW - 45 * SECOND).to_string())));
    let failed = point(first, "traces_service_graph_request_failed_total", "bank").unwrap();
    assert_eq!(failed["asInt"], "1");
    let took = point(first, "traces_service_graph_request_server_seconds", "\"bank\"").unwrap();
    assert_eq!((&took["count"], &took["sum"], &took["bucketCounts"][1]), (&json!("1"), &json!(0.003), &json!("1")));
    assert_eq!(took["explicitBounds"].as_array().unwrap().len() + 1, took["bucketCounts"].as_array().unwrap().len());
    let user = point(first, "traces_service_graph_request_total", "virtual_node").unwrap();
    assert!(user["attributes"].to_string().contains("user"));
    let zeros = [old, first].map(|request| request.to_string().matches("\"asInt\":\"0\"").count());
    let begun: usize = zeros.iter().sum();
    assert!(begun >= 3, "every counter begins with a zero: {begun}");

    assert!(world.step().await.is_empty(), "the next interval has not ended");
    world.fixture.clock.advance(Duration::from_secs(15));
    let sent = world.step().await;
    let calls = point(&sent[0], "traces_spanmetrics_calls_total", "GET /").unwrap();
    assert_eq!(calls["asInt"], "3");
}

#[tokio::test]
async fn a_long_pause_is_made_up_for_in_part_and_a_silent_series_ends() {
    let mut world = World::new();
    world.fixture.put(spans(&[at(50, 1)])).await;
    assert_eq!(world.step().await.len(), 1);
    world.fixture.clock.advance(Duration::from_secs(7_200));
    assert_eq!(world.step().await.len(), 0, "its last span is older than an hour");
    let told = world.metrics.state.span_metrics().status(&TenantId::default()).unwrap();
    assert_eq!((told.left_out, told.until_unix_nano), (240, NOW + (7_200 - 45) * SECOND));
    world.fixture.clock.advance(Duration::from_secs(15));
    let now = TestSpan { start: NOW + (7_200 - 40) * SECOND, ..at(0, 2) };
    world.fixture.put(spans(&[now])).await;
    let sent = world.step().await;
    assert_eq!(point(&sent[0], "traces_spanmetrics_calls_total", "GET /").unwrap()["asInt"], "1");
}

#[tokio::test]
async fn what_could_not_be_stored_is_tried_again_and_begins_with_a_zero() {
    let mut world = World::new();
    world.fixture.put(spans(&[at(50, 1), at(65, 2)])).await;
    world.is_shut.store(true, Ordering::Relaxed);
    assert_eq!(world.step().await.len(), 0);
    world.is_shut.store(false, Ordering::Relaxed);
    let sent = world.step().await;
    let [first, second] = &sent[..] else { panic!("{sent:?}") };
    let [one, two] = [first, second]
        .map(|request| point(request, "traces_spanmetrics_calls_total", "GET /").unwrap()["asInt"].clone());
    assert_eq!((one, two), (json!("1"), json!("2")));
    let zero = (NOW - 75 * SECOND + 1_000_000).to_string();
    assert!(first.to_string().contains(&format!("\"timeUnixNano\":\"{zero}\"")), "{first}");
}

#[tokio::test]
async fn m1_a_long_span_counts_once_where_it_ends() {
    let mut world = World::new();
    let lasting = |seconds: i64, span: TestSpan| TestSpan { duration: seconds * SECOND, ..span };
    // A batch of two minutes, which calls another service for 40 seconds of them.
    let batch = lasting(120, at(170, 1));
    let call = TestSpan { parent: Some(1), kind: 3, name: "export", ..lasting(40, at(90, 2)) };
    let called = TestSpan { parent: Some(2), service: "bank", name: "import", ..lasting(39, at(89, 3)) };
    let border = TestSpan { name: "border", kind: 1, ..lasting(15, at(50, 4)) };
    let of_hours = lasting(4_000, at(4_050, 5));
    world.fixture.put(spans(&[batch, call, called, border, of_hours])).await;
    let sent = world.step().await;
    let [request] = &sent[..] else { panic!("all of them belong to one interval: {sent:?}") };
    for name in ["GET /", "export", "import", "border"] {
        let calls = point(request, "traces_spanmetrics_calls_total", &format!("\"{name}\"")).unwrap();
        assert_eq!((&calls["asInt"], &calls["timeUnixNano"]), (&json!("1"), &json!((NOW - 45 * SECOND).to_string())));
    }
    let took = point(request, "traces_service_graph_request_server_seconds", "\"bank\"").unwrap();
    assert_eq!((&took["count"], &took["sum"]), (&json!("1"), &json!(39.0)));
    let user = point(request, "traces_service_graph_request_total", "virtual_node").unwrap();
    assert_eq!(user["asInt"], "1");
    world.fixture.clock.advance(Duration::from_secs(15));
    let sent = world.step().await;
    assert_eq!(point(&sent[0], "traces_spanmetrics_calls_total", "\"export\"").unwrap()["asInt"], "1");
}

#[test]
fn there_is_an_end_to_series() {
    let mut totals = Totals::default();
    let range = TimeRange { start: 0, end: INTERVAL };
    let mut interval = Interval::default();
    for number in 0..MOST_SERIES + 5 {
        let name = interval.operations.names.number(&number.to_string());
        interval.operations.durations.entry((name, name, 1, 0)).or_default().add(1, false, 1.0);
    }
    totals.add(interval, range);
    let request: Value = serde_json::from_slice(&totals.request(INTERVAL).unwrap()).unwrap();
    let rest = point(&request, "traces_spanmetrics_calls_total", "otel.metric.overflow").unwrap();
    assert_eq!(rest["asInt"], "5");
}
