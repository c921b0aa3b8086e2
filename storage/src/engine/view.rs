//! What does a reader see? One consistent set of blocks and generations, replaced as a whole.

use super::spread::Spreads;
use crate::block::{BlockId, Shown};
use crate::manifest::{Manifest, SourceRanges};
use crate::memtable::Generation;
use crate::model::{Signal, TenantId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Blocks of the manifest, opened, and the generations that are in no block yet.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) manifest: Arc<Manifest>,
    pub(super) blocks: BTreeMap<(TenantId, Signal), Arc<Vec<Shown>>>,
    /// Blocks of the manifest that cannot be read, and why.
    pub(super) unread: Arc<BTreeMap<BlockId, Arc<str>>>,
    /// Blocks that readers found damaged since they were looked at last, and how; the same in every view.
    pub(super) reports: Arc<Mutex<BTreeMap<BlockId, String>>>,
    /// Which traces lie in several blocks; the same in every view.
    pub(super) spreads: Arc<Spreads>,
    /// Waiting for their flush, oldest first.
    pub(super) sealed: Vec<Arc<Generation>>,
    /// Taking rows of the log.
    pub(super) active: Arc<Generation>,
    /// Taking rows of sources that can be read again.
    pub(super) consuming: Arc<Generation>,
    /// How often rows of sources were let go of: their readers have to go back.
    pub(super) relapses: u64,
}

impl View {
    /// The blocks of a table.
    pub(super) fn blocks_of(&self, tenant: &TenantId, signal: Signal) -> &[Shown] {
        self.blocks.get(&(tenant.clone(), signal)).map(|blocks| blocks.as_slice()).unwrap_or_default()
    }

    /// Bytes of all memtables.
    pub(super) fn memory_bytes(&self) -> usize {
        self.generations().map(|generation| generation.bytes()).sum()
    }

    /// All generations, those that were begun first first.
    pub(super) fn generations(&self) -> impl Iterator<Item = &Arc<Generation>> {
        self.sealed.iter().chain([&self.consuming, &self.active])
    }

    /// Up to where a source has been read, in memory or else in blocks.
    pub(super) fn position(&self, source: &str) -> Option<u64> {
        let mut newest_first = [&self.consuming].into_iter().chain(self.sealed.iter().rev());
        let in_memory = newest_first.find_map(|generation| generation.position(source));
        in_memory.or_else(|| self.manifest.sources.get(source).copied())
    }

    /// Lets go of all rows that were read from sources and are in no block.
    pub(super) fn forget_consumed(&mut self, now: Duration) {
        self.sealed.retain(|generation| generation.first_segment().is_some());
        self.consuming = Arc::new(Generation::of_sources(now));
        self.relapses += 1;
    }

    /// Lets go of them where they do not join what the manifest says was read: others have brought the same, or will.
    pub(super) fn forget_unless_joined(&mut self, now: Duration) {
        let read = self.sealed.iter().chain([&self.consuming]).filter_map(|generation| generation.consumed());
        if !joined(&self.manifest, read) {
            self.forget_consumed(now);
        }
    }
}

/// Whether each range begins where the one before it, or the manifest, ends (N13 of `manifest`).
pub(super) fn joined(manifest: &Manifest, read: impl IntoIterator<Item = SourceRanges>) -> bool {
    let mut reached: BTreeMap<String, u64> = BTreeMap::new();
    read.into_iter().flatten().all(|(source, range)| {
        let at = reached.get(&source).or_else(|| manifest.sources.get(&source)).copied();
        reached.insert(source, range.to);
        at == range.from
    })
}
