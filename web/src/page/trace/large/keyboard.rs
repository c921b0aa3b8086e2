//! Which keys move through a large trace? The same as through any; rows that are not here yet are asked for on the way.

use super::super::keyboard::Steered;
use super::super::time::Time;
use super::view::Large;
use crate::state::trace::pages::Fold;
use leptos::html;
use leptos::prelude::*;

impl Steered for Large {
    fn time(self) -> Time {
        self.time
    }

    fn scroller(self) -> StoredValue<Option<NodeRef<html::Div>>> {
        self.scroller
    }

    fn critical(self) -> RwSignal<bool> {
        self.critical
    }

    fn step(self, by: isize) {
        let count = self.pages.with_untracked(|pages| pages.count);
        if count == 0 {
            return;
        }
        let at = self.at.get_untracked();
        let next = at.map_or(0, |at| at.saturating_add_signed(by).min(count - 1));
        self.follow_to_place(next);
    }

    fn next_match(self, by: isize) {
        let rows = self.matches.data.with_untracked(|found| found.as_deref().map(|found| found.rows.clone()));
        self.go_around(&rows.unwrap_or_default(), by);
    }

    fn next_error(self) {
        self.next_such(("failed", "true"), 1);
    }

    fn next_alike(self, by: isize) {
        if let Some(row) = self.row_at() {
            self.next_such(("like", &row.to_string()), by);
        }
    }

    fn span_here(self) -> Option<(i64, i64)> {
        let row = self.at.get_untracked().and_then(|at| self.row(at))?;
        Some((row.start_nano, row.duration_nano))
    }

    fn is_open(self) -> bool {
        self.span.with_untracked(Option::is_some)
    }

    fn enter(self) -> bool {
        let Some(row) = self.at.get_untracked().and_then(|at| self.row(at)) else { return false };
        self.select(Some(&row.span_id));
        true
    }

    fn escape(self) -> bool {
        if self.span.with_untracked(Option::is_some) {
            self.select(None);
        } else if !self.wanted.with_untracked(String::is_empty) {
            self.find("");
        } else if self.at.get_untracked().is_some() {
            self.at.set(None);
        } else {
            return false;
        }
        true
    }

    fn fold_all(self, close: bool) {
        self.fold_as(if close { Fold::all() } else { Fold::default() });
    }

    fn fold_level(self, close: bool) {
        self.fold_as(self.level(close));
    }

    fn tree(self, key: &str) -> bool {
        let last = self.pages.with_untracked(|pages| pages.count.saturating_sub(1));
        let place = self.at.get_untracked().unwrap_or(0);
        let here = self.row(place);
        let has_children = here.as_ref().is_some_and(|row| row.subtree > 1);
        let closed = here.as_ref().is_some_and(|row| row.closed);
        match key {
            "ArrowDown" => self.step(1),
            "ArrowUp" => self.step(-1),
            "Home" => self.follow_to_place(0),
            "End" => self.follow_to_place(last),
            "ArrowRight" if has_children && closed => self.turn(place),
            "ArrowRight" if has_children => self.step(1),
            "ArrowRight" => {}
            "ArrowLeft" if has_children && !closed => self.turn(place),
            "ArrowLeft" => {
                if let Some(parent) = here.and_then(|row| row.parent_row) {
                    self.follow_to(parent);
                }
            }
            " " => return self.enter(),
            _ => return false,
        }
        true
    }
}
