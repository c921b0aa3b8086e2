//! Where does each span stand in a flame graph? Below its parent, at its time, and beside what runs at the same time.
//!
//! FL1  Spans of one lane do not overlap, and a child's lane is below that of its parent.
//! FL2  A subtree is a block: nothing of another stands between its spans while it runs.
//! FL3  n spans are laid in n log n steps, however deep or wide the trace is. Nothing recurses.
//!
//! Not here: pixels (the page), which part of the time is seen (`window`).

use super::super::order;
use super::tree::Trace;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A trace laid in lanes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flame {
    /// The lane of each row.
    pub lane_of: Vec<usize>,
    /// The rows of each lane, by start.
    pub lanes: Vec<Vec<usize>>,
}

/// A subtree while it is laid: when it runs, and how many lanes it takes.
#[derive(Debug, Clone, Copy)]
struct Block {
    start: i64,
    end: i64,
    height: usize,
}

impl Flame {
    /// Lays a trace.
    pub fn new(trace: &Trace) -> Flame {
        let (offsets, tops) = offsets(trace);
        let mut lane_of = vec![0; trace.rows.len()];
        for (row, one) in trace.rows.iter().enumerate() {
            lane_of[row] = one.parent.map_or(tops[row], |parent| lane_of[parent] + offsets[row]);
        }
        let mut lanes = vec![Vec::new(); lane_of.iter().max().map_or(0, |last| last + 1)];
        for row in order::rising(trace.rows.iter().map(|row| row.start as f64)) {
            lanes[lane_of[row]].push(row);
        }
        Flame { lane_of, lanes }
    }

    /// The row of a lane that runs at a time, or ended last before it.
    pub fn before(&self, trace: &Trace, lane: usize, time: i64) -> Option<usize> {
        let rows = self.lanes.get(lane)?;
        let behind = rows.partition_point(|row| trace.rows[*row].start <= time);
        behind.checked_sub(1).map(|at| rows[at])
    }
}

/// How many lanes each row is below its parent; and for those without one, below the top.
fn offsets(trace: &Trace) -> (Vec<usize>, Vec<usize>) {
    let own = |row: &super::tree::Row| Block { start: row.start, end: row.end().max(row.start + 1), height: 1 };
    let mut blocks: Vec<Block> = trace.rows.iter().map(own).collect();
    let mut offsets = vec![0; blocks.len()];
    // Children stand behind their parents: from the last to the first, a row's subtree is done before the row is.
    for row in (0..blocks.len()).rev() {
        let children: Vec<usize> = trace.children(row).collect();
        let height = stack(&blocks, &children, &mut offsets);
        for child in &children {
            offsets[*child] += 1;
            blocks[row].start = blocks[row].start.min(blocks[*child].start);
            blocks[row].end = blocks[row].end.max(blocks[*child].end);
        }
        blocks[row].height += height;
    }
    let roots: Vec<usize> = (0..blocks.len()).filter(|row| trace.rows[*row].parent.is_none()).collect();
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
    let by_start = order::rising(rows.iter().map(|row| blocks[*row].start as f64));
    for row in by_start.iter().map(|at| rows[*at]) {
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

#[cfg(test)]
mod tests {
    use super::super::sample::trace;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_runs_at_once_stands_below_each_other_with_all_of_its_own() {
        // Two calls at once, the first with a call of its own; a third after them.
        let trace = trace(&[(1, 0, 0, 100), (2, 1, 10, 50), (3, 2, 20, 30), (4, 1, 15, 60), (5, 1, 70, 90)]);
        assert_eq!(Flame::new(&trace).lane_of, [0, 1, 2, 3, 1]);
    }

    #[test]
    fn a_deep_chain_and_a_wide_fan_end() {
        let deep: Vec<_> = (1..=100_000u64).map(|n| (n, n - 1, n, 300_000 - n)).collect();
        assert_eq!(Flame::new(&trace(&deep)).lanes.len(), 100_000);
        let wide: Vec<_> = (1..=100_000u64).map(|n| (n, u64::from(n > 1), n, 300_000)).collect();
        assert_eq!(Flame::new(&trace(&wide)).lanes.len(), 100_000);
        let in_turn: Vec<_> = (1..=100_000u64).map(|n| (n, u64::from(n > 1), 10 * n, 10 * n + 9)).collect();
        assert_eq!(Flame::new(&trace(&in_turn)).lanes.len(), 2);
    }

    proptest! {
        #[test]
        fn fl1_no_two_of_a_lane_overlap(spans in proptest::collection::vec((0u64..14, 0u64..90, 0u64..60), 1..24)) {
            let spans: Vec<_> = spans.iter().enumerate()
                .map(|(at, (parent, start, length))| (at as u64 + 1, parent.min(&(at as u64)).to_owned(), *start, start + length))
                .collect();
            let trace = trace(&spans);
            let flame = Flame::new(&trace);
            for (row, one) in trace.rows.iter().enumerate() {
                if let Some(parent) = one.parent {
                    prop_assert!(flame.lane_of[row] > flame.lane_of[parent]);
                }
            }
            for lane in &flame.lanes {
                for pair in lane.windows(2) {
                    prop_assert!(trace.rows[pair[0]].end() <= trace.rows[pair[1]].start, "{:?}", flame);
                }
            }
            prop_assert_eq!(flame.lanes.iter().map(Vec::len).sum::<usize>(), trace.rows.len());
        }
    }
}
