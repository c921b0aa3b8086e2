//! Rows of unusual shape come back as they were.

use super::*;
use crate::model::attribute::{Map, MapBuilder, Value};
use crate::model::origin::{Resource, Scope};
use crate::model::{Span, SpanBatchBuilder, SpanId};

fn span<'a>(id: u8, parent: Option<u8>, start: i64, attributes: &'a [u8]) -> Span<'a> {
    Span {
        parent_span_id: parent.map(|id| SpanId([id; 8])),
        name: "n",
        kind: 1,
        start,
        duration: 1,
        attributes: Map::new(attributes),
        ..Span::new(TraceId([7; 16]), SpanId([id; 8]))
    }
}

fn batch<'a>(spans: impl IntoIterator<Item = Span<'a>>) -> Batch {
    let mut builder = SpanBatchBuilder::default();
    builder.set_resource(&Resource::default());
    builder.set_scope(&Scope::default());
    spans.into_iter().for_each(|span| builder.append(&span).unwrap());
    builder.finish().unwrap()
}

fn check(batches: &[Batch], config: &BlockConfig) -> Arc<Block> {
    let (block, _disk) = store(Signal::Spans, batches, config);
    let answer = scan_all(&block, ScanRequest::all(all_columns(Signal::Spans)));
    assert!(rows(&answer) == rows(&record_batches(batches)), "rows differ");
    block
}

#[test]
fn parents_of_every_shape_come_back() {
    let spans = [
        span(1, None, 0, b""),
        span(2, Some(1), 1, b""), // before it
        span(3, Some(9), 2, b""), // nowhere
        span(4, Some(4), 3, b""), // itself
        span(5, Some(6), 4, b""), // after it
        span(6, Some(5), 5, b""), // a cycle
        span(6, Some(5), 5, b""), // twice
    ];
    let block = check(&[batch(spans)], &BlockConfig::default());
    // Only the spans whose parent is wanted are read, not the parents.
    let request = ScanRequest {
        predicate: crate::scan::Predicate::Span(SpanId([6; 8])),
        ..ScanRequest::all([name::PARENT_SPAN_ID])
    };
    let answer = rows(&scan_all(&block, request));
    assert_eq!(answer, vec![vec![Some(vec![5; 8])]; 2]);
}

#[test]
fn a_trace_larger_than_a_row_group_comes_back() {
    let spans = (0..250u8).map(|id| span(id + 1, id.checked_sub(9), i64::from(id), b""));
    let block = check(&[batch(spans)], &small());
    let answer = block.trace(&TraceId([7; 16]), &[name::SPAN_ID]).unwrap();
    assert_eq!(answer.iter().map(RecordBatch::num_rows).sum::<usize>(), 250);
    assert_eq!(answer.len(), 5);
}

#[test]
fn many_and_large_attributes_come_back() {
    let mut builder = MapBuilder::default();
    for number in 0..10_000 {
        builder.push(&format!("key.{number}"), Value::Int(number));
    }
    let many = builder.finish();
    let large = "x".repeat(1 << 20);
    builder.push("large", Value::String(&large));
    builder.push(&large, Value::Bool(true));
    let large = builder.finish();
    let spans = (0..40).map(|id| match id {
        0 => span(1, None, 0, &many),
        1..=20 => span(id + 1, None, 0, &large),
        _ => span(id + 1, None, 0, b""),
    });
    check(&[batch(spans)], &small());
    check(&[batch([span(1, None, 0, &many)])], &small());
}

#[test]
fn a_map_that_breaks_off_comes_back_with_its_tail() {
    let whole = {
        let mut builder = MapBuilder::default();
        builder.push("a", Value::String("v"));
        builder.push("b", Value::Int(3));
        builder.finish()
    };
    let torn = [&whole[..], b"\x05abc"].concat();
    let spans = (0..30).map(|id| span(id + 1, None, 0, if id % 3 == 0 { &torn } else { &whole }));
    let block = check(&[batch(spans)], &small());
    assert_eq!(block.meta().rest_keys, None);
}

#[test]
fn one_key_of_two_types_has_two_columns() {
    let encode = |value| {
        let mut builder = MapBuilder::default();
        builder.push("k", value);
        builder.finish()
    };
    let (text, int, bytes) = (encode(Value::String("1")), encode(Value::Int(1)), encode(Value::Bytes(b"1")));
    let spans = (0..30).map(|id| span(id + 1, None, 0, [&text, &int, &bytes][usize::from(id % 3)]));
    let block = check(&[batch(spans)], &small());
    let inside = block.rows().unwrap();
    assert!(inside.leaf("attributes.string.k").is_some() && inside.leaf("attributes.int.k").is_some());
    assert_eq!(block.meta().rest_keys.as_deref(), Some(&["k".to_owned()][..]));
}

#[test]
fn a_block_without_rows_is_refused() {
    let disk = SimulatedDisk::new(1);
    disk.create_dir_all(Path::new(DIR)).unwrap();
    for batches in [vec![], vec![Batch::empty(Signal::Spans)]] {
        assert!(write(&disk, Path::new(DIR), Signal::Spans, &batches, &small()).is_err());
    }
}
