//! What does a condition find in a column? Dictionaries are asked once per distinct value.
//!
//! Not here: what a single value makes of a condition (`condition`).

use super::{Condition, Outcome};
use crate::error::{Error, Result};
use crate::model::attribute::{Map, Value};
use crate::model::origin::{Resource, Scope};
use crate::model::record::Event;
use crate::model::schema::column as name;
use crate::scan::AttributeScope;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampNanosecondType, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;

/// What a condition finds in a column. Cells that hold a map or an encoded value are told by the column's name.
pub(crate) fn column_outcome(name: &str, column: &ArrayRef, condition: &Condition<'_>) -> Result<Outcome> {
    let present = presence(column);
    let matches = match column.data_type() {
        DataType::Dictionary(_, _) => {
            let dictionary = column.as_dictionary_opt::<Int32Type>().ok_or_else(|| unsupported(name, column))?;
            let of_values = column_outcome(name, dictionary.values(), condition)?.matches;
            return Ok(Outcome { matches: spread(dictionary.keys().values(), &of_values, &present), present });
        }
        DataType::Utf8 => {
            let texts = column.as_string::<i32>();
            collect(&present, |row| condition.text(texts.value(row)))
        }
        DataType::Binary => {
            let cells = column.as_binary::<i32>();
            collect(&present, |row| cell_matches(name, cells.value(row), condition))
        }
        DataType::FixedSizeBinary(_) => {
            let ids = column.as_fixed_size_binary();
            collect(&present, |row| condition.bytes(ids.value(row)))
        }
        DataType::Boolean => {
            let values = column.as_boolean();
            collect(&present, |row| condition.boolean(values.value(row)))
        }
        DataType::Int32 => numbers(&present, column.as_primitive::<Int32Type>().values(), |v| condition.int(v.into())),
        DataType::UInt32 => {
            numbers(&present, column.as_primitive::<UInt32Type>().values(), |v| condition.int(v.into()))
        }
        DataType::Int64 => numbers(&present, column.as_primitive::<Int64Type>().values(), |v| condition.int(v)),
        DataType::UInt64 => numbers(&present, column.as_primitive::<UInt64Type>().values(), |v| condition.unsigned(v)),
        DataType::Float64 => numbers(&present, column.as_primitive::<Float64Type>().values(), |v| condition.double(v)),
        DataType::Timestamp(_, _) => {
            let times =
                column.as_primitive_opt::<TimestampNanosecondType>().ok_or_else(|| unsupported(name, column))?;
            numbers(&present, times.values(), |v| condition.int(v))
        }
        _ => return Err(unsupported(name, column)),
    };
    Ok(Outcome { present, matches })
}

/// What a condition finds under a key of the maps in a column: attributes, resources or scopes.
pub(crate) fn map_outcome(
    scope: AttributeScope,
    column: &ArrayRef,
    key: &str,
    condition: &Condition<'_>,
) -> Result<Outcome> {
    if let Some(dictionary) = column.as_dictionary_opt::<Int32Type>() {
        let of_values = map_outcome(scope, dictionary.values(), key, condition)?;
        let rows = presence(column);
        let keys = dictionary.keys().values();
        return Ok(Outcome {
            present: spread(keys, &of_values.present, &rows),
            matches: spread(keys, &of_values.matches, &rows),
        });
    }
    let cells = column.as_binary_opt::<i32>().ok_or_else(|| unsupported("attributes", column))?;
    let mut present = arrow_buffer::BooleanBufferBuilder::new(cells.len());
    let mut matches = arrow_buffer::BooleanBufferBuilder::new(cells.len());
    for cell in cells {
        let value = cell.and_then(|cell| attributes_of(scope, cell)).and_then(|map| map.get(key));
        present.append(value.is_some());
        matches.append(value.is_some_and(|value| condition.value(value)));
    }
    Ok(Outcome { present: present.finish(), matches: matches.finish() })
}

fn attributes_of(scope: AttributeScope, cell: &[u8]) -> Option<Map<'_>> {
    match scope {
        AttributeScope::Own | AttributeScope::Any => Some(Map::new(cell)),
        AttributeScope::Resource => Some(Resource::parse(cell)?.attributes),
        AttributeScope::Scope => Some(Scope::parse(cell)?.attributes),
    }
}

fn cell_matches(column: &str, cell: &[u8], condition: &Condition<'_>) -> bool {
    match (column, condition) {
        (name::BODY_VALUE, _) => Value::parse(cell).is_some_and(|value| condition.value(value)),
        (name::ATTRIBUTES | name::METADATA, Condition::Contains(_)) => condition.map(Map::new(cell)),
        (name::EVENTS, Condition::Contains(_)) => {
            Event::list(cell).any(|event| condition.text(event.name) || condition.map(event.attributes))
        }
        (name::RESOURCE, Condition::Contains(_)) => {
            Resource::parse(cell).is_some_and(|resource| condition.map(resource.attributes))
        }
        (name::SCOPE, Condition::Contains(_)) => {
            Scope::parse(cell).is_some_and(|scope| condition.map(scope.attributes))
        }
        _ => condition.bytes(cell),
    }
}

fn presence(column: &ArrayRef) -> BooleanBuffer {
    match column.nulls() {
        Some(nulls) => nulls.inner().clone(),
        None => BooleanBuffer::new_set(column.len()),
    }
}

fn collect(present: &BooleanBuffer, matches: impl Fn(usize) -> bool) -> BooleanBuffer {
    BooleanBuffer::collect_bool(present.len(), |row| present.value(row) && matches(row))
}

fn numbers<T: Copy>(present: &BooleanBuffer, values: &[T], matches: impl Fn(T) -> bool) -> BooleanBuffer {
    let all = BooleanBuffer::collect_bool(values.len(), |row| values.get(row).is_some_and(|&value| matches(value)));
    &all & present
}

/// The outcome of each row by that of its dictionary value.
fn spread(keys: &[i32], of_values: &BooleanBuffer, present: &BooleanBuffer) -> BooleanBuffer {
    let of_values: Vec<bool> = of_values.iter().collect();
    let matches = |key: i32| usize::try_from(key).ok().and_then(|key| of_values.get(key)).copied().unwrap_or(false);
    numbers(present, keys, matches)
}

fn unsupported(name: &str, column: &ArrayRef) -> Error {
    Error::Request { what: format!("column `{name}` of type {} cannot be compared", column.data_type()) }
}
