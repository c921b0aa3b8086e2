//! Hostile and broken input, door by door: the right answer, bounded memory, the server alive, and the good data sent
//! in between intact.

use super::raw::{TRACES, frame, grpc, post, post_json, post_protobuf};
use super::*;

const PROTOBUF: &str = "application/x-protobuf";
const LIMIT: usize = 4 << 20;

fn config() -> CollectorConfig {
    CollectorConfig { max_request_bytes: LIMIT, ..CollectorConfig::default() }
}

/// A compressed body that unpacks to 128 MiB of zeros, 32 times the limit.
fn gzip_bomb() -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..128 {
        encoder.write_all(&zeros).unwrap();
    }
    encoder.finish().unwrap()
}

fn zstd_bomb(window_log: u32) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(window_log).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..128 {
        encoder.write_all(&zeros).unwrap();
    }
    encoder.finish().unwrap()
}

/// A skippable frame of zstd that says it is longer than it is.
fn zstd_skippable(length: u32, content: usize) -> Vec<u8> {
    [&0x184D_2A50u32.to_le_bytes()[..], &length.to_le_bytes(), &vec![0; content]].concat()
}

fn random(len: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        u8::try_from(state >> 56).unwrap()
    };
    (0..len).map(|_| next()).collect()
}

type Headers = Vec<(&'static str, &'static str)>;

#[tokio::test(flavor = "multi_thread")]
async fn bad_bodies_get_the_right_status_and_the_good_ones_between_are_intact() {
    let door = Door::open(config()).await;
    let good = good_spans(2);
    let packed = gzip(&good);
    let with = |encoding: &'static str| vec![("Content-Type", PROTOBUF), ("Content-Encoding", encoding)];
    let mut flipped = packed.clone();
    let last = flipped.len() - 6;
    flipped[last] ^= 1;
    let cases: Vec<(&str, Headers, Vec<u8>, u16)> = vec![
        ("one byte", with("identity"), vec![0x0a], 400),
        ("truncated protobuf", with("identity"), good[..good.len() - 1].to_vec(), 400),
        ("JSON as protobuf", with("identity"), b"{\"resourceSpans\":[]}".to_vec(), 400),
        ("protobuf as JSON", vec![("Content-Type", "application/json")], good.clone(), 400),
        ("truncated gzip", with("gzip"), packed[..packed.len() - 9].to_vec(), 400),
        ("gzip with a wrong checksum", with("gzip"), flipped, 400),
        ("gzip and more", with("gzip"), [packed.as_slice(), b"more"].concat(), 400),
        ("gzip of gzip", with("gzip"), gzip(&packed), 400),
        ("not gzip", with("gzip"), good.clone(), 400),
        ("not zstd", with("zstd"), good.clone(), 400),
        ("truncated zstd", with("zstd"), zstd(&good)[..20].to_vec(), 400),
        ("not deflate", with("deflate"), good.clone(), 400),
        ("gzip bomb", with("gzip"), gzip_bomb(), 413),
        ("zstd bomb", with("zstd"), zstd_bomb(20), 413),
        ("zstd bomb with a window of 128 MiB", with("zstd"), zstd_bomb(27), 400),
        ("zstd that is skipped", with("zstd"), zstd_skippable(1_000, 1_000), 200),
        ("zstd that is skipped and cut off", with("zstd"), zstd_skippable(u32::MAX, 1_000), 400),
        ("noise", with("identity"), random(100_000), 400),
        ("more than allowed", with("identity"), vec![0; LIMIT + 1], 413),
    ];
    let mut rows = 0;
    for (name, headers, body, status) in cases {
        let answer = post(door.address, "/v1/traces", &headers, &body).await;
        assert_eq!(answer.status, status, "{name}: {:?}", answer.body);
        assert_eq!(post_protobuf(door.address, "/v1/traces", &good).await.status, 200, "after {name}");
        rows += 2;
        assert_eq!(door.rows(Signal::Spans), rows, "after {name}");
    }
    let (now, peak) = door.collector.bytes_in_flight();
    assert!(now == 0 && peak < 3 * LIMIT, "the bombs were stopped in time: {peak}");
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_are_stopped_at_the_grpc_door_too() {
    let door = Door::open(config()).await;
    for (encoding, bomb) in [("gzip", gzip_bomb()), ("zstd", zstd_bomb(20))] {
        let answer = grpc(door.address, TRACES, &[("grpc-encoding", encoding)], frame(1, &bomb)).await;
        assert_eq!(answer.code, tonic::Code::ResourceExhausted as i32, "{encoding}");
        assert!(!answer.headers.contains_key("grpc-status-details-bin"));
        assert_eq!(grpc(door.address, TRACES, &[], frame(0, &good_spans(1))).await.code, 0);
    }
    assert!(door.collector.bytes_in_flight().1 < 3 * LIMIT);
    door.close().await;
}

fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::encode_varint(u64::from(number << 3 | 2), &mut out);
    prost::encoding::encode_varint(content.len() as u64, &mut out);
    [out.as_slice(), content].concat()
}

/// A request of one good span with the bytes after it.
fn span_with(extra: &[u8]) -> Vec<u8> {
    field(1, &field(2, &field(2, &[span(1).encode_to_vec().as_slice(), extra].concat())))
}

/// An attribute whose value nests to a depth.
fn nested(depth: usize) -> Vec<u8> {
    let value = (1..depth).fold(vec![0x18, 7], |value, _| field(5, &field(1, &value)));
    field(9, &field(2, &value))
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_protobuf_gets_the_right_status() {
    let door = Door::open(config()).await;
    let long_key = [field(1, &vec![b'k'; 1 << 20]), field(2, &[0x18, 1])].concat();
    let many: Vec<u8> = (0..10_000).flat_map(|i| field(9, &field(1, format!("{i}").as_bytes()))).collect();
    // Body, status, rows.
    let cases: Vec<(&str, Vec<u8>, u16, usize)> = vec![
        ("a varint of 11 bytes", span_with(&[&[0x30][..], &[0xff; 11]].concat()), 400, 0),
        ("length past the end", span_with(&[0x2a, 100]), 400, 0),
        ("negative length", span_with(&[&[0x2a][..], &[0xff; 9], &[1]].concat()), 400, 0),
        ("wrong wire type", span_with(&[0x29, 0, 0, 0, 0, 0, 0, 0, 0]), 400, 0),
        ("open group", span_with(&[0xa3, 6]), 400, 0),
        ("closed group", span_with(&[0xa3, 6, 0xa4, 6]), 200, 1),
        ("unknown fields", span_with(&[0xa0, 6, 1, 0xa2, 6, 0, 0xa5, 6, 0, 0, 0, 0]), 200, 1),
        ("a scalar twice", span_with(&[0x2a, 1, b'a', 0x2a, 1, b'b']), 200, 1),
        ("not UTF-8", span_with(&[0x2a, 1, 0xff]), 400, 0),
        ("NUL in a string", span_with(&[0x2a, 1, 0]), 200, 1),
        ("an empty key", span_with(&field(9, &[])), 200, 1),
        ("a reference into a profile's table", span_with(&field(9, &field(2, &[0x40, 1]))), 200, 1),
        ("a key of a megabyte", span_with(&field(9, &long_key)), 200, 0),
        ("ten thousand attributes", span_with(&many), 200, 1),
        ("depth 65", span_with(&nested(65)), 200, 1),
        ("depth 66", span_with(&nested(66)), 200, 0),
        ("depth 101", span_with(&nested(101)), 200, 0),
        ("depth 10,000", span_with(&nested(10_000)), 200, 0),
        ("resources without spans", field(1, &[]).repeat(100_000), 200, 0),
    ];
    for (name, body, status, rows) in cases {
        let before = door.rows(Signal::Spans);
        let answer = post_protobuf(door.address, "/v1/traces", &body).await;
        assert_eq!(answer.status, status, "{name}");
        assert_eq!(door.rows(Signal::Spans) - before, rows, "{name}");
        let answer = grpc(door.address, TRACES, &[], frame(0, &body)).await;
        let code = if status == 200 { 0 } else { tonic::Code::InvalidArgument as i32 };
        assert_eq!(answer.code, code, "{name}: {}", answer.message);
    }
    assert_eq!(post_protobuf(door.address, "/v1/traces", &good_spans(1)).await.status, 200);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_tiny_records_are_admitted_by_the_memory_they_take() {
    let config = CollectorConfig { max_bytes_in_flight: 64 << 20, ..CollectorConfig::default() };
    let door = Door::open(config).await;
    let tiny = field(1, &field(2, &field(2, &[]).repeat(1_000_000)));
    assert_eq!(post_protobuf(door.address, "/v1/logs", &tiny).await.status, 413, "their rows would never fit");
    let fewer = field(1, &field(2, &field(2, &[]).repeat(100_000)));
    assert_eq!(post_protobuf(door.address, "/v1/logs", &fewer).await.status, 200);
    assert_eq!(door.rows(Signal::Logs), 100_000);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_json_gets_the_right_status_and_tells_where() {
    let door = Door::open(config()).await;
    let good = r#""traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174""#;
    let deep = format!(
        r#""attributes":[{{"value":{}{{}}{}}}]"#,
        r#"{"arrayValue":{"values":["#.repeat(129),
        "]}}".repeat(129)
    );
    // Members of a span beside good ids, status, rows, what the message says.
    let cases: Vec<(&str, u16, usize, &str)> = vec![
        (r#""traceId":"W4vv95gDgQPSabYzgT/GDA==""#, 400, 0, "hex"),
        (r#""traceId":"5b8efff798038103d269b633813fc60""#, 400, 0, "spans[0].traceId"),
        (r#""traceId":"5b8efff798038103d269b633813fc6""#, 200, 0, "15 bytes"),
        (r#""traceId":"00000000000000000000000000000000""#, 200, 0, "all zeros"),
        (r#""traceId":0"#, 400, 0, "traceId"),
        (r#""startTimeUnixNano":1e3"#, 200, 1, ""),
        (r#""startTimeUnixNano":-0"#, 200, 1, ""),
        (r#""startTimeUnixNano":"9223372036854775808""#, 200, 0, "2262"),
        (r#""startTimeUnixNano":18446744073709551616"#, 400, 0, "out of range"),
        (r#""kind":"SPAN_KIND_SERVER""#, 400, 0, "no names"),
        (r#""start_time_unix_nano":1"#, 200, 1, ""),
        (r#""droppedAttributesCount":-1"#, 200, 1, ""),
        (r#""attributes":[{"key":"a","value":{"doubleValue":"NaN"}}]"#, 200, 1, ""),
        (r#""name":"a","name":"b""#, 200, 1, ""),
        (r#""name":"\uD800""#, 400, 0, "name"),
        (r#""name":"a" // no"#, 400, 0, "line 1"),
        (&deep, 400, 0, "nests deeper than"),
    ];
    for (members, status, rows, what) in cases {
        let before = door.rows(Signal::Spans);
        let body = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{good},{members}}}]}}]}}]}}"#);
        let answer = post_json(door.address, "/v1/traces", &body).await;
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert_eq!(answer.status, status, "{members}: {text}");
        assert_eq!(door.rows(Signal::Spans) - before, rows, "{members}: {text}");
        assert!(text.contains(what), "{members}: {text}");
    }
    let bom = post(door.address, "/v1/traces", &[("Content-Type", "application/json")], b"\xef\xbb\xbf{}").await;
    assert_eq!(bom.status, 400);
    let long = format!(r#"{{"resourceSpans":"{}"}}"#, "x".repeat(1 << 20));
    let answer = post_json(door.address, "/v1/traces", &long).await;
    assert!(answer.status == 400 && answer.body.len() < 10_000, "answers stay short: {}", answer.body.len());
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_reset_streams_leaves_the_server_alive() {
    use http_body_util::Full;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let door = Door::usual().await;
    let stream = tokio::net::TcpStream::connect(door.address).await.unwrap();
    let (client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    for _ in 0..2_000 {
        let mut client = client.clone();
        let request = ::http::Request::post(format!("http://collector.test{TRACES}"))
            .header("content-type", "application/grpc")
            .body(Full::new(Bytes::from_static(b"\0")))
            .unwrap();
        let call = tokio::spawn(async move { client.send_request(request).await.is_ok() });
        tokio::task::yield_now().await;
        // Dropping the call resets its stream.
        call.abort();
    }
    drop(client);
    connection.abort();
    assert_eq!(post_protobuf(door.address, "/v1/traces", &good_spans(1)).await.status, 200);
    assert_eq!(door.collector.bytes_in_flight().0, 0);
    door.close().await;
}
