//! What is a batch? Rows of one signal in the columns of its schema.

use super::{Signal, schema};
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{Array, RecordBatch};

/// A record batch that is known to have its signal's schema.
#[derive(Debug, Clone)]
pub struct Batch {
    signal: Signal,
    columns: RecordBatch,
    time_range: Option<(i64, i64)>,
}

impl Batch {
    /// Takes a record batch; `None` when its schema is not the signal's.
    pub fn new(signal: Signal, columns: RecordBatch) -> Option<Self> {
        if columns.schema_ref().fields() != schema::of(signal).fields() {
            return None;
        }
        let times =
            columns.column_by_name(schema::time_column(signal))?.as_primitive_opt::<TimestampNanosecondType>()?;
        let time_range = times.values().iter().fold(None, |range, &time| match range {
            None => Some((time, time)),
            Some((min, max)) => Some((time.min(min), time.max(max))),
        });
        Some(Batch { signal, columns, time_range })
    }

    /// A batch without rows.
    pub fn empty(signal: Signal) -> Self {
        Batch { signal, columns: RecordBatch::new_empty(schema::of(signal).clone()), time_range: None }
    }

    /// Whose rows they are.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// The columns.
    pub fn columns(&self) -> &RecordBatch {
        &self.columns
    }

    /// How many rows.
    pub fn num_rows(&self) -> usize {
        self.columns.num_rows()
    }

    /// Earliest and latest time, both inclusive; `None` without rows.
    pub fn time_range(&self) -> Option<(i64, i64)> {
        self.time_range
    }

    /// Bytes of memory that the columns hold.
    pub fn memory_bytes(&self) -> usize {
        self.columns.columns().iter().map(|column| column.get_array_memory_size()).sum()
    }
}
