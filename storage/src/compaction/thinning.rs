//! Of which windows of metrics is a thinned block made next? A pure function of the manifest, the time and the settings.
//!
//! A1  A thinned block is made of all raw blocks of a tenant's window, once the window ended so long ago as the settings say, and
//!     takes the place of the one of its resolution that was there. The raw blocks stay until they are old (`retention`).
//! A2  It is made only where the raw blocks still have every sample: none is in quarantine, none went by age, and those for which
//!     another thinned block stands are there.
//! A3  Where rows came late it is made anew, an hour after the last of them, so that who sends them one by one costs one block.
//! A4  Plans come to an end: without new blocks, deletions or days there is none at last.
//!
//! Not here: what is in it (`metric::thin`), who reads it (`manifest::standing`).

use crate::block::BlockId;
use crate::manifest::{BlockEntry, Manifest, Standing};
use crate::metric::Resolution;
use crate::model::Signal;
use crate::retention::RetentionConfig;
use std::sync::Arc;

const DAY_NANOS: i64 = 24 * 3600 * 1_000_000_000;
/// So long after the last block of a window was made it is taken to be complete.
const QUIET_NANOS: i64 = 3600 * 1_000_000_000;

/// A thinned block to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThinPlan {
    /// Of these raw blocks, those that were written first first.
    pub inputs: Vec<BlockId>,
    /// In place of this one.
    pub replaces: Option<BlockId>,
    /// In such windows.
    pub resolution: Resolution,
}

/// What to thin next, if anything; the oldest window first.
pub fn thin_next(manifest: &Manifest, now: i64, config: &RetentionConfig) -> Option<ThinPlan> {
    if !config.thins() {
        return None;
    }
    let mut windows: Vec<_> = manifest.standing().into_iter().collect();
    windows.sort_by_key(|((tenant, window), _)| (*window, *tenant));
    windows.iter().find_map(|((tenant, window), standing)| {
        let end = window.end()?;
        let keep = config.keep_nanos(tenant, Signal::Metrics);
        if end.saturating_sub(DAY_NANOS) < now.saturating_sub(keep) {
            return None;
        }
        let levels = config.levels(tenant).iter();
        let due = levels.filter(|level| end.saturating_add(level.after_nanos()) <= now);
        due.filter_map(|level| level.resolution()).find_map(|resolution| plan(manifest, standing, resolution, now))
    })
}

fn plan(manifest: &Manifest, standing: &Standing<'_>, resolution: Resolution, now: i64) -> Option<ThinPlan> {
    let is_damaged = |entry: &Arc<BlockEntry>| manifest.quarantined.contains_key(&entry.id);
    let there = standing.thinned.get(&resolution).copied();
    let written = there.filter(|entry| !is_damaged(entry)).map_or(0, |entry| entry.written);
    let mut new = standing.raw.iter().filter(|entry| entry.written > written).peekable();
    new.peek()?;
    let made = |entry: &BlockEntry| i64::try_from(entry.id.made_at()).unwrap_or(i64::MAX);
    let is_settled = |made: i64| made > now || now.saturating_sub(made) >= QUIET_NANOS;
    if !new.all(|entry| is_settled(made(entry))) || !standing.is_whole() || standing.raw.iter().copied().any(is_damaged)
    {
        return None;
    }
    let inputs = standing.raw.iter().map(|entry| entry.id).collect();
    Some(ThinPlan { inputs, replaces: there.map(|entry| entry.id), resolution })
}

#[cfg(test)]
mod tests;
