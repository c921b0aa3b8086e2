//! When was how much said, and how loudly? Records per step, stacked by level; a drag chooses the range.

use crate::client::load::Load;
use crate::component::app::App;
use crate::component::canvas::{self, Align, Pen};
use crate::component::chart::{self, Table};
use crate::component::message;
use crate::component::plot::{LEFT, RIGHT};
use crate::state::log::{LEVELS, Level};
use crate::state::{calendar, format, scale};
use leptos::prelude::*;
use leptos::web_sys;
use query_api::log::HistogramResponse;

const BOTTOM: f64 = 20.0;

fn steps(data: &HistogramResponse) -> usize {
    data.levels.iter().map(|level| level.counts.len()).max().unwrap_or(0)
}

fn total(data: &HistogramResponse, index: usize) -> u64 {
    data.levels.iter().filter_map(|level| level.counts.get(index)).sum()
}

/// The chart.
pub(super) fn chart(load: Load<HistogramResponse>) -> AnyView {
    let app = App::get();
    let hover = RwSignal::new(None::<f64>);
    let drag = RwSignal::new(None::<(f64, f64)>);
    let (canvas, node) = canvas::drawing("Log records over time by level", move |pen| {
        load.data.with(|data| {
            if let Some(data) = data {
                draw(pen, app, data, hover.get(), drag.get());
            }
        });
    });
    let share = move |event: &web_sys::PointerEvent| {
        let canvas = node.get_untracked()?;
        let width = canvas.get_bounding_client_rect().width();
        Some(((canvas::place(event, &canvas).0 - LEFT) / (width - LEFT - RIGHT)).clamp(0.0, 1.0))
    };
    let pressed = move |event: web_sys::PointerEvent| {
        if let (Some(at), Some(canvas)) = (share(&event), node.get_untracked()) {
            canvas.set_pointer_capture(event.pointer_id()).ok();
            drag.set(Some((at, at)));
        }
    };
    let moved = move |event: web_sys::PointerEvent| {
        let at = share(&event);
        hover.set(at);
        drag.update(|drag| *drag = drag.zip(at).map(|((from, _), at)| (from, at)));
    };
    let released = move |_: web_sys::PointerEvent| {
        let Some((from, to)) = drag.get_untracked() else { return };
        drag.set(None);
        let range =
            load.data.with_untracked(|d| d.as_ref().map(|d| (d.start_unix_nano, d.step_nano * steps(d) as i64)));
        if let Some((start, length)) = range.filter(|_| (from - to).abs() > 0.005) {
            let time = |share: f64| start.saturating_add((share * length as f64) as i64);
            app.zoom_to(time(from.min(to)), time(from.max(to)));
        }
    };
    let body = view! {
        <div class="log-histogram" on:pointerdown=pressed on:pointermove=moved on:pointerup=released
            on:pointerleave=move |_| hover.set(None) data-testid="log-histogram">{canvas}</div>
    };
    let aside =
        move || hover.get().and_then(|at| load.data.with(|d| d.as_ref().map(|d| said(app, d, at)))).unwrap_or_default();
    let table = move || load.data.with(|d| d.as_ref().map_or_else(Table::default, |d| as_table(app, d)));
    view! {
        {move || load.failure.get().map(|f| message::failed(&f, move || load.retry()))}
        {chart::framed("Records over time", aside, body.into_any(), table)}
    }
    .into_any()
}

fn said(app: App, data: &HistogramResponse, at: f64) -> String {
    let count = steps(data);
    let index = ((at * count as f64) as usize).min(count.saturating_sub(1));
    let time = data.start_unix_nano.saturating_add(data.step_nano.saturating_mul(index as i64));
    let parts = data.levels.iter().filter_map(|level| {
        let n = level.counts.get(index).copied().filter(|n| *n > 0)?;
        Some(format!("{} {}", format::count(n), level.level))
    });
    let parts: Vec<String> = parts.collect();
    let what = if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") };
    format!("{} · {what}", calendar::short_date_time(time, app.offset()))
}

fn draw(pen: &Pen, app: App, data: &HistogramResponse, hover: Option<f64>, drag: Option<(f64, f64)>) {
    let count = steps(data);
    if count == 0 {
        return;
    }
    let (width, height) = (pen.width - LEFT - RIGHT, pen.height - BOTTOM - 4.0);
    let most = (0..count).map(|index| total(data, index)).max().unwrap_or(0).max(1);
    let (line, quiet) = (pen.colour("--line-soft"), pen.colour("--quiet"));
    let shares: &[f64] = if most > 1 { &[0.5, 1.0] } else { &[1.0] };
    for share in shares {
        let y = 4.0 + height * (1.0 - share);
        pen.fill(&line);
        pen.rect(LEFT, y.round(), width, 1.0);
        pen.fill(&quiet);
        pen.text(&format::compact((most as f64 * share).round()), LEFT - 8.0, y.max(8.0), Align::Right);
    }
    let step = width / count as f64;
    let gap = if step > 4.0 { 1.0 } else { 0.0 };
    let mut tops = vec![0u64; count];
    for level in LEVELS {
        let Some(found) = data.levels.iter().find(|l| Level::named(&l.level) == Some(level)) else { continue };
        pen.fill(&pen.colour(level.variable()));
        for (index, n) in found.counts.iter().enumerate().filter(|(_, n)| **n > 0) {
            let (low, high) = (tops[index] as f64 / most as f64, (tops[index] + n) as f64 / most as f64);
            tops[index] += n;
            // An error is never invisible, however few there are beside the rest.
            let tall = ((high - low) * height).max(if level >= Level::Error { 1.5 } else { 0.5 });
            pen.rect(LEFT + index as f64 * step, 4.0 + height * (1.0 - high), (step - gap).max(1.0), tall);
        }
    }
    let end = data.start_unix_nano.saturating_add(data.step_nano.saturating_mul(count as i64));
    let (tick_step, ticks) = scale::time_ticks(data.start_unix_nano, end, (width / 110.0) as usize, app.offset());
    pen.fill(&quiet);
    for tick in ticks {
        let x = LEFT + (tick - data.start_unix_nano) as f64 / (end - data.start_unix_nano).max(1) as f64 * width;
        if x < pen.width - 20.0 {
            pen.text(&calendar::tick_label(tick, tick_step, app.offset()), x, pen.height - BOTTOM / 2.0, Align::Middle);
        }
    }
    overlay(pen, hover, drag, width, height);
}

fn overlay(pen: &Pen, hover: Option<f64>, drag: Option<(f64, f64)>, width: f64, height: f64) {
    if let Some(at) = hover {
        pen.fill(&pen.colour("--quiet"));
        pen.opacity(0.5);
        pen.rect((LEFT + at * width).round(), 4.0, 1.0, height);
    }
    if let Some((from, to)) = drag {
        pen.fill(&pen.colour("--accent"));
        pen.opacity(0.2);
        pen.rect(LEFT + from.min(to) * width, 4.0, (from - to).abs() * width, height);
    }
    pen.opacity(1.0);
}

fn as_table(app: App, data: &HistogramResponse) -> Table {
    let mut heads = vec!["Time".to_owned()];
    heads.extend(data.levels.iter().map(|level| level.level.clone()));
    let row = |index: usize| {
        let time = data.start_unix_nano.saturating_add(data.step_nano.saturating_mul(index as i64));
        let mut cells = vec![calendar::date_time(time, app.offset())];
        cells.extend(data.levels.iter().map(|level| level.counts.get(index).copied().unwrap_or(0).to_string()));
        cells
    };
    Table { heads, rows: (0..steps(data)).map(row).collect() }
}
