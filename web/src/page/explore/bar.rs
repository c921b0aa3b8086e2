//! How are traces searched? By service, operation, outcome, duration and attributes, or by a query of TraceQL; all of it in the URL.

use super::series;
use crate::client::fetch::Failure;
use crate::client::load::{Old, load};
use crate::component::app::{App, Entry};
use crate::component::combobox::{Field, combobox};
use crate::component::editor::{Editor, editor};
use crate::state::address::Params;
use crate::state::filter::{self, TraceFilter};
use crate::state::query::complete::What;
use crate::state::query::{Language, fault};
use crate::state::{address, time};
use leptos::prelude::*;
use query_api::service::{OperationsResponse, ServicesResponse};

fn change(app: App, change: impl FnOnce(&mut TraceFilter)) {
    app.change(Entry::Push, |params| {
        let mut filter = TraceFilter::read(params);
        change(&mut filter);
        filter.write(params);
    });
}

/// The bar: filters, or a query in their place.
pub(super) fn bar(filter: Memo<TraceFilter>, failure: Signal<Option<Failure>>) -> AnyView {
    let is_query = Memo::new(move |_| filter.with(|f| !f.query.is_empty()));
    view! { <div class="query-bar">{modes(is_query)}{move || if is_query.get() { query(filter, failure) } else { filters(filter) }}</div> }
        .into_any()
}

/// Changes between filters and query: the query that begins says what the filters said.
fn modes(is_query: Memo<bool>) -> AnyView {
    let app = App::get();
    let to_query = move |_| {
        if !is_query.get_untracked() {
            change(app, |f| *f = TraceFilter { query: f.traceql(), order: f.order.clone(), ..TraceFilter::default() });
        }
    };
    let to_filters = move |_| change(app, |f| f.query.clear());
    let pressed = move |wanted: bool| move || (is_query.get() == wanted).to_string();
    view! {
        <div class="segments" role="group" aria-label="How to search">
            <button class:current=move || !is_query.get() aria-pressed=pressed(false) on:click=to_filters data-testid="mode-filters">"Filters"</button>
            <button class:current=is_query aria-pressed=pressed(true) on:click=to_query data-testid="mode-traceql">"TraceQL"</button>
        </div>
    }
    .into_any()
}

/// The editor of a query.
fn query(filter: Memo<TraceFilter>, failure: Signal<Option<Failure>>) -> AnyView {
    let app = App::get();
    let run = move |text: String| {
        let text = text.trim().to_owned();
        let text = if text.is_empty() { TraceFilter::default().traceql() } else { text };
        let before = filter.with_untracked(|f| f.query.clone());
        if text == before {
            app.refresh();
        }
        change(app, |f| f.query = text);
    };
    let wrong = move || {
        let failure = failure.get()?;
        series::is_of_query(&failure).then(|| fault::read(&failure.message))
    };
    editor(Editor {
        label: "TraceQL query",
        hint: "{ resource.service.name = \"cart\" && status = error }",
        language: Language::TraceQl,
        value: Signal::derive(move || filter.with(|f| f.query.clone())),
        fault: Signal::derive(wrong),
        ask,
        run: Callback::new(run),
        testid: "traceql",
    })
}

/// What tells the attributes and their values, given the conditions that are typed so far.
fn ask(what: &What, before: &str) -> Option<String> {
    let path = match what {
        What::Attribute => "/tempo/api/v2/search/tags".to_owned(),
        What::Value(key) => format!("/tempo/api/v2/search/tag/{}/values", address::encode(key)),
        _ => return None,
    };
    let range = App::get().range.get_untracked().ok()?;
    let mut params = Params::default();
    params.set("q", Some(before));
    params.set("start", Some(&(range.start / 1_000_000_000).to_string()));
    params.set("end", Some(&(range.end / 1_000_000_000).saturating_add(1).to_string()));
    Some(params.behind(&path))
}

fn filters(filter: Memo<TraceFilter>) -> AnyView {
    let app = App::get();
    let services = load::<ServicesResponse>(Old::Keep, move || Some(filter::ranged("/api/v1/services", app.span()?)));
    let service = Memo::new(move |_| filter.with(|f| f.service.clone()));
    let operations = load::<OperationsResponse>(Old::Forget, move || {
        let service = service.get();
        let range = app.span().filter(|_| !service.is_empty())?;
        Some(filter::operations(&service, range))
    });
    let service_names = Signal::derive(move || {
        services
            .data
            .with(|d| d.as_ref().map_or_else(Vec::new, |d| d.services.iter().map(|s| s.name.clone()).collect()))
    });
    let operation_names = Signal::derive(move || {
        let mut names: Vec<String> = operations
            .data
            .with(|d| d.as_ref().map_or_else(Vec::new, |d| d.operations.iter().map(|o| o.name.clone()).collect()));
        names.dedup();
        names
    });
    let service_field = combobox(Field {
        label: "Service",
        hint: "any",
        width: 18,
        value: service.into(),
        offers: service_names,
        chosen: Callback::new(move |text| {
            change(app, |f| {
                f.service = text;
                f.operation.clear();
            });
        }),
        testid: "filter-service",
    });
    let operation_field = combobox(Field {
        label: "Operation",
        hint: "any",
        width: 26,
        value: Signal::derive(move || filter.with(|f| f.operation.clone())),
        offers: operation_names,
        chosen: Callback::new(move |text| change(app, |f| f.operation = text)),
        testid: "filter-operation",
    });
    let fault = move || filter.with(TraceFilter::fault).map(|(_, words)| words);
    let clear = move |_| change(app, |f| *f = TraceFilter { order: f.order.clone(), ..TraceFilter::default() });
    view! {
        <div class="filters" role="search">
            {service_field}
            {operation_field}
            {status(filter)}
            {duration(filter, "Longer than", "100ms", "min_duration")}
            {duration(filter, "Shorter than", "2s", "max_duration")}
            {attributes(filter)}
            <Show when=move || !filter.with(TraceFilter::is_empty)>
                <button class="button" on:click=clear data-testid="clear-filters">"Clear"</button>
            </Show>
        </div>
        <p class="fault small" role="alert">{fault}</p>
    }
    .into_any()
}

fn status(filter: Memo<TraceFilter>) -> AnyView {
    let app = App::get();
    let choice = move |(value, words): (&'static str, &'static str)| {
        let here = move || filter.with(|f| f.status == value);
        view! {
            <button class:current=here aria-pressed=move || here().to_string()
                on:click=move |_| change(app, |f| f.status = value.to_owned())>{words}</button>
        }
    };
    let choices = [("", "Any"), ("error", "Error"), ("ok", "Ok"), ("unset", "Unset")];
    view! {
        <div class="field"><span class="field-label">"Status"</span>
            <div class="segments" role="group" aria-label="Status">{choices.map(choice).into_iter().collect_view()}</div>
        </div>
    }
    .into_any()
}

fn duration(filter: Memo<TraceFilter>, label: &'static str, hint: &'static str, field: &'static str) -> AnyView {
    let app = App::get();
    let value =
        move || filter.with(|f| if field == "min_duration" { f.min_duration.clone() } else { f.max_duration.clone() });
    let bad = move || value() != String::new() && time::span(&value()).is_none();
    let set = move |text: String| {
        let text = text.trim().to_owned();
        change(app, |f| if field == "min_duration" { f.min_duration = text } else { f.max_duration = text });
    };
    view! {
        <label class="field"><span class="field-label">{label}</span>
            <input class="mono" style="width:8ch" placeholder=hint prop:value=value class:bad=bad spellcheck="false"
                aria-invalid=move || bad().to_string() on:change=move |event| set(event_target_value(&event)) />
        </label>
    }
    .into_any()
}

fn attributes(filter: Memo<TraceFilter>) -> AnyView {
    let app = App::get();
    let typed = RwSignal::new(String::new());
    let fault = move || typed.with(|t| if t.trim().is_empty() { None } else { filter::attribute_fault(t) });
    let add = move || {
        let text = typed.get_untracked().trim().to_owned();
        if filter::attribute_fault(&text).is_none() {
            change(app, |f| {
                if !f.attributes.contains(&text) {
                    f.attributes.push(text);
                }
            });
            typed.set(String::new());
        }
    };
    let keys = move |event: leptos::ev::KeyboardEvent| {
        if event.key() == "Enter" {
            add();
        } else if event.key() == "Backspace" && typed.with_untracked(String::is_empty) {
            change(app, |f| {
                f.attributes.pop();
            });
        }
    };
    let chip = move |text: String| {
        let gone = text.clone();
        view! {
            <span class="chip mono">{text}
                <button aria-label="Remove" on:click=move |_| change(app, |f| f.attributes.retain(|a| *a != gone))>"×"</button>
            </span>
        }
    };
    view! {
        <div class="field grow" class:bad=move || fault().is_some()>
            <span class="field-label">"Attributes"</span>
            <div class="chips">
                {move || filter.with(|f| f.attributes.clone()).into_iter().map(chip).collect_view()}
                <input class="mono" data-query placeholder="http.route=/cart" prop:value=typed spellcheck="false" aria-label="Attribute, key=value"
                    data-testid="filter-attribute" title=fault on:input=move |event| typed.set(event_target_value(&event)) on:keydown=keys on:blur=move |_| add() />
            </div>
            {move || fault().map(|words| view! { <span class="fault small" role="alert">{words}</span> })}
        </div>
    }
    .into_any()
}
