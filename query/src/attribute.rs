//! How are stored attributes written as OTLP/JSON?
//!
//! A1  Every type keeps its type; an entry that cannot be read ends its map, as the store's own reading does.
//!
//! Not here: the encoding (`storage::model::attribute`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use query_api::otlp::{AnyValue, ArrayValue, EmptyValue, KeyValue, KeyValueList, OriginDetail};
use storage::model::attribute::{Map, Value};
use storage::model::origin;

/// What a key, a value and their places in a list cost beyond their text.
const ENTRY_BYTES: usize = size_of::<KeyValue>();

/// The entries of a map, by key.
pub(crate) fn key_values(map: Map<'_>) -> Vec<KeyValue> {
    map.iter().map(|(key, value)| KeyValue { key: key.into(), value: any_value(value) }).collect()
}

/// A value of any type.
pub(crate) fn any_value(value: Value<'_>) -> AnyValue {
    match value {
        Value::Empty => AnyValue::Empty(EmptyValue {}),
        Value::String(text) => AnyValue::StringValue(text.into()),
        Value::Bool(value) => AnyValue::BoolValue(value),
        Value::Int(value) => AnyValue::IntValue(value),
        Value::Double(value) => AnyValue::DoubleValue(value),
        Value::Bytes(bytes) => AnyValue::BytesValue(STANDARD.encode(bytes)),
        Value::Array(array) => AnyValue::ArrayValue(ArrayValue { values: array.iter().map(any_value).collect() }),
        Value::Map(map) => AnyValue::KvlistValue(KeyValueList { values: key_values(map) }),
    }
}

/// About how many bytes the entries of a map take once they are written out.
pub(crate) fn memory_of(map: Map<'_>) -> usize {
    // Bytes become a third longer in base64; nested values take an entry each, and at least two bytes of encoding.
    let entries = map.raw_entries().count();
    entries * ENTRY_BYTES + 2 * map.as_bytes().len()
}

/// What came with a resource and a scope besides their names and attributes.
pub(crate) fn origin_detail(resource: &origin::Resource<'_>, scope: &origin::Scope<'_>) -> OriginDetail {
    OriginDetail {
        resource_dropped_attributes_count: resource.dropped_attributes_count,
        resource_schema_url: resource.schema_url.into(),
        scope_dropped_attributes_count: scope.dropped_attributes_count,
        scope_schema_url: scope.schema_url.into(),
    }
}
