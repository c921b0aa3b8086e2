//! How is one target scraped, time after time?

use super::client::Client;
use super::config::Job;
use super::failures::Failures;
use super::fetch::{self, Unfetched};
use super::plan::Order;
use super::protocol::{Format, accepted};
use super::report::{Last, Place};
use super::series::{Counts, Failure, Known, Report, Scraped, body_bytes, failed, gone, scraped, weight};
use super::target::Target;
use crate::admission::Ticket;
use crate::collector::{Collector, Encoding};
use reqwest::Method;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING};
use std::sync::Arc;
use std::time::Duration;
use storage::model::{Signal, TenantId};
use tokio::sync::{oneshot, watch};
use tokio::time::{MissedTickBehavior, interval_at};

const TIMEOUT_HEADER: &str = "x-prometheus-scrape-timeout-seconds";
/// A scrape that comes so late at most has the moment at which it was due, so that samples lie at even distances.
const TOLERANCE: Duration = Duration::from_millis(2);

/// What a round scrapes with.
#[derive(Debug, Clone)]
pub(super) struct Scraper {
    pub(super) job: Arc<Job>,
    pub(super) client: Arc<Client>,
    pub(super) collector: Collector,
    pub(super) failures: Failures,
}

impl Scraper {
    pub(super) fn of(order: &Order, collector: &Collector, failures: &Failures) -> Self {
        let (job, client) = (Arc::clone(&order.job), Arc::clone(&order.servers.scrape));
        Scraper { job, client, collector: collector.clone(), failures: failures.clone() }
    }
}

/// Scrapes until the target is gone. Where `refused` says why, nobody is asked, and the target is told to be down.
pub(super) async fn run(
    scrapers: watch::Receiver<Scraper>,
    target: Target,
    refused: Option<String>,
    mut stopped: oneshot::Receiver<()>,
) {
    let scraper = scrapers.borrow().clone();
    let now = scraper.collector.clock().now_unix_nano();
    let wait = target.wait(now);
    let mut ticks = interval_at(tokio::time::Instant::now() + wait, target.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let due = now.saturating_add(i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX));
    let target = Arc::new(target);
    let place = scraper.collector.listed_targets().enter(&scraper.job.job_name, &target);
    let mut round = Round {
        scrapers,
        scraper,
        target,
        place,
        refused,
        due,
        known: Arc::default(),
        is_down: false,
        has_less: false,
        unconverted: None,
    };
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
    /// What its job says now.
    scrapers: watch::Receiver<Scraper>,
    /// What it said at the last scrape.
    scraper: Scraper,
    target: Arc<Target>,
    place: Place,
    refused: Option<String>,
    /// A moment at which it was due, in Unix nanoseconds.
    due: i64,
    /// The series of the last scrape.
    known: Arc<Known>,
    is_down: bool,
    /// Whether it was told that samples are left out.
    has_less: bool,
    /// Why a histogram could not be converted at the last scrape.
    unconverted: Option<String>,
}

impl Round {
    /// The time of what is scraped now, in milliseconds.
    fn time(&self) -> i64 {
        let now = self.scraper.collector.clock().now_unix_nano();
        let interval = i64::try_from(self.target.interval.as_nanos()).unwrap_or(i64::MAX).max(1);
        let late = now.saturating_sub(self.due).rem_euclid(interval);
        let most = (self.target.interval / 100).min(TOLERANCE);
        let is_in_time = u128::try_from(late).is_ok_and(|late| late <= most.as_nanos());
        (if is_in_time { now - late } else { now }).div_euclid(1_000_000)
    }

    async fn scrape(&mut self) {
        self.scraper = self.scrapers.borrow().clone();
        self.scraper.job = self.target.histograms.applied(&self.scraper.job);
        let clock = self.scraper.collector.clock();
        let (time, started) = (self.time(), clock.monotonic());
        let seconds = || clock.monotonic().saturating_sub(started).as_secs_f64();
        let job = Arc::clone(&self.scraper.job);
        let (read, body_bytes) = self.read(time).await;
        let failure = match read {
            Err(failure) => failure,
            Ok(Scraped { mut writer, known, counts, left_out, unconverted }) => {
                let report = Report { is_up: true, seconds: seconds(), counts, body_bytes };
                report.write(&job, &self.target, &mut writer, time);
                match self.store(writer.finish()).await {
                    Ok(()) => {
                        self.place.tell(Last { time, seconds: report.seconds, error: None });
                        self.tell_unconverted(unconverted);
                        return self.succeed(known, left_out);
                    }
                    Err(error) => Failure { error, counts },
                }
            }
        };
        let counts = Counts { added: 0, ..failure.counts };
        let report = Report { is_up: false, seconds: seconds(), counts, body_bytes };
        self.fail(&failure.error);
        if let Some(path) = &job.failure_log {
            self.scraper.failures.tell(path, time, (&job.job_name, &self.target.url), &failure.error);
        }
        self.place.tell(Last { time, seconds: report.seconds, error: Some(failure.error) });
        match self.store(failed(&job, &self.target, &self.known, &report, time)).await {
            // What could not be told now is told next time.
            Ok(()) => self.known = Arc::new(self.known.ended()),
            Err(error) => self.tell(&error),
        }
    }

    fn succeed(&mut self, known: Known, left_out: usize) {
        let (job, url) = (&self.scraper.job.job_name, &self.target.url);
        if left_out > 0 {
            tracing::debug!(job, url, left_out, "samples are there twice, or from a time far ahead");
        }
        if std::mem::take(&mut self.is_down) {
            tracing::info!(job, url, "a target is up again");
        }
        self.known = Arc::new(known);
        self.place.know(&self.known);
    }

    /// Told once, until all can be converted.
    fn tell_unconverted(&mut self, unconverted: Option<String>) {
        let (job, url) = (&self.scraper.job.job_name, &self.target.url);
        if let (Some(histogram), None) = (&unconverted, &self.unconverted) {
            tracing::warn!(job, url, histogram, "a classic histogram cannot be converted, and is left out");
        }
        self.unconverted = unconverted;
    }

    /// Told once, until it is up again.
    fn fail(&mut self, error: &str) {
        let (job, url) = (&self.scraper.job.job_name, &self.target.url);
        if std::mem::replace(&mut self.is_down, true) {
            tracing::debug!(job, url, error, "a scrape failed");
        } else {
            tracing::warn!(job, url, error, "a target is down");
        }
    }

    fn tell(&self, error: &str) {
        let (job, url) = (&self.scraper.job.job_name, &self.target.url);
        tracing::warn!(job, url, error, "what is told about a scrape was not stored");
    }

    /// What a scrape leaves, and how many bytes of the answer are told.
    async fn read(&self, time: i64) -> (Result<Scraped, Failure>, f64) {
        let fetched = self.answer().await;
        let bytes = body_bytes(fetched.as_ref().map(|(answer, _)| answer.body.len()));
        match fetched {
            Ok((answer, ticket)) => (self.parse(answer, ticket, time).await, bytes),
            Err(error) => (Err(error.to_string().into()), bytes),
        }
    }

    async fn answer(&self) -> Result<(fetch::Answer, Ticket), Unfetched> {
        if let Some(refused) = &self.refused {
            return Err(refused.clone().into());
        }
        let timeout = self.target.timeout;
        let tenant = TenantId::default();
        let mut ticket = self.scraper.collector.enter(&tenant).map_err(|refusal| refusal.to_string())?;
        let fetched = tokio::time::timeout(timeout, self.fetch(&mut ticket)).await;
        let late = |_| Err(format!("it took longer than {} s", timeout.as_secs_f64()).into());
        let answer = fetched.unwrap_or_else(late)?;
        Ok((answer, ticket))
    }

    async fn parse(&self, answer: fetch::Answer, mut ticket: Ticket, time: i64) -> Result<Scraped, Failure> {
        let (job, target, known) = (Arc::clone(&self.scraper.job), Arc::clone(&self.target), Arc::clone(&self.known));
        let format = Format::told(&answer.content_type, &job)?;
        let read = tokio::task::spawn_blocking(move || {
            ticket.reserve(weight(&job, format, &answer.body)).map_err(|refusal| refusal.to_string())?;
            scraped(&job, &target, (format, &answer.body), time, &known)
        });
        read.await.unwrap_or_else(|_| Err("reading the answer ended early".to_owned().into()))
    }

    async fn fetch(&self, ticket: &mut Ticket) -> Result<fetch::Answer, Unfetched> {
        let Scraper { job, client, collector, .. } = &self.scraper;
        let most = collector.config().max_request_bytes;
        let limit = if job.body_size_limit == 0 { most } else { job.body_size_limit.min(most) };
        let request = client.request(Method::GET, &self.target.url).await?;
        let request = request
            .header(ACCEPT, accepted(job))
            .header(ACCEPT_ENCODING, if job.enable_compression { "gzip" } else { "identity" })
            .header(TIMEOUT_HEADER, self.target.timeout.as_secs_f64().to_string());
        let mut reserve = |bytes| ticket.reserve(bytes).map_err(|refusal| refusal.to_string());
        fetch::whole(request, limit, &mut reserve).await
    }

    async fn store(&mut self, message: Vec<u8>) -> Result<(), String> {
        let tenant = TenantId::default();
        let collector = &self.scraper.collector;
        let encoding = Encoding::Scraped { reported: Report::rows(&self.scraper.job) };
        let accepted = collector.accept(&tenant, Signal::Metrics, encoding, message.into()).await;
        let accepted = accepted.map_err(|refusal| refusal.to_string())?;
        let had_less = std::mem::replace(&mut self.has_less, accepted.message.is_some());
        if let Some(message) = accepted.message.filter(|_| !had_less) {
            let (job, url) = (&self.scraper.job.job_name, &self.target.url);
            tracing::warn!(job, url, message, "samples are left out");
        }
        Ok(())
    }

    /// Ends all series of a target that is gone.
    async fn end(mut self) {
        let time = self.scraper.collector.clock().now_unix_nano().div_euclid(1_000_000);
        let job = Arc::clone(&self.scraper.job);
        if let Err(error) = self.store(gone(&job, &self.target, &self.known, time)).await {
            self.tell(&error);
        }
    }
}
