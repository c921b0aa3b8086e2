//! Which attributes become columns of their own, and how do the rows' maps fall apart into them?
//!
//! S1  A column belongs to one key and one type: string, bool, int or double. A key with two types has two columns.
//! S2  What has no column stays in the rest: a map of the remaining entries. Columns and rest together are exactly the
//!     maps that came in (`restore` puts them together again).
//! S3  A row without the attribute is told, in string and bool columns and in int columns of few values, by a value that
//!     the attribute cannot have: definition levels, a bit per row, would cost more than the values after compression.
//!
//! Keys come in the same order row after row, so the next key is guessed from the one before; only a wrong guess is hashed.

use super::BlockConfig;
use super::encode::{ColumnData, Values};
use super::gather::Strings;
use super::interner::Interner;
use super::order::RowRef;
use crate::model::attribute::Map;
use crate::model::record::take_varint;
use crate::model::same;
use arrow_array::{Array, BinaryArray};
use std::cmp::Reverse;

/// Rows that are looked at to choose columns.
const SAMPLE_ROWS: usize = 16 * 1024;
/// Longer keys get no column.
const LONGEST_KEY: usize = 128;
/// An int column with at most so many values in the sample is made a dictionary.
const FEW_INTEGERS: usize = 200;
/// More keys in the rest than this are not listed in the block's meta.
const MOST_REST_KEYS: usize = 256;

/// "No such attribute" in string columns: not UTF-8, so no string.
pub(super) const ABSENT_STRING: &[u8] = &[0xff];
/// "No such attribute" in bool columns.
pub(super) const ABSENT_BOOL: i32 = -1;
/// "No such attribute" in int columns without nulls; that integer itself stays in the rest.
pub(super) const ABSENT_INT: i64 = i64::MIN;

/// The types of attributes that can have columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    String,
    Bool,
    Int,
    Double,
}

impl Kind {
    pub(super) const ALL: [Kind; 4] = [Kind::String, Kind::Bool, Kind::Int, Kind::Double];

    /// The word in column names.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::Bool => "bool",
            Kind::Int => "int",
            Kind::Double => "double",
        }
    }

    /// By the first byte of an encoded value (`model::attribute`).
    fn of(encoded: &[u8]) -> Option<Kind> {
        match encoded.first()? {
            1 => Some(Kind::String),
            2 | 3 => Some(Kind::Bool),
            4 => Some(Kind::Int),
            5 => Some(Kind::Double),
            _ => None,
        }
    }
}

/// An attribute with a column of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AttributeColumn {
    pub(super) key: String,
    pub(super) kind: Kind,
    /// Whether absence is a null; else it is a value of its own.
    pub(super) nullable: bool,
}

impl AttributeColumn {
    /// The column's name in `data.parquet`. Columns of the model have no dot in theirs.
    pub(super) fn name(&self) -> String {
        format!("attributes.{}.{}", self.kind.as_str(), self.key)
    }
}

/// Names attributes by key and type, guessing from the one before.
#[derive(Debug, Default)]
struct Names {
    interner: Interner,
    /// For each name, plus one for "none", the one that followed last.
    next: Vec<u32>,
    scratch: Vec<u8>,
}

impl Names {
    /// The name of the entry that follows the entry named `before`.
    fn name(&mut self, before: Option<u32>, kind: Kind, key: &[u8]) -> u32 {
        let slot = before.map_or(0, |before| before as usize + 1);
        if let Some(&guess) = self.next.get(slot)
            && let Some((&of, name)) = self.interner.get(guess).split_first()
            && of == kind as u8
            && same(name, key)
        {
            return guess;
        }
        self.scratch.clear();
        self.scratch.push(kind as u8);
        self.scratch.extend_from_slice(key);
        let name = self.interner.intern(&self.scratch);
        if self.next.len() <= slot {
            self.next.resize(slot + 1, u32::MAX);
        }
        self.next[slot] = name;
        name
    }
}

/// Chooses the attributes that get columns, by key.
pub(super) fn choose(cells: &[&BinaryArray], config: &BlockConfig) -> Vec<AttributeColumn> {
    let rows: usize = cells.iter().map(|cells| cells.len()).sum();
    let stride = rows.div_ceil(SAMPLE_ROWS).max(1);
    let mut names = Names::default();
    let mut seen: Vec<(usize, Interner)> = Vec::new();
    let mut sampled = 0usize;
    for map in cells.iter().flat_map(|cells| cells.iter()).step_by(stride) {
        sampled += 1;
        let mut before = None;
        for entry in Map::new(map.unwrap_or_default()).raw_entries() {
            let Some(kind) = Kind::of(entry.value) else { continue };
            let name = names.name(before, kind, entry.key);
            before = Some(name);
            if seen.len() <= name as usize {
                seen.resize_with(name as usize + 1, Default::default);
            }
            let (count, values) = &mut seen[name as usize];
            *count += 1;
            if kind == Kind::Int && values.len() <= FEW_INTEGERS {
                values.intern(entry.value);
            }
        }
    }
    let least = (config.attribute_least_rows / stride).max(sampled / config.attribute_least_share).max(1);
    let mut chosen: Vec<(Reverse<usize>, AttributeColumn)> = names
        .interner
        .iter()
        .zip(&seen)
        .filter(|(_, (count, _))| *count >= least)
        .filter_map(|(name, (count, values))| {
            let (&kind, key) = name.split_first()?;
            let kind = Kind::ALL.into_iter().find(|&other| other as u8 == kind)?;
            let key = std::str::from_utf8(key).ok().filter(|key| key.len() <= LONGEST_KEY)?;
            let nullable = kind == Kind::Double || (kind == Kind::Int && values.len() > FEW_INTEGERS);
            Some((Reverse(*count), AttributeColumn { key: key.to_owned(), kind, nullable }))
        })
        .collect();
    chosen.sort_unstable();
    chosen.truncate(config.attribute_most_columns);
    let mut columns: Vec<AttributeColumn> = chosen.into_iter().map(|(_, column)| column).collect();
    columns.sort_unstable();
    columns
}

/// Takes the maps of row groups apart.
#[derive(Debug)]
pub(super) struct Shredder {
    columns: Vec<AttributeColumn>,
    names: Names,
    /// For each name its column, if it has one.
    column_of: Vec<Option<usize>>,
    /// For each column whether its strings do not repeat.
    plain: Vec<bool>,
    rest_plain: bool,
    rest_keys: Option<Interner>,
}

impl Shredder {
    pub(super) fn new(columns: Vec<AttributeColumn>) -> Self {
        let mut names = Names::default();
        for column in &columns {
            names.name(None, column.kind, column.key.as_bytes());
        }
        names.next.clear();
        let column_of = (0..columns.len()).map(Some).collect();
        let plain = vec![false; columns.len()];
        Shredder { columns, names, column_of, plain, rest_plain: false, rest_keys: Some(Interner::default()) }
    }

    /// The columns of some rows, in the order of [`choose`], and the rest.
    pub(super) fn shred(&mut self, cells: &[&BinaryArray], rows: &[RowRef]) -> (Vec<ColumnData>, ColumnData) {
        let mut columns: Vec<Shreds> = self
            .columns
            .iter()
            .zip(&self.plain)
            .map(|(column, &plain)| Shreds::new(column, plain, rows.len()))
            .collect();
        let mut rest = Strings::new(self.rest_plain, rows.len());
        let mut left = Vec::new();
        for (row, at) in rows.iter().enumerate() {
            left.clear();
            self.shred_row(cells[at.batch as usize].value(at.row as usize), row, &mut columns, &mut left);
            rest.push(&left);
        }
        let (rest, rest_plain) = rest.finish();
        self.rest_plain = rest_plain;
        let columns = columns.into_iter().zip(&mut self.plain).map(|(column, plain)| column.finish(rows.len(), plain));
        (columns.collect(), ColumnData::required(rest))
    }

    fn shred_row(&mut self, map: &[u8], row: usize, columns: &mut [Shreds], rest: &mut Vec<u8>) {
        let (mut before, mut taken) = (None, 0);
        for entry in Map::new(map).raw_entries() {
            taken += entry.entry.len();
            if let Some(kind) = Kind::of(entry.value) {
                let name = self.names.name(before, kind, entry.key);
                before = Some(name);
                let column =
                    self.column_of.get(name as usize).copied().flatten().and_then(|column| columns.get_mut(column));
                if column.is_some_and(|column| column.push(row, entry.value)) {
                    continue;
                }
            }
            rest.extend_from_slice(entry.entry);
            self.note_rest_key(entry.key);
        }
        // A map that breaks off keeps what cannot be read, byte for byte.
        if let Some(tail) = map.get(taken..).filter(|tail| !tail.is_empty()) {
            rest.extend_from_slice(tail);
            self.rest_keys = None;
        }
    }

    fn note_rest_key(&mut self, key: &[u8]) {
        let Some(keys) = &mut self.rest_keys else { return };
        keys.intern(key);
        if keys.len() > MOST_REST_KEYS {
            self.rest_keys = None;
        }
    }

    /// The keys that went to the rest; `None` when they are too many or not all of them are known.
    pub(super) fn rest_keys(&self) -> Option<Vec<String>> {
        let keys = self.rest_keys.as_ref()?.iter();
        keys.map(|key| std::str::from_utf8(key).ok().map(str::to_owned)).collect()
    }
}

/// One attribute's column in the making.
#[derive(Debug)]
enum Shreds {
    Text(Strings),
    Bool(Vec<i32>),
    Int(Vec<i64>),
    NullableInt { values: Vec<i64>, present: Vec<bool> },
    Double { values: Vec<f64>, present: Vec<bool> },
}

impl Shreds {
    fn new(column: &AttributeColumn, plain: bool, rows: usize) -> Self {
        match (column.kind, column.nullable) {
            (Kind::String, _) => Shreds::Text(Strings::new(plain, rows)),
            (Kind::Bool, _) => Shreds::Bool(Vec::new()),
            (Kind::Int, false) => Shreds::Int(Vec::new()),
            (Kind::Int, true) => Shreds::NullableInt { values: Vec::new(), present: Vec::new() },
            (Kind::Double, _) => Shreds::Double { values: Vec::new(), present: Vec::new() },
        }
    }

    fn len(&self) -> usize {
        match self {
            Shreds::Text(strings) => strings.len(),
            Shreds::Bool(values) => values.len(),
            Shreds::Int(values) => values.len(),
            Shreds::NullableInt { present, .. } | Shreds::Double { present, .. } => present.len(),
        }
    }

    /// Fills up with "absent" to some row.
    fn fill(&mut self, row: usize) {
        match self {
            Shreds::Text(strings) => strings.push_filler(ABSENT_STRING, row.saturating_sub(strings.len())),
            Shreds::Bool(values) => values.resize(row, ABSENT_BOOL),
            Shreds::Int(values) => values.resize(row, ABSENT_INT),
            Shreds::NullableInt { present, .. } | Shreds::Double { present, .. } => present.resize(row, false),
        }
    }

    /// Takes the value of a row; `false` if it must stay in the rest.
    fn push(&mut self, row: usize, value: &[u8]) -> bool {
        let Some((&tag, mut payload)) = value.split_first() else { return false };
        if self.len() > row {
            return false;
        }
        match self {
            Shreds::Text(strings) => {
                let length = take_shortest(&mut payload);
                if payload == ABSENT_STRING || length != Some(payload.len() as u64) {
                    return false;
                }
                strings.push_filler(ABSENT_STRING, row - strings.len());
                strings.push(payload);
            }
            Shreds::Bool(values) => {
                values.resize(row, ABSENT_BOOL);
                values.push(i32::from(tag == 3));
            }
            Shreds::Int(values) => match shortest_int(payload) {
                None | Some(ABSENT_INT) => return false,
                Some(int) => {
                    values.resize(row, ABSENT_INT);
                    values.push(int);
                }
            },
            Shreds::NullableInt { values, present } => match shortest_int(payload) {
                None => return false,
                Some(int) => {
                    present.resize(row, false);
                    present.push(true);
                    values.push(int);
                }
            },
            Shreds::Double { values, present } => {
                let Ok(bytes) = payload.try_into() else { return false };
                present.resize(row, false);
                present.push(true);
                values.push(f64::from_le_bytes(bytes));
            }
        }
        true
    }

    fn finish(mut self, rows: usize, plain: &mut bool) -> ColumnData {
        self.fill(rows);
        match self {
            Shreds::Text(strings) => {
                let (values, now_plain) = strings.finish();
                *plain = now_plain;
                ColumnData::required(values)
            }
            Shreds::Bool(values) => ColumnData::required(Values::Int32(values)),
            Shreds::Int(values) => ColumnData::required(Values::Int64(values)),
            Shreds::NullableInt { values, present } => {
                ColumnData { values: Values::Int64(values), present: Some(present) }
            }
            Shreds::Double { values, present } => ColumnData { values: Values::Double(values), present: Some(present) },
        }
    }
}

/// An integer, if it is written as `restore` would write it.
fn shortest_int(mut payload: &[u8]) -> Option<i64> {
    let raw = take_shortest(&mut payload)?;
    payload.is_empty().then_some((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

/// Reads a varint that could not be shorter, and moves past it.
fn take_shortest(input: &mut &[u8]) -> Option<u64> {
    const LONGEST: usize = 10;
    let before = *input;
    let value = take_varint(input)?;
    match before.get(..before.len() - input.len())? {
        [_] => Some(value),
        [.., 0] => None,
        // The last of ten bytes holds one bit.
        long if long.len() == LONGEST && long.last() != Some(&1) => None,
        _ => Some(value),
    }
}
