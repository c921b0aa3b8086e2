//! How does Spanlight fetch metrics itself? As Prometheus scrapes: from a file in the shape of Prometheus's, whose jobs name targets or
//! where to find them.
//!
//! S1  A scrape is stored whole or not at all; `up` and the `scrape_` series say which, at each time.
//! S2  A series that a target does not tell any more is marked as ended, with the next scrape; all of a target's are when it fails or is gone.
//! S3  A target costs no more than its limits say: time, bytes, samples, labels. It cannot send the scraper elsewhere: redirects stay
//!     with its host.
//! S4  Targets of one interval do not come at one moment: each has its own offset, which it keeps.
//! S5  Where discovery fails, the targets found last stay.
//!
//! - `config`: the file.
//! - `relabel`: rules that rewrite labels.
//! - `discovery`: groups of targets from files and over HTTP.
//! - `target`: what a target is once its labels were rewritten.
//! - `fetch`: one request.
//! - `series`: what its text becomes.
//! - `round`: scrape after scrape of one target.
//!
//! Not here: the text's format (`decode::text`); how series are stored (`decode::remote`).

mod config;
mod discovery;
mod fetch;
mod relabel;
mod round;
mod series;
mod target;
#[cfg(test)]
mod tests;

pub use config::{ScrapeConfig, ScrapeError};

use crate::Collector;
use config::Job;
use fetch::Fetcher;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use target::Target;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Between looks at what discovery finds.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// Targets of one job. A mistake in discovery must not become a million tasks.
const MAX_TARGETS: usize = 10_000;

impl ScrapeConfig {
    /// Scrapes until `shutdown` resolves; then lets go of everything at once, as nothing of it was acknowledged to anyone. Fails where
    /// the file of jobs cannot be used.
    pub async fn run(self, collector: Collector, shutdown: impl Future<Output = ()>) -> Result<(), ScrapeError> {
        let mut jobs = JoinSet::new();
        for job in self.load()?.list {
            jobs.spawn(run_job(Arc::new(job), collector.clone()));
        }
        shutdown.await;
        jobs.shutdown().await;
        Ok(())
    }
}

/// Keeps the targets of a job as they are found.
async fn run_job(job: Arc<Job>, collector: Collector) {
    let fetcher = match Fetcher::new(&job) {
        Ok(fetcher) => Arc::new(fetcher),
        Err(error) => {
            tracing::error!(job = job.job_name, error, "a job cannot be scraped");
            return;
        }
    };
    let mut discovery = discovery::Discovery::new(Arc::clone(&job), Arc::clone(&fetcher));
    let mut running: HashMap<Target, oneshot::Sender<()>> = HashMap::new();
    let mut rounds = JoinSet::new();
    loop {
        let groups = discovery.look(collector.clock().monotonic()).await;
        let found = found(&job, &groups);
        // Who is dropped here hears of it, and ends its series.
        running.retain(|target, _| found.contains(target));
        for target in found {
            if running.contains_key(&target) {
                continue;
            }
            let (stop, stopped) = oneshot::channel();
            let (job, fetcher, collector) = (Arc::clone(&job), Arc::clone(&fetcher), collector.clone());
            rounds.spawn(round::run(job, target.clone(), fetcher, collector, stopped));
            running.insert(target, stop);
        }
        while rounds.try_join_next().is_some() {}
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// The targets of groups, each once.
fn found(job: &Job, groups: &[discovery::Group]) -> HashSet<Target> {
    let mut found = HashSet::new();
    for group in groups {
        for address in &group.targets {
            match Target::new(job, address, &group.labels) {
                Ok(Some(target)) if found.len() < MAX_TARGETS => drop(found.insert(target)),
                Ok(Some(_)) => {
                    tracing::warn!(job = job.job_name, limit = MAX_TARGETS, "a job has too many targets");
                    return found;
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(job = job.job_name, address, error, "a target cannot be scraped"),
            }
        }
    }
    found
}
