//! How are numbers written bit by bit, as Prometheus's chunks have them?

/// Bits, the first of them the highest of the first byte.
#[derive(Debug, Default)]
pub(super) struct Bits {
    bytes: Vec<u8>,
    /// Bits of the last byte that are free.
    free: u32,
}

impl Bits {
    /// Behind whole bytes.
    pub(super) fn after(bytes: Vec<u8>) -> Self {
        Bits { bytes, free: 0 }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The lowest bits of a number, of which there are up to 64.
    pub(super) fn put(&mut self, value: u64, count: u32) {
        let mut left = count.min(64);
        while left > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let taken = left.min(self.free);
            let mask = (1u64 << taken) - 1;
            let part = (value >> (left - taken)) & mask;
            if let (Some(last), Ok(part)) = (self.bytes.last_mut(), u8::try_from(part << (self.free - taken))) {
                *last |= part;
            }
            self.free -= taken;
            left -= taken;
        }
    }

    pub(super) fn put_float(&mut self, value: f64) {
        self.put(value.to_bits(), 64);
    }

    /// A number in as many bits as its size needs, after a prefix that says how many.
    pub(super) fn put_signed(&mut self, value: i64) {
        let count = match value {
            0 => return self.put(0, 1),
            _ => SIZES.into_iter().find(|count| fits(value, *count)),
        };
        self.put_sized(value.cast_unsigned(), count);
    }

    /// The same for a number without sign.
    pub(super) fn put_unsigned(&mut self, value: u64) {
        let count = match value {
            0 => return self.put(0, 1),
            _ => SIZES.into_iter().find(|count| value >> count == 0),
        };
        self.put_sized(value, count);
    }

    fn put_sized(&mut self, value: u64, count: Option<u32>) {
        let ones = SIZES.into_iter().position(|other| Some(other) == count).map_or(8, |place| place + 1);
        for _ in 0..ones {
            self.put(1, 1);
        }
        if ones < 8 {
            self.put(0, 1);
        }
        self.put(value, count.unwrap_or(64));
    }
}

/// How many bits numbers of variable size have; none of these is 64.
const SIZES: [u32; 7] = [3, 6, 9, 12, 18, 25, 56];

/// Whether a number is one of those that so many bits stand for: from `-(2^(n-1) - 1)` to `2^(n-1)`.
pub(super) fn fits(value: i64, bits: u32) -> bool {
    let most = 1i64 << (bits - 1);
    (1 - most..=most).contains(&value)
}

/// A number in bytes of seven bits, the lowest first.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Floats, each as what differs from the one before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Xor {
    before: u64,
    /// Zeros before and behind the bits that were written last, if any were.
    window: Option<(u32, u32)>,
}

impl Xor {
    /// Behind a first float, which was written whole.
    pub(super) fn new(first: f64) -> Self {
        Xor { before: first.to_bits(), window: None }
    }

    /// Writes the next one.
    pub(super) fn put(&mut self, bits: &mut Bits, value: f64) {
        let delta = self.before ^ value.to_bits();
        self.before = value.to_bits();
        if delta == 0 {
            return bits.put(0, 1);
        }
        bits.put(1, 1);
        // Five bits tell how many zeros come first.
        let (leading, trailing) = (delta.leading_zeros().min(31), delta.trailing_zeros());
        if let Some((first, last)) = self.window.filter(|(first, last)| leading >= *first && trailing >= *last) {
            bits.put(0, 1);
            return bits.put(delta >> last, 64 - first - last);
        }
        self.window = Some((leading, trailing));
        let significant = 64 - leading - trailing;
        bits.put(1, 1);
        bits.put(leading.into(), 5);
        // All 64 are told as none.
        bits.put(u64::from(significant) & 63, 6);
        bits.put(delta >> trailing, significant);
    }
}
