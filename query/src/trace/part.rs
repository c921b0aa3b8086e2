//! Which spans of a trace are asked for? Those that a query leaves, and of their ancestors and descendants so many levels.
//!
//! P1  The query sees the whole trace; what is told of it is a part.
//! P2  Who stands above whom is what spans say of their parents. Of spans that share an id each is the parent of those who name it; who
//!     stands above himself is met once.
//!
//! Not here: what a query means (`traceql`), how spans are told (`assemble`).

use crate::column::{Columns, span_id};
use crate::error::Result;
use crate::exec::Control;
use crate::traceql::Within;
use arrow_array::{FixedSizeBinaryArray, RecordBatch};
use arrow_buffer::BooleanBuffer;
use std::collections::HashSet;
use storage::model::SpanId;
use storage::model::schema::column;

/// What a span takes while its trace is looked at: its place in the tree, and pairs of ids.
const SPAN_BYTES: usize = 256;

/// Levels of the tree above or below; all of them where there is no number.
pub(crate) type Levels = Option<usize>;

/// What is asked for of a trace.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// What the spans are that it is about.
    pub(crate) within: Within,
    /// How many levels above them are told, too.
    pub(crate) ancestors: Levels,
    /// How many levels below them.
    pub(crate) descendants: Levels,
}

/// Pairs of ids, from a span to those that stand one level away.
struct Steps(Vec<(SpanId, SpanId)>);

impl Steps {
    fn new(mut pairs: Vec<(SpanId, SpanId)>) -> Self {
        pairs.sort_unstable();
        pairs.dedup();
        Steps(pairs)
    }

    fn from(&self, id: SpanId) -> impl Iterator<Item = SpanId> {
        let start = self.0.partition_point(|(from, _)| *from < id);
        self.0.iter().skip(start).take_while(move |(from, _)| *from == id).map(|(_, to)| *to)
    }

    /// Everybody within so many levels; those begun with only where the way leads back to them.
    fn reached(&self, begin: &[SpanId], levels: Levels) -> HashSet<SpanId> {
        let (mut reached, mut level, mut depth) = (HashSet::new(), begin.to_vec(), 0);
        while !level.is_empty() && levels.is_none_or(|most| depth < most) {
            let next = level.iter().flat_map(|id| self.from(*id)).filter(|id| reached.insert(*id)).collect();
            level = next;
            depth += 1;
        }
        reached
    }
}

impl Part {
    /// The rows that are told of a trace, whose spans some batches hold whole and in all columns.
    pub(super) fn of(&self, control: &Control, batches: &[RecordBatch]) -> Result<Vec<BooleanBuffer>> {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let _held = control.hold(rows.saturating_mul(SPAN_BYTES))?;
        let left = self.within.left(control, batches)?;
        control.check()?;
        if self.ancestors == Some(0) && self.descendants == Some(0) {
            return Ok(left);
        }
        let ids: Vec<Ids<'_>> = batches.iter().map(Ids::new).collect::<Result<_>>()?;
        let pairs = |turn: fn(SpanId, SpanId) -> (SpanId, SpanId)| {
            let all = ids.iter().flat_map(|ids| (0..ids.rows).filter_map(|row| ids.pair(row)));
            Steps::new(all.map(|(own, parent)| turn(own, parent)).collect())
        };
        let begin: Vec<SpanId> =
            ids.iter().zip(&left).flat_map(|(ids, left)| left.set_indices().filter_map(|row| ids.own(row))).collect();
        let mut told = pairs(|own, parent| (own, parent)).reached(&begin, self.ancestors);
        told.extend(pairs(|own, parent| (parent, own)).reached(&begin, self.descendants));
        control.check()?;
        let with = |(ids, left): (&Ids<'_>, &BooleanBuffer)| {
            BooleanBuffer::collect_bool(left.len(), |row| {
                left.value(row) || ids.own(row).is_some_and(|id| told.contains(&id))
            })
        };
        Ok(ids.iter().zip(&left).map(with).collect())
    }
}

/// The ids of the spans of a batch.
struct Ids<'a> {
    rows: usize,
    own: &'a FixedSizeBinaryArray,
    parent: &'a FixedSizeBinaryArray,
}

impl<'a> Ids<'a> {
    fn new(batch: &'a RecordBatch) -> Result<Self> {
        let columns = Columns(batch);
        Ok(Ids {
            rows: columns.rows(),
            own: columns.fixed(column::SPAN_ID)?,
            parent: columns.fixed(column::PARENT_SPAN_ID)?,
        })
    }

    fn own(&self, row: usize) -> Option<SpanId> {
        span_id(self.own, row)
    }

    fn pair(&self, row: usize) -> Option<(SpanId, SpanId)> {
        Some((self.own(row)?, span_id(self.parent, row)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, NOW, TestSpan, span_id, spans, trace};
    use crate::trace::part_by_id;

    /// 1 calls 2 and 3; 2 calls 4, which calls 5; 6 names a parent that is not there; 7 and 8 call each other.
    fn sample() -> Vec<TestSpan> {
        let parents = [(1, None), (2, Some(1)), (3, Some(1)), (4, Some(2)), (5, Some(4)), (6, Some(99))];
        let parents = parents.into_iter().chain([(7, Some(8)), (8, Some(7))]);
        let name = |id| ["one", "two", "three", "four", "five", "six", "seven", "eight"][id as usize - 1];
        parents.map(|(id, parent)| TestSpan { id, parent, name: name(id), start: NOW, ..TestSpan::default() }).collect()
    }

    async fn check(query: &str, ancestors: Levels, descendants: Levels, expected: &[u64]) {
        let fixture = Fixture::new();
        let mut list = sample();
        fixture.put(spans(&list.split_off(4))).await;
        fixture.flush().await;
        fixture.put(spans(&list)).await;
        let within = crate::traceql::parse(query).unwrap().within().unwrap();
        let part = Part { within, ancestors, descendants };
        let (data, is_whole) = fixture.run(move |control| part_by_id(control, trace(1), Some(&part))).await.unwrap();
        let scopes = data.resource_spans.iter().flat_map(|part| &part.scope_spans);
        let mut told: Vec<String> = scopes.flat_map(|part| &part.spans).map(|span| span.span_id.clone()).collect();
        told.sort();
        let expected: Vec<String> = expected.iter().map(|id| span_id(*id).to_string()).collect();
        assert_eq!(told, expected, "{query} {ancestors:?} {descendants:?}");
        assert_eq!(is_whole, expected.len() == 8, "{query}");
    }

    #[tokio::test]
    async fn p1_what_a_query_leaves_is_told_with_its_kin() {
        check("{ name = `four` }", Some(0), Some(0), &[4]).await;
        check("{ name = `four` }", Some(1), Some(0), &[2, 4]).await;
        check("{ name = `four` }", None, Some(0), &[1, 2, 4]).await;
        check("{ name = `two` }", Some(0), Some(1), &[2, 4]).await;
        check("{ name = `two` }", None, None, &[1, 2, 4, 5]).await;
        check("{ name = `six` }", None, None, &[6]).await;
        check("{ name = `one` } >> { name =~ `f.*` }", Some(0), Some(0), &[4, 5]).await;
        check("{ name = `nobody` }", None, None, &[]).await;
        check("{ }", Some(0), Some(0), &[1, 2, 3, 4, 5, 6, 7, 8]).await;
    }

    #[tokio::test]
    async fn p2_who_stands_above_himself_is_met_once() {
        check("{ name = `seven` }", None, None, &[7, 8]).await;
    }
}
