//! What can be saved of damaged blocks? For `spanlight inspect --repair`, while no server runs.
//!
//! R1  A block that is whole is not touched. Of a damaged one every row group that can be read goes into a new block, which takes
//!     its place in one manifest commit, with a record of how many rows are lost.
//! R2  No byte is destroyed: the damaged block's files go to the folder `damaged`.

use crate::block::{Block, BlockConfig, BlockId, BlockWriter};
use crate::engine::Layout;
use crate::error::{Class, Error, Result};
use crate::fs::{Clock, Filesystem};
use crate::manifest::{BlockEntry, Cause, Commit, Deletion, Manifest, ManifestStore};
use crate::model::Batch;
use crate::model::schema::column;
use crate::scan::{Predicate, evaluate, required};
use arrow_array::cast::AsArray;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

/// Numbers of blocks that a repair makes begin at the manifest's version, shifted so far, as those of the engine do.
const BLOCKS_PER_VERSION_BITS: u32 = 20;

/// A block that was damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// Which.
    pub id: BlockId,
    /// What was wrong with it.
    pub damage: String,
    /// The block that holds what was saved; `None` where nothing was.
    pub saved: Option<BlockId>,
    /// Rows that were saved.
    pub saved_rows: u64,
    /// Rows that are lost, deleted ones included.
    pub lost_rows: u64,
}

impl fmt::Display for Repaired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block {}: {}; {} rows saved, {} lost", self.id, self.damage, self.saved_rows, self.lost_rows)
    }
}

/// Takes every damaged block out of the store and saves what can be read of it.
pub fn repair(fs: &Arc<dyn Filesystem>, clock: &dyn Clock, data_dir: &Path) -> Result<Vec<Repaired>> {
    let layout = Layout::new(data_dir);
    fs.list(&layout.manifest()).map_err(Error::io("list", layout.manifest()))?;
    let _lock = fs.lock(&layout.lock()).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => Error::InUse { path: data_dir.to_owned() },
        _ => Error::io("lock", data_dir)(error),
    })?;
    let (mut store, manifest) = ManifestStore::open(Arc::clone(fs), &layout.manifest())?;
    let mut repaired = Vec::new();
    for entry in manifest.blocks.values() {
        let path = layout.blocks().join(entry.path());
        let checked = Block::open(Arc::clone(fs), &path, entry.signal, entry.meta_crc).and_then(|block| block.verify());
        let damage = match (checked, manifest.quarantined.get(&entry.id)) {
            (Ok(()), None) => continue,
            (Ok(()), Some(reason)) => format!("it is whole, but was in quarantine: {reason}"),
            (Err(error), _) if error.class() == Class::Corrupt => error.to_string(),
            (Err(error), _) => return Err(error),
        };
        repaired.push(replace(fs, clock, &layout, &mut store, (entry, damage))?);
    }
    Ok(repaired)
}

fn replace(
    fs: &Arc<dyn Filesystem>,
    clock: &dyn Clock,
    layout: &Layout,
    store: &mut ManifestStore,
    (entry, damage): (&BlockEntry, String),
) -> Result<Repaired> {
    let now = clock.now_unix_nano();
    let id = BlockId::new(now, (store.current().version + 1) << BLOCKS_PER_VERSION_BITS);
    let saved = save(fs, layout, store.current(), entry, id)?;
    let saved_rows = saved.as_ref().map_or(0, |saved| saved.rows);
    let lost_rows = entry.rows.saturating_sub(saved_rows);
    let deleted = Deletion {
        time: now,
        tenant: entry.tenant.clone(),
        signal: entry.signal,
        cause: Cause::Damage,
        predicate: None,
        blocks: 1,
        rows: lost_rows,
    };
    let repaired =
        Repaired { id: entry.id, damage, saved: saved.as_ref().map(|saved| saved.id), saved_rows, lost_rows };
    let add = saved.into_iter().collect();
    store.commit(Commit { add, remove: vec![entry.id], deleted: Some(deleted), ..Commit::default() })?;
    fs.create_dir_all(&layout.damaged()).map_err(Error::io("create", layout.damaged()))?;
    let (from, to) = (layout.blocks().join(entry.path()), layout.damaged().join(entry.id.to_string()));
    match fs.rename_new(&from, &to) {
        // Where there is nothing, nothing is kept.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        renamed => renamed.map_err(Error::io("move a damaged block to", &to))?,
    }
    fs.sync_dir(&layout.damaged()).map_err(Error::io("sync", layout.damaged()))?;
    Ok(repaired)
}

/// Writes what can be read of a block, less what is hidden, as a new block in its place.
fn save(
    fs: &Arc<dyn Filesystem>,
    layout: &Layout,
    manifest: &Manifest,
    entry: &BlockEntry,
    id: BlockId,
) -> Result<Option<BlockEntry>> {
    let path = layout.blocks().join(entry.path());
    let block = match Block::open_rows(Arc::clone(fs), &path, entry.signal, entry.meta_crc) {
        Err(error) if error.class() == Class::Corrupt => return Ok(None),
        block => block?,
    };
    let temp = layout.temp().join(id.to_string());
    fs.create_dir_all(&temp).map_err(Error::io("create", &temp))?;
    let hidden = Predicate::Or(manifest.hidden_in(&entry.id));
    let config = BlockConfig::default();
    let mut writer: Option<BlockWriter<'_>> = None;
    for group in 0..block.row_groups() {
        let rows = match block.row_group(group) {
            Err(error) if error.class() == Class::Corrupt => continue,
            rows => shown(&rows?, &hidden)?,
        };
        let batch = Batch::new(entry.signal, rows);
        let batch = batch.ok_or_else(|| Error::Request { what: format!("not the schema of {}", entry.signal) })?;
        if batch.num_rows() == 0 {
            continue;
        }
        let attributes = required(batch.columns(), column::ATTRIBUTES)?.as_binary();
        let writer =
            writer.get_or_insert_with(|| BlockWriter::create(fs.as_ref(), &temp, entry.signal, &[attributes], &config));
        writer.put(std::slice::from_ref(&batch))?;
    }
    let Some(writer) = writer else {
        fs.remove_dir_all(&temp).map_err(Error::io("remove", &temp))?;
        return Ok(None);
    };
    let meta = writer.finish()?;
    let (rows, bytes, meta_crc) = (meta.rows, meta.bytes(), meta.crc());
    let saved =
        BlockEntry { id, rows, bytes, min_time: meta.min_time, max_time: meta.max_time, meta_crc, ..entry.clone() };
    let place = layout.blocks().join(saved.path());
    fs.rename_new(&temp, &place).map_err(Error::io("move a block to", &place))?;
    let parent = place.parent().unwrap_or(&place);
    fs.sync_dir(parent).map_err(Error::io("sync", parent))?;
    Ok(Some(saved))
}

fn shown(rows: &RecordBatch, hidden: &Predicate) -> Result<RecordBatch> {
    let hidden = evaluate(rows, hidden)?;
    let shown: BooleanArray = hidden.values().iter().map(|hidden| Some(!hidden)).collect();
    filter_record_batch(rows, &shown).map_err(|source| Error::Columns { action: "leave out hidden rows", source })
}
