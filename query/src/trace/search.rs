//! Which traces match? A trace matches when one of its spans matches all filters and starts in the range.
//!
//! F1  Traces are ordered by the best key of their matching spans, then by trace id; pages follow each other without a
//!     gap and without a double, also where many traces share a key. That holds of what was there when the first page was asked: a span
//!     that comes later may give its trace a better key, above what a later page looks at, and then that page does not tell it.
//! F2  Candidates are what a scan proposes (`propose`).
//! F3  Counts and summaries are taken from the whole trace, not from what the scan happened to answer.
//!
//! How pages work: a candidate of a later page is the best span *after* the cursor; if its trace has a better one, the
//! trace was on an earlier page. The whole trace tells, so nothing of earlier pages needs to be remembered.

use super::propose::propose;
use super::summary::summarise;
use super::top::Position;
use crate::error::Result;
use crate::exec::Control;
use query_api::trace::{Order, TraceSummary};
use storage::scan::{Predicate, ScanRequest, TimeRange};

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
        let spans = (query.filter.range, &query.filter.predicate);
        let top = propose(control, spans, query.order, after, keep)?;
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

fn memory_of(summary: &TraceSummary) -> usize {
    let services = summary.services.iter().map(|share| size_of_val(share) + share.name.len()).sum::<usize>();
    size_of_val(summary) + summary.root_name.len() + summary.root_service.len() + services + 32
}
