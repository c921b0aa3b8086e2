//! What is a target, once its labels were rewritten?

use super::config::{Job, duration_text, parse_duration};
use super::relabel::{self, Labels};
use std::sync::Arc;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const PATH: &str = "__metrics_path__";
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";
const PARAMETER: &str = "__param_";
const NATIVE: &str = "__scrape_native_histograms__";
const CLASSIC: &str = "__always_scrape_classic_histograms__";
const CONVERTED: &str = "__convert_classic_histograms_to_nhcb__";

/// Something to scrape. Two that are equal are one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) url: String,
    /// The labels that its series have.
    pub(super) labels: Labels,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    pub(super) histograms: Histograms,
}

/// Which forms of histograms rules want of a target, where that is something else than what its job wants of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Histograms {
    native: Option<bool>,
    classic: Option<bool>,
    converted: Option<bool>,
}

impl Histograms {
    /// What the labels say, once rules rewrote them. An empty one says nothing.
    fn of(job: &Job, labels: &Labels) -> Result<Self, String> {
        let other = |name: &str, of_job: Option<bool>| {
            let text = labels.get(name).map_or("", String::as_str);
            let said = if text.is_empty() { None } else { Some(parse_bool(name, text)?) };
            Ok::<_, String>(said.filter(|said| Some(*said) != of_job))
        };
        Ok(Histograms {
            native: other(NATIVE, job.scrape_native_histograms)?,
            classic: other(CLASSIC, job.always_scrape_classic_histograms)?,
            converted: other(CONVERTED, job.convert_classic_histograms_to_nhcb)?,
        })
    }

    /// The job as it is for the target.
    pub(super) fn applied(self, job: &Arc<Job>) -> Arc<Job> {
        if self == Histograms::default() {
            return Arc::clone(job);
        }
        let mut own = Job::clone(job);
        own.scrape_native_histograms = self.native.or(own.scrape_native_histograms);
        own.always_scrape_classic_histograms = self.classic.or(own.always_scrape_classic_histograms);
        own.convert_classic_histograms_to_nhcb = self.converted.or(own.convert_classic_histograms_to_nhcb);
        Arc::new(own)
    }
}

/// A truth as Go reads it.
fn parse_bool(name: &str, text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("{name} is {text:?}, neither true nor false")),
    }
}

impl Target {
    /// The labels at an address with its group's, before rules rewrite them.
    pub(super) fn discovered(job: &Job, address: &str, group: &Labels) -> Labels {
        let mut labels = group.clone();
        // One with an empty value is not there.
        labels.retain(|_, value| !value.is_empty());
        labels.insert(ADDRESS.to_owned(), address.to_owned());
        let truth = |said: Option<bool>| said.unwrap_or_default().to_string();
        for (name, value) in [
            ("job", job.job_name.clone()),
            (SCHEME, job.scheme.clone()),
            (PATH, job.metrics_path.clone()),
            (INTERVAL, duration_text(job.scrape_interval)),
            (TIMEOUT, duration_text(job.scrape_timeout)),
            (NATIVE, truth(job.scrape_native_histograms)),
            (CLASSIC, truth(job.always_scrape_classic_histograms)),
            (CONVERTED, truth(job.convert_classic_histograms_to_nhcb)),
        ] {
            labels.entry(name.to_owned()).or_insert(value);
        }
        for (name, values) in &job.params {
            if let Some(first) = values.first() {
                labels.entry(format!("{PARAMETER}{name}")).or_insert_with(|| first.clone());
            }
        }
        labels
    }

    /// The target of such labels; `None` where a rule drops it.
    pub(super) fn of(job: &Job, discovered: &Labels) -> Result<Option<Self>, String> {
        let mut labels = discovered.clone();
        if !relabel::apply(&job.relabel_configs, &mut labels) {
            return Ok(None);
        }
        Self::finish(job, labels).map(Some)
    }

    /// The same at an address.
    #[cfg(test)]
    pub(super) fn new(job: &Job, address: &str, group: &Labels) -> Result<Option<Self>, String> {
        Self::of(job, &Self::discovered(job, address, group))
    }

    fn finish(job: &Job, mut labels: Labels) -> Result<Self, String> {
        let take = |name: &str| labels.get(name).cloned().unwrap_or_default();
        let (address, scheme, path) = (take(ADDRESS), take(SCHEME), take(PATH));
        let is_foreign = |letter: char| letter.is_whitespace() || matches!(letter, '/' | '\\' | '?' | '#' | '@');
        if address.is_empty() || address.contains(is_foreign) {
            return Err(format!("the address {address:?} is no host and port"));
        }
        let url = format!("{scheme}://{address}{}{path}", if path.starts_with('/') { "" } else { "/" });
        let mut url = reqwest::Url::parse(&url).map_err(|error| format!("{url:?} is no URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("the scheme {scheme:?} is neither http nor https"));
        }
        let mut parameters = job.params.clone();
        for (name, value) in &labels {
            let Some(name) = name.strip_prefix(PARAMETER) else { continue };
            // The first value is a label, which a rule may have changed; further ones follow it.
            let values = parameters.entry(name.to_owned()).or_default();
            match values.first_mut() {
                Some(first) => first.clone_from(value),
                None => values.push(value.clone()),
            }
        }
        for (name, value) in parameters.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)))
        {
            url.query_pairs_mut().append_pair(name, value);
        }
        let duration = |name: &str| parse_duration(&take(name)).filter(|duration| !duration.is_zero());
        let interval = duration(INTERVAL).ok_or_else(|| format!("{INTERVAL} is no duration above 0"))?;
        let timeout = duration(TIMEOUT).ok_or_else(|| format!("{TIMEOUT} is no duration above 0"))?;
        if timeout > interval {
            return Err(format!("{TIMEOUT} is longer than {INTERVAL}"));
        }
        let histograms = Histograms::of(job, &labels)?;
        labels.entry("instance".to_owned()).or_insert(address);
        labels.retain(|name, value| !name.starts_with("__") && !value.is_empty());
        Ok(Target { url: url.into(), labels, interval, timeout, histograms })
    }

    /// How long after a moment, in Unix nanoseconds, it is scraped first: at its own offset in its interval, whenever that moment
    /// is (S4).
    pub(super) fn wait(&self, now: i64) -> Duration {
        let interval = u64::try_from(self.interval.as_nanos()).unwrap_or(u64::MAX).max(1);
        let mut identity = self.url.clone();
        for (name, value) in &self.labels {
            identity.extend(["\0", name, "\0", value]);
        }
        let offset = xxh3_64(identity.as_bytes()) % interval;
        let passed = u64::try_from(now).unwrap_or_default() % interval;
        let wait = if offset >= passed { offset - passed } else { interval - (passed - offset) };
        Duration::from_nanos(wait)
    }
}
