//! What does the store say of a tenant's data?

use super::store::Store;
use crate::model::{Signal, TenantId};
use std::fmt;

/// A tenant's data in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineStatus {
    /// One entry per signal, in the order of [`Signal::ALL`].
    pub signals: Vec<SignalStatus>,
    /// Bytes of the write-ahead log, of all tenants.
    pub wal_bytes: u64,
    /// Why writes are refused now, if they are.
    pub refusal: Option<Shortage>,
    /// That the object store does not answer, and for how long.
    pub object_store: Option<String>,
}

/// Why writes are refused for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shortage {
    /// Memtables hold too much: blocks are not written fast enough.
    Memory {
        /// Their bytes.
        held: usize,
        /// What they may hold.
        limit: usize,
    },
    /// The disk is full, or nearly so.
    Disk {
        /// Bytes that are free.
        free: u64,
        /// How many there must be.
        least: u64,
    },
    /// How much of the disk is free cannot be told.
    Unmeasured,
    /// This process shows what others write.
    ReadOnly,
    /// The last write to the log failed.
    Log,
}

impl Shortage {
    /// The words in metrics.
    pub const REASONS: [&str; 5] = ["memory", "disk", "unmeasured", "read_only", "log"];

    /// Its word in metrics.
    pub fn reason(&self) -> &'static str {
        let [memory, disk, unmeasured, read_only, log] = Shortage::REASONS;
        match self {
            Shortage::Memory { .. } => memory,
            Shortage::Disk { .. } => disk,
            Shortage::Unmeasured => unmeasured,
            Shortage::ReadOnly => read_only,
            Shortage::Log => log,
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shortage::Memory { held, limit } => {
                write!(f, "memtables hold {held} bytes, and `storage.memory_limit_bytes` is {limit}")?;
                f.write_str("; blocks are not written fast enough")
            }
            Shortage::Disk { free, least } => {
                write!(f, "the disk has {free} bytes free, less than the {least} of `storage.min_free_bytes`")
            }
            Shortage::Unmeasured => f.write_str("the free space of the disk cannot be measured"),
            Shortage::ReadOnly => f.write_str("this process only reads (`object_store.read_only`)"),
            Shortage::Log => f.write_str("the last write to the write-ahead log failed; the server's log says why"),
        }
    }
}

/// One table in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalStatus {
    /// Which table.
    pub signal: Signal,
    /// Rows in blocks.
    pub block_rows: u64,
    /// Blocks.
    pub blocks: u64,
    /// Bytes of those blocks.
    pub block_bytes: u64,
    /// Blocks by level of compaction.
    pub levels: Vec<u64>,
    /// Blocks that are damaged and not read; they are in none of the other numbers.
    pub quarantined_blocks: u64,
    /// Rows in memory.
    pub memtable_rows: u64,
    /// Bytes of those.
    pub memtable_bytes: u64,
    /// Earliest and latest time, both inclusive.
    pub time_range: Option<(i64, i64)>,
}

impl Store {
    /// A tenant's data in numbers. Reads memory only.
    pub fn status(&self, tenant: &TenantId) -> EngineStatus {
        EngineStatus {
            signals: Signal::ALL.into_iter().map(|signal| self.signal_status(tenant, signal)).collect(),
            wal_bytes: self.wal_bytes(),
            refusal: self.refuses(),
            object_store: self.bucket_trouble(),
        }
    }

    /// Why a write would be refused now, if it would.
    pub fn shortage(&self) -> Option<Shortage> {
        self.refusal().unwrap_or(Some(Shortage::Unmeasured))
    }

    /// The same, or that the last write was refused because the log could not be written. The next one is tried all the same.
    pub fn refuses(&self) -> Option<Shortage> {
        let log = self.log_fails.load(std::sync::atomic::Ordering::Relaxed).then_some(Shortage::Log);
        self.shortage().or(log)
    }

    /// People outside see no host and no path.
    fn bucket_trouble(&self) -> Option<String> {
        let health = self.bucket_health()?;
        Some(format!("the object store has not answered as it should for {} s", health.failing_for.as_secs()))
    }

    /// What is amiss, a sentence each. Asks nobody.
    pub fn troubles(&self) -> Vec<String> {
        let refusal = self.refuses().map(|shortage| format!("writes are refused: {shortage}"));
        self.bucket_trouble().into_iter().chain(refusal).chain(self.flush_trouble()).chain(self.damage()).collect()
    }

    fn flush_trouble(&self) -> Option<String> {
        let failed = self.failed_flushes.load(std::sync::atomic::Ordering::Relaxed);
        let times = if failed == 1 { "once".to_owned() } else { format!("{failed} times in a row") };
        (failed > 0)
            .then(|| format!("what is in memory could not be written to blocks, {times}; the server's log says why"))
    }

    fn damage(&self) -> Option<String> {
        let blocks = match self.view().unread.len() {
            0 => return None,
            1 => "1 block is".to_owned(),
            blocks => format!("{blocks} blocks are"),
        };
        Some(format!("{blocks} damaged and not read; `spanlight inspect --repair` saves what can be read"))
    }

    /// The tenants that have data, be it damaged.
    pub fn tenants(&self) -> Vec<TenantId> {
        let view = self.view();
        let in_memory = view.generations().flat_map(|generation| generation.tables());
        let in_blocks = view.manifest.blocks.values().map(|entry| entry.tenant.clone());
        let tenants: std::collections::BTreeSet<TenantId> =
            in_memory.map(|(tenant, _)| tenant).chain(in_blocks).collect();
        tenants.into_iter().collect()
    }

    fn signal_status(&self, tenant: &TenantId, signal: Signal) -> SignalStatus {
        let view = self.view();
        let mut status = SignalStatus {
            signal,
            block_rows: 0,
            blocks: 0,
            block_bytes: 0,
            levels: Vec::new(),
            quarantined_blocks: 0,
            memtable_rows: 0,
            memtable_bytes: 0,
            time_range: None,
        };
        for block in view.blocks_of(tenant, signal) {
            let meta = block.meta();
            status.blocks += 1;
            status.block_rows += meta.rows;
            status.block_bytes += meta.bytes();
            status.widen(Some((meta.min_time, meta.max_time)));
            if let Some(entry) = view.manifest.blocks.get(&block.id) {
                let level = crate::compaction::level(entry, &self.config.compaction) as usize;
                status.levels.resize(status.levels.len().max(level + 1), 0);
                status.levels.get_mut(level).into_iter().for_each(|count| *count += 1);
            }
        }
        let unread = view.unread.keys().filter_map(|id| view.manifest.blocks.get(id));
        let ours = unread.filter(|entry| entry.tenant == *tenant && entry.signal == signal);
        status.quarantined_blocks = ours.count() as u64;
        for generation in view.generations() {
            let size = generation.size(tenant, signal);
            status.memtable_rows += size.rows as u64;
            status.memtable_bytes += size.bytes as u64;
            status.widen(size.time_range);
        }
        status
    }
}

impl SignalStatus {
    fn widen(&mut self, range: Option<(i64, i64)>) {
        self.time_range = match (self.time_range, range) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, None) | (None, one) => one,
        };
    }
}
