//! Do processes that share a bucket keep what each of them promised? Two writers and a reader on one simulated bucket that fails,
//! answers late, twice or not at all, while their disks lose power.
//!
//! After every step in which the bucket is well:
//! - a writer shows every row that it has acknowledged, once (E3), and none that nobody sent;
//! - of the others' rows, everybody shows each once or not at all, and the same of a write as a whole;
//! - once the bucket has been well for a while and everything is flushed, all processes show the same: what was promised.
//!
//! No object is ever written over: what a key held, it holds until it is removed.

use super::run::{Row, write};
use super::telemetry::{decode, encode};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use storage::engine::{DeleteRequest, EngineConfig, Store};
use storage::fs::{Clock, Filesystem, Loss, SimulatedClock, SimulatedDisk};
use storage::inspect::{Depth, inspect, inspect_shared};
use storage::model::{Signal, TenantId};
use storage::object::{Bucket, BucketFaults, Role, Shared, SimulatedBucket};
use storage::scan::{AttributeScope, Compare, Field, Predicate, Scalar, TimeRange};

/// Seeds of an ordinary run; each is some ten times the work of one without a bucket.
const SEEDS: u64 = 60;
const STEPS: usize = 80;
const BEGIN: i64 = 1_795_392_000_000_000_000;
/// Small, so that chunks are evicted.
const CACHE_BYTES: u64 = 40_000;

/// What happened, over all seeds.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    acknowledged: u64,
    flushes: u64,
    failed_flushes: u64,
    crashes: u64,
    merges: u64,
    deletions: u64,
    removed_objects: u64,
    evictions: u64,
}

/// A process and its machine.
struct Machine {
    disk: SimulatedDisk,
    bucket: SimulatedBucket,
    store: Option<Store>,
    role: Role,
    /// Rows that it has acknowledged and nobody has deleted.
    promised: BTreeSet<u64>,
}

impl Machine {
    fn open(&mut self, run: &Run) {
        self.bucket = run.bucket.process();
        let shared = Shared { bucket: Arc::new(self.bucket.clone()), role: self.role, cache_bytes: CACHE_BYTES };
        let (fs, clock): (Arc<dyn Filesystem>, Arc<dyn Clock>) =
            (Arc::new(self.disk.clone()), Arc::new(run.clock.clone()));
        let opened = Store::open_shared(config(), fs, &shared, clock, &decode);
        self.store = Some(opened.unwrap_or_else(|error| panic!("seed {}: {error}: {error:?}", run.seed)));
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }
}

struct Run {
    seed: u64,
    rng: Pcg64,
    bucket: SimulatedBucket,
    clock: SimulatedClock,
    machines: Vec<Machine>,
    next_number: u64,
    /// Deleted, unless they were in memory or nobody was told the outcome.
    maybe_deleted: BTreeSet<u64>,
    faulty: bool,
    totals: Totals,
}

fn config() -> EngineConfig {
    let mut config = EngineConfig::new("/data");
    config.wal.segment_bytes = 2_000;
    config.min_free_bytes = 0;
    config.flush_bytes = usize::MAX;
    config.memory_limit_bytes = usize::MAX;
    config.compaction.fan_in = 2;
    config.retention.min_free_bytes = 0;
    config.retention.tail_sampling = super::run::keep_all();
    config
}

fn shown(store: &Store) -> storage::error::Result<BTreeMap<u64, usize>> {
    let mut all = BTreeMap::new();
    for signal in Signal::ALL {
        all.extend(super::run::shown(store, &TenantId::default(), signal)?);
    }
    Ok(all)
}

impl Run {
    fn new(seed: u64) -> Run {
        let bucket = SimulatedBucket::new(seed);
        let roles = [Role::Writer, Role::Writer, Role::Reader];
        let machine = |(number, role): (u64, Role)| Machine {
            disk: SimulatedDisk::new(seed * 4 + number),
            bucket: bucket.clone(),
            store: None,
            role,
            promised: BTreeSet::new(),
        };
        Run {
            seed,
            rng: Pcg64::seed_from_u64(seed),
            machines: (0..).zip(roles).map(machine).collect(),
            bucket,
            clock: SimulatedClock::at(BEGIN),
            next_number: 0,
            maybe_deleted: BTreeSet::new(),
            faulty: false,
            totals: Totals::default(),
        }
    }

    fn play(mut self) -> Totals {
        (0..self.machines.len()).for_each(|machine| self.start(machine));
        for step in 0..STEPS {
            self.step();
            if !self.faulty {
                self.check(&format!("after step {step}"));
            }
        }
        self.end();
        self.totals
    }

    fn start(&mut self, number: usize) {
        let mut machine = std::mem::replace(
            &mut self.machines[number],
            Machine {
                disk: SimulatedDisk::new(0),
                bucket: self.bucket.clone(),
                store: None,
                role: Role::Reader,
                promised: BTreeSet::new(),
            },
        );
        machine.open(self);
        self.machines[number] = machine;
    }

    fn step(&mut self) {
        let writer = self.rng.random_range(0..2);
        match self.rng.random_range(0..100) {
            0..26 => self.commit(writer),
            26..30 => drop(self.machines[writer].store().seal()),
            30..54 => self.flush(writer),
            54..68 => self.maintain(writer),
            68..72 => self.delete(writer),
            72..81 => {
                let number = self.rng.random_range(0..3);
                drop(self.machines[number].store().refresh());
            }
            81..86 => self.trouble(),
            86..93 => self.heal(),
            93..96 => self.clock.advance(Duration::from_secs(self.rng.random_range(1..30_000))),
            96..98 => self.crash(writer, Loss::Some),
            98..99 => self.crash(2, Loss::All),
            _ => {
                let at = self.bucket.changes() + self.rng.random_range(1..10);
                self.machines[writer].bucket.end_at(at);
            }
        }
        for number in 0..3 {
            if self.machines[number].bucket.is_ended() {
                self.crash(number, Loss::Some);
            }
        }
    }

    fn commit(&mut self, writer: usize) {
        let signal = Signal::ALL[[0, 0, 1, 2][self.rng.random_range(0..4)]];
        let mut rows = Vec::new();
        for _ in 0..self.rng.random_range(1..10) {
            self.next_number += 1;
            let time = self.clock.now_unix_nano() + self.rng.random_range(0..1_000_000_000);
            rows.push(Row { number: self.next_number, trace: self.next_number / 4, time });
        }
        let received_at = self.clock.now_unix_nano();
        let machine = &mut self.machines[writer];
        machine.store().commit(&[write(&TenantId::default(), signal, received_at, &rows)]).unwrap();
        self.totals.acknowledged += rows.len() as u64;
        machine.promised.extend(rows.iter().map(|row| row.number));
    }

    fn flush(&mut self, writer: usize) {
        let store = self.machines[writer].store();
        if self.rng.random_bool(0.5) {
            store.seal().unwrap();
        }
        if store.flush_is_due() {
            match store.flush() {
                Ok(()) => self.totals.flushes += 1,
                Err(_) => self.totals.failed_flushes += 1,
            }
        }
    }

    fn maintain(&mut self, writer: usize) {
        let store = self.machines[writer].store();
        let mut paces = self.rng.random_range(0..60);
        let meanwhile = self.rng.random_range(0..30);
        let merged = store.compact(&mut |_| {
            paces -= 1;
            if paces == meanwhile {
                store.collect();
                drop(store.examine());
            }
            if paces == 0 { Err(storage::error::Error::Closing) } else { Ok(()) }
        });
        self.totals.merges += u64::from(merged.is_ok_and(|merged| merged));
        let before = self.bucket.keys().len();
        store.collect();
        self.totals.removed_objects += before.saturating_sub(self.bucket.keys().len()) as u64;
        drop(store.examine());
        drop(store.record());
    }

    /// Deletes a row by its number, if it lies in a block: what is in memory is not reached.
    fn delete(&mut self, writer: usize) {
        let signal = Signal::ALL[self.rng.random_range(0..3)];
        let number = self.rng.random_range(0..=self.next_number);
        let field = Field::Attribute(AttributeScope::Own, "number".into());
        let value = Scalar::Int(number.cast_signed());
        let predicate = Predicate::Compare { field, compare: Compare::Equal, value };
        let tenant = TenantId::default();
        let store = self.machines[writer].store();
        let outcome = store.delete(&DeleteRequest { tenant, signal, time: TimeRange::ALL, predicate });
        self.totals.deletions += u64::from(outcome.is_ok_and(|recorded| recorded.is_some()));
        self.maybe_deleted.insert(number);
    }

    fn trouble(&mut self) {
        self.faulty = true;
        if self.rng.random_bool(0.3) {
            return self.bucket.set_down(true);
        }
        let often = self.rng.random_range(0.02..0.5);
        let mut rate = || if self.rng.random_bool(0.5) { often } else { 0.0 };
        self.bucket.set_faults(BucketFaults {
            refused: rate(),
            unanswered: rate(),
            late: rate(),
            twice: rate(),
            flipped: rate() / 4.0,
        });
    }

    fn heal(&mut self) {
        self.faulty = false;
        self.bucket.set_down(false);
        self.bucket.set_faults(BucketFaults::default());
    }

    /// Ends a process and its machine's power; what it had asked of the bucket may still happen.
    fn crash(&mut self, number: usize, loss: Loss) {
        self.totals.crashes += 1;
        let machine = &mut self.machines[number];
        if let Some((counters, _)) = machine.store().bucket() {
            self.totals.evictions += counters.cache_evictions.load(std::sync::atomic::Ordering::Relaxed);
        }
        machine.bucket.end();
        machine.store = None;
        machine.disk.crash(loss);
        self.heal();
        self.start(number);
    }

    fn check(&mut self, when: &str) {
        let all: BTreeSet<u64> = self.machines.iter().flat_map(|machine| machine.promised.iter().copied()).collect();
        for (number, machine) in self.machines.iter().enumerate() {
            let found = shown(machine.store()).unwrap_or_else(|error| panic!("seed {} {when}: {error:?}", self.seed));
            let seed = self.seed;
            assert!(found.values().all(|count| *count == 1), "seed {seed} {when}: twice in {number}: {found:?}");
            let lost: Vec<&u64> = machine
                .promised
                .iter()
                .filter(|row| !found.contains_key(row) && !self.maybe_deleted.contains(row))
                .collect();
            assert!(lost.is_empty(), "seed {seed} {when}: lost in {number}: {lost:?}");
            let unknown: Vec<&u64> = found.keys().filter(|row| !all.contains(row)).collect();
            assert!(unknown.is_empty(), "seed {seed} {when}: nobody sent {unknown:?}");
        }
    }

    /// The bucket is well, everything is flushed, and all is told to all.
    fn end(&mut self) {
        self.heal();
        self.bucket.deliver();
        self.check("at the end");
        (0..2).for_each(|writer| self.crash(writer, Loss::All));
        self.bucket.deliver();
        for _ in 0..2 {
            for writer in 0..2 {
                let store = self.machines[writer].store();
                store.seal().unwrap();
                while store.flush_is_due() {
                    store.flush().unwrap();
                }
            }
        }
        let mut views = Vec::new();
        for machine in &self.machines {
            machine.store().refresh().unwrap();
            views.push(shown(machine.store()).unwrap());
        }
        self.check("when all is flushed");
        assert!(views.windows(2).all(|two| two[0] == two[1]), "seed {}: not all show the same", self.seed);
        let expected: BTreeSet<u64> = self.machines.iter().flat_map(|machine| machine.promised.clone()).collect();
        let missing = expected.iter().filter(|row| !views[2].contains_key(row) && !self.maybe_deleted.contains(row));
        assert_eq!(missing.count(), 0, "seed {}", self.seed);
        self.sweep();
    }

    /// After some quiet days the bucket holds the blocks of the manifest and nothing else.
    fn sweep(&mut self) {
        for _ in 0..8 {
            self.clock.advance(Duration::from_secs(8 * 3_600));
            self.machines[..2].iter().for_each(|machine| machine.store().collect());
        }
        let expected = shown(self.machines[2].store()).unwrap();
        let keys = self.bucket.keys();
        let blocks = keys.iter().filter(|key| key.starts_with("blocks/"));
        let folders: BTreeSet<&str> = blocks.filter_map(|key| Some(key.rsplit_once('/')?.0)).collect();
        let status = self.machines[2].store().status(&TenantId::default());
        let known: u64 = status.signals.iter().map(|signal| signal.blocks).sum();
        assert_eq!(folders.len() as u64, known, "seed {}: garbage is left: {folders:?}", self.seed);
        (0..3).for_each(|number| self.start_again(number));
        assert_eq!(shown(self.machines[2].store()).unwrap(), expected, "seed {}", self.seed);
    }

    fn start_again(&mut self, number: usize) {
        self.machines[number].store = None;
        self.start(number);
    }
}

/// Opens a store of its own process, with changed settings.
fn open(
    disk: &SimulatedDisk,
    clock: &SimulatedClock,
    bucket: &SimulatedBucket,
    role: Role,
    change: impl FnOnce(&mut EngineConfig),
) -> storage::error::Result<Store> {
    let mut config = config();
    change(&mut config);
    let shared = Shared { bucket: Arc::new(bucket.process()), role, cache_bytes: CACHE_BYTES };
    Store::open_shared(config, Arc::new(disk.clone()), &shared, Arc::new(clock.clone()), &decode)
}

/// Commits one row.
fn put(store: &Store, number: u64) -> storage::error::Result<()> {
    let row = Row { number, trace: number / 3, time: BEGIN + number.cast_signed() };
    store.commit(&[write(&TenantId::default(), Signal::Logs, BEGIN, &[row])])
}

#[test]
fn a_bucket_that_is_down_for_an_hour_costs_no_row_and_is_told_of() {
    let (disk, clock, bucket) = (SimulatedDisk::new(1), SimulatedClock::at(BEGIN), SimulatedBucket::new(1));
    let store = open(&disk, &clock, &bucket, Role::Writer, |config| config.memory_limit_bytes = 4_000_000).unwrap();
    assert_eq!(store.troubles(), Vec::<String>::new());
    bucket.set_down(true);
    let mut acknowledged = 0;
    while put(&store, acknowledged).is_ok() {
        acknowledged += 1;
        if acknowledged % 10 == 0 {
            store.seal().unwrap();
            assert!(store.flush().is_err());
        }
    }
    assert!(acknowledged > 20, "{acknowledged}");
    clock.advance(Duration::from_secs(3_600));
    assert!(store.flush().is_err());
    let troubles = store.troubles();
    assert!(troubles[0].contains("has not answered as it should for 3600 s"), "{troubles:?}");
    assert!(troubles[1].contains("writes are refused: memtables hold"), "{troubles:?}");
    assert_eq!(shown(&store).unwrap().len() as u64, acknowledged);

    bucket.set_down(false);
    store.seal().unwrap();
    while store.flush_is_due() {
        store.flush().unwrap();
    }
    assert_eq!(store.troubles(), Vec::<String>::new());
    put(&store, acknowledged).unwrap();
    let reader = open(&SimulatedDisk::new(2), &clock, &bucket, Role::Reader, |_| {}).unwrap();
    assert_eq!(shown(&reader).unwrap().len() as u64, acknowledged);
    assert!(put(&reader, 7).is_err());
}

#[test]
fn a_copy_of_a_writer_that_was_started_later_ends_the_commits_of_the_first() {
    let (disk, clock, bucket) = (SimulatedDisk::new(1), SimulatedClock::at(BEGIN), SimulatedBucket::new(1));
    let first = open(&disk, &clock, &bucket, Role::Writer, |_| {}).unwrap();
    put(&first, 1).unwrap();
    let copy = open(&disk.fork(), &clock, &bucket, Role::Writer, |_| {}).unwrap();
    put(&first, 2).unwrap();
    for store in [&first, &copy] {
        store.seal().unwrap();
    }
    let refused = first.flush();
    assert!(matches!(refused, Err(storage::error::Error::InUse { .. })), "{refused:?}");
    copy.flush().unwrap();
    assert_eq!(shown(&copy).unwrap(), BTreeMap::from([(1, 1)]));
    assert!(first.flush().is_err());
}

#[test]
fn a_data_directory_belongs_to_its_bucket_or_to_none() {
    let (clock, bucket) = (SimulatedClock::at(BEGIN), SimulatedBucket::new(1));
    let place = |opened: storage::error::Result<Store>| matches!(opened, Err(storage::error::Error::Place { .. }));
    let alone = SimulatedDisk::new(1);
    let store = super::run::open(&alone, &clock).unwrap();
    put(&store, 1).unwrap();
    store.seal().unwrap();
    store.flush().unwrap();
    drop(store);
    assert!(place(open(&alone, &clock, &bucket, Role::Writer, |_| {})));

    let shared = SimulatedDisk::new(2);
    drop(open(&shared, &clock, &bucket, Role::Writer, |_| {}).unwrap());
    assert!(place(super::run::open(&shared, &clock)));
    assert!(place(open(&shared, &clock, &bucket, Role::Reader, |_| {})));
    assert!(open(&shared, &clock, &bucket, Role::Writer, |_| {}).is_ok());

    // Who inspects the disk alone is told what was not looked at.
    for (disk, elsewhere) in [(alone, false), (shared, true)] {
        let fs: Arc<dyn Filesystem> = Arc::new(disk);
        let found = inspect(&fs, Path::new("/data"), Depth::Everything).unwrap();
        assert_eq!((found.blocks_elsewhere, found.damage.len()), (elsewhere, 0), "{found:?}");
        assert_eq!(found.to_text(Depth::Everything).contains("were not looked at"), elsewhere);
    }
}

#[test]
fn an_inspection_looks_into_the_bucket_and_finds_what_is_damaged_there() {
    let (disk, clock, bucket) = (SimulatedDisk::new(1), SimulatedClock::at(BEGIN), SimulatedBucket::new(1));
    let store = open(&disk, &clock, &bucket, Role::Writer, |_| {}).unwrap();
    put(&store, 1).unwrap();
    store.seal().unwrap();
    store.flush().unwrap();
    let fs: Arc<dyn Filesystem> = Arc::new(disk.clone());
    let look = |depth| {
        let shared = Shared { bucket: Arc::new(bucket.clone()), role: Role::Reader, cache_bytes: CACHE_BYTES };
        inspect_shared(&fs, Arc::new(clock.clone()), Path::new("/data"), &shared, depth).unwrap()
    };
    let found = look(Depth::Everything);
    assert_eq!((found.tables.len(), found.tables[0].rows), (1, 1), "{found:?}");
    assert!(!found.blocks_elsewhere && found.damage.is_empty(), "{found:?}");
    assert!(found.to_text(Depth::Everything).contains("every checksum holds"));

    drop(store);
    let data = bucket.keys().into_iter().find(|key| key.ends_with("/data.parquet")).unwrap();
    Bucket::remove(&bucket, &data).unwrap();
    assert!(look(Depth::Metadata).damage[0].contains("data.parquet"));
}

#[test]
fn a_turn_that_two_processes_are_told_is_had_by_one() {
    let (clock, bucket) = (SimulatedClock::at(BEGIN), SimulatedBucket::new(1));
    let disks = [1, 2].map(SimulatedDisk::new);
    let [one, other] = disks.each_ref().map(|disk| open(disk, &clock, &bucket, Role::Writer, |_| {}).unwrap());
    let row = |number| {
        let row = Row { number, trace: number, time: BEGIN };
        vec![(TenantId::default(), decode(Signal::Logs, BEGIN, &encode(&[row])).unwrap())]
    };
    let turn = one.turn().unwrap();
    assert_eq!(other.turn().unwrap(), turn);
    // Both take it, neither knowing of the other; one commits first.
    let relapses = other.relapses();
    one.consume_by_turn(turn, row(1)).unwrap();
    other.consume_by_turn(turn, row(2)).unwrap();
    for store in [&one, &other] {
        store.seal().unwrap();
        drop(store.flush());
    }
    assert!(one.turn_is_flushed(turn, one.relapses()).unwrap());
    assert!(other.turn_is_flushed(turn, relapses).is_err());
    one.refresh().unwrap();
    for store in [&one, &other] {
        assert_eq!(shown(store).unwrap(), BTreeMap::from([(1, 1)]));
        assert_eq!(store.turn().unwrap(), turn + 1);
    }
}

#[test]
fn a_reader_refuses_writes_for_good() {
    let (clock, bucket) = (SimulatedClock::at(BEGIN), SimulatedBucket::new(1));
    drop(open(&SimulatedDisk::new(1), &clock, &bucket, Role::Writer, |_| {}).unwrap());
    let reader = open(&SimulatedDisk::new(2), &clock, &bucket, Role::Reader, |_| {}).unwrap();
    assert!(matches!(put(&reader, 1), Err(storage::error::Error::ReadOnly)));
}

#[test]
fn what_writers_of_one_bucket_promise_is_there_once_whatever_the_bucket_does() {
    let first = super::number("SPANLIGHT_SIM_FIRST", 0);
    let seeds = super::number("SPANLIGHT_SIM_SEEDS", 10 * SEEDS).div_ceil(10);
    let mut total = Totals::default();
    for seed in first..first + seeds {
        let played = Run::new(seed).play();
        total.acknowledged += played.acknowledged;
        total.flushes += played.flushes;
        total.failed_flushes += played.failed_flushes;
        total.crashes += played.crashes;
        total.merges += played.merges;
        total.deletions += played.deletions;
        total.removed_objects += played.removed_objects;
        total.evictions += played.evictions;
    }
    eprintln!("{seeds} seeds: {total:?}");
    if seeds >= SEEDS {
        assert!(
            total.flushes > 3 * seeds
                && total.failed_flushes > seeds
                && total.crashes > 3 * seeds
                && total.merges > seeds
                && total.deletions > seeds / 4
                && total.removed_objects > seeds
                && total.evictions > seeds / 4
        );
    }
}

#[test]
fn a_deletion_reaches_what_another_writer_has_just_committed() {
    let (clock, bucket) = (SimulatedClock::at(BEGIN), SimulatedBucket::new(1));
    let first = open(&SimulatedDisk::new(1), &clock, &bucket, Role::Writer, |_| {}).unwrap();
    let other = open(&SimulatedDisk::new(2), &clock, &bucket, Role::Writer, |_| {}).unwrap();
    (0..10).for_each(|number| put(&first, number).unwrap());
    first.seal().unwrap();
    first.flush().unwrap();
    let time = TimeRange { start: BEGIN + 5, end: BEGIN + 10 };
    let request = DeleteRequest { tenant: TenantId::default(), signal: Signal::Logs, time, predicate: Predicate::All };
    assert!(other.delete(&request).unwrap().is_some(), "it did not know of them before");
    assert_eq!(shown(&other).unwrap().len(), 5);
    first.refresh().unwrap();
    assert_eq!(shown(&first).unwrap().len(), 5);
    bucket.set_down(true);
    assert!(other.delete(&request).is_err(), "nobody knows what there is");
}
