//! What did the services say during this trace? Its log records and the events of its spans, in one list.

use super::view::{View, log_range};
use crate::client::paged::paged;
use crate::component::message;
use crate::page::logs::list;
use crate::state::filter::LogFilter;
use crate::state::trace::said;
use leptos::prelude::*;
use query_api::log::{LogRecord, LogsResponse};
use std::sync::Arc;

/// The tab of a trace that is here whole.
pub(super) fn tab(view: View) -> AnyView {
    let events = Memo::new(move |_| Arc::new(view.trace().map_or_else(Vec::new, |trace| said::events(&trace))));
    said_in(view.id, move || view.trace().map(|trace| (trace.start, trace.duration)), events)
}

/// The logs of a trace that begins at a time and takes another, with its events.
pub(super) fn said_in(
    id: Memo<String>,
    lasting: impl Fn() -> Option<(i64, i64)> + 'static,
    events: Memo<Arc<Vec<LogRecord>>>,
) -> AnyView {
    let found = paged::<LogsResponse>(move |cursor| {
        let filter = LogFilter { trace_id: id.get(), ..LogFilter::default() };
        Some(filter.request(log_range(lasting()?), cursor))
    });
    let rows = Signal::derive(move || {
        let whole = found.cursor.with(Option::is_none);
        Arc::new(events.with(|events| found.rows.with(|logs| said::merged(logs, events, whole))))
    });
    let why = "No log record with this trace id is stored, and no span has an event. Services must log through OpenTelemetry, or add the trace id.";
    let none = move || message::empty("No logs of this trace", why, ().into_any());
    list::log_list(found, rows, none, list::Context::Trace)
}
