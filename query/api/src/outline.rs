//! How is a trace of any size looked at? By its outline: what it is as a whole, and windows of its rows.
//!
//! `GET /api/v1/traces/{trace_id}/outline` and what is below it. A row is a span in its place in the order of display: what is
//! below it stands right behind it. Rows are numbered from 0; a number holds for one `version` of the outline.

use crate::log::LogRecord;
use crate::nanos;
use crate::otlp::TracesData;
use crate::service::GraphEdge;
use crate::trace::Stats;
use serde::{Deserialize, Serialize};

/// The answer of `GET /api/v1/traces/{trace_id}/outline`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OutlineResponse {
    /// What the numbers of rows belong to: spans that arrive change it.
    pub version: String,
    /// Start of the earliest span.
    #[serde(with = "nanos")]
    pub start_unix_nano: i64,
    /// From the earliest start to the latest end.
    pub duration_nano: i64,
    /// All spans.
    pub span_count: usize,
    /// Spans whose status is error.
    pub error_count: usize,
    /// Levels of the tree.
    pub level_count: usize,
    /// Services by first row.
    pub services: Vec<OutlineService>,
    /// The row where the errors began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_row: Option<usize>,
    /// What is wrong with the trace.
    pub flaws: OutlineFlaws,
    /// Calls that are made again and again, those that take longest first.
    pub repeats: Vec<OutlineRepeat>,
    /// All spans in miniature, drawn one over the other.
    pub minimap: Vec<MinimapBar>,
    /// Rows of the miniature.
    pub minimap_bands: usize,
    /// Its columns.
    pub minimap_columns: usize,
    /// The first rows, with nothing folded.
    pub rows: Vec<OutlineRow>,
    /// The whole trace, where it has no more spans than were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<TracesData>,
    /// What the answer cost.
    pub stats: Stats,
}

/// A service's part of a trace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutlineService {
    /// service.name.
    pub name: String,
    /// Its spans.
    pub span_count: usize,
    /// Its spans whose status is error.
    pub error_count: usize,
    /// Sum of its self times.
    pub self_nano: i64,
    /// Its part of the critical path.
    pub critical_nano: i64,
    /// The row of it that was waited for longest at a stretch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical_row: Option<usize>,
}

/// What is wrong with a trace, in numbers of spans.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutlineFlaws {
    /// Without parent, as a root is.
    pub roots: usize,
    /// Whose parent is not there.
    pub missing_parent: usize,
    /// Whose parents lead back to themselves.
    pub cycle: usize,
    /// Which end before they start.
    pub backwards: usize,
    /// Which start noticeably before their parent.
    pub early: usize,
    /// By how much the worst of those does.
    pub earliest_nano: i64,
    /// Which a server began noticeably after its caller had ended.
    pub late: usize,
    /// By how much the worst of those did.
    pub latest_nano: i64,
    /// Which share an id with another.
    pub same_id: usize,
}

/// How calls are repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeated {
    /// One after the other.
    Loop,
    /// After failures.
    Retry,
    /// With exactly the same attributes; told where the answer has the whole trace.
    Same,
}

/// Calls alike below one span: its children, or below children of it that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutlineRepeat {
    /// The first of them.
    pub row: usize,
    /// The id of that, 16 hex digits.
    pub span_id: String,
    /// How.
    pub how: Repeated,
    /// How many there are.
    pub count: usize,
    /// What they take together.
    pub total_nano: i64,
    /// Their name, with `…` for numbers and ids if those differ.
    pub name: String,
    /// Service and name of the nearest span that all of them are below.
    pub parent: String,
}

/// A bar of the miniature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinimapBar {
    /// Row of the miniature.
    pub band: usize,
    /// First column.
    pub start: usize,
    /// Column after the last.
    pub end: usize,
    /// Index of the service.
    pub service: usize,
    /// Whether a span there failed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub failed: bool,
}

/// Why a row stands at the top although it names a parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutlineFlaw {
    /// That is not there.
    MissingParent,
    /// It is that itself.
    SelfParent,
    /// Its parents lead back to it.
    Cycle,
}

/// A span in its place. Times are nanoseconds after the start of the trace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OutlineRow {
    /// Its number.
    pub row: usize,
    /// 16 hex digits.
    pub span_id: String,
    /// The row above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_row: Option<usize>,
    /// Levels above it.
    pub depth: usize,
    /// Its place among its siblings, from 1.
    pub place: usize,
    /// How many of them there are, itself included.
    pub siblings: usize,
    /// Rows of its subtree, itself included.
    pub subtree: usize,
    /// Whether what is below it is hidden in this answer.
    #[serde(default, skip_serializing_if = "is_false")]
    pub closed: bool,
    /// Errors below it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub errors_below: usize,
    /// Index of its service.
    pub service: usize,
    /// Its name.
    pub name: String,
    /// OTLP's number of the kind.
    pub kind: i32,
    /// Whether its status is error.
    #[serde(default, skip_serializing_if = "is_false")]
    pub failed: bool,
    /// Why it stands at the top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flaw: Option<OutlineFlaw>,
    /// Start.
    pub start_nano: i64,
    /// Duration; zero when it ends before it starts.
    pub duration_nano: i64,
    /// What no child covers of it.
    pub self_nano: i64,
    /// The stretches that no child covers, as start and end; the first sixty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<[i64; 2]>,
    /// Its stretches of the critical path, as start and end; sixty of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub critical: Vec<[i64; 2]>,
    /// The first sixty events.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<OutlineEvent>,
}

/// An event of a span.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutlineEvent {
    /// When.
    pub time_nano: i64,
    /// Its name.
    pub name: String,
}

/// The answer of `GET /api/v1/traces/{trace_id}/outline/rows`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RowsResponse {
    /// What the numbers of rows belong to.
    pub version: String,
    /// Rows that are shown with what is folded.
    pub shown_count: usize,
    /// How many of those stand before the first of `rows`.
    pub offset: usize,
    /// The window.
    pub rows: Vec<OutlineRow>,
    /// The place of the row that was to be revealed, among those that are shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<usize>,
    /// What is folded: as was asked, but for what was opened to reveal a row.
    pub folded: Folded,
    /// What the answer cost.
    pub stats: Stats,
}

/// Which rows are closed: those with children from a depth on, but for those that are named, which are the other way round.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Folded {
    /// Levels above the rows that are closed; none is unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<usize>,
    /// The rows that are the other way round.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub turned: Vec<usize>,
    /// The ids of the first of those: what is folded in words that hold for every version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<String>,
}

/// The answer of `GET /api/v1/traces/{trace_id}/outline/matches`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MatchesResponse {
    /// What the numbers of rows belong to.
    pub version: String,
    /// Rows that match.
    pub count: usize,
    /// The first of them, in order.
    pub rows: Vec<usize>,
    /// What the answer cost.
    pub stats: Stats,
}

/// The answer of `GET /api/v1/traces/{trace_id}/outline/groups`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupsResponse {
    /// What the numbers of rows belong to.
    pub version: String,
    /// The groups by first row; a thousand of them, those of the most self time.
    pub groups: Vec<OutlineGroup>,
    /// How many there are.
    pub group_count: usize,
    /// Sum of all self times.
    pub self_nano: i64,
    /// Attributes that spans can be grouped by.
    pub keys: Vec<String>,
    /// What the answer cost.
    pub stats: Stats,
}

/// Spans that are alike.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutlineGroup {
    /// Index of the service, where they are grouped by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<usize>,
    /// Operation, kind, status or value; absent where the attribute is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The first of them.
    pub row: usize,
    /// Spans.
    pub span_count: usize,
    /// Of those, with status error.
    pub error_count: usize,
    /// Sum of their durations.
    pub total_nano: i64,
    /// Sum of their self times.
    pub self_nano: i64,
    /// The longest of them.
    pub longest_nano: i64,
}

/// The answer of `GET /api/v1/traces/{trace_id}/outline/calls`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CallsResponse {
    /// What the numbers of rows belong to.
    pub version: String,
    /// Who calls whom within the trace, by their names; without figures of their sides.
    pub edges: Vec<GraphEdge>,
    /// What the answer cost.
    pub stats: Stats,
}

/// The answer of `GET /api/v1/traces/{trace_id}/outline/events`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EventsResponse {
    /// What the numbers of rows belong to.
    pub version: String,
    /// How many events the spans of the trace have.
    pub count: usize,
    /// The latest of them as log records, latest first.
    pub events: Vec<LogRecord>,
    /// What the answer cost.
    pub stats: Stats,
}

/// The answer of `GET /api/v1/traces/{trace_id}/outline/lanes`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LanesResponse {
    /// What the numbers of rows belong to.
    pub version: String,
    /// Lanes of the whole trace.
    pub lane_count: usize,
    /// The lane of the row that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<usize>,
    /// What is in the lanes and the time asked for, lane by lane, by start.
    pub bars: Vec<LaneBar>,
    /// What the answer cost.
    pub stats: Stats,
}

/// A span in its lane, or several that are too short to be told apart. Times are nanoseconds after the start of the trace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneBar {
    /// The lane.
    pub lane: usize,
    /// The row; the first of several.
    pub row: usize,
    /// The id of that, 16 hex digits.
    pub span_id: String,
    /// How many spans it stands for.
    pub span_count: usize,
    /// Index of the service; of the first of several.
    pub service: usize,
    /// The name; absent for several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether one of them failed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub failed: bool,
    /// Start.
    pub start_nano: i64,
    /// End; the last of several.
    pub end_nano: i64,
    /// The stretches that no child covers, as start and end; the first sixty, none of several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<[i64; 2]>,
    /// Stretches of the critical path, as start and end; sixty of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub critical: Vec<[i64; 2]>,
}

/// The answer of `GET /api/v1/traces/{trace_id}/spans/{span_id}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SpanResponse {
    /// What the numbers of rows belong to.
    pub version: String,
    /// Its place.
    pub row: OutlineRow,
    /// The id of the span above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// The name of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_name: Option<String>,
    /// The span with its resource and scope, and others of the same id.
    pub data: TracesData,
    /// What the answer cost.
    pub stats: Stats,
}

// The signature is serde's.
fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &usize) -> bool {
    *value == 0
}
