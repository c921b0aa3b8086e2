//! Which samples does every store get? What 49 series of each host are worth every 15 seconds (`model`), in requests of remote write 1,
//! each of some 10,000 samples in the order of time, one sample a series, packed: made once, so that all get the same bytes.

#[expect(dead_code, reason = "storage's bench uses the rest of it")]
#[path = "../../storage/benches/scrape/model.rs"]
mod model;

use crate::message::{Label, Request1, Sample, Series1};
use model::{Random, Requests, Series};
use prost::Message as _;

/// Milliseconds between two scrapes.
pub(crate) const STEP: i64 = model::STEP / 1_000_000;
const SAMPLES_PER_REQUEST: usize = 10_000;

struct Host {
    series: Vec<(Vec<Label>, Series)>,
    requests: Requests,
}

/// Requests, and how many samples and series they hold.
pub(crate) struct Sent {
    pub(crate) requests: Vec<Vec<u8>>,
    pub(crate) samples: usize,
    pub(crate) series: usize,
}

/// The scrapes of some hosts, the first one at `first`.
pub(crate) fn scrapes(hosts: usize, steps: usize, first: i64) -> Sent {
    let mut random = Random::new();
    let mut hosts: Vec<Host> = (0..hosts).map(|host| new_host(host, &mut random)).collect();
    let series = hosts.iter().map(|host| host.series.len()).sum();
    let mut sent = Sent { requests: Vec::new(), samples: 0, series };
    let mut timeseries = Vec::new();
    for step in 0..i64::try_from(steps).unwrap() {
        for host in &mut hosts {
            random.requests(&mut host.requests);
            for (labels, series) in &mut host.series {
                let value = series.next(&host.requests, &mut random);
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

fn new_host(host: usize, random: &mut Random) -> Host {
    let instance = format!("host-{host:05}:9100");
    let label = |name: &str, value: &str| Label { name: name.to_owned(), value: value.to_owned() };
    let named = model::series_of_host(random).into_iter().map(|series| {
        let own = series.labels.iter().map(|(name, value)| label(name, value));
        let common = [label("__name__", series.name), label("instance", &instance), label("job", "node")];
        let mut labels: Vec<Label> = common.into_iter().chain(own).collect();
        labels.sort_by(|a, b| a.name.cmp(&b.name));
        (labels, series)
    });
    Host { series: named.collect(), requests: Requests::default() }
}
