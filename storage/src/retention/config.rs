//! How long is what kept, and for whom?

use crate::metric::Resolution;
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
    /// What is kept of metrics beside, and longer than, their samples.
    pub downsampling: Vec<DownsamplingLevel>,
    /// Single tenants, by name.
    pub tenants: BTreeMap<String, TenantRetention>,
}

/// Blocks that stand for the samples of metrics, in windows of a resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DownsamplingLevel {
    /// Seconds of a window; a day is a multiple of them.
    pub resolution_seconds: u32,
    /// Days after which they are made.
    pub after_days: u32,
    /// Days that they are kept.
    pub keep_days: u32,
}

impl DownsamplingLevel {
    pub(crate) fn resolution(&self) -> Option<Resolution> {
        Resolution::of_seconds(self.resolution_seconds)
    }

    pub(crate) fn after_nanos(&self) -> i64 {
        i64::from(self.after_days).saturating_mul(DAY_NANOS)
    }

    /// An `Err` says what is wrong, of levels beside samples that are kept so long.
    fn check(&self, metrics_days: u32) -> Result<(), String> {
        let DownsamplingLevel { resolution_seconds, after_days, keep_days } = *self;
        if self.resolution().is_none() {
            return Err(format!("`resolution_seconds` is {resolution_seconds}, and a day is no multiple of that"));
        }
        // A day's samples go one by one from the day on at which they are so old, and what is thinned has them all.
        if after_days == 0 || after_days.saturating_add(1) >= metrics_days {
            return Err(format!(
                "`after_days` is {after_days}; it is at least 1, and two days less than the {metrics_days} of `metrics_days`"
            ));
        }
        if keep_days <= after_days {
            return Err(format!("`keep_days` is {keep_days}, not more than the {after_days} of `after_days`"));
        }
        Ok(())
    }
}

/// What is kept of one tenant; what is not said is as for all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// What is kept of metrics beside their samples.
    pub downsampling: Option<Vec<DownsamplingLevel>>,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        RetentionConfig {
            spans_days: 14,
            logs_days: 30,
            metrics_days: 90,
            // A TiB of each signal is some 40 billion spans; who has so much sets it.
            signal_bytes: 1 << 40,
            // What was acknowledged does not go because somebody else fills the disk; writes are refused until there is room.
            min_free_bytes: 0,
            downsampling: Vec::new(),
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
        check_levels("retention.downsampling", &self.downsampling, self.metrics_days)?;
        for (name, own) in &self.tenants {
            TenantId::new(name).map_err(|invalid| format!("`retention.tenants.{name}`: {invalid}"))?;
            if [own.spans_days, own.logs_days, own.metrics_days].contains(&Some(0)) || own.signal_bytes == Some(0) {
                return Err(zero(name));
            }
            let levels = own.downsampling.as_ref().unwrap_or(&self.downsampling);
            let setting = format!("retention.tenants.{name}.downsampling");
            check_levels(&setting, levels, own.metrics_days.unwrap_or(self.metrics_days))?;
        }
        Ok(())
    }

    pub(crate) fn keep_nanos(&self, tenant: &TenantId, signal: Signal) -> i64 {
        let own = self.tenants.get(tenant.as_str());
        let days = match signal {
            Signal::Spans => own.and_then(|own| own.spans_days).unwrap_or(self.spans_days),
            Signal::Logs => own.and_then(|own| own.logs_days).unwrap_or(self.logs_days),
            Signal::Metrics => own.and_then(|own| own.metrics_days).unwrap_or(self.metrics_days),
        };
        i64::from(days).saturating_mul(DAY_NANOS)
    }

    /// The same of blocks of metrics that stand for others. Those of a resolution that nobody wants any more are kept as samples are.
    pub(super) fn keep_thinned_nanos(&self, tenant: &TenantId, resolution: Resolution) -> i64 {
        let level = self.levels(tenant).iter().find(|level| level.resolution() == Some(resolution));
        let days = level.map(|level| i64::from(level.keep_days).saturating_mul(DAY_NANOS));
        days.unwrap_or_else(|| self.keep_nanos(tenant, Signal::Metrics))
    }

    /// What is kept of a tenant's metrics beside their samples.
    pub(crate) fn levels(&self, tenant: &TenantId) -> &[DownsamplingLevel] {
        let own = self.tenants.get(tenant.as_str()).and_then(|own| own.downsampling.as_ref());
        own.unwrap_or(&self.downsampling)
    }

    /// Whether something is kept of somebody's metrics beside their samples.
    pub(crate) fn thins(&self) -> bool {
        let of_tenants = self.tenants.values().filter_map(|own| own.downsampling.as_ref());
        [&self.downsampling].into_iter().chain(of_tenants).any(|levels| !levels.is_empty())
    }

    pub(super) fn most_bytes(&self, tenant: &TenantId) -> u64 {
        self.tenants.get(tenant.as_str()).and_then(|own| own.signal_bytes).unwrap_or(self.signal_bytes)
    }
}

fn check_levels(setting: &str, levels: &[DownsamplingLevel], metrics_days: u32) -> Result<(), String> {
    for (place, level) in levels.iter().enumerate() {
        level.check(metrics_days).map_err(|what| format!("`{setting}`: {what}"))?;
        if levels.iter().take(place).any(|other| other.resolution_seconds == level.resolution_seconds) {
            return Err(format!("`{setting}` has {} s twice", level.resolution_seconds));
        }
    }
    Ok(())
}
