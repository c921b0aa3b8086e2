//! Which limits do queries have? Each with its reason.

use crate::span_metrics;
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::time::Duration;
use storage::retention::RetentionConfig;

const MIB: u64 = 1024 * 1024;

/// How OpenTelemetry's metrics are called in Prometheus, by Prometheus's names for it. Names of what came by Prometheus's own doors are
/// never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum TranslationStrategy {
    /// Underscores for what is no letter, digit or colon; suffixes for unit and kind: `http_server_duration_seconds`.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// Underscores, no suffixes: `http_server_duration`.
    UnderscoreEscapingWithoutSuffixes,
    /// Names as they are, with suffixes: `http.server.duration_seconds`.
    #[serde(rename = "NoUTF8EscapingWithSuffixes")]
    NoUtf8EscapingWithSuffixes,
    /// Names as they are: `http.server.duration`. Metrics of one name and different units become one.
    NoTranslation,
}

impl TranslationStrategy {
    /// Whether letters that older names do not have become underscores.
    pub(crate) fn escapes(self) -> bool {
        use TranslationStrategy::{UnderscoreEscapingWithSuffixes, UnderscoreEscapingWithoutSuffixes};
        matches!(self, UnderscoreEscapingWithSuffixes | UnderscoreEscapingWithoutSuffixes)
    }
}

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
    /// How PromQL calls OpenTelemetry's metrics. Default: as Prometheus's own receiver does.
    pub translation_strategy: TranslationStrategy,
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
            translation_strategy: TranslationStrategy::default(),
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

    /// The same, with spans kept so: those that metrics are made of are read before some of them go.
    pub fn check_beside(&self, retention: &RetentionConfig) -> Result<(), String> {
        let least_seconds = if self.span_metrics { span_metrics::READ_WITHIN_SECONDS } else { 0 };
        self.check().and_then(|()| retention.check_wait((least_seconds, "query.span_metrics")))
    }
}
