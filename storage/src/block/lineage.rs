//! Which traces lie whole in a row group, and who is whose parent there?
//!
//! K1  A trace is told of only where its rows here are all that a reader sees of it in the block, and their parents are those that the
//!     spans alone would give. It is *apart* where its rows do not lie together in one row group, where some are hidden, where
//!     two have the same start and id, so that which is the first is not told by the spans, or where the caller says so.
//! K2  Borders of traces are those of `keys.idx`; without it nothing is told.
//!
//! Not here: spans of a trace in other blocks and in memory (`engine::spread`), what the parents are asked (`trace::lineage`).

use super::layout::PARENT_ROW;
use super::read::Block;
use super::scan::BlockScan;
use super::shown::Shown;
use crate::error::{Error, Result};
use crate::index::HashPart;
use crate::model::TraceId;
use crate::model::schema::column as name;
use crate::scan::{Predicate, ScanRequest, TimeRange, required, unknown};
use crate::trace::{Lineage, LineageBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampNanosecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

/// Beyond one row in so many, a row group is read whole: leaving out costs more than it saves.
const FEW: usize = 4;

/// The traces of a block, row group by row group.
#[derive(Debug)]
pub(crate) struct BlockTraces {
    block: Arc<Block>,
    /// Which row groups there are to look at.
    order: BlockScan,
    /// One per condition; none where the block has no row that matches.
    chosen: Vec<Option<BlockScan>>,
    hidden: Option<BlockScan>,
    /// Of the block's rows those at which rows of a trace begin.
    begins: BooleanBuffer,
    /// Rows of traces that do not lie together in one row group, ascending.
    scattered: Vec<Range<usize>>,
}

/// Which traces may have spans elsewhere, by the row of the block at which they begin.
pub(crate) struct Elsewhere<'a> {
    pub(crate) may_be: &'a dyn Fn(usize) -> bool,
    pub(crate) is: &'a dyn Fn(usize, &TraceId) -> bool,
}

impl Shown {
    /// Gives what is known of each trace, hidden ones included, and its rows to `each`; false where the index is lost.
    pub(crate) fn walk_traces(&self, each: impl FnMut(HashPart, &[Range<usize>])) -> Result<bool> {
        let Some(block) = self.block.rows() else { return Ok(true) };
        let Some(index) = block.trace_index() else { return Ok(false) };
        Ok(block.unless_lost(index.walk(each))?.is_some())
    }

    /// The traces of the block, in the row groups that a request speaks of, and the rows that meet each of some conditions; `None`
    /// where the index is lost.
    pub(crate) fn traces(&self, request: &ScanRequest, conditions: &[Predicate]) -> Result<Option<BlockTraces>> {
        let Some(block) = self.block.rows().cloned() else { return Ok(None) };
        let rows_of_block = block.groups().last().map_or(0, |rows| rows.end);
        let mut begins = BooleanBufferBuilder::new(rows_of_block);
        begins.append_n(rows_of_block, false);
        let mut scattered = Vec::new();
        let groups = block.groups();
        let walked = self.walk_traces(|_, rows| {
            rows.iter().filter(|rows| rows.start < rows_of_block).for_each(|rows| begins.set_bit(rows.start, true));
            if !lie_together(rows, groups) {
                scattered.extend(rows.iter().cloned());
            }
        })?;
        if !walked {
            return Ok(None);
        }
        scattered.sort_unstable_by_key(|rows| rows.start);
        let scan = |predicate: &Predicate| -> Result<Option<BlockScan>> {
            let request = Arc::new(ScanRequest { predicate: predicate.clone(), ..request.clone() });
            let request = self.shown_request(&request);
            block.may_match(&request).then(|| block.scan(&request)).transpose()
        };
        let all_time = ScanRequest::all([]);
        let hidden = self.hidden().map(|hidden| ScanRequest { predicate: hidden.clone(), ..all_time });
        Ok(Some(BlockTraces {
            order: block.scan(&Arc::new(request.clone()))?,
            chosen: conditions.iter().map(scan).collect::<Result<_>>()?,
            hidden: hidden.map(|hidden| block.scan(&Arc::new(hidden))).transpose()?,
            begins: begins.finish(),
            scattered,
            block,
        }))
    }

    /// Rows that may be those of some traces, by their places in the list, ascending.
    pub(crate) fn rows_of_all(&self, traces: &[TraceId]) -> Result<Vec<(u32, Range<usize>)>> {
        let Some(block) = self.block.rows() else { return Ok(Vec::new()) };
        match block.trace_index() {
            Some(index) => index.find_all(traces),
            None => Err(Error::Damaged { path: block.path().to_owned(), what: "its index is lost".into() }),
        }
    }

    /// Whether each of some ranges of rows, as `rows_of_all` gives them, has one that meets a predicate, of those in a range of time.
    pub(crate) fn have(
        &self,
        time: TimeRange,
        predicate: &Predicate,
        rows: &[(u32, Range<usize>)],
    ) -> Result<Vec<bool>> {
        let request = Arc::new(ScanRequest { time, predicate: predicate.clone(), ..ScanRequest::all([]) });
        let request = self.shown_request(&request);
        let Some(block) = self.block.rows().filter(|block| block.may_match(&request)) else {
            return Ok(vec![false; rows.len()]);
        };
        let (mut scan, groups) = (block.scan(&request)?, block.groups());
        let mut met: Vec<Option<BooleanBuffer>> = vec![None; groups.len()];
        let mut have = Vec::with_capacity(rows.len());
        for (_, rows) in rows {
            let first = groups.partition_point(|group| group.end <= rows.start);
            let mut has = false;
            for (number, group) in groups.iter().enumerate().skip(first).take_while(|(_, group)| group.start < rows.end)
            {
                let Some(slot) = met.get_mut(number) else { break };
                let met = match slot {
                    Some(met) => met,
                    None => slot.insert(scan.rows_of(number)?),
                };
                let (from, to) = (rows.start.max(group.start) - group.start, rows.end.min(group.end) - group.start);
                has |= met.slice(from, to - from).count_set_bits() > 0;
            }
            have.push(has);
        }
        Ok(have)
    }

    /// The rows that belong to some traces, of those in ascending ranges that are apart, in the requested columns, of which `trace_id`
    /// is one.
    pub(crate) fn rows_of_traces(
        &self,
        traces: &HashSet<TraceId>,
        ranges: &[Range<usize>],
        columns: &[&'static str],
    ) -> Result<Vec<RecordBatch>> {
        let Some(block) = self.block.rows() else { return Ok(Vec::new()) };
        let hidden = self.hidden().map(|hidden| ScanRequest { predicate: hidden.clone(), ..ScanRequest::all([]) });
        let mut hidden = hidden.map(|hidden| block.scan(&Arc::new(hidden))).transpose()?;
        let mut batches = Vec::new();
        for group in 0..block.groups().len() {
            let mut mask = block.mask_of(group, ranges);
            if mask.count_set_bits() == 0 {
                continue;
            }
            if let Some(hidden) = &mut hidden {
                mask = &mask & &!&hidden.rows_of(group)?;
            }
            let batch = block.restore(group, &mask, columns)?;
            batches.extend(only_traces(batch, traces)?);
        }
        Ok(batches)
    }
}

/// The rows of a batch that belong to some traces, if there are some.
fn only_traces(batch: RecordBatch, traces: &HashSet<TraceId>) -> Result<Option<RecordBatch>> {
    let ids = required(&batch, name::TRACE_ID)?.as_fixed_size_binary();
    let wanted =
        |row: usize| ids.is_valid(row) && TraceId::from_slice(ids.value(row)).is_some_and(|id| traces.contains(&id));
    let mask = BooleanBuffer::collect_bool(ids.len(), wanted);
    match mask.count_set_bits() {
        0 => Ok(None),
        all if all == batch.num_rows() => Ok(Some(batch)),
        _ => arrow_select::filter::filter_record_batch(&batch, &BooleanArray::new(mask, None))
            .map(Some)
            .map_err(|source| Error::Columns { action: "choose the rows of traces", source }),
    }
}

fn lie_together(rows: &[Range<usize>], groups: &[Range<usize>]) -> bool {
    let [rows] = rows else { return false };
    let group = groups.get(groups.partition_point(|group| group.end <= rows.start));
    group.is_some_and(|group| rows.end <= group.end)
}

impl BlockTraces {
    /// The next row group that may have rows in the range of time.
    pub(crate) fn next_group(&mut self) -> Option<usize> {
        self.order.next_admitted()
    }

    /// How many rows a row group has.
    pub(crate) fn rows(&self, group: usize) -> usize {
        self.block.group_rows(group)
    }

    /// The rows of a row group that are in the range of time and meet a condition.
    pub(crate) fn matching(&mut self, group: usize, condition: usize) -> Result<BooleanBuffer> {
        match self.chosen.get_mut(condition) {
            Some(Some(scan)) => scan.rows_of(group),
            _ => Ok(BooleanBuffer::new_unset(self.block.group_rows(group))),
        }
    }

    /// Some rows of a row group.
    pub(crate) fn read(&self, group: usize, rows: &BooleanBuffer, columns: &[&'static str]) -> Result<RecordBatch> {
        self.block.restore(group, rows, columns)
    }

    /// The traces of a row group that have wanted rows. Parents are told of those that have some of each of `needed` besides.
    pub(crate) fn lineage(
        &mut self,
        group: usize,
        (wanted, needed): (&BooleanBuffer, &[BooleanBuffer]),
        elsewhere: &Elsewhere<'_>,
    ) -> Result<Lineage> {
        let rows = self.block.groups().get(group).cloned().unwrap_or_default();
        let traces = self.traces_of(&rows, wanted);
        let mut is_apart = self.apart(group, &rows, &traces)?;
        self.mark_elsewhere(group, &rows, (&traces, &mut is_apart), elsewhere)?;
        let has_needed =
            |rows: &Range<usize>| needed.iter().all(|needed| needed.slice(rows.start, rows.len()).count_set_bits() > 0);
        let asked = traces.iter().zip(&is_apart).filter(|(rows, apart)| !**apart && has_needed(rows));
        let whole: Vec<Range<usize>> = asked.map(|(rows, _)| rows.clone()).collect();
        if whole.is_empty() {
            let mut builder = LineageBuilder::new(rows.len());
            let apart = traces.into_iter().zip(is_apart).filter(|(_, apart)| *apart);
            apart.for_each(|(rows, _)| builder.add_apart(rows));
            return Ok(builder.finish());
        }
        let mask = self.reading(&whole, rows.len());
        let [distances, starts] = self.columns(group, &mask, [PARENT_ROW, name::START])?;
        let distances = distances.as_primitive::<Int32Type>().values();
        let starts = starts.as_primitive::<TimestampNanosecondType>().values();
        // Where in what was read the rows of each trace begin.
        let mut places = Places::new(&mask);
        let read: Vec<(Range<usize>, usize)> =
            whole.into_iter().map(|rows| (rows.clone(), places.of(rows.start))).collect();
        let doubled = self.doubled(group, &read, starts)?;
        let mut builder = LineageBuilder::new(rows.len());
        let mut read = read.into_iter().peekable();
        for (rows, is_apart) in traces.into_iter().zip(is_apart) {
            if is_apart {
                builder.add_apart(rows);
                continue;
            }
            let Some((rows, at)) = read.next_if(|(next, _)| *next == rows) else { continue };
            if doubled.contains(&rows.start) {
                builder.add_apart(rows);
                continue;
            }
            let distances = distances.get(at..at + rows.len()).unwrap_or_default();
            builder.add(rows.clone(), distances).ok_or_else(|| Error::Damaged {
                path: self.block.path().to_owned(),
                what: format!("a parent lies outside its trace, rows {rows:?} of row group {group}"),
            })?;
        }
        Ok(builder.finish())
    }

    /// The rows of each trace that has wanted rows, counted from the start of the row group.
    fn traces_of(&self, rows: &Range<usize>, wanted: &BooleanBuffer) -> Vec<Range<usize>> {
        let begins = self.begins.slice(rows.start, rows.len());
        let mut begins = begins.set_indices().filter(|row| *row > 0);
        let mut traces: Vec<Range<usize>> = Vec::new();
        let mut trace = 0..begins.next().unwrap_or(rows.len());
        for row in wanted.set_indices() {
            if traces.last().is_some_and(|last| row < last.end) {
                continue;
            }
            while row >= trace.end && trace.end < rows.len() {
                trace = trace.end..begins.next().unwrap_or(rows.len());
            }
            traces.push(trace.clone());
        }
        traces
    }

    /// Which of some traces do not lie together, or have hidden rows.
    fn apart(&mut self, group: usize, rows: &Range<usize>, traces: &[Range<usize>]) -> Result<Vec<bool>> {
        let hidden = match &mut self.hidden {
            Some(hidden) if !traces.is_empty() => Some(hidden.rows_of(group)?),
            _ => None,
        };
        let is_apart = |trace: &Range<usize>| {
            let (from, to) = (rows.start + trace.start, rows.start + trace.end);
            let next = self.scattered.partition_point(|rows| rows.end <= from);
            let is_hidden = |hidden: &BooleanBuffer| hidden.slice(trace.start, trace.len()).count_set_bits() > 0;
            self.scattered.get(next).is_some_and(|rows| rows.start < to) || hidden.as_ref().is_some_and(is_hidden)
        };
        Ok(traces.iter().map(is_apart).collect())
    }

    fn mark_elsewhere(
        &self,
        group: usize,
        rows: &Range<usize>,
        (traces, is_apart): (&[Range<usize>], &mut [bool]),
        elsewhere: &Elsewhere<'_>,
    ) -> Result<()> {
        let suspect = |(place, trace): (usize, &Range<usize>)| {
            ((elsewhere.may_be)(rows.start + trace.start)).then_some((place, trace.start))
        };
        let suspects: Vec<(usize, usize)> = traces.iter().enumerate().filter_map(suspect).collect();
        if suspects.is_empty() {
            return Ok(());
        }
        let starts: Vec<usize> = suspects.iter().map(|(_, row)| *row).collect();
        let mask = super::restore::mask_of_rows(rows.len(), &starts);
        let batch = self.block.restore(group, &mask, &[name::TRACE_ID])?;
        let ids = required(&batch, name::TRACE_ID)?.as_fixed_size_binary();
        for (place, (trace, row)) in suspects.into_iter().enumerate() {
            let id = ids.is_valid(place).then(|| TraceId::from_slice(ids.value(place))).flatten();
            let is = id.is_none_or(|id| (elsewhere.is)(rows.start + row, &id));
            if let Some(is_apart) = is_apart.get_mut(trace).filter(|_| is) {
                *is_apart = true;
            }
        }
        Ok(())
    }

    /// Which rows are read for the sake of some traces: theirs, or all.
    fn reading(&self, traces: &[Range<usize>], rows: usize) -> BooleanBuffer {
        let wanted: usize = traces.iter().map(ExactSizeIterator::len).sum();
        if wanted * FEW > rows {
            return BooleanBuffer::new_set(rows);
        }
        let mut mask = BooleanBufferBuilder::new(rows);
        for trace in traces {
            mask.append_n(trace.start - mask.len(), false);
            mask.append_n(trace.len(), true);
        }
        mask.append_n(rows - mask.len(), false);
        mask.finish()
    }

    fn columns<const N: usize>(&self, group: usize, mask: &BooleanBuffer, names: [&str; N]) -> Result<[ArrayRef; N]> {
        let mut leaves = Vec::with_capacity(N);
        for name in names {
            leaves.push(self.block.leaf(name).ok_or_else(|| unknown(name))?);
        }
        leaves.sort_unstable();
        let batch = self.block.read(group, &leaves, mask)?;
        let mut arrays = Vec::with_capacity(N);
        for name in names {
            arrays.push(required(&batch, name)?.clone());
        }
        <[ArrayRef; N]>::try_from(arrays).map_err(|_| unknown("of a lineage"))
    }

    /// The first rows of those traces in which two rows have the same start and the same id.
    fn doubled(&self, group: usize, read: &[(Range<usize>, usize)], starts: &[i64]) -> Result<HashSet<usize>> {
        let mut ties: Vec<(usize, usize)> = Vec::new();
        for (rows, at) in read {
            let of_trace = starts.get(*at..at + rows.len()).unwrap_or_default();
            let pairs = rows.clone().zip(of_trace.windows(2)).filter(|(_, pair)| pair.first() == pair.last());
            ties.extend(pairs.map(|(row, _)| (rows.start, row)));
        }
        if ties.is_empty() {
            return Ok(HashSet::new());
        }
        let mut wanted: Vec<usize> = ties.iter().flat_map(|(_, row)| [*row, row + 1]).collect();
        wanted.dedup();
        let mask = super::restore::mask_of_rows(self.block.group_rows(group), &wanted);
        let [ids] = self.columns(group, &mask, [name::SPAN_ID])?;
        let ids = ids.as_fixed_size_binary();
        let mut places = Places::new(&mask);
        let same = |row: usize, places: &mut Places<'_>| {
            let (first, second) = (places.of(row), places.of(row + 1));
            second < ids.len() && ids.value(first) == ids.value(second)
        };
        Ok(ties.into_iter().filter(|(_, row)| same(*row, &mut places)).map(|(trace, _)| trace).collect())
    }
}

/// Which place rows have among those of a mask, asked in ascending order.
struct Places<'a> {
    mask: &'a BooleanBuffer,
    is_full: bool,
    row: usize,
    before: usize,
}

impl<'a> Places<'a> {
    fn new(mask: &'a BooleanBuffer) -> Self {
        Places { mask, is_full: mask.count_set_bits() == mask.len(), row: 0, before: 0 }
    }

    fn of(&mut self, row: usize) -> usize {
        if self.is_full {
            return row;
        }
        if row > self.row {
            self.before += self.mask.slice(self.row, row - self.row).count_set_bits();
            self.row = row;
        }
        self.before
    }
}
