//! What is made of spans comes in by the collector and is found by its Prometheus names: as spans come, over restarts, and after the
//! fact.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use collector::{Collector, CollectorConfig, Encoding, engine_sink};
use http_body_util::BodyExt;
use query::Door;
use query::http::{Host, QueryState, router};
use query::span_metrics::SpanMetrics;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use storage::engine::{Engine, EngineConfig};
use storage::fs::{Loss, SimulatedClock, SimulatedDisk};
use storage::model::{Signal, TenantId};
use tower::ServiceExt;

/// 2026-11-23T06:00:00Z.
const NOW: i64 = 1_795_413_600_000_000_000;
const SECOND: i64 = 1_000_000_000;

fn span(service: &str, id: u64, parent: u64, kind: u8, time: i64) -> Value {
    let parent = if parent == 0 { String::new() } else { format!("{parent:016x}") };
    let span = json!({
        "traceId": "0a".repeat(16), "spanId": format!("{id:016x}"), "parentSpanId": parent, "name": "work", "kind": kind,
        "startTimeUnixNano": time.to_string(), "endTimeUnixNano": (time + 5_000_000).to_string(),
    });
    let resource = json!({ "attributes": [{ "key": "service.name", "value": { "stringValue": service } }] });
    json!({ "resource": resource, "scopeSpans": [{ "spans": [span] }] })
}

/// A server's rooms, on a disk that outlives them.
struct World {
    disk: Arc<SimulatedDisk>,
    clock: Arc<SimulatedClock>,
    engine: Arc<Engine>,
    collector: Collector,
    metrics: SpanMetrics,
    router: Router,
}

impl World {
    fn new() -> Self {
        Self::on(Arc::new(SimulatedDisk::new(1)), Arc::new(SimulatedClock::at(NOW)))
    }

    fn on(disk: Arc<SimulatedDisk>, clock: Arc<SimulatedClock>) -> Self {
        let config = CollectorConfig::default();
        let decoder = Box::new(collector::decode::wal_decoder(config.decode.clone()));
        let engine = Engine::open(EngineConfig::new("/data"), disk.clone(), clock.clone(), decoder).unwrap();
        let collector = Collector::new(config, engine_sink(engine.clone()), clock.clone());
        let state = QueryState::new(query::Config::default(), engine.clone(), clock.clone(), Host::default()).unwrap();
        let state = Arc::new(state);
        let door = collector.clone();
        let into = Door::new(move |tenant, body| door.clone().store_metrics(tenant, Encoding::Json, body));
        let metrics = SpanMetrics::new(Arc::clone(&state), into);
        World { disk, clock, engine, collector, metrics, router: router(state) }
    }

    /// Ends the process as `kill -9` does, and starts the next after a while.
    fn killed(self, pause: Duration) -> Self {
        let World { disk, clock, engine, collector, metrics, router } = self;
        disk.crash(Loss::None);
        drop((metrics, router, collector));
        // It cannot write any more.
        drop(engine.close());
        drop(engine);
        clock.advance(pause);
        Self::on(disk, clock)
    }

    /// Ends the process as it should be, and starts the next after a while.
    fn restarted(self, pause: Duration) -> Self {
        let World { disk, clock, engine, collector, metrics, router } = self;
        drop((metrics, router, collector));
        engine.close().unwrap();
        drop(engine);
        clock.advance(pause);
        Self::on(disk, clock)
    }

    /// Sends a call of the cart by the gateway, so many seconds ago.
    async fn send(&self, number: u64, seconds_ago: i64) {
        use storage::fs::Clock;
        let time = self.clock.now_unix_nano() - seconds_ago * SECOND;
        let id = number * 10;
        let spans = json!({ "resourceSpans": [
            span("gateway", id + 1, 0, 2, time), span("gateway", id + 2, id + 1, 3, time), span("cart", id + 3, id + 2, 2, time),
        ]});
        let spans = Bytes::from(spans.to_string());
        self.collector.accept(&TenantId::default(), Signal::Spans, Encoding::Json, spans).await.unwrap();
    }

    async fn asked(&self, request: Request<Body>) -> Value {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }

    /// The values of a query at a moment.
    async fn ask(&self, query: &str, time: i64) -> Value {
        let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let uri = format!("/prometheus/api/v1/query?time={}&query={query}", time / SECOND);
        let body = self.asked(Request::get(uri).body(Body::empty()).unwrap()).await;
        assert_eq!(body["status"], "success", "{body}");
        body["data"]["result"].clone()
    }

    /// How far calls of the cart's have grown in all, at the moment of their last sample.
    async fn grown(&self, time: i64) -> (f64, f64) {
        let value = |result: Value| result[0]["value"][1].as_str().unwrap_or("NaN").parse::<f64>().unwrap();
        let spans = "sum(increase(traces_spanmetrics_calls_total{service=\"cart\"}[3h]))";
        let calls = "sum(increase(traces_service_graph_request_total{client=\"gateway\"}[3h]))";
        (value(self.ask(spans, time).await), value(self.ask(calls, time).await))
    }

    async fn fill(&self, start: i64, end: i64) -> Value {
        let uri = format!("/api/v1/span-metrics?start={start}&end={end}");
        self.asked(Request::post(uri).body(Body::empty()).unwrap()).await
    }
}

#[tokio::test]
async fn grafanas_service_graph_finds_its_metrics() {
    let mut world = World::new();
    for round in 0..4 {
        world.send(round, 50).await;
        world.metrics.step().await;
        world.clock.advance(Duration::from_secs(15));
    }
    let ask = async |query: &str| world.ask(query, NOW).await;
    let calls = ask("traces_service_graph_request_total{client=\"gateway\",server=\"cart\"}").await;
    assert_eq!(calls[0]["value"][1], "4", "{calls}");
    let grown = ask("sum by (client, server) (increase(traces_service_graph_request_server_seconds_count[1m]))").await;
    assert_eq!(grown.as_array().unwrap().len(), 2, "{grown}");
    let p90 =
        ask("histogram_quantile(.9, sum(rate(traces_spanmetrics_latency_bucket{span_name=\"work\"}[1m])) by (le))")
            .await;
    let p90: f64 = p90[0]["value"][1].as_str().unwrap().parse().unwrap();
    assert!((0.004..=0.008).contains(&p90), "{p90}");
    let kinds = ask(
        "traces_spanmetrics_calls_total{service=\"cart\",span_kind=\"SPAN_KIND_SERVER\",status_code=\"STATUS_CODE_UNSET\"}",
    );
    assert_eq!(kinds.await[0]["value"][1], "4");
}

#[tokio::test]
async fn over_restarts_and_kills_every_span_counts_once() {
    let mut world = World::new();
    let mut sent = 0;
    for life in 0..4 {
        for _ in 0..4 {
            // One whose interval is made at once, one that is stored when the process ends and made by the next.
            world.send(sent, 50).await;
            world.send(sent + 1, 1).await;
            sent += 2;
            world.metrics.step().await;
            world.clock.advance(Duration::from_secs(15));
        }
        let pause = Duration::from_secs([3, 70, 400, 0][life]);
        world = if life == 1 { world.restarted(pause) } else { world.killed(pause) };
    }
    world.clock.advance(Duration::from_secs(60));
    world.metrics.step().await;
    let end = NOW + (4 * 60 + 473 + 60 - 45) / 15 * 15 * SECOND;
    let (spans, calls) = world.grown(end).await;
    let truth = sent as f64;
    assert!((spans - truth).abs() < 1e-6 && (calls - truth).abs() < 1e-6, "{spans} and {calls} of {truth}");
    let status = world.asked(Request::get("/api/v1/status").body(Body::empty()).unwrap()).await;
    assert_eq!(
        (&status["span_metrics"]["left_out"], &status["span_metrics"]["until_unix_nano"]),
        (&json!(0), &json!(end.to_string()))
    );
}

#[tokio::test]
async fn metrics_of_old_spans_are_made_by_request_and_once() {
    let mut world = World::new();
    for number in 0..20 {
        world.send(number, 7_200 - i64::try_from(number).unwrap() * 60).await;
    }
    let start = NOW - 7_205 * SECOND;
    let filled = world.fill(start, NOW - 6_600 * SECOND).await;
    assert_eq!(filled["made"], 40, "{filled}");
    assert_eq!(filled["until_unix_nano"], filled["end_unix_nano"]);
    let first = world.ask("traces_spanmetrics_calls_total[3h]", NOW).await;
    let again = world.fill(start, NOW - 6_600 * SECOND).await;
    assert_eq!((&again["made"], &again["stored_before"]), (&json!(0), &json!(40)), "{again}");
    assert_eq!(world.ask("traces_spanmetrics_calls_total[3h]", NOW).await, first, "nothing was written over");
    // Around what is there, up to what is made as spans come.
    world.send(20, 50).await;
    world.metrics.step().await;
    let rest = world.fill(start - 600 * SECOND, NOW).await;
    assert!(rest["made"].as_i64() > Some(0) && rest["stored_before"] == 41, "{rest}");
    let (spans, calls) = world.grown(NOW - 45 * SECOND).await;
    assert!((spans - 21.0).abs() < 1e-6 && (calls - 21.0).abs() < 1e-6, "{spans} and {calls} of 21");
    let refused = world.fill(NOW - 90_000 * SECOND, NOW).await;
    assert_eq!(refused["error"]["where"], "start", "{refused}");
}
