//! What is telemetry, to the store? The data model: identifiers, attributes, one Arrow schema per table, and the
//! builders that append OpenTelemetry records column by column.
//!
//! M1  Nothing that an SDK can send is lost: every field of a span, log record or data point has a column.
//! M2  Attributes are in canonical form (`attribute`): equal maps are equal bytes.
//! M3  Times are `i64` nanoseconds since 1970 UTC.
//!
//! Nothing here is serialised by derive: wire types are `query-api`, the disk layout is `storage/docs/format`.
//! Not here: any IO, any protocol.

pub mod attribute;
mod batch;
mod dictionary;
mod equal;
mod id;
mod log;
pub mod origin;
mod point;
pub mod record;
pub mod schema;
mod signal;
mod span;
pub mod verbatim;

pub use batch::Batch;
pub(crate) use equal::same;
pub use id::{InvalidTenant, SpanId, TenantId, TraceId};
pub use log::{LogBatchBuilder, LogRecord};
pub use point::{MetricHead, Point, PointBatchBuilder, PointData};
pub use signal::Signal;
pub use span::{Span, SpanBatchBuilder};
