//! Which limits do queries have? Each with its reason.

use std::num::NonZeroUsize;
use std::time::Duration;

const MIB: u64 = 1024 * 1024;

/// Settings of the query side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Queries that run at once. Default: two per core, since a scan waits for the disk part of its time.
    pub concurrency: usize,
    /// Queries that may wait for their turn; one more is answered 503. Default 64: a dashboard or two.
    pub queue: usize,
    /// Time a query has, waiting included, unless it asks for another. Default 30 s.
    pub timeout: Duration,
    /// The most that a query may ask for. Default 5 min.
    pub max_timeout: Duration,
    /// Bytes that one query may hold. Default 256 MiB: a trace of some hundred thousand spans.
    pub memory_per_query: u64,
    /// Rows that one query may collect for its answer. Default 1,000,000.
    pub max_rows: u64,
    /// Whether metrics are made of spans (`span_metrics`). Default: no; they are series that somebody must want.
    pub span_metrics: bool,
}

impl Default for Config {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Config {
            concurrency: 2 * cores,
            queue: 64,
            timeout: Duration::from_secs(30),
            max_timeout: Duration::from_secs(300),
            memory_per_query: 256 * MIB,
            max_rows: 1_000_000,
            span_metrics: false,
        }
    }
}

impl Config {
    /// Whether queries can run so; the error names the setting.
    pub fn check(&self) -> Result<(), String> {
        let positive = [
            ("timeout_seconds", !self.timeout.is_zero()),
            ("max_timeout_seconds", !self.max_timeout.is_zero()),
            ("memory_bytes", self.memory_per_query > 0),
            ("max_rows", self.max_rows > 0),
            ("concurrency", self.concurrency > 0),
        ];
        if let Some((name, _)) = positive.into_iter().find(|(_, positive)| !positive) {
            return Err(format!("`query.{name}` is 0; zero does not mean unlimited here"));
        }
        if self.timeout > self.max_timeout {
            return Err("`query.timeout_seconds` is longer than `query.max_timeout_seconds`".into());
        }
        Ok(())
    }
}
