//! How are small nested records (events, links, exemplars, bucket lists) written into one binary cell?
//!
//! Integers are LEB128 varints, byte strings are length-prefixed, doubles are eight little-endian bytes. A list is its
//! items one after the other, to the end of the cell. Reading never panics and never reads past the end; a malformed
//! cell ends the list.

use super::attribute::Map;

/// Appends a LEB128 varint.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads a LEB128 varint and moves past it.
#[inline]
pub fn take_varint(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Appends a length-prefixed byte string.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads a length-prefixed byte string and moves past it.
#[inline]
pub fn take_bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_varint(input)?).ok()?;
    let (bytes, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(bytes)
}

fn take_str<'a>(input: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(take_bytes(input)?).ok()
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn take_u64(input: &mut &[u8]) -> Option<u64> {
    let (bytes, rest) = input.split_first_chunk::<8>()?;
    *input = rest;
    Some(u64::from_le_bytes(*bytes))
}

fn take_u32(input: &mut &[u8]) -> Option<u32> {
    u32::try_from(take_varint(input)?).ok()
}

/// Something that happened during a span.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event<'a> {
    /// Unix nanoseconds, as sent.
    pub time_unix_nano: u64,
    /// Name.
    pub name: &'a str,
    /// Attributes.
    pub attributes: Map<'a>,
    /// Attributes that the sender dropped.
    pub dropped_attributes_count: u32,
}

impl<'a> Event<'a> {
    /// Appends an event.
    pub fn put(&self, out: &mut Vec<u8>) {
        put_u64(out, self.time_unix_nano);
        put_bytes(out, self.name.as_bytes());
        put_varint(out, self.dropped_attributes_count.into());
        put_bytes(out, self.attributes.as_bytes());
    }

    /// The events of a cell.
    pub fn list(cell: &'a [u8]) -> impl Iterator<Item = Event<'a>> {
        let mut input = cell;
        std::iter::from_fn(move || {
            Some(Event {
                time_unix_nano: take_u64(&mut input)?,
                name: take_str(&mut input)?,
                dropped_attributes_count: take_u32(&mut input)?,
                attributes: Map::new(take_bytes(&mut input)?),
            })
        })
    }
}

/// A pointer to another span. Its ids are kept as sent, whatever their length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link<'a> {
    /// Trace id.
    pub trace_id: &'a [u8],
    /// Span id.
    pub span_id: &'a [u8],
    /// W3C tracestate.
    pub trace_state: &'a str,
    /// Attributes.
    pub attributes: Map<'a>,
    /// Attributes that the sender dropped.
    pub dropped_attributes_count: u32,
    /// W3C flags and OTLP's is-remote bits.
    pub flags: u32,
}

impl<'a> Link<'a> {
    /// Appends a link.
    pub fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.trace_id);
        put_bytes(out, self.span_id);
        put_bytes(out, self.trace_state.as_bytes());
        put_varint(out, self.dropped_attributes_count.into());
        put_varint(out, self.flags.into());
        put_bytes(out, self.attributes.as_bytes());
    }

    /// The links of a cell.
    pub fn list(cell: &'a [u8]) -> impl Iterator<Item = Link<'a>> {
        let mut input = cell;
        std::iter::from_fn(move || {
            Some(Link {
                trace_id: take_bytes(&mut input)?,
                span_id: take_bytes(&mut input)?,
                trace_state: take_str(&mut input)?,
                dropped_attributes_count: take_u32(&mut input)?,
                flags: take_u32(&mut input)?,
                attributes: Map::new(take_bytes(&mut input)?),
            })
        })
    }
}

/// A number that keeps its type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// Integer.
    Int(i64),
    /// Double.
    Double(f64),
}

/// A single measurement behind a data point. Its ids are kept as sent, whatever their length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exemplar<'a> {
    /// Unix nanoseconds, as sent.
    pub time_unix_nano: u64,
    /// The measurement, if told.
    pub value: Option<Number>,
    /// Trace id, or empty.
    pub trace_id: &'a [u8],
    /// Span id, or empty.
    pub span_id: &'a [u8],
    /// Attributes that the aggregation left out.
    pub filtered_attributes: Map<'a>,
}

impl<'a> Exemplar<'a> {
    /// Appends an exemplar.
    pub fn put(&self, out: &mut Vec<u8>) {
        put_u64(out, self.time_unix_nano);
        match self.value {
            None => out.push(0),
            Some(Number::Int(value)) => {
                out.push(1);
                put_u64(out, value.cast_unsigned());
            }
            Some(Number::Double(value)) => {
                out.push(2);
                put_u64(out, value.to_bits());
            }
        }
        put_bytes(out, self.trace_id);
        put_bytes(out, self.span_id);
        put_bytes(out, self.filtered_attributes.as_bytes());
    }

    /// The exemplars of a cell.
    pub fn list(cell: &'a [u8]) -> impl Iterator<Item = Exemplar<'a>> {
        let mut input = cell;
        std::iter::from_fn(move || {
            let time_unix_nano = take_u64(&mut input)?;
            let (&tag, rest) = input.split_first()?;
            input = rest;
            let value = match tag {
                0 => None,
                1 => Some(Number::Int(take_u64(&mut input)?.cast_signed())),
                2 => Some(Number::Double(f64::from_bits(take_u64(&mut input)?))),
                _ => return None,
            };
            Some(Exemplar {
                time_unix_nano,
                value,
                trace_id: take_bytes(&mut input)?,
                span_id: take_bytes(&mut input)?,
                filtered_attributes: Map::new(take_bytes(&mut input)?),
            })
        })
    }
}

/// Appends doubles, eight bytes each.
pub fn put_doubles(out: &mut Vec<u8>, values: impl IntoIterator<Item = f64>) {
    values.into_iter().for_each(|value| put_u64(out, value.to_bits()));
}

/// The doubles of a cell.
pub fn doubles(cell: &[u8]) -> impl Iterator<Item = f64> {
    let mut input = cell;
    std::iter::from_fn(move || take_u64(&mut input).map(f64::from_bits))
}

/// Appends counts, a varint each.
pub fn put_counts(out: &mut Vec<u8>, values: impl IntoIterator<Item = u64>) {
    values.into_iter().for_each(|value| put_varint(out, value));
}

/// The counts of a cell.
pub fn counts(cell: &[u8]) -> impl Iterator<Item = u64> {
    let mut input = cell;
    std::iter::from_fn(move || take_varint(&mut input))
}

/// Appends one side of an exponential histogram: the index of its first bucket, then the counts.
pub fn put_buckets(out: &mut Vec<u8>, offset: i32, values: impl IntoIterator<Item = u64>) {
    out.extend_from_slice(&offset.to_le_bytes());
    put_counts(out, values);
}

/// One side of an exponential histogram: the index of its first bucket, and the counts.
pub fn buckets(cell: &[u8]) -> (i32, impl Iterator<Item = u64>) {
    let (offset, rest) = match cell.split_first_chunk::<4>() {
        Some((offset, rest)) => (i32::from_le_bytes(*offset), rest),
        None => (0, [].as_slice()),
    };
    (offset, counts(rest))
}

/// Appends a summary's quantile and its value.
pub fn put_quantile(out: &mut Vec<u8>, quantile: f64, value: f64) {
    put_doubles(out, [quantile, value]);
}

/// The quantiles of a cell and their values.
pub fn quantiles(cell: &[u8]) -> impl Iterator<Item = (f64, f64)> {
    let mut values = doubles(cell);
    std::iter::from_fn(move || Some((values.next()?, values.next()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn varints_are_read_back(value: u64) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(take_varint(&mut out.as_slice()), Some(value));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Event::list(&bytes).count();
            let _ = Link::list(&bytes).count();
            let _ = Exemplar::list(&bytes).count();
            let _ = buckets(&bytes).1.count();
            let _ = quantiles(&bytes).count();
        }

        #[test]
        fn buckets_are_read_back(offset: i32, values: Vec<u64>) {
            let mut out = Vec::new();
            put_buckets(&mut out, offset, values.iter().copied());
            let (read_offset, read) = buckets(&out);
            prop_assert_eq!((read_offset, read.collect::<Vec<_>>()), (offset, values));
        }
    }

    #[test]
    fn nested_records_are_read_back() {
        let mut cell = Vec::new();
        let event = Event {
            time_unix_nano: u64::MAX,
            name: "é",
            attributes: Map::new(b"\x01a\x00"),
            dropped_attributes_count: 3,
        };
        event.put(&mut cell);
        event.put(&mut cell);
        assert_eq!(Event::list(&cell).collect::<Vec<_>>(), [event, event]);

        cell.clear();
        let link = Link {
            trace_id: &[1; 16],
            span_id: &[2; 3],
            trace_state: "a=b",
            attributes: Map::default(),
            dropped_attributes_count: u32::MAX,
            flags: 0x300,
        };
        link.put(&mut cell);
        assert_eq!(Link::list(&cell).collect::<Vec<_>>(), [link]);

        cell.clear();
        let exemplar = Exemplar {
            time_unix_nano: 1,
            value: Some(Number::Int(-1)),
            trace_id: &[],
            span_id: &[7; 8],
            filtered_attributes: Map::new(b"\x01a\x00"),
        };
        exemplar.put(&mut cell);
        assert_eq!(Exemplar::list(&cell).collect::<Vec<_>>(), [exemplar]);
    }
}
