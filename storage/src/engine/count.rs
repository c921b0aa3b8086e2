//! How many rows are there over time, and which attributes have they? Answered without reading rows where statistics tell.
//!
//! N1  The answer is the one that a scan of the same snapshot would give: hidden rows and spans that came again are left out.
//! N2  Whoever counts goes on step by step, a row group at most, and may stop between two.
//!
//! Not here: what blocks know (`block::volume`, `block::facet`), how rows are counted (`scan::volume`, `scan::facet`).

use super::snapshot::{Missing, Snapshot};
use crate::block::{BlockFacets, BlockId, BlockVolume, Shown};
use crate::error::{Error, Result};
use crate::memtable::MemBatch;
use crate::model::Signal;
use crate::scan::{
    AttributeScope, FacetLimits, FacetValues, Facets, FactCost, Keys, ScanRequest, Tally, TimeRange, Volume,
    VolumeRequest, Wanted, scope_number,
};
use std::collections::VecDeque;
use std::sync::Arc;

/// What an answer about attributes holds, at most.
const LIMITS: FacetLimits = FacetLimits { keys: 10_000, values: 10_000, bytes: 8 << 20 };

/// What is to be counted, blocks first.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) blocks: VecDeque<Shown>,
    pub(super) batches: VecDeque<Arc<MemBatch>>,
    /// The version of the manifest that is seen.
    pub(super) seen: u64,
    pub(super) missing: Missing,
    /// Blocks of other times.
    pub(super) pruned: u64,
}

impl Snapshot {
    /// Counts rows per step of time and group. Fails at once for what the table does not have.
    pub fn volume(&self, signal: Signal, request: VolumeRequest) -> Result<VolumeScan> {
        let rows = ScanRequest {
            time: request.time,
            predicate: request.predicate.clone(),
            ..ScanRequest::all(request.columns(signal))
        };
        let mut tally = Tally::new(signal, request)?;
        let sources = self.row_sources(signal, rows.time);
        tally.cost.blocks_pruned = sources.pruned;
        Ok(VolumeScan { sources, open: None, tally, rows })
    }

    /// The attribute keys of the rows in a range.
    pub fn keys(&self, signal: Signal, time: TimeRange) -> Result<FacetScan> {
        self.facets(signal, time, Wanted::Keys)
    }

    /// The values that a key has in the rows of a range: texts with a prefix, and where it is empty numbers and booleans too.
    pub fn values(
        &self,
        signal: Signal,
        (scope, key): (AttributeScope, &str),
        time: TimeRange,
        prefix: &str,
    ) -> Result<FacetScan> {
        let (key, prefix) = (key.to_owned(), prefix.to_owned());
        self.facets(signal, time, Wanted::Values { scope: scope_number(scope), key, prefix })
    }

    fn facets(&self, signal: Signal, time: TimeRange, wanted: Wanted) -> Result<FacetScan> {
        if signal == Signal::Metrics {
            return Err(Error::Request { what: format!("{signal} are asked for their labels") });
        }
        let facets = Facets::new(wanted, LIMITS);
        let rows = ScanRequest { time, ..ScanRequest::all(facets.columns()) };
        let sources = self.row_sources(signal, time);
        let cost = FactCost { blocks_pruned: sources.pruned, ..FactCost::default() };
        Ok(FacetScan { sources, open: None, facets, rows, cost })
    }
}

/// Rows that are being counted.
#[derive(Debug)]
pub struct VolumeScan {
    sources: Sources,
    open: Option<(BlockId, BlockVolume)>,
    tally: Tally,
    rows: ScanRequest,
}

impl VolumeScan {
    /// Counts on; `false` when all was counted.
    pub fn advance(&mut self) -> Result<bool> {
        if let Some((id, open)) = &mut self.open {
            let goes_on = match open.advance(&mut self.tally) {
                Ok(goes_on) => goes_on,
                Err(error) => self.sources.missing.note(*id, error).map(|()| false)?,
            };
            if !goes_on {
                open.close(&mut self.tally.cost);
                self.open = None;
            }
            return Ok(true);
        }
        if let Some(block) = self.sources.blocks.pop_front() {
            match block.volume(&mut self.tally) {
                Ok(open) => self.open = Some((block.id, open)),
                Err(error) => self.sources.missing.note(block.id, error)?,
            }
            return Ok(true);
        }
        let Some(batch) = self.sources.batches.pop_front() else { return Ok(false) };
        let unread = |id, error| self.sources.missing.note(id, error);
        let (looked_at, rows) = batch.scan(&self.rows, self.sources.seen, unread)?;
        self.tally.cost.rows_read += looked_at as u64;
        rows.map_or(Ok(()), |rows| self.tally.add_rows(&rows)).map(|()| true)
    }

    /// What was counted so far.
    pub fn finish(self) -> Volume {
        self.tally.finish()
    }
}

/// Attributes that are being counted.
#[derive(Debug)]
pub struct FacetScan {
    sources: Sources,
    open: Option<(BlockId, BlockFacets)>,
    facets: Facets,
    rows: ScanRequest,
    cost: FactCost,
}

impl FacetScan {
    /// Counts on; `false` when all was counted.
    pub fn advance(&mut self) -> Result<bool> {
        if let Some((id, open)) = &mut self.open {
            let goes_on = match open.advance(&mut self.facets, &mut self.cost) {
                Ok(goes_on) => goes_on,
                Err(error) => self.sources.missing.note(*id, error).map(|()| false)?,
            };
            if !goes_on {
                self.open = None;
            }
            return Ok(true);
        }
        if let Some(block) = self.sources.blocks.pop_front() {
            match block.facets(self.rows.time, &mut self.facets, &mut self.cost) {
                Ok(open) => {
                    let read = u64::from(open.is_some());
                    self.cost.blocks_read += read;
                    self.cost.blocks_pruned += 1 - read;
                    self.open = open.map(|open| (block.id, open));
                }
                Err(error) => self.sources.missing.note(block.id, error)?,
            }
            return Ok(true);
        }
        let Some(batch) = self.sources.batches.pop_front() else { return Ok(false) };
        let unread = |id, error| self.sources.missing.note(id, error);
        let (looked_at, rows) = batch.scan(&self.rows, self.sources.seen, unread)?;
        self.cost.rows_read += looked_at as u64;
        rows.map_or(Ok(()), |rows| self.facets.add_batch(&rows)).map(|()| true)
    }

    /// The keys so far.
    pub fn keys(&self) -> Keys {
        self.facets.keys(self.cost)
    }

    /// The values so far, at most so many.
    pub fn values(&self, limit: usize) -> FacetValues {
        self.facets.values(limit, self.cost)
    }
}

#[cfg(test)]
mod tests;
