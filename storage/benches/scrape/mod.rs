//! Samples as a scraped host sends them (`model`), its requests as 14 series of numbers or as histograms of OTLP.

mod model;

pub(crate) use model::STEP;
use model::{BOUNDS, Random, Requests, Series};
use storage::model::attribute::{Map, MapBuilder, Value};
use storage::model::origin::{Resource, Scope};
use storage::model::record::{Number, put_counts, put_doubles};
use storage::model::{Batch, MetricHead, Point, PointBatchBuilder, PointData};

/// Rows of a batch, about.
const BATCH_ROWS: usize = 10_000;

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

/// A host: its series of numbers with their attributes, and what it has served.
type Host = (Vec<(Series, Vec<u8>)>, [Requests; 7]);

/// Hosts that are scraped again and again.
pub(crate) struct Fleet {
    hosts: Vec<Host>,
    random: Random,
    shape: Shape,
    first: i64,
    /// When the next scrape is.
    pub(crate) next: i64,
}

impl Fleet {
    /// Hosts that are scraped from a moment on.
    pub(crate) fn new(hosts: usize, shape: Shape, first: i64) -> Self {
        let mut random = Random::new();
        let mut host = |host| {
            let series = if shape == Shape::Prometheus { model::series_of_host(&mut random) } else { Vec::new() };
            let named = series.into_iter().map(|series| {
                let attributes = attributes(host, &series.labels);
                (series, attributes)
            });
            (named.collect(), Default::default())
        };
        let hosts = (0..hosts).map(&mut host).collect();
        Fleet { hosts, random, shape, first, next: first }
    }

    /// Their next scrapes, each late by so much at most.
    pub(crate) fn scrape(&mut self, steps: usize, late_nanos: i64) -> Sent {
        let per_host = if self.shape == Shape::Prometheus { 49 } else { 7 };
        let series = self.hosts.len() * per_host;
        let mut sent = Sent { batches: Vec::new(), series, first: self.next, last: self.next };
        let mut builder = PointBatchBuilder::default();
        let mut bounds = Vec::new();
        put_doubles(&mut bounds, BOUNDS);
        for _ in 0..steps {
            for (host, (series, requests)) in self.hosts.iter_mut().enumerate() {
                let time = self.next + self.random.late(late_nanos);
                sent.last = time;
                builder.set_resource(&Resource::default());
                builder.set_scope(&Scope::default());
                match self.shape {
                    Shape::Prometheus => {
                        self.random.requests(&mut requests[0]);
                        put_numbers(&mut builder, series, &requests[0], time, &mut self.random);
                    }
                    Shape::Histograms => {
                        let times = (self.first, time);
                        put_histograms(&mut builder, host, requests, times, &bounds, &mut self.random);
                    }
                }
                if builder.len() >= BATCH_ROWS {
                    sent.batches.push(std::mem::take(&mut builder).finish().expect("a batch"));
                }
            }
            self.next += STEP;
        }
        sent.batches.push(builder.finish().expect("a batch"));
        sent
    }
}

fn attributes(host: usize, pairs: &[(&str, String)]) -> Vec<u8> {
    let mut builder = MapBuilder::default();
    builder.push("instance", Value::String(&format!("host-{host:04}:9100")));
    builder.push("job", Value::String("node"));
    pairs.iter().for_each(|(key, value)| builder.push(key, Value::String(value)));
    builder.finish()
}

fn head(name: &str, is_monotonic: bool) -> MetricHead<'_> {
    let temporality = if is_monotonic { 2 } else { 0 };
    MetricHead { name, unit: "", description: "", metadata: Map::default(), temporality, is_monotonic }
}

fn put_numbers(
    builder: &mut PointBatchBuilder,
    series: &mut [(Series, Vec<u8>)],
    requests: &Requests,
    time: i64,
    random: &mut Random,
) {
    for (series, attributes) in series {
        let number = Some(Number::Double(series.next(requests, random)));
        builder.set_metric(&head(series.name, series.is_monotonic));
        let data = if series.is_monotonic { PointData::Sum(number) } else { PointData::Gauge(number) };
        let attributes = Map::new(attributes);
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
        let attributes = attributes(host, &[("http.route", format!("/api/{route}"))]);
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
