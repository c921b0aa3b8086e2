//! What happened in a trace of 100,000 spans? The same ways to look at it; what is seen of it is asked for when it is seen.
//!
//! LG1  What is here does not grow with the trace: its outline, the rows around those that are seen, one span.
//! LG2  Numbers of rows belong to one version of the outline: when spans have come, all of it is asked for again.
//!
//! Not here: a trace that is here whole (`super::view`), what is drawn the same for both (`timeline`, `header`, `detail`, `statistics`).

mod flame;
mod keyboard;
mod panel;
mod timeline;
mod view;

use super::compare::Here;
use super::header::{self, Act, Facts, Tools};
use super::map::Calls;
use super::statistics::{Choice, Source, Table};
use super::view::Opened;
use super::{compare, json, keyboard as keys, logs, map, statistics};
use crate::client::load::{Load, Old, load};
use crate::component::message;
use crate::state::address::Params;
use crate::state::format;
use crate::state::trace::flaws;
use crate::state::trace::statistics::Group;
use keys::Steered;
use leptos::prelude::*;
use query_api::outline::{
    CallsResponse, EventsResponse, GroupsResponse, OutlineGroup, OutlineResponse, OutlineService,
};
use std::sync::Arc;
use view::Large;

/// The page of a trace that is not here whole.
pub(super) fn page(id: Memo<String>, found: Load<Opened>) -> AnyView {
    let view = Large::new(id, found);
    keys::listen(view);
    let app = view.app;
    let tab = Memo::new(move |_| app.params.with(|params| params.get("tab").unwrap_or_default().to_owned()));
    let shown = move || match tab.get().as_str() {
        "flame" => flame::tab(view),
        "statistics" => groups(view),
        "logs" => said(view),
        "map" => called(view),
        "compare" => compare::tab(here(view)),
        "json" => whole(view),
        _ => timeline::tab(view),
    };
    let facts = move || view.outline.with(|outline| Some(told(outline)));
    let header = header::shown(app, id, facts, Callback::new(move |row| view.open(row)));
    super::tabbed(app, tab, header, move || tools(view), shown, panel::panel(view))
}

/// What the header tells.
fn told(outline: &OutlineResponse) -> Facts {
    let root = outline.rows.first();
    let service = |at: usize| outline.services.get(at).map(|service| service.name.clone()).unwrap_or_default();
    Facts {
        root: root.map(|row| (service(row.service), row.name.clone())).unwrap_or_default(),
        start: outline.start_unix_nano,
        duration: outline.duration_nano,
        counts: [outline.span_count, outline.services.len(), outline.level_count, outline.error_count],
        origin: outline.origin_row,
        warnings: flaws::told(&outline.flaws, outline.span_count),
        repeats: outline.repeats.clone(),
        shares: outline.services.iter().map(|it| (it.name.clone(), it.critical_nano, it.critical_row)).collect(),
    }
}

fn tools(view: Large) -> AnyView {
    let words = move || {
        let told = |found: &query_api::outline::MatchesResponse| {
            let beyond = found.count > found.rows.len();
            let cut = if beyond {
                format!(", the first {} by n", format::count(found.rows.len() as u64))
            } else {
                String::new()
            };
            format!("{}{cut}", header::found_words(found.count))
        };
        view.matches.data.with(|found| found.as_deref().map(told).unwrap_or_else(|| "…".into()))
    };
    header::bar(Tools {
        wanted: view.wanted,
        found: Signal::derive(words),
        act: Callback::new(move |act| match act {
            Act::Find(text) => view.find(&text),
            Act::Next(by) => view.next_match(by),
            Act::CloseAll(close) => view.fold_all(close),
        }),
        only: view.only,
        critical: view.critical,
        folds: Signal::derive(move || view.app.params.with(|params| params.get("tab").is_none())),
    })
}

/// Where the time went, as the server counts it.
fn groups(view: Large) -> AnyView {
    let choice = Choice::new(view.app);
    let found = load::<GroupsResponse>(Old::Keep, move || {
        let mut params = Params::default();
        let (order, rising) = choice.order();
        params.set("by", Some(&choice.group.get()));
        params.set("order", Some(order));
        params.set("rising", rising.then_some("true"));
        Some(params.behind(&format!("/api/v1/traces/{}/outline/groups", view.id.get())))
    });
    let group = |group: &OutlineGroup| Group {
        service: group.service,
        name: group.name.clone(),
        count: group.span_count,
        errors: group.error_count,
        total: group.total_nano,
        self_time: group.self_nano,
        longest: group.longest_nano,
        first: group.row,
    };
    let table = Callback::new(move |()| {
        let answer = found.data.get().unwrap_or_default();
        Table {
            groups: answer.groups.iter().map(group).collect(),
            count: answer.group_count,
            services: view.outline.with(|it| it.services.iter().map(|it| it.name.clone()).collect()),
            sum: answer.self_nano,
            keys: answer.keys.clone(),
        }
    });
    let source = Source { app: view.app, table, open: Callback::new(move |row| view.open(row)) };
    let failed = move || found.failure.get().map(|failure| message::failed(&failure, move || found.retry()));
    view! { {message::progress([found.running])}{failed}{statistics::table(source, choice)} }.into_any()
}

/// Logs, and the latest events of spans.
fn said(view: Large) -> AnyView {
    let found =
        load::<EventsResponse>(Old::Keep, move || Some(format!("/api/v1/traces/{}/outline/events", view.id.get())));
    let events = Memo::new(move |_| {
        let events = found.data.with(|found| found.as_deref().map(|found| found.events.clone()));
        Arc::new(events.unwrap_or_default())
    });
    let cut = move || {
        let (count, told) = found.data.with(|found| found.as_deref().map_or((0, 0), |it| (it.count, it.events.len())));
        let words =
            || format!("The spans have {}: the latest {told} are listed.", format::counted(count as u64, "event"));
        (count > told).then(|| message::partial(words()))
    };
    let failed = move || found.failure.get().map(|failure| message::failed(&failure, move || found.retry()));
    view! { {failed}{cut}{logs::said_in(view.id, move || Some(view.lasting()), events)} }.into_any()
}

fn called(view: Large) -> AnyView {
    let found =
        load::<CallsResponse>(Old::Keep, move || Some(format!("/api/v1/traces/{}/outline/calls", view.id.get())));
    let part = |it: &OutlineService| (it.name.clone(), it.self_nano, it.error_count);
    let told = Callback::new(move |()| {
        let parts = view.outline.with(|outline| outline.services.iter().map(part).collect());
        found.data.get().map(|answer| (answer.edges.clone(), parts))
    });
    let failed = move || found.failure.get().map(|failure| message::failed(&failure, move || found.retry()));
    view! { {failed}{map::tab(Calls { app: view.app, told })} }.into_any()
}

fn whole(view: Large) -> AnyView {
    let count = move || view.outline.with(|outline| format::counted(outline.span_count as u64, "span"));
    let why = view! { <span>"The JSON of "{count}" is not shown, but can be kept as a file."</span> };
    view! { <div class="json fill" data-testid="json"><div class="json-tools">{why}{json::download(view.id)}</div></div> }
        .into_any()
}

fn here(view: Large) -> Here {
    let root = move |()| {
        let outline = view.outline.get();
        let root = outline.rows.first()?;
        let service = outline.services.get(root.service)?.name.clone();
        Some((outline.start_unix_nano, service, root.name.clone()))
    };
    Here { app: view.app, id: view.id, root: Callback::new(root) }
}
