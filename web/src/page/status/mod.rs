//! How is the server? What it stores, how the reading of Kafka goes, and which messages could not be read.
//!
//! Numbers of Kafka are of the whole process, whichever tenant is looked at; what is stored is the tenant's.

mod kafka;
mod letters;

use crate::client::load::{Load, Old, load};
use crate::component::app::App;
use crate::component::message;
use crate::state::format;
use leptos::prelude::*;
use query_api::status::{SampledByPolicy, SignalStatus, StatusResponse};
use std::time::Duration;

/// How often is looked while the page is open.
const LOOK: Duration = Duration::from_secs(2);

/// The page.
pub(super) fn page() -> AnyView {
    super::title("Status");
    let status = load::<StatusResponse>(Old::Keep, || Some("/api/v1/status".into()));
    again(status);
    let words = move || {
        status.data.with(|s| {
            s.as_ref().map_or_else(String::new, |s| {
                let up = i64::try_from(s.uptime_seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000_000);
                format!("Spanlight {}, up {}", s.version, format::ago(up).trim_end_matches(" ago"))
            })
        })
    };
    view! {
        <div class="page">
            <header class="page-head"><h1>"Status"</h1><p class="quiet">{words}</p></header>
            {message::loaded(status, 4, |status| view! { {troubles(&status)} {stored(&status.signals)} {sampled(&status.tail_sampling)} }.into_any())}
            {kafka::section(status)}
            {letters::section(status)}
        </div>
    }
    .into_any()
}

/// Asks again and again while somebody may be looking; a failure stays until its retry.
fn again(status: Load<StatusResponse>) {
    let look = move || {
        let hidden = leptos::web_sys::window().and_then(|w| w.document()).is_some_and(|d| d.hidden());
        if !hidden && status.running.busy.try_get_untracked() == Some(false) {
            status.retry();
        }
    };
    let handle = set_interval_with_handle(look, LOOK);
    on_cleanup(move || {
        if let Ok(handle) = handle {
            handle.clear();
        }
    });
}

/// What keeps the server from its work.
fn troubles(status: &StatusResponse) -> AnyView {
    let told = |what: &'static str, why: &Option<String>| {
        why.as_ref().map(|why| {
            // What a file has at the place of a fault is on the lines behind the sentence, which says it all.
            let (sentence, lines) = why.split_once('\n').unwrap_or((why, ""));
            let lines = (!lines.is_empty()).then(|| view! { <pre class="notice-lines">{lines.to_owned()}</pre> });
            view! {
                <div class="notice warn" role="status" data-testid="trouble">
                    <span class="mark" aria-hidden="true">"▲"</span>
                    <div class="notice-text"><strong>{what}</strong><span>{sentence.to_owned()}</span>{lines}</div>
                </div>
            }
        })
    };
    let kafka = status.kafka.clone().unwrap_or_default();
    view! {
        {told("Writes are refused", &status.write_refusal)}
        {told("The object store does not answer", &status.object_store)}
        {told("The file of scrape jobs cannot be used: the jobs stay as they were", &status.scrape_trouble)}
        {told("Kafka is not read: all its partitions are paused", &kafka.paused)}
        {told("Kafka complains", &kafka.trouble)}
    }
    .into_any()
}

/// Which of its traces were kept, where not all are.
fn sampled(policies: &[SampledByPolicy]) -> Option<AnyView> {
    if policies.is_empty() {
        return None;
    }
    let row = |one: &SampledByPolicy| {
        let counts = [one.kept_traces, one.kept_spans, one.dropped_traces, one.dropped_spans];
        let cells = counts.map(|count| view! { <td class="num">{format::count(count)}</td> });
        view! { <tr><td>{one.policy.clone()}</td>{cells.into_iter().collect_view()}</tr> }
    };
    let view = view! {
        <h2>"Tail sampling"</h2>
        <table class="data" data-testid="sampled">
            <thead><tr>
                <th scope="col" class="left">"Policy"</th>
                <th scope="col">"Traces kept"</th>
                <th scope="col">"Spans kept"</th>
                <th scope="col">"Traces dropped"</th>
                <th scope="col">"Spans dropped"</th>
            </tr></thead>
            <tbody>{policies.iter().map(row).collect_view()}</tbody>
        </table>
    };
    Some(view.into_any())
}

/// What the tenant has, by signal.
fn stored(signals: &[SignalStatus]) -> AnyView {
    let app = App::get();
    let row = |one: &SignalStatus| {
        let newest = one.max_time.map_or_else(
            || "–".to_owned(),
            |time| format::ago(crate::component::app::present().saturating_sub(time.0)),
        );
        let damaged = (one.quarantined_blocks > 0).then(|| {
            view! { <span class="change worse">{format!("▲ {} damaged", format::count(one.quarantined_blocks))}</span> }
        });
        view! {
            <tr>
                <td>{one.signal.clone()}</td>
                <td class="num">{format::count(one.rows)}</td>
                <td class="num">{format::bytes(one.block_bytes as f64)}</td>
                <td class="num">{damaged}{format::count(one.blocks)}</td>
                <td class="num">{format::bytes(one.memtable_bytes as f64)}</td>
                <td class="num quiet">{newest}</td>
            </tr>
        }
    };
    view! {
        <h2>{move || format!("Stored for {}", app.tenant.get())}</h2>
        <table class="data" data-testid="stored">
            <thead><tr>
                <th scope="col" class="left">"Signal"</th>
                <th scope="col">"Rows"</th>
                <th scope="col">"On disk"</th>
                <th scope="col">"Blocks"</th>
                <th scope="col">"In memory"</th>
                <th scope="col">"Newest"</th>
            </tr></thead>
            <tbody>{signals.iter().map(row).collect_view()}</tbody>
        </table>
    }
    .into_any()
}
