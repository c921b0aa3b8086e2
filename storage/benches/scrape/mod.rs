//! Samples as a scraped host sends them, by the value models of the comparison with other stores: counters with two decimals,
//! gauges, constants, and a request histogram, as 14 series of numbers or as one of OTLP's.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use storage::model::attribute::{Map, MapBuilder, Value};
use storage::model::origin::{Resource, Scope};
use storage::model::record::{Number, put_counts, put_doubles};
use storage::model::{Batch, MetricHead, Point, PointBatchBuilder, PointData};

const STEP: i64 = 15_000_000_000;
/// Rows of a batch, about.
const BATCH_ROWS: usize = 10_000;
const MODES: [&str; 8] = ["user", "system", "idle", "iowait", "irq", "softirq", "steal", "nice"];
const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Which series a host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// 49 series of doubles.
    Prometheus,
    /// 7 histograms.
    Histograms,
}

/// What was sent, in the order of time.
pub(crate) struct Sent {
    pub(crate) batches: Vec<Batch>,
    pub(crate) series: usize,
    pub(crate) first: i64,
    pub(crate) last: i64,
}

enum Model {
    Counter {
        value: f64,
        rate: f64,
        jitter: f64,
        decimals: i32,
    },
    Gauge {
        value: f64,
        step: f64,
        decimals: i32,
    },
    Constant(f64),
    /// A number of the host's histogram: bucket, sum or count.
    Bucket(usize),
    Sum,
    Count,
}

struct Series {
    name: &'static str,
    monotonic: bool,
    attributes: Vec<u8>,
    model: Model,
}

struct Requests {
    buckets: [u64; BOUNDS.len() + 1],
    sum: f64,
}

/// The scrapes of some hosts.
pub(crate) fn scrapes(hosts: usize, steps: usize, jitter_nanos: i64, shape: Shape) -> Sent {
    let mut random = Random(Pcg64Mcg::seed_from_u64(42));
    let mut fleet: Vec<(Vec<Series>, [Requests; 7])> = (0..hosts)
        .map(|host| {
            let requests = std::array::from_fn(|_| Requests { buckets: [0; BOUNDS.len() + 1], sum: 0.0 });
            (if shape == Shape::Prometheus { series_of(host, &mut random) } else { Vec::new() }, requests)
        })
        .collect();
    let first = 1_795_300_000_000_000_000 / STEP * STEP;
    let per_host = if shape == Shape::Prometheus { 49 } else { 7 };
    let mut sent = Sent { batches: Vec::new(), series: hosts * per_host, first, last: first };
    let mut builder = PointBatchBuilder::default();
    let mut bounds = Vec::new();
    put_doubles(&mut bounds, BOUNDS);
    for step in 0..steps as i64 {
        for (host, (series, requests)) in fleet.iter_mut().enumerate() {
            let jitter = if jitter_nanos > 0 { random.0.random_range(0..jitter_nanos) } else { 0 };
            let time = first + step * STEP + jitter;
            sent.last = time;
            builder.set_resource(&Resource::default());
            builder.set_scope(&Scope::default());
            match shape {
                Shape::Prometheus => {
                    random.requests(&mut requests[0]);
                    put_numbers(&mut builder, series, &requests[0], time, &mut random);
                }
                Shape::Histograms => put_histograms(&mut builder, host, requests, (first, time), &bounds, &mut random),
            }
            if builder.len() >= BATCH_ROWS {
                sent.batches.push(std::mem::take(&mut builder).finish().expect("a batch"));
            }
        }
    }
    sent.batches.push(builder.finish().expect("a batch"));
    sent
}

fn attributes(host: usize, pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = MapBuilder::default();
    builder.push("instance", Value::String(&format!("host-{host:04}:9100")));
    builder.push("job", Value::String("node"));
    pairs.iter().for_each(|(key, value)| builder.push(key, Value::String(value)));
    builder.finish()
}

fn series_of(host: usize, random: &mut Random) -> Vec<Series> {
    let mut all = Vec::new();
    let mut add = |name, monotonic, pairs: &[(&str, &str)], model| {
        all.push(Series { name, monotonic, attributes: attributes(host, pairs), model });
    };
    let mut counter =
        |rate, jitter, decimals| Model::Counter { value: random.0.random::<f64>() * 1e5, rate, jitter, decimals };
    for cpu in ["0", "1"] {
        for mode in MODES {
            let rate =
                [("idle", 12.0), ("user", 2.0)].iter().find(|(name, _)| *name == mode).map_or(0.2, |(_, rate)| *rate);
            add("node_cpu_seconds_total", true, &[("cpu", cpu), ("mode", mode)], counter(rate, 0.5, 2));
        }
    }
    let gauge = |value, step, decimals| Model::Gauge { value, step, decimals };
    add("node_memory_MemAvailable_bytes", false, &[], gauge(4e9, 4e6, 0));
    add("node_memory_Cached_bytes", false, &[], gauge(2e9, 1e6, 0));
    add("node_load1", false, &[], gauge(1.0, 0.05, 2));
    add("node_boot_time_seconds", false, &[], Model::Constant(1.7e9));
    for device in ["eth0", "lo"] {
        add("node_network_receive_bytes_total", true, &[("device", device)], counter(50_000.0, 20_000.0, 0));
    }
    for mountpoint in ["/", "/var", "/tmp"] {
        add("node_filesystem_avail_bytes", false, &[("mountpoint", mountpoint)], gauge(5e10, 4096.0, 0));
    }
    for unit in 0..10 {
        let unit = format!("u{unit}.service");
        add("node_up_state", false, &[("unit", &unit), ("state", "active")], Model::Constant(1.0));
    }
    for bucket in 0..=BOUNDS.len() {
        let bound = BOUNDS.get(bucket).map_or("+Inf".to_owned(), f64::to_string);
        add("http_request_duration_seconds_bucket", true, &[("le", &bound)], Model::Bucket(bucket));
    }
    add("http_request_duration_seconds_sum", true, &[], Model::Sum);
    add("http_request_duration_seconds_count", true, &[], Model::Count);
    all
}

fn head(name: &str, is_monotonic: bool) -> MetricHead<'_> {
    let temporality = if is_monotonic { 2 } else { 0 };
    MetricHead { name, unit: "", description: "", metadata: Map::default(), temporality, is_monotonic }
}

fn put_numbers(
    builder: &mut PointBatchBuilder,
    series: &mut [Series],
    requests: &Requests,
    time: i64,
    random: &mut Random,
) {
    for series in series {
        let value = match &mut series.model {
            Model::Counter { value, rate, jitter, decimals } => {
                *value += (*rate + *jitter * random.normal()).max(0.0);
                rounded(*value, *decimals)
            }
            Model::Gauge { value, step, decimals } => {
                *value += *step * random.normal();
                rounded(*value, *decimals)
            }
            Model::Constant(value) => *value,
            Model::Bucket(bucket) => requests.buckets[..=*bucket].iter().sum::<u64>() as f64,
            Model::Sum => rounded(requests.sum, 6),
            Model::Count => requests.buckets.iter().sum::<u64>() as f64,
        };
        let number = Some(Number::Double(value));
        builder.set_metric(&head(series.name, series.monotonic));
        let data = if series.monotonic { PointData::Sum(number) } else { PointData::Gauge(number) };
        let attributes = Map::new(&series.attributes);
        let point = Point { attributes, time, start_time: None, flags: 0, exemplars: &[], data };
        builder.append(&point).expect("a small batch");
    }
}

fn put_histograms(
    builder: &mut PointBatchBuilder,
    host: usize,
    requests: &mut [Requests; 7],
    (start, time): (i64, i64),
    bounds: &[u8],
    random: &mut Random,
) {
    builder.set_metric(&head("http.server.request.duration", true));
    for (route, requests) in requests.iter_mut().enumerate() {
        random.requests(requests);
        let mut counts = Vec::new();
        put_counts(&mut counts, requests.buckets);
        let attributes = attributes(host, &[("http.route", &format!("/api/{route}"))]);
        let data = PointData::Histogram {
            count: requests.buckets.iter().sum(),
            sum: Some(requests.sum),
            min: None,
            max: None,
            explicit_bounds: bounds,
            bucket_counts: &counts,
        };
        let attributes = Map::new(&attributes);
        let point = Point { attributes, time, start_time: Some(start), flags: 0, exemplars: &[], data };
        builder.append(&point).expect("a small batch");
    }
}

fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}

struct Random(Pcg64Mcg);

impl Random {
    fn normal(&mut self) -> f64 {
        let (radius, angle): (f64, f64) = (self.0.random(), self.0.random());
        (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }

    /// Some requests more.
    fn requests(&mut self, requests: &mut Requests) {
        for _ in 0..self.0.random_range(0..=40) {
            let seconds = (-3.0 + 1.2 * self.normal()).exp();
            requests.sum += seconds;
            requests.buckets[BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len())] += 1;
        }
    }
}
