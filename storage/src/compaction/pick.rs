//! Which blocks are merged next? A pure function of the manifest, the time and the settings.
//!
//! P1  The blocks of a plan are there, whole, and of one table and window; they are at least two, or one with hidden rows.
//! P2  What a plan makes is within `most_bytes` and `most_rows`, if each of its blocks is.
//! P3  Plans come to an end: without new blocks, deletions or days there is none at last, and then each window that is not
//!     past has less than `fan_in` blocks of each level.
//! P4  Blocks of metrics that are merged were written one after the other, with no block of their table and window in between:
//!     of two samples of one time the one counts that was written last, so blocks must keep their order. P3 then says that
//!     there are less than `fan_in` blocks of a level between two larger ones.
//! P6  Undecided blocks are merged with none: what becomes of their rows is not known (`sampling`).
//! P5  Blocks of metrics that stand for others are merged with none, and those for which they stand not with later ones (S2 of
//!     `manifest::standing`).

use super::CompactionConfig;
use crate::block::BlockId;
use crate::manifest::{BlockEntry, Manifest};
use crate::model::Signal;
use std::collections::BTreeMap;

/// Blocks of level 0 are smaller than this.
const LEVEL_0_BYTES: u64 = 256 << 10;
/// A plan takes so many times `fan_in` blocks at most: after a pause there may be many small ones.
const MOST_FAN_INS: usize = 4;
/// A window is past so long after its last row could have been on time: late rows have come by then.
const PAST_AFTER_NANOS: i64 = 2 * 3600 * 1_000_000_000;
/// In a window that is past, blocks are merged if the largest is at most so many times as large as the others together:
/// a few late rows are not worth writing all others again.
const MOST_UNEVEN: u64 = 4;
/// Hidden rows leave the disk so long after they were hidden: what is deleted one by one is written once.
const HIDDEN_FOR_NANOS: i64 = 600 * 1_000_000_000;

/// Blocks to be made one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The blocks, earliest rows first; of metrics in the order of their writing.
    pub inputs: Vec<BlockId>,
}

/// How often a block has been merged, by its size.
pub(crate) fn level(entry: &BlockEntry, config: &CompactionConfig) -> u32 {
    let fan_in = u64::try_from(config.fan_in).unwrap_or(u64::MAX).max(2);
    (entry.bytes / LEVEL_0_BYTES).checked_ilog(fan_in).map_or(0, |level| level + 1)
}

/// What to merge next, if anything: first what deletions left, then many small blocks, then what past windows still have.
pub fn pick(manifest: &Manifest, now: i64, config: &CompactionConfig) -> Option<Plan> {
    let windows = windows(manifest, config);
    hidden(manifest, now)
        .or_else(|| level_is_full(&windows, config))
        .or_else(|| windows.iter().find_map(|blocks| leftover(blocks, now, config)))
}

/// The blocks that may be merged with each other: each list by the time of its rows, those of metrics by their writing (P4).
fn windows<'a>(manifest: &'a Manifest, config: &CompactionConfig) -> Vec<Vec<&'a BlockEntry>> {
    let mut windows: BTreeMap<_, Vec<&BlockEntry>> = BTreeMap::new();
    let mut covered: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for entry in manifest.by_writing() {
        if entry.resolution.is_raw() {
            windows.entry((&entry.tenant, entry.signal, entry.window)).or_default().push(entry);
        } else {
            covered.entry((&entry.tenant, entry.window)).or_default().push(entry.written);
        }
    }
    let open = |entry: &&BlockEntry| {
        !manifest.quarantined.contains_key(&entry.id) && !entry.undecided && !is_full(entry, config)
    };
    let mut lists: Vec<Vec<&BlockEntry>> = Vec::new();
    for ((tenant, signal, window), mut blocks) in windows {
        if signal == Signal::Metrics {
            let ends = covered.get(&(tenant, window)).map(Vec::as_slice).unwrap_or_default();
            let are_alike =
                |a: &BlockEntry, b: &BlockEntry| !ends.iter().any(|end| a.written <= *end && *end < b.written);
            lists.extend(blocks.chunk_by(|a, b| open(a) && open(b) && are_alike(a, b)).map(<[_]>::to_vec));
        } else {
            blocks.sort_by_key(|entry| (entry.min_time, entry.id));
            lists.push(blocks);
        }
    }
    lists.iter_mut().for_each(|blocks| blocks.retain(open));
    lists
}

fn is_of_metrics(blocks: &[&BlockEntry]) -> bool {
    blocks.first().is_some_and(|entry| entry.signal == Signal::Metrics)
}

/// A block whose rows were hidden long enough ago.
fn hidden(manifest: &Manifest, now: i64) -> Option<Plan> {
    let due = |created: i64| now.saturating_sub(created) >= HIDDEN_FOR_NANOS || created > now;
    let mut blocks = manifest.tombstones.values().filter(|tombstone| due(tombstone.created)).flat_map(|t| &t.blocks);
    let block = blocks.find(|block| !manifest.quarantined.contains_key(block))?;
    Some(Plan { inputs: vec![*block] })
}

fn is_full(entry: &BlockEntry, config: &CompactionConfig) -> bool {
    entry.bytes >= config.most_bytes / 2 || entry.rows >= config.most_rows / 2
}

/// The lowest level that some window has enough blocks of.
fn level_is_full(windows: &[Vec<&BlockEntry>], config: &CompactionConfig) -> Option<Plan> {
    let fan_in = config.fan_in.max(2);
    let mut best: Option<(u32, Plan)> = None;
    for blocks in windows {
        let mut levels: BTreeMap<u32, Vec<&BlockEntry>> = BTreeMap::new();
        for entry in blocks {
            levels.entry(level(entry, config)).or_default().push(entry);
        }
        let full = levels.into_iter().filter(|(_, blocks)| blocks.len() >= fan_in);
        for (number, of_level) in full {
            let run = if is_of_metrics(blocks) { neighbours(blocks, number, config) } else { of_level };
            let (level, plan) = (number, fitting(run.into_iter().take(fan_in * MOST_FAN_INS), config));
            if best.as_ref().is_none_or(|(other, _)| level < *other) {
                best = plan.map(|plan| (level, plan)).or(best);
            }
        }
    }
    best.map(|(_, plan)| plan)
}

/// Blocks of a level and lower ones that follow each other, enough of them of the level; none where there are no such.
fn neighbours<'a>(blocks: &[&'a BlockEntry], number: u32, config: &CompactionConfig) -> Vec<&'a BlockEntry> {
    let enough = |run: &&[&BlockEntry]| {
        run.iter().filter(|entry| level(entry, config) == number).count() >= config.fan_in.max(2)
    };
    let mut runs = blocks.split(|entry| level(entry, config) > number);
    runs.find(enough).map(<[_]>::to_vec).unwrap_or_default()
}

/// What is left of a past window, smallest blocks first; of metrics the first neighbours that are worth it.
fn leftover(blocks: &[&BlockEntry], now: i64, config: &CompactionConfig) -> Option<Plan> {
    let is_past = |entry: &&BlockEntry| {
        let end = entry.window.end();
        end.is_some_and(|end| end.saturating_add(PAST_AFTER_NANOS) <= now)
    };
    if !blocks.first().is_some_and(is_past) {
        return None;
    }
    if is_of_metrics(blocks) {
        return even_neighbours(blocks, config);
    }
    let mut left: Vec<&BlockEntry> = blocks.to_vec();
    left.sort_by_key(|entry| (entry.bytes, entry.id));
    let mut taken: Vec<&BlockEntry> = Vec::new();
    let (mut bytes, mut rows, mut even) = (0u64, 0u64, 0);
    for entry in left.into_iter().take(config.fan_in.max(2) * MOST_FAN_INS) {
        if bytes.saturating_add(entry.bytes) > config.most_bytes || rows.saturating_add(entry.rows) > config.most_rows {
            break;
        }
        taken.push(entry);
        if entry.bytes <= bytes.saturating_mul(MOST_UNEVEN) {
            even = taken.len();
        }
        bytes += entry.bytes;
        rows += entry.rows;
    }
    taken.truncate(even);
    taken.sort_by_key(|entry| (entry.min_time, entry.id));
    (taken.len() >= 2).then(|| Plan { inputs: taken.iter().map(|entry| entry.id).collect() })
}

/// Neighbours of which none is much larger than the others together.
fn even_neighbours(blocks: &[&BlockEntry], config: &CompactionConfig) -> Option<Plan> {
    let plan = fitting(blocks.iter().copied().take(config.fan_in.max(2) * MOST_FAN_INS), config)?;
    let taken = blocks.get(..plan.inputs.len())?;
    let (at, largest) = taken.iter().enumerate().max_by_key(|(_, entry)| entry.bytes)?;
    let others = taken.iter().map(|entry| entry.bytes).sum::<u64>() - largest.bytes;
    if largest.bytes <= others.saturating_mul(MOST_UNEVEN) {
        return Some(plan);
    }
    even_neighbours(blocks.get(..at)?, config).or_else(|| even_neighbours(blocks.get(at + 1..)?, config))
}

/// The first blocks that fit into one; `None` for fewer than two.
fn fitting<'a>(blocks: impl Iterator<Item = &'a BlockEntry>, config: &CompactionConfig) -> Option<Plan> {
    let (mut bytes, mut rows) = (0u64, 0u64);
    let fits = |entry: &&BlockEntry| {
        bytes = bytes.saturating_add(entry.bytes);
        rows = rows.saturating_add(entry.rows);
        bytes <= config.most_bytes && rows <= config.most_rows
    };
    let inputs: Vec<BlockId> = blocks.take_while(fits).map(|entry| entry.id).collect();
    (inputs.len() >= 2).then_some(Plan { inputs })
}

#[cfg(test)]
mod tests;
