//! Where in the whole trace is the window? All spans in miniature; a drag chooses the window, a double click all of it.

use super::time::Time;
use crate::component::canvas::{self, Pen};
use crate::state::trace::mini::Mini;
use crate::state::trace::window::Window;
use leptos::prelude::*;
use leptos::web_sys;

/// The minimap.
pub(super) fn minimap(time: Time) -> AnyView {
    let drag = RwSignal::new(None::<(f64, f64)>);
    let (canvas, node) = canvas::drawing("All spans of the trace in miniature", move |pen| {
        spans(pen, &time.mini.run(()));
    });
    // A layer of its own: a window that moves draws no span again.
    let (over, _) = canvas::drawing("The window", move |pen| {
        shade(pen, drag.get().map_or_else(|| time.window.get(), |(a, b)| Window::between(a, b)));
    });
    let share = move |event: &web_sys::PointerEvent| {
        let canvas = node.get_untracked()?;
        let width = canvas.get_bounding_client_rect().width().max(1.0);
        Some((canvas::place(event, &canvas).0 / width).clamp(0.0, 1.0))
    };
    let pressed = move |event: web_sys::PointerEvent| {
        if let (Some(at), Some(canvas)) = (share(&event), node.get_untracked()) {
            canvas.set_pointer_capture(event.pointer_id()).ok();
            drag.set(Some((at, at)));
        }
    };
    let moved = move |event: web_sys::PointerEvent| {
        if let (Some((from, _)), Some(at)) = (drag.get_untracked(), share(&event)) {
            drag.set(Some((from, at)));
        }
    };
    let released = move |_: web_sys::PointerEvent| {
        let Some((from, to)) = drag.get_untracked() else { return };
        drag.set(None);
        if (from - to).abs() > 0.004 {
            time.look_at(Window::between(from, to));
        } else if !time.window.get_untracked().is_whole() {
            let width = time.window.get_untracked().width();
            let start = (to - width / 2.0).clamp(0.0, 1.0 - width);
            time.look_at(Window::between(start, start + width));
        }
    };
    view! {
        <div class="minimap" title="Drag to zoom, double click to show all" on:pointerdown=pressed on:pointermove=moved
            on:pointerup=released on:dblclick=move |_| time.look_at(Window::default()) data-testid="minimap">{canvas}<div class="over" aria-hidden="true">{over}</div></div>
    }
    .into_any()
}

fn spans(pen: &Pen, mini: &Mini) {
    let error = pen.colour("--error");
    let of_service = pen.services(mini.services.iter().map(String::as_str));
    let (columns, rows) = (mini.columns.max(1) as f64, mini.bands.max(1) as f64);
    let row_height = (pen.height / rows).clamp(0.4, 4.0);
    pen.opacity(0.85);
    for bar in &mini.bars {
        let colour = if bar.failed { Some(&error) } else { of_service.get(bar.service) };
        pen.fill(colour.map_or("", String::as_str));
        let (start, end) = (bar.start as f64 / columns * pen.width, bar.end as f64 / columns * pen.width);
        let place = bar.band as f64;
        let y = if rows * row_height <= pen.height { place * row_height } else { place / rows * pen.height };
        let gap = if row_height > 2.5 { 1.0 } else { 0.0 };
        pen.rect(start, y, (end - start).max(1.0), row_height.max(1.0) - gap);
    }
    pen.opacity(1.0);
}

fn shade(pen: &Pen, window: Window) {
    if !window.is_whole() {
        let (start, end) = (window.start * pen.width, window.end * pen.width);
        pen.opacity(0.75);
        pen.fill(&pen.colour("--ground"));
        pen.rect(0.0, 0.0, start, pen.height);
        pen.rect(end, 0.0, pen.width - end, pen.height);
        pen.opacity(1.0);
        pen.fill(&pen.colour("--accent"));
        pen.rect(start - 1.0, 0.0, 2.0, pen.height);
        pen.rect(end - 1.0, 0.0, 2.0, pen.height);
    }
}
