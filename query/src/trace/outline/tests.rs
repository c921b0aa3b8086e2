use super::lanes::LanesQuery;
use super::*;
use crate::fixture::{Fixture, NOW, SECOND, TestSpan, block_on, span_id, spans, trace};
use proptest::prelude::*;
use query_api::outline::{OutlineRepeat, Repeated};

fn span(id: u64, parent: u64, start: i64, end: i64) -> TestSpan {
    let start = NOW - SECOND + start;
    TestSpan {
        id,
        parent: (parent > 0).then_some(parent),
        start,
        duration: end + NOW - SECOND - start,
        ..TestSpan::default()
    }
}

async fn outline_of(list: Vec<TestSpan>) -> (Fixture, Arc<Outline>) {
    let fixture = Fixture::new();
    fixture.put(spans(&list)).await;
    let read = fixture.run(|control| Outline::read(control, trace(1))).await;
    (fixture, Arc::new(read.unwrap()))
}

fn outline(list: Vec<TestSpan>) -> Arc<Outline> {
    block_on(outline_of(list)).1
}

fn ids(outline: &Outline) -> Vec<u64> {
    outline.rows.iter().map(|row| u64::from_be_bytes(row.id.0)).collect()
}

#[test]
fn ol1_roots_stand_before_those_whose_parent_is_missing_and_children_by_start() {
    let found = outline(vec![
        span(4, 9, 0, 5),
        span(1, 0, 10, 100),
        span(3, 1, 30, 40),
        span(2, 1, 20, 90),
        span(5, 2, 21, 22),
    ]);
    assert_eq!(ids(&found), [1, 2, 5, 3, 4]);
    let depths: Vec<_> =
        found.rows.iter().map(|row| (row.depth, row.subtree, row.parent, row.place, row.siblings)).collect();
    assert_eq!(
        depths,
        [(0, 4, None, 1, 2), (1, 2, Some(0), 1, 2), (2, 1, Some(1), 1, 1), (1, 1, Some(0), 2, 2), (0, 1, None, 2, 2)]
    );
    assert_eq!(found.rows[4].flaw, Some(OutlineFlaw::MissingParent));
    assert_eq!((found.rows[0].start, found.duration), (10, 100));
    assert_eq!(found.rows.iter().map(|row| row.own).collect::<Vec<_>>(), [20, 69, 1, 10, 5], "ol3");
}

#[test]
fn circles_are_cut_and_told() {
    let found = outline(vec![span(1, 2, 0, 9), span(2, 1, 1, 9), span(3, 3, 2, 9)]);
    assert_eq!(ids(&found), [1, 2, 3]);
    assert_eq!(
        found.rows.iter().map(|row| row.flaw).collect::<Vec<_>>(),
        [Some(OutlineFlaw::Cycle), None, Some(OutlineFlaw::SelfParent)]
    );
}

#[tokio::test]
async fn the_whole_is_told_with_its_flaws_repeats_and_origin() {
    let mut list = vec![TestSpan { duration: 1_000, ..span(1, 0, 0, 1_000) }];
    list.extend((0..6).map(|n| TestSpan {
        kind: 3,
        name: "SELECT",
        ..span(2 + n, 1, 100 * n as i64, 100 * n as i64 + 50)
    }));
    list.push(TestSpan { status: 2, service: "cart", ..span(20, 1, 700, 900) });
    list.push(TestSpan { status: 2, service: "cart", ..span(21, 20, 700, 800) });
    list.push(TestSpan { duration: -5, ..span(22, 99, 900, 0) });
    let (fixture, found) = outline_of(list).await;
    let told = fixture.run(move |control| found.response(control, trace(1), 5)).await.unwrap();
    assert_eq!((told.span_count, told.error_count, told.level_count, told.rows.len()), (10, 2, 3, 10));
    assert_eq!((told.flaws.roots, told.flaws.missing_parent, told.flaws.backwards), (1, 1, 1));
    assert_eq!(told.origin_row, Some(8));
    let repeat = &told.repeats[0];
    assert_eq!((repeat.row, repeat.how, repeat.count, repeat.total_nano), (1, Repeated::Loop, 6, 300));
    assert_eq!((repeat.name.as_str(), repeat.parent.as_str()), ("SELECT", "shop GET /"));
    assert_eq!(
        told.services.iter().map(|it| (it.name.as_str(), it.span_count)).collect::<Vec<_>>(),
        [("shop", 8), ("cart", 2)]
    );
    assert_eq!(told.services.iter().map(|it| it.critical_nano).sum::<i64>(), 1_000);
    assert_eq!((told.services[1].critical_nano, told.services[1].critical_row), (200, Some(7)));
    assert!(told.whole.is_none());
    assert_eq!((told.minimap[0].band, told.minimap[0].start, told.minimap[0].end), (0, 0, told.minimap_columns));
}

#[tokio::test]
async fn calls_below_resolvers_are_told_of_the_span_above_without_what_differs() {
    let names: Vec<String> = (0..6).map(|n| format!("GET /users/{n}")).collect();
    let mut list = vec![TestSpan { name: "execute", ..span(1, 0, 0, 1_000) }];
    for n in 0..6 {
        let (start, end) = (100 * n as i64, 100 * n as i64 + 90);
        list.push(TestSpan { name: "User.posts", kind: 1, ..span(10 + n, 1, start, end) });
        let name: &'static str = names[n as usize].clone().leak();
        list.push(TestSpan { name, kind: 3, ..span(20 + n, 10 + n, start + 10, end - 10) });
    }
    let (fixture, found) = outline_of(list).await;
    let told = fixture.run(move |control| found.response(control, trace(1), 0)).await.unwrap();
    let expected = OutlineRepeat {
        row: 2,
        span_id: span_id(20).to_string(),
        how: Repeated::Loop,
        count: 6,
        total_nano: 6 * 70,
        name: "GET /users/…".to_owned(),
        parent: "shop execute".to_owned(),
    };
    assert_eq!(told.repeats, [expected]);
}

/// How often what was asked, by two calls of which the first may fail, where the trace comes along.
async fn same_of(statements: [&'static str; 2], code: i32) -> Vec<(Repeated, usize, i64)> {
    let call = |(at, statement): (usize, &'static str)| TestSpan {
        kind: 3,
        name: "SELECT",
        status: if at == 0 { code } else { 0 },
        attributes: if statement.is_empty() { Vec::new() } else { vec![("db.query.text", statement)] },
        ..span(2 + at as u64, 1, 20 * at as i64, 20 * at as i64 + 10)
    };
    let mut list = vec![span(1, 0, 0, 1_000)];
    list.extend(statements.into_iter().enumerate().map(call));
    let (fixture, found) = outline_of(list).await;
    let told = fixture.run(move |control| found.response(control, trace(1), 3)).await.unwrap();
    told.repeats.iter().map(|repeat| (repeat.how, repeat.count, repeat.total_nano)).collect()
}

#[tokio::test]
async fn sa1_the_same_call_is_told_unless_it_is_a_retry() {
    let same = [(Repeated::Same, 2, 20)];
    assert_eq!(same_of(["SELECT 1"; 2], 0).await, same);
    assert_eq!(same_of(["/find?a=1"; 2], 0).await, same);
    for (statements, code) in
        [(["SELECT 1"; 2], 2), (["SELECT a WHERE b = ?"; 2], 0), ([""; 2], 0), (["SELECT 1", "SELECT 2"], 0)]
    {
        assert_eq!(same_of(statements, code).await, [], "{statements:?} {code}");
    }
}

#[tokio::test]
async fn sf1_an_outline_is_kept_until_blocks_or_deletions_change() {
    let (fixture, _) = outline_of(vec![span(1, 0, 0, 9)]).await;
    let shelf = Arc::new(Shelf::default());
    let count = async |shelf: &Arc<Shelf>| {
        let shelf = Arc::clone(shelf);
        fixture.run(move |control| Ok(shelf.outline(control, trace(1))?.rows.len())).await
    };
    assert_eq!(count(&shelf).await.unwrap(), 1);
    fixture.put(spans(&[span(2, 1, 1, 2)])).await;
    assert_eq!(count(&shelf).await.unwrap(), 1, "what is looked at stays");
    let again = Arc::clone(&shelf);
    assert_eq!(fixture.run(move |control| Ok(again.read(control, trace(1))?.rows.len())).await.unwrap(), 2);
    assert_eq!(count(&shelf).await.unwrap(), 2);
    fixture.put(spans(&[span(3, 1, 1, 2)])).await;
    fixture.flush().await;
    assert_eq!(count(&shelf).await.unwrap(), 3);
    let predicate = storage::scan::Predicate::Trace(trace(1));
    let request = storage::engine::DeleteRequest {
        tenant: storage::model::TenantId::default(),
        signal: storage::model::Signal::Spans,
        time: storage::scan::TimeRange::ALL,
        predicate,
    };
    fixture.engine.delete(&request).unwrap();
    assert!(count(&shelf).await.is_err(), "what was deleted is not shown");
}

#[tokio::test]
async fn at1_rows_are_found_and_grouped_by_their_attributes() {
    let with = |span: TestSpan, attributes| TestSpan { attributes, ..span };
    let list = vec![
        with(span(1, 0, 0, 100), vec![("k", "Straße")]),
        with(TestSpan { status: 2, ..span(2, 1, 0, 30) }, vec![("k", "")]),
        with(span(3, 1, 40, 50), vec![("Other", "GET")]),
    ];
    let (fixture, found) = outline_of(list).await;
    for (text, failed, expected) in [
        ("strasse", false, vec![]),
        ("STRAẞE", false, vec![0]),
        ("other", false, vec![2]),
        (" get ", false, vec![0, 1, 2]),
        ("", true, vec![1]),
        ("shop", true, vec![1]),
    ] {
        let found = Arc::clone(&found);
        let wanted = Wanted { contains: Some(text.to_owned()), failed, like: None, limit: 2 };
        let rows = fixture.run(move |control| matches(control, (trace(1), &found), &wanted)).await.unwrap();
        assert_eq!(rows.count, expected.len(), "{text}");
        assert_eq!(rows.rows, expected.into_iter().take(2).collect::<Vec<_>>(), "{text}");
    }
    let groups = async |key: &str, by, rising| {
        let (found, key) = (Arc::clone(&found), Key::parse(key).unwrap());
        let answer = fixture.run(move |control| groups(control, (trace(1), &found), &key, (by, rising))).await.unwrap();
        assert_eq!(answer.keys, ["Other", "k", "service.instance.id", "service.name", "service.version"]);
        answer.groups.into_iter().map(|group| (group.name, group.span_count, group.self_nano)).collect::<Vec<_>>()
    };
    let named = |name: &str| Some(name.to_owned());
    let expected = [(named("Straße"), 1, 60), (named(""), 1, 30), (None, 1, 10)];
    assert_eq!(groups("attr.k", By::SelfTime, false).await, expected, "at2");
    assert_eq!(groups("attr.k", By::Longest, true).await[0], (None, 1, 10));
    assert_eq!(groups("status", By::Count, false).await, [(named("unset"), 2, 70), (named("error"), 1, 30)]);
    assert_eq!(groups("attr.service.name", By::Errors, false).await, [(named("shop"), 3, 100)]);
    let of = Arc::clone(&found);
    let two = fixture.run(move |control| super::span(control, (trace(1), &of), span_id(2))).await.unwrap();
    assert_eq!((two.row.row, two.parent_name.as_deref()), (1, Some("GET /")));
    assert_eq!(two.data.resource_spans[0].scope_spans[0].spans.len(), 1);
    let none = fixture.run(move |control| super::span(control, (trace(1), &found), span_id(9))).await;
    assert!(matches!(none, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn ca2_a_call_is_counted_once_by_who_answers_or_by_the_caller() {
    let database = vec![("db.system", "postgresql"), ("db.namespace", "orders")];
    let list = vec![
        span(1, 0, 0, 100),
        TestSpan { kind: 3, status: 2, attributes: vec![("server.address", "b.example")], ..span(2, 1, 0, 50) },
        TestSpan { service: "cart", ..span(3, 2, 1, 49) },
        TestSpan { service: "cart", kind: 3, attributes: database.clone(), ..span(4, 3, 2, 5) },
        TestSpan { service: "cart", kind: 3, attributes: database, ..span(5, 3, 6, 9) },
        TestSpan { service: "cart", kind: 3, ..span(6, 3, 10, 12) },
    ];
    let (fixture, found) = outline_of(list).await;
    let answer = fixture.run(move |control| calls(control, (trace(1), &found))).await.unwrap();
    let edges: Vec<_> =
        answer.edges.iter().map(|it| (&*it.client, &*it.server, it.call_count, it.failed_count)).collect();
    assert_eq!(edges, [("cart", "postgresql/orders", 2, 0), ("shop", "cart", 1, 1)]);
}

/// A trace of whose spans each has an event at its start.
async fn said(times: &[i64]) -> (Fixture, Arc<Outline>) {
    use storage::model::attribute::Map;
    let fixture = Fixture::new();
    let mut builder = storage::model::SpanBatchBuilder::default();
    builder.set_resource(&storage::model::origin::Resource::default());
    builder.set_scope(&storage::model::origin::Scope { name: "lib", ..Default::default() });
    for (at, time) in times.iter().enumerate() {
        let attributes = crate::fixture::text_map(&[("exception.type", "Boom"), ("exception.message", "went off")]);
        let name = if at == 0 { "exception" } else { "told" };
        let time_unix_nano = u64::try_from(NOW + time).unwrap();
        let event = storage::model::record::Event {
            time_unix_nano,
            name,
            attributes: Map::new(&attributes),
            dropped_attributes_count: 0,
        };
        let mut events = Vec::new();
        event.put(&mut events);
        let span = storage::model::Span {
            start: NOW,
            duration: 9,
            events: &events,
            ..storage::model::Span::new(trace(1), span_id(at as u64 + 1))
        };
        builder.append(&span).unwrap();
    }
    fixture.put(builder.finish().unwrap()).await;
    let read = fixture.run(|control| Outline::read(control, trace(1))).await.unwrap();
    (fixture, Arc::new(read))
}

#[tokio::test]
async fn ev1_the_latest_events_are_told_as_logs() {
    for (limit, expected) in [(9, vec![7, 5, 5, 5, 1]), (3, vec![7, 5, 5]), (1, vec![7])] {
        let (fixture, found) = said(&[7, 5, 1, 5, 5]).await;
        assert_eq!(found.row(0).events.len(), 1);
        let answer = fixture.run(move |control| events(control, (trace(1), &found), limit)).await.unwrap();
        let times: Vec<i64> = answer.events.iter().map(|event| event.time_unix_nano - NOW).collect();
        assert_eq!((answer.count, times), (5, expected));
        let first = &answer.events[0];
        assert_eq!(
            (first.severity_number, first.scope_name.as_str(), first.service.as_str()),
            (17, "lib", "unknown_service")
        );
        assert_eq!(first.body, Some(query_api::otlp::AnyValue::StringValue("Boom: went off".into())));
    }
}

#[test]
fn la1_short_neighbours_become_one_bar_that_says_if_one_failed() {
    let mut list = vec![span(1, 0, 0, 100_000)];
    list.extend((0..1_000).map(|n| TestSpan {
        status: if n == 500 { 2 } else { 0 },
        ..span(2 + n, 1, 100 * n as i64, 100 * n as i64 + 90)
    }));
    let (fixture, found) = block_on(outline_of(list));
    let query = LanesQuery { width: 100, limit: 10, row: Some(1), ..LanesQuery::default() };
    let answer = block_on(fixture.run(move |control| found.flame(control, &query))).unwrap();
    let bars: Vec<_> = answer.bars.iter().map(|bar| (bar.lane, bar.span_count, bar.failed, bar.end_nano)).collect();
    assert_eq!(bars, [(0, 1, false, 100_000), (1, 1_000, true, 99_990)]);
    assert_eq!((answer.lane_count, answer.lane), (2, Some(1)));
}

#[test]
fn ol4_a_deep_chain_and_a_wide_fan_end() {
    for deep in [true, false] {
        let parent = |n: u64| if deep { n - 1 } else { u64::from(n > 1) };
        let list = (1..=30_000u64).map(|n| span(n, parent(n), n as i64, 90_000 - n as i64)).collect();
        let found = outline(list);
        let levels = found.rows.iter().map(|row| row.depth + 1).max();
        assert_eq!(levels, Some(if deep { 30_000 } else { 2 }));
        assert_eq!(Lanes::new(&*found).rows.len(), 30_000);
        let mut fold = Fold { depth: Some(0), ..Fold::default() };
        assert_eq!(found.shown(&fold, None), [0]);
        found.open(29_999, &mut fold);
        assert_eq!(fold == Fold::default(), deep, "so many are not named");
        assert!(found.shown(&fold, None).binary_search(&29_999).is_ok());
    }
}

/// Spans with parents of any kind: before them, behind them, themselves, or missing.
fn any_spans() -> impl Strategy<Value = Vec<TestSpan>> {
    proptest::collection::vec((0u64..28, 0i64..90, 0i64..60), 1..24).prop_map(|list| {
        list.into_iter()
            .enumerate()
            .map(|(at, (parent, start, length))| span(at as u64 + 1, parent, start, start + length))
            .collect()
    })
}

proptest! {
    #[test]
    fn ol1_every_span_is_one_row_below_its_parent(list in any_spans()) {
        let found = outline(list.clone());
        let mut all = ids(&found);
        for (at, row) in found.rows.iter().enumerate() {
            let below = found.rows[at + 1..].iter().take_while(|below| below.depth > row.depth).count();
            prop_assert_eq!(row.subtree, below + 1);
            let sent = list.iter().find(|span| span.id == u64::from_be_bytes(row.id.0)).unwrap();
            if let Some(parent) = row.parent {
                prop_assert_eq!(Some(u64::from_be_bytes(found.rows[parent].id.0)), sent.parent);
                prop_assert!(parent < at && at < parent + found.rows[parent].subtree);
                prop_assert_eq!(row.depth, found.rows[parent].depth + 1);
            } else {
                prop_assert_eq!(row.flaw.is_some(), sent.parent.is_some());
            }
            prop_assert!((0..=row.duration).contains(&row.own));
        }
        all.sort_unstable();
        prop_assert_eq!(all, (1..=list.len() as u64).collect::<Vec<_>>());
    }
}
