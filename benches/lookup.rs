//! How fast is a trace found by its id, and the newest traces of a service, among ten million spans in fifty blocks?
//!
//! The blocks are made by the engine in this process; a server process then answers over HTTP, warm.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on must stop")]
#![expect(clippy::print_stdout, reason = "rows go to stdout")]

#[expect(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/it/server.rs"]
mod server;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use rand::{RngExt, SeedableRng};
use server::Server;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use storage::engine::{Engine, EngineConfig, Write};
use storage::fs::{Disk, SystemClock};
use storage::model::{Signal, TenantId};
use workload::{Config, Signals, Workload};

const SPANS: u64 = 10_000_000;
const BLOCKS: u64 = 50;
const LOOKUPS: usize = 2_000;
const SEARCHES: usize = 300;
/// Every so many requests, a trace id is kept for the lookups.
const KEEP_EVERY: usize = 40;

fn row(name: &str, value: f64, unit: &str, target: Option<&str>) {
    let target = target.map_or("null".into(), |target| format!("\"{target}\""));
    println!("bench-row: {{\"name\":\"{name}\",\"value\":{value:.3},\"unit\":\"{unit}\",\"target\":{target}}}");
}

/// Fills a data directory; gives some trace ids, and the first and last time.
async fn fill(dir: &Path) -> (Vec<String>, u64, u64) {
    let limits = collector::decode::DecodeLimits::default();
    let decoder = Box::new(collector::decode::wal_decoder(limits.clone()));
    let mut settings = EngineConfig::new(dir);
    settings.flush_bytes = usize::MAX;
    settings.memory_limit_bytes = usize::MAX;
    let engine = Engine::open(settings, Arc::new(Disk), Arc::new(SystemClock::default()), decoder).unwrap();
    let start = u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap() - 3_600_000_000_000;
    let config = Config {
        signals: Signals::Only(workload::Signal::Spans),
        start_unix_nano: start,
        requests_per_second: 300.0,
        ..Config::default()
    };
    let mut shop = Workload::new(config).unwrap();
    let (mut spans, mut requests, mut traces, mut end) = (0, 0, Vec::new(), start);
    for block in 1..=BLOCKS {
        while spans < SPANS * block / BLOCKS {
            let batch = shop.next_batch().unwrap();
            spans += batch.items;
            requests += 1;
            end = batch.due_unix_nano;
            if requests % KEEP_EVERY == 0 {
                traces.push(first_trace(&batch.bytes));
            }
            let received_at = i64::try_from(batch.due_unix_nano).unwrap();
            let decoded = collector::decode::decode(Signal::Spans, received_at, &batch.bytes, &limits).unwrap();
            let tenant = TenantId::default();
            let write =
                Write { tenant, signal: Signal::Spans, received_at, payload: batch.bytes, batch: decoded.batch };
            engine.append(write).await.unwrap();
        }
        engine.flush().await.unwrap();
    }
    engine.close().unwrap();
    (traces, start, end)
}

fn first_trace(request: &bytes::Bytes) -> String {
    let request = ExportTraceServiceRequest::decode(request.clone()).unwrap();
    let id = &request.resource_spans[0].scope_spans[0].spans[0].trace_id;
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Milliseconds of each request, sorted.
async fn times(server: &Server, paths: impl Iterator<Item = String>) -> Vec<f64> {
    let mut times = Vec::new();
    for path in paths {
        let started = Instant::now();
        let (status, body) = server.get(&path).await;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
    }
    times.sort_by(f64::total_cmp);
    times
}

fn quantile(sorted: &[f64], q: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * q).round() as usize]
}

#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir().unwrap();
    let (traces, start, end) = fill(dir.path()).await;
    let server = Server::start(dir.path());
    let mut rng = rand_pcg::Pcg64::seed_from_u64(1);
    let lookups: Vec<String> =
        (0..LOOKUPS).map(|_| format!("/api/v1/traces/{}", traces[rng.random_range(0..traces.len())])).collect();
    times(&server, lookups.iter().cloned()).await;
    let found = times(&server, lookups.iter().cloned()).await;
    row("trace_by_id_p50", quantile(&found, 0.5), "ms", None);
    row("trace_by_id_p99", quantile(&found, 0.99), "ms", Some("<= 10"));

    let services = ["gateway", "order", "payment", "inventory", "search", "notification"];
    let hour = (end - start) / 10;
    let searches: Vec<String> = (0..SEARCHES)
        .map(|_| {
            let service = services[rng.random_range(0..services.len())];
            let from = rng.random_range(start..end - hour);
            format!("/api/v1/traces?service={service}&start={from}&end={}&limit=20", from + hour)
        })
        .collect();
    times(&server, searches.iter().cloned()).await;
    let searched = times(&server, searches.iter().cloned()).await;
    row("search_newest_20_p50", quantile(&searched, 0.5), "ms", None);
    row("search_newest_20_p99", quantile(&searched, 0.99), "ms", Some("<= 100"));
}
