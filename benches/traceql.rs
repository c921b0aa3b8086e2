//! What do TraceQL queries cost over twenty million spans, in fifty blocks and in merged ones?
//!
//! The blocks are made by the engine in this process; a server process answers over HTTP. What is asked over all spans is told by the
//! CPU time of the server, so that it is that of one core; a search by the time until its answer.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on must stop")]
#![expect(clippy::print_stdout, reason = "rows go to stdout")]

#[expect(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/it/server.rs"]
mod server;

#[path = "filled/mod.rs"]
mod filled;

use filled::{Filled, fill, forget, quantile, row, spans, times};
use rand::{RngExt, SeedableRng};
use server::Server;
use std::path::Path;
use std::sync::Arc;
use storage::engine::{EngineConfig, Store};
use storage::fs::{Disk, SystemClock};

const SEARCHES: usize = 200;
/// CPU time is counted in hundredths of a second: a question is asked until it took some.
const ASKED: usize = 5;
/// Questions over all spans: what a row is called, the query, millions of spans per second and core that are wanted.
const OVER_ALL: [(&str, &str, Option<&str>); 5] = [
    (
        "descendants",
        r#"{ resource.service.name = "gateway" } >> { resource.service.name = "order" } | rate()"#,
        Some(">= 20"),
    ),
    ("failed_children", r#"{ kind = client } > { status = error } | rate() by (resource.service.name)"#, Some(">= 20")),
    ("none", r#"{ resource.service.name = "payment" } >> { resource.service.name = "gateway" }"#, Some(">= 20")),
    ("siblings", r#"{ kind = client } ~ { kind = internal } | count_over_time()"#, None),
    ("without", r#"{ resource.service.name = "gateway" } !>> { kind = server } | rate()"#, None),
];
const RATE: &str = "{ } | rate() by (resource.service.name)";

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// CPU seconds of a process, all its threads, user and system.
fn cpu_seconds(pid: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks as f64 / 100.0
}

fn path(query: &str, start: u64, end: u64) -> String {
    let kind = if query.contains('|') { "metrics/query_range" } else { "search" };
    let (start, end) = (start / 1_000_000_000, end / 1_000_000_000 + 1);
    format!("/tempo/api/{kind}?q={}&start={start}&end={end}&limit=20", escaped(query))
}

/// Millions of spans per second of CPU time.
async fn speed(server: &Server, path: &str) -> f64 {
    let pid = server.pid().to_string();
    times(server, [path.to_owned()].into_iter()).await;
    let before = cpu_seconds(&pid);
    times(server, (0..ASKED).map(|_| path.to_owned())).await;
    (spans() * ASKED as u64) as f64 / (cpu_seconds(&pid) - before).max(0.01) / 1e6
}

fn start(dir: &Path) -> Server {
    let variables = [("SPANLIGHT_STORAGE_MERGE_BYTES_PER_SECOND", "1"), ("SPANLIGHT_QUERY_TIMEOUT_SECONDS", "300")];
    Server::start_with(dir, &[], &variables)
}

fn merge(dir: &Path) {
    let decoder = collector::decode::wal_decoder(collector::decode::DecodeLimits::default());
    let store =
        Store::open(EngineConfig::new(dir), Arc::new(Disk), Arc::new(SystemClock::default()), &decoder).unwrap();
    while store.compact(&mut |_| Ok(())).unwrap() {}
    store.collect();
}

async fn over_all(server: &Server, suffix: &str, Filled { start, end, .. }: &Filled) {
    for (name, query, target) in OVER_ALL {
        let reached = speed(server, &path(query, *start, *end)).await;
        row(&format!("traceql_{name}{suffix}"), reached, "M spans/s per core", target);
    }
    let reached = speed(server, &path(RATE, *start, *end)).await;
    row(&format!("traceql_rate_by_service{suffix}"), reached, "M spans/s per core", Some(">= 100"));
}

async fn searches(server: &Server, Filled { orders, start, end, .. }: &Filled) {
    let mut rng = rand_pcg::Pcg64::seed_from_u64(1);
    let rare: Vec<String> = (0..SEARCHES)
        .map(|_| {
            path(&format!("{{ span.order.id = \"{}\" }}", orders[rng.random_range(0..orders.len())]), *start, *end)
        })
        .collect();
    let failed = path(r#"{ resource.service.name = "order" && status = error }"#, *start, *end);
    let related = path(
        r#"{ resource.service.name = "gateway" } >> { resource.service.name = "order" && status = error }"#,
        *start,
        *end,
    );
    let everything = path("{ }", *start, *end);
    let asked: [(&str, Vec<String>, Option<&str>); 4] = [
        ("rare_attribute", rare, Some("<= 15")),
        ("failed_of_service", vec![failed; SEARCHES], Some("<= 15")),
        ("related", vec![related; SEARCHES / 4], None),
        ("newest", vec![everything; SEARCHES], None),
    ];
    for (name, paths, target) in asked {
        times(server, paths.iter().cloned()).await;
        let found = times(server, paths.into_iter()).await;
        row(&format!("traceql_{name}_p50"), quantile(&found, 0.5), "ms", target);
        row(&format!("traceql_{name}_p99"), quantile(&found, 0.99), "ms", None);
    }
}

#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir().unwrap();
    let filled = fill(dir.path()).await;
    forget(dir.path());
    let server = start(dir.path());
    searches(&server, &filled).await;
    over_all(&server, "", &filled).await;
    assert_eq!(server.terminate().0, Some(0));
    merge(dir.path());
    let server = start(dir.path());
    over_all(&server, "_merged", &filled).await;
}
