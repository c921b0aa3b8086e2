//! What does the query side do on its own, without being asked? It evaluates rules, and makes metrics of spans.

use crate::door::Door;
use crate::http::QueryState;
use crate::rule::{Rules, RulesConfig};
use crate::span_metrics::SpanMetrics;
use std::sync::Arc;
use tokio::task::JoinSet;

/// The doors by which what is made comes into the store.
#[derive(Debug)]
pub struct OwnDoors {
    /// Takes OTLP/JSON.
    pub json: Door,
    /// Takes messages of remote write 2, without snappy.
    pub remote_write: Door,
}

/// Works until `shutdown` resolves; of rules, until those that are being evaluated are.
pub async fn run(state: Arc<QueryState>, rules: RulesConfig, doors: OwnDoors, shutdown: impl Future<Output = ()>) {
    let mut metrics = JoinSet::new();
    let made = SpanMetrics::new(Arc::clone(&state), doors.json);
    if state.executor().config().span_metrics {
        metrics.spawn(made.run());
    }
    if rules.is_set() {
        Rules::new(rules, state, doors.remote_write).run(shutdown).await;
    } else {
        shutdown.await;
    }
    metrics.shutdown().await;
}
