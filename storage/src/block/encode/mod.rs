//! How do the values of one column and row group become a Parquet column chunk?
//!
//! The pages are our own work, by the letter of the Parquet format, because how they are packed decides how small and how
//! cheap a block is; any Parquet reader reads them. Footer, schema and indexes are the `parquet` crate's.
//!
//! Not here: which values a column has (`gather`, `shred`).

mod bits;
mod chunk;

pub(super) use chunk::ChunkEncoder;

use super::interner::Interner;

/// The values of one column in one row group, without the absent ones.
#[derive(Debug)]
pub(super) enum Values {
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Double(Vec<f64>),
    Bool(Vec<bool>),
    /// Values of one width, one after the other.
    Fixed {
        width: usize,
        bytes: Vec<u8>,
    },
    /// Byte strings, one after the other.
    Bytes {
        bytes: Vec<u8>,
        ends: Vec<usize>,
    },
    /// Numbers of byte strings.
    Coded {
        dictionary: Interner,
        keys: Vec<u32>,
        /// Whether the column has byte strings of one width.
        fixed: bool,
    },
}

impl Values {
    pub(super) fn len(&self) -> usize {
        match self {
            Values::Int32(values) => values.len(),
            Values::Int64(values) => values.len(),
            Values::Double(values) => values.len(),
            Values::Bool(values) => values.len(),
            Values::Fixed { width, bytes } => bytes.len() / width,
            Values::Bytes { ends, .. } => ends.len(),
            Values::Coded { keys, .. } => keys.len(),
        }
    }
}

/// A column of a row group.
#[derive(Debug)]
pub(super) struct ColumnData {
    pub(super) values: Values,
    /// Which rows have a value; for nullable columns only.
    pub(super) present: Option<Vec<bool>>,
}

impl ColumnData {
    /// A column that has a value in each row.
    pub(super) fn required(values: Values) -> Self {
        ColumnData { values, present: None }
    }

    pub(super) fn rows(&self) -> usize {
        self.present.as_ref().map_or_else(|| self.values.len(), Vec::len)
    }
}

/// Of which columns are least and greatest values worth their bytes?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bounds {
    /// None.
    None,
    /// Per row group and page. For integers and times.
    Pages,
}

/// How a column wants to be packed, where the values do not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// Random bytes: as they are.
    Raw,
    /// Times: by their differences.
    Deltas,
    /// By trial.
    Auto,
}

/// What one column is to the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) packing: Packing,
    pub(super) bounds: Bounds,
}
