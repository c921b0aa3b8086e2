//! How are the times that people write into log lines read, and written again to the letter?
//!
//! K1  What `parse` reads, `put` writes again, byte for byte: a text that is not written so (`24:00:00`, a leap second, a
//!     29th of February in a common year) is no time of that format.
//! K2  `of_time` tells what a format would say of a row's own time, in UTC, so that a line whose time *is* its row's says
//!     nothing new.
//!
//! Not here: which columns hold times (`column`).

use crate::model::record::{put_bytes, take_bytes};

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
const DAY_SECONDS: i64 = 86_400;
/// Longest zone: `+00:00` or ` +0000`.
const LONGEST_ZONE: usize = 6;
/// Decimals of a second.
const MOST_DECIMALS: usize = 9;
/// A leap year, for formats that tell none.
const SOME_LEAP_YEAR: i64 = 2000;

/// A way to write a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Format {
    /// `2016-12-20 00:04:03,231`, with `T` or a space, with `.` or `,` and so many decimals, and with a zone.
    Iso { between: u8, point: u8, decimals: u8, zone: Vec<u8> },
    /// `17/May/2015:10:05:03 +0000`.
    Common { zone: Vec<u8> },
    /// `Mar  7 13:06:56`, the day filled up with spaces or zeros.
    Syslog { fill: u8 },
}

/// How many bytes of a text look like a time; 0 for none. Cheap, and wrong where digits are out of range.
pub(super) fn time_length(text: &[u8]) -> usize {
    iso_length(text).or_else(|| common_length(text)).or_else(|| syslog_length(text)).unwrap_or(0)
}

fn looks_like(text: &[u8], pattern: &[u8]) -> bool {
    text.len() >= pattern.len()
        && pattern.iter().zip(text).all(|(pattern, byte)| match pattern {
            b'0' => byte.is_ascii_digit(),
            b'A' => byte.is_ascii_alphabetic(),
            b'*' => byte.is_ascii_digit() || *byte == b' ',
            b'T' => matches!(byte, b'T' | b' '),
            other => other == byte,
        })
}

fn iso_length(text: &[u8]) -> Option<usize> {
    const SECONDS: &[u8] = b"0000-00-00T00:00:00";
    if text.get(4) != Some(&b'-') || !looks_like(text, SECONDS) {
        return None;
    }
    let mut length = SECONDS.len();
    if let Some([b'.' | b',', decimals @ ..]) = text.get(length..) {
        let count = decimals.iter().take(MOST_DECIMALS + 1).take_while(|byte| byte.is_ascii_digit()).count();
        if (1..=MOST_DECIMALS).contains(&count) {
            length += 1 + count;
        }
    }
    let rest = text.get(length..).unwrap_or_default();
    length += match rest {
        [b'Z', ..] => 1,
        [b'+' | b'-', zone @ ..] if looks_like(zone, b"00:00") => 6,
        [b'+' | b'-', zone @ ..] if looks_like(zone, b"0000") => 5,
        _ => 0,
    };
    Some(length)
}

fn common_length(text: &[u8]) -> Option<usize> {
    const SECONDS: &[u8] = b"00/AAA/0000:00:00:00";
    if text.get(2) != Some(&b'/') || !looks_like(text, SECONDS) {
        return None;
    }
    let zone = text.get(SECONDS.len()..).unwrap_or_default();
    let zoned = looks_like(zone, b" +0000") || looks_like(zone, b" -0000");
    Some(SECONDS.len() + if zoned { LONGEST_ZONE } else { 0 })
}

fn syslog_length(text: &[u8]) -> Option<usize> {
    const SECONDS: &[u8] = b"AAA *0 00:00:00";
    (text.get(9) == Some(&b':') && looks_like(text, SECONDS)).then_some(SECONDS.len())
}

impl Format {
    /// The formats that a text may be written in.
    pub(super) fn candidates(text: &[u8]) -> Vec<Format> {
        let zone = |from: usize| text.get(from..).unwrap_or_default().to_vec();
        if iso_length(text) == Some(text.len()) {
            let point = text.get(19).copied().filter(|point| matches!(point, b'.' | b','));
            let digits = text.iter().skip(20).take_while(|byte| byte.is_ascii_digit()).count();
            let decimals = point.map_or(0, |_| digits);
            let between = text.get(10).copied().unwrap_or(b' ');
            let from = 19 + point.map_or(0, |_| 1 + digits);
            let decimals = u8::try_from(decimals).unwrap_or(u8::MAX);
            return vec![Format::Iso { between, point: point.unwrap_or(b'.'), decimals, zone: zone(from) }];
        }
        if common_length(text) == Some(text.len()) {
            return vec![Format::Common { zone: zone(20) }];
        }
        if syslog_length(text) == Some(text.len()) {
            return vec![Format::Syslog { fill: b' ' }, Format::Syslog { fill: b'0' }];
        }
        Vec::new()
    }

    /// Units of the format since 1970, or since the year began, as if there were no zone; `None` if it is not written so.
    pub(super) fn parse(&self, text: &[u8]) -> Option<i64> {
        match self {
            Format::Iso { between, point, decimals, zone } => {
                let decimals = usize::from(*decimals);
                let fraction = if decimals == 0 { 0 } else { decimals + 1 };
                if text.len() != 19 + fraction + zone.len() || !text.ends_with(zone) {
                    return None;
                }
                let separators = [(4, b'-'), (7, b'-'), (10, *between), (13, b':'), (16, b':')];
                check(text, &separators)?;
                let days = days_of(digits(text, 0, 4)?, digits(text, 5, 2)?, digits(text, 8, 2)?)?;
                let seconds = days * DAY_SECONDS + seconds_of_day(text, 11)?;
                if decimals == 0 {
                    return Some(seconds);
                }
                check(text, &[(19, *point)])?;
                seconds.checked_mul(ten_to(decimals))?.checked_add(digits(text, 20, decimals)?)
            }
            Format::Common { zone } => {
                if text.len() != 20 + zone.len() || !text.ends_with(zone) {
                    return None;
                }
                check(text, &[(2, b'/'), (6, b'/'), (11, b':'), (14, b':'), (17, b':')])?;
                let days = days_of(digits(text, 7, 4)?, month(text.get(3..6)?)?, digits(text, 0, 2)?)?;
                Some(days * DAY_SECONDS + seconds_of_day(text, 12)?)
            }
            Format::Syslog { fill } => {
                if text.len() != 15 {
                    return None;
                }
                check(text, &[(3, b' '), (6, b' '), (9, b':'), (12, b':')])?;
                let tens = text.get(4)?;
                let day = match tens {
                    tens if tens == fill => digits(text, 5, 1)?,
                    b'1'..=b'9' => digits(text, 4, 2)?,
                    _ => return None,
                };
                let days = days_of(SOME_LEAP_YEAR, month(text.get(..3)?)?, day)? - days_of(SOME_LEAP_YEAR, 1, 1)?;
                Some(days * DAY_SECONDS + seconds_of_day(text, 7)?)
            }
        }
    }

    /// Writes what `parse` gave. What it cannot have given is written too, somehow.
    pub(super) fn put(&self, value: i64, out: &mut Vec<u8>) {
        match self {
            Format::Iso { between, point, decimals, zone } => {
                let unit = ten_to(usize::from(*decimals));
                let (seconds, fraction) = (value.div_euclid(unit), value.rem_euclid(unit));
                let (year, month, day) = civil(seconds.div_euclid(DAY_SECONDS));
                put_digits(out, year, 4);
                out.push(b'-');
                put_digits(out, month, 2);
                out.push(b'-');
                put_digits(out, day, 2);
                out.push(*between);
                put_clock(out, seconds.rem_euclid(DAY_SECONDS));
                if *decimals > 0 {
                    out.push(*point);
                    put_digits(out, fraction, usize::from(*decimals));
                }
                out.extend_from_slice(zone);
            }
            Format::Common { zone } => {
                let (year, month, day) = civil(value.div_euclid(DAY_SECONDS));
                put_digits(out, day, 2);
                out.push(b'/');
                out.extend_from_slice(name_of(month));
                out.push(b'/');
                put_digits(out, year, 4);
                out.push(b':');
                put_clock(out, value.rem_euclid(DAY_SECONDS));
                out.extend_from_slice(zone);
            }
            Format::Syslog { fill } => {
                let first = days_of(SOME_LEAP_YEAR, 1, 1).unwrap_or(0);
                let (_, month, day) = civil(first.saturating_add(value.div_euclid(DAY_SECONDS)));
                out.extend_from_slice(name_of(month));
                out.push(b' ');
                if day < 10 {
                    out.push(*fill);
                    put_digits(out, day, 1);
                } else {
                    put_digits(out, day, 2);
                }
                out.push(b' ');
                put_clock(out, value.rem_euclid(DAY_SECONDS));
            }
        }
    }

    /// What the format would say of a time in nanoseconds since 1970, in UTC.
    pub(super) fn of_time(&self, time: i64) -> i64 {
        let nanos = ten_to(MOST_DECIMALS);
        match self {
            Format::Iso { decimals, .. } => {
                time.div_euclid(ten_to(MOST_DECIMALS - usize::from(*decimals).min(MOST_DECIMALS)))
            }
            Format::Common { .. } => time.div_euclid(nanos),
            Format::Syslog { .. } => {
                let seconds = time.div_euclid(nanos);
                let (_, month, day) = civil(seconds.div_euclid(DAY_SECONDS));
                let first = days_of(SOME_LEAP_YEAR, 1, 1).unwrap_or(0);
                let days = days_of(SOME_LEAP_YEAR, month, day).unwrap_or(first) - first;
                days * DAY_SECONDS + seconds.rem_euclid(DAY_SECONDS)
            }
        }
    }

    /// Appends the format's description.
    pub(super) fn describe(&self, out: &mut Vec<u8>) {
        match self {
            Format::Iso { between, point, decimals, zone } => {
                out.extend_from_slice(&[0, *between, *point, *decimals]);
                put_bytes(out, zone);
            }
            Format::Common { zone } => {
                out.push(1);
                put_bytes(out, zone);
            }
            Format::Syslog { fill } => out.extend_from_slice(&[2, *fill]),
        }
    }

    /// Reads what `describe` wrote.
    pub(super) fn take(input: &mut &[u8]) -> Option<Format> {
        let (&kind, rest) = input.split_first()?;
        *input = rest;
        Some(match kind {
            0 => {
                let (&[between, point, decimals], rest) = input.split_first_chunk()?;
                *input = rest;
                let zone = take_bytes(input)?.to_vec();
                (usize::from(decimals) <= MOST_DECIMALS).then_some(Format::Iso { between, point, decimals, zone })?
            }
            1 => Format::Common { zone: take_bytes(input)?.to_vec() },
            2 => {
                let (&fill, rest) = input.split_first()?;
                *input = rest;
                Format::Syslog { fill }
            }
            _ => return None,
        })
    }
}

fn check(text: &[u8], separators: &[(usize, u8)]) -> Option<()> {
    separators.iter().all(|&(at, byte)| text.get(at) == Some(&byte)).then_some(())
}

/// A number of so many digits.
fn digits(text: &[u8], from: usize, count: usize) -> Option<i64> {
    let digits = text.get(from..from.checked_add(count)?)?;
    digits.iter().try_fold(0i64, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

fn seconds_of_day(text: &[u8], from: usize) -> Option<i64> {
    let (hours, minutes, seconds) = (digits(text, from, 2)?, digits(text, from + 3, 2)?, digits(text, from + 6, 2)?);
    (hours < 24 && minutes < 60 && seconds < 60).then_some(hours * 3600 + minutes * 60 + seconds)
}

fn put_clock(out: &mut Vec<u8>, seconds: i64) {
    put_digits(out, seconds / 3600, 2);
    out.push(b':');
    put_digits(out, seconds / 60 % 60, 2);
    out.push(b':');
    put_digits(out, seconds % 60, 2);
}

/// Appends the last digits of a number that is not negative.
pub(super) fn put_digits(out: &mut Vec<u8>, number: i64, count: usize) {
    let from = out.len();
    out.resize(from + count, b'0');
    let mut left = number.unsigned_abs();
    for digit in out.iter_mut().skip(from).rev() {
        *digit = b'0' + u8::try_from(left % 10).unwrap_or(0);
        left /= 10;
    }
}

/// Ten to a power of at most 18.
pub(super) fn ten_to(power: usize) -> i64 {
    (0..power.min(18)).fold(1, |number, _| number * 10)
}

fn month(name: &[u8]) -> Option<i64> {
    MONTHS.iter().position(|month| month.as_slice() == name).and_then(|place| i64::try_from(place + 1).ok())
}

fn name_of(month: i64) -> &'static [u8] {
    usize::try_from(month - 1).ok().and_then(|place| MONTHS.get(place)).map_or(b"???", |name| name.as_slice())
}

/// Days since 1970 of a date that exists.
fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
    let shifted = year - i64::from(month <= 2);
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    ((1..=12).contains(&month) && day >= 1 && civil(days) == (year, month, day)).then_some(days)
}

/// Year, month and day of a day since 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days.saturating_add(719_468);
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOON: i64 = 1_795_435_200_000_000_000; // 2026-11-23T12:00:00Z

    fn check(text: &str, same_as_row: bool) {
        assert_eq!(time_length(text.as_bytes()), text.len(), "{text}");
        let format =
            Format::candidates(text.as_bytes()).into_iter().find(|format| format.parse(text.as_bytes()).is_some());
        let format = format.expect(text);
        let value = format.parse(text.as_bytes()).expect(text);
        let mut out = Vec::new();
        format.put(value, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), text);
        assert_eq!(format.of_time(NOON) == value, same_as_row, "{text}");
        let mut described = Vec::new();
        format.describe(&mut described);
        assert_eq!(Format::take(&mut &described[..]), Some(format));
    }

    #[test]
    fn times_come_back_to_the_letter() {
        check("2026-11-23 12:00:00,000", true);
        check("2026-11-23T12:00:00Z", true);
        check("2026-11-23T12:00:00.000000000+00:00", true);
        check("2026-11-23T13:00:00.5+01:00", false);
        check("23/Nov/2026:12:00:00 +0000", true);
        check("23/Nov/2026:12:00:01", false);
        check("Nov 23 12:00:00", true);
        check("Nov  3 12:00:00", false);
        check("Feb 29 00:00:00", false);
        check("0000-01-01 00:00:00", false);
    }

    #[test]
    fn k1_what_no_clock_shows_is_no_time() {
        for text in [
            "2026-02-29 12:00:00",
            "2026-11-23 24:00:00",
            "2026-11-23 12:00:60",
            "31/Jun/2026:12:00:00",
            "Nov 00 12:00:00",
        ] {
            let formats = Format::candidates(text.as_bytes());
            assert!(formats.iter().all(|format| format.parse(text.as_bytes()).is_none()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn k1_every_day_comes_back(days in -719_468i64..2_932_896) {
            let (year, month, day) = civil(days);
            prop_assert_eq!(days_of(year, month, day), Some(days));
        }

        #[test]
        fn k1_any_number_can_be_written(value: i64, time: i64) {
            for text in ["2026-11-23 12:00:00,000", "23/Nov/2026:12:00:00 +0000", "Nov 23 12:00:00"] {
                for format in Format::candidates(text.as_bytes()) {
                    format.put(value, &mut Vec::new());
                    format.of_time(time);
                }
            }
        }
    }
}
