//! How does a Kafka message reach its consumers?
//!
//! A group that takes messages one by one continues the producer's trace; a group that takes batches starts a trace of
//! its own, whose consumer span links to every message's producer span.
//!
//! Invariants
//! - M1: every published message is consumed once by each group of its topic.
//! - M2: offsets of a partition grow by one per message.

use super::{Event, Head, Link, Workload};
use crate::catalog::{CONSUMERS, Consumer, Door, Operation};
use crate::config::{MILLISECOND, Signal};
use crate::engine::Context;
use crate::telemetry::{self, Position};

/// Partitions of every topic.
const PARTITIONS: usize = 6;
/// Messages that a batch consumer takes at most at once.
const POLL_LIMIT: usize = 10;
/// How long a batch consumer collects.
const POLL_WAIT: u64 = 400 * MILLISECOND;

/// The state of Kafka.
#[derive(Debug, Default)]
pub(super) struct Brokers {
    topics: Vec<(&'static str, [u64; PARTITIONS])>,
    /// Per consumer of `CONSUMERS` that takes batches: what it has collected.
    collected: Vec<Vec<(Link, Context, Position)>>,
}

impl Brokers {
    /// No message waits for a consumer.
    pub(super) fn is_empty(&self) -> bool {
        self.collected.iter().all(Vec::is_empty)
    }

    fn append(&mut self, topic: &'static str, key: u64) -> Position {
        let partition = (key % PARTITIONS as u64) as usize;
        let place = self.topics.iter().position(|(name, _)| *name == topic).unwrap_or_else(|| {
            self.topics.push((topic, [0; PARTITIONS]));
            self.topics.len() - 1
        });
        let offset = &mut self.topics[place].1[partition];
        *offset += 1;
        Position { partition: partition as u64, offset: *offset - 1, messages: 1 }
    }

    fn collect(&mut self, consumer: usize, message: (Link, Context, Position)) -> usize {
        self.collected.resize_with(CONSUMERS.len(), Vec::new);
        self.collected[consumer].push(message);
        self.collected[consumer].len()
    }
}

impl Workload {
    /// A producer's send is over: its span is written and the consumers hear of it.
    pub(super) fn publish(&mut self, head: Head, topic: &'static str, span: [u8; 8], since: u64) {
        let position = self.brokers.append(topic, head.context.order);
        let (now, spans) = (self.now, self.wants(Signal::Spans));
        let instance = &mut self.fleet.instances[head.place];
        instance.meter.sent(topic);
        if spans {
            telemetry::producer(instance, &head, topic, span, position, since, now);
        }
        for (number, operation) in CONSUMERS.iter().enumerate() {
            if let Door::Topic(consumer) = &operation.door
                && consumer.topic == topic
            {
                self.deliver(number, operation, consumer, (head, span, position));
            }
        }
    }

    fn deliver(
        &mut self,
        number: usize,
        operation: &'static Operation,
        consumer: &Consumer,
        (head, span, position): (Head, [u8; 8], Position),
    ) {
        let link = Link { trace: head.trace, span };
        if consumer.batched {
            if self.brokers.collect(number, (link, head.context, position)) == 1 {
                self.schedule(self.now + POLL_WAIT, Event::Poll(number));
            }
            return;
        }
        let frame = self.new_frame(operation, head.trace, Some(span), head.context);
        if let Some(frame) = self.frames.get_mut(frame) {
            frame.links.push(link);
            frame.position = Some(position);
        }
        let lag = self.dice.log_normal(9_000_000.0, 0.7) as u64;
        self.schedule(self.now + lag, Event::Enter(frame));
    }

    /// A batch consumer takes what it has collected.
    pub(super) fn poll(&mut self, number: usize) {
        let Some(collected) = self.brokers.collected.get_mut(number) else { return };
        let take = collected.len().min(POLL_LIMIT);
        let taken: Vec<_> = collected.drain(..take).collect();
        if !collected.is_empty() {
            self.schedule(self.now + MILLISECOND, Event::Poll(number));
        }
        let Some((_, context, position)) = taken.last().copied() else { return };
        self.traces += 1;
        let trace = self.identity.trace_id(0, self.traces);
        let frame = self.new_frame(CONSUMERS[number], trace, None, context);
        if let Some(frame) = self.frames.get_mut(frame) {
            frame.links = taken.iter().map(|(link, _, _)| *link).collect();
            frame.position = Some(Position { messages: taken.len() as u64, ..position });
        }
        self.enter(frame);
    }
}
