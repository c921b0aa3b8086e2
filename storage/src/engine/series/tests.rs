//! `Snapshot::series` and `Snapshot::scan` answer the same, wherever the samples lie.

use super::*;
use crate::engine::{DeleteRequest, EngineConfig, Store, Write};
use crate::fs::{SimulatedClock, SimulatedDisk};
use crate::metric::Relation;
use crate::model::attribute::{Map, MapBuilder, Value};
use crate::model::origin::{Resource, Scope};
use crate::model::record::Number;
use crate::model::{Batch, MetricHead, Point, PointBatchBuilder, PointData, TenantId};
use crate::scan::{AttributeScope, Compare, Field, Predicate, Scalar, ScanRequest};
use bytes::Bytes;
use proptest::prelude::*;
use std::sync::Arc;

const NOW: i64 = 1_795_435_200_000_000_000;
const HOSTS: [&str; 4] = ["", "a", "b", "web-1"];
const NAMES: [&str; 2] = ["cpu", "memory"];

/// A point: name, host of the resource, a number among the attributes, time.
type Given = (usize, usize, Option<u8>, i64);

fn batch(points: &[Given], value: i64) -> Batch {
    let mut builder = PointBatchBuilder::default();
    for (name, host, number, time) in points {
        let mut attributes = MapBuilder::default();
        attributes.push("host", Value::String(HOSTS[*host]));
        let resource = attributes.finish();
        builder.set_resource(&Resource { attributes: Map::new(&resource), ..Resource::default() });
        builder.set_scope(&Scope { name: "meter", ..Scope::default() });
        let metadata = Map::default();
        let (name, unit, description) = (NAMES[*name], "1", "");
        builder.set_metric(&MetricHead { name, unit, description, metadata, temporality: 2, is_monotonic: false });
        let mut attributes = MapBuilder::default();
        if let Some(number) = number {
            attributes.push("number", Value::Int((*number).into()));
        }
        let attributes = attributes.finish();
        let point = Point {
            attributes: Map::new(&attributes),
            time: NOW + time,
            start_time: None,
            flags: 0,
            exemplars: &[],
            data: PointData::Gauge(Some(Number::Int(value))),
        };
        builder.append(&point).unwrap();
    }
    builder.finish().unwrap()
}

fn values(snapshot: &Snapshot, label: &Label, time: TimeRange) -> Vec<String> {
    snapshot.label_values(label, time, usize::MAX, |_| true).unwrap()
}

fn store() -> Store {
    store_on(&SimulatedDisk::new(1))
}

fn store_on(disk: &SimulatedDisk) -> Store {
    let mut config = EngineConfig::new("/data");
    config.min_free_bytes = 0;
    config.compaction.fan_in = 2;
    // Some blocks are full and stay where they are among those that are merged.
    config.compaction.most_rows = 30;
    let decoder = |_: Signal, _: i64, _: &[u8]| Err("nothing is replayed".to_owned());
    Store::open(config, Arc::new(disk.clone()), Arc::new(SimulatedClock::at(NOW)), &decoder).unwrap()
}

fn flush(store: &Store) {
    store.seal().unwrap();
    while !store.view().sealed.is_empty() {
        store.flush().unwrap();
    }
}

/// Deletes the samples of some series in a range of time; who is in it.
fn delete(store: &Store, way: u8) -> impl Fn(&Key, i64) -> bool + use<> {
    let compare = |field, value| Predicate::Compare { field, compare: Compare::Equal, value };
    let (time, predicate) = match way % 3 {
        0 => (TimeRange::ALL, compare(Field::Column(name::NAME), Scalar::String("cpu".into()))),
        1 => {
            let number = compare(Field::Attribute(AttributeScope::Own, "number".into()), Scalar::Int(1));
            (TimeRange { start: NOW + 3, end: NOW + 8 }, number)
        }
        _ => (TimeRange { start: NOW + 6, end: i64::MAX }, Predicate::All),
    };
    let request = DeleteRequest { tenant: TenantId::default(), signal: Signal::Metrics, time, predicate };
    store.delete(&request).unwrap();
    move |key, at| {
        time.contains(at)
            && match way % 3 {
                0 => key.0 == "cpu",
                1 => key.2 == Some(1),
                _ => true,
            }
    }
}

fn commit(store: &Store, batch: Batch) {
    let (tenant, payload) = (TenantId::default(), Bytes::from_static(b"x"));
    store.commit(&[Write { tenant, signal: Signal::Metrics, received_at: NOW, payload, batch }]).unwrap();
}

type Key = (String, String, Option<u8>);

fn key(point: &Given) -> Key {
    (NAMES[point.0].to_owned(), HOSTS[point.1].to_owned(), point.2)
}

fn matcher(label: usize, relation: usize, text: &str) -> Matcher {
    let labels =
        [Label::Name, Label::Resource("host".into()), Label::Point("number".into()), Label::ScopeName, Label::Unit];
    let relations = [Relation::Equal, Relation::NotEqual, Relation::Matches, Relation::MatchesNot];
    Matcher::new(labels[label].clone(), relations[relation], text).unwrap()
}

fn any_points() -> impl Strategy<Value = Vec<Given>> {
    let number = prop_oneof![1 => Just(None), 3 => (0u8..3).prop_map(Some)];
    proptest::collection::vec((0usize..2, 0usize..4, number, 0i64..12), 0..20)
}

fn any_matchers() -> impl Strategy<Value = Vec<(usize, usize, &'static str)>> {
    let text =
        proptest::sample::select(vec!["", "a", "cpu", "c.*|memory", "1", "[01]", ".+", ".*", "web.*", "meter", "x"]);
    proptest::collection::vec((0usize..5, 0usize..4, text), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn q1_the_last_written_sample_counts_wherever_it_lies(
        writes in proptest::collection::vec((any_points(), 0u8..10), 1..10),
        matchers in any_matchers(),
        (start, length) in (-2i64..14, 0i64..14),
    ) {
        let store = store();
        let mut expected: BTreeMap<Key, BTreeMap<i64, i64>> = BTreeMap::new();
        for (value, (points, then)) in (0i64..).zip(&writes) {
            commit(&store, batch(points, value));
            for point in points {
                expected.entry(key(point)).or_default().insert(NOW + point.3, value);
            }
            if *then > 0 {
                store.seal().unwrap();
            }
            if *then > 1 {
                store.flush().unwrap();
            }
            if *then > 4 {
                flush(&store);
            }
            if *then > 6 {
                let gone = delete(&store, *then);
                expected.iter_mut().for_each(|(key, samples)| samples.retain(|at, _| !gone(key, *at)));
            }
            if *then > 3 {
                while store.compact(&mut |_| Ok(())).unwrap() {}
            }
        }
        let time = TimeRange { start: NOW + start, end: NOW + start + length };
        let snapshot = store.snapshot(&TenantId::default());
        let made = || matchers.iter().map(|(label, relation, text)| matcher(*label, *relation, text)).collect::<Vec<_>>();
        let accepts = |key: &Key| {
            matchers.iter().zip(made()).all(|((label, _, _), matcher)| {
                let number = key.2.map(|number| number.to_string()).unwrap_or_default();
                matcher.accepts([key.0.as_str(), &key.1, &number, "meter", "1"][*label])
            })
        };
        expected.retain(|key, samples| {
            samples.retain(|at, _| time.contains(*at));
            accepts(key) && !samples.is_empty()
        });
        let mut found: BTreeMap<Key, BTreeMap<i64, i64>> = BTreeMap::new();
        let mut last: Option<Series> = None;
        for answer in snapshot.series(&SeriesRequest::new(made(), time), |_| true, |_| true).unwrap() {
            let (series, samples) = answer.unwrap();
            prop_assert!(last.as_ref().is_none_or(|last| *last < series), "ascending, each once");
            prop_assert!(samples.times().is_sorted_by(|a, b| a < b));
            let host = Label::Resource("host".into()).value(&series).into_owned();
            let number = Label::Point("number".into()).value(&series).parse().ok();
            let values = samples.times().iter().enumerate().map(|(row, at)| match samples.value(row) {
                Some(Number::Int(value)) => (*at, value),
                other => panic!("{other:?}"),
            });
            let before = found.insert((series.name.to_string(), host, number), values.collect());
            prop_assert!(before.is_none());
            last = Some(series);
        }
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn labels_and_their_values_are_those_of_blocks_and_memory() {
    let store = store();
    commit(&store, batch(&[(0, 1, Some(7), 0)], 1));
    store.seal().unwrap();
    store.flush().unwrap();
    commit(&store, batch(&[(1, 3, None, 0)], 1));
    let snapshot = store.snapshot(&TenantId::default());
    let labels = snapshot.labels(TimeRange::ALL, |_| true).unwrap();
    let host = Label::Resource("host".into());
    assert_eq!(
        labels,
        [
            Label::Name,
            Label::Type,
            Label::Unit,
            Label::ServiceName,
            Label::ScopeName,
            Label::Point("number".into()),
            host.clone()
        ]
    );
    assert_eq!(values(&snapshot, &host, TimeRange::ALL), ["a", "web-1"]);
    assert_eq!(values(&snapshot, &Label::Point("number".into()), TimeRange::ALL), ["7"]);
    assert_eq!(values(&snapshot, &Label::Name, TimeRange::ALL), NAMES);
}

#[test]
fn q4_nothing_is_answered_that_may_not_be_held() {
    let store = store();
    let points: Vec<Given> = (0..40).map(|n| (0, 1, Some(n), 0)).collect();
    commit(&store, batch(&points, 1));
    flush(&store);
    commit(&store, batch(&points, 2));
    let snapshot = store.snapshot(&TenantId::default());
    let request = SeriesRequest::new(Vec::new(), TimeRange::ALL);
    let mut most = 0;
    let mut scan = snapshot.series(
        &request,
        |_| true,
        |bytes| {
            most = bytes;
            true
        },
    );
    let held = scan.as_ref().unwrap().memory_bytes();
    assert_eq!((held, scan.as_mut().unwrap().left()), (most, 40), "what is in two places counts, too");
    assert!(most > 40 * 2 * size_of::<Series>(), "{most}");
    scan.as_mut().unwrap().next().unwrap().unwrap();
    assert!(scan.unwrap().memory_bytes() < held);
    let (mut asked, mut refused) = (0, 0);
    let scan = snapshot.series(
        &request,
        |_| true,
        |bytes| {
            asked += 1;
            refused = bytes;
            bytes <= most / 4
        },
    );
    assert_eq!(scan.unwrap().left(), 0);
    // What is not wanted takes next to nothing, and is asked for once.
    let (looked_at, peak) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let wanted = |series: &Series| {
        looked_at.set(looked_at.get() + 1);
        Label::Point("number".into()).value(series) == "7"
    };
    let room = |bytes: usize| {
        peak.set(bytes.max(peak.get()));
        true
    };
    let scan = snapshot.series(&request, wanted, room).unwrap();
    assert_eq!((scan.left(), looked_at.get()), (1, 40));
    assert!(peak.get() < most / 8 && scan.memory_bytes() < most / 30, "{} of {most}", peak.get());
    assert!(asked < 40 && refused < most / 2, "it is given up at once: {asked}, {refused}");
    let number = Label::Point("number".into());
    assert_eq!(snapshot.label_values(&number, TimeRange::ALL, 2, |_| true).unwrap(), ["0", "1"]);
    assert!(snapshot.label_values(&number, TimeRange::ALL, 2, |_| false).unwrap().is_empty());
    assert!(snapshot.labels(TimeRange::ALL, |bytes| bytes < 200).unwrap().len() < 4);
}

#[test]
fn series_are_given_one_by_one_by_what_they_match() {
    let store = store();
    commit(&store, batch(&[(0, 1, Some(7), 0), (0, 1, Some(8), 0), (1, 2, Some(8), 0)], 1));
    flush(&store);
    commit(&store, batch(&[(1, 3, Some(8), 0)], 1));
    let snapshot = store.snapshot(&TenantId::default());
    let number = Matcher::new(Label::Point("number".into()), Relation::Equal, "8").unwrap();
    let mut found = Vec::new();
    let mut add = |series: &Series| found.push(Label::Resource("host".into()).value(series).into_owned());
    snapshot
        .each_series(std::slice::from_ref(&number), TimeRange::ALL, |series, _| {
            add(series);
            true
        })
        .unwrap();
    assert_eq!(found, ["a", "b", "web-1"]);
    let mut first = 0;
    snapshot
        .each_series(&[number], TimeRange::ALL, |_, _| {
            first += 1;
            false
        })
        .unwrap();
    assert_eq!(first, 1);
}

#[test]
fn a_block_that_was_flushed_answers_a_scan_as_its_memtable_did() {
    let store = store();
    let points: Vec<Given> =
        (0..200).map(|n: i64| (n as usize % 2, n as usize % 4, Some((n % 3) as u8), n / 3 % 30)).collect();
    for (value, points) in (0i64..).zip(points.chunks(30)) {
        commit(&store, batch(points, value));
    }
    let columns: Vec<&'static str> =
        schema::of(Signal::Metrics).fields().iter().map(|field| field.name().as_str()).collect();
    let read = || {
        let scan =
            store.snapshot(&TenantId::default()).scan(Signal::Metrics, ScanRequest::all(columns.clone())).unwrap();
        let batches: Vec<_> = scan.collect::<Result<_>>().unwrap();
        arrow_select::concat::concat_batches(schema::of(Signal::Metrics), &batches).unwrap()
    };
    let before = read();
    store.seal().unwrap();
    store.flush().unwrap();
    assert_eq!(read(), before);
    assert!(before.num_rows() < 200, "samples of one time are one");
}

#[test]
fn q3_labels_of_deleted_series_are_gone_before_their_rows_are() {
    let store = store();
    commit(&store, batch(&[(0, 1, Some(7), 0), (1, 2, Some(8), 0), (1, 2, Some(9), 9)], 1));
    flush(&store);
    drop(delete(&store, 0));
    let snapshot = store.snapshot(&TenantId::default());
    let hosts = |time| values(&snapshot, &Label::Resource("host".into()), time);
    assert_eq!(values(&snapshot, &Label::Name, TimeRange::ALL), ["memory"]);
    assert_eq!(hosts(TimeRange::ALL), ["b"]);
    drop(delete(&store, 2));
    let snapshot = store.snapshot(&TenantId::default());
    let numbers = values(&snapshot, &Label::Point("number".into()), TimeRange::ALL);
    assert_eq!(numbers, ["8"], "the other series has no sample left");
    assert!(snapshot.missing().is_empty());
}

#[test]
fn q3_a_damaged_block_costs_its_own_series_and_is_told_of() {
    for (file, found_late) in
        [("samples.pco", true), ("series.idx", true), ("samples.pco", false), ("series.idx", false)]
    {
        let disk = SimulatedDisk::new(1);
        let store = store_on(&disk);
        commit(&store, batch(&[(0, 1, Some(7), 0)], 1));
        flush(&store);
        commit(&store, batch(&[(1, 2, None, 0)], 2));
        flush(&store);
        let block = store.view().manifest.by_writing().next().cloned().unwrap();
        let path = std::path::Path::new("/data/blocks").join(block.path()).join(file);
        let flip = || {
            let length = crate::fs::Filesystem::open(&disk, &path).unwrap().len();
            (0..length).for_each(|at| disk.flip(&path, at, 1).unwrap());
        };
        let store = if found_late {
            flip();
            store
        } else {
            drop(store);
            flip();
            store_on(&disk)
        };
        let snapshot = store.snapshot(&TenantId::default());
        let series = snapshot.series(&SeriesRequest::new(Vec::new(), TimeRange::ALL), |_| true, |_| true).unwrap();
        let names: Vec<String> = series.map(|found| found.unwrap().0.name.to_string()).collect();
        assert_eq!(names, ["memory"], "{file}");
        assert_eq!(snapshot.missing().iter().map(|missing| missing.id).collect::<Vec<_>>(), [block.id], "{file}");
        store.examine().unwrap();
        // What the start found damaged is not open; what a reader found is looked at, and closed.
        assert!(!found_late || store.view().manifest.quarantined.contains_key(&block.id), "{file}");
        assert!(store.view().unread.contains_key(&block.id), "{file}");
    }
}
