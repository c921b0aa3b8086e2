//! How long is what kept, and for whom?

use crate::model::{Signal, TenantId};
use std::collections::BTreeMap;

const DAY_NANOS: i64 = 24 * 3600 * 1_000_000_000;

/// What is kept. There is no "for ever": a disk has an end, and which rows meet it is better said than found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionConfig {
    /// What every tenant has that `tenants` does not name.
    pub default: TenantRetention,
    /// Single tenants.
    pub tenants: BTreeMap<TenantId, TenantRetention>,
    /// The oldest blocks are deleted while the disk has less free than this.
    pub min_free_bytes: u64,
}

/// What is kept of one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantRetention {
    /// Days that spans are kept.
    pub spans_days: u32,
    /// Days that log records are kept.
    pub logs_days: u32,
    /// Days that metric points are kept.
    pub metrics_days: u32,
    /// Bytes of blocks of each signal.
    pub signal_bytes: u64,
}

impl Default for TenantRetention {
    fn default() -> Self {
        // A TiB of each signal is some 40 billion spans; who has so much sets it.
        TenantRetention { spans_days: 14, logs_days: 30, metrics_days: 90, signal_bytes: 1 << 40 }
    }
}

impl Default for RetentionConfig {
    fn default() -> Self {
        // Twice the mark at which writes are refused: the oldest rows go before new ones are turned away.
        RetentionConfig { default: TenantRetention::default(), tenants: BTreeMap::new(), min_free_bytes: 512 << 20 }
    }
}

impl RetentionConfig {
    fn of(&self, tenant: &TenantId) -> &TenantRetention {
        self.tenants.get(tenant).unwrap_or(&self.default)
    }

    pub(super) fn keep_nanos(&self, tenant: &TenantId, signal: Signal) -> i64 {
        let of_tenant = self.of(tenant);
        let days = match signal {
            Signal::Spans => of_tenant.spans_days,
            Signal::Logs => of_tenant.logs_days,
            Signal::Metrics => of_tenant.metrics_days,
        };
        i64::from(days).saturating_mul(DAY_NANOS)
    }

    pub(super) fn most_bytes(&self, tenant: &TenantId) -> u64 {
        self.of(tenant).signal_bytes
    }
}
