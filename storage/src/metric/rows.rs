//! What does a row of a metrics batch hold, seen as a sample?

use super::field::{CELLS, NUMBERS};
use crate::error::{Error, Result};
use crate::model::schema::column as name;
use crate::model::{Batch, Signal};
use crate::scan::required;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampNanosecondType, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, DictionaryArray};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;

/// A sample, borrowed from its batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) time: i64,
    pub(crate) numbers: [Option<u64>; NUMBERS.len()],
    pub(crate) cells: [Option<&'a [u8]>; CELLS.len()],
}

impl Row<'_> {
    pub(crate) const EMPTY: Row<'static> = Row { time: 0, numbers: [None; NUMBERS.len()], cells: [None; CELLS.len()] };
}

/// The columns of a batch that make samples.
#[derive(Debug)]
pub(crate) struct SampleColumns<'a> {
    times: &'a [i64],
    /// Those with a value in some row.
    numbers: Vec<(usize, Numbers<'a>)>,
    cells: Vec<(usize, &'a BinaryArray)>,
}

#[derive(Debug)]
struct Numbers<'a> {
    values: Values<'a>,
    nulls: Option<&'a NullBuffer>,
}

#[derive(Debug)]
enum Values<'a> {
    Int32(&'a [i32]),
    UInt32(&'a [u32]),
    Int64(&'a [i64]),
    UInt64(&'a [u64]),
    Double(&'a [f64]),
}

impl<'a> Numbers<'a> {
    fn of(array: &'a ArrayRef) -> Result<Self> {
        let values = match array.data_type() {
            DataType::Int32 => Values::Int32(array.as_primitive::<Int32Type>().values()),
            DataType::UInt32 => Values::UInt32(array.as_primitive::<UInt32Type>().values()),
            DataType::Int64 => Values::Int64(array.as_primitive::<Int64Type>().values()),
            DataType::UInt64 => Values::UInt64(array.as_primitive::<UInt64Type>().values()),
            DataType::Float64 => Values::Double(array.as_primitive::<Float64Type>().values()),
            DataType::Timestamp(_, _) => Values::Int64(array.as_primitive::<TimestampNanosecondType>().values()),
            other => return Err(Error::Request { what: format!("a sample has no column of type {other}") }),
        };
        Ok(Numbers { values, nulls: array.nulls() })
    }

    fn get(&self, row: usize) -> Option<u64> {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        match self.values {
            Values::Int32(values) => values.get(row).map(|&value| i64::from(value).cast_unsigned()),
            Values::UInt32(values) => values.get(row).map(|&value| u64::from(value)),
            Values::Int64(values) => values.get(row).map(|&value| value.cast_unsigned()),
            Values::UInt64(values) => values.get(row).copied(),
            Values::Double(values) => values.get(row).map(|value| value.to_bits()),
        }
    }
}

impl<'a> SampleColumns<'a> {
    pub(crate) fn of(batch: &'a Batch) -> Result<Self> {
        debug_assert_eq!(batch.signal(), Signal::Metrics);
        let columns = batch.columns();
        let has_values = |array: &ArrayRef| array.null_count() < array.len();
        let (mut numbers, mut cells) = (Vec::new(), Vec::new());
        for (place, (column, _)) in NUMBERS.iter().enumerate() {
            let array = required(columns, column)?;
            if has_values(array) {
                numbers.push((place, Numbers::of(array)?));
            }
        }
        for (place, column) in CELLS.iter().enumerate() {
            let array = required(columns, column)?;
            if has_values(array) {
                cells.push((place, array.as_binary::<i32>()));
            }
        }
        let times = required(columns, name::TIME)?.as_primitive::<TimestampNanosecondType>().values();
        Ok(SampleColumns { times, numbers, cells })
    }

    /// Puts a row in the place of another one of the same batch, or of an empty one.
    pub(crate) fn read(&self, row: usize, made: &mut Row<'a>) {
        made.time = self.times.get(row).copied().unwrap_or_default();
        for (place, numbers) in &self.numbers {
            if let Some(to) = made.numbers.get_mut(*place) {
                *to = numbers.get(row);
            }
        }
        for (place, cells) in &self.cells {
            if let Some(to) = made.cells.get_mut(*place) {
                *to = cells.is_valid(row).then(|| cells.value(row));
            }
        }
    }
}

/// The columns of a batch that make series, but for the attributes: few combinations, in long runs of rows.
#[derive(Debug)]
pub(crate) struct FamilyColumns<'a> {
    pub(crate) dictionaries: [&'a DictionaryArray<Int32Type>; 7],
    types: &'a [i32],
    temporalities: &'a [i32],
    monotonic: &'a BooleanArray,
    pub(crate) attributes: &'a BinaryArray,
}

/// The dictionary columns of [`FamilyColumns`], texts first.
pub(crate) const DICTIONARIES: [&str; 7] =
    [name::NAME, name::SERVICE_NAME, name::UNIT, name::DESCRIPTION, name::METADATA, name::RESOURCE, name::SCOPE];

/// What tells the families of a batch apart: keys of its dictionaries, type, temporality, monotonicity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FamilyKeys {
    pub(crate) keys: [i32; 7],
    pub(crate) r#type: i32,
    pub(crate) temporality: i32,
    pub(crate) is_monotonic: bool,
}

impl<'a> FamilyColumns<'a> {
    pub(crate) fn of(batch: &'a Batch) -> Result<Self> {
        let columns = batch.columns();
        let mut dictionaries = Vec::with_capacity(DICTIONARIES.len());
        for column in DICTIONARIES {
            dictionaries.push(required(columns, column)?.as_dictionary::<Int32Type>());
        }
        let dictionaries =
            dictionaries.try_into().map_err(|_| Error::Request { what: "a series lacks a column".into() })?;
        Ok(FamilyColumns {
            dictionaries,
            types: required(columns, name::TYPE)?.as_primitive::<Int32Type>().values(),
            temporalities: required(columns, name::TEMPORALITY)?.as_primitive::<Int32Type>().values(),
            monotonic: required(columns, name::IS_MONOTONIC)?.as_boolean(),
            attributes: required(columns, name::ATTRIBUTES)?.as_binary(),
        })
    }

    pub(crate) fn keys(&self, row: usize) -> FamilyKeys {
        FamilyKeys {
            keys: self.dictionaries.map(|dictionary| dictionary.keys().values().get(row).copied().unwrap_or_default()),
            r#type: self.types.get(row).copied().unwrap_or_default(),
            temporality: self.temporalities.get(row).copied().unwrap_or_default(),
            is_monotonic: self.monotonic.value(row),
        }
    }
}
