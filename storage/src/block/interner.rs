//! Which distinct values are there? Each gets a number in the order of first appearance.

use crate::model::same;
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

    /// Bytes of memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        (self.slots.capacity() + self.hashes.capacity() + self.ends.capacity()) * 8 + self.bytes.capacity()
    }

    /// The byte string of a number.
    pub(crate) fn get(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let Some(&end) = self.ends.get(number) else { return &[] };
        let start = number.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// All byte strings, by their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let value = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            value
        })
    }

    /// The number of a byte string, a new one if it was not seen before.
    pub(crate) fn intern(&mut self, value: &[u8]) -> u32 {
        if !self.ends.is_empty() && same(self.get(self.last), value) {
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
            if (slot ^ hash) & UPPER == 0 && same(self.get(number), value) {
                self.last = number;
                return number;
            }
            at = (at + 1) & mask;
        }
        self.insert(at, hash, value)
    }

    /// The number of a byte string that was seen before.
    pub(crate) fn find(&self, value: &[u8]) -> Option<u32> {
        let hash = xxh3_64(value);
        let mask = self.slots.len() - 1;
        let mut at = slot(hash, mask);
        loop {
            let slot = self.slots[at];
            if slot == EMPTY {
                return None;
            }
            let number = lower(slot);
            if (slot ^ hash) & UPPER == 0 && same(self.get(number), value) {
                return Some(number);
            }
            at = (at + 1) & mask;
        }
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

/// Distinct integers, numbered.
#[derive(Debug, Default)]
pub(crate) struct IntegerInterner {
    /// Open addressing: value and number.
    slots: Vec<(u64, u32)>,
    values: Vec<u64>,
}

impl IntegerInterner {
    /// The distinct integers, by their numbers.
    pub(crate) fn values(&self) -> &[u64] {
        &self.values
    }

    /// The number of an integer, a new one if it was not seen before.
    #[inline]
    pub(crate) fn intern(&mut self, value: u64) -> u32 {
        const FREE: u32 = u32::MAX;
        if self.values.len() * 2 >= self.slots.len() {
            self.slots.clear();
            self.slots.resize((self.values.len() * 4).next_power_of_two().max(FIRST_SLOTS), (0, FREE));
            for (&value, number) in self.values.iter().zip(0u32..) {
                let at = Self::place(&self.slots, value);
                self.slots[at] = (value, number);
            }
        }
        let at = Self::place(&self.slots, value);
        let (_, number) = self.slots[at];
        if number != FREE {
            return number;
        }
        #[expect(clippy::cast_possible_truncation, reason = "a block has fewer than 2^32 - 1 rows")]
        let number = self.values.len() as u32;
        self.values.push(value);
        self.slots[at] = (value, number);
        number
    }

    /// Where a value is, or would be.
    #[inline]
    fn place(slots: &[(u64, u32)], value: u64) -> usize {
        // Fibonacci hashing; the upper bits of the product are the mixed ones.
        let mask = slots.len() - 1;
        let mut at = slot(value.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32, mask);
        while slots[at].1 != u32::MAX && slots[at].0 != value {
            at = (at + 1) & mask;
        }
        at
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
                prop_assert_eq!(interner.find(value.as_bytes()), Some(number));
            }
            prop_assert_eq!(interner.find(b"c"), None);
            let distinct: std::collections::BTreeSet<_> = values.iter().collect();
            prop_assert_eq!(interner.len(), distinct.len());
            prop_assert_eq!(interner.iter().map(<[u8]>::len).sum::<usize>(), interner.bytes_len());
        }

        #[test]
        fn equal_integers_have_one_number_and_others_another(values in proptest::collection::vec(0u64..200, 0..900)) {
            let mut interner = IntegerInterner::default();
            let numbers: Vec<u32> = values.iter().map(|&value| interner.intern(value << 40)).collect();
            for (value, &number) in values.iter().zip(&numbers) {
                prop_assert_eq!(interner.values()[number as usize], value << 40);
            }
            let distinct: std::collections::BTreeSet<_> = values.iter().collect();
            prop_assert_eq!(interner.values().len(), distinct.len());
        }
    }
}
