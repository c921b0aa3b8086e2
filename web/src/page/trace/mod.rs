//! What happened in this trace? Header, and seven ways to look: timeline, flame graph, statistics, logs, map, another trace
//! beside it, JSON. A large trace is looked at by windows that the server answers (`large`).

mod compare;
mod detail;
mod flame;
mod follow;
mod header;
mod json;
mod keyboard;
mod lanes;
mod large;
mod logs;
mod map;
mod minimap;
mod part;
mod statistics;
mod time;
mod timeline;
mod view;

use crate::client::load::{Load, Old, load_with};
use crate::component::app::{App, Entry};
use crate::component::effect::effect;
use crate::component::message;
use crate::state::address;
use compare::Here;
use leptos::prelude::*;
use map::Calls;
use part::Part;
use view::{Opened, View, opened};

/// Spans up to which a trace is read whole: folding, searching and counting then ask nobody.
const WHOLE: usize = 4_000;

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
    let id = Memo::new(move |_| {
        let last = app.path.with(|path| path.rsplit('/').next().unwrap_or_default().to_owned());
        address::trace_id(&last).unwrap_or(last)
    });
    effect(move || super::title(&format!("Trace {}", id.get().get(..8).unwrap_or_default())));
    let path = move || address::trace_id(&id.get()).map(|id| format!("/api/v1/traces/{id}/outline?whole={WHOLE}"));
    let found = load_with::<Opened>(Old::Forget, path, opened);
    let view = View::new(id, found);
    // What comes with a refresh changes what is told, not who tells it.
    let how = Memo::new(move |_| {
        found.data.with(|found| {
            found.as_deref().map(|found| match found {
                Opened::Whole(trace) if trace.rows.is_empty() => How::Nothing,
                Opened::Whole(_) => How::Whole,
                Opened::Large(_) => How::Large,
            })
        })
    });
    let body = move || {
        if address::trace_id(&id.get()).is_none() {
            return message::empty(
                "This is no trace id",
                "A trace id has up to 32 hex digits and is not all zero.",
                to_search(),
            );
        }
        if let Some(failure) = found.failure.get() {
            if failure.is_not_found() {
                return not_here(found, &id.get());
            }
            return message::failed(&failure, move || found.retry());
        }
        match how.get() {
            None => message::skeleton(16),
            Some(How::Nothing) => not_here(found, &id.get()),
            Some(How::Whole) => whole(view),
            Some(How::Large) => part::tab(Part::Large(id, found)),
        }
    };
    view! { <div class="page trace-page">{message::progress([found.running])}{body}</div> }.into_any()
}

fn to_search() -> AnyView {
    let app = App::get();
    view! { <a class="button" href=move || app.href("/explore", &[])>"Search traces"</a> }.into_any()
}

/// What is here of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Nothing,
    Whole,
    Large,
}

fn not_here(found: Load<Opened>, id: &str) -> AnyView {
    let actions = view! { <button class="button" on:click=move |_| found.retry()>"Look again"</button>{to_search()} };
    let why =
        format!("No span of {id} is stored: it was not sampled, has not arrived yet, or is older than the retention.");
    message::empty("Trace not found", why, actions.into_any())
}

fn whole(view: View) -> AnyView {
    keyboard::listen(view);
    let tab = Memo::new(move |_| view.tab());
    let shown = move || match tab.get().as_str() {
        "flame" => flame::tab(view),
        "statistics" => statistics::tab(view),
        "logs" => logs::tab(view),
        "map" => part::tab(Part::Map(Calls::of(view))),
        "compare" => part::tab(Part::Compare(Here::of(view))),
        "json" => part::tab(Part::Json(view.id)),
        _ => timeline::tab(view),
    };
    let tools = move || header::tools(view);
    tabbed(view.app, tab, header::header(view), tools, shown, detail::panel(view))
}

/// The tabs below the header, with the panel at their side.
fn tabbed(
    app: App,
    tab: Memo<String>,
    header: AnyView,
    tools: impl Fn() -> AnyView + Copy + Send + 'static,
    shown: impl Fn() -> AnyView + Send + 'static,
    panel: AnyView,
) -> AnyView {
    let button = move |(key, words): (&'static str, &'static str)| {
        let here = move || tab.with(|t| t == key);
        view! {
            <button role="tab" class:current=here aria-selected=move || here().to_string() data-testid=format!("tab-{}", words.to_ascii_lowercase())
                on:click=move |_| app.set(Entry::Push, "tab", Some(key))>{words}</button>
        }
    };
    view! {
        {header}
        <div class="tab-bar">
            <div class="tabs" role="tablist" aria-label="Ways to look at the trace">{TABS.into_iter().map(button).collect_view()}</div>
            <span class="grow"></span>
            {move || matches!(tab.get().as_str(), "" | "flame").then(tools)}
        </div>
        <div class="with-panel">
            <div class="tab-body">{shown}</div>
            {panel}
        </div>
    }
    .into_any()
}
