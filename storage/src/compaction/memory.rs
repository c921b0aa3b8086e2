//! How much memory does a merge hold, and how much may it?

use std::sync::atomic::{AtomicU64, Ordering};

/// What a merge may hold, and where it says what it holds; nothing once it has ended.
#[derive(Debug)]
pub(crate) struct MergeMemory<'a> {
    limit: usize,
    held: &'a AtomicU64,
}

impl<'a> MergeMemory<'a> {
    pub(crate) fn new(limit: usize, held: &'a AtomicU64) -> Self {
        MergeMemory { limit: limit.max(1), held }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// So much is held now.
    pub(super) fn hold(&self, bytes: usize) {
        self.held.store(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for MergeMemory<'_> {
    fn drop(&mut self) {
        self.hold(0);
    }
}
