//! How is protobuf's wire format walked without copying?
//!
//! D1  A message is accepted or refused exactly as proto3 (and prost) does: varints of at most ten bytes, lengths
//!     within the enclosing message, known fields with their wire type, UTF-8 in strings, unknown fields skipped.
//! D2  Nothing is read past the end of the slice given, and nothing recurses: groups are skipped with a counter.
//!
//! Not here: which fields a message has.

use std::fmt;

/// Groups within groups that are skipped; prost's limit, too.
const MAX_GROUP_DEPTH: usize = 100;

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const GROUP: u32 = 3;
const END_GROUP: u32 = 4;
const FIXED32: u32 = 5;

/// The key of a varint field.
pub(super) const fn varint(field: u32) -> u32 {
    field << 3 | VARINT
}

/// The key of an eight-byte field.
pub(super) const fn fixed64(field: u32) -> u32 {
    field << 3 | FIXED64
}

/// The key of a length-delimited field.
pub(super) const fn bytes(field: u32) -> u32 {
    field << 3 | BYTES
}

/// The key of a four-byte field.
pub(super) const fn fixed32(field: u32) -> u32 {
    field << 3 | FIXED32
}

/// The set of a message's known field numbers, as bits.
pub(super) const fn fields(numbers: &[u32]) -> u64 {
    let mut set = 0;
    let mut rest = numbers;
    while let [first, tail @ ..] = rest {
        set |= 1 << *first;
        rest = tail;
    }
    set
}

/// Why bytes are not the message they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Truncated,
    Varint,
    FieldNumber,
    WireType,
    Utf8,
    Group,
    Packed,
    Merges,
    Columns,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Truncated => "the message ends within a field",
            Reason::Varint => "a varint is cut off or longer than 64 bits",
            Reason::FieldNumber => "a field has number 0 or one past the 29 bits allowed",
            Reason::WireType => "a field has the wrong wire type",
            Reason::Utf8 => "a string is not UTF-8",
            Reason::Group => "a group is not closed, not opened or too deep",
            Reason::Packed => "a packed list ends within an item",
            Reason::Merges => "parts of one value that is given piecewise add up to too much",
            Reason::Columns => "the request does not fit into one batch",
        })
    }
}

/// A reason with the place. Boxed in results, as it is rare.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) reason: Reason,
    /// Address in memory of the byte at fault; the offset is found by whoever knows where the request starts.
    pub(super) address: usize,
    /// Field number, 0 where none was read.
    pub(super) field: u32,
    /// Names of the enclosing messages, innermost first.
    pub(super) path: Vec<&'static str>,
}

pub(super) type Result<T> = std::result::Result<T, Box<Fault>>;

/// Names the enclosing message of a fault.
pub(super) trait Within {
    fn within(self, name: &'static str) -> Self;
}

impl<T> Within for Result<T> {
    #[inline]
    fn within(self, name: &'static str) -> Self {
        self.map_err(|mut fault| {
            fault.path.push(name);
            fault
        })
    }
}

/// Walks over the fields of one message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    input: &'a [u8],
    key: u32,
}

impl<'a> Reader<'a> {
    #[inline]
    pub(super) fn new(input: &'a [u8]) -> Self {
        Reader { input, key: 0 }
    }

    /// What is not read yet.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.input
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.input.is_empty()
    }

    /// The key (number and wire type) of the next field; `None` at the end.
    #[inline]
    pub(super) fn key(&mut self) -> Result<Option<u32>> {
        match self.input.split_first() {
            None => Ok(None),
            Some((&byte, rest)) if byte < 0x80 => {
                self.input = rest;
                self.key = byte.into();
                Ok(Some(self.key))
            }
            Some(_) => self.long_key().map(Some),
        }
    }

    fn long_key(&mut self) -> Result<u32> {
        self.key = 0;
        let key = self.varint()?;
        self.key = u32::try_from(key).or_else(|_| self.fault(Reason::FieldNumber))?;
        Ok(self.key)
    }

    /// A varint's 64 bits.
    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64> {
        match self.input.split_first() {
            Some((&byte, rest)) if byte < 0x80 => {
                self.input = rest;
                Ok(byte.into())
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        let mut rest = self.input;
        for shift in (0..64).step_by(7) {
            let Some((&byte, tail)) = rest.split_first() else { break };
            rest = tail;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                // The tenth byte holds the 64th bit alone.
                if shift == 63 && byte > 1 {
                    break;
                }
                self.input = rest;
                return Ok(value);
            }
        }
        self.fault(Reason::Varint)
    }

    /// A varint as proto's int32 and enum: the lower 32 bits.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "proto3 takes the lower 32 bits")]
    pub(super) fn int32(&mut self) -> Result<i32> {
        Ok((self.varint()? as u32).cast_signed())
    }

    /// A varint as proto's uint32: the lower 32 bits.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "proto3 takes the lower 32 bits")]
    pub(super) fn uint32(&mut self) -> Result<u32> {
        Ok(self.varint()? as u32)
    }

    /// A varint as proto's sint32.
    #[inline]
    pub(super) fn sint32(&mut self) -> Result<i32> {
        let value = self.uint32()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    #[inline]
    pub(super) fn fixed64(&mut self) -> Result<u64> {
        match self.input.split_first_chunk::<8>() {
            Some((bytes, rest)) => {
                self.input = rest;
                Ok(u64::from_le_bytes(*bytes))
            }
            None => self.fault(Reason::Truncated),
        }
    }

    #[inline]
    pub(super) fn double(&mut self) -> Result<f64> {
        self.fixed64().map(f64::from_bits)
    }

    #[inline]
    pub(super) fn fixed32(&mut self) -> Result<u32> {
        match self.input.split_first_chunk::<4>() {
            Some((bytes, rest)) => {
                self.input = rest;
                Ok(u32::from_le_bytes(*bytes))
            }
            None => self.fault(Reason::Truncated),
        }
    }

    /// A length-delimited field.
    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.varint()?;
        match usize::try_from(length).ok().and_then(|length| self.input.split_at_checked(length)) {
            Some((bytes, rest)) => {
                self.input = rest;
                Ok(bytes)
            }
            None => self.fault(Reason::Truncated),
        }
    }

    /// A length-delimited field that must be UTF-8.
    #[inline]
    pub(super) fn str(&mut self) -> Result<&'a str> {
        let bytes = self.bytes()?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(error) => Err(Box::new(Fault {
                reason: Reason::Utf8,
                address: bytes.as_ptr().addr() + error.valid_up_to(),
                field: self.key >> 3,
                path: Vec::new(),
            })),
        }
    }

    /// A packed list of eight-byte items.
    pub(super) fn packed64(&mut self) -> Result<impl Iterator<Item = u64> + use<'a>> {
        let (items, rest) = self.bytes()?.as_chunks::<8>();
        if !rest.is_empty() {
            return self.fault(Reason::Packed);
        }
        Ok(items.iter().map(|item| u64::from_le_bytes(*item)))
    }

    /// Any other field: an unknown one is skipped, a known one has the wrong wire type.
    #[cold]
    pub(super) fn other(&mut self, key: u32, known: u64) -> Result<()> {
        let field = key >> 3;
        if field == 0 {
            return self.fault(Reason::FieldNumber);
        }
        if field < 64 && (known >> field) & 1 == 1 {
            return self.fault(Reason::WireType);
        }
        self.skip(key)
    }

    fn skip(&mut self, key: u32) -> Result<()> {
        let mut open: Vec<u32> = Vec::new();
        let mut key = key;
        loop {
            match key & 7 {
                VARINT => drop(self.varint()?),
                FIXED64 => drop(self.fixed64()?),
                BYTES => drop(self.bytes()?),
                FIXED32 => drop(self.fixed32()?),
                GROUP if open.len() < MAX_GROUP_DEPTH => open.push(key >> 3),
                END_GROUP if open.last() == Some(&(key >> 3)) => drop(open.pop()),
                GROUP | END_GROUP => return self.fault(Reason::Group),
                _ => return self.fault(Reason::WireType),
            }
            if open.is_empty() {
                return Ok(());
            }
            key = match self.key()? {
                Some(key) if key >> 3 == 0 => return self.fault(Reason::FieldNumber),
                Some(key) => key,
                None => return self.fault(Reason::Group),
            };
        }
    }

    #[cold]
    pub(super) fn fault<T>(&self, reason: Reason) -> Result<T> {
        Err(Box::new(Fault { reason, address: self.input.as_ptr().addr(), field: self.key >> 3, path: Vec::new() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d1_varints_have_at_most_64_bits() {
        let read = |bytes: &[u8]| Reader::new(bytes).varint().map_err(|fault| fault.reason);
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), Ok(u64::MAX));
        assert_eq!(read(&[0x80, 0]), Ok(0), "longer than needed is allowed");
        for bad in [&[][..], &[0x80], &[0xff; 11], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]] {
            assert_eq!(read(bad), Err(Reason::Varint), "{bad:?}");
        }
    }

    #[test]
    fn d2_groups_are_skipped_without_recursion() {
        let skip = |bytes: &[u8]| {
            let mut reader = Reader::new(bytes);
            let key = reader.key().unwrap().unwrap();
            reader.other(key, 0).map(|()| reader.is_empty()).map_err(|fault| fault.reason)
        };
        assert_eq!(skip(&[0x0b, 0x10, 7, 0x13, 0x14, 0x0c]), Ok(true));
        assert_eq!(skip(&[0x0b, 0x14]), Err(Reason::Group), "closed by another number");
        assert_eq!(skip(&[0x0c]), Err(Reason::Group), "never opened");
        assert_eq!(skip(&[0x0b]), Err(Reason::Group), "never closed");
        assert_eq!(skip(&[0x0b; 1 << 20]), Err(Reason::Group), "too deep");
        assert_eq!(skip(&[0x0e]), Err(Reason::WireType));
        assert_eq!(skip(&[0x02, 0]), Err(Reason::FieldNumber));
    }
}
