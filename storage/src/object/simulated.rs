//! What would a bucket do that fails, answers late or not at all, at the worst moment?
//!
//! Every process has a handle of its own to one bucket. All is decided by a seed.

use super::{Bucket, Part, Parts, Span};
use crate::fs::Entry;
use bytes::Bytes;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is late happens within so many requests.
const LATEST: u64 = 40;

/// How often requests go wrong, each from 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BucketFaults {
    /// The request fails, and nothing happens.
    pub refused: f64,
    /// It happens, and the answer is lost.
    pub unanswered: f64,
    /// No answer comes, and it happens some requests later.
    pub late: f64,
    /// It arrives twice, and the second arrival is answered.
    pub twice: f64,
    /// One bit of what is read is wrong; never of two reads in a row.
    pub flipped: f64,
}

/// A bucket in memory, as one process sees it.
#[derive(Debug, Clone)]
pub struct SimulatedBucket {
    state: Arc<Mutex<State>>,
    process: u64,
}

#[derive(Debug)]
struct State {
    objects: BTreeMap<String, Bytes>,
    rng: Pcg64,
    faults: BucketFaults,
    down: bool,
    /// Requests so far that change something.
    changes: u64,
    requests: u64,
    flipped_before: bool,
    late: Vec<(u64, Change)>,
    processes: u64,
    /// Processes that have ended, and those that end at a change.
    ended: BTreeSet<u64>,
    crash_at: BTreeMap<u64, u64>,
}

#[derive(Debug, Clone)]
enum Change {
    Create(String, Bytes),
    Put(String, Bytes),
    Remove(String),
}

impl SimulatedBucket {
    /// An empty bucket, and a handle to it.
    pub fn new(seed: u64) -> Self {
        let state = State {
            objects: BTreeMap::new(),
            rng: Pcg64::seed_from_u64(seed),
            faults: BucketFaults::default(),
            down: false,
            changes: 0,
            requests: 0,
            flipped_before: false,
            late: Vec::new(),
            processes: 0,
            ended: BTreeSet::new(),
            crash_at: BTreeMap::new(),
        };
        SimulatedBucket { state: Arc::new(Mutex::new(state)), process: 0 }
    }

    /// A handle for another process, or for the next one on the same machine.
    pub fn process(&self) -> Self {
        let mut state = self.lock();
        state.processes += 1;
        SimulatedBucket { state: Arc::clone(&self.state), process: state.processes }
    }

    /// Ends the process of this handle: nothing that it asks from now on happens. What is late still does.
    pub fn end(&self) {
        self.lock().ended.insert(self.process);
    }

    /// Whether the process has ended.
    pub fn is_ended(&self) -> bool {
        self.lock().ended.contains(&self.process)
    }

    /// Ends the process in the request that makes `changes()` this number, which happens or not.
    pub fn end_at(&self, change: u64) {
        self.lock().crash_at.insert(self.process, change);
    }

    /// Requests so far, of all processes, that change something.
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Sets how often requests go wrong from now on.
    pub fn set_faults(&self, faults: BucketFaults) {
        self.lock().faults = faults;
    }

    /// From now on no request is answered, or all are again.
    pub fn set_down(&self, down: bool) {
        self.lock().down = down;
    }

    /// Lets everything happen that is late.
    pub fn deliver(&self) {
        let mut state = self.lock();
        for (_, change) in std::mem::take(&mut state.late) {
            drop(state.apply(change));
        }
    }

    /// All keys.
    pub fn keys(&self) -> Vec<String> {
        self.lock().objects.keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a request: what was late comes first.
    fn request(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        if state.ended.contains(&self.process) {
            return Err(io::Error::other("simulated: the process has ended"));
        }
        state.requests += 1;
        let now = state.requests;
        let (due, later) = std::mem::take(&mut state.late).into_iter().partition(|(at, _)| *at <= now);
        state.late = later;
        for (_, change) in due {
            drop(state.apply(change));
        }
        let refused = state.faults.refused;
        if state.down || state.rng.random_bool(refused) {
            return Err(io::Error::other("simulated: the bucket does not answer"));
        }
        Ok(state)
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.request()?;
        state.changes += 1;
        if state.crash_at.get(&self.process).is_some_and(|at| state.changes >= *at) {
            state.crash_at.remove(&self.process);
            state.ended.insert(self.process);
            if state.rng.random_bool(0.5) {
                drop(state.apply(change));
            }
            return Err(io::Error::other("simulated: the process has ended"));
        }
        let BucketFaults { unanswered, late, twice, .. } = state.faults;
        if state.rng.random_bool(unanswered) {
            drop(state.apply(change));
            return Err(ErrorKind::TimedOut.into());
        }
        if state.rng.random_bool(late) {
            let at = state.requests + state.rng.random_range(1..LATEST);
            state.late.push((at, change));
            return Err(ErrorKind::TimedOut.into());
        }
        if state.rng.random_bool(twice) {
            drop(state.apply(change.clone()));
        }
        state.apply(change)
    }
}

impl State {
    fn apply(&mut self, change: Change) -> io::Result<()> {
        match change {
            Change::Create(key, _) if self.objects.contains_key(&key) => return Err(ErrorKind::AlreadyExists.into()),
            Change::Create(key, bytes) | Change::Put(key, bytes) => drop(self.objects.insert(key, bytes)),
            Change::Remove(key) => drop(self.objects.remove(&key)),
        }
        Ok(())
    }
}

impl Bucket for SimulatedBucket {
    fn place(&self) -> String {
        "simulated".into()
    }

    fn create(&self, key: &str, bytes: Bytes) -> io::Result<()> {
        self.change(Change::Create(key.to_owned(), bytes))
    }

    fn create_in_parts(&self, key: &str, parts: Parts<'_>) -> io::Result<()> {
        let mut bytes = Vec::new();
        while let Some(part) = parts()? {
            drop(self.request()?);
            bytes.extend_from_slice(&part);
        }
        self.change(Change::Put(key.to_owned(), bytes.into()))
    }

    fn read(&self, key: &str, span: Span) -> io::Result<Part> {
        let mut state = self.request()?;
        let object = state.objects.get(key).ok_or(ErrorKind::NotFound)?.clone();
        let len = object.len() as u64;
        let range = match span {
            Span::Whole => 0..len,
            Span::Last(bytes) => len.saturating_sub(bytes)..len,
            Span::Range(range) => range.start..range.end.min(len),
        };
        let place = |at: u64| usize::try_from(at).map_err(io::Error::other);
        let found = object.get(place(range.start)?..place(range.end)?).ok_or(ErrorKind::InvalidInput)?;
        let flipped = if state.flipped_before { 0.0 } else { state.faults.flipped };
        state.flipped_before = state.rng.random_bool(flipped) && !found.is_empty();
        if state.flipped_before {
            let mut wrong = found.to_vec();
            let at = state.rng.random_range(0..wrong.len());
            wrong.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << (at % 8));
            return Ok(Part { bytes: wrong.into(), start: range.start, len });
        }
        Ok(Part { bytes: Bytes::copy_from_slice(found), start: range.start, len })
    }

    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        let state = self.request()?;
        let prefix = format!("{folder}/");
        let mut entries = BTreeMap::new();
        for (key, bytes) in state.objects.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix)) {
            let rest = key.get(prefix.len()..).unwrap_or_default();
            let entry = match rest.split_once('/') {
                Some((name, _)) => Entry { name: name.to_owned(), is_dir: true, len: 0 },
                None => Entry { name: rest.to_owned(), is_dir: false, len: bytes.len() as u64 },
            };
            entries.insert(entry.name.clone(), entry);
        }
        Ok(entries.into_values().collect())
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        self.change(Change::Remove(key.to_owned()))
    }
}
