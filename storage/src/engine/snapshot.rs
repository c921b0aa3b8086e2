//! What does a reader read? A view pinned at one moment; later writes, flushes, merges and deletions do not change it.
//!
//! S3  A damaged block does not keep a reader from the others: what is missing is told beside the rows.
//! S4  Later reads of a snapshot leave out a block that turned out to be damaged. Whoever reads twice and must see the same rows
//!     looks whether more is missing than before, and begins anew.

use super::count::Sources;
use super::spread::Spreads;
use super::threads::chain;
use super::view::View;
use crate::block::{BlockId, BlockScan, Shown};
use crate::error::{Class, Error, Result};
use crate::manifest::BlockEntry;
use crate::memtable::MemBatch;
use crate::metric::{HeadReader, Resolution, RowScan, SeriesSource};
use crate::model::{Signal, TenantId, TraceId, schema};
use crate::scan::{ScanOrder, ScanRequest, TimeRange};
use arrow_array::RecordBatch;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A tenant's rows at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    view: Arc<View>,
    tenant: TenantId,
    missing: Missing,
    /// The coarsest resolution of metrics that was read, in seconds.
    coarsest: Arc<AtomicU32>,
}

/// Which blocks, deletions and generations of memory a snapshot sees; not which rows have come to the memory since. Keeps nothing.
#[derive(Debug, Clone)]
pub struct Mark(Weak<View>);

/// What is known of a block without reading it. Hidden rows included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockFacts {
    /// Its name.
    pub id: BlockId,
    /// How many rows.
    pub rows: u64,
    /// Time of its first row.
    pub min_time: i64,
    /// Time of its last row.
    pub max_time: i64,
}

/// A block whose rows are missing from what was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingBlock {
    /// Which.
    pub id: BlockId,
    /// Of which table.
    pub signal: Signal,
    /// How many rows it has; fewer may be missing.
    pub rows: u64,
    /// Earliest time of its rows.
    pub min_time: i64,
    /// Latest time of its rows.
    pub max_time: i64,
}

/// What a snapshot's readers missed, and where that is reported.
#[derive(Debug, Clone)]
pub(super) struct Missing {
    view: Arc<View>,
    blocks: Arc<Mutex<BTreeMap<BlockId, MissingBlock>>>,
}

impl Missing {
    fn add(&self, entry: &BlockEntry) {
        let BlockEntry { id, signal, rows, min_time, max_time, .. } = *entry;
        let missing = MissingBlock { id, signal, rows, min_time, max_time };
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).insert(id, missing);
    }

    /// Takes note of a block that turned out to be damaged; any other error is handed back.
    pub(super) fn note(&self, id: BlockId, error: Error) -> Result<()> {
        if error.class() != Class::Corrupt {
            return Err(error);
        }
        tracing::error!(block = %id, error = %chain(&error), "failed to read a block; its rows are left out of an answer");
        let mut reports = self.view.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.insert(id, chain(&error));
        if let Some(entry) = self.view.manifest.blocks.get(&id) {
            self.add(entry);
        }
        Ok(())
    }
}

impl Snapshot {
    pub(super) fn new(view: Arc<View>, tenant: TenantId) -> Self {
        let missing = Missing { view: Arc::clone(&view), blocks: Arc::default() };
        Snapshot { view, tenant, missing, coarsest: Arc::default() }
    }

    /// The blocks whose rows, or some of them, were missing from what has been read of this snapshot and its clones so far.
    pub fn missing(&self) -> Vec<MissingBlock> {
        let missing = self.missing.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        missing.values().cloned().collect()
    }

    /// The coarsest resolution of metrics that has been read of this snapshot and its clones so far.
    pub fn coarsest(&self) -> Resolution {
        Resolution::of_seconds(self.coarsest.load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// What it sees, to be recognized later.
    pub fn mark(&self) -> Mark {
        Mark(Arc::downgrade(&self.view))
    }

    /// Whether it sees the blocks, deletions and generations of memory that were seen then.
    pub fn is_at(&self, mark: &Mark) -> bool {
        std::ptr::eq(Arc::as_ptr(&self.view), mark.0.as_ptr())
    }

    pub(super) fn view(&self) -> &View {
        &self.view
    }

    /// Whose rows.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The rows that match, in batches of the columns asked for. Fails at once for a column that the table lacks.
    pub fn scan(&self, signal: Signal, request: ScanRequest) -> Result<Scan> {
        if let Some(unknown) = request.columns.iter().find(|name| !schema::has_column(signal, name)) {
            return Err(Error::Request { what: format!("{signal} have no column `{unknown}`") });
        }
        // Oldest arrivals first: blocks by their commits, then memory.
        let (blocks, pruned) = match signal {
            Signal::Metrics => self.series_blocks(request.time, 0),
            Signal::Spans | Signal::Logs => {
                self.miss(signal, |entry| request.time.overlaps(entry.min_time, entry.max_time));
                self.blocks(signal, request.time)
            }
        };
        let mut sources: Vec<Source> = blocks.into_iter().map(Source::Block).collect();
        match signal {
            Signal::Spans | Signal::Logs => sources.extend(self.batches(signal).into_iter().map(Source::Memory)),
            Signal::Metrics => {
                sources.extend(self.heads().into_iter().map(|head| Source::Head(Box::new(head.pinned()))));
            }
        }
        order(&mut sources, request.order);
        Ok(Scan {
            signal,
            request: Arc::new(request),
            left: Arc::new(AtomicUsize::new(sources.len())),
            sources: sources.into(),
            seen: self.view.manifest.version,
            open: None,
            missing: self.missing.clone(),
            progress: ScanProgress { blocks_pruned: pruned, ..ScanProgress::default() },
        })
    }

    /// Whether one block holds all spans of a trace, so that the numbers of its spans that a scan derives are those of the
    /// whole trace. May be wrong on the safe side: where it is false, read the trace and ask [`crate::trace::with_numbers`].
    pub fn holds_trace_whole(&self, trace: &TraceId) -> Result<bool> {
        for batch in self.batches(Signal::Spans) {
            if batch.holds_trace(trace)? {
                return Ok(false);
            }
        }
        let mut entries = self.view.unread.keys().filter_map(|id| self.view.manifest.blocks.get(id));
        let all_read = !entries.any(|entry| entry.tenant == self.tenant && entry.signal == Signal::Spans);
        let blocks = self.view.blocks_of(&self.tenant, Signal::Spans).iter();
        let mut holding = blocks.filter(|block| block.may_hold_trace(trace));
        // A hidden span still has a place in the tree that the block tells of.
        let whole = holding.next().is_none_or(|block| block.hidden().is_none());
        Ok(all_read && whole && holding.next().is_none())
    }

    /// What is known of the blocks of a signal without reading them.
    pub fn block_facts(&self, signal: Signal) -> Vec<BlockFacts> {
        let facts = |shown: &Shown| {
            let meta = shown.block.meta();
            BlockFacts { id: shown.id, rows: meta.rows, min_time: meta.min_time, max_time: meta.max_time }
        };
        self.view.blocks_of(&self.tenant, signal).iter().map(facts).collect()
    }

    /// Time of the first sample of metrics, hidden ones included.
    pub fn first_metric_time(&self) -> Option<i64> {
        let in_memory = self.heads().into_iter().filter_map(|head| head.time_range()).map(|(first, _)| first);
        let in_blocks = self.block_facts(Signal::Metrics).into_iter().map(|block| block.min_time);
        in_blocks.chain(in_memory).min()
    }

    /// The series in memory, those that were written first first.
    pub(super) fn heads(&self) -> Vec<HeadReader> {
        let generations = self.view.generations();
        generations.filter_map(|generation| generation.head(&self.tenant)).collect()
    }

    /// The blocks of metrics with samples in a range of time, those whose rows were written first first. Takes note of those
    /// that cannot be read, and of how coarse they are. And how many are not looked at.
    pub(super) fn series_blocks(&self, time: TimeRange, every: i64) -> (Vec<Shown>, u64) {
        let chosen = self.chosen(time, every);
        self.coarsest.fetch_max(chosen.resolution.seconds(), Ordering::Relaxed);
        let is_read = |id: &BlockId| !chosen.left_out.contains(id);
        self.miss(Signal::Metrics, |entry| is_read(&entry.id) && time.overlaps(entry.min_time, entry.max_time));
        let (mut blocks, pruned) = self.blocks(Signal::Metrics, time);
        let all = blocks.len();
        blocks.retain(|block| is_read(&block.id));
        let left_out = (all - blocks.len()) as u64;
        (blocks, pruned + left_out)
    }

    /// The blocks with rows in a range, less those that turned out to be damaged (S4), and how many have other times.
    fn blocks(&self, signal: Signal, time: TimeRange) -> (Vec<Shown>, u64) {
        let all = self.view.blocks_of(&self.tenant, signal);
        let overlapping = all.iter().filter(|block| time.overlaps(block.meta().min_time, block.meta().max_time));
        let mut blocks: Vec<Shown> = overlapping.cloned().collect();
        let pruned = (all.len() - blocks.len()) as u64;
        let missing = self.missing.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.retain(|block| !missing.contains_key(&block.id));
        (blocks, pruned)
    }

    /// Which traces lie in several blocks, as far as that is known.
    pub(super) fn spreads(&self) -> &Arc<Spreads> {
        &self.view.spreads
    }

    /// What readers of this snapshot miss.
    pub(super) fn missing_blocks(&self) -> &Missing {
        &self.missing
    }

    /// Takes note of blocks that cannot be read.
    fn miss(&self, signal: Signal, wanted: impl Fn(&BlockEntry) -> bool) {
        let unread = self.view.unread.keys().filter_map(|id| self.view.manifest.blocks.get(id));
        let ours = unread.filter(|entry| entry.tenant == self.tenant && entry.signal == signal);
        ours.filter(|entry| wanted(entry)).for_each(|entry| self.missing.add(entry));
    }

    /// The blocks and batches of spans or logs that may have rows in a range. Takes note of blocks that cannot be read.
    pub(super) fn row_sources(&self, signal: Signal, time: TimeRange) -> Sources {
        self.miss(signal, |entry| time.overlaps(entry.min_time, entry.max_time));
        let (blocks, pruned) = self.blocks(signal, time);
        Sources {
            pruned,
            blocks: blocks.into(),
            batches: self.batches(signal).into(),
            seen: self.view.manifest.version,
            missing: self.missing.clone(),
        }
    }

    fn batches(&self, signal: Signal) -> Vec<Arc<MemBatch>> {
        let generations = self.view.generations();
        generations.flat_map(|generation| generation.batches(&self.tenant, signal)).collect()
    }
}

#[derive(Debug)]
enum Source {
    Memory(Arc<MemBatch>),
    Head(Box<HeadReader>),
    Block(Shown),
}

/// A source under way.
#[derive(Debug)]
enum Open {
    Block(BlockId, BlockScan),
    Head(Box<RowScan<HeadReader>>),
}

impl Source {
    fn time_range(&self) -> Option<(i64, i64)> {
        match self {
            Source::Memory(batch) => batch.time_range(),
            Source::Head(head) => head.time_range(),
            Source::Block(block) => Some((block.meta().min_time, block.meta().max_time)),
        }
    }
}

fn order(sources: &mut [Source], order: ScanOrder) {
    match order {
        ScanOrder::Any => {}
        ScanOrder::Newest => {
            sources.sort_by_key(|source| std::cmp::Reverse(source.time_range().map(|(_, max)| max)));
        }
        ScanOrder::Oldest => sources.sort_by_key(|source| source.time_range().map(|(min, _)| min)),
    }
}

/// How far a scan has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScanProgress {
    /// Rows that were looked at.
    pub rows_scanned: u64,
    /// Blocks that were read, the one under way left out.
    pub blocks_read: u64,
    /// Blocks that metadata ruled out.
    pub blocks_pruned: u64,
}

/// A scan under way: batches of matching rows, each row once, in no promised order (S2).
#[derive(Debug)]
pub struct Scan {
    signal: Signal,
    request: Arc<ScanRequest>,
    sources: VecDeque<Source>,
    /// How many sources are not read to their end.
    left: Arc<AtomicUsize>,
    /// The version of the manifest that is seen.
    seen: u64,
    open: Option<Open>,
    missing: Missing,
    progress: ScanProgress,
}

impl Scan {
    /// How far it has come.
    pub fn progress(&self) -> ScanProgress {
        let in_open = match &self.open {
            None => 0,
            Some(Open::Block(_, scan)) => scan.progress().rows_scanned,
            Some(Open::Head(scan)) => scan.rows_scanned,
        };
        ScanProgress { rows_scanned: self.progress.rows_scanned + in_open, ..self.progress }
    }

    /// How many blocks and batches are not read to their end, to be looked at from another thread while the scan goes on.
    pub fn left(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.left)
    }

    fn next_of_open(&mut self) -> Option<Result<RecordBatch>> {
        let (id, open) = match self.open.as_mut()? {
            Open::Block(id, open) => (*id, open),
            Open::Head(open) => {
                let next = open.next();
                if next.is_none() {
                    self.progress.rows_scanned += open.rows_scanned;
                    self.open = None;
                }
                return next;
            }
        };
        let next = match open.next() {
            Some(Err(error)) => self.missing.note(id, error).err().map(Err),
            next => next,
        };
        if next.is_none() {
            let done = open.progress();
            self.progress.rows_scanned += done.rows_scanned;
            let read = u64::from(done.groups_read > 0);
            self.progress.blocks_read += read;
            self.progress.blocks_pruned += 1 - read;
            self.open = None;
        }
        next
    }

    /// Whether the reader's threshold leaves a source anything to say.
    fn admits(&self, source: &Source) -> bool {
        match (&self.request.threshold, source.time_range()) {
            (Some(threshold), Some((min, max))) if threshold.column() == schema::time_column(self.signal) => {
                threshold.admits(min, max)
            }
            _ => true,
        }
    }

    fn read_memory(&mut self, batch: &MemBatch) -> Result<Option<RecordBatch>> {
        let (looked_at, rows) = batch.scan(&self.request, self.seen, |id, error| self.missing.note(id, error))?;
        self.progress.rows_scanned += looked_at as u64;
        Ok(rows)
    }
}

impl Iterator for Scan {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.next_of_open() {
                return Some(batch);
            }
            self.left.store(self.sources.len(), Ordering::Relaxed);
            let source = self.sources.pop_front()?;
            if !self.admits(&source) {
                self.progress.blocks_pruned += u64::from(matches!(source, Source::Block(_)));
                continue;
            }
            match source {
                Source::Memory(batch) => {
                    if let Some(rows) = self.read_memory(&batch).transpose() {
                        return Some(rows);
                    }
                }
                Source::Head(head) => {
                    let groups = head.groups();
                    self.open = Some(Open::Head(Box::new(RowScan::new(*head, &self.request, 0..groups))));
                }
                Source::Block(block) => match block.scan(&self.request) {
                    Ok(scan) => self.open = Some(Open::Block(block.id, scan)),
                    Err(error) => {
                        if let Err(error) = self.missing.note(block.id, error) {
                            return Some(Err(error));
                        }
                    }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests;
