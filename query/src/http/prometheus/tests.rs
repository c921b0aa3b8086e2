use super::*;
use crate::config::Config;
use crate::fixture::{Fixture, NOW, SECOND, TestPoint, points};
use crate::http::state::Host;
use axum::body::Body as HttpBody;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use storage::model::PointData;
use storage::model::record::{Exemplar, Number, put_buckets, put_counts, put_doubles, put_quantile};
use tower::ServiceExt;

/// Seconds of `NOW`, a whole number of minutes.
const T: i64 = NOW / SECOND;

struct Server {
    _fixture: Fixture,
    router: Router,
}

fn leaked(fill: impl FnOnce(&mut Vec<u8>)) -> &'static [u8] {
    let mut bytes = Vec::new();
    fill(&mut bytes);
    Vec::leak(bytes)
}

/// A counter with an exemplar, a classic and a native histogram, and a summary, half of it in a block.
async fn server() -> Server {
    let fixture = Fixture::new();
    let counter = |minutes: i64, value: i64| {
        let mut exemplars = Vec::new();
        Exemplar {
            time_unix_nano: u64::try_from(NOW - minutes * 60 * SECOND).unwrap(),
            value: Some(Number::Double(0.5)),
            trace_id: &[7; 16],
            span_id: &[],
            filtered_attributes: storage::model::attribute::Map::new(&[]),
        }
        .put(&mut exemplars);
        TestPoint {
            name: "http.requests",
            unit: "{request}",
            attributes: vec![("http.route", "/cart")],
            time: NOW - minutes * 60 * SECOND,
            start: Some(NOW - 3600 * SECOND),
            exemplars: if minutes == 1 { exemplars } else { Vec::new() },
            data: PointData::Sum(Some(Number::Int(value))),
            ..TestPoint::default()
        }
    };
    fixture.put(points(&[counter(4, 60), counter(3, 120)])).await;
    fixture.flush().await;
    let at = NOW - 60 * SECOND;
    let classic = TestPoint {
        name: "latency",
        unit: "s",
        time: at,
        data: PointData::Histogram {
            count: 4,
            sum: Some(2.5),
            min: None,
            max: None,
            explicit_bounds: leaked(|out| put_doubles(out, [0.5, 1.0])),
            bucket_counts: leaked(|out| put_counts(out, [1, 2, 1])),
        },
        ..TestPoint::default()
    };
    let native = TestPoint {
        name: "size",
        unit: "By",
        time: at,
        data: PointData::ExponentialHistogram {
            count: 4,
            sum: Some(9.0),
            min: None,
            max: None,
            scale: 0,
            zero_count: 1,
            zero_threshold: 0.0,
            positive: leaked(|out| put_buckets(out, 0, [1, 2])),
            negative: &[],
        },
        ..TestPoint::default()
    };
    let summary = TestPoint {
        name: "gc",
        unit: "s",
        time: at,
        data: PointData::Summary { count: 3, sum: 0.5, quantiles: leaked(|out| put_quantile(out, 0.5, 0.25)) },
        ..TestPoint::default()
    };
    fixture.put(points(&[counter(2, 180), counter(1, 240), classic, native, summary])).await;
    let state = QueryState::new(Config::default(), fixture.engine.clone(), fixture.clock.clone(), Host::default());
    Server { router: super::router(Arc::new(state.unwrap())), _fixture: fixture }
}

impl Server {
    async fn send(&self, request: axum::http::Request<HttpBody>) -> (StatusCode, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        (parts.status, String::from_utf8(body).unwrap())
    }

    async fn text(&self, path: &str) -> (StatusCode, String) {
        let request = axum::http::Request::get(format!("{PREFIX}{path}")).body(HttpBody::empty());
        self.send(request.unwrap()).await
    }

    async fn post(&self, path: &str, form: &str) -> (StatusCode, String) {
        let request = axum::http::Request::post(format!("{PREFIX}{path}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(HttpBody::from(form.to_owned()));
        self.send(request.unwrap()).await
    }

    async fn data(&self, path: &str) -> Value {
        let (status, text) = self.text(path).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["status"], "success");
        answer["data"].clone()
    }
}

#[tokio::test]
async fn g1_a_number_is_answered_to_the_letter() {
    let server = server().await;
    let expected = r#"{"status":"success","data":{"resultType":"scalar","result":[4,"2"]}}"#;
    assert_eq!(server.text("/query?query=1%2B1&time=4").await, (StatusCode::OK, expected.to_owned()));
    assert_eq!(server.post("/query", "query=1%2B1&time=4").await, (StatusCode::OK, expected.to_owned()));
    let expected = r#"{"status":"success","data":{"resultType":"string","result":[4.500,"a\"b"]}}"#;
    assert_eq!(server.text("/query?query='a%22b'&time=4.5").await.1, expected);
    let expected = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[0,"1e-07"],[0.500,"1e-07"]]}]}}"#;
    assert_eq!(server.text("/query_range?query=1e-7&start=0&end=0.7&step=0.5").await.1, expected);
}

#[tokio::test]
async fn stored_counters_have_rates() {
    let server = server().await;
    let rate = server.data(&format!("/query?query=rate(http_requests_total%5B5m%5D)&time={T}")).await;
    let metric = json!({ "http_route": "/cart", "instance": "a", "job": "shop" });
    assert_eq!(rate["result"][0]["metric"], metric);
    let value: f64 = rate["result"][0]["value"][1].as_str().unwrap().parse().unwrap();
    assert!((value - 1.0).abs() < 1e-9, "{value}");
    let range = format!("/query_range?query=http_requests_total&start={}&end={}&step=60", T - 240, T - 60);
    let range = server.data(&range).await;
    assert_eq!(range["resultType"], "matrix");
    let values = json!([[T - 240, "60"], [T - 180, "120"], [T - 120, "180"], [T - 60, "240"]]);
    assert_eq!(range["result"][0]["values"], values);
    let raw = server.data(&format!("/query?query=http_requests_total%5B5m%5D&time={T}")).await;
    assert_eq!(raw["result"][0]["values"], values);
}

#[tokio::test]
async fn stored_histograms_are_classic_and_native_ones() {
    let server = server().await;
    let buckets = server.data(&format!("/query?query=sort_by_label(latency_seconds_bucket,'le')&time={T}")).await;
    let rows: Vec<(&str, &str)> = buckets["result"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["metric"]["le"].as_str().unwrap(), row["value"][1].as_str().unwrap()))
        .collect();
    assert_eq!(rows, [("+Inf", "4"), ("0.5", "1"), ("1", "3")]);
    let native = server.data(&format!("/query?query=size_bytes&time={T}")).await;
    let histogram = json!({
        "count": "4",
        "sum": "9",
        "buckets": [[3, "-1e-128", "1e-128", "1"], [0, "1", "2", "1"], [0, "2", "4", "2"]],
    });
    assert_eq!(native["result"][0]["histogram"], json!([T, histogram]));
    let summary = server.data(&format!("/query?query=gc_seconds%7Bquantile='0.5'%7D&time={T}")).await;
    assert_eq!(summary["result"][0]["value"], json!([T, "0.25"]));
    let average = server.data(&format!("/query?query=latency_seconds_sum/latency_seconds_count&time={T}")).await;
    assert_eq!(average["result"][0]["value"], json!([T, "0.625"]));
}

#[tokio::test]
async fn names_labels_and_series_are_listed() {
    let server = server().await;
    let names = server.data("/label/__name__/values").await;
    let expected = [
        "gc_seconds",
        "gc_seconds_count",
        "gc_seconds_sum",
        "http_requests_total",
        "latency_seconds_bucket",
        "latency_seconds_count",
        "latency_seconds_sum",
        "size_bytes",
    ];
    assert_eq!(names, json!(expected));
    let labels = server.data("/labels").await;
    assert_eq!(labels, json!(["__name__", "http_route", "instance", "job", "le", "quantile"]));
    let (_, labels) = server.post("/labels", "match[]=http_requests_total&limit=2").await;
    assert_eq!(
        labels,
        r#"{"status":"success","data":["__name__","http_route"],"warnings":["results truncated due to limit"]}"#
    );
    assert_eq!(server.data("/label/le/values?match[]=latency_seconds_bucket").await, json!(["+Inf", "0.5", "1"]));
    assert_eq!(server.data("/label/U__http__route/values").await, json!(["/cart"]));
    let series = server.data("/series?match[]=%7B__name__=~%22http.*%22%7D").await;
    let own = json!({ "__name__": "http_requests_total", "http_route": "/cart", "instance": "a", "job": "shop" });
    assert_eq!(series, json!([own]));
    let all = server.data("/series?match[]=%7B__name__!=%22%22%7D&limit=40000").await;
    assert_eq!(all.as_array().unwrap().len(), 10);
    assert_eq!(server.data(&format!("/series?match[]=gc_seconds&start={}", T)).await, json!([]));
}

#[tokio::test]
async fn metadata_and_exemplars_are_told() {
    let server = server().await;
    let metadata = server.data("/metadata").await;
    assert_eq!(metadata["http_requests_total"], json!([{ "type": "counter", "help": "counts", "unit": "{request}" }]));
    assert_eq!(metadata["size_bytes"][0]["type"], "histogram");
    let one = server.data("/metadata?metric=gc_seconds&limit=1").await;
    assert_eq!(one, json!({ "gc_seconds": [{ "type": "summary", "help": "counts", "unit": "s" }] }));
    let query = format!("/query_exemplars?query=rate(http_requests_total%5B1m%5D)&start={}&end={T}", T - 600);
    let exemplars = server.data(&query).await;
    let labels = json!({ "__name__": "http_requests_total", "http_route": "/cart", "instance": "a", "job": "shop" });
    let own = json!({ "labels": { "trace_id": "07".repeat(16) }, "value": "0.5", "timestamp": T - 60 });
    assert_eq!(exemplars, json!([{ "seriesLabels": labels, "exemplars": [own] }]));
}

#[tokio::test]
async fn expressions_are_formatted_and_parsed() {
    let server = server().await;
    assert_eq!(server.data("/format_query?query=sum(a)by(b)").await, json!("sum by (b) (a)"));
    let (status, text) = server.text("/parse_query?query=-a%5B5m%5D").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
    let tree = server.data("/parse_query?query=rate(a%7Bb!='c'%7D%5B5m%5D%20offset%201m)*2").await;
    let matchers = json!([
        { "name": "b", "type": "!=", "value": "c" },
        { "name": "__name__", "type": "=", "value": "a" },
    ]);
    let selector = json!({
        "type": "matrixSelector", "name": "a", "matchers": matchers, "range": 300_000, "rangeExpr": null,
        "offset": 60_000, "offsetExpr": null, "timestamp": null, "startOrEnd": null, "anchored": false, "smoothed": false,
    });
    let function = json!({ "name": "rate", "argTypes": ["matrix"], "variadic": 0, "returnType": "vector" });
    let call = json!({ "type": "call", "func": function, "args": [selector] });
    let number = json!({ "type": "numberLiteral", "val": "2" });
    let expected = json!({
        "type": "binaryExpr", "op": "*", "bool": false, "matching": null, "lhs": call, "rhs": number,
    });
    assert_eq!(tree, expected);
}

#[tokio::test]
async fn errors_have_their_kinds() {
    let server = server().await;
    let check = async |path: &str, status: u16, kind: &str, message: &str| {
        let (got, text) = server.text(path).await;
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((got.as_u16(), &answer["errorType"], &answer["error"]), (status, &json!(kind), &json!(message)));
    };
    let message = "invalid parameter \"query\": 1:3: parse error: unexpected end of input";
    check("/query?query=1%2B", 400, "bad_data", message).await;
    let message = "invalid parameter \"time\": cannot parse \"x\" to a valid timestamp";
    check("/query?query=1&time=x", 400, "bad_data", message).await;
    let message =
        "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)";
    check("/query_range?query=1&start=0&end=20000&step=1", 400, "bad_data", message).await;
    let message = "invalid parameter \"end\": end timestamp must not be before start time";
    check("/query_range?query=1&start=1&end=0&step=1", 400, "bad_data", message).await;
    let message = "Parameter value is NaN";
    check(&format!("/query?query=topk(NaN,gc_seconds)&time={T}"), 422, "execution", message).await;
    check("/series", 400, "bad_data", "no match[] parameter provided").await;
    check("/nothing", 404, "not_found", "no such path").await;
    let (status, _) = server.post("/metadata", "").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn g3_what_is_not_here_is_answered_as_none() {
    let server = server().await;
    assert_eq!(server.data("/rules?type=alert").await, json!({ "groups": [] }));
    assert_eq!(server.data("/alerts").await, json!({ "alerts": [] }));
    assert_eq!(server.data("/alertmanagers").await["activeAlertmanagers"], json!([]));
    assert_eq!(server.data("/targets").await["activeTargets"], json!([]));
    let info = server.data("/status/buildinfo").await;
    assert_eq!(info["version"], "3.14.0");
    // Who finds features here takes us for Mimir.
    assert!(info.get("features").is_none());
    assert_eq!(server.data("/status/tsdb?limit=1").await["headStats"]["numSeries"], 10);
    for path in ["/status/config", "/status/flags", "/status/walreplay", "/status/runtimeinfo"] {
        assert!(server.data(path).await.is_object(), "{path}");
    }
    for path in ["/targets/metadata", "/notifications"] {
        assert_eq!(server.data(path).await, json!([]), "{path}");
    }
}

#[tokio::test]
async fn notes_of_an_answer_are_told_beside_it() {
    let server = server().await;
    let (_, text) = server.text(&format!("/query?query=quantile(2,gc_seconds)&time={T}&stats=all")).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    let warning = "PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)";
    assert_eq!(answer["warnings"], json!([warning]));
    assert!(answer["data"]["stats"]["samples"]["peakSamples"].is_u64());
    let (_, text) = server.text(&format!("/query?query=rate(gc_seconds%5B5m%5D)&time={T}")).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert!(answer["infos"][0].as_str().unwrap().ends_with("\"gc_seconds\" (1:6)"), "{text}");
    assert!(answer.get("warnings").is_none());
}
