//! Which moment does a text mean? Milliseconds since 1970 UTC, as Prometheus reads it.
//!
//! M1  Seconds with or without a fraction, of which three digits count, are exact as far as milliseconds in 64 bits reach.
//! M2  RFC 3339 is read as by Go's `time.Parse`: years 0000 to 9999, hours of one digit, a comma before the fraction, offsets up to `24:60`. What is
//!     below a millisecond is cut off towards the past.
//! M3  The two texts that Prometheus's own client sends for the first and the last moment are those moments.
//!
//! Not here: which moments the store can tell (`ask`).

use crate::series::quoted;
use jiff::civil::Date;

/// Seconds of what Prometheus calls the first and the last moment: Go counts years from 1 on.
const FIRST: i64 = i64::MIN / 1000 + 62_135_596_801;
const LAST: i64 = i64::MAX / 1000 - 62_135_596_801;

/// Reads a moment.
pub(super) fn moment(text: &str) -> Result<i64, String> {
    let milliseconds = match text {
        "-292273086-05-16T16:47:06Z" => Some(FIRST * 1000),
        "292277025-08-18T07:12:54.999999999Z" => Some(LAST * 1000 + 999),
        text => text.parse().map_or_else(|_| rfc3339(text), of_seconds),
    };
    milliseconds.ok_or_else(|| format!("cannot parse {} to a valid timestamp", quoted(text.as_bytes())))
}

/// Seconds as milliseconds (M1).
fn of_seconds(seconds: f64) -> Option<i64> {
    // As far as 64 bits reach; not a number is in no range.
    let whole = Some(seconds.trunc()).filter(|whole| (-9.3e15..9.3e15).contains(whole))?;
    let thousandths = ((seconds - whole) * 1000.0).round();
    (whole as i64).checked_mul(1000)?.checked_add(thousandths as i64)
}

/// `2026-11-28T06:00:00.5+01:00` (M2).
fn rfc3339(text: &str) -> Option<i64> {
    let mut rest = Rest(text);
    let year = rest.number(4, 9999)?;
    rest.sign("-")?;
    let month = rest.number(2, 12)?;
    rest.sign("-")?;
    let day = rest.number(2, 31)?;
    rest.sign("T")?;
    let hour = rest.number(2, 23).or_else(|| rest.number(1, 9))?;
    rest.sign(":")?;
    let minute = rest.number(2, 59)?;
    rest.sign(":")?;
    let second = rest.number(2, 59)?;
    let milliseconds = rest.fraction()?;
    let offset = rest.offset()?;
    let part = |number: i64| i8::try_from(number).ok();
    let date = Date::new(i16::try_from(year).ok()?, part(month)?, part(day)?).ok()?;
    let midnight = date.duration_since(Date::constant(1970, 1, 1)).as_secs();
    let seconds = midnight + hour * 3600 + minute * 60 + second - offset;
    rest.0.is_empty().then_some(seconds * 1000 + milliseconds)
}

/// What is not read yet.
struct Rest<'t>(&'t str);

impl Rest<'_> {
    /// So many digits that are no more than the most; nothing is taken where they are not there.
    fn number(&mut self, digits: usize, most: i64) -> Option<i64> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        let is_number = number.bytes().all(|letter| letter.is_ascii_digit());
        let number = is_number.then(|| number.parse().ok()).flatten().filter(|number| *number <= most)?;
        self.0 = rest;
        Some(number)
    }

    fn sign(&mut self, sign: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(sign)?;
        Some(())
    }

    /// Milliseconds; none where there is no point with a digit behind it.
    fn fraction(&mut self) -> Option<i64> {
        let Some(rest) = self.0.strip_prefix(['.', ',']) else { return Some(0) };
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let (fraction, rest) = rest.split_at_checked(digits).filter(|(fraction, _)| !fraction.is_empty())?;
        self.0 = rest;
        let three = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
        Some(three.fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
    }

    /// Seconds east of UTC. Go takes those of a whole day, as some write them.
    fn offset(&mut self) -> Option<i64> {
        let sign = match () {
            () if self.sign("Z").is_some() => return Some(0),
            () if self.sign("+").is_some() => 1,
            () if self.sign("-").is_some() => -1,
            () => return None,
        };
        let hours = self.number(2, 24)?;
        self.sign(":")?;
        Some(sign * (hours * 3600 + self.number(2, 60)? * 60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m1_seconds_are_exact() {
        for (text, expected) in [
            ("1.5", 1500),
            ("-0.0005", -1),
            ("1e3", 1_000_000),
            ("253402300799.999", 253_402_300_799_999),
            ("-62167219200", -62_167_219_200_000),
            ("9223372036854774", 9_223_372_036_854_774_000),
            ("-9223372036854774", -9_223_372_036_854_774_000),
        ] {
            assert_eq!(moment(text), Ok(expected), "{text}");
        }
        for text in ["NaN", "inf", "-Inf", "1e30", "9223372036854776", "-9223372036854777", "", "x"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn m2_rfc3339_is_read_as_go_reads_it() {
        for (text, expected) in [
            ("2026-11-28T00:00:00Z", 1_795_824_000_000),
            ("2026-11-28T02:00:00.5+02:00", 1_795_824_000_500),
            ("2026-11-28T02:00:00,5-00:00", 1_795_831_200_500),
            ("2026-11-28T2:00:00Z", 1_795_831_200_000),
            ("2026-11-28T00:00:00.0009999999999Z", 1_795_824_000_000),
            ("2026-11-29T00:00:00+24:00", 1_795_824_000_000),
            ("2026-11-28T01:00:00+00:60", 1_795_824_000_000),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000),
            ("1970-01-01T00:00:01+01:00", -3_599_000),
            ("1969-12-31T23:59:59.9995Z", -1),
            ("9999-12-31T23:59:59Z", 253_402_300_799_000),
            ("9999-12-31T23:59:59.999999999-24:60", 253_402_390_799_999),
            ("0000-02-29T00:00:00Z", -62_162_121_600_000),
            ("0000-01-01T00:00:00+24:00", -62_167_305_600_000),
        ] {
            assert_eq!(moment(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn m2_what_go_does_not_read_is_refused() {
        for text in [
            "2026-11-28 00:00:00Z",
            "2026-11-28t00:00:00Z",
            "2026-11-28T00:00:00z",
            "2026-11-28T00:00:00",
            "2026-11-28T00:00:00.Z",
            "2026-11-28T00:00Z",
            "2026-11-28T00:00:0Z",
            "2026-11-28T0:0:00Z",
            "2026-11-28T00:00:00+0200",
            "2026-11-28T00:00:00+2:00",
            "2026-11-28T00:00:00+25:00",
            "2026-11-28T00:00:00+00:61",
            "20261128T000000Z",
            "2026-11-28T00:00:00Z[UTC]",
            "2026-11-28T00:00:00ZZ",
            "2026-13-28T00:00:00Z",
            "2026-00-28T00:00:00Z",
            "2026-11-31T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-11-00T00:00:00Z",
            "2026-11-28T24:00:00Z",
            "2026-11-28T00:60:00Z",
            "2026-11-28T00:00:60Z",
            "10000-01-01T00:00:00Z",
            "+2026-11-28T00:00:00Z",
            "-001-11-28T00:00:00Z",
            "2026-11-28T00:00:00é",
            "２０２６-11-28T00:00:00Z",
        ] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn m3_the_first_and_the_last_moment_of_prometheus_are_known() {
        assert_eq!(moment("-292273086-05-16T16:47:06Z"), Ok(-9_223_309_901_257_974_000));
        assert_eq!(moment("292277025-08-18T07:12:54.999999999Z"), Ok(9_223_309_901_257_974_999));
    }
}
