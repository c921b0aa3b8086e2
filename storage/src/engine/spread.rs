//! Which traces may have spans in more than one block?
//!
//! P1  Never too few: two blocks that hold spans of one trace are each told of the other. Of traces that lie in one block some are told,
//!     about one in twenty where there are fifty blocks; the filters of `keys.idx` then know nearly all of those.
//! P2  Costs time and memory by the number of traces, not of pairs of blocks, and reads `keys.idx` only. What was found for some blocks
//!     is kept for the next query of the same ones, as long as no index of theirs is lost (`Spreads`).
//!
//! Not here: where in a block the rows of a trace are (`index`).

use super::store::lock;
use crate::block::{BlockId, Shown};
use crate::error::Result;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// Entries that are sorted together: 32 MB. There are as many passes over all entries as are needed for that.
const MOST_ENTRIES: u64 = 2 << 20;
/// Bits of a hash by which the entries are cut into passes.
const LOW_BITS: u32 = 16;
/// Leading bits of a hash that are compared: of a block of 2^54 traces not all, but there is none.
const HIGH_BITS: u32 = 48;
/// How many are kept, and how many bytes these have at most.
const KEPT: usize = 4;
const KEPT_BYTES: usize = 16 << 20;

/// By block the rows at which such a trace begins, and the other blocks, ascending.
#[derive(Debug, Default)]
pub(super) struct Spread(Vec<Vec<(u32, u32)>>);

/// What is known of a trace of a block: the last bits of its hash, the first ones, the block's number, its first row; from the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry(u128);

impl Entry {
    fn new(low: u16, high: u64, bits: u32, block: u32, row: u32) -> Self {
        let high = match bits {
            0 => 0,
            bits if bits > HIGH_BITS => high >> (bits - HIGH_BITS),
            bits => high << (HIGH_BITS - bits),
        };
        Entry((u128::from(low) << 112) | (u128::from(high) << 64) | (u128::from(block) << 32) | u128::from(row))
    }

    fn low(self) -> u16 {
        u16::try_from(self.0 >> 112).unwrap_or(u16::MAX)
    }

    fn high(self) -> u64 {
        u64::try_from((self.0 >> 64) & ((1 << HIGH_BITS) - 1)).unwrap_or(u64::MAX)
    }

    fn block(self) -> u32 {
        u32::try_from((self.0 >> 32) & u128::from(u32::MAX)).unwrap_or(u32::MAX)
    }

    fn row(self) -> u32 {
        u32::try_from(self.0 & u128::from(u32::MAX)).unwrap_or(u32::MAX)
    }

    /// Whether a later one may be of the same trace, by so many of the first bits.
    fn may_equal(self, later: Entry, bits: u32) -> bool {
        let differing = (self.high() ^ later.high()) << (u64::BITS - HIGH_BITS);
        self.low() == later.low() && differing.leading_zeros() >= bits.min(HIGH_BITS)
    }
}

impl Spread {
    pub(super) fn memory_bytes(&self) -> usize {
        self.0.iter().map(|of_block| of_block.capacity() * size_of::<(u32, u32)>()).sum()
    }

    /// The other blocks that may have spans of the trace that begins in a row of a block.
    pub(super) fn others(&self, block: usize, row: usize) -> impl Iterator<Item = usize> {
        let of_block = self.0.get(block).map(Vec::as_slice).unwrap_or_default();
        let first = of_block.partition_point(|(begins, _)| (*begins as usize) < row);
        let of_row = of_block.iter().skip(first).take_while(move |(begins, _)| *begins as usize == row);
        of_row.map(|(_, other)| *other as usize)
    }
}

/// What was found for some lists of blocks, those that were asked last last.
#[derive(Debug, Default)]
pub(super) struct Spreads(Mutex<VecDeque<(Vec<BlockId>, Arc<Spread>)>>);

impl Spreads {
    /// What was found for just these blocks.
    pub(super) fn of(&self, blocks: &[Shown]) -> Option<Arc<Spread>> {
        if blocks.iter().any(|block| block.block.lost_part().is_some()) {
            return None;
        }
        let mut kept = lock(&self.0);
        let is_of_these = |(ids, _): &(Vec<BlockId>, _)| ids.iter().eq(blocks.iter().map(|block| &block.id));
        let place = kept.iter().position(is_of_these)?;
        let found = kept.remove(place)?;
        let spread = Arc::clone(&found.1);
        kept.push_back(found);
        Some(spread)
    }

    /// Keeps what was found.
    pub(super) fn keep(&self, blocks: &[Shown], spread: &Arc<Spread>) {
        let mut kept = lock(&self.0);
        kept.push_back((blocks.iter().map(|block| block.id).collect(), Arc::clone(spread)));
        let bytes = |kept: &VecDeque<(Vec<BlockId>, Arc<Spread>)>| -> usize {
            kept.iter().map(|(ids, spread)| size_of_val(ids.as_slice()) + spread.memory_bytes()).sum()
        };
        while kept.len() > KEPT || bytes(&kept) > KEPT_BYTES {
            kept.pop_front();
        }
    }
}

/// Finds that out block by block, and pass by pass.
#[derive(Debug)]
pub(super) struct SpreadBuilder {
    passes: u64,
    pass: u64,
    /// The block that comes next.
    next: usize,
    /// What is known of the traces of some blocks whose last bits belong to the pass.
    entries: Vec<Entry>,
    /// How many bits of a hash each block knows.
    bits: Vec<u32>,
    found: Vec<Vec<(u32, u32)>>,
    /// Whether the index of a block is lost, so that nothing can be told.
    is_lost: bool,
}

impl SpreadBuilder {
    pub(super) fn new(blocks: &[Shown]) -> Self {
        let traces: u64 = blocks.iter().filter_map(|block| block.meta().traces).sum();
        SpreadBuilder {
            passes: traces.div_ceil(MOST_ENTRIES).clamp(1, 1 << LOW_BITS),
            pass: 0,
            next: 0,
            entries: Vec::new(),
            bits: vec![0; blocks.len()],
            found: vec![Vec::new(); blocks.len()],
            is_lost: false,
        }
    }

    /// Walks through the index of one more of these blocks, always the same; false after the last one of the last pass.
    pub(super) fn advance(&mut self, blocks: &[Shown]) -> Result<bool> {
        if self.is_lost || self.pass == self.passes {
            return Ok(false);
        }
        let Some((block, bits)) = blocks.get(self.next).zip(self.bits.get_mut(self.next)) else {
            self.entries.sort_unstable();
            note_pairs(&self.entries, &self.bits, &mut self.found);
            self.entries.clear();
            (self.pass, self.next) = (self.pass + 1, 0);
            return Ok(self.pass < self.passes);
        };
        let (pass, passes, entries) = (self.pass, self.passes, &mut self.entries);
        let number = u32::try_from(self.next).unwrap_or(u32::MAX);
        let walked = block.walk_traces(|hash, rows| {
            *bits = hash.bits;
            if (u64::from(hash.low) * passes) >> LOW_BITS == pass
                && let Some(row) = rows.first().and_then(|rows| u32::try_from(rows.start).ok())
            {
                entries.push(Entry::new(hash.low, hash.high, hash.bits, number, row));
            }
        })?;
        self.is_lost = !walked;
        self.next += 1;
        Ok(walked)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let found = self.found.iter().map(|of_block| of_block.capacity() * size_of::<(u32, u32)>());
        self.entries.capacity() * size_of::<Entry>() + found.sum::<usize>()
    }

    /// What was found; `None` where the index of a block is lost.
    pub(super) fn finish(mut self) -> Option<Spread> {
        for of_block in &mut self.found {
            of_block.sort_unstable();
            of_block.dedup();
            of_block.shrink_to_fit();
        }
        (!self.is_lost).then_some(Spread(self.found))
    }
}

/// Of sorted entries: what shares its first bits with a shorter one stands right behind it.
fn note_pairs(entries: &[Entry], bits: &[u32], found: &mut [Vec<(u32, u32)>]) {
    for (place, entry) in entries.iter().enumerate() {
        let known = bits.get(entry.block() as usize).copied().unwrap_or(0);
        let later = entries.iter().skip(place + 1).take_while(|later| entry.may_equal(**later, known));
        for other in later.filter(|other| other.block() != entry.block()) {
            for (one, another) in [(entry, other), (other, entry)] {
                if let Some(of_block) = found.get_mut(one.block() as usize) {
                    of_block.push((one.row(), another.block()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn p1_all_that_may_be_equal_are_found(
            hashes in proptest::collection::vec((0u64..40, 0usize..4), 0..60), bits in proptest::collection::vec(0u32..6, 4),
        ) {
            // Hashes of few bits, at both ends, so that many agree.
            let hash = |number: u64| ((number % 8) << 61) | (number / 8);
            let mut entries = Vec::new();
            for (row, &(number, block)) in (0u32..).zip(&hashes) {
                let (hash, bits) = (hash(number), bits[block]);
                let high = hash.checked_shr(64 - bits).unwrap_or(0);
                entries.push(Entry::new(hash as u16, high, bits, block as u32, row));
            }
            entries.sort_unstable();
            let mut found = vec![Vec::new(); 4];
            note_pairs(&entries, &bits, &mut found);
            for (row, &(number, block)) in (0u32..).zip(&hashes) {
                for &(other, in_block) in hashes.iter().filter(|(_, in_block)| *in_block != block) {
                    let known = bits[block].min(bits[in_block]);
                    let agree = (hash(number) ^ hash(other)).leading_zeros() >= known && hash(number) as u16 == hash(other) as u16;
                    prop_assert_eq!(found[block].contains(&(row, in_block as u32)), hashes.iter().any(|&(any, b)| {
                        b == in_block && (hash(number) ^ hash(any)).leading_zeros() >= known && hash(number) as u16 == hash(any) as u16
                    }));
                    prop_assert!(!agree || found[block].contains(&(row, in_block as u32)));
                }
            }
        }
    }
}
