//! Which attributes do rows have, and which values?

use crate::attribute::any_value;
use crate::error::Result;
use crate::exec::Control;
use query_api::volume::{AttributeKey, AttributeValue, AttributeValuesResponse, AttributesResponse};
use storage::model::Signal;
use storage::model::attribute::Value;
use storage::scan::{AttributeScope, TimeRange, ValueType};

/// Whose keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttributesQuery {
    /// Of which table.
    pub(crate) signal: Signal,
    /// Rows by time.
    pub(crate) range: TimeRange,
}

/// The values of which key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ValuesQuery {
    /// Of which rows.
    pub(crate) rows: AttributesQuery,
    /// Whose attribute.
    pub(crate) scope: AttributeScope,
    /// The key.
    pub(crate) key: String,
    /// What texts begin with; where it is empty, numbers and booleans are wanted too.
    pub(crate) prefix: String,
    /// How many values.
    pub(crate) limit: usize,
}

/// The keys that rows have.
pub(crate) fn keys(control: &Control, query: &AttributesQuery) -> Result<AttributesResponse> {
    let found = control.keys(query.signal, query.range)?;
    control.charge(found.keys.iter().map(|key| key.key.len() + size_of::<AttributeKey>() + 16).sum())?;
    let attributes = found.keys.into_iter().map(|key| AttributeKey {
        scope: scope_name(key.scope()).to_owned(),
        r#type: type_name(key.r#type).to_owned(),
        rows: key.rows,
        key: key.key,
    });
    Ok(AttributesResponse { attributes: attributes.collect(), complete: found.complete, stats: control.stats() })
}

/// The values that rows have under a key.
pub(crate) fn values(control: &Control, query: &ValuesQuery) -> Result<AttributeValuesResponse> {
    let ValuesQuery { rows, scope, key, prefix, limit } = query;
    let found = control.values(rows.signal, (*scope, key), rows.range, prefix, *limit)?;
    control.charge(found.values.iter().map(|value| value.value.len() + size_of::<AttributeValue>()).sum())?;
    let values = found
        .values
        .iter()
        .filter_map(|value| Some(AttributeValue { value: any_value(Value::parse(&value.value)?), rows: value.rows }));
    Ok(AttributeValuesResponse { values: values.collect(), complete: found.complete, stats: control.stats() })
}

fn scope_name(scope: AttributeScope) -> &'static str {
    match scope {
        AttributeScope::Own | AttributeScope::Any => "own",
        AttributeScope::Resource => "resource",
        AttributeScope::Scope => "scope",
    }
}

fn type_name(r#type: ValueType) -> &'static str {
    match r#type {
        ValueType::Empty => "empty",
        ValueType::String => "string",
        ValueType::Bool => "bool",
        ValueType::Int => "int",
        ValueType::Double => "double",
        ValueType::Bytes => "bytes",
        ValueType::Array => "array",
        ValueType::Map => "map",
    }
}
