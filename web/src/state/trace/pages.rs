//! Which rows of a large trace are here, and how is the server asked for others? Windows of what is shown, as much as was scrolled to.
//!
//! PG1  A row stands at its place among those that are shown with what is folded; when that changes, all places are forgotten.
//! PG2  At most `MOST` rows are kept: those farthest from the last window go first.

use super::super::address::Params;
use super::closed;
use query_api::outline::{Folded, OutlineRow, RowsResponse};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Rows that are asked for at once.
pub const PAGE: usize = 200;
/// Rows that are kept.
const MOST: usize = 12_000;
/// Rows that may be folded one by one: as many as the server takes.
const TURNED: usize = 1_000;

/// Which rows are closed: those with children from a depth on, but for those that were turned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fold {
    depth: Option<usize>,
    turned: BTreeSet<usize>,
    /// Of those, the ones that are known by their spans only: the server knows their rows.
    spans: Vec<String>,
}

impl Fold {
    /// What the server has answered.
    pub fn of(folded: &Folded) -> Fold {
        Fold { depth: folded.depth, turned: folded.turned.iter().copied().collect(), spans: Vec::new() }
    }

    /// What the URL says.
    pub fn named(text: &str) -> Fold {
        let (depth, spans) = closed::parts_of(text);
        Fold { depth, turned: BTreeSet::new(), spans: spans.into_iter().map(str::to_owned).collect() }
    }

    /// All that have children are closed.
    pub fn all() -> Fold {
        Fold { depth: Some(0), ..Fold::default() }
    }

    /// Closes one level more, or one less, of a trace of so many.
    pub fn step(&self, levels: usize, close: bool) -> Fold {
        // The deepest have no children.
        let last = levels.saturating_sub(1);
        let depth = self.depth.unwrap_or(last).min(last);
        let depth = if close { depth.saturating_sub(1) } else { depth + 1 };
        Fold { depth: (depth < last).then_some(depth), ..Fold::default() }
    }

    /// The same with some rows the other way round. Where that would be too many, nothing is closed.
    pub fn turn(&self, rows: &[usize]) -> Fold {
        let mut fold = self.clone();
        for row in rows {
            if !fold.turned.remove(row) {
                fold.turned.insert(*row);
            }
        }
        if fold.turned.len() > TURNED { Fold::default() } else { fold }
    }

    /// What the server is asked for: a window, or one around a row that is to be seen; of rows that hold a text, or of all.
    pub fn request(&self, id: &str, window: (usize, usize), reveal: Option<usize>, holding: Option<&str>) -> String {
        let mut params = Params::default();
        let mut set = |key, value: String| params.set(key, Some(&value));
        if let Some(depth) = self.depth {
            set("depth", depth.to_string());
        }
        set("turned", self.turned.iter().map(usize::to_string).collect::<Vec<_>>().join(","));
        set("spans", self.spans.join(","));
        match reveal {
            Some(row) => set("reveal", row.to_string()),
            None => set("offset", window.0.to_string()),
        }
        set("limit", window.1.to_string());
        set("contains", holding.unwrap_or_default().to_owned());
        params.behind(&format!("/api/v1/traces/{id}/outline/rows"))
    }
}

/// The rows that are here.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pages {
    /// Rows that are shown.
    pub count: usize,
    rows: BTreeMap<usize, Arc<OutlineRow>>,
}

impl Pages {
    /// The first rows of an outline with nothing folded.
    pub fn new(count: usize, first: &[OutlineRow]) -> Pages {
        let mut pages = Pages { count, ..Pages::default() };
        pages.keep(0, first.to_vec());
        pages
    }

    /// The row at a place.
    pub fn at(&self, place: usize) -> Option<&Arc<OutlineRow>> {
        self.rows.get(&place)
    }

    /// The place of a row, if it is here.
    pub fn place_of(&self, row: usize) -> Option<usize> {
        // Rows and their places are in one order.
        self.rows.iter().find(|(_, found)| found.row >= row).filter(|(_, found)| found.row == row).map(|(at, _)| *at)
    }

    /// Takes a window.
    pub fn take(&mut self, window: RowsResponse) {
        self.count = window.shown_count;
        self.keep(window.offset, window.rows);
    }

    fn keep(&mut self, offset: usize, rows: Vec<OutlineRow>) {
        let end = offset + rows.len();
        self.rows.extend(rows.into_iter().enumerate().map(|(at, row)| (offset + at, Arc::new(row))));
        while self.rows.len() > MOST {
            let (Some((first, _)), Some((last, _))) = (self.rows.first_key_value(), self.rows.last_key_value()) else {
                return;
            };
            if offset.saturating_sub(*first) > last.saturating_sub(end) {
                self.rows.pop_first();
            } else {
                self.rows.pop_last();
            }
        }
    }

    /// The window that is missing around some places that are seen, if one is: as offset and length.
    pub fn missing(&self, seen: (usize, usize)) -> Option<(usize, usize)> {
        let end = seen.1.min(self.count);
        let first = (seen.0..end).find(|place| !self.rows.contains_key(place))?;
        let offset = first / PAGE * PAGE;
        let last = (first..end).rev().find(|place| !self.rows.contains_key(place)).unwrap_or(first);
        Some((offset, (last / PAGE + 1) * PAGE - offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(range: std::ops::Range<usize>) -> Vec<OutlineRow> {
        range.map(|row| OutlineRow { row, ..OutlineRow::default() }).collect()
    }

    #[test]
    fn what_is_folded_is_said_in_few_words() {
        let fold = Fold::default().turn(&[7, 3]).turn(&[7]);
        assert_eq!(
            fold.request("ab", (200, 100), None, None),
            "/api/v1/traces/ab/outline/rows?turned=3&offset=200&limit=100"
        );
        let all = Fold::all().turn(&[5]);
        assert_eq!(
            all.request("ab", (0, 9), Some(4), Some("x y")),
            "/api/v1/traces/ab/outline/rows?depth=0&turned=5&reveal=4&limit=9&contains=x%20y"
        );
        assert_eq!(Fold::all().turn(&(0..1_001).collect::<Vec<_>>()), Fold::default());
    }

    #[test]
    fn fo3_the_address_of_a_small_trace_folds_a_large_one() {
        let fold = Fold::named("2.00000000000000f1.<b>.00000000000000F2");
        assert_eq!(
            fold.turn(&[7]).request("ab", (0, 9), None, None),
            "/api/v1/traces/ab/outline/rows?depth=2&turned=7&spans=00000000000000f1%2C00000000000000F2&offset=0&limit=9"
        );
        assert_eq!(Fold::named("x.1.<b>"), Fold::default());
        let folded = Folded { depth: Some(2), turned: vec![3, 7], spans: vec!["00000000000000f1".into()] };
        assert_eq!(Fold::of(&folded), Fold { depth: Some(2), ..Fold::default() }.turn(&[7, 3]));
        let text = closed::text_of(folded.depth, folded.spans.iter().map(String::as_str));
        assert_eq!(text.as_deref(), Some("2.00000000000000f1"));
    }

    #[test]
    fn levels_close_from_the_deepest_and_open_from_the_shallowest() {
        let depth = |fold: &Fold| fold.depth;
        let one = Fold::default().step(4, true);
        assert_eq!(depth(&one), Some(2));
        assert_eq!(depth(&one.step(4, true)), Some(1));
        assert_eq!(depth(&one.step(4, false)), None);
        assert_eq!(depth(&Fold::all().step(4, true)), Some(0));
        assert_eq!(depth(&Fold::default().step(1, true)), None);
    }

    #[test]
    fn windows_that_are_missing_are_asked_for_once_by_the_page() {
        let mut pages = Pages::new(1_000, &rows(0..120));
        assert_eq!(pages.missing((0, 120)), None);
        assert_eq!(pages.missing((100, 140)), Some((0, 200)));
        assert_eq!(pages.missing((390, 430)), Some((200, 400)));
        assert_eq!(pages.missing((990, 2_000)), Some((800, 200)));
        pages.take(RowsResponse { shown_count: 500, offset: 200, rows: rows(300..500), ..RowsResponse::default() });
        assert_eq!((pages.count, pages.at(200).map(|row| row.row), pages.place_of(301)), (500, Some(300), Some(201)));
        assert_eq!((pages.place_of(250), pages.place_of(119)), (None, Some(119)));
    }

    #[test]
    fn pg2_what_is_far_from_the_last_window_goes() {
        let mut pages = Pages::new(100_000, &rows(0..120));
        for page in 0..100 {
            let offset = page * PAGE;
            let rows = rows(offset..offset + PAGE);
            pages.take(RowsResponse { shown_count: 100_000, offset, rows, ..RowsResponse::default() });
        }
        assert_eq!(pages.rows.len(), MOST);
        assert!(pages.at(0).is_none() && pages.at(19_999).is_some());
    }
}
