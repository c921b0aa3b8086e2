//! What is shown when there is nothing to show? Waiting, failure, emptiness: each says why.

use crate::client::fetch::Failure;
use crate::client::load::Load;
use leptos::prelude::*;
use std::sync::Arc;

/// Grey lines where rows will be.
pub(crate) fn skeleton(rows: usize) -> AnyView {
    let line = |index: usize| {
        let width = 40 + (index * 37) % 55;
        view! { <div class="skeleton-row"><i style=format!("width:{width}%")></i></div> }
    };
    view! { <div class="skeleton" aria-busy="true" aria-label="Loading">{(0..rows).map(line).collect_view()}</div> }
        .into_any()
}

/// What failed, where, and a way to try again.
pub(crate) fn failed(failure: &Failure, retry: impl Fn() + 'static) -> AnyView {
    let place = failure.place.clone().map(|place| view! { <span class="mono">{place}</span> });
    let status = if failure.status == 0 { String::new() } else { format!("HTTP {}", failure.status) };
    view! {
        <div class="notice error" role="alert" data-testid="error">
            <span class="mark" aria-hidden="true">"■"</span>
            <div class="notice-text">
                <strong>{failure.class}</strong>
                <span>{failure.message.clone()}</span>
                <span class="quiet mono small">{place}" "{status}" "{failure.path.clone()}</span>
            </div>
            <button class="button" on:click=move |_| retry()>"Retry"</button>
        </div>
    }
    .into_any()
}

/// A quiet sentence in the middle of an empty place, with what can be done about it.
pub(crate) fn empty(title: impl Into<String>, why: impl Into<String>, actions: AnyView) -> AnyView {
    view! {
        <div class="empty" data-testid="empty">
            <strong>{title.into()}</strong>
            <p class="quiet">{why.into()}</p>
            <div class="row-actions">{actions}</div>
        </div>
    }
    .into_any()
}

/// A banner that says what is missing from an answer.
pub(crate) fn partial(what: String) -> AnyView {
    view! { <div class="notice warn" role="status" data-testid="partial"><span class="mark" aria-hidden="true">"▲"</span><span>{what}</span></div> }
        .into_any()
}

/// The failure above, and below it the data, or a skeleton until there is some.
pub(crate) fn loaded<T: Send + Sync + 'static>(
    load: Load<T>,
    rows: usize,
    show: impl Fn(Arc<T>) -> AnyView + Send + 'static,
) -> AnyView {
    view! {
        {move || load.failure.get().map(|failure| failed(&failure, move || load.retry()))}
        {move || match load.data.get() {
            Some(data) => show(data),
            None if load.failure.with(Option::is_some) => ().into_any(),
            None => skeleton(rows),
        }}
    }
    .into_any()
}

/// A thin line that moves while a request runs.
pub(crate) fn progress(busy: impl Fn() -> bool + Send + Sync + 'static) -> AnyView {
    view! { <div class="progress" class:busy=busy aria-hidden="true"></div> }.into_any()
}
