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

#[path = "filled/mod.rs"]
mod filled;

use filled::{Filled, fill, forget, quantile, row, times};
use rand::{RngExt, SeedableRng};
use server::Server;

const LOOKUPS: usize = 2_000;
const FIRST_LOOKUPS: usize = 300;
const SEARCHES: usize = 300;

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
