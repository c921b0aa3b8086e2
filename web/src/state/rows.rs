//! Which rows of a long list are on the screen? Rows of one height, some of them opened to a greater one.
//!
//! V1  `offset(i) <= y < offset(i + 1)` exactly when `at(y) == i`, for `y` within the list.
//! V2  Cost grows with the opened rows, not with the rows.

use std::collections::BTreeMap;
use std::ops::Range;

/// Heights of the rows of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Heights {
    row: f64,
    extra: BTreeMap<usize, f64>,
}

impl Heights {
    /// Rows of one height.
    pub fn new(row: f64) -> Heights {
        Heights { row, extra: BTreeMap::new() }
    }

    /// Opens a row by so much; zero closes it.
    pub fn open(&mut self, index: usize, extra: f64) {
        if extra > 0.0 {
            self.extra.insert(index, extra);
        } else {
            self.extra.remove(&index);
        }
    }

    /// Whether a row is open.
    pub fn is_open(&self, index: usize) -> bool {
        self.extra.contains_key(&index)
    }

    /// Closes all rows.
    pub fn close_all(&mut self) {
        self.extra.clear();
    }

    /// Where a row begins.
    pub fn offset(&self, index: usize) -> f64 {
        index as f64 * self.row + self.extra.range(..index).map(|(_, extra)| extra).sum::<f64>()
    }

    /// Which row is at a height.
    pub fn at(&self, y: f64) -> usize {
        let mut above = 0.0;
        for (index, extra) in &self.extra {
            let top = *index as f64 * self.row + above;
            if y < top + self.row + extra {
                return if y < top { ((y - above) / self.row).max(0.0) as usize } else { *index };
            }
            above += extra;
        }
        ((y - above) / self.row).max(0.0) as usize
    }

    /// Rows to draw for what is scrolled to, with some to spare on both sides.
    pub fn visible(&self, count: usize, top: f64, height: f64, spare: usize) -> Range<usize> {
        let first = self.at(top.max(0.0)).min(count).saturating_sub(spare);
        let last = self.at((top + height).max(0.0)).saturating_add(1 + spare).min(count);
        first..last.max(first)
    }

    /// Where to scroll so that a row is seen; none when it already is.
    pub fn reveal(&self, index: usize, top: f64, height: f64) -> Option<f64> {
        let (start, end) = (self.offset(index), self.offset(index) + self.row);
        if start < top {
            Some((start - self.row).max(0.0))
        } else if end > top + height {
            Some(end - height + self.row)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_row_already_seen_needs_no_scrolling() {
        let rows = Heights::new(10.0);
        assert_eq!(rows.reveal(3, 0.0, 100.0), None);
        assert_eq!(rows.reveal(20, 0.0, 100.0), Some(120.0));
        assert_eq!(rows.reveal(0, 50.0, 100.0), Some(0.0));
    }

    #[test]
    fn only_what_is_seen_is_drawn() {
        assert_eq!(Heights::new(10.0).visible(100_000, 500.0, 100.0, 2), 48..63);
        assert_eq!(Heights::new(10.0).visible(3, 500.0, 100.0, 2), 1..3);
        assert_eq!(Heights::new(10.0).visible(0, 0.0, 100.0, 2), 0..0);
    }

    proptest! {
        #[test]
        fn the_row_at_a_height_is_the_one_that_holds_it(
            opened in proptest::collection::btree_map(0usize..50, 1.0f64..300.0, 0..6),
            y in 0.0f64..2_000.0,
        ) {
            let mut rows = Heights::new(10.0);
            for (index, extra) in opened {
                rows.open(index, extra);
            }
            let index = rows.at(y);
            prop_assert!(rows.offset(index) <= y + 1e-6 && y < rows.offset(index + 1) + 1e-6, "{index} at {y}");
        }
    }
}
