use super::*;
use crate::block::open_checked;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn index_of(runs: &[(TraceId, Range<usize>)]) -> TraceIndex {
    let mut builder = TraceIndexBuilder::default();
    runs.iter().for_each(|(trace, rows)| builder.add(&trace.0, rows.clone()));
    let (file, _) = builder.finish();
    TraceIndex::open(open_checked(&file)).unwrap()
}

proptest! {
    #[test]
    fn t1_the_rows_of_every_trace_are_proposed(ids in proptest::collection::vec(1u16..400, 1..900)) {
        let trace = |id: u16| TraceId([id.to_le_bytes(); 8].concat().try_into().unwrap());
        let runs: Vec<_> = ids.iter().enumerate().map(|(row, &id)| (trace(id), row..row + 1)).collect();
        let index = index_of(&runs);
        let mut expected: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        ids.iter().enumerate().for_each(|(row, &id)| expected.entry(id).or_default().push(row));
        for (id, rows) in expected {
            prop_assert!(index.may_hold(&trace(id)));
            let found: Vec<usize> = index.find(&trace(id)).unwrap().into_iter().flatten().collect();
            prop_assert!(rows.iter().all(|row| found.binary_search(row).is_ok()), "{:?} of {:?}", found, rows);
        }
    }
}

#[test]
fn t2_few_absent_traces_pass_the_filter_and_hardly_one_the_entries() {
    let trace = |id: u128| TraceId(id.to_be_bytes());
    let runs: Vec<_> = (0..20_000u32).map(|n| (trace(u128::from(n) + 1), n as usize * 8..n as usize * 8 + 8)).collect();
    let index = index_of(&runs);
    let absent = (1..20_000u128).map(|id| trace(id << 64));
    let passed: Vec<TraceId> = absent.filter(|id| index.may_hold(id)).collect();
    assert!(passed.len() < 160, "{} of 20,000", passed.len());
    assert!(passed.iter().filter(|id| !index.find(id).unwrap().is_empty()).count() < 3);
    assert!(index.memory_bytes() < 20_000 * 10 / 8 + 4_000);
}

#[test]
fn an_index_without_traces_finds_none() {
    let index = index_of(&[]);
    assert!(index.find(&TraceId([1; 16])).unwrap().is_empty());
}
