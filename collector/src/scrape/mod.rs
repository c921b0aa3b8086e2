//! How does Spanlight fetch metrics itself? As Prometheus scrapes: from a file in the shape of Prometheus's, whose jobs name targets or
//! where to find them.
//!
//! S1  A scrape is stored whole or not at all, with `up` and the `scrape_` series that say which; but for samples that Prometheus leaves
//!     out as well (told twice, or from a time far ahead; histograms that cannot be converted), and for series past their tenant's limit.
//! S2  A series that a target does not tell any more is marked as ended, with the next scrape; all of a target's are when it fails or is gone.
//! S3  A target costs no more than its limits say: time, bytes, samples, labels; its bytes are reserved as those of requests are. It
//!     cannot send the scraper elsewhere: redirects stay with its host.
//! S4  Targets of one interval do not come at one moment: each has its own offset in it, which it keeps, and its samples lie there.
//! S5  Where discovery fails, the targets found last stay.
//!
//! - `config`: the file.
//! - `plan`: its jobs, as long as it says so.
//! - `relabel`: rules that rewrite labels.
//! - `discovery`: groups of targets from files, over HTTP, from the DNS and from etcd.
//! - `target`: what a target is once its labels were rewritten.
//! - `client`, `tls`: who asks.
//! - `fetch`: one request.
//! - `failures`: the files of those that failed.
//! - `protocol`: the format of its answer.
//! - `series`: what the answer becomes.
//! - `round`: scrape after scrape of one target.
//! - `report`: what is told of targets.
//!
//! Not here: the formats (`decode::text`, `decode::families`); how series are stored (`decode::remote`).

mod client;
mod config;
mod discovery;
mod failures;
mod fetch;
mod plan;
mod protocol;
mod relabel;
mod report;
mod round;
mod series;
mod target;
#[cfg(test)]
mod tests;
mod tls;

pub use config::{ScrapeConfig, ScrapeError};
pub(crate) use report::Targets as ListedTargets;

use crate::Collector;
use client::{Client, Lookups};
use config::Job;
use discovery::{Discovery, Dns, Group};
use failures::Failures;
use plan::{Order, Plan};
use relabel::Labels;
use report::MAX_DROPPED;
use round::Scraper;
use std::collections::{HashMap, HashSet};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use target::Target;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

/// Targets of one job. A mistake in discovery must not become a million tasks.
const MAX_TARGETS: usize = 10_000;
/// What is wrong with targets is told so often at a time.
const MAX_TOLD: usize = 100;
/// Places that change at once are looked at together.
const SETTLE: Duration = Duration::from_millis(100);

/// The clients of a job: of its targets, and of its lists of them.
#[derive(Debug)]
struct Servers {
    scrape: Arc<Client>,
    lists: Vec<Arc<Client>>,
    etcd: Vec<Arc<Client>>,
}

impl Servers {
    /// Fails where certificates cannot be used.
    fn of(job: &Job, lookups: &Lookups) -> Result<Self, String> {
        let told = |error: String| format!("job {:?}: {error}", job.job_name);
        let client = |settings| Client::new(settings, lookups).map(Arc::new).map_err(told);
        Ok(Servers {
            scrape: client(&job.http)?,
            lists: job.http_sd_configs.iter().map(|list| client(&list.http)).collect::<Result<_, _>>()?,
            etcd: job.etcd_sd_configs.iter().map(|prefix| client(&prefix.http)).collect::<Result<_, _>>()?,
        })
    }
}

impl ScrapeConfig {
    /// Scrapes until `shutdown` resolves; then lets go of everything at once, as nothing of it was acknowledged to anyone. Fails where
    /// the file of jobs cannot be used to begin with.
    pub async fn run(self, collector: Collector, shutdown: impl Future<Output = ()>) -> Result<(), ScrapeError> {
        Plan::new(self, collector).run(shutdown).await
    }
}

/// Keeps the targets of a job as they are found, as long as it is ordered.
async fn run_job(mut orders: watch::Receiver<Arc<Order>>, dns: Dns, collector: Collector, failures: Failures) {
    let mut order = Arc::clone(&orders.borrow_and_update());
    let (scraper, scrapers) = watch::channel(Scraper::of(&order, &collector, &failures));
    let mut discovery = Discovery::start(&order.job, &order.servers, &dns);
    let mut running: HashMap<Target, oneshot::Sender<()>> = HashMap::new();
    let (mut rounds, mut told) = (JoinSet::new(), HashSet::new());
    let mut was_refused = None;
    loop {
        let job = Arc::clone(&order.job);
        let Targets { found, bad, refused } = Targets::of(&job, &discovery.groups(&job));
        let found = Arc::new(found);
        collector.listed_targets().found(&job.job_name, Arc::clone(&found));
        // What is wrong is told once, until it was right in between.
        for error in bad.difference(&told).chain(refused.iter().filter(|_| refused != was_refused)) {
            tracing::warn!(job = job.job_name, error, "targets cannot be scraped");
        }
        told = bad;
        if refused != was_refused {
            // All of them are told to be down, or are not any more.
            running.clear();
            was_refused.clone_from(&refused);
        }
        // Who is dropped here hears of it, and ends its series.
        running.retain(|target, _| found.targets.contains_key(target));
        for target in found.targets.keys() {
            if running.contains_key(target) {
                continue;
            }
            let (stop, stopped) = oneshot::channel();
            rounds.spawn(round::run(scrapers.clone(), target.clone(), refused.clone(), stopped));
            running.insert(target.clone(), stop);
        }
        loop {
            tokio::select! {
                () = discovery.changed() => break tokio::time::sleep(SETTLE).await,
                changed = orders.changed() => {
                    if changed.is_err() {
                        running.clear();
                        while rounds.join_next().await.is_some() {}
                        return collector.listed_targets().forget(&job.job_name);
                    }
                    let newer = Arc::clone(&orders.borrow_and_update());
                    if !newer.looks_as(&order) {
                        let other = Discovery::start(&newer.job, &newer.servers, &dns);
                        // Until it has looked, the targets found before go on.
                        other.looked().await;
                        discovery = other;
                    }
                    scraper.send_replace(Scraper::of(&newer, &collector, &failures));
                    break order = newer;
                }
                Some(ended) = rounds.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(job = job.job_name, %error, "the scraping of a target ended early");
                        break running.retain(|_, stop| !stop.is_closed());
                    }
                }
            }
        }
    }
}

/// What was found for a job.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// Each target once, with its labels before rules rewrote them.
    targets: HashMap<Target, Labels>,
    /// The labels of some that rules drop.
    dropped: Vec<Labels>,
    dropped_count: usize,
}

/// The targets of groups.
#[derive(Debug, Default, PartialEq, Eq)]
struct Targets {
    found: Found,
    /// What is wrong with others.
    bad: HashSet<String>,
    /// Why none of them is asked.
    refused: Option<String>,
}

impl Targets {
    fn of(job: &Job, groups: &[Group]) -> Self {
        let mut all = Targets::default();
        let most_dropped = match job.keep_dropped_targets {
            0 => MAX_DROPPED,
            most => most.min(MAX_DROPPED),
        };
        for group in groups {
            for address in &group.targets {
                let discovered = Target::discovered(job, address, &group.labels);
                let Found { targets, dropped, dropped_count } = &mut all.found;
                match Target::of(job, &discovered) {
                    Ok(Some(target)) if targets.len() < MAX_TARGETS => {
                        targets.entry(target).or_insert(discovered);
                    }
                    Ok(Some(_)) => drop(all.bad.insert(format!("there are more than {MAX_TARGETS} targets"))),
                    Err(error) if all.bad.len() < MAX_TOLD => drop(all.bad.insert(error)),
                    Err(_) => {}
                    Ok(None) => {
                        *dropped_count += 1;
                        if dropped.len() < most_dropped {
                            dropped.push(discovered);
                        }
                    }
                }
            }
        }
        if job.target_limit > 0 && all.found.targets.len() > job.target_limit {
            let (found, limit) = (all.found.targets.len(), job.target_limit);
            all.refused = Some(format!("there are {found} targets, more than the {limit} of target_limit"));
        }
        all
    }
}

/// Reads a file of at most so many bytes. What is no file is not read: a pipe may never end.
fn read_file(path: &Path, limit: usize) -> Result<Vec<u8>, String> {
    // Looked at before: to open a pipe may take for ever, too.
    if !std::fs::metadata(path).map_err(|error| error.to_string())?.is_file() {
        return Err("it is no file".to_owned());
    }
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    #[expect(clippy::disallowed_methods, reason = "the reader ends one byte behind the limit")]
    let read = file.take(limit as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    if bytes.len() > limit { Err(format!("it is longer than {limit} bytes")) } else { Ok(bytes) }
}
