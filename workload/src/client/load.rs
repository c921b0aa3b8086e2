//! How does a load run go? Some connections, each sending one request after the other, until enough is sent.
//!
//! Invariants
//! - Z1: `sent = accepted + rejected + abandoned` when a run ends, cancelled or not.
//! - Z2: the acknowledgement callback hears of a span only after its request was accepted whole.
//! - Z3: a request is tried until it is answered for good, the deadline passes or the run is cancelled.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::dispenser::{Dispenser, Job};
use super::pool::Pool;
use super::report::{LoadReport, Progress, Tally};
use super::traffic::Traffic;
use super::transport::{Answer, Packed, Transport};
use super::{LoadConfig, LoadError, Observer, Rate, retry};
use crate::config::Signal;
use crate::random::Dice;

/// What the connections of a run share.
struct Run {
    config: LoadConfig,
    observer: Observer,
    pool: Pool,
    dispenser: Mutex<Dispenser>,
    tally: Mutex<Tally>,
    cancel: CancellationToken,
    begin: Instant,
}

/// Sends the workload to an endpoint and says how it went.
///
/// Ends when enough was sent, or soon after `cancel` (requests under way are abandoned). Must run inside a tokio runtime
/// with time and network; preparing the pool takes some tenths of a second of CPU before the clock starts.
pub async fn run_load(
    config: LoadConfig,
    observer: Observer,
    cancel: CancellationToken,
) -> Result<LoadReport, LoadError> {
    for (what, zero) in [
        ("connections", config.connections == 0),
        ("batch", config.batch == 0),
        ("rate", matches!(config.rate, Rate::PerSecond(rate) if rate.is_nan() || rate <= 0.0)),
    ] {
        if zero {
            return Err(LoadError::Zero { what });
        }
    }
    let traffic = Arc::new(Traffic::default());
    let mut transports = Vec::new();
    for _ in 0..config.connections {
        transports.push(Transport::new(&config, &traffic)?);
    }
    let pool = Pool::prepare(&config)?;
    let items = pool.requests.iter().map(|request| request.items).collect();
    let begin = Instant::now();
    let dispenser = Dispenser::new(config.rate, config.times, config.stop, items, (pool.begin, pool.end), begin);
    let run = Arc::new(Run {
        config,
        observer,
        pool,
        dispenser: Mutex::new(dispenser),
        tally: Mutex::new(Tally::new()),
        cancel,
        begin,
    });
    let mut connections = JoinSet::new();
    for (transport, number) in transports.into_iter().zip(1_u64..) {
        let run = Arc::clone(&run);
        connections.spawn(async move { run.connection(transport, number).await });
    }
    let mut outcome = Ok(());
    while let Some(ended) = connections.join_next().await {
        match ended {
            Ok(result) => outcome = outcome.and(result),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
    outcome?;
    Ok(run.tally().report(begin.elapsed(), &traffic))
}

impl Run {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Job> {
        if self.cancel.is_cancelled() {
            return None;
        }
        self.dispenser.lock().unwrap_or_else(PoisonError::into_inner).next()
    }

    async fn connection(&self, mut transport: Transport, number: u64) -> Result<(), LoadError> {
        let mut dice = Dice::new(self.config.seed, 0xc0_0000 + number);
        while let Some(job) = self.next() {
            let sleep = tokio::time::sleep_until(job.at.into());
            if job.at > Instant::now() && self.cancel.run_until_cancelled(sleep).await.is_none() {
                return Ok(());
            }
            let prepared = &self.pool.requests[job.place];
            let clock = job.clock(prepared.signal, self.config.times);
            let (body, items) = prepared.body(&self.pool.identity, job.generation, clock, job.keep)?;
            let packed = transport.pack(body);
            self.tally().sent += items;
            let deliver = self.deliver(&mut transport, &mut dice, prepared.signal, packed, items);
            match self.cancel.run_until_cancelled(deliver).await {
                Some(Delivery::Accepted { whole: true, retried }) if prepared.signal == Signal::Spans => {
                    if let Some(acknowledged) = &self.observer.acknowledged {
                        acknowledged(&prepared.keys(&self.pool.identity, job.generation, job.keep), retried);
                    }
                }
                Some(_) => {}
                None => self.tally().abandoned += items,
            }
            self.progress();
        }
        Ok(())
    }

    /// Tries one request until there is nothing more to try.
    async fn deliver(
        &self,
        transport: &mut Transport,
        dice: &mut Dice,
        signal: Signal,
        packed: Packed,
        items: u64,
    ) -> Delivery {
        let begin = Instant::now();
        let mut attempt = 0;
        loop {
            let since = Instant::now();
            let answer = transport.send(signal, packed.clone(), self.config.request_timeout).await;
            let (pause, message) = match answer {
                Answer::Accepted { rejected, message } => {
                    return self.accepted(items, rejected.min(items), &message, since.elapsed(), attempt > 0);
                }
                Answer::Dropped { kind, message } => {
                    let mut tally = self.tally();
                    tally.failed(&kind);
                    tally.note(&message);
                    tally.rejected += items;
                    return Delivery::Failed;
                }
                Answer::Again { kind, pause, message } => {
                    self.tally().failed(&kind);
                    (retry::pause(attempt, pause, dice.unit()), message)
                }
            };
            if begin.elapsed() + pause > self.config.retry_deadline {
                let mut tally = self.tally();
                tally.note(&message);
                tally.abandoned += items;
                return Delivery::Failed;
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
            self.tally().retried += 1;
        }
    }

    fn accepted(&self, items: u64, rejected: u64, message: &str, latency: Duration, retried: bool) -> Delivery {
        let mut tally = self.tally();
        tally.acknowledged_after(latency);
        tally.accepted += items - rejected;
        tally.rejected += rejected;
        tally.note(message);
        Delivery::Accepted { whole: rejected == 0, retried }
    }

    fn progress(&self) {
        if let Some(progress) = &self.observer.progress {
            let (sent, accepted) = {
                let tally = self.tally();
                (tally.sent, tally.accepted)
            };
            progress(&Progress { sent, accepted, elapsed: self.begin.elapsed() });
        }
    }
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    Accepted { whole: bool, retried: bool },
    Failed,
}

#[cfg(test)]
mod tests;
