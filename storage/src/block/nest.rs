//! Which numbers have rows in the trees of their traces? They are in no column, but follow from the rows' parents.
//!
//! Z1  The numbers are those of `trace`, of the rows of the block that belong to the trace, whether they are wanted or not,
//!     and whether a deletion hides them or not.
//! Z2  A trace that lies together in one row group, as nearly all do, is numbered by `parent_row`. One that does not, because
//!     it is longer than a row group or a merge could not bring its parts together, is read as a whole, by its ids.
//! Z3  What is kept between calls are the numbers of a row group, and of traces that lie apart those of [`MOST_KEPT`] rows at
//!     most.
//!
//! Not here: what the numbers mean (`trace`).

use super::layout::PARENT_ROW;
use super::read::Block;
use crate::error::{Error, Result};
use crate::model::TraceId;
use crate::model::schema::column as name;
use crate::scan::required;
use crate::trace::{MOST_SPANS, Nested, Numbering, Parent, numbers_of};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, RecordBatch};
use arrow_buffer::BooleanBuffer;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// The stored columns that trees are derived from.
pub(super) const COLUMNS: [&str; 3] = [name::TRACE_ID, PARENT_ROW, name::PARENT_SPAN_ID];
/// The columns that tell the tree of a trace that lies apart.
const WHOLE: [&str; 5] = [name::TRACE_ID, name::SPAN_ID, name::PARENT_SPAN_ID, name::START, name::KIND];
/// For so few traces their rows are looked up; for more the whole row group is read.
const FEW_TRACES: usize = 32;
/// Rows of traces that lie apart whose numbers are kept: 20 MB of them.
const MOST_KEPT: usize = MOST_SPANS;

/// Derives numbers, and keeps what the next rows of a scan are likely to need.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    group: Option<(usize, Vec<Option<Nested>>)>,
    apart: Option<Apart>,
    numbering: Numbering,
}

/// The traces of a block that do not lie together in one row group.
#[derive(Debug, Default)]
struct Apart {
    traces: Vec<Vec<Range<usize>>>,
    /// First row and end of each of their ranges, and whose it is; ascending.
    ranges: Vec<(usize, usize, usize)>,
    /// By trace the numbers of its rows, in the order of its ranges.
    kept: HashMap<usize, Vec<Option<Nested>>>,
    kept_rows: usize,
}

impl Nesting {
    /// The numbers of the rows of a row group that are set in `mask`.
    pub(super) fn numbers(&mut self, block: &Block, group: usize, mask: &BooleanBuffer) -> Result<Vec<Option<Nested>>> {
        if self.group.as_ref().is_none_or(|(known, _)| *known != group) {
            let whole = match few_traces(block, group, mask)? {
                Some(traces) => traces,
                None => BooleanBuffer::new_set(mask.len()),
            };
            let numbers = self.derive(block, group, &whole)?;
            if whole.count_set_bits() < whole.len() {
                let mut wanted = Vec::with_capacity(mask.count_set_bits());
                let of_rows = whole.set_indices().zip(numbers).filter(|(row, _)| mask.value(*row));
                wanted.extend(of_rows.map(|(_, numbers)| numbers));
                return Ok(wanted);
            }
            self.group = Some((group, numbers));
        }
        let numbers = self.group.as_ref().map_or(&[][..], |(_, numbers)| numbers.as_slice());
        Ok(mask.set_indices().map(|row| numbers.get(row).copied().flatten()).collect())
    }

    /// The numbers of rows of a row group, among which a trace that lies together is whole or not at all.
    fn derive(&mut self, block: &Block, group: usize, rows: &BooleanBuffer) -> Result<Vec<Option<Nested>>> {
        let mut leaves: Vec<usize> = COLUMNS.iter().filter_map(|column| block.leaf(column)).collect();
        leaves.sort_unstable();
        let stored = block.read(group, &leaves, rows)?;
        let ids = required(&stored, name::TRACE_ID)?.as_fixed_size_binary();
        let distances = required(&stored, PARENT_ROW)?.as_primitive::<Int32Type>().values();
        let foreign = required(&stored, name::PARENT_SPAN_ID)?;
        let row_of: Vec<usize> = rows.set_indices().collect();
        let before = block.groups().get(group).map_or(0, |rows| rows.start);
        let mut numbers = Vec::with_capacity(row_of.len());
        let mut parents = Vec::new();
        while numbers.len() < row_of.len() {
            let from = numbers.len();
            let first = row_of.get(from).copied().unwrap_or(0);
            let end = match self.apart(block)?.range_of(before + first) {
                Some((range, trace)) => {
                    let rows = row_of.iter().skip(from).take_while(|row| before + **row < range.end);
                    let places: Vec<usize> = rows.map(|row| before + row).collect();
                    self.put_apart(block, trace, &places, &mut numbers)?;
                    continue;
                }
                None => (from..row_of.len()).find(|&at| ids.value(at) != ids.value(from)).unwrap_or(row_of.len()),
            };
            parents.clear();
            for at in from..end {
                let distance = distances.get(at).copied().unwrap_or(0);
                parents.push(match distance {
                    0 if foreign.is_valid(at) => Parent::Missing,
                    0 => Parent::None,
                    distance => Parent::At(parent_place(at - from, distance, end - from).ok_or_else(|| {
                        let what = format!(
                            "a parent lies {distance} rows before row {} of row group {group}",
                            first + at - from
                        );
                        Error::Damaged { path: block.path().to_owned(), what }
                    })?),
                });
            }
            self.numbering.number(&parents, &mut numbers);
        }
        Ok(numbers)
    }

    fn apart(&mut self, block: &Block) -> Result<&mut Apart> {
        let known = match self.apart.take() {
            Some(known) => known,
            None => Apart::of(block)?,
        };
        Ok(self.apart.insert(known))
    }

    /// Appends the numbers of some rows of the block that are of one trace that lies apart.
    fn put_apart(&mut self, block: &Block, trace: usize, rows: &[usize], out: &mut Vec<Option<Nested>>) -> Result<()> {
        let apart = self.apart(block)?;
        let ranges = apart.traces.get(trace).cloned().unwrap_or_default();
        let count: usize = ranges.iter().map(ExactSizeIterator::len).sum();
        if count > MOST_SPANS {
            out.resize(out.len() + rows.len(), None);
            return Ok(());
        }
        if !apart.kept.contains_key(&trace) {
            if apart.kept_rows + count > MOST_KEPT {
                apart.kept.clear();
                apart.kept_rows = 0;
            }
            apart.kept.insert(trace, numbers_of(&read_whole(block, &ranges)?)?);
            apart.kept_rows += count;
        }
        let numbers = apart.kept.get(&trace).map(Vec::as_slice).unwrap_or_default();
        let mut ranges = ranges.iter();
        let (mut range, mut passed) = (ranges.next(), 0);
        for &row in rows {
            while let Some(rows) = range.filter(|rows| rows.end <= row) {
                passed += rows.len();
                range = ranges.next();
            }
            let place = range.and_then(|rows| row.checked_sub(rows.start)).map(|within| passed + within);
            out.push(place.and_then(|place| numbers.get(place)).copied().flatten());
        }
        Ok(())
    }
}

impl Apart {
    fn of(block: &Block) -> Result<Self> {
        if block.meta().traces_apart == Some(0) {
            return Ok(Apart::default());
        }
        let traces = block.traces_apart()?;
        let of_trace = |(trace, rows): (usize, &Vec<Range<usize>>)| {
            rows.iter().map(move |rows| (rows.start, rows.end, trace)).collect::<Vec<_>>()
        };
        let mut ranges: Vec<(usize, usize, usize)> = traces.iter().enumerate().flat_map(of_trace).collect();
        ranges.sort_unstable();
        Ok(Apart { traces, ranges, ..Apart::default() })
    }

    /// The range that a row lies in, and whose it is.
    fn range_of(&self, row: usize) -> Option<(Range<usize>, usize)> {
        let last = self.ranges.partition_point(|(from, _, _)| *from <= row).checked_sub(1)?;
        let &(from, to, trace) = self.ranges.get(last)?;
        (row < to).then_some((from..to, trace))
    }
}

/// Where in a trace of so many rows the parent of a row lies.
fn parent_place(row: usize, distance: i32, rows: usize) -> Option<usize> {
    let place = match usize::try_from(distance) {
        Ok(before) => row.checked_sub(before),
        Err(_) => row.checked_add(distance.unsigned_abs() as usize),
    };
    place.filter(|place| *place < rows)
}

/// The rows of the traces of some rows, where these are few traces.
fn few_traces(block: &Block, group: usize, mask: &BooleanBuffer) -> Result<Option<BooleanBuffer>> {
    // Fewer rows than this are of few traces or hardly less work than the whole row group.
    if mask.count_set_bits() * 2 > mask.len() {
        return Ok(None);
    }
    let Some(leaf) = block.leaf(name::TRACE_ID) else { return Ok(None) };
    let stored = block.read(group, &[leaf], mask)?;
    let ids = stored.column(0).as_fixed_size_binary();
    let mut traces: HashSet<&[u8]> = HashSet::new();
    for row in 0..ids.len() {
        traces.insert(ids.value(row));
        if traces.len() > FEW_TRACES {
            return Ok(None);
        }
    }
    let mut rows = Vec::new();
    for trace in traces {
        let Some(trace) = TraceId::from_slice(trace) else { return Ok(None) };
        rows.extend(block.trace_rows(&trace)?);
    }
    rows.sort_unstable_by_key(|rows| (rows.start, rows.end));
    rows.dedup();
    let found = block.mask_of(group, &rows);
    // A block that is open without its index finds no trace.
    Ok((&found & mask == *mask).then_some(found))
}

/// All rows of a trace, as far as `trace` wants to know them.
fn read_whole(block: &Block, ranges: &[Range<usize>]) -> Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    for group in 0..block.groups().len() {
        let mask = block.mask_of(group, ranges);
        if mask.count_set_bits() > 0 {
            batches.push(block.restore(group, &mask, &WHOLE)?);
        }
    }
    Ok(batches)
}
