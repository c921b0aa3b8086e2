//! Where are rows between their arrival and their block? In a generation: all memtables since one WAL boundary, or all that
//! was read from sources since the last one.
//!
//! G1  A generation is filled by one writer and read by any number of readers; a reader sees whole batches only.
//! G2  A generation is sealed and flushed as a whole, so the manifest needs one WAL position and no more.
//! G3  A span that comes again with the same ids and the same content is one row (`identity`).
//! G4  Data points are kept as series (`metric::head`); of two of one series and time the last written counts.
//!
//! G5  A generation holds rows of the log or rows of sources that can be read again, and of those it knows which offsets: it is
//!     kept or let go of as a whole. A row that was read from a source is left out for the sake of any other, for that one stays;
//!     a row of the log never for the sake of one that may still be let go of.
//!
//! Not here: when to seal (`engine`), how blocks are written (`block`).

pub(crate) mod identity;
mod suspect;

use crate::block::{BlockId, Shown};
use crate::error::{Error, Result};
use crate::manifest::{SourceRange, SourceRanges};
use crate::metric::{self, Head, HeadReader};
use crate::model::schema::column as name;
use crate::model::{Batch, Signal, TenantId, TraceId, schema};
use crate::scan::{ScanRequest, filter, required};
use arrow_array::cast::AsArray;
use arrow_array::{BooleanArray, RecordBatch, UInt32Array};
use arrow_select::take::take_record_batch;
use identity::Identities;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use suspect::Suspects;
use xxhash_rust::xxh3::xxh3_64;

/// Batches below this are merged with their neighbours: a record batch costs some kilobytes whatever it holds, and a
/// client that sends single rows must not fill the memory with those.
const SMALL_BATCH_ROWS: usize = 256;

/// Where the rows of a generation come from.
#[derive(Debug)]
enum Origin {
    /// The log, from this segment on.
    Log(u64),
    /// Sources that can be read again, and what was read of each.
    Sources(Mutex<SourceRanges>),
}

/// All memtables between two boundaries.
#[derive(Debug)]
pub(crate) struct Generation {
    origin: Origin,
    created: std::time::Duration,
    tables: Mutex<BTreeMap<(TenantId, Signal), Table>>,
    bytes: AtomicUsize,
}

/// Rows of one tenant and signal.
#[derive(Debug, Default)]
struct Table {
    batches: Vec<Arc<MemBatch>>,
    identities: Identities,
    /// Where data points are.
    head: Arc<Mutex<Head>>,
    rows: usize,
    bytes: usize,
    time_range: Option<(i64, i64)>,
}

/// A batch in memory, and the rows of it that may be in a block already.
#[derive(Debug)]
pub(crate) struct MemBatch {
    batch: Batch,
    suspects: Suspects,
    bytes: usize,
    /// The rows that have a trace, by the key of its id: what is looked through lies together.
    by_trace: OnceLock<Vec<(u32, u32)>>,
}

/// What a table holds, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TableSize {
    /// Rows; of metrics, samples that were written twice count twice.
    pub(crate) rows: usize,
    /// Bytes of memory.
    pub(crate) bytes: usize,
    /// Earliest and latest time, both inclusive.
    pub(crate) time_range: Option<(i64, i64)>,
}

impl Generation {
    /// A generation whose first row will be in WAL segment `first_segment`.
    pub(crate) fn new(first_segment: u64, created: std::time::Duration) -> Self {
        Self::of(Origin::Log(first_segment), created)
    }

    /// A generation whose rows will be read from sources that can be read again.
    pub(crate) fn of_sources(created: std::time::Duration) -> Self {
        Self::of(Origin::Sources(Mutex::default()), created)
    }

    fn of(origin: Origin, created: std::time::Duration) -> Self {
        Generation { origin, created, tables: Mutex::default(), bytes: AtomicUsize::new(0) }
    }

    /// The WAL segment of the first row; `None` where rows are not in the log.
    pub(crate) fn first_segment(&self) -> Option<u64> {
        match &self.origin {
            Origin::Log(first) => Some(*first),
            Origin::Sources(_) => None,
        }
    }

    /// What was read of which source; `None` where rows are in the log.
    pub(crate) fn consumed(&self) -> Option<SourceRanges> {
        match &self.origin {
            Origin::Log(_) => None,
            Origin::Sources(ranges) => Some(ranges.lock().unwrap_or_else(PoisonError::into_inner).clone()),
        }
    }

    /// Up to where it has read a source, if it has.
    pub(crate) fn position(&self, source: &str) -> Option<u64> {
        let Origin::Sources(ranges) = &self.origin else { return None };
        let ranges = ranges.lock().unwrap_or_else(PoisonError::into_inner);
        ranges.get(source).map(|range| range.to)
    }

    /// Takes note of what is being read; each range joins what was read of its source before.
    pub(crate) fn read_on(&self, read: &SourceRanges) {
        let Origin::Sources(ranges) = &self.origin else { return };
        let mut ranges = ranges.lock().unwrap_or_else(PoisonError::into_inner);
        for (source, range) in read {
            let from = ranges.get(source).map_or(range.from, |before| before.from);
            ranges.insert(source.clone(), SourceRange { from, to: range.to });
        }
    }

    /// The monotonic time at which it was begun.
    pub(crate) fn created(&self) -> std::time::Duration {
        self.created
    }

    /// Bytes of memory that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether it holds no row, and has read nothing that held none.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.origin {
            Origin::Log(_) => self.bytes() == 0,
            Origin::Sources(ranges) => ranges.lock().unwrap_or_else(PoisonError::into_inner).is_empty(),
        }
    }

    /// Adds a batch, less the spans that `others` or this generation hold already. Spans that a block of `blocks` may
    /// hold are marked, and looked up when somebody reads them. Returns how many rows were added.
    pub(crate) fn insert(
        &self,
        tenant: &TenantId,
        batch: Batch,
        others: &[Arc<Generation>],
        blocks: &[Shown],
    ) -> Result<usize> {
        let signal = batch.signal();
        if signal == Signal::Metrics {
            return self.insert_points(tenant, &batch);
        }
        let batch = match signal {
            Signal::Spans => self.without_repeated(tenant, batch, others)?,
            Signal::Logs | Signal::Metrics => batch,
        };
        let rows = batch.num_rows();
        if rows == 0 {
            return Ok(0);
        }
        let suspects = match signal {
            Signal::Spans => Suspects::find(&batch, blocks)?,
            Signal::Logs | Signal::Metrics => Suspects::default(),
        };
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let table = tables.entry((tenant.clone(), signal)).or_default();
        let before = table.bytes();
        table.push(MemBatch::new(batch, suspects))?;
        let after = table.bytes();
        self.bytes.fetch_add(after.saturating_sub(before), Ordering::Relaxed);
        Ok(rows)
    }

    fn insert_points(&self, tenant: &TenantId, batch: &Batch) -> Result<usize> {
        let Some((min, max)) = batch.time_range() else { return Ok(0) };
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let table = tables.entry((tenant.clone(), Signal::Metrics)).or_default();
        let mut head = metric::lock(&table.head);
        let inserted = head.insert(batch);
        let after = head.memory_bytes();
        drop(head);
        table.rows += batch.num_rows();
        table.time_range = Some(table.time_range.map_or((min, max), |(a, b)| (a.min(min), b.max(max))));
        self.bytes.fetch_add(after.saturating_sub(table.bytes), Ordering::Relaxed);
        table.bytes = after.max(table.bytes);
        inserted.map(|()| batch.num_rows())
    }

    /// A tenant's series, each as it stands when it is found; `None` where there is none.
    pub(crate) fn head(&self, tenant: &TenantId) -> Option<HeadReader> {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let table = tables.get(&(tenant.clone(), Signal::Metrics)).filter(|table| table.rows > 0)?;
        let head = Arc::clone(&table.head);
        drop(tables);
        Some(HeadReader::finding(&head))
    }

    /// Leaves out spans that this generation or another holds, and doubles within the batch. The others are known from
    /// now on.
    fn without_repeated(&self, tenant: &TenantId, batch: Batch, others: &[Arc<Generation>]) -> Result<Batch> {
        let hashes = identity::of_spans(batch.columns())?;
        let mut keep = vec![true; hashes.len()];
        for generation in others {
            let tables = generation.tables.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(table) = tables.get(&(tenant.clone(), Signal::Spans)) {
                keep.iter_mut().zip(&hashes).for_each(|(keep, hash)| *keep &= !table.identities.contains(hash));
            }
        }
        let fresh = keep.iter().filter(|keep| **keep).count();
        if fresh > 0 {
            let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
            let table = tables.entry((tenant.clone(), Signal::Spans)).or_default();
            let before = table.bytes();
            table.identities.reserve(fresh);
            keep.iter_mut().zip(hashes).for_each(|(keep, hash)| *keep = *keep && table.identities.insert(hash));
            self.bytes.fetch_add(table.bytes().saturating_sub(before), Ordering::Relaxed);
        }
        if keep.iter().all(|keep| *keep) { Ok(batch) } else { select(&batch, &BooleanArray::from(keep)) }
    }

    /// The batches of a tenant's table of spans or logs, each as it stands now.
    pub(crate) fn batches(&self, tenant: &TenantId, signal: Signal) -> Vec<Arc<MemBatch>> {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.get(&(tenant.clone(), signal)).map(|table| table.batches.clone()).unwrap_or_default()
    }

    /// Whether rows that were in a block for who saw one version of the manifest are in none for who sees another.
    pub(crate) fn changed(&self, seen: u64, now: u64) -> bool {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.values().flat_map(|table| &table.batches).any(|batch| batch.suspects.changed(seen, now))
    }

    /// Which tables it has.
    pub(crate) fn tables(&self) -> Vec<(TenantId, Signal)> {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.keys().cloned().collect()
    }

    /// How much a tenant's table holds.
    pub(crate) fn size(&self, tenant: &TenantId, signal: Signal) -> TableSize {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.get(&(tenant.clone(), signal)).map_or_else(TableSize::default, |table| TableSize {
            rows: table.rows,
            bytes: table.bytes(),
            time_range: table.time_range,
        })
    }
}

impl Table {
    fn bytes(&self) -> usize {
        self.bytes + self.identities.bytes()
    }

    fn push(&mut self, added: MemBatch) -> Result<()> {
        self.rows += added.batch.num_rows();
        self.time_range = match (self.time_range, added.batch.time_range()) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (range, None) | (None, range) => range,
        };
        let mut added = added;
        // Neighbours of like size are merged, as in a binary counter: a row is copied few times.
        while added.batch.num_rows() < SMALL_BATCH_ROWS
            && let Some(last) = self.batches.last()
            && last.batch.num_rows() <= added.batch.num_rows()
        {
            added = MemBatch::concat(last, &added)?;
            self.bytes -= last.bytes;
            self.batches.pop();
        }
        self.bytes += added.bytes;
        self.batches.push(Arc::new(added));
        Ok(())
    }
}

impl MemBatch {
    /// How many rows were looked at, and those that match, in the columns asked for. Hands a block to `unread` that could not be
    /// read, and may hold some of the rows: these are left out.
    pub(crate) fn scan(
        &self,
        request: &ScanRequest,
        seen: u64,
        mut unread: impl FnMut(BlockId, Error) -> Result<()>,
    ) -> Result<(usize, Option<RecordBatch>)> {
        let overlaps = self.batch.time_range().is_some_and(|(min, max)| request.time.overlaps(min, max));
        if !overlaps {
            return Ok((0, None));
        }
        let of_trace = request.predicate.trace().map(|trace| self.rows_of_trace(trace)).transpose()?;
        if of_trace.as_ref().is_some_and(Vec::is_empty) {
            return Ok((0, None));
        }
        let kept = self.suspects.keep(&self.batch, seen)?;
        kept.unread.into_iter().try_for_each(|(id, error)| unread(id, error))?;
        let rows = match of_trace {
            Some(rows) => self.take(rows, kept.rows.as_ref(), request)?,
            None => self.choose(kept.rows)?.columns().clone(),
        };
        Ok((rows.num_rows(), filter(self.batch.signal(), &rows, request)?))
    }

    /// The rows of some traces in the columns asked for. Blocks that could not be read are handed on as by [`MemBatch::scan`].
    pub(crate) fn of_traces(
        &self,
        traces: &HashSet<TraceId>,
        columns: &[&'static str],
        seen: u64,
        mut unread: impl FnMut(BlockId, Error) -> Result<()>,
    ) -> Result<Option<RecordBatch>> {
        let mut rows = Vec::new();
        for trace in traces {
            rows.extend(self.rows_of_trace(trace)?);
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let kept = self.suspects.keep(&self.batch, seen)?;
        kept.unread.into_iter().try_for_each(|(id, error)| unread(id, error))?;
        let request = ScanRequest::all(columns.iter().copied());
        let rows = self.take(rows, kept.rows.as_ref(), &request)?;
        filter(self.batch.signal(), &rows, &request)
    }

    /// Gives the trace of each row that has one to `each`, suspects included.
    pub(crate) fn each_trace(&self, mut each: impl FnMut(TraceId)) -> Result<()> {
        let ids = required(self.batch.columns(), name::TRACE_ID)?.as_fixed_size_binary();
        ids.iter().flatten().filter_map(TraceId::from_slice).for_each(&mut each);
        Ok(())
    }

    /// Whether some row is of a trace, suspects included.
    pub(crate) fn holds_trace(&self, trace: &TraceId) -> Result<bool> {
        Ok(!self.rows_of_trace(trace)?.is_empty())
    }

    /// Some rows less those that are not kept, in the columns that a request looks at: a few rows of all columns cost more than
    /// to find them.
    fn take(&self, mut rows: Vec<u32>, kept: Option<&BooleanArray>, request: &ScanRequest) -> Result<RecordBatch> {
        if let Some(kept) = kept {
            rows.retain(|&row| kept.value(row as usize));
        }
        let all = self.batch.columns();
        let time = schema::time_column(self.batch.signal());
        let looked_at = request.columns.iter().copied().chain(request.predicate.columns()).chain([time]);
        // What is derived has no column of its own.
        let indices: BTreeSet<usize> = looked_at.filter_map(|name| all.schema_ref().index_of(name).ok()).collect();
        let columns = all
            .project(&indices.into_iter().collect::<Vec<_>>())
            .and_then(|columns| take_record_batch(&columns, &UInt32Array::from(rows)));
        columns.map_err(|source| Error::Columns { action: "choose the rows of traces", source })
    }

    /// Which rows are of a trace. The first who asks sorts the batch.
    fn rows_of_trace(&self, trace: &TraceId) -> Result<Vec<u32>> {
        let ids = required(self.batch.columns(), name::TRACE_ID)?.as_fixed_size_binary();
        let sorted = self.by_trace.get_or_init(|| {
            let keyed = |(row, id): (u32, Option<&[u8]>)| Some((trace_key(id?), row));
            let mut rows: Vec<(u32, u32)> = (0..).zip(ids.iter()).filter_map(keyed).collect();
            rows.sort_unstable();
            rows
        });
        let key = trace_key(&trace.0);
        let start = sorted.partition_point(|(other, _)| *other < key);
        let alike = sorted.iter().skip(start).take_while(|(other, _)| *other == key).map(|(_, row)| *row);
        Ok(alike.filter(|&row| ids.value(row as usize) == trace.0).collect())
    }

    /// The rows that are in no block, to who sees a version of the manifest; or the blocks that could not be read, so that nobody
    /// knows, and why.
    pub(crate) fn resolved(&self, seen: u64) -> Result<Result<Batch, Vec<(BlockId, Error)>>> {
        let kept = self.suspects.keep(&self.batch, seen)?;
        if kept.unread.is_empty() { self.choose(kept.rows).map(Ok) } else { Ok(Err(kept.unread)) }
    }

    fn choose(&self, rows: Option<BooleanArray>) -> Result<Batch> {
        rows.map_or_else(|| Ok(self.batch.clone()), |rows| select(&self.batch, &rows))
    }

    /// How many rows, suspects included.
    pub(crate) fn num_rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// Earliest and latest time, both inclusive.
    pub(crate) fn time_range(&self) -> Option<(i64, i64)> {
        self.batch.time_range()
    }

    fn new(batch: Batch, suspects: Suspects) -> Self {
        // Eight bytes a row for `by_trace`, whether or not it is made.
        let bytes = batch.memory_bytes() + batch.num_rows() * size_of::<(u32, u32)>();
        MemBatch { batch, suspects, bytes, by_trace: OnceLock::new() }
    }

    fn concat(first: &MemBatch, second: &MemBatch) -> Result<MemBatch> {
        let batches = [first.batch.columns(), second.batch.columns()];
        let columns = arrow_select::concat::concat_batches(batches[0].schema_ref(), batches)
            .map_err(|source| Error::Columns { action: "merge small batches", source })?;
        let suspects = first.suspects.joined(first.num_rows(), &second.suspects);
        Ok(MemBatch::new(rebatch(first.batch.signal(), columns)?, suspects))
    }
}

/// What traces are looked up by. A few may share a key.
fn trace_key(id: &[u8]) -> u32 {
    xxh3_64(id) as u32
}

/// Looks up together which rows of some batches are in blocks, so that a block at which many point is read once.
pub(crate) fn look_up(batches: &[Arc<MemBatch>], seen: u64) -> Result<()> {
    let all: Vec<_> = batches.iter().map(|batch| (&batch.batch, &batch.suspects)).collect();
    Suspects::look_up_all(&all, seen)
}

/// The rows of a batch that none of some blocks holds already, and how many one does. Fails where one of them cannot be read.
pub(crate) fn new_to(batch: Batch, blocks: &[Shown], seen: u64) -> Result<(Batch, u64)> {
    if batch.signal() != Signal::Spans {
        return Ok((batch, 0));
    }
    let kept = Suspects::find(&batch, blocks)?.keep(&batch, seen)?;
    if let Some((_, error)) = kept.unread.into_iter().next() {
        return Err(error);
    }
    let Some(keep) = kept.rows else { return Ok((batch, 0)) };
    let new = select(&batch, &keep)?;
    let repeated = (batch.num_rows() - new.num_rows()) as u64;
    Ok((new, repeated))
}

fn select(batch: &Batch, keep: &BooleanArray) -> Result<Batch> {
    let columns = arrow_select::filter::filter_record_batch(batch.columns(), keep)
        .map_err(|source| Error::Columns { action: "leave out repeated spans", source })?;
    rebatch(batch.signal(), columns)
}

fn rebatch(signal: Signal, columns: RecordBatch) -> Result<Batch> {
    Batch::new(signal, columns).ok_or_else(|| Error::Request { what: format!("not the schema of {signal}") })
}

#[cfg(test)]
mod tests;
