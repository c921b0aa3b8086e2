//! Which traces are there? Filters, strips of what matches over time, what is different in a part of it, and the list.

mod bar;
mod difference;
mod results;
mod scatter;
mod series;
mod strips;

use crate::client::load::Load;
use crate::client::paged::{Paged, paged};
use crate::component::app::{App, Entry};
use crate::component::effect::effect;
use crate::component::message;
use crate::state::difference::Differences;
use crate::state::filter::TraceFilter;
use crate::state::query::token;
use crate::state::{format, traceql};
use leptos::prelude::*;
use query_api::trace::SearchResponse;

/// A screen of traces comes sooner than a page of them, which then follows.
const FIRST: &str = "limit=30";

/// The page.
pub(super) fn page() -> AnyView {
    super::title("Explore");
    let app = App::get();
    let filter = Memo::new(move |_| app.params.with(TraceFilter::read));
    let opened = StoredValue::new(false);
    // A query of metrics has no traces to list.
    let is_series = Memo::new(move |_| filter.with(|filter| token::asks_for_series(&filter.query)));
    let series = series::ask(filter, is_series);
    let found = paged::<SearchResponse>(move |cursor| {
        let filter = filter.get();
        if filter.fault().is_some() || is_series.get() {
            return None;
        }
        let request = filter.request(app.span()?, cursor);
        Some(if opened.get_value() { request } else { request.replace("limit=100", FIRST) })
    });
    effect(move || {
        if found.first.data.with(Option::is_some) && !opened.get_value() {
            opened.set_value(true);
            found.more();
        }
    });
    let dots = Memo::new(move |_| app.params.with(|params| params.get("chart") == Some("dots")));
    let spans = Memo::new(move |_| {
        let is_drawn = filter.with(|filter| filter.fault().is_none()) && !dots.get() && !is_series.get();
        is_drawn.then(|| filter.with(traceql::spans))
    });
    let (strips, differences) = (strips::ask(spans), difference::ask(spans));
    let (rates, durations) = (strips.rates.running, strips.durations.running);
    let running = [found.first.running, found.growing, rates, durations, differences.running, series.running];
    let words = move || {
        if is_series.get() {
            return series.data.with(|data| {
                data.as_ref()
                    .map_or_else(String::new, |data| format!("{} series", format::count(data.series.len() as u64)))
            });
        }
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
    difference::close_with_escape();
    let asked = Memo::new(move |_| filter.with(traceql::spans));
    let traces = move || {
        view! {
            {results::failed(found)}
            {message::of_before(found.first, asked)}
            {charts(found, dots, strips, differences)}
            {results::results(found, filter)}
        }
        .into_any()
    };
    let shown = move || {
        let is_series = is_series.get();
        untrack(|| if is_series { series::drawing(series, asked) } else { traces() })
    };
    let failure =
        Signal::derive(move || if is_series.get() { series.failure.get() } else { found.first.failure.get() });
    view! {
        <div class="page">
            {message::progress(running)}
            <header class="page-head"><h1>{move || if is_series.get() { "Series of spans" } else { "Traces" }}</h1><p class="quiet">{words}</p></header>
            {bar::bar(filter, failure)}
            {shown}
        </div>
    }
    .into_any()
}

/// Spans in strips, or the traces that are listed as dots; the URL says which.
fn charts(
    found: Paged<SearchResponse>,
    dots: Memo<bool>,
    strips: strips::Asked,
    differences: Load<Differences>,
) -> AnyView {
    let app = App::get();
    let choice = move |(value, words): (bool, &'static str)| {
        let choose = move |_| app.set(Entry::Replace, "chart", value.then_some("dots"));
        view! { <button class:current=move || dots.get() == value aria-pressed=move || (dots.get() == value).to_string() on:click=choose>{words}</button> }
    };
    let choices = [(false, "All spans"), (true, "Listed traces")].map(choice).into_iter().collect_view();
    let shown = move || match dots.get() {
        true => scatter::scatter(found),
        false => view! { {strips::strips(strips, found)}{difference::panel(differences)} }.into_any(),
    };
    // What is wrong with a query that never had an answer is said above; there is nothing to draw beside it.
    let nothing = move || found.first.failure.with(Option::is_some) && found.first.data.with(Option::is_none);
    view! {
        <div class="block explore-charts" class:stale=move || found.first.is_old() class:none=nothing>
            <div class="segments" role="group" aria-label="What is drawn">{choices}</div>
            {shown}
        </div>
    }
    .into_any()
}
