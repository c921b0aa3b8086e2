//! How is a trace written as OTLP/JSON? Lower-camel-case names, hex ids, 64-bit integers as strings, enums as numbers.
//!
//! The shapes of opentelemetry-proto's `trace/v1` and `common/v1`, with serde only, so that the UI reads what the
//! server writes. Unknown fields are ignored, absent fields are their defaults.

use crate::nanos;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::fmt;

/// `TracesData`: a trace, or many.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TracesData {
    /// Spans by resource.
    pub resource_spans: Vec<ResourceSpans>,
    /// Damaged blocks that may have more spans; no field of OTLP.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<crate::trace::MissingBlock>,
}

/// Spans of one resource.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceSpans {
    /// The resource.
    pub resource: Resource,
    /// Spans by instrumentation scope.
    pub scope_spans: Vec<ScopeSpans>,
    /// Schema of the resource.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub schema_url: String,
}

/// What produced the telemetry.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resource {
    /// Its attributes.
    pub attributes: Vec<KeyValue>,
    /// Attributes that the sender dropped.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped_attributes_count: u32,
    /// Entities that the resource describes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entity_refs: Vec<EntityRef>,
}

/// What came with a resource and a scope besides their names and attributes, for answers that list records or series.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OriginDetail {
    /// Attributes of the resource that the sender dropped.
    #[serde(skip_serializing_if = "is_zero")]
    pub resource_dropped_attributes_count: u32,
    /// Schema of the resource.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_schema_url: String,
    /// Attributes of the scope that the sender dropped.
    #[serde(skip_serializing_if = "is_zero")]
    pub scope_dropped_attributes_count: u32,
    /// Schema of the scope's telemetry.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scope_schema_url: String,
}

/// An entity, by the keys of the resource attributes that identify and describe it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EntityRef {
    /// Schema of the entity.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub schema_url: String,
    /// Its type.
    pub r#type: String,
    /// Keys that identify it.
    pub id_keys: Vec<String>,
    /// Keys that describe it.
    pub description_keys: Vec<String>,
}

/// Spans of one instrumentation scope.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScopeSpans {
    /// The scope.
    pub scope: Scope,
    /// Its spans.
    pub spans: Vec<Span>,
    /// Schema of the spans.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub schema_url: String,
}

/// The instrumentation library.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Scope {
    /// Name.
    pub name: String,
    /// Version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Attributes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<KeyValue>,
    /// Attributes that the sender dropped.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped_attributes_count: u32,
}

/// One span.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Span {
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits.
    pub span_id: String,
    /// W3C tracestate.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trace_state: String,
    /// 16 hex digits; empty for a root span.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub parent_span_id: String,
    /// W3C flags and OTLP's is-remote bits.
    #[serde(skip_serializing_if = "is_zero")]
    pub flags: u32,
    /// Operation name.
    pub name: String,
    /// 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: i32,
    /// Start.
    #[serde(with = "nanos")]
    pub start_time_unix_nano: u64,
    /// End.
    #[serde(with = "nanos")]
    pub end_time_unix_nano: u64,
    /// Attributes.
    pub attributes: Vec<KeyValue>,
    /// Attributes that the sender dropped.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped_attributes_count: u32,
    /// Events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
    /// Events that the sender dropped.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped_events_count: u32,
    /// Links.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// Links that the sender dropped.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped_links_count: u32,
    /// Outcome.
    pub status: Status,
}

/// Something that happened during a span.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Event {
    /// When.
    #[serde(with = "nanos")]
    pub time_unix_nano: u64,
    /// What.
    pub name: String,
    /// Attributes.
    pub attributes: Vec<KeyValue>,
    /// Attributes that the sender dropped.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped_attributes_count: u32,
}

/// A pointer to another span.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Link {
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits.
    pub span_id: String,
    /// W3C tracestate.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trace_state: String,
    /// Attributes.
    pub attributes: Vec<KeyValue>,
    /// Attributes that the sender dropped.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped_attributes_count: u32,
    /// W3C flags and OTLP's is-remote bits.
    #[serde(skip_serializing_if = "is_zero")]
    pub flags: u32,
}

/// A span's outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Why, for an error.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// 0 unset, 1 ok, 2 error.
    #[serde(skip_serializing_if = "is_zero_i32")]
    pub code: i32,
}

/// One attribute.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyValue {
    /// Key.
    pub key: String,
    /// Value.
    pub value: AnyValue,
}

/// A value of any type; with all fields absent, the empty value. At most one field is set.
///
/// Its reading is written by hand: what serde derives for a variant without a name keeps a copy of everything that it reads, and
/// reads it all twice, which the UI pays for in size.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum AnyValue {
    /// Text.
    StringValue(String),
    /// Boolean.
    BoolValue(bool),
    /// Integer.
    IntValue(#[serde(with = "nanos")] i64),
    /// Double.
    DoubleValue(#[serde(with = "double")] f64),
    /// List.
    ArrayValue(ArrayValue),
    /// Map.
    KvlistValue(KeyValueList),
    /// Bytes, base64.
    BytesValue(String),
    /// No value: `{}`.
    #[serde(untagged)]
    Empty(EmptyValue),
}

impl Default for AnyValue {
    fn default() -> Self {
        AnyValue::Empty(EmptyValue {})
    }
}

impl<'de> Deserialize<'de> for AnyValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AnyValueVisitor)
    }
}

/// The fields of a value of any type.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum AnyField {
    StringValue,
    BoolValue,
    IntValue,
    DoubleValue,
    ArrayValue,
    KvlistValue,
    BytesValue,
    #[serde(other)]
    Unknown,
}

/// An integer as `nanos` reads it, and a double as `double` does.
#[derive(Deserialize)]
struct Integer(#[serde(with = "nanos")] i64);

struct AnyValueVisitor;

impl<'de> de::Visitor<'de> for AnyValueVisitor {
    type Value = AnyValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value: an object with one of the fields stringValue, intValue and so on")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<AnyValue, A::Error> {
        let mut value = AnyValue::default();
        while let Some(field) = map.next_key()? {
            value = match field {
                AnyField::StringValue => AnyValue::StringValue(map.next_value()?),
                AnyField::BoolValue => AnyValue::BoolValue(map.next_value()?),
                AnyField::IntValue => AnyValue::IntValue(map.next_value::<Integer>()?.0),
                AnyField::DoubleValue => AnyValue::DoubleValue(map.next_value::<double::Item>()?.0),
                AnyField::ArrayValue => AnyValue::ArrayValue(map.next_value()?),
                AnyField::KvlistValue => AnyValue::KvlistValue(map.next_value()?),
                AnyField::BytesValue => AnyValue::BytesValue(map.next_value()?),
                AnyField::Unknown => {
                    map.next_value::<de::IgnoredAny>()?;
                    continue;
                }
            };
        }
        Ok(value)
    }
}

/// The empty object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmptyValue {}

/// A list of values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ArrayValue {
    /// The values.
    pub values: Vec<AnyValue>,
}

/// A map.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyValueList {
    /// The entries.
    pub values: Vec<KeyValue>,
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

fn is_zero_i32(value: &i32) -> bool {
    *value == 0
}

/// A double in JSON: a number, or one of the strings `NaN`, `Infinity`, `-Infinity`.
pub mod double {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
    use std::fmt;

    /// Writes a number, or its name when JSON has none for it.
    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            serializer.serialize_f64(*value)
        } else if value.is_nan() {
            serializer.serialize_str("NaN")
        } else if *value > 0.0 {
            serializer.serialize_str("Infinity")
        } else {
            serializer.serialize_str("-Infinity")
        }
    }

    /// Reads a number, or the name of one that JSON has no number for.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        deserializer.deserialize_any(DoubleVisitor)
    }

    struct DoubleVisitor;

    impl de::Visitor<'_> for DoubleVisitor {
        type Value = f64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number, or one of the strings `NaN`, `Infinity`, `-Infinity`")
        }

        fn visit_f64<E>(self, value: f64) -> Result<f64, E> {
            Ok(value)
        }

        #[expect(clippy::cast_precision_loss, reason = "a double is asked for, and this is the nearest one")]
        fn visit_i64<E>(self, value: i64) -> Result<f64, E> {
            Ok(value as f64)
        }

        #[expect(clippy::cast_precision_loss, reason = "a double is asked for, and this is the nearest one")]
        fn visit_u64<E>(self, value: u64) -> Result<f64, E> {
            Ok(value as f64)
        }

        fn visit_str<E: de::Error>(self, name: &str) -> Result<f64, E> {
            match name {
                "NaN" => Ok(f64::NAN),
                "Infinity" => Ok(f64::INFINITY),
                "-Infinity" => Ok(f64::NEG_INFINITY),
                _ => Err(E::invalid_value(de::Unexpected::Str(name), &self)),
            }
        }
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct Item(#[serde(with = "super::double")] pub(super) f64);

    /// The same for an optional double.
    pub mod option {
        use super::Item;
        use serde::{Deserialize, Deserializer, Serialize, Serializer};

        /// Writes null for none.
        pub fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
            value.map(Item).serialize(serializer)
        }

        /// Reads null as none.
        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
            Ok(Option::<Item>::deserialize(deserializer)?.map(|item| item.0))
        }
    }

    /// The same for a list of doubles.
    pub mod list {
        use super::Item;
        use serde::{Deserialize, Deserializer, Serializer};

        /// Writes an array.
        pub fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(values.iter().map(|value| Item(*value)))
        }

        /// Reads an array.
        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
            Ok(Vec::<Item>::deserialize(deserializer)?.into_iter().map(|item| item.0).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &AnyValue, json: &str) {
        assert_eq!(serde_json::to_string(value).unwrap(), json);
        assert_eq!(&serde_json::from_str::<AnyValue>(json).unwrap(), value);
    }

    #[test]
    fn any_value_is_written_as_otlp_json() {
        check(&AnyValue::StringValue("a".into()), r#"{"stringValue":"a"}"#);
        check(&AnyValue::IntValue(i64::MIN), r#"{"intValue":"-9223372036854775808"}"#);
        check(&AnyValue::DoubleValue(0.5), r#"{"doubleValue":0.5}"#);
        check(&AnyValue::DoubleValue(f64::NEG_INFINITY), r#"{"doubleValue":"-Infinity"}"#);
        check(&AnyValue::default(), "{}");
        let list = AnyValue::ArrayValue(ArrayValue { values: vec![AnyValue::BoolValue(true), AnyValue::default()] });
        check(&list, r#"{"arrayValue":{"values":[{"boolValue":true},{}]}}"#);
    }

    #[test]
    fn integers_are_read_from_numbers_too() {
        assert_eq!(serde_json::from_str::<AnyValue>(r#"{"intValue":7}"#).unwrap(), AnyValue::IntValue(7));
    }

    #[test]
    fn a_double_is_a_number_or_a_name() {
        let read = |json: &str| serde_json::from_str::<AnyValue>(&format!(r#"{{"doubleValue":{json}}}"#)).ok();
        assert_eq!(read("7"), Some(AnyValue::DoubleValue(7.0)));
        assert_eq!(read("-7"), Some(AnyValue::DoubleValue(-7.0)));
        assert_eq!(read(r#""Infinity""#), Some(AnyValue::DoubleValue(f64::INFINITY)));
        assert_eq!((read(r#""seven""#), read("true"), read("null")), (None, None, None));
    }

    #[test]
    fn a_value_of_a_kind_that_is_not_known_yet_is_empty() {
        let read = |json: &str| serde_json::from_str::<AnyValue>(json).ok();
        assert_eq!(read(r#"{"dateValue":{"year":[2026]}}"#), Some(AnyValue::default()));
        assert_eq!((read("[]"), read("7"), read(r#"{"intValue":"x"}"#)), (None, None, None));
    }

    #[test]
    fn unknown_fields_are_ignored_and_absent_ones_are_defaults() {
        let span: Span = serde_json::from_str(r#"{"name":"a","colour":"blue"}"#).unwrap();
        assert_eq!(span, Span { name: "a".into(), ..Span::default() });
    }
}
