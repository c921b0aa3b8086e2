//! How do the rows of several blocks become one block, without all of them in memory?
//!
//! Blocks are read batch by batch, always on with the one that is farthest behind. What was read waits in a pool until
//! nothing can come before it; then full row groups of it go to the block writer.
//!
//! M1  Every row that is not hidden is in the result, once; of those that are sifted, every one that the sieve leaves. A span that lies in several blocks
//!     with the same identity is one.
//! M2  The pool holds `memory_bytes` and a batch at most. Where that does not suffice, the rows that are furthest ahead go all
//!     the same: the order gets looser, and the parts of a trace may stay apart. Nothing else changes.
//! M3  The spans of a trace are neighbours, also where they come from different blocks: a trace waits until its rows in every
//!     block have been read, which the blocks' trace indexes tell.
//!
//! Not here: metrics, whose series come out of a block in order (`series`).

use super::memory::MergeMemory;
use super::order;
use super::series::{self, Staying};
use crate::block::{BlockConfig, BlockMeta, BlockScan, BlockWriter, Shown};
use crate::error::{Error, Result};
use crate::fs::Filesystem;
use crate::memtable::identity;
use crate::metric::Resolution;
use crate::model::schema::{self, column as name};
use crate::model::{Batch, Signal, TraceId};
use crate::scan::{ScanRequest, evaluate, required};
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch};
use arrow_select::concat::concat_batches;
use arrow_select::filter::filter_record_batch;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// Portions of so many row groups are read before something is written.
const GROUPS_AHEAD: usize = 2;
/// A row group is cut short when it holds this share of the memory.
const LARGEST_GROUP: usize = 4;
/// Parts of fewer rows than this are put together when there are many.
const SMALL_PART: usize = 1024;
const MANY_PARTS: usize = 64;

/// What is done with a row: it stays, it is dropped, or it goes to the row group of that number.
const STAYS: u32 = u32::MAX;
const DROPPED: u32 = u32::MAX - 1;

/// Merges blocks of one signal into a new one, in a directory that exists and is empty. Blocks of metrics come in the order
/// of their writing. `pace` is told how many bytes were read and written since it was called last; it may wait, and its error
/// ends the merge. `None` where no row is left.
pub(crate) fn merge(
    fs: &dyn Filesystem,
    dir: &Path,
    signal: Signal,
    inputs: &[Shown],
    config: (&BlockConfig, MergeMemory<'_>),
    pace: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Option<BlockMeta>> {
    let (block, memory) = config;
    if signal == Signal::Metrics {
        return series::merge(fs, dir, inputs, Staying::All, (block, memory), pace);
    }
    rows(fs, dir, signal, (inputs, None), (block, memory), pace)
}

/// Which rows of a batch stay, and as what.
pub(crate) type Sieve<'a> = &'a dyn Fn(&RecordBatch) -> Result<RecordBatch>;

/// Merges those rows of blocks of spans that a sieve leaves; else as `merge`.
pub(crate) fn sift(
    fs: &dyn Filesystem,
    dir: &Path,
    inputs: &[Shown],
    sieve: Sieve<'_>,
    config: (&BlockConfig, MergeMemory<'_>),
    pace: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Option<BlockMeta>> {
    rows(fs, dir, Signal::Spans, (inputs, Some(sieve)), config, pace)
}

fn rows(
    fs: &dyn Filesystem,
    dir: &Path,
    signal: Signal,
    (inputs, sieve): (&[Shown], Option<Sieve<'_>>),
    (block, memory): (&BlockConfig, MergeMemory<'_>),
    pace: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Option<BlockMeta>> {
    let writer = {
        let sample = inputs.iter().map(first_attributes).collect::<Result<Vec<_>>>()?;
        let sample: Vec<_> = sample.iter().flatten().map(|array| array.as_binary()).collect();
        BlockWriter::create(fs, dir, signal, &sample, block)?
    };
    let request = Arc::new(ScanRequest::all(schema::of(signal).fields().iter().map(|field| field.name().as_str())));
    let cursors = inputs.iter().map(|shown| Cursor::new(signal, shown, &request)).collect::<Result<Vec<_>>>()?;
    let mut merge = Merge {
        signal,
        cursors,
        sieve,
        writer,
        pool: Vec::new(),
        group_rows: block.row_group_rows.max(1),
        memory,
        pace,
        left_out: 0,
        written: 0,
    };
    merge.run()?;
    let read = merge.cursors.iter().map(|cursor| cursor.read as u64).sum();
    let kept = merge.writer.rows();
    check_rows(inputs, read, kept, merge.left_out)?;
    if kept == 0 { Ok(None) } else { merge.writer.finish().map(Some) }
}

/// Makes a block of metrics that stands for raw ones, which stay; else as `merge`.
pub(crate) fn thin(
    fs: &dyn Filesystem,
    dir: &Path,
    inputs: &[Shown],
    resolution: Resolution,
    config: (&BlockConfig, MergeMemory<'_>),
    pace: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Option<BlockMeta>> {
    series::merge(fs, dir, inputs, Staying::OfWindows(resolution), config, pace)
}

/// Each row was read, and kept or left out (M1).
pub(super) fn check_rows(inputs: &[Shown], read: u64, kept: u64, left_out: u64) -> Result<()> {
    let expected: u64 = inputs.iter().map(|shown| shown.meta().rows).sum();
    if read == expected && kept + left_out == read {
        return Ok(());
    }
    Err(Error::Request {
        what: format!("a merge read {read} of {expected} rows, wrote {kept} and left {left_out} out"),
    })
}

/// The attributes of some rows of a block.
fn first_attributes(shown: &Shown) -> Result<Option<ArrayRef>> {
    let mut scan = shown.block.scan(&Arc::new(ScanRequest::all([name::ATTRIBUTES])))?;
    scan.next().transpose()?.map(|batch| Ok(required(&batch, name::ATTRIBUTES)?.clone())).transpose()
}

/// A block that is being read.
struct Cursor {
    shown: Shown,
    scan: BlockScan,
    /// How many rows were read.
    read: usize,
    /// Before this comes nothing that was not read yet; `None` when all was read.
    edge: Option<i64>,
    /// The trace of the row read last, which may go on.
    tail: Option<TraceId>,
    /// Of the rows from each row on the earliest time, for logs: row groups are sorted by time, not the rows within.
    earliest: Vec<(usize, i64)>,
}

impl Cursor {
    fn new(signal: Signal, shown: &Shown, request: &Arc<ScanRequest>) -> Result<Self> {
        let mut earliest = Vec::new();
        if signal == Signal::Logs {
            earliest = shown.block.group_starts();
            let mut least = i64::MAX;
            for (_, time) in earliest.iter_mut().rev() {
                least = least.min(*time);
                *time = least;
            }
        }
        let scan = shown.block.scan(request)?;
        let edge = Some(shown.meta().min_time);
        Ok(Cursor { shown: shown.clone(), scan, read: 0, edge, tail: None, earliest })
    }

    /// The next rows, hidden ones included.
    fn next(&mut self, signal: Signal) -> Result<Option<RecordBatch>> {
        let Some(batch) = self.scan.next().transpose()? else {
            (self.edge, self.tail) = (None, None);
            return Ok(None);
        };
        self.read += batch.num_rows();
        if self.read as u64 >= self.shown.meta().rows {
            (self.edge, self.tail) = (None, None);
            return Ok(Some(batch));
        }
        self.edge = if signal == Signal::Spans {
            let traces = order::traces(&batch)?;
            self.tail = traces.last().copied();
            let run = traces.iter().rev().take_while(|trace| Some(**trace) == self.tail).count();
            order::times(signal, &batch)?.get(traces.len() - run).copied()
        } else {
            let group = self.earliest.partition_point(|(row, _)| *row <= self.read).saturating_sub(1);
            self.earliest.get(group).map(|(_, time)| *time)
        };
        Ok(Some(batch))
    }

    /// Whether rows of a trace that is not in the pool from here may still come.
    fn may_bring(&self, trace: &TraceId) -> Result<bool> {
        if self.edge.is_none() || !self.shown.may_hold_trace(trace) {
            return Ok(false);
        }
        Ok(self.shown.block.trace_rows(trace)?.iter().any(|rows| rows.end > self.read))
    }
}

/// Rows of one block in the pool.
struct Part {
    batch: RecordBatch,
    cursor: usize,
    bytes: usize,
}

impl Part {
    fn new(batch: RecordBatch, cursor: usize) -> Self {
        let bytes = batch.get_array_memory_size();
        Part { batch, cursor, bytes }
    }
}

/// Which rows of the pool go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    /// Those before everything that may still come, in full row groups.
    Ready,
    /// The first ones, whatever may still come: the pool is full.
    Forced,
    /// All: nothing comes any more.
    All,
}

struct Merge<'a> {
    signal: Signal,
    cursors: Vec<Cursor>,
    sieve: Option<Sieve<'a>>,
    writer: BlockWriter<'a>,
    pool: Vec<Part>,
    group_rows: usize,
    memory: MergeMemory<'a>,
    pace: &'a mut dyn FnMut(u64) -> Result<()>,
    left_out: u64,
    /// Bytes written that `pace` was told of.
    written: u64,
}

impl Merge<'_> {
    fn run(&mut self) -> Result<()> {
        let mut wanted = self.group_rows * GROUPS_AHEAD;
        loop {
            let full = self.fill(wanted)?;
            let all_read = self.cursors.iter().all(|cursor| cursor.edge.is_none());
            let mut going = if all_read { Going::All } else { Going::Ready };
            let mut groups = self.assign(going)?;
            if groups.count == 0 && !all_read && full {
                going = Going::Forced;
                groups = self.assign(going)?;
            }
            self.emit(&groups)?;
            self.memory.hold(self.bytes());
            if all_read {
                return Ok(());
            }
            wanted = self.rows() + self.group_rows * GROUPS_AHEAD;
        }
    }

    fn rows(&self) -> usize {
        self.pool.iter().map(|part| part.batch.num_rows()).sum()
    }

    fn bytes(&self) -> usize {
        self.pool.iter().map(|part| part.bytes).sum()
    }

    /// Reads until the pool has so many rows; whether it is full before.
    fn fill(&mut self, wanted: usize) -> Result<bool> {
        let (mut rows, mut bytes) = (self.rows(), self.bytes());
        while rows < wanted {
            if bytes >= self.memory.limit() {
                return Ok(true);
            }
            let behind = self.cursors.iter_mut().enumerate().filter(|(_, cursor)| cursor.edge.is_some());
            let Some((number, cursor)) = behind.min_by_key(|(_, cursor)| cursor.edge) else { return Ok(false) };
            let Some(batch) = cursor.next(self.signal)? else { continue };
            let (read, meta) = (batch.num_rows() as u64, cursor.shown.meta());
            let read_bytes = meta.bytes() / meta.rows.max(1) * read;
            let shown = match cursor.shown.hidden() {
                None => batch,
                Some(hidden) => {
                    let hidden = evaluate(&batch, hidden)?;
                    let shown: BooleanArray = hidden.values().iter().map(|hidden| Some(!hidden)).collect();
                    filter(&batch, &shown)?
                }
            };
            let shown = match self.sieve {
                Some(sieve) => sieve(&shown)?,
                None => shown,
            };
            self.left_out += read - shown.num_rows() as u64;
            if shown.num_rows() > 0 {
                let part = Part::new(shown, number);
                (rows, bytes) = (rows + part.batch.num_rows(), bytes + part.bytes);
                self.pool.push(part);
                self.memory.hold(bytes);
            }
            (self.pace)(read_bytes)?;
        }
        Ok(false)
    }

    /// Decides what becomes of each row of the pool.
    fn assign(&self, going: Going) -> Result<Groups> {
        let (rows, bytes) = (self.rows().max(1), self.bytes().max(1));
        let fitting = self.memory.limit() / LARGEST_GROUP / (bytes / rows).max(1);
        let group_rows = self.group_rows.min(fitting).max(1);
        let mut groups = Groups::new(&self.pool);
        if self.signal == Signal::Spans {
            self.assign_spans(going, group_rows, &mut groups)?;
        } else {
            self.assign_rows(going, group_rows, &mut groups)?;
        }
        Ok(groups)
    }

    /// The earliest time of what was not read yet.
    fn edge(&self) -> Option<i64> {
        self.cursors.iter().filter_map(|cursor| cursor.edge).min()
    }

    fn assign_rows(&self, going: Going, group_rows: usize, groups: &mut Groups) -> Result<()> {
        let edge = self.edge();
        let before = |time: i64| going != Going::Ready || edge.is_none_or(|edge| time < edge);
        let mut ready: Vec<(i64, usize, usize)> = Vec::new();
        for (number, part) in self.pool.iter().enumerate() {
            let rows = order::times(self.signal, &part.batch)?.iter().enumerate().filter(|(_, time)| before(**time));
            ready.extend(rows.map(|(row, &time)| (time, number, row)));
        }
        ready.sort_unstable();
        for group in ready.chunks(group_rows) {
            let whole = group.len() == group_rows;
            if whole || going == Going::All || (going == Going::Forced && groups.count == 0) {
                group.iter().for_each(|&(_, part, row)| groups.set(part, row, groups.count));
                groups.count += 1;
            }
        }
        Ok(())
    }

    fn assign_spans(&self, going: Going, group_rows: usize, groups: &mut Groups) -> Result<()> {
        let (mut traces, rows) = self.traces_of_pool()?;
        let edge = self.edge();
        let mut ready: Vec<usize> = Vec::new();
        for (number, trace) in traces.iter().enumerate() {
            let before = edge.is_none_or(|edge| trace.start < edge);
            if going != Going::Ready || (before && self.is_complete(trace)?) {
                ready.push(number);
            }
        }
        ready.sort_unstable_by_key(|&number| traces.get(number).map(|trace| (trace.start, trace.id)));
        let (mut in_group, mut open) = (0, Vec::new());
        for number in ready {
            let Some(count) = traces.get(number).map(|trace| trace.rows) else { continue };
            if in_group > 0 && in_group + count > group_rows {
                close(&mut traces, &mut open, &mut groups.count);
                in_group = 0;
            }
            in_group += count;
            open.push(number);
        }
        let whole = in_group >= group_rows;
        if !open.is_empty() && (whole || going == Going::All || (going == Going::Forced && groups.count == 0)) {
            close(&mut traces, &mut open, &mut groups.count);
        }
        for (part, of_part) in rows.iter().enumerate() {
            for (row, &number) in of_part.iter().enumerate() {
                groups.set(part, row, traces.get(number).map_or(STAYS, |trace| trace.group));
            }
        }
        self.drop_repeated(&traces, &rows, groups)
    }

    /// The traces of the pool, and of each row the number of its trace.
    fn traces_of_pool(&self) -> Result<(Vec<PoolTrace>, Vec<Vec<usize>>)> {
        let mut numbers: HashMap<TraceId, usize> = HashMap::new();
        let mut traces: Vec<PoolTrace> = Vec::new();
        let mut rows = Vec::with_capacity(self.pool.len());
        for part in &self.pool {
            let mut of_part = Vec::with_capacity(part.batch.num_rows());
            for (&id, &start) in order::traces(&part.batch)?.iter().zip(order::times(self.signal, &part.batch)?) {
                let number = *numbers.entry(id).or_insert(traces.len());
                if number == traces.len() {
                    traces.push(PoolTrace { id, start, rows: 0, cursors: 0, group: STAYS });
                }
                if let Some(trace) = traces.get_mut(number) {
                    trace.start = trace.start.min(start);
                    trace.rows += 1;
                    trace.cursors |= 1u64.checked_shl(u32::try_from(part.cursor).unwrap_or(u32::MAX)).unwrap_or(0);
                }
                of_part.push(number);
            }
            rows.push(of_part);
        }
        Ok((traces, rows))
    }

    /// Whether every block's rows of a trace have been read.
    fn is_complete(&self, trace: &PoolTrace) -> Result<bool> {
        for (number, cursor) in self.cursors.iter().enumerate() {
            let comes = if trace.came_from(number) {
                // Its rows are neighbours, so no more come unless it was read last.
                cursor.tail == Some(trace.id)
            } else {
                cursor.may_bring(&trace.id)?
            };
            if comes {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Drops spans that go and are there already, of traces that came from several blocks.
    fn drop_repeated(&self, traces: &[PoolTrace], rows: &[Vec<usize>], groups: &mut Groups) -> Result<()> {
        let joined = |number: &usize| {
            traces.get(*number).is_some_and(|trace| trace.group != STAYS && trace.cursors.count_ones() > 1)
        };
        let mut seen: HashSet<u128> = HashSet::new();
        for (part, (pooled, of_part)) in self.pool.iter().zip(rows).enumerate() {
            let wanted: Vec<usize> =
                of_part.iter().enumerate().filter(|(_, number)| joined(number)).map(|(row, _)| row).collect();
            if wanted.is_empty() {
                continue;
            }
            let mask: BooleanArray = of_part.iter().map(|number| Some(joined(number))).collect();
            let identities = identity::of_spans(&filter(&pooled.batch, &mask)?)?;
            for (&row, identity) in wanted.iter().zip(identities) {
                if !seen.insert(identity) {
                    groups.set(part, row, DROPPED);
                }
            }
        }
        Ok(())
    }

    /// Writes the row groups that were made, and keeps the rest.
    fn emit(&mut self, groups: &Groups) -> Result<()> {
        let dropped = groups.of_rows.iter().flatten().filter(|group| **group == DROPPED).count();
        self.left_out += dropped as u64;
        if groups.count == 0 {
            return Ok(());
        }
        for group in 0..groups.count {
            let mut batches = Vec::new();
            for (part, of_rows) in self.pool.iter().zip(&groups.of_rows) {
                if of_rows.contains(&group) {
                    batches.push(batch_of(self.signal, chosen(&part.batch, of_rows, group)?)?);
                }
            }
            self.writer.put(&batches)?;
            let written = self.writer.bytes();
            (self.pace)(written - std::mem::replace(&mut self.written, written))?;
        }
        let mut rest = Vec::new();
        for (part, of_rows) in std::mem::take(&mut self.pool).into_iter().zip(&groups.of_rows) {
            if of_rows.iter().all(|group| *group == STAYS) {
                rest.push(part);
            } else if of_rows.contains(&STAYS) {
                rest.push(Part::new(chosen(&part.batch, of_rows, STAYS)?, part.cursor));
            }
        }
        self.pool = if rest.len() > MANY_PARTS { join_small(rest)? } else { rest };
        Ok(())
    }
}

/// A trace with rows in the pool.
struct PoolTrace {
    id: TraceId,
    /// The earliest of its rows in the pool.
    start: i64,
    rows: usize,
    /// A bit for each of the first 64 blocks that they came from.
    cursors: u64,
    group: u32,
}

impl PoolTrace {
    fn came_from(&self, cursor: usize) -> bool {
        u32::try_from(cursor).ok().and_then(|cursor| self.cursors.checked_shr(cursor)).is_some_and(|bits| bits & 1 == 1)
    }
}

/// Gives traces the next group.
fn close(traces: &mut [PoolTrace], open: &mut Vec<usize>, count: &mut u32) {
    for number in open.drain(..) {
        if let Some(trace) = traces.get_mut(number) {
            trace.group = *count;
        }
    }
    *count += 1;
}

/// What becomes of the rows of the pool.
struct Groups {
    of_rows: Vec<Vec<u32>>,
    count: u32,
}

impl Groups {
    fn new(pool: &[Part]) -> Self {
        Groups { of_rows: pool.iter().map(|part| vec![STAYS; part.batch.num_rows()]).collect(), count: 0 }
    }

    fn set(&mut self, part: usize, row: usize, group: u32) {
        if let Some(slot) = self.of_rows.get_mut(part).and_then(|rows| rows.get_mut(row)) {
            *slot = group;
        }
    }
}

fn filter(batch: &RecordBatch, mask: &BooleanArray) -> Result<RecordBatch> {
    filter_record_batch(batch, mask).map_err(|source| Error::Columns { action: "choose rows of a merge", source })
}

fn chosen(batch: &RecordBatch, of_rows: &[u32], group: u32) -> Result<RecordBatch> {
    filter(batch, &of_rows.iter().map(|other| Some(*other == group)).collect())
}

fn batch_of(signal: Signal, columns: RecordBatch) -> Result<Batch> {
    Batch::new(signal, columns).ok_or_else(|| Error::Request { what: format!("not the schema of {signal}") })
}

/// Puts small parts of a block together.
fn join_small(parts: Vec<Part>) -> Result<Vec<Part>> {
    let (small, mut joined): (Vec<Part>, Vec<Part>) =
        parts.into_iter().partition(|part| part.batch.num_rows() < SMALL_PART);
    let mut by_cursor: HashMap<usize, Vec<RecordBatch>> = HashMap::new();
    small.into_iter().for_each(|part| by_cursor.entry(part.cursor).or_default().push(part.batch));
    for (cursor, batches) in by_cursor {
        let Some(schema) = batches.first().map(RecordBatch::schema) else { continue };
        let batch = concat_batches(&schema, &batches)
            .map_err(|source| Error::Columns { action: "join small parts of a merge", source })?;
        joined.push(Part::new(batch, cursor));
    }
    joined.sort_by_key(|part| part.cursor);
    Ok(joined)
}

#[cfg(test)]
mod tests;
