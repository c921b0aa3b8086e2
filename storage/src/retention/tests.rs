use super::clock::DOUBT;
use super::*;
use crate::block::Window;
use crate::fs::{Clock, SimulatedClock};
use crate::metric::Resolution;
use proptest::prelude::*;
use std::time::Duration;

const DAY: i64 = 24 * 3600 * 1_000_000_000;
const NOW: i64 = 1_795_435_200_000_000_000; // 2026-11-23T12:00:00Z

fn entry(number: u64, tenant: &str, signal: Signal, days_ago: i64, bytes: u64) -> BlockEntry {
    let time = NOW - days_ago * DAY;
    BlockEntry {
        id: BlockId::new(NOW, number),
        tenant: TenantId::new(tenant).unwrap(),
        signal,
        window: Window::of(time, NOW),
        written: number,
        rows: 1,
        bytes,
        min_time: time - DAY,
        max_time: time,
        meta_crc: 0,
        resolution: Resolution::RAW,
        undecided: false,
        grown_at: None,
    }
}

fn manifest_of(entries: impl IntoIterator<Item = BlockEntry>) -> Manifest {
    let blocks = entries.into_iter().map(|entry| (entry.id, Arc::new(entry))).collect();
    Manifest { blocks, ..Manifest::default() }
}

fn gone(manifest: &Manifest, missing: u64, config: &RetentionConfig) -> Vec<(Cause, u64)> {
    let nonce = |id: &BlockId| u64::try_from(id.0 & u128::from(u64::MAX)).unwrap();
    let expired = expired(manifest, NOW, missing, config);
    expired.iter().flat_map(|each| each.blocks.iter().map(|id| (each.cause, nonce(id)))).collect()
}

#[test]
fn t1_a_block_goes_when_its_last_row_is_older_than_its_tenant_keeps_it() {
    let manifest = manifest_of([
        entry(1, "a", Signal::Spans, 14, 1),
        entry(2, "a", Signal::Spans, 15, 1),
        entry(3, "a", Signal::Logs, 29, 1),
        entry(4, "b", Signal::Logs, 29, 1),
        entry(5, "a", Signal::Metrics, 91, 1),
        entry(6, "a", Signal::Metrics, -400, 1),
    ]);
    let b = TenantRetention { logs_days: Some(7), ..TenantRetention::default() };
    let tenants = BTreeMap::from([("b".to_owned(), b)]);
    let config = RetentionConfig { tenants, ..RetentionConfig::default() };
    assert_eq!(gone(&manifest, 0, &config), [(Cause::Age, 2), (Cause::Age, 5), (Cause::Age, 4)]);
}

#[test]
fn t1_rows_that_came_while_the_clock_was_behind_go_by_their_own_time() {
    let early = |days| BlockEntry { id: BlockId::new(1_000, 1), ..entry(1, "a", Signal::Spans, days, 1) };
    assert_eq!(gone(&manifest_of([early(1)]), 0, &RetentionConfig::default()), []);
    assert_eq!(gone(&manifest_of([early(15)]), 0, &RetentionConfig::default()), [(Cause::Age, 1)]);
}

#[test]
fn t1_rows_of_the_future_go_by_the_making_of_their_block() {
    let far = BlockEntry { id: BlockId::new(NOW - 20 * DAY, 1), ..entry(1, "a", Signal::Spans, -10_000, 1) };
    assert_eq!(gone(&manifest_of([far]), 0, &RetentionConfig::default()), [(Cause::Age, 1)]);
}

#[test]
fn t2_too_many_bytes_of_a_signal_cost_its_oldest_blocks() {
    let ages = [(1, 3), (2, 1), (3, 2)];
    let spans = ages.map(|(number, days)| entry(number, "a", Signal::Spans, days, 100));
    let logs = [entry(4, "a", Signal::Logs, 9, 100)];
    let config = RetentionConfig { signal_bytes: 150, ..RetentionConfig::default() };
    assert_eq!(gone(&manifest_of(spans.into_iter().chain(logs)), 0, &config), [(Cause::Bytes, 1), (Cause::Bytes, 3)]);
}

proptest! {
    #[test]
    fn t2_a_full_disk_costs_the_oldest_blocks_and_no_more_than_needed(
        blocks in proptest::collection::vec((0i64..10, 1u64..100, any::<bool>()), 0..30), missing in 0u64..1_500,
    ) {
        let signal = |logs| if logs { Signal::Logs } else { Signal::Spans };
        let entries: Vec<BlockEntry> = (0u64..).zip(&blocks).map(|(n, &(days, bytes, logs))| entry(n, "a", signal(logs), days, bytes)).collect();
        let manifest = manifest_of(entries);
        let gone: BTreeSet<BlockId> = expired(&manifest, NOW, missing, &RetentionConfig::default()).into_iter().flat_map(|each| each.blocks).collect();
        let (out, left): (Vec<_>, Vec<_>) = manifest.blocks.values().partition(|entry| gone.contains(&entry.id));
        let bytes: u64 = out.iter().map(|entry| entry.bytes).sum();
        let newest = out.iter().max_by_key(|entry| (entry.max_time, entry.id));
        prop_assert!(bytes >= missing || left.is_empty());
        prop_assert!(newest.is_none_or(|newest| bytes - newest.bytes < missing), "no more than needed");
        prop_assert!(left.iter().all(|left| newest.is_none_or(|newest| left.max_time >= newest.max_time)), "oldest first");
    }
}

#[test]
fn t3_a_clock_that_jumped_ahead_is_believed_after_a_while() {
    let clock = SimulatedClock::at(NOW);
    let mut steady = SteadyClock::new(&clock, None);
    clock.advance(Duration::from_secs(1_000));
    assert_eq!(steady.now(&clock), NOW + 1_000_000_000_000);
    clock.set(NOW + 400 * DAY);
    assert_eq!(steady.now(&clock), NOW + 1_000_000_000_000);
    clock.advance(DOUBT / 2);
    assert!(steady.now(&clock) < NOW + DAY);
    clock.advance(DOUBT / 2);
    assert!(steady.now(&clock) > NOW + 400 * DAY);
    clock.set(NOW);
    assert_eq!(steady.now(&clock), NOW);
}

#[test]
fn t3_a_start_long_after_the_newest_block_is_a_jump_and_one_before_it_is_none() {
    let clock = SimulatedClock::at(NOW);
    let mut late = SteadyClock::new(&clock, Some(BlockId::new(NOW - 400 * DAY, 0)));
    assert_eq!(late.now(&clock), NOW - 400 * DAY);
    clock.advance(DOUBT);
    assert!(late.now(&clock) > NOW);
    assert_eq!(SteadyClock::new(&clock, Some(BlockId::new(NOW + DAY, 0))).now(&clock), clock.now_unix_nano());
}

/// A block that stands for those of its day that were written until then.
fn thinned(number: u64, written: u64, days_ago: i64, seconds: u32) -> BlockEntry {
    let resolution = Resolution::of_seconds(seconds).unwrap();
    BlockEntry { resolution, written, ..entry(number, "a", Signal::Metrics, days_ago, 1) }
}

#[test]
fn t4_what_stands_for_samples_goes_by_an_age_of_its_own_and_samples_together() {
    let config = RetentionConfig {
        metrics_days: 3,
        downsampling: vec![DownsamplingLevel { resolution_seconds: 300, after_days: 1, keep_days: 5 }],
        ..RetentionConfig::default()
    };
    let early = |number: u64, hours: i64| {
        let at = entry(number, "a", Signal::Metrics, 3, 1);
        BlockEntry { max_time: at.max_time - hours * DAY / 24, ..at }
    };
    // The first row that is too old would have gone alone.
    let alone = manifest_of([early(1, 9), early(2, -1)]);
    assert_eq!(gone(&alone, 0, &config), [(Cause::Age, 1)]);
    let day = |hours: i64| manifest_of([early(1, 9), early(2, hours), thinned(3, 2, 3, 300), early(4, 5)]);
    assert_eq!(gone(&day(-1), 0, &config), [(Cause::Age, 4)], "what came late does not wait");
    assert_eq!(gone(&day(1), 0, &config), [(Cause::Age, 4), (Cause::Age, 1), (Cause::Age, 2)]);
    let old = manifest_of([thinned(1, 1, 4, 300), thinned(2, 1, 6, 300), thinned(3, 1, 4, 60)]);
    assert_eq!(gone(&old, 0, &config), [(Cause::Age, 2), (Cause::Age, 3)], "60 s are in no setting");
}

#[test]
fn t4_for_want_of_room_samples_go_before_what_stands_for_them_and_all_of_a_day() {
    let raw = |number| entry(number, "a", Signal::Metrics, 3, 10);
    let all = manifest_of([raw(1), raw(2), thinned(3, 2, 3, 300), entry(4, "a", Signal::Metrics, 1, 10)]);
    let config = RetentionConfig { signal_bytes: 25, ..RetentionConfig::default() };
    assert_eq!(gone(&all, 0, &config), [(Cause::Bytes, 1), (Cause::Bytes, 2)]);
    assert_eq!(gone(&all, 5, &RetentionConfig::default()), [(Cause::Disk, 1), (Cause::Disk, 2)]);
    assert_eq!(gone(&all, 21, &RetentionConfig::default()).len(), 3);
}

#[test]
fn t4_samples_do_not_go_without_those_that_a_merge_has_put_in_their_place() {
    let raw = |number| entry(number, "a", Signal::Metrics, 3, 10);
    let planned: Vec<BlockId> = [1, 2].map(|number| raw(number).id).to_vec();
    let ids = |manifest: &Manifest| still_together(manifest, &planned).len();
    assert_eq!(ids(&manifest_of([raw(1), raw(2), thinned(3, 2, 3, 300)])), 2);
    let merged = BlockEntry { written: 1, ..raw(9) };
    assert_eq!(ids(&manifest_of([merged.clone(), raw(2), thinned(3, 2, 3, 300)])), 0);
    assert_eq!(ids(&manifest_of([merged, raw(2)])), 1, "without what stands for them each goes alone");
}

#[test]
fn levels_that_cannot_be_kept_to_are_refused() {
    let check = |resolution_seconds, after_days, keep_days| {
        let level = DownsamplingLevel { resolution_seconds, after_days, keep_days };
        RetentionConfig { metrics_days: 30, downsampling: vec![level], ..RetentionConfig::default() }.check()
    };
    assert_eq!(check(300, 2, 400), Ok(()));
    for (level, what) in [
        ((7, 2, 400), "`resolution_seconds` is 7"),
        ((0, 2, 400), "`resolution_seconds` is 0"),
        ((300, 0, 400), "`after_days` is 0"),
        ((300, 29, 400), "`after_days` is 29"),
        ((300, 2, 2), "`keep_days` is 2"),
    ] {
        let refused = check(level.0, level.1, level.2).unwrap_err();
        assert!(refused.starts_with(&format!("`retention.downsampling`: {what}")), "{refused}");
    }
}
