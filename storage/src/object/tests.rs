mod contract;

use super::mounted::Mounted;
use super::*;
use crate::fs::{Clock, Filesystem, Loss, SimulatedClock, SimulatedDisk};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const ROOT: &str = "/data";
const MIB: usize = 1 << 20;

struct World {
    disk: SimulatedDisk,
    bucket: SimulatedBucket,
    clock: SimulatedClock,
}

impl World {
    fn new() -> World {
        World { disk: SimulatedDisk::new(1), bucket: SimulatedBucket::new(1), clock: SimulatedClock::at(0) }
    }

    fn mount(&self, cache_bytes: u64) -> Mounted {
        let shared = Shared { bucket: Arc::new(self.bucket.clone()), role: Role::Writer, cache_bytes };
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        Mounted::new(Arc::new(self.disk.clone()), clock, Path::new(ROOT), &shared, 0).unwrap()
    }
}

fn at(path: &str) -> PathBuf {
    Path::new(ROOT).join(path)
}

fn put(fs: &Mounted, path: &str, bytes: &[u8]) {
    let path = at(path);
    fs.create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = fs.create(&path).unwrap();
    file.write_all(bytes).unwrap();
    file.sync().unwrap();
}

fn names(fs: &Mounted, dir: &str) -> Vec<String> {
    fs.list(&at(dir)).unwrap().into_iter().map(|entry| entry.name).collect()
}

fn read(fs: &Mounted, path: &str) -> io::Result<Vec<u8>> {
    let file = fs.open(&at(path))?;
    let mut bytes = vec![0; usize::try_from(file.len()).unwrap()];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

fn told(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Bytes that tell where they are.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8 ^ (at / MIB) as u8).collect()
}

fn block(fs: &Mounted, bytes: &[u8]) {
    put(fs, "tmp/b/data", bytes);
    put(fs, "tmp/b/meta", b"meta");
    fs.rename_new(&at("tmp/b"), &at("blocks/t/spans/d/b")).unwrap();
}

#[test]
fn o2_what_is_in_the_making_is_on_the_disk_and_a_rename_uploads_it() {
    let world = World::new();
    let fs = world.mount(1 << 30);
    put(&fs, "manifest/1.commit.tmp", b"one");
    assert!(world.bucket.keys().is_empty());
    assert_eq!(names(&fs, "manifest"), ["1.commit.tmp"]);
    fs.rename_new(&at("manifest/1.commit.tmp"), &at("manifest/1.commit")).unwrap();
    assert_eq!(
        (names(&fs, "manifest"), read(&fs, "manifest/1.commit").unwrap()),
        (vec!["1.commit".into()], b"one".to_vec())
    );

    put(&fs, "manifest/1.commit.tmp", b"two");
    let again = fs.rename_new(&at("manifest/1.commit.tmp"), &at("manifest/1.commit"));
    assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(read(&fs, "manifest/1.commit").unwrap(), b"one");

    block(&fs, b"rows");
    assert_eq!(names(&fs, "tmp"), Vec::<String>::new());
    assert_eq!(names(&fs, "blocks/t/spans"), ["d"]);
    assert_eq!(names(&fs, "blocks/t/spans/d/b"), ["data", "meta"]);
    fs.remove_dir_all(&at("blocks/t")).unwrap();
    assert_eq!(world.bucket.keys(), ["manifest/1.commit"]);
    assert_eq!(read(&fs, "blocks/t/spans/d/b/data").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn o2_an_upload_that_fails_keeps_its_files_on_the_disk() {
    for request in 0..3 {
        let world = World::new();
        let fs = world.mount(1 << 30);
        put(&fs, "tmp/b/data", b"rows");
        put(&fs, "tmp/b/meta", b"meta");
        world.bucket.end_at(request);
        if request == 2 {
            world.bucket.set_faults(BucketFaults { late: 1.0, ..BucketFaults::default() });
        }
        assert!(fs.rename_new(&at("tmp/b"), &at("blocks/b")).is_err());
        assert_eq!(names(&fs, "tmp/b"), ["data", "meta"]);
    }
}

#[test]
fn o4_blocks_are_read_by_ranges_and_kept() {
    let world = World::new();
    let fs = world.mount(1 << 30);
    let bytes = pattern(9 * MIB + 77);
    block(&fs, &bytes);
    let before = told(&fs.counters().bytes_read);
    let file = fs.open(&at("blocks/t/spans/d/b/data")).unwrap();
    let mut some = [0; 1000];
    for offset in [0, 5 * MIB - 500, 9 * MIB + 77 - 1000] {
        file.read_at(offset as u64, &mut some).unwrap();
        assert_eq!(some, bytes[offset..offset + 1000]);
    }
    assert!(told(&fs.counters().bytes_read) - before <= 5 * cache::CHUNK);
    assert_eq!(file.read_at(9 * MIB as u64, &mut some).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(read(&fs, "blocks/t/spans/d/b/data").unwrap(), bytes);

    // The next process asks the bucket nothing.
    world.disk.crash(Loss::None);
    let fs = world.mount(1 << 30);
    assert_eq!(read(&fs, "blocks/t/spans/d/b/data").unwrap(), bytes);
    assert_eq!(told(&fs.counters().reads), 0);
    assert_eq!(told(&fs.counters().cache_hit_bytes), bytes.len() as u64);
}

#[test]
fn a1_the_cache_holds_no_more_than_its_limit_and_the_least_recently_used_go() {
    let world = World::new();
    let limit = 3 * (cache::CHUNK + 4);
    let fs = world.mount(limit);
    let bytes = pattern(4 * MIB);
    block(&fs, &bytes);
    let file = fs.open(&at("blocks/t/spans/d/b/data")).unwrap();
    let reads = |chunk: u64| {
        let before = told(&fs.counters().reads);
        file.read_at(chunk * cache::CHUNK, &mut [0; 10]).unwrap();
        assert!(fs.cache_bytes() <= limit);
        told(&fs.counters().reads) - before
    };
    // The last chunk is there since the file was opened.
    assert_eq!([0, 1, 0, 7, 2, 0, 7, 1].map(reads), [1, 1, 0, 0, 1, 0, 0, 1]);
    assert_eq!(told(&fs.counters().cache_evictions), 2);
    let on_disk: u64 = world.disk.list(&at("cache")).unwrap().iter().map(|entry| entry.len).sum();
    assert_eq!(on_disk, fs.cache_bytes());
    let smaller = world.mount(cache::CHUNK * 2);
    assert!(smaller.cache_bytes() <= cache::CHUNK * 2);
}

#[test]
fn a1_the_cache_gives_way_where_the_disk_is_full() {
    let world = World::new();
    let fs = world.mount(1 << 30);
    let bytes = pattern(2 * MIB);
    block(&fs, &bytes);
    assert_eq!(read(&fs, "blocks/t/spans/d/b/data").unwrap(), bytes);
    let before = fs.cache_bytes();
    put(&fs, "tmp/b/data", &pattern(MIB));
    put(&fs, "tmp/b/meta", b"meta");
    fs.rename_new(&at("tmp/b"), &at("blocks/t/spans/d/c")).unwrap();
    world.disk.set_free(1_000);
    assert_eq!(read(&fs, "blocks/t/spans/d/c/data").unwrap(), pattern(MIB));
    assert!(fs.cache_bytes() < before);
}

#[test]
fn a2_a_damaged_chunk_is_read_from_the_bucket_again() {
    let world = World::new();
    let fs = world.mount(1 << 30);
    let bytes = pattern(MIB);
    block(&fs, &bytes);
    assert_eq!(read(&fs, "blocks/t/spans/d/b/data").unwrap(), bytes);
    for entry in world.disk.list(&at("cache")).unwrap() {
        world.disk.flip(&at("cache").join(entry.name), 1_000.min(entry.len - 1), 3).unwrap();
    }
    assert_eq!(read(&fs, "blocks/t/spans/d/b/data").unwrap(), bytes);
    assert_eq!(told(&fs.counters().cache_damaged), 2);
}

#[test]
fn a2_bytes_that_came_wrong_are_not_kept_once_somebody_says_so() {
    let world = World::new();
    let fs = world.mount(1 << 30);
    let bytes = pattern(MIB);
    block(&fs, &bytes);
    world.bucket.set_faults(BucketFaults { flipped: 1.0, ..BucketFaults::default() });
    let file = fs.open(&at("blocks/t/spans/d/b/data")).unwrap();
    let mut found = vec![0; MIB];
    file.read_at(0, &mut found).unwrap();
    assert_ne!(found, bytes);
    world.bucket.set_faults(BucketFaults::default());
    file.read_at(0, &mut found).unwrap();
    assert_ne!(found, bytes);
    file.read_again_at(0, &mut found).unwrap();
    assert_eq!(found, bytes);
    file.read_at(0, &mut found).unwrap();
    assert_eq!(found, bytes);
}

#[test]
fn o6_that_the_bucket_does_not_answer_is_known_without_asking_it() {
    let world = World::new();
    let fs = world.mount(1 << 30);
    assert_eq!(read(&fs, "manifest/none").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fs.health(), None);
    world.bucket.set_down(true);
    assert!(read(&fs, "manifest/none").is_err());
    world.clock.advance(Duration::from_secs(60));
    assert!(fs.list(&at("manifest")).is_err());
    let health = fs.health().unwrap();
    assert_eq!((health.failing_for, health.error.contains("does not answer")), (Duration::from_secs(60), true));
    assert_eq!(told(&fs.counters().errors), 2);
    world.bucket.set_down(false);
    assert!(fs.list(&at("manifest")).unwrap().is_empty());
    assert_eq!(fs.health(), None);
}
