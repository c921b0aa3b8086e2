//! What is kept of each series: who it is, and where its samples lie? Series in groups, each group a Zstandard frame.
//!
//! Places in streams mostly follow each other or repeat, so they are written as what differs from what is expected.

use crate::metric::{CELLS, NUMBERS};
use crate::model::record::{put_bytes, put_varint, take_bytes, take_varint};

/// Series of a group: enough to compress well, few enough that one is found cheaply.
pub(super) const GROUP: usize = 256;

/// The streams of numbers, in the order of the directory: times, the fields of `NUMBERS`, then these.
pub(super) const TIMES: usize = 0;
pub(super) const FIRST_NUMBER: usize = 1;
pub(super) const PRESENCE: usize = FIRST_NUMBER + NUMBERS.len();
pub(super) const LENGTHS: usize = PRESENCE + 1;
pub(super) const COUNTS: usize = PRESENCE + 2;
pub(super) const OFFSETS: usize = PRESENCE + 3;
pub(super) const EXPONENTIAL: usize = PRESENCE + 4;
pub(super) const DOUBLES: usize = PRESENCE + 5;
pub(super) const STREAMS: usize = PRESENCE + 6;
/// The place of cells among what places refer to.
pub(super) const BLOBS: usize = STREAMS;

/// Numbers of a series: all the same, or a run at a place of their stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Same(u64),
    Run(u64),
}

/// Which rows have a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    All,
    /// So many of them; a run of 0 and 1 at a place of the presence stream says which.
    Some {
        count: u64,
        at: u64,
    },
}

/// The cells of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CellForm {
    /// All the same: the number of the cell in the dictionary.
    Same(u32),
    /// Lists of so many counts: the first of each, then the second of each …
    Counts { width: u64, at: u64 },
    /// Lists of so many doubles, likewise.
    Doubles { width: u64, at: u64 },
    /// Exponential buckets: where each list begins, how long it is, and the counts by bucket index from `base` on, with
    /// zeros where a list does not reach.
    Buckets { offsets: Form, lengths: Form, base: i32, width: u64, at: u64 },
    /// Bytes.
    Blob { lengths: Form, at: u64 },
}

/// What a column of a series is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column<F> {
    pub(super) presence: Presence,
    pub(super) form: F,
}

impl<F> Column<F> {
    /// How many of so many rows have a value.
    pub(super) fn count(&self, rows: u64) -> u64 {
        match self.presence {
            Presence::All => rows,
            Presence::Some { count, .. } => count,
        }
    }
}

/// A series in the table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Entry {
    /// Numbers in the dictionaries.
    pub(super) parts: [u32; 7],
    pub(super) r#type: i32,
    pub(super) temporality: i32,
    pub(super) is_monotonic: bool,
    pub(super) attributes: Vec<u8>,
    pub(super) rows: u64,
    pub(super) min_time: i64,
    pub(super) max_time: i64,
    /// Place of the times.
    pub(super) times: u64,
    pub(super) numbers: [Option<Column<Form>>; NUMBERS.len()],
    pub(super) cells: [Option<Column<CellForm>>; CELLS.len()],
}

/// What is expected of the next place of each stream.
#[derive(Debug, Clone, Copy, Default)]
struct Expected {
    last: u64,
    next: u64,
}

type Places = [Expected; STREAMS + 1];

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

fn put_place(out: &mut Vec<u8>, expected: &mut Expected, at: u64, count: u64) {
    if at == expected.next {
        out.push(0);
    } else if at == expected.last {
        out.push(1);
    } else {
        // Places are below 2^62.
        put_varint(out, zigzag(at.wrapping_sub(expected.next).cast_signed()).wrapping_add(2));
    }
    *expected = Expected { last: at, next: at.wrapping_add(count) };
}

fn take_place(input: &mut &[u8], expected: &mut Expected, count: u64) -> Option<u64> {
    let at = match take_varint(input)? {
        0 => expected.next,
        1 => expected.last,
        other => expected.next.wrapping_add(unzigzag(other.wrapping_sub(2)).cast_unsigned()),
    };
    *expected = Expected { last: at, next: at.wrapping_add(count) };
    Some(at)
}

/// The bytes of a group before compression.
pub(super) fn put_group(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, entries.len() as u64);
    let mut column = |value: &dyn Fn(&Entry) -> i64| {
        let mut last = 0;
        for entry in entries {
            let now = value(entry);
            put_varint(&mut out, zigzag(now.wrapping_sub(last)));
            last = now;
        }
    };
    for place in 0..7 {
        column(&|entry| entry.parts.get(place).copied().unwrap_or_default().into());
    }
    column(&|entry| entry.r#type.into());
    column(&|entry| entry.temporality.into());
    column(&|entry| entry.is_monotonic.into());
    column(&|entry| entry.rows.cast_signed());
    column(&|entry| entry.min_time);
    column(&|entry| entry.max_time);
    entries.iter().for_each(|entry| put_bytes(&mut out, &entry.attributes));
    let mut places = Places::default();
    entries.iter().for_each(|entry| put_columns(&mut out, entry, &mut places));
    out
}

/// The series of a group; `None` when it is malformed.
pub(super) fn take_group(bytes: &[u8]) -> Option<Vec<Entry>> {
    let input = &mut &*bytes;
    let count = usize::try_from(take_varint(input)?).ok().filter(|&count| count <= GROUP)?;
    let mut entries = vec![Entry::default(); count];
    let mut column = |set: &dyn Fn(&mut Entry, i64) -> Option<()>| {
        let mut value = 0i64;
        for entry in &mut entries {
            value = value.wrapping_add(unzigzag(take_varint(input)?));
            set(entry, value)?;
        }
        Some(())
    };
    for place in 0..7 {
        column(&|entry, value| {
            *entry.parts.get_mut(place)? = u32::try_from(value).ok()?;
            Some(())
        })?;
    }
    column(&|entry, value| i32::try_from(value).ok().map(|value| entry.r#type = value))?;
    column(&|entry, value| i32::try_from(value).ok().map(|value| entry.temporality = value))?;
    column(&|entry, value| {
        entry.is_monotonic = value != 0;
        Some(())
    })?;
    column(&|entry, value| {
        entry.rows = value.cast_unsigned();
        Some(())
    })?;
    column(&|entry, value| {
        entry.min_time = value;
        Some(())
    })?;
    column(&|entry, value| {
        entry.max_time = value;
        Some(())
    })?;
    for entry in &mut entries {
        entry.attributes = take_bytes(input)?.to_vec();
    }
    let mut places = Places::default();
    for entry in &mut entries {
        take_columns(input, entry, &mut places)?;
    }
    input.is_empty().then_some(entries)
}

const PARTIAL: u8 = 1;

fn put_columns(out: &mut Vec<u8>, entry: &Entry, places: &mut Places) {
    put_place(out, &mut places[TIMES], entry.times, entry.rows);
    let numbers = entry.numbers.iter().map(Option::is_some);
    let present = numbers.chain(entry.cells.iter().map(Option::is_some)).zip(0u32..);
    put_varint(out, present.fold(0, |set, (is, bit)| set | u64::from(is) << bit));
    for (place, column) in entry.numbers.iter().enumerate() {
        if let Some(column) = column {
            put_presence(out, column.presence, 0, entry.rows, places);
            put_form(out, &column.form, FIRST_NUMBER + place, column.count(entry.rows), places);
        }
    }
    for column in entry.cells.iter().flatten() {
        let count = column.count(entry.rows);
        let tag = match column.form {
            CellForm::Same(_) => 0,
            CellForm::Counts { .. } => 1,
            CellForm::Doubles { .. } => 2,
            CellForm::Buckets { .. } => 3,
            CellForm::Blob { .. } => 4,
        };
        put_presence(out, column.presence, tag << 1, entry.rows, places);
        match column.form {
            CellForm::Same(number) => put_varint(out, number.into()),
            CellForm::Counts { width, at } | CellForm::Doubles { width, at } => {
                put_varint(out, width);
                let stream = if tag == 1 { COUNTS } else { DOUBLES };
                put_place(out, &mut places[stream], at, width.wrapping_mul(count));
            }
            CellForm::Buckets { offsets, lengths, base, width, at } => {
                put_form(out, &offsets, OFFSETS, count, places);
                put_form(out, &lengths, LENGTHS, count, places);
                put_varint(out, zigzag(base.into()));
                put_varint(out, width);
                put_place(out, &mut places[EXPONENTIAL], at, width.wrapping_mul(count));
            }
            CellForm::Blob { lengths, at } => {
                put_form(out, &lengths, LENGTHS, count, places);
                put_place(out, &mut places[BLOBS], at, 0);
            }
        }
    }
}

fn take_columns(input: &mut &[u8], entry: &mut Entry, places: &mut Places) -> Option<()> {
    let rows = entry.rows;
    entry.times = take_place(input, &mut places[TIMES], rows)?;
    let present = take_varint(input)?;
    for (place, column) in entry.numbers.iter_mut().enumerate() {
        if present >> place & 1 == 1 {
            let (presence, _) = take_presence(input, rows, places)?;
            let count = Column { presence, form: () }.count(rows);
            *column = Some(Column { presence, form: take_form(input, FIRST_NUMBER + place, count, places)? });
        }
    }
    for (place, column) in entry.cells.iter_mut().enumerate() {
        if present >> (NUMBERS.len() + place) & 1 == 0 {
            continue;
        }
        let (presence, tag) = take_presence(input, rows, places)?;
        let count = Column { presence, form: () }.count(rows);
        let form = match tag >> 1 {
            0 => CellForm::Same(u32::try_from(take_varint(input)?).ok()?),
            1 | 2 => {
                let width = take_varint(input)?;
                let stream = if tag >> 1 == 1 { COUNTS } else { DOUBLES };
                let at = take_place(input, &mut places[stream], width.wrapping_mul(count))?;
                if stream == COUNTS { CellForm::Counts { width, at } } else { CellForm::Doubles { width, at } }
            }
            3 => {
                let offsets = take_form(input, OFFSETS, count, places)?;
                let lengths = take_form(input, LENGTHS, count, places)?;
                let base = i32::try_from(unzigzag(take_varint(input)?)).ok()?;
                let width = take_varint(input)?;
                let at = take_place(input, &mut places[EXPONENTIAL], width.wrapping_mul(count))?;
                CellForm::Buckets { offsets, lengths, base, width, at }
            }
            4 => {
                let lengths = take_form(input, LENGTHS, count, places)?;
                CellForm::Blob { lengths, at: take_place(input, &mut places[BLOBS], 0)? }
            }
            _ => return None,
        };
        *column = Some(Column { presence, form });
    }
    Some(())
}

fn put_presence(out: &mut Vec<u8>, presence: Presence, tag: u8, rows: u64, places: &mut Places) {
    match presence {
        Presence::All => out.push(tag),
        Presence::Some { count, at } => {
            out.push(tag | PARTIAL);
            put_varint(out, count);
            put_place(out, &mut places[PRESENCE], at, rows);
        }
    }
}

fn take_presence(input: &mut &[u8], rows: u64, places: &mut Places) -> Option<(Presence, u8)> {
    let (&tag, rest) = input.split_first()?;
    *input = rest;
    if tag & PARTIAL == 0 {
        return Some((Presence::All, tag));
    }
    let count = take_varint(input)?;
    Some((Presence::Some { count, at: take_place(input, &mut places[PRESENCE], rows)? }, tag))
}

fn put_form(out: &mut Vec<u8>, form: &Form, stream: usize, count: u64, places: &mut Places) {
    match form {
        Form::Same(value) => {
            out.push(1);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Form::Run(at) => {
            out.push(0);
            put_place(out, &mut places[stream], *at, count);
        }
    }
}

fn take_form(input: &mut &[u8], stream: usize, count: u64, places: &mut Places) -> Option<Form> {
    let (&tag, rest) = input.split_first()?;
    *input = rest;
    if tag == 0 {
        return Some(Form::Run(take_place(input, places.get_mut(stream)?, count)?));
    }
    let (value, rest) = input.split_first_chunk::<8>()?;
    *input = rest;
    Some(Form::Same(u64::from_le_bytes(*value)))
}
