//! What does replay make of bytes that nobody wrote?

use super::*;
use proptest::prelude::*;
use segment::{HEADER_LEN, RECORD_HEADER_LEN};

/// Three groups in one segment, and where each record ends.
fn sample(disk: &SimulatedDisk) -> (Vec<&'static str>, Vec<u64>) {
    let mut wal = open(disk);
    let mut ends = Vec::new();
    for group in [&["one", "two"][..], &["three"], &["four", "", "five"]] {
        append(&mut wal, group).unwrap();
    }
    let mut end = HEADER_BYTES;
    let payloads = vec!["one", "two", "three", "four", "", "five"];
    for payload in &payloads {
        end += RECORD_HEADER_BYTES + ("default".len() + payload.len()) as u64;
        ends.push(end);
    }
    assert_eq!(disk.open(&path(1)).unwrap().len(), end);
    (payloads, ends)
}

fn report(disk: &SimulatedDisk) -> ReplayReport {
    replay(disk, Path::new(DIR), 0, &mut |_| Ok(())).unwrap()
}

#[test]
fn replay_stops_at_a_torn_tail_at_every_byte() {
    let whole = SimulatedDisk::new(1);
    let (payloads, ends) = sample(&whole);
    let bytes = whole.contents(&path(1)).unwrap();
    for len in 0..=bytes.len() {
        let count = ends.iter().filter(|&&end| end <= len as u64).count();
        let last_end = if count == 0 { (len as u64).min(HEADER_BYTES) } else { ends[count - 1] };
        for (tail, kind) in [(0, "cut"), (1, "zeros"), (1000, "zeros")] {
            // A header that is cut off has nothing behind it: records are written after it is synced.
            let tail = if len < HEADER_LEN { tail.min(HEADER_LEN - len) } else { tail };
            let mut torn = bytes[..len].to_vec();
            torn.resize(len + tail, 0);
            let disk = whole.fork();
            disk.place(&path(1), &torn).unwrap();
            assert_eq!(read(&disk).unwrap(), payloads[..count], "{kind} at {len}");
            if len >= HEADER_LEN {
                assert_eq!(report(&disk).torn_bytes, torn.len() as u64 - last_end, "{kind} at {len}");
            }
            // The log goes on after it, twice, and the tail is still no record.
            for next in ["more", "and more"] {
                append(&mut open(&disk), &[next]).unwrap();
            }
            let expected: Vec<&str> = payloads[..count].iter().copied().chain(["more", "and more"]).collect();
            assert_eq!(read(&disk).unwrap(), expected, "{kind} at {len}");
        }
    }
}

#[test]
fn a_flipped_bit_is_found_or_lies_in_the_last_group() {
    let whole = SimulatedDisk::new(1);
    let (payloads, ends) = sample(&whole);
    let last_group = ends[2];
    for offset in 0..*ends.last().unwrap() {
        for bit in [0, 3, 7] {
            let disk = whole.fork();
            disk.flip(&path(1), offset, bit).unwrap();
            match read(&disk) {
                Err(Error::Damaged { path: named, .. }) => {
                    assert_eq!(named, path(1));
                    assert!(offset < last_group);
                    assert!(open_with(&disk, 0, WalConfig::default()).is_err(), "it is found at start");
                }
                Ok(found) => {
                    let whole = ends.iter().filter(|&&end| end <= offset).count();
                    assert!(offset >= last_group, "byte {offset} was acknowledged");
                    assert_eq!(found, payloads[..whole]);
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
}

#[test]
fn a_flipped_bit_in_a_segment_that_is_not_the_last_is_found() {
    let whole = SimulatedDisk::new(1);
    let (payloads, ends) = sample(&whole);
    append(&mut open(&whole), &["next"]).unwrap();
    append(&mut open(&whole), &["last"]).unwrap();
    for offset in 0..*ends.last().unwrap() {
        let disk = whole.fork();
        disk.flip(&path(1), offset, (offset % 8) as u8).unwrap();
        assert!(matches!(read(&disk), Err(Error::Damaged { path: named, .. }) if named == path(1)), "{offset}");
    }
    for len in 0..*ends.last().unwrap() {
        let disk = whole.fork();
        let bytes = disk.contents(&path(1)).unwrap();
        disk.place(&path(1), &bytes[..len as usize]).unwrap();
        assert!(matches!(read(&disk), Err(Error::Damaged { path: named, .. }) if named == path(1)), "{len}");
    }
    let expected: Vec<&str> = payloads.into_iter().chain(["next", "last"]).collect();
    assert_eq!(read(&whole).unwrap(), expected);
}

#[test]
fn a_missing_segment_is_named() {
    let disk = SimulatedDisk::new(1);
    for payload in ["one", "two", "three"] {
        append(&mut open(&disk), &[payload]).unwrap();
    }
    disk.remove_file(&path(2)).unwrap();
    assert!(matches!(read(&disk), Err(Error::Damaged { path: named, .. }) if named == path(2)));
    assert_eq!(read_from(&disk, 3).unwrap(), ["three"]);
}

#[test]
fn bytes_of_another_segment_or_place_are_not_records() {
    let disk = SimulatedDisk::new(1);
    let mut wal = open(&disk);
    append(&mut wal, &["one"]).unwrap();
    let first = disk.contents(&path(1)).unwrap();
    let record = &first[HEADER_LEN..];
    // The same record once more: valid bytes, in the wrong place.
    disk.place(&path(1), &[&first, record].concat()).unwrap();
    assert_eq!(read(&disk).unwrap(), ["one"]);
    // In the right place of another segment, as a recycled block would have it.
    append(&mut open(&disk), &["two"]).unwrap();
    let second = disk.contents(&path(2)).unwrap();
    disk.place(&path(2), &[&second[..HEADER_LEN], record].concat()).unwrap();
    assert_eq!(read(&disk).unwrap(), ["one"]);
    // A whole segment under another number.
    disk.place(&path(3), &first).unwrap();
    assert!(matches!(read(&disk), Err(Error::Damaged { path: named, .. }) if named == path(3)));
}

#[test]
fn a_newer_format_is_named_and_not_guessed_at() {
    let disk = SimulatedDisk::new(1);
    append(&mut open(&disk), &["one"]).unwrap();
    let mut header = disk.contents(&path(1)).unwrap();
    header[8] = 2;
    let crc = crc32c::crc32c(&header[..HEADER_LEN - 4]);
    header[HEADER_LEN - 4..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
    disk.place(&path(1), &header).unwrap();
    assert!(matches!(read(&disk), Err(Error::Version { found: 2, known: 1, .. })));
}

#[test]
fn a_record_that_this_program_cannot_name_is_damage() {
    for (place, byte) in [(RECORD_HEADER_LEN - 4, 9), (RECORD_HEADER_LEN, b'/')] {
        let disk = SimulatedDisk::new(1);
        append(&mut open(&disk), &["one"]).unwrap();
        let mut bytes = disk.contents(&path(1)).unwrap();
        bytes[HEADER_LEN + place] = byte;
        reseal(&mut bytes[HEADER_LEN..], HEADER_BYTES);
        disk.place(&path(1), &bytes).unwrap();
        assert!(matches!(read(&disk), Err(Error::Damaged { .. })), "{byte}");
    }
}

/// Gives a changed record valid checksums.
pub(super) fn reseal(record: &mut [u8], offset: u64) {
    let start = crc32c::crc32c_append(crc32c::crc32c(&1_u64.to_le_bytes()), &offset.to_le_bytes());
    let body = crc32c::crc32c_append(start, &record[RECORD_HEADER_LEN..]);
    record[4..8].copy_from_slice(&body.to_le_bytes());
    let header = crc32c::crc32c_append(start, &record[4..RECORD_HEADER_LEN]);
    record[..4].copy_from_slice(&header.to_le_bytes());
}

#[test]
fn a_length_that_lies_allocates_nothing() {
    let disk = SimulatedDisk::new(1);
    append(&mut open(&disk), &["one"]).unwrap();
    let mut bytes = disk.contents(&path(1)).unwrap();
    bytes[HEADER_LEN + 8..HEADER_LEN + 12].copy_from_slice(&u32::MAX.to_le_bytes());
    reseal(&mut bytes[HEADER_LEN..], HEADER_BYTES);
    disk.place(&path(1), &bytes).unwrap();
    assert_eq!(read(&disk).unwrap(), [""; 0]);
}

proptest! {
    #[test]
    fn replay_of_any_bytes_ends_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), behind_header: bool) {
        let disk = SimulatedDisk::new(1);
        disk.create_dir_all(Path::new(DIR)).unwrap();
        let header = if behind_header { segment::encode_header(1, None).to_vec() } else { Vec::new() };
        disk.place(&path(1), &[&header[..], &bytes].concat()).unwrap();
        match read(&disk) {
            Ok(found) => prop_assert!(found.is_empty()),
            Err(Error::Damaged { .. }) => prop_assert!(!behind_header),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn replay_of_a_record_with_any_fields_ends_without_panic(
        fields in proptest::collection::vec(any::<u8>(), RECORD_HEADER_LEN),
        body in proptest::collection::vec(any::<u8>(), 0..100),
        honest: bool,
    ) {
        let mut record = [&fields[..], &body].concat();
        record[RECORD_HEADER_LEN - 2] %= 2;
        record[RECORD_HEADER_LEN - 1] = 0;
        if honest {
            let tenant_len = record[RECORD_HEADER_LEN - 3] as usize % (body.len() + 1);
            record[RECORD_HEADER_LEN - 3] = tenant_len as u8;
            record[8..12].copy_from_slice(&((body.len() - tenant_len) as u32).to_le_bytes());
        }
        reseal(&mut record, HEADER_BYTES);
        let disk = SimulatedDisk::new(1);
        disk.create_dir_all(Path::new(DIR)).unwrap();
        disk.place(&path(1), &[&segment::encode_header(1, None)[..], &record].concat()).unwrap();
        let sound = matches!(read(&disk), Ok(_) | Err(Error::Damaged { .. }));
        prop_assert!(sound);
    }

    #[test]
    fn any_damage_is_found_or_only_shortens_the_log(
        seed: u64,
        patches in proptest::collection::vec((0_u64..400, proptest::collection::vec(any::<u8>(), 1..40)), 1..4),
    ) {
        let disk = SimulatedDisk::new(seed);
        let (payloads, _) = sample(&disk);
        append(&mut open(&disk), &["next"]).unwrap();
        for (offset, bytes) in patches {
            disk.corrupt(&path(1 + offset % 2), offset / 2, &bytes).unwrap();
        }
        let all: Vec<&str> = payloads.into_iter().chain(["next"]).collect();
        match read(&disk) {
            Ok(found) => prop_assert_eq!(&found, &all[..found.len()]),
            Err(error) => prop_assert!(matches!(error, Error::Damaged { .. }), "{}", error),
        }
    }
}
