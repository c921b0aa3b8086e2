//! How do targets describe themselves, and how did their last scrape go? As Prometheus lists targets, and what they tell of their metrics.
//!
//! P1  A target is listed from the moment on at which its scraping begins until it ends, however it does.
//! P2  Of the targets of a job that its rules drop, [`MAX_DROPPED`] are listed; all are counted.
//!
//! Not here: what is stored of a scrape (`series`); which targets are asked for (`query`).

use super::Found;
use super::config::Job;
use super::relabel::{self, Labels};
use super::series::Known;
use super::target::Target;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// When nothing was scraped yet, as Go writes the beginning of time.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Dropped targets of a job that are listed, with all of their labels.
pub(super) const MAX_DROPPED: usize = 1_000;

/// The targets that are scraped now. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Targets(Arc<Mutex<Listed>>);

#[derive(Debug, Default)]
struct Listed {
    next: u64,
    targets: BTreeMap<u64, Entry>,
    /// What was found for each job.
    jobs: BTreeMap<String, Arc<Found>>,
    config: String,
    pools: BTreeMap<String, Arc<Pool>>,
    loading: Loading,
}

/// A job as it is told.
#[derive(Debug)]
pub(crate) struct Pool {
    /// Without its secrets.
    pub(crate) yaml: String,
    job: Arc<Job>,
}

impl Pool {
    pub(super) fn new(job: &Arc<Job>, said: Value) -> Self {
        Pool { yaml: super::config::shown_job(job, said), job: Arc::clone(job) }
    }

    /// What each rule for targets makes of labels.
    pub(crate) fn relabel_steps(&self, labels: Labels) -> Value {
        relabel::steps(&self.job.relabel_configs, labels)
    }
}

/// How the file of jobs was read.
#[derive(Debug, Clone, Default)]
struct Loading {
    /// Why it could not be used the last time.
    trouble: Option<String>,
    /// When it was used first as it is, in milliseconds since 1970.
    time: Option<i64>,
}

#[derive(Debug)]
struct Entry {
    job: String,
    target: Arc<Target>,
    last: Option<Last>,
    /// The series of the last scrape that went well.
    known: Arc<Known>,
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
        listed.targets.insert(
            number,
            Entry { job: job.to_owned(), target: Arc::clone(target), last: None, known: Arc::default() },
        );
        Place { targets: self.clone(), number }
    }

    /// Takes note of what was found for a job.
    pub(super) fn found(&self, job: &str, found: Arc<Found>) {
        self.lock().jobs.insert(job.to_owned(), found);
    }

    /// Takes note of the file of jobs, without its secrets, and of each job.
    pub(super) fn configured(&self, text: String, pools: BTreeMap<String, Arc<Pool>>) {
        let mut listed = self.lock();
        (listed.config, listed.pools) = (text, pools);
    }

    /// The job of a name.
    pub(crate) fn pool(&self, job: &str) -> Option<Arc<Pool>> {
        self.lock().pools.get(job).cloned()
    }

    /// Takes note of a look at the file of jobs, and of the moment where it is used from then on.
    pub(super) fn read(&self, trouble: Option<String>, since: Option<i64>) {
        let loading = &mut self.lock().loading;
        *loading = Loading { trouble, time: since.or(loading.time) };
    }

    /// Whether the file of jobs could be used the last time, and since when it is.
    pub(crate) fn loading(&self) -> Value {
        let Loading { trouble, time } = &self.lock().loading;
        json!({ "isUsable": trouble.is_none(), "since": time })
    }

    /// Why the file of jobs could not be used the last time.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.lock().loading.trouble.clone()
    }

    /// Takes note that a job has ended.
    pub(super) fn forget(&self, job: &str) {
        self.lock().jobs.remove(job);
    }

    /// The file of jobs, without its secrets.
    pub(crate) fn config(&self) -> String {
        self.lock().config.clone()
    }

    /// All of them, as `activeTargets`, `droppedTargets` and `droppedTargetCounts` of Prometheus's API, by job and address.
    pub(crate) fn described(&self) -> Value {
        let listed = self.lock();
        let active: Vec<Value> = listed.sorted().into_iter().map(|entry| listed.described(entry)).collect();
        let dropped = |(job, found): (&String, &Arc<Found>)| -> Vec<Value> {
            let list = found.dropped.iter();
            list.map(|labels| json!({ "discoveredLabels": labels, "scrapePool": job })).collect()
        };
        let dropped: Vec<Value> = listed.jobs.iter().flat_map(dropped).collect();
        let counts: BTreeMap<&str, usize> =
            listed.jobs.iter().map(|(job, found)| (job.as_str(), found.dropped_count)).collect();
        json!({ "activeTargets": active, "droppedTargets": dropped, "droppedTargetCounts": counts })
    }

    /// What each target told of each metric, by target: as Prometheus's `/targets/metadata` lists it.
    pub(crate) fn metadata(&self) -> Value {
        let listed = self.lock();
        let told = |entry: &Entry| -> Vec<Value> {
            let families = entry.known.families().into_iter();
            let told = families.map(|(name, family)| {
                json!({
                    "target": entry.target.labels,
                    "metric": name,
                    "type": family.type_name(),
                    "help": family.help,
                    "unit": family.unit,
                })
            });
            told.collect()
        };
        listed.sorted().into_iter().flat_map(told).collect()
    }
}

impl Listed {
    fn sorted(&self) -> Vec<&Entry> {
        let mut all: Vec<&Entry> = self.targets.values().collect();
        all.sort_by(|a, b| (&a.job, &a.target.url, &a.target.labels).cmp(&(&b.job, &b.target.url, &b.target.labels)));
        all
    }

    fn described(&self, entry: &Entry) -> Value {
        let discovered = self.jobs.get(&entry.job).and_then(|found| found.targets.get(&*entry.target));
        entry.described(discovered)
    }
}

impl Place {
    /// Takes note of a scrape.
    pub(super) fn tell(&self, last: Last) {
        if let Some(entry) = self.targets.lock().targets.get_mut(&self.number) {
            entry.last = Some(last);
        }
    }

    /// Takes note of what a scrape found.
    pub(super) fn know(&self, known: &Arc<Known>) {
        if let Some(entry) = self.targets.lock().targets.get_mut(&self.number) {
            entry.known = Arc::clone(known);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.targets.lock().targets.remove(&self.number);
    }
}

impl Entry {
    /// `discovered` are the labels before rules rewrote them.
    fn described(&self, discovered: Option<&Labels>) -> Value {
        let Entry { job, target, last, .. } = self;
        let (health, error) = match last {
            None => ("unknown", ""),
            Some(Last { error: None, .. }) => ("up", ""),
            Some(Last { error: Some(error), .. }) => ("down", error.as_str()),
        };
        let time = last.as_ref().and_then(|last| jiff::Timestamp::from_millisecond(last.time).ok());
        let text = |duration| super::config::duration_text(duration);
        json!({
            "discoveredLabels": discovered.cloned().unwrap_or_default(),
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
    use super::super::target::Histograms;
    use super::*;
    use std::time::Duration;

    #[test]
    fn p1_a_target_is_listed_while_it_is_scraped_with_how_that_went() {
        let targets = Targets::default();
        let target = |host: &str| {
            let labels = Labels::from([("instance".to_owned(), host.to_owned())]);
            let (interval, timeout) = (Duration::from_secs(15), Duration::from_secs(10));
            let (url, histograms) = (format!("http://{host}/metrics"), Histograms::default());
            Arc::new(Target { url, labels, interval, timeout, histograms })
        };
        let [b, a] = ["b", "a"].map(|host| targets.enter("job", &target(host)));
        b.tell(Last { time: 1_500, seconds: 0.25, error: Some("it is away".into()) });
        let told = targets.described()["activeTargets"].clone();
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
        let told = targets.described()["activeTargets"].clone();
        assert_eq!((told.as_array().unwrap().len(), &told[0]["health"]), (1, &json!("up")));
    }
}
