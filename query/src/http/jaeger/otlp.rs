//! How does the third API write traces? As OTLP/JSON under `result`, and in lists as summaries.

use crate::column::{Columns, span_id};
use crate::error::{Error, Result};
use crate::exec::Control;
use query_api::otlp::ResourceSpans;
use query_api::trace::{ServiceShare, TraceSummary};
use serde::Serialize;
use std::collections::HashSet;
use storage::model::SpanId;
use storage::model::schema::column;

/// Traces, however many.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    result: Spans,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Spans {
    resource_spans: Vec<ResourceSpans>,
}

impl Answer {
    pub(super) fn new(resource_spans: Vec<ResourceSpans>) -> Self {
        Answer { result: Spans { resource_spans } }
    }
}

/// A trace in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    trace_id: String,
    pub(super) root_service_name: String,
    pub(super) root_operation_name: String,
    #[serde(with = "query_api::nanos")]
    pub(super) min_start_time_unix_nano: i64,
    #[serde(with = "query_api::nanos")]
    pub(super) max_end_time_unix_nano: i64,
    pub(super) span_count: u32,
    pub(super) error_span_count: u32,
    pub(super) orphan_span_count: u32,
    pub(super) services: Vec<Share>,
}

/// The part of a service.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Share {
    pub(super) name: String,
    pub(super) span_count: u32,
    pub(super) error_span_count: u32,
}

impl Summary {
    pub(super) fn new(control: &Control, summary: TraceSummary) -> Result<Self> {
        let share = |share: ServiceShare| Share {
            name: share.name,
            span_count: share.span_count,
            error_span_count: share.error_count,
        };
        Ok(Summary {
            orphan_span_count: orphans(control, &summary.trace_id)?,
            trace_id: summary.trace_id,
            root_service_name: summary.root_service,
            root_operation_name: summary.root_name,
            min_start_time_unix_nano: summary.start_unix_nano,
            max_end_time_unix_nano: summary.start_unix_nano.saturating_add(summary.duration_nano),
            span_count: summary.span_count,
            error_span_count: summary.error_count,
            services: summary.services.into_iter().map(share).collect(),
        })
    }
}

/// How many spans of a trace have a parent that is not there.
fn orphans(control: &Control, trace: &str) -> Result<u32> {
    let trace = trace.parse().map_err(|_| Error::bug("a search found a trace whose id is none"))?;
    let (mut there, mut parents): (HashSet<SpanId>, Vec<SpanId>) = Default::default();
    let mut charged = 0;
    control.trace(trace, [column::SPAN_ID, column::PARENT_SPAN_ID], |batch| {
        let columns = Columns(batch);
        let (ids, of) = (columns.fixed(column::SPAN_ID)?, columns.fixed(column::PARENT_SPAN_ID)?);
        there.extend((0..columns.rows()).filter_map(|row| span_id(ids, row)));
        parents.extend((0..columns.rows()).filter_map(|row| span_id(of, row)));
        let bytes = 2 * size_of::<SpanId>() * (there.len() + parents.len());
        control.charge(bytes.saturating_sub(charged))?;
        charged = bytes;
        Ok(())
    })?;
    control.release(charged);
    let orphans = parents.iter().filter(|parent| !there.contains(parent)).count();
    Ok(u32::try_from(orphans).unwrap_or(u32::MAX))
}
