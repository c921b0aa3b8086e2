//! How coarse is time in a block of metrics? Raw, or in windows of so many seconds.
//!
//! A window is what lies after a multiple of the resolution, until the next one; times count in whole milliseconds, as whoever asks
//! for ranges of series counts them.

use serde::{Deserialize, Serialize};

const MILLISECOND: i64 = 1_000_000;
const DAY_SECONDS: u32 = 86_400;

/// The length of the windows of which a block of metrics keeps what stands for all samples. Ordered by coarseness.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Resolution(u32);

impl Resolution {
    /// Every sample is there.
    pub const RAW: Resolution = Resolution(0);

    /// Windows of so many seconds; `None` where a day is no multiple of them.
    pub fn of_seconds(seconds: u32) -> Option<Self> {
        (seconds > 0 && DAY_SECONDS.is_multiple_of(seconds)).then_some(Resolution(seconds))
    }

    /// Seconds of a window; 0 for raw samples.
    pub fn seconds(self) -> u32 {
        self.0
    }

    /// Milliseconds of a window; 0 for raw samples.
    pub fn milliseconds(self) -> i64 {
        i64::from(self.0) * 1_000
    }

    /// Whether every sample is there.
    pub fn is_raw(&self) -> bool {
        self.0 == 0
    }

    /// Whether the ends of windows are among the multiples of so many milliseconds' divisors: who looks at multiples of `every` alone
    /// cuts no window. Raw samples have none to be cut.
    pub fn divides(self, every: i64) -> bool {
        self.is_raw() || (every > 0 && every % self.milliseconds() == 0)
    }

    /// The number of the window of a time in nanoseconds.
    pub(crate) fn window(self, time: i64) -> i64 {
        (time.div_euclid(MILLISECOND) - 1).div_euclid(self.milliseconds().max(1))
    }

    /// The first and the last nanosecond of the window of a time.
    pub(crate) fn bounds(self, time: i64) -> (i64, i64) {
        let length = self.milliseconds().max(1);
        let start = self.window(time).saturating_mul(length);
        let nanoseconds = |milliseconds: i64| milliseconds.saturating_add(1).saturating_mul(MILLISECOND);
        (nanoseconds(start), nanoseconds(start.saturating_add(length)).saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_with_the_millisecond_that_is_a_multiple() {
        let five = Resolution::of_seconds(300).unwrap();
        let window = |milliseconds: i64| five.window(milliseconds * MILLISECOND);
        assert_eq!((window(300_000), window(300_001), window(600_000)), (0, 1, 1));
        assert_eq!(five.window(300_000 * MILLISECOND + 999_999), 0, "a part of a millisecond does not count");
        assert_eq!((window(0), window(1)), (-1, 0));
        assert_eq!(five.bounds(300_001 * MILLISECOND), (300_001 * MILLISECOND, 600_001 * MILLISECOND - 1));
        for time in [i64::MIN, -1, i64::MAX] {
            let (start, end) = five.bounds(time);
            assert!(start <= end, "{time}");
        }
    }

    #[test]
    fn a_day_is_a_multiple_of_a_resolution() {
        assert_eq!(Resolution::of_seconds(0), None);
        assert_eq!(Resolution::of_seconds(7), None);
        assert!(Resolution::of_seconds(3_600).unwrap().divides(7_200_000));
        assert!(!Resolution::of_seconds(3_600).unwrap().divides(300_000));
        assert!(!Resolution::of_seconds(3_600).unwrap().divides(0) && Resolution::RAW.divides(0));
    }
}
