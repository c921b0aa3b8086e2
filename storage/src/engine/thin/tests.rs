//! What stands for samples is read instead of them, made anew when they change, and goes with what is deleted.

use super::*;
use crate::engine::{DeleteRequest, EngineConfig, SeriesRequest, Write};
use crate::fs::{SimulatedClock, SimulatedDisk};
use crate::metric::Resolution;
use crate::model::attribute::Map;
use crate::model::origin::{Resource, Scope};
use crate::model::record::Number;
use crate::model::schema::column;
use crate::model::{Batch, MetricHead, Point, PointBatchBuilder, PointData, Signal, TenantId};
use crate::retention::DownsamplingLevel;
use crate::scan::{Predicate, ScanRequest, TimeRange};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

const DAY: i64 = 1_795_392_000_000_000_000; // 2026-11-23T00:00:00Z
const SECOND: i64 = 1_000_000_000;
const HOUR: Duration = Duration::from_secs(3_600);
const FIVE_MINUTES: i64 = 300_000;

fn batch(times: impl IntoIterator<Item = i64>) -> Batch {
    let mut builder = PointBatchBuilder::default();
    builder.set_resource(&Resource::default());
    builder.set_scope(&Scope::default());
    let metadata = Map::default();
    let (name, unit, description) = ("level", "1", "");
    builder.set_metric(&MetricHead { name, unit, description, metadata, temporality: 0, is_monotonic: false });
    for second in times {
        let data = PointData::Gauge(Some(Number::Int((second * 7919) % 1000)));
        let (attributes, time, start_time, flags) = (Map::default(), DAY + second * SECOND, None, 0);
        builder.append(&Point { attributes, time, start_time, flags, exemplars: &[], data }).unwrap();
    }
    builder.finish().unwrap()
}

fn put(store: &Store, times: impl IntoIterator<Item = i64>) {
    let (tenant, payload, batch) = (TenantId::default(), Bytes::from_static(b"x"), batch(times));
    store.commit(&[Write { tenant, signal: Signal::Metrics, received_at: DAY, payload, batch }]).unwrap();
    store.seal().unwrap();
    while store.flush_is_due() {
        store.flush().unwrap();
    }
}

fn open() -> (Store, SimulatedClock) {
    let clock = SimulatedClock::at(DAY);
    let mut config = EngineConfig::new("/data");
    (config.min_free_bytes, config.retention.min_free_bytes) = (0, 0);
    config.retention.metrics_days = 4;
    let level = |resolution_seconds| DownsamplingLevel { resolution_seconds, after_days: 1, keep_days: 90 };
    config.retention.downsampling = vec![level(300), level(3_600)];
    let decoder = |_: Signal, _: i64, _: &[u8]| Err("nothing is replayed".to_owned());
    let disk = Arc::new(SimulatedDisk::new(1));
    (Store::open(config, disk, Arc::new(clock.clone()), &decoder).unwrap(), clock)
}

/// A day with a sample every minute, a few hours after the day behind it.
fn aged() -> (Store, SimulatedClock) {
    let (store, clock) = open();
    put(&store, (0..1_440).map(|minute| minute * 60 + 10));
    clock.advance(50 * HOUR);
    (store, clock)
}

fn maintain(store: &Store) -> usize {
    let mut done = 0;
    while store.compact(&mut |_| Ok(())).unwrap() {
        done += 1;
    }
    store.retain().unwrap();
    store.collect();
    done
}

/// How many samples a reader of such moments finds, for how many they stand, and how coarse they are.
fn read(store: &Store, every: i64) -> (usize, u64, u32) {
    let snapshot = store.snapshot(&TenantId::default());
    let mut request = SeriesRequest::new(Vec::new(), TimeRange::ALL);
    request.every = every;
    let (mut found, mut stands) = (0, 0);
    for series in snapshot.series(&request, |_| true, |_| true).unwrap() {
        let (_, samples) = series.unwrap();
        found += samples.len();
        stands += (0..samples.len()).map(|row| samples.count(row).unwrap_or(1)).sum::<u64>();
    }
    assert!(snapshot.missing().is_empty());
    assert_eq!(snapshot.coarsest(), snapshot.resolution(TimeRange::ALL, every));
    (found, stands, snapshot.coarsest().seconds())
}

fn rows(store: &Store) -> usize {
    let snapshot = store.snapshot(&TenantId::default());
    let scan = snapshot.scan(Signal::Metrics, ScanRequest::all([column::TIME])).unwrap();
    scan.map(|batch| batch.unwrap().num_rows()).sum()
}

fn delete(store: &Store, from: i64, until: i64) -> bool {
    let time = TimeRange { start: DAY + from * SECOND, end: DAY + until * SECOND };
    let (tenant, signal, predicate) = (TenantId::default(), Signal::Metrics, Predicate::All);
    store.delete(&DeleteRequest { tenant, signal, time, predicate }).unwrap().is_some()
}

#[test]
fn r1_a_reader_of_ends_of_windows_reads_what_stands_for_samples_and_others_read_them() {
    let (store, clock) = aged();
    assert_eq!(maintain(&store), 2);
    assert_eq!(maintain(&store), 0, "plans come to an end");
    assert_eq!(read(&store, 0), (1_440, 1_440, 0));
    assert_eq!(read(&store, FIVE_MINUTES), (576, 1_440, 300));
    assert_eq!(read(&store, 12 * FIVE_MINUTES), (48, 1_440, 3_600));
    assert_eq!(read(&store, 60_000), (1_440, 1_440, 0));
    assert_eq!(rows(&store), 1_440);
    // What is old goes, and what stands for it stays.
    clock.advance(70 * HOUR);
    maintain(&store);
    assert_eq!(read(&store, 0), (576, 1_440, 300));
    assert_eq!(read(&store, 12 * FIVE_MINUTES), (48, 1_440, 3_600));
    assert_eq!(rows(&store), 576);
    clock.advance(2_200 * HOUR);
    maintain(&store);
    assert_eq!((read(&store, 0), rows(&store)), ((0, 0, 0), 0));
}

#[test]
fn a1_what_comes_late_is_read_at_once_and_taken_in_later() {
    let (store, clock) = aged();
    maintain(&store);
    put(&store, [15, 75]);
    assert_eq!(read(&store, 0), (1_442, 1_442, 0));
    assert_eq!(read(&store, FIVE_MINUTES), (1_442, 1_442, 0), "all samples, until it is taken in");
    assert_eq!(maintain(&store), 0);
    clock.advance(2 * HOUR);
    maintain(&store);
    assert_eq!(read(&store, FIVE_MINUTES), (576, 1_442, 300));
    assert_eq!(read(&store, 12 * FIVE_MINUTES), (48, 1_442, 3_600));
    assert_eq!(rows(&store), 1_442);
}

#[test]
fn l1_what_stands_for_samples_that_are_deleted_is_made_of_those_that_are_left() {
    let (store, clock) = aged();
    maintain(&store);
    assert!(delete(&store, 600, 1_200));
    assert_eq!(read(&store, FIVE_MINUTES), (1_430, 1_430, 0));
    maintain(&store);
    assert_eq!(read(&store, FIVE_MINUTES), (572, 1_430, 300));
    assert!(!delete(&store, 600, 1_200), "there is nothing any more");
    clock.advance(2 * HOUR);
    maintain(&store);
    assert_eq!(read(&store, FIVE_MINUTES), (572, 1_430, 300));
    assert_eq!(read(&store, 0), (1_430, 1_430, 0));
}

#[test]
fn l1_where_samples_are_gone_their_windows_are_hidden_whole() {
    let (store, clock) = aged();
    maintain(&store);
    clock.advance(70 * HOUR);
    maintain(&store);
    assert_eq!(read(&store, 0), (576, 1_440, 300));
    // Between the first and the last sample of a window, which are at 610 and at 850.
    assert!(delete(&store, 700, 701));
    assert_eq!(read(&store, 0), (574, 1_435, 300));
    assert_eq!(read(&store, 12 * FIVE_MINUTES), (46, 1_380, 3_600));
    clock.advance(HOUR);
    maintain(&store);
    assert_eq!(read(&store, 0), (574, 1_435, 300), "also when it has left the disk");
    assert_eq!(rows(&store), 574);
}

#[test]
fn a2_what_is_deleted_while_it_is_made_is_not_in_it() {
    let (store, _clock) = aged();
    let mut deletions = 0;
    let done = store.compact(&mut |_| {
        if deletions == 0 {
            deletions += 1;
            assert!(delete(&store, 600, 1_200));
        }
        Ok(())
    });
    assert_eq!((done.unwrap(), deletions), (false, 1));
    assert_eq!(read(&store, FIVE_MINUTES), (1_430, 1_430, 0));
    maintain(&store);
    assert_eq!(read(&store, FIVE_MINUTES), (572, 1_430, 300));
}

#[test]
fn merges_of_what_is_thinned_keep_its_resolution() {
    let (store, clock) = aged();
    maintain(&store);
    clock.advance(70 * HOUR);
    maintain(&store);
    assert!(delete(&store, 600, 1_200));
    clock.advance(HOUR);
    maintain(&store);
    let resolutions: Vec<Resolution> = store.view().manifest.blocks.values().map(|entry| entry.resolution).collect();
    assert_eq!(resolutions.iter().map(|resolution| resolution.seconds()).collect::<Vec<_>>(), [300, 3_600]);
    assert!(store.view().blocks.values().flat_map(|blocks| blocks.iter()).all(|b| !b.meta().resolution.is_raw()));
}
