//! By which settings does the store run?

use crate::block::BlockConfig;
use crate::compaction::CompactionConfig;
use crate::object::ObjectStoreConfig;
use crate::retention::RetentionConfig;
use crate::wal::WalConfig;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of the store.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where everything lies. One process at a time.
    pub data_dir: PathBuf,
    /// A generation of memtables is sealed when it holds this much. Larger makes larger blocks and a longer replay.
    pub flush_bytes: usize,
    /// A generation is sealed when it is this old, so that a quiet system's WAL stays short.
    pub flush_age: Duration,
    /// Writes are refused while memtables, sealed ones included, hold more than this.
    pub memory_limit_bytes: usize,
    /// Writes are refused while the disk has less free than this: flushes need room.
    pub min_free_bytes: u64,
    /// Requests of one group commit at most, by bytes: bounds the time to the first answer.
    pub group_bytes: usize,
    /// Requests that wait for their commit at most; further ones wait at the door.
    pub queue_length: usize,
    /// The write-ahead log.
    pub wal: WalConfig,
    /// Blocks.
    pub block: BlockConfig,
    /// Their merging.
    pub compaction: CompactionConfig,
    /// How long they are kept.
    pub retention: RetentionConfig,
    /// The bucket where they are, if they are in one.
    pub object_store: ObjectStoreConfig,
}

impl EngineConfig {
    /// Whether the store can run so; the error names the setting.
    pub fn check(&self) -> Result<(), String> {
        let positive = [
            ("flush_bytes", self.flush_bytes > 0),
            ("flush_age_seconds", !self.flush_age.is_zero()),
            ("merge_bytes_per_second", self.compaction.bytes_per_second > 0),
        ];
        if let Some((name, _)) = positive.into_iter().find(|(_, positive)| !positive) {
            return Err(format!("`storage.{name}` is 0; zero does not mean unlimited here"));
        }
        let (limit, least) = (self.memory_limit_bytes, self.flush_bytes);
        if limit < least {
            return Err(format!(
                "`storage.memory_limit_bytes` is {limit}, less than the {least} of `storage.flush_bytes`"
            ));
        }
        self.retention.check().and_then(|()| self.object_store.check())
    }

    /// The defaults, for a data directory.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        EngineConfig {
            data_dir: data_dir.into(),
            // About 300,000 spans of 350 bytes: one row group or two, and a replay of a second or two.
            flush_bytes: 128 << 20,
            flush_age: Duration::from_secs(300),
            // Two generations beyond the active one: a flush takes a few seconds, a burst must not be refused for it.
            memory_limit_bytes: 448 << 20,
            min_free_bytes: 256 << 20,
            // At 500 MB/s of log writing this is some 16 ms.
            group_bytes: 8 << 20,
            queue_length: 1024,
            wal: WalConfig::default(),
            block: BlockConfig::default(),
            compaction: CompactionConfig::default(),
            retention: RetentionConfig::default(),
            object_store: ObjectStoreConfig::default(),
        }
    }
}
