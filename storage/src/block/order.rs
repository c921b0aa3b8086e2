//! In which order do the rows of a block lie?
//!
//! O1  Spans: the spans of a trace are neighbours, by start, then span id; traces by their earliest start in the block.
//!     A row group ends where a trace does, unless the trace alone is larger than a row group.
//! O2  Logs: by time from row group to row group, so that the newest lie in the last ones; within a row group the
//!     records of one stream (service, resource, scope) are neighbours, by time.
//! O3  Metrics: by series, then time; that is the order of a head (`metric`), not made here.
//! O4  What these leave open follows the order of the input: equal input gives equal blocks.

use super::interner::Interner;
use crate::error::{Error, Result};
use crate::model::schema::column as name;
use crate::model::{Batch, Signal, schema};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampNanosecondType};
use arrow_array::{Array, DictionaryArray};
use std::ops::Range;

/// Where a row lies in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RowRef {
    pub(super) batch: u32,
    pub(super) row: u32,
}

/// The rows of a block in order.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) rows: Vec<RowRef>,
    /// Row groups.
    pub(super) groups: Vec<Range<usize>>,
    /// The rows of each trace, for spans.
    pub(super) traces: Vec<Range<usize>>,
}

/// Orders the rows of batches.
pub(super) fn order(signal: Signal, batches: &[Batch], group_rows: usize) -> Result<Order> {
    let rows: usize = batches.iter().map(Batch::num_rows).sum();
    // Row numbers have 32 bits, and the top one is spare.
    if i32::try_from(rows).is_err() {
        return Err(Error::Request { what: format!("{rows} rows are too many for one block") });
    }
    match signal {
        Signal::Spans => spans(batches, rows, group_rows),
        Signal::Logs => logs(batches, rows, group_rows),
        Signal::Metrics => Err(Error::Request { what: "metrics are ordered as series".into() }),
    }
}

/// A column of a batch by name; every batch has its signal's schema.
fn column<'a>(batch: &'a Batch, name: &str) -> Result<&'a arrow_array::ArrayRef> {
    crate::scan::required(batch.columns(), name)
}

fn times(batch: &Batch) -> Result<&[i64]> {
    let column = column(batch, schema::time_column(batch.signal()))?;
    Ok(column.as_primitive::<TimestampNanosecondType>().values())
}

/// All rows in the order of the input.
fn row_refs(batches: &[Batch]) -> impl Iterator<Item = RowRef> {
    (0u32..).zip(batches).flat_map(|(batch, rows)| {
        let count = u32::try_from(rows.num_rows()).unwrap_or(u32::MAX);
        (0..count).map(move |row| RowRef { batch, row })
    })
}

/// What the order of spans depends on.
#[derive(Clone, Copy)]
struct SpanKey {
    start: i64,
    span_id: u64,
    at: RowRef,
}

fn spans(batches: &[Batch], rows: usize, group_rows: usize) -> Result<Order> {
    let mut ids = Interner::default();
    let mut trace_of = Vec::with_capacity(rows);
    let mut earliest: Vec<i64> = Vec::new();
    let mut count: Vec<u32> = Vec::new();
    for batch in batches {
        let trace_ids = column(batch, name::TRACE_ID)?.as_fixed_size_binary();
        for (id, &start) in trace_ids.value_data().chunks_exact(16).zip(times(batch)?) {
            let trace = ids.intern(id) as usize;
            if trace == earliest.len() {
                earliest.push(start);
                count.push(0);
            }
            earliest[trace] = earliest[trace].min(start);
            count[trace] += 1;
            trace_of.push(trace);
        }
    }
    let mut by_start: Vec<(i64, &[u8], usize)> =
        ids.iter().zip(&earliest).enumerate().map(|(trace, (id, &start))| (start, id, trace)).collect();
    by_start.sort_unstable();

    let mut traces = vec![0..0; by_start.len()];
    let mut next = vec![0; by_start.len()];
    let mut at = 0;
    for (range, &(_, _, trace)) in traces.iter_mut().zip(&by_start) {
        next[trace] = at;
        *range = at..at + count[trace] as usize;
        at = range.end;
    }
    let none = SpanKey { start: 0, span_id: 0, at: RowRef { batch: 0, row: 0 } };
    let mut keys = vec![none; rows];
    let mut row_refs = row_refs(batches);
    let mut trace_of = trace_of.into_iter();
    for batch in batches {
        let span_ids = column(batch, name::SPAN_ID)?.as_fixed_size_binary();
        for (id, &start) in span_ids.value_data().chunks_exact(8).zip(times(batch)?) {
            let (Some(trace), Some(at)) = (trace_of.next(), row_refs.next()) else { continue };
            keys[next[trace]] = SpanKey { start, span_id: id_number(id), at };
            next[trace] += 1;
        }
    }
    for trace in &traces {
        keys[trace.clone()].sort_unstable_by_key(|key| (key.start, key.span_id, key.at));
    }
    let groups = span_groups(&traces, group_rows);
    Ok(Order { rows: keys.into_iter().map(|key| key.at).collect(), groups, traces })
}

/// An id of eight bytes as a number that sorts like it.
pub(super) fn id_number(id: &[u8]) -> u64 {
    id.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

fn span_groups(traces: &[Range<usize>], group_rows: usize) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let mut from = 0;
    for trace in traces {
        if trace.end - from > group_rows && trace.start > from {
            groups.push(from..trace.start);
            from = trace.start;
        }
        while trace.end - from > group_rows {
            groups.push(from..from + group_rows);
            from += group_rows;
        }
    }
    let end = traces.last().map_or(0, |trace| trace.end);
    if end > from {
        groups.push(from..end);
    }
    groups
}

fn even_groups(rows: usize, group_rows: usize) -> Vec<Range<usize>> {
    (0..rows).step_by(group_rows).map(|from| from..(from + group_rows).min(rows)).collect()
}

fn logs(batches: &[Batch], rows: usize, group_rows: usize) -> Result<Order> {
    let mut streams = Interner::default();
    let mut keys: Vec<(i64, RowRef, u32)> = Vec::with_capacity(rows);
    let mut refs = row_refs(batches);
    for batch in batches {
        let mut origin = Heads::new(batch, &[name::SERVICE_NAME, name::RESOURCE, name::SCOPE])?;
        for (row, &time) in times(batch)?.iter().enumerate() {
            let stream = origin.intern(&mut streams, row);
            keys.extend(refs.next().map(|at| (time, at, stream)));
        }
    }
    let ranks = ranks(&streams);
    keys.sort_unstable_by_key(|&(time, at, _)| (time, at));
    let groups = even_groups(rows, group_rows);
    for group in &groups {
        keys[group.clone()].sort_unstable_by_key(|&(time, at, stream)| (ranks[stream as usize], time, at));
    }
    Ok(Order { rows: keys.into_iter().map(|(_, at, _)| at).collect(), groups, traces: Vec::new() })
}

/// The place of each byte string in the sorted order of all.
fn ranks(strings: &Interner) -> Vec<u32> {
    let mut order: Vec<(&[u8], u32)> = strings.iter().zip(0u32..).collect();
    order.sort_unstable();
    let mut ranks = vec![0u32; order.len()];
    (0u32..).zip(&order).for_each(|(rank, &(_, number))| ranks[number as usize] = rank);
    ranks
}

/// Several dictionary columns of a batch, taken together as one byte string per row.
struct Heads<'a> {
    columns: Vec<&'a DictionaryArray<Int32Type>>,
    keys: Vec<i32>,
    last: Option<u32>,
    cell: Vec<u8>,
}

impl<'a> Heads<'a> {
    fn new(batch: &'a Batch, names: &[&str]) -> Result<Self> {
        let columns = names.iter().map(|name| Ok(column(batch, name)?.as_dictionary())).collect::<Result<Vec<_>>>()?;
        Ok(Heads { keys: vec![-1; columns.len()], columns, last: None, cell: Vec::new() })
    }

    /// The number of the row's byte string. Rows that follow each other mostly have the same.
    fn intern(&mut self, interner: &mut Interner, row: usize) -> u32 {
        let same = self.columns.iter().zip(&self.keys).all(|(column, &key)| column.keys().value(row) == key);
        if let (true, Some(last)) = (same, self.last) {
            return last;
        }
        self.cell.clear();
        for (column, key) in self.columns.iter().zip(&mut self.keys) {
            *key = column.keys().value(row);
            let value = dictionary_value(column, *key);
            self.cell.extend_from_slice(value);
            self.cell.push(0);
            self.cell.extend_from_slice(&(value.len() as u64).to_le_bytes());
        }
        let number = interner.intern(&self.cell);
        self.last = Some(number);
        number
    }
}

/// The bytes of a dictionary's value, text or binary.
pub(crate) fn dictionary_value(column: &DictionaryArray<Int32Type>, key: i32) -> &[u8] {
    let Some(key) = usize::try_from(key).ok().filter(|&key| key < column.values().len()) else { return &[] };
    if let Some(texts) = column.values().as_string_opt::<i32>() {
        return texts.value(key).as_bytes();
    }
    column.values().as_binary_opt::<i32>().map_or(&[], |cells| cells.value(key))
}
