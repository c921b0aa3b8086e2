//! What do thinned blocks cost and save: bytes, time to make them, time of a question about a month?
//!
//! The store of this process fills a folder by a simulated clock, a day of scrapes every day, and merges them; then it thins all days but
//! the last two, at 5 minutes, then at an hour. A server then answers over HTTP: what is asked at whole hours is read from thinned blocks, the same
//! seven seconds later from all samples. `DOWNSAMPLING_HOSTS` (4 hosts of 49 series) and `DOWNSAMPLING_DAYS` (30) change the sizes.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on must stop")]
#![expect(clippy::print_stdout, reason = "rows go to stdout")]

#[expect(dead_code, reason = "storage's bench uses the rest of it")]
#[path = "../storage/benches/scrape/mod.rs"]
mod scrape;
#[expect(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/it/server.rs"]
mod server;

use bytes::Bytes;
use scrape::{Fleet, STEP, Shape};
use serde_json::Value;
use server::Server;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use storage::engine::{EngineConfig, Store, Write};
use storage::fs::{Disk, SimulatedClock};
use storage::inspect::{Depth, inspect};
use storage::model::{Signal, TenantId};
use storage::retention::DownsamplingLevel;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
const NANOS: i64 = 1_000_000_000;
const RUNS: usize = 11;
const QUERIES: [(&str, &str); 3] = [
    ("rate", "sum by (mode) (rate(node_cpu_seconds_total[1h]))"),
    (
        "histogram_quantile",
        "histogram_quantile(0.9, sum by (le) (rate(http_request_duration_seconds_bucket_total[1h])))",
    ),
    ("max_over_time", "max by (instance) (max_over_time(node_load1[1h]))"),
];

#[tokio::main]
async fn main() {
    let (hosts, days) = (setting("DOWNSAMPLING_HOSTS", 4), setting("DOWNSAMPLING_DAYS", 30));
    let folder = tempfile::tempdir().unwrap();
    let today = jiff::Timestamp::now().as_second() / DAY * DAY;
    let first = today - days * DAY;
    let samples = fill(folder.path(), hosts, days, first * NANOS);
    let raw = stored(folder.path());
    row("downsampling.raw_bytes", raw / samples, "B/sample", None);
    let now = (today + 2 * HOUR) * NANOS;
    let (mut levels, mut before) = (Vec::new(), raw);
    for (name, resolution_seconds) in [("5m", 300), ("1h", 3_600)] {
        levels.push(DownsamplingLevel { resolution_seconds, after_days: 1, keep_days: 900 });
        let (seconds, blocks) = thin(folder.path(), now, &levels);
        let after = stored(folder.path());
        // As if every day was thinned: the newest is not, yet.
        let all = samples * blocks / days as f64;
        row(&format!("downsampling.{name}_bytes"), (after - before) / all, "B/sample it stands for", None);
        row(
            &format!("downsampling.{name}_to_raw"),
            (after - before) / (raw * blocks / days as f64),
            "of raw bytes",
            None,
        );
        row(&format!("downsampling.{name}_thin_a_day"), seconds / blocks, "s", None);
        row(&format!("downsampling.{name}_thin"), all / seconds / 1e6, "M samples/s", None);
        before = after;
    }
    let settings = [("SPANLIGHT_QUERY_MEMORY_BYTES", "4000000000")];
    let server = Server::start_with(folder.path(), &[], &settings);
    for (name, query) in QUERIES {
        let thinned = ask(&server, query, first + HOUR, today - DAY).await;
        let whole = ask(&server, query, first + HOUR + 7, today - DAY).await;
        assert!(thinned.is_thinned && !whole.is_thinned, "{query}");
        row(&format!("downsampling.month_{name}_raw"), whole.milliseconds, "ms", None);
        row(&format!("downsampling.month_{name}_thinned"), thinned.milliseconds, "ms", None);
        let target = (name == "rate").then_some(">= 5");
        row(&format!("downsampling.month_{name}_gain"), whole.milliseconds / thinned.milliseconds, "x", target);
    }
}

fn open(folder: &Path, clock: &Arc<SimulatedClock>, levels: &[DownsamplingLevel]) -> Store {
    let mut config = EngineConfig::new(folder);
    config.flush_bytes = usize::MAX;
    config.memory_limit_bytes = usize::MAX;
    config.retention.downsampling = levels.to_vec();
    let decoder = |_: Signal, _: i64, _: &[u8]| Err("a bench replays nothing".to_owned());
    Store::open(config, Arc::new(Disk), clock.clone(), &decoder).unwrap()
}

/// Days of scrapes, merged; how many samples they are.
fn fill(folder: &Path, hosts: usize, days: i64, first: i64) -> f64 {
    let clock = Arc::new(SimulatedClock::at(first));
    let store = open(folder, &clock, &[]);
    let mut fleet = Fleet::new(hosts, Shape::Prometheus, first);
    let mut samples = 0;
    for _ in 0..2 * days {
        let sent = fleet.scrape(usize::try_from(DAY * NANOS / 2 / STEP).unwrap(), 0);
        for batch in sent.batches {
            samples += batch.num_rows();
            let (tenant, payload) = (TenantId::default(), Bytes::new());
            store
                .commit(&[Write { tenant, signal: Signal::Metrics, received_at: fleet.next, payload, batch }])
                .unwrap();
        }
        clock.advance(Duration::from_secs(12 * 3_600));
        store.seal().unwrap();
        while store.flush_is_due() {
            store.flush().unwrap();
        }
        while store.compact(&mut |_| Ok(())).unwrap() {}
    }
    samples as f64
}

/// Makes what is due at a moment; seconds, and how many blocks.
fn thin(folder: &Path, now: i64, levels: &[DownsamplingLevel]) -> (f64, f64) {
    let clock = Arc::new(SimulatedClock::at(now));
    let store = open(folder, &clock, levels);
    let began = Instant::now();
    while store.compact(&mut |_| Ok(())).unwrap() {}
    (began.elapsed().as_secs_f64(), store.metrics().thinned_blocks.load(Ordering::Relaxed) as f64)
}

fn stored(folder: &Path) -> f64 {
    let found = inspect(&(Arc::new(Disk) as _), folder, Depth::Metadata).unwrap();
    found.tables.iter().map(|table| table.bytes as f64).sum()
}

struct Asked {
    milliseconds: f64,
    is_thinned: bool,
}

/// Asks hour by hour, some times; the median.
async fn ask(server: &Server, query: &str, start: i64, end: i64) -> Asked {
    let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let path = format!("/prometheus/api/v1/query_range?query={query}&start={start}&end={end}&step={HOUR}");
    let mut times = Vec::new();
    let mut answer = Value::Null;
    for _ in 0..RUNS {
        let began = Instant::now();
        answer = server.json(&path).await;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let points = |series: &Value| series["values"].as_array().map_or(0, Vec::len);
    let points: usize = answer["data"]["result"].as_array().unwrap().iter().map(points).sum();
    println!("{points} points, infos {}, warnings {}", answer["infos"], answer["warnings"]);
    assert!(answer["warnings"].is_null() && points > 0);
    Asked { milliseconds: times[RUNS / 2], is_thinned: answer["infos"].to_string().contains("downsampled") }
}

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn row(name: &str, value: f64, unit: &str, target: Option<&str>) {
    let target = target.map_or("null".into(), |target| format!("\"{target}\""));
    println!("bench-row: {{\"name\":\"{name}\",\"value\":{value:.4},\"unit\":\"{unit}\",\"target\":{target}}}");
}
