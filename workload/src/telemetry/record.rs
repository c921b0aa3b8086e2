//! Log records, as a logging library bridged to OpenTelemetry sends them.
//!
//! Records of a request carry its trace and span id; heartbeats carry none. Node services log structures (a map as body),
//! the others sentences with attributes.

use super::{Attempt, Ip, Path, status};
use crate::catalog::{Door, Fault, Language, Line, ScopeKind, Severity, failure_of};
use crate::engine::{Head, Outcome};
use crate::fleet::Instance;
use crate::wire::{self, Attributes};

/// The field numbers of `LogRecord`.
mod field {
    pub(super) const TIME: u32 = 1;
    pub(super) const SEVERITY_NUMBER: u32 = 2;
    pub(super) const SEVERITY_TEXT: u32 = 3;
    pub(super) const BODY: u32 = 5;
    pub(super) const ATTRIBUTES: u32 = 6;
    pub(super) const FLAGS: u32 = 8;
    pub(super) const TRACE: u32 = 9;
    pub(super) const SPAN: u32 = 10;
    pub(super) const OBSERVED: u32 = 11;
    pub(super) const EVENT: u32 = 12;
}

fn severity_text(language: Language, severity: Severity) -> &'static str {
    match (language, severity) {
        (Language::NodeJs, Severity::Debug) => "debug",
        (Language::NodeJs, Severity::Info) => "info",
        (Language::NodeJs, Severity::Warn) => "warn",
        (Language::NodeJs, Severity::Error) => "error",
        (Language::DotNet, Severity::Info) => "Information",
        (Language::DotNet, Severity::Warn) => "Warning",
        (Language::DotNet, Severity::Debug) => "Debug",
        (Language::DotNet, Severity::Error) => "Error",
        (Language::Python, Severity::Warn) => "WARNING",
        (_, Severity::Debug) => "DEBUG",
        (_, Severity::Info) => "INFO",
        (_, Severity::Warn) => "WARN",
        (_, Severity::Error) => "ERROR",
    }
}

/// Writes one record; `content` writes body and attributes.
fn record(
    instance: &mut Instance,
    severity: Severity,
    trace: Option<(&[u8; 16], &[u8; 8])>,
    now: u64,
    event: Option<&str>,
    content: impl FnOnce(&mut Vec<u8>),
) {
    let text = severity_text(instance.language, severity);
    instance.logs.push(ScopeKind::Application, |out| {
        wire::fixed64(out, field::TIME, now);
        wire::number(out, field::SEVERITY_NUMBER, severity as u64);
        wire::bytes(out, field::SEVERITY_TEXT, text.as_bytes());
        content(out);
        if let Some((trace, span)) = trace {
            wire::fixed32(out, field::FLAGS, 1);
            wire::bytes(out, field::TRACE, trace);
            wire::bytes(out, field::SPAN, span);
        }
        // The bridge sees the record a little later than the code that wrote it.
        wire::fixed64(out, field::OBSERVED, now + 21_000 + now % 9_000);
        if let Some(event) = event {
            wire::bytes(out, field::EVENT, event.as_bytes());
        }
    });
}

fn sentence(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    wire::message(out, field::BODY, |out| wire::message(out, 1, write));
}

/// The pieces of a template: text and named values in turn.
fn pieces(template: &'static str) -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    template.split('{').enumerate().flat_map(|(number, part)| {
        let (name, text) =
            if number == 0 { (None, part) } else { part.split_once('}').map_or((None, part), |(n, t)| (Some(n), t)) };
        [("", name), (text, None)].into_iter().filter(|(text, name)| !text.is_empty() || name.is_some())
    })
}

fn value(out: &mut Vec<u8>, head: &Head, name: &str, now: u64) {
    let context = &head.context;
    match name {
        "user" => wire::text(out, format_args!("u-{}", context.user)),
        "order" => wire::text(out, format_args!("o-{}", context.order)),
        "product" => wire::text(out, format_args!("{}", context.product)),
        "session" => wire::text(out, format_args!("{:016x}", context.session)),
        "amount" => wire::text(out, format_args!("{}.{:02}", context.amount_minor / 100, context.amount_minor % 100)),
        "ms" => wire::text(out, format_args!("{}", (now - head.started) / 1_000_000)),
        _ => wire::text(out, format_args!("{{{name}}}")),
    }
}

fn named(attributes: &mut Attributes<'_>, head: &Head, name: &str, now: u64) {
    let context = &head.context;
    match name {
        "user" => attributes.formatted("user.id", format_args!("u-{}", context.user)),
        "order" => attributes.formatted("order.id", format_args!("o-{}", context.order)),
        "product" => attributes.int("product.id", context.product.cast_signed()),
        "session" => attributes.formatted("session.id", format_args!("{:016x}", context.session)),
        "amount" => attributes.double("payment.amount", context.amount_minor as f64 / 100.0),
        "ms" => attributes.int("elapsed_ms", ((now - head.started) / 1_000_000).cast_signed()),
        _ => {}
    }
}

/// A record that an operation's step asks for.
pub(crate) fn line(instance: &mut Instance, head: &Head, line: &'static Line, now: u64) {
    let language = instance.language;
    record(instance, line.severity, Some((&head.trace, &head.span)), now, line.event, |out| {
        if language == Language::NodeJs {
            structured(out, head, line, now);
            return;
        }
        sentence(out, |out| {
            for (text, name) in pieces(line.text) {
                out.extend_from_slice(text.as_bytes());
                if let Some(name) = name {
                    value(out, head, name, now);
                }
            }
        });
        let mut attributes = Attributes::new(out, field::ATTRIBUTES);
        attributes.text("code.function.name", head.operation.handler);
        for (_, name) in pieces(line.text) {
            if let Some(name) = name {
                named(&mut attributes, head, name, now);
            }
        }
    });
}

/// A map as body: the message and its values, as pino writes them.
fn structured(out: &mut Vec<u8>, head: &Head, line: &'static Line, now: u64) {
    wire::message(out, field::BODY, |out| {
        wire::message(out, 6, |out| {
            wire::message(out, 1, |out| {
                wire::bytes(out, 1, b"msg");
                wire::message(out, 2, |out| {
                    wire::message(out, 1, |out| {
                        for (text, name) in pieces(line.text) {
                            out.extend_from_slice(text.as_bytes());
                            if let Some(name) = name {
                                value(out, head, name, now);
                            }
                        }
                    });
                });
            });
            let mut fields = Attributes::new(out, 1);
            for (_, name) in pieces(line.text) {
                if let Some(name) = name {
                    named(&mut fields, head, name, now);
                }
            }
        });
    });
    Attributes::new(out, field::ATTRIBUTES).text("logger.name", "app");
}

/// The error record of a request that failed.
pub(crate) fn failure(instance: &mut Instance, head: &Head, fault: Fault, now: u64) {
    let failure = failure_of(instance.language, fault);
    record(instance, Severity::Error, Some((&head.trace, &head.span)), now, None, |out| {
        sentence(out, |out| match head.operation.door {
            Door::Http { method, route } => {
                wire::text(out, format_args!("{method} {route} failed: {}", failure.message));
            }
            Door::Grpc { service, method } => {
                wire::text(out, format_args!("{service}/{method} failed: {}", failure.message));
            }
            Door::Topic(ref door) => {
                wire::text(out, format_args!("message of topic {} not processed: {}", door.topic, failure.message));
            }
        });
        let mut attributes = Attributes::new(out, field::ATTRIBUTES);
        attributes.text("exception.type", failure.kind);
        attributes.text("exception.message", failure.message);
        if !failure.stacktrace.is_empty() {
            attributes.text("exception.stacktrace", failure.stacktrace);
        }
        attributes.formatted("user.id", format_args!("u-{}", head.context.user));
    });
}

/// The access record of an HTTP server.
pub(crate) fn access(instance: &mut Instance, head: &Head, outcome: Outcome, now: u64) {
    let Door::Http { method, route } = head.operation.door else { return };
    let code = status::http(&head.operation.door, outcome);
    let severity = match code {
        500.. => Severity::Error,
        400.. => Severity::Warn,
        _ => Severity::Info,
    };
    let micros = (now - head.started) / 1_000;
    record(instance, severity, Some((&head.trace, &head.span)), now, None, |out| {
        let path = Path { route, context: &head.context };
        sentence(out, |out| {
            wire::text(out, format_args!("{method} {path} {code} {}.{:03}ms", micros / 1_000, micros % 1_000));
        });
        let mut attributes = Attributes::new(out, field::ATTRIBUTES);
        attributes.text("logger.name", "access");
        attributes.text("http.request.method", method);
        attributes.text("http.route", route);
        attributes.int("http.response.status_code", i64::from(code));
        attributes.int("http.response.body.size", 180 + (head.context.product * 37 % 9_000).cast_signed());
        attributes.formatted("client.address", format_args!("{}", Ip(head.context.address)));
    });
}

/// The warning of a caller whose attempt failed.
pub(crate) fn call_failed(instance: &mut Instance, head: &Head, attempt: &Attempt, again: bool, now: u64) {
    let service = attempt.operation.service.name();
    let elapsed = (now - attempt.since) / 1_000_000;
    record(instance, Severity::Warn, Some((&head.trace, &attempt.span)), now, None, |out| {
        let what = if attempt.answered { "answered with an error" } else { "did not answer" };
        let then = if again { "trying again" } else { "giving up" };
        sentence(out, |out| {
            wire::text(
                out,
                format_args!("{service} {what} after {elapsed} ms (attempt {}), {then}", attempt.number + 1),
            );
        });
        let mut attributes = Attributes::new(out, field::ATTRIBUTES);
        attributes.text("peer.service", service);
        attributes.int("retry.attempt", i64::from(attempt.number) + 1);
        attributes.int("elapsed_ms", elapsed.cast_signed());
        attributes.flag("retry.again", again);
    });
}

/// A record without a trace, as background threads write them.
pub(crate) fn heartbeat(instance: &mut Instance, now: u64) {
    let (busy, workers, waiting) = (instance.busy, instance.workers, instance.queue.len());
    let severity = if waiting > 0 { Severity::Warn } else { Severity::Debug };
    record(instance, severity, None, now, None, |out| {
        sentence(out, |out| {
            wire::text(out, format_args!("worker pool: {busy} of {workers} busy, {waiting} requests waiting"));
        });
        let mut attributes = Attributes::new(out, field::ATTRIBUTES);
        attributes.int("pool.busy", i64::from(busy));
        attributes.int("pool.size", i64::from(workers));
        attributes.int("pool.waiting", waiting as i64);
        attributes.text("logger.name", "pool");
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_fall_into_text_and_names() {
        let pieces: Vec<_> = pieces("order {order} of {user}!").collect();
        let expected = [("order ", None), ("", Some("order")), (" of ", None), ("", Some("user")), ("!", None)];
        assert_eq!(pieces, expected);
    }
}
