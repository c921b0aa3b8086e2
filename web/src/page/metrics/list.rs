//! Which metrics are there? A list to search, with kind, unit and last value.

use super::kind_word;
use crate::client::load::Load;
use crate::component::app::{App, Entry};
use crate::component::effect::effect;
use crate::component::virtual_list::{List, virtual_list};
use crate::component::{keys, message};
use crate::state::format;
use crate::state::lower::lower;
use crate::state::metric::suggest;
use crate::state::rows::Heights;
use leptos::prelude::*;
use query_api::metric::{Metric, MetricsResponse, Values};
use std::sync::Arc;

/// Height of a row.
const ROW: f64 = 44.0;
/// What is older than so many nanoseconds is not of now.
const LATELY: i64 = 300_000_000_000;

/// The list.
pub(super) fn list(all: Load<MetricsResponse>, name: Memo<Option<String>>) -> AnyView {
    let app = App::get();
    let wanted = Memo::new(move |_| app.params.with(|p| lower(p.get("q").unwrap_or_default())));
    let fitting =
        Memo::new(move |_| {
            let fits = |m: &&Metric| {
                wanted.with(|w| {
                    w.split_whitespace().all(|w| {
                        let held = [&m.name, &m.description, &m.unit].into_iter().any(|text| lower(text).contains(w));
                        held || kind_word(m).contains(w)
                    })
                })
            };
            Arc::new(all.data.with(|d| {
                d.as_ref().map_or_else(Vec::new, |d| d.metrics.iter().filter(fits).cloned().collect::<Vec<_>>())
            }))
        });
    let generation = RwSignal::new(0u64);
    effect(move || {
        fitting.track();
        generation.update(|g| *g += 1);
    });
    let selected = RwSignal::new(None::<usize>);
    let choose = move |index: usize| {
        if let Some(name) = fitting.with_untracked(|f| f.get(index).map(|m| m.name.clone())) {
            app.change(Entry::Push, |params| {
                params.set("name", Some(&name));
                for gone in ["service", "query", "at", "against"] {
                    params.set(gone, None);
                }
            });
        }
    };
    keys::list_keys(move || fitting.with(|f| f.len()), selected, choose);
    let (rows, _) = virtual_list(List {
        count: Signal::derive(move || fitting.with(|f| f.len())),
        heights: RwSignal::new(Heights::new(ROW)),
        generation: generation.into(),
        reveal: selected.into(),
        role: "listbox",
        label: "Metrics",
        row: move |index| {
            let one = fitting.with_untracked(|f| f.get(index).cloned());
            one.map_or_else(|| ().into_any(), |one| row(index, &one, name, selected, choose))
        },
        foot: ().into_any(),
    });
    let state = move || {
        if let Some(failure) = all.failure.get() {
            return message::failed(&failure, move || all.retry());
        }
        match all.data.get() {
            None => message::skeleton(12),
            Some(d) if d.metrics.is_empty() => {
                message::empty("No metrics in this range", "Choose a wider range with t.", ().into_any())
            }
            Some(_) if fitting.with(|f| f.is_empty()) => message::empty(
                "No metric matches",
                "Search looks at names, descriptions, kinds and units.",
                ().into_any(),
            ),
            Some(_) => ().into_any(),
        }
    };
    let count = move || format::counted(fitting.with(|f| f.len()) as u64, "metric");
    view! {
        <nav class="metric-list" aria-label="Metrics" data-testid="metric-list">
            <input class="search wide" data-query type="search" placeholder="Name, type, unit or description" aria-label="Search metrics" spellcheck="false"
                prop:value=move || app.params.with(|p| p.get("q").unwrap_or_default().to_owned())
                on:input=move |event| app.set(Entry::Replace, "q", Some(&event_target_value(&event))) />
            <p class="quiet small list-words"><span>{count}</span><a href=move || app.href("/cardinality", &[]) data-testid="to-cardinality">"Cardinality"</a></p>
            <div class="fill" class:none=move || fitting.with(|f| f.is_empty())>{rows}</div>
            {state}
        </nav>
    }
    .into_any()
}

fn row(
    index: usize,
    one: &Metric,
    name: Memo<Option<String>>,
    selected: RwSignal<Option<usize>>,
    choose: impl Fn(usize) + 'static,
) -> AnyView {
    let own = one.name.clone();
    let here = move || name.with(|n| n.as_deref() == Some(own.as_str()));
    let chosen = here.clone();
    let unit = format::unit_word(&suggest::own_unit(&one.unit, &one.name));
    let unit = if unit.is_empty() { unit } else { format!(" · {unit}") };
    let about = format!("{}{unit} · {} series", kind_word(one), format::count(one.series_count));
    view! {
        <button class="metric-row" role="option" aria-selected=move || chosen().to_string() class:current=here class:selected=move || selected.get() == Some(index)
            data-testid="metric-row" data-metric=one.name.clone() title=format!("{}\n{}", one.name, one.description) on:click=move |_| choose(index)>
            <span class="mono cutoff">{one.name.clone()}</span>
            <span class="small metric-facts"><span class="quiet cutoff">{about}</span><span data-testid="metric-value">{last(one)}</span></span>
        </button>
    }
    .into_any()
}

/// What a metric is worth now: its value, from the least to the greatest where it has several series; how long ago it was sent where
/// that is not now.
fn last(metric: &Metric) -> String {
    let unit = suggest::own_unit(&metric.unit, &metric.name);
    let written = |value| format::tick(value, &unit);
    match metric.last_values {
        Some(Values { least, greatest }) => {
            let (least, greatest) = (written(least), written(greatest));
            if least == greatest { least } else { format!("{least} – {greatest}") }
        }
        None => {
            let ago = App::get().now.get_untracked().saturating_sub(metric.last_time_unix_nano);
            if ago > LATELY { format::ago(ago) } else { String::new() }
        }
    }
}
