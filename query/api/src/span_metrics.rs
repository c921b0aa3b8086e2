//! What is told of the metrics that are made of spans? `POST /api/v1/span-metrics`, and a part of `GET /api/v1/status`.

use crate::nanos;
use serde::{Deserialize, Serialize};

/// The answer to a request for the metrics of a range: intervals of 15 seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilledResponse {
    /// The start of the first interval.
    #[serde(with = "nanos")]
    pub start_unix_nano: i64,
    /// The end of the last.
    #[serde(with = "nanos")]
    pub end_unix_nano: i64,
    /// Up to where they were looked at; before the end, the time was up, and a request from here goes on.
    #[serde(with = "nanos")]
    pub until_unix_nano: i64,
    /// Those whose metrics were made.
    pub made: u64,
    /// Those that had metrics before.
    pub stored_before: u64,
    /// Those in which nothing is to be told.
    pub empty: u64,
    /// Those that a query's limits were not enough for.
    pub left_out: u64,
}

/// How the making of metrics goes as spans come, since the process started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanMetricsStatus {
    /// From where it went on: the last sample that was stored before, or an hour back.
    #[serde(with = "nanos")]
    pub since_unix_nano: i64,
    /// Up to where spans have been read.
    #[serde(with = "nanos")]
    pub until_unix_nano: i64,
    /// Intervals that were left out: past the hour that is made up for, or too large for a query's limits.
    pub left_out: u64,
}
