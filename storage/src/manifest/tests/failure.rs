//! What does the manifest make of crashes, full disks and IO errors?

use super::*;
use crate::fs::Faults;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// Operations of a commit, and of one that a snapshot follows, with room to spare.
const OPERATIONS: u64 = 20;

#[test]
fn a_crash_at_any_operation_leaves_the_old_version_or_the_new_one() {
    let mut seen = [0; 2];
    for count in [0, 2, SNAPSHOT_EVERY - 1, 2 * SNAPSHOT_EVERY - 1] {
        let (disk, _) = disk_with(count);
        disk.crash(Loss::None);
        let old = read(&disk).unwrap();
        let new = Arc::new(old.with(&adding(9999)).unwrap());
        for operation in 1..=OPERATIONS {
            for (index, loss) in [Loss::None, Loss::Some, Loss::Some, Loss::Some, Loss::All].into_iter().enumerate() {
                let disk = disk.fork();
                let (mut store, _) = open(&disk).unwrap();
                for _ in 0..index {
                    disk.available_bytes(Path::new("/")).unwrap();
                    let _ = disk.list(Path::new("/")).unwrap(); // moves the dice
                }
                disk.crash_at(disk.operations() + operation);
                let committed = store.commit(adding(9999)).is_ok();
                disk.crash(loss);
                let found = read(&disk).unwrap();
                assert!(found == new || (found == old && !committed), "{count} {operation} {loss:?}");
                // What was read is durable (N6), and the next commit builds on it.
                disk.crash(Loss::All);
                let (mut store, again) = open(&disk).unwrap();
                assert_eq!(again, found);
                assert_eq!(store.commit(adding(10_000)).unwrap().version, found.version + 1);
                seen[usize::from(found == new)] += 1;
            }
        }
    }
    assert!(seen.iter().all(|&times| times > 50), "{seen:?}");
}

#[test]
fn an_error_at_any_operation_commits_or_does_not_and_says_so() {
    let mut seen = [0; 2];
    for count in [0, 2, SNAPSHOT_EVERY - 1, 2 * SNAPSHOT_EVERY - 1] {
        for operation in 1..=OPERATIONS {
            let (disk, mut store) = disk_with(count);
            disk.fail_at(disk.operations() + operation);
            let committed = store.commit(adding(9999)).is_ok();
            disk.set_faults(Faults::default());
            // The disk answered after the error, so the outcome is known: the next commit works at once.
            assert_eq!(store.current().version, count + u64::from(committed));
            let next = store.commit(adding(10_000)).unwrap();
            assert_eq!(next.blocks.contains_key(&BlockId(9999)), committed);
            for loss in [Loss::None, Loss::Some, Loss::All] {
                let disk = disk.fork();
                disk.crash(loss);
                assert_eq!(read(&disk).unwrap(), next, "{count} {operation} {loss:?}");
            }
            seen[usize::from(committed)] += 1;
        }
    }
    assert!(seen.iter().all(|&times| times > 5), "{seen:?}");
}

#[test]
fn an_outcome_that_the_disk_refuses_to_tell_is_found_out_later() {
    let mut happened = 0;
    for seed in 0..40 {
        let disk = SimulatedDisk::new(seed);
        let (mut store, _) = open(&disk).unwrap();
        store.commit(adding(1)).unwrap();
        // From the rename on, everything fails: it may have happened or not.
        (5..40).for_each(|later| disk.fail_at(disk.operations() + later));
        let outcome = store.commit(adding(2));
        assert!(matches!(outcome, Err(Error::Io { .. })), "{outcome:?}");
        assert!(store.commit(adding(3)).is_err() && store.reload().is_err());
        disk.set_faults(Faults::default());
        // Now the disk tells. A commit made by the old version is refused if the version is old.
        let found = disk.contents(&path(Kind::Commit, 2)).is_ok();
        match store.commit(adding(3)) {
            Ok(manifest) => assert!(!found && !manifest.blocks.contains_key(&BlockId(2))),
            Err(Error::Conflict { version: 2 }) => {
                assert!(found);
                assert!(store.reload().unwrap().blocks.contains_key(&BlockId(2)));
                store.commit(adding(3)).unwrap();
            }
            Err(other) => panic!("{other}"),
        }
        happened += usize::from(found);
        disk.crash(Loss::All);
        assert_eq!(read(&disk).unwrap(), *store.current());
    }
    assert!((1..40).contains(&happened), "{happened}");
}

#[test]
fn a_full_disk_refuses_commits_and_reads_go_on() {
    for free in 0..600 {
        let (disk, mut store) = disk_with(2);
        disk.set_free(free);
        let committed = store.commit(adding(3)).is_ok();
        assert_eq!(read(&disk).unwrap(), *store.current());
        disk.set_capacity(None);
        let expected = 3 + u64::from(committed);
        assert_eq!(store.commit(adding(4)).unwrap().version, expected, "{free} bytes free");
        disk.crash(Loss::Some);
        assert_eq!(read(&disk).unwrap(), *store.current());
    }
}

#[test]
fn a_snapshot_that_fails_fails_no_commit_and_is_tried_again() {
    let (disk, mut store) = disk_with(SNAPSHOT_EVERY - 1);
    let commit_operations = {
        let disk = disk.fork();
        let (mut store, _) = open(&disk).unwrap();
        // One commit further than the snapshot's turn, so that only the commit itself is counted.
        store.snapshot = u64::MAX;
        let before = disk.operations();
        store.commit(adding(500)).unwrap();
        disk.operations() - before
    };
    for _ in 0..3 {
        disk.set_faults(Faults::default());
        disk.fail_at(disk.operations() + commit_operations + 2);
        store.commit(adding(u128::from(1000 + store.current().version))).unwrap();
        assert!(files(&disk).iter().all(|(kind, _)| *kind == Kind::Commit));
    }
    let made = store.commit(adding(2000)).unwrap();
    assert_eq!(files(&disk).last(), Some(&(Kind::Snapshot, made.version)));
    assert_eq!(read(&disk).unwrap(), made);
}

#[test]
fn whatever_happens_the_manifest_is_a_version_that_was_acknowledged_or_in_flight() {
    for seed in 0..300 {
        let mut rng = Pcg64::seed_from_u64(seed);
        let disk = SimulatedDisk::new(seed);
        let (mut store, mut known) = open(&disk).unwrap();
        store.snapshot_every = 3;
        let mut maybe: Vec<Arc<Manifest>> = Vec::new();
        for id in 0..40 {
            match rng.random_range(0..30) {
                0 => disk.crash_at(disk.operations() + rng.random_range(1..15)),
                1 => disk.set_faults(Faults { write: 0.05, sync: 0.05, metadata: 0.05, read: 0.05 }),
                2 => disk.set_faults(Faults::default()),
                3 => disk.set_free(rng.random_range(0..2000)),
                4 => disk.set_capacity(None),
                _ => {}
            }
            let mut commit = adding(id);
            if rng.random_bool(0.5) {
                commit.remove.extend(store.current().blocks.keys().next().copied());
            }
            let wanted = Arc::new(store.current().with(&commit).unwrap());
            match store.commit(commit) {
                Ok(made) => {
                    assert_eq!(made, wanted);
                    known = made;
                    maybe.clear();
                }
                Err(_) => maybe.push(wanted),
            }
            if disk.is_down() || rng.random_bool(0.05) {
                disk.crash([Loss::None, Loss::Some, Loss::All][rng.random_range(0..3_usize)]);
                disk.set_faults(Faults::default());
                let (reopened, found) = open(&disk).unwrap();
                assert!(found == known || maybe.contains(&found), "seed {seed}");
                (store, known) = (reopened, found);
                store.snapshot_every = 3;
                maybe.clear();
            }
        }
    }
}
