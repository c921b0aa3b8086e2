//! What ran at the same time in a large trace, and below what? Lanes as the server lays them; what is too short to be told apart is
//! one bar, which a click shows larger.
//!
//! FG1  Lanes around those on the screen are asked for, and of time a little more than is seen: panning shows what is here at once.

use super::super::flame::cut;
use super::view::Large;
use crate::client::load::{Old, load};
use crate::component::canvas::{self, Align, Pen};
use crate::component::effect::effect;
use crate::component::message;
use crate::state::address::Params;
use crate::state::format;
use crate::state::trace::window::Window;
use leptos::html;
use leptos::prelude::*;
use leptos::web_sys;
use query_api::outline::{LaneBar, LanesResponse};
use std::sync::Arc;

/// Height of a lane, and of the bar in it.
const LANE: f64 = 22.0;
const BAR: f64 = 17.0;
/// Pixels of a bar that tell by their strength what is self time.
const SELF: f64 = 3.0;
/// Room above the first lane.
const TOP: f64 = 6.0;
/// Lanes that are asked for at once, and the step by which they move.
const LANES: (usize, usize) = (120, 40);
/// Pixels that a bar needs for a text, those of a letter, and beside it.
const TEXT: (f64, f64, f64) = (28.0, 6.0, 10.0);
/// How far from a thin bar the pointer may be.
const NEAR: f64 = 3.0;
/// Pixels that the pointer may move in a click.
const STILL: f64 = 4.0;

/// The tab.
pub(super) fn tab(view: Large) -> AnyView {
    let scrolled = RwSignal::new(0.0);
    let size = RwSignal::new(1_000.0);
    let hover = RwSignal::new(None::<LaneBar>);
    let node: NodeRef<html::Div> = NodeRef::new();
    view.scroller.set_value(Some(node));
    let part = Memo::new(move |_| part_of(view.time.window.get(), view.time.duration.get(), size.get()));
    let first = Memo::new(move |_| ((scrolled.get() / LANE) as usize / LANES.1 * LANES.1).saturating_sub(LANES.1));
    let row = Memo::new(move |_| {
        let at = view.at.get()?;
        view.pages.with(|pages| pages.at(at).map(|row| row.row))
    });
    let found = load::<LanesResponse>(Old::Keep, move || {
        let (from, to, width) = part.get();
        let mut params = Params::default();
        let mut set = |key, value: i64| params.set(key, Some(&value.to_string()));
        set("from", from);
        set("to", to);
        set("width", width);
        set("offset", first.get() as i64);
        set("limit", LANES.0 as i64);
        if let Some(row) = row.get() {
            set("row", row as i64);
        }
        Some(params.behind(&format!("/api/v1/traces/{}/outline/lanes", view.id.get())))
    });
    let (canvas, drawn) = canvas::drawing("Flame graph: spans over time, each below its parent", move |pen| {
        size.set(pen.width);
        if let Some(answer) = found.data.get() {
            draw(pen, view, &answer, scrolled.get(), hover.get().as_ref());
        }
    });
    let mut before = None;
    effect(move || {
        let lane = found.data.with(|answer| answer.as_deref().and_then(|answer| answer.lane));
        let (Some(lane), Some(element)) = (lane, node.get()) else { return };
        if before.replace((lane, row.get_untracked())) == Some((lane, row.get_untracked())) {
            return;
        }
        let (top, height) = (f64::from(element.scroll_top()), f64::from(element.client_height()));
        let y = TOP + lane as f64 * LANE;
        if y < top || y + LANE > top + height {
            element.set_scroll_top((y - height / 3.0).max(0.0) as i32);
        }
    });
    let hit = move |event: &web_sys::MouseEvent| {
        let canvas = drawn.get_untracked()?;
        let (x, y) = canvas::place(event, &canvas);
        let length = view.time.duration.get_untracked().max(1) as f64;
        let scene = Scene { window: view.time.window.get_untracked(), length, width: size.get_untracked() };
        let down = y - TOP + scrolled.get_untracked();
        let lane = (down >= 0.0 && down % LANE <= BAR).then_some((down / LANE) as usize)?;
        let answer = found.data.get_untracked()?;
        let touches = |bar: &&LaneBar| {
            let (left, right) = (scene.x(bar.start_nano), scene.x(bar.end_nano));
            bar.lane == lane && left - NEAR <= x && x <= right.max(left + 1.0) + NEAR
        };
        answer.bars.iter().filter(touches).min_by_key(|bar| bar.end_nano - bar.start_nano).cloned()
    };
    let (pressed, moved, released) = drag(view, size, hover, hit);
    let zoom = move |event: web_sys::MouseEvent| {
        if let Some(bar) = hit(&event) {
            enlarge(view, &bar);
        }
    };
    let lanes = move || found.data.with(|answer| answer.as_deref().map_or(0, |answer| answer.lane_count));
    let height = move || format!("height:{}px", lanes() as f64 * LANE + TOP + 8.0);
    let scroll = move |_| {
        if let Some(element) = node.get_untracked() {
            scrolled.set(f64::from(element.scroll_top()));
        }
    };
    let told = move || {
        let words = hover.get().map(|bar| told(view, &bar));
        words.unwrap_or_else(|| {
            "click: details · double click: zoom to the span · drag: pan · ctrl and wheel: zoom".to_owned()
        })
    };
    let failed = move || found.failure.get().map(|failure| message::failed(&failure, move || found.retry()));
    view! {
        {message::progress([found.running])}{failed}
        <div class="waterfall flame" data-testid="flame" on:wheel=move |event| view.time.wheel(&event)>
            <div class="waterfall-head">{view.time.head()}</div>
            <div class="flame-room">
                {canvas}
                <div class="flame-scroll" class:pointing=move || hover.get().is_some() node_ref=node on:scroll=scroll on:pointerdown=pressed on:pointermove=moved
                    on:pointerup=released on:pointerleave=move |_| hover.set(None) on:dblclick=zoom>
                    <div style=height></div>
                </div>
            </div>
            <p class="flame-foot num small" role="status" data-testid="flame-told">{told}</p>
        </div>
    }
    .into_any()
}

/// Which time is asked for, and into how many parts it is cut: half a window more on both sides, in steps of half a window.
fn part_of(window: Window, duration: i64, width: f64) -> (i64, i64, i64) {
    let length = duration.max(1) as f64;
    let step = (window.width() * length / 2.0).max(1.0);
    let from = ((window.start * length / step).floor() - 1.0).max(0.0) * step;
    let to = (from + 4.0 * step).min(length);
    let parts = (width * (to - from) / (2.0 * step)).clamp(1.0, 2_000.0);
    (from as i64, to.ceil() as i64, parts as i64)
}

fn told(view: Large, bar: &LaneBar) -> String {
    let at = format::duration(bar.start_nano);
    let length = format::duration(bar.end_nano - bar.start_nano);
    let failed = if bar.failed { ", error" } else { "" };
    let service = view.outline.with(|outline| outline.services.get(bar.service).map(|it| it.name.clone()));
    match &bar.name {
        Some(name) => format!("{} {name}, {length}{failed} · at {at}", service.unwrap_or_default()),
        None => format!(
            "{} within {length}{failed} · at {at} · click: show them larger",
            format::counted(bar.span_count as u64, "span")
        ),
    }
}

fn enlarge(view: Large, bar: &LaneBar) {
    let length = view.time.duration.get_untracked().max(1) as f64;
    view.time.look_at(Window::between(bar.start_nano as f64 / length, bar.end_nano as f64 / length));
}

/// What the pointer does: a click selects, a drag pans.
fn drag(
    view: Large,
    size: RwSignal<f64>,
    hover: RwSignal<Option<LaneBar>>,
    hit: impl Fn(&web_sys::MouseEvent) -> Option<LaneBar> + Copy + 'static,
) -> (
    impl Fn(web_sys::PointerEvent) + Copy + 'static,
    impl Fn(web_sys::PointerEvent) + Copy + 'static,
    impl Fn(web_sys::PointerEvent) + Copy + 'static,
) {
    let from = RwSignal::new(None::<(f64, Window)>);
    let window = view.time.window;
    let pressed = move |event: web_sys::PointerEvent| {
        if event.button() == 0 {
            from.set(Some((f64::from(event.client_x()), window.get_untracked())));
        }
    };
    let moved = move |event: web_sys::PointerEvent| match from.get_untracked() {
        Some((before, window_before)) if event.buttons() != 0 => {
            let by = before - f64::from(event.client_x());
            if by.abs() > STILL {
                window.set(window_before.pan(by / size.get_untracked().max(1.0)));
            }
        }
        _ => {
            let bar = hit(&event);
            if bar != hover.get_untracked() {
                hover.set(bar);
            }
        }
    };
    let released = move |event: web_sys::PointerEvent| {
        let Some((before, _)) = from.get_untracked() else { return };
        from.set(None);
        if (f64::from(event.client_x()) - before).abs() > STILL {
            view.time.look_at(window.get_untracked());
        } else if let Some(bar) = hit(&event) {
            if bar.span_count > 1 {
                enlarge(view, &bar);
            } else {
                view.select(Some(&bar.span_id));
            }
        }
    };
    (pressed, moved, released)
}

/// Turns times into pixels.
struct Scene {
    window: Window,
    length: f64,
    width: f64,
}

impl Scene {
    fn x(&self, nanos: i64) -> f64 {
        self.window.position(nanos as f64 / self.length) * self.width
    }

    fn line(&self, pen: &Pen, [start, end]: [i64; 2], y: f64, height: f64) {
        let (left, right) = (self.x(start).max(-2.0), self.x(end).min(self.width + 2.0));
        if left < self.width && right > 0.0 {
            pen.rect(left, y, (right - left).max(1.0), height);
        }
    }
}

fn draw(pen: &Pen, view: Large, answer: &Arc<LanesResponse>, scrolled: f64, hover: Option<&LaneBar>) {
    let names: Vec<String> = view.outline.with(|it| it.services.iter().map(|it| it.name.clone()).collect());
    let services = pen.services(names.iter().map(String::as_str));
    let [text, error, accent] = ["--text", "--error", "--accent"].map(|name| pen.colour(name));
    let length = view.time.duration.get().max(1) as f64;
    let scene = Scene { window: view.time.window.get(), length, width: pen.width };
    let (selected, critical) = (view.span.get(), view.critical.get());
    let found = view.matches.data.get();
    for bar in &answer.bars {
        let y = TOP + bar.lane as f64 * LANE - scrolled;
        let (left, right) = (scene.x(bar.start_nano).max(-2.0), scene.x(bar.end_nano).min(pen.width + 2.0));
        if y + LANE < 0.0 || y > pen.height || right < 0.0 || left > pen.width {
            continue;
        }
        let missed =
            found.as_ref().is_some_and(|found| bar.span_count == 1 && found.rows.binary_search(&bar.row).is_err());
        let faint = if missed { 0.3 } else { 1.0 };
        let wide = (right - left).max(1.0);
        let width = if wide > 4.0 { wide - 1.0 } else { wide };
        pen.fill(services.get(bar.service).map_or("", String::as_str));
        pen.opacity(if bar.span_count > 1 { 0.55 } else { 0.34 } * faint);
        pen.rect(left, y, width, BAR);
        pen.opacity(faint);
        pen.rect(left, y, width.min(2.0), BAR);
        bar.gaps.iter().for_each(|gap| scene.line(pen, *gap, y + BAR - SELF, SELF));
        if bar.failed {
            pen.fill(&error);
            pen.rect(left, y, width.min(3.0), BAR);
            if width > 6.0 && bar.span_count == 1 {
                pen.outline(&error, 1.0, (left, y, width, BAR));
            }
        }
        if wide >= TEXT.0 {
            let words = match &bar.name {
                Some(name) => {
                    let service = names.get(bar.service).map_or("", String::as_str);
                    format!("{name}  {}  {service}", format::duration(bar.end_nano - bar.start_nano))
                }
                None => format::counted(bar.span_count as u64, "span"),
            };
            let room = wide + left.min(0.0) - TEXT.2;
            pen.fill(&text);
            pen.text(
                &cut(&words, (room / TEXT.1) as usize),
                left.max(0.0) + TEXT.2 / 2.0 + 1.0,
                y + (BAR - SELF) / 2.0 + 1.0,
                Align::Left,
            );
        }
        if critical {
            pen.fill(&text);
            bar.critical.iter().for_each(|stretch| scene.line(pen, *stretch, y + BAR + 1.0, 2.0));
        }
        pen.opacity(1.0);
        let is_selected = bar.span_count == 1 && selected.as_deref() == Some(&*bar.span_id);
        let is_hovered = hover.is_some_and(|hover| (hover.lane, hover.row) == (bar.lane, bar.row));
        if is_selected || is_hovered {
            pen.outline(&accent, if is_selected { 2.0 } else { 1.0 }, (left, y, wide.max(3.0), BAR));
        }
    }
}
