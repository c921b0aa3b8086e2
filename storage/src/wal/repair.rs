//! What can be read of a damaged log, and how does it become a log again?
//!
//! W12  Every whole record of the segments that count is kept, at its place. Fillers, which are records of nothing, take the
//!      place of the bytes between, so that neither these records nor the neighbouring segments change.
//!      What the disk does not give is no record.
//! W13  No byte is destroyed: a file that is replaced goes aside as it was. A repair that was cut short is finished by the
//!      next one, and until then the log is not read (`list`).
//!
//! A log that replays is left alone, its torn end too. Not here: damaged blocks (`crate::repair`).

use super::reader::{Head, SegmentReader};
use super::replay::{self, REPAIRED, named};
use super::segment::{self, Group, HEADER_BYTES, Place, Previous, RECORD_HEADER_BYTES};
use crate::error::{Error, Result};
use crate::fs::{Filesystem, WriteFile};
use std::fmt;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Ending of a file in the making; what a repair that was cut short leaves of it is worth nothing.
const REPAIRING: &str = ".repairing";
/// Bytes that are copied, or filled, at a time.
const PIECE_BYTES: u64 = 1 << 20;

/// A segment that was damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairedSegment {
    /// Its file.
    pub path: PathBuf,
    /// What was wrong with it first.
    pub damage: String,
    /// Records that are kept.
    pub records: u64,
    /// Which of its bytes were no records any more. Their writes are lost.
    pub lost: Vec<Range<u64>>,
    /// Where the file is as it was; none where there was no file.
    pub aside: Option<PathBuf>,
}

impl fmt::Display for RepairedSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {} records kept", self.path.display(), self.damage, self.records)?;
        for Range { start, end } in &self.lost {
            write!(f, "; {} bytes at byte {start}, one or more records, lost", end - start)?;
        }
        match &self.aside {
            Some(aside) => write!(f, "; the file as it was is {}", aside.display()),
            None => f.write_str("; there was no file"),
        }
    }
}

/// Makes the segments numbered at least `from` readable again, or all that are there. What is replaced goes to the folder `aside`.
pub fn repair(fs: &dyn Filesystem, dir: &Path, from: Option<u64>, aside: &Path) -> Result<Vec<RepairedSegment>> {
    finish(fs, dir, aside)?;
    let mut files = replay::list(fs, dir)?;
    let from = from.or(files.first().map(|(number, _)| *number)).unwrap_or(0);
    files.retain(|(number, _)| *number >= from);
    let mut repaired = Vec::new();
    let mut previous = None;
    for suspect in suspects(fs, dir, &files, from)?.into_iter().rev() {
        let (end, change) = mend(fs, dir, &suspect, previous, aside)?;
        previous = Some(Previous { number: suspect.number, len: end });
        repaired.extend(change);
    }
    Ok(repaired)
}

/// Finishes what an earlier repair began.
fn finish(fs: &dyn Filesystem, dir: &Path, aside: &Path) -> Result<()> {
    let entries = match fs.list(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::io("list", dir))?,
    };
    for entry in entries {
        let path = dir.join(&entry.name);
        if entry.name.strip_suffix(REPAIRING).and_then(segment::parse_file_name).is_some() {
            fs.remove_file(&path).map_err(Error::io("remove", &path))?;
        } else if let Some(number) = entry.name.strip_suffix(REPAIRED).and_then(segment::parse_file_name) {
            take_place(fs, dir, number, aside)?;
        }
    }
    Ok(())
}

/// What is at the start of a segment that may count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Header(Option<Previous>),
    /// A header that is damaged.
    Broken,
    /// Not more than a header, and no valid one.
    Unfinished,
    Missing,
    /// The disk does not open it.
    Shut,
}

/// A segment that counts, as far as can be told.
struct Suspect {
    number: u64,
    /// How many bytes of it count, where the next segment tells.
    told: Option<u64>,
    /// Whether no segment follows.
    is_last: bool,
    found: Found,
}

/// The segments that count, descending. Where a header does not tell which one was before, it is the next one below.
fn suspects(fs: &dyn Filesystem, dir: &Path, files: &[(u64, u64)], from: u64) -> Result<Vec<Suspect>> {
    let below = |limit: Option<u64>| -> Result<Option<u64>> {
        for &(number, _) in files.iter().rev().filter(|(number, _)| limit.is_none_or(|limit| *number < limit)) {
            if look(fs, dir, number)? != Found::Unfinished {
                return Ok(Some(number));
            }
        }
        Ok(None)
    };
    let mut suspects = Vec::new();
    let mut next = below(None)?.map(|number| (number, None));
    while let Some((number, told)) = next {
        let found = look(fs, dir, number)?;
        suspects.push(Suspect { number, told, is_last: suspects.is_empty(), found });
        next = match found {
            Found::Header(previous) => previous.map(|previous| (previous.number, Some(previous.len))),
            Found::Broken | Found::Unfinished | Found::Missing | Found::Shut => {
                below(Some(number))?.map(|number| (number, None))
            }
        };
        next = next.filter(|(number, _)| *number >= from);
    }
    Ok(suspects)
}

fn look(fs: &dyn Filesystem, dir: &Path, number: u64) -> Result<Found> {
    let mut reader = match SegmentReader::open(fs, dir, number) {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(Found::Missing),
        Err(Error::Damaged { .. }) => return Ok(Found::Shut),
        opened => opened?,
    };
    match reader.head() {
        Ok(Head::Valid(previous)) => Ok(Found::Header(previous)),
        Ok(Head::Unfinished) => Ok(Found::Unfinished),
        Err(Error::Damaged { .. }) => Ok(Found::Broken),
        Err(other) => Err(other),
    }
}

/// Replaces a segment if it is damaged; how many of its bytes count then.
fn mend(
    fs: &dyn Filesystem,
    dir: &Path,
    suspect: &Suspect,
    before: Option<Previous>,
    aside: &Path,
) -> Result<(u64, Option<RepairedSegment>)> {
    let &Suspect { number, told, found, .. } = suspect;
    let path = dir.join(segment::file_name(number));
    let (mut reader, previous, damage) = match found {
        Found::Missing => (None, before, "it is missing".to_owned()),
        Found::Shut => (None, before, "the disk does not open it".to_owned()),
        Found::Broken | Found::Unfinished => {
            let what = "the segment's header does not match its checksum";
            (Some(SegmentReader::open(fs, dir, number)?), before, what.to_owned())
        }
        Found::Header(previous) => {
            let mut reader = SegmentReader::open(fs, dir, number)?;
            let read = reader.records(told, &mut |place, header, body| named(&path, place, header, body).map(drop));
            match read {
                Ok(end) if told.is_some() || suspect.is_last => return Ok((end, None)),
                // Where the next header does not tell, an end that looks torn may be more than that.
                Ok(end) => match Salvage::of(Some(&mut reader), told)?.gaps.first() {
                    None => return Ok((end, None)),
                    Some(gap) => (Some(reader), previous, format!("no valid record at byte {}", gap.bytes.start)),
                },
                Err(Error::Damaged { what, .. }) => (Some(reader), previous, what),
                Err(other) => return Err(other),
            }
        }
    };
    let salvage = Salvage::of(reader.as_mut(), told)?;
    let temp = dir.join(segment::file_name(number) + REPAIRING);
    salvage.write(fs, &temp, reader.as_mut(), number, previous)?;
    let ready = dir.join(segment::file_name(number) + REPAIRED);
    fs.rename_new(&temp, &ready).map_err(Error::io("rename", &temp))?;
    fs.sync_dir(dir).map_err(Error::io("sync", dir))?;
    let aside = take_place(fs, dir, number, aside)?;
    let lost = salvage.gaps.into_iter().map(|gap| gap.bytes).collect();
    Ok((salvage.end, Some(RepairedSegment { path, damage, records: salvage.records, lost, aside })))
}

/// Puts a segment that was made whole in the place of the damaged one; where that is now.
fn take_place(fs: &dyn Filesystem, dir: &Path, number: u64, aside: &Path) -> Result<Option<PathBuf>> {
    let name = segment::file_name(number);
    let path = dir.join(&name);
    fs.create_dir_all(aside).map_err(Error::io("create", aside))?;
    let taken = fs.list(aside).map_err(Error::io("list", aside))?;
    let mut names = (0_u64..).map(|again| if again == 0 { name.clone() } else { format!("{name}.{again}") });
    let free = names.find(|name| taken.iter().all(|entry| entry.name != *name));
    let to = aside.join(free.as_ref().unwrap_or(&name));
    let moved = match fs.rename_new(&path, &to) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        renamed => renamed.map(|()| Some(to)).map_err(Error::io("move aside", &path))?,
    };
    fs.sync_dir(aside).map_err(Error::io("sync", aside))?;
    let ready = dir.join(name + REPAIRED);
    fs.rename_new(&ready, &path).map_err(Error::io("rename", &ready))?;
    fs.sync_dir(dir).map_err(Error::io("sync", dir))?;
    Ok(moved)
}

/// Bytes that are no records.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Gap {
    bytes: Range<u64>,
    /// Groups that ended within it.
    groups: Range<u32>,
}

/// What can be read of a segment.
#[derive(Debug, Default)]
struct Salvage {
    records: u64,
    gaps: Vec<Gap>,
    /// Where the last record, or the last gap, ends.
    end: u64,
}

impl Salvage {
    fn of(reader: Option<&mut SegmentReader>, told: Option<u64>) -> Result<Self> {
        let mut found = Salvage { end: HEADER_BYTES, ..Salvage::default() };
        let mut group = 0;
        let mut end = told;
        if let Some(reader) = reader {
            reader.salvage();
            let limit = told.map_or(reader.len(), |told| told.min(reader.len()));
            let path = reader.path().to_owned();
            loop {
                let from = found.end;
                // A gap must have room for a filler of each group that ended in it, as what was lost there had.
                let next = reader.search(from, limit, &|place, header, body| {
                    let ended = header.group.number.checked_sub(group).map(u64::from);
                    let gap = place.offset - from;
                    let room = ended.is_some_and(|ended| (gap == 0 && ended == 0) || gap >= fillers_len(ended));
                    room && named(&path, place, header, body).is_ok()
                })?;
                let Some((offset, header)) = next else { break };
                if offset > from {
                    found.gaps.push(Gap { bytes: from..offset, groups: group..header.group.number });
                }
                found.records += u64::from(!header.is_filler());
                found.end = offset + RECORD_HEADER_BYTES + header.body_len();
                group = header.group.number.saturating_add(u32::from(header.group.last));
            }
            // Behind the last record of the last segment is its torn end; what the disk does not give there was more than that.
            if told.is_none() && reader.unreadable_to() > found.end {
                end = Some(reader.unreadable_to().max(found.end + fillers_len(1)));
            }
        }
        if let Some(end) = end.filter(|end| *end > found.end) {
            found.gaps.push(Gap { bytes: found.end..end, groups: group..group.saturating_add(1) });
            found.end = end;
        }
        Ok(found)
    }

    /// Writes records and fillers to a new file, and makes them durable.
    fn write(
        &self,
        fs: &dyn Filesystem,
        path: &Path,
        mut reader: Option<&mut SegmentReader>,
        number: u64,
        previous: Option<Previous>,
    ) -> Result<()> {
        let mut file = fs.create(path).map_err(Error::io("create", path))?;
        let file = file.as_mut();
        file.write_all(&segment::encode_header(number, previous)).map_err(Error::io("write", path))?;
        let mut at = HEADER_BYTES;
        for gap in &self.gaps {
            copy(reader.as_deref_mut(), at..gap.bytes.start, file, path)?;
            fill(number, gap, file).map_err(Error::io("write", path))?;
            at = gap.bytes.end;
        }
        copy(reader, at..self.end, file, path)?;
        file.sync().map_err(Error::io("sync", path))
    }
}

fn copy(reader: Option<&mut SegmentReader>, bytes: Range<u64>, file: &mut dyn WriteFile, path: &Path) -> Result<()> {
    let Some(reader) = reader else { return Ok(()) };
    let mut at = bytes.start;
    while at < bytes.end {
        let len = PIECE_BYTES.min(bytes.end - at);
        file.write_all(reader.bytes(at, len)?).map_err(Error::io("write", path))?;
        at += len;
    }
    Ok(())
}

/// Bytes that the fillers of a gap take at least, in which so many groups ended.
fn fillers_len(groups: u64) -> u64 {
    groups.max(1).saturating_mul(RECORD_HEADER_BYTES)
}

/// Writes fillers that take exactly the bytes of a gap and end its groups.
fn fill(number: u64, gap: &Gap, file: &mut dyn WriteFile) -> io::Result<()> {
    let Range { start: first, end } = gap.groups;
    let ended = u64::from(end.saturating_sub(first));
    let len = gap.bytes.end - gap.bytes.start;
    let mut spare = len.checked_sub(fillers_len(ended)).ok_or(ErrorKind::InvalidData)?;
    let mut offset = gap.bytes.start;
    let mut put = |group: Group, payload: u64| {
        let mut buffer = Vec::new();
        let place = Place { segment: number, offset };
        segment::encode_filler(&mut buffer, place, payload, group).ok_or(ErrorKind::InvalidData)?;
        offset += buffer.len() as u64;
        file.write_all(&buffer)
    };
    // A long gap takes several, so that none is long.
    while spare >= PIECE_BYTES + RECORD_HEADER_BYTES {
        put(Group { number: first, last: false }, PIECE_BYTES)?;
        spare -= PIECE_BYTES + RECORD_HEADER_BYTES;
    }
    if ended == 0 {
        return put(Group { number: first, last: false }, spare);
    }
    for number in gap.groups.clone() {
        put(Group { number, last: true }, std::mem::take(&mut spare))?;
    }
    Ok(())
}
