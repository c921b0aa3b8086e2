//! What keeps the store small and sound while it runs? Merging blocks, and removing what nobody needs.
//!
//! Each is a step of its own that returns when it is done, so that a simulation can stop the world between any two. No step
//! holds up writes, flushes or readers: they share the manifest's lock for the length of a commit, and nothing else.
//!
//! K1  The rows of a merge's blocks are in its result, less those that were hidden when it began and those that were sent
//!     twice. What is hidden while it runs stays hidden in the result.
//! K2  The result is read back against its checksums before the manifest lets go of what it was made of.
//! K3  A block that the manifest does not have is removed, at the earliest, [`ORPHAN_GRACE`] after the start.
//! K4  Retention, quarantine and deletions go on while a merge runs, however slowly. It is given up once one of its blocks is gone
//!     or in quarantine.

use super::metrics::EngineMetrics;
use super::publish::Placed;
use super::share::Garbage;
use super::store::{Store, lock};
use super::threads::chain;
use super::view::View;
use crate::block::{BlockConfig, BlockId, BlockMeta, Shown, Window};
use crate::compaction::{self, MergeMemory, Plan, merge, thin};
use crate::error::{Class, Error, Result};
use crate::fs::Clock;
use crate::manifest::{BlockEntry, Commit, Manifest, Tombstone};
use crate::metric::Resolution;
use crate::model::{Signal, TenantId};
use crate::retention::SteadyClock;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long orphans stay: time for an operator to see that a wrong manifest was put in place.
const ORPHAN_GRACE: Duration = Duration::from_secs(600);
/// A merge begins only if the disk has so much more room than it may need.
const SPARE_BYTES: u64 = 64 << 20;

/// Told how many bytes a step has read and written; may wait, and its error ends the step.
pub type Pace<'a> = &'a mut dyn FnMut(u64) -> Result<()>;

/// The blocks of a plan.
pub(super) struct Opened {
    /// The first of them.
    pub(super) first: Arc<BlockEntry>,
    /// The version that brought the newest of their rows.
    pub(super) written: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    pub(super) inputs: Vec<Shown>,
}

/// What maintenance remembers between its steps.
#[derive(Debug)]
pub(super) struct Maintenance {
    pub(super) clock: SteadyClock,
    orphans: Vec<PathBuf>,
    pub(super) garbage: Garbage,
    opened: Duration,
}

impl Maintenance {
    pub(super) fn new(manifest: &Manifest, orphans: Vec<PathBuf>, clock: &dyn Clock) -> Self {
        let newest = manifest.blocks.keys().next_back().copied();
        Maintenance {
            clock: SteadyClock::new(clock, newest),
            orphans,
            garbage: Garbage::default(),
            opened: clock.monotonic(),
        }
    }

    /// When the store was opened.
    pub(super) fn opened(&self) -> Duration {
        self.opened
    }
}

impl Store {
    /// Merges some blocks, if that is due; whether it was.
    pub fn compact(&self, pace: Pace<'_>) -> Result<bool> {
        if self.only_reads() {
            return Ok(false);
        }
        let _one_at_a_time = lock(&self.merging);
        self.ask_bucket()?;
        let view = self.view();
        // What cannot be written anew now does not hold up the others.
        if let Some(plan) = worn(&view)
            && let done @ (Ok(true) | Err(Error::Closing)) = self.merge_counted(&view.manifest, &plan, pace)
        {
            return done;
        }
        let now = self.clock.now_unix_nano();
        if let done @ (Ok(true) | Err(Error::Closing)) = self.sample(now, pace) {
            return done;
        }
        if let Some(plan) = compaction::pick(&view.manifest, now, &self.config.compaction) {
            return self.merge_counted(&view.manifest, &plan, pace);
        }
        let plan = compaction::thin_next(&view.manifest, now, &self.config.retention);
        plan.map_or(Ok(false), |plan| self.counted(|| self.thin_blocks(&view.manifest, &plan, pace)))
    }

    fn merge_counted(&self, manifest: &Manifest, plan: &Plan, pace: Pace<'_>) -> Result<bool> {
        self.counted(|| self.merge_blocks(manifest, plan, pace))
    }

    /// Counts what a merge took.
    pub(super) fn counted(&self, merge: impl FnOnce() -> Result<bool>) -> Result<bool> {
        let started = self.clock.monotonic();
        let result = merge();
        EngineMetrics::add_time(&self.metrics.compaction_nanos, self.clock.monotonic().saturating_sub(started));
        match &result {
            Err(Error::Closing) | Ok(_) => {}
            Err(_) => EngineMetrics::add(&self.metrics.compaction_errors, 1),
        }
        result
    }

    fn merge_blocks(&self, manifest: &Manifest, plan: &Plan, pace: Pace<'_>) -> Result<bool> {
        let view = self.view();
        let Some(Opened { first, written, bytes, inputs }) = self.open_inputs(&view, manifest, &plan.inputs)? else {
            return Ok(false);
        };
        let applied: Vec<u64> = view.manifest.tombstones.keys().copied().collect();
        let made = self.make_merged((&first, written), &inputs, None, &mut |bytes| {
            pace(bytes)?;
            if are_whole(&self.view().manifest, &plan.inputs) { Ok(()) } else { Err(Error::Closing) }
        });
        if made.is_err() && !are_whole(&self.view().manifest, &plan.inputs) {
            return Ok(false);
        }
        if made.as_ref().is_err_and(|error| error.class() == Class::Corrupt) {
            self.examine_ids(&plan.inputs)?;
        }
        let mut made = made?;
        drop(inputs);
        // One that is written anew by itself, of several none is undecided (P6 of `pick`).
        if let Some(made) = made.as_mut().filter(|_| first.undecided) {
            // It has waited for as long as before.
            (made.entry.undecided, made.entry.grown_at) = (true, Some(first.waits_since()));
        }
        let (rows, written) = made.as_ref().map_or((0, 0), |made| (made.entry.rows, made.entry.bytes));
        let output = made.as_ref().map(|made| made.entry.id);
        let published = self.publish(made.into_iter().collect(), None, |manifest| {
            let hide = hidden_meanwhile(manifest, &applied, &plan.inputs, output.as_slice());
            are_whole(manifest, &plan.inputs).then(|| Commit { remove: plan.inputs.clone(), hide, ..Commit::default() })
        })?;
        if published {
            EngineMetrics::add(&self.metrics.compactions, 1);
            EngineMetrics::add(&self.metrics.compaction_read_blocks, plan.inputs.len() as u64);
            EngineMetrics::add(&self.metrics.compaction_read_bytes, bytes);
            EngineMetrics::add(&self.metrics.compaction_rows, rows);
            EngineMetrics::add(&self.metrics.compaction_bytes, written);
        }
        Ok(published)
    }

    /// What the blocks of a plan are; `None` where there is no room or some cannot be read.
    pub(super) fn open_inputs(&self, view: &View, manifest: &Manifest, ids: &[BlockId]) -> Result<Option<Opened>> {
        let entries: Vec<&Arc<BlockEntry>> = ids.iter().filter_map(|id| manifest.blocks.get(id)).collect();
        let Some(first) = entries.first() else { return Ok(None) };
        let bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
        let needed = bytes.saturating_add(self.config.min_free_bytes).saturating_add(SPARE_BYTES);
        if self.free_bytes()? < needed {
            return Ok(None);
        }
        let shown = view.blocks_of(&first.tenant, first.signal);
        let inputs: Vec<Shown> =
            ids.iter().filter_map(|id| shown.iter().find(|shown| shown.id == *id)).cloned().collect();
        if inputs.len() != ids.len() {
            // Some are damaged and not yet in quarantine, or gone: the next plan is made without them.
            self.examine_ids(ids)?;
            return Ok(None);
        }
        let written = entries.iter().map(|entry| entry.written).max().unwrap_or_default();
        Ok(Some(Opened { first: Arc::clone(first), written, bytes, inputs }))
    }

    /// A merge of blocks, or what stands for them at a resolution.
    pub(super) fn make_merged(
        &self,
        (first, written): (&BlockEntry, u64),
        inputs: &[Shown],
        resolution: Option<Resolution>,
        pace: Pace<'_>,
    ) -> Result<Option<Placed>> {
        self.make_verified((&first.tenant, first.signal, first.window, written), |dir, config| match resolution {
            None => merge(self.fs.as_ref(), dir, first.signal, inputs, config, pace),
            Some(resolution) => thin(self.fs.as_ref(), dir, inputs, resolution, config, pace),
        })
    }

    /// A block made of others with the memory for that, and read once more before it stands for them.
    pub(super) fn make_verified(
        &self,
        of: (&TenantId, Signal, Window, u64),
        make: impl FnOnce(&Path, (&BlockConfig, MergeMemory<'_>)) -> Result<Option<BlockMeta>>,
    ) -> Result<Option<Placed>> {
        let memory = MergeMemory::new(self.config.compaction.memory_bytes, &self.metrics.compaction_memory);
        let made = self.make_block(of, |dir| make(dir, (&self.config.block, memory)))?;
        if let Some(made) = &made
            && let Err(error) = made.block.verify()
        {
            self.discard(std::slice::from_ref(made));
            return Err(error);
        }
        Ok(made)
    }

    /// Removes files that nobody needs any more: of replaced blocks that are not read, and orphans when it is time (K3).
    pub fn collect(&self) {
        let mut maintenance = lock(&self.maintenance);
        if self.only_reads() {
            return;
        }
        self.remove_retired();
        if self.sharing.is_some()
            && let Err(error) = self.collect_shared(&mut maintenance)
        {
            tracing::warn!(error = %chain(&error), "failed to remove what nobody needs from the bucket; it is tried again");
        }
        if self.clock.monotonic().saturating_sub(maintenance.opened) < ORPHAN_GRACE {
            return;
        }
        for dir in std::mem::take(&mut maintenance.orphans) {
            tracing::info!(dir = %dir.display(), "removing a block that the manifest does not have");
            if let Err(error) = self.fs.remove_dir_all(&dir)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(dir = %dir.display(), %error, "failed to remove an orphan; the next start tries again");
            }
        }
    }

    /// Looks at the blocks that readers found damaged, and puts those that are into quarantine, with those that could not be
    /// opened: what comes again of their rows is shown, so they must not come back by themselves.
    pub fn examine(&self) -> Result<()> {
        let view = self.view();
        let mut ids: BTreeSet<BlockId> = lock(&view.reports).keys().copied().collect();
        ids.extend(view.unread.keys());
        self.examine_ids(&ids.iter().copied().collect::<Vec<_>>())?;
        // Until then, whoever else examines looks at them too.
        lock(&view.reports).retain(|id, _| !ids.contains(id));
        Ok(())
    }

    pub(super) fn examine_ids(&self, ids: &[BlockId]) -> Result<()> {
        let view = self.view();
        let mut quarantine = Vec::new();
        for id in ids.iter().filter(|id| !view.manifest.quarantined.contains_key(id)) {
            if let Some(reason) = view.unread.get(id) {
                quarantine.push((*id, reason.to_string()));
                continue;
            }
            let Some(shown) = view.blocks.values().flat_map(|blocks| blocks.iter()).find(|shown| shown.id == *id)
            else {
                continue;
            };
            match shown.block.examine() {
                Ok(()) => tracing::warn!(block = %id, "a block that could not be read is whole: the disk erred"),
                Err(error) if error.class() == Class::Corrupt => {
                    tracing::error!(block = %id, error = %chain(&error), "a block is damaged and in quarantine now");
                    quarantine.push((*id, chain(&error)));
                }
                Err(error) => return Err(error),
            }
        }
        if quarantine.is_empty() || self.only_reads() {
            return Ok(());
        }
        self.publish(Vec::new(), None, |manifest| {
            let there = |id: &BlockId| manifest.blocks.contains_key(id) && !manifest.quarantined.contains_key(id);
            let quarantine: Vec<_> = quarantine.iter().filter(|(id, _)| there(id)).cloned().collect();
            (!quarantine.is_empty()).then(|| Commit { quarantine, ..Commit::default() })
        })?;
        Ok(())
    }
}

/// A block that has lost a part that answers can do without, to be written anew with it.
fn worn(view: &View) -> Option<Plan> {
    let mut shown = view.blocks.values().flat_map(|blocks| blocks.iter());
    let worn = shown.find(|shown| shown.block.lost_part().is_some())?;
    Some(Plan { inputs: vec![worn.id] })
}

/// Whether all of some blocks are there, and none is in quarantine: what came again since would be there twice.
pub(super) fn are_whole(manifest: &Manifest, blocks: &[BlockId]) -> bool {
    blocks.iter().all(|id| manifest.blocks.contains_key(id) && !manifest.quarantined.contains_key(id))
}

/// Tombstones that came while a merge ran, on its results. They came after its blocks, so they hide rows of all of them.
pub(super) fn hidden_meanwhile(
    manifest: &Manifest,
    applied: &[u64],
    inputs: &[BlockId],
    outputs: &[BlockId],
) -> Vec<(u64, Tombstone)> {
    if outputs.is_empty() {
        return Vec::new();
    }
    let later = manifest.tombstones.iter().filter(|(version, _)| !applied.contains(version));
    let hiding = later.filter(|(_, tombstone)| inputs.iter().any(|id| tombstone.blocks.contains(id)));
    hiding
        .map(|(version, tombstone)| {
            let mut tombstone = Tombstone::clone(tombstone);
            tombstone.blocks.retain(|id| !inputs.contains(id));
            tombstone.blocks.extend(outputs);
            (*version, tombstone)
        })
        .collect()
}
