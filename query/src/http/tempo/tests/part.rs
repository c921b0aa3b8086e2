//! For tests: a part of a trace, similar spans as one, and the form for language models, as Tempo's main branch answers them.

use super::{Server, escaped};
use crate::fixture::{NOW, SECOND, TestSpan, span_id, spans, trace};
use axum::http::StatusCode;
use serde_json::{Value, json};

/// A trace of a root and six calls of a database, three of each kind.
async fn server() -> Server {
    let server = Server::new().await;
    let call = |id: u64| TestSpan {
        trace: 7,
        id,
        parent: Some(1),
        kind: 3,
        name: "SELECT",
        start: NOW - 5 * SECOND + id as i64,
        duration: 1_000_000 * id as i64,
        attributes: vec![("db.system", if id < 5 { "mysql" } else { "redis" })],
        ..TestSpan::default()
    };
    let root = TestSpan { trace: 7, start: NOW - 5 * SECOND, ..TestSpan::default() };
    server.fixture.put(spans(&(2..8).map(call).chain([root]).collect::<Vec<_>>())).await;
    server
}

/// Id of the trace, and its answer.
async fn asked(server: &Server, parameters: &str) -> Value {
    server.get(&format!("/api/v2/traces/{}?{parameters}", trace(7))).await
}

fn all_spans(answer: &Value) -> Vec<&Value> {
    let parts = answer["trace"]["resourceSpans"].as_array().unwrap().iter();
    parts.flat_map(|part| part["scopeSpans"][0]["spans"].as_array().unwrap()).collect()
}

#[tokio::test]
async fn a_part_of_a_trace_is_told_and_called_one() {
    let server = server().await;
    let whole = asked(&server, "").await;
    assert_eq!((all_spans(&whole).len(), &whole["status"]), (7, &Value::Null));
    let filter = escaped("{ span.db.system = \"redis\" }");
    let part = asked(&server, &format!("q={filter}&start=1&end=2")).await;
    assert_eq!((all_spans(&part).len(), &part["status"]), (3, &json!("PARTIAL")));
    assert!(part["message"].as_str().unwrap().contains("only the spans that `q` leaves"), "{part}");
    let with_root = asked(&server, &format!("q={filter}&keep_hierarchy=true")).await;
    assert_eq!(all_spans(&with_root).len(), 4);
    let root = escaped("{ nestedSetParent < 0 }");
    assert_eq!(all_spans(&asked(&server, &format!("q={root}&match_depth=-1")).await).len(), 7);
    assert_eq!(
        all_spans(&asked(&server, &format!("q={root}&ancestor_depth=nonsense")).await).len(),
        1,
        "it is not read"
    );
    let none = asked(&server, &format!("q={}", escaped("{ false }"))).await;
    assert_eq!((all_spans(&none).len(), &none["status"]), (0, &json!("PARTIAL")));
    let path = |parameters: &str| format!("/api/v2/traces/{}?{parameters}", trace(7));
    for wrong in [
        format!("q={filter}&match_depth=-2"),
        format!("q={filter}&keep_hierarchy=true&ancestor_depth=x"),
        format!("q={filter}&keep_hierarchy=perhaps"),
        format!("q={}", escaped("{ } | rate()")),
        "q=%7B".to_owned(),
        "span_pruning=maybe".to_owned(),
        "span_pruning=1&span_pruning_min_spans=1".to_owned(),
        "span_pruning=1&span_pruning_max_parent_depth=-2".to_owned(),
        "span_pruning=1&span_pruning_group_by=%5B".to_owned(),
    ] {
        assert_eq!(server.refused(&path(&wrong)).await.0, 400, "{wrong}");
    }
    assert_eq!(server.refused(&format!("/api/v2/traces/ffff?q={filter}")).await.0, 404);
}

#[tokio::test]
async fn similar_spans_are_told_as_one_where_that_is_asked_for() {
    let server = server().await;
    let pruned = asked(&server, "span_pruning=true").await;
    assert_eq!((all_spans(&pruned).len(), &pruned["status"]), (2, &json!("PARTIAL")));
    let count = json!({"key": "aggregation.span_count", "value": {"intValue": "6"}});
    let has_count = |span: &&Value| span["attributes"].as_array().unwrap().contains(&count);
    assert!(all_spans(&pruned).iter().any(has_count), "{pruned}");
    let by_system = "span_pruning=true&span_pruning_group_by=db.*&span_pruning_min_spans=3";
    assert_eq!(all_spans(&asked(&server, by_system).await).len(), 3);
    let off = "span_pruning=false&span_pruning_min_spans=nonsense";
    assert_eq!(all_spans(&asked(&server, off).await).len(), 7);
    let filter = escaped("{ span.db.system = \"redis\" }");
    let both = asked(&server, &format!("q={filter}&span_pruning=true&span_pruning_min_spans=2")).await;
    assert_eq!(all_spans(&both).len(), 1, "a filter looks at real spans: {both}");
    assert_eq!(both["message"].as_str().unwrap().matches(';').count(), 2, "{both}");
    let (_, _, binary) =
        server.send(&format!("/api/v2/traces/{}?span_pruning=true", trace(7)), "application/protobuf").await;
    assert!(String::from_utf8_lossy(&binary).contains("similar spans are told as one"));
}

#[tokio::test]
async fn a_trace_and_values_are_written_for_models() {
    let server = server().await;
    let llm = "application/vnd.grafana.llm";
    let (status, headers, body) = server.send(&format!("/api/v2/traces/{}", trace(1)), llm).await;
    assert_eq!(
        (status, &headers["content-type"]),
        (StatusCode::OK, &"application/vnd.grafana.llm+json".parse().unwrap())
    );
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&answer["trace"]["traceId"], &answer["status"]), (&json!(trace(1).to_string()), &json!("COMPLETE")));
    let services = answer["trace"]["services"].as_array().unwrap();
    let cart = services.iter().find(|service| service["serviceName"] == "cart").unwrap();
    assert_eq!(cart["resource"], json!({"service.instance.id": "a", "service.version": "1"}));
    let expected = json!({
        "spanId": span_id(2).to_string(), "name": "add", "parentSpanId": span_id(1).to_string(), "kind": "SPAN_KIND_CLIENT",
        "startTimeUnixNano": (NOW - 10 * SECOND + 2).to_string(), "endTimeUnixNano": (NOW - 10 * SECOND + 2_000_002).to_string(),
        "durationMs": 2.0, "attributes": {"a/b": "x", "http.method": "GET"},
        "status": {"code": "STATUS_CODE_ERROR", "message": ""},
    });
    assert_eq!(cart["scopes"], json!([{"name": "test", "spans": [expected]}]));

    let path = "/api/v2/search/tag/resource.service.name/values";
    let (_, headers, body) = server.send(path, llm).await;
    assert_eq!(headers["content-type"], "application/vnd.grafana.llm+json");
    let values: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(values["tagValues"]["string"].as_array().unwrap().len(), 4, "{values}");
    let v1 = server.send(&format!("/api/traces/{}", trace(1)), llm).await;
    assert_eq!(v1.1["content-type"], "application/json", "only the second version has it");
}

#[tokio::test]
async fn limits_are_told_and_not_changed() {
    let server = Server::new().await;
    assert_eq!(server.refused("/api/overrides").await.0, 404);
    assert_eq!(server.refused("/api/overrides?scope=all").await.0, 400);
    let (status, headers, body) = server.send("/api/overrides?scope=merged", "*/*").await;
    assert_eq!((status, &headers["etag"]), (StatusCode::OK, &"0".parse().unwrap()));
    let told: Value = serde_json::from_slice(&body).unwrap();
    let generator = &told["metrics_generator"];
    assert_eq!((&generator["processors"], &generator["disable_collection"]), (&json!([]), &json!(true)));
    assert_eq!(
        (&generator["collection_interval"], &generator["ingestion_time_range_slack"]),
        (&json!("15s"), &json!("30s"))
    );
}
