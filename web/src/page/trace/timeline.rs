//! What waited for what, and for how long? The waterfall: one row a span, as many as are seen.
//!
//! TL1  Rows outside the viewport are not in the DOM, whatever the size of the trace.

use super::minimap;
use super::view::View;
use crate::component::app::{store, stored};
use crate::component::effect::effect;
use crate::component::virtual_list::{List, virtual_list};
use crate::state::log::Level;
use crate::state::rows::Heights;
use crate::state::trace::critical;
use crate::state::trace::tree::{Row, Trace};
use crate::state::trace::window::Window;
use crate::state::{format, hue, number, scale};
use leptos::attr::custom::custom_attribute;
use leptos::prelude::*;
use leptos::web_sys;
use std::sync::Arc;

/// Height of a row.
const ROW: f64 = 26.0;
/// Pixels of indent per level, and the level at which it stops.
const INDENT: usize = 12;
const DEEPEST: usize = 28;
/// Marks drawn on one bar.
const MARKS: usize = 60;

/// The tab.
pub(super) fn tab(view: View) -> AnyView {
    let width = RwSignal::new(stored("names").and_then(|w| number::read(&w)).unwrap_or(380.0).clamp(160.0, 900.0));
    let generation = RwSignal::new(0u64);
    effect(move || {
        view.shown.track();
        generation.update(|g| *g += 1);
    });
    let reveal = Signal::derive(move || {
        let at = view.at.get()?;
        view.shown.with(|shown| shown.binary_search(&at).ok())
    });
    let (list, node) = virtual_list(List {
        count: Signal::derive(move || view.shown.with(|s| s.len())),
        heights: RwSignal::new(Heights::new(ROW)),
        generation: generation.into(),
        reveal,
        role: "tree",
        label: "Spans",
        row: move |index| row(view, index),
        foot: ().into_any(),
    });
    view.scroller.set_value(Some(node));
    // The tree has the focus, and says which of its rows the keys are at.
    effect(move || {
        let Some(element) = node.get() else { return };
        element.set_attribute("tabindex", "0").ok();
        match view.at.get() {
            Some(at) => element.set_attribute("aria-activedescendant", &row_id(at)).ok(),
            None => element.remove_attribute("aria-activedescendant").ok(),
        };
    });
    let lines = move || {
        let line = |(_, position): (f64, f64)| view! { <i style=format!("left:{:.3}%", position * 100.0)></i> };
        ticks(view).into_iter().filter(|(_, p)| (0.0..=1.0).contains(p)).map(line).collect_view()
    };
    view! {
        <div class="waterfall" style=move || format!("--names:{}px", width.get()) on:wheel=move |event| wheel(view, &event)>
            <div class="waterfall-head">
                <div class="names-head"><span class="quiet small">"Service and operation"</span></div>
                {handle(width)}
                <div class="time-head">{minimap::minimap(view)}{ruler(view)}</div>
            </div>
            <div class="grid-lines" aria-hidden="true">{lines}</div>
            {list}
        </div>
    }
    .into_any()
}

/// Zooms with ctrl, pans with shift or sideways; else the rows are scrolled.
pub(super) fn wheel(view: View, event: &web_sys::WheelEvent) {
    if !(event.ctrl_key() || event.shift_key() || event.delta_x().abs() > event.delta_y().abs()) {
        return;
    }
    event.prevent_default();
    let window = view.window.get_untracked();
    if event.ctrl_key() {
        let factor = (event.delta_y() / 400.0).exp();
        view.look_at(window.zoom(factor, window.point(0.5)));
    } else {
        let by = if event.delta_x() == 0.0 { event.delta_y() } else { event.delta_x() };
        view.look_at(window.pan(by / 1_000.0));
    }
}

/// The bar between names and times; dragged to resize.
fn handle(width: RwSignal<f64>) -> AnyView {
    let from = RwSignal::new(None::<(f64, f64)>);
    let node: NodeRef<leptos::html::Div> = NodeRef::new();
    let pressed = move |event: web_sys::PointerEvent| {
        if let Some(element) = node.get_untracked() {
            element.set_pointer_capture(event.pointer_id()).ok();
        }
        from.set(Some((f64::from(event.client_x()), width.get_untracked())));
    };
    let moved = move |event: web_sys::PointerEvent| {
        if let Some((x, before)) = from.get_untracked() {
            width.set((before + f64::from(event.client_x()) - x).clamp(160.0, 900.0));
        }
    };
    let released = move |_: web_sys::PointerEvent| {
        from.set(None);
        store("names", &width.get_untracked().to_string());
    };
    let keys = move |event: web_sys::KeyboardEvent| {
        let by = match event.key().as_str() {
            "ArrowLeft" => -16.0,
            "ArrowRight" => 16.0,
            _ => return,
        };
        event.prevent_default();
        event.stop_propagation();
        width.update(|w| *w = (*w + by).clamp(160.0, 900.0));
    };
    view! {
        <div class="handle" node_ref=node role="separator" aria-orientation="vertical" aria-valuenow=move || format!("{:.0}", width.get()) aria-valuemin="160" aria-valuemax="900" aria-label="Width of the names" tabindex="0"
            on:pointerdown=pressed on:pointermove=moved on:pointerup=released on:keydown=keys></div>
    }
    .into_any()
}

/// Round times within the window, in nanoseconds, and where they stand.
pub(super) fn ticks(view: View) -> Vec<(f64, f64)> {
    let length = view.trace().map_or(0, |t| t.duration) as f64;
    let window = view.window.get();
    let ticks = scale::duration_ticks(window.start * length, window.end * length, 6);
    ticks.into_iter().map(|tick| (tick, window.position(tick / length.max(1.0)))).collect()
}

/// Times above the bars.
pub(super) fn ruler(view: View) -> AnyView {
    let labels = move || {
        let mark = |(tick, position): (f64, f64)| {
            let last = if position > 0.94 { "ruler-tick last" } else { "ruler-tick" };
            view! { <span class=last style=format!("left:{:.3}%", position * 100.0)>{format::duration(tick.round() as i64)}</span> }
        };
        ticks(view).into_iter().filter(|(_, p)| (-0.001..=1.0).contains(p)).map(mark).collect_view()
    };
    view! { <div class="ruler num" aria-hidden="true">{labels}</div> }.into_any()
}

fn row_id(at: usize) -> String {
    format!("span-{at}")
}

/// What is read out of a row.
pub(super) fn label_of(trace: &Trace, at: usize) -> String {
    let one = &trace.rows[at];
    let failed = if one.is_error() { ", error" } else { "" };
    let flaw = one.flaw.map_or_else(String::new, |flaw| format!(", {}", flaw.words()));
    let (service, name) = (&trace.services[one.service].name, &one.span.name);
    let (whole, own) = (format::duration(one.duration), format::duration(one.self_time));
    format!("{service} {name}, {whole}, self {own}{failed}{flaw}")
}

fn row(view: View, index: usize) -> AnyView {
    let found = view.shown.with_untracked(|shown| shown.get(index).copied()).zip(view.trace_now());
    let Some((at, trace)) = found else { return ().into_any() };
    let Some(one) = trace.rows.get(at) else { return ().into_any() };
    let service = trace.services[one.service].name.clone();
    let state = move || view.selected.get() == Some(at);
    let (place, siblings) = (one.place.to_string(), one.siblings.to_string());
    let has_children = one.subtree > 1;
    let open = has_children.then(|| (!view.closed.with_untracked(|c| c.contains(&at))).to_string());
    let hit = move || view.matches.with(|m| m.binary_search(&at).is_ok());
    let missed = move || !view.wanted.with(|w| w.trim().is_empty()) && !hit();
    let (id, error, level) =
        (one.span.span_id.clone(), one.is_error(), custom_attribute("aria-level", (one.depth + 1).to_string()));
    let colour = format!("--svc:{}", hue::css(&service));
    let names = names(view, &trace, at, service);
    view! {
        <div class="span-row" role="treeitem" id=row_id(at) {..level} aria-posinset=place aria-setsize=siblings
            aria-expanded=open
            aria-selected=move || state().to_string() class:selected=state class:at=move || view.at.get() == Some(at)
            class:hit=hit class:missed=missed class:failed=error style=colour
            data-testid="span-row" data-span=id on:click=move |_| { view.at.set(Some(at)); view.select(Some(at)); }>
            {names}
            <div class="span-time">{bars(view, trace, at)}</div>
        </div>
    }
    .into_any()
}

fn names(view: View, trace: &Trace, at: usize, service: String) -> AnyView {
    let one = &trace.rows[at];
    let closed = view.closed.with_untracked(|c| c.contains(&at));
    let indent = one.depth.min(DEEPEST) * INDENT;
    let twisty = if one.subtree > 1 {
        let words = if closed { "Expand" } else { "Collapse" };
        let fold = move |event: web_sys::MouseEvent| {
            event.stop_propagation();
            view.fold(at);
        };
        let glyph = if closed { "▸" } else { "▾" };
        view! { <button class="twisty" aria-hidden="true" title=words tabindex="-1" on:click=fold>{glyph}</button> }
            .into_any()
    } else {
        view! { <span class="twisty"></span> }.into_any()
    };
    let hidden = closed.then(|| view! { <span class="badge num">{format::count(one.subtree as u64 - 1)}</span> });
    let below = (closed && one.errors_below > 0)
        .then(|| view! { <span class="error-mark hollow" role="img" aria-label="errors below" title="Errors below">"□"</span> });
    let error = one
        .is_error()
        .then(|| view! { <span class="error-mark" role="img" aria-label="error" title="Status is error">"■"</span> });
    let flaw = one
        .flaw
        .map(|flaw| view! { <span class="flaw" role="img" aria-label=flaw.words() title=flaw.words()>"▲"</span> });
    let deep = (one.depth > DEEPEST).then(|| view! { <span class="badge num" title="Depth">{one.depth}</span> });
    view! {
        <div class="span-name">
            <span class="guides" style=format!("width:{indent}px")></span>
            {twisty}{deep}
            <i class="edge"></i>{error}{below}{flaw}
            <span class="span-service">{service}</span><span class="span-op">{one.span.name.clone()}</span>{hidden}
        </div>
    }
    .into_any()
}

/// Everything on the time side of a row; drawn again when the window moves.
fn bars(view: View, trace: Arc<Trace>, at: usize) -> impl IntoView {
    move || {
        let window = view.window.get();
        let one = &trace.rows[at];
        let length = trace.duration.max(1) as f64;
        let place = Place { window, length };
        let (left, right) = (place.of(one.start), place.of(one.end()));
        if right < 0.0 || left > 1.0 {
            let (class, glyph) = if left > 1.0 { ("beyond right", "›") } else { ("beyond left", "‹") };
            return view! { <span class=class aria-hidden="true">{glyph}</span> }.into_any();
        }
        let own = trace.gaps(at).take(MARKS).map(|(start, end)| place.stretch("self", start, end)).collect_view();
        let critical = view.critical.get().then(|| {
            let sections = view.path.get();
            let mine = critical::of_row(&sections, at).iter().take(MARKS);
            mine.map(|s| place.stretch("critical", s.start, s.end)).collect_view()
        });
        let (label_class, label_style) = label(left, right);
        view! {
            {place.stretch("bar", one.start, one.end())}
            {own}
            {critical}
            {events(one, &trace, place)}
            {logs(view, one, place)}
            <span class=label_class style=label_style>{format::duration(one.duration)}</span>
        }
        .into_any()
    }
}

/// Turns nanoseconds after the trace's start into shares of the window.
#[derive(Clone, Copy)]
struct Place {
    window: Window,
    length: f64,
}

impl Place {
    fn of(self, nanos: i64) -> f64 {
        self.window.position(nanos as f64 / self.length)
    }

    /// A stretch of time, cut at the window's edges.
    fn stretch(self, class: &'static str, start: i64, end: i64) -> Option<AnyView> {
        let (left, right) = (self.of(start).clamp(-0.01, 1.01), self.of(end).clamp(-0.01, 1.01));
        if right < 0.0 || left > 1.0 {
            return None;
        }
        let style = format!("left:{:.4}%;width:{:.4}%", left * 100.0, (right - left) * 100.0);
        Some(view! { <i class=class style=style></i> }.into_any())
    }

    /// A point of time, when the window shows it.
    fn point(self, class: String, at: i64, title: String) -> Option<AnyView> {
        let left = self.of(at);
        let inside = (0.0..=1.0).contains(&left);
        inside.then(|| view! { <i class=class style=format!("left:{:.4}%", left * 100.0) title=title></i> }.into_any())
    }
}

/// The label stands right of the bar, else left of it, else inside.
fn label(left: f64, right: f64) -> (&'static str, String) {
    if right < 0.88 {
        ("span-label", format!("left:calc({:.3}% + 6px)", right.max(0.0) * 100.0))
    } else if left > 0.12 {
        ("span-label before", format!("right:calc({:.3}% + 6px)", (1.0 - left.min(1.0)) * 100.0))
    } else {
        ("span-label inside", "right:8px".to_owned())
    }
}

fn events(one: &Row, trace: &Trace, place: Place) -> AnyView {
    let mark = |event: &query_api::otlp::Event| {
        let at = i64::try_from(event.time_unix_nano).unwrap_or(i64::MAX).saturating_sub(trace.start);
        let class = if event.name == "exception" { "event exception" } else { "event" };
        let title = format!("{} after {}", event.name, format::duration(at - one.start));
        place.point(class.to_owned(), at, title)
    };
    one.span.events.iter().take(MARKS).filter_map(mark).collect_view().into_any()
}

fn logs(view: View, one: &Row, place: Place) -> AnyView {
    let logs = view.logs.get();
    let Some(records) = logs.get(&one.span.span_id) else { return ().into_any() };
    let mark = |(at, severity): &(i64, i32)| {
        let level = Level::of(*severity).name();
        place.point(format!("log-dot level-{level}"), *at, format!("Log, {level}"))
    };
    records.iter().take(MARKS).filter_map(mark).collect_view().into_any()
}
