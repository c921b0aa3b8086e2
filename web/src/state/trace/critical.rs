//! What did a trace wait for? The critical path: at each moment, the span that kept the root from ending.
//!
//! CP1  Sections do not overlap, lie within their span, and together cover the root from start to end.
//! CP2  Walks back from the root's end, from child to child; linear but for one sort per span. Nothing recurses.

use super::super::order;
use super::tree::Trace;

/// A stretch of the path, in nanoseconds after the start of the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// The row that was waited for.
    pub row: usize,
    /// Start.
    pub start: i64,
    /// End.
    pub end: i64,
}

/// The path of the trace's first root, latest section first.
pub fn path(trace: &Trace) -> Vec<Section> {
    let Some(root) = trace.rows.first() else { return Vec::new() };
    let mut sections = Vec::new();
    let mut walk = vec![Step::new(trace, 0, root.start)];
    let mut at = root.end();
    while let Some(step) = walk.last_mut() {
        let row = step.row;
        match step.next_before(trace, at) {
            Some((child, end)) => {
                push(&mut sections, row, end, at);
                at = end;
                let start = trace.rows[child].start.max(step.start);
                walk.push(Step::new(trace, child, start));
            }
            None => {
                push(&mut sections, row, step.start, at);
                at = at.min(step.start);
                walk.pop();
            }
        }
    }
    sections
}

fn push(sections: &mut Vec<Section>, row: usize, start: i64, end: i64) {
    if start < end {
        sections.push(Section { row, start, end });
    }
}

struct Step {
    row: usize,
    /// Start, not before that of the parent.
    start: i64,
    /// Children yet to be looked at; the last ends last.
    children: Vec<usize>,
}

impl Step {
    fn new(trace: &Trace, row: usize, start: i64) -> Step {
        let children: Vec<usize> = trace.children(row).collect();
        let rising = order::rising(children.iter().map(|child| trace.rows[*child].end() as f64));
        let children = order::pick(children, &rising);
        Step { row, start, children }
    }

    /// The child that ended last before `at`, and when. One that ran past the end of its parent counts up to there.
    fn next_before(&mut self, trace: &Trace, at: i64) -> Option<(usize, i64)> {
        let parent_end = trace.rows[self.row].end();
        while let Some(child) = self.children.pop() {
            let child_row = &trace.rows[child];
            let end = child_row.end().min(parent_end);
            if end <= at && child_row.start.max(self.start) < end {
                return Some((child, end));
            }
        }
        None
    }
}

/// The sections by row, for `of_row`.
pub fn by_row(sections: Vec<Section>) -> Vec<Section> {
    let order = order::rising(sections.iter().map(|section| section.row as f64));
    order::pick(sections, &order)
}

/// The sections of a row, of those that are in the order of rows.
pub fn of_row(by_row: &[Section], row: usize) -> &[Section] {
    let start = by_row.partition_point(|section| section.row < row);
    let end = by_row.partition_point(|section| section.row <= row);
    &by_row[start..end]
}

/// How many nanoseconds of the path each service has, by service index.
pub fn by_service(trace: &Trace, path: &[Section]) -> Vec<i64> {
    let mut shares = vec![0; trace.services.len()];
    for section in path {
        shares[trace.rows[section.row].service] += section.end - section.start;
    }
    shares
}

/// The row of a service that was waited for longest at a stretch.
pub fn longest_of(trace: &Trace, path: &[Section], service: usize) -> Option<usize> {
    let of_service = path.iter().filter(|section| trace.rows[section.row].service == service);
    of_service.max_by_key(|section| section.end - section.start).map(|section| section.row)
}

#[cfg(test)]
mod tests {
    use super::super::sample::trace;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_path_runs_through_the_child_that_ends_last() {
        let trace = trace(&[(1, 0, 0, 100), (2, 1, 10, 50), (3, 1, 20, 90)]);
        let path: Vec<_> = path(&trace).iter().map(|s| (s.row, s.start, s.end)).collect();
        assert_eq!(path, [(0, 90, 100), (2, 20, 90), (0, 0, 20)]);
    }

    #[test]
    fn children_one_after_the_other_are_all_on_the_path() {
        let trace = trace(&[(1, 0, 0, 100), (2, 1, 10, 40), (3, 1, 40, 90)]);
        let path = path(&trace);
        assert_eq!(
            path.iter().map(|s| (s.row, s.start, s.end)).collect::<Vec<_>>(),
            [(0, 90, 100), (2, 40, 90), (1, 10, 40), (0, 0, 10)]
        );
        assert_eq!(by_service(&trace, &path), [100]);
        let by_row = by_row(path);
        assert_eq!(of_row(&by_row, 0).iter().map(|s| s.start).collect::<Vec<_>>(), [90, 0]);
        assert_eq!((longest_of(&trace, &by_row, 0), longest_of(&trace, &by_row, 1)), (Some(2), None));
        assert_eq!((of_row(&by_row, 2).len(), of_row(&by_row, 3).len()), (1, 0));
    }

    #[test]
    fn a_deep_chain_ends() {
        let spans: Vec<_> = (1..=100_000u64).map(|n| (n, n - 1, n, 300_000 - n)).collect();
        assert_eq!(path(&trace(&spans)).len(), 2 * 100_000 - 1);
    }

    proptest! {
        #[test]
        fn sections_cover_the_root_once(ends in proptest::collection::vec((2u64..20, 1u64..19, 0u64..90, 1u64..60), 0..15)) {
            let mut spans = vec![(1u64, 0u64, 0u64, 100u64)];
            for (index, (_, parent, start, length)) in ends.iter().enumerate() {
                spans.push((index as u64 + 2, parent.min(&(index as u64 + 1)).to_owned(), *start, start + length));
            }
            let trace = trace(&spans);
            let path = path(&trace);
            let mut at = 100;
            for section in &path {
                prop_assert_eq!(section.end, at, "{:?}", path);
                prop_assert!(section.start < section.end);
                let row = &trace.rows[section.row];
                prop_assert!(row.start <= section.start && section.end <= row.end());
                at = section.start;
            }
            prop_assert_eq!(at, 0);
        }
    }
}
