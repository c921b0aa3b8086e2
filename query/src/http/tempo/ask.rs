//! What is asked for, over HTTP and gRPC alike?
//!
//! Not here: how it is answered (`json`, `series`), tags (`tag`).

use super::request::Request;
use crate::error::Result;
use crate::traceql::{self, Axis, MetricsQuery, Search, SearchQuery};
use query_api::trace::Order;

/// A search, newest traces first.
pub(super) fn search(request: &Request) -> Result<(Search, SearchQuery)> {
    let search = traceql::parse(&request.trace_query()?)?.search()?;
    let query = SearchQuery {
        range: request.range_or_all()?,
        order: Order::Newest,
        limit: request.count("limit", 20)?,
        spans_per_set: request.count_or_all("spss", 3)?,
        after: None,
    };
    Ok((search, query))
}

/// Series over steps, and how many exemplars each has.
pub(super) fn range(request: &Request) -> Result<(MetricsQuery, Axis, usize)> {
    let query = traceql::parse(request.query())?;
    let range = request.range_or_recent()?;
    let step = request.step()?.unwrap_or_else(|| Axis::usual_step(range));
    Ok((query.metrics()?, Axis::steps(range, step)?, request.exemplars(&query)?))
}

/// Series of one value.
pub(super) fn instant(request: &Request) -> Result<(MetricsQuery, Axis)> {
    let query = traceql::parse(request.query())?;
    Ok((query.metrics()?, Axis::whole(request.range_or_recent()?)))
}
