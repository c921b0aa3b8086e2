//! Which traces may come first? Those that a scan of the spans that may match puts there.
//!
//! P1  A proposal's key is that of its trace where the scan answers the matching spans, and never worse where it answers more.
//! P2  Of the orders by one span only as many traces are held as are asked for, and the store is told which keys are still of use.
//!     An order by a number of spans counts all traces of the range, in memory that counts: a count is known at the end only.
//!
//! Not here: which of the proposals are found (`search`, `traceql::search`).

use super::top::{Position, Top};
use crate::column::{Columns, trace_id};
use crate::error::Result;
use crate::exec::Control;
use query_api::trace::Order;
use std::collections::HashMap;
use storage::model::schema::column;
use storage::model::{Signal, TraceId};
use storage::scan::{Compare, Field, Predicate, Scalar, ScanOrder, ScanRequest, Threshold, TimeRange};

/// What a candidate takes in `Top`: two entries and their share of tree and table.
const CANDIDATE_BYTES: usize = 128;
/// What a trace takes whose spans are counted: an entry of a table that may be half empty.
const COUNTED_BYTES: usize = 64;
const STATUS_ERROR: i32 = 2;

/// The first `keep` traces after a place, by the spans of a range that a predicate leaves.
pub(crate) fn propose(
    control: &Control,
    (range, predicate): (TimeRange, &Predicate),
    order: Order,
    after: Option<Position>,
    keep: usize,
) -> Result<Top> {
    let mut request = ScanRequest::all([column::TRACE_ID]);
    request.time = range;
    request.predicate = predicate.clone();
    let mut top = Top::new(order, keep, after);
    match order {
        Order::Newest | Order::Oldest | Order::Longest => by_one_span(control, request, order, after, &mut top)?,
        Order::MostSpans | Order::MostErrors => by_count(control, request, order, &mut top)?,
    }
    Ok(top)
}

fn by_one_span(
    control: &Control,
    mut request: ScanRequest,
    order: Order,
    after: Option<Position>,
    top: &mut Top,
) -> Result<()> {
    let (key, threshold, scanned) = match order {
        Order::Oldest => (column::START, Threshold::at_most(column::START), ScanOrder::Oldest),
        Order::Longest => (column::DURATION, Threshold::at_least(column::DURATION), ScanOrder::Any),
        _ => (column::START, Threshold::at_least(column::START), ScanOrder::Newest),
    };
    if let Some(after) = after {
        narrow(&mut request, order, after.key(order));
    }
    request.columns.push(key);
    request.order = scanned;
    request.threshold = Some(threshold.clone());
    let mut charged = 0;
    control.scan(Signal::Spans, request, |batch| {
        let columns = Columns(batch);
        let traces = columns.fixed(column::TRACE_ID)?;
        let keys = match order {
            Order::Longest => columns.int64(key)?.values(),
            _ => columns.times(key)?.values(),
        };
        let keyed = keys.iter().enumerate().filter_map(|(row, key)| Some((*key, trace_id(traces, row)?)));
        keyed.for_each(|(key, trace)| top.offer(key, trace));
        if let Some(bound) = top.bound() {
            threshold.set(bound);
        }
        let grown = top.len().saturating_sub(charged);
        charged += grown;
        control.charge(grown * CANDIDATE_BYTES)
    })?;
    control.release(charged * CANDIDATE_BYTES);
    Ok(())
}

fn by_count(control: &Control, mut request: ScanRequest, order: Order, top: &mut Top) -> Result<()> {
    let counts_errors = order == Order::MostErrors;
    request.columns.extend(counts_errors.then_some(column::STATUS_CODE));
    let mut counts: HashMap<TraceId, i64> = HashMap::new();
    control.scan(Signal::Spans, request, |batch| {
        let columns = Columns(batch);
        let traces = columns.fixed(column::TRACE_ID)?;
        let codes = if counts_errors { Some(columns.int32(column::STATUS_CODE)?) } else { None };
        let before = counts.len();
        for row in 0..columns.rows() {
            let Some(trace) = trace_id(traces, row) else { continue };
            let counted = codes.is_none_or(|codes| codes.value(row) == STATUS_ERROR);
            *counts.entry(trace).or_default() += i64::from(counted);
        }
        control.charge((counts.len() - before) * COUNTED_BYTES)
    })?;
    let charged = counts.len() * COUNTED_BYTES;
    counts.into_iter().for_each(|(trace, count)| top.offer(count, trace));
    control.release(charged);
    Ok(())
}

/// Leaves out rows whose key comes before `key`.
fn narrow(request: &mut ScanRequest, order: Order, key: i64) {
    match order {
        Order::Oldest => request.time.start = request.time.start.max(key),
        Order::Longest => {
            let at_most = Predicate::Compare {
                field: Field::Column(column::DURATION),
                compare: Compare::LessOrEqual,
                value: Scalar::Int(key),
            };
            request.predicate = std::mem::take(&mut request.predicate).and(at_most);
        }
        _ => request.time.end = request.time.end.min(key.saturating_add(1)),
    }
}
