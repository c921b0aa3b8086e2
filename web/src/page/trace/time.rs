//! Which part of a trace's time is looked at? What waterfall and flame graph have in common above their rows.

use super::minimap;
use crate::component::app::{App, Entry};
use crate::state::trace::mini::Mini;
use crate::state::trace::window::Window;
use crate::state::{format, scale};
use leptos::prelude::*;
use leptos::web_sys;

/// The time of a trace, and what of it is shown.
#[derive(Clone, Copy)]
pub(super) struct Time {
    /// What all pages share.
    pub(super) app: App,
    /// What is shown.
    pub(super) window: RwSignal<Window>,
    /// Nanoseconds of the whole.
    pub(super) duration: Signal<i64>,
    /// All spans in miniature.
    pub(super) mini: Callback<(), Mini>,
}

impl Time {
    /// Shows another window; the URL follows without an entry of its own.
    pub(super) fn look_at(&self, window: Window) {
        self.window.set(window);
        self.app.set(Entry::Replace, "view", window.write().as_deref());
    }

    /// Zooms with ctrl, pans with shift or sideways; else the rows are scrolled.
    pub(super) fn wheel(&self, event: &web_sys::WheelEvent) {
        if !(event.ctrl_key() || event.shift_key() || event.delta_x().abs() > event.delta_y().abs()) {
            return;
        }
        event.prevent_default();
        let window = self.window.get_untracked();
        if event.ctrl_key() {
            let factor = (event.delta_y() / 400.0).exp();
            self.look_at(window.zoom(factor, window.point(0.5)));
        } else {
            let by = if event.delta_x() == 0.0 { event.delta_y() } else { event.delta_x() };
            self.look_at(window.pan(by / 1_000.0));
        }
    }

    /// Round times within the window, in nanoseconds, and where they stand.
    pub(super) fn ticks(&self) -> Vec<(f64, f64)> {
        let length = self.duration.get() as f64;
        let window = self.window.get();
        let ticks = scale::duration_ticks(window.start * length, window.end * length, 6);
        ticks.into_iter().map(|tick| (tick, window.position(tick / length.max(1.0)))).collect()
    }

    /// The miniature, and times above the bars.
    pub(super) fn head(self) -> AnyView {
        let labels = move || {
            let mark = |(tick, position): (f64, f64)| {
                let last = if position > 0.94 { "ruler-tick last" } else { "ruler-tick" };
                view! { <span class=last style=format!("left:{:.3}%", position * 100.0)>{format::duration(tick.round() as i64)}</span> }
            };
            self.ticks().into_iter().filter(|(_, p)| (-0.001..=1.0).contains(p)).map(mark).collect_view()
        };
        view! { <div class="time-head">{minimap::minimap(self)}<div class="ruler num" aria-hidden="true">{labels}</div></div> }
            .into_any()
    }
}
