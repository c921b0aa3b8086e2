//! How fast is the model, and how large is what it sends? Prints one line per signal choice.
//!
//! `cargo run --release -p workload --example throughput`

#![expect(clippy::print_stdout, reason = "the example's purpose is its output")]

use std::time::Instant;

use workload::{Config, Signal, Signals, Workload};

fn main() -> Result<(), workload::ConfigError> {
    for (name, signals, requests_per_second) in [
        ("spans", Signals::Only(Signal::Spans), 200.0),
        ("logs", Signals::Only(Signal::Logs), 200.0),
        ("metrics", Signals::Only(Signal::Metrics), 20.0),
        ("all", Signals::All, 200.0),
        ("all at 20/s", Signals::All, 20.0),
    ] {
        let config = Config { signals, requests_per_second, stop_after: Some(30_000), ..Config::default() };
        let start_nanos = config.start_unix_nano;
        let mut shop = Workload::new(config)?;
        let begin = Instant::now();
        let (mut items, mut bytes, mut spans, mut requests) = (0, 0, 0, 0_u64);
        while let Some(batch) = shop.next_batch() {
            items += batch.items;
            bytes += batch.bytes.len() as u64;
            spans += if batch.signal == Signal::Spans { batch.items } else { 0 };
            requests += 1;
        }
        let took = begin.elapsed().as_secs_f64();
        println!(
            "{name}: {items} items ({spans} spans) in {requests} requests, {:.0} items/s, {:.0} bytes each, {:.1} spans per \
             request from outside, {:.0} s of virtual time",
            items as f64 / took,
            bytes as f64 / items as f64,
            spans as f64 / 30_000.0,
            (shop.now_unix_nano() - start_nanos) as f64 / 1e9,
        );
    }
    Ok(())
}
