//! How long is what kept, and for whom?

use crate::model::{Signal, TenantId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const DAY_NANOS: i64 = 24 * 3600 * 1_000_000_000;

/// What is kept. There is no "for ever": a disk has an end, and which rows meet it is better said than found out. As a
/// person writes it in the settings file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// Days that spans are kept.
    pub spans_days: u32,
    /// Days that log records are kept.
    pub logs_days: u32,
    /// Days that metric points are kept.
    pub metrics_days: u32,
    /// Bytes of blocks of each signal of a tenant.
    pub signal_bytes: u64,
    /// The oldest blocks are deleted while the disk has less free than this.
    pub min_free_bytes: u64,
    /// Single tenants, by name.
    pub tenants: BTreeMap<String, TenantRetention>,
}

/// What is kept of one tenant; what is not said is as for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TenantRetention {
    /// Days that spans are kept.
    pub spans_days: Option<u32>,
    /// Days that log records are kept.
    pub logs_days: Option<u32>,
    /// Days that metric points are kept.
    pub metrics_days: Option<u32>,
    /// Bytes of blocks of each signal.
    pub signal_bytes: Option<u64>,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        RetentionConfig {
            spans_days: 14,
            logs_days: 30,
            metrics_days: 90,
            // A TiB of each signal is some 40 billion spans; who has so much sets it.
            signal_bytes: 1 << 40,
            // Twice the mark at which writes are refused: the oldest rows go before new ones are turned away.
            min_free_bytes: 512 << 20,
            tenants: BTreeMap::new(),
        }
    }
}

impl RetentionConfig {
    /// Whether it can be kept to: an `Err` says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        let zero = |name: &str| format!("`retention` of {name} is 0; zero does not mean for ever here");
        if [self.spans_days, self.logs_days, self.metrics_days].contains(&0) || self.signal_bytes == 0 {
            return Err(zero("all tenants"));
        }
        for (name, own) in &self.tenants {
            TenantId::new(name).map_err(|invalid| format!("`retention.tenants.{name}`: {invalid}"))?;
            if [own.spans_days, own.logs_days, own.metrics_days].contains(&Some(0)) || own.signal_bytes == Some(0) {
                return Err(zero(name));
            }
        }
        Ok(())
    }

    pub(super) fn keep_nanos(&self, tenant: &TenantId, signal: Signal) -> i64 {
        let own = self.of(tenant);
        let days = match signal {
            Signal::Spans => own.spans_days.unwrap_or(self.spans_days),
            Signal::Logs => own.logs_days.unwrap_or(self.logs_days),
            Signal::Metrics => own.metrics_days.unwrap_or(self.metrics_days),
        };
        i64::from(days).saturating_mul(DAY_NANOS)
    }

    pub(super) fn most_bytes(&self, tenant: &TenantId) -> u64 {
        self.of(tenant).signal_bytes.unwrap_or(self.signal_bytes)
    }

    fn of(&self, tenant: &TenantId) -> TenantRetention {
        self.tenants.get(tenant.as_str()).copied().unwrap_or_default()
    }
}
