//! Which jobs run? Those of the file, which is read again when it changes, and when the process is told to (SIGHUP).
//!
//! N1  A job of which the file says the same as before goes on untouched.
//! N2  One that changes keeps the targets that stay: they are scraped as it says now, at their offsets, and none of their series ends.
//! N3  One that is not in the file any more ends with its series.
//! N4  Where the file cannot be used, all jobs stay as they were. Why is told once.
//!
//! Not here: a job's targets (`run_job`); what the file says (`config`).

use super::client::Lookups;
use super::config::{Job, ScrapeConfig, ScrapeError};
use super::discovery::Dns;
use super::report::Pool;
use super::{Servers, failures, run_job};
use crate::Collector;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Between looks at the file.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// A file that stays so long as it is has been written to its end.
const SETTLED: Duration = Duration::from_millis(200);

/// How a job runs from now on.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) job: Arc<Job>,
    pub(super) servers: Servers,
    /// What the file says of the job, its head included.
    said: Value,
}

impl Order {
    /// Whether targets are looked for as they were before.
    pub(super) fn looks_as(&self, before: &Order) -> bool {
        let section = |order: &Order| -> BTreeMap<String, Value> {
            let keys = order.said.get("job").and_then(Value::as_object).into_iter().flatten();
            keys.filter(|(key, _)| key.ends_with("_sd_configs"))
                .map(|(key, said)| (key.clone(), said.clone()))
                .collect()
        };
        section(self) == section(before)
    }
}

/// What a file said.
struct Read {
    text: String,
    shown: String,
    ignored: Vec<&'static str>,
    orders: Vec<Order>,
    failure_logs: failures::Files,
}

/// The jobs that run.
pub(super) struct Plan {
    config: ScrapeConfig,
    collector: Collector,
    lookups: Lookups,
    dns: Dns,
    /// The file as it was used last.
    text: Option<String>,
    /// Why it cannot be used as it is now.
    told: Option<ScrapeError>,
    running: BTreeMap<String, watch::Sender<Arc<Order>>>,
    tasks: JoinSet<()>,
    failures: failures::Writer,
}

impl Plan {
    pub(super) fn new(config: ScrapeConfig, collector: Collector) -> Self {
        Plan {
            config,
            collector,
            lookups: Lookups::default(),
            dns: Dns::default(),
            text: None,
            told: None,
            running: BTreeMap::new(),
            tasks: JoinSet::new(),
            failures: failures::Writer::default(),
        }
    }

    /// Runs jobs until `shutdown` resolves. Fails where the file cannot be used to begin with.
    pub(super) async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), ScrapeError> {
        // From here on a signal does not end the process.
        let mut hangups = signal(SignalKind::hangup()).ok();
        self.look().await;
        if let (None, Some(error)) = (&self.text, self.told.take()) {
            return Err(error);
        }
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                () = received(&mut hangups) => {
                    self.look().await;
                    self.failures.reopen().await;
                }
                Some(ended) = self.tasks.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a job ended early");
                    }
                }
                () = tokio::time::sleep(LOOK_INTERVAL) => self.look().await,
            }
        }
        self.tasks.shutdown().await;
        self.failures.finish().await;
        Ok(())
    }

    /// Reads the file, and makes the jobs what it says.
    async fn look(&mut self) {
        let (config, lookups, known) = (self.config.clone(), self.lookups.clone(), self.text.clone());
        let read = tokio::task::spawn_blocking(move || read(&config, &lookups, known.as_deref())).await;
        let read = read.unwrap_or_else(|_| Err(ScrapeError("reading the file ended early".to_owned())));
        let now = self.collector.clock().now_unix_nano().div_euclid(1_000_000);
        let (error, news) = match read {
            Ok(news) => (None, news),
            Err(error) => (Some(error), None),
        };
        let targets = self.collector.listed_targets();
        let trouble = error.as_ref().map(|error| self.config.without_folder(error));
        targets.read(trouble, news.is_some().then_some(now));
        if let Some(error) = error.as_ref().filter(|_| self.text.is_some() && self.told != error) {
            tracing::error!(%error, "the file of jobs cannot be used; the jobs stay as they were");
        }
        self.told = error;
        let Some(Read { text, shown, ignored, orders, failure_logs }) = news else { return };
        if !text.is_empty() {
            tracing::info!(jobs = orders.len(), "read the file of jobs");
        }
        for key in ignored {
            tracing::warn!(key, "a key of the file of jobs means nothing here, and is left out");
        }
        let pool = |order: &Order| {
            let said = order.said.get("job").cloned().unwrap_or_default();
            (order.job.job_name.clone(), Arc::new(Pool::new(&order.job, said)))
        };
        targets.configured(shown, orders.iter().map(pool).collect());
        self.text = Some(text);
        self.failures.take(failure_logs);
        self.follow(orders);
    }

    /// Begins, changes and ends jobs.
    fn follow(&mut self, orders: Vec<Order>) {
        let names: BTreeSet<&str> = orders.iter().map(|order| order.job.job_name.as_str()).collect();
        // Who is dropped here hears of it.
        self.running.retain(|name, _| names.contains(name.as_str()));
        for order in orders {
            let order = Arc::new(order);
            match self.running.get(&order.job.job_name) {
                Some(running) if running.is_closed() => {}
                Some(running) => {
                    let changes = running.borrow().said != order.said;
                    if changes {
                        running.send_replace(order);
                    }
                    continue;
                }
                None => {}
            }
            let name = order.job.job_name.clone();
            let (running, orders) = watch::channel(order);
            let failures = self.failures.failures();
            self.tasks.spawn(run_job(orders, self.dns.clone(), self.collector.clone(), failures));
            self.running.insert(name, running);
        }
    }
}

/// `None` where the file is as it was, or is being written.
fn read(config: &ScrapeConfig, lookups: &Lookups, known: Option<&str>) -> Result<Option<Read>, ScrapeError> {
    let text = config.text()?;
    if known == Some(text.as_str()) {
        return Ok(None);
    }
    if known.is_some() {
        std::thread::sleep(SETTLED);
        if config.text()? != text {
            return Ok(None);
        }
    }
    let (jobs, shown) = (config.parsed(&text)?, config.shown(&text)?);
    let said = config.said(&text)?;
    let orders = jobs.list.into_iter().map(|job| {
        let servers = Servers::of(&job, lookups).map_err(|error| config.wrong(&error))?;
        let said = said.get(&job.job_name).cloned().unwrap_or_default();
        Ok(Order { job: Arc::new(job), servers, said })
    });
    let orders: Vec<Order> = orders.collect::<Result<_, ScrapeError>>()?;
    let paths = orders.iter().filter_map(|order| order.job.failure_log.as_deref()).collect();
    let failure_logs = failures::open_all(paths).map_err(|error| config.wrong(&error))?;
    Ok(Some(Read { text, shown, ignored: jobs.ignored, orders, failure_logs }))
}

/// Resolves when the process is told to read its files again.
async fn received(hangups: &mut Option<Signal>) {
    match hangups {
        Some(hangups) => drop(hangups.recv().await),
        None => std::future::pending().await,
    }
}
