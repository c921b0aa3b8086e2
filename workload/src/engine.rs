//! What happens next in the shop? A discrete-event simulation that is pulled, one export request at a time.
//!
//! Time is virtual: a heap of events, the earliest first, ties in the order of scheduling. A request from outside takes a
//! worker of a gateway instance, runs its operation's steps, and each call does the same further down; a worker is held
//! until its request is answered, so slowness below fills the queues above.
//!
//! Invariants
//! - G1: the same `Config` gives the same requests, byte for byte; no clock, address or hash order takes part.
//! - G2: `Config::signals`, `shape`, `max_batch` and the delays change what is sent, never what happens.
//! - G3: with `stop_after`, every trace is complete when the model ends.
//!
//! Not here: steps (`engine::frame`), calls with timeouts and retries (`engine::call`), Kafka (`engine::message`).

mod arena;
mod call;
mod frame;
mod message;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::catalog::{ENTRANCES, Operation, Service};
use crate::config::{Config, ConfigError, MILLISECOND, SECOND, Signal};
use crate::export::{Batch, Outbox};
use crate::fleet::Fleet;
use crate::identity::Identity;
use crate::incident::{Effect, Incident, Truth};
use crate::random::Dice;
use crate::telemetry;
use arena::Arena;
pub(crate) use arena::Key;
use call::Waiting;
use frame::Frame;
pub(crate) use frame::{Context, Head, Link, Outcome};
use message::Brokers;

/// What may be scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// The next request from outside.
    Arrive,
    /// A request reaches its instance.
    Enter(Key),
    /// A frame's pending step is over.
    Resume(Key),
    /// An answer reaches the caller.
    Reply(Key, Outcome),
    /// A caller has waited long enough.
    Timeout(Key),
    /// A caller tries again.
    Retry(Key),
    /// A consumer has collected messages for long enough.
    Poll(usize),
    /// An exporter's timer.
    Flush(usize, Signal),
    /// An instance says that it lives.
    Heartbeat(usize),
    /// Incidents begin or end.
    Turn,
}

/// An event with its time; the heap takes the earliest, and of equals the first scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Scheduled {
    at: u64,
    order: u64,
    event: Event,
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Someone who uses the shop.
#[derive(Debug, Clone, Copy)]
struct Session {
    context: Context,
    remaining: u64,
}

/// The model: pull `next_batch` until it is `None` (or for ever).
#[derive(Debug)]
pub struct Workload {
    config: Config,
    identity: Identity,
    now: u64,
    order: u64,
    events: BinaryHeap<Reverse<Scheduled>>,
    dice: Dice,
    fleet: Fleet,
    effects: [Effect; Service::ALL.len()],
    frames: Arena<Frame>,
    calls: Arena<Waiting>,
    brokers: Brokers,
    sessions: Vec<Session>,
    /// Statements in flight, per service that owns a database.
    statements: [u32; Service::ALL.len()],
    commands: u32,
    admitted: u64,
    traces: u64,
    spans: u64,
    visits: u64,
    orders: u64,
    outbox: Outbox,
    closed: bool,
}

const HEARTBEAT: u64 = 20 * SECOND;

impl Workload {
    /// A model at the beginning of its time.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let start = config.start_unix_nano;
        let mut model = Self {
            identity: Identity::new(config.seed),
            now: start,
            order: 0,
            events: BinaryHeap::new(),
            dice: Dice::new(config.seed, 1),
            fleet: Fleet::deploy(config.seed, config.requests_per_second, start),
            effects: [Effect::NONE; Service::ALL.len()],
            frames: Arena::default(),
            calls: Arena::default(),
            brokers: Brokers::default(),
            sessions: Vec::new(),
            statements: [0; Service::ALL.len()],
            commands: 0,
            admitted: 0,
            traces: 0,
            spans: 0,
            visits: 0,
            orders: 0,
            outbox: Outbox::new(config.shape),
            closed: false,
            config,
        };
        model.open();
        Ok(model)
    }

    /// The injected incidents and whose telemetry they touch.
    pub fn truth(&self) -> Vec<Truth> {
        let incidents = self.config.incidents.iter();
        incidents
            .map(|incident| Truth { incident: incident.clone(), affected: incident.service.dependants() })
            .collect()
    }

    /// How far virtual time has come, nanoseconds since 1970.
    pub fn now_unix_nano(&self) -> u64 {
        self.now
    }

    /// The seed's id permutations, for re-stamping.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Runs the model until an exporter sends. `None` once a model with `stop_after` has finished and flushed.
    pub fn next_batch(&mut self) -> Option<Batch> {
        loop {
            if let Some(batch) = self.outbox.take() {
                return Some(batch);
            }
            if self.closed {
                return None;
            }
            self.step();
        }
    }

    fn open(&mut self) {
        let start = self.now;
        for _ in 0..(self.config.requests_per_second * 20.0).clamp(20.0, 5_000.0) as usize {
            let session = self.new_session();
            self.sessions.push(session);
        }
        for incident in &self.config.incidents.clone() {
            self.schedule(incident.start.max(start), Event::Turn);
            self.schedule(incident.end.max(start), Event::Turn);
        }
        // Exporters of different processes do not tick together.
        let instances = self.fleet.instances.len() as u64;
        for (place, stagger) in (0..self.fleet.instances.len()).zip(1_u64..) {
            self.schedule(start + HEARTBEAT * stagger / (instances + 1), Event::Heartbeat(place));
            for signal in Signal::ALL {
                if self.config.signals.contains(signal) {
                    let interval = self.interval(signal);
                    self.schedule(
                        start + interval / 2 + interval * stagger / (2 * instances + 2),
                        Event::Flush(place, signal),
                    );
                }
            }
        }
        self.schedule(start, Event::Arrive);
    }

    fn interval(&self, signal: Signal) -> u64 {
        match signal {
            Signal::Spans => self.config.span_delay_nanos,
            Signal::Logs => self.config.log_delay_nanos,
            Signal::Metrics => self.config.metric_interval_nanos,
        }
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.events.push(Reverse(Scheduled { at, order: self.order, event }));
    }

    fn step(&mut self) {
        let Some(Reverse(Scheduled { at, event, .. })) = self.events.pop() else {
            self.close();
            return;
        };
        self.now = at;
        match event {
            Event::Arrive => self.arrive(),
            Event::Enter(frame) => self.enter(frame),
            Event::Resume(frame) => self.resume(frame),
            Event::Reply(call, outcome) => self.answered(call, outcome),
            Event::Timeout(call) => self.timed_out(call),
            Event::Retry(call) => self.try_again(call),
            Event::Poll(consumer) => self.poll(consumer),
            Event::Flush(place, signal) => {
                self.flush(place, signal);
                self.schedule(self.now + self.interval(signal), event);
            }
            Event::Heartbeat(place) => {
                self.heartbeat(place);
                self.schedule(self.now + HEARTBEAT, event);
            }
            Event::Turn => self.turn(),
        }
        if self.is_finished() {
            self.close();
        }
    }

    /// Nothing is admitted any more and nothing is under way; only timers are left.
    fn is_finished(&self) -> bool {
        self.config.stop_after.is_some_and(|limit| self.admitted >= limit)
            && self.frames.is_empty()
            && self.calls.is_empty()
            && self.brokers.is_empty()
    }

    fn close(&mut self) {
        self.closed = true;
        for place in 0..self.fleet.instances.len() {
            for signal in Signal::ALL {
                if self.config.signals.contains(signal) {
                    self.flush(place, signal);
                }
            }
        }
        self.outbox.close(self.now);
    }

    fn flush(&mut self, place: usize, signal: Signal) {
        let instance = &mut self.fleet.instances[place];
        let (bytes, items) = match signal {
            Signal::Spans if instance.spans.len() > 0 => instance.spans.drain(&instance.origin),
            Signal::Logs if instance.logs.len() > 0 => instance.logs.drain(&instance.origin),
            Signal::Metrics => telemetry::collect(instance, self.now),
            Signal::Spans | Signal::Logs => return,
        };
        self.outbox.post(signal, bytes, items, self.now);
    }

    /// Flushes an exporter whose batch is full; called after every item.
    fn flush_if_full(&mut self, place: usize, signal: Signal) {
        let instance = &self.fleet.instances[place];
        let waiting = match signal {
            Signal::Spans => instance.spans.len(),
            Signal::Logs => instance.logs.len(),
            Signal::Metrics => 0,
        };
        if waiting >= self.config.max_batch {
            self.flush(place, signal);
        }
    }

    fn heartbeat(&mut self, place: usize) {
        if self.config.signals.contains(Signal::Logs) {
            telemetry::heartbeat(&mut self.fleet.instances[place], self.now);
            self.flush_if_full(place, Signal::Logs);
        }
    }

    fn turn(&mut self) {
        for service in Service::ALL {
            self.effects[service.index()] = Effect::at(&self.config.incidents, service, self.now);
        }
    }

    /// Load over time, around 1: a daily wave and a livelier one of twelve minutes.
    fn wave(&self) -> f64 {
        let turn =
            |period: u64| (self.now % (period * SECOND)) as f64 / (period * SECOND) as f64 * std::f64::consts::TAU;
        1.0 - 0.3 * turn(86_400).cos() + 0.15 * turn(720).sin()
    }

    fn arrive(&mut self) {
        if self.config.stop_after.is_some_and(|limit| self.admitted >= limit) {
            return;
        }
        self.admitted += 1;
        let operation = self.choose_entrance();
        let context = self.visit(operation);
        self.traces += 1;
        let trace = self.identity.trace_id(0, self.traces);
        let frame = self.new_frame(operation, trace, None, context);
        self.enter(frame);
        let mean = SECOND as f64 / (self.config.requests_per_second * self.wave());
        let gap = self.dice.exponential(mean).max(1.0) as u64;
        self.schedule(self.now + gap, Event::Arrive);
    }

    fn choose_entrance(&mut self) -> &'static Operation {
        let total = ENTRANCES.iter().map(|(_, weight)| weight).sum();
        let mut lot = self.dice.below(total);
        for (operation, weight) in ENTRANCES {
            if lot < *weight {
                return operation;
            }
            lot -= weight;
        }
        ENTRANCES[0].0
    }

    /// One more page view of some session.
    fn visit(&mut self, operation: &'static Operation) -> Context {
        let place = self.dice.below(self.sessions.len() as u64) as usize;
        if self.sessions[place].remaining == 0 {
            self.sessions[place] = self.new_session();
        }
        // A few products are looked at most of the time.
        let popularity = self.dice.unit();
        let product = 1_000 + (popularity * popularity * popularity * 20_000.0) as u64;
        let amount = self.dice.log_normal(4_200.0, 0.8) as u64 + 199;
        let session = &mut self.sessions[place];
        session.remaining -= 1;
        session.context.product = product;
        if operation.id == ENTRANCES[5].0.id {
            self.orders += 1;
            session.context.order = 5_000_000 + self.orders;
            session.context.amount_minor = amount;
        }
        session.context
    }

    fn new_session(&mut self) -> Session {
        self.visits += 1;
        let word = self.dice.below(u64::MAX);
        let context = Context {
            session: u64::from_be_bytes(Identity::new(self.config.seed ^ 0x5e55).span_id(1, self.visits)),
            user: 10_000 + word % 900_000,
            product: 1_000,
            order: 4_000_000 + (word >> 20) % 900_000,
            amount_minor: 2_999,
            address: (word >> 32) as u32,
        };
        Session { context, remaining: 2 + self.dice.exponential(9.0) as u64 }
    }

    fn next_span(&mut self) -> [u8; 8] {
        self.spans += 1;
        self.identity.span_id(0, self.spans)
    }

    /// One way between two pods.
    fn hop(&mut self) -> u64 {
        self.dice.log_normal(180_000.0, 0.3) as u64
    }

    fn effect(&self, service: Service) -> Effect {
        self.effects[service.index()]
    }

    fn wants(&self, signal: Signal) -> bool {
        self.config.signals.contains(signal)
    }
}

/// The incidents that hold at a moment; for the caller's own bookkeeping.
pub fn incidents_at(incidents: &[Incident], unix_nano: u64) -> Vec<&Incident> {
    incidents.iter().filter(|incident| incident.holds_at(unix_nano)).collect()
}

/// The shortest time that a retrying caller waits.
const FIRST_BACKOFF: u64 = 40 * MILLISECOND;

#[cfg(test)]
mod tests;
