//! How does OTLP/JSON become the protobuf message that it stands for?
//!
//! J1  One pass, no tree: memory is that of the protobuf bytes, which are limited, too.
//! J2  Tolerant where the protocol asks for it: unknown fields ignored at every level, null means absent, the last of
//!     two equal keys wins, 64-bit integers as numbers or strings, whole numbers in any notation (`1e3`, `-0`), ids in
//!     hex of any case, NaN and infinities as strings, base64 of both alphabets.
//! J3  Strict where guessing would change data: snake_case names are unknown fields, enums are integers, an id that
//!     is not hex or a number out of its range makes the request malformed, and the message says where. A hex id of
//!     a wrong length is the record's problem (`decode`).
//! J4  A negative count of dropped things, which some SDKs send, is 0 and a warning: a wrong count is no reason to
//!     lose the span.
//! J6  JSON of other makers (`foreign`) becomes their own protobuf under the same rules.
//! J5  Fields and items nest at most [`MAX_STEPS`] deep: as deep as values may nest, which protobuf allows too.

mod foreign;
mod schema;
#[cfg(test)]
mod tests;

use super::MAX_VALUE_DEPTH;
use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use schema::{Field, Kind, Message};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::net::IpAddr;
use storage::model::Signal;
use storage::model::record::put_varint;

/// Why JSON could not be turned into protobuf.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is not the JSON of the message.
    #[error("malformed JSON at {path}: {what}")]
    Malformed {
        /// Where, such as `$.resourceSpans[0].resource`.
        path: String,
        /// What is wrong, with line and column.
        what: String,
    },
    /// The message is larger than allowed.
    #[error("the message is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
}

/// A message turned into protobuf.
#[derive(Debug)]
pub struct Transcoded {
    /// The message.
    pub protobuf: Vec<u8>,
    /// Oddities that were tolerated.
    pub warnings: u64,
}

/// Fields and items on the way down, at most: four for each level of nested values, and those around them.
const MAX_STEPS: usize = 4 * MAX_VALUE_DEPTH + 16;

/// Turns the OTLP/JSON of an export request into protobuf of at most `limit` bytes.
pub fn to_protobuf(signal: Signal, json: &[u8], limit: usize) -> Result<Transcoded, JsonError> {
    let message = match signal {
        Signal::Spans => &schema::TRACES,
        Signal::Logs => &schema::LOGS,
        Signal::Metrics => &schema::METRICS,
    };
    transcode(json, limit, |json, writer| json.deserialize_map(MessageVisitor { writer, message }))
}

/// Turns a span of Jaeger into Jaeger's protobuf of at most `limit` bytes.
pub(super) fn jaeger_span(json: &[u8], limit: usize) -> Result<Transcoded, JsonError> {
    let message = &foreign::JAEGER_SPAN;
    transcode(json, limit, |json, writer| json.deserialize_map(MessageVisitor { writer, message }))
}

/// Turns an array of Zipkin's spans into Zipkin's protobuf of at most `limit` bytes.
pub(super) fn zipkin_spans(json: &[u8], limit: usize) -> Result<Transcoded, JsonError> {
    let field = &foreign::ZIPKIN_SPANS;
    transcode(json, limit, |json, writer| json.deserialize_seq(List(FieldValue { writer, field })))
}

type FromSlice<'de> = serde_json::Deserializer<serde_json::de::SliceRead<'de>>;

fn transcode<'de>(
    json: &'de [u8],
    limit: usize,
    read: impl FnOnce(&mut FromSlice<'de>, &mut Writer) -> serde_json::Result<()>,
) -> Result<Transcoded, JsonError> {
    if json.starts_with(b"\xef\xbb\xbf") {
        return Err(JsonError::Malformed { path: "$".into(), what: "it starts with a byte order mark".into() });
    }
    let mut writer = Writer { out: Vec::with_capacity(json.len() / 2), limit, warnings: 0, path: Vec::new() };
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    // Ours is [`MAX_STEPS`]; what is unknown is skipped without recursion.
    deserializer.disable_recursion_limit();
    match read(&mut deserializer, &mut writer).and_then(|()| deserializer.end()) {
        Ok(()) => Ok(Transcoded { protobuf: writer.out, warnings: writer.warnings }),
        Err(_) if writer.out.len() > limit => Err(JsonError::TooLarge { limit }),
        Err(error) => Err(JsonError::Malformed { path: writer.path(), what: error.to_string() }),
    }
}

/// The protobuf in the making, and the way down to where we are. On failure the way is not taken back, so that it
/// tells the place.
struct Writer {
    out: Vec<u8>,
    limit: usize,
    warnings: u64,
    path: Vec<Step>,
}

enum Step {
    Field(&'static str),
    Item(usize),
}

impl Writer {
    fn path(&self) -> String {
        let mut path = "$".to_owned();
        for step in &self.path {
            match step {
                Step::Field(name) => path.extend([".", name]),
                Step::Item(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }

    /// Goes one step down.
    fn enter<E: de::Error>(&mut self, step: Step) -> Result<(), E> {
        if self.path.len() >= MAX_STEPS {
            return Err(E::custom(format_args!("it nests deeper than {MAX_STEPS} levels")));
        }
        self.path.push(step);
        Ok(())
    }

    fn tag(&mut self, field: &Field, wire_type: u32) {
        put_varint(&mut self.out, u64::from(field.number << 3 | wire_type));
    }

    /// Appends what `write` appends, with its length before it.
    fn length_delimited<T, E: de::Error>(&mut self, write: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        let start = self.out.len();
        self.out.push(0);
        let result = write(self)?;
        let length = self.out.len() - start - 1;
        let mut prefix = Vec::with_capacity(10);
        put_varint(&mut prefix, length as u64);
        self.out.splice(start..=start, prefix);
        if self.out.len() > self.limit { Err(E::custom("too large")) } else { Ok(result) }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        put_varint(&mut self.out, bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }
}

/// Reads an object as a message.
struct MessageVisitor<'w> {
    writer: &'w mut Writer,
    message: &'static Message,
}

impl<'de> Visitor<'de> for MessageVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // Where each field's bytes are, for the case that the field comes again.
        let mut written: Vec<(u32, usize, usize)> = Vec::new();
        while let Some(field) = map.next_key_seed(FieldName(self.message))? {
            let Some(field) = field else {
                map.next_value::<de::IgnoredAny>()?;
                continue;
            };
            if let Some(at) = written.iter().position(|(number, ..)| *number == field.number) {
                let (_, start, end) = written.remove(at);
                self.writer.out.drain(start..end);
                for (_, other_start, other_end) in written.iter_mut().filter(|(_, other, _)| *other >= end) {
                    *other_start -= end - start;
                    *other_end -= end - start;
                }
            }
            let start = self.writer.out.len();
            self.writer.enter(Step::Field(field.name))?;
            map.next_value_seed(FieldValue { writer: self.writer, field })?;
            self.writer.path.pop();
            written.push((field.number, start, self.writer.out.len()));
        }
        Ok(())
    }
}

struct FieldName(&'static Message);

impl<'de> DeserializeSeed<'de> for FieldName {
    type Value = Option<&'static Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for FieldName {
    type Value = Option<&'static Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.fields.iter().find(|field| field.name == name))
    }
}

/// Reads a field's value, be it one or a list.
struct FieldValue<'w> {
    writer: &'w mut Writer,
    field: &'static Field,
}

impl<'de> DeserializeSeed<'de> for FieldValue<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.field.repeated {
            deserializer.deserialize_any(List(self))
        } else {
            deserializer.deserialize_any(Item { writer: self.writer, field: self.field, packed: false })
        }
    }
}

struct List<'w>(FieldValue<'w>);

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let List(FieldValue { writer, field }) = self;
        let Kind::Texts = field.kind else {
            return Err(de::Error::invalid_type(de::Unexpected::Map, &"an array"));
        };
        while let Some(key) = map.next_key::<String>()? {
            let value: String =
                map.next_value().map_err(|error| de::Error::custom(format_args!("{key:?}: {error}")))?;
            writer.tag(field, 2);
            writer.length_delimited(|writer| {
                for (number, text) in [(1, &key), (2, &value)] {
                    writer.tag(&schema::one("", number, Kind::String), 2);
                    writer.bytes(text.as_bytes());
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let List(FieldValue { writer, field }) = self;
        if let Kind::Texts = field.kind {
            return Err(de::Error::invalid_type(de::Unexpected::Seq, &"an object of texts"));
        }
        let packed = field.kind.wire_type() != 2;
        let mut each = |writer: &mut Writer| {
            for index in 0.. {
                writer.enter(Step::Item(index))?;
                let before = writer.out.len();
                if items.next_element_seed(Item { writer, field, packed })?.is_none() {
                    writer.path.pop();
                    return Ok(());
                }
                if writer.out.len() == before {
                    return Err(de::Error::custom("null is no item of a list"));
                }
                if writer.out.len() > writer.limit {
                    return Err(de::Error::custom("too large"));
                }
                writer.path.pop();
            }
            Ok(())
        };
        if packed {
            writer.tag(field, 2);
            writer.length_delimited(each)
        } else {
            each(writer)
        }
    }
}

/// Reads one value of a field.
struct Item<'w> {
    writer: &'w mut Writer,
    field: &'static Field,
    /// Items of a packed list have no tag of their own.
    packed: bool,
}

impl<'de> DeserializeSeed<'de> for Item<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// A whole number of any size that JSON can tell.
type Whole = i128;

impl Item<'_> {
    fn tag(&mut self) {
        if !self.packed {
            self.writer.tag(self.field, self.field.kind.wire_type());
        }
    }

    fn whole<E: de::Error>(mut self, value: Whole) -> Result<(), E> {
        let kind = self.field.kind;
        let out_of_range = || E::custom(format_args!("{value} is out of range"));
        let i32 = || i32::try_from(value).map_err(|_| out_of_range());
        let i64 = || i64::try_from(value).map_err(|_| out_of_range());
        let u32 = || u32::try_from(value).map_err(|_| out_of_range());
        let u64 = || u64::try_from(value).map_err(|_| out_of_range());
        let varint = match kind {
            #[expect(clippy::cast_precision_loss, reason = "a double is what was asked for")]
            Kind::Double => return self.double(value as f64),
            Kind::Int32 | Kind::Enum | Kind::Named(_) => i64::from(i32()?).cast_unsigned(),
            Kind::Sint32 => u64::from(((i32()? << 1) ^ (i32()? >> 31)).cast_unsigned()),
            Kind::Uint32 => u32()?.into(),
            Kind::Dropped if value < 0 => {
                self.writer.warnings += 1;
                0
            }
            Kind::Dropped => u32()?.into(),
            Kind::Int64 => i64()?.cast_unsigned(),
            Kind::Uint64 => u64()?,
            Kind::Fixed32 => {
                let bytes = u32()?.to_le_bytes();
                self.tag();
                self.writer.out.extend_from_slice(&bytes);
                return Ok(());
            }
            Kind::Fixed64 | Kind::Sfixed64 => {
                let value = if matches!(kind, Kind::Fixed64) { u64()? } else { i64()?.cast_unsigned() };
                self.tag();
                self.writer.out.extend_from_slice(&value.to_le_bytes());
                return Ok(());
            }
            Kind::String
            | Kind::Bytes
            | Kind::Id
            | Kind::Bool
            | Kind::Message(_)
            | Kind::ShortId
            | Kind::Address
            | Kind::Timestamp
            | Kind::Duration
            | Kind::Texts => {
                return Err(E::invalid_type(de::Unexpected::Other("number"), &self));
            }
        };
        self.tag();
        put_varint(&mut self.writer.out, varint);
        Ok(())
    }

    /// What is a text in JSON of other makers.
    fn foreign<E: de::Error>(mut self, text: &str) -> Result<(), E> {
        let unfit = |item: &Self| E::invalid_value(de::Unexpected::Str(text), item);
        let moment = match self.field.kind {
            Kind::Named(names) => {
                let found = names.iter().position(|name| *name == text).ok_or_else(|| unfit(&self))?;
                self.tag();
                put_varint(&mut self.writer.out, found as u64);
                return Ok(());
            }
            Kind::ShortId => {
                let bytes = short_id(text).ok_or_else(|| unfit(&self))?;
                self.tag();
                self.writer.bytes(&bytes);
                return Ok(());
            }
            Kind::Address => {
                let address = text.parse().map_err(|_| unfit(&self))?;
                self.tag();
                match address {
                    IpAddr::V4(address) => self.writer.bytes(&address.octets()),
                    IpAddr::V6(address) => self.writer.bytes(&address.octets()),
                }
                return Ok(());
            }
            Kind::Timestamp => text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_nanosecond),
            Kind::Duration => seconds(text),
            _ => None,
        };
        // Both are google.protobuf's messages of seconds and nanoseconds.
        let moment = moment.ok_or_else(|| unfit(&self))?;
        let (whole, rest) = (moment.div_euclid(1_000_000_000), moment.rem_euclid(1_000_000_000));
        let parts = [i64::try_from(whole), i64::try_from(rest)].map(|part| part.ok());
        let [Some(whole), Some(rest)] = parts else { return Err(unfit(&self)) };
        self.tag();
        self.writer.length_delimited(|writer| {
            for (number, part) in [(1, whole), (2, rest)] {
                writer.tag(&schema::one("", number, Kind::Int64), 0);
                put_varint(&mut writer.out, part.cast_unsigned());
            }
            Ok(())
        })
    }

    fn double<E: de::Error>(mut self, value: f64) -> Result<(), E> {
        self.tag();
        self.writer.out.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }
}

impl<'de> Visitor<'de> for Item<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.field.kind {
            Kind::String => "a string",
            Kind::Bytes => "a base64 string",
            Kind::Id => "a string of hex digits",
            Kind::Bool => "true or false",
            Kind::Enum => "an integer (OTLP/JSON has no names for enum values)",
            Kind::Double => "a number, or one of the strings NaN, Infinity and -Infinity",
            Kind::Message(_) | Kind::Texts => "an object",
            Kind::Named(_) => "the name or the number of an enum's value",
            Kind::ShortId => "a string of at most 32 hex digits",
            Kind::Address => "an IP address",
            Kind::Timestamp => "a time as RFC 3339 has it",
            Kind::Duration => "seconds such as 1.5s",
            _ => "an integer, as number or string",
        })
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: de::Error>(mut self, value: bool) -> Result<(), E> {
        let Kind::Bool = self.field.kind else {
            return Err(E::invalid_type(de::Unexpected::Bool(value), &self));
        };
        self.tag();
        self.writer.out.push(value.into());
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.whole(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.whole(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        if let Kind::Double = self.field.kind {
            return self.double(value);
        }
        // 2^65 is past every integer that we know.
        if value.fract() != 0.0 || value.abs() > 36_893_488_147_419_103_232.0 {
            return Err(E::invalid_value(de::Unexpected::Float(value), &self));
        }
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^65")]
        self.whole(value as Whole)
    }

    fn visit_str<E: de::Error>(mut self, text: &str) -> Result<(), E> {
        match self.field.kind {
            Kind::String => {
                self.tag();
                self.writer.bytes(text.as_bytes());
            }
            Kind::Bytes => {
                let bytes = base64(text).map_err(|error| E::custom(format_args!("not base64: {error}")))?;
                self.tag();
                self.writer.bytes(&bytes);
            }
            Kind::Id => {
                let bytes = hex(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))?;
                self.tag();
                self.writer.bytes(&bytes);
            }
            Kind::Double => {
                let value = double(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))?;
                return self.double(value);
            }
            Kind::Bool | Kind::Message(_) => return Err(E::invalid_type(de::Unexpected::Str(text), &self)),
            Kind::Named(_) | Kind::ShortId | Kind::Address | Kind::Timestamp | Kind::Duration | Kind::Texts => {
                return self.foreign(text);
            }
            _ => {
                let value = whole(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))?;
                return self.whole(value);
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<(), A::Error> {
        let Kind::Message(message) = self.field.kind else {
            return Err(de::Error::invalid_type(de::Unexpected::Map, &self));
        };
        self.tag();
        self.writer.length_delimited(|writer| MessageVisitor { writer, message }.visit_map(map))
    }
}

fn whole(text: &str) -> Option<Whole> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    // Twenty digits hold 2^64; longer ones are out of every range, however many zeros lead them.
    let plain = (1..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

fn double(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ if text.ends_with(|last: char| last.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// Eight bytes, or sixteen where there are more digits; none for no digits.
fn short_id(text: &str) -> Option<Vec<u8>> {
    match text.len() {
        0 => Some(Vec::new()),
        1..=16 => hex(&format!("{text:0>16}")),
        17..=32 => hex(&format!("{text:0>32}")),
        _ => None,
    }
}

/// Nanoseconds of a text like `1.5s`.
fn seconds(text: &str) -> Option<i128> {
    let number = text.strip_suffix('s')?;
    let (sign, digits) = number.strip_prefix('-').map_or((1, number), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_plain =
        |part: &str, most| (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_plain(whole, 18) || !is_plain(fraction, 9) {
        return None;
    }
    let nanos: i128 = format!("{whole}{fraction:0<9}").parse().ok()?;
    Some(sign * nanos)
}

fn base64(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    const ANY_PADDING: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let alphabet = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    GeneralPurpose::new(alphabet, ANY_PADDING).decode(text)
}
