//! Which spans in memory may be in a block already, because a client sent them again after a flush?
//!
//! A repeated span has the same start, so only blocks whose time range holds that start are asked, and of those first
//! the trace filter in memory. What it admits is a suspect: looked up in the block the first time somebody reads it,
//! never while a client waits for its acknowledgement. Once retention has taken that block, it is repeated no more.

use super::identity;
use crate::block::{BlockId, Fate, Shown};
use crate::error::{Class, Error, Result};
use crate::model::schema::column;
use crate::model::{Batch, Signal, TraceId, schema};
use crate::scan::{Predicate, ScanRequest};
use arrow_array::BooleanArray;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, OnceLock};

/// What is looked through: a block, as it was shown, and in it a trace or all.
type Place = (BlockId, Option<*const Predicate>, Option<TraceId>);

/// Rows of one batch that may be in a block, and what was found once they were looked up.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// Row, and a block that may hold its trace, as it was shown when the row came: what was deleted before comes anew.
    rows: Vec<(usize, Shown)>,
    /// Rows that a block does hold, and what becomes of that block.
    repeated: OnceLock<Vec<(usize, Fate)>>,
}

impl Suspects {
    /// Whether no row is suspected.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Finds the suspects of a batch of spans. Reads memory only.
    pub(super) fn find(batch: &Batch, blocks: &[Shown]) -> Result<Self> {
        let Some((min, max)) = batch.time_range() else { return Ok(Suspects::default()) };
        let blocks = blocks.iter().filter(|block| block.meta().min_time <= max && block.meta().max_time >= min);
        let (traces, starts) = ids_and_starts(batch)?;
        let mut rows = Vec::new();
        for block in blocks {
            let range = block.meta().min_time..=block.meta().max_time;
            // Spans of one trace come one after the other: one look per run.
            let mut last: Option<(TraceId, bool)> = None;
            for (row, (trace, start)) in traces.iter().zip(&starts).enumerate() {
                if !range.contains(start) {
                    continue;
                }
                let admitted = match last {
                    Some((seen, admitted)) if seen == *trace => admitted,
                    _ => block.may_hold_trace(trace),
                };
                last = Some((*trace, admitted));
                if admitted {
                    rows.push((row, block.clone()));
                }
            }
        }
        Ok(Suspects { rows, repeated: OnceLock::new() })
    }

    /// The suspects of two batches put together.
    pub(super) fn joined(&self, offset: usize, other: &Suspects) -> Suspects {
        let own = self.rows.iter().map(|(row, block)| (*row, block.clone()));
        let others = other.rows.iter().map(|(row, block)| (row + offset, block.clone()));
        Suspects { rows: own.chain(others).collect(), repeated: OnceLock::new() }
    }

    /// Which rows of the batch are in no block, to who sees a version of the manifest; `None` for all of them. Looks the
    /// suspects up once.
    pub(super) fn keep(&self, batch: &Batch, seen: u64) -> Result<Option<BooleanArray>> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let repeated = match self.repeated.get() {
            Some(repeated) => repeated,
            None => {
                let found = self.look_up(batch)?;
                self.repeated.get_or_init(|| found)
            }
        };
        let stored = repeated.iter().filter(|(_, fate)| !fate.is_expired(seen));
        let repeated: HashSet<usize> = stored.map(|(row, _)| *row).collect();
        if repeated.is_empty() {
            return Ok(None);
        }
        Ok(Some((0..batch.num_rows()).map(|row| Some(!repeated.contains(&row))).collect()))
    }

    /// Whether retention has taken a block that holds one of the rows, between two versions of the manifest.
    pub(super) fn changed(&self, seen: u64, now: u64) -> bool {
        let repeated = self.repeated.get().map(Vec::as_slice).unwrap_or_default();
        repeated.iter().any(|(_, fate)| fate.is_expired(now) && !fate.is_expired(seen))
    }

    fn look_up(&self, batch: &Batch) -> Result<Vec<(usize, Fate)>> {
        let identities = identity::of_spans(batch.columns())?;
        let (traces, _) = ids_and_starts(batch)?;
        let all: Vec<&'static str> = all_columns();
        let suspected: HashSet<u128> = self.rows.iter().filter_map(|(row, _)| identities.get(*row)).copied().collect();
        let mut stored: BTreeMap<Place, HashSet<u128>> = BTreeMap::new();
        let mut repeated = Vec::new();
        for (row, block) in &self.rows {
            let (Some(trace), Some(identity)) = (traces.get(*row), identities.get(*row)) else { continue };
            // The same block may be shown twice, before and after a deletion.
            let trace = block.block.lost_part().is_none().then_some(*trace);
            let key = (block.id, block.hidden().map(std::ptr::from_ref), trace);
            let in_block = match stored.entry(key) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => {
                    let found = match trace {
                        Some(trace) => in_trace(block, &trace, &all),
                        None => in_block(block, &suspected, &all),
                    };
                    let found = match found {
                        // Nobody sees the rows of a damaged block any more, so the ones that came again are the only ones.
                        Err(error) if error.class() == Class::Corrupt => {
                            tracing::warn!(%error, "cannot tell whether spans were sent twice");
                            HashSet::new()
                        }
                        found => found?,
                    };
                    entry.insert(found)
                }
            };
            if in_block.contains(identity) {
                repeated.push((*row, block.block.fate().clone()));
            }
        }
        Ok(repeated)
    }
}

/// The spans of a trace in a block.
fn in_trace(block: &Shown, trace: &TraceId, columns: &[&'static str]) -> Result<HashSet<u128>> {
    let mut found = HashSet::new();
    for spans in block.trace(trace, columns)? {
        found.extend(identity::of_spans(&spans)?);
    }
    Ok(found)
}

/// Which of some spans are in a block that has lost an index: it is read once, not once for each trace.
fn in_block(block: &Shown, suspected: &HashSet<u128>, columns: &[&'static str]) -> Result<HashSet<u128>> {
    let mut found = HashSet::new();
    for spans in block.scan(&Arc::new(ScanRequest::all(columns.iter().copied())))? {
        found.extend(identity::of_spans(&spans?)?.into_iter().filter(|identity| suspected.contains(identity)));
    }
    Ok(found)
}

/// Every column of the spans table, in the schema's order.
fn all_columns() -> Vec<&'static str> {
    schema::of(Signal::Spans).fields().iter().map(|field| field.name().as_str()).collect()
}

fn ids_and_starts(batch: &Batch) -> Result<(Vec<TraceId>, Vec<i64>)> {
    let wrong = || Error::Request { what: "a batch of spans without ids or starts".into() };
    let ids = batch.columns().column_by_name(column::TRACE_ID).and_then(|ids| ids.as_fixed_size_binary_opt());
    let starts = batch.columns().column_by_name(column::START);
    let starts = starts.and_then(|starts| starts.as_primitive_opt::<TimestampNanosecondType>()).ok_or_else(wrong)?;
    let ids = ids.ok_or_else(wrong)?;
    let traces = ids.iter().map(|id| id.and_then(TraceId::from_slice).ok_or_else(wrong)).collect::<Result<_>>()?;
    Ok((traces, starts.values().to_vec()))
}
