//! Which traces match? A trace matches when one of its spans matches all filters and starts in the range.
//!
//! F1  Traces are ordered by the best key of their matching spans, then by trace id; pages follow each other without a
//!     gap and without a double, also where many traces share a key.
//! F2  Only the first page's worth of candidates is held (`top`), and the store is told which keys are still of use.
//! F3  Counts and summaries are taken from the whole trace, not from what the scan happened to answer.
//!
//! How pages work: a candidate of a later page is the best span *after* the cursor; if its trace has a better one, the
//! trace was on an earlier page. The whole trace tells, so nothing of earlier pages needs to be remembered.

use super::summary::summarise;
use super::top::{Position, Top};
use crate::column::{Columns, trace_id};
use crate::error::Result;
use crate::exec::Control;
use query_api::trace::{Order, TraceSummary};
use storage::model::Signal;
use storage::model::schema::column;
use storage::scan::{Compare, Field, Predicate, Scalar, ScanOrder, ScanRequest, Threshold, TimeRange};

/// What a candidate takes in `Top`: two entries and their share of tree and table.
const CANDIDATE_BYTES: usize = 128;
/// Candidates beyond the page that a later page asks for, since some turn out to be of earlier pages.
const SPARE: usize = 16;

/// Which spans match.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filter {
    /// By start.
    pub(crate) range: TimeRange,
    /// By content.
    pub(crate) predicate: Predicate,
}

impl Filter {
    /// A request for matching spans.
    pub(super) fn request(&self, columns: &[&'static str]) -> ScanRequest {
        let mut request = ScanRequest::all(columns.iter().copied());
        request.time = self.range;
        request.predicate = self.predicate.clone();
        request
    }
}

/// A page of traces.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SearchQuery {
    /// Which spans match.
    pub(crate) filter: Filter,
    /// In which order.
    pub(crate) order: Order,
    /// Traces on the page.
    pub(crate) limit: usize,
    /// The last trace of the page before.
    pub(crate) after: Option<Position>,
}

/// The traces of the page, and the place of the last one where another page follows.
pub(crate) fn search(control: &Control, query: &SearchQuery) -> Result<(Vec<TraceSummary>, Option<Position>)> {
    let mut found: Vec<TraceSummary> = Vec::new();
    let mut last = None;
    let mut after = query.after;
    // One more than the page tells whether another follows.
    let mut keep = query.limit + 1 + if after.is_some() { SPARE } else { 0 };
    loop {
        let top = candidates(control, query, after, keep)?;
        let exhausted = top.len() < keep;
        for position in top.into_sorted() {
            after = Some(position);
            let Some(summary) = summarise(control, query, position)? else { continue };
            if found.len() >= query.limit {
                return Ok((found, last));
            }
            control.collect(1)?;
            control.charge(memory_of(&summary))?;
            found.push(summary);
            last = Some(position);
        }
        if exhausted {
            return Ok((found, None));
        }
        keep = keep.saturating_mul(2);
    }
}

/// The first `keep` traces by their matching spans after a place.
fn candidates(control: &Control, query: &SearchQuery, after: Option<Position>, keep: usize) -> Result<Top> {
    let mut request = query.filter.request(&[column::TRACE_ID, key_column(query.order)]);
    if let Some(after) = after {
        narrow(&mut request, query.order, after.key(query.order));
    }
    let threshold = match query.order {
        Order::Newest => Threshold::at_least(column::START),
        Order::Oldest => Threshold::at_most(column::START),
        Order::Longest => Threshold::at_least(column::DURATION),
    };
    request.order = match query.order {
        Order::Newest => ScanOrder::Newest,
        Order::Oldest => ScanOrder::Oldest,
        Order::Longest => ScanOrder::Any,
    };
    request.threshold = Some(threshold.clone());

    let mut top = Top::new(query.order, keep, after);
    let mut charged = 0;
    control.scan(Signal::Spans, request, |batch| {
        let columns = Columns(batch);
        let traces = columns.fixed(column::TRACE_ID)?;
        let mut offer = |row: usize, key: i64| {
            if let Some(trace) = trace_id(traces, row) {
                top.offer(key, trace);
            }
        };
        match query.order {
            Order::Longest => {
                columns.int64(column::DURATION)?.values().iter().enumerate().for_each(|(row, key)| offer(row, *key));
            }
            Order::Newest | Order::Oldest => {
                columns.times(column::START)?.values().iter().enumerate().for_each(|(row, key)| offer(row, *key));
            }
        }
        if let Some(bound) = top.bound() {
            threshold.set(bound);
        }
        let grown = top.len().saturating_sub(charged);
        charged += grown;
        control.charge(grown * CANDIDATE_BYTES)
    })?;
    control.release(charged * CANDIDATE_BYTES);
    Ok(top)
}

/// The column that holds the key.
fn key_column(order: Order) -> &'static str {
    match order {
        Order::Newest | Order::Oldest => column::START,
        Order::Longest => column::DURATION,
    }
}

/// Leaves out rows whose key comes before `key`.
fn narrow(request: &mut ScanRequest, order: Order, key: i64) {
    match order {
        Order::Newest => request.time.end = request.time.end.min(key.saturating_add(1)),
        Order::Oldest => request.time.start = request.time.start.max(key),
        Order::Longest => {
            let at_most = Predicate::Compare {
                field: Field::Column(column::DURATION),
                compare: Compare::LessOrEqual,
                value: Scalar::Int(key),
            };
            request.predicate = std::mem::take(&mut request.predicate).and(at_most);
        }
    }
}

fn memory_of(summary: &TraceSummary) -> usize {
    let services = summary.services.iter().map(|share| size_of_val(share) + share.name.len()).sum::<usize>();
    size_of_val(summary) + summary.root_name.len() + summary.root_service.len() + services + 32
}
