//! How is a snappy block unpacked without believing what it says about its length?
//!
//! Z1  No more memory is taken than the block can fill: its densest item makes 64 bytes out of 3.

/// The most that a byte of a block becomes, rounded up.
const MOST_GROWTH: usize = 22;

/// Why bytes are no snappy block, or too large a one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SnappyError {
    #[error("the body is not a valid snappy block: {0}")]
    Malformed(String),
    #[error("the snappy block says that it unpacks to {claimed} bytes, more than its {found} bytes can hold")]
    Lie { claimed: usize, found: usize },
    #[error("the snappy block unpacks to {claimed} bytes, more than the {limit} allowed")]
    TooLarge { claimed: usize, limit: usize },
}

/// How long the block is once unpacked.
pub(crate) fn length(block: &[u8], limit: usize) -> Result<usize, SnappyError> {
    let claimed = snap::raw::decompress_len(block).map_err(|error| SnappyError::Malformed(error.to_string()))?;
    if claimed > limit {
        return Err(SnappyError::TooLarge { claimed, limit });
    }
    if claimed > block.len().saturating_mul(MOST_GROWTH) {
        return Err(SnappyError::Lie { claimed, found: block.len() });
    }
    Ok(claimed)
}

/// Unpacks a block.
pub(crate) fn unpack(block: &[u8], limit: usize) -> Result<Vec<u8>, SnappyError> {
    let mut out = vec![0; length(block, limit)?];
    let unpacked = snap::raw::Decoder::new().decompress(block, &mut out);
    let written = unpacked.map_err(|error| SnappyError::Malformed(error.to_string()))?;
    out.truncate(written);
    Ok(out)
}

/// Packs a message; `None` where it is too long for a block.
pub(crate) fn pack(message: &[u8]) -> Option<Vec<u8>> {
    snap::raw::Encoder::new().compress_vec(message).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn z1_a_length_that_cannot_be_true_is_refused_before_memory_is_taken() {
        // A length of 4 GiB - 1, and one literal byte.
        let lying = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, b'a'];
        assert!(matches!(unpack(&lying, usize::MAX), Err(SnappyError::Lie { found: 7, .. })));
        assert!(matches!(unpack(&lying, 1_000), Err(SnappyError::TooLarge { limit: 1_000, .. })));
        // Short lies are found in unpacking.
        assert!(matches!(unpack(&[9, 0x00, b'a'], 100), Err(SnappyError::Malformed(_))));
        for bad in [&[][..], &[0xff], &[0xff; 11]] {
            assert!(matches!(unpack(bad, 100), Err(SnappyError::Malformed(_))), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn z1_what_was_packed_is_unpacked(bytes in proptest::collection::vec(0u8..4, 0..4_000), times in 1usize..200) {
            let message = bytes.repeat(times);
            let packed = pack(&message).unwrap();
            prop_assert_eq!(unpack(&packed, usize::MAX), Ok(message));
        }

        #[test]
        fn any_bytes_are_unpacked_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            drop(unpack(&bytes, 1 << 20));
        }
    }
}
