//! How does what is made of stored telemetry get into the store? By the collector's door, like anything else: the binary lends it.

use bytes::Bytes;
use std::fmt;
use std::pin::Pin;
use storage::model::TenantId;

/// Stores a message of metrics for a tenant; `Err` says why not, or not all of it.
type Deliver = Box<dyn Fn(TenantId, Bytes) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// A door for metrics in one encoding.
pub struct Door(Deliver);

impl Door {
    /// A door that hands messages on.
    pub fn new<F>(deliver: impl Fn(TenantId, Bytes) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        Door(Box::new(move |tenant, message| Box::pin(deliver(tenant, message))))
    }

    pub(crate) async fn send(&self, tenant: TenantId, message: Bytes) -> Result<(), String> {
        (self.0)(tenant, message).await
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}
