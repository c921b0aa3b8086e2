//! A merge gives the rows of its blocks, each once, in the order of a block.

use super::*;
use crate::block::tests::nest;
use crate::block::tests::random::Random;
use crate::block::tests::{Row, all_columns, any_signal, as_i64, kept, record_batches, rows, scan_all, small};
use crate::block::{Block, BlockId, write};
use crate::fs::SimulatedDisk;
use crate::scan::{Compare, Field, Predicate, Scalar};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

const PLENTY: usize = 64 << 20;

fn block_of(disk: &SimulatedDisk, number: usize, batches: &[Batch]) -> Arc<Block> {
    let dir = Path::new("/").join(number.to_string());
    disk.create_dir_all(&dir).unwrap();
    let signal = batches[0].signal();
    let meta = write(disk, &dir, signal, batches, &small()).unwrap();
    Block::open(Arc::new(disk.clone()), &dir, signal, meta.crc()).unwrap()
}

fn shown(blocks: Vec<Arc<Block>>, hidden: &[Predicate]) -> Vec<Shown> {
    (0u128..).zip(blocks).map(|(id, block)| Shown::new(BlockId(id), block, hidden.to_vec())).collect()
}

fn merged(disk: &SimulatedDisk, inputs: &[Shown], memory: usize) -> Option<Arc<Block>> {
    merged_to(disk, Path::new("/merged"), inputs, memory)
}

fn merged_to(disk: &SimulatedDisk, dir: &Path, inputs: &[Shown], memory: usize) -> Option<Arc<Block>> {
    disk.create_dir_all(dir).unwrap();
    let signal = inputs[0].block.signal();
    let held = AtomicU64::new(0);
    let meta = merge(disk, dir, signal, inputs, (&small(), MergeMemory::new(memory, &held)), &mut |_| Ok(())).unwrap();
    assert_eq!(held.load(Ordering::Relaxed), 0, "nothing is held after the end");
    let meta = meta?;
    let block = Block::open(Arc::new(disk.clone()), dir, signal, meta.crc()).unwrap();
    block.verify().unwrap();
    Some(block)
}

fn all_rows(block: &Arc<Block>) -> Vec<Row> {
    rows(&scan_all(block, ScanRequest::all(all_columns(block.signal()))))
}

/// What a merge keeps of rows, in the order of their writing: equal spans are one, of points of one series and time the last
/// stays, equal records are as many as they are.
fn as_one(signal: Signal, batches: &[RecordBatch]) -> Vec<Row> {
    let batches: Vec<Batch> = batches.iter().map(|batch| batch_of(signal, batch.clone()).unwrap()).collect();
    if batches.is_empty() {
        return Vec::new();
    }
    let mut rows = rows(&record_batches(&kept(signal, &batches)));
    if signal == Signal::Spans {
        rows.dedup();
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn m1_every_row_of_the_blocks_is_in_the_result_once(
        signal in any_signal(), seed: u64, counts in proptest::collection::vec(1usize..200, 1..5),
        memory in prop_oneof![Just(1usize), Just(20_000), Just(PLENTY)],
    ) {
        let (disk, mut random) = (SimulatedDisk::new(seed), Random::new(seed));
        let batches: Vec<Vec<Batch>> = counts.iter().map(|&count| random.batches(signal, count)).collect();
        let blocks = batches.iter().enumerate().map(|(number, batches)| block_of(&disk, number, batches)).collect();
        let merged = merged(&disk, &shown(blocks, &[]), memory).unwrap();
        let expected = batches.iter().flat_map(|batches| record_batches(batches)).collect::<Vec<_>>();
        let expected = as_one(signal, &expected);
        prop_assert_eq!(&all_rows(&merged), &expected);
        let again = merged_to(&disk, Path::new("/again"), &shown(vec![merged], &[]), PLENTY).unwrap();
        prop_assert_eq!(all_rows(&again), expected);
    }

    #[test]
    fn m1_hidden_rows_are_left_out(signal in any_signal(), seed: u64, count in 1usize..200) {
        let (disk, mut random) = (SimulatedDisk::new(seed), Random::new(seed));
        let request = random.request(signal);
        let batches = [random.batches(signal, count), random.batches(signal, count)];
        let blocks = batches.iter().enumerate().map(|(number, batches)| block_of(&disk, number, batches)).collect();
        let inputs = shown(blocks, std::slice::from_ref(&request.predicate));
        let seen = |shown: &Shown| {
            let all = Arc::new(ScanRequest::all(all_columns(signal)));
            shown.scan(&all).unwrap().collect::<Result<Vec<_>>>().unwrap()
        };
        let expected = inputs.iter().flat_map(seen).collect::<Vec<_>>();
        let found = merged(&disk, &inputs, PLENTY).map(|block| all_rows(&block)).unwrap_or_default();
        prop_assert_eq!(found, as_one(signal, &expected));
    }

    #[test]
    fn m3_the_spans_of_a_trace_become_neighbours(seed: u64, counts in proptest::collection::vec(1usize..300, 2..5)) {
        let (disk, mut random) = (SimulatedDisk::new(seed), Random::new(seed));
        let blocks = counts.iter().enumerate();
        let blocks = blocks.map(|(number, &count)| block_of(&disk, number, &random.batches(Signal::Spans, count)));
        let merged = merged(&disk, &shown(blocks.collect(), &[]), PLENTY).unwrap();
        let mut seen: BTreeSet<TraceId> = BTreeSet::new();
        let mut last: Option<(TraceId, i64)> = None;
        for batch in scan_all(&merged, ScanRequest::all([name::TRACE_ID, name::START])) {
            for (trace, start) in order::traces(&batch).unwrap().into_iter().zip(as_i64(batch.column(1))) {
                match last {
                    Some((before, earlier)) if before == trace => prop_assert!(earlier <= start),
                    _ => prop_assert!(seen.insert(trace), "two runs of a trace"),
                }
                last = Some((trace, start));
            }
        }
        for trace in &seen {
            let wanted = [name::TRACE_ID];
            let found: usize = merged.trace(trace, &wanted).unwrap().iter().map(RecordBatch::num_rows).sum();
            prop_assert!(found > 0);
        }
    }
}

#[test]
fn m3_late_spans_become_neighbours_and_complete_the_numbers() {
    for seed in 0..24u64 {
        let disk = SimulatedDisk::new(seed);
        let all = nest::spans(seed, 16, 30, 400);
        // Each block has every third batch, so that all traces lie in all of them.
        let parts: Vec<Vec<Batch>> = (0..3).map(|part| all.iter().skip(part).step_by(3).cloned().collect()).collect();
        let blocks: Vec<Arc<Block>> =
            parts.iter().enumerate().map(|(number, part)| block_of(&disk, number, part)).collect();
        let request = ScanRequest::all(nest::NUMBERED);
        for (block, part) in blocks.iter().zip(&parts) {
            let expected = nest::numbered(&record_batches(part), &request);
            assert_eq!(rows(&scan_all(block, request.clone())), expected, "a block's numbers are those of its rows");
        }
        let whole = nest::numbered(&record_batches(&all), &request);
        let inputs = shown(blocks, &[]);
        let together = merged_to(&disk, Path::new("/together"), &inputs, PLENTY).unwrap();
        assert_eq!(together.meta().traces_apart, Some(0));
        assert_eq!(rows(&scan_all(&together, request.clone())), whole);
        // A merge without memory leaves parts apart; the numbers are the same.
        let apart = merged_to(&disk, Path::new("/apart"), &inputs, 1).unwrap();
        assert!(apart.meta().traces_apart > Some(0));
        assert_eq!(rows(&scan_all(&apart, request)), whole);
    }
}

#[test]
fn o2_row_groups_of_merged_logs_follow_each_other_in_time() {
    let disk = SimulatedDisk::new(1);
    let all = Random::new(3).logs_over_time(2_000);
    let part = |of: usize| {
        let mask: BooleanArray = (0..2_000usize).map(|row| Some(row / 7 % 3 == of)).collect();
        vec![batch_of(Signal::Logs, filter(all[0].columns(), &mask).unwrap()).unwrap()]
    };
    let blocks = (0..3).map(|number| block_of(&disk, number, &part(number))).collect();
    let merged = merged(&disk, &shown(blocks, &[]), PLENTY).unwrap();
    let mut starts = merged.group_starts();
    assert_eq!(starts.len(), 40, "full row groups");
    starts.dedup_by(|after, before| before.1 < after.1);
    assert_eq!(starts.len(), 1, "each later than the one before");
}

#[test]
fn m1_a_span_that_lies_in_two_blocks_is_one_and_its_like_is_not() {
    let disk = SimulatedDisk::new(1);
    let batches = Random::new(4).batches(Signal::Spans, 300);
    let blocks = vec![block_of(&disk, 0, &batches), block_of(&disk, 1, &batches[batches.len() / 2..])];
    let merged = merged(&disk, &shown(blocks, &[]), PLENTY).unwrap();
    assert_eq!(all_rows(&merged), as_one(Signal::Spans, &record_batches(&batches)));
}

#[test]
fn a_merge_of_hidden_rows_only_makes_no_block() {
    let disk = SimulatedDisk::new(1);
    let blocks = vec![block_of(&disk, 0, &Random::new(5).batches(Signal::Logs, 30))];
    assert!(merged(&disk, &shown(blocks, &[Predicate::All]), PLENTY).is_none());
}

#[test]
fn damage_ends_a_merge_and_names_the_file() {
    for (signal, path) in [(Signal::Logs, "/0/data.parquet"), (Signal::Metrics, "/0/samples.pco")] {
        let disk = SimulatedDisk::new(1);
        let blocks = vec![block_of(&disk, 0, &Random::new(6).batches(signal, 300))];
        disk.flip(Path::new(path), 40, 1).unwrap();
        disk.create_dir_all(Path::new("/merged")).unwrap();
        let inputs = shown(blocks, &[]);
        let held = AtomicU64::new(0);
        let failed = merge(
            &disk,
            Path::new("/merged"),
            signal,
            &inputs,
            (&small(), MergeMemory::new(1, &held)),
            &mut |_| Ok(()),
        );
        let failed = failed.unwrap_err();
        assert_eq!(held.load(Ordering::Relaxed), 0, "nor after a failure");
        assert_eq!(failed.class(), crate::error::Class::Corrupt);
        assert!(format!("{failed:?}").contains(path), "{failed:?}");
    }
}

#[test]
fn m2_the_pool_is_bounded_where_blocks_overlap_wholly() {
    let disk = SimulatedDisk::new(1);
    let mut random = Random::new(7);
    let blocks = (0..6).map(|number| block_of(&disk, number, &random.batches(Signal::Spans, 2_000))).collect();
    let inputs = shown(blocks, &[]);
    let field = Field::Column(name::DURATION);
    let none = Predicate::Compare { field, compare: Compare::Less, value: Scalar::Int(i64::MIN) };
    assert!(
        inputs[0]
            .scan(&Arc::new(ScanRequest { predicate: none, ..ScanRequest::all([name::NAME]) }))
            .unwrap()
            .next()
            .is_none()
    );
    let bounded = merged(&disk, &inputs, 100_000).unwrap();
    assert!(bounded.meta().rows > 11_900);
}

#[test]
fn a_merge_tells_what_it_holds_while_it_runs() {
    for signal in Signal::ALL {
        let disk = SimulatedDisk::new(1);
        let blocks = (0..2).map(|number| block_of(&disk, number, &Random::new(6).batches(signal, 300))).collect();
        disk.create_dir_all(Path::new("/merged")).unwrap();
        let (held, mut most) = (AtomicU64::new(0), 0);
        let config = (&small(), MergeMemory::new(1 << 20, &held));
        let mut pace = |_| {
            most = held.load(Ordering::Relaxed).max(most);
            Ok(())
        };
        merge(&disk, Path::new("/merged"), signal, &shown(blocks, &[]), config, &mut pace).unwrap();
        assert!(most > 0 && held.load(Ordering::Relaxed) == 0, "{signal}: {most}");
    }
}
