//! OTLP/HTTP: the duties of a server.

use super::raw::{post, post_json, post_protobuf, request, send};
use super::*;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;

const PROTOBUF: &str = "application/x-protobuf";

#[tokio::test(flavor = "multi_thread")]
async fn three_signals_are_taken_as_protobuf_and_full_success_leaves_partial_success_unset() {
    let door = Door::usual().await;
    let requests = [
        ("/v1/traces", good_spans(3)),
        ("/v1/logs", logs_request(4).encode_to_vec()),
        ("/v1/metrics", metrics_request(5).encode_to_vec()),
    ];
    for (path, body) in requests {
        let answer = post_protobuf(door.address, path, &body).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(PROTOBUF)), "{path}");
        assert_eq!(answer.body, Bytes::new(), "{path}");
    }
    let rows: Vec<_> = Signal::ALL.iter().map(|signal| door.rows(*signal)).collect();
    assert_eq!(rows, [3, 4, 5]);
    assert_eq!(door.collector.metrics().accepted(Signal::Logs), 4);
    assert_eq!(door.collector.last_received(&storage::model::TenantId::default()).unwrap().signal, Signal::Metrics);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn otlp_comes_in_where_prometheus_mimir_and_loki_have_it() {
    let door = Door::usual().await;
    for (path, body) in [
        ("/api/v1/otlp/v1/metrics", metrics_request(2).encode_to_vec()),
        ("/prometheus/api/v1/otlp/v1/metrics", metrics_request(1).encode_to_vec()),
        ("/otlp/v1/metrics", metrics_request(3).encode_to_vec()),
        ("/otlp/v1/logs", logs_request(4).encode_to_vec()),
    ] {
        assert_eq!(post_protobuf(door.address, path, &body).await.status, 200, "{path}");
    }
    assert_eq!([door.rows(Signal::Metrics), door.rows(Signal::Logs)], [6, 4]);
    assert_eq!(post_protobuf(door.address, "/otlp/v1/traces", b"").await.status, 404);
    // Where the HTTP API is, Prometheus's own path is there, too.
    let api = super::scrape::serve(door.collector.prometheus_router()).await;
    let body = metrics_request(1).encode_to_vec();
    assert_eq!(post_protobuf(api, "/prometheus/api/v1/otlp/v1/metrics", &body).await.status, 200);
    assert_eq!(door.rows(Signal::Metrics), 7);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_taken_on_the_same_port_and_answered_in_json() {
    let door = Door::usual().await;
    let span = r#"{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174","name":"op",
        "kind":2,"startTimeUnixNano":"1790000000000000000","endTimeUnixNano":1790000000000000001,
        "attributes":[{"key":"n","value":{"intValue":"7"}},{"key":"m","value":{"intValue":7}}],"unknownField":{"a":[]}}"#;
    let body = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#);
    for content_type in ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"] {
        let answer = post(door.address, "/v1/traces", &[("Content-Type", content_type)], body.as_bytes()).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        assert_eq!(answer.body, "{}");
    }
    assert_eq!(door.rows(Signal::Spans), 3);
    // The log holds protobuf, whatever came in.
    let written = door.written.lock().unwrap()[0].clone();
    let request = ExportTraceServiceRequest::decode(written.payload.as_ref()).unwrap();
    assert_eq!(
        request.resource_spans[0].scope_spans[0].spans[0].span_id,
        [0xee, 0xe1, 0x9b, 0x7e, 0xc3, 0xc1, 0xb1, 0x74]
    );
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_success_counts_and_explains_in_the_signals_own_response_type() {
    let door = Door::usual().await;
    let mut bad = span(2);
    bad.trace_id = vec![];
    let answer =
        post_protobuf(door.address, "/v1/traces", &trace_request(vec![span(1), bad.clone(), bad]).encode_to_vec())
            .await;
    assert_eq!(answer.status, 200);
    let partial = ExportTraceServiceResponse::decode(answer.body).unwrap().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 2);
    assert!(partial.error_message.contains("spans[1]: trace_id has 0 bytes"), "{}", partial.error_message);
    assert_eq!(door.rows(Signal::Spans), 1);

    let mut logs = logs_request(2);
    logs.resource_logs[0].scope_logs[0].log_records[0].time_unix_nano = u64::MAX;
    let answer = post_protobuf(door.address, "/v1/logs", &logs.encode_to_vec()).await;
    let partial = ExportLogsServiceResponse::decode(answer.body).unwrap().partial_success.unwrap();
    assert_eq!(partial.rejected_log_records, 1);

    let mut metrics = metrics_request(2);
    let Some(metric::Data::Gauge(gauge)) = &mut metrics.resource_metrics[0].scope_metrics[0].metrics[0].data else {
        unreachable!("it is a gauge")
    };
    gauge.data_points[1].time_unix_nano = u64::MAX;
    let answer = post_protobuf(door.address, "/v1/metrics", &metrics.encode_to_vec()).await;
    let partial = ExportMetricsServiceResponse::decode(answer.body).unwrap().partial_success.unwrap();
    assert_eq!(partial.rejected_data_points, 1);

    let json = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"00"}]}]}]}"#;
    let answer = post_json(door.address, "/v1/traces", json).await;
    assert_eq!((answer.status, answer.json()["partialSuccess"]["rejectedSpans"].as_str()), (200, Some("1")));
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_request_is_a_success() {
    let door = Door::usual().await;
    for path in ["/v1/traces", "/v1/logs", "/v1/metrics"] {
        assert_eq!(post_protobuf(door.address, path, b"").await.status, 200);
        let answer = post_json(door.address, path, "{}").await;
        assert_eq!((answer.status, answer.body.as_ref()), (200, &b"{}"[..]));
        // Nothing is an empty message in protobuf, and no JSON at all.
        assert_eq!(post_json(door.address, path, "").await.status, 400);
        let gzip_of_nothing = [("Content-Type", PROTOBUF), ("Content-Encoding", "gzip")];
        for body in [vec![], gzip(b"")] {
            assert_eq!(post(door.address, path, &gzip_of_nothing, &body).await.status, 200);
        }
    }
    assert_eq!(door.written.lock().unwrap().len(), 0);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gzip_zstd_and_deflate_are_unpacked() {
    let door = Door::usual().await;
    let body = good_spans(2);
    let (front, back) = body.split_at(20);
    let cases = [
        ("gzip", gzip(&body)),
        ("GZIP, identity".to_lowercase().leak(), gzip(&body)),
        ("gzip", [gzip(front), gzip(back)].concat()),
        ("zstd", zstd(&body)),
        ("zstd", [zstd(front), zstd(back)].concat()),
        ("deflate", zlib(&body)),
        ("identity", body.clone()),
    ];
    for (encoding, packed) in &cases {
        let headers = [("Content-Type", PROTOBUF), ("Content-Encoding", encoding)];
        assert_eq!(post(door.address, "/v1/traces", &headers, packed).await.status, 200, "{encoding}");
    }
    assert_eq!(door.rows(Signal::Spans), 2 * cases.len());
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_rpc_status_in_the_requests_content_type() {
    let door = Door::usual().await;
    let answer = post_protobuf(door.address, "/v1/traces", b"\x0a").await;
    assert_eq!((answer.status, answer.header("content-type")), (400, Some(PROTOBUF)));
    let status = rpc_status(&answer.body);
    assert_eq!(status.code, 3);
    assert!(status.message.contains("ends within a field") || status.message.contains("varint"), "{}", status.message);
    assert_eq!(answer.header("retry-after"), None, "sending it again would not help");

    let answer = post_json(door.address, "/v1/traces", "{").await;
    assert_eq!((answer.status, answer.header("content-type")), (400, Some("application/json")));
    assert_eq!(answer.json()["code"], 3);
    assert!(answer.json()["message"].as_str().unwrap().contains("malformed JSON at $"));

    let answer = post_protobuf(door.address, "/v1/nothing", b"").await;
    assert_eq!((answer.status, rpc_status(&answer.body).code), (404, 12));
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_post_is_allowed_and_only_the_media_types_of_otlp() {
    let door = Door::usual().await;
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let answer = send(door.address, &request(method, "/v1/traces", &[], b"")).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, OPTIONS")), "{method}");
    }
    let body = good_spans(1);
    for content_type in ["text/plain", "application/octet-stream", "application/grpc-web", "application/x-protobufx"] {
        let answer = post(door.address, "/v1/traces", &[("Content-Type", content_type)], &body).await;
        assert_eq!(answer.status, 415, "{content_type}");
        assert!(answer.json()["message"].as_str().unwrap().contains("application/x-protobuf"));
    }
    assert_eq!(post(door.address, "/v1/traces", &[], &body).await.status, 415);
    for encoding in ["gzip, gzip", "br", "snappy", "compress", "gzip,zstd"] {
        let headers = [("Content-Type", PROTOBUF), ("Content-Encoding", encoding)];
        let answer = post(door.address, "/v1/traces", &headers, &body).await;
        assert_eq!(answer.status, 415, "{encoding}");
        assert!(answer.header("accept-encoding").unwrap().contains("zstd"));
    }
    let twice = [("Content-Type", PROTOBUF), ("Content-Encoding", "gzip"), ("Content-Encoding", "gzip")];
    assert_eq!(post(door.address, "/v1/traces", &twice, &gzip(&gzip(&body))).await.status, 415);
    assert_eq!(door.rows(Signal::Spans), 0);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_of_allowed_origins_may_send() {
    let door = Door::usual().await;
    let preflight = |origin: &'static str| {
        let headers = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "content-type,x-scope-orgid"),
            ("Access-Control-Request-Private-Network", "true"),
        ];
        request("OPTIONS", "/v1/traces", &headers, b"")
    };
    let answer = send(door.address, &preflight("http://localhost:5173")).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, Some("http://localhost:5173")));
    assert_eq!(answer.header("access-control-allow-headers"), Some("content-type,x-scope-orgid"));
    assert_eq!(answer.header("access-control-allow-methods"), Some("POST"));
    assert_eq!(answer.header("access-control-allow-private-network"), Some("true"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    for origin in ["https://evil.test", "null"] {
        let answer = send(door.address, &preflight(origin)).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, None), "{origin}");
        assert_eq!(answer.header("access-control-allow-methods"), None);
    }
    let headers = [("Origin", "http://127.0.0.1"), ("Content-Type", "application/json")];
    for (body, status) in [("{}", 200), ("{", 400)] {
        let answer = post(door.address, "/v1/traces", &headers, body.as_bytes()).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (status, Some("http://127.0.0.1")));
        assert_eq!(answer.header("vary"), Some("origin"));
    }
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_header_names_the_tenant() {
    let door = Door::usual().await;
    let send_as = async |tenant: &str| {
        let headers = [("Content-Type", PROTOBUF), ("X-Scope-OrgID", tenant)];
        post(door.address, "/v1/traces", &headers, &good_spans(1)).await.status
    };
    assert_eq!(send_as("team-7").await, 200);
    assert_eq!(post_protobuf(door.address, "/v1/traces", &good_spans(1)).await.status, 200);
    for bad in ["..", "../x", "a/b", "%2e%2e%2f", "", "a b", &"x".repeat(300), "a|b"] {
        assert_eq!(send_as(bad).await, 400, "{bad:?}");
    }
    let tenants: Vec<_> = door.written.lock().unwrap().iter().map(|write| write.tenant.to_string()).collect();
    assert_eq!(tenants, ["team-7", "default"]);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_are_rendered_for_prometheus() {
    let door = Door::usual().await;
    post_protobuf(door.address, "/v1/traces", &good_spans(3)).await;
    post_protobuf(door.address, "/v1/traces", b"\xff").await;
    let mut text = String::new();
    door.collector.metrics().render(&mut text);
    for line in [
        "spanlight_collector_records_accepted_total{signal=\"spans\"} 3",
        "spanlight_collector_requests_total{signal=\"logs\"} 0",
        "spanlight_collector_requests_refused_total{signal=\"spans\",reason=\"malformed\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{text}");
    }
    door.close().await;
}
