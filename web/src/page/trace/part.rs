//! Which tabs' code comes when they are opened? What is seldom looked at, so that a trace is shown sooner.
//!
//! One part for all of them: each further part cuts what is shared into more files.
//!
//! Not here: how code is cut into parts (`cargo xtask web`), the parts of pages (`page::code`).

use super::view::View;
use crate::client::fetch::Failure;
use crate::component::message;
use leptos::prelude::*;

/// Draws a tab.
type Tab = fn(View) -> AnyView;

mod code {
    use super::Tab;
    use leptos::wasm_split::{SplitLoaderError, wasm_split};

    #[wasm_split(tabs, wasm_split_path = ::leptos::wasm_split, fallible)]
    pub(super) fn compare() -> Result<Tab, SplitLoaderError> {
        Ok(super::super::compare::tab)
    }

    #[wasm_split(tabs, wasm_split_path = ::leptos::wasm_split, fallible)]
    pub(super) fn map() -> Result<Tab, SplitLoaderError> {
        Ok(super::super::map::tab)
    }
}

/// A tab whose code comes when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Another trace beside this one.
    Compare,
    /// The map of the trace.
    Map,
}

/// The tab, or what stands in its place until its code has come.
pub(super) fn tab(view: View, part: Part) -> AnyView {
    let here = RwSignal::new(None::<Option<Tab>>);
    let fetch = move || {
        leptos::task::spawn_local(async move {
            let tab = match part {
                Part::Compare => code::compare().await,
                Part::Map => code::map().await,
            };
            here.try_set(Some(tab.ok()));
        });
    };
    fetch();
    let shown = move || match here.get() {
        Some(Some(tab)) => untrack(|| tab(view)),
        Some(None) => message::failed(&Failure::not_loaded(), fetch),
        None => message::skeleton(8),
    };
    view! { {shown} }.into_any()
}
