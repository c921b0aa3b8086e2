//! What ran at the same time, and below what? All spans as bars in lanes: the timeline's window, selection and search.
//!
//! FG2  Only lanes on the screen are drawn, and of each at most a bar for every pixel; a failed one is never passed over.
//!
//! Not here: how a bar looks, what the pointer does (`lanes`).

use super::lanes::{Bar, LABEL, NEAR, Palette, Room, Scale};
use super::view::View;
use crate::component::canvas::{self, Align, Pen};
use crate::component::effect::effect;
use crate::state::format;
use crate::state::trace::flaws;
use crate::state::trace::tree::Trace;
use leptos::prelude::*;
use query_api::tree::{Lanes, Rows, Section, sections_of};
use std::sync::Arc;

/// The tab.
pub(super) fn tab(view: View) -> AnyView {
    let lanes = Memo::new(move |_| Arc::new(view.trace().map_or_else(Lanes::default, |trace| Lanes::new(&*trace))));
    let hover = RwSignal::new(None::<usize>);
    let room = Room::new(view.time, view.scroller);
    let drawing = canvas::drawing(LABEL, move |pen| {
        if let Some(trace) = view.trace() {
            draw(pen, view, (&trace, &lanes.get()), &room.scale(pen.width), hover.get());
        }
    });
    effect(move || {
        let lane = view.at.get().and_then(|at| lanes.with(|lanes| lanes.lane_of.get(at).copied()));
        if let Some(lane) = lane {
            room.show(lane);
        }
    });
    let hit = move |scale: Scale, lane: usize, x: f64| {
        let (trace, lanes) = (view.trace_now()?, lanes.get_untracked());
        let at = |x: f64| {
            let row = before(&lanes, &trace, lane, scale.time(x))?;
            let one = trace.rows.get(row)?;
            let runs = (one.start, one.end());
            scale.touches(x, runs).then_some((row, runs))
        };
        at(x).or_else(|| at(x + NEAR))
    };
    let choose = move |row| {
        view.at.set(Some(row));
        view.select(Some(row));
    };
    let told = move || {
        let (trace, row) = (view.trace()?, hover.get().or_else(|| view.at.get())?);
        let start = trace.rows.get(row)?.start;
        Some(format!("{} · at {}", label_of(&trace, row), format::duration(start)))
    };
    room.view(drawing, move || lanes.with(|lanes| lanes.rows.len()), hover, hit, choose, told)
}

/// The row of a lane that runs at a time, or ended last before it.
fn before(lanes: &Lanes, trace: &Trace, lane: usize, time: i64) -> Option<usize> {
    let rows = lanes.rows.get(lane)?;
    let behind = rows.partition_point(|row| trace.rows[*row].start <= time);
    behind.checked_sub(1).map(|at| rows[at])
}

fn draw(pen: &Pen, view: View, (trace, lanes): (&Trace, &Lanes), scale: &Scale, hover: Option<usize>) {
    let palette = Palette::new(pen, trace.services.iter().map(|service| service.name.as_str()));
    let searched = !view.wanted.with(|wanted| wanted.trim().is_empty());
    let (matches, path, critical) = (view.matches.get(), view.path.get(), view.critical.get());
    let marks = [(view.selected.get(), 2.0), (view.at.get(), 1.0), (hover, 1.0)];
    let from = scale.time(0.0);
    let mut nothing = true;
    for lane in scale.lanes(pen.height) {
        let Some(rows) = lanes.rows.get(lane) else { break };
        let mut next = rows.partition_point(|row| trace.rows[*row].end() < from);
        while let Some(row) = rows.get(next).copied().filter(|row| scale.x(trace.rows[*row].start) <= pen.width) {
            nothing = false;
            next += 1;
            let one = &trace.rows[row];
            let bar = Bar {
                lane,
                start: one.start,
                end: one.end(),
                service: one.service,
                count: 1,
                failed: one.is_error(),
                missed: searched && matches.binary_search(&row).is_err(),
                marked: marks.iter().find(|(marked, _)| *marked == Some(row)).map(|(_, line)| *line),
            };
            let sections: &[Section] = if critical { sections_of(&path, row) } else { &[] };
            let stretches = sections.iter().map(|section| [section.start, section.end]);
            let (left, right) = palette.bar((pen, scale), bar, || words_of(trace, row), trace.gaps(row), stretches);
            if right - left <= 1.0 {
                // The rest of this pixel is drawn already; what failed in it is drawn over it.
                let behind = scale.time(left + 1.0);
                let skipped = next + rows[next..].partition_point(|row| trace.rows[*row].end() < behind);
                if rows[next..skipped].iter().any(|row| trace.rows[*row].is_error()) {
                    palette.failed(pen, scale, lane, left);
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

/// What stands in a bar.
fn words_of(trace: &Trace, row: usize) -> String {
    let one = &trace.rows[row];
    format!("{}  {}  {}", one.span.name, format::duration(one.duration), trace.services[one.service].name)
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
