//! How many rows of a block are in each step of time and group?
//!
//! V1  A granule that lies in one step, whole, is answered from statistics; one that crosses an edge is read: its pages, in the
//!     columns that are needed. Where rows are hidden, or the predicate speaks of more than the dimensions, rows are scanned.
//! V2  The answer is that of a scan (`scan::volume`), whatever it was answered from.
//!
//! Not here: what statistics there are (`stats`), other blocks and memory (`engine`).

use super::either::BlockScan;
use super::read::Block;
use super::restore::mask_of_rows;
use super::shown::Shown;
use super::stats::{Granule, GranuleStats, Stats};
use crate::error::Result;
use crate::model::Signal;
use crate::scan::{
    Count, Dimension, FactCost, Measure, Predicate, ScanOrder, ScanRequest, Tally, VolumeRequest, evaluate, filter,
    required,
};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_buffer::BooleanBuffer;
use std::collections::VecDeque;
use std::sync::Arc;

/// The rows of a block that statistics do not answer for, on their way into a tally.
#[derive(Debug)]
pub(crate) struct BlockVolume(Left);

#[derive(Debug)]
enum Left {
    /// Rows of row groups, in pieces that are read at once.
    Pieces {
        block: Arc<Block>,
        request: Arc<ScanRequest>,
        needed: Vec<&'static str>,
        pieces: VecDeque<Piece>,
        read: bool,
    },
    /// All of them.
    Rows { scan: BlockScan, counted: u64 },
}

/// Rows of a row group.
type Piece = (usize, BooleanBuffer);

impl Shown {
    /// Counts what is known of the block; what must be read is left.
    pub(crate) fn volume(&self, tally: &mut Tally) -> Result<BlockVolume> {
        let request = Arc::new(scan_request(tally, self.block.signal()));
        if self.hidden().is_none()
            && let Some(block) = self.block.rows()
            && let Some(pieces) = block.count_granules(tally)?
        {
            let mut needed = request.columns.clone();
            needed.extend(request.predicate.columns().into_iter().filter(|column| !request.columns.contains(column)));
            let pieces = pieces.into_iter().flat_map(|piece| block.cut(piece, &needed)).collect();
            return Ok(BlockVolume(Left::Pieces { block: block.clone(), request, needed, pieces, read: false }));
        }
        Ok(BlockVolume(Left::Rows { scan: self.scan(&request)?, counted: 0 }))
    }
}

fn scan_request(tally: &Tally, signal: Signal) -> ScanRequest {
    let VolumeRequest { time, predicate, .. } = tally.request();
    ScanRequest {
        time: *time,
        predicate: predicate.clone(),
        columns: tally.request().columns(signal),
        keys: None,
        order: ScanOrder::Any,
        threshold: None,
    }
}

impl BlockVolume {
    /// Counts some of the rows that are left; `false` when none was.
    pub(crate) fn advance(&mut self, tally: &mut Tally) -> Result<bool> {
        match &mut self.0 {
            Left::Pieces { block, request, needed, pieces, read } => {
                let Some((group, mask)) = pieces.pop_front() else { return Ok(false) };
                *read = true;
                tally.cost.rows_read += mask.count_set_bits() as u64;
                let rows = block.restore(group, &mask, needed)?;
                if let Some(rows) = filter(block.signal(), &rows, request)? {
                    tally.add_rows(&rows)?;
                }
                Ok(true)
            }
            Left::Rows { scan, counted } => {
                let next = scan.next();
                let scanned = scan.progress().rows_scanned;
                tally.cost.rows_read += scanned - std::mem::replace(counted, scanned);
                match next {
                    Some(rows) => tally.add_rows(&rows?).map(|()| true),
                    None => Ok(false),
                }
            }
        }
    }

    /// Tells whether rows were read.
    pub(crate) fn close(&self, cost: &mut FactCost) {
        let read = match &self.0 {
            Left::Pieces { read, .. } => *read,
            Left::Rows { scan, .. } => scan.progress().groups_read > 0,
        };
        cost.blocks_read += u64::from(read);
        cost.blocks_pruned += u64::from(!read);
    }
}

impl Block {
    /// Counts the granules that lie in one step of the range, and gives the rows of the others that it overlaps; `None` where
    /// statistics do not answer the predicate.
    fn count_granules(&self, tally: &mut Tally) -> Result<Option<Vec<Piece>>> {
        let Some(stats) = self.stats() else { return Ok(None) };
        let request = tally.request().clone();
        if !request.time.overlaps(self.meta().min_time, self.meta().max_time) {
            return Ok(Some(Vec::new()));
        }
        let known = Dimension::numbers_of(self.signal()).iter().copied().chain([Dimension::Service]);
        let known: Vec<&str> = known.map(Dimension::column).collect();
        if request.predicate.columns().iter().any(|column| !known.contains(column)) {
            return Ok(None);
        }
        let Some(granules) = self.unless_lost(self.granules(stats))? else { return Ok(None) };
        let chosen = chosen(granules, &request.predicate)?;
        let groups_of = groups_of(granules, tally)?;
        let mut pieces: Vec<(usize, Vec<usize>)> = Vec::new();
        for granule in granules.walk() {
            let granule = granule.ok_or_else(|| stats.malformed())?;
            let (min, max) = granule.time;
            if !request.time.overlaps(min, max) {
                continue;
            }
            match step_of(tally, &granule) {
                Some(step) => {
                    tally.cost.rows_from_statistics += granule.rows.len() as u64;
                    count_granule(tally, step, &granule, &chosen, &groups_of)?;
                }
                // None of its rows matches.
                None if known_to_lack(&granule, &chosen) => {
                    tally.cost.rows_from_statistics += granule.rows.len() as u64;
                }
                None => match pieces.last_mut() {
                    Some((group, rows)) if *group == granule.group => rows.extend(granule.rows),
                    _ => pieces.push((granule.group, granule.rows.collect())),
                },
            }
        }
        let mask = |(group, rows): (usize, Vec<usize>)| (group, mask_of_rows(self.group_rows(group), &rows));
        Ok(Some(pieces.into_iter().map(mask).collect()))
    }

    /// What is known of the granules, if it speaks of the block's row groups.
    fn granules<'a>(&self, stats: &'a Stats) -> Result<&'a GranuleStats> {
        let granules = stats.granules()?;
        match granules.groups().eq(self.groups().iter().map(ExactSizeIterator::len)) {
            true => Ok(granules),
            false => Err(stats.malformed()),
        }
    }

    /// Cuts rows of a row group into pieces that may be held at once.
    pub(super) fn cut(&self, (group, mask): Piece, columns: &[&'static str]) -> Vec<Piece> {
        let most = self.rows_at_once(group, columns);
        if mask.count_set_bits() <= most {
            return vec![(group, mask)];
        }
        let rows: Vec<usize> = mask.set_indices().collect();
        rows.chunks(most).map(|rows| (group, mask_of_rows(mask.len(), rows))).collect()
    }
}

/// The step that a granule lies in, whole, if its rows are known.
fn step_of(tally: &Tally, granule: &Granule) -> Option<u64> {
    let (min, max) = granule.time;
    let step = tally.step_of(min);
    let within = tally.request().time.covers(min, max) && step == tally.step_of(max);
    (within && !granule.counts.is_empty()).then_some(step)
}

/// Whether a granule is known to hold no row that matches.
fn known_to_lack(granule: &Granule, chosen: &BooleanBuffer) -> bool {
    !granule.counts.is_empty() && granule.counts.iter().all(|(combination, _)| !chosen.value(*combination))
}

fn count_granule(
    tally: &mut Tally,
    step: u64,
    granule: &Granule,
    chosen: &BooleanBuffer,
    groups_of: &[u32],
) -> Result<()> {
    let wants_bytes = tally.request().measure == Measure::RowsAndBytes;
    for &(combination, count) in granule.counts.iter().filter(|(combination, _)| chosen.value(*combination)) {
        let group = groups_of.get(combination).copied().unwrap_or(0);
        tally.add(step, group, Count { bytes: if wants_bytes { count.bytes } else { 0 }, ..count })?;
    }
    Ok(())
}

/// Which combinations match.
fn chosen(granules: &GranuleStats, predicate: &Predicate) -> Result<BooleanBuffer> {
    Ok(evaluate(granules.combinations(), predicate)?.values().clone())
}

/// The group of each combination; none where all are one.
fn groups_of(granules: &GranuleStats, tally: &mut Tally) -> Result<Vec<u32>> {
    let combinations = granules.combinations();
    Ok(match tally.request().by {
        None => Vec::new(),
        Some(Dimension::Service) => {
            (0..combinations.num_rows()).map(|place| tally.service(granules.service_of(place))).collect()
        }
        Some(by) => {
            let numbers = required(combinations, by.column())?.as_primitive::<Int32Type>().values();
            numbers.iter().map(|number| number.cast_unsigned()).collect()
        }
    })
}
