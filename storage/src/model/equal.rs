//! Are two byte strings equal? Asked once per row, of texts that are mostly short or empty.
//!
//! The C library's comparison is not called for those: beyond the call it may cost a hundred nanoseconds for two empty slices, whose
//! dangling pointers make a masked load of a page that is not there (measured with glibc 2.36 on AVX-512).
//!
//! Not here: an order.

/// Whether two byte strings are equal.
#[inline]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    fn ends<const N: usize>(a: &[u8], b: &[u8]) -> bool {
        a.first_chunk::<N>() == b.first_chunk() && a.last_chunk::<N>() == b.last_chunk()
    }
    match a.len() {
        0..4 => a.iter().zip(b).all(|(a, b)| a == b),
        4..8 => ends::<4>(a, b),
        8..=16 => ends::<8>(a, b),
        17..=32 => ends::<16>(a, b),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn same_is_equality(a in proptest::collection::vec(0u8..2, 0..40), at: usize) {
            prop_assert!(same(&a, &a.clone()));
            let mut b = a.clone();
            prop_assert!(!same(&a, &[&b[..], b"x"].concat()));
            if !b.is_empty() {
                let at = at % b.len();
                b[at] ^= 1;
                prop_assert!(!same(&a, &b));
            }
        }
    }
}
