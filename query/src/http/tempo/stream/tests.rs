use crate::config::Config;
use crate::fixture::{Fixture, NOW, SECOND, TestSpan, spans, trace};
use crate::http::grpc::tests::Door;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use prost::Message;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::slice::from_ref;
use tonic::Code;
use tower::ServiceExt;

#[derive(Clone, PartialEq, Message)]
struct SearchRequest {
    #[prost(map = "string, string", tag = "1")]
    tags: HashMap<String, String>,
    #[prost(uint32, tag = "2")]
    min_duration_ms: u32,
    #[prost(uint32, tag = "4")]
    limit: u32,
    #[prost(uint32, tag = "5")]
    start: u32,
    #[prost(uint32, tag = "6")]
    end: u32,
    #[prost(string, tag = "8")]
    query: String,
    #[prost(uint32, tag = "9")]
    spans_per_span_set: u32,
}

#[derive(Clone, PartialEq, Message)]
struct SearchResponse {
    #[prost(message, repeated, tag = "1")]
    traces: Vec<TraceSearchMetadata>,
    #[prost(message, optional, tag = "2")]
    metrics: Option<SearchMetrics>,
}

#[derive(Clone, PartialEq, Message)]
struct TraceSearchMetadata {
    #[prost(string, tag = "1")]
    trace_id: String,
    #[prost(string, tag = "2")]
    root_service_name: String,
    #[prost(string, tag = "3")]
    root_trace_name: String,
    #[prost(uint64, tag = "4")]
    start_time_unix_nano: u64,
    #[prost(uint32, tag = "5")]
    duration_ms: u32,
    #[prost(message, optional, tag = "6")]
    span_set: Option<SpanSet>,
    #[prost(message, repeated, tag = "7")]
    span_sets: Vec<SpanSet>,
    #[prost(map = "string, message", tag = "8")]
    service_stats: HashMap<String, ServiceStats>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ServiceStats {
    #[prost(uint32, tag = "1")]
    span_count: u32,
    #[prost(uint32, tag = "2")]
    error_count: u32,
}

#[derive(Clone, PartialEq, Message)]
struct SpanSet {
    #[prost(message, repeated, tag = "1")]
    spans: Vec<Span>,
    #[prost(uint32, tag = "2")]
    matched: u32,
    #[prost(message, repeated, tag = "3")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(string, tag = "1")]
    span_id: String,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(uint64, tag = "3")]
    start_time_unix_nano: u64,
    #[prost(uint64, tag = "4")]
    duration_nanos: u64,
    #[prost(message, repeated, tag = "5")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct SearchMetrics {
    #[prost(uint32, tag = "3")]
    total_blocks: u32,
    #[prost(uint32, tag = "4")]
    completed_jobs: u32,
    #[prost(uint32, tag = "5")]
    total_jobs: u32,
    #[prost(uint64, tag = "7")]
    inspected_spans: u64,
}

#[derive(Clone, PartialEq, Message)]
struct SeriesRequest {
    #[prost(string, tag = "1")]
    query: String,
    #[prost(uint64, tag = "2")]
    start: u64,
    #[prost(uint64, tag = "3")]
    end: u64,
    #[prost(uint64, tag = "4")]
    step: u64,
    #[prost(uint32, tag = "16")]
    exemplars: u32,
}

#[derive(Clone, PartialEq, Message)]
struct RangeResponse {
    #[prost(message, repeated, tag = "1")]
    series: Vec<TimeSeries>,
    #[prost(message, optional, tag = "2")]
    metrics: Option<SearchMetrics>,
    #[prost(int32, tag = "3")]
    status: i32,
    #[prost(string, tag = "4")]
    message: String,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<KeyValue>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    exemplars: Vec<Exemplar>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp_ms: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<KeyValue>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(int64, tag = "3")]
    timestamp_ms: i64,
}

#[derive(Clone, PartialEq, Message)]
struct InstantResponse {
    #[prost(message, repeated, tag = "1")]
    series: Vec<InstantSeries>,
    #[prost(int32, tag = "3")]
    status: i32,
}

#[derive(Clone, PartialEq, Message)]
struct InstantSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<KeyValue>,
    #[prost(double, tag = "2")]
    value: f64,
}

#[derive(Clone, PartialEq, Message)]
struct TagsRequest {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    query: String,
    #[prost(uint32, tag = "6")]
    most: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Texts {
    #[prost(string, repeated, tag = "1")]
    texts: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Scopes {
    #[prost(message, repeated, tag = "1")]
    scopes: Vec<Scope>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, repeated, tag = "2")]
    tags: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Typed {
    #[prost(message, repeated, tag = "1")]
    values: Vec<TypedValue>,
}

#[derive(Clone, PartialEq, Message)]
struct TypedValue {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "2")]
    value: String,
}

async fn door() -> Door {
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
    Door::open(fixture, Config::default()).await
}

/// What the same question has for an answer over HTTP.
async fn over_http(door: &Door, path: &str, parameters: &[(&str, String)]) -> Value {
    let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let query: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    let request = Request::get(format!("/tempo/api{path}?{}", query.join("&"))).body(Body::empty()).unwrap();
    let answer = crate::http::router(door.state.clone()).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

fn attributes(list: &[KeyValue]) -> Value {
    let one = |entry: &KeyValue| {
        let value = match entry.value.as_ref().and_then(|value| value.value.clone()).unwrap() {
            any_value::Value::StringValue(text) => json!({ "stringValue": text }),
            any_value::Value::IntValue(value) => json!({ "intValue": value.to_string() }),
            any_value::Value::DoubleValue(value) => json!({ "doubleValue": value }),
            any_value::Value::BoolValue(value) => json!({ "boolValue": value }),
            other => panic!("{other:?}"),
        };
        json!({ "key": entry.key, "value": value })
    };
    list.iter().map(one).collect()
}

/// Without fields that JSON leaves out.
fn said(value: Value) -> Value {
    let Value::Object(fields) = value else { return value };
    let empty = |value: &Value| *value == json!([]) || *value == json!(0) || value.is_null();
    fields.into_iter().filter(|(_, value)| !empty(value)).collect()
}

fn set(set: &SpanSet) -> Value {
    let span = |span: &Span| {
        said(json!({
            "spanID": span.span_id, "name": span.name, "startTimeUnixNano": span.start_time_unix_nano.to_string(),
            "durationNanos": span.duration_nanos.to_string(), "attributes": attributes(&span.attributes),
        }))
    };
    said(json!({
        "spans": set.spans.iter().map(span).collect::<Vec<_>>(), "matched": set.matched, "attributes": attributes(&set.attributes),
    }))
}

fn as_json(found: &TraceSearchMetadata) -> Value {
    let stats = found.service_stats.iter().map(|(name, stats)| {
        (name.clone(), said(json!({ "spanCount": stats.span_count, "errorCount": stats.error_count })))
    });
    json!({
        "traceID": found.trace_id, "rootServiceName": found.root_service_name, "rootTraceName": found.root_trace_name,
        "startTimeUnixNano": found.start_time_unix_nano.to_string(), "durationMs": found.duration_ms,
        "spanSet": found.span_set.as_ref().map(set), "spanSets": found.span_sets.iter().map(set).collect::<Vec<_>>(),
        "serviceStats": stats.collect::<serde_json::Map<_, _>>(),
    })
}

const SEARCH: &str = "/tempopb.StreamingQuerier/Search";
const RANGE: &str = "/tempopb.StreamingQuerier/MetricsQueryRange";
const INSTANT: &str = "/tempopb.StreamingQuerier/MetricsQueryInstant";

#[tokio::test(flavor = "multi_thread")]
async fn s2_the_messages_of_a_search_are_the_answer_over_http() {
    let door = door().await;
    for query in [
        "{}",
        "{ status = error } | select(resource.service.name, nestedSetParent, kind)",
        "{ } | by(resource.service.name) | count() = 1",
        "{ name = \"nothing\" }",
        "{ .http.method = \"GET\" } >> { kind = client }",
    ] {
        let question = SearchRequest { query: query.into(), limit: 50, spans_per_span_set: 20, ..Default::default() };
        let messages: Vec<SearchResponse> = door.ask(SEARCH, question).await.unwrap();
        let parameters = [("q", query.to_owned()), ("limit", "50".to_owned()), ("spss", "20".to_owned())];
        let http = over_http(&door, "/search", &parameters).await;
        let traces: Vec<Value> = messages.iter().flat_map(|message| &message.traces).map(as_json).collect();
        assert_eq!(Value::from(traces), http["traces"], "{query}");
        let metrics = messages.last().unwrap().metrics.unwrap();
        assert_eq!(metrics.completed_jobs, metrics.total_jobs);
        assert_eq!(metrics.inspected_spans.to_string(), http["metrics"]["inspectedSpans"]);
        assert_eq!(json!(metrics.total_blocks), http["metrics"]["totalBlocks"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_a_search_may_be_one_of_tags_and_has_limits() {
    let door = door().await;
    let found = async |question: SearchRequest| -> Vec<String> {
        let messages: Vec<SearchResponse> = door.ask(SEARCH, question).await.unwrap();
        messages.into_iter().flat_map(|message| message.traces).map(|trace| trace.trace_id).collect()
    };
    let [newer, older] = [1, 2].map(|number| trace(number).to_string());
    // What Grafana asks to see whether streaming works.
    let seconds = |nanos: i64| u32::try_from(nanos / SECOND).unwrap();
    let test = SearchRequest {
        query: "{}".into(),
        limit: 1,
        start: seconds(NOW) - 900,
        end: seconds(NOW),
        ..SearchRequest::default()
    };
    assert_eq!(found(test.clone()).await, from_ref(&newer));
    let earlier = SearchRequest { end: seconds(NOW) - 15, ..test };
    assert_eq!(found(earlier).await, from_ref(&older));
    assert_eq!(found(SearchRequest::default()).await, [newer.clone(), older]);
    let tags = HashMap::from([("http.method".to_owned(), "g\"e".to_owned())]);
    assert!(found(SearchRequest { tags, ..SearchRequest::default() }).await.is_empty());
    let tags = HashMap::from([("http.method".to_owned(), "get".to_owned())]);
    assert_eq!(found(SearchRequest { tags, min_duration_ms: 2, ..SearchRequest::default() }).await, [newer]);
    let refused = door.ask::<SearchResponse>(SEARCH, SearchRequest { start: 9, end: 5, ..SearchRequest::default() });
    assert_eq!(refused.await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn s2_a_large_answer_comes_in_messages_of_bounded_size() {
    let fixture = Fixture::new();
    let name: &'static str = "n".repeat(20_000).leak();
    let span = |trace: u8| TestSpan {
        trace,
        id: trace.into(),
        name,
        start: NOW - i64::from(trace) * SECOND,
        ..TestSpan::default()
    };
    fixture.put(spans(&(1..=200).map(span).collect::<Vec<_>>())).await;
    let door = Door::open(fixture, Config::default()).await;
    let question = SearchRequest { query: "{}".into(), limit: 200, ..SearchRequest::default() };
    let messages: Vec<SearchResponse> = door.ask(SEARCH, question).await.unwrap();
    assert!(messages.len() > 8, "{}", messages.len());
    assert!(messages.iter().all(|message| message.encoded_len() < (1 << 20) + 100_000));
    let ids: Vec<String> =
        messages.into_iter().flat_map(|message| message.traces).map(|found| found.trace_id).collect();
    assert_eq!(ids, (1..=200).map(|number| trace(number).to_string()).collect::<Vec<_>>(), "newest first, each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_series_are_the_answer_over_http() {
    let door = door().await;
    let [start, end] = [NOW - 60 * SECOND, NOW].map(|time| u64::try_from(time).unwrap());
    for query in [
        "{nestedSetParent<0 && true} | rate() by(resource.service.name) with(sample=true)",
        "{} | count_over_time()",
        "{} | quantile_over_time(duration, 0.9) by (kind)",
        "({ status = error } | rate()) / ({} | rate()) * 100",
        "{} | rate() by (name) | topk(1)",
        "{kind=client} | compare({status = error})",
    ] {
        let question = SeriesRequest { query: query.into(), start, end, step: 30_000_000_000, exemplars: 10 };
        let messages: Vec<RangeResponse> = door.ask(RANGE, question.clone()).await.unwrap();
        let text = |name: &'static str, value: u64| (name, value.to_string());
        let parameters = [
            ("q", query.to_owned()),
            text("start", start),
            text("end", end),
            ("step", "30s".to_owned()),
            text("exemplars", 10),
        ];
        let http = over_http(&door, "/metrics/query_range", &parameters).await;
        let shown = |series: &TimeSeries| {
            let sample =
                |sample: &Sample| json!({ "timestampMs": sample.timestamp_ms.to_string(), "value": sample.value });
            let exemplar = |exemplar: &Exemplar| {
                json!({
                    "labels": attributes(&exemplar.labels), "value": exemplar.value,
                    "timestampMs": exemplar.timestamp_ms.to_string(),
                })
            };
            let mut shown = json!({
                "labels": attributes(&series.labels), "samples": series.samples.iter().map(sample).collect::<Vec<_>>(),
            });
            if !series.exemplars.is_empty() {
                shown["exemplars"] = series.exemplars.iter().map(exemplar).collect();
            }
            shown
        };
        let series: Vec<Value> = messages.iter().flat_map(|message| &message.series).map(shown).collect();
        assert_eq!(Value::from(series), http["series"], "{query}");
        assert_eq!((messages.len(), messages[0].status, messages[0].message.as_str()), (1, 0, ""));

        let messages: Vec<InstantResponse> = door.ask(INSTANT, question).await.unwrap();
        let http = over_http(&door, "/metrics/query", &parameters[..3]).await;
        let shown = |series: &InstantSeries| json!({ "labels": attributes(&series.labels), "value": series.value });
        let series: Vec<Value> = messages.iter().flat_map(|message| &message.series).map(shown).collect();
        assert_eq!(Value::from(series), http["series"], "{query}");
        assert_eq!((messages.len(), messages[0].status), (1, 0));
    }
    let traces = SeriesRequest { query: "{}".into(), ..SeriesRequest::default() };
    assert_eq!(door.ask::<RangeResponse>(RANGE, traces).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_many_series_come_in_several_messages_and_a_cut_is_said_in_each() {
    let fixture = Fixture::new();
    let names: Vec<&'static str> = (0..1_100).map(|id| &*format!("n{id:04}{}", "x".repeat(3_000)).leak()).collect();
    let span = |(id, name): (u64, &'static str)| TestSpan { id, name, ..TestSpan::default() };
    fixture.put(spans(&(1u64..).zip(names).map(span).collect::<Vec<_>>())).await;
    let door = Door::open(fixture, Config::default()).await;
    let question = SeriesRequest { query: "{} | rate() by (name)".into(), ..SeriesRequest::default() };
    let messages: Vec<RangeResponse> = door.ask(RANGE, question).await.unwrap();
    assert!(messages.len() > 2 && messages.iter().all(|message| message.encoded_len() < 2 << 20));
    assert!(messages.iter().all(|message| message.status == 1 && message.message.contains("1000 of 1100 series")));
    assert_eq!(messages.iter().map(|message| message.series.len()).sum::<usize>(), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_tags_and_values_are_those_of_http() {
    let door = door().await;
    let list = |value: &Value| -> BTreeSet<String> {
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let names: Vec<Texts> = door.ask("/tempopb.StreamingQuerier/SearchTags", TagsRequest::default()).await.unwrap();
    let http = over_http(&door, "/search/tags", &[]).await;
    assert_eq!(names[0].texts.iter().cloned().collect::<BTreeSet<_>>(), list(&http["tagNames"]));

    let scopes: Vec<Scopes> = door.ask("/tempopb.StreamingQuerier/SearchTagsV2", TagsRequest::default()).await.unwrap();
    let http = over_http(&door, "/v2/search/tags", &[]).await;
    let shown = |scope: &Scope| json!({ "name": scope.name, "tags": scope.tags });
    assert_eq!(scopes[0].scopes.iter().map(shown).collect::<Value>(), http["scopes"]);
    let only = TagsRequest { name: "span".into(), ..TagsRequest::default() };
    let only: Vec<Scopes> = door.ask("/tempopb.StreamingQuerier/SearchTagsV2", only).await.unwrap();
    assert_eq!(only[0].scopes.iter().map(|scope| scope.name.as_str()).collect::<Vec<_>>(), ["span"]);

    let values = |name: &str| TagsRequest { name: name.into(), ..TagsRequest::default() };
    let plain: Vec<Texts> =
        door.ask("/tempopb.StreamingQuerier/SearchTagValues", values("service.name")).await.unwrap();
    assert_eq!(plain, [Texts { texts: ["cart", "db", "gateway", "shop"].map(Into::into).into() }]);
    let typed = async |question: TagsRequest| -> Vec<(String, String)> {
        let typed: Vec<Typed> = door.ask("/tempopb.StreamingQuerier/SearchTagValuesV2", question).await.unwrap();
        typed.into_iter().flat_map(|typed| typed.values).map(|value| (value.kind, value.value)).collect()
    };
    let text = |value: &str| ("string".to_owned(), value.to_owned());
    let filtered = TagsRequest { query: "{ status = error && name = }".into(), ..values("resource.service.name") };
    assert_eq!(typed(filtered).await, [text("cart")]);
    assert_eq!(typed(TagsRequest { most: 1, ..values("resource.service.name") }).await.len(), 1);
    assert_eq!(typed(values("span.a/b")).await, [text("x")]);
    assert!(typed(values("status")).await.contains(&("keyword".to_owned(), "error".to_owned())));
    let refused = door.ask::<Typed>("/tempopb.StreamingQuerier/SearchTagValuesV2", values("foo")).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
}
