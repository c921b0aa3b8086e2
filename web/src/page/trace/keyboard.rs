//! Which keys move through a trace? Jaeger's, and those that work in every list here.

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

/// Hears the keys while the page is shown.
pub(super) fn listen(view: View) {
    keys::on_key(move |event, key| {
        if on_tree(event) && tree(view, key) {
            return true;
        }
        let fast = event.shift_key();
        let plain = if key.len() == 1 { key.to_ascii_lowercase() } else { key.to_owned() };
        let pan = if fast { PAN.1 } else { PAN.0 };
        let zoom = if fast { ZOOM.1 } else { ZOOM.0 };
        match plain.as_str() {
            "n" => next_match(view, if fast { -1 } else { 1 }),
            "f" | "j" => step(view, 1),
            "b" | "k" => step(view, -1),
            "s" => scroll(view, 0.8),
            "w" => scroll(view, -0.8),
            "a" | "ArrowLeft" => view.look_at(view.window.get_untracked().pan(-pan)),
            "d" | "ArrowRight" => view.look_at(view.window.get_untracked().pan(pan)),
            "ArrowUp" => view.look_at(zoomed(view, zoom)),
            "ArrowDown" => view.look_at(zoomed(view, 1.0 / zoom)),
            "0" => view.look_at(Window::default()),
            "c" => view.critical.update(|c| *c = !*c),
            "e" => next_error(view),
            "ctrl+b" => return keys::focus_query(),
            "Enter" if keys::is_control(event) => return false,
            "Enter" => match view.at.get_untracked() {
                Some(row) => view.select(Some(row)),
                None => return false,
            },
            "Escape" => return escape(view),
            key => return fold(view, key),
        }
        true
    });
}

/// Whether the tree of spans has the focus, and has it from the keyboard: who clicked a row keeps Jaeger's keys.
fn on_tree(event: &web_sys::KeyboardEvent) -> bool {
    let element = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
    element.is_some_and(|element| element.matches("[role=tree]:focus-visible").unwrap_or(false))
}

/// The keys of every tree: up and down, right and left to open, close, and go in and out, home and end.
fn tree(view: View, key: &str) -> bool {
    let (Some(trace), shown) = (view.trace_now(), view.shown.get_untracked()) else { return false };
    let at = view.at.get_untracked().or_else(|| shown.first().copied());
    let (Some(at), Some(first), Some(last)) = (at, shown.first(), shown.last()) else { return false };
    let (has_children, closed) = (trace.rows[at].subtree > 1, view.closed.with_untracked(|c| c.contains(&at)));
    match key {
        "ArrowDown" => step(view, 1),
        "ArrowUp" => step(view, -1),
        "Home" => view.at.set(Some(*first)),
        "End" => view.at.set(Some(*last)),
        "ArrowRight" if closed => view.fold(at),
        "ArrowRight" if has_children => step(view, 1),
        "ArrowLeft" if has_children && !closed => view.fold(at),
        "ArrowLeft" => view.at.set(trace.rows[at].parent.or(Some(at))),
        "ArrowRight" => {}
        " " => view.select(Some(at)),
        _ => return false,
    }
    true
}

fn zoomed(view: View, factor: f64) -> Window {
    let window = view.window.get_untracked();
    window.zoom(factor, window.point(0.5))
}

fn fold(view: View, key: &str) -> bool {
    let Some(trace) = view.trace_now() else { return false };
    let closed = view.closed.get_untracked();
    match key {
        "[" => view.closed.set(Default::default()),
        "]" => view.closed.set(trace.all_closed()),
        "o" => view.closed.set(trace.open_level(&closed)),
        "p" => view.closed.set(trace.close_level(&closed)),
        _ => return false,
    }
    true
}

fn escape(view: View) -> bool {
    if view.selected.get_untracked().is_some() {
        view.select(None);
    } else if !view.wanted.with_untracked(String::is_empty) {
        view.find("");
    } else if view.at.get_untracked().is_some() {
        view.at.set(None);
    } else {
        return false;
    }
    true
}

/// Moves to the next shown row; the details follow when they are open.
fn step(view: View, by: isize) {
    let shown = view.shown.get_untracked();
    if shown.is_empty() {
        return;
    }
    let here = view.at.get_untracked().and_then(|at| shown.binary_search(&at).ok());
    let next = match here {
        None => 0,
        Some(here) => here.saturating_add_signed(by).min(shown.len() - 1),
    };
    view.at.set(Some(shown[next]));
    if view.selected.get_untracked().is_some() {
        view.select(Some(shown[next]));
    }
}

/// Moves to the next row that holds what is looked for.
pub(super) fn next_match(view: View, by: isize) {
    let matches = view.matches.get_untracked();
    go_around(view, &matches, by);
}

fn next_error(view: View) {
    let Some(trace) = view.trace_now() else { return };
    let errors: Vec<usize> = (0..trace.rows.len()).filter(|row| trace.rows[*row].is_error()).collect();
    go_around(view, &errors, 1);
}

fn go_around(view: View, rows: &[usize], by: isize) {
    if rows.is_empty() {
        return;
    }
    let at = view.at.get_untracked();
    let next = if by > 0 {
        rows.iter().find(|row| at.is_none_or(|at| **row > at)).or(rows.first())
    } else {
        rows.iter().rev().find(|row| at.is_some_and(|at| **row < at)).or(rows.last())
    };
    if let Some(row) = next {
        view.go_to(*row);
        if view.selected.get_untracked().is_some() {
            view.select(Some(*row));
        }
    }
}

fn scroll(view: View, pages: f64) {
    if let Some(element) = view.scroller.get_value().and_then(|node| node.try_get_untracked().flatten()) {
        let by = f64::from(element.client_height()) * pages;
        element.set_scroll_top(element.scroll_top() + by as i32);
    }
}
