//! Who calls whom? A map of calls from left to right, and below it a table of them, worst first.

use crate::client::load::{Old, load};
use crate::component::app::{App, Entry};
use crate::component::call_map::{self, Drawn};
use crate::component::{keys, message, text};
use crate::state::map::{self, Around, Kind, Map, Node};
use crate::state::{filter, format, order, service};
use leptos::prelude::*;
use query_api::service::{Connection, GraphEdge, Red, ServiceGraphResponse};

/// From this share of failures on, below which it is hardly chance, a call is drawn as failing.
const FAILING: f64 = 0.005;

/// The page.
pub(super) fn page() -> AnyView {
    super::title("Map");
    let app = App::get();
    let graph =
        load::<ServiceGraphResponse>(Old::Keep, move || Some(filter::ranged("/api/v1/service-graph", app.span()?)));
    let focus = Memo::new(move |_| app.params.with(|p| p.get("focus").unwrap_or_default().to_owned()));
    view! {
        <div class="page">
            {message::progress([graph.running])}
            {message::loaded(graph, 8, move |answer| {
                if answer.edges.is_empty() {
                    return nothing_here();
                }
                let map = map::lay(&answer.edges, call_map::room());
                let near = Around::new(&map, &focus.get());
                let seconds = (answer.end_unix_nano - answer.start_unix_nano) as f64 / 1e9;
                let partial =
                    answer.stats.partial.then(|| message::partial("Blocks are damaged: some calls may be missing.".into()));
                view! {
                    {sentence(&map, &answer.edges, &focus.get())}
                    {partial}
                    {drawn(&map, &answer.edges, &near, &focus.get(), seconds)}
                    <h2>"Calls"</h2>
                    {table(&map, &answer.edges, &near, seconds)}
                }
                .into_any()
            })}
        </div>
    }
    .into_any()
}

fn nothing_here() -> AnyView {
    let app = App::get();
    let widen = view! { <button class="button" on:click=move |_| app.look_at("now-7d", "now")>"Look at the last 7 days"</button> };
    message::empty(
        "No calls in this range",
        "A call is a span of kind CLIENT or PRODUCER, or one of kind SERVER that nobody of its trace called.",
        widen.into_any(),
    )
}

fn sentence(map: &Map, edges: &[GraphEdge], focus: &str) -> AnyView {
    let app = App::get();
    let services = map.nodes.iter().filter(|node| node.kind == Kind::Service).count() as u64;
    let (calls, failed) = edges.iter().fold((0, 0), |(c, f), edge| (c + edge.call_count, f + edge.failed_count));
    let words = format!(
        "{}, {} · {} calls, {} failed",
        format::counted(services, "service"),
        format::counted(map.nodes.len() as u64 - services, "other"),
        format::count(calls),
        format::count(failed)
    );
    let whole = (!focus.is_empty()).then(|| {
        let clear = move |_| app.set(Entry::Push, "focus", None);
        view! {
            <span class="row-actions">
                <span class="quiet">"paths through "</span>{text::service_name(focus)}
                <button class="button" data-testid="clear-focus" on:click=clear>"Show all"</button>
            </span>
        }
    });
    view! { <header class="page-head"><h1>"Map"</h1><p class="quiet grow">{words}</p>{whole}</header> }.into_any()
}

fn is_failing(edge: &GraphEdge) -> bool {
    sure_share(edge.call_count, edge.failed_count) > FAILING
}

fn sure_share(request_count: u64, error_count: u64) -> f64 {
    service::sure_error_share(&Red { request_count, error_count, ..Red::default() })
}

fn share(edge: &GraphEdge) -> f64 {
    if edge.call_count == 0 { 0.0 } else { edge.failed_count as f64 / edge.call_count as f64 }
}

fn drawn(map: &Map, edges: &[GraphEdge], near: &Around, focus: &str, seconds: f64) -> AnyView {
    let app = App::get();
    let words = |node: &Node| {
        let failed = call_map::failed(node);
        (
            format!("{}{failed}", format::rate(node.calls as f64 / seconds.max(1.0))),
            sure_share(node.calls, node.failed) > FAILING,
        )
    };
    let words = |node: &Node| if node.calls == 0 { ("calls".to_owned(), false) } else { words(node) };
    let choose = Callback::new(move |name: Option<String>| app.set(Entry::Push, "focus", name.as_deref()));
    call_map::drawn(map, edges, Drawn { near, chosen: focus, words: &words, failing: &is_failing, choose })
}

fn table(map: &Map, edges: &[GraphEdge], near: &Around, seconds: f64) -> AnyView {
    let shown = map.arrows.iter().filter(|arrow| near.has_call(arrow));
    let shown: Vec<(GraphEdge, bool)> = shown
        .filter_map(|arrow| {
            let to_service = map.nodes.get(arrow.to).is_some_and(|node| node.kind == Kind::Service);
            Some((edges.get(arrow.edge)?.clone(), to_service))
        })
        .collect();
    let by_rate = order::falling(shown, |(edge, _)| edge.call_count as f64);
    let list = order::falling(by_rate, |(edge, _)| sure_share(edge.call_count, edge.failed_count));
    let app = App::get();
    let hrefs: Vec<String> = list.iter().map(|(edge, to_service)| href(app, edge, *to_service)).collect();
    let (count, targets, selected) = (hrefs.len(), hrefs.clone(), RwSignal::new(None::<usize>));
    keys::list_keys(
        move || count,
        selected,
        move |at| {
            if let Some(href) = targets.get(at) {
                app.go(href);
            }
        },
    );
    let rows = list.into_iter().zip(hrefs).enumerate();
    let rows = rows.map(|(at, ((edge, _), href))| row(at, &edge, href, seconds, selected)).collect_view();
    view! {
        <table class="data" data-testid="calls">
            <thead><tr>
                <th scope="col" class="left">"From"</th><th scope="col" class="left">"To"</th>
                <th scope="col" class="left">"Over"</th><th scope="col">"Rate"</th><th scope="col">"Failed"</th>
                <th scope="col">"p50 of caller"</th><th scope="col">"p95 of caller"</th>
                <th scope="col">"p50 of called"</th><th scope="col">"p95 of called"</th>
            </tr></thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}

/// The traces behind a call: of who is called, or of who calls where that sends no spans.
fn href(app: App, edge: &GraphEdge, to_service: bool) -> String {
    let service = if to_service { &edge.server } else { &edge.client };
    match is_failing(edge) {
        true => app.href("/explore", &[("service", service), ("status", "error")]),
        false => app.href("/explore", &[("service", service)]),
    }
}

fn row(at: usize, edge: &GraphEdge, href: String, seconds: f64, selected: RwSignal<Option<usize>>) -> AnyView {
    let app = App::get();
    let over = match edge.connection {
        Connection::Direct => "call",
        Connection::MessagingSystem => "queue",
        Connection::Database => "database",
        Connection::VirtualNode => "call",
    };
    let quantile = |side: &Option<Red>, of: fn(&Red) -> Option<i64>| {
        side.as_ref().and_then(of).map_or_else(|| "–".to_owned(), format::duration)
    };
    let failed = if edge.failed_count == 0 { "–".to_owned() } else { format::percent(share(edge)) };
    let link = href.clone();
    let open = move |event: leptos::ev::MouseEvent| {
        if !event.default_prevented() {
            app.go(&link);
        }
    };
    view! {
        <tr class="clickable" class:selected=move || selected.get() == Some(at) data-testid="call-row" on:click=open>
            <td class="name">{text::service_name(map::caller(edge))}</td>
            <td class="name"><a class="plain" href=href>{text::service_name(&edge.server)}</a></td>
            <td class="quiet">{over}</td>
            <td class="num">{format::rate(edge.call_count as f64 / seconds.max(1.0))}</td>
            <td class="num" class:bad={edge.failed_count > 0}>{failed}</td>
            <td class="num">{quantile(&edge.client_side, |red| red.p50_nano)}</td>
            <td class="num">{quantile(&edge.client_side, |red| red.p95_nano)}</td>
            <td class="num">{quantile(&edge.server_side, |red| red.p50_nano)}</td>
            <td class="num">{quantile(&edge.server_side, |red| red.p95_nano)}</td>
        </tr>
    }
    .into_any()
}
