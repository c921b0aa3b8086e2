//! Who stands above, below and beside some spans? Asked of all traces of a row group at once.
//!
//! A span is marked or not, a bit per row, and so is the answer. Spans stand for each other by their rows.
//!
//! L1  The answers are those that the numbers of the module above give: parents are theirs, cycles are broken where theirs are, and
//!     siblings have the same parent.
//! L2  One pass over the rows per question, whatever the depth: parents stand before their children, but in the traces that are
//!     *tangled*, whose rows are passed once more, in the order of their numbers.
//! L3  Of traces that nobody wants to know, and of those that are *apart* (they are not whole here), no span has a parent.
//!
//! Not here: how rows and parents are stored (`block::lineage`).

use super::{MOST_SPANS, Named, Nested, Numbering, Parent, TreeSpan, parents};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use std::ops::Range;

/// No parent, while a lineage is made.
const NOBODY: u32 = u32::MAX;

/// The parents of the spans of a row group.
#[derive(Debug, Clone)]
pub struct Lineage {
    rows: usize,
    /// The rows of each trace that is whole here, ascending.
    traces: Vec<Range<usize>>,
    /// By row; a span without parent has the number of rows, of which every list below has one more.
    parents: Vec<u32>,
    /// Rows of traces in which a child stands before its parent, parents first.
    tangled: Vec<u32>,
    whole: BooleanBuffer,
    apart: BooleanBuffer,
}

/// A lineage in the making.
#[derive(Debug)]
pub(crate) struct LineageBuilder {
    rows: usize,
    traces: Vec<Range<usize>>,
    apart: Vec<Range<usize>>,
    parents: Vec<u32>,
    tangled: Vec<u32>,
    numbering: Numbering,
    up: Vec<Parent>,
    numbers: Vec<Option<Nested>>,
}

impl LineageBuilder {
    /// Of a row group with so many rows; fewer than 2^32.
    pub(crate) fn new(rows: usize) -> Self {
        LineageBuilder {
            rows,
            traces: Vec::new(),
            apart: Vec::new(),
            parents: vec![NOBODY; rows],
            tangled: Vec::new(),
            numbering: Numbering::default(),
            up: Vec::new(),
            numbers: Vec::new(),
        }
    }

    /// Makes place for more rows. Who has no parent is known by the number of rows, which is set right in the end.
    fn grow(&mut self, rows: usize) {
        self.rows += rows;
        self.parents.resize(self.rows, NOBODY);
    }

    /// Adds a trace that is not whole here. Traces come in ascending order.
    pub(crate) fn add_apart(&mut self, rows: Range<usize>) {
        self.apart.push(rows);
    }

    /// Adds a whole trace by the distances of its rows from their parents' (0: none; positive: the parent stands before), of
    /// which the first is that of the trace's first row. Traces come in ascending order. `None` where a parent is not in the trace.
    pub(crate) fn add(&mut self, rows: Range<usize>, distances: &[i32]) -> Option<()> {
        let mut is_tangled = false;
        for (row, &distance) in rows.clone().zip(distances) {
            if distance == 0 {
                continue;
            }
            let away = distance.unsigned_abs() as usize;
            let parent = if distance > 0 { row.checked_sub(away)? } else { row.checked_add(away)? };
            if !rows.contains(&parent) {
                return None;
            }
            is_tangled |= distance < 0;
            *self.parents.get_mut(row)? = number(parent);
        }
        if is_tangled {
            self.untangle(&rows)?;
        }
        self.traces.push(rows);
        Some(())
    }

    fn untangle(&mut self, rows: &Range<usize>) -> Option<()> {
        let parents = self.parents.get_mut(rows.clone())?;
        self.up.clear();
        self.up.extend(parents.iter().map(|&parent| match parent {
            NOBODY => Parent::None,
            parent => Parent::At(parent as usize - rows.start),
        }));
        self.numbers.clear();
        self.numbering.number(&self.up, &mut self.numbers);
        let mut order = Vec::with_capacity(rows.len());
        for ((row, parent), numbers) in rows.clone().zip(parents).zip(&self.numbers) {
            let numbers = (*numbers)?;
            // Where a cycle was broken there is no parent any more.
            if numbers.parent <= 0 {
                *parent = NOBODY;
            }
            order.push((numbers.left, number(row)));
        }
        order.sort_unstable();
        self.tangled.extend(order.into_iter().map(|(_, row)| row));
        Some(())
    }

    pub(crate) fn finish(mut self) -> Lineage {
        let nobody = number(self.rows);
        // Nobody is the greatest number of all.
        self.parents.iter_mut().for_each(|parent| *parent = nobody.min(*parent));
        Lineage {
            rows: self.rows,
            whole: mask_of(self.rows, &self.traces),
            apart: mask_of(self.rows, &self.apart),
            traces: self.traces,
            parents: self.parents,
            tangled: self.tangled,
        }
    }
}

/// How far before a place another one is.
fn distance(place: usize, other: usize) -> i32 {
    let away = i32::try_from(place.abs_diff(other)).unwrap_or(0);
    if other < place { away } else { -away }
}

/// A row's number; there are fewer rows than 2^32.
fn number(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX)
}

fn mask_of(rows: usize, ranges: &[Range<usize>]) -> BooleanBuffer {
    let mut mask = BooleanBufferBuilder::new(rows);
    for range in ranges {
        mask.append_n(range.start.saturating_sub(mask.len()), false);
        mask.append_n(range.end.saturating_sub(mask.len()), true);
    }
    mask.append_n(rows.saturating_sub(mask.len()), false);
    mask.finish()
}

impl Lineage {
    /// Of traces one behind the other, all spans of each, which stand by start, then id. A trace of more than
    /// [`MOST_SPANS`] spans has no parents. There are fewer than 2^32 spans.
    pub fn of<'s>(traces: impl IntoIterator<Item = &'s [TreeSpan]>) -> Lineage {
        let mut builder = LineageBuilder::new(0);
        let (mut named, mut found) = (Vec::new(), Vec::new());
        let (mut distances, mut first) = (Vec::new(), 0);
        for spans in traces {
            named.clear();
            named.extend(spans.iter().map(Named::of));
            found.clear();
            parents(&named, &mut found);
            distances.clear();
            distances.extend((0..).zip(&found).map(|(place, parent)| match parent {
                Parent::At(parent) if spans.len() <= MOST_SPANS => distance(place, *parent),
                _ => 0,
            }));
            builder.grow(spans.len());
            // Parents are places of the same trace.
            let added = builder.add(first..first + spans.len(), &distances);
            debug_assert!(added.is_some());
            first += spans.len();
        }
        builder.finish()
    }

    /// The rows of traces that are whole here.
    pub fn whole(&self) -> &BooleanBuffer {
        &self.whole
    }

    /// The rows of traces that were asked for and are not whole here.
    pub fn apart(&self) -> &BooleanBuffer {
        &self.apart
    }

    /// Spans that have a marked one above them.
    pub fn descendants_of(&self, marked: &BooleanBuffer) -> BooleanBuffer {
        let marked = self.marks(marked);
        let mut found = vec![0u8; self.rows + 1];
        for (row, &parent) in self.parents.iter().enumerate() {
            found[row] = marked[parent as usize] | found[parent as usize];
        }
        for &row in &self.tangled {
            let parent = self.parents[row as usize] as usize;
            found[row as usize] = marked[parent] | found[parent];
        }
        self.answer(&found)
    }

    /// Spans that have a marked one below them.
    pub fn ancestors_of(&self, marked: &BooleanBuffer) -> BooleanBuffer {
        let marked = self.marks(marked);
        let mut found = vec![0u8; self.rows + 1];
        for (row, &parent) in self.parents.iter().enumerate().rev() {
            found[parent as usize] |= marked[row] | found[row];
        }
        for &row in self.tangled.iter().rev() {
            let row = row as usize;
            found[self.parents[row] as usize] |= marked[row] | found[row];
        }
        self.answer(&found)
    }

    /// Spans whose parent is marked.
    pub fn children_of(&self, marked: &BooleanBuffer) -> BooleanBuffer {
        let marked = self.marks(marked);
        BooleanBuffer::collect_bool(self.rows, |row| marked[self.parents[row] as usize] != 0)
    }

    /// Spans of which a child is marked.
    pub fn parents_of(&self, marked: &BooleanBuffer) -> BooleanBuffer {
        let mut found = vec![0u8; self.rows + 1];
        for row in self.told(marked) {
            found[self.parents[row] as usize] = 1;
        }
        self.answer(&found)
    }

    /// Spans that have a marked sibling, themselves left out.
    pub fn siblings_of(&self, marked: &BooleanBuffer) -> BooleanBuffer {
        let mut children = vec![0u32; self.rows + 1];
        for row in self.told(marked) {
            children[self.parents[row] as usize] += 1;
        }
        let marked = self.marks(marked);
        BooleanBuffer::collect_bool(self.rows, |row| {
            let parent = self.parents[row] as usize;
            parent < self.rows && children[parent] > u32::from(marked[row])
        })
    }

    /// The spans of two marks, in those traces that have spans of each.
    pub fn of_both(&self, left: &BooleanBuffer, right: &BooleanBuffer) -> BooleanBuffer {
        let has =
            |marked: &BooleanBuffer, rows: &Range<usize>| marked.slice(rows.start, rows.len()).count_set_bits() > 0;
        let traces = self.traces.iter().filter(|rows| has(left, rows) && has(right, rows)).cloned();
        let traces = mask_of(self.rows, &traces.collect::<Vec<_>>());
        &(left | right) & &traces
    }

    fn told<'m>(&self, marked: &'m BooleanBuffer) -> impl Iterator<Item = usize> + use<'m> {
        let rows = self.rows;
        marked.set_indices().take_while(move |row| *row < rows)
    }

    /// A byte per row, and one for who is nobody.
    fn marks(&self, marked: &BooleanBuffer) -> Vec<u8> {
        let mut marks = vec![0u8; self.rows + 1];
        self.told(marked).for_each(|row| marks[row] = 1);
        marks
    }

    fn answer(&self, found: &[u8]) -> BooleanBuffer {
        BooleanBuffer::collect_bool(self.rows, |row| found[row] != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{TreeSpan, nest};
    use super::*;
    use crate::model::SpanId;
    use proptest::prelude::*;

    /// The lineage of traces of so many spans each, by the places of their parents in them.
    fn lineage(traces: &[Vec<Option<usize>>]) -> Lineage {
        let rows = traces.iter().map(Vec::len).sum();
        let mut builder = LineageBuilder::new(rows);
        let mut first = 0;
        for parents in traces {
            let distances: Vec<i32> =
                (0i32..).zip(parents).map(|(row, parent)| parent.map_or(0, |parent| row - parent as i32)).collect();
            builder.add(first..first + parents.len(), &distances).unwrap();
            first += parents.len();
        }
        builder.finish()
    }

    /// Parents by place, of which a span may name a later one and be in a cycle, but not itself.
    fn any_trace() -> impl Strategy<Value = Vec<Option<usize>>> {
        proptest::collection::vec(proptest::option::weighted(0.8, 0usize..9), 1..9).prop_map(|parents| {
            let len = parents.len();
            parents
                .into_iter()
                .enumerate()
                .map(|(row, parent)| parent.filter(|parent| *parent < len && *parent != row))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn l1_answers_are_those_of_the_numbers(
            traces in proptest::collection::vec(any_trace(), 1..5), marks in proptest::collection::vec(any::<bool>(), 40),
        ) {
            let lineage = lineage(&traces);
            let rows = lineage.rows;
            let marked = BooleanBuffer::from(marks[..rows].to_vec());
            let id = |row: usize| SpanId((row as u64 + 1).to_be_bytes());
            // The numbers of each trace, beside the trace's own number.
            let mut numbers = Vec::new();
            for (trace, parents) in traces.iter().enumerate() {
                let spans: Vec<TreeSpan> = parents.iter().enumerate().map(|(row, parent)| TreeSpan {
                    id: id(row), parent: parent.map(id), start: row as i64, kind: 0,
                }).collect();
                numbers.extend(nest(&spans).into_iter().map(|numbers| (trace, numbers.unwrap())));
            }
            let some = |test: &dyn Fn(usize, usize) -> bool| -> Vec<bool> {
                (0..rows).map(|row| (0..rows).any(|other| {
                    marked.value(other) && numbers[other].0 == numbers[row].0 && test(row, other)
                })).collect()
            };
            let within = |inner: usize, outer: usize| {
                numbers[outer].1.left < numbers[inner].1.left && numbers[inner].1.right < numbers[outer].1.right
            };
            let is_parent = |parent: usize, child: usize| numbers[child].1.parent == numbers[parent].1.left;
            let answered = |mask: BooleanBuffer| mask.iter().collect::<Vec<bool>>();
            let spans: Vec<Vec<TreeSpan>> = traces.iter().map(|parents| parents.iter().enumerate().map(|(row, parent)| TreeSpan {
                id: id(row), parent: parent.map(id), start: row as i64, kind: 0,
            }).collect()).collect();
            let by_ids = Lineage::of(spans.iter().map(Vec::as_slice));
            prop_assert_eq!(&by_ids.parents, &lineage.parents);
            prop_assert_eq!(&by_ids.tangled, &lineage.tangled);
            prop_assert_eq!(answered(lineage.descendants_of(&marked)), some(&|row, other| within(row, other)));
            prop_assert_eq!(answered(lineage.ancestors_of(&marked)), some(&|row, other| within(other, row)));
            prop_assert_eq!(answered(lineage.children_of(&marked)), some(&|row, other| is_parent(other, row)));
            prop_assert_eq!(answered(lineage.parents_of(&marked)), some(&|row, other| is_parent(row, other)));
            prop_assert_eq!(answered(lineage.siblings_of(&marked)), some(&|row, other| {
                row != other && numbers[row].1.parent > 0 && numbers[row].1.parent == numbers[other].1.parent
            }));
        }
    }

    #[test]
    fn l2_a_trace_of_sixty_thousand_levels_is_passed_without_recursion() {
        let deep: Vec<Option<usize>> = (0..60_000usize).map(|row| row.checked_sub(1)).collect();
        let upside_down: Vec<Option<usize>> = (1..=60_000).map(|row| Some(row).filter(|row| *row < 60_000)).collect();
        let lineage = lineage(&[deep, upside_down]);
        let ends = BooleanBuffer::collect_bool(120_000, |row| row == 0 || row == 119_999);
        assert_eq!(lineage.descendants_of(&ends).count_set_bits(), 2 * 59_999);
        let ends = BooleanBuffer::collect_bool(120_000, |row| row == 59_999 || row == 60_000);
        assert_eq!(lineage.ancestors_of(&ends).count_set_bits(), 2 * 59_999);
    }

    #[test]
    fn l3_a_parent_outside_the_trace_is_refused() {
        for distances in [[0, 2], [0, -1], [i32::MIN, 0], [i32::MAX, 0]] {
            assert_eq!(LineageBuilder::new(10).add(4..6, &distances), None, "{distances:?}");
        }
        let mut builder = LineageBuilder::new(6);
        builder.add_apart(0..2);
        builder.add(4..6, &[0, 1]).unwrap();
        let lineage = builder.finish();
        let rows = |mask: &BooleanBuffer| mask.set_indices().collect::<Vec<_>>();
        assert_eq!((rows(lineage.apart()), rows(lineage.whole())), (vec![0, 1], vec![4, 5]));
        let all = BooleanBuffer::new_set(6);
        assert_eq!(rows(&lineage.descendants_of(&all)), [5]);
        assert_eq!(rows(&lineage.of_both(&all, &BooleanBuffer::collect_bool(6, |row| row == 4))), [4, 5]);
    }
}
