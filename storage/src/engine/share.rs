//! How do several processes keep one store in a bucket?
//!
//! H1  Every writer has a number of its own and a log of its own. Both are in the manifest: `wal/<number>` says from which segment
//!     on its rows are in no block, `writer/<number>` how often it has been started.
//! H2  A writer's first act is a commit. What its last process had under way cannot become a commit after it (N4), and a process
//!     that finds a later start of its own number commits nothing any more. The commit holds a word that no other process has
//!     (`process/<number>`): of two that begin at once, each knows whose commit it was.
//! H3  Ids of blocks hold the writer's number and start, so no two processes make the same.
//! H4  A data directory belongs to one place. With another bucket, or without one, it is not opened.
//! H5  Files of a block are removed [`GRACE`] after the manifest let go of it: readers in other processes may still hold on to it.
//!     Files that the manifest does not have are removed once they have been seen twice, so far apart, and are older than the
//!     manifest's floor, so that nobody can commit them any more (N12).
//! H6  A reader changes nothing in the bucket.
//!
//! Not here: how a commit is made and shown (`publish`).

use super::maintain::Maintenance;
use super::publish::Outcome;
use super::recovery::{self, Layout};
use super::store::{Store, lock};
use crate::block::BlockId;
use crate::error::{Error, Result};
use crate::fs::{Filesystem, WriteFile};
use crate::manifest::{Commit, Manifest, ManifestStore};
use crate::object::{BucketCounters, BucketHealth, Mounted, Role};
use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long files stay that no process needs from now on: more than a reader's longest query and the time in which it finds out.
pub(super) const GRACE: Duration = Duration::from_secs(900);
/// How often the bucket is searched for what was left behind.
const LOOK_EVERY: Duration = Duration::from_secs(6 * 3_600);
/// Starts of many writers at once are conflicts; each try is one that another has won.
const MOST_TRIES: usize = 64;
/// Numbers of blocks: 20 bits for the writer, 20 for its start, and 24 for blocks.
const WRITER_SHIFT: u32 = 44;
const START_SHIFT: u32 = 24;
const FIELD: u64 = (1 << 20) - 1;
/// First word of the file that says whose data directory it is.
const MAGIC: &str = "spanlight-writer 1";

/// What a process is among those that share a bucket.
#[derive(Debug)]
pub(super) struct Sharing {
    pub(super) mounted: Mounted,
    pub(super) role: Role,
    place: String,
    /// `None` until it has begun, and for readers.
    writer: Option<Writer>,
}

/// A writer's number, how often it has been started, and what tells this process from any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Writer {
    number: u64,
    start: u64,
    word: u64,
}

impl Writer {
    fn checkpoint(self) -> String {
        format!("writer/{}", self.number)
    }

    /// What its first commit says.
    fn checkpoints(self) -> BTreeMap<String, String> {
        let word = format!("{:016x}", self.word);
        [(self.checkpoint(), self.start.to_string()), (format!("process/{}", self.number), word)].into()
    }
}

impl Sharing {
    pub(super) fn new(mounted: Mounted, role: Role, place: String) -> Self {
        Sharing { mounted, role, place, writer: None }
    }

    /// Name of the checkpoint of this process's log.
    pub(super) fn wal_checkpoint(&self) -> String {
        self.writer.map_or_else(|| recovery::WAL_CHECKPOINT.to_owned(), |writer| format!("wal/{}", writer.number))
    }

    /// Name of the checkpoint that tells this process's flushes of other sources from those of others.
    pub(super) fn flush_checkpoint(&self) -> String {
        self.writer.map_or_else(|| "flush".to_owned(), |writer| format!("flush/{}", writer.number))
    }

    /// The first number of this process's blocks.
    pub(super) fn first_nonce(&self) -> u64 {
        let writer = self.writer.unwrap_or(Writer { number: 0, start: 0, word: 0 });
        ((writer.number & FIELD) << WRITER_SHIFT) | ((writer.start & FIELD) << START_SHIFT)
    }

    /// Refuses to go on where the same writer was started again elsewhere (H2), or where there is none.
    pub(super) fn check(&self, manifest: &Manifest, layout: &Layout) -> Result<()> {
        let Some(writer) = self.writer else { return Err(Error::ReadOnly) };
        let said = writer.checkpoints();
        let is_ours = said.iter().all(|(name, value)| manifest.checkpoints.get(name) == Some(value));
        if is_ours { Ok(()) } else { Err(Error::InUse { path: layout.path().to_owned() }) }
    }
}

/// Finds out, or is told by the manifest, which writer this is, and says there that it has started (H1, H2).
pub(super) fn begin(
    sharing: &mut Sharing,
    fs: &dyn Filesystem,
    layout: &Layout,
    store: &mut ManifestStore,
) -> Result<Arc<Manifest>> {
    let known = read_writer(fs, layout, &sharing.place)?;
    if sharing.role == Role::Reader {
        return match known {
            Some(_) => Err(misplaced(layout, "it holds the log of a writer, and this process only reads".into())),
            None => Ok(Arc::clone(store.current())),
        };
    }
    // The keys of a hash map are the random numbers that the standard library has.
    let word = RandomState::new().build_hasher().finish();
    for _ in 0..MOST_TRIES {
        let manifest = Arc::clone(store.current());
        let number = known.map_or_else(|| next_number(&manifest), Ok)?;
        let mut writer = Writer { number, start: 0, word };
        writer.start = recovery::checkpoint(&manifest, &writer.checkpoint(), layout.path())? + 1;
        match store.commit(Commit { checkpoints: writer.checkpoints(), ..Commit::default() }) {
            Ok(manifest) => {
                if known.is_none() {
                    write_writer(fs, layout, &sharing.place, number)?;
                }
                sharing.writer = Some(writer);
                return Ok(manifest);
            }
            Err(Error::Conflict { .. }) => drop(store.refresh()?),
            Err(error) => return Err(error),
        }
    }
    Err(Error::Conflict { version: store.current().version + 1 })
}

fn next_number(manifest: &Manifest) -> Result<u64> {
    let names = manifest.checkpoints.keys().filter_map(|name| name.strip_prefix("writer/"));
    let number = names.filter_map(|number| number.parse::<u64>().ok()).max().map_or(1, |last| last + 1);
    if number > FIELD {
        Err(Error::Request { what: "no number is left for another writer".into() })
    } else {
        Ok(number)
    }
}

fn misplaced(layout: &Layout, what: String) -> Error {
    Error::Place { path: layout.path().to_owned(), what }
}

/// Whether a data directory belongs to a bucket: but for the log, what it holds is there.
pub(crate) fn is_shared(fs: &dyn Filesystem, layout: &Layout) -> Result<bool> {
    match fs.open(&layout.writer()) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        opened => opened.map(|_| true).map_err(Error::io("open", layout.writer())),
    }
}

/// Refuses a data directory that belongs to a bucket, for a store on the disk alone (H4).
pub(super) fn check_alone(fs: &dyn Filesystem, layout: &Layout) -> Result<()> {
    if is_shared(fs, layout)? {
        return Err(misplaced(layout, "its blocks are in an object store, and none is set".into()));
    }
    Ok(())
}

/// Refuses a data directory with a store of its own, for a bucket (H4).
pub(super) fn check_shared(disk: &dyn Filesystem, layout: &Layout) -> Result<()> {
    match disk.list(&layout.manifest()) {
        Ok(names) if names.iter().any(|name| !name.name.ends_with(".tmp")) => {
            Err(misplaced(layout, "its blocks are on its own disk, and an object store is set".into()))
        }
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("list", layout.manifest())(error)),
        _ => Ok(()),
    }
}

/// Three lines: what the file is, the place, the number.
fn read_writer(fs: &dyn Filesystem, layout: &Layout, place: &str) -> Result<Option<u64>> {
    let path = layout.writer();
    let file = match fs.open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(Error::io("open", &path))?,
    };
    let mut bytes = vec![0; usize::try_from(file.len()).unwrap_or(0)];
    file.read_at(0, &mut bytes).map_err(Error::io("read", &path))?;
    let text = String::from_utf8(bytes).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    match *lines.as_slice() {
        [MAGIC, found, number] if found == place => {
            let number = number.parse().map_err(|_| Error::Damaged { path, what: format!("writer `{number}`") })?;
            Ok(Some(number))
        }
        [MAGIC, found, _] => Err(misplaced(layout, format!("it belongs to the bucket {found}, and {place} is set"))),
        _ => Err(Error::Damaged { path, what: "it does not name a place and a writer".into() }),
    }
}

fn write_writer(fs: &dyn Filesystem, layout: &Layout, place: &str, number: u64) -> Result<()> {
    let (path, temporary) = (layout.writer(), layout.path().join("WRITER.tmp"));
    match fs.remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::io("remove", &temporary)(error)),
        _ => {}
    }
    let mut file: Box<dyn WriteFile> = fs.create(&temporary).map_err(Error::io("create", &temporary))?;
    let text = format!("{MAGIC}\n{place}\n{number}\n");
    file.write_all(text.as_bytes()).and_then(|()| file.sync()).map_err(Error::io("write", &temporary))?;
    fs.rename_new(&temporary, &path).map_err(Error::io("publish", &path))?;
    fs.sync_dir(layout.path()).map_err(Error::io("sync", layout.path()))
}

/// What was left behind in the bucket, as it was seen last.
#[derive(Debug, Default)]
pub(super) struct Garbage {
    looked: Option<Duration>,
    seen: Vec<(BlockId, PathBuf)>,
}

impl Store {
    /// Whether this process changes nothing (H6).
    pub(super) fn only_reads(&self) -> bool {
        self.sharing.as_ref().is_some_and(|sharing| sharing.role == Role::Reader)
    }

    /// Refuses changes in a process that makes none.
    pub(super) fn check_writes(&self) -> Result<()> {
        if self.only_reads() { Err(Error::ReadOnly) } else { Ok(()) }
    }

    /// Shows what other processes have committed. Does nothing where there are none.
    pub fn refresh(&self) -> Result<()> {
        if self.sharing.is_none() {
            return Ok(());
        }
        let mut publisher = lock(&self.publisher);
        if let Some(Outcome::Undone(placed)) = self.settle_doubt(&mut publisher)? {
            self.discard(&placed);
        }
        publisher.manifest.refresh()?;
        self.show_newest(&mut publisher)
    }

    /// Where the bucket did not answer last, asks it again: nobody makes blocks for a bucket that takes none.
    pub(super) fn ask_bucket(&self) -> Result<()> {
        if self.bucket_health().is_some() { self.refresh() } else { Ok(()) }
    }

    /// What was asked of the bucket, and how many bytes its cache has; `None` on a disk alone.
    pub fn bucket(&self) -> Option<(&BucketCounters, u64)> {
        self.sharing.as_ref().map(|sharing| (sharing.mounted.counters(), sharing.mounted.cache_bytes()))
    }

    /// Bytes that the cache of a bucket's blocks may have; 0 without a bucket.
    pub(super) fn cache_limit_bytes(&self) -> u64 {
        self.sharing.as_ref().map_or(0, |sharing| sharing.mounted.cache_limit_bytes())
    }

    /// Since when the bucket does not answer, if it does not.
    pub fn bucket_health(&self) -> Option<BucketHealth> {
        self.sharing.as_ref()?.mounted.health()
    }

    /// Removes from the bucket what nobody needs any more (H5): now looks for it, now removes what was seen before.
    pub(super) fn collect_shared(&self, maintenance: &mut Maintenance) -> Result<()> {
        let now = self.clock.monotonic();
        let since = now.saturating_sub(maintenance.garbage.looked.unwrap_or(maintenance.opened()));
        if !maintenance.garbage.seen.is_empty() {
            if since >= GRACE {
                let made_before = maintenance.clock.now(self.clock.as_ref());
                let seen = std::mem::take(&mut maintenance.garbage.seen);
                self.sweep(seen, u64::try_from(made_before).unwrap_or(0).saturating_sub(nanos(GRACE)))?;
            }
            return Ok(());
        }
        let pause = if maintenance.garbage.looked.is_some() { LOOK_EVERY } else { GRACE };
        if since >= pause {
            self.refresh()?;
            let layout = Layout::new(&self.config.data_dir);
            maintenance.garbage.seen = recovery::orphans(self.fs.as_ref(), &layout, &self.view().manifest)?;
            maintenance.garbage.looked = Some(now);
        }
        Ok(())
    }

    fn sweep(&self, seen: Vec<(BlockId, PathBuf)>, floor: u64) -> Result<()> {
        let mut doomed = Vec::new();
        self.publish(Vec::new(), None, |manifest| {
            let floor = floor.max(manifest.floor);
            let left = seen.iter().filter(|(id, _)| id.made_at() < floor && !manifest.blocks.contains_key(id));
            doomed = left.cloned().collect();
            (!doomed.is_empty() && floor > manifest.floor).then(|| Commit { floor: Some(floor), ..Commit::default() })
        })?;
        for (id, dir) in doomed {
            if lock(&self.publisher).holds(&dir) {
                continue;
            }
            tracing::info!(block = %id, "removing a block from the bucket that the manifest does not have");
            if let Err(error) = self.fs.remove_dir_all(&dir) {
                tracing::warn!(block = %id, %error, "failed to remove a block from the bucket; it is tried again later");
            }
        }
        Ok(())
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{Clock, SimulatedClock, SimulatedDisk};
    use crate::manifest::Writers;
    use crate::object::{Shared, SimulatedBucket};
    use std::path::Path;

    /// A process that has seen the bucket and said nothing yet.
    struct Process {
        fs: Arc<dyn Filesystem>,
        sharing: Sharing,
        store: ManifestStore,
    }

    fn process(bucket: &SimulatedBucket, number: u64) -> Process {
        let disk: Arc<dyn Filesystem> = Arc::new(SimulatedDisk::new(number));
        let clock: Arc<dyn Clock> = Arc::new(SimulatedClock::at(7));
        let shared = Shared { bucket: Arc::new(bucket.process()), role: Role::Writer, cache_bytes: 1 << 20 };
        let dir = Path::new("/data");
        disk.create_dir_all(dir).unwrap();
        let mounted = Mounted::new(disk, clock, dir, &shared, 0).unwrap();
        let fs: Arc<dyn Filesystem> = Arc::new(mounted.clone());
        let (store, _) = ManifestStore::open(Arc::clone(&fs), &Layout::new(dir).manifest(), Writers::Many).unwrap();
        Process { fs, sharing: Sharing::new(mounted, Role::Writer, shared.bucket.place()), store }
    }

    #[test]
    fn h2_of_two_that_begin_at_once_each_has_a_number_of_its_own() {
        let (bucket, layout) = (SimulatedBucket::new(1), Layout::new(Path::new("/data")));
        let mut processes = [process(&bucket, 1), process(&bucket, 2)];
        for Process { fs, sharing, store } in &mut processes {
            begin(sharing, fs.as_ref(), &layout, store).unwrap();
        }
        let numbers = processes.each_ref().map(|process| process.sharing.writer.map(|writer| writer.number));
        assert_eq!(numbers, [Some(1), Some(2)]);
        for Process { sharing, store, .. } in &mut processes {
            let manifest = store.refresh().unwrap();
            sharing.check(&manifest, &layout).unwrap();
        }
    }
}
