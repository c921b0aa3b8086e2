//! Does bad input stay harmless? Good data between bad is intact, memory is bounded, the server lives.

use crate::server::{Server, request};
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Bytes;
use serde_json::json;
use std::io::Write;

/// Far below what the bombs would decompress to, far above what one honest request needs.
const MEMORY_BOUND: u64 = 600 << 20;
/// Bytes that each bomb decompresses to.
const BOMB_BYTES: usize = 1 << 30;

fn gzip_bomb() -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let zeros = vec![0; 1 << 20];
    (0..BOMB_BYTES >> 20).for_each(|_| encoder.write_all(&zeros).unwrap());
    encoder.finish().unwrap().into()
}

fn zstd_bomb() -> Bytes {
    let zeros = vec![0; BOMB_BYTES];
    zstd::bulk::compress(&zeros, 1).unwrap().into()
}

fn good(number: u64) -> Bytes {
    let span = json!({
        "traceId": format!("{number:032x}"),
        "spanId": format!("{number:016x}"),
        "name": "good",
        "startTimeUnixNano": "1795392000000000000",
        "endTimeUnixNano": "1795392000000000001",
    });
    Bytes::from(json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_are_refused_within_bounded_memory_and_good_data_between_them_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let bombs = [("gzip", gzip_bomb()), ("zstd", zstd_bomb())];
    let deep = Bytes::from(format!("{{\"resourceSpans\":{}", "[".repeat(1_000_000)));
    for number in 1..=4 {
        for (encoding, bomb) in &bombs {
            let headers = [("content-type", "application/x-protobuf"), ("content-encoding", encoding)];
            let (status, _) = request(&server.otlp_http, "POST", "/v1/traces", &headers, bomb.clone()).await;
            assert_eq!(status, 413, "{encoding}");
        }
        let headers = [("content-type", "application/json")];
        let (status, _) = request(&server.otlp_http, "POST", "/v1/traces", &headers, deep.clone()).await;
        assert_eq!(status, 400);
        let (status, body) = request(&server.otlp_http, "POST", "/v1/traces", &headers, good(number)).await;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    }
    for number in 1..=4u64 {
        server.json(&format!("/api/v1/traces/{number:032x}")).await;
    }
    let peak = server.peak_memory();
    assert!(peak < MEMORY_BOUND, "{peak} bytes");
}
