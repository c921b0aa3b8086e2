//! Which traces come first? The best `keep` distinct traces of a stream of matching spans, in bounded memory.
//!
//! K1  The answer is that of sorting all traces by (key, trace id), where a trace's key is that of its best span after
//!     `after`; it does not depend on the order of the stream.
//! K2  Never more than `keep` traces are held. A trace that was pushed out can come back only by a better span, so its
//!     key is right even so.

use query_api::trace::Order;
use std::collections::{BTreeSet, HashMap};
use storage::model::TraceId;

/// A trace's place in a list: smaller comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position {
    /// The key, turned around where larger keys come first.
    rank: i64,
    /// Breaks ties.
    pub(crate) trace: TraceId,
}

impl Position {
    /// The place of a trace whose key is a start, a duration or a count.
    pub(crate) fn new(order: Order, key: i64, trace: TraceId) -> Self {
        Position { rank: turn(order, key), trace }
    }

    /// The start, duration or count.
    pub(crate) fn key(self, order: Order) -> i64 {
        turn(order, self.rank)
    }
}

/// Reverses the order of all i64 without overflow, where larger comes first; its own inverse.
fn turn(order: Order, key: i64) -> i64 {
    match order {
        Order::Newest | Order::Longest | Order::MostSpans | Order::MostErrors => !key,
        Order::Oldest => key,
    }
}

/// The best traces so far.
#[derive(Debug)]
pub(crate) struct Top {
    order: Order,
    keep: usize,
    after: Option<Position>,
    sorted: BTreeSet<Position>,
    ranks: HashMap<TraceId, i64>,
}

impl Top {
    /// Keeps the first `keep` traces after a place.
    pub(crate) fn new(order: Order, keep: usize, after: Option<Position>) -> Self {
        Top { order, keep, after, sorted: BTreeSet::new(), ranks: HashMap::new() }
    }

    /// Takes a matching span's key.
    pub(crate) fn offer(&mut self, key: i64, trace: TraceId) {
        let position = Position::new(self.order, key, trace);
        let too_late = self.is_full() && self.last().is_some_and(|last| position >= last);
        if too_late || self.after.is_some_and(|after| position <= after) {
            return;
        }
        if let Some(rank) = self.ranks.get_mut(&trace) {
            if position.rank < *rank {
                self.sorted.remove(&Position { rank: *rank, trace });
                *rank = position.rank;
                self.sorted.insert(position);
            }
            return;
        }
        self.ranks.insert(trace, position.rank);
        self.sorted.insert(position);
        if self.sorted.len() > self.keep
            && let Some(last) = self.sorted.pop_last()
        {
            self.ranks.remove(&last.trace);
        }
    }

    /// The key that a span must reach to be of use, once `keep` traces are held.
    pub(crate) fn bound(&self) -> Option<i64> {
        self.last().filter(|_| self.is_full()).map(|last| last.key(self.order))
    }

    /// The last of the traces.
    pub(crate) fn last(&self) -> Option<Position> {
        self.sorted.last().copied()
    }

    /// The traces, first one first.
    pub(crate) fn into_sorted(self) -> impl Iterator<Item = Position> {
        self.sorted.into_iter()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.sorted.len()
    }

    fn is_full(&self) -> bool {
        self.sorted.len() >= self.keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::any_order;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn id(number: u8) -> TraceId {
        TraceId([number.max(1); 16])
    }

    /// Sorts everything, as K1 says.
    fn oracle(order: Order, keep: usize, after: Option<Position>, spans: &[(i64, u8)]) -> Vec<Position> {
        let mut best: BTreeMap<TraceId, Position> = BTreeMap::new();
        for (key, trace) in spans {
            let position = Position::new(order, *key, id(*trace));
            if after.is_none_or(|after| position > after) {
                best.entry(position.trace).and_modify(|old| *old = position.min(*old)).or_insert(position);
            }
        }
        let mut all: Vec<Position> = best.into_values().collect();
        all.sort();
        all.truncate(keep);
        all
    }

    proptest! {
        #[test]
        fn k1_top_is_what_sorting_everything_gives(
            spans in proptest::collection::vec((prop_oneof![-3i64..3, any::<i64>()], 0u8..12), 0..80),
            order in any_order(),
            keep in 1usize..8,
            after in proptest::option::of((-3i64..3, 0u8..12)),
        ) {
            let after = after.map(|(key, trace)| Position::new(order, key, id(trace)));
            let mut top = Top::new(order, keep, after);
            for (key, trace) in &spans {
                top.offer(*key, id(*trace));
                prop_assert!(top.len() <= keep);
                prop_assert_eq!(top.ranks.len(), top.len());
            }
            prop_assert_eq!(top.into_sorted().collect::<Vec<_>>(), oracle(order, keep, after, &spans));
        }
    }
}
