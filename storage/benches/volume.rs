//! What does it cost to count rows over time, and to list attributes, with statistics and without?
//!
//! Prints `bench-row: {json}` lines; times are CPU times of this thread, the least of some rounds. `VOLUME_SPANS` sets how many spans
//! lie in one block (default 250,000). "read" is the same question to a block that was written without statistics.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a bench that cannot go on must stop; rows go to stdout")]

mod telemetry;

use std::sync::Arc;
use storage::block::BlockConfig;
use storage::engine::{EngineConfig, Store, Write};
use storage::fs::{Disk, SimulatedClock};
use storage::model::attribute::Value;
use storage::model::schema::column as name;
use storage::model::{Batch, Signal, TenantId};
use storage::scan::{AttributeScope, Dimension, Measure, Predicate, Scalar, TimeRange, VolumeRequest};

const ROUNDS: usize = 5;
const NOW: i64 = 1_790_000_000_000_000_000;
const STEPS: u64 = 60;

fn main() {
    let count = std::env::var("VOLUME_SPANS").ok().and_then(|text| text.parse().ok()).unwrap_or(250_000);
    let sent = telemetry::spans(7, count);
    let time = sent.batches.iter().filter_map(Batch::time_range).reduce(|(a, b), (c, d)| (a.min(c), b.max(d)));
    let (min, max) = time.expect("spans");
    let time = TimeRange { start: min, end: max + 1 };
    for (way, granule_rows) in [("statistics", BlockConfig::default().granule_rows), ("read", 0)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut config = EngineConfig::new(folder.path());
        config.block.granule_rows = granule_rows;
        config.memory_limit_bytes = usize::MAX;
        let store = filled(config, &sent.batches);
        ask(&store, way, time);
    }
}

fn filled(config: EngineConfig, batches: &[Batch]) -> Store {
    let decoder = |_: Signal, _: i64, _: &[u8]| Err("nothing is replayed".to_owned());
    let store = Store::open(config, Arc::new(Disk), Arc::new(SimulatedClock::at(NOW)), &decoder).expect("a store");
    for batch in batches {
        let payload = b"x".as_slice().into();
        let (tenant, signal) = (TenantId::default(), Signal::Spans);
        store.commit(&[Write { tenant, signal, received_at: NOW, payload, batch: batch.clone() }]).expect("room");
    }
    store.seal().expect("room");
    store.flush().expect("room");
    store
}

fn ask(store: &Store, way: &str, time: TimeRange) {
    let step = time.end.abs_diff(time.start) / STEPS + 1;
    let status = Predicate::equal(name::STATUS_CODE, Scalar::Int(2));
    let questions = [
        ("one_step", u64::MAX / 2, None, Predicate::All, Measure::Rows),
        ("60_steps_by_service", step, Some(Dimension::Service), Predicate::All, Measure::Rows),
        ("60_steps_by_service_of_errors", step, Some(Dimension::Service), status, Measure::Rows),
        ("60_steps_by_service_with_bytes", step, Some(Dimension::Service), Predicate::All, Measure::RowsAndBytes),
    ];
    for (question, step, by, predicate, measure) in questions {
        let request = VolumeRequest { time, step, by, predicate, measure };
        tell(&format!("volume.{way}.{question}"), || {
            let mut scan =
                store.snapshot(&TenantId::default()).volume(Signal::Spans, request.clone()).expect("a request");
            while scan.advance().expect("a sound block") {}
            let volume = scan.finish();
            (volume.counts.values().map(|count| count.rows).sum(), volume.cost.rows_read)
        });
    }
    let snapshot = || store.snapshot(&TenantId::default());
    tell(&format!("attributes.{way}.keys"), || {
        let mut scan = snapshot().keys(Signal::Spans, time).expect("a request");
        while scan.advance().expect("a sound block") {}
        (scan.keys().keys.len() as u64, scan.keys().cost.rows_read)
    });
    for key in ["http.route", "enduser.id"] {
        tell(&format!("attributes.{way}.values_of_{key}"), || {
            let scan = snapshot().values(Signal::Spans, (AttributeScope::Own, key), time, "");
            let mut scan = scan.expect("a request");
            while scan.advance().expect("a sound block") {}
            let found = scan.values(100);
            assert!(found.values.iter().all(|value| Value::parse(&value.value).is_some()), "values are readable");
            (found.values.len() as u64, found.cost.rows_read)
        });
    }
}

/// The least CPU time of some rounds, how much was found and how many rows were read.
fn tell(name: &str, work: impl Fn() -> (u64, u64)) {
    let mut least = f64::INFINITY;
    let mut answer = (0, 0);
    for _ in 0..ROUNDS {
        let before = cpu_nanos();
        answer = work();
        least = least.min(cpu_nanos() - before);
    }
    let (found, rows_read) = answer;
    println!("{name}: {found} found, {rows_read} rows read");
    println!(r#"bench-row: {{"name":"{name}","value":{:.3},"unit":"ms","target":null}}"#, least / 1e6);
}

fn cpu_nanos() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
