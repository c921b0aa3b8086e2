//! How is one target scraped, time after time?

use super::config::Job;
use super::fetch::Fetcher;
use super::relabel::Labels;
use super::series::{Report, Scraped, ended, scraped};
use super::target::Target;
use crate::collector::{Collector, Encoding};
use crate::decode::remote::Version;
use std::collections::HashSet;
use std::sync::Arc;
use storage::model::{Signal, TenantId};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval_at};

/// Scrapes until the target is gone.
pub(super) async fn run(
    job: Arc<Job>,
    target: Target,
    fetcher: Arc<Fetcher>,
    collector: Collector,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut ticks = interval_at(tokio::time::Instant::now() + target.offset(), target.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut round = Round { job, target: Arc::new(target), fetcher, collector, series: HashSet::new() };
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            _ = ticks.tick() => round.scrape().await,
        }
    }
    round.end().await;
}

struct Round {
    job: Arc<Job>,
    target: Arc<Target>,
    fetcher: Arc<Fetcher>,
    collector: Collector,
    /// Those of the last scrape.
    series: HashSet<Labels>,
}

impl Round {
    fn now(&self) -> i64 {
        self.collector.clock().now_unix_nano().div_euclid(1_000_000)
    }

    async fn scrape(&mut self) {
        let (time, started) = (self.now(), self.collector.clock().monotonic());
        let outcome = self.fetch_and_store(time).await;
        let seconds = self.collector.clock().monotonic().saturating_sub(started).as_secs_f64();
        let report = match outcome {
            Ok(Scraped { series, samples, kept, added, .. }) => {
                self.series = series;
                Report { is_up: true, seconds, samples, kept, added }
            }
            Err(error) => {
                tracing::debug!(job = self.job.job_name, url = self.target.url, error, "a scrape failed");
                let gone = std::mem::take(&mut self.series);
                self.store_or_tell(ended(&gone, time)).await;
                Report { is_up: false, seconds, samples: 0, kept: 0, added: 0 }
            }
        };
        self.store_or_tell(report.message(&self.target, time)).await;
    }

    async fn fetch_and_store(&self, time: i64) -> Result<Scraped, String> {
        let most = self.collector.config().max_request_bytes;
        let limit = if self.job.body_size_limit == 0 { most } else { self.job.body_size_limit.min(most) };
        let answer = self.fetcher.metrics(&self.target.url, self.target.timeout, limit).await?;
        let (job, target, before) = (Arc::clone(&self.job), Arc::clone(&self.target), self.series.clone());
        let format = answer.format()?;
        let read = tokio::task::spawn_blocking(move || scraped(&job, &target, (format, &answer.body), time, &before));
        let mut scraped = read.await.map_err(|_| "reading the answer ended early")??;
        self.store(std::mem::take(&mut scraped.message)).await?;
        Ok(scraped)
    }

    async fn store(&self, message: Vec<u8>) -> Result<(), String> {
        let (tenant, encoding) = (TenantId::default(), Encoding::RemoteWrite(Version::Two));
        let accepted = self.collector.accept(&tenant, Signal::Metrics, encoding, message.into()).await;
        let accepted = accepted.map_err(|refusal| refusal.to_string())?;
        if let Some(first) = accepted.message {
            tracing::debug!(job = self.job.job_name, rejected = accepted.rejected, first, "samples were left out");
        }
        Ok(())
    }

    async fn store_or_tell(&self, message: Vec<u8>) {
        if let Err(error) = self.store(message).await {
            tracing::warn!(job = self.job.job_name, error, "what is told about a scrape was not stored");
        }
    }

    /// Ends all series of a target that is gone.
    async fn end(self) {
        let own = Report::series(&self.target);
        let message = ended(self.series.iter().chain(&own), self.now());
        self.store_or_tell(message).await;
    }
}
