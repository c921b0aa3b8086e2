//! Which messages could not be read, why, and can they be stored after all?

use crate::client::fetch::{self, Failure};
use crate::client::load::{Load, load_of};
use crate::component::app::App;
use crate::component::effect::effect;
use crate::component::{keys, message, text};
use crate::state::kafka::encodings;
use crate::state::{address, calendar, format};
use leptos::prelude::*;
use query_api::letter::{DeadLetter, DeadLettersResponse, Replayed, TENANT};
use query_api::status::StatusResponse;
use std::collections::HashMap;

/// Letters shown: the newest.
const SHOWN: usize = 100;

/// What the rows share.
#[derive(Clone, Copy)]
struct Letters {
    list: Load<DeadLettersResponse>,
    /// What went wrong with a letter, by its id.
    failures: RwSignal<HashMap<String, Failure>>,
    selected: RwSignal<Option<usize>>,
}

/// The section; nothing where Kafka is not read and no letter is left of another time.
pub(super) fn section(status: Load<StatusResponse>) -> AnyView {
    let list = load_of::<DeadLettersResponse>(TENANT, || Some(format!("/api/v1/dead-letters?limit={SHOWN}")));
    let letters = Letters { list, failures: RwSignal::new(HashMap::new()), selected: RwSignal::new(None) };
    let counted = move || {
        status.data.with(|s| {
            let partitions = s.as_ref()?.kafka.as_ref()?.partitions.iter();
            Some(partitions.map(|one| one.dead_letters).sum::<u64>())
        })
    };
    // Another one has come: look at it.
    let mut before = None;
    let count = Memo::new(move |_| counted());
    effect(move || {
        let count = count.get();
        if before.replace(count).is_some_and(|before: Option<u64>| before.is_some() && before != count) {
            list.retry();
        }
    });
    let rows = move || list.data.with(|d| d.as_ref().map_or(0, |d| d.letters.len()));
    keys::list_keys(rows, letters.selected, move |at| {
        let letter = list.data.with_untracked(|d| d.as_ref().and_then(|d| d.letters.get(at).cloned()));
        if let Some(letter) = letter.filter(|letter| letter.end.is_none()) {
            download(letters, letter.id);
        }
    });
    let known = Memo::new(move |_| status.data.with(|s| s.as_ref().is_some_and(|s| s.kafka.is_some())));
    let body = move || {
        let has_none = list.data.with(|d| d.as_ref().is_none_or(|d| d.letters.is_empty()));
        if !known.get() && has_none {
            return ().into_any();
        }
        message::loaded(list, 3, move |answer| shown(&answer, letters))
    };
    view! { <section data-testid="dead-letters" class="part">{body}</section> }.into_any()
}

fn shown(answer: &DeadLettersResponse, letters: Letters) -> AnyView {
    let head = |words: String| {
        view! { <header class="page-head"><h2>"Dead letters"</h2><p class="quiet">{words}</p></header> }
    };
    if answer.letters.is_empty() {
        return head("none: no message had to be left aside".into()).into_any();
    }
    let waiting = answer.letters.iter().filter(|letter| !letter.replayed && !letter.partial).count();
    let all = format::counted(answer.letters.len() as u64, "letter");
    let words = if answer.truncated {
        format!("the newest {all}, {} not stored", format::count(waiting as u64))
    } else {
        format!("{all}, {} not stored", format::count(waiting as u64))
    };
    let partial =
        answer.stats.partial.then(|| message::partial("Blocks are damaged: some letters may be missing.".into()));
    let rows = answer.letters.iter().enumerate().map(|(index, letter)| row(index, letter, letters)).collect_view();
    view! {
        {head(words)}
        {partial}
        <table class="data letters">
            <thead><tr>
                <th scope="col" class="left">"Kept"</th>
                <th scope="col" class="left">"Topic"</th>
                <th scope="col">"Partition"</th>
                <th scope="col">"Offset"</th>
                <th scope="col">"Size"</th>
                <th scope="col" class="left">"Tenant"</th>
                <th scope="col" class="left">"Reason"</th>
                <th scope="col" class="left">"Replay"</th>
                <th scope="col"></th>
            </tr></thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}

fn row(index: usize, letter: &DeadLetter, letters: Letters) -> AnyView {
    let app = App::get();
    let selected = letters.selected;
    let id = letter.id.clone();
    let (of_row, of_link) = (id.clone(), id.clone());
    let failure = move || letters.failures.with(|all| all.get(&id).cloned());
    let link = move |_| download(letters, of_link.clone());
    let size = letter.size.filter(|_| letter.end.is_none());
    let size = size.map_or_else(|| "–".to_owned(), |size| format::bytes(size as f64));
    let offset = format::count(letter.offset);
    let (offset, has_bytes) = match letter.end {
        Some(end) => (format!("{offset} – {}", format::count(end.saturating_sub(1))), false),
        None => (offset, true),
    };
    let bytes = has_bytes.then(|| view! {
        <button class="link" data-testid="download" title="The message, byte for byte" on:click=link>"Download"</button>
    });
    view! {
        <tr class:selected=move || selected.get() == Some(index) data-testid="letter-row" data-letter=of_row>
            <td class="sent quiet" title=format!("sent {}", calendar::rfc3339(letter.sent_unix_nano))>{calendar::date_time(letter.time_unix_nano, app.offset())}</td>
            <td class="name mono">{letter.topic.clone()}</td>
            <td class="num">{letter.partition}</td>
            <td class="num">{offset}</td>
            <td class="num">{size}</td>
            <td>{letter.tenant.clone()}</td>
            <td class="reason">
                {text::long_text(letter.reason.clone())}
                {move || failure().map(|f| view! { <p class="fault small" role="alert" data-testid="letter-fault">{format!("{}: {}", f.class, f.message)}</p> })}
            </td>
            <td>{replay(letter, letters)}</td>
            <td>{bytes}</td>
        </tr>
    }
    .into_any()
}

/// How a letter is read again; where it cannot be, why.
fn replay(letter: &DeadLetter, letters: Letters) -> AnyView {
    if letter.replayed {
        return view! { <span class="quiet" data-testid="replayed">"replayed"</span> }.into_any();
    }
    if letter.partial {
        let why = "Some of its records are stored; a replay would store them twice";
        return view! { <span class="quiet" title=why>"stored in part"</span> }.into_any();
    }
    let told = if letter.encoding.is_empty() { "otlp_proto".to_owned() } else { letter.encoding.clone() };
    let encoding = RwSignal::new(told.clone());
    let (busy, is_batch) = (RwSignal::new(false), letter.end.is_some());
    let (tenant, asks_tenant) = (RwSignal::new(String::new()), !is_batch && letter.tenant.is_empty());
    let id = letter.id.clone();
    let again = move |_| {
        let (id, encoding) = (id.clone(), encoding.get_untracked());
        busy.set(true);
        leptos::task::spawn_local(async move {
            let mut how = if is_batch { String::new() } else { format!("?encoding={encoding}") };
            if asks_tenant {
                how += &format!("&tenant={}", address::encode(&tenant.get_untracked()));
            }
            let path = format!("/api/v1/dead-letters/{}/replay{how}", address::encode(&id));
            let answer = fetch::call("POST", &path, TENANT).await;
            let answer = answer.and_then(|body| fetch::read::<Replayed>(&body, &path));
            busy.try_set(false);
            keep(letters, id, answer.err());
            letters.list.retry();
        });
    };
    let option = |name: &'static str| {
        let is_told = name == told;
        view! { <option value=name selected=is_told>{name}</option> }
    };
    let choice = (!is_batch).then(|| {
        let options = encodings(&letter.signal).iter().map(|name| option(name)).collect_view();
        view! {
            <select class="select" aria-label="Read it as" title="Read it as" data-testid="letter-encoding"
                on:change=move |event| encoding.set(event_target_value(&event))>{options}</select>
        }
    });
    let into = asks_tenant.then(|| {
        view! {
            <input class="mono" style="width:12ch" placeholder="tenant" aria-label="Store it for tenant" spellcheck="false" data-testid="letter-tenant"
                on:input=move |event| tenant.set(event_target_value(&event)) />
        }
    });
    let is_unable = move || busy.get() || asks_tenant && tenant.with(|tenant| tenant.trim().is_empty());
    view! {
        <div class:joined=!is_batch>
            {into}
            {choice}
            <button class="button" data-testid="replay" disabled=is_unable on:click=again>{move || if busy.get() { "Replaying…" } else { "Replay" }}</button>
        </div>
    }
    .into_any()
}

fn download(letters: Letters, id: String) {
    leptos::task::spawn_local(async move {
        let path = format!("/api/v1/dead-letters/{}", address::encode(&id));
        let answer = fetch::keep(&path, TENANT, &format!("{id}.bin")).await;
        keep(letters, id, answer.err());
    });
}

/// Keeps what went wrong with a letter, or that nothing does any more.
fn keep(letters: Letters, id: String, failure: Option<Failure>) {
    letters.failures.try_update(|all| match failure {
        Some(failure) => all.insert(id, failure),
        None => all.remove(&id),
    });
}
