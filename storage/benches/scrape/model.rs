//! What are the 49 series of a scraped host worth, every 15 seconds? The value models of the comparison with other stores: counters with
//! two decimals, gauges, constants, and a histogram of requests with 12 buckets. Shared by benches of several packages.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Nanoseconds between two scrapes.
pub(crate) const STEP: i64 = 15_000_000_000;
const MODES: [&str; 8] = ["user", "system", "idle", "iowait", "irq", "softirq", "steal", "nice"];
/// Upper bounds of the histogram's buckets but the last.
pub(crate) const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// How a series' value moves.
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

/// One series of a host; its labels are told without `instance` and `job`.
pub(crate) struct Series {
    pub(crate) name: &'static str,
    pub(crate) is_monotonic: bool,
    pub(crate) labels: Vec<(&'static str, String)>,
    model: Model,
}

/// The requests that a host has served.
#[derive(Default)]
pub(crate) struct Requests {
    pub(crate) buckets: [u64; BOUNDS.len() + 1],
    pub(crate) sum: f64,
}

impl Series {
    /// What it is worth at the next scrape.
    pub(crate) fn next(&mut self, requests: &Requests, random: &mut Random) -> f64 {
        match &mut self.model {
            Model::Counter { value, rate, jitter, decimals } => {
                *value += (*rate + *jitter * random.normal()).max(0.0);
                rounded(*value, *decimals)
            }
            Model::Gauge { value, step, decimals } => {
                *value += *step * random.normal();
                rounded(*value, *decimals)
            }
            Model::Constant(value) => *value,
            Model::Bucket(bucket) => requests.buckets.iter().take(*bucket + 1).sum::<u64>() as f64,
            Model::Sum => rounded(requests.sum, 6),
            Model::Count => requests.buckets.iter().sum::<u64>() as f64,
        }
    }
}

/// The series of a host before its first scrape.
pub(crate) fn series_of_host(random: &mut Random) -> Vec<Series> {
    let mut all = Vec::new();
    let mut add = |name, is_monotonic, pairs: &[(&'static str, &str)], model| {
        let labels = pairs.iter().map(|(label, value)| (*label, (*value).to_owned())).collect();
        all.push(Series { name, is_monotonic, labels, model });
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

fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}

/// The same numbers each time.
pub(crate) struct Random(Pcg64Mcg);

impl Random {
    pub(crate) fn new() -> Self {
        Random(Pcg64Mcg::seed_from_u64(42))
    }

    fn normal(&mut self) -> f64 {
        let (radius, angle): (f64, f64) = (self.0.random(), self.0.random());
        (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }

    /// Nanoseconds by which a scrape is late.
    pub(crate) fn late(&mut self, at_most: i64) -> i64 {
        if at_most > 0 { self.0.random_range(0..at_most) } else { 0 }
    }

    /// Some requests more.
    pub(crate) fn requests(&mut self, requests: &mut Requests) {
        for _ in 0..self.0.random_range(0..=40) {
            let seconds = (-3.0 + 1.2 * self.normal()).exp();
            requests.sum += seconds;
            requests.buckets[BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len())] += 1;
        }
    }
}
