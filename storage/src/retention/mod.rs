//! Which blocks are deleted, because they are old, many, or the disk is full? And where is it written down?
//!
//! A pure function of the manifest, the time, the free space and the settings says which; whole blocks, oldest rows first.
//!
//! T1  A block goes by age when its last row is older than its tenant keeps rows of its signal; rows of the future count
//!     from the making of their block, which holds no others (`block::Window`).
//! T2  By bytes and by disk the blocks with the oldest last rows go first, and no more of them than needed.
//! T3  A clock that jumped ahead is not believed for a while (`clock`): telemetry must not be lost to a wrong clock.
//! T4  Blocks of metrics that stand for others go by an age of their own. The raw blocks for which they stand go together, when the
//!     last row of any of them is old (S2 of `manifest::standing`).
//!
//! Not here: the commit (`engine`).

mod clock;
mod config;
mod record;

pub(crate) use clock::SteadyClock;
pub use config::{DownsamplingLevel, RetentionConfig, TenantRetention};
pub(crate) use record::{read_deletion, record_deletion, recorded_versions, verify_record};

use crate::block::BlockId;
use crate::manifest::{BlockEntry, Cause, Manifest};
use crate::metric::Resolution;
use crate::model::{Signal, TenantId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Blocks of one table that go for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// Whose.
    pub tenant: TenantId,
    /// Of which table.
    pub signal: Signal,
    /// Why.
    pub cause: Cause,
    /// Which.
    pub blocks: Vec<BlockId>,
}

/// What is to be deleted now. `missing_bytes` is by how much the free space of the disk is below the mark.
pub fn expired(manifest: &Manifest, now: i64, missing_bytes: u64, config: &RetentionConfig) -> Vec<Expired> {
    let mut gone: BTreeSet<BlockId> = BTreeSet::new();
    let mut expired: BTreeMap<(TenantId, Signal, &str), Expired> = BTreeMap::new();
    let mut add = |entry: &BlockEntry, cause: Cause| {
        let (tenant, signal) = (entry.tenant.clone(), entry.signal);
        let of_table = expired.entry((tenant.clone(), signal, cause.as_str()));
        of_table.or_insert(Expired { tenant, signal, cause, blocks: Vec::new() }).blocks.push(entry.id);
    };
    let mut oldest = units(manifest, now);
    oldest.sort_by_key(|unit| (unit.last_row, unit.resolution(), unit.first_id()));

    let mut bytes: BTreeMap<(&TenantId, Signal), u64> = BTreeMap::new();
    for entry in oldest.iter().flat_map(|unit| unit.cut(now, config, &mut gone)) {
        add(entry, Cause::Age);
    }
    for entry in oldest.iter().flat_map(|unit| &unit.blocks).filter(|entry| !gone.contains(&entry.id)) {
        *bytes.entry((&entry.tenant, entry.signal)).or_default() += entry.bytes;
    }
    for unit in &oldest {
        let Some(first) = unit.blocks.first().filter(|first| !gone.contains(&first.id)) else { continue };
        let most = config.most_bytes(&first.tenant);
        let Some(sum) = bytes.get_mut(&(&first.tenant, first.signal)).filter(|sum| **sum > most) else { continue };
        for entry in &unit.blocks {
            gone.insert(entry.id);
            *sum -= entry.bytes;
            add(entry, Cause::Bytes);
        }
    }
    let all = || oldest.iter().flat_map(|unit| &unit.blocks);
    let mut freed: u64 = all().filter(|entry| gone.contains(&entry.id)).map(|entry| entry.bytes).sum();
    for unit in &oldest {
        if freed >= missing_bytes {
            break;
        }
        for entry in &unit.blocks {
            if gone.insert(entry.id) {
                freed = freed.saturating_add(entry.bytes);
                add(entry, Cause::Disk);
            }
        }
    }
    expired.into_values().collect()
}

/// Blocks that go together (T4).
struct Unit<'a> {
    blocks: Vec<&'a Arc<BlockEntry>>,
    last_row: i64,
}

impl<'a> Unit<'a> {
    fn new(blocks: Vec<&'a Arc<BlockEntry>>, now: i64) -> Self {
        let last_row = blocks.iter().map(|entry| last_row(entry, now)).max().unwrap_or(i64::MAX);
        Unit { blocks, last_row }
    }

    fn resolution(&self) -> Resolution {
        self.blocks.first().map(|entry| entry.resolution).unwrap_or_default()
    }

    fn first_id(&self) -> Option<BlockId> {
        self.blocks.first().map(|entry| entry.id)
    }

    /// Its blocks, if they are too old.
    fn cut(&self, now: i64, config: &RetentionConfig, gone: &mut BTreeSet<BlockId>) -> Vec<&'a Arc<BlockEntry>> {
        let Some(first) = self.blocks.first() else { return Vec::new() };
        let keep = match first.resolution.is_raw() {
            true => config.keep_nanos(&first.tenant, first.signal),
            false => config.keep_thinned_nanos(&first.tenant, first.resolution),
        };
        if self.last_row >= now.saturating_sub(keep) {
            return Vec::new();
        }
        gone.extend(self.blocks.iter().map(|entry| entry.id));
        self.blocks.clone()
    }
}

/// All blocks, those together that go together.
fn units(manifest: &Manifest, now: i64) -> Vec<Unit<'_>> {
    let mut together: BTreeSet<BlockId> = BTreeSet::new();
    let mut units = Vec::new();
    if manifest.has_thinned() {
        for standing in manifest.standing().into_values() {
            let stood_for = standing.stood_for();
            together.extend(stood_for.iter().map(|entry| entry.id));
            units.extend((!stood_for.is_empty()).then(|| Unit::new(stood_for, now)));
        }
    }
    let alone = manifest.blocks.values().filter(|entry| !together.contains(&entry.id));
    units.extend(alone.map(|entry| Unit::new(vec![entry], now)));
    units
}

/// Of blocks that were to go, those that may still: not without the others that go with them, which a merge may have replaced.
pub(crate) fn still_together<'a>(manifest: &'a Manifest, blocks: &[BlockId]) -> Vec<&'a Arc<BlockEntry>> {
    let mut there: Vec<&Arc<BlockEntry>> = blocks.iter().filter_map(|id| manifest.blocks.get(id)).collect();
    if manifest.has_thinned() {
        for standing in manifest.standing().into_values() {
            let together = standing.stood_for();
            if !together.iter().all(|entry| blocks.contains(&entry.id)) {
                there.retain(|entry| together.iter().all(|other| other.id != entry.id));
            }
        }
    }
    there
}

/// The time by which a block is old.
fn last_row(entry: &BlockEntry, now: i64) -> i64 {
    let made = i64::try_from(entry.id.0 >> 64).unwrap_or(i64::MAX);
    // A clock that was behind made blocks before their rows' time.
    if entry.max_time > now { made } else { entry.max_time }
}

#[cfg(test)]
mod tests;
