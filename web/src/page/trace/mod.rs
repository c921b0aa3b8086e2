//! What happened in this trace? Header, and seven ways to look: timeline, flame graph, statistics, logs, map, another trace
//! beside it, JSON.

mod compare;
mod detail;
mod flame;
mod follow;
mod header;
mod json;
mod keyboard;
mod logs;
mod map;
mod minimap;
mod part;
mod statistics;
mod timeline;
mod view;

use crate::client::load::{Load, Old, load};
use crate::component::app::{App, Entry};
use crate::component::effect::effect;
use crate::component::message;
use crate::state::address;
use leptos::prelude::*;
use part::Part;
use view::{Built, View};

/// Tabs: what the URL says, and what they are called.
const TABS: [(&str, &str); 7] = [
    ("", "Timeline"),
    ("flame", "Flame"),
    ("statistics", "Statistics"),
    ("logs", "Logs"),
    ("map", "Map"),
    ("compare", "Compare"),
    ("json", "JSON"),
];

/// The page.
pub(super) fn page() -> AnyView {
    let app = App::get();
    let id = Memo::new(move |_| app.path.with(|path| path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase()));
    effect(move || super::title(&format!("Trace {}", id.get().get(..8).unwrap_or_default())));
    let found =
        load::<Built>(Old::Forget, move || address::trace_id(&id.get()).map(|id| format!("/api/v1/traces/{id}")));
    let view = View::new(id, found);
    let body = move || {
        if address::trace_id(&id.get()).is_none() {
            return message::empty(
                "This is no trace id",
                "A trace id has 32 hex digits and is not all zero.",
                to_search(),
            );
        }
        if let Some(failure) = found.failure.get() {
            if failure.is_not_found() {
                return not_here(found, &id.get());
            }
            return message::failed(&failure, move || found.retry());
        }
        match found.data.get() {
            None => message::skeleton(16),
            Some(built) if built.0.rows.is_empty() => not_here(found, &id.get()),
            Some(_) => whole(view),
        }
    };
    view! { <div class="page trace-page">{message::progress([found.running])}{body}</div> }.into_any()
}

fn to_search() -> AnyView {
    let app = App::get();
    view! { <a class="button" href=move || app.href("/explore", &[])>"Search traces"</a> }.into_any()
}

fn not_here(found: Load<Built>, id: &str) -> AnyView {
    let actions = view! { <button class="button" on:click=move |_| found.retry()>"Look again"</button>{to_search()} };
    let why =
        format!("No span of {id} is stored: it was not sampled, has not arrived yet, or is older than the retention.");
    message::empty("Trace not found", why, actions.into_any())
}

fn whole(view: View) -> AnyView {
    keyboard::listen(view);
    let app = view.app;
    let tab = Memo::new(move |_| view.tab());
    let button = move |(key, words): (&'static str, &'static str)| {
        let here = move || tab.with(|t| t == key);
        view! {
            <button role="tab" class:current=here aria-selected=move || here().to_string() data-testid=format!("tab-{}", words.to_ascii_lowercase())
                on:click=move |_| app.set(Entry::Push, "tab", Some(key))>{words}</button>
        }
    };
    let shown = move || match tab.get().as_str() {
        "flame" => flame::tab(view),
        "statistics" => statistics::tab(view),
        "logs" => logs::tab(view),
        "map" => part::tab(view, Part::Map),
        "compare" => part::tab(view, Part::Compare),
        "json" => json::tab(view),
        _ => timeline::tab(view),
    };
    view! {
        {header::header(view)}
        <div class="tab-bar">
            <div class="tabs" role="tablist" aria-label="Ways to look at the trace">{TABS.into_iter().map(button).collect_view()}</div>
            <span class="grow"></span>
            {move || matches!(tab.get().as_str(), "" | "flame").then(|| header::tools(view))}
        </div>
        <div class="with-panel">
            <div class="tab-body">{shown}</div>
            {detail::panel(view)}
        </div>
    }
    .into_any()
}
