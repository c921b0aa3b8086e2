//! How does a data directory come back to life? Lock it, read the manifest, open its blocks, note what the manifest does not
//! have, replay the log.
//!
//! A block that is damaged keeps nobody from the others: it is left out and told of. A log that is damaged, but for its torn
//! end, is not opened. What the manifest does not have is removed later (`maintain`), when it is certain that nobody brings
//! another manifest.

use super::config::EngineConfig;
use super::store::{Decoder, Write, show};
use super::threads::chain;
use super::view::View;
use crate::block::{Block, BlockId, Shown};
use crate::error::{Error, Result};
use crate::fs::{Clock, Filesystem};
use crate::manifest::{Manifest, ManifestStore};
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
}

/// Name of the checkpoint that says from which WAL segment rows are in no block.
pub(super) const WAL_CHECKPOINT: &str = "wal";

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
    pub(super) lock: Box<dyn Send + Sync>,
}

pub(super) fn open(
    config: &EngineConfig,
    fs: &Arc<dyn Filesystem>,
    clock: &dyn Clock,
    decoder: &Decoder,
) -> Result<Recovered> {
    let dir = &config.data_dir;
    let layout = Layout::new(dir);
    fs.create_dir_all(dir).map_err(Error::io("create", dir))?;
    let lock = fs.lock(&layout.lock()).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => Error::InUse { path: dir.clone() },
        _ => Error::io("lock", dir)(error),
    })?;
    for folder in [layout.blocks(), layout.temp(), layout.wal(), layout.manifest()] {
        fs.create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    }
    let mut report = RecoveryReport::default();
    let (manifest_store, manifest) = ManifestStore::open(Arc::clone(fs), &layout.manifest())?;
    let orphans = orphans(fs.as_ref(), &layout, &manifest)?;
    report.orphans = orphans.len();
    // The low half of an id.
    let nonces = orphans.iter().map(|(id, _)| u64::try_from(id.0 & u128::from(u64::MAX)).unwrap_or(u64::MAX));
    let free_nonce = nonces.max().map_or(0, |nonce| nonce.saturating_add(1));
    let from = wal_checkpoint(&manifest, &layout.manifest())?;
    let opened = open_blocks(fs, &layout, &manifest, &mut report)?;
    let view = View {
        blocks: opened.blocks.into_iter().map(|(table, blocks)| (table, Arc::new(blocks))).collect(),
        unread: Arc::new(opened.unread),
        reports: Arc::default(),
        manifest: Arc::clone(&manifest),
        sealed: Vec::new(),
        active: Arc::new(Generation::new(from, clock.monotonic())),
    };
    replay(fs.as_ref(), &layout.wal(), from, &view, decoder, &mut report).map_err(|error| with_remedy(error, dir))?;
    let mut wal =
        Wal::open(Arc::clone(fs), &layout.wal(), from, config.wal).map_err(|error| with_remedy(error, dir))?;
    wal.release(from)?;
    let orphans = orphans.into_iter().map(|(_, path)| path).collect();
    Ok(Recovered { wal, manifest: manifest_store, view, report, orphans, free_nonce, lock })
}

/// Opens the blocks of the manifest.
fn open_blocks(
    fs: &Arc<dyn Filesystem>,
    layout: &Layout,
    manifest: &Manifest,
    report: &mut RecoveryReport,
) -> Result<Opened> {
    let mut opened = Opened::default();
    for entry in manifest.by_writing() {
        if let Some(reason) = manifest.quarantined.get(&entry.id) {
            opened.unread.insert(entry.id, Arc::clone(reason));
            report.damaged += 1;
            continue;
        }
        let path = layout.blocks().join(entry.path());
        match Block::open(Arc::clone(fs), &path, entry.signal, entry.meta_crc) {
            Ok(block) => {
                let shown = Shown::new(entry.id, block, manifest.hidden_in(&entry.id));
                opened.blocks.entry((entry.tenant.clone(), entry.signal)).or_default().push(shown);
                report.blocks += 1;
            }
            Err(error @ (Error::Damaged { .. } | Error::Parquet { .. })) => {
                tracing::error!(block = %entry.id, error = %chain(&error), "a block is damaged; its rows are left out");
                opened.unread.insert(entry.id, chain(&error).into());
                report.damaged += 1;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(opened)
}

/// The blocks that can be read, and those that cannot.
#[derive(Debug, Default)]
struct Opened {
    blocks: BTreeMap<(TenantId, Signal), Vec<Shown>>,
    unread: BTreeMap<BlockId, Arc<str>>,
}

/// From which WAL segment on rows are in no block.
pub(crate) fn wal_checkpoint(manifest: &Manifest, path: &Path) -> Result<u64> {
    let Some(text) = manifest.checkpoints.get(WAL_CHECKPOINT) else { return Ok(0) };
    text.parse().map_err(|_| Error::Damaged { path: path.into(), what: format!("WAL checkpoint `{text}`") })
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

/// Finds blocks that the manifest does not have, and empties the folder of blocks in the making. The lock says that nobody
/// else writes here.
fn orphans(fs: &dyn Filesystem, layout: &Layout, manifest: &Manifest) -> Result<Vec<(BlockId, PathBuf)>> {
    let temp = layout.temp();
    let mut orphans = Vec::new();
    for name in folders(fs, &temp)? {
        let dir = temp.join(&name);
        fs.remove_dir_all(&dir).map_err(Error::io("remove", &dir))?;
    }
    let known: BTreeSet<BlockId> = manifest.blocks.keys().copied().collect();
    let blocks = layout.blocks();
    for tenant in folders(fs, &blocks)? {
        for signal in folders(fs, &blocks.join(&tenant))? {
            for window in folders(fs, &blocks.join(&tenant).join(&signal))? {
                let dir = blocks.join(&tenant).join(&signal).join(&window);
                for name in folders(fs, &dir)? {
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

fn folders(fs: &dyn Filesystem, dir: &Path) -> Result<Vec<String>> {
    let entries = fs.list(dir).map_err(Error::io("list", dir))?;
    Ok(entries.into_iter().filter(|entry| entry.is_dir).map(|entry| entry.name).collect())
}
