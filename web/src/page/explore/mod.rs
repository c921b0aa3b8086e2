//! Which traces are there? Filters, a scatter of duration over time, and the list.

mod bar;
mod results;
mod scatter;

use crate::client::paged::paged;
use crate::component::app::App;
use crate::component::message;
use crate::state::filter::TraceFilter;
use crate::state::format;
use leptos::prelude::*;
use query_api::trace::SearchResponse;

/// The page.
pub(super) fn page() -> AnyView {
    super::title("Explore");
    let app = App::get();
    let filter = Memo::new(move |_| app.params.with(TraceFilter::read));
    let found = paged::<SearchResponse>(move |cursor| {
        let filter = filter.get();
        if filter.fault().is_some() {
            return None;
        }
        Some(filter.request(app.span()?, cursor))
    });
    let words = move || {
        if found.first.data.with(Option::is_none) || found.first.failure.with(Option::is_some) {
            return String::new();
        }
        let rows = found.rows.get();
        let errors = rows.iter().filter(|t| t.error_count > 0).count();
        let more = if found.cursor.with(Option::is_some) { "first " } else { "" };
        let scanned = found.first.data.with(|d| {
            d.as_ref().map_or_else(String::new, |d| {
                format!(
                    " · {} spans looked at in {} ms",
                    format::count(d.stats.rows_scanned),
                    format::significant(d.stats.elapsed_ms)
                )
            })
        });
        format!("{more}{}, {errors} with errors{scanned}", format::counted(rows.len() as u64, "trace"))
    };
    view! {
        <div class="page">
            {message::progress([found.first.running, found.growing])}
            <header class="page-head"><h1>"Traces"</h1><p class="quiet">{words}</p></header>
            {bar::bar(filter, found)}
            {scatter::scatter(found)}
            {results::results(found, filter)}
        </div>
    }
    .into_any()
}
