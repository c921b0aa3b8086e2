//! How fast may maintenance go, and how does it rest without keeping the process from ending?
//!
//! R1  Over any time, no more is granted than the rate allows for it and [`BURST`] besides.
//! R2  Who rests is woken at once when the store closes.

use super::store::lock;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// As much as the rate allows in this time may be taken at once.
const BURST: Duration = Duration::from_secs(1);
/// No pause is longer: a step that took much at once does not rest for hours after it.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A token bucket. What is taken beyond what is there is paid for by a pause.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: f64,
    /// Tokens, negative when more was taken than there was.
    level: f64,
    at: Duration,
}

impl Rate {
    pub(super) fn new(per_second: u64, now: Duration) -> Self {
        Rate { per_second: per_second.max(1) as f64, level: 0.0, at: now }
    }

    /// Takes tokens; how long to pause for them.
    pub(super) fn take(&mut self, tokens: u64, now: Duration) -> Duration {
        let most = self.per_second * BURST.as_secs_f64();
        let since = now.saturating_sub(self.at).as_secs_f64();
        self.at = now;
        self.level = (self.level + since * self.per_second).min(most) - tokens as f64;
        let longest = LONGEST_PAUSE.as_secs_f64();
        self.level = self.level.max(-longest * self.per_second);
        Duration::from_secs_f64((-self.level / self.per_second).clamp(0.0, longest))
    }
}

/// Rests that end when the store closes.
#[derive(Debug, Default)]
pub(super) struct Idler {
    closing: Mutex<bool>,
    wake: Condvar,
}

impl Idler {
    /// Rests; whether to go on.
    pub(super) fn rest(&self, at_most: Duration) -> bool {
        let closing = lock(&self.closing);
        if at_most.is_zero() {
            return !*closing;
        }
        let rested = self.wake.wait_timeout_while(closing, at_most, |closing| !*closing);
        !*rested.unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn close(&self) {
        *lock(&self.closing) = true;
        self.wake.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r1_what_is_taken_is_paid_for_by_pauses() {
        let mut rate = Rate::new(1_000, Duration::ZERO);
        let mut now = Duration::from_secs(100);
        let begin = now;
        for _ in 0..50 {
            now += rate.take(700, now);
        }
        let taken = 50.0 * 700.0;
        assert_eq!((now - begin).as_secs_f64().round(), taken / 1_000.0 - BURST.as_secs_f64());
    }

    #[test]
    fn r1_a_pause_saves_no_more_than_a_burst() {
        let mut rate = Rate::new(1_000, Duration::ZERO);
        let now = Duration::from_secs(3_600);
        assert_eq!(rate.take(1_000, now), Duration::ZERO);
        assert_eq!(rate.take(500, now), Duration::from_millis(500));
        assert_eq!(rate.take(u64::MAX, now), LONGEST_PAUSE);
    }

    #[test]
    fn r2_who_rests_is_woken_when_the_store_closes() {
        let idler = Idler::default();
        std::thread::scope(|scope| {
            let resting = scope.spawn(|| idler.rest(Duration::from_secs(3_600)));
            idler.close();
            assert!(!resting.join().unwrap());
        });
        assert!(!idler.rest(Duration::ZERO));
    }
}
