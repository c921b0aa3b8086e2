//! How far has a source been read that can be read again, such as a partition of a topic?
//!
//! N13 A range is taken only where it joins: it begins where the manifest says that the source has been read to. So no offset
//!     becomes visible twice, whoever reads it a second time, and none is passed over unsaid.
//!
//! Not here: what a source is; its name is its reader's business.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A part of a source: the offsets from `from` up to, and without, `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceRange {
    /// Up to where it had been read; `None` begins a source that has not been read from yet.
    pub from: Option<u64>,
    /// Up to where it has been read now. Below `from` where a source has lost its end.
    pub to: u64,
}

/// Ranges by the names of their sources.
pub type SourceRanges = BTreeMap<String, SourceRange>;

/// Moves sources on; an `Err` says which range does not join.
pub(super) fn advance(sources: &mut BTreeMap<String, u64>, ranges: &SourceRanges) -> Result<(), String> {
    for (name, range) in ranges {
        let at = sources.get(name).copied();
        if at != range.from {
            return Err(format!("{name} has been read up to {at:?}, and the range begins at {:?}", range.from));
        }
        sources.insert(name.clone(), range.to);
    }
    Ok(())
}
