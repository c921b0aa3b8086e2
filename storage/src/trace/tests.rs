//! The numbers are those of a tree that is built and walked the slow way.

use super::*;
use crate::model::schema::{self, column as name};
use arrow_array::{Array, FixedSizeBinaryArray, Int32Array, RecordBatch, TimestampNanosecondArray};
use proptest::prelude::*;
use std::sync::Arc;

fn id(number: u8) -> SpanId {
    SpanId([0, 0, 0, 0, 0, 0, 0, number])
}

/// A span: id, parent (0 for none), start.
fn span(number: u8, parent: u8, start: i64) -> TreeSpan {
    TreeSpan { id: id(number), parent: (parent > 0).then(|| id(parent)), start, kind: 1 }
}

/// Left, right, parent's number and children of each.
fn check(spans: &[TreeSpan], expected: &[[i32; 4]]) {
    let found: Vec<[i32; 4]> = nest(spans)
        .into_iter()
        .map(|nested| nested.map(|n| [n.left, n.right, n.parent, n.children]).unwrap())
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_tree_is_numbered_in_the_order_of_its_walk() {
    let spans = [span(1, 0, 10), span(3, 1, 30), span(2, 1, 20), span(4, 2, 25)];
    check(&spans, &[[1, 8, -1, 2], [6, 7, 1, 0], [2, 5, 1, 1], [3, 4, 2, 0]]);
}

#[test]
fn a_child_that_started_before_its_parent_is_its_child() {
    check(&[span(2, 1, 5), span(1, 0, 10)], &[[2, 3, 1, 0], [1, 4, -1, 1]]);
}

#[test]
fn two_roots_are_two_trees_one_behind_the_other() {
    check(&[span(1, 0, 20), span(2, 0, 10), span(3, 1, 30)], &[[3, 6, -1, 1], [1, 2, -1, 0], [4, 5, 3, 0]]);
}

#[test]
fn a_span_whose_parent_is_missing_is_a_root_that_has_a_parent() {
    check(&[span(1, 0, 10), span(2, 9, 20), span(3, 2, 30)], &[[1, 2, -1, 0], [3, 6, 0, 1], [4, 5, 3, 0]]);
}

#[test]
fn a_span_that_is_its_own_parent_is_a_root_that_has_a_parent() {
    check(&[span(1, 1, 10), span(2, 1, 20)], &[[1, 4, 0, 1], [2, 3, 1, 0]]);
}

#[test]
fn a_cycle_is_broken_at_its_first_span() {
    // 2 is the earliest of 1, 2 and 3; the children of 3 are 4 and 1, by start.
    let spans = [span(1, 3, 30), span(2, 1, 10), span(3, 2, 20), span(4, 3, 5)];
    check(&spans, &[[5, 6, 2, 0], [1, 8, 0, 1], [2, 7, 1, 2], [3, 4, 2, 0]]);
    check(&[span(7, 8, 10), span(8, 7, 10)], &[[1, 4, 0, 1], [2, 3, 1, 0]]);
}

#[test]
fn the_two_sides_of_a_call_may_share_an_id() {
    // 1 calls: the client's span 2 and the server's span 2, which names itself; 3 is the server's.
    let (client, server) = (TreeSpan { kind: 3, ..span(2, 1, 20) }, TreeSpan { kind: 2, ..span(2, 2, 21) });
    let spans = [span(1, 0, 10), server, client, span(3, 2, 25)];
    check(&spans, &[[1, 8, -1, 1], [3, 6, 2, 1], [2, 7, 1, 1], [4, 5, 3, 0]]);
}

#[test]
fn of_spans_with_one_id_the_first_has_the_children() {
    let spans = [span(2, 1, 20), span(2, 1, 30), span(1, 0, 10), span(3, 2, 40)];
    check(&spans, &[[2, 5, 1, 1], [6, 7, 1, 0], [1, 8, -1, 2], [3, 4, 2, 0]]);
}

#[test]
fn a_trace_of_a_hundred_thousand_levels_is_numbered() {
    let deep: Vec<TreeSpan> = (0..100_000u64)
        .map(|level| TreeSpan {
            id: SpanId((level + 1).to_be_bytes()),
            parent: (level > 0).then(|| SpanId(level.to_be_bytes())),
            start: 0,
            kind: 1,
        })
        .collect();
    for (level, nested) in (0..100_000i32).zip(nest(&deep)) {
        let parent = if level == 0 { -1 } else { level };
        let expected = Nested { left: level + 1, right: 200_000 - level, parent, children: i32::from(level < 99_999) };
        assert_eq!(nested, Some(expected));
    }
    let cycle: Vec<TreeSpan> = deep
        .iter()
        .map(|span| TreeSpan { parent: span.parent.or(Some(SpanId(100_000u64.to_be_bytes()))), ..*span })
        .collect();
    let nested = nest(&cycle);
    assert_eq!(nested[0], Some(Nested { left: 1, right: 200_000, parent: 0, children: 1 }));
}

#[test]
fn a_hundred_thousand_spans_of_one_id_cost_no_more() {
    let spans = vec![span(1, 1, 0); 100_000];
    let nested = nest(&spans);
    // The first two are each other's parents, the others the first's children.
    assert_eq!(nested[0], Some(Nested { left: 1, right: 200_000, parent: 0, children: 99_999 }));
    assert_eq!(nested[99_999].unwrap().parent, 1);
}

#[test]
fn a_trace_of_more_spans_than_the_limit_has_no_numbers() {
    let spans = vec![span(1, 0, 0); MOST_SPANS + 1];
    assert!(nest(&spans).iter().all(Option::is_none));
    assert!(nest(&spans[1..]).iter().all(Option::is_some));
}

/// The numbers of N1 to N4 the slow way: parents by looking through all spans, a walk by recursion.
fn slowly(spans: &[TreeSpan]) -> Vec<Nested> {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|&place| (spans[place].start, spans[place].id.0, place));
    let mut parent: Vec<Option<usize>> = vec![None; spans.len()];
    for (place, span) in spans.iter().enumerate() {
        let named: Vec<usize> =
            order.iter().copied().filter(|&other| other != place && Some(spans[other].id) == span.parent).collect();
        let wanted = if span.kind == 2 { 3 } else { 2 };
        let preferred = named.iter().find(|&&other| spans[other].kind == wanted);
        parent[place] = preferred.or(named.first()).copied();
    }
    let above = |parent: &[Option<usize>], place: usize| {
        let mut ancestors = Vec::new();
        let mut next = parent[place];
        while let Some(other) = next.filter(|other| !ancestors.contains(other)) {
            ancestors.push(other);
            next = parent[other];
        }
        ancestors
    };
    for &place in &order {
        // The first of a cycle is met first.
        if above(&parent, place).contains(&place) {
            parent[place] = None;
        }
    }
    let mut nested: Vec<Nested> = spans
        .iter()
        .map(|span| Nested { left: 0, right: 0, parent: -i32::from(span.parent.is_none()), children: 0 })
        .collect();
    let mut bound = 0;
    for &root in order.iter().filter(|&&place| parent[place].is_none()) {
        walk(root, &order, &parent, &mut bound, &mut nested);
    }
    nested
}

fn walk(place: usize, order: &[usize], parent: &[Option<usize>], bound: &mut i32, nested: &mut [Nested]) {
    *bound += 1;
    nested[place].left = *bound;
    for &child in order.iter().filter(|&&other| parent[other] == Some(place)) {
        nested[child].parent = nested[place].left;
        nested[place].children += 1;
        walk(child, order, parent, bound, nested);
    }
    *bound += 1;
    nested[place].right = *bound;
}

fn any_spans() -> impl Strategy<Value = Vec<TreeSpan>> {
    let any_span = |most: u8| {
        (1..most, 0..most, 0..30i64, 1..4i32)
            .prop_map(|(number, parent, start, kind)| TreeSpan { kind, ..span(number, parent, start) })
    };
    prop_oneof![
        proptest::collection::vec(any_span(6), 0..12),
        proptest::collection::vec(any_span(40), 0..80),
        proptest::collection::vec(any_span(200), 0..120),
    ]
}

/// Spans of a trace as columns, in some batches.
fn batches_of(spans: &[TreeSpan], cut: usize) -> Vec<RecordBatch> {
    spans
        .chunks(cut)
        .map(|spans| {
            let traces = (0..spans.len()).map(|_| [7u8; 16]);
            let parents = FixedSizeBinaryArray::try_from_sparse_iter_with_size(
                spans.iter().map(|span| span.parent.map(|parent| parent.0)),
                8,
            );
            let columns: [(&str, Arc<dyn Array>); 5] = [
                (name::TRACE_ID, Arc::new(FixedSizeBinaryArray::try_from_iter(traces).unwrap())),
                (name::SPAN_ID, Arc::new(FixedSizeBinaryArray::try_from_iter(spans.iter().map(|s| s.id.0)).unwrap())),
                (name::PARENT_SPAN_ID, Arc::new(parents.unwrap())),
                (name::START, Arc::new(TimestampNanosecondArray::from_iter_values(spans.iter().map(|s| s.start)))),
                (name::KIND, Arc::new(Int32Array::from_iter_values(spans.iter().map(|s| s.kind)))),
            ];
            RecordBatch::try_from_iter(columns).unwrap()
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn n1_to_n4_the_numbers_are_those_of_the_slow_way(spans in any_spans(), cut in 1usize..50) {
        let nested: Vec<Nested> = nest(&spans).into_iter().map(|nested| nested.unwrap()).collect();
        prop_assert_eq!(&nested, &slowly(&spans));
        let mut bounds: Vec<i32> = nested.iter().flat_map(|nested| [nested.left, nested.right]).collect();
        bounds.sort_unstable();
        prop_assert!((1..).zip(&bounds).all(|(number, bound)| number == *bound), "n1: each once");
        let numbered = with_numbers(&batches_of(&spans, cut)).unwrap();
        let column = |batch: &RecordBatch, place: usize| {
            let column = batch.column_by_name(schema::NESTED_SET[place]).unwrap();
            column.as_any().downcast_ref::<Int32Array>().unwrap().values().to_vec()
        };
        let found: Vec<Nested> = numbered.iter().flat_map(|batch| {
            let [left, right, parent, children] = [0, 1, 2, 3].map(|place| column(batch, place));
            (0..batch.num_rows()).map(|row| Nested { left: left[row], right: right[row], parent: parent[row], children: children[row] }).collect::<Vec<_>>()
        }).collect();
        prop_assert_eq!(found, nested);
    }
}
