//! Which blocks of metrics stand for which? A thinned block stands for the raw blocks of its table and window that were written until
//! it was made of them; both may be there, and no reader reads both.
//!
//! S1  A reader of a window reads the raw blocks, all of them; or one thinned block, with the raw blocks that it does not stand for.
//! S2  Raw blocks for which every thinned block of their window stands go together (`retention`), and are never merged with later
//!     ones (`compaction`): where one is there, all are.
//! S3  A thinned block is read instead of raw ones only by who looks at nothing but ends of its windows, and nothing came since.
//!
//! Not here: what is in a thinned block (`metric::thin`), when one is made (`compaction`).

use super::{BlockEntry, Manifest};
use crate::block::{BlockId, Window};
use crate::metric::Resolution;
use crate::model::{Signal, TenantId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The blocks of metrics of one tenant and window.
#[derive(Debug, Default)]
pub(crate) struct Standing<'a> {
    /// Those that were written first first.
    pub(crate) raw: Vec<&'a Arc<BlockEntry>>,
    /// Those that stand for raw ones.
    pub(crate) thinned: BTreeMap<Resolution, &'a Arc<BlockEntry>>,
}

impl Manifest {
    /// The blocks of metrics, by tenant and window.
    pub(crate) fn standing(&self) -> BTreeMap<(&TenantId, Window), Standing<'_>> {
        let mut windows: BTreeMap<(&TenantId, Window), Standing<'_>> = BTreeMap::new();
        for entry in self.by_writing().filter(|entry| entry.signal == Signal::Metrics) {
            windows.entry((&entry.tenant, entry.window)).or_default().add(entry);
        }
        windows
    }

    /// Whether some block of metrics is thinned.
    pub(crate) fn has_thinned(&self) -> bool {
        self.blocks.values().any(|entry| !entry.resolution.is_raw())
    }
}

impl<'a> Standing<'a> {
    /// Adds a block that was written behind those that were added.
    pub(crate) fn add(&mut self, entry: &'a Arc<BlockEntry>) {
        if entry.resolution.is_raw() {
            self.raw.push(entry);
        } else {
            self.thinned.insert(entry.resolution, entry);
        }
    }

    /// The version until which every thinned block stands for what was written; `None` without such.
    pub(crate) fn covered(&self) -> Option<u64> {
        self.thinned.values().map(|entry| entry.written).min()
    }

    /// Whether the raw blocks have every sample (S2).
    pub(crate) fn is_whole(&self) -> bool {
        self.covered().is_none_or(|covered| self.raw.iter().any(|entry| entry.written <= covered))
    }

    /// The raw blocks for which every thinned one stands; none where there is no thinned one.
    pub(crate) fn stood_for(&self) -> Vec<&'a Arc<BlockEntry>> {
        let Some(covered) = self.covered() else { return Vec::new() };
        self.raw.iter().copied().filter(|entry| entry.written <= covered).collect()
    }

    /// The raw blocks for which a thinned one does not stand.
    pub(crate) fn late(&self, thinned: &BlockEntry) -> impl Iterator<Item = &'a Arc<BlockEntry>> {
        let written = thinned.written;
        self.raw.iter().copied().filter(move |entry| entry.written > written)
    }

    /// The blocks that a reader reads who looks at multiples of `every` milliseconds alone; 0 for one who looks at every sample.
    pub(crate) fn read(&self, every: i64, is_unread: impl Fn(&BlockId) -> bool) -> Vec<&'a Arc<BlockEntry>> {
        let fitting = |entry: &&&'a Arc<BlockEntry>| entry.resolution.divides(every) && !is_unread(&entry.id);
        let mut coarsest_first = self.thinned.values().rev();
        if self.is_whole() {
            let instead = coarsest_first.filter(fitting).find(|entry| self.late(entry).next().is_none());
            return instead.map_or_else(|| self.raw.clone(), |entry| vec![*entry]);
        }
        let finest = || self.thinned.values().find(|entry| !is_unread(&entry.id));
        let chosen = coarsest_first.find(fitting).or_else(finest).or_else(|| self.thinned.values().next());
        chosen.map_or_else(|| self.raw.clone(), |entry| [*entry].into_iter().chain(self.late(entry)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::entry;
    use super::*;

    fn block(id: u128, written: u64, seconds: u32) -> Arc<BlockEntry> {
        let resolution = Resolution::of_seconds(seconds).unwrap_or_default();
        Arc::new(BlockEntry { signal: Signal::Metrics, written, resolution, ..entry(id) })
    }

    fn read(blocks: &[Arc<BlockEntry>], every: i64, unread: &[u128]) -> Vec<u128> {
        let mut standing = Standing::default();
        blocks.iter().for_each(|block| standing.add(block));
        standing.read(every, |id| unread.contains(&id.0)).iter().map(|entry| entry.id.0).collect()
    }

    const MINUTE: i64 = 60_000;

    #[test]
    fn s1_s3_raw_blocks_or_one_that_stands_for_them_are_read() {
        let all = [block(1, 1, 0), block(2, 2, 0), block(3, 2, 300), block(4, 2, 3_600)];
        assert_eq!(read(&all, 0, &[]), [1, 2], "who looks at samples");
        assert_eq!(read(&all, MINUTE, &[]), [1, 2]);
        assert_eq!(read(&all, 5 * MINUTE, &[]), [3]);
        assert_eq!(read(&all, 60 * MINUTE, &[]), [4]);
        assert_eq!(read(&all, 60 * MINUTE, &[4]), [3], "damaged");
        assert_eq!(read(&all, 60 * MINUTE, &[3, 4]), [1, 2]);
        let late = [block(1, 1, 0), block(3, 1, 300), block(2, 2, 0), block(4, 2, 3_600)];
        assert_eq!(read(&late, 5 * MINUTE, &[]), [1, 2], "a row came late");
        assert_eq!(read(&late, 60 * MINUTE, &[]), [4]);
    }

    #[test]
    fn s1_where_raw_blocks_are_gone_the_finest_that_stands_for_them_is_read_with_what_came_since() {
        let gone = [block(3, 2, 300), block(4, 2, 3_600), block(5, 3, 0)];
        assert_eq!(read(&gone, 0, &[]), [3, 5]);
        assert_eq!(read(&gone, 7, &[]), [3, 5]);
        assert_eq!(read(&gone, 60 * MINUTE, &[]), [4, 5]);
        assert_eq!(read(&gone, 0, &[3]), [4, 5]);
        assert_eq!(read(&gone, 0, &[3, 4]), [3, 5], "it is told as missing");
        assert_eq!(read(&[block(1, 1, 0)], 0, &[]), [1]);
        assert_eq!(read(&[], 0, &[]), [] as [u128; 0]);
    }
}
