//! How are the columns of a scan's answer read? By name, with the type that the model's schema gives them.
//!
//! A missing column or another type is a defect of the query that asked, never of the data.

use crate::error::{Error, Result};
use arrow_array::types::{Int32Type, TimestampNanosecondType};
use arrow_array::{
    Array, BinaryArray, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringArray, UInt32Array, UInt64Array,
};
use storage::model::schema::column;
use storage::model::trace_state::{self, Threshold};
use storage::model::{SpanId, TraceId};

/// A batch's columns, by name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns<'a>(pub(crate) &'a RecordBatch);

impl<'a> Columns<'a> {
    pub(crate) fn rows(self) -> usize {
        self.0.num_rows()
    }

    fn any<T: Array + 'static>(self, name: &str) -> Result<&'a T> {
        self.0
            .column_by_name(name)
            .and_then(|column| column.as_any().downcast_ref::<T>())
            .ok_or_else(|| Error::bug(format!("the scan answered no column `{name}` of the expected type")))
    }

    /// Times, as they are stored: nanoseconds since 1970.
    pub(crate) fn times(self, name: &str) -> Result<&'a arrow_array::PrimitiveArray<TimestampNanosecondType>> {
        self.any(name)
    }

    pub(crate) fn int32(self, name: &str) -> Result<&'a Int32Array> {
        self.any(name)
    }

    pub(crate) fn int64(self, name: &str) -> Result<&'a Int64Array> {
        self.any(name)
    }

    pub(crate) fn uint32(self, name: &str) -> Result<&'a UInt32Array> {
        self.any(name)
    }

    pub(crate) fn uint64(self, name: &str) -> Result<&'a UInt64Array> {
        self.any(name)
    }

    pub(crate) fn float64(self, name: &str) -> Result<&'a Float64Array> {
        self.any(name)
    }

    pub(crate) fn boolean(self, name: &str) -> Result<&'a BooleanArray> {
        self.any(name)
    }

    pub(crate) fn text(self, name: &str) -> Result<Text<'a>> {
        Ok(Text(self.any(name)?))
    }

    /// For how many spans each stands; for itself where the column is not there.
    pub(crate) fn stand_for(self) -> Result<StandFor<'a>> {
        let is_there = self.0.column_by_name(column::TRACE_STATE).is_some();
        Ok(StandFor(is_there.then(|| self.text(column::TRACE_STATE)).transpose()?))
    }

    /// Text where null and empty differ.
    pub(crate) fn strings(self, name: &str) -> Result<&'a StringArray> {
        self.any(name)
    }

    pub(crate) fn cells(self, name: &str) -> Result<Cells<'a>> {
        Ok(Cells(self.any(name)?))
    }

    pub(crate) fn fixed(self, name: &str) -> Result<&'a FixedSizeBinaryArray> {
        self.any(name)
    }

    pub(crate) fn repeated_text(self, name: &str) -> Result<Repeated<'a, StringArray>> {
        Repeated::new(self.any(name)?, name)
    }

    pub(crate) fn repeated_cells(self, name: &str) -> Result<Repeated<'a, BinaryArray>> {
        Repeated::new(self.any(name)?, name)
    }
}

/// For how many spans each stands, by the threshold that its trace passed; for itself where it names none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StandFor<'a>(Option<Text<'a>>);

impl StandFor<'_> {
    pub(crate) fn get(self, row: usize) -> f64 {
        let threshold = self.0.and_then(|states| trace_state::threshold(states.get(row)));
        threshold.map_or(1.0, Threshold::adjusted_count)
    }

    /// Whether that was read.
    pub(crate) fn is_known(self) -> bool {
        self.0.is_some()
    }
}

/// A text column whose nulls mean "empty".
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a>(&'a StringArray);

impl<'a> Text<'a> {
    pub(crate) fn get(self, row: usize) -> &'a str {
        if self.0.is_null(row) { "" } else { self.0.value(row) }
    }
}

/// A column of binary cells whose nulls mean "empty".
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cells<'a>(&'a BinaryArray);

impl<'a> Cells<'a> {
    pub(crate) fn get(self, row: usize) -> &'a [u8] {
        self.opt(row).unwrap_or_default()
    }

    pub(crate) fn opt(self, row: usize) -> Option<&'a [u8]> {
        self.0.is_valid(row).then(|| self.0.value(row))
    }
}

/// A column that repeats from row to row: distinct values, and a key per row.
#[derive(Debug)]
pub(crate) struct Repeated<'a, V> {
    keys: &'a [i32],
    values: &'a V,
}

impl<V> Clone for Repeated<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Repeated<'_, V> {}

impl<'a, V: Array + 'static> Repeated<'a, V> {
    fn new(column: &'a DictionaryArray<Int32Type>, name: &str) -> Result<Self> {
        let values = column.values().as_any().downcast_ref::<V>();
        let values = values.ok_or_else(|| Error::bug(format!("`{name}` has values of another type")))?;
        Ok(Repeated { keys: column.keys().values(), values })
    }

    /// The index of a row's value; past the end where the row has none, which the schema rules out.
    pub(crate) fn key(self, row: usize) -> usize {
        self.keys.get(row).and_then(|key| usize::try_from(*key).ok()).unwrap_or(usize::MAX)
    }

    /// How many distinct values there are.
    pub(crate) fn len(self) -> usize {
        self.values.len()
    }
}

impl<'a> Repeated<'a, StringArray> {
    /// The value of an index.
    pub(crate) fn value(self, key: usize) -> &'a str {
        if key < self.values.len() && self.values.is_valid(key) { self.values.value(key) } else { "" }
    }

    /// The value of a row.
    pub(crate) fn get(self, row: usize) -> &'a str {
        self.value(self.key(row))
    }
}

impl<'a> Repeated<'a, BinaryArray> {
    /// The value of an index.
    pub(crate) fn value(self, key: usize) -> &'a [u8] {
        if key < self.values.len() && self.values.is_valid(key) { self.values.value(key) } else { &[] }
    }

    /// The value of a row.
    pub(crate) fn get(self, row: usize) -> &'a [u8] {
        self.value(self.key(row))
    }
}

/// A trace id column's row.
pub(crate) fn trace_id(column: &FixedSizeBinaryArray, row: usize) -> Option<TraceId> {
    column.is_valid(row).then(|| TraceId::from_slice(column.value(row))).flatten()
}

/// A span id column's row.
pub(crate) fn span_id(column: &FixedSizeBinaryArray, row: usize) -> Option<SpanId> {
    column.is_valid(row).then(|| SpanId::from_slice(column.value(row))).flatten()
}
