//! Which switches of the trace page are in the URL? The critical path, and what is folded; neither makes an entry in the history.
//!
//! Not here: what is folded of a large trace, which the server is asked for (`large::view`).

use super::view::View;
use crate::component::app::{App, Entry};
use crate::component::effect::effect;
use crate::state::trace::closed as rows;
use leptos::prelude::*;

/// Has the critical path be drawn as the URL says, and the URL say whether it is.
pub(super) fn critical(app: App, critical: RwSignal<bool>) {
    effect(move || {
        let wanted = app.params.with(|params| params.get("critical") != Some("off"));
        if critical.get_untracked() != wanted {
            critical.set(wanted);
        }
    });
    effect(move || app.set(Entry::Replace, "critical", (!critical.get()).then_some("off")));
}

/// The same of folded rows, once the trace is here.
pub(super) fn folded(view: View) {
    let (app, closed) = (view.app, view.closed);
    let told = Memo::new(move |_| app.params.with(|params| params.get("fold").map(str::to_owned)));
    effect(move || {
        let (Some(trace), told) = (view.trace(), told.get()) else { return };
        if closed.with_untracked(|closed| rows::write(&trace, closed)) != told {
            closed.set(rows::read(&trace, told.as_deref().unwrap_or_default()));
        }
    });
    effect(move || {
        closed.track();
        let Some(trace) = view.trace_now() else { return };
        app.set(Entry::Replace, "fold", closed.with_untracked(|closed| rows::write(&trace, closed)).as_deref());
    });
}
