//! Which columns say the same, and are kept as one?
//!
//! Spans of one operation agree in name, kind, route, table, protocol and in which attributes they have. Each such column
//! alone costs a fifth of a byte per span after compression, and all of them for the same information. A *shape* is one
//! combination of their cells. The block keeps one column that numbers the shapes, and its dictionary holds the cells.
//!
//! P1  Columns are joined only where the combinations are hardly more than the values of one of them, in a sample of the
//!     first row group. Later row groups may have more; they are larger then, not wrong.
//! P2  A joined column reads as if it were stored alone.
//!
//! A shape's dictionary value is, per member in the order that `meta` lists them, varint(length) and the cell: text and
//! binary as they are, integers as little-endian bytes.

use super::encode::{Bounds, ColumnData, Packing, Values};
use super::interner::{IntegerInterner, Interner};
use super::layout::{Part, StoredColumn};
use crate::model::record::{put_bytes, take_bytes};
use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, BinaryArray, DictionaryArray, Int32Array, Int64Array, UInt32Array};
use arrow_schema::DataType;
use std::sync::Arc;

/// Rows that are looked at to find columns that say the same.
const SAMPLE_ROWS: usize = 4096;
/// A column with more distinct values in the sample says something of its own; so does one of which half the values come
/// only once, like an id that few rows have.
const MOST_DISTINCT: usize = 512;
/// Joining may add one combination in so many …
const GROWTH: usize = 4;
/// … and so many.
const SLACK: usize = 4;

/// Beyond so many possible combinations they are hashed.
const LARGEST_TABLE: usize = 1 << 18;

/// What the names of shape columns start with. Columns of the model have no dot in theirs.
pub(super) const PREFIX: &str = "shape.";

/// A column of the sample, its values numbered.
struct Numbered {
    column: usize,
    numbers: Vec<u32>,
    distinct: usize,
}

/// Groups of columns that say the same, by their places in `columns`; each has at least two.
pub(super) fn find(columns: &[StoredColumn], data: &[ColumnData]) -> Vec<Vec<usize>> {
    let mut candidates: Vec<Numbered> = Vec::new();
    for (place, (column, data)) in columns.iter().zip(data).enumerate() {
        let joins = column.style.packing == Packing::Auto
            && column.style.bounds == Bounds::None
            && !column.field.is_nullable()
            // The rest is whatever comes, a parent's place depends on the order of rows.
            && !matches!(column.part, Part::Rest | Part::ParentRow);
        if joins {
            candidates.extend(number_sample(place, &data.values));
        }
    }
    candidates.sort_by_key(|candidate| (std::cmp::Reverse(candidate.distinct), candidate.column));
    let mut groups: Vec<(Numbered, Vec<usize>)> = Vec::new();
    for candidate in candidates {
        let place = candidate.column;
        let joined = groups.iter_mut().find_map(|(group, members)| {
            let joined = join(group, &candidate)?;
            *group = joined;
            members.push(place);
            Some(())
        });
        if joined.is_none() {
            groups.push((candidate, vec![place]));
        }
    }
    let mut groups: Vec<Vec<usize>> =
        groups.into_iter().map(|(_, members)| members).filter(|members| members.len() > 1).collect();
    groups.iter_mut().for_each(|members| members.sort_unstable());
    groups
}

fn number_sample(column: usize, values: &Values) -> Option<Numbered> {
    let stride = values.len().div_ceil(SAMPLE_ROWS).max(1);
    let mut distinct = IntegerInterner::default();
    let numbers: Vec<u32> = match values {
        Values::Coded { keys, fixed: false, .. } => {
            keys.iter().step_by(stride).map(|&key| distinct.intern(key.into())).collect()
        }
        Values::Int32(values) => {
            values.iter().step_by(stride).map(|value| distinct.intern(value.cast_unsigned().into())).collect()
        }
        Values::Int64(values) => {
            values.iter().step_by(stride).map(|value| distinct.intern(value.cast_unsigned())).collect()
        }
        _ => return None,
    };
    let distinct = distinct.values().len();
    let mut count = vec![0usize; distinct];
    numbers.iter().for_each(|&number| count[number as usize] += 1);
    let single = count.iter().filter(|&&count| count == 1).count();
    (distinct <= MOST_DISTINCT && single * 2 <= distinct).then_some(Numbered { column, numbers, distinct })
}

/// Two columns as one, unless that has too many combinations.
fn join(group: &Numbered, other: &Numbered) -> Option<Numbered> {
    const UNSEEN: u32 = u32::MAX;
    let most = group.distinct + group.distinct / GROWTH + SLACK;
    let mut seen = vec![UNSEEN; group.distinct * other.distinct];
    let mut distinct = 0;
    let mut numbers = Vec::with_capacity(group.numbers.len());
    for (&a, &b) in group.numbers.iter().zip(&other.numbers) {
        let number = seen.get_mut(a as usize * other.distinct + b as usize)?;
        if *number == UNSEEN {
            *number = u32::try_from(distinct).ok()?;
            distinct += 1;
            if distinct > most {
                return None;
            }
        }
        numbers.push(*number);
    }
    Some(Numbered { column: group.column, numbers, distinct })
}

/// The columns that are not in a shape, then the shapes.
pub(super) fn join_columns(data: Vec<ColumnData>, shapes: &[Vec<usize>]) -> Vec<ColumnData> {
    let mut data: Vec<Option<ColumnData>> = data.into_iter().map(Some).collect();
    let mut joined = Vec::with_capacity(shapes.len());
    for members in shapes {
        let columns =
            members.iter().filter_map(|&place| data.get_mut(place)?.take()).map(|column| numbered(column.values));
        joined.push(ColumnData::required(combine(&columns.collect::<Vec<_>>())));
    }
    data.into_iter().flatten().chain(joined).collect()
}

/// Distinct cells and their numbers row by row.
fn numbered(values: Values) -> (Interner, Vec<u32>) {
    let mut cells = Interner::default();
    let numbers = match values {
        Values::Coded { dictionary, keys, .. } => return (dictionary, keys),
        Values::Int32(values) => {
            let mut distinct = IntegerInterner::default();
            let numbers = values.iter().map(|value| distinct.intern(value.cast_unsigned().into())).collect();
            for value in distinct.values() {
                cells.intern(&value.to_le_bytes()[..4]);
            }
            numbers
        }
        Values::Int64(values) => {
            let mut distinct = IntegerInterner::default();
            let numbers = values.iter().map(|value| distinct.intern(value.cast_unsigned())).collect();
            for value in distinct.values() {
                cells.intern(&value.to_le_bytes());
            }
            numbers
        }
        Values::Bytes { bytes, ends } => {
            let mut start = 0;
            let cell = |&end: &usize| cells.intern(&bytes[std::mem::replace(&mut start, end)..end]);
            ends.iter().map(cell).collect()
        }
        // Not among the candidates of `find`.
        Values::Double(_) | Values::Bool(_) | Values::Fixed { .. } => Vec::new(),
    };
    (cells, numbers)
}

fn combine(columns: &[(Interner, Vec<u32>)]) -> Values {
    let rows = columns.first().map_or(0, |(_, numbers)| numbers.len());
    let mut keys = vec![0; rows];
    let mut distinct = 1;
    for (cells, numbers) in columns {
        distinct = refine(&mut keys, distinct, numbers, cells.len());
    }
    // Numbers are given in the order of first appearance.
    let mut dictionary = Interner::default();
    let mut cells = Vec::new();
    for (row, &key) in keys.iter().enumerate() {
        if key as usize == dictionary.len() {
            cells.clear();
            columns.iter().for_each(|(values, numbers)| put_bytes(&mut cells, values.get(numbers[row])));
            dictionary.intern(&cells);
        }
    }
    Values::Coded { dictionary, keys, fixed: false }
}

/// Numbers the combinations of `keys`, which are below `distinct`, and `numbers`, which are below `others`, in place; how
/// many there are.
fn refine(keys: &mut [u32], distinct: usize, numbers: &[u32], others: usize) -> usize {
    const UNSEEN: u32 = u32::MAX;
    if others <= 1 {
        return distinct;
    }
    let pairs = keys.iter_mut().zip(numbers);
    if distinct * others > LARGEST_TABLE {
        let mut combinations = IntegerInterner::default();
        pairs.for_each(|(key, &number)| *key = combinations.intern((u64::from(*key) << 32) | u64::from(number)));
        return combinations.values().len();
    }
    let mut seen = vec![UNSEEN; distinct * others];
    let mut combinations = 0u32;
    for (key, &number) in pairs {
        let combination = &mut seen[*key as usize * others + number as usize];
        if *combination == UNSEEN {
            *combination = combinations;
            combinations += 1;
        }
        *key = *combination;
    }
    combinations as usize
}

/// A member of a shape that is wanted as a column again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Its place among the members.
    pub(super) place: usize,
    pub(super) data_type: DataType,
}

/// The columns of some members, ascending by place; `None` if the dictionary does not hold them.
pub(super) fn split(shapes: &DictionaryArray<Int32Type>, members: &[Member]) -> Option<Vec<ArrayRef>> {
    let values = shapes.values().as_any().downcast_ref::<BinaryArray>()?;
    // Few rows use few shapes: the others are not looked into.
    const UNUSED: i32 = -1;
    let mut new_keys = vec![UNUSED; values.len()];
    let mut used = Vec::new();
    let mut keys = Vec::with_capacity(shapes.keys().len());
    for &key in shapes.keys().values() {
        let key = usize::try_from(key).ok()?;
        let new_key = new_keys.get_mut(key)?;
        if *new_key == UNUSED {
            *new_key = i32::try_from(used.len()).ok()?;
            used.push(key);
        }
        keys.push(*new_key);
    }
    let mut columns: Vec<Column> =
        members.iter().map(|member| Column::new(&member.data_type)).collect::<Option<_>>()?;
    for key in used {
        let mut cells = values.value(key);
        let mut place = 0;
        for (member, column) in members.iter().zip(&mut columns) {
            let mut cell = take_bytes(&mut cells)?;
            while place < member.place {
                cell = take_bytes(&mut cells)?;
                place += 1;
            }
            place += 1;
            column.push(cell)?;
        }
    }
    let keys = Int32Array::from(keys);
    columns.into_iter().map(|column| column.finish(&keys)).collect()
}

/// The distinct cells of a member.
enum Column {
    Text(StringBuilder),
    Cells(BinaryBuilder),
    Int32(Vec<i32>),
    Unsigned(Vec<u32>),
    Int64(Vec<i64>),
}

impl Column {
    fn new(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Utf8 => Column::Text(StringBuilder::new()),
            DataType::Binary => Column::Cells(BinaryBuilder::new()),
            DataType::Int32 => Column::Int32(Vec::new()),
            DataType::UInt32 => Column::Unsigned(Vec::new()),
            DataType::Int64 => Column::Int64(Vec::new()),
            _ => return None,
        })
    }

    fn push(&mut self, cell: &[u8]) -> Option<()> {
        match self {
            Column::Text(texts) => texts.append_value(std::str::from_utf8(cell).ok()?),
            Column::Cells(cells) => cells.append_value(cell),
            Column::Int32(values) => values.push(i32::from_le_bytes(cell.try_into().ok()?)),
            Column::Unsigned(values) => values.push(u32::from_le_bytes(cell.try_into().ok()?)),
            Column::Int64(values) => values.push(i64::from_le_bytes(cell.try_into().ok()?)),
        }
        Some(())
    }

    /// The column. `keys` are below the number of cells.
    fn finish(self, keys: &Int32Array) -> Option<ArrayRef> {
        fn spread<T: Copy>(values: &[T], keys: &Int32Array) -> Option<Vec<T>> {
            keys.values().iter().map(|&key| values.get(usize::try_from(key).ok()?).copied()).collect()
        }
        let coded = |values: ArrayRef| Some(Arc::new(DictionaryArray::try_new(keys.clone(), values).ok()?) as ArrayRef);
        match self {
            Column::Text(mut texts) => coded(Arc::new(texts.finish())),
            Column::Cells(mut cells) => coded(Arc::new(cells.finish())),
            Column::Int32(values) => Some(Arc::new(Int32Array::from(spread(&values, keys)?))),
            Column::Unsigned(values) => Some(Arc::new(UInt32Array::from(spread(&values, keys)?))),
            Column::Int64(values) => Some(Arc::new(Int64Array::from(spread(&values, keys)?))),
        }
    }
}
