//! Which trace id and span id does the n-th trace or span get?
//!
//! Ids are counted and then permuted by a keyed Feistel network, never drawn: they look random, and they cannot repeat.
//! A **generation** is one pass of a load client over its pool of prepared requests: the same number in another
//! generation is another id, and the network can be run backwards, so that ids inside encoded bytes can be re-stamped.
//!
//! Invariants
//! - I1: for one seed, `(generation, number)` → trace id is injective over all 2^128 pairs.
//! - I2: for one seed, `(generation, number)` → span id is injective for generation < 2^24 and number < 2^40.
//! - I3: `trace_number` and `span_number` undo `trace_id` and `span_id`.
//!
//! An all-zero id is not valid in OTLP. It would be the image of one input in 2^128 (2^64 for spans); numbers start at 1
//! and that input is not avoided.

use crate::random::mix;

/// Generations that a span id can tell apart.
pub const GENERATIONS: u64 = 1 << 24;
const SPAN_NUMBER_BITS: u32 = 40;
const ROUNDS: usize = 4;

/// The permutations of one seed.
#[derive(Debug, Clone)]
pub struct Identity {
    keys: [u64; ROUNDS],
}

impl Identity {
    /// The permutations that belong to this seed.
    pub fn new(seed: u64) -> Self {
        let mut keys = [0; ROUNDS];
        let mut key = mix(seed ^ 0x7370_616e_6c69_6768);
        for slot in &mut keys {
            key = mix(key);
            *slot = key;
        }
        Self { keys }
    }

    /// The id of a trace.
    pub fn trace_id(&self, generation: u64, number: u64) -> [u8; 16] {
        let (mut left, mut right) = (generation, number);
        for key in self.keys {
            (left, right) = (right, left ^ mix(right ^ key));
        }
        ((u128::from(left) << 64) | u128::from(right)).to_be_bytes()
    }

    /// The `(generation, number)` that a trace id was made of.
    pub fn trace_number(&self, id: [u8; 16]) -> (u64, u64) {
        let word = u128::from_be_bytes(id);
        let (mut left, mut right) = ((word >> 64) as u64, word as u64);
        for key in self.keys.iter().rev() {
            (left, right) = (right ^ mix(left ^ key), left);
        }
        (left, right)
    }

    /// The id of a span.
    pub fn span_id(&self, generation: u64, number: u64) -> [u8; 8] {
        let word = (generation << SPAN_NUMBER_BITS) | (number & ((1 << SPAN_NUMBER_BITS) - 1));
        let (mut left, mut right) = ((word >> 32) as u32, word as u32);
        for key in self.keys {
            (left, right) = (right, left ^ half(right, key));
        }
        ((u64::from(left) << 32) | u64::from(right)).to_be_bytes()
    }

    /// The `(generation, number)` that a span id was made of.
    pub fn span_number(&self, id: [u8; 8]) -> (u64, u64) {
        let word = u64::from_be_bytes(id);
        let (mut left, mut right) = ((word >> 32) as u32, word as u32);
        for key in self.keys.iter().rev() {
            (left, right) = (right ^ half(left, *key), left);
        }
        let word = (u64::from(left) << 32) | u64::from(right);
        (word >> SPAN_NUMBER_BITS, word & ((1 << SPAN_NUMBER_BITS) - 1))
    }
}

fn half(word: u32, key: u64) -> u32 {
    (mix(u64::from(word) ^ key) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn i3_ids_can_be_undone(seed: u64, generation in 0..GENERATIONS, number in 0_u64..1 << SPAN_NUMBER_BITS, wide: u64) {
            let identity = Identity::new(seed);
            prop_assert_eq!(identity.trace_number(identity.trace_id(wide, number)), (wide, number));
            prop_assert_eq!(identity.span_number(identity.span_id(generation, number)), (generation, number));
        }
    }

    #[test]
    fn neighbouring_numbers_give_unlike_ids() {
        let identity = Identity::new(1);
        for number in 1..200_u64 {
            let near =
                u64::from_be_bytes(identity.span_id(0, number)) ^ u64::from_be_bytes(identity.span_id(0, number + 1));
            assert!(near.count_ones() > 8, "spans {number}");
            let near =
                u128::from_be_bytes(identity.trace_id(0, number)) ^ u128::from_be_bytes(identity.trace_id(1, number));
            assert!(near.count_ones() > 24, "traces {number}");
        }
    }
}
