//! Does this program still read and write what version 1 wrote? The files never change; a new format gets new ones.

use super::*;

const FILES: [&[u8]; 2] = [
    include_bytes!("../../../tests/fixtures/v1/wal/00000000000000000001.wal"),
    include_bytes!("../../../tests/fixtures/v1/wal/00000000000000000002.wal"),
];

fn records() -> Vec<OwnedRecord> {
    let record = |segment, tenant: &str, signal, received_at, payload: &'static str| OwnedRecord {
        segment,
        tenant: TenantId::new(tenant).unwrap(),
        signal,
        received_at,
        payload: Bytes::from_static(payload.as_bytes()),
    };
    vec![
        record(1, "default", Signal::Spans, 1_795_435_200_000_000_000, "some spans"),
        record(1, "Team-7_x", Signal::Logs, -1, ""),
        record(1, "default", Signal::Metrics, i64::MAX, "\u{0}\u{1}é"),
        record(2, "default", Signal::Spans, 0, "in another segment"),
    ]
}

fn write(disk: &SimulatedDisk) {
    let records = records();
    let mut wal = open(disk);
    for group in [&records[..2], &records[2..3], &records[3..]] {
        if group[0].segment > wal.segment() {
            wal.rotate().unwrap();
        }
        append_again(&mut wal, group);
    }
}

#[test]
fn segments_of_version_1_are_read() {
    let disk = SimulatedDisk::new(1);
    disk.create_dir_all(Path::new(DIR)).unwrap();
    for (number, bytes) in (1..).zip(FILES) {
        disk.place(&path(number), bytes).unwrap();
    }
    let mut found = Vec::new();
    replay(&disk, Path::new(DIR), 0, &mut |record| {
        found.push(record);
        Ok(())
    })
    .unwrap();
    assert_eq!(found, records());
}

#[test]
fn segments_of_version_1_are_written() {
    let disk = SimulatedDisk::new(1);
    write(&disk);
    for (number, bytes) in (1..).zip(FILES) {
        assert_eq!(disk.contents(&path(number)).unwrap(), bytes, "segment {number}");
    }
}
