//! How much memory is in flight? Counted against a pool for all and one per tenant.

use super::Account;
use crate::error::Refusal;
use std::cmp::Ordering::{Equal, Greater, Less};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that may be held at a time.
#[derive(Debug)]
pub(crate) struct Pool {
    limit: usize,
    used: AtomicUsize,
    peak: AtomicUsize,
}

impl Pool {
    pub(super) fn new(limit: usize) -> Self {
        Pool { limit, used: AtomicUsize::new(0), peak: AtomicUsize::new(0) }
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let more = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.limit);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(before) => {
                self.peak.fetch_max(before + bytes, Ordering::Relaxed);
                true
            }
            Err(_) => false,
        }
    }

    fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The right of one request to hold memory.
#[derive(Debug)]
pub(crate) struct Ticket {
    all: Arc<Pool>,
    account: Arc<Account>,
    held: usize,
}

impl Ticket {
    pub(super) fn new(all: Arc<Pool>, account: Arc<Account>) -> Self {
        Ticket { all, account, held: 0 }
    }

    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    /// Reserves more memory, all of it or none.
    pub(crate) fn reserve(&mut self, bytes: usize) -> Result<(), Refusal> {
        let tenant = &self.account.memory;
        let (limit, needed) = (self.all.limit.min(tenant.limit), self.held.saturating_add(bytes));
        if needed > limit {
            return Err(Refusal::TooHeavy { needed, limit, setting: self.setting() });
        }
        if !tenant.take(bytes) {
            return Err(Refusal::Memory);
        }
        if !self.all.take(bytes) {
            tenant.give(bytes);
            return Err(Refusal::Memory);
        }
        self.held += bytes;
        Ok(())
    }

    /// What an operator would have to raise for a request that can never fit.
    fn setting(&self) -> &'static str {
        match self.account.memory.limit.cmp(&self.all.limit) {
            Less => "`otlp.tenant_bytes_in_flight`",
            Equal => "`otlp.max_bytes_in_flight`, as `otlp.tenant_bytes_in_flight`,",
            Greater => "`otlp.max_bytes_in_flight`",
        }
    }

    /// Gives memory back before the end.
    pub(crate) fn release(&mut self, bytes: usize) {
        let bytes = bytes.min(self.held);
        self.held -= bytes;
        self.account.memory.give(bytes);
        self.all.give(bytes);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.release(self.held);
    }
}
