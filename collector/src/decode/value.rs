//! How do AnyValue and KeyValue become encoded attributes?
//!
//! V1  Values nest at most [`MAX_VALUE_DEPTH`] deep; what lies deeper is not looked at, and its record is rejected.
//! V2  Proto's merge rules hold: of a oneof the last variant wins, and an array or map that is given piecewise is
//!     the concatenation of its pieces. The pieces that are copied for this are bounded per request.
//! V3  A value that has no variant that we know is empty.

use super::wire::{self, Reader, Reason, Result, Within};
use super::{DecodeLimits, Rejection};
use std::borrow::Cow;
use storage::model::attribute::{MapBuilder, Value, put_array, put_map, put_value};

/// How deep values may lie: 64 levels of arrays and maps, the SDKs' own limit for attributes, around a plain value. A value
/// that is in none is at depth 1.
pub const MAX_VALUE_DEPTH: usize = 65;

/// Bytes per request that may be copied to join values that are given piecewise. No SDK does that.
const MAX_MERGED_BYTES: usize = 1 << 20;

mod any_value {
    use super::wire::{bytes, fields, fixed64, varint};
    pub(super) const STRING: u32 = bytes(1);
    pub(super) const BOOL: u32 = varint(2);
    pub(super) const INT: u32 = varint(3);
    pub(super) const DOUBLE: u32 = fixed64(4);
    pub(super) const ARRAY: u32 = bytes(5);
    pub(super) const KVLIST: u32 = bytes(6);
    pub(super) const BYTES: u32 = bytes(7);
    /// A reference into a table that only profiles have.
    pub(super) const STRINDEX: u32 = varint(8);
    pub(super) const ALL: u64 = fields(&[1, 2, 3, 4, 5, 6, 7, 8]);
}

mod key_value {
    use super::wire::{bytes, fields, varint};
    pub(super) const KEY: u32 = bytes(1);
    pub(super) const VALUE: u32 = bytes(2);
    /// A reference into a table that only profiles have.
    pub(super) const STRINDEX: u32 = varint(3);
    pub(super) const ALL: u64 = fields(&[1, 2, 3]);
}

/// Field 1 of ArrayValue and of KeyValueList.
const VALUES: u32 = wire::bytes(1);
const VALUES_ALL: u64 = wire::fields(&[1]);

/// What the decoding of one request carries from record to record.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) limits: DecodeLimits,
    /// Why the record at hand must be rejected, if it must.
    pub(super) rejection: Option<Rejection>,
    /// Oddities that were tolerated.
    pub(super) warnings: u64,
    pool: Vec<MapBuilder>,
    merged: usize,
}

/// Which variant of the oneof came last, and its bytes where more may be joined to it.
enum Variant<'a> {
    None,
    Scalar,
    Array(Cow<'a, [u8]>),
    Map(Cow<'a, [u8]>),
}

impl Scratch {
    pub(super) fn new(limits: &DecodeLimits) -> Self {
        Scratch { limits: limits.clone(), rejection: None, warnings: 0, pool: Vec::new(), merged: 0 }
    }

    /// The first reason counts.
    #[cold]
    pub(super) fn reject(&mut self, rejection: Rejection) {
        self.rejection.get_or_insert(rejection);
    }

    /// Adds one encoded KeyValue to a map.
    pub(super) fn key_value(&mut self, message: &[u8], map: &mut MapBuilder, depth: usize) -> Result<()> {
        let mut reader = Reader::new(message);
        let mut key_text = "";
        let mut value: Option<Cow<'_, [u8]>> = None;
        while let Some(key) = reader.key()? {
            match key {
                key_value::KEY => key_text = reader.str()?,
                key_value::VALUE => {
                    let piece = reader.bytes()?;
                    value = Some(match value {
                        None => Cow::Borrowed(piece),
                        Some(before) => self.join_values(before, piece, depth).within("value")?,
                    });
                }
                key_value::STRINDEX => {
                    self.warnings += u64::from(reader.int32()? != 0);
                }
                _ => reader.other(key, key_value::ALL)?,
            }
        }
        let value = value.as_deref().unwrap_or_default();
        map.push_with(key_text, |out| self.any_value(value, out, depth)).within("value")?;
        if map.len() > self.limits.attributes_per_map || key_text.len() > self.limits.key_bytes {
            self.too_much(map, key_text);
        }
        Ok(())
    }

    #[cold]
    fn too_much(&mut self, map: &mut MapBuilder, key: &str) {
        map.pop();
        self.reject(if key.len() > self.limits.key_bytes {
            Rejection::KeyTooLong { limit: self.limits.key_bytes }
        } else {
            Rejection::TooManyAttributes { limit: self.limits.attributes_per_map }
        });
    }

    /// Appends one encoded AnyValue; `depth` counts from 1.
    pub(super) fn any_value(&mut self, message: &[u8], out: &mut Vec<u8>, depth: usize) -> Result<()> {
        let start = out.len();
        if depth > MAX_VALUE_DEPTH {
            self.reject(Rejection::TooDeep);
            put_value(out, Value::Empty);
            return Ok(());
        }
        let mut reader = Reader::new(message);
        let mut variant = Variant::None;
        while let Some(key) = reader.key()? {
            let scalar = match key {
                any_value::STRING => Value::String(reader.str()?),
                any_value::BOOL => Value::Bool(reader.varint()? != 0),
                any_value::INT => Value::Int(reader.varint()?.cast_signed()),
                any_value::DOUBLE => Value::Double(reader.double()?),
                any_value::BYTES => Value::Bytes(reader.bytes()?),
                any_value::STRINDEX => {
                    reader.int32()?;
                    self.warnings += 1;
                    Value::Empty
                }
                any_value::ARRAY | any_value::KVLIST => {
                    let piece = reader.bytes()?;
                    out.truncate(start);
                    variant = self.nested(key, variant, piece, out, depth)?;
                    continue;
                }
                _ => {
                    self.warnings += 1;
                    reader.other(key, any_value::ALL)?;
                    continue;
                }
            };
            out.truncate(start);
            put_value(out, scalar);
            variant = Variant::Scalar;
        }
        if matches!(variant, Variant::None) {
            put_value(out, Value::Empty);
        }
        Ok(())
    }

    /// Appends an array or a map, joined to the piece before it when that was of the same variant.
    fn nested<'a>(
        &mut self,
        key: u32,
        before: Variant<'a>,
        piece: &'a [u8],
        out: &mut Vec<u8>,
        depth: usize,
    ) -> Result<Variant<'a>> {
        let start = out.len();
        if key == any_value::ARRAY {
            self.array(piece, out, depth).within("array_value")?;
            let Variant::Array(before) = before else { return Ok(Variant::Array(Cow::Borrowed(piece))) };
            // Both pieces are known to be well-formed by now, and so is what they add up to.
            let joined = self.join(before, piece)?;
            out.truncate(start);
            self.array(&joined, out, depth)?;
            Ok(Variant::Array(joined))
        } else {
            self.kvlist(piece, out, depth).within("kvlist_value")?;
            let Variant::Map(before) = before else { return Ok(Variant::Map(Cow::Borrowed(piece))) };
            let joined = self.join(before, piece)?;
            out.truncate(start);
            self.kvlist(&joined, out, depth)?;
            Ok(Variant::Map(joined))
        }
    }

    fn array(&mut self, message: &[u8], out: &mut Vec<u8>, depth: usize) -> Result<()> {
        put_array(out, |out| {
            let mut reader = Reader::new(message);
            while let Some(key) = reader.key()? {
                match key {
                    VALUES => self.any_value(reader.bytes()?, out, depth + 1).within("values")?,
                    _ => reader.other(key, VALUES_ALL)?,
                }
            }
            Ok(())
        })
    }

    fn kvlist(&mut self, message: &[u8], out: &mut Vec<u8>, depth: usize) -> Result<()> {
        let mut map = self.pool.pop().unwrap_or_default();
        let mut reader = Reader::new(message);
        while let Some(key) = reader.key()? {
            match key {
                VALUES => self.key_value(reader.bytes()?, &mut map, depth + 1).within("values")?,
                _ => reader.other(key, VALUES_ALL)?,
            }
        }
        put_map(out, |out| map.finish_into(out));
        self.pool.push(map);
        Ok(())
    }

    /// Joins two pieces of one AnyValue, after a look at each: a piece may be malformed and the whole not.
    #[cold]
    pub(super) fn join_values<'a>(
        &mut self,
        before: Cow<'a, [u8]>,
        piece: &[u8],
        depth: usize,
    ) -> Result<Cow<'a, [u8]>> {
        let mut unused = Vec::new();
        if matches!(before, Cow::Borrowed(_)) {
            self.any_value(&before, &mut unused, depth)?;
        }
        self.any_value(piece, &mut unused, depth)?;
        self.join(before, piece)
    }

    #[cold]
    fn join<'a>(&mut self, before: Cow<'a, [u8]>, piece: &[u8]) -> Result<Cow<'a, [u8]>> {
        // Every copy is charged, so that nested pieces cannot make the work grow with the depth.
        self.merged = self.merged.saturating_add(before.len() + piece.len());
        if self.merged > MAX_MERGED_BYTES {
            return Reader::new(piece).fault(Reason::Merges);
        }
        let mut joined = before.into_owned();
        joined.extend_from_slice(piece);
        Ok(Cow::Owned(joined))
    }
}
