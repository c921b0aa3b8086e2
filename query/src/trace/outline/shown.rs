//! Which rows are shown when some are folded, and which of them lie in a window?
//!
//! SH1  Shown are the rows above which nothing is closed, in the order of the outline. Windows laid side by side are all of them.
//! SH2  What is closed is said in few words, whatever the size of the trace: from some depth on, but for some rows.
//! SH3  Where a text is looked for, what neither holds it nor has it below is not shown.

use super::Outline;
use super::attributes::holding;
use crate::error::{Error, Result};
use crate::exec::Control;
use query_api::outline::RowsResponse;
use std::collections::BTreeSet;
use storage::model::TraceId;

/// Rows that may be named as exceptions. Whoever folds one by one never comes there.
pub(crate) const MOST_TURNED: usize = 1_000;

/// Which rows are closed: those with children from a depth on, but for those named, which are the other way round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fold {
    pub(crate) depth: Option<usize>,
    pub(crate) turned: BTreeSet<usize>,
}

impl Fold {
    /// Reads the rows that are the other way round, separated by commas.
    pub(crate) fn turned(text: &str) -> std::result::Result<BTreeSet<usize>, String> {
        let mut turned = BTreeSet::new();
        for number in text.split(',') {
            turned.insert(number.parse().map_err(|_| "expected numbers of rows, separated by commas".to_owned())?);
            if turned.len() > MOST_TURNED {
                return Err(format!("more than {MOST_TURNED} rows are not turned one by one"));
            }
        }
        Ok(turned)
    }
}

/// A window to be answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowsQuery {
    pub(crate) fold: Fold,
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

    /// Opens what hides a row; tells which rows that were. None stands for all: they were too many to be named.
    pub(super) fn open(&self, row: usize, fold: &mut Fold) -> Option<Vec<usize>> {
        let mut opened = Vec::new();
        let mut above = self.rows.get(row).and_then(|row| row.parent);
        while let Some(parent) = above {
            if self.is_closed(parent, fold) {
                opened.push(parent);
                if !fold.turned.remove(&parent) {
                    fold.turned.insert(parent);
                }
            }
            above = self.rows.get(parent).and_then(|row| row.parent);
        }
        if fold.turned.len() > MOST_TURNED {
            *fold = Fold::default();
            return None;
        }
        opened.reverse();
        Some(opened)
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
        let RowsQuery { mut fold, mut offset, limit, reveal, contains } = query.clone();
        if let Some(beyond) = reveal.into_iter().chain(fold.turned.last().copied()).find(|row| *row >= self.rows.len())
        {
            let message = format!("there is no row {beyond}: the trace has {}", self.rows.len());
            return Err(Error::parameter("reveal", message));
        }
        let opened = reveal.map(|row| self.open(row, &mut fold));
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
            opened_all: matches!(opened, Some(None)),
            opened: opened.flatten().unwrap_or_default(),
            stats: control.stats(),
        })
    }
}
