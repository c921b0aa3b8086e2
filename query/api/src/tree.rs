//! What do server and browser work out alike of a trace that stands in order? Self time, the critical path, lanes of a flame graph.
//!
//! A trace of a few thousand spans is put in order by the browser, a larger one by the server, and nobody is to see which.
//!
//! TR1  Rows are in the order of display: what is below a row stands right behind it, and children come by start.
//! CP1  Sections of the critical path do not overlap, lie within their span, and together cover the first root from start to end.
//! CP2  It is walked back from the root's end, from child to child: at each moment the span that kept the root from ending.
//! FL1  Spans of one lane do not overlap, and a child's lane is below that of its parent.
//! FL2  A subtree is a block: nothing of another stands between its spans while it runs.
//! FL3  All of it takes n log n steps, whatever the tree looks like. Nothing recurses.
//!
//! Not here: who puts rows in order, what is drawn of them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A span in its place. Times are nanoseconds after the start of the trace; it does not end before it starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Placed {
    /// The row above it.
    pub parent: Option<usize>,
    /// Rows of its subtree, itself included.
    pub subtree: usize,
    /// Start.
    pub start: i64,
    /// End.
    pub end: i64,
}

/// The spans of a trace in the order of display (TR1).
pub trait Rows {
    /// How many there are.
    fn count(&self) -> usize;

    /// The one at a place below that.
    fn placed(&self, row: usize) -> Placed;

    /// The children of a row, by start.
    fn children(&self, row: usize) -> impl Iterator<Item = usize> + '_ {
        let end = row + self.placed(row).subtree;
        let mut next = row + 1;
        std::iter::from_fn(move || {
            let child = next;
            (child < end).then(|| {
                next += self.placed(child).subtree.max(1);
                child
            })
        })
    }

    /// The stretches of a row that no child covers, as start and end.
    fn gaps(&self, row: usize) -> impl Iterator<Item = [i64; 2]> + '_ {
        let Placed { start, end, .. } = self.placed(row);
        let mut covered = start;
        let mut children = self.children(row);
        let mut is_done = false;
        std::iter::from_fn(move || {
            while !is_done {
                let child = children.next().map(|child| self.placed(child));
                is_done = child.is_none();
                // Behind the last one its own end stands for a child.
                let (start, child_end) = child.map_or((end, end), |child| (child.start.min(end), child.end));
                let gap = [covered, start];
                covered = covered.max(child_end);
                if gap[0] < gap[1] {
                    return Some(gap);
                }
            }
            None
        })
    }
}

/// A stretch of the critical path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// The row that was waited for.
    pub row: usize,
    /// Start.
    pub start: i64,
    /// End.
    pub end: i64,
}

/// The critical path of the first root, in the order of rows; the latest section of a row first.
pub fn critical_path(rows: &impl Rows) -> Vec<Section> {
    let mut sections = Vec::new();
    if rows.count() == 0 {
        return sections;
    }
    let mut push = |row, start, end| {
        if start < end {
            sections.push(Section { row, start, end });
        }
    };
    let root = rows.placed(0);
    let mut walk = vec![Step::new(rows, 0, root.start)];
    let mut at = root.end;
    while let Some(step) = walk.last_mut() {
        match step.next_before(rows, at) {
            Some((child, end)) => {
                push(step.row, end, at);
                at = end;
                let start = rows.placed(child).start.max(step.start);
                walk.push(Step::new(rows, child, start));
            }
            None => {
                push(step.row, step.start, at);
                at = at.min(step.start);
                walk.pop();
            }
        }
    }
    let by_row = rising(sections.iter().map(|section| section.row as i64));
    by_row.into_iter().filter_map(|at| sections.get(at).copied()).collect()
}

/// The sections of a row, of those that are in the order of rows.
pub fn sections_of(path: &[Section], row: usize) -> &[Section] {
    let start = path.partition_point(|section| section.row < row);
    let end = path.partition_point(|section| section.row <= row);
    path.get(start..end).unwrap_or_default()
}

/// A span on the way back.
struct Step {
    row: usize,
    /// Start, not before that of the parent.
    start: i64,
    end: i64,
    /// Children yet to be looked at; the last ends last.
    children: Vec<usize>,
}

impl Step {
    fn new(rows: &impl Rows, row: usize, start: i64) -> Step {
        let children: Vec<usize> = rows.children(row).collect();
        let by_end = rising(children.iter().map(|child| rows.placed(*child).end));
        let children = by_end.into_iter().filter_map(|at| children.get(at).copied()).collect();
        Step { row, start, end: rows.placed(row).end, children }
    }

    /// The child that ended last before `at`, and when. One that ran past the end of its parent counts up to there.
    fn next_before(&mut self, rows: &impl Rows, at: i64) -> Option<(usize, i64)> {
        while let Some(child) = self.children.pop() {
            let placed = rows.placed(child);
            let end = placed.end.min(self.end);
            if end <= at && placed.start.max(self.start) < end {
                return Some((child, end));
            }
        }
        None
    }
}

/// A trace laid in lanes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lanes {
    /// The lane of each row.
    pub lane_of: Vec<usize>,
    /// The rows of each lane, by start.
    pub rows: Vec<Vec<usize>>,
}

/// A subtree while it is laid: when it runs, and how many lanes it takes.
#[derive(Debug, Clone, Copy)]
struct Block {
    start: i64,
    end: i64,
    height: usize,
}

impl Lanes {
    /// Lays a trace.
    pub fn new(rows: &impl Rows) -> Lanes {
        let (offsets, tops) = offsets(rows);
        let mut lane_of: Vec<usize> = Vec::with_capacity(rows.count());
        for row in 0..rows.count() {
            lane_of.push(rows.placed(row).parent.map_or(tops[row], |parent| lane_of[parent] + offsets[row]));
        }
        let mut lanes = vec![Vec::new(); lane_of.iter().max().map_or(0, |last| last + 1)];
        for row in rising((0..rows.count()).map(|row| rows.placed(row).start)) {
            lanes[lane_of[row]].push(row);
        }
        Lanes { lane_of, rows: lanes }
    }
}

/// How many lanes each row is below its parent; and for those without one, below the top.
fn offsets(rows: &impl Rows) -> (Vec<usize>, Vec<usize>) {
    let own = |row: usize| {
        let Placed { start, end, .. } = rows.placed(row);
        Block { start, end: end.max(start.saturating_add(1)), height: 1 }
    };
    let mut blocks: Vec<Block> = (0..rows.count()).map(own).collect();
    let mut offsets = vec![0; blocks.len()];
    let mut children = Vec::new();
    // Children stand behind their parents: from the last to the first, a row's subtree is done before the row is.
    for row in (0..blocks.len()).rev() {
        children.clear();
        children.extend(rows.children(row));
        let height = stack(&blocks, &children, &mut offsets);
        for child in &children {
            offsets[*child] += 1;
            blocks[row].start = blocks[row].start.min(blocks[*child].start);
            blocks[row].end = blocks[row].end.max(blocks[*child].end);
        }
        blocks[row].height += height;
    }
    let roots: Vec<usize> = (0..blocks.len()).filter(|row| rows.placed(*row).parent.is_none()).collect();
    let mut tops = vec![0; blocks.len()];
    stack(&blocks, &roots, &mut tops);
    (offsets, tops)
}

/// Lays blocks on shelves, each on the uppermost that is free when it begins; tells how many lanes all shelves take.
fn stack(blocks: &[Block], rows: &[usize], offsets: &mut [usize]) -> usize {
    let mut busy: BinaryHeap<Reverse<(i64, usize)>> = BinaryHeap::new();
    let mut free: BinaryHeap<Reverse<usize>> = BinaryHeap::new();
    let mut heights: Vec<usize> = Vec::new();
    let mut shelf_of = Vec::with_capacity(rows.len());
    for row in rising(rows.iter().map(|row| blocks[*row].start)).into_iter().map(|at| rows[at]) {
        let block = blocks[row];
        while let Some(Reverse((_, shelf))) = busy.peek().copied().filter(|Reverse((end, _))| *end <= block.start) {
            busy.pop();
            free.push(Reverse(shelf));
        }
        let shelf = free.pop().map_or(heights.len(), |Reverse(shelf)| shelf);
        if shelf == heights.len() {
            heights.push(0);
        }
        heights[shelf] = heights[shelf].max(block.height);
        busy.push(Reverse((block.end, shelf)));
        shelf_of.push((row, shelf));
    }
    let mut tops = Vec::with_capacity(heights.len());
    let mut all = 0;
    for height in heights {
        tops.push(all);
        all += height;
    }
    for (row, shelf) in shelf_of {
        offsets[row] = tops[shelf];
    }
    all
}

/// Indexes of numbers, least first; equal ones keep their order. Sorting is compiled once, not for every list: the browser loads it.
pub fn rising(numbers: impl IntoIterator<Item = i64>) -> Vec<usize> {
    let mut keyed: Vec<(i64, usize)> = numbers.into_iter().enumerate().map(|(index, number)| (number, index)).collect();
    sort(&mut keyed);
    keyed.into_iter().map(|(_, index)| index).collect()
}

fn sort(keyed: &mut [(i64, usize)]) {
    keyed.sort_unstable();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Rows for Vec<Placed> {
        fn count(&self) -> usize {
            self.len()
        }

        fn placed(&self, row: usize) -> Placed {
            self[row]
        }
    }

    /// Spans that are told by the places of their parents, which stand before them, in the order of display.
    fn trace(spans: &[(Option<usize>, i64, i64)]) -> Vec<Placed> {
        let below = |parent: Option<usize>| {
            let mut below: Vec<usize> = (0..spans.len()).filter(|at| spans[*at].0 == parent).collect();
            below.sort_by_key(|at| spans[*at].1);
            below.reverse();
            below
        };
        let mut rows: Vec<Placed> = Vec::new();
        let mut to_do: Vec<(usize, Option<usize>)> = below(None).into_iter().map(|at| (at, None)).collect();
        while let Some((at, parent)) = to_do.pop() {
            let row = rows.len();
            to_do.extend(below(Some(at)).into_iter().map(|child| (child, Some(row))));
            rows.push(Placed { parent, subtree: 1, start: spans[at].1, end: spans[at].2 });
        }
        with_subtrees(rows)
    }

    fn with_subtrees(mut rows: Vec<Placed>) -> Vec<Placed> {
        for row in (0..rows.len()).rev() {
            if let Some(parent) = rows[row].parent {
                rows[parent].subtree += rows[row].subtree;
            }
        }
        rows
    }

    fn chain_and_fans(count: usize) -> [Vec<Placed>; 3] {
        let row = |parent, start, end| Placed { parent, subtree: 1, start, end };
        let (length, rows) = (3 * count as i64, 0..count);
        let deep = rows.clone().map(|at| row(at.checked_sub(1), at as i64, length - at as i64));
        let wide = rows.clone().map(|at| row((at > 0).then_some(0), at as i64, length));
        let in_turn = rows.map(|at| row((at > 0).then_some(0), 10 * at as i64, 10 * at as i64 + 9));
        [deep.collect(), wide.collect(), in_turn.collect()].map(with_subtrees)
    }

    #[test]
    fn gaps_are_what_no_child_covers() {
        let rows =
            trace(&[(None, 0, 100), (Some(0), 10, 40), (Some(0), 30, 60), (Some(2), 35, 200), (Some(0), 90, 120)]);
        let gaps = |row| rows.gaps(row).collect::<Vec<_>>();
        assert_eq!([gaps(0), gaps(1), gaps(2)], [vec![[0, 10], [60, 90]], vec![[10, 40]], vec![[30, 35]]]);
    }

    #[test]
    fn the_path_runs_through_the_child_that_ends_last() {
        let told =
            |rows: &Vec<Placed>| critical_path(rows).iter().map(|it| (it.row, it.start, it.end)).collect::<Vec<_>>();
        let at_once = trace(&[(None, 0, 100), (Some(0), 10, 50), (Some(0), 20, 90)]);
        assert_eq!(told(&at_once), [(0, 90, 100), (0, 0, 20), (2, 20, 90)]);
        let in_turn = trace(&[(None, 0, 100), (Some(0), 10, 40), (Some(0), 40, 90)]);
        assert_eq!(told(&in_turn), [(0, 90, 100), (0, 0, 10), (1, 10, 40), (2, 40, 90)]);
        let path = critical_path(&in_turn);
        assert_eq!([0, 2, 3].map(|row| sections_of(&path, row).len()), [2, 1, 0]);
        assert_eq!(critical_path(&Vec::new()), []);
    }

    #[test]
    fn what_runs_at_once_stands_below_each_other_with_all_of_its_own() {
        // Two calls at once, the first with a call of its own; a third after them.
        let rows = trace(&[(None, 0, 100), (Some(0), 10, 50), (Some(1), 20, 30), (Some(0), 15, 60), (Some(0), 70, 90)]);
        assert_eq!(Lanes::new(&rows).lane_of, [0, 1, 2, 3, 1]);
    }

    #[test]
    fn fl3_a_deep_chain_and_wide_fans_end() {
        let [deep, wide, in_turn] = chain_and_fans(100_000);
        assert_eq!(critical_path(&deep).len(), 2 * 100_000 - 1);
        assert_eq!([&deep, &wide, &in_turn].map(|rows| Lanes::new(rows).rows.len()), [100_000, 100_000, 2]);
    }

    fn any_trace() -> impl Strategy<Value = Vec<Placed>> {
        proptest::collection::vec((any::<prop::sample::Index>(), any::<bool>(), 0i64..90, 0i64..60), 1..24).prop_map(
            |list| {
                let spans = list.iter().enumerate().map(|(at, (parent, is_root, start, length))| {
                    let parent = (at > 0 && !is_root).then(|| parent.index(at));
                    (parent, *start, start + length)
                });
                trace(&spans.collect::<Vec<_>>())
            },
        )
    }

    proptest! {
        #[test]
        fn cp1_sections_cover_the_first_root_once(rows in any_trace()) {
            let mut path = critical_path(&rows);
            prop_assert!(path.is_sorted_by_key(|section| (section.row, Reverse(section.start))));
            path.sort_by_key(|section| section.start);
            let mut at = rows[0].start;
            for section in path {
                prop_assert_eq!(section.start, at);
                let row = rows[section.row];
                prop_assert!(row.start <= section.start && section.start < section.end && section.end <= row.end);
                at = section.end;
            }
            prop_assert_eq!(at, rows[0].end);
        }

        #[test]
        fn fl1_no_two_of_a_lane_overlap_and_children_are_below(rows in any_trace()) {
            let lanes = Lanes::new(&rows);
            prop_assert_eq!(lanes.rows.iter().map(Vec::len).sum::<usize>(), rows.len());
            for (lane, of_lane) in lanes.rows.iter().enumerate() {
                prop_assert!(of_lane.iter().all(|row| lanes.lane_of[*row] == lane));
                prop_assert!(of_lane.windows(2).all(|pair| rows[pair[0]].end <= rows[pair[1]].start));
            }
            for (row, placed) in rows.iter().enumerate() {
                prop_assert!(placed.parent.is_none_or(|parent| lanes.lane_of[parent] < lanes.lane_of[row]));
            }
        }

        #[test]
        fn what_is_no_gap_is_covered(rows in any_trace()) {
            for row in 0..rows.len() {
                let gaps: Vec<[i64; 2]> = rows.gaps(row).collect();
                for time in rows[row].start..rows[row].end {
                    let is_covered = rows.children(row).any(|child| (rows[child].start..rows[child].end).contains(&time));
                    prop_assert_eq!(gaps.iter().any(|[start, end]| (*start..*end).contains(&time)), !is_covered);
                }
            }
        }
    }
}
