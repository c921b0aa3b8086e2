//! How does a view stay in step with the server? One request at a time, asked again when its path changes.
//!
//! L1  An older answer never replaces a newer one: a new request aborts the one before.
//! L2  While a request runs, what was shown stays, unless the view asked to forget it.
//! L3  Nothing is written after the view is gone.

use super::fetch::{self, Failure};
use crate::component::app::App;
use crate::component::effect::effect;
use leptos::prelude::*;
use leptos::web_sys::AbortController;
use serde::de::DeserializeOwned;
use std::rc::Rc;
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
    let load = Load {
        data: RwSignal::new(None),
        failure: RwSignal::new(None),
        busy: RwSignal::new(false),
        again: RwSignal::new(0),
    };
    let keep = move |body: Option<(&str, &str)>| -> Result<(), Failure> {
        let read = body.map(|(body, path)| fetch::read::<T>(body, path)).transpose()?;
        load.data.try_set(read.map(Arc::new));
        Ok(())
    };
    follow(Followed {
        old,
        path: Box::new(path),
        keep: Rc::new(keep),
        failure: load.failure,
        busy: load.busy,
        again: load.again,
    });
    load
}

/// Keeps an answer, given its text and path; forgets the old one, given nothing.
type Keep = Rc<dyn Fn(Option<(&str, &str)>) -> Result<(), Failure>>;

/// What following an answer needs, whatever its type: compiled once.
struct Followed {
    old: Old,
    path: Box<dyn Fn() -> Option<String>>,
    keep: Keep,
    failure: RwSignal<Option<Failure>>,
    busy: RwSignal<bool>,
    again: RwSignal<u32>,
}

fn follow(followed: Followed) {
    let app = App::get();
    let Followed { old, path, keep, failure, busy, again } = followed;
    let running: StoredValue<Option<AbortController>, LocalStorage> = StoredValue::new_local(None);
    let abort = move || {
        running.try_update_value(|slot| {
            if let Some(controller) = slot.take() {
                controller.abort();
            }
        });
    };
    let mut before: Option<Option<String>> = None;
    effect(move || {
        let path = path();
        again.track();
        app.tick.track();
        let tenant = app.tenant.get();
        abort();
        let changed = before.replace(path.clone()).is_some_and(|before| before != path);
        if (changed && old == Old::Forget) || path.is_none() {
            keep(None).ok();
        }
        let Some(asked) = path else {
            busy.set(false);
            failure.set(None);
            return;
        };
        let controller = AbortController::new().ok();
        let signal = controller.as_ref().map(AbortController::signal);
        running.set_value(controller);
        busy.set(true);
        let keep = keep.clone();
        leptos::task::spawn_local(async move {
            let Some(answer) = fetch::get(&asked, &tenant, signal.as_ref()).await else { return };
            busy.try_set(false);
            let kept = answer.and_then(|body| keep(Some((&body, &asked))));
            failure.try_set(kept.err());
        });
    });
    on_cleanup(abort);
}
