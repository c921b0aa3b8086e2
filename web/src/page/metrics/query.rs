//! How is PromQL asked? An editor on top, what the metric's kind deserves as suggestions, and the answer as lines or a heat map.

use super::{heatmap, lines};
use crate::client::load::{Load, Old, load};
use crate::component::app::{App, Entry};
use crate::component::editor::{Editor, editor};
use crate::component::message;
use crate::state::address::{self, Params};
use crate::state::metric::answer::{self, ExemplarAnswer, RangeAnswer};
use crate::state::metric::suggest;
use crate::state::query::complete::What;
use crate::state::query::{Language, fault};
use crate::state::time::Range;
use leptos::prelude::*;
use query_api::metric::{Exemplar, Metric};
use std::sync::Arc;

const ROOT: &str = "/prometheus/api/v1";

/// An answer of a query, with what else is drawn of it.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) query: Memo<String>,
    pub(super) answer: Load<RangeAnswer>,
    exemplars: Load<ExemplarAnswer>,
}

/// Asks what the URL says; where it says nothing, what shows a metric that has no points of its own.
pub(super) fn asked(chosen: Memo<Option<Metric>>) -> Asked {
    let app = App::get();
    let query = Memo::new(move |_| {
        let said = app.params.with(|p| p.get("query").map(str::to_owned));
        said.or_else(|| chosen.with(|m| suggest::of_parts(m.as_ref()?))).unwrap_or_default()
    });
    let path = move |end: &'static str, step: bool| {
        move || {
            let query = query.get();
            if query.is_empty() {
                return None;
            }
            let range = app.span()?;
            let mut params = Params::default();
            params.set("query", Some(&query));
            within(&mut params, range);
            if step {
                params.set("step", Some(&answer::step_seconds(range).to_string()));
            }
            Some(params.behind(&format!("{ROOT}/{end}")))
        }
    };
    Asked {
        query,
        answer: load::<RangeAnswer>(Old::Keep, path("query_range", true)),
        exemplars: load::<ExemplarAnswer>(Old::Forget, path("query_exemplars", false)),
    }
}

fn within(params: &mut Params, range: Range) {
    let seconds =
        |nanos: i64| format!("{}.{:03}", nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000) / 1_000_000);
    params.set("start", Some(&seconds(range.start)));
    params.set("end", Some(&seconds(range.end)));
}

/// The editor.
pub(super) fn bar(asked: Asked) -> AnyView {
    let app = App::get();
    let run = move |text: String| {
        let text = text.trim().to_owned();
        if text == asked.query.get_untracked() {
            app.refresh();
        }
        app.set(Entry::Push, "query", Some(&text));
    };
    let wrong = move || asked.answer.failure.get().filter(|f| f.status == 400).map(|f| fault::read(&f.message));
    editor(Editor {
        label: "PromQL query",
        hint: "PromQL: sum by (job) (rate(http_requests_total[5m]))",
        language: Language::PromQl,
        value: asked.query.into(),
        fault: Signal::derive(wrong),
        ask,
        run: Callback::new(run),
        testid: "promql",
    })
}

/// Queries that the chosen metric deserves.
pub(super) fn suggestions(asked: Asked, chosen: Memo<Option<Metric>>) -> AnyView {
    let app = App::get();
    let suggestions = move || {
        let metric = chosen.get()?;
        let one = move |suggestion: suggest::Suggestion| {
            let query = suggestion.query;
            let (own, title) = (query.clone(), query.clone());
            let here = Memo::new(move |_| asked.query.with(|asked| *asked == own));
            view! {
                <button class="chip-button" class:current=here aria-pressed=move || here.get().to_string() title=title data-testid="suggestion"
                    on:click=move |_| app.set(Entry::Push, "query", Some(query.as_str()).filter(|_| !here.get_untracked()))>{suggestion.words}</button>
            }
        };
        let stored = move || asked.query.with(String::is_empty);
        let measured = (!metric.is_in_parts).then(|| {
            view! {
                <button class="chip-button" class:current=stored aria-pressed=move || stored().to_string()
                    on:click=move |_| app.set(Entry::Push, "query", None)>"As measured"</button>
            }
        });
        Some(view! {
            <div class="suggestions" role="group" aria-label="Queries for this metric">
                {measured}
                {suggest::queries(&metric).into_iter().map(one).collect_view()}
            </div>
        })
    };
    view! { {suggestions} }.into_any()
}

/// What tells names, labels and values.
pub(in crate::page) fn ask(what: &What, _: &str) -> Option<String> {
    let (path, metric) = match what {
        What::Metric => (format!("{ROOT}/label/__name__/values"), ""),
        What::Label(metric) => (format!("{ROOT}/labels"), metric.as_str()),
        What::LabelValue(metric, label) => (format!("{ROOT}/label/{}/values", address::encode(label)), metric.as_str()),
        _ => return None,
    };
    let mut params = Params::default();
    within(&mut params, App::get().range.get_untracked().ok()?);
    params.set("match[]", Some(metric));
    Some(params.behind(&path))
}

/// The answer.
pub(super) fn drawing(asked: Asked) -> AnyView {
    let app = App::get();
    let failed = move || {
        // What is wrong with the query is said below it.
        let failure = asked.answer.failure.get().filter(|failure| failure.status != 400)?;
        Some(message::failed(&failure, move || asked.answer.retry()))
    };
    let body = move || {
        let Some(answer) = asked.answer.data.get() else {
            let wrong = asked.answer.failure.with(Option::is_some);
            return if wrong { ().into_any() } else { message::skeleton(8) };
        };
        let Some(range) = untrack(|| app.span()) else { return ().into_any() };
        let exemplars = asked.exemplars.data.with(|d| d.as_ref().map_or_else(Vec::new, |d| answer::exemplars(d)));
        drawn(&answer, &untrack(|| asked.query.get()), range, exemplars)
    };
    view! { {failed}{message::of_before(asked.answer, asked.query)}<div class="answer" class:stale=move || asked.answer.is_old()>{body}</div> }
        .into_any()
}

fn drawn(answer: &Arc<RangeAnswer>, query: &str, range: Range, exemplars: Vec<Exemplar>) -> AnyView {
    let app = App::get();
    let notes = answer.warnings.iter().chain(&answer.infos).cloned().map(message::partial).collect_view();
    let found = &answer.data.result;
    if found.is_empty() {
        let widen = view! { <button class="button" on:click=move |_| app.look_at("now-24h", "now")>"Look at the last 24 hours"</button> };
        return message::empty(
            "No series in this range",
            "The query is right, but nothing that it names was sent then.",
            widen.into_any(),
        );
    }
    let unit = suggest::unit(query);
    let step = i64::try_from(answer::step_seconds(range)).unwrap_or(1).saturating_mul(1_000_000_000);
    let shown = if answer::is_histogram(found) {
        let unit = suggest::unit(&query.replace("rate(", "("));
        heatmap::of_heat(Arc::new(answer::heat(found, range, step)), unit, range, &exemplars, heatmap::Count::of(query))
    } else {
        lines::answered(found, unit, range, exemplars)
    };
    view! { {notes}{shown} }.into_any()
}
