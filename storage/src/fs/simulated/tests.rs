use super::*;
use crate::fs::Clock;
use std::collections::BTreeSet;
use std::time::Duration;

fn write(disk: &SimulatedDisk, path: &str, bytes: &[u8]) -> Box<dyn WriteFile> {
    let mut file = disk.create(Path::new(path)).unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn durable(disk: &SimulatedDisk, path: &str, bytes: &[u8]) -> Box<dyn WriteFile> {
    let mut file = write(disk, path, bytes);
    file.sync().unwrap();
    disk.sync_dir(Path::new(path).parent().unwrap()).unwrap();
    file
}

fn names(disk: &SimulatedDisk, dir: &str) -> Vec<String> {
    disk.list(Path::new(dir)).unwrap().into_iter().map(|entry| entry.name).collect()
}

fn contents(disk: &SimulatedDisk, path: &str) -> Vec<u8> {
    disk.contents(Path::new(path)).unwrap()
}

#[test]
fn what_was_synced_survives_every_crash() {
    for seed in 0..100 {
        for loss in [Loss::None, Loss::Some, Loss::All] {
            let disk = SimulatedDisk::new(seed);
            disk.create_dir_all(Path::new("/a/b")).unwrap();
            let mut file = durable(&disk, "/a/b/file", b"synced");
            file.write_all(b" not synced").unwrap();
            disk.crash(loss);
            assert!(contents(&disk, "/a/b/file").starts_with(b"synced"));
        }
    }
}

#[test]
fn what_was_not_synced_is_lost_or_kept_or_torn_as_the_crash_wants() {
    let after = |seed, loss| {
        let disk = SimulatedDisk::new(seed);
        let mut file = durable(&disk, "/file", b"old ");
        file.write_all(b"one ").unwrap();
        file.write_all(b"two").unwrap();
        disk.crash(loss);
        contents(&disk, "/file")
    };
    let outcomes: BTreeSet<Vec<u8>> = (0..500).map(|seed| after(seed, Loss::Some)).collect();
    for expected in [&b"old "[..], b"old one ", b"old one two", b"old \0\0\0\0two", b"old on", b"old one t\0\0"] {
        assert!(outcomes.contains(expected), "{expected:?}");
    }
    for seed in 0..20 {
        assert_eq!(after(seed, Loss::All), b"old ");
        assert_eq!(after(seed, Loss::None), b"old one two");
        assert_eq!(after(seed, Loss::Some), after(seed, Loss::Some), "the seed decides");
    }
}

#[test]
fn a_name_is_lost_unless_its_directory_was_synced() {
    let disk = SimulatedDisk::new(1);
    durable(&disk, "/kept", b"");
    let mut file = write(&disk, "/lost", b"x");
    file.sync().unwrap();
    disk.remove_file(Path::new("/kept")).unwrap();
    assert_eq!(names(&disk, "/"), ["lost"]);
    disk.crash(Loss::All);
    assert_eq!(names(&disk, "/"), ["kept"]);
}

#[test]
fn of_a_directory_a_prefix_of_its_changes_is_kept() {
    let after = |seed| {
        let disk = SimulatedDisk::new(seed);
        for name in ["/1", "/2", "/3"] {
            write(&disk, name, b"");
        }
        disk.rename_new(Path::new("/1"), Path::new("/4")).unwrap();
        disk.remove_file(Path::new("/2")).unwrap();
        disk.crash(Loss::Some);
        names(&disk, "/").concat()
    };
    let outcomes: BTreeSet<String> = (0..300).map(after).collect();
    let expected = ["", "1", "12", "123", "234", "34"].map(str::to_owned);
    assert_eq!(outcomes, BTreeSet::from(expected));
}

#[test]
fn a_rename_between_directories_is_never_half_done() {
    let outcomes: BTreeSet<String> = (0..200)
        .map(|seed| {
            let disk = SimulatedDisk::new(seed);
            disk.create_dir_all(Path::new("/from/block")).unwrap();
            disk.create_dir_all(Path::new("/to")).unwrap();
            durable(&disk, "/from/block/data", b"data");
            disk.rename_new(Path::new("/from/block"), Path::new("/to/block")).unwrap();
            disk.crash(Loss::Some);
            let (from, to) = (names(&disk, "/from").concat(), names(&disk, "/to").concat());
            let place = if from.is_empty() { "/to/block/data" } else { "/from/block/data" };
            assert_eq!(contents(&disk, place), b"data");
            format!("{from}-{to}")
        })
        .collect();
    assert_eq!(outcomes, BTreeSet::from(["-block", "block-"].map(str::to_owned)));
}

#[test]
fn syncing_the_new_directory_makes_a_rename_durable() {
    let disk = SimulatedDisk::new(1);
    disk.create_dir_all(Path::new("/from")).unwrap();
    disk.create_dir_all(Path::new("/to")).unwrap();
    write(&disk, "/from/file", b"data").sync().unwrap();
    disk.rename_new(Path::new("/from/file"), Path::new("/to/file")).unwrap();
    disk.sync_dir(Path::new("/to")).unwrap();
    disk.crash(Loss::All);
    assert_eq!((names(&disk, "/from"), contents(&disk, "/to/file")), (vec![], b"data".to_vec()));
}

#[test]
fn a_process_that_dies_loses_nothing_but_leaves_it_to_the_next_power_loss() {
    for sync in [false, true] {
        let disk = SimulatedDisk::new(1);
        write(&disk, "/file", b"data");
        disk.crash(Loss::None);
        assert_eq!(contents(&disk, "/file"), b"data");
        if sync {
            disk.truncate(Path::new("/file"), 4).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
        }
        disk.crash(Loss::All);
        assert_eq!(disk.contents(Path::new("/file")).ok(), sync.then(|| b"data".to_vec()));
    }
}

#[test]
fn power_loss_may_bring_back_what_a_dead_process_made_and_removed() {
    let brought_back = (0..100).filter(|&seed| {
        let disk = SimulatedDisk::new(seed);
        write(&disk, "/file", b"data").sync().unwrap();
        disk.remove_file(Path::new("/file")).unwrap();
        disk.crash(Loss::None);
        assert_eq!(names(&disk, "/"), [""; 0]);
        disk.crash(Loss::Some);
        names(&disk, "/") == ["file"] && contents(&disk, "/file") == b"data"
    });
    assert!((5..95).contains(&brought_back.count()));
}

#[test]
fn handles_and_locks_end_with_a_crash() {
    let disk = SimulatedDisk::new(1);
    let mut writer = durable(&disk, "/file", b"data");
    let reader = disk.open(Path::new("/file")).unwrap();
    let lock = disk.lock(Path::new("/lock")).unwrap();
    assert_eq!(disk.lock(Path::new("/lock")).err().unwrap().kind(), ErrorKind::WouldBlock);
    disk.crash(Loss::None);
    assert!(writer.write_all(b"x").is_err() && writer.sync().is_err());
    assert!(reader.read_at(0, &mut [0]).is_err());
    let next = disk.lock(Path::new("/lock")).unwrap();
    drop(lock);
    assert_eq!(disk.lock(Path::new("/lock")).err().unwrap().kind(), ErrorKind::WouldBlock);
    drop(next);
    disk.lock(Path::new("/lock")).unwrap();
}

#[test]
fn a_full_disk_takes_what_fits_and_works_again_when_there_is_room() {
    let disk = SimulatedDisk::new(1);
    let mut file = durable(&disk, "/file", b"12345");
    disk.set_free(3);
    assert_eq!(disk.available_bytes(Path::new("/")).unwrap(), 3);
    assert_eq!(file.write_all(b"6789").unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(contents(&disk, "/file"), b"12345678");
    assert_eq!(disk.create(Path::new("/new")).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(disk.create_dir_all(Path::new("/dir")).unwrap_err().kind(), ErrorKind::StorageFull);
    disk.truncate(Path::new("/file"), 5).unwrap();
    durable(&disk, "/new", b"678");
    disk.remove_file(Path::new("/file")).unwrap();
    disk.set_capacity(Some(100));
    assert_eq!(disk.available_bytes(Path::new("/")).unwrap(), 97);
}

#[test]
fn the_machine_goes_down_in_the_operation_that_was_named() {
    let disk = SimulatedDisk::new(1);
    disk.create_dir_all(Path::new("/dir")).unwrap();
    let before = disk.operations();
    disk.crash_at(before + 2);
    let mut file = disk.create(Path::new("/dir/file")).unwrap();
    assert!(!disk.is_down());
    assert!(file.write_all(b"data").is_err());
    assert!(disk.is_down());
    assert!(file.sync().is_err() && disk.list(Path::new("/dir")).is_err());
    assert!(disk.sync_dir(Path::new("/dir")).is_err() && disk.open(Path::new("/dir/file")).is_err());
    assert_eq!(disk.operations(), before + 2);
    disk.crash(Loss::All);
    assert_eq!(names(&disk, "/dir"), [""; 0]);
    durable(&disk, "/dir/file", b"data");
}

#[test]
fn operations_fail_as_often_as_asked() {
    let disk = SimulatedDisk::new(1);
    let mut file = durable(&disk, "/file", b"");
    disk.fail_at(disk.operations() + 1);
    assert!(file.write_all(b"x").is_err());
    file.write_all(b"x").unwrap();
    disk.set_faults(Faults { read: 1.0, write: 1.0, sync: 1.0, metadata: 1.0 });
    assert!(file.write_all(b"x").is_err() && file.sync().is_err() && disk.list(Path::new("/")).is_err());
    assert!(disk.create(Path::new("/new")).is_err() && disk.sync_dir(Path::new("/")).is_err());
    disk.set_faults(Faults { write: 0.5, ..Faults::default() });
    let failed = (0..1000).filter(|_| file.write_all(b"x").is_err()).count();
    assert!((300..700).contains(&failed), "{failed}");
}

#[test]
fn after_a_failed_sync_a_later_sync_promises_nothing() {
    let lost = (0..50).filter(|&seed| {
        let disk = SimulatedDisk::new(seed);
        let mut file = durable(&disk, "/file", b"");
        file.write_all(b"data").unwrap();
        disk.fail_at(disk.operations() + 1);
        file.sync().unwrap_err();
        file.sync().unwrap();
        assert_eq!(contents(&disk, "/file"), b"data");
        disk.crash(Loss::All);
        contents(&disk, "/file").is_empty()
    });
    assert!((5..45).contains(&lost.count()));
}

#[test]
fn a_new_directory_is_durable_once_create_dir_all_returned() {
    let after_crash_in = |seed, operation| {
        let disk = SimulatedDisk::new(seed);
        disk.crash_at(operation);
        let made = disk.create_dir_all(Path::new("/a/b"));
        assert_eq!(made.is_ok(), operation > disk.operations());
        disk.crash(Loss::All);
        let children = disk.list(Path::new("/a")).map(|_| names(&disk, "/a").concat());
        disk.create_dir_all(Path::new("/a/b")).unwrap();
        disk.crash(Loss::All);
        assert_eq!(names(&disk, "/a"), ["b"]);
        children.ok()
    };
    let outcomes = |operation| (0..50).map(|seed| after_crash_in(seed, operation)).collect::<BTreeSet<_>>();
    let (none, empty, whole) = (None, Some(String::new()), Some("b".to_owned()));
    assert_eq!(outcomes(1), BTreeSet::from([none.clone()]));
    assert_eq!(outcomes(2), BTreeSet::from([none, empty.clone()]));
    assert_eq!(outcomes(3), BTreeSet::from([empty.clone()]));
    assert_eq!(outcomes(4), BTreeSet::from([empty, whole.clone()]));
    assert_eq!(outcomes(5), BTreeSet::from([whole]));
}

#[test]
fn removing_a_directory_removes_what_is_in_it() {
    let disk = SimulatedDisk::new(1);
    disk.create_dir_all(Path::new("/a/b/c")).unwrap();
    durable(&disk, "/a/b/file", b"data");
    disk.remove_dir_all(Path::new("/a/b")).unwrap();
    assert_eq!(names(&disk, "/a"), [""; 0]);
    assert_eq!(disk.remove_dir_all(Path::new("/a/b")).unwrap_err().kind(), ErrorKind::NotFound);
    disk.crash(Loss::All);
    assert_eq!(names(&disk, "/a"), ["b"], "the removal was not synced");
}

#[test]
fn a_fork_is_independent() {
    let disk = SimulatedDisk::new(1);
    let mut file = durable(&disk, "/file", b"1");
    file.write_all(b"2").unwrap();
    let fork = disk.fork();
    fork.crash(Loss::All);
    file.write_all(b"3").unwrap();
    assert_eq!((contents(&fork, "/file"), contents(&disk, "/file")), (b"1".to_vec(), b"123".to_vec()));
}

#[test]
fn stored_bytes_can_be_damaged() {
    let disk = SimulatedDisk::new(1);
    disk.place(Path::new("/file"), b"abcd").unwrap();
    disk.flip(Path::new("/file"), 1, 0).unwrap();
    disk.corrupt(Path::new("/file"), 3, b"xyz").unwrap();
    disk.crash(Loss::All);
    assert_eq!(contents(&disk, "/file"), b"accx");
}

#[test]
fn paths_lead_nowhere_else() {
    let disk = SimulatedDisk::new(1);
    durable(&disk, "/file", b"");
    assert_eq!(disk.create(Path::new("/file")).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(disk.create(Path::new("/file/x")).unwrap_err().kind(), ErrorKind::NotADirectory);
    assert_eq!(disk.create(Path::new("/none/x")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(disk.create(Path::new("/../x")).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(disk.create_dir_all(Path::new("/file/x")).unwrap_err().kind(), ErrorKind::NotADirectory);
    let taken = disk.rename_new(Path::new("/file"), Path::new("/file"));
    assert_eq!(taken.unwrap_err().kind(), ErrorKind::AlreadyExists);
}

#[test]
fn the_clock_goes_when_told() {
    let clock = SimulatedClock::at(100);
    clock.clone().advance(Duration::from_nanos(5));
    assert_eq!((clock.now_unix_nano(), clock.monotonic()), (105, Duration::from_nanos(5)));
    clock.set(7);
    assert_eq!((clock.now_unix_nano(), clock.monotonic()), (7, Duration::from_nanos(5)));
}
