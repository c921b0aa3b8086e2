//! What is asked and answered about services? `GET /api/v1/services`, `/services/{name}/operations` and `/service-graph`.
//!
//! Rates, errors and durations count *request spans*: spans of kind SERVER or CONSUMER, and root spans of any kind.

use crate::nanos;
use crate::trace::Stats;
use serde::{Deserialize, Serialize};

/// The answer of `GET /api/v1/services`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServicesResponse {
    /// Services with at least one span in the range, by name.
    pub services: Vec<Service>,
    /// Range that was looked at.
    #[serde(with = "nanos")]
    pub start_unix_nano: i64,
    /// End of that range, exclusive.
    #[serde(with = "nanos")]
    pub end_unix_nano: i64,
    /// What the answer cost.
    pub stats: Stats,
}

/// One service over the range.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// service.name.
    pub name: String,
    /// All its spans.
    pub span_count: u64,
    /// Rate, errors and durations of its request spans.
    pub red: Red,
    /// The same over the range before, of equal length; absent when there was no data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Red>,
    /// Request spans per step.
    pub sparkline: Sparkline,
    /// Start of its newest span.
    #[serde(with = "nanos")]
    pub last_seen_unix_nano: i64,
    /// Distinct service.instance.id values.
    pub instance_count: u32,
    /// service.version of its newest span, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Rate, errors and durations.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Red {
    /// Request spans.
    pub request_count: u64,
    /// Of those, with status error.
    pub error_count: u64,
    /// Requests per second over the range.
    pub rate: f64,
    /// Median duration; absent without requests. Quantiles are within 1 % of the exact value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_nano: Option<i64>,
    /// 95th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_nano: Option<i64>,
    /// 99th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_nano: Option<i64>,
}

/// Equal steps over the range.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sparkline {
    /// Start of the first step.
    #[serde(with = "nanos")]
    pub start_unix_nano: i64,
    /// Length of a step.
    pub step_nano: i64,
    /// Requests in each step.
    pub requests: Vec<u64>,
    /// Of those, with status error.
    pub errors: Vec<u64>,
    /// 95th percentile of the durations in each step; absent without requests.
    pub p95_nano: Vec<Option<i64>>,
}

/// The answer of `GET /api/v1/services/{name}/operations`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OperationsResponse {
    /// Operations (span name and kind) with a span in the range, by name, then kind.
    pub operations: Vec<Operation>,
    /// What the answer cost.
    pub stats: Stats,
}

/// One span name and kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Span name.
    pub name: String,
    /// OTLP's number: 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: i32,
    /// Rate, errors and durations over all its spans.
    pub red: Red,
}

/// The answer of `GET /api/v1/service-graph`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceGraphResponse {
    /// Calls by their ends.
    pub edges: Vec<GraphEdge>,
    /// Range that was looked at.
    #[serde(with = "nanos")]
    pub start_unix_nano: i64,
    /// End of that range, exclusive.
    #[serde(with = "nanos")]
    pub end_unix_nano: i64,
    /// What the answer cost.
    pub stats: Stats,
}

/// The calls from one to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GraphEdge {
    /// Who calls: a service, or `user`, who sends no spans.
    pub client: String,
    /// Who is called: a service, or what the caller's attributes name.
    pub server: String,
    /// How they are connected.
    pub connection: Connection,
    /// Calls.
    pub call_count: u64,
    /// Of those, with status error at either end.
    pub failed_count: u64,
    /// What the callers' spans tell; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_side: Option<Red>,
    /// What the spans of the called tell; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_side: Option<Red>,
}

/// How two ends of a call are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connection {
    /// One service calls another.
    Direct,
    /// By a queue, or to one.
    MessagingSystem,
    /// To a database.
    Database,
    /// One end sends no spans.
    VirtualNode,
}
