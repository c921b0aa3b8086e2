//! What does the log make of a disk that is full or fails?

use super::*;
use crate::fs::Faults;

#[test]
fn after_a_full_disk_exactly_the_acknowledged_records_are_there() {
    for free in 0..400 {
        let disk = SimulatedDisk::new(free);
        let mut wal = open(&disk);
        append(&mut wal, &["before"]).unwrap();
        disk.set_free(free);
        let large = "x".repeat(400);
        for _ in 0..3 {
            let refused = append(&mut wal, &["refused", &large]);
            assert!(matches!(refused, Err(Error::Io { .. })), "{refused:?}");
        }
        disk.set_capacity(None);
        append(&mut wal, &["after"]).unwrap();
        append(&mut wal, &["and after"]).unwrap();
        disk.crash(Loss::Some);
        assert_eq!(read(&disk).unwrap(), ["before", "after", "and after"], "{free} bytes free");
        append(&mut open(&disk), &["again"]).unwrap();
        assert_eq!(read(&disk).unwrap(), ["before", "after", "and after", "again"], "{free} bytes free");
    }
}

#[test]
fn failing_again_and_again_leaves_no_files_behind() {
    let disk = SimulatedDisk::new(1);
    let mut wal = open(&disk);
    append(&mut wal, &["before"]).unwrap();
    for free in [0, 20, 100] {
        disk.set_free(free);
        for _ in 0..50 {
            append(&mut wal, &[&"x".repeat(400)]).unwrap_err();
        }
        assert!(segments(&disk).len() <= 3, "{:?}", segments(&disk));
    }
    disk.set_capacity(None);
    append(&mut wal, &["after"]).unwrap();
    assert_eq!(segments(&disk).len(), 2);
    assert_eq!(read(&disk).unwrap(), ["before", "after"]);
}

#[test]
fn a_refused_group_is_not_resurrected_when_cutting_it_fails_too() {
    for seed in 0..50 {
        let disk = SimulatedDisk::new(seed);
        let mut wal = open(&disk);
        append(&mut wal, &["before"]).unwrap();
        // The group is written, its sync fails, and so does the cut.
        disk.fail_at(disk.operations() + 2);
        disk.fail_at(disk.operations() + 3);
        append(&mut wal, &["refused"]).unwrap_err();
        append(&mut wal, &["after"]).unwrap();
        for loss in [Loss::None, Loss::Some, Loss::All] {
            let disk = disk.fork();
            disk.crash(loss);
            assert_eq!(read(&disk).unwrap(), ["before", "after"]);
        }
        wal.release(wal.segment()).unwrap();
        assert_eq!(segments(&disk), [wal.segment()]);
    }
}

#[test]
fn a_failure_at_any_operation_can_be_retried_and_loses_nothing() {
    // Operation by operation: what one append into a new segment does, and what one into an old segment does.
    for seed in 0..20 {
        for failing in 1..=12 {
            let disk = SimulatedDisk::new(seed);
            let mut wal = open(&disk);
            let mut acknowledged = Vec::new();
            disk.fail_at(disk.operations() + failing);
            for (index, payload) in ["one", "two", "three", "four"].into_iter().enumerate() {
                if index == 2 {
                    wal.rotate().unwrap();
                }
                while append(&mut wal, &[payload]).is_err() {}
                acknowledged.push(payload);
                let crashed = disk.fork();
                crashed.crash(Loss::Some);
                assert_eq!(read(&crashed).unwrap(), acknowledged, "failing {failing}");
            }
        }
    }
}

#[test]
fn a_crash_at_any_operation_keeps_what_was_acknowledged() {
    for seed in 0..20 {
        for operation in 1..=22 {
            for loss in [Loss::None, Loss::Some, Loss::All] {
                let disk = SimulatedDisk::new(seed);
                let mut wal = open(&disk);
                disk.crash_at(disk.operations() + operation);
                let payloads = ["one", "two", "three", "four"];
                let mut acknowledged = 0;
                for (index, payload) in payloads.iter().enumerate() {
                    if index == 2 {
                        wal.rotate().unwrap();
                    }
                    if append(&mut wal, &[payload]).is_err() {
                        break;
                    }
                    acknowledged += 1;
                }
                disk.crash(loss);
                let found = read(&disk).unwrap();
                assert!(found.len() == acknowledged || found.len() == acknowledged + 1, "{acknowledged} {found:?}");
                assert_eq!(found, payloads[..found.len()]);
                // And once more after power loss: what was read stays, once something is appended to it.
                append(&mut open(&disk), &["five"]).unwrap();
                disk.crash(Loss::All);
                let expected: Vec<&str> = payloads[..found.len()].iter().copied().chain(["five"]).collect();
                assert_eq!(read(&disk).unwrap(), expected);
            }
        }
    }
}

#[test]
fn a_disk_that_always_fails_fails_every_append_and_then_works() {
    let disk = SimulatedDisk::new(1);
    let mut wal = open(&disk);
    append(&mut wal, &["before"]).unwrap();
    disk.set_faults(Faults { write: 1.0, sync: 1.0, metadata: 1.0, ..Faults::default() });
    for _ in 0..20 {
        append(&mut wal, &["refused"]).unwrap_err();
        wal.rotate().unwrap();
    }
    disk.set_faults(Faults::default());
    append(&mut wal, &["after"]).unwrap();
    assert_eq!(read(&disk).unwrap(), ["before", "after"]);
    disk.set_faults(Faults { metadata: 1.0, ..Faults::default() });
    assert!(wal.release(wal.segment()).is_err());
    disk.set_faults(Faults::default());
    wal.release(wal.segment()).unwrap();
    assert_eq!(segments(&disk), [wal.segment()]);
}

#[test]
fn a_log_on_a_full_disk_can_be_opened_and_read() {
    let disk = SimulatedDisk::new(1);
    append(&mut open(&disk), &["before"]).unwrap();
    disk.set_free(0);
    disk.crash(Loss::Some);
    let mut wal = open(&disk);
    assert_eq!(read(&disk).unwrap(), ["before"]);
    append(&mut wal, &["refused"]).unwrap_err();
    wal.release(2).unwrap();
    append(&mut wal, &["x"]).unwrap();
}

#[test]
fn a_read_error_is_not_taken_for_the_end_of_the_log() {
    let disk = SimulatedDisk::new(1);
    append(&mut open(&disk), &["one", "two"]).unwrap();
    disk.set_faults(Faults { read: 1.0, ..Faults::default() });
    assert!(matches!(read(&disk), Err(Error::Io { .. })));
    let mut seen = BTreeMap::new();
    for _ in 0..200 {
        disk.set_faults(Faults { read: 0.3, ..Faults::default() });
        *seen.entry(read(&disk).map_err(|error| error.to_string()).ok()).or_insert(0) += 1;
    }
    let whole = Some(vec!["one".to_owned(), "two".to_owned()]);
    assert_eq!(seen.keys().cloned().collect::<Vec<_>>(), [None, whole]);
}

#[test]
fn what_a_dead_process_failed_to_sync_is_durable_before_the_next_segment_promises_it() {
    for (seed, with_a_record) in (0..60).flat_map(|seed| [(seed, false), (seed, true)]) {
        let disk = SimulatedDisk::new(seed);
        let mut wal = open(&disk);
        if with_a_record {
            append(&mut wal, &["before"]).unwrap();
        }
        // The sync of the header or of the group fails, and so do the removal of the file or its cut.
        let sync = disk.operations() + if with_a_record { 2 } else { 3 };
        (sync..sync + 2).for_each(|operation| disk.fail_at(operation));
        append(&mut wal, &["refused"]).unwrap_err();
        drop(wal);
        disk.crash(Loss::None);
        append(&mut open(&disk), &["after"]).unwrap();
        disk.crash(Loss::All);
        let found = read(&disk).unwrap();
        let known = |text: &&String| *text != "refused";
        let expected: &[&str] = if with_a_record { &["before", "after"] } else { &["after"] };
        assert_eq!(found.iter().filter(known).collect::<Vec<_>>(), expected, "seed {seed}");
    }
}
