//! Is there a span whose resource tells no service? The store's lists have what was sent, and not what is missing.

use crate::error::Result;
use crate::exec::Control;
use storage::model::Signal;
use storage::model::origin::UNKNOWN_SERVICE;
use storage::model::schema::column;
use storage::scan::{Measure, Predicate, Scalar, TimeRange, VolumeRequest};

/// Whether a range has spans of [`UNKNOWN_SERVICE`]. Answered by statistics, for the most part.
pub(crate) fn has_unnamed(control: &Control, range: TimeRange) -> Result<bool> {
    let predicate = Predicate::equal(column::SERVICE_NAME, Scalar::String(UNKNOWN_SERVICE.to_owned()));
    let request = VolumeRequest { time: range, step: u64::MAX, by: None, predicate, measure: Measure::Rows };
    Ok(control.volume(Signal::Spans, request)?.values().any(|count| count.rows > 0))
}
