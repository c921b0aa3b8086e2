use super::*;
use crate::fixture::{Fixture, TestSpan, context, spans};
use query_api::error::Class;
use std::sync::mpsc;
use storage::model::Signal;
use storage::model::schema::column;
use storage::scan::{ScanOrder, ScanRequest, TimeRange};

fn one_at_a_time(queue: usize) -> Config {
    Config { concurrency: 1, queue, ..Config::default() }
}

/// A query that says when it runs, and runs until it is told to go on.
fn waiting(
    started: mpsc::Sender<()>,
    go_on: mpsc::Receiver<()>,
) -> impl FnOnce(&Control) -> Result<()> + Send + 'static {
    move |control| {
        control.charge(1000)?;
        started.send(()).unwrap();
        go_on.recv().unwrap();
        control.check()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn x3_a_dropped_query_stops_its_scan_and_frees_permit_and_memory() {
    let fixture = Fixture::new();
    // Each write is a batch of its own in memory, and so a batch of the scan.
    for id in 1..=5 {
        fixture.put(spans(&[TestSpan { id, ..TestSpan::default() }])).await;
    }
    let executor = Arc::new(fixture.executor(one_at_a_time(4)));
    let (started, has_started) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let (ended, has_ended) = mpsc::channel();
    let query = {
        let executor = executor.clone();
        tokio::spawn(async move {
            let job = move |control: &Control| {
                let mut batches = 0;
                control.charge(1000)?;
                let outcome = control.scan(Signal::Spans, ScanRequest::all([column::START]), |_| {
                    batches += 1;
                    started.send(()).unwrap();
                    may_go_on.recv().unwrap();
                    Ok(())
                });
                ended.send((batches, matches!(outcome, Err(Error::Cancelled)))).unwrap();
                outcome
            };
            executor.run(context(), job).await
        })
    };
    tokio::task::block_in_place(|| has_started.recv()).unwrap();
    assert_eq!(executor.usage().running, 1);
    assert!(executor.usage().memory_bytes > 1000);

    query.abort();
    assert!(query.await.unwrap_err().is_cancelled());
    go_on.send(()).unwrap();
    let (batches, was_cancelled) = tokio::task::block_in_place(|| has_ended.recv()).unwrap();
    assert_eq!((batches, was_cancelled), (1, true), "the scan went on after its client had left");

    // With one permit, this runs only once the first query's is back; its memory was given back before.
    executor.run(context(), |_| Ok(())).await.unwrap();
    assert_eq!(executor.usage().memory_bytes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn x2_one_query_more_than_run_and_wait_is_refused_at_once() {
    let fixture = Fixture::new();
    let executor = Arc::new(fixture.executor(one_at_a_time(1)));
    let (started, has_started) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let (second_started, second_has_started) = mpsc::channel();
    let (second_go_on, second_may_go_on) = mpsc::channel();
    let spawn = |job| {
        let executor = executor.clone();
        tokio::spawn(async move { executor.run(context(), job).await })
    };
    let first = spawn(Box::new(waiting(started, may_go_on)) as Box<dyn FnOnce(&Control) -> Result<()> + Send>);
    tokio::task::block_in_place(|| has_started.recv()).unwrap();
    let second = spawn(Box::new(waiting(second_started, second_may_go_on)));
    while executor.usage().waiting == 0 {
        tokio::task::yield_now().await;
    }
    let refused = executor.run(context(), |_| Ok(())).await.unwrap_err();
    assert!(matches!(refused, Error::Busy { .. }) && refused.class() == Class::Unavailable, "{refused:?}");

    // A query that waits and is dropped leaves its place.
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled());
    assert_eq!(executor.usage().waiting, 0);
    drop(second_go_on);
    assert!(second_has_started.recv().is_err(), "a dropped query ran");
    go_on.send(()).unwrap();
    first.await.unwrap().unwrap();
    executor.run(context(), |_| Ok(())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn x3_a_query_past_its_deadline_is_answered_at_once_and_ends() {
    let fixture = Fixture::new();
    let executor = fixture.executor(one_at_a_time(1));
    let (started, _has_started) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let short = QueryContext { timeout: Duration::from_millis(20), ..context() };
    // The query itself hears of nothing until it checks, and still the caller is answered.
    let outcome = executor.run(short.clone(), waiting(started, may_go_on)).await;
    assert!(matches!(outcome, Err(Error::Deadline { .. })), "{outcome:?}");
    // Its permit is still taken, so that waiting takes all the time that there is.
    let outcome = executor.run(short, |_| Ok(())).await;
    assert!(matches!(outcome, Err(Error::Busy { .. })), "{outcome:?}");
    go_on.send(()).unwrap();
    executor.run(context(), |_| Ok(())).await.unwrap();
    assert_eq!(executor.usage().memory_bytes, 0);
}

#[tokio::test]
async fn x4_a_query_that_panics_is_an_error_of_its_own() {
    let fixture = Fixture::new();
    let executor = fixture.executor(one_at_a_time(1));
    let outcome = executor.run(context(), |control| -> Result<()> {
        control.charge(77)?;
        panic!("on purpose")
    });
    let error = outcome.await.unwrap_err();
    assert_eq!(error.class(), Class::Bug);
    assert!(!error.body().error.message.contains("purpose"));
    executor.run(context(), |_| Ok(())).await.unwrap();
    assert_eq!(executor.usage().memory_bytes, 0);
}

#[tokio::test]
async fn a_query_that_holds_too_much_or_collects_too_much_is_told_so() {
    let fixture = Fixture::new();
    fixture.put(spans(&[TestSpan::default()])).await;
    let executor = fixture.executor(Config { memory_per_query: 2 << 20, max_rows: 10, ..Config::default() });
    let message = |outcome: Result<()>| match outcome {
        Err(Error::Limit { message }) => message,
        other => panic!("{other:?}"),
    };
    let outcome = executor
        .run(context(), |control| {
            control.charge(1 << 20)?;
            control.release(1 << 20);
            // Held bytes come back by themselves.
            (0..10).try_for_each(|_| control.hold(1 << 20).map(drop))?;
            control.charge(3 << 20)
        })
        .await;
    assert!(message(outcome).contains("2 MiB"));
    let outcome = executor.run(context(), |control| control.collect(10).and_then(|()| control.collect(1))).await;
    assert!(message(outcome).contains("10 rows"));

    let tiny = fixture.executor(Config { memory_per_query: 10, ..Config::default() });
    let scan = |control: &Control| control.scan(Signal::Spans, ScanRequest::all([column::START]), |_| Ok(()));
    assert!(matches!(tiny.run(context(), scan).await, Err(Error::Limit { .. })), "a batch counts");
    assert_eq!((tiny.usage().memory_bytes, executor.usage().memory_bytes), (0, 0));
}

#[tokio::test]
async fn what_it_takes_to_find_traces_counts() {
    use storage::engine::TraceRequest;
    let fixture = Fixture::new();
    let list: Vec<TestSpan> = (1..=200).map(|trace| TestSpan { trace, ..TestSpan::default() }).collect();
    fixture.put(spans(&list)).await;
    fixture.flush().await;
    let find = |control: &Control| {
        let request =
            TraceRequest { time: TimeRange::ALL, order: ScanOrder::Any, threshold: None, conditions: Vec::new() };
        control.traces(request).map(|scan| scan.is_some())
    };
    let asked = async |config| fixture.executor(config).run(context(), find).await;
    let error = asked(Config { memory_per_query: 2000, ..Config::default() }).await.unwrap_err();
    assert_eq!(error.class(), Class::Limit, "{error}");
    assert!(asked(Config::default()).await.unwrap());
}
