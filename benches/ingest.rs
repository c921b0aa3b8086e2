//! What does durable ingest cost, and how small is what is stored?
//!
//! A server process of its own takes a million spans over gRPC, 500 a request, until all of them are in blocks. Its CPU
//! time is set against decoding the same bytes with prost in this process, and its blocks against zstd-3 of the same
//! requests. Numbers are ratios within one run, in which prost decodes before and after: how fast the machine is changes
//! within a minute. Of some runs it is the one with the median ratio.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on must stop")]
#![expect(clippy::print_stdout, reason = "rows go to stdout")]

#[expect(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/it/server.rs"]
mod server;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use server::Server;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use workload::client::{LoadConfig, Observer, Protocol, Rate, Stop, run_load};
use workload::{Config, Signal, Signals, Workload};

const SPANS: u64 = 1_000_000;
const BATCH: usize = 500;
const RUNS: usize = 5;
/// Metrics of spans come a minute after these.
const PATIENCE: Duration = Duration::from_secs(240);
/// Spans whose bytes are decoded and compressed for comparison.
const SAMPLE: u64 = 200_000;

fn row(name: &str, value: f64, unit: &str, target: Option<&str>) {
    let target = target.map_or("null".into(), |target| format!("\"{target}\""));
    println!("bench-row: {{\"name\":\"{name}\",\"value\":{value:.3},\"unit\":\"{unit}\",\"target\":{target}}}");
}

/// CPU seconds of a process, all its threads, user and system.
fn cpu_seconds(pid: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks as f64 / 100.0
}

/// Requests as the load client sends them.
fn sample() -> (Vec<bytes::Bytes>, u64) {
    let config = Config {
        signals: Signals::Only(Signal::Spans),
        max_batch: BATCH,
        requests_per_second: 2_000.0,
        ..Config::default()
    };
    let mut shop = Workload::new(config).unwrap();
    let (mut requests, mut spans) = (Vec::new(), 0);
    while spans < SAMPLE {
        let batch = shop.next_batch().unwrap();
        spans += batch.items;
        requests.push(batch.bytes);
    }
    (requests, spans)
}

/// CPU seconds per span that prost needs, the best of some rounds.
fn prost_per_span(requests: &[bytes::Bytes], spans: u64) -> f64 {
    let rounds = (0..5).map(|_| {
        let before = cpu_seconds("thread-self");
        for request in requests {
            std::hint::black_box(ExportTraceServiceRequest::decode(request.clone()).unwrap());
        }
        (cpu_seconds("thread-self") - before) / spans as f64
    });
    rounds.fold(f64::INFINITY, f64::min)
}

fn zstd_per_span(requests: &[bytes::Bytes], spans: u64) -> f64 {
    let bytes: usize = requests.iter().map(|request| zstd::bulk::compress(request, 3).unwrap().len()).sum();
    bytes as f64 / spans as f64
}

/// What one server showed. Per span: CPU seconds, those of prost around it, bytes stored.
struct Run {
    cpu: f64,
    prost: f64,
    stored: f64,
    peak_mib: f64,
    per_second: f64,
    ack_p99_ms: f64,
}

async fn run(requests: &[bytes::Bytes], sampled: u64) -> Run {
    let before = prost_per_span(requests, sampled);
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &[], &[("SPANLIGHT_STORAGE_FLUSH_AGE_SECONDS", "5")]);
    let config = LoadConfig {
        endpoint: format!("http://{}", server.otlp_grpc),
        protocol: Protocol::Grpc,
        signals: Signals::Only(Signal::Spans),
        rate: Rate::Max,
        stop: Stop::Count(SPANS),
        connections: 4,
        batch: BATCH,
        ..LoadConfig::default()
    };
    let report = run_load(config, Observer::default(), CancellationToken::new()).await.unwrap();
    assert_eq!(report.accepted, SPANS);
    let spans = loop {
        let status = server.json("/api/v1/status").await;
        let spans = status["signals"].as_array().unwrap().iter().find(|s| s["signal"] == "spans").unwrap().clone();
        if spans["memtable_rows"] == 0 {
            break spans;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(spans["rows"], SPANS);
    let after = prost_per_span(requests, sampled);
    Run {
        prost: (before + after) / 2.0,
        cpu: cpu_seconds(&server.pid().to_string()) / SPANS as f64,
        stored: spans["block_bytes"].as_f64().unwrap() / SPANS as f64,
        peak_mib: server.peak_memory() as f64 / f64::from(1 << 20),
        per_second: SPANS as f64 / report.seconds,
        ack_p99_ms: report.ack_p99_ms,
    }
}

/// CPU seconds per span of a server that takes spans and is then left alone until `done` says so, and how long it took; its queries
/// have some settings.
async fn left_alone(variables: &[(&str, &str)], done: impl AsyncFn(&Server, Duration) -> bool) -> (f64, Duration) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &[], variables);
    let config = LoadConfig {
        endpoint: format!("http://{}", server.otlp_grpc),
        protocol: Protocol::Grpc,
        signals: Signals::Only(Signal::Spans),
        rate: Rate::Max,
        stop: Stop::Count(SPANS),
        connections: 4,
        batch: BATCH,
        ..LoadConfig::default()
    };
    // What is in no block yet is read from memory, by metrics of spans, too; both servers shall flush alike.
    let started = Instant::now();
    run_load(config, Observer::default(), CancellationToken::new()).await.unwrap();
    while !done(&server, started.elapsed()).await {
        assert!(started.elapsed() < PATIENCE, "no metrics of all spans after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    (cpu_seconds(&server.pid().to_string()) / SPANS as f64, started.elapsed())
}

/// CPU per span with metrics made of spans to that without, over the same time.
async fn with_span_metrics() -> f64 {
    let counted = async |server: &Server, _: Duration| {
        let answer = server.json("/prometheus/api/v1/query?query=sum(traces_spanmetrics_calls_total)").await;
        let calls = answer["data"]["result"][0]["value"][1].as_str().map_or(0.0, |calls| calls.parse().unwrap());
        calls >= SPANS as f64
    };
    let (with, took) = left_alone(&[("SPANLIGHT_QUERY_SPAN_METRICS", "true")], counted).await;
    let (without, _) = left_alone(&[], async |server: &Server, elapsed: Duration| {
        counted(server, elapsed).await;
        elapsed >= took
    })
    .await;
    with / without
}

#[tokio::main]
async fn main() {
    let with_span_metrics = with_span_metrics().await;
    row("ingest_cpu_with_span_metrics", with_span_metrics, "ratio", Some("<= 1.15"));
    let (requests, sampled) = sample();
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push(run(&requests, sampled).await);
    }
    runs.sort_by(|a, b| (a.cpu / a.prost).total_cmp(&(b.cpu / b.prost)));
    let Run { cpu, prost, stored, peak_mib, per_second, ack_p99_ms } = runs.swap_remove(RUNS / 2);

    let zstd = zstd_per_span(&requests, sampled);
    let raw = requests.iter().map(|request| request.len()).sum::<usize>() as f64 / sampled as f64;
    row("ingest_cpu_to_prost_decode", cpu / prost, "ratio", Some("<= 2"));
    row("ingest_cpu_per_span", cpu * 1e6, "µs", None);
    row("prost_decode_per_span", prost * 1e6, "µs", None);
    row("ingest_spans_per_second", per_second, "1/s", None);
    row("ingest_ack_p99", ack_p99_ms, "ms", None);
    row("ingest_peak_memory", peak_mib, "MiB", Some("<= 1024"));
    row("stored_to_zstd3", stored / zstd, "ratio", Some("<= 0.5"));
    row("stored_per_span", stored, "B", None);
    row("zstd3_per_span", zstd, "B", None);
    row("otlp_per_span", raw, "B", None);
}
