//! What is known of a large trace, and what is asked for when?
//!
//! LV1  One request for rows is under way at a time. When it is answered, what is missing of what is seen by then is asked for.
//! LV2  Rows are shown as they were folded until those of the new folding are here. Whatever is asked for until then is asked as it will be
//!      folded.
//! LV3  What is folded is in the URL, by spans: rows that come, and other numbers of rows, change nothing of it.

use super::super::follow;
use super::super::keyboard::next_of;
use super::super::time::Time;
use super::super::timeline::Board;
use super::super::view::{LogMarks, Opened, finds_first, log_marks, only_matches};
use crate::client::fetch::{self, Failure};
use crate::client::load::{Load, Old, load};
use crate::component::app::{App, Entry};
use crate::component::effect::effect;
use crate::state::address::Params;
use crate::state::trace::closed;
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

/// Where the keys are going: its row may have to be asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goal {
    Row(usize),
    Place(usize),
}

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
    /// What is folded of the rows that are here, and of those that were asked for last.
    fold: StoredValue<Fold>,
    asked_fold: StoredValue<Fold>,
    /// What is folded, as the URL says it once it is answered.
    folded: StoredValue<Option<String>>,
    /// The rows that are here.
    pub(super) pages: RwSignal<Pages>,
    /// Changes when places mean other rows than before.
    pub(super) generation: RwSignal<u64>,
    /// The places that are drawn.
    pub(super) seen: RwSignal<(usize, usize)>,
    /// The place that the keys are at, among the rows that are shown.
    pub(super) at: RwSignal<Option<usize>>,
    /// Where the keys are going, when the details follow them there.
    goal: StoredValue<Option<Goal>>,
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
            fold: StoredValue::new(Fold::default()),
            asked_fold: StoredValue::new(Fold::default()),
            folded: StoredValue::new(None),
            pages: RwSignal::new(Pages::default()),
            generation: RwSignal::new(0),
            seen: RwSignal::new((0, 0)),
            at: RwSignal::new(None),
            goal: StoredValue::new(None),
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
            typed: StoredValue::new(finds_first(app)),
            scroller: StoredValue::new(None),
        };
        follow::critical(app, view.critical);
        view.follow();
        view
    }

    /// Keeps in step what depends on what was answered.
    fn follow(self) {
        let address = Memo::new(move |_| self.app.params.with(|params| params.get("fold").map(str::to_owned)));
        let mut before: Option<Arc<OutlineResponse>> = None;
        effect(move || {
            let (outline, address) = (self.outline.get(), address.get());
            let last = before.replace(Arc::clone(&outline));
            if last.as_ref().is_none_or(|last| !Arc::ptr_eq(last, &outline)) {
                self.busy.set(false);
            }
            // Spans that have come make other rows of the same numbers.
            if last.is_none_or(|last| last.version != outline.version) {
                self.begin(&outline);
            }
            if address != self.folded.get_value() {
                self.fold_as(Fold::named(address.as_deref().unwrap_or_default()));
            }
        });
        effect(move || {
            let (first, last) = self.seen.get();
            let around = (first.saturating_sub(PAGE), last + PAGE);
            let missing = self.pages.with(|pages| pages.missing((first, last)).or_else(|| pages.missing(around)));
            if let Some((offset, limit)) = missing.filter(|_| !self.busy.get() && self.failure.with(Option::is_none)) {
                self.ask((offset, limit.min(MOST)), None);
            }
        });
        effect(move || {
            // Also when the rows of another version have come.
            self.generation.track();
            if self.wanted_of(self.only.get(), self.wanted.get()) != self.holding.get_untracked() {
                self.ask((0, 2 * PAGE), None);
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
        // The details follow the keys once it is known which span they are at.
        effect(move || {
            self.at.track();
            self.pages.track();
            self.arrive();
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

    /// Shows a version of the trace from its first rows on.
    fn begin(self, outline: &OutlineResponse) {
        self.asked.update_value(|asked| *asked += 1);
        self.fold.set_value(Fold::default());
        self.asked_fold.set_value(Fold::default());
        self.folded.set_value(None);
        self.holding.set(None);
        self.goal.set_value(None);
        self.at.set(None);
        self.pages.set(Pages::new(outline.span_count, &outline.rows));
        self.generation.update(|generation| *generation += 1);
    }

    /// The text that rows have to hold.
    fn wanted_of(self, only: bool, wanted: String) -> Option<String> {
        Some(wanted).filter(|wanted| only && !wanted.trim().is_empty())
    }

    /// Start of the trace in Unix nanoseconds, and how long it takes.
    pub(super) fn lasting(self) -> (i64, i64) {
        self.outline.with(|outline| (outline.start_unix_nano, outline.duration_nano))
    }

    /// Whether a row holds what is looked for; nothing where nothing is, and of rows beyond those that are told.
    pub(super) fn holds(self, row: usize) -> Option<bool> {
        let holds = |found: &MatchesResponse| {
            let is_known = found.rows.last().is_none_or(|last| row <= *last) || found.count == found.rows.len();
            is_known.then(|| found.rows.binary_search(&row).is_ok())
        };
        self.matches.data.with(|found| found.as_deref().and_then(holds))
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
        self.goal.set_value(None);
        let entry = if self.span.get_untracked().is_some() && span.is_some() { Entry::Replace } else { Entry::Push };
        self.app.set(entry, "span", span);
    }

    /// Shows a row in the timeline, whichever tab is shown.
    pub(super) fn open(self, row: usize) {
        self.app.change(Entry::Push, |params| params.set("tab", None));
        self.follow_to(row);
    }

    /// Moves the keys to a row, opening what hides it.
    pub(super) fn go_to(self, row: usize) {
        self.goal.set_value(None);
        // Where it will be folded otherwise, it may be hidden then.
        let place = self.pages.with_untracked(|pages| pages.place_of(row)).filter(|_| !self.is_folding());
        match place {
            Some(place) => self.at.set(Some(place)),
            None => self.ask((0, 2 * PAGE), Some(row)),
        }
    }

    /// Moves the keys to the next of some rows; the details follow when they are open.
    pub(super) fn go_around(self, rows: &[usize], by: isize) {
        if let Some(row) = next_of(rows, self.row_at(), by) {
            self.follow_to(row);
        }
    }

    /// Moves the keys to a row; the details follow when they are open.
    pub(super) fn follow_to(self, row: usize) {
        self.go_to(row);
        self.set_goal(Goal::Row(row));
    }

    /// The same with a place.
    pub(super) fn follow_to_place(self, place: usize) {
        self.at.set(Some(place));
        self.set_goal(Goal::Place(place));
    }

    fn set_goal(self, goal: Goal) {
        self.goal.set_value(Some(goal).filter(|_| self.span.with_untracked(Option::is_some)));
        self.arrive();
    }

    /// Shows the details of what the keys were going to, if they are there and it is here.
    fn arrive(self) {
        let Some((place, goal)) = self.at.get_untracked().zip(self.goal.get_value()) else { return };
        let Some(row) = self.row(place) else { return };
        if goal == Goal::Row(row.row) || goal == Goal::Place(place) {
            self.goal.set_value(None);
            self.select(Some(&row.span_id));
        }
    }

    /// Opens or closes the row at a place.
    pub(super) fn turn(self, place: usize) {
        let Some(row) = self.row(place).filter(|row| row.subtree > 1) else { return };
        // What is hidden hands the keys to what hides it.
        if self.row_at().is_some_and(|at| (row.row + 1..row.row + row.subtree).contains(&at)) {
            self.at.set(Some(place));
        }
        self.fold_as(self.asked_fold.with_value(|fold| fold.turn(&[row.row])));
    }

    /// Folds otherwise; what is seen is asked for.
    pub(super) fn fold_as(self, fold: Fold) {
        if self.asked_fold.with_value(|asked| fold != *asked) {
            self.asked_fold.set_value(fold);
            self.ask_for_seen();
        }
    }

    /// Whether rows are asked for that are folded otherwise than those that are here.
    fn is_folding(self) -> bool {
        self.fold.with_value(|fold| self.asked_fold.with_value(|asked| fold != asked))
    }

    fn ask_for_seen(self) {
        let (first, last) = self.seen.get_untracked();
        let offset = first / PAGE * PAGE;
        self.ask((offset, (last.saturating_sub(offset) + PAGE).min(MOST)), None);
    }

    /// The fold of now, one level more or less.
    pub(super) fn level(self, close: bool) -> Fold {
        let levels = self.outline.with_untracked(|outline| outline.level_count);
        self.asked_fold.with_value(|fold| fold.step(levels, close))
    }

    /// Asks for rows and goes to the next: those that failed, or those that are like one.
    pub(super) fn next_such(self, such: (&str, &str), by: isize) {
        let path = matches_path(&self.id.get_untracked(), such, &REACHED.to_string());
        let tenant = self.app.tenant.get_untracked();
        leptos::task::spawn_local(async move {
            let answer = fetch::call("GET", &path, &tenant).await;
            if self.asked.try_get_value().is_none() {
                return;
            }
            match answer.and_then(|body| fetch::read::<MatchesResponse>(&body, &path)) {
                Ok(found) => self.go_around(&found.rows, by),
                Err(failure) => {
                    self.failure.try_set(Some(failure));
                }
            }
        });
    }

    /// Asks again for what could not be had.
    pub(super) fn retry(self) {
        self.failure.set(None);
        if self.is_folding() {
            self.ask_for_seen();
        }
    }

    fn ask(self, window: (usize, usize), reveal: Option<usize>) {
        let holding = self.wanted_of(self.only.get_untracked(), self.wanted.get_untracked());
        let id = self.id.get_untracked();
        let path = self.asked_fold.with_value(|fold| fold.request(&id, window, reveal, holding.as_deref()));
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
                Ok(rows) => self.take(holding, rows),
                Err(failure) => {
                    self.failure.try_set(Some(failure));
                }
            }
            self.busy.try_set(false);
        });
    }

    fn take(self, holding: Option<String>, rows: RowsResponse) {
        let fold = Fold::of(&rows.folded);
        let folded = closed::text_of(rows.folded.depth, rows.folded.spans.iter().map(String::as_str));
        let (row, place) = (self.row_at(), rows.place);
        if self.fold.with_value(|before| fold == *before) && holding == self.holding.get_untracked() {
            self.pages.update(|pages| pages.take(rows));
        } else {
            let mut pages = Pages::default();
            pages.take(rows);
            let at = row.and_then(|row| pages.place_of(row));
            self.fold.set_value(fold.clone());
            self.holding.set(holding);
            self.pages.set(pages);
            self.generation.update(|generation| *generation += 1);
            self.at.set(at);
        }
        if place.is_some() {
            self.at.set(place);
        }
        self.asked_fold.set_value(fold);
        self.folded.set_value(folded.clone());
        if self.app.params.with_untracked(|params| params.get("fold") != folded.as_deref()) {
            self.app.set(Entry::Replace, "fold", folded.as_deref());
        }
    }
}

fn matches_path(id: &str, (key, value): (&str, &str), limit: &str) -> String {
    let mut params = Params::default();
    params.set(key, Some(value));
    params.set("limit", Some(limit));
    params.behind(&format!("/api/v1/traces/{id}/outline/matches"))
}
