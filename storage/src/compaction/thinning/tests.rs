//! What is due is thinned, once, and never without all of it.

use super::*;
use crate::block::Window;
use crate::manifest::Manifest;
use crate::model::TenantId;
use crate::retention::{DownsamplingLevel, TenantRetention};

const NOW: i64 = 1_795_435_200_000_000_000; // 2026-11-23T12:00:00Z
const HOUR: i64 = 3_600_000_000_000;

fn config(levels: &[(u32, u32)]) -> RetentionConfig {
    let level = |(resolution_seconds, after_days): &(u32, u32)| DownsamplingLevel {
        resolution_seconds: *resolution_seconds,
        after_days: *after_days,
        keep_days: 400,
    };
    RetentionConfig { metrics_days: 10, downsampling: levels.iter().map(level).collect(), ..RetentionConfig::default() }
}

/// A block of metrics that was made so many hours ago, of a day so many days ago.
fn entry(written: u64, days_ago: i64, made_hours_ago: i64, seconds: u32) -> BlockEntry {
    let time = NOW - days_ago * DAY_NANOS;
    BlockEntry {
        id: BlockId::new(NOW - made_hours_ago * HOUR, written),
        tenant: TenantId::default(),
        signal: Signal::Metrics,
        window: Window::of(time, NOW),
        written,
        rows: 1,
        bytes: 1,
        min_time: time,
        max_time: time,
        meta_crc: 0,
        resolution: Resolution::of_seconds(seconds).unwrap_or_default(),
        undecided: false,
        grown_at: None,
    }
}

fn manifest(entries: &[BlockEntry]) -> Manifest {
    let blocks = entries.iter().map(|entry| (entry.id, Arc::new(entry.clone()))).collect();
    Manifest { blocks, ..Manifest::default() }
}

/// Inputs by their versions, what is replaced, and the resolution.
fn next(manifest: &Manifest, config: &RetentionConfig) -> Option<(Vec<u64>, Option<u64>, u32)> {
    let plan = thin_next(manifest, NOW, config)?;
    let written = |id: &BlockId| manifest.blocks[id].written;
    Some((plan.inputs.iter().map(written).collect(), plan.replaces.as_ref().map(written), plan.resolution.seconds()))
}

#[test]
fn a1_a_window_is_thinned_when_it_is_old_and_the_oldest_first() {
    let all = manifest(&[entry(1, 1, 24, 0), entry(2, 3, 24, 0), entry(3, 3, 20, 0), entry(4, 2, 20, 0)]);
    assert_eq!(next(&all, &config(&[])), None);
    assert_eq!(next(&all, &config(&[(300, 1)])), Some((vec![2, 3], None, 300)));
    assert_eq!(next(&all, &config(&[(300, 3)])), None);
    let mut other = config(&[(300, 3)]);
    let own =
        TenantRetention { downsampling: Some(vec![config(&[(60, 1)]).downsampling[0]]), ..TenantRetention::default() };
    other.tenants.insert("default".to_owned(), own);
    assert_eq!(next(&all, &other), Some((vec![2, 3], None, 60)), "as the tenant wants it");
    let done = manifest(&[entry(2, 3, 24, 0), entry(3, 3, 20, 0), entry(3, 3, 1, 300)]);
    assert_eq!(next(&done, &config(&[(300, 1)])), None);
    assert_eq!(next(&done, &config(&[(300, 1), (3_600, 1)])), Some((vec![2, 3], None, 3_600)));
    let other_windows = [Window::OTHER, Window::FUTURE].map(|window| BlockEntry { window, ..entry(1, 3, 20, 0) });
    assert_eq!(
        next(&manifest(&other_windows[..1]), &config(&[(300, 1)])),
        None,
        "rows that are far away stay as they are"
    );
    assert_eq!(next(&manifest(&other_windows[1..]), &config(&[(300, 1)])), None);
}

#[test]
fn a2_nothing_is_thinned_of_which_a_part_is_gone() {
    let two = [entry(2, 3, 24, 0), entry(3, 3, 20, 0)];
    let mut damaged = manifest(&two);
    damaged.quarantined.insert(two[0].id, "damaged".into());
    assert_eq!(next(&damaged, &config(&[(300, 1)])), None);
    let short = RetentionConfig { metrics_days: 3, ..config(&[(300, 1)]) };
    assert_eq!(next(&manifest(&two), &short), None, "a part of the day may be gone by age");
    // Of the day only what came late is there.
    let late = manifest(&[entry(3, 3, 20, 300), entry(4, 3, 20, 0)]);
    assert_eq!(next(&late, &config(&[(300, 1), (3_600, 1)])), None);
}

#[test]
fn a2_a_thinned_block_that_is_damaged_is_made_again() {
    let thinned = entry(3, 3, 1, 300);
    let mut all = manifest(&[entry(2, 3, 24, 0), entry(3, 3, 20, 0), thinned.clone()]);
    all.quarantined.insert(thinned.id, "damaged".into());
    assert_eq!(next(&all, &config(&[(300, 1)])), Some((vec![2, 3], Some(3), 300)));
}

#[test]
fn a3_what_came_late_is_taken_in_when_nothing_more_comes() {
    let late = |hours| manifest(&[entry(2, 3, 24, 0), entry(2, 3, 10, 300), entry(5, 3, hours, 0)]);
    assert_eq!(next(&late(0), &config(&[(300, 1)])), None);
    assert_eq!(next(&late(1), &config(&[(300, 1)])), Some((vec![2, 5], Some(2), 300)));
}
