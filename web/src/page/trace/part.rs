//! Which code comes when it is needed? Tabs that are seldom looked at, and what draws a large trace, so that others are shown sooner.
//!
//! One part for the tabs, one for large traces: each further part cuts what is shared into more files.
//!
//! Not here: how code is cut into parts (`cargo xtask web`), the parts of pages (`page::code`).

use super::compare::Here;
use super::map::Calls;
use super::view::Opened;
use crate::client::fetch::Failure;
use crate::client::load::Load;
use crate::component::message;
use leptos::prelude::*;
use leptos::wasm_split::SplitLoaderError;

/// Draws a comparison, a map, a large trace.
type Compare = fn(Here) -> AnyView;
type Map = fn(Calls) -> AnyView;
type Large = fn(Memo<String>, Load<Opened>) -> AnyView;

mod code {
    use super::{Compare, Large, Map};
    use leptos::wasm_split::{SplitLoaderError, wasm_split};

    #[wasm_split(tabs, wasm_split_path = ::leptos::wasm_split, fallible)]
    pub(super) fn compare() -> Result<Compare, SplitLoaderError> {
        Ok(super::super::compare::tab)
    }

    #[wasm_split(tabs, wasm_split_path = ::leptos::wasm_split, fallible)]
    pub(super) fn map() -> Result<Map, SplitLoaderError> {
        Ok(super::super::map::tab)
    }

    #[wasm_split(large, wasm_split_path = ::leptos::wasm_split, fallible)]
    pub(super) fn large() -> Result<Large, SplitLoaderError> {
        Ok(super::super::large::page)
    }
}

/// The comparison with another trace.
pub(super) fn compare(here: Here) -> AnyView {
    once(code::compare, move |tab| tab(here))
}

/// The map of a trace.
pub(super) fn map(calls: Calls) -> AnyView {
    once(code::map, move |tab| tab(calls))
}

/// A large trace.
pub(super) fn large(id: Memo<String>, found: Load<Opened>) -> AnyView {
    once(code::large, move |page| page(id, found))
}

/// What code draws, or what stands in its place until it has come.
fn once<T, F>(code: impl Fn() -> F + Copy + Send + 'static, draw: impl Fn(T) -> AnyView + Send + 'static) -> AnyView
where
    T: Copy + Send + Sync + 'static,
    F: Future<Output = Result<T, SplitLoaderError>> + 'static,
{
    let here = RwSignal::new(None::<Option<T>>);
    let fetch = move || {
        leptos::task::spawn_local(async move {
            here.try_set(Some(code().await.ok()));
        });
    };
    fetch();
    let shown = move || match here.get() {
        Some(Some(code)) => untrack(|| draw(code)),
        Some(None) => message::failed(&Failure::not_loaded(), fetch),
        None => message::skeleton(8),
    };
    view! { {shown} }.into_any()
}
