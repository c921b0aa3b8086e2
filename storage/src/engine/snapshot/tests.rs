//! The numbers of spans in a snapshot: those of a block where it has the whole trace, to be asked anew where it has not.

use super::*;
use crate::block::tests::nest::{NUMBERED, plain};
use crate::engine::{DeleteRequest, EngineConfig, Store, Write};
use crate::fs::{SimulatedClock, SimulatedDisk};
use crate::model::schema::column as name;
use crate::model::{SpanBatchBuilder, SpanId};
use crate::scan::Predicate;
use crate::trace::with_numbers;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use bytes::Bytes;

const NOW: i64 = 1_795_435_200_000_000_000;
const TRACE: TraceId = TraceId([7; 16]);

fn store() -> Store {
    let mut config = EngineConfig::new("/data");
    config.min_free_bytes = 0;
    config.compaction.fan_in = 2;
    let decoder = |_: Signal, _: i64, _: &[u8]| Err("nothing is replayed".to_owned());
    Store::open(config, Arc::new(SimulatedDisk::new(1)), Arc::new(SimulatedClock::at(NOW)), &decoder).unwrap()
}

/// Commits spans of one trace: id and parent.
fn commit(store: &Store, spans: &[(u8, Option<u8>)]) {
    let mut builder = SpanBatchBuilder::default();
    for (id, parent) in spans {
        let parent = parent.map(|parent| SpanId([parent; 8]));
        builder.append(&plain(TRACE, SpanId([*id; 8]), parent, NOW + i64::from(*id), 1)).unwrap();
    }
    let batch = builder.finish().unwrap();
    let (tenant, payload) = (TenantId::default(), Bytes::from_static(b"x"));
    store.commit(&[Write { tenant, signal: Signal::Spans, received_at: NOW, payload, batch }]).unwrap();
}

fn flush(store: &Store) {
    store.seal().unwrap();
    while !store.view().sealed.is_empty() {
        store.flush().unwrap();
    }
}

fn snapshot(store: &Store) -> Snapshot {
    store.snapshot(&TenantId::default())
}

fn read(store: &Store, columns: &[&'static str]) -> Vec<RecordBatch> {
    let request = ScanRequest { predicate: Predicate::Trace(TRACE), ..ScanRequest::all(columns.iter().copied()) };
    snapshot(store).scan(Signal::Spans, request).unwrap().collect::<Result<_>>().unwrap()
}

/// The parents' numbers by start.
fn parents(batches: &[RecordBatch]) -> Vec<Option<i32>> {
    let mut found: Vec<(i64, Option<i32>)> = Vec::new();
    for batch in batches {
        let starts = crate::block::tests::as_i64(batch.column_by_name(name::START).unwrap());
        let parents = batch.column_by_name(name::NESTED_SET_PARENT).unwrap().as_primitive::<Int32Type>();
        found.extend(starts.into_iter().zip(parents.iter()));
    }
    found.sort_unstable();
    found.into_iter().map(|(_, parent)| parent).collect()
}

#[test]
fn late_spans_are_numbered_by_who_reads_and_then_by_the_merge() {
    let store = store();
    commit(&store, &[(1, None), (2, Some(1)), (4, Some(3))]);
    assert!(!snapshot(&store).holds_trace_whole(&TRACE).unwrap(), "rows in memory");
    assert_eq!(parents(&read(&store, &NUMBERED)), [None, None, None]);
    flush(&store);
    assert!(snapshot(&store).holds_trace_whole(&TRACE).unwrap());
    assert_eq!(parents(&read(&store, &NUMBERED)), [Some(-1), Some(1), Some(0)]);

    commit(&store, &[(3, Some(2))]);
    assert!(!snapshot(&store).holds_trace_whole(&TRACE).unwrap(), "rows in memory and in a block");
    flush(&store);
    assert!(!snapshot(&store).holds_trace_whole(&TRACE).unwrap(), "two blocks");
    assert_eq!(parents(&read(&store, &NUMBERED)), [Some(-1), Some(1), Some(0), Some(0)], "each block's own");
    let whole = [name::TRACE_ID, name::SPAN_ID, name::PARENT_SPAN_ID, name::START, name::KIND];
    let numbered = with_numbers(&read(&store, &whole)).unwrap();
    assert_eq!(parents(&numbered), [Some(-1), Some(1), Some(2), Some(3)]);

    assert!(store.compact(&mut |_| Ok(())).unwrap());
    assert!(snapshot(&store).holds_trace_whole(&TRACE).unwrap());
    assert_eq!(parents(&read(&store, &NUMBERED)), [Some(-1), Some(1), Some(2), Some(3)]);
}

#[test]
fn a_block_with_hidden_rows_does_not_tell_the_numbers_of_what_is_shown() {
    let store = store();
    commit(&store, &[(1, None), (2, Some(1)), (3, Some(2))]);
    flush(&store);
    let request = DeleteRequest {
        tenant: TenantId::default(),
        signal: Signal::Spans,
        time: TimeRange::ALL,
        predicate: Predicate::Span(SpanId([2; 8])),
    };
    store.delete(&request).unwrap();
    assert!(!snapshot(&store).holds_trace_whole(&TRACE).unwrap());
    assert_eq!(parents(&read(&store, &NUMBERED)), [Some(-1), Some(2)], "as if all rows were shown");
}

#[test]
fn many_late_spans_of_traces_in_blocks_stay_and_those_that_came_again_go() {
    let send = |store: &Store, traces: std::ops::Range<u16>, span: u8| {
        let mut builder = SpanBatchBuilder::default();
        for trace in traces {
            let mut id = [7; 16];
            id[..2].copy_from_slice(&trace.to_be_bytes());
            let start = NOW + i64::from(trace) * 1_000 + i64::from(span);
            let own = SpanId([&[span; 6][..], &trace.to_be_bytes()].concat().try_into().unwrap());
            builder.append(&plain(TraceId(id), own, None, start, 1)).unwrap();
        }
        let batch = builder.finish().unwrap();
        let (tenant, payload) = (TenantId::default(), Bytes::from_static(b"x"));
        store.commit(&[Write { tenant, signal: Signal::Spans, received_at: NOW, payload, batch }]).unwrap();
    };
    let count = |store: &Store| {
        let request = ScanRequest::all([name::SPAN_ID]);
        let batches = snapshot(store).scan(Signal::Spans, request).unwrap();
        batches.map(|batch| batch.unwrap().num_rows()).sum::<usize>()
    };
    let spans_of = |store: &Store, trace: u16| {
        let mut id = [7; 16];
        id[..2].copy_from_slice(&trace.to_be_bytes());
        let request =
            ScanRequest { predicate: Predicate::Trace(TraceId(id)), ..ScanRequest::all([name::START, name::SPAN_ID]) };
        let mut scan = snapshot(store).scan(Signal::Spans, request).unwrap();
        let mut starts: Vec<i64> = Vec::new();
        for batch in scan.by_ref() {
            starts.extend(crate::block::tests::as_i64(batch.unwrap().column_by_name(name::START).unwrap()));
        }
        starts.sort_unstable();
        assert!(scan.progress().blocks_read > 0 || scan.progress().rows_scanned == starts.len() as u64);
        starts.into_iter().map(|start| start - NOW - i64::from(trace) * 1_000).collect::<Vec<_>>()
    };
    for read_before in [false, true] {
        let store = store();
        send(&store, 0..1_500, 1);
        assert_eq!(spans_of(&store, 50), [1]);
        flush(&store);
        // Late ones of all traces, and some that came before, in batches that stay apart and in one that is too small to be sifted.
        send(&store, 0..1_500, 2);
        send(&store, 100..1_400, 1);
        send(&store, 0..100, 1);
        send(&store, 0..100, 3);
        if read_before {
            assert_eq!([50, 100, 1_500].map(|trace| spans_of(&store, trace)), [vec![1, 2, 3], vec![1, 2], vec![]]);
            assert_eq!(count(&store), 3_100);
        }
        flush(&store);
        assert_eq!(count(&store), 3_100, "read before: {read_before}");
    }
}
