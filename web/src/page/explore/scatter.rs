//! Where are the slow ones? Traces as dots, duration over time; a click opens one, a drag narrows the search.

use super::results::href;
use crate::client::paged::Paged;
use crate::component::app::{App, Entry};
use crate::component::canvas::{self, Align, Pen};
use crate::component::chart::{self, Table};
use crate::component::plot::{LEFT, RIGHT};
use crate::state::scale::Log;
use crate::state::time::Range;
use crate::state::{calendar, format, hue, scale};
use leptos::prelude::*;
use leptos::web_sys;
use query_api::trace::{SearchResponse, TraceSummary};

/// Pixels below and above the plotting area.
const BOTTOM: f64 = 22.0;
const TOP: f64 = 8.0;
/// How near the pointer must be to a dot.
const NEAR: f64 = 12.0;

/// Where things are.
#[derive(Clone, Copy)]
struct Frame {
    range: Range,
    log: Log,
    width: f64,
    height: f64,
}

impl Frame {
    fn x(&self, time: i64) -> f64 {
        let share = time.saturating_sub(self.range.start) as f64 / self.range.length().max(1) as f64;
        LEFT + share * (self.width - LEFT - RIGHT)
    }

    fn y(&self, nanos: i64) -> f64 {
        TOP + (1.0 - self.log.position(nanos as f64)) * (self.height - TOP - BOTTOM)
    }

    fn time(&self, x: f64) -> i64 {
        let share = ((x - LEFT) / (self.width - LEFT - RIGHT)).clamp(0.0, 1.0);
        self.range.start.saturating_add((share * self.range.length() as f64) as i64)
    }

    fn nanos(&self, y: f64) -> f64 {
        self.log.value(1.0 - (y - TOP) / (self.height - TOP - BOTTOM))
    }

    fn radius(one: &TraceSummary) -> f64 {
        (2.5 + f64::from(one.span_count).max(1.0).log10() * 1.2).min(7.0)
    }
}

fn frame(found: Paged<SearchResponse>, app: App, width: f64, height: f64) -> Option<Frame> {
    let range = app.span()?;
    let log = found.rows.with(|rows| Log::over(rows.iter().map(|t| t.duration_nano.max(1) as f64)));
    Some(Frame { range, log, width, height })
}

/// The chart.
pub(super) fn scatter(found: Paged<SearchResponse>) -> AnyView {
    let app = App::get();
    let hover = RwSignal::new(None::<usize>);
    let drag = RwSignal::new(None::<((f64, f64), (f64, f64))>);
    let (canvas, node) = canvas::drawing("Traces as dots: duration over time", move |pen| {
        if let Some(frame) = frame(found, app, pen.width, pen.height) {
            draw(pen, app, found, &frame, hover.get(), drag.get());
        }
    });
    let here = move |event: &web_sys::MouseEvent| {
        let canvas = node.get_untracked()?;
        let area = canvas.get_bounding_client_rect();
        let frame = untrack(|| frame(found, app, area.width(), area.height()))?;
        Some((frame, canvas::place(event, &canvas)))
    };
    let moved = move |event: web_sys::PointerEvent| {
        let Some((frame, at)) = here(&event) else { return };
        if drag.with_untracked(Option::is_some) {
            drag.update(|d| *d = d.map(|(from, _)| (from, at)));
        } else {
            let near = found.rows.with_untracked(|rows| nearest(rows, &frame, at));
            if near != hover.get_untracked() {
                hover.set(near);
            }
        }
    };
    let pressed = move |event: web_sys::PointerEvent| {
        if let Some((_, at)) = here(&event).filter(|_| event.button() == 0) {
            drag.set(Some((at, at)));
            if let Some(canvas) = node.get_untracked() {
                canvas.set_pointer_capture(event.pointer_id()).ok();
            }
        }
    };
    let released = move |event: web_sys::PointerEvent| {
        let Some((from, to)) = drag.get_untracked() else { return };
        drag.set(None);
        let Some((frame, at)) = here(&event) else { return };
        if (from.0 - to.0).abs() > 5.0 || (from.1 - to.1).abs() > 5.0 {
            narrow(app, &frame, from, to);
            return;
        }
        let id = found.rows.with_untracked(|rows| nearest(rows, &frame, at).map(|index| rows[index].trace_id.clone()));
        if let Some(id) = id {
            app.go(&href(app, &id));
        }
    };
    let chart = view! {
        <div class="scatter" class:pointing=move || hover.get().is_some() on:pointermove=moved on:pointerdown=pressed on:pointerup=released
            on:pointerleave=move |_| hover.set(None) data-testid="scatter">
            {canvas}
            {move || hover.get().and_then(|index| tip(found, app, index, node.get()))}
        </div>
    };
    let table = move || rows_as_table(found, app);
    let aside = move || {
        let part = if found.cursor.with(Option::is_some) { "only what is listed below · " } else { "" };
        format!("{part}click opens a trace, drag narrows time and duration")
    };
    view! { <div class="block" class:none=move || found.rows.with(|r| r.is_empty())>{chart::framed("Duration over time", aside, chart.into_any(), table)}</div> }
        .into_any()
}

fn nearest(rows: &[TraceSummary], frame: &Frame, (x, y): (f64, f64)) -> Option<usize> {
    let far = |one: &TraceSummary| {
        let (dx, dy) = (frame.x(one.start_unix_nano) - x, frame.y(one.duration_nano) - y);
        (dx * dx + dy * dy).sqrt()
    };
    let (index, distance) = rows.iter().map(far).enumerate().min_by(|a, b| a.1.total_cmp(&b.1))?;
    (distance <= NEAR).then_some(index)
}

fn narrow(app: App, frame: &Frame, from: (f64, f64), to: (f64, f64)) {
    let (start, end) = (frame.time(from.0.min(to.0)), frame.time(from.0.max(to.0)));
    let (low, high) = (frame.nanos(from.1.max(to.1)), frame.nanos(from.1.min(to.1)));
    app.now.set(crate::component::app::present());
    app.change(Entry::Push, |params| {
        if (from.0 - to.0).abs() > 5.0 {
            params.set("from", Some(&calendar::rfc3339(start)));
            params.set("to", Some(&calendar::rfc3339(end)));
        }
        if (from.1 - to.1).abs() > 5.0 {
            params.set("min_duration", Some(&format!("{:.0}us", (low / 1e3).floor())));
            params.set("max_duration", Some(&format!("{:.0}us", (high / 1e3).ceil())));
        }
    });
}

fn draw(
    pen: &Pen,
    app: App,
    found: Paged<SearchResponse>,
    frame: &Frame,
    hover: Option<usize>,
    drag: Option<((f64, f64), (f64, f64))>,
) {
    axes(pen, app, frame);
    let services: Vec<String> = (0..hue::HUES).map(|i| pen.colour(&format!("--svc-{i}"))).collect();
    let error = pen.colour("--error");
    found.rows.with(|rows| {
        for failed in [false, true] {
            for one in rows.iter().filter(|t| (t.error_count > 0) == failed) {
                let (x, y, radius) = (frame.x(one.start_unix_nano), frame.y(one.duration_nano), Frame::radius(one));
                pen.opacity(if failed { 0.95 } else { 0.7 });
                if failed {
                    // Shape first: failed ones are diamonds.
                    pen.fill(&error);
                    pen.diamond(x, y, radius + 1.5);
                } else {
                    pen.fill(services.get(hue::of(&one.root_service) as usize).map_or("", String::as_str));
                    pen.circle(x, y, radius);
                }
            }
        }
        pen.opacity(1.0);
        if let Some(one) = hover.and_then(|index| rows.get(index)) {
            let (x, y) = (frame.x(one.start_unix_nano), frame.y(one.duration_nano));
            pen.ring(&pen.colour("--text"), x, y, Frame::radius(one) + 3.0);
        }
    });
    if let Some((from, to)) = drag {
        let (x, y) = (from.0.min(to.0), from.1.min(to.1));
        let (w, h) = ((from.0 - to.0).abs(), (from.1 - to.1).abs());
        let accent = pen.colour("--accent");
        pen.opacity(0.15);
        pen.fill(&accent);
        pen.rect(x, y, w, h);
        pen.opacity(1.0);
        pen.frame(&accent, x, y, w.max(1.0), h.max(1.0));
    }
}

fn axes(pen: &Pen, app: App, frame: &Frame) {
    let (line, quiet) = (pen.colour("--line-soft"), pen.colour("--quiet"));
    let mut last = f64::INFINITY;
    for tick in frame.log.ticks() {
        let y = frame.y(tick as i64);
        pen.fill(&line);
        pen.rect(LEFT, y.round(), frame.width - LEFT - RIGHT, 1.0);
        if last - y >= 16.0 {
            pen.fill(&quiet);
            pen.text(&format::duration(tick as i64), LEFT - 8.0, y, Align::Right);
            last = y;
        }
    }
    let (step, ticks) =
        scale::time_ticks(frame.range.start, frame.range.end, (frame.width / 110.0) as usize, app.offset());
    for tick in ticks {
        let x = frame.x(tick);
        pen.fill(&line);
        pen.rect(x.round(), TOP, 1.0, frame.height - TOP - BOTTOM);
        pen.fill(&quiet);
        if x < frame.width - 20.0 {
            pen.text(&calendar::tick_label(tick, step, app.offset()), x, frame.height - BOTTOM / 2.0, Align::Middle);
        }
    }
}

fn tip(
    found: Paged<SearchResponse>,
    app: App,
    index: usize,
    node: Option<web_sys::HtmlCanvasElement>,
) -> Option<AnyView> {
    let area = node?.get_bounding_client_rect();
    let frame = frame(found, app, area.width(), area.height())?;
    found.rows.with(|rows| {
        let one = rows.get(index)?;
        let (x, y) = (frame.x(one.start_unix_nano), frame.y(one.duration_nano));
        let side = if x > frame.width / 2.0 { "translate(calc(-100% - 12px),-50%)" } else { "translate(12px,-50%)" };
        let y = y.clamp(28.0, frame.height - 28.0);
        let more = format!(
            "{} · {} · {}",
            format::duration(one.duration_nano),
            format::counted(u64::from(one.span_count), "span"),
            calendar::clock(one.start_unix_nano, app.offset())
        );
        Some(
            view! {
                <div class="tip" style=format!("left:{x:.0}px;top:{y:.0}px;transform:{side}")>
                    <strong>{one.root_service.clone()}" "{one.root_name.clone()}</strong><span class="quiet num">{more}</span>
                </div>
            }
            .into_any(),
        )
    })
}

fn rows_as_table(found: Paged<SearchResponse>, app: App) -> Table {
    let heads = ["Time", "Service", "Operation", "Duration", "Spans", "Errors"].map(str::to_owned).to_vec();
    let row = |one: &TraceSummary| {
        vec![
            calendar::date_time(one.start_unix_nano, app.offset()),
            one.root_service.clone(),
            one.root_name.clone(),
            format::duration(one.duration_nano),
            one.span_count.to_string(),
            one.error_count.to_string(),
        ]
    };
    Table { heads, rows: found.rows.with(|rows| rows.iter().map(row).collect()) }
}
