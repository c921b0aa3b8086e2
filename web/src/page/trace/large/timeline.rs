//! What waited for what, in a trace of any size? The waterfall; a row that is not here yet is a grey line until it is.

use super::super::timeline::{Drawn, ROW, draw, waterfall};
use super::view::Large;
use crate::component::message;
use crate::component::virtual_list::{List, virtual_list_seen};
use crate::state::rows::Heights;
use leptos::prelude::*;
use query_api::outline::OutlineRow;
use std::sync::Arc;

/// The tab.
pub(super) fn tab(view: Large) -> AnyView {
    let list = List {
        count: Signal::derive(move || view.pages.with(|pages| pages.count)),
        heights: RwSignal::new(Heights::new(ROW)),
        generation: view.generation.into(),
        reveal: view.at.into(),
        role: "tree",
        label: "Spans",
        row: move |place| row(view, place),
        foot: ().into_any(),
    };
    let (list, node) = virtual_list_seen(list, Some(view.seen));
    view.scroller.set_value(Some(node));
    // Only once it is here can it be named.
    let at = Memo::new(move |_| {
        let at = view.at.get()?;
        view.pages.with(|pages| pages.at(at).map(|row| row.row))
    });
    let failed = move || view.failure.get().map(|failure| message::failed(&failure, move || view.retry()));
    view! { {failed}{waterfall(view.board(), list, node, at.into())} }.into_any()
}

fn row(view: Large, place: usize) -> AnyView {
    let here = Memo::new(move |_| view.pages.with(|pages| pages.at(place).cloned()));
    let shown = move || match here.get() {
        Some(row) => drawn(view, place, row),
        None => {
            view! { <div class="span-row awaited" role="treeitem" aria-busy="true" aria-label="Is on its way"></div> }
                .into_any()
        }
    };
    view! { {shown} }.into_any()
}

fn drawn(view: Large, place: usize, row: Arc<OutlineRow>) -> AnyView {
    let (at, id) = (row.row, row.span_id.clone());
    let name = |outline: &Arc<query_api::outline::OutlineResponse>| {
        outline.services.get(row.service).map(|it| it.name.clone())
    };
    let service = view.outline.with_untracked(name).unwrap_or_default();
    let selected = id.clone();
    draw(
        view.board(),
        Drawn {
            row,
            service,
            selected: Signal::derive(move || view.span.with(|span| span.as_deref() == Some(&*selected))),
            at: Signal::derive(move || view.at.get() == Some(place)),
            hit: Signal::derive(move || view.holds(at) == Some(true)),
            missed: Signal::derive(move || view.holds(at) == Some(false)),
            fold: Callback::new(move |()| view.turn(place)),
            choose: Callback::new(move |()| {
                view.at.set(Some(place));
                view.select(Some(&id));
            }),
        },
    )
}
