//! OTLP/gRPC: the duties of a server, first with the generated client that SDKs use, then with bad framing.

use super::raw::{TRACES, frame, grpc};
use super::*;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

async fn channel(door: &Door) -> Channel {
    Channel::from_shared(format!("http://{}", door.address)).unwrap().connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_client_exports_three_signals_with_and_without_compression() {
    let door = Door::usual().await;
    let channel = channel(&door).await;
    let mut traces = TraceServiceClient::new(channel.clone());
    let mut gzip = TraceServiceClient::new(channel.clone()).send_compressed(CompressionEncoding::Gzip);
    let mut zstd = TraceServiceClient::new(channel.clone())
        .send_compressed(CompressionEncoding::Zstd)
        .accept_compressed(CompressionEncoding::Zstd);
    for client in [&mut traces, &mut gzip, &mut zstd] {
        let response = client.export(trace_request((1..=9).map(span).collect())).await.unwrap();
        assert_eq!(response.into_inner().partial_success, None);
    }
    LogsServiceClient::new(channel.clone()).export(logs_request(2)).await.unwrap();
    MetricsServiceClient::new(channel).export(metrics_request(3)).await.unwrap();
    let rows: Vec<_> = Signal::ALL.iter().map(|signal| door.rows(*signal)).collect();
    assert_eq!(rows, [27, 2, 3]);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_success_is_ok_with_a_count() {
    let door = Door::usual().await;
    let mut client = TraceServiceClient::new(channel(&door).await);
    let response = client.export(trace_request(vec![span(1), Span::default()])).await.unwrap().into_inner();
    let partial = response.partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 1);
    assert!(partial.error_message.contains("trace_id has 0 bytes"));
    assert_eq!(client.export(ExportTraceServiceRequest::default()).await.unwrap().into_inner().partial_success, None);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_names_the_tenant() {
    let door = Door::usual().await;
    let mut client = TraceServiceClient::new(channel(&door).await);
    let mut request = Request::new(trace_request(vec![span(1)]));
    request.metadata_mut().insert("x-scope-orgid", "team-7".parse().unwrap());
    client.export(request).await.unwrap();
    assert_eq!(door.written.lock().unwrap()[0].tenant.as_str(), "team-7");
    let mut request = Request::new(trace_request(vec![span(1)]));
    request.metadata_mut().insert("x-scope-orgid", "../x".parse().unwrap());
    assert_eq!(client.export(request).await.unwrap_err().code(), Code::InvalidArgument);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_large_is_resource_exhausted_without_retry_info() {
    let config = CollectorConfig { max_request_bytes: 1_000, ..CollectorConfig::default() };
    let door = Door::open(config).await;
    let large = trace_request((1..=200).map(span).collect());
    let channel = channel(&door).await;
    let mut plain = TraceServiceClient::new(channel.clone());
    let mut packed = TraceServiceClient::new(channel).send_compressed(CompressionEncoding::Gzip);
    for client in [&mut plain, &mut packed] {
        let status = client.export(large.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.get_details_retry_info().is_none(), "sending it again would not help");
        assert_eq!(client.export(trace_request(vec![span(1)])).await.unwrap().into_inner().partial_success, None);
    }
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn overload_is_retryable_and_says_when() {
    let door = Door::usual().await;
    let mut client = TraceServiceClient::new(channel(&door).await);
    door.behave(Behaviour::Refuse(|| Error::Refused { reason: "the disk is full".into() }));
    let status = client.export(trace_request(vec![span(1)])).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.get_details_retry_info().unwrap().retry_delay.unwrap().as_secs(), 5);
    assert!(!status.message().contains("disk"), "operators read why, senders do not");
    door.behave(Behaviour::Keep);
    client.export(trace_request(vec![span(1)])).await.unwrap();
    door.close().await;

    let config = CollectorConfig { tenant_bytes_per_second: 10, tenant_burst_bytes: 50, ..CollectorConfig::default() };
    let door = Door::open(config).await;
    let mut client = TraceServiceClient::new(channel(&door).await);
    client.export(trace_request(vec![span(1)])).await.unwrap();
    let status = client.export(trace_request(vec![span(1)])).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_details_retry_info().unwrap().retry_delay.unwrap().as_secs() >= 1);
    door.close().await;
}

type Headers = &'static [(&'static str, &'static str)];

#[tokio::test(flavor = "multi_thread")]
async fn bad_framing_is_told_apart_and_the_server_lives() {
    let door = Door::usual().await;
    let good = good_spans(1);
    let invalid = Code::InvalidArgument as i32;
    let cases: Vec<(&str, Vec<u8>, Headers, i32, &str)> = vec![
        ("no message", vec![], &[], invalid, "no message"),
        ("half a header", vec![0, 0], &[], invalid, "no message"),
        ("short", vec![0, 0, 0, 0, 9, 1], &[], invalid, "shorter"),
        ("two messages", [frame(0, &good), frame(0, &good)].concat(), &[], invalid, "more than one"),
        ("flag", frame(2, &good), &[], invalid, "flag"),
        ("huge length", vec![0, 0xff, 0xff, 0xff, 0xff], &[], invalid, "shorter"),
        ("compressed without a name", frame(1, &gzip(&good)), &[], invalid, "grpc-encoding"),
        ("truncated gzip", frame(1, &gzip(&good)[..20]), &[("grpc-encoding", "gzip")], invalid, "gzip"),
        ("not gzip", frame(1, &good), &[("grpc-encoding", "gzip")], invalid, "gzip"),
        ("malformed", frame(0, b"\x0a\x05"), &[], invalid, "protobuf"),
        ("unknown encoding", frame(1, &good), &[("grpc-encoding", "snappy")], Code::Unimplemented as i32, "snappy"),
        ("codec", frame(0, &good), &[("content-type", "application/grpc+json")], invalid, "grpc+json"),
    ];
    for (name, body, headers, code, message) in cases {
        let answer = grpc(door.address, TRACES, headers, body).await;
        assert_eq!(answer.code, code, "{name}: {}", answer.message);
        assert!(answer.message.contains(&message.replace(' ', "%20")), "{name}: {}", answer.message);
        assert_eq!(answer.headers["grpc-accept-encoding"], "identity,gzip,zstd,deflate");
        assert!(!answer.headers.contains_key("grpc-status-details-bin"), "{name}: retrying would not help");
        let good = grpc(door.address, TRACES, &[("te", "trailers")], frame(0, &good)).await;
        assert_eq!((good.code, good.body.as_ref()), (0, &[0, 0, 0, 0, 0][..]));
    }
    let uncompressed = grpc(door.address, TRACES, &[("grpc-encoding", "gzip")], frame(0, &good)).await;
    assert_eq!(uncompressed.code, 0, "a message may be sent as it is");
    let proto = grpc(door.address, TRACES, &[("content-type", "application/grpc+proto")], frame(0, &good)).await;
    assert_eq!(proto.code, 0);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_methods_are_unimplemented_and_health_is_serving() {
    let door = Door::usual().await;
    for path in ["/nothing", "/grpc.health.v1.Health/Watch", "/v1/traces", "/a.B/Export"] {
        assert_eq!(grpc(door.address, path, &[], frame(0, b"")).await.code, Code::Unimplemented as i32, "{path}");
    }
    let health = "/grpc.health.v1.Health/Check";
    let answer = grpc(door.address, health, &[], frame(0, b"")).await;
    assert_eq!((answer.code, answer.body.as_ref()), (0, &[0, 0, 0, 0, 2, 8, 1][..]));
    assert_eq!(grpc(door.address, health, &[], frame(0, b"\x0a\x03abc")).await.code, Code::NotFound as i32);
    door.close().await;
}
