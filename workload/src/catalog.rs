//! Which services does the shop have, what can each be asked, and what does it do then?
//!
//! An operation is a door (an HTTP route, a gRPC method, a Kafka topic) and a list of steps. The engine interprets the
//! steps; nothing here has state.
//!
//! Invariants
//! - O1: operation ids are unique, calls never form a cycle, and every call goes to an HTTP or gRPC door.
//! - O2: every topic that is published has at least one consumer.
//!
//! Not here: timing under load, queues, retries (`engine`), attribute names (`telemetry`).

mod language;
mod shop;

pub(crate) use language::{Fault, Language, ScopeKind, failure_of};
pub(crate) use shop::{CONSUMERS, ENTRANCES};

/// A service of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// The edge: every request from outside enters here.
    Gateway,
    /// Takes orders.
    Order,
    /// Keeps carts.
    Cart,
    /// Knows and reserves stock.
    Inventory,
    /// Charges cards.
    Payment,
    /// Knows users and their sessions.
    User,
    /// Full-text search.
    Search,
    /// Recommends products.
    Recommend,
    /// Ships parcels.
    Shipping,
    /// Sends mail.
    Notification,
}

/// How a service is built and deployed.
#[derive(Debug)]
pub(crate) struct Deployment {
    pub(crate) name: &'static str,
    pub(crate) language: Language,
    pub(crate) version: &'static str,
    /// Instances at any load.
    pub(crate) instances: u16,
    /// Requests that one instance works on at once at the reference load.
    pub(crate) workers: u32,
    pub(crate) port: u16,
    /// Its PostgreSQL database, if it has one.
    pub(crate) database: Option<&'static str>,
}

impl Service {
    /// All of them; a service's discriminant is its place.
    pub const ALL: [Self; 10] = [
        Self::Gateway,
        Self::Order,
        Self::Cart,
        Self::Inventory,
        Self::Payment,
        Self::User,
        Self::Search,
        Self::Recommend,
        Self::Shipping,
        Self::Notification,
    ];

    /// Its `service.name`.
    pub fn name(self) -> &'static str {
        self.deployment().name
    }

    /// Its place in `ALL`.
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    pub(crate) fn deployment(self) -> &'static Deployment {
        &shop::DEPLOYMENTS[self.index()]
    }

    /// The services whose telemetry may suffer when this one does: itself and all that call it, directly or not.
    pub fn dependants(self) -> Vec<Self> {
        let mut known = vec![self];
        let mut next = 0;
        while let Some(&callee) = known.get(next) {
            for operation in shop::OPERATIONS {
                let calls = operation.calls().iter().any(|call| call.operation.service == callee);
                if calls && !known.contains(&operation.service) {
                    known.push(operation.service);
                }
            }
            next += 1;
        }
        known.sort_unstable();
        known
    }
}

/// What a service can be asked.
#[derive(Debug)]
pub(crate) struct Operation {
    /// Unique; orders metric series.
    pub(crate) id: u16,
    pub(crate) service: Service,
    pub(crate) door: Door,
    /// Fully qualified handler, for `code.function.name`.
    pub(crate) handler: &'static str,
    pub(crate) steps: &'static [Step],
}

/// How an operation is reached.
#[derive(Debug)]
pub(crate) enum Door {
    Http { method: &'static str, route: &'static str },
    Grpc { service: &'static str, method: &'static str },
    Topic(Consumer),
}

/// A consumer group's view of a topic.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) topic: &'static str,
    pub(crate) group: &'static str,
    /// Continue the producer's trace (one message at a time), or start a new one that links to each message of a batch.
    pub(crate) batched: bool,
}

/// One thing that an operation does; steps run in order.
#[derive(Debug)]
pub(crate) enum Step {
    /// CPU time; a name makes it an internal span.
    Work { name: Option<&'static str>, median_us: u32 },
    /// One request to another service.
    Call(Call),
    /// Several requests at once; the step ends with the last answer.
    Together(&'static [Call]),
    /// A PostgreSQL statement.
    Sql(Sql),
    /// A Redis command.
    Redis(Redis),
    /// A cache read; on a miss the steps run (and usually end by filling the cache).
    Cache { read: Redis, hit_ratio: f64, miss: &'static [Step] },
    /// A Kafka message.
    Publish { topic: &'static str },
    /// A log record.
    Log(Line),
    /// A share of requests ends here, refused for a reason of its own; that is an answer, not a fault.
    Refuse { share: f64, refusal: Refusal },
    /// The operation's business counter goes up.
    Count(Business),
}

/// A request to another service.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) operation: &'static Operation,
    pub(crate) timeout_ms: u32,
    /// Attempts in all, the first included.
    pub(crate) attempts: u8,
    /// What a final failure means.
    pub(crate) need: Need,
}

/// What the failure of a call means to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// The caller fails too.
    Required,
    /// The caller goes on without (and logs a warning).
    Optional,
}

/// A statement.
#[derive(Debug)]
pub(crate) struct Sql {
    pub(crate) verb: &'static str,
    pub(crate) table: &'static str,
    pub(crate) text: &'static str,
    pub(crate) median_us: u32,
}

/// A command.
#[derive(Debug)]
pub(crate) struct Redis {
    pub(crate) command: &'static str,
    /// Key pattern; `{}` stands for the id.
    pub(crate) key: &'static str,
    pub(crate) median_us: u32,
}

/// Reasons to refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotFound,
    Unauthenticated,
    Declined,
    OutOfStock,
}

/// Business counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Business {
    OrderPlaced,
    Login,
    MailSent,
    ParcelShipped,
}

/// A log record's template.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) severity: Severity,
    /// `{user}`, `{order}`, `{product}`, `{session}`, `{amount}`, `{ms}` are filled in and also sent as attributes.
    pub(crate) text: &'static str,
    /// Set for records that are events in OpenTelemetry's sense.
    pub(crate) event: Option<&'static str>,
    /// Share of requests that write it.
    pub(crate) share: f64,
}

/// OpenTelemetry's severity numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    Debug = 5,
    Info = 9,
    Warn = 13,
    Error = 17,
}

impl Operation {
    /// All calls of its steps, cache misses included.
    pub(crate) fn calls(&self) -> Vec<&'static Call> {
        fn collect(steps: &'static [Step], calls: &mut Vec<&'static Call>) {
            for step in steps {
                match step {
                    Step::Call(call) => calls.push(call),
                    Step::Together(together) => calls.extend(together.iter()),
                    Step::Cache { miss, .. } => collect(miss, calls),
                    _ => {}
                }
            }
        }
        let mut calls = Vec::new();
        collect(self.steps, &mut calls);
        calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o1_ids_are_unique_and_calls_go_down_to_callable_doors() {
        fn depth(operation: &Operation, seen: usize) -> usize {
            assert!(seen < 8, "operations call each other in a circle");
            operation.calls().iter().map(|call| 1 + depth(call.operation, seen + 1)).max().unwrap_or(0)
        }
        let mut ids: Vec<u16> = shop::OPERATIONS.iter().map(|operation| operation.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), shop::OPERATIONS.len());
        for operation in shop::OPERATIONS {
            depth(operation, 0);
            for call in operation.calls() {
                assert!(!matches!(call.operation.door, Door::Topic(_)));
                assert!(call.attempts >= 1 && call.timeout_ms > 0);
                assert!(shop::OPERATIONS.iter().any(|known| known.id == call.operation.id));
            }
        }
    }

    #[test]
    fn o2_every_topic_has_a_consumer() {
        for operation in shop::OPERATIONS {
            for step in operation.steps {
                if let Step::Publish { topic } = step {
                    let heard = CONSUMERS
                        .iter()
                        .any(|consumer| matches!(&consumer.door, Door::Topic(door) if door.topic == *topic));
                    assert!(heard, "nobody consumes {topic}");
                }
            }
        }
    }

    #[test]
    fn n2_dependants_are_the_callers_of_the_callers() {
        use Service::{Gateway, Order, Payment, Recommend, Search};
        assert_eq!(Payment.dependants(), [Gateway, Order, Payment]);
        assert_eq!(Gateway.dependants(), [Gateway]);
        assert_eq!(Recommend.dependants(), [Gateway, Search, Recommend]);
    }

    #[test]
    fn every_service_is_at_its_place() {
        for (place, service) in Service::ALL.into_iter().enumerate() {
            assert_eq!(service.index(), place);
            assert_eq!(service.name(), format!("{service:?}").to_lowercase());
        }
    }
}
