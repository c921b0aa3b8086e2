//! What can be saved of a damaged log and of damaged blocks? For `spanlight inspect --repair`, while no server runs.
//!
//! R1  A block that is whole is not touched. Of a damaged one every row group, or of metrics every series, that can be read goes
//!     into a new block, which takes its place in one manifest commit, with a record of how many rows are lost. What only an
//!     index lacks costs no row: indexes are made anew. A span that came again meanwhile, and is in another block, is not saved twice.
//! R2  No byte is destroyed: the damaged block's files go to the folder `damaged`, and so do damaged segments of the log
//!     (`wal::repair`).

use crate::block::{Block, BlockConfig, BlockId, BlockMeta, BlockWriter, SeriesReader, SeriesWriter, Shown};
use crate::engine::{Layout, is_shared, wal_checkpoint};
use crate::error::{Class, Error, Result};
use crate::fs::{Clock, Filesystem};
use crate::manifest::{BlockEntry, Cause, Commit, Deletion, Manifest, ManifestStore, Standing, Writers};
use crate::memtable;
use crate::metric::{Fields, Hidden, Resolution, Samples, SeriesSource, Stored};
use crate::model::schema::column;
use crate::model::{Batch, Signal};
use crate::scan::{Predicate, TimeRange, evaluate, required};
use crate::wal::{self, RepairedSegment};
use arrow_array::cast::AsArray;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

/// Numbers of blocks that a repair makes begin at the manifest's version, shifted so far, as those of the engine do.
const BLOCKS_PER_VERSION_BITS: u32 = 20;

/// Samples of a series that are given up together, at most.
const PIECE_ROWS: usize = 1024;

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

/// What was damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repairs {
    /// Segments of the write-ahead log, in their order.
    pub segments: Vec<RepairedSegment>,
    /// Blocks.
    pub blocks: Vec<Repaired>,
    /// Whether the blocks are in a bucket, where nothing is repaired.
    pub blocks_elsewhere: bool,
}

impl fmt::Display for Repairs {
    /// A line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.segments.iter().try_for_each(|segment| writeln!(f, "{segment}"))?;
        self.blocks.iter().try_for_each(|block| writeln!(f, "{block}"))?;
        match self.blocks_elsewhere {
            true => {
                writeln!(f, "the blocks are in an object store and are not repaired: a damaged one stays in quarantine")
            }
            false => Ok(()),
        }
    }
}

/// Makes a damaged log readable again, takes every damaged block out of the store, and saves what can be read of them. Of a
/// data directory whose blocks are in a bucket only the log is looked at.
pub fn repair(fs: &Arc<dyn Filesystem>, clock: &dyn Clock, data_dir: &Path) -> Result<Repairs> {
    let layout = Layout::new(data_dir);
    let shared = is_shared(fs.as_ref(), &layout)?;
    if !shared {
        fs.list(&layout.manifest()).map_err(Error::io("list", layout.manifest()))?;
    }
    let _lock = fs.lock(&layout.lock()).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => Error::InUse { path: data_dir.to_owned() },
        _ => Error::io("lock", data_dir)(error),
    })?;
    let repair_log = |from| wal::repair(fs.as_ref(), &layout.wal(), from, &layout.damaged());
    if shared {
        // The bucket says where the log begins to count; a segment that is still there does no harm.
        return Ok(Repairs { segments: repair_log(None)?, blocks: Vec::new(), blocks_elsewhere: true });
    }
    let (mut store, manifest) = ManifestStore::open(Arc::clone(fs), &layout.manifest(), Writers::One)?;
    let segments = repair_log(Some(wal_checkpoint(&manifest, &layout.manifest())?))?;
    let mut waiting = damaged(fs, &layout, &manifest)?;
    let mut blocks = Vec::new();
    while let Some((id, damage)) = waiting.pop_first() {
        let Some(entry) = manifest.blocks.get(&id) else { continue };
        // Those that wait are no help: what they share with this one is left out of them.
        let others = others(fs, &layout, store.current(), (entry, &waiting))?;
        blocks.push(replace(fs, clock, &layout, &mut store, (entry, damage, &others))?);
    }
    Ok(Repairs { segments, blocks, blocks_elsewhere: false })
}

/// The blocks that are to be replaced, and why: decided for all of them before one is.
fn damaged(fs: &Arc<dyn Filesystem>, layout: &Layout, manifest: &Manifest) -> Result<BTreeMap<BlockId, String>> {
    let mut damaged = BTreeMap::new();
    for entry in manifest.blocks.values() {
        let path = layout.blocks().join(entry.path());
        let checked = Block::open(Arc::clone(fs), &path, entry.signal, entry.meta_crc).and_then(|block| block.verify());
        let damage = match (checked, manifest.quarantined.get(&entry.id)) {
            (Ok(()), None) => continue,
            (Ok(()), Some(reason)) => format!("it is whole, but was in quarantine: {reason}"),
            (Err(error), _) if error.class() == Class::Corrupt => error.to_string(),
            (Err(error), _) => return Err(error),
        };
        damaged.insert(entry.id, damage);
    }
    Ok(damaged)
}

fn replace(
    fs: &Arc<dyn Filesystem>,
    clock: &dyn Clock,
    layout: &Layout,
    store: &mut ManifestStore,
    (entry, damage, others): (&BlockEntry, String, &[Shown]),
) -> Result<Repaired> {
    let now = clock.now_unix_nano();
    let id = BlockId::new(now, (store.current().version + 1) << BLOCKS_PER_VERSION_BITS);
    let (saved, repeated_rows) = save(fs, layout, store.current(), (entry, others), id)?;
    let saved_rows = saved.as_ref().map_or(0, |saved| saved.rows);
    let lost_rows = entry.rows.saturating_sub(saved_rows + repeated_rows);
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

/// Writes what can be read of a block, less what is hidden and what other blocks hold, as a new block in its place. Tells how many
/// rows others hold.
fn save(
    fs: &Arc<dyn Filesystem>,
    layout: &Layout,
    manifest: &Manifest,
    (entry, others): (&BlockEntry, &[Shown]),
    id: BlockId,
) -> Result<(Option<BlockEntry>, u64)> {
    if !entry.resolution.is_raw() && is_made_again(manifest, entry) {
        return Ok((None, entry.rows));
    }
    let path = layout.blocks().join(entry.path());
    let block = match Block::open_rows(Arc::clone(fs), &path, entry.signal, entry.meta_crc) {
        Err(error) if error.class() == Class::Corrupt => return Ok((None, 0)),
        block => block?,
    };
    let temp = layout.temp().join(id.to_string());
    fs.create_dir_all(&temp).map_err(Error::io("create", &temp))?;
    let hidden = block.hiding(manifest.hidden_in(&entry.id)).unwrap_or(Predicate::Or(Vec::new()));
    let (meta, repeated) = match block.series() {
        None => save_rows(fs.as_ref(), &temp, &block, &hidden, (others, manifest.version))?,
        Some(reader) => (save_series(fs.as_ref(), &temp, (reader, entry.resolution), &hidden)?, 0),
    };
    let Some(meta) = meta else {
        fs.remove_dir_all(&temp).map_err(Error::io("remove", &temp))?;
        return Ok((None, repeated));
    };
    let (rows, bytes, meta_crc) = (meta.rows, meta.bytes(), meta.crc());
    let saved =
        BlockEntry { id, rows, bytes, min_time: meta.min_time, max_time: meta.max_time, meta_crc, ..entry.clone() };
    let place = layout.blocks().join(saved.path());
    fs.rename_new(&temp, &place).map_err(Error::io("move a block to", &place))?;
    let parent = place.parent().unwrap_or(&place);
    fs.sync_dir(parent).map_err(Error::io("sync", parent))?;
    Ok((Some(saved), repeated))
}

/// Whether the raw blocks for which a thinned one stands are there: it is made of them again.
fn is_made_again(manifest: &Manifest, entry: &BlockEntry) -> bool {
    manifest.standing().get(&(&entry.tenant, entry.window)).is_some_and(Standing::is_whole)
}

/// The other blocks of the table, as readers see them, but those that wait for their repair. All were found whole: one that cannot
/// be read now ends the repair, which may be begun again.
fn others(
    fs: &Arc<dyn Filesystem>,
    layout: &Layout,
    manifest: &Manifest,
    (entry, waiting): (&BlockEntry, &BTreeMap<BlockId, String>),
) -> Result<Vec<Shown>> {
    let same_table = |other: &&Arc<BlockEntry>| {
        (&other.tenant, other.signal) == (&entry.tenant, entry.signal)
            && other.signal != Signal::Metrics
            && other.id != entry.id
            && !waiting.contains_key(&other.id)
    };
    let mut others = Vec::new();
    for other in manifest.blocks.values().filter(same_table) {
        let path = layout.blocks().join(other.path());
        let block = Block::open(Arc::clone(fs), &path, other.signal, other.meta_crc)?;
        others.push(Shown::new(other.id, block, manifest.hidden_in(&other.id)));
    }
    Ok(others)
}

/// What was read; nothing where that is damaged.
fn readable<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Err(error) if error.class() == Class::Corrupt => Ok(None),
        read => read.map(Some),
    }
}

/// Saves spans or logs, row group by row group.
fn save_rows(
    fs: &dyn Filesystem,
    dir: &Path,
    block: &Block,
    hidden: &Predicate,
    (others, seen): (&[Shown], u64),
) -> Result<(Option<BlockMeta>, u64)> {
    let (signal, mut repeated) = (block.signal(), 0);
    let config = BlockConfig::default();
    let mut writer: Option<BlockWriter<'_>> = None;
    for group in 0..block.row_groups() {
        let Some(rows) = readable(block.row_group(group))?.flatten() else { continue };
        let rows = shown(&rows, hidden)?;
        let batch = Batch::new(signal, rows);
        let batch = batch.ok_or_else(|| Error::Request { what: format!("not the schema of {signal}") })?;
        let (batch, held) = memtable::new_to(batch, others, seen)?;
        repeated += held;
        if batch.num_rows() == 0 {
            continue;
        }
        let attributes = required(batch.columns(), column::ATTRIBUTES)?.as_binary();
        let writer = match &mut writer {
            Some(writer) => writer,
            none => none.insert(BlockWriter::create(fs, dir, signal, &[attributes], &config)?),
        };
        writer.put(std::slice::from_ref(&batch))?;
    }
    Ok((writer.map(BlockWriter::finish).transpose()?, repeated))
}

/// Saves metrics, series by series.
fn save_series(
    fs: &dyn Filesystem,
    dir: &Path,
    (mut reader, resolution): (SeriesReader, Resolution),
    hidden: &Predicate,
) -> Result<Option<BlockMeta>> {
    let hidden = Hidden::new(hidden);
    let mut writer = SeriesWriter::create(fs, dir, &BlockConfig::default())?.of_resolution(resolution);
    for group in 0..reader.groups() {
        for stored in readable(reader.group(group))?.unwrap_or_default() {
            let samples = readable_samples(&mut reader, &stored)?;
            writer.put(&stored.series, &hidden.leave_out(&stored.series, samples)?)?;
        }
    }
    if writer.rows() == 0 { Ok(None) } else { writer.finish(fs).map(Some) }
}

/// The samples of a series that can be read: all at once, else piece by piece.
fn readable_samples(reader: &mut SeriesReader, stored: &Stored) -> Result<Samples> {
    let Some(rows) = readable(reader.rows_in(stored, TimeRange::ALL))? else { return Ok(Samples::default()) };
    if let Some(samples) = readable(reader.samples(stored, rows.clone(), Fields::ALL))? {
        return Ok(samples);
    }
    let mut all = Samples::default();
    for start in rows.clone().step_by(PIECE_ROWS) {
        let piece = start..rows.end.min(start.saturating_add(PIECE_ROWS));
        if let Some(samples) = readable(reader.samples(stored, piece, Fields::ALL))? {
            all.append(&samples);
        }
    }
    Ok(all)
}

fn shown(rows: &RecordBatch, hidden: &Predicate) -> Result<RecordBatch> {
    let hidden = evaluate(rows, hidden)?;
    let shown: BooleanArray = hidden.values().iter().map(|hidden| Some(!hidden)).collect();
    filter_record_batch(rows, &shown).map_err(|source| Error::Columns { action: "leave out hidden rows", source })
}
