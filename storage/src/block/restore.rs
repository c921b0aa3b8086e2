//! How do stored columns become the model's again?
//!
//! Not here: how columns were taken apart (`shred`, `gather`), which rows are wanted (`scan`).

use super::layout::{OBSERVED_DELAY, PARENT_ROW};
use super::nest::{self, Nesting};
use super::read::{AttributeLeaf, Block};
use super::shred::{ABSENT_BOOL, ABSENT_INT, ABSENT_STRING, Kind};
use crate::error::{Error, Result};
use crate::model::Signal;
use crate::model::attribute::{Map, Value, put_value};
use crate::model::record::{put_bytes, put_varint};
use crate::model::schema::{self, column as name};
use crate::scan::{required, unknown};
use crate::trace;
use arrow_array::builder::{BinaryBuilder, FixedSizeBinaryBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampNanosecondType};
use arrow_array::{
    Array, ArrayRef, BinaryArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, TimestampNanosecondArray,
};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use arrow_schema::{DataType, Schema};
use std::sync::Arc;

impl Block {
    /// Some of the model's columns, of the rows of a row group that are set in `mask`.
    pub(super) fn restore(&self, group: usize, mask: &BooleanBuffer, columns: &[&'static str]) -> Result<RecordBatch> {
        self.restore_with(group, mask, (columns, None), &mut Nesting::default())
    }

    /// The same, of attributes those that `keys` names at least; what the numbers of spans are derived from is kept in `nesting` for
    /// the next call.
    pub(super) fn restore_with(
        &self,
        group: usize,
        mask: &BooleanBuffer,
        (columns, keys): (&[&'static str], Option<&[&str]>),
        nesting: &mut Nesting,
    ) -> Result<RecordBatch> {
        let bodies = if columns.contains(&name::BODY) { self.bodies(group)? } else { None };
        let is_derived = |column: &&'static str| schema::is_derived(self.signal(), column);
        let is_template = |column: &&&'static str| bodies.is_some() && **column == name::BODY;
        let mut leaves = Vec::new();
        for column in columns.iter().filter(|column| !is_derived(column) && !is_template(column)) {
            self.leaves_of(column, keys, &mut leaves)?;
        }
        leaves.sort_unstable();
        leaves.dedup();
        let rows = mask.count_set_bits();
        let stored = if leaves.is_empty() { None } else { Some(self.read(group, &leaves, mask)?) };
        let model = schema::of(self.signal());
        let numbers = if columns.iter().any(is_derived) { nesting.numbers(self, group, mask)? } else { Vec::new() };
        let (mut fields, mut arrays) = (Vec::new(), Vec::new());
        for column in columns {
            if is_derived(column) {
                fields.push(schema::nested_set_field(column));
                arrays.push(trace::column_of(column, &numbers).ok_or_else(|| unknown(column))?);
                continue;
            }
            let field = model.field_with_name(column).map_err(|_| unknown(column))?;
            if let Some((bodies, rows)) = bodies.as_ref().filter(|_| *column == name::BODY) {
                fields.push(field.clone());
                arrays.push(bodies.restore(rows.start, mask, &self.times(group, mask)?)?);
                continue;
            }
            if *column == name::ATTRIBUTES && self.signal() != Signal::Metrics {
                fields.push(field.clone());
                arrays.push(self.merge_attributes(stored.as_ref(), keys, rows)?);
                continue;
            }
            let stored = stored.as_ref().ok_or_else(|| unknown(column))?;
            let array = match (self.signal(), *column) {
                (Signal::Spans, name::PARENT_SPAN_ID) => self.parents(group, mask, stored)?,
                (Signal::Logs, name::OBSERVED_TIME) => observed_times(stored)?,
                _ => as_type(required(stored, column)?, field.data_type())?,
            };
            fields.push(field.clone());
            arrays.push(array);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
            .map_err(|source| Error::Columns { action: "put the columns of a block together", source })
    }

    /// The stored columns that a column of the model is made of, of attributes those that some keys need.
    pub(super) fn leaves_of(&self, column: &str, keys: Option<&[&str]>, leaves: &mut Vec<usize>) -> Result<()> {
        let mut push = |column: &str| self.leaf(column).map(|leaf| leaves.push(leaf)).ok_or_else(|| unknown(column));
        match (self.signal(), column) {
            (Signal::Spans, name::PARENT_SPAN_ID) => {
                push(PARENT_ROW)?;
                push(column)
            }
            (Signal::Logs, name::OBSERVED_TIME) => {
                push(OBSERVED_DELAY)?;
                push(name::TIME)
            }
            (signal, column) if schema::is_derived(signal, column) => nest::COLUMNS.into_iter().try_for_each(push),
            (_, name::ATTRIBUTES) => {
                if self.needs_rest(keys) {
                    push(column)?;
                }
                leaves.extend(self.attributes_of(keys).map(|attribute| attribute.leaf));
                Ok(())
            }
            _ => push(column),
        }
    }

    /// The times of the rows of a row group that are set in `mask`.
    pub(super) fn times(&self, group: usize, mask: &BooleanBuffer) -> Result<Vec<i64>> {
        let batch = self.restore(group, mask, &[schema::time_column(self.signal())])?;
        Ok(batch.column(0).as_primitive::<TimestampNanosecondType>().values().to_vec())
    }

    /// Whether a column of the model is stored as other columns.
    pub(super) fn is_taken_apart(&self, column: &str) -> bool {
        match self.signal() {
            Signal::Spans => {
                matches!(column, name::PARENT_SPAN_ID | name::ATTRIBUTES) || schema::is_derived(Signal::Spans, column)
            }
            Signal::Logs => matches!(column, name::OBSERVED_TIME | name::ATTRIBUTES),
            Signal::Metrics => false,
        }
    }

    /// The ids of parents, of which most are found in the rows that they are kept as.
    fn parents(&self, group: usize, mask: &BooleanBuffer, stored: &RecordBatch) -> Result<ArrayRef> {
        let distances = required(stored, PARENT_ROW)?.as_primitive::<Int32Type>().values();
        let foreign = required(stored, name::PARENT_SPAN_ID)?.as_fixed_size_binary();
        let place = |row: usize, distance: i32| match usize::try_from(distance) {
            Ok(before) => row.checked_sub(before),
            Err(_) => row.checked_add(distance.unsigned_abs() as usize),
        };
        let parents: Vec<Option<usize>> = mask
            .set_indices()
            .zip(distances)
            .map(|(row, &distance)| if distance == 0 { None } else { place(row, distance) })
            .collect();
        let mut wanted: Vec<usize> = parents.iter().flatten().copied().filter(|&row| row < mask.len()).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let span_id = self.leaf(name::SPAN_ID).ok_or_else(|| unknown(name::SPAN_ID))?;
        let batch = match wanted.is_empty() {
            true => None,
            false => Some(self.read(group, &[span_id], &mask_of_rows(mask.len(), &wanted))?),
        };
        let ids = batch.as_ref().map(|batch| batch.column(0).as_fixed_size_binary());

        let mut column = FixedSizeBinaryBuilder::with_capacity(parents.len(), 8);
        for (row, parent) in parents.into_iter().enumerate() {
            let id = match parent {
                None if foreign.is_valid(row) => Some(foreign.value(row)),
                None => None,
                Some(parent) => {
                    let found = wanted.binary_search(&parent).ok().zip(ids).map(|(at, ids)| ids.value(at));
                    let damaged = || Error::Damaged {
                        path: self.path().to_owned(),
                        what: format!("a parent lies in row {parent} of row group {group}, which it has not"),
                    };
                    Some(found.ok_or_else(damaged)?)
                }
            };
            match id {
                Some(id) => column
                    .append_value(id)
                    .map_err(|source| Error::Columns { action: "put parents together", source })?,
                None => column.append_null(),
            }
        }
        Ok(Arc::new(column.finish()))
    }

    /// Whether attributes of some keys may be in the map that the others are left in.
    fn needs_rest(&self, keys: Option<&[&str]>) -> bool {
        self.signal() == Signal::Metrics || keys.is_none_or(|keys| keys.iter().any(|key| self.rest_may_hold(key)))
    }

    /// The columns of attributes of some keys.
    fn attributes_of<'a>(&'a self, keys: Option<&'a [&str]>) -> impl Iterator<Item = &'a AttributeLeaf> {
        let is_wanted =
            move |attribute: &&AttributeLeaf| keys.is_none_or(|keys| keys.contains(&attribute.key.as_str()));
        self.attributes().iter().filter(is_wanted)
    }

    /// The maps of so many rows; of those columns that are not there nothing is needed.
    fn merge_attributes(&self, stored: Option<&RecordBatch>, keys: Option<&[&str]>, rows: usize) -> Result<ArrayRef> {
        let column = |name: &str| stored.ok_or_else(|| unknown(name)).and_then(|stored| required(stored, name));
        let rest = match self.needs_rest(keys) {
            true => Some(as_type(column(name::ATTRIBUTES)?, &DataType::Binary)?),
            false => None,
        };
        let rest = rest.as_ref().map(|rest| rest.as_binary::<i32>());
        let mut columns = Vec::with_capacity(self.attributes().len());
        for attribute in self.attributes_of(keys) {
            columns.push(Merged::new(attribute, column(&attribute.name)?)?);
        }
        let mut maps = BinaryBuilder::with_capacity(rows, rest.map_or(0, |rest| rest.value_data().len()));
        let mut map = Vec::new();
        for row in 0..rows {
            map.clear();
            merge_row(&columns, rest.map(|rest| rest.value(row)).unwrap_or_default(), row, &mut map);
            maps.append_value(&map);
        }
        Ok(Arc::new(maps.finish()))
    }
}

fn observed_times(stored: &RecordBatch) -> Result<ArrayRef> {
    let delays = required(stored, OBSERVED_DELAY)?.as_primitive::<Int64Type>();
    let times = required(stored, name::TIME)?.as_primitive::<TimestampNanosecondType>();
    let observed = delays.values().iter().zip(times.values()).map(|(delay, time)| time.wrapping_add(*delay));
    let observed = TimestampNanosecondArray::new(observed.collect(), delays.nulls().cloned());
    Ok(Arc::new(observed.with_data_type(schema::timestamp())))
}

/// Entries from columns and from the rest, by key.
fn merge_row(columns: &[Merged<'_>], mut rest: &[u8], row: usize, map: &mut Vec<u8>) {
    for column in columns.iter().filter(|column| column.cells.is_present(row)) {
        while let Some(entry) = Map::new(rest).raw_entries().next().filter(|entry| entry.key < column.key) {
            map.extend_from_slice(entry.entry);
            rest = rest.get(entry.entry.len()..).unwrap_or_default();
        }
        map.extend_from_slice(&column.entry_key);
        column.cells.put(row, map);
    }
    map.extend_from_slice(rest);
}

/// An attribute's column on its way back into the maps.
struct Merged<'a> {
    key: &'a [u8],
    /// The key as it stands in a map.
    entry_key: Vec<u8>,
    cells: Cells<'a>,
}

impl<'a> Merged<'a> {
    fn new(attribute: &'a AttributeLeaf, array: &'a ArrayRef) -> Result<Self> {
        let key = attribute.key.as_bytes();
        let mut entry_key = Vec::new();
        put_bytes(&mut entry_key, key);
        Ok(Merged { key, entry_key, cells: Cells::new(attribute, array)? })
    }
}

/// An attribute's column, by how its values are kept.
pub(super) enum Cells<'a> {
    Coded {
        keys: &'a [i32],
        values: &'a BinaryArray,
        absent: Vec<bool>,
    },
    Text(&'a BinaryArray),
    Bool(&'a [i32]),
    /// Absence is a null, or a value of its own.
    Int(&'a Int64Array, Option<i64>),
    Double(&'a Float64Array),
}

impl<'a> Cells<'a> {
    pub(super) fn new(attribute: &AttributeLeaf, array: &'a ArrayRef) -> Result<Self> {
        let absent_int = (!attribute.nullable).then_some(ABSENT_INT);
        let cells = match attribute.kind {
            Kind::String => match array.as_dictionary_opt::<Int32Type>() {
                Some(coded) => coded.values().as_binary_opt::<i32>().map(|values| Cells::Coded {
                    keys: coded.keys().values(),
                    absent: values.iter().map(|value| value == Some(ABSENT_STRING)).collect(),
                    values,
                }),
                None => array.as_binary_opt::<i32>().map(Cells::Text),
            },
            Kind::Bool => array.as_primitive_opt::<Int32Type>().map(|array| Cells::Bool(array.values())),
            Kind::Int => array.as_primitive_opt::<Int64Type>().map(|array| Cells::Int(array, absent_int)),
            Kind::Double => array.as_primitive_opt::<Float64Type>().map(Cells::Double),
        };
        cells.ok_or_else(|| Error::Request { what: format!("an attribute column has type {}", array.data_type()) })
    }

    pub(super) fn is_present(&self, row: usize) -> bool {
        match self {
            Cells::Coded { keys, absent, .. } => {
                let key = keys.get(row).and_then(|&key| usize::try_from(key).ok());
                key.and_then(|key| absent.get(key)) == Some(&false)
            }
            Cells::Text(values) => values.value(row) != ABSENT_STRING,
            Cells::Bool(values) => values.get(row).is_some_and(|&value| value != ABSENT_BOOL),
            Cells::Int(values, absent) => values.is_valid(row) && Some(values.value(row)) != *absent,
            Cells::Double(values) => values.is_valid(row),
        }
    }

    /// Appends the encoded value of a row that has one.
    pub(super) fn put(&self, row: usize, out: &mut Vec<u8>) {
        const STRING: u8 = 1;
        let text = |out: &mut Vec<u8>, value: &[u8]| {
            out.push(STRING);
            put_varint(out, value.len() as u64);
            out.extend_from_slice(value);
        };
        match self {
            Cells::Coded { keys, values, .. } => text(out, coded_value(keys, values, row)),
            Cells::Text(values) => text(out, values.value(row)),
            Cells::Bool(values) => put_value(out, Value::Bool(values.get(row) == Some(&1))),
            Cells::Int(values, _) => put_value(out, Value::Int(values.value(row))),
            Cells::Double(values) => put_value(out, Value::Double(values.value(row))),
        }
    }
}

fn coded_value<'a>(keys: &[i32], values: &'a BinaryArray, row: usize) -> &'a [u8] {
    let key = keys.get(row).and_then(|&key| usize::try_from(key).ok()).filter(|&key| key < values.len());
    key.map_or(&[], |key| values.value(key))
}

/// An array as another of the types that hold the same values.
pub(super) fn as_type(array: &ArrayRef, r#type: &DataType) -> Result<ArrayRef> {
    if array.data_type() == r#type {
        return Ok(array.clone());
    }
    arrow_cast::cast(array, r#type).map_err(|source| Error::Columns { action: "restore a column", source })
}

/// A mask with some rows set, which are ascending.
pub(super) fn mask_of_rows(len: usize, rows: &[usize]) -> BooleanBuffer {
    let mut mask = BooleanBufferBuilder::new(len);
    mask.append_n(len, false);
    rows.iter().for_each(|&row| mask.set_bit(row, true));
    mask.finish()
}
