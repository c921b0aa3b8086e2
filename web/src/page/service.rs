//! How is one service? Rate, errors and durations over time, and its operations.

use crate::client::load::{Load, Old, load};
use crate::component::app::App;
use crate::component::chart::{self, Table};
use crate::component::effect::effect;
use crate::component::plot::{self, Line, Plot};
use crate::component::{message, text};
use crate::state::metric::grid::{Cell, Grid};
use crate::state::trace::tree;
use crate::state::{calendar, filter, format, order, service};
use leptos::prelude::*;
use query_api::service::{Operation, OperationsResponse, Service, ServicesResponse, Sparkline};
use std::rc::Rc;
use std::sync::Arc;

/// The page.
pub(super) fn page() -> AnyView {
    let app = App::get();
    let name = Memo::new(move |_| app.params.with(|p| p.get("name").unwrap_or_default().to_owned()));
    effect(move || super::title(&name.get()));
    let services = load::<ServicesResponse>(Old::Keep, move || Some(filter::ranged("/api/v1/services", app.span()?)));
    let operations = load::<OperationsResponse>(Old::Forget, move || {
        let range = app.span()?;
        Some(name.with(|name| filter::operations(name, range)))
    });
    let one = Memo::new(move |_| {
        let name = name.get();
        services.data.get().and_then(|d| d.services.iter().find(|s| s.name == name).cloned()).map(Arc::new)
    });
    view! {
        <div class="page">
            {message::progress([services.running, operations.running])}
            {move || head(&name.get(), one.get().as_deref())}
            {move || services.failure.get().map(|f| message::failed(&f, move || services.retry()))}
            {charts(one)}
            <h2>"Operations"</h2>
            {operations_table(operations, name)}
        </div>
    }
    .into_any()
}

fn head(name: &str, one: Option<&Service>) -> AnyView {
    let app = App::get();
    let words = one.map_or_else(
        || "no request in this range".to_owned(),
        |s| {
            let quantile = s.red.p95_nano.map_or_else(String::new, |p| format!(", p95 {}", format::duration(p)));
            format!(
                "{} requests, {}, {} failed{quantile}",
                format::count(s.red.request_count),
                format::rate(s.red.rate),
                format::percent(service::error_share(&s.red))
            )
        },
    );
    let link = |path: &str, words: &'static str, extra: &[(&str, &str)]| {
        let mut all = vec![("service", name)];
        all.extend_from_slice(extra);
        view! { <a class="button" href=app.href(path, &all)>{words}</a> }
    };
    view! {
        <header class="page-head">
            <h1>{text::service_name(name)}</h1>
            <p class="quiet grow">{words}</p>
            <div class="row-actions">
                {link("/explore", "Traces", &[])}
                {link("/explore", "Failed traces", &[("status", "error")])}
                {link("/explore", "Slowest", &[("order", "longest")])}
                {link("/logs", "Logs", &[])}
            </div>
        </header>
    }
    .into_any()
}

fn lay(line: &Sparkline, value: impl Fn(usize) -> Option<f64>) -> (Grid, Vec<Cell>) {
    let grid = Grid { start: line.start_unix_nano, step: line.step_nano.max(1), count: line.requests.len() };
    (grid, (0..grid.count).map(|i| value(i).map_or(Cell::Gap, Cell::Value)).collect())
}

type Value = fn(&Sparkline, usize) -> Option<f64>;

fn rate_of(line: &Sparkline, index: usize) -> Option<f64> {
    Some(*line.requests.get(index)? as f64 * 1e9 / line.step_nano.max(1) as f64)
}

fn errors_of(line: &Sparkline, index: usize) -> Option<f64> {
    let requests = *line.requests.get(index)?;
    (requests > 0).then(|| line.errors.get(index).copied().unwrap_or(0) as f64 / requests as f64)
}

fn p95_of(line: &Sparkline, index: usize) -> Option<f64> {
    line.p95_nano.get(index).copied().flatten().map(|nanos| nanos as f64)
}

fn charts(one: Memo<Option<Arc<Service>>>) -> AnyView {
    view! {
        <div class="red">
            {small_chart("Rate", "--accent", one, rate_of, format::rate)}
            {small_chart("Errors", "--error", one, errors_of, format::percent)}
            {small_chart("Duration p95", "--accent", one, p95_of, |v| format::duration(v as i64))}
        </div>
    }
    .into_any()
}

fn small_chart(
    title: &'static str,
    colour: &'static str,
    one: Memo<Option<Arc<Service>>>,
    value: Value,
    write: fn(f64) -> String,
) -> AnyView {
    let app = App::get();
    let cursor = RwSignal::new(None::<usize>);
    let line = move || one.get().map(|s| lay(&s.sparkline, |i| value(&s.sparkline, i)));
    let drawn = plot::plot(title, cursor, move || {
        let (grid, cells) = line().filter(|(grid, _)| grid.count > 0)?;
        let lines = vec![Line { label: title.into(), colour: colour.into(), stroke: 0, filled: true, cells }];
        Some(Plot { grid, lines, format: Rc::new(write), height: 150.0, from_zero: true, binary: false, stairs: None })
    });
    let now = move || {
        let service = one.get()?;
        let index = cursor.get()?;
        let (grid, _) = lay(&service.sparkline, |_| None);
        let words = value(&service.sparkline, index).map_or_else(|| "–".to_owned(), write);
        Some(format!("{words} at {}", calendar::tick_label(grid.time(index), calendar::SECOND, app.offset())))
    };
    let table = move || {
        let (grid, cells) = line().unwrap_or((Grid { start: 0, step: 1, count: 0 }, Vec::new()));
        let rows = cells.iter().enumerate().map(|(i, cell)| {
            let time = calendar::date_time(grid.time(i), app.offset());
            vec![
                time,
                match cell {
                    Cell::Value(v) => write(*v),
                    _ => "–".into(),
                },
            ]
        });
        Table { heads: vec!["Time".into(), title.into()], rows: rows.collect() }
    };
    chart::framed(title, now, drawn, table)
}

fn operations_table(operations: Load<OperationsResponse>, name: Memo<String>) -> AnyView {
    message::loaded(operations, 6, move |answer| {
        if answer.operations.is_empty() {
            return message::empty(
                "No spans of this service in this range",
                "Choose a wider range with t.",
                ().into_any(),
            );
        }
        let by_rate = order::falling(answer.operations.clone(), |o| o.red.rate);
        let list = order::falling(by_rate, |o| service::sure_error_share(&o.red));
        let name = name.get();
        let rows = list.into_iter().map(|one| operation(&name, one)).collect_view();
        view! {
            <table class="data">
                <thead><tr>
                    <th scope="col" class="left">"Operation"</th><th scope="col" class="left">"Kind"</th>
                    <th scope="col">"Spans"</th><th scope="col">"Rate"</th><th scope="col">"Errors"</th>
                    <th scope="col">"p50"</th><th scope="col">"p95"</th><th scope="col">"p99"</th>
                </tr></thead>
                <tbody>{rows}</tbody>
            </table>
        }
        .into_any()
    })
}

fn operation(service_name: &str, one: Operation) -> AnyView {
    let app = App::get();
    let target = app.href("/explore", &[("service", service_name), ("operation", &one.name)]);
    let link = target.clone();
    let quantile = |nanos: Option<i64>| nanos.map_or_else(|| "–".to_owned(), format::duration);
    let errors = if one.red.error_count == 0 { "–".into() } else { format::percent(service::error_share(&one.red)) };
    let open = move |event: leptos::ev::MouseEvent| {
        if !event.default_prevented() {
            app.go(&target);
        }
    };
    view! {
        <tr class="clickable" data-testid="operation-row" on:click=open>
            <td class="name" title=one.name.clone()><a class="plain" href=link>{one.name.clone()}</a></td>
            <td class="quiet">{tree::kind_word(one.kind)}</td>
            <td class="num">{format::count(one.red.request_count)}</td>
            <td class="num">{format::rate(one.red.rate)}</td>
            <td class="num" class:bad={one.red.error_count > 0}>{errors}</td>
            <td class="num">{quantile(one.red.p50_nano)}</td>
            <td class="num">{quantile(one.red.p95_nano)}</td>
            <td class="num">{quantile(one.red.p99_nano)}</td>
        </tr>
    }
    .into_any()
}
