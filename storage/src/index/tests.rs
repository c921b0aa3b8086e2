use super::*;
use crate::block::open_checked;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn index_of(runs: &[(TraceId, Range<usize>)]) -> TraceIndex {
    let mut builder = TraceIndexBuilder::default();
    runs.iter().for_each(|(trace, rows)| builder.add(&trace.0, rows.clone()));
    let (file, _, _) = builder.finish(&[]);
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
fn traces_that_do_not_lie_together_in_a_group_are_told() {
    let trace = |id: u8| TraceId([id; 16]);
    let runs = [(1, 0..3), (2, 3..6), (1, 6..7), (3, 7..8), (3, 8..12), (4, 12..20), (5, 20..25)];
    let groups = [0..8, 8..20, 20..25];
    let mut builder = TraceIndexBuilder::default();
    runs.iter().for_each(|(id, rows)| builder.add(&trace(*id).0, rows.clone()));
    let (file, traces, apart) = builder.finish(&groups);
    assert_eq!((traces, apart), (5, 2));
    let mut found = TraceIndex::open(open_checked(&file)).unwrap().apart(&groups).unwrap();
    found.sort_by_key(|rows| rows[0].start);
    assert_eq!(found.concat(), [0..3, 6..7, 7..12]);
    assert_eq!(found.len(), 2);
}

#[test]
fn many_traces_are_found_together_as_one_by_one() {
    let trace = |id: u32| TraceId(u128::from(id + 1).to_be_bytes());
    let runs: Vec<_> = (0..3_000u32).map(|row| (trace(row % 2_000), row as usize..row as usize + 1)).collect();
    let index = index_of(&runs);
    for count in [1, FEW_TRACES, FEW_TRACES + 1, 2_500] {
        let traces: Vec<TraceId> = (0..count as u32).map(|n| trace(n * 7 % 2_500)).collect();
        let one_by_one = (0u32..)
            .zip(&traces)
            .flat_map(|(place, trace)| index.find(trace).unwrap().into_iter().map(move |rows| (place, rows)));
        assert_eq!(index.find_all(&traces).unwrap(), one_by_one.collect::<Vec<_>>(), "{count}");
    }
}

#[test]
fn an_index_without_traces_finds_none() {
    let index = index_of(&[]);
    assert!(index.find(&TraceId([1; 16])).unwrap().is_empty());
}
