//! For tests: the comparison of two traces, as Tempo's main branch answers it.

use crate::config::Config;
use crate::fixture::{Fixture, NOW, SECOND, TestSpan, spans, trace};
use crate::http::{Host, QueryState, router};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

const MILLISECOND: i64 = 1_000_000;

fn span(
    trace: u8,
    id: u64,
    parent: u64,
    (service, name): (&'static str, &'static str),
    start: i64,
    took: i64,
) -> TestSpan {
    TestSpan {
        trace,
        id,
        parent: (parent > 0).then_some(parent),
        service,
        name,
        kind: if parent == 0 { 2 } else { 3 },
        start: NOW - SECOND + start * MILLISECOND,
        duration: took * MILLISECOND,
        ..TestSpan::default()
    }
}

async fn ask(list: Vec<TestSpan>, body: &str) -> (u16, String) {
    let fixture = Fixture::new();
    fixture.put(spans(&list)).await;
    let (engine, clock) = (fixture.engine.clone(), fixture.clock.clone());
    let router = router(QueryState::new(Config::default(), engine, clock, Host::default()).unwrap());
    let request = Request::post("/tempo/api/v2/traces/diff").body(Body::from(body.to_owned())).unwrap();
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    if parts.status == StatusCode::OK {
        assert_eq!(parts.headers["content-type"], "application/json");
    }
    (parts.status.as_u16(), text)
}

fn question(format: &str) -> String {
    let ids = [1, 2].map(|number| trace(number).to_string());
    json!({"base": {"traceId": ids[0]}, "compare": {"traceId": ids[1], "start": 1, "end": 2}, "format": format})
        .to_string()
}

fn sample() -> Vec<TestSpan> {
    let (shop, cart) = (("shop", "checkout"), ("cart", "add"));
    vec![
        span(1, 1, 0, shop, 0, 100),
        TestSpan { attributes: vec![("a", "1"), ("gone", "x"), ("same", "s")], ..span(1, 2, 1, cart, 10, 20) },
        span(1, 3, 1, ("db", "SELECT"), 40, 5),
        span(2, 11, 0, shop, 0, 110),
        TestSpan {
            status: 2,
            attributes: vec![("a", "2"), ("new", "y"), ("same", "s")],
            ..span(2, 12, 11, cart, 10, 60)
        },
        span(2, 13, 12, ("db", "INSERT"), 12, 30),
    ]
}

fn patch() -> Value {
    let attribute = |op, key, before: Value, after: Value| json!({"op": op, "target": {"type": "attribute", "scope": "span", "key": key}, "before": before, "after": after});
    let field = |name, before: Value, after: Value| json!({"op": "modify", "target": {"type": "field", "name": name}, "before": before, "after": after});
    let whole = |path: &[u64], name, nanos: i64| json!({"path": path, "service": "db", "name": name, "kind": "client", "duration_nanos": nanos, "status": "unset"});
    json!({
        "version": "trace-patch-v0",
        "base": {"traceId": trace(1).to_string(), "spanCount": 3},
        "compare": {"traceId": trace(2).to_string(), "spanCount": 3},
        "stats": {
            "spanCountA": 3, "spanCountB": 3, "matchedSpans": 2, "modifiedSpans": 1, "addedSpans": 1, "removedSpans": 1,
            "fieldChanges": 2, "attributeChanges": 3, "eventChanges": 0, "truncated": false,
        },
        "modified": [{
            "span": {"path": [0, 0], "service": "cart", "name": "add", "kind": "client"},
            "changes": [
                field("duration_nanos", 20_000_000.into(), 60_000_000.into()),
                field("status", "unset".into(), "error".into()),
                attribute("modify", "a", "1".into(), "2".into()),
                attribute("remove", "gone", "x".into(), Value::Null),
                attribute("add", "new", Value::Null, "y".into()),
            ],
        }],
        "added": [{
            "target": {"type": "span", "parentPath": [0, 0], "index": 0},
            "span": whole(&[0, 0, 0], "INSERT", 30_000_000),
        }],
        "removed": [{"target": {"type": "span", "path": [0, 1]}, "span": whole(&[0, 1], "SELECT", 5_000_000)}],
        "warnings": [],
    })
}

fn summary() -> Value {
    let service = |name, delta, modified, added, removed, errors| {
        json!({
            "name": name, "sumSpanDurationDeltaMs": delta, "modified": modified, "added": added, "removed": removed,
            "newErrors": errors, "resolvedErrors": 0,
        })
    };
    let side = |number, errors, duration, sum| {
        json!({
            "traceId": trace(number).to_string(), "rootService": "shop", "rootName": "checkout", "spanCount": 3,
            "errorSpanCount": errors, "durationMs": duration, "sumSpanDurationMs": sum,
        })
    };
    json!({
        "version": "trace-summary-v0-native",
        "base": side(1, 0, 100, 125),
        "compare": side(2, 1, 110, 200),
        "signals": {
            "traceLatency": "increased", "sumSpanDuration": "increased", "errors": "increased", "spanCount": "unchanged",
            "structure": "changed",
        },
        "trust": {"matchedSpanRatio": 2.0 / 3.0, "structureOverlap": 2.0 / 3.0},
        "stats": {
            "traceLatencyDeltaMs": 10, "sumSpanDurationDeltaMs": 75, "spanCountDelta": 0, "errorSpanDelta": 1,
            "matchedSpans": 2, "modifiedSpans": 1, "addedSpans": 1, "removedSpans": 1, "fieldChanges": 2,
            "attributeChanges": 3,
        },
        "changedServices": ["cart", "db", "shop"],
        "services": [service("cart", 40, 1, 0, 0, 1), service("db", 25, 0, 1, 1, 0), service("shop", 10, 0, 0, 0, 0)],
    })
}

#[tokio::test]
async fn df1_two_traces_differ_as_tempo_says() {
    let composed = json!({"version": "trace-summary-v0-composed", "summary": summary(), "patch": patch()});
    for (format, expected) in [
        ("", patch()),
        ("trace-patch-v0", patch()),
        ("trace-summary-v0-native", summary()),
        ("trace-summary-v0-composed", composed),
    ] {
        let (status, text) = ask(sample(), &question(format)).await;
        assert_eq!(status, 200, "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected, "{format}");
    }
}

#[tokio::test]
async fn a_patch_that_is_too_large_is_left_out_of_a_summary_and_its_size_told() {
    let mut list = vec![span(1, 1, 0, ("shop", "checkout"), 0, 1), span(2, 1_001, 0, ("shop", "checkout"), 0, 1)];
    list.extend((2..600).map(|id| span(2, 1_000 + id, 1_001, ("shop", "call"), id as i64, 1)));
    let (_, text) = ask(list.clone(), &question("trace-summary-v0-composed")).await;
    let composed: Value = serde_json::from_str(&text).unwrap();
    let (_, patch) = ask(list, &question("")).await;
    assert_eq!(composed["patchOmitted"], json!({"bytes": patch.len(), "reason": "over_budget"}));
    assert_eq!(composed["patch"], Value::Null);
    assert_eq!(composed["summary"]["stats"]["addedSpans"], 598);
}

#[tokio::test]
async fn pt1_a_span_takes_the_one_whose_parent_is_like_its_own_before_others() {
    let (root, one, other) = (("shop", "checkout"), ("shop", "one"), ("shop", "other"));
    let call = ("db", "SELECT");
    let base = vec![
        span(1, 1, 0, root, 0, 100),
        span(1, 2, 1, one, 1, 9),
        span(1, 3, 2, call, 2, 3),
        span(1, 4, 1, other, 11, 50),
        span(1, 5, 4, call, 12, 40),
    ];
    let compare = vec![span(2, 11, 0, root, 0, 100), span(2, 14, 11, other, 1, 50), span(2, 15, 14, call, 2, 40)];
    let (_, text) = ask([base, compare].concat(), &question("")).await;
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&found["modified"], &found["added"]), (&json!([]), &json!([])), "{found}");
    let removed: Vec<_> = found["removed"].as_array().unwrap().iter().map(|it| it["target"]["path"].clone()).collect();
    assert_eq!(removed, [json!([0, 0]), json!([0, 0, 0])]);
}

#[tokio::test]
async fn circles_orphans_and_names_with_ids_are_compared_and_told() {
    let circle = |trace: u8, id: u64| {
        vec![
            span(trace, id, id + 1, ("a", "x"), 1, 2),
            span(trace, id + 1, id, ("a", "y"), 2, 0),
            span(trace, id + 2, 99, ("a", "get 1234567"), 3, 2),
        ]
    };
    let (_, text) = ask([circle(1, 1), circle(2, 11)].concat(), &question("")).await;
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&found["stats"]["matchedSpans"], &found["modified"]), (&json!(3), &json!([])), "{found}");
    let codes: Vec<_> = found["warnings"].as_array().unwrap().iter().map(|it| it["code"].clone()).collect();
    assert_eq!(codes, [json!("high_cardinality_span_name")]);
}

#[tokio::test]
async fn what_cannot_be_compared_is_refused_with_tempos_status() {
    let ids =
        |base: &str, compare: &str| json!({"base": {"traceId": base}, "compare": {"traceId": compare}}).to_string();
    let one = trace(1).to_string();
    for (body, status, told) in [
        ("{".to_owned(), 400, "body"),
        ("[]".to_owned(), 400, "base.traceId is required"),
        (json!({"base": {"traceId": one}}).to_string(), 400, "compare.traceId is required"),
        (ids("xyz", &one), 400, "base.traceId"),
        (ids(&one, &"1".repeat(33)), 400, "compare.traceId"),
        (question("trace-patch-v9"), 400, "trace-patch-v9"),
        (question("").replace("\"end\":2", "\"end\":1"), 400, "compare.start must be before"),
        (ids(&one, "ff"), 404, "Not Found"),
    ] {
        let (found, text) = ask(sample(), &body).await;
        assert_eq!(found, status, "{body}: {text}");
        assert!(text.contains(told), "{body}: {text}");
    }
}
