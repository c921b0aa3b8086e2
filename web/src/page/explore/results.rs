//! How is a found trace listed? One row each: when, what, how long, how big, how bad, who took part.
//!
//! RL1  The server orders by what matches. By root and by the duration of the whole trace those are sorted that are listed; where there
//!      may be more, the list says so.

use super::series;
use crate::client::paged::Paged;
use crate::component::app::{App, Entry};
use crate::component::effect::effect;
use crate::component::virtual_list::{List, virtual_list};
use crate::component::{keys, message, text};
use crate::state::filter::TraceFilter;
use crate::state::listed::Sort;
use crate::state::rows::Heights;
use crate::state::{calendar, format, hue, scale};
use leptos::prelude::*;
use query_api::trace::{SearchResponse, TraceSummary};
use std::sync::Arc;

/// Height of a row.
const ROW: f64 = 28.0;
/// Dots of services shown before the rest is counted.
const DOTS: usize = 8;

/// Path of a trace's page.
pub(super) fn href(app: App, id: &str) -> String {
    app.href(&format!("/trace/{id}"), &[])
}

/// The list.
pub(super) fn results(found: Paged<SearchResponse>, filter: Memo<TraceFilter>) -> AnyView {
    let app = App::get();
    let selected = RwSignal::new(None::<usize>);
    let sort = Memo::new(move |_| app.params.with(|params| Sort::parse(params.get("sort").unwrap_or_default())));
    let listed = Memo::new(move |_| {
        let rows = found.rows.get();
        sort.get().map_or_else(|| Arc::clone(&rows), |sort| Arc::new(sort.sorted(&rows)))
    });
    // Other places mean other rows.
    let turned = RwSignal::new(0u64);
    effect(move || {
        listed.track();
        if sort.get().is_some() {
            turned.update(|turned| *turned += 1);
        }
    });
    keys::list_keys(
        move || found.rows.with(|r| r.len()),
        selected,
        move |at| {
            if let Some(id) = listed.with_untracked(|rows| rows.get(at).map(|t| t.trace_id.clone())) {
                app.go(&href(app, &id));
            }
        },
    );
    let longest = Memo::new(move |_| found.rows.with(|rows| rows.iter().map(|t| t.duration_nano).max().unwrap_or(0)));
    let (list, _) = virtual_list(List {
        count: Signal::derive(move || found.rows.with(|r| r.len())),
        heights: RwSignal::new(Heights::new(ROW)),
        generation: Signal::derive(move || {
            let sorted = sort.get().map_or(0, |sort| 1 + sort as u64) + 8 * turned.get();
            (found.generation.get() * 2 + u64::from(app.utc.get())) ^ (sorted << 32)
        }),
        reveal: selected.into(),
        role: "rowgroup",
        label: "Traces",
        row: move |index| {
            let one = listed.with_untracked(|rows| rows.get(index).cloned());
            one.map_or_else(|| ().into_any(), |one| row(index, one, (longest, filter), selected))
        },
        foot: foot(found, sort),
    });
    let list = StoredValue::new_local(Some(list));
    let body = view! { <div class="trace-list" role="table" aria-label="Traces">{heads(filter, sort)}{list.try_update_value(Option::take).flatten()}</div> };
    let state = move || {
        if found.first.failure.with(Option::is_some) {
            return ().into_any();
        }
        match found.first.data.get() {
            None if found.first.running.busy.get() => message::skeleton(10),
            Some(page) if page.traces.is_empty() => nothing(filter),
            _ => ().into_any(),
        }
    };
    view! { <div class="fill" class:stale=move || found.first.is_old() class:none=move || found.rows.with(|r| r.is_empty())>{body}</div>{state} }.into_any()
}

/// Why there is no list, above all that is drawn, since what was there may fill the screen.
pub(super) fn failed(found: Paged<SearchResponse>) -> AnyView {
    let shown = move || {
        // What is wrong with a query is said below it.
        let failure = found.first.failure.get().filter(|failure| !series::is_of_query(failure))?;
        Some(message::failed(&failure, move || found.first.retry()))
    };
    view! { {shown} }.into_any()
}

fn nothing(filter: Memo<TraceFilter>) -> AnyView {
    let app = App::get();
    let widen = view! { <button class="button" on:click=move |_| app.look_at("now-24h", "now")>"Look at the last 24 hours"</button> };
    if filter.with(TraceFilter::is_empty) {
        return message::empty(
            "No traces in this range",
            "Nothing was sent then, or it is older than the retention.",
            widen.into_any(),
        );
    }
    let clear = move |_| app.change(Entry::Push, |params| TraceFilter::default().write(params));
    let is_query = filter.with(|f| !f.query.is_empty());
    let matching = if is_query {
        "The query finds nothing in this range."
    } else {
        "All filters must hold for one and the same span."
    };
    let both = view! { <button class="button primary" on:click=clear>"Clear the filters"</button>{widen} };
    message::empty("No trace matches", matching, both.into_any())
}

/// The columns that order the list show what they order by, which is of the spans that match; the rest is of the whole trace.
fn heads(filter: Memo<TraceFilter>, sort: Memo<Option<Sort>>) -> AnyView {
    let app = App::get();
    let order = move |key: &'static str, other: &'static str, words: &'static str| {
        let by_server = move || sort.get().is_none();
        let here = move || by_server() && filter.with(|f| f.order == key || (key == "newest" && f.order.is_empty()));
        let there = move || by_server() && filter.with(|f| f.order == other) && !other.is_empty();
        let choose = move |_| {
            let to = if here() && !other.is_empty() { other } else { key };
            app.change(Entry::Push, |params| {
                params.set("sort", None);
                params.set("order", Some(to).filter(|o| *o != "newest"));
            });
        };
        let way = move || if here() { Some(true) } else { there().then_some(false) };
        head(words, "Order all traces that match by this, which is of their spans that match", way, choose)
    };
    // First the one way, then the other, then as the server has it.
    let own = move |[first, second]: [Sort; 2], words: &'static str| {
        let choose = move |_| {
            let next = match sort.get_untracked() {
                Some(sort) if sort == first => Some(second),
                Some(sort) if sort == second => None,
                _ => Some(first),
            };
            app.set(Entry::Push, "sort", next.map(Sort::name));
        };
        let here = move || sort.get().filter(|sort| *sort == first || *sort == second);
        head(
            words,
            "Sort the traces that are listed by this, which is of the whole trace",
            move || here().map(Sort::is_falling),
            choose,
        )
    };
    view! {
        <div class="trace-row heads" role="row">
            {order("newest", "oldest", "Match")}
            {own([Sort::Root, Sort::RootBack], "Root")}
            {own([Sort::Longest, Sort::Shortest], "Trace duration")}
            {order("longest", "", "Longest match")}
            {order("most_spans", "", "Spans")}
            {order("most_errors", "", "Errors")}
            <span role="columnheader">"Services"</span>
        </div>
    }
    .into_any()
}

/// The head of a column that can be sorted by, which is seen before it is touched; `falls` says how the list is sorted by it, if it is.
fn head(
    words: &'static str,
    title: &'static str,
    falls: impl Fn() -> Option<bool> + Copy + Send + 'static,
    choose: impl Fn(leptos::ev::MouseEvent) + 'static,
) -> AnyView {
    let sorted = move || falls().map_or("none", |falls| if falls { "descending" } else { "ascending" });
    let mark = move || falls().map_or("↕", |falls| if falls { "↓" } else { "↑" });
    let scale = (words == "Trace duration").then(|| view! { <span class="quiet small">", log scale"</span> });
    let is_number = matches!(words, "Longest match" | "Spans" | "Errors");
    view! {
        <span role="columnheader" class:num=is_number aria-sort=sorted>
            <button class="sort" title=title class:current=move || falls().is_some() on:click=choose>
                {words}" "<span class="sort-mark" aria-hidden="true">{mark}</span></button>{scale}
        </span>
    }
    .into_any()
}

fn row(
    index: usize,
    one: TraceSummary,
    (longest, filter): (Memo<i64>, Memo<TraceFilter>),
    selected: RwSignal<Option<usize>>,
) -> AnyView {
    let app = App::get();
    let link = href(app, &one.trace_id);
    let (duration, errors) = (one.duration_nano, one.error_count);
    let colour = hue::css(&one.root_service);
    let bar = move || format!("width:{:.1}%;--svc:{}", scale::log_share(duration, longest.get()) * 100.0, colour);
    let rest = one.services.len().saturating_sub(DOTS);
    let dots = one
        .services
        .iter()
        .take(DOTS)
        .map(|s| {
            text::service_dot(&s.name, format!("{}: {}", s.name, format::counted(u64::from(s.span_count), "span")))
        })
        .collect_view();
    let offset = app.offset();
    // Another order brings other rows.
    let oldest = filter.with_untracked(|f| f.order == "oldest");
    let time = if oldest { one.first_match_unix_nano } else { one.last_match_unix_nano };
    // What orders the list is of the spans that match, where those are not all.
    let matched = (one.matched_count < one.span_count)
        .then(|| view! { <span class="quiet" title="Spans that match">{format!("{} of ", format::count(u64::from(one.matched_count)))}</span> });
    let root = if one.has_root { one.root_name.clone() } else { format!("{} (root not here)", one.root_name) };
    view! {
        <a class="trace-row" role="row" href=link class:selected=move || selected.get() == Some(index) class:failed={errors > 0}
            data-testid="trace-row" data-trace=one.trace_id.clone() on:mouseenter=move |_| selected.set(Some(index))>
            <span role="cell" class="num quiet" title=calendar::date_time(time, offset)>
                <span class="day">{calendar::date(time, offset)}</span>" "<span class="clock">{calendar::clock(time, offset)}</span>
            </span>
            <span role="cell" class="root"><span class="root-service">{text::service_name(&one.root_service)}</span><span class="cutoff" title=root.clone()>{root.clone()}</span></span>
            <span role="cell" class="bar-cell"><span class="bar-track"><i class="bar" style=bar></i></span><span class="num">{format::duration(duration)}</span></span>
            <span role="cell" class="num">{format::duration(one.longest_match_nano)}</span>
            <span role="cell" class="num">{matched}{format::count(u64::from(one.span_count))}</span>
            <span role="cell" class="num errors">{(errors > 0).then(|| view! { <span class="error-mark" aria-hidden="true">"■"</span>{format::count(u64::from(errors))} })}</span>
            <span role="cell" class="dots">{dots}{(rest > 0).then(|| view! { <span class="quiet small">{format!("+{rest}")}</span> })}</span>
        </a>
    }
    .into_any()
}

fn foot(found: Paged<SearchResponse>, sort: Memo<Option<Sort>>) -> AnyView {
    let told = move || {
        let some = sort.get().is_some() && found.cursor.with(Option::is_some);
        let count = found.rows.with(|rows| rows.len());
        some.then(|| view! { <span class="quiet small">{format!("Sorted are the {count} that are listed. There are more.")}</span> })
    };
    view! {
        <div class="list-foot">
            {told}
            {move || found.failure.get().map(|f| message::failed(&f, move || found.more()))}
            <Show when=move || found.cursor.with(Option::is_some)>
                <button class="button" data-testid="load-more" disabled=move || found.growing.busy.get() on:click=move |_| found.more()>
                    {move || if found.growing.busy.get() { "Loading…" } else { "Load more" }}
                </button>
            </Show>
        </div>
    }
    .into_any()
}
