//! What is known of a large trace, and what is asked for when?
//!
//! LV1  One request for rows is under way at a time. When it is answered, what is missing of what is seen by then is asked for.
//! LV2  Rows are shown as they were folded until those of the new folding are here.

use super::super::keyboard::next_of;
use super::super::time::Time;
use super::super::timeline::Board;
use super::super::view::{LogMarks, Opened, log_marks, only_matches};
use crate::client::fetch::{self, Failure};
use crate::client::load::{Load, Old, load};
use crate::component::app::{App, Entry};
use crate::component::effect::effect;
use crate::state::address::Params;
use crate::state::trace::mini::Mini;
use crate::state::trace::pages::{Fold, PAGE, Pages};
use crate::state::trace::window::Window;
use leptos::html;
use leptos::prelude::*;
use query_api::outline::{MatchesResponse, OutlineResponse, OutlineRow, RowsResponse, SpanResponse};
use std::sync::Arc;

/// Rows that hold what is looked for and can be gone to, and failed ones.
const REACHED: usize = 10_000;
/// Rows that the server answers at once.
const MOST: usize = 1_000;

/// What the parts of a large trace's page share.
#[derive(Clone, Copy)]
pub(super) struct Large {
    /// What all pages share.
    pub(super) app: App,
    /// The trace's id.
    pub(super) id: Memo<String>,
    /// What the trace is as a whole.
    pub(super) outline: Memo<Arc<OutlineResponse>>,
    found: Load<Opened>,
    fold: RwSignal<Fold>,
    /// The rows that are here.
    pub(super) pages: RwSignal<Pages>,
    /// Changes when places mean other rows than before.
    pub(super) generation: RwSignal<u64>,
    /// The places that are drawn.
    pub(super) seen: RwSignal<(usize, usize)>,
    /// The place that the keys are at, among the rows that are shown.
    pub(super) at: RwSignal<Option<usize>>,
    /// What of the time is shown.
    pub(super) time: Time,
    /// Whether the critical path is drawn.
    pub(super) critical: RwSignal<bool>,
    logs: Memo<Arc<LogMarks>>,
    /// What is looked for.
    pub(super) wanted: Memo<String>,
    /// Rows that hold it.
    pub(super) matches: Load<MatchesResponse>,
    /// Whether only those are shown, and what is above them.
    pub(super) only: Memo<bool>,
    /// The text that all rows that are here hold, or have below.
    holding: RwSignal<Option<String>>,
    /// Id of the span whose details are shown.
    pub(super) span: Memo<Option<String>>,
    /// Its details.
    pub(super) details: Load<SpanResponse>,
    /// Why the last request for rows failed.
    pub(super) failure: RwSignal<Option<Failure>>,
    busy: RwSignal<bool>,
    asked: StoredValue<u64>,
    typed: StoredValue<bool>,
    /// The element that scrolls the rows.
    pub(super) scroller: StoredValue<Option<NodeRef<html::Div>>>,
}

impl Large {
    /// Sets up what is shared.
    pub(super) fn new(id: Memo<String>, found: Load<Opened>) -> Large {
        let app = App::get();
        let outline = Memo::new(move |_| {
            found.data.with(|found| match found.as_deref() {
                Some(Opened::Large(text)) => Arc::new(fetch::read::<OutlineResponse>(text, "").unwrap_or_default()),
                _ => Arc::default(),
            })
        });
        let param =
            move |key: &'static str| Memo::new(move |_| app.params.with(|p| p.get(key).unwrap_or_default().to_owned()));
        let (wanted, span) = (param("find"), param("span"));
        let span = Memo::new(move |_| Some(span.get()).filter(|span| !span.is_empty()));
        let window = app.params.with_untracked(|p| p.get("view").and_then(Window::parse)).unwrap_or_default();
        let mini = Callback::new(move |()| outline.with(|outline| Mini::of_outline(outline)));
        let lasting = move || outline.with(|it| (it.start_unix_nano, it.duration_nano));
        let view = Large {
            app,
            id,
            outline,
            found,
            fold: RwSignal::new(Fold::default()),
            pages: RwSignal::new(Pages::default()),
            generation: RwSignal::new(0),
            seen: RwSignal::new((0, 0)),
            at: RwSignal::new(None),
            time: Time { app, window: RwSignal::new(window), duration: Signal::derive(move || lasting().1), mini },
            critical: RwSignal::new(true),
            logs: log_marks(id, move || Some(lasting())),
            wanted,
            matches: load::<MatchesResponse>(Old::Forget, move || {
                let text = wanted.get();
                let limit = REACHED.to_string();
                (!text.trim().is_empty()).then(|| matches_path(&id.get(), ("contains", &text), &limit))
            }),
            only: only_matches(app),
            holding: RwSignal::new(None),
            span,
            details: load::<SpanResponse>(Old::Keep, move || {
                span.get().map(|span| format!("/api/v1/traces/{}/spans/{span}", id.get()))
            }),
            failure: RwSignal::new(None),
            busy: RwSignal::new(false),
            asked: StoredValue::new(0),
            typed: StoredValue::new(false),
            scroller: StoredValue::new(None),
        };
        view.follow();
        view
    }

    /// Keeps in step what depends on what was answered.
    fn follow(self) {
        // Spans that have come make other rows of the same numbers.
        let version = Memo::new(move |_| self.outline.with(|outline| outline.version.clone()));
        effect(move || {
            version.track();
            let outline = self.outline.get_untracked();
            self.asked.update_value(|asked| *asked += 1);
            self.fold.set(Fold::default());
            self.holding.set(None);
            self.at.set(None);
            self.pages.set(Pages::new(outline.span_count, &outline.rows));
            self.generation.update(|generation| *generation += 1);
        });
        effect(move || {
            self.outline.track();
            self.busy.set(false);
        });
        effect(move || {
            let (first, last) = self.seen.get();
            let around = (first.saturating_sub(PAGE), last + PAGE);
            let missing = self.pages.with(|pages| pages.missing((first, last)).or_else(|| pages.missing(around)));
            if let Some((offset, limit)) = missing.filter(|_| !self.busy.get() && self.failure.with(Option::is_none)) {
                self.ask(self.fold.get_untracked(), (offset, limit.min(MOST)), None);
            }
        });
        effect(move || {
            // Also when the rows of another version have come.
            self.generation.track();
            if self.wanted_of(self.only.get(), self.wanted.get()) != self.holding.get_untracked() {
                self.ask(self.fold.get_untracked(), (0, 2 * PAGE), None);
            }
        });
        // The span in the URL is brought into view, once.
        let mut before = None;
        effect(move || {
            let Some(details) = self.details.data.get() else { return };
            let (id, row) = (details.row.span_id.clone(), details.row.row);
            if before.replace(id.clone()) != Some(id) && self.row_at() != Some(row) {
                self.go_to(row);
            }
        });
        // What was typed is gone to.
        effect(move || {
            let first = self.matches.data.with(|found| found.as_deref().and_then(|found| found.rows.first().copied()));
            if let Some(first) = first.filter(|_| self.typed.get_value()) {
                self.typed.set_value(false);
                self.go_to(first);
            }
        });
    }

    /// The text that rows have to hold.
    fn wanted_of(self, only: bool, wanted: String) -> Option<String> {
        Some(wanted).filter(|wanted| only && !wanted.trim().is_empty())
    }

    /// Start of the trace in Unix nanoseconds, and how long it takes.
    pub(super) fn lasting(self) -> (i64, i64) {
        self.outline.with(|outline| (outline.start_unix_nano, outline.duration_nano))
    }

    /// What rows are drawn with.
    pub(super) fn board(self) -> Board {
        Board { time: self.time, critical: self.critical, logs: self.logs }
    }

    /// The row that the keys are at.
    pub(super) fn row_at(self) -> Option<usize> {
        let at = self.at.get_untracked()?;
        self.pages.with_untracked(|pages| pages.at(at).map(|row| row.row))
    }

    /// The row at a place, if it is here.
    pub(super) fn row(self, place: usize) -> Option<Arc<OutlineRow>> {
        self.pages.with_untracked(|pages| pages.at(place).cloned())
    }

    /// Looks for text within the trace.
    pub(super) fn find(self, text: &str) {
        self.typed.set_value(true);
        self.app.set(Entry::Replace, "find", Some(text));
    }

    /// Selects a span, or nothing; the URL follows.
    pub(super) fn select(self, span: Option<&str>) {
        let entry = if self.span.get_untracked().is_some() && span.is_some() { Entry::Replace } else { Entry::Push };
        self.app.set(entry, "span", span);
    }

    /// Shows a row in the timeline, whichever tab is shown.
    pub(super) fn open(self, row: usize) {
        self.app.change(Entry::Push, |params| params.set("tab", None));
        self.go_to(row);
    }

    /// Moves the keys to a row, opening what hides it.
    pub(super) fn go_to(self, row: usize) {
        match self.pages.with_untracked(|pages| pages.place_of(row)) {
            Some(place) => self.at.set(Some(place)),
            None => self.ask(self.fold.get_untracked(), (0, 2 * PAGE), Some(row)),
        }
    }

    /// Moves the keys to the next of some rows.
    pub(super) fn go_around(self, rows: &[usize], by: isize) {
        if let Some(row) = next_of(rows, self.row_at(), by) {
            self.go_to(row);
        }
    }

    /// Opens or closes the row at a place.
    pub(super) fn turn(self, place: usize) {
        let Some(row) = self.row(place).filter(|row| row.subtree > 1) else { return };
        // What is hidden hands the keys to what hides it.
        if self.row_at().is_some_and(|at| (row.row + 1..row.row + row.subtree).contains(&at)) {
            self.at.set(Some(place));
        }
        self.fold_as(self.fold.get_untracked().turn(&[row.row]));
    }

    /// Folds otherwise; what is seen is asked for.
    pub(super) fn fold_as(self, fold: Fold) {
        let (first, last) = self.seen.get_untracked();
        let offset = first / PAGE * PAGE;
        let limit = (last.saturating_sub(offset) + PAGE).min(MOST);
        if fold != self.fold.get_untracked() {
            self.ask(fold, (offset, limit), None);
        }
    }

    /// The fold of now, one level more or less.
    pub(super) fn level(self, close: bool) -> Fold {
        let levels = self.outline.with_untracked(|outline| outline.level_count);
        self.fold.with_untracked(|fold| fold.step(levels, close))
    }

    /// Asks for failed rows and goes to the next.
    pub(super) fn next_failed(self) {
        let path = matches_path(&self.id.get_untracked(), ("failed", "true"), &REACHED.to_string());
        let tenant = self.app.tenant.get_untracked();
        leptos::task::spawn_local(async move {
            let answer = fetch::call("GET", &path, &tenant).await;
            match answer.and_then(|body| fetch::read::<MatchesResponse>(&body, &path)) {
                Ok(found) => self.go_around(&found.rows, 1),
                Err(failure) => {
                    self.failure.try_set(Some(failure));
                }
            }
        });
    }

    /// Asks again for what could not be had.
    pub(super) fn retry(self) {
        self.failure.set(None);
    }

    fn ask(self, fold: Fold, window: (usize, usize), reveal: Option<usize>) {
        let holding = self.wanted_of(self.only.get_untracked(), self.wanted.get_untracked());
        let path = fold.request(&self.id.get_untracked(), window, reveal, holding.as_deref());
        let tenant = self.app.tenant.get_untracked();
        let Some(asked) = self.asked.try_update_value(|asked| {
            *asked += 1;
            *asked
        }) else {
            return;
        };
        self.busy.set(true);
        leptos::task::spawn_local(async move {
            let answer = fetch::call("GET", &path, &tenant).await;
            let answer = answer.and_then(|body| fetch::read::<RowsResponse>(&body, &path));
            if self.asked.try_get_value() != Some(asked) {
                return;
            }
            match answer {
                // Of another version: nothing is asked for until its outline is here.
                Ok(rows) if rows.version != self.outline.with_untracked(|outline| outline.version.clone()) => {
                    self.found.retry();
                    return;
                }
                Ok(rows) => self.take(fold, holding, rows),
                Err(failure) => {
                    self.failure.try_set(Some(failure));
                }
            }
            self.busy.try_set(false);
        });
    }

    fn take(self, fold: Fold, holding: Option<String>, rows: RowsResponse) {
        let fold = if rows.opened_all { Fold::default() } else { fold.turn(&rows.opened) };
        let (row, place) = (self.row_at(), rows.place);
        if fold == self.fold.get_untracked() && holding == self.holding.get_untracked() {
            self.pages.update(|pages| pages.take(rows));
        } else {
            let mut pages = Pages::default();
            pages.take(rows);
            let at = row.and_then(|row| pages.place_of(row));
            self.fold.set(fold);
            self.holding.set(holding);
            self.pages.set(pages);
            self.generation.update(|generation| *generation += 1);
            self.at.set(at);
        }
        if place.is_some() {
            self.at.set(place);
        }
    }
}

fn matches_path(id: &str, (key, value): (&str, &str), limit: &str) -> String {
    let mut params = Params::default();
    params.set(key, Some(value));
    params.set("limit", Some(limit));
    params.behind(&format!("/api/v1/traces/{id}/outline/matches"))
}
