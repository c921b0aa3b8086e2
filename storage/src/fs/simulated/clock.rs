//! A clock that goes when it is told to.

use crate::fs::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// A clock for tests. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct SimulatedClock {
    unix_nano: Arc<AtomicI64>,
    monotonic_nano: Arc<AtomicU64>,
}

impl SimulatedClock {
    /// A clock that stands at a time, in nanoseconds since 1970.
    pub fn at(unix_nano: i64) -> Self {
        SimulatedClock { unix_nano: Arc::new(AtomicI64::new(unix_nano)), monotonic_nano: Arc::default() }
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.monotonic_nano.fetch_add(nanos, Ordering::SeqCst);
        self.unix_nano.fetch_add(i64::try_from(nanos).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// Sets the wall clock, also backwards. No time passes.
    pub fn set(&self, unix_nano: i64) {
        self.unix_nano.store(unix_nano, Ordering::SeqCst);
    }
}

impl Clock for SimulatedClock {
    fn now_unix_nano(&self) -> i64 {
        self.unix_nano.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.monotonic_nano.load(Ordering::SeqCst))
    }
}
