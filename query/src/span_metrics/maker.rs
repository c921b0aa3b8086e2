//! What do the works that make metrics of spans share? The door, whose turn it is, and what is told of them.

use crate::door::Door;
use crate::error::{Error, Result};
use query_api::span_metrics::SpanMetricsStatus;
use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use storage::model::TenantId;
use tokio::sync::MutexGuard;

/// Shared by what makes metrics of spans as they come, and of old ones by request.
#[derive(Debug, Default)]
pub(crate) struct Maker {
    door: OnceLock<Door>,
    turn: tokio::sync::Mutex<()>,
    told: Mutex<BTreeMap<TenantId, SpanMetricsStatus>>,
}

impl Maker {
    /// Lends the door, which takes OTLP/JSON; the first that is lent stays.
    pub(crate) fn lend(&self, door: Door) {
        drop(self.door.set(door));
    }

    pub(super) fn door(&self) -> Result<&Door> {
        let closed = || Error::Host { message: "this server stores no metrics of spans".to_owned() };
        self.door.get().ok_or_else(closed)
    }

    /// Only one makes metrics at a time: two could give one moment two values.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// How the making of a tenant's goes; nothing where none are made as spans come.
    pub(crate) fn status(&self, tenant: &TenantId) -> Option<SpanMetricsStatus> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned()
    }

    pub(super) fn tell(&self, tenant: &TenantId, change: impl FnOnce(&mut SpanMetricsStatus)) {
        change(self.told.lock().unwrap_or_else(PoisonError::into_inner).entry(tenant.clone()).or_default());
    }
}
