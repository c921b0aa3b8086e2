//! How are the samples of a series held in memory, in the order of their arrival, in few bytes? Each as what differs from
//! the one before.
//!
//! ```text
//! record := mask [varint(zigzag(change of the time's step))] [kind] [value] [start] [varint(flags)] [fields]
//! value  := of an int: varint(zigzag(difference)); of a double: xor; of both: one, then the other
//! xor    := leading zero bytes * 16 + trailing zero bytes, then the bytes between
//! start  := 0 | 1 varint(zigzag(difference))
//! fields := varint(which changed) field*         counts, sums, buckets, exemplars
//! field  := 0 | 1 number or bytes | 2 difference of count lists | 3 the same behind four equal bytes
//! ```
//!
//! A counter that ticks regularly takes 2 to 9 bytes per sample.

use super::field::{self, CELLS, Fields, NUMBERS, NumberKind};
use super::rows::Row;
use super::samples::Samples;
use crate::model::record::{put_bytes, put_varint, take_bytes, take_varint};

const TIME: u8 = 1;
const VALUE: u8 = 2;
const START: u8 = 4;
const FLAGS: u8 = 8;
const KIND: u8 = 16;
const FIELDS: u8 = 32;

const KIND_INT: u8 = 1;
const KIND_DOUBLE: u8 = 2;

/// Numbers before this place have parts of their own in a record.
const FIRST_FIELD: usize = field::COUNT;
const FIELD_NUMBERS: usize = NUMBERS.len() - FIRST_FIELD;

const ABSENT: u8 = 0;
const WHOLE: u8 = 1;
const COUNTS: u8 = 2;
const OFFSET_COUNTS: u8 = 3;

/// A log grows by a quarter: doubling would leave a third of the memory unused.
const GROWTH_SHARE: usize = 4;
const LEAST_GROWTH: usize = 24;

/// The last sample, from which the next one differs.
#[derive(Debug, Clone)]
struct State {
    time: i64,
    step: i64,
    start: Option<u64>,
    int: u64,
    double: u64,
    flags: Option<u64>,
    kind: u8,
    fields: Option<Box<FieldState>>,
}

#[derive(Debug, Clone, Default)]
struct FieldState {
    numbers: [Option<u64>; FIELD_NUMBERS],
    cells: [Option<Vec<u8>>; CELLS.len()],
}

impl State {
    const START: State =
        State { time: 0, step: 0, start: None, int: 0, double: 0, flags: Some(0), kind: 0, fields: None };
}

/// The samples of a series.
#[derive(Debug, Clone)]
pub(super) struct Log {
    bytes: Vec<u8>,
    state: State,
}

impl Default for Log {
    fn default() -> Self {
        Log { bytes: Vec::new(), state: State::START }
    }
}

impl Log {
    /// Bytes of the records; what was appended before a moment is what lies before the length then.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of memory beside the log itself.
    pub(super) fn memory_bytes(&self) -> usize {
        let fields = self.state.fields.as_ref().map_or(0, |fields| {
            let cells = fields.cells.iter().flatten().map(Vec::capacity);
            size_of::<FieldState>() + cells.sum::<usize>()
        });
        self.bytes.capacity() + fields
    }

    /// Appends a sample. `record` is scratch.
    pub(super) fn push(&mut self, row: &Row<'_>, record: &mut Vec<u8>) {
        record.clear();
        put_record(&mut self.state, row, record);
        let free = self.bytes.capacity() - self.bytes.len();
        if free < record.len() {
            let growth = (self.bytes.len() / GROWTH_SHARE).max(record.len()).max(LEAST_GROWTH);
            self.bytes.reserve_exact(growth);
        }
        self.bytes.extend_from_slice(record);
    }

    /// The samples of the first so many bytes, as they came; only some fields of them.
    pub(super) fn read(&self, len: usize, fields: Fields) -> Samples {
        let mut input = self.bytes.get(..len).unwrap_or(&self.bytes);
        let mut state = State::START;
        let mut samples = Samples::default();
        while !input.is_empty() {
            if take_record(&mut state, &mut input).is_none() {
                debug_assert!(false, "a log of ours is well-formed");
                break;
            }
            state.put(&mut samples, fields);
        }
        samples
    }
}

impl State {
    fn put(&self, samples: &mut Samples, fields: Fields) {
        let row = samples.times.len();
        samples.times.push(self.time);
        let mut set = |place: usize, value: Option<u64>| {
            if let (true, Some(value), Some(numbers)) = (fields.number(place), value, samples.numbers.get_mut(place)) {
                numbers.set(row, value);
            }
        };
        set(field::START_TIME, self.start);
        set(field::FLAGS, self.flags);
        set(field::VALUE_INT, (self.kind & KIND_INT != 0).then_some(self.int));
        set(field::VALUE_DOUBLE, (self.kind & KIND_DOUBLE != 0).then_some(self.double));
        let Some(own) = &self.fields else { return };
        own.numbers.iter().enumerate().for_each(|(place, value)| set(FIRST_FIELD + place, *value));
        for (place, (to, cell)) in samples.cells.iter_mut().zip(&own.cells).enumerate() {
            if let (true, Some(cell)) = (fields.cell(place), cell) {
                to.set(row, cell);
            }
        }
    }
}

fn put_record(state: &mut State, row: &Row<'_>, out: &mut Vec<u8>) {
    let [start, flags, int, double, ..] = row.numbers;
    let mut mask = 0;
    out.push(0);
    let step = row.time.wrapping_sub(state.time);
    if step != state.step {
        mask |= TIME;
        put_zigzag(out, step.wrapping_sub(state.step));
    }
    (state.time, state.step) = (row.time, step);
    let kind = if int.is_some() { KIND_INT } else { 0 } | if double.is_some() { KIND_DOUBLE } else { 0 };
    if kind != state.kind {
        mask |= KIND;
        out.push(kind);
        state.kind = kind;
    }
    if int.is_some_and(|int| int != state.int) || double.is_some_and(|double| double != state.double) {
        mask |= VALUE;
        if let Some(int) = int {
            put_zigzag(out, int.wrapping_sub(state.int).cast_signed());
            state.int = int;
        }
        if let Some(double) = double {
            put_xor(out, double ^ state.double);
            state.double = double;
        }
    }
    if start != state.start {
        mask |= START;
        put_difference(out, start, state.start);
        state.start = start;
    }
    if flags != state.flags {
        mask |= FLAGS;
        put_varint(out, flags.unwrap_or_default());
        state.flags = flags;
    }
    let is_plain = row.numbers[FIRST_FIELD..].iter().all(Option::is_none) && row.cells.iter().all(Option::is_none);
    if !is_plain || state.fields.is_some() {
        let fields = state.fields.get_or_insert_default();
        if put_fields(fields, row, out) {
            mask |= FIELDS;
        }
    }
    if let Some(first) = out.first_mut() {
        *first = mask;
    }
}

fn take_record(state: &mut State, input: &mut &[u8]) -> Option<()> {
    let mask = take_byte(input)?;
    if mask & TIME != 0 {
        state.step = state.step.wrapping_add(take_zigzag(input)?);
    }
    state.time = state.time.wrapping_add(state.step);
    if mask & KIND != 0 {
        state.kind = take_byte(input)?;
    }
    if mask & VALUE != 0 {
        if state.kind & KIND_INT != 0 {
            state.int = state.int.wrapping_add(take_zigzag(input)?.cast_unsigned());
        }
        if state.kind & KIND_DOUBLE != 0 {
            state.double ^= take_xor(input)?;
        }
    }
    if mask & START != 0 {
        state.start = take_difference(input, state.start)?;
    }
    if mask & FLAGS != 0 {
        state.flags = Some(take_varint(input)?);
    }
    if mask & FIELDS != 0 {
        take_fields(state.fields.get_or_insert_default(), input)?;
    }
    Some(())
}

/// Whether something changed.
fn put_fields(state: &mut FieldState, row: &Row<'_>, out: &mut Vec<u8>) -> bool {
    let numbers = &row.numbers[FIRST_FIELD..];
    let number_changes = numbers.iter().zip(&state.numbers).map(|(new, old)| new != old);
    let cell_changes = row.cells.iter().zip(&state.cells).map(|(new, old)| *new != old.as_deref());
    let changed =
        number_changes.chain(cell_changes).zip(0u32..).fold(0u64, |set, (is, bit)| set | u64::from(is) << bit);
    if changed == 0 {
        return false;
    }
    put_varint(out, changed);
    for (place, (new, old)) in numbers.iter().zip(&mut state.numbers).enumerate() {
        if changed >> place & 1 == 0 {
            continue;
        }
        match (is_double(place), *new) {
            (true, Some(new)) => {
                out.push(WHOLE);
                put_xor(out, new ^ old.unwrap_or_default());
            }
            (_, new) => put_difference(out, new, *old),
        }
        // What it was last is what the next value differs from, also after rows without.
        *old = *new;
    }
    for (place, (new, old)) in row.cells.iter().zip(&mut state.cells).enumerate() {
        if changed >> (FIELD_NUMBERS + place) & 1 == 0 {
            continue;
        }
        put_cell(out, *new, old.as_deref());
        *old = new.map(<[u8]>::to_vec);
    }
    true
}

fn take_fields(state: &mut FieldState, input: &mut &[u8]) -> Option<()> {
    let changed = take_varint(input)?;
    for (place, old) in state.numbers.iter_mut().enumerate() {
        if changed >> place & 1 == 0 {
            continue;
        }
        *old = match is_double(place) {
            false => take_difference(input, *old)?,
            true if take_byte(input)? == ABSENT => None,
            true => Some(take_xor(input)? ^ old.unwrap_or_default()),
        };
    }
    for (place, old) in state.cells.iter_mut().enumerate() {
        if changed >> (FIELD_NUMBERS + place) & 1 == 1 {
            *old = take_cell(input, old.as_deref())?;
        }
    }
    Some(())
}

fn is_double(place: usize) -> bool {
    NUMBERS.get(FIRST_FIELD + place).is_some_and(|(_, kind)| *kind == NumberKind::Double)
}

fn put_cell(out: &mut Vec<u8>, new: Option<&[u8]>, old: Option<&[u8]>) {
    let Some(new) = new else { return out.push(ABSENT) };
    let offset = |cell: &[u8]| cell.first_chunk::<4>().copied();
    let old = old.unwrap_or_default();
    for (tag, skipped) in [(COUNTS, 0), (OFFSET_COUNTS, 4)] {
        let (Some(news), Some(olds)) = (counts_behind(new, skipped), counts_behind(old, skipped)) else { continue };
        if news.len() == olds.len() && !news.is_empty() && (skipped == 0 || offset(new) == offset(old)) {
            out.push(tag);
            news.iter().zip(&olds).for_each(|(new, old)| put_zigzag(out, new.wrapping_sub(*old).cast_signed()));
            return;
        }
    }
    out.push(WHOLE);
    put_bytes(out, new);
}

fn take_cell(input: &mut &[u8], old: Option<&[u8]>) -> Option<Option<Vec<u8>>> {
    let tag = take_byte(input)?;
    let skipped = match tag {
        ABSENT => return Some(None),
        WHOLE => return Some(Some(take_bytes(input)?.to_vec())),
        COUNTS => 0,
        OFFSET_COUNTS => 4,
        _ => return None,
    };
    let old = old?;
    let mut cell = old.get(..skipped)?.to_vec();
    for count in counts_behind(old, skipped)? {
        put_varint(&mut cell, count.wrapping_add(take_zigzag(input)?.cast_unsigned()));
    }
    Some(Some(cell))
}

/// The counts behind the first bytes of a cell; `None` where they would not be written so again.
pub(crate) fn counts_behind(cell: &[u8], skipped: usize) -> Option<Vec<u64>> {
    let list = cell.get(skipped..)?;
    let mut input = list;
    let mut counts = Vec::new();
    while !input.is_empty() {
        counts.push(take_varint(&mut input)?);
    }
    let mut again = Vec::with_capacity(list.len());
    counts.iter().for_each(|&count| put_varint(&mut again, count));
    (again == list).then_some(counts)
}

pub(crate) fn put_zigzag(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

pub(crate) fn take_zigzag(input: &mut &[u8]) -> Option<i64> {
    let value = take_varint(input)?;
    Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
}

fn put_difference(out: &mut Vec<u8>, new: Option<u64>, old: Option<u64>) {
    match new {
        None => out.push(ABSENT),
        Some(new) => {
            out.push(WHOLE);
            put_zigzag(out, new.wrapping_sub(old.unwrap_or_default()).cast_signed());
        }
    }
}

fn take_difference(input: &mut &[u8], old: Option<u64>) -> Option<Option<u64>> {
    if take_byte(input)? == ABSENT {
        return Some(None);
    }
    Some(Some(old.unwrap_or_default().wrapping_add(take_zigzag(input)?.cast_unsigned())))
}

fn put_xor(out: &mut Vec<u8>, bits: u64) {
    let bytes = bits.to_be_bytes();
    let leading = (bits.leading_zeros() / 8).min(7);
    let trailing = (bits.trailing_zeros() / 8).min(7 - leading);
    // Both are below 8.
    out.push((leading << 4 | trailing) as u8);
    out.extend_from_slice(&bytes[leading as usize..8 - trailing as usize]);
}

fn take_xor(input: &mut &[u8]) -> Option<u64> {
    let lengths = take_byte(input)?;
    let (leading, trailing) = (usize::from(lengths >> 4), usize::from(lengths & 15));
    let (middle, rest) = input.split_at_checked(8usize.checked_sub(leading + trailing)?)?;
    *input = rest;
    let mut bytes = [0; 8];
    bytes.get_mut(leading..8 - trailing)?.copy_from_slice(middle);
    Some(u64::from_be_bytes(bytes))
}

fn take_byte(input: &mut &[u8]) -> Option<u8> {
    let (&byte, rest) = input.split_first()?;
    *input = rest;
    Some(byte)
}
