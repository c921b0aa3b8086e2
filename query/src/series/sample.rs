//! What was measured, and when?

use super::{Histogram, Labels};
use std::sync::Arc;

/// The bits of the NaN that says: the series ended here.
const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// That NaN.
pub(crate) fn stale() -> f64 {
    f64::from_bits(STALE_BITS)
}

/// Whether a number is that NaN.
pub(crate) fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_BITS
}

/// A number or a histogram.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Float(f64),
    Histogram(Arc<Histogram>),
}

impl Value {
    /// Whether it says that the series ended.
    pub(crate) fn is_stale(&self) -> bool {
        match self {
            Value::Float(value) => is_stale(*value),
            Value::Histogram(histogram) => is_stale(histogram.sum),
        }
    }

    pub(crate) fn float(&self) -> Option<f64> {
        match self {
            Value::Float(value) => Some(*value),
            Value::Histogram(_) => None,
        }
    }

    pub(crate) fn histogram(&self) -> Option<&Arc<Histogram>> {
        match self {
            Value::Float(_) => None,
            Value::Histogram(histogram) => Some(histogram),
        }
    }

    /// How many samples it counts as: a histogram takes as much room as several numbers.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Value::Float(_) => 1,
            Value::Histogram(histogram) => histogram.memory_bytes().div_ceil(16),
        }
    }
}

impl From<Histogram> for Value {
    fn from(histogram: Histogram) -> Self {
        Value::Histogram(Arc::new(histogram))
    }
}

/// A value at a moment (M2).
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) time: i64,
    /// Since when a counter counts.
    pub(crate) start: i64,
    pub(crate) value: Value,
}

/// A series as it was stored: samples by ascending time.
#[derive(Debug, Clone)]
pub(crate) struct RawSeries {
    pub(crate) labels: Labels,
    pub(crate) samples: Vec<Sample>,
}

impl RawSeries {
    /// A series with its samples.
    pub(crate) fn whole(labels: Labels, samples: Vec<Sample>) -> Self {
        RawSeries { labels, samples }
    }
}
