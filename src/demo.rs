//! How does the demo workload run inside the server? Its requests go through the collector like any client's.

use bytes::Bytes;
use collector::{Collector, Encoding};
use query::http::DemoAction;
use query_api::status::DemoStatus;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use storage::model::{Signal, TenantId};
use tokio_util::sync::CancellationToken;
use workload::demo::{DemoConfig, SinkError, run_demo};

/// What shop to run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DemoSettings {
    pub(crate) seed: u64,
    pub(crate) requests_per_second: f64,
}

impl Default for DemoSettings {
    fn default() -> Self {
        DemoSettings { seed: 1, requests_per_second: 5.0 }
    }
}

/// The demo's switch.
pub(crate) struct Demo {
    collector: Collector,
    running: Mutex<Option<CancellationToken>>,
}

impl Demo {
    pub(crate) fn new(collector: Collector) -> Self {
        Demo { collector, running: Mutex::default() }
    }

    /// Starts it; nothing happens where it runs.
    pub(crate) fn start(&self, settings: DemoSettings) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_some() {
            return;
        }
        let cancel = CancellationToken::new();
        let config = DemoConfig {
            seed: settings.seed,
            requests_per_second: settings.requests_per_second,
            ..DemoConfig::default()
        };
        let (collector, token) = (self.collector.clone(), cancel.clone());
        let sink = move |signal, request| deliver(collector.clone(), signal, request);
        tokio::spawn(async move {
            match run_demo(config, sink, token).await {
                Ok(report) => tracing::info!(accepted = report.accepted, refused = report.refused, "the demo ended"),
                Err(error) => tracing::error!(%error, "the demo could not start"),
            }
        });
        *running = Some(cancel);
    }

    /// Stops it; nothing happens where it does not run.
    pub(crate) fn stop(&self) {
        if let Some(cancel) = self.running.lock().unwrap_or_else(PoisonError::into_inner).take() {
            cancel.cancel();
        }
    }

    /// Does what the API asks for, and tells the state after it.
    pub(crate) fn act(&self, action: DemoAction) -> DemoStatus {
        match action {
            DemoAction::Tell => {}
            DemoAction::Start => self.start(DemoSettings::default()),
            DemoAction::Stop => self.stop(),
        }
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        DemoStatus { running, available: true }
    }
}

async fn deliver(collector: Collector, signal: workload::Signal, request: Bytes) -> Result<(), SinkError> {
    let signal = match signal {
        workload::Signal::Spans => Signal::Spans,
        workload::Signal::Logs => Signal::Logs,
        workload::Signal::Metrics => Signal::Metrics,
    };
    match collector.accept(&TenantId::default(), signal, Encoding::Protobuf, request).await {
        Ok(_) => Ok(()),
        Err(refusal) => Err(match refusal.retry_after() {
            Some(pause) => SinkError::Busy(pause.max(Duration::from_millis(50))),
            None => SinkError::Refused,
        }),
    }
}
