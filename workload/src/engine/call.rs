//! What does a caller do while it waits, when it has waited too long, and when the answer is bad?
//!
//! Each attempt is a client span and a frame of its own. An attempt that timed out goes on at the server: nobody hears
//! its answer, and its server span ends after its parent, as in life.
//!
//! Invariants
//! - L1: a frame's `open` counts its calls without a final answer; when it reaches zero the frame goes on.
//! - L2: an attempt ends once, by answer or by timeout, whichever is first.
//! - L3: only failures are tried again, never refusals, and at most the call's attempts (more in a retry storm).

use std::sync::Arc;

use super::{Event, FIRST_BACKOFF, Head, Key, Outcome, Workload};
use crate::catalog::{Call, Fault, Need};
use crate::config::{MILLISECOND, Signal};
use crate::telemetry::{self, Attempt};

/// An attempt that has no answer yet, or a pause before the next one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    frame: Key,
    call: &'static Call,
    /// 0 for the first.
    attempt: u8,
    span: [u8; 8],
    since: u64,
    peer: usize,
}

impl Workload {
    /// Starts calls side by side.
    pub(super) fn call(&mut self, frame: Key, head: Head, calls: &'static [Call]) {
        if let Some(running) = self.frames.get_mut(frame) {
            running.open = calls.len() as u32;
        }
        for call in calls {
            self.attempt(frame, head, call, 0);
        }
    }

    fn attempt(&mut self, frame: Key, head: Head, call: &'static Call, attempt: u8) {
        let span = self.next_span();
        let request = self.new_frame(call.operation, head.trace, Some(span), head.context);
        let peer = self.frames.get(request).map_or(0, |request| request.head.place);
        let waiting = self.calls.insert(Waiting { frame, call, attempt, span, since: self.now, peer });
        if let Some(request) = self.frames.get_mut(request) {
            request.caller = Some(waiting);
        }
        let hop = self.hop();
        self.schedule(self.now + hop, Event::Enter(request));
        self.schedule(self.now + u64::from(call.timeout_ms) * MILLISECOND, Event::Timeout(waiting));
    }

    /// An answer has come; too late if the caller has given up.
    pub(super) fn answered(&mut self, key: Key, outcome: Outcome) {
        if let Some(waiting) = self.calls.remove(key) {
            self.attempt_over(waiting, outcome, true);
        }
    }

    /// The deadline of an attempt has come; meaningless if the answer was faster.
    pub(super) fn timed_out(&mut self, key: Key) {
        if let Some(waiting) = self.calls.remove(key) {
            self.attempt_over(waiting, Outcome::Failed(Fault::TimedOut), false);
        }
    }

    fn attempt_over(&mut self, waiting: Waiting, outcome: Outcome, answered: bool) {
        let Some(frame) = self.frames.get(waiting.frame) else { return };
        let head = frame.head;
        let attempt = Attempt {
            operation: waiting.call.operation,
            span: waiting.span,
            since: waiting.since,
            number: waiting.attempt,
            outcome,
            answered,
        };
        let storm = self.effect(waiting.call.operation.service).retry_storm;
        let last = waiting.call.attempts + if storm { 4 } else { 0 };
        let again = matches!(outcome, Outcome::Failed(_)) && waiting.attempt + 1 < last;
        self.record(&head, &attempt, waiting.peer, again);
        if again {
            let pause = self.pause(waiting.attempt, storm);
            let pausing = self.calls.insert(waiting);
            self.schedule(self.now + pause, Event::Retry(pausing));
        } else {
            self.call_over(waiting, outcome);
        }
    }

    fn pause(&mut self, attempt: u8, storm: bool) -> u64 {
        let base = if storm { MILLISECOND } else { FIRST_BACKOFF << attempt.min(6) };
        (base as f64 * (0.5 + self.dice.unit())) as u64
    }

    fn record(&mut self, head: &Head, attempt: &Attempt, peer: usize, again: bool) {
        let now = self.now;
        let address = Arc::clone(&self.fleet.instances[peer].address);
        let (spans, logs) = (self.wants(Signal::Spans), self.wants(Signal::Logs));
        let instance = &mut self.fleet.instances[head.place];
        instance.meter.called(head, attempt, now);
        if spans {
            telemetry::client(instance, head, attempt, &address, now);
        }
        if logs && matches!(attempt.outcome, Outcome::Failed(_)) {
            telemetry::call_failed(instance, head, attempt, again, now);
        }
        self.flush_if_full(head.place, Signal::Spans);
        self.flush_if_full(head.place, Signal::Logs);
    }

    /// The pause before the next attempt is over.
    pub(super) fn try_again(&mut self, key: Key) {
        let Some(waiting) = self.calls.remove(key) else { return };
        let Some(frame) = self.frames.get(waiting.frame) else { return };
        self.attempt(waiting.frame, frame.head, waiting.call, waiting.attempt + 1);
    }

    fn call_over(&mut self, waiting: Waiting, outcome: Outcome) {
        let Some(frame) = self.frames.get_mut(waiting.frame) else { return };
        frame.open -= 1;
        if waiting.call.need == Need::Required && frame.outcome == Outcome::Done {
            frame.outcome = match outcome {
                Outcome::Failed(Fault::TimedOut) => Outcome::Failed(Fault::TimedOut),
                Outcome::Failed(_) => Outcome::Failed(Fault::Upstream),
                Outcome::Done | Outcome::Refused(_) => outcome,
            };
        }
        if frame.open == 0 {
            self.advance(waiting.frame);
        }
    }
}
