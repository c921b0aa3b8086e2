use super::*;
use crate::model::attribute::{Map, MapBuilder, Value};
use crate::model::origin::{Resource, Scope};
use crate::model::schema::column;
use crate::model::{Span, SpanBatchBuilder, SpanId, TraceId};
use crate::scan::{Predicate, Scalar, ScanRequest};
use std::time::Duration;

/// Spans by number; the attributes are given in the order of `keys`.
fn spans(numbers: &[u64], keys: &[&str]) -> Batch {
    let mut builder = SpanBatchBuilder::default();
    builder.set_resource(&Resource::default());
    builder.set_scope(&Scope::default());
    let mut attributes = MapBuilder::default();
    keys.iter().for_each(|key| attributes.push(key, Value::Int(1)));
    let attributes = attributes.finish();
    for number in numbers {
        let span = Span {
            flags: 1,
            name: "GET /",
            kind: 2,
            start: (*number).cast_signed(),
            duration: 5,
            attributes: Map::new(&attributes),
            ..Span::new(TraceId((u128::from(*number / 10) + 1).to_be_bytes()), SpanId((number + 1).to_be_bytes()))
        };
        builder.append(&span).unwrap();
    }
    builder.finish().unwrap()
}

fn rows(generation: &Generation) -> usize {
    let batches = generation.batches(&TenantId::default(), Signal::Spans);
    let request = ScanRequest::all([column::START]);
    batches
        .iter()
        .filter_map(|batch| batch.scan(&request, 0, |_, error| Err(error)).unwrap().1)
        .map(|batch| batch.num_rows())
        .sum()
}

fn insert(generation: &Generation, batch: Batch, sealed: &[Arc<Generation>]) -> usize {
    generation.insert(&TenantId::default(), batch, sealed, &[]).unwrap()
}

#[test]
fn g3_a_repeated_span_is_one_row_within_a_batch_between_batches_and_across_generations() {
    let first = Arc::new(Generation::new(1, Duration::ZERO));
    assert_eq!(insert(&first, spans(&[1, 2, 2, 3], &["a", "b"]), &[]), 3);
    assert_eq!(insert(&first, spans(&[2, 4], &["b", "a"]), &[]), 1);
    let second = Generation::new(2, Duration::ZERO);
    assert_eq!(insert(&second, spans(&[1, 3, 5], &["a", "b"]), &[Arc::clone(&first)]), 1);
    assert_eq!((rows(&first), rows(&second)), (4, 1));
}

#[test]
fn g3_a_span_with_other_content_is_another_row() {
    let generation = Generation::new(1, Duration::ZERO);
    insert(&generation, spans(&[1], &["a"]), &[]);
    assert_eq!(insert(&generation, spans(&[1], &["a", "b"]), &[]), 1);
    assert_eq!(rows(&generation), 2);
}

#[test]
fn small_batches_are_merged_and_no_row_is_lost() {
    let generation = Generation::new(1, Duration::ZERO);
    for number in 0..2_000 {
        insert(&generation, spans(&[number], &["a"]), &[]);
    }
    assert_eq!(rows(&generation), 2_000);
    let batches = generation.batches(&TenantId::default(), Signal::Spans).len();
    assert!(batches <= 2_000 / SMALL_BATCH_ROWS + 9, "{batches} batches");
}

#[test]
fn a_trace_is_read_from_the_batches_that_have_it_and_in_the_columns_that_are_asked_for() {
    let generation = Generation::new(1, Duration::ZERO);
    for batch in 0..20 {
        let numbers: Vec<u64> = (batch * 305..(batch + 1) * 305).collect();
        insert(&generation, spans(&numbers, &["a"]), &[]);
    }
    let batches = generation.batches(&TenantId::default(), Signal::Spans);
    assert_eq!(batches.len(), 20);
    let trace = |number: u64| TraceId((u128::from(number / 10) + 1).to_be_bytes());
    // The last five spans of the first batch, and the first five of the second, are one trace.
    for (number, expected) in [(1_250, vec![10]), (305, vec![5, 5]), (9_999, vec![])] {
        let predicate = Predicate::Trace(trace(number)).and(Predicate::equal(column::KIND, Scalar::Int(2)));
        let request = ScanRequest { predicate, ..ScanRequest::all([column::SPAN_ID]) };
        let scanned = batches.iter().map(|batch| batch.scan(&request, 0, |_, error| Err(error)).unwrap());
        let found: Vec<(usize, Option<RecordBatch>)> = scanned.filter(|(looked_at, _)| *looked_at > 0).collect();
        assert_eq!(found.iter().map(|(looked_at, _)| *looked_at).collect::<Vec<_>>(), expected);
        for (looked_at, rows) in found {
            let rows = rows.unwrap();
            assert_eq!(
                (rows.num_rows(), rows.num_columns(), rows.schema_ref().field(0).name().as_str()),
                (looked_at, 1, "span_id")
            );
        }
    }
    let wanted = HashSet::from([trace(305), trace(1_250), trace(9_999)]);
    let read = |batch: &Arc<MemBatch>| batch.of_traces(&wanted, &[column::NAME], 0, |_, error| Err(error)).unwrap();
    let rows: Vec<usize> = batches.iter().filter_map(read).map(|rows| rows.num_rows()).collect();
    assert_eq!(rows, [5, 5, 10]);
}

#[test]
fn tenants_do_not_see_each_other() {
    let generation = Generation::new(1, Duration::ZERO);
    insert(&generation, spans(&[1], &[]), &[]);
    let other = TenantId::new("other").unwrap();
    assert!(generation.batches(&other, Signal::Spans).is_empty());
    assert_eq!(generation.insert(&other, spans(&[1], &[]), &[], &[]).unwrap(), 1);
}

#[test]
fn a_batch_without_rows_adds_none() {
    let generation = Generation::new(1, Duration::ZERO);
    assert_eq!(insert(&generation, spans(&[], &[]), &[]), 0);
    assert!(generation.is_empty());
}
