//! How does the shop run in real time, inside a process that shows it?
//!
//! History first, as fast as the sink takes it, then in step with the wall clock.
//!
//! Invariants
//! - W1: a request is handed over when its exporter would have sent it, never earlier.
//! - W2: a sink that asks for a pause gets the same request again after it; one that refuses loses that request only.
//!
//! Not here: the sink (the binary hands requests to the collector, or to nothing in tests).

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ConfigError, Shape, Signal, Signals};
use crate::engine::Workload;
use crate::incident::{Incident, Truth};

/// Settings of a demo.
#[derive(Debug, Clone)]
pub struct DemoConfig {
    /// Decides everything but the wall clock.
    pub seed: u64,
    /// Requests from outside per second.
    pub requests_per_second: f64,
    /// How much history is sent at the beginning.
    pub backfill: Duration,
    /// Faults; `None` takes `Incident::demo_schedule` from the beginning of history.
    pub incidents: Option<Vec<Incident>>,
    /// What to send.
    pub signals: Signals,
}

impl Default for DemoConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            requests_per_second: 10.0,
            backfill: Duration::from_mins(15),
            incidents: None,
            signals: Signals::All,
        }
    }
}

/// Why a sink did not take a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkError {
    /// Try again after this time.
    Busy(Duration),
    /// Never.
    Refused,
}

/// What a demo did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DemoReport {
    /// Items that the sink took.
    pub accepted: u64,
    /// Items that it refused.
    pub refused: u64,
    /// The faults of the demo's time.
    pub truth: Vec<Truth>,
}

/// Turns a demo on and off. Dropping it does neither.
#[derive(Debug, Default)]
pub struct Switch(Mutex<Option<CancellationToken>>);

impl Switch {
    /// Starts the demo as a task; nothing happens where it is on. `ended` hears how it ended.
    pub fn start<S, F>(
        &self,
        config: DemoConfig,
        sink: S,
        ended: impl FnOnce(Result<DemoReport, ConfigError>) + Send + 'static,
    ) where
        S: Fn(Signal, Bytes) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), SinkError>> + Send + 'static,
    {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_none() {
            let cancel = running.insert(CancellationToken::new()).clone();
            tokio::spawn(async move { ended(run_demo(config, sink, cancel).await) });
        }
    }

    /// Stops it; nothing happens where it is off.
    pub fn stop(&self) {
        if let Some(cancel) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            cancel.cancel();
        }
    }

    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// Times that a busy sink is asked about one request.
const PATIENCE: u32 = 20;

/// Runs the demo until it is cancelled. The sink gets OTLP export requests in protobuf.
pub async fn run_demo<S, F>(config: DemoConfig, sink: S, cancel: CancellationToken) -> Result<DemoReport, ConfigError>
where
    S: Fn(Signal, Bytes) -> F,
    F: Future<Output = Result<(), SinkError>>,
{
    let history = u64::try_from(config.backfill.as_nanos()).unwrap_or(u64::MAX);
    let start = wall().saturating_sub(history);
    let mut shop = Workload::new(Config {
        seed: config.seed,
        start_unix_nano: start,
        requests_per_second: config.requests_per_second,
        incidents: config.incidents.unwrap_or_else(|| Incident::demo_schedule(start)),
        signals: config.signals,
        shape: Shape::Sdk,
        ..Config::default()
    })?;
    let mut report = DemoReport { accepted: 0, refused: 0, truth: shop.truth() };
    while !cancel.is_cancelled() {
        // The model without an end never runs out.
        let Some(batch) = shop.next_batch() else { break };
        let delivered = cancel.run_until_cancelled(async {
            let ahead = batch.due_unix_nano.saturating_sub(wall());
            if ahead > 0 {
                tokio::time::sleep(Duration::from_nanos(ahead)).await;
            } else {
                // History must not keep the runtime's thread from its other work.
                tokio::task::yield_now().await;
            }
            hand_over(&sink, batch.signal, batch.bytes).await
        });
        match delivered.await {
            Some(true) => report.accepted += batch.items,
            Some(false) => report.refused += batch.items,
            None => break,
        }
    }
    Ok(report)
}

async fn hand_over<S, F>(sink: &S, signal: Signal, bytes: Bytes) -> bool
where
    S: Fn(Signal, Bytes) -> F,
    F: Future<Output = Result<(), SinkError>>,
{
    for _ in 0..PATIENCE {
        match sink(signal, bytes.clone()).await {
            Ok(()) => return true,
            Err(SinkError::Refused) => return false,
            Err(SinkError::Busy(pause)) => tokio::time::sleep(pause).await,
        }
    }
    false
}

fn wall() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use prost::Message;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[tokio::test]
    async fn w1_history_comes_at_once_and_the_rest_in_time() {
        let cancel = CancellationToken::new();
        let begin = wall();
        let (history, live) = (AtomicU64::new(0), AtomicU64::new(0));
        let sink = |_, bytes: Bytes| {
            let now = wall();
            for resource in ExportLogsServiceRequest::decode(bytes).unwrap().resource_logs {
                for record in resource.scope_logs.iter().flat_map(|scope| &scope.log_records) {
                    assert!(record.time_unix_nano <= now, "{} ns early", record.time_unix_nano - now);
                    let part = if record.time_unix_nano < begin { &history } else { &live };
                    part.fetch_add(1, Ordering::Relaxed);
                }
            }
            if now > begin + 2_500_000_000 {
                cancel.cancel();
            }
            async { Ok(()) }
        };
        let config = DemoConfig {
            requests_per_second: 20.0,
            backfill: Duration::from_mins(1),
            signals: Signals::Only(Signal::Logs),
            ..DemoConfig::default()
        };
        let report = run_demo(config, sink, cancel.clone()).await.unwrap();
        let (history, live) = (history.into_inner(), live.into_inner());
        assert!(history > 1_000 && live > 10 && history > live, "{history} and {live}");
        assert!(report.accepted > 0 && report.refused == 0, "{report:?}");
        assert_eq!(report.truth.len(), 144);
    }

    #[tokio::test(start_paused = true)]
    async fn w2_a_busy_sink_is_asked_again_and_a_refusal_costs_one_request() {
        let cancel = CancellationToken::new();
        let calls = AtomicU64::new(0);
        let sink = |_, _| {
            let number = calls.fetch_add(1, Ordering::Relaxed);
            if number == 20 {
                cancel.cancel();
            }
            async move {
                match number {
                    0..3 => Err(SinkError::Busy(Duration::from_secs(1))),
                    5 => Err(SinkError::Refused),
                    _ => Ok(()),
                }
            }
        };
        let report = run_demo(DemoConfig::default(), sink, cancel.clone()).await.unwrap();
        assert!(report.accepted > 0 && report.refused > 0, "{report:?}");
    }
}
