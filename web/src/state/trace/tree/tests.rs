use super::*;
use proptest::prelude::*;
use query_api::otlp::{ResourceSpans, ScopeSpans};
use query_api::outline::Repeated;

/// Spans as (id, parent, start, end); id and parent are numbers, parent 0 is none.
fn trace(spans: &[(u64, u64, u64, u64)]) -> Trace {
    let id = |n: u64| if n == 0 { String::new() } else { format!("{n:016x}") };
    let spans = spans.iter().map(|(own, parent, start, end)| Span {
        span_id: id(*own),
        parent_span_id: id(*parent),
        name: format!("op {own}"),
        start_time_unix_nano: *start,
        end_time_unix_nano: *end,
        ..Span::default()
    });
    let scope_spans = vec![ScopeSpans { spans: spans.collect(), ..ScopeSpans::default() }];
    Trace::new(TracesData {
        resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
        ..TracesData::default()
    })
}

fn ids(trace: &Trace) -> Vec<u64> {
    trace.rows.iter().map(|row| u64::from_str_radix(&row.span.span_id, 16).unwrap()).collect()
}

#[test]
fn siblings_stand_by_start_below_their_parent() {
    let trace = trace(&[(4, 2, 15, 18), (3, 1, 30, 40), (2, 1, 10, 20), (1, 0, 0, 100)]);
    assert_eq!(ids(&trace), [1, 2, 4, 3]);
    assert_eq!(trace.rows.iter().map(|r| r.depth).collect::<Vec<_>>(), [0, 1, 2, 1]);
    assert_eq!(trace.rows.iter().map(|r| r.subtree).collect::<Vec<_>>(), [4, 2, 1, 1]);
    assert_eq!(trace.warnings, Vec::<String>::new());
    assert_eq!(trace.duration, 100);
}

#[test]
fn errors_began_where_none_is_below_and_the_first_ended() {
    let mut spans = [(1, 0, 0, 100), (2, 1, 10, 60), (3, 2, 20, 50), (4, 1, 70, 90)].map(super::super::sample::span);
    for span in &mut spans {
        span.status.code = 2;
    }
    let trace = super::super::sample::of(spans.into_iter().map(|span| ("a", span)).collect());
    assert_eq!(trace.origin().map(|row| ids(&trace)[row]), Some(3));
    assert_eq!(super::super::sample::trace(&[(1, 0, 0, 100)]).origin(), None);
}

#[test]
fn spans_of_one_operation_are_those_of_one_service_and_name() {
    let named = |service: &'static str, number: u64, name: &str| {
        let span = super::super::sample::span((number, u64::from(number > 1), number, 100));
        (service, Span { name: name.into(), ..span })
    };
    let spans = vec![named("a", 1, "GET"), named("a", 2, "SET"), named("b", 3, "GET"), named("a", 4, "GET")];
    let trace = super::super::sample::of(spans);
    assert_eq!(trace.alike(0), [0, 3]);
    assert_eq!(trace.alike(1), [1]);
    assert_eq!(trace.alike(9), Vec::<usize>::new());
}

#[test]
fn self_time_is_what_no_child_covers() {
    let trace = trace(&[(1, 0, 0, 100), (2, 1, 10, 30), (3, 1, 20, 40), (4, 1, 90, 150), (5, 1, 200, 300)]);
    assert_eq!(trace.rows[0].self_time, 10 + 50);
    assert_eq!(trace.gaps(0).collect::<Vec<_>>(), [[0, 10], [40, 90]]);
}

#[test]
fn a_missing_parent_is_told_and_its_child_stands_below_the_root() {
    let trace = trace(&[(3, 9, 5, 6), (1, 0, 10, 20)]);
    assert_eq!(ids(&trace), [1, 3]);
    assert_eq!(trace.rows[1].flaw, Some(Flaw::MissingParent));
    assert!(trace.warnings[0].starts_with("1 span without parent"), "{:?}", trace.warnings);
}

#[test]
fn circles_and_self_parents_are_cut_and_told() {
    let trace = trace(&[(1, 3, 5, 9), (2, 1, 4, 9), (3, 2, 6, 9), (4, 4, 1, 2), (5, 1, 7, 8)]);
    assert_eq!(trace.rows.len(), 5);
    let flaw = |id: u64| trace.rows[trace.row_of(&format!("{id:016x}")).unwrap()].flaw;
    assert_eq!(flaw(2), Some(Flaw::Cycle));
    assert_eq!(flaw(4), Some(Flaw::SelfParent));
    assert_eq!(flaw(1), None);
    assert!(trace.warnings.iter().any(|w| w.contains("lead back")), "{:?}", trace.warnings);
}

#[test]
fn two_roots_are_told() {
    let trace = trace(&[(1, 0, 0, 10), (2, 0, 5, 10)]);
    assert!(trace.warnings[0].starts_with("2 root spans"));
}

#[test]
fn clock_skew_is_told_with_its_size() {
    let trace = trace(&[(1, 0, 10_000_000, 20_000_000), (2, 1, 2_000_000, 20_000_000)]);
    assert!(trace.warnings[0].contains("8.00 ms"), "{:?}", trace.warnings);
}

#[test]
fn a_chain_of_a_hundred_thousand_is_laid_out() {
    let spans: Vec<_> = (1..=100_000u64).map(|n| (n, n - 1, n, 300_000 - n)).collect();
    let trace = trace(&spans);
    assert_eq!(trace.rows[99_999].depth, 99_999);
    assert_eq!(trace.rows[0].subtree, 100_000);
    assert_eq!(trace.shown(&HashSet::from([10]), None).len(), 11);
    let mut closed = trace.all_closed();
    trace.reveal(99_999, &mut closed);
    assert!(closed.is_empty());
}

#[test]
fn levels_open_and_close_one_by_one() {
    let trace = trace(&[(1, 0, 0, 9), (2, 1, 1, 9), (3, 2, 2, 9), (4, 1, 3, 9)]);
    let once = trace.close_level(&HashSet::new());
    assert_eq!(trace.shown(&once, None), [0, 1, 3]);
    let twice = trace.close_level(&once);
    assert_eq!(trace.shown(&twice, None), [0]);
    assert_eq!(trace.shown(&trace.open_level(&twice), None), [0, 1, 3]);
}

#[test]
fn an_empty_trace_has_no_rows() {
    let trace = trace(&[]);
    assert!(trace.rows.is_empty() && trace.warnings.is_empty());
    assert_eq!(trace.shown(&HashSet::new(), None), Vec::<usize>::new());
}

proptest! {
    #[test]
    fn every_span_is_one_row_whatever_was_sent(
        spans in proptest::collection::vec((1u64..12, 0u64..14, 0u64..50, 0u64..80), 0..24)
    ) {
        let built = trace(&spans);
        prop_assert_eq!(built.rows.len(), spans.len());
        let mut had: Vec<u64> = spans.iter().map(|s| s.0).collect();
        let mut got = ids(&built);
        had.sort_unstable();
        got.sort_unstable();
        prop_assert_eq!(had, got);
        for (index, row) in built.rows.iter().enumerate() {
            prop_assert!((0..=row.duration).contains(&row.self_time));
            prop_assert!(index + row.subtree <= built.rows.len());
            if let Some(parent) = row.parent {
                prop_assert!(parent < index && index < parent + built.rows[parent].subtree);
                prop_assert_eq!(row.depth, built.rows[parent].depth + 1);
            } else {
                prop_assert_eq!(row.depth, 0);
            }
        }
        let tops: usize = built.rows.iter().filter(|r| r.parent.is_none()).map(|r| r.subtree).sum();
        prop_assert_eq!(tops, spans.len());
    }
}

#[test]
fn only_what_is_looked_for_is_shown_with_all_above_it() {
    let trace = trace(&[(1, 0, 0, 100), (2, 1, 10, 50), (3, 2, 20, 30), (4, 1, 60, 70)]);
    let of = trace.with_all_above(&[2]);
    assert_eq!(of, [true, true, true, false]);
    assert_eq!(trace.shown(&HashSet::new(), Some(&of)), [0, 1, 2]);
    assert_eq!(trace.shown(&HashSet::from([1]), Some(&of)), [0, 1]);
    assert_eq!(trace.shown(&HashSet::new(), Some(&trace.with_all_above(&[]))), Vec::<usize>::new());
}

#[test]
fn what_the_server_found_repeated_stands_where_its_span_does() {
    let repeat = |id: u64, row| OutlineRepeat {
        row,
        span_id: format!("{id:016x}"),
        how: Repeated::Loop,
        count: 5,
        total_nano: 5,
        name: "op".into(),
        parent: "x op 1".into(),
    };
    // Spans that start at once stand in the order of their coming here.
    let found = trace(&[(1, 0, 0, 9), (3, 1, 1, 2), (2, 1, 1, 2)]).with_repeats(vec![repeat(3, 2), repeat(2, 1)]);
    assert_eq!(found.repeats.iter().map(|repeat| repeat.row).collect::<Vec<_>>(), [1, 2]);
}
