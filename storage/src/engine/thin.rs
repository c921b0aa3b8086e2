//! How does a block come to stand for old samples of metrics? As a merge, but that its inputs stay.
//!
//! A1  It is visible from one commit on, which takes away the block of its resolution that was there: at every moment a reader has raw
//!     blocks, or something that stands for all of them.
//! A2  What was deleted while it was made is not in it: then it is given up, and made again.
//!
//! K2 and K4 of `maintain` hold here too. Not here: of which blocks it is made (`compaction`), who reads it (`resolution`).

use super::maintain::{Opened, Pace, are_whole};
use super::metrics::EngineMetrics;
use super::store::Store;
use crate::compaction::ThinPlan;
use crate::error::{Class, Error, Result};
use crate::manifest::{BlockEntry, Commit, Manifest};

impl Store {
    /// Makes a thinned block; whether it did.
    pub(super) fn thin_blocks(&self, manifest: &Manifest, plan: &ThinPlan, pace: Pace<'_>) -> Result<bool> {
        let view = self.view();
        let Some(Opened { first, written, bytes, inputs }) = self.open_inputs(&view, manifest, &plan.inputs)? else {
            return Ok(false);
        };
        let applied: Vec<u64> = view.manifest.tombstones.keys().copied().collect();
        let made = self.make_merged((&first, written), &inputs, Some(plan.resolution), &mut |bytes| {
            pace(bytes)?;
            if are_whole(&self.view().manifest, &plan.inputs) { Ok(()) } else { Err(Error::Closing) }
        });
        if made.is_err() && !are_whole(&self.view().manifest, &plan.inputs) {
            return Ok(false);
        }
        if made.as_ref().is_err_and(|error| error.class() == Class::Corrupt) {
            self.examine_ids(&plan.inputs)?;
        }
        // Where no row is left, a merge will take the raw blocks away.
        let Some(made) = made? else { return Ok(false) };
        drop(inputs);
        let (rows, made_bytes) = (made.entry.rows, made.entry.bytes);
        let published = self.publish(vec![made], None, |manifest| {
            let fits = are_whole(manifest, &plan.inputs)
                && in_place(manifest, &first, plan)
                && !is_hidden_since(manifest, &applied, plan);
            fits.then(|| Commit { remove: plan.replaces.into_iter().collect(), ..Commit::default() })
        })?;
        if published {
            EngineMetrics::add(&self.metrics.thinned_blocks, 1);
            EngineMetrics::add(&self.metrics.compaction_read_bytes, bytes);
            EngineMetrics::add(&self.metrics.compaction_rows, rows);
            EngineMetrics::add(&self.metrics.compaction_bytes, made_bytes);
        }
        Ok(published)
    }
}

/// Whether the block that is to be replaced is the one that is there.
fn in_place(manifest: &Manifest, first: &BlockEntry, plan: &ThinPlan) -> bool {
    let of_window = manifest.blocks.values().filter(|entry| {
        (&entry.tenant, entry.signal, entry.window) == (&first.tenant, first.signal, first.window)
            && entry.resolution == plan.resolution
    });
    of_window.map(|entry| entry.id).eq(plan.replaces)
}

/// Whether rows were hidden after the work began.
fn is_hidden_since(manifest: &Manifest, applied: &[u64], plan: &ThinPlan) -> bool {
    let later = manifest.tombstones.iter().filter(|(version, _)| !applied.contains(version));
    later.flat_map(|(_, tombstone)| &tombstone.blocks).any(|id| plan.inputs.contains(id))
}

#[cfg(test)]
mod tests;
