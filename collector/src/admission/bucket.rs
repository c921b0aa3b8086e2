//! How fast may a tenant send? A token bucket over bytes; pure, the time is an argument.

use std::time::Duration;

/// Tokens that are left, as of a moment.
#[derive(Debug)]
pub(super) struct Bucket {
    tokens: f64,
    at: Duration,
}

impl Bucket {
    pub(super) fn full(burst: u64) -> Self {
        Bucket { tokens: burst as f64, at: Duration::ZERO }
    }

    /// Takes tokens for `bytes`, or says after which time there will be enough. A request of more than the whole
    /// burst passes when the bucket is full. Zero bytes pass whenever there are tokens at all.
    pub(super) fn take(&mut self, bytes: u64, now: Duration, rate: u64, burst: u64) -> Result<(), Duration> {
        let (rate, burst) = (rate.max(1) as f64, burst.max(1) as f64);
        let elapsed = now.saturating_sub(self.at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * rate).min(burst);
        self.at = self.at.max(now);
        let wanted = (bytes as f64).min(burst);
        let missing = wanted - self.tokens;
        if missing > 0.0 {
            return Err(Duration::try_from_secs_f64(missing / rate).unwrap_or(Duration::MAX));
        }
        self.tokens -= wanted;
        Ok(())
    }
}
