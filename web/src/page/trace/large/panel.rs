//! What is known of one span of a large trace? The server is asked for it.

use super::super::detail::{self, Place, Seen};
use super::view::Large;
use crate::component::message;
use leptos::prelude::*;
use query_api::outline::SpanResponse;
use std::sync::Arc;

/// The panel at the side; nothing while no span is selected.
pub(super) fn panel(view: Large) -> AnyView {
    let select = Callback::new(move |id: Option<String>| view.select(id.as_deref()));
    let place = Place { app: view.app, id: view.id, select };
    detail::beside(move || {
        view.span.get()?;
        if let Some(failure) = view.details.failure.get() {
            return Some(message::failed(&failure, move || view.details.retry()));
        }
        let answer = view.details.data.get();
        let service = |row: &SpanResponse| {
            view.outline.with(|outline| outline.services.get(row.row.service).map(|service| service.name.clone()))
        };
        let seen = answer.and_then(|answer| seen(&answer, service(&answer).unwrap_or_default(), view.lasting()));
        Some(match seen {
            Some(seen) => detail::content(place, Arc::new(seen)),
            None => message::skeleton(8),
        })
    })
}

/// The span of an answer; the first where several have its id.
fn seen(answer: &SpanResponse, service: String, lasting: (i64, i64)) -> Option<Seen> {
    let group = answer.data.resource_spans.first()?;
    let part = group.scope_spans.first()?;
    let row = &answer.row;
    Some(Seen {
        span: part.spans.first()?.clone(),
        resource: group.resource.clone(),
        scope: part.scope.clone(),
        service,
        start: row.start_nano,
        duration: row.duration_nano,
        self_time: row.self_nano,
        parent: answer.parent_id.clone().zip(answer.parent_name.clone()),
        flaw: row.flaw,
        lasting,
    })
}
