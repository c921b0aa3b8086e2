//! How are spans and log records written as protobuf without building them as structures first?
//!
//! A span of 350 bytes has some twenty strings; as `opentelemetry_proto` structures each is an allocation. These few
//! functions append to one buffer instead. What they write is what prost would write: fields in tag order, canonical
//! varints, defaults left out by the caller.
//!
//! Invariants
//! - X1: `message` leaves a canonical length prefix whatever its content's length.
//! - X2: decoding what was written and encoding it with prost gives the same bytes (tested on whole requests).
//!
//! Not here: which fields an OTLP message has (`telemetry`), and reading (`client::stamp`).

use std::fmt::{Arguments, Write as _};

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

/// Adapter that lets `write!` append UTF-8 to a byte buffer.
struct Text<'a>(&'a mut Vec<u8>);

impl std::fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Appends formatted text.
pub(crate) fn text(out: &mut Vec<u8>, arguments: Arguments<'_>) {
    // Writing to a vector cannot fail; a `Display` that reports an error leaves what it wrote.
    if Text(out).write_fmt(arguments).is_err() {
        debug_assert!(false, "a Display implementation failed");
    }
}

/// Appends a base-128 varint.
pub(crate) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The number of bytes that `varint` writes.
pub(crate) fn varint_length(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

fn tag(out: &mut Vec<u8>, field: u32, kind: u32) {
    varint(out, u64::from((field << 3) | kind));
}

/// A varint field.
pub(crate) fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, VARINT);
    varint(out, value);
}

/// A fixed 64-bit field.
pub(crate) fn fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A fixed 32-bit field.
pub(crate) fn fixed32(out: &mut Vec<u8>, field: u32, value: u32) {
    tag(out, field, FIXED32);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A bytes or string field.
pub(crate) fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    tag(out, field, BYTES);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// A string field with formatted text.
pub(crate) fn formatted(out: &mut Vec<u8>, field: u32, arguments: Arguments<'_>) {
    message(out, field, |out| text(out, arguments));
}

/// A nested message whose length is not known before it is written.
pub(crate) fn message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    tag(out, field, BYTES);
    let prefix = out.len();
    out.push(0);
    write(out);
    let length = out.len() - prefix - 1;
    if let Ok(short) = u8::try_from(length)
        && short < 0x80
    {
        out[prefix] = short;
        return;
    }
    let width = varint_length(length as u64);
    out.resize(out.len() + width - 1, 0);
    out.copy_within(prefix + 1..prefix + 1 + length, prefix + width);
    let mut rest = length;
    for slot in &mut out[prefix..prefix + width - 1] {
        *slot = (rest as u8) | 0x80;
        rest >>= 7;
    }
    out[prefix + width - 1] = rest as u8;
}

/// Writes `KeyValue` messages into one repeated field of the message under construction.
#[derive(Debug)]
pub(crate) struct Attributes<'a> {
    out: &'a mut Vec<u8>,
    field: u32,
}

impl<'a> Attributes<'a> {
    /// Attributes go to this repeated field.
    pub(crate) fn new(out: &'a mut Vec<u8>, field: u32) -> Self {
        Self { out, field }
    }

    fn scalar(&mut self, key: &str, value_length: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let key_length = 1 + varint_length(key.len() as u64) + key.len();
        let total = key_length + 1 + varint_length(value_length as u64) + value_length;
        tag(self.out, self.field, BYTES);
        varint(self.out, total as u64);
        bytes(self.out, 1, key.as_bytes());
        tag(self.out, 2, BYTES);
        varint(self.out, value_length as u64);
        write(self.out);
    }

    /// A string attribute.
    pub(crate) fn text(&mut self, key: &str, value: &str) {
        let length = 1 + varint_length(value.len() as u64) + value.len();
        self.scalar(key, length, |out| bytes(out, 1, value.as_bytes()));
    }

    /// A string attribute with formatted text.
    pub(crate) fn formatted(&mut self, key: &str, value: Arguments<'_>) {
        message(self.out, self.field, |out| {
            bytes(out, 1, key.as_bytes());
            message(out, 2, |out| formatted(out, 1, value));
        });
    }

    /// An integer attribute.
    pub(crate) fn int(&mut self, key: &str, value: i64) {
        let bits = value.cast_unsigned();
        self.scalar(key, 1 + varint_length(bits), |out| number(out, 3, bits));
    }

    /// A boolean attribute.
    pub(crate) fn flag(&mut self, key: &str, value: bool) {
        self.scalar(key, 2, |out| number(out, 2, u64::from(value)));
    }

    /// A floating-point attribute.
    pub(crate) fn double(&mut self, key: &str, value: f64) {
        self.scalar(key, 9, |out| fixed64(out, 4, value.to_bits()));
    }

    /// An attribute that is an array of strings.
    pub(crate) fn texts(&mut self, key: &str, values: &[&str]) {
        message(self.out, self.field, |out| {
            bytes(out, 1, key.as_bytes());
            message(out, 2, |out| {
                message(out, 5, |out| {
                    for value in values {
                        message(out, 1, |out| bytes(out, 1, value.as_bytes()));
                    }
                });
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use proptest::prelude::*;
    use prost::Message;

    fn pair(key: &str, value: Value) -> KeyValue {
        KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
    }

    proptest! {
        #[test]
        fn x2_attributes_are_what_prost_writes(
            key in "[a-z.]{1,200}", word in ".{0,300}", int: i64, double: f64, flag: bool,
            list in proptest::collection::vec(".{0,40}", 0..9),
        ) {
            let mut out = Vec::new();
            let mut attributes = Attributes::new(&mut out, 1);
            attributes.text(&key, &word);
            attributes.formatted(&key, format_args!("<{word}>"));
            attributes.int(&key, int);
            attributes.double(&key, double);
            attributes.flag(&key, flag);
            attributes.texts(&key, &list.iter().map(String::as_str).collect::<Vec<_>>());
            let values = list.iter().map(|v| AnyValue { value: Some(Value::StringValue(v.clone())) }).collect();
            let expected = Resource {
                attributes: vec![
                    pair(&key, Value::StringValue(word.clone())),
                    pair(&key, Value::StringValue(format!("<{word}>"))),
                    pair(&key, Value::IntValue(int)),
                    pair(&key, Value::DoubleValue(double)),
                    pair(&key, Value::BoolValue(flag)),
                    pair(&key, Value::ArrayValue(ArrayValue { values })),
                ],
                ..Resource::default()
            };
            prop_assert_eq!(out, expected.encode_to_vec());
        }
    }

    #[test]
    fn x1_length_prefixes_are_canonical_at_every_width() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 3_000_000] {
            let content = vec![7; length];
            let mut nested = Vec::new();
            message(&mut nested, 2, |out| out.extend_from_slice(&content));
            let mut plain = Vec::new();
            bytes(&mut plain, 2, &content);
            assert!(nested == plain, "length {length}");
        }
    }
}
