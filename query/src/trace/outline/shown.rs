//! Which rows are shown when some are folded, and which of them lie in a window?
//!
//! SH1  Shown are the rows above which nothing is closed, in the order of the outline. Windows laid side by side are all of them.
//! SH2  What is closed is said in few words, whatever the size of the trace: from some depth on, but for some rows.
//! SH3  Where a text is looked for, what neither holds it nor has it below is not shown.
//! SH4  An answer says what is folded, by rows and by spans. Asked by these spans, a trace that has grown is folded alike.

use super::Outline;
use super::attributes::holding;
use crate::error::{Error, Result};
use crate::exec::Control;
use query_api::outline::{Folded, RowsResponse};
use std::collections::{BTreeSet, HashSet};
use storage::model::{SpanId, TraceId};

/// Rows that may be named as exceptions. Whoever folds one by one never comes there.
pub(crate) const MOST_TURNED: usize = 1_000;

/// Rows that are told by their spans: with them an address has about a thousand letters more.
const NAMED: usize = 64;

/// Which rows are closed: those with children from a depth on, but for those named, which are the other way round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fold {
    pub(crate) depth: Option<usize>,
    pub(crate) turned: BTreeSet<usize>,
}

impl Fold {
    /// Reads the rows that are the other way round, separated by commas.
    pub(crate) fn turned(text: &str) -> std::result::Result<BTreeSet<usize>, String> {
        listed(text, "numbers of rows", |number| number.parse().ok())
    }

    /// Reads the spans whose rows are the other way round, separated by commas.
    pub(crate) fn spans(text: &str) -> std::result::Result<HashSet<SpanId>, String> {
        listed(text, "span ids of 16 hex digits", |id| id.parse().ok())
    }
}

/// Reads what is separated by commas, and stands for one row or more.
fn listed<T, L: FromIterator<T>>(
    text: &str,
    what: &str,
    read: impl Fn(&str) -> Option<T>,
) -> std::result::Result<L, String> {
    if text.split(',').count() > MOST_TURNED {
        return Err(format!("more than {MOST_TURNED} rows are not turned one by one"));
    }
    let read = |part| read(part).ok_or_else(|| format!("expected {what}, separated by commas"));
    text.split(',').map(read).collect()
}

/// A window to be answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowsQuery {
    pub(crate) fold: Fold,
    /// Spans whose rows are the other way round, too; those that the trace does not have are passed over.
    pub(crate) spans: HashSet<SpanId>,
    pub(crate) offset: usize,
    pub(crate) limit: usize,
    /// A row to open the way to; the window is then around it.
    pub(crate) reveal: Option<usize>,
    /// Only rows that hold a text are shown, and what is above them.
    pub(crate) contains: Option<String>,
}

/// Rows of a window that stand before the one that is revealed, as a share of its length.
const BEFORE: usize = 3;

impl Outline {
    fn is_closed(&self, row: usize, fold: &Fold) -> bool {
        self.rows.get(row).is_some_and(|found| {
            let usual = fold.depth.is_some_and(|depth| found.depth >= depth);
            found.subtree > 1 && usual != fold.turned.contains(&row)
        })
    }

    /// The rows that are shown, of some that include all above them, or of all.
    pub(super) fn shown(&self, fold: &Fold, of: Option<&[bool]>) -> Vec<usize> {
        let mut shown = Vec::new();
        let mut row = 0;
        while let Some(found) = self.rows.get(row) {
            if of.is_some_and(|of| of.get(row) == Some(&false)) {
                row += found.subtree;
                continue;
            }
            shown.push(row);
            row += if self.is_closed(row, fold) { found.subtree } else { 1 };
        }
        shown
    }

    /// Turns the rows of some spans.
    fn turn(&self, spans: &HashSet<SpanId>, fold: &mut Fold) {
        let named = |(_, row): &(usize, &super::Row)| row.subtree > 1 && spans.contains(&row.id);
        // Any number of spans may share an id.
        for (row, _) in self.rows.iter().enumerate().filter(named).take(MOST_TURNED) {
            if !fold.turned.remove(&row) {
                fold.turned.insert(row);
            }
        }
    }

    /// Opens what hides a row; all of the trace where too many rows would have to be named.
    pub(super) fn open(&self, row: usize, fold: &mut Fold) {
        let mut above = self.rows.get(row).and_then(|row| row.parent);
        while let Some(parent) = above {
            if self.is_closed(parent, fold) && !fold.turned.remove(&parent) {
                fold.turned.insert(parent);
            }
            above = self.rows.get(parent).and_then(|row| row.parent);
        }
        if fold.turned.len() > MOST_TURNED {
            *fold = Fold::default();
        }
    }

    /// What is folded, as it is answered.
    fn folded(&self, fold: Fold) -> Folded {
        let named = fold.turned.iter().filter_map(|row| self.rows.get(*row)).take(NAMED);
        let spans = named.map(|row| row.id.to_string()).collect();
        Folded { depth: fold.depth, spans, turned: fold.turned.into_iter().collect() }
    }

    /// Some rows, and all above them.
    fn with_all_above(&self, rows: &[usize]) -> Vec<bool> {
        let mut of = vec![false; self.rows.len()];
        for row in rows {
            let mut next = Some(*row);
            while let Some(slot) = next.and_then(|row| of.get_mut(row)).filter(|slot| !**slot) {
                *slot = true;
                next = next.and_then(|row| self.rows.get(row)).and_then(|row| row.parent);
            }
        }
        of
    }

    /// A window of the rows that are shown, of a trace.
    pub(crate) fn window(&self, control: &Control, trace: TraceId, query: &RowsQuery) -> Result<RowsResponse> {
        let RowsQuery { mut fold, spans, mut offset, limit, reveal, contains } = query.clone();
        for (name, row) in [("reveal", reveal), ("turned", fold.turned.last().copied())] {
            if let Some(beyond) = row.filter(|row| *row >= self.rows.len()) {
                let message = format!("there is no row {beyond}: the trace has {}", self.rows.len());
                return Err(Error::parameter(name, message));
            }
        }
        self.turn(&spans, &mut fold);
        if let Some(row) = reveal {
            self.open(row, &mut fold);
        }
        let holding = contains.map(|text| holding(control, (trace, self), &text)).transpose()?;
        let of = holding.map(|rows| self.with_all_above(&rows));
        let shown = self.shown(&fold, of.as_deref());
        let place = reveal.and_then(|row| shown.binary_search(&row).ok());
        if let Some(place) = place {
            offset = place.saturating_sub(limit / BEFORE);
        }
        control.charge(limit.min(shown.len()) * 1024)?;
        let row = |at: &usize| {
            let mut row = self.row(*at);
            row.closed = self.is_closed(*at, &fold);
            row
        };
        Ok(RowsResponse {
            version: self.version.clone(),
            shown_count: shown.len(),
            offset,
            rows: shown.iter().skip(offset).take(limit).map(row).collect(),
            place,
            folded: self.folded(fold),
            stats: control.stats(),
        })
    }
}
