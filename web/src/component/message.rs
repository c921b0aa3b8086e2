//! What is shown when there is nothing to show? Waiting, failure, emptiness: each says why.

use crate::client::fetch::Failure;
use crate::client::load::{Load, Running};
use crate::component::app::{App, Overlay};
use crate::component::effect::effect;
use crate::component::text::LINE;
use crate::state::{format, time};
use leptos::prelude::*;
use std::sync::Arc;
use std::time::Duration;

/// Grey lines where rows will be.
pub(crate) fn skeleton(rows: usize) -> AnyView {
    let line = |index: usize| {
        let width = 40 + (index * 37) % 55;
        view! { <div class="skeleton-row"><i style=format!("width:{width}%")></i></div> }
    };
    view! { <div class="skeleton" role="status" aria-busy="true" aria-label="Loading">{(0..rows).map(line).collect_view()}</div> }
        .into_any()
}

/// What failed, where, and a way to try again.
pub(crate) fn failed(failure: &Failure, retry: impl Fn() + 'static) -> AnyView {
    let place = failure.place.clone().map(|place| view! { <span class="mono">{place}</span> });
    let (kind, mark) = if failure.is_cancelled() { ("warn", "▲") } else { ("error", "■") };
    let status = if failure.status == 0 { String::new() } else { format!("HTTP {}", failure.status) };
    view! {
        <div class=format!("notice {kind}") role="alert" data-testid="error">
            <span class="mark" aria-hidden="true">{mark}</span>
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

/// The range in the address is none: why, what was typed, and ways to a right one.
pub(crate) fn bad_range(app: App, reason: String) -> AnyView {
    let typed =
        move || format!("from={}&to={}", format::cut(&app.from.get(), LINE).0, format::cut(&app.to.get(), LINE).0);
    let usual = move |_| app.look_at(time::DEFAULT_FROM, time::DEFAULT_TO);
    view! {
        <div class="page">
            <div class="notice error" role="alert" data-testid="error">
                <span class="mark" aria-hidden="true">"■"</span>
                <div class="notice-text">
                    <strong>"bad range of time"</strong>
                    <span>{reason}</span>
                    <span class="quiet mono small">{typed}</span>
                </div>
                <button class="button" on:click=move |_| app.overlay.set(Some(Overlay::Range))>"Choose a range"</button>
                <button class="button" data-testid="usual-range" on:click=usual>"Look at the last hour"</button>
            </div>
        </div>
    }
    .into_any()
}

/// Says whose the data is that stays when a request fails: of what was asked when it came. Nothing where that is asked still.
pub(crate) fn of_before<T: Send + Sync>(load: Load<T>, asked: Memo<String>) -> AnyView {
    let before = RwSignal::new(String::new());
    effect(move || {
        load.data.track();
        before.set(asked.get_untracked());
    });
    let said = move || {
        let before = before.get();
        let is_old = load.is_old() && before != asked.get();
        is_old.then(|| partial(format!("What is shown is still the answer to: {}", format::cut(&before, LINE).0)))
    };
    view! { {said} }.into_any()
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

/// A thin line that moves while a request runs; after a second, also for how long, and a way to stop it.
pub(crate) fn progress<const N: usize>(requests: [Running; N]) -> AnyView {
    let requests: Arc<[Running]> = Arc::new(requests);
    let of_busy = requests.clone();
    let busy = Memo::new(move |_| of_busy.iter().filter(|request| request.busy.get()).count() > 0);
    let seconds = RwSignal::new(0u32);
    let mut clock: Option<IntervalHandle> = None;
    effect(move || {
        seconds.set(0);
        if let Some(clock) = clock.take() {
            clock.clear();
        }
        if busy.get() {
            let step = move || {
                seconds.try_update(|seconds| *seconds += 1);
            };
            clock = set_interval_with_handle(step, Duration::from_secs(1)).ok();
        }
    });
    let stop = move || {
        let requests = requests.clone();
        let cancel = move |_| requests.iter().for_each(|request| request.cancel());
        view! {
            <div class="running" role="status">
                <span class="num">"Running for "{move || seconds.get()}" s"</span>
                <button class="button" data-testid="cancel" on:click=cancel>"Cancel"</button>
            </div>
        }
    };
    view! {
        <div class="progress" class:busy=move || busy.get() aria-hidden="true"></div>
        {move || (seconds.get() > 0).then(&stop)}
    }
    .into_any()
}
