//! What does a job say, by Prometheus's names, and where are its targets found?

use super::http::{HttpSettings, WithHttp, check_url};
use super::names::{Escaping, Naming, Validation, blank_or};
use super::quantity::{duration, size};
use crate::decode::remote::Resolution;
use crate::scrape::discovery::Group;
use crate::scrape::relabel::Rule;
use crate::scrape::target::Target;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A format, by Prometheus's name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(in super::super) enum Protocol {
    #[serde(rename = "PrometheusProto")]
    Protobuf,
    #[serde(rename = "OpenMetricsText0.0.1")]
    OpenMetrics0,
    #[serde(rename = "OpenMetricsText1.0.0")]
    OpenMetrics1,
    #[serde(rename = "PrometheusText0.0.4")]
    Text0,
    #[serde(rename = "PrometheusText1.0.0")]
    Text1,
}

impl Protocol {
    /// As files write it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Protocol::Protobuf => "PrometheusProto",
            Protocol::OpenMetrics0 => "OpenMetricsText0.0.1",
            Protocol::OpenMetrics1 => "OpenMetricsText1.0.0",
            Protocol::Text0 => "PrometheusText0.0.4",
            Protocol::Text1 => "PrometheusText1.0.0",
        }
    }
}

/// Those that are asked for unless a file says otherwise; before them protobuf, where native histograms are wanted.
const PROTOCOLS: [Protocol; 5] =
    [Protocol::Protobuf, Protocol::OpenMetrics1, Protocol::OpenMetrics0, Protocol::Text1, Protocol::Text0];

/// What all jobs have unless they say otherwise.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Global {
    #[serde(deserialize_with = "duration")]
    scrape_interval: Duration,
    #[serde(deserialize_with = "duration")]
    scrape_timeout: Duration,
    scrape_protocols: Vec<Protocol>,
    scrape_native_histograms: bool,
    always_scrape_classic_histograms: bool,
    convert_classic_histograms_to_nhcb: bool,
    extra_scrape_metrics: bool,
    #[serde(deserialize_with = "size")]
    body_size_limit: usize,
    sample_limit: usize,
    target_limit: usize,
    label_limit: usize,
    label_name_length_limit: usize,
    label_value_length_limit: usize,
    keep_dropped_targets: usize,
    #[serde(deserialize_with = "blank_or")]
    metric_name_validation_scheme: Option<Validation>,
    #[serde(deserialize_with = "blank_or")]
    metric_name_escaping_scheme: Option<Escaping>,
    scrape_failure_log_file: PathBuf,
    // What is about something else than scraping.
    evaluation_interval: Option<IgnoredAny>,
    external_labels: Option<IgnoredAny>,
    query_log_file: Option<IgnoredAny>,
    rule_query_offset: Option<IgnoredAny>,
}

const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

impl Global {
    pub(super) fn complete(mut self) -> Result<Self, String> {
        if self.scrape_interval.is_zero() {
            self.scrape_interval = DEFAULT_INTERVAL;
        }
        if self.scrape_timeout > self.scrape_interval {
            return Err("scrape_timeout is longer than scrape_interval".to_owned());
        }
        if self.scrape_timeout.is_zero() {
            self.scrape_timeout = DEFAULT_TIMEOUT.min(self.scrape_interval);
        }
        check_protocols(&self.scrape_protocols)?;
        Ok(self)
    }

    /// Keys that are there and mean nothing here.
    pub(super) fn ignored(&self) -> impl Iterator<Item = &'static str> {
        let keys = [
            ("global.evaluation_interval", self.evaluation_interval.is_some()),
            ("global.external_labels", self.external_labels.is_some()),
            ("global.query_log_file", self.query_log_file.is_some()),
            ("global.rule_query_offset", self.rule_query_offset.is_some()),
        ];
        keys.into_iter().filter_map(|(key, is_there)| is_there.then_some(key))
    }
}

fn check_protocols(protocols: &[Protocol]) -> Result<(), String> {
    let is_twice = |(place, protocol): (usize, &Protocol)| protocols.iter().skip(place + 1).any(|own| own == protocol);
    if protocols.iter().enumerate().any(is_twice) {
        return Err("scrape_protocols has one twice".to_owned());
    }
    Ok(())
}

/// A job with what it says about HTTP.
pub(in super::super) type Job = WithHttp<JobKeys>;

/// A job's own keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct JobKeys {
    pub(in super::super) job_name: String,
    #[serde(default, deserialize_with = "duration")]
    pub(in super::super) scrape_interval: Duration,
    #[serde(default, deserialize_with = "duration")]
    pub(in super::super) scrape_timeout: Duration,
    #[serde(default)]
    pub(in super::super) scrape_protocols: Vec<Protocol>,
    #[serde(default)]
    pub(in super::super) fallback_scrape_protocol: Option<Protocol>,
    #[serde(default)]
    pub(in super::super) scrape_native_histograms: Option<bool>,
    #[serde(default)]
    pub(in super::super) always_scrape_classic_histograms: Option<bool>,
    #[serde(default)]
    pub(in super::super) convert_classic_histograms_to_nhcb: Option<bool>,
    #[serde(default)]
    pub(in super::super) extra_scrape_metrics: Option<bool>,
    #[serde(default = "metrics_path")]
    pub(in super::super) metrics_path: String,
    #[serde(default = "http")]
    pub(in super::super) scheme: String,
    #[serde(default)]
    pub(in super::super) params: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub(in super::super) honor_labels: bool,
    #[serde(default = "yes")]
    pub(in super::super) honor_timestamps: bool,
    #[serde(default)]
    pub(in super::super) track_timestamps_staleness: bool,
    #[serde(default = "yes")]
    pub(in super::super) enable_compression: bool,
    #[serde(default, deserialize_with = "size")]
    pub(in super::super) body_size_limit: usize,
    #[serde(default)]
    pub(in super::super) sample_limit: usize,
    #[serde(default)]
    pub(in super::super) target_limit: usize,
    #[serde(default)]
    pub(in super::super) label_limit: usize,
    #[serde(default)]
    pub(in super::super) label_name_length_limit: usize,
    #[serde(default)]
    pub(in super::super) label_value_length_limit: usize,
    #[serde(default)]
    pub(in super::super) keep_dropped_targets: usize,
    #[serde(default, deserialize_with = "blank_or")]
    pub(in super::super) metric_name_validation_scheme: Option<Validation>,
    #[serde(default, deserialize_with = "blank_or")]
    pub(in super::super) metric_name_escaping_scheme: Option<Escaping>,
    /// As the file says it.
    #[serde(default)]
    pub(super) scrape_failure_log_file: PathBuf,
    /// The same from the file's folder, if there is one.
    #[serde(skip)]
    pub(in super::super) failure_log: Option<PathBuf>,
    #[serde(default)]
    pub(in super::super) native_histogram_bucket_limit: usize,
    #[serde(default)]
    pub(in super::super) native_histogram_min_bucket_factor: f64,
    #[serde(default)]
    pub(in super::super) static_configs: Vec<Group>,
    #[serde(default)]
    pub(in super::super) file_sd_configs: Vec<FileDiscovery>,
    #[serde(default)]
    pub(in super::super) http_sd_configs: Vec<WithHttp<HttpDiscovery>>,
    #[serde(default)]
    pub(in super::super) dns_sd_configs: Vec<DnsDiscovery>,
    #[serde(default)]
    pub(in super::super) etcd_sd_configs: Vec<WithHttp<EtcdDiscovery>>,
    #[serde(default)]
    pub(in super::super) relabel_configs: Vec<Rule>,
    #[serde(default)]
    pub(in super::super) metric_relabel_configs: Vec<Rule>,
}

/// Files that list targets; in the last part of a path a `*` stands for any letters.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct FileDiscovery {
    pub(in super::super) files: Vec<PathBuf>,
    /// Files are looked at every few seconds anyway.
    #[serde(default, rename = "refresh_interval", deserialize_with = "duration")]
    _refresh_interval: Duration,
}

/// A URL that lists targets.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct HttpDiscovery {
    pub(in super::super) url: String,
    #[serde(default = "minute", deserialize_with = "duration")]
    pub(in super::super) refresh_interval: Duration,
}

/// Names whose records in the DNS are targets.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct DnsDiscovery {
    pub(in super::super) names: Vec<String>,
    #[serde(default)]
    pub(in super::super) r#type: RecordKind,
    /// What SRV records say themselves.
    #[serde(default)]
    pub(in super::super) port: u16,
    #[serde(default = "half_a_minute", deserialize_with = "duration")]
    pub(in super::super) refresh_interval: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(in super::super) enum RecordKind {
    #[default]
    #[serde(rename = "SRV", alias = "srv")]
    Service,
    #[serde(rename = "A", alias = "a")]
    Address4,
    #[serde(rename = "AAAA", alias = "aaaa")]
    Address6,
    #[serde(rename = "MX", alias = "mx")]
    Mail,
}

/// A prefix under which services register themselves in etcd, commonly with a lease.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct EtcdDiscovery {
    /// URLs of the cluster's members; the first that answers is asked.
    pub(in super::super) endpoints: Vec<String>,
    pub(in super::super) prefix: String,
    /// Looked at when a key changes, and as often as this.
    #[serde(default = "half_a_minute", deserialize_with = "duration")]
    pub(in super::super) refresh_interval: Duration,
}

fn metrics_path() -> String {
    "/metrics".to_owned()
}

fn http() -> String {
    "http".to_owned()
}

fn yes() -> bool {
    true
}

fn minute() -> Duration {
    Duration::from_secs(60)
}

fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}

/// Schemas to which a factor between buckets may bring a histogram.
const SCHEMAS: (i32, i32) = (-4, 8);

impl Job {
    /// How fine native histograms are kept; `None` where they stay as they are told.
    pub(in super::super) fn resolution(&self) -> Option<Resolution> {
        let (limit, factor) = (self.native_histogram_bucket_limit, self.native_histogram_min_bucket_factor);
        let (coarsest, finest) = SCHEMAS;
        // The finest schema at which a bucket's bound is at least so many times that of the one before.
        let schema = if factor > 1.0 { -factor.log2().log2() } else { finest.into() };
        let max_schema = (coarsest..=finest).rev().find(|own| f64::from(*own) <= schema).unwrap_or(coarsest);
        let max_buckets = if limit == 0 { usize::MAX } else { limit };
        (limit > 0 || max_schema < finest).then_some(Resolution { max_schema, max_buckets })
    }

    /// Fills in what the file's head says, and looks whether it fits.
    pub(super) fn complete(&mut self, global: &Global, folder: &Path) -> Result<(), String> {
        if self.scrape_interval.is_zero() {
            self.scrape_interval = global.scrape_interval;
        }
        if self.scrape_timeout.is_zero() {
            self.scrape_timeout = global.scrape_timeout.min(self.scrape_interval);
        }
        if self.scrape_timeout > self.scrape_interval {
            return Err("scrape_timeout is longer than scrape_interval".to_owned());
        }
        if self.job_name.is_empty() {
            return Err("job_name is empty".to_owned());
        }
        if !matches!(self.scheme.as_str(), "http" | "https") {
            return Err(format!("scheme is {:?}, neither http nor https", self.scheme));
        }
        self.inherit(global);
        let failure_log = Some(&self.scrape_failure_log_file).filter(|path| !path.as_os_str().is_empty());
        self.failure_log = failure_log.map(|path| folder.join(path));
        let validation = self.complete_naming(global)?;
        check_protocols(&self.scrape_protocols)?;
        self.http.complete(folder)?;
        self.complete_discovery(folder)?;
        let keys = &mut **self;
        keys.relabel_configs
            .iter_mut()
            .chain(&mut keys.metric_relabel_configs)
            .try_for_each(|rule| rule.check(validation))?;
        self.check_targets()
    }

    /// What no rule rewrites must be addresses as they are.
    fn check_targets(&self) -> Result<(), String> {
        for group in self.static_configs.iter().filter(|_| self.relabel_configs.is_empty()) {
            for address in &group.targets {
                let discovered = Target::discovered(self, address, &group.labels);
                Target::of(self, &discovered).map_err(|what| format!("static_configs: {what}"))?;
            }
        }
        Ok(())
    }

    fn complete_naming(&mut self, global: &Global) -> Result<Validation, String> {
        let naming = |validation, escaping| Naming { validation, escaping };
        let own = naming(self.metric_name_validation_scheme, self.metric_name_escaping_scheme);
        let head = naming(global.metric_name_validation_scheme, global.metric_name_escaping_scheme);
        let (validation, escaping) = own.complete(head)?;
        self.metric_name_validation_scheme = Some(validation);
        self.metric_name_escaping_scheme = Some(escaping);
        Ok(validation)
    }

    fn inherit(&mut self, global: &Global) {
        let native = *self.scrape_native_histograms.get_or_insert(global.scrape_native_histograms);
        self.always_scrape_classic_histograms.get_or_insert(global.always_scrape_classic_histograms);
        self.convert_classic_histograms_to_nhcb.get_or_insert(global.convert_classic_histograms_to_nhcb);
        self.extra_scrape_metrics.get_or_insert(global.extra_scrape_metrics);
        if self.scrape_failure_log_file.as_os_str().is_empty() {
            self.scrape_failure_log_file.clone_from(&global.scrape_failure_log_file);
        }
        if self.scrape_protocols.is_empty() {
            self.scrape_protocols.clone_from(&global.scrape_protocols);
        }
        if self.scrape_protocols.is_empty() {
            self.scrape_protocols = PROTOCOLS.into_iter().skip(usize::from(!native)).collect();
        }
        let keys = &mut **self;
        for (own, all) in [
            (&mut keys.body_size_limit, global.body_size_limit),
            (&mut keys.sample_limit, global.sample_limit),
            (&mut keys.target_limit, global.target_limit),
            (&mut keys.label_limit, global.label_limit),
            (&mut keys.label_name_length_limit, global.label_name_length_limit),
            (&mut keys.label_value_length_limit, global.label_value_length_limit),
            (&mut keys.keep_dropped_targets, global.keep_dropped_targets),
        ] {
            if *own == 0 {
                *own = all;
            }
        }
    }

    fn complete_discovery(&mut self, folder: &Path) -> Result<(), String> {
        let positive = |key: &str, interval: Duration| match interval.is_zero() {
            true => Err(format!("{key}: refresh_interval is 0")),
            false => Ok(()),
        };
        self.static_configs.iter().try_for_each(Group::check).map_err(|what| format!("static_configs: {what}"))?;
        for files in &mut self.file_sd_configs {
            for path in &mut files.files {
                *path = folder.join(&*path);
                check_pattern(path).map_err(|what| format!("file_sd_configs: {what}"))?;
            }
        }
        for list in &mut self.http_sd_configs {
            check_url("http_sd_configs: url", &list.url)?;
            positive("http_sd_configs", list.refresh_interval)?;
            list.http.complete(folder).map_err(|what| format!("http_sd_configs: {what}"))?;
        }
        for dns in &self.dns_sd_configs {
            positive("dns_sd_configs", dns.refresh_interval)?;
            if dns.names.is_empty() {
                return Err("dns_sd_configs: there are no names".to_owned());
            }
            if dns.port == 0 && dns.r#type != RecordKind::Service {
                return Err("dns_sd_configs: records of another type than SRV need a port".to_owned());
            }
        }
        for etcd in &mut self.etcd_sd_configs {
            positive("etcd_sd_configs", etcd.refresh_interval)?;
            if etcd.prefix.is_empty() || etcd.endpoints.is_empty() {
                return Err("etcd_sd_configs: endpoints and a prefix are needed".to_owned());
            }
            etcd.endpoints.iter().try_for_each(|url| check_url("etcd_sd_configs: endpoint", url))?;
            etcd.http.complete(folder).map_err(|what| format!("etcd_sd_configs: {what}"))?;
            let HttpSettings { authorization, oauth2, .. } = &etcd.http;
            if authorization.is_some() || oauth2.is_some() {
                return Err("etcd_sd_configs: etcd knows users and passwords only (basic_auth)".to_owned());
            }
        }
        Ok(())
    }
}

/// A path to a list of targets ends as one, and has stars in its last part only.
fn check_pattern(path: &Path) -> Result<(), String> {
    let shown = path.display();
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if !matches!(extension, "json" | "yml" | "yaml" | "JSON" | "YML" | "YAML") {
        return Err(format!("{shown} ends neither in .json nor in .yml or .yaml"));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    if folder.to_string_lossy().contains('*') {
        return Err(format!("{shown} has a star before its last part"));
    }
    Ok(())
}
