//! What must hold of the log. `damage` breaks its bytes, `failure` its disk, `model` runs it at random, `repair`
//! mends it.

mod damage;
mod failure;
mod fixture;
mod model;
mod repair;

use super::*;
use crate::fs::{Disk, Loss, SimulatedDisk};
use bytes::Bytes;

pub(super) const DIR: &str = "/wal";

pub(super) fn open(disk: &SimulatedDisk) -> Wal {
    open_with(disk, 0, WalConfig::default()).unwrap()
}

pub(super) fn open_with(disk: &SimulatedDisk, first: u64, config: WalConfig) -> Result<Wal> {
    Wal::open(Arc::new(disk.clone()), Path::new(DIR), first, config)
}

/// Appends payloads as one group.
pub(super) fn append(wal: &mut Wal, payloads: &[&str]) -> Result<()> {
    let tenant = TenantId::default();
    let records: Vec<Record<'_>> = payloads
        .iter()
        .map(|payload| Record {
            tenant: &tenant,
            signal: Signal::Logs,
            received_at: payload.len() as i64,
            payload: payload.as_bytes(),
        })
        .collect();
    wal.append(&records)
}

/// Appends records that were read, as one group.
fn append_again(wal: &mut Wal, records: &[OwnedRecord]) {
    let as_given = records.iter().map(|record| Record {
        tenant: &record.tenant,
        signal: record.signal,
        received_at: record.received_at,
        payload: &record.payload,
    });
    wal.append(&as_given.collect::<Vec<_>>()).unwrap();
}

/// The payloads of all records.
pub(super) fn read(disk: &SimulatedDisk) -> Result<Vec<String>> {
    read_from(disk, 0)
}

pub(super) fn read_from(disk: &SimulatedDisk, from: u64) -> Result<Vec<String>> {
    let mut payloads = Vec::new();
    replay(disk, Path::new(DIR), from, &mut |record| {
        payloads.push(String::from_utf8_lossy(&record.payload).into_owned());
        Ok(())
    })?;
    Ok(payloads)
}

pub(super) fn path(number: u64) -> PathBuf {
    Path::new(DIR).join(segment::file_name(number))
}

fn segments(disk: &SimulatedDisk) -> Vec<u64> {
    replay::list(disk, Path::new(DIR)).unwrap().into_iter().map(|(number, _)| number).collect()
}

#[test]
fn records_are_read_back_as_they_were_written_in_order() {
    let disk = SimulatedDisk::new(1);
    let tenants = [TenantId::default(), TenantId::new("a").unwrap(), TenantId::new(&"x".repeat(64)).unwrap()];
    let mut expected = Vec::new();
    let mut wal = open(&disk);
    for (index, payload) in [vec![], vec![0], vec![7; 100], vec![8; 70_000], vec![9; 3 << 20]].into_iter().enumerate() {
        for (tenant, signal) in tenants.iter().zip(Signal::ALL) {
            let received_at = index as i64 - 2;
            let payload = Bytes::from(payload.clone());
            expected.push(OwnedRecord { segment: 1, tenant: tenant.clone(), signal, received_at, payload });
        }
    }
    expected.chunks(4).for_each(|group| append_again(&mut wal, group));
    let mut found = Vec::new();
    let report = replay(&disk, Path::new(DIR), 0, &mut |record| {
        found.push(record);
        Ok(())
    });
    assert!(found == expected);
    let report = report.unwrap();
    let payload_bytes = expected.iter().map(|record| record.payload.len() as u64).sum();
    assert_eq!(report, ReplayReport { segments: 1, records: 15, payload_bytes, ..ReplayReport::default() });
    assert_eq!(wal.total_bytes(), disk.open(&path(1)).unwrap().len());
}

#[test]
fn an_error_of_the_reader_ends_the_replay() {
    let disk = SimulatedDisk::new(1);
    append(&mut open(&disk), &["one", "two", "three"]).unwrap();
    let mut seen = 0;
    let result = replay(&disk, Path::new(DIR), 0, &mut |record| {
        seen += 1;
        if record.payload == "two" { Err(Error::Closing) } else { Ok(()) }
    });
    assert!(matches!(result, Err(Error::Closing)));
    assert_eq!(seen, 2);
}

#[test]
fn opening_writes_no_segment_and_an_empty_log_has_no_records() {
    let disk = SimulatedDisk::new(1);
    assert_eq!(read(&disk).unwrap(), [""; 0]);
    let mut wal = open(&disk);
    append(&mut wal, &[]).unwrap();
    assert_eq!((wal.segment(), wal.total_bytes(), segments(&disk)), (1, 0, vec![]));
    assert_eq!(read(&disk).unwrap(), [""; 0]);
    assert_eq!(open_with(&disk, 9, WalConfig::default()).unwrap().segment(), 9);
}

#[test]
fn a_log_that_is_opened_again_goes_on_in_a_new_segment() {
    let disk = SimulatedDisk::new(1);
    for payload in ["one", "two", "three"] {
        append(&mut open(&disk), &[payload]).unwrap();
        disk.crash(Loss::All);
    }
    assert_eq!(segments(&disk), [1, 2, 3]);
    assert_eq!(read(&disk).unwrap(), ["one", "two", "three"]);
    assert_eq!(read_from(&disk, 2).unwrap(), ["two", "three"]);
}

#[test]
fn a_full_segment_is_followed_by_a_new_one() {
    let disk = SimulatedDisk::new(1);
    let mut wal = open_with(&disk, 0, WalConfig { segment_bytes: 200 }).unwrap();
    let big = "x".repeat(500);
    for payloads in [&["a", "b"][..], &["c", "d"], &["e"], &[&big], &["f"]] {
        append(&mut wal, payloads).unwrap();
    }
    assert_eq!(segments(&disk), [1, 2, 3, 4]);
    assert_eq!(read(&disk).unwrap(), ["a", "b", "c", "d", "e", &big, "f"]);
    assert_eq!(read_from(&disk, 3).unwrap(), [&big, "f"]);
}

#[test]
fn rotation_separates_earlier_records_from_later_ones() {
    let disk = SimulatedDisk::new(1);
    let mut wal = open(&disk);
    assert_eq!(wal.rotate().unwrap(), 1, "there is nothing to separate");
    append(&mut wal, &["one"]).unwrap();
    let second = wal.rotate().unwrap();
    assert_eq!((second, wal.rotate().unwrap(), wal.segment()), (2, 2, 2));
    append(&mut wal, &["two"]).unwrap();
    assert_eq!(read_from(&disk, second).unwrap(), ["two"]);
}

#[test]
fn release_removes_whole_segments_durably_and_keeps_the_active_one() {
    let disk = SimulatedDisk::new(1);
    let mut wal = open(&disk);
    for payload in ["one", "two", "three"] {
        wal.rotate().unwrap();
        append(&mut wal, &[payload]).unwrap();
    }
    wal.release(3).unwrap();
    wal.release(3).unwrap();
    assert_eq!(wal.total_bytes(), disk.open(&path(3)).unwrap().len());
    disk.crash(Loss::All);
    assert_eq!((segments(&disk), read_from(&disk, 3).unwrap()), (vec![3], vec!["three".to_owned()]));
    let mut wal = open_with(&disk, 3, WalConfig::default()).unwrap();
    append(&mut wal, &["four"]).unwrap();
    wal.release(u64::MAX).unwrap();
    append(&mut wal, &["five"]).unwrap();
    assert_eq!(read_from(&disk, 4).unwrap(), ["four", "five"]);
}

#[test]
fn segments_below_the_first_are_not_looked_at() {
    let disk = SimulatedDisk::new(1);
    let mut wal = open(&disk);
    for payload in ["one", "two"] {
        wal.rotate().unwrap();
        append(&mut wal, &[payload]).unwrap();
    }
    disk.corrupt(&path(1), 0, &[0; 60]).unwrap();
    assert!(matches!(read(&disk), Err(Error::Damaged { .. })));
    assert_eq!(read_from(&disk, 2).unwrap(), ["two"]);
    disk.corrupt(&path(2), 0, &[0; 60]).unwrap();
    let mut wal = open_with(&disk, 3, WalConfig::default()).unwrap();
    append(&mut wal, &["three"]).unwrap();
    assert_eq!(read_from(&disk, 3).unwrap(), ["three"]);
}

#[test]
fn the_log_works_on_the_machines_own_disk() {
    let temp = tempfile::tempdir().unwrap();
    let (disk, dir): (Arc<dyn Filesystem>, _) = (Arc::new(Disk), temp.path().join("data/wal"));
    for payload in ["one", "two", "three"] {
        append(&mut Wal::open(disk.clone(), &dir, 0, WalConfig::default()).unwrap(), &[payload]).unwrap();
    }
    Wal::open(disk.clone(), &dir, 2, WalConfig::default()).unwrap().release(2).unwrap();
    let mut found = Vec::new();
    replay(disk.as_ref(), &dir, 2, &mut |record| {
        found.push((record.segment, record.payload));
        Ok(())
    })
    .unwrap();
    assert_eq!(found, [(2, Bytes::from("two")), (3, Bytes::from("three"))]);
    assert_eq!(disk.list(&dir).unwrap().len(), 2);
}

#[test]
fn files_of_other_names_are_left_alone() {
    let disk = SimulatedDisk::new(1);
    append(&mut open(&disk), &["one"]).unwrap();
    for name in ["notes.txt", "1.wal", "00000000000000000002.wal.bak", "99999999999999999999.wal"] {
        disk.place(&Path::new(DIR).join(name), b"not ours").unwrap();
    }
    disk.create_dir_all(&path(7)).unwrap();
    let mut wal = open(&disk);
    append(&mut wal, &["two"]).unwrap();
    assert_eq!((wal.segment(), read(&disk).unwrap()), (2, vec!["one".to_owned(), "two".to_owned()]));
}

#[test]
fn a_request_that_is_too_large_is_refused_before_anything_is_written() {
    let disk = SimulatedDisk::new(1);
    let mut wal = open(&disk);
    let payload = vec![0; MAX_PAYLOAD + 1];
    let record = Record { tenant: &TenantId::default(), signal: Signal::Spans, received_at: 0, payload: &payload };
    assert!(matches!(wal.append(&[record]), Err(Error::Request { .. })));
    assert_eq!(segments(&disk), [0; 0]);
}
