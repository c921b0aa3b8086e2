//! What did the services say? A histogram by level, and the records below it.

mod histogram;
pub(super) mod list;

use crate::client::load::{Old, load};
use crate::client::paged::paged;
use crate::component::app::{App, Entry};
use crate::component::combobox::{Field, combobox};
use crate::component::message;
use crate::state::filter::{self, LogFilter};
use crate::state::{address, format};
use leptos::prelude::*;
use query_api::log::{HistogramResponse, LogsResponse};
use query_api::service::ServicesResponse;

/// Steps of the histogram.
const BUCKETS: usize = 90;

/// The page.
pub(super) fn page() -> AnyView {
    super::title("Logs");
    let app = App::get();
    let filter = Memo::new(move |_| app.params.with(LogFilter::read));
    let sound = move || filter.with(|f| f.fault().is_none());
    let found = paged::<LogsResponse>(move |cursor| {
        let range = app.span().filter(|_| sound())?;
        Some(filter.with(|f| f.request(range, cursor)))
    });
    let histogram = load::<HistogramResponse>(Old::Keep, move || {
        let range = app.span().filter(|_| sound())?;
        Some(filter.with(|f| f.histogram_request(range, BUCKETS)))
    });
    let words = move || {
        if found.first.data.with(Option::is_none) || found.first.failure.with(Option::is_some) {
            return String::new();
        }
        let total: u64 =
            histogram.data.with(|d| d.as_ref().map_or(0, |d| d.levels.iter().flat_map(|l| &l.counts).sum()));
        let shown = found.rows.with(|r| r.len());
        if total as usize > shown {
            format!("newest {} of {}", format::count(shown as u64), format::counted(total, "record"))
        } else {
            format::counted(shown as u64, "record")
        }
    };
    let none = move || nothing(filter);
    view! {
        <div class="page">
            {message::progress([found.first.running, found.growing, histogram.running])}
            <header class="page-head"><h1>"Logs"</h1><p class="quiet">{words}</p></header>
            {bar(filter)}
            {histogram::chart(histogram)}
            {list::log_list(found, found.rows.into(), none, list::Context::Page)}
        </div>
    }
    .into_any()
}

fn nothing(filter: Memo<LogFilter>) -> AnyView {
    let app = App::get();
    let widen = view! { <button class="button" on:click=move |_| app.look_at("now-24h", "now")>"Look at the last 24 hours"</button> };
    if filter.with(LogFilter::is_empty) {
        let why = "Nothing was sent then, or it is older than the retention.";
        return message::empty("No logs in this range", why, widen.into_any());
    }
    let clear = move |_| change(app, |f| *f = LogFilter::default());
    let both = view! { <button class="button primary" on:click=clear>"Clear the filters"</button>{widen} };
    message::empty("No logs match", "Nothing that fits the filters was logged in this range.", both.into_any())
}

fn change(app: App, change: impl FnOnce(&mut LogFilter)) {
    app.change(Entry::Push, |params| {
        let mut filter = LogFilter::read(params);
        change(&mut filter);
        filter.write(params);
    });
}

fn bar(filter: Memo<LogFilter>) -> AnyView {
    let app = App::get();
    let services = load::<ServicesResponse>(Old::Keep, move || Some(filter::ranged("/api/v1/services", app.span()?)));
    let offers = Signal::derive(move || {
        services
            .data
            .with(|d| d.as_ref().map_or_else(Vec::new, |d| d.services.iter().map(|s| s.name.clone()).collect()))
    });
    let service = combobox(Field {
        label: "Service",
        hint: "any",
        width: 18,
        value: Signal::derive(move || filter.with(|f| f.service.clone())),
        offers,
        chosen: Callback::new(move |text| change(app, |f| f.service = text)),
        testid: "filter-service",
    });
    let fault = move || filter.with(LogFilter::fault).map(|(_, words)| words);
    let clear = move |_| change(app, |f| *f = LogFilter::default());
    view! {
        <div class="filters" role="search">
            <label class="field grow"><span class="field-label">"Contains"</span>
                <input class="wide" data-query type="search" placeholder="text in the message" prop:value=move || filter.with(|f| f.contains.clone())
                    data-testid="filter-contains" spellcheck="false" on:change=move |event| { let text = event_target_value(&event); change(app, |f| f.contains = text); } />
            </label>
            {service}
            {severity(filter)}
            <label class="field"><span class="field-label">"Trace"</span>
                <input class="mono" style="width:20ch" placeholder="trace id" prop:value=move || filter.with(|f| f.trace_id.clone()) spellcheck="false"
                    on:change=move |event| { let text = event_target_value(&event).trim().to_ascii_lowercase(); change(app, |f| { f.trace_id = address::trace_id(&text).unwrap_or(text); f.span_id.clear(); }); } />
            </label>
            <Show when=move || filter.with(|f| !f.span_id.is_empty())>
                <span class="chip mono">{move || format!("span {}", filter.with(|f| f.span_id.clone()))}
                    <button aria-label="Remove" on:click=move |_| change(app, |f| f.span_id.clear())>"×"</button></span>
            </Show>
            <Show when=move || !filter.with(LogFilter::is_empty)>
                <button class="button" on:click=clear data-testid="clear-filters">"Clear"</button>
            </Show>
        </div>
        <p class="fault small" role="alert">{fault}</p>
    }
    .into_any()
}

fn severity(filter: Memo<LogFilter>) -> AnyView {
    let app = App::get();
    let choice = move |(value, words): (&'static str, &'static str)| {
        let here = move || filter.with(|f| f.min_severity == value);
        view! {
            <button class:current=here aria-pressed=move || here().to_string()
                on:click=move |_| change(app, |f| f.min_severity = value.to_owned())>{words}</button>
        }
    };
    let choices = [("", "All"), ("debug", "Debug+"), ("info", "Info+"), ("warn", "Warn+"), ("error", "Error+")];
    view! {
        <div class="field"><span class="field-label">"Level"</span>
            <div class="segments" role="group" aria-label="Least severe level">{choices.map(choice).into_iter().collect_view()}</div>
        </div>
    }
    .into_any()
}
