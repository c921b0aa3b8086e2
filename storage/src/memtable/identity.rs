//! When are two spans the same span? When every field is the same: ids, times, attributes, events, links, origin.
//!
//! The identity is a 128-bit hash of all cells of the row. Attributes are canonical (M2), so their order does not matter.

use crate::error::{Error, Result};
use crate::model::Signal;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, RecordBatch, downcast_primitive_array};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// Takes an identity as its own hash.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = (value >> 64) as u64;
    }
}

pub(super) type Unhashed = BuildHasherDefault<AsIs>;

/// The identities of a table's spans.
#[derive(Debug, Default)]
pub(super) struct Identities(HashSet<u128, Unhashed>);

impl Identities {
    pub(super) fn contains(&self, identity: &u128) -> bool {
        self.0.contains(identity)
    }

    pub(super) fn extend(&mut self, identities: Vec<u128>) {
        self.0.extend(identities);
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.capacity() * (size_of::<u128>() + 1)
    }
}

/// The identity of each row of a batch with the schema of spans.
pub(crate) fn of_spans(columns: &RecordBatch) -> Result<Vec<u128>> {
    let cells: Vec<Cells<'_>> = columns.columns().iter().map(Cells::of).collect::<Result<_>>()?;
    let mut row = Vec::with_capacity(512);
    Ok((0..columns.num_rows())
        .map(|index| {
            row.clear();
            cells.iter().for_each(|cells| cells.put(index, &mut row));
            xxh3_128(&row)
        })
        .collect())
}

/// A column, ready to give the bytes of its cells.
enum Cells<'a> {
    /// Cells of one width each: values, width, nulls.
    Fixed(&'a [u8], usize, Option<&'a NullBuffer>),
    /// Cells of any length: offsets, values, nulls.
    Long(&'a [i32], &'a [u8], Option<&'a NullBuffer>),
    /// Keys into values that are hashed once.
    Repeated(&'a [i32], Vec<u64>),
}

impl<'a> Cells<'a> {
    fn of(column: &'a ArrayRef) -> Result<Self> {
        let column_ref = column.as_ref();
        Ok(match column.data_type() {
            DataType::Utf8 => {
                let text = column.as_string::<i32>();
                Cells::Long(text.value_offsets(), text.value_data(), text.nulls())
            }
            DataType::Binary => {
                let cells = column.as_binary::<i32>();
                Cells::Long(cells.value_offsets(), cells.value_data(), cells.nulls())
            }
            DataType::FixedSizeBinary(width) => {
                let cells = column.as_fixed_size_binary();
                Cells::Fixed(cells.value_data(), usize::try_from(*width).unwrap_or_default(), cells.nulls())
            }
            DataType::Dictionary(_, _) => {
                let dictionary = column.as_dictionary::<Int32Type>();
                let values = Cells::of(dictionary.values())?;
                let mut cell = Vec::new();
                let hashes = (0..dictionary.values().len()).map(|index| {
                    cell.clear();
                    values.put(index, &mut cell);
                    xxh3_64(&cell)
                });
                Cells::Repeated(dictionary.keys().values(), hashes.collect())
            }
            _ => downcast_primitive_array! {
                column_ref => Cells::Fixed(column_ref.values().inner().as_slice(), column_ref.values().inner().len() / column_ref.len().max(1), column.nulls()),
                other => return Err(Error::Request { what: format!("no identity for {other} in {}", Signal::Spans) }),
            },
        })
    }

    fn put(&self, index: usize, row: &mut Vec<u8>) {
        match self {
            Cells::Fixed(values, width, nulls) => {
                if nulls.is_some_and(|nulls| nulls.is_null(index)) {
                    row.push(0);
                } else {
                    row.push(1);
                    row.extend_from_slice(values.get(index * width..(index + 1) * width).unwrap_or_default());
                }
            }
            Cells::Long(offsets, values, nulls) => {
                let is_valid = nulls.is_none_or(|nulls| nulls.is_valid(index));
                let range = match (offsets.get(index), offsets.get(index + 1)) {
                    (Some(&start), Some(&end)) if is_valid => start as usize..end as usize,
                    _ => 0..0,
                };
                row.extend_from_slice(&(range.len() as u32).to_le_bytes());
                row.extend_from_slice(values.get(range).unwrap_or_default());
            }
            Cells::Repeated(keys, hashes) => {
                let hash = keys.get(index).and_then(|key| hashes.get(usize::try_from(*key).ok()?)).copied();
                row.extend_from_slice(&hash.unwrap_or_default().to_le_bytes());
            }
        }
    }
}
