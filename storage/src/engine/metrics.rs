//! What does the store count of itself? Plain atomics, rendered by the binary.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counters since the process started.
        #[derive(Debug, Default)]
        pub struct EngineMetrics {
            $($(#[$doc])* pub $name: AtomicU64,)*
        }
    };
}

metrics! {
    /// Groups committed: each is one sync of the log.
    commit_groups,
    /// Writes acknowledged.
    commit_writes,
    /// Bytes of payload acknowledged.
    commit_bytes,
    /// Time spent writing and syncing the log.
    commit_nanos,
    /// Groups that the log could not take.
    commit_errors,
    /// Writes refused for memory or disk space.
    refused_writes,
    /// Rows that became visible.
    rows_visible,
    /// Spans left out because they were there already.
    rows_repeated,
    /// Blocks written.
    flush_blocks,
    /// Rows written to blocks.
    flush_rows,
    /// Bytes written to blocks.
    flush_bytes,
    /// Time spent flushing.
    flush_nanos,
    /// Flushes that failed and will be tried again.
    flush_errors,
    /// Merges of blocks.
    compactions,
    /// Blocks that merges read.
    compaction_read_blocks,
    /// Bytes that merges read.
    compaction_read_bytes,
    /// Rows that merges wrote.
    compaction_rows,
    /// Bytes that merges wrote.
    compaction_bytes,
    /// Time spent merging, pauses included.
    compaction_nanos,
    /// Merges that failed and will be tried again.
    compaction_errors,
    /// Bytes that the merge under way holds, now.
    compaction_memory,
    /// Blocks of metrics made that stand for others.
    thinned_blocks,
    /// Deletions that somebody asked for.
    deletions,
    /// Blocks deleted by age or size.
    retention_blocks,
    /// Bytes of those.
    retention_bytes,
    /// Records replayed at start.
    replayed_records,
}

impl EngineMetrics {
    pub(super) fn add(counter: &AtomicU64, value: u64) {
        counter.fetch_add(value, Ordering::Relaxed);
    }

    pub(super) fn add_time(counter: &AtomicU64, elapsed: Duration) {
        Self::add(counter, u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
    }
}
