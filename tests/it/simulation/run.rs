//! One seeded run: a store, a simulated disk and clock, a model of what was promised.

pub(super) use super::telemetry::Row;
use super::telemetry::{decode, encode, numbers, trace_id};
use bytes::Bytes;
use rand::{Rng, RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use storage::engine::{DeleteRequest, EngineConfig, SeriesRequest, Store, Write};
use storage::fs::{Clock, Faults, Filesystem, Loss, SimulatedClock, SimulatedDisk};
use storage::model::attribute::Value;
use storage::model::{Signal, TenantId, schema};
use storage::retention::DownsamplingLevel;
use storage::sampling::TailSampling;
use storage::scan::{
    AttributeScope, Compare, Field, Measure, Predicate, Scalar, ScanRequest, TimeRange, VolumeRequest,
};

/// Steps of a run.
const STEPS: usize = 50;
/// 2026-11-23, as good as any.
const BEGIN: i64 = 1_795_392_000_000_000_000;
const SECOND: i64 = 1_000_000_000;
/// Days that samples are kept which are not thinned.
const METRICS_DAYS: u32 = 4;

/// What happened, over all seeds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) acknowledged: u64,
    pub(super) refused: u64,
    pub(super) repeated: u64,
    pub(super) flushes: u64,
    pub(super) crashes: u64,
    pub(super) merges: u64,
    pub(super) thinned: u64,
    pub(super) deletions: u64,
    pub(super) retained_away: u64,
}

impl Totals {
    pub(super) fn add(&mut self, other: &Totals) {
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.repeated += other.repeated;
        self.flushes += other.flushes;
        self.crashes += other.crashes;
        self.merges += other.merges;
        self.thinned += other.thinned;
        self.deletions += other.deletions;
        self.retained_away += other.retained_away;
    }
}

/// What one tenant was promised of one signal.
#[derive(Debug, Default, Clone)]
struct Promised {
    /// Acknowledged, with how often: a log record that is sent twice is two, a span is one.
    rows: BTreeMap<u64, (Row, usize)>,
    /// Of those, rows that a deletion or retention may have taken whose outcome was not told, or is the store's to choose.
    maybe_gone: BTreeSet<u64>,
    /// Deleted. May be sent again, and is then there again.
    gone: Vec<Row>,
    /// Of those, what retention took: where it had been sent again, the log may still hold it after a crash (L4 of `delete`).
    retained: BTreeSet<u64>,
}

impl Promised {
    /// A row is deleted for good.
    fn take(&mut self, number: u64) {
        self.maybe_gone.remove(&number);
        self.gone.extend(self.rows.remove(&number).map(|(row, _)| row));
    }

    /// Rows are there again that retention took.
    fn revive(&mut self, found: &BTreeMap<u64, usize>) {
        let back =
            self.gone.extract_if(.., |row| self.retained.contains(&row.number) && found.contains_key(&row.number));
        for row in back {
            self.rows.insert(row.number, (row, 1));
            self.maybe_gone.insert(row.number);
        }
    }
}

/// Rows of one write.
type Sent = (TenantId, Signal, Vec<Row>);

pub(super) struct Run {
    seed: u64,
    rng: Pcg64,
    disk: SimulatedDisk,
    clock: SimulatedClock,
    store: Option<Store>,
    promised: BTreeMap<(TenantId, Signal), Promised>,
    /// Writes whose outcome nobody was told because the machine went down: each is there or is not.
    open: Vec<Sent>,
    /// Writes refused since the last that was accepted. Where the disk takes nothing at all, a crash may bring back what
    /// it had taken of them: nothing could be written that says otherwise. The next accepted write says it.
    refused: Vec<Sent>,
    next_number: u64,
    totals: Totals,
    faulty: bool,
    /// A crash came since the last check.
    restarted: bool,
}

fn config() -> EngineConfig {
    let mut config = EngineConfig::new("/data");
    config.wal.segment_bytes = 2_000;
    config.min_free_bytes = 0;
    config.flush_bytes = usize::MAX;
    config.memory_limit_bytes = usize::MAX;
    config.compaction.fan_in = 2;
    config.retention.min_free_bytes = 0;
    // Each row is a series of its own, so that what stands for samples has all of them.
    config.retention.metrics_days = METRICS_DAYS;
    let level = |resolution_seconds| DownsamplingLevel { resolution_seconds, after_days: 1, keep_days: 60 };
    config.retention.downsampling = vec![level(300), level(3_600)];
    config
}

/// Traces are decided, some in several steps, and all of them stay.
pub(super) fn keep_all() -> TailSampling {
    let policies = serde_json::from_str(r#"[{"name": "all", "status": "error"}]"#).unwrap();
    TailSampling { policies, ..TailSampling::default() }
}

pub(super) fn open(disk: &SimulatedDisk, clock: &SimulatedClock) -> storage::error::Result<Store> {
    open_with(config(), disk, clock)
}

fn open_with(config: EngineConfig, disk: &SimulatedDisk, clock: &SimulatedClock) -> storage::error::Result<Store> {
    let fs: Arc<dyn Filesystem> = Arc::new(disk.clone());
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    Store::open(config, fs, clock, &decode)
}

/// A write of some rows.
pub(super) fn write(tenant: &TenantId, signal: Signal, received_at: i64, rows: &[Row]) -> Write {
    let payload = encode(rows);
    let batch = decode(signal, received_at, &payload).unwrap();
    Write { tenant: tenant.clone(), signal, received_at, payload: Bytes::from(payload), batch }
}

impl Run {
    pub(super) fn new(seed: u64) -> Run {
        Run {
            seed,
            rng: Pcg64::seed_from_u64(seed),
            disk: SimulatedDisk::new(seed),
            clock: SimulatedClock::at(BEGIN),
            store: None,
            promised: BTreeMap::new(),
            open: Vec::new(),
            refused: Vec::new(),
            next_number: 0,
            totals: Totals::default(),
            faulty: false,
            restarted: false,
        }
    }

    pub(super) fn play(mut self) -> Totals {
        self.restart();
        for step in 0..STEPS {
            self.step(step);
        }
        // At the end the disk is well: everything promised must be there, also after a last power loss.
        self.heal();
        self.crash(Loss::All);
        self.flush_all();
        self.check("at the end");
        self.totals
    }

    fn step(&mut self, step: usize) {
        match self.rng.random_range(0..100) {
            0..40 => self.commit(),
            40..50 => drop(self.store().seal()),
            50..62 => self.flush(),
            62..71 => self.maintain(),
            71..74 => self.delete(),
            74..80 => self.trouble(),
            80..88 => self.heal(),
            88..92 => self.clock.advance(Duration::from_secs(self.rng.random_range(1..100_000))),
            92..94 => self.clock.set(BEGIN + self.rng.random_range(-100_000..100_000) * SECOND),
            94..97 => self.crash(Loss::Some),
            97..98 => self.crash(Loss::All),
            98..99 => self.crash(Loss::None),
            _ => {
                let operation = self.disk.operations() + self.rng.random_range(1..30);
                self.disk.crash_at(operation);
            }
        }
        if self.disk.is_down() {
            self.crash(Loss::Some);
        }
        if !self.faulty {
            self.check(&format!("after step {step}"));
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap_or_else(|| panic!("seed {}: no store", self.seed))
    }

    /// Commits a group of some writes, a few of them again what was acknowledged before.
    fn commit(&mut self) {
        let mut group = Vec::new();
        for _ in 0..self.rng.random_range(1..4) {
            let tenant = if self.rng.random_bool(0.8) { "default" } else { "other" };
            let tenant = TenantId::new(tenant).unwrap();
            let signal = Signal::ALL[[0, 0, 0, 1, 1, 2][self.rng.random_range(0..6)]];
            let rows = self.rows(&tenant, signal);
            group.push((tenant, signal, rows));
        }
        let received_at = self.clock.now_unix_nano();
        let writes: Vec<Write> = group
            .iter()
            .map(|(tenant, signal, rows)| {
                let payload = encode(rows);
                let batch = decode(*signal, received_at, &payload).unwrap();
                Write { tenant: tenant.clone(), signal: *signal, received_at, payload: Bytes::from(payload), batch }
            })
            .collect();
        let outcome = self.store().commit(&writes);
        if outcome.is_ok() {
            self.refused.clear();
            group.into_iter().for_each(|(tenant, signal, rows)| self.promise(&tenant, signal, &rows));
        } else if self.disk.is_down() {
            self.open.append(&mut group);
        } else {
            self.totals.refused += 1;
            self.refused.append(&mut group);
        }
    }

    fn rows(&mut self, tenant: &TenantId, signal: Signal) -> Vec<Row> {
        let known: Vec<Row> = match self.promised.get(&(tenant.clone(), signal)) {
            Some(promised) if signal == Signal::Spans => {
                promised.rows.values().map(|(row, _)| *row).chain(promised.gone.iter().copied()).collect()
            }
            _ => Vec::new(),
        };
        let count = self.rng.random_range(1..12);
        let mut rows = Vec::new();
        for _ in 0..count {
            if !known.is_empty() && self.rng.random_bool(0.15) {
                self.totals.repeated += 1;
                rows.push(known[self.rng.random_range(0..known.len())]);
                continue;
            }
            self.next_number += 1;
            // Mostly now; sometimes late, early, long ago or far ahead, so that there are several windows.
            let away = [0, 0, 0, 0, -3_600, 86_400 * 40, -86_400 * 400][self.rng.random_range(0..7)];
            let time = self.clock.now_unix_nano() + away * SECOND + self.rng.random_range(0..SECOND);
            rows.push(Row { number: self.next_number, trace: self.next_number / 4, time });
        }
        rows
    }

    fn promise(&mut self, tenant: &TenantId, signal: Signal, rows: &[Row]) {
        let promised = self.promised.entry((tenant.clone(), signal)).or_default();
        for row in rows {
            self.totals.acknowledged += 1;
            promised.gone.retain(|gone| gone.number != row.number);
            promised.retained.remove(&row.number);
            let count = &mut promised.rows.entry(row.number).or_insert((*row, 0)).1;
            *count = if signal == Signal::Spans { 1 } else { *count + 1 };
        }
    }

    fn flush(&mut self) {
        if self.store().flush_is_due() && self.store().flush().is_ok() {
            self.totals.flushes += 1;
        }
    }

    /// Merges some blocks, now and then given up in the midst of it, and removes what nobody needs.
    fn maintain(&mut self) {
        let mut paces = self.rng.random_range(0..60);
        // The other threads do their work in the midst of a merge.
        let (meanwhile, retains) = (self.rng.random_range(0..30), self.rng.random_bool(0.2));
        for _ in 0..4 {
            let store = self.store();
            let before = thinned(store);
            let merged = store.compact(&mut |_| {
                paces -= 1;
                if paces == meanwhile {
                    store.collect();
                    drop(store.examine());
                    if retains {
                        drop(store.retain());
                    }
                }
                if paces == 0 { Err(storage::error::Error::Closing) } else { Ok(()) }
            });
            let made = thinned(self.store()) - before;
            self.totals.thinned += made;
            self.totals.merges += u64::from(merged.is_ok_and(|merged| merged));
        }
        if retains {
            self.note_retention();
        }
        if self.rng.random_bool(0.7) {
            self.store().collect();
        }
        drop(self.store().examine());
        drop(self.store().record());
        if self.rng.random_bool(0.3) {
            self.retain();
        }
    }

    /// What is older than its signal is kept may go from now on, and nothing else may.
    fn retain(&mut self) {
        drop(self.store().retain());
        self.note_retention();
    }

    fn note_retention(&mut self) {
        // A slow disk may have let time pass.
        let now = self.clock.now_unix_nano();
        for ((_, signal), promised) in &mut self.promised {
            let days = match signal {
                Signal::Spans => 14,
                Signal::Logs => 30,
                Signal::Metrics => METRICS_DAYS.into(),
            };
            let old = promised.rows.values().filter(|(row, _)| row.time < now - days * 86_400 * SECOND);
            promised.maybe_gone.extend(old.map(|(row, _)| row.number));
        }
    }

    /// Deletes a trace, some rows by an attribute, or a range of time; what is in memory is flushed before.
    fn delete(&mut self) {
        let tenant = TenantId::new(if self.rng.random_bool(0.8) { "default" } else { "other" }).unwrap();
        let signal = Signal::ALL[self.rng.random_range(0..3)];
        let Some(promised) = self.promised.get(&(tenant.clone(), signal)) else { return };
        if promised.rows.is_empty() || self.store().seal().is_err() {
            return;
        }
        let nth = (self.rng.next_u64() % promised.rows.len() as u64) as usize;
        let chosen = self.promised[&(tenant.clone(), signal)].rows.values().nth(nth).unwrap().0;
        while self.store().flush_is_due() {
            if self.store().flush().is_err() {
                return;
            }
        }
        let (mut time, mut predicate) = (TimeRange::ALL, Predicate::All);
        let way = self.rng.random_range(0..3);
        match way {
            0 if signal != Signal::Metrics => predicate = Predicate::Trace(trace_id(chosen.trace)),
            1 => time = TimeRange { start: chosen.time - 10 * SECOND, end: chosen.time + 10 * SECOND },
            _ => {
                let field = Field::Attribute(AttributeScope::Own, "number".into());
                let value = Scalar::Int(chosen.number.cast_signed());
                predicate = Predicate::Compare { field, compare: Compare::LessOrEqual, value };
                time = TimeRange { start: chosen.time - 3_600 * SECOND, end: i64::MAX };
            }
        }
        let matches = |row: &Row| match way {
            0 if signal != Signal::Metrics => row.trace == chosen.trace,
            1 => time.contains(row.time),
            _ => time.contains(row.time) && row.number <= chosen.number,
        };
        let outcome = self.store().delete(&DeleteRequest { tenant: tenant.clone(), signal, time, predicate });
        let promised = self.promised.entry((tenant, signal)).or_default();
        let numbers: Vec<u64> =
            promised.rows.values().filter(|(row, _)| matches(row)).map(|(row, _)| row.number).collect();
        match outcome {
            Ok(recorded) => {
                assert!(recorded.is_some() || numbers.iter().all(|number| promised.maybe_gone.contains(number)));
                self.totals.deletions += 1;
                numbers.into_iter().for_each(|number| promised.take(number));
            }
            Err(_) => promised.maybe_gone.extend(numbers),
        }
    }

    fn flush_all(&mut self) {
        self.store().seal().unwrap();
        while self.store().flush_is_due() {
            self.store().flush().unwrap();
            self.totals.flushes += 1;
        }
    }

    fn trouble(&mut self) {
        self.faulty = true;
        if self.rng.random_bool(0.5) {
            self.disk.set_free(self.rng.random_range(0..4_000));
            return;
        }
        let often = self.rng.random_range(0.02..0.4);
        let mut rate = || if self.rng.random_bool(0.6) { often } else { 0.0 };
        self.disk.set_faults(Faults { read: rate() / 4.0, write: rate(), sync: rate(), metadata: rate() });
    }

    /// The disk fails to give some block's file once, and gives it when it is asked again: nobody notices.
    fn stumble(&mut self) {
        let mut folders = vec![PathBuf::from("/data/blocks")];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in self.disk.list(&folder).unwrap_or_default() {
                let path = folder.join(&entry.name);
                if entry.is_dir { folders.push(path) } else { files.push(path) }
            }
        }
        if !files.is_empty() {
            let file = &files[self.rng.random_range(0..files.len())];
            self.disk.spoil_for(file, 0..u64::MAX - 1, 1).unwrap();
        }
    }

    fn heal(&mut self) {
        self.faulty = false;
        // Two in a row would be damage.
        self.disk.recover();
        self.disk.flip_reads(0);
        match self.rng.random_range(0..3) {
            0 => self.disk.flip_reads(self.rng.random_range(2..20)),
            1 => self.stumble(),
            _ => {}
        }
        let seconds = if self.rng.random_bool(0.3) { self.rng.random_range(1..60) } else { 0 };
        self.disk.slow_down(&self.clock, Duration::from_secs(seconds));
        self.disk.set_faults(Faults::default());
        self.disk.set_capacity(None);
    }

    fn crash(&mut self, loss: Loss) {
        self.totals.crashes += 1;
        self.restarted = true;
        self.store = None;
        self.disk.crash(loss);
        self.heal();
        self.restart();
        self.settle();
    }

    fn open(&self) -> storage::error::Result<Store> {
        let mut config = config();
        config.retention.tail_sampling = keep_all();
        open_with(config, &self.disk, &self.clock)
    }

    fn restart(&mut self) {
        // What a start reads wrong ends it, and it is started again; that is no part of this play.
        self.disk.flip_reads(0);
        // What it fails to read does the same, and takes nothing with it.
        let often = if self.rng.random_bool(0.3) { self.rng.random_range(0.0..0.2) } else { 0.0 };
        let mut opened = None;
        for _ in 0..2 {
            if opened.is_none() {
                self.disk.set_faults(Faults { read: often, ..Faults::default() });
                opened = self.open().ok();
            }
        }
        self.disk.set_faults(Faults::default());
        let opened = opened.map_or_else(|| self.open(), Ok);
        self.store = Some(opened.unwrap_or_else(|error| panic!("seed {}: {error}: {error:?}", self.seed)));
    }

    /// After a restart a write in doubt is settled: it is there as a whole, or it never was.
    fn settle(&mut self) {
        let mut writes = std::mem::take(&mut self.refused);
        writes.append(&mut self.open);
        for (tenant, signal, rows) in writes {
            let shown = self.shown(&tenant, signal);
            let promised = self.promised.get(&(tenant.clone(), signal));
            let fresh = rows.iter().filter(|row| promised.is_none_or(|known| !known.rows.contains_key(&row.number)));
            let there: BTreeSet<bool> = fresh.map(|row| shown.contains_key(&row.number)).collect();
            assert!(there.len() <= 1, "seed {}: a write that a crash cut short is there in part", self.seed);
            if there.contains(&true) {
                self.promise(&tenant, signal, &rows);
            }
        }
    }

    /// How often each row is shown.
    fn shown(&self, tenant: &TenantId, signal: Signal) -> BTreeMap<u64, usize> {
        shown(self.store(), tenant, signal).unwrap_or_else(|error| panic!("seed {}: {error:?}", self.seed))
    }

    fn check(&mut self, when: &str) {
        for tenant in ["default", "other"].map(|name| TenantId::new(name).unwrap()) {
            for signal in Signal::ALL {
                let found = self.shown(&tenant, signal);
                let promised = self.promised.entry((tenant.clone(), signal)).or_default();
                if self.restarted && signal == Signal::Spans {
                    promised.revive(&found);
                }
                for number in promised.maybe_gone.clone() {
                    if !found.contains_key(&number) {
                        promised.take(number);
                        promised.retained.insert(number);
                        self.totals.retained_away += 1;
                    }
                }
                let promised = promised.clone();
                let expected: BTreeMap<u64, usize> =
                    promised.rows.iter().map(|(number, (_, count))| (*number, *count)).collect();
                assert_eq!(found, expected, "seed {} {when}: {signal} of {tenant}", self.seed);
                match signal {
                    Signal::Spans => {
                        self.check_counts(&tenant, signal, &found, when);
                        self.check_a_trace(&tenant, &promised, when);
                    }
                    Signal::Metrics => self.check_series(&tenant, &found, when),
                    Signal::Logs => self.check_counts(&tenant, signal, &found, when),
                }
            }
        }
        self.restarted = false;
    }

    /// Who counts rows and values counts what a scan gets.
    fn check_counts(&self, tenant: &TenantId, signal: Signal, found: &BTreeMap<u64, usize>, when: &str) {
        let snapshot = self.store().snapshot(tenant);
        let (time, predicate, measure) = (TimeRange::ALL, Predicate::All, Measure::RowsAndBytes);
        let request = VolumeRequest { time, step: u64::MAX, by: None, predicate, measure };
        let mut scan = snapshot.volume(signal, request).unwrap();
        while scan.advance().unwrap() {}
        let rows = scan.finish().counts.values().map(|count| count.rows).sum::<u64>();
        let expected = found.values().sum::<usize>() as u64;
        assert_eq!(rows, expected, "seed {} {when}: {signal}", self.seed);
        let mut scan = snapshot.values(signal, (AttributeScope::Own, "number"), time, "").unwrap();
        while scan.advance().unwrap() {}
        let values = scan.values(usize::MAX);
        let number = |value: &[u8]| match Value::parse(value) {
            Some(Value::Int(number)) => number.cast_unsigned(),
            other => panic!("{other:?}"),
        };
        let values: BTreeMap<u64, usize> =
            values.values.iter().map(|value| (number(&value.value), value.rows as usize)).collect();
        assert_eq!(values, *found, "seed {} {when}: {signal} of {tenant}", self.seed);
    }

    /// Who asks for series gets what a scan gets: each row is the only sample of a series.
    fn check_series(&self, tenant: &TenantId, found: &BTreeMap<u64, usize>, when: &str) {
        let snapshot = self.store().snapshot(tenant);
        let series = snapshot.series(&SeriesRequest::new(Vec::new(), TimeRange::ALL), |_| true, |_| true).unwrap();
        let mut numbers = BTreeMap::new();
        for answer in series {
            let (series, samples) = answer.unwrap();
            let number = series.attributes().iter().find_map(|(_, value)| match value {
                Value::Int(number) => Some(number.cast_unsigned()),
                _ => None,
            });
            numbers.insert(number.unwrap(), samples.len());
        }
        assert_eq!(numbers, *found, "seed {} {when}: series of {tenant}", self.seed);
        assert!(snapshot.missing().is_empty(), "seed {} {when}", self.seed);
    }

    /// A trace is found by its id with exactly its spans.
    fn check_a_trace(&mut self, tenant: &TenantId, promised: &Promised, when: &str) {
        if promised.rows.is_empty() {
            return;
        }
        let nth = (self.rng.next_u64() % promised.rows.len() as u64) as usize;
        let trace = promised.rows.values().nth(nth).unwrap().0.trace;
        let expected: BTreeSet<u64> =
            promised.rows.values().filter(|(row, _)| row.trace == trace).map(|(row, _)| row.number).collect();
        let columns = schema::of(Signal::Spans).fields().iter().map(|field| field.name().as_str());
        let mut request = ScanRequest::all(columns);
        request.predicate = Predicate::Trace(trace_id(trace));
        let scan = self.store().snapshot(tenant).scan(Signal::Spans, request).unwrap();
        let found: Vec<u64> = scan.flat_map(|batch| numbers(&batch.unwrap())).collect();
        assert_eq!(found.len(), expected.len(), "seed {} {when}: trace {trace}", self.seed);
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected, "seed {} {when}: trace {trace}", self.seed);
    }

    /// Commits some rows, seals, and flushes with a crash at the given operation of the flush; then restarts. Gives what
    /// is shown then, and how many operations the flush took.
    pub(super) fn flush_with_crash(operation: u64) -> (BTreeMap<u64, usize>, u64) {
        let disk = SimulatedDisk::new(operation);
        let clock = SimulatedClock::at(BEGIN);
        let store = open(&disk, &clock).unwrap();
        let tenant = TenantId::default();
        for number in rows_of_flush().into_keys() {
            let rows = [Row { number, trace: number / 3, time: BEGIN + number.cast_signed() }];
            let payload = encode(&rows);
            let batch = decode(Signal::Spans, BEGIN, &payload).unwrap();
            let write = Write {
                tenant: tenant.clone(),
                signal: Signal::Spans,
                received_at: BEGIN,
                payload: Bytes::from(payload),
                batch,
            };
            store.commit(&[write]).unwrap();
        }
        store.seal().unwrap();
        let before = disk.operations();
        if operation != u64::MAX {
            disk.crash_at(before + 1 + operation);
        }
        let flushed = Path::new("/data/blocks");
        assert_eq!(store.flush().is_ok() && disk.list(flushed).is_ok(), operation == u64::MAX || !disk.is_down());
        let operations = disk.operations() - before;
        drop(store);
        disk.crash(Loss::Some);
        let store = open(&disk, &clock).unwrap();
        (shown(&store, &tenant, Signal::Spans).unwrap(), operations)
    }
}

/// How many blocks a store has thinned.
fn thinned(store: &Store) -> u64 {
    store.metrics().thinned_blocks.load(std::sync::atomic::Ordering::Relaxed)
}

/// Thins the blocks of a day with a crash at the given operation, then restarts, does it again, and lets the samples grow old. Gives what
/// is shown after each, how many blocks were thinned at last, and how many operations the first time took.
pub(super) fn thin_with_crash(operation: u64) -> ([BTreeMap<u64, usize>; 3], u64, u64) {
    let (disk, clock, tenant) = (SimulatedDisk::new(operation), SimulatedClock::at(BEGIN), TenantId::default());
    let store = open(&disk, &clock).unwrap();
    for number in rows_of_flush().into_keys() {
        let row = Row { number, trace: number, time: BEGIN + number.cast_signed() * 700 * SECOND };
        store.commit(&[write(&tenant, Signal::Metrics, BEGIN, &[row])]).unwrap();
    }
    store.seal().unwrap();
    store.flush().unwrap();
    clock.advance(Duration::from_secs(50 * 3_600));
    let before = disk.operations();
    if operation != u64::MAX {
        disk.crash_at(before + 1 + operation);
    }
    while matches!(store.compact(&mut |_| Ok(())), Ok(true)) {}
    let operations = disk.operations() - before;
    drop(store);
    disk.crash(Loss::Some);
    let store = open(&disk, &clock).unwrap();
    let see = |store: &Store| shown(store, &tenant, Signal::Metrics).unwrap();
    let crashed = see(&store);
    while store.compact(&mut |_| Ok(())).unwrap() {}
    let again = see(&store);
    clock.advance(Duration::from_secs(70 * 3_600));
    store.retain().unwrap();
    let made = thinned(&store);
    ([crashed, again, see(&store)], made, operations)
}

/// What `flush_with_crash` commits, each once.
pub(super) fn rows_of_flush() -> BTreeMap<u64, usize> {
    (0..20).map(|number| (number, 1)).collect()
}

pub(super) fn shown(store: &Store, tenant: &TenantId, signal: Signal) -> storage::error::Result<BTreeMap<u64, usize>> {
    let mut counts = BTreeMap::new();
    for batch in store.snapshot(tenant).scan(signal, ScanRequest::all(["attributes"]))? {
        for number in numbers(&batch?) {
            *counts.entry(number).or_default() += 1;
        }
    }
    Ok(counts)
}
