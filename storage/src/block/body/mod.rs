//! How are the bodies of log records kept? As templates and columns of what varies, where a trial shows that to pay.
//!
//! Lines of logs are written by few statements of programs. The file `bodies` holds those statements, the templates; per
//! row which one wrote it; and per template and slot a column of words (`column`). The trial is made row group by row group:
//! where it does not make bodies a tenth smaller, they stay a column of `data.parquet`; else that column has nulls there.
//!
//! ```text
//! file      := chunk* section(directory) length u32-le of that section, magic
//! chunk     := head granule*                      of one row group, and at most 16 MiB of bodies or one row
//! head      := varint(templates) (varint(template) varint(length) of-a-chunk)*
//! granule   := numbers(0: no text; else the place of the template in the head, from 1) (varint(length) of-a-granule)*
//! directory := varint(templates) template* varint(chunks) (varint(rows of the block between the chunk before and this)
//!              varint(rows) varint(bytes of bodies) varint(head length) varint(granules) (varint(rows) varint(length))*)*
//! template  := varint(lines) varint(slots) literal (32 bytes: a bit per byte that the slot's words have; literal)*
//! ```
//!
//! D1  A body comes back bit for bit. Lines of no template are the one slot of the template without literals.
//! D2  How many lines of the file a template has is exact. No two templates have the same literals.
//! D3  A predicate is decided by the template alone where that can be; only lines of the other templates are restored.
//!
//! Not here: bodies that are no text, which have a column of their own.

mod chunk;
mod clock;
mod column;
mod lex;
mod mine;
mod number;
mod read;
mod section;
mod template;
mod write;

pub(super) use read::Bodies;
pub use template::Template;
pub(super) use write::BodyWriter;

/// Name of the file.
pub(super) const FILE: &str = "bodies";
const MAGIC: &[u8; 8] = b"SLBODY\0\x01";

/// How bodies of logs are kept that are text and do not repeat. What comes out is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEncoding {
    /// As templates, where a trial makes them smaller.
    ByTrial,
    /// As templates.
    Templates,
    /// As a column.
    Column,
}

#[cfg(test)]
mod tests;
