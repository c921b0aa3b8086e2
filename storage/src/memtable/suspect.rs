//! Which spans in memory may be in a block already, because a client sent them again after a flush?
//!
//! A repeated span has the same start, so only blocks whose time range holds that start are asked, and of those first
//! the trace filter in memory. What it admits is a suspect: looked up in the block the first time somebody reads it,
//! never while a client waits for its acknowledgement. Once retention has taken that block, or it is in quarantine, it is repeated
//! no more.
//!
//! Where the block cannot be read, nobody knows: until that is decided (`Store::examine`) its suspects are in no answer, whoever
//! asks is told of the block, and nothing is flushed.
//!
//! Where the spans of traces come far apart, as those of a backlog that lies in many partitions, nearly all are suspects, and nearly none is
//! repeated. So a block at which many point is first read once for the ids of its spans, and looked up for those alone that it has.

use super::identity;
use crate::block::{BlockId, Fate, Shown};
use crate::error::{Class, Error, Result};
use crate::model::schema::column;
use crate::model::{Batch, Signal, TraceId, schema};
use crate::scan::{Predicate, ScanRequest};
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{BooleanArray, RecordBatch};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, OnceLock};

/// From so many suspects on the ids of a block's spans are read: about what reading one column costs in look-ups.
const MANY: usize = 256;

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

/// Which rows of a batch count.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Those that are in no block; `None` for all of them.
    pub(super) rows: Option<BooleanArray>,
    /// Blocks that could not be read, and why. Rows that they may hold are left out.
    pub(crate) unread: Vec<(BlockId, Error)>,
}

/// What was found in blocks.
#[derive(Debug, Default)]
struct Found {
    repeated: Vec<(usize, Fate)>,
    /// Rows of which that is not known.
    unknown: Vec<usize>,
    unread: Vec<(BlockId, Error)>,
}

impl Suspects {
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

    /// Which rows of the batch are in no block, to who sees a version of the manifest. Looks the suspects up once, if all blocks
    /// can be read.
    pub(super) fn keep(&self, batch: &Batch, seen: u64) -> Result<Kept> {
        if self.rows.is_empty() {
            return Ok(Kept::default());
        }
        if let Some(repeated) = self.repeated.get() {
            return Ok(Kept { rows: without(batch, repeated, &[], seen), unread: Vec::new() });
        }
        let left = sift(&[(batch, self)], seen)?.pop().unwrap_or_default();
        let Found { repeated, unknown, unread } = self.look_up(batch, &left, seen)?;
        let rows = without(batch, &repeated, &unknown, seen);
        if unread.is_empty() {
            self.repeated.get_or_init(|| repeated);
        }
        Ok(Kept { rows, unread })
    }

    /// Whether retention has taken a block that holds one of the rows, between two versions of the manifest.
    pub(super) fn changed(&self, seen: u64, now: u64) -> bool {
        let repeated = self.repeated.get().map(Vec::as_slice).unwrap_or_default();
        repeated.iter().any(|(_, fate)| fate.is_expired(now) && !fate.is_expired(seen))
    }

    /// Looks up the suspects of some batches together, so that `keep` knows them. Not of those where a block cannot be read.
    pub(super) fn look_up_all(all: &[(&Batch, &Suspects)], seen: u64) -> Result<()> {
        let new = |(_, suspects): &&(&Batch, &Suspects)| !suspects.rows.is_empty() && suspects.repeated.get().is_none();
        let all: Vec<(&Batch, &Suspects)> = all.iter().filter(new).copied().collect();
        for ((batch, suspects), left) in all.iter().zip(sift(&all, seen)?) {
            let found = suspects.look_up(batch, &left, seen)?;
            if found.unread.is_empty() {
                suspects.repeated.get_or_init(|| found.repeated);
            }
        }
        Ok(())
    }

    /// Looks up those that are left.
    fn look_up(&self, batch: &Batch, left: &[bool], seen: u64) -> Result<Found> {
        // Nobody sees the rows of a block that is gone, so the ones that came again are the only ones.
        let rows =
            self.rows.iter().zip(left).filter(|((_, block), left)| **left && !block.block.fate().is_expired(seen));
        let rows: Vec<&(usize, Shown)> = rows.map(|(row, _)| row).collect();
        if rows.is_empty() {
            return Ok(Found::default());
        }
        let identities = identity::of_spans(batch.columns())?;
        let (traces, _) = ids_and_starts(batch)?;
        let all: Vec<&'static str> = all_columns();
        let suspected: HashSet<u128> = rows.iter().filter_map(|(row, _)| identities.get(*row)).copied().collect();
        // Nothing of a block that cannot be read.
        let mut stored: BTreeMap<Place, Option<HashSet<u128>>> = BTreeMap::new();
        let mut answer = Found::default();
        for (row, block) in rows {
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
                        Err(error) if error.class() == Class::Corrupt => {
                            answer.unread.push((block.id, error));
                            None
                        }
                        found => Some(found?),
                    };
                    entry.insert(found)
                }
            };
            match in_block {
                None => answer.unknown.push(*row),
                Some(in_block) if in_block.contains(identity) => {
                    answer.repeated.push((*row, block.block.fate().clone()));
                }
                Some(_) => {}
            }
        }
        Ok(answer)
    }
}

/// The rows of a batch but those that are repeated to who sees a version of the manifest, and further ones.
fn without(batch: &Batch, repeated: &[(usize, Fate)], further: &[usize], seen: u64) -> Option<BooleanArray> {
    let stored = repeated.iter().filter(|(_, fate)| !fate.is_expired(seen)).map(|(row, _)| row);
    let out: HashSet<usize> = stored.chain(further).copied().collect();
    (!out.is_empty()).then(|| (0..batch.num_rows()).map(|row| Some(!out.contains(&row))).collect())
}

/// Which suspects of each batch are left, once those were let go of whose ids are not in the block that they point at. Holds the ids of
/// one block at a time.
fn sift(all: &[(&Batch, &Suspects)], seen: u64) -> Result<Vec<Vec<bool>>> {
    let mut by_block: BTreeMap<Place, Vec<(u32, u32)>> = BTreeMap::new();
    for (number, (_, suspects)) in (0..).zip(all) {
        let entries = (0..).zip(&suspects.rows).filter(|(_, (_, block))| !block.block.fate().is_expired(seen));
        for (entry, (_, block)) in entries {
            let place = (block.id, block.hidden().map(std::ptr::from_ref), None);
            by_block.entry(place).or_default().push((number, entry));
        }
    }
    by_block.retain(|_, entries| entries.len() >= MANY);
    let mut left: Vec<Vec<bool>> = all.iter().map(|(_, suspects)| vec![true; suspects.rows.len()]).collect();
    let ids: Vec<Vec<u64>> = match by_block.is_empty() {
        true => Vec::new(),
        false => all.iter().map(|(batch, _)| span_ids(batch.columns())).collect::<Result<_>>()?,
    };
    for entries in by_block.into_values() {
        let suspect = |(number, entry): (u32, u32)| {
            let (row, block) = all.get(number as usize)?.1.rows.get(entry as usize)?;
            Some((block, *ids.get(number as usize)?.get(*row)?))
        };
        let Some((block, _)) = entries.first().and_then(|first| suspect(*first)) else { continue };
        let Some(stored) = stored_ids(block)? else { continue };
        for place in entries {
            let is_stored = suspect(place).is_some_and(|(_, id)| stored.binary_search(&id).is_ok());
            if let Some(left) = left.get_mut(place.0 as usize).and_then(|left| left.get_mut(place.1 as usize)) {
                *left = is_stored;
            }
        }
    }
    Ok(left)
}

/// The ids of a block's spans, sorted; `None` where the block cannot be read.
fn stored_ids(block: &Shown) -> Result<Option<Vec<u64>>> {
    let mut ids = Vec::new();
    let mut read = || -> Result<()> {
        for spans in block.scan(&Arc::new(ScanRequest::all([column::SPAN_ID])))? {
            ids.extend(span_ids(&spans?)?);
        }
        Ok(())
    };
    match read() {
        Err(error) if error.class() == Class::Corrupt => return Ok(None),
        read => read?,
    }
    ids.sort_unstable();
    Ok(Some(ids))
}

fn span_ids(spans: &RecordBatch) -> Result<Vec<u64>> {
    let wrong = || Error::Request { what: "a batch of spans without ids".into() };
    let ids = spans.column_by_name(column::SPAN_ID).and_then(|ids| ids.as_fixed_size_binary_opt()).ok_or_else(wrong)?;
    let number = |id: Option<&[u8]>| id.and_then(|id| id.try_into().ok()).map(u64::from_ne_bytes).ok_or_else(wrong);
    ids.iter().map(number).collect()
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
