//! What must hold of the manifest. `damage` breaks its bytes, `failure` its disk, `shared` has several writers.

mod damage;
mod failure;
mod fixture;
mod shared;

use super::*;
use crate::fs::{Disk, Loss, SimulatedDisk};

pub(super) const DIR: &str = "/manifest";

pub(super) fn open(disk: &SimulatedDisk) -> Result<(ManifestStore, Arc<Manifest>)> {
    ManifestStore::open(Arc::new(disk.clone()), Path::new(DIR), Writers::One)
}

pub(super) fn read(disk: &SimulatedDisk) -> Result<Arc<Manifest>> {
    open(disk).map(|(_, manifest)| manifest)
}

pub(super) fn entry(id: u128) -> BlockEntry {
    BlockEntry {
        id: BlockId(id),
        tenant: TenantId::new("Team-7").unwrap(),
        signal: Signal::Logs,
        window: "2026-11-23".parse().unwrap(),
        written: 5,
        rows: id as u64,
        bytes: u64::MAX,
        min_time: i64::MIN,
        max_time: i64::MAX,
        meta_crc: 7,
        resolution: Resolution::RAW,
        undecided: false,
        grown_at: None,
    }
}

/// Adds a block and sets a checkpoint.
pub(super) fn adding(id: u128) -> Commit {
    Commit {
        add: vec![entry(id)],
        remove: vec![],
        checkpoints: BTreeMap::from([("wal".to_owned(), id.to_string())]),
        ..Commit::default()
    }
}

pub(super) fn path(kind: Kind, version: u64) -> PathBuf {
    Path::new(DIR).join(file::name(kind, version))
}

/// A disk with commits that add the blocks 1 to `count`.
pub(super) fn disk_with(count: u64) -> (SimulatedDisk, ManifestStore) {
    let disk = SimulatedDisk::new(count);
    let (mut store, _) = open(&disk).unwrap();
    for id in 1..=count {
        store.commit(adding(id.into())).unwrap();
    }
    (disk, store)
}

fn files(disk: &SimulatedDisk) -> Vec<(Kind, u64)> {
    list(disk, Path::new(DIR)).unwrap()
}

#[test]
fn a_new_manifest_is_empty() {
    let disk = SimulatedDisk::new(1);
    assert_eq!(*read(&disk).unwrap(), Manifest::default());
    assert_eq!(files(&disk), []);
}

#[test]
fn commits_survive_power_loss_as_they_were_made() {
    let (disk, mut store) = disk_with(3);
    let resolution = Resolution::of_seconds(300).unwrap();
    let other = BlockEntry { window: Window::OTHER, signal: Signal::Metrics, resolution, ..entry(u128::MAX) };
    let checkpoints = BTreeMap::from([("kafka/ü/0".to_owned(), "\"[0,17)\"\n".to_owned())]);
    let made = store
        .commit(Commit { add: vec![other.clone()], remove: vec![BlockId(2)], checkpoints, ..Commit::default() })
        .unwrap();
    disk.crash(Loss::All);
    let found = read(&disk).unwrap();
    assert_eq!(found, made);
    assert_eq!(found.version, 4);
    assert_eq!(found.blocks.values().map(|entry| (**entry).clone()).collect::<Vec<_>>(), [entry(1), entry(3), other]);
    let checkpoints: Vec<_> = found.checkpoints.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(checkpoints, [("kafka/ü/0", "\"[0,17)\"\n"), ("wal", "3")]);
}

#[test]
fn only_a_block_that_stands_for_others_says_its_resolution() {
    let says = |resolution| {
        let commit = Commit { add: vec![BlockEntry { resolution, ..entry(1) }], ..Commit::default() };
        String::from_utf8(file::encode_commit(1, &commit)).unwrap().contains("resolution")
    };
    assert!(!says(Resolution::RAW), "who does not know of it reads everything else");
    assert!(says(Resolution::of_seconds(60).unwrap()));
}

#[test]
fn a_commit_that_does_not_fit_changes_nothing() {
    let (disk, mut store) = disk_with(2);
    let before = (files(&disk), store.current().clone());
    let commit = |add: &[u128], remove: &[u128]| Commit {
        add: add.iter().map(|&id| entry(id)).collect(),
        remove: remove.iter().map(|&id| BlockId(id)).collect(),
        checkpoints: BTreeMap::from([("wal".to_owned(), "9".to_owned())]),
        ..Commit::default()
    };
    for (add, remove) in [(&[1][..], &[][..]), (&[3, 3], &[]), (&[], &[3]), (&[], &[1, 1]), (&[3], &[3]), (&[1], &[1])]
    {
        assert!(matches!(store.commit(commit(add, remove)), Err(Error::Request { .. })), "{add:?} {remove:?}");
    }
    assert_eq!((files(&disk), store.current().clone()), before);
    assert_eq!(store.commit(commit(&[3], &[1, 2])).unwrap().version, 3);
}

#[test]
fn a_version_that_somebody_else_made_is_a_conflict_until_it_is_read() {
    let (disk, mut ours) = disk_with(1);
    let (mut theirs, _) = open(&disk).unwrap();
    theirs.commit(adding(2)).unwrap();
    for _ in 0..3 {
        assert!(matches!(ours.commit(adding(3)), Err(Error::Conflict { version: 2 })));
    }
    assert_eq!(ours.reload().unwrap().blocks.len(), 2);
    assert_eq!(ours.commit(adding(3)).unwrap().version, 3);
    assert_eq!(read(&disk).unwrap().blocks.len(), 3);
}

#[test]
fn snapshots_bound_what_is_kept_and_two_of_them_are() {
    let (disk, store) = disk_with(5 * SNAPSHOT_EVERY + 3);
    let every = SNAPSHOT_EVERY;
    let mut expected: Vec<(Kind, u64)> =
        (4 * every + 1..=5 * every + 3).map(|version| (Kind::Commit, version)).collect();
    expected.extend([(Kind::Snapshot, 4 * every), (Kind::Snapshot, 5 * every)]);
    assert_eq!(files(&disk), expected);
    disk.crash(Loss::All);
    let (mut reopened, found) = open(&disk).unwrap();
    assert_eq!(found, *store.current());
    for id in 1..=every {
        reopened.commit(adding((1000 + id).into())).unwrap();
    }
    assert_eq!(files(&disk).last(), Some(&(Kind::Snapshot, 6 * every)), "the interval goes on from the last snapshot");
}

#[test]
fn nothing_is_removed_before_two_later_snapshots_are_durable() {
    let (disk, _) = disk_with(2 * SNAPSHOT_EVERY - 1);
    assert_eq!(files(&disk).len() as u64, 2 * SNAPSHOT_EVERY, "all commits, one snapshot");
    let (disk, _) = disk_with(2 * SNAPSHOT_EVERY);
    assert_eq!(files(&disk).len() as u64, SNAPSHOT_EVERY + 2);
    disk.crash(Loss::All);
    read(&disk).unwrap();
}

#[test]
fn the_manifest_works_on_the_machines_own_disk() {
    let temp = tempfile::tempdir().unwrap();
    let (disk, dir): (Arc<dyn Filesystem>, _) = (Arc::new(Disk), temp.path().join("data/manifest"));
    let (mut store, _) = ManifestStore::open(disk.clone(), &dir, Writers::One).unwrap();
    store.snapshot_every = 2;
    for id in 0..7 {
        store.commit(adding(id)).unwrap();
    }
    let (_, found) = ManifestStore::open(disk.clone(), &dir, Writers::One).unwrap();
    assert_eq!(found, *store.current());
    let names: Vec<String> = disk.list(&dir).unwrap().into_iter().map(|entry| entry.name).collect();
    let expected = [(5, "commit"), (6, "commit"), (7, "commit"), (4, "snapshot"), (6, "snapshot")];
    let mut expected: Vec<String> = expected.map(|(version, kind)| format!("{version:020}.{kind}")).to_vec();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn temporary_and_foreign_files_do_not_matter() {
    let (disk, store) = disk_with(2);
    let temporary = Path::new(DIR).join(format!("{}.tmp", file::name(Kind::Commit, 3)));
    disk.place(&temporary, b"half a comm").unwrap();
    for name in ["README", "3.commit", "00000000000000000003.commit.bak", "99999999999999999999.commit"] {
        disk.place(&Path::new(DIR).join(name), b"not ours").unwrap();
    }
    let (mut reopened, found) = open(&disk).unwrap();
    assert_eq!(found, *store.current());
    assert!(disk.contents(&temporary).is_err());
    disk.place(&temporary, b"half a comm").unwrap();
    assert_eq!(reopened.commit(adding(3)).unwrap().version, 3);
}

#[test]
fn a_block_lies_at_the_path_of_its_names() {
    assert_eq!(entry(10).path(), Path::new("Team-7/logs/2026-11-23/0000000000000000000000000000000a"));
}

#[test]
fn n9_tombstones_and_the_quarantine_live_as_long_as_their_blocks_also_in_snapshots() {
    use crate::scan::{AttributeScope, Compare, Field, Scalar};
    let (disk, mut store) = disk_with(3);
    let field = || Field::Attribute(AttributeScope::Any, "k\"é".into());
    let compare = |value| Predicate::Compare { field: field(), compare: Compare::NotEqual, value };
    let predicate = Predicate::Or(vec![
        compare(Scalar::Double(-0.0)),
        compare(Scalar::Bytes(vec![0, 255])),
        compare(Scalar::Int(i64::MIN)),
        Predicate::Not(Box::new(Predicate::Trace(crate::model::TraceId([7; 16])))),
        Predicate::Contains { field: Field::Column("body"), needle: "x".into(), case_sensitive: true },
    ]);
    let tombstone = |ids: &[u128]| Tombstone {
        created: 5,
        predicate: predicate.clone(),
        blocks: ids.iter().map(|&id| BlockId(id)).collect(),
    };
    let hide = Commit {
        hide: vec![(4, tombstone(&[1, 2]))],
        quarantine: vec![(BlockId(2), "why".into())],
        ..Commit::default()
    };
    store.commit(hide).unwrap();
    for id in 0..u128::from(SNAPSHOT_EVERY) {
        store.commit(adding(100 + id)).unwrap();
    }
    let found = read(&disk).unwrap();
    assert_eq!(found, *store.current());
    assert_eq!(found.tombstones.values().map(|each| (**each).clone()).collect::<Vec<_>>(), [tombstone(&[1, 2])]);
    let remove = |id| Commit { remove: vec![BlockId(id)], ..Commit::default() };
    let left = store.commit(remove(2)).unwrap();
    assert_eq!((left.tombstones[&4].blocks.len(), left.quarantined.len()), (1, 0));
    assert!(store.commit(remove(1)).unwrap().tombstones.is_empty());
    assert!(store.commit(Commit { hide: vec![(4, tombstone(&[1]))], ..Commit::default() }).is_err());
    assert_eq!(read(&disk).unwrap(), *store.current());
}

#[test]
fn n13_a_range_that_does_not_join_is_refused() {
    let (mut store, _) = open(&SimulatedDisk::new(1)).unwrap();
    let range = |from: Option<u64>, to: u64| Commit {
        consumed: BTreeMap::from([("kafka/a/0".to_owned(), SourceRange { from, to })]),
        ..Commit::default()
    };
    assert!(matches!(store.commit(range(Some(0), 5)), Err(Error::Request { .. })), "it was not begun");
    store.commit(range(None, 5)).unwrap();
    store.commit(range(Some(5), 9)).unwrap();
    for (from, to) in [(None, 5), (Some(5), 9), (Some(8), 12), (Some(10), 12)] {
        let refused = store.commit(range(from, to));
        assert!(matches!(refused, Err(Error::Request { .. })), "{from:?}: {refused:?}");
    }
    assert_eq!(store.current().sources, BTreeMap::from([("kafka/a/0".to_owned(), 9)]));
}

#[test]
fn n14_what_is_decided_is_read_as_it_was_written_also_from_a_snapshot() {
    let (disk, mut store) = disk_with(1);
    let undecided = |id| BlockEntry { signal: Signal::Spans, undecided: true, ..entry(id) };
    let waits = BlockEntry { grown_at: Some(-5), ..undecided(9) };
    store.commit(Commit { add: vec![undecided(7), undecided(8), waits], ..Commit::default() }).unwrap();
    let tally = SamplingTally { kept_traces: 1, kept_spans: 2, dropped_traces: 3, dropped_spans: u64::MAX };
    let tenant = TenantId::new("Team-7").unwrap();
    let sampled = |time, traces: &[u64], forget| Sampled {
        tenant: tenant.clone(),
        dropped: Dropped { time, traces: traces.to_vec() },
        tallies: BTreeMap::from([("errors".to_owned(), tally)]),
        forget,
    };
    let decide = |remove: &[u128], settled: &[u128], sampled| Commit {
        remove: remove.iter().map(|id| BlockId(*id)).collect(),
        settled: settled.iter().map(|id| BlockId(*id)).collect(),
        sampled: Some(sampled),
        ..Commit::default()
    };
    store.commit(decide(&[7], &[8], sampled(5, &[1, u64::MAX], 0))).unwrap();
    let made = store.commit(decide(&[], &[], sampled(9, &[2], 5))).unwrap();
    let ours = &made.sampling[&tenant];
    assert_eq!((ours.version, ours.remembered()), (made.version, 3));
    assert_eq!(ours.tallies["errors"], SamplingTally { kept_traces: 2, kept_spans: 4, dropped_traces: 6, ..tally });
    assert!(!made.blocks[&BlockId(8)].undecided);
    assert_eq!([8, 9].map(|id| made.blocks[&BlockId(id)].grown_at), [None, Some(-5)]);
    disk.crash(Loss::All);
    assert_eq!(read(&disk).unwrap(), made);
    let snapshot = file::encode_snapshot(&made);
    assert_eq!(file::decode_snapshot(Path::new("it"), made.version, &snapshot).unwrap(), *made);
    assert!(matches!(store.commit(decide(&[], &[8], sampled(9, &[], 5))), Err(Error::Request { .. })));
    let forgets = store.commit(decide(&[], &[], sampled(12, &[], 6))).unwrap();
    assert_eq!(forgets.sampling[&tenant].remembered(), 1);
}
