//! What does a day of telemetry leave in memory, how often is a row written until it rests, and how many blocks does a reader
//! ask? Over settings of compaction, too.
//!
//! The store runs on a real disk and a clock that goes as fast as the machine can: a group of writes every ten seconds of
//! that clock, all three signals, with flushes, merges and retention as the engine's threads do them.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on must stop")]
#![expect(clippy::print_stdout, reason = "rows go to stdout")]

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use storage::engine::{EngineConfig, Store, Write};
use storage::fs::{Disk, SimulatedClock};
use storage::model::{Signal, TenantId, TraceId, schema};
use storage::scan::{Predicate, ScanRequest};
use workload::{Config, Shape, Signals, Workload};

/// The server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SECOND: u64 = 1_000_000_000;
const BEGIN: u64 = 1_795_392_000 * SECOND;
/// How often writes come, and how often the store is maintained.
const STEP: u64 = 10 * SECOND;
const HOUR_STEPS: u64 = 3_600 * SECOND / STEP;
const LOOKUPS: usize = 300;

fn row(name: &str, value: f64, unit: &str, target: Option<&str>) {
    let target = target.map_or("null".into(), |target| format!("\"{target}\""));
    println!("bench-row: {{\"name\":\"{name}\",\"value\":{value:.3},\"unit\":\"{unit}\",\"target\":{target}}}");
}

fn main() {
    // Retention has much to do from the eighth hour on or so.
    let day = Day::play(24, &|config| config.retention.signal_bytes = 16 << 20);
    let mean = |quarter: usize| day.peaks[quarter * 6..][..6].iter().sum::<f64>() / 6.0;
    (0..4).for_each(|quarter| row(&format!("day.memory_quarter_{}", quarter + 1), mean(quarter), "MiB", None));
    row("day.memory_last_to_second_quarter", mean(3) / mean(1), "ratio", Some("<= 1.1"));
    row("day.peak_memory", day.peaks.iter().copied().fold(0.0, f64::max), "MiB", Some("<= 1024"));
    row("day.rows", day.rows, "", None);
    row("day.retained_away", day.retained_away, "blocks", None);
    row("day.written_to_flushed", day.written_to_flushed, "ratio", None);
    row("day.blocks", day.blocks, "", None);
    for fan_in in [4, 8, 16] {
        let day = Day::play(4, &|config| config.compaction.fan_in = fan_in);
        row(&format!("day.fan_in_{fan_in}.written_to_flushed"), day.written_to_flushed, "ratio", None);
        row(&format!("day.fan_in_{fan_in}.blocks"), day.blocks, "", None);
        row(&format!("day.fan_in_{fan_in}.trace"), day.trace_ms, "ms", None);
        row(&format!("day.fan_in_{fan_in}.bytes"), day.bytes_per_row, "B/row", None);
    }
}

/// What was seen of some hours.
struct Day {
    /// The highest resident memory of each hour, MiB.
    peaks: Vec<f64>,
    rows: f64,
    retained_away: f64,
    written_to_flushed: f64,
    /// On average over the time.
    blocks: f64,
    /// One trace of the last hour by its id.
    trace_ms: f64,
    bytes_per_row: f64,
}

impl Day {
    fn play(hours: u64, set: &dyn Fn(&mut EngineConfig)) -> Day {
        let dir = tempfile::tempdir().unwrap();
        let clock = SimulatedClock::at(i64::try_from(BEGIN).unwrap());
        let store = open(dir.path(), &clock, set);
        let mut shop = Shop::new();
        let (mut peaks, mut blocks) = (Vec::new(), 0);
        for _ in 0..hours {
            // From here on the kernel keeps the highest value anew.
            std::fs::write("/proc/self/clear_refs", "5").unwrap();
            for _ in 0..HOUR_STEPS {
                clock.advance(Duration::from_nanos(STEP));
                let writes = shop.writes();
                store.commit(&writes).unwrap();
                if store.seal_is_due() {
                    store.seal().unwrap();
                }
                while store.flush_is_due() {
                    store.flush().unwrap();
                }
                maintain(&store);
            }
            peaks.push(peak_mib());
            blocks += block_count(&store);
        }
        let metrics = store.metrics();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        let flushed = count(&metrics.flush_bytes);
        let status = store.status(&TenantId::default());
        let bytes: u64 = status.signals.iter().map(|table| table.block_bytes).sum();
        let rows: u64 = status.signals.iter().map(|table| table.block_rows).sum();
        Day {
            peaks,
            rows: count(&metrics.rows_visible),
            retained_away: count(&metrics.retention_blocks),
            written_to_flushed: (flushed + count(&metrics.compaction_bytes)) / flushed,
            blocks: blocks as f64 / hours as f64,
            trace_ms: look_up(&store, &shop.traces),
            bytes_per_row: bytes as f64 / rows as f64,
        }
    }
}

fn open(dir: &Path, clock: &SimulatedClock, set: &dyn Fn(&mut EngineConfig)) -> Store {
    let mut config = EngineConfig::new(dir);
    set(&mut config);
    let decoder = collector::decode::wal_decoder(collector::decode::DecodeLimits::default());
    Store::open(config, Arc::new(Disk), Arc::new(clock.clone()), &decoder).unwrap()
}

fn maintain(store: &Store) {
    store.collect();
    store.examine().unwrap();
    store.retain().unwrap();
    store.record().unwrap();
    while store.compact(&mut |_| Ok(())).unwrap() {
        store.collect();
    }
}

fn block_count(store: &Store) -> u64 {
    store.status(&TenantId::default()).signals.iter().map(|table| table.blocks).sum()
}

/// The workload, by steps of time.
struct Shop {
    workload: Workload,
    next: workload::Batch,
    until: u64,
    traces: Vec<TraceId>,
}

impl Shop {
    fn new() -> Shop {
        let config = Config {
            signals: Signals::All,
            start_unix_nano: BEGIN,
            requests_per_second: 2.0,
            shape: Shape::Collector(64),
            metric_interval_nanos: 30 * SECOND,
            ..Config::default()
        };
        let mut workload = Workload::new(config).unwrap();
        let next = workload.next_batch().unwrap();
        Shop { workload, next, until: BEGIN, traces: Vec::new() }
    }

    /// What is sent within the next step.
    fn writes(&mut self) -> Vec<Write> {
        self.until += STEP;
        let limits = collector::decode::DecodeLimits::default();
        let mut writes = Vec::new();
        while self.next.due_unix_nano < self.until {
            let batch = std::mem::replace(&mut self.next, self.workload.next_batch().unwrap());
            let signal = match batch.signal {
                workload::Signal::Spans => Signal::Spans,
                workload::Signal::Logs => Signal::Logs,
                workload::Signal::Metrics => Signal::Metrics,
            };
            if signal == Signal::Spans {
                self.traces.push(first_trace(&batch.bytes));
            }
            let received_at = i64::try_from(batch.due_unix_nano).unwrap();
            let decoded = collector::decode::decode(signal, received_at, &batch.bytes, &limits).unwrap();
            let tenant = TenantId::default();
            writes.push(Write { tenant, signal, received_at, payload: batch.bytes, batch: decoded.batch });
        }
        writes
    }
}

fn first_trace(request: &bytes::Bytes) -> TraceId {
    let request = ExportTraceServiceRequest::decode(request.clone()).unwrap();
    TraceId::from_slice(&request.resource_spans[0].scope_spans[0].spans[0].trace_id).unwrap()
}

/// Milliseconds to find one trace, whole, among all blocks.
fn look_up(store: &Store, traces: &[TraceId]) -> f64 {
    let chosen: Vec<&TraceId> = traces.iter().rev().take(LOOKUPS).collect();
    let columns: Vec<&str> = schema::of(Signal::Spans).fields().iter().map(|field| field.name().as_str()).collect();
    let find = |trace: &TraceId| {
        let mut request = ScanRequest::all(columns.iter().copied());
        request.predicate = Predicate::Trace(*trace);
        let scan = store.snapshot(&TenantId::default()).scan(Signal::Spans, request).unwrap();
        assert!(scan.map(|batch| batch.unwrap().num_rows()).sum::<usize>() > 0);
    };
    chosen.iter().for_each(|trace| find(trace));
    let started = Instant::now();
    chosen.iter().for_each(|trace| find(trace));
    started.elapsed().as_secs_f64() * 1e3 / chosen.len() as f64
}

fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
