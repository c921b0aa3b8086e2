mod family;
mod limit;
mod memory;
mod moment;
mod search;

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

    /// Beside the API, with what the reader accepts.
    async fn beside(&self, path: &str, accept: &str) -> (StatusCode, String, String) {
        let request = axum::http::Request::get(format!("{ROOT}{path}")).header("accept", accept);
        let response = self.router.clone().oneshot(request.body(HttpBody::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let media = parts.headers["content-type"].to_str().unwrap().to_owned();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        (parts.status, media, String::from_utf8(body).unwrap())
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
    let expected = r#"{"status":"success","data":{"resultType":"string","result":[4.5,"a\"b"]}}"#;
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
    let long = format!("vector({})", "1".repeat(100));
    let laid = json!(format!("vector(\n  {}\n)", "1".repeat(100).parse::<f64>().unwrap()));
    assert_eq!(server.data(&format!("/format_query?query={long}")).await, laid);
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

/// On the threads that answer, with the stacks that they have.
#[tokio::test(flavor = "multi_thread")]
async fn chains_of_thousands_and_nesting_to_its_limit_end_in_an_answer() {
    let server = server().await;
    let posted = async |path: &str, query: String| {
        let request = axum::http::Request::post(format!("{PREFIX}{path}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(HttpBody::from(format!("time={T}&query={query}")));
        server.send(request.unwrap()).await
    };
    let chain = |link: &str, count: usize| format!("http_requests_total{}", link.repeat(count));
    let (status, text) = posted("/query", chain("+or+http_requests_total", 3000)).await;
    assert!(status.is_success() && text.contains("\"240\""), "{text}");
    let (status, text) = posted("/query", chain("%2Bhttp_requests_total", 999)).await;
    assert!(status.is_success() && text.contains("\"240000\""), "{text}");
    let (status, text) = posted("/query", "1".repeat(MOST_BODY_BYTES)).await;
    let told = "error parsing form values: the form is longer than 2097152 bytes";
    assert!(status == StatusCode::BAD_REQUEST && text.contains(told), "{text}");
    let (status, text) = posted("/query", format!("1{}", "%2B1".repeat(100_000))).await;
    assert!(status.is_success() && text.contains("\"100001\""), "{text}");
    let (status, text) = posted("/format_query", format!("1{}", "%2B1".repeat(100_000))).await;
    assert!(status.is_success() && text.ends_with(" + 1 + 1\"}"));
    let (status, text) = posted("/parse_query", format!("1{}", "%2B1".repeat(100_000))).await;
    assert!(status.is_success());
    assert_eq!(text.matches("binaryExpr").count(), 100_000);
    assert_eq!(text.matches('{').count(), text.matches('}').count());
    let nested = |open: &str, count: usize| format!("{}1{}", open.repeat(count), ")".repeat(count));
    for (open, most) in [("(", 140), ("abs(vector(1)%2B", 70), ("-(", 70), ("2^(1%2B", 45)] {
        let (status, text) = posted("/query", nested(open, most)).await;
        assert!(status.is_success(), "{open}: {text}");
        assert!(posted("/parse_query", nested(open, most)).await.0.is_success(), "{open}");
        let (status, text) = posted("/query", nested(open, 10_000)).await;
        assert!(status == StatusCode::BAD_REQUEST && text.contains("nested more than 150 deep"), "{open}: {text}");
    }
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
    assert_eq!(server.data("/notifications").await, json!([]));
    assert_eq!(server.data("/scrape_pools").await, json!({ "scrapePools": [] }));
    assert_eq!(server.text("/targets/metadata").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn newer_paths_are_answered_as_by_a_prometheus_without_them() {
    let server = server().await;
    let blocks = server.data("/status/tsdb/blocks").await;
    let block = &blocks["blocks"][0];
    assert_eq!((&block["stats"]["numSamples"], &block["maxTime"]), (&json!(2), &json!((T - 180) * 1000)), "{blocks}");
    assert!(server.data("/features").await.as_array().unwrap().contains(&json!("native-histograms")));
    let (status, text) = server.post("/admin/tsdb/delete_series", "match[]=up").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("\"errorType\":\"unavailable\",\"error\":\"admin APIs disabled"), "{text}");
}

#[tokio::test]
async fn pages_of_other_origins_are_told_whether_they_may_read() {
    let server = server().await;
    let asked = async |method: &str, path: &str, origin: &str| {
        let request =
            axum::http::Request::builder().method(method).uri(format!("{ROOT}{path}")).header("origin", origin);
        let response = server.router.clone().oneshot(request.body(HttpBody::empty()).unwrap()).await.unwrap();
        let allowed =
            response.headers().get("access-control-allow-origin").map(|origin| origin.to_str().unwrap().to_owned());
        (response.status(), allowed)
    };
    let local = "http://localhost:3000";
    for path in ["/api/v1/query", "/api/v1/labels", "/federate"] {
        assert_eq!(asked("OPTIONS", path, local).await, (StatusCode::NO_CONTENT, Some(local.to_owned())), "{path}");
        assert_eq!(asked("OPTIONS", path, "https://example.com").await, (StatusCode::NO_CONTENT, None), "{path}");
    }
    let (status, allowed) = asked("GET", "/api/v1/query?query=1", local).await;
    assert_eq!((status, allowed.as_deref()), (StatusCode::OK, Some(local)));
    assert_eq!(asked("GET", "/api/v1/query?query=1", "https://example.com").await, (StatusCode::OK, None));
}

#[tokio::test]
async fn samples_are_told_by_step_where_all_statistics_are_asked_for() {
    let server = server().await;
    // At minutes 4 to 1 before T there are 1, 2, 3, 4 samples of the counter.
    let samples = async |query: &str, stats: &str| {
        let path = format!("/query_range?query={query}&start={}&end={T}&step=120{stats}", T - 240);
        server.data(&path).await["stats"]["samples"].clone()
    };
    let steps = |counts: [u64; 3]| json!([[T - 240, counts[0]], [T - 120, counts[1]], [T, counts[2]]]);
    for (query, counts, read) in [
        ("http_requests_total", [1, 1, 1], 4),
        ("count_over_time(http_requests_total%5B10m%5D)", [1, 3, 4], 4),
        ("sum(http_requests_total)%2Bsum(rate(http_requests_total%5B2m%5D))", [2, 3, 2], 8),
        ("count_over_time(http_requests_total%5B4m:1m%5D)", [1, 3, 4], 0),
        ("sum(http_requests_total%20@%20end())", [1, 1, 1], 4),
        ("1", [0, 0, 0], 0),
    ] {
        let told = samples(query, "&stats=all").await;
        assert_eq!(told["totalQueryableSamplesPerStep"], steps(counts), "{query}: {told}");
        assert_eq!(told["totalQueryableSamples"], json!(counts.iter().sum::<u64>()), "{query}");
        assert_eq!(told["samplesRead"], json!(read), "{query}");
        assert!(told["peakSamples"].as_u64().unwrap() >= told["samplesRead"].as_u64().unwrap());
    }
    let told = samples("http_requests_total", "&stats=true").await;
    assert!(told["totalQueryableSamplesPerStep"].is_null() && told["totalQueryableSamples"] == json!(3), "{told}");
    assert!(samples("http_requests_total", "").await.is_null());
}

#[tokio::test]
async fn g1_scalars_and_strings_are_written_as_by_gos_own_encoder() {
    let server = server().await;
    for (query, time, expected) in [
        ("0.0000001", "5.1", "\"scalar\",\"result\":[5.1,\"0.0000001\"]"),
        ("1e21", "5.001", "\"scalar\",\"result\":[5.001,\"1000000000000000000000\"]"),
        ("-Inf", "1500000000", "\"scalar\",\"result\":[1500000000,\"-Inf\"]"),
        ("NaN", "-0.25", "\"scalar\",\"result\":[-0.25,\"NaN\"]"),
        ("%22%3Ca%26b%3E%22", "5.1", "\"string\",\"result\":[5.1,\"\\u003ca\\u0026b\\u003e\"]"),
        ("vector(0.0000001)", "5.1", "\"vector\",\"result\":[{\"metric\":{},\"value\":[5.100,\"1e-07\"]}]"),
    ] {
        let (_, text) = server.text(&format!("/query?query={query}&time={time}")).await;
        assert_eq!(text, format!("{{\"status\":\"success\",\"data\":{{\"resultType\":{expected}}}}}"), "{query}");
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
    let samples = &answer["data"]["stats"]["samples"];
    assert_eq!(samples["totalQueryableSamplesPerStep"], json!([[T, 1]]));
    let (_, text) = server.text(&format!("/query?query=rate(gc_seconds%5B5m%5D)&time={T}")).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert!(answer["infos"][0].as_str().unwrap().ends_with("\"gc_seconds\" (1:6)"), "{text}");
    assert!(answer.get("warnings").is_none());
}

#[tokio::test]
async fn f1_f2_the_newest_samples_are_told_to_another_prometheus() {
    let server = server().await;
    let (status, media, text) =
        server.beside("/federate?match[]=latency_seconds_bucket&match[]=http_requests_total", "*/*").await;
    let at = (T - 60) * 1000;
    let expected = format!(
        "# TYPE http_requests_total untyped\n\
         http_requests_total{{http_route=\"/cart\",instance=\"a\",job=\"shop\"}} 240 {at}\n\
         # TYPE latency_seconds_bucket untyped\n\
         latency_seconds_bucket{{instance=\"a\",job=\"shop\",le=\"+Inf\"}} 4 {at}\n\
         latency_seconds_bucket{{instance=\"a\",job=\"shop\",le=\"0.5\"}} 1 {at}\n\
         latency_seconds_bucket{{instance=\"a\",job=\"shop\",le=\"1\"}} 3 {at}\n"
    );
    assert_eq!((status, text), (StatusCode::OK, expected));
    assert_eq!(media, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
    // A native histogram is left out (F3); two selectors that choose one series tell it once.
    let (_, media, text) = server
        .beside(
            "/federate?match[]=%7B__name__=~%22size_bytes|gc_seconds_count%22%7D&match[]=gc_seconds_count",
            "application/openmetrics-text",
        )
        .await;
    let expected = format!(
        "# TYPE gc_seconds_count unknown\ngc_seconds_count{{instance=\"a\",job=\"shop\"}} 3 {}.000\n# EOF\n",
        T - 60
    );
    assert_eq!(text, expected);
    assert!(media.starts_with("application/openmetrics-text; version=1.0.0"), "{media}");
    assert_eq!(server.beside("/federate", "*/*").await.2, "");
    let (status, media, text) = server.beside("/federate?match[]=%7B", "*/*").await;
    assert_eq!((status, media.as_str()), (StatusCode::BAD_REQUEST, "text/plain; charset=utf-8"));
    assert!(text.contains("parse error"), "{text}");
    assert_eq!(server.beside("/federate?match[]=%7Bx=%22%22%7D", "*/*").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn f1_what_has_ended_or_is_old_is_not_told() {
    let fixture = Fixture::new();
    let point = |name, age: i64, value| TestPoint {
        name,
        unit: "",
        time: NOW - age * SECOND,
        data: PointData::Gauge(value),
        ..TestPoint::default()
    };
    let number = Some(Number::Double(1e6));
    let all =
        [point("old", 301, number), point("young", 299, number), point("ended", 20, number), point("ended", 10, None)];
    fixture.put(points(&all)).await;
    let state = QueryState::new(Config::default(), fixture.engine.clone(), fixture.clock.clone(), Host::default());
    let server = Server { router: super::router(Arc::new(state.unwrap())), _fixture: fixture };
    let (_, _, text) = server.beside("/federate?match[]=%7Bjob=%22shop%22%7D", "*/*").await;
    let at = (T - 299) * 1000;
    assert_eq!(text, format!("# TYPE young untyped\nyoung{{instance=\"a\",job=\"shop\"}} 1e+06 {at}\n"));
}

#[tokio::test]
async fn g4_what_is_no_path_is_no_page() {
    let server = server().await;
    assert_eq!(server.beside("/-/healthy", "*/*").await.2, "Prometheus Server is Healthy.\n");
    assert_eq!(server.beside("/-/ready", "*/*").await.0, StatusCode::OK);
    for path in ["", "/", "/graph", "/-/reload", "/api", "/api/v1", "/api/v1/", "/api/v1/nothing", "/federate/x"] {
        let (status, _, text) = server.beside(path, "*/*").await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}: {text}");
        assert!(text.contains("\"errorType\":\"not_found\""), "{path}: {text}");
    }
}

#[tokio::test]
async fn g2_of_a_parameter_in_form_and_address_the_form_counts() {
    let server = server().await;
    let (_, text) = server.post("/query?query=1&time=4", "query=2&time=5").await;
    assert_eq!(text, r#"{"status":"success","data":{"resultType":"scalar","result":[5,"2"]}}"#);
    let (status, text) = server.text("/labels?match[]=").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
    assert_eq!(server.data("/metadata?limit=0").await, json!({}));
    assert_ne!(server.data("/metadata?limit=-1").await, json!({}));
    let last = "9223372036.854";
    let at_last = server.data(&format!("/query?query=1&time={last}")).await;
    assert_eq!(at_last["result"], json!([9_223_372_036.854, "1"]));
}

#[tokio::test]
async fn exemplars_of_histograms_belong_to_their_buckets() {
    let fixture = Fixture::new();
    let exemplar = |value: f64| {
        let mut cell = Vec::new();
        let time_unix_nano = u64::try_from(NOW - 60 * SECOND).unwrap();
        let (value, filtered_attributes) = (Some(Number::Double(value)), storage::model::attribute::Map::default());
        Exemplar { time_unix_nano, value, trace_id: &[7; 16], span_id: &[], filtered_attributes }.put(&mut cell);
        cell
    };
    let point = TestPoint {
        name: "latency",
        unit: "s",
        time: NOW - 60 * SECOND,
        exemplars: [0.5, 0.7, 9.0].map(exemplar).concat(),
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
    fixture.put(points(&[point])).await;
    let state = QueryState::new(Config::default(), fixture.engine.clone(), fixture.clock.clone(), Host::default());
    let server = Server { router: super::router(Arc::new(state.unwrap())), _fixture: fixture };
    let found = async |selector: &str| {
        let told = server.data(&format!("/query_exemplars?query={selector}&start={}&end={T}", T - 600)).await;
        let series = told.as_array().unwrap().iter();
        let of_series = |series: &Value| {
            let value = series["exemplars"][0]["value"].as_str().unwrap().to_owned();
            (series["seriesLabels"]["le"].as_str().unwrap().to_owned(), value)
        };
        series.map(of_series).collect::<Vec<_>>()
    };
    let pair = |le: &str, value: &str| (le.to_owned(), value.to_owned());
    let all = [pair("+Inf", "9"), pair("0.5", "0.5"), pair("1", "0.7")];
    assert_eq!(found("latency_seconds_bucket").await, all);
    assert_eq!(found("latency_seconds_bucket%7Ble=%221%22%7D").await, [pair("1", "0.7")]);
    assert_eq!(found("latency_seconds_bucket%7Ble!=%221%22%7D").await, [pair("+Inf", "9"), pair("0.5", "0.5")]);
    assert_eq!(found("latency_seconds_count").await, []);
}

#[tokio::test]
async fn what_has_no_series_has_no_name() {
    let fixture = Fixture::new();
    let coarse = TestPoint {
        name: "coarse",
        unit: "",
        data: PointData::ExponentialHistogram {
            count: 1,
            sum: Some(1.0),
            min: None,
            max: None,
            scale: -5,
            zero_count: 0,
            zero_threshold: 0.0,
            positive: leaked(|out| put_buckets(out, 0, [1])),
            negative: &[],
        },
        ..TestPoint::default()
    };
    let without_sum = TestPoint {
        name: "latency",
        unit: "",
        data: PointData::Histogram {
            count: 1,
            sum: None,
            min: None,
            max: None,
            explicit_bounds: leaked(|out| put_doubles(out, [0.5])),
            bucket_counts: leaked(|out| put_counts(out, [1, 0])),
        },
        ..TestPoint::default()
    };
    fixture.put(points(&[coarse, without_sum])).await;
    let state = QueryState::new(Config::default(), fixture.engine.clone(), fixture.clock.clone(), Host::default());
    let server = Server { router: super::router(Arc::new(state.unwrap())), _fixture: fixture };
    let names = json!(["latency_bucket", "latency_count"]);
    assert_eq!(server.data("/label/__name__/values").await, names);
    assert_eq!(server.data("/series?match[]=coarse").await, json!([]));
}
