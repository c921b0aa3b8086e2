//! What would a disk do that loses power, fills up or fails, at the worst moment?
//!
//! F5  Power loss keeps what F1 and F2 promise and nothing else for sure: each un-synced write is kept, lost, torn, or
//!     replaced by zeros or stale bytes, each by itself; of each directory a prefix of its un-synced changes is kept.
//! F6  The same seed and the same calls give the same disk.
//! F7  After a crash no handle or lock from before it works.
//!
//! It is stricter than any one file system, never kinder. Files of a test are in memory. In the library, not behind
//! `cfg(test)`, because the simulation tests of the whole program use it.

mod clock;
mod content;
mod tree;

pub use clock::SimulatedClock;

use super::{Entry, Filesystem, ReadFile, WriteFile};
use content::Content;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tree::{NodeId, Tree};

/// What a crash takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing: the process died, the machine did not. Un-synced changes stay un-synced.
    None,
    /// Power was lost; some of what was not synced is gone, as the seed wants it.
    Some,
    /// Power was lost; all that was not synced is gone.
    All,
}

/// How often operations fail with an IO error, from 0 (never) to 1 (always).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Faults {
    /// Reads and listings, for a reason that passes.
    pub read: f64,
    /// Writes; some prefix is written all the same.
    pub write: f64,
    /// Syncs of files; what was to be synced may count as clean and be lost later.
    pub sync: f64,
    /// Changes of names, lengths and syncs of directories; they may happen all the same.
    pub metadata: f64,
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Clone)]
struct State {
    tree: Tree,
    rng: Pcg64,
    faults: Faults,
    /// One read in so many has a flipped bit; 0 for none.
    flip_every: u64,
    reads: u64,
    capacity: Option<u64>,
    /// On which clock an operation takes how long at most.
    slow: Option<(SimulatedClock, Duration)>,
    /// Operations so far that change something.
    operations: u64,
    crash_at: Option<u64>,
    fail_at: BTreeSet<u64>,
    /// Whether the machine is down.
    down: bool,
    /// How many crashes there were: handles know theirs.
    crashes: u64,
    locks: BTreeSet<PathBuf>,
    /// What the medium does not give any more of a file, all of a directory; and for how many more reads, if it recovers.
    spoiled: BTreeMap<NodeId, Vec<Spoiled>>,
}

/// Bytes, and for how many more reads.
type Spoiled = (Range<u64>, Option<u64>);

/// How an operation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    /// It reports an error.
    Failed,
    /// The machine goes down in it.
    CutOff,
}

impl std::fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimulatedDisk").field("operations", &self.operations()).finish_non_exhaustive()
    }
}

impl SimulatedDisk {
    /// An empty disk without faults, of any size.
    pub fn new(seed: u64) -> Self {
        let state = State {
            tree: Tree::new(),
            rng: Pcg64::seed_from_u64(seed),
            faults: Faults::default(),
            flip_every: 0,
            reads: 0,
            capacity: None,
            slow: None,
            operations: 0,
            crash_at: None,
            fail_at: BTreeSet::new(),
            down: false,
            crashes: 0,
            locks: BTreeSet::new(),
            spoiled: BTreeMap::new(),
        };
        SimulatedDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// Ends every process that uses the disk, takes what the loss says, and is ready for the next one. Faults, capacity
    /// and the count of operations stay; what `crash_at` asked for is forgotten.
    pub fn crash(&self, loss: Loss) {
        let mut guard = self.lock_state();
        let state = &mut *guard;
        state.tree.crash(&mut state.rng, loss);
        state.crashes += 1;
        state.locks.clear();
        state.crash_at = None;
        state.down = false;
    }

    /// Lets each operation take up to so long.
    pub fn slow_down(&self, clock: &SimulatedClock, most: Duration) {
        self.lock_state().slow = (!most.is_zero()).then(|| (clock.clone(), most));
    }

    /// Lets the machine go down in the operation that makes `operations()` this number: it fails, having happened or
    /// not, and everything after it fails until `crash`.
    pub fn crash_at(&self, operation: u64) {
        self.lock_state().crash_at = Some(operation);
    }

    /// Whether the machine is down and waits for `crash`.
    pub fn is_down(&self) -> bool {
        self.lock_state().down
    }

    /// Lets the operation that makes `operations()` this number fail.
    pub fn fail_at(&self, operation: u64) {
        self.lock_state().fail_at.insert(operation);
    }

    /// Operations so far that change or sync something.
    pub fn operations(&self) -> u64 {
        self.lock_state().operations
    }

    /// Sets how often operations fail from now on. What `fail_at` asked for is forgotten.
    pub fn set_faults(&self, faults: Faults) {
        let mut state = self.lock_state();
        state.faults = faults;
        state.fail_at.clear();
    }

    /// From now on one read in so many gives a flipped bit, though what is stored is sound; 0 for none.
    pub fn flip_reads(&self, every: u64) {
        self.lock_state().flip_every = every;
    }

    /// Sets the size of the disk; `None` is without bound.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock_state().capacity = bytes;
    }

    /// Sets the size of the disk so that this much is free.
    pub fn set_free(&self, bytes: u64) {
        let mut state = self.lock_state();
        state.capacity = Some(state.tree.used().saturating_add(bytes));
    }

    /// An independent copy of the disk as it is now, un-synced changes included; nobody holds a lock of it.
    pub fn fork(&self) -> SimulatedDisk {
        let mut state = self.lock_state().clone();
        state.locks.clear();
        SimulatedDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// As `fork`, with other luck.
    pub fn fork_with(&self, seed: u64) -> SimulatedDisk {
        let disk = self.fork();
        disk.lock_state().rng = Pcg64::seed_from_u64(seed);
        disk
    }

    /// The bytes of a file, as a reader sees them.
    pub fn contents(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.lock_state();
        Ok(state.tree.file(state.tree.find(path)?)?.bytes().to_vec())
    }

    /// Places a durable file without counting operations, over one that is there. Its directory exists.
    pub fn place(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock_state();
        match state.tree.find(path) {
            Ok(node) => *state.tree.file_mut(node)? = Content::durable(bytes),
            Err(_) => {
                let place = state.tree.place(path)?;
                state.tree.put_file(place, Content::durable(bytes));
                if let Some(parent) = path.parent() {
                    let dir = state.tree.find(parent)?;
                    state.tree.sync(dir);
                }
            }
        }
        Ok(())
    }

    /// Flips one bit of a stored byte, as a decaying disk does.
    pub fn flip(&self, path: &Path, offset: u64, bit: u8) -> io::Result<()> {
        let mut state = self.lock_state();
        let node = state.tree.find(path)?;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        state.tree.file_mut(node)?.damage(offset, |byte| *byte ^= 1 << (bit % 8));
        Ok(())
    }

    /// From now on the medium does not give some bytes of a file, wherever it goes; with the last of all there could be, it does
    /// not open the file. A directory cannot be listed.
    pub fn spoil(&self, path: &Path, bytes: Range<u64>) -> io::Result<()> {
        let mut state = self.lock_state();
        let node = state.tree.find(path)?;
        state.spoiled.entry(node).or_default().push((bytes, None));
        Ok(())
    }

    /// As `spoil`, for so many reads.
    pub fn spoil_for(&self, path: &Path, bytes: Range<u64>, reads: u64) -> io::Result<()> {
        let mut state = self.lock_state();
        let node = state.tree.find(path)?;
        state.spoiled.entry(node).or_default().push((bytes, Some(reads)));
        Ok(())
    }

    /// The medium gives everything again.
    pub fn recover(&self) {
        self.lock_state().spoiled.clear();
    }

    /// Overwrites stored bytes, as far as the file reaches.
    pub fn corrupt(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock_state();
        let node = state.tree.find(path)?;
        let content = state.tree.file_mut(node)?;
        for (offset, &new) in (usize::try_from(offset).unwrap_or(usize::MAX)..usize::MAX).zip(bytes) {
            content.damage(offset, |byte| *byte = new);
        }
        Ok(())
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, for a handle from before `crashes` + 1 crashes.
    fn state_of(&self, crashes: u64) -> io::Result<MutexGuard<'_, State>> {
        let state = self.lock_state();
        if state.crashes == crashes { Ok(state) } else { Err(io::Error::other("simulated: opened before a crash")) }
    }

    /// Changes names: `change` happens unless the operation fails, and sometimes even then.
    fn change_names<T>(&self, change: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.lock_state();
        let outcome = state.step(|faults| faults.metadata)?;
        if outcome != Outcome::Done {
            if state.rng.random_bool(0.5) {
                change(&mut state)?;
            }
            return Err(io_error());
        }
        change(&mut state)
    }
}

impl State {
    /// Counts an operation that changes something, and tells how it goes.
    fn step(&mut self, probability: impl Fn(&Faults) -> f64) -> io::Result<Outcome> {
        self.check_up()?;
        self.take_time();
        self.operations += 1;
        if self.crash_at.is_some_and(|at| self.operations >= at) {
            self.down = true;
            return Ok(Outcome::CutOff);
        }
        let failed = self.fail_at.remove(&self.operations) || self.rng.random_bool(probability(&self.faults));
        Ok(if failed { Outcome::Failed } else { Outcome::Done })
    }

    fn check_read(&mut self) -> io::Result<()> {
        self.check_up()?;
        self.take_time();
        if self.rng.random_bool(self.faults.read) { Err(io_error()) } else { Ok(()) }
    }

    fn check_medium(&mut self, node: NodeId, bytes: &Range<u64>) -> io::Result<()> {
        let spoiled = self.spoiled.get_mut(&node).into_iter().flatten();
        for (_, reads) in spoiled.filter(|(lost, _)| lost.start < bytes.end && bytes.start < lost.end) {
            match reads {
                Some(0) => continue,
                Some(reads) => *reads -= 1,
                None => {}
            }
            return Err(rustix::io::Errno::IO.into());
        }
        Ok(())
    }

    fn take_time(&mut self) {
        if let Some((clock, most)) = &self.slow {
            clock.advance(most.mul_f64(self.rng.random::<f64>()));
        }
    }

    fn check_up(&self) -> io::Result<()> {
        if self.down { Err(io::Error::other("simulated: the machine is down")) } else { Ok(()) }
    }

    fn free(&self) -> u64 {
        self.capacity.map_or(u64::MAX >> 1, |capacity| capacity.saturating_sub(self.tree.used()))
    }

    /// A new name needs room in its directory.
    fn check_room(&self) -> io::Result<()> {
        if self.free() == 0 { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let place = self.tree.place(path)?;
        self.tree.node_at(&place).ok_or(ErrorKind::NotFound)?;
        self.tree.remove(place);
        Ok(())
    }
}

fn io_error() -> io::Error {
    io::Error::other("simulated: IO error")
}

impl Filesystem for SimulatedDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut missing = Vec::new();
        for ancestor in dir.ancestors() {
            missing.push(ancestor);
            let state = self.lock_state();
            state.check_up()?;
            match state.tree.find(ancestor) {
                Ok(node) if state.tree.is_dir(node) => break,
                Ok(_) => return Err(ErrorKind::NotADirectory.into()),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        for path in missing.into_iter().rev() {
            let Some(parent) = path.parent() else { continue };
            if self.lock_state().tree.find(path).is_err() {
                self.change_names(|state| {
                    state.check_room()?;
                    let place = state.tree.place(path)?;
                    state.tree.put_dir(place);
                    Ok(())
                })?;
            }
            self.sync_dir(parent)?;
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut state = self.lock_state();
        state.check_read()?;
        let node = state.tree.find(dir)?;
        state.check_medium(node, &(0..u64::MAX))?;
        let tree = &state.tree;
        let entries = tree.entries(node)?.iter();
        Ok(entries
            .map(|(name, &node)| {
                let len = tree.file(node).map_or(0, Content::bytes_len);
                Entry { name: name.clone(), is_dir: tree.is_dir(node), len }
            })
            .collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let node = self.change_names(|state| {
            let place = state.tree.place(path)?;
            if state.tree.node_at(&place).is_some() {
                return Err(ErrorKind::AlreadyExists.into());
            }
            state.check_room()?;
            Ok(state.tree.put_file(place, Content::default()))
        })?;
        let crashes = self.lock_state().crashes;
        Ok(Box::new(Writer { disk: self.clone(), node, crashes, offset: 0 }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        let mut state = self.lock_state();
        state.check_read()?;
        let node = state.tree.find(path)?;
        state.check_medium(node, &(u64::MAX - 1..u64::MAX))?;
        let len = state.tree.file(node)?.bytes_len();
        Ok(Arc::new(Reader { disk: self.clone(), node, crashes: state.crashes, len }))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change_names(|state| {
            let from = state.tree.place(from)?;
            let node = state.tree.node_at(&from).ok_or(ErrorKind::NotFound)?;
            let to = state.tree.place(to)?;
            if state.tree.node_at(&to).is_some() {
                return Err(ErrorKind::AlreadyExists.into());
            }
            state.tree.rename(from, to, node);
            Ok(())
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change_names(|state| {
            state.tree.file(state.tree.find(path)?)?;
            state.remove(path)
        })
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let names: Vec<(String, bool)> = {
            let state = self.lock_state();
            state.check_up()?;
            let tree = &state.tree;
            let entries = tree.entries(tree.find(path)?)?.iter();
            entries.map(|(name, &node)| (name.clone(), tree.is_dir(node))).collect()
        };
        for (name, is_dir) in names {
            let child = path.join(name);
            if is_dir { self.remove_dir_all(&child)? } else { self.remove_file(&child)? }
        }
        self.change_names(|state| state.remove(path))
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let mut state = self.lock_state();
        let outcome = state.step(|faults| faults.metadata)?;
        let how = if outcome == Outcome::Done { 2 } else { state.rng.random_range(0..3_u8) };
        let node = state.tree.find(path)?;
        let content = state.tree.file_mut(node)?;
        let len = usize::try_from(len).map_err(|_| ErrorKind::InvalidInput)?;
        match how {
            0 => {}
            1 => content.truncate_current(len),
            _ => content.truncate(len),
        }
        if outcome == Outcome::Done { Ok(()) } else { Err(io_error()) }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.change_names(|state| {
            let node = state.tree.find(dir)?;
            state.tree.entries(node)?;
            state.tree.sync(node);
            Ok(())
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let mut state = self.lock_state();
        state.check_read()?;
        let place = state.tree.place(path)?;
        if state.locks.contains(path) {
            return Err(ErrorKind::WouldBlock.into());
        }
        if state.tree.node_at(&place).is_none() {
            state.tree.put_file(place, Content::default());
        }
        state.locks.insert(path.to_owned());
        Ok(Box::new(Lock { disk: self.clone(), path: path.to_owned(), crashes: state.crashes }))
    }

    fn available_bytes(&self, _: &Path) -> io::Result<u64> {
        let state = self.lock_state();
        state.check_up()?;
        Ok(state.free())
    }
}

#[derive(Debug)]
struct Writer {
    disk: SimulatedDisk,
    node: NodeId,
    crashes: u64,
    offset: usize,
}

impl WriteFile for Writer {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state_of(self.crashes)?;
        let outcome = state.step(|faults| faults.write)?;
        let fits = usize::try_from(state.free()).unwrap_or(usize::MAX);
        let (len, result) = match outcome {
            Outcome::Failed | Outcome::CutOff => (state.rng.random_range(0..=bytes.len()).min(fits), Err(io_error())),
            Outcome::Done if fits < bytes.len() => (fits, Err(ErrorKind::StorageFull.into())),
            Outcome::Done => (bytes.len(), Ok(())),
        };
        state.tree.file_mut(self.node)?.write(self.offset, bytes.get(..len).unwrap_or(bytes));
        self.offset += len;
        result
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut guard = self.disk.state_of(self.crashes)?;
        let outcome = guard.step(|faults| faults.sync)?;
        let State { tree, rng, .. } = &mut *guard;
        let content = tree.file_mut(self.node)?;
        match outcome {
            Outcome::Done => content.sync(),
            Outcome::Failed => content.fail_sync(rng),
            Outcome::CutOff if rng.random_bool(0.5) => content.sync(),
            Outcome::CutOff => {}
        }
        if outcome == Outcome::Done { Ok(()) } else { Err(io_error()) }
    }
}

#[derive(Debug)]
struct Reader {
    disk: SimulatedDisk,
    node: NodeId,
    crashes: u64,
    len: u64,
}

impl ReadFile for Reader {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.state_of(self.crashes)?;
        state.check_read()?;
        state.check_medium(self.node, &(offset..offset.saturating_add(buf.len() as u64)))?;
        state.tree.file(self.node)?.read(offset, buf)?;
        state.reads += 1;
        if state.flip_every > 0 && state.reads.is_multiple_of(state.flip_every) && !buf.is_empty() {
            let at = state.rng.random_range(0..buf.len());
            buf.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << (at % 8));
        }
        Ok(())
    }
}

/// Held until dropped; means nothing after a crash.
struct Lock {
    disk: SimulatedDisk,
    path: PathBuf,
    crashes: u64,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut state = self.disk.lock_state();
        if state.crashes == self.crashes {
            state.locks.remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests;
