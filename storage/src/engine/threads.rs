//! Who drives the store? A committing thread that gathers waiting writes into groups, a flushing thread, one that merges
//! blocks, one that removes them, and where others share the bucket one that looks for what they did.
//!
//! All are plain threads: they wait for the disk, and nothing of the network's runtime may wait for them.

use super::config::EngineConfig;
use super::consume::Consumption;
use super::delete::{self, DeleteRequest, RecordScan, Recorded};
use super::metrics::EngineMetrics;
use super::pace::{Idler, Rate};
use super::recovery::RecoveryReport;
use super::snapshot::Snapshot;
use super::status::{EngineStatus, Shortage};
use super::store::{Decoder, Store, Write, lock};
use crate::error::{Error, Result};
use crate::fs::{Clock, Filesystem};
use crate::model::{Batch, TenantId};
use crate::object;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// How often it is looked whether what was read from sources is flushed, by who waits for it.
const HAND_OVER_LOOK: Duration = Duration::from_millis(5);
/// How often the flushing thread looks at the age of the active generation.
const TICK: Duration = Duration::from_secs(1);
/// How often the maintaining thread looks for work.
const MAINTAIN_EVERY: Duration = Duration::from_secs(5);
/// How often the manifest is read for what other processes have committed.
const REFRESH_EVERY: Duration = Duration::from_secs(5);
/// How long a failed flush rests before it is tried again; doubled up to the maximum.
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// The store with its threads.
#[derive(Debug)]
pub struct Engine {
    store: Arc<Store>,
    queue: mpsc::Sender<Command>,
    flusher: Arc<Flusher>,
    idler: Arc<Idler>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
enum Command {
    Append(Write, oneshot::Sender<Result<()>>),
    Seal(oneshot::Sender<Result<()>>),
    Close,
}

/// What the flushing thread waits for.
#[derive(Debug, Default)]
struct Flusher {
    closing: AtomicBool,
    wanted: Mutex<bool>,
    wake: Condvar,
    /// How many flushes have succeeded.
    flushed: watch::Sender<u64>,
}

impl Engine {
    /// Opens a data directory and starts the threads.
    pub fn open(
        config: EngineConfig,
        fs: Arc<dyn Filesystem>,
        clock: Arc<dyn Clock>,
        decoder: Box<Decoder>,
    ) -> Result<Arc<Engine>> {
        let (queue, commands) = mpsc::channel(config.queue_length.max(1));
        let store = if config.object_store.is_set() {
            let shared = object::connect(&config.object_store)?;
            Store::open_shared(config, fs, &shared, clock, decoder.as_ref())?
        } else {
            Store::open(config, fs, clock, decoder.as_ref())?
        };
        let store = Arc::new(store);
        let flusher = Arc::new(Flusher::default());
        let idler = Arc::new(Idler::default());
        let mut threads = vec![
            spawn("commit", {
                let (store, flusher) = (Arc::clone(&store), Arc::clone(&flusher));
                move || commit_loop(&store, &flusher, commands)
            })?,
            spawn("maintain", {
                let (store, idler) = (Arc::clone(&store), Arc::clone(&idler));
                move || maintain_loop(&store, &idler)
            })?,
            spawn("merge", {
                let (store, idler) = (Arc::clone(&store), Arc::clone(&idler));
                move || merge_loop(&store, &idler)
            })?,
            spawn("flush", {
                let (store, flusher, queue) = (Arc::clone(&store), Arc::clone(&flusher), queue.clone());
                move || flush_loop(&store, &flusher, &queue)
            })?,
        ];
        if store.sharing.is_some() {
            let (store, idler) = (Arc::clone(&store), Arc::clone(&idler));
            threads.push(spawn("refresh", move || refresh_loop(&store, &idler))?);
        }
        Ok(Arc::new(Engine { store, queue, flusher, idler, threads: Mutex::new(threads) }))
    }

    /// Makes a batch durable and visible (E1). May be dropped: a write that was handed over goes on.
    pub async fn append(&self, write: Write) -> Result<()> {
        self.store.check_writes()?;
        let (done, outcome) = oneshot::channel();
        self.queue.send(Command::Append(write, done)).await.map_err(|_| Error::Closing)?;
        outcome.await.map_err(|_| Error::Closing)?
    }

    /// Seals what is in memory and waits until it is in blocks, however often the flush must be tried.
    pub async fn flush(&self) -> Result<()> {
        let (done, outcome) = oneshot::channel();
        self.queue.send(Command::Seal(done)).await.map_err(|_| Error::Closing)?;
        outcome.await.map_err(|_| Error::Closing)??;
        let mut flushed = self.flusher.flushed.subscribe();
        while self.store.flush_is_due() {
            flushed.changed().await.map_err(|_| Error::Closing)?;
        }
        Ok(())
    }

    /// Takes rows of sources that can be read again (K1 of `consume`). Waits for nothing.
    pub fn consume(&self, consumption: &Consumption) -> Result<()> {
        self.store.consume(consumption)?;
        if self.store.consumed_is_due() {
            self.store.seal_consumed();
            self.flusher.request();
        }
        Ok(())
    }

    /// Says where the reading of new sources begins. Writes a file, and may wait for the bucket.
    pub fn begin_sources(&self, beginnings: &BTreeMap<String, u64>) -> Result<()> {
        self.store.begin_sources(beginnings)
    }

    /// Up to where a source has been read; `None` where it never was.
    pub fn position(&self, source: &str) -> Option<u64> {
        self.store.position(source)
    }

    /// Up to where a source's rows are in blocks.
    pub fn committed_position(&self, source: &str) -> Option<u64> {
        self.store.committed_position(source)
    }

    /// The names of the sources that begin so.
    pub fn sources(&self, prefix: &str) -> Vec<String> {
        self.store.sources(prefix)
    }

    /// How often rows of sources have vanished from memory, to be read again from `position`.
    pub fn relapses(&self) -> u64 {
        self.store.relapses()
    }

    /// Learns what others have committed, where the store is shared. May wait for the bucket.
    pub fn refresh(&self) -> Result<()> {
        self.store.refresh()
    }

    /// Flushes what was read from sources, or lets go of it where that takes longer: whoever reads them next begins behind what
    /// this process shows. Whether it was flushed. Waits.
    pub fn hand_over(&self, at_most: Duration) -> bool {
        self.store.seal_consumed();
        self.flusher.request();
        let begun = self.store.clock.monotonic();
        while !self.store.consumed_is_flushed() {
            if self.store.clock.monotonic().saturating_sub(begun) >= at_most {
                self.store.forget_consumed();
                return false;
            }
            std::thread::sleep(HAND_OVER_LOOK);
        }
        true
    }

    /// Whose turn it is to take what depends on what is seen from now on (K4 of `consume`). May write a file, and wait for the bucket.
    pub fn turn(&self) -> Result<u64> {
        self.store.turn()
    }

    /// Takes rows by a turn, all or none of them, and waits until they are in blocks. Where that takes longer they may come there yet.
    pub fn take_turn(&self, turn: u64, rows: Vec<(TenantId, Batch)>, at_most: Duration) -> Result<()> {
        let relapses = self.store.relapses();
        self.store.consume_by_turn(turn, rows)?;
        self.store.seal_consumed();
        self.flusher.request();
        let begun = self.store.clock.monotonic();
        while !self.store.turn_is_flushed(turn, relapses)? {
            if self.store.clock.monotonic().saturating_sub(begun) >= at_most {
                let reason = "what was taken could not be written in time, and may be yet".into();
                return Err(Error::Refused { reason });
            }
            std::thread::sleep(HAND_OVER_LOOK);
        }
        Ok(())
    }

    /// Deletes the rows of blocks that match (L1 of `delete`): `flush` before, so that all of them are. Reads and writes files;
    /// the record of the deletion, and `None` where nothing matched.
    pub fn delete(&self, request: &DeleteRequest) -> Result<Option<Recorded>> {
        delete::check(request)?;
        let deleted = self.store.delete(request)?;
        // The record is in the manifest already; its file follows, if need be later.
        maintained("record what was deleted", self.store.record());
        Ok(deleted)
    }

    /// The record of a tenant's deletions, to be read newest first. Reads files.
    pub fn deletions(&self, tenant: &TenantId) -> Result<RecordScan> {
        self.store.deletions(tenant)
    }

    /// What a tenant's reader sees now.
    pub fn snapshot(&self, tenant: &TenantId) -> Snapshot {
        self.store.snapshot(tenant)
    }

    /// A tenant's data in numbers.
    pub fn status(&self, tenant: &TenantId) -> EngineStatus {
        self.store.status(tenant)
    }

    /// Why a write would be refused now, if it would.
    pub fn shortage(&self) -> Option<Shortage> {
        self.store.shortage()
    }

    /// Whether rows wait for their blocks while half of the memory that they may have is taken: who can wait may let blocks be written first.
    pub fn is_half_full(&self) -> bool {
        self.store.flush_is_due() && self.store.is_half_full()
    }

    /// The tenants that have data.
    pub fn tenants(&self) -> Vec<TenantId> {
        self.store.tenants()
    }

    /// What the store counted.
    pub fn metrics(&self) -> &EngineMetrics {
        self.store.metrics()
    }

    /// For `/ready`: that the store is open, and what is amiss all the same, a line each. Asks nobody.
    pub fn readiness(&self) -> String {
        let troubles = self.store.troubles().into_iter().map(|trouble| format!("{trouble}\n"));
        std::iter::once("ready\n".to_owned()).chain(troubles).collect()
    }

    /// Requests that wait for the log, and how many may.
    pub(super) fn write_queue(&self) -> (usize, usize) {
        let most = self.queue.max_capacity();
        (most.saturating_sub(self.queue.capacity()), most)
    }

    /// The store itself, for its numbers.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// What was found when the store was opened.
    pub fn recovery(&self) -> &RecoveryReport {
        self.store.recovery()
    }

    /// Commits what waits, finishes a flush under way, and ends the threads. What is in memory is in the log.
    pub fn close(&self) -> Result<()> {
        self.flusher.closing.store(true, Ordering::Release);
        self.flusher.request();
        self.idler.close();
        // A full queue empties as the committing thread goes on; a closed one means that it has ended.
        while let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(Command::Close) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let threads = std::mem::take(&mut *lock(&self.threads));
        let panicked = threads.into_iter().filter_map(|thread| thread.join().err()).count();
        if panicked > 0 { Err(Error::Closing) } else { Ok(()) }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let builder = std::thread::Builder::new().name(format!("storage-{name}"));
    builder.spawn(run).map_err(Error::io("start a thread for", name))
}

impl Flusher {
    fn request(&self) {
        *lock(&self.wanted) = true;
        self.wake.notify_one();
    }

    fn wait(&self, at_most: Duration) {
        let wanted = lock(&self.wanted);
        let waited = self.wake.wait_timeout_while(wanted, at_most, |wanted| !*wanted);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

/// Commits until told to close; then what still waits is committed too.
fn commit_loop(store: &Store, flusher: &Flusher, mut commands: mpsc::Receiver<Command>) {
    let mut closing = false;
    while let Some(command) = if closing { commands.try_recv().ok() } else { commands.blocking_recv() } {
        let mut group = Group::default();
        let mut next = Some(command);
        while let Some(command) = next.take() {
            match command {
                Command::Append(write, done) => group.push(write, done),
                Command::Seal(done) => group.seals.push(done),
                Command::Close => {
                    closing = true;
                    commands.close();
                }
            }
            if group.bytes < store.config.group_bytes {
                next = commands.try_recv().ok();
            }
        }
        group.commit(store);
        if !group.seals.is_empty() || store.seal_is_due() {
            let sealed = store.seal();
            flusher.request();
            group.answer_seals(&sealed);
        }
    }
}

/// Writes that share one sync.
#[derive(Default)]
struct Group {
    writes: Vec<Write>,
    waiting: Vec<oneshot::Sender<Result<()>>>,
    seals: Vec<oneshot::Sender<Result<()>>>,
    bytes: usize,
}

impl Group {
    fn push(&mut self, write: Write, done: oneshot::Sender<Result<()>>) {
        self.bytes += write.payload.len();
        self.writes.push(write);
        self.waiting.push(done);
    }

    fn commit(&mut self, store: &Store) {
        if self.writes.is_empty() {
            return;
        }
        let outcome = store.commit(&self.writes);
        if let Err(error) = &outcome {
            tracing::error!(error = %chain(error), writes = self.writes.len(), "failed to commit a group");
        }
        // A client that went away does not wait for its answer any more.
        self.waiting.drain(..).for_each(|done| drop(done.send(for_one(&outcome))));
    }

    fn answer_seals(&mut self, outcome: &Result<()>) {
        if let Err(error) = outcome {
            tracing::error!(error = %chain(error), "failed to seal the memtables");
        }
        self.seals.drain(..).for_each(|done| drop(done.send(for_one(outcome))));
    }
}

/// Each writer of a group gets the outcome; errors of the file system are not clonable.
fn for_one(outcome: &Result<()>) -> Result<()> {
    match outcome {
        Ok(()) => Ok(()),
        Err(Error::Refused { reason }) => Err(Error::Refused { reason: reason.clone() }),
        Err(error) => Err(Error::Refused { reason: error.to_string() }),
    }
}

fn flush_loop(store: &Store, flusher: &Flusher, queue: &mpsc::Sender<Command>) {
    let mut rest = Duration::ZERO;
    // Of many processes that lost the same bucket, not all come back at the same moment.
    let mut jitter = Pcg64::seed_from_u64(store.clock.now_unix_nano().cast_unsigned());
    while !flusher.closing.load(Ordering::Acquire) {
        flusher.wait(if rest.is_zero() { TICK } else { rest.mul_f64(jitter.random_range(0.5..1.0)) });
        if store.seal_is_due() {
            let (done, _) = oneshot::channel();
            // Where the queue is full, writes come in and the committing thread seals by itself.
            drop(queue.try_send(Command::Seal(done)));
        }
        while store.flush_is_due() && !flusher.closing.load(Ordering::Acquire) {
            match store.flush() {
                Ok(()) => {
                    rest = Duration::ZERO;
                    flusher.flushed.send_modify(|count| *count += 1);
                }
                Err(error) => {
                    rest = (rest * 2).clamp(RETRY_MIN, RETRY_MAX);
                    tracing::error!(error = %chain(&error), retry_in = ?rest, "failed to flush; rows stay in memory, and where they came from");
                    break;
                }
            }
        }
    }
}

/// Shows what others commit until told to close. That the bucket does not answer is told where it is asked.
fn refresh_loop(store: &Store, idler: &Idler) {
    while idler.rest(REFRESH_EVERY) {
        if let Err(error) = store.refresh() {
            tracing::debug!(error = %chain(&error), "failed to read what others have committed; it is tried again");
        }
    }
}

/// Maintains until told to close. Waits for no merge: what is damaged or old goes in time, however slow merges are.
fn maintain_loop(store: &Store, idler: &Idler) {
    while idler.rest(MAINTAIN_EVERY) {
        store.collect();
        maintained("examine blocks", store.examine());
        maintained("delete what is old", store.retain());
        maintained("record what was deleted", store.record());
    }
}

/// Merges until told to close; a merge under way is given up then, and left no trace.
fn merge_loop(store: &Store, idler: &Idler) {
    let mut rate = Rate::new(store.config.compaction.bytes_per_second, store.clock.monotonic());
    while idler.rest(MAINTAIN_EVERY) {
        loop {
            let merged = store.compact(&mut |bytes| {
                let pause = rate.take(bytes, store.clock.monotonic());
                if idler.rest(pause) { Ok(()) } else { Err(Error::Closing) }
            });
            if !maintained("merge blocks", merged).unwrap_or(false) {
                break;
            }
        }
    }
}

/// Says what failed; it is tried again.
fn maintained<T>(what: &str, result: Result<T>) -> Option<T> {
    match result {
        Ok(done) => Some(done),
        Err(Error::Closing) => None,
        Err(error) => {
            tracing::warn!(error = %chain(&error), "failed to {what}; it is tried again");
            None
        }
    }
}

/// An error with all its causes, for operators.
pub(super) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
