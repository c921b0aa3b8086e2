//! How are small integers packed? Parquet's RLE/bit-packed hybrid and its delta encoding, as its specification has them.
//!
//! N1  Dictionary indices are packed with whole bytes per index, not with as few bits as would do: Zstandard then sees
//!     the repeating patterns of traces, which bits across byte borders hide. (Measured: `docs/format/block.md`.)
//!
//! Not here: pages (`chunk`).

use crate::model::record::put_varint;

/// A shorter run is cheaper, and better compressed, among its neighbours.
const SHORTEST_RUN: usize = 40;
const DELTA_BLOCK: usize = 128;
const DELTA_MINIBLOCK: usize = 32;

/// Appends a hybrid of runs and packed values. `width` is in bits: 1 or a multiple of 8.
pub(super) fn put_hybrid(out: &mut Vec<u8>, values: &[u32], width: usize) {
    let (mut packed_from, mut at) = (0, 0);
    while at < values.len() {
        let value = values[at];
        let run = values[at..].iter().take_while(|&&other| other == value).count();
        if run < SHORTEST_RUN {
            at += run;
            continue;
        }
        // Packed values come in eights, so the run lends the missing ones.
        let lent = (at - packed_from).next_multiple_of(8) - (at - packed_from);
        put_packed(out, &values[packed_from..at + lent], width);
        put_varint(out, ((run - lent) as u64) << 1);
        out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8)]);
        at += run;
        packed_from = at;
    }
    put_packed(out, &values[packed_from..], width);
}

fn put_packed(out: &mut Vec<u8>, values: &[u32], width: usize) {
    if values.is_empty() {
        return;
    }
    let padding = values.len().next_multiple_of(8) - values.len();
    put_varint(out, ((values.len().div_ceil(8) as u64) << 1) | 1);
    if width == 1 {
        for eight in values.chunks(8) {
            out.push(eight.iter().rev().fold(0, |byte, &value| (byte << 1) | u8::from(value != 0)));
        }
        return;
    }
    let bytes = width / 8;
    out.reserve((values.len() + padding) * bytes);
    match bytes {
        #[expect(clippy::cast_possible_truncation, reason = "the caller chose a width that holds every value")]
        1 => out.extend(values.iter().map(|&value| value as u8)),
        #[expect(clippy::cast_possible_truncation, reason = "the caller chose a width that holds every value")]
        2 => out.extend(values.iter().flat_map(|&value| (value as u16).to_le_bytes())),
        _ => values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()[..bytes])),
    }
    out.resize(out.len() + padding * bytes, 0);
}

/// Appends integers by their differences (DELTA_BINARY_PACKED).
pub(super) fn put_deltas(out: &mut Vec<u8>, values: &[i64]) {
    put_varint(out, DELTA_BLOCK as u64);
    put_varint(out, (DELTA_BLOCK / DELTA_MINIBLOCK) as u64);
    put_varint(out, values.len() as u64);
    let Some((&first, rest)) = values.split_first() else {
        put_varint(out, 0);
        return;
    };
    put_varint(out, zigzag(first));
    let mut before = first;
    let mut deltas = [0i64; DELTA_BLOCK];
    for block in rest.chunks(DELTA_BLOCK) {
        for (delta, &value) in deltas.iter_mut().zip(block) {
            *delta = value.wrapping_sub(before);
            before = value;
        }
        put_delta_block(out, &deltas[..block.len()]);
    }
}

fn put_delta_block(out: &mut Vec<u8>, deltas: &[i64]) {
    let least = deltas.iter().copied().min().unwrap_or(0);
    put_varint(out, zigzag(least));
    let above = |delta: i64| delta.wrapping_sub(least).cast_unsigned();
    let mut widths = [0u8; DELTA_BLOCK / DELTA_MINIBLOCK];
    for (width, mini) in widths.iter_mut().zip(deltas.chunks(DELTA_MINIBLOCK)) {
        let most = mini.iter().fold(0, |most, &delta| most | above(delta));
        #[expect(clippy::cast_possible_truncation, reason = "at most 64")]
        {
            *width = (u64::BITS - most.leading_zeros()) as u8;
        }
    }
    out.extend_from_slice(&widths);
    for (&width, mini) in widths.iter().zip(deltas.chunks(DELTA_MINIBLOCK)) {
        let mut packer = Packer { out, pending: 0, bits: 0 };
        mini.iter().for_each(|&delta| packer.put(above(delta), width.into()));
        (mini.len()..DELTA_MINIBLOCK).for_each(|_| packer.put(0, width.into()));
        packer.finish();
    }
}

/// Packs integers of some width, lowest bit first.
struct Packer<'a> {
    out: &'a mut Vec<u8>,
    pending: u128,
    bits: u32,
}

impl Packer<'_> {
    fn put(&mut self, value: u64, width: u32) {
        self.pending |= u128::from(value) << self.bits;
        self.bits += width;
        if self.bits >= 64 {
            #[expect(clippy::cast_possible_truncation, reason = "the low 64 bits are meant")]
            self.out.extend_from_slice(&(self.pending as u64).to_le_bytes());
            self.pending >>= 64;
            self.bits -= 64;
        }
    }

    fn finish(self) {
        let bytes = self.bits.div_ceil(8) as usize;
        self.out.extend_from_slice(&self.pending.to_le_bytes()[..bytes]);
    }
}

fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

/// Appends fixed-width values byte by byte: all first bytes, then all second bytes, … (BYTE_STREAM_SPLIT).
pub(super) fn put_split<const N: usize>(out: &mut Vec<u8>, values: impl ExactSizeIterator<Item = [u8; N]> + Clone) {
    for byte in 0..N {
        out.extend(values.clone().map(|value| value[byte]));
    }
}
