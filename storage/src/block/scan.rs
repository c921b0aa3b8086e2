//! Which rows of a block match a request, and in which order are they answered?
//!
//! Row group by row group, in the order asked for: leave out what bounds exclude and what the index does not propose; then one part of the predicate after the
//! other, cheapest column first, each read for the rows that are still left; then the wanted columns of those.
//!
//! C1  A batch holds rows of one row group; with an order asked for, batches come in it, rows within one do not.
//! C2  The threshold is looked at anew before each batch.
//!
//! Not here: what a predicate means (`scan::evaluate`), what is left out (`prune`).

use super::nest::Nesting;
use super::propose::Proposal;
use super::prune::conjuncts;
use super::read::Block;
use super::restore::{Cells, mask_of_rows};
use crate::error::Result;
use crate::model::Signal;
use crate::model::schema::{self, column as name};
use crate::scan::{
    AttributeScope, Condition, Field, Outcome, Predicate, Rows, ScanOrder, ScanRequest, attribute_column,
    column_outcome, in_time, map_outcome, matching, unknown,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use std::collections::VecDeque;
use std::sync::Arc;

/// Rows of an answered batch, at most.
const BATCH_ROWS: usize = 8 * 1024;
/// The first batches of an ordered scan are smaller: whoever asks for an order mostly wants few rows.
const FIRST_BATCH_ROWS: usize = 512;

/// Bytes of an answered batch, about. Arrow's arrays end at 2 GiB.
const BATCH_BYTES: u64 = 64 * 1024 * 1024;

/// What a scan has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BlockProgress {
    /// Rows that were looked at.
    pub rows_scanned: u64,
    /// Rows that were answered.
    pub rows_answered: u64,
    /// Row groups that were read.
    pub groups_read: u64,
    /// Row groups that were left out unread.
    pub groups_pruned: u64,
}

/// The matching rows of a block, batch by batch. After an error there is nothing more.
#[derive(Debug)]
pub(super) struct BlockScan {
    block: Arc<Block>,
    request: Arc<ScanRequest>,
    groups: VecDeque<usize>,
    batches: VecDeque<(usize, BooleanBuffer)>,
    batch_rows: usize,
    proposal: Option<Proposal>,
    nesting: Box<Nesting>,
    progress: BlockProgress,
}

impl Block {
    /// The rows that match a request, in its columns.
    pub(super) fn scan(self: &Arc<Self>, request: &Arc<ScanRequest>) -> Result<BlockScan> {
        check_request(request, self.signal())?;
        let mut progress = BlockProgress::default();
        let mut groups: Vec<usize> = (0..self.groups().len()).collect();
        if !self.may_match(request) {
            progress.groups_pruned = groups.len() as u64;
            groups.clear();
        }
        let bounds = |group: usize| self.group_bounds(group, schema::time_column(self.signal())).unwrap_or((0, 0));
        match request.order {
            ScanOrder::Any => {}
            ScanOrder::Newest => groups.sort_by_key(|&group| std::cmp::Reverse((bounds(group).1, group))),
            ScanOrder::Oldest => groups.sort_by_key(|&group| (bounds(group).0, group)),
        }
        let batch_rows = if request.order == ScanOrder::Any { BATCH_ROWS } else { FIRST_BATCH_ROWS };
        Ok(BlockScan {
            block: self.clone(),
            request: request.clone(),
            groups: groups.into(),
            batches: VecDeque::new(),
            batch_rows,
            proposal: None,
            nesting: Box::default(),
            progress,
        })
    }
}

/// Refuses a request for columns that the table does not have, also where no row has to be looked at.
pub(super) fn check_request(request: &ScanRequest, signal: Signal) -> Result<()> {
    let needed = request.columns.iter().copied().chain(request.predicate.columns());
    match needed.into_iter().find(|column| !schema::has_column(signal, column)) {
        Some(column) => Err(unknown(column)),
        None => Ok(()),
    }
}

impl Iterator for BlockScan {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_batch().transpose();
        if matches!(next, Some(Err(_))) {
            self.groups.clear();
            self.batches.clear();
        }
        next
    }
}

impl BlockScan {
    /// What was done so far.
    pub(super) fn progress(&self) -> BlockProgress {
        self.progress
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            while let Some((group, mask)) = self.batches.pop_front() {
                let first = mask.set_indices().next().unwrap_or(0);
                let last = mask.set_slices().last().map_or(0, |(_, end)| end);
                if self.block.admitted(group, Some(first..last), &self.request) {
                    self.progress.rows_answered += mask.count_set_bits() as u64;
                    let wanted = (&*self.request.columns, self.request.keys);
                    return self.block.restore_with(group, &mask, wanted, &mut self.nesting).map(Some);
                }
            }
            let Some((group, left)) = self.next_group()? else { return Ok(None) };
            self.split(group, &left);
        }
    }

    /// The next row group that may have rows that match, and these.
    pub(super) fn next_group(&mut self) -> Result<Option<(usize, BooleanBuffer)>> {
        loop {
            let Some(group) = self.groups.pop_front() else { return Ok(None) };
            if !self.block.group_may_match(group, &self.request) {
                self.progress.groups_pruned += 1;
                continue;
            }
            let proposed = self.proposed(group)?;
            if proposed.count_set_bits() == 0 {
                self.progress.groups_pruned += 1;
                continue;
            }
            self.progress.groups_read += 1;
            return self.survivors(group, &proposed).map(|left| Some((group, left)));
        }
    }

    /// The next row group that may have rows that match, without a look at any.
    pub(super) fn next_admitted(&mut self) -> Option<usize> {
        while let Some(group) = self.groups.pop_front() {
            if self.block.group_may_match(group, &self.request) {
                return Some(group);
            }
            self.progress.groups_pruned += 1;
        }
        None
    }

    /// The rows of a row group that match, whatever the scan has come to.
    pub(super) fn rows_of(&mut self, group: usize) -> Result<BooleanBuffer> {
        let rows = self.block.group_rows(group);
        if !self.block.group_may_match(group, &self.request) {
            return Ok(BooleanBuffer::new_unset(rows));
        }
        let proposed = self.proposed(group)?;
        match proposed.count_set_bits() {
            0 => Ok(proposed),
            _ => self.survivors(group, &proposed),
        }
    }

    /// The rows of a row group that the index proposes.
    fn proposed(&mut self, group: usize) -> Result<BooleanBuffer> {
        match &self.proposal {
            Some(proposal) => proposal.rows(&self.block, group),
            None => {
                let proposal = self.block.propose(&self.request.predicate)?;
                self.proposal.insert(proposal).rows(&self.block, group)
            }
        }
    }

    /// The rows of a row group that match.
    fn survivors(&mut self, group: usize, proposed: &BooleanBuffer) -> Result<BooleanBuffer> {
        let (block, request, nesting) = (&self.block, &self.request, &mut self.nesting);
        let mut left = proposed & &block.pages_that_may_match(group, request);
        let mut parts = conjuncts(&request.predicate);
        for part in &parts {
            if let Predicate::Trace(trace) = part {
                left = &left & &block.mask_of(group, &block.trace_rows(trace)?);
            }
        }
        self.progress.rows_scanned += left.count_set_bits() as u64;
        let time = schema::time_column(block.signal());
        if block.group_bounds(group, time).is_none_or(|(min, max)| !request.time.covers(min, max)) {
            left = narrow(block, group, left, nesting, |rows| {
                let times = rows.load(time)?;
                in_time(&times, request)
            })?;
        }
        parts.sort_by_cached_key(|part| block.cost(group, part));
        for part in parts {
            left = narrow(block, group, left, nesting, |rows| matching(rows, part))?;
        }
        Ok(left)
    }

    /// Cuts the rows of a row group into batches.
    fn split(&mut self, group: usize, left: &BooleanBuffer) {
        let total = left.count_set_bits();
        let newest = self.request.order == ScanOrder::Newest;
        let mut rows: Vec<usize> = left.set_indices().collect();
        if newest {
            rows.reverse();
        }
        let most = self.block.rows_at_once(group, &self.request.columns).min(BATCH_ROWS);
        let mut from = 0;
        while from < total {
            let to = (from + self.batch_rows.min(most)).min(total);
            let mut batch = rows.get(from..to).unwrap_or_default().to_vec();
            if newest {
                batch.reverse();
            }
            self.batches.push_back((group, mask_of_rows(left.len(), &batch)));
            self.batch_rows = (self.batch_rows * 2).min(BATCH_ROWS);
            from = to;
        }
    }
}

/// The rows of `left` that some check accepts.
fn narrow(
    block: &Block,
    group: usize,
    left: BooleanBuffer,
    nesting: &mut Nesting,
    check: impl FnOnce(&mut GroupRows<'_>) -> Result<BooleanBuffer>,
) -> Result<BooleanBuffer> {
    let count = left.count_set_bits();
    if count == 0 {
        return Ok(left);
    }
    let mut rows = GroupRows { block, group, mask: &left, count, nesting };
    let accepted = check(&mut rows)?;
    if accepted.count_set_bits() == count {
        return Ok(left);
    }
    if count == left.len() {
        return Ok(accepted);
    }
    let mut mask = BooleanBufferBuilder::new(left.len());
    mask.append_n(left.len(), false);
    left.set_indices().zip(&accepted).filter(|(_, accepted)| *accepted).for_each(|(row, _)| mask.set_bit(row, true));
    Ok(mask.finish())
}

/// Rows of a row group, whose columns are read when they are asked for.
struct GroupRows<'a> {
    block: &'a Block,
    group: usize,
    mask: &'a BooleanBuffer,
    count: usize,
    nesting: &'a mut Nesting,
}

impl GroupRows<'_> {
    /// A stored column.
    fn load(&self, column: &str) -> Result<ArrayRef> {
        let leaf = self.block.leaf(column).ok_or_else(|| unknown(column))?;
        Ok(self.block.read(self.group, &[leaf], self.mask)?.column(0).clone())
    }
}

impl Rows for GroupRows<'_> {
    fn count(&self) -> usize {
        self.count
    }

    fn column(&mut self, column: &'static str, condition: &Condition<'_>) -> Result<Outcome> {
        if column == name::BODY
            && let Some((bodies, rows)) = self.block.bodies(self.group)?
        {
            let times = self.block.times(self.group, self.mask)?;
            return bodies.outcome(rows.start, self.mask, &times, condition);
        }
        let array = match self.block.is_taken_apart(column) {
            true => self.block.restore_with(self.group, self.mask, (&[column], None), self.nesting)?.column(0).clone(),
            false => self.load(column)?,
        };
        column_outcome(column, &array, condition)
    }

    fn attribute(&mut self, scope: AttributeScope, key: &str, condition: &Condition<'_>) -> Result<Outcome> {
        let column = attribute_column(scope);
        if column != name::ATTRIBUTES || self.block.signal() == Signal::Metrics {
            return map_outcome(scope, &self.load(column)?, key, condition);
        }
        let mut outcome = match self.block.rest_may_hold(key) {
            true => map_outcome(scope, &self.load(column)?, key, condition)?,
            false => Outcome::absent(self.count),
        };
        for attribute in self.block.attributes().iter().filter(|attribute| attribute.key == key) {
            let array = self.load(&attribute.name)?;
            let cells = Cells::new(attribute, &array)?;
            outcome = outcome.or_else(cells_outcome(&cells, self.count, condition));
        }
        Ok(outcome)
    }
}

fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok()
}

/// What a condition finds in an attribute's column.
fn cells_outcome(cells: &Cells<'_>, rows: usize, condition: &Condition<'_>) -> Outcome {
    if let Cells::Coded { keys, values, absent } = cells {
        // Asked once per distinct value.
        let of_values: Vec<(bool, bool)> = values
            .iter()
            .zip(absent)
            .map(|(value, &absent)| {
                let value = value.filter(|_| !absent).and_then(text);
                (value.is_some(), value.is_some_and(|value| condition.text(value)))
            })
            .collect();
        let of = |row: usize| {
            let key = keys.get(row).and_then(|&key| usize::try_from(key).ok());
            key.and_then(|key| of_values.get(key)).copied().unwrap_or_default()
        };
        return Outcome {
            present: BooleanBuffer::collect_bool(rows, |row| of(row).0),
            matches: BooleanBuffer::collect_bool(rows, |row| of(row).1),
        };
    }
    let present = BooleanBuffer::collect_bool(rows, |row| match cells {
        Cells::Text(values) => cells.is_present(row) && text(values.value(row)).is_some(),
        _ => cells.is_present(row),
    });
    let matches = BooleanBuffer::collect_bool(rows, |row| {
        present.value(row)
            && match cells {
                Cells::Text(values) => text(values.value(row)).is_some_and(|value| condition.text(value)),
                Cells::Bool(values) => condition.boolean(values.get(row) == Some(&1)),
                Cells::Int(values, _) => condition.int(values.value(row)),
                Cells::Double(values) => condition.double(values.value(row)),
                Cells::Coded { .. } => false,
            }
    });
    Outcome { present, matches }
}

impl Block {
    /// Bytes to read to evaluate a predicate over a row group.
    fn cost(&self, group: usize, predicate: &Predicate) -> u64 {
        let of_column = |column: &str| {
            let mut leaves = Vec::new();
            // Columns were checked when the scan began.
            let known = self.leaves_of(column, None, &mut leaves).is_ok();
            let bodies = if column == name::BODY { self.bodies_bytes(group).0 } else { 0 };
            leaves.iter().map(|&leaf| self.leaf_bytes(group, leaf)).sum::<u64>() + bodies + u64::from(!known)
        };
        match predicate {
            Predicate::All => 0,
            Predicate::And(list) | Predicate::Or(list) => list.iter().map(|part| self.cost(group, part)).sum(),
            Predicate::Not(inner) => self.cost(group, inner),
            Predicate::Trace(_) => of_column(name::TRACE_ID),
            Predicate::Span(_) => of_column(name::SPAN_ID),
            Predicate::Compare { field, .. } | Predicate::Contains { field, .. } | Predicate::Exists(field) => {
                match field {
                    Field::Column(name::BODY) => of_column(name::BODY) + of_column(name::BODY_VALUE),
                    Field::Column(column) => of_column(column),
                    Field::Attribute(AttributeScope::Own, key) => self.attribute_cost(group, key),
                    Field::Attribute(AttributeScope::Any, key) => {
                        self.attribute_cost(group, key) + of_column(name::RESOURCE) + of_column(name::SCOPE)
                    }
                    Field::Attribute(scope, _) => of_column(attribute_column(*scope)),
                }
            }
        }
    }

    /// How many rows of a row group, in some columns, may be held at once; at least one.
    pub(super) fn rows_at_once(&self, group: usize, columns: &[&str]) -> usize {
        usize::try_from(BATCH_BYTES / self.row_bytes(group, columns)).unwrap_or(usize::MAX).max(1)
    }

    /// Bytes of a row of a row group in some columns, on average; at least one.
    fn row_bytes(&self, group: usize, columns: &[&str]) -> u64 {
        let mut leaves = Vec::new();
        for column in columns {
            // Columns were checked when the scan began.
            let known = self.leaves_of(column, None, &mut leaves);
            debug_assert!(known.is_ok());
        }
        leaves.iter_mut().for_each(|leaf| *leaf = self.physical(*leaf));
        leaves.sort_unstable();
        leaves.dedup();
        let group_columns = self.metadata().row_groups().get(group).map_or(&[][..], |group| group.columns());
        let chunks = leaves.iter().filter_map(|&leaf| group_columns.get(leaf));
        let bytes: u64 = chunks.map(|chunk| u64::try_from(chunk.uncompressed_size()).unwrap_or(0)).sum();
        let bodies = if columns.contains(&name::BODY) { self.bodies_bytes(group).1 } else { 0 };
        (bytes + bodies) / (self.group_rows(group).max(1) as u64) + 1
    }

    /// Bytes of a row group's bodies that are no column, in the file and as text. What cannot be read counts when it is.
    fn bodies_bytes(&self, group: usize) -> (u64, u64) {
        let bodies = self.bodies(group).ok().flatten();
        bodies.and_then(|(bodies, rows)| bodies.bytes_of(&rows).ok()).unwrap_or_default()
    }

    fn attribute_cost(&self, group: usize, key: &str) -> u64 {
        let columns = self.attributes().iter().filter(|attribute| attribute.key == key).map(|attribute| attribute.leaf);
        let rest = self.leaf(name::ATTRIBUTES).filter(|_| self.rest_may_hold(key));
        columns.chain(rest).map(|leaf| self.leaf_bytes(group, leaf)).sum()
    }

    fn leaf_bytes(&self, group: usize, leaf: usize) -> u64 {
        let leaf = self.physical(leaf);
        let chunk = self.metadata().row_groups().get(group).and_then(|group| group.columns().get(leaf));
        chunk.map_or(0, |chunk| u64::try_from(chunk.compressed_size()).unwrap_or(0))
    }
}
