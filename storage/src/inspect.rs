//! What does a data directory hold, byte by byte? For `spanlight inspect`.
//!
//! Reads only, takes no lock: a directory in use may be inspected, and a block that compaction removes meanwhile is
//! then reported as missing.
//!
//! I1  Every file below the directory (and in the bucket) counts in exactly one place, with its length as it is listed: the places
//!     add up to all bytes, a table's files to the table, and a file's columns with what is beside them to the file.

mod show;
mod walk;

pub use walk::Place;

use crate::block::{Block, ColumnBytes, META, file_of_column};
use crate::error::{Class, Error, Result};
use crate::fs::{Clock, Filesystem};
use crate::manifest::{BlockEntry, Manifest, ManifestStore};
use crate::model::{Signal, TenantId};
use crate::object::{Mounted, ObjectStoreConfig, Shared, connect};
use crate::wal::{self, ReplayReport};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use walk::Files;

/// How much to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What the manifest and the blocks' metadata tell.
    Metadata,
    /// Every byte, against its checksum.
    Everything,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Inspection {
    /// Version of the manifest.
    pub manifest_version: u64,
    /// How far each source has been read.
    pub checkpoints: BTreeMap<String, String>,
    /// Up to which offset each source has been read that can be read again.
    pub sources: BTreeMap<String, u64>,
    /// What each tenant has of each signal.
    pub tables: Vec<Table>,
    /// The write-ahead log, from its checkpoint on.
    pub wal: ReplayReport,
    /// Bytes by what they are for; all of them together are everything that was found (I1).
    pub places: BTreeMap<Place, u64>,
    /// Whether the blocks are in a bucket, where nobody looked.
    pub blocks_elsewhere: bool,
    /// What is damaged or missing, a sentence each.
    pub damage: Vec<String>,
    /// What could not be read for a reason that may pass.
    pub unread: Vec<String>,
}

/// One tenant's rows of one signal, in blocks.
#[derive(Debug, Clone)]
pub struct Table {
    /// Whose.
    pub tenant: TenantId,
    /// What.
    pub signal: Signal,
    /// Rows.
    pub rows: u64,
    /// Blocks.
    pub blocks: u64,
    /// Bytes of all their files, as they lie there.
    pub bytes: u64,
    /// Earliest time, inclusive.
    pub min_time: i64,
    /// Latest time, inclusive.
    pub max_time: i64,
    /// Bytes by file name: data, indexes, metadata.
    pub files: BTreeMap<String, u64>,
    /// Bytes by column: in the file, and decoded.
    pub columns: BTreeMap<String, (u64, u64)>,
}

impl Inspection {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.places.values().sum()
    }

    fn note(&mut self, error: &Error) {
        let list = if error.class() == Class::Corrupt { &mut self.damage } else { &mut self.unread };
        list.push(with_causes(error));
    }
}

impl Table {
    /// The columns of a file: bytes in it, and decoded.
    pub fn columns_of<'a>(&'a self, file: &'a str) -> impl Iterator<Item = (&'a str, (u64, u64))> {
        let of_file = self.columns.iter().filter(move |(column, _)| file_of_column(self.signal, column) == file);
        of_file.map(|(column, bytes)| (column.as_str(), *bytes))
    }

    /// What a file of columns has beside them: footer, page indexes, checksums; `None` of a file without columns.
    pub fn beside_columns(&self, file: &str) -> Option<u64> {
        let columns = self.columns_of(file).map(|(_, (stored, _))| stored).reduce(|sum, stored| sum + stored)?;
        Some(self.files.get(file)?.saturating_sub(columns))
    }
}

/// Looks at a data directory.
pub fn inspect(fs: &Arc<dyn Filesystem>, data_dir: &Path, depth: Depth) -> Result<Inspection> {
    let layout = crate::engine::Layout::new(data_dir);
    // Without this look, inspecting a wrong path would make a data directory of it.
    let blocks_elsewhere = crate::engine::is_shared(fs.as_ref(), &layout)?;
    if !blocks_elsewhere {
        fs.list(&layout.manifest()).map_err(Error::io("list", layout.manifest()))?;
    }
    look(fs, data_dir, depth, blocks_elsewhere)
}

/// Looks at a data directory, and where the settings name a bucket, there too.
pub fn inspect_with(
    disk: &Arc<dyn Filesystem>,
    clock: Arc<dyn Clock>,
    data_dir: &Path,
    object_store: &ObjectStoreConfig,
    depth: Depth,
) -> Result<Inspection> {
    match object_store.is_set() {
        true => inspect_shared(disk, clock, data_dir, &connect(object_store)?, depth),
        false => inspect(disk, data_dir, depth),
    }
}

/// Looks at a data directory and the bucket that its blocks are in.
pub fn inspect_shared(
    disk: &Arc<dyn Filesystem>,
    clock: Arc<dyn Clock>,
    data_dir: &Path,
    shared: &Shared,
    depth: Depth,
) -> Result<Inspection> {
    let fs: Arc<dyn Filesystem> = Arc::new(Mounted::without_cache(disk, clock, data_dir, shared));
    look(&fs, data_dir, depth, false)
}

fn look(fs: &Arc<dyn Filesystem>, data_dir: &Path, depth: Depth, blocks_elsewhere: bool) -> Result<Inspection> {
    let layout = crate::engine::Layout::new(data_dir);
    let manifest = ManifestStore::read(fs.as_ref(), &layout.manifest())?;
    let mut found = Inspection {
        manifest_version: manifest.version,
        checkpoints: manifest.checkpoints.clone(),
        sources: manifest.sources.clone(),
        blocks_elsewhere,
        ..Inspection::default()
    };
    if depth == Depth::Everything {
        found.damage.extend(ManifestStore::verify(fs.as_ref(), &layout.manifest())?.iter().map(with_causes));
        match crate::retention::verify_record(fs.as_ref(), &layout.deletions()) {
            // Said of the folder by `walk`.
            Err(Error::Damaged { .. }) => {}
            record => found.damage.extend(record?.iter().map(with_causes)),
        }
    }
    let mut walked = walk::walk(fs.as_ref(), data_dir)?;
    found.damage.extend(walked.unlisted.iter().map(with_causes));
    let mut tables = BTreeMap::new();
    for entry in manifest.blocks.values() {
        let path = layout.blocks().join(entry.path());
        let files = walked.blocks.remove(&(entry.id, path.clone())).unwrap_or_default();
        let is_quarantined = manifest.quarantined.contains_key(&entry.id);
        match look_at(fs, &path, entry, depth) {
            Ok(_) if is_quarantined => {
                walked.count(Place::Damaged, &files);
                found.damage.push(format!(
                    "block {} is in quarantine, and its {} rows are in no answer, though nothing is wrong with it now; \
                     `--repair` brings them back",
                    entry.id, entry.rows
                ));
            }
            Ok(block) => {
                found.damage.extend(block.lost_part().map(|what| format!("{what}; no row depends on it")));
                let table = tables.entry((entry.tenant.clone(), entry.signal)).or_insert_with(|| empty(entry));
                let unknown = add(table, &block, files);
                walked.count(Place::Other, &unknown);
            }
            Err(error) => {
                walked.count(Place::Damaged, &files);
                found.note(&error);
            }
        }
    }
    found.tables = tables.into_values().collect();
    found.places = walked.finish(found.tables.iter().map(|table| table.bytes).sum());
    inspect_wal(fs.as_ref(), &layout.wal(), &manifest, &mut found)?;
    Ok(found)
}

fn look_at(fs: &Arc<dyn Filesystem>, path: &Path, entry: &BlockEntry, depth: Depth) -> Result<Arc<Block>> {
    let block = Block::open(Arc::clone(fs), path, entry.signal, entry.meta_crc)?;
    if depth == Depth::Everything {
        block.examine()?;
    }
    Ok(block)
}

fn inspect_wal(fs: &dyn Filesystem, dir: &Path, manifest: &Manifest, found: &mut Inspection) -> Result<()> {
    match fs.list(dir) {
        // Who only reads a bucket has no log.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        files => drop(files.map_err(Error::io("list", dir))?),
    }
    let from = crate::engine::wal_checkpoint(manifest, dir)?;
    match wal::replay(fs, dir, from, &mut |_| Ok(())) {
        Ok(report) => found.wal = report,
        Err(error) => found.note(&error),
    }
    Ok(())
}

fn empty(entry: &BlockEntry) -> Table {
    Table {
        tenant: entry.tenant.clone(),
        signal: entry.signal,
        rows: 0,
        blocks: 0,
        bytes: 0,
        min_time: i64::MAX,
        max_time: i64::MIN,
        files: BTreeMap::new(),
        columns: BTreeMap::new(),
    }
}

/// Counts a block; the files in its folder that it does not know.
fn add(table: &mut Table, block: &Block, files: Files) -> Files {
    let meta = block.meta();
    table.rows += meta.rows;
    table.blocks += 1;
    table.min_time = table.min_time.min(meta.min_time);
    table.max_time = table.max_time.max(meta.max_time);
    for ColumnBytes { name, compressed, raw, .. } in &meta.columns {
        let sum = table.columns.entry(name.clone()).or_default();
        *sum = (sum.0 + compressed, sum.1 + raw);
    }
    let (known, unknown): (Files, Files) =
        files.into_iter().partition(|(name, _)| name == META || meta.files.iter().any(|file| file.name == *name));
    for (name, len) in known {
        table.bytes += len;
        *table.files.entry(name).or_default() += len;
    }
    unknown
}

/// An error and its causes, in one line.
fn with_causes(error: &Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests;
