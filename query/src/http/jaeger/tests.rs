use crate::config::Config;
use crate::fixture::{Fixture, NOW, SECOND, TestSpan, span_id, spans, text_map, trace};
use crate::http::{Host, QueryState, router};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use storage::model::attribute::{self, Map, MapBuilder, put_array, put_value};
use storage::model::origin::{Resource, Scope};
use storage::model::{Batch, Span, SpanBatchBuilder};
use tower::ServiceExt;

struct Server {
    fixture: Fixture,
    router: Router,
}

impl Server {
    /// A trace over three services, of which the last but one fails, and another with an orphan.
    async fn new() -> Self {
        let fixture = Fixture::new();
        let span = |id, parent, service, name, status, kind| TestSpan {
            id,
            parent,
            service,
            name,
            status,
            kind,
            start: NOW - 10 * SECOND + id as i64 * 1_000,
            duration: 1_000_000 * id as i64,
            attributes: vec![("http.method", "GET")],
            ..TestSpan::default()
        };
        let other = TestSpan { trace: 2, id: 9, parent: Some(8), start: NOW - 20 * SECOND, ..TestSpan::default() };
        fixture
            .put(spans(&[
                span(1, None, "gateway", "GET /", 0, 2),
                span(2, Some(1), "cart", "add", 2, 3),
                span(3, Some(2), "db", "SELECT", 0, 3),
                other,
            ]))
            .await;
        fixture.flush().await;
        let state =
            QueryState::new(Config::default(), fixture.engine.clone(), fixture.clock.clone(), Host::default()).unwrap();
        Server { router: router(state), fixture }
    }

    async fn send(&self, request: Request<Body>) -> (u16, Value) {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        assert_eq!(parts.headers["content-type"], "application/json");
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status.as_u16(), serde_json::from_slice(&body).unwrap())
    }

    async fn ask(&self, path: &str) -> (u16, Value) {
        self.send(Request::get(format!("/jaeger{path}")).body(Body::empty()).unwrap()).await
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// The spans of all traces of a search.
    async fn found(&self, query: &str) -> Vec<String> {
        let answer = self.get(&format!("/api/traces?{query}")).await;
        let spans = answer["data"].as_array().unwrap().iter().flat_map(|trace| trace["spans"].as_array().unwrap());
        let mut names: Vec<String> = spans.map(|span| span["operationName"].as_str().unwrap().to_owned()).collect();
        names.sort_unstable();
        names
    }
}

fn envelope(data: Value, total: usize) -> Value {
    json!({ "data": data, "total": total, "limit": 0, "offset": 0, "errors": null })
}

#[tokio::test]
async fn services_and_operations_are_listed() {
    let server = Server::new().await;
    let services = json!(["cart", "db", "gateway", "shop"]);
    assert_eq!(server.get("/api/services").await, envelope(services.clone(), 4));
    assert_eq!(server.get("/api/v3/services").await, json!({ "services": services }));
    assert_eq!(server.get("/api/services/cart/operations").await, envelope(json!(["add"]), 1));
    assert_eq!(server.get("/api/services/none/operations").await, envelope(json!([]), 0));
    let operation = json!([{ "name": "add", "spanKind": "client" }]);
    assert_eq!(server.get("/api/operations?service=cart").await, envelope(operation.clone(), 1));
    assert_eq!(server.get("/api/operations?service=cart&spanKind=server").await, envelope(json!([]), 0));
    assert_eq!(server.get("/api/v3/operations?service=cart").await, json!({ "operations": operation }));
    let unspecified =
        TestSpan { trace: 9, id: 91, start: NOW - SECOND, kind: 0, service: "plain", ..TestSpan::default() };
    server.fixture.put(spans(&[unspecified])).await;
    let kind = async |path: &str| server.get(path).await;
    assert_eq!(kind("/api/operations?service=plain").await["data"][0]["spanKind"], "");
    assert_eq!(kind("/api/v3/operations?service=plain").await["operations"][0]["spanKind"], "internal");
    let (status, error) = server.ask("/api/operations").await;
    let message = json!([{ "code": 400, "msg": "parameter 'service' is required" }]);
    assert_eq!((status, &error["errors"]), (400, &message));
}

#[tokio::test]
async fn a_span_without_service_has_one_name_everywhere() {
    let server = Server::new().await;
    let nameless = TestSpan {
        trace: 9,
        id: 91,
        start: NOW - 10 * SECOND,
        service: "",
        name: "lost",
        kind: 2,
        ..TestSpan::default()
    };
    server.fixture.put(spans(&[nameless])).await;
    let name = "OTLPResourceNoServiceName";
    let services = server.get("/api/services").await;
    assert!(services["data"].as_array().unwrap().contains(&json!(name)), "{services}");
    assert_eq!(server.get(&format!("/api/services/{name}/operations")).await, envelope(json!(["lost"]), 1));
    assert_eq!(server.found(&format!("service={name}")).await, ["lost"]);
    let told = server.get(&format!("/api/traces/{}", trace(9))).await;
    assert_eq!(told["data"][0]["processes"]["p1"]["serviceName"], name);
    let end = NOW / 1_000_000;
    let calls = server.get(&format!("/api/metrics/calls?service={name}&endTs={end}&lookback=60000&step=60000")).await;
    assert_eq!(calls["metrics"][0]["labels"], json!([{ "name": "service_name", "value": name }]));
}

#[tokio::test]
async fn a_resource_that_tells_no_service_is_listed() {
    let server = Server::new().await;
    let name = json!("OTLPResourceNoServiceName");
    let lists = async || {
        let first = server.get("/api/services").await["data"].clone();
        (first, server.get("/api/v3/services").await["services"].clone())
    };
    let has = |(first, third): (Value, Value)| [first, third].map(|list| list.as_array().unwrap().contains(&name));
    assert_eq!(has(lists().await), [false, false]);
    let nameless = TestSpan { trace: 9, id: 91, start: NOW - 10 * SECOND, service: "-", ..TestSpan::default() };
    server.fixture.put(spans(&[nameless])).await;
    assert_eq!(has(lists().await), [true, true], "in memory");
    server.fixture.flush().await;
    assert_eq!(has(lists().await), [true, true], "in a block");
}

#[tokio::test]
async fn a_trace_is_answered_in_the_model_of_jaeger() {
    let server = Server::new().await;
    let answer = server.get(&format!("/api/traces/{}", trace(1))).await;
    let found = &answer["data"][0];
    let spans = found["spans"].as_array().unwrap();
    assert_eq!((spans.len(), &found["warnings"]), (3, &Value::Null));
    let span = spans.iter().find(|span| span["operationName"] == "add").unwrap();
    let start = u64::try_from(NOW - 10 * SECOND).unwrap() / 1_000 + 2;
    let id = trace(1).to_string();
    let expected = json!({
        "traceID": id, "spanID": "0000000000000002", "operationName": "add",
        "references": [{ "refType": "CHILD_OF", "traceID": id, "spanID": "0000000000000001" }],
        "startTime": start, "duration": 2_000,
        "tags": [
            { "key": "otel.scope.name", "type": "string", "value": "test" },
            { "key": "http.method", "type": "string", "value": "GET" },
            { "key": "span.kind", "type": "string", "value": "client" },
            { "key": "otel.status_code", "type": "string", "value": "ERROR" },
            { "key": "error", "type": "bool", "value": true },
        ],
        "logs": [], "processID": span["processID"], "warnings": null,
    });
    assert_eq!(*span, expected);
    let process = &found["processes"][span["processID"].as_str().unwrap()];
    assert_eq!(process["serviceName"], "cart");
    assert_eq!(found["processes"].as_object().unwrap().len(), 3);

    let third = server.get(&format!("/api/v3/traces/{}", trace(1))).await;
    assert_eq!(third["result"]["resourceSpans"].as_array().unwrap().len(), 3);
    let (status, error) = server.ask("/api/traces/77").await;
    assert_eq!((status, &error["errors"]), (404, &json!([{ "code": 404, "msg": "trace not found" }])));
    let (status, error) = server.ask("/api/v3/traces/77").await;
    let expected = json!({ "grpcCode": 5, "httpCode": 404, "message": "trace not found", "httpStatus": "Not Found" });
    assert_eq!((status, &error["error"]), (404, &expected));
    assert_eq!(server.ask("/api/traces/x").await.0, 400);
    assert_eq!(server.ask("/api/none").await.0, 404);
}

#[tokio::test]
async fn a_search_finds_traces_by_one_span_that_meets_all_of_it() {
    let server = Server::new().await;
    let whole = ["GET /", "SELECT", "add"];
    for query in [
        "service=cart",
        "service=cart&operation=add&tags=%7B%22http.method%22%3A%22GET%22%7D",
        "service=cart&tag=error:true",
        "tag=span.kind:client&minDuration=3ms",
        "service=db&minDuration=2ms&maxDuration=4ms",
        "tag=http.method:G.*",
        "tag=service.name:gateway",
        "tag=otel.scope.name:test&operation=SELECT",
    ] {
        assert_eq!(server.found(query).await, whole, "{query}");
    }
    for query in
        ["service=none", "service=cart&operation=SELECT", "service=db&tag=error:true", "service=cart&maxDuration=1ms"]
    {
        assert!(server.found(query).await.is_empty(), "{query}");
    }
    assert_eq!(server.found("").await.len(), 4);
    assert_eq!(server.found("limit=1").await, whole, "the newest first");
    assert_eq!(server.found(&format!("traceID={}&traceID=77", trace(1))).await, whole);
    let errors = server.get(&format!("/api/traces?traceID={}&traceID=77", trace(1))).await["errors"].clone();
    assert_eq!(errors, json!([{ "msg": "trace not found", "traceID": format!("{:0>32}", 77) }]));
    let before = (NOW - 15 * SECOND) / 1_000;
    assert_eq!(server.found(&format!("end={before}")).await, ["GET /"]);
    assert_eq!(server.ask("/api/traces?start=5&end=1").await.0, 400);
}

/// A trace of one span of the service `odd` with a list under `key`.
fn with_list(number: u8, list: &[attribute::Value<'_>]) -> Batch {
    let mut attributes = MapBuilder::default();
    let put = |out: &mut Vec<u8>| list.iter().for_each(|value| put_value(out, *value));
    attributes.push_with("key", |out| put_array(out, put));
    let attributes = attributes.finish();
    let resource = text_map(&[("service.name", "odd")]);
    let mut builder = SpanBatchBuilder::default();
    builder.set_resource(&Resource { attributes: Map::new(&resource), ..Resource::default() });
    builder.set_scope(&Scope::default());
    let span = Span { start: NOW - SECOND, attributes: Map::new(&attributes), ..Span::new(trace(number), span_id(1)) };
    builder.append(&span).unwrap();
    builder.finish().unwrap()
}

#[tokio::test]
async fn values_find_themselves_whatever_they_are() {
    let server = Server::new().await;
    let texts = ["x*", "*.example.com", "[1,", "SELECT * FROM t WHERE a = '(' AND b"];
    let with = |(at, text): (usize, &'static str)| TestSpan {
        trace: 20 + at as u8,
        start: NOW - SECOND,
        service: "odd",
        attributes: vec![("key", text)],
        ..TestSpan::default()
    };
    server.fixture.put(spans(&texts.into_iter().enumerate().map(with).collect::<Vec<_>>())).await;
    use attribute::Value::{Bool, Double, Int, String};
    for (at, list) in
        [vec![String("a"), String("b")], vec![Int(1), Int(2)], vec![Bool(true), Double(1.5)]].iter().enumerate()
    {
        server.fixture.put(with_list(30 + at as u8, list)).await;
    }
    let found = async |value: &str| {
        let tags: std::string::String =
            json!({ "key": value }).to_string().bytes().map(|byte| format!("%{byte:02x}")).collect();
        server.found(&format!("service=odd&tags={tags}")).await.len()
    };
    for value in texts.into_iter().chain([r#"["a","b"]"#, "[1,2]", "[true,1.5]"]) {
        assert_eq!(found(value).await, 1, "{value}");
    }
    assert_eq!(found(r#"["a","c"]"#).await, 0);
}

#[tokio::test]
async fn the_third_api_tells_of_traces_in_short() {
    let server = Server::new().await;
    let range = "query.startTimeMin=2026-11-23T05:00:00Z&query.startTimeMax=2026-11-23T06:00:00Z";
    let answer = server.get(&format!("/api/v3/trace-summaries?{range}")).await;
    let start = NOW - 10 * SECOND;
    let first = json!({
        "traceId": trace(1).to_string(), "rootServiceName": "gateway", "rootOperationName": "GET /",
        "minStartTimeUnixNano": (start + 1_000).to_string(),
        "maxEndTimeUnixNano": (start + 3_003_000).to_string(),
        "spanCount": 3, "errorSpanCount": 1, "orphanSpanCount": 0,
        "services": [
            { "name": "gateway", "spanCount": 1, "errorSpanCount": 0 },
            { "name": "cart", "spanCount": 1, "errorSpanCount": 1 },
            { "name": "db", "spanCount": 1, "errorSpanCount": 0 },
        ],
    });
    assert_eq!(answer["summaries"][0], first);
    assert_eq!(answer["summaries"][1]["orphanSpanCount"], 1);
    let (status, error) = server.ask(&format!("/api/v3/traces?{range}&query.serviceName=nobody")).await;
    assert_eq!((status, &error["error"]["message"]), (404, &json!("No traces found")));
    let one = server.get(&format!("/api/v3/traces?{range}&query.service_name=cart")).await;
    assert_eq!(one["result"]["resourceSpans"].as_array().unwrap().len(), 3);
    let (status, error) = server.ask("/api/v3/trace-summaries?query.serviceName=cart").await;
    assert_eq!((status, &error["error"]["message"]), (400, &json!("query.startTimeMin is required")));
}

#[tokio::test]
async fn dependencies_are_calls_between_services() {
    let server = Server::new().await;
    let answer = server.get(&format!("/api/dependencies?endTs={}&lookback=60000", NOW / 1_000_000)).await;
    let calls = json!([
        { "parent": "cart", "child": "db", "callCount": 1 },
        { "parent": "gateway", "child": "cart", "callCount": 1 },
    ]);
    assert_eq!(answer, envelope(calls, 2));
    assert_eq!(server.get("/api/dependencies?endTs=1000&lookback=5").await, envelope(json!([]), 0));
    let of = |service: &str| format!("/api/dependencies?endTs={}&lookback=60000&service={service}", NOW / 1_000_000);
    assert_eq!(server.get(&of("cart")).await["data"], answer["data"]);
    assert_eq!(server.get(&of("gateway")).await["data"], json!([answer["data"][1]]));
    assert_eq!(server.get(&of("nobody")).await["data"], json!([]));
}

#[tokio::test]
async fn a_file_is_shown_without_being_stored() {
    let server = Server::new().await;
    let value = |kind: &str, value: Value| json!({ kind: value });
    let attribute = |key: &str, value: Value| json!({ "key": key, "value": value });
    let id = "000000000000000000000000000000aa";
    let span = json!({
        "traceId": id, "spanId": "0000000000000001", "parentSpanId": "0000000000000002", "name": "x", "flags": 257,
        "startTimeUnixNano": "5000999", "endTimeUnixNano": "7000999", "traceState": "a=b", "status": { "code": 1 },
        "attributes": [
            attribute("int", value("intValue", json!("9007199254740992"))),
            attribute("small", value("intValue", json!("-7"))),
            attribute("list", json!({ "arrayValue": { "values": [{ "boolValue": true }, { "doubleValue": 1.5 }] } })),
            attribute("bytes", value("bytesValue", json!("AQID"))),
        ],
        "events": [{ "timeUnixNano": "6000000", "name": "happened", "attributes": [attribute("a", value("stringValue", json!("b")))] }],
        "links": [
            { "traceId": id, "spanId": "0000000000000002" },
            { "traceId": "000000000000000000000000000000bb", "spanId": "0000000000000003" },
        ],
    });
    let resource = json!({ "attributes": [attribute("host", value("stringValue", json!("h")))] });
    let data = json!({ "resourceSpans": [{ "resource": resource, "scopeSpans": [{ "scope": {}, "spans": [span] }] }] });
    let post = |body: String| Request::post("/jaeger/api/transform").body(Body::from(body)).unwrap();
    let (status, answer) = server.send(post(data.to_string())).await;
    assert_eq!(status, 200);
    let trace = &answer["data"][0];
    assert_eq!(trace["processes"]["p1"]["serviceName"], "OTLPResourceNoServiceName");
    let span = &trace["spans"][0];
    assert_eq!((&span["startTime"], &span["duration"], &span["flags"]), (&json!(5000), &json!(2000), &json!(1)));
    let tags = span["tags"].as_array().unwrap().iter();
    let tags: Vec<Value> = tags.map(|tag| json!([tag["type"], tag["value"]])).collect();
    let expected = json!([
        ["int64", "9007199254740992"],
        ["int64", -7],
        ["string", "[true,1.5]"],
        ["binary", "AQID"],
        ["string", "OK"],
        ["string", "a=b"],
    ]);
    assert_eq!(json!(tags), expected);
    let references: Vec<_> =
        span["references"].as_array().unwrap().iter().map(|reference| &reference["refType"]).collect();
    assert_eq!(references, ["CHILD_OF", "FOLLOWS_FROM"]);
    assert_eq!(span["logs"][0]["fields"][0], json!({ "key": "event", "type": "string", "value": "happened" }));
    let (status, error) = server.send(post("{".to_owned())).await;
    assert_eq!(status, StatusCode::BAD_REQUEST.as_u16());
    assert!(error["errors"][0]["msg"].as_str().unwrap().contains("line 1"), "{error}");
}

#[tokio::test]
async fn services_are_measured_by_the_spans_that_there_were() {
    let server = Server::new().await;
    let span = |number, status, trace_state| TestSpan {
        trace: number,
        service: "sampled",
        status,
        trace_state,
        start: NOW - 10 * SECOND,
        ..TestSpan::default()
    };
    // All that fail are kept, and one of four of the others.
    server.fixture.put(spans(&[span(11, 2, ""), span(12, 0, "ot=th:c"), span(13, 0, "ot=th:c")])).await;
    let asked = format!("service=sampled&endTs={}&lookback=60000&step=60000&ratePer=60000", NOW / 1_000_000);
    let most = async |measure: &str| {
        let family = server.get(&format!("/api/metrics/{measure}?{asked}")).await;
        let points = family["metrics"][0]["metricPoints"].as_array().unwrap().iter();
        points.filter_map(|point| point["gaugeValue"]["doubleValue"].as_f64()).fold(0.0, f64::max)
    };
    assert!((most("calls").await - 9.0 / 60.0).abs() < 1e-9);
    assert!((most("errors").await - 1.0 / 9.0).abs() < 1e-9);
}

#[tokio::test]
async fn r1_a_point_stands_for_the_time_before_it_that_rate_per_says() {
    let server = Server::new().await;
    let span = |id: u64, service, seconds: u64| TestSpan {
        trace: 77,
        id,
        service,
        start: NOW - i64::try_from(seconds).unwrap() * SECOND,
        ..TestSpan::default()
    };
    let burst = (0..6).map(|number| span(1_000 + number, "burst", 80));
    let steady = (0..240).map(|number| span(2_000 + number, "steady", 5 + 10 * number));
    server.fixture.put(spans(&burst.chain(steady).collect::<Vec<_>>())).await;
    let points = async |asked: String| -> Vec<(String, String)> {
        let family = server.get(&format!("/api/metrics/{asked}")).await;
        let points = family["metrics"][0]["metricPoints"].as_array().unwrap().iter();
        let told = |point: &Value| {
            let value = &point["gaugeValue"]["doubleValue"];
            let value = value.as_f64().map_or_else(|| value.to_string(), |value| format!("{value:.3}"));
            (point["timestamp"].as_str().unwrap().to_owned(), value)
        };
        points.map(told).collect()
    };
    let values = async |measure: &str, window: u32| -> Vec<String> {
        let end = NOW / 1_000_000;
        let asked = format!("{measure}service=burst&endTs={end}&lookback=180000&step=60000&ratePer={window}");
        points(asked).await.into_iter().map(|(_, value)| value).collect()
    };
    assert_eq!(values("calls?", 60_000).await, ["0.000", "0.000", "0.100", "0.000"]);
    assert_eq!(values("calls?", 100_000).await, ["0.000", "0.000", "0.060", "0.060"]);
    assert_eq!(values("calls?", 30_000).await, ["0.000", "0.000", "0.200", "0.000"]);
    assert_eq!(values("calls?", 10_000).await, ["0.000"; 4]);
    let latencies = values("latencies?quantile=0.5&", 100_000).await;
    assert_eq!((&latencies[0], &latencies[2]), (&latencies[1], &latencies[3]), "{latencies:?}");
    assert_ne!(latencies[1], latencies[2]);
    // Wherever the range ends, no point is after it, and none of a part of the time that it stands for.
    let end = NOW / 1_000_000 - 25_000;
    for window in ["", "&ratePer=60000", "&ratePer=90000", "&ratePer=20000"] {
        let told = points(format!("calls?service=steady&endTs={end}&lookback=300000&step=60000{window}")).await;
        assert_eq!(told.len(), 6, "{window}");
        assert!(told.iter().all(|(_, value)| value == "0.100"), "{window} {told:?}");
        assert_eq!(told[5].0, "2026-11-23T05:59:35Z", "{window}");
    }
}

#[tokio::test]
async fn services_are_measured_by_their_spans() {
    let server = Server::new().await;
    let end = NOW / 1_000_000;
    let range = format!("endTs={end}&lookback=60000&step=60000&ratePer=60000");
    let calls = server.get(&format!("/api/metrics/calls?service=gateway&service=cart&{range}")).await;
    assert_eq!((&calls["name"], &calls["type"]), (&json!("service_call_rate"), &json!("GAUGE")));
    assert_eq!(calls["metrics"].as_array().unwrap().len(), 1, "of the kind that is usual");
    let metric = &calls["metrics"][0];
    assert_eq!(metric["labels"], json!([{ "name": "service_name", "value": "gateway" }]));
    let points = metric["metricPoints"].as_array().unwrap().iter();
    let sum: f64 = points.filter_map(|point| point["gaugeValue"]["doubleValue"].as_f64()).sum();
    assert!((sum - 1.0 / 60.0).abs() < 1e-9, "{calls}");
    assert_eq!(metric["metricPoints"][0]["timestamp"].as_str().unwrap().len(), "2026-11-23T06:00:00Z".len());

    let clients = "service=cart&spanKind=SPAN_KIND_CLIENT&groupByOperation=true";
    let errors = server.get(&format!("/api/metrics/errors?{clients}&{range}")).await;
    assert_eq!(errors["name"], "service_operation_error_rate");
    let labels = &errors["metrics"][0]["labels"];
    assert!(labels.as_array().unwrap().contains(&json!({ "name": "operation", "value": "add" })), "{errors}");
    assert!(errors.to_string().contains("\"doubleValue\":1.0"), "{errors}");
    // A service without errors has zeros wherever it has calls.
    let without = server.get(&format!("/api/metrics/errors?service=gateway&{range}")).await;
    let points = |family: &Value| family["metrics"][0]["metricPoints"].as_array().map(Vec::len);
    assert_eq!((without["metrics"][0]["labels"].clone(), points(&without)), (metric["labels"].clone(), points(&calls)));
    let zeros = without["metrics"][0]["metricPoints"].as_array().unwrap();
    assert!(zeros.iter().all(|point| point["gaugeValue"]["doubleValue"] == 0.0), "{without}");
    let latencies = server.get(&format!("/api/metrics/latencies?{clients}&quantile=0.95&{range}")).await;
    let points = latencies["metrics"][0]["metricPoints"].as_array().unwrap().iter();
    let most = points.filter_map(|point| point["gaugeValue"]["doubleValue"].as_f64()).fold(0.0, f64::max);
    assert!((1.0..=4.0).contains(&most), "about 2 ms: {latencies}");

    assert_eq!(server.get("/api/metrics/minstep").await["data"], 1000);
    for refused in [
        "calls",
        "latencies?service=a",
        "latencies?service=a&quantile=2",
        "calls?service=a&spanKind=x",
        "calls?service=a&step=1",
        "calls?service=a&ratePer=0",
        "calls?service=a&ratePer=x",
        "calls?service=a&step=1000&ratePer=9223372036854775807",
    ] {
        assert_eq!(server.ask(&format!("/api/metrics/{refused}")).await.0, 400, "{refused}");
    }
}
