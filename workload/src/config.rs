//! What may be asked of the model? Its seed, clock, rate, incidents, and how its exporters batch.
//!
//! Invariants
//! - C1: a `Config` that `check` accepts never makes the model panic or spin.
//!
//! Not here: the client's settings (`client::LoadConfig`).

use crate::incident::Incident;

/// One of OTLP's three signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    /// Traces.
    Spans,
    /// Log records.
    Logs,
    /// Metric data points.
    Metrics,
}

impl Signal {
    /// All three, in the order in which exporters of one instance flush.
    pub const ALL: [Self; 3] = [Self::Spans, Self::Logs, Self::Metrics];
}

/// Which signals are emitted. The model behaves the same whatever is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signals {
    /// Only one.
    Only(Signal),
    /// All three.
    All,
}

impl Signals {
    /// Is this signal emitted?
    pub fn contains(self, signal: Signal) -> bool {
        match self {
            Self::Only(only) => only == signal,
            Self::All => true,
        }
    }
}

/// Who made a request: an SDK or a collector between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One resource per request, as an SDK's batch processor exports.
    Sdk,
    /// Requests of this many SDK exports merged, so that one holds several resources.
    Collector(u16),
}

/// Settings of the model.
#[derive(Debug, Clone)]
pub struct Config {
    /// Decides everything that is left to chance, ids included.
    pub seed: u64,
    /// Virtual time of the first moment, nanoseconds since 1970.
    pub start_unix_nano: u64,
    /// Mean rate of requests from outside (each is one trace of some 15 spans).
    pub requests_per_second: f64,
    /// Stop admitting after this many requests from outside, finish all work, flush and end. `None`: never end.
    pub stop_after: Option<u64>,
    /// Faults with known truth.
    pub incidents: Vec<Incident>,
    /// What to emit.
    pub signals: Signals,
    /// Who exports.
    pub shape: Shape,
    /// Spans or log records that an exporter sends at most in one request (SDK default 512).
    pub max_batch: usize,
    /// How long an exporter holds a span that does not fill a batch (SDK default 5 s).
    pub span_delay_nanos: u64,
    /// The same for log records (SDK default 1 s).
    pub log_delay_nanos: u64,
    /// How often each instance exports its metrics.
    pub metric_interval_nanos: u64,
}

/// The earliest start: below it, nanoseconds have fewer than 19 digits and JSON could not be re-stamped in place.
pub const EARLIEST_START: u64 = 1_000_000_000_000_000_000;
/// The latest start: a century before `i64` nanoseconds end.
pub const LATEST_START: u64 = 6_000_000_000_000_000_000;
/// More than any model can be asked for; beyond it the arrival gap would round to nothing.
pub const MAX_REQUESTS_PER_SECOND: f64 = 1_000_000.0;

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 1,
            start_unix_nano: 1_790_000_000_000_000_000,
            requests_per_second: 20.0,
            stop_after: None,
            incidents: Vec::new(),
            signals: Signals::All,
            shape: Shape::Sdk,
            max_batch: 512,
            span_delay_nanos: 5 * SECOND,
            log_delay_nanos: SECOND,
            metric_interval_nanos: 10 * SECOND,
        }
    }
}

pub(crate) const MICROSECOND: u64 = 1_000;
pub(crate) const MILLISECOND: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// Why a configuration was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// A rate outside `(0, MAX_REQUESTS_PER_SECOND]`, or not a number.
    #[error("requests per second must be above 0 and at most {MAX_REQUESTS_PER_SECOND}, not {0}")]
    Rate(f64),
    /// A start outside the years that the model can write.
    #[error("start must lie between {EARLIEST_START} and {LATEST_START} ns after 1970, not {0}")]
    Start(u64),
    /// A batch of nothing.
    #[error("a batch must hold at least one item and at most 1,000,000, not {0}")]
    Batch(usize),
    /// An interval that would make the model spin.
    #[error("{what} must be between 1 ms and one day")]
    Interval {
        /// The setting's name.
        what: &'static str,
    },
    /// An incident that ends before it starts.
    #[error("an incident ends ({end}) before it starts ({start})")]
    Incident {
        /// Its start.
        start: u64,
        /// Its end.
        end: u64,
    },
    /// A collector that merges nothing.
    #[error("a collector must merge at least one export")]
    Shape,
}

impl Config {
    /// Says what is wrong with this configuration, if anything is.
    pub fn check(&self) -> Result<(), ConfigError> {
        let rate = self.requests_per_second;
        if !(rate > 0.0 && rate <= MAX_REQUESTS_PER_SECOND) {
            return Err(ConfigError::Rate(rate));
        }
        if !(EARLIEST_START..=LATEST_START).contains(&self.start_unix_nano) {
            return Err(ConfigError::Start(self.start_unix_nano));
        }
        if !(1..=1_000_000).contains(&self.max_batch) {
            return Err(ConfigError::Batch(self.max_batch));
        }
        for (what, interval) in [
            ("span delay", self.span_delay_nanos),
            ("log delay", self.log_delay_nanos),
            ("metric interval", self.metric_interval_nanos),
        ] {
            if !(MILLISECOND..=86_400 * SECOND).contains(&interval) {
                return Err(ConfigError::Interval { what });
            }
        }
        if self.shape == Shape::Collector(0) {
            return Err(ConfigError::Shape);
        }
        match self.incidents.iter().find(|incident| incident.end < incident.start) {
            Some(incident) => Err(ConfigError::Incident { start: incident.start, end: incident.end }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IncidentKind, Service};

    #[test]
    fn c1_absurd_settings_are_refused() {
        let good = Config::default();
        assert_eq!(good.check(), Ok(()));
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e12] {
            assert!(matches!(Config { requests_per_second: rate, ..good.clone() }.check(), Err(ConfigError::Rate(_))));
        }
        assert!(Config { start_unix_nano: 5, ..good.clone() }.check().is_err());
        assert!(Config { max_batch: 0, ..good.clone() }.check().is_err());
        assert!(Config { metric_interval_nanos: 0, ..good.clone() }.check().is_err());
        assert!(Config { shape: Shape::Collector(0), ..good.clone() }.check().is_err());
        let backwards = Incident { kind: IncidentKind::ColdCache, service: Service::Cart, start: 2, end: 1 };
        assert!(Config { incidents: vec![backwards], ..good }.check().is_err());
    }
}
