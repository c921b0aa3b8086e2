//! What an inspection tells adds up to what lies there, to the byte.

use super::*;
use crate::block::tests::random::Random;
use crate::block::tests::small;
use crate::doubled::second_at;
use crate::engine::{EngineConfig, Store, Write};
use crate::fs::{SimulatedClock, SimulatedDisk};
use crate::manifest::{Cause, Deletion};
use crate::object::{Bucket, Role, SimulatedBucket, Span};
use crate::retention::record_deletion;
use bytes::Bytes;

const NOW: i64 = 1_795_435_200_000_000_000;
const DIR: &str = "/data";
/// A block that no manifest has.
const ORPHAN: &str = "/data/blocks/default/logs/2026-11-23/00000000000000000000000000000001";

fn config() -> EngineConfig {
    let mut config = EngineConfig::new(DIR);
    config.min_free_bytes = 0;
    config.compaction.fan_in = 2;
    config.block = small();
    config
}

fn decoder(_: Signal, _: i64, _: &[u8]) -> std::result::Result<crate::model::Batch, String> {
    Err("nothing is replayed".to_owned())
}

/// Writes rows of all signals, each signal into so many blocks.
fn fill(store: &Store, blocks: u64) {
    for round in 0..blocks {
        for signal in Signal::ALL {
            for batch in Random::new(round).batches(signal, 120) {
                let (tenant, payload) = (TenantId::default(), Bytes::from_static(b"x"));
                store.commit(&[Write { tenant, signal, received_at: NOW, payload, batch }]).unwrap();
            }
        }
        store.seal().unwrap();
        while store.flush_is_due() {
            store.flush().unwrap();
        }
    }
}

fn bytes_below(disk: &dyn Filesystem, dir: &Path) -> u64 {
    let bytes = |entry: &crate::fs::Entry| match entry.is_dir {
        true => bytes_below(disk, &dir.join(&entry.name)),
        false => entry.len,
    };
    disk.list(dir).unwrap().iter().map(bytes).sum()
}

fn put(disk: &SimulatedDisk, path: &str, len: usize) {
    let path = Path::new(path);
    disk.create_dir_all(path.parent().unwrap()).unwrap();
    disk.place(path, &vec![7; len]).unwrap();
}

/// Lines, files and columns add up to the tables, the tables and places to everything.
fn check_sums(found: &Inspection) {
    for table in &found.tables {
        assert_eq!(table.files.values().sum::<u64>(), table.bytes);
        let mut columns = 0;
        for (file, held) in &table.files {
            let stored: u64 = table.columns_of(file).map(|(_, (stored, _))| stored).sum();
            columns += table.columns_of(file).count();
            assert_eq!(table.beside_columns(file).is_some(), columns > 0 && stored > 0, "{file}");
            assert_eq!(stored + table.beside_columns(file).unwrap_or(*held), *held, "{file}");
        }
        assert_eq!(columns, table.columns.len(), "every column is of a file");
    }
    assert_eq!(found.tables.iter().map(|table| table.bytes).sum::<u64>(), found.places[&Place::Blocks]);
    let json = found.to_json(Depth::Metadata);
    let places: u64 = json["places"].as_object().unwrap().values().map(|held| held.as_u64().unwrap()).sum();
    assert_eq!(json["bytes"], places);
    let text = found.to_text(Depth::Metadata);
    let told = Place::ALL.iter().filter(|place| found.places.get(place).is_some_and(|held| *held > 0));
    told.for_each(|place| assert!(text.contains(place.title()), "{place:?} in {text}"));
}

#[test]
fn i1_every_byte_of_a_data_directory_is_in_one_place() {
    let disk = SimulatedDisk::new(1);
    let fs: Arc<dyn Filesystem> = Arc::new(disk.clone());
    let clock = Arc::new(SimulatedClock::at(NOW));
    let store = Store::open(config(), Arc::clone(&fs), clock, &decoder).unwrap();
    fill(&store, 3);
    // Merged blocks stay while somebody reads them.
    let reader = store.snapshot(&TenantId::default());
    while store.compact(&mut |_| Ok(())).unwrap() {}
    store.collect();
    fill(&store, 1);
    let metas = store.snapshot(&TenantId::default());
    drop(metas);
    put(&disk, &format!("{ORPHAN}/data.parquet"), 1_000);
    let (tenant, cause) = (TenantId::default(), Cause::Age);
    let deletion = Deletion { time: 1, tenant, signal: Signal::Logs, cause, predicate: None, blocks: 1, rows: 1 };
    record_deletion(&disk, Path::new("/data/deletions"), 1, &deletion).unwrap();
    put(&disk, "/data/damaged/00000000000000000001.wal", 200);
    put(&disk, "/data/tmp/0000000000000000000000000000000a/data.parquet", 300);
    put(&disk, "/data/notes.txt", 11);
    put(&disk, "/data/blocks/default/logs/lost.txt", 5);
    let sound = inspect(&fs, Path::new(DIR), Depth::Everything).unwrap();
    assert_eq!((sound.damage.len(), sound.tables.len()), (0, 3), "{sound:?}");
    assert_eq!(sound.bytes(), bytes_below(&disk, Path::new(DIR)));
    assert_eq!(sound.places[&Place::Other], 11 + 5);
    assert!(sound.places[&Place::Leaving] > 1_000, "replaced blocks, and one that nobody knows");
    check_sums(&sound);

    // A block is damaged, and one has a file too many.
    let manifest = ManifestStore::read(&disk, Path::new("/data/manifest")).unwrap();
    let mut entries = manifest.blocks.values().map(|entry| Path::new("/data/blocks").join(entry.path()));
    let meta = entries.next().unwrap().join("meta");
    let copy = second_at(&disk.contents(&meta).unwrap()) as u64;
    disk.flip(&meta, 90, 1).unwrap();
    let copied = inspect(&fs, Path::new(DIR), Depth::Everything).unwrap();
    assert!(copied.damage.len() == 1 && copied.damage[0].contains("two copies"), "{:?}", copied.damage);
    disk.flip(&meta, copy + 90, 1).unwrap();
    put(&disk, entries.next().unwrap().join("stray").to_str().unwrap(), 17);
    let found = inspect(&fs, Path::new(DIR), Depth::Metadata).unwrap();
    assert_eq!((found.damage.len(), found.bytes()), (1, sound.bytes() + 17));
    assert_eq!(found.places[&Place::Other], 11 + 5 + 17);
    assert_eq!(found.places[&Place::Damaged] + found.places[&Place::Blocks], sound.places[&Place::Blocks]);
    check_sums(&found);
    drop(reader);
}

#[test]
fn i1_every_byte_of_a_bucket_and_of_the_disk_beside_it_is_in_one_place() {
    let (disk, bucket) = (SimulatedDisk::new(1), SimulatedBucket::new(1));
    let fs: Arc<dyn Filesystem> = Arc::new(disk.clone());
    let clock = Arc::new(SimulatedClock::at(NOW));
    let shared = |role| Shared { bucket: Arc::new(bucket.clone()), role, cache_bytes: 1 << 20 };
    let store = Store::open_shared(config(), Arc::clone(&fs), &shared(Role::Writer), clock.clone(), &decoder).unwrap();
    fill(&store, 3);
    while store.compact(&mut |_| Ok(())).unwrap() {}
    let orphan = ORPHAN.strip_prefix("/data/").unwrap();
    Bucket::create(&bucket, &format!("{orphan}/meta"), Bytes::from_static(&[1; 400])).unwrap();
    Bucket::create(&bucket, "blocks/README", Bytes::from_static(&[1; 40])).unwrap();
    let found = inspect_shared(&fs, clock, Path::new(DIR), &shared(Role::Reader), Depth::Everything).unwrap();
    let remote = bucket.keys().into_iter().map(|key| Bucket::read(&bucket, &key, Span::Whole).unwrap().len);
    assert_eq!(found.bytes(), bytes_below(&disk, Path::new(DIR)) + remote.sum::<u64>());
    assert_eq!((found.damage.len(), found.tables.len(), found.places[&Place::Other]), (0, 3, 40), "{found:?}");
    // Of a bucket, a replaced block stays for readers elsewhere.
    assert!(found.places[&Place::Leaving] > 400 && found.places[&Place::Cache] > 0);
    check_sums(&found);
}
