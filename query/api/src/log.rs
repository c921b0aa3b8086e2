//! What is asked and answered about logs? `GET /api/v1/logs` and `GET /api/v1/logs/histogram`.

use crate::nanos;
use crate::otlp::{AnyValue, KeyValue};
use crate::trace::Stats;
use serde::{Deserialize, Serialize};

/// The answer of `GET /api/v1/logs`, newest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LogsResponse {
    /// The records.
    pub logs: Vec<LogRecord>,
    /// Passed back as `cursor` to read the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// What the answer cost.
    pub stats: Stats,
}

/// One log record with everything it was sent with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LogRecord {
    /// Time of the event; where the sender gave none, when it was observed.
    #[serde(with = "nanos")]
    pub time_unix_nano: i64,
    /// When the record was observed by the sender; 0 when not told.
    #[serde(with = "nanos", default)]
    pub observed_time_unix_nano: i64,
    /// OTLP's 1-24; 0 when not told.
    pub severity_number: i32,
    /// The sender's own word for it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub severity_text: String,
    /// service.name.
    pub service: String,
    /// The body, as OTLP/JSON writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<AnyValue>,
    /// Event name, if the record is an event.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub event_name: String,
    /// 32 hex digits, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trace_id: String,
    /// 16 hex digits, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub span_id: String,
    /// W3C trace flags.
    #[serde(default)]
    pub flags: u32,
    /// The record's attributes.
    #[serde(default)]
    pub attributes: Vec<KeyValue>,
    /// Attributes that the sender dropped.
    #[serde(default)]
    pub dropped_attributes_count: u32,
    /// The resource's attributes.
    #[serde(default)]
    pub resource: Vec<KeyValue>,
    /// Instrumentation scope's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope_name: String,
    /// Instrumentation scope's version.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope_version: String,
    /// The scope's attributes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scope_attributes: Vec<KeyValue>,
    /// What else came with the resource and the scope.
    #[serde(default)]
    pub origin: crate::otlp::OriginDetail,
}

/// The answer of `GET /api/v1/logs/histogram`: records per step and level, for the same filters as `/logs`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HistogramResponse {
    /// Start of the first step.
    #[serde(with = "nanos")]
    pub start_unix_nano: i64,
    /// Length of a step.
    pub step_nano: i64,
    /// One row of counts per level that occurs, most severe first.
    pub levels: Vec<LevelCounts>,
    /// What the answer cost.
    pub stats: Stats,
}

/// Records of one level per step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LevelCounts {
    /// `fatal`, `error`, `warn`, `info`, `debug`, `trace` or `unset`.
    pub level: String,
    /// Records in each step.
    pub counts: Vec<u64>,
}
