//! What ran at the same time, and below what? All spans as bars in lanes: the timeline's window, selection and search.
//!
//! FG1  Only lanes on the screen are drawn, and of each at most a bar for every pixel; a failed one is never passed over.

use super::view::View;
use crate::component::canvas::{self, Align, Pen};
use crate::component::effect::effect;
use crate::state::format;
use crate::state::trace::critical;
use crate::state::trace::flame::Flame;
use crate::state::trace::flaws;
use crate::state::trace::tree::Trace;
use crate::state::trace::window::Window;
use leptos::html;
use leptos::prelude::*;
use leptos::web_sys;
use std::sync::Arc;

/// Height of a lane, and of the bar in it.
const LANE: f64 = 22.0;
const BAR: f64 = 17.0;
/// Pixels of a bar that tell by their strength what is self time.
const SELF: f64 = 3.0;
/// Room above the first lane.
const TOP: f64 = 6.0;
/// Pixels that a bar needs for a text, about those of a letter, and beside it.
const TEXT: (f64, f64, f64) = (28.0, 6.0, 8.0);
/// How far from a thin bar the pointer may be.
const NEAR: f64 = 3.0;
/// Pixels that the pointer may move in a click.
const STILL: f64 = 4.0;

/// What the drawing is about.
struct Scene {
    trace: Arc<Trace>,
    flame: Arc<Flame>,
    window: Window,
    /// Pixels scrolled.
    scrolled: f64,
    /// Pixels across.
    width: f64,
}

impl Scene {
    fn x(&self, nanos: i64) -> f64 {
        self.window.position(nanos as f64 / self.length()) * self.width
    }

    fn time(&self, x: f64) -> i64 {
        (self.window.point(x / self.width.max(1.0)) * self.length()) as i64
    }

    fn length(&self) -> f64 {
        self.trace.duration.max(1) as f64
    }

    /// The row under a point.
    fn hit(&self, x: f64, y: f64) -> Option<usize> {
        let down = y - TOP + self.scrolled;
        if down < 0.0 || down % LANE > BAR {
            return None;
        }
        let lane = (down / LANE) as usize;
        let touches = |row: &usize| {
            let one = self.trace.rows.get(*row)?;
            let (left, right) = (self.x(one.start), self.x(one.end()));
            (left - NEAR <= x && x <= right.max(left + 1.0) + NEAR).then_some(*row)
        };
        let before = self.flame.before(&self.trace, lane, self.time(x)).as_ref().and_then(touches);
        before.or_else(|| self.flame.before(&self.trace, lane, self.time(x + NEAR)).as_ref().and_then(touches))
    }
}

/// The tab.
pub(super) fn tab(view: View) -> AnyView {
    let flame = Memo::new(move |_| Arc::new(view.trace().map_or_else(Flame::default, |trace| Flame::new(&trace))));
    let hover = RwSignal::new(None::<usize>);
    let scrolled = RwSignal::new(0.0);
    let node: NodeRef<html::Div> = NodeRef::new();
    view.scroller.set_value(Some(node));
    let scene = move |width: f64| {
        let trace = view.trace()?;
        Some(Scene { trace, flame: flame.get(), window: view.window.get(), scrolled: scrolled.get(), width })
    };
    let (canvas, drawn) = canvas::drawing("Flame graph: spans over time, each below its parent", move |pen| {
        if let Some(scene) = scene(pen.width) {
            draw(pen, view, &scene, hover.get());
        }
    });
    effect(move || {
        let (Some(at), Some(element)) = (view.at.get(), node.get()) else { return };
        let Some(lane) = flame.with(|flame| flame.lane_of.get(at).copied()) else { return };
        let (top, height) = (f64::from(element.scroll_top()), f64::from(element.client_height()));
        let y = TOP + lane as f64 * LANE;
        if y < top || y + LANE > top + height {
            element.set_scroll_top((y - height / 3.0).max(0.0) as i32);
        }
    });
    let hit = move |event: &web_sys::MouseEvent| {
        let canvas = drawn.get_untracked()?;
        let (x, y) = canvas::place(event, &canvas);
        untrack(|| scene(canvas.get_bounding_client_rect().width()))?.hit(x, y)
    };
    let height = move || format!("height:{}px", flame.with(|f| f.lanes.len()) as f64 * LANE + TOP + 8.0);
    let scroll = move |_| {
        if let Some(element) = node.get_untracked() {
            scrolled.set(f64::from(element.scroll_top()));
        }
    };
    let (pressed, moved, released) = drag(view, drawn, hover, hit);
    let zoom = move |event: web_sys::MouseEvent| {
        let Some((trace, row)) = view.trace_now().zip(hit(&event)) else { return };
        let (one, length) = (&trace.rows[row], trace.duration.max(1) as f64);
        let (start, end) = (one.start as f64 / length, one.end() as f64 / length);
        view.look_at(Window::between(start, end));
    };
    let told = move || {
        let (trace, row) = (view.trace()?, hover.get().or_else(|| view.at.get())?);
        let start = trace.rows.get(row)?.start;
        Some(format!("{} · at {}", label_of(&trace, row), format::duration(start)))
    };
    view! {
        <div class="waterfall flame" data-testid="flame" on:wheel=move |event| view.time.wheel(&event)>
            <div class="waterfall-head">{view.time.head()}</div>
            <div class="flame-room">
                {canvas}
                <div class="flame-scroll" class:pointing=move || hover.get().is_some() node_ref=node on:scroll=scroll on:pointerdown=pressed on:pointermove=moved
                    on:pointerup=released on:pointerleave=move |_| hover.set(None) on:dblclick=zoom>
                    <div style=height></div>
                </div>
            </div>
            <p class="flame-foot num small" role="status" data-testid="flame-told">
                {move || told().unwrap_or_else(|| "click: details · double click: zoom to the span · drag: pan · ctrl and wheel: zoom".to_owned())}
            </p>
        </div>
    }
    .into_any()
}

/// What the pointer does: a click selects, a drag pans.
fn drag(
    view: View,
    drawn: NodeRef<html::Canvas>,
    hover: RwSignal<Option<usize>>,
    hit: impl Fn(&web_sys::MouseEvent) -> Option<usize> + Copy + 'static,
) -> (
    impl Fn(web_sys::PointerEvent) + Copy + 'static,
    impl Fn(web_sys::PointerEvent) + Copy + 'static,
    impl Fn(web_sys::PointerEvent) + Copy + 'static,
) {
    let from = RwSignal::new(None::<(f64, Window)>);
    let place = move |event: &web_sys::PointerEvent| {
        let canvas = drawn.get_untracked()?;
        Some((canvas::place(event, &canvas).0, canvas.get_bounding_client_rect().width().max(1.0)))
    };
    let pressed = move |event: web_sys::PointerEvent| {
        if event.button() == 0 {
            from.set(place(&event).map(|(x, _)| (x, view.window.get_untracked())));
        }
    };
    let moved = move |event: web_sys::PointerEvent| match (from.get_untracked(), place(&event)) {
        (Some((before, window)), Some((x, width))) if event.buttons() != 0 => {
            if (x - before).abs() > STILL {
                view.window.set(window.pan((before - x) / width));
            }
        }
        _ => {
            let row = hit(&event);
            if row != hover.get_untracked() {
                hover.set(row);
            }
        }
    };
    let released = move |event: web_sys::PointerEvent| {
        let (Some((before, _)), Some((x, _))) = (from.get_untracked(), place(&event)) else { return };
        from.set(None);
        if (x - before).abs() > STILL {
            view.look_at(view.window.get_untracked());
        } else if let Some(row) = hit(&event) {
            view.at.set(Some(row));
            view.select(Some(row));
        }
    };
    (pressed, moved, released)
}

fn draw(pen: &Pen, view: View, scene: &Scene, hover: Option<usize>) {
    let trace = &scene.trace;
    let palette = Palette {
        services: pen.services(trace.services.iter().map(|service| service.name.as_str())),
        text: pen.colour("--text"),
        error: pen.colour("--error"),
        accent: pen.colour("--accent"),
    };
    let searched = !view.wanted.with(|wanted| wanted.trim().is_empty());
    let (matches, path, critical) = (view.matches.get(), view.path.get(), view.critical.get());
    let (selected, at) = (view.selected.get(), view.at.get());
    let first = (scene.scrolled / LANE) as usize;
    let last = ((scene.scrolled + pen.height) / LANE) as usize + 1;
    let from = scene.time(0.0);
    let mut nothing = true;
    for lane in first..last.min(scene.flame.lanes.len()) {
        let rows = &scene.flame.lanes[lane];
        let y = TOP + lane as f64 * LANE - scene.scrolled;
        let mut next = rows.partition_point(|row| trace.rows[*row].end() < from);
        while let Some(row) = rows.get(next).copied().filter(|row| scene.x(trace.rows[*row].start) <= pen.width) {
            let one = &trace.rows[row];
            let (left, right) = (scene.x(one.start).max(-2.0), scene.x(one.end()).min(pen.width + 2.0));
            let missed = searched && matches.binary_search(&row).is_err();
            nothing = false;
            let bar = Bar { row, x: left, y, width: (right - left).max(1.0), missed };
            palette.bar(pen, scene, &bar);
            if critical {
                let sections = critical::of_row(&path, row).iter();
                pen.fill(&palette.text);
                sections.for_each(|s| line(pen, scene, (s.start, s.end), y + BAR + 1.0, 2.0));
            }
            let marked =
                [(selected, 2.0), (at, 1.0), (hover, 1.0)].into_iter().find(|(marked, _)| *marked == Some(row));
            if let Some((_, wide)) = marked {
                pen.outline(&palette.accent, wide, (bar.x, y, bar.width.max(3.0), BAR));
            }
            next += 1;
            if bar.width <= 1.0 {
                // The rest of this pixel is drawn already; what failed in it is drawn over it.
                let behind = scene.time(bar.x + 1.0);
                let skipped = next + rows[next..].partition_point(|row| trace.rows[*row].end() < behind);
                if rows[next..skipped].iter().any(|row| trace.rows[*row].is_error()) {
                    pen.fill(&palette.error);
                    pen.rect(bar.x, y, 1.0, BAR);
                }
                next = skipped;
            }
        }
    }
    if nothing {
        pen.fill(&pen.colour("--quiet"));
        pen.text(
            "Nothing ran in these lanes at this time: scroll, or go to a span with f",
            pen.width / 2.0,
            pen.height / 2.0,
            Align::Middle,
        );
    }
}

struct Palette {
    services: Vec<String>,
    text: String,
    error: String,
    accent: String,
}

/// A bar in pixels.
struct Bar {
    row: usize,
    x: f64,
    y: f64,
    width: f64,
    missed: bool,
}

impl Palette {
    fn bar(&self, pen: &Pen, scene: &Scene, bar: &Bar) {
        let one = &scene.trace.rows[bar.row];
        let colour = self.services.get(one.service).map_or("", String::as_str);
        let faint = if bar.missed { 0.3 } else { 1.0 };
        pen.fill(colour);
        pen.opacity(0.34 * faint);
        // A gap of one pixel parts neighbours where there is room for it.
        let width = if bar.width > 4.0 { bar.width - 1.0 } else { bar.width };
        pen.rect(bar.x, bar.y, width, BAR);
        pen.opacity(faint);
        pen.rect(bar.x, bar.y, width.min(2.0), BAR);
        if width > 4.0 {
            let mut done = f64::NEG_INFINITY;
            for gap in scene.trace.gaps(bar.row) {
                // Many short gaps are one line.
                let right = scene.x(gap.1);
                if right >= done + 0.5 {
                    line(pen, scene, gap, bar.y + BAR - SELF, SELF);
                    done = right;
                }
            }
        }
        if one.is_error() {
            pen.fill(&self.error);
            pen.rect(bar.x, bar.y, width.min(3.0), BAR);
            if width > 6.0 {
                pen.outline(&self.error, 1.0, (bar.x, bar.y, width, BAR));
            }
        }
        if bar.width >= TEXT.0 {
            let (x, room) = (bar.x.max(0.0) + TEXT.2 / 2.0 + 2.0, bar.width + bar.x.min(0.0) - TEXT.2 - 2.0);
            let service = &scene.trace.services[one.service].name;
            let words = format!("{}  {}  {service}", one.span.name, format::duration(one.duration));
            pen.fill(&self.text);
            pen.text(&cut(&words, (room / TEXT.1) as usize), x, bar.y + (BAR - SELF) / 2.0 + 1.0, Align::Left);
        }
        pen.opacity(1.0);
    }
}

/// What is told of a span.
fn label_of(trace: &Trace, at: usize) -> String {
    let one = &trace.rows[at];
    let failed = if one.is_error() { ", error" } else { "" };
    let flaw = one.flaw.map_or_else(String::new, |flaw| format!(", {}", flaws::words(flaw)));
    let (service, name) = (&trace.services[one.service].name, &one.span.name);
    let (whole, own) = (format::duration(one.duration), format::duration(one.self_time));
    format!("{service} {name}, {whole}, self {own}{failed}{flaw}")
}

/// As many letters as fit.
pub(super) fn cut(words: &str, letters: usize) -> String {
    match words.char_indices().nth(letters) {
        None => words.to_owned(),
        Some(_) => words.chars().take(letters.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// A line along a stretch of time, if it is seen.
fn line(pen: &Pen, scene: &Scene, (start, end): (i64, i64), y: f64, height: f64) {
    let (left, right) = (scene.x(start).max(-2.0), scene.x(end).min(pen.width + 2.0));
    if left < pen.width && right > 0.0 {
        pen.rect(left, y, (right - left).max(1.0), height);
    }
}
