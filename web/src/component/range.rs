//! How does a person choose a range of time? With one click, by typing, or absolutely.

use super::app::{App, Overlay, local_offset, store};
use crate::component::effect::effect;
use crate::state::calendar;
use crate::state::time::{self, Range};
use leptos::prelude::*;
use leptos::web_sys;

/// The button that says the range, and the picker behind it.
pub(crate) fn range_picker() -> AnyView {
    let app = App::get();
    let open = move || app.overlay.get() == Some(Overlay::Range);
    let label = move || time::range_label(&app.from.get(), &app.to.get(), app.offset());
    let toggle =
        move |_| app.overlay.update(|o| *o = if *o == Some(Overlay::Range) { None } else { Some(Overlay::Range) });
    let absolute = move || match app.range.get() {
        Ok(range) => {
            let offset = app.offset();
            format!("{} → {}", calendar::date_time(range.start, offset), calendar::date_time(range.end, offset))
        }
        Err(reason) => reason,
    };
    view! {
        <div class="anchor">
            <button class="button quiet-button" title=absolute aria-haspopup="dialog" aria-expanded=move || open().to_string()
                class:bad=move || app.range.with(Result::is_err) on:click=toggle data-testid="range-button">
                <span class="num cutoff">{label}</span><span class="caret" aria-hidden="true">"▾"</span>
            </button>
            <Show when=open>{picker()}</Show>
        </div>
    }
    .into_any()
}

fn picker() -> AnyView {
    let app = App::get();
    let (from, to) = (RwSignal::new(app.from.get_untracked()), RwSignal::new(app.to.get_untracked()));
    let checked = move || Range::parse(&from.get(), &to.get(), app.now.get(), app.offset());
    let apply = move || {
        if checked().is_ok() {
            let absolute = |text: String| match time::Moment::parse(&text, app.offset()) {
                // A date that was typed in the zone on the screen must mean the same elsewhere.
                Ok(time::Moment::Absolute(nanos)) => calendar::rfc3339(nanos),
                _ => text.trim().to_owned(),
            };
            app.look_at(&absolute(from.get_untracked()), &absolute(to.get_untracked()));
            app.overlay.set(None);
        }
    };
    let quick = move |(text, name): &'static (&'static str, &'static str)| {
        let current = move || app.from.get() == *text && app.to.get() == time::DEFAULT_TO;
        let choose = move |_| {
            app.look_at(text, time::DEFAULT_TO);
            app.overlay.set(None);
        };
        view! { <button class="item" class:current=current on:click=choose>{*name}</button> }
    };
    let first: NodeRef<leptos::html::Input> = NodeRef::new();
    effect(move || {
        if let Some(input) = first.get() {
            // Its text is set after this, so selecting waits for the next frame.
            request_animation_frame(move || {
                input.focus().ok();
                input.select();
            });
        }
    });
    let keys = move |event: web_sys::KeyboardEvent| match event.key().as_str() {
        "Enter" if super::keys::is_typing(&event) => apply(),
        "Escape" => app.overlay.set(None),
        _ => {}
    };
    view! {
        <div class="scrim" on:click=move |_| app.overlay.set(None)></div>
        <div class="popover range" role="dialog" aria-label="Range of time" on:keydown=keys>
            <div class="range-quick">{time::QUICK.iter().map(quick).collect_view()}</div>
            <div class="range-typed">
                <label class="stack">"From"
                    <input class="mono" node_ref=first prop:value=from on:input=move |e| from.set(event_target_value(&e)) spellcheck="false" />
                </label>
                <label class="stack">"To"
                    <input class="mono" prop:value=to on:input=move |e| to.set(event_target_value(&e)) spellcheck="false" />
                </label>
                <p class="quiet small">"now-1h, 2026-11-23 14:00, RFC 3339, or a Unix time in s, ms, µs or ns"</p>
                <p class="fault small" role="alert">{move || checked().err()}</p>
                <button class="button primary" disabled=move || checked().is_err() on:click=move |_| apply()>"Apply ⏎"</button>
                {more()}
            </div>
        </div>
    }
    .into_any()
}

fn more() -> AnyView {
    let app = App::get();
    let lock = move |_| {
        if let Some(range) = app.span() {
            app.zoom_to(range.start, range.end);
        }
        app.overlay.set(None);
    };
    let shift = move |share: f64| {
        if let Some(range) = app.span() {
            let by = (range.length() as f64 * share) as i64;
            app.zoom_to(range.start.saturating_add(by), range.end.saturating_add(by));
        }
    };
    let widen = move |_| {
        if let Some(range) = app.span() {
            app.zoom_to(range.start.saturating_sub(range.length() / 2), range.end.saturating_add(range.length() / 2));
        }
    };
    let zone = move |utc: bool| {
        app.utc.set(utc);
        store("zone", if utc { "utc" } else { "local" });
        app.colours.update(|n| *n += 1);
    };
    let minutes = local_offset();
    let local = format!(
        "Local (UTC{}{:02}:{:02})",
        if minutes < 0 { '−' } else { '+' },
        minutes.abs() / 60,
        minutes.abs() % 60
    );
    view! {
        <div class="row-actions">
            <button class="button" title="Move back by half" on:click=move |_| shift(-0.5)>"←"</button>
            <button class="button" title="Twice as wide" on:click=widen>"⤢"</button>
            <button class="button" title="Move on by half" on:click=move |_| shift(0.5)>"→"</button>
            <button class="button" title="Put both ends into the URL, so that a shared link shows the same" on:click=lock>"Lock range"</button>
        </div>
        <div class="segments" role="group" aria-label="Zone">
            <button class:current=move || !app.utc.get() on:click=move |_| zone(false)>{local}</button>
            <button class:current=move || app.utc.get() on:click=move |_| zone(true)>"UTC"</button>
        </div>
    }
    .into_any()
}
