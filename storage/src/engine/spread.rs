//! Which traces may have spans in more than one block?
//!
//! P1  Never too few: two blocks that hold spans of one trace are each told of the other. Of traces that lie in one block some are told,
//!     about one in twenty where there are fifty blocks; the filters of `keys.idx` then know nearly all of those.
//! P2  Costs time and memory by the number of traces, not of pairs of blocks, and reads `keys.idx` only.
//!
//! Not here: where in a block the rows of a trace are (`index`).

use crate::block::Shown;
use crate::error::Result;

/// Entries that are sorted together: 32 MB. There are as many passes over all entries as are needed for that.
const MOST_ENTRIES: u64 = 2 << 20;
/// Bits of a hash by which the entries are cut into passes.
const LOW_BITS: u32 = 16;
/// Leading bits of a hash that are compared: of a block of 2^54 traces not all, but there is none.
const HIGH_BITS: u32 = 48;

/// By block the rows at which such a trace begins, and the other blocks, ascending.
#[derive(Debug, Default)]
pub(super) struct Spread(Vec<Vec<(u32, u32)>>);

/// What is known of a trace of a block: the last bits of its hash, the first ones, the block's number, its first row; from the top.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
    /// Of some blocks; `None` where the index of one is lost.
    pub(super) fn of(blocks: &[Shown]) -> Result<Option<Self>> {
        let traces: u64 = blocks.iter().filter_map(|block| block.meta().traces).sum();
        let passes = traces.div_ceil(MOST_ENTRIES).clamp(1, 1 << LOW_BITS);
        let mut found: Vec<Vec<(u32, u32)>> = vec![Vec::new(); blocks.len()];
        for pass in 0..passes {
            let Some((mut entries, bits)) = entries(blocks, (pass, passes))? else { return Ok(None) };
            entries.sort_unstable();
            note_pairs(&entries, &bits, &mut found);
        }
        for of_block in &mut found {
            of_block.sort_unstable();
            of_block.dedup();
        }
        Ok(Some(Spread(found)))
    }

    /// The other blocks that may have spans of the trace that begins in a row of a block.
    pub(super) fn others(&self, block: usize, row: usize) -> impl Iterator<Item = usize> {
        let of_block = self.0.get(block).map(Vec::as_slice).unwrap_or_default();
        let first = of_block.partition_point(|(begins, _)| (*begins as usize) < row);
        let of_row = of_block.iter().skip(first).take_while(move |(begins, _)| *begins as usize == row);
        of_row.map(|(_, other)| *other as usize)
    }
}

/// What is known of the traces of some blocks whose last bits belong to a pass, and how many bits each block knows.
fn entries(blocks: &[Shown], (pass, passes): (u64, u64)) -> Result<Option<(Vec<Entry>, Vec<u32>)>> {
    let mut entries = Vec::new();
    let mut bits = vec![0; blocks.len()];
    for ((number, block), known) in (0u32..).zip(blocks).zip(&mut bits) {
        let walked = block.walk_traces(|hash, rows| {
            *known = hash.bits;
            if (u64::from(hash.low) * passes) >> LOW_BITS == pass
                && let Some(row) = rows.first().and_then(|rows| u32::try_from(rows.start).ok())
            {
                entries.push(Entry::new(hash.low, hash.high, hash.bits, number, row));
            }
        })?;
        if !walked {
            return Ok(None);
        }
    }
    Ok(Some((entries, bits)))
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
