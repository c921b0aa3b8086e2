//! What came of a load run?

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::traffic::Traffic;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Items whose first attempt has begun.
    pub sent: u64,
    /// Items that the endpoint has accepted.
    pub accepted: u64,
    /// Since the beginning.
    pub elapsed: Duration,
}

/// The sums of a run.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct LoadReport {
    /// Items that the run tried to deliver; each is counted once, however often it was sent.
    pub sent: u64,
    /// Items that the endpoint accepted.
    pub accepted: u64,
    /// Items that the endpoint refused for good, whole requests or parts of them.
    pub rejected: u64,
    /// Items given up because the endpoint did not take them before the deadline, or the run was cancelled.
    pub abandoned: u64,
    /// Attempts after the first, over all requests.
    pub retried: u64,
    /// Requests that were acknowledged.
    pub requests: u64,
    /// Bytes of bodies as they were sent, attempts after the first included.
    pub bytes: u64,
    /// Bytes of the same bodies before compression.
    pub bytes_uncompressed: u64,
    /// Wall time.
    pub seconds: f64,
    /// Milliseconds from an attempt's beginning to its acknowledgement: median.
    pub ack_p50_ms: f64,
    /// The 99th percentile.
    pub ack_p99_ms: f64,
    /// The longest.
    pub ack_max_ms: f64,
    /// Failed attempts by kind: `http 503`, `grpc UNAVAILABLE`, `connect`, `timeout` …
    pub errors: BTreeMap<String, u64>,
    /// Text of the last rejection or warning that the endpoint gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_message: Option<String>,
}

/// A report in the making.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) sent: u64,
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    pub(super) abandoned: u64,
    pub(super) retried: u64,
    pub(super) requests: u64,
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) last_message: Option<String>,
    latency: Histogram<u64>,
}

/// What takes longer counts as an hour.
const LONGEST_LATENCY_MICROS: u64 = 3_600_000_000;
/// Messages of an endpoint are kept to this length.
const LONGEST_MESSAGE: usize = 500;

impl Tally {
    #[expect(clippy::expect_used, reason = "the bounds ascend, and three digits are within zero to five")]
    pub(super) fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, LONGEST_LATENCY_MICROS, 3).expect("three digits of an hour");
        Self {
            sent: 0,
            accepted: 0,
            rejected: 0,
            abandoned: 0,
            retried: 0,
            requests: 0,
            errors: BTreeMap::new(),
            last_message: None,
            latency,
        }
    }

    pub(super) fn acknowledged_after(&mut self, latency: Duration) {
        self.requests += 1;
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency.saturating_record(micros);
    }

    pub(super) fn failed(&mut self, kind: &str) {
        match self.errors.get_mut(kind) {
            Some(count) => *count += 1,
            None => {
                self.errors.insert(kind.to_owned(), 1);
            }
        }
    }

    pub(super) fn note(&mut self, message: &str) {
        if !message.is_empty() {
            self.last_message = Some(message.chars().take(LONGEST_MESSAGE).collect());
        }
    }

    pub(super) fn report(&self, elapsed: Duration, traffic: &Traffic) -> LoadReport {
        let millis = |micros: u64| micros as f64 / 1_000.0;
        LoadReport {
            sent: self.sent,
            accepted: self.accepted,
            rejected: self.rejected,
            abandoned: self.abandoned,
            retried: self.retried,
            requests: self.requests,
            bytes: traffic.sent(),
            bytes_uncompressed: traffic.uncompressed(),
            seconds: elapsed.as_secs_f64(),
            ack_p50_ms: millis(self.latency.value_at_quantile(0.5)),
            ack_p99_ms: millis(self.latency.value_at_quantile(0.99)),
            ack_max_ms: millis(self.latency.max()),
            errors: self.errors.clone(),
            last_message: self.last_message.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_told_as_long_as_they_were() {
        let mut tally = Tally::new();
        [1, 5, 40, 900, 7_200_000].into_iter().for_each(|ms| tally.acknowledged_after(Duration::from_millis(ms)));
        let report = tally.report(Duration::from_secs(1), &Traffic::default());
        let near =
            |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 0.002, "{found} for {expected}");
        near(report.ack_p50_ms, 40.0);
        near(report.ack_max_ms, 3_600_000.0);
    }
}
