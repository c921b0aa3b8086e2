//! How do runs of numbers and bytes lie in `bodies`? As sections: compressed where that pays.
//!
//! ```text
//! section := varint(raw length × 2 + compressed) [varint(length)] bytes
//! numbers := varint(zigzag(least)) [layout [section]]   no layout of no numbers, no section where all are the least
//! layout  := bytes per number + 16 × order             order 0: all lowest bytes, then all next ones; 1: number by number
//! ```
//!
//! N1  The reader knows from elsewhere how many numbers there are.
//!
//! Not here: what the numbers mean (`column`).

use crate::model::record::{put_varint, take_varint};
use std::io;

/// Shorter sections are not compressed.
const LEAST_COMPRESSED: usize = 48;
/// No section is longer, before compression. A granule holds far less.
const LONGEST: usize = 1 << 30;
const INTERLEAVED: u8 = 16;

/// Writes sections.
pub(super) struct Packer {
    zstd: zstd::bulk::Compressor<'static>,
    compressed: Vec<u8>,
    trial: Vec<u8>,
    planes: Vec<u8>,
}

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packer").finish_non_exhaustive()
    }
}

impl Packer {
    pub(super) fn new(level: i32) -> io::Result<Self> {
        let mut zstd = zstd::bulk::Compressor::new(level)?;
        // The section tells the length, and the block has checksums of its own.
        zstd.set_parameter(zstd::zstd_safe::CParameter::ContentSizeFlag(false))?;
        Ok(Packer { zstd, compressed: Vec::new(), trial: Vec::new(), planes: Vec::new() })
    }

    /// Appends a section.
    pub(super) fn put(&mut self, out: &mut Vec<u8>, raw: &[u8]) -> io::Result<()> {
        let compressed = compress(&mut self.zstd, raw, &mut self.compressed)?;
        put_section(out, raw, compressed.then_some(&self.compressed));
        Ok(())
    }

    /// Appends numbers.
    pub(super) fn put_numbers(&mut self, out: &mut Vec<u8>, numbers: &[i64]) -> io::Result<()> {
        let least = numbers.iter().copied().min().unwrap_or(0);
        put_varint(out, zigzag(least));
        let above = |number: i64| number.wrapping_sub(least).cast_unsigned();
        let bits = u64::BITS - numbers.iter().fold(0, |all, &number| all | above(number)).leading_zeros();
        let width = bits.div_ceil(8) as usize;
        if numbers.is_empty() {
            return Ok(());
        }
        if width == 0 {
            out.push(0);
            return Ok(());
        }
        let mut planes = std::mem::take(&mut self.planes);
        planes.clear();
        for byte in 0..width {
            planes.extend(numbers.iter().map(|&number| above(number).to_le_bytes()[byte]));
        }
        let compressed = compress(&mut self.zstd, &planes, &mut self.compressed)?;
        let best = if compressed { self.compressed.len() } else { planes.len() };
        #[expect(clippy::cast_possible_truncation, reason = "at most 8")]
        let layout = width as u8;
        if width > 1 && width < 4 {
            let mut whole = Vec::with_capacity(planes.len());
            numbers.iter().for_each(|&number| whole.extend_from_slice(&above(number).to_le_bytes()[..width]));
            if compress(&mut self.zstd, &whole, &mut self.trial)? && self.trial.len() < best {
                out.push(layout + INTERLEAVED);
                put_section(out, &whole, Some(&self.trial));
                self.planes = planes;
                return Ok(());
            }
        }
        out.push(layout);
        put_section(out, &planes, compressed.then_some(&self.compressed));
        self.planes = planes;
        Ok(())
    }
}

/// Whether compression makes a section smaller.
fn compress(zstd: &mut zstd::bulk::Compressor<'static>, raw: &[u8], out: &mut Vec<u8>) -> io::Result<bool> {
    if raw.len() < LEAST_COMPRESSED {
        return Ok(false);
    }
    out.clear();
    out.reserve(zstd::zstd_safe::compress_bound(raw.len()));
    zstd.compress_to_buffer(raw, out)?;
    Ok(out.len() + out.len() / 32 < raw.len())
}

fn put_section(out: &mut Vec<u8>, raw: &[u8], compressed: Option<&Vec<u8>>) {
    put_varint(out, (raw.len() as u64) << 1 | u64::from(compressed.is_some()));
    if let Some(compressed) = compressed {
        put_varint(out, compressed.len() as u64);
    }
    out.extend_from_slice(compressed.map_or(raw, Vec::as_slice));
}

/// A number whose magnitude, whatever its sign, decides its length.
pub(super) fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

/// What `zigzag` was made of.
pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// Reads sections.
pub(super) struct Unpacker(zstd::bulk::Decompressor<'static>);

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacker").finish_non_exhaustive()
    }
}

impl Unpacker {
    pub(super) fn new() -> Option<Self> {
        zstd::bulk::Decompressor::new().ok().map(Unpacker)
    }

    /// Reads a section and moves past it.
    pub(super) fn take(&mut self, input: &mut &[u8]) -> Option<Vec<u8>> {
        let Raw { length, compressed, bytes } = take_raw(input)?;
        if !compressed {
            return Some(bytes.to_vec());
        }
        let raw = self.0.decompress(bytes, length).ok()?;
        (raw.len() == length).then_some(raw)
    }

    /// Reads so many numbers and moves past them.
    pub(super) fn take_numbers(&mut self, input: &mut &[u8], count: usize) -> Option<Vec<i64>> {
        let least = unzigzag(take_varint(input)?);
        let layout = match count {
            0 => 0,
            _ => take_layout(input)?,
        };
        if layout == 0 {
            return Some(vec![least; count]);
        }
        let width = usize::from(layout & !INTERLEAVED);
        let raw = self.take(input)?;
        if raw.len() != count.checked_mul(width)? {
            return None;
        }
        let mut numbers = vec![0u64; count];
        if layout & INTERLEAVED == 0 {
            for (plane, shift) in raw.chunks_exact(count).zip((0..64).step_by(8)) {
                numbers.iter_mut().zip(plane).for_each(|(number, &byte)| *number |= u64::from(byte) << shift);
            }
        } else {
            for (number, bytes) in numbers.iter_mut().zip(raw.chunks_exact(width)) {
                *number = bytes.iter().rev().fold(0, |number, &byte| (number << 8) | u64::from(byte));
            }
        }
        Some(numbers.into_iter().map(|number| number.cast_signed().wrapping_add(least)).collect())
    }
}

struct Raw<'a> {
    length: usize,
    compressed: bool,
    bytes: &'a [u8],
}

fn take_raw<'a>(input: &mut &'a [u8]) -> Option<Raw<'a>> {
    let head = take_varint(input)?;
    let length = usize::try_from(head >> 1).ok().filter(|&length| length <= LONGEST)?;
    let compressed = head & 1 == 1;
    let stored = if compressed { usize::try_from(take_varint(input)?).ok()? } else { length };
    let (bytes, rest) = input.split_at_checked(stored)?;
    *input = rest;
    Some(Raw { length, compressed, bytes })
}

fn take_layout(input: &mut &[u8]) -> Option<u8> {
    let (&layout, rest) = input.split_first()?;
    *input = rest;
    (layout & !INTERLEAVED <= 8).then_some(layout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn numbers_come_back_whole_or_not_at_all(numbers in prop_oneof![
            proptest::collection::vec(any::<i64>(), 0..200),
            proptest::collection::vec(5i64..700, 0..200),
            proptest::collection::vec(Just(-3i64), 0..20),
        ], bytes in proptest::collection::vec(0u8..4, 0..300)) {
            let mut packer = Packer::new(3).unwrap();
            let mut out = Vec::new();
            packer.put_numbers(&mut out, &numbers).unwrap();
            packer.put(&mut out, &bytes).unwrap();
            let mut unpacker = Unpacker::new().unwrap();
            let mut input = &out[..];
            prop_assert_eq!(unpacker.take_numbers(&mut input, numbers.len()), Some(numbers.clone()));
            prop_assert_eq!(unpacker.take(&mut input), Some(bytes));
            prop_assert!(input.is_empty());
            for cut in 0..out.len() {
                let mut input = &out[..cut];
                let whole = unpacker.take_numbers(&mut input, numbers.len()).and_then(|_| unpacker.take(&mut input));
                prop_assert_eq!(whole, None);
            }
        }
    }
}
