use super::*;
use crate::block::Window;
use crate::metric::Resolution;
use crate::model::{Signal, TenantId};
use proptest::prelude::*;
use std::sync::Arc;

const DAY: i64 = 24 * 3600 * 1_000_000_000;
const NOW: i64 = 1_795_435_200_000_000_000; // 2026-11-23T12:00:00Z

fn small() -> CompactionConfig {
    CompactionConfig { fan_in: 4, most_bytes: 64 << 20, most_rows: 1_000_000, ..CompactionConfig::default() }
}

fn entry(id: u128, days_ago: i64, bytes: u64) -> BlockEntry {
    let time = NOW - days_ago * DAY + i64::try_from(id % 1_000).unwrap();
    BlockEntry {
        id: BlockId(id),
        tenant: TenantId::default(),
        signal: Signal::Spans,
        window: Window::of(time, NOW),
        written: u64::try_from(id).unwrap(),
        rows: bytes / 25 + 1,
        bytes,
        min_time: time,
        max_time: time + 1,
        meta_crc: 0,
        resolution: Resolution::RAW,
        undecided: false,
        grown_at: None,
    }
}

fn manifest_of(entries: Vec<BlockEntry>) -> Manifest {
    let blocks = entries.into_iter().map(|entry| (entry.id, Arc::new(entry))).collect();
    Manifest { blocks, ..Manifest::default() }
}

/// What the manifest is after a plan; checks P1 and P2.
fn carried_out(mut manifest: Manifest, plan: &Plan, config: &CompactionConfig) -> Manifest {
    let inputs: Vec<_> = plan.inputs.iter().map(|id| manifest.blocks.remove(id).expect("p1: it is there")).collect();
    assert!(inputs.len() >= 2, "p1");
    let first = inputs.first().expect("p1");
    assert!(
        inputs
            .iter()
            .all(|other| (&other.tenant, other.signal, other.window) == (&first.tenant, first.signal, first.window)),
        "p1"
    );
    let (bytes, rows) = (inputs.iter().map(|entry| entry.bytes).sum(), inputs.iter().map(|entry| entry.rows).sum());
    assert!(bytes <= config.most_bytes && rows <= config.most_rows, "p2");
    let id = BlockId(manifest.blocks.keys().next_back().map_or(0, |id| id.0) + 1_000_000);
    let written = inputs.iter().map(|entry| entry.written).max().expect("p1");
    let merged = BlockEntry { id, bytes, rows, written, ..BlockEntry::clone(first) };
    manifest.blocks.insert(id, Arc::new(merged));
    manifest
}

proptest! {
    #[test]
    fn p1_p2_p3_plans_are_sound_and_come_to_an_end(
        sizes in proptest::collection::vec((0i64..4, 10u32..26, 1u64..4), 0..120)
    ) {
        let config = small();
        let entries = (0u128..).zip(&sizes).map(|(id, &(days, power, times))| entry(id, days, times << power));
        let mut manifest = manifest_of(entries.filter(|entry| entry.bytes <= config.most_bytes).collect());
        let (mut steps, before) = (0, manifest.blocks.len());
        while let Some(plan) = pick(&manifest, NOW, &config) {
            manifest = carried_out(manifest, &plan, &config);
            steps += 1;
            prop_assert!(steps <= before, "p3: each plan makes blocks fewer");
        }
        let today = manifest.blocks.values().filter(|entry| entry.window == Window::of(NOW, NOW) && !is_full(entry, &config));
        let mut levels: BTreeMap<u32, usize> = BTreeMap::new();
        today.for_each(|entry| *levels.entry(level(entry, &config)).or_default() += 1);
        // Blocks of the highest level may be too large to be put together.
        let lower = levels.iter().filter(|(level, _)| **level < 4);
        prop_assert!(lower.into_iter().all(|(_, count)| *count < config.fan_in), "p3: {levels:?}");
    }
}

/// Whether blocks were written one after the other, no other block of their window in between.
fn are_neighbours(manifest: &Manifest, plan: &Plan) -> bool {
    let written = |id: &BlockId| manifest.blocks.get(id).map(|entry| entry.written);
    let (Some(first), Some(last)) = (plan.inputs.first().and_then(written), plan.inputs.last().and_then(written))
    else {
        return false;
    };
    let window = plan.inputs.first().and_then(|id| manifest.blocks.get(id)).map(|entry| entry.window);
    let between = manifest.blocks.values().filter(|entry| (first..=last).contains(&entry.written));
    let between = between.filter(|entry| Some(entry.window) == window).count();
    between == plan.inputs.len() && plan.inputs.iter().map(written).is_sorted()
}

proptest! {
    #[test]
    fn p4_blocks_of_metrics_keep_their_order(
        sizes in proptest::collection::vec((0i64..3, 10u32..26, 1u64..4, proptest::bool::weighted(0.05)), 0..80)
    ) {
        let config = small();
        let mut manifest = manifest_of(Vec::new());
        let mut steps = 0;
        for (id, &(days, power, times, damaged)) in (0u128..).zip(&sizes) {
            let new = BlockEntry { signal: Signal::Metrics, ..entry(id, days, times << power) };
            if new.bytes > config.most_bytes {
                continue;
            }
            if damaged {
                manifest.quarantined.insert(new.id, "damaged".into());
            }
            manifest.blocks.insert(new.id, Arc::new(new));
            while let Some(plan) = pick(&manifest, NOW, &config) {
                prop_assert!(are_neighbours(&manifest, &plan), "p4");
                manifest = carried_out(manifest, &plan, &config);
                steps += 1;
                prop_assert!(steps <= sizes.len(), "p3: each plan makes blocks fewer");
            }
            for blocks in windows(&manifest, &config) {
                for run in blocks.chunk_by(|a, b| level(a, &config) == level(b, &config)) {
                    prop_assert!(run.len() < config.fan_in, "p3");
                }
            }
        }
    }
}

#[test]
fn a_row_is_written_once_per_level() {
    let config = small();
    let (mut manifest, mut written, mut flushed) = (manifest_of(vec![]), 0, 0);
    for id in 0..1_024u128 {
        let new = entry(id, 0, 200 << 10);
        flushed += new.bytes;
        manifest.blocks.insert(new.id, Arc::new(new));
        while let Some(plan) = pick(&manifest, NOW, &config) {
            written +=
                plan.inputs.iter().filter_map(|id| manifest.blocks.get(id)).map(|entry| entry.bytes).sum::<u64>();
            manifest = carried_out(manifest, &plan, &config);
        }
    }
    assert!(written <= 4 * flushed, "{}", written as f64 / flushed as f64);
    assert!(manifest.blocks.len() <= 16, "{}", manifest.blocks.len());
}

#[test]
fn blocks_of_different_tables_and_windows_stay_apart() {
    let other = |id, signal| BlockEntry { signal, ..entry(id, 0, 1_000) };
    let entries = vec![entry(0, 0, 1_000), entry(1, 0, 1_000), other(2, Signal::Logs), other(3, Signal::Logs)];
    assert_eq!(pick(&manifest_of(entries), NOW, &small()), None);
    let apart = (0..8).map(|id| entry(id, i64::try_from(id).unwrap() % 4, 1_000 << (id / 4 * 8))).collect();
    assert_eq!(pick(&manifest_of(apart), NOW, &small()).map(|plan| plan.inputs.len()), None);
}

#[test]
fn what_is_left_of_a_past_window_is_merged_unless_it_is_hardly_anything() {
    let check = |sizes: &[u64], expected: Option<usize>| {
        let entries = (0u128..).zip(sizes).map(|(id, &bytes)| entry(id, 2, bytes)).collect();
        assert_eq!(pick(&manifest_of(entries), NOW, &small()).map(|plan| plan.inputs.len()), expected, "{sizes:?}");
    };
    check(&[1 << 20, 3 << 20], Some(2));
    check(&[1 << 20, 30 << 20], None);
    check(&[1 << 20, 1 << 20, 30 << 20], Some(2));
    check(&[40 << 20, 50 << 20], None);
    check(&[5], None);
}

#[test]
fn a_damaged_block_is_in_no_plan() {
    let mut manifest = manifest_of((0..5).map(|id| entry(id, 0, 1_000)).collect());
    manifest.quarantined.insert(BlockId(2), "damaged".into());
    let plan = pick(&manifest, NOW, &small()).unwrap();
    assert!(plan.inputs.len() == 4 && !plan.inputs.contains(&BlockId(2)));
}

#[test]
fn a_block_with_hidden_rows_is_written_again_after_a_while() {
    use crate::manifest::Tombstone;
    use crate::scan::Predicate;
    let mut manifest = manifest_of(vec![entry(1, 0, 1_000)]);
    let tombstone = Tombstone { created: NOW, predicate: Predicate::All, blocks: [BlockId(1)].into() };
    manifest.tombstones.insert(7, Arc::new(tombstone));
    assert_eq!(pick(&manifest, NOW, &small()), None);
    let later = NOW + HIDDEN_FOR_NANOS;
    assert_eq!(pick(&manifest, later, &small()), Some(Plan { inputs: vec![BlockId(1)] }));
}
