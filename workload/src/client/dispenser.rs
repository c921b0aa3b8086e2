//! Which request is next, with which ids and times, and when?
//!
//! Invariants
//! - D1: with `Stop::Count(n)` the dispensed items sum to exactly `n`.
//! - D2: all requests of one pass share generation and shift, whichever connections send them.
//! - D3: at a rate, the k-th item is not dispensed for a time before k / rate seconds after the start.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data};
use prost::Message;

use super::stamp::Clock;
use super::{Rate, Stop, Times};
use crate::config::Signal;
use crate::identity::GENERATIONS;

/// One request to be sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    /// Its place in the pool.
    pub(super) place: usize,
    pub(super) generation: u64,
    /// Items to send of it.
    pub(super) keep: u64,
    /// Not before this moment.
    pub(super) at: Instant,
    pass: Pass,
}

/// Times of one pass over the pool.
#[derive(Debug, Clone, Copy)]
struct Pass {
    shift: i64,
    start: u64,
}

/// Gives out requests, one at a time.
#[derive(Debug)]
pub(super) struct Dispenser {
    rate: Rate,
    times: Times,
    remaining: Option<u64>,
    until: Option<Instant>,
    /// Items per request of the pool.
    items: Vec<u64>,
    /// The pool's extent in virtual time.
    extent: (u64, u64),
    next: usize,
    generation: u64,
    pass: Pass,
    begin: Instant,
    dispensed: u64,
}

/// The wall clock, ns since 1970.
pub(super) fn wall() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

impl Dispenser {
    pub(super) fn new(
        rate: Rate,
        times: Times,
        stop: Stop,
        items: Vec<u64>,
        extent: (u64, u64),
        begin: Instant,
    ) -> Self {
        let (remaining, until) = match stop {
            Stop::Count(count) => (Some(count), None),
            Stop::After(time) => (None, begin.checked_add(time)),
        };
        let pass = Pass { shift: 0, start: 0 };
        let mut dispenser =
            Self { rate, times, remaining, until, items, extent, next: 0, generation: 0, pass, begin, dispensed: 0 };
        dispenser.pass = dispenser.begin_pass();
        dispenser
    }

    fn begin_pass(&self) -> Pass {
        let (begin, end) = self.extent;
        match self.times {
            Times::Now => {
                let now = wall();
                Pass { shift: now.cast_signed().saturating_sub(end.cast_signed()), start: now }
            }
            Times::From(start) => {
                let start = start.saturating_add(self.generation.saturating_mul(end - begin));
                Pass { shift: start.cast_signed().saturating_sub(begin.cast_signed()), start }
            }
        }
    }

    /// The next request; `None` when the run is over.
    pub(super) fn next(&mut self) -> Option<Job> {
        let now = Instant::now();
        if self.remaining == Some(0) || self.until.is_some_and(|until| now >= until) {
            return None;
        }
        // A pool has an item somewhere; requests without one are passed over.
        let (place, items) = loop {
            if self.next == self.items.len() {
                self.next = 0;
                self.generation += 1;
                if self.generation == GENERATIONS {
                    return None;
                }
                self.pass = self.begin_pass();
            }
            let place = self.next;
            self.next += 1;
            if self.items[place] > 0 {
                break (place, self.items[place]);
            }
        };
        let keep = self.remaining.map_or(items, |remaining| remaining.min(items));
        if let Some(remaining) = &mut self.remaining {
            *remaining -= keep;
        }
        let at = match self.rate {
            Rate::Max => now,
            Rate::PerSecond(rate) => self.begin + Duration::from_secs_f64(self.dispensed as f64 / rate),
        };
        self.dispensed += keep;
        if self.until.is_some_and(|until| at >= until) {
            return None;
        }
        Some(Job { place, generation: self.generation, keep, at, pass: self.pass })
    }
}

impl Job {
    /// The times of this request, stamped now.
    pub(super) fn clock(&self, signal: Signal, times: Times) -> Clock {
        match (signal, times) {
            // A pass takes less time than its collections are apart: each is moved to the moment of its sending, and
            // the counters begin anew with each pass.
            (Signal::Metrics, Times::Now) => Clock::Fixed { start: self.pass.start, now: wall() },
            _ => Clock::Shift(self.pass.shift),
        }
    }
}

/// The first `keep` items of a protobuf request.
pub(super) fn shorten(signal: Signal, body: &[u8], keep: u64) -> Result<Vec<u8>, prost::DecodeError> {
    let mut left = usize::try_from(keep).unwrap_or(usize::MAX);
    match signal {
        Signal::Spans => {
            let mut request = ExportTraceServiceRequest::decode(body)?;
            for scope in request.resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans) {
                cut(&mut scope.spans, &mut left);
            }
            for resource in &mut request.resource_spans {
                resource.scope_spans.retain(|scope| !scope.spans.is_empty());
            }
            Ok(request.encode_to_vec())
        }
        Signal::Logs => {
            let mut request = ExportLogsServiceRequest::decode(body)?;
            for scope in request.resource_logs.iter_mut().flat_map(|resource| &mut resource.scope_logs) {
                cut(&mut scope.log_records, &mut left);
            }
            for resource in &mut request.resource_logs {
                resource.scope_logs.retain(|scope| !scope.log_records.is_empty());
            }
            Ok(request.encode_to_vec())
        }
        Signal::Metrics => {
            let mut request = ExportMetricsServiceRequest::decode(body)?;
            for scope in request.resource_metrics.iter_mut().flat_map(|resource| &mut resource.scope_metrics) {
                scope.metrics.retain_mut(|metric| cut_metric(metric, &mut left));
            }
            for resource in &mut request.resource_metrics {
                resource.scope_metrics.retain(|scope| !scope.metrics.is_empty());
            }
            Ok(request.encode_to_vec())
        }
    }
}

/// Keeps what is left to keep; says whether that is anything.
fn cut<T>(items: &mut Vec<T>, left: &mut usize) -> bool {
    items.truncate(*left);
    *left -= items.len();
    !items.is_empty()
}

fn cut_metric(metric: &mut Metric, left: &mut usize) -> bool {
    match &mut metric.data {
        Some(Data::Gauge(data)) => cut(&mut data.data_points, left),
        Some(Data::Sum(data)) => cut(&mut data.data_points, left),
        Some(Data::Histogram(data)) => cut(&mut data.data_points, left),
        Some(Data::ExponentialHistogram(data)) => cut(&mut data.data_points, left),
        Some(Data::Summary(data)) => cut(&mut data.data_points, left),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Workload};

    fn dispenser(rate: Rate, times: Times, stop: Stop) -> Dispenser {
        Dispenser::new(rate, times, stop, vec![5, 0, 7], (100, 1_100), Instant::now())
    }

    #[test]
    fn d1_counts_are_exact() {
        for count in [0, 1, 5, 6, 12, 13, 100] {
            let mut dispenser = dispenser(Rate::Max, Times::Now, Stop::Count(count));
            let sum: u64 = std::iter::from_fn(|| dispenser.next()).map(|job| job.keep).sum();
            assert_eq!(sum, count);
        }
    }

    #[test]
    fn d2_a_pass_shares_generation_and_shift() {
        let mut dispenser = dispenser(Rate::Max, Times::From(10_000), Stop::Count(36));
        let jobs: Vec<_> = std::iter::from_fn(|| dispenser.next()).collect();
        let passes: Vec<_> =
            jobs.iter().map(|job| (job.generation, job.clock(Signal::Spans, Times::From(0)))).collect();
        let shift = |by| Clock::Shift(by);
        let expected = [
            (0, shift(9_900)),
            (0, shift(9_900)),
            (1, shift(10_900)),
            (1, shift(10_900)),
            (2, shift(11_900)),
            (2, shift(11_900)),
        ];
        assert_eq!(passes, expected);
    }

    #[test]
    fn d3_a_rate_spreads_items_over_time() {
        let begin = Instant::now();
        let mut dispenser =
            Dispenser::new(Rate::PerSecond(10.0), Times::Now, Stop::Count(24), vec![5, 0, 7], (0, 1), begin);
        let at: Vec<_> =
            std::iter::from_fn(|| dispenser.next()).map(|job| job.at.duration_since(begin).as_millis()).collect();
        assert_eq!(at, [0, 500, 1_200, 1_700]);
    }

    #[test]
    fn shortened_requests_hold_the_first_items() {
        let mut shop = Workload::new(Config { stop_after: Some(60), ..Config::default() }).unwrap();
        let mut seen = [0; 3];
        while let Some(batch) = shop.next_batch() {
            for keep in [1, batch.items / 2 + 1, batch.items] {
                let short = shorten(batch.signal, &batch.bytes, keep).unwrap();
                let identity = shop.identity();
                let (all, some) = (
                    super::super::stamp::scan(&batch.bytes, batch.signal, identity).unwrap(),
                    super::super::stamp::scan(&short, batch.signal, identity).unwrap(),
                );
                assert_eq!((all.items, some.items), (batch.items, keep));
                assert!(all.spans.starts_with(&some.spans));
            }
            seen[batch.signal as usize] += 1;
        }
        assert!(seen.iter().all(|count| *count > 3), "{seen:?}");
    }
}
