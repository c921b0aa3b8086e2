use super::*;
use crate::fixture::{Fixture, NOW, SECOND, TestSpan, block_on, spans};
use proptest::prelude::*;
use query_api::service::Service;

const RANGE: TimeRange = TimeRange { start: NOW - 600 * SECOND, end: NOW };

fn any_span() -> impl Strategy<Value = TestSpan> {
    let what = (
        prop_oneof![Just("shop"), Just("cart")],
        prop_oneof![Just("a"), Just("b")],
        prop_oneof![Just("i1"), Just("i2")],
    );
    let start = (NOW - 1300 * SECOND)..(NOW + 100 * SECOND);
    (what, start, 1i64..1_000_000_000, 0i32..3, 1i32..6, proptest::option::of(500u64..501)).prop_map(
        |(what, start, duration, status, kind, parent)| TestSpan {
            service: what.0,
            name: what.1,
            instance: what.2,
            version: if start % 2 == 0 { "1" } else { "2" },
            start,
            duration,
            status,
            kind,
            parent,
            ..TestSpan::default()
        },
    )
}

fn is_request(span: &TestSpan) -> bool {
    span.parent.is_none() || span.kind == 2 || span.kind == 5
}

fn check_red(red: &Red, requests: &[&TestSpan], range: TimeRange) {
    assert_eq!(red.request_count, requests.len() as u64);
    assert_eq!(red.error_count, requests.iter().filter(|span| span.status == 2).count() as u64);
    let seconds = (range.end - range.start) as f64 / 1e9;
    assert!((red.rate - requests.len() as f64 / seconds).abs() < 1e-9);
    let mut durations: Vec<i64> = requests.iter().map(|span| span.duration).collect();
    durations.sort_unstable();
    for (q, found) in [(0.5, red.p50_nano), (0.95, red.p95_nano), (0.99, red.p99_nano)] {
        let rank = (durations.len() as f64 * q).ceil().max(1.0) as usize;
        let Some(exact) = durations.get(rank - 1) else {
            assert_eq!(found, None);
            continue;
        };
        let off = (found.unwrap() - exact).abs() as f64 / *exact as f64;
        assert!(off <= 0.01, "{found:?} is not within 1 % of {exact}");
    }
}

fn check_service(service: &Service, list: &[TestSpan]) {
    let before = TimeRange { start: RANGE.start - (RANGE.end - RANGE.start), end: RANGE.start };
    let own: Vec<&TestSpan> = list.iter().filter(|span| span.service == service.name).collect();
    let of = |range: TimeRange| own.iter().copied().filter(move |span| range.contains(span.start));
    let requests = |range| of(range).filter(|span| is_request(span)).collect::<Vec<_>>();
    assert_eq!(service.span_count, of(RANGE).count() as u64);
    check_red(&service.red, &requests(RANGE), RANGE);
    match &service.previous {
        Some(previous) => check_red(previous, &requests(before), before),
        None => assert_eq!(of(before).count(), 0),
    }
    let newest = of(RANGE).max_by_key(|span| (span.start, span.version)).unwrap();
    assert_eq!(service.last_seen_unix_nano, newest.start);
    assert_eq!(service.version.as_deref(), Some(newest.version));
    let instances: std::collections::HashSet<&str> = of(RANGE).map(|span| span.instance).collect();
    assert_eq!(service.instance_count as usize, instances.len());

    let line = &service.sparkline;
    assert_eq!((line.start_unix_nano, line.step_nano), (RANGE.start, 10 * SECOND));
    assert_eq!((line.requests.len(), line.errors.len(), line.p95_nano.len()), (60, 60, 60));
    for step in 0..60 {
        let start = RANGE.start + step as i64 * line.step_nano;
        let within = requests(TimeRange { start, end: start + line.step_nano });
        assert_eq!(line.requests[step], within.len() as u64);
        assert_eq!(line.errors[step], within.iter().filter(|span| span.status == 2).count() as u64);
        assert_eq!(line.p95_nano[step].is_some(), !within.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn services_and_operations_are_what_counting_one_by_one_gives(
        mut list in proptest::collection::vec(any_span(), 0..60), cut in 0usize..60,
    ) {
        list.iter_mut().zip(1..).for_each(|(span, id)| span.id = id);
        let cut = cut.min(list.len());
        let (services, operations) = block_on(async {
            let fixture = Fixture::new();
            fixture.put(spans(&list[..cut])).await;
            fixture.flush().await;
            fixture.put(spans(&list[cut..])).await;
            let services = fixture.run(|control| services(control, RANGE)).await.unwrap();
            (services, fixture.run(|control| operations(control, "shop", RANGE)).await.unwrap())
        });
        let mut names: Vec<&str> =
            list.iter().filter(|span| RANGE.contains(span.start)).map(|span| span.service).collect();
        names.sort_unstable();
        names.dedup();
        prop_assert_eq!(services.services.iter().map(|service| service.name.as_str()).collect::<Vec<_>>(), names);
        services.services.iter().for_each(|service| check_service(service, &list));

        let own = |span: &&TestSpan| span.service == "shop" && RANGE.contains(span.start);
        let mut keys: Vec<(&str, i32)> = list.iter().filter(own).map(|span| (span.name, span.kind)).collect();
        keys.sort_unstable();
        keys.dedup();
        let found = operations.operations.iter().map(|found| (found.name.as_str(), found.kind));
        let found: Vec<(&str, i32)> = found.collect();
        prop_assert_eq!(found, keys);
        for operation in &operations.operations {
            let same = |span: &&TestSpan| (span.name, span.kind) == (operation.name.as_str(), operation.kind);
            check_red(&operation.red, &list.iter().filter(own).filter(same).collect::<Vec<_>>(), RANGE);
        }
    }
}

#[tokio::test]
async fn ranges_at_the_ends_of_time_are_answered() {
    let fixture = Fixture::new();
    fixture.put(spans(&[TestSpan::default()])).await;
    for range in [
        TimeRange::ALL,
        TimeRange { start: i64::MIN, end: i64::MIN + 1 },
        TimeRange { start: i64::MAX - 1, end: i64::MAX },
        TimeRange { start: NOW - SECOND, end: NOW - SECOND + 1 },
    ] {
        let answer = fixture.run(move |control| services(control, range)).await.unwrap();
        assert_eq!(answer.services.len(), usize::from(range.contains(NOW - SECOND)), "{range:?}");
        for service in &answer.services {
            assert_eq!(service.sparkline.requests.iter().sum::<u64>(), 1);
            assert!(service.sparkline.requests.len() <= 60);
        }
    }
}
