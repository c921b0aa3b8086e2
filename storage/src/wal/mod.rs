//! How is what was accepted made durable before it is acknowledged?
//!
//! One log for all tenants and signals: numbered segment files of records, written in groups with one sync each. The
//! layout is `docs/format/wal.md`; W1 to W7, W12 and W13 are in the files below.
//!
//! W8   When `append` returns `Ok`, all its records survive power loss. When it returns an error, none of them counts.
//! W9   After a failed write or sync the segment is never written again: it ends at its last synced length, it is cut
//!      there if the disk lets us, and the header of the next segment tells that length in any case. The buffer of the
//!      failed group is thrown away.
//! W10  Every failure can be retried: the next `append` starts a segment with a new number. A number is never used twice.
//! W11  A segment and its name are durable before the first record is written to it.
//!
//! Not here: threads, grouping of callers, what payloads mean (`engine`).

mod reader;
mod repair;
mod replay;
mod segment;

pub use repair::{RepairedSegment, repair};
pub use replay::{OwnedRecord, ReplayReport, replay};

use crate::error::{Error, Result};
use crate::fs::{Filesystem, WriteFile};
use crate::model::{Signal, TenantId};
use segment::{Group, HEADER_BYTES, Place, Previous, RECORD_HEADER_BYTES};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest payload of a record. The doors stop at far less; this keeps lengths within what the format can say.
pub const MAX_PAYLOAD: usize = 1 << 30;
/// The group is written out when its buffer holds so much, so that a large group is not copied whole.
const WRITE_BYTES: usize = 1 << 20;

/// One accepted request.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Whose it is.
    pub tenant: &'a TenantId,
    /// What it holds.
    pub signal: Signal,
    /// When it was received, in nanoseconds since 1970.
    pub received_at: i64,
    /// The request's bytes.
    pub payload: &'a [u8],
}

/// Settings of the log.
#[derive(Debug, Clone, Copy)]
pub struct WalConfig {
    /// A segment that would grow past this is followed by a new one. A single group may be larger.
    pub segment_bytes: u64,
}

impl Default for WalConfig {
    fn default() -> Self {
        WalConfig { segment_bytes: 64 << 20 }
    }
}

/// The log, open for writing. One process at a time: the engine holds the lock.
pub struct Wal {
    fs: Arc<dyn Filesystem>,
    dir: PathBuf,
    config: WalConfig,
    active: Option<Active>,
    previous: Option<Sealed>,
    /// The number of the next segment.
    next: u64,
    /// Segment files that are there, with their lengths.
    files: BTreeMap<u64, u64>,
    /// Those of them that never held an acknowledged record, to be removed once a later segment is durable.
    void: Vec<u64>,
    /// Holds no bytes between groups; only its memory is kept.
    buffer: Vec<u8>,
}

/// The segment that is written to. It holds at least one group, except within `append`.
#[derive(Debug)]
struct Active {
    number: u64,
    path: PathBuf,
    file: Box<dyn WriteFile>,
    /// Length at the last sync.
    len: u64,
    /// The group that is written next.
    group: u32,
}

/// The last segment that counts before the next one.
#[derive(Debug, Clone, Copy)]
struct Sealed {
    number: u64,
    len: u64,
    /// Whether all of `len` is known to be durable. What an earlier process left may be in the page cache only.
    synced: bool,
}

impl std::fmt::Debug for Wal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wal")
            .field("dir", &self.dir)
            .field("active", &self.active)
            .field("previous", &self.previous)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl Wal {
    /// Opens the log in a directory, which is made if need be. What is there stays as it is; new records go to a new
    /// segment, numbered after all that are there and at least `first`. Segments below `first` are not looked at.
    ///
    /// The new segment is made by the first `append`, so that a full disk can be opened and read.
    pub fn open(fs: Arc<dyn Filesystem>, dir: &Path, first: u64, config: WalConfig) -> Result<Wal> {
        fs.create_dir_all(dir).map_err(Error::io("create", dir))?;
        let files: BTreeMap<u64, u64> = replay::list(fs.as_ref(), dir)?.into_iter().collect();
        let needed: Vec<(u64, u64)> = files.range(first..).map(|(&number, &len)| (number, len)).collect();
        let last = replay::last(fs.as_ref(), dir, &needed)?;
        let previous = match last {
            None => None,
            Some((mut reader, number, _)) => {
                let len = reader.records(None, &mut |_, _, _| Ok(()))?;
                Some(Sealed { number, len, synced: false })
            }
        };
        let after_last = match files.last_key_value() {
            None => 1,
            Some((&number, _)) => number.checked_add(1).ok_or_else(|| Error::Damaged {
                path: dir.join(segment::file_name(number)),
                what: "no segment number is left after it".to_owned(),
            })?,
        };
        let void = match previous {
            None => needed.iter().map(|&(number, _)| number).collect(),
            Some(last) => needed.iter().map(|&(number, _)| number).filter(|&number| number > last.number).collect(),
        };
        let next = after_last.max(first);
        Ok(Wal { fs, dir: dir.to_owned(), config, active: None, previous, next, files, void, buffer: Vec::new() })
    }

    /// Writes records as one group and syncs them. After an error none of them counts, and the caller may try again.
    pub fn append(&mut self, records: &[Record<'_>]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let bytes = group_len(records)?;
        let full = |active: &Active| active.len + bytes > self.config.segment_bytes || active.group == u32::MAX;
        if self.active.as_ref().is_some_and(full) {
            self.seal();
        }
        let mut active = match self.active.take() {
            Some(active) => active,
            None => self.start()?,
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        match active.write(records, &mut buffer) {
            Ok(()) => {
                buffer.clear();
                buffer.shrink_to(2 * WRITE_BYTES);
                self.buffer = buffer;
                active.len += bytes;
                active.group += 1;
                self.files.insert(active.number, active.len);
                self.active = Some(active);
                Ok(())
            }
            Err(source) => {
                let path = active.path.clone();
                self.abandon(active);
                Err(Error::Io { action: "append to", path, source })
            }
        }
    }

    /// Number of the segment that the next record goes to; it may go to a later one when this is full or fails.
    pub fn segment(&self) -> u64 {
        self.active.as_ref().map_or(self.next, |active| active.number)
    }

    /// Seals the segment: all records so far lie in segments below the answer, all later ones in it or above.
    pub fn rotate(&mut self) -> Result<u64> {
        self.seal();
        Ok(self.next)
    }

    /// Removes the segments numbered below, and makes that durable. The one that is written to is kept.
    pub fn release(&mut self, below: u64) -> Result<()> {
        let active = self.active.as_ref().map(|active| active.number);
        let numbers: Vec<u64> = self.files.range(..below).map(|(&number, _)| number).collect();
        let mut removed = false;
        for number in numbers.into_iter().filter(|&number| Some(number) != active) {
            let path = self.dir.join(segment::file_name(number));
            match self.fs.remove_file(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                result => result.map_err(Error::io("remove", &path))?,
            }
            self.forget(number);
            removed = true;
        }
        if removed {
            self.fs.sync_dir(&self.dir).map_err(Error::io("sync", &self.dir))?;
        }
        Ok(())
    }

    /// Bytes of all segments that are there.
    pub fn total_bytes(&self) -> u64 {
        self.files.values().sum()
    }

    fn forget(&mut self, number: u64) {
        self.files.remove(&number);
        self.void.retain(|&void| void != number);
        self.previous = self.previous.filter(|previous| previous.number != number);
    }

    fn seal(&mut self) {
        if let Some(Active { number, len, .. }) = self.active.take() {
            self.previous = Some(Sealed { number, len, synced: true });
        }
    }

    /// Leaves a segment after a failed write or sync (W9).
    fn abandon(&mut self, active: Active) {
        let Active { number, path, file, len, .. } = active;
        drop(file);
        if let Err(error) = self.fs.truncate(&path, len) {
            tracing::warn!(path = %path.display(), %error, "failed to cut a segment; the next one tells its length");
        }
        self.files.insert(number, len);
        if len > HEADER_BYTES {
            self.previous = Some(Sealed { number, len, synced: true });
        } else {
            self.void.push(number);
        }
    }

    /// Starts the next segment (W11).
    fn start(&mut self) -> Result<Active> {
        if let Some(previous) = self.previous.filter(|previous| !previous.synced) {
            // Our header is going to promise these bytes, so they have to be durable. What an earlier process failed to sync may look
            // written and never reach the disk; `truncate` writes all once more.
            let path = self.dir.join(segment::file_name(previous.number));
            self.fs.truncate(&path, previous.len).map_err(Error::io("truncate", &path))?;
            self.previous = Some(Sealed { synced: true, ..previous });
            self.files.insert(previous.number, previous.len);
        }
        let number = self.next;
        let path = self.dir.join(segment::file_name(number));
        self.next = number.checked_add(1).ok_or_else(|| Error::Damaged {
            path: path.clone(),
            what: "no segment number is left after it".to_owned(),
        })?;
        match self.create(number, &path) {
            Ok(file) => {
                self.files.insert(number, HEADER_BYTES);
                self.remove_void();
                Ok(Active { number, path, file, len: HEADER_BYTES, group: 0 })
            }
            Err(source) => {
                // It may be there all the same, even durably. It has no records, so it does no harm (W6).
                if self.fs.remove_file(&path).is_err() {
                    self.files.insert(number, 0);
                    self.void.push(number);
                }
                Err(Error::Io { action: "create", path, source })
            }
        }
    }

    fn create(&self, number: u64, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let previous = self.previous.map(|previous| Previous { number: previous.number, len: previous.len });
        let mut file = self.fs.create(path)?;
        file.write_all(&segment::encode_header(number, previous))?;
        file.sync()?;
        self.fs.sync_dir(&self.dir)?;
        Ok(file)
    }

    /// Removes segments that never counted, now that a durable one after them says so. What cannot be removed now is
    /// removed by `release`.
    fn remove_void(&mut self) {
        for number in std::mem::take(&mut self.void) {
            let removed = self.fs.remove_file(&self.dir.join(segment::file_name(number)));
            if removed.is_ok() || removed.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
                self.files.remove(&number);
            }
        }
    }
}

impl Active {
    fn write(&mut self, records: &[Record<'_>], buffer: &mut Vec<u8>) -> io::Result<()> {
        let mut offset = self.len;
        for (index, record) in records.iter().enumerate() {
            let place = Place { segment: self.number, offset };
            let group = Group { number: self.group, last: index + 1 == records.len() };
            segment::encode_record(buffer, place, record, group).ok_or(ErrorKind::InvalidInput)?;
            if buffer.len() + record.payload.len() > WRITE_BYTES {
                self.file.write_all(buffer)?;
                self.file.write_all(record.payload)?;
                buffer.clear();
            } else {
                buffer.extend_from_slice(record.payload);
            }
            offset += record_len(record);
        }
        if !buffer.is_empty() {
            self.file.write_all(buffer)?;
        }
        self.file.sync()
    }
}

fn record_len(record: &Record<'_>) -> u64 {
    RECORD_HEADER_BYTES + (record.tenant.as_str().len() + record.payload.len()) as u64
}

/// Bytes that a group takes in a segment.
fn group_len(records: &[Record<'_>]) -> Result<u64> {
    for record in records {
        if record.payload.len() > MAX_PAYLOAD {
            let what = format!("a request of {} bytes is larger than a WAL record may be", record.payload.len());
            return Err(Error::Request { what });
        }
    }
    Ok(records.iter().map(record_len).sum())
}

#[cfg(test)]
mod tests;
