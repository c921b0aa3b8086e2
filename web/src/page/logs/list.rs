//! How are log records read? One line each, opened in place; only those on the screen are in the document.

use crate::client::paged::Paged;
use crate::component::app::{App, Entry};
use crate::component::canvas;
use crate::component::effect::effect;
use crate::component::virtual_list::{List, virtual_list};
use crate::component::{attributes, keys, message, text};
use crate::state::log::{self, Level, line};
use crate::state::rows::Heights;
use crate::state::{calendar, format};
use leptos::html;
use leptos::prelude::*;
use query_api::log::{LogRecord, LogsResponse};
use std::sync::Arc;

/// Height of a closed row.
const ROW: f64 = 26.0;

/// Where the list stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::page) enum Context {
    /// On the page of logs.
    Page,
    /// Among the tabs of a trace.
    Trace,
}

/// The list of `rows`, which `found` brings; `none` says why it is empty when it is.
pub(in crate::page) fn log_list(
    found: Paged<LogsResponse>,
    rows: Signal<Arc<Vec<LogRecord>>>,
    none: impl Fn() -> AnyView + Send + 'static,
    context: Context,
) -> AnyView {
    let app = App::get();
    let heights = RwSignal::new(Heights::new(ROW));
    let said = Memo::new(move |_| app.params.with(|params| params.get("open").unwrap_or_default().to_owned()));
    let open = Memo::new(move |_| {
        let said = said.get();
        if said.is_empty() { Vec::new() } else { rows.with(|rows| log::opened(rows, &said)) }
    });
    let selected = RwSignal::new(None::<usize>);
    effect(move || {
        found.generation.track();
        heights.update(Heights::close_all);
        selected.set(None);
    });
    let toggle = move |index: usize| {
        if open.with_untracked(|open| open.contains(&index)) {
            heights.update(|h| h.open(index, 0.0));
        }
        let said = said.with_untracked(|said| rows.with_untracked(|rows| log::toggled(rows, said, index)));
        app.set(Entry::Replace, "open", Some(&said));
        selected.set(Some(index));
    };
    if context == Context::Page {
        keys::list_keys(move || rows.with(|r| r.len()), selected, toggle);
    }
    let (list, _) = virtual_list(List {
        count: Signal::derive(move || rows.with(|r| r.len())),
        heights,
        generation: Signal::derive(move || found.generation.get() * 2 + u64::from(app.utc.get())),
        reveal: selected.into(),
        role: "list",
        label: "Log records",
        row: move |index| {
            let record = rows.with_untracked(|rows| rows.get(index).cloned());
            record.map_or_else(
                || ().into_any(),
                |record| row(Row { index, record, context, heights, open, selected }, toggle),
            )
        },
        foot: foot(found),
    });
    let state = move || {
        if found.first.failure.with(Option::is_some) {
            return ().into_any();
        }
        match found.first.data.get() {
            None if found.first.running.busy.get() => message::skeleton(12),
            Some(_) if rows.with(|rows| rows.is_empty()) => none(),
            _ => ().into_any(),
        }
    };
    let failed =
        move || found.first.failure.get().map(|failure| message::failed(&failure, move || found.first.retry()));
    view! {
        {failed}
        <div class="log-list fill" class:none=move || rows.with(|r| r.is_empty())>
            <div class="log-row heads" aria-hidden="true"><span>"Time"</span><span>"Level"</span><span>"Service"</span><span>"Message"</span><span></span></div>
            {list}
        </div>
        {state}
    }
    .into_any()
}

struct Row {
    index: usize,
    record: LogRecord,
    context: Context,
    heights: RwSignal<Heights>,
    open: Memo<Vec<usize>>,
    selected: RwSignal<Option<usize>>,
}

fn row(entry: Row, toggle: impl Fn(usize) + Copy + Send + 'static) -> AnyView {
    let app = App::get();
    let Row { index, record, context, heights, open, selected } = entry;
    let level = Level::of(record.severity_number);
    let whole = line(&record);
    let first = whole.lines().next().unwrap_or_default();
    // A button needs a name.
    let shown = if first.trim().is_empty() { "(empty)" } else { format::cut(first, text::LINE).0 }.to_owned();
    let is_open = Memo::new(move |_| open.with(|o| o.contains(&index)));
    let leads = !record.trace_id.is_empty() && (context == Context::Page || !record.span_id.is_empty());
    let trace = leads.then(|| {
        let extra: &[(&str, &str)] = if record.span_id.is_empty() { &[] } else { &[("span", &record.span_id)] };
        let href = app.href(&format!("/trace/{}", record.trace_id), extra);
        let (words, title) = if context == Context::Page { ("trace →", "Open the trace") } else { ("span →", "Show the span") };
        view! { <a class="copy" href=href title=title data-testid="log-trace" on:click=|event| event.stop_propagation()>{words}</a> }
    });
    // An event of a span has a name and no level.
    let is_event = context == Context::Trace && level == Level::Unset && !record.event_name.is_empty();
    let level_word = if is_event { "event" } else { level.name() };
    let offset = app.offset();
    let (time, day) = (calendar::clock(record.time_unix_nano, offset), calendar::date(record.time_unix_nano, offset));
    let service = record.service.clone();
    view! {
        <div class=format!("log-item level-{}", level.name()) role="listitem" class:open=is_open>
            <div class="log-row" class:selected=move || selected.get() == Some(index) data-testid="log-row" data-level=level.name() on:click=move |_| toggle(index)>
                <span class="num quiet" title=calendar::date_time(record.time_unix_nano, offset)><span class="day">{day}" "</span>{time}</span>
                <span class="level-word">{level_word}</span>
                {text::service_name(&service)}
                <button class="log-line mono" aria-expanded=move || is_open.get().to_string()>{shown}</button>
                {trace}
            </div>
            {move || is_open.get().then(|| details(index, &record, heights))}
        </div>
    }
    .into_any()
}

fn details(index: usize, record: &LogRecord, heights: RwSignal<Heights>) -> AnyView {
    let app = App::get();
    let node: NodeRef<html::Div> = NodeRef::new();
    canvas::on_resize(node, move |_, height| {
        heights.try_update(|h| h.open(index, height));
    });
    let wanted = Signal::derive(String::new);
    let copied = line(record);
    let scope = if record.scope_version.is_empty() {
        record.scope_name.clone()
    } else {
        format!("{} {}", record.scope_name, record.scope_version)
    };
    let severity = if record.severity_text.is_empty() {
        String::new()
    } else {
        format!("{} ({})", record.severity_text, record.severity_number)
    };
    let observed =
        (record.observed_time_unix_nano > 0).then(|| calendar::date_time(record.observed_time_unix_nano, app.offset()));
    let fact = |name: &'static str, value: String| {
        (!value.is_empty()).then(|| view! { <dt>{name}</dt><dd class="mono">{value}</dd> })
    };
    let by =
        Some(Callback::new(move |(key, value): (&'static str, String)| app.href("/explore", &[(key, value.as_str())])));
    view! {
        <div class="log-details" node_ref=node data-testid="log-details">
            <div class="code"><pre class="body">{text::long_text(line(record))}</pre>{text::copy_button("Copy the message", move || copied.clone())}</div>
            <dl class="facts-list num">
                {fact("Time", calendar::rfc3339(record.time_unix_nano))}
                {fact("Observed", observed.unwrap_or_default())}
                {fact("Severity", severity)}
                {fact("Event", record.event_name.clone())}
                {fact("Trace", record.trace_id.clone())}
                {fact("Span", record.span_id.clone())}
                {fact("Scope", scope)}
            </dl>
            <div class="columns">
                {attributes::group("Attributes", &record.attributes, record.dropped_attributes_count, wanted, by)}
                {attributes::group("Resource", &record.resource, 0, wanted, by)}
                {attributes::group("Scope", &record.scope_attributes, 0, wanted, None)}
            </div>
        </div>
    }
    .into_any()
}

fn foot(found: Paged<LogsResponse>) -> AnyView {
    view! {
        <div class="list-foot">
            {move || found.failure.get().map(|f| message::failed(&f, move || found.more()))}
            <Show when=move || found.cursor.with(Option::is_some)>
                <button class="button" data-testid="load-more" disabled=move || found.growing.busy.get() on:click=move |_| found.more()>
                    {move || if found.growing.busy.get() { "Loading…" } else { "Load older" }}
                </button>
            </Show>
        </div>
    }
    .into_any()
}
