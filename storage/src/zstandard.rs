//! How is a Zstandard frame unpacked?
//!
//! By the thread's own decompressor: a new one for every frame takes as long as unpacking a small one.
//!
//! Not here: how much a frame may hold (whoever reads it), packing.

use std::cell::RefCell;
use std::io;
use zstd::bulk::Decompressor;

thread_local! {
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Unpacks a frame of at most `most` bytes.
pub(crate) fn unpack(packed: &[u8], most: usize) -> io::Result<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(decompressor) => decompressor,
            None => kept.insert(Decompressor::new()?),
        };
        decompressor.decompress(packed, most)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_frame_that_fails_the_next_is_unpacked() {
        let packed = zstd::bulk::compress(&[7; 1000], 3).unwrap();
        for _ in 0..2 {
            assert!(unpack(&packed, 999).is_err());
            assert!(unpack(&packed[..9], 1000).is_err());
            assert!(unpack(b"no frame", 1000).is_err());
            assert_eq!(unpack(&packed, 1000).unwrap(), [7; 1000]);
        }
    }
}
