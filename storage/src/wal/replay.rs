//! Which records does a log hold?
//!
//! W6  Each segment's header names the segment before it and how many bytes of that one count. The segments that count
//!     are the last one with a header and those reached from it by these links; whatever lies between is the remains of
//!     a segment whose making failed, and holds nothing that was acknowledged.
//! W7  A segment that should be there and is not, or is damaged, is an error that names it, and the byte.

use super::reader::{Head, SegmentReader};
use super::segment::{self, Place, Previous, RECORD_HEADER_BYTES, RecordHeader};
use crate::error::{Error, Result};
use crate::fs::Filesystem;
use crate::model::{Signal, TenantId};
use bytes::Bytes;
use std::io::ErrorKind;
use std::path::Path;

/// A record that was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedRecord {
    /// The segment that it lies in.
    pub segment: u64,
    /// Whose it is.
    pub tenant: TenantId,
    /// What it holds.
    pub signal: Signal,
    /// When it was received.
    pub received_at: i64,
    /// The bytes.
    pub payload: Bytes,
}

/// What a replay found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Segments read.
    pub segments: u64,
    /// Records read.
    pub records: u64,
    /// Bytes of their payloads.
    pub payload_bytes: u64,
    /// Bytes at the end of the last segment that are no whole record: what was in flight when the process ended.
    pub torn_bytes: u64,
    /// Bytes whose records were lost, and which a repair filled.
    pub lost_bytes: u64,
}

/// Ending of a repaired segment that has not taken its place yet.
pub(super) const REPAIRED: &str = ".repaired";

/// Reads the records of the segments numbered at least `from`, in the order in which they were appended, and gives each
/// to `each`, whose first error ends it. Writes nothing. Holds one record in memory at a time.
///
/// Every acknowledged record is given; of those in flight at a crash, any. Damage to what was acknowledged is an
/// `Error::Damaged`, except in the last group of the log, where it cannot be told from a torn write.
pub fn replay(
    fs: &dyn Filesystem,
    dir: &Path,
    from: u64,
    each: &mut dyn FnMut(OwnedRecord) -> Result<()>,
) -> Result<ReplayReport> {
    let mut numbers = list(fs, dir)?;
    numbers.retain(|(number, _)| *number >= from);
    let mut report = ReplayReport::default();
    for link in chain(fs, dir, &numbers, from)? {
        let mut reader = SegmentReader::open(fs, dir, link.number)?;
        let path = dir.join(segment::file_name(link.number));
        let end = reader.records(link.valid_len, &mut |place, header, body| {
            let Some((tenant, signal, payload)) = named(&path, place, header, body)? else {
                report.lost_bytes += RECORD_HEADER_BYTES + header.body_len();
                return Ok(());
            };
            report.records += 1;
            report.payload_bytes += u64::from(header.payload_len);
            each(OwnedRecord {
                segment: place.segment,
                tenant,
                signal,
                received_at: header.received_at,
                payload: Bytes::copy_from_slice(payload),
            })
        })?;
        report.segments += 1;
        if link.valid_len.is_none() {
            report.torn_bytes = reader.len().saturating_sub(end);
        }
    }
    Ok(report)
}

/// Whose record it is, of what, and its payload; nothing for a filler.
pub(super) fn named<'a>(
    path: &Path,
    place: Place,
    header: &RecordHeader,
    body: &'a [u8],
) -> Result<Option<(TenantId, Signal, &'a [u8])>> {
    if header.is_filler() {
        return Ok(None);
    }
    segment::decode_body(header, body).map(Some).map_err(|what| Error::Damaged {
        path: path.to_owned(),
        what: format!("in the record at byte {}, {what}", place.offset),
    })
}

/// Numbers and lengths of the segment files in a directory, ascending; none without the directory.
pub(super) fn list(fs: &dyn Filesystem, dir: &Path) -> Result<Vec<(u64, u64)>> {
    let entries = match fs.list(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::io("list", dir))?,
    };
    let waits = |name: &str| name.strip_suffix(REPAIRED).and_then(segment::parse_file_name).is_some();
    if let Some(entry) = entries.iter().find(|entry| waits(&entry.name)) {
        let what = "a repair was cut short before this file took its segment's place".to_owned();
        return Err(Error::Damaged { path: dir.join(&entry.name), what });
    }
    let files = entries.iter().filter(|entry| !entry.is_dir);
    Ok(files.filter_map(|entry| Some((segment::parse_file_name(&entry.name)?, entry.len))).collect())
}

/// The last segment that has a header, and the one before it.
pub(super) fn last(
    fs: &dyn Filesystem,
    dir: &Path,
    numbers: &[(u64, u64)],
) -> Result<Option<(SegmentReader, u64, Option<Previous>)>> {
    for &(number, _) in numbers.iter().rev() {
        let mut reader = SegmentReader::open(fs, dir, number)?;
        if let Head::Valid(previous) = reader.head()? {
            return Ok(Some((reader, number, previous)));
        }
    }
    Ok(None)
}

/// A segment that counts; `valid_len` is `None` for the last.
struct Link {
    number: u64,
    valid_len: Option<u64>,
}

/// The segments that count, ascending.
fn chain(fs: &dyn Filesystem, dir: &Path, numbers: &[(u64, u64)], from: u64) -> Result<Vec<Link>> {
    let Some((_, last, mut previous)) = last(fs, dir, numbers)? else { return Ok(Vec::new()) };
    let mut links = vec![Link { number: last, valid_len: None }];
    let mut after = last;
    while let Some(Previous { number, len }) = previous.filter(|previous| previous.number >= from) {
        if numbers.binary_search_by_key(&number, |&(number, _)| number).is_err() {
            let what = format!("it is missing, though segment {after} follows it");
            return Err(Error::Damaged { path: dir.join(segment::file_name(number)), what });
        }
        let mut reader = SegmentReader::open(fs, dir, number)?;
        let Head::Valid(before) = reader.head()? else {
            return Err(reader.damaged(format!("it has no valid header, though segment {after} follows it")));
        };
        links.push(Link { number, valid_len: Some(len) });
        after = number;
        previous = before;
    }
    links.reverse();
    Ok(links)
}
