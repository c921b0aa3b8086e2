//! What became of a block once the manifest let go of it?
//!
//! Rows in memory that a block holds already are left out of answers. They need to know when retention has taken that block, or
//! one that it was merged into, or when it went into quarantine: from then on they are the only ones.
//!
//! Not here: who decides it (`engine::publish`).

use std::sync::{Arc, OnceLock};

/// The fate of a block's rows. Clones are the same fate.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fate(Arc<OnceLock<End>>);

#[derive(Debug)]
enum End {
    /// They are in another block.
    Merged(Fate),
    /// Retention took them, or they cannot be read, from this version of the manifest on.
    Expired(u64),
}

impl Fate {
    /// The rows are in another block now. Only the first end counts.
    pub(crate) fn merge_into(&self, other: &Fate) {
        self.0.get_or_init(|| End::Merged(other.clone()));
    }

    /// Retention took the rows with a version of the manifest, or their block went into quarantine.
    pub(crate) fn expire(&self, version: u64) {
        self.0.get_or_init(|| End::Expired(version));
    }

    /// Whether the rows are gone, to who sees this version of the manifest.
    pub(crate) fn is_expired(&self, seen: u64) -> bool {
        let mut fate = self;
        loop {
            match fate.0.get() {
                None => return false,
                Some(End::Merged(into)) => fate = into,
                Some(End::Expired(version)) => return *version <= seen,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_expire_with_the_block_that_they_were_merged_into_for_who_sees_it() {
        let [first, second, third] = [Fate::default(), Fate::default(), Fate::default()];
        first.merge_into(&second);
        second.merge_into(&third);
        assert!(!first.is_expired(u64::MAX));
        third.expire(7);
        assert_eq!([6, 7, 8].map(|seen| first.is_expired(seen)), [false, true, true]);
        third.merge_into(&Fate::default());
        assert!(third.is_expired(7));
    }
}
