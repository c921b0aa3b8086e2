//! How does a data directory come back to life? Lock it, read the manifest, open its blocks, remove what the manifest
//! does not have, replay the log.

use super::config::EngineConfig;
use super::store::{Decoder, Write, show};
use super::view::View;
use crate::block::{Block, BlockId};
use crate::error::{Error, Result};
use crate::fs::{Clock, Filesystem};
use crate::manifest::{Manifest, ManifestStore};
use crate::memtable::Generation;
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

    fn lock(&self) -> PathBuf {
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
    /// Blocks of an unfinished flush that were removed.
    pub orphans: usize,
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
    report.orphans = remove_orphans(fs.as_ref(), &layout, &manifest)?;
    let from = wal_checkpoint(&manifest, &layout.manifest())?;
    let mut view = View {
        manifest: Arc::clone(&manifest),
        blocks: BTreeMap::new(),
        sealed: Vec::new(),
        active: Arc::new(Generation::new(from, clock.monotonic())),
    };
    for entry in manifest.blocks.values() {
        let path = layout.blocks().join(entry.path());
        let block = Block::open(Arc::clone(fs), &path, entry.signal, entry.meta_crc)?;
        view.add_block(&entry.tenant, entry.signal, block);
        report.blocks += 1;
    }
    replay(fs.as_ref(), &layout.wal(), from, &view, decoder, &mut report)?;
    let mut wal = Wal::open(Arc::clone(fs), &layout.wal(), from, config.wal)?;
    wal.release(from)?;
    Ok(Recovered { wal, manifest: manifest_store, view, report, lock })
}

/// From which WAL segment on rows are in no block.
pub(crate) fn wal_checkpoint(manifest: &Manifest, path: &Path) -> Result<u64> {
    let Some(text) = manifest.checkpoints.get(WAL_CHECKPOINT) else { return Ok(0) };
    text.parse().map_err(|_| Error::Damaged { path: path.into(), what: format!("WAL checkpoint `{text}`") })
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

/// Removes blocks that no manifest has: a flush that a crash cut short. The lock says that nobody else writes here.
fn remove_orphans(fs: &dyn Filesystem, layout: &Layout, manifest: &Manifest) -> Result<usize> {
    let temp = layout.temp();
    let mut orphans = 0;
    for name in folders(fs, &temp)? {
        remove(fs, &temp.join(name))?;
    }
    let known: BTreeSet<BlockId> = manifest.blocks.keys().copied().collect();
    let blocks = layout.blocks();
    for tenant in folders(fs, &blocks)? {
        for signal in folders(fs, &blocks.join(&tenant))? {
            for window in folders(fs, &blocks.join(&tenant).join(&signal))? {
                let dir = blocks.join(&tenant).join(&signal).join(&window);
                for id in folders(fs, &dir)? {
                    if BlockId::from_str(&id).is_ok_and(|id| !known.contains(&id)) {
                        remove(fs, &dir.join(id))?;
                        orphans += 1;
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

fn remove(fs: &dyn Filesystem, dir: &Path) -> Result<()> {
    tracing::info!(dir = %dir.display(), "removing a block of an unfinished flush");
    fs.remove_dir_all(dir).map_err(Error::io("remove", dir))
}
