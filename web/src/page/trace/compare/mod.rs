//! How does this trace differ from another? Spans only here, only there, and in both with another duration, status or attribute.
//!
//! CM1  The other trace is the base: what is told of is this trace, against it. Both ids are in the URL.
//!
//! Not here: how spans are matched (the server).

mod node;

use super::view::View;
use crate::client::load::{Old, load};
use crate::client::paged::{Page, Paged, paged};
use crate::component::app::{App, Entry};
use crate::component::{message, text};
use crate::state::address::{self, Params};
use crate::state::calendar::HOUR;
use crate::state::filter::TraceFilter;
use crate::state::time::Range;
use crate::state::{attribute, calendar, format};
use leptos::prelude::*;
use query_api::compare::{CompareNode, CompareResponse, ComparedService, ComparedTrace, ResourceDifference};
use query_api::otlp::AnyValue;
use query_api::trace::{SearchResponse, TraceSummary};

/// Traces of the same operation that are offered.
const OFFERS: usize = 12;
/// Services told.
const SERVICES: usize = 50;
/// What may be shown: what the URL says, and what it is called.
const SHOWN: [(&str, &str); 3] = [("", "Changed"), ("structure", "Structure"), ("all", "All spans")];

impl Page for CompareResponse {
    type Row = CompareNode;
    fn rows(&self) -> &[CompareNode] {
        &self.nodes
    }
    fn cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

/// The trace that is looked at, as far as a comparison needs it.
#[derive(Clone, Copy)]
pub(super) struct Here {
    /// What all pages share.
    pub(super) app: App,
    /// Its id.
    pub(super) id: Memo<String>,
    /// Its start, and service and name of its root.
    pub(super) root: Callback<(), Option<(i64, String, String)>>,
}

impl Here {
    /// That of a trace that is here whole.
    pub(super) fn of(view: View) -> Here {
        let root = move |()| {
            let trace = view.trace()?;
            let root = trace.rows.first()?;
            Some((trace.start, trace.services[root.service].name.clone(), root.span.name.clone()))
        };
        Here { app: view.app, id: view.id, root: Callback::new(root) }
    }
}

/// The tab.
pub(super) fn tab(view: Here) -> AnyView {
    let with = Memo::new(move |_| view.app.params.with(|p| p.get("with").unwrap_or_default().trim().to_owned()));
    let shown = move || match address::trace_id(&with.get()) {
        Some(other) => compared(view, other),
        None => entry(view, with),
    };
    view! { <div class="compare fill">{shown}</div> }.into_any()
}

fn compare_with(view: Here, id: Option<&str>) {
    view.app.set(Entry::Push, "with", id);
}

/// Nothing to compare with yet: a field for an id, and traces of the same operation.
fn entry(view: Here, with: Memo<String>) -> AnyView {
    let typed = RwSignal::new(with.get_untracked());
    let fault = move || {
        let text = typed.get();
        let wrong = !text.trim().is_empty() && address::trace_id(&text).is_none();
        wrong.then_some("A trace id has 32 hex digits and is not all zero.")
    };
    let go = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if let Some(id) = address::trace_id(&typed.get_untracked()) {
            compare_with(view, Some(&id));
        }
    };
    view! {
        <div class="scroll">
            <form class="compare-entry" on:submit=go>
                <label class="field"><span class="field-label">"Compare with the trace"</span>
                    <input class="mono" style="width:40ch" placeholder="32 hex digits" spellcheck="false" data-testid="compare-with"
                        aria-invalid=move || fault().is_some().to_string() prop:value=typed on:input=move |event| typed.set(event_target_value(&event)) />
                </label>
                <button class="button primary" type="submit">"Compare"</button>
                <span class="fault small" role="alert">{fault}</span>
            </form>
            {offers(view)}
        </div>
    }
    .into_any()
}

/// Traces of the same operation, around the time of this one.
fn offers(view: Here) -> AnyView {
    let found = load::<SearchResponse>(Old::Forget, move || {
        let (start, service, operation) = view.root.run(())?;
        let filter = TraceFilter { service, operation, ..TraceFilter::default() };
        let range = Range { start: start.saturating_sub(HOUR), end: start.saturating_add(HOUR) };
        Some(filter.request(range, None).replace("limit=100", &format!("limit={}", OFFERS + 1)))
    });
    let here = view.id.get_untracked();
    let offer = move |one: &TraceSummary| {
        let id = one.trace_id.clone();
        let errors = u64::from(one.error_count);
        view! {
            <tr class="clickable" data-testid="compare-offer" on:click=move |_| compare_with(view, Some(&id))>
                <td><button class="link plain num">{calendar::date_time(one.start_unix_nano, view.app.offset())}</button></td>
                <td class="num">{format::duration(one.duration_nano)}</td>
                <td class="num">{format::count(u64::from(one.span_count))}</td>
                <td class="num" class:bad={errors > 0}>{if errors > 0 { format::count(errors) } else { "–".into() }}</td>
                <td class="mono quiet">{one.trace_id.clone()}</td>
            </tr>
        }
    };
    let list = message::loaded(found, 6, move |answer| {
        let others: Vec<_> = answer.traces.iter().filter(|one| one.trace_id != here).take(OFFERS).map(offer).collect();
        if others.is_empty() {
            let why = "Within an hour of this one no other trace began with the same operation.";
            return message::empty("No trace like it", why, ().into_any());
        }
        view! {
            <table class="data">
                <thead><tr><th scope="col" class="left">"Start"</th><th scope="col">"Duration"</th><th scope="col">"Spans"</th><th scope="col">"Errors"</th><th scope="col" class="left">"Trace"</th></tr></thead>
                <tbody>{others.collect_view()}</tbody>
            </table>
        }
        .into_any()
    });
    view! { <h2>"Of the same operation, within an hour"</h2>{list} }.into_any()
}

/// The comparison.
fn compared(view: Here, other: String) -> AnyView {
    let show = Memo::new(move |_| view.app.params.with(|p| p.get("show").unwrap_or_default().to_owned()));
    let base = other.clone();
    let found = paged::<CompareResponse>(move |cursor| {
        let mut params = Params::default();
        let show = show.get();
        params.set("show", Some(if show.is_empty() { "changed" } else { &show }));
        params.set("cursor", cursor);
        Some(params.behind(&format!("/api/v1/traces/{base}/compare/{}", view.id.get())))
    });
    let choice = move |(value, words): (&'static str, &'static str)| {
        let here = move || show.get() == value;
        let choose = move |_| view.app.set(Entry::Replace, "show", Some(value));
        view! { <button class:current=here aria-pressed=move || here().to_string() on:click=choose>{words}</button> }
    };
    let failed = move || {
        let failure = found.first.failure.get()?;
        if failure.is_not_found() {
            let again =
                view! { <button class="button" on:click=move |_| compare_with(view, None)>"Choose another"</button> };
            let why = "No span of the other trace is stored: it was not sampled, has not arrived yet, or is older than the retention.";
            return Some(message::empty("The other trace was not found", why, again.into_any()));
        }
        Some(message::failed(&failure, move || found.first.retry()))
    };
    let summary = move || match found.first.data.get() {
        Some(answer) => summary(view, &answer),
        None if found.first.failure.with(Option::is_some) => ().into_any(),
        None => message::skeleton(8),
    };
    let link = view.app.href(&format!("/trace/{other}"), &[]);
    view! {
        {message::progress([found.first.running, found.growing])}
        <div class="compare-tools">
            <span class="quiet">"This trace against "</span><a class="mono" href=link>{other}</a>
            <button class="button" data-testid="compare-clear" on:click=move |_| compare_with(view, None)>"Choose another"</button>
            <span class="grow"></span>
            <div class="segments" role="group" aria-label="What is shown">{SHOWN.map(choice).into_iter().collect_view()}</div>
        </div>
        {failed}
        {summary}
        {rows(view, found)}
    }
    .into_any()
}

fn rows(view: Here, found: Paged<CompareResponse>) -> AnyView {
    let some = move || found.rows.with(|rows| !rows.is_empty());
    let none = move || {
        let answered = found.first.data.with(Option::is_some) && !found.first.running.busy.get();
        (answered && !some()).then(|| {
            let why = "Every span of the one is in the other, with the same status and attributes: see “All spans” for durations.";
            message::empty("Nothing differs", why, ().into_any())
        })
    };
    view! { {none}<div class="compare-list fill" class:none=move || !some()>{node::list(view, found)}</div> }.into_any()
}

/// Both traces in figures, and the services whose time changed.
fn summary(view: Here, answer: &CompareResponse) -> AnyView {
    let counts = answer.counts;
    let count = |count: u32| format::count(u64::from(count));
    let facts = [
        ("Only here", count(counts.only_other), "only-here"),
        ("Only there", count(counts.only_base), "only-there"),
        ("In both", count(counts.both), ""),
        ("Other status", count(counts.status_changed), ""),
        ("Other attributes", count(counts.attributes_changed), ""),
    ];
    let fact = |(name, value, class): (&'static str, String, &'static str)| {
        view! { <div class=format!("compare-fact {class}")><span class="quiet small">{name}</span><b class="num">{value}</b></div> }
    };
    let partial = answer
        .stats
        .partial
        .then(|| message::partial("Blocks are damaged: spans may be missing on either side.".into()));
    view! {
        {partial}
        <div class="compare-facts" data-testid="compare-facts">
            {whole("This trace", &answer.other, view)}{whole("The other", &answer.base, view)}
            {change("Duration", answer.base.duration_nano, answer.other.duration_nano)}
            {facts.map(fact).into_iter().collect_view()}
        </div>
        {services(answer)}
    }
    .into_any()
}

fn whole(name: &'static str, one: &ComparedTrace, view: Here) -> AnyView {
    let errors = if one.error_count > 0 {
        format!(", {}", format::counted(u64::from(one.error_count), "error"))
    } else {
        String::new()
    };
    let words = format!("{}{errors}", format::counted(u64::from(one.span_count), "span"));
    let title = format!(
        "{} {}, {}",
        one.root_service,
        one.root_name,
        calendar::date_time(one.start_unix_nano, view.app.offset())
    );
    view! { <div class="compare-fact" title=title><span class="quiet small">{name}</span><b class="num">{format::duration(one.duration_nano)}</b><span class="quiet small num">{words}</span></div> }
        .into_any()
}

fn change(name: &'static str, base: i64, other: i64) -> AnyView {
    let (words, class) = node::change(base, other);
    view! { <div class="compare-fact"><span class="quiet small">{name}</span><b class=format!("num {class}")>{words}</b></div> }.into_any()
}

fn services(answer: &CompareResponse) -> AnyView {
    let more = answer.services.len().saturating_sub(SERVICES);
    let row = |one: &ComparedService| {
        let (words, class) = node::change(one.base.self_nano, one.other.self_nano);
        let both = |of: fn(&query_api::compare::ServiceSums) -> u32| {
            let (there, here) = (of(&one.base), of(&one.other));
            if there == here {
                format::count(u64::from(here))
            } else {
                format!("{} → {}", format::count(u64::from(there)), format::count(u64::from(here)))
            }
        };
        view! {
            <tr>
                <td>{text::service_name(&one.name)}</td>
                <td class="num">{both(|sums| sums.span_count)}</td>
                <td class="num">{both(|sums| sums.error_count)}</td>
                <td class="num">{format::duration(one.base.self_nano)}</td>
                <td class="num">{format::duration(one.other.self_nano)}</td>
                <td class=format!("num {class}")>{words}</td>
                <td class="name quiet small">{one.resource.iter().take(4).map(resource).collect::<Vec<_>>().join(" · ")}</td>
            </tr>
        }
    };
    view! {
        <details class="compare-services">
            <summary>{format!("By service ({})", answer.services.len())}</summary>
            <div class="scroll"><table class="data" data-testid="compare-services">
                <thead><tr>
                    <th scope="col" class="left">"Service"</th><th scope="col">"Spans"</th><th scope="col">"Errors"</th>
                    <th scope="col">"Self time there"</th><th scope="col">"here"</th><th scope="col">"Change"</th><th scope="col" class="left">"Resource"</th>
                </tr></thead>
                <tbody>{answer.services.iter().take(SERVICES).map(row).collect_view()}</tbody>
            </table></div>
            {(more > 0).then(|| view! { <p class="quiet small">{format!("{more} more services")}</p> })}
        </details>
    }
    .into_any()
}

fn resource(one: &ResourceDifference) -> String {
    let list = |values: &[AnyValue]| {
        let words: Vec<String> =
            values.iter().map(|value| format::cut(&attribute::text(value), 80).0.to_owned()).collect();
        if words.is_empty() { "–".to_owned() } else { words.join(", ") }
    };
    format!("{}: {} → {}", one.key, list(&one.base), list(&one.other))
}
