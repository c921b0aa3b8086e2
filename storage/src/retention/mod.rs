//! Which blocks are deleted, because they are old, many, or the disk is full? And where is it written down?
//!
//! A pure function of the manifest, the time, the free space and the settings says which; whole blocks, oldest rows first.
//!
//! T1  A block goes by age when its last row is older than its tenant keeps rows of its signal; rows of the future count
//!     from the making of their block, which holds no others (`block::Window`).
//! T2  By bytes and by disk the blocks with the oldest last rows go first, and no more of them than needed.
//! T3  A clock that jumped ahead is not believed for a while (`clock`): telemetry must not be lost to a wrong clock.
//!
//! Not here: the commit (`engine`).

mod clock;
mod config;
mod record;

pub(crate) use clock::SteadyClock;
pub use config::{RetentionConfig, TenantRetention};
pub(crate) use record::{read_deletion, record_deletion, recorded_versions, verify_record};

use crate::block::BlockId;
use crate::manifest::{BlockEntry, Cause, Manifest};
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
    let mut oldest: Vec<&Arc<BlockEntry>> = manifest.blocks.values().collect();
    oldest.sort_by_key(|entry| (last_row(entry, now), entry.id));

    let mut bytes: BTreeMap<(&TenantId, Signal), u64> = BTreeMap::new();
    for entry in &oldest {
        let cutoff = now.saturating_sub(config.keep_nanos(&entry.tenant, entry.signal));
        if last_row(entry, now) < cutoff {
            gone.insert(entry.id);
            add(entry, Cause::Age);
        } else {
            *bytes.entry((&entry.tenant, entry.signal)).or_default() += entry.bytes;
        }
    }
    for entry in &oldest {
        let most = config.most_bytes(&entry.tenant);
        let Some(sum) = bytes.get_mut(&(&entry.tenant, entry.signal)).filter(|sum| **sum > most) else { continue };
        if gone.insert(entry.id) {
            *sum -= entry.bytes;
            add(entry, Cause::Bytes);
        }
    }
    let mut freed: u64 = oldest.iter().filter(|entry| gone.contains(&entry.id)).map(|entry| entry.bytes).sum();
    for entry in &oldest {
        if freed >= missing_bytes {
            break;
        }
        if gone.insert(entry.id) {
            freed = freed.saturating_add(entry.bytes);
            add(entry, Cause::Disk);
        }
    }
    expired.into_values().collect()
}

/// The time by which a block is old.
fn last_row(entry: &BlockEntry, now: i64) -> i64 {
    let made = i64::try_from(entry.id.0 >> 64).unwrap_or(i64::MAX);
    // A clock that was behind made blocks before their rows' time.
    if entry.max_time > now { made } else { entry.max_time }
}

#[cfg(test)]
mod tests;
