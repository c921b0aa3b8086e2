//! Admission and endings: what is refused before it is decoded, what goes on when a client leaves, how it all stops.

use super::raw::{TRACES, frame, grpc, post, post_json, post_protobuf, receive, request};
use super::*;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const PROTOBUF: &str = "application/x-protobuf";

type Why = fn() -> Error;

/// Waits until something holds that is bound to.
async fn until(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_size_limit_is_exact_before_and_after_decompression() {
    let body = good_spans(3);
    let config = CollectorConfig { max_request_bytes: body.len(), ..CollectorConfig::default() };
    let door = Door::open(config).await;
    // A field that nobody knows makes the request one byte longer than allowed, or leaves it malformed but in time.
    let longer = [body.as_slice(), &[0x78, 0]].concat();
    let as_it_is: fn(&[u8]) -> Vec<u8> = |bytes| bytes.to_vec();
    for (encoding, pack) in [("identity", as_it_is), ("gzip", gzip), ("zstd", zstd)] {
        let headers = [("Content-Type", PROTOBUF), ("Content-Encoding", encoding)];
        let answer = post(door.address, "/v1/traces", &headers, &pack(&body)).await;
        assert_eq!(answer.status, 200, "{encoding}");
        let answer = post(door.address, "/v1/traces", &headers, &pack(&longer)).await;
        assert_eq!((answer.status, rpc_status(&answer.body).code), (413, 8), "{encoding}");
        assert_eq!(answer.header("retry-after"), None);
    }
    // In chunks, without a Content-Length to go by.
    let mut chunked = request("POST", "/v1/traces", &[("Content-Type", PROTOBUF)], b"");
    let head = String::from_utf8(std::mem::take(&mut chunked)).unwrap();
    let head = head.replace("Content-Length: 0", "Transfer-Encoding: chunked");
    let chunk = format!("{:x}\r\n", longer.len());
    let bytes = [head.as_bytes(), chunk.as_bytes(), &longer, b"\r\n0\r\n\r\n"].concat();
    assert_eq!(super::raw::send(door.address, &bytes).await.status, 413);
    assert_eq!(door.rows(Signal::Spans), 9);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_length_past_the_limit_is_refused_before_it_is_read() {
    let door = Door::usual().await;
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let head = "POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\nContent-Length: 5000000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    // The client has closed its side, so draining ends at once.
    if let Some(answer) = receive(&mut stream).await {
        assert_eq!(answer.status, 413);
    }
    until(|| door.collector.metrics().refused(Signal::Spans, "too_large") == 1).await;
    assert_eq!(door.collector.bytes_in_flight(), (0, 0));
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_fast_is_429_with_retry_after_and_never_500() {
    let config = CollectorConfig { tenant_bytes_per_second: 10, tenant_burst_bytes: 50, ..CollectorConfig::default() };
    let door = Door::open(config).await;
    assert_eq!(post_protobuf(door.address, "/v1/traces", &good_spans(1)).await.status, 200);
    let answer = post_protobuf(door.address, "/v1/traces", &good_spans(1)).await;
    assert_eq!((answer.status, rpc_status(&answer.body).code), (429, 8));
    assert!((1..=5).contains(&answer.header("retry-after").unwrap().parse::<u64>().unwrap()));
    let headers = [("Content-Type", PROTOBUF), ("X-Scope-OrgID", "other")];
    assert_eq!(post(door.address, "/v1/traces", &headers, &good_spans(1)).await.status, 200);
    assert_eq!(door.collector.metrics().refused(Signal::Spans, "rate"), 1);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_is_503_with_retry_after_and_only_our_own_defects_are_500() {
    let door = Door::usual().await;
    let full = || Error::Io {
        action: "write",
        path: "/secret/path".into(),
        source: std::io::Error::from(std::io::ErrorKind::StorageFull),
    };
    let cases: [(Why, u16, Option<&str>); 4] = [
        (full, 503, Some("5")),
        (|| Error::Closing, 503, Some("5")),
        (|| Error::Damaged { path: "x".into(), what: "y".into() }, 503, Some("5")),
        (|| Error::Columns { action: "a", source: arrow_schema::ArrowError::DivideByZero }, 500, None),
    ];
    for (why, status, retry_after) in cases {
        door.behave(Behaviour::Refuse(why));
        let answer = post_protobuf(door.address, "/v1/traces", &good_spans(1)).await;
        assert_eq!((answer.status, answer.header("retry-after")), (status, retry_after));
        assert!(!rpc_status(&answer.body).message.contains("secret"));
    }
    door.behave(Behaviour::Keep);
    assert_eq!(post_protobuf(door.address, "/v1/traces", &good_spans(1)).await.status, 200);
    assert_eq!(door.rows(Signal::Spans), 1);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_in_flight_is_bounded_and_a_second_request_waits_its_turn() {
    let config = CollectorConfig { max_bytes_in_flight: 10_000, ..CollectorConfig::default() };
    let door = Door::open(config).await;
    let go = Arc::new(Notify::new());
    door.behave(Behaviour::Wait(go.clone()));
    let address = door.address;
    let body = good_spans(30);
    let first = tokio::spawn({
        let body = body.clone();
        async move { post_protobuf(address, "/v1/traces", &body).await.status }
    });
    until(|| door.collector.bytes_in_flight().0 > 5_000).await;
    let answer = post_protobuf(address, "/v1/traces", &body).await;
    assert_eq!((answer.status, rpc_status(&answer.body).code), (503, 14));
    assert_eq!(answer.header("retry-after"), Some("1"));
    go.notify_one();
    assert_eq!(first.await.unwrap(), 200);
    let (now, peak) = door.collector.bytes_in_flight();
    assert!(now == 0 && peak <= 10_000, "{now} {peak}");
    door.behave(Behaviour::Keep);
    assert_eq!(post_protobuf(address, "/v1/traces", &body).await.status, 200);
    assert_eq!(post_protobuf(address, "/v1/traces", &good_spans(60)).await.status, 413, "would never fit");
    door.close().await;
}

/// Rows take more than their bytes: a request within its size may be past what may ever be in flight.
#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_much_memory_to_decode_is_refused_for_good_at_every_door_and_names_the_setting() {
    let config = CollectorConfig { max_bytes_in_flight: 200_000, ..CollectorConfig::default() };
    let door = Door::open(config).await;
    let protobuf = |spans: usize| trace_request(vec![span(1); spans]).encode_to_vec();
    let json = |spans: usize| {
        let span = format!("{{\"traceId\":\"{}\",\"spanId\":\"{}\"}}", "01".repeat(16), "01".repeat(8));
        format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{}]}}]}}]}}", vec![span; spans].join(","))
    };
    let told = |message: &str| message.contains("otlp.max_bytes_in_flight") && message.contains("200000");

    let answer = post_protobuf(door.address, "/v1/traces", &protobuf(1_000)).await;
    let status = rpc_status(&answer.body);
    assert_eq!((answer.status, status.code, answer.header("retry-after")), (413, 8, None));
    assert!(told(&status.message) && !status.message.contains("max_request_bytes"), "{}", status.message);
    let answer = post_json(door.address, "/v1/traces", &json(1_000)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (413, None));
    assert!(told(answer.json()["message"].as_str().unwrap()), "{:?}", answer.json());
    for (flag, headers, message) in
        [(0, &[][..], protobuf(1_000)), (1, &[("grpc-encoding", "gzip")], gzip(&protobuf(1_000)))]
    {
        let answer = grpc(door.address, TRACES, headers, frame(flag, &message)).await;
        assert_eq!(answer.code, tonic::Code::ResourceExhausted as i32);
        assert!(told(&answer.message), "{}", answer.message);
        assert!(!answer.headers.contains_key("grpc-status-details-bin"), "retrying would not help");
    }
    assert_eq!(door.collector.metrics().refused(Signal::Spans, "too_heavy"), 4);
    assert_eq!(door.collector.bytes_in_flight().0, 0);

    assert_eq!(post_protobuf(door.address, "/v1/traces", &protobuf(500)).await.status, 200);
    assert_eq!(post_json(door.address, "/v1/traces", &json(500)).await.status, 200);
    assert_eq!(grpc(door.address, TRACES, &[], frame(0, &protobuf(500))).await.code, 0);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c3_a_write_goes_on_when_its_client_leaves() {
    let door = Door::usual().await;
    let go = Arc::new(Notify::new());
    door.behave(Behaviour::Wait(go.clone()));
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let bytes = request("POST", "/v1/traces", &[("Content-Type", PROTOBUF)], &good_spans(2));
    stream.write_all(&bytes).await.unwrap();
    until(|| door.collector.bytes_in_flight().0 > 300).await;
    drop(stream);
    go.notify_one();
    until(|| door.rows(Signal::Spans) == 2 && door.collector.bytes_in_flight().0 == 0).await;
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_before_its_body_is_complete_leaves_nothing() {
    let door = Door::usual().await;
    let bytes = request("POST", "/v1/traces", &[("Content-Type", PROTOBUF)], &good_spans(50));
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    stream.write_all(&bytes[..bytes.len() - 10]).await.unwrap();
    until(|| door.collector.bytes_in_flight().0 > 0).await;
    drop(stream);
    until(|| door.collector.bytes_in_flight().0 == 0).await;
    assert_eq!(door.rows(Signal::Spans), 0);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_cut_off() {
    let short = Duration::from_millis(50);
    let config = CollectorConfig { body_timeout: short, header_timeout: short, ..CollectorConfig::default() };
    let door = Door::open(config).await;
    // A body that never ends.
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let head = "POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = receive(&mut stream).await.unwrap();
    assert_eq!((answer.status, rpc_status(&answer.body).code), (408, 4));
    // Headers that never end; nothing at all; as much as both protocols have in common.
    for start in ["POST /v1/traces HTTP/1.1\r\nHost: a\r\nX", "", "P", "PRI * HTTP/2.0\r\n"] {
        let mut stream = TcpStream::connect(door.address).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(20), receive(&mut stream)).await.unwrap();
        assert!(ended.is_none_or(|answer| answer.status == 408), "{start:?}");
    }
    assert_eq!(post_protobuf(door.address, "/v1/traces", &good_spans(1)).await.status, 200);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn n1_shutdown_finishes_requests_and_closes_idle_connections() {
    let door = Door::usual().await;
    let go = Arc::new(Notify::new());
    door.behave(Behaviour::Wait(go.clone()));
    let address = door.address;
    let mut idle = TcpStream::connect(address).await.unwrap();
    let mut busy = TcpStream::connect(address).await.unwrap();
    busy.write_all(&request("POST", "/v1/traces", &[("Content-Type", PROTOBUF)], &good_spans(1))).await.unwrap();
    until(|| door.collector.bytes_in_flight().0 > 100).await;
    let (written, stop, server) = (door.written, door.stop, door.server);
    stop.send(()).unwrap();
    assert!(receive(&mut idle).await.is_none());
    assert!(!server.is_finished());
    go.notify_one();
    assert_eq!(receive(&mut busy).await.unwrap().status, 200);
    server.await.unwrap().unwrap();
    assert_eq!(written.lock().unwrap().len(), 1);
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn n1_what_does_not_finish_in_time_is_cut_off() {
    let config = CollectorConfig { shutdown_timeout: Duration::from_millis(50), ..CollectorConfig::default() };
    let door = Door::open(config).await;
    door.behave(Behaviour::Wait(Arc::new(Notify::new())));
    let mut stuck = TcpStream::connect(door.address).await.unwrap();
    stuck.write_all(&request("POST", "/v1/traces", &[("Content-Type", PROTOBUF)], &good_spans(1))).await.unwrap();
    until(|| door.collector.bytes_in_flight().0 > 100).await;
    door.close().await;
    assert!(receive(&mut stuck).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_come_in_from_within_the_process_too() {
    use collector::{Encoding, Refusal};
    use storage::model::TenantId;
    let door = Door::usual().await;
    let tenant = TenantId::new("demo").unwrap();
    let body = Bytes::from(good_spans(2));
    let accepted = door.collector.accept(&tenant, Signal::Spans, Encoding::Protobuf, body).await.unwrap();
    assert_eq!((accepted.accepted, accepted.rejected), (2, 0));
    let json = Bytes::from_static(b"{]");
    let refused = door.collector.accept(&tenant, Signal::Spans, Encoding::Json, json).await.unwrap_err();
    assert!(matches!(refused, Refusal::Malformed { .. }));
    assert_eq!(door.collector.last_received(&tenant).unwrap().service, "unknown_service");
    assert_eq!(door.collector.last_received(&TenantId::default()), None);
    door.close().await;
}
