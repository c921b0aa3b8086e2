//! Which trace is this, and can it be trusted? Root, duration, spans, services, errors, start; what is wrong with it.

use super::view::View;
use crate::component::text;
use crate::state::trace::critical;
use crate::state::trace::repeat::{self, How, Repeat};
use crate::state::trace::tree::Trace;
use crate::state::{calendar, format, hue, order};
use leptos::prelude::*;
use std::sync::Arc;

/// Repeats that are told.
const REPEATS: usize = 3;

/// The header.
pub(super) fn header(view: View) -> AnyView {
    let shown = move || view.trace().map(|trace| filled(view, trace));
    view! { <header class="trace-head" data-testid="trace-header">{shown}</header> }.into_any()
}

fn filled(view: View, trace: Arc<Trace>) -> AnyView {
    let root = trace.rows.first();
    let service = root.map_or("", |row| trace.services[row.service].name.as_str());
    let name = root.map_or_else(String::new, |row| row.span.name.clone());
    let errors = if trace.errors > 0 {
        let origin = trace.origin();
        let show = move |_| {
            if let Some(origin) = origin {
                view.open(origin);
            }
        };
        view! {
            <button class="fact error-text plain" title="Shows where they began" data-testid="error-origin" on:click=show>
                <span class="error-mark" aria-hidden="true">"■"</span>{format::counted(trace.errors as u64, "error")}" →"
            </button>
        }
        .into_any()
    } else {
        ().into_any()
    };
    let started = {
        let start = trace.start;
        move || {
            let ago = format::ago(view.app.now.get().saturating_sub(start));
            format!("{} ({ago})", calendar::date_time(start, view.app.offset()))
        }
    };
    let id = view.id.get_untracked();
    let copied = id.clone();
    let warnings = trace
        .warnings
        .iter()
        .map(|words| view! { <li><span aria-hidden="true">"▲"</span>{words.clone()}</li> })
        .collect_view();
    let deepest = trace.rows.iter().map(|row| row.depth + 1).max().unwrap_or(0);
    view! {
        <div class="trace-title">
            <h1>{text::service_name(service)}<span class="op">{name}</span></h1>
            <span class="quiet mono small">{id}</span>{text::copy_button("Copy the trace id", move || copied.clone())}
        </div>
        <div class="facts num">
            <span class="fact"><b>{format::duration(trace.duration)}</b></span>
            <span class="fact">{format::counted(trace.rows.len() as u64, "span")}</span>
            <span class="fact">{format::counted(trace.services.len() as u64, "service")}</span>
            <span class="fact">{format!("{deepest} deep")}</span>
            {errors}
            <span class="fact quiet">{started}</span>
        </div>
        {(!trace.warnings.is_empty()).then(|| view! { <ul class="warnings" data-testid="trace-warnings">{warnings}</ul> })}
        {repeats(view, &trace)}
        {shares(view, &trace)}
    }
    .into_any()
}

/// Calls in a loop, and the same call made twice: those that take longest.
fn repeats(view: View, trace: &Trace) -> AnyView {
    let found = repeat::repeats(trace);
    if found.is_empty() {
        return ().into_any();
    }
    let more = found.len().saturating_sub(REPEATS);
    let one = |repeat: &Repeat| {
        let (first, parent) = (&trace.rows[repeat.first], &trace.rows[repeat.parent]);
        let how = match repeat.how {
            How::Loop => "in a loop",
            How::Same => "the same call",
            How::Retry => "tried again after errors",
        };
        let took = format!("{}, {} together", how, format::duration(repeat.total));
        let by = format!("{} {}", trace.services[parent.service].name, parent.span.name);
        let at = repeat.first;
        let open = move |_| view.open(at);
        view! {
            <li><span aria-hidden="true">"▲"</span>{format!("{} × ", repeat.count)}
                <button class="link" title=format!("Called by {by}. Shows the first of them") on:click=open>{first.span.name.clone()}</button>
                {format!(" {took}")}
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
fn shares(view: View, trace: &Trace) -> AnyView {
    let path = view.path.get();
    let shares = critical::by_service(trace, &path);
    let total: i64 = shares.iter().sum();
    if total <= 0 || trace.services.len() < 2 {
        return ().into_any();
    }
    let parts: Vec<(usize, i64)> = shares.into_iter().enumerate().filter(|(_, share)| *share > 0).collect();
    let parts = order::falling(parts, |(_, share)| *share as f64);
    let share = |(index, nanos): &(usize, i64)| (trace.services[*index].name.clone(), *nanos as f64 / total as f64);
    let segments = parts.iter().map(share).map(|(name, share)| {
        let title = format!("{name}: {} of the critical path", format::percent(share));
        view! { <i style=format!("width:{:.2}%;--svc:{}", share * 100.0, hue::css(&name)) title=title></i> }
    });
    let legend = parts.iter().take(6).map(|part| {
        let ((name, share), row) = (share(part), critical::longest_of(trace, &path, part.0));
        let show = move |_| {
            if let Some(row) = row {
                view.open(row);
            }
        };
        view! {
            <button class="legend-item plain" title="Shows the span that was waited for longest" data-testid="critical-share" on:click=show>
                {text::service_name(&name)}<span class="quiet num">{format::percent(share)}</span>
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

/// Search within the trace, and switches.
pub(super) fn tools(view: View) -> AnyView {
    let count = move || {
        let found = view.matches.with(|m| m.len());
        if view.wanted.with(|w| w.trim().is_empty()) {
            String::new()
        } else {
            format!("{} found", format::count(found as u64))
        }
    };
    let typed = move |text: String| {
        view.find(&text);
        if let Some(first) = view.matches.get_untracked().first() {
            view.go_to(*first);
        }
    };
    let keys = move |event: leptos::ev::KeyboardEvent| match event.key().as_str() {
        "Enter" => super::keyboard::next_match(view, if event.shift_key() { -1 } else { 1 }),
        "Escape" => view.find(""),
        _ => {}
    };
    let folds = move || view.tab().is_empty();
    view! {
        <div class="trace-tools">
            <span class="quiet small num">{count}</span>
            <input class="search" type="search" data-query placeholder="Find in trace" prop:value=view.wanted spellcheck="false"
                aria-label="Find in trace" data-testid="find" on:input=move |event| typed(event_target_value(&event)) on:keydown=keys />
            <button class="button" class:on=move || view.critical.get() aria-pressed=move || view.critical.get().to_string()
                title="Critical path (c)" on:click=move |_| view.critical.update(|c| *c = !*c)>"Critical path"</button>
            {move || folds().then(|| folding(view))}
        </div>
    }
    .into_any()
}

fn folding(view: View) -> AnyView {
    let close = move |_| {
        if let Some(trace) = view.trace_now() {
            view.closed.set(trace.all_closed());
        }
    };
    view! {
        <button class="button icon" title="Expand all ([)" aria-label="Expand all" on:click=move |_| view.closed.update(|c| c.clear())>"⊞"</button>
        <button class="button icon" title="Collapse all (])" aria-label="Collapse all" on:click=close>"⊟"</button>
    }
    .into_any()
}
