//! What is counted is what a scan shows, wherever the rows lie.

use super::*;
use crate::block::tests::random::Random;
use crate::block::tests::small;
use crate::engine::{DeleteRequest, EngineConfig, Store, Write};
use crate::fs::{SimulatedClock, SimulatedDisk};
use crate::model::attribute::{Map, Value};
use crate::model::origin::{Resource, Scope};
use crate::model::schema::{self, column as name};
use crate::model::{Batch, TenantId};
use crate::scan::{AttributeKey, Compare, Count, Dimension, Field, Group, Measure, Predicate, Scalar, ValueType};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch};
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeMap;

const NOW: i64 = 1_795_435_200_000_000_000;
/// Most rows of `Random` lie in the second after this.
const BASE: i64 = 1_700_000_000_000_000_000;
const SECOND: i64 = 1_000_000_000;

fn store(disk: &SimulatedDisk) -> Store {
    let mut config = EngineConfig::new("/data");
    config.min_free_bytes = 0;
    config.compaction.fan_in = 2;
    config.block = small();
    config.block.granule_rows = 16;
    let decoder = |_: Signal, _: i64, _: &[u8]| Err("nothing is replayed".to_owned());
    Store::open(config, Arc::new(disk.clone()), Arc::new(SimulatedClock::at(NOW)), &decoder).unwrap()
}

fn flush(store: &Store) {
    store.seal().unwrap();
    while !store.view().sealed.is_empty() {
        store.flush().unwrap();
    }
}

fn commit(store: &Store, batches: &[Batch]) {
    for batch in batches.iter().filter(|batch| batch.num_rows() > 0) {
        let (tenant, signal, payload) = (TenantId::default(), batch.signal(), Bytes::from_static(b"x"));
        store.commit(&[Write { tenant, signal, received_at: NOW, payload, batch: batch.clone() }]).unwrap();
    }
}

fn scanned(snapshot: &Snapshot, signal: Signal, time: TimeRange, predicate: &Predicate) -> Vec<RecordBatch> {
    let columns = schema::of(signal).fields().iter().map(|field| field.name().as_str());
    let request = ScanRequest { time, predicate: predicate.clone(), ..ScanRequest::all(columns) };
    snapshot.scan(signal, request).unwrap().collect::<Result<_>>().unwrap()
}

fn volume(snapshot: &Snapshot, signal: Signal, request: &VolumeRequest) -> Volume {
    let mut scan = snapshot.volume(signal, request.clone()).unwrap();
    while scan.advance().unwrap() {}
    scan.finish()
}

fn done(mut scan: FacetScan) -> FacetScan {
    while scan.advance().unwrap() {}
    scan
}

/// The length of a row's text or cell.
fn length(array: &dyn Array, row: usize) -> usize {
    match (array.as_string_opt::<i32>(), array.as_binary_opt::<i32>()) {
        _ if array.is_null(row) => 0,
        (Some(texts), _) => texts.value(row).len(),
        (_, Some(cells)) => cells.value(row).len(),
        _ => 0,
    }
}

/// What a volume must be, counted row by row.
fn counted(rows: &[RecordBatch], signal: Signal, request: &VolumeRequest) -> BTreeMap<(u64, Group), Count> {
    let mut counts: BTreeMap<(u64, Group), Count> = BTreeMap::new();
    for batch in rows {
        let times = batch[schema::time_column(signal)].as_primitive::<TimestampNanosecondType>();
        for row in 0..batch.num_rows() {
            let group = match request.by {
                None => Group::All,
                Some(Dimension::Service) => {
                    let services = batch[name::SERVICE_NAME].as_dictionary::<Int32Type>();
                    let place = services.key(row).unwrap();
                    Group::Service(services.values().as_string::<i32>().value(place).to_owned())
                }
                Some(by) => Group::Number(batch[by.column()].as_primitive::<Int32Type>().value(row)),
            };
            let count =
                counts.entry((times.value(row).abs_diff(request.time.start) / request.step, group)).or_default();
            count.rows += 1;
            if request.measure == Measure::RowsAndBytes {
                count.bytes += batch.columns().iter().map(|array| length(array, row) as u64).sum::<u64>();
            }
        }
    }
    counts
}

/// The entries of all rows, by owner, with their encoded values.
fn entries(rows: &[RecordBatch]) -> Vec<(AttributeScope, String, Vec<u8>)> {
    let mut entries = Vec::new();
    let mut put = |scope: AttributeScope, map: Map<'_>| {
        entries.extend(
            map.raw_entries()
                .map(|entry| (scope, std::str::from_utf8(entry.key).unwrap().to_owned(), entry.value.to_vec())),
        );
    };
    for batch in rows {
        for row in 0..batch.num_rows() {
            put(AttributeScope::Own, Map::new(batch[name::ATTRIBUTES].as_binary::<i32>().value(row)));
            let cell = |column: &str| {
                let cells = batch[column].as_dictionary::<Int32Type>();
                cells.values().as_binary::<i32>().value(cells.key(row).unwrap()).to_vec()
            };
            put(AttributeScope::Resource, Resource::parse(&cell(name::RESOURCE)).unwrap().attributes);
            put(AttributeScope::Scope, Scope::parse(&cell(name::SCOPE)).unwrap().attributes);
        }
    }
    entries
}

/// Writes rows, some of them twice, flushes, merges and deletes.
fn filled(store: &Store, signal: Signal, seed: u64, steps: &[(usize, u8)]) {
    let mut random = Random::new(seed);
    let mut before: Vec<Batch> = Vec::new();
    for (count, then) in steps {
        let batches = random.batches(signal, *count);
        commit(store, &batches);
        if *then == 1 {
            // A client that did not hear our answer sends again.
            commit(store, &before);
        }
        if *then > 1 {
            flush(store);
        }
        if *then == 3 {
            let predicate = Predicate::equal(name::SERVICE_NAME, Scalar::String("cart".into()));
            let time = TimeRange { start: BASE + SECOND / 3, end: BASE + SECOND / 2 };
            store.delete(&DeleteRequest { tenant: TenantId::default(), signal, time, predicate }).unwrap();
        }
        if *then == 4 {
            while store.compact(&mut |_| Ok(())).unwrap() {}
        }
        before = batches;
    }
}

fn any_rows() -> impl Strategy<Value = (Signal, u64, Vec<(usize, u8)>)> {
    let signal = prop_oneof![Just(Signal::Spans), Just(Signal::Logs)];
    (signal, any::<u64>(), proptest::collection::vec((1usize..120, 0u8..6), 1..6))
}

fn any_time() -> impl Strategy<Value = TimeRange> {
    let within = (0..SECOND, 0..SECOND).prop_map(|(a, b)| TimeRange { start: BASE + a.min(b), end: BASE + a.max(b) });
    prop_oneof![1 => Just(TimeRange::ALL), 3 => within, 1 => Just(TimeRange { start: BASE, end: BASE + SECOND })]
}

/// A predicate of dimensions, or of anything.
fn predicate(signal: Signal, which: u8, seed: u64) -> Predicate {
    let service = || Predicate::equal(name::SERVICE_NAME, Scalar::String("frontend".into()));
    let number = || match signal {
        Signal::Logs => Predicate::equal(name::SEVERITY_NUMBER, Scalar::Int(17)),
        _ => Predicate::equal(name::STATUS_CODE, Scalar::Int(2)),
    };
    match which {
        0 => service(),
        1 => Predicate::Not(Box::new(number())),
        2 => service().and(number()),
        3 => Random::new(seed).request(signal).predicate,
        _ => Predicate::All,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn n1_a_volume_is_what_a_scan_would_count(
        (signal, seed, steps) in any_rows(),
        asked in proptest::collection::vec((any_time(), 1u64..40, 0usize..4, 0u8..8, any::<bool>()), 1..12),
    ) {
        let store = store(&SimulatedDisk::new(seed));
        filled(&store, signal, seed, &steps);
        let snapshot = store.snapshot(&TenantId::default());
        for (time, parts, by, which, bytes) in asked {
            let own = *Dimension::numbers_of(signal).last().unwrap();
            let by = [None, Some(Dimension::Service), Some(own), Some(Dimension::numbers_of(signal)[0])][by];
            let measure = if bytes { Measure::RowsAndBytes } else { Measure::Rows };
            let step = (time.end.abs_diff(time.start) / parts).max(1);
            let request = VolumeRequest { time, step, by, predicate: predicate(signal, which, seed), measure };
            let rows = scanned(&snapshot, signal, time, &request.predicate);
            let volume = volume(&snapshot, signal, &request);
            prop_assert_eq!(&volume.counts, &counted(&rows, signal, &request), "{:?}", request);
        }
    }

    #[test]
    fn n1_keys_and_values_are_those_that_a_scan_would_show(
        (signal, seed, steps) in any_rows(),
        times in proptest::collection::vec(any_time(), 1..4),
    ) {
        let store = store(&SimulatedDisk::new(seed));
        filled(&store, signal, seed, &steps);
        let snapshot = store.snapshot(&TenantId::default());
        for time in times {
            let entries = entries(&scanned(&snapshot, signal, time, &Predicate::All));
            let mut expected: BTreeMap<(String, u8, ValueType), u64> = BTreeMap::new();
            for (scope, key, value) in &entries {
                let place = (key.clone(), scope_number(*scope).unwrap(), ValueType::of(value).unwrap());
                *expected.entry(place).or_default() += 1;
            }
            let found = done(snapshot.keys(signal, time).unwrap()).keys();
            prop_assert!(found.complete);
            let place = |key: &AttributeKey| {
                ((key.key.clone(), scope_number(key.scope()).unwrap(), key.r#type), key.rows)
            };
            prop_assert_eq!(found.keys.iter().map(place).collect::<BTreeMap<_, _>>(), expected);

            for (scope, key) in [(AttributeScope::Own, "n"), (AttributeScope::Any, "a"), (AttributeScope::Own, "zz")] {
                for prefix in ["", "/", "G"] {
                    let mut expected: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
                    for (owner, other, value) in &entries {
                        let fits = match Value::parse(value) {
                            Some(Value::String(text)) => text.starts_with(prefix),
                            Some(Value::Bool(_) | Value::Int(_) | Value::Double(_)) => prefix.is_empty(),
                            _ => false,
                        };
                        if fits && other == key && (scope == AttributeScope::Any || scope == *owner) {
                            *expected.entry(value.clone()).or_default() += 1;
                        }
                    }
                    let found = done(snapshot.values(signal, (scope, key), time, prefix).unwrap()).values(1_000);
                    prop_assert!(found.complete);
                    prop_assert!(found.values.is_sorted_by(|a, b| a.rows >= b.rows));
                    // Equal numbers are one value.
                    let mut listed: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
                    for (value, rows) in expected {
                        let same = listed.keys().find(|other| are_equal(parse(other), parse(&value))).cloned();
                        *listed.entry(same.unwrap_or(value)).or_default() += rows;
                    }
                    let found: BTreeMap<_, _> = found.values.into_iter().map(|value| (value.value, value.rows)).collect();
                    prop_assert_eq!(found, listed, "{} {:?}", key, prefix);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn n4_a_search_for_a_listed_value_finds_as_many_rows_as_are_listed(
        (signal, seed, steps) in any_rows(),
        time in any_time(),
    ) {
        let store = store(&SimulatedDisk::new(seed));
        filled(&store, signal, seed, &steps);
        let snapshot = store.snapshot(&TenantId::default());
        let entries = entries(&scanned(&snapshot, signal, time, &Predicate::All));
        for key in ["a", "b", "http.route", "ü", "", "nested"] {
            let mine: Vec<Value<'_>> =
                entries.iter().filter(|entry| entry.0 == AttributeScope::Own && entry.1 == key).map(|entry| parse(&entry.2)).collect();
            let listed = done(snapshot.values(signal, (AttributeScope::Own, key), time, "").unwrap()).values(10_000);
            prop_assert!(listed.complete);
            for value in &listed.values {
                let text = written(parse(&value.value));
                let says = |value: Value<'_>| readings(&text).into_iter().any(|reading| are_equal(reading, value));
                // A text and a number may be written the same.
                let stated: u64 =
                    listed.values.iter().filter(|other| says(parse(&other.value))).map(|other| other.rows).sum();
                let lists = mine.iter().filter(|value| matches!(value, Value::Array(list) if list.iter().any(says)));
                let predicate = Predicate::Compare {
                    field: Field::Attribute(AttributeScope::Own, key.to_owned()),
                    compare: Compare::Equal,
                    value: Scalar::Typed(text.clone()),
                };
                let rows = scanned(&snapshot, signal, time, &predicate);
                let found: u64 = rows.iter().map(|rows| rows.num_rows() as u64).sum();
                prop_assert!(says(parse(&value.value)) && stated >= value.rows);
                prop_assert_eq!(found, stated + lists.count() as u64, "{:?} = {:?}", key, text);
            }
        }
    }
}

fn parse(encoded: &[u8]) -> Value<'_> {
    Value::parse(encoded).unwrap()
}

/// A value as an answer in JSON writes it, and a person searches for it.
fn written(value: Value<'_>) -> String {
    match value {
        Value::String(text) => text.to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Double(value) if value.is_nan() => "NaN".to_owned(),
        Value::Double(value) if value.is_infinite() => (if value > 0.0 { "Infinity" } else { "-Infinity" }).to_owned(),
        Value::Double(value) => serde_json::to_string(&value).unwrap(),
        other => panic!("{other:?} is not listed"),
    }
}

/// What a text that a person types may mean.
fn readings(text: &str) -> Vec<Value<'_>> {
    let number = text.parse().map(Value::Int).or_else(|_| text.parse().map(Value::Double)).ok();
    [Value::String(text)].into_iter().chain(number).chain(text.parse().map(Value::Bool).ok()).collect()
}

/// Whether two single values are the same to a filter.
fn are_equal(one: Value<'_>, other: Value<'_>) -> bool {
    match (one, other) {
        (Value::String(one), Value::String(other)) => one == other,
        (Value::Bool(one), Value::Bool(other)) => one == other,
        (Value::Int(one), Value::Int(other)) => one == other,
        (Value::Double(one), Value::Double(other)) => one == other || one.is_nan() && other.is_nan(),
        (Value::Int(int), Value::Double(double)) | (Value::Double(double), Value::Int(int)) => {
            // Every double beyond 2^64 becomes one that is no 64-bit integer.
            double.fract() == 0.0 && double as i128 == i128::from(int)
        }
        _ => false,
    }
}

/// A store with one block of 1,600 log records, a microsecond apart.
fn one_block() -> (Store, SimulatedDisk) {
    let disk = SimulatedDisk::new(1);
    let store = store(&disk);
    commit(&store, &Random::new(7).logs_over_time(1_600));
    flush(&store);
    (store, disk)
}

fn request(time: TimeRange, step: u64, by: Option<Dimension>) -> VolumeRequest {
    VolumeRequest { time, step, by, predicate: Predicate::All, measure: Measure::RowsAndBytes }
}

#[test]
fn v1_whole_granules_are_answered_without_a_row_being_read() {
    let (store, _disk) = one_block();
    let snapshot = store.snapshot(&TenantId::default());
    let whole = request(TimeRange::ALL, u64::MAX, Some(Dimension::Severity));
    let all = volume(&snapshot, Signal::Logs, &whole);
    assert_eq!((all.cost.rows_read, all.cost.blocks_read), (0, 0));
    assert_eq!(all.cost.rows_from_statistics, 1_600);
    assert_eq!(all.counts.values().map(|count| count.rows).sum::<u64>(), 1_600);
    assert_eq!(
        all.counts,
        counted(&scanned(&snapshot, Signal::Logs, TimeRange::ALL, &Predicate::All), Signal::Logs, &whole)
    );

    // Row groups of 50 records follow each other in time: an edge lies in one of them.
    let half = request(TimeRange { start: i64::MIN, end: 800_000 + 500 }, u64::MAX, None);
    let half = volume(&snapshot, Signal::Logs, &half);
    assert_eq!(half.counts.values().map(|count| count.rows).sum::<u64>(), 800);
    assert!(half.cost.rows_read <= 50, "{:?}", half.cost);
    assert!(half.cost.rows_from_statistics >= 750, "{:?}", half.cost);

    let of_dimensions = VolumeRequest { predicate: predicate(Signal::Logs, 2, 0), ..whole.clone() };
    assert_eq!(volume(&snapshot, Signal::Logs, &of_dimensions).cost.rows_read, 0);
    let of_text = Predicate::equal(name::SEVERITY_TEXT, Scalar::String("INFO".into()));
    assert!(volume(&snapshot, Signal::Logs, &VolumeRequest { predicate: of_text, ..whole }).cost.rows_read > 0);
}

#[test]
fn keys_of_whole_blocks_are_answered_without_a_row_being_read() {
    let (store, _disk) = one_block();
    let snapshot = store.snapshot(&TenantId::default());
    let keys = done(snapshot.keys(Signal::Logs, TimeRange::ALL).unwrap()).keys();
    assert_eq!((keys.cost.rows_read, keys.cost.rows_from_statistics), (0, 1_600));
    let few = done(snapshot.values(Signal::Logs, (AttributeScope::Own, "a"), TimeRange::ALL, "").unwrap()).values(3);
    assert_eq!((few.cost.rows_read, few.values.len(), few.complete), (0, 3, false));
    // More values than statistics list: the column is read.
    let many =
        done(snapshot.values(Signal::Logs, (AttributeScope::Own, "n"), TimeRange::ALL, "").unwrap()).values(9_999);
    assert!(many.cost.rows_read > 0 && many.complete);
    assert!(many.values.len() > 128);
}

#[test]
fn what_a_table_does_not_have_is_the_callers_fault() {
    let (store, _disk) = one_block();
    let snapshot = store.snapshot(&TenantId::default());
    let refused = |signal, request: VolumeRequest| {
        let error = snapshot.volume(signal, request).unwrap_err();
        assert!(matches!(error, Error::Request { .. }), "{error}");
    };
    let all = || request(TimeRange::ALL, u64::MAX, None);
    refused(Signal::Metrics, all());
    refused(Signal::Logs, VolumeRequest { by: Some(Dimension::Kind), ..all() });
    refused(Signal::Spans, VolumeRequest { by: Some(Dimension::Severity), ..all() });
    refused(Signal::Logs, VolumeRequest { step: 0, ..all() });
    refused(Signal::Logs, VolumeRequest { step: 1, ..all() });
    refused(Signal::Logs, VolumeRequest { predicate: Predicate::equal(name::KIND, Scalar::Int(1)), ..all() });
    assert!(snapshot.keys(Signal::Metrics, TimeRange::ALL).is_err());
}

#[test]
fn s3_damaged_statistics_cost_no_row() {
    let (store, disk) = one_block();
    let entry = store.view().manifest.by_writing().next().cloned().unwrap();
    let path = std::path::Path::new("/data/blocks").join(entry.path()).join("stats.idx");
    let length = crate::fs::Filesystem::open(&disk, &path).unwrap().len();
    (0..length).for_each(|at| disk.flip(&path, at, 1).unwrap());
    let snapshot = store.snapshot(&TenantId::default());
    let counted = volume(&snapshot, Signal::Logs, &request(TimeRange::ALL, u64::MAX, None));
    assert_eq!(counted.counts.values().map(|count| count.rows).sum::<u64>(), entry.rows);
    assert!(!done(snapshot.keys(Signal::Logs, TimeRange::ALL).unwrap()).keys().keys.is_empty());
    assert!(snapshot.missing().is_empty());
    assert!(store.view().blocks.values().all(|blocks| blocks.iter().all(|shown| shown.block.lost_part().is_some())));
}
