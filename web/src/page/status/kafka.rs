//! How far is each partition read, how fast, and is it falling behind?

use crate::client::load::Load;
use crate::component::app::present;
use crate::component::effect::effect;
use crate::component::{message, text};
use crate::state::format;
use crate::state::kafka::{self, Course, Looks};
use leptos::prelude::*;
use query_api::status::{KafkaFront, KafkaPartition, KafkaStatus, StatusResponse};

/// Partitions shown until more are asked for.
const SHOWN: usize = 100;

/// What switches the reading on.
const SWITCH: &str = "export SPANLIGHT_KAFKA_BROKERS=localhost:9092";

/// The section.
pub(super) fn section(status: Load<StatusResponse>) -> AnyView {
    let looks = StoredValue::new(Looks::default());
    let all = RwSignal::new(false);
    effect(move || {
        status.data.with(|s| {
            if let Some(s) = s
                && let Some(told) = &s.kafka
            {
                looks.update_value(|looks| looks.add(present(), s.uptime_seconds, told));
            }
        });
    });
    let body = move || {
        let answer = status.data.get()?;
        let Some(told) = &answer.kafka else { return Some(off()) };
        let words = kafka::sentence(told);
        let front = told.front.as_ref().map(front);
        // A front alone reads nothing.
        if front.is_some() && told.partitions.is_empty() {
            return front;
        }
        Some(view! {
            {front}
            <header class="page-head"><h2>"Kafka"</h2><p class="quiet" data-testid="kafka-words">{words}</p></header>
            {told.left_out.iter().map(|one| message::partial(kafka::left_out(one))).collect_view()}
            {table(told, looks, all)}
        }
        .into_any())
    };
    view! { <section data-testid="kafka" class="part">{body}</section> }.into_any()
}

/// Kafka is not read: how it would be.
fn off() -> AnyView {
    let lines = view! {
        <div class="code"><pre>{SWITCH}</pre>{text::copy_button("Copy this line", || SWITCH.to_owned())}</div>
    };
    view! {
        <h2>"Kafka"</h2>
        {message::empty(
            "Kafka is not read",
            "With brokers set, the topics otlp_spans, otlp_metrics and otlp_logs are read, each message once; [kafka] in the settings names others.",
            lines.into_any(),
        )}
    }
    .into_any()
}

/// What the doors give to the cluster.
fn front(told: &KafkaFront) -> AnyView {
    let rows = told.topics.iter().map(|one| {
        view! {
            <tr>
                <td class="name mono">{one.topic.clone()}</td>
                <td class="num">{format::count(one.messages)}</td>
                <td class="num">{format::bytes(one.bytes as f64)}</td>
                <td class="num" class:bad={one.unconfirmed > 0}>{(one.unconfirmed > 0).then(mark)}{format::count(one.unconfirmed)}</td>
            </tr>
        }
    });
    let trouble =
        told.trouble.clone().map(|what| message::partial(format!("The cluster takes nothing for now: {what}")));
    let waiting = format!(
        "the doors give what they receive to the cluster · {} not confirmed yet",
        format::counted(told.in_flight, "message")
    );
    view! {
        <header class="page-head"><h2>"Before the store"</h2><p class="quiet">{waiting}</p></header>
        {trouble}
        <table class="data" data-testid="front">
            <thead><tr>
                <th scope="col" class="left">"Topic"</th>
                <th scope="col" title="Of requests that the cluster confirmed, since the server started">"Messages"</th>
                <th scope="col">"Size"</th>
                <th scope="col" title="Requests that the cluster did not confirm; their senders were told to send them again">"Not confirmed"</th>
            </tr></thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}

fn table(told: &KafkaStatus, looks: StoredValue<Looks>, all: RwSignal<bool>) -> AnyView {
    if told.partitions.is_empty() {
        let why = "The cluster gave this process no partition yet: it may not answer, the topics may not exist, or others of the group have them all.";
        return message::empty("No partition is read", why, ().into_any());
    }
    let paused = told.paused.is_some();
    let shown = if all.get() { usize::MAX } else { SHOWN };
    let rows = told.partitions.iter().take(shown).map(|one| row(one, paused, looks)).collect_view();
    let hidden = told.partitions.len().saturating_sub(shown);
    let more = (hidden > 0).then(|| {
        let label = format!("Show {} more", format::count(hidden as u64));
        view! { <button class="button" on:click=move |_| all.set(true)>{label}</button> }
    });
    view! {
        <table class="data" data-testid="partitions">
            <thead><tr>
                <th scope="col" class="left">"Topic"</th>
                <th scope="col">"Partition"</th>
                <th scope="col" class="left">"State"</th>
                <th scope="col" title="Messages that are there and not read yet">"Lag"</th>
                <th scope="col" class="left" title="When the lag is read up if it goes on like in the last 15 seconds">"Caught up"</th>
                <th scope="col" title="Messages in the last 15 seconds">"Read"</th>
                <th scope="col" title="Since the server started">"Rows"</th>
                <th scope="col" title="The offset that comes next">"Position"</th>
                <th scope="col" title="Offsets that were read and are not in a block yet">"In memory"</th>
                <th scope="col" title="Messages that could not be read, since the server started">"Dead letters"</th>
                <th scope="col" title="Offsets that the cluster deleted before they were read">"Lost"</th>
            </tr></thead>
            <tbody>{rows}</tbody>
        </table>
        {more}
    }
    .into_any()
}

fn row(one: &KafkaPartition, paused: bool, looks: StoredValue<Looks>) -> AnyView {
    let (rate, course) = looks.with_value(|looks| looks.tell(one));
    let state = match (one.ours, paused) {
        (true, _) if one.stuck.is_some() => {
            view! { <span class="change worse" title=one.stuck.clone()>"▲ stuck"</span> }.into_any()
        }
        (true, true) => view! { <span class="change worse">"▲ paused"</span> }.into_any(),
        (true, false) => "read here".into_any(),
        (false, _) => view! { <span class="quiet">"read elsewhere"</span> }.into_any(),
    };
    let caught_up = match course {
        Course::Level => view! { <span class="quiet">"now"</span> }.into_any(),
        Course::Until(nanos) => format!("≈ in {}", format::duration(nanos.max(1_000_000_000))).into_any(),
        Course::Growing => view! { <span class="change worse">"▲ falling behind"</span> }.into_any(),
        Course::Standing => view! { <span class="change worse">"▲ nothing moves"</span> }.into_any(),
        Course::Unknown => view! { <span class="quiet">"–"</span> }.into_any(),
    };
    let idle = rate.is_none_or(|rate| rate == 0.0);
    // Who reads it now knows the rest.
    let (lag, caught_up, rate) = if one.ours {
        (format::count(one.lag), caught_up, rate.map_or_else(|| "–".to_owned(), format::rate))
    } else {
        ("–".to_owned(), "–".into_any(), "–".to_owned())
    };
    let loss = |count: u64| if count == 0 { "–".to_owned() } else { format::count(count) };
    view! {
        <tr data-testid="partition-row" data-topic=one.topic.clone() data-partition=one.partition.to_string()>
            <td class="name mono">{one.topic.clone()}</td>
            <td class="num">{one.partition}</td>
            <td data-testid="partition-state">{state}</td>
            <td class="num" data-testid="lag">{lag}</td>
            <td>{caught_up}</td>
            <td class="num" class:quiet=idle>{rate}</td>
            <td class="num">
                {(one.tombstones > 0).then(|| view! { <span class="quiet" data-testid="tombstones">{format::counted(one.tombstones, "tombstone")}" · "</span> })}
                {format::count(one.rows)}
            </td>
            <td class="num">{format::count(one.position)}</td>
            <td class="num">{loss(one.position.saturating_sub(one.committed))}</td>
            <td class="num" class:bad={one.dead_letters > 0}>{(one.dead_letters > 0).then(mark)}{loss(one.dead_letters)}</td>
            <td class="num" class:bad={one.lost > 0}>{(one.lost > 0).then(mark)}{loss(one.lost)}</td>
        </tr>
    }
    .into_any()
}

fn mark() -> AnyView {
    view! { <span class="error-mark" aria-hidden="true">"■"</span> }.into_any()
}
