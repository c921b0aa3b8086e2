//! How does a list grow? Its first page like any answer, further ones behind a cursor.
//!
//! PG1  A page is added only to the list that it was asked for: a changed search starts anew.

use super::fetch::{self, Failure};
use super::load::{Load, Old, Running, load};
use crate::component::app::App;
use crate::component::effect::effect;
use leptos::prelude::*;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// An answer that is one page of a list.
pub(crate) trait Page: DeserializeOwned + Send + Sync + 'static {
    /// One row.
    type Row: Clone + Send + Sync + 'static;
    /// The rows of this page.
    fn rows(&self) -> &[Self::Row];
    /// Where the next page begins.
    fn cursor(&self) -> Option<&str>;
}

impl Page for query_api::trace::SearchResponse {
    type Row = query_api::trace::TraceSummary;
    fn rows(&self) -> &[Self::Row] {
        &self.traces
    }
    fn cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

impl Page for query_api::log::LogsResponse {
    type Row = query_api::log::LogRecord;
    fn rows(&self) -> &[Self::Row] {
        &self.logs
    }
    fn cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

/// A growing list.
pub(crate) struct Paged<P: Page> {
    /// The first page.
    pub(crate) first: Load<P>,
    /// All rows so far.
    pub(crate) rows: RwSignal<Arc<Vec<P::Row>>>,
    /// Where the next page begins; none on the last.
    pub(crate) cursor: RwSignal<Option<String>>,
    /// Why the last further page failed.
    pub(crate) failure: RwSignal<Option<Failure>>,
    /// The request for a further page.
    pub(crate) growing: Running,
    /// Changes with every search, not with every page.
    pub(crate) generation: RwSignal<u64>,
    tenant: Memo<String>,
    request: StoredValue<Request, LocalStorage>,
}

type Request = std::rc::Rc<dyn Fn(Option<&str>) -> Option<String>>;

impl<P: Page> Clone for Paged<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Page> Copy for Paged<P> {}

/// Reads a list; `request` makes the path of a page from its cursor.
pub(crate) fn paged<P: Page>(request: impl Fn(Option<&str>) -> Option<String> + 'static) -> Paged<P> {
    let request: Request = std::rc::Rc::new(request);
    let of_first = request.clone();
    let first = load::<P>(Old::Keep, move || of_first(None));
    let failure = RwSignal::new(None);
    let paged = Paged {
        first,
        rows: RwSignal::new(Arc::default()),
        cursor: RwSignal::new(None),
        failure,
        growing: Running::new(failure),
        generation: RwSignal::new(0),
        tenant: App::get().tenant,
        request: StoredValue::new_local(request),
    };
    effect(move || {
        let page = first.data.get();
        paged.generation.update(|g| *g += 1);
        paged.growing.abort();
        paged.growing.busy.set(false);
        paged.failure.set(None);
        paged.cursor.set(page.as_ref().and_then(|page| page.cursor().map(str::to_owned)));
        paged.rows.set(Arc::new(page.map_or_else(Vec::new, |page| page.rows().to_vec())));
    });
    on_cleanup(move || paged.growing.abort());
    paged
}

impl<P: Page> Paged<P> {
    /// Asks for the next page, if there is one and none is under way.
    pub(crate) fn more(self) {
        let (Some(cursor), false) = (self.cursor.get_untracked(), self.growing.busy.get_untracked()) else { return };
        let path = self.request.with_value(|request| untrack(|| request(Some(&cursor))));
        let Some(path) = path else { return };
        let generation = self.generation.get_untracked();
        let tenant = self.tenant.get_untracked();
        let signal = self.growing.begin();
        leptos::task::spawn_local(async move {
            let Some(answer) = fetch::get(&path, &tenant, signal.as_ref()).await else { return };
            let answer = answer.and_then(|body| fetch::read::<P>(&body, &path));
            if self.generation.try_get_untracked() != Some(generation) {
                return;
            }
            self.growing.busy.try_set(false);
            match answer {
                Ok(page) => {
                    self.failure.try_set(None);
                    self.cursor.try_set(page.cursor().map(str::to_owned));
                    self.rows.try_update(|rows| Arc::make_mut(rows).extend_from_slice(page.rows()));
                }
                Err(failure) => {
                    self.failure.try_set(Some(failure));
                }
            }
        });
    }
}
