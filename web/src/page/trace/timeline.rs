//! What waited for what, and for how long? The waterfall: one row a span, as many as are seen.
//!
//! TL1  Rows outside the viewport are not in the DOM, whatever the size of the trace.
//!
//! Not here: where rows come from (`view`, `large`).

use super::time::Time;
use super::view::{LogMarks, View};
use crate::component::app::{store, stored};
use crate::component::effect::effect;
use crate::component::virtual_list::{List, virtual_list};
use crate::state::log::Level;
use crate::state::rows::Heights;
use crate::state::trace::window::Window;
use crate::state::trace::{flaws, indent};
use crate::state::{format, hue, number};
use leptos::attr::custom::custom_attribute;
use leptos::html;
use leptos::prelude::*;
use leptos::web_sys;
use query_api::outline::{OutlineEvent, OutlineRow};
use std::sync::Arc;

/// Height of a row.
pub(super) const ROW: f64 = 26.0;
/// Marks drawn on one bar.
const MARKS: usize = 60;

/// What rows are drawn with.
#[derive(Clone, Copy)]
pub(super) struct Board {
    /// What of the time is shown.
    pub(super) time: Time,
    /// Whether the critical path is drawn.
    pub(super) critical: RwSignal<bool>,
    /// Times of logs by span id.
    pub(super) logs: Memo<Arc<LogMarks>>,
}

/// A row that is drawn, and what it does.
pub(super) struct Drawn {
    /// The row.
    pub(super) row: Arc<OutlineRow>,
    /// The name of its service.
    pub(super) service: String,
    /// Whether it is selected.
    pub(super) selected: Signal<bool>,
    /// Whether the keys are at it.
    pub(super) at: Signal<bool>,
    /// Whether it holds what is looked for.
    pub(super) hit: Signal<bool>,
    /// Whether something is looked for that it does not hold.
    pub(super) missed: Signal<bool>,
    /// Opens or closes it.
    pub(super) fold: Callback<()>,
    /// Selects it.
    pub(super) choose: Callback<()>,
}

/// The tab.
pub(super) fn tab(view: View) -> AnyView {
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
    let at = Signal::derive(move || view.at.get());
    waterfall(view.board(), list, node, at)
}

fn row(view: View, index: usize) -> AnyView {
    let found = view.shown.with_untracked(|shown| shown.get(index).copied()).zip(view.trace_now());
    let Some((at, trace)) = found.filter(|(at, trace)| *at < trace.rows.len()) else { return ().into_any() };
    let mut one = view.path.with_untracked(|path| trace.drawn(at, path));
    one.closed = view.closed.with_untracked(|closed| closed.contains(&at));
    let looked_for = move || view.wanted.with(|w| !w.trim().is_empty());
    let holds = move || view.matches.with(|m| m.binary_search(&at).is_ok());
    draw(
        view.board(),
        Drawn {
            service: trace.services[one.service].name.clone(),
            row: Arc::new(one),
            selected: Signal::derive(move || view.selected.get() == Some(at)),
            at: Signal::derive(move || view.at.get() == Some(at)),
            hit: Signal::derive(holds),
            missed: Signal::derive(move || looked_for() && !holds()),
            fold: Callback::new(move |()| view.fold(at)),
            choose: Callback::new(move |()| {
                view.at.set(Some(at));
                view.select(Some(at));
            }),
        },
    )
}

/// What stands around the rows; `at` is the row that the keys are at.
pub(super) fn waterfall(board: Board, list: AnyView, node: NodeRef<html::Div>, at: Signal<Option<usize>>) -> AnyView {
    let width = RwSignal::new(stored("names").and_then(|w| number::read(&w)).unwrap_or(380.0).clamp(160.0, 900.0));
    // The tree has the focus, and says which of its rows the keys are at.
    effect(move || {
        let Some(element) = node.get() else { return };
        element.set_attribute("tabindex", "0").ok();
        match at.get() {
            Some(at) => element.set_attribute("aria-activedescendant", &row_id(at)).ok(),
            None => element.remove_attribute("aria-activedescendant").ok(),
        };
    });
    let time = board.time;
    let lines = move || {
        let line = |(_, position): (f64, f64)| view! { <i style=format!("left:{:.3}%", position * 100.0)></i> };
        time.ticks().into_iter().filter(|(_, p)| (0.0..=1.0).contains(p)).map(line).collect_view()
    };
    view! {
        <div class="waterfall" style=move || format!("--names:{}px", width.get()) on:wheel=move |event| time.wheel(&event)>
            <div class="waterfall-head">
                <div class="names-head"><span class="quiet small">"Service and operation"</span></div>
                {handle(width)}
                {time.head()}
            </div>
            <div class="grid-lines" aria-hidden="true">{lines}</div>
            {list}
        </div>
    }
    .into_any()
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

fn row_id(at: usize) -> String {
    format!("span-{at}")
}

/// A row.
pub(super) fn draw(board: Board, drawn: Drawn) -> AnyView {
    let Drawn { row: one, service, selected, at, hit, missed, fold, choose } = drawn;
    let (place, siblings) = (one.place.to_string(), one.siblings.to_string());
    let open = (one.subtree > 1).then(|| (!one.closed).to_string());
    let (id, error, level) =
        (one.span_id.clone(), one.failed, custom_attribute("aria-level", (one.depth + 1).to_string()));
    let colour = format!("--svc:{}", hue::css(&service));
    let names = names(&one, service, fold);
    let number = one.row;
    view! {
        <div class="span-row" role="treeitem" id=row_id(number) {..level} aria-posinset=place aria-setsize=siblings
            aria-expanded=open
            aria-selected=move || selected.get().to_string() class:selected=selected class:at=at
            class:hit=hit class:missed=missed class:failed=error style=colour
            data-testid="span-row" data-span=id on:click=move |_| choose.run(())>
            {names}
            <div class="span-time">{bars(board, one)}</div>
        </div>
    }
    .into_any()
}

fn names(one: &OutlineRow, service: String, fold: Callback<()>) -> AnyView {
    let closed = one.closed;
    let pixels = indent::indent(one.depth);
    let twisty = if one.subtree > 1 {
        let words = if closed { "Expand" } else { "Collapse" };
        let fold = move |event: web_sys::MouseEvent| {
            event.stop_propagation();
            fold.run(());
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
        .failed
        .then(|| view! { <span class="error-mark" role="img" aria-label="error" title="Status is error">"■"</span> });
    let flaw = one.flaw.map(flaws::words);
    let flaw = flaw.map(|words| view! { <span class="flaw" role="img" aria-label=words title=words>"▲"</span> });
    let deep = indent::told(one.depth).map(|depth| view! { <span class="badge num" title="Depth">{depth}</span> });
    view! {
        <div class="span-name">
            <span class="guides" style=format!("width:{pixels}px")></span>
            {twisty}{deep}
            <i class="edge"></i>{error}{below}{flaw}
            <span class="span-service">{service}</span><span class="span-op">{one.name.clone()}</span>{hidden}
        </div>
    }
    .into_any()
}

/// Everything on the time side of a row; drawn again when the window moves.
fn bars(board: Board, one: Arc<OutlineRow>) -> impl IntoView {
    move || {
        let window = board.time.window.get();
        let length = board.time.duration.get().max(1) as f64;
        let place = Place { window, length };
        let end = one.start_nano.saturating_add(one.duration_nano);
        let (left, right) = (place.of(one.start_nano), place.of(end));
        if right < 0.0 || left > 1.0 {
            let (class, glyph) = if left > 1.0 { ("beyond right", "›") } else { ("beyond left", "‹") };
            return view! { <span class=class aria-hidden="true">{glyph}</span> }.into_any();
        }
        let stretches = |class: &'static str, list: &[[i64; 2]]| {
            list.iter().map(|[start, end]| place.stretch(class, *start, *end)).collect_view()
        };
        let critical = board.critical.get().then(|| stretches("critical", &one.critical));
        let (label_class, label_style) = label(left, right);
        view! {
            {place.stretch("bar", one.start_nano, end)}
            {stretches("self", &one.gaps)}
            {critical}
            {events(&one, place)}
            {logs(board, &one, place)}
            <span class=label_class style=label_style>{format::duration(one.duration_nano)}</span>
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

/// The label stands right of the bar, else left of it, else inside at its end.
fn label(left: f64, right: f64) -> (&'static str, String) {
    if right < 0.88 {
        ("span-label", format!("left:calc({:.3}% + 6px)", right.max(0.0) * 100.0))
    } else if left > 0.12 {
        ("span-label before", format!("right:calc({:.3}% + 6px)", (1.0 - left.min(1.0)) * 100.0))
    } else {
        ("span-label inside", format!("right:calc({:.3}% + 8px)", (1.0 - right.min(1.0)) * 100.0))
    }
}

fn events(one: &OutlineRow, place: Place) -> AnyView {
    let mark = |event: &OutlineEvent| {
        let class = if event.name == "exception" { "event exception" } else { "event" };
        let title = format!("{} after {}", event.name, format::duration(event.time_nano - one.start_nano));
        place.point(class.to_owned(), event.time_nano, title)
    };
    one.events.iter().filter_map(mark).collect_view().into_any()
}

fn logs(board: Board, one: &OutlineRow, place: Place) -> AnyView {
    let logs = board.logs.get();
    let Some(records) = logs.get(&one.span_id) else { return ().into_any() };
    let mark = |(at, severity): &(i64, i32)| {
        let level = Level::of(*severity).name();
        place.point(format!("log-dot level-{level}"), *at, format!("Log, {level}"))
    };
    records.iter().take(MARKS).filter_map(mark).collect_view().into_any()
}
