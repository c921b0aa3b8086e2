//! How does a query learn that nobody waits for it any more, also in the midst of a scan that finds nothing?
//!
//! N1  After `cancel`, `is_cancelled` is true and the scan that is being watched reads no further row group: its
//!     threshold admits nothing any more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use storage::scan::Threshold;

/// Shared by a running query and whoever waits for it.
#[derive(Debug, Default)]
pub(super) struct Cancel {
    is_cancelled: AtomicBool,
    scan: Mutex<Option<Arc<Threshold>>>,
}

impl Cancel {
    /// Whether nobody waits any more.
    pub(super) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::SeqCst)
    }

    /// Tells the query.
    pub(super) fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::SeqCst);
        if let Some(threshold) = &*self.scan.lock().unwrap_or_else(PoisonError::into_inner) {
            admit_nothing(threshold);
        }
    }

    /// The scan that is read from now on.
    pub(super) fn watch(&self, threshold: Arc<Threshold>) {
        *self.scan.lock().unwrap_or_else(PoisonError::into_inner) = Some(threshold);
    }
}

fn admit_nothing(threshold: &Threshold) {
    // One end of all values or the other, by the direction of the bound.
    threshold.set(i64::MAX);
    if threshold.admits(0, 0) {
        threshold.set(i64::MIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n1_a_cancelled_scan_admits_nothing_in_either_direction() {
        for threshold in [Threshold::at_least("start"), Threshold::at_most("start")] {
            let cancel = Cancel::default();
            cancel.watch(threshold.clone());
            assert!(threshold.admits(-5, 5) && !cancel.is_cancelled());
            cancel.cancel();
            assert!(!threshold.admits(i64::MIN + 1, i64::MAX - 1) && cancel.is_cancelled());
        }
    }
}
