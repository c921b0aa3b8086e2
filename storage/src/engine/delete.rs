//! How is telemetry deleted, by somebody's wish or by retention, and how is that written down?
//!
//! L1  What matched when a deletion began is in no answer once `delete` has returned, nor ever again. Rows in memory are flushed
//!     before, so that every row is in a block; rows that come later are others.
//!     Rows in the memory of another process that writes to the same bucket count among those. What stands for samples of metrics goes
//!     with them: it is made again of what is left, or, where they are gone already, no longer shown.
//! L2  A deletion and its record are one commit. The record ends in a file of its own (`retention`).
//! L3  Rows leave the disk when their block is merged next, and at the latest some minutes later.
//! L4  A span that came again while its block was there, and is in no block of its own yet when retention takes that one, is
//!     there from then on (`block::fate`), until its own block is old. One that came again while it was in memory is left out; where
//!     the log still has it after a crash, it may be there once more until retention looks next.
//! L5  The record is read one deletion at a time, newest first, so that whoever looks for some of one tenant reads no further
//!     than the last of them, and may stop at any.

use super::metrics::EngineMetrics;
use super::recovery::Layout;
use super::store::{Store, lock};
use crate::block::BlockId;
use crate::error::{Class, Error, Result};
use crate::fs::Filesystem;
use crate::manifest::{Cause, Commit, Deletion, Manifest, Tombstone};
use crate::metric::Resolution;
use crate::model::schema::time_column;
use crate::model::{Signal, TenantId};
use crate::retention::{self, Expired, expired};
use crate::scan::{Compare, Field, Predicate, Scalar, ScanRequest, TimeRange};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// What is to be deleted.
#[derive(Debug, Clone, PartialEq)]
pub struct DeleteRequest {
    /// Whose rows.
    pub tenant: TenantId,
    /// Of which table.
    pub signal: Signal,
    /// Rows by time.
    pub time: TimeRange,
    /// Rows by content.
    pub predicate: Predicate,
}

/// The record of a deletion.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The manifest version that deleted it.
    pub version: u64,
    /// What was deleted.
    pub deletion: Deletion,
}

impl DeleteRequest {
    /// Time and content in one.
    fn whole(&self) -> Predicate {
        let bound = |compare, time| Predicate::Compare {
            field: Field::Column(time_column(self.signal)),
            compare,
            value: Scalar::Int(time),
        };
        let mut whole = Predicate::All;
        if self.time.start != i64::MIN {
            whole = whole.and(bound(Compare::GreaterOrEqual, self.time.start));
        }
        if self.time.end != i64::MAX {
            whole = whole.and(bound(Compare::Less, self.time.end));
        }
        whole.and(self.predicate.clone())
    }
}

impl Store {
    /// Hides the rows of blocks that match, for good (L1). Rows in memory stay: flush them first. The record of it; `None`
    /// where no block has such rows.
    pub fn delete(&self, request: &DeleteRequest) -> Result<Option<Recorded>> {
        self.check_writes()?;
        // What others have committed is known every few seconds only.
        self.refresh()?;
        let predicate = request.whole();
        let scan = ScanRequest {
            time: request.time,
            predicate: request.predicate.clone(),
            ..ScanRequest::all([time_column(request.signal)])
        };
        let snapshot = self.snapshot(&request.tenant);
        // What stands for others has none of their times.
        let coarsest = match request.signal {
            Signal::Metrics => snapshot.resolution(request.time, 0),
            Signal::Spans | Signal::Logs => Resolution::RAW,
        };
        let scan = ScanRequest { time: widened(scan.time, coarsest), ..scan };
        // A predicate that the table cannot answer must not become a part of the manifest: the first match tells.
        let first = snapshot.scan(request.signal, scan.clone())?.next().transpose()?;
        if first.is_none() && snapshot.missing().is_empty() {
            return Ok(None);
        }
        let mut recorded = None;
        self.publish(Vec::new(), None, |manifest| {
            recorded = None;
            let view = self.view();
            let shown = view.blocks_of(&request.tenant, request.signal).iter();
            let mut blocks: BTreeSet<BlockId> =
                shown.filter(|shown| shown.block.may_match(&scan)).map(|shown| shown.id).collect();
            // Nobody can tell what is in a block that cannot be read, but it may be salvaged later.
            let unread = view.unread.keys().filter_map(|id| manifest.blocks.get(id));
            let ours = unread.filter(|entry| entry.tenant == request.tenant && entry.signal == request.signal);
            blocks.extend(ours.map(|entry| entry.id));
            if blocks.is_empty() {
                return None;
            }
            let remove = made_again(manifest, &mut blocks);
            let version = manifest.version + 1;
            let deletion = Deletion {
                time: self.clock.now_unix_nano(),
                tenant: request.tenant.clone(),
                signal: request.signal,
                cause: Cause::Request,
                predicate: Some(predicate.clone()),
                blocks: blocks.len() as u64,
                rows: 0,
            };
            recorded = Some(Recorded { version, deletion: deletion.clone() });
            let tombstone = Tombstone { created: deletion.time, predicate: predicate.clone(), blocks };
            Some(Commit { remove, hide: vec![(version, tombstone)], deleted: Some(deletion), ..Commit::default() })
        })?;
        if recorded.is_some() {
            EngineMetrics::add(&self.metrics.deletions, 1);
        }
        Ok(recorded)
    }

    /// Deletes blocks that are too old or too many, or for which the disk has no room; how many.
    pub fn retain(&self) -> Result<usize> {
        if self.only_reads() {
            return Ok(0);
        }
        let now = lock(&self.maintenance).clock.now(self.clock.as_ref());
        let free = self.free_bytes()?.saturating_add(self.retired_bytes());
        // To remove blocks from a bucket frees nothing of the disk.
        let missing = match self.sharing {
            Some(_) => 0,
            None => self.config.retention.min_free_bytes.saturating_sub(free),
        };
        let expired = expired(&self.view().manifest, now, missing, &self.config.retention);
        let mut count = 0;
        for each in expired {
            count += self.expire(each)?;
        }
        Ok(count)
    }

    fn expire(&self, Expired { tenant, signal, cause, blocks }: Expired) -> Result<usize> {
        let (mut count, mut bytes) = (0, 0);
        self.publish(Vec::new(), None, |manifest| {
            let gone = retention::still_together(manifest, &blocks);
            count = gone.len();
            bytes = gone.iter().map(|entry| entry.bytes).sum();
            let deletion = Deletion {
                time: self.clock.now_unix_nano(),
                tenant: tenant.clone(),
                signal,
                cause,
                predicate: None,
                blocks: gone.len() as u64,
                rows: gone.iter().map(|entry| entry.rows).sum(),
            };
            let remove = gone.iter().map(|entry| entry.id).collect();
            (count > 0).then(|| Commit { remove, deleted: Some(deletion), ..Commit::default() })
        })?;
        EngineMetrics::add(&self.metrics.retention_blocks, count as u64);
        EngineMetrics::add(&self.metrics.retention_bytes, bytes);
        Ok(count)
    }

    /// Writes deletions to their files (L2).
    pub fn record(&self) -> Result<()> {
        let view = self.view();
        let waiting: Vec<(u64, Arc<Deletion>)> =
            view.manifest.deletions.iter().map(|(version, deletion)| (*version, Arc::clone(deletion))).collect();
        if waiting.is_empty() || self.only_reads() {
            return Ok(());
        }
        for (version, deletion) in &waiting {
            retention::record_deletion(self.fs.as_ref(), &self.deletions_dir(), *version, deletion)?;
        }
        self.publish(Vec::new(), None, |manifest| {
            let recorded = waiting.iter().map(|(version, _)| *version);
            let recorded: Vec<u64> = recorded.filter(|version| manifest.deletions.contains_key(version)).collect();
            (!recorded.is_empty()).then(|| Commit { recorded, ..Commit::default() })
        })?;
        Ok(())
    }

    /// The record of a tenant's deletions, to be read newest first (L5).
    pub fn deletions(&self, tenant: &TenantId) -> Result<RecordScan> {
        let dir = self.deletions_dir();
        let waiting = self.view().manifest.deletions.clone();
        let mut versions = retention::recorded_versions(self.fs.as_ref(), &dir)?;
        versions.extend(waiting.keys());
        let tenant = tenant.clone();
        let fs = Arc::clone(&self.fs);
        Ok(RecordScan { fs, dir, tenant, waiting, versions, found: Vec::new(), damaged: Vec::new() })
    }

    fn deletions_dir(&self) -> PathBuf {
        Layout::new(&self.config.data_dir).deletions()
    }
}

/// A range with the whole of the windows that it cuts.
fn widened(time: TimeRange, resolution: Resolution) -> TimeRange {
    if resolution.is_raw() {
        return time;
    }
    let bound = |time: i64| if matches!(time, i64::MIN | i64::MAX) { (time, time) } else { resolution.bounds(time) };
    TimeRange { start: bound(time.start).0, end: bound(time.end).1 }
}

/// Of blocks with hidden rows, takes those that stand for others which are there, and tells them with those that stand for such a
/// block: they go, and are made again.
fn made_again(manifest: &Manifest, blocks: &mut BTreeSet<BlockId>) -> Vec<BlockId> {
    if !manifest.has_thinned() {
        return Vec::new();
    }
    let mut gone = Vec::new();
    for standing in manifest.standing().into_values().filter(|standing| standing.is_whole()) {
        let thinned = standing.thinned.values().map(|entry| entry.id);
        if standing.raw.iter().any(|entry| blocks.contains(&entry.id)) {
            gone.extend(thinned.clone());
        }
        blocks.retain(|id| !thinned.clone().any(|other| other == *id));
    }
    gone
}

/// Deletions of a tenant that are being looked for.
#[derive(Debug)]
pub struct RecordScan {
    fs: Arc<dyn Filesystem>,
    dir: PathBuf,
    tenant: TenantId,
    /// Those that may have no file yet.
    waiting: BTreeMap<u64, Arc<Deletion>>,
    /// Those that were not looked at.
    versions: BTreeSet<u64>,
    found: Vec<Recorded>,
    /// Those whose file is damaged, of whomever they are.
    damaged: Vec<u64>,
}

impl RecordScan {
    /// Looks at the next older deletion, of whomever it is; `false` when none is left. Reads a file at most; one that is damaged
    /// is passed over, and told.
    pub fn advance(&mut self) -> Result<bool> {
        let Some(version) = self.versions.pop_last() else { return Ok(false) };
        let deletion = match self.waiting.get(&version) {
            Some(waiting) => Ok(Deletion::clone(waiting)),
            None => retention::read_deletion(self.fs.as_ref(), &self.dir, version),
        };
        match deletion {
            Ok(deletion) if deletion.tenant == self.tenant => self.found.push(Recorded { version, deletion }),
            Ok(_) => {}
            Err(error) if error.class() == Class::Corrupt => {
                tracing::error!(%error, "the record of a deletion is damaged");
                self.damaged.push(version);
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// The numbers of deletions whose record is damaged, among those that were looked at.
    pub fn damaged(&self) -> &[u64] {
        &self.damaged
    }

    /// What was found so far, newest first.
    pub fn found(&self) -> &[Recorded] {
        &self.found
    }
}

/// Refuses a deletion of everything: an empty filter is more often a mistake than a wish.
pub(super) fn check(request: &DeleteRequest) -> Result<()> {
    if request.predicate == Predicate::All && request.time == TimeRange::ALL {
        return Err(Error::Request { what: "a deletion needs a range of time or a filter".into() });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
