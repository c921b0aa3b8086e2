//! Which blocks are there, and up to where has each source been read?
//!
//! A numbered sequence of files that are only ever created: a commit holds a change, a snapshot the whole state.
//!
//! N3  A commit happens wholly or not at all, and once `commit` returned `Ok` it survives power loss.
//! N4  Version n+1 can be made once: its file is published by a rename that replaces nothing.
//! N5  Blocks and checkpoints change together: rows become visible in the commit that says that their source has been
//!     read.
//! N6  What `open` answers is durable, also when the process before died between publishing and syncing.
//! N7  A file is removed only when two later snapshots are durable: one damaged snapshot loses nothing.
//! N8  After an error the outcome is read back. If the disk refuses even that and the commit had happened, the next one
//!     is a conflict (by N4), until `ManifestStore::reload`.
//!
//! N9  A block that vanishes leaves the tombstones and the quarantine; a tombstone without blocks vanishes.
//!
//! Where many write, in a bucket, also:
//!
//! N10 A commit is somebody's once its number is taken, by N4. After an error it may still arrive: it is settled by making the
//!     same one again until its number is taken, by it or by another.
//! N11 A number that was taken and removed again (N7) does not count as free: after a commit the snapshots are listed, and two
//!     that are as new tell that the number was another's.
//! N12 No block is added that is older than the floor: what the manifest does not have and is older can be removed for good.
//!
//! N1 and N2 are in `file`, N13 is in `source`, N14 in `sampling`; which blocks of metrics stand for which is in `standing`. Not here: the blocks' own files (`block`), who commits when (`engine`).

mod deletion;
mod file;
mod predicate;
mod sampling;
mod source;
mod standing;

pub use deletion::{Cause, Deletion, Tombstone};
pub use sampling::{Dropped, Sampled, Sampling, SamplingTally};
pub use source::{SourceRange, SourceRanges};
pub(crate) use standing::Standing;

use crate::block::{BlockId, Window};
use crate::error::{Class, Error, Result};
use crate::fs::Filesystem;
use crate::metric::Resolution;
use crate::model::{Signal, TenantId};
use crate::scan::Predicate;
use file::Kind;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A snapshot follows every so many commits: it bounds what `open` reads.
const SNAPSHOT_EVERY: u64 = 64;
/// How many snapshots are kept (N7).
const SNAPSHOTS_KEPT: usize = 2;
/// How often the files are read anew where others remove some of them meanwhile: each time there are 64 commits between.
const READS_AT_MOST: usize = 5;

/// A block that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockEntry {
    /// Its name.
    pub id: BlockId,
    /// Whose rows.
    pub tenant: TenantId,
    /// Which table.
    pub signal: Signal,
    /// Which window.
    pub window: Window,
    /// The version whose commit brought the newest of its rows. In a window it is another for each block of a table.
    pub written: u64,
    /// How many rows.
    pub rows: u64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Earliest time of a row.
    pub min_time: i64,
    /// Latest time of a row.
    pub max_time: i64,
    /// Checksum of its `meta` file, which holds those of the others.
    pub meta_crc: u32,
    /// Whether it has every sample, or those that stand for the samples of raw blocks of its table and window: of all that were
    /// written until `written`.
    pub resolution: Resolution,
    /// Of spans, whether some of them may go when their traces are decided (`sampling`).
    pub undecided: bool,
    /// When the newest spans of its traces came into a block, where it was written anew while they wait: that is its age then, and not
    /// when it was made.
    pub grown_at: Option<i64>,
}

/// The state at a version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// How many commits led here.
    pub version: u64,
    /// The blocks.
    pub blocks: BTreeMap<BlockId, Arc<BlockEntry>>,
    /// How far each source has been read, in the source's own words.
    pub checkpoints: BTreeMap<String, String>,
    /// Up to which offset each source has been read that can be read again (N13).
    pub sources: BTreeMap<String, u64>,
    /// Which rows of which blocks are hidden, by the version that hid them.
    pub tombstones: BTreeMap<u64, Arc<Tombstone>>,
    /// Blocks of `blocks` that nobody reads because they are damaged, and how.
    pub quarantined: BTreeMap<BlockId, Arc<str>>,
    /// What was deleted and is not in the record of deletions yet, by the version that deleted it.
    pub deletions: BTreeMap<u64, Arc<Deletion>>,
    /// No block that was made before this time can be added (N12); 0 where many do not write.
    pub floor: u64,
    /// What was decided of whose traces.
    pub sampling: BTreeMap<TenantId, Arc<Sampling>>,
}

/// A change of the state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commit {
    /// Blocks that appear. Their ids are new.
    pub add: Vec<BlockEntry>,
    /// Blocks that vanish. They are there.
    pub remove: Vec<BlockId>,
    /// Checkpoints that are set; the others stay.
    pub checkpoints: BTreeMap<String, String>,
    /// What this change brings of sources that can be read again. Each range joins what was read before (N13).
    pub consumed: SourceRanges,
    /// Tombstones that appear, or take the place of that of their version.
    pub hide: Vec<(u64, Tombstone)>,
    /// Blocks that nobody reads any more, and why.
    pub quarantine: Vec<(BlockId, String)>,
    /// What this change deletes, for the record.
    pub deleted: Option<Deletion>,
    /// Deletions that are in the record now.
    pub recorded: Vec<u64>,
    /// Raises the floor.
    pub floor: Option<u64>,
    /// Blocks that are undecided no more: all of their spans stay.
    pub settled: Vec<BlockId>,
    /// What this change decides of traces.
    pub sampled: Option<Sampled>,
}

/// Who makes commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writers {
    /// This process only: the engine holds the lock of the directory.
    One,
    /// Others too, in a bucket.
    Many,
}

impl BlockEntry {
    /// Since when it has been known of its traces that they grow no more.
    pub(crate) fn waits_since(&self) -> i64 {
        self.grown_at.unwrap_or_else(|| i64::try_from(self.id.made_at()).unwrap_or(i64::MAX))
    }

    /// Where its folder is, below the folder of blocks: `tenant/signal/window/id`.
    pub fn path(&self) -> PathBuf {
        let id = self.id.to_string();
        [self.tenant.as_str(), self.signal.as_str(), &self.window.to_string(), &id].iter().collect()
    }
}

impl Manifest {
    /// The blocks, those of a table and window whose newest rows came first first.
    pub(crate) fn by_writing(&self) -> impl Iterator<Item = &Arc<BlockEntry>> {
        let mut blocks: Vec<&Arc<BlockEntry>> = self.blocks.values().collect();
        blocks.sort_unstable_by_key(|entry| (entry.written, entry.id));
        blocks.into_iter()
    }

    /// What hides rows of a block.
    pub(crate) fn hidden_in(&self, block: &BlockId) -> Vec<Predicate> {
        let tombstones = self.tombstones.values().filter(|tombstone| tombstone.blocks.contains(block));
        tombstones.map(|tombstone| tombstone.predicate.clone()).collect()
    }

    /// The next version; an `Err` says why the commit does not fit.
    fn with(&self, commit: &Commit) -> Result<Manifest, String> {
        let mut next = self.clone();
        next.version = self.version.checked_add(1).ok_or("no manifest version is left")?;
        for id in &commit.remove {
            next.blocks.remove(id).ok_or_else(|| format!("block {id} is to be removed and is not there"))?;
            next.quarantined.remove(id);
        }
        for entry in &commit.add {
            if entry.id.made_at() < self.floor {
                return Err(format!("block {} is older than the floor: its files may be gone", entry.id));
            }
            let there = self.blocks.contains_key(&entry.id);
            if there || next.blocks.insert(entry.id, Arc::new(entry.clone())).is_some() {
                return Err(format!("block {} is to be added and is there already", entry.id));
            }
        }
        next.checkpoints.extend(commit.checkpoints.iter().map(|(name, value)| (name.clone(), value.clone())));
        source::advance(&mut next.sources, &commit.consumed)?;
        for (id, reason) in &commit.quarantine {
            if !next.blocks.contains_key(id) {
                return Err(format!("block {id} is to be quarantined and is not there"));
            }
            next.quarantined.insert(*id, reason.as_str().into());
        }
        next.hide(commit)?;
        for version in &commit.recorded {
            next.deletions.remove(version).ok_or_else(|| format!("deletion {version} is recorded and is not there"))?;
        }
        let deleted = commit.deleted.iter().map(|deletion| (next.version, Arc::new(deletion.clone())));
        next.deletions.extend(deleted);
        next.floor = next.floor.max(commit.floor.unwrap_or(0));
        next.sample(commit)?;
        Ok(next)
    }

    /// Takes the tombstones of a commit, and leaves out what they have no more (N9).
    fn hide(&mut self, commit: &Commit) -> Result<(), String> {
        for (version, tombstone) in &commit.hide {
            if *version > self.version {
                return Err(format!("tombstone {version} is of a later version"));
            }
            if let Some(gone) = tombstone.blocks.iter().find(|id| !self.blocks.contains_key(id)) {
                return Err(format!("block {gone} has hidden rows and is not there"));
            }
            self.tombstones.insert(*version, Arc::new(tombstone.clone()));
        }
        if !commit.remove.is_empty() {
            for tombstone in self.tombstones.values_mut() {
                if commit.remove.iter().any(|id| tombstone.blocks.contains(id)) {
                    Arc::make_mut(tombstone).blocks.retain(|id| !commit.remove.contains(id));
                }
            }
        }
        self.tombstones.retain(|_, tombstone| !tombstone.blocks.is_empty());
        Ok(())
    }
}

/// The manifest, open for commits.
#[derive(Debug)]
pub struct ManifestStore {
    fs: Arc<dyn Filesystem>,
    dir: PathBuf,
    writers: Writers,
    current: Arc<Manifest>,
    /// Version of the newest snapshot, 0 without one.
    snapshot: u64,
    /// After how many commits the next one follows.
    snapshot_every: u64,
    /// Whether one of the two copies of a commit that still counts is damaged: the next commit is followed by a snapshot.
    worn: bool,
}

/// What the files say.
struct Loaded {
    manifest: Manifest,
    /// Version of the newest snapshot.
    snapshot: u64,
    worn: bool,
}

impl ManifestStore {
    /// Opens the manifest in a directory, which is made if need be, and reads the newest version.
    ///
    /// A damaged snapshot is passed over when the files before it lead to the same state; any other damage or gap is an
    /// error that names the file.
    pub fn open(fs: Arc<dyn Filesystem>, dir: &Path, writers: Writers) -> Result<(ManifestStore, Arc<Manifest>)> {
        fs.create_dir_all(dir).map_err(Error::io("create", dir))?;
        let Loaded { manifest, snapshot, worn } = load(fs.as_ref(), dir)?;
        let current = Arc::new(manifest);
        let store = ManifestStore {
            fs,
            dir: dir.to_owned(),
            writers,
            current: current.clone(),
            snapshot,
            snapshot_every: SNAPSHOT_EVERY,
            worn,
        };
        Ok((store, current))
    }

    /// Reads the newest version without opening the manifest: nothing is changed, and what is read may not be durable yet.
    pub fn read(fs: &dyn Filesystem, dir: &Path) -> Result<Manifest> {
        newest(fs, dir).map(|loaded| loaded.manifest)
    }

    /// Reads every file, also those that nothing needs: what is damaged.
    pub fn verify(fs: &dyn Filesystem, dir: &Path) -> Result<Vec<Error>> {
        let files = list(fs, dir)?;
        let damage = files.into_iter().map(|(kind, version)| match verify_file(fs, dir, kind, version) {
            Err(error) if error.class() == Class::Corrupt => Ok(Some(error)),
            // Removed meanwhile.
            Err(error) if is_removed(&error) => Ok(None),
            read => read.map(|()| None),
        });
        damage.filter_map(Result::transpose).collect()
    }

    /// The newest version that is known.
    pub fn current(&self) -> &Arc<Manifest> {
        &self.current
    }

    /// Reads the newest version from disk, as `open` does. After an error of `commit` it tells whether the commit
    /// happened: the version has grown, or has not.
    pub fn reload(&mut self) -> Result<Arc<Manifest>> {
        let Loaded { manifest, snapshot, worn } = load(self.fs.as_ref(), &self.dir)?;
        self.current = Arc::new(manifest);
        (self.snapshot, self.worn) = (snapshot, worn);
        Ok(self.current.clone())
    }

    /// Reads what others have committed since, with one look where there is nothing. Where one writes there are no others.
    pub fn refresh(&mut self) -> Result<Arc<Manifest>> {
        if self.writers == Writers::Many {
            let (current, snapshot) = unless_removed(|| self.newer())?;
            self.current = current;
            self.snapshot = self.snapshot.max(snapshot);
        }
        Ok(self.current.clone())
    }

    /// The newest version, from the one that is known if commits lead there from it.
    fn newer(&self) -> Result<(Arc<Manifest>, u64)> {
        let files = list(self.fs.as_ref(), &self.dir)?;
        let snapshots = files.iter().filter(|(kind, _)| *kind == Kind::Snapshot).map(|(_, version)| *version);
        let snapshot = snapshots.max().unwrap_or(0);
        if snapshot > self.current.version {
            // What leads from here to there may be removed already, and its numbers be taken by who does not know yet (N11).
            return newest(self.fs.as_ref(), &self.dir).map(|loaded| (Arc::new(loaded.manifest), loaded.snapshot));
        }
        if files.iter().all(|(_, version)| *version <= self.current.version) {
            return Ok((self.current.clone(), snapshot));
        }
        let mut manifest = Manifest::clone(&self.current);
        // A bucket does not wear out a copy.
        match apply_commits(self.fs.as_ref(), &self.dir, &files, &mut manifest)? {
            Applied { missing: Some(missing), .. } => Err(missing),
            Applied { missing: None, .. } => Ok((Arc::new(manifest), snapshot)),
        }
    }

    /// Makes the next version.
    ///
    /// `Error::Request`: the commit does not fit the current version; nothing happened. `Error::Conflict`: the version
    /// exists already, made by somebody else or by an earlier commit whose outcome was open; `current` is not the newest,
    /// `reload` and decide anew. Any other error: it did not happen, or the disk refuses to tell; `reload` does once it
    /// can.
    pub fn commit(&mut self, commit: Commit) -> Result<Arc<Manifest>> {
        let next = self.current.with(&commit).map_err(|what| Error::Request { what })?;
        let bytes = file::encode_commit(next.version, &commit);
        let published = self.publish(Kind::Commit, next.version, &bytes);
        match self.writers {
            Writers::One => match published {
                Err(error) if !self.happened(&next) => return Err(error),
                _ => {}
            },
            Writers::Many => {
                published.or_else(|error| self.settle(next.version, &bytes, error))?;
                self.check_number(next.version)?;
            }
        }
        self.current = Arc::new(next);
        let due = self.worn || self.current.version.saturating_sub(self.snapshot) >= self.snapshot_every;
        if due && let Err(error) = self.write_snapshot() {
            tracing::warn!(%error, "failed to write a manifest snapshot; the next commit tries again");
        }
        Ok(self.current.clone())
    }

    /// After a failed commit: did it happen all the same?
    fn happened(&self, wanted: &Manifest) -> bool {
        match load(self.fs.as_ref(), &self.dir) {
            Ok(found) => found.manifest == *wanted,
            Err(error) => {
                tracing::warn!(%error, "failed to find out whether a manifest commit happened");
                false
            }
        }
    }

    /// After a failed commit where many write: whose is its number? An error other than `Conflict` says that nobody knows yet.
    fn settle(&self, version: u64, bytes: &[u8], error: Error) -> Result<()> {
        let path = self.dir.join(file::name(Kind::Commit, version));
        let found = file::read_file(self.fs.as_ref(), &path);
        match found.and_then(|found| file::decode_commit(&path, version, &found).map(|_| found)) {
            Ok(found) if found == bytes => Ok(()),
            Ok(_) => Err(Error::Conflict { version }),
            // Taken, and removed since, or about to be made: the same commit finds out when it is made again.
            Err(unread) => Err(if matches!(error, Error::Conflict { .. }) { unread } else { error }),
        }
    }

    /// Whether a number that was free had never been taken (N11).
    fn check_number(&self, version: u64) -> Result<()> {
        let files = list(self.fs.as_ref(), &self.dir)?;
        let as_new = files.iter().filter(|(kind, other)| *kind == Kind::Snapshot && *other >= version).count();
        if as_new >= SNAPSHOTS_KEPT { Err(Error::Conflict { version }) } else { Ok(()) }
    }

    fn write_snapshot(&mut self) -> Result<()> {
        let version = self.current.version;
        match self.publish(Kind::Snapshot, version, &file::encode_snapshot(&self.current)) {
            // There is one state of a version (N4), whoever writes it down.
            Err(Error::Conflict { .. }) if self.writers == Writers::Many => {}
            published => published?,
        }
        (self.snapshot, self.worn) = (version, false);
        self.collect()
    }

    /// Writes a file and makes it appear under its name, wholly and durably.
    fn publish(&self, kind: Kind, version: u64, bytes: &[u8]) -> Result<()> {
        let name = file::name(kind, version);
        let temporary = self.dir.join(format!("{name}.tmp"));
        match self.fs.remove_file(&temporary) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            removed => removed.map_err(Error::io("remove", &temporary))?,
        }
        let mut file = self.fs.create(&temporary).map_err(Error::io("create", &temporary))?;
        let written = file.write_all(bytes).and_then(|()| file.sync());
        drop(file);
        if let Err(source) = written {
            self.discard(&temporary);
            return Err(Error::Io { action: "write", path: temporary, source });
        }
        let path = self.dir.join(name);
        match self.fs.rename_new(&temporary, &path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                self.discard(&temporary);
                return Err(Error::Conflict { version });
            }
            renamed => renamed.map_err(Error::io("publish", &path))?,
        }
        self.sync_dir()
    }

    /// Gives back the space of a file that nobody will read; `open` removes what is left.
    fn discard(&self, temporary: &Path) {
        if let Err(error) = self.fs.remove_file(temporary) {
            tracing::warn!(path = %temporary.display(), %error, "failed to remove a temporary manifest file");
        }
    }

    fn sync_dir(&self) -> Result<()> {
        self.fs.sync_dir(&self.dir).map_err(Error::io("sync", &self.dir))
    }

    /// Removes what two durable snapshots make superfluous (N7). They are read first: a damaged one does not count.
    fn collect(&self) -> Result<()> {
        let files = list(self.fs.as_ref(), &self.dir)?;
        let mut whole = Vec::new();
        for &(_, version) in files.iter().rev().filter(|(kind, _)| *kind == Kind::Snapshot) {
            match read_snapshot(self.fs.as_ref(), &self.dir, version) {
                Ok(_) => whole.push(version),
                Err(Error::Damaged { .. } | Error::Version { .. }) => {}
                Err(error) if is_removed(&error) && self.writers == Writers::Many => {}
                Err(error) => return Err(error),
            }
            if whole.len() == SNAPSHOTS_KEPT {
                break;
            }
        }
        let Some(&oldest_kept) = whole.get(SNAPSHOTS_KEPT - 1) else { return Ok(()) };
        for (kind, version) in files {
            let superfluous = match kind {
                Kind::Commit => version <= oldest_kept,
                Kind::Snapshot => version < self.snapshot && !whole.contains(&version),
            };
            if superfluous {
                let path = self.dir.join(file::name(kind, version));
                self.fs.remove_file(&path).map_err(Error::io("remove", &path))?;
            }
        }
        Ok(())
    }
}

fn read_snapshot(fs: &dyn Filesystem, dir: &Path, version: u64) -> Result<Manifest> {
    let path = dir.join(file::name(Kind::Snapshot, version));
    file::decode_snapshot(&path, version, &file::read_file(fs, &path)?)
}

/// The files of a manifest, commits before snapshots, each by version.
fn list(fs: &dyn Filesystem, dir: &Path) -> Result<Vec<(Kind, u64)>> {
    let entries = fs.list(dir).map_err(Error::io("list", dir))?;
    let mut files: Vec<(Kind, u64)> = entries.iter().filter_map(|entry| file::parse_name(&entry.name)).collect();
    files.sort_unstable();
    Ok(files)
}

/// The newest version.
fn load(fs: &dyn Filesystem, dir: &Path) -> Result<Loaded> {
    for entry in fs.list(dir).map_err(Error::io("list", dir))? {
        let path = dir.join(&entry.name);
        if entry.name.ends_with(".tmp")
            && let Err(error) = fs.remove_file(&path)
        {
            tracing::warn!(path = %path.display(), %error, "failed to remove a temporary manifest file");
        }
    }
    // What we are about to read may have been published and not synced. Callers build on it, so sync first (N6).
    fs.sync_dir(dir).map_err(Error::io("sync", dir))?;
    unless_removed(|| newest(fs, dir))
}

/// Reads again where another process removed what was listed just before.
fn unless_removed<T>(mut read: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 1..READS_AT_MOST {
        match read() {
            Err(error) if is_removed(&error) => {}
            read => return read,
        }
    }
    read()
}

fn is_removed(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == ErrorKind::NotFound)
}

/// The newest version that can be seen. Changes nothing.
fn newest(fs: &dyn Filesystem, dir: &Path) -> Result<Loaded> {
    let files = list(fs, dir)?;
    let (mut manifest, passed_over) = newest_snapshot(fs, dir, &files)?;
    let snapshot = manifest.version;
    let Applied { missing, worn } = apply_commits(fs, dir, &files, &mut manifest)?;
    if let Some(missing) = missing {
        return Err(passed_over.unwrap_or(missing));
    }
    let newest = files.iter().map(|&(_, version)| version).max().unwrap_or(0);
    if manifest.version != newest {
        // Only a snapshot that was passed over can be newer than what the commits lead to.
        let path = dir.join(file::name(Kind::Snapshot, newest));
        return Err(passed_over.unwrap_or_else(|| file::damaged(&path, "no commits lead to it".to_owned())));
    }
    Ok(Loaded { manifest, snapshot, worn })
}

/// What became of some commits.
#[derive(Default)]
struct Applied {
    /// An error that says which is missing, if one is.
    missing: Option<Error>,
    /// Whether a copy of one is damaged.
    worn: bool,
}

/// Applies the commits that follow a version.
fn apply_commits(fs: &dyn Filesystem, dir: &Path, files: &[(Kind, u64)], manifest: &mut Manifest) -> Result<Applied> {
    let known = manifest.version;
    let mut applied = Applied::default();
    for &(_, version) in files.iter().filter(|&&(kind, version)| kind == Kind::Commit && version > known) {
        let expected = manifest.version.saturating_add(1);
        if version != expected {
            let path = dir.join(file::name(Kind::Commit, expected));
            applied.missing = Some(file::damaged(&path, format!("it is missing, though version {version} is there")));
            return Ok(applied);
        }
        let path = dir.join(file::name(Kind::Commit, version));
        let bytes = file::read_file(fs, &path)?;
        let commit = file::decode_commit(&path, version, &bytes)?;
        if let Err(error) = file::check_whole(&path, Kind::Commit, &bytes) {
            tracing::warn!(%error, "a copy of a commit is damaged; a snapshot after the next one makes it superfluous");
            applied.worn = true;
        }
        *manifest = manifest.with(&commit).map_err(|what| file::damaged(&path, what))?;
    }
    Ok(applied)
}

fn verify_file(fs: &dyn Filesystem, dir: &Path, kind: Kind, version: u64) -> Result<()> {
    let path = dir.join(file::name(kind, version));
    let bytes = file::read_file(fs, &path)?;
    match kind {
        Kind::Commit => drop(file::decode_commit(&path, version, &bytes)?),
        Kind::Snapshot => drop(file::decode_snapshot(&path, version, &bytes)?),
    }
    file::check_whole(&path, kind, &bytes)
}

/// The newest snapshot that can be read, version 0 without one; and the error of the newest if that was damaged.
fn newest_snapshot(fs: &dyn Filesystem, dir: &Path, files: &[(Kind, u64)]) -> Result<(Manifest, Option<Error>)> {
    let mut passed_over = None;
    for &(_, version) in files.iter().rev().filter(|(kind, _)| *kind == Kind::Snapshot) {
        match read_snapshot(fs, dir, version) {
            Ok(manifest) => return Ok((manifest, passed_over)),
            // A newer program's commits follow its snapshot, and are refused by their version.
            Err(error @ (Error::Damaged { .. } | Error::Version { .. })) => {
                tracing::error!(%error, "passing over a damaged manifest snapshot");
                passed_over.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok((Manifest::default(), passed_over))
}

#[cfg(test)]
mod tests;
