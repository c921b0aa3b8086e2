//! What is made of spans comes in by the collector and is found by its Prometheus names.

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
use storage::fs::{SimulatedClock, SimulatedDisk};
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

#[tokio::test]
async fn grafanas_service_graph_finds_its_metrics() {
    let clock = Arc::new(SimulatedClock::at(NOW));
    let decoder = Box::new(|_, _, _: &[u8]| Err("nothing is replayed here".to_owned()));
    let disk = Arc::new(SimulatedDisk::new(1));
    let engine = Engine::open(EngineConfig::new("/data"), disk, clock.clone(), decoder).unwrap();
    let collector = Collector::new(CollectorConfig::default(), engine_sink(engine.clone()), clock.clone());
    let state = QueryState::new(query::Config::default(), engine.clone(), clock.clone(), Host::default()).unwrap();
    let state = Arc::new(state);
    let door = collector.clone();
    let into = Door::new(move |tenant, body| {
        let door = door.clone();
        async move {
            let accepted =
                door.accept(&tenant, Signal::Metrics, Encoding::Json, body).await.map_err(|e| e.to_string())?;
            assert_eq!((accepted.rejected, accepted.message), (0, None));
            Ok(())
        }
    });
    let mut metrics = SpanMetrics::new(Arc::clone(&state), into);
    for round in 0..4 {
        let time = NOW + (round * 15 - 50) * SECOND;
        let id = u64::try_from(round).unwrap() * 10;
        let spans = json!({ "resourceSpans": [
            span("gateway", id + 1, 0, 2, time), span("gateway", id + 2, id + 1, 3, time), span("cart", id + 3, id + 2, 2, time),
        ]});
        let spans = Bytes::from(spans.to_string());
        collector.accept(&TenantId::default(), Signal::Spans, Encoding::Json, spans).await.unwrap();
        metrics.step().await;
        clock.advance(Duration::from_secs(15));
    }
    let router = router(state);
    let ask = async |query: &str| -> Value {
        let time = (NOW - 45 * SECOND) / SECOND + 45;
        let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let request = Request::get(format!("/prometheus/api/v1/query?time={time}&query={query}"));
        let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["status"], "success", "{body}");
        body["data"]["result"].clone()
    };
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
    drop((router, metrics, collector));
    engine.close().unwrap();
}
