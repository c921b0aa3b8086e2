//! How do metrics lie on disk? As a block of series: `samples.pco` has what was measured, column by column in long runs per
//! series; `series.idx` says which series there are, which labels they have, and where their runs lie.
//!
//! `docs/format/metrics.md` is the format to the letter. Invariants B1 to B3 of `block` hold here too, B1 with the rule for
//! samples of one time (N2 of `metric`).
//!
//! - [`write`]: a head or batches become a block.
//! - [`read`]: series are found by labels, samples read by series and rows.

mod blobs;
mod columns;
mod postings;
mod read;
mod stream;
mod table;
mod write;

pub(super) use read::SeriesBlock;
pub(crate) use read::SeriesReader;
pub(super) use write::write_batches;
pub(crate) use write::{SeriesWriter, write_head};

/// Name of the file with the samples.
pub(super) const SAMPLES: &str = "samples.pco";
/// Name of the file that says which series there are.
pub(super) const INDEX: &str = "series.idx";
/// How the latter begins.
const MAGIC: &[u8; 8] = b"SLSERIE\x01";

#[cfg(test)]
mod tests;
