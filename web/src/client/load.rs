//! How does a view stay in step with the server? One request at a time, asked again when its path changes.
//!
//! L1  An older answer never replaces a newer one: a new request aborts the one before.
//! L2  While a request runs, what was shown stays, unless the view asked to forget it.
//! L3  Nothing is written after the view is gone.

use super::fetch::{self, Failure};
use crate::component::app::App;
use crate::component::effect::effect;
use leptos::prelude::*;
use leptos::web_sys::{AbortController, AbortSignal};
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
    /// The request.
    pub(crate) running: Running,
    again: RwSignal<u32>,
}

/// A request that may be under way, whatever its answer.
#[derive(Clone, Copy)]
pub(crate) struct Running {
    /// Whether it is.
    pub(crate) busy: RwSignal<bool>,
    failure: RwSignal<Option<Failure>>,
    controller: StoredValue<Option<AbortController>, LocalStorage>,
}

impl Running {
    /// None so far; `failure` is where it tells how it ended.
    pub(super) fn new(failure: RwSignal<Option<Failure>>) -> Running {
        Running { busy: RwSignal::new(false), failure, controller: StoredValue::new_local(None) }
    }

    /// One begins; the answer is what aborts it.
    pub(super) fn begin(self) -> Option<AbortSignal> {
        let controller = AbortController::new().ok();
        let signal = controller.as_ref().map(AbortController::signal);
        self.controller.set_value(controller);
        self.busy.set(true);
        signal
    }

    /// Drops the request, if there is one: the server stops working on it.
    pub(super) fn abort(self) {
        self.controller.try_update_value(|slot| {
            if let Some(controller) = slot.take() {
                controller.abort();
            }
        });
    }

    /// The same because a person says so; what was shown stays, with a way to ask again.
    pub(crate) fn cancel(self) {
        if self.busy.get_untracked() {
            self.abort();
            self.busy.set(false);
            self.failure.set(Some(Failure::cancelled()));
        }
    }
}

impl<T> Clone for Load<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Load<T> {}

impl<T: Send + Sync> Load<T> {
    /// Whether what is here is what was asked for before, since the last request failed.
    pub(crate) fn is_old(&self) -> bool {
        self.failure.with(Option::is_some) && self.data.with(Option::is_some)
    }

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
    load_with(old, path, fetch::read::<T>)
}

/// The same of a tenant that is not the one that is looked at.
pub(crate) fn load_of<T>(tenant: &'static str, path: impl Fn() -> Option<String> + 'static) -> Load<T>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    start(Some(tenant), Old::Keep, Box::new(path), fetch::read::<T>)
}

/// The same where an answer is no JSON, or is kept as it came: `read` gets its text and path.
pub(crate) fn load_with<T>(
    old: Old,
    path: impl Fn() -> Option<String> + 'static,
    read: fn(&str, &str) -> Result<T, Failure>,
) -> Load<T>
where
    T: Send + Sync + 'static,
{
    start(None, old, Box::new(path), read)
}

fn start<T: Send + Sync + 'static>(
    tenant: Option<&'static str>,
    old: Old,
    path: Box<dyn Fn() -> Option<String>>,
    read: fn(&str, &str) -> Result<T, Failure>,
) -> Load<T> {
    let failure = RwSignal::new(None);
    let load = Load { data: RwSignal::new(None), failure, running: Running::new(failure), again: RwSignal::new(0) };
    let keep = move |body: Option<(&str, &str)>| -> Result<(), Failure> {
        let read = body.map(|(body, path)| read(body, path)).transpose()?;
        load.data.try_set(read.map(Arc::new));
        Ok(())
    };
    follow(Followed { tenant, old, path, keep: Rc::new(keep), running: load.running, again: load.again });
    load
}

/// Keeps an answer, given its text and path; forgets the old one, given nothing.
type Keep = Rc<dyn Fn(Option<(&str, &str)>) -> Result<(), Failure>>;

/// What following an answer needs, whatever its type: compiled once.
struct Followed {
    tenant: Option<&'static str>,
    old: Old,
    path: Box<dyn Fn() -> Option<String>>,
    keep: Keep,
    running: Running,
    again: RwSignal<u32>,
}

fn follow(followed: Followed) {
    let app = App::get();
    let Followed { tenant: fixed, old, path, keep, running, again } = followed;
    let Running { busy, failure, .. } = running;
    let mut before: Option<Option<String>> = None;
    effect(move || {
        let path = path();
        again.track();
        app.tick.track();
        let tenant = fixed.map_or_else(|| app.tenant.get(), str::to_owned);
        running.abort();
        let changed = before.replace(path.clone()).is_some_and(|before| before != path);
        if (changed && old == Old::Forget) || path.is_none() {
            keep(None).ok();
        }
        let Some(asked) = path else {
            busy.set(false);
            failure.set(None);
            return;
        };
        let signal = running.begin();
        let keep = keep.clone();
        leptos::task::spawn_local(async move {
            let Some(answer) = fetch::get(&asked, &tenant, signal.as_ref()).await else { return };
            busy.try_set(false);
            let kept = answer.and_then(|body| keep(Some((&body, &asked))));
            failure.try_set(kept.err());
        });
    });
    on_cleanup(move || running.abort());
}
