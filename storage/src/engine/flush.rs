//! How does a sealed generation become blocks?
//!
//! F1  Blocks are written to `tmp/`, synced, and moved to their place; nobody reads them before the manifest has them.
//! F2  One manifest commit adds all blocks of the generation and moves the WAL checkpoint past it: a restart sees
//!     either the rows in the log or the rows in the blocks.
//! F3  A flush that fails leaves everything as it was and can be tried again. Where the disk refuses to tell whether the
//!     commit happened, the blocks are kept until it does, and nothing else is flushed.

use super::metrics::EngineMetrics;
use super::recovery::WAL_CHECKPOINT;
use super::store::{Store, lock};
use crate::block::{self, Block, BlockId, BlockMeta, Window};
use crate::error::{Error, Result};
use crate::fs::Filesystem;
use crate::manifest::{BlockEntry, Commit, Manifest};
use crate::memtable::Generation;
use crate::metric::HeadReader;
use crate::model::schema::time_column;
use crate::model::{Batch, Signal, TenantId};
use arrow_array::BooleanArray;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// A block in its place that the manifest does not have yet.
#[derive(Debug)]
struct Placed {
    entry: BlockEntry,
    block: Arc<Block>,
}

/// Blocks of a generation whose commit is about to happen, or may have happened.
#[derive(Debug)]
pub(super) struct Pending {
    generation: Arc<Generation>,
    placed: Vec<Placed>,
    next_segment: u64,
}

impl Store {
    /// Flushes the oldest sealed generation; does nothing where there is none.
    pub fn flush(&self) -> Result<()> {
        let mut open = lock(&self.pending);
        let started = self.clock.monotonic();
        let result = self.settle(&mut open).and_then(|()| self.flush_oldest(&mut open));
        EngineMetrics::add_time(&self.metrics.flush_nanos, self.clock.monotonic().saturating_sub(started));
        if result.is_err() {
            EngineMetrics::add(&self.metrics.flush_errors, 1);
        }
        result
    }

    fn flush_oldest(&self, open: &mut Option<Pending>) -> Result<()> {
        let Some(generation) = self.view().sealed.first().map(Arc::clone) else { return Ok(()) };
        let mut placed = Vec::new();
        let written = generation
            .tables()
            .into_iter()
            .try_for_each(|(tenant, signal)| self.write_table(&generation, &tenant, signal, &mut placed));
        if let Err(error) = written {
            self.discard(&placed);
            return Err(error);
        }
        let next_segment = self.segment_after(&generation);
        let pending = Pending { generation: Arc::clone(&generation), placed, next_segment };
        let commit = Commit {
            add: pending.placed.iter().map(|placed| placed.entry.clone()).collect(),
            remove: Vec::new(),
            checkpoints: BTreeMap::from([(WAL_CHECKPOINT.to_owned(), next_segment.to_string())]),
        };
        let committed = lock(&self.manifest).commit(commit);
        match committed {
            Ok(manifest) => self.show_blocks(pending, manifest),
            Err(error) => {
                *open = Some(pending);
                self.settle(open)?;
                let waits = self.view().sealed.iter().any(|sealed| Arc::ptr_eq(sealed, &generation));
                if waits { Err(error) } else { Ok(()) }
            }
        }
    }

    /// Finds out whether a commit whose outcome is open happened, and acts on it.
    fn settle(&self, open: &mut Option<Pending>) -> Result<()> {
        if open.is_none() {
            return Ok(());
        }
        let manifest = lock(&self.manifest).reload()?;
        let Some(pending) = open.take() else { return Ok(()) };
        let happened = manifest.checkpoints.get(WAL_CHECKPOINT) == Some(&pending.next_segment.to_string());
        if happened {
            return self.show_blocks(pending, manifest);
        }
        self.discard(&pending.placed);
        Ok(())
    }

    /// Writes one block per window that the table has rows in.
    fn write_table(
        &self,
        generation: &Generation,
        tenant: &TenantId,
        signal: Signal,
        placed: &mut Vec<Placed>,
    ) -> Result<()> {
        if signal == Signal::Metrics {
            return self.write_series(generation, tenant, placed);
        }
        let mut batches = Vec::new();
        for batch in generation.batches(tenant, signal) {
            let resolved = batch.resolved()?;
            if resolved.num_rows() > 0 {
                batches.push(resolved);
            }
        }
        let now = self.clock.now_unix_nano();
        for (window, batches) in by_window(batches, now)? {
            let config = &self.config.block;
            let write = |fs: &dyn Filesystem, dir: &Path| block::write(fs, dir, signal, &batches, config);
            placed.push(self.write_block(tenant, signal, window, now, write)?);
        }
        Ok(())
    }

    /// Writes one block per window that a tenant's series have samples in.
    fn write_series(&self, generation: &Generation, tenant: &TenantId, placed: &mut Vec<Placed>) -> Result<()> {
        let now = self.clock.now_unix_nano();
        let Some(mut head) = generation.head(tenant) else { return Ok(()) };
        let windows = windows_of(&mut head, now)?;
        for &window in &windows {
            let wanted = |time: i64| windows.len() == 1 || Window::of(time, now) == window;
            let config = &self.config.block;
            let write = |fs: &dyn Filesystem, dir: &Path| block::write_head(fs, dir, &mut head, wanted, config);
            placed.push(self.write_block(tenant, Signal::Metrics, window, now, write)?);
        }
        Ok(())
    }

    fn write_block(
        &self,
        tenant: &TenantId,
        signal: Signal,
        window: Window,
        now: i64,
        write: impl FnOnce(&dyn Filesystem, &Path) -> Result<BlockMeta>,
    ) -> Result<Placed> {
        let id = BlockId::new(now, self.next_nonce());
        let temp = self.temp_dir().join(id.to_string());
        let fs = self.fs.as_ref();
        fs.create_dir_all(&temp).map_err(Error::io("create", &temp))?;
        let meta = write(fs, &temp).inspect_err(|_| self.forget(&temp))?;
        let entry = BlockEntry {
            id,
            tenant: tenant.clone(),
            signal,
            window,
            rows: meta.rows,
            bytes: meta.bytes(),
            min_time: meta.min_time,
            max_time: meta.max_time,
            meta_crc: meta.crc(),
        };
        let path = self.blocks_dir().join(entry.path());
        let moved = self.move_block(&temp, &path);
        let opened = moved.and_then(|()| Block::open(Arc::clone(&self.fs), &path, signal, entry.meta_crc));
        match opened {
            Ok(block) => Ok(Placed { entry, block }),
            Err(error) => {
                self.forget(&temp);
                self.forget(&path);
                Err(error)
            }
        }
    }

    fn move_block(&self, from: &Path, to: &Path) -> Result<()> {
        let parent = to.parent().unwrap_or(to);
        self.fs.create_dir_all(parent).map_err(Error::io("create", parent))?;
        self.fs.rename_new(from, to).map_err(Error::io("move a block to", to))?;
        self.fs.sync_dir(parent).map_err(Error::io("sync", parent))
    }

    /// Shows committed blocks in place of their generation (E3), then releases the log.
    fn show_blocks(&self, pending: Pending, manifest: Arc<Manifest>) -> Result<()> {
        let Pending { generation, placed, next_segment } = pending;
        for Placed { entry, .. } in &placed {
            EngineMetrics::add(&self.metrics.flush_blocks, 1);
            EngineMetrics::add(&self.metrics.flush_rows, entry.rows);
            EngineMetrics::add(&self.metrics.flush_bytes, entry.bytes);
        }
        self.replace_view(|view| {
            view.manifest = manifest;
            view.sealed.retain(|sealed| !Arc::ptr_eq(sealed, &generation));
            for Placed { entry, block } in placed {
                view.add_block(&entry.tenant, entry.signal, block);
            }
        });
        // Segments that cannot be removed now are removed with the next ones, or at the next start.
        if let Err(error) = lock(&self.wal).release(next_segment) {
            tracing::warn!(%error, "failed to release segments of the write-ahead log");
        }
        Ok(())
    }

    /// The first WAL segment that holds nothing of the generation.
    fn segment_after(&self, generation: &Arc<Generation>) -> u64 {
        let view = self.view();
        let later = view.sealed.iter().chain([&view.active]).map(|other| other.first_segment());
        later.filter(|first| *first > generation.first_segment()).min().unwrap_or(generation.first_segment())
    }

    /// Removes blocks that will not be committed; what cannot be removed now is removed at the next start.
    fn discard(&self, placed: &[Placed]) {
        placed.iter().for_each(|placed| self.forget(&self.blocks_dir().join(placed.entry.path())));
    }

    fn forget(&self, dir: &Path) {
        if let Err(error) = self.fs.remove_dir_all(dir)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(dir = %dir.display(), %error, "failed to remove an unpublished block; the next start will");
        }
    }
}

/// The windows that a head has samples in. Nearly always there is one.
fn windows_of(head: &mut HeadReader, now: i64) -> Result<BTreeSet<Window>> {
    let mut windows = BTreeSet::new();
    if let Some((min, max)) = head.time_range() {
        let (first, last) = (Window::of(min, now), Window::of(max, now));
        if first == last && first != Window::OTHER {
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
        if Window::of(min, now) == Window::of(max, now) && Window::of(min, now) != Window::OTHER {
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
