//! Which keys mean what, and when do they not count?
//!
//! K1  While a person types into a field, only the field hears keys. While something floats, only that does.

use super::app::App;
use leptos::ev;
use leptos::prelude::*;
use leptos::web_sys::{self, HtmlElement, KeyboardEvent};
use wasm_bindgen::JsCast;

/// A pressed key: its name, with `ctrl+` before it where held (or the command key).
pub(crate) fn name(event: &KeyboardEvent) -> String {
    let key = event.key();
    if event.ctrl_key() || event.meta_key() { format!("ctrl+{}", key.to_ascii_lowercase()) } else { key }
}

/// Whether the event comes from a field that is typed into.
pub(crate) fn is_typing(event: &KeyboardEvent) -> bool {
    let Some(element) = event.target().and_then(|target| target.dyn_into::<HtmlElement>().ok()) else { return false };
    matches!(element.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT") || element.is_content_editable()
}

/// Whether Enter or Space on the event's element already does something.
pub(crate) fn is_control(event: &KeyboardEvent) -> bool {
    let element = event.target().and_then(|target| target.dyn_into::<HtmlElement>().ok());
    element.is_some_and(|element| matches!(element.tag_name().as_str(), "BUTTON" | "A" | "SUMMARY"))
}

/// Hears keys while the caller lives; the handler says whether the key meant something.
pub(crate) fn on_key(handler: impl Fn(&KeyboardEvent, &str) -> bool + 'static) {
    let app = App::get();
    let handle = window_event_listener(ev::keydown, move |event| {
        let busy = is_typing(&event) || app.overlay.get_untracked().is_some() || event.default_prevented();
        if !busy && handler(&event, &name(&event)) {
            event.prevent_default();
        }
    });
    on_cleanup(move || handle.remove());
}

/// Moves a selection through a list: j and k, and o or Enter to open.
pub(crate) fn list_keys(
    count: impl Fn() -> usize + 'static,
    selected: RwSignal<Option<usize>>,
    open: impl Fn(usize) + 'static,
) {
    on_key(move |event, key| {
        let count = count();
        let at = selected.get_untracked();
        match key {
            "j" | "k" if count > 0 => {
                let next = match (key, at) {
                    (_, None) => 0,
                    ("j", Some(at)) => (at + 1).min(count - 1),
                    (_, Some(at)) => at.saturating_sub(1),
                };
                selected.set(Some(next));
            }
            "Escape" if at.is_some() => selected.set(None),
            "o" | "Enter" if !(key == "Enter" && is_control(event)) => match at {
                Some(at) if at < count => open(at),
                _ => return false,
            },
            _ => return false,
        }
        true
    });
}

/// Focuses the page's query field, if it has one.
pub(crate) fn focus_query() -> bool {
    let field = web_sys::window()
        .and_then(|window| window.document())
        .and_then(|document| document.query_selector("[data-query]").ok().flatten())
        .and_then(|element| element.dyn_into::<HtmlElement>().ok());
    field.is_some_and(|field| field.focus().is_ok())
}
