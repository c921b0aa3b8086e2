//! Which traces does a row group tell of? Those that lie whole there, as readers see them.

use super::*;
use crate::block::tests::nest::plain;
use crate::engine::{DeleteRequest, EngineConfig, Store, Write};
use crate::fs::{Filesystem, SimulatedClock, SimulatedDisk};
use crate::model::schema::column as name;
use crate::model::{SpanBatchBuilder, SpanId, TenantId};
use arrow_array::cast::AsArray;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const NOW: i64 = 1_795_435_200_000_000_000;

struct Stand {
    disk: Arc<SimulatedDisk>,
    store: Store,
}

/// A span: trace, id, parent (0 for none), start.
type Short = (u8, u8, u8, i64);

fn open(disk: &Arc<SimulatedDisk>) -> Store {
    let mut config = EngineConfig::new("/data");
    config.min_free_bytes = 0;
    config.compaction.fan_in = 2;
    config.block.row_group_rows = 8;
    let decoder = |_: Signal, _: i64, _: &[u8]| Err("nothing is replayed".to_owned());
    Store::open(config, disk.clone(), Arc::new(SimulatedClock::at(NOW)), &decoder).unwrap()
}

/// The traces, after as many steps as it takes.
fn found(mut finder: TraceFinder) -> Option<TraceScan> {
    while finder.advance().unwrap() {}
    finder.finish()
}

impl Stand {
    fn new() -> Self {
        let disk = Arc::new(SimulatedDisk::new(1));
        Stand { store: open(&disk), disk }
    }

    fn commit(&self, spans: &[Short]) {
        let mut builder = SpanBatchBuilder::default();
        for &(trace, id, parent, start) in spans {
            let parent = (parent > 0).then_some(SpanId([parent; 8]));
            builder.append(&plain(TraceId([trace; 16]), SpanId([id; 8]), parent, NOW + start, 1)).unwrap();
        }
        let (tenant, payload) = (TenantId::default(), Bytes::from_static(b"x"));
        let batch = builder.finish().unwrap();
        self.store.commit(&[Write { tenant, signal: Signal::Spans, received_at: NOW, payload, batch }]).unwrap();
    }

    /// A block of some spans.
    fn block(&self, spans: &[Short]) {
        self.commit(spans);
        self.store.seal().unwrap();
        while self.store.flush_is_due() {
            self.store.flush().unwrap();
        }
    }

    fn traces(&self, request: TraceRequest) -> Option<TraceScan> {
        found(self.store.snapshot(&TenantId::default()).traces(request))
    }

    /// How many rows of each trace are told of as whole, and as apart, by blocks.
    fn told(&self) -> BTreeMap<u8, [usize; 2]> {
        let mut told: BTreeMap<u8, [usize; 2]> = BTreeMap::new();
        let mut scan = self.traces(all()).unwrap();
        while scan.advance().unwrap() {
            let wanted = BooleanBuffer::new_set(scan.rows());
            let lineage = scan.lineage(&wanted, &[]).unwrap();
            for (rows, place) in [(lineage.whole(), 0), (lineage.apart(), 1)] {
                let batch = scan.read(rows, &[name::TRACE_ID]).unwrap().unwrap();
                for id in batch.column(0).as_fixed_size_binary().iter().flatten() {
                    told.entry(id[0]).or_default()[place] += 1;
                }
            }
        }
        told
    }
}

fn all() -> TraceRequest {
    TraceRequest { time: TimeRange::ALL, order: ScanOrder::Any, threshold: None, conditions: vec![Predicate::All] }
}

#[test]
fn q1_a_trace_is_whole_where_one_block_has_all_of_it() {
    let stand = Stand::new();
    stand.block(&[(1, 1, 0, 1), (1, 2, 1, 2), (2, 1, 0, 3), (3, 1, 0, 4)]);
    stand.block(&[(2, 2, 1, 5), (4, 1, 0, 6)]);
    stand.commit(&[(3, 2, 1, 7), (5, 1, 0, 8)]);
    let expected = [(1, [2, 0]), (2, [0, 2]), (3, [0, 1]), (4, [1, 0])];
    assert_eq!(stand.told(), BTreeMap::from(expected));

    // All of it in blocks, and these merged.
    stand.block(&[(6, 1, 0, 9)]);
    while stand.store.compact(&mut |_| Ok(())).unwrap() {}
    let told = stand.told();
    assert_eq!(
        told.values().map(|[whole, _]| whole).sum::<usize>() + told.values().map(|[_, apart]| apart).sum::<usize>(),
        9
    );
    assert_eq!((told[&1], told[&2], told[&4]), ([2, 0], [2, 0], [1, 0]));
}

#[test]
fn k1_traces_that_are_not_told_by_their_rows_are_apart() {
    let stand = Stand::new();
    // Two spans with one id and start; one whose rows are more than a row group; one that is neither.
    let mut spans = vec![(1, 1, 0, 1), (1, 1, 2, 1), (1, 2, 1, 2), (2, 1, 0, 3), (2, 2, 1, 3)];
    spans.extend((1..=20).map(|id| (3, id, id - 1, 10 + i64::from(id))));
    stand.block(&spans);
    assert_eq!(stand.told(), BTreeMap::from([(1, [0, 3]), (2, [2, 0]), (3, [0, 20])]));

    let time = TimeRange { start: NOW + 3, end: NOW + 4 };
    let predicate = Predicate::Span(SpanId([1; 8]));
    let request = DeleteRequest { tenant: TenantId::default(), signal: Signal::Spans, time, predicate };
    stand.store.delete(&request).unwrap();
    assert_eq!(stand.told()[&2], [0, 2], "a row is hidden");
    let mut scan = stand.traces(all()).unwrap();
    let mut located = scan.locate(vec![TraceId([2; 16])]).unwrap();
    let (_, batches) = scan.assemble(&mut located, &[name::TRACE_ID], 10).unwrap().unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
}

#[test]
fn k2_without_its_index_a_block_tells_of_no_trace() {
    let stand = Stand::new();
    let spans: Vec<Short> = (1..=200).map(|trace| (trace, 1, 0, i64::from(trace))).collect();
    stand.block(&spans);
    assert_eq!(stand.told().len(), 200);
    let keys = path_of(&stand.disk, Path::new("/data"), "keys.idx").unwrap();
    let length = stand.disk.contents(&keys).unwrap().len() as u64;
    drop(stand.store);
    stand.disk.flip(&keys, length - 10, 3).unwrap();
    let store = open(&stand.disk);
    assert!(found(store.snapshot(&TenantId::default()).traces(all())).is_none());
}

fn path_of(disk: &SimulatedDisk, dir: &Path, file: &str) -> Option<PathBuf> {
    disk.list(dir).unwrap().into_iter().find_map(|entry| {
        let path = dir.join(&entry.name);
        if entry.is_dir { path_of(disk, &path, file) } else { (entry.name == file).then_some(path) }
    })
}

#[test]
fn traces_are_put_together_from_wherever_they_lie() {
    let stand = Stand::new();
    stand.block(&[(1, 1, 0, 1), (2, 1, 0, 2)]);
    stand.block(&[(1, 2, 1, 3), (3, 1, 0, 4)]);
    stand.commit(&[(1, 3, 2, 5), (4, 1, 0, 6)]);
    let mut scan = stand.traces(all()).unwrap();
    let wanted: Vec<TraceId> = [1, 3, 4, 9].map(|trace| TraceId([trace; 16])).to_vec();
    let mut located = scan.locate(wanted).unwrap();
    let mut found: BTreeMap<u8, usize> = BTreeMap::new();
    let mut times = 0;
    // A row at most: one trace after the other.
    while let Some((traces, batches)) = scan.assemble(&mut located, &[name::TRACE_ID, name::START], 1).unwrap() {
        assert_eq!(traces.len(), 1);
        times += 1;
        for id in batches.iter().flat_map(|batch| batch.column(0).as_fixed_size_binary().iter().flatten()) {
            *found.entry(id[0]).or_default() += 1;
        }
    }
    assert_eq!(times, 4);
    assert_eq!(found, BTreeMap::from([(1, 3), (3, 1), (4, 1)]));
    let request =
        ScanRequest { time: TimeRange { start: NOW + 6, end: NOW + 7 }, ..ScanRequest::all([name::TRACE_ID]) };
    let in_memory = scan.in_memory(&request).unwrap();
    assert_eq!(in_memory.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
}

#[test]
fn q3_traces_without_a_row_that_meets_a_condition_are_left_out() {
    let stand = Stand::new();
    stand.block(&[(1, 1, 0, 1), (2, 1, 0, 2), (3, 1, 0, 3)]);
    // Of the third trace, in this block, as many rows as are more than a row group.
    let mut spans: Vec<Short> = (10..30).map(|id| (3, id, 1, 100 + i64::from(id))).collect();
    spans.extend([(1, 7, 1, 4), (2, 2, 1, 5)]);
    stand.block(&spans);
    stand.commit(&[(4, 1, 0, 6)]);
    let kept = |condition: Predicate, time: TimeRange| {
        let mut scan =
            stand.traces(TraceRequest { time, conditions: vec![Predicate::All, condition], ..all() }).unwrap();
        let mut located = scan.locate([4, 3, 1, 2].map(|trace| TraceId([trace; 16])).to_vec()).unwrap();
        let mut narrowing = scan.narrowing(&located, 1);
        while scan.narrow(&located, &mut narrowing).unwrap() {}
        located.keep(&narrowing);
        let mut kept: Vec<(u8, usize)> = Vec::new();
        while let Some((traces, batches)) = scan.assemble(&mut located, &[name::TRACE_ID], 1).unwrap() {
            kept.push((traces[0].0[0], batches.iter().map(RecordBatch::num_rows).sum()));
        }
        kept
    };
    let span = |id: u8| Predicate::Span(SpanId([id; 8]));
    assert_eq!(kept(Predicate::All, TimeRange::ALL), [(4, 1), (3, 21), (1, 2), (2, 2)]);
    assert_eq!(kept(span(7), TimeRange::ALL), [(4, 1), (1, 2)], "what is in memory is not looked at");
    assert_eq!(kept(span(29), TimeRange::ALL), [(4, 1), (3, 21)], "its last row group");
    assert_eq!(kept(span(7), TimeRange { start: NOW, end: NOW + 4 }), [(4, 1)], "in the range of time");
}

#[test]
fn p2_where_traces_lie_is_found_once_for_the_same_blocks() {
    let stand = Stand::new();
    let steps = || {
        let mut finder = stand.store.snapshot(&TenantId::default()).traces(all());
        let mut steps = 0;
        while finder.advance().unwrap() {
            steps += 1;
        }
        finder.finish().unwrap();
        steps
    };
    stand.block(&[(1, 1, 0, 1), (2, 1, 0, 3)]);
    stand.block(&[(2, 2, 1, 5), (4, 1, 0, 6)]);
    assert!(steps() > 0);
    let first = stand.told();
    assert_eq!(steps(), 0);
    assert_eq!(stand.told(), first);

    stand.block(&[(1, 2, 1, 7)]);
    assert!(steps() > 0, "of other blocks it is not known");
    assert_eq!(stand.told(), BTreeMap::from([(1, [0, 2]), (2, [0, 2]), (4, [1, 0])]));
    assert_eq!(steps(), 0);
}
