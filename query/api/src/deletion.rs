//! What is asked and answered about deletions? `DELETE /api/v1/traces/{trace_id}`, `POST /api/v1/{spans,logs,metrics}/delete` and
//! `GET /api/v1/deletions`.

use crate::nanos;
use serde::{Deserialize, Serialize};

/// The answer to a deletion.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteResponse {
    /// What was deleted, as it is on record; absent where nothing matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Deletion>,
}

/// The answer of `GET /api/v1/deletions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletionsResponse {
    /// The newest first.
    pub deletions: Vec<Deletion>,
    /// Numbers of deletions, of whomever, whose record is damaged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<u64>,
}

/// A deletion on record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// Its number: deletions are numbered in their order, with gaps.
    pub number: u64,
    /// When.
    #[serde(with = "nanos")]
    pub time_unix_nano: i64,
    /// `spans`, `logs` or `metrics`.
    pub signal: String,
    /// `request`, `age`, `bytes`, `disk` or `damage`.
    pub cause: String,
    /// Which rows, as JSON; absent for whole blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicate: Option<String>,
    /// Blocks that were deleted, or that may have such rows.
    pub blocks: u64,
    /// Rows of whole blocks that were deleted.
    pub rows: u64,
}
