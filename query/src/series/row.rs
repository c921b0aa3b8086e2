//! Which values has a series at the steps of a query?

use super::{Labels, Value};

/// Moments at equal distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) start: i64,
    /// Above 0.
    pub(crate) step: i64,
    pub(crate) count: usize,
}

impl Grid {
    /// One moment.
    pub(crate) fn instant(time: i64) -> Self {
        Grid { start: time, step: 1, count: 1 }
    }

    /// From one moment to another; empty where the end is before the start.
    pub(crate) fn range(start: i64, end: i64, step: i64) -> Self {
        let count = match end.checked_sub(start) {
            Some(length) if length >= 0 => {
                usize::try_from(length / step.max(1)).unwrap_or(usize::MAX).saturating_add(1)
            }
            _ => 0,
        };
        Grid { start, step: step.max(1), count }
    }

    /// The moment of a step.
    pub(crate) fn at(&self, step: usize) -> i64 {
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        self.start.saturating_add(self.step.saturating_mul(step))
    }

    /// The last moment; the first one where there is none.
    pub(crate) fn end(&self) -> i64 {
        self.at(self.count.saturating_sub(1))
    }

    pub(crate) fn times(self) -> impl Iterator<Item = i64> {
        (0..self.count).map(move |step| self.at(step))
    }
}

/// A series at the steps of a query (M3).
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) labels: Labels,
    /// Whether the metric's name is to be left out of the answer.
    pub(crate) drop_name: bool,
    pub(crate) cells: Vec<Option<Value>>,
}

impl Row {
    /// Without any value.
    pub(crate) fn empty(labels: Labels, count: usize) -> Self {
        Row { labels, drop_name: false, cells: vec![None; count] }
    }

    pub(crate) fn has_value(&self) -> bool {
        self.cells.iter().any(Option::is_some)
    }

    /// Every value changed; those for which there is none are left out.
    pub(crate) fn mapped(self, mut change: impl FnMut(usize, Value) -> Option<Value>) -> Option<Self> {
        let cells = self.cells.into_iter().enumerate();
        let cells = cells.map(|(step, cell)| cell.and_then(|value| change(step, value))).collect();
        let row = Row { cells, ..self };
        row.has_value().then_some(row)
    }
}
