//! Which moment does a text mean, and which length of time?
//!
//! Moments: `now`, `now-15m`, `now+1h30m` (units s, m, h, d, w); RFC 3339 with any offset; or a Unix time whose unit
//! its size tells:
//!
//! | absolute value | unit | reaches |
//! |---|---|---|
//! | below 10^11 | seconds | the year 5138 |
//! | below 10^14 | milliseconds | the year 5138, from March 1973 |
//! | below 10^17 | microseconds | the same |
//! | above | nanoseconds | the year 2262, from March 1973 |
//!
//! Lengths: as Go writes them (`100ms`, `1.5s`, `1h30m`), or a bare integer of nanoseconds.
//!
//! T1  Any text is either understood or refused; nothing overflows, nothing is rounded but digits below a nanosecond.

use std::time::Duration;

const NANOS: i128 = 1_000_000_000;

/// Reads a moment as nanoseconds since 1970 UTC; `Err` says what would have been understood.
pub(crate) fn moment(text: &str, now: i64) -> Result<i64, String> {
    let nanos = match text.strip_prefix("now") {
        Some(offset) => relative(offset, now)?,
        None => match unix(text) {
            Some(nanos) => nanos,
            None => rfc3339(text)?,
        },
    };
    i64::try_from(nanos).map_err(|_| "lies outside the years 1677 to 2262".into())
}

/// Reads a length as nanoseconds.
pub(crate) fn length(text: &str) -> Result<i64, String> {
    let expected = || "expected a duration such as `100ms`, `1.5s` or `1h30m`, or nanoseconds".to_owned();
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    if unsigned.starts_with('-') {
        return Err("a duration is not negative".into());
    }
    let nanos = match decimal(unsigned) {
        Some((number, "")) if !unsigned.contains('.') => number.scaled(1),
        _ => segments(unsigned, go_unit),
    };
    i64::try_from(nanos.ok_or_else(expected)?).map_err(|_| "is longer than 292 years".into())
}

/// The same as a standard duration.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let nanos = length(text)?;
    Ok(Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)))
}

fn relative(offset: &str, now: i64) -> Result<i128, String> {
    // In a query string a plus sign that was not escaped arrives as a space.
    let (sign, length) = match offset.split_at_checked(1) {
        None if offset.is_empty() => return Ok(now.into()),
        Some(("-", length)) => (-1, length),
        Some(("+" | " ", length)) => (1, length),
        _ => (0, ""),
    };
    match segments(length, coarse_unit) {
        Some(nanos) if sign != 0 => Ok(i128::from(now) + sign * nanos),
        _ => Err("after `now` comes nothing, or an offset such as `-15m` or `+1h` (units s, m, h, d, w)".into()),
    }
}

fn unix(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let (number, "") = decimal(digits)? else { return None };
    let unit = match number.whole {
        0..100_000_000_000 => NANOS,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    Some(sign * number.scaled(unit)?)
}

fn rfc3339(text: &str) -> Result<i128, String> {
    let expected = || {
        "expected a time: `now-15m`, RFC 3339 such as `2026-11-23T06:00:00Z`, or Unix seconds, milliseconds, \
         microseconds or nanoseconds"
            .to_owned()
    };
    // In a query string the plus sign of an offset that was not escaped arrives as a space.
    let restored = match text.split_once(['T', 't']) {
        Some((date, time)) => format!("{date}T{}", time.replace(' ', "+")),
        None => text.to_owned(),
    };
    let digits_first = restored.starts_with(|first: char| first.is_ascii_digit());
    if !digits_first || restored.contains('[') {
        return Err(expected());
    }
    restored.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_nanosecond).map_err(|_| expected())
}

/// A decimal number: digits before the point, and nine digits after it.
#[derive(Debug, Clone, Copy)]
struct Decimal {
    whole: i128,
    /// Billionths.
    fraction: i128,
}

impl Decimal {
    /// The number times `unit`, cut to an integer.
    fn scaled(self, unit: i128) -> Option<i128> {
        self.whole.checked_mul(unit)?.checked_add(self.fraction.checked_mul(unit)? / NANOS)
    }
}

/// Reads `digits[.digits]` and answers what follows.
fn decimal(text: &str) -> Option<(Decimal, &str)> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    // Far past any time that is understood, and far below what overflows.
    if whole.len() > 25 {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let nine: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    Some((Decimal { whole, fraction: nine.parse().ok()? }, rest))
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|next: char| !next.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Reads one or more `number unit` and adds them up.
fn segments(text: &str, unit: fn(&str) -> Option<i128>) -> Option<i128> {
    let mut rest = text;
    let mut sum = 0i128;
    loop {
        let (number, after) = decimal(rest)?;
        let end = after.find(|next: char| next.is_ascii_digit() || next == '.').unwrap_or(after.len());
        let (name, next) = after.split_at_checked(end)?;
        sum = sum.checked_add(number.scaled(unit(name)?)?)?;
        if next.is_empty() {
            return Some(sum);
        }
        rest = next;
    }
}

fn coarse_unit(name: &str) -> Option<i128> {
    Some(match name {
        "s" => NANOS,
        "m" => 60 * NANOS,
        "h" => 3_600 * NANOS,
        "d" => 86_400 * NANOS,
        "w" => 604_800 * NANOS,
        _ => return None,
    })
}

fn go_unit(name: &str) -> Option<i128> {
    Some(match name {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => NANOS,
        "m" => 60 * NANOS,
        "h" => 3_600 * NANOS,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
