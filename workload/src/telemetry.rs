//! What does instrumented code say about what happens? Spans, log records and metrics under the semantic conventions.
//!
//! Names follow semantic-conventions 1.44: stable HTTP, database and code conventions, the RPC release candidate
//! (`rpc.system.name`, fully qualified `rpc.method`, `rpc.status_code`) and the Kafka ones as they are. Python and Node
//! services still speak the RPC conventions of before (`rpc.system`, `rpc.service`, `rpc.grpc.status_code`): fleets do.
//!
//! Invariants
//! - T1: an HTTP server span has method, route, scheme, path and status code; a database span has system, operation and
//!   collection or key; errors have `error.type` and status ERROR, as the conventions say for each kind.
//! - T2: nothing here draws random numbers: what is sent does not change what happens.
//!
//! Not here: when (`engine`), batching (`export`).

mod histogram;
mod meter;
mod outgoing;
mod record;
mod serving;
mod status;

pub(crate) use meter::{Meter, collect};
pub(crate) use outgoing::{Attempt, Position, client, command, producer, statement};
pub(crate) use record::{access, call_failed, failure, heartbeat, line};
pub(crate) use serving::{consumer, internal, server};

use std::fmt::Arguments;

use crate::catalog::{Fault, Language, failure_of};
use crate::engine::Context;
use crate::wire::{self, Attributes};

/// OTLP's span kinds.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Internal = 1,
    Server = 2,
    Client = 3,
    Producer = 4,
    Consumer = 5,
}

/// Sampled, with a random trace id (W3C trace context level 2), and "whether the parent is remote is known".
const FLAGS: u32 = 0x103;
const REMOTE_PARENT: u32 = 0x200;

/// The field numbers of `Span`.
mod field {
    pub(super) const ATTRIBUTES: u32 = 9;
    pub(super) const EVENTS: u32 = 11;
    pub(super) const LINKS: u32 = 13;
    pub(super) const STATUS: u32 = 15;
    pub(super) const FLAGS: u32 = 16;
}

/// A span's identity and extent.
#[derive(Debug, Clone, Copy)]
struct Frontispiece<'a> {
    trace: &'a [u8; 16],
    span: &'a [u8; 8],
    parent: Option<[u8; 8]>,
    kind: Kind,
    start: u64,
    end: u64,
}

/// Writes a span; `rest` writes attributes, events, links and status, in this order.
fn span(out: &mut Vec<u8>, front: Frontispiece<'_>, name: Arguments<'_>, rest: impl FnOnce(&mut Vec<u8>)) {
    wire::bytes(out, 1, front.trace);
    wire::bytes(out, 2, front.span);
    if let Some(parent) = front.parent {
        wire::bytes(out, 4, &parent);
    }
    wire::formatted(out, 5, name);
    wire::number(out, 6, front.kind as u64);
    wire::fixed64(out, 7, front.start);
    wire::fixed64(out, 8, front.end);
    rest(out);
    let remote = front.parent.is_some() && matches!(front.kind, Kind::Server | Kind::Consumer);
    wire::fixed32(out, field::FLAGS, FLAGS | if remote { REMOTE_PARENT } else { 0 });
}

fn attributes(out: &mut Vec<u8>) -> Attributes<'_> {
    Attributes::new(out, field::ATTRIBUTES)
}

/// Status ERROR, with a description if there is one.
fn error_status(out: &mut Vec<u8>, description: &str) {
    wire::message(out, field::STATUS, |out| {
        if !description.is_empty() {
            wire::bytes(out, 2, description.as_bytes());
        }
        wire::number(out, 3, 2);
    });
}

/// The `exception` event of a fault.
fn exception(out: &mut Vec<u8>, language: Language, fault: Fault, now: u64) {
    let failure = failure_of(language, fault);
    wire::message(out, field::EVENTS, |out| {
        wire::fixed64(out, 1, now);
        wire::bytes(out, 2, b"exception");
        let mut attributes = Attributes::new(out, 3);
        attributes.text("exception.type", failure.kind);
        attributes.text("exception.message", failure.message);
        if !failure.stacktrace.is_empty() {
            attributes.text("exception.stacktrace", failure.stacktrace);
        }
    });
}

/// A route with its parameters filled in.
#[derive(Debug, Clone, Copy)]
struct Path<'a> {
    route: &'a str,
    context: &'a Context,
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some((before, rest)) = self.route.split_once('{') else { return f.write_str(self.route) };
        let Some((parameter, after)) = rest.split_once('}') else { return f.write_str(self.route) };
        f.write_str(before)?;
        match parameter {
            "user_id" => write!(f, "{}", self.context.user)?,
            "order_id" => write!(f, "{}", self.context.order)?,
            _ => write!(f, "{}", self.context.product)?,
        }
        f.write_str(after)
    }
}

/// What people search for.
const SEARCHES: [&str; 12] = [
    "running shoes",
    "espresso machine",
    "usb-c cable 2m",
    "garden chair",
    "noise cancelling headphones",
    "kids rain jacket",
    "cast iron pan",
    "mechanical keyboard",
    "hiking backpack 40l",
    "led bulb e27",
    "board game",
    "yoga mat",
];

/// The query string of a search.
#[derive(Debug, Clone, Copy)]
struct Query<'a>(&'a Context);

impl std::fmt::Display for Query<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = SEARCHES[(self.0.product % SEARCHES.len() as u64) as usize];
        f.write_str("q=")?;
        for (number, word) in words.split(' ').enumerate() {
            if number > 0 {
                f.write_str("+")?;
            }
            f.write_str(word)?;
        }
        write!(f, "&page={}", 1 + self.0.session % 3)
    }
}

/// What the shop's users browse with.
const AGENTS: [&str; 6] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:146.0) Gecko/20100101 Firefox/146.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 26_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 16; Pixel 10) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Mobile Safari/537.36",
    "ShopApp/8.14.2 (Android 15; SM-S931B)",
    "ShopApp/8.13.0 (iOS 26.0; iPhone17,2)",
];

fn agent(context: &Context) -> &'static str {
    AGENTS[(context.user % AGENTS.len() as u64) as usize]
}

/// A client's address as text.
#[derive(Debug, Clone, Copy)]
struct Ip(u32);

impl std::fmt::Display for Ip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Documentation and benchmark networks only.
        let [a, b, c, _] = self.0.to_be_bytes();
        write!(f, "198.{}.{b}.{c}", 18 + a % 2)
    }
}

#[cfg(test)]
mod tests;
