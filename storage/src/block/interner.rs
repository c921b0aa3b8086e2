//! Which distinct byte strings are there? Each gets a number in the order of first appearance.

use xxhash_rust::xxh3::xxh3_64;

const EMPTY: u64 = u64::MAX;
const UPPER: u64 = 0xffff_ffff_0000_0000;
const FIRST_SLOTS: usize = 64;

/// Distinct byte strings, numbered.
#[derive(Debug, Clone)]
pub(crate) struct Interner {
    /// Open addressing: the upper half of the hash above the number.
    slots: Vec<u64>,
    hashes: Vec<u64>,
    ends: Vec<usize>,
    bytes: Vec<u8>,
    last: u32,
}

impl Default for Interner {
    fn default() -> Self {
        Interner { slots: vec![EMPTY; FIRST_SLOTS], hashes: Vec::new(), ends: Vec::new(), bytes: Vec::new(), last: 0 }
    }
}

impl Interner {
    /// How many distinct ones there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all of them together.
    pub(crate) fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    /// The byte string of a number.
    pub(crate) fn get(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let Some(&end) = self.ends.get(number) else { return &[] };
        let start = number.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// All byte strings, by their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let value = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            value
        })
    }

    /// The number of a byte string, a new one if it was not seen before.
    pub(crate) fn intern(&mut self, value: &[u8]) -> u32 {
        if !self.ends.is_empty() && self.get(self.last) == value {
            return self.last;
        }
        let hash = xxh3_64(value);
        let mask = self.slots.len() - 1;
        let mut at = slot(hash, mask);
        loop {
            let slot = self.slots[at];
            if slot == EMPTY {
                break;
            }
            let number = lower(slot);
            if (slot ^ hash) & UPPER == 0 && self.get(number) == value {
                self.last = number;
                return number;
            }
            at = (at + 1) & mask;
        }
        self.insert(at, hash, value)
    }

    #[cold]
    fn insert(&mut self, at: usize, hash: u64, value: &[u8]) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "a block has fewer than 2^32 - 1 rows")]
        let number = self.ends.len() as u32;
        self.slots[at] = (hash & UPPER) | u64::from(number);
        self.hashes.push(hash);
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
        self.last = number;
        if self.ends.len() * 2 > self.slots.len() {
            self.grow();
        }
        number
    }

    fn grow(&mut self) {
        let slots = self.slots.len() * 4;
        self.slots.clear();
        self.slots.resize(slots, EMPTY);
        for (number, &hash) in (0u64..).zip(&self.hashes) {
            let mut at = slot(hash, slots - 1);
            while self.slots[at] != EMPTY {
                at = (at + 1) & (slots - 1);
            }
            self.slots[at] = (hash & UPPER) | number;
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the mask keeps the low bits only")]
fn slot(hash: u64, mask: usize) -> usize {
    hash as usize & mask
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
fn lower(slot: u64) -> u32 {
    slot as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equal_strings_have_one_number_and_others_another(values in proptest::collection::vec("[ab]{0,6}", 0..400)) {
            let mut interner = Interner::default();
            let numbers: Vec<u32> = values.iter().map(|value| interner.intern(value.as_bytes())).collect();
            for (value, &number) in values.iter().zip(&numbers) {
                prop_assert_eq!(interner.get(number), value.as_bytes());
            }
            let distinct: std::collections::BTreeSet<_> = values.iter().collect();
            prop_assert_eq!(interner.len(), distinct.len());
            prop_assert_eq!(interner.iter().map(<[u8]>::len).sum::<usize>(), interner.bytes_len());
        }
    }
}
