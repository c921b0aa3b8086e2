//! What does the language's runtime report? Names from the runtime and process conventions.
//!
//! Values follow the instance's work and slow waves of their own, so that they look alive and stay deterministic.

use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Histogram, Metric, metric::Data};

use super::collection::{Kind, Pools, Window, cpu_seconds, metric, text};
use super::{Meter, seconds};
use crate::catalog::Language;
use crate::config::SECOND;
use crate::random::mix;
use crate::telemetry::histogram::{Explicit, PAUSES};

const MEBIBYTE: u64 = 1 << 20;

/// All runtime metrics of an instance.
pub(super) fn metrics(meter: &Meter, window: Window, pools: Pools) -> Vec<Metric> {
    let mut metrics = process(meter, window);
    match meter.service.deployment().language {
        Language::Java => java(meter, window, pools, &mut metrics),
        Language::Go => go(meter, window, pools, &mut metrics),
        Language::Python => python(meter, window, &mut metrics),
        Language::NodeJs => node(meter, window, &mut metrics),
        Language::DotNet => dotnet(meter, window, &mut metrics),
        Language::Rust => {}
    }
    metrics
}

/// A saw tooth between 0 and 1, as heaps have between collections; its period depends on the instance.
fn saw(meter: &Meter, now: u64, salt: u64) -> f64 {
    let lot = mix(meter.service.index() as u64 * 64 + u64::from(meter.ordinal) + salt * 4_096);
    let period = (35 + lot % 50) * SECOND;
    ((now + lot % period) % period) as f64 / period as f64
}

/// Memory in use: a floor for the code, a saw tooth, and what the requests need.
fn memory(meter: &Meter, window: Window, floor: u64, salt: u64) -> Number {
    let wave = saw(meter, window.now, salt) * (floor / 2) as f64;
    Number::AsInt(((floor * MEBIBYTE) as f64 + wave * MEBIBYTE as f64) as i64)
}

fn process(meter: &Meter, window: Window) -> Vec<Metric> {
    let cpu = cpu_seconds(meter) + seconds(window.now - window.start) * 0.01;
    let mode = |mode, share: f64| (vec![text("cpu.mode", mode)], Number::AsDouble(cpu * share));
    let interval = (window.now - window.last).max(1);
    let utilization = (meter.recent_nanos as f64 / interval as f64).min(1.0) + 0.01;
    vec![
        window.sum(
            ("process.cpu.time", "s", "Total CPU seconds broken down by different CPU modes."),
            Kind::Counter,
            vec![mode("user", 0.82), mode("system", 0.18)],
        ),
        window.gauge(
            ("process.cpu.utilization", "1", "CPU time since the last measurement by elapsed time."),
            vec![(vec![text("cpu.mode", "user")], Number::AsDouble(utilization))],
        ),
        window.sum(
            ("process.memory.usage", "By", "The amount of physical memory in use."),
            Kind::UpDown,
            vec![(Vec::new(), memory(meter, window, 180, 1))],
        ),
        window.gauge(
            ("process.uptime", "s", "The time the process has been running."),
            vec![(Vec::new(), Number::AsDouble(seconds(window.now - window.start)))],
        ),
    ]
}

fn java(meter: &Meter, window: Window, (busy, workers, _): Pools, metrics: &mut Vec<Metric>) {
    let pool = |kind, name, floor, salt| {
        let attributes = vec![text("jvm.memory.type", kind), text("jvm.memory.pool.name", name)];
        (attributes, memory(meter, window, floor, salt))
    };
    let used = vec![
        pool("heap", "G1 Eden Space", 96, 2),
        pool("heap", "G1 Old Gen", 310, 3),
        pool("heap", "G1 Survivor Space", 12, 4),
        pool("non_heap", "Metaspace", 128, 5),
    ];
    metrics.push(window.sum(("jvm.memory.used", "By", "Measure of memory used."), Kind::UpDown, used));
    let state = |state, count: u32| (vec![text("jvm.thread.state", state)], Number::AsInt(i64::from(count)));
    let threads =
        vec![state("runnable", busy + 4), state("waiting", workers - busy.min(workers)), state("timed_waiting", 11)];
    metrics.push(window.sum(
        ("jvm.thread.count", "{thread}", "Number of executing platform threads."),
        Kind::UpDown,
        threads,
    ));
    metrics.push(pauses(meter, window));
}

/// Pauses of the young collection: one every seven seconds of uptime, a few milliseconds long.
fn pauses(meter: &Meter, window: Window) -> Metric {
    let mut histogram = Explicit::new(PAUSES);
    for number in 0..(window.now - window.start) / (7 * SECOND) {
        let lot = mix(number ^ (u64::from(meter.ordinal) << 32)) % 1_000;
        histogram.record(0.002 + (lot * lot) as f64 / 4e7, None);
    }
    let attributes = vec![text("jvm.gc.name", "G1 Young Generation"), text("jvm.gc.action", "end of minor GC")];
    let data = Histogram {
        data_points: vec![histogram.point(attributes, window.start, window.now)],
        aggregation_temporality: AggregationTemporality::Cumulative.into(),
    };
    metric("jvm.gc.duration", "s", "Duration of JVM garbage collection actions.", Data::Histogram(data))
}

fn go(meter: &Meter, window: Window, (busy, ..): Pools, metrics: &mut Vec<Metric>) {
    let kind = |kind, floor, salt| (vec![text("go.memory.type", kind)], memory(meter, window, floor, salt));
    metrics.push(window.sum(
        ("go.memory.used", "By", "Memory used by the Go runtime."),
        Kind::UpDown,
        vec![kind("stack", 6, 6), kind("other", 64, 7)],
    ));
    metrics.push(window.sum(
        ("go.goroutine.count", "{goroutine}", "Count of live goroutines."),
        Kind::UpDown,
        vec![(Vec::new(), Number::AsInt(i64::from(busy) * 3 + 19))],
    ));
    metrics.push(window.sum(
        ("go.memory.allocated", "By", "Memory allocated to the heap by the application."),
        Kind::Counter,
        vec![(Vec::new(), Number::AsInt((meter.requests * 48_211).cast_signed()))],
    ));
}

fn python(meter: &Meter, window: Window, metrics: &mut Vec<Metric>) {
    let generation = |name, every: u64| {
        (vec![text("cpython.gc.generation", name)], Number::AsInt((meter.requests / every).cast_signed()))
    };
    metrics.push(window.sum(
        ("cpython.gc.collections", "{collection}", "The number of times a generation was collected."),
        Kind::Counter,
        vec![generation("0", 3), generation("1", 31), generation("2", 307)],
    ));
}

fn node(meter: &Meter, window: Window, metrics: &mut Vec<Metric>) {
    let interval = (window.now - window.last).max(1);
    let utilization = (meter.recent_nanos as f64 / interval as f64).min(0.99) + 0.005;
    let one = |value| vec![(Vec::new(), Number::AsDouble(value))];
    metrics.push(window.gauge(("nodejs.eventloop.utilization", "1", "Event loop utilization."), one(utilization)));
    metrics.push(window.gauge(
        ("nodejs.eventloop.delay.p99", "s", "Event loop 99 percentile delay."),
        one(0.0105 + utilization * utilization * 0.2),
    ));
    metrics.push(window.sum(
        ("v8js.memory.heap.used", "By", "Heap memory used."),
        Kind::UpDown,
        vec![(vec![text("v8js.heap.space.name", "old_space")], memory(meter, window, 70, 8))],
    ));
}

fn dotnet(meter: &Meter, window: Window, metrics: &mut Vec<Metric>) {
    let generation = |name, every: u64| {
        (vec![text("dotnet.gc.heap.generation", name)], Number::AsInt((meter.requests / every).cast_signed()))
    };
    metrics.push(window.sum(
        ("dotnet.gc.collections", "{collection}", "The number of garbage collections since the process has started."),
        Kind::Counter,
        vec![generation("gen0", 17), generation("gen1", 170), generation("gen2", 1_900)],
    ));
    metrics.push(window.sum(
        ("dotnet.process.memory.working_set", "By", "The number of bytes of physical memory mapped to the process."),
        Kind::UpDown,
        vec![(Vec::new(), memory(meter, window, 150, 9))],
    ));
}
