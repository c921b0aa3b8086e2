//! How do rows lie on disk, immutable, and how are they found there?
//!
//! A block is a directory of one tenant's rows of one signal: `data.parquet` (the columns), `keys.idx` (where traces
//! lie), `terms.idx` (where words and values may be), `stats.idx` (how many rows of which kind, and which attributes), `bodies`
//! (bodies of logs as templates, `body`) and `meta` (what to know without opening the others). `docs/format/block.md`
//! is the format to the letter. Metrics have other files beside `meta` (`series`).
//!
//! - [`write`] sorts (`order`), gathers (`gather`, `shred`) and encodes (`encode`) batches into a new block.
//! - [`Block`] opens one; [`Block::scan`] and [`Block::trace`] read from it, late: predicates first, then the wanted columns of
//!   the rows that are left.
//!
//! Invariants
//! B1  What comes out is what went in, bit for bit and row for row; only the order of rows is the block's own.
//! B2  A scan answers the rows that `scan::evaluate` would choose. Bounds, filters and indexes only leave out what cannot match.
//! B3  No byte is interpreted before its checksum was compared: damage is an error, never a wrong row, never a panic.
//!
//! Not here: which blocks there are (`manifest`), when they are written (`flush`).

mod body;
mod checked;
mod describe;
mod either;
mod encode;
mod facet;
mod fate;
mod gather;
mod id;
mod interner;
mod layout;
mod lineage;
mod meta;
mod nest;
mod order;
mod pages;
mod propose;
mod prune;
mod read;
mod restore;
mod scan;
mod series;
mod shape;
mod shown;
mod shred;
mod stats;
mod volume;
mod write;

pub use body::{BodyEncoding, Template};
pub(crate) use checked::CheckedFile;
#[cfg(test)]
pub(crate) use checked::open_checked;
pub(crate) use describe::whole;
pub use either::{Block, BlockScan};
pub(crate) use facet::BlockFacets;
pub(crate) use fate::Fate;
pub use id::{BlockId, InvalidBlockId, Window};
pub(crate) use interner::{IntegerInterner, Interner};
pub(crate) use lineage::{BlockTraces, Elsewhere};
pub(crate) use meta::META;
pub use meta::{BlockMeta, ColumnBytes, FileMeta};
pub(crate) use order::dictionary_value;
pub use scan::BlockProgress;
pub(crate) use series::{SeriesReader, SeriesWriter, write_head};
pub(crate) use shown::Shown;
pub(crate) use volume::BlockVolume;
pub use write::{BlockWriter, write};

use crate::model::Signal;

/// Name of the file with the columns.
const DATA: &str = "data.parquet";

/// Which file of a block a column lies in.
pub(crate) fn file_of_column(signal: Signal, column: &str) -> &'static str {
    match (signal, column) {
        (Signal::Metrics, column) if column.starts_with("series.") => series::INDEX,
        (Signal::Metrics, _) => series::SAMPLES,
        (_, body::FILE) => body::FILE,
        _ => DATA,
    }
}

/// Name of the file that finds traces.
const KEYS: &str = "keys.idx";
/// Name of the file that finds words and values.
const TERMS: &str = "terms.idx";
/// Name of the file that counts rows and attributes.
const STATS: &str = "stats.idx";

/// How blocks are written. The defaults were chosen by measurement (`docs/format/block.md`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockConfig {
    /// Rows of a row group. Each has dictionaries of its own, which a read decodes whole: fewer rows make a small read
    /// cheaper and the file larger.
    pub row_group_rows: usize,
    /// Bytes of a page before compression; what the smallest read decodes of each column.
    pub page_bytes: usize,
    /// Bytes of a page of texts that do not repeat. More than of others: a text is much of a page, and many together compress
    /// better.
    pub text_page_bytes: usize,
    /// Pages have a multiple of so many rows.
    pub least_page_rows: usize,
    /// How bodies of logs are kept.
    pub bodies: BodyEncoding,
    /// Zstandard level.
    pub zstd_level: i32,
    /// Rows of a granule, about which `terms.idx` says what they may hold. Fewer make it larger and more exact; with 0 there
    /// is no such file, and searches read all rows.
    pub granule_rows: usize,
    /// Level of `pco`, which packs the numbers of metrics.
    pub pco_level: usize,
    /// An attribute gets a column if one row in so many has it …
    pub attribute_least_share: usize,
    /// … and so many rows have it …
    pub attribute_least_rows: usize,
    /// … and it is among so many most frequent ones.
    pub attribute_most_columns: usize,
}

impl Default for BlockConfig {
    fn default() -> Self {
        BlockConfig {
            row_group_rows: 64 * 1024,
            page_bytes: 16 * 1024,
            text_page_bytes: 512 * 1024,
            least_page_rows: 1024,
            bodies: BodyEncoding::ByTrial,
            zstd_level: 3,
            granule_rows: 512,
            pco_level: 8,
            attribute_least_share: 500,
            attribute_least_rows: 16,
            attribute_most_columns: 256,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
