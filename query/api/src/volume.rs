//! What is asked and answered about how much there is, and of what? `GET /api/v1/logs/volume`, `GET /api/v1/spans/volume`,
//! `GET /api/v1/attributes` and `GET /api/v1/attributes/{key}/values`.

use crate::nanos;
use crate::otlp::AnyValue;
use crate::trace::Stats;
use serde::{Deserialize, Serialize};

/// How many rows there are over time, by group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct VolumeResponse {
    /// Start of the first step.
    #[serde(with = "nanos")]
    pub start_unix_nano: i64,
    /// Length of a step; the last one may reach past the range.
    pub step_nano: i64,
    /// The groups of most rows, most first.
    pub groups: Vec<GroupVolume>,
    /// All other groups together, where there are more than were asked for; its name is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<GroupVolume>,
    /// What the answer cost.
    pub stats: Stats,
}

/// How many rows of a group are in each step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupVolume {
    /// Level, service, status or kind; empty where rows are not grouped.
    pub name: String,
    /// Rows in each step.
    pub rows: Vec<u64>,
    /// Bytes of texts, attributes, events and links in each step, if they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bytes: Vec<u64>,
}

/// Which attributes rows have.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AttributesResponse {
    /// By key, then scope and type.
    pub attributes: Vec<AttributeKey>,
    /// Whether these are all.
    pub complete: bool,
    /// What the answer cost.
    pub stats: Stats,
}

/// A key that rows have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeKey {
    /// The key.
    pub key: String,
    /// Whose attribute: `own`, `resource` or `scope`.
    pub scope: String,
    /// `empty`, `string`, `bool`, `int`, `double`, `bytes`, `array` or `map`. A key of two types is listed twice.
    pub r#type: String,
    /// Rows that have it.
    pub rows: u64,
}

/// The values that rows have under a key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AttributeValuesResponse {
    /// Those of most rows first. Lists, maps and bytes are not listed.
    pub values: Vec<AttributeValue>,
    /// Whether these are all.
    pub complete: bool,
    /// What the answer cost.
    pub stats: Stats,
}

/// A value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AttributeValue {
    /// As OTLP/JSON writes it.
    pub value: AnyValue,
    /// Rows that have it.
    pub rows: u64,
}
