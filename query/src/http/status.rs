//! What does the server say of itself?

use super::state::{DemoAction, QueryState};
use query_api::status::{SampledByPolicy, SignalStatus, StatusResponse, UnixNano};
use storage::engine;
use storage::manifest::SamplingTally;
use storage::model::TenantId;

/// The answer of `GET /status`. Reads memory only.
pub(super) fn status(state: &QueryState, tenant: &TenantId) -> StatusResponse {
    let stored = state.engine().status(tenant);
    let host = state.host();
    StatusResponse {
        version: host.version.clone(),
        uptime_seconds: state.uptime_seconds(),
        otlp_grpc_endpoint: host.otlp_grpc_endpoint.clone(),
        otlp_http_endpoint: host.otlp_http_endpoint.clone(),
        signals: stored.signals.iter().map(signal).collect(),
        last_received: (host.last_received)(tenant),
        wal_bytes: stored.wal_bytes,
        write_refusal: stored.refusal.map(|shortage| shortage.to_string()),
        object_store: stored.object_store,
        scrape_trouble: (host.scrape_trouble)(tenant),
        tail_sampling: stored.sampling.into_iter().map(sampled).collect(),
        kafka: (host.kafka)(tenant),
        span_metrics: state.span_metrics().status(tenant),
        demo: (host.demo)(DemoAction::Tell).unwrap_or_default(),
    }
}

fn sampled((policy, tally): (String, SamplingTally)) -> SampledByPolicy {
    let SamplingTally { kept_traces, kept_spans, dropped_traces, dropped_spans } = tally;
    SampledByPolicy { policy, kept_traces, kept_spans, dropped_traces, dropped_spans }
}

fn signal(status: &engine::SignalStatus) -> SignalStatus {
    SignalStatus {
        signal: status.signal.as_str().into(),
        rows: status.block_rows.saturating_add(status.memtable_rows),
        blocks: status.blocks,
        block_bytes: status.block_bytes,
        quarantined_blocks: status.quarantined_blocks,
        memtable_rows: status.memtable_rows,
        memtable_bytes: status.memtable_bytes,
        min_time: status.time_range.map(|(min, _)| UnixNano(min)),
        max_time: status.time_range.map(|(_, max)| UnixNano(max)),
    }
}
