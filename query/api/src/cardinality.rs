//! Which metrics and labels have how many series? `GET /api/v1/metrics/cardinality`.

use crate::nanos;
use crate::trace::Stats;
use serde::{Deserialize, Serialize};

/// The answer of `GET /api/v1/metrics/cardinality`. It is counted from indexes: a series counts where a block or memory says that its
/// samples reach into the range, and a histogram is one series, whatever its buckets. Names are those that PromQL knows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CardinalityResponse {
    /// The tenant's active series, whatever the range and the selector.
    pub active: ActiveSeries,
    /// Series in the range that match.
    pub series_count: u64,
    /// Of those, the series that had no sample before the range.
    pub created_count: u64,
    /// When those came, hour by hour, oldest first; hours in which none came are there too. The first and the last may be cut by the
    /// range.
    pub created: Vec<CreatedSeries>,
    /// Distinct metrics.
    pub metric_count: u64,
    /// Those with the most series.
    pub metrics: Vec<MetricCardinality>,
    /// Distinct labels.
    pub label_count: u64,
    /// Those with the most values.
    pub labels: Vec<LabelCardinality>,
    /// The labels and values with the most series.
    pub pairs: Vec<PairCardinality>,
    /// What the answer cost.
    pub stats: Stats,
}

/// The series of which a sample came within half an hour to an hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveSeries {
    /// How many; absent where this process has no doors of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How many there may be; absent likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// Series that came within one step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedSeries {
    /// First moment of the hour.
    #[serde(with = "nanos")]
    pub start_unix_nano: i64,
    /// How many.
    pub count: u64,
}

/// A metric and its series.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricCardinality {
    /// Name, as PromQL knows it; of a histogram or summary without the suffixes of its parts.
    pub name: String,
    /// Series in the range.
    pub series_count: u64,
    /// Of those, the series that had no sample before the range.
    pub created_count: u64,
}

/// A label and its values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelCardinality {
    /// Name.
    pub name: String,
    /// Distinct values.
    pub value_count: u64,
    /// Series that have it.
    pub series_count: u64,
}

/// A label with one of its values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairCardinality {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
    /// Series that have both.
    pub series_count: u64,
}
