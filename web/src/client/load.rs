//! How does a view stay in step with the server? One request at a time, asked again when its path changes.
//!
//! L1  An older answer never replaces a newer one: a new request aborts the one before.
//! L2  While a request runs, what was shown stays, unless the view asked to forget it.
//! L3  Nothing is written after the view is gone.

use super::fetch::{self, Failure};
use crate::component::app::App;
use leptos::prelude::*;
use leptos::web_sys::AbortController;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// What becomes of old data when the path changes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Old {
    /// Stays until the new has come.
    Keep,
    /// Is forgotten at once.
    Forget,
}

/// What is known of an answer.
pub(crate) struct Load<T: 'static> {
    /// The newest answer.
    pub(crate) data: RwSignal<Option<Arc<T>>>,
    /// Why the last request failed, if it did.
    pub(crate) failure: RwSignal<Option<Failure>>,
    /// Whether a request is under way.
    pub(crate) busy: RwSignal<bool>,
    again: RwSignal<u32>,
}

impl<T> Clone for Load<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Load<T> {}

impl<T: Send + Sync> Load<T> {
    /// Asks again.
    pub(crate) fn retry(&self) {
        self.again.update(|n| *n += 1);
    }
}

/// Asks for what `path` says, now and whenever it changes or the page is refreshed; `None` asks for nothing.
pub(crate) fn load<T>(old: Old, path: impl Fn() -> Option<String> + 'static) -> Load<T>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    let app = App::get();
    let load = Load {
        data: RwSignal::new(None),
        failure: RwSignal::new(None),
        busy: RwSignal::new(false),
        again: RwSignal::new(0),
    };
    let running: StoredValue<Option<AbortController>, LocalStorage> = StoredValue::new_local(None);
    let abort = move || {
        running.try_update_value(|slot| {
            if let Some(controller) = slot.take() {
                controller.abort();
            }
        });
    };
    Effect::new(move |before: Option<Option<String>>| {
        let path = path();
        load.again.track();
        app.tick.track();
        let tenant = app.tenant.get();
        abort();
        if before.is_some_and(|before| before != path) && old == Old::Forget || path.is_none() {
            load.data.set(None);
        }
        let Some(asked) = path.clone() else {
            load.busy.set(false);
            load.failure.set(None);
            return path;
        };
        let controller = AbortController::new().ok();
        let signal = controller.as_ref().map(AbortController::signal);
        running.set_value(controller);
        load.busy.set(true);
        leptos::task::spawn_local(async move {
            let Some(answer) = fetch::get::<T>(&asked, &tenant, signal.as_ref()).await else { return };
            load.busy.try_set(false);
            match answer {
                Ok(data) => {
                    load.failure.try_set(None);
                    load.data.try_set(Some(Arc::new(data)));
                }
                Err(failure) => {
                    load.failure.try_set(Some(failure));
                }
            }
        });
        path
    });
    on_cleanup(abort);
    load
}
