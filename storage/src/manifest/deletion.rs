//! What was deleted: rows that are hidden until a merge leaves them out, and the record of every deletion.
//!
//! D1  A deletion and its record are one commit: nothing is deleted without a word, and no word is said of what did not happen.
//!
//! Not here: the files that the record ends in (`retention`).

use super::file::read;
use super::predicate::StoredPredicate;
use crate::block::BlockId;
use crate::model::{Signal, TenantId};
use crate::scan::Predicate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Rows that nobody sees any more.
#[derive(Debug, Clone, PartialEq)]
pub struct Tombstone {
    /// When they were hidden, nanoseconds since 1970.
    pub created: i64,
    /// Which rows.
    pub predicate: Predicate,
    /// Of which blocks. Rows that came later are in others.
    pub blocks: BTreeSet<BlockId>,
}

// Predicates are compared as they were read: a double that is no number is not equal to itself, which costs a re-read.
impl Eq for Tombstone {}

/// Why something was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Somebody asked for it.
    Request,
    /// The rows are older than the tenant's retention.
    Age,
    /// The tenant's signal has more bytes than it may.
    Bytes,
    /// The disk is nearly full.
    Disk,
    /// The rows could not be read any more, and a repair gave them up.
    Damage,
}

/// An entry of the record of deletions.
#[derive(Debug, Clone, PartialEq)]
pub struct Deletion {
    /// When, nanoseconds since 1970.
    pub time: i64,
    /// Whose rows.
    pub tenant: TenantId,
    /// Of which table.
    pub signal: Signal,
    /// Why.
    pub cause: Cause,
    /// Which rows; `None` for whole blocks.
    pub predicate: Option<Predicate>,
    /// How many blocks have or had such rows.
    pub blocks: u64,
    /// Rows of whole blocks that were deleted; of a predicate's only how many blocks is known.
    pub rows: u64,
}

impl Eq for Deletion {}

impl Cause {
    /// The word in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Request => "request",
            Cause::Age => "age",
            Cause::Bytes => "bytes",
            Cause::Disk => "disk",
            Cause::Damage => "damage",
        }
    }
}

impl Deletion {
    /// One JSON object: as in the manifest.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(StoredDeletion::of(self)).unwrap_or_default()
    }

    /// Reads what `to_json` wrote.
    pub fn from_json(value: serde_json::Value) -> Result<Self, String> {
        serde_json::from_value::<StoredDeletion>(value).map_err(|error| error.to_string())?.read()
    }
}

/// A `Tombstone` in a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredTombstone {
    version: u64,
    created: i64,
    predicate: StoredPredicate,
    blocks: Vec<String>,
}

impl StoredTombstone {
    pub(super) fn of(version: u64, tombstone: &Tombstone) -> Self {
        StoredTombstone {
            version,
            created: tombstone.created,
            predicate: StoredPredicate::of(&tombstone.predicate),
            blocks: tombstone.blocks.iter().map(ToString::to_string).collect(),
        }
    }

    pub(super) fn read(self) -> Result<(u64, Tombstone), String> {
        let predicate = self.predicate.read()?;
        let blocks = self.blocks.iter().map(|id| read(id)).collect::<Result<_, String>>()?;
        Ok((self.version, Tombstone { created: self.created, predicate, blocks }))
    }
}

/// A `Deletion` in a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredDeletion {
    time: i64,
    tenant: String,
    signal: String,
    cause: Cause,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    predicate: Option<StoredPredicate>,
    blocks: u64,
    rows: u64,
}

impl StoredDeletion {
    pub(super) fn of(deletion: &Deletion) -> Self {
        StoredDeletion {
            time: deletion.time,
            tenant: deletion.tenant.to_string(),
            signal: deletion.signal.to_string(),
            cause: deletion.cause,
            predicate: deletion.predicate.as_ref().map(StoredPredicate::of),
            blocks: deletion.blocks,
            rows: deletion.rows,
        }
    }

    pub(super) fn read(self) -> Result<Deletion, String> {
        Ok(Deletion {
            time: self.time,
            tenant: read::<TenantId>(&self.tenant)?,
            signal: Signal::from_name(&self.signal).ok_or_else(|| format!("unknown signal `{}`", self.signal))?,
            cause: self.cause,
            predicate: self.predicate.map(StoredPredicate::read).transpose()?,
            blocks: self.blocks,
            rows: self.rows,
        })
    }
}
