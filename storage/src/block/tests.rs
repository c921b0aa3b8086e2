//! A block gives back what was put into it, finds what `evaluate` would choose, and notices damage.

mod bodies;
pub(super) mod damage;
mod fixture;
pub(crate) mod nest;
pub(crate) mod random;
mod shape;
mod terms;

use super::*;
use crate::fs::{Filesystem, SimulatedDisk};
use crate::model::schema::{self, column as name};
use crate::model::{Batch, Signal, TraceId};
use crate::scan::{ScanOrder, ScanRequest, Threshold, TimeRange, filter};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use proptest::prelude::*;
use random::Random;
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/b";

/// Small row groups and pages, so that few rows make many of both.
pub(crate) fn small() -> BlockConfig {
    BlockConfig {
        row_group_rows: 50,
        page_bytes: 64,
        text_page_bytes: 256,
        least_page_rows: 8,
        bodies: BodyEncoding::Templates,
        attribute_least_rows: 3,
        attribute_most_columns: 6,
        granule_rows: 8,
        ..BlockConfig::default()
    }
}

fn store(signal: Signal, batches: &[Batch], config: &BlockConfig) -> (Arc<Block>, SimulatedDisk) {
    let disk = SimulatedDisk::new(1);
    let dir = Path::new(DIR);
    disk.create_dir_all(dir).unwrap();
    let meta = write(&disk, dir, signal, batches, config).unwrap();
    let block = Block::open(Arc::new(disk.clone()), dir, signal, meta.crc()).unwrap();
    assert_eq!(block.meta(), &meta);
    (block, disk)
}

/// A cell's bytes, whatever holds them.
fn cell(array: &ArrayRef, row: usize) -> Option<Vec<u8>> {
    if array.is_null(row) {
        return None;
    }
    if let Some(dictionary) = array.as_dictionary_opt::<Int32Type>() {
        return cell(dictionary.values(), usize::try_from(dictionary.keys().value(row)).unwrap());
    }
    if let Some(texts) = array.as_string_opt::<i32>() {
        return Some(texts.value(row).into());
    }
    if let Some(cells) = array.as_binary_opt::<i32>() {
        return Some(cells.value(row).into());
    }
    if let Some(ids) = array.as_fixed_size_binary_opt() {
        return Some(ids.value(row).into());
    }
    if let Some(values) = array.as_boolean_opt() {
        return Some(vec![u8::from(values.value(row))]);
    }
    let width = array.data_type().primitive_width().unwrap();
    let data = array.to_data();
    let from = (data.offset() + row) * width;
    Some(data.buffers()[0].as_slice()[from..from + width].to_vec())
}

pub(crate) type Row = Vec<Option<Vec<u8>>>;

pub(crate) fn rows(batches: &[RecordBatch]) -> Vec<Row> {
    let row = |batch: &RecordBatch, row: usize| batch.columns().iter().map(|column| cell(column, row)).collect();
    let mut rows: Vec<Row> =
        batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |at| row(batch, at))).collect();
    rows.sort();
    rows
}

/// A row that only one side has, told by the cell that tells it from its likeliest counterpart.
fn difference(answer: &[Row], expected: &[Row]) -> Option<(usize, [Option<Vec<u8>>; 2])> {
    let row = answer.iter().find(|row| expected.binary_search(row).is_err())?;
    let unlike = |other: &Row| row.iter().zip(other).filter(|(a, b)| a != b).count();
    let other = expected.iter().min_by_key(|other| unlike(other))?;
    let column = row.iter().zip(other).position(|(a, b)| a != b)?;
    Some((column, [row[column].clone(), other[column].clone()]))
}

pub(crate) fn all_columns(signal: Signal) -> Vec<&'static str> {
    schema::of(signal).fields().iter().map(|field| field.name().as_str()).collect()
}

pub(crate) fn scan_all(block: &Arc<Block>, request: ScanRequest) -> Vec<RecordBatch> {
    block.scan(&Arc::new(request)).unwrap().collect::<Result<_, _>>().unwrap()
}

pub(crate) fn record_batches(batches: &[Batch]) -> Vec<RecordBatch> {
    batches.iter().map(|batch| batch.columns().clone()).collect()
}

/// The rows that a block keeps: of metrics those that were written last of each series and time.
pub(crate) fn kept(signal: Signal, batches: &[Batch]) -> Vec<Batch> {
    if signal != Signal::Metrics {
        return batches.to_vec();
    }
    let all = arrow_select::concat::concat_batches(schema::of(signal), batches.iter().map(Batch::columns)).unwrap();
    let mut last: std::collections::HashMap<Row, usize> = std::collections::HashMap::new();
    for row in 0..all.num_rows() {
        let identity = SERIES.iter().chain(&[name::TIME]).map(|column| cell(all.column_by_name(column).unwrap(), row));
        last.insert(identity.collect(), row);
    }
    let keep: BooleanArray = (0..all.num_rows()).map(|row| Some(last.values().any(|last| *last == row))).collect();
    let kept = arrow_select::filter::filter_record_batch(&all, &keep).unwrap();
    vec![Batch::new(signal, kept).unwrap()]
}

/// The columns that make a series.
const SERIES: [&str; 11] = [
    name::NAME,
    name::SERVICE_NAME,
    name::RESOURCE,
    name::SCOPE,
    name::UNIT,
    name::DESCRIPTION,
    name::METADATA,
    name::TYPE,
    name::TEMPORALITY,
    name::IS_MONOTONIC,
    name::ATTRIBUTES,
];

pub(crate) fn any_signal() -> impl Strategy<Value = Signal> {
    prop_oneof![4 => Just(Signal::Spans), 2 => Just(Signal::Logs), 2 => Just(Signal::Metrics)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn b1_a_block_gives_back_what_was_put_into_it(signal in any_signal(), seed: u64, count in 1usize..400) {
        let batches = Random::new(seed).batches(signal, count);
        let (block, _disk) = store(signal, &batches, &small());
        let answer = scan_all(&block, ScanRequest::all(all_columns(signal)));
        for batch in &answer {
            prop_assert_eq!(batch.schema_ref().fields(), schema::of(signal).fields());
        }
        let (answer, expected) = (rows(&answer), rows(&record_batches(&kept(signal, &batches))));
        let differs = difference(&answer, &expected).map(|(column, cells)| (all_columns(signal)[column], cells));
        prop_assert!(answer.len() == expected.len() && differs.is_none(), "{:?}", differs);
        prop_assert_eq!(block.meta().rows, expected.len() as u64);
        block.verify().unwrap();
    }

    #[test]
    fn b2_a_scan_answers_what_evaluate_would_choose(signal in any_signal(), seed: u64, count in 1usize..300) {
        let mut random = Random::new(seed);
        let batches = random.batches(signal, count);
        let (block, _disk) = store(signal, &batches, &small());
        let batches = kept(signal, &batches);
        for _ in 0..12 {
            let request = random.request(signal);
            let expected: Vec<RecordBatch> =
                batches.iter().filter_map(|batch| filter(signal, batch.columns(), &request).unwrap()).collect();
            let answer = scan_all(&block, request.clone());
            prop_assert_eq!(rows(&answer), rows(&expected), "{:?}", request);
        }
    }

    #[test]
    fn every_trace_is_found_by_its_id(seed: u64, count in 1usize..300, signal in prop_oneof![Just(Signal::Spans), Just(Signal::Logs)]) {
        let batches = Random::new(seed).batches(signal, count);
        let (block, _disk) = store(signal, &batches, &small());
        let all = record_batches(&batches);
        let place = all[0].schema().index_of(name::TRACE_ID).unwrap();
        let every = rows(&all);
        let mut traces: Vec<Vec<u8>> = every.iter().filter_map(|row| row[place].clone()).collect();
        traces.sort();
        traces.dedup();
        prop_assert_eq!(block.meta().traces, Some(traces.len() as u64));
        for trace in traces {
            let id = TraceId::from_slice(&trace).unwrap();
            prop_assert!(block.may_hold_trace(&id));
            let expected: Vec<Row> = every.iter().filter(|row| row[place].as_ref() == Some(&trace)).cloned().collect();
            prop_assert_eq!(rows(&block.trace(&id, &all_columns(signal)).unwrap()), expected);
        }
        prop_assert!(block.trace(&TraceId([0xee; 16]), &[name::SPAN_ID]).unwrap().is_empty());
    }

    #[test]
    fn w2_equal_batches_make_equal_blocks(signal in any_signal(), seed: u64, count in 1usize..200) {
        let batches = Random::new(seed).batches(signal, count);
        let (one, _) = store(signal, &batches, &small());
        let (two, _) = store(signal, &batches, &small());
        prop_assert_eq!(one.meta(), two.meta());
    }
}

#[test]
fn a_span_block_lies_trace_by_trace_in_order_of_start() {
    let batches = Random::new(5).batches(Signal::Spans, 600);
    let (block, _disk) = store(Signal::Spans, &batches, &small());
    let mut seen: Vec<Vec<u8>> = Vec::new();
    let mut last = i64::MIN;
    for batch in scan_all(&block, ScanRequest::all([name::TRACE_ID, name::START])) {
        let starts = as_i64(batch.column(1));
        for (row, start) in starts.into_iter().enumerate() {
            let trace = cell(batch.column(0), row).unwrap();
            match seen.last() == Some(&trace) {
                true => assert!(start >= last, "o1: by start within a trace"),
                false => assert!(!seen.contains(&trace), "o1: spans of a trace are neighbours"),
            }
            last = start;
            if seen.last() != Some(&trace) {
                seen.push(trace);
            }
        }
    }
    assert!(seen.len() > 20);
}

pub(crate) fn as_i64(array: &ArrayRef) -> Vec<i64> {
    arrow_cast::cast(array, &arrow_schema::DataType::Int64).unwrap().as_primitive::<Int64Type>().values().to_vec()
}

#[test]
fn c2_an_ordered_scan_reads_no_more_row_groups_than_the_threshold_admits() {
    let batches = Random::new(6).logs_over_time(4_000);
    let (block, _disk) = store(Signal::Logs, &batches, &small());
    let threshold = Threshold::at_least(name::TIME);
    let request =
        ScanRequest { order: ScanOrder::Newest, threshold: Some(threshold.clone()), ..ScanRequest::all([name::TIME]) };
    let mut scan = block.scan(&Arc::new(request)).unwrap();
    let mut newest: Vec<i64> = Vec::new();
    for batch in scan.by_ref() {
        newest.extend(as_i64(batch.unwrap().column(0)));
        newest.sort_unstable_by(|a, b| b.cmp(a));
        newest.truncate(20);
        if newest.len() == 20 {
            threshold.set(newest[19]);
        }
    }
    let mut expected: Vec<i64> =
        record_batches(&batches).iter().flat_map(|b| as_i64(b.column_by_name(name::TIME).unwrap())).collect();
    expected.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(newest, expected[..20]);
    let progress = scan.progress();
    assert!(progress.groups_read <= 2 && progress.groups_pruned >= 78, "{progress:?}");
}

#[test]
fn of_attributes_those_that_are_wanted_come_back() {
    use crate::model::attribute::Map;
    const WANTED: [&[&str]; 4] = [&["a", "nested"], &["b"], &["nowhere"], &[]];
    for signal in [Signal::Spans, Signal::Logs] {
        let batches = Random::new(11).batches(signal, 300);
        let (block, _) = store(signal, &batches, &small());
        let maps = |request: ScanRequest| -> Vec<Vec<u8>> {
            let batches = scan_all(&block, request);
            batches
                .iter()
                .flat_map(|batch| (0..batch.num_rows()).map(|row| cell(batch.column(0), row).unwrap()))
                .collect()
        };
        let all = maps(ScanRequest::all([name::ATTRIBUTES]));
        for keys in WANTED {
            let some = maps(ScanRequest { keys: Some(keys), ..ScanRequest::all([name::ATTRIBUTES]) });
            assert_eq!(some.len(), all.len());
            for (some, all) in some.iter().zip(&all) {
                let values = |map: &[u8]| {
                    let value = |key: &&str| Map::new(map).get(key).map(|value| format!("{value:?}"));
                    keys.iter().map(value).collect::<Vec<_>>()
                };
                assert_eq!(values(some), values(all));
            }
            assert!(!keys.is_empty() || some.iter().all(Vec::is_empty), "nothing was wanted");
        }
    }
}

#[test]
fn what_meta_excludes_is_not_read() {
    let batches = Random::new(7).batches(Signal::Spans, 300);
    let (block, disk) = store(Signal::Spans, &batches, &small());
    let scan = |request: ScanRequest| {
        let mut scan = block.scan(&Arc::new(request)).unwrap();
        assert!(scan.next().is_none());
        assert_eq!(scan.progress().groups_read, 0);
    };
    // Nothing but what is in memory is left of the block.
    for file in [DATA, KEYS, TERMS, meta::META] {
        disk.place(&Path::new(DIR).join(file), b"").unwrap();
    }
    use crate::scan::{AttributeScope, Compare, Field, Predicate, Scalar};
    let all = || ScanRequest::all([name::NAME]);
    let own = |key: &str| Field::Attribute(AttributeScope::Own, key.into());
    scan(ScanRequest { predicate: Predicate::equal(name::SERVICE_NAME, Scalar::String("nobody".into())), ..all() });
    scan(ScanRequest { predicate: Predicate::Exists(own("nowhere")), ..all() });
    let greater = |column| Predicate::Compare {
        field: Field::Column(column),
        compare: Compare::Greater,
        value: Scalar::Int(i64::MAX),
    };
    scan(ScanRequest { predicate: greater(name::DURATION), ..all() });
    scan(ScanRequest { predicate: Predicate::And(vec![Predicate::All, greater(name::STATUS_CODE)]), ..all() });
    let after = block.meta().max_time.saturating_add(1);
    if after > block.meta().max_time {
        scan(ScanRequest { time: TimeRange { start: after, end: i64::MAX }, ..all() });
    }
}

#[test]
fn o2_a_log_block_lies_stream_by_stream_within_row_groups_that_follow_in_time() {
    let batches = Random::new(9).logs_over_time(500);
    let (block, _disk) = store(Signal::Logs, &batches, &small());
    let mut last_end = i64::MIN;
    for batch in scan_all(&block, ScanRequest::all([name::SERVICE_NAME, name::RESOURCE, name::SCOPE, name::TIME])) {
        let times = as_i64(batch.column(3));
        assert!(times.iter().all(|&time| time > last_end), "a row group is later than the one before");
        last_end = times.iter().copied().max().unwrap();
        check_runs(&batch, &mut Vec::new());
    }
}

#[test]
fn o3_a_metric_block_lies_series_by_series_by_time() {
    let batches = Random::new(10).batches(Signal::Metrics, 400);
    let (block, _disk) = store(Signal::Metrics, &batches, &small());
    let series = SERIES.into_iter().chain([name::TIME]);
    let mut seen = Vec::new();
    scan_all(&block, ScanRequest::all(series)).iter().for_each(|batch| check_runs(batch, &mut seen));
    assert!(seen.len() > 100);
}

/// Rows that agree in all columns but the last lie together, by the time in the last.
fn check_runs(batch: &RecordBatch, seen: &mut Vec<Row>) {
    let (times, columns) = batch.columns().split_last().unwrap();
    let mut last = i64::MIN;
    for (row, time) in as_i64(times).into_iter().enumerate() {
        let key: Row = columns.iter().map(|column| cell(column, row)).collect();
        if seen.last() == Some(&key) {
            assert!(time >= last, "by time");
        } else {
            assert!(!seen.contains(&key), "neighbours");
            seen.push(key);
        }
        last = time;
    }
}

#[test]
fn a_column_that_the_table_does_not_have_is_the_callers_fault() {
    use crate::error::Class;
    use crate::scan::Predicate;
    let batches = Random::new(8).batches(Signal::Metrics, 10);
    let (block, _disk) = store(Signal::Metrics, &batches, &small());
    let trace = Predicate::Trace(TraceId([1; 16]));
    let requests = [
        ScanRequest::all([name::BODY]),
        ScanRequest { predicate: trace.clone(), ..ScanRequest::all([name::TIME]) },
        ScanRequest { predicate: Predicate::Not(Box::new(trace)), ..ScanRequest::all([name::TIME]) },
    ];
    for request in requests {
        assert_eq!(block.scan(&Arc::new(request)).unwrap_err().class(), Class::Caller);
    }
}
