//! What did the services say during this trace?

use super::view::{View, log_range};
use crate::client::paged::paged;
use crate::component::message;
use crate::page::logs::list;
use crate::state::filter::LogFilter;
use leptos::prelude::*;
use query_api::log::LogsResponse;

/// The tab.
pub(super) fn tab(view: View) -> AnyView {
    let found = paged::<LogsResponse>(move |cursor| {
        let filter = LogFilter { trace_id: view.id.get(), ..LogFilter::default() };
        Some(filter.request(log_range(&*view.trace()?), cursor))
    });
    let why =
        "No log record with this trace id is stored. Services must log through OpenTelemetry, or add the trace id.";
    let none = move || message::empty("No logs of this trace", why, ().into_any());
    list::log_list(found, none, list::Context::Trace)
}
