//! What does a metric sample cost: memory while its series is active, CPU until it lies in a block, bytes there, time to find it?
//!
//! Prints `bench-row: {json}` lines. Times are CPU times of this thread. The samples are those of the comparison with other
//! stores: 20 hosts of 49 series (counters with decimals, gauges, constants, a histogram of 12 buckets as 14 series), every 15 s
//! for 6 hours. `METRICS_HOSTS`, `METRICS_STEPS` and `METRICS_ACTIVE` (hosts of 49 active series with 40 samples each) change
//! that; `METRICS_PCO` sets `BlockConfig::pco_level`. `METRICS_JITTER_NANOS` moves each scrape by up to so much.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a bench that cannot go on must stop; rows go to stdout")]

mod scrape;

use bytes::Bytes;
use scrape::{Fleet, STEP, Sent, Shape};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use storage::block::BlockConfig;
use storage::engine::{EngineConfig, SeriesRequest, Snapshot, Store, Write};
use storage::fs::{Disk, SystemClock};
use storage::inspect::{Depth, inspect};
use storage::metric::{Label, Matcher, Relation};
use storage::model::schema::column as name;
use storage::model::{Batch, Signal, TenantId};
use storage::scan::{ScanRequest, TimeRange};

fn main() {
    let hosts = setting("METRICS_HOSTS", 20);
    let steps = setting("METRICS_STEPS", 1440);
    let sent = scraped(hosts, steps, Shape::Prometheus);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (store, samples) = ingest(folder.path(), &sent.batches, "metrics");
    let mut parts = inspect(&(Arc::new(Disk) as _), folder.path(), Depth::Metadata).expect("a data directory");
    let table = parts.tables.pop().expect("a table");
    row("metrics.bytes", table.bytes as f64 / samples, "B/sample", Some("<= 1.0"));
    tell_parts(&table.files, &table.columns, samples);
    look_up(&store.snapshot(&TenantId::default()), &sent);

    let histograms = scraped(hosts, steps, Shape::Histograms);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_store, samples) = ingest(folder.path(), &histograms.batches, "metrics.histograms");
    let mut parts = inspect(&(Arc::new(Disk) as _), folder.path(), Depth::Metadata).expect("a data directory");
    let table = parts.tables.pop().expect("a table");
    row("metrics.histograms.bytes", table.bytes as f64 / samples, "B/sample", None);
    tell_parts(&table.files, &table.columns, samples);

    active(setting("METRICS_ACTIVE", 400), 20);
    active(setting("METRICS_ACTIVE", 400), 40);
}

fn scraped(hosts: usize, steps: usize, shape: Shape) -> Sent {
    Fleet::new(hosts, shape, first()).scrape(steps, setting("METRICS_JITTER_NANOS", 0))
}

/// When the first scrape was.
fn first() -> i64 {
    1_795_300_000_000_000_000 / STEP * STEP
}

fn open(folder: &Path) -> Store {
    let mut config = EngineConfig::new(folder);
    config.flush_bytes = usize::MAX;
    config.memory_limit_bytes = usize::MAX;
    config.block = BlockConfig { pco_level: setting("METRICS_PCO", 8), ..BlockConfig::default() };
    let decoder = |_: Signal, _: i64, _: &[u8]| Err("a bench replays nothing".to_owned());
    Store::open(config, Arc::new(Disk), Arc::new(SystemClock::default()), &decoder).expect("a data directory")
}

fn commit(store: &Store, batch: &Batch) {
    let (tenant, payload) = (TenantId::default(), Bytes::new());
    let write = Write { tenant, signal: Signal::Metrics, received_at: 0, payload, batch: batch.clone() };
    store.commit(&[write]).expect("a disk with room");
}

/// Commit (with a payload of no bytes: decoding and the log's bytes are left out), then flush.
fn ingest(folder: &Path, batches: &[Batch], what: &str) -> (Store, f64) {
    let store = open(folder);
    let samples: usize = batches.iter().map(Batch::num_rows).sum();
    let samples = samples as f64;
    let before = cpu_nanos();
    // Many rows a group, as under load: what a group costs beside its rows is the log's.
    batches.iter().for_each(|batch| commit(&store, batch));
    let inserted = cpu_nanos();
    store.seal().expect("a new segment");
    store.flush().expect("a disk with room");
    let flushed = cpu_nanos();
    row(&format!("{what}.memtable_cpu"), (inserted - before) / samples, "ns/sample", None);
    row(&format!("{what}.flush_cpu"), (flushed - inserted) / samples, "ns/sample", None);
    let rate = samples / (flushed - before) * 1e9;
    row(&format!("{what}.ingest"), rate / 1e6, "M samples/s/core", (what == "metrics").then_some(">= 1.2"));
    (store, samples)
}

fn tell_parts(
    files: &std::collections::BTreeMap<String, u64>,
    columns: &std::collections::BTreeMap<String, (u64, u64)>,
    samples: f64,
) {
    for (file, bytes) in files {
        println!("{file:40} {:9.5} B/sample", *bytes as f64 / samples);
    }
    let mut columns: Vec<_> = columns.iter().collect();
    columns.sort_by_key(|(_, (stored, _))| std::cmp::Reverse(*stored));
    for (column, (stored, _)) in columns {
        println!("  {column:38} {:9.5} B/sample", *stored as f64 / samples);
    }
}

fn look_up(snapshot: &Snapshot, sent: &Sent) {
    let matcher = |label: Label, relation, value: &str| Matcher::new(label, relation, value).expect("a pattern");
    let point = |key: &str| Label::Point(key.into());
    let (first, last) = (sent.first, sent.last);
    let all = TimeRange::ALL;
    let last_hour = TimeRange { start: last - 3_600_000_000_000, end: i64::MAX };
    assert!(first < last);
    let one = || {
        vec![
            matcher(Label::Name, Relation::Equal, "node_load1"),
            matcher(point("instance"), Relation::Equal, "host-0007:9100"),
        ]
    };
    let cpu = || {
        vec![
            matcher(Label::Name, Relation::Equal, "node_cpu_seconds_total"),
            matcher(point("mode"), Relation::Matches, "us.*|idle"),
        ]
    };
    let measure = |what: &str, time: TimeRange, matchers: &dyn Fn() -> Vec<Matcher>| {
        let mut counts = (0, 0);
        let mut times: Vec<f64> = (0..21)
            .map(|_| {
                let request =
                    SeriesRequest { columns: vec![name::VALUE_DOUBLE], ..SeriesRequest::new(matchers(), time) };
                let before = cpu_nanos();
                counts = (0, 0);
                for found in snapshot.series(&request, |_| true, |_| true).expect("a request") {
                    let (_, samples) = black_box(found.expect("a sound block"));
                    counts = (counts.0 + 1, counts.1 + samples.len());
                }
                cpu_nanos() - before
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!("{what}: {} series, {} samples", counts.0, counts.1);
        row(what, times[times.len() / 2] / 1e6, "ms", None);
        counts.1 as f64 / times[times.len() / 2] * 1e3
    };
    measure("metrics.one_series_last_hour_cpu", last_hour, &one);
    measure("metrics.one_series_6h_cpu", all, &one);
    measure("metrics.pattern_80_series_last_hour_cpu", last_hour, &cpu);
    let rate = measure("metrics.all_series_6h_cpu", all, &Vec::new);
    row("metrics.read", rate, "M samples/s/core", None);

    let columns = [name::NAME, name::ATTRIBUTES, name::TIME, name::VALUE_DOUBLE];
    let before = cpu_nanos();
    let scan = snapshot.scan(Signal::Metrics, ScanRequest::all(columns)).expect("a request");
    let rows: usize = scan.map(|batch| batch.expect("a sound block").num_rows()).sum();
    row("metrics.scan_cpu", (cpu_nanos() - before) / rows as f64, "ns/sample", None);
}

/// What series in memory take.
fn active(hosts: usize, steps: usize) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = open(folder.path());
    let sent = Fleet::new(hosts, Shape::Prometheus, first()).scrape(steps, 0);
    let series = sent.series as f64;
    let batches = sent.batches;
    for batch in batches {
        commit(&store, &batch);
    }
    let counted = store.status(&TenantId::default()).signals.iter().map(|signal| signal.memtable_bytes).sum::<u64>();
    println!("{series} active series with {steps} samples each");
    row(&format!("metrics.active_series_{steps}_samples"), counted as f64 / series, "B/series", Some("<= 1024"));
}

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// CPU time of this thread.
fn cpu_nanos() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn row(name: &str, value: f64, unit: &str, target: Option<&str>) {
    let target = target.map_or("null".into(), |target| format!("{target:?}"));
    println!(r#"bench-row: {{"name":"{name}","value":{value:.3},"unit":"{unit}","target":{target}}}"#);
}
