//! How many of the spans that match, how many failed, how long did they take? Three strips with one crosshair.
//!
//! ST1  A drag over the heat map chooses a box, whose spans are compared with the others; over the other strips, a range of time.

use crate::client::load::{Load, Old, load};
use crate::client::paged::Paged;
use crate::component::app::{App, Entry};
use crate::component::canvas::{self, Align, Pen};
use crate::component::chart::{self, Table};
use crate::component::message;
use crate::component::plot::{LEFT, RIGHT};
use crate::state::difference::Section;
use crate::state::strips::{self, Strips};
use crate::state::tempo::Ranged;
use crate::state::time::Range;
use crate::state::{calendar, format, scale};
use leptos::prelude::*;
use leptos::web_sys;
use query_api::status::StatusResponse;
use query_api::trace::SearchResponse;
use std::sync::Arc;

/// Pixels: above, of the strip of rates, of that of errors, between strips, and of the axis of time.
const TOP: f64 = 8.0;
const RATE: f64 = 40.0;
const ERRORS: f64 = 28.0;
const GAP: f64 = 10.0;
const AXIS: f64 = 22.0;
/// Pixels that the pointer moves in a click.
const STILL: f64 = 5.0;

/// A place on the canvas.
type Point = (f64, f64);

/// Where the strips are.
#[derive(Clone, Copy)]
struct Frame {
    width: f64,
    height: f64,
}

impl Frame {
    /// Width of what is plotted.
    fn plotted(self) -> f64 {
        (self.width - LEFT - RIGHT).max(1.0)
    }

    /// Upper edge of the heat map.
    fn heat(self) -> f64 {
        TOP + RATE + GAP + ERRORS + GAP
    }

    /// Whether a drag is one over the heat map: also from the room above it, or the slowest row could not be taken whole.
    fn is_box(self, from: Point, to: Point) -> bool {
        from.1 >= self.heat() - GAP && from.1.max(to.1) >= self.heat()
    }

    /// Lower edge of all strips.
    fn foot(self) -> f64 {
        self.height - AXIS
    }

    fn x(self, strips: &Strips, time: i64) -> f64 {
        let share = time.saturating_sub(strips.start) as f64 / (strips.end() - strips.start).max(1) as f64;
        LEFT + share * self.plotted()
    }

    fn time(self, strips: &Strips, x: f64) -> i64 {
        let share = ((x - LEFT) / self.plotted()).clamp(0.0, 1.0);
        strips.start.saturating_add((share * (strips.end() - strips.start) as f64) as i64)
    }

    fn y(self, strips: &Strips, nanos: f64) -> f64 {
        self.foot() - strips.height(nanos) * (self.foot() - self.heat())
    }

    fn nanos(self, strips: &Strips, y: f64) -> f64 {
        strips.duration((self.foot() - y) / (self.foot() - self.heat()).max(1.0))
    }
}

/// What is asked for the strips.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) rates: Load<Ranged>,
    pub(super) durations: Load<Ranged>,
}

/// Asks for the strips of `spans`, a set of them in TraceQL.
pub(super) fn ask(spans: Memo<Option<String>>) -> Asked {
    let app = App::get();
    let status = load::<StatusResponse>(Old::Keep, || Some("/api/v1/status".into()));
    // Where not all traces are kept, what is shown is what there was.
    let sampled =
        move || status.data.with(|status| status.as_ref().is_some_and(|status| !status.tail_sampling.is_empty()));
    let hint = Memo::new(move |_| if sampled() { strips::EXTRAPOLATED } else { "" });
    let of = move |of: fn(&str, Range, &str) -> String| {
        load(Old::Keep, move || Some(of(&spans.get()?, app.span()?, hint.get())))
    };
    Asked { rates: of(strips::rates), durations: of(strips::durations) }
}

/// The strips.
pub(super) fn strips(Asked { rates, durations }: Asked, found: Paged<SearchResponse>) -> AnyView {
    let app = App::get();
    let strips = Memo::new(move |_| {
        let range = app.span()?;
        let durations = durations.data.get();
        Some(Arc::new(Strips::new(range, rates.data.get()?.as_ref(), durations.as_deref())))
    });
    let chosen = Memo::new(move |_| app.params.with(|params| Section::parse(params.get("box")?)));
    let (pointer, drag) = (RwSignal::new(None::<Point>), RwSignal::new(None::<(Point, Point)>));
    let (canvas, node) =
        canvas::drawing("Spans that match over time: how many a second, how many failed, how long", move |pen| {
            if let Some(strips) = strips.get() {
                draw(
                    pen,
                    app,
                    &Drawing { strips: &strips, pointer: pointer.get(), drag: drag.get(), chosen: chosen.get() },
                );
            }
        });
    let aside = move || {
        let strips = strips.get()?;
        let area = node.get()?.get_bounding_client_rect();
        let frame = Frame { width: area.width(), height: area.height() };
        Some(pointer.get().map_or_else(|| idle(&strips), |at| told(app, &strips, frame, at)))
    };
    let aside = move || aside().unwrap_or_default();
    let (pressed, moved, released) = hands(app, strips, node, pointer, drag);
    let body = view! {
        <div class="strips" data-testid="strips" on:pointermove=moved on:pointerdown=pressed on:pointerup=released
            on:pointerleave=move |_| pointer.set(None)>{canvas}</div>
    };
    let table = move || strips.get().map_or_else(Table::default, |strips| as_table(app, &strips));
    // What is wrong with the search itself is said once, by the list.
    let is_told = move || found.first.failure.with(Option::is_some);
    let failed = move |load: Load<Ranged>| {
        let failure = load.failure.get().filter(|_| !is_told())?;
        Some(message::failed(&failure, move || load.retry()))
    };
    let partial = move || {
        let said =
            rates.data.with(|data| data.as_ref().map(|data| data.message.clone())).filter(|said| !said.is_empty());
        said.map(message::partial)
    };
    view! {
        {move || failed(rates).or_else(|| failed(durations))}
        {partial}
        {chart::framed("Matching spans", aside, body.into_any(), table)}
    }
    .into_any()
}

/// What the pointer does, in all three strips.
fn hands(
    app: App,
    strips: Memo<Option<Arc<Strips>>>,
    node: NodeRef<leptos::html::Canvas>,
    pointer: RwSignal<Option<Point>>,
    drag: RwSignal<Option<(Point, Point)>>,
) -> (impl Fn(web_sys::PointerEvent), impl Fn(web_sys::PointerEvent), impl Fn(web_sys::PointerEvent)) {
    let at = move |event: &web_sys::PointerEvent| node.get_untracked().map(|canvas| canvas::place(event, &canvas));
    let pressed = move |event: web_sys::PointerEvent| {
        if let (Some(at), Some(canvas), 0) = (at(&event), node.get_untracked(), event.button()) {
            canvas.set_pointer_capture(event.pointer_id()).ok();
            drag.set(Some((at, at)));
        }
    };
    let moved = move |event: web_sys::PointerEvent| {
        let at = at(&event);
        pointer.set(at);
        if let (Some(at), Some((from, _))) = (at, drag.get_untracked()) {
            drag.set(Some((from, at)));
        }
    };
    let released = move |_: web_sys::PointerEvent| {
        let Some(((from, to), strips)) = drag.get_untracked().zip(strips.get_untracked()) else { return };
        drag.set(None);
        let Some(area) = node.get_untracked().map(|canvas| canvas.get_bounding_client_rect()) else { return };
        let frame = Frame { width: area.width(), height: area.height() };
        if (from.0 - to.0).abs() < STILL && (from.1 - to.1).abs() < STILL {
            return;
        }
        let (start, end) = (frame.time(&strips, from.0.min(to.0)), frame.time(&strips, from.0.max(to.0)));
        if !frame.is_box(from, to) {
            app.zoom_to(start, end);
            return;
        }
        let (low, high) = (frame.nanos(&strips, from.1.max(to.1)), frame.nanos(&strips, from.1.min(to.1)));
        let chosen = Section {
            times: Range { start, end: end.max(start + 1) },
            low: low as i64,
            high: (high.ceil() as i64).max(low as i64 + 1),
        };
        // The range stays what it is while the box is looked at, or the box would wander out of it.
        let Ok(range) = app.range.get_untracked() else { return };
        app.change(Entry::Push, |params| {
            params.set("box", Some(&chosen.write()));
            params.set("from", Some(&calendar::rfc3339(range.start)));
            params.set("to", Some(&calendar::rfc3339(range.end)));
        });
    };
    (pressed, moved, released)
}

fn idle(strips: &Strips) -> String {
    let seconds = strips.step as f64 / 1e9;
    let sum = |values: &[f64]| (values.iter().sum::<f64>() * seconds).round() as u64;
    let (all, failed) = (sum(&strips.rate), sum(&strips.errors));
    let instant = match strips.instant.round() as u64 {
        0 => String::new(),
        count => format!(", {} took no time (not drawn)", format::count(count)),
    };
    format!(
        "{}, {} with errors{instant} · drag a box on the durations to see what is different in it",
        format::counted(all, "span"),
        format::count(failed)
    )
}

/// What is under the pointer.
fn told(app: App, strips: &Strips, frame: Frame, (x, y): Point) -> String {
    let Some(step) = strips.index(frame.time(strips, x).max(strips.start + 1)) else { return String::new() };
    let (rate, errors) = (strips.rate[step], strips.errors[step]);
    let share = if rate > 0.0 { errors / rate } else { 0.0 };
    let mut words = format!(
        "{} · {} · {} failed",
        calendar::short_date_time(strips.time(step), app.offset()),
        format::rate(rate),
        format::percent(share)
    );
    let row = strips.edges.iter().rposition(|edge| *edge <= frame.nanos(strips, y)).filter(|_| y >= frame.heat());
    if let Some((row, cells)) = row.zip(strips.cells.get(step)).filter(|(row, cells)| *row < cells.len()) {
        let edge = |row: usize| format::duration(strips.edges[row] as i64);
        let count = format::counted(cells[row].round() as u64, "span");
        words.push_str(&format!(" · {count} of {} to {}", edge(row), edge(row + 1)));
    }
    words
}

struct Drawing<'a> {
    strips: &'a Strips,
    pointer: Option<Point>,
    drag: Option<(Point, Point)>,
    chosen: Option<Section>,
}

fn draw(pen: &Pen, app: App, drawing: &Drawing<'_>) {
    let (strips, frame) = (drawing.strips, Frame { width: pen.width, height: pen.height });
    axes(pen, app, strips, frame);
    let below = TOP + RATE + GAP;
    bars(pen, strips, frame, (&strips.rate, "--level-info", TOP, RATE));
    bars(pen, strips, frame, (&strips.errors, "--error", below, ERRORS));
    heat(pen, strips, frame);
    let accent = pen.colour("--accent");
    let boxed = |(x, y): Point, (right, foot): Point| {
        pen.fill(&accent);
        pen.opacity(0.15);
        pen.rect(x, y, right - x, foot - y);
        pen.opacity(1.0);
        pen.frame(&accent, x, y, (right - x).max(2.0), (foot - y).max(2.0));
    };
    if let Some(chosen) = drawing.chosen {
        let x = |time: i64| frame.x(strips, time).clamp(LEFT, pen.width - RIGHT);
        let y = |nanos: i64| frame.y(strips, nanos as f64);
        boxed((x(chosen.times.start), y(chosen.high)), (x(chosen.times.end), y(chosen.low)));
    }
    if let Some((from, to)) = drawing.drag {
        let (left, right) = (from.0.min(to.0).max(LEFT), from.0.max(to.0).min(pen.width - RIGHT));
        let in_heat = frame.is_box(from, to);
        let y = if in_heat { from.1.min(to.1).max(frame.heat()) } else { TOP };
        let foot = if in_heat { from.1.max(to.1).min(frame.foot()) } else { frame.foot() };
        boxed((left, y), (right.max(left), foot.max(y)));
    }
    if let Some((x, y)) = drawing.pointer.filter(|(x, _)| (LEFT..pen.width - RIGHT).contains(x)) {
        pen.fill(&pen.colour("--quiet"));
        pen.rect(x.round(), TOP, 1.0, frame.foot() - TOP);
        if (frame.heat()..frame.foot()).contains(&y) {
            pen.rect(LEFT, y.round(), frame.plotted(), 1.0);
        }
    }
}

fn axes(pen: &Pen, app: App, strips: &Strips, frame: Frame) {
    let (line, quiet) = (pen.colour("--line-soft"), pen.colour("--quiet"));
    let wanted = (frame.plotted() / 110.0) as usize;
    let (step, ticks) = scale::time_ticks(strips.start, strips.end(), wanted.max(1), app.offset());
    for tick in ticks {
        let x = frame.x(strips, tick);
        pen.fill(&line);
        pen.rect(x.round(), TOP, 1.0, frame.foot() - TOP);
        if x < pen.width - 24.0 {
            pen.fill(&quiet);
            pen.text(&calendar::tick_label(tick, step, app.offset()), x, pen.height - AXIS / 2.0, Align::Middle);
        }
    }
    pen.fill(&line);
    for y in [TOP + RATE, TOP + RATE + GAP + ERRORS, frame.foot()] {
        pen.rect(LEFT, y, frame.plotted(), 1.0);
    }
    // Whole powers of ten, as the dots have them; those of two are the rows.
    let (Some(low), Some(high)) = (strips.edges.first(), strips.edges.last()) else { return };
    let mut last = f64::INFINITY;
    for power in 0..16 {
        let nanos = 10f64.powi(power);
        let y = frame.y(strips, nanos);
        if nanos >= *low && nanos <= *high && last - y >= 16.0 {
            pen.fill(&quiet);
            pen.text(&format::duration(nanos as i64), LEFT - 8.0, y.max(frame.heat() + 4.0), Align::Right);
            last = y;
        }
    }
}

/// One strip of bars, with its greatest value beside it.
fn bars(pen: &Pen, strips: &Strips, frame: Frame, (values, colour, top, height): (&[f64], &str, f64, f64)) {
    let most = values.iter().copied().fold(0.0, f64::max);
    pen.fill(&pen.colour("--quiet"));
    let words = if most > 0.0 {
        format::rate(most)
    } else if colour == "--error" {
        "no errors".into()
    } else {
        "no spans".into()
    };
    pen.text(&words, LEFT - 8.0, top + height / 2.0, Align::Right);
    pen.fill(&pen.colour(colour));
    for (step, value) in values.iter().enumerate().filter(|(_, value)| **value > 0.0) {
        let side = |step: usize| frame.x(strips, strips.time(step)).round();
        let tall = (value / most * height).max(1.0);
        pen.rect(side(step), top + height - tall, (side(step + 1) - side(step) - 1.0).max(1.0), tall);
    }
}

fn heat(pen: &Pen, strips: &Strips, frame: Frame) {
    let rows = strips.edges.len().saturating_sub(1);
    let (fullest, colours): (f64, Vec<String>) =
        (strips.fullest().max(1.0), (1..=8).map(|shade| pen.colour(&format!("--heat-{shade}"))).collect());
    let tall = (frame.foot() - frame.heat()) / rows.max(1) as f64;
    for (step, cells) in strips.cells.iter().enumerate() {
        let side = |step: usize| frame.x(strips, strips.time(step)).round();
        let edge = |row: usize| (frame.foot() - row as f64 * tall).round();
        for (row, count) in cells.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            // Square root: few are seen beside many.
            let shade = ((count / fullest).sqrt() * 7.999) as usize;
            pen.fill(colours.get(shade).map_or("", String::as_str));
            pen.rect(
                side(step),
                edge(row + 1),
                (side(step + 1) - side(step)).max(1.0),
                (edge(row) - edge(row + 1)).max(1.0),
            );
        }
    }
}

fn as_table(app: App, strips: &Strips) -> Table {
    let heads = ["Time", "Spans per second", "Failed per second", "Slowest"].map(str::to_owned).to_vec();
    let row = |step: usize| {
        let slowest = strips.cells.get(step).and_then(|cells| cells.iter().rposition(|count| *count > 0.0));
        vec![
            calendar::date_time(strips.time(step), app.offset()),
            format::significant(strips.rate[step]),
            format::significant(strips.errors[step]),
            slowest.map_or_else(
                || "–".to_owned(),
                |row| format!("below {}", format::duration(strips.edges[row + 1] as i64)),
            ),
        ]
    };
    Table { heads, rows: (0..strips.rate.len()).map(row).collect() }
}
