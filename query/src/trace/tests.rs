use super::*;
use crate::cursor::Cursor;
use crate::fixture::{Fixture, NOW, SECOND, TestSpan, block_on, spans, trace};
use proptest::prelude::*;
use query_api::trace::{Order, ServiceShare, TraceSummary};
use std::collections::BTreeMap;
use storage::model::schema::column;
use storage::scan::{AttributeScope, Compare, Field, Predicate, Scalar, TimeRange};

const RANGE: TimeRange = TimeRange { start: NOW - 3600 * SECOND, end: NOW };

fn query(predicate: Predicate, order: Order, limit: usize) -> SearchQuery {
    SearchQuery { filter: Filter { range: RANGE, predicate }, order, limit, after: None }
}

/// All pages, each asked for by the cursor of the one before, as a client does.
async fn pages(fixture: &Fixture, query: &SearchQuery) -> Vec<Vec<TraceSummary>> {
    let mut pages = Vec::new();
    let mut query = query.clone();
    loop {
        let asked = query.clone();
        let (page, last) = fixture.run(move |control| search(control, &asked)).await.unwrap();
        pages.push(page);
        let Some(last) = last else { return pages };
        let text = Cursor { filter_hash: 1, range: RANGE, key: last.key(query.order), tie: last.trace.0 }.encode();
        let cursor = Cursor::<16>::decode(&text, 1).unwrap();
        query.after = Some(Position::new(query.order, cursor.key, TraceId(cursor.tie)));
        assert!(pages.len() < 100, "paging does not end");
    }
}

/// Few traces, few keys: many ties. Some spans start outside the range.
fn any_span() -> impl Strategy<Value = TestSpan> {
    let starts = prop_oneof![
        (0i64..4).prop_map(|at| NOW - (at + 1) * SECOND),
        Just(NOW),
        Just(RANGE.start - 1),
        Just(RANGE.start)
    ];
    let what = (prop_oneof![Just("shop"), Just("cart")], prop_oneof![Just("a"), Just("b")], 0i32..3);
    (1u8..9, starts, 0i64..4, what, proptest::bool::ANY).prop_map(|(trace, start, duration, what, tagged)| TestSpan {
        trace,
        start,
        duration,
        service: what.0,
        name: what.1,
        status: what.2,
        attributes: if tagged { vec![("tag", "7")] } else { vec![] },
        ..TestSpan::default()
    })
}

fn matches(span: &TestSpan, filter: usize) -> bool {
    RANGE.contains(span.start)
        && match filter {
            0 => true,
            1 => span.service == "shop",
            2 => span.status == 2 && span.name == "a",
            _ => span.attributes == [("tag", "7")] && span.duration >= 2,
        }
}

fn predicate(filter: usize) -> Predicate {
    let text = |column, text: &str| Predicate::equal(column, Scalar::String(text.into()));
    match filter {
        0 => Predicate::All,
        1 => text(column::SERVICE_NAME, "shop"),
        2 => Predicate::equal(column::STATUS_CODE, Scalar::Int(2)).and(text(column::NAME, "a")),
        _ => Predicate::Compare {
            field: Field::Attribute(AttributeScope::Any, "tag".into()),
            compare: Compare::Equal,
            value: Scalar::Typed("7".into()),
        }
        .and(Predicate::Compare {
            field: Field::Column(column::DURATION),
            compare: Compare::GreaterOrEqual,
            value: Scalar::Int(2),
        }),
    }
}

/// Trace ids in order, and how many of their spans match.
fn oracle(list: &[TestSpan], filter: usize, order: Order) -> Vec<(String, u32)> {
    let mut traces: BTreeMap<u8, Vec<&TestSpan>> = BTreeMap::new();
    for span in list.iter().filter(|span| matches(span, filter)) {
        traces.entry(span.trace).or_default().push(span);
    }
    let key = |spans: &[&TestSpan]| match order {
        Order::Newest => -spans.iter().map(|span| span.start).max().unwrap(),
        Order::Oldest => spans.iter().map(|span| span.start).min().unwrap(),
        Order::Longest => -spans.iter().map(|span| span.duration).max().unwrap(),
        Order::MostSpans => -(spans.len() as i64),
        Order::MostErrors => -(spans.iter().filter(|span| span.status == 2).count() as i64),
    };
    let keyed = traces.into_iter().map(|(id, spans)| (key(&spans), id, spans.len() as u32));
    let mut sorted: Vec<(i64, u8, u32)> = keyed.collect();
    sorted.sort_unstable();
    sorted.into_iter().map(|(_, id, count)| (trace(id).to_string(), count)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn f1_the_union_of_all_pages_is_the_whole_list(
        mut list in proptest::collection::vec(any_span(), 0..40),
        cuts in [0usize..40, 0..40],
        limit in 1usize..5,
        filter in 0usize..4,
        order in any_order(),
    ) {
        list.iter_mut().zip(1..).for_each(|(span, id)| span.id = id);
        let mut cuts = cuts.map(|cut| cut.min(list.len()));
        cuts.sort_unstable();
        let found = block_on(async {
            let fixture = Fixture::new();
            fixture.put(spans(&list[..cuts[0]])).await;
            fixture.flush().await;
            fixture.put(spans(&list[cuts[0]..cuts[1]])).await;
            fixture.flush().await;
            fixture.put(spans(&list[cuts[1]..])).await;
            pages(&fixture, &query(predicate(filter), order, limit)).await
        });
        for page in found.iter().rev().skip(1) {
            prop_assert_eq!(page.len(), limit, "only the last page is short");
        }
        prop_assert!(found.len() == 1 || found.last().is_some_and(|page| !page.is_empty()), "no page is empty");
        let flat: Vec<(String, u32)> =
            found.into_iter().flatten().map(|trace| (trace.trace_id, trace.matched_count)).collect();
        prop_assert_eq!(flat, oracle(&list, filter, order));
    }
}

#[tokio::test]
async fn a_summary_tells_of_the_whole_trace_also_where_few_spans_match() {
    let span = |id, parent, service, name, start, duration, status| TestSpan {
        id,
        parent,
        service,
        name,
        start: NOW - start,
        duration,
        status,
        ..TestSpan::default()
    };
    let fixture = Fixture::new();
    fixture
        .put(spans(&[
            span(1, None, "gateway", "GET /", 100, 90, 0),
            span(2, Some(1), "cart", "add", 80, 95, 2),
            span(3, Some(1), "cart", "add", 120, 1, 2),
            span(4, Some(2), "db", "SELECT", 70, 5, 0),
        ]))
        .await;
    let only_db = Predicate::equal(column::SERVICE_NAME, Scalar::String("db".into()));
    let query = query(only_db, Order::Newest, 5);
    let (page, next) = fixture.run(move |control| search(control, &query)).await.unwrap();
    let share = |name: &str, span_count, error_count| ServiceShare { name: name.into(), span_count, error_count };
    let expected = TraceSummary {
        trace_id: trace(1).to_string(),
        root_service: "gateway".into(),
        root_name: "GET /".into(),
        has_root: true,
        start_unix_nano: NOW - 120,
        duration_nano: 135,
        span_count: 4,
        error_count: 2,
        matched_count: 1,
        first_match_unix_nano: NOW - 70,
        last_match_unix_nano: NOW - 70,
        longest_match_nano: 5,
        services: vec![share("cart", 2, 2), share("gateway", 1, 0), share("db", 1, 0)],
    };
    assert_eq!((page, next), (vec![expected], None));
}

#[tokio::test]
async fn without_a_root_the_earliest_span_names_the_trace() {
    let fixture = Fixture::new();
    let late = TestSpan { id: 1, parent: Some(9), name: "late", start: NOW - 5, ..TestSpan::default() };
    let early = TestSpan { id: 2, parent: Some(9), name: "early", start: NOW - 6, ..TestSpan::default() };
    fixture.put(spans(&[late, early])).await;
    let query = query(Predicate::All, Order::Newest, 5);
    let (page, _) = fixture.run(move |control| search(control, &query)).await.unwrap();
    assert_eq!((page[0].root_name.as_str(), page[0].has_root), ("early", false));
}

#[tokio::test]
async fn an_unknown_trace_is_not_found() {
    let outcome = Fixture::new().run(|control| by_id(control, trace(3))).await;
    assert!(matches!(outcome, Err(Error::NotFound { .. })), "{outcome:?}");
}
