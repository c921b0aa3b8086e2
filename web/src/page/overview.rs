//! How are the services? A table, worst first; or, with no data yet, how to send some.

use super::welcome;
use crate::client::load::{Load, Old, load};
use crate::component::app::{App, Entry};
use crate::component::{keys, message, text};
use crate::state::service::{self, By, Change};
use crate::state::{calendar, filter, format};
use leptos::prelude::*;
use leptos::web_sys;
use query_api::service::{Red, Service, ServicesResponse, Sparkline};
use query_api::status::StatusResponse;

/// The page.
pub(super) fn page() -> AnyView {
    super::title("Overview");
    let app = App::get();
    let services = load::<ServicesResponse>(Old::Keep, move || Some(filter::ranged("/api/v1/services", app.span()?)));
    let status = load::<StatusResponse>(Old::Keep, || Some("/api/v1/status".into()));
    let never = Memo::new(move |_| {
        let no_rows = status.data.with(|s| s.as_ref().is_some_and(|s| s.signals.iter().all(|signal| signal.rows == 0)));
        no_rows && services.data.with(|s| s.as_ref().is_none_or(|s| s.services.is_empty()))
    });
    // A first request may hold no span: until one is here, go on looking.
    let quiet = Memo::new(move |_| services.data.with(|s| s.as_ref().is_none_or(|s| s.services.is_empty())));
    welcome::watch(app, status, quiet);
    let body = move || if never.get() { welcome::welcome(status) } else { table_or_reason(services, status) };
    view! {
        <div class="page">
            {message::progress([services.running])}
            {body}
        </div>
    }
    .into_any()
}

fn table_or_reason(services: Load<ServicesResponse>, status: Load<StatusResponse>) -> AnyView {
    let app = App::get();
    let order = Memo::new(move |_| app.params.with(|p| By::named(p.get("sort").unwrap_or_default())));
    message::loaded(services, 8, move |answer| {
        if answer.services.is_empty() {
            return nothing_here(status);
        }
        let list = service::sorted(answer.services.clone(), order.get());
        view! { {sentence(&list)} {table(list)} }.into_any()
    })
}

/// What the page shows, in one sentence of data.
fn sentence(list: &[Service]) -> AnyView {
    let requests: u64 = list.iter().map(|s| s.red.request_count).sum();
    let errors: u64 = list.iter().map(|s| s.red.error_count).sum();
    let failing = list.iter().filter(|s| s.red.error_count > 0).count();
    let worst = if failing > 0 { format!(", {failing} with errors") } else { String::new() };
    let share = if requests > 0 { errors as f64 / requests as f64 } else { 0.0 };
    view! {
        <header class="page-head">
            <h1>"Services"</h1>
            <p class="quiet">{format!(
                "{}{worst} · {} requests, {} failed", format::counted(list.len() as u64, "service"), format::count(requests),
                format::percent(share)
            )}</p>
        </header>
    }
    .into_any()
}

/// No service in the range: says where the last data is.
fn nothing_here(status: Load<StatusResponse>) -> AnyView {
    let app = App::get();
    let last = status
        .data
        .with(|s| s.as_ref()?.signals.iter().find(|signal| signal.signal == "spans")?.max_time.map(|time| time.0));
    let Some(last) = last else {
        let widen = view! { <button class="button" on:click=move |_| app.look_at("now-7d", "now")>"Look at the last 7 days"</button> };
        return message::empty(
            "No spans in this range",
            "Other signals have arrived, spans have not.",
            widen.into_any(),
        );
    };
    let why = format!(
        "The newest span is from {} ({}).",
        calendar::date_time(last, app.offset()),
        format::ago(app.now.get().saturating_sub(last))
    );
    let go = move |_| app.zoom_to(last.saturating_sub(calendar::HOUR), last.saturating_add(calendar::SECOND));
    let action = view! { <button class="button primary" on:click=go>"Go to the last data →"</button> };
    message::empty("No spans in this range", why, action.into_any())
}

fn table(list: Vec<Service>) -> AnyView {
    let app = App::get();
    let selected = RwSignal::new(None::<usize>);
    let hrefs: Vec<String> = list.iter().map(|s| href(app, &s.name)).collect();
    let count = hrefs.len();
    let target = hrefs.clone();
    keys::list_keys(
        move || count,
        selected,
        move |at| {
            if let Some(href) = target.get(at) {
                app.go(href);
            }
        },
    );
    let busiest = list.iter().flat_map(|s| s.sparkline.requests.iter().copied()).max().unwrap_or(0);
    let rows = list.into_iter().enumerate().map(|(index, one)| row(index, &one, busiest, selected)).collect_view();
    view! {
        <table class="data services" data-testid="services">
            <thead><tr>
                {head("Service", "name", "left")}
                <th scope="col" class="left">"Requests over time"</th>
                {head("Rate", "rate", "")}
                {head("Errors", "errors", "")}
                {head("p50", "p50", "")}
                {head("p95", "p95", "")}
                {head("p99", "p99", "")}
                <th scope="col" class="left">"Seen"</th>
            </tr></thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}

fn head(name: &'static str, key: &'static str, class: &'static str) -> AnyView {
    let app = App::get();
    let here = move || app.params.with(|p| p.get("sort") == Some(key));
    let choose = move |_| app.set(Entry::Push, "sort", (!here()).then_some(key));
    view! {
        <th scope="col" class=class aria-sort=move || if here() { "descending" } else { "none" }>
            <button class="sort" class:current=here on:click=choose title="Sort by this; again: worst first">{name}</button>
        </th>
    }
    .into_any()
}

fn href(app: App, name: &str) -> String {
    app.href("/service", &[("name", name)])
}

fn row(index: usize, one: &Service, busiest: u64, selected: RwSignal<Option<usize>>) -> AnyView {
    let app = App::get();
    let name = one.name.clone();
    let target = href(app, &name);
    let link = target.clone();
    let before = one.previous.clone().unwrap_or_default();
    let (red, counts) = (one.red.clone(), (one.red.request_count, before.request_count));
    let seen = format::ago(app.now.get_untracked().saturating_sub(one.last_seen_unix_nano));
    let more = match (&one.version, one.instance_count) {
        (Some(version), n) if n > 1 => format!("{version} · {n} instances"),
        (Some(version), _) => version.clone(),
        (None, n) if n > 1 => format!("{n} instances"),
        _ => String::new(),
    };
    let open = move |event: web_sys::MouseEvent| {
        if !event.default_prevented() {
            app.go(&target);
        }
    };
    view! {
        <tr class="clickable" class:selected=move || selected.get() == Some(index) on:click=open
            data-testid="service-row" data-service=name.clone()>
            <td><a class="plain" href=link>{text::service_name(&name)}</a><span class="quiet small after cutoff" title=more.clone()>{more.clone()}</span></td>
            <td>{sparkline(&one.sparkline, busiest)}</td>
            <td class="num">{change(service::rate_change(&red, &before), Tone::Neutral)}{format::rate(red.rate)}</td>
            <td class="num" class:bad={service::sure_error_share(&red) > 0.001}>{errors(&red, &before)}</td>
            {quantile(red.p50_nano, before.p50_nano, counts)}
            {quantile(red.p95_nano, before.p95_nano, counts)}
            {quantile(red.p99_nano, before.p99_nano, counts)}
            <td class="quiet">{seen}</td>
        </tr>
    }
    .into_any()
}

fn errors(red: &Red, before: &Red) -> AnyView {
    let moved = match service::error_change(red, before) {
        Change::Moved(points) => {
            let class = if points > 0.0 { "change worse" } else { "change better" };
            let arrow = if points > 0.0 { "▲" } else { "▼" };
            let words = format!("{arrow} {:.1} pt", points.abs() * 100.0);
            view! { <span class=class title="Points more or less than in the range before">{words}</span> }.into_any()
        }
        Change::Quiet => ().into_any(),
    };
    let text = if red.error_count == 0 { "–".to_owned() } else { format::percent(service::error_share(red)) };
    let mark = (service::sure_error_share(red) > 0.001)
        .then(|| view! { <span class="error-mark" aria-label="failing">"■"</span> });
    view! { {moved}{mark}{text} }.into_any()
}

fn quantile(now: Option<i64>, before: Option<i64>, counts: (u64, u64)) -> AnyView {
    let text = now.map_or_else(|| "–".to_owned(), format::duration);
    let moved = service::quantile_change(now, before, counts);
    view! { <td class="num">{change(moved, Tone::LessIsBetter)}{text}</td> }.into_any()
}

/// What a rise means.
#[derive(Clone, Copy)]
enum Tone {
    /// Neither good nor bad.
    Neutral,
    /// Bad.
    LessIsBetter,
}

fn change(change: Change, tone: Tone) -> AnyView {
    let Change::Moved(share) = change else { return ().into_any() };
    let class = match tone {
        Tone::Neutral => "change",
        Tone::LessIsBetter if share > 0.0 => "change worse",
        Tone::LessIsBetter => "change better",
    };
    let words = if share >= 1.5 {
        format!("▲ {}×", format::significant(share + 1.0))
    } else {
        format!("{} {}", if share > 0.0 { "▲" } else { "▼" }, format::percent(share.abs()))
    };
    view! { <span class=class title="Against the range before, of equal length">{words}</span> }.into_any()
}

/// A small chart of requests per step, with errors below the line in red.
fn sparkline(line: &Sparkline, busiest: u64) -> AnyView {
    const WIDTH: f64 = 160.0;
    const HEIGHT: f64 = 22.0;
    let own = line.requests.iter().copied().max().unwrap_or(0);
    if own == 0 {
        return ().into_any();
    }
    // A tenth of the busiest service's height is the least that a line gets, so that small services have a shape.
    let top = (own as f64).max(busiest as f64 * 0.02);
    let count = line.requests.len().max(1);
    let x = |index: usize| WIDTH * index as f64 / count as f64;
    let area = |values: &[u64]| {
        let mut path = format!("M0 {HEIGHT}");
        for (index, value) in values.iter().enumerate() {
            let y = HEIGHT - (HEIGHT - 2.0) * (*value as f64 / top).min(1.0);
            path.push_str(&format!("L{:.1} {y:.1}L{:.1} {y:.1}", x(index), x(index + 1)));
        }
        path.push_str(&format!("L{WIDTH} {HEIGHT}Z"));
        path
    };
    let label = format!("up to {} in {}", format::counted(own, "request"), format::duration(line.step_nano));
    let title = label.clone();
    view! {
        <svg class="sparkline" viewBox=format!("0 0 {WIDTH} {HEIGHT}") width=WIDTH height=HEIGHT role="img" aria-label=label>
            <title>{title}</title>
            <path class="spark" d=area(&line.requests)></path>
            <path class="spark-errors" d=area(&line.errors)></path>
        </svg>
    }
    .into_any()
}
