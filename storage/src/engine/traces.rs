//! How are many traces asked at once? Row group by row group where they lie whole in one block, span by span where they do not.
//!
//! A reader asks for the rows of a row group that meet its conditions, for the lineage of their traces, and for columns of
//! those that are left. What a lineage calls *apart*, and what is in memory, it collects by trace and has put together.
//!
//! Q1  Every trace with rows in the range is either told of by one row group, whole, or apart in each that has rows of it, or in memory.
//! Q2  A damaged block answers nothing from then on, as in a scan (S3 of `snapshot`).
//! Q3  Those that are to be put together, and of which no row meets a condition, may be left out before (`Narrowing`): traces of which all rows
//!     are in blocks, and where that leaves out many.
//!
//! Not here: what conditions mean (`scan`), what is asked of a lineage (`trace::lineage`).

use super::snapshot::{Missing, ScanProgress, Snapshot};
use super::spread::{Spread, SpreadBuilder, Spreads};
use crate::block::{BlockTraces, Elsewhere, Shown};
use crate::error::{Error, Result};
use crate::memtable::MemBatch;
use crate::model::{Signal, TraceId};
use crate::scan::{Predicate, ScanOrder, ScanRequest, Threshold, TimeRange};
use crate::trace::{Lineage, LineageBuilder};
use arrow_array::RecordBatch;
use arrow_buffer::BooleanBuffer;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// So many looks at traces tell how many of all meet a condition.
const SAMPLE: usize = 1024;
/// Rows that a trace counts as at least, when traces are put together.
const LEAST_ROWS: usize = 16;

/// Which traces are asked, and what of their spans.
#[derive(Debug, Clone)]
pub struct TraceRequest {
    /// Which spans take part. Trees are those of whole traces.
    pub time: TimeRange,
    /// Where to look first.
    pub order: ScanOrder,
    /// A bound that the reader tightens.
    pub threshold: Option<Arc<Threshold>>,
    /// What spans may meet; asked for by place.
    pub conditions: Vec<Predicate>,
}

/// The traces of a snapshot, a row group at a time.
#[derive(Debug)]
pub struct TraceScan {
    request: ScanRequest,
    conditions: Vec<Predicate>,
    blocks: Vec<Shown>,
    waiting: VecDeque<usize>,
    open: Option<Open>,
    spread: Arc<Spread>,
    memory: Memory,
    seen: u64,
    missing: Missing,
    progress: ScanProgress,
}

#[derive(Debug)]
struct Open {
    block: usize,
    traces: BlockTraces,
    group: usize,
    /// Rows at which traces begin of which there are spans in memory.
    in_memory: HashSet<usize>,
}

/// What is in memory, and which traces in which of it.
#[derive(Debug, Default)]
struct Memory {
    batches: Vec<Arc<MemBatch>>,
    traces: HashMap<TraceId, Vec<u32>>,
}

impl Memory {
    /// Takes note of the traces of a batch.
    fn add(&mut self, batch: Arc<MemBatch>) -> Result<()> {
        let number = u32::try_from(self.batches.len()).unwrap_or(u32::MAX);
        batch.each_trace(|trace| {
            let of_trace = self.traces.entry(trace).or_default();
            if of_trace.last() != Some(&number) {
                of_trace.push(number);
            }
        })?;
        self.batches.push(batch);
        Ok(())
    }

    /// About: most traces are in one batch, in a vector of its least size.
    fn memory_bytes(&self) -> usize {
        const TRACE_BYTES: usize = 2 * (size_of::<(TraceId, Vec<u32>)>() + 16);
        self.traces.len() * TRACE_BYTES
    }
}

/// Finds out where traces are, before they are asked: by the indexes of all blocks, and in memory.
#[derive(Debug)]
pub struct TraceFinder {
    request: TraceRequest,
    blocks: Vec<Shown>,
    spread: Finding,
    memory: Memory,
    waiting: VecDeque<Arc<MemBatch>>,
    seen: u64,
    missing: Missing,
}

/// Which traces are in several blocks: known from an earlier query, or to be found out and kept for later ones.
#[derive(Debug)]
enum Finding {
    Known(Arc<Spread>),
    Walking(SpreadBuilder, Arc<Spreads>),
}

impl Finding {
    fn memory_bytes(&self) -> usize {
        match self {
            Finding::Known(spread) => spread.memory_bytes(),
            Finding::Walking(builder, _) => builder.memory_bytes(),
        }
    }
}

impl Snapshot {
    /// The traces of the snapshot, once it is known where they are.
    pub fn traces(&self, request: TraceRequest) -> TraceFinder {
        let sources = self.row_sources(Signal::Spans, TimeRange::ALL);
        let blocks: Vec<Shown> = sources.blocks.into();
        let spreads = self.spreads();
        TraceFinder {
            request,
            spread: match spreads.of(&blocks) {
                Some(known) => Finding::Known(known),
                None => Finding::Walking(SpreadBuilder::new(&blocks), Arc::clone(spreads)),
            },
            blocks,
            memory: Memory::default(),
            waiting: sources.batches,
            seen: sources.seen,
            missing: sources.missing,
        }
    }
}

impl TraceFinder {
    /// Looks into one more block, or one more batch in memory; false when all is known.
    pub fn advance(&mut self) -> Result<bool> {
        if let Some(batch) = self.waiting.pop_front() {
            self.memory.add(batch)?;
            return Ok(true);
        }
        match &mut self.spread {
            Finding::Known(_) => Ok(false),
            Finding::Walking(builder, _) => builder.advance(&self.blocks),
        }
    }

    /// How many bytes it holds.
    pub fn memory_bytes(&self) -> usize {
        self.spread.memory_bytes() + self.memory.memory_bytes()
    }

    /// The traces; `None` where an index is lost, so that nobody knows where the spans of a trace are. All must be known by now.
    pub fn finish(self) -> Option<TraceScan> {
        let TraceFinder { request, blocks, spread, memory, waiting, seen, missing } = self;
        debug_assert!(waiting.is_empty(), "not all of the memory was looked into");
        let TraceRequest { time, order, threshold, conditions } = request;
        let spread = match spread {
            Finding::Known(spread) => spread,
            Finding::Walking(builder, spreads) => {
                let spread = Arc::new(builder.finish()?);
                spreads.keep(&blocks, &spread);
                spread
            }
        };
        let bounds = |block: &usize| {
            blocks.get(*block).map_or((i64::MIN, i64::MAX), |block| (block.meta().min_time, block.meta().max_time))
        };
        let mut waiting: Vec<usize> = (0..blocks.len())
            .filter(|block| {
                let (min, max) = bounds(block);
                time.overlaps(min, max)
            })
            .collect();
        match order {
            ScanOrder::Any => {}
            ScanOrder::Newest => waiting.sort_by_key(|block| std::cmp::Reverse(bounds(block).1)),
            ScanOrder::Oldest => waiting.sort_by_key(|block| bounds(block).0),
        }
        let progress = ScanProgress { blocks_pruned: (blocks.len() - waiting.len()) as u64, ..ScanProgress::default() };
        Some(TraceScan {
            request: ScanRequest { time, order, threshold, ..ScanRequest::all([]) },
            conditions,
            waiting: waiting.into(),
            open: None,
            spread,
            memory,
            seen,
            missing,
            blocks,
            progress,
        })
    }
}

impl TraceScan {
    /// Goes on to the next row group with rows in the range; false after the last one.
    pub fn advance(&mut self) -> Result<bool> {
        loop {
            if let Some(open) = &mut self.open {
                if let Some(group) = open.traces.next_group() {
                    open.group = group;
                    self.progress.rows_scanned += open.traces.rows(group) as u64;
                    return Ok(true);
                }
                self.progress.blocks_read += 1;
                self.open = None;
            }
            let Some(block) = self.waiting.pop_front() else { return Ok(false) };
            self.open = self.open(block)?;
        }
    }

    fn open(&mut self, number: usize) -> Result<Option<Open>> {
        let Some(block) = self.blocks.get(number) else { return Ok(None) };
        if let Some(threshold) = &self.request.threshold
            && threshold.column() == crate::model::schema::column::START
            && !threshold.admits(block.meta().min_time, block.meta().max_time)
        {
            self.progress.blocks_pruned += 1;
            return Ok(None);
        }
        let id = block.id;
        let opened = block.traces(&self.request, &self.conditions).and_then(|traces| {
            let mut in_memory = HashSet::new();
            for trace in self.memory.traces.keys() {
                in_memory.extend(block.block.trace_rows(trace)?.into_iter().map(|rows| rows.start));
            }
            Ok((traces, in_memory))
        });
        match opened {
            Ok((Some(traces), in_memory)) => Ok(Some(Open { block: number, traces, group: 0, in_memory })),
            // The index was whole when the scan began: that it is lost has come out since, and the next scan is told so.
            Ok((None, _)) => {
                let what = "an index was found damaged amidst a scan".to_owned();
                let path = self.blocks.get(number).map(|block| block.id.to_string().into()).unwrap_or_default();
                self.missing.note(id, Error::Damaged { path, what }).map(|()| None)
            }
            Err(error) => self.missing.note(id, error).map(|()| None),
        }
    }

    /// What was read of the open block; where that is damaged, the block is closed and `otherwise` stands for it.
    fn unless_damaged<T>(&mut self, read: Result<T>, otherwise: T) -> Result<T> {
        let open = self.open.as_ref().and_then(|open| self.blocks.get(open.block));
        match (read, open) {
            (Err(error), Some(block)) => {
                self.missing.note(block.id, error)?;
                self.open = None;
                Ok(otherwise)
            }
            (read, _) => read,
        }
    }

    /// How many rows the row group has.
    pub fn rows(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.traces.rows(open.group))
    }

    /// Its rows in the range that meet a condition.
    pub fn matching(&mut self, condition: usize) -> Result<BooleanBuffer> {
        let rows = self.rows();
        let Some(open) = &mut self.open else { return Ok(BooleanBuffer::new_unset(0)) };
        let found = open.traces.matching(open.group, condition);
        self.unless_damaged(found, BooleanBuffer::new_unset(rows))
    }

    /// The traces that have wanted rows; parents only of those that have some of each of `needed` besides.
    pub fn lineage(&mut self, wanted: &BooleanBuffer, needed: &[BooleanBuffer]) -> Result<Lineage> {
        let nothing = || LineageBuilder::new(wanted.len()).finish();
        let Some(Open { block, traces, group, in_memory }) = &mut self.open else { return Ok(nothing()) };
        let (spread, blocks, memory, block) = (&self.spread, &self.blocks, &self.memory, *block);
        let may_be = |row: usize| in_memory.contains(&row) || spread.others(block, row).next().is_some();
        let is = |row: usize, trace: &TraceId| {
            let holds = |other: usize| blocks.get(other).is_none_or(|other| other.may_hold_trace(trace));
            memory.traces.contains_key(trace) || spread.others(block, row).any(holds)
        };
        let found = traces.lineage(*group, (wanted, needed), &Elsewhere { may_be: &may_be, is: &is });
        self.unless_damaged(found, nothing())
    }

    /// Some rows, in some columns; none where the block turns out to be damaged.
    pub fn read(&mut self, rows: &BooleanBuffer, columns: &[&'static str]) -> Result<Option<RecordBatch>> {
        let Some(open) = &self.open else { return Ok(None) };
        let found = open.traces.read(open.group, rows, columns).map(Some);
        self.unless_damaged(found, None)
    }

    /// The rows in memory that match a request, batch by batch.
    pub fn in_memory(&mut self, request: &ScanRequest) -> Result<Vec<RecordBatch>> {
        let mut found = Vec::new();
        for batch in &self.memory.batches {
            let (looked_at, rows) = batch.scan(request, self.seen, |id, error| self.missing.note(id, error))?;
            self.progress.rows_scanned += looked_at as u64;
            found.extend(rows);
        }
        Ok(found)
    }

    /// Finds out where some traces are, each of which is named once, to put them together.
    pub fn locate(&mut self, traces: Vec<TraceId>) -> Result<Located> {
        let mut of_blocks = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            of_blocks.push(match block.rows_of_all(&traces) {
                Ok(rows) => rows,
                Err(error) => self.missing.note(block.id, error).map(|()| Vec::new())?,
            });
        }
        let mut rows = vec![0usize; traces.len()];
        for (trace, range) in of_blocks.iter().flatten() {
            if let Some(rows) = rows.get_mut(*trace as usize) {
                *rows += range.len();
            }
        }
        Ok(Located { traces, of_blocks, rows, next: 0 })
    }

    /// Begins to find out which of some traces have rows that meet a condition. What is in memory is not looked at: its traces may.
    pub fn narrowing(&self, located: &Located, condition: usize) -> Narrowing {
        let met = located.traces.iter().map(|trace| self.memory.traces.contains_key(trace)).collect();
        Narrowing { condition, block: 0, met, looked: 0, having: 0 }
    }

    /// Looks into one more block; false when all is known, or when it has shown that most of the traces do.
    pub fn narrow(&mut self, located: &Located, narrowing: &mut Narrowing) -> Result<bool> {
        let number = narrowing.block;
        let (Some(block), Some(rows)) = (self.blocks.get(number), located.of_blocks.get(number)) else {
            return Ok(false);
        };
        let Some(condition) = self.conditions.get(narrowing.condition) else { return Ok(false) };
        narrowing.block += 1;
        match block.have(self.request.time, condition, rows) {
            Ok(have) => narrowing.take(rows, &have),
            Err(error) => self.missing.note(block.id, error)?,
        }
        Ok(!narrowing.is_vain())
    }

    /// All spans of the next traces, at least one and about so many rows at most, in some columns, of which `trace_id` is one, and
    /// these traces; `None` after the last. Spans of a trace may be in several batches.
    pub fn assemble(
        &mut self,
        located: &mut Located,
        columns: &[&'static str],
        most_rows: usize,
    ) -> Result<Option<(Vec<TraceId>, Vec<RecordBatch>)>> {
        let now = located.take(most_rows);
        let traces: Vec<TraceId> = located.traces.get(now.clone()).unwrap_or_default().to_vec();
        if traces.is_empty() {
            return Ok(None);
        }
        let wanted: HashSet<TraceId> = traces.iter().copied().collect();
        let mut found = Vec::new();
        for (block, of_block) in self.blocks.iter().zip(&located.of_blocks) {
            let from = of_block.partition_point(|(trace, _)| (*trace as usize) < now.start);
            let to = of_block.partition_point(|(trace, _)| (*trace as usize) < now.end);
            let ranges: Vec<Range<usize>> =
                of_block.get(from..to).unwrap_or_default().iter().map(|(_, rows)| rows.clone()).collect();
            if ranges.is_empty() {
                continue;
            }
            match block.rows_of_traces(&wanted, &united(ranges), columns) {
                Ok(rows) => {
                    self.progress.rows_scanned += rows.iter().map(|rows| rows.num_rows() as u64).sum::<u64>();
                    found.extend(rows);
                }
                Err(error) => self.missing.note(block.id, error)?,
            }
        }
        let mut of_batches: BTreeMap<u32, HashSet<TraceId>> = BTreeMap::new();
        for trace in &traces {
            for batch in self.memory.traces.get(trace).into_iter().flatten() {
                of_batches.entry(*batch).or_default().insert(*trace);
            }
        }
        for (number, wanted) in of_batches {
            if let Some(batch) = self.memory.batches.get(number as usize) {
                let unread = |id, error| self.missing.note(id, error);
                found.extend(batch.of_traces(&wanted, columns, self.seen, unread)?);
            }
        }
        Ok(Some((traces, found)))
    }

    /// How many bytes it holds as long as it lives, beside what it reads.
    pub fn memory_bytes(&self) -> usize {
        self.spread.memory_bytes() + self.memory.memory_bytes()
    }

    /// How far it has come.
    pub fn progress(&self) -> ScanProgress {
        self.progress
    }
}

/// Traces that are to be put together, and where they are.
#[derive(Debug)]
pub struct Located {
    traces: Vec<TraceId>,
    /// By block, rows by the trace's place in the list, ascending.
    of_blocks: Vec<Vec<(u32, Range<usize>)>>,
    /// How many each trace has in blocks.
    rows: Vec<usize>,
    next: usize,
}

/// Which traces have rows that meet a condition, as far as that is known.
#[derive(Debug)]
pub struct Narrowing {
    condition: usize,
    block: usize,
    /// By the trace's place in the list.
    met: Vec<bool>,
    /// How many times rows of a trace were looked at, and how often some met the condition.
    looked: usize,
    having: usize,
}

impl Narrowing {
    fn take(&mut self, rows: &[(u32, Range<usize>)], have: &[bool]) {
        for ((trace, _), has) in rows.iter().zip(have) {
            self.looked += 1;
            self.having += usize::from(*has);
            if let Some(met) = self.met.get_mut(*trace as usize) {
                *met |= has;
            }
        }
    }

    /// Whether too many meet the condition for it to be worth the search.
    fn is_vain(&self) -> bool {
        self.looked >= SAMPLE && self.having * 2 > self.looked
    }
}

impl Located {
    /// Leaves out the traces of which no row meets a condition, once all is known of it.
    pub fn keep(&mut self, narrowing: &Narrowing) {
        if narrowing.is_vain() {
            return;
        }
        let mut kept = 0;
        let places: Vec<Option<u32>> = narrowing
            .met
            .iter()
            .map(|met| {
                kept += u32::from(*met);
                met.then(|| kept - 1)
            })
            .collect();
        for of_block in &mut self.of_blocks {
            of_block.retain_mut(|(trace, _)| match places.get(*trace as usize) {
                Some(Some(place)) => {
                    *trace = *place;
                    true
                }
                _ => false,
            });
        }
        let mut met = narrowing.met.iter();
        self.traces.retain(|_| met.next().is_some_and(|met| *met));
        let mut met = narrowing.met.iter();
        self.rows.retain(|_| met.next().is_some_and(|met| *met));
    }

    /// The places of the next traces with so many rows: at least of one, and of more than one not of more rows.
    fn take(&mut self, most_rows: usize) -> Range<usize> {
        let from = self.next;
        let mut rows = 0;
        for of_trace in self.rows.iter().skip(from) {
            // A trace that is in memory only costs, too.
            rows += of_trace.max(&LEAST_ROWS);
            if rows > most_rows && self.next > from {
                break;
            }
            self.next += 1;
        }
        from..self.next
    }
}

/// Ascending ranges that are apart, of the same rows.
pub(super) fn united(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|rows| (rows.start, rows.end));
    let mut united: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for rows in ranges {
        match united.last_mut() {
            Some(last) if rows.start <= last.end => last.end = last.end.max(rows.end),
            _ => united.push(rows),
        }
    }
    united
}

#[cfg(test)]
mod tests;
