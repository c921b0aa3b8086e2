//! What is a target, once its labels were rewritten?

use super::config::{Job, parse_duration};
use super::relabel::{self, Labels};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const PATH: &str = "__metrics_path__";
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";
const PARAMETER: &str = "__param_";

/// Something to scrape. Two that are equal are one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) url: String,
    /// The labels that its series have.
    pub(super) labels: Labels,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
}

impl Target {
    /// The target at an address with its group's labels; `None` where a rule drops it.
    pub(super) fn new(job: &Job, address: &str, group: &Labels) -> Result<Option<Self>, String> {
        let mut labels = group.clone();
        let milliseconds = |duration: Duration| format!("{}ms", duration.as_millis());
        labels.insert(ADDRESS.to_owned(), address.to_owned());
        for (name, value) in [
            ("job", job.job_name.clone()),
            (SCHEME, job.scheme.clone()),
            (PATH, job.metrics_path.clone()),
            (INTERVAL, milliseconds(job.scrape_interval)),
            (TIMEOUT, milliseconds(job.scrape_timeout)),
        ] {
            labels.entry(name.to_owned()).or_insert(value);
        }
        for (name, values) in &job.params {
            if let Some(first) = values.first() {
                labels.entry(format!("{PARAMETER}{name}")).or_insert_with(|| first.clone());
            }
        }
        if !relabel::apply(&job.relabel_configs, &mut labels) {
            return Ok(None);
        }
        Self::finish(job, labels).map(Some)
    }

    fn finish(job: &Job, mut labels: Labels) -> Result<Self, String> {
        let take = |name: &str| labels.get(name).cloned().unwrap_or_default();
        let (address, scheme, path) = (take(ADDRESS), take(SCHEME), take(PATH));
        if address.is_empty() || address.contains(['/', '?', '#', '@', ' ']) {
            return Err(format!("the address {address:?} is no host and port"));
        }
        let url = format!("{scheme}://{address}{}{path}", if path.starts_with('/') { "" } else { "/" });
        let mut url = reqwest::Url::parse(&url).map_err(|error| format!("{url:?} is no URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("the scheme {scheme:?} is neither http nor https"));
        }
        for (name, values) in &job.params {
            // The first one is a label, which a rule may have changed; further ones follow it.
            let further = values.get(1..).unwrap_or_default();
            let first = take(&format!("{PARAMETER}{name}"));
            let first = (!first.is_empty()).then_some(first);
            for value in first.iter().chain(further) {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        for (name, value) in &labels {
            if let Some(name) = name.strip_prefix(PARAMETER).filter(|name| !job.params.contains_key(*name)) {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        let duration = |name: &str| parse_duration(&take(name)).filter(|duration| !duration.is_zero());
        let interval = duration(INTERVAL).ok_or_else(|| format!("{INTERVAL} is no duration above 0"))?;
        let timeout = duration(TIMEOUT).ok_or_else(|| format!("{TIMEOUT} is no duration above 0"))?;
        if timeout > interval {
            return Err(format!("{TIMEOUT} is longer than {INTERVAL}"));
        }
        labels.entry("instance".to_owned()).or_insert(address);
        labels.retain(|name, value| !name.starts_with("__") && !value.is_empty());
        Ok(Target { url: url.into(), labels, interval, timeout })
    }

    /// When in its interval it is scraped (S4).
    pub(super) fn offset(&self) -> Duration {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        let interval = u64::try_from(self.interval.as_nanos()).unwrap_or(u64::MAX).max(1);
        Duration::from_nanos(hasher.finish() % interval)
    }
}
