//! Which range of time does a person mean? `now-1h`, `2026-11-23 14:00`, a Unix time in any unit.
//!
//! T1  What a person typed is what the URL keeps; it becomes nanoseconds only when it is asked for.
//! T2  A range never ends before it starts: the reader of a range gets both bounds or a reason.

use super::calendar::{self, DAY, HOUR, MINUTE, SECOND};
use super::number;

/// The range that a fresh page shows.
pub const DEFAULT_FROM: &str = "now-1h";
/// Its end.
pub const DEFAULT_TO: &str = "now";

/// Ranges offered with one click: what is typed, and what it is called.
pub const QUICK: [(&str, &str); 9] = [
    ("now-5m", "Last 5 minutes"),
    ("now-15m", "Last 15 minutes"),
    ("now-30m", "Last 30 minutes"),
    ("now-1h", "Last hour"),
    ("now-3h", "Last 3 hours"),
    ("now-6h", "Last 6 hours"),
    ("now-24h", "Last 24 hours"),
    ("now-2d", "Last 2 days"),
    ("now-7d", "Last 7 days"),
];

/// Intervals of automatic refresh: what the URL keeps, and seconds.
pub const INTERVALS: [(&str, u32); 6] = [("off", 0), ("5s", 5), ("10s", 10), ("30s", 30), ("1m", 60), ("5m", 300)];

/// A typed moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// `now`, plus or minus nanoseconds.
    Relative(i64),
    /// Nanoseconds since 1970 UTC.
    Absolute(i64),
}

impl Moment {
    /// Reads what a person types; `offset` is the zone's minutes east of UTC for dates without one.
    pub fn parse(text: &str, offset: i32) -> Result<Moment, String> {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix("now") {
            return relative(rest.trim()).map(Moment::Relative).ok_or_else(|| hint(text));
        }
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return unix(text).map(Moment::Absolute).ok_or_else(|| hint(text));
        }
        calendar::parse(text, offset).map(Moment::Absolute).ok_or_else(|| hint(text))
    }

    /// The moment in nanoseconds, given the present.
    pub fn at(self, now: i64) -> i64 {
        match self {
            Moment::Relative(shift) => now.saturating_add(shift),
            Moment::Absolute(nanos) => nanos,
        }
    }
}

fn hint(text: &str) -> String {
    format!("“{text}” is no time: try now-1h, 2026-11-23 14:00, or a Unix time")
}

fn relative(text: &str) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'-' => -1,
        b'+' => 1,
        _ => return None,
    };
    span(text.get(1..)?.trim())?.checked_mul(sign)
}

/// Reads a length of time such as `15m`, `1h30m`, `2d`, `250ms`.
pub fn span(text: &str) -> Option<i64> {
    let mut rest = text.trim();
    let mut total = 0i64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (count, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !(c.is_ascii_alphabetic() || c == 'µ')).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let size = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => SECOND,
            "m" | "min" => MINUTE,
            "h" => HOUR,
            "d" => DAY,
            "w" => 7 * DAY,
            "y" => 365 * DAY,
            _ => return None,
        };
        let value = number::read(count)? * size as f64;
        if !(0.0..9e18).contains(&value) {
            return None;
        }
        total = total.checked_add(value.round() as i64)?;
        rest = tail.trim_start();
    }
    Some(total)
}

/// A Unix time whose unit follows from its size, as the server reads it.
fn unix(text: &str) -> Option<i64> {
    let value: i64 = text.parse().ok()?;
    let factor = match text.trim_start_matches('0').len() {
        0..=11 => SECOND,
        12..=14 => 1_000_000,
        15..=16 => 1_000,
        _ => 1,
    };
    value.checked_mul(factor)
}

/// A range as nanoseconds: start inclusive, end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Start.
    pub start: i64,
    /// End.
    pub end: i64,
}

impl Range {
    /// Reads two typed moments.
    pub fn parse(from: &str, to: &str, now: i64, offset: i32) -> Result<Range, String> {
        let start = Moment::parse(from, offset)?.at(now);
        let end = Moment::parse(to, offset)?.at(now);
        if start < end { Ok(Range { start, end }) } else { Err("the range ends before it starts".into()) }
    }

    /// Its length.
    pub fn length(self) -> i64 {
        self.end.saturating_sub(self.start)
    }
}

/// What the time button says: the name of a quick range, or both ends.
pub fn range_label(from: &str, to: &str, offset: i32) -> String {
    let quick = QUICK.iter().find(|(text, _)| *text == from);
    if let Some((_, name)) = quick.filter(|_| to == DEFAULT_TO) {
        return (*name).into();
    }
    format!("{} → {}", moment_label(from, offset), moment_label(to, offset))
}

fn moment_label(text: &str, offset: i32) -> String {
    match Moment::parse(text, offset) {
        Ok(Moment::Absolute(nanos)) => calendar::short_date_time(nanos, offset),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_700_000_000 * SECOND;

    fn at(text: &str) -> Option<i64> {
        Moment::parse(text, 0).ok().map(|m| m.at(NOW))
    }

    #[test]
    fn typed_times_are_read() {
        assert_eq!(at("now"), Some(NOW));
        assert_eq!(at("now-1h"), Some(NOW - HOUR));
        assert_eq!(at(" now - 1h30m "), Some(NOW - 90 * MINUTE));
        assert_eq!(at("now+5s"), Some(NOW + 5 * SECOND));
        assert_eq!(at("now-5y"), Some(NOW - 5 * 365 * DAY));
        for unix in ["1700000000", "1700000000000", "1700000000000000", "1700000000000000000"] {
            assert_eq!(at(unix), Some(NOW), "{unix}");
        }
        assert_eq!(at("2023-11-14T22:13:20Z"), Some(NOW));
        for bad in ["", "now1h", "now-", "now-1", "now-1q", "yesterday", "99999999999999999999"] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }

    #[test]
    fn lengths_are_read() {
        assert_eq!(span("100ms"), Some(100_000_000));
        assert_eq!(span("1.5s"), Some(1_500_000_000));
        assert_eq!(span("1h 30m"), Some(90 * MINUTE));
        assert_eq!(span("100"), None);
    }

    #[test]
    fn a_range_that_ends_before_it_starts_is_refused() {
        assert!(Range::parse("now", "now-1h", NOW, 0).is_err());
        assert_eq!(Range::parse("now-1h", "now", NOW, 0), Ok(Range { start: NOW - HOUR, end: NOW }));
    }

    #[test]
    fn a_quick_range_is_called_by_its_name() {
        assert_eq!(range_label("now-1h", "now", 0), "Last hour");
        assert_eq!(range_label("now-7h", "now", 0), "now-7h → now");
        assert_eq!(range_label("2023-11-14T22:13:20Z", "now", 60), "2023-11-14 23:13:20 → now");
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,30}") {
            if let Ok(moment) = Moment::parse(&text, 0) {
                moment.at(NOW);
            }
            span(&text);
        }
    }
}
