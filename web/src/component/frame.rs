//! What surrounds every page? The bar on top, what floats, and the keys that work anywhere.

use super::app::{App, Entry, Overlay, Theme, store};
use super::{keys, palette, range, sheet};
use crate::component::effect::effect;
use crate::state::time;
use leptos::ev;
use leptos::html;
use leptos::prelude::*;
use leptos::web_sys;
use std::time::Duration;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;

/// The bar on top.
pub(crate) fn top_bar() -> AnyView {
    let app = App::get();
    let place = move |(name, path): (&'static str, &'static str)| {
        let here = move || {
            app.path.with(|at| match path {
                "/" => at == "/" || at.starts_with("/service"),
                "/explore" => at.starts_with("/explore") || at.starts_with("/trace"),
                "/metric" => at.starts_with("/metric") || at.starts_with("/cardinality"),
                _ => at.starts_with(path),
            })
        };
        view! {
            <a class="place" class:here=here href=move || app.href(path, &[])
                aria-current=move || here().then_some("page")>{name}</a>
        }
    };
    view! {
        <header class="top">
            <a class="brand" href=move || app.href("/", &[]) aria-label="Spanlight, overview">
                <span class="brand-mark" aria-hidden="true"><i></i><i></i><i></i></span>"Spanlight"
            </a>
            <nav aria-label="Places">{palette::PLACES.map(place).collect_view()}</nav>
            <span class="grow"></span>
            <button class="button find" on:click=move |_| palette::toggle(app) aria-label="Go to… ctrl k">
                <span aria-hidden="true">"⌕"</span><span class="quiet">"Go to…"</span><kbd>"ctrl k"</kbd>
            </button>
            {tenant()}
            {range::range_picker()}
            {refresh()}
            {theme_button()}
            <button class="button icon" aria-label="Keys" title="Keys (?)" on:click=move |_| app.overlay.set(Some(Overlay::Sheet))>"?"</button>
        </header>
    }
    .into_any()
}

fn tenant() -> AnyView {
    let app = App::get();
    let open = RwSignal::new(false);
    let choose = move |text: String| {
        open.set(false);
        let text = text.trim().to_owned();
        app.set(Entry::Push, "tenant", Some(text.as_str()).filter(|t| *t != "default"));
    };
    let input: NodeRef<html::Input> = NodeRef::new();
    effect(move || {
        if let Some(input) = input.get() {
            request_animation_frame(move || {
                input.focus().ok();
                input.select();
            });
        }
    });
    let edit = move || {
        view! {
            <div class="scrim" on:click=move |_| open.set(false)></div>
            <div class="popover tenant" role="dialog" aria-label="Tenant">
                <label class="stack">"Tenant (X-Scope-OrgID)"
                    <input class="mono" node_ref=input prop:value=app.tenant.get_untracked() spellcheck="false"
                        on:keydown=move |event| match event.key().as_str() {
                            "Enter" => choose(event_target_value(&event)),
                            "Escape" => open.set(false),
                            _ => {}
                        } />
                </label>
                <p class="quiet small">"Enter to switch. Data of one tenant is never shown to another."</p>
            </div>
        }
    };
    view! {
        <div class="anchor">
            <button class="button quiet-button" title=move || format!("Tenant {}", app.tenant.get()) aria-haspopup="dialog" on:click=move |_| open.update(|o| *o = !*o)>
                <span class="cutoff">{move || app.tenant.get()}</span><span class="caret" aria-hidden="true">"▾"</span>
            </button>
            <Show when=move || open.get()>{edit()}</Show>
        </div>
    }
    .into_any()
}

fn refresh() -> AnyView {
    let app = App::get();
    let chosen = Memo::new(move |_| app.params.with(|p| p.get("refresh").unwrap_or("off").to_owned()));
    let mut running = None::<IntervalHandle>;
    effect(move || {
        if let Some(handle) = running.take() {
            handle.clear();
        }
        let seconds = time::INTERVALS.iter().find(|(name, _)| chosen.with(|c| c == name)).map_or(0, |(_, s)| *s);
        let again = move || {
            let hidden = web_sys::window().and_then(|w| w.document()).is_some_and(|d| d.hidden());
            if !hidden && app.overlay.get_untracked().is_none() {
                app.refresh();
            }
        };
        if seconds > 0 {
            running = set_interval_with_handle(again, Duration::from_secs(u64::from(seconds))).ok();
        }
    });
    let option = move |(name, _): (&'static str, u32)| {
        view! { <option value=name selected=move || chosen.with(|c| c == name)>{name}</option> }
    };
    view! {
        <div class="joined">
            <button class="button icon" title="Refresh (r)" aria-label="Refresh" data-testid="refresh" on:click=move |_| app.refresh()>"⟳"</button>
            <select class="select" aria-label="Refresh every" title="Refresh every" prop:value=chosen
                on:change=move |event| {
                    let value = event_target_value(&event);
                    app.set(Entry::Replace, "refresh", Some(value.as_str()).filter(|v| *v != "off"));
                }>
                {time::INTERVALS.map(option).collect_view()}
            </select>
        </div>
    }
    .into_any()
}

fn theme_button() -> AnyView {
    let app = App::get();
    effect(move || {
        let theme = app.theme.get();
        if let Some(root) = web_sys::window().and_then(|w| w.document()).and_then(|d| d.document_element()) {
            root.set_attribute("data-theme", theme.word()).ok();
        }
        app.colours.update(|n| *n += 1);
    });
    follow_system(app);
    let next = move |_| {
        let theme = match app.theme.get_untracked() {
            Theme::System => Theme::Light,
            Theme::Light => Theme::Dark,
            Theme::Dark => Theme::System,
        };
        store("theme", theme.word());
        app.theme.set(theme);
    };
    let glyph = move || match app.theme.get() {
        Theme::System => "◐",
        Theme::Light => "☀",
        Theme::Dark => "☾",
    };
    let title = move || format!("Theme: {}", app.theme.get().word());
    view! { <button class="button icon" title=title aria-label=title on:click=next data-testid="theme">{glyph}</button> }
        .into_any()
}

/// Redraws what is on canvas when the system changes between light and dark.
fn follow_system(app: App) {
    let media = web_sys::window().and_then(|w| w.match_media("(prefers-color-scheme: dark)").ok().flatten());
    let Some(media) = media else { return };
    let closure = Closure::<dyn FnMut()>::new(move || {
        app.colours.try_update(|n| *n += 1);
    });
    media.add_event_listener_with_callback("change", closure.as_ref().unchecked_ref()).ok();
    // Lives as long as the page.
    closure.forget();
}

/// What floats above the page.
pub(crate) fn overlays() -> AnyView {
    let app = App::get();
    let before: StoredValue<Option<web_sys::HtmlElement>, LocalStorage> = StoredValue::new_local(None);
    effect(move || {
        let focused = || {
            let document = web_sys::window()?.document()?;
            document.active_element()?.dyn_into::<web_sys::HtmlElement>().ok()
        };
        if app.overlay.get().is_some() {
            before.set_value(focused());
        } else if let Some(element) = before.try_update_value(Option::take).flatten() {
            element.focus().ok();
        }
    });
    move_keys(app);
    view! {
        <Show when=move || app.overlay.get() == Some(Overlay::Palette)>{palette::palette()}</Show>
        <Show when=move || app.overlay.get() == Some(Overlay::Sheet)>{sheet::sheet()}</Show>
    }
    .into_any()
}

fn move_keys(app: App) {
    let handle = window_event_listener(ev::keydown, move |event| {
        let key = keys::name(&event);
        if key == "ctrl+k" {
            palette::toggle(app);
        } else if key == "Escape" && app.overlay.get_untracked().is_some() {
            app.overlay.set(None);
        } else if key == "Escape" && keys::is_typing(&event) {
            if let Some(field) = event.target().and_then(|t| t.dyn_into::<web_sys::HtmlElement>().ok()) {
                field.blur().ok();
            }
        } else {
            return;
        }
        event.prevent_default();
    });
    on_cleanup(move || handle.remove());
    keys::on_key(move |_, key| {
        match key {
            "?" => app.overlay.set(Some(Overlay::Sheet)),
            "/" => return keys::focus_query(),
            "t" => app.overlay.set(Some(Overlay::Range)),
            "r" => app.refresh(),
            _ => return false,
        }
        true
    });
}
