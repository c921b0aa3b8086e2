//! How do many runs of numbers lie on disk, so that any of them can be read alone? As streams of `pco` pages.
//!
//! A stream is one long row of numbers of one kind: a field's values, series after series. It is cut into pages of about a
//! thousand numbers or more, mostly one run each, and the pages into chunks, which share what `pco` learns about their numbers.
//!
//! V1  A run is read by its place in the stream and its length; only the pages that hold it are read and decoded.
//! V2  Numbers come back bit for bit.
//!
//! Not here: which runs there are (`table`), checksums (`block::checked`).

use crate::block::checked::{CheckedFile, CheckedWriter, GRANULE};
use crate::error::{Error, Result};
use crate::metric::NumberKind;
use crate::model::record::{put_varint, take_varint};
use bytes::Bytes;
use pco::data_types::Number;
use pco::wrapped::{ChunkDecompressor, FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DeltaSpec, ModeSpec, PagingSpec};
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

/// A run begins a page of its own if the open one has so many numbers: each page costs some 20 bytes.
const LEAST_PAGE: usize = 1024;
/// What the smallest read decodes.
const MOST_PAGE: usize = 4096;
/// A chunk ends at the next page: its numbers wait in memory.
const MOST_CHUNK: usize = 64 * 1024;
/// A metric begins a chunk of its own if the open one has so many numbers: what `pco` learns of a chunk costs some 200 bytes.
const LEAST_CHUNK: usize = 4 * 1024;
/// Who reads on gets so much at once.
const READ_AHEAD: u64 = 128 * 1024;

/// A file in the making and how long it is.
#[derive(Debug)]
pub(super) struct Out {
    pub(super) file: CheckedWriter,
    pub(super) len: u64,
}

impl Out {
    /// Appends bytes; where they begin.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<u64> {
        let at = self.len;
        self.file.write_all(bytes).map_err(Error::io("write", self.file.path()))?;
        self.len += bytes.len() as u64;
        Ok(at)
    }
}

/// A chunk in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Chunk {
    offset: u64,
    meta_len: u64,
    /// Numbers and bytes of each page.
    pages: Vec<(u64, u64)>,
}

/// A stream in the making.
#[derive(Debug)]
pub(super) struct StreamWriter {
    kind: NumberKind,
    level: usize,
    values: Vec<u64>,
    /// Numbers of each page that is closed.
    pages: Vec<usize>,
    in_page: usize,
    len: u64,
    chunks: Vec<Chunk>,
    bytes: u64,
}

impl StreamWriter {
    pub(super) fn new(kind: NumberKind, level: usize) -> Self {
        let (values, pages, chunks) = (Vec::new(), Vec::new(), Vec::new());
        StreamWriter { kind, level, values, pages, in_page: 0, len: 0, chunks, bytes: 0 }
    }

    /// Appends a run; its place.
    pub(super) fn put(&mut self, out: &mut Out, run: &[u64]) -> Result<u64> {
        let at = self.len;
        if self.in_page >= LEAST_PAGE {
            self.close_page(out)?;
        }
        let mut rest = run;
        while !rest.is_empty() {
            if self.in_page >= MOST_PAGE {
                self.close_page(out)?;
            }
            let (now, later) = rest.split_at(rest.len().min(MOST_PAGE - self.in_page));
            self.values.extend_from_slice(now);
            self.in_page += now.len();
            rest = later;
        }
        self.len += run.len() as u64;
        Ok(at)
    }

    /// What follows is of another metric.
    pub(super) fn part(&mut self, out: &mut Out) -> Result<()> {
        if self.values.len() >= LEAST_CHUNK { self.close_chunk(out) } else { Ok(()) }
    }

    fn close_page(&mut self, out: &mut Out) -> Result<()> {
        if self.in_page > 0 {
            self.pages.push(self.in_page);
            self.in_page = 0;
        }
        if self.values.len() >= MOST_CHUNK { self.close_chunk(out) } else { Ok(()) }
    }

    fn close_chunk(&mut self, out: &mut Out) -> Result<()> {
        if self.in_page > 0 {
            self.pages.push(self.in_page);
            self.in_page = 0;
        }
        if self.values.is_empty() {
            return Ok(());
        }
        let values = std::mem::take(&mut self.values);
        let pages = std::mem::take(&mut self.pages);
        let encoded = match self.kind {
            NumberKind::Int => encode_ints(&values, &pages, self.level),
            NumberKind::Unsigned => encode(&values, &pages, &ChunkConfig::default().with_compression_level(self.level)),
            NumberKind::Double => {
                let values: Vec<f64> = values.into_iter().map(f64::from_bits).collect();
                encode(&values, &pages, &ChunkConfig::default().with_compression_level(self.level))
            }
        };
        let failed = |error| Error::io("compress numbers for", out.file.path())(std::io::Error::other(error));
        let (bytes, ends) = encoded.map_err(failed)?;
        let offset = out.put(&bytes)?;
        self.bytes += bytes.len() as u64;
        let (meta_len, ends) = ends.split_first().map_or((0, &[][..]), |(meta, ends)| (*meta, ends));
        let starts = std::iter::once(meta_len).chain(ends.iter().copied());
        let lengths = starts.zip(ends).map(|(start, end)| (end - start) as u64);
        let pages = pages.iter().map(|&numbers| numbers as u64).zip(lengths).collect();
        self.chunks.push(Chunk { offset, meta_len: meta_len as u64, pages });
        Ok(())
    }

    /// Ends the stream and appends its directory. Bytes in the file, and before compression.
    pub(super) fn finish(mut self, out: &mut Out, directory: &mut Vec<u8>) -> Result<(u64, u64)> {
        self.close_chunk(out)?;
        put_varint(directory, self.chunks.len() as u64);
        for chunk in &self.chunks {
            put_varint(directory, chunk.offset);
            put_varint(directory, chunk.meta_len);
            put_varint(directory, chunk.pages.len() as u64);
            for (numbers, bytes) in &chunk.pages {
                put_varint(directory, *numbers);
                put_varint(directory, *bytes);
            }
        }
        Ok((self.bytes, self.len * 8))
    }
}

/// Header and metadata of a chunk, then its pages; where each of these parts ends.
type Encoded = pco::errors::PcoResult<(Vec<u8>, Vec<usize>)>;

/// Where times are regular, what `pco` chooses by a sample can cost ten times what their plain differences do.
fn encode_ints(values: &[u64], pages: &[usize], level: usize) -> Encoded {
    let values: Vec<i64> = values.iter().map(|value| value.cast_signed()).collect();
    let config = ChunkConfig::default().with_compression_level(level);
    let plain = config.clone().with_mode_spec(ModeSpec::Classic).with_delta_spec(DeltaSpec::TryConsecutive(1));
    let (chosen, differences) = (encode(&values, pages, &config)?, encode(&values, pages, &plain)?);
    Ok(if differences.0.len() < chosen.0.len() { differences } else { chosen })
}

fn encode<T: Number>(values: &[T], pages: &[usize], config: &ChunkConfig) -> Encoded {
    let config = config.clone().with_paging_spec(PagingSpec::Exact(pages.to_vec()));
    let file = FileCompressor::default();
    let mut chunk = file.chunk_compressor(values, &config)?;
    let mut bytes = chunk.write_meta(file.write_header(Vec::new())?)?;
    let mut ends = vec![bytes.len()];
    for page in 0..pages.len() {
        bytes = chunk.write_page(page, bytes)?;
        ends.push(bytes.len());
    }
    Ok((bytes, ends))
}

/// Where the pages of a stream lie.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// Metadata of each chunk.
    chunks: Vec<Range<u64>>,
    pages: Vec<Page>,
    len: u64,
}

#[derive(Debug, Clone, Copy)]
struct Page {
    /// Place of its first number.
    first: u64,
    offset: u64,
    bytes: u32,
    chunk: u32,
}

impl Stream {
    /// Reads a directory; `None` when it is malformed.
    pub(super) fn take(input: &mut &[u8]) -> Option<Self> {
        let mut stream = Stream::default();
        for chunk in 0..take_varint(input)? {
            let mut offset = take_varint(input)?;
            let meta_len = take_varint(input)?;
            stream.chunks.push(offset..offset.checked_add(meta_len)?);
            offset = offset.checked_add(meta_len)?;
            for _ in 0..take_varint(input)? {
                let numbers = take_varint(input).filter(|&numbers| numbers <= MOST_CHUNK as u64)?;
                let bytes = take_varint(input)?;
                let page = Page {
                    first: stream.len,
                    offset,
                    bytes: u32::try_from(bytes).ok()?,
                    chunk: u32::try_from(chunk).ok()?,
                };
                stream.pages.push(page);
                stream.len = stream.len.checked_add(numbers)?;
                offset = offset.checked_add(bytes)?;
            }
        }
        Some(stream)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.pages.capacity() * size_of::<Page>() + self.chunks.capacity() * size_of::<Range<u64>>()
    }

    /// Whether some bytes of the file are the stream's.
    pub(super) fn lies_in(&self, bytes: &Range<u64>) -> bool {
        let meets = |range: &Range<u64>| range.start < bytes.end && range.end > bytes.start;
        let pages = self.pages.iter().map(|page| page.offset..page.offset + u64::from(page.bytes));
        self.chunks.iter().cloned().chain(pages).any(|range| meets(&range))
    }

    /// How many numbers may be read at some places: none where they are not there.
    fn room(&self, places: &Range<u64>) -> usize {
        if places.end <= self.len { count(places) } else { 0 }
    }

    /// The page that begins at a place and does not end behind another one.
    fn whole_page(&self, at: u64, end: u64) -> Option<usize> {
        let page = self.pages.partition_point(|page| page.first <= at).checked_sub(1)?;
        let first = self.pages.get(page)?.first;
        let numbers = self.numbers_of(page) as u64;
        (first == at && numbers > 0 && first + numbers <= end).then_some(page)
    }

    fn numbers_of(&self, page: usize) -> usize {
        let first = self.pages.get(page).map_or(self.len, |page| page.first);
        let next = self.pages.get(page + 1).map_or(self.len, |page| page.first);
        usize::try_from(next - first).unwrap_or(0)
    }
}

/// What is ready to decode pages of a chunk.
enum Decoder {
    Int(ChunkDecompressor<i64>),
    Unsigned(ChunkDecompressor<u64>),
    Double(ChunkDecompressor<f64>),
}

/// Bytes of the file that were read last, for who reads on.
#[derive(Debug, Default)]
pub(super) struct Window {
    at: u64,
    bytes: Bytes,
}

impl Window {
    pub(super) fn read(&mut self, file: &CheckedFile, range: Range<u64>) -> Result<Bytes> {
        let end = self.at + self.bytes.len() as u64;
        if !(self.at..=end).contains(&range.start) || range.end > end {
            let granule = GRANULE as u64;
            // Only who reads on reads ahead.
            let ahead = if !self.bytes.is_empty() && (self.at..=end).contains(&range.start) { READ_AHEAD } else { 0 };
            let to = range.end.saturating_add(ahead).next_multiple_of(granule).min(file.len()).max(range.end);
            self.at = range.start / granule * granule;
            self.bytes = file.read(self.at..to)?;
        }
        let place = |at: u64| usize::try_from(at.saturating_sub(self.at)).unwrap_or(usize::MAX).min(self.bytes.len());
        Ok(self.bytes.slice(place(range.start)..place(range.end)))
    }
}

/// Reads runs of a stream; what it decoded last is kept.
pub(super) struct StreamReader {
    kind: NumberKind,
    window: Window,
    decoder: Option<(u32, Decoder)>,
    page: Option<(usize, Vec<u64>)>,
}

impl std::fmt::Debug for StreamReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamReader").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl StreamReader {
    pub(super) fn new(kind: NumberKind) -> Self {
        StreamReader { kind, window: Window::default(), decoder: None, page: None }
    }

    /// The numbers at some places.
    pub(super) fn read(&mut self, file: &Arc<CheckedFile>, stream: &Stream, places: Range<u64>) -> Result<Vec<u64>> {
        let mut values = Vec::with_capacity(stream.room(&places));
        self.read_each(file, stream, places, |some| values.extend_from_slice(some))?;
        Ok(values)
    }

    /// The same of doubles.
    pub(super) fn read_doubles(
        &mut self,
        file: &Arc<CheckedFile>,
        stream: &Stream,
        places: Range<u64>,
    ) -> Result<Vec<f64>> {
        let mut values = Vec::with_capacity(stream.room(&places));
        let (mut at, end) = (places.start, places.end.min(stream.len));
        // Pages that lie whole in the run are decoded where they are wanted: nobody else has numbers in them.
        while let Some(page) = stream.whole_page(at, end).filter(|page| !self.has(*page)) {
            let bytes = self.prepare(file, stream, page)?;
            let Some((_, Decoder::Double(decoder))) = &mut self.decoder else { break };
            let (from, numbers) = (values.len(), stream.numbers_of(page));
            values.resize(from + numbers, 0.0);
            let decoded = decode_into(decoder, &bytes, values.get_mut(from..).unwrap_or_default());
            decoded.map_err(|error| failed(file, stream, page, error))?;
            at += numbers as u64;
        }
        let add = |some: &[u64]| values.extend(some.iter().map(|bits| f64::from_bits(*bits)));
        self.read_each(file, stream, at..places.end, add)?;
        Ok(values)
    }

    /// Gives the numbers at some places, page by page.
    fn read_each(
        &mut self,
        file: &Arc<CheckedFile>,
        stream: &Stream,
        places: Range<u64>,
        mut each: impl FnMut(&[u64]),
    ) -> Result<()> {
        let damaged = |what: &str| Error::Damaged { path: file.path().to_owned(), what: what.into() };
        if places.end > stream.len || places.start > places.end {
            return Err(damaged("a series refers to numbers that are not there"));
        }
        let (count, mut given) = (count(&places), 0);
        let mut page = stream.pages.partition_point(|page| page.first <= places.start).saturating_sub(1);
        while given < count {
            let first = stream.pages.get(page).map(|page| page.first).ok_or_else(|| damaged("a page is missing"))?;
            let numbers = self.page(file, stream, page)?;
            let from = usize::try_from((places.start + given as u64).saturating_sub(first)).unwrap_or(usize::MAX);
            let some = numbers.get(from..).unwrap_or_default();
            let some = some.get(..(count - given).min(some.len())).unwrap_or_default();
            each(some);
            given += some.len();
            page += 1;
        }
        Ok(())
    }

    fn page(&mut self, file: &Arc<CheckedFile>, stream: &Stream, number: usize) -> Result<&[u64]> {
        if !self.has(number) {
            self.page = None;
            let values = self.decode(file, stream, number)?;
            self.page = Some((number, values));
        }
        Ok(self.page.as_ref().map_or(&[], |(_, values)| values))
    }

    /// Gets ready to decode a page; its bytes.
    fn prepare(&mut self, file: &Arc<CheckedFile>, stream: &Stream, number: usize) -> Result<Bytes> {
        let missing = || Error::Damaged { path: file.path().to_owned(), what: "a page is missing".into() };
        let page = *stream.pages.get(number).ok_or_else(missing)?;
        let failed = |error| failed(file, stream, number, error);
        if self.decoder.as_ref().is_none_or(|(chunk, _)| *chunk != page.chunk) {
            let meta = stream.chunks.get(page.chunk as usize).cloned().unwrap_or_default();
            let meta = self.window.read(file, meta)?;
            let (header, rest) = FileDecompressor::new(&meta[..]).map_err(failed)?;
            let decoder = match self.kind {
                NumberKind::Int => header.chunk_decompressor(rest).map(|(decoder, _)| Decoder::Int(decoder)),
                NumberKind::Unsigned => header.chunk_decompressor(rest).map(|(decoder, _)| Decoder::Unsigned(decoder)),
                NumberKind::Double => header.chunk_decompressor(rest).map(|(decoder, _)| Decoder::Double(decoder)),
            };
            self.decoder = Some((page.chunk, decoder.map_err(failed)?));
        }
        self.window.read(file, page.offset..page.offset.saturating_add(page.bytes.into()))
    }

    fn has(&self, number: usize) -> bool {
        matches!(&self.page, Some((had, _)) if *had == number)
    }

    fn decode(&mut self, file: &Arc<CheckedFile>, stream: &Stream, number: usize) -> Result<Vec<u64>> {
        let bytes = self.prepare(file, stream, number)?;
        let numbers = stream.numbers_of(number);
        let values = match &mut self.decoder {
            Some((_, Decoder::Int(decoder))) => decode(decoder, &bytes, numbers)
                .map(|values| values.into_iter().map(i64::cast_unsigned).collect::<Vec<u64>>()),
            Some((_, Decoder::Unsigned(decoder))) => decode(decoder, &bytes, numbers),
            Some((_, Decoder::Double(decoder))) => {
                decode(decoder, &bytes, numbers).map(|values| values.into_iter().map(f64::to_bits).collect())
            }
            None => Ok(Vec::new()),
        };
        values.map_err(|error| failed(file, stream, number, error))
    }
}

fn failed(file: &CheckedFile, stream: &Stream, page: usize, error: pco::errors::PcoError) -> Error {
    let at = stream.pages.get(page).map_or(0, |page| page.offset);
    Error::Damaged { path: file.path().to_owned(), what: format!("the numbers at byte {at} cannot be read: {error}") }
}

fn count(places: &Range<u64>) -> usize {
    usize::try_from(places.end.saturating_sub(places.start)).unwrap_or(usize::MAX)
}

fn decode<T: Number + Default>(
    decoder: &mut ChunkDecompressor<T>,
    bytes: &[u8],
    numbers: usize,
) -> pco::errors::PcoResult<Vec<T>> {
    let mut values = vec![T::default(); numbers];
    decode_into(decoder, bytes, &mut values)?;
    Ok(values)
}

fn decode_into<T: Number>(
    decoder: &mut ChunkDecompressor<T>,
    bytes: &[u8],
    values: &mut [T],
) -> pco::errors::PcoResult<()> {
    decoder.page_decompressor(bytes, values.len())?.read(values).map(drop)
}
