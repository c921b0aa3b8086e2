//! Which limits do queries have? Each with its reason.

use crate::span_metrics;
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::sync::Arc;
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

/// Which attributes of resources are labels of their series in PromQL unless something else is set: those that Prometheus's guide to
/// OpenTelemetry names, without what `job` and `instance` tell already.
const PROMOTED: [&str; 15] = [
    "cloud.availability_zone",
    "cloud.region",
    "container.name",
    "deployment.environment",
    "deployment.environment.name",
    "k8s.cluster.name",
    "k8s.container.name",
    "k8s.cronjob.name",
    "k8s.daemonset.name",
    "k8s.deployment.name",
    "k8s.job.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.replicaset.name",
    "k8s.statefulset.name",
];

/// What PromQL's labels tell of the resource and scope of OpenTelemetry's metrics, beside `job` and `instance`. Series are kept by
/// both whole, so a change holds for what is stored, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PromoteConfig {
    /// Attributes of resources that are labels. Default: where it runs.
    pub resource_attributes: Vec<String>,
    /// Whether all of them are. Default: no.
    pub all_resource_attributes: bool,
    /// Those that are none all the same. Default: none.
    pub ignore_resource_attributes: Vec<String>,
    /// Whether `otel_scope_name` and the other labels of a scope are. Default: yes, so that two scopes' metrics of one name stay two.
    pub scope_metadata: bool,
}

impl Default for PromoteConfig {
    fn default() -> Self {
        PromoteConfig {
            resource_attributes: PROMOTED.map(str::to_owned).into(),
            all_resource_attributes: false,
            ignore_resource_attributes: Vec::new(),
            scope_metadata: true,
        }
    }
}

impl PromoteConfig {
    /// Whether a resource's attribute is a label.
    pub(crate) fn has(&self, key: &str) -> bool {
        let is_in = |list: &[String]| list.iter().any(|listed| listed == key);
        (self.all_resource_attributes || is_in(&self.resource_attributes)) && !is_in(&self.ignore_resource_attributes)
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
    /// What labels tell of their resources and scopes.
    pub promote: Arc<PromoteConfig>,
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
            promote: Arc::default(),
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
        for (key, list) in [
            ("resource_attributes", &self.promote.resource_attributes),
            ("ignore_resource_attributes", &self.promote.ignore_resource_attributes),
        ] {
            if list.iter().any(String::is_empty) {
                return Err(format!("`promote.{key}` has an empty name in it"));
            }
        }
        if self.timeout > self.max_timeout {
            return Err("`query.timeout_seconds` is longer than `query.max_timeout_seconds`".into());
        }
        Ok(())
    }

    /// The same, with spans kept so: those that metrics are made of are read before some of them go, and by one server.
    pub fn check_beside(&self, retention: &RetentionConfig, has_bucket: bool) -> Result<(), String> {
        if self.span_metrics && has_bucket {
            return Err("`query.span_metrics` is for one server, and `object_store.bucket` is for several".into());
        }
        let least_seconds = if self.span_metrics { span_metrics::READ_WITHIN_SECONDS } else { 0 };
        self.check().and_then(|()| retention.check_wait((least_seconds, "query.span_metrics")))
    }
}
