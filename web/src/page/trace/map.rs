//! Who called whom in this trace? Its services, databases and queues from left to right, and below them a table of the calls.
//!
//! MT1  A map of more than so many calls is cut to those made most often, and says so.

use super::view::View;
use crate::component::app::App;
use crate::component::call_map::{self, Drawn};
use crate::component::{message, text};
use crate::state::map::{self, Around, Kind, Node};
use crate::state::trace::calls;
use crate::state::trace::tree::Trace;
use crate::state::{format, order};
use leptos::prelude::*;
use query_api::service::GraphEdge;

/// Calls by their ends that are laid out.
const EDGES: usize = 300;

/// A service's part of the trace: its name, nanoseconds of self time, errors.
pub(super) type Part = (String, i64, usize);

/// Which trace is drawn, and what of it.
#[derive(Clone, Copy)]
pub(super) struct Calls {
    /// What all pages share.
    pub(super) app: App,
    /// The calls and the services, once they are here.
    pub(super) told: Callback<(), Option<(Vec<GraphEdge>, Vec<Part>)>>,
}

impl Calls {
    /// Those of a trace that is here whole.
    pub(super) fn of(view: View) -> Calls {
        let told = move |()| view.trace().map(|trace| (calls::edges(&trace), parts(&trace)));
        Calls { app: view.app, told: Callback::new(told) }
    }
}

fn parts(trace: &Trace) -> Vec<Part> {
    let mut parts: Vec<Part> = trace.services.iter().map(|part| (part.name.clone(), 0, part.errors)).collect();
    for row in &trace.rows {
        parts[row.service].1 += row.self_time;
    }
    parts
}

/// The tab.
pub(super) fn tab(calls: Calls) -> AnyView {
    let shown = move || match calls.told.run(()) {
        Some((edges, parts)) => whole(calls.app, edges, &parts),
        None => message::skeleton(8),
    };
    view! { <div class="scroll trace-map">{shown}</div> }.into_any()
}

fn whole(app: App, edges: Vec<GraphEdge>, parts: &[Part]) -> AnyView {
    if edges.is_empty() {
        let why = "No span calls another service, a database or a queue: all of it happened in one place.";
        return message::empty("No calls in this trace", why, ().into_any());
    }
    let cut = (edges.len() > EDGES).then(|| {
        message::partial(format!("{} pairs call each other: the {EDGES} that do so most often are shown.", edges.len()))
    });
    let mut edges = order::falling(edges, |edge| edge.call_count as f64);
    edges.truncate(EDGES);
    let map = map::lay(&edges, call_map::room());
    let near = Around::new(&map, "");
    let total: i64 = parts.iter().map(|(_, own, _)| own).sum();
    let part = |name: &str| parts.iter().find(|part| part.0 == name);
    let own = |name: &str| part(name).map(|(_, own, _)| format::percent(*own as f64 / total.max(1) as f64));
    let words = |node: &Node| {
        let words = match own(&node.name).filter(|_| node.kind == Kind::Service) {
            Some(own) => format!("{own} of self time"),
            None => format!("{}{}", format::counted(node.calls, "call"), call_map::failed(node)),
        };
        let bad = node.failed > 0 || part(&node.name).is_some_and(|(_, _, errors)| *errors > 0);
        (words, bad)
    };
    // A click finds what is named in the timeline.
    let choose = Callback::new(move |name: Option<String>| {
        app.change(crate::component::app::Entry::Push, |params| {
            params.set("tab", None);
            params.set("find", name.as_deref());
        });
    });
    let drawn = Drawn { near: &near, chosen: "", words: &words, failing: &|edge| edge.failed_count > 0, choose };
    view! { {cut}{call_map::drawn(&map, &edges, drawn)}{table(&edges)} }.into_any()
}

fn table(edges: &[GraphEdge]) -> AnyView {
    let row = |edge: &GraphEdge| {
        let failed = edge.failed_count;
        view! {
            <tr data-testid="call-row">
                <td class="name">{text::service_name(map::caller(edge))}</td>
                <td class="name">{text::service_name(&edge.server)}</td>
                <td class="num">{format::count(edge.call_count)}</td>
                <td class="num" class:bad={failed > 0}>{if failed > 0 { format::count(failed) } else { "–".into() }}</td>
            </tr>
        }
    };
    view! {
        <table class="data" data-testid="calls">
            <thead><tr><th scope="col" class="left">"From"</th><th scope="col" class="left">"To"</th><th scope="col">"Calls"</th><th scope="col">"Failed"</th></tr></thead>
            <tbody>{edges.iter().map(row).collect_view()}</tbody>
        </table>
    }
    .into_any()
}
