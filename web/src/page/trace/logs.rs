//! What did the services say during this trace? Its log records and the events of its spans, in one list.

use super::view::{View, log_range};
use crate::client::paged::paged;
use crate::component::message;
use crate::page::logs::list;
use crate::state::filter::LogFilter;
use crate::state::trace::said;
use leptos::prelude::*;
use query_api::log::LogsResponse;
use std::sync::Arc;

/// The tab.
pub(super) fn tab(view: View) -> AnyView {
    let found = paged::<LogsResponse>(move |cursor| {
        let filter = LogFilter { trace_id: view.id.get(), ..LogFilter::default() };
        Some(filter.request(log_range(&*view.trace()?), cursor))
    });
    let events = Memo::new(move |_| Arc::new(view.trace().map_or_else(Vec::new, |trace| said::events(&trace))));
    let rows = Signal::derive(move || {
        let whole = found.cursor.with(Option::is_none);
        Arc::new(events.with(|events| found.rows.with(|logs| said::merged(logs, events, whole))))
    });
    let why = "No log record with this trace id is stored, and no span has an event. Services must log through OpenTelemetry, or add the trace id.";
    let none = move || message::empty("No logs of this trace", why, ().into_any());
    list::log_list(found, rows, none, list::Context::Trace)
}
