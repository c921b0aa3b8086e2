//! How does one get anywhere without looking for it? Type a place, a service, or paste a trace id.

use super::app::{App, Overlay};
use crate::client::load::{Old, load};
use crate::component::effect::effect;
use crate::component::text;
use crate::state::lower::lower;
use crate::state::{address, filter, hue};
use leptos::html;
use leptos::prelude::*;
use leptos::web_sys::{self, KeyboardEvent};
use query_api::service::ServicesResponse;

/// Places that the palette and the top bar know: name, path, key.
pub(crate) const PLACES: [(&str, &str); 6] = [
    ("Overview", "/"),
    ("Explore", "/explore"),
    ("Logs", "/logs"),
    ("Metrics", "/metric"),
    ("Map", "/map"),
    ("Status", "/status"),
];

#[derive(Clone, PartialEq, Eq)]
struct Entry {
    kind: &'static str,
    name: String,
    href: String,
    service: Option<String>,
}

fn entries(app: App, typed: &str, services: &[String]) -> Vec<Entry> {
    let typed = typed.trim();
    let wanted = lower(typed);
    let mut found = Vec::new();
    if let Some(id) = address::pasted_id(typed) {
        found.push(Entry {
            kind: "trace",
            name: format!("Open trace {id}"),
            href: app.href(&format!("/trace/{id}"), &[]),
            service: None,
        });
        found.push(Entry {
            kind: "logs",
            name: format!("Logs of trace {id}"),
            href: app.href("/logs", &[("trace_id", &id)]),
            service: None,
        });
    }
    for (name, path) in PLACES.into_iter().chain([("Cardinality", "/cardinality")]) {
        if lower(name).contains(&wanted) {
            found.push(Entry { kind: "page", name: name.into(), href: app.href(path, &[]), service: None });
        }
    }
    for service in services.iter().filter(|s| lower(s).contains(&wanted)) {
        let href = app.href("/service", &[("name", service)]);
        found.push(Entry { kind: "service", name: service.clone(), href, service: Some(service.clone()) });
    }
    if !typed.is_empty() && address::pasted_id(typed).is_none() {
        let href = app.href("/logs", &[("contains", typed)]);
        found.push(Entry { kind: "logs", name: format!("Search logs for “{typed}”"), href, service: None });
    }
    found.truncate(40);
    found
}

/// The palette; shown while the overlay says so.
pub(crate) fn palette() -> AnyView {
    let app = App::get();
    let services = load::<ServicesResponse>(Old::Keep, move || Some(filter::ranged("/api/v1/services", app.span()?)));
    let typed = RwSignal::new(String::new());
    let at = RwSignal::new(0usize);
    let names = move || {
        services.data.with(|d| {
            d.as_ref().map_or_else(Vec::new, |d| d.services.iter().map(|s| s.name.clone()).collect::<Vec<_>>())
        })
    };
    let found = Memo::new(move |_| entries(app, &typed.get(), &names()));
    let go = move |entry: &Entry| {
        app.overlay.set(None);
        app.go(&entry.href);
    };
    let keys = move |event: KeyboardEvent| {
        let count = found.with_untracked(Vec::len);
        match event.key().as_str() {
            "ArrowDown" if count > 0 => at.update(|at| *at = (*at + 1) % count),
            "ArrowUp" if count > 0 => at.update(|at| *at = (*at + count - 1) % count),
            "Enter" => {
                if let Some(entry) = found.with_untracked(|f| f.get(at.get_untracked()).cloned()) {
                    go(&entry);
                }
            }
            "Escape" => app.overlay.set(None),
            "Tab" => {}
            _ => return,
        }
        event.prevent_default();
    };
    let input: NodeRef<html::Input> = NodeRef::new();
    effect(move || {
        if let Some(input) = input.get() {
            input.focus().ok();
        }
    });
    let active = move || found.with(|found| found.get(at.get()).map(|_| format!("palette-{}", at.get())));
    effect(move || {
        let document = web_sys::window().and_then(|window| window.document());
        if let Some(row) = document.and_then(|document| document.get_element_by_id(&format!("palette-{}", at.get()))) {
            text::show(&row);
        }
    });
    let row = move |(index, entry): (usize, Entry)| {
        let chosen = entry.clone();
        let dot = entry.service.as_ref().map(|s| view! { <i class="dot" style=format!("--svc:{}", hue::css(s))></i> });
        view! {
            <li role="option" id=format!("palette-{index}") class:at=move || at.get() == index aria-selected=move || (at.get() == index).to_string()
                on:mousemove=move |_| at.set(index) on:click=move |_| go(&chosen)>
                <span class="offer-name" title=entry.name.clone()>{dot}<span class="cutoff">{entry.name.clone()}</span></span><span class="quiet small">{entry.kind}</span>
            </li>
        }
    };
    view! {
        <div class="scrim dim" on:click=move |_| app.overlay.set(None)></div>
        <div class="palette" role="dialog" aria-modal="true" aria-label="Go to" data-testid="palette">
            <input node_ref=input placeholder="Go to a page or service, or paste a trace id" spellcheck="false" role="combobox"
                aria-expanded="true" aria-controls="palette-places" aria-autocomplete="list" aria-activedescendant=active aria-label="Go to"
                on:input=move |event| { typed.set(event_target_value(&event)); at.set(0); } on:keydown=keys />
            <ul id="palette-places" role="listbox" aria-label="Places">{move || found.get().into_iter().enumerate().map(row).collect_view()}</ul>
            <p class="hint quiet small"><kbd>"↑"</kbd><kbd>"↓"</kbd>" choose "<kbd>"⏎"</kbd>" go "<kbd>"esc"</kbd>" close"</p>
        </div>
    }
    .into_any()
}

/// Opens or closes the palette.
pub(crate) fn toggle(app: App) {
    app.overlay.update(|o| *o = if *o == Some(Overlay::Palette) { None } else { Some(Overlay::Palette) });
}
