//! Where do the rows of several blocks stand among each other?
//!
//! Rows go by their time, those of a trace together. Rows before everything that was not read yet can go; so can the rows of
//! a trace once its parts in all blocks have been read.
//!
//! Not here: the order of rows within a portion, which is the block writer's business; metrics (`series`).

use crate::error::Result;
use crate::model::schema::{self, column as name};
use crate::model::{Signal, TraceId};
use crate::scan::required;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;

/// The times of a batch's rows.
pub(super) fn times(signal: Signal, batch: &RecordBatch) -> Result<&[i64]> {
    Ok(required(batch, schema::time_column(signal))?.as_primitive::<TimestampNanosecondType>().values())
}

/// The traces of a batch of spans, row by row.
pub(super) fn traces(batch: &RecordBatch) -> Result<Vec<TraceId>> {
    let ids = required(batch, name::TRACE_ID)?.as_fixed_size_binary();
    let (ids, _) = ids.value_data().as_chunks::<16>();
    Ok(ids.iter().copied().map(TraceId).collect())
}
