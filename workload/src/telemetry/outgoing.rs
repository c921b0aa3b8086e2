//! Spans of those who ask: HTTP and gRPC clients, PostgreSQL and Redis clients, Kafka producers.

use super::status::{self, Grpc};
use super::{Frontispiece, Kind, Path, Query, attributes, error_status, exception, span};
use crate::catalog::{Door, Fault, Language, Operation, Redis, ScopeKind, Sql, failure_of};
use crate::engine::{Head, Outcome};
use crate::fleet::Instance;
use crate::wire::Attributes;

/// One attempt of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) operation: &'static Operation,
    pub(crate) span: [u8; 8],
    pub(crate) since: u64,
    /// 0 for the first.
    pub(crate) number: u8,
    pub(crate) outcome: Outcome,
    /// Did the server answer, or was the deadline first?
    pub(crate) answered: bool,
}

/// Where messages lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) partition: u64,
    pub(crate) offset: u64,
    pub(crate) messages: u64,
}

fn child<'a>(head: &'a Head, id: &'a [u8; 8], kind: Kind, start: u64, end: u64) -> Frontispiece<'a> {
    Frontispiece { trace: &head.trace, span: id, parent: Some(head.span), kind, start, end }
}

/// RPC attributes in the generation of conventions that the language's instrumentation speaks.
pub(super) fn rpc(attributes: &mut Attributes<'_>, language: Language, (service, method): (&str, &str), grpc: Grpc) {
    if language.speaks_old_rpc() {
        attributes.text("rpc.system", "grpc");
        attributes.text("rpc.service", service);
        attributes.text("rpc.method", method);
        attributes.int("rpc.grpc.status_code", i64::from(grpc.number));
    } else {
        attributes.text("rpc.system.name", "grpc");
        attributes.formatted("rpc.method", format_args!("{service}/{method}"));
        attributes.text("rpc.status_code", grpc.name);
    }
}

/// The span of one attempt of a call.
pub(crate) fn client(instance: &mut Instance, head: &Head, attempt: &Attempt, peer: &str, end: u64) {
    let mut spans = std::mem::take(&mut instance.spans);
    let front = child(head, &attempt.span, Kind::Client, attempt.since, end);
    match attempt.operation.door {
        Door::Http { method, route } => spans.push(ScopeKind::HttpClient, |out| {
            span(out, front, format_args!("{method}"), |out| {
                http_client(out, instance.language, head, attempt, (method, route));
                if !attempt.answered {
                    exception(out, instance.language, Fault::TimedOut, end);
                }
                if attempt.outcome != Outcome::Done {
                    error_status(out, if attempt.answered { "" } else { "no answer before the deadline" });
                }
            });
        }),
        Door::Grpc { service, method } => spans.push(ScopeKind::Rpc, |out| {
            span(out, front, format_args!("{service}/{method}"), |out| {
                let grpc = status::grpc(attempt.outcome);
                let mut attributes = attributes(out);
                rpc(&mut attributes, instance.language, (service, method), grpc);
                attributes.text("server.address", attempt.operation.service.name());
                attributes.int("server.port", i64::from(attempt.operation.service.deployment().port));
                attributes.text("network.peer.address", peer);
                if attempt.outcome != Outcome::Done {
                    attributes.text("error.type", grpc.name);
                }
                if attempt.number > 0 {
                    attributes.int("rpc.retry.count", i64::from(attempt.number));
                }
                if !attempt.answered {
                    exception(out, instance.language, Fault::TimedOut, end);
                }
                if attempt.outcome != Outcome::Done {
                    error_status(out, "");
                }
            });
        }),
        Door::Topic(_) => {}
    }
    instance.spans = spans;
}

fn http_client(out: &mut Vec<u8>, language: Language, head: &Head, attempt: &Attempt, (method, route): (&str, &str)) {
    let service = attempt.operation.service;
    let port = service.deployment().port;
    let path = Path { route, context: &head.context };
    let mut attributes = attributes(out);
    attributes.text("http.request.method", method);
    if route.ends_with("/search") {
        let query = Query(&head.context);
        attributes.formatted("url.full", format_args!("http://{}:{port}{path}?{query}", service.name()));
    } else {
        attributes.formatted("url.full", format_args!("http://{}:{port}{path}", service.name()));
    }
    attributes.text("server.address", service.name());
    attributes.int("server.port", i64::from(port));
    attributes.text("network.protocol.version", "1.1");
    if attempt.number > 0 {
        attributes.int("http.request.resend_count", i64::from(attempt.number));
    }
    if attempt.answered {
        let code = status::http(&attempt.operation.door, attempt.outcome);
        attributes.int("http.response.status_code", i64::from(code));
        if code >= 400 {
            attributes.text("error.type", status::code_text(code));
        }
    } else {
        attributes.text("error.type", failure_of(language, Fault::TimedOut).kind);
    }
}

/// The span of a PostgreSQL statement.
pub(crate) fn statement(instance: &mut Instance, head: &Head, sql: &Sql, id: [u8; 8], start: u64, end: u64) {
    let front = child(head, &id, Kind::Client, start, end);
    let namespace = instance.service.deployment().database.unwrap_or("shop");
    instance.spans.push(ScopeKind::Sql, |out| {
        span(out, front, format_args!("{} {}", sql.verb, sql.table), |out| {
            let mut attributes = attributes(out);
            attributes.text("db.system.name", "postgresql");
            attributes.text("db.namespace", namespace);
            attributes.text("db.operation.name", sql.verb);
            attributes.text("db.collection.name", sql.table);
            attributes.text("db.query.text", sql.text);
            attributes.formatted("server.address", format_args!("{namespace}-db"));
            attributes.int("server.port", 5432);
        });
    });
}

/// The id that a Redis key is made of.
fn key_id(head: &Head, redis: &Redis) -> (&'static str, u64) {
    let context = &head.context;
    match redis.key.split_once(':') {
        Some((kind @ ("user" | "cart" | "unsubscribed"), _)) => (kind, context.user),
        Some((kind @ "session", _)) => (kind, context.session),
        Some((kind @ "search", _)) => (kind, context.product % 12),
        Some((kind, _)) => (kind, context.product),
        None => ("shop", context.product),
    }
}

/// The span of a Redis command.
pub(crate) fn command(
    instance: &mut Instance,
    head: &Head,
    redis: &'static Redis,
    id: [u8; 8],
    start: u64,
    end: u64,
    hit: bool,
) {
    let front = child(head, &id, Kind::Client, start, end);
    let (kind, number) = key_id(head, redis);
    let reads = matches!(redis.command, "GET" | "HGETALL" | "ZREVRANGE");
    instance.spans.push(ScopeKind::Redis, |out| {
        span(out, front, format_args!("{}", redis.command), |out| {
            let mut attributes = attributes(out);
            attributes.text("db.system.name", "redis");
            attributes.text("db.namespace", "0");
            attributes.text("db.operation.name", redis.command);
            attributes.formatted("db.query.text", format_args!("{} {kind}:{number}", redis.command));
            attributes.text("server.address", "redis");
            attributes.int("server.port", 6379);
            if reads {
                attributes.flag("cache.hit", hit);
            }
        });
    });
}

/// The span of a message being sent.
pub(crate) fn producer(
    instance: &mut Instance,
    head: &Head,
    topic: &str,
    id: [u8; 8],
    position: Position,
    start: u64,
    end: u64,
) {
    let front = child(head, &id, Kind::Producer, start, end);
    let client = instance.service.name();
    instance.spans.push(ScopeKind::Kafka, |out| {
        span(out, front, format_args!("send {topic}"), |out| {
            let mut attributes = attributes(out);
            attributes.text("messaging.system", "kafka");
            attributes.text("messaging.operation.name", "send");
            attributes.text("messaging.operation.type", "send");
            attributes.text("messaging.destination.name", topic);
            attributes.formatted("messaging.client.id", format_args!("{client}-producer-1"));
            attributes.formatted("messaging.destination.partition.id", format_args!("{}", position.partition));
            attributes.int("messaging.kafka.offset", position.offset.cast_signed());
            attributes.formatted("messaging.kafka.message.key", format_args!("o-{}", head.context.order));
            attributes.text("server.address", "kafka");
            attributes.int("server.port", 9092);
        });
    });
}
