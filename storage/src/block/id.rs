//! How are blocks told apart, and which rows share one?
//!
//! B1  A block id is never used twice: it is a time and a nonce, and the manifest refuses an id that it holds.
//! B2  Ids of blocks sort by the time of their making, as far as the clock did not jump.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::fmt;
use std::str::FromStr;

const DAY_NANOS: i64 = 24 * 60 * 60 * 1_000_000_000;
/// Older rows share the window `other`: a client with a broken clock must not make a block per day since 1970.
const PAST_DAYS: i64 = 31;
/// Likewise for rows of the future.
const FUTURE_DAYS: i64 = 2;

/// A block's name, unique in its data directory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId(pub u128);

impl BlockId {
    /// The id of a block made at a time; the nonce tells it from others of the same nanosecond.
    pub fn new(created_unix_nano: i64, nonce: u64) -> Self {
        let created = u64::try_from(created_unix_nano).unwrap_or(0);
        BlockId((u128::from(created) << 64) | u128::from(nonce))
    }

    /// The time in it.
    pub fn made_at(self) -> u64 {
        u64::try_from(self.0 >> 64).unwrap_or(u64::MAX)
    }
}

/// The text is not the name of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a block is named by 32 hex digits in lower case")]
pub struct InvalidBlockId;

impl FromStr for BlockId {
    type Err = InvalidBlockId;

    /// Reads what `Display` writes, and nothing else: the id is a folder name.
    fn from_str(text: &str) -> Result<Self, InvalidBlockId> {
        let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() != 32 || !digits {
            return Err(InvalidBlockId);
        }
        u128::from_str_radix(text, 16).map(BlockId).map_err(|_| InvalidBlockId)
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockId({self})")
    }
}

/// Which rows share a block: those of one UTC day, or all that are far from now.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window(Rows);

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Rows {
    /// Far before their arrival.
    Old,
    /// Far behind it. They share no block with others, which would stay for as long as they do.
    Future,
    Day(Date),
}

impl Window {
    /// Rows that are far before the time of their arrival.
    pub const OTHER: Window = Window(Rows::Old);
    /// Rows that are far behind it.
    pub const FUTURE: Window = Window(Rows::Future);

    /// The window of a row with a time that is flushed at `now`, both in nanoseconds since 1970.
    pub fn of(time: i64, now: i64) -> Self {
        let first = now.saturating_sub(PAST_DAYS * DAY_NANOS);
        let last = now.saturating_add(FUTURE_DAYS * DAY_NANOS);
        if time < first {
            return Window::OTHER;
        }
        if time > last {
            return Window::FUTURE;
        }
        // jiff knows the years -9999 to 9999; an i64 of nanoseconds reaches from 1677 to 2262.
        let day = Timestamp::from_nanosecond(i128::from(time)).map(|time| time.to_zoned(TimeZone::UTC).date());
        day.map_or(Window::OTHER, |day| Window(Rows::Day(day)))
    }

    /// The first nanosecond after the day, as far as there is one; `None` for rows that are far from their arrival.
    pub fn end(self) -> Option<i64> {
        let Rows::Day(day) = self.0 else { return None };
        let next = day.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?;
        i64::try_from(next.timestamp().as_nanosecond()).ok()
    }
}

/// The text is not the name of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a window is named by a day such as 2026-11-23, `other` or `future`")]
pub struct InvalidWindow;

impl FromStr for Window {
    type Err = InvalidWindow;

    /// Reads what `Display` writes, and nothing else: the window is a folder name.
    fn from_str(text: &str) -> Result<Self, InvalidWindow> {
        if let Some(window) = [Window::OTHER, Window::FUTURE].into_iter().find(|window| window.to_string() == text) {
            return Ok(window);
        }
        let window = Window(Rows::Day(text.parse().map_err(|_| InvalidWindow)?));
        if window.to_string() == text { Ok(window) } else { Err(InvalidWindow) }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Rows::Day(day) => write!(f, "{day}"),
            Rows::Old => f.write_str("other"),
            Rows::Future => f.write_str("future"),
        }
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Window({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_435_200_000_000_000; // 2026-11-23T12:00:00Z

    #[test]
    fn ids_are_folder_names_in_the_order_of_their_making() {
        let id = BlockId::new(NOW, 7);
        assert_eq!(id.to_string(), "18eaaacd413b80000000000000000007");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(BlockId::new(NOW, u64::MAX) < BlockId::new(NOW + 1, 0));
        assert_eq!(BlockId::new(-1, 9), BlockId(9));
        for bad in ["", "../etc", &"A".repeat(32), &"0".repeat(31), &"0".repeat(33), &format!("+{}", "0".repeat(31))] {
            assert_eq!(bad.parse::<BlockId>(), Err(InvalidBlockId), "{bad}");
        }
    }

    #[test]
    fn a_window_is_a_day_near_now_and_other_far_from_it() {
        let check = |time: i64, expected: &str| {
            let window = Window::of(time, NOW);
            assert_eq!(window.to_string(), expected, "{time}");
            assert_eq!(expected.parse(), Ok(window));
        };
        check(NOW, "2026-11-23");
        check(NOW - DAY_NANOS / 2, "2026-11-23");
        check(NOW - DAY_NANOS / 2 - 1, "2026-11-22");
        check(NOW + DAY_NANOS / 2, "2026-11-24");
        check(NOW - 31 * DAY_NANOS, "2026-10-23");
        check(NOW - 31 * DAY_NANOS - 1, "other");
        check(NOW + 2 * DAY_NANOS, "2026-11-25");
        check(NOW + 2 * DAY_NANOS + 1, "future");
        check(0, "other");
        check(i64::MIN, "other");
        check(i64::MAX, "future");
    }

    #[test]
    fn days_before_1970_and_at_the_ends_of_time_have_names() {
        assert_eq!(Window::of(-1, 0).to_string(), "1969-12-31");
        assert_eq!(Window::of(i64::MIN, i64::MIN).to_string(), "1677-09-21");
        assert_eq!(Window::of(i64::MAX, i64::MAX).to_string(), "2262-04-11");
    }

    #[test]
    fn only_canonical_names_are_windows() {
        for bad in ["", "Other", "Future", "2026-11-31", "20261123", "2026-11-23T00:00", "..", "2026-1-2"] {
            assert_eq!(bad.parse::<Window>(), Err(InvalidWindow), "{bad}");
        }
    }
}
