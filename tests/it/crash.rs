//! Does what was acknowledged survive? Load at full speed, while the server is killed and started again.

use crate::server::Server;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use workload::client::{LoadConfig, Observer, Protocol, Rate, SpanKey, Stop, run_load};
use workload::{Signal, Signals};

const KILLS: usize = 10;

/// A span, and whether its request was sent more than once.
pub(crate) type Acknowledged = Arc<Mutex<Vec<(SpanKey, bool)>>>;

pub(crate) fn observer(acknowledged: &Acknowledged) -> Observer {
    let acknowledged = Arc::clone(acknowledged);
    Observer {
        progress: None,
        acknowledged: Some(Box::new(move |spans, retried| {
            acknowledged.lock().unwrap().extend(spans.iter().map(|span| (*span, retried)));
        })),
    }
}

/// A load that goes on across restarts: the server comes back on the ports that it had. `host` is a loopback address that
/// no other test has, so that no other socket takes the ports in between.
async fn load_with_kills(
    host: &str,
    protocol: Protocol,
    flush_bytes: &str,
) -> (Server, tempfile::TempDir, Vec<(SpanKey, bool)>) {
    let dir = tempfile::tempdir().unwrap();
    let variables = [("SPANLIGHT_STORAGE_FLUSH_BYTES", flush_bytes)];
    let any = format!("{host}:0");
    let doors = ["--otlp-grpc-addr", &any, "--otlp-http-addr", &any];
    let mut server = Server::start_with(dir.path(), &doors, &variables);
    let (grpc, http) = (server.otlp_grpc.clone(), server.otlp_http.clone());
    let address = if protocol == Protocol::Grpc { &grpc } else { &http };
    let acknowledged = Acknowledged::default();
    let cancel = CancellationToken::new();
    let config = LoadConfig {
        endpoint: format!("http://{address}"),
        protocol,
        signals: Signals::Only(Signal::Spans),
        rate: Rate::Max,
        stop: Stop::After(Duration::from_secs(600)),
        connections: 4,
        batch: 100,
        ..LoadConfig::default()
    };
    let load = tokio::spawn(run_load(config, observer(&acknowledged), cancel.clone()));
    for _ in 0..KILLS {
        let before = acknowledged.lock().unwrap().len();
        crate::server::eventually("further acknowledgements", || async {
            (acknowledged.lock().unwrap().len() >= before + 2_000).then_some(())
        })
        .await;
        server.kill();
        let addresses = ["--otlp-grpc-addr", &grpc, "--otlp-http-addr", &http];
        server = Server::start_with(dir.path(), &addresses, &variables);
    }
    cancel.cancel();
    load.await.unwrap().unwrap();
    let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
    (server, dir, acknowledged)
}

/// How often each span of the given traces is stored.
pub(crate) async fn stored(server: &Server, spans: &[(SpanKey, bool)]) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    let traces: std::collections::BTreeSet<[u8; 16]> = spans.iter().map(|((trace, _), _)| *trace).collect();
    for trace in traces {
        let trace = hex(&trace);
        let (status, body) = server.get(&format!("/api/v1/traces/{trace}")).await;
        assert_eq!(status, 200, "trace {trace}: {}", String::from_utf8_lossy(&body));
        let data: query_api::otlp::TracesData = serde_json::from_slice(&body).unwrap();
        let scopes = data.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        for span in scopes.flat_map(|scope| scope.spans) {
            *counts.entry((trace.clone(), span.span_id)).or_default() += 1;
        }
    }
    counts
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn check_nothing_is_lost_or_doubled(host: &str, protocol: Protocol, flush_bytes: &str) {
    let (server, _dir, acknowledged) = load_with_kills(host, protocol, flush_bytes).await;
    assert!(acknowledged.len() >= KILLS * 2_000, "{} spans were acknowledged", acknowledged.len());
    let counts = stored(&server, &acknowledged).await;
    for ((trace, span), retried) in &acknowledged {
        let count = counts.get(&(hex(trace), hex(span))).copied().unwrap_or(0);
        assert_eq!(count, 1, "span {} of trace {}, retried: {retried}", hex(span), hex(trace));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_spans_survive_ten_kills_and_are_there_once() {
    check_nothing_is_lost_or_doubled("127.0.0.2", Protocol::Grpc, "134217728").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_spans_survive_ten_kills_amid_flushes() {
    check_nothing_is_lost_or_doubled("127.0.0.3", Protocol::HttpProtobuf, "1000000").await;
}
