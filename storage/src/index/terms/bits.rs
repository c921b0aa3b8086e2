//! How are small numbers written with as few bits as they need? Fixed widths, Elias gamma and Rice codes, lowest bit first.
//!
//! N1  What was written is read back. Reading beyond the end, or what was never written, gives `None`, not a panic.

/// Longer quotients of a Rice code are escaped: the number follows in full.
const LONGEST_QUOTIENT: u32 = 24;

/// Bits in the making.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    out: Vec<u8>,
    pending: u64,
    bits: u32,
}

impl BitWriter {
    /// Writes the low `width` bits, at most 32, of a value that has no others.
    pub(super) fn put(&mut self, value: u64, width: u32) {
        self.pending |= value << self.bits;
        self.bits += width;
        if self.bits >= 32 {
            self.out.extend_from_slice(&self.pending.to_le_bytes()[..4]);
            self.pending >>= 32;
            self.bits -= 32;
        }
    }

    /// Writes a number from 1 to 2^32 - 1, with 2 log2 + 1 bits.
    pub(super) fn put_gamma(&mut self, value: u64) {
        let bits = value.max(1).ilog2();
        self.put(1 << bits, bits + 1);
        self.put(value & ((1 << bits) - 1), bits);
    }

    /// Writes a number of at most 64 bits, best with about `shift` bits more than the shift.
    pub(super) fn put_rice(&mut self, value: u64, shift: u32) {
        let quotient = value >> shift;
        if quotient >= u64::from(LONGEST_QUOTIENT) {
            self.put((1 << LONGEST_QUOTIENT) - 1, LONGEST_QUOTIENT);
            self.put(value & u64::from(u32::MAX), 32);
            self.put(value >> 32, 32);
            return;
        }
        // So many ones, then a zero.
        self.put((1 << quotient) - 1, u32::try_from(quotient).unwrap_or(0) + 1);
        self.put(value & ((1 << shift) - 1), shift);
    }

    /// The bytes; the last one is filled up with zeros.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let bytes = self.bits.div_ceil(8) as usize;
        self.out.extend_from_slice(&self.pending.to_le_bytes()[..bytes]);
        self.out
    }
}

/// Bits to read.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        BitReader { bytes, at: 0 }
    }

    /// The next 56 bits or more, zeros beyond the end.
    fn peek(&self) -> u64 {
        let from = self.bytes.get(self.at / 8..).unwrap_or_default();
        let word = match from.first_chunk::<8>() {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => from.iter().rev().fold(0, |word, &byte| (word << 8) | u64::from(byte)),
        };
        word >> (self.at % 8)
    }

    fn skip(&mut self, bits: u32) -> Option<()> {
        self.at += bits as usize;
        (self.at <= self.bytes.len() * 8).then_some(())
    }

    /// Reads `width` bits, at most 32.
    pub(super) fn take(&mut self, width: u32) -> Option<u64> {
        let value = self.peek() & ((1u64 << width) - 1);
        self.skip(width)?;
        Some(value)
    }

    pub(super) fn take_gamma(&mut self) -> Option<u64> {
        let bits = self.peek().trailing_zeros();
        if bits > 32 {
            return None;
        }
        self.skip(bits + 1)?;
        Some((1 << bits) | self.take(bits)?)
    }

    pub(super) fn take_rice(&mut self, shift: u32) -> Option<u64> {
        let quotient = self.peek().trailing_ones().min(LONGEST_QUOTIENT);
        if quotient == LONGEST_QUOTIENT {
            self.skip(quotient)?;
            return Some(self.take(32)? | self.take(32)? << 32);
        }
        self.skip(quotient + 1)?;
        Some(u64::from(quotient) << shift | self.take(shift)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Code {
        Fixed(u64, u32),
        Gamma(u64),
        Rice(u64, u32),
    }

    fn any_code() -> impl Strategy<Value = Code> {
        prop_oneof![
            (any::<u32>(), 0u32..=32)
                .prop_map(|(value, width)| Code::Fixed(u64::from(value) & ((1 << width) - 1), width)),
            (1u64..1 << 32).prop_map(Code::Gamma),
            (1u64..9).prop_map(Code::Gamma),
            (any::<u64>(), 0u32..=32).prop_map(|(value, shift)| Code::Rice(value, shift)),
            (0u64..900, 0u32..8).prop_map(|(value, shift)| Code::Rice(value, shift)),
        ]
    }

    proptest! {
        #[test]
        fn n1_what_was_written_is_read_back(codes in proptest::collection::vec(any_code(), 0..60)) {
            let mut writer = BitWriter::default();
            for code in &codes {
                match *code {
                    Code::Fixed(value, width) => writer.put(value, width),
                    Code::Gamma(value) => writer.put_gamma(value),
                    Code::Rice(value, shift) => writer.put_rice(value, shift),
                }
            }
            let bytes = writer.finish();
            let mut reader = BitReader::new(&bytes);
            for code in codes {
                match code {
                    Code::Fixed(value, width) => prop_assert_eq!(reader.take(width), Some(value)),
                    Code::Gamma(value) => prop_assert_eq!(reader.take_gamma(), Some(value)),
                    Code::Rice(value, shift) => prop_assert_eq!(reader.take_rice(shift), Some(value)),
                }
            }
            prop_assert!(reader.take(8).is_none());
        }

        #[test]
        fn n1_any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40), shift in 0u32..=32) {
            let mut reader = BitReader::new(&bytes);
            while reader.take_rice(shift).and_then(|_| reader.take_gamma()).is_some() {}
        }
    }
}
