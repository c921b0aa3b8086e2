//! How does a segment of the index become bytes? `docs/format/block.md` has the layout.
//!
//! Terms lie sorted, in chunks that are read alone: what a term shares with the one before is left out, and the rest is
//! compressed. Their granules follow as bits. Fingerprints lie sorted in chunks of their own, by their differences.
//!
//! Not here: how they are read (`file`).

use super::bits::BitWriter;
use super::build::{Field, Mode, TermSet};
use super::granules::are_most;
use super::{DENSE, MAGIC, PRINT_BITS, SINGLE};
use crate::model::record::{put_bytes, put_varint};
use std::io::Result;
use std::ops::Range;

/// Bytes of a chunk of terms before compression.
const CHUNK_BYTES: usize = 16 << 10;
/// Fingerprints of a chunk.
const CHUNK_PRINTS: usize = 1024;
/// Zstandard level of terms.
const LEVEL: i32 = 3;

/// A segment that was laid down: some granules of the block, and all that is known of them.
#[derive(Debug)]
pub(super) struct Segment {
    granules: Range<u32>,
    fields: Vec<FieldEntry>,
}

#[derive(Debug)]
struct FieldEntry {
    name: String,
    mode: Mode,
    ids: Vec<u32>,
    long: Vec<u32>,
    unknown: Vec<u32>,
    terms: Vec<TermChunk>,
    /// Fingerprints are below it.
    prints_range: u64,
    prints: Vec<PrintChunk>,
}

#[derive(Debug)]
struct TermChunk {
    first: Vec<u8>,
    raw: usize,
    compressed: usize,
    granules: usize,
}

#[derive(Debug)]
struct PrintChunk {
    first: u64,
    count: usize,
    bytes: usize,
}

/// Lays segments down one after the other.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    /// Where in the file the next byte comes.
    at: u64,
    /// Where each segment begins.
    starts: Vec<u64>,
}

impl Encoder {
    /// The bytes of a segment.
    pub(super) fn segment(&mut self, mut fields: Vec<Field>, granules: Range<u32>) -> Result<(Segment, Vec<u8>)> {
        self.starts.push(self.at);
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        let mut out = Vec::new();
        let mut segment = Segment { granules: granules.clone(), fields: Vec::new() };
        for mut field in fields {
            let mode = field.settle();
            let set = if mode == Mode::Values { &field.values } else { &field.words };
            let terms = put_terms(&mut out, set, &granules)?;
            let prints_range = (field.prints.len() as u64) << PRINT_BITS;
            let prints = put_prints(&mut out, std::mem::take(&mut field.prints), prints_range, &granules);
            let Field { name, ids, long, unknown, .. } = field;
            segment.fields.push(FieldEntry { name, mode, ids, long, unknown, terms, prints_range, prints });
        }
        self.at += out.len() as u64;
        Ok((segment, out))
    }

    /// What ends the file.
    pub(super) fn directory(&self, granule_rows: &[usize], segments: &[Segment]) -> Result<Vec<u8>> {
        let mut raw = Vec::new();
        put_varint(&mut raw, granule_rows.len() as u64);
        granule_rows.iter().for_each(|&rows| put_varint(&mut raw, rows as u64));
        put_varint(&mut raw, segments.len() as u64);
        for (segment, &start) in segments.iter().zip(&self.starts) {
            put_varint(&mut raw, start);
            put_varint(&mut raw, segment.granules.len() as u64);
            put_varint(&mut raw, segment.fields.len() as u64);
            segment.fields.iter().for_each(|field| put_field(&mut raw, field, segment.granules.start));
        }
        let mut out = zstd::bulk::compress(&raw, LEVEL)?;
        let length = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
        let compressed = out.len();
        out.extend_from_slice(&length(compressed));
        out.extend_from_slice(&length(raw.len()));
        out.extend_from_slice(MAGIC);
        Ok(out)
    }
}

fn put_field(out: &mut Vec<u8>, field: &FieldEntry, first: u32) {
    put_bytes(out, field.name.as_bytes());
    out.push(match field.mode {
        Mode::Values => 0,
        Mode::Words => 1,
        Mode::Prints => 2,
    });
    for list in [&field.ids, &field.long, &field.unknown] {
        put_varint(out, list.len() as u64);
        let mut before = first;
        for &granule in list {
            put_varint(out, u64::from(granule - before));
            before = granule;
        }
    }
    put_varint(out, field.terms.len() as u64);
    for chunk in &field.terms {
        put_bytes(out, &chunk.first);
        [chunk.raw, chunk.compressed, chunk.granules].iter().for_each(|&length| put_varint(out, length as u64));
    }
    put_varint(out, field.prints_range);
    put_varint(out, field.prints.len() as u64);
    let mut before = 0;
    for chunk in &field.prints {
        put_varint(out, chunk.first - before);
        before = chunk.first;
        [chunk.count, chunk.bytes].iter().for_each(|&number| put_varint(out, number as u64));
    }
}

/// Each term's place in the order of all.
fn sorted(set: &TermSet) -> Vec<u32> {
    let head = |term: &[u8]| {
        let mut head = [0; 8];
        head.iter_mut().zip(term).for_each(|(to, &from)| *to = from);
        u64::from_be_bytes(head)
    };
    let mut order: Vec<(u64, u32)> = set.terms.iter().map(head).zip(0..).collect();
    order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| set.terms.get(a.1).cmp(set.terms.get(b.1))));
    order.into_iter().map(|(_, term)| term).collect()
}

/// The granules of each term, one after the other, and where each term's end.
fn by_term(set: &TermSet) -> (Vec<u32>, Vec<usize>) {
    let mut ends = vec![0usize; set.terms.len()];
    set.places.iter().for_each(|&(term, _)| ends[term as usize] += 1);
    let mut sum = 0;
    for end in &mut ends {
        // For now where the term's begin.
        sum += std::mem::replace(end, sum);
    }
    let mut granules = vec![0; set.places.len()];
    for &(term, granule) in &set.places {
        let at = &mut ends[term as usize];
        granules[*at] = granule;
        *at += 1;
    }
    (granules, ends)
}

fn put_terms(out: &mut Vec<u8>, set: &TermSet, segment: &Range<u32>) -> Result<Vec<TermChunk>> {
    let (granules, ends) = by_term(set);
    let mut zstd = zstd::bulk::Compressor::new(LEVEL)?;
    let mut chunks = Vec::new();
    let order = sorted(set);
    let mut rest = order.as_slice();
    while let Some(&first) = rest.first() {
        let (mut lengths, mut bytes, mut bits) = (Vec::new(), Vec::new(), BitWriter::default());
        let mut before: &[u8] = &[];
        let mut count = 0;
        for &number in rest {
            if lengths.len() + bytes.len() >= CHUNK_BYTES {
                break;
            }
            let term = set.terms.get(number);
            let shared = term.iter().zip(before).take_while(|(a, b)| a == b).count();
            put_varint(&mut lengths, shared as u64);
            put_varint(&mut lengths, (term.len() - shared) as u64);
            bytes.extend_from_slice(&term[shared..]);
            before = term;
            let number = number as usize;
            let start = number.checked_sub(1).map_or(0, |before| ends[before]);
            put_granules(&mut bits, &granules[start..ends[number]], segment);
            count += 1;
        }
        rest = &rest[count..];
        let mut raw = Vec::with_capacity(lengths.len() + bytes.len() + 4);
        put_varint(&mut raw, count as u64);
        raw.extend_from_slice(&lengths);
        raw.extend_from_slice(&bytes);
        let compressed = zstd.compress(&raw)?;
        let bits = bits.finish();
        out.extend_from_slice(&compressed);
        out.extend_from_slice(&bits);
        let first = set.terms.get(first).to_vec();
        chunks.push(TermChunk { first, raw: raw.len(), compressed: compressed.len(), granules: bits.len() });
    }
    Ok(chunks)
}

/// How many bits tell a granule of a segment.
pub(super) fn granule_bits(granules: u32) -> u32 {
    u32::BITS - granules.saturating_sub(1).leading_zeros()
}

/// By which shift the differences of so many granules are written.
pub(super) fn rice_shift(granules: u32, count: u32) -> u32 {
    (granules / count.max(1)).checked_ilog2().unwrap_or(0)
}

fn put_granules(bits: &mut BitWriter, granules: &[u32], segment: &Range<u32>) {
    let all = u32::try_from(segment.len()).unwrap_or(u32::MAX);
    let count = u32::try_from(granules.len()).unwrap_or(u32::MAX);
    if are_most(granules.len(), segment.len()) {
        bits.put_gamma(DENSE);
        return;
    }
    if let &[only] = granules {
        bits.put_gamma(SINGLE);
        bits.put(u64::from(only - segment.start), granule_bits(all));
        return;
    }
    bits.put_gamma(u64::from(count) + 1);
    let shift = rice_shift(all, count);
    let mut next = segment.start;
    for &granule in granules {
        bits.put_rice(u64::from(granule - next), shift);
        next = granule + 1;
    }
}

fn put_prints(out: &mut Vec<u8>, prints: Vec<(u64, u32)>, range: u64, segment: &Range<u32>) -> Vec<PrintChunk> {
    let width = granule_bits(u32::try_from(segment.len()).unwrap_or(u32::MAX));
    // Together in 64 bits, which are sorted faster: a bound has less than 32, and a segment fewer than 2^31 granules.
    let packed = |(print, granule): (u64, u32)| scaled(print, range) << width | u64::from(granule - segment.start);
    let mut prints: Vec<u64> = prints.into_iter().map(packed).collect();
    prints.sort_unstable();
    prints.dedup();
    let mut chunks = Vec::new();
    for chunk in prints.chunks(CHUNK_PRINTS) {
        let mut bits = BitWriter::default();
        let first = chunk.first().map_or(0, |&print| print >> width);
        let mut before = first;
        for &packed in chunk {
            let print = packed >> width;
            bits.put_rice(print - before, PRINT_BITS);
            bits.put(packed & ((1 << width) - 1), width);
            before = print;
        }
        let bytes = bits.finish();
        out.extend_from_slice(&bytes);
        chunks.push(PrintChunk { first, count: chunk.len(), bytes: bytes.len() });
    }
    chunks
}

/// A fingerprint below a bound.
pub(super) fn scaled(print: u64, range: u64) -> u64 {
    let product = u128::from(print) * u128::from(range);
    u64::try_from(product >> 64).unwrap_or(u64::MAX)
}
