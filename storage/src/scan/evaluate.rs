//! Which rows of a batch match a predicate? The one place that says what a predicate means.
//!
//! E1  The answer has no nulls: an absent value matches no comparison, and `Not` turns that around.
//! E2  Numbers compare by value, exactly: no `i64` is rounded to a double on the way.
//! E3  Whoever holds rows in another form (a block) implements [`Rows`] and so gets the same meaning.
//!
//! Not here: what a single value makes of a comparison (`condition`), how a column is walked (`column`), pruning by
//! statistics (`block`).

mod column;
mod condition;

pub(crate) use column::{column_outcome, map_outcome};
pub(crate) use condition::{Condition, Number, Operand, Relation};

use super::{AttributeScope, Compare, Field, Predicate, Scalar, ScanRequest};
use crate::error::{Error, Result};
use crate::model::schema::column as name;
use crate::model::{Signal, schema};
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, new_null_array};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{Fields, Schema};
use arrow_select::filter::filter_record_batch;
use std::sync::Arc;

/// What a condition found in each row: whether the field is there, and whether its value matches.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) present: BooleanBuffer,
    pub(crate) matches: BooleanBuffer,
}

impl Outcome {
    /// No row has the field.
    pub(crate) fn absent(rows: usize) -> Self {
        Outcome { present: BooleanBuffer::new_unset(rows), matches: BooleanBuffer::new_unset(rows) }
    }

    /// Where this has no value, the other's counts.
    pub(crate) fn or_else(self, other: Outcome) -> Self {
        let fills = &other.matches & &!&self.present;
        Outcome { present: &self.present | &other.present, matches: &self.matches | &fills }
    }
}

/// Rows whose fields can be looked at.
pub(crate) trait Rows {
    /// How many.
    fn count(&self) -> usize;

    /// What a condition finds in a column.
    fn column(&mut self, name: &'static str, condition: &Condition<'_>) -> Result<Outcome>;

    /// What a condition finds in an attribute of one owner; never asked for [`AttributeScope::Any`].
    fn attribute(&mut self, scope: AttributeScope, key: &str, condition: &Condition<'_>) -> Result<Outcome>;
}

/// Which rows of the batch match. The batch has the columns that the predicate speaks of, by name.
pub fn evaluate(batch: &RecordBatch, predicate: &Predicate) -> Result<BooleanArray> {
    Ok(BooleanArray::new(matching(&mut BatchRows(batch), predicate)?, None))
}

/// The matching rows of a batch of the signal's full schema, in the requested columns; `None` when no row is left. Derived
/// columns that the batch lacks have no values.
pub fn filter(signal: Signal, batch: &RecordBatch, request: &ScanRequest) -> Result<Option<RecordBatch>> {
    let mut asked = request.columns.iter().copied().chain(request.predicate.columns());
    if asked.any(|column| schema::is_derived(signal, column) && batch.column_by_name(column).is_none()) {
        return filter(signal, &without_numbers(batch)?, request);
    }
    let mut mask = in_time(required(batch, schema::time_column(signal))?, request)?;
    if mask.count_set_bits() == 0 {
        return Ok(None);
    }
    mask = &mask & &matching(&mut BatchRows(batch), &request.predicate)?;
    let left = mask.count_set_bits();
    if left == 0 {
        return Ok(None);
    }
    let projected = project(batch, &request.columns)?;
    if left == batch.num_rows() {
        return Ok(Some(projected));
    }
    let filtered = filter_record_batch(&projected, &BooleanArray::new(mask, None));
    Ok(Some(filtered.map_err(|source| Error::Columns { action: "filter rows", source })?))
}

/// A batch of spans of whose numbers nothing is known.
fn without_numbers(batch: &RecordBatch) -> Result<RecordBatch> {
    let derived = schema::NESTED_SET.map(schema::nested_set_field);
    let mut arrays = batch.columns().to_vec();
    arrays.extend(derived.iter().map(|field| new_null_array(field.data_type(), batch.num_rows())));
    let fields: Fields = batch.schema_ref().fields().iter().cloned().chain(derived.map(Arc::new)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        .map_err(|source| Error::Columns { action: "add the columns of the tree", source })
}

/// Rows whose time lies in the request's range.
pub(crate) fn in_time(times: &ArrayRef, request: &ScanRequest) -> Result<BooleanBuffer> {
    let times = times
        .as_primitive_opt::<TimestampNanosecondType>()
        .ok_or_else(|| Error::Request { what: "the time column holds no times".into() })?;
    let times = times.values();
    let within = |row: usize| times.get(row).is_some_and(|&time| request.time.contains(time));
    Ok(BooleanBuffer::collect_bool(times.len(), within))
}

/// Which rows match.
pub(crate) fn matching(rows: &mut dyn Rows, predicate: &Predicate) -> Result<BooleanBuffer> {
    match predicate {
        Predicate::All => Ok(BooleanBuffer::new_set(rows.count())),
        Predicate::And(list) => {
            let mut mask = BooleanBuffer::new_set(rows.count());
            for part in list {
                mask = &mask & &matching(rows, part)?;
                if mask.count_set_bits() == 0 {
                    break;
                }
            }
            Ok(mask)
        }
        Predicate::Or(list) => {
            let mut mask = BooleanBuffer::new_unset(rows.count());
            for part in list {
                mask = &mask | &matching(rows, part)?;
            }
            Ok(mask)
        }
        Predicate::Not(inner) => Ok(!&matching(rows, inner)?),
        Predicate::Compare { field, compare, value } => leaf(rows, field, &Condition::compare(*compare, value)),
        Predicate::Contains { field, needle, case_sensitive } => {
            leaf(rows, field, &Condition::contains(needle, *case_sensitive))
        }
        Predicate::Exists(field) => leaf(rows, field, &Condition::Exists),
        Predicate::Trace(id) => equal_bytes(rows, name::TRACE_ID, &id.0),
        Predicate::Span(id) => equal_bytes(rows, name::SPAN_ID, &id.0),
    }
}

fn equal_bytes(rows: &mut dyn Rows, column: &'static str, bytes: &[u8]) -> Result<BooleanBuffer> {
    let value = Scalar::Bytes(bytes.to_vec());
    leaf(rows, &Field::Column(column), &Condition::compare(Compare::Equal, &value))
}

fn leaf(rows: &mut dyn Rows, field: &Field, condition: &Condition<'_>) -> Result<BooleanBuffer> {
    let outcome = match field {
        // A log body lies in one of two columns, by its type.
        Field::Column(name::BODY) => {
            rows.column(name::BODY, condition)?.or_else(rows.column(name::BODY_VALUE, condition)?)
        }
        Field::Column(column) => rows.column(column, condition)?,
        Field::Attribute(AttributeScope::Any, key) => rows
            .attribute(AttributeScope::Own, key, condition)?
            .or_else(rows.attribute(AttributeScope::Resource, key, condition)?)
            .or_else(rows.attribute(AttributeScope::Scope, key, condition)?),
        Field::Attribute(scope, key) => rows.attribute(*scope, key, condition)?,
    };
    Ok(if condition.is_negated() { &outcome.present & &!&outcome.matches } else { outcome.matches })
}

/// The columns of an owner's attributes.
pub(crate) fn attribute_column(scope: AttributeScope) -> &'static str {
    match scope {
        AttributeScope::Own | AttributeScope::Any => name::ATTRIBUTES,
        AttributeScope::Resource => name::RESOURCE,
        AttributeScope::Scope => name::SCOPE,
    }
}

/// The requested columns of a batch.
pub(crate) fn project(batch: &RecordBatch, columns: &[&'static str]) -> Result<RecordBatch> {
    let indices: Vec<usize> = columns
        .iter()
        .map(|name| batch.schema_ref().index_of(name).map_err(|_| unknown(name)))
        .collect::<Result<_>>()?;
    batch.project(&indices).map_err(|source| Error::Columns { action: "project columns", source })
}

/// A column by name.
pub(crate) fn required<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| unknown(name))
}

/// The error for a column that a table does not have.
pub(crate) fn unknown(name: &str) -> Error {
    Error::Request { what: format!("there is no column `{name}`") }
}

struct BatchRows<'a>(&'a RecordBatch);

impl Rows for BatchRows<'_> {
    fn count(&self) -> usize {
        self.0.num_rows()
    }

    fn column(&mut self, name: &'static str, condition: &Condition<'_>) -> Result<Outcome> {
        column_outcome(name, required(self.0, name)?, condition)
    }

    fn attribute(&mut self, scope: AttributeScope, key: &str, condition: &Condition<'_>) -> Result<Outcome> {
        map_outcome(scope, required(self.0, attribute_column(scope))?, key, condition)
    }
}

#[cfg(test)]
mod tests;
