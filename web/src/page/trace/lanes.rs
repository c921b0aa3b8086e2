//! What have the flame graphs of small and of large traces in common? The room that is scrolled, what the pointer does, how a bar looks.
//!
//! FG1  A click chooses what is under the pointer, a double click zooms to it, a drag pans.
//!
//! Not here: which bars there are (`flame`, `large::flame`), in which lane a span stands (`query_api::tree`).

use super::time::Time;
use crate::component::canvas::{self, Align, Pen};
use crate::state::trace::window::Window;
use leptos::html;
use leptos::prelude::*;
use leptos::web_sys;

/// What those hear who do not see it.
pub(super) const LABEL: &str = "Flame graph: spans over time, each below its parent";
/// Height of a lane, and of the bar in it.
const LANE: f64 = 22.0;
const BAR: f64 = 17.0;
/// Pixels of a bar that tell by their strength what is self time.
const SELF: f64 = 3.0;
/// Room above the first lane.
const TOP: f64 = 6.0;
/// Pixels that a bar needs for a text, about those of a letter, and beside it.
const TEXT: (f64, f64, f64) = (28.0, 6.0, 10.0);
/// How far from a thin bar the pointer may be.
pub(super) const NEAR: f64 = 3.0;
/// Pixels that the pointer may move in a click.
const STILL: f64 = 4.0;

/// Turns times and lanes into pixels.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    window: Window,
    /// Nanoseconds of the trace.
    length: f64,
    /// Pixels scrolled.
    scrolled: f64,
    /// Pixels across.
    pub(super) width: f64,
}

impl Scale {
    /// Where a time is.
    pub(super) fn x(&self, nanos: i64) -> f64 {
        self.window.position(nanos as f64 / self.length) * self.width
    }

    /// The time at a place.
    pub(super) fn time(&self, x: f64) -> i64 {
        (self.window.point(x / self.width.max(1.0)) * self.length) as i64
    }

    fn y(&self, lane: usize) -> f64 {
        TOP + lane as f64 * LANE - self.scrolled
    }

    /// The lanes that are seen in a height.
    pub(super) fn lanes(&self, height: f64) -> std::ops::Range<usize> {
        (self.scrolled / LANE) as usize..((self.scrolled + height) / LANE) as usize + 1
    }

    /// The lane whose bars are at a height.
    fn lane(&self, y: f64) -> Option<usize> {
        let down = y - TOP + self.scrolled;
        (down >= 0.0 && down % LANE <= BAR).then_some((down / LANE) as usize)
    }

    /// Whether a place is at what runs for a time.
    pub(super) fn touches(&self, x: f64, (start, end): (i64, i64)) -> bool {
        let (left, right) = (self.x(start), self.x(end));
        left - NEAR <= x && x <= right.max(left + 1.0) + NEAR
    }

    /// A line along a stretch of time, if it is seen.
    fn line(&self, pen: &Pen, [start, end]: [i64; 2], y: f64, height: f64) {
        let (left, right) = (self.x(start).max(-2.0), self.x(end).min(self.width + 2.0));
        if left < self.width && right > 0.0 {
            pen.rect(left, y, (right - left).max(1.0), height);
        }
    }
}

/// What is under the pointer, and when it runs.
pub(super) type Hit<T> = Option<(T, (i64, i64))>;

/// Where lanes are scrolled.
#[derive(Clone, Copy)]
pub(super) struct Room {
    time: Time,
    /// Pixels scrolled.
    scrolled: RwSignal<f64>,
    node: NodeRef<html::Div>,
}

impl Room {
    /// One whose rows the keys scroll.
    pub(super) fn new(time: Time, scroller: StoredValue<Option<NodeRef<html::Div>>>) -> Room {
        let room = Room { time, scrolled: RwSignal::new(0.0), node: NodeRef::new() };
        scroller.set_value(Some(room.node));
        room
    }

    /// The uppermost lane that is seen.
    pub(super) fn first(self) -> usize {
        (self.scrolled.get() / LANE) as usize
    }

    /// What is seen of it, so many pixels across.
    pub(super) fn scale(self, width: f64) -> Scale {
        let length = self.time.duration.get().max(1) as f64;
        Scale { window: self.time.window.get(), length, scrolled: self.scrolled.get(), width }
    }

    /// Scrolls to a lane that is not seen, once the room is there.
    pub(super) fn show(self, lane: usize) {
        let Some(element) = self.node.get() else { return };
        let (top, height) = (f64::from(element.scroll_top()), f64::from(element.client_height()));
        let y = TOP + lane as f64 * LANE;
        if y < top || y + LANE > top + height {
            element.set_scroll_top((y - height / 3.0).max(0.0) as i32);
        }
    }

    /// Shows what lasts from one time to another, and nothing else.
    pub(super) fn enlarge(self, (start, end): (i64, i64)) {
        let length = self.time.duration.get_untracked().max(1) as f64;
        self.time.look_at(Window::between(start as f64 / length, end as f64 / length));
    }

    /// All of it: a drawing of so many lanes, what is in a lane at a place, what a click on it does, and what is told below.
    pub(super) fn view<T: Clone + PartialEq + Send + Sync + 'static>(
        self,
        (canvas, drawn): (AnyView, NodeRef<html::Canvas>),
        lanes: impl Fn() -> usize + Send + Sync + 'static,
        hover: RwSignal<Option<T>>,
        hit: impl Fn(Scale, usize, f64) -> Hit<T> + Copy + 'static,
        choose: impl Fn(T) + 'static,
        told: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) -> AnyView {
        let Room { time, scrolled, node } = self;
        let from = RwSignal::new(None::<(f64, Window)>);
        let place = move |event: &web_sys::MouseEvent| {
            let canvas = drawn.get_untracked()?;
            let (x, y) = canvas::place(event, &canvas);
            Some((x, y, canvas.get_bounding_client_rect().width().max(1.0)))
        };
        let hit = move |event: &web_sys::MouseEvent| {
            let (x, y, width) = place(event)?;
            let scale = untrack(|| self.scale(width));
            hit(scale, scale.lane(y)?, x)
        };
        let pressed = move |event: web_sys::PointerEvent| {
            if event.button() == 0 {
                from.set(place(&event).map(|(x, ..)| (x, time.window.get_untracked())));
            }
        };
        let moved = move |event: web_sys::PointerEvent| match (from.get_untracked(), place(&event)) {
            (Some((before, window)), Some((x, _, width))) if event.buttons() != 0 => {
                if (x - before).abs() > STILL {
                    time.window.set(window.pan((before - x) / width));
                }
            }
            _ => {
                let bar = hit(&event).map(|(bar, _)| bar);
                if hover.with_untracked(|hover| bar != *hover) {
                    hover.set(bar);
                }
            }
        };
        let released = move |event: web_sys::PointerEvent| {
            let (Some((before, _)), Some((x, ..))) = (from.get_untracked(), place(&event)) else { return };
            from.set(None);
            if (x - before).abs() > STILL {
                time.look_at(time.window.get_untracked());
            } else if let Some((bar, _)) = hit(&event) {
                choose(bar);
            }
        };
        let zoom = move |event: web_sys::MouseEvent| {
            if let Some((_, runs)) = hit(&event) {
                self.enlarge(runs);
            }
        };
        let scroll = move |_| {
            if let Some(element) = node.get_untracked() {
                scrolled.set(f64::from(element.scroll_top()));
            }
        };
        let height = move || format!("height:{}px", lanes() as f64 * LANE + TOP + 8.0);
        let usage = "click: details · double click: zoom to the span · drag: pan · ctrl and wheel: zoom";
        view! {
            <div class="waterfall flame" data-testid="flame" on:wheel=move |event| time.wheel(&event)>
                <div class="waterfall-head">{time.head()}</div>
                <div class="flame-room">
                    {canvas}
                    <div class="flame-scroll" class:pointing=move || hover.with(Option::is_some) node_ref=node on:scroll=scroll
                        on:pointerdown=pressed on:pointermove=moved on:pointerup=released on:pointerleave=move |_| hover.set(None)
                        on:dblclick=zoom>
                        <div style=height></div>
                    </div>
                </div>
                <p class="flame-foot num small" role="status" data-testid="flame-told">{move || told().unwrap_or_else(|| usage.to_owned())}</p>
            </div>
        }
        .into_any()
    }
}

/// The theme, and the colours of a trace's services.
pub(super) struct Palette {
    services: Vec<String>,
    text: String,
    error: String,
    accent: String,
}

/// A bar of one span, or of several that are too short to be told apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bar {
    pub(super) lane: usize,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) service: usize,
    /// How many spans it stands for.
    pub(super) count: usize,
    pub(super) failed: bool,
    /// Whether it lacks what is looked for.
    pub(super) missed: bool,
    /// Width of the line around it, if it is selected or pointed at.
    pub(super) marked: Option<f64>,
}

impl Palette {
    /// Of services in their order.
    pub(super) fn new<'a>(pen: &Pen, services: impl Iterator<Item = &'a str>) -> Palette {
        let [text, error, accent] = ["--text", "--error", "--accent"].map(|name| pen.colour(name));
        Palette { services: pen.services(services), text, error, accent }
    }

    /// Draws a bar with its words, its stretches of self time and those of the critical path; tells from where to where.
    pub(super) fn bar(
        &self,
        (pen, scale): (&Pen, &Scale),
        bar: Bar,
        words: impl FnOnce() -> String,
        gaps: impl Iterator<Item = [i64; 2]>,
        critical: impl Iterator<Item = [i64; 2]>,
    ) -> (f64, f64) {
        let (left, right) = (scale.x(bar.start).max(-2.0), scale.x(bar.end).min(scale.width + 2.0));
        let (y, wide) = (scale.y(bar.lane), (right - left).max(1.0));
        // A gap of one pixel parts neighbours where there is room for it.
        let width = if wide > 4.0 { wide - 1.0 } else { wide };
        let faint = if bar.missed { 0.3 } else { 1.0 };
        pen.fill(self.services.get(bar.service).map_or("", String::as_str));
        pen.opacity(if bar.count > 1 { 0.55 } else { 0.34 } * faint);
        pen.rect(left, y, width, BAR);
        pen.opacity(faint);
        pen.rect(left, y, width.min(2.0), BAR);
        if width > 4.0 {
            let mut done = f64::NEG_INFINITY;
            for gap in gaps {
                // Many short gaps are one line.
                let right = scale.x(gap[1]);
                if right >= done + 0.5 {
                    scale.line(pen, gap, y + BAR - SELF, SELF);
                    done = right;
                }
            }
        }
        if bar.failed {
            pen.fill(&self.error);
            pen.rect(left, y, width.min(3.0), BAR);
            if width > 6.0 && bar.count == 1 {
                pen.outline(&self.error, 1.0, (left, y, width, BAR));
            }
        }
        pen.fill(&self.text);
        if wide >= TEXT.0 {
            let room = wide + left.min(0.0) - TEXT.2;
            let words = cut(&words(), (room / TEXT.1) as usize);
            pen.text(&words, left.max(0.0) + TEXT.2 / 2.0 + 1.0, y + (BAR - SELF) / 2.0 + 1.0, Align::Left);
        }
        critical.for_each(|stretch| scale.line(pen, stretch, y + BAR + 1.0, 2.0));
        pen.opacity(1.0);
        if let Some(line) = bar.marked {
            pen.outline(&self.accent, line, (left, y, wide.max(3.0), BAR));
        }
        (left, right)
    }

    /// Says of a pixel of a lane that something failed in it.
    pub(super) fn failed(&self, pen: &Pen, scale: &Scale, lane: usize, x: f64) {
        pen.fill(&self.error);
        pen.rect(x, scale.y(lane), 1.0, BAR);
    }
}

/// As many letters as fit.
fn cut(words: &str, letters: usize) -> String {
    match words.char_indices().nth(letters) {
        None => words.to_owned(),
        Some(_) => words.chars().take(letters.saturating_sub(1)).chain(['…']).collect(),
    }
}
