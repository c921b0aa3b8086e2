//! What may a query ask of the store? A time range, a predicate, columns, an order.
//!
//! S1  A scan answers exactly the rows that match, each once. Statistics and indexes only leave out what cannot match.
//! S2  The order is a promise about where the scan looks first, not about the rows: whoever needs sorted rows sorts
//!     them, and raises the `Threshold` so that the scan can leave out what comes too late.
//!
//! Not here: how blocks are read (`block`), how memtables are (`memtable`).

mod evaluate;
mod facet;
mod predicate;
mod volume;

pub use crate::index::terms::{Edge, TextQuery};
pub(crate) use evaluate::{
    Condition, Number, Operand, Outcome, Relation, Rows, attribute_column, column_outcome, in_time, map_outcome,
    matching, required, unknown,
};
pub use evaluate::{evaluate, filter};
pub use facet::{AttributeKey, AttributeValue, FacetValues, Keys, ValueType};
pub(crate) use facet::{FacetLimits, FacetPlace, Facets, SCOPES, Wanted, scope_number};
pub use predicate::{AttributeScope, Compare, Field, Predicate, Scalar};

pub use volume::{Count, Dimension, FactCost, Group, Measure, Volume, VolumeRequest};
pub(crate) use volume::{Tally, weights};

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Rows whose time lies in `[start, end)`, or in `[start, ..]` where `end` is `i64::MAX`: a sender may tell any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// First nanosecond.
    pub start: i64,
    /// First nanosecond after it.
    pub end: i64,
}

impl TimeRange {
    /// All of time.
    pub const ALL: TimeRange = TimeRange { start: i64::MIN, end: i64::MAX };

    /// Whether some row between `min` and `max`, both inclusive, may lie in the range.
    pub fn overlaps(self, min: i64, max: i64) -> bool {
        self.ends_after(min) && max >= self.start
    }

    /// Whether every row between `min` and `max`, both inclusive, lies in the range.
    pub fn covers(self, min: i64, max: i64) -> bool {
        self.start <= min && self.ends_after(max)
    }

    /// Whether a time lies in the range.
    pub fn contains(self, time: i64) -> bool {
        self.start <= time && self.ends_after(time)
    }

    fn ends_after(self, time: i64) -> bool {
        time < self.end || self.end == i64::MAX
    }
}

/// Where a scan looks first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ScanOrder {
    /// Wherever it is cheapest.
    #[default]
    Any,
    /// Blocks and row groups with the latest rows.
    Newest,
    /// Blocks and row groups with the earliest rows.
    Oldest,
}

/// A bound on one integer or time column that the reader of a scan tightens while it reads, as a top-k search does.
/// Row groups that lie wholly on the wrong side are left out; rows that do may still be answered.
#[derive(Debug)]
pub struct Threshold {
    column: &'static str,
    at_least: bool,
    value: AtomicI64,
}

impl Threshold {
    /// Only values of at least the bound are of use; starts without bound.
    pub fn at_least(column: &'static str) -> Arc<Self> {
        Arc::new(Threshold { column, at_least: true, value: AtomicI64::new(i64::MIN) })
    }

    /// Only values of at most the bound are of use; starts without bound.
    pub fn at_most(column: &'static str) -> Arc<Self> {
        Arc::new(Threshold { column, at_least: false, value: AtomicI64::new(i64::MAX) })
    }

    /// The column it speaks of.
    pub fn column(&self) -> &'static str {
        self.column
    }

    /// Moves the bound.
    pub fn set(&self, value: i64) {
        self.value.store(value, Ordering::Relaxed);
    }

    /// Whether values between `min` and `max`, both inclusive, may still be of use.
    pub fn admits(&self, min: i64, max: i64) -> bool {
        let bound = self.value.load(Ordering::Relaxed);
        if self.at_least { max >= bound } else { min <= bound }
    }
}

/// What to read of one table.
#[derive(Debug, Clone)]
pub struct ScanRequest {
    /// Rows by time.
    pub time: TimeRange,
    /// Rows by content.
    pub predicate: Predicate,
    /// Columns of the answer, by their names in `model::schema::column`, in this order.
    pub columns: Vec<&'static str>,
    /// Keys of the rows' own attributes that are wanted, where `columns` has these; others may be left out of the maps. All of them
    /// unless given.
    pub keys: Option<&'static [&'static str]>,
    /// Where to look first.
    pub order: ScanOrder,
    /// A bound that the reader tightens.
    pub threshold: Option<Arc<Threshold>>,
}

impl ScanRequest {
    /// Everything of these columns.
    pub fn all(columns: impl IntoIterator<Item = &'static str>) -> Self {
        ScanRequest {
            time: TimeRange::ALL,
            predicate: Predicate::All,
            columns: columns.into_iter().collect(),
            keys: None,
            order: ScanOrder::Any,
            threshold: None,
        }
    }
}
