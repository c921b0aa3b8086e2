//! What may a running query do, and how much of it?
//!
//! C1  Every batch of a scan counts its bytes while it is looked at; what a query keeps it charges itself.
//! C2  All memory is given back when the control is dropped.

use super::cancel::Cancel;
use super::progress::Progress;
use super::room::{FoundSeries, Room};
use crate::config::{PromoteConfig, TranslationStrategy};
use crate::error::{Error, Result};
use arrow_array::RecordBatch;
use query_api::trace::{MissingBlock, Stats};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use storage::engine::{
    BlockFacts, FacetScan, Mark, ScanProgress, SeriesFacts, SeriesRequest, Snapshot, TraceRequest, TraceScan,
};
use storage::metric::{Label, Matcher, Resolution, Series};
use storage::model::{Signal, TenantId, TraceId, schema};
use storage::scan::{
    AttributeScope, Count, FacetValues, FactCost, Group, Keys, Predicate, ScanRequest, Threshold, TimeRange, Volume,
    VolumeRequest,
};

/// Series between two looks at the clock.
const SERIES_PER_CHECK: usize = 1024;

/// What one query may use.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) started: Instant,
    pub(super) deadline: Instant,
    pub(super) timeout: Duration,
    pub(super) memory: u64,
    pub(super) rows: u64,
    pub(super) translation: TranslationStrategy,
    pub(super) promote: Arc<PromoteConfig>,
}

/// A running query's hold on data, time and memory. One thread's; nothing of it outlives the query.
#[derive(Debug)]
pub struct Control {
    snapshot: Snapshot,
    limits: Limits,
    cancel: Arc<Cancel>,
    progress: Arc<Progress>,
    memory: Cell<u64>,
    total_memory: Arc<AtomicU64>,
    rows: Cell<u64>,
    stats: RefCell<Stats>,
}

impl Control {
    pub(super) fn new(
        snapshot: Snapshot,
        limits: Limits,
        (cancel, progress): (Arc<Cancel>, Arc<Progress>),
        total_memory: Arc<AtomicU64>,
    ) -> Self {
        Control {
            snapshot,
            limits,
            cancel,
            progress,
            memory: Cell::new(0),
            total_memory,
            rows: Cell::new(0),
            stats: RefCell::default(),
        }
    }

    /// Whose data it reads.
    pub(crate) fn tenant(&self) -> &TenantId {
        self.snapshot.tenant()
    }

    /// Which blocks and deletions it sees, to be recognized later.
    pub(crate) fn mark(&self) -> Mark {
        self.snapshot.mark()
    }

    /// Whether it sees the blocks and deletions that were seen then.
    pub(crate) fn is_at(&self, mark: &Mark) -> bool {
        self.snapshot.is_at(mark)
    }

    /// How it calls OpenTelemetry's metrics in Prometheus.
    pub(crate) fn translation(&self) -> TranslationStrategy {
        self.limits.translation
    }

    /// What labels tell there of their resources and scopes.
    pub(crate) fn promote(&self) -> &Arc<PromoteConfig> {
        &self.limits.promote
    }

    /// Whether the query should go on. To be asked at least once per batch of rows.
    pub fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if Instant::now() >= self.limits.deadline {
            return Err(past_deadline(self.limits.timeout));
        }
        Ok(())
    }

    /// Counts bytes that the query keeps until it ends, or until they are given to `release`.
    pub fn charge(&self, bytes: usize) -> Result<()> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let used = self.memory.get().saturating_add(bytes);
        if used > self.limits.memory {
            let mib = self.limits.memory / (1024 * 1024);
            let message = format!(
                "the answer needs more than the {mib} MiB a query may hold; narrow the range, the filters or the limit"
            );
            return Err(Error::Limit { message });
        }
        self.memory.set(used);
        self.total_memory.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Gives back bytes that were charged.
    pub fn release(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).min(self.memory.get());
        self.memory.set(self.memory.get() - bytes);
        self.total_memory.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Counts bytes until the answer is dropped.
    pub fn hold(&self, bytes: usize) -> Result<Held<'_>> {
        self.charge(bytes)?;
        Ok(Held { control: self, bytes })
    }

    /// Counts rows that the query collects for its answer.
    pub fn collect(&self, rows: usize) -> Result<()> {
        let rows = self.rows.get().saturating_add(u64::try_from(rows).unwrap_or(u64::MAX));
        if rows > self.limits.rows {
            let message = format!("the answer has more than the {} rows a query may collect", self.limits.rows);
            return Err(Error::Limit { message });
        }
        self.rows.set(rows);
        Ok(())
    }

    /// Gives every matching row to `each`, batch by batch.
    pub fn scan(
        &self,
        signal: Signal,
        request: ScanRequest,
        each: impl FnMut(&RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let progress = self.scan_counting_rows(signal, request, Some(&self.progress), each)?;
        let mut stats = self.stats.borrow_mut();
        stats.blocks_read += progress.blocks_read;
        stats.blocks_pruned += progress.blocks_pruned;
        Ok(())
    }

    fn scan_counting_rows(
        &self,
        signal: Signal,
        mut request: ScanRequest,
        told: Option<&Progress>,
        mut each: impl FnMut(&RecordBatch) -> Result<()>,
    ) -> Result<ScanProgress> {
        let unbounded = || Threshold::at_least(schema::time_column(signal));
        self.cancel.watch(request.threshold.get_or_insert_with(unbounded).clone());
        self.check()?;
        let mut scan = self.snapshot.scan(signal, request)?;
        let _under_way = told.map(|progress| progress.begin(scan.left()));
        for batch in scan.by_ref() {
            let batch = batch?;
            let _held = self.hold(batch.get_array_memory_size())?;
            self.stats.borrow_mut().rows_matched += count(batch.num_rows());
            each(&batch)?;
            // Asked again, since `each` may have moved the threshold that a cancellation has set.
            self.check()?;
        }
        let progress = scan.progress();
        self.stats.borrow_mut().rows_scanned += progress.rows_scanned;
        self.check()?;
        Ok(progress)
    }

    /// Traces, to be asked row group by row group, with a `check` between two; `None` where they have to be read one by one.
    pub fn traces(&self, mut request: TraceRequest) -> Result<Option<TraceScan>> {
        let unbounded = || Threshold::at_least(schema::time_column(Signal::Spans));
        self.cancel.watch(request.threshold.get_or_insert_with(unbounded).clone());
        self.check()?;
        let mut finder = self.snapshot.traces(request);
        let mut held = 0;
        while finder.advance()? {
            self.check()?;
            let bytes = finder.memory_bytes();
            self.charge(bytes.saturating_sub(held))?;
            held = held.max(bytes);
        }
        let scan = finder.finish();
        // What it keeps counts until the query ends.
        self.release(held.saturating_sub(scan.as_ref().map_or(0, TraceScan::memory_bytes)));
        Ok(scan)
    }

    /// Takes note of what asking traces has cost, once that is done.
    pub fn count_traces(&self, scan: &TraceScan) {
        let progress = scan.progress();
        let mut stats = self.stats.borrow_mut();
        stats.rows_scanned += progress.rows_scanned;
        stats.blocks_read += progress.blocks_read;
        stats.blocks_pruned += progress.blocks_pruned;
    }

    /// Counts rows per step of time and group.
    pub fn volume(&self, signal: Signal, request: VolumeRequest) -> Result<BTreeMap<(u64, Group), Count>> {
        self.check()?;
        let mut scan = self.snapshot.volume(signal, request)?;
        while scan.advance()? {
            self.check()?;
        }
        let Volume { counts, cost } = scan.finish();
        let row_bytes = size_of::<((u64, Group), Count)>();
        self.charge(counts.keys().map(|(_, group)| row_bytes + group.text_len()).sum())?;
        self.count_cost(cost, counts.values().map(|count| count.rows).sum());
        Ok(counts)
    }

    /// The attribute keys of rows.
    pub fn keys(&self, signal: Signal, time: TimeRange) -> Result<Keys> {
        let scan = self.count_facets(self.snapshot.keys(signal, time)?)?;
        let keys = scan.keys();
        self.count_cost(keys.cost, 0);
        Ok(keys)
    }

    /// The values of an attribute key, as [`Snapshot::values`] answers them.
    pub fn values(
        &self,
        signal: Signal,
        key: (AttributeScope, &str),
        time: TimeRange,
        prefix: &str,
        limit: usize,
    ) -> Result<FacetValues> {
        let scan = self.count_facets(self.snapshot.values(signal, key, time, prefix)?)?;
        let values = scan.values(limit);
        self.count_cost(values.cost, 0);
        Ok(values)
    }

    fn count_facets(&self, mut scan: FacetScan) -> Result<FacetScan> {
        self.check()?;
        while scan.advance()? {
            self.check()?;
        }
        Ok(scan)
    }

    fn count_cost(&self, cost: FactCost, matched: u64) {
        let mut stats = self.stats.borrow_mut();
        stats.rows_scanned += cost.rows_read;
        stats.rows_matched += matched;
        stats.blocks_read += cost.blocks_read;
        stats.blocks_pruned += cost.blocks_pruned;
    }

    /// The series that match and are `wanted`, to be read one by one.
    pub fn series(&self, request: &SeriesRequest, wanted: impl Fn(&Series) -> bool) -> Result<FoundSeries<'_>> {
        let mut room = Room::new(self)?;
        let scan = self.snapshot.series(request, wanted, |bytes| room.admits(bytes))?;
        Ok(FoundSeries { scan, held: room.held()? })
    }

    /// Gives every matching series of memory, and of each block of a range, to `each`, with its first and last time there; one in several
    /// comes several times.
    pub fn each_series(
        &self,
        matchers: &[Matcher],
        time: TimeRange,
        mut each: impl FnMut(&Series, SeriesFacts) -> Result<()>,
    ) -> Result<()> {
        self.check()?;
        let (mut failed, mut looked_at) = (Ok(()), 0usize);
        self.snapshot.each_series(matchers, time, |series, facts| {
            looked_at += 1;
            let goes_on = if looked_at.is_multiple_of(SERIES_PER_CHECK) { self.check() } else { Ok(()) };
            failed = goes_on.and_then(|()| each(series, facts));
            failed.is_ok()
        })?;
        failed
    }

    /// How coarse the metrics are that a reader of multiples of so many milliseconds reads.
    pub fn resolution(&self, time: TimeRange, every: i64) -> Resolution {
        self.snapshot.resolution(time, every)
    }

    /// Where the points lie whose exemplars are of a range of time.
    pub fn points_of_exemplars(&self, time: TimeRange) -> Vec<TimeRange> {
        self.snapshot.points_of_exemplars(time)
    }

    /// Whether a series matches.
    pub fn has_series(&self, matchers: &[Matcher], time: TimeRange) -> Result<bool> {
        self.check()?;
        Ok(self.snapshot.has_series(matchers, time)?)
    }

    /// Every label that a series has, and what they take.
    pub fn labels(&self, time: TimeRange) -> Result<(Vec<Label>, Held<'_>)> {
        let mut room = Room::new(self)?;
        let labels = self.snapshot.labels(time, |bytes| room.admits(bytes))?;
        Ok((labels, room.held()?))
    }

    /// The first so many values that a label of a series has, and what they take.
    pub fn label_values(&self, label: &Label, time: TimeRange, most: usize) -> Result<(Vec<String>, Held<'_>)> {
        let mut room = Room::new(self)?;
        let values = self.snapshot.label_values(label, time, most, |bytes| room.admits(bytes))?;
        Ok((values, room.held()?))
    }

    /// Gives the values that a label of the series has to `each`, in no order and some several times.
    pub fn each_label_value(
        &self,
        label: &Label,
        time: TimeRange,
        mut each: impl FnMut(&str) -> Result<()>,
    ) -> Result<()> {
        self.check()?;
        let (mut failed, mut looked_at) = (Ok(()), 0usize);
        self.snapshot.each_label_value(label, time, |value| {
            looked_at += 1;
            let goes_on = if looked_at.is_multiple_of(SERIES_PER_CHECK) { self.check() } else { Ok(()) };
            failed = goes_on.and_then(|()| each(value));
            failed.is_ok()
        })?;
        failed
    }

    /// Gives all spans of a trace to `each`, batch by batch.
    pub fn trace(
        &self,
        trace: TraceId,
        columns: impl IntoIterator<Item = &'static str>,
        each: impl FnMut(&RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let mut request = ScanRequest::all(columns);
        request.predicate = Predicate::Trace(trace);
        // One trace is no progress that anybody would see.
        let progress = self.scan_counting_rows(Signal::Spans, request, None, each)?;
        let mut stats = self.stats.borrow_mut();
        // A search that reads its traces one by one has counted their blocks before.
        if stats.blocks_read + stats.blocks_pruned == 0 {
            (stats.blocks_read, stats.blocks_pruned) = (progress.blocks_read, progress.blocks_pruned);
        }
        Ok(())
    }

    /// Blocks and batches that scans have read to their end, and all that they have begun with.
    pub(crate) fn steps(&self) -> (u64, u64) {
        self.progress.steps()
    }

    /// Does a part of the work whose memory is of no use after it.
    pub(crate) fn give_back<T>(&self, part: impl FnOnce() -> Result<T>) -> Result<T> {
        let before = self.memory.get();
        let done = part();
        let more = self.memory.get().saturating_sub(before);
        self.release(usize::try_from(more).unwrap_or(usize::MAX));
        done
    }

    /// How much longer the query may take.
    pub(super) fn time_left(&self) -> Duration {
        self.limits.deadline.saturating_duration_since(Instant::now())
    }

    /// What the query has cost so far.
    pub fn stats(&self) -> Stats {
        let elapsed_ms = self.limits.started.elapsed().as_secs_f64() * 1e3;
        let missing = self.missing();
        let coarsest = self.snapshot.coarsest();
        let resolution_seconds = (!coarsest.is_raw()).then(|| coarsest.seconds().into());
        Stats { elapsed_ms, partial: !missing.is_empty(), missing, resolution_seconds, ..self.stats.borrow().clone() }
    }

    /// All blocks of a signal.
    pub(crate) fn blocks(&self, signal: Signal) -> Vec<BlockFacts> {
        self.snapshot.block_facts(signal)
    }

    /// Damaged blocks that may have rows of the answer.
    pub fn missing(&self) -> Vec<MissingBlock> {
        let missing = self.snapshot.missing().into_iter();
        missing
            .map(|missing| MissingBlock {
                block: missing.id.to_string(),
                signal: missing.signal.to_string(),
                rows: missing.rows,
                min_time_unix_nano: missing.min_time,
                max_time_unix_nano: missing.max_time,
            })
            .collect()
    }

    /// Tells a span what the query has cost.
    pub(super) fn describe(&self, span: &tracing::Span) {
        let stats = self.stats.borrow();
        span.record("rows_scanned", stats.rows_scanned).record("blocks_read", stats.blocks_read);
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.total_memory.fetch_sub(self.memory.get(), Ordering::Relaxed);
    }
}

/// Bytes that count as used until this is dropped.
#[derive(Debug)]
pub struct Held<'a> {
    control: &'a Control,
    bytes: usize,
}

impl Held<'_> {
    /// Whether so many bytes count already.
    pub(super) fn covers(&self, bytes: usize) -> bool {
        bytes <= self.bytes
    }

    /// Counts at least so many from now on: a step more than now, where there is room for one.
    pub(crate) fn grow(&mut self, bytes: usize, step: usize) -> Result<()> {
        if self.covers(bytes) {
            return Ok(());
        }
        let least = bytes.saturating_sub(self.bytes);
        let mut more = least.max(step);
        if self.control.charge(more).is_err() {
            more = least;
            self.control.charge(more)?;
        }
        self.bytes += more;
        Ok(())
    }

    /// Counts no more than so many from now on.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.bytes -= less;
        self.control.release(less);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.control.release(self.bytes);
    }
}

pub(super) fn past_deadline(timeout: Duration) -> Error {
    let message =
        format!("the query took longer than {timeout:?}; narrow the time range, or ask for a longer `timeout`");
    Error::Deadline { message }
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
