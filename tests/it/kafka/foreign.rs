//! Are the spans of Jaeger and Zipkin found that a topic brings?

use super::{Cluster, metric, now};
use crate::server::{Server, eventually};
use prost::Message;
use serde_json::{Value, json};

/// A span of Jaeger's model, as its collector writes it to Kafka; the fields that the test looks at.
#[derive(Clone, PartialEq, Message)]
struct JaegerSpan {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    operation_name: String,
    #[prost(message, repeated, tag = "4")]
    references: Vec<JaegerReference>,
    #[prost(message, optional, tag = "6")]
    start_time: Option<JaegerTime>,
    #[prost(message, optional, tag = "7")]
    duration: Option<JaegerTime>,
    #[prost(message, repeated, tag = "8")]
    tags: Vec<JaegerTag>,
    #[prost(message, optional, tag = "10")]
    process: Option<JaegerProcess>,
}

/// The span's parent.
#[derive(Clone, PartialEq, Message)]
struct JaegerReference {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
}

/// A time or a length of it, as protobuf's own types have them.
#[derive(Clone, Copy, PartialEq, Message)]
struct JaegerTime {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct JaegerTag {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "3")]
    text: String,
}

#[derive(Clone, PartialEq, Message)]
struct JaegerProcess {
    #[prost(string, tag = "1")]
    service_name: String,
    #[prost(message, repeated, tag = "2")]
    tags: Vec<JaegerTag>,
}

fn jaeger(trace: u8, span: u8, parent: Option<u8>, name: &str) -> Vec<u8> {
    let started = i64::try_from(now()).unwrap() - 5_000_000_000;
    let tag = |key: &str, text: &str| JaegerTag { key: key.into(), text: text.into() };
    let nanos = |nanos: i64| i32::try_from(nanos).unwrap();
    let parent = parent.map(|parent| JaegerReference { trace_id: vec![trace; 16], span_id: vec![parent; 8] });
    JaegerSpan {
        trace_id: vec![trace; 16],
        span_id: vec![span; 8],
        operation_name: name.into(),
        references: parent.into_iter().collect(),
        start_time: Some(JaegerTime { seconds: started / 1_000_000_000, nanos: nanos(started % 1_000_000_000) }),
        duration: Some(JaegerTime { seconds: 0, nanos: 250_000_000 }),
        tags: vec![tag("http.request.method", "GET")],
        process: Some(JaegerProcess { service_name: "cart".into(), tags: vec![tag("host.name", "a")] }),
    }
    .encode_to_vec()
}

fn zipkin(trace: &str, name: &str) -> Vec<u8> {
    let microseconds = now() / 1_000 - 5_000_000;
    let spans = json!([
        { "traceId": trace, "id": "00000000000000a1", "kind": "SERVER", "name": name, "timestamp": microseconds,
          "duration": 90_000, "localEndpoint": { "serviceName": "till" }, "tags": { "error": "card refused" } },
        { "traceId": trace, "id": "00000000000000a2", "parentId": "00000000000000a1", "name": "charge",
          "timestamp": microseconds + 10, "duration": 80_000, "localEndpoint": { "serviceName": "till" } },
    ]);
    spans.to_string().into_bytes()
}

/// The traces that a search finds: service and name of the root, and how many spans each has.
async fn search(server: &Server, filter: &str) -> Vec<(String, String, u64)> {
    let answer = server.json(&format!("/api/v1/traces?{filter}")).await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let found = answer["traces"].as_array().unwrap().iter();
    found
        .map(|trace| {
            (text(&trace["root_service"]), text(&trace["root_name"]), trace["span_count"].as_u64().unwrap_or_default())
        })
        .collect()
}

/// Every span of a trace as OTLP has it.
async fn spans(server: &Server, trace: &str) -> Vec<Value> {
    let answer = server.json(&format!("/api/v1/traces/{trace}")).await;
    let lists = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let scopes = lists(&answer, "resourceSpans").into_iter().flat_map(|one| lists(&one, "scopeSpans"));
    scopes.flat_map(|one| lists(&one, "spans")).collect()
}

#[tokio::test]
async fn spans_of_jaeger_and_zipkin_are_found_by_what_they_say() {
    let cluster = Cluster::new(&[("jaeger-spans", 2), ("zipkin", 1)]);
    let dir = tempfile::tempdir().unwrap();
    let topics = r#"{ jaeger-spans = { signal = "spans", encoding = "jaeger_proto" },
        zipkin = { signal = "spans", encoding = "zipkin_json" } }"#;
    let server = cluster.serve(dir.path(), &[("SPANLIGHT_KAFKA_TOPICS", topics)]);
    // A trace's spans may lie in several partitions, the child first.
    cluster.send("jaeger-spans", 1, &jaeger(7, 2, Some(1), "SELECT carts"), None);
    cluster.send("jaeger-spans", 0, &jaeger(7, 1, None, "GET /cart"), None);
    cluster.send("zipkin", 0, &zipkin("000000000000000000000000000000b7", "POST /pay"), None);
    cluster.flush();
    eventually("all messages", || async {
        (metric(&server, "spanlight_kafka_messages_total").await >= 3.0).then_some(())
    })
    .await;
    assert_eq!(metric(&server, "spanlight_kafka_dead_letters_total").await, 0.0);

    let cart = [("cart".to_owned(), "GET /cart".to_owned(), 2)];
    let till = [("till".to_owned(), "post /pay".to_owned(), 2)];
    assert_eq!(search(&server, "service=cart").await, cart);
    assert_eq!(search(&server, "attr=http.request.method=GET&min_duration=200ms").await, cart);
    let found = search(&server, "service=till&status=error").await;
    assert!(found.len() == 1 && found[0].0 == till[0].0 && found[0].2 == 2, "{found:?}");
    assert!(found[0].1.eq_ignore_ascii_case(&till[0].1), "{found:?}");

    let read = spans(&server, &"07".repeat(16)).await;
    let child = read.iter().find(|span| span["name"] == "SELECT carts").unwrap_or_else(|| panic!("{read:?}"));
    assert_eq!((&child["parentSpanId"], &child["spanId"]), (&json!("01".repeat(8)), &json!("02".repeat(8))));
    let read = spans(&server, "000000000000000000000000000000b7").await;
    let child = read.iter().find(|span| span["name"] == "charge").unwrap_or_else(|| panic!("{read:?}"));
    assert_eq!(child["parentSpanId"], "00000000000000a1");
}
