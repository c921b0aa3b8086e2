//! What does the manifest make of bytes that nobody wrote?

use super::*;
use crate::doubled::second_at;
use proptest::prelude::*;

fn damaged_is(disk: &SimulatedDisk, expected: &Path) -> bool {
    matches!(read(disk), Err(Error::Damaged { path, .. }) if path == expected)
}

#[test]
fn a_flipped_bit_in_a_commit_costs_nothing_and_one_in_both_copies_is_found_and_named() {
    let (disk, _) = disk_with(3);
    let sound = read(&disk).unwrap();
    for version in [1, 3] {
        let path = path(Kind::Commit, version);
        let bytes = disk.contents(&path).unwrap();
        let copy = second_at(&bytes) as u64;
        for offset in 0..bytes.len() as u64 - copy {
            for bit in [0, 1, 5, 7] {
                disk.flip(&path, offset, bit).unwrap();
                assert_eq!(read(&disk).unwrap(), sound, "byte {offset} bit {bit}");
                disk.flip(&path, copy + offset, bit).unwrap();
                let found = match read(&disk) {
                    Err(Error::Damaged { path: named, .. } | Error::Version { path: named, .. }) => named,
                    // The digit of an older version: the content is the same.
                    Ok(found) if offset == "spanlight-manifest ".len() as u64 && found == sound => path.clone(),
                    other => panic!("byte {offset} bit {bit}: {other:?}"),
                };
                assert_eq!(found, path);
                disk.flip(&path, offset, bit).unwrap();
                assert_eq!(read(&disk).unwrap(), sound, "byte {offset} bit {bit} of the second copy");
                disk.flip(&path, copy + offset, bit).unwrap();
            }
        }
    }
    read(&disk).unwrap();
}

#[test]
fn a_commit_of_which_not_even_one_copy_is_there_is_found_and_named() {
    let (disk, _) = disk_with(2);
    let path = path(Kind::Commit, 2);
    let bytes = disk.contents(&path).unwrap();
    let sound = read(&disk).unwrap();
    for len in 0..bytes.len() {
        disk.place(&path, &bytes[..len]).unwrap();
        if len < bytes.len() - second_at(&bytes) {
            assert!(damaged_is(&disk, &path), "{len}");
        } else {
            assert_eq!(read(&disk).unwrap(), sound, "{len}");
        }
    }
    disk.place(&path, &[&bytes[..bytes.len() - second_at(&bytes) - 1], b"\n\n"].concat()).unwrap();
    assert!(damaged_is(&disk, &path));
}

#[test]
fn a_missing_commit_is_named() {
    for (count, missing) in [(3, 1), (3, 2), (SNAPSHOT_EVERY + 3, SNAPSHOT_EVERY + 1)] {
        let (disk, _) = disk_with(count);
        disk.remove_file(&path(Kind::Commit, missing)).unwrap();
        assert!(damaged_is(&disk, &path(Kind::Commit, missing)), "{missing} of {count}");
    }
}

#[test]
fn a_commit_under_another_number_is_damage() {
    let (disk, _) = disk_with(2);
    let bytes = disk.contents(&path(Kind::Commit, 2)).unwrap();
    disk.place(&path(Kind::Commit, 3), &bytes).unwrap();
    assert!(damaged_is(&disk, &path(Kind::Commit, 3)));
}

#[test]
fn a_commit_that_does_not_fit_the_state_before_it_is_damage() {
    let (disk, _) = disk_with(2);
    for commit in [adding(1), Commit { remove: vec![BlockId(9)], ..Commit::default() }] {
        disk.place(&path(Kind::Commit, 3), &file::encode_commit(3, &commit)).unwrap();
        assert!(damaged_is(&disk, &path(Kind::Commit, 3)));
    }
}

#[test]
fn a_damaged_snapshot_is_passed_over_while_the_files_before_it_are_there() {
    let count = 3 * SNAPSHOT_EVERY + 5;
    let (disk, store) = disk_with(count);
    let (older, newer) = (path(Kind::Snapshot, 2 * SNAPSHOT_EVERY), path(Kind::Snapshot, 3 * SNAPSHOT_EVERY));
    disk.flip(&newer, 100, 3).unwrap();
    let (mut reopened, found) = open(&disk).unwrap();
    assert_eq!(found, *store.current());
    // A new snapshot follows at once, beside the damaged one, whose number is taken.
    reopened.commit(adding(1000)).unwrap();
    assert_eq!(files(&disk).last(), Some(&(Kind::Snapshot, count + 1)));

    let (disk, _) = disk_with(count);
    disk.flip(&newer, 100, 3).unwrap();
    disk.flip(&older, 100, 3).unwrap();
    assert!(damaged_is(&disk, &newer));
}

#[test]
fn a_flipped_bit_in_the_version_of_a_snapshot_is_passed_over_too() {
    let (disk, _) = disk_with(2 * SNAPSHOT_EVERY + 3);
    let sound = read(&disk).unwrap();
    let newer = path(Kind::Snapshot, 2 * SNAPSHOT_EVERY);
    for bit in 0..8 {
        disk.flip(&newer, "spanlight-manifest ".len() as u64, bit).unwrap();
        assert_eq!(read(&disk).unwrap(), sound, "bit {bit}");
        disk.flip(&newer, "spanlight-manifest ".len() as u64, bit).unwrap();
    }
}

#[test]
fn a_damaged_snapshot_does_not_count_as_one_of_the_two_that_are_kept() {
    let count = 3 * SNAPSHOT_EVERY + 5;
    let (disk, _) = disk_with(count);
    disk.flip(&path(Kind::Snapshot, 3 * SNAPSHOT_EVERY), 100, 3).unwrap();
    let (mut store, _) = open(&disk).unwrap();
    store.commit(adding(1000)).unwrap();
    let newest = path(Kind::Snapshot, count + 1);
    disk.flip(&newest, 100, 3).unwrap();
    assert_eq!(read(&disk).unwrap(), *store.current());
    disk.flip(&newest, 100, 3).unwrap();
    for id in 0..u128::from(SNAPSHOT_EVERY) {
        store.commit(adding(2000 + id)).unwrap();
    }
    let snapshots = files(&disk).into_iter().filter(|(kind, _)| *kind == Kind::Snapshot);
    assert_eq!(snapshots.map(|(_, version)| version).collect::<Vec<_>>(), [count + 1, count + 1 + SNAPSHOT_EVERY]);
    assert_eq!(read(&disk).unwrap(), *store.current());
}

#[test]
fn every_damage_of_the_only_snapshots_is_found() {
    let (disk, _) = disk_with(2 * SNAPSHOT_EVERY);
    let newer = path(Kind::Snapshot, 2 * SNAPSHOT_EVERY);
    let bytes = disk.contents(&newer).unwrap();
    disk.remove_file(&path(Kind::Snapshot, SNAPSHOT_EVERY)).unwrap();
    for offset in (0..bytes.len() as u64).step_by(7) {
        disk.flip(&newer, offset, (offset % 8) as u8).unwrap();
        assert!(matches!(read(&disk), Err(Error::Damaged { .. } | Error::Version { .. })), "{offset}");
        disk.flip(&newer, offset, (offset % 8) as u8).unwrap();
    }
    read(&disk).unwrap();
}

#[test]
fn a_newer_format_is_named_and_not_guessed_at() {
    let (disk, _) = disk_with(1);
    let text = String::from_utf8(disk.contents(&path(Kind::Commit, 1)).unwrap()).unwrap();
    let newer = text.replace("spanlight-manifest 3 ", "spanlight-manifest 4 ");
    disk.place(&path(Kind::Commit, 1), newer.as_bytes()).unwrap();
    assert!(matches!(read(&disk), Err(Error::Version { found: 4, known: 3, .. })));
}

#[test]
fn names_that_this_program_does_not_know_are_damage() {
    let frame = |body: &str| {
        format!("spanlight-manifest 1 {:08x} {}\n{body}", crc32c::crc32c(body.as_bytes()), body.len()).into_bytes()
    };
    let good = r#"{"version":1,"add":[{"id":"0000000000000000000000000000000a","tenant":"t","signal":"logs","window":"other","written":1,"rows":1,"bytes":1,"min_time":0,"max_time":0,"meta_crc":1}],"remove":[],"checkpoints":{}}"#;
    let disk = SimulatedDisk::new(1);
    open(&disk).unwrap();
    let path = path(Kind::Commit, 1);
    disk.place(&path, &frame(good)).unwrap();
    assert_eq!(read(&disk).unwrap().blocks.len(), 1);
    for (from, to) in [
        ("\"t\"", "\"../t\""),
        ("000a", "000A"),
        ("logs", "profiles"),
        ("other", "2026-13-01"),
        ("\"rows\":1", "\"rows\":-1"),
        ("\"rows\":1", "\"rows\":1,\"new\":1"),
        ("\"checkpoints\":{}", "\"checkpoints\":{},\"new\":1"),
        (",\"checkpoints\":{}", ""),
    ] {
        disk.place(&path, &frame(&good.replacen(from, to, 1))).unwrap();
        assert!(damaged_is(&disk, &path), "{to}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_no_commit_and_no_snapshot(bytes in proptest::collection::vec(any::<u8>(), 0..200), framed: bool) {
        let mut content = Vec::new();
        if framed {
            let line = format!("spanlight-manifest 1 {:08x} {}\n", crc32c::crc32c(&bytes), bytes.len());
            content.extend_from_slice(line.as_bytes());
        }
        content.extend_from_slice(&bytes);
        for kind in [Kind::Commit, Kind::Snapshot] {
            let disk = SimulatedDisk::new(1);
            open(&disk).unwrap();
            disk.place(&path(kind, 1), &content).unwrap();
            let named = damaged_is(&disk, &path(kind, 1));
            prop_assert!(named);
        }
    }
}

#[test]
fn a_commit_with_one_damaged_copy_is_told_of_and_superfluous_after_the_next() {
    let (disk, _) = disk_with(SNAPSHOT_EVERY + 3);
    let damage = || ManifestStore::verify(&disk, Path::new(DIR)).unwrap();
    assert!(damage().is_empty());
    let worn = path(Kind::Commit, SNAPSHOT_EVERY + 2);
    disk.flip(&worn, 3, 1).unwrap();
    assert!(matches!(&damage()[..], [Error::Damaged { path, .. }] if *path == worn), "{:?}", damage());
    let unneeded = path(Kind::Commit, SNAPSHOT_EVERY);
    disk.flip(&unneeded, 3, 1).unwrap();
    assert_eq!(damage().len(), 2, "also in a file that nothing needs");
    let (mut store, _) = open(&disk).unwrap();
    let next = store.commit(adding(1000)).unwrap();
    assert!(disk.contents(&path(Kind::Snapshot, next.version)).is_ok());
    let second_copy = second_at(&disk.contents(&worn).unwrap()) as u64;
    disk.flip(&worn, second_copy + 3, 1).unwrap();
    assert_eq!(read(&disk).unwrap(), next);
}
