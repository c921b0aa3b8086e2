//! How does one column chunk come about: which encoding, which pages, which bounds?
//!
//! H1  The encoding is chosen from the values themselves, so equal input gives equal bytes.
//! H2  A page is compressed only where that pays; a column that it did not pay for is not tried page after page.

use super::bits::{put_deltas, put_hybrid, put_split};
use super::{Bounds, ColumnData, Packing, Style, Values};
use crate::block::BlockConfig;
use crate::block::interner::IntegerInterner;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use std::ops::Range;

/// An integer column with more distinct values than a one-byte index can number is not made a dictionary.
const MOST_DISTINCT_INTEGERS: usize = 256;
/// Saving less than one part in this many is not worth decompressing.
const LEAST_SAVING: usize = 16;
/// Each text counts as so many bytes at least when pages are cut: a read of one row unpacks no more than 8,192 of short ones.
const LEAST_TEXT: usize = 64;
/// Values of a column that its encodings are tried on.
const TRIAL_VALUES: usize = 4096;

/// A finished column chunk.
pub(in crate::block) struct Chunk {
    pub(in crate::block) bytes: Vec<u8>,
    pub(in crate::block) close: ColumnCloseResult,
}

/// Makes column chunks.
pub(in crate::block) struct ChunkEncoder {
    zstd: zstd::bulk::Compressor<'static>,
    codec: Compression,
    page_bytes: usize,
    text_page_bytes: usize,
    least_page_rows: usize,
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    values: Vec<u8>,
    compressed: Vec<u8>,
}

/// How the values are laid down.
enum Layout {
    Plain,
    Deltas,
    Split,
    /// Indices of so many bits into a dictionary page of so many values.
    Indices {
        keys: Vec<u32>,
        bits: usize,
        dictionary: Vec<u8>,
        distinct: usize,
    },
}

impl ChunkEncoder {
    pub(in crate::block) fn new(config: &BlockConfig) -> Result<Self> {
        let failed = |error: std::io::Error| ParquetError::External(Box::new(error));
        Ok(ChunkEncoder {
            zstd: zstd::bulk::Compressor::new(config.zstd_level).map_err(failed)?,
            codec: Compression::ZSTD(ZstdLevel::try_new(config.zstd_level)?),
            page_bytes: config.page_bytes,
            text_page_bytes: config.text_page_bytes,
            least_page_rows: config.least_page_rows,
            scratch: Scratch::default(),
        })
    }

    /// The column chunk of a row group's values.
    pub(in crate::block) fn encode(
        &mut self,
        descr: &ColumnDescPtr,
        column: ColumnData,
        style: Style,
    ) -> Result<Chunk> {
        let rows = column.rows();
        let layout = self.layout(&column.values, style)?;
        let mut writer = ChunkWriter::new(descr.clone(), column, layout, style.bounds);
        writer.put_dictionary(self)?;
        let pages = match &writer.column.values {
            Values::Bytes { ends, .. } => self.text_pages(ends, writer.column.present.as_deref()),
            _ => {
                let page_rows = self.page_rows(&writer, rows);
                (0..rows).step_by(page_rows).map(|from| from..(from + page_rows).min(rows)).collect()
            }
        };
        for page in pages {
            writer.put_page(self, page)?;
        }
        writer.close(self.codec)
    }

    /// The pages of byte strings: as many rows as fit, a multiple of the least rows of a page or, of long ones, of a half, a
    /// quarter … of those, so that pages and the granules of an index end together; a row at least.
    fn text_pages(&self, ends: &[usize], present: Option<&[bool]>) -> Vec<Range<usize>> {
        let ends = row_ends(ends, present);
        let mut pages = Vec::new();
        let mut from = 0;
        while from < ends.len() {
            let start = from.checked_sub(1).map_or(0, |before| ends[before]);
            let fitting = ends.partition_point(|&end| end <= start + self.text_page_bytes);
            let mut unit = self.least_page_rows.max(1);
            while unit > 1 && (from + 1).next_multiple_of(unit) > fitting {
                unit /= 2;
            }
            let to = if fitting < ends.len() { (fitting / unit * unit).max(from + 1) } else { fitting };
            pages.push(from..to);
            from = to;
        }
        pages
    }

    fn page_rows(&self, writer: &ChunkWriter, rows: usize) -> usize {
        let bytes = match &writer.layout {
            Layout::Indices { distinct: 0..=1, .. } => return rows.max(1),
            Layout::Indices { keys, bits, .. } => keys.len() * bits / 8,
            Layout::Deltas => writer.column.values.len() * 4,
            Layout::Plain | Layout::Split => plain_bytes(&writer.column.values),
        };
        let rows_per_page = rows * self.page_bytes / bytes.max(1);
        let multiple = self.least_page_rows.max(1);
        rows_per_page.next_multiple_of(multiple).max(multiple)
    }

    fn layout(&mut self, values: &Values, style: Style) -> Result<Layout> {
        let coded = match values {
            Values::Coded { dictionary, keys, fixed } => {
                let mut page = Vec::with_capacity(dictionary.bytes_len() + 4 * dictionary.len());
                dictionary.iter().for_each(|value| put_byte_array(&mut page, value, *fixed));
                Some((keys.clone(), page, dictionary.len()))
            }
            Values::Int32(values) => dictionary_of::<4>(values.iter().map(|&value| u64::from(value.cast_unsigned()))),
            Values::Int64(values) if style.packing == Packing::Auto => {
                dictionary_of::<8>(values.iter().map(|value| value.cast_unsigned()))
            }
            Values::Double(values) => dictionary_of::<8>(values.iter().map(|value| value.to_bits())),
            _ => None,
        };
        if let Some((keys, dictionary, distinct)) = coded {
            let bits = match distinct {
                0..=0x100 => 8,
                0x101..=0x1_0000 => 16,
                0x1_0001..=0x100_0000 => 24,
                _ => 32,
            };
            return Ok(Layout::Indices { keys, bits, dictionary, distinct });
        }
        match (values, style.packing) {
            (Values::Int64(_), Packing::Deltas) => Ok(Layout::Deltas),
            (Values::Bytes { .. }, _) => Ok(Layout::Deltas),
            (Values::Int64(_), Packing::Auto) => self.best(values, [Layout::Deltas, Layout::Split, Layout::Plain]),
            (Values::Double(_), Packing::Auto) => self.best(values, [Layout::Split, Layout::Plain]),
            _ => Ok(Layout::Plain),
        }
    }

    /// The layout that makes the first values smallest; the earlier one of equals.
    fn best<const N: usize>(&mut self, values: &Values, layouts: [Layout; N]) -> Result<Layout> {
        let trial = 0..values.len().min(TRIAL_VALUES);
        let mut best = (usize::MAX, Layout::Plain);
        for layout in layouts {
            self.scratch.values.clear();
            put_values(&mut self.scratch.values, values, &layout, trial.clone());
            let raw = self.scratch.values.len();
            let packed = if matches!(layout, Layout::Deltas) { raw } else { self.compress()?.min(raw) };
            if packed < best.0 {
                best = (packed, layout);
            }
        }
        Ok(best.1)
    }

    /// Compresses the scratch values; the length.
    fn compress(&mut self) -> Result<usize> {
        let Scratch { values, compressed } = &mut self.scratch;
        compressed.clear();
        compressed.reserve(zstd::zstd_safe::compress_bound(values.len()));
        self.zstd.compress_to_buffer(values, compressed).map_err(|error| ParquetError::External(Box::new(error)))
    }
}

/// Of each row the bytes of its text and those before, for the cutting of pages; absent ones have none.
fn row_ends(ends: &[usize], present: Option<&[bool]>) -> Vec<usize> {
    let (mut start, mut sum) = (0, 0);
    let mut values = ends.iter().map(|&end| {
        sum += (end - std::mem::replace(&mut start, end)).max(LEAST_TEXT);
        sum
    });
    let Some(present) = present else { return values.collect() };
    let mut last = 0;
    let end = |&present: &bool| {
        last = if present { values.next().unwrap_or(last) } else { last };
        last
    };
    present.iter().map(end).collect()
}

fn plain_bytes(values: &Values) -> usize {
    match values {
        Values::Int32(values) => values.len() * 4,
        Values::Int64(values) => values.len() * 8,
        Values::Double(values) => values.len() * 8,
        Values::Bool(values) => values.len() / 8,
        Values::Fixed { bytes, .. } => bytes.len(),
        Values::Bytes { bytes, ends } => bytes.len() + ends.len(),
        Values::Coded { keys, .. } => keys.len() * 4,
    }
}

fn put_byte_array(out: &mut Vec<u8>, value: &[u8], fixed: bool) {
    if !fixed {
        // Requests, and so values, are limited to far less than 2 GiB.
        out.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
    }
    out.extend_from_slice(value);
}

/// Numbers the distinct values, of `N` bytes each; `None` when there are too many.
fn dictionary_of<const N: usize>(values: impl ExactSizeIterator<Item = u64>) -> Option<(Vec<u32>, Vec<u8>, usize)> {
    let mut interner = IntegerInterner::default();
    let mut keys = Vec::with_capacity(values.len());
    for value in values {
        let key = interner.intern(value);
        if key as usize >= MOST_DISTINCT_INTEGERS {
            return None;
        }
        keys.push(key);
    }
    let page = interner.values().iter().flat_map(|value| value.to_le_bytes().into_iter().take(N)).collect();
    Some((keys, page, interner.values().len()))
}

/// Appends a range of values, without absent ones.
fn put_values(out: &mut Vec<u8>, values: &Values, layout: &Layout, range: Range<usize>) {
    match (values, layout) {
        (_, Layout::Indices { keys, bits, .. }) => {
            #[expect(clippy::cast_possible_truncation, reason = "at most 32")]
            out.push(*bits as u8);
            put_hybrid(out, &keys[range], *bits);
        }
        (Values::Int64(values), Layout::Deltas) => put_deltas(out, &values[range]),
        (Values::Int64(values), Layout::Split) => put_split(out, values[range].iter().map(|value| value.to_le_bytes())),
        (Values::Double(values), Layout::Split) => {
            put_split(out, values[range].iter().map(|value| value.to_le_bytes()))
        }
        (Values::Int32(values), _) => out.extend(values[range].iter().flat_map(|value| value.to_le_bytes())),
        (Values::Int64(values), _) => out.extend(values[range].iter().flat_map(|value| value.to_le_bytes())),
        (Values::Double(values), _) => out.extend(values[range].iter().flat_map(|value| value.to_le_bytes())),
        (Values::Bool(values), _) => {
            for eight in values[range].chunks(8) {
                out.push(eight.iter().rev().fold(0, |byte, &value| (byte << 1) | u8::from(value)));
            }
        }
        (Values::Fixed { width, bytes }, _) => out.extend_from_slice(&bytes[range.start * width..range.end * width]),
        (Values::Bytes { bytes, ends }, _) => {
            let start = range.start.checked_sub(1).map_or(0, |before| ends[before]);
            let lengths: Vec<i64> = ends[range.clone()]
                .iter()
                .scan(start, |from, &end| Some(i64::try_from(end - std::mem::replace(from, end)).unwrap_or(i64::MAX)))
                .collect();
            put_deltas(out, &lengths);
            let end = range.end.checked_sub(1).map_or(0, |last| ends[last]);
            out.extend_from_slice(&bytes[start..end.max(start)]);
        }
        // A coded column always has indices.
        (Values::Coded { .. }, _) => {}
    }
}

struct ChunkWriter {
    descr: ColumnDescPtr,
    column: ColumnData,
    layout: Layout,
    sink: TrackedWrite<Vec<u8>>,
    raw: usize,
    compressed_pages: usize,
    /// Whether the last page that was tried became smaller.
    pays: bool,
    dictionary_offset: Option<u64>,
    data_offset: Option<u64>,
    /// Values before the next page.
    values_before: usize,
    nulls: u64,
    offsets: OffsetIndexBuilder,
    bounds: Option<(ColumnIndexBuilder, Option<(i64, i64)>)>,
}

impl ChunkWriter {
    fn new(descr: ColumnDescPtr, column: ColumnData, layout: Layout, bounds: Bounds) -> Self {
        let bounds = (bounds == Bounds::Pages).then(|| (ColumnIndexBuilder::new(descr.physical_type()), None));
        ChunkWriter {
            descr,
            column,
            layout,
            sink: TrackedWrite::new(Vec::new()),
            raw: 0,
            compressed_pages: 0,
            pays: true,
            dictionary_offset: None,
            data_offset: None,
            values_before: 0,
            nulls: 0,
            offsets: OffsetIndexBuilder::new(),
            bounds,
        }
    }

    fn put_dictionary(&mut self, encoder: &mut ChunkEncoder) -> Result<()> {
        let Layout::Indices { dictionary, distinct, .. } = &self.layout else { return Ok(()) };
        encoder.scratch.values.clear();
        encoder.scratch.values.extend_from_slice(dictionary);
        let num_values = page_count(*distinct)?;
        // A dictionary page is compressed if the column is: its header cannot tell.
        encoder.compress()?;
        let buf = encoder.scratch.compressed.clone().into();
        let page = Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, is_sorted: false };
        self.compressed_pages += 1;
        let uncompressed = encoder.scratch.values.len();
        let spec = SerializedPageWriter::new(&mut self.sink).write_page(CompressedPage::new(page, uncompressed))?;
        self.raw += spec.uncompressed_size;
        self.dictionary_offset = Some(spec.offset);
        Ok(())
    }

    fn put_page(&mut self, encoder: &mut ChunkEncoder, rows: Range<usize>) -> Result<()> {
        let mut page = Vec::new();
        let num_rows = rows.len();
        let mut num_values = num_rows;
        if let Some(present) = &self.column.present {
            let levels: Vec<u32> = present[rows].iter().map(|&present| u32::from(present)).collect();
            num_values = levels.iter().filter(|&&level| level == 1).count();
            put_hybrid(&mut page, &levels, 1);
        }
        let levels = page.len();
        let range = self.values_before..self.values_before + num_values;
        self.values_before = range.end;
        self.put_bounds(range.clone(), num_rows - num_values);

        encoder.scratch.values.clear();
        // Also without values: readers expect the width of indices and the header of deltas.
        put_values(&mut encoder.scratch.values, &self.column.values, &self.layout, range);
        let raw = encoder.scratch.values.len();
        let is_compressed = self.compress(encoder)?;
        page.extend_from_slice(if is_compressed { &encoder.scratch.compressed } else { &encoder.scratch.values });
        let page = Page::DataPageV2 {
            buf: page.into(),
            num_values: page_count(num_rows)?,
            encoding: self.encoding(),
            num_nulls: page_count(num_rows - num_values)?,
            num_rows: page_count(num_rows)?,
            def_levels_byte_len: page_count(levels)?,
            rep_levels_byte_len: 0,
            is_compressed,
            statistics: None,
        };
        let page = CompressedPage::new(page, levels + raw);
        let spec = SerializedPageWriter::new(&mut self.sink).write_page(page)?;
        self.raw += spec.uncompressed_size;
        self.data_offset.get_or_insert(spec.offset);
        self.offsets.append_row_count(i64::try_from(num_rows)?);
        self.offsets.append_offset_and_size(i64::try_from(spec.offset)?, i32::try_from(spec.compressed_size)?);
        Ok(())
    }

    fn compress(&mut self, encoder: &mut ChunkEncoder) -> Result<bool> {
        let raw = encoder.scratch.values.len();
        if raw == 0 || !self.pays || matches!(self.column.values, Values::Fixed { .. }) {
            return Ok(false);
        }
        let compressed = encoder.compress()?;
        let smaller = compressed + compressed / LEAST_SAVING < raw;
        // Bytes and indices may be dull in one page and not in the next; numbers are alike.
        self.pays = smaller || matches!(self.layout, Layout::Indices { .. } | Layout::Plain);
        self.compressed_pages += usize::from(smaller);
        Ok(smaller)
    }

    fn encoding(&self) -> Encoding {
        match (&self.layout, &self.column.values) {
            (Layout::Indices { .. }, _) => Encoding::RLE_DICTIONARY,
            (Layout::Deltas, Values::Bytes { .. }) => Encoding::DELTA_LENGTH_BYTE_ARRAY,
            (Layout::Deltas, _) => Encoding::DELTA_BINARY_PACKED,
            (Layout::Split, _) => Encoding::BYTE_STREAM_SPLIT,
            (Layout::Plain, _) => Encoding::PLAIN,
        }
    }

    fn put_bounds(&mut self, range: Range<usize>, nulls: usize) {
        self.nulls += nulls as u64;
        let Some((index, whole)) = &mut self.bounds else { return };
        let bounds = match &self.column.values {
            Values::Int32(values) => bounds_of(values[range].iter().map(|&value| i64::from(value))),
            Values::Int64(values) => bounds_of(values[range].iter().copied()),
            _ => None,
        };
        let encode = |value: i64| match &self.column.values {
            #[expect(clippy::cast_possible_truncation, reason = "it came from an i32")]
            Values::Int32(_) => (value as i32).to_le_bytes().to_vec(),
            _ => value.to_le_bytes().to_vec(),
        };
        let (min, max) = bounds.map_or_else(Default::default, |(min, max)| (encode(min), encode(max)));
        index.append(bounds.is_none(), min, max, i64::try_from(nulls).unwrap_or(i64::MAX));
        *whole = match (*whole, bounds) {
            (Some((min, max)), Some((least, most))) => Some((min.min(least), max.max(most))),
            (whole, bounds) => whole.or(bounds),
        };
    }

    fn close(self, codec: Compression) -> Result<Chunk> {
        let encodings = match self.dictionary_offset {
            Some(_) => vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY],
            None => vec![Encoding::RLE, self.encoding()],
        };
        let rows = self.column.rows();
        let bytes = self.sink.into_inner()?;
        let mut metadata = ColumnChunkMetaData::builder(self.descr)
            .set_encodings(encodings)
            .set_compression(if self.compressed_pages > 0 { codec } else { Compression::UNCOMPRESSED })
            .set_num_values(i64::try_from(rows)?)
            .set_total_compressed_size(i64::try_from(bytes.len())?)
            .set_total_uncompressed_size(i64::try_from(self.raw)?)
            .set_dictionary_page_offset(self.dictionary_offset.map(i64::try_from).transpose()?)
            .set_data_page_offset(i64::try_from(self.data_offset.unwrap_or(0))?);
        if let Some((_, Some((min, max)))) = self.bounds {
            metadata = metadata.set_statistics(match self.column.values {
                #[expect(clippy::cast_possible_truncation, reason = "both came from an i32")]
                Values::Int32(_) => {
                    Statistics::int32(Some(min as i32), Some(max as i32), None, Some(self.nulls), false)
                }
                _ => Statistics::int64(Some(min), Some(max), None, Some(self.nulls), false),
            });
        }
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: rows as u64,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: self.bounds.map(|(index, _)| index.build()).transpose()?,
            offset_index: Some(self.offsets.build()),
        };
        Ok(Chunk { bytes, close })
    }
}

fn bounds_of(values: impl Iterator<Item = i64>) -> Option<(i64, i64)> {
    values.fold(None, |bounds, value| match bounds {
        None => Some((value, value)),
        Some((min, max)) => Some((value.min(min), value.max(max))),
    })
}

fn page_count(count: usize) -> Result<u32> {
    // The page header has signed numbers.
    Ok(i32::try_from(count)?.cast_unsigned())
}
