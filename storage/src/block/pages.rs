//! How do the pages of a row group reach the Parquet reader?
//!
//! P1  What a small read wants of the file is asked of the disk at once, read once, in ascending pieces that do not overlap, and
//!     unpacked by the thread's own decompressor. Left to itself the Parquet reader would make a compressor and a
//!     decompressor for every column of every read, and wait for one page after the other.
//! P2  No more than [`MOST_AHEAD`] bytes are held so; of a larger read each page is read when its turn comes.
//!
//! How it is done: the reader is told that nothing is compressed, so it hands on pages as they are in the file, and what it
//! is handed for its own use was unpacked on the way.
//!
//! Not here: which rows are wanted (`scan`), what the arrays mean (`restore`).

use super::checked::{CheckedFile, GRANULE, Source};
use crate::zstandard;
use bytes::Bytes;
use parquet::arrow::arrow_reader::RowGroups;
use parquet::basic::{Compression, CompressionCodec};
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length, SerializedPageReader};
use std::ops::Range;
use std::sync::Arc;

/// Bytes that a read may hold before it is decoded.
const MOST_AHEAD: u64 = 4 * 1024 * 1024;

/// The metadata of a file for the Parquet reader, and which chunks are packed, by row group and column.
pub(super) fn unpacked(metadata: ParquetMetaData) -> Result<(ParquetMetaData, Vec<Vec<bool>>)> {
    let mut builder = metadata.into_builder();
    let (mut groups, mut packed) = (Vec::new(), Vec::new());
    for group in builder.take_row_groups() {
        let mut columns = Vec::with_capacity(group.num_columns());
        let mut packed_columns = Vec::with_capacity(group.num_columns());
        for column in group.columns() {
            packed_columns.push(match column.compression_codec() {
                CompressionCodec::UNCOMPRESSED => false,
                CompressionCodec::ZSTD => true,
                other => return Err(ParquetError::NYI(format!("pages packed with {other:?}"))),
            });
            columns.push(column.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build()?);
        }
        groups.push(group.into_builder().set_column_metadata(columns).build()?);
        packed.push(packed_columns);
    }
    Ok((builder.set_row_groups(groups).build(), packed))
}

/// A row group, as the Parquet reader wants it.
#[derive(Debug)]
pub(super) struct Pages<'a> {
    metadata: &'a ParquetMetaData,
    packed: &'a [bool],
    group: usize,
    source: Arc<Ahead>,
}

impl<'a> Pages<'a> {
    /// Reads ahead what some columns, ascending, hold for rows of the group.
    pub(super) fn read(
        file: &Arc<CheckedFile>,
        (metadata, packed): (&'a ParquetMetaData, &'a [bool]),
        group: usize,
        leaves: &[usize],
        rows: &[Range<usize>],
    ) -> crate::error::Result<Pages<'a>> {
        let wanted = wanted(metadata, group, leaves, rows);
        let source = Arc::new(Ahead::read(file, &wanted)?);
        Ok(Pages { metadata, packed, group, source })
    }

    fn row_group(&self) -> Result<&RowGroupMetaData> {
        let none = || ParquetError::General(format!("there is no row group {}", self.group));
        self.metadata.row_groups().get(self.group).ok_or_else(none)
    }
}

impl RowGroups for Pages<'_> {
    fn num_rows(&self) -> usize {
        self.row_groups().map(|group| usize::try_from(group.num_rows()).unwrap_or(0)).sum()
    }

    fn column_chunks(&self, column: usize) -> Result<Box<dyn PageIterator>> {
        let meta = self.row_group()?;
        let index = self.metadata.offset_index().and_then(|index| index.get(self.group)?.get(column));
        let locations = index.map(|index| index.page_locations().clone());
        let reader = SerializedPageReader::new(self.source.clone(), meta.column(column), self.num_rows(), locations)?;
        let packed = self.packed.get(column).copied().unwrap_or(false);
        Ok(Box::new(Chunk(Some(Unpacked { reader, packed }))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(self.metadata.row_groups().get(self.group).into_iter())
    }

    fn metadata(&self) -> &ParquetMetaData {
        self.metadata
    }
}

/// The bytes of the pages that hold the rows, and of dictionaries; ascending, widened to whole granules, joined.
fn wanted(metadata: &ParquetMetaData, group: usize, leaves: &[usize], rows: &[Range<usize>]) -> Vec<Range<u64>> {
    let Some(meta) = metadata.row_groups().get(group) else { return Vec::new() };
    let index = metadata.offset_index().and_then(|index| index.get(group));
    let mut found: Vec<Range<u64>> = Vec::new();
    for &leaf in leaves {
        let Some(column) = meta.columns().get(leaf) else { continue };
        let (start, length) = column.byte_range();
        let Some(index) = index.and_then(|index| index.get(leaf)) else {
            found.push(start..start.saturating_add(length));
            continue;
        };
        let pages = index.page_locations();
        let place = |offset: i64| u64::try_from(offset).unwrap_or(0);
        if let Some(first) = pages.first().filter(|first| place(first.offset) > start) {
            found.push(start..place(first.offset));
        }
        let mut rows = rows.iter().peekable();
        for (number, page) in pages.iter().enumerate() {
            let first = usize::try_from(page.first_row_index).unwrap_or(0);
            let next =
                pages.get(number + 1).map_or(usize::MAX, |next| usize::try_from(next.first_row_index).unwrap_or(0));
            while rows.next_if(|rows| rows.end <= first).is_some() {}
            if rows.peek().is_some_and(|rows| rows.start < next) {
                let length = u64::try_from(page.compressed_page_size).unwrap_or(0);
                found.push(place(page.offset)..place(page.offset).saturating_add(length));
            }
        }
    }
    joined(found)
}

/// Ranges, widened to whole granules, without overlap.
fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let granule = GRANULE as u64;
    let mut joined: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        let range = range.start / granule * granule..range.end.next_multiple_of(granule);
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// A file of which some pieces were read.
#[derive(Debug)]
struct Ahead {
    file: Source,
    /// Where each begins, ascending.
    pieces: Vec<(u64, Bytes)>,
}

impl Ahead {
    fn read(file: &Arc<CheckedFile>, wanted: &[Range<u64>]) -> crate::error::Result<Ahead> {
        let mut pieces = Vec::new();
        if wanted.iter().map(|range| range.end - range.start).sum::<u64>() <= MOST_AHEAD {
            let wanted: Vec<Range<u64>> = wanted.iter().map(|range| range.start..range.end.min(file.len())).collect();
            file.will_read(&wanted);
            for range in wanted.into_iter().filter(|range| range.start < range.end) {
                pieces.push((range.start, file.read(range)?));
            }
        }
        Ok(Ahead { file: Source(file.clone()), pieces })
    }

    fn held(&self, start: u64, length: usize) -> Option<Bytes> {
        let at = self.pieces.partition_point(|(begin, _)| *begin <= start).checked_sub(1)?;
        let (begin, bytes) = self.pieces.get(at)?;
        let from = usize::try_from(start - begin).ok()?;
        let to = from.checked_add(length).filter(|to| *to <= bytes.len())?;
        Some(bytes.slice(from..to))
    }
}

impl Length for Ahead {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for Ahead {
    type T = <Source as ChunkReader>::T;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        self.file.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.held(start, length).map_or_else(|| self.file.get_bytes(start, length), Ok)
    }
}

/// The pages of the one chunk that a row group has of a column.
struct Chunk(Option<Unpacked>);

impl Iterator for Chunk {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(|reader| Ok(Box::new(reader) as Box<dyn PageReader>))
    }
}

impl PageIterator for Chunk {}

/// Unpacks pages on their way.
struct Unpacked {
    reader: SerializedPageReader<Ahead>,
    packed: bool,
}

impl Iterator for Unpacked {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Unpacked {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.reader.get_next_page()?;
        if self.packed { page.map(unpack_page).transpose() } else { Ok(page) }
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.reader.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.reader.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.reader.at_record_boundary()
    }
}

fn unpack_page(mut page: Page) -> Result<Page> {
    match &mut page {
        Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, is_compressed, .. } => {
            if *is_compressed {
                let levels = u64::from(*def_levels_byte_len) + u64::from(*rep_levels_byte_len);
                *buf = unpack(buf, usize::try_from(levels)?)?;
                *is_compressed = false;
            }
        }
        Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => *buf = unpack(buf, 0)?,
    }
    Ok(page)
}

/// Unpacks all but the first bytes.
fn unpack(bytes: &Bytes, plain: usize) -> Result<Bytes> {
    let failed = |what: &str| ParquetError::General(format!("a page of {} bytes {what}", bytes.len()));
    let (plain, packed) = bytes.split_at_checked(plain).ok_or_else(|| failed("is shorter than its levels"))?;
    if packed.is_empty() {
        return Ok(bytes.clone());
    }
    let size = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten();
    // Pages are smaller than 2 GiB; so says their header.
    let size = size.and_then(|size| i32::try_from(size).ok()).and_then(|size| usize::try_from(size).ok());
    let size = size.ok_or_else(|| failed("does not say how long it is unpacked"))?;
    let mut unpacked = Vec::with_capacity(plain.len() + size);
    unpacked.extend_from_slice(plain);
    let values = zstandard::unpack(packed, size);
    unpacked.extend_from_slice(&values.map_err(|error| failed(&format!("cannot be unpacked: {error}")))?);
    Ok(unpacked.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_widened_to_granules_and_joined() {
        let granule = GRANULE as u64;
        let ranges =
            vec![5 * granule + 1..5 * granule + 2, 3..4, granule - 1..granule + 1, 3 * granule..3 * granule + 1];
        assert_eq!(joined(ranges), [0..2 * granule, 3 * granule..4 * granule, 5 * granule..6 * granule]);
    }

    #[test]
    fn p1_bytes_that_were_read_ahead_are_those_of_the_file() {
        let bytes: Vec<u8> = (0..5 * GRANULE).map(|at| (at / 7) as u8).collect();
        let file = super::super::open_checked(&bytes);
        let granule = GRANULE as u64;
        let ahead = Ahead::read(&file, &[0..granule, 2 * granule..4 * granule]).unwrap();
        for (start, length, held) in [
            (0, GRANULE, true),
            (1, 9, true),
            (granule - 1, 2, false),
            (2 * granule, 2 * GRANULE, true),
            (4 * granule - 1, 2, false),
        ] {
            assert_eq!(ahead.held(start, length).is_some(), held, "{start}");
            let from = usize::try_from(start).unwrap();
            assert_eq!(ahead.get_bytes(start, length).unwrap(), bytes[from..from + length], "{start}");
        }
    }

    #[test]
    fn a_page_that_lies_is_refused() {
        let packed = zstd::bulk::compress(&[7; 1000], 3).unwrap();
        assert_eq!(unpack(&packed.clone().into(), 0).unwrap(), vec![7; 1000]);
        let mut levels = vec![1, 2];
        levels.extend_from_slice(&packed);
        assert_eq!(unpack(&levels.into(), 2).unwrap()[..3], [1, 2, 7]);
        assert!(unpack(&Bytes::from_static(b"no frame"), 0).is_err());
        assert!(unpack(&packed[..packed.len() - 1].to_vec().into(), 0).is_err());
        assert!(unpack(&Bytes::from_static(b"1"), 2).is_err());
    }
}
