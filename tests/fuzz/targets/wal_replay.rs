//! Does any damage make the replay of the log panic, answer differently when asked again, or keep the log from going on?
//!
//! The first byte says how the bytes of the segments come to be: from the input itself, or as edits of a log that was
//! written well, since random bytes do not get past its checksums.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::error::Result;
use storage::fs::{Filesystem, SimulatedDisk};
use storage::model::{Signal, TenantId};
use storage::wal::{OwnedRecord, Record, Wal, WalConfig, replay};

const DIR: &str = "/wal";
/// Small, so that a few records fill a segment.
const SEGMENT_BYTES: u64 = 256;

fuzz_target!(|input: &[u8]| {
    let Some((&choice, rest)) = input.split_first() else { return };
    let disk = SimulatedDisk::new(1);
    write(&disk, &["one", "two", "three", "a longer fourth payload", ""]).unwrap();
    let segments = segments(&disk);
    if choice % 4 == 0 {
        disk.place(&segments[usize::from(choice / 4) % segments.len()], rest).unwrap();
    } else {
        rest.chunks_exact(4).for_each(|edit| damage(&disk, &segments, edit));
    }

    let first = read(&disk);
    let again = read(&disk);
    assert_eq!(first.as_ref().ok(), again.as_ref().ok(), "replay must not depend on when it is asked");
    let Ok(found) = first else { return };
    if write(&disk, &["after"]).is_err() {
        return;
    }
    let later = read(&disk).expect("what was written after the damage is read");
    assert_eq!(later[..found.len()], found, "what was read before stays");
    assert_eq!(later[found.len()..].iter().map(|record| &record.payload[..]).collect::<Vec<_>>(), [b"after"]);
});

/// One edit of four bytes: which segment, what, where, with what.
fn damage(disk: &SimulatedDisk, segments: &[PathBuf], edit: &[u8]) {
    let path = &segments[usize::from(edit[0]) % segments.len()];
    let Ok(mut bytes) = disk.contents(path) else { return };
    let at = usize::from(edit[2]).min(bytes.len());
    match edit[1] % 4 {
        0 => bytes.truncate(at),
        1 => bytes.extend(std::iter::repeat_n(edit[3], usize::from(edit[2]))),
        2 => bytes.insert(at, edit[3]),
        _ => bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= edit[3]),
    }
    disk.place(path, &bytes).unwrap();
}

fn segments(disk: &SimulatedDisk) -> Vec<PathBuf> {
    let names = disk.list(Path::new(DIR)).unwrap();
    names.into_iter().map(|entry| Path::new(DIR).join(entry.name)).collect()
}

/// Appends each payload as a group of its own.
fn write(disk: &SimulatedDisk, payloads: &[&str]) -> Result<()> {
    let config = WalConfig { segment_bytes: SEGMENT_BYTES };
    let mut wal = Wal::open(Arc::new(disk.clone()), Path::new(DIR), 0, config)?;
    let tenant = TenantId::default();
    payloads.iter().try_for_each(|payload| {
        wal.append(&[Record { tenant: &tenant, signal: Signal::Logs, received_at: 1, payload: payload.as_bytes() }])
    })
}

fn read(disk: &SimulatedDisk) -> Result<Vec<OwnedRecord>> {
    let mut records = Vec::new();
    replay(disk, Path::new(DIR), 0, &mut |record| {
        records.push(record);
        Ok(())
    })?;
    Ok(records)
}
