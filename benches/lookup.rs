//! How fast is a trace found by its id, by the value of an attribute that few have, and the newest of a service, among twenty
//! million spans in fifty blocks?
//!
//! The blocks are made by the engine in this process, and not merged; a server process then answers over HTTP: first with
//! nothing of them in the kernel's cache, then warm.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on must stop")]
#![expect(clippy::print_stdout, reason = "rows go to stdout")]

#[expect(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/it/server.rs"]
mod server;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
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

const SPANS: u64 = 20_000_000;
const BLOCKS: u64 = 50;
const LOOKUPS: usize = 2_000;
const FIRST_LOOKUPS: usize = 300;
const SEARCHES: usize = 300;
/// Every so many requests, a trace id is kept for the lookups.
const KEEP_EVERY: usize = 40;

fn row(name: &str, value: f64, unit: &str, target: Option<&str>) {
    let target = target.map_or("null".into(), |target| format!("\"{target}\""));
    println!("bench-row: {{\"name\":\"{name}\",\"value\":{value:.3},\"unit\":\"{unit}\",\"target\":{target}}}");
}

/// What was put into a data directory: some trace ids, some values of `order.id`, the first and last time.
struct Filled {
    traces: Vec<String>,
    orders: Vec<String>,
    start: u64,
    end: u64,
}

async fn fill(dir: &Path) -> Filled {
    let limits = collector::decode::DecodeLimits::default();
    let decoder = Box::new(collector::decode::wal_decoder(limits.clone()));
    let mut settings = EngineConfig::new(dir);
    settings.flush_bytes = usize::MAX;
    settings.memory_limit_bytes = usize::MAX;
    settings.compaction.fan_in = 1_000;
    let engine = Engine::open(settings, Arc::new(Disk), Arc::new(SystemClock::default()), decoder).unwrap();
    let start = u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap() - 3_600_000_000_000;
    let config = Config {
        signals: Signals::Only(workload::Signal::Spans),
        start_unix_nano: start,
        requests_per_second: 300.0,
        ..Config::default()
    };
    let mut shop = Workload::new(config).unwrap();
    let (mut spans, mut requests) = (0, 0);
    let mut filled = Filled { traces: Vec::new(), orders: Vec::new(), start, end: start };
    for block in 1..=BLOCKS {
        while spans < SPANS * block / BLOCKS {
            let batch = shop.next_batch().unwrap();
            spans += batch.items;
            requests += 1;
            filled.end = batch.due_unix_nano;
            if requests % KEEP_EVERY == 0 {
                filled.note(&batch.bytes);
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
    filled
}

impl Filled {
    /// Keeps the first trace of a request, and its first order.
    fn note(&mut self, request: &bytes::Bytes) {
        let request = ExportTraceServiceRequest::decode(request.clone()).unwrap();
        let id = &request.resource_spans[0].scope_spans[0].spans[0].trace_id;
        self.traces.push(id.iter().map(|byte| format!("{byte:02x}")).collect());
        let spans =
            request.resource_spans.iter().flat_map(|resource| &resource.scope_spans).flat_map(|scope| &scope.spans);
        let order = spans.flat_map(|span| &span.attributes).find(|attribute| attribute.key == "order.id");
        if let Some(Value::StringValue(order)) = order.and_then(|order| order.value.as_ref()?.value.as_ref()) {
            self.orders.push(order.clone());
        }
    }
}

/// Makes the kernel forget what it read of the files.
fn forget(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            forget(&path);
        } else {
            let file = std::fs::File::open(&path).unwrap();
            file.sync_all().unwrap();
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        }
    }
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
    let Filled { traces, orders, start, end } = fill(dir.path()).await;
    forget(dir.path());
    let server = Server::start_with(dir.path(), &[], &[("SPANLIGHT_STORAGE_MERGE_BYTES_PER_SECOND", "1")]);
    let status = server.json("/api/v1/status").await;
    let stored = status["signals"].as_array().unwrap().iter().find(|signal| signal["signal"] == "spans").unwrap();
    row("lookup_blocks", stored["blocks"].as_f64().unwrap(), "", Some(">= 50"));
    let mut rng = rand_pcg::Pcg64::seed_from_u64(1);
    let lookups: Vec<String> =
        (0..LOOKUPS).map(|_| format!("/api/v1/traces/{}", traces[rng.random_range(0..traces.len())])).collect();
    let first = times(&server, lookups[..FIRST_LOOKUPS].iter().cloned()).await;
    row("trace_by_id_first_touch_p50", quantile(&first, 0.5), "ms", None);
    row("trace_by_id_first_touch_p99", quantile(&first, 0.99), "ms", Some("<= 50"));
    times(&server, lookups.iter().cloned()).await;
    let found = times(&server, lookups.iter().cloned()).await;
    row("trace_by_id_p50", quantile(&found, 0.5), "ms", None);
    row("trace_by_id_p99", quantile(&found, 0.99), "ms", Some("<= 5"));

    let rare: Vec<String> = (0..SEARCHES)
        .map(|_| {
            let order = &orders[rng.random_range(0..orders.len())];
            format!("/api/v1/traces?attr=order.id={order}&start={start}&end={end}&limit=20")
        })
        .collect();
    times(&server, rare.iter().cloned()).await;
    let found = times(&server, rare.iter().cloned()).await;
    row("rare_attribute_p50", quantile(&found, 0.5), "ms", None);
    row("rare_attribute_p99", quantile(&found, 0.99), "ms", Some("<= 30"));

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
