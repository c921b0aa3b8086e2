//! How are gauges, counters and summaries drawn? As lines: values, rates per second, quantiles.

use crate::component::app::App;
use crate::component::chart::{self, Table};
use crate::component::plot::{self, LEFT, Line, Plot, RIGHT};
use crate::component::text;
use crate::state::metric::grid::{Cell, Grid};
use crate::state::metric::rate::{self, Sample};
use crate::state::metric::{answer, stats};
use crate::state::time::Range;
use crate::state::{attribute, calendar, format, hue, order};
use leptos::prelude::*;
use query_api::metric::{Exemplar, PointValue, Series, Temporality};
use std::collections::BTreeMap;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

/// Lines drawn at once.
const LINES: usize = 24;
/// Exemplars shown at once.
const EXEMPLARS: i64 = 80;

/// A line with its name, and the service whose colour it has, if the colour is a service's.
#[derive(Clone)]
struct Named {
    label: String,
    colour: String,
    samples: Vec<Sample>,
}

/// What tells a series from its sisters: its service when they differ in it, and its attributes.
fn label(one: &Series, several_services: bool, one_each: bool) -> String {
    if one_each {
        return one.service.clone();
    }
    let attributes = attribute::joined(&one.attributes);
    let instance = attribute::find(&one.resource, "service.instance.id");
    match (several_services, attributes.is_empty()) {
        (true, true) => instance.map_or_else(|| one.service.clone(), |i| format!("{} {i}", one.service)),
        (true, false) => format!("{} {attributes}", one.service),
        (false, true) => instance.unwrap_or_else(|| one.service.clone()),
        (false, false) => attributes,
    }
}

/// The labels of all series; where some have the same, their instances tell them apart.
fn labels(series: &[Series], one_each: bool) -> Vec<String> {
    let several_services = series.iter().any(|one| Some(&one.service) != series.first().map(|first| &first.service));
    let plain: Vec<String> = series.iter().map(|one| label(one, several_services, one_each)).collect();
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    plain.iter().for_each(|label| *times.entry(label).or_default() += 1);
    let told = |(one, label): (&Series, &String)| {
        let is_shared = times.get(label.as_str()).is_some_and(|times| *times > 1);
        let instance = attribute::find(&one.resource, "service.instance.id").filter(|_| is_shared);
        instance.map_or_else(|| label.clone(), |instance| format!("{label} {instance}"))
    };
    series.iter().zip(&plain).map(told).collect()
}

fn named(series: &[Series], samples: impl Fn(&Series) -> Vec<Sample>) -> Vec<Named> {
    let services: HashSet<&str> = series.iter().map(|s| s.service.as_str()).collect();
    let one_each = services.len() == series.len() && series.len() > 1;
    let lines: Vec<Named> = series
        .iter()
        .zip(labels(series, one_each))
        .enumerate()
        .map(|(index, (one, label))| {
            // One line a service has that service's colour; else colours only tell lines apart.
            let at = if one_each { hue::of(&one.service) } else { index as u32 % hue::HUES };
            Named { label, colour: format!("--svc-{at}"), samples: samples(one) }
        })
        .collect();
    strongest(lines)
}

/// Those that have values, the highest on average first.
fn strongest(mut lines: Vec<Named>) -> Vec<Named> {
    lines.retain(|line| !line.samples.is_empty());
    order::falling(lines, |line| stats::of(&line.samples).map_or(f64::NEG_INFINITY, |stats| stats.mean.abs()))
}

/// Gauges as they are; sums that grow, or that count since the point before, as rates.
pub(super) fn numbers(series: Arc<Vec<Series>>, range: Range) -> AnyView {
    let Some(first) = series.first() else { return ().into_any() };
    let is_rate = first.is_monotonic || first.temporality == Temporality::Delta;
    let unit = if is_rate { format::rate_unit(&first.unit) } else { first.unit.clone() };
    let lines = named(&series, |one| if is_rate { rate::per_second(one, range.start) } else { rate::values(one) });
    let title = if is_rate { "Rate per second" } else { "Value" };
    let exemplars = exemplars(&series);
    drawn(title, lines, unit, range, exemplars)
}

/// One line for every quantile that the sender computed.
pub(super) fn summary(series: Arc<Vec<Series>>, range: Range) -> AnyView {
    let unit = series.first().map_or_else(String::new, |s| s.unit.clone());
    let services = series.iter().map(|s| s.service.as_str()).collect::<HashSet<_>>().len();
    let mut lines = Vec::new();
    for (one, label) in series.iter().zip(labels(&series, services == series.len())) {
        let mut by_quantile: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
        for point in &one.points {
            if let PointValue::Summary(summary) = &point.value {
                for q in &summary.quantiles {
                    let name = format!("p{}", format::significant(q.quantile * 100.0).trim_end_matches(".0"));
                    by_quantile.entry(name).or_default().push((point.time_unix_nano, q.value));
                }
            }
        }
        for (name, samples) in by_quantile {
            let colour = format!("--svc-{}", lines.len() as u32 % hue::HUES);
            lines.push(Named { label: format!("{name} {label}"), colour, samples });
        }
    }
    drawn("Quantiles", lines, unit, range, Vec::new())
}

/// The lines of a query's answer.
pub(super) fn answered(found: &[answer::Line], unit: String, range: Range, exemplars: Vec<Exemplar>) -> AnyView {
    let names = answer::names(found);
    let services: HashSet<&str> = found.iter().filter_map(answer::service).collect();
    let one_each = services.len() == found.len() && found.len() > 1;
    let lines = found.iter().zip(names).enumerate().map(|(index, (line, label))| {
        let at = answer::service(line).filter(|_| one_each).map_or(index as u32 % hue::HUES, hue::of);
        Named { label, colour: format!("--svc-{at}"), samples: line.samples() }
    });
    drawn("Result", strongest(lines.collect()), unit, range, exemplars)
}

/// The exemplars of all series that name a trace.
pub(super) fn exemplars(series: &[Series]) -> Vec<Exemplar> {
    let all = series.iter().flat_map(|s| s.points.iter()).flat_map(|p| p.exemplars.iter());
    all.filter(|e| !e.trace_id.is_empty()).cloned().collect()
}

/// As many diamonds as can be told apart; `height` says where in the drawing a value is, if it matters.
pub(super) fn diamonds(
    exemplars: &[Exemplar],
    range: Range,
    unit: &str,
    height: impl Fn(f64) -> Option<f64>,
) -> Vec<AnyView> {
    let kept = answer::spread(exemplars.to_vec(), range, EXEMPLARS);
    kept.iter().filter_map(|one| diamond(one, range, unit, height(one.value))).collect()
}

/// A diamond that opens an exemplar's trace, at shares of the plotting area.
fn diamond(one: &Exemplar, range: Range, unit: &str, height: Option<f64>) -> Option<AnyView> {
    let app = App::get();
    let share = one.time_unix_nano.saturating_sub(range.start) as f64 / range.length().max(1) as f64;
    if !(0.0..=1.0).contains(&share) {
        return None;
    }
    let extra: &[(&str, &str)] = if one.span_id.is_empty() { &[] } else { &[("span", &one.span_id)] };
    let href = app.href(&format!("/trace/{}", one.trace_id), extra);
    let title = format!(
        "{} at {}: open the trace",
        format::measured(one.value, unit),
        calendar::clock(one.time_unix_nano, app.offset())
    );
    let top = height.map_or_else(String::new, |h| format!(";top:{:.2}%", h * 100.0));
    let style = format!("left:calc({LEFT}px + (100% - {}px) * {share:.5}){top}", LEFT + RIGHT);
    let label = title.clone();
    Some(
        view! { <a class="exemplar" href=href style=style title=title aria-label=label data-testid="exemplar"></a> }
            .into_any(),
    )
}

fn drawn(title: &'static str, mut lines: Vec<Named>, unit: String, range: Range, exemplars: Vec<Exemplar>) -> AnyView {
    let app = App::get();
    let count = lines.len();
    lines.truncate(LINES);
    let grid = Grid::over(range);
    let laid: Arc<Vec<(Named, Vec<Cell>)>> = Arc::new(
        lines
            .into_iter()
            .map(|line| {
                let cells = grid.lay(&line.samples);
                (line, cells)
            })
            .collect(),
    );
    let cursor = RwSignal::new(None::<usize>);
    let alone = RwSignal::new(None::<usize>);
    let (of_plot, of_legend, of_table) = (laid.clone(), laid.clone(), laid);
    let unit_of_plot = unit.clone();
    let chart = plot::plot(title, cursor, move || {
        let only = alone.get();
        let lines = of_plot.iter().enumerate().filter(|(index, _)| only.is_none_or(|only| only == *index));
        let lines: Vec<Line> = lines
            .map(|(_, (line, cells))| Line {
                label: line.label.clone(),
                colour: line.colour.clone(),
                filled: of_plot.len() == 1,
                cells: cells.clone(),
            })
            .collect();
        let from_zero = lines.iter().flat_map(|l| &l.cells).all(|c| !matches!(c, Cell::Value(v) if *v < 0.0));
        let unit = unit_of_plot.clone();
        Some(Plot {
            grid,
            lines,
            format: Rc::new(move |v| format::tick(v, &unit)),
            height: 320.0,
            from_zero,
            binary: unit_of_plot.starts_with("By"),
        })
    });
    let diamonds = diamonds(&exemplars, range, &unit, |_| None);
    let strip =
        (!exemplars.is_empty()).then(|| view! { <div class="exemplar-strip" aria-label="Exemplars">{diamonds}</div> });
    let aside = if count > LINES { format!("the {LINES} highest of {count} series") } else { String::new() };
    let table_unit = unit.clone();
    let table = move || as_table(app, &of_table, grid, &table_unit);
    let body =
        view! { <div class="with-strip">{strip}{chart}</div> {legend(of_legend, unit.clone(), grid, cursor, alone)} };
    let title = match format::title_unit(&unit) {
        told if told.is_empty() => title.to_owned(),
        told => format!("{title}, {told}"),
    };
    chart::framed(title, aside, body.into_any(), table)
}

/// The series with their statistics; a click shows one alone. The last column follows the pointer.
fn legend(
    lines: Arc<Vec<(Named, Vec<Cell>)>>,
    unit: String,
    grid: Grid,
    cursor: RwSignal<Option<usize>>,
    alone: RwSignal<Option<usize>>,
) -> AnyView {
    let app = App::get();
    let item = |(index, (line, cells)): (usize, &(Named, Vec<Cell>))| {
        let stats = stats::of(&line.samples);
        let told = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format::measured(value, &unit));
        let (cells, of_value, last) = (cells.clone(), unit.clone(), stats.map(|stats| stats.last.1));
        let value = move || {
            let under = |at: usize| {
                cells.iter().take(at + 1).rev().find_map(|c| if let Cell::Value(v) = c { Some(*v) } else { None })
            };
            let value = cursor.get().map_or(last, under);
            value.map_or_else(|| "–".to_owned(), |value| format::measured(value, &of_value))
        };
        let other = move || alone.get().is_some_and(|only| only != index);
        let (name, whole) = (format::cut(&line.label, text::LINE).0.to_owned(), line.label.clone());
        let choose = move |_| alone.update(|a| *a = if *a == Some(index) { None } else { Some(index) });
        view! {
            <tr class:other=other>
                <th scope="row">
                    <button class="legend-row" title=whole aria-pressed=move || (alone.get() == Some(index)).to_string() on:click=choose>
                        <i class="stroke" style=format!("--svc:var({})", line.colour)></i><span class="cutoff mono">{name}</span>
                    </button>
                </th>
                <td class="num">{told(stats.map(|s| s.min))}</td><td class="num">{told(stats.map(|s| s.mean))}</td>
                <td class="num">{told(stats.map(|s| s.max))}</td><td class="num">{value}</td>
            </tr>
        }
    };
    let head =
        move || cursor.get().map_or_else(|| "Last".to_owned(), |at| calendar::clock(grid.time(at), app.offset()));
    let items = lines.iter().enumerate().map(item).collect_view();
    view! {
        <div class="legend-table" data-testid="legend">
            <table aria-label="Series">
                <thead><tr>
                    <th scope="col">"Series"</th><th scope="col" class="num">"Min"</th><th scope="col" class="num">"Mean"</th>
                    <th scope="col" class="num">"Max"</th><th scope="col" class="num">{head}</th>
                </tr></thead>
                <tbody>{items}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn as_table(app: App, lines: &[(Named, Vec<Cell>)], grid: Grid, unit: &str) -> Table {
    let mut heads = vec!["Time".to_owned()];
    heads.extend(lines.iter().map(|(line, _)| line.label.clone()));
    let filled = |index: &usize| lines.iter().any(|(_, cells)| matches!(cells.get(*index), Some(Cell::Value(_))));
    let row = |index: usize| {
        let mut cells = vec![calendar::date_time(grid.time(index), app.offset())];
        cells.extend(lines.iter().map(|(_, line)| match line.get(index) {
            Some(Cell::Value(value)) => format::measured(*value, unit),
            _ => "–".into(),
        }));
        cells
    };
    Table { heads, rows: (0..grid.count).filter(filled).map(row).collect() }
}
