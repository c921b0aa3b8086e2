//! How do the bytes of a manifest file say what changed, and whether they are whole?
//!
//! N1  A checksum covers everything behind the first line, which is read exactly as it is written: no byte that changed is
//!     read. A commit is there twice (`doubled`), so that what damages one byte of the newest one loses nothing; version 1 held it once.
//! N2  What a file says of its kind and version must agree with its name; fields that this program does not know are
//!     errors, not ignored.
//!
//! The layout is `docs/format/manifest.md`. Not here: when files are written and which count (`mod`).

use super::deletion::{StoredDeletion, StoredTombstone};
use super::sampling::{StoredSampled, StoredSampling};
use super::{BlockEntry, Commit, Manifest, SourceRanges};
use crate::doubled::{doubled, frames, is_doubled};
use crate::error::{Error, Result};
use crate::fs::{Filesystem, Try, read_whole};
use crate::metric::Resolution;
use crate::model::{Signal, TenantId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

/// First word of every manifest file.
const MAGIC: &str = "spanlight-manifest";
/// The format that this program writes, and the newest that it reads.
pub(super) const FORMAT_VERSION: u32 = 3;
/// The format in which a commit was there once.
const SINGLE: u32 = 1;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The change from the version before.
    Commit,
    /// The whole state.
    Snapshot,
}

impl Kind {
    fn extension(self) -> &'static str {
        match self {
            Kind::Commit => "commit",
            Kind::Snapshot => "snapshot",
        }
    }
}

/// The name of a file.
pub(super) fn name(kind: Kind, version: u64) -> String {
    format!("{version:020}.{}", kind.extension())
}

/// What a name promises; `None` for any other file.
pub(super) fn parse_name(name: &str) -> Option<(Kind, u64)> {
    let (digits, extension) = name.split_once('.')?;
    let kind = [Kind::Commit, Kind::Snapshot].into_iter().find(|kind| kind.extension() == extension)?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((kind, digits.parse().ok()?))
}

/// A `BlockEntry` in a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredBlock {
    id: String,
    tenant: String,
    signal: String,
    window: String,
    written: u64,
    rows: u64,
    bytes: u64,
    min_time: i64,
    max_time: i64,
    meta_crc: u32,
    #[serde(default, skip_serializing_if = "Resolution::is_raw")]
    resolution: Resolution,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    undecided: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grown_at: Option<i64>,
}

/// The body of a commit.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredCommit {
    version: u64,
    add: Vec<StoredBlock>,
    remove: Vec<String>,
    checkpoints: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hide: Vec<StoredTombstone>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    quarantine: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deleted: Option<StoredDeletion>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    recorded: Vec<u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    consumed: SourceRanges,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    floor: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    settled: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sampled: Option<StoredSampled>,
}

/// The body of a snapshot.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSnapshot {
    version: u64,
    blocks: Vec<StoredBlock>,
    checkpoints: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tombstones: Vec<StoredTombstone>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    quarantined: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    deletions: BTreeMap<u64, StoredDeletion>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    sources: BTreeMap<String, u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    floor: Option<u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    sampling: BTreeMap<String, StoredSampling>,
}

impl StoredBlock {
    fn of(entry: &BlockEntry) -> Self {
        StoredBlock {
            id: entry.id.to_string(),
            tenant: entry.tenant.to_string(),
            signal: entry.signal.to_string(),
            window: entry.window.to_string(),
            written: entry.written,
            rows: entry.rows,
            bytes: entry.bytes,
            min_time: entry.min_time,
            max_time: entry.max_time,
            meta_crc: entry.meta_crc,
            resolution: entry.resolution,
            undecided: entry.undecided,
            grown_at: entry.grown_at,
        }
    }

    fn read(self) -> Result<BlockEntry, String> {
        let signal = Signal::from_name(&self.signal).ok_or_else(|| format!("unknown signal `{}`", self.signal))?;
        Ok(BlockEntry {
            id: read(&self.id)?,
            tenant: read::<TenantId>(&self.tenant)?,
            signal,
            window: read(&self.window)?,
            written: self.written,
            rows: self.rows,
            bytes: self.bytes,
            min_time: self.min_time,
            max_time: self.max_time,
            meta_crc: self.meta_crc,
            resolution: self.resolution,
            undecided: self.undecided,
            grown_at: self.grown_at,
        })
    }
}

pub(super) fn read<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("`{text}`: {error}"))
}

/// The bytes of the file that leads to `version`.
pub(super) fn encode_commit(version: u64, commit: &Commit) -> Vec<u8> {
    doubled(frame(&StoredCommit {
        version,
        add: commit.add.iter().map(StoredBlock::of).collect(),
        remove: commit.remove.iter().map(ToString::to_string).collect(),
        checkpoints: commit.checkpoints.clone(),
        hide: commit.hide.iter().map(|(version, tombstone)| StoredTombstone::of(*version, tombstone)).collect(),
        quarantine: commit.quarantine.iter().map(|(id, reason)| (id.to_string(), reason.clone())).collect(),
        deleted: commit.deleted.as_ref().map(StoredDeletion::of),
        recorded: commit.recorded.clone(),
        consumed: commit.consumed.clone(),
        floor: commit.floor,
        settled: commit.settled.iter().map(ToString::to_string).collect(),
        sampled: commit.sampled.as_ref().map(StoredSampled::of),
    }))
}

/// The bytes of a snapshot.
pub(super) fn encode_snapshot(manifest: &Manifest) -> Vec<u8> {
    frame(&StoredSnapshot {
        version: manifest.version,
        blocks: manifest.blocks.values().map(|entry| StoredBlock::of(entry)).collect(),
        checkpoints: manifest.checkpoints.clone(),
        tombstones: manifest.tombstones.iter().map(|(version, each)| StoredTombstone::of(*version, each)).collect(),
        quarantined: manifest.quarantined.iter().map(|(id, reason)| (id.to_string(), reason.to_string())).collect(),
        deletions: manifest.deletions.iter().map(|(version, each)| (*version, StoredDeletion::of(each))).collect(),
        sources: manifest.sources.clone(),
        floor: (manifest.floor > 0).then_some(manifest.floor),
        sampling: manifest
            .sampling
            .iter()
            .map(|(tenant, each)| (tenant.to_string(), StoredSampling::of(each)))
            .collect(),
    })
}

fn frame(body: &impl Serialize) -> Vec<u8> {
    // Strings and integers in structs: there is nothing that JSON cannot say, and the writer is memory.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut bytes = first_line(FORMAT_VERSION, &body).into_bytes();
    bytes.extend_from_slice(&body);
    bytes
}

fn first_line(version: u32, body: &[u8]) -> String {
    format!("{MAGIC} {version} {:08x} {}\n", crc32c::crc32c(body), body.len())
}

/// Whether nothing of a file that can be read is damaged.
pub(super) fn check_whole(path: &Path, kind: Kind, bytes: &[u8]) -> Result<()> {
    let single = format!("{MAGIC} {SINGLE} ");
    if kind == Kind::Snapshot || bytes.starts_with(single.as_bytes()) || is_doubled(bytes) {
        return Ok(());
    }
    Err(damaged(path, "one of the two copies of its content differs".to_owned()))
}

/// Reads a commit; an `Err` of `decode_*` is an `Error::Version` or `Error::Damaged` that names `path`.
pub(super) fn decode_commit(path: &Path, version: u64, bytes: &[u8]) -> Result<Commit> {
    let stored: StoredCommit = unframe(path, bytes)?;
    check_version(path, version, stored.version)?;
    let commit = (|| {
        let add = stored.add.into_iter().map(StoredBlock::read).collect::<Result<_, String>>()?;
        let remove = stored.remove.iter().map(|id| read(id)).collect::<Result<_, String>>()?;
        let hide = stored.hide.into_iter().map(StoredTombstone::read).collect::<Result<_, String>>()?;
        let quarantine = stored.quarantine.into_iter();
        let quarantine = quarantine.map(|(id, reason)| Ok((read(&id)?, reason))).collect::<Result<_, String>>()?;
        let deleted = stored.deleted.map(StoredDeletion::read).transpose()?;
        let (checkpoints, consumed) = (stored.checkpoints, stored.consumed);
        let (recorded, floor) = (stored.recorded, stored.floor);
        let settled = stored.settled.iter().map(|id| read(id)).collect::<Result<_, String>>()?;
        let sampled = stored.sampled.map(StoredSampled::read).transpose()?;
        Ok(Commit { add, remove, checkpoints, consumed, hide, quarantine, deleted, recorded, floor, settled, sampled })
    })();
    commit.map_err(|what| damaged(path, what))
}

/// Reads a snapshot.
pub(super) fn decode_snapshot(path: &Path, version: u64, bytes: &[u8]) -> Result<Manifest> {
    let stored: StoredSnapshot = unframe(path, bytes)?;
    check_version(path, version, stored.version)?;
    let mut blocks = BTreeMap::new();
    for block in stored.blocks {
        let entry = block.read().map_err(|what| damaged(path, what))?;
        if let Some(twice) = blocks.insert(entry.id, Arc::new(entry)) {
            return Err(damaged(path, format!("block {} is listed twice", twice.id)));
        }
    }
    let floor = stored.floor.unwrap_or(0);
    let (checkpoints, sources) = (stored.checkpoints, stored.sources);
    let mut manifest = Manifest { version, blocks, checkpoints, sources, floor, ..Manifest::default() };
    let rest = (|| {
        for tombstone in stored.tombstones {
            let (version, tombstone) = tombstone.read()?;
            manifest.tombstones.insert(version, Arc::new(tombstone));
        }
        for (id, reason) in stored.quarantined {
            manifest.quarantined.insert(read(&id)?, reason.into());
        }
        for (version, deletion) in stored.deletions {
            manifest.deletions.insert(version, Arc::new(deletion.read()?));
        }
        for (tenant, sampling) in stored.sampling {
            manifest.sampling.insert(read(&tenant)?, Arc::new(sampling.read()?));
        }
        Ok(())
    })();
    rest.map_err(|what| damaged(path, what))?;
    Ok(manifest)
}

/// What a file says, from whichever of its frames is whole.
fn unframe<T: for<'de> Deserialize<'de>>(path: &Path, bytes: &[u8]) -> Result<T> {
    let [whole, rest @ ..] = frames(bytes);
    unframe_one(path, whole)
        .or_else(|error| rest.into_iter().find_map(|frame| unframe_one(path, frame).ok()).ok_or(error))
}

fn unframe_one<T: for<'de> Deserialize<'de>>(path: &Path, bytes: &[u8]) -> Result<T> {
    let end = bytes.iter().position(|&byte| byte == b'\n').ok_or_else(|| damaged(path, "no first line".to_owned()))?;
    let (line, body) = bytes.split_at_checked(end + 1).unwrap_or((bytes, &[]));
    let line = std::str::from_utf8(line).map_err(|_| damaged(path, "the first line is not text".to_owned()))?;
    let mut words = line.split([' ', '\n']);
    if words.next() != Some(MAGIC) {
        return Err(damaged(path, "it is no manifest file".to_owned()));
    }
    let version = match words.next().and_then(|version| version.parse().ok()) {
        Some(version @ 1..=FORMAT_VERSION) => version,
        Some(found) => return Err(Error::Version { path: path.to_owned(), found, known: FORMAT_VERSION }),
        None => return Err(damaged(path, "the first line has no format version".to_owned())),
    };
    if line != first_line(version, body) {
        return Err(damaged(
            path,
            format!("its {} bytes do not match the checksum and length before them", body.len()),
        ));
    }
    serde_json::from_slice(body).map_err(|error| damaged(path, error.to_string()))
}

fn check_version(path: &Path, named: u64, found: u64) -> Result<()> {
    if named == found { Ok(()) } else { Err(damaged(path, format!("it holds version {found}"))) }
}

pub(super) fn damaged(path: &Path, what: String) -> Error {
    Error::Damaged { path: path.to_owned(), what }
}

/// Reads a whole file.
pub(super) fn read_file(fs: &dyn Filesystem, path: &Path) -> Result<Vec<u8>> {
    let file = fs.open(path).map_err(Error::read("open", path))?;
    read_whole(file.as_ref(), Try::First).map_err(Error::read("read", path))
}
