//! Is a message of a source that can be read again visible exactly once, whatever becomes of those who read it? Partitions that
//! only grow, one store on a disk or two that share a bucket and read the same partitions, as consumers do that do not know
//! yet that they have been replaced.
//!
//! After every step in which disk and bucket are well, each store shows of each partition the rows below its position, once, and
//! none above it (K1 and K2 of `storage::engine`), whether they came to a block by itself, by the other, or are in memory. A crash
//! takes the position back to what is in blocks. At the end every row of every partition is there, once.

use super::run::{Row, shown};
use super::telemetry::{decode, encode};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use storage::engine::{Consumption, EngineConfig, Store, Write};
use storage::error::Error;
use storage::fs::{Clock, Faults, Filesystem, Loss, SimulatedClock, SimulatedDisk};
use storage::model::{Signal, TenantId};
use storage::object::{BucketFaults, Role, Shared, SimulatedBucket};

const STEPS: usize = 60;
const PARTITIONS: usize = 3;
const BEGIN: i64 = 1_795_392_000_000_000_000;
/// Where the first message of each partition lies: what came before has expired.
const FIRST_OFFSET: u64 = 5;

/// What happened, over all seeds.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    consumed: u64,
    flushes: u64,
    crashes: u64,
    relapses: u64,
}

/// A message that holds a row, or an offset that holds none.
#[derive(Debug, Clone, Copy)]
struct Message {
    signal: Signal,
    row: Option<Row>,
}

/// Whom a run has, and where their blocks lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Disk,
    Bucket,
}

struct Machine {
    disk: SimulatedDisk,
    bucket: SimulatedBucket,
    store: Option<Store>,
}

impl Machine {
    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }
}

struct Run {
    seed: u64,
    rng: Pcg64,
    place: Place,
    bucket: SimulatedBucket,
    clock: SimulatedClock,
    machines: Vec<Machine>,
    partitions: Vec<Vec<Message>>,
    /// Rows that came by the log, by the machine that took them, and whether it promised them or went down before it could say.
    logged: Vec<BTreeMap<u64, bool>>,
    next_number: u64,
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

fn name(partition: usize) -> String {
    format!("kafka/spans/{partition}")
}

impl Run {
    fn new(seed: u64, place: Place) -> Run {
        let bucket = SimulatedBucket::new(seed);
        let count = if place == Place::Disk { 1 } else { 2 };
        let machine =
            |number: u64| Machine { disk: SimulatedDisk::new(seed * 4 + number), bucket: bucket.clone(), store: None };
        Run {
            seed,
            rng: Pcg64::seed_from_u64(seed),
            place,
            machines: (0..count).map(machine).collect(),
            bucket,
            clock: SimulatedClock::at(BEGIN),
            partitions: vec![Vec::new(); PARTITIONS],
            logged: vec![BTreeMap::new(); count as usize],
            next_number: 0,
            faulty: false,
            totals: Totals::default(),
        }
    }

    fn play(mut self) -> Totals {
        (0..self.machines.len()).for_each(|number| self.start(number));
        let beginnings = (0..PARTITIONS).map(|partition| (name(partition), FIRST_OFFSET)).collect();
        self.machines[0].store().begin_sources(&beginnings).unwrap();
        self.machines.iter().for_each(|machine| machine.store().refresh().unwrap());
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
        let process = self.bucket.process();
        let machine = &mut self.machines[number];
        machine.bucket = process;
        let (fs, clock): (Arc<dyn Filesystem>, Arc<dyn Clock>) =
            (Arc::new(machine.disk.clone()), Arc::new(self.clock.clone()));
        let opened = if self.place == Place::Disk {
            Store::open(config(), fs, clock, &decode)
        } else {
            let bucket = Arc::new(machine.bucket.clone());
            Store::open_shared(
                config(),
                fs,
                &Shared { bucket, role: Role::Writer, cache_bytes: 40_000 },
                clock,
                &decode,
            )
        };
        machine.store = Some(opened.unwrap_or_else(|error| panic!("seed {}: {error}: {error:?}", self.seed)));
    }

    fn step(&mut self) {
        let number = self.rng.random_range(0..self.machines.len());
        match self.rng.random_range(0..100) {
            0..14 => self.produce(),
            14..40 => self.consume(number, 6),
            40..46 => self.log(number),
            46..52 => drop(self.machines[number].store().seal()),
            52..56 => self.machines[number].store().seal_consumed(),
            56..72 => self.flush(number),
            72..78 => self.maintain(number),
            78..80 => self.machines[number].store().forget_consumed(),
            80..84 => drop(self.machines[number].store().refresh()),
            84..89 => self.trouble(),
            89..94 => self.heal(),
            94..96 => self.clock.advance(Duration::from_secs(self.rng.random_range(1..30_000))),
            96..98 => self.crash(number, Loss::Some),
            98..99 => self.crash(number, Loss::All),
            _ => {
                let at = self.machines[number].disk.operations() + self.rng.random_range(1..30);
                self.machines[number].disk.crash_at(at);
            }
        }
        for number in 0..self.machines.len() {
            if self.machines[number].disk.is_down() || self.machines[number].bucket.is_ended() {
                self.crash(number, Loss::Some);
            }
        }
    }

    /// Messages come to some partition: mostly new rows, now and then a span once more, or an offset without a row.
    fn produce(&mut self) {
        for _ in 0..self.rng.random_range(1..12) {
            let partition = self.rng.random_range(0..PARTITIONS);
            let signal = Signal::ALL[[0, 0, 1, 2][self.rng.random_range(0..4)]];
            let again = if self.rng.random_bool(0.1) { self.a_span() } else { None };
            let message = match again {
                Some(row) => Message { signal: Signal::Spans, row: Some(row) },
                None if self.rng.random_bool(0.1) => Message { signal, row: None },
                None => Message { signal, row: Some(self.row()) },
            };
            self.partitions[partition].push(message);
        }
    }

    fn row(&mut self) -> Row {
        self.next_number += 1;
        let time = self.clock.now_unix_nano() + self.rng.random_range(0..1_000_000_000);
        Row { number: self.next_number, trace: self.next_number / 4, time }
    }

    fn a_span(&mut self) -> Option<Row> {
        let partition = self.rng.random_range(0..PARTITIONS);
        let spans = self.partitions[partition].iter().filter(|message| message.signal == Signal::Spans);
        let rows: Vec<Row> = spans.filter_map(|message| message.row).collect();
        (!rows.is_empty()).then(|| rows[self.rng.random_range(0..rows.len())])
    }

    /// Reads on in some partitions, from where the store says that it is.
    fn consume(&mut self, number: usize, most: usize) {
        let mut consumption = Consumption::default();
        for partition in 0..PARTITIONS {
            let count = if most == usize::MAX { most } else { self.rng.random_range(0..most) };
            let Some(from) = self.machines[number].store().position(&name(partition)) else { continue };
            let begin = (from - FIRST_OFFSET) as usize;
            let messages: Vec<Message> = self.partitions[partition].iter().skip(begin).take(count).copied().collect();
            if messages.is_empty() {
                continue;
            }
            for message in &messages {
                if let Some(row) = message.row {
                    let batch = decode(message.signal, BEGIN, &encode(&[row])).unwrap();
                    consumption.rows.push((TenantId::default(), batch));
                }
            }
            consumption.read.insert(name(partition), (from, from + messages.len() as u64));
        }
        let read = consumption.read.clone();
        let store = self.machines[number].store();
        match store.consume(&consumption) {
            Ok(()) => self.totals.consumed += read.values().map(|(from, to)| to - from).sum::<u64>(),
            // Disk space cannot be measured on a disk in trouble.
            Err(error) => assert!(self.faulty || self.machines[number].disk.is_down(), "{error:?}"),
        }
        // What has been taken is not taken again.
        if let Some((source, range)) = read.into_iter().next() {
            let again = Consumption { rows: Vec::new(), read: BTreeMap::from([(source, range)]) };
            let again = self.machines[number].store().consume(&again);
            assert!(matches!(again, Err(Error::Disjoint { .. })) || self.faulty, "seed {}: {again:?}", self.seed);
        }
    }

    /// A write by the log, beside what is read from sources.
    fn log(&mut self, number: usize) {
        let row = self.row();
        let payload = encode(&[row]);
        let batch = decode(Signal::Logs, BEGIN, &payload).unwrap();
        let write = Write {
            tenant: TenantId::default(),
            signal: Signal::Logs,
            received_at: BEGIN,
            payload: payload.into(),
            batch,
        };
        if self.faulty || self.machines[number].disk.is_down() {
            return;
        }
        let promised = self.machines[number].store().commit(&[write]).is_ok();
        self.logged[number].insert(row.number, promised);
    }

    fn flush(&mut self, number: usize) {
        let store = self.machines[number].store();
        if store.flush_is_due() && store.flush().is_ok() {
            self.totals.flushes += 1;
        }
    }

    fn maintain(&mut self, number: usize) {
        let mut paces = self.rng.random_range(0..60);
        let store = self.machines[number].store();
        drop(store.compact(&mut |_| {
            paces -= 1;
            if paces == 0 { Err(Error::Closing) } else { Ok(()) }
        }));
        store.collect();
    }

    fn trouble(&mut self) {
        self.faulty = true;
        let often = self.rng.random_range(0.02..0.4);
        let mut rate = || if self.rng.random_bool(0.5) { often } else { 0.0 };
        if self.place == Place::Disk {
            let faults = Faults { read: rate() / 4.0, write: rate(), sync: rate(), metadata: rate() };
            self.machines[0].disk.set_faults(faults);
        } else {
            let (refused, unanswered, late, twice) = (rate(), rate(), rate(), rate());
            self.bucket.set_faults(BucketFaults { refused, unanswered, late, twice, flipped: 0.0 });
        }
    }

    fn heal(&mut self) {
        self.faulty = false;
        self.bucket.set_faults(BucketFaults::default());
        self.machines.iter().for_each(|machine| machine.disk.set_faults(Faults::default()));
    }

    fn crash(&mut self, number: usize, loss: Loss) {
        self.totals.crashes += 1;
        let machine = &mut self.machines[number];
        self.totals.relapses += machine.store().relapses();
        machine.bucket.end();
        machine.store = None;
        machine.disk.crash(loss);
        self.heal();
        self.start(number);
    }

    /// What a store must show of all partitions: what lies below its positions.
    fn expected(&self, number: usize, signal: Signal) -> BTreeMap<u64, usize> {
        let mut counts = BTreeMap::new();
        for partition in 0..PARTITIONS {
            let position = self.machines[number].store().position(&name(partition)).unwrap();
            let read = (position - FIRST_OFFSET) as usize;
            let read = self.partitions[partition].iter().take(read).filter(|message| message.signal == signal);
            for row in read.filter_map(|message| message.row) {
                counts.insert(row.number, 1);
            }
        }
        counts
    }

    fn check(&self, when: &str) {
        for number in 0..self.machines.len() {
            for signal in Signal::ALL {
                let store = self.machines[number].store();
                let mut found = shown(store, &TenantId::default(), signal)
                    .unwrap_or_else(|error| panic!("seed {} {when}: {error:?}", self.seed));
                if signal == Signal::Logs {
                    self.check_logged(number, &mut found, when);
                }
                let expected = self.expected(number, signal);
                assert_eq!(found, expected, "seed {} {when}: {signal} of {number}", self.seed);
            }
        }
    }

    /// Takes out what came by the log: all of one's own is there, once, of others what they have flushed.
    fn check_logged(&self, number: usize, found: &mut BTreeMap<u64, usize>, when: &str) {
        for (of, logged) in self.logged.iter().enumerate() {
            for (row, promised) in logged {
                let count = found.remove(row);
                let due = of == number && *promised;
                let fits = if due { count == Some(1) } else { count.is_none_or(|count| count == 1) };
                assert!(
                    fits,
                    "seed {} {when}: logged row {row} of {of} is shown {count:?} times by {number}",
                    self.seed
                );
            }
        }
    }

    fn end(&mut self) {
        self.heal();
        self.bucket.deliver();
        (0..self.machines.len()).for_each(|number| self.crash(number, Loss::All));
        self.bucket.deliver();
        // All of them read all there is; who is second is told so.
        for number in 0..self.machines.len() {
            self.machines[number].store().refresh().unwrap();
            self.consume(number, usize::MAX);
        }
        self.check("when all is read");
        for _ in 0..2 {
            for machine in &self.machines {
                machine.store().seal().unwrap();
                while machine.store().flush_is_due() {
                    machine.store().flush().unwrap();
                }
                machine.store().refresh().unwrap();
            }
        }
        self.machines.iter().for_each(|machine| machine.store().refresh().unwrap());
        self.check("when all is flushed");
        for number in 0..self.machines.len() {
            for partition in 0..PARTITIONS {
                let end = FIRST_OFFSET + self.partitions[partition].len() as u64;
                let store = self.machines[number].store();
                assert_eq!(store.committed_position(&name(partition)), Some(end), "seed {}", self.seed);
                assert!(store.consumed_is_flushed());
            }
        }
    }
}

fn play(seeds: u64, place: Place) -> Totals {
    let first = super::number("SPANLIGHT_SIM_FIRST", 0);
    let mut total = Totals::default();
    for seed in first..first + seeds {
        let played = Run::new(seed, place).play();
        total.consumed += played.consumed;
        total.flushes += played.flushes;
        total.crashes += played.crashes;
        total.relapses += played.relapses;
    }
    eprintln!("{seeds} seeds: {total:?}");
    total
}

#[test]
fn messages_are_visible_once_whatever_the_disk_does() {
    let seeds = super::number("SPANLIGHT_SIM_SEEDS", 200).div_ceil(2);
    let total = play(seeds, Place::Disk);
    if seeds >= 100 {
        assert!(
            total.consumed > 20 * seeds && total.flushes > seeds && total.crashes > seeds && total.relapses > seeds / 4
        );
    }
}

#[test]
fn messages_that_two_processes_read_are_visible_once_in_their_bucket() {
    let seeds = super::number("SPANLIGHT_SIM_SEEDS", 400).div_ceil(10);
    let total = play(seeds, Place::Bucket);
    if seeds >= 40 {
        assert!(
            total.consumed > 20 * seeds && total.flushes > seeds && total.crashes > seeds && total.relapses > seeds
        );
    }
}

#[test]
fn a_crash_at_any_operation_of_a_flush_neither_loses_nor_doubles_a_message() {
    let operations = flush_with_crash(u64::MAX);
    assert!(operations > 20, "{operations} operations");
    for operation in 0..operations {
        flush_with_crash(operation);
    }
}

/// Reads ten messages, flushes them with a crash at an operation, reads on from where the store says; gives the operations.
fn flush_with_crash(operation: u64) -> u64 {
    let (disk, clock) = (SimulatedDisk::new(operation), SimulatedClock::at(BEGIN));
    let open = || Store::open(config(), Arc::new(disk.clone()), Arc::new(clock.clone()), &decode).unwrap();
    let read = |store: &Store, to: u64| {
        let from = store.position("kafka/a/0").unwrap();
        let rows = (from..to)
            .map(|number| Row { number, trace: number, time: BEGIN })
            .map(|row| (TenantId::default(), decode(Signal::Logs, BEGIN, &encode(&[row])).unwrap()));
        let read = BTreeMap::from([("kafka/a/0".to_owned(), (from, to))]);
        store.consume(&Consumption { rows: rows.collect(), read }).unwrap();
    };
    let store = open();
    store.begin_sources(&BTreeMap::from([("kafka/a/0".to_owned(), 0)])).unwrap();
    read(&store, 10);
    store.seal().unwrap();
    let before = disk.operations();
    if operation != u64::MAX {
        disk.crash_at(before + 1 + operation);
    }
    drop(store.flush());
    let operations = disk.operations() - before;
    drop(store);
    disk.crash(Loss::Some);
    let store = open();
    let position = store.position("kafka/a/0").unwrap();
    assert!(position == 0 || position == 10, "{position}");
    let found = shown(&store, &TenantId::default(), Signal::Logs).unwrap();
    assert_eq!(found, (0..position).map(|number| (number, 1)).collect(), "crash at operation {operation}");
    read(&store, 12);
    let found = shown(&store, &TenantId::default(), Signal::Logs).unwrap();
    assert_eq!(found, (0..12).map(|number| (number, 1)).collect(), "crash at operation {operation}");
    operations
}

#[test]
fn a_crash_at_any_operation_leaves_all_of_what_a_turn_took_or_nothing() {
    let operations = turn_with_crash(u64::MAX);
    assert!(operations > 20, "{operations} operations");
    for operation in 0..operations {
        turn_with_crash(operation);
    }
}

/// Takes rows of two tenants by a turn, flushes them with a crash at an operation; gives the operations.
fn turn_with_crash(operation: u64) -> u64 {
    let (disk, clock) = (SimulatedDisk::new(operation), SimulatedClock::at(BEGIN));
    let open = || Store::open(config(), Arc::new(disk.clone()), Arc::new(clock.clone()), &decode).unwrap();
    let tenants = [TenantId::default(), TenantId::new("other").unwrap()];
    let rows = || {
        let row = Row { number: 7, trace: 7, time: BEGIN };
        let batch = |tenant: &TenantId| (tenant.clone(), decode(Signal::Logs, BEGIN, &encode(&[row])).unwrap());
        tenants.iter().map(batch).collect::<Vec<_>>()
    };
    let store = open();
    let (turn, relapses) = (store.turn().unwrap(), store.relapses());
    store.consume_by_turn(turn, rows()).unwrap();
    assert!(matches!(store.consume_by_turn(turn, rows()), Err(Error::Disjoint { .. })));
    assert!(!store.turn_is_flushed(turn, relapses).unwrap());
    store.seal().unwrap();
    let before = disk.operations();
    if operation != u64::MAX {
        disk.crash_at(before + 1 + operation);
    }
    let flushed = store.flush().is_ok();
    assert!(!flushed || store.turn_is_flushed(turn, relapses).unwrap());
    let operations = disk.operations() - before;
    drop(store);
    disk.crash(Loss::Some);
    let store = open();
    let turns = store.turn().unwrap() - turn;
    assert!(turns <= 1 && (turns == 1 || !flushed), "crash at operation {operation}: {turns}");
    for tenant in &tenants {
        let found = shown(&store, tenant, Signal::Logs).unwrap();
        assert_eq!(found.get(&7).copied().unwrap_or(0) as u64, turns, "crash at operation {operation}, {tenant}");
    }
    operations
}
