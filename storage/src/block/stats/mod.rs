//! How many rows of which kind does a block have, per granule, and which attributes? The file `stats.idx`.
//!
//! Two parts, each a Zstandard frame that is read when it is first asked for:
//!
//! - **granules** (`granule`): of each granule of rows, the same as those of `terms.idx`, least and greatest time, and rows and
//!   bytes by combination of service and severity (logs), or of service, kind and status (spans). Kept in memory once read.
//! - **facets** (`scan::facet`): the keys of attributes with their types and rows, and the values of those that have few.
//!
//! Invariants
//! T1  What is told is exact: every row is in one granule and one combination. What could not be held is told as unknown,
//!     and who asks reads the rows.
//! T2  No byte from the file is trusted: what cannot be read is `Error::Damaged`, never a panic.
//!
//! Not here: how rows are counted (`scan::volume`), which granules a question covers (`block::volume`), checksums
//! (`block::checked`).

mod attributes;
mod file;
mod granule;

use attributes::note_attributes;
pub(super) use attributes::{text_value, value_type};
pub(super) use file::{FacetStats, Stats, StatsWriter};
pub(super) use granule::{Granule, GranuleStats, GroupRows, Weights};

/// What the file ends with.
const MAGIC: &[u8; 8] = b"SLSTATS\x01";

#[cfg(test)]
mod tests;
