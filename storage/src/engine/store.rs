//! The store as a machine without threads: open, commit, seal, flush, snapshot.
//!
//! Every step is a plain call that returns when it is done, so that a simulation can stop the world between any two.
//! One caller commits and seals, one flushes, one merges, one maintains; all may run at once. Readers never wait for any of them.

use super::config::EngineConfig;
use super::maintain::Maintenance;
use super::metrics::EngineMetrics;
use super::publish::Publisher;
use super::recovery::{self, Layout, RecoveryReport};
use super::share::{self, Sharing};
use super::snapshot::Snapshot;
use super::status::Shortage;
use super::view::View;
use crate::error::{Error, Result};
use crate::fs::{Clock, Filesystem};
use crate::memtable::Generation;
use crate::model::{Batch, Signal, TenantId};
use crate::object::{Mounted, Shared};
use crate::wal::{Record, Wal};
use bytes::Bytes;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Turns a WAL record's payload into rows again, at replay. Must give what the writer gave for the same arguments.
pub type Decoder = dyn Fn(Signal, i64, &[u8]) -> Result<Batch, String> + Send + Sync;

/// A batch to be made durable.
#[derive(Debug, Clone)]
pub struct Write {
    /// Whose.
    pub tenant: TenantId,
    /// Which table.
    pub signal: Signal,
    /// When it was received; the decoder is given it again at replay.
    pub received_at: i64,
    /// The bytes that go to the log.
    pub payload: Bytes,
    /// The rows that those bytes hold.
    pub batch: Batch,
}

/// Block numbers begin at the manifest's version, shifted so far: whatever the clock says, a process never gives a
/// number that one before it gave to a block that is still there.
const BLOCKS_PER_VERSION_BITS: u32 = 20;
/// How long a measurement of free disk space is trusted.
const FREE_SPACE_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// The machine.
pub struct Store {
    pub(super) config: EngineConfig,
    pub(super) fs: Arc<dyn Filesystem>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: EngineMetrics,
    pub(super) wal: Mutex<Wal>,
    pub(super) publisher: Mutex<Publisher>,
    pub(super) view: RwLock<Arc<View>>,
    pub(super) block_nonce: AtomicU64,
    /// Held by who reads from sources that can be read again, or seals what was read.
    pub(super) consuming: Mutex<()>,
    /// Held by who flushes.
    pub(super) flushing: Mutex<()>,
    /// Held by who merges.
    pub(super) merging: Mutex<()>,
    /// Held by who maintains, for one step.
    pub(super) maintenance: Mutex<Maintenance>,
    free_space: Mutex<Option<(std::time::Duration, u64)>>,
    /// Whether the last write to the log failed.
    pub(super) log_fails: AtomicBool,
    /// How many flushes have failed since one succeeded.
    pub(super) failed_flushes: AtomicU64,
    recovery: RecoveryReport,
    /// What this process is among those that share a bucket; `None` on a disk alone.
    pub(super) sharing: Option<Sharing>,
    _lock: Box<dyn Send + Sync>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("data_dir", &self.config.data_dir).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens a data directory, making it where there is none, and replays what is in no block yet.
    pub fn open(
        config: EngineConfig,
        fs: Arc<dyn Filesystem>,
        clock: Arc<dyn Clock>,
        decoder: &Decoder,
    ) -> Result<Store> {
        let held = recovery::take(fs.as_ref(), &config.data_dir)?;
        share::check_alone(fs.as_ref(), &Layout::new(&config.data_dir))?;
        Self::open_held(config, fs, clock, decoder, (held, None))
    }

    /// Opens a data directory whose blocks and manifest lie in a bucket, which others may have open too.
    pub fn open_shared(
        config: EngineConfig,
        disk: Arc<dyn Filesystem>,
        shared: &Shared,
        clock: Arc<dyn Clock>,
        decoder: &Decoder,
    ) -> Result<Store> {
        let dir = &config.data_dir;
        let held = recovery::take(disk.as_ref(), dir)?;
        share::check_shared(disk.as_ref(), &Layout::new(dir))?;
        // The log needs room more than the cache does.
        let least_free = config.min_free_bytes.saturating_mul(2);
        let mounted = Mounted::new(disk, Arc::clone(&clock), dir, shared, least_free);
        let mounted = mounted.map_err(Error::io("open the cache of", dir))?;
        let fs = Arc::new(mounted.clone());
        let sharing = Sharing::new(mounted, shared.role, shared.bucket.place());
        Self::open_held(config, fs, clock, decoder, (held, Some(sharing)))
    }

    fn open_held(
        config: EngineConfig,
        fs: Arc<dyn Filesystem>,
        clock: Arc<dyn Clock>,
        decoder: &Decoder,
        held: (Box<dyn Send + Sync>, Option<Sharing>),
    ) -> Result<Store> {
        let recovered = recovery::open(&config, &fs, clock.as_ref(), decoder, held)?;
        let metrics = EngineMetrics::default();
        EngineMetrics::add(&metrics.replayed_records, recovered.report.records);
        let version = recovered.view.manifest.version;
        let alone = || (version << BLOCKS_PER_VERSION_BITS).max(recovered.free_nonce);
        let block_nonce = AtomicU64::new(recovered.sharing.as_ref().map_or_else(alone, Sharing::first_nonce));
        let maintenance = Maintenance::new(&recovered.view.manifest, recovered.orphans, clock.as_ref());
        Ok(Store {
            metrics,
            wal: Mutex::new(recovered.wal),
            publisher: Mutex::new(Publisher::new(recovered.manifest)),
            view: RwLock::new(Arc::new(recovered.view)),
            block_nonce,
            consuming: Mutex::default(),
            flushing: Mutex::default(),
            merging: Mutex::default(),
            maintenance: Mutex::new(maintenance),
            free_space: Mutex::new(None),
            log_fails: AtomicBool::new(false),
            failed_flushes: AtomicU64::new(0),
            recovery: recovered.report,
            sharing: recovered.sharing,
            _lock: recovered.lock,
            config,
            fs,
            clock,
        })
    }

    /// What was found when the store was opened.
    pub fn recovery(&self) -> &RecoveryReport {
        &self.recovery
    }

    /// What the store counted.
    pub fn metrics(&self) -> &EngineMetrics {
        &self.metrics
    }

    /// Makes a group of writes durable with one sync, then visible. All of them or none (E1, E2).
    pub fn commit(&self, writes: &[Write]) -> Result<()> {
        self.check_room()?;
        let started = self.clock.monotonic();
        let records: Vec<Record<'_>> = writes.iter().map(record_of).collect();
        let appended = lock(&self.wal).append(&records);
        self.log_fails.store(appended.is_err(), Ordering::Relaxed);
        EngineMetrics::add_time(&self.metrics.commit_nanos, self.clock.monotonic().saturating_sub(started));
        if let Err(error) = appended {
            EngineMetrics::add(&self.metrics.commit_errors, 1);
            return Err(error);
        }
        let view = self.view();
        for write in writes {
            let rows = write.batch.num_rows();
            let added = show(&view, write)?;
            EngineMetrics::add(&self.metrics.rows_visible, added as u64);
            EngineMetrics::add(&self.metrics.rows_repeated, rows.saturating_sub(added) as u64);
        }
        EngineMetrics::add(&self.metrics.commit_groups, 1);
        EngineMetrics::add(&self.metrics.commit_writes, writes.len() as u64);
        let bytes = writes.iter().map(|write| write.payload.len() as u64).sum();
        EngineMetrics::add(&self.metrics.commit_bytes, bytes);
        Ok(())
    }

    /// Refuses where memory or disk space is short (E4).
    pub(super) fn check_room(&self) -> Result<()> {
        self.check_writes()?;
        match self.refusal()? {
            None => Ok(()),
            Some(shortage) => {
                EngineMetrics::add(&self.metrics.refused_writes, 1);
                Err(Error::Refused { reason: shortage.to_string() })
            }
        }
    }

    /// Why a write would be refused now, if it would.
    pub fn refusal(&self) -> Result<Option<Shortage>> {
        if self.only_reads() {
            return Ok(Some(Shortage::ReadOnly));
        }
        let (held, limit) = (self.view().memory_bytes(), self.config.memory_limit_bytes);
        if held > limit {
            return Ok(Some(Shortage::Memory { held, limit }));
        }
        let (free, least) = (self.free_bytes()?, self.config.min_free_bytes);
        Ok((free < least).then_some(Shortage::Disk { free, least }))
    }

    pub(super) fn is_half_full(&self) -> bool {
        self.view().memory_bytes() > self.config.memory_limit_bytes / 2
    }

    pub(super) fn free_bytes(&self) -> Result<u64> {
        let now = self.clock.monotonic();
        let mut measured = lock(&self.free_space);
        if let Some((at, free)) = *measured
            && now.saturating_sub(at) < FREE_SPACE_EVERY
        {
            return Ok(free);
        }
        let dir = &self.config.data_dir;
        let free = self.fs.available_bytes(dir).map_err(Error::io("measure the free space of", dir))?;
        *measured = Some((now, free));
        Ok(free)
    }

    /// Whether a generation that takes rows is large or old enough to be sealed.
    pub fn seal_is_due(&self) -> bool {
        let view = self.view();
        self.is_full(&view.active) || self.is_full(&view.consuming)
    }

    pub(super) fn is_full(&self, generation: &Generation) -> bool {
        let age = self.clock.monotonic().saturating_sub(generation.created());
        let large = generation.bytes() >= self.config.flush_bytes;
        !generation.is_empty() && (large || age >= self.config.flush_age)
    }

    /// Seals the generations that take rows and begins new ones, that of the log at a WAL boundary (G2). Leaves alone what is
    /// empty.
    pub fn seal(&self) -> Result<()> {
        self.seal_consumed();
        if self.view().active.is_empty() {
            return Ok(());
        }
        let segment = lock(&self.wal).rotate()?;
        let next = Arc::new(Generation::new(segment, self.clock.monotonic()));
        self.replace_view(|view| {
            let sealed = std::mem::replace(&mut view.active, next);
            view.sealed.push(sealed);
        });
        Ok(())
    }

    /// Whether a sealed generation waits for its flush.
    pub fn flush_is_due(&self) -> bool {
        !self.view().sealed.is_empty()
    }

    /// What a tenant's reader sees now.
    pub fn snapshot(&self, tenant: &TenantId) -> Snapshot {
        Snapshot::new(self.view(), tenant.clone())
    }

    /// Bytes of the write-ahead log.
    pub fn wal_bytes(&self) -> u64 {
        lock(&self.wal).total_bytes()
    }

    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the view in one step (E3).
    pub(super) fn replace_view(&self, change: impl FnOnce(&mut View)) {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = View::clone(&view);
        change(&mut next);
        *view = Arc::new(next);
    }

    /// A number that no other block of this process gets.
    pub(super) fn next_nonce(&self) -> u64 {
        self.block_nonce.fetch_add(1, Ordering::Relaxed)
    }

    /// Name of the checkpoint of this process's log.
    pub(super) fn wal_checkpoint(&self) -> String {
        self.sharing.as_ref().map_or_else(|| recovery::WAL_CHECKPOINT.to_owned(), Sharing::wal_checkpoint)
    }

    pub(super) fn blocks_dir(&self) -> PathBuf {
        recovery::Layout::new(&self.config.data_dir).blocks()
    }

    pub(super) fn temp_dir(&self) -> PathBuf {
        recovery::Layout::new(&self.config.data_dir).temp()
    }
}

/// Puts the rows of a synced write into the active generation. Rows that may still be let go of are no reason to leave one
/// out (G5).
pub(super) fn show(view: &View, write: &Write) -> Result<usize> {
    let blocks = view.blocks_of(&write.tenant, write.signal);
    let of_log = view.sealed.iter().filter(|generation| generation.first_segment().is_some());
    let of_log: Vec<Arc<Generation>> = of_log.map(Arc::clone).collect();
    view.active.insert(&write.tenant, write.batch.clone(), &of_log, blocks)
}

fn record_of(write: &Write) -> Record<'_> {
    Record { tenant: &write.tenant, signal: write.signal, received_at: write.received_at, payload: &write.payload }
}

/// A poisoned lock means that a thread panicked between two of our steps; each step leaves the value whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
