use super::*;
use crate::fixture::{Fixture, NOW, SECOND, TestSpan, spans};

const RANGE: TimeRange = TimeRange { start: NOW - 100 * SECOND, end: NOW - 40 * SECOND };

fn span(id: u64, parent: Option<u64>, service: &'static str, kind: i32) -> TestSpan {
    TestSpan { id, parent, service, kind, start: NOW - 50 * SECOND, duration: id as i64, ..TestSpan::default() }
}

/// Client, server, connection, calls, failures.
type Told = (String, String, Connection, u64, u64);

async fn told(batches: &[&[TestSpan]], passes: u64) -> Vec<Told> {
    let fixture = Fixture::new();
    for batch in batches {
        fixture.put(spans(batch)).await;
        fixture.flush().await;
    }
    let edges = fixture.run(move |control| edges_in::<Tally>(control, RANGE, passes, None)).await.unwrap();
    let told = |((client, server, connection), edge): (Ends, Edge<Tally>)| {
        (client, server, connection, edge.calls.total(), edge.failed.total())
    };
    let mut told: Vec<Told> = edges.into_iter().map(told).collect();
    told.sort_unstable();
    told
}

fn edge(client: &str, server: &str, connection: Connection, calls: u64, failed: u64) -> Told {
    (client.to_owned(), server.to_owned(), connection, calls, failed)
}

#[tokio::test]
async fn a_call_has_two_ends_wherever_they_lie() {
    let (mut failing, mut late) = (span(3, Some(2), "cart", SERVER), span(5, Some(4), "mail", CONSUMER));
    failing.status = STATUS_ERROR;
    late.start = NOW - 30 * SECOND;
    let first = [late, failing, span(1, None, "gateway", SERVER)];
    let second =
        [span(2, Some(1), "gateway", CLIENT), span(4, Some(3), "cart", PRODUCER), span(9, Some(8), "cart", SERVER)];
    let other = [TestSpan { trace: 2, ..span(2, Some(1), "gateway", CLIENT) }];
    let expected = [
        edge("cart", "mail", Connection::MessagingSystem, 1, 0),
        edge("gateway", "cart", Connection::Direct, 1, 1),
        edge("user", "gateway", Connection::VirtualNode, 1, 0),
    ];
    for passes in [1, 3] {
        assert_eq!(told(&[&first, &second, &other], passes).await, expected, "{passes}");
    }
}

#[tokio::test]
async fn a_call_is_received_also_by_who_has_a_clock_that_is_behind() {
    let border = NOW - 50 * SECOND;
    let peer = vec![("server.address", "srv"), ("messaging.system", "kafka")];
    let call =
        |id, kind| TestSpan { start: border + 1_000_000, attributes: peer.clone(), ..span(id, None, "shop", kind) };
    let received = |id, parent, kind| TestSpan { start: border - SECOND, ..span(id, Some(parent), "cart", kind) };
    let list = [call(2, CLIENT), call(4, PRODUCER), received(3, 2, SERVER), received(5, 4, CONSUMER)];
    let fixture = Fixture::new();
    fixture.put(spans(&list)).await;
    let mut calls: Vec<(String, String, Connection, u64)> = Vec::new();
    // The border of two intervals lies between both ends.
    for (start, end) in [(border - 15 * SECOND, border), (border, border + 15 * SECOND)] {
        let range = TimeRange { start, end };
        let edges = fixture.run(move |control| edges::<Tally>(control, range)).await.unwrap();
        calls.extend(edges.into_iter().map(|((from, to, how), edge)| (from, to, how, edge.calls.total())));
    }
    calls.sort_unstable();
    let both = |connection| ("shop".to_owned(), "cart".to_owned(), connection, 1);
    assert_eq!(calls, [both(Connection::Direct), both(Connection::MessagingSystem)]);
}

#[tokio::test]
async fn what_sends_no_spans_is_known_by_its_name() {
    let call = |id, kind, attributes: &[(&'static str, &'static str)]| TestSpan {
        attributes: attributes.to_vec(),
        ..span(id, Some(1), "shop", kind)
    };
    let calls = [
        call(2, CLIENT, &[("db.system", "postgresql"), ("db.namespace", "orders")]),
        call(3, CLIENT, &[("db.system", "redis"), ("peer.service", "cache")]),
        call(4, PRODUCER, &[("messaging.destination.name", "mails"), ("server.address", "broker")]),
        call(5, CLIENT, &[("server.address", "api.example.com")]),
        call(6, CLIENT, &[("http.request.method", "GET")]),
    ];
    let expected = [
        edge("shop", "api.example.com", Connection::VirtualNode, 1, 0),
        edge("shop", "cache", Connection::Database, 1, 0),
        edge("shop", "mails", Connection::MessagingSystem, 1, 0),
        edge("shop", "postgresql/orders", Connection::Database, 1, 0),
    ];
    assert_eq!(told(&[&calls], 1).await, expected);
}

#[tokio::test]
async fn a_call_outside_of_the_range_is_none() {
    let away = |time: i64| {
        [
            TestSpan { start: time, ..span(1, None, "gateway", SERVER) },
            TestSpan { start: time, ..span(2, Some(1), "gateway", CLIENT) },
            span(3, Some(2), "cart", SERVER),
        ]
    };
    assert_eq!(told(&[&away(NOW - 101 * SECOND)], 1).await, []);
    assert_eq!(told(&[&away(NOW - 40 * SECOND)], 1).await, []);
}

#[tokio::test]
async fn both_ends_tell_how_long_it_took() {
    let fixture = Fixture::new();
    let slow = TestSpan { duration: 2_000_000, ..span(2, Some(1), "gateway", CLIENT) };
    let fast = TestSpan { duration: 1_000_000, ..span(3, Some(2), "cart", SERVER) };
    fixture.put(spans(&[slow, fast])).await;
    let answer = fixture.run(|control| graph(control, RANGE)).await.unwrap();
    let [edge] = &answer.edges[..] else { panic!("{:?}", answer.edges) };
    let median = |red: &Option<query_api::service::Red>| red.as_ref().unwrap().p50_nano.unwrap() as f64;
    assert!((median(&edge.client_side) / 2e6 - 1.0).abs() < 0.02);
    assert!((median(&edge.server_side) / 1e6 - 1.0).abs() < 0.02);
}
