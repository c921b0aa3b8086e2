//! For benchmarks: twenty million spans of the workload in fifty blocks, and a server's times over them.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use storage::engine::{Engine, EngineConfig, Write};
use storage::fs::{Disk, SystemClock};
use storage::model::{Signal, TenantId};
use workload::{Config, Signals, Workload};

use crate::server::Server;

const SPANS: u64 = 20_000_000;
const BLOCKS: u64 = 50;
/// Every so many requests, a trace id is kept for the lookups.
const KEEP_EVERY: usize = 40;

/// How many spans there are: fewer while a change is tried.
pub(crate) fn spans() -> u64 {
    std::env::var("SPANLIGHT_BENCH_SPANS").ok().map_or(SPANS, |spans| spans.parse().unwrap())
}

pub(crate) fn row(name: &str, value: f64, unit: &str, target: Option<&str>) {
    let target = target.map_or("null".into(), |target| format!("\"{target}\""));
    println!("bench-row: {{\"name\":\"{name}\",\"value\":{value:.3},\"unit\":\"{unit}\",\"target\":{target}}}");
}

/// What was put into a data directory: some trace ids, some values of `order.id`, the first and last time.
pub(crate) struct Filled {
    pub(crate) traces: Vec<String>,
    pub(crate) orders: Vec<String>,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

pub(crate) async fn fill(dir: &Path) -> Filled {
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
    let (mut stored, mut requests) = (0, 0);
    let mut filled = Filled { traces: Vec::new(), orders: Vec::new(), start, end: start };
    for block in 1..=BLOCKS {
        while stored < spans() * block / BLOCKS {
            let batch = shop.next_batch().unwrap();
            stored += batch.items;
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
pub(crate) fn forget(dir: &Path) {
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
pub(crate) async fn times(server: &Server, paths: impl Iterator<Item = String>) -> Vec<f64> {
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

pub(crate) fn quantile(sorted: &[f64], q: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * q).round() as usize]
}
