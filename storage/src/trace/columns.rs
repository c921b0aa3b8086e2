//! How do the numbers of spans become columns?
//!
//! Not here: what the numbers mean (the module above).

use super::{Named, Nested, Numbering, parents};
use crate::error::{Error, Result};
use crate::model::schema::{self, column as name};
use crate::scan::{required, unknown};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampNanosecondType};
use arrow_array::{Array, ArrayRef, Int32Array, RecordBatch};
use arrow_schema::Schema;
use std::sync::Arc;

/// Spans of any traces, all of each, with their numbers as further columns. The batches have the columns `trace_id`, `span_id`,
/// `parent_span_id`, `start` and `kind`, and none of those that are added.
pub fn with_numbers(batches: &[RecordBatch]) -> Result<Vec<RecordBatch>> {
    let mut numbers = numbers_of(batches)?.into_iter();
    batches
        .iter()
        .map(|batch| {
            let numbers: Vec<Option<Nested>> = numbers.by_ref().take(batch.num_rows()).collect();
            let mut fields: Vec<_> = batch.schema_ref().fields().iter().cloned().collect();
            let mut arrays = batch.columns().to_vec();
            for column in schema::NESTED_SET {
                fields.push(Arc::new(schema::nested_set_field(column)));
                arrays.extend(column_of(column, &numbers));
            }
            RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
                .map_err(|source| Error::Columns { action: "add the numbers of spans", source })
        })
        .collect()
}

/// One of the columns of `schema::NESTED_SET`.
pub(crate) fn column_of(column: &str, numbers: &[Option<Nested>]) -> Option<ArrayRef> {
    let of: fn(&Nested) -> i32 = match column {
        name::NESTED_SET_LEFT => |nested| nested.left,
        name::NESTED_SET_RIGHT => |nested| nested.right,
        name::NESTED_SET_PARENT => |nested| nested.parent,
        name::CHILD_COUNT => |nested| nested.children,
        _ => return None,
    };
    let values: Int32Array = numbers.iter().map(|nested| nested.as_ref().map(of)).collect();
    Some(Arc::new(values))
}

/// A span among those of all traces. Its derived order is by trace, then that of a trace's spans.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Placed<'a> {
    trace: &'a [u8],
    start: i64,
    id: u64,
    place: usize,
    parent: Option<u64>,
    kind: i32,
}

/// The numbers of spans of any traces, all of each, row by row.
pub(crate) fn numbers_of(batches: &[RecordBatch]) -> Result<Vec<Option<Nested>>> {
    let mut spans: Vec<Placed<'_>> = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for batch in batches {
        let fixed = |column: &str| required(batch, column)?.as_fixed_size_binary_opt().ok_or_else(|| unknown(column));
        let (traces, ids, parents) = (fixed(name::TRACE_ID)?, fixed(name::SPAN_ID)?, fixed(name::PARENT_SPAN_ID)?);
        let starts = required(batch, name::START)?.as_primitive_opt::<TimestampNanosecondType>();
        let starts = starts.ok_or_else(|| unknown(name::START))?.values();
        let kinds = required(batch, name::KIND)?.as_primitive_opt::<Int32Type>();
        let kinds = kinds.ok_or_else(|| unknown(name::KIND))?.values();
        for (row, (&start, &kind)) in starts.iter().zip(kinds).enumerate() {
            spans.push(Placed {
                trace: traces.value(row),
                start,
                id: number(ids.value(row)),
                place: spans.len(),
                parent: parents.is_valid(row).then(|| number(parents.value(row))),
                kind,
            });
        }
    }
    spans.sort_unstable();
    let mut of_place = vec![None; spans.len()];
    let (mut numbering, mut named, mut found, mut numbers) = (Numbering::default(), Vec::new(), Vec::new(), Vec::new());
    for trace in spans.chunk_by(|a, b| a.trace == b.trace) {
        named.clear();
        named.extend(trace.iter().map(|span| Named { id: span.id, parent: span.parent, kind: span.kind }));
        found.clear();
        parents(&named, &mut found);
        numbers.clear();
        numbering.number(&found, &mut numbers);
        for (span, numbers) in trace.iter().zip(&numbers) {
            if let Some(slot) = of_place.get_mut(span.place) {
                *slot = *numbers;
            }
        }
    }
    Ok(of_place)
}

fn number(id: &[u8]) -> u64 {
    id.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
