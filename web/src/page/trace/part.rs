//! Which code comes when it is needed? Tabs that are seldom looked at, and what draws a large trace, so that others are shown sooner.
//!
//! One part for all of them: each further part cuts what is shared into more files.
//!
//! Not here: how code is cut into parts (`cargo xtask web`), the parts of pages (`page::code`).

use super::compare::Here;
use super::map::Calls;
use super::view::Opened;
use crate::client::fetch::Failure;
use crate::client::load::Load;
use crate::component::message;
use leptos::prelude::*;

/// What is drawn.
#[derive(Clone, Copy)]
pub(super) enum Part {
    /// Another trace beside this one.
    Compare(Here),
    /// The map of the trace.
    Map(Calls),
    /// What was stored of the trace, by its id.
    Json(Memo<String>),
    /// A large trace, by its id.
    Large(Memo<String>, Load<Opened>),
}

/// Draws it.
type Draw = fn(Part) -> AnyView;

mod code {
    use super::Draw;
    use leptos::wasm_split::{SplitLoaderError, wasm_split};

    #[wasm_split(tabs, wasm_split_path = ::leptos::wasm_split, fallible)]
    pub(super) fn tabs() -> Result<Draw, SplitLoaderError> {
        Ok(super::draw)
    }
}

fn draw(part: Part) -> AnyView {
    match part {
        Part::Compare(here) => super::compare::tab(here),
        Part::Map(calls) => super::map::tab(calls),
        Part::Json(id) => super::json::tab(id),
        Part::Large(id, found) => super::large::page(id, found),
    }
}

/// What is drawn, or what stands in its place until its code has come.
pub(super) fn tab(part: Part) -> AnyView {
    let here = RwSignal::new(None::<Option<Draw>>);
    let fetch = move || {
        leptos::task::spawn_local(async move {
            here.try_set(Some(code::tabs().await.ok()));
        });
    };
    fetch();
    let shown = move || match here.get() {
        Some(Some(draw)) => untrack(|| draw(part)),
        Some(None) => message::failed(&Failure::not_loaded(), fetch),
        None => message::skeleton(8),
    };
    view! { {shown} }.into_any()
}
