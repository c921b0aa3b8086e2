//! What exactly was stored? The trace as OTLP/JSON, as the API answers it.

use crate::client::fetch::{self, Failure};
use crate::client::load::{Old, load_with};
use crate::component::app::App;
use crate::component::virtual_list::{List, virtual_list};
use crate::component::{message, text};
use crate::state::json;
use crate::state::rows::Heights;
use leptos::prelude::*;
use std::sync::Arc;

/// The text of an answer, kept as it came.
struct Raw(Arc<Vec<String>>, Arc<str>);

impl Raw {
    fn new(text: &str) -> Raw {
        Raw(Arc::new(json::lines(text)), Arc::from(text))
    }
}

/// The tab.
pub(super) fn tab(id: Memo<String>) -> AnyView {
    let path = move || Some(format!("/api/v1/traces/{}", id.get()));
    let raw = load_with(Old::Forget, path, |text, _| Ok(Raw::new(text)));
    message::loaded(raw, 20, move |raw| {
        let lines: Arc<Vec<String>> = raw.0.clone();
        let count = lines.len();
        let (list, _) = virtual_list(List {
            count: Signal::derive(move || count),
            heights: RwSignal::new(Heights::new(20.0)),
            generation: Signal::derive(|| 0),
            reveal: Signal::derive(|| None),
            role: "list",
            label: "JSON",
            row: move |index| {
                let line = lines.get(index).map(|line: &String| json::shown(line)).unwrap_or_default();
                view! { <div class="json-line mono" role="listitem"><span class="quiet num">{index + 1}</span><code>{line}</code></div> }.into_any()
            },
            foot: ().into_any(),
        });
        let whole = raw.1.clone();
        view! {
            <div class="json fill" data-testid="json">
                <div class="json-tools">{text::copy_button("Copy all of it", move || whole.to_string())}{download(id)}</div>
                {list}
            </div>
        }
            .into_any()
    })
}

/// Keeps the trace as a file.
pub(super) fn download(id: Memo<String>) -> AnyView {
    let app = App::get();
    let failure = RwSignal::new(None::<Failure>);
    let keep = move |_| {
        let (id, tenant) = (id.get_untracked(), app.tenant.get_untracked());
        failure.set(None);
        leptos::task::spawn_local(async move {
            let kept = fetch::keep(&format!("/api/v1/traces/{id}"), &tenant, &format!("{id}.json")).await;
            failure.try_set(kept.err());
        });
    };
    view! {
        <button class="copy" data-testid="download" on:click=keep>"download"</button>
        {move || failure.get().map(|failure| view! { <span class="fault small" role="alert">{failure.message}</span> })}
    }
    .into_any()
}
