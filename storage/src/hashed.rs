//! How does a table look up keys that are hashes? By their own bits: hashing them once more would be in vain.
//!
//! Not here: what is hashed, and whether two of one hash are the same. Only for hashes that are well mixed, in all of their bits.

use std::hash::{BuildHasherDefault, Hasher};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// For a `HashSet` or `HashMap` whose keys are hashes of 64 or 128 bits.
pub type AsIs = BuildHasherDefault<Bits>;

/// Takes a hash as its own.
#[derive(Debug, Default, Clone, Copy)]
pub struct Bits(u64);

impl Hasher for Bits {
    fn finish(&self) -> u64 {
        self.0
    }

    /// Any other key is hashed.
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = (value >> 64) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasher;

    #[test]
    fn hashes_are_taken_as_they_are_and_texts_are_hashed() {
        let hasher = AsIs::default();
        assert_eq!(hasher.hash_one(7_u64), 7);
        assert_eq!(hasher.hash_one(7_u128 << 64 | 9), 7);
        assert_ne!(hasher.hash_one("a"), hasher.hash_one("b"));
    }
}
