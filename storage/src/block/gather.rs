//! How do the cells of many batches come together, in the block's order, as one column?
//!
//! Byte strings are numbered while they are gathered, as long as they repeat; a column whose strings do not is laid down
//! as it is, also in the row groups that follow.

use super::encode::{ColumnData, Values};
use super::interner::Interner;
use super::order::{RowRef, dictionary_value, id_number};
use crate::error::{Error, Result};
use crate::trace::{self, Named, Parent};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampNanosecondType, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use std::ops::Range;

/// A dictionary page is read whole before one row of it is, so it is kept small.
const MOST_DICTIONARY_BYTES: usize = 128 * 1024;
/// Before so many distinct values nothing is said about whether they repeat.
const FEW_DISTINCT: usize = 1024;

/// A column of byte strings in the making.
#[derive(Debug, Default)]
pub(super) struct Strings {
    plain: bool,
    dictionary: Interner,
    keys: Vec<u32>,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Number of the filler.
    filler: Option<u32>,
}

impl Strings {
    /// A column of so many rows that knows from the row group before whether its strings repeat.
    pub(super) fn new(plain: bool, rows: usize) -> Self {
        let mut strings = Strings { plain, ..Strings::default() };
        if plain {
            strings.ends.reserve(rows);
        } else {
            strings.keys.reserve(rows);
        }
        strings
    }

    pub(super) fn len(&self) -> usize {
        if self.plain { self.ends.len() } else { self.keys.len() }
    }

    pub(super) fn push(&mut self, value: &[u8]) {
        if self.plain {
            self.bytes.extend_from_slice(value);
            self.ends.push(self.bytes.len());
            return;
        }
        let distinct = self.dictionary.len();
        let key = self.dictionary.intern(value);
        self.keys.push(key);
        if self.dictionary.len() > distinct && distinct.is_multiple_of(FEW_DISTINCT) && !self.repeats() {
            self.lay_down();
        }
    }

    /// Appends the value for "nothing here" many times; always the same one.
    pub(super) fn push_filler(&mut self, value: &[u8], count: usize) {
        if count == 0 {
            return;
        }
        if self.plain {
            (0..count).for_each(|_| self.push(value));
            return;
        }
        let key = *self.filler.get_or_insert_with(|| self.dictionary.intern(value));
        self.keys.resize(self.keys.len() + count, key);
    }

    fn repeats(&self) -> bool {
        let distinct = self.dictionary.len();
        self.dictionary.bytes_len() <= MOST_DICTIONARY_BYTES
            && (distinct <= FEW_DISTINCT || distinct * 2 <= self.keys.len())
    }

    fn lay_down(&mut self) {
        self.plain = true;
        for &key in &self.keys {
            self.bytes.extend_from_slice(self.dictionary.get(key));
            self.ends.push(self.bytes.len());
        }
        self.keys = Vec::new();
        self.dictionary = Interner::default();
    }

    /// The column, and whether its strings do not repeat.
    pub(super) fn finish(mut self) -> (Values, bool) {
        let distinct = self.dictionary.len();
        if !self.plain && (!self.repeats() || (distinct > 16 && distinct * 2 > self.keys.len())) {
            self.lay_down();
        }
        if self.plain {
            return (Values::Bytes { bytes: self.bytes, ends: self.ends }, true);
        }
        (Values::Coded { dictionary: self.dictionary, keys: self.keys, fixed: false }, false)
    }
}

/// The cells of one column across all batches.
#[derive(Debug)]
pub(super) struct Source<'a> {
    arrays: Vec<&'a ArrayRef>,
    nullable: bool,
    plain: bool,
}

impl<'a> Source<'a> {
    /// `plain` says whether the strings of earlier rows of this column did not repeat.
    pub(super) fn new(arrays: Vec<&'a ArrayRef>, nullable: bool, plain: bool) -> Self {
        Source { arrays, nullable, plain }
    }

    /// Whether its strings do not repeat, as far as is known.
    pub(super) fn is_plain(&self) -> bool {
        self.plain
    }

    /// The cells of some rows, in their order.
    pub(super) fn gather(&mut self, rows: &[RowRef]) -> Result<ColumnData> {
        let data_type = self.arrays.first().map_or(&DataType::Null, |array| array.data_type());
        let present = self.nullable.then(|| self.present(rows));
        let rows = &Present { rows, present: present.as_deref() };
        let values = match data_type {
            DataType::Int32 => Values::Int32(self.numbers(rows, |array| array.as_primitive::<Int32Type>().values())),
            DataType::UInt32 => {
                let values = self.numbers(rows, |array| array.as_primitive::<UInt32Type>().values());
                Values::Int32(values.into_iter().map(u32::cast_signed).collect())
            }
            DataType::Int64 => Values::Int64(self.numbers(rows, |array| array.as_primitive::<Int64Type>().values())),
            DataType::UInt64 => {
                let values = self.numbers(rows, |array| array.as_primitive::<UInt64Type>().values());
                Values::Int64(values.into_iter().map(u64::cast_signed).collect())
            }
            DataType::Timestamp(_, _) => {
                Values::Int64(self.numbers(rows, |array| array.as_primitive::<TimestampNanosecondType>().values()))
            }
            DataType::Float64 => {
                Values::Double(self.numbers(rows, |array| array.as_primitive::<Float64Type>().values()))
            }
            DataType::Boolean => {
                let arrays: Vec<_> = self.arrays.iter().map(|array| array.as_boolean()).collect();
                Values::Bool(rows.iter().map(|at| arrays[at.batch as usize].value(at.row as usize)).collect())
            }
            DataType::FixedSizeBinary(8) => Values::Fixed { width: 8, bytes: self.fixed::<8>(rows).concat() },
            DataType::FixedSizeBinary(16) => {
                let mut dictionary = Interner::default();
                let keys = self.fixed::<16>(rows).iter().map(|id| dictionary.intern(id)).collect();
                Values::Coded { dictionary, keys, fixed: true }
            }
            DataType::Utf8 => {
                let arrays: Vec<_> = self.arrays.iter().map(|array| array.as_string::<i32>()).collect();
                self.strings(rows, |at| arrays[at.batch as usize].value(at.row as usize).as_bytes())
            }
            DataType::Binary => {
                let arrays: Vec<_> = self.arrays.iter().map(|array| array.as_binary::<i32>()).collect();
                self.strings(rows, |at| arrays[at.batch as usize].value(at.row as usize))
            }
            DataType::Dictionary(_, _) => self.recoded(rows),
            other => return Err(Error::Request { what: format!("a column of type {other} cannot be stored") }),
        };
        Ok(ColumnData { values, present })
    }

    fn present(&self, rows: &[RowRef]) -> Vec<bool> {
        let nulls: Vec<_> = self.arrays.iter().map(|array| array.nulls()).collect();
        rows.iter().map(|at| nulls[at.batch as usize].is_none_or(|nulls| nulls.is_valid(at.row as usize))).collect()
    }

    fn numbers<T: Copy + 'a>(&self, rows: &Present<'_>, values: impl Fn(&'a ArrayRef) -> &'a [T]) -> Vec<T> {
        let arrays: Vec<&[T]> = self.arrays.iter().map(|array| values(array)).collect();
        rows.iter().map(|at| arrays[at.batch as usize][at.row as usize]).collect()
    }

    /// Ids of one width.
    fn fixed<const N: usize>(&self, rows: &Present<'_>) -> Vec<[u8; N]> {
        let arrays: Vec<&[[u8; N]]> =
            self.arrays.iter().map(|array| array.as_fixed_size_binary().value_data().as_chunks().0).collect();
        rows.iter().map(|at| arrays[at.batch as usize][at.row as usize]).collect()
    }

    fn strings(&mut self, rows: &Present<'_>, value: impl Fn(RowRef) -> &'a [u8]) -> Values {
        let mut strings = Strings::new(self.plain, rows.rows.len());
        rows.iter().for_each(|at| strings.push(value(at)));
        let (values, plain) = strings.finish();
        self.plain = plain;
        values
    }

    /// The cells of dictionary columns: each batch numbers its values anew.
    fn recoded(&self, rows: &Present<'_>) -> Values {
        const UNSEEN: u32 = u32::MAX;
        let arrays: Vec<_> = self.arrays.iter().map(|array| array.as_dictionary::<Int32Type>()).collect();
        let mut codes: Vec<Vec<u32>> = vec![Vec::new(); arrays.len()];
        let mut dictionary = Interner::default();
        let code = |at: RowRef| {
            let array = arrays[at.batch as usize];
            let key = array.keys().values()[at.row as usize];
            let codes = &mut codes[at.batch as usize];
            if codes.is_empty() {
                codes.resize(array.values().len().max(1), UNSEEN);
            }
            let slot = usize::try_from(key).unwrap_or(0).min(codes.len() - 1);
            if codes[slot] == UNSEEN {
                codes[slot] = dictionary.intern(dictionary_value(array, key));
            }
            codes[slot]
        };
        let keys = rows.iter().map(code).collect();
        Values::Coded { dictionary, keys, fixed: false }
    }
}

/// The rows of a column that have a value.
struct Present<'a> {
    rows: &'a [RowRef],
    present: Option<&'a [bool]>,
}

impl Present<'_> {
    fn iter(&self) -> impl Iterator<Item = RowRef> {
        let present = |index: usize| self.present.is_none_or(|present| present[index]);
        self.rows.iter().enumerate().filter(move |&(index, _)| present(index)).map(|(_, &at)| at)
    }
}

/// The parents of a row group's spans: for each row how many rows before it its parent lies, 0 where the parent is not
/// in the same trace and row group, and the ids of those that are not.
pub(super) fn parents(
    [spans, parents, kinds]: [&Source<'_>; 3],
    rows: &[RowRef],
    traces: &[Range<usize>],
) -> [ColumnData; 2] {
    let every = Present { rows, present: None };
    let ids = spans.fixed::<8>(&every);
    let has_parent = parents.present(rows);
    let parent_ids = parents.fixed::<8>(&every);
    let kinds = kinds.numbers(&every, |array| array.as_primitive::<Int32Type>().values());
    let mut distance = vec![0i32; rows.len()];
    let mut foreign = vec![false; rows.len()];
    let mut foreign_ids = Vec::new();
    let (mut named, mut found) = (Vec::new(), Vec::new());
    for trace in traces {
        named.clear();
        named.extend(trace.clone().map(|row| Named {
            id: id_number(&ids[row]),
            parent: has_parent[row].then(|| id_number(&parent_ids[row])),
            kind: kinds[row],
        }));
        found.clear();
        trace::parents(&named, &mut found);
        for (row, parent) in trace.clone().zip(&found) {
            match *parent {
                Parent::None => {}
                Parent::At(place) => distance[row] = row_distance(row, trace.start + place),
                Parent::Missing => {
                    foreign[row] = true;
                    foreign_ids.extend_from_slice(&parent_ids[row]);
                }
            }
        }
    }
    [
        ColumnData::required(Values::Int32(distance)),
        ColumnData { values: Values::Fixed { width: 8, bytes: foreign_ids }, present: Some(foreign) },
    ]
}

fn row_distance(row: usize, parent: usize) -> i32 {
    // A block has fewer than 2^31 rows.
    match row.checked_sub(parent) {
        Some(before) => i32::try_from(before).unwrap_or(0),
        None => i32::try_from(parent - row).map_or(0, |after| -after),
    }
}
