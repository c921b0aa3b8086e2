//! How do two traces differ? `GET /api/v1/traces/{trace_id}/compare/{other}`.
//!
//! Spans are matched by their place: from the roots down, the first span of a service, operation and kind under a matched
//! parent with the first such span there, the second with the second, by start. What is left over is in one trace only, and so
//! is everything below it.

use crate::nanos;
use crate::otlp::AnyValue;
use crate::trace::Stats;
use serde::{Deserialize, Serialize};

/// The answer of `GET /api/v1/traces/{trace_id}/compare/{other}`. The first trace of the path is the base.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CompareResponse {
    /// The trace that is compared with.
    pub base: ComparedTrace,
    /// The trace that is compared.
    pub other: ComparedTrace,
    /// How many spans differ, of all spans, whatever page this is.
    pub counts: CompareCounts,
    /// Every service of either, the largest change of self time first.
    pub services: Vec<ComparedService>,
    /// Both trees as one, in the order of a walk through it, children by start: a page of what was asked to be shown.
    pub nodes: Vec<CompareNode>,
    /// How many nodes all pages have.
    pub node_count: u64,
    /// Passed back as `cursor` to read the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// What the answer cost.
    pub stats: Stats,
}

/// One of the two traces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComparedTrace {
    /// 32 hex digits.
    pub trace_id: String,
    /// Service of the root span, or of the earliest span when no root has arrived.
    pub root_service: String,
    /// Name of that span.
    pub root_name: String,
    /// Start of the earliest span.
    #[serde(with = "nanos")]
    pub start_unix_nano: i64,
    /// From the earliest start to the latest end.
    pub duration_nano: i64,
    /// Its spans.
    pub span_count: u32,
    /// Its spans whose status is error.
    pub error_count: u32,
    /// Its spans that stand beside the root although they name a parent: it is not there, or its parents lead back to itself.
    pub detached_count: u32,
}

/// How many spans are where, and how many of those in both differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompareCounts {
    /// Spans that are in both.
    pub both: u32,
    /// Spans that are in the base only.
    pub only_base: u32,
    /// Spans that are in the other only.
    pub only_other: u32,
    /// Of those in both: whose status differs.
    pub status_changed: u32,
    /// Of those in both: of which an attribute differs.
    pub attributes_changed: u32,
}

/// One service's part of both traces.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ComparedService {
    /// service.name.
    pub name: String,
    /// Its part of the base.
    pub base: ServiceSums,
    /// Its part of the other.
    pub other: ServiceSums,
    /// Resource attributes of which the two have different values, such as another version; at most 100 of them.
    pub resource: Vec<ResourceDifference>,
}

/// Sums over a service's spans.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSums {
    /// Its spans.
    pub span_count: u32,
    /// Its spans whose status is error.
    pub error_count: u32,
    /// Its spans that the other trace does not have.
    pub only_count: u32,
    /// The durations of its spans, added up.
    pub duration_nano: i64,
    /// What no child covers of them, added up.
    pub self_nano: i64,
}

/// A resource attribute whose values differ.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ResourceDifference {
    /// Its key.
    pub key: String,
    /// Its values in the base, at most ten; none where no resource has it.
    pub base: Vec<AnyValue>,
    /// Its values in the other, at most ten.
    pub other: Vec<AnyValue>,
}

/// A place in both trees, with the span of one or of each.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CompareNode {
    /// Steps from the top. The parent is the nearest node before it that is one step higher.
    pub depth: u32,
    /// service.name.
    pub service: String,
    /// Operation name.
    pub name: String,
    /// OTLP's number of the kind.
    pub kind: i32,
    /// The span of the base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<ComparedSpan>,
    /// The span of the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<ComparedSpan>,
    /// For a span in both: attributes that differ, by key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<AttributeDifference>,
}

/// A span of one of the traces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComparedSpan {
    /// 16 hex digits.
    pub span_id: String,
    /// Start, after the start of its trace.
    pub start_nano: i64,
    /// Duration; zero when it ends before it starts.
    pub duration_nano: i64,
    /// What no child covers of it.
    pub self_nano: i64,
    /// 0 unset, 1 ok, 2 error.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub status: i32,
    /// Why, for an error.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status_message: String,
    /// Whether it stands beside the root although it names a parent.
    #[serde(default, skip_serializing_if = "is_false")]
    pub detached: bool,
}

/// An attribute of a span that is in both traces; absent where the span does not have it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AttributeDifference {
    /// Its key.
    pub key: String,
    /// Its value in the base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<AnyValue>,
    /// Its value in the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<AnyValue>,
}

fn is_false(value: &bool) -> bool {
    !*value
}

fn is_zero(value: &i32) -> bool {
    *value == 0
}
