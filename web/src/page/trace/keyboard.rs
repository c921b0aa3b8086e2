//! Which keys move through a trace? Jaeger's, those of Perfetto's that Jaeger has no other use for, and those that work in every list here.
//!
//! KB1  A trace that is here whole and a large one mean the same by a key: what differs is how they go there.

use super::time::Time;
use super::view::View;
use crate::component::keys;
use crate::state::trace::window::Window;
use leptos::prelude::*;
use leptos::web_sys;
use wasm_bindgen::JsCast;

/// Share of the window that one press pans, and with shift.
const PAN: (f64, f64) = (0.1, 0.5);
/// Share of the window's width that one press zooms, and with shift.
const ZOOM: (f64, f64) = (0.75, 0.4);

/// A row of the tree, as keys see it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Branch {
    /// Whether it has children.
    pub(super) has_children: bool,
    /// Whether they are hidden.
    pub(super) closed: bool,
}

/// What keys move: a trace that is here whole, or a large one. A place is that of a row among those that are shown.
pub(super) trait Steered {
    /// The time that is looked at.
    fn time(&self) -> Time;
    /// The element that scrolls the rows.
    fn scroller(&self) -> StoredValue<Option<NodeRef<leptos::html::Div>>>;
    /// Whether the critical path is drawn.
    fn critical(&self) -> RwSignal<bool>;
    /// How many rows are shown.
    fn count(&self) -> usize;
    /// The place that the keys are at.
    fn place(&self) -> Option<usize>;
    /// The row at a place; one that is not here has no children.
    fn branch(&self, place: usize) -> Branch;
    /// Moves the keys to a place; the details follow when they are open.
    fn go(&self, place: usize);
    /// Opens or closes the row at a place.
    fn turn(&self, place: usize);
    /// Moves the keys to the row above the one at a place.
    fn rise(&self, place: usize);
    /// Has the keys be nowhere; whether they were somewhere.
    fn leave(&self) -> bool;
    /// Moves to the next row that holds what is looked for, or the one before.
    fn next_match(&self, by: isize);
    /// Moves to the next row that failed.
    fn next_error(&self);
    /// Moves to the next row of the same service and operation, or the one before.
    fn next_alike(&self, by: isize);
    /// When the span that the keys are at starts, and how long it takes, in nanoseconds of the trace.
    fn span_here(&self) -> Option<(i64, i64)>;
    /// Whether details are shown.
    fn is_open(&self) -> bool;
    /// Shows the details of the row that the keys are at, if they are at one.
    fn enter(&self) -> bool;
    /// Closes the details.
    fn close(&self);
    /// Stops looking for something; whether something was looked for.
    fn forget(&self) -> bool;
    /// Closes or opens everything that has children.
    fn fold_all(&self, close: bool);
    /// Closes or opens one level.
    fn fold_level(&self, close: bool);
}

/// Hears the keys while the page is shown.
pub(super) fn listen(view: impl Steered + 'static) {
    hear(Box::new(view));
}

fn hear(view: Box<dyn Steered>) {
    keys::on_key(move |event, key| {
        let view = view.as_ref();
        if on_tree(event) && tree(view, key) {
            return true;
        }
        let (time, fast) = (view.time(), event.shift_key());
        let plain = if key.len() == 1 { key.to_ascii_lowercase() } else { key.to_owned() };
        if let Some(window) = moved(&plain, fast, time.window.get_untracked()) {
            time.look_at(window);
            return true;
        }
        match plain.as_str() {
            "n" => view.next_match(if fast { -1 } else { 1 }),
            "f" | "j" => step(view, 1),
            "b" | "k" => step(view, -1),
            "s" => scroll(view, 0.8),
            "w" => scroll(view, -0.8),
            "c" => view.critical().update(|c| *c = !*c),
            "m" => return fit(view),
            "." => view.next_alike(1),
            "," => view.next_alike(-1),
            "q" if view.is_open() => view.close(),
            "q" => return view.enter(),
            "e" => view.next_error(),
            "[" => view.fold_all(false),
            "]" => view.fold_all(true),
            "o" => view.fold_level(false),
            "p" => view.fold_level(true),
            "ctrl+b" => return keys::focus_query(),
            "Enter" if keys::is_control(event) => return false,
            "Enter" => return view.enter(),
            "Escape" => return escape(view),
            _ => return false,
        }
        true
    });
}

/// Whether the tree of spans has the focus, and has it from the keyboard: who clicked a row keeps Jaeger's keys.
fn on_tree(event: &web_sys::KeyboardEvent) -> bool {
    let element = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
    element.is_some_and(|element| element.matches("[role=tree]:focus-visible").unwrap_or(false))
}

/// Keys of every tree: up and down, right and left to open, close, and go in and out, home and end.
fn tree(view: &dyn Steered, key: &str) -> bool {
    let place = view.place().unwrap_or(0);
    let Branch { has_children, closed } = view.branch(place);
    match key {
        "ArrowDown" => step(view, 1),
        "ArrowUp" => step(view, -1),
        "Home" => view.go(0),
        "End" => view.go(view.count().saturating_sub(1)),
        "ArrowRight" if closed => view.turn(place),
        "ArrowRight" if has_children => step(view, 1),
        "ArrowRight" => {}
        "ArrowLeft" if has_children && !closed => view.turn(place),
        "ArrowLeft" => view.rise(place),
        " " => return view.enter(),
        _ => return false,
    }
    true
}

/// Moves so many shown rows.
fn step(view: &dyn Steered, by: isize) {
    if let Some(last) = view.count().checked_sub(1) {
        view.go(view.place().map_or(0, |place| place.saturating_add_signed(by).min(last)));
    }
}

/// Takes back what was done last, if there is something.
fn escape(view: &dyn Steered) -> bool {
    if view.is_open() {
        view.close();
        return true;
    }
    view.forget() || view.leave()
}

impl Steered for View {
    fn time(&self) -> Time {
        self.time
    }

    fn scroller(&self) -> StoredValue<Option<NodeRef<leptos::html::Div>>> {
        self.scroller
    }

    fn critical(&self) -> RwSignal<bool> {
        self.critical
    }

    fn count(&self) -> usize {
        self.shown.with_untracked(|shown| shown.len())
    }

    fn place(&self) -> Option<usize> {
        let at = self.at.get_untracked()?;
        self.shown.with_untracked(|shown| shown.binary_search(&at).ok())
    }

    fn branch(&self, place: usize) -> Branch {
        let Some((trace, row)) = self.trace_now().zip(self.row_at(place)) else { return Branch::default() };
        let closed = self.closed.with_untracked(|closed| closed.contains(&row));
        Branch { has_children: trace.rows[row].subtree > 1, closed }
    }

    fn go(&self, place: usize) {
        if let Some(row) = self.row_at(place) {
            arrive(self, row);
        }
    }

    fn turn(&self, place: usize) {
        if let Some(row) = self.row_at(place) {
            self.fold(row);
        }
    }

    fn rise(&self, place: usize) {
        if let Some((trace, row)) = self.trace_now().zip(self.row_at(place)) {
            arrive(self, trace.rows[row].parent.unwrap_or(row));
        }
    }

    fn leave(&self) -> bool {
        let is_somewhere = self.at.get_untracked().is_some();
        if is_somewhere {
            self.at.set(None);
        }
        is_somewhere
    }

    fn next_match(&self, by: isize) {
        let matches = self.matches.get_untracked();
        go_around(self, &matches, by);
    }

    fn next_error(&self) {
        let Some(trace) = self.trace_now() else { return };
        let errors: Vec<usize> = (0..trace.rows.len()).filter(|row| trace.rows[*row].is_error()).collect();
        go_around(self, &errors, 1);
    }

    fn next_alike(&self, by: isize) {
        if let Some((trace, at)) = self.trace_now().zip(self.at.get_untracked()) {
            go_around(self, &trace.alike(at), by);
        }
    }

    fn span_here(&self) -> Option<(i64, i64)> {
        let (trace, at) = self.trace_now().zip(self.at.get_untracked())?;
        trace.rows.get(at).map(|row| (row.start, row.duration))
    }

    fn is_open(&self) -> bool {
        self.selected.get_untracked().is_some()
    }

    fn enter(&self) -> bool {
        let at = self.at.get_untracked();
        if at.is_some() {
            self.select(at);
        }
        at.is_some()
    }

    fn close(&self) {
        self.select(None);
    }

    fn forget(&self) -> bool {
        let looked = !self.wanted.with_untracked(String::is_empty);
        if looked {
            self.find("");
        }
        looked
    }

    fn fold_all(&self, close: bool) {
        if let Some(trace) = self.trace_now() {
            self.closed.set(if close { trace.all_closed() } else { Default::default() });
        }
    }

    fn fold_level(&self, close: bool) {
        if let Some(trace) = self.trace_now() {
            let closed = self.closed.get_untracked();
            self.closed.set(if close { trace.close_level(&closed) } else { trace.open_level(&closed) });
        }
    }
}

fn go_around(view: &View, rows: &[usize], by: isize) {
    if let Some(row) = next_of(rows, view.at.get_untracked(), by) {
        view.go_to(row);
        arrive(view, row);
    }
}

/// Moves the keys to a row that is shown; the details follow when they are open.
fn arrive(view: &View, row: usize) {
    view.at.set(Some(row));
    if view.selected.get_untracked().is_some() {
        view.select(Some(row));
    }
}

/// The next of some rows, or the one before; from the last on the first again.
pub(super) fn next_of(rows: &[usize], at: Option<usize>, by: isize) -> Option<usize> {
    let next = if by > 0 {
        rows.iter().find(|row| at.is_none_or(|at| **row > at)).or(rows.first())
    } else {
        rows.iter().rev().find(|row| at.is_some_and(|at| **row < at)).or(rows.last())
    };
    next.copied()
}

/// The window that a key moves another to.
fn moved(key: &str, fast: bool, window: Window) -> Option<Window> {
    let (pan, zoom) = if fast { (PAN.1, ZOOM.1) } else { (PAN.0, ZOOM.0) };
    let (pan, zoom) = match key {
        "a" | "ArrowLeft" => (-pan, 1.0),
        "d" | "ArrowRight" => (pan, 1.0),
        "ArrowUp" => (0.0, zoom),
        "ArrowDown" => (0.0, 1.0 / zoom),
        // With shift on most keyboards, which says nothing of how far.
        "+" | "=" => (0.0, ZOOM.0),
        "-" => (0.0, 1.0 / ZOOM.0),
        "0" => return Some(Window::default()),
        _ => return None,
    };
    Some(window.zoom(zoom, window.point(0.5)).pan(pan))
}

/// Zooms to the span that the keys are at.
fn fit(view: &dyn Steered) -> bool {
    let (time, Some((start, long))) = (view.time(), view.span_here()) else { return false };
    let whole = time.duration.get_untracked().max(1) as f64;
    time.look_at(Window::around(start as f64 / whole, start.saturating_add(long) as f64 / whole));
    true
}

fn scroll(view: &dyn Steered, pages: f64) {
    if let Some(element) = view.scroller().get_value().and_then(|node| node.try_get_untracked().flatten()) {
        let by = f64::from(element.client_height()) * pages;
        element.set_scroll_top(element.scroll_top() + by as i32);
    }
}
