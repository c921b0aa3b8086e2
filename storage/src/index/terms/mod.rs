//! Which granules of a block may hold this word, this value? The file `terms.idx`.
//!
//! A *granule* is some hundred rows of a row group that follow each other. Of each field (a stored column) the index keeps,
//! by what there is in it:
//!
//! - **values**: the distinct values, where they are few, and the granules of each;
//! - **words** of texts (`token`), and the granules of each; of ids in texts, fingerprints of their pieces;
//! - **prints**: fingerprints of the values, where these are many, and the granule of each.
//!
//! A term that lies in more than a third of the granules has no list of them. The file is a row of segments, each of which
//! knows some granules, and a directory at its end. The directory is read when it is first asked for and kept; chunks of
//! terms are read by range, one or a few per question.
//!
//! Invariants
//! I1  What the index proposes are all granules that hold what was asked for, and maybe others: whoever reads them looks
//!     at every row. What the index cannot answer, it proposes all granules for.
//! I2  No byte from the file is trusted: what cannot be read is `Error::Damaged`, never a panic.
//!
//! Not here: which columns are fields (`block::describe`), what a predicate asks for (`block::propose`), checksums
//! (`block::checked`). Why this is no tantivy index: `docs/adr/009-own-granule-index.md`.

mod bits;
mod build;
mod encode;
mod file;
mod granules;
mod query;
mod regex;
mod token;

pub(crate) use build::{Notes, Style, TermsBuilder, fingerprint};
pub(crate) use file::TermIndex;
pub(crate) use granules::Granules;
pub(crate) use query::Ask;
pub use query::{Edge, TextQuery};

/// What the file ends with.
const MAGIC: &[u8; 8] = b"SLTERMS\x02";
/// What files end with whose fingerprints have [`FIRST_PRINT_BITS`].
const FIRST_MAGIC: &[u8; 8] = b"SLTERMS\x01";

/// How the number of a term's granules is written, where there is one only, and where they are more than a third; a number
/// that is neither is written plus one.
const SINGLE: u64 = 1;
const DENSE: u64 = 2;

/// A question for a value that is not there is answered with a wrong granule once in 2^this many times.
///
/// Of a value that is in one block of many, each other block is asked too: with two bits every fourth of them had a page of an
/// attribute read for nothing, which took most of the time of such a search. Each bit more is 0.2 B per span.
const PRINT_BITS: u32 = 4;
const FIRST_PRINT_BITS: u32 = 2;

#[cfg(test)]
mod tests;
