//! Which traces are there, and what is in one?
//!
//! Not here: parameters and paths (`http`).

pub(crate) use assemble::hex;
pub(crate) use compare::{CompareQuery, Show, compare};
pub(crate) use part::{Levels, Part};
pub(crate) use prune::{Pruned, Pruning};

mod assemble;
mod compare;
pub(crate) mod outline;
mod part;
mod propose;
mod prune;
mod search;
mod summary;
#[cfg(test)]
mod tests;
mod top;

pub(crate) use propose::propose;
pub(crate) use search::{Filter, SearchQuery, search};
pub(crate) use summary::Matched;
pub(crate) use top::{Position, Top};

use crate::error::{Error, Result};
use crate::exec::Control;
use query_api::otlp::TracesData;
use storage::model::{Signal, TraceId, schema};

/// A trace with everything that is stored of it.
pub(crate) fn by_id(control: &Control, trace: TraceId) -> Result<TracesData> {
    part_by_id(control, trace, None).map(|(data, _)| data)
}

/// What is asked for of a trace, or all of it, and whether that is all that is stored.
pub(crate) fn part_by_id(control: &Control, trace: TraceId, part: Option<&Part>) -> Result<(TracesData, bool)> {
    let columns = schema::of(Signal::Spans).fields().iter().map(|field| field.name().as_str());
    let (mut batches, mut held) = (Vec::new(), Vec::new());
    control.trace(trace, columns, |batch| {
        held.push(control.hold(batch.get_array_memory_size())?);
        batches.push(batch.clone());
        Ok(())
    })?;
    let missing = control.missing();
    if missing.is_empty() && batches.iter().all(|batch| batch.num_rows() == 0) {
        return Err(Error::NotFound { what: format!("no span of trace {trace} is stored") });
    }
    let told = part.map(|part| part.of(control, &batches)).transpose()?;
    let is_whole = told.iter().flatten().all(|told| told.count_set_bits() == told.len());
    let data = TracesData { missing, ..assemble::traces_data(control, &batches, told.as_deref())? };
    Ok((data, is_whole))
}

/// Every order there is.
#[cfg(test)]
pub(crate) fn any_order() -> impl proptest::strategy::Strategy<Value = query_api::trace::Order> {
    use query_api::trace::Order;
    proptest::sample::select(vec![Order::Newest, Order::Oldest, Order::Longest, Order::MostSpans, Order::MostErrors])
}
