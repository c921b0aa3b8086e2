//! How do metrics stand beside Debian's Prometheus 2.42 and VictoriaMetrics 1.79.5: ingest, room, memory, queries?
//!
//! Each is a process of its own on the first core, this driver on another. All get the same requests of remote write, one store after the
//! other, and are asked in turns, since machines change from minute to minute: a ratio of their times says more than a time.
//! Answers are compared before they are timed; known differences are named where they are found. The two are the releases that Debian
//! has, of 2022 and 2023: of their current ones these ratios say nothing. Where a package cannot be had, its figures are left out.
//!
//! `PROMQL_HOSTS` (20 hosts of 49 series), `PROMQL_STEPS` (1,440 scrapes), `PROMQL_NEW_HOSTS` (2,000, with 40 scrapes each) and
//! `PROMQL_MANY_HOSTS` (20,409: a million series) change the sizes; `PROMQL_ONLY` names one store.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on must stop")]
#![expect(clippy::print_stdout, reason = "rows go to stdout")]

#[expect(dead_code, reason = "the tests use the rest of it")]
#[path = "../../tests/it/prometheus/message.rs"]
mod message;
mod scrape;
mod store;

use scrape::{STEP, Sent, scrapes};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use store::{Kind, Store};

/// Steps of a range query, one a minute.
const POINTS: i64 = 341;
const RUNS: usize = 31;
/// By how much, relative to each other, numbers may differ.
const TOLERANCE: f64 = 1e-6;

/// What is smaller is as good as 0.
const LEAST: f64 = 1e-6;

/// Name, expression, and how many milliseconds it may take.
const QUERIES: [(&str, &str, Option<&str>); 6] = [
    ("sum_by_rate", "sum by (mode) (rate(node_cpu_seconds_total[5m]))", Some("<= 8")),
    (
        "histogram_quantile",
        "histogram_quantile(0.9, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))",
        Some("<= 5"),
    ),
    ("quantile_over_time", "quantile_over_time(0.9, node_load1[30m])", None),
    ("count_by", "count by (mode) (node_cpu_seconds_total)", None),
    ("avg_over_time", "avg_over_time(node_load1[5m])", None),
    ("topk", "topk(4, node_memory_MemAvailable_bytes)", None),
];

/// Points of series by their labels, the name left out: VictoriaMetrics keeps it where others drop it.
type Answer = BTreeMap<String, BTreeMap<i64, f64>>;

fn main() {
    pin_driver();
    let only = std::env::var("PROMQL_ONLY").unwrap_or_default();
    let kinds = [Kind::Spanlight, Kind::Prometheus, Kind::VictoriaMetrics];
    let wanted = kinds.into_iter().filter(|kind| only.is_empty() || only == kind.name());
    let stores: Vec<(Kind, PathBuf)> = wanted.filter_map(|kind| Some((kind, kind.binary()?))).collect();

    let steps = setting("PROMQL_STEPS", 1440);
    // A scrape is never on a whole minute: windows of 2.42 have both their ends, those of today only the later one.
    let end = jiff::Timestamp::now().as_millisecond() / 60_000 * 60_000 - 120_000;
    let first = end + 7_000 - i64::try_from(steps).unwrap() * STEP;
    let sent = scrapes(setting("PROMQL_HOSTS", 20), steps, first);
    told(&sent);
    let mut filled: Vec<Store> = stores.iter().map(|(kind, binary)| few_series(*kind, binary, &sent)).collect();
    let paths = QUERIES.map(|(_, query, _)| range_query(query, end));
    let mut answers: Vec<(Kind, Vec<Answer>)> = Vec::new();
    for store in &mut filled {
        answers.push((store.kind, paths.iter().map(|path| answer(&store.ask(path).0)).collect()));
    }
    if let Some(((Kind::Spanlight, ours), others)) = answers.split_first() {
        others.iter().for_each(|(kind, theirs)| compare(*kind, ours, theirs));
    }
    for ((name, _, target), path) in QUERIES.iter().zip(&paths) {
        timed(&mut filled, name, path, *target);
    }
    drop(filled);

    let sent = scrapes(setting("PROMQL_NEW_HOSTS", 2_000), 40, end + 7_000 - 40 * STEP);
    told(&sent);
    for (kind, binary) in &stores {
        many_new_series(*kind, binary, &sent);
    }
    if let Some((Kind::Spanlight, binary)) = stores.first() {
        let sent = scrapes(setting("PROMQL_MANY_HOSTS", 20_409), 1, end - STEP);
        told(&sent);
        many_active_series(binary, &sent, end);
    }
}

fn told(sent: &Sent) {
    let per_sample = sent.bytes() as f64 / sent.samples as f64;
    println!("{} series, {} samples, {per_sample:.1} bytes of remote write for each", sent.series, sent.samples);
}

/// Keeps this process from the stores' core.
fn pin_driver() {
    let mut cores = rustix::thread::CpuSet::new();
    (1..std::thread::available_parallelism().map_or(1, usize::from)).for_each(|core| cores.set(core));
    if cores.count() > 0 {
        rustix::thread::sched_setaffinity(None, &cores).unwrap();
    }
}

/// Ingest and room of few series.
fn few_series(kind: Kind, binary: &Path, sent: &Sent) -> Store {
    let mut store = Store::start(kind, binary, &[("SPANLIGHT_STORAGE_FLUSH_AGE_SECONDS", "5")]);
    let target = (kind == Kind::Spanlight).then_some(">= 1.5");
    ingest(&mut store, sent, "ingest_few_series", target);
    let target = (kind == Kind::Spanlight).then_some("<= 1.0");
    let stored = store.stored() / sent.samples as f64;
    row(kind, "bytes_per_sample", stored, "B/sample", target);
    store
}

fn range_query(query: &str, end: i64) -> String {
    let start = (end - POINTS * 60_000) / 60_000 * 60;
    let end = start + (POINTS - 1) * 60;
    format!("query_range?query={}&start={start}&end={end}&step=60", encoded(query))
}

fn ingest(store: &mut Store, sent: &Sent, name: &str, target: Option<&str>) {
    let before = store.cpu_seconds();
    store.fill(&sent.requests, sent.samples);
    let rate = sent.samples as f64 / (store.cpu_seconds() - before).max(0.01);
    row(store.kind, name, rate / 1e6, "M samples/s/core", target);
    if store.kind == Kind::Spanlight {
        store::wait("all is in blocks", || (store.counted("spanlight_memtable_bytes") == 0.0).then_some(()));
        let rate = sent.samples as f64 / (store.cpu_seconds() - before).max(0.01);
        row(store.kind, &format!("{name}_into_blocks"), rate / 1e6, "M samples/s/core", None);
    }
}

/// Asks each store some times, in turns: the median time, the CPU time of the store for one, and the ratio of ours to theirs.
fn timed(stores: &mut [Store], name: &str, path: &str, target: Option<&str>) {
    let before: Vec<f64> = stores.iter().map(Store::cpu_seconds).collect();
    let mut times = vec![Vec::new(); stores.len()];
    for _ in 0..RUNS {
        for (store, times) in stores.iter_mut().zip(&mut times) {
            times.push(store.ask(path).1.as_secs_f64() * 1e3);
        }
    }
    let mut ours = None;
    for ((store, times), before) in stores.iter().zip(&mut times).zip(before) {
        let cpu = (store.cpu_seconds() - before) * 1e3 / RUNS as f64;
        times.sort_by(f64::total_cmp);
        let median = times[RUNS / 2];
        row(store.kind, name, median, "ms", target.filter(|_| store.kind == Kind::Spanlight));
        println!("  {name} of {}: {cpu:.1} ms of CPU, the fastest within {:.1} ms", store.kind.name(), times[0]);
        match ours {
            None => ours = Some(median).filter(|_| store.kind == Kind::Spanlight),
            Some(ours) => row(store.kind, &format!("{name}_ours_to"), ours / median, "x", None),
        }
    }
}

/// Ingest and memory of many series that nobody knew before.
fn many_new_series(kind: Kind, binary: &Path, sent: &Sent) {
    let mut store = Store::start(kind, binary, &[]);
    let idle = store.memory("VmRSS");
    let before = store.cpu_seconds();
    store.fill(&sent.requests, sent.samples);
    let rate = sent.samples as f64 / (store.cpu_seconds() - before).max(0.01);
    let is_ours = kind == Kind::Spanlight;
    row(kind, "ingest_new_series", rate / 1e6, "M samples/s/core", is_ours.then_some(">= 0.8"));
    let each = (store.memory("VmRSS") - idle) / sent.series as f64;
    row(kind, "memory_per_active_series", each, "B/series", is_ours.then_some("<= 1024"));
    let peak = (store.memory("VmHWM") - idle) / sent.series as f64;
    row(kind, "peak_memory_per_active_series", peak, "B/series", None);
}

/// What of a million active series is found, and how soon.
fn many_active_series(binary: &Path, sent: &Sent, end: i64) {
    let mut store = Store::start(Kind::Spanlight, binary, &[("SPANLIGHT_OTLP_TENANT_ACTIVE_SERIES", "2000000")]);
    store.fill(&sent.requests, sent.samples);
    let (start, end) = (end / 1_000 - 300, end / 1_000);
    let range = format!("start={start}&end={end}");
    for (name, path) in [
        ("million_label_values", format!("label/instance/values?{range}")),
        ("million_label_values_of_few", format!("label/mode/values?{range}")),
        ("million_series", format!("series?match[]={}&{range}", encoded("{instance=\"host-00777:9100\"}"))),
        (
            "million_regex_matcher",
            format!("query?query={}&time={end}", encoded("count(node_load1{instance=~\"host-00[1-3].*\"})")),
        ),
    ] {
        let (body, _) = store.ask(&path);
        println!("  {name}: {} bytes", body.len());
        timed(std::slice::from_mut(&mut store), name, &path, Some("<= 50"));
    }
    row(Kind::Spanlight, "million_memory", store.memory("VmRSS") / (1 << 20) as f64, "MiB", None);
}

fn answer(body: &[u8]) -> Answer {
    let body: Value = serde_json::from_slice(body).unwrap();
    let series = body["data"]["result"].as_array().unwrap().iter().map(|series| {
        let mut labels = series["metric"].as_object().unwrap().clone();
        labels.remove("__name__");
        let points = series["values"].as_array().unwrap().iter().map(|pair| {
            let seconds = pair[0].as_f64().unwrap() as i64;
            (seconds, pair[1].as_str().unwrap().parse().unwrap())
        });
        (Value::Object(labels).to_string(), points.collect())
    });
    series.collect()
}

/// Says of how many points two stores say the same.
fn compare(kind: Kind, ours: &[Answer], theirs: &[Answer]) {
    for ((name, query, _), (ours, theirs)) in QUERIES.iter().zip(ours.iter().zip(theirs)) {
        let (mut same, mut points, mut worst) = (0, 0, 0f64);
        for (labels, own) in ours {
            for (time, value) in own {
                points += 1;
                let Some(other) = theirs.get(labels).and_then(|other| other.get(time)) else { continue };
                let difference = (value - other).abs() / value.abs().max(other.abs()).max(LEAST);
                worst = worst.max(difference);
                same += usize::from(difference <= TOLERANCE || value.is_nan() && other.is_nan());
            }
        }
        let others = theirs.values().map(BTreeMap::len).sum::<usize>();
        println!(
            "{}: {query}: {same} of {points} points are equal, it has {others}, by {worst:.1e} at most",
            kind.name()
        );
        let share = same as f64 / (points.max(others).max(1)) as f64;
        row(kind, &format!("{name}_equal"), share, "of points", (kind == Kind::Prometheus).then_some(">= 1"));
    }
    if kind == Kind::VictoriaMetrics {
        println!(
            "victoria_metrics: known: its rate() takes in the sample before the window and guesses nothing at the ends"
        );
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn row(kind: Kind, name: &str, value: f64, unit: &str, target: Option<&str>) {
    let name = match kind {
        Kind::Spanlight => format!("promql.{name}"),
        other => format!("promql.{name}.{}", other.name()),
    };
    let target = target.map_or("null".into(), |target| format!("\"{target}\""));
    println!("bench-row: {{\"name\":\"{name}\",\"value\":{value:.3},\"unit\":\"{unit}\",\"target\":{target}}}");
}
