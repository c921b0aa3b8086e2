//! Where does each span stand in a flame graph? Below its parent, at its time, and beside what runs at the same time.
//!
//! FL1  Spans of one lane do not overlap, and a child's lane is below that of its parent.
//! FL2  A subtree is a block: nothing of another stands between its spans while it runs.
//! FL3  An answer grows with lanes and pixels, not with spans: of a lane, what is shorter than a few pixels becomes one bar with
//!      what stands next to it. A failed span is never passed over: its bar says so.

use super::{MARKS, Outline, path};
use crate::error::Result;
use crate::exec::Control;
use query_api::outline::{LaneBar, LanesResponse};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Pixels below which a span is drawn together with its neighbours.
const SHORT: i64 = 3;

/// A trace laid in lanes.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// The lane of each row.
    pub(super) lane_of: Vec<usize>,
    /// The rows of each lane, by start.
    pub(super) rows: Vec<Vec<usize>>,
}

/// Which part of the flame graph is asked for. Times are nanoseconds after the start of the trace.
#[derive(Debug, Clone, Default)]
pub(crate) struct LanesQuery {
    pub(crate) from: i64,
    /// The end of the trace unless given.
    pub(crate) to: Option<i64>,
    /// Pixels that it will have.
    pub(crate) width: usize,
    pub(crate) offset: usize,
    pub(crate) limit: usize,
    /// A row whose lane is to be told.
    pub(crate) row: Option<usize>,
}

/// A subtree while it is laid: when it runs, and how many lanes it takes.
#[derive(Debug, Clone, Copy)]
struct Block {
    start: i64,
    end: i64,
    height: usize,
}

impl Outline {
    /// A part of the flame graph.
    pub(crate) fn flame(&self, control: &Control, query: &LanesQuery) -> Result<LanesResponse> {
        control.check()?;
        let lanes = self.lanes.get_or_init(|| Lanes::new(self));
        control.check()?;
        let to = query.to.unwrap_or(self.duration).max(query.from.saturating_add(1));
        let pixel = (to.saturating_sub(query.from) / i64::try_from(query.width).unwrap_or(i64::MAX).max(1)).max(1);
        let mut bars = Vec::new();
        for (lane, rows) in lanes.rows.iter().enumerate().skip(query.offset).take(query.limit) {
            let before = bars.len();
            self.bars(lane, rows, (query.from, to), pixel, &mut bars);
            control.charge((bars.len() - before) * 2 * size_of::<LaneBar>())?;
            control.check()?;
        }
        Ok(LanesResponse {
            version: self.version.clone(),
            lane_count: lanes.rows.len(),
            lane: query.row.and_then(|row| lanes.lane_of.get(row).copied()),
            bars,
            stats: control.stats(),
        })
    }

    /// What of a lane lies in a time.
    fn bars(&self, lane: usize, rows: &[usize], (from, to): (i64, i64), pixel: i64, bars: &mut Vec<LaneBar>) {
        let first = bars.len();
        let begin = rows.partition_point(|at| self.rows.get(*at).is_some_and(|row| row.end() < from));
        for at in rows.iter().skip(begin) {
            let Some(row) = self.rows.get(*at).filter(|row| row.start <= to) else { break };
            let is_short = row.duration < SHORT.saturating_mul(pixel);
            let last = bars.get_mut(first..).and_then(<[LaneBar]>::last_mut);
            if let Some(last) = last.filter(|last| {
                let short = last.span_count > 1 || last.end_nano - last.start_nano < SHORT.saturating_mul(pixel);
                is_short && short && row.start - last.end_nano <= pixel
            }) {
                last.span_count += 1;
                last.failed |= row.is_error();
                last.end_nano = last.end_nano.max(row.end());
                (last.name, last.gaps) = (None, Vec::new());
                extend(&mut last.critical, path::of_row(&self.path, *at), pixel);
                continue;
            }
            let mut critical = Vec::new();
            extend(&mut critical, path::of_row(&self.path, *at), pixel);
            bars.push(LaneBar {
                lane,
                row: *at,
                span_id: row.id.to_string(),
                span_count: 1,
                service: row.service,
                name: Some(self.name_of(row).to_owned()),
                failed: row.is_error(),
                start_nano: row.start,
                end_nano: row.end(),
                gaps: if is_short { Vec::new() } else { self.gaps(*at).take(MARKS).collect() },
                critical,
            });
        }
    }
}

/// Adds a row's stretches of the critical path; those within a pixel are one.
fn extend(critical: &mut Vec<[i64; 2]>, sections: &[path::Section], pixel: i64) {
    for section in sections.iter().rev() {
        let room = critical.len() < MARKS;
        match critical.last_mut() {
            Some(last) if section.start - last[1] <= pixel => last[1] = last[1].max(section.end),
            _ if room => critical.push([section.start, section.end]),
            _ => return,
        }
    }
}

impl Lanes {
    pub(super) fn new(outline: &Outline) -> Lanes {
        let (offsets, tops) = offsets(outline);
        let mut lane_of: Vec<usize> = Vec::with_capacity(outline.rows.len());
        for (at, row) in outline.rows.iter().enumerate() {
            lane_of.push(row.parent.map_or(tops[at], |parent| lane_of[parent] + offsets[at]));
        }
        let mut rows = vec![Vec::new(); lane_of.iter().max().map_or(0, |last| last + 1)];
        let mut by_start: Vec<usize> = (0..lane_of.len()).collect();
        by_start.sort_by_key(|at| outline.rows[*at].start);
        for at in by_start {
            rows[lane_of[at]].push(at);
        }
        Lanes { lane_of, rows }
    }
}

/// How many lanes each row is below its parent; and for those without one, below the top.
fn offsets(outline: &Outline) -> (Vec<usize>, Vec<usize>) {
    let own = |row: &super::Row| Block { start: row.start, end: row.end().max(row.start + 1), height: 1 };
    let mut blocks: Vec<Block> = outline.rows.iter().map(own).collect();
    let mut offsets = vec![0; blocks.len()];
    let mut children = Vec::new();
    // Children stand behind their parents: from the last to the first, a row's subtree is done before the row is.
    for at in (0..blocks.len()).rev() {
        children.clear();
        children.extend(outline.children(at));
        let height = stack(&blocks, &mut children, &mut offsets);
        for child in &children {
            offsets[*child] += 1;
            blocks[at].start = blocks[at].start.min(blocks[*child].start);
            blocks[at].end = blocks[at].end.max(blocks[*child].end);
        }
        blocks[at].height += height;
    }
    let mut roots: Vec<usize> = (0..blocks.len()).filter(|at| outline.rows[*at].parent.is_none()).collect();
    let mut tops = vec![0; blocks.len()];
    stack(&blocks, &mut roots, &mut tops);
    (offsets, tops)
}

/// Lays blocks on shelves, each on the uppermost that is free when it begins; tells how many lanes all shelves take.
fn stack(blocks: &[Block], rows: &mut [usize], offsets: &mut [usize]) -> usize {
    let mut busy: BinaryHeap<Reverse<(i64, usize)>> = BinaryHeap::new();
    let mut free: BinaryHeap<Reverse<usize>> = BinaryHeap::new();
    let mut heights: Vec<usize> = Vec::new();
    let mut shelf_of = Vec::with_capacity(rows.len());
    rows.sort_by_key(|at| blocks[*at].start);
    for at in rows.iter().copied() {
        let block = blocks[at];
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
        shelf_of.push((at, shelf));
    }
    let mut tops = Vec::with_capacity(heights.len());
    let mut all = 0;
    for height in heights {
        tops.push(all);
        all += height;
    }
    for (at, shelf) in shelf_of {
        offsets[at] = tops[shelf];
    }
    all
}
