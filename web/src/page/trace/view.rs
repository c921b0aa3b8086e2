//! What do the parts of the trace page share? The trace, what is folded, which window, which span.

use super::time::Time;
use super::timeline::Board;
use crate::client::fetch::{self, Failure};
use crate::client::load::{Load, Old, load};
use crate::component::app::{App, Entry};
use crate::component::effect::effect;
use crate::state::calendar::HOUR;
use crate::state::filter::LogFilter;
use crate::state::time::Range;
use crate::state::trace::mini::Mini;
use crate::state::trace::tree::Trace;
use crate::state::trace::window::Window;
use leptos::prelude::*;
use query_api::log::LogsResponse;
use query_api::otlp::TracesData;
use query_api::outline::OutlineRepeat;
use query_api::tree::{Section, critical_path};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What is known of a trace.
pub(super) enum Opened {
    /// All of it, put in order while it was read.
    Whole(Arc<Trace>),
    /// It is too large to be held here: what it is as a whole, as it was answered (`large` reads it).
    Large(Arc<str>),
}

/// What is read of an outline: the trace, where it came along, and what it repeats.
#[derive(Deserialize)]
struct Along {
    #[serde(default)]
    whole: Option<TracesData>,
    repeats: Vec<OutlineRepeat>,
}

/// Reads the answer to what a trace is.
pub(super) fn opened(text: &str, path: &str) -> Result<Opened, Failure> {
    let Along { whole, repeats } = fetch::read(text, path)?;
    Ok(match whole {
        Some(data) => Opened::Whole(Arc::new(Trace::new(data).with_repeats(repeats))),
        None => Opened::Large(Arc::from(text)),
    })
}

/// Logs by span id: nanoseconds after the trace's start, and severity.
pub(super) type LogMarks = HashMap<String, Vec<(i64, i32)>>;

/// What the parts share.
#[derive(Clone, Copy)]
pub(super) struct View {
    /// What all pages share.
    pub(super) app: App,
    /// The trace's id.
    pub(super) id: Memo<String>,
    found: Load<Opened>,
    /// Rows whose children are hidden.
    pub(super) closed: RwSignal<HashSet<usize>>,
    /// Rows that are shown.
    pub(super) shown: Memo<Arc<Vec<usize>>>,
    /// What of the time is shown.
    pub(super) window: RwSignal<Window>,
    /// That, and how long the trace is.
    pub(super) time: Time,
    /// The row that is selected, as the URL says.
    pub(super) selected: Memo<Option<usize>>,
    /// The row that the keys are at.
    pub(super) at: RwSignal<Option<usize>>,
    /// What is looked for.
    pub(super) wanted: Memo<String>,
    /// Rows that hold it.
    pub(super) matches: Memo<Arc<Vec<usize>>>,
    /// Whether only those are shown, and what is above them.
    pub(super) only: Memo<bool>,
    /// Whether the critical path is drawn.
    pub(super) critical: RwSignal<bool>,
    /// The critical path, by row.
    pub(super) path: Memo<Arc<Vec<Section>>>,
    /// Times of logs by span id, in nanoseconds after the trace's start, and their severity.
    pub(super) logs: Memo<Arc<LogMarks>>,
    /// The element that scrolls the rows.
    pub(super) scroller: StoredValue<Option<NodeRef<leptos::html::Div>>>,
    /// Whether what is looked for is yet to be gone to.
    typed: StoredValue<bool>,
}

/// The range in which a trace's logs are looked for: its own, and an hour on both sides for clocks that differ.
pub(super) fn log_range((start, duration): (i64, i64)) -> Range {
    Range { start: start.saturating_sub(HOUR), end: start.saturating_add(duration).saturating_add(HOUR) }
}

/// Whether the URL says that only rows are shown that hold what is looked for.
pub(super) fn only_matches(app: App) -> Memo<bool> {
    Memo::new(move |_| app.params.with(|params| params.get("only").is_some()))
}

/// Whether the first row that holds what the URL looks for is gone to: where it names no span.
pub(super) fn finds_first(app: App) -> bool {
    app.params.with_untracked(|params| params.get("span").is_none())
}

/// The logs of a trace that begins at a time and takes another, by span; a thousand of them.
pub(super) fn log_marks(
    id: Memo<String>,
    lasting: impl Fn() -> Option<(i64, i64)> + Copy + Send + Sync + 'static,
) -> Memo<Arc<LogMarks>> {
    let logs = load::<LogsResponse>(Old::Forget, move || {
        let filter = LogFilter { trace_id: id.get(), ..LogFilter::default() };
        Some(filter.request(log_range(lasting()?), None).replace("limit=100", "limit=1000"))
    });
    Memo::new(move |_| {
        let start = lasting().map_or(0, |(start, _)| start);
        let mut by_span = LogMarks::new();
        for record in logs.data.get().iter().flat_map(|d| &d.logs) {
            let at = record.time_unix_nano.saturating_sub(start);
            by_span.entry(record.span_id.clone()).or_default().push((at, record.severity_number));
        }
        Arc::new(by_span)
    })
}

impl Opened {
    /// The trace, if it is here whole.
    pub(super) fn trace(&self) -> Option<Arc<Trace>> {
        match self {
            Opened::Whole(trace) => Some(Arc::clone(trace)),
            Opened::Large(_) => None,
        }
    }
}

impl View {
    /// Sets up what is shared.
    pub(super) fn new(id: Memo<String>, found: Load<Opened>) -> View {
        let app = App::get();
        let trace = move || found.data.with(|d| d.as_deref().and_then(Opened::trace));
        let closed = RwSignal::new(HashSet::new());
        let wanted = Memo::new(move |_| app.params.with(|p| p.get("find").unwrap_or_default().to_owned()));
        let matches = Memo::new(move |_| Arc::new(trace().map_or_else(Vec::new, |t| wanted.with(|w| t.search(w)))));
        let only = only_matches(app);
        let of = move |t: &Trace| {
            let some = only.get() && wanted.with(|w| !w.trim().is_empty());
            some.then(|| matches.with(|rows| t.with_all_above(rows)))
        };
        let window = app.params.with_untracked(|p| p.get("view").and_then(Window::parse)).unwrap_or_default();
        let window = RwSignal::new(window);
        let duration = Signal::derive(move || trace().map_or(0, |t| t.duration));
        let mini = Callback::new(move |()| trace().map_or_else(Mini::default, |t| Mini::of_trace(&t)));
        let time = Time { app, window, duration, mini };
        let span = Memo::new(move |_| app.params.with(|p| p.get("span").map(str::to_owned)));
        let view = View {
            app,
            id,
            found,
            closed,
            shown: Memo::new(move |_| {
                Arc::new(trace().map_or_else(Vec::new, |t| closed.with(|c| t.shown(c, of(&t).as_deref()))))
            }),
            window,
            time,
            selected: Memo::new(move |_| span.get().and_then(|span| trace()?.row_of(&span))),
            at: RwSignal::new(None),
            wanted,
            matches,
            only,
            critical: RwSignal::new(true),
            path: Memo::new(move |_| Arc::new(trace().map_or_else(Vec::new, |t| critical_path(&*t)))),
            logs: log_marks(id, move || trace().map(|t| (t.start, t.duration))),
            scroller: StoredValue::new(None),
            typed: StoredValue::new(finds_first(app)),
        };
        // Another trace begins unfolded; the span in the URL is brought into view.
        let mut before = None;
        effect(move || {
            let now = id.get();
            if before.replace(now.clone()).is_some_and(|before| before != now) {
                closed.set(HashSet::new());
                view.window.set(Window::default());
                view.at.set(None);
            }
        });
        effect(move || {
            if let Some(row) = view.selected.get() {
                view.go_to(row);
            }
        });
        super::follow::critical(app, view.critical);
        super::follow::folded(view);
        // What was typed is gone to.
        effect(move || {
            let first = view.matches.with(|matches| matches.first().copied());
            if let Some(first) = first.filter(|_| view.typed.get_value()) {
                view.typed.set_value(false);
                view.go_to(first);
            }
        });
        view
    }

    /// Looks for text within the trace.
    pub(super) fn find(&self, text: &str) {
        self.typed.set_value(true);
        self.app.set(Entry::Replace, "find", Some(text));
    }

    /// The tab that the URL names; none is the timeline.
    pub(super) fn tab(&self) -> String {
        self.app.params.with(|params| params.get("tab").unwrap_or_default().to_owned())
    }

    /// Selects a row in the timeline, whichever tab is shown.
    pub(super) fn open(&self, row: usize) {
        self.app.change(Entry::Push, |params| params.set("tab", None));
        self.select(Some(row));
    }

    /// The trace, once it is there.
    pub(super) fn trace(&self) -> Option<Arc<Trace>> {
        self.found.data.with(|d| d.as_deref().and_then(Opened::trace))
    }

    /// The same without following it.
    pub(super) fn trace_now(&self) -> Option<Arc<Trace>> {
        self.found.data.with_untracked(|d| d.as_deref().and_then(Opened::trace))
    }

    /// The row that is shown at a place.
    pub(super) fn row_at(&self, place: usize) -> Option<usize> {
        self.shown.with_untracked(|shown| shown.get(place).copied())
    }

    /// Moves the keys to a row, unfolding what hides it.
    pub(super) fn go_to(&self, row: usize) {
        if let Some(trace) = self.trace_now() {
            let mut closed = self.closed.get_untracked();
            let before = closed.len();
            trace.reveal(row, &mut closed);
            if closed.len() != before {
                self.closed.set(closed);
            }
            self.at.set(Some(row));
        }
    }

    /// Selects a row, or nothing; the URL follows.
    pub(super) fn select(&self, row: Option<usize>) {
        let id = row.and_then(|row| Some(self.trace_now()?.rows.get(row)?.span.span_id.clone()));
        let entry = if self.selected.get_untracked().is_some() && id.is_some() { Entry::Replace } else { Entry::Push };
        self.app.set(entry, "span", id.as_deref());
    }

    /// Folds or unfolds a row.
    pub(super) fn fold(&self, row: usize) {
        self.closed.update(|closed| {
            if !closed.remove(&row) {
                closed.insert(row);
            }
        });
    }

    /// What rows are drawn with.
    pub(super) fn board(&self) -> Board {
        Board { time: self.time, critical: self.critical, logs: self.logs }
    }
}
