//! How are histograms drawn? As a heat map of all measurements, and their quantiles as lines below it.

use super::lines;
use super::moment::{self, Moments, Which};
use crate::component::app::App;
use crate::component::canvas::{self, Align, Pen};
use crate::component::chart::{self, Table};
use crate::component::plot::{self, LEFT, Line, Plot, RIGHT};
use crate::state::metric::heat::Heat;
use crate::state::time::Range;
use crate::state::{calendar, format, scale};
use leptos::prelude::*;
use leptos::web_sys;
use query_api::metric::{Exemplar, Series};
use std::rc::Rc;
use std::sync::Arc;

const BOTTOM: f64 = 22.0;
const TOP: f64 = 6.0;
/// A pointer that moved by less than this share of the range has clicked, not dragged.
const FARTHEST_CLICK: f64 = 0.008;
/// Quantiles drawn: share, name, colour.
const QUANTILES: [(f64, &str, &str); 3] =
    [(0.5, "p50", "--heat-4"), (0.95, "p95", "--heat-6"), (0.99, "p99", "--heat-8")];

/// What a cell counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// Measurements.
    Whole,
    /// Measurements per second.
    PerSecond,
}

impl Count {
    /// What a query's cells count.
    pub(super) fn of(query: &str) -> Count {
        if query.contains("rate(") { Count::PerSecond } else { Count::Whole }
    }

    /// A count in a table whose head says what is counted.
    fn number(self, count: f64) -> String {
        match self {
            Count::Whole => format::count(count.round() as u64),
            Count::PerSecond => format::rate(count),
        }
    }

    fn told(self, count: f64) -> String {
        match self {
            Count::Whole => format::counted(count.round() as u64, "measurement"),
            Count::PerSecond => format::rate(count),
        }
    }
}

/// Heat map and quantiles of raw points.
pub(super) fn histogram(series: Arc<Vec<Series>>, range: Range) -> AnyView {
    let unit = series.first().map_or_else(String::new, |s| s.unit.clone());
    let heat = Arc::new(Heat::new(&series, range));
    of_heat(heat, unit, range, &lines::exemplars(&series), Count::Whole)
}

/// What is shown in a heat map beside its cells.
#[derive(Clone, Copy)]
struct Shown {
    count: Count,
    moments: Moments,
    /// The step under the pointer, here or in the plot below.
    cursor: RwSignal<Option<usize>>,
}

/// Heat map, the comparison of moments, and quantiles.
pub(super) fn of_heat(heat: Arc<Heat>, unit: String, range: Range, exemplars: &[Exemplar], count: Count) -> AnyView {
    if heat.edges.len() < 2 {
        let why =
            "A cumulative histogram that began before the range needs two points in it before its growth is known.";
        return crate::component::message::empty("Nothing was measured in this range", why, ().into_any());
    }
    let moments = moment::moments(&heat);
    let cursor = RwSignal::new(None::<usize>);
    view! {
        {map(heat.clone(), unit.clone(), range, exemplars, Shown { count, moments, cursor })}
        {moment::comparison(heat.clone(), unit.clone(), moments)}
        {quantiles(heat, unit, cursor)}
    }
    .into_any()
}

/// Where a value is among the rows: 0 at the top, 1 at the foot.
fn height_of(edges: &[f64], value: f64) -> f64 {
    let rows = edges.len() - 1;
    let row = edges.partition_point(|edge| *edge <= value).saturating_sub(1).min(rows - 1);
    let width = edges[row + 1] - edges[row];
    let inside = if width > 0.0 { ((value - edges[row]) / width).clamp(0.0, 1.0) } else { 0.5 };
    1.0 - (row as f64 + inside) / rows as f64
}

fn map(heat: Arc<Heat>, unit: String, range: Range, exemplars: &[Exemplar], shown: Shown) -> AnyView {
    let Shown { count, moments, cursor } = shown;
    let app = App::get();
    let hover = RwSignal::new(None::<(usize, usize)>);
    // Where a drag began and where it is, as shares of the range.
    let drag = RwSignal::new(None::<(f64, f64)>);
    let (of_draw, of_hover, of_aside, of_table) = (heat.clone(), heat.clone(), heat.clone(), heat.clone());
    let unit_of_draw = unit.clone();
    let (canvas, node) = canvas::drawing("Measurements over time by size", move |pen| {
        draw(pen, app, &of_draw, &unit_of_draw, hover.get());
        for (column, colour) in
            [(moments.at.get(), "--accent"), (moments.against.get(), "--warn-mark"), (cursor.get(), "--quiet")]
        {
            mark(pen, &of_draw, column, colour);
        }
        if let Some((from, to)) = drag.get() {
            let share = |share: f64| LEFT + share * (pen.width - LEFT - RIGHT);
            pen.frame(
                &pen.colour("--accent"),
                share(from.min(to)),
                TOP,
                (share(to) - share(from)).abs(),
                pen.height - TOP - BOTTOM,
            );
        }
    });
    let moved = move |event: web_sys::PointerEvent| {
        let cell = node.get_untracked().and_then(|canvas| {
            let area = canvas.get_bounding_client_rect();
            let (x, y) = canvas::place(&event, &canvas);
            let across = (x - LEFT) / (area.width() - LEFT - RIGHT);
            let down = (y - TOP) / (area.height() - TOP - BOTTOM);
            let rows = of_hover.edges.len() - 1;
            let inside = (0.0..1.0).contains(&across) && (0.0..1.0).contains(&down);
            inside.then(|| ((across * of_hover.grid.count as f64) as usize, rows - 1 - (down * rows as f64) as usize))
        });
        if cell != hover.get_untracked() {
            hover.set(cell);
            cursor.set(cell.map(|(column, _)| column));
        }
        if let (Some((from, _)), Some(share)) = (drag.get_untracked(), share_of(&event, node)) {
            drag.set(Some((from, share)));
        }
    };
    let left = move |_| {
        hover.set(None);
        cursor.set(None);
        drag.set(None);
    };
    let pressed = move |event: web_sys::PointerEvent| {
        if event.button() == 0 {
            drag.set(share_of(&event, node).map(|share| (share, share)));
        }
    };
    let unit_of_aside = unit.clone();
    let count_word = count;
    let aside = move || {
        let time = |column: usize| calendar::short_date_time(of_aside.grid.time(column), app.offset());
        let Some((column, row)) = hover.get() else {
            let Some(column) = cursor.get() else {
                return "stronger is more · click compares a moment, drag narrows the time".to_owned();
            };
            let total = of_aside.drawn_at(column).map_or(0.0, |drawn| of_aside.total(drawn));
            return format!("{} · {}", time(column), count_word.told(total));
        };
        let drawn = of_aside.drawn_at(column).and_then(|drawn| of_aside.cells.get(drawn));
        let count = drawn.and_then(|cells| cells.get(row)).copied().unwrap_or(0.0);
        let edge =
            |row: usize| of_aside.edges.get(row).map_or_else(String::new, |e| format::measured(*e, &unit_of_aside));
        format!("{} · {} to {} · {}", time(column), edge(row), edge(row + 1), count_word.told(count))
    };
    let diamonds = lines::diamonds(exemplars, range, &unit, |value| Some(height_of(&heat.edges, value)));
    let of_click = heat.clone();
    let clicked = move |event: web_sys::MouseEvent| {
        let dragged = drag.get_untracked();
        drag.set(None);
        // A click on an exemplar has gone to its trace.
        let Some((column, _)) = hover.get_untracked().filter(|_| !event.default_prevented()) else { return };
        if let Some((from, to)) = dragged.filter(|(from, to)| (from - to).abs() > FARTHEST_CLICK) {
            let at = |share: f64| range.start.saturating_add((share * range.length() as f64) as i64);
            return app.zoom_to(at(from), at(to));
        }
        let which = if event.shift_key() && moments.at.get_untracked().is_some() { Which::Against } else { Which::At };
        let time = of_click.grid.time(of_click.drawn_at(column).unwrap_or(column));
        moment::choose(app, &of_click, which, crate::state::metric::moment::column(&of_click, time));
    };
    let body = view! {
        <div class="heat" on:pointermove=moved on:pointerdown=pressed on:pointerleave=left on:click=clicked data-testid="heatmap">
            {canvas}<div class="exemplars">{diamonds}</div>
        </div>
    };
    let table = move || as_table(app, &of_table, &unit, count);
    chart::framed("Measurements", aside, body.into_any(), table)
}

fn draw(pen: &Pen, app: App, heat: &Heat, unit: &str, hover: Option<(usize, usize)>) {
    let rows = heat.edges.len() - 1;
    let (width, height) = (pen.width - LEFT - RIGHT, pen.height - TOP - BOTTOM);
    let (cell_width, cell_height) = (width / heat.grid.count as f64, height / rows as f64);
    let colours: Vec<String> = (1..=8).map(|i| pen.colour(&format!("--heat-{i}"))).collect();
    let fullest = heat.fullest().max(1.0);
    let drawn: Vec<Option<usize>> = (0..heat.grid.count).map(|column| heat.drawn_at(column)).collect();
    for columns in drawn.chunk_by(|a, b| a == b) {
        let Some(column) = columns.first().copied().flatten() else { continue };
        let from = column + 1 - columns.len();
        for (row, count) in heat.cells[column].iter().enumerate().filter(|(_, count)| **count > 0.0) {
            // Square root: few are seen beside many.
            let shade = ((count / fullest).sqrt() * 7.999) as usize;
            pen.fill(colours.get(shade).map_or("", String::as_str));
            // Whole pixels, or neighbours would overlap or gape.
            let edge = |row: usize| (TOP + height - row as f64 * cell_height).round();
            let side = |column: usize| (LEFT + column as f64 * cell_width).round();
            let line = if cell_height > 8.0 { 1.0 } else { 0.0 };
            let (x, y) = (side(from), edge(row + 1));
            pen.rect(x, y, side(column + 1) - x, (edge(row) - y - line).max(1.0));
        }
    }
    let quiet = pen.colour("--quiet");
    pen.fill(&quiet);
    let every = (16.0 / cell_height).ceil().max(1.0) as usize;
    for (row, edge) in heat.edges.iter().enumerate().step_by(every) {
        let y = TOP + height - row as f64 * cell_height;
        pen.text(&format::tick(*edge, unit), LEFT - 8.0, y.clamp(6.0, TOP + height), Align::Right);
    }
    let end = heat.grid.start + heat.grid.step * heat.grid.count as i64;
    let (step, ticks) = scale::time_ticks(heat.grid.start, end, plot::TICKS, app.offset());
    for tick in ticks {
        let x = LEFT + (tick - heat.grid.start) as f64 / (end - heat.grid.start).max(1) as f64 * width;
        if x > pen.width - 20.0 {
            continue;
        }
        pen.text(&calendar::tick_label(tick, step, app.offset()), x, pen.height - BOTTOM / 2.0, Align::Middle);
    }
    if let Some((column, row)) = hover {
        let (x, y) = (LEFT + column as f64 * cell_width, TOP + height - (row + 1) as f64 * cell_height);
        pen.frame(&pen.colour("--text"), x, y, cell_width.max(3.0), cell_height.max(3.0));
    }
}

/// Where an event is, as a share of the range.
fn share_of(event: &web_sys::PointerEvent, node: NodeRef<leptos::html::Canvas>) -> Option<f64> {
    let canvas = node.get_untracked()?;
    let width = canvas.get_bounding_client_rect().width() - LEFT - RIGHT;
    let share = (canvas::place(event, &canvas).0 - LEFT) / width;
    Some(share.clamp(0.0, 1.0)).filter(|share| share.is_finite())
}

/// The column of a chosen moment.
fn mark(pen: &Pen, heat: &Heat, column: Option<usize>, colour: &str) {
    let Some(column) = column else { return };
    let cell = (pen.width - LEFT - RIGHT) / heat.grid.count as f64;
    let colour = pen.colour(colour);
    pen.frame(&colour, (LEFT + column as f64 * cell).round(), TOP, cell.max(3.0).round(), pen.height - TOP - BOTTOM);
}

fn quantiles(heat: Arc<Heat>, unit: String, cursor: RwSignal<Option<usize>>) -> AnyView {
    let app = App::get();
    let (of_plot, of_aside, of_table) = (heat.clone(), heat.clone(), heat);
    let unit_of_plot = unit.clone();
    let chart = plot::banded("Quantiles over time", cursor, move || {
        let line = |(share, name, colour): &(f64, &str, &str)| {
            let samples: Vec<(i64, f64)> = (0..of_plot.grid.count)
                .filter_map(|column| Some((of_plot.grid.time(column), of_plot.quantile(column, *share)?)))
                .collect();
            Line {
                label: (*name).into(),
                colour: (*colour).into(),
                stroke: 0,
                filled: false,
                cells: of_plot.grid.lay(&samples),
            }
        };
        let unit = unit_of_plot.clone();
        let lines = QUANTILES.iter().map(line).collect();
        Some(Plot {
            grid: of_plot.grid,
            lines,
            format: Rc::new(move |v| format::tick(v, &unit)),
            height: 200.0,
            from_zero: true,
            binary: unit_of_plot.starts_with("By"),
            stairs: None,
        })
    });
    let unit_of_aside = unit.clone();
    let aside = move || {
        let last = (0..of_aside.grid.count).rev().find(|column| of_aside.total(*column) > 0.0);
        let column = cursor.get().map_or(last, |column| of_aside.drawn_at(column));
        let item = |(share, name, colour): &(f64, &'static str, &'static str)| {
            let value = column.and_then(|column| of_aside.quantile(column, *share));
            let value = value.map_or_else(|| "–".to_owned(), |v| format!("≈ {}", format::measured(v, &unit_of_aside)));
            view! { <span class="legend-item"><i class="stroke" style=format!("--svc:var({colour})")></i>{*name}<span class="num">{value}</span></span> }
        };
        view! { <span class="legend">{QUANTILES.iter().map(item).collect_view()}</span> }
    };
    let table = move || {
        let columns: Vec<usize> = (0..of_table.grid.count).filter(|c| of_table.total(*c) > 0.0).collect();
        let row = |column: usize| {
            let mut cells = vec![calendar::date_time(of_table.grid.time(column), app.offset())];
            cells.extend(QUANTILES.iter().map(|(share, _, _)| {
                of_table.quantile(column, *share).map_or_else(|| "–".into(), |v| format::measured(v, &unit))
            }));
            cells
        };
        Table {
            heads: ["Time", "p50", "p95", "p99"].map(str::to_owned).to_vec(),
            rows: columns.into_iter().map(row).collect(),
        }
    };
    chart::framed("Quantiles", aside, chart, table)
}

fn as_table(app: App, heat: &Heat, unit: &str, counted: Count) -> Table {
    let mut rows = Vec::new();
    for column in (0..heat.grid.count).filter(|column| heat.total(*column) > 0.0) {
        for (row, count) in heat.cells[column].iter().enumerate().filter(|(_, count)| **count > 0.0) {
            rows.push(vec![
                calendar::date_time(heat.grid.time(column), app.offset()),
                format::measured(heat.edges[row], unit),
                format::measured(heat.edges[row + 1], unit),
                counted.number(*count),
            ]);
        }
    }
    Table { heads: ["Time", "From", "To", "Measurements"].map(str::to_owned).to_vec(), rows }
}
