//! What does an instance count? Its instruments, and the data points that it exports each interval.
//!
//! HTTP and RPC durations are explicit histograms, client and database durations exponential ones, all with exemplars;
//! business counters are cumulative sums, the cache counter is a delta, pools and memory are up-down sums, utilisation is
//! a gauge, deliveries by mail a summary (as bridges from older clients still send).
//!
//! Invariants
//! - Q1: series appear in a fixed order: by instrument, then by the key under which they were first needed.
//! - Q2: cumulative sums and histogram counts of a series never fall, and keep their start time.
//! - Q3: deltas add up to the whole: each interval starts where the one before ended.

use std::collections::BTreeMap;

use super::histogram::{Explicit, Exponential, MILLISECONDS, SECONDS, Sighting};
use super::outgoing::Attempt;
use super::status;
use crate::catalog::{Business, Door, Operation, Redis, Service, Sql};
use crate::engine::{Head, Outcome};

mod collection;
mod runtime;

pub(crate) use collection::collect;

/// An operation and the code that it ended with.
type Coded = (u16, u16);

/// A served or called operation's durations.
#[derive(Debug)]
struct Timed<H> {
    operation: &'static Operation,
    outcome: Outcome,
    answered: bool,
    histogram: H,
}

/// Durations of one kind of statement or command.
#[derive(Debug)]
struct Stored {
    system: &'static str,
    operation: &'static str,
    collection: &'static str,
    histogram: Exponential,
}

/// The last deliveries, for a summary's quantiles.
#[derive(Debug, Default)]
struct Deliveries {
    count: u64,
    sum: f64,
    recent: Vec<f64>,
}

/// All instruments of one instance.
#[derive(Debug)]
pub(crate) struct Meter {
    service: Service,
    ordinal: u16,
    start: u64,
    last: u64,
    collections: u64,
    served: BTreeMap<Coded, Timed<Explicit>>,
    called: BTreeMap<Coded, Timed<Exponential>>,
    stored: BTreeMap<(&'static str, &'static str), Stored>,
    hits: u64,
    misses: u64,
    sent: BTreeMap<&'static str, u64>,
    consumed: BTreeMap<&'static str, u64>,
    placed: u64,
    revenue: f64,
    logins: u64,
    mails: u64,
    parcels: u64,
    deliveries: Deliveries,
    /// CPU time, all of it and since the last collection.
    busy_nanos: u64,
    recent_nanos: u64,
    requests: u64,
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

/// A small number that tells outcomes apart.
fn code(door: &Door, outcome: Outcome, answered: bool) -> u16 {
    match door {
        _ if !answered => 0,
        Door::Http { .. } | Door::Topic(_) => status::http(door, outcome),
        Door::Grpc { .. } => u16::from(status::grpc(outcome).number) + 1,
    }
}

/// Samples that a summary looks back on.
const RECENT_DELIVERIES: usize = 256;

impl Meter {
    pub(crate) fn new(service: Service, ordinal: u16, start: u64) -> Self {
        Self {
            service,
            ordinal,
            start,
            last: start,
            collections: 0,
            served: BTreeMap::new(),
            called: BTreeMap::new(),
            stored: BTreeMap::new(),
            hits: 0,
            misses: 0,
            sent: BTreeMap::new(),
            consumed: BTreeMap::new(),
            placed: 0,
            revenue: 0.0,
            logins: 0,
            mails: 0,
            parcels: 0,
            deliveries: Deliveries::default(),
            busy_nanos: 0,
            recent_nanos: 0,
            requests: 0,
        }
    }

    /// A request was answered or a message consumed.
    pub(crate) fn served(&mut self, head: &Head, outcome: Outcome, now: u64) {
        self.requests += 1;
        let door = &head.operation.door;
        if let Door::Topic(consumer) = door {
            *self.consumed.entry(consumer.topic).or_default() += 1;
        }
        let old = matches!(door, Door::Grpc { .. }) && head.operation.service.deployment().language.speaks_old_rpc();
        let timed = self.served.entry((head.operation.id, code(door, outcome, true))).or_insert_with(|| Timed {
            operation: head.operation,
            outcome,
            answered: true,
            histogram: Explicit::new(if old { MILLISECONDS } else { SECONDS }),
        });
        let took = seconds(now - head.started);
        let sighting = Sighting { trace: &head.trace, span: &head.span, now };
        timed.histogram.record(if old { took * 1_000.0 } else { took }, Some(sighting));
    }

    /// An attempt of a call ended.
    pub(crate) fn called(&mut self, head: &Head, attempt: &Attempt, now: u64) {
        let key = (attempt.operation.id, code(&attempt.operation.door, attempt.outcome, attempt.answered));
        let timed = self.called.entry(key).or_insert_with(|| Timed {
            operation: attempt.operation,
            outcome: attempt.outcome,
            answered: attempt.answered,
            histogram: Exponential::default(),
        });
        let sighting = Sighting { trace: &head.trace, span: &attempt.span, now };
        timed.histogram.record(seconds(now - attempt.since), Some(sighting));
    }

    /// A PostgreSQL statement ended.
    pub(crate) fn statement(&mut self, sql: &'static Sql, nanos: u64, trace: &[u8; 16], span: &[u8; 8], now: u64) {
        let stored = self.stored.entry((sql.verb, sql.table)).or_insert_with(|| Stored {
            system: "postgresql",
            operation: sql.verb,
            collection: sql.table,
            histogram: Exponential::default(),
        });
        stored.histogram.record(seconds(nanos), Some(Sighting { trace, span, now }));
    }

    /// A Redis command ended.
    pub(crate) fn command(&mut self, redis: &'static Redis, nanos: u64, trace: &[u8; 16], span: &[u8; 8], now: u64) {
        let stored = self.stored.entry((redis.command, "")).or_insert_with(|| Stored {
            system: "redis",
            operation: redis.command,
            collection: "",
            histogram: Exponential::default(),
        });
        stored.histogram.record(seconds(nanos), Some(Sighting { trace, span, now }));
    }

    /// The cache was asked.
    pub(crate) fn cache(&mut self, hit: bool) {
        if hit { self.hits += 1 } else { self.misses += 1 }
    }

    /// A message was sent.
    pub(crate) fn sent(&mut self, topic: &'static str) {
        *self.sent.entry(topic).or_default() += 1;
    }

    /// CPU time went by.
    pub(crate) fn worked(&mut self, nanos: u64) {
        // A fifth of an operation's own time is CPU; the rest is waiting that the model does not tell apart.
        self.busy_nanos += nanos / 5;
        self.recent_nanos += nanos / 5;
    }

    /// A span of the application ended; deliveries by mail feed the summary.
    pub(crate) fn task(&mut self, name: &str, nanos: u64) {
        if name == "smtp.deliver" {
            let deliveries = &mut self.deliveries;
            deliveries.count += 1;
            deliveries.sum += seconds(nanos);
            if deliveries.recent.len() == RECENT_DELIVERIES {
                deliveries.recent.remove(0);
            }
            deliveries.recent.push(seconds(nanos));
        }
    }

    /// Something happened that the business counts.
    pub(crate) fn business(&mut self, business: Business, amount_minor: u64) {
        match business {
            Business::OrderPlaced => {
                self.placed += 1;
                self.revenue += amount_minor as f64 / 100.0;
            }
            Business::Login => self.logins += 1,
            Business::MailSent => self.mails += 1,
            Business::ParcelShipped => self.parcels += 1,
        }
    }
}
