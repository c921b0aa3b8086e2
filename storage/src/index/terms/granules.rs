//! Which granules of a block? A set of their numbers.

use std::ops::Range;

/// A set of granules, by number, of a block with so many of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Granules {
    words: Vec<u64>,
    len: usize,
}

impl Granules {
    /// No granule of so many.
    pub(crate) fn none(len: usize) -> Self {
        Granules { words: vec![0; len.div_ceil(64)], len }
    }

    /// How many are in the set.
    pub(crate) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether no granule is in the set.
    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// Whether the set is more than a third of the granules: then reading all of them costs little more.
    pub(crate) fn are_most(&self) -> bool {
        are_most(self.count(), self.len)
    }

    /// Whether a granule is in the set.
    pub(crate) fn contains(&self, granule: usize) -> bool {
        self.words.get(granule / 64).is_some_and(|word| word >> (granule % 64) & 1 == 1)
    }

    /// Adds a granule; one beyond the block's is none.
    pub(crate) fn insert(&mut self, granule: usize) {
        if granule < self.len
            && let Some(word) = self.words.get_mut(granule / 64)
        {
            *word |= 1 << (granule % 64);
        }
    }

    /// Adds granules that follow each other.
    pub(crate) fn insert_range(&mut self, granules: Range<usize>) {
        let end = granules.end.min(self.len);
        (granules.start..end).for_each(|granule| self.insert(granule));
    }

    /// Adds those of another set.
    pub(crate) fn unite(&mut self, other: &Granules) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word |= other);
    }

    /// Keeps those that are in another set too.
    pub(crate) fn intersect(&mut self, other: &Granules) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
    }
}

/// Whether so many granules of all are more than a third.
pub(super) fn are_most(count: usize, all: usize) -> bool {
    count * 3 > all
}
