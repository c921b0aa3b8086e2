//! What did a trace wait for? The critical path: at each moment, the span that kept the root from ending.
//!
//! CP1  Sections do not overlap, lie within their span, and together cover the first root from start to end.
//! CP2  Walks back from the root's end, from child to child; linear but for one sort per span.

use super::Outline;

/// A stretch of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Section {
    /// The row that was waited for.
    pub(super) row: usize,
    pub(super) start: i64,
    pub(super) end: i64,
}

/// The path of the first root, by row.
pub(super) fn path(outline: &Outline) -> Vec<Section> {
    let Some(root) = outline.rows.first() else { return Vec::new() };
    let mut sections = Vec::new();
    let mut push = |row, start, end| {
        if start < end {
            sections.push(Section { row, start, end });
        }
    };
    let mut walk = vec![Step::new(outline, 0, root.start)];
    let mut at = root.end();
    while let Some(step) = walk.last_mut() {
        match step.next_before(outline, at) {
            Some((child, end)) => {
                push(step.row, end, at);
                at = end;
                let start = outline.rows.get(child).map_or(step.start, |child| child.start.max(step.start));
                walk.push(Step::new(outline, child, start));
            }
            None => {
                push(step.row, step.start, at);
                at = at.min(step.start);
                walk.pop();
            }
        }
    }
    // Stable: latest first within a row.
    sections.sort_by_key(|section| section.row);
    sections
}

/// The sections of a row, of those that are in the order of rows.
pub(super) fn of_row(by_row: &[Section], row: usize) -> &[Section] {
    let start = by_row.partition_point(|section| section.row < row);
    let end = by_row.partition_point(|section| section.row <= row);
    by_row.get(start..end).unwrap_or_default()
}

struct Step {
    row: usize,
    /// Start, not before that of the parent.
    start: i64,
    end: i64,
    /// Children yet to be looked at; the last ends last.
    children: Vec<usize>,
}

impl Step {
    fn new(outline: &Outline, row: usize, start: i64) -> Step {
        let mut children: Vec<usize> = outline.children(row).collect();
        let end = |row: usize| outline.rows.get(row).map_or(0, super::Row::end);
        children.sort_by_key(|child| end(*child));
        Step { row, start, end: end(row), children }
    }

    /// The child that ended last before `at`, and when. One that ran past the end of its parent counts up to there.
    fn next_before(&mut self, outline: &Outline, at: i64) -> Option<(usize, i64)> {
        while let Some(child) = self.children.pop() {
            let Some(row) = outline.rows.get(child) else { continue };
            let end = row.end().min(self.end);
            if end <= at && row.start.max(self.start) < end {
                return Some((child, end));
            }
        }
        None
    }
}
