//! Traces are dropped whole or not at all, whatever comes late, and whatever the disk does.

use super::*;
use crate::engine::{DeleteRequest, EngineConfig, Write};
use crate::fs::{Clock, Faults, Filesystem, Loss, SimulatedClock, SimulatedDisk};
use crate::model::attribute::{Map, MapBuilder, Value};
use crate::model::origin::{Resource, Scope};
use crate::model::{Batch, Span, SpanBatchBuilder, SpanId};
use crate::object::{Role, Shared, SimulatedBucket};
use crate::retention::TenantRetention;
use crate::sampling::{SamplingPolicy, SpanStatus};
use crate::scan::{Predicate, TimeRange};
use bytes::Bytes;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::fmt::Write as _;
use std::time::Duration;

/// 2026-11-23T23:59:00Z: a minute before another window begins.
const BEGIN: i64 = 1_795_478_340_000_000_000;
const MOST: u64 = (1 << 56) - 1;

/// A span that is sent: which of which trace, when, and whether it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Sent {
    randomness: u64,
    id: u64,
    time: i64,
    failed: bool,
}

fn span(randomness: u64, id: u64) -> Sent {
    Sent { randomness, id, time: BEGIN, failed: false }
}

fn trace(randomness: u64) -> TraceId {
    TraceId((u128::from(randomness) | 7 << 64).to_be_bytes())
}

fn encode(spans: &[Sent]) -> Vec<u8> {
    let mut text = String::new();
    for Sent { randomness, id, time, failed } in spans {
        writeln!(text, "{randomness} {id} {time} {failed}").unwrap();
    }
    text.into_bytes()
}

fn decode(_: Signal, _: i64, payload: &[u8]) -> Result<Batch, String> {
    let mut builder = SpanBatchBuilder::default();
    let mut attributes = MapBuilder::default();
    attributes.push("service.name", Value::String("shop"));
    let attributes = attributes.finish();
    builder.set_resource(&Resource { attributes: Map::new(&attributes), ..Resource::default() });
    builder.set_scope(&Scope::default());
    for line in std::str::from_utf8(payload).unwrap().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |place: usize| words[place].parse::<u64>().unwrap();
        let span = Span {
            name: "work",
            start: number(2).cast_signed(),
            duration: 1_000,
            status_code: if words[3] == "true" { 2 } else { 0 },
            ..Span::new(trace(number(0)), SpanId(number(1).to_be_bytes()))
        };
        builder.append(&span).unwrap();
    }
    builder.finish().map_err(|error| error.to_string())
}

fn policy(name: &str) -> SamplingPolicy {
    SamplingPolicy {
        name: name.into(),
        status: None,
        min_duration_ms: None,
        attribute: None,
        equals: None,
        matches: None,
        keep: None,
        traces_per_second: None,
    }
}

/// Errors, and a quarter of the others.
fn config() -> EngineConfig {
    let mut config = EngineConfig::new("/data");
    (config.min_free_bytes, config.retention.min_free_bytes) = (0, 0);
    config.compaction.fan_in = 2;
    let errors = SamplingPolicy { status: Some(SpanStatus::Error), ..policy("errors") };
    let rest = SamplingPolicy { keep: Some(0.25), ..policy("rest") };
    config.retention.tail_sampling.policies = vec![errors, rest];
    config
}

struct World {
    store: Option<Store>,
    disk: SimulatedDisk,
    clock: SimulatedClock,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = World { store: None, disk: SimulatedDisk::new(seed), clock: SimulatedClock::at(BEGIN) };
        world.open(config());
        world
    }

    fn open(&mut self, config: EngineConfig) {
        self.store = None;
        let disk: Arc<dyn Filesystem> = Arc::new(self.disk.clone());
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        self.store = Some(Store::open(config, disk, clock, &decode).unwrap());
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn put(&self, spans: &[Sent]) {
        let (tenant, payload) = (TenantId::default(), Bytes::from(encode(spans)));
        let batch = decode(Signal::Spans, BEGIN, &payload).unwrap();
        self.store().commit(&[Write { tenant, signal: Signal::Spans, received_at: BEGIN, payload, batch }]).unwrap();
    }

    fn flush(&self) {
        self.store().seal().unwrap();
        while self.store().flush_is_due() {
            self.store().flush().unwrap();
        }
    }

    fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn compact(&self) -> usize {
        let mut done = 0;
        while self.store().compact(&mut |_| Ok(())).unwrap() {
            done += 1;
        }
        self.store().collect();
        done
    }

    /// Everything is in blocks and decided.
    fn settle(&self) {
        self.flush();
        self.wait(121);
        self.compact();
        // Traces that grew wait once more.
        self.wait(121);
        self.compact();
        assert!(self.store().view().manifest.blocks.values().all(|entry| !entry.undecided));
    }

    /// Of each trace by its randomness the spans that are shown, and their thresholds; each span once.
    fn shown(&self) -> BTreeMap<u64, BTreeMap<u64, Option<Threshold>>> {
        let mut shown: BTreeMap<u64, BTreeMap<u64, Option<Threshold>>> = BTreeMap::new();
        let columns = [name::TRACE_ID, name::SPAN_ID, name::TRACE_STATE];
        let snapshot = self.store().snapshot(&TenantId::default());
        for batch in snapshot.scan(Signal::Spans, ScanRequest::all(columns)).unwrap() {
            let batch = batch.unwrap();
            let states = batch.column_by_name(name::TRACE_STATE).unwrap().as_string::<i32>();
            let (span_ids, _) =
                batch.column_by_name(name::SPAN_ID).unwrap().as_fixed_size_binary().value_data().as_chunks();
            for ((id, state), span) in ids(&batch).unwrap().iter().zip(states).zip(span_ids) {
                let of_trace = shown.entry(trace_state::randomness(id)).or_default();
                let before = of_trace.insert(u64::from_be_bytes(*span), state.and_then(trace_state::threshold));
                assert_eq!(before, None, "a span is there once");
            }
        }
        assert!(snapshot.missing().is_empty());
        shown
    }

    fn spans(&self) -> BTreeMap<u64, Vec<u64>> {
        self.shown().into_iter().map(|(trace, spans)| (trace, spans.into_keys().collect())).collect()
    }

    fn tallies(&self) -> Vec<(String, [u64; 4])> {
        let told = self.store().status(&TenantId::default()).sampling.into_iter();
        told.map(|(name, t)| (name, [t.kept_traces, t.kept_spans, t.dropped_traces, t.dropped_spans])).collect()
    }
}

fn quarter() -> Option<Threshold> {
    Some(Threshold::of_share(0.25))
}

#[test]
fn d1_what_is_dropped_goes_at_once_and_what_is_kept_says_for_how_many_it_stands() {
    let world = World::new(1);
    let failed = |randomness, id| Sent { failed: true, ..span(randomness, id) };
    // The third one spans two windows.
    let far = Sent { time: BEGIN + 120 * SECOND, ..span(3, 2) };
    world.put(&[span(1, 1), failed(1, 2), span(MOST, 1), span(MOST, 2), span(3, 1), far, span(4, 1)]);
    world.flush();
    assert_eq!(world.compact(), 0, "nothing is decided before its time");
    assert_eq!(world.spans().len(), 4);
    world.wait(121);
    assert_eq!(world.compact(), 1);
    let kept = BTreeMap::from([(1, None), (2, None)]);
    assert_eq!(world.shown(), BTreeMap::from([(1, kept), (MOST, BTreeMap::from([(1, quarter()), (2, quarter())]))]));
    let tallies = [("errors".to_owned(), [1, 2, 0, 0]), ("rest".to_owned(), [1, 2, 2, 3])];
    assert_eq!(world.tallies(), tallies);
    assert_eq!(world.compact(), 0, "plans come to an end");
    world.wait(40 * 3_600);
    world.compact();
    assert_eq!(world.spans(), BTreeMap::from([(1, vec![1, 2]), (MOST, vec![1, 2])]));
}

#[test]
fn d1_where_nothing_goes_nothing_is_written() {
    let world = World::new(1);
    world.put(&[Sent { failed: true, ..span(1, 1) }]);
    world.flush();
    world.wait(121);
    let before: Vec<BlockId> = world.store().view().manifest.blocks.keys().copied().collect();
    assert_eq!(world.compact(), 1);
    let manifest = Arc::clone(&world.store().view().manifest);
    assert_eq!(manifest.blocks.keys().copied().collect::<Vec<_>>(), before);
    assert!(manifest.blocks.values().all(|entry| !entry.undecided));
    assert_eq!(world.tallies(), [("errors".to_owned(), [1, 1, 0, 0])]);
}

#[test]
fn d2_a_trace_that_grows_waits_and_is_then_decided_by_all_of_its_spans() {
    let world = World::new(1);
    world.put(&[span(1, 1), span(2, 1), span(3, 1)]);
    world.flush();
    world.put(&[span(1, 2)]);
    world.wait(121);
    assert_eq!(world.compact(), 1);
    assert_eq!(world.spans(), BTreeMap::from([(1, vec![1, 2])]));
    world.put(&[Sent { failed: true, ..span(1, 3) }]);
    world.flush();
    world.wait(60);
    assert_eq!(world.compact(), 0, "its spans have not waited yet");
    world.wait(61);
    world.compact();
    assert_eq!(world.spans(), BTreeMap::from([(1, vec![1, 2, 3])]));
    assert_eq!(world.tallies(), [("errors".to_owned(), [1, 3, 0, 0]), ("rest".to_owned(), [0, 0, 2, 2])]);
}

#[test]
fn d2_a_trace_in_two_blocks_is_decided_one_wait_after_the_second() {
    let mut world = World::new(1);
    world.put(&[span(1, 1), span(2, 1)]);
    world.flush();
    world.wait(8);
    world.put(&[span(1, 2), span(3, 1)]);
    world.flush();
    world.wait(112);
    assert_eq!(world.compact(), 1);
    let waiting = BTreeMap::from([(1, vec![1, 2]), (3, vec![1])]);
    assert_eq!(world.spans(), waiting, "its second span has not waited");
    // What was written anew is as old as before, for whoever opens it.
    world.open(config());
    assert_eq!((world.compact(), world.spans()), (0, waiting));
    world.wait(8);
    assert_eq!(world.compact(), 1);
    assert_eq!(world.spans(), BTreeMap::new());
    assert_eq!(world.tallies(), [("rest".to_owned(), [0, 0, 3, 4])], "nothing of it was late");
}

#[test]
fn d2_a_trace_of_which_spans_are_in_memory_is_decided_one_wait_after_their_flush() {
    let world = World::new(1);
    world.put(&[span(1, 1)]);
    world.flush();
    world.wait(100);
    world.put(&[span(1, 2)]);
    world.wait(20);
    assert_eq!(world.compact(), 1);
    world.wait(30);
    world.flush();
    world.wait(90);
    world.compact();
    assert_eq!(world.spans(), BTreeMap::from([(1, vec![1, 2])]));
    world.wait(30);
    world.compact();
    assert_eq!(world.spans(), BTreeMap::new());
    assert_eq!(world.tallies(), [("rest".to_owned(), [0, 0, 1, 2])]);
}

#[test]
fn d2_what_waits_is_not_written_anew_with_every_block_that_comes() {
    let world = World::new(1);
    let (rounds, seconds) = (100, 5);
    for round in 0..rounds {
        // Each is in two blocks, that of a round and the next or a later one.
        let time = BEGIN + i64::try_from(round * seconds).unwrap() * SECOND;
        let mut spans = vec![Sent { time, ..span(round, 1) }];
        let ends = [1, 3, 9].into_iter().enumerate().filter_map(|(kind, after)| {
            let begun = round.checked_sub(after)?;
            (begun % 3 == kind as u64).then_some(Sent { time, ..span(begun, 2) })
        });
        spans.extend(ends);
        world.put(&spans);
        world.flush();
        world.wait(seconds);
        world.compact();
        // One wait, a sixteenth of it, and the round.
        let due = round.checked_sub((120 + 8) / seconds + 2 + 9);
        let shown = world.spans();
        assert!(due.is_none_or(|due| shown.keys().all(|trace| *trace > due)), "round {round}: {shown:?}");
        let blocks = world.store().view().manifest.blocks.len();
        assert!(blocks < 80, "{blocks} blocks in round {round}");
    }
    world.settle();
    let tallies = world.tallies();
    assert!(tallies.iter().all(|(name, _)| name != Policies::LATE), "{tallies:?}");
    let rows = world.store().metrics.compaction_rows.load(std::sync::atomic::Ordering::Relaxed);
    // All of it is dropped: what merges wrote has waited for its second half.
    assert!(rows < 3 * 2 * rounds, "{rows} rows written for {rounds} traces of two spans");
}

#[test]
fn d2_a_block_that_is_written_anew_by_itself_is_as_old_as_before() {
    let mut world = World::new(1);
    let mut long = config();
    long.retention.tail_sampling.wait_seconds = 1_200;
    world.open(long);
    world.put(&[span(1, 1), Sent { time: BEGIN + SECOND, ..span(2, 1) }]);
    world.flush();
    let time = TimeRange { start: BEGIN, end: BEGIN + SECOND };
    let request = DeleteRequest { tenant: TenantId::default(), signal: Signal::Spans, time, predicate: Predicate::All };
    world.store().delete(&request).unwrap().unwrap();
    let before: Vec<BlockId> = world.store().view().manifest.blocks.keys().copied().collect();
    world.wait(601);
    world.compact();
    let after: Vec<BlockId> = world.store().view().manifest.blocks.keys().copied().collect();
    assert_ne!(before, after, "without what was deleted");
    assert_eq!(world.spans(), BTreeMap::from([(2, vec![1])]));
    world.wait(599);
    assert_eq!((world.compact(), world.spans()), (1, BTreeMap::new()));
}

#[test]
fn d2_a_trace_that_grows_for_ever_is_decided_all_the_same() {
    for (failed, expected) in [(true, vec![1, 2, 3]), (false, vec![2, 3])] {
        let world = World::new(1);
        world.put(&[span(1, 1)]);
        world.flush();
        world.wait(1_201);
        world.put(&[span(1, 2)]);
        world.flush();
        world.put(&[Sent { failed, ..span(1, 3) }]);
        assert_eq!(world.compact(), 1);
        assert_eq!(world.spans(), BTreeMap::from([(1, expected)]), "by what is in memory, too");
        world.settle();
        let expected = if failed { BTreeMap::from([(1, vec![1, 2, 3])]) } else { BTreeMap::new() };
        assert_eq!(world.spans(), expected);
    }
}

#[test]
fn d3_what_comes_late_shares_the_fate_of_its_trace() {
    let world = World::new(1);
    world.put(&[span(1, 1), span(MOST, 1), Sent { failed: true, ..span(2, 1) }]);
    world.settle();
    world.wait(1_800);
    world.put(&[Sent { failed: true, ..span(1, 2) }, Sent { failed: true, ..span(MOST, 2) }, span(2, 2)]);
    world.settle();
    let kept = BTreeMap::from([
        (2, BTreeMap::from([(1, None), (2, None)])),
        (MOST, BTreeMap::from([(1, quarter()), (2, quarter())])),
    ]);
    assert_eq!(world.shown(), kept);
    let late = world.tallies().into_iter().find(|(name, _)| name == Policies::LATE).unwrap().1;
    assert_eq!(late, [0, 2, 0, 1]);
    // What was kept is kept for as long as there is something of it; what was dropped is forgotten an hour after its last span.
    world.wait(40 * 3_600);
    world.put(&[Sent { failed: true, ..span(1, 3) }, span(2, 3), span(MOST, 3)]);
    world.settle();
    assert_eq!(world.spans(), BTreeMap::from([(1, vec![3]), (2, vec![1, 2, 3]), (MOST, vec![1, 2, 3])]));
    let remembered = |world: &World| world.store().view().manifest.sampling[&TenantId::default()].remembered();
    assert_eq!(remembered(&world), 0);
}

#[test]
fn d3_a_span_that_comes_again_is_there_once_though_its_threshold_was_set() {
    let mut world = World::new(1);
    world.put(&[span(1, 1), span(MOST, 1)]);
    world.flush();
    world.put(&[span(1, 1), span(MOST, 1)]);
    world.settle();
    world.put(&[span(1, 1), span(MOST, 1), span(MOST, 2)]);
    assert_eq!(world.spans(), BTreeMap::from([(1, vec![1]), (MOST, vec![1, 2])]));
    world.open(config());
    assert_eq!(world.spans(), BTreeMap::from([(1, vec![1]), (MOST, vec![1, 2])]));
    world.settle();
    assert_eq!(world.spans(), BTreeMap::from([(MOST, vec![1, 2])]));
}

#[test]
fn d5_without_policies_all_stays() {
    let mut world = World::new(1);
    world.put(&[span(1, 1)]);
    world.settle();
    world.put(&[span(2, 1), span(3, 1)]);
    world.flush();
    let mut off = config();
    off.retention.tail_sampling.policies.clear();
    world.open(off.clone());
    world.wait(121);
    assert_eq!(world.compact(), 1);
    world.put(&[span(1, 2)]);
    world.settle();
    assert_eq!(world.spans(), BTreeMap::from([(1, vec![2]), (2, vec![1]), (3, vec![1])]));
    // What was there before there were policies stays, and so does what comes late of it.
    world.open(config());
    world.put(&[span(3, 2), span(4, 1)]);
    world.settle();
    assert_eq!(world.spans(), BTreeMap::from([(1, vec![2]), (2, vec![1]), (3, vec![1, 2])]));
    // A tenant of its own policies.
    let own = TenantRetention { tail_sampling: Some(config().retention.tail_sampling), ..TenantRetention::default() };
    off.retention.tenants.insert(TenantId::default().to_string(), own);
    world.open(off);
    world.put(&[span(5, 1)]);
    world.settle();
    assert_eq!(world.spans(), BTreeMap::from([(1, vec![2]), (2, vec![1]), (3, vec![1, 2])]));
}

#[test]
fn what_is_deleted_while_traces_are_decided_is_in_no_block() {
    let world = World::new(1);
    world.put(&[span(1, 1), span(MOST, 1), Sent { time: BEGIN + 30 * SECOND, ..span(MOST, 2) }]);
    world.flush();
    world.wait(121);
    let mut deletions = 0;
    let time = TimeRange { start: BEGIN, end: BEGIN + SECOND };
    let (tenant, signal, predicate) = (TenantId::default(), Signal::Spans, Predicate::All);
    let request = DeleteRequest { tenant, signal, time, predicate };
    let done = world.store().compact(&mut |_| {
        deletions += 1;
        if deletions == 3 {
            world.store().delete(&request).unwrap().unwrap();
        }
        Ok(())
    });
    assert!(done.unwrap() && deletions >= 3, "{deletions}");
    let expected = BTreeMap::from([(MOST, vec![2])]);
    assert_eq!(world.spans(), expected);
    world.wait(700);
    world.compact();
    assert_eq!(world.spans(), expected);
}

/// Spans of traces that are kept by chance or for an error, or are dropped; some grow.
fn decide_with_crash(operation: u64) -> ([BTreeMap<u64, Vec<u64>>; 2], u64) {
    let mut world = World::new(operation);
    let times = [BEGIN, BEGIN + 120 * SECOND];
    let of = |randomness: u64| times.into_iter().zip(1..).map(move |(time, id)| Sent { time, ..span(randomness, id) });
    let mut spans: Vec<Sent> = [1, 2, 3, MOST, MOST - 1].into_iter().flat_map(of).collect();
    spans[1].failed = true;
    world.put(&spans);
    world.flush();
    world.put(&[span(3, 3)]);
    world.wait(121);
    let before = world.disk.operations();
    if operation != u64::MAX {
        world.disk.crash_at(before + 1 + operation);
    }
    while matches!(world.store().compact(&mut |_| Ok(())), Ok(true)) {}
    let operations = world.disk.operations() - before;
    world.store = None;
    world.disk.crash(Loss::Some);
    world.open(config());
    let crashed = world.spans();
    world.settle();
    world.settle();
    ([crashed, world.spans()], operations)
}

#[test]
fn d1_a_crash_at_any_operation_tears_no_trace_and_drops_none_that_is_kept() {
    let (_, operations) = decide_with_crash(u64::MAX);
    assert!(operations > 20, "{operations} operations");
    let kept = BTreeMap::from([(1, vec![1, 2]), (MOST - 1, vec![1, 2]), (MOST, vec![1, 2])]);
    let mut decided = kept.clone();
    decided.insert(3, vec![1, 2, 3]);
    let mut undecided = decided.clone();
    undecided.insert(2, vec![1, 2]);
    for operation in 0..operations {
        let ([crashed, settled], _) = decide_with_crash(operation);
        assert!([&decided, &undecided].contains(&&crashed), "{crashed:?}: crash at {operation} of {operations}");
        assert_eq!(settled, kept, "crash at {operation} of {operations}");
    }
}

/// What is known of a trace in a run.
#[derive(Debug, Default)]
struct Known {
    spans: BTreeSet<u64>,
    some_failed: bool,
    all_failed: bool,
    /// Whether it was there when all was decided.
    verdict: Option<bool>,
}

#[test]
fn d4_of_two_that_decide_at_once_one_gives_up_and_both_tell_the_same() {
    let bucket = SimulatedBucket::new(1);
    let clock = SimulatedClock::at(BEGIN);
    let world = |number: u64| {
        let disk = SimulatedDisk::new(number);
        let shared = Shared { bucket: Arc::new(bucket.process()), role: Role::Writer, cache_bytes: 1 << 20 };
        let (fs, of_world): (Arc<dyn Filesystem>, Arc<dyn Clock>) = (Arc::new(disk.clone()), Arc::new(clock.clone()));
        let store = Store::open_shared(config(), fs, &shared, of_world, &decode).unwrap();
        World { store: Some(store), disk, clock: clock.clone() }
    };
    let (one, other) = (world(1), world(2));
    one.put(&[span(1, 1), span(2, 1), span(MOST, 1)]);
    one.flush();
    // Nobody else sees this error until it is flushed.
    other.put(&[Sent { failed: true, ..span(1, 2) }, span(MOST, 2)]);
    other.wait(300);
    other.flush();
    other.wait(119);
    assert_eq!((one.compact(), other.compact()), (0, 0), "what others have in memory is waited for");
    other.wait(301);
    let mut meanwhile = 0;
    one.store().refresh().unwrap();
    other.store().refresh().unwrap();
    let gave_up = one.store().compact(&mut |_| {
        if meanwhile == 0 {
            meanwhile = other.compact();
        }
        Ok(())
    });
    assert!(meanwhile > 0 && gave_up.is_ok_and(|done| !done), "{meanwhile}");
    let kept = BTreeMap::from([(1, vec![1, 2]), (MOST, vec![1, 2])]);
    for world in [&one, &other] {
        world.store().refresh().unwrap();
        assert_eq!(world.spans(), kept);
        assert_eq!(world.tallies(), [("errors".to_owned(), [1, 2, 0, 0]), ("rest".to_owned(), [1, 2, 1, 1])]);
    }
}

fn play(seed: u64) -> [usize; 3] {
    let mut random = Pcg64::seed_from_u64(seed);
    let mut world = World::new(seed);
    let mut known: BTreeMap<u64, Known> = BTreeMap::new();
    let (mut counts, mut checks) = ([0; 3], 0);
    for _ in 0..60 {
        match random.random_range(0..100) {
            0..50 => {
                let spans: Vec<Sent> = (0..random.random_range(1..6))
                    .map(|_| {
                        let number = random.random_range(0..30u64);
                        // A third is kept by chance; of those with an even number some spans fail, of every fifth all.
                        let randomness = if number % 3 == 0 { MOST - number } else { number };
                        let failed = number % 5 == 0 || (number % 2 == 0 && random.random_bool(0.2));
                        let id = random.random_range(1..8);
                        let time = BEGIN + i64::try_from(number * 10 + id).unwrap() * SECOND;
                        Sent { randomness, id: id * 2 + u64::from(failed), time, failed }
                    })
                    .collect();
                world.put(&spans);
                for span in spans {
                    let new = || Known { all_failed: true, ..Known::default() };
                    let trace = known.entry(span.randomness).or_insert_with(new);
                    trace.spans.insert(span.id);
                    trace.some_failed |= span.failed;
                    trace.all_failed &= span.failed;
                }
            }
            50..65 => world.flush(),
            65..75 => world.wait(random.random_range(0..100)),
            75..85 => {
                if random.random_bool(0.3) {
                    world.disk.fail_at(world.disk.operations() + random.random_range(1..30));
                }
                let mut paces = random.random_range(0..30);
                drop(world.store().compact(&mut |_| {
                    paces -= 1;
                    if paces == 0 { Err(Error::Closing) } else { Ok(()) }
                }));
                world.store().collect();
                // What was to fail and was not asked for is forgotten.
                world.disk.set_faults(Faults::default());
            }
            85..93 => {
                if random.random_bool(0.7) {
                    world.disk.crash_at(world.disk.operations() + random.random_range(1..40));
                    world.store().seal().and_then(|()| world.store().flush()).ok();
                    while matches!(world.store().compact(&mut |_| Ok(())), Ok(true)) {}
                }
                world.store = None;
                world.disk.crash(Loss::Some);
                world.open(config());
                counts[0] += 1;
            }
            // What was dropped is remembered for an hour.
            _ if checks < 4 => {
                checks += 1;
                check(&world, &mut known, &mut counts, seed);
            }
            _ => {}
        }
    }
    check(&world, &mut known, &mut counts, seed);
    counts
}

/// Once all is decided each trace is there whole or not at all, as it was before.
fn check(world: &World, known: &mut BTreeMap<u64, Known>, counts: &mut [usize; 3], seed: u64) {
    world.settle();
    world.settle();
    let shown = world.spans();
    for (randomness, trace) in known {
        let spans = shown.get(randomness).map(|spans| spans.iter().copied().collect::<BTreeSet<_>>());
        assert!(
            spans.as_ref().is_none_or(|spans| *spans == trace.spans),
            "seed {seed}: {randomness} is torn: {spans:?} of {trace:?}"
        );
        let is_there = spans.is_some();
        assert!(trace.verdict.is_none_or(|before| before == is_there), "seed {seed}: {randomness} changed: {trace:?}");
        let by_chance = *randomness > MOST / 2;
        match (trace.all_failed || by_chance, trace.some_failed) {
            (true, _) => assert!(is_there, "seed {seed}: {randomness} is kept"),
            (false, false) => assert!(!is_there, "seed {seed}: {randomness} is dropped"),
            // By which spans were there when it was decided.
            (false, true) => {}
        }
        trace.verdict = Some(is_there);
        counts[1 + usize::from(is_there)] += 1;
    }
}

#[test]
fn d1_d3_traces_are_whole_or_gone_whatever_happens() {
    let mut counts = [0; 3];
    for seed in 0..60 {
        play(seed).into_iter().zip(&mut counts).for_each(|(more, count)| *count += more);
    }
    assert!(counts.iter().all(|count| *count > 60), "crashes, dropped, kept: {counts:?}");
}
