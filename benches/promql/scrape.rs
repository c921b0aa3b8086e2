//! Which samples does every store get? What 49 series of each host were worth, every 15 seconds, by the value models of
//! `storage/benches/scrape`: counters with two decimals, gauges, constants, a histogram of 12 buckets. Requests of remote write 1, each
//! of some 10,000 samples in the order of time, one sample a series, packed: made once, so that all get the same bytes.

use crate::message::{Label, Request1, Sample, Series1};
use prost::Message as _;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Milliseconds between two scrapes.
pub(crate) const STEP: i64 = 15_000;
const SAMPLES_PER_REQUEST: usize = 10_000;
const MODES: [&str; 8] = ["user", "system", "idle", "iowait", "irq", "softirq", "steal", "nice"];
const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// How a series' value moves.
enum Model {
    Counter { value: f64, rate: f64, jitter: f64, decimals: i32 },
    Gauge { value: f64, step: f64, decimals: i32 },
    Constant(f64),
    Bucket(usize),
    Sum,
    Count,
}

struct Host {
    series: Vec<(Vec<Label>, Model)>,
    buckets: [u64; BOUNDS.len() + 1],
    sum: f64,
}

/// Requests, and how many samples and series they hold.
pub(crate) struct Sent {
    pub(crate) requests: Vec<Vec<u8>>,
    pub(crate) samples: usize,
    pub(crate) series: usize,
}

/// The scrapes of some hosts, the first one at `first`.
pub(crate) fn scrapes(hosts: usize, steps: usize, first: i64) -> Sent {
    let mut random = Random(Pcg64Mcg::seed_from_u64(42));
    let mut hosts: Vec<Host> = (0..hosts).map(|host| new_host(host, &mut random)).collect();
    let series = hosts.iter().map(|host| host.series.len()).sum();
    let mut sent = Sent { requests: Vec::new(), samples: 0, series };
    let mut timeseries = Vec::new();
    for step in 0..i64::try_from(steps).unwrap() {
        for host in &mut hosts {
            random.requests(host);
            let (buckets, sum) = (host.buckets, host.sum);
            for (labels, model) in &mut host.series {
                let value = next(model, &buckets, sum, &mut random);
                let samples = vec![Sample { value, timestamp: first + step * STEP, start: 0 }];
                timeseries.push(Series1 { labels: labels.clone(), samples });
            }
            if timeseries.len() >= SAMPLES_PER_REQUEST {
                sent.push(std::mem::take(&mut timeseries));
            }
        }
    }
    sent.push(timeseries);
    sent
}

impl Sent {
    fn push(&mut self, timeseries: Vec<Series1>) {
        if timeseries.is_empty() {
            return;
        }
        self.samples += timeseries.len();
        let message = Request1 { timeseries, metadata: Vec::new() }.encode_to_vec();
        self.requests.push(snap::raw::Encoder::new().compress_vec(&message).unwrap());
    }

    pub(crate) fn bytes(&self) -> usize {
        self.requests.iter().map(Vec::len).sum()
    }
}

fn next(model: &mut Model, buckets: &[u64], sum: f64, random: &mut Random) -> f64 {
    match model {
        Model::Counter { value, rate, jitter, decimals } => {
            *value += (*rate + *jitter * random.normal()).max(0.0);
            rounded(*value, *decimals)
        }
        Model::Gauge { value, step, decimals } => {
            *value += *step * random.normal();
            rounded(*value, *decimals)
        }
        Model::Constant(value) => *value,
        Model::Bucket(bucket) => buckets.iter().take(*bucket + 1).sum::<u64>() as f64,
        Model::Sum => rounded(sum, 6),
        Model::Count => buckets.iter().sum::<u64>() as f64,
    }
}

fn new_host(host: usize, random: &mut Random) -> Host {
    let mut series = Vec::new();
    let mut add = |name: &str, pairs: &[(&str, &str)], model| {
        let instance = format!("host-{host:05}:9100");
        let mut labels: Vec<(&str, &str)> = vec![("__name__", name), ("instance", &instance), ("job", "node")];
        labels.extend(pairs);
        labels.sort_unstable();
        let label = |(name, value): (&str, &str)| Label { name: name.to_owned(), value: value.to_owned() };
        series.push((labels.into_iter().map(label).collect(), model));
    };
    let mut counter =
        |rate, jitter, decimals| Model::Counter { value: random.0.random::<f64>() * 1e5, rate, jitter, decimals };
    for cpu in ["0", "1"] {
        for mode in MODES {
            let rate = match mode {
                "idle" => 12.0,
                "user" => 2.0,
                _ => 0.2,
            };
            add("node_cpu_seconds_total", &[("cpu", cpu), ("mode", mode)], counter(rate, 0.5, 2));
        }
    }
    let gauge = |value, step, decimals| Model::Gauge { value, step, decimals };
    add("node_memory_MemAvailable_bytes", &[], gauge(4e9, 4e6, 0));
    add("node_memory_Cached_bytes", &[], gauge(2e9, 1e6, 0));
    add("node_load1", &[], gauge(1.0, 0.05, 2));
    add("node_boot_time_seconds", &[], Model::Constant(1.7e9));
    for device in ["eth0", "lo"] {
        add("node_network_receive_bytes_total", &[("device", device)], counter(50_000.0, 20_000.0, 0));
    }
    for mountpoint in ["/", "/var", "/tmp"] {
        add("node_filesystem_avail_bytes", &[("mountpoint", mountpoint)], gauge(5e10, 4096.0, 0));
    }
    for unit in 0..10 {
        let unit = format!("u{unit}.service");
        add("node_up_state", &[("unit", &unit), ("state", "active")], Model::Constant(1.0));
    }
    for bucket in 0..=BOUNDS.len() {
        let bound = BOUNDS.get(bucket).map_or("+Inf".to_owned(), f64::to_string);
        add("http_request_duration_seconds_bucket", &[("le", &bound)], Model::Bucket(bucket));
    }
    add("http_request_duration_seconds_sum", &[], Model::Sum);
    add("http_request_duration_seconds_count", &[], Model::Count);
    Host { series, buckets: [0; BOUNDS.len() + 1], sum: 0.0 }
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
    fn requests(&mut self, host: &mut Host) {
        for _ in 0..self.0.random_range(0..=40) {
            let seconds = (-3.0 + 1.2 * self.normal()).exp();
            host.sum += seconds;
            host.buckets[BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len())] += 1;
        }
    }
}
