//! Which keys move through a large trace? The same as through any; rows that are not here yet are asked for on the way.

use super::super::keyboard::{Branch, Steered};
use super::super::time::Time;
use super::view::Large;
use crate::state::trace::pages::Fold;
use leptos::html;
use leptos::prelude::*;
use query_api::outline::OutlineRow;
use std::sync::Arc;

impl Steered for Large {
    fn time(&self) -> Time {
        self.time
    }

    fn scroller(&self) -> StoredValue<Option<NodeRef<html::Div>>> {
        self.scroller
    }

    fn critical(&self) -> RwSignal<bool> {
        self.critical
    }

    fn count(&self) -> usize {
        self.pages.with_untracked(|pages| pages.count)
    }

    fn place(&self) -> Option<usize> {
        self.at.get_untracked()
    }

    fn branch(&self, place: usize) -> Branch {
        let branch = |row: Arc<OutlineRow>| Branch { has_children: row.subtree > 1, closed: row.closed };
        self.row(place).map(branch).unwrap_or_default()
    }

    fn go(&self, place: usize) {
        self.follow_to_place(place);
    }

    fn turn(&self, place: usize) {
        Large::turn(*self, place);
    }

    fn rise(&self, place: usize) {
        if let Some(parent) = self.row(place).and_then(|row| row.parent_row) {
            self.follow_to(parent);
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
        let rows = self.matches.data.with_untracked(|found| found.as_deref().map(|found| found.rows.clone()));
        self.go_around(&rows.unwrap_or_default(), by);
    }

    fn next_error(&self) {
        self.next_such(("failed", "true"), 1);
    }

    fn next_alike(&self, by: isize) {
        if let Some(row) = self.row_at() {
            self.next_such(("like", &row.to_string()), by);
        }
    }

    fn span_here(&self) -> Option<(i64, i64)> {
        let row = self.at.get_untracked().and_then(|at| self.row(at))?;
        Some((row.start_nano, row.duration_nano))
    }

    fn is_open(&self) -> bool {
        self.span.with_untracked(Option::is_some)
    }

    fn enter(&self) -> bool {
        let Some(row) = self.at.get_untracked().and_then(|at| self.row(at)) else { return false };
        self.select(Some(&row.span_id));
        true
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
        self.fold_as(if close { Fold::all() } else { Fold::default() });
    }

    fn fold_level(&self, close: bool) {
        self.fold_as(self.level(close));
    }
}
