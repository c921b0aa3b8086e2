//! How does a sealed generation become blocks?
//!
//! F1  Blocks are written to `tmp/`, synced, and moved to their place; nobody reads them before the manifest has them.
//! F2  One manifest commit adds all blocks of the generation and moves the WAL checkpoint past it: a restart sees
//!     either the rows in the log or the rows in the blocks.
//! F3  A flush that fails leaves everything as it was and can be tried again. Where the disk refuses to tell whether the
//!     commit happened, the blocks are kept until it does, and nothing else is flushed.
//!
//! F4  A row is left out as repeated only if its block is there, and not in quarantine, when the generation's blocks are committed.
//!     Where that changed meanwhile, the generation is flushed anew. Blocks that readers found damaged are looked at before; a block
//!     that cannot be read while rows are compared with it ends the flush, and the next one begins with it.
//!
//! F5  Of a generation that was read from sources, the commit that adds its blocks says which offsets, in place of a place in the
//!     log; where that does not join what others committed, nothing is committed (N13 of `manifest`).
//!
//! Not here: how a commit becomes visible (`publish`).

use super::metrics::EngineMetrics;
use super::publish::Placed;
use super::store::{Store, lock};
use super::threads::chain;
use super::view::joined;
use crate::block::{self, BlockId, Window};
use crate::error::{Error, Result};
use crate::manifest::Commit;
use crate::memtable::{self, Generation};
use crate::metric::HeadReader;
use crate::model::schema::time_column;
use crate::model::{Batch, Signal, TenantId};
use arrow_array::BooleanArray;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Store {
    /// Flushes the oldest sealed generation; does nothing where there is none.
    pub fn flush(&self) -> Result<()> {
        let flushing = lock(&self.flushing);
        let started = self.clock.monotonic();
        let prepared = self.settle().and_then(|()| self.ask_bucket()).and_then(|()| self.examine());
        let result = prepared.and_then(|()| self.flush_oldest());
        drop(flushing);
        EngineMetrics::add_time(&self.metrics.flush_nanos, self.clock.monotonic().saturating_sub(started));
        if result.is_err() {
            EngineMetrics::add(&self.metrics.flush_errors, 1);
            self.failed_flushes.fetch_add(1, Ordering::Relaxed);
        } else {
            self.failed_flushes.store(0, Ordering::Relaxed);
        }
        result
    }

    fn flush_oldest(&self) -> Result<()> {
        let Some(generation) = self.view().sealed.first().map(Arc::clone) else { return Ok(()) };
        let mut placed = Vec::new();
        let seen = self.view().manifest.version;
        let written = generation
            .tables()
            .into_iter()
            .try_for_each(|(tenant, signal)| self.write_table((&generation, seen), &tenant, signal, &mut placed));
        if let Err(error) = written {
            self.discard(&placed);
            return Err(error);
        }
        let next_segment = generation.first_segment().map(|first| self.segment_after(first));
        let consumed = generation.consumed().unwrap_or_default();
        let checkpoints = match next_segment {
            Some(segment) => BTreeMap::from([(self.wal_checkpoint(), segment.to_string())]),
            None => self.flush_checkpoint(),
        };
        let sizes: Vec<(u64, u64)> = placed.iter().map(|placed| (placed.entry.rows, placed.entry.bytes)).collect();
        let published = self.publish(placed, Some(&generation), |manifest| {
            let as_written = !generation.changed(seen, manifest.version) && joined(manifest, [consumed.clone()]);
            let (checkpoints, consumed) = (checkpoints.clone(), consumed.clone());
            as_written.then(|| Commit { checkpoints, consumed, ..Commit::default() })
        })?;
        if !published {
            return Ok(());
        }
        for (rows, bytes) in sizes {
            EngineMetrics::add(&self.metrics.flush_blocks, 1);
            EngineMetrics::add(&self.metrics.flush_rows, rows);
            EngineMetrics::add(&self.metrics.flush_bytes, bytes);
        }
        // Segments that cannot be removed now are removed with the next ones, or at the next start.
        if let Some(next_segment) = next_segment
            && let Err(error) = lock(&self.wal).release(next_segment)
        {
            tracing::warn!(%error, "failed to release segments of the write-ahead log");
        }
        Ok(())
    }

    /// Writes one block per window that the table has rows in.
    fn write_table(
        &self,
        (generation, seen): (&Generation, u64),
        tenant: &TenantId,
        signal: Signal,
        placed: &mut Vec<Placed>,
    ) -> Result<()> {
        if signal == Signal::Metrics {
            return self.write_series(generation, tenant, placed);
        }
        let (in_memory, mut batches) = (generation.batches(tenant, signal), Vec::new());
        memtable::look_up(&in_memory, seen)?;
        for batch in in_memory {
            let resolved = batch.resolved(seen)?.or_else(|unread| self.report(unread))?;
            if resolved.num_rows() > 0 {
                batches.push(resolved);
            }
        }
        let now = self.clock.now_unix_nano();
        for (window, batches) in by_window(batches, now)? {
            let made = self.make_block((tenant, signal, window, 0), |dir| {
                block::write(self.fs.as_ref(), dir, signal, &batches, &self.config.block).map(Some)
            })?;
            placed.extend(made);
        }
        Ok(())
    }

    /// Reports blocks that could not be read; the next flush looks at them first (F4).
    fn report<T>(&self, unread: Vec<(BlockId, Error)>) -> Result<T> {
        let mut failed = None;
        for (id, error) in unread {
            lock(&self.view().reports).insert(id, chain(&error));
            failed.get_or_insert(error);
        }
        Err(failed.unwrap_or(Error::Closing))
    }

    /// Writes one block per window that a tenant's series have samples in.
    fn write_series(&self, generation: &Generation, tenant: &TenantId, placed: &mut Vec<Placed>) -> Result<()> {
        let now = self.clock.now_unix_nano();
        let Some(mut head) = generation.head(tenant) else { return Ok(()) };
        let windows = windows_of(&mut head, now)?;
        for &window in &windows {
            let wanted = |time: i64| windows.len() == 1 || Window::of(time, now) == window;
            let made = self.make_block((tenant, Signal::Metrics, window, 0), |dir| {
                block::write_head(self.fs.as_ref(), dir, &mut head, wanted, &self.config.block).map(Some)
            })?;
            placed.extend(made);
        }
        Ok(())
    }

    /// The first WAL segment that holds nothing of the generation that begins with `first`.
    fn segment_after(&self, first: u64) -> u64 {
        let view = self.view();
        let later = view.generations().filter_map(|other| other.first_segment());
        later.filter(|other| *other > first).min().unwrap_or(first)
    }
}

/// The windows that a head has samples in. Nearly always there is one.
fn windows_of(head: &mut HeadReader, now: i64) -> Result<BTreeSet<Window>> {
    let mut windows = BTreeSet::new();
    if let Some((min, max)) = head.time_range() {
        let (first, last) = (Window::of(min, now), Window::of(max, now));
        if first == last {
            return Ok(BTreeSet::from([first]));
        }
    }
    head.for_each(|_, samples| {
        windows.extend(samples.times().iter().map(|&time| Window::of(time, now)));
        Ok(())
    })?;
    Ok(windows)
}

/// Splits batches by the window of their rows. Nearly always there is one.
fn by_window(batches: Vec<Batch>, now: i64) -> Result<BTreeMap<Window, Vec<Batch>>> {
    let mut windows: BTreeMap<Window, Vec<Batch>> = BTreeMap::new();
    for batch in batches {
        let Some((min, max)) = batch.time_range() else { continue };
        if Window::of(min, now) == Window::of(max, now) {
            windows.entry(Window::of(min, now)).or_default().push(batch);
            continue;
        }
        for (window, keep) in split(&batch, now) {
            let columns = arrow_select::filter::filter_record_batch(batch.columns(), &keep)
                .map_err(|source| Error::Columns { action: "split a batch by window", source })?;
            let part = Batch::new(batch.signal(), columns)
                .ok_or_else(|| Error::Request { what: format!("not the schema of {}", batch.signal()) })?;
            windows.entry(window).or_default().push(part);
        }
    }
    Ok(windows)
}

/// For each window that a batch has rows in, which rows.
fn split(batch: &Batch, now: i64) -> BTreeMap<Window, BooleanArray> {
    let times = batch.columns().column_by_name(time_column(batch.signal()));
    let times =
        times.map(|times| times.as_primitive::<TimestampNanosecondType>().values().to_vec()).unwrap_or_default();
    let windows: Vec<Window> = times.iter().map(|time| Window::of(*time, now)).collect();
    let distinct: BTreeSet<Window> = windows.iter().copied().collect();
    distinct
        .into_iter()
        .map(|window| (window, windows.iter().map(|of_row| Some(*of_row == window)).collect()))
        .collect()
}
