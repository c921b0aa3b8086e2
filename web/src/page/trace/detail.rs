//! What is known of one span? Its times, outcome, attributes, events, links, and what was logged within it.

use super::view::{View, log_range};
use crate::client::load::{Old, load};
use crate::component::app::{App, store, stored};
use crate::component::{attributes, message, text};
use crate::state::filter::LogFilter;
use crate::state::log::{Level, line};
use crate::state::trace::flaws;
use crate::state::trace::tree::{Trace, kind_word};
use crate::state::{attribute, calendar, format, hue, number};
use leptos::prelude::*;
use leptos::web_sys;
use query_api::log::{LogRecord, LogsResponse};
use query_api::otlp::{Event, Link, Resource, Scope, Span};
use query_api::outline::OutlineFlaw;
use std::sync::Arc;

/// A span, with all that is told of it.
pub(super) struct Seen {
    /// The span as it was sent.
    pub(super) span: Span,
    /// Its resource.
    pub(super) resource: Resource,
    /// Its scope.
    pub(super) scope: Scope,
    /// The name of its service.
    pub(super) service: String,
    /// Nanoseconds after the start of the trace.
    pub(super) start: i64,
    /// Nanoseconds; zero when it ends before it starts.
    pub(super) duration: i64,
    /// Nanoseconds that no child covers.
    pub(super) self_time: i64,
    /// Id and name of the span above it.
    pub(super) parent: Option<(String, String)>,
    /// Why it stands at the top, if it should not.
    pub(super) flaw: Option<OutlineFlaw>,
    /// Start of its trace in Unix nanoseconds, and how long that takes.
    pub(super) lasting: (i64, i64),
}

/// Where a panel stands: what it needs of its page.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) app: App,
    /// The trace's id.
    pub(super) id: Memo<String>,
    /// Selects a span by its id, or nothing.
    pub(super) select: Callback<Option<String>>,
}

impl Seen {
    fn of(trace: &Trace, at: usize) -> Option<Seen> {
        let one = trace.rows.get(at)?;
        let parent = one.parent.map(|parent| &trace.rows[parent].span);
        Some(Seen {
            span: one.span.clone(),
            resource: trace.resources[one.resource].clone(),
            scope: trace.scopes[one.scope].clone(),
            service: trace.services[one.service].name.clone(),
            start: one.start,
            duration: one.duration,
            self_time: one.self_time,
            parent: parent.map(|parent| (parent.span_id.clone(), parent.name.clone())),
            flaw: one.flaw,
            lasting: (trace.start, trace.duration),
        })
    }
}

/// The panel at the side of a trace that is here whole.
pub(super) fn panel(view: View) -> AnyView {
    let select = move |id: Option<String>| view.select(id.and_then(|id| view.trace_now()?.row_of(&id)));
    let place = Place { app: view.app, id: view.id, select: Callback::new(select) };
    let seen = move || Some(Arc::new(Seen::of(&*view.trace()?, view.selected.get()?)?));
    beside(move || seen().map(|seen| content(place, seen)))
}

/// The panel; nothing while there is nothing in it.
pub(super) fn beside(content: impl Fn() -> Option<AnyView> + Send + 'static) -> AnyView {
    let width = RwSignal::new(stored("panel").and_then(|w| number::read(&w)).unwrap_or(520.0).clamp(320.0, 1_000.0));
    let shown = move || {
        let content = content()?;
        Some(view! {
            <aside class="panel" style=format!("width:{}px", width.get_untracked()) aria-label="Details of the span" data-testid="span-details">
                {grip(width)}
                {content}
            </aside>
        })
    };
    view! { {shown} }.into_any()
}

fn grip(width: RwSignal<f64>) -> AnyView {
    let from = RwSignal::new(None::<(f64, f64)>);
    let node: NodeRef<leptos::html::Div> = NodeRef::new();
    let apply = move || {
        let parent = node.get_untracked().and_then(|element| element.parent_element());
        if let Some(panel) = parent {
            panel.set_attribute("style", &format!("width:{}px", width.get_untracked())).ok();
        }
    };
    let pressed = move |event: web_sys::PointerEvent| {
        if let Some(element) = node.get_untracked() {
            element.set_pointer_capture(event.pointer_id()).ok();
        }
        from.set(Some((f64::from(event.client_x()), width.get_untracked())));
    };
    let moved = move |event: web_sys::PointerEvent| {
        if let Some((x, before)) = from.get_untracked() {
            width.set((before - f64::from(event.client_x()) + x).clamp(320.0, 1_000.0));
            apply();
        }
    };
    let released = move |_: web_sys::PointerEvent| {
        from.set(None);
        store("panel", &width.get_untracked().to_string());
    };
    view! { <div class="grip" node_ref=node role="separator" aria-orientation="vertical" aria-label="Width of the panel"
    on:pointerdown=pressed on:pointermove=moved on:pointerup=released></div> }
    .into_any()
}

/// What is in the panel.
pub(super) fn content(place: Place, one: Arc<Seen>) -> AnyView {
    let wanted = RwSignal::new(String::new());
    let (service, resource, scope) = (one.service.clone(), &one.resource, &one.scope);
    let app = place.app;
    let by =
        Some(Callback::new(move |(key, value): (&'static str, String)| app.href("/explore", &[(key, value.as_str())])));
    let scope_name = match (scope.name.as_str(), scope.version.as_str()) {
        ("", _) => "Scope".to_owned(),
        (name, "") => format!("Scope {name}"),
        (name, version) => format!("Scope {name} {version}"),
    };
    let scope_head =
        scope.attributes.is_empty().then(|| view! { <p class="quiet small scope-line">{scope_name.clone()}</p> });
    view! {
        <header class="panel-head" style=format!("--svc:{}", hue::css(&service))>
            <div class="panel-title">
                <h2>{one.span.name.clone()}</h2>
                <button class="button icon" aria-label="Close (esc)" title="Close (esc)" on:click=move |_| place.select.run(None)>"×"</button>
            </div>
            <div class="panel-sub">{text::service_name(&service)}<span class="badge">{kind_word(one.span.kind)}</span></div>
        </header>
        <div class="panel-body" tabindex="0">
            {facts(place, &one)}
            {outcome(&one.span)}
            <input class="search wide" type="search" placeholder="Search attributes" prop:value=wanted spellcheck="false"
                aria-label="Search attributes" on:input=move |event| wanted.set(event_target_value(&event)) />
            {attributes::group("Span", &one.span.attributes, one.span.dropped_attributes_count, wanted.into(), by)}
            {events(&one, wanted)}
            {links(place, &one.span)}
            {attributes::group("Resource", &resource.attributes, resource.dropped_attributes_count, wanted.into(), by)}
            {attributes::group(&scope_name, &scope.attributes, scope.dropped_attributes_count, wanted.into(), None)}
            {scope_head}
            {logs(place, &one)}
        </div>
    }
    .into_any()
}

fn facts(place: Place, one: &Seen) -> AnyView {
    let unix = one.lasting.0.saturating_add(one.start);
    let share = if one.lasting.1 > 0 { one.duration as f64 / one.lasting.1 as f64 } else { 0.0 };
    let parent = match (one.parent.clone(), one.flaw) {
        (Some((id, name)), _) => {
            view! { <button class="link" on:click=move |_| place.select.run(Some(id.clone()))>{name}</button> }.into_any()
        }
        (None, Some(flaw)) => view! { <span class="mono">{one.span.parent_span_id.clone()}</span><span class="flaw-words">" ▲ "{flaws::words(flaw)}</span> }.into_any(),
        (None, None) => view! { <span class="quiet">"none: this is a root"</span> }.into_any(),
    };
    let id = one.span.span_id.clone();
    let copied = id.clone();
    let service = one.service.as_str();
    let (of_service, like_it) = (
        place.app.href("/explore", &[("service", service)]),
        place.app.href("/explore", &[("service", service), ("operation", &one.span.name)]),
    );
    let state = (!one.span.trace_state.is_empty())
        .then(|| view! { <dt>"Trace state"</dt><dd class="mono">{text::long_text(one.span.trace_state.clone())}</dd> });
    let offset = place.app.offset();
    view! {
        <dl class="facts-list num">
            <dt>"Duration"</dt><dd><b>{format::duration(one.duration)}</b><span class="quiet">{format!(" · {} of the trace", format::percent(share))}</span></dd>
            <dt>"Self time"</dt><dd>{format::duration(one.self_time)}</dd>
            <dt>"Start"</dt><dd>{calendar::date_time(unix, offset)}<span class="quiet">{format!(" · +{}", format::duration(one.start))}</span></dd>
            <dt>"Parent"</dt><dd>{parent}</dd>
            <dt>"Span id"</dt><dd class="mono">{id}{text::copy_button("Copy the span id", move || copied.clone())}</dd>
            {state}
            <dt>"Find"</dt><dd class="links"><a href=like_it>"traces like it"</a><a href=of_service>"of this service"</a></dd>
        </dl>
    }
    .into_any()
}

fn outcome(span: &Span) -> AnyView {
    match span.status.code {
        2 => {
            let message = if span.status.message.is_empty() {
                "no message was sent".to_owned()
            } else {
                span.status.message.clone()
            };
            view! { <div class="notice error"><span class="mark" aria-hidden="true">"■"</span><div class="notice-text"><strong>"Error"</strong><span>{text::long_text(message)}</span></div></div> }
                .into_any()
        }
        _ => ().into_any(),
    }
}

fn events(one: &Seen, wanted: RwSignal<String>) -> AnyView {
    if one.span.events.is_empty() {
        return ().into_any();
    }
    let event = |event: &Event| {
        let at = i64::try_from(event.time_unix_nano).unwrap_or(i64::MAX).saturating_sub(one.lasting.0);
        let exception = attribute::find(&event.attributes, "exception.message").unwrap_or_default();
        view! {
            <details class="event-entry" open={event.name == "exception"}>
                <summary><span class="num quiet">{format!("+{}", format::duration(at - one.start))}</span><b>{event.name.clone()}</b><span class="cutoff">{exception}</span></summary>
                {attributes::group("Attributes", &event.attributes, event.dropped_attributes_count, wanted.into(), None)}
            </details>
        }
    };
    let lost = one.span.dropped_events_count;
    view! {
        <section class="attributes">
            <h4>"Events"<span class="quiet count">{one.span.events.len()}</span></h4>
            {one.span.events.iter().take(200).map(event).collect_view()}
            {(lost > 0).then(|| view! { <p class="quiet small">{format!("{lost} more were dropped by the sender")}</p> })}
        </section>
    }
    .into_any()
}

fn links(place: Place, span: &Span) -> AnyView {
    if span.links.is_empty() {
        return ().into_any();
    }
    let app = place.app;
    let link = |link: &Link| {
        let href = app.href(&format!("/trace/{}", link.trace_id), &[("span", &link.span_id)]);
        let what = attribute::joined(&link.attributes);
        view! { <li><a href=href class="mono" data-testid="span-link">{format!("{} / {}", link.trace_id, link.span_id)}</a><span class="quiet small">{what}</span></li> }
    };
    view! {
        <section class="attributes"><h4>"Links"<span class="quiet count">{span.links.len()}</span></h4>
            <ul class="plain-list">{span.links.iter().take(200).map(link).collect_view()}</ul>
        </section>
    }
    .into_any()
}

fn logs(place: Place, one: &Seen) -> AnyView {
    let (range, span_id) = (log_range(one.lasting), one.span.span_id.clone());
    let filter = LogFilter { trace_id: place.id.get_untracked(), span_id, ..LogFilter::default() };
    let path = filter.request(range, None);
    let found = load::<LogsResponse>(Old::Forget, move || Some(path.clone()));
    let all = place.app.href(
        "/logs",
        &[
            ("trace_id", &filter.trace_id),
            ("span_id", &filter.span_id),
            ("from", &calendar::rfc3339(range.start)),
            ("to", &calendar::rfc3339(range.end)),
        ],
    );
    let shown = message::loaded(found, 2, move |answer| {
        if answer.logs.is_empty() {
            return view! { <p class="quiet small">"Nothing was logged within this span."</p> }.into_any();
        }
        let mut records = answer.logs.clone();
        records.reverse();
        records.into_iter().map(|record| log(place.app, &record)).collect_view().into_any()
    });
    let count = move || found.data.with(|d| d.as_ref().map(|d| d.logs.len()));
    view! {
        <section class="attributes" data-testid="span-logs">
            <h4>"Logs"<span class="quiet count">{count}</span><a class="copy" href=all>"open in Logs"</a></h4>
            {shown}
        </section>
    }
    .into_any()
}

fn log(app: App, record: &LogRecord) -> AnyView {
    let level = Level::of(record.severity_number);
    view! {
        <details class=format!("event-entry log-entry level-{}", level.name()) data-testid="span-log">
            <summary><span class="num quiet">{calendar::clock(record.time_unix_nano, app.offset())}</span><b class="level-word">{level.name()}</b><span class="cutoff">{format::cut(&line(record), text::LINE).0.to_owned()}</span></summary>
            <pre class="body">{text::long_text(line(record))}</pre>
            {attributes::group("Attributes", &record.attributes, record.dropped_attributes_count, Signal::derive(String::new), None)}
        </details>
    }
    .into_any()
}
