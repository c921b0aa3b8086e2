//! Which traces are there, and what is in one?
//!
//! Not here: parameters and paths (`http`).

pub(crate) use assemble::hex;
pub(crate) use compare::{CompareQuery, Show, compare};

mod assemble;
mod compare;
pub(crate) mod outline;
mod propose;
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
    let columns = schema::of(Signal::Spans).fields().iter().map(|field| field.name().as_str());
    let (mut batches, mut held) = (Vec::new(), Vec::new());
    control.trace(trace, columns, |batch| {
        held.push(control.hold(batch.get_array_memory_size())?);
        batches.push(batch.clone());
        Ok(())
    })?;
    let mut data = assemble::traces_data(control, &batches)?;
    data.missing = control.missing();
    if data.resource_spans.is_empty() && data.missing.is_empty() {
        return Err(Error::NotFound { what: format!("no span of trace {trace} is stored") });
    }
    Ok(data)
}

/// Every order there is.
#[cfg(test)]
pub(crate) fn any_order() -> impl proptest::strategy::Strategy<Value = query_api::trace::Order> {
    use query_api::trace::Order;
    proptest::sample::select(vec![Order::Newest, Order::Oldest, Order::Longest, Order::MostSpans, Order::MostErrors])
}
