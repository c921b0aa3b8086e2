//! What is a trace of any size, as far as it has to be known to draw any part of it? Its spans in the order of display, without
//! attributes.
//!
//! OL1  Every span is exactly one row. A row's descendants are the rows right behind it, its children come by start; spans without
//!      parent stand before those whose parent is not there.
//! OL2  An outline depends on the spans only, and so does its version: two with one version have the same rows.
//! OL3  Self time is the part of a span that no child covers: between zero and the duration.
//! OL4  What is asked of an outline takes at most n log n steps, whatever the tree looks like. Nothing recurses.
//!
//! Not here: which rows are shown when some are folded (`shown`), what is said of the whole (`told`), which calls it makes again and
//! again (`repeat`, `same`), what is seen of lanes (`lanes`),
//! attributes (`attributes`), what the browser works out of a small trace alike (`query_api::tree`).

mod attributes;
mod calls;
mod events;
mod lanes;
mod read;
mod repeat;
mod same;
mod shelf;
mod shown;
#[cfg(test)]
mod tests;
mod told;

pub(crate) use attributes::{By, Key, Wanted, groups, matches, span};
pub(crate) use calls::calls;
pub(crate) use events::events;
pub(crate) use lanes::LanesQuery;
pub(crate) use shelf::Shelf;
pub(crate) use shown::{Fold, RowsQuery};

use crate::error::{Error, Result};
use crate::exec::Control;
use query_api::outline::{OutlineEvent, OutlineFlaw, OutlineResponse, OutlineRow};
use query_api::tree::{Lanes, Placed, Rows, Section, sections_of};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use storage::model::{SpanId, TraceId};

/// Stretches and events that are told of one row: more cannot be told apart on a screen.
const MARKS: usize = 60;
/// Rows that the first answer brings along: a screen of them, and some to scroll to.
const FIRST_ROWS: usize = 120;

/// A span in its place. Times are nanoseconds after the start of the trace.
#[derive(Debug, Clone)]
struct Row {
    id: SpanId,
    parent: Option<usize>,
    depth: usize,
    /// Rows of its subtree, itself included.
    subtree: usize,
    place: usize,
    siblings: usize,
    start: i64,
    /// Zero when it ends before it starts.
    duration: i64,
    own: i64,
    errors_below: usize,
    /// Index of its name and its service.
    name: usize,
    service: usize,
    kind: i32,
    status: i32,
    flaw: Option<OutlineFlaw>,
    is_backwards: bool,
    /// Where its events begin; they end where those of the next row begin.
    events: usize,
}

impl Row {
    fn end(&self) -> i64 {
        self.start.saturating_add(self.duration)
    }

    fn is_error(&self) -> bool {
        self.status == 2
    }
}

/// Rows whose text was looked for last.
type Found = Option<(String, Arc<Vec<usize>>)>;

/// The outline of a trace.
#[derive(Debug)]
pub(crate) struct Outline {
    version: String,
    rows: Vec<Row>,
    names: Vec<Box<str>>,
    services: Vec<Box<str>>,
    /// When, and the index of the name; row by row.
    events: Vec<(i64, usize)>,
    /// Unix nanoseconds.
    start: i64,
    duration: i64,
    /// By row, each row's by time, latest first.
    path: Vec<Section>,
    lanes: OnceLock<Lanes>,
    found: Mutex<Found>,
}

impl Rows for Outline {
    fn count(&self) -> usize {
        self.rows.len()
    }

    fn placed(&self, row: usize) -> Placed {
        let placed = |row: &Row| Placed { parent: row.parent, subtree: row.subtree, start: row.start, end: row.end() };
        self.rows.get(row).map(placed).unwrap_or_default()
    }
}

impl Outline {
    /// Reads the outline of a trace; its bytes count for the query.
    pub(crate) fn read(control: &Control, trace: TraceId) -> Result<Self> {
        let outline = read::outline(control, trace)?;
        if outline.rows.is_empty() && control.missing().is_empty() {
            return Err(Error::NotFound { what: format!("no span of trace {trace} is stored") });
        }
        Ok(outline)
    }

    /// About how many bytes it holds; lanes are counted whether they were asked for or not.
    fn memory_bytes(&self) -> usize {
        let texts = self.names.iter().chain(&self.services).map(|text| text.len() + size_of::<Box<str>>());
        let lanes = 2 * size_of::<usize>();
        self.rows.len() * (size_of::<Row>() + lanes)
            + self.events.len() * size_of::<(i64, usize)>()
            + self.path.len() * size_of::<Section>()
            + texts.sum::<usize>()
    }

    /// All that is told of the whole trace. With the trace itself where it has at most so many spans.
    pub(crate) fn response(&self, control: &Control, trace: TraceId, whole: usize) -> Result<OutlineResponse> {
        let mut response = self.told(control)?;
        response.rows = (0..self.rows.len().min(FIRST_ROWS)).map(|row| self.row(row)).collect();
        if self.rows.len() <= whole {
            response.whole = Some(super::by_id(control, trace)?);
        }
        response.repeats = control.give_back(|| self.repeats(control, response.whole.as_ref()))?;
        response.stats = control.stats();
        Ok(response)
    }

    fn name_of(&self, row: &Row) -> &str {
        self.names.get(row.name).map_or("", |name| name)
    }

    fn service_of(&self, row: &Row) -> &str {
        self.services.get(row.service).map_or("", |name| name)
    }

    /// A row as it is answered.
    fn row(&self, at: usize) -> OutlineRow {
        let Some(row) = self.rows.get(at) else { return OutlineRow::default() };
        let end = self.rows.get(at + 1).map_or(self.events.len(), |next| next.events);
        let events = self.events.get(row.events..end).unwrap_or_default().iter().take(MARKS);
        let name = |name: usize| self.names.get(name).map(|name| name.to_string()).unwrap_or_default();
        OutlineRow {
            row: at,
            span_id: row.id.to_string(),
            parent_row: row.parent,
            depth: row.depth,
            place: row.place,
            siblings: row.siblings,
            subtree: row.subtree,
            closed: false,
            errors_below: row.errors_below,
            service: row.service,
            name: name(row.name),
            kind: row.kind,
            failed: row.is_error(),
            flaw: row.flaw,
            start_nano: row.start,
            duration_nano: row.duration,
            self_nano: row.own,
            gaps: self.gaps(at).take(MARKS).collect(),
            critical: sections_of(&self.path, at).iter().take(MARKS).map(|it| [it.start, it.end]).collect(),
            events: events.map(|(time_nano, at)| OutlineEvent { time_nano: *time_nano, name: name(*at) }).collect(),
        }
    }

    /// The rows that hold a text, if it was looked for last.
    fn found(&self, wanted: &str) -> Option<Arc<Vec<usize>>> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.as_ref().filter(|(text, _)| text == wanted).map(|(_, rows)| Arc::clone(rows))
    }

    fn keep_found(&self, wanted: &str, rows: &Arc<Vec<usize>>) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some((wanted.to_owned(), Arc::clone(rows)));
    }
}
