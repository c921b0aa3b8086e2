use super::*;
use crate::fixture::{Fixture, NOW, SECOND, TestLog, TestSpan, logs, spans};
use query_api::otlp::AnyValue;
use storage::scan::AttributeScope;

const RANGE: TimeRange = TimeRange { start: NOW - 100 * SECOND, end: NOW };

fn query(signal: Signal, by: Option<Dimension>) -> VolumeQuery {
    VolumeQuery {
        signal,
        range: RANGE,
        predicate: Predicate::All,
        step: Step::Parts(10),
        by,
        measure: Measure::RowsAndBytes,
        limit: 20,
    }
}

/// A hundred records, a second apart; every tenth is an error.
async fn fixture() -> Fixture {
    let fixture = Fixture::new();
    let log = |n: i64| TestLog {
        time: NOW - n * SECOND,
        severity: if n % 10 == 0 { 18 } else { 9 },
        body: "four".into(),
        attributes: vec![("k", if n % 2 == 0 { "even" } else { "odd" })],
        ..TestLog::default()
    };
    fixture.put(logs(&(1..=100).map(log).collect::<Vec<_>>())).await;
    let span = |n: u64| TestSpan {
        id: n,
        start: NOW - SECOND,
        service: ["a", "b", "c"][n as usize % 3],
        status: i32::from(n == 1) * 2,
        ..TestSpan::default()
    };
    fixture.put(spans(&(1..=7).map(span).collect::<Vec<_>>())).await;
    fixture
}

#[tokio::test]
async fn v1_rows_are_counted_per_step_and_group_wherever_they_lie() {
    let fixture = fixture().await;
    for flushed in [false, true] {
        if flushed {
            fixture.flush().await;
        }
        let asked = query(Signal::Logs, Some(Dimension::Severity));
        let answer = fixture.run(move |control| volume(control, &asked)).await.unwrap();
        let names: Vec<&str> = answer.groups.iter().map(|group| group.name.as_str()).collect();
        assert_eq!(names, ["info", "error"]);
        assert_eq!(answer.step_nano, 10 * SECOND);
        assert_eq!(answer.groups[0].rows, [9; 10]);
        assert_eq!(answer.groups[1].rows, [1; 10]);
        assert!(answer.groups[0].bytes.iter().all(|bytes| *bytes > 9 * 4));
        assert_eq!(answer.stats.rows_matched, 100);

        let whole = VolumeQuery { step: Step::Parts(1), ..query(Signal::Logs, None) };
        let answer = fixture.run(move |control| volume(control, &whole)).await.unwrap();
        assert_eq!(answer.groups[0].rows, [100]);
        assert_eq!(answer.stats.rows_scanned, if flushed { 0 } else { 100 }, "a whole block is not read");
    }
}

#[tokio::test]
async fn groups_beyond_the_limit_are_added_up() {
    let fixture = fixture().await;
    let asked = VolumeQuery { limit: 1, ..query(Signal::Spans, Some(Dimension::Service)) };
    let answer = fixture.run(move |control| volume(control, &asked)).await.unwrap();
    assert_eq!(answer.groups.iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(answer.groups[0].rows.iter().sum::<u64>(), 3);
    assert_eq!(answer.others.unwrap().rows.iter().sum::<u64>(), 4);

    let asked = query(Signal::Spans, Some(Dimension::Status));
    let answer = fixture.run(move |control| volume(control, &asked)).await.unwrap();
    let totals: Vec<(&str, u64)> =
        answer.groups.iter().map(|group| (group.name.as_str(), group.rows.iter().sum())).collect();
    assert_eq!(totals, [("unset", 6), ("error", 1)]);
    assert_eq!(answer.others, None);
}

#[tokio::test]
async fn keys_and_values_are_those_of_blocks_and_memory() {
    let fixture = fixture().await;
    fixture.flush().await;
    fixture.put(logs(&[TestLog { time: NOW - SECOND, attributes: vec![("k", "new")], ..TestLog::default() }])).await;
    let rows = AttributesQuery { signal: Signal::Logs, range: RANGE };
    let asked = rows.clone();
    let answer = fixture.run(move |control| keys(control, &asked)).await.unwrap();
    let own: Vec<_> = answer.attributes.iter().filter(|key| key.scope == "own").collect();
    assert!(answer.complete);
    assert_eq!((own.len(), own[0].key.as_str(), own[0].r#type.as_str(), own[0].rows), (1, "k", "string", 101));
    assert!(answer.attributes.iter().any(|key| key.key == "service.name" && key.scope == "resource"));

    let asked = |prefix: &str, limit| ValuesQuery {
        rows: rows.clone(),
        scope: AttributeScope::Any,
        key: "k".into(),
        prefix: prefix.into(),
        limit,
    };
    let found = async |asked: ValuesQuery| {
        let answer = fixture.run(move |control| values(control, &asked)).await.unwrap();
        let values = answer.values.into_iter().map(|value| match value.value {
            AnyValue::StringValue(text) => (text, value.rows),
            other => panic!("{other:?}"),
        });
        (values.collect::<Vec<_>>(), answer.complete)
    };
    let (all, complete) = found(asked("", 10)).await;
    assert_eq!(all, [("odd".to_owned(), 50), ("even".to_owned(), 50), ("new".to_owned(), 1)]);
    assert!(complete);
    assert_eq!(found(asked("o", 10)).await, (vec![("odd".to_owned(), 50)], true));
    let (few, complete) = found(asked("", 1)).await;
    assert_eq!((few.len(), complete), (1, false));
}
