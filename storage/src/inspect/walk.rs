//! Which files are there, and what is each for?
//!
//! Not here: which blocks live, and what is in them (`inspect`).

use crate::block::BlockId;
use crate::error::{Error, Result};
use crate::fs::{Entry, Filesystem};
use crate::object::SHARED;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What bytes are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Blocks that are read.
    Blocks,
    /// Blocks that are in quarantine or could not be read.
    Damaged,
    /// Blocks that the manifest does not have: replaced or deleted ones that are still read, and what a crash left behind. They
    /// are removed by and by.
    Leaving,
    /// Blocks in the making.
    InTheMaking,
    /// The write-ahead log.
    Wal,
    /// The manifest.
    Manifest,
    /// The record of deletions.
    Deletions,
    /// What repairs took out.
    TakenOut,
    /// Chunks of a bucket's blocks.
    Cache,
    /// The lock, and which writer of a bucket this is.
    Identity,
    /// Files that are not known.
    Other,
}

impl Place {
    /// All, in their order.
    pub const ALL: [Place; 11] = [
        Place::Blocks,
        Place::Damaged,
        Place::Leaving,
        Place::InTheMaking,
        Place::Wal,
        Place::Manifest,
        Place::Deletions,
        Place::TakenOut,
        Place::Cache,
        Place::Identity,
        Place::Other,
    ];

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Place::Blocks => "blocks",
            Place::Damaged => "blocks, damaged",
            Place::Leaving => "blocks, to be removed",
            Place::InTheMaking => "blocks, in the making",
            Place::Wal => "write-ahead log",
            Place::Manifest => "manifest",
            Place::Deletions => "record of deletions",
            Place::TakenOut => "taken out by repairs",
            Place::Cache => "cache of the bucket",
            Place::Identity => "lock and writer",
            Place::Other => "other files",
        }
    }

    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            Place::Blocks => "blocks",
            Place::Damaged => "damaged_blocks",
            Place::Leaving => "leaving_blocks",
            Place::InTheMaking => "blocks_in_the_making",
            Place::Wal => "wal",
            Place::Manifest => "manifest",
            Place::Deletions => "deletions",
            Place::TakenOut => "taken_out",
            Place::Cache => "cache",
            Place::Identity => "identity",
            Place::Other => "other",
        }
    }

    /// By the first folder or file of a path; blocks have to be looked at further.
    fn of(top: &str) -> Place {
        match top {
            "wal" => Place::Wal,
            "manifest" => Place::Manifest,
            "deletions" => Place::Deletions,
            "damaged" => Place::TakenOut,
            "tmp" => Place::InTheMaking,
            "cache" => Place::Cache,
            "LOCK" | "WRITER" => Place::Identity,
            _ => Place::Other,
        }
    }
}

/// Names and lengths.
pub(super) type Files = Vec<(String, u64)>;

/// What lies in a data directory.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// The files of each folder that is named as a block, and where it is.
    pub(super) blocks: BTreeMap<(BlockId, PathBuf), Files>,
    places: BTreeMap<Place, u64>,
    /// Folders that the disk does not list; what is in them counts nowhere.
    pub(super) unlisted: Vec<Error>,
}

impl Walked {
    /// Counts files.
    pub(super) fn count(&mut self, place: Place, files: &[(String, u64)]) {
        *self.places.entry(place).or_default() += files.iter().map(|(_, len)| len).sum::<u64>();
    }

    /// All bytes by their place. Blocks that are still here are nobody's.
    pub(super) fn finish(mut self, blocks: u64) -> BTreeMap<Place, u64> {
        for files in std::mem::take(&mut self.blocks).into_values() {
            self.count(Place::Leaving, &files);
        }
        self.places.insert(Place::Blocks, blocks);
        self.places
    }
}

/// Lists everything. What vanishes meanwhile is not there.
pub(super) fn walk(fs: &dyn Filesystem, root: &Path) -> Result<Walked> {
    let mut walked = Walked::default();
    let mut top = list(fs, root, &mut walked.unlisted)?;
    // Of a bucket, the data directory need not have the folders.
    let shared = SHARED.iter().filter(|name| top.iter().all(|entry| entry.name != **name));
    let shared: Vec<Entry> = shared.map(|name| Entry { name: (*name).to_owned(), is_dir: true, len: 0 }).collect();
    top.extend(shared);
    for entry in top {
        let path = root.join(&entry.name);
        if !entry.is_dir {
            walked.count(Place::of(&entry.name), &[(entry.name, entry.len)]);
            continue;
        }
        let is_blocks = entry.name == "blocks";
        let mut folders = vec![path];
        while let Some(folder) = folders.pop() {
            // blocks/TENANT/SIGNAL/WINDOW/ID
            let depth = folder.strip_prefix(root).map_or(0, |below| below.iter().count());
            let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let block = BlockId::from_str(name).ok().filter(|_| is_blocks && depth == 5);
            let mut files = Files::new();
            for below in list(fs, &folder, &mut walked.unlisted)? {
                if below.is_dir {
                    folders.push(folder.join(below.name));
                } else {
                    files.push((below.name, below.len));
                }
            }
            match block {
                Some(id) => drop(walked.blocks.insert((id, folder), files)),
                None => walked.count(Place::of(&entry.name), &files),
            }
        }
    }
    Ok(walked)
}

fn list(fs: &dyn Filesystem, dir: &Path, unlisted: &mut Vec<Error>) -> Result<Vec<Entry>> {
    match fs.list(dir).map_err(Error::read("list", dir)) {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error @ Error::Damaged { .. }) => {
            unlisted.push(error);
            Ok(Vec::new())
        }
        listed => listed,
    }
}
