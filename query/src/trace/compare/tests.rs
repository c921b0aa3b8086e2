use super::*;
use crate::fixture::{Fixture, NOW, SECOND, TestSpan, block_on, span_id, spans, trace};
use proptest::prelude::*;
use query_api::otlp::AnyValue;
use std::collections::{BTreeMap, BTreeSet};

fn query(show: Show, skip: u64, limit: usize) -> CompareQuery {
    CompareQuery { base: trace(1), other: trace(2), show, skip, limit }
}

async fn ask(fixture: &Fixture, query: CompareQuery) -> Result<CompareResponse> {
    fixture.run(move |control| compare(control, &query)).await
}

async fn compared(list: &[TestSpan], show: Show) -> CompareResponse {
    let fixture = Fixture::new();
    fixture.put(spans(list)).await;
    ask(&fixture, query(show, 0, usize::MAX)).await.unwrap()
}

fn span(trace: u8, id: u64, parent: Option<u64>, name: &'static str) -> TestSpan {
    let start = NOW - SECOND + i64::try_from(id).unwrap() * 1000;
    TestSpan { trace, id, parent, name, start, duration: 100_000, ..TestSpan::default() }
}

/// Nodes as indented lines: `=` in both, `-` in the base only, `+` in the other only.
fn drawn(answer: &CompareResponse) -> Vec<String> {
    let sign = |node: &CompareNode| match (&node.base, &node.other) {
        (Some(_), Some(_)) => '=',
        (Some(_), None) => '-',
        _ => '+',
    };
    let line = |node: &CompareNode| {
        let indent = " ".repeat(usize::try_from(node.depth).unwrap());
        format!("{indent}{}{}", sign(node), node.name)
    };
    answer.nodes.iter().map(line).collect()
}

#[tokio::test]
async fn a_call_made_three_times_instead_of_once_is_two_spans_more() {
    let answer = compared(
        &[
            span(1, 1, None, "GET"),
            span(1, 2, Some(1), "SELECT"),
            span(1, 3, Some(1), "cache"),
            span(1, 4, Some(3), "evict"),
            span(2, 11, None, "GET"),
            span(2, 12, Some(11), "SELECT"),
            span(2, 13, Some(11), "SELECT"),
            span(2, 14, Some(11), "publish"),
            span(2, 15, Some(11), "SELECT"),
        ],
        Show::All,
    )
    .await;
    assert_eq!(drawn(&answer), ["=GET", " =SELECT", " -cache", "  -evict", " +SELECT", " +publish", " +SELECT"]);
    let counts = CompareCounts { both: 2, only_base: 2, only_other: 3, ..CompareCounts::default() };
    assert_eq!(answer.counts, counts);
    let [service] = &*answer.services else { panic!("{:?}", answer.services) };
    assert_eq!((service.base.span_count, service.base.only_count), (4, 2));
    assert_eq!((service.other.span_count, service.other.only_count), (5, 3));
    assert_eq!((&*answer.base.root_name, answer.base.span_count, answer.other.span_count), ("GET", 4, 5));
}

#[tokio::test]
async fn a_new_span_stands_before_what_follows_it_in_its_trace() {
    let answer = compared(
        &[
            span(1, 1, None, "GET"),
            span(1, 2, Some(1), "a"),
            span(1, 3, Some(1), "c"),
            span(2, 11, None, "GET"),
            span(2, 12, Some(11), "a"),
            span(2, 13, Some(11), "b"),
            span(2, 14, Some(11), "c"),
        ],
        Show::All,
    )
    .await;
    assert_eq!(drawn(&answer), ["=GET", " =a", " +b", " =c"]);
}

#[tokio::test]
async fn what_differs_of_spans_in_both_is_told_and_can_be_asked_for_alone() {
    let list = [
        span(1, 1, None, "GET"),
        TestSpan { attributes: vec![("region", "eu"), ("shard", "1")], ..span(1, 2, Some(1), "quiet") },
        TestSpan { attributes: vec![("a", "1"), ("b", "2")], ..span(1, 3, Some(1), "tagged") },
        span(1, 4, Some(2), "fails"),
        span(2, 11, None, "GET"),
        TestSpan { attributes: vec![("region", "eu"), ("shard", "1")], ..span(2, 12, Some(11), "quiet") },
        TestSpan { attributes: vec![("b", "3"), ("c", "4")], ..span(2, 13, Some(11), "tagged") },
        TestSpan { status: 2, duration: 50_000, ..span(2, 14, Some(12), "fails") },
    ];
    let list = list.map(|span| TestSpan { version: if span.trace == 1 { "1" } else { "2" }, ..span });
    let answer = compared(&list, Show::All).await;
    assert_eq!((answer.counts.status_changed, answer.counts.attributes_changed), (1, 1));
    let text = |text: &str| Some(AnyValue::StringValue(text.into()));
    let difference = |key: &str, base, other| AttributeDifference { key: key.into(), base, other };
    let differences =
        [difference("a", text("1"), None), difference("b", text("2"), text("3")), difference("c", None, text("4"))];
    let tagged = answer.nodes.iter().find(|node| node.name == "tagged").unwrap();
    assert_eq!(tagged.attributes, differences);
    let fails = answer.nodes.iter().find(|node| node.name == "fails").unwrap();
    let (base, other) = (fails.base.as_ref().unwrap(), fails.other.as_ref().unwrap());
    assert_eq!((base.status, other.status, base.duration_nano, other.duration_nano), (0, 2, 100_000, 50_000));
    assert_eq!((&*base.span_id, base.start_nano), (&*span_id(4).to_string(), 3000));
    assert_eq!((answer.base.error_count, answer.other.error_count), (0, 1));
    let resource = &answer.services.first().unwrap().resource;
    let [version] = &**resource else { panic!("{resource:?}") };
    assert_eq!(version.key, "service.version");
    assert_eq!((&version.base, &version.other), (&vec![text("1").unwrap()], &vec![text("2").unwrap()]));

    let changed = compared(&list, Show::Changed).await;
    assert_eq!(drawn(&changed), ["=GET", " =quiet", "  =fails", " =tagged"]);
    let structure = compared(&list, Show::Structure).await;
    assert_eq!(drawn(&structure), ["=GET", " =quiet", "  =fails"]);
    assert_eq!((structure.node_count, structure.counts), (3, answer.counts));
}

#[tokio::test]
async fn d3_spans_without_their_parent_and_circles_are_roots_and_told_apart() {
    let answer = compared(
        &[
            span(1, 1, None, "GET"),
            span(1, 2, Some(99), "lost"),
            span(1, 3, Some(4), "round"),
            span(1, 4, Some(3), "about"),
            span(2, 11, None, "GET"),
            span(2, 12, Some(11), "lost"),
            span(2, 13, Some(14), "round"),
            span(2, 14, Some(13), "about"),
        ],
        Show::All,
    )
    .await;
    assert_eq!(drawn(&answer), ["=GET", " +lost", "-lost", "=round", " =about"]);
    assert_eq!((answer.base.detached_count, answer.other.detached_count), (2, 1));
    let flags = answer.nodes.iter().map(|node| node.base.as_ref().is_some_and(|span| span.detached));
    assert_eq!(flags.collect::<Vec<_>>(), [false, false, true, true, false]);
}

#[tokio::test]
async fn s2_self_time_is_what_no_child_covers() {
    let at = |id, parent, start, duration| {
        let start = NOW - SECOND + start;
        TestSpan { start, duration, ..span(1, id, parent, "a") }
    };
    let answer = compared(
        &[
            at(1, None, 0, 100),
            // Two that overlap, one that outlives its parent.
            at(2, Some(1), 10, 20),
            at(3, Some(1), 20, 20),
            at(4, Some(1), 90, 50),
            span(2, 11, None, "a"),
        ],
        Show::All,
    )
    .await;
    let own = answer.nodes.iter().filter_map(|node| node.base.as_ref()).map(|span| span.self_nano);
    assert_eq!(own.collect::<Vec<_>>(), [60, 20, 20, 50]);
    assert_eq!(answer.base.duration_nano, 140);
}

#[tokio::test]
async fn a_trace_that_is_not_there_is_named() {
    let fixture = Fixture::new();
    fixture.put(spans(&[span(1, 1, None, "GET")])).await;
    let error = ask(&fixture, query(Show::All, 0, 10)).await.unwrap_err();
    assert!(error.to_string().contains(&trace(2).to_string()), "{error}");
    let itself = CompareQuery { other: trace(1), ..query(Show::All, 0, 10) };
    assert_eq!(ask(&fixture, itself).await.unwrap().counts, CompareCounts { both: 1, ..CompareCounts::default() });
}

#[tokio::test]
async fn d4_traces_of_100_000_spans_deep_or_wide_are_compared() {
    for deep in [true, false] {
        let list: Vec<TestSpan> = [1, 2]
            .into_iter()
            .flat_map(|trace| {
                (1..=100_000u64).map(move |id| {
                    let parent = if deep { id - 1 } else { 1 };
                    let name = if id % 1000 == 0 && trace == 2 { "other" } else { "same" };
                    span(trace, id, (id > 1).then_some(parent), name)
                })
            })
            .collect();
        let fixture = Fixture::new();
        fixture.put(spans(&list)).await;
        let answer = ask(&fixture, query(Show::Structure, 0, 10)).await.unwrap();
        let counts = answer.counts;
        let expected = if deep { (999, 99_001, 99_001) } else { (99_900, 100, 100) };
        assert_eq!((counts.both, counts.only_base, counts.only_other), expected);
        assert_eq!(answer.nodes.len(), 10);
    }
}

type Step = (&'static str, &'static str, i32, usize);

/// The way from the top to each span, each step with its number among like siblings. Slow and plain.
fn ways(list: &[TestSpan], trace: u8) -> BTreeMap<Vec<Step>, u64> {
    let mut own: Vec<&TestSpan> = list.iter().filter(|span| span.trace == trace).collect();
    own.sort_by_key(|span| (span.start, span.id));
    let named =
        |span: &TestSpan| own.iter().copied().find(|other| Some(other.id) == span.parent && other.id != span.id);
    let parent = |span: &TestSpan| {
        // Whether its parents lead back to it, and nobody on the way stands before it.
        let (mut circle, mut at) = (vec![(span.start, span.id)], named(span));
        while let Some(above) = at {
            if above.id == span.id {
                let first = circle.iter().min() == circle.first();
                return if first { None } else { named(span) };
            }
            if circle.contains(&(above.start, above.id)) {
                break;
            }
            circle.push((above.start, above.id));
            at = named(above);
        }
        named(span)
    };
    let key = |span: &TestSpan| (span.service, span.name, span.kind);
    let step = |span: &TestSpan| {
        let above = parent(span).map(|parent| parent.id);
        let like = own.iter().filter(|other| parent(other).map(|parent| parent.id) == above && key(other) == key(span));
        let number = like.take_while(|other| other.id != span.id).count();
        (span.service, span.name, span.kind, number)
    };
    let way = |span: &&TestSpan| {
        let mut way = vec![step(span)];
        let mut at = parent(span);
        while let Some(above) = at {
            way.push(step(above));
            at = parent(above);
        }
        way.reverse();
        (way, span.id)
    };
    own.iter().map(way).collect()
}

fn any_trace(trace: u8) -> impl Strategy<Value = Vec<TestSpan>> {
    let parent = prop_oneof![1 => Just(None), 5 => (1u64..9).prop_map(Some)];
    let what = (prop_oneof![Just("shop"), Just("cart")], prop_oneof![Just("a"), Just("b")], 2..4i32);
    let one = (parent, 0i64..3, what).prop_map(move |(parent, start, (service, name, kind))| TestSpan {
        trace,
        parent,
        service,
        name,
        kind,
        start: NOW - SECOND + start,
        ..TestSpan::default()
    });
    proptest::collection::vec(one, 1..9).prop_map(|mut list| {
        list.iter_mut().zip(1..).for_each(|(span, id)| span.id = id);
        list
    })
}

proptest! {
    #[test]
    fn d1_spans_are_paired_that_have_one_way_from_the_top(one in any_trace(1), two in any_trace(2), limit in 1usize..6) {
        let list = [one, two].concat();
        let (base, other) = (ways(&list, 1), ways(&list, 2));
        block_on(async {
            let fixture = Fixture::new();
            fixture.put(spans(&list)).await;
            let whole = ask(&fixture, query(Show::All, 0, usize::MAX)).await.unwrap();
            let id = |id: &u64| span_id(*id).to_string();
            let paths: BTreeSet<&Vec<Step>> = base.keys().chain(other.keys()).collect();
            let expected: BTreeSet<_> = paths.iter().map(|way| (base.get(*way).map(id), other.get(*way).map(id))).collect();
            let found = whole.nodes.iter().map(|node| {
                let id = |span: &Option<ComparedSpan>| span.as_ref().map(|span| span.span_id.clone());
                (id(&node.base), id(&node.other))
            });
            assert_eq!(found.collect::<BTreeSet<_>>(), expected);
            assert_eq!(whole.nodes.len(), paths.len());
            let mut paged = Vec::new();
            loop {
                let skip = u64::try_from(paged.len()).unwrap();
                let page = ask(&fixture, query(Show::All, skip, limit)).await.unwrap();
                paged.extend(page.nodes);
                if u64::try_from(paged.len()).unwrap() >= page.node_count {
                    break;
                }
            }
            assert_eq!(paged, whole.nodes);
        });
    }
}
