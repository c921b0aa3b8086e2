//! How are gauges, counters and summaries drawn? As lines: values, rates per second, quantiles.

use super::heatmap;
use crate::component::app::App;
use crate::component::chart::{self, Table};
use crate::component::plot::{self, LEFT, Line, Plot, RIGHT};
use crate::component::{message, text};
use crate::state::metric::grid::{Cell, Grid};
use crate::state::metric::names::{self, Label, Labels, Names};
use crate::state::metric::rate::{self, Sample};
use crate::state::metric::{answer, stats};
use crate::state::time::Range;
use crate::state::{attribute, calendar, format, hue, order, tempo};
use leptos::prelude::*;
use query_api::metric::{Exemplar, PointValue, Series, Temporality};
use query_api::otlp::KeyValue;
use std::collections::BTreeMap;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

/// Lines drawn at once.
const LINES: usize = 24;
/// Exemplars shown at once.
const EXEMPLARS: i64 = 80;

/// A line with its name and its look.
#[derive(Clone)]
struct Named {
    label: String,
    hue: u32,
    stroke: u32,
    samples: Vec<Sample>,
}

impl Named {
    fn colour(&self) -> String {
        format!("--svc-{}", self.hue)
    }
}

/// The lines of a chart, what all of them have in common, and the label whose values they are called by, if it is one.
struct Drawable {
    lines: Vec<Named>,
    common: String,
    key: String,
    /// How many there are beside those that are drawn.
    more: usize,
}

/// What tells a series from its sisters: its service and its attributes; where that is not enough, its instance, then whatever else
/// is known of where it comes from.
fn labels(one: &Series) -> Labels {
    let pair = |attribute: &KeyValue| (attribute.key.clone(), attribute::text(&attribute.value));
    let mut told = vec![(String::new(), one.service.clone())];
    told.extend(one.attributes.iter().map(pair));
    let known = one.resource.iter().filter(|attribute| attribute.key != "service.name").map(pair);
    let (mut spare, rest): (Vec<Label>, Vec<Label>) = known.partition(|(key, _)| key == "service.instance.id");
    spare.extend(rest);
    spare.push(("scope".to_owned(), format!("{} {}", one.scope_name, one.scope_version)));
    Labels { told, spare }
}

fn named(series: &[Series], samples: impl Fn(&Series) -> Vec<Sample>) -> Drawable {
    let mut names = names::names(&series.iter().map(labels).collect::<Vec<_>>());
    let services = series.iter().map(|one| Some(one.service.as_str()));
    let lines = series.iter().zip(names.take()).map(|(one, label)| (label, samples(one)));
    drawable(lines.zip(one_each(services)).collect(), names)
}

/// The services in whose colours lines are drawn: there is one line a service; else colours only tell lines apart.
fn one_each<'a>(services: impl Iterator<Item = Option<&'a str>>) -> Vec<Option<String>> {
    let services: Vec<Option<&str>> = services.collect();
    let different = services.iter().flatten().collect::<HashSet<_>>().len();
    let is_one_each = different == services.len() && different > 1;
    services.into_iter().map(|service| service.filter(|_| is_one_each).map(str::to_owned)).collect()
}

/// Those that have values, the highest on average first; the look follows from the place.
fn drawable(lines: Vec<((String, Vec<Sample>), Option<String>)>, Names { common, key, .. }: Names) -> Drawable {
    let lines = lines.into_iter().filter(|((_, samples), _)| !samples.is_empty()).collect();
    let mut lines = order::falling(lines, |((_, samples), _)| {
        stats::of(samples).map_or(f64::NEG_INFINITY, |stats| stats.mean.abs())
    });
    let more = lines.len().saturating_sub(LINES);
    lines.truncate(LINES);
    let hue =
        |(at, (_, service)): (usize, &(_, Option<String>))| service.as_deref().map_or(at as u32 % hue::HUES, hue::of);
    let hues: Vec<u32> = lines.iter().enumerate().map(hue).collect();
    let looks = hues.iter().copied().zip(hue::strokes(&hues));
    let named = lines.into_iter().zip(looks).map(|(((label, samples), _), (hue, stroke))| Named {
        label,
        hue,
        stroke,
        samples,
    });
    Drawable { lines: named.collect(), common, key, more }
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
    let mut names = names::names(&series.iter().map(labels).collect::<Vec<_>>());
    let mut lines = Vec::new();
    for (one, label) in series.iter().zip(names.take()) {
        let mut by_quantile: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
        for point in &one.points {
            if let PointValue::Summary(summary) = &point.value {
                for q in &summary.quantiles {
                    let name = format!("p{}", format::significant(q.quantile * 100.0).trim_end_matches(".0"));
                    by_quantile.entry(name).or_default().push((point.time_unix_nano, q.value));
                }
            }
        }
        lines.extend(by_quantile.into_iter().map(|(name, samples)| ((format!("{name} {label}"), samples), None)));
    }
    drawn("Quantiles", drawable(lines, names), unit, range, Vec::new())
}

/// The lines of a query's answer.
pub(super) fn answered(found: &[answer::Line], unit: String, range: Range, exemplars: Vec<Exemplar>) -> AnyView {
    let mut names = names::names(&found.iter().map(answer::labels).collect::<Vec<_>>());
    let lines = found.iter().zip(names.take()).map(|(line, label)| (label, line.samples()));
    let lines = lines.zip(one_each(found.iter().map(answer::service))).collect();
    drawn(result(&unit), drawable(lines, names), unit, range, exemplars)
}

/// The answer of a query of spans: a heat map of buckets, lines of all else.
pub(in crate::page) fn of_spans(found: &[tempo::Series], unit: String, range: Range) -> AnyView {
    let exemplars: Vec<Exemplar> = found.iter().flat_map(tempo::Series::exemplars).collect();
    if let Some(heat) = tempo::heat(found, range) {
        return heatmap::of_heat(Arc::new(heat), unit, range, &exemplars, heatmap::Count::Whole);
    }
    let mut names = names::names(&found.iter().map(tempo::Series::names).collect::<Vec<_>>());
    let lines = found.iter().zip(names.take()).map(|(one, label)| (label, one.moments()));
    let lines = lines.zip(one_each(found.iter().map(tempo::Series::service))).collect();
    drawn(result(&unit), drawable(lines, names), unit, range, exemplars)
}

/// The title of an answer, which tells the unit that its ticks do not.
fn result(unit: &str) -> &'static str {
    if unit == "/s" { "Result per second" } else { "Result" }
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
    // What one adds to a rate is no rate.
    let value = if unit.ends_with("/s") { "Measured".to_owned() } else { format::measured(one.value, unit) };
    let title = format!("{value} at {}: open the trace", calendar::clock(one.time_unix_nano, app.offset()));
    let top = height.map_or_else(String::new, |h| format!(";top:{:.2}%", h * 100.0));
    let style = format!("left:calc({LEFT}px + (100% - {}px) * {share:.5}){top}", LEFT + RIGHT);
    let label = title.clone();
    Some(
        view! { <a class="exemplar" href=href style=style title=title aria-label=label data-testid="exemplar"></a> }
            .into_any(),
    )
}

fn drawn(title: &'static str, found: Drawable, unit: String, range: Range, exemplars: Vec<Exemplar>) -> AnyView {
    let app = App::get();
    let Drawable { lines, common, key, more } = found;
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
                colour: line.colour(),
                stroke: line.stroke,
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
            stairs: None,
        })
    });
    let diamonds = diamonds(&exemplars, range, &unit, |_| None);
    let strip =
        (!exemplars.is_empty()).then(|| view! { <div class="exemplar-strip" aria-label="Exemplars">{diamonds}</div> });
    let aside = if more > 0 { format!("the {LINES} highest of {} series", LINES + more) } else { String::new() };
    let table_unit = unit.clone();
    let table = move || as_table(app, &of_table, grid, &table_unit);
    let nothing = nothing(&of_legend).map(|why| message::partial(why.into()));
    let common = (!common.is_empty()).then(|| {
        let shown = format::cut(&common, text::LINE).0.to_owned();
        view! { <p class="quiet small mono cutoff legend-common" title=common data-testid="legend-common">"All: "{shown}</p> }
    });
    let body = view! { {nothing}<div class="with-strip">{strip}{chart}</div> {common}{legend(of_legend, key, unit.clone(), grid, (cursor, alone))} };
    let title = match format::title_unit(&unit) {
        told if told.is_empty() => title.to_owned(),
        told => format!("{title}, {told}"),
    };
    chart::framed(title, aside, body.into_any(), table)
}

/// Why a chart of lines shows none.
fn nothing(lines: &[(Named, Vec<Cell>)]) -> Option<&'static str> {
    let seen = |(_, cells): &(Named, Vec<Cell>)| cells.iter().any(|cell| matches!(cell, Cell::Value(_)));
    let infinite = |(line, _): &(Named, Vec<Cell>)| line.samples.iter().any(|(_, value)| value.is_infinite());
    if lines.iter().any(seen) {
        return None;
    }
    Some(match lines.iter().any(infinite) {
        true => {
            "Every value is infinite or no number, so there is nothing to draw. A quantile is +Inf where it lies beyond the last finite bucket."
        }
        false => "No value is a number (NaN), so there is nothing to draw. A quantile or a mean of nothing is NaN.",
    })
}

/// The series with their statistics, called by the values of `key` if there is one; a click shows one alone. The last column follows the pointer.
fn legend(
    lines: Arc<Vec<(Named, Vec<Cell>)>>,
    key: String,
    unit: String,
    grid: Grid,
    (cursor, alone): (RwSignal<Option<usize>>, RwSignal<Option<usize>>),
) -> AnyView {
    let key = if key.is_empty() { "Series".to_owned() } else { key };
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
                        <i class=format!("stroke stroke-{}", line.stroke) style=format!("--svc:var({})", line.colour())></i><span class="mono legend-name">{name}</span>
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
                    <th scope="col">{key}</th><th scope="col" class="num">"Min"</th><th scope="col" class="num">"Mean"</th>
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
