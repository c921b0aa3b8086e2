//! What do metric query languages compute over? Labels, samples, native histograms, and rows of values at aligned steps.
//!
//! M1  The labels of a series are sorted by name, each name once, and none is empty.
//! M2  Times are milliseconds since 1970. A sample's start time is 0 where it is unknown.
//! M3  A row has exactly one cell per step of its grid.
//!
//! Not here: any query language (`promql`), where samples come from (`promql::source`).

mod histogram;
mod kahan;
mod labels;
pub(crate) mod number;
mod points;
mod row;
mod sample;
mod thinning;

pub(crate) use histogram::{Added, Bucket, CUSTOM_SCHEMA, Hint, Histogram, Interval, Side};
pub(crate) use kahan::{Amount, Kahan, Mean};
pub(crate) use labels::{Labels, NAME, is_plain_name, quoted};
pub(crate) use points::{Numbers, Points, Selected};
pub(crate) use row::{Grid, Row};
#[cfg(test)]
pub(crate) use sample::is_stale;
pub(crate) use sample::{RawSeries, Sample, Value, stale};
pub(crate) use thinning::{Needs, Stand, Thinning};
