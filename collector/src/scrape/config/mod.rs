//! What does the file of jobs say? It has the shape of Prometheus's `scrape_configs`; what is not known is an error with its place.
//!
//! - `quantity`: durations and sizes.
//! - `http`: how servers are asked.
//! - `job`: a job and where its targets are found.
//! - `names`: which names are taken.
//! - `shown`: the file without its secrets.

mod http;
mod job;
mod names;
mod quantity;
mod shown;
#[cfg(test)]
mod tests;

pub(super) use self::http::{Authorization, BasicAuth, HttpSettings, OAuth2, Secret, TlsSettings, TlsVersion};
pub(super) use job::{DnsDiscovery, EtcdDiscovery, FileDiscovery, HttpDiscovery, Job, Protocol, RecordKind};
pub(super) use names::Validation;
pub(super) use quantity::{duration_text, parse_duration};
pub(super) use shown::shown_job;

use job::Global;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// Why a file of jobs cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScrapeError(pub(super) String);

/// Scraping, as a person writes it in the settings file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScrapeConfig {
    /// The file of jobs, in the shape of Prometheus's `scrape_configs`. Empty: nothing is scraped.
    pub config_file: PathBuf,
}

impl ScrapeConfig {
    /// The text of the file; empty where there is none.
    pub(super) fn text(&self) -> Result<String, ScrapeError> {
        if self.config_file.as_os_str().is_empty() {
            return Ok(String::new());
        }
        std::fs::read_to_string(&self.config_file).map_err(|error| self.wrong(&error))
    }

    /// What a text of the file says, without its secrets.
    pub(super) fn shown(&self, text: &str) -> Result<String, ScrapeError> {
        shown::shown(text).map_err(|error| self.wrong(&error))
    }

    /// What it says of each job, and of all of them, secrets included: to tell what changes.
    pub(super) fn said(&self, text: &str) -> Result<BTreeMap<String, Value>, ScrapeError> {
        let mut file: Value = match text.trim() {
            "" => Value::Null,
            text => serde_saphyr::from_str(text).map_err(|error| self.wrong(&error))?,
        };
        let mut take = |key: &str| file.get_mut(key).map(Value::take).unwrap_or_default();
        let (head, jobs) = (take("global"), take("scrape_configs"));
        let jobs = jobs.as_array().into_iter().flatten();
        let said = |job: &Value| Some((job["job_name"].as_str()?.to_owned(), json!({ "head": head, "job": job })));
        Ok(jobs.filter_map(said).collect())
    }

    /// The jobs of a text of the file.
    pub(super) fn parsed(&self, text: &str) -> Result<Jobs, ScrapeError> {
        let folder = self.config_file.parent().unwrap_or(Path::new(""));
        parse(text, folder).map_err(|error| self.wrong(&error))
    }

    pub(super) fn wrong(&self, error: &dyn fmt::Display) -> ScrapeError {
        ScrapeError(format!("`scrape.config_file` {}: {error}", self.config_file.display()))
    }

    /// An error without the folder of the file, for those who may ask the server but not look at its disk.
    pub(super) fn without_folder(&self, error: &ScrapeError) -> String {
        let folder = self.config_file.parent().map(|folder| format!("{}/", folder.display())).unwrap_or_default();
        if folder.len() > 1 { error.to_string().replace(&folder, "") } else { error.to_string() }
    }

    /// Whether the file can be used, as far as that can be known without asking anyone.
    pub fn check(&self) -> Result<(), String> {
        let jobs = self.text().and_then(|text| self.parsed(&text)).map_err(|error| error.to_string())?;
        let lookups = super::client::Lookups::default();
        let checked = jobs.list.iter().try_for_each(|job| {
            job.failure_log.as_deref().map_or(Ok(()), super::failures::check)?;
            super::Servers::of(job, &lookups).map(drop)
        });
        checked.map_err(|error| self.wrong(&error).to_string())
    }
}

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct File {
    global: Option<Global>,
    scrape_configs: Option<Vec<Job>>,
    // What Prometheus's own file has, and what is set elsewhere here, or is not here.
    rule_files: Option<IgnoredAny>,
    alerting: Option<IgnoredAny>,
    storage: Option<IgnoredAny>,
    tracing: Option<IgnoredAny>,
    runtime: Option<IgnoredAny>,
}

impl File {
    /// Keys that are there and mean nothing here.
    fn ignored(&self) -> Vec<&'static str> {
        let keys = [
            ("rule_files", self.rule_files.is_some()),
            ("alerting", self.alerting.is_some()),
            ("storage", self.storage.is_some()),
            ("tracing", self.tracing.is_some()),
            ("runtime", self.runtime.is_some()),
        ];
        let keys = keys.into_iter().filter_map(|(key, is_there)| is_there.then_some(key));
        keys.chain(self.global.iter().flat_map(Global::ignored)).collect()
    }
}

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    pub(super) list: Vec<Job>,
    /// Keys that are there and mean nothing here.
    pub(super) ignored: Vec<&'static str>,
}

/// Reads the text of a file that lies in a folder.
pub(super) fn parse(text: &str, folder: &Path) -> Result<Jobs, ScrapeError> {
    let file: File = if text.trim().is_empty() {
        File::default()
    } else {
        serde_saphyr::from_str(text).map_err(|error| ScrapeError(error.to_string()))?
    };
    let (mut names, ignored) = (HashSet::new(), file.ignored());
    let global = file.global.unwrap_or_default().complete().map_err(|what| ScrapeError(format!("global: {what}")))?;
    let mut list = file.scrape_configs.unwrap_or_default();
    for job in &mut list {
        job.complete(&global, folder).map_err(|what| ScrapeError(format!("job {:?}: {what}", job.job_name)))?;
        if !names.insert(job.job_name.clone()) {
            return Err(ScrapeError(format!("job {:?} is there twice", job.job_name)));
        }
    }
    Ok(Jobs { list, ignored })
}
