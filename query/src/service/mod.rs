//! How are the services doing? Rate, errors and durations, per service and per operation.
//!
//! R1  Request spans are those of kind SERVER or CONSUMER, and spans without parent.
//! R2  One pass over few columns; a service or resource is looked up once per batch, not once per row.
//!
//! R3  A span that was kept where others were sampled away counts for as many as the threshold says that its trace passed.
//!
//! Not here: parameters and paths (`http`).

mod calls;
mod graph;
mod list;
mod names;
mod operation;
mod passes;
mod unnamed;

pub(crate) use calls::{Call, calls};
pub(crate) use graph::{Beside, Counted, Edge, Figures, LONG, PEER_KEYS, edges_beside, graph, peer};
pub(crate) use list::services;
pub(crate) use names::{Names, Numbered, RowMap};
pub(crate) use operation::{operation_kinds, operations};
pub(crate) use unnamed::has_unnamed;

use crate::quantile::{Count, Histogram};
use query_api::service::Red;
use storage::scan::TimeRange;

const STATUS_ERROR: i32 = 2;
const NANOS_PER_SECOND: f64 = 1e9;

/// Requests, errors and durations of one range.
#[derive(Debug, Default)]
struct Tally {
    errors: Count,
    durations: Histogram,
}

impl Tally {
    fn add(&mut self, duration: i64, is_error: bool, stands_for: f64) {
        self.durations.add(duration, stands_for);
        if is_error {
            self.errors.add(stands_for);
        }
    }

    fn red(&self, range: TimeRange) -> Red {
        let seconds = range.end.abs_diff(range.start) as f64 / NANOS_PER_SECOND;
        Red {
            request_count: self.durations.total().total(),
            error_count: self.errors.total(),
            rate: self.durations.total().exactly() / seconds,
            p50_nano: self.durations.quantile(0.5),
            p95_nano: self.durations.quantile(0.95),
            p99_nano: self.durations.quantile(0.99),
        }
    }
}

#[cfg(test)]
mod tests;
