//! Which traces are there? Filters, strips of what matches over time, what is different in a part of it, and the list.

mod bar;
mod difference;
mod results;
mod scatter;
mod strips;

use crate::client::paged::{Paged, paged};
use crate::component::app::{App, Entry};
use crate::component::message;
use crate::state::filter::TraceFilter;
use crate::state::{format, traceql};
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
            {charts(found, filter)}
            {results::results(found, filter)}
        </div>
    }
    .into_any()
}

/// Spans in strips, or the traces that are listed as dots; the URL says which.
fn charts(found: Paged<SearchResponse>, filter: Memo<TraceFilter>) -> AnyView {
    let app = App::get();
    let dots = Memo::new(move |_| app.params.with(|params| params.get("chart") == Some("dots")));
    let spans = Memo::new(move |_| filter.with(|filter| filter.fault().is_none().then(|| traceql::spans(filter))));
    let choice = move |(value, words): (bool, &'static str)| {
        let choose = move |_| app.set(Entry::Replace, "chart", value.then_some("dots"));
        view! { <button class:current=move || dots.get() == value aria-pressed=move || (dots.get() == value).to_string() on:click=choose>{words}</button> }
    };
    let choices = [(false, "All spans"), (true, "Listed traces")].map(choice).into_iter().collect_view();
    view! {
        <div class="block explore-charts">
            <div class="segments" role="group" aria-label="What is drawn">{choices}</div>
            {move || if dots.get() { scatter::scatter(found) } else { view! { {strips::strips(spans, found)}{difference::panel(spans)} }.into_any() }}
        </div>
    }
    .into_any()
}
