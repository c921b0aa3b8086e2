//! What does a span cost in a block: CPU to write it, bytes to keep it, time to find it?
//!
//! Prints `bench-row: {json}` lines. Times are CPU times of this thread, so that a busy machine does not change them.
//! `BLOCK_SPANS` sets how many spans (default 250,000), `BLOCK_ROUNDS` how often they are written (3; the fastest counts),
//! `BLOCK_WRITE_ONLY` leaves out reading: for profiles. `BLOCK_ZSTD`, `BLOCK_PAGE_BYTES` and `BLOCK_GROUP_ROWS` set what
//! `BlockConfig` calls so.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a bench that cannot go on must stop; rows go to stdout")]

mod telemetry;

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use storage::block::{Block, BlockConfig, BlockMeta, write};
use storage::fs::{Disk, Filesystem};
use storage::model::schema::{self, column as name};
use storage::model::{Signal, TraceId};
use storage::scan::{Predicate, Scalar, ScanOrder, ScanRequest, Threshold};

fn main() {
    let sent = telemetry::spans(7, setting("BLOCK_SPANS", 250_000));
    let spans: usize = sent.batches.iter().map(|batch| batch.num_rows()).sum();
    let per_span = |total: f64| total / spans as f64;
    let raw: usize = sent.requests.iter().map(Vec::len).sum();
    let zstd: usize = sent.requests.iter().map(|request| zstd::bulk::compress(request, 3).expect("memory").len()).sum();
    row("block.otlp_bytes", per_span(raw as f64), "B/span", None);
    row("block.otlp_zstd3_bytes", per_span(zstd as f64), "B/span", None);

    let folder = tempfile::tempdir().expect("a temporary folder");
    let default = BlockConfig::default();
    let config = BlockConfig {
        zstd_level: setting("BLOCK_ZSTD", default.zstd_level),
        page_bytes: setting("BLOCK_PAGE_BYTES", default.page_bytes),
        row_group_rows: setting("BLOCK_GROUP_ROWS", default.row_group_rows),
        ..default
    };
    let disk = Disk;
    let mut best = f64::INFINITY;
    let mut last = None;
    for round in 0..setting("BLOCK_ROUNDS", 3) {
        let dir = folder.path().join(round.to_string());
        disk.create_dir_all(&dir).expect("a writable folder");
        let before = cpu_nanos();
        let meta = write(&disk, &dir, Signal::Spans, &sent.batches, &config).expect("a block");
        best = best.min(cpu_nanos() - before);
        last = Some((dir, meta));
    }
    let Some((dir, meta)) = last else { return };
    row("block.write_cpu", per_span(best), "ns/span", Some("<= 2500"));
    let bytes = per_span(meta.bytes() as f64);
    row("block.bytes", bytes, "B/span", Some("<= 36"));
    row("block.bytes_to_zstd3", meta.bytes() as f64 / zstd as f64, "ratio", Some("<= 0.6"));
    tell_columns(&meta, spans);
    if std::env::var_os("BLOCK_WRITE_ONLY").is_none() {
        read(&dir, &meta, &sent);
    }
}

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn tell_columns(meta: &BlockMeta, spans: usize) {
    let mut columns: Vec<_> = meta.columns.iter().collect();
    columns.sort_by_key(|column| std::cmp::Reverse(column.compressed));
    for column in columns {
        let per_span = |bytes: u64| bytes as f64 / spans as f64;
        println!("{:40} {:7.3} B/span of {:7.3}", column.name, per_span(column.compressed), per_span(column.raw));
    }
    let data: u64 = meta.columns.iter().map(|column| column.compressed).sum();
    for file in &meta.files {
        println!("{:40} {:7.3} B/span", file.name, file.len as f64 / spans as f64);
    }
    println!("{:40} {:7.3} B/span", "footer", (meta.files[0].len - data) as f64 / spans as f64);
    println!(
        "{:40} {:7.3} B/span",
        "meta",
        (meta.bytes() - meta.files.iter().map(|f| f.len).sum::<u64>()) as f64 / spans as f64
    );
}

fn read(dir: &Path, meta: &BlockMeta, sent: &telemetry::Sent) {
    let open = || Block::open(Arc::new(Disk), dir, Signal::Spans, meta.crc()).expect("a sound block");
    let before = cpu_nanos();
    let block = open();
    row("block.open_cpu", (cpu_nanos() - before) / 1e6, "ms", None);
    row("block.memory", block.memory_bytes() as f64 / meta.rows as f64, "B/span", None);

    let all: Vec<&'static str> = schema::of(Signal::Spans).fields().iter().map(|field| field.name().as_str()).collect();
    let ids: Vec<TraceId> = sent.batches.iter().step_by(3).filter_map(first_trace).collect();
    let mut times: Vec<f64> = ids
        .iter()
        .map(|id| {
            let before = cpu_nanos();
            let spans: usize = block.trace(id, &all).expect("a sound block").iter().map(|batch| batch.num_rows()).sum();
            assert!(spans > 0);
            cpu_nanos() - before
        })
        .collect();
    times.sort_by(f64::total_cmp);
    row("block.trace_p50_cpu", times[times.len() / 2] / 1e6, "ms", None);
    row("block.trace_p99_cpu", times[times.len() * 99 / 100] / 1e6, "ms", Some("<= 3"));

    let columns =
        [name::TRACE_ID, name::SPAN_ID, name::NAME, name::SERVICE_NAME, name::START, name::DURATION, name::STATUS_CODE];
    let mut times: Vec<f64> = (0..50)
        .map(|_| {
            let before = cpu_nanos();
            black_box(newest(&block, &columns, 20));
            cpu_nanos() - before
        })
        .collect();
    times.sort_by(f64::total_cmp);
    row("block.newest_20_of_service_cpu", times[times.len() / 2] / 1e6, "ms", Some("<= 20"));

    let before = cpu_nanos();
    let request = Arc::new(ScanRequest::all(all));
    let rows: usize =
        block.scan(&request).expect("a request").map(|batch| batch.expect("a sound block").num_rows()).sum();
    row("block.scan_all_cpu", (cpu_nanos() - before) / rows as f64, "ns/span", None);
    let before = cpu_nanos();
    let predicate = Predicate::equal(name::NAME, Scalar::String("no such name".into()));
    let request = Arc::new(ScanRequest { predicate, ..ScanRequest::all(columns) });
    assert_eq!(block.scan(&request).expect("a request").count(), 0);
    row("block.scan_name_cpu", (cpu_nanos() - before) / rows as f64, "ns/span", None);
    let before = cpu_nanos();
    let request = Arc::new(ScanRequest::all(schema::NESTED_SET));
    assert_eq!(
        block.scan(&request).expect("a request").map(|batch| batch.map_or(0, |batch| batch.num_rows())).sum::<usize>(),
        rows
    );
    row("block.scan_numbers_cpu", (cpu_nanos() - before) / rows as f64, "ns/span", None);
}

fn first_trace(batch: &storage::model::Batch) -> Option<TraceId> {
    use arrow_array::cast::AsArray;
    let ids = batch.columns().column_by_name(name::TRACE_ID)?.as_fixed_size_binary();
    TraceId::from_slice(ids.value(0))
}

/// As a search does: reads until no later row can come.
fn newest(block: &Arc<Block>, columns: &[&'static str], wanted: usize) -> usize {
    use arrow_array::cast::AsArray;
    use arrow_array::types::TimestampNanosecondType;
    let threshold = Threshold::at_least(name::START);
    let request = Arc::new(ScanRequest {
        predicate: Predicate::equal(name::SERVICE_NAME, Scalar::String("inventory".into())),
        order: ScanOrder::Newest,
        threshold: Some(threshold.clone()),
        ..ScanRequest::all(columns.to_vec())
    });
    let mut found: Vec<i64> = Vec::new();
    for batch in block.scan(&request).expect("a request") {
        let batch = batch.expect("a sound block");
        let starts = batch.column_by_name(name::START).expect("asked for").as_primitive::<TimestampNanosecondType>();
        found.extend(starts.values());
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.truncate(wanted);
        if found.len() == wanted {
            threshold.set(found[wanted - 1]);
        }
    }
    found.len()
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
