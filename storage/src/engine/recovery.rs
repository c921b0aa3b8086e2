//! How does a data directory come back to life? Lock it, read the manifest, open its blocks, note what the manifest does not
//! have, replay the log.
//!
//! A block that is damaged keeps nobody from the others: it is left out and told of. A log that is damaged, but for its torn
//! end, is not opened. What the manifest does not have is removed later (`maintain`), when it is certain that nobody brings
//! another manifest.

use super::config::EngineConfig;
use super::share::{self, Sharing};
use super::store::{Decoder, Write, show};
use super::threads::chain;
use super::view::View;
use crate::block::{Block, BlockId, Shown};
use crate::error::{Error, Result};
use crate::fs::{Clock, Filesystem};
use crate::manifest::{BlockEntry, Manifest, ManifestStore, Writers};
use crate::memtable::Generation;
use crate::model::{Signal, TenantId};
use crate::wal::{self, Wal};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// Where what lies in a data directory.
#[derive(Debug, Clone)]
pub(crate) struct Layout(PathBuf);

impl Layout {
    pub(crate) fn new(data_dir: &Path) -> Self {
        Layout(data_dir.to_owned())
    }

    /// Blocks, below tenant, signal and window.
    pub(crate) fn blocks(&self) -> PathBuf {
        self.0.join("blocks")
    }

    /// Blocks in the making.
    pub(crate) fn temp(&self) -> PathBuf {
        self.0.join("tmp")
    }

    pub(crate) fn wal(&self) -> PathBuf {
        self.0.join("wal")
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.0.join("manifest")
    }

    /// The record of what was deleted.
    pub(crate) fn deletions(&self) -> PathBuf {
        self.0.join("deletions")
    }

    /// What repairs took out of the store.
    pub(crate) fn damaged(&self) -> PathBuf {
        self.0.join("damaged")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.0.join("LOCK")
    }

    /// Which writer of which bucket this is the data directory of.
    pub(crate) fn writer(&self) -> PathBuf {
        self.0.join("WRITER")
    }

    /// What lies here below a name.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

/// Name of the checkpoint that says from which WAL segment rows are in no block.
pub(super) const WAL_CHECKPOINT: &str = "wal";
/// Blocks of a bucket that are opened at once: most of the time passes in waiting for it.
const OPENED_AT_ONCE: usize = 16;

/// What was found when a data directory was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Blocks opened.
    pub blocks: usize,
    /// Blocks that the manifest does not have: those of a flush or merge that was cut short, or replaced by a merge.
    pub orphans: usize,
    /// Blocks that are damaged and were left out.
    pub damaged: usize,
    /// WAL records replayed.
    pub records: u64,
    /// Rows of those.
    pub rows: u64,
}

/// A data directory, opened.
pub(super) struct Recovered {
    pub(super) wal: Wal,
    pub(super) manifest: ManifestStore,
    pub(super) view: View,
    pub(super) report: RecoveryReport,
    /// Where the orphans lie.
    pub(super) orphans: Vec<PathBuf>,
    /// No orphan has this nonce or a higher one.
    pub(super) free_nonce: u64,
    /// What this process is among those that share a bucket.
    pub(super) sharing: Option<Sharing>,
    pub(super) lock: Box<dyn Send + Sync>,
}

/// Takes the lock of a data directory, which is made if need be.
pub(super) fn take(fs: &dyn Filesystem, dir: &Path) -> Result<Box<dyn Send + Sync>> {
    fs.create_dir_all(dir).map_err(Error::io("create", dir))?;
    fs.lock(&Layout::new(dir).lock()).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => Error::InUse { path: dir.to_owned() },
        _ => Error::io("lock", dir)(error),
    })
}

/// Opens what lies in a directory whose lock is held. `sharing` is what a bucket was mounted for.
pub(super) fn open(
    config: &EngineConfig,
    fs: &Arc<dyn Filesystem>,
    clock: &dyn Clock,
    decoder: &Decoder,
    (lock, mut sharing): (Box<dyn Send + Sync>, Option<Sharing>),
) -> Result<Recovered> {
    let layout = Layout::new(&config.data_dir);
    for folder in [layout.blocks(), layout.temp(), layout.wal(), layout.manifest()] {
        fs.create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    }
    let mut report = RecoveryReport::default();
    let writers = if sharing.is_some() { Writers::Many } else { Writers::One };
    let (mut manifest_store, mut manifest) = ManifestStore::open(Arc::clone(fs), &layout.manifest(), writers)?;
    empty_temp(fs.as_ref(), &layout)?;
    let orphans = match &mut sharing {
        Some(sharing) => {
            manifest = share::begin(sharing, fs.as_ref(), &layout, &mut manifest_store)?;
            // Others may be making them: `share` looks for what is left behind.
            Vec::new()
        }
        None => orphans(fs.as_ref(), &layout, &manifest)?,
    };
    report.orphans = orphans.len();
    // The low half of an id.
    let nonces = orphans.iter().map(|(id, _)| u64::try_from(id.0 & u128::from(u64::MAX)).unwrap_or(u64::MAX));
    let free_nonce = nonces.max().map_or(0, |nonce| nonce.saturating_add(1));
    let name = sharing.as_ref().map_or_else(|| WAL_CHECKPOINT.to_owned(), Sharing::wal_checkpoint);
    let from = checkpoint(&manifest, &name, &layout.manifest())?;
    let at_once = if sharing.is_some() { OPENED_AT_ONCE } else { 1 };
    let opened = open_blocks(fs, &layout, &manifest, at_once)?;
    report.blocks = opened.blocks.values().map(Vec::len).sum();
    report.damaged = opened.unread.len();
    let view = View {
        blocks: opened.blocks.into_iter().map(|(table, blocks)| (table, Arc::new(blocks))).collect(),
        unread: Arc::new(opened.unread),
        reports: Arc::default(),
        spreads: Arc::default(),
        manifest: Arc::clone(&manifest),
        sealed: Vec::new(),
        active: Arc::new(Generation::new(from, clock.monotonic())),
        consuming: Arc::new(Generation::of_sources(clock.monotonic())),
        relapses: 0,
    };
    replay(fs.as_ref(), &layout.wal(), from, &view, decoder, &mut report)
        .map_err(|error| with_remedy(error, &config.data_dir))?;
    let mut wal = Wal::open(Arc::clone(fs), &layout.wal(), from, config.wal)
        .map_err(|error| with_remedy(error, &config.data_dir))?;
    wal.release(from)?;
    let orphans = orphans.into_iter().map(|(_, path)| path).collect();
    Ok(Recovered { wal, manifest: manifest_store, view, report, orphans, free_nonce, sharing, lock })
}

/// Opens the blocks of the manifest, some at once.
fn open_blocks(fs: &Arc<dyn Filesystem>, layout: &Layout, manifest: &Manifest, at_once: usize) -> Result<Opened> {
    let entries: Vec<&Arc<BlockEntry>> = manifest.by_writing().collect();
    let sound = entries.iter().filter(|entry| !manifest.quarantined.contains_key(&entry.id)).copied();
    let found = open_entries(fs, layout, &sound.collect::<Vec<_>>(), at_once)?;
    let mut opened = Opened { unread: found.unread, ..Opened::default() };
    opened.unread.extend(manifest.quarantined.iter().map(|(id, reason)| (*id, Arc::clone(reason))));
    for entry in entries {
        if let Some(block) = found.blocks.get(&entry.id) {
            let shown = Shown::new(entry.id, Arc::clone(block), manifest.hidden_in(&entry.id));
            opened.blocks.entry((entry.tenant.clone(), entry.signal)).or_default().push(shown);
        }
    }
    Ok(opened)
}

/// Blocks, and why others cannot be read.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) blocks: BTreeMap<BlockId, Arc<Block>>,
    pub(super) unread: BTreeMap<BlockId, Arc<str>>,
}

/// Opens blocks that others have written into the bucket.
pub(super) fn open_shared(fs: &Arc<dyn Filesystem>, layout: &Layout, entries: &[&Arc<BlockEntry>]) -> Result<Found> {
    open_entries(fs, layout, entries, OPENED_AT_ONCE)
}

fn open_entries(
    fs: &Arc<dyn Filesystem>,
    layout: &Layout,
    entries: &[&Arc<BlockEntry>],
    at_once: usize,
) -> Result<Found> {
    let open = |entry: &Arc<BlockEntry>| {
        Block::open(Arc::clone(fs), &layout.blocks().join(entry.path()), entry.signal, entry.meta_crc)
    };
    let mut found = Found::default();
    for some in entries.chunks(at_once.max(1)) {
        let opened: Vec<Result<Arc<Block>>> = match some {
            [one] => vec![open(one)],
            _ => std::thread::scope(|scope| {
                let threads: Vec<_> = some.iter().map(|entry| scope.spawn(|| open(entry))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap_or(Err(Error::Closing))).collect()
            }),
        };
        for (entry, opened) in some.iter().zip(opened) {
            match opened {
                Ok(block) => drop(found.blocks.insert(entry.id, block)),
                Err(error @ (Error::Damaged { .. } | Error::Parquet { .. })) => {
                    tracing::error!(block = %entry.id, error = %chain(&error), "a block is damaged; its rows are left out");
                    found.unread.insert(entry.id, chain(&error).into());
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(found)
}

/// The blocks that can be read, and those that cannot.
#[derive(Debug, Default)]
struct Opened {
    blocks: BTreeMap<(TenantId, Signal), Vec<Shown>>,
    unread: BTreeMap<BlockId, Arc<str>>,
}

/// From which WAL segment on rows are in no block, on a disk alone.
pub(crate) fn wal_checkpoint(manifest: &Manifest, path: &Path) -> Result<u64> {
    checkpoint(manifest, WAL_CHECKPOINT, path)
}

/// A checkpoint that is a number; 0 without it.
pub(super) fn checkpoint(manifest: &Manifest, name: &str, path: &Path) -> Result<u64> {
    let Some(text) = manifest.checkpoints.get(name) else { return Ok(0) };
    text.parse().map_err(|_| Error::Damaged { path: path.into(), what: format!("checkpoint {name} `{text}`") })
}

/// A damaged log is not opened: rows that were acknowledged would be gone without a word. Says what helps.
fn with_remedy(error: Error, data_dir: &Path) -> Error {
    match error {
        Error::Damaged { path, what } => {
            let command = format!("`spanlight inspect --repair {}`", data_dir.display());
            Error::Damaged { path, what: format!("{what}; {command} keeps what can be read of the log") }
        }
        other => other,
    }
}

fn replay(
    fs: &dyn Filesystem,
    dir: &Path,
    from: u64,
    view: &View,
    decoder: &Decoder,
    report: &mut RecoveryReport,
) -> Result<()> {
    wal::replay(fs, dir, from, &mut |record| {
        let batch = decoder(record.signal, record.received_at, &record.payload)
            .map_err(|what| Error::Replay { signal: record.signal, what })?;
        let (tenant, signal, received_at) = (record.tenant, record.signal, record.received_at);
        // The bytes stay in the log; rows are all that memory needs.
        let write = Write { tenant, signal, received_at, payload: Bytes::new(), batch };
        report.records += 1;
        report.rows += show(view, &write)? as u64;
        Ok(())
    })?;
    Ok(())
}

/// Empties the folder of blocks in the making. The lock says that nobody else writes here.
fn empty_temp(fs: &dyn Filesystem, layout: &Layout) -> Result<()> {
    let temp = layout.temp();
    for name in folders_if_listed(fs, &temp)? {
        let dir = temp.join(&name);
        fs.remove_dir_all(&dir).map_err(Error::io("remove", &dir))?;
    }
    Ok(())
}

/// Finds blocks that the manifest does not have.
pub(super) fn orphans(fs: &dyn Filesystem, layout: &Layout, manifest: &Manifest) -> Result<Vec<(BlockId, PathBuf)>> {
    let mut orphans = Vec::new();
    let known: BTreeSet<BlockId> = manifest.blocks.keys().copied().collect();
    let blocks = layout.blocks();
    for tenant in folders_if_listed(fs, &blocks)? {
        for signal in folders_if_listed(fs, &blocks.join(&tenant))? {
            for window in folders_if_listed(fs, &blocks.join(&tenant).join(&signal))? {
                let dir = blocks.join(&tenant).join(&signal).join(&window);
                for name in folders_if_listed(fs, &dir)? {
                    if let Ok(id) = BlockId::from_str(&name)
                        && !known.contains(&id)
                    {
                        orphans.push((id, dir.join(name)));
                    }
                }
            }
        }
    }
    Ok(orphans)
}

/// Folders in one; none where the disk does not list it: what nobody needs of it stays, and blocks are told of one by one.
fn folders_if_listed(fs: &dyn Filesystem, dir: &Path) -> Result<Vec<String>> {
    match folders(fs, dir) {
        Err(error @ Error::Damaged { .. }) => {
            tracing::error!(error = %chain(&error), "a folder cannot be listed");
            Ok(Vec::new())
        }
        listed => listed,
    }
}

fn folders(fs: &dyn Filesystem, dir: &Path) -> Result<Vec<String>> {
    let entries = fs.list(dir).map_err(Error::read("list", dir))?;
    Ok(entries.into_iter().filter(|entry| entry.is_dir).map(|entry| entry.name).collect())
}
