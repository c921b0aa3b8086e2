//! What is told before an answer is whole, is it of the answer?

use crate::error::{Error, Result};
use crate::exec::Control;
use crate::fixture::{Fixture, NOW, SECOND, TestSpan, spans, trace};
use crate::traceql::{Answer, Axis, SearchQuery, Series, Told, parse};
use query_api::trace::Order;
use std::time::Duration;
use storage::scan::TimeRange;

/// Traces of two spans each, in several blocks and in memory.
async fn stored() -> Fixture {
    let fixture = Fixture::new();
    let names = ["a", "b", "c", "d"];
    for number in 1..=40u8 {
        let (start, name) = (NOW - i64::from(number) * SECOND, names[usize::from(number) / 10 % 4]);
        let span = |id, parent| TestSpan { trace: number, id, parent, name, start, ..TestSpan::default() };
        fixture.put(spans(&[span(1, None), span(2, Some(1))])).await;
        if number % 10 == 0 && number < 40 {
            fixture.flush().await;
        }
    }
    fixture
}

fn search(limit: usize) -> SearchQuery {
    SearchQuery { range: TimeRange::ALL, order: Order::Newest, limit, spans_per_set: 3, after: None }
}

#[tokio::test]
async fn f4_traces_are_told_in_their_place_before_the_others_are_asked() {
    let fixture = stored().await;
    for query in ["{}", "{ name = \"a\" } || { name != \"a\" }", "{} > {}"] {
        let asked = parse(query).unwrap().search().unwrap();
        let (told, rows) = fixture
            .run(move |control| {
                let (mut told, mut rows) = (Vec::new(), Vec::new());
                asked.tell(control, &search(40), &mut |next| {
                    if let Some(found) = next.trace() {
                        told.push(found.summary.trace_id);
                        rows.push(control.stats().rows_scanned);
                    }
                    Ok(())
                })?;
                Ok((told, rows))
            })
            .await
            .unwrap();
        assert_eq!(told, (1..=40).map(|number| trace(number).to_string()).collect::<Vec<_>>(), "{query}");
        assert!(rows[0] < rows[20] && rows[20] < rows[38], "{query}: {rows:?}");
    }
}

#[tokio::test]
async fn f3_a_page_of_exact_proposals_is_whole_after_one_scan() {
    let fixture = stored().await;
    for limit in [1, 20, 39] {
        let asked = parse("{ name != \"x\" }").unwrap().search().unwrap();
        let search = move |control: &Control| {
            let (mut traces, mut scans) = (0, 1);
            let last = asked.tell(control, &search(limit), &mut |next| {
                scans += usize::from(matches!(next, Told::Scanning));
                traces += usize::from(next.trace().is_some());
                Ok(())
            })?;
            Ok((traces, scans, last.is_some()))
        };
        assert_eq!(fixture.run(search).await.unwrap(), (limit, 1, true));
    }
}

#[tokio::test]
async fn f4_a_reader_that_has_enough_ends_the_search() {
    let fixture = stored().await;
    let asked = parse("{}").unwrap().search().unwrap();
    let ended = fixture.run(move |control| asked.tell(control, &search(40), &mut |_| Err(Error::Cancelled)).map(drop));
    assert!(matches!(ended.await, Err(Error::Cancelled)));
}

/// What is told of a query early, and in the end.
fn grown(control: &Control, query: &str) -> Result<(Vec<Answer>, Answer)> {
    let query = parse(query)?.metrics()?;
    let axis = Axis::steps(TimeRange { start: NOW - 60 * SECOND, end: NOW }, 20 * SECOND)?;
    let mut early = Vec::new();
    let answer = query.growing(control, &axis, 5, Duration::ZERO, &mut |so_far| {
        early.push(so_far);
        Ok(())
    })?;
    // Not a number is not equal to itself.
    assert_eq!(format!("{answer:?}"), format!("{:?}", query.series(control, &axis, 5)?));
    Ok((early, answer))
}

#[tokio::test]
async fn s6_series_grow_to_the_answer() {
    let fixture = stored().await;
    for (query, is_early) in [
        ("{} | rate() by (name)", true),
        ("{} > {} | count_over_time() by (name)", true),
        ("({ name != \"x\" } | rate() by (name)) * 100", true),
        ("({} | rate() by (name)) / ({ kind = server } | rate() by (name))", true),
        ("{} | histogram_over_time(duration) by (name)", true),
        ("{} | rate() by (name) | topk(2)", false),
        ("{} | rate() by (name) > 0", false),
        ("{} | compare({ name = \"a\" })", false),
        ("{} | rate()", true),
    ] {
        let (early, answer) = fixture.run(move |control| grown(control, query)).await.unwrap();
        assert_eq!(!early.is_empty(), is_early, "{query}");
        for so_far in &early {
            assert!(so_far.series.iter().all(|series| series.exemplars.is_empty()), "{query}");
            let stays = |early: &Series| answer.series.iter().any(|series| series.labels == early.labels);
            assert!(so_far.series.iter().all(stays), "{query}: {so_far:?} of {answer:?}");
        }
        let counts = |answer: &Answer| answer.series.iter().flat_map(|series| &series.values).sum::<f64>();
        if is_early && !query.contains('/') {
            assert!(counts(&early[0]) < counts(&answer), "{query}: the first is of a part");
            assert!(early.is_sorted_by(|one, next| counts(one) <= counts(next)), "{query}");
        }
    }
}
