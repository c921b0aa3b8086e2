//! What does a reader see? One consistent set of blocks and generations, replaced as a whole.

use crate::block::{BlockId, Shown};
use crate::manifest::Manifest;
use crate::memtable::Generation;
use crate::model::{Signal, TenantId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Blocks of the manifest, opened, and the generations that are in no block yet.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) manifest: Arc<Manifest>,
    pub(super) blocks: BTreeMap<(TenantId, Signal), Arc<Vec<Shown>>>,
    /// Blocks of the manifest that cannot be read, and why.
    pub(super) unread: Arc<BTreeMap<BlockId, Arc<str>>>,
    /// Blocks that readers found damaged since they were looked at last, and how; the same in every view.
    pub(super) reports: Arc<Mutex<BTreeMap<BlockId, String>>>,
    /// Waiting for their flush, oldest first.
    pub(super) sealed: Vec<Arc<Generation>>,
    /// Taking rows.
    pub(super) active: Arc<Generation>,
}

impl View {
    /// The blocks of a table.
    pub(super) fn blocks_of(&self, tenant: &TenantId, signal: Signal) -> &[Shown] {
        self.blocks.get(&(tenant.clone(), signal)).map(|blocks| blocks.as_slice()).unwrap_or_default()
    }

    /// Bytes of all memtables.
    pub(super) fn memory_bytes(&self) -> usize {
        self.sealed.iter().chain([&self.active]).map(|generation| generation.bytes()).sum()
    }
}
