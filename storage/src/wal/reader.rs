//! Which records does one segment hold?
//!
//! W3  Memory is bounded by the largest record of the file; a length that lies is found before it is allocated.
//! W4  Of a segment whose valid length is told by the one after it, every byte up to there must be whole records.
//! W5  Of the last segment, the records before the first that is not whole; unless a whole record of a later group
//!     follows, which proves that something synced was damaged.

use super::segment::{
    self, HEADER_BYTES, HEADER_LEN, Header, Place, Previous, RECORD_HEADER_BYTES, RECORD_HEADER_LEN, RecordHeader,
};
use crate::error::{Error, Result};
use crate::fs::{Filesystem, ReadFile, is_unreadable, read_pieces};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes read at once; headers and small records are taken from them.
const WINDOW: u64 = 64 * 1024;

/// What is at the start of a segment.
#[derive(Debug, Clone, Copy)]
pub(super) enum Head {
    /// A header; the segment before, if there was one.
    Valid(Option<Previous>),
    /// The making of the segment was cut off: it has no records.
    Unfinished,
}

/// Gets a record that is whole: where, its header, and tenant and payload.
pub(super) type Each<'a> = &'a mut dyn FnMut(Place, &RecordHeader, &[u8]) -> Result<()>;

/// One segment, open for reading.
#[derive(Debug)]
pub(super) struct SegmentReader {
    number: u64,
    path: PathBuf,
    file: Arc<dyn ReadFile>,
    window: Vec<u8>,
    window_start: u64,
    /// Where what the disk does not give is read as zeros: how far that was so.
    unreadable_to: Option<u64>,
}

impl SegmentReader {
    pub(super) fn open(fs: &dyn Filesystem, dir: &Path, number: u64) -> Result<Self> {
        let path = dir.join(segment::file_name(number));
        let file = fs.open(&path).map_err(Error::read("open", &path))?;
        Ok(SegmentReader { number, path, file, window: Vec::new(), window_start: 0, unreadable_to: None })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// From now on, what the disk does not give is read as zeros, which are no record.
    pub(super) fn salvage(&mut self) {
        self.unreadable_to.get_or_insert(0);
    }

    /// Before which byte everything lies that the disk did not give; 0 where it gave everything.
    pub(super) fn unreadable_to(&self) -> u64 {
        self.unreadable_to.unwrap_or(0)
    }

    /// Length of the file.
    pub(super) fn len(&self) -> u64 {
        self.file.len()
    }

    pub(super) fn damaged(&self, what: String) -> Error {
        Error::Damaged { path: self.path.clone(), what }
    }

    /// Reads the header. One that is not whole is damage where records follow: they are written after it is synced.
    pub(super) fn head(&mut self) -> Result<Head> {
        if self.len() < HEADER_BYTES {
            return Ok(Head::Unfinished);
        }
        let mut header = [0; HEADER_LEN];
        self.file.read_at(0, &mut header).map_err(Error::read("read", &self.path))?;
        match segment::decode_header(self.number, &header) {
            Header::Valid { previous } => Ok(Head::Valid(previous)),
            Header::Version(found) => {
                Err(Error::Version { path: self.path.clone(), found, known: segment::FORMAT_VERSION })
            }
            Header::Invalid if self.len() == HEADER_BYTES => Ok(Head::Unfinished),
            Header::Invalid => Err(self.damaged("the segment's header does not match its checksum".to_owned())),
        }
    }

    /// Gives each record to `each`, in order, and answers how many bytes of the file they and the header take.
    /// `valid_len` is what the next segment says of this one.
    pub(super) fn records(&mut self, valid_len: Option<u64>, each: Each<'_>) -> Result<u64> {
        let limit = valid_len.unwrap_or(self.len());
        if limit > self.len() {
            return Err(self.damaged(format!("it ends at byte {}, before its {limit} valid bytes", self.len())));
        }
        let mut offset = HEADER_BYTES;
        let mut group = 0;
        while offset < limit {
            let place = Place { segment: self.number, offset };
            let Some(header) = self.header(place, limit, group)? else {
                return self.tail(valid_len, offset, offset + 1, group);
            };
            let body_start = offset + RECORD_HEADER_BYTES;
            let end = body_start + header.body_len();
            let body = self.bytes(body_start, header.body_len())?;
            if place.body_crc(&[body]) != header.body_crc {
                return self.tail(valid_len, offset, end, group);
            }
            each(place, &header, body)?;
            offset = end;
            group = if header.group.last { group.saturating_add(1) } else { group };
        }
        Ok(offset)
    }

    /// The header of the record at a place, if it is one, lies before `limit` with its body, and is of the group.
    fn header(&mut self, place: Place, limit: u64, group: u32) -> Result<Option<RecordHeader>> {
        let room = limit.saturating_sub(place.offset);
        if room < RECORD_HEADER_BYTES {
            return Ok(None);
        }
        let header = segment::decode_record(place, self.bytes(place.offset, RECORD_HEADER_BYTES)?);
        let fits = |header: &RecordHeader| RECORD_HEADER_BYTES + header.body_len() <= room;
        Ok(header.filter(|header| fits(header) && header.group.number == group))
    }

    /// The record at `offset` is not whole: is that the torn end of the log (then its place is the answer), or damage?
    fn tail(&mut self, valid_len: Option<u64>, offset: u64, search_from: u64, group: u32) -> Result<u64> {
        if let Some(len) = valid_len {
            return Err(self.damaged(format!("no valid record at byte {offset}, before its {len} valid bytes")));
        }
        match self.search(search_from, self.len(), &|_, header, _| header.group.number > group)? {
            Some((later, _)) => Err(self.damaged(format!("no valid record at byte {offset}, but one at byte {later}"))),
            None => Ok(offset),
        }
    }

    /// The first whole record at `from` or behind that ends before `limit`, which the file has, and is wanted.
    pub(super) fn search(
        &mut self,
        from: u64,
        limit: u64,
        wanted: &dyn Fn(Place, &RecordHeader, &[u8]) -> bool,
    ) -> Result<Option<(u64, RecordHeader)>> {
        let mut offset = from;
        while offset.saturating_add(RECORD_HEADER_BYTES) <= limit {
            let place = Place { segment: self.number, offset };
            let header = segment::decode_record(place, self.bytes(offset, RECORD_HEADER_BYTES)?);
            if let Some(header) = header
                && header.body_len() <= limit - offset - RECORD_HEADER_BYTES
            {
                let body = self.bytes(offset + RECORD_HEADER_BYTES, header.body_len())?;
                if place.body_crc(&[body]) == header.body_crc && wanted(place, &header, body) {
                    return Ok(Some((offset, header)));
                }
            }
            offset += 1;
        }
        Ok(None)
    }

    /// Bytes of the file. The caller has checked that the file has them.
    pub(super) fn bytes(&mut self, offset: u64, len: u64) -> Result<&[u8]> {
        let window_end = self.window_start + self.window.len() as u64;
        if offset < self.window_start || offset + len > window_end {
            let wanted = len.max(WINDOW.min(self.len().saturating_sub(offset)));
            let wanted = usize::try_from(wanted).map_err(|_| self.damaged(format!("a record of {len} bytes")))?;
            self.window.clear();
            self.window.resize(wanted, 0);
            self.window_start = offset;
            let read = match (self.file.read_at(offset, &mut self.window), &mut self.unreadable_to) {
                (Err(error), Some(unreadable_to)) if is_unreadable(&error) => {
                    let lost = read_pieces(self.file.as_ref(), offset, &mut self.window);
                    lost.map(|lost| *unreadable_to = lost.last().map_or(0, |last| last.end).max(*unreadable_to))
                }
                (read, _) => read,
            };
            if let Err(error) = read {
                self.window.clear();
                return Err(Error::read("read", &self.path)(error));
            }
        }
        let start = usize::try_from(offset - self.window_start).unwrap_or(usize::MAX);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let range = self.window.get(start..start.saturating_add(len));
        range.ok_or_else(|| Error::Damaged { path: self.path.clone(), what: format!("no bytes at {offset}") })
    }
}

const _: () = assert!(RECORD_HEADER_LEN < WINDOW as usize);
