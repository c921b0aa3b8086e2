//! Which trace is this, and can it be trusted? Root, duration, spans, services, errors, start; what is wrong with it.

use super::keyboard::Steered;
use super::view::View;
use crate::component::app::{App, Entry};
use crate::component::text;
use crate::state::trace::critical;
use crate::state::trace::tree::{Row, Trace};
use crate::state::{calendar, format, hue, order};
use leptos::prelude::*;
use query_api::outline::{OutlineRepeat, Repeated};
use query_api::tree::Section;

/// Repeats that are told.
const REPEATS: usize = 3;

/// What the header tells of a trace.
#[derive(Clone, Default)]
pub(super) struct Facts {
    /// Service and name of the first row.
    pub(super) root: (String, String),
    /// Unix nanoseconds.
    pub(super) start: i64,
    /// Nanoseconds.
    pub(super) duration: i64,
    /// Spans, services, levels, errors.
    pub(super) counts: [usize; 4],
    /// The row where the errors began.
    pub(super) origin: Option<usize>,
    /// What is wrong, a sentence each.
    pub(super) warnings: Vec<String>,
    /// What is called again and again.
    pub(super) repeats: Vec<OutlineRepeat>,
    /// The critical path by service: nanoseconds, and the row that was waited for longest.
    pub(super) shares: Vec<(String, i64, Option<usize>)>,
}

/// The header of a trace that is here whole.
pub(super) fn header(view: View) -> AnyView {
    let facts = move || view.trace().map(|trace| Facts::of(&trace, &view.path.get()));
    shown(view.app, view.id, facts, Callback::new(move |row| view.open(row)))
}

impl Facts {
    fn of(trace: &Trace, path: &[Section]) -> Facts {
        let root = trace.rows.first();
        let service = |row: &Row| trace.services[row.service].name.clone();
        let share =
            |(at, nanos): (usize, i64)| (trace.services[at].name.clone(), nanos, critical::longest_of(trace, path, at));
        Facts {
            root: root.map(|row| (service(row), row.span.name.clone())).unwrap_or_default(),
            start: trace.start,
            duration: trace.duration,
            counts: [
                trace.rows.len(),
                trace.services.len(),
                trace.rows.iter().map(|row| row.depth + 1).max().unwrap_or(0),
                trace.errors,
            ],
            origin: trace.origin(),
            warnings: trace.warnings.clone(),
            repeats: trace.repeats.clone(),
            shares: critical::by_service(trace, path).into_iter().enumerate().map(share).collect(),
        }
    }
}

/// The header; `open` shows a row in the timeline.
pub(super) fn shown(
    app: App,
    id: Memo<String>,
    facts: impl Fn() -> Option<Facts> + Send + 'static,
    open: Callback<usize>,
) -> AnyView {
    let shown = move || facts().map(|facts| filled(app, id.get_untracked(), &facts, open));
    view! { <header class="trace-head" data-testid="trace-header">{shown}</header> }.into_any()
}

fn filled(app: App, id: String, facts: &Facts, open: Callback<usize>) -> AnyView {
    let (service, name) = facts.root.clone();
    let [spans, services, deepest, errors] = facts.counts.map(|count| count as u64);
    let errors = if errors > 0 {
        let origin = facts.origin;
        let show = move |_| {
            if let Some(origin) = origin {
                open.run(origin);
            }
        };
        view! {
            <button class="fact error-text plain" title="Shows where they began" data-testid="error-origin" on:click=show>
                <span class="error-mark" aria-hidden="true">"■"</span>{format::counted(errors, "error")}" →"
            </button>
        }
        .into_any()
    } else {
        ().into_any()
    };
    let started = {
        let start = facts.start;
        move || {
            let ago = format::ago(app.now.get().saturating_sub(start));
            format!("{} ({ago})", calendar::date_time(start, app.offset()))
        }
    };
    let copied = id.clone();
    let warnings = facts
        .warnings
        .iter()
        .map(|words| view! { <li><span aria-hidden="true">"▲"</span>{words.clone()}</li> })
        .collect_view();
    view! {
        <div class="trace-title">
            <h1>{text::service_name(&service)}<span class="op">{name}</span></h1>
            <span class="quiet mono small">{id}</span>{text::copy_button("Copy the trace id", move || copied.clone())}
        </div>
        <div class="facts num">
            <span class="fact"><b>{format::duration(facts.duration)}</b></span>
            <span class="fact">{format::counted(spans, "span")}</span>
            <span class="fact">{format::counted(services, "service")}</span>
            <span class="fact">{format!("{deepest} deep")}</span>
            {errors}
            <span class="fact quiet">{started}</span>
        </div>
        {(!facts.warnings.is_empty()).then(|| view! { <ul class="warnings" data-testid="trace-warnings">{warnings}</ul> })}
        {repeats(&facts.repeats, open)}
        {shares(&facts.shares, open)}
    }
    .into_any()
}

/// Calls in a loop, and the same call made twice: those that take longest.
fn repeats(found: &[OutlineRepeat], open: Callback<usize>) -> AnyView {
    if found.is_empty() {
        return ().into_any();
    }
    let more = found.len().saturating_sub(REPEATS);
    let one = |told: &OutlineRepeat| {
        let OutlineRepeat { row, how, count, total_nano, name, parent, .. } = told.clone();
        let how = match how {
            Repeated::Loop => "in a loop",
            Repeated::Retry => "tried again after errors",
            Repeated::Same => "the same call",
        };
        let took = format!(" {how}, {} together, below {parent}", format::duration(total_nano));
        view! {
            <li><span aria-hidden="true">"▲"</span>{format!("{count} × ")}
                <button class="link" title="Shows the first of them" on:click=move |_| open.run(row)>{name}</button>
                {took}
            </li>
        }
    };
    view! {
        <ul class="warnings" data-testid="repeats">
            {found.iter().take(REPEATS).map(one).collect_view()}
            {(more > 0).then(|| view! { <li class="quiet">{format!("{more} more")}</li> })}
        </ul>
    }
    .into_any()
}

/// The critical path by service, as one stacked line.
fn shares(shares: &[(String, i64, Option<usize>)], open: Callback<usize>) -> AnyView {
    let total: i64 = shares.iter().map(|(_, nanos, _)| nanos).sum();
    if total <= 0 || shares.len() < 2 {
        return ().into_any();
    }
    let parts: Vec<_> = shares.iter().filter(|(_, nanos, _)| *nanos > 0).cloned().collect();
    let parts = order::falling(parts, |(_, nanos, _)| *nanos as f64);
    let share = |nanos: i64| nanos as f64 / total as f64;
    let segments = parts.iter().map(|(name, nanos, _)| {
        let title = format!("{name}: {} of the critical path", format::percent(share(*nanos)));
        view! { <i style=format!("width:{:.2}%;--svc:{}", share(*nanos) * 100.0, hue::css(name)) title=title></i> }
    });
    let legend = parts.iter().take(6).map(|(name, nanos, row)| {
        let row = *row;
        let show = move |_| {
            if let Some(row) = row {
                open.run(row);
            }
        };
        view! {
            <button class="legend-item plain" title="Shows the span that was waited for longest" data-testid="critical-share" on:click=show>
                {text::service_name(name)}<span class="quiet num">{format::percent(share(*nanos))}</span>
            </button>
        }
    });
    view! {
        <div class="shares">
            <span class="quiet small">"Critical path"</span>
            <div class="share-bar">{segments.collect_view()}</div>
            <div class="legend">{legend.collect_view()}</div>
        </div>
    }
    .into_any()
}

/// What a tool does.
pub(super) enum Act {
    /// Looks for another text.
    Find(String),
    /// Goes to the next row that holds it, or with -1 to the one before.
    Next(isize),
    /// Closes all rows, or opens them.
    CloseAll(bool),
}

/// What the tools over the rows know.
#[derive(Clone, Copy)]
pub(super) struct Tools {
    /// What is looked for.
    pub(super) wanted: Memo<String>,
    /// How many rows hold it, in words.
    pub(super) found: Signal<String>,
    /// Whether only rows that hold it are shown.
    pub(super) only: Memo<bool>,
    /// What is done.
    pub(super) act: Callback<Act>,
    /// Whether the critical path is drawn.
    pub(super) critical: RwSignal<bool>,
    /// Whether there are rows that can be.
    pub(super) folds: Signal<bool>,
}

/// Search within a trace that is here whole, and switches.
pub(super) fn tools(view: View) -> AnyView {
    let count = move || view.matches.with(|m| found_words(m.len()));
    bar(Tools {
        wanted: view.wanted,
        found: Signal::derive(count),
        act: Callback::new(move |act| match act {
            Act::Find(text) => {
                view.find(&text);
                if let Some(first) = view.matches.get_untracked().first() {
                    view.go_to(*first);
                }
            }
            Act::Next(by) => view.next_match(by),
            Act::CloseAll(close) => view.fold_all(close),
        }),
        only: view.only,
        critical: view.critical,
        folds: Signal::derive(move || view.tab().is_empty()),
    })
}

/// How many rows hold what is looked for.
pub(super) fn found_words(count: usize) -> String {
    format!("{} found", format::count(count as u64))
}

/// Search within the trace, and switches.
pub(super) fn bar(tools: Tools) -> AnyView {
    let Tools { wanted, found, only, act, critical, folds } = tools;
    let some = move || wanted.with(|w| !w.trim().is_empty());
    let count = move || if some() { found.get() } else { String::new() };
    let app = App::get();
    let turn = move |_| app.set(Entry::Replace, "only", (!only.get_untracked()).then_some("matches"));
    let filter = move || {
        (some() && folds.get()).then(|| {
            view! {
                <button class="button" class:on=move || only.get() aria-pressed=move || only.get().to_string() data-testid="only-matches"
                    title="Show only spans that hold it, and what is above them" on:click=turn>"Only these"</button>
            }
        })
    };
    let keys = move |event: leptos::ev::KeyboardEvent| match event.key().as_str() {
        "Enter" => act.run(Act::Next(if event.shift_key() { -1 } else { 1 })),
        "Escape" => act.run(Act::Find(String::new())),
        _ => {}
    };
    let folding = move || {
        folds.get().then(|| {
            view! {
                <button class="button icon" title="Expand all ([)" aria-label="Expand all" on:click=move |_| act.run(Act::CloseAll(false))>"⊞"</button>
                <button class="button icon" title="Collapse all (])" aria-label="Collapse all" on:click=move |_| act.run(Act::CloseAll(true))>"⊟"</button>
            }
        })
    };
    view! {
        <div class="trace-tools">
            <span class="quiet small num">{count}</span>
            <input class="search" type="search" data-query placeholder="Find in trace" prop:value=wanted spellcheck="false"
                aria-label="Find in trace" data-testid="find" on:input=move |event| act.run(Act::Find(event_target_value(&event))) on:keydown=keys />
            {filter}
            <button class="button" class:on=move || critical.get() aria-pressed=move || critical.get().to_string()
                title="Critical path (c)" on:click=move |_| critical.update(|c| *c = !*c)>"Critical path"</button>
            {folding}
        </div>
    }
    .into_any()
}
