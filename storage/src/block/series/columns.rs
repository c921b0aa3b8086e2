//! How do the columns of one series' samples become runs of numbers?
//!
//! Histograms are laid down bucket by bucket: the counts of one bucket over time compress well, those of one sample do not.
//! A cell that is no such list, or would not be written so again, is kept as bytes.

use super::blobs::BlobWriter;
use super::stream::{Out, StreamWriter};
use super::table::{
    COUNTS, CellForm, Column, DOUBLES, EXPONENTIAL, FIRST_NUMBER, Form, LENGTHS, OFFSETS, PRESENCE, Presence, STREAMS,
    TIMES,
};
use crate::block::Interner;
use crate::error::Result;
use crate::metric::{CELLS, NUMBERS, NumberKind, Samples, counts_behind};
use crate::model::record::put_varint;
use std::collections::HashMap;
use xxhash_rust::xxh3::xxh3_128;

/// The kinds of numbers of the streams behind those of times and fields.
const OTHER_KINDS: [NumberKind; 6] = [
    NumberKind::Unsigned,
    NumberKind::Unsigned,
    NumberKind::Unsigned,
    NumberKind::Int,
    NumberKind::Unsigned,
    NumberKind::Double,
];
/// What the streams are called where bytes are told by column.
const OTHER_NAMES: [&str; 6] =
    ["presence", "cell_lengths", "bucket_counts", "bucket_offsets", "exponential_counts", "cell_doubles"];

/// The kind of a stream's numbers.
pub(super) fn kind_of(stream: usize) -> NumberKind {
    match stream.checked_sub(FIRST_NUMBER) {
        None => NumberKind::Int,
        Some(number) => match NUMBERS.get(number) {
            Some((_, kind)) => *kind,
            None => OTHER_KINDS.get(stream - PRESENCE).copied().unwrap_or(NumberKind::Unsigned),
        },
    }
}

/// What a stream is called.
pub(super) fn name_of(stream: usize) -> &'static str {
    match stream.checked_sub(FIRST_NUMBER) {
        None => crate::model::schema::column::TIME,
        Some(number) => match NUMBERS.get(number) {
            Some((name, _)) => name,
            None => OTHER_NAMES.get(stream - PRESENCE).copied().unwrap_or(""),
        },
    }
}

/// The columns of a block in the making.
#[derive(Debug)]
pub(super) struct ColumnWriter {
    pub(super) out: Out,
    pub(super) streams: Vec<StreamWriter>,
    pub(super) blobs: BlobWriter,
    /// Cells that all samples of some series have.
    pub(super) cells: Interner,
    /// Runs that came before, by their hashes: series of one process mostly share their times.
    shared: [HashMap<u128, u64>; 2],
    zstd_level: i32,
}

impl ColumnWriter {
    pub(super) fn new(out: Out, pco_level: usize, zstd_level: i32) -> Self {
        ColumnWriter {
            out,
            streams: (0..STREAMS).map(|stream| StreamWriter::new(kind_of(stream), pco_level)).collect(),
            blobs: BlobWriter::default(),
            cells: Interner::default(),
            shared: Default::default(),
            zstd_level,
        }
    }

    /// What follows is of another metric.
    pub(super) fn part(&mut self) -> Result<()> {
        // Times and start times do not depend on it.
        self.streams.iter_mut().skip(FIRST_NUMBER + 1).try_for_each(|stream| stream.part(&mut self.out))
    }

    /// The place of a series' times.
    pub(super) fn put_times(&mut self, samples: &Samples) -> Result<u64> {
        let times: Vec<u64> = samples.times.iter().map(|time| time.cast_unsigned()).collect();
        self.put_shared(0, TIMES, &times)
    }

    /// The columns of numbers.
    pub(super) fn put_numbers(&mut self, samples: &Samples) -> Result<[Option<Column<Form>>; NUMBERS.len()]> {
        let mut columns = [None; NUMBERS.len()];
        for (place, (to, numbers)) in columns.iter_mut().zip(&samples.numbers).enumerate() {
            if numbers.is_absent() {
                continue;
            }
            let values = numbers.present_values();
            let presence = match values.len() == samples.len() {
                true => Presence::All,
                false => self.put_presence(numbers.presence(samples.len()))?,
            };
            let form = match (all_same(&values), place) {
                (Some(value), _) => Form::Same(value),
                // Start times are those of the process, as times are.
                (None, 0) => Form::Run(self.put_shared(1, FIRST_NUMBER, &values)?),
                (None, _) => Form::Run(self.put_run(FIRST_NUMBER + place, &values)?),
            };
            *to = Some(Column { presence, form });
        }
        Ok(columns)
    }

    /// The columns of cells.
    pub(super) fn put_cells(&mut self, samples: &Samples) -> Result<[Option<Column<CellForm>>; CELLS.len()]> {
        let mut columns = [None; CELLS.len()];
        for (to, cells) in columns.iter_mut().zip(&samples.cells) {
            if cells.is_absent() {
                continue;
            }
            let present = cells.present_cells();
            let presence = match present.len() == samples.len() {
                true => Presence::All,
                false => self.put_presence(cells.presence(samples.len()))?,
            };
            *to = Some(Column { presence, form: self.put_cell_form(&present)? });
        }
        Ok(columns)
    }

    fn put_cell_form(&mut self, cells: &[&[u8]]) -> Result<CellForm> {
        if let Some((first, rest)) = cells.split_first()
            && rest.iter().all(|cell| cell == first)
            && (cells.len() > 1 || counts_behind(first, 0).is_none())
        {
            return Ok(CellForm::Same(self.cells.intern(first)));
        }
        if let Some((width, lists)) = lists_of_counts(cells) {
            return Ok(CellForm::Counts { width, at: self.put_lists(COUNTS, &lists, width)? });
        }
        if let Some((base, width, lists)) = lists_of_buckets(cells) {
            let offsets: Vec<u64> = lists.iter().map(|(offset, _)| i64::from(*offset).cast_unsigned()).collect();
            let lengths: Vec<u64> = lists.iter().map(|(_, counts)| counts.len() as u64).collect();
            let offsets = self.put_form(OFFSETS, &offsets)?;
            let lengths = self.put_form(LENGTHS, &lengths)?;
            let mut run = Vec::with_capacity(lists.len() * width);
            for index in 0..width as i64 {
                run.extend(lists.iter().map(|(offset, counts)| {
                    let place = index + i64::from(base) - i64::from(*offset);
                    usize::try_from(place).ok().and_then(|place| counts.get(place)).copied().unwrap_or(0)
                }));
            }
            let at = self.put_run(EXPONENTIAL, &run)?;
            return Ok(CellForm::Buckets { offsets, lengths, base, width: width as u64, at });
        }
        if let Some((width, lists)) = lists_of_doubles(cells) {
            return Ok(CellForm::Doubles { width, at: self.put_lists(DOUBLES, &lists, width)? });
        }
        let lengths: Vec<u64> = cells.iter().map(|cell| cell.len() as u64).collect();
        let lengths = self.put_form(LENGTHS, &lengths)?;
        Ok(CellForm::Blob { lengths, at: self.blobs.put(&mut self.out, cells, self.zstd_level)? })
    }

    fn put_lists(&mut self, stream: usize, lists: &[Vec<u64>], width: u64) -> Result<u64> {
        let mut run = Vec::with_capacity(lists.iter().map(Vec::len).sum());
        let width = usize::try_from(width).unwrap_or(0);
        for place in 0..width {
            run.extend(lists.iter().filter_map(|list| list.get(place)));
        }
        self.put_run(stream, &run)
    }

    fn put_form(&mut self, stream: usize, values: &[u64]) -> Result<Form> {
        match all_same(values) {
            Some(value) => Ok(Form::Same(value)),
            None => Ok(Form::Run(self.put_run(stream, values)?)),
        }
    }

    fn put_presence(&mut self, present: Vec<bool>) -> Result<Presence> {
        let bits: Vec<u64> = present.iter().map(|&present| present.into()).collect();
        let count = bits.iter().sum();
        Ok(Presence::Some { count, at: self.put_run(PRESENCE, &bits)? })
    }

    fn put_run(&mut self, stream: usize, values: &[u64]) -> Result<u64> {
        self.streams.get_mut(stream).map_or(Ok(0), |stream| stream.put(&mut self.out, values))
    }

    /// Appends a run if it was not there before. Equal 128-bit hashes are taken for equal runs.
    fn put_shared(&mut self, which: usize, stream: usize, values: &[u64]) -> Result<u64> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let hash = xxh3_128(&bytes);
        if let Some(at) = self.shared.get(which).and_then(|shared| shared.get(&hash)) {
            return Ok(*at);
        }
        let at = self.put_run(stream, values)?;
        if let Some(shared) = self.shared.get_mut(which) {
            shared.insert(hash, at);
        }
        Ok(at)
    }
}

fn all_same(values: &[u64]) -> Option<u64> {
    let (first, rest) = values.split_first()?;
    rest.iter().all(|value| value == first).then_some(*first)
}

/// Lists of counts that are all of one length.
fn lists_of_counts(cells: &[&[u8]]) -> Option<(u64, Vec<Vec<u64>>)> {
    let lists: Vec<Vec<u64>> = cells.iter().map(|cell| counts_behind(cell, 0)).collect::<Option<_>>()?;
    let width = lists.first()?.len();
    (width > 0 && lists.iter().all(|list| list.len() == width)).then_some((width as u64, lists))
}

/// The index of the first bucket, and the counts.
type Buckets = (i32, Vec<u64>);

/// Least index, how many indices, and the buckets of each cell; `None` where laying them side by side would take much more numbers than there are.
fn lists_of_buckets(cells: &[&[u8]]) -> Option<(i32, usize, Vec<Buckets>)> {
    let mut lists = Vec::with_capacity(cells.len());
    for cell in cells {
        let offset = i32::from_le_bytes(*cell.first_chunk::<4>()?);
        lists.push((offset, counts_behind(cell, 4)?));
    }
    let base = lists.iter().map(|(offset, _)| *offset).min()?;
    let end = lists.iter().map(|(offset, counts)| i64::from(*offset) + counts.len() as i64).max()?;
    let width = usize::try_from(end - i64::from(base)).ok()?;
    let counts: usize = lists.iter().map(|(_, counts)| counts.len()).sum();
    (width.checked_mul(lists.len())? <= counts * 4 + 64).then_some((base, width, lists))
}

/// Lists of doubles that are all of one length.
fn lists_of_doubles(cells: &[&[u8]]) -> Option<(u64, Vec<Vec<u64>>)> {
    let length = cells.first()?.len();
    if length == 0 || !length.is_multiple_of(8) || cells.iter().any(|cell| cell.len() != length) {
        return None;
    }
    let list = |cell: &&[u8]| cell.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
    Some(((length / 8) as u64, cells.iter().map(list).collect()))
}

/// The cells of lists of counts laid down place by place.
pub(super) fn cells_of_counts(run: &[u64], count: usize) -> Vec<Vec<u8>> {
    let mut cells = vec![Vec::new(); count];
    for column in run.chunks(count.max(1)) {
        cells.iter_mut().zip(column).for_each(|(cell, value)| put_varint(cell, *value));
    }
    cells
}

/// The cells of lists of doubles laid down place by place.
pub(super) fn cells_of_doubles(run: &[u64], count: usize) -> Vec<Vec<u8>> {
    let mut cells = vec![Vec::new(); count];
    for column in run.chunks(count.max(1)) {
        cells.iter_mut().zip(column).for_each(|(cell, value)| cell.extend_from_slice(&value.to_le_bytes()));
    }
    cells
}

/// The cells of exponential buckets; `None` where offsets and lengths do not fit the run.
pub(super) fn cells_of_buckets(run: &[u64], base: i32, offsets: &[u64], lengths: &[u64]) -> Option<Vec<Vec<u8>>> {
    let rows = offsets.len();
    let mut cells = Vec::with_capacity(rows);
    for (row, (offset, length)) in offsets.iter().zip(lengths).enumerate() {
        let offset = i32::try_from(offset.cast_signed()).ok()?;
        let from = usize::try_from(i64::from(offset) - i64::from(base)).ok()?;
        let to = from.checked_add(usize::try_from(*length).ok()?)?;
        let mut cell = offset.to_le_bytes().to_vec();
        for index in from..to {
            put_varint(&mut cell, *run.get(index.checked_mul(rows)?.checked_add(row)?)?);
        }
        cells.push(cell);
    }
    Some(cells)
}
