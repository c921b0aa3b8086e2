//! What ran at the same time in a large trace, and below what? Lanes as the server lays them; what is too short to be told apart is
//! one bar, which a click shows larger.
//!
//! FG3  Lanes around those on the screen are asked for, and of time a little more than is seen: panning shows what is here at once.

use super::super::lanes::{Bar, LABEL, Palette, Room, Scale};
use super::view::Large;
use crate::client::load::{Old, load};
use crate::component::canvas::{self, Pen};
use crate::component::effect::effect;
use crate::component::message;
use crate::state::address::Params;
use crate::state::format;
use crate::state::trace::window::Window;
use leptos::prelude::*;
use query_api::outline::{LaneBar, LanesResponse};

/// Lanes that are asked for at once, and the step by which they move.
const LANES: (usize, usize) = (120, 40);

/// The tab.
pub(super) fn tab(view: Large) -> AnyView {
    let size = RwSignal::new(1_000.0);
    let hover = RwSignal::new(None::<LaneBar>);
    let room = Room::new(view.time, view.scroller);
    let part = Memo::new(move |_| part_of(view.time.window.get(), view.time.duration.get(), size.get()));
    let first = Memo::new(move |_| (room.first() / LANES.1 * LANES.1).saturating_sub(LANES.1));
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
    let drawing = canvas::drawing(LABEL, move |pen| {
        size.set(pen.width);
        if let Some(answer) = found.data.get() {
            draw(pen, view, (&answer, row.get()), &room.scale(pen.width), hover.get().as_ref());
        }
    });
    let mut before = None;
    effect(move || {
        let Some(lane) = found.data.with(|answer| answer.as_deref().and_then(|answer| answer.lane)) else { return };
        let now = Some((lane, row.get_untracked()));
        if before != now {
            before = now;
            room.show(lane);
        }
    });
    let hit = move |scale: Scale, lane: usize, x: f64| {
        let answer = found.data.get_untracked()?;
        let touched = answer.bars.iter().filter(|bar| bar.lane == lane && scale.touches(x, runs(bar)));
        touched.min_by_key(|bar| bar.end_nano - bar.start_nano).map(|bar| (bar.clone(), runs(bar)))
    };
    let choose = move |bar: LaneBar| match bar.span_count {
        1 => view.select(Some(&bar.span_id)),
        _ => room.enlarge(runs(&bar)),
    };
    let bar_at = move || {
        let row = row.get()?;
        found.data.with(|answer| answer.as_deref()?.bars.iter().find(|bar| bar.row == row).cloned())
    };
    let told = move || hover.get().or_else(bar_at).map(|bar| told(view, &bar));
    let lanes = move || found.data.with(|answer| answer.as_deref().map_or(0, |answer| answer.lane_count));
    let failed = move || found.failure.get().map(|failure| message::failed(&failure, move || found.retry()));
    view! { {message::progress([found.running])}{failed}{room.view(drawing, lanes, hover, hit, choose, told)} }
        .into_any()
}

fn runs(bar: &LaneBar) -> (i64, i64) {
    (bar.start_nano, bar.end_nano)
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

fn draw(pen: &Pen, view: Large, (answer, at): (&LanesResponse, Option<usize>), scale: &Scale, hover: Option<&LaneBar>) {
    let outline = view.outline.get();
    let palette = Palette::new(pen, outline.services.iter().map(|service| service.name.as_str()));
    let (selected, critical) = (view.span.get(), view.critical.get());
    let seen = scale.lanes(pen.height);
    for bar in answer.bars.iter().filter(|bar| seen.contains(&bar.lane)) {
        if scale.x(bar.end_nano) < 0.0 || scale.x(bar.start_nano) > scale.width {
            continue;
        }
        let is_one = bar.span_count == 1;
        let marks = [
            (is_one && selected.as_deref() == Some(&*bar.span_id), 2.0),
            (is_one && at == Some(bar.row), 1.0),
            (hover.is_some_and(|hover| (hover.lane, hover.row) == (bar.lane, bar.row)), 1.0),
        ];
        let drawn = Bar {
            lane: bar.lane,
            start: bar.start_nano,
            end: bar.end_nano,
            service: bar.service,
            count: bar.span_count,
            failed: bar.failed,
            missed: is_one && view.holds(bar.row) == Some(false),
            marked: marks.iter().find(|(is_marked, _)| *is_marked).map(|(_, line)| *line),
        };
        let words = || match &bar.name {
            Some(name) => {
                let service = outline.services.get(bar.service).map_or("", |service| service.name.as_str());
                format!("{name}  {}  {service}", format::duration(bar.end_nano - bar.start_nano))
            }
            None => format::counted(bar.span_count as u64, "span"),
        };
        let path: &[[i64; 2]] = if critical { &bar.critical } else { &[] };
        palette.bar((pen, scale), drawn, words, bar.gaps.iter().copied(), path.iter().copied());
    }
}
