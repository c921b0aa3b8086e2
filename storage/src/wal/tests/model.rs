//! Does the log keep its promises in any order of appends, rotations, releases, crashes, full disks and IO errors?

use super::*;
use crate::fs::Faults;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

const SEEDS: u64 = 1000;
const STEPS: usize = 60;

/// What must and what may be in the log.
struct Model {
    disk: SimulatedDisk,
    rng: Pcg64,
    wal: Option<Wal>,
    config: WalConfig,
    /// Acknowledged payloads, in order.
    acknowledged: Vec<String>,
    /// Groups that were refused, or in flight in a crash, since the last acknowledgement: until then nothing durable
    /// need say where the log ends, if cutting the segment failed too.
    open_ended: Vec<Vec<String>>,
    /// Segments below are released.
    released: u64,
    next_payload: u32,
    /// Whether syncs fail at times.
    syncs_fail: bool,
    /// Whether a sync may have failed since the last power loss. The page cache then shows what the disk does not have,
    /// and only power loss tells. A process that dies just there leaves the next one a false picture: three failures in
    /// a row (sync, cut, process) that no log can see through.
    cache_lies: bool,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut rng = Pcg64::seed_from_u64(seed);
        let config = WalConfig { segment_bytes: rng.random_range(100..2000) };
        let mut model = Model {
            disk: SimulatedDisk::new(seed),
            rng,
            wal: None,
            config,
            acknowledged: Vec::new(),
            open_ended: Vec::new(),
            released: 0,
            next_payload: 0,
            syncs_fail: false,
            cache_lies: false,
        };
        model.restart();
        model
    }

    fn wal(&mut self) -> &mut Wal {
        self.wal.as_mut().unwrap()
    }

    fn step(&mut self) {
        match self.rng.random_range(0..20) {
            0..=11 => self.append(),
            12 | 13 => {
                self.wal().rotate().unwrap();
            }
            14 => self.release(),
            15 => {
                let free = self.rng.random_range(0..1000);
                self.disk.set_free(free);
            }
            16 => self.disk.set_capacity(None),
            17 => {
                let operation = self.disk.operations() + self.rng.random_range(1..12);
                self.disk.crash_at(operation);
            }
            _ => self.crash(),
        }
    }

    fn append(&mut self) {
        let count = self.rng.random_range(1..5);
        let mut group = Vec::new();
        for _ in 0..count {
            self.next_payload += 1;
            let len = if self.rng.random_bool(0.05) { 3000 } else { self.rng.random_range(0..100) };
            group.push(format!("{}-{}", self.next_payload, "x".repeat(len)));
        }
        let payloads: Vec<&str> = group.iter().map(String::as_str).collect();
        if append(self.wal(), &payloads).is_ok() {
            assert!(!self.disk.is_down(), "acknowledged by a machine that is down");
            self.acknowledged.extend(group);
            self.open_ended.clear();
        } else {
            self.open_ended.push(group);
            self.cache_lies |= self.syncs_fail;
            if self.disk.is_down() {
                self.crash();
            }
        }
    }

    /// Releases what a flush would: everything before a rotation.
    fn release(&mut self) {
        self.released = self.wal().rotate().unwrap();
        self.acknowledged.clear();
        let below = self.released;
        let released = self.wal().release(below);
        if released.is_err() && self.disk.is_down() {
            self.crash();
        }
    }

    fn crash(&mut self) {
        self.wal = None;
        let losses =
            if self.cache_lies { vec![Loss::Some, Loss::All] } else { vec![Loss::None, Loss::Some, Loss::All] };
        self.disk.crash(losses[self.rng.random_range(0..losses.len())]);
        self.cache_lies = false;
        self.restart();
    }

    fn restart(&mut self) {
        self.disk.set_faults(Faults::default());
        self.syncs_fail = false;
        self.check();
        self.wal = Some(open_with(&self.disk, self.released, self.config).unwrap());
        if self.rng.random_bool(0.5) {
            let mut probability = || if self.rng.random_bool(0.5) { 0.0 } else { 0.1 };
            let faults = Faults { read: 0.0, write: probability(), sync: probability(), metadata: probability() };
            self.disk.set_faults(faults);
            self.syncs_fail = faults.sync > 0.0;
        }
    }

    /// The log holds what was acknowledged, in order; and at its end perhaps the first records of an open-ended group.
    fn check(&mut self) {
        let found = read_from(&self.disk, self.released).unwrap();
        let acknowledged = &self.acknowledged;
        assert!(found.len() >= acknowledged.len(), "lost: {found:?} of {acknowledged:?}");
        let (kept, more) = found.split_at(acknowledged.len());
        assert!(kept == acknowledged, "{kept:?} of {acknowledged:?}");
        let open_ended = &self.open_ended;
        assert!(
            more.is_empty() || open_ended.iter().any(|group| group.starts_with(more)),
            "{more:?} of {open_ended:?}"
        );
        self.open_ended.clear();
        if !more.is_empty() {
            // What was read once stays, as soon as something is acknowledged after it.
            self.disk.set_capacity(None);
            append(&mut open_with(&self.disk, self.released, self.config).unwrap(), &["anchor"]).unwrap();
            self.acknowledged = found;
            self.acknowledged.push("anchor".to_owned());
        }
    }
}

#[test]
fn whatever_happens_what_was_acknowledged_is_there_and_nothing_else() {
    for seed in 0..SEEDS {
        let run = std::panic::catch_unwind(|| {
            let mut model = Model::new(seed);
            for _ in 0..STEPS {
                model.step();
            }
            model.crash();
        });
        assert!(run.is_ok(), "seed {seed}");
    }
}
