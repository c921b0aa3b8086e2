//! Where in a block lie the rows of a trace?
//!
//! T1  An index may propose rows of another trace, never leave out a row of the one asked for: whoever reads them compares
//!     the ids.
//! T2  Whether a block may hold a trace is answered from memory (a BinaryFuse8 filter, nine bits per trace, wrong in
//!     0.4 % of the traces that are not there); where, from one read of some hundred bytes.
//!
//! The file, little-endian (`docs/format/block.md`):
//!
//! ```text
//! header    magic "SLKEYS\0\x01" · u64 traces · u32 bits of the bucket number · u32 filter length · u32 entries length
//!           · 20 bytes filter descriptor
//! filter    filter length bytes
//! directory u32 per bucket and one more: where in the entries the bucket starts, and the last one's end
//! entries   per bucket its traces by first row: u16 low bits of the hash · varint(first row - that of the trace before)
//!           · varint(rows << 1 | more) · as long as `more`: varint(gap) varint(rows << 1 | more)
//! ```
//!
//! The hash is XXH3-64 of the trace id; its top bits are the bucket number.
//!
//! Not here: checksums (`block::checked`).

pub(crate) mod terms;

use crate::block::CheckedFile;
use crate::error::{Error, Result};
use crate::model::TraceId;
use crate::model::record::{put_varint, take_varint};
use std::ops::Range;
use std::sync::Arc;
use xorf::{BinaryFuse8, BinaryFuse8Ref, DmaSerializable, Filter, FilterRef};
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8; 8] = b"SLKEYS\0\x01";
const DESCRIPTOR_LEN: usize = BinaryFuse8::DESCRIPTOR_LEN;
const HEADER_LEN: usize = 8 + 8 + 4 + 4 + 4 + DESCRIPTOR_LEN;
/// Traces of a bucket, on average: few enough to walk, many enough that the directory is small.
const BUCKET_TRACES: usize = 64;
/// So many traces are looked up one by one.
const FEW_TRACES: usize = 32;
/// Buckets that are read together when all are: some 300 KB.
const BUCKETS_AT_ONCE: usize = 1024;

/// Collects where traces lie.
#[derive(Debug, Default)]
pub(crate) struct TraceIndexBuilder {
    runs: Vec<(u64, u32, u32)>,
}

impl TraceIndexBuilder {
    /// Adds neighbouring rows of a trace; rows come in ascending order.
    pub(crate) fn add(&mut self, trace: &[u8], rows: Range<usize>) {
        // A block has fewer than 2^31 rows.
        let number = |row: usize| u32::try_from(row).unwrap_or(u32::MAX);
        let (hash, from, to) = (xxh3_64(trace), number(rows.start), number(rows.end));
        match self.runs.last_mut() {
            Some((last, _, end)) if *last == hash && *end == from => *end = to,
            _ => self.runs.push((hash, from, to)),
        }
    }

    /// The file, how many traces it knows, and how many of them do not lie together in one of the ascending `groups` of rows.
    pub(crate) fn finish(mut self, groups: &[Range<usize>]) -> (Vec<u8>, u64, u64) {
        self.runs.sort_unstable();
        let rows = |&(_, from, to): &(u64, u32, u32)| from as usize..to as usize;
        let apart = self.runs.chunk_by(|a, b| a.0 == b.0);
        let apart = apart.filter(|runs| are_apart(&runs.iter().map(rows).collect::<Vec<_>>(), groups)).count() as u64;
        let mut hashes: Vec<u64> = self.runs.iter().map(|&(hash, _, _)| hash).collect();
        hashes.dedup();
        let bits = (hashes.len() / BUCKET_TRACES).checked_ilog2().map_or(0, |bits| bits + 1);
        let (directory, entries) = entries(&self.runs, bits);
        // Without traces or where it cannot be built there is no filter, and every trace may be here.
        let filter = (hashes.len() > 1).then(|| BinaryFuse8::try_from(&hashes).ok()).flatten();
        let mut descriptor = [0; DESCRIPTOR_LEN];
        if let Some(filter) = &filter {
            filter.dma_copy_descriptor_to(&mut descriptor);
        }
        let fingerprints = filter.as_ref().map_or(&[][..], |filter| filter.dma_fingerprints());
        let length = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();

        let mut file = Vec::with_capacity(HEADER_LEN + fingerprints.len() + directory.len() + entries.len());
        file.extend_from_slice(MAGIC);
        file.extend_from_slice(&(hashes.len() as u64).to_le_bytes());
        file.extend_from_slice(&bits.to_le_bytes());
        file.extend_from_slice(&length(fingerprints.len()));
        file.extend_from_slice(&length(entries.len()));
        file.extend_from_slice(&descriptor);
        file.extend_from_slice(fingerprints);
        file.extend_from_slice(&directory);
        file.extend_from_slice(&entries);
        (file, hashes.len() as u64, apart)
    }
}

/// Whether some rows of ascending ranges lie outside the one of the ascending `groups` that others lie in.
fn are_apart(rows: &[Range<usize>], groups: &[Range<usize>]) -> bool {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return false };
    let group = groups.get(groups.partition_point(|group| group.end <= first.start));
    let touch = rows.windows(2).all(|pair| matches!(pair, [a, b] if a.end == b.start));
    !touch || group.is_none_or(|group| last.end > group.end)
}

fn bucket_of(hash: u64, bits: u32) -> u64 {
    hash.checked_shr(u64::BITS - bits).unwrap_or(0)
}

/// Directory and entries of runs sorted by hash.
fn entries(runs: &[(u64, u32, u32)], bits: u32) -> (Vec<u8>, Vec<u8>) {
    let (mut directory, mut entries) = (Vec::new(), Vec::new());
    let mut rest = runs;
    let mut traces: Vec<&[(u64, u32, u32)]> = Vec::new();
    for bucket in 0..1u64 << bits {
        directory.extend_from_slice(&u32::try_from(entries.len()).unwrap_or(u32::MAX).to_le_bytes());
        let here = rest.partition_point(|&(hash, _, _)| bucket_of(hash, bits) == bucket);
        let (bucket_runs, later) = rest.split_at(here);
        rest = later;
        traces.clear();
        traces.extend(bucket_runs.chunk_by(|a, b| a.0 == b.0));
        traces.sort_unstable_by_key(|trace| trace.first().map(|&(_, from, _)| from));
        let mut before = 0;
        for trace in &traces {
            put_trace(&mut entries, trace, &mut before);
        }
    }
    directory.extend_from_slice(&u32::try_from(entries.len()).unwrap_or(u32::MAX).to_le_bytes());
    (directory, entries)
}

fn put_trace(out: &mut Vec<u8>, runs: &[(u64, u32, u32)], before: &mut u32) {
    let Some(&(hash, first, _)) = runs.first() else { return };
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are meant")]
    out.extend_from_slice(&(hash as u16).to_le_bytes());
    let mut end = *before;
    let joined = joined(runs);
    for (index, &(from, to)) in joined.iter().enumerate() {
        put_varint(out, u64::from(from - end));
        put_varint(out, (u64::from(to - from) << 1) | u64::from(index + 1 < joined.len()));
        end = to;
    }
    *before = first;
}

/// Runs that touch, as one.
fn joined(runs: &[(u64, u32, u32)]) -> Vec<(u32, u32)> {
    let mut joined: Vec<(u32, u32)> = Vec::with_capacity(1);
    for &(_, from, to) in runs {
        match joined.last_mut() {
            Some((_, end)) if *end == from => *end = to,
            _ => joined.push((from, to)),
        }
    }
    joined
}

/// Finds traces: filter and directory in memory, entries on disk.
#[derive(Debug)]
pub(crate) struct TraceIndex {
    file: Arc<CheckedFile>,
    descriptor: [u8; DESCRIPTOR_LEN],
    fingerprints: Box<[u8]>,
    bits: u32,
    directory: Vec<u32>,
    entries_at: u64,
}

impl TraceIndex {
    pub(crate) fn open(file: Arc<CheckedFile>) -> Result<Self> {
        let malformed = || Error::Damaged { path: file.path().to_owned(), what: "its header is malformed".into() };
        let header = file.read(0..HEADER_LEN as u64)?;
        let mut input: &[u8] = &header;
        let mut take = |len: usize| {
            let (field, rest) = input.split_at_checked(len)?;
            input = rest;
            Some(field)
        };
        if take(8) != Some(MAGIC) {
            return Err(malformed());
        }
        take(8).ok_or_else(malformed)?;
        let mut number = || Some(u32::from_le_bytes(take(4)?.try_into().ok()?));
        let (bits, filter_len, entries_len) = (|| Some((number()?, number()?, number()?)))().ok_or_else(malformed)?;
        let descriptor = take(DESCRIPTOR_LEN).and_then(|bytes| bytes.try_into().ok()).ok_or_else(malformed)?;

        let directory_at = HEADER_LEN as u64 + u64::from(filter_len);
        let buckets = 1u64.checked_shl(bits).filter(|&buckets| buckets <= file.len()).ok_or_else(malformed)?;
        let entries_at = directory_at + (buckets + 1) * 4;
        if entries_at + u64::from(entries_len) != file.len() {
            return Err(malformed());
        }
        let fingerprints = file.read(HEADER_LEN as u64..directory_at)?.to_vec().into();
        let directory = file.read(directory_at..entries_at)?;
        let (directory, _) = directory.as_chunks::<4>();
        let directory = directory.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        Ok(TraceIndex { file, descriptor, fingerprints, bits, directory, entries_at })
    }

    /// Bytes of memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.fingerprints.len() + self.directory.len() * 4
    }

    /// Whether rows of a trace may be there. Memory only.
    pub(crate) fn may_hold(&self, trace: &TraceId) -> bool {
        self.fingerprints.is_empty()
            || BinaryFuse8Ref::from_dma(&self.descriptor, &self.fingerprints).contains(&xxh3_64(&trace.0))
    }

    /// Rows that may be those of a trace, ascending.
    pub(crate) fn find(&self, trace: &TraceId) -> Result<Vec<Range<usize>>> {
        if !self.may_hold(trace) {
            return Ok(Vec::new());
        }
        let hash = xxh3_64(&trace.0);
        let malformed =
            || Error::Damaged { path: self.file.path().to_owned(), what: "its entries are malformed".into() };
        let bucket = usize::try_from(bucket_of(hash, self.bits)).map_err(|_| malformed())?;
        let &[from, to] = self.directory.get(bucket..bucket + 2).ok_or_else(malformed)? else {
            return Err(malformed());
        };
        let entries = self.file.read(self.entries_at + u64::from(from)..self.entries_at + u64::from(to))?;
        let mut found = Vec::new();
        let mut input: &[u8] = &entries;
        let mut before = 0;
        while !input.is_empty() {
            before = walk_trace(&mut input, before, Some(hash), &mut found).ok_or_else(malformed)?;
        }
        found.sort_unstable_by_key(|rows| rows.start);
        Ok(found)
    }

    /// Rows that may be those of some traces, by their places in the list, ascending. Of more than a few all entries are read.
    pub(crate) fn find_all(&self, traces: &[TraceId]) -> Result<Vec<(u32, Range<usize>)>> {
        let mut found = Vec::new();
        let mut wanted: Vec<(u16, u64, u32)> = Vec::new();
        for (place, trace) in (0u32..).zip(traces).filter(|(_, trace)| self.may_hold(trace)) {
            let hash = xxh3_64(&trace.0);
            #[expect(clippy::cast_possible_truncation, reason = "the low bits are meant")]
            wanted.push((hash as u16, hash, place));
        }
        if wanted.len() <= FEW_TRACES {
            for (_, _, place) in wanted {
                let trace = traces.get(place as usize).map(|trace| self.find(trace)).transpose()?;
                found.extend(trace.into_iter().flatten().map(|rows| (place, rows)));
            }
            return Ok(found);
        }
        wanted.sort_unstable();
        // Where those of each value of the low bits begin.
        let mut begins = vec![0u32; (1 << 16) + 1];
        wanted.iter().for_each(|(low, ..)| begins[usize::from(*low) + 1] += 1);
        (1..begins.len()).for_each(|low| begins[low] += begins[low - 1]);
        self.walk(|part, rows| {
            let low = usize::from(part.low);
            let same_low = begins[low] as usize..begins[low + 1] as usize;
            for (_, hash, place) in wanted.get(same_low).unwrap_or_default() {
                if bucket_of(*hash, part.bits) == part.high {
                    found.extend(rows.iter().map(|rows| (*place, rows.clone())));
                }
            }
        })?;
        found.sort_unstable_by_key(|(place, rows)| (*place, rows.start));
        Ok(found)
    }

    /// The rows of each trace that do not lie together in one of the ascending `groups`. Reads all entries.
    pub(crate) fn apart(&self, groups: &[Range<usize>]) -> Result<Vec<Vec<Range<usize>>>> {
        let mut apart = Vec::new();
        self.walk(|_, rows| {
            if are_apart(rows, groups) {
                apart.push(rows.to_vec());
            }
        })?;
        Ok(apart)
    }

    /// Gives each trace to `each`: what is known of its hash, and its rows, ascending. Reads all entries.
    pub(crate) fn walk(&self, mut each: impl FnMut(HashPart, &[Range<usize>])) -> Result<()> {
        let malformed =
            || Error::Damaged { path: self.file.path().to_owned(), what: "its entries are malformed".into() };
        let mut rows = Vec::new();
        let mut first = 0;
        while first + 1 < self.directory.len() {
            let last = (first + BUCKETS_AT_ONCE).min(self.directory.len() - 1);
            let buckets = self.directory.get(first..=last).ok_or_else(malformed)?;
            let (Some(&start), Some(&end)) = (buckets.first(), buckets.last()) else { return Err(malformed()) };
            let entries = self.file.read(self.entries_at + u64::from(start)..self.entries_at + u64::from(end))?;
            for (bucket, ends) in (first as u64..).zip(buckets.windows(2)) {
                let &[from, to] = ends else { continue };
                let place = |at: u32| at.checked_sub(start).map(|at| at as usize);
                let range = place(from).zip(place(to)).ok_or_else(malformed)?;
                let mut input = entries.get(range.0..range.1).ok_or_else(malformed)?;
                let mut before = 0;
                while !input.is_empty() {
                    rows.clear();
                    let low = input.first_chunk().copied().map(u16::from_le_bytes).ok_or_else(malformed)?;
                    before = walk_trace(&mut input, before, None, &mut rows).ok_or_else(malformed)?;
                    each(HashPart { bits: self.bits, high: bucket, low }, &rows);
                }
            }
            first = last;
        }
        Ok(())
    }
}

/// What the entries tell of the hash of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HashPart {
    /// How many of its top bits are known.
    pub(crate) bits: u32,
    /// These.
    pub(crate) high: u64,
    /// Its last sixteen.
    pub(crate) low: u16,
}

/// Moves past one trace, and collects its rows if the hash is the one wanted, or any is; the trace's first row.
fn walk_trace(input: &mut &[u8], before: u64, hash: Option<u64>, found: &mut Vec<Range<usize>>) -> Option<u64> {
    let (low, rest) = input.split_first_chunk::<2>()?;
    *input = rest;
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are meant")]
    let wanted = hash.is_none_or(|hash| u16::from_le_bytes(*low) == hash as u16);
    let mut at = before;
    let mut first = None;
    loop {
        let from = at.checked_add(take_varint(input)?)?;
        let rows = take_varint(input)?;
        at = from.checked_add(rows >> 1)?;
        first.get_or_insert(from);
        if wanted {
            found.push(usize::try_from(from).ok()?..usize::try_from(at).ok()?);
        }
        if rows & 1 == 0 {
            return first;
        }
    }
}

#[cfg(test)]
mod tests;
