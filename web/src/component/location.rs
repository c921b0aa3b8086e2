//! Where is the reader, and how does one get elsewhere? The browser's address bar, history and links.
//!
//! LO1  A click on a link of this site changes the address without loading the page anew; with a modifier key, or to a
//!      file or another site, the browser does what it always does.
//! LO2  Path and query change together: no view ever sees the one without the other.
//! LO3  Going to where one already is makes no entry in the history.

use leptos::prelude::*;
use leptos::web_sys::{self, Element, MouseEvent};
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};

/// Whether a change of the URL can be gone back from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A new entry of the history.
    Push,
    /// The present entry is replaced.
    Replace,
}

/// The address: path, and query with its question mark.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Location {
    now: RwSignal<(String, String)>,
}

fn read() -> (String, String) {
    let location = web_sys::window().map(|window| window.location());
    let part = |of: fn(&web_sys::Location) -> Result<String, JsValue>| location.as_ref().and_then(|l| of(l).ok());
    (
        part(web_sys::Location::pathname).unwrap_or_else(|| "/".into()),
        part(web_sys::Location::search).unwrap_or_default(),
    )
}

impl Location {
    /// Follows the address for as long as the page lives; called once.
    pub(crate) fn follow() -> Location {
        let location = Location { now: RwSignal::new(read()) };
        // Never taken away: it lives as long as the page, as does the other below.
        window_event_listener_untyped("popstate", move |_| location.now.set(read()));
        let click = Closure::<dyn FnMut(MouseEvent)>::new(move |event: MouseEvent| {
            if let Some(href) = link(&event) {
                event.prevent_default();
                location.go(&href, Entry::Push);
            }
        });
        if let Some(window) = web_sys::window() {
            // Before others hear it, so that a row with a link in it knows that the link has done its work.
            let function = click.as_ref().unchecked_ref();
            window.add_event_listener_with_callback_and_bool("click", function, true).ok();
        }
        click.forget();
        location
    }

    /// The path.
    pub(crate) fn path(self) -> Memo<String> {
        Memo::new(move |_| self.now.with(|(path, _)| path.clone()))
    }

    /// The query.
    pub(crate) fn query(self) -> Memo<String> {
        Memo::new(move |_| self.now.with(|(_, query)| query.clone()))
    }

    /// Goes to a path of this site.
    pub(crate) fn go(self, href: &str, entry: Entry) {
        let Some(history) = web_sys::window().and_then(|window| window.history().ok()) else { return };
        let (path, query) = self.now.get_untracked();
        let stays = format!("{path}{query}") == href;
        if entry == Entry::Replace || stays {
            history.replace_state_with_url(&JsValue::NULL, "", Some(href)).ok();
        } else {
            history.push_state_with_url(&JsValue::NULL, "", Some(href)).ok();
        }
        let now = read();
        if now != (path, query) {
            self.now.set(now);
        }
    }
}

/// The address of the link that was clicked, if this page should follow it.
fn link(event: &MouseEvent) -> Option<String> {
    let held = event.ctrl_key() || event.meta_key() || event.shift_key() || event.alt_key();
    if held || event.button() != 0 || event.default_prevented() {
        return None;
    }
    let link = event.target()?.dyn_into::<Element>().ok()?.closest("a[href]").ok()??;
    if link.has_attribute("download") || link.has_attribute("target") {
        return None;
    }
    link.get_attribute("href").filter(|href| href.starts_with('/') && !href.starts_with("//"))
}
