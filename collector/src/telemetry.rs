//! What has the collector done? Counters, for `/metrics` and for the UI's "are you receiving anything?".

use crate::error::Refusal;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use storage::model::Signal;

/// What came last from a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastReceived {
    /// When, Unix nanoseconds.
    pub at: i64,
    /// What.
    pub signal: Signal,
    /// service.name of its first record.
    pub service: String,
}

/// Counters of one signal.
#[derive(Debug, Default)]
struct SignalCounters {
    requests: AtomicU64,
    accepted: AtomicU64,
    rejected: AtomicU64,
    warnings: AtomicU64,
    bytes: AtomicU64,
    wire_bytes: AtomicU64,
    decode_nanos: AtomicU64,
}

/// The collector's counters since its start, of all tenants.
#[derive(Debug, Default)]
pub struct CollectorMetrics {
    signals: [SignalCounters; 3],
    /// By signal and reason; refusals are rare enough for a lock.
    refused: Mutex<BTreeMap<(Signal, &'static str), u64>>,
}

/// What one accepted request adds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    pub(crate) warnings: u64,
    pub(crate) bytes: usize,
    pub(crate) wire_bytes: usize,
    pub(crate) decode: Duration,
}

impl CollectorMetrics {
    fn of(&self, signal: Signal) -> &SignalCounters {
        let [spans, logs, metrics] = &self.signals;
        match signal {
            Signal::Spans => spans,
            Signal::Logs => logs,
            Signal::Metrics => metrics,
        }
    }

    pub(crate) fn add(&self, signal: Signal, tally: Tally) {
        let counters = self.of(signal);
        let add = |counter: &AtomicU64, value: u64| {
            counter.fetch_add(value, Ordering::Relaxed);
        };
        add(&counters.requests, 1);
        add(&counters.accepted, tally.accepted);
        add(&counters.rejected, tally.rejected);
        add(&counters.warnings, tally.warnings);
        add(&counters.bytes, tally.bytes as u64);
        add(&counters.wire_bytes, tally.wire_bytes as u64);
        add(&counters.decode_nanos, u64::try_from(tally.decode.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn refuse(&self, signal: Signal, refusal: &Refusal) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry((signal, refusal.reason())).or_default() += 1;
    }

    /// Records that were accepted.
    pub fn accepted(&self, signal: Signal) -> u64 {
        self.of(signal).accepted.load(Ordering::Relaxed)
    }

    /// Records that were left out of accepted requests.
    pub fn rejected(&self, signal: Signal) -> u64 {
        self.of(signal).rejected.load(Ordering::Relaxed)
    }

    /// Requests that were refused as a whole, by the word for the reason ([`Refusal::reason`]).
    pub fn refused(&self, signal: Signal, reason: &str) -> u64 {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.iter().filter(|((of, why), _)| (*of, *why) == (signal, reason)).map(|(_, count)| count).sum()
    }

    /// Appends the counters in Prometheus' text format.
    pub fn render(&self, out: &mut String) {
        type Read = fn(&SignalCounters) -> f64;
        let families: [(&str, &str, Read); 7] = [
            ("requests_total", "Requests accepted.", |c| c.requests.load(Ordering::Relaxed) as f64),
            ("records_accepted_total", "Spans, log records or data points stored.", |c| {
                c.accepted.load(Ordering::Relaxed) as f64
            }),
            ("records_rejected_total", "Spans, log records or data points left out of accepted requests.", |c| {
                c.rejected.load(Ordering::Relaxed) as f64
            }),
            ("warnings_total", "Oddities that were tolerated.", |c| c.warnings.load(Ordering::Relaxed) as f64),
            ("received_bytes_total", "Bytes of accepted requests after decompression.", |c| {
                c.bytes.load(Ordering::Relaxed) as f64
            }),
            ("received_wire_bytes_total", "Bytes of accepted requests as they came.", |c| {
                c.wire_bytes.load(Ordering::Relaxed) as f64
            }),
            ("decode_seconds_total", "Time spent on decompressing and decoding.", |c| {
                c.decode_nanos.load(Ordering::Relaxed) as f64 / 1e9
            }),
        ];
        for (name, help, read) in families {
            head(out, name, help);
            for signal in Signal::ALL {
                let value = read(self.of(signal));
                out.push_str(&format!("spanlight_collector_{name}{{signal=\"{signal}\"}} {value}\n"));
            }
        }
        let name = "requests_refused_total";
        head(out, name, "Requests refused as a whole.");
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        for ((signal, reason), count) in refused.iter() {
            let labels = format!("signal=\"{signal}\",reason=\"{reason}\"");
            out.push_str(&format!("spanlight_collector_{name}{{{labels}}} {count}\n"));
        }
    }
}

fn head(out: &mut String, name: &str, help: &str) {
    let name = format!("spanlight_collector_{name}");
    out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} counter\n"));
}
