//! Which words are numbers, and how are they written?
//!
//! Y1  A codec reads a word only if it writes the number as exactly that word.
//!
//! Not here: which columns are numbers (`column`), times as people write them (`clock`).

use super::clock::{Format, put_digits, ten_to};
use crate::model::record::{put_bytes, take_bytes};

/// 64 bits hold so many digits, whatever they are.
const MOST_DIGITS: usize = 18;
/// What comes before and after the digits of all words is at most so long.
const LONGEST_AFFIX: usize = 64;
/// A number is the row's time if it is less than a day away.
const NEAR_SECONDS: i64 = 86_400;

/// How words are written that stand for numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Codec {
    /// Digits between two fixed texts: with leading zeros to some width (0: without), and with so many decimals.
    Decimal { prefix: Vec<u8>, suffix: Vec<u8>, width: usize, decimals: usize },
    /// A time.
    Clock(Format),
    /// Four bytes with dots.
    Address,
}

impl Codec {
    /// The codec that reads all words, and the numbers; `None` if there is no such codec.
    pub(super) fn of(words: &[&[u8]]) -> Option<(Codec, Vec<i64>)> {
        let first = words.first()?;
        let candidates = Format::candidates(first).into_iter().map(Codec::Clock);
        let address = address(first).map(|_| Codec::Address);
        for codec in candidates.chain(address) {
            if let Some(numbers) = codec.read_all(words) {
                return Some((codec, numbers));
            }
        }
        if !first.iter().any(u8::is_ascii_digit) {
            return None;
        }
        let (prefix, suffix) = affixes(words);
        let middle = first.get(prefix..first.len() - suffix)?;
        let point = middle.iter().position(|&byte| byte == b'.');
        let decimals = point.map_or(0, |point| middle.len() - point - 1);
        let whole = point.unwrap_or(middle.len());
        let decimal = |width: usize| Codec::Decimal {
            prefix: first.get(..prefix).unwrap_or_default().to_vec(),
            suffix: first.get(first.len() - suffix..).unwrap_or_default().to_vec(),
            width,
            decimals,
        };
        [0, whole].into_iter().map(decimal).find_map(|codec| {
            let numbers = codec.read_all(words)?;
            Some((codec, numbers))
        })
    }

    fn read_all(&self, words: &[&[u8]]) -> Option<Vec<i64>> {
        words.iter().map(|word| self.read(word)).collect()
    }

    /// The number of a word.
    fn read(&self, word: &[u8]) -> Option<i64> {
        match self {
            Codec::Clock(format) => format.parse(word),
            Codec::Address => address(word),
            Codec::Decimal { prefix, suffix, width, decimals } => {
                let middle = word.strip_prefix(prefix.as_slice())?.strip_suffix(suffix.as_slice())?;
                decimal(middle, *width, *decimals)
            }
        }
    }

    /// Writes a number.
    pub(super) fn put(&self, number: i64, out: &mut Vec<u8>) {
        match self {
            Codec::Clock(format) => format.put(number, out),
            Codec::Address => {
                for (place, shift) in [24, 16, 8, 0].into_iter().enumerate() {
                    if place > 0 {
                        out.push(b'.');
                    }
                    put_canonical(out, (number.cast_unsigned() >> shift) & 0xff);
                }
            }
            Codec::Decimal { prefix, suffix, width, decimals } => {
                out.extend_from_slice(prefix);
                if number < 0 {
                    out.push(b'-');
                }
                let unit = ten_to(*decimals).unsigned_abs();
                let (whole, fraction) = (number.unsigned_abs() / unit, number.unsigned_abs() % unit);
                match width {
                    0 => put_canonical(out, whole),
                    _ => put_digits(out, whole.cast_signed(), *width),
                }
                if *decimals > 0 {
                    out.push(b'.');
                    put_digits(out, fraction.cast_signed(), *decimals);
                }
                out.extend_from_slice(suffix);
            }
        }
    }

    /// The units in which numbers tell times near those of their rows, as powers of ten below a second, if they do.
    pub(super) fn clock_power(&self, number: i64, time: i64) -> Option<usize> {
        match self {
            Codec::Clock(_) => Some(0),
            Codec::Decimal { decimals: 0, .. } => [9, 6, 3, 0].into_iter().find(|&power| {
                let near = NEAR_SECONDS.saturating_mul(ten_to(9 - power));
                number.checked_sub(time.div_euclid(ten_to(power))).is_some_and(|away| away.saturating_abs() < near)
            }),
            _ => None,
        }
    }

    /// What a row's time would be as such a number.
    pub(super) fn of_time(&self, power: usize, time: i64) -> i64 {
        match self {
            Codec::Clock(format) => format.of_time(time),
            _ => time.div_euclid(ten_to(power)),
        }
    }

    pub(super) fn describe(&self, out: &mut Vec<u8>) {
        match self {
            Codec::Decimal { prefix, suffix, width, decimals } => {
                out.push(0);
                put_bytes(out, prefix);
                put_bytes(out, suffix);
                // Both are at most 18.
                out.extend([*width, *decimals].map(|count| u8::try_from(count).unwrap_or(u8::MAX)));
            }
            Codec::Clock(format) => {
                out.push(1);
                format.describe(out);
            }
            Codec::Address => out.push(2),
        }
    }

    pub(super) fn take(input: &mut &[u8]) -> Option<Codec> {
        let (&kind, rest) = input.split_first()?;
        *input = rest;
        Some(match kind {
            0 => {
                let (prefix, suffix) = (take_bytes(input)?.to_vec(), take_bytes(input)?.to_vec());
                let (&[width, decimals], rest) = input.split_first_chunk()?;
                *input = rest;
                let (width, decimals) = (usize::from(width), usize::from(decimals));
                (width <= MOST_DIGITS && decimals <= MOST_DIGITS).then_some(Codec::Decimal {
                    prefix,
                    suffix,
                    width,
                    decimals,
                })?
            }
            1 => Codec::Clock(Format::take(input)?),
            2 => Codec::Address,
            _ => return None,
        })
    }
}

fn put_canonical(out: &mut Vec<u8>, number: u64) {
    let digits = number.checked_ilog10().map_or(1, |power| power as usize + 1);
    put_digits(out, number.cast_signed(), digits);
}

fn decimal(text: &[u8], width: usize, decimals: usize) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] if width == 0 => (true, digits),
        digits => (false, digits),
    };
    let whole = digits.len().checked_sub(if decimals == 0 { 0 } else { decimals + 1 })?;
    if whole == 0 || whole + decimals > MOST_DIGITS || (width > 0 && whole != width) {
        return None;
    }
    if decimals > 0 && digits.get(whole) != Some(&b'.') {
        return None;
    }
    if width == 0 && whole > 1 && digits.first() == Some(&b'0') {
        return None;
    }
    let mut number = 0i64;
    for (place, &byte) in digits.iter().enumerate() {
        if decimals > 0 && place == whole {
            continue;
        }
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number * 10 + i64::from(byte - b'0');
    }
    // There is no zero below zero.
    (!negative || number != 0).then_some(if negative { -number } else { number })
}

fn address(text: &[u8]) -> Option<i64> {
    if text.len() > 15 {
        return None;
    }
    let mut number = 0;
    let mut parts = 0;
    for part in text.split(|&byte| byte == b'.') {
        let byte = decimal(part, 0, 0).filter(|byte| (0..=255).contains(byte))?;
        number = (number << 8) | byte;
        parts += 1;
    }
    (parts == 4).then_some(number)
}

/// Lengths of what all words begin and end with, without digits next to the number.
fn affixes(words: &[&[u8]]) -> (usize, usize) {
    let Some(first) = words.first() else { return (0, 0) };
    let digit = |at: usize| first.get(at).is_some_and(u8::is_ascii_digit);
    let from = first.iter().position(u8::is_ascii_digit).unwrap_or(0);
    // The number's own sign is part of it, unless it joins words.
    let signed = from == 1 && first.first() == Some(&b'-');
    let mut prefix = if signed { 0 } else { from.min(LONGEST_AFFIX) };
    let to = first.iter().rposition(u8::is_ascii_digit).map_or(0, |at| at + 1);
    let mut suffix = (first.len() - to.max(prefix)).min(LONGEST_AFFIX);
    for word in words {
        let same = first.iter().zip(*word).take_while(|(a, b)| a == b).count();
        prefix = prefix.min(same);
        let same = first.iter().rev().zip(word.iter().rev()).take_while(|(a, b)| a == b).count();
        suffix = suffix.min(same).min(word.len().saturating_sub(prefix));
    }
    while prefix > 0 && digit(prefix - 1) {
        prefix -= 1;
    }
    while suffix > 0 && digit(first.len() - suffix) {
        suffix -= 1;
    }
    (prefix, suffix.min(first.len() - prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(words: &[&str], is_number: bool) {
        let bytes: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let found = Codec::of(&bytes);
        assert_eq!(found.is_some(), is_number, "{words:?}");
        let Some((codec, numbers)) = found else { return };
        let mut described = Vec::new();
        codec.describe(&mut described);
        assert_eq!(Codec::take(&mut &described[..]), Some(codec.clone()));
        for (word, number) in words.iter().zip(numbers) {
            let mut out = Vec::new();
            codec.put(number, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), *word, "{codec:?}");
        }
    }

    #[test]
    fn y1_numbers_come_back_as_they_were_written() {
        check(&["0", "17", "-5", "999999999999999999"], true);
        check(&["007", "123", "000"], true);
        check(&["0.50", "12.00", "-0.01"], true);
        check(&["blk_-17", "blk_4"], true);
        check(&["12ms", "7ms"], true);
        check(&["pts/0", "pts/12"], true);
        check(&["10.0.0.1", "255.255.255.255"], true);
        check(&["2026-11-23 12:00:00", "2027-01-01 00:00:00"], true);
        check(&["Nov 03 00:00:00", "Nov 23 00:00:00"], true);
        check(&["1", "01"], false);
        check(&["-0", "1"], false);
        check(&["1.5", "1.25"], false);
        check(&["9999999999999999999"], false);
        check(&["10.0.0.256", "10.0.0.1"], false);
        check(&["a", "b"], false);
        check(&["", "1"], false);
    }

    proptest! {
        #[test]
        fn y1_what_a_codec_reads_it_writes(words in proptest::collection::vec("[a-]{0,2}[0-9.]{1,5}[a1.]{0,2}", 1..5)) {
            let bytes: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            if let Some((codec, numbers)) = Codec::of(&bytes) {
                for (word, number) in words.iter().zip(numbers) {
                    let mut out = Vec::new();
                    codec.put(number, &mut out);
                    prop_assert_eq!(String::from_utf8_lossy(&out), word.as_str());
                }
            }
        }
    }
}
