//! How are attributes held, whatever their types? As one encoded map per row, keys sorted.
//!
//! ```text
//! map   := entry*                      keys strictly ascending by bytes
//! entry := varint(key length) key value
//! value := 0                           empty
//!        | 1 varint(length) utf-8      string
//!        | 2 | 3                       false, true
//!        | 4 varint(zigzag)            int
//!        | 5 f64 little-endian         double
//!        | 6 varint(length) bytes      bytes
//!        | 7 u32-le(length) value*     array
//!        | 8 u32-le(length) map        map
//! ```
//!
//! T1  Canonical: equal maps are equal bytes. Of two entries with one key the last given wins.
//! T2  Reading stops at the first malformed byte; it never panics and never reads past the end.
//!
//! Not here: which keys become columns of their own (`block`).

use super::record::{put_bytes, put_varint, take_bytes, take_varint};

const EMPTY: u8 = 0;
const STRING: u8 = 1;
const FALSE: u8 = 2;
const TRUE: u8 = 3;
const INT: u8 = 4;
const DOUBLE: u8 = 5;
const BYTES: u8 = 6;
const ARRAY: u8 = 7;
const MAP: u8 = 8;

/// One attribute value, borrowed from its encoding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// No value.
    Empty,
    /// Text.
    String(&'a str),
    /// Boolean.
    Bool(bool),
    /// Integer.
    Int(i64),
    /// Double.
    Double(f64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// List.
    Array(Array<'a>),
    /// Map.
    Map(Map<'a>),
}

impl<'a> Value<'a> {
    /// Reads one value and moves past it.
    pub fn take(input: &mut &'a [u8]) -> Option<Self> {
        let (&tag, rest) = input.split_first()?;
        *input = rest;
        Some(match tag {
            EMPTY => Value::Empty,
            STRING => Value::String(std::str::from_utf8(take_bytes(input)?).ok()?),
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            INT => Value::Int(unzigzag(take_varint(input)?)),
            DOUBLE => {
                let (bytes, rest) = input.split_first_chunk::<8>()?;
                *input = rest;
                Value::Double(f64::from_le_bytes(*bytes))
            }
            BYTES => Value::Bytes(take_bytes(input)?),
            ARRAY => Value::Array(Array(take_long(input)?)),
            MAP => Value::Map(Map(take_long(input)?)),
            _ => return None,
        })
    }

    /// Reads a value that was encoded alone.
    pub fn parse(encoded: &'a [u8]) -> Option<Self> {
        let mut input = encoded;
        let value = Value::take(&mut input)?;
        input.is_empty().then_some(value)
    }
}

/// A list of values, borrowed from its encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Array<'a>(&'a [u8]);

impl<'a> Array<'a> {
    /// The values in order.
    pub fn iter(self) -> impl Iterator<Item = Value<'a>> {
        let mut input = self.0;
        std::iter::from_fn(move || Value::take(&mut input))
    }
}

/// A map of attributes, borrowed from its encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Map<'a>(&'a [u8]);

impl<'a> Map<'a> {
    /// Takes the encoding of a map.
    pub fn new(encoded: &'a [u8]) -> Self {
        Map(encoded)
    }

    /// The encoding.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Whether there is no entry.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The entries by key.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        let mut input = self.0;
        std::iter::from_fn(move || {
            let key = std::str::from_utf8(take_bytes(&mut input)?).ok()?;
            Some((key, Value::take(&mut input)?))
        })
    }

    /// The entries by key, each value still encoded. For moving entries without looking into them.
    pub fn raw_entries(self) -> impl Iterator<Item = RawEntry<'a>> {
        let mut input = self.0;
        std::iter::from_fn(move || {
            let whole = input;
            let key = take_bytes(&mut input)?;
            let value = input;
            skip_value(&mut input)?;
            Some(RawEntry {
                key,
                value: value.get(..value.len() - input.len())?,
                entry: whole.get(..whole.len() - input.len())?,
            })
        })
    }

    /// The value of a key.
    pub fn get(self, key: &str) -> Option<Value<'a>> {
        let entry = self.raw_entries().take_while(|entry| entry.key <= key.as_bytes()).last()?;
        if entry.key == key.as_bytes() { Value::parse(entry.value) } else { None }
    }
}

/// One entry of a map, not yet looked into.
#[derive(Debug, Clone, Copy)]
pub struct RawEntry<'a> {
    /// The key's bytes, UTF-8.
    pub key: &'a [u8],
    /// The encoded value, for [`Value::parse`].
    pub value: &'a [u8],
    /// Key and value as they stand in the map.
    pub entry: &'a [u8],
}

/// Collects the entries of one map in any order, then writes them in canonical form. Meant to be used again and again.
#[derive(Debug, Default)]
pub struct MapBuilder {
    scratch: Vec<u8>,
    entries: Vec<EntrySpan>,
}

#[derive(Debug, Clone, Copy)]
struct EntrySpan {
    start: usize,
    key_start: usize,
    key_end: usize,
    end: usize,
}

impl MapBuilder {
    /// Forgets all entries, keeps the memory.
    pub fn clear(&mut self) {
        self.scratch.clear();
        self.entries.clear();
    }

    /// How many entries were given, double keys counted twice.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no entry was given.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds an entry.
    pub fn push(&mut self, key: &str, value: Value<'_>) {
        self.push_with(key, |out| put_value(out, value));
    }

    /// Adds an entry whose value `write` appends in encoded form.
    pub fn push_with<T>(&mut self, key: &str, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let start = self.scratch.len();
        put_bytes(&mut self.scratch, key.as_bytes());
        let key_end = self.scratch.len();
        let result = write(&mut self.scratch);
        let end = self.scratch.len();
        self.entries.push(EntrySpan { start, key_start: key_end - key.len(), key_end, end });
        result
    }

    /// Takes back the last entry.
    pub fn pop(&mut self) {
        if let Some(entry) = self.entries.pop() {
            self.scratch.truncate(entry.start);
        }
    }

    /// Appends the map in canonical form to `out`, and forgets all entries.
    pub fn finish_into(&mut self, out: &mut Vec<u8>) {
        let scratch = &self.scratch;
        let key = |entry: &EntrySpan| scratch.get(entry.key_start..entry.key_end).unwrap_or_default();
        if !self.entries.is_sorted_by(|a, b| key(a) < key(b)) {
            // Stable, so that of equal keys the last given comes last.
            self.entries.sort_by(|a, b| key(a).cmp(key(b)));
        }
        for (index, entry) in self.entries.iter().enumerate() {
            let overridden = self.entries.get(index + 1).is_some_and(|next| key(next) == key(entry));
            if !overridden {
                out.extend_from_slice(scratch.get(entry.start..entry.end).unwrap_or_default());
            }
        }
        self.clear();
    }

    /// The map in canonical form, and forgets all entries.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.scratch.len());
        self.finish_into(&mut out);
        out
    }
}

/// Appends an encoded value.
#[inline]
pub fn put_value(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Empty => out.push(EMPTY),
        Value::String(text) => {
            out.push(STRING);
            put_bytes(out, text.as_bytes());
        }
        Value::Bool(value) => out.push(if value { TRUE } else { FALSE }),
        Value::Int(value) => {
            out.push(INT);
            put_varint(out, zigzag(value));
        }
        Value::Double(value) => {
            out.push(DOUBLE);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Value::Bytes(bytes) => {
            out.push(BYTES);
            put_bytes(out, bytes);
        }
        Value::Array(array) => put_array(out, |out| out.extend_from_slice(array.0)),
        Value::Map(map) => put_map(out, |out| out.extend_from_slice(map.0)),
    }
}

/// Appends an array whose encoded values `write` appends.
pub fn put_array<T>(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    put_long(out, ARRAY, write)
}

/// Appends a map value whose canonical encoding `write` appends.
pub fn put_map<T>(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    put_long(out, MAP, write)
}

fn put_long<T>(out: &mut Vec<u8>, tag: u8, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    out.push(tag);
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    let result = write(out);
    // Requests are limited to far less than 4 GiB, and so is what they hold.
    let length = u32::try_from(out.len() - at - 4).unwrap_or(u32::MAX);
    if let Some(slot) = out.get_mut(at..at + 4) {
        slot.copy_from_slice(&length.to_le_bytes());
    }
    result
}

fn take_long<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = input.split_first_chunk::<4>()?;
    let (bytes, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    *input = rest;
    Some(bytes)
}

/// Moves past one value without looking into it.
fn skip_value(input: &mut &[u8]) -> Option<()> {
    let (&tag, rest) = input.split_first()?;
    *input = rest;
    match tag {
        EMPTY | FALSE | TRUE => {}
        STRING | BYTES => {
            take_bytes(input)?;
        }
        INT => {
            take_varint(input)?;
        }
        DOUBLE => *input = input.get(8..)?,
        ARRAY | MAP => {
            take_long(input)?;
        }
        _ => return None,
    }
    Some(())
}

fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests;
