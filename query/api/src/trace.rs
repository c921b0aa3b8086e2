//! What is asked and answered about traces? `GET /api/v1/traces` and `GET /api/v1/traces/{trace_id}`.
//!
//! A single trace is answered as OTLP/JSON (`otlp::TracesData`).

use crate::nanos;
use serde::{Deserialize, Serialize};

/// In which order traces are answered. Ties are broken by trace id, so paging is deterministic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// By the latest start of a matching span, latest first.
    #[default]
    Newest,
    /// By the earliest start of a matching span, earliest first.
    Oldest,
    /// By the longest duration of a matching span, longest first.
    Longest,
    /// By the number of matching spans, most first.
    MostSpans,
    /// By the number of matching spans that failed, most first.
    MostErrors,
}

/// The answer of `GET /api/v1/traces`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchResponse {
    /// The traces, in the order asked for.
    pub traces: Vec<TraceSummary>,
    /// Passed back as `cursor` to read the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// What the answer cost.
    pub stats: Stats,
}

/// One trace in a list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TraceSummary {
    /// 32 hex digits.
    pub trace_id: String,
    /// Service of the root span, or of the earliest span when no root has arrived.
    pub root_service: String,
    /// Name of that span.
    pub root_name: String,
    /// Whether a span without parent has arrived.
    pub has_root: bool,
    /// Start of the earliest span.
    #[serde(with = "nanos")]
    pub start_unix_nano: i64,
    /// From the earliest start to the latest end.
    pub duration_nano: i64,
    /// All spans stored of the trace.
    pub span_count: u32,
    /// Spans whose status is error.
    pub error_count: u32,
    /// Spans that match the search.
    pub matched_count: u32,
    /// Start of the earliest of those.
    #[serde(with = "nanos")]
    pub first_match_unix_nano: i64,
    /// Start of the latest of those.
    #[serde(with = "nanos")]
    pub last_match_unix_nano: i64,
    /// Duration of the longest of those.
    pub longest_match_nano: i64,
    /// Services of the trace, by their first span's start.
    pub services: Vec<ServiceShare>,
}

/// One service's part of a trace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceShare {
    /// service.name.
    pub name: String,
    /// Its spans.
    pub span_count: u32,
    /// Its spans whose status is error.
    pub error_count: u32,
}

/// What an answer cost, and whether it is whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Rows that were looked at.
    pub rows_scanned: u64,
    /// Rows that matched.
    pub rows_matched: u64,
    /// Blocks that were opened.
    pub blocks_read: u64,
    /// Blocks that statistics ruled out.
    pub blocks_pruned: u64,
    /// Wall time on the server.
    pub elapsed_ms: f64,
    /// Whether rows are missing, because blocks that may have them are damaged.
    #[serde(default)]
    pub partial: bool,
    /// Those blocks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingBlock>,
    /// Seconds of the longest window of which only what stands for its samples was read; absent where every sample was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution_seconds: Option<u64>,
}

/// A block whose rows, or some of them, are missing from an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingBlock {
    /// Its name.
    pub block: String,
    /// `spans`, `logs` or `metrics`.
    pub signal: String,
    /// How many rows it has.
    pub rows: u64,
    /// Earliest time of its rows.
    #[serde(with = "nanos")]
    pub min_time_unix_nano: i64,
    /// Latest time of its rows.
    #[serde(with = "nanos")]
    pub max_time_unix_nano: i64,
}
