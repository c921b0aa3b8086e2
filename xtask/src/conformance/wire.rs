//! What does a protobuf message look like on the wire, field by field?
//!
//! Written by hand so that cases can also say what no encoder would write: wrong wire types, repeated scalars, unknown
//! fields. Reading covers what OTLP answers hold.
//!
//! Not here: which fields a message has (the cases).

use anyhow::{Context, Result, bail, ensure};

/// Appends a varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Appends the key of field `number` with `wire_type`.
pub(crate) fn put_key(out: &mut Vec<u8>, number: u64, wire_type: u64) {
    put_varint(out, number << 3 | wire_type);
}

/// Appends a length-delimited field.
pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u64, content: &[u8]) {
    put_key(out, number, 2);
    put_varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

/// A field's value as read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Field<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 2.
    Bytes(&'a [u8]),
    /// Wire types 1 and 5, whose values no answer needs.
    Fixed,
}

/// Splits a message into its fields.
pub(crate) fn fields(mut rest: &[u8]) -> Result<Vec<(u64, Field<'_>)>> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let key = take_varint(&mut rest)?;
        let field = match key & 7 {
            0 => Field::Varint(take_varint(&mut rest)?),
            1 => take(&mut rest, 8).map(|_| Field::Fixed)?,
            2 => {
                let length = usize::try_from(take_varint(&mut rest)?)?;
                Field::Bytes(take(&mut rest, length)?)
            }
            5 => take(&mut rest, 4).map(|_| Field::Fixed)?,
            other => bail!("wire type {other}"),
        };
        found.push((key >> 3, field));
    }
    Ok(found)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(length).context("a field ends past the message")?;
    *rest = tail;
    Ok(head)
}

fn take_varint(rest: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?.first().copied().context("no byte")?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    ensure!(false, "a varint of more than 10 bytes");
    Ok(value)
}

/// Bytes of hex digits; blanks are skipped.
pub(crate) fn unhex(text: &str) -> Result<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    ensure!(digits.len().is_multiple_of(2), "an odd number of hex digits");
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair)?, 16).with_context(|| format!("not hex: `{text}`")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_reads_what_was_put() {
        let mut message = Vec::new();
        put_key(&mut message, 1, 0);
        put_varint(&mut message, 300);
        put_bytes(&mut message, 2, b"text");
        put_key(&mut message, 1000, 1);
        message.extend_from_slice(&[0; 8]);
        let expected = [(1, Field::Varint(300)), (2, Field::Bytes(b"text")), (1000, Field::Fixed)];
        assert_eq!(fields(&message).unwrap(), expected);
        assert_eq!(message[..3], [0x08, 0xac, 0x02]);
    }

    #[test]
    fn broken_messages_are_refused() {
        assert!(fields(&[0x0a, 5, 1]).is_err());
        assert!(fields(&[0x08]).is_err());
        assert!(fields(&[0x0b]).is_err());
        assert!(fields(&[0xff; 11]).is_err());
    }

    #[test]
    fn hex_is_read_with_blanks() {
        assert_eq!(unhex("0a FF").unwrap(), [10, 255]);
        assert!(unhex("0a f").is_err());
        assert!(unhex("zz").is_err());
    }
}
