//! How is text shown that may be long, or that a person may want to take along?
//!
//! X1  A cell never holds more than 4 KB until asked for the rest.

use crate::state::format;
use crate::state::hue;
use leptos::prelude::*;
use leptos::web_sys;
use std::time::Duration;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;

/// Bytes of text shown before it is cut.
pub(crate) const LONGEST: usize = 4_096;
/// Bytes of text shown in one line of a list.
pub(crate) const LINE: usize = 400;

/// Text that is cut at 4 KB, with a button for the rest.
pub(crate) fn long_text(text: String) -> AnyView {
    let (head, hidden) = format::cut(&text, LONGEST);
    if hidden == 0 {
        return text.into_any();
    }
    let head = head.to_owned();
    let whole = RwSignal::new(false);
    let label = format!("show rest ({})", format::bytes(hidden as f64));
    view! {
        {move || if whole.get() { text.clone() } else { format!("{head}…") }}
        <button class="link" on:click=move |event| { event.stop_propagation(); whole.update(|w| *w = !*w); }>
            {move || if whole.get() { "show less".to_owned() } else { label.clone() }}
        </button>
    }
    .into_any()
}

/// A button that copies text.
pub(crate) fn copy_button(label: &'static str, text: impl Fn() -> String + 'static) -> AnyView {
    let said = RwSignal::new("");
    let copy = move |event: leptos::ev::MouseEvent| {
        event.stop_propagation();
        let text = text();
        leptos::task::spawn_local(async move {
            let written = match web_sys::window() {
                Some(window) => JsFuture::from(window.navigator().clipboard().write_text(&text)).await.is_ok(),
                None => false,
            };
            said.try_set(if written { "copied" } else { "not allowed" });
            set_timeout(
                move || {
                    said.try_set("");
                },
                Duration::from_millis(1_500),
            );
        });
    };
    view! {
        <button class="copy" title=label aria-label=label on:click=copy>
            {move || if said.get().is_empty() { "copy" } else { said.get() }}
        </button>
    }
    .into_any()
}

/// Has what is cut with an ellipsis tell the whole of its text in its title, when the pointer comes to it; called once.
pub(crate) fn title_what_is_cut() {
    window_event_listener(leptos::ev::pointerover, |event| {
        let element = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
        let is_cut = |e: &web_sys::Element| {
            e.scroll_width() > e.client_width() || e.scroll_height() > e.client_height() && e.child_element_count() == 0
        };
        let Some(element) = element.filter(is_cut) else { return };
        let style = web_sys::window().and_then(|window| window.get_computed_style(&element).ok().flatten());
        if style.is_none_or(|style| style.get_property_value("text-overflow").is_ok_and(|value| value != "ellipsis")) {
            return;
        }
        let (text, own) = (element.text_content().unwrap_or_default(), element.get_attribute("title"));
        let text = format::cut(&text, LONGEST).0;
        // What is around it may tell even more.
        let told = element.closest("[title]").ok().flatten().and_then(|around| around.get_attribute("title"));
        if told.is_none_or(|told| told.len() < text.len()) {
            let words = own.map_or_else(String::new, |own| format!("\n{own}"));
            element.set_attribute("title", &format!("{text}{words}")).ok();
        }
    });
}

/// A service's dot and name; where that is cut, the title has all of it.
pub(crate) fn service_name(name: &str) -> AnyView {
    view! {
        <span class="service" title=name.to_owned()>
            <i class="dot" style=format!("--svc:{}", hue::css(name))></i>
            <span class="service-name">{format::name(name, LINE)}</span>
        </span>
    }
    .into_any()
}

/// A service's dot alone.
pub(crate) fn service_dot(name: &str, title: String) -> AnyView {
    view! { <i class="dot" style=format!("--svc:{}", hue::css(name)) title=title></i> }.into_any()
}

/// Scrolls as little as shows the element.
pub(crate) fn show(element: &web_sys::Element) {
    let options = web_sys::ScrollIntoViewOptions::new();
    options.set_block(web_sys::ScrollLogicalPosition::Nearest);
    element.scroll_into_view_with_scroll_into_view_options(&options);
}
