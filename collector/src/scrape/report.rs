//! How do targets describe themselves, and how did their last scrape go? As Prometheus lists its active targets.
//!
//! P1  A target is listed from the moment on at which its scraping begins until it ends, however it does.
//!
//! Not here: what is stored of a scrape (`series`); targets that rules drop, which nobody keeps.

use super::target::Target;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// When nothing was scraped yet, as Go writes the beginning of time.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// The targets that are scraped now. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Targets(Arc<Mutex<Listed>>);

#[derive(Debug, Default)]
struct Listed {
    next: u64,
    targets: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    job: String,
    target: Arc<Target>,
    last: Option<Last>,
}

/// How a scrape went.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Last {
    /// When, in milliseconds since 1970.
    pub(super) time: i64,
    pub(super) seconds: f64,
    /// Why it failed, if it did.
    pub(super) error: Option<String>,
}

/// A target's place in the list, which is given up when this is dropped (P1).
#[derive(Debug)]
pub(super) struct Place {
    targets: Targets,
    number: u64,
}

impl Targets {
    fn lock(&self) -> MutexGuard<'_, Listed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists a target.
    pub(super) fn enter(&self, job: &str, target: &Arc<Target>) -> Place {
        let mut listed = self.lock();
        listed.next += 1;
        let number = listed.next;
        listed.targets.insert(number, Entry { job: job.to_owned(), target: Arc::clone(target), last: None });
        Place { targets: self.clone(), number }
    }

    /// All of them, as the list `activeTargets` of Prometheus's API, by job and address.
    pub(crate) fn described(&self) -> Value {
        let listed = self.lock();
        let mut all: Vec<&Entry> = listed.targets.values().collect();
        all.sort_by(|a, b| (&a.job, &a.target.url, &a.target.labels).cmp(&(&b.job, &b.target.url, &b.target.labels)));
        all.into_iter().map(Entry::described).collect()
    }
}

impl Place {
    /// Takes note of a scrape.
    pub(super) fn tell(&self, last: Last) {
        if let Some(entry) = self.targets.lock().targets.get_mut(&self.number) {
            entry.last = Some(last);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.targets.lock().targets.remove(&self.number);
    }
}

impl Entry {
    fn described(&self) -> Value {
        let Entry { job, target, last } = self;
        let (health, error) = match last {
            None => ("unknown", ""),
            Some(Last { error: None, .. }) => ("up", ""),
            Some(Last { error: Some(error), .. }) => ("down", error.as_str()),
        };
        let time = last.as_ref().and_then(|last| jiff::Timestamp::from_millisecond(last.time).ok());
        let text = |duration| super::config::duration_text(duration);
        json!({
            // What rules saw before they rewrote it is not kept.
            "discoveredLabels": {},
            "labels": target.labels,
            "scrapePool": job,
            "scrapeUrl": target.url,
            "globalUrl": target.url,
            "lastError": error,
            "lastScrape": time.map_or_else(|| NEVER.to_owned(), |time| time.to_string()),
            "lastScrapeDuration": last.as_ref().map_or(0.0, |last| last.seconds),
            "health": health,
            "scrapeInterval": text(target.interval),
            "scrapeTimeout": text(target.timeout),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::relabel::Labels;
    use super::*;
    use std::time::Duration;

    #[test]
    fn p1_a_target_is_listed_while_it_is_scraped_with_how_that_went() {
        let targets = Targets::default();
        let target = |host: &str| {
            let labels = Labels::from([("instance".to_owned(), host.to_owned())]);
            let (interval, timeout) = (Duration::from_secs(15), Duration::from_secs(10));
            Arc::new(Target { url: format!("http://{host}/metrics"), labels, interval, timeout })
        };
        let [b, a] = ["b", "a"].map(|host| targets.enter("job", &target(host)));
        b.tell(Last { time: 1_500, seconds: 0.25, error: Some("it is away".into()) });
        let told = targets.described();
        let seen = |index: usize, keys: [&str; 4]| keys.map(|key| told[index][key].to_string());
        assert_eq!(
            seen(0, ["scrapeUrl", "health", "lastError", "lastScrape"]),
            ["\"http://a/metrics\"", "\"unknown\"", "\"\"", "\"0001-01-01T00:00:00Z\""]
        );
        assert_eq!(
            seen(1, ["health", "lastError", "lastScrape", "lastScrapeDuration"]),
            ["\"down\"", "\"it is away\"", "\"1970-01-01T00:00:01.5Z\"", "0.25"]
        );
        assert_eq!(
            seen(1, ["scrapeInterval", "scrapeTimeout", "scrapePool", "labels"]),
            ["\"15s\"", "\"10s\"", "\"job\"", "{\"instance\":\"b\"}"]
        );
        drop(a);
        b.tell(Last { time: 2_500, seconds: 0.5, error: None });
        let told = targets.described();
        assert_eq!((told.as_array().unwrap().len(), &told[0]["health"]), (1, &json!("up")));
    }
}
