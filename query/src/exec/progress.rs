//! How far is a query, seen from another thread?
//!
//! R1  Steps are blocks and batches of memory. What is done never shrinks, nor does what there is to do; a query that scans again
//!     has more to do then.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Shared by a running query and whoever waits for it.
#[derive(Debug, Default)]
pub(crate) struct Progress(Mutex<Scans>);

#[derive(Debug, Default)]
struct Scans {
    /// Steps of the scans that are over; those that turned out to be of no use are done, too.
    over: u64,
    now: Option<UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    all: u64,
    left: Arc<AtomicUsize>,
}

/// Ends a scan when it is dropped.
#[derive(Debug)]
pub(super) struct Scanning<'p>(&'p Progress);

impl Progress {
    /// A scan begins, of which so many steps are left.
    pub(super) fn begin(&self, left: Arc<AtomicUsize>) -> Scanning<'_> {
        let all = count(&left);
        let mut scans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        scans.over += scans.now.take().map_or(0, |before| before.all);
        scans.now = Some(UnderWay { all, left });
        Scanning(self)
    }

    /// Steps that are done, and all.
    pub(crate) fn steps(&self) -> (u64, u64) {
        let scans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, left) = scans.now.as_ref().map_or((0, 0), |now| (now.all, count(&now.left)));
        (scans.over + all.saturating_sub(left), scans.over + all)
    }
}

impl Drop for Scanning<'_> {
    fn drop(&mut self) {
        let mut scans = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        scans.over += scans.now.take().map_or(0, |now| now.all);
    }
}

fn count(left: &AtomicUsize) -> u64 {
    u64::try_from(left.load(Ordering::Relaxed)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r1_steps_never_shrink() {
        let progress = Progress::default();
        let left = Arc::new(AtomicUsize::new(3));
        assert_eq!(progress.steps(), (0, 0));
        let scanning = progress.begin(left.clone());
        assert_eq!(progress.steps(), (0, 3));
        left.store(1, Ordering::Relaxed);
        assert_eq!(progress.steps(), (2, 3));
        drop(scanning);
        assert_eq!(progress.steps(), (3, 3), "what was left is of no use");
        let _again = progress.begin(Arc::new(AtomicUsize::new(2)));
        assert_eq!(progress.steps(), (3, 5));
    }
}
