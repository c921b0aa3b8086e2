//! Where does query work run, and when does it end?
//!
//! X1  A query runs on a thread of the executor's own runtime; the network's threads only wait for it.
//! X2  At most `concurrency` queries run and `queue` wait; one more is refused at once.
//! X3  When the caller drops the future, or the deadline passes, the query ends at its next check: between two row
//!     groups of a scan at the latest. Permit and memory are given back when it has ended, not before.
//!     An answer of several pieces waits for who reads it no longer than that, either (`pieces`).
//! X4  A query that panics is an error of that query, and of nothing else.
//!
//! Not here: what is computed.

mod cancel;
mod control;
mod pieces;
mod progress;
mod room;
#[cfg(test)]
mod tests;

pub use control::{Control, Held};
pub(crate) use pieces::{Outbox, Pieces, Tell};
pub(crate) use progress::Progress;
pub use room::FoundSeries;

use crate::config::Config;
use crate::error::{Error, Result};
use cancel::Cancel;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use storage::engine::Engine;
use storage::model::TenantId;
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A client that is refused does well to wait about as long as a short query takes.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Who asks, and how long the answer may take.
#[derive(Debug, Clone)]
pub struct QueryContext {
    /// Whose data.
    pub tenant: TenantId,
    /// Time until the answer is given up, waiting included.
    pub timeout: Duration,
}

/// Runs queries.
#[derive(Debug)]
pub struct Executor {
    engine: Arc<Engine>,
    config: Config,
    /// Always there until drop, which must not wait for threads inside an asynchronous context.
    runtime: Option<Runtime>,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    memory: Arc<AtomicU64>,
}

/// How busy an executor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Queries that run.
    pub running: usize,
    /// Queries that wait for their turn.
    pub waiting: usize,
    /// Bytes that running queries hold.
    pub memory_bytes: u64,
}

impl Executor {
    /// Starts the runtime; its threads come and go with the queries.
    pub fn new(config: Config, engine: Arc<Engine>) -> std::io::Result<Self> {
        let concurrency = config.concurrency.clamp(1, Semaphore::MAX_PERMITS);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(concurrency)
            .thread_name("query")
            .build()?;
        Ok(Executor {
            engine,
            runtime: Some(runtime),
            permits: Arc::new(Semaphore::new(concurrency)),
            waiting: AtomicUsize::new(0),
            memory: Arc::default(),
            config: Config { concurrency, ..config },
        })
    }

    /// Its limits.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How busy it is now.
    pub fn usage(&self) -> Usage {
        Usage {
            running: self.config.concurrency.saturating_sub(self.permits.available_permits()),
            waiting: self.waiting.load(Ordering::Relaxed),
            memory_bytes: self.memory.load(Ordering::Relaxed),
        }
    }

    /// Appends what is bounded, each beside its limit, in Prometheus' text format.
    pub fn render_metrics(&self, out: &mut String) {
        let Usage { running, waiting, memory_bytes } = self.usage();
        let memory = self.config.memory_per_query.saturating_mul(self.config.concurrency as u64);
        for (name, help, value) in [
            ("queries_running", "Queries that run.", running as u64),
            ("queries_running_limit", "Queries that may run at once.", self.config.concurrency as u64),
            ("queries_waiting", "Queries that wait for their turn.", waiting as u64),
            ("queries_waiting_limit", "Queries that may wait; further ones are refused.", self.config.queue as u64),
            ("query_memory_bytes", "Bytes that running queries hold.", memory_bytes),
            ("query_memory_limit_bytes", "Bytes that all queries that may run at once may hold.", memory),
        ] {
            let name = format!("spanlight_{name}");
            out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"));
        }
    }

    /// Runs a query on the executor's threads. Safe to drop: the query then ends at its next check.
    pub async fn run<T, J>(&self, context: QueryContext, job: J) -> Result<T>
    where
        T: Send + 'static,
        J: FnOnce(&Control) -> Result<T> + Send + 'static,
    {
        self.run_watched(context, Arc::default(), job).await
    }

    /// The same, which is seen to come on.
    pub(crate) async fn run_watched<T, J>(&self, context: QueryContext, progress: Arc<Progress>, job: J) -> Result<T>
    where
        T: Send + 'static,
        J: FnOnce(&Control) -> Result<T> + Send + 'static,
    {
        let started = Instant::now();
        // A timeout past the end of the clock is none that anyone would see.
        let deadline = started.checked_add(context.timeout).unwrap_or(started + self.config.max_timeout);
        let permit = self.admit(deadline).await?;
        let runtime = self.runtime.as_ref().ok_or_else(|| Error::bug("the executor is gone"))?;

        let cancel = Arc::new(Cancel::default());
        let _on_drop = CancelOnDrop(cancel.clone());
        let engine = self.engine.clone();
        let limits = control::Limits {
            started,
            deadline,
            timeout: context.timeout,
            memory: self.config.memory_per_query,
            rows: self.config.max_rows,
            translation: self.config.translation_strategy,
            promote: Arc::clone(&self.config.promote),
        };
        let memory = self.memory.clone();
        let span = tracing::info_span!(
            "query",
            tenant = context.tenant.as_str(),
            rows_scanned = tracing::field::Empty,
            blocks_read = tracing::field::Empty
        );
        let work = runtime.handle().spawn_blocking(move || {
            let within = span.entered();
            // Dropped after `control`, which gives the memory back.
            let _permit = permit;
            let snapshot = engine.snapshot(&context.tenant);
            let control = Control::new(snapshot, limits, (cancel, progress), memory);
            control.check()?;
            let answer = job(&control);
            control.describe(&within);
            answer
        });
        match tokio::time::timeout_at(deadline.into(), work).await {
            Ok(Ok(result)) => result,
            Ok(Err(join)) if join.is_cancelled() => Err(Error::Cancelled),
            Ok(Err(_)) => Err(Error::bug("a query panicked")),
            Err(_) => Err(control::past_deadline(context.timeout)),
        }
    }

    async fn admit(&self, deadline: Instant) -> Result<OwnedSemaphorePermit> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let _place = Place::take(&self.waiting, self.config.queue)
            .ok_or(Error::Busy { message: "too many queries run and wait", retry_after: RETRY_AFTER })?;
        match tokio::time::timeout_at(deadline.into(), self.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(Error::bug("the executor's permits are gone")),
            Err(_) => Err(Error::Busy {
                message: "the query's time ran out while it waited for others",
                retry_after: RETRY_AFTER,
            }),
        }
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct CancelOnDrop(Arc<Cancel>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// A place in the queue, given back on drop.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, most: usize) -> Option<Self> {
        let next = |now: usize| (now < most).then_some(now + 1);
        waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok().map(|_| Place(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
