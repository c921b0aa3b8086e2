//! What does the server say of itself? `GET /api/v1/status`, and the demo workload's switch `/api/v1/demo`.

use crate::nanos;
use crate::span_metrics::SpanMetricsStatus;
use serde::{Deserialize, Serialize};

/// The answer of `GET /api/v1/status`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StatusResponse {
    /// Spanlight's version.
    pub version: String,
    /// Seconds since the process started.
    pub uptime_seconds: u64,
    /// Where to send OTLP over gRPC, as a URL.
    pub otlp_grpc_endpoint: String,
    /// Where to send OTLP over HTTP, as a URL.
    pub otlp_http_endpoint: String,
    /// What is stored for the tenant, by signal.
    pub signals: Vec<SignalStatus>,
    /// The newest accepted request of the tenant since the process started, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_received: Option<LastReceived>,
    /// Bytes of the write-ahead log.
    pub wal_bytes: u64,
    /// Whether writes are refused now, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_refusal: Option<String>,
    /// That the object store does not answer, and for how long; what is acknowledged meanwhile is in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_store: Option<String>,
    /// Why the file of scrape jobs cannot be used as it is now; the jobs stay as they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrape_trouble: Option<String>,
    /// How the reading of Kafka goes, where it is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaStatus>,
    /// How many of the tenant's traces were kept and dropped, where not all are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tail_sampling: Vec<SampledByPolicy>,
    /// How the making of metrics of the tenant's spans goes, where they are made as spans come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_metrics: Option<SpanMetricsStatus>,
    /// The demo workload.
    pub demo: DemoStatus,
}

/// What a policy of tail sampling has decided, of all times.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SampledByPolicy {
    /// Its name; `default` for traces that no policy asked for, `late` for spans of traces that were decided before.
    pub policy: String,
    /// Traces that were kept.
    pub kept_traces: u64,
    /// Their spans.
    pub kept_spans: u64,
    /// Traces that were dropped.
    pub dropped_traces: u64,
    /// Their spans.
    pub dropped_spans: u64,
}

/// How the reading of Kafka goes, of all tenants where nothing else is said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KafkaStatus {
    /// Why nothing is read now, if nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<String>,
    /// What the client complained of since it read something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// How often partitions came and went since the process started.
    pub rebalances: u64,
    /// The partitions that are or were read since then.
    pub partitions: Vec<KafkaPartition>,
    /// Records of the asking tenant that were left out of what was read since the process started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<KafkaLeftOut>,
    /// How it goes with what the doors give to Kafka, where they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub front: Option<KafkaFront>,
}

/// Records of a topic that were left out for one reason, while the rest of their messages was stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KafkaLeftOut {
    /// Topic.
    pub topic: String,
    /// `malformed`, or `active_series`: data points of series beyond the limit.
    pub reason: String,
    /// How many.
    pub records: u64,
    /// What was said of the last of them: of a limit, by which metric and label it was reached.
    pub said: String,
}

/// What the doors give to Kafka instead of the store.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KafkaFront {
    /// What went wrong last, if nothing was confirmed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Messages that are not confirmed yet.
    pub in_flight: u64,
    /// The topics.
    pub topics: Vec<KafkaFrontTopic>,
}

/// What went to a topic since the process started.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KafkaFrontTopic {
    /// Topic.
    pub topic: String,
    /// Messages of requests that were confirmed.
    pub messages: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Requests that were not confirmed as a whole; their senders were told.
    pub unconfirmed: u64,
}

/// A partition of a topic. Counts are since the process started.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KafkaPartition {
    /// Topic.
    pub topic: String,
    /// Number of the partition.
    pub partition: u64,
    /// Whether it is read by this process now.
    pub ours: bool,
    /// The offset that comes next.
    pub position: u64,
    /// The offset up to which rows are in blocks.
    pub committed: u64,
    /// Messages that are there and not read yet.
    pub lag: u64,
    /// Messages whose rows are visible.
    pub messages: u64,
    /// Their rows.
    pub rows: u64,
    /// Messages that were kept as dead letters.
    pub dead_letters: u64,
    /// Offsets that were deleted before they were read.
    pub lost: u64,
    /// Offsets of batches that cannot be read; dead letters name them.
    #[serde(default)]
    pub unreadable: u64,
    /// Messages without a value that were passed over: in a compacted topic they say that a key is gone.
    #[serde(default)]
    pub tombstones: u64,
    /// Why it is read by this process and does not go on, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck: Option<String>,
}

/// What is stored of one signal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SignalStatus {
    /// `spans`, `logs` or `metrics`.
    pub signal: String,
    /// Rows in blocks and in memory.
    pub rows: u64,
    /// Immutable blocks.
    pub blocks: u64,
    /// Bytes of those blocks.
    pub block_bytes: u64,
    /// Blocks that are damaged and not read; they are in none of the other numbers.
    #[serde(default)]
    pub quarantined_blocks: u64,
    /// Rows in memory, not yet in a block.
    pub memtable_rows: u64,
    /// Bytes of those.
    pub memtable_bytes: u64,
    /// Earliest time stored; absent when there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_time: Option<UnixNano>,
    /// Latest time stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_time: Option<UnixNano>,
}

/// A time in nanoseconds since 1970 UTC, as a decimal string.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixNano(#[serde(with = "nanos")] pub i64);

/// The newest accepted request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LastReceived {
    /// When it was acknowledged.
    #[serde(with = "nanos")]
    pub time_unix_nano: i64,
    /// `spans`, `logs` or `metrics`.
    pub signal: String,
    /// service.name of its first resource.
    pub service: String,
}

/// The answer of `GET`, `POST` and `DELETE /api/v1/demo`: state, start, stop.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DemoStatus {
    /// Whether the demo workload is being sent.
    pub running: bool,
    /// Whether this server can start it.
    pub available: bool,
}
