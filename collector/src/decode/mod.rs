//! What telemetry do these bytes hold? OTLP 1.11 protobuf becomes columns, without an intermediate form; so does Prometheus's
//! remote write (`remote`).
//!
//! D1  A request is malformed exactly when proto3 says so (`wire`); then nothing of it is accepted. Two documented
//!     exceptions: values nested deeper than [`MAX_VALUE_DEPTH`] are not looked at, and no more than 1 MiB of values
//!     given piecewise is joined (`value`).
//! D2  Every record is either a row of the batch or counted in `rejected`, and the first reason is told.
//! D3  Pure: the answer depends on the arguments alone. The write-ahead log replays the same bytes through
//!     [`decode`].
//! D4  What is accepted is kept whole: every field has its place in the batch.
//! D5  No input makes it recurse deeper than [`MAX_VALUE_DEPTH`], panic, or hold more than a small multiple of its
//!     own size.
//!
//! Not here: compression, limits on bytes, tenants (`admission`, `receiver`).

pub(crate) mod custom_buckets;
pub(crate) mod cut;
mod envelope;
pub(crate) mod exposition;
pub(crate) mod families;
pub mod foreign;
pub(crate) mod identity;
pub mod json;
mod logs;
mod metrics;
mod origin;
mod points;
pub mod remote;
mod spans;
#[cfg(test)]
mod tests;
pub mod text;
mod value;
mod wire;

pub use value::MAX_VALUE_DEPTH;

use arrow_array::RecordBatch;
use envelope::Frame;
use remote::Written;
use std::fmt;
use std::ops::Range;
use storage::model::{Batch, Signal};

/// Attributes of one record, or entries of one map. Ten thousand are odd, not an attack.
pub const MAX_ATTRIBUTES_PER_MAP: usize = 65_536;
/// Bytes of one key. A key is repeated in statistics and indexes, a value is not.
pub const MAX_KEY_BYTES: usize = 65_536;
/// Records of one request: a row takes memory even where its message is two bytes long.
pub const MAX_RECORDS: usize = 1_000_000;
/// Entities of one resource, and keys of one entity.
pub const MAX_ENTITIES: usize = 1_024;

/// Limits on what one request may hold. Records past them are rejected, not cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Default [`MAX_RECORDS`].
    pub records: usize,
    /// Default [`MAX_ATTRIBUTES_PER_MAP`].
    pub attributes_per_map: usize,
    /// Default [`MAX_KEY_BYTES`].
    pub key_bytes: usize,
    /// Default [`MAX_ENTITIES`].
    pub entities: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        DecodeLimits {
            records: MAX_RECORDS,
            attributes_per_map: MAX_ATTRIBUTES_PER_MAP,
            key_bytes: MAX_KEY_BYTES,
            entities: MAX_ENTITIES,
        }
    }
}

/// A decoded request.
#[derive(Debug)]
pub struct Decoded {
    /// The accepted records.
    pub batch: Batch,
    /// How many spans, log records or data points were left out.
    pub rejected: u64,
    /// Which ones, rising, where records that are metrics count with each point of theirs.
    pub left_out: Vec<Range<usize>>,
    /// Why and where the first of them was; English, for the sender.
    pub message: Option<String>,
    /// Oddities that were tolerated, such as a log record's trace id of a wrong length.
    pub warnings: u64,
    /// service.name of the first accepted record.
    pub service: Option<String>,
    /// What of a remote write is in the batch; nothing of OTLP is counted here.
    pub written: Written,
}

/// The bytes are not the protobuf message that they should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    reason: wire::Reason,
    field: u32,
    /// Where in the request; unknown within a value that was given piecewise.
    pub offset: Option<usize>,
    /// The enclosing messages, outermost first, such as `resource_spans.scope_spans.spans`.
    pub path: String,
}

impl std::error::Error for Malformed {}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed protobuf: {}", self.reason)?;
        if let Some(offset) = self.offset {
            write!(f, " at byte {offset}")?;
        }
        let within = if self.path.is_empty() { "the request" } else { &self.path };
        match self.field {
            0 => write!(f, " in {within}"),
            field => write!(f, " in field {field} of {within}"),
        }
    }
}

/// Why a record is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rejection {
    IdLength { field: &'static str, length: usize, expected: usize },
    IdZero { field: &'static str },
    TimeRange { field: &'static str, value: u64 },
    TooDeep,
    TooManyAttributes { limit: usize },
    KeyTooLong { limit: usize },
    TooManyEntities { limit: usize },
    TooManyRecords { limit: usize },
    BucketCount { bounds: usize, counts: usize },
    BoundsOrder,
    BucketRange,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejection::IdLength { field, length, expected } => {
                write!(f, "{field} has {length} bytes, {expected} are needed")
            }
            Rejection::IdZero { field } => write!(f, "{field} is all zeros"),
            Rejection::TimeRange { field, value } => {
                write!(f, "{field} is {value}, past the year 2262 in Unix nanoseconds")
            }
            Rejection::TooDeep => write!(f, "values nest deeper than {MAX_VALUE_DEPTH}"),
            Rejection::TooManyAttributes { limit } => write!(f, "more than {limit} attributes in one map"),
            Rejection::KeyTooLong { limit } => write!(f, "an attribute's key is longer than {limit} bytes"),
            Rejection::TooManyEntities { limit } => write!(f, "more than {limit} entities, or keys of an entity"),
            Rejection::TooManyRecords { limit } => write!(f, "more than {limit} records in one request"),
            Rejection::BucketCount { bounds, counts } => {
                write!(f, "a histogram has {counts} bucket_counts for {bounds} explicit_bounds")
            }
            Rejection::BoundsOrder => f.write_str("explicit_bounds do not rise strictly"),
            Rejection::BucketRange => f.write_str("an exponential histogram's buckets leave the 32-bit range"),
        }
    }
}

/// Decodes an ExportTraceServiceRequest, ExportLogsServiceRequest or ExportMetricsServiceRequest.
pub fn decode(signal: Signal, received_at: i64, payload: &[u8], limits: &DecodeLimits) -> Result<Decoded, Malformed> {
    let mut frame = Frame::new(received_at, limits);
    let batch = match signal {
        Signal::Spans => spans::decode(payload, &mut frame),
        Signal::Logs => logs::decode(payload, &mut frame),
        Signal::Metrics => metrics::decode(payload, &mut frame),
    };
    let message = frame.told();
    let unfit = || wire::Reader::new(payload).fault(wire::Reason::Columns);
    match batch.and_then(|batch| compact(batch).map_or_else(unfit, Ok)) {
        Ok(batch) => Ok(Decoded {
            batch,
            rejected: frame.rejected,
            left_out: frame.left_out,
            message,
            warnings: frame.scratch.warnings,
            service: frame.service,
            written: Written::default(),
        }),
        Err(fault) => Err(malformed(*fault, payload)),
    }
}

/// Says where in a message the fault is.
fn malformed(fault: wire::Fault, payload: &[u8]) -> Malformed {
    let offset = fault.address.checked_sub(payload.as_ptr().addr()).filter(|offset| *offset <= payload.len());
    let path: Vec<_> = fault.path.iter().rev().copied().collect();
    Malformed { reason: fault.reason, field: fault.field, offset, path: path.join(".") }
}

/// Below this many rows a batch holds mostly room that it does not use: it is what Arrow's builders start with.
const SMALL_ROWS: usize = 1_024;

/// Gives back the memory that a small batch does not use. A lone span would hold 120 KB in the store's memory.
fn compact(batch: Batch) -> Option<Batch> {
    if batch.num_rows() >= SMALL_ROWS {
        return Some(batch);
    }
    let signal = batch.signal();
    let columns = batch.columns().clone();
    // Now nobody but us holds the columns, which is when they can shrink.
    drop(batch);
    let (schema, mut columns, _) = columns.into_parts();
    columns.iter_mut().for_each(arrow_array::Array::shrink_to_fit);
    Batch::new(signal, RecordBatch::try_new(schema, columns).ok()?)
}

/// How many rows a request would become, at most. Cheap: looks at the headers of records only.
pub fn count_records(signal: Signal, payload: &[u8]) -> usize {
    envelope::count(signal, payload)
}

/// Counts the parts of rows, such as events and attributes, that take less in a request than in memory.
pub fn count_small_parts(signal: Signal, payload: &[u8]) -> usize {
    envelope::count_small_parts(signal, payload)
}

/// The function with which the store replays its write-ahead log.
pub fn wal_decoder(
    limits: DecodeLimits,
) -> impl Fn(Signal, i64, &[u8]) -> Result<Batch, String> + Send + Sync + 'static {
    move |signal, received_at, record| {
        let (left_out, payload) = identity::recorded(signal, record).unwrap_or((Vec::new(), record));
        let decoded = remote::recorded(signal, received_at, payload, &limits)
            .unwrap_or_else(|| decode(signal, received_at, payload, &limits).map_err(|error| error.to_string()));
        let batch = decoded?.batch;
        if left_out.is_empty() { Ok(batch) } else { identity::replayed(&batch, &left_out) }
    }
}
