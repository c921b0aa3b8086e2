//! What was measured? A list of metrics, and the chosen one drawn as its kind deserves.

mod heatmap;
pub(super) mod lines;
mod list;
mod moment;
mod query;

pub(super) use query::ask;

use crate::client::load::{Load, Old, load};
use crate::component::app::{App, Entry};
use crate::component::combobox::{Field, combobox};
use crate::component::message;
use crate::state::address::Params;
use crate::state::metric::suggest;
use crate::state::time::Range;
use crate::state::{filter, format};
use leptos::prelude::*;
use query_api::metric::{Metric, MetricType, MetricsResponse, Series, SeriesResponse, Temporality};
use std::sync::Arc;

/// Series that are asked for at most.
const LIMIT: u32 = 100_000;

/// The page.
pub(super) fn page() -> AnyView {
    super::title("Metrics");
    let app = App::get();
    let all = load::<MetricsResponse>(Old::Keep, move || Some(filter::ranged("/api/v1/metrics", app.span()?)));
    let name = Memo::new(move |_| app.params.with(|p| p.get("name").map(str::to_owned)));
    let service = Memo::new(move |_| app.params.with(|p| p.get("service").unwrap_or_default().to_owned()));
    let chosen = Memo::new(move |_| {
        let name = name.get()?;
        all.data.with(|d| suggest::meant(&d.as_ref()?.metrics, &name).cloned())
    });
    // Its own, where the address has PromQL's.
    let own = Memo::new(move |_| chosen.with(|m| m.as_ref().map(|m| m.name.clone())).or_else(|| name.get()));
    let asked = query::asked(chosen);
    let is_asked = Memo::new(move |_| asked.query.with(|query| !query.is_empty()));
    let wanted = Memo::new(move |_| {
        if is_asked.get() {
            return None;
        }
        let mut params = Params::default();
        params.set("name", Some(&name.get()?));
        params.set("service", Some(&service.get()));
        filter::within(&mut params, app.span()?);
        params.set("limit", Some(&LIMIT.to_string()));
        Some(params.behind("/api/v1/series"))
    });
    let series = load::<SeriesResponse>(Old::Keep, move || wanted.get());
    view! {
        <div class="page metrics-page">
            {message::progress([all.running, series.running, asked.answer.running])}
            <div class="split">
                {list::list(all, own)}
                <section class="metric">
                    {query::bar(asked)}
                    {move || match own.get() {
                        None if is_asked.get() => ().into_any(),
                        None => message::empty("Choose a metric", "Its kind decides how it is drawn: rates, values, or a heat map with quantiles. Or write a query above.", ().into_any()),
                        Some(name) => view! { {head(name, chosen, service, is_asked)} {query::suggestions(asked, chosen)} }.into_any(),
                    }}
                    {move || match (is_asked.get(), name.with(Option::is_some)) {
                        (true, _) => query::drawing(asked),
                        (false, true) => drawing(series, chosen),
                        (false, false) => ().into_any(),
                    }}
                </section>
            </div>
        </div>
    }
    .into_any()
}

/// The word for a kind of metric.
fn kind_word(metric: &Metric) -> &'static str {
    match metric.r#type {
        MetricType::Gauge => "gauge",
        MetricType::Sum if metric.is_monotonic => "counter",
        MetricType::Sum => "sum",
        MetricType::Histogram => "histogram",
        MetricType::ExponentialHistogram => "exp. histogram",
        MetricType::Summary => "summary",
    }
}

fn head(name: String, chosen: Memo<Option<Metric>>, service: Memo<String>, is_asked: Memo<bool>) -> AnyView {
    let app = App::get();
    let about = move || {
        chosen.get().map(|metric| {
            let temporality = match metric.temporality {
                Temporality::Delta => ", delta",
                Temporality::Cumulative => ", cumulative",
                Temporality::Unspecified => "",
            };
            let unit = format::unit_word(&suggest::own_unit(&metric.unit, &metric.name));
            let unit = if unit.is_empty() { unit } else { format!(" · unit {unit}") };
            let promql = Some(&metric.promql_name).filter(|promql| **promql != metric.name && !promql.is_empty());
            let promql = promql.map(
                |promql| view! { <span class="quiet">" · PromQL "<span class="mono">{promql.clone()}</span></span> },
            );
            let size = format!(
                "{} · {}",
                format::counted(metric.series_count, "series").replace("seriess", "series"),
                format::counted(metric.point_count, "point")
            );
            view! {
                <span class="badge">{kind_word(&metric)}{temporality}</span>
                <span class="quiet">{format!("{size}{unit}")}</span>{promql}
                <p class="quiet description clamped" title=metric.description.clone()>{metric.description.clone()}</p>
            }
        })
    };
    let services = Signal::derive(move || chosen.with(|m| m.as_ref().map_or_else(Vec::new, |m| m.services.clone())));
    let field = combobox(Field {
        label: "Service",
        hint: "all",
        width: 16,
        value: service.into(),
        offers: services,
        chosen: Callback::new(move |text: String| app.set(Entry::Push, "service", Some(&text))),
        testid: "metric-service",
    });
    view! { <header class="metric-head"><div class="grow"><h1 class="mono clamped" title=name.clone()>{name.clone()}</h1>{about}</div><div class:none=is_asked>{field}</div></header> }
        .into_any()
}

fn drawing(load: Load<SeriesResponse>, chosen: Memo<Option<Metric>>) -> AnyView {
    let app = App::get();
    message::loaded(load, 8, move |answer| {
        // The range is the one that the answer was asked for; it is not followed, lest old data move.
        let Some(range) = untrack(|| app.span()) else { return ().into_any() };
        if answer.series.iter().all(|one| one.points.is_empty()) {
            let widen = view! { <button class="button" on:click=move |_| app.look_at("now-24h", "now")>"Look at the last 24 hours"</button> };
            return message::empty(
                "No points in this range",
                "The metric was not sent then, or not by this service.",
                widen.into_any(),
            );
        }
        let cut = answer.truncated.then(|| message::partial("There is more than one answer may hold: some series or points are missing. Narrow the range or the service.".into()));
        let wanted = untrack(|| chosen.get());
        view! { {cut} {by_kind(&answer, wanted.as_ref(), range)} }.into_any()
    })
}

/// Draws the series of one kind; others of the same name are told, not mixed in.
fn by_kind(answer: &SeriesResponse, wanted: Option<&Metric>, range: Range) -> AnyView {
    let kind = wanted.map(|m| m.r#type).or(answer.series.first().map(|s| s.r#type)).unwrap_or_default();
    let told = answer.series.iter().map(|one| suggest::as_told(one, wanted));
    let (series, others): (Vec<Series>, Vec<Series>) = told.partition(|s| s.r#type == kind);
    let told = (!others.is_empty()).then(|| {
        message::partial(format!(
            "{} of another kind have the same name and are not drawn.",
            format::count(others.len() as u64)
        ))
    });
    let series = Arc::new(series);
    let drawn = match kind {
        MetricType::Gauge | MetricType::Sum => lines::numbers(series, range),
        MetricType::Summary => lines::summary(series, range),
        MetricType::Histogram | MetricType::ExponentialHistogram => heatmap::histogram(series, range),
    };
    view! { {told} {drawn} }.into_any()
}
