//! What do requests of Prometheus's remote write hold, of version 1 and 2? Series that bear their names already
//! (`storage::model::verbatim`).
//!
//! R1  A request is malformed exactly when proto3 says so; then nothing of it is accepted.
//! R2  A series that no query could name is left out with everything that it brought. A sample, histogram or exemplar of which nothing
//!     could be made is left out alone. How many were is counted, and the first reason told with its place.
//! R3  Numbers keep their bits. A sample that says that its series ended is a point without recorded value.
//! R4  The order of labels, and of samples, says nothing: unsorted labels are sorted, and time is any that 64 bits of nanoseconds
//!     can say, from 1677 to 2262.
//! R5  Pure: the write-ahead log replays the same bytes through [`recorded`].
//!
//! - `series`: labels, symbols, metadata; what a series holds.
//! - `histogram`: native histograms.
//! - `known`: series that came before.
//! - `rows`: the batch in the making.
//! - `measure`: how much memory it will take.
//! - `snappy`: the compression that senders use.
//! - `writer`: messages of version 2 of what came by other doors.
//!
//! Not here: HTTP (`receiver`).

mod histogram;
pub(crate) mod known;
mod measure;
mod rows;
mod series;
pub(crate) mod snappy;
#[cfg(test)]
mod tests;
pub(crate) mod writer;

pub(crate) use histogram::resolution::Resolution;
pub(crate) use measure::{measure, table_bytes};
pub(crate) use series::check_symbols;

use super::wire::Reader;
use super::wire::Reason;
use super::{DecodeLimits, Decoded, Malformed, compact, malformed};
use known::Known;
use rows::Rows;
use std::borrow::Cow;
use storage::model::Signal;

/// Labels of one series. Prometheus's own advice is ten; a thousand are odd, not an attack.
pub const MAX_LABELS: usize = 1_024;
/// Buckets from the first to the last of one side of a native histogram, those without observations too: 256 powers of two at
/// the finest resolution.
pub const MAX_BUCKETS: usize = 65_536;

/// Which of remote write's two messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `prometheus.WriteRequest`.
    One,
    /// `io.prometheus.write.v2.Request`.
    Two,
}

/// What of a request is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Samples that are numbers.
    pub samples: u64,
    /// Samples that are native histograms.
    pub histograms: u64,
    /// Exemplars.
    pub exemplars: u64,
}

/// Why something is left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Unfit {
    #[error("there is no label __name__")]
    NoName,
    #[error("a label has an empty name")]
    EmptyLabel,
    #[error("label {0:?} is given twice")]
    Twice(String),
    #[error("there are more than {MAX_LABELS} labels")]
    TooManyLabels,
    #[error("a label's name is longer than {limit} bytes")]
    KeyTooLong { limit: usize },
    #[error("labels_refs has an odd number of references")]
    OddReferences,
    #[error("reference {reference} is past the {symbols} symbols")]
    Reference { reference: u32, symbols: usize },
    #[error("{field} is {milliseconds} ms, outside the years 1677 to 2262")]
    Time { field: &'static str, milliseconds: i64 },
    #[error("an exemplar's timestamp is {milliseconds} ms, before 1970")]
    ExemplarTime { milliseconds: i64 },
    #[error("a histogram has schema {0}; known are -4 to 52 and -53")]
    Schema(i32),
    #[error("a histogram's span after the first has a negative offset")]
    SpanOffset,
    #[error("a histogram's spans and its counts do not have the same number of buckets")]
    SpanLength,
    #[error("a histogram's bucket has a negative count, or one past 63 bits")]
    BucketCount,
    #[error("a histogram's count or zero count is negative")]
    NegativeCount,
    #[error("a histogram's count is {count}, its buckets have {buckets}")]
    Count { count: u64, buckets: u128 },
    #[error("a histogram's custom_values do not rise strictly, or one is NaN or +Inf")]
    Bounds,
    #[error("a histogram with custom_values has a zero bucket or negative buckets, or buckets past the last bound")]
    Custom,
    #[error("a histogram without schema -53 has custom_values")]
    NotCustom,
    #[error("a histogram's buckets span more than {MAX_BUCKETS} indexes, or leave the 32-bit range")]
    TooWide,
    #[error("more than {limit} records in one request")]
    TooManyRecords { limit: usize },
}

/// Decodes a request, by one who knows nothing.
pub(crate) fn decode(
    version: Version,
    received_at: i64,
    message: &[u8],
    limits: &DecodeLimits,
) -> Result<Decoded, Malformed> {
    decode_known(version, received_at, message, limits, &mut Known::default())
}

/// Decodes a request, with the same outcome whatever is known (K1).
pub(crate) fn decode_known(
    version: Version,
    received_at: i64,
    message: &[u8],
    limits: &DecodeLimits,
    known: &mut Known,
) -> Result<Decoded, Malformed> {
    let mut rows = Rows::new(received_at, limits);
    let walked = match version {
        Version::One => series::request_1(message, known, &mut rows),
        Version::Two => series::request_2(message, &mut rows),
    };
    walked.map_err(|fault| malformed(*fault, message))?;
    let (batch, told) = rows.finish();
    let unfit = || Reader::new(message).fault(Reason::Columns);
    let batch = batch.and_then(compact).map_or_else(unfit, Ok).map_err(|fault| malformed(*fault, message))?;
    Ok(Decoded {
        batch,
        rejected: told.rejected,
        message: told.message,
        warnings: 0,
        service: told.service,
        written: told.written,
        // A front cuts requests of OTLP only.
        left_out: Vec::new(),
    })
}

/// What a record of the log begins with, where it is no OTLP: field number 0, with which no message begins.
const ONE: u8 = 1;
const TWO: u8 = 2;
const ONE_SNAPPY: u8 = 3;
const TWO_SNAPPY: u8 = 4;

/// The body of a request, as it came, for the log.
pub(crate) fn record(version: Version, is_snappy: bool, body: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(body.len() + 1);
    record.push(match (version, is_snappy) {
        (Version::One, false) => ONE,
        (Version::Two, false) => TWO,
        (Version::One, true) => ONE_SNAPPY,
        (Version::Two, true) => TWO_SNAPPY,
    });
    record.extend_from_slice(body);
    record
}

/// Decodes a record of the log that [`record`] made; `None` where it is another.
pub(crate) fn recorded(
    signal: Signal,
    received_at: i64,
    record: &[u8],
    limits: &DecodeLimits,
) -> Option<Result<Decoded, String>> {
    let (tag, body) = record.split_first().filter(|_| signal == Signal::Metrics)?;
    let (version, is_snappy) = match *tag {
        ONE => (Version::One, false),
        TWO => (Version::Two, false),
        ONE_SNAPPY => (Version::One, true),
        TWO_SNAPPY => (Version::Two, true),
        _ => return None,
    };
    // What is in the log was small enough when it came.
    let message = if is_snappy { snappy::unpack(body, usize::MAX).map(Cow::Owned) } else { Ok(Cow::Borrowed(body)) };
    Some(
        message
            .map_err(|error| error.to_string())
            .and_then(|message| decode(version, received_at, &message, limits).map_err(|error| error.to_string())),
    )
}
