//! Spans of those who serve: HTTP and gRPC servers, Kafka consumers, and the application's own spans inside.

use super::{
    Frontispiece, Ip, Kind, Path, Position, Query, agent, attributes, error_status, exception, field, span, status,
};
use crate::catalog::{Door, ScopeKind, Service, failure_of};
use crate::engine::{Head, Link, Outcome};
use crate::fleet::Instance;
use crate::wire::{self, Attributes};

fn front(head: &Head, kind: Kind, end: u64) -> Frontispiece<'_> {
    Frontispiece { trace: &head.trace, span: &head.span, parent: head.parent, kind, start: head.started, end }
}

/// The thread that a span ran on, for languages that have such.
fn thread(attributes: &mut Attributes<'_>, instance: &Instance, head: &Head) {
    if instance.language.has_threads() {
        let thread = i64::from(head.span[7]) % i64::from(instance.workers.max(1));
        attributes.int("thread.id", 24 + thread);
        attributes.formatted("thread.name", format_args!("worker-exec-{thread}"));
    }
}

/// The event and status of a request that failed on the server.
fn failed(out: &mut Vec<u8>, instance: &Instance, outcome: Outcome, end: u64) {
    if let Outcome::Failed(fault) = outcome {
        exception(out, instance.language, fault, end);
    }
}

/// The span of a request that an HTTP or gRPC server answered.
pub(crate) fn server(instance: &mut Instance, head: &Head, outcome: Outcome, end: u64) {
    let mut spans = std::mem::take(&mut instance.spans);
    match head.operation.door {
        Door::Http { method, route } => spans.push(ScopeKind::HttpServer, |out| {
            span(out, front(head, Kind::Server, end), format_args!("{method} {route}"), |out| {
                http_server(out, instance, head, (method, route), outcome, end);
            });
        }),
        Door::Grpc { service, method } => spans.push(ScopeKind::Rpc, |out| {
            span(out, front(head, Kind::Server, end), format_args!("{service}/{method}"), |out| {
                grpc_server(out, instance, head, (service, method), outcome, end);
            });
        }),
        Door::Topic(_) => {}
    }
    instance.spans = spans;
}

fn http_server(
    out: &mut Vec<u8>,
    instance: &Instance,
    head: &Head,
    (method, route): (&str, &str),
    outcome: Outcome,
    end: u64,
) {
    let code = status::http(&head.operation.door, outcome);
    let context = &head.context;
    let edge = instance.service == Service::Gateway;
    let mut attributes = attributes(out);
    attributes.text("http.request.method", method);
    attributes.text("http.route", route);
    attributes.text("url.scheme", if edge { "https" } else { "http" });
    attributes.formatted("url.path", format_args!("{}", Path { route, context }));
    if route.ends_with("/search") {
        attributes.formatted("url.query", format_args!("{}", Query(context)));
    }
    attributes.int("http.response.status_code", i64::from(code));
    attributes.text("network.protocol.version", if edge { "2" } else { "1.1" });
    if edge {
        attributes.text("server.address", "shop.example.com");
        attributes.int("server.port", 443);
        attributes.formatted("client.address", format_args!("{}", Ip(context.address)));
        attributes.text("user_agent.original", agent(context));
        attributes.formatted("session.id", format_args!("{:016x}", context.session));
        attributes.formatted("user.id", format_args!("u-{}", context.user));
    } else {
        attributes.text("server.address", instance.service.name());
        attributes.int("server.port", i64::from(instance.service.deployment().port));
        attributes.text("code.function.name", head.operation.handler);
    }
    if route.contains("order_id") || route == "/orders" {
        attributes.formatted("order.id", format_args!("o-{}", context.order));
    }
    thread(&mut attributes, instance, head);
    if code >= 500 {
        attributes.text("error.type", status::code_text(code));
    }
    failed(out, instance, outcome, end);
    if code >= 500 {
        // The status code says it; the conventions want no description then.
        error_status(out, "");
    }
}

fn grpc_server(
    out: &mut Vec<u8>,
    instance: &Instance,
    head: &Head,
    (service, method): (&str, &str),
    outcome: Outcome,
    end: u64,
) {
    let grpc = status::grpc(outcome);
    let mut attributes = attributes(out);
    super::outgoing::rpc(&mut attributes, instance.language, (service, method), grpc);
    attributes.text("server.address", instance.service.name());
    attributes.int("server.port", i64::from(instance.service.deployment().port));
    attributes.text("code.function.name", head.operation.handler);
    thread(&mut attributes, instance, head);
    if grpc.server_error {
        attributes.text("error.type", grpc.name);
    }
    failed(out, instance, outcome, end);
    if grpc.server_error {
        let description = match outcome {
            Outcome::Failed(fault) => failure_of(instance.language, fault).message,
            Outcome::Done | Outcome::Refused(_) => "",
        };
        error_status(out, description);
    }
}

/// The span of a consumed message or batch.
pub(crate) fn consumer(
    instance: &mut Instance,
    head: &Head,
    outcome: Outcome,
    links: &[Link],
    position: Option<Position>,
    end: u64,
) {
    let Door::Topic(door) = &head.operation.door else { return };
    let mut spans = std::mem::take(&mut instance.spans);
    spans.push(ScopeKind::Kafka, |out| {
        span(out, front(head, Kind::Consumer, end), format_args!("process {}", door.topic), |out| {
            let mut attributes = attributes(out);
            attributes.text("messaging.system", "kafka");
            attributes.text("messaging.operation.name", "process");
            attributes.text("messaging.operation.type", "process");
            attributes.text("messaging.destination.name", door.topic);
            attributes.text("messaging.consumer.group.name", door.group);
            if let Some(position) = position {
                attributes.formatted("messaging.destination.partition.id", format_args!("{}", position.partition));
                if door.batched {
                    attributes.int("messaging.batch.message_count", position.messages.cast_signed());
                } else {
                    attributes.int("messaging.kafka.offset", position.offset.cast_signed());
                    attributes.formatted("messaging.kafka.message.key", format_args!("o-{}", head.context.order));
                }
            }
            attributes.text("server.address", "kafka");
            attributes.int("server.port", 9092);
            attributes.text("code.function.name", head.operation.handler);
            thread(&mut attributes, instance, head);
            if let Outcome::Failed(fault) = outcome {
                attributes.text("error.type", failure_of(instance.language, fault).kind);
            }
            failed(out, instance, outcome, end);
            for link in links {
                wire::message(out, field::LINKS, |out| {
                    wire::bytes(out, 1, &link.trace);
                    wire::bytes(out, 2, &link.span);
                    wire::fixed32(out, 6, super::FLAGS | super::REMOTE_PARENT);
                });
            }
            if let Outcome::Failed(fault) = outcome {
                error_status(out, failure_of(instance.language, fault).message);
            }
        });
    });
    instance.spans = spans;
}

/// A span of the application's own tracer.
pub(crate) fn internal(instance: &mut Instance, head: &Head, name: &str, id: [u8; 8], start: u64, end: u64) {
    let mut spans = std::mem::take(&mut instance.spans);
    let front =
        Frontispiece { trace: &head.trace, span: &id, parent: Some(head.span), kind: Kind::Internal, start, end };
    spans.push(ScopeKind::Application, |out| {
        span(out, front, format_args!("{name}"), |out| {
            let mut attributes = attributes(out);
            attributes.formatted("code.function.name", format_args!("{}.{name}", head.operation.handler));
            attributes.int("code.line.number", 40 + i64::from(name.len() as u8) * 7);
            attributes.formatted("user.id", format_args!("u-{}", head.context.user));
            thread(&mut attributes, instance, head);
            particulars(&mut attributes, head, name);
            if name == "smtp.deliver" && end - start > 60_000_000 {
                wire::message(out, field::EVENTS, |out| {
                    wire::fixed64(out, 1, start + (end - start) / 2);
                    wire::bytes(out, 2, b"smtp.greylisted");
                    Attributes::new(out, 3).int("smtp.reply_code", 451);
                });
            }
        });
    });
    instance.spans = spans;
}

/// Attributes of some application spans: doubles, booleans and arrays occur in life.
fn particulars(attributes: &mut Attributes<'_>, head: &Head, name: &str) {
    let context = &head.context;
    match name {
        "FraudModel.score" => {
            attributes.double("fraud.score", (context.user % 997) as f64 / 997.0);
            attributes.flag("fraud.review", context.user.is_multiple_of(97));
        }
        "CardNetwork.authorize" => {
            attributes.formatted("order.id", format_args!("o-{}", context.order));
            attributes.double("payment.amount", context.amount_minor as f64 / 100.0);
            attributes.text("payment.currency", "EUR");
        }
        "model.predict" => {
            attributes.text("model.name", "ranker-v12");
            attributes.texts("model.features", &["recency", "price_band", "category_affinity"]);
        }
        "pack_parcels" | "label.render" => attributes.formatted("order.id", format_args!("o-{}", context.order)),
        _ => {}
    }
}
