//! How does the demo workload run inside the server? Its requests go through the collector like any client's.

use bytes::Bytes;
use collector::{Collector, Encoding};
use query::http::DemoAction;
use query_api::status::DemoStatus;
use std::time::Duration;
use storage::model::{Signal, TenantId};
use workload::demo::{DemoConfig, SinkError, Switch};

/// Requests per second that the shop's customers send, unless told otherwise.
pub(crate) const REQUESTS_PER_SECOND: f64 = 5.0;

/// The demo of this server.
pub(crate) struct Demo {
    collector: Collector,
    switch: Switch,
}

impl Demo {
    pub(crate) fn new(collector: Collector) -> Self {
        Demo { collector, switch: Switch::default() }
    }

    pub(crate) fn start(&self, config: DemoConfig) {
        let collector = self.collector.clone();
        let sink = move |signal, request| deliver(collector.clone(), signal, request);
        self.switch.start(config, sink, |ended| match ended {
            Ok(report) => tracing::info!(accepted = report.accepted, refused = report.refused, "the demo ended"),
            Err(error) => tracing::error!(%error, "the demo could not start"),
        });
    }

    pub(crate) fn stop(&self) {
        self.switch.stop();
    }

    /// Does what the API asks for, and tells the state after it.
    pub(crate) fn act(&self, action: DemoAction) -> DemoStatus {
        match action {
            DemoAction::Tell => {}
            DemoAction::Start => {
                self.start(DemoConfig { requests_per_second: REQUESTS_PER_SECOND, ..DemoConfig::default() });
            }
            DemoAction::Stop => self.stop(),
        }
        DemoStatus { running: self.switch.is_on(), available: true }
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
