//! How do rows come in from a source that keeps them itself, such as a partition of a topic?
//!
//! They need no log: they go to memory together with their offsets, and the commit that adds their blocks says how far the source
//! has been read. What a crash takes from memory is read again.
//!
//! K1  Rows are taken with the range of offsets that they came from, and only where that joins what has been read, in memory or in
//!     blocks. So each is visible once, from the moment at which it is taken.
//! K2  Where others commit what is in memory here too, the commit that is shown takes their blocks in and our rows out in one step.
//! K3  Rows may vanish from memory without having come to a block: the source keeps them. `relapses` counts how often; a reader
//!     that sees it grow goes back to `position`.
//!
//! K4  What depends on what was seen is taken by turns: a source without messages, whose next number was told before the look, and which
//!     only one has. So of two that do the same one fails, also where they are processes that share a bucket.
//!
//! Not here: who reads (the doors), how a range is committed (`flush`).

use super::metrics::EngineMetrics;
use super::store::{Store, lock};
use super::view::View;
use crate::error::{Error, Result};
use crate::manifest::{Commit, SourceRange, SourceRanges};
use crate::memtable::Generation;
use crate::model::{Batch, TenantId};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

/// The source of what is taken by turns (K4).
const TURNS: &str = "turns";

/// What was read from sources.
#[derive(Debug, Default)]
pub struct Consumption {
    /// The rows, with whose they are.
    pub rows: Vec<(TenantId, Batch)>,
    /// The offsets from the first up to, and without, the second, by source. They may have held more messages than rows, or none.
    pub read: BTreeMap<String, (u64, u64)>,
}

impl Store {
    /// Takes rows into memory, where they are visible at once (K1). Reads and writes no file.
    pub fn consume(&self, consumption: &Consumption) -> Result<()> {
        self.check_room()?;
        let one_at_a_time = lock(&self.consuming);
        let read = ranges(&consumption.read);
        let (view, generation) = self.take_note(&consumption.read, &read)?;
        let others = |other: &&Arc<Generation>| !Arc::ptr_eq(other, &generation);
        let others: Vec<Arc<Generation>> = view.generations().filter(others).map(Arc::clone).collect();
        let (mut rows, mut added) = (0, 0);
        for (tenant, batch) in &consumption.rows {
            rows += batch.num_rows();
            let blocks = view.blocks_of(tenant, batch.signal());
            match generation.insert(tenant, batch.clone(), &others, blocks) {
                Ok(fresh) => added += fresh,
                Err(error) => {
                    // Their offsets are noted already: all of it is read again.
                    self.forget_consumed();
                    return Err(error);
                }
            }
        }
        drop(one_at_a_time);
        EngineMetrics::add(&self.metrics.rows_visible, added as u64);
        EngineMetrics::add(&self.metrics.rows_repeated, rows.saturating_sub(added) as u64);
        Ok(())
    }

    /// Checks that all ranges join, and notes them, in one step against whoever shows a commit (K2).
    fn take_note(
        &self,
        read: &BTreeMap<String, (u64, u64)>,
        ranges: &SourceRanges,
    ) -> Result<(Arc<View>, Arc<Generation>)> {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        for (name, &(from, _)) in read {
            let position = view.position(name);
            if position != Some(from) {
                return Err(Error::Disjoint { name: name.clone(), position, from });
            }
        }
        view.consuming.read_on(ranges);
        Ok((Arc::clone(&view), Arc::clone(&view.consuming)))
    }

    /// Says in the manifest where the reading of new sources begins; of those that are known already nothing is said.
    pub fn begin_sources(&self, beginnings: &BTreeMap<String, u64>) -> Result<()> {
        self.check_writes()?;
        self.publish(Vec::new(), None, |manifest| {
            let new = beginnings.iter().filter(|(name, _)| !manifest.sources.contains_key(*name));
            let range = |&to: &u64| SourceRange { from: None, to };
            let consumed: SourceRanges = new.map(|(name, to)| (name.clone(), range(to))).collect();
            (!consumed.is_empty()).then(|| Commit {
                consumed,
                checkpoints: self.flush_checkpoint(),
                ..Commit::default()
            })
        })?;
        Ok(())
    }

    /// Whose turn it is (K4), by what is committed now. Writes a file the first time, and may wait for the bucket.
    pub fn turn(&self) -> Result<u64> {
        self.refresh()?;
        if self.position(TURNS).is_none() {
            self.begin_sources(&BTreeMap::from([(TURNS.to_owned(), 0)]))?;
        }
        Ok(self.position(TURNS).unwrap_or(0))
    }

    /// Takes rows into memory that come to blocks all at once, or not at all, if it is that turn yet.
    pub fn consume_by_turn(&self, turn: u64, rows: Vec<(TenantId, Batch)>) -> Result<()> {
        self.consume(&Consumption { rows, read: BTreeMap::from([(TURNS.to_owned(), (turn, turn + 1))]) })
    }

    /// Whether what was taken by a turn is in blocks, as long as nothing has vanished since so many times (K3); else it may have.
    pub fn turn_is_flushed(&self, turn: u64, relapses: u64) -> Result<bool> {
        let view = self.view();
        if view.relapses != relapses {
            let reason = "rows have gone from memory before they were in a block; look whether they are there".into();
            return Err(Error::Refused { reason });
        }
        Ok(view.manifest.sources.get(TURNS).is_some_and(|next| *next > turn))
    }

    /// Up to where a source has been read; `None` where it never was.
    pub fn position(&self, source: &str) -> Option<u64> {
        self.view().position(source)
    }

    /// Up to where a source's rows are in blocks.
    pub fn committed_position(&self, source: &str) -> Option<u64> {
        self.view().manifest.sources.get(source).copied()
    }

    /// The names of the sources that begin so, of those that rows in blocks were read from.
    pub fn sources(&self, prefix: &str) -> Vec<String> {
        let view = self.view();
        let from = view.manifest.sources.range(prefix.to_owned()..);
        from.map(|(name, _)| name).take_while(|name| name.starts_with(prefix)).cloned().collect()
    }

    /// How often rows of sources have vanished from memory (K3).
    pub fn relapses(&self) -> u64 {
        self.view().relapses
    }

    /// Seals what was read from sources. Does nothing where nothing was.
    pub fn seal_consumed(&self) {
        let _one_at_a_time = lock(&self.consuming);
        if self.view().consuming.is_empty() {
            return;
        }
        let next = Arc::new(Generation::of_sources(self.clock.monotonic()));
        self.replace_view(|view| {
            // Another may have let go of it meanwhile.
            if !view.consuming.is_empty() {
                let sealed = std::mem::replace(&mut view.consuming, next);
                view.sealed.push(sealed);
            }
        });
    }

    /// Whether what was read from sources is large or old enough to be sealed.
    pub fn consumed_is_due(&self) -> bool {
        self.is_full(&self.view().consuming)
    }

    /// Whether all that was read from sources is in blocks.
    pub fn consumed_is_flushed(&self) -> bool {
        let view = self.view();
        view.consuming.is_empty() && view.sealed.iter().all(|generation| generation.first_segment().is_some())
    }

    /// Lets go of what was read from sources and is in no block yet: somebody reads it again (K3).
    pub fn forget_consumed(&self) {
        let now = self.clock.monotonic();
        self.replace_view(|view| view.forget_consumed(now));
    }

    /// What tells a flush of consumed rows from the same flush by another process. On a disk alone there is no other.
    pub(super) fn flush_checkpoint(&self) -> BTreeMap<String, String> {
        let name = self.sharing.as_ref().map(super::share::Sharing::flush_checkpoint);
        name.map(|name| (name, self.next_nonce().to_string())).into_iter().collect()
    }
}

fn ranges(read: &BTreeMap<String, (u64, u64)>) -> SourceRanges {
    read.iter().map(|(name, &(from, to))| (name.clone(), SourceRange { from: Some(from), to })).collect()
}
