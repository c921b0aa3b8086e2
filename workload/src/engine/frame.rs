//! How does one request run on one instance? A frame walks its operation's steps and waits where they take time.
//!
//! Invariants
//! - F1: a frame that got a worker gives it back exactly once, when it finishes.
//! - F2: a server or consumer span is written once, at its end; what it starts (statements, calls) ended before.
//! - F3: a doomed frame fails after its first step, so that a failing service still does some work.
//!
//! Not here: what a caller does with the answer (`engine::call`).

use super::{Event, Key, Workload};
use crate::catalog::{Door, Fault, Line, Operation, Redis, Refusal, Sql, Step};
use crate::config::{MICROSECOND, Signal};
use crate::telemetry;

/// Who and what a request is about; travels along as baggage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Context {
    pub(crate) user: u64,
    pub(crate) session: u64,
    pub(crate) product: u64,
    pub(crate) order: u64,
    pub(crate) amount_minor: u64,
    /// The client's IPv4 address.
    pub(crate) address: u32,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// An answer that is not what the caller hoped for, and nobody's fault.
    Refused(Refusal),
    Failed(Fault),
}

/// A span in another trace, or another parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) trace: [u8; 16],
    pub(crate) span: [u8; 8],
}

/// What telemetry needs to know of a running request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) operation: &'static Operation,
    pub(crate) place: usize,
    pub(crate) trace: [u8; 16],
    pub(crate) span: [u8; 8],
    pub(crate) parent: Option<[u8; 8]>,
    pub(crate) context: Context,
    /// When a worker took it.
    pub(crate) started: u64,
}

/// A running request.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) head: Head,
    pub(super) caller: Option<Key>,
    steps: &'static [Step],
    next: usize,
    /// Where to go on after the steps of a cache miss.
    outer: Option<(&'static [Step], usize)>,
    pending: Pending,
    /// Calls without an answer yet.
    pub(super) open: u32,
    pub(super) outcome: Outcome,
    doomed: bool,
    holds_worker: bool,
    /// Messages that a batch consumer works on.
    pub(super) links: Vec<Link>,
    /// Where a consumer's message lay.
    pub(super) position: Option<telemetry::Position>,
}

/// What a frame waits for, apart from calls.
#[derive(Debug, Clone, Copy)]
enum Pending {
    Nothing,
    Work { name: Option<&'static str>, span: [u8; 8], since: u64 },
    Sql { sql: &'static Sql, span: [u8; 8], since: u64 },
    Redis { redis: &'static Redis, span: [u8; 8], since: u64, miss: Option<&'static [Step]> },
    Publish { topic: &'static str, span: [u8; 8], since: u64 },
}

/// Does the frame go on at once or wait for an event?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Wait,
}

/// How many of the services' requests fail on a good day.
const USUAL_ERROR_SHARE: f64 = 0.0006;
/// Statements in flight beyond which a database gets slower.
const DATABASE_CAPACITY: f64 = 24.0;
/// Commands in flight beyond which Redis gets slower.
const REDIS_CAPACITY: f64 = 64.0;

impl Workload {
    /// A request on its way to an instance of the operation's service.
    pub(super) fn new_frame(
        &mut self,
        operation: &'static Operation,
        trace: [u8; 16],
        parent: Option<[u8; 8]>,
        context: Context,
    ) -> Key {
        let place = self.balance(operation);
        let span = self.next_span();
        let head = Head { operation, place, trace, span, parent, context, started: 0 };
        self.frames.insert(Frame {
            head,
            caller: None,
            steps: operation.steps,
            next: 0,
            outer: None,
            pending: Pending::Nothing,
            open: 0,
            outcome: Outcome::Done,
            doomed: false,
            holds_worker: false,
            links: Vec::new(),
            position: None,
        })
    }

    /// The less busy of two instances chosen at random.
    fn balance(&mut self, operation: &'static Operation) -> usize {
        let places = self.fleet.of(operation.service);
        let count = places.len() as u64;
        let first = places.start + self.dice.below(count) as usize;
        let second = places.start + self.dice.below(count) as usize;
        let pressure = |place: usize| self.fleet.instances[place].pressure();
        if pressure(second) < pressure(first) { second } else { first }
    }

    /// A request has reached its instance: it runs, waits or is turned away.
    pub(super) fn enter(&mut self, key: Key) {
        let Some(frame) = self.frames.get_mut(key) else { return };
        let instance = &mut self.fleet.instances[frame.head.place];
        if instance.has_free_worker() {
            self.run(key);
        } else if instance.has_room_to_wait() {
            instance.queue.push_back(key);
        } else {
            frame.head.started = self.now;
            frame.outcome = Outcome::Failed(Fault::Overloaded);
            self.finish(key);
        }
    }

    fn run(&mut self, key: Key) {
        let Some(frame) = self.frames.get_mut(key) else { return };
        self.fleet.instances[frame.head.place].busy += 1;
        frame.holds_worker = true;
        frame.head.started = self.now;
        let share = self.effects[frame.head.operation.service.index()].error_share;
        frame.doomed = self.dice.chance(share + USUAL_ERROR_SHARE);
        self.advance(key);
    }

    /// Walks steps until one takes time or the frame is done.
    pub(super) fn advance(&mut self, key: Key) {
        loop {
            let Some(frame) = self.frames.get_mut(key) else { return };
            if frame.doomed && frame.next > 0 && frame.outcome == Outcome::Done {
                frame.outcome = Outcome::Failed(Fault::Thrown);
            }
            let step = if frame.outcome == Outcome::Done { frame.next_step() } else { None };
            let Some(step) = step else { return self.finish(key) };
            let head = frame.head;
            if self.begin(key, head, step) == Flow::Wait {
                return;
            }
        }
    }

    fn begin(&mut self, key: Key, head: Head, step: &'static Step) -> Flow {
        match step {
            Step::Work { name, median_us } => self.work(key, head, *name, *median_us),
            Step::Call(call) => {
                self.call(key, head, std::slice::from_ref(call));
                return Flow::Wait;
            }
            Step::Together(calls) => {
                self.call(key, head, calls);
                return Flow::Wait;
            }
            Step::Sql(sql) => self.query(key, head, sql),
            Step::Redis(redis) => self.command(key, head, redis, None),
            Step::Cache { read, hit_ratio, miss } => {
                let warmth = self.effect(head.operation.service).warmth;
                let hit = self.dice.chance(hit_ratio * warmth);
                self.fleet.instances[head.place].meter.cache(hit);
                self.command(key, head, read, if hit { None } else { Some(miss) });
            }
            Step::Publish { topic } => {
                let took = self.dice.log_normal(1_900_000.0, 0.5) as u64;
                let span = self.next_span();
                self.wait(key, took, Pending::Publish { topic, span, since: self.now });
            }
            Step::Log(line) => {
                self.log(head, line);
                return Flow::Next;
            }
            Step::Refuse { share, refusal } => {
                if self.dice.chance(*share)
                    && let Some(frame) = self.frames.get_mut(key)
                {
                    frame.outcome = Outcome::Refused(*refusal);
                }
                return Flow::Next;
            }
            Step::Count(business) => {
                self.fleet.instances[head.place].meter.business(*business, head.context.amount_minor);
                return Flow::Next;
            }
        }
        Flow::Wait
    }

    fn wait(&mut self, key: Key, nanos: u64, pending: Pending) {
        if let Some(frame) = self.frames.get_mut(key) {
            frame.pending = pending;
        }
        self.schedule(self.now + nanos.max(MICROSECOND), Event::Resume(key));
    }

    /// CPU work: slower when the instance's workers are busy and when the whole shop is.
    fn work(&mut self, key: Key, head: Head, name: Option<&'static str>, median_us: u32) {
        let effect = self.effect(head.operation.service);
        let pressure = self.fleet.instances[head.place].pressure().min(2.0);
        let contention = 1.0 + 0.7 * pressure * pressure + 0.4 * (self.wave() - 1.0).max(0.0);
        let median = f64::from(median_us) * 1_000.0 * effect.slowness * contention;
        let took = self.dice.log_normal(median, 0.45) as u64;
        let span = if name.is_some() { self.next_span() } else { [0; 8] };
        self.fleet.instances[head.place].meter.worked(took);
        self.wait(key, took, Pending::Work { name, span, since: self.now });
    }

    fn query(&mut self, key: Key, head: Head, sql: &'static Sql) {
        let service = head.operation.service;
        let flying = &mut self.statements[service.index()];
        *flying += 1;
        let load = f64::from(*flying) / (DATABASE_CAPACITY * self.config.requests_per_second.max(20.0) / 20.0);
        let median = f64::from(sql.median_us) * 1_000.0 * self.effect(service).slowness * (1.0 + load * load);
        let took = self.dice.log_normal(median, 0.6) as u64;
        let span = self.next_span();
        self.wait(key, took, Pending::Sql { sql, span, since: self.now });
    }

    fn command(&mut self, key: Key, head: Head, redis: &'static Redis, miss: Option<&'static [Step]>) {
        self.commands += 1;
        let load = f64::from(self.commands) / (REDIS_CAPACITY * self.config.requests_per_second.max(20.0) / 20.0);
        let slowness = self.effect(head.operation.service).slowness.sqrt();
        let took = self.dice.log_normal(f64::from(redis.median_us) * 1_000.0 * slowness * (1.0 + load * load), 0.35);
        let span = self.next_span();
        self.wait(key, took as u64, Pending::Redis { redis, span, since: self.now, miss });
    }

    /// The pending step is over: its span is written and the frame goes on.
    pub(super) fn resume(&mut self, key: Key) {
        let Some(frame) = self.frames.get_mut(key) else { return };
        let head = frame.head;
        let pending = std::mem::replace(&mut frame.pending, Pending::Nothing);
        if let Pending::Redis { miss: Some(miss), .. } = pending {
            frame.outer = Some((frame.steps, frame.next));
            (frame.steps, frame.next) = (miss, 0);
        }
        let now = self.now;
        let spans = self.wants(Signal::Spans);
        let instance = &mut self.fleet.instances[head.place];
        match pending {
            Pending::Nothing | Pending::Work { name: None, .. } => {}
            Pending::Work { name: Some(name), span, since } => {
                instance.meter.task(name, now - since);
                if spans {
                    telemetry::internal(instance, &head, name, span, since, now);
                }
            }
            Pending::Sql { sql, span, since } => {
                self.statements[head.operation.service.index()] -= 1;
                instance.meter.statement(sql, now - since, &head.trace, &span, now);
                if spans {
                    telemetry::statement(instance, &head, sql, span, since, now);
                }
            }
            Pending::Redis { redis, span, since, miss } => {
                self.commands -= 1;
                instance.meter.command(redis, now - since, &head.trace, &span, now);
                if spans {
                    telemetry::command(instance, &head, redis, span, since, now, miss.is_none());
                }
            }
            Pending::Publish { topic, span, since } => self.publish(head, topic, span, since),
        }
        self.flush_if_full(head.place, Signal::Spans);
        self.advance(key);
    }

    fn log(&mut self, head: Head, line: &'static Line) {
        let written = self.dice.chance(line.share);
        if written && self.wants(Signal::Logs) {
            telemetry::line(&mut self.fleet.instances[head.place], &head, line, self.now);
            self.flush_if_full(head.place, Signal::Logs);
        }
    }

    /// Writes the frame's span, answers its caller and gives the worker to the next in the queue.
    fn finish(&mut self, key: Key) {
        let Some(frame) = self.frames.remove(key) else { return };
        let now = self.now;
        let (spans, logs) = (self.wants(Signal::Spans), self.wants(Signal::Logs));
        let place = frame.head.place;
        let instance = &mut self.fleet.instances[place];
        instance.meter.served(&frame.head, frame.outcome, now);
        if logs {
            telemetry::access(instance, &frame.head, frame.outcome, now);
            if let Outcome::Failed(fault) = frame.outcome {
                telemetry::failure(instance, &frame.head, fault, now);
            }
        }
        if spans {
            match frame.head.operation.door {
                Door::Http { .. } | Door::Grpc { .. } => telemetry::server(instance, &frame.head, frame.outcome, now),
                Door::Topic(_) => {
                    telemetry::consumer(instance, &frame.head, frame.outcome, &frame.links, frame.position, now);
                }
            }
        }
        if frame.holds_worker {
            instance.busy -= 1;
            if let Some(next) = instance.queue.pop_front() {
                // The freed worker takes it at this very moment.
                self.run(next);
            }
        }
        self.flush_if_full(place, Signal::Spans);
        self.flush_if_full(place, Signal::Logs);
        if let Some(call) = frame.caller {
            let hop = self.hop();
            self.schedule(now + hop, Event::Reply(call, frame.outcome));
        }
    }
}

impl Frame {
    fn next_step(&mut self) -> Option<&'static Step> {
        if let Some(step) = self.steps.get(self.next) {
            self.next += 1;
            return Some(step);
        }
        let (steps, next) = self.outer.take()?;
        (self.steps, self.next) = (steps, next);
        self.next_step()
    }
}
