use super::*;
use crate::fixture::{Fixture, NOW, SECOND, TestLog, block_on, logs};
use proptest::prelude::*;
use query_api::log::LogRecord;
use query_api::otlp::AnyValue;
use storage::model::schema::column;
use storage::scan::{Compare, Field, Scalar};

const RANGE: TimeRange = TimeRange { start: NOW - 3600 * SECOND, end: NOW };

fn at_least(severity: i32) -> Predicate {
    let field = Field::Column(column::SEVERITY_NUMBER);
    Predicate::Compare { field, compare: Compare::GreaterOrEqual, value: Scalar::Int(severity.into()) }
}

async fn pages(fixture: &Fixture, predicate: Predicate, limit: usize) -> Vec<Vec<LogRecord>> {
    let mut query = SearchQuery { filter: Filter { range: RANGE, predicate }, limit, after: None };
    let mut pages = Vec::new();
    loop {
        let asked = query.clone();
        let (page, last) = fixture.run(move |control| search(control, &asked)).await.unwrap();
        pages.push(page);
        if last.is_none() {
            return pages;
        }
        query.after = last;
        assert!(pages.len() < 200, "paging does not end");
    }
}

/// Few times and few bodies: many ties, and records that are equal altogether.
fn any_log() -> impl Strategy<Value = TestLog> {
    let times = prop_oneof![(1i64..4).prop_map(|at| NOW - at), Just(NOW), Just(RANGE.start), Just(RANGE.start - 1)];
    (times, 0i32..26, "[xy]", proptest::bool::ANY).prop_map(|(time, severity, body, tagged)| TestLog {
        time,
        severity: if severity < 13 { 9 } else { severity },
        body,
        attributes: if tagged { vec![("k", "v")] } else { vec![] },
        ..TestLog::default()
    })
}

fn body(record: &LogRecord) -> String {
    match &record.body {
        Some(AnyValue::StringValue(text)) => text.clone(),
        other => panic!("{other:?} is not text"),
    }
}

/// What a test log looks like from outside.
fn seen(record: &LogRecord) -> (i64, i32, String, bool) {
    (record.time_unix_nano, record.severity_number, body(record), !record.attributes.is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn g1_the_union_of_all_pages_is_the_whole_list_doubles_included(
        list in proptest::collection::vec(any_log(), 0..40),
        cuts in [0usize..40, 0..40],
        limit in 1usize..7,
        severity in prop_oneof![Just(0), Just(13)],
    ) {
        let mut cuts = cuts.map(|cut| cut.min(list.len()));
        cuts.sort_unstable();
        let (found, whole) = block_on(async {
            let fixture = Fixture::new();
            fixture.put(logs(&list[..cuts[0]])).await;
            fixture.flush().await;
            fixture.put(logs(&list[cuts[0]..cuts[1]])).await;
            fixture.put(logs(&list[cuts[1]..])).await;
            let found = pages(&fixture, at_least(severity), limit).await;
            // The order must not depend on where rows lie.
            fixture.flush().await;
            (found, pages(&fixture, at_least(severity), 5000).await)
        });
        for page in found.iter().rev().skip(1) {
            prop_assert_eq!(page.len(), limit, "only the last page is short");
        }
        let flat: Vec<LogRecord> = found.into_iter().flatten().collect();
        prop_assert_eq!(&flat, &whole.concat());
        prop_assert!(flat.is_sorted_by_key(|record| -record.time_unix_nano));

        let mut found: Vec<_> = flat.iter().map(seen).collect();
        let wanted = list.iter().filter(|log| RANGE.contains(log.time) && log.severity >= severity);
        let mut wanted: Vec<_> =
            wanted.map(|log| (log.time, log.severity, log.body.clone(), !log.attributes.is_empty())).collect();
        found.sort();
        wanted.sort();
        prop_assert_eq!(found, wanted);
    }

    #[test]
    fn the_histogram_counts_every_record_once(
        list in proptest::collection::vec(any_log(), 0..60), buckets in 1u64..100,
    ) {
        let batch = logs(&list);
        let answer = block_on(async {
            let fixture = Fixture::new();
            fixture.put(batch).await;
            let filter = Filter { range: RANGE, predicate: Predicate::All };
            fixture.run(move |control| histogram(control, &filter, buckets)).await.unwrap()
        });
        let steps = (RANGE.end - RANGE.start).cast_unsigned().div_ceil(answer.step_nano.cast_unsigned());
        prop_assert!(steps <= buckets);
        for (level, name) in LEVELS.iter().enumerate() {
            let own = list.iter().filter(|log| RANGE.contains(log.time) && severity::level_of(log.severity) == level);
            let counts = answer.levels.iter().find(|counts| counts.level == *name).map(|counts| counts.counts.clone());
            let mut expected = vec![0u64; usize::try_from(steps).unwrap()];
            own.clone().for_each(|log| expected[((log.time - RANGE.start) / answer.step_nano) as usize] += 1);
            prop_assert_eq!(counts, (own.count() > 0).then_some(expected));
        }
    }
}

#[tokio::test]
async fn a_record_is_given_back_with_everything_it_was_sent_with() {
    let fixture = Fixture::new();
    let log = TestLog { trace: Some(5), event: "checkout", attributes: vec![("k", "v")], ..TestLog::default() };
    fixture.put(logs(std::slice::from_ref(&log))).await;
    let found = pages(&fixture, Predicate::All, 10).await.concat();
    let [record] = found.as_slice() else { panic!("{} records", found.len()) };
    assert_eq!(seen(record), (log.time, 9, "hello".into(), true));
    assert_eq!((record.observed_time_unix_nano, record.flags), (log.time + 1, 1));
    assert_eq!((record.event_name.as_str(), record.service.as_str()), ("checkout", "shop"));
    assert_eq!((record.trace_id.as_str(), record.span_id.as_str()), (&*"05".repeat(16), "0000000000000001"));
    assert_eq!((record.scope_name.as_str(), record.scope_version.as_str()), ("logger", "2"));
    assert_eq!(record.resource.len(), 1);
}
