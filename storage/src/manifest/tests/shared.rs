//! Do writers that share a bucket agree on who made which version? N10 to N12.

use super::*;
use crate::fs::{Clock, SimulatedClock};
use crate::object::{BucketFaults, Mounted, Role, Shared, SimulatedBucket};

/// The manifest in a bucket, as one of its writers sees it.
fn writer(bucket: &SimulatedBucket) -> ManifestStore {
    let shared = Shared { bucket: Arc::new(bucket.process()), role: Role::Writer, cache_bytes: 1 << 20 };
    let clock: Arc<dyn Clock> = Arc::new(SimulatedClock::at(0));
    let disk = Arc::new(SimulatedDisk::new(0));
    let fs = Arc::new(Mounted::new(disk, clock, Path::new("/"), &shared, 0).unwrap());
    let (mut store, _) = ManifestStore::open(fs, Path::new("/manifest"), Writers::Many).unwrap();
    store.snapshot_every = 4;
    store
}

fn is_conflict(result: Result<Arc<Manifest>>) -> bool {
    matches!(result, Err(Error::Conflict { .. }))
}

fn ids(manifest: &Manifest) -> Vec<u128> {
    manifest.blocks.keys().map(|id| id.0).collect()
}

#[test]
fn n4_of_two_writers_of_a_version_one_wins_and_the_other_reads_what_it_did() {
    let bucket = SimulatedBucket::new(0);
    let (mut one, mut two) = (writer(&bucket), writer(&bucket));
    one.commit(adding(1)).unwrap();
    assert!(is_conflict(two.commit(adding(2))));
    assert_eq!(ids(&two.refresh().unwrap()), [1]);
    two.commit(adding(2)).unwrap();
    assert_eq!(ids(&one.refresh().unwrap()), [1, 2]);
    assert_eq!(one.refresh().unwrap(), two.refresh().unwrap());
}

#[test]
fn n10_a_commit_that_arrives_late_or_twice_is_made_once() {
    for faults in [
        BucketFaults { unanswered: 1.0, ..BucketFaults::default() },
        BucketFaults { twice: 1.0, ..BucketFaults::default() },
    ] {
        let bucket = SimulatedBucket::new(0);
        let mut one = writer(&bucket);
        bucket.set_faults(faults);
        assert_eq!(one.commit(adding(1)).unwrap().version, 1);
    }
    let bucket = SimulatedBucket::new(0);
    let (mut one, mut two) = (writer(&bucket), writer(&bucket));
    bucket.set_faults(BucketFaults { late: 1.0, ..BucketFaults::default() });
    assert!(one.commit(adding(1)).is_err_and(|error| !matches!(error, Error::Conflict { .. })));
    bucket.set_faults(BucketFaults::default());
    // Made again, it takes its number; what is late comes to nothing.
    assert_eq!(ids(&one.commit(adding(1)).unwrap()), [1]);
    bucket.deliver();
    assert_eq!(ids(&two.refresh().unwrap()), [1]);

    bucket.set_faults(BucketFaults { late: 1.0, ..BucketFaults::default() });
    assert!(one.commit(adding(2)).is_err());
    bucket.set_faults(BucketFaults::default());
    two.commit(adding(3)).unwrap();
    bucket.deliver();
    assert!(is_conflict(one.commit(adding(2))));
    assert_eq!(ids(&one.refresh().unwrap()), [1, 3]);
}

#[test]
fn n11_who_slept_while_numbers_were_removed_takes_none_of_them() {
    let bucket = SimulatedBucket::new(0);
    let (mut busy, mut slept) = (writer(&bucket), writer(&bucket));
    let mut reader = writer(&bucket);
    (1..=20).for_each(|id| drop(busy.commit(adding(id)).unwrap()));
    let first = "manifest/00000000000000000001.commit";
    assert!(!bucket.keys().iter().any(|key| key == first));
    assert!(is_conflict(slept.commit(adding(99))));
    // Its file is there, and nobody reads it.
    assert!(bucket.keys().iter().any(|key| key == first));
    assert_eq!(ids(&reader.refresh().unwrap()), (1..=20).collect::<Vec<_>>());
    assert_eq!(ids(&slept.refresh().unwrap()), (1..=20).collect::<Vec<_>>());
    assert_eq!(slept.commit(adding(21)).unwrap().version, 21);
    (22..=40).for_each(|id| drop(slept.commit(adding(id)).unwrap()));
    assert!(!bucket.keys().iter().any(|key| key == first));
    assert_eq!(ids(&writer(&bucket).refresh().unwrap()), (1..=40).collect::<Vec<_>>());
}

#[test]
fn n12_no_block_is_added_that_is_older_than_the_floor() {
    let bucket = SimulatedBucket::new(0);
    let mut store = writer(&bucket);
    store.commit(adding(5 << 64)).unwrap();
    store.commit(Commit { floor: Some(10), ..Commit::default() }).unwrap();
    assert!(matches!(store.commit(adding(9 << 64)), Err(Error::Request { .. })));
    store.commit(adding(10 << 64)).unwrap();
    store.commit(Commit { floor: Some(3), ..Commit::default() }).unwrap();
    (11..20).for_each(|id| drop(store.commit(adding(id << 64)).unwrap()));
    assert_eq!(writer(&bucket).current().floor, 10);
}
