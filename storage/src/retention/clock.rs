//! What time is it for sure? The wall clock, unless it jumped ahead a short while ago.
//!
//! A clock that jumps ahead by a year would make everything old. So a jump is believed only after it has lasted; till then
//! time goes on as the monotonic clock says. A start is a jump too: it is compared with the newest block.

use crate::block::BlockId;
use crate::fs::Clock;
use std::time::Duration;

/// How long a clock that jumped ahead must say the same before it is believed.
pub(super) const DOUBT: Duration = Duration::from_secs(3600);
/// The wall clock may gain this on the monotonic one between two looks.
const SLACK_NANOS: i64 = 300 * 1_000_000_000;

/// The wall clock, with doubts.
#[derive(Debug)]
pub(crate) struct SteadyClock {
    /// A believed time, and the monotonic time at which it was.
    base: (i64, Duration),
    doubted_since: Option<Duration>,
}

impl SteadyClock {
    /// Begins with the time of the newest block, if there is one: by then it was at least that late.
    pub(crate) fn new(clock: &dyn Clock, newest: Option<BlockId>) -> Self {
        let now = clock.now_unix_nano();
        let made = newest.and_then(|id| i64::try_from(id.0 >> 64).ok());
        SteadyClock { base: (made.map_or(now, |made| made.min(now)), clock.monotonic()), doubted_since: None }
    }

    /// The time that is believed.
    pub(crate) fn now(&mut self, clock: &dyn Clock) -> i64 {
        let (wall, monotonic) = (clock.now_unix_nano(), clock.monotonic());
        let passed = monotonic.saturating_sub(self.base.1);
        let expected = self.base.0.saturating_add(i64::try_from(passed.as_nanos()).unwrap_or(i64::MAX));
        if wall > expected.saturating_add(SLACK_NANOS) {
            let since = *self.doubted_since.get_or_insert(monotonic);
            if monotonic.saturating_sub(since) < DOUBT {
                return expected;
            }
        }
        self.doubted_since = None;
        self.base = (wall, monotonic);
        wall
    }
}
