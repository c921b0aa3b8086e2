//! What does a reader see? One consistent set of blocks and generations, replaced as a whole.

use crate::block::Block;
use crate::manifest::Manifest;
use crate::memtable::Generation;
use crate::model::{Signal, TenantId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Blocks of the manifest, opened, and the generations that are in no block yet.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) manifest: Arc<Manifest>,
    pub(super) blocks: BTreeMap<(TenantId, Signal), Arc<Vec<Arc<Block>>>>,
    /// Waiting for their flush, oldest first.
    pub(super) sealed: Vec<Arc<Generation>>,
    /// Taking rows.
    pub(super) active: Arc<Generation>,
}

impl View {
    /// The blocks of a table.
    pub(super) fn blocks_of(&self, tenant: &TenantId, signal: Signal) -> &[Arc<Block>] {
        self.blocks.get(&(tenant.clone(), signal)).map(|blocks| blocks.as_slice()).unwrap_or_default()
    }

    /// Adds a block to its table.
    pub(super) fn add_block(&mut self, tenant: &TenantId, signal: Signal, block: Arc<Block>) {
        let blocks = self.blocks.entry((tenant.clone(), signal)).or_default();
        Arc::make_mut(blocks).push(block);
    }

    /// Bytes of all memtables.
    pub(super) fn memory_bytes(&self) -> usize {
        self.sealed.iter().chain([&self.active]).map(|generation| generation.bytes()).sum()
    }
}
