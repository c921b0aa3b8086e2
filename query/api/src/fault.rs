//! Where did the errors of a trace begin, and do its clocks agree? Worked out alike by server and browser, of rows in their order.
//!
//! FA1  An error whose caller went on well was dealt with. So errors began where one leads that is as near to the root as any: from there
//!      down to the failed child that ended first, as long as there is one.
//! FA2  Ends are compared of children of one span only, which mostly have one clock, since other clocks may be seconds ahead.
//! FA3  A span that begins before its parent, or a server's that begins after its caller had the answer, has another clock.

use super::tree::{Placed, Rows};

/// What clocks differ by without anyone noticing.
const UNNOTICED: i64 = 100_000;

/// The row where the errors began, if there are any (FA1).
pub fn origin(rows: &impl Rows, failed: impl Fn(usize) -> bool) -> Option<usize> {
    let mut depths: Vec<usize> = Vec::with_capacity(rows.count());
    let mut first: Option<(usize, i64, usize)> = None;
    for row in 0..rows.count() {
        let Placed { parent, end, .. } = rows.placed(row);
        let depth = parent.and_then(|parent| depths.get(parent)).map_or(0, |above| above + 1);
        depths.push(depth);
        if failed(row) && !parent.is_some_and(&failed) {
            let this = (depth, end, row);
            first = Some(first.map_or(this, |first| first.min(this)));
        }
    }
    let (.., mut row) = first?;
    while let Some(below) =
        rows.children(row).filter(|child| failed(*child)).min_by_key(|child| (rows.placed(*child).end, *child))
    {
        row = below;
    }
    Some(row)
}

/// How many spans begin when they cannot have, and by how much at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skew {
    /// Those that begin before their parent.
    pub early: usize,
    /// By how much the worst of them does.
    pub earliest: i64,
    /// Those that begin after their caller had the answer.
    pub late: usize,
    /// By how much the worst of them does.
    pub latest: i64,
}

/// What clocks differ by (FA3); `answers` says whether a row is the server's side of a call of its parent's.
pub fn skew(rows: &impl Rows, answers: impl Fn(usize, usize) -> bool) -> Skew {
    let mut skew = Skew::default();
    for row in 0..rows.count() {
        let placed = rows.placed(row);
        let Some(parent) = placed.parent else { continue };
        let above = rows.placed(parent);
        let (lead, lag) = (above.start.saturating_sub(placed.start), placed.start.saturating_sub(above.end));
        if lead > UNNOTICED {
            (skew.early, skew.earliest) = (skew.early + 1, skew.earliest.max(lead));
        } else if lag > UNNOTICED && answers(parent, row) {
            (skew.late, skew.latest) = (skew.late + 1, skew.latest.max(lag));
        }
    }
    skew
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parent, rows of the subtree, start, end; in the order of display.
    fn rows(list: &[(Option<usize>, usize, i64, i64)]) -> Vec<Placed> {
        let placed =
            |&(parent, subtree, start, end): &(Option<usize>, usize, i64, i64)| Placed { parent, subtree, start, end };
        list.iter().map(placed).collect()
    }

    fn began(list: &[(Option<usize>, usize, i64, i64)], failed: &[usize]) -> Option<usize> {
        origin(&rows(list), |row| failed.contains(&row))
    }

    #[test]
    fn fa1_an_error_that_was_dealt_with_is_no_beginning() {
        // root > with fallback > cache; root > call > handle > insert
        let list = [
            (None, 6, 0, 100),
            (Some(0), 2, 1, 10),
            (Some(1), 1, 2, 5),
            (Some(0), 3, 20, 90),
            (Some(3), 2, 21, 80),
            (Some(4), 1, 22, 70),
        ];
        assert_eq!(began(&list, &[0, 2, 3, 4, 5]), Some(5));
        assert_eq!(began(&list, &[2, 4, 5]), Some(2), "none led to the root: the one nearest to it, then first");
        assert_eq!(began(&list, &[0, 2]), Some(0));
        assert_eq!(began(&list, &[]), None);
        assert_eq!(origin(&rows(&[]), |_| true), None);
    }

    #[test]
    fn fa2_a_clock_that_is_ahead_does_not_hide_the_beginning() {
        // root > call > insert, on a host five seconds ahead; root > audit, which failed later.
        let list =
            [(None, 4, 0, 100), (Some(0), 2, 10, 40), (Some(1), 1, 5_000_000_010, 5_000_000_030), (Some(0), 1, 50, 54)];
        assert_eq!(began(&list, &[0, 1, 2, 3]), Some(2));
    }

    #[test]
    fn fa3_clocks_differ_where_a_span_begins_too_early_or_too_late() {
        let second = 1_000_000_000;
        let list = [
            (None, 4, 0, second),
            (Some(0), 1, -second, 5),
            (Some(0), 1, 6 * second, 7 * second),
            (Some(0), 1, second + 100_000, 2 * second),
        ];
        let of = |answers: bool| skew(&rows(&list), |_, _| answers);
        assert_eq!(of(true), Skew { early: 1, earliest: second, late: 1, latest: 5 * second });
        assert_eq!((of(false).early, of(false).late), (1, 0), "what is not waited for may begin whenever it likes");
    }
}
