//! Which metrics and labels have how many series, and how many come and go? Largest first, to be looked into by a selector.

use crate::client::load::{Old, load};
use crate::component::app::{App, Entry};
use crate::component::chart::{self, Table};
use crate::component::editor::{Editor, editor};
use crate::component::message;
use crate::component::plot::{self, Line, Plot};
use crate::state::address::Params;
use crate::state::metric::grid::{Cell, Grid};
use crate::state::query::complete::{self, What};
use crate::state::query::{Language, fault};
use crate::state::{calendar, filter, format};
use leptos::prelude::*;
use query_api::cardinality::{CardinalityResponse, CreatedSeries};
use std::rc::Rc;
use std::sync::Arc;

/// Rows of each table.
const ROWS: &str = "50";

/// The page.
pub(super) fn page() -> AnyView {
    super::title("Cardinality");
    let app = App::get();
    let selector = Memo::new(move |_| app.params.with(|p| p.get("selector").unwrap_or_default().to_owned()));
    let found = load::<CardinalityResponse>(Old::Keep, move || {
        let mut params = Params::default();
        params.set("selector", Some(&selector.get()));
        filter::within(&mut params, app.span()?);
        params.set("limit", Some(ROWS));
        Some(params.behind("/api/v1/metrics/cardinality"))
    });
    let wrong = move || {
        let failure = found.failure.get().filter(|failure| failure.place.as_deref() == Some("selector"))?;
        Some(fault::read(&failure.message))
    };
    let field = editor(Editor {
        label: "Selector of series",
        hint: "all series; {job=\"shop/cart\"} looks into some",
        language: Language::PromQl,
        value: selector.into(),
        fault: Signal::derive(wrong),
        ask: super::metrics::ask,
        run: Callback::new(move |text: String| app.set(Entry::Push, "selector", Some(text.trim()))),
        testid: "selector",
    });
    let words = move || {
        found.data.get().map(|d| {
            format!(
                "{} series of {}, {} labels · {} new in this range{}",
                format::count(d.series_count),
                format::counted(d.metric_count, "metric"),
                format::count(d.label_count),
                format::count(d.created_count),
                active(&d)
            )
        })
    };
    let failed = move || {
        let failure = found.failure.get().filter(|failure| failure.place.as_deref() != Some("selector"))?;
        Some(message::failed(&failure, move || found.retry()))
    };
    let body = move || match found.data.get() {
        Some(data) if data.series_count == 0 => {
            message::empty("No series in this range", "Nothing that matches was sent then.", ().into_any())
        }
        Some(data) => {
            view! { {churn(&data)}<div class="thirds">{metrics(&data)}{labels(&data)}{pairs(&data, selector)}</div> }
                .into_any()
        }
        None if found.failure.with(Option::is_some) => ().into_any(),
        None => message::skeleton(10),
    };
    view! {
        <div class="page">
            {message::progress([found.running])}
            <header class="page-head"><h1>"Cardinality"</h1><p class="quiet" data-testid="cardinality-words">{words}</p></header>
            {field}{failed}{body}
        </div>
    }
    .into_any()
}

/// How many are active, and how near that is to the limit.
fn active(data: &CardinalityResponse) -> String {
    match (data.active.count, data.active.limit) {
        (Some(count), Some(limit)) => {
            let share = if limit > 0 { count as f64 / limit as f64 } else { 0.0 };
            format!(
                " · {} active of at most {} ({})",
                format::count(count),
                format::count(limit),
                format::percent(share)
            )
        }
        (Some(count), None) => format!(" · {} active", format::count(count)),
        (None, _) => String::new(),
    }
}

/// New series, hour by hour.
fn churn(data: &Arc<CardinalityResponse>) -> AnyView {
    let app = App::get();
    let (Some(first), Some(last)) = (data.created.first(), data.created.last()) else { return ().into_any() };
    const HOUR: i64 = 3_600_000_000_000;
    let count = usize::try_from((last.start_unix_nano - first.start_unix_nano) / HOUR).unwrap_or(0).min(9_999) + 1;
    if count < 2 {
        return ().into_any();
    }
    let grid = Grid { start: first.start_unix_nano, step: HOUR, count };
    // The last hour may not be over.
    let end = last.start_unix_nano.saturating_add(HOUR).min(app.now.get_untracked()).max(last.start_unix_nano + 1);
    let mut cells = vec![Cell::Value(0.0); count];
    for CreatedSeries { start_unix_nano, count } in &data.created {
        if let Some(cell) = grid.index(*start_unix_nano).and_then(|index| cells.get_mut(index)) {
            *cell = Cell::Value(*count as f64);
        }
    }
    let of_table = data.clone();
    let drawn = plot::plot("New series by hour", RwSignal::new(None), move || {
        let line =
            Line { label: "new".into(), colour: "--svc-0".into(), stroke: 0, filled: true, cells: cells.clone() };
        Some(Plot {
            grid,
            lines: vec![line],
            format: Rc::new(format::compact),
            height: 140.0,
            from_zero: true,
            binary: false,
            stairs: Some(end),
        })
    });
    let table = move || Table {
        heads: ["Hour", "New series"].map(str::to_owned).to_vec(),
        rows: of_table
            .created
            .iter()
            .map(|one| vec![calendar::date_time(one.start_unix_nano, app.offset()), format::count(one.count)])
            .collect(),
    };
    chart::framed("New series by hour", "", drawn, table)
}

/// A row of a table: its name, where it leads, its numbers, and its share of the largest.
struct Row {
    name: String,
    href: String,
    numbers: Vec<String>,
    share: f64,
}

fn listed(title: &'static str, heads: &'static [&'static str], testid: &'static str, rows: Vec<Row>) -> AnyView {
    let row = |row: Row| {
        let cells = row.numbers.into_iter().map(|number| view! { <td class="num">{number}</td> }).collect_view();
        let width = format!("width:{:.1}%", row.share.clamp(0.0, 1.0) * 100.0);
        view! {
            <tr data-testid=testid>
                <td class="counted"><i class="counted-bar" style=width aria-hidden="true"></i><a class="plain mono cutoff" href=row.href title=row.name.clone()>{row.name.clone()}</a></td>
                {cells}
            </tr>
        }
    };
    let heads = heads.iter().map(|head| view! { <th scope="col">{*head}</th> }).collect_view();
    view! {
        <section>
            <h2>{title}</h2>
            <table class="data counted-table"><thead><tr><th scope="col" class="left">"Name"</th>{heads}</tr></thead><tbody>{rows.into_iter().map(row).collect_view()}</tbody></table>
        </section>
    }
    .into_any()
}

fn share(count: u64, most: Option<u64>) -> f64 {
    count as f64 / most.unwrap_or(1).max(1) as f64
}

fn metrics(data: &CardinalityResponse) -> AnyView {
    let app = App::get();
    let most = data.metrics.first().map(|m| m.series_count);
    let row = |one: &query_api::cardinality::MetricCardinality| Row {
        href: app.href("/cardinality", &[("selector", &format!("{{__name__={}}}", complete::quoted(&one.name)))]),
        numbers: vec![format::count(one.series_count), format::count(one.created_count)],
        share: share(one.series_count, most),
        name: one.name.clone(),
    };
    listed("Metrics with most series", &["Series", "New"], "cardinality-metric", data.metrics.iter().map(row).collect())
}

fn labels(data: &CardinalityResponse) -> AnyView {
    let app = App::get();
    let most = data.labels.first().map(|l| l.value_count);
    let row = |one: &query_api::cardinality::LabelCardinality| {
        let name = complete::of_metric(&What::Label(String::new()), &one.name).text;
        Row {
            href: app.href("/cardinality", &[("selector", &format!("{{{name}!=\"\"}}"))]),
            numbers: vec![format::count(one.value_count), format::count(one.series_count)],
            share: share(one.value_count, most),
            name: one.name.clone(),
        }
    };
    listed("Labels with most values", &["Values", "Series"], "cardinality-label", data.labels.iter().map(row).collect())
}

fn pairs(data: &CardinalityResponse, selector: Memo<String>) -> AnyView {
    let app = App::get();
    let most = data.pairs.first().map(|p| p.series_count);
    let row = |one: &query_api::cardinality::PairCardinality| {
        let label = complete::of_metric(&What::Label(String::new()), &one.name).text;
        let matcher = format!("{label}={}", complete::quoted(&one.value));
        let narrower = selector.with_untracked(|now| narrowed(now, &matcher));
        Row {
            href: app.href("/cardinality", &[("selector", &narrower)]),
            numbers: vec![format::count(one.series_count)],
            share: share(one.series_count, most),
            name: format!("{}={}", one.name, one.value),
        }
    };
    listed("Values with most series", &["Series"], "cardinality-pair", data.pairs.iter().map(row).collect())
}

/// A selector with one more matcher; one that is more than braces is left for the matcher alone.
fn narrowed(selector: &str, matcher: &str) -> String {
    let inner = selector.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).map(str::trim);
    match inner.filter(|inner| !inner.is_empty() && !inner.contains(matcher)) {
        Some(inner) => format!("{{{}, {matcher}}}", inner.trim_end_matches(',')),
        None => format!("{{{matcher}}}"),
    }
}
