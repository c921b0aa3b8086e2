//! Which blocks of metrics does a reader read, where some stand for others?
//!
//! R1  Each sample counts once: it is in a raw block, or in what stands for it (S1 of `manifest::standing`).
//! R2  What cannot be read is missing only where it would have been read.
//!
//! Not here: which of them a query language wants (`query`).

use super::snapshot::Snapshot;
use crate::block::BlockId;
use crate::manifest::{BlockEntry, Standing};
use crate::metric::Resolution;
use crate::model::Signal;
use crate::scan::TimeRange;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What of metrics is read.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// Blocks that are not read: others are, that stand for them, or for which they do.
    pub(super) left_out: BTreeSet<BlockId>,
    /// The coarsest of what is read in a range of time; where the reader's moments cut windows of some, the coarsest of those.
    pub(super) resolution: Resolution,
}

impl Snapshot {
    /// How coarse the metrics are in a range of time, to a reader who looks at multiples of so many milliseconds alone; 0 for one who
    /// looks at every sample. Raw where every sample is read.
    pub fn resolution(&self, time: TimeRange, every: i64) -> Resolution {
        self.chosen(time, every).resolution
    }

    /// What such a reader reads.
    pub(super) fn chosen(&self, time: TimeRange, every: i64) -> Chosen {
        let view = self.view();
        let shown = view.blocks_of(self.tenant(), Signal::Metrics);
        let unread = view.unread.keys().filter_map(|id| view.manifest.blocks.get(id));
        let unread = unread.filter(|entry| entry.tenant == *self.tenant() && entry.signal == Signal::Metrics);
        let mut entries: Vec<&Arc<BlockEntry>> = shown.iter().filter_map(|s| view.manifest.blocks.get(&s.id)).collect();
        entries.extend(unread);
        if entries.iter().all(|entry| entry.resolution.is_raw()) {
            return Chosen::default();
        }
        entries.sort_unstable_by_key(|entry| (entry.written, entry.id));
        let mut windows: BTreeMap<_, Standing<'_>> = BTreeMap::new();
        entries.iter().for_each(|entry| windows.entry(entry.window).or_default().add(entry));
        let mut chosen = Chosen::default();
        let mut cut = Resolution::RAW;
        chosen.left_out.extend(entries.iter().map(|entry| entry.id));
        for standing in windows.values() {
            for entry in standing.read(every, |id| view.unread.contains_key(id)) {
                chosen.left_out.remove(&entry.id);
                if time.overlaps(entry.min_time, entry.max_time) {
                    chosen.resolution = chosen.resolution.max(entry.resolution);
                    if !entry.resolution.divides(every) {
                        cut = cut.max(entry.resolution);
                    }
                }
            }
        }
        if !cut.is_raw() {
            chosen.resolution = cut;
        }
        chosen
    }
}
