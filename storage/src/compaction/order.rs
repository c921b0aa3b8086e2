//! In which order do the rows of several blocks follow each other, and which of them can go?
//!
//! Each row has a place: a rank and a time. Rows whose place lies before everything that was not read yet can go; so can the
//! rows of a trace once its parts in all blocks have been read.
//!
//! Not here: the order of rows within a portion, which is the block writer's business.

use crate::error::Result;
use crate::model::schema::{self, column as name};
use crate::model::{Signal, TraceId};
use crate::scan::required;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampNanosecondType};
use arrow_array::{Array, DictionaryArray, RecordBatch};
use std::collections::HashMap;

/// What tells metric series apart, in the order of a block of metrics; beside type and attributes.
const HEADS: [&str; 7] =
    [name::NAME, name::SERVICE_NAME, name::RESOURCE, name::SCOPE, name::UNIT, name::DESCRIPTION, name::METADATA];

/// What sorts as series do: a metric's head, then type and attributes.
type SeriesCell = (Vec<u8>, Vec<u8>);

/// A place in the order of all rows. Spans and logs go by time alone; a metric's series comes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) series: SeriesCell,
    pub(super) time: i64,
}

impl Place {
    pub(super) fn at(time: i64) -> Self {
        Place { series: Default::default(), time }
    }
}

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

/// The place of the last row of a batch of metrics.
pub(super) fn last_point(batch: &RecordBatch) -> Result<Option<Place>> {
    let Some(row) = batch.num_rows().checked_sub(1) else { return Ok(None) };
    let time = times(Signal::Metrics, batch)?.get(row).copied().unwrap_or(i64::MIN);
    Ok(Some(Place { series: Series::new(batch)?.cell(row), time }))
}

/// Which series each row belongs to.
struct Series<'a> {
    heads: Vec<&'a DictionaryArray<Int32Type>>,
    types: &'a [i32],
    attributes: &'a arrow_array::BinaryArray,
}

impl<'a> Series<'a> {
    fn new(batch: &'a RecordBatch) -> Result<Self> {
        let heads = HEADS.iter().map(|name| Ok(required(batch, name)?.as_dictionary()));
        Ok(Series {
            heads: heads.collect::<Result<_>>()?,
            types: required(batch, name::TYPE)?.as_primitive::<Int32Type>().values(),
            attributes: required(batch, name::ATTRIBUTES)?.as_binary(),
        })
    }

    fn cell(&self, row: usize) -> SeriesCell {
        let mut head = Vec::new();
        for column in &self.heads {
            let key = usize::try_from(column.keys().value(row)).unwrap_or(usize::MAX);
            let value = match column.values().as_string_opt::<i32>() {
                Some(texts) if key < texts.len() => texts.value(key).as_bytes(),
                Some(_) => &[],
                None => column
                    .values()
                    .as_binary_opt::<i32>()
                    .filter(|cells| key < cells.len())
                    .map_or(&[][..], |cells| cells.value(key)),
            };
            head.extend_from_slice(value);
            head.push(0);
            head.extend_from_slice(&(value.len() as u64).to_le_bytes());
        }
        let mut rest = self.types.get(row).copied().unwrap_or_default().to_le_bytes().to_vec();
        rest.extend_from_slice(self.attributes.value(row));
        (head, rest)
    }

    fn same(&self, row: usize, other: usize) -> bool {
        self.heads.iter().all(|column| column.keys().values().get(row) == column.keys().values().get(other))
            && self.types.get(row) == self.types.get(other)
            && self.attributes.value(row) == self.attributes.value(other)
    }
}

/// The places of rows, as numbers: for each batch, for each row, rank and time. And the place that `edge` has among them.
pub(super) type Ranks = (Vec<Vec<(u32, i64)>>, Option<(u32, i64)>);

/// Ranks the rows of batches.
pub(super) fn ranks(signal: Signal, batches: &[&RecordBatch], edge: Option<&Place>) -> Result<Ranks> {
    if signal != Signal::Metrics {
        let of_batch = |batch: &&RecordBatch| Ok(times(signal, batch)?.iter().map(|&time| (0, time)).collect());
        let ranks = batches.iter().map(of_batch).collect::<Result<_>>()?;
        return Ok((ranks, edge.map(|edge| (0, edge.time))));
    }
    let mut numbers: HashMap<SeriesCell, u32> = HashMap::new();
    let mut rows = Vec::with_capacity(batches.len());
    for batch in batches {
        let series = Series::new(batch)?;
        let mut last = 0;
        let mut of_batch = Vec::with_capacity(batch.num_rows());
        for (row, &time) in times(signal, batch)?.iter().enumerate() {
            if row == 0 || !series.same(row, row - 1) {
                let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
                last = *numbers.entry(series.cell(row)).or_insert(next);
            }
            of_batch.push((last, time));
        }
        rows.push(of_batch);
    }
    let mut sorted: Vec<(&SeriesCell, u32)> = numbers.iter().map(|(cell, &number)| (cell, number)).collect();
    sorted.sort_unstable();
    let mut rank_of = vec![0u32; sorted.len()];
    for (rank, &(_, number)) in (0u32..).zip(&sorted) {
        if let Some(slot) = usize::try_from(number).ok().and_then(|number| rank_of.get_mut(number)) {
            *slot = rank;
        }
    }
    let rank = |number: u32| usize::try_from(number).ok().and_then(|number| rank_of.get(number)).copied().unwrap_or(0);
    rows.iter_mut().flatten().for_each(|place| place.0 = rank(place.0));
    let edge = edge.map(|edge| {
        let before = sorted.partition_point(|(cell, _)| **cell < edge.series);
        let known = sorted.get(before).is_some_and(|(cell, _)| **cell == edge.series);
        (u32::try_from(before).unwrap_or(u32::MAX), if known { edge.time } else { i64::MIN })
    });
    Ok((rows, edge))
}
