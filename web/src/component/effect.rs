//! How does something happen when what is shown changes? One kind of effect for all.
//!
//! Leptos compiles an effect anew for every closure; erasing the closure first makes them one (tens of kilobytes).

use leptos::prelude::*;

/// Runs now, and whenever what it read has changed.
pub(crate) fn effect(run: impl FnMut() + 'static) {
    erased(Box::new(run));
}

fn erased(mut run: Box<dyn FnMut()>) {
    Effect::new(move |_| run());
}
