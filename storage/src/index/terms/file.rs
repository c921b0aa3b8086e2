//! How is the index read?
//!
//! The directory is read when it is first needed, and kept. Everything else is read by range when it is asked for.

use super::bits::BitReader;
use super::build::Mode;
use super::encode::{granule_bits, rice_shift, scaled};
use super::granules::Granules;
use super::{DENSE, FIRST_MAGIC, FIRST_PRINT_BITS, MAGIC, PRINT_BITS, SINGLE};
use crate::block::CheckedFile;
use crate::error::{Error, Result};
use crate::model::record::{take_bytes, take_varint};
use bytes::Bytes;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Two lengths and the magic.
const FOOTER: u64 = 16;
/// Directories are shorter than this, mostly, and so read at once.
const TAIL: u64 = 32 << 10;
/// What a directory and a chunk take when they are unpacked, at most.
const MOST_DIRECTORY: usize = 256 << 20;
const MOST_CHUNK: usize = 64 << 20;

/// The index of a block.
#[derive(Debug)]
pub(crate) struct TermIndex {
    file: Arc<CheckedFile>,
    directory: OnceLock<Directory>,
}

/// What lies where.
#[derive(Debug)]
pub(crate) struct Directory {
    /// Rows of a granule, by row group.
    pub(crate) granule_rows: Vec<usize>,
    pub(crate) granules: usize,
    pub(super) segments: Vec<Segment>,
    print_bits: u32,
    bytes: usize,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) granules: Range<usize>,
    /// By name.
    fields: Vec<Field>,
}

#[derive(Debug)]
pub(super) struct Field {
    name: String,
    pub(super) mode: Mode,
    /// Granules with ids, with tokens too long to be kept, and with more than was kept.
    pub(super) ids: Vec<usize>,
    pub(super) long: Vec<usize>,
    pub(super) unknown: Vec<usize>,
    /// By their first terms.
    pub(super) chunks: Vec<TermChunk>,
    prints_range: u64,
    prints: Vec<PrintChunk>,
}

#[derive(Debug)]
pub(super) struct TermChunk {
    pub(super) first: Vec<u8>,
    at: u64,
    raw: usize,
    compressed: u64,
    granules: u64,
}

#[derive(Debug)]
struct PrintChunk {
    first: u64,
    count: usize,
    at: u64,
    bytes: u64,
}

impl Segment {
    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        let place = self.fields.binary_search_by(|field| field.name.as_str().cmp(name)).ok()?;
        self.fields.get(place)
    }
}

impl TermIndex {
    /// The index in a file, of which nothing is read yet.
    pub(crate) fn new(file: Arc<CheckedFile>) -> Self {
        TermIndex { file, directory: OnceLock::new() }
    }

    /// Bytes of memory: none before it is first asked.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.directory.get().map_or(0, |directory| directory.bytes)
    }

    pub(crate) fn malformed(&self) -> Error {
        Error::Damaged { path: self.file.path().to_owned(), what: "its content is malformed".into() }
    }

    /// What lies where; read at the first call.
    pub(crate) fn directory(&self) -> Result<&Directory> {
        if let Some(directory) = self.directory.get() {
            return Ok(directory);
        }
        let read = self.read_directory()?;
        Ok(self.directory.get_or_init(|| read))
    }

    fn read_directory(&self) -> Result<Directory> {
        let len = self.file.len();
        let mut from = len.saturating_sub(TAIL);
        let mut tail = self.file.read(from..len)?;
        let footer = tail.len().checked_sub(usize::try_from(FOOTER).unwrap_or(0)).and_then(|at| tail.get(at..));
        let (lengths, magic) = footer.and_then(|footer| footer.split_at_checked(8)).ok_or_else(|| self.malformed())?;
        let print_bits = match magic {
            magic if magic == MAGIC => PRINT_BITS,
            magic if magic == FIRST_MAGIC => FIRST_PRINT_BITS,
            _ => return Err(self.malformed()),
        };
        let number = |bytes: Option<&[u8]>| bytes?.try_into().ok().map(u32::from_le_bytes);
        let compressed = number(lengths.get(..4)).ok_or_else(|| self.malformed())?;
        let raw = number(lengths.get(4..)).and_then(|raw| usize::try_from(raw).ok()).unwrap_or(usize::MAX);
        let end = len - FOOTER;
        let start = end.checked_sub(compressed.into()).ok_or_else(|| self.malformed())?;
        if start < from {
            tail = self.file.read(start..end)?;
            from = start;
        }
        let within = |at: u64| usize::try_from(at - from).ok();
        let packed = within(start).zip(within(end)).and_then(|(start, end)| tail.get(start..end));
        let bytes = packed.and_then(|packed| unpack(packed, raw, MOST_DIRECTORY)).ok_or_else(|| self.malformed())?;
        parse(&bytes, print_bits).ok_or_else(|| self.malformed())
    }

    /// The terms of a chunk.
    pub(super) fn terms(&self, chunk: &TermChunk) -> Result<Terms> {
        let end = chunk.compressed.checked_add(chunk.granules).and_then(|length| chunk.at.checked_add(length));
        let bytes = self.file.read(chunk.at..end.ok_or_else(|| self.malformed())?)?;
        let split = usize::try_from(chunk.compressed).unwrap_or(usize::MAX);
        let (packed, _) = bytes.split_at_checked(split).ok_or_else(|| self.malformed())?;
        let raw = unpack(packed, chunk.raw, MOST_CHUNK).ok_or_else(|| self.malformed())?;
        Terms::parse(&raw, bytes.slice(split..)).ok_or_else(|| self.malformed())
    }

    /// Adds the granules of some terms of a chunk, by their places, ascending.
    pub(super) fn add_granules(
        &self,
        terms: &Terms,
        wanted: &[usize],
        segment: &Range<usize>,
        into: &mut Granules,
    ) -> Result<()> {
        match wanted.is_empty() {
            true => Ok(()),
            false => terms.add_granules(wanted, segment, into).ok_or_else(|| self.malformed()),
        }
    }

    /// Adds the granules that hold a fingerprint.
    pub(super) fn add_print(
        &self,
        field: &Field,
        print: u64,
        segment: &Range<usize>,
        into: &mut Granules,
    ) -> Result<()> {
        let wanted = scaled(print, field.prints_range);
        let print_bits = self.directory()?.print_bits;
        let from = field.prints.partition_point(|chunk| chunk.first < wanted).saturating_sub(1);
        let chunks = field.prints.get(from..).unwrap_or_default();
        for chunk in chunks.iter().take_while(|chunk| chunk.first <= wanted) {
            let end = chunk.at.checked_add(chunk.bytes).ok_or_else(|| self.malformed())?;
            let bytes = self.file.read(chunk.at..end)?;
            walk_prints(&bytes, (chunk, print_bits), wanted, segment, into).ok_or_else(|| self.malformed())?;
        }
        Ok(())
    }
}

fn walk_prints(
    bytes: &[u8],
    (chunk, print_bits): (&PrintChunk, u32),
    wanted: u64,
    segment: &Range<usize>,
    into: &mut Granules,
) -> Option<()> {
    let width = granule_bits(u32::try_from(segment.len()).ok()?);
    let mut bits = BitReader::new(bytes);
    let mut print = chunk.first;
    for _ in 0..chunk.count {
        print = print.checked_add(bits.take_rice(print_bits)?)?;
        let granule = usize::try_from(bits.take(width)?).ok()?;
        if print > wanted {
            break;
        }
        if print == wanted {
            into.insert(segment.start.checked_add(granule)?);
        }
    }
    Some(())
}

fn unpack(packed: &[u8], raw: usize, most: usize) -> Option<Vec<u8>> {
    if raw > most {
        return None;
    }
    let bytes = crate::zstandard::unpack(packed, raw).ok()?;
    (bytes.len() == raw).then_some(bytes)
}

fn parse(directory: &[u8], print_bits: u32) -> Option<Directory> {
    let mut input = directory;
    let groups = take_varint(&mut input)?;
    let rows = |_| take_usize(&mut input).filter(|&rows| rows > 0);
    let granule_rows = (0..groups).map(rows).collect::<Option<Vec<_>>>()?;
    let count = take_varint(&mut input)?;
    let mut segments: Vec<Segment> = Vec::new();
    for _ in 0..count {
        let mut at = take_varint(&mut input)?;
        let first = segments.last().map_or(0, |segment| segment.granules.end);
        // A block has fewer than 2^31 rows.
        let end = first.checked_add(take_usize(&mut input)?).filter(|&end| end <= 1 << 31)?;
        let granules = first..end;
        let fields = take_varint(&mut input)?;
        let fields = (0..fields).map(|_| take_field(&mut input, &granules, &mut at)).collect::<Option<Vec<_>>>()?;
        segments.push(Segment { granules, fields });
    }
    let granules = segments.last().map_or(0, |segment| segment.granules.end);
    // The parsed form of a chunk's entry takes some ten times the bytes.
    let bytes = directory.len() * 8;
    input.is_empty().then_some(Directory { granule_rows, granules, segments, print_bits, bytes })
}

fn take_usize(input: &mut &[u8]) -> Option<usize> {
    usize::try_from(take_varint(input)?).ok()
}

/// Reads a field, whose chunks begin at `at`, and moves `at` past them.
fn take_field(input: &mut &[u8], segment: &Range<usize>, at: &mut u64) -> Option<Field> {
    let name = std::str::from_utf8(take_bytes(input)?).ok()?.to_owned();
    let (&mode, rest) = input.split_first()?;
    *input = rest;
    let mode = match mode {
        0 => Mode::Values,
        1 => Mode::Words,
        2 => Mode::Prints,
        _ => return None,
    };
    let mut list = || {
        let mut granule = segment.start;
        let mut granules = Vec::new();
        for _ in 0..take_varint(input)? {
            granule = granule.checked_add(take_usize(input)?)?;
            granules.push(granule);
        }
        Some(granules)
    };
    let (ids, long, unknown) = (list()?, list()?, list()?);
    let mut past = |length: u64| {
        let start = *at;
        *at = start.checked_add(length)?;
        Some(start)
    };
    let mut chunks = Vec::new();
    for _ in 0..take_varint(input)? {
        let first = take_bytes(input)?.to_vec();
        let (raw, compressed, granules) = (take_usize(input)?, take_varint(input)?, take_varint(input)?);
        let at = past(compressed.checked_add(granules)?)?;
        chunks.push(TermChunk { first, at, raw, compressed, granules });
    }
    let prints_range = take_varint(input)?;
    let mut prints = Vec::new();
    let mut first = 0u64;
    for _ in 0..take_varint(input)? {
        first = first.checked_add(take_varint(input)?)?;
        let (count, bytes) = (take_usize(input)?, take_varint(input)?);
        prints.push(PrintChunk { first, count, at: past(bytes)?, bytes });
    }
    Some(Field { name, mode, ids, long, unknown, chunks, prints_range, prints })
}

/// The terms of a chunk, each followed by a zero byte.
#[derive(Debug)]
pub(super) struct Terms {
    bytes: Vec<u8>,
    starts: Vec<usize>,
    granules: Bytes,
}

impl Terms {
    fn parse(raw: &[u8], granules: Bytes) -> Option<Self> {
        let mut input = raw;
        let count = take_usize(&mut input).filter(|&count| count <= raw.len())?;
        let mut lengths = Vec::with_capacity(count);
        for _ in 0..count {
            lengths.push((take_usize(&mut input)?, take_usize(&mut input)?));
        }
        let (mut bytes, mut starts) = (Vec::with_capacity(raw.len() * 2), Vec::with_capacity(count + 1));
        let mut before = 0..0;
        for (shared, own) in lengths {
            let (new, rest) = input.split_at_checked(own)?;
            input = rest;
            if shared > before.len() || bytes.len() > MOST_CHUNK {
                return None;
            }
            let start = bytes.len();
            bytes.extend_from_within(before.start..before.start + shared);
            bytes.extend_from_slice(new);
            before = start..bytes.len();
            starts.push(start);
            bytes.push(0);
        }
        starts.push(bytes.len());
        input.is_empty().then_some(Terms { bytes, starts, granules })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.starts.windows(2).map(|pair| match pair {
            &[from, to] => self.bytes.get(from..to.saturating_sub(1)).unwrap_or_default(),
            _ => &[],
        })
    }

    /// All terms, each followed by a zero byte.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The place of the term that a byte of [`Terms::bytes`] belongs to.
    pub(super) fn place(&self, byte: usize) -> usize {
        self.starts.partition_point(|&start| start <= byte).saturating_sub(1)
    }

    fn add_granules(&self, wanted: &[usize], segment: &Range<usize>, into: &mut Granules) -> Option<()> {
        let all = u32::try_from(segment.len()).ok()?;
        let last = wanted.last().copied()?;
        let mut wanted = wanted.iter().copied().peekable();
        let mut bits = BitReader::new(&self.granules);
        for place in 0..=last {
            let is_wanted = wanted.next_if_eq(&place).is_some();
            match bits.take_gamma()? {
                SINGLE => {
                    let granule = usize::try_from(bits.take(granule_bits(all))?).ok()?;
                    if is_wanted {
                        into.insert(segment.start.checked_add(granule)?);
                    }
                }
                DENSE if is_wanted => into.insert_range(segment.clone()),
                DENSE => {}
                count => {
                    let count = u32::try_from(count - 1).ok()?;
                    let shift = rice_shift(all, count);
                    let mut next = segment.start;
                    for _ in 0..count {
                        let granule = next.checked_add(usize::try_from(bits.take_rice(shift)?).ok()?)?;
                        if is_wanted {
                            into.insert(granule);
                        }
                        next = granule.checked_add(1)?;
                    }
                }
            }
        }
        Some(())
    }
}
