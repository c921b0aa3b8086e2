//! A damaged block loses its own rows and says so; everything else goes on, and a repair saves what can be read.

use super::run::{Row, open, shown, write};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::engine::{DeleteRequest, Store};
use storage::fs::{Faults, Filesystem, Loss, SimulatedClock, SimulatedDisk};
use storage::model::{Signal, TenantId};
use storage::scan::{Predicate, Scalar, ScanRequest, TimeRange};

const BEGIN: i64 = 1_795_392_000_000_000_000;

/// Writes rows and flushes them into a block of their own.
fn put(store: &Store, signal: Signal, numbers: std::ops::Range<u64>) {
    let rows: Vec<Row> =
        numbers.map(|number| Row { number, trace: number / 3, time: BEGIN + number.cast_signed() }).collect();
    store.commit(&[write(&TenantId::default(), signal, BEGIN, &rows)]).unwrap();
    store.seal().unwrap();
    store.flush().unwrap();
}

fn files(disk: &SimulatedDisk, dir: &Path) -> Vec<PathBuf> {
    let entries = disk.list(dir).unwrap();
    let below = |entry: &storage::fs::Entry| match entry.is_dir {
        true => files(disk, &dir.join(&entry.name)),
        false => vec![dir.join(&entry.name)],
    };
    entries.iter().flat_map(below).collect()
}

fn numbers(store: &Store, signal: Signal) -> Vec<u64> {
    let counts: BTreeMap<u64, usize> = shown(store, &TenantId::default(), signal).unwrap();
    assert!(counts.values().all(|count| *count == 1));
    counts.into_keys().collect()
}

#[test]
fn a_crash_at_any_operation_of_a_merge_or_a_deletion_loses_and_revives_nothing() {
    [Signal::Spans, Signal::Metrics].into_iter().for_each(a_crash_at_any_operation_of);
}

fn a_crash_at_any_operation_of(signal: Signal) {
    let clock = SimulatedClock::at(BEGIN);
    let sound = SimulatedDisk::new(2);
    let store = open(&sound, &clock).unwrap();
    (0..3).for_each(|block| put(&store, signal, block * 10..block * 10 + 10));
    drop(store);
    sound.crash(Loss::None);
    let delete = || DeleteRequest {
        tenant: TenantId::default(),
        signal,
        time: TimeRange { start: BEGIN + 5, end: BEGIN + 15 },
        predicate: Predicate::All,
    };
    let mut operation = 0;
    loop {
        operation += 1;
        let disk = sound.fork();
        let store = open(&disk, &clock).unwrap();
        disk.crash_at(disk.operations() + operation);
        let deleted = store.delete(&delete()).is_ok();
        drop(store.record());
        while store.compact(&mut |_| Ok(())).is_ok_and(|merged| merged) {}
        store.collect();
        drop(store);
        let ended = !disk.is_down();
        disk.crash(Loss::Some);
        let store = open(&disk, &clock).unwrap();
        let without: Vec<u64> = (0..5).chain(15..30).collect();
        let found = numbers(&store, signal);
        assert!(found == without || (!deleted && found == (0..30).collect::<Vec<_>>()), "{operation}: {found:?}");
        store.record().unwrap();
        let mut record = store.deletions(&TenantId::default()).unwrap();
        while record.advance().unwrap() {}
        assert_eq!(record.found().len(), usize::from(found == without), "{operation}");
        if ended {
            break;
        }
    }
    assert!(operation > 50, "{operation} operations");
}

#[test]
fn a_damaged_block_costs_its_own_rows_and_is_told_of() {
    Signal::ALL.into_iter().for_each(a_damaged_block_of);
}

fn a_damaged_block_of(signal: Signal) {
    let clock = SimulatedClock::at(BEGIN);
    let sound = SimulatedDisk::new(1);
    let store = open(&sound, &clock).unwrap();
    put(&store, signal, 0..10);
    put(&store, signal, 10..20);
    drop(store);
    sound.crash(Loss::None);
    let files_of_block = files(&sound, Path::new("/data/blocks")).len() / 2;
    for (file, path) in files(&sound, Path::new("/data/blocks")).into_iter().enumerate() {
        let (damaged, kept) = if file < files_of_block { (0..10, 10..20) } else { (10..20, 0..10) };
        for offset in (0..sound.contents(&path).unwrap().len() as u64).step_by(211) {
            let disk = sound.fork();
            // Found at the start, or by a reader.
            let found_late = offset % 2 == 1;
            let early = found_late.then(|| open(&disk, &clock).unwrap());
            disk.flip(&path, offset, 3).unwrap();
            let store = early.unwrap_or_else(|| open(&disk, &clock).unwrap());
            let snapshot = store.snapshot(&TenantId::default());
            let scan = snapshot.scan(signal, ScanRequest::all(["attributes"])).unwrap();
            assert!(scan.collect::<Result<Vec<_>, _>>().is_ok());
            let seen = numbers(&store, signal);
            assert!(kept.clone().all(|number| seen.contains(&number)), "{path:?} {offset}");
            let index_only = ["keys.idx", "terms.idx", "stats.idx"].iter().any(|index| path.ends_with(index));
            assert!(!index_only || seen.len() == 20, "rows do not depend on the index");
            let missing = damaged.clone().any(|number| !seen.contains(&number));
            assert_eq!(missing, !snapshot.missing().is_empty(), "{path:?} {offset}");

            store.examine().unwrap();
            put(&store, signal, 20..30);
            store.compact(&mut |_| Ok(())).unwrap();
            let seen = numbers(&store, signal);
            assert!(kept.clone().chain(20..30).all(|number| seen.contains(&number)), "{path:?} {offset}");
            drop((snapshot, store));

            let fs: Arc<dyn Filesystem> = Arc::new(disk.clone());
            disk.crash(Loss::None);
            storage::repair::repair(&fs, &clock, Path::new("/data")).unwrap();
            let store = open(&disk, &clock).unwrap();
            let after = numbers(&store, signal);
            assert!(!index_only || after.len() == 30, "rows do not depend on the index");
            assert!(seen.iter().all(|number| after.contains(number)), "{path:?} {offset}");
            assert_eq!(store.recovery().damaged, 0, "{path:?} {offset}");
        }
    }
}

#[test]
fn what_the_disk_does_not_give_any_more_costs_its_own_rows_and_is_told_of() {
    Signal::ALL.into_iter().for_each(what_the_disk_does_not_give_of);
}

fn what_the_disk_does_not_give_of(signal: Signal) {
    let clock = SimulatedClock::at(BEGIN);
    let sound = SimulatedDisk::new(1);
    let store = open(&sound, &clock).unwrap();
    put(&store, signal, 0..10);
    put(&store, signal, 10..20);
    drop(store);
    sound.crash(Loss::None);
    let files_of_block = files(&sound, Path::new("/data/blocks")).len() / 2;
    for (file, path) in files(&sound, Path::new("/data/blocks")).into_iter().enumerate() {
        let (damaged, kept) = if file < files_of_block { (0..10, 10..20) } else { (10..20, 0..10) };
        let len = sound.contents(&path).unwrap().len() as u64;
        let parts = [0..1, len / 2..len / 2 + 1, len - 1..len, 0..len, 0..u64::MAX];
        for (part, found_late) in parts.iter().flat_map(|part| [(part, false), (part, true)]) {
            let what = format!("{} {part:?} {found_late}", path.display());
            let disk = sound.fork();
            let early = found_late.then(|| open(&disk, &clock).unwrap());
            disk.spoil(&path, part.clone()).unwrap();
            let store = early.unwrap_or_else(|| open(&disk, &clock).unwrap());
            let snapshot = store.snapshot(&TenantId::default());
            let scan = snapshot.scan(signal, ScanRequest::all(["attributes"])).unwrap();
            assert!(scan.collect::<Result<Vec<_>, _>>().is_ok(), "{what}");
            let seen = numbers(&store, signal);
            assert!(kept.clone().all(|number| seen.contains(&number)), "{what}");
            let missing = damaged.clone().any(|number| !seen.contains(&number));
            assert_eq!(missing, !snapshot.missing().is_empty(), "{what}");
            let index_only = ["keys.idx", "terms.idx", "stats.idx"].iter().any(|index| path.ends_with(index));
            assert!(!index_only || !missing, "{what}");
            // The disk loses 512 bytes at once.
            let one_copy = path.ends_with("meta") && len > 1024 && (*part == (0..1) || *part == (len - 1..len));
            assert!(!one_copy || !missing, "{what}");

            // What comes again of what cannot be read is there, and nothing comes back by itself.
            store.examine().unwrap();
            put(&store, signal, 20..30);
            store.compact(&mut |_| Ok(())).unwrap();
            let seen = numbers(&store, signal);
            assert!(kept.clone().chain(20..30).all(|number| seen.contains(&number)), "{what}");
            drop((snapshot, store));
            disk.crash(Loss::None);
            let fs: Arc<dyn Filesystem> = Arc::new(disk.clone());
            storage::repair::repair(&fs, &clock, Path::new("/data")).unwrap();
            let store = open(&disk, &clock).unwrap();
            let after = numbers(&store, signal);
            assert!(seen.iter().all(|number| after.contains(number)), "{what}");
            assert_eq!(store.recovery().damaged, 0, "{what}");
        }
    }
}

#[test]
fn a_block_that_the_disk_did_not_give_at_the_start_does_not_come_back_beside_what_came_again() {
    let clock = SimulatedClock::at(BEGIN);
    let disk = SimulatedDisk::new(1);
    let store = open(&disk, &clock).unwrap();
    put(&store, Signal::Spans, 0..10);
    drop(store);
    let spoiled = disk.fork();
    spoiled.spoil(&file_of_block(&disk, "data.parquet"), 0..u64::MAX).unwrap();
    let store = open(&spoiled, &clock).unwrap();
    assert_eq!(store.recovery().damaged, 1);
    put(&store, Signal::Spans, 0..5);
    assert_eq!(numbers(&store, Signal::Spans), [0, 1, 2, 3, 4]);
    drop(store);
    spoiled.crash(Loss::None);
    spoiled.recover();
    let store = open(&spoiled, &clock).unwrap();
    assert_eq!(numbers(&store, Signal::Spans), [0, 1, 2, 3, 4], "it is in quarantine until it is repaired");
    drop(store);
    spoiled.crash(Loss::None);
    let fs: Arc<dyn Filesystem> = Arc::new(spoiled.clone());
    storage::repair::repair(&fs, &clock, Path::new("/data")).unwrap();
    let store = open(&spoiled, &clock).unwrap();
    assert_eq!(numbers(&store, Signal::Spans), (0..10).collect::<Vec<_>>());
}

/// Repairs until nothing stops it.
fn repair(disk: &SimulatedDisk, clock: &SimulatedClock) {
    let fs: Arc<dyn Filesystem> = Arc::new(disk.clone());
    let done = (0..20).any(|_| storage::repair::repair(&fs, clock, Path::new("/data")).is_ok());
    assert!(done);
}

#[test]
fn a_span_that_came_again_is_there_once_whenever_its_block_cannot_be_read_for_a_while() {
    for (reads, asks_first) in (1..9).flat_map(|reads| [(reads, false), (reads, true)]) {
        let (disk, clock) = (SimulatedDisk::new(reads), SimulatedClock::at(BEGIN));
        let store = open(&disk, &clock).unwrap();
        put(&store, Signal::Spans, 0..10);
        send_again(&store, 0..5);
        store.seal().unwrap();
        disk.spoil_for(&file_of_block(&disk, "data.parquet"), 0..u64::MAX - 1, reads).unwrap();
        if asks_first {
            let snapshot = store.snapshot(&TenantId::default());
            let found = shown(&store, &TenantId::default(), Signal::Spans).unwrap();
            assert!(found.values().all(|count| *count == 1), "{reads}: {found:?}");
            drop(snapshot);
        }
        let flushed = (0..20).any(|_| store.flush().is_ok() && !store.flush_is_due());
        assert!(flushed, "{reads}");
        disk.recover();
        let quarantined = store.status(&TenantId::default()).signals[0].quarantined_blocks;
        let seen = numbers(&store, Signal::Spans);
        let expected: Vec<u64> = if quarantined == 0 { (0..10).collect() } else { (0..5).collect() };
        assert_eq!(seen, expected, "{reads} {asks_first}");
        drop(store);
        disk.crash(Loss::None);
        repair(&disk, &clock);
        assert_eq!(numbers(&open(&disk, &clock).unwrap(), Signal::Spans), (0..10).collect::<Vec<_>>(), "{reads}");
    }
}

#[test]
fn a_repair_saves_each_row_once_whatever_else_it_fails_to_read() {
    for reads in 0..12 {
        let (disk, clock) = (SimulatedDisk::new(reads), SimulatedClock::at(BEGIN));
        let store = open(&disk, &clock).unwrap();
        put(&store, Signal::Spans, 0..10);
        let data = file_of_block(&disk, "data.parquet");
        disk.spoil(&data, 0..u64::MAX - 1).unwrap();
        assert!(shown(&store, &TenantId::default(), Signal::Spans).unwrap().is_empty());
        store.examine().unwrap();
        put(&store, Signal::Spans, 0..5);
        disk.recover();
        let mut others = files(&disk, Path::new("/data/blocks")).into_iter();
        let other = others.find(|path| path.ends_with("data.parquet") && *path != data).unwrap();
        drop(store);
        disk.crash(Loss::None);
        disk.spoil_for(&other, 0..u64::MAX - 1, reads).unwrap();
        repair(&disk, &clock);
        disk.recover();
        let store = open(&disk, &clock).unwrap();
        assert_eq!(numbers(&store, Signal::Spans), (0..10).collect::<Vec<_>>(), "{reads}");
    }
}

#[test]
fn a_folder_that_the_disk_does_not_list_stops_neither_the_start_nor_inspection_nor_repair() {
    let clock = SimulatedClock::at(BEGIN);
    let sound = SimulatedDisk::new(1);
    let store = open(&sound, &clock).unwrap();
    put(&store, Signal::Spans, 0..10);
    put(&store, Signal::Logs, 0..10);
    drop(store);
    sound.crash(Loss::None);
    let day = file_of_block(&sound, "data.parquet");
    let day = day.parent().unwrap().parent().unwrap();
    for folder in [Path::new("/data/tmp"), Path::new("/data/blocks"), Path::new("/data/blocks/default/spans"), day] {
        let disk = sound.fork();
        disk.spoil(folder, 0..u64::MAX).unwrap();
        let fs: Arc<dyn Filesystem> = Arc::new(disk.clone());
        let found = storage::inspect::inspect(&fs, Path::new("/data"), storage::inspect::Depth::Everything).unwrap();
        assert!(found.damage.iter().any(|what| what.contains(&*folder.to_string_lossy())), "{found:?}");
        storage::repair::repair(&fs, &clock, Path::new("/data")).unwrap();
        let store = open(&disk, &clock).unwrap();
        assert_eq!(numbers(&store, Signal::Spans).len(), 10, "{}", folder.display());
        assert_eq!(numbers(&store, Signal::Logs).len(), 10, "{}", folder.display());
    }
}

#[test]
fn a_damaged_record_of_a_deletion_is_told_and_an_error_that_passes_is_not_silence() {
    let clock = SimulatedClock::at(BEGIN);
    let sound = SimulatedDisk::new(1);
    let store = open(&sound, &clock).unwrap();
    put(&store, Signal::Spans, 0..10);
    let time = TimeRange { start: BEGIN, end: BEGIN + 5 };
    let request = DeleteRequest { tenant: TenantId::default(), signal: Signal::Spans, time, predicate: Predicate::All };
    store.delete(&request).unwrap().unwrap();
    store.record().unwrap();
    drop(store);
    sound.crash(Loss::None);
    let file = files(&sound, Path::new("/data/deletions")).remove(0);
    for offset in 0..sound.contents(&file).unwrap().len() as u64 {
        let disk = sound.fork();
        disk.flip(&file, offset, 2).unwrap();
        let fs: Arc<dyn Filesystem> = Arc::new(disk.clone());
        let found = storage::inspect::inspect(&fs, Path::new("/data"), storage::inspect::Depth::Everything).unwrap();
        assert_eq!(found.damage.len(), 1, "{offset}: {:?}", found.damage);
        let store = open(&disk, &clock).unwrap();
        let mut record = store.deletions(&TenantId::default()).unwrap();
        while record.advance().unwrap() {}
        assert_eq!((record.found().len(), record.damaged().len()), (0, 1), "{offset}");
    }
    let store = open(&sound, &clock).unwrap();
    let mut record = store.deletions(&TenantId::default()).unwrap();
    sound.set_faults(Faults { read: 1.0, ..Faults::default() });
    assert!(record.advance().is_err());
}

#[test]
fn a_block_in_quarantine_that_is_whole_is_told_of() {
    let (disk, clock) = (SimulatedDisk::new(1), SimulatedClock::at(BEGIN));
    let store = open(&disk, &clock).unwrap();
    put(&store, Signal::Spans, 0..10);
    disk.spoil(&file_of_block(&disk, "data.parquet"), 0..u64::MAX - 1).unwrap();
    assert!(shown(&store, &TenantId::default(), Signal::Spans).unwrap().is_empty());
    store.examine().unwrap();
    disk.recover();
    let fs: Arc<dyn Filesystem> = Arc::new(disk.clone());
    let found = storage::inspect::inspect(&fs, Path::new("/data"), storage::inspect::Depth::Metadata).unwrap();
    assert!(found.damage[0].contains("is in quarantine") && found.damage[0].contains("--repair"), "{:?}", found.damage);
}

#[test]
fn an_error_that_passes_is_no_damage_wherever_it_strikes() {
    let clock = SimulatedClock::at(BEGIN);
    let sound = SimulatedDisk::new(1);
    let store = open(&sound, &clock).unwrap();
    (0..3).for_each(|block| put(&store, Signal::Spans, block * 10..block * 10 + 10));
    put(&store, Signal::Metrics, 0..10);
    drop(store);
    sound.crash(Loss::None);
    let (mut refused, mut opened) = (0, 0);
    for seed in 0..300 {
        let disk = sound.fork_with(seed);
        disk.set_faults(Faults { read: 0.03, ..Faults::default() });
        let store = match open(&disk, &clock) {
            Err(error) => {
                assert_eq!(error.class(), storage::error::Class::Unavailable, "{error}: {error:?}");
                refused += 1;
                continue;
            }
            Ok(store) => store,
        };
        opened += 1;
        assert_eq!(store.recovery().damaged, 0);
        for signal in [Signal::Spans, Signal::Metrics] {
            if let Err(error) = shown(&store, &TenantId::default(), signal) {
                assert_eq!(error.class(), storage::error::Class::Unavailable, "{error}: {error:?}");
            }
        }
        drop((store.examine(), store.compact(&mut |_| Ok(())), store.retain()));
        disk.set_faults(Faults::default());
        assert_eq!(numbers(&store, Signal::Spans).len(), 30);
        assert_eq!(numbers(&store, Signal::Metrics).len(), 10);
    }
    assert!(refused > 20 && opened > 20, "{refused} {opened}");
}

/// The file of that name in the only block.
fn file_of_block(disk: &SimulatedDisk, name: &str) -> PathBuf {
    files(disk, Path::new("/data/blocks")).into_iter().find(|path| path.ends_with(name)).unwrap()
}

fn send_again(store: &Store, numbers: std::ops::Range<u64>) {
    let rows: Vec<Row> =
        numbers.map(|number| Row { number, trace: number / 3, time: BEGIN + number.cast_signed() }).collect();
    store.commit(&[write(&TenantId::default(), Signal::Spans, BEGIN, &rows)]).unwrap();
}

#[test]
fn a_span_that_came_again_is_there_once_its_block_is_in_quarantine() {
    for flushed_before_it_is_examined in [false, true] {
        let (disk, clock) = (SimulatedDisk::new(1), SimulatedClock::at(BEGIN));
        let store = open(&disk, &clock).unwrap();
        put(&store, Signal::Spans, 0..10);
        send_again(&store, 0..5);
        assert_eq!(numbers(&store, Signal::Spans).len(), 10);
        let data = file_of_block(&disk, "data.parquet");
        (0..disk.contents(&data).unwrap().len() as u64).step_by(97).for_each(|at| disk.flip(&data, at, 1).unwrap());
        let snapshot = store.snapshot(&TenantId::default());
        assert_eq!(snapshot.scan(Signal::Spans, ScanRequest::all(["attributes"])).unwrap().count(), 0);
        assert_eq!(snapshot.missing().len(), 1);
        if !flushed_before_it_is_examined {
            store.examine().unwrap();
            assert_eq!(numbers(&store, Signal::Spans), [0, 1, 2, 3, 4]);
        }
        store.seal().unwrap();
        store.flush().unwrap();
        assert_eq!(numbers(&store, Signal::Spans), [0, 1, 2, 3, 4], "{flushed_before_it_is_examined}");
        assert_eq!(store.status(&TenantId::default()).signals[0].quarantined_blocks, 1);
        assert!(store.troubles()[0].contains("1 block is damaged"), "{:?}", store.troubles());
    }
}

#[test]
fn what_came_again_while_its_block_was_in_quarantine_is_saved_once() {
    let (disk, clock) = (SimulatedDisk::new(1), SimulatedClock::at(BEGIN));
    let store = open(&disk, &clock).unwrap();
    put(&store, Signal::Spans, 0..10);
    let data = file_of_block(&disk, "data.parquet");
    disk.flip(&data, 9, 1).unwrap();
    let snapshot = store.snapshot(&TenantId::default());
    assert_eq!(snapshot.scan(Signal::Spans, ScanRequest::all(["attributes"])).unwrap().count(), 0);
    store.examine().unwrap();
    // What is whole again, and still in quarantine.
    disk.flip(&data, 9, 1).unwrap();
    put(&store, Signal::Spans, 0..5);
    send_again(&store, 5..7);
    assert_eq!(numbers(&store, Signal::Spans), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(store.tenants(), [TenantId::default()]);
    drop(store);
    disk.crash(Loss::None);
    let fs: Arc<dyn Filesystem> = Arc::new(disk.clone());
    let repairs = storage::repair::repair(&fs, &clock, Path::new("/data")).unwrap();
    assert_eq!((repairs.blocks[0].saved_rows, repairs.blocks[0].lost_rows), (5, 0));
    let store = open(&disk, &clock).unwrap();
    assert_eq!(numbers(&store, Signal::Spans), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_merge_is_given_up_once_a_block_of_it_is_in_quarantine_and_holds_up_nothing() {
    let (disk, clock) = (SimulatedDisk::new(1), SimulatedClock::at(BEGIN));
    let store = open(&disk, &clock).unwrap();
    (0..4).for_each(|block| put(&store, Signal::Spans, block * 10..block * 10 + 10));
    let data = file_of_block(&disk, "data.parquet");
    let mut paces = 0;
    let merged = store.compact(&mut |_| {
        paces += 1;
        if paces == 1 {
            // A reader meets the damage once the merge has begun.
            (0..disk.contents(&data).unwrap().len() as u64).step_by(97).for_each(|at| disk.flip(&data, at, 1).unwrap());
            let snapshot = store.snapshot(&TenantId::default());
            assert_eq!(snapshot.scan(Signal::Spans, ScanRequest::all(["attributes"])).unwrap().count(), 3);
            store.examine().unwrap();
            store.retain().unwrap();
            store.collect();
        }
        Ok(())
    });
    assert!(!merged.unwrap(), "it was given up");
    assert_eq!(store.status(&TenantId::default()).signals[0].quarantined_blocks, 1);
    assert_eq!(numbers(&store, Signal::Spans).len(), 30);
    assert!(files(&disk, Path::new("/data/tmp")).is_empty());
}

#[test]
fn a_block_that_has_lost_an_index_is_written_anew_with_it() {
    for index in ["keys.idx", "terms.idx", "stats.idx"] {
        let (disk, clock) = (SimulatedDisk::new(1), SimulatedClock::at(BEGIN));
        let store = open(&disk, &clock).unwrap();
        put(&store, Signal::Spans, 0..10);
        drop(store);
        let path = file_of_block(&disk, index);
        (0..disk.contents(&path).unwrap().len() as u64).for_each(|at| disk.flip(&path, at, 1).unwrap());
        let store = open(&disk, &clock).unwrap();
        let snapshot = store.snapshot(&TenantId::default());
        snapshot.keys(Signal::Spans, TimeRange::ALL).unwrap().advance().unwrap();
        let word = Predicate::equal("name", Scalar::String("nowhere".into()));
        let request = ScanRequest { predicate: word, ..ScanRequest::all(["name"]) };
        assert_eq!(snapshot.scan(Signal::Spans, request).unwrap().count(), 0);
        assert!(snapshot.missing().is_empty(), "{index}");
        drop(snapshot);
        assert_eq!(numbers(&store, Signal::Spans).len(), 10, "{index}");
        assert!(store.compact(&mut |_| Ok(())).unwrap(), "{index}");
        assert!(!store.compact(&mut |_| Ok(())).unwrap(), "{index}");
        assert_eq!(numbers(&store, Signal::Spans).len(), 10, "{index}");
    }
}

#[test]
fn spans_that_come_again_while_their_block_has_lost_an_index_are_there_once() {
    for flushed in [false, true] {
        let (disk, clock) = (SimulatedDisk::new(1), SimulatedClock::at(BEGIN));
        let store = open(&disk, &clock).unwrap();
        put(&store, Signal::Spans, 0..300);
        drop(store);
        disk.flip(&file_of_block(&disk, "keys.idx"), 9, 1).unwrap();
        let store = open(&disk, &clock).unwrap();
        send_again(&store, 0..310);
        if flushed {
            store.seal().unwrap();
            store.flush().unwrap();
        }
        assert_eq!(numbers(&store, Signal::Spans).len(), 310);
    }
}

#[test]
fn a_merge_whose_result_cannot_be_read_lets_go_of_nothing() {
    let (disk, clock) = (SimulatedDisk::new(1), SimulatedClock::at(BEGIN));
    let store = open(&disk, &clock).unwrap();
    (0..4).for_each(|block| put(&store, Signal::Spans, block * 10..block * 10 + 10));
    let before = files(&disk, Path::new("/data/blocks"));
    for failing in [1.0, 0.3] {
        let result = store.compact(&mut |_| {
            disk.set_faults(Faults { read: failing, ..Faults::default() });
            Ok(())
        });
        disk.set_faults(Faults::default());
        assert!(result.is_err(), "{failing}");
        assert_eq!(files(&disk, Path::new("/data/blocks")), before);
        assert_eq!(numbers(&store, Signal::Spans).len(), 40);
    }
}
