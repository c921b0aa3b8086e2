//! Does what was acknowledged survive? Load at full speed, while the server is killed and started again.

use crate::server::{Server, request};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use workload::client::{LoadConfig, Observer, Protocol, Rate, SpanKey, Stop, run_load};
use workload::{Signal, Signals};

/// The service of spans that are older than anything that is kept.
const OLD: &str = "old";

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

/// How a server is loaded and killed.
struct Play {
    /// A loopback address that no other test has, so that no other socket takes the ports between two lives.
    host: &'static str,
    protocol: Protocol,
    rate: Rate,
    flush_bytes: &'static str,
    /// How often it is killed.
    kills: usize,
    /// How many further spans are acknowledged before, at least.
    spans_between: usize,
    /// Milliseconds that it lives after those, drawn anew for each life.
    life: Range<u64>,
}

/// What a load across restarts left behind.
struct Left {
    server: Server,
    acknowledged: Vec<(SpanKey, bool)>,
    /// Merges that the lives counted.
    merges: u64,
    _dir: tempfile::TempDir,
}

/// A load that goes on across restarts: the server comes back on the ports that it had.
async fn load_with_kills(play: &Play) -> Left {
    let dir = tempfile::tempdir().unwrap();
    // Merges take their time, so that a kill often meets one.
    let merges = ("SPANLIGHT_STORAGE_MERGE_BYTES_PER_SECOND", "1000000");
    let variables = [("SPANLIGHT_STORAGE_FLUSH_BYTES", play.flush_bytes), merges];
    let any = format!("{}:0", play.host);
    let doors = ["--otlp-grpc-addr", &any, "--otlp-http-addr", &any];
    let mut server = Server::start_with(dir.path(), &doors, &variables);
    let (grpc, http) = (server.otlp_grpc.clone(), server.otlp_http.clone());
    let address = if play.protocol == Protocol::Grpc { &grpc } else { &http };
    let acknowledged = Acknowledged::default();
    let cancel = CancellationToken::new();
    let config = LoadConfig {
        endpoint: format!("http://{address}"),
        protocol: play.protocol,
        signals: Signals::Only(Signal::Spans),
        rate: play.rate,
        stop: Stop::After(Duration::from_secs(3_600)),
        connections: 4,
        batch: 100,
        ..LoadConfig::default()
    };
    let load = tokio::spawn(run_load(config, observer(&acknowledged), cancel.clone()));
    let mut random = Pcg64::seed_from_u64(u64::from(std::process::id()));
    let mut merges = 0;
    for _ in 0..play.kills {
        let before = acknowledged.lock().unwrap().len();
        crate::server::eventually("further acknowledgements", || async {
            (acknowledged.lock().unwrap().len() >= before + play.spans_between).then_some(())
        })
        .await;
        if !play.life.is_empty() {
            send_old_span(&http, before).await;
            tokio::time::sleep(Duration::from_millis(random.random_range(play.life.clone()))).await;
            merges += merges_of(&server).await;
        }
        server.kill();
        let addresses = ["--otlp-grpc-addr", &grpc, "--otlp-http-addr", &http];
        server = Server::start_with(dir.path(), &addresses, &variables);
    }
    cancel.cancel();
    load.await.unwrap().unwrap();
    let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
    Left { server, acknowledged, merges, _dir: dir }
}

/// How many merges a server counted since it started.
async fn merges_of(server: &Server) -> u64 {
    let (_, metrics) = server.get("/metrics").await;
    let metrics = String::from_utf8(metrics.to_vec()).unwrap();
    let merges = metrics.lines().find_map(|line| line.strip_prefix("spanlight_compactions_total "));
    merges.unwrap().parse().unwrap()
}

/// Sends a span of a time from which nothing is kept any more.
async fn send_old_span(otlp_http: &str, number: usize) {
    let body = format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"{OLD}"}}}}]}},
            "scopeSpans":[{{"spans":[{{"traceId":"{:032x}","spanId":"{:016x}","name":"old",
            "startTimeUnixNano":"1600000000000000000","endTimeUnixNano":"1600000000000001000"}}]}}]}}]}}"#,
        number + 1,
        number + 1
    );
    let headers = [("content-type", "application/json")];
    let (status, answer) = request(otlp_http, "POST", "/v1/traces", &headers, body.into()).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
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

async fn check_nothing_is_lost_or_doubled(server: &Server, acknowledged: &[(SpanKey, bool)]) {
    let counts = stored(server, acknowledged).await;
    for ((trace, span), retried) in acknowledged {
        let count = counts.get(&(hex(trace), hex(span))).copied().unwrap_or(0);
        assert_eq!(count, 1, "span {} of trace {}, retried: {retried}", hex(span), hex(trace));
    }
}

async fn check_ten_kills(host: &'static str, protocol: Protocol, flush_bytes: &'static str) {
    let (kills, spans_between) = (10, 2_000);
    let play = Play { host, protocol, rate: Rate::Max, flush_bytes, kills, spans_between, life: 0..0 };
    let Left { server, acknowledged, .. } = &load_with_kills(&play).await;
    assert!(acknowledged.len() >= kills * spans_between, "{} spans were acknowledged", acknowledged.len());
    check_nothing_is_lost_or_doubled(server, acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_spans_survive_ten_kills_and_are_there_once() {
    check_ten_kills("127.0.0.2", Protocol::Grpc, "134217728").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_spans_survive_ten_kills_amid_flushes() {
    check_ten_kills("127.0.0.3", Protocol::HttpProtobuf, "1000000").await;
}

/// Maintenance begins some seconds after a start, so these lives are long. `SPANLIGHT_KILLS` says how many there are.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_spans_survive_kills_amid_merges_and_retention() {
    let kills = std::env::var("SPANLIGHT_KILLS").map_or(3, |kills| kills.parse().unwrap());
    let play = Play {
        host: "127.0.0.5",
        protocol: Protocol::HttpProtobuf,
        rate: Rate::PerSecond(300.0),
        flush_bytes: "100000",
        kills,
        spans_between: 200,
        life: 4_000..9_000,
    };
    let Left { server, acknowledged, merges, _dir } = load_with_kills(&play).await;
    assert!(merges > 0);
    // What is old goes, block by block, as soon as it is in one; what is not stays.
    crate::server::eventually("the first old span is deleted", || async {
        let (status, _) = server.get(&format!("/api/v1/traces/{:032x}", 1)).await;
        (status == 404).then_some(())
    })
    .await;
    check_nothing_is_lost_or_doubled(&server, &acknowledged).await;
}
