//! What does the file of jobs say? It has the shape of Prometheus's `scrape_configs`; what is not known is an error with its place.

use super::discovery::Group;
use super::relabel::Rule;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Why a file of jobs cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScrapeError(String);

/// Scraping, as a person writes it in the settings file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScrapeConfig {
    /// The file of jobs, in the shape of Prometheus's `scrape_configs`. Empty: nothing is scraped.
    pub config_file: PathBuf,
}

impl ScrapeConfig {
    /// The jobs of the file.
    pub(super) fn load(&self) -> Result<Jobs, ScrapeError> {
        if self.config_file.as_os_str().is_empty() {
            return Ok(Jobs::default());
        }
        let path = self.config_file.display();
        let told = |error: &dyn fmt::Display| ScrapeError(format!("`scrape.config_file` {path}: {error}"));
        let text = std::fs::read_to_string(&self.config_file).map_err(|error| told(&error))?;
        Jobs::parse(&text).map_err(|error| told(&error))
    }

    /// Whether the file can be used.
    pub fn check(&self) -> Result<(), String> {
        self.load().map(drop).map_err(|error| error.to_string())
    }
}

/// The jobs of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Jobs {
    pub(super) list: Vec<Job>,
}

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct File {
    global: Global,
    scrape_configs: Vec<Job>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Global {
    #[serde(deserialize_with = "duration")]
    scrape_interval: Duration,
    #[serde(deserialize_with = "duration")]
    scrape_timeout: Duration,
}

impl Default for Global {
    fn default() -> Self {
        Global { scrape_interval: Duration::from_secs(60), scrape_timeout: Duration::from_secs(10) }
    }
}

/// A job, by Prometheus's names.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Job {
    pub(super) job_name: String,
    #[serde(default, deserialize_with = "duration")]
    pub(super) scrape_interval: Duration,
    #[serde(default, deserialize_with = "duration")]
    pub(super) scrape_timeout: Duration,
    #[serde(default = "metrics_path")]
    pub(super) metrics_path: String,
    #[serde(default = "http")]
    pub(super) scheme: String,
    #[serde(default)]
    pub(super) params: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub(super) honor_labels: bool,
    #[serde(default = "yes")]
    pub(super) honor_timestamps: bool,
    #[serde(default = "yes")]
    pub(super) follow_redirects: bool,
    #[serde(default, deserialize_with = "size")]
    pub(super) body_size_limit: usize,
    #[serde(default)]
    pub(super) sample_limit: usize,
    #[serde(default)]
    pub(super) label_limit: usize,
    #[serde(default)]
    pub(super) label_name_length_limit: usize,
    #[serde(default)]
    pub(super) label_value_length_limit: usize,
    #[serde(default)]
    pub(super) basic_auth: Option<BasicAuth>,
    #[serde(default)]
    pub(super) authorization: Option<Authorization>,
    #[serde(default)]
    pub(super) static_configs: Vec<Group>,
    #[serde(default)]
    pub(super) file_sd_configs: Vec<FileDiscovery>,
    #[serde(default)]
    pub(super) http_sd_configs: Vec<HttpDiscovery>,
    #[serde(default)]
    pub(super) relabel_configs: Vec<Rule>,
    #[serde(default)]
    pub(super) metric_relabel_configs: Vec<Rule>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BasicAuth {
    pub(super) username: String,
    #[serde(default)]
    pub(super) password: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Authorization {
    #[serde(default = "bearer")]
    pub(super) r#type: String,
    pub(super) credentials: String,
}

/// Files that list targets; in the last part of a path a `*` stands for any letters.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileDiscovery {
    pub(super) files: Vec<String>,
    /// Files are looked at every few seconds anyway.
    #[serde(default, rename = "refresh_interval", deserialize_with = "duration")]
    _refresh_interval: Duration,
}

/// A URL that lists targets.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpDiscovery {
    pub(super) url: String,
    #[serde(default = "minute", deserialize_with = "duration")]
    pub(super) refresh_interval: Duration,
}

fn metrics_path() -> String {
    "/metrics".to_owned()
}

fn http() -> String {
    "http".to_owned()
}

fn bearer() -> String {
    "Bearer".to_owned()
}

fn yes() -> bool {
    true
}

fn minute() -> Duration {
    Duration::from_secs(60)
}

impl Jobs {
    /// Reads the text of a file.
    pub(super) fn parse(text: &str) -> Result<Jobs, ScrapeError> {
        let file: File = if text.trim().is_empty() {
            File::default()
        } else {
            serde_saphyr::from_str(text).map_err(|error| ScrapeError(error.to_string()))?
        };
        let mut names = HashSet::new();
        let mut list = file.scrape_configs;
        for job in &mut list {
            job.complete(file.global).map_err(|what| ScrapeError(format!("job {:?}: {what}", job.job_name)))?;
            if !names.insert(job.job_name.clone()) {
                return Err(ScrapeError(format!("job {:?} is there twice", job.job_name)));
            }
        }
        Ok(Jobs { list })
    }
}

impl Job {
    /// Fills in what the file's head says, and looks whether it fits.
    fn complete(&mut self, global: Global) -> Result<(), String> {
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
        if self.basic_auth.is_some() && self.authorization.is_some() {
            return Err("basic_auth and authorization are both there".to_owned());
        }
        self.relabel_configs.iter_mut().chain(&mut self.metric_relabel_configs).try_for_each(Rule::check)
    }
}

/// A duration as Prometheus writes it: `15s`, `1m30s`, `100ms`.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 7] = [
        ("ms", 1),
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
        ("w", 604_800_000),
        ("y", 31_536_000_000),
    ];
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut sum) = (text, 0u64);
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        let (number, after) = rest.split_at_checked(digits)?;
        let letters = after.len() - after.trim_start_matches(|letter: char| letter.is_ascii_alphabetic()).len();
        let (unit, after) = after.split_at_checked(letters)?;
        let (_, factor) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(Duration::from_millis(sum))
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no duration, such as 15s")))
}

/// Bytes as Prometheus writes them: `10MB`, which are 10 times 1024 times 1024.
fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    const UNITS: [(&str, usize); 9] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("KB", 1 << 10),
        ("MB", 1 << 20),
        ("GB", 1 << 30),
        ("TB", 1 << 40),
        ("B", 1),
        ("", 1),
    ];
    let text = String::deserialize(deserializer)?;
    let parse =
        |(unit, factor): (&str, usize)| text.strip_suffix(unit)?.trim().parse::<usize>().ok()?.checked_mul(factor);
    let bytes = UNITS.into_iter().find_map(parse);
    bytes.ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no size, such as 10MB")))
}
