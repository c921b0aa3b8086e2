//! Which HTTP status code or gRPC status is an outcome, and is it an error?

use crate::catalog::{Door, Fault, Refusal};
use crate::engine::Outcome;

/// The status code of an HTTP answer.
pub(super) fn http(door: &Door, outcome: Outcome) -> u16 {
    match outcome {
        Outcome::Done => match door {
            Door::Http { method: "POST", route: "/orders" | "/sessions" | "/cart/items" } => 201,
            Door::Http { .. } | Door::Grpc { .. } | Door::Topic(_) => 200,
        },
        Outcome::Refused(Refusal::NotFound) => 404,
        Outcome::Refused(Refusal::Unauthenticated) => 401,
        Outcome::Refused(Refusal::Declined) => 402,
        Outcome::Refused(Refusal::OutOfStock) => 409,
        Outcome::Failed(Fault::Thrown) => 500,
        Outcome::Failed(Fault::Upstream) => 502,
        Outcome::Failed(Fault::Overloaded) => 503,
        Outcome::Failed(Fault::TimedOut) => 504,
    }
}

/// A gRPC status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grpc {
    pub(super) number: u8,
    pub(super) name: &'static str,
    /// Do the conventions call it an error of the server? (A client calls everything but OK an error.)
    pub(super) server_error: bool,
}

/// The status of a gRPC answer.
pub(super) fn grpc(outcome: Outcome) -> Grpc {
    let (number, name, server_error) = match outcome {
        Outcome::Done => (0, "OK", false),
        Outcome::Refused(Refusal::NotFound) => (5, "NOT_FOUND", false),
        Outcome::Refused(Refusal::Unauthenticated) => (16, "UNAUTHENTICATED", false),
        Outcome::Refused(Refusal::Declined | Refusal::OutOfStock) => (9, "FAILED_PRECONDITION", false),
        Outcome::Failed(Fault::Thrown) => (13, "INTERNAL", true),
        Outcome::Failed(Fault::TimedOut) => (4, "DEADLINE_EXCEEDED", true),
        Outcome::Failed(Fault::Upstream) => (14, "UNAVAILABLE", true),
        Outcome::Failed(Fault::Overloaded) => (8, "RESOURCE_EXHAUSTED", false),
    };
    Grpc { number, name, server_error }
}

/// A status code as text, without an allocation.
pub(super) fn code_text(code: u16) -> &'static str {
    match code {
        200 => "200",
        201 => "201",
        401 => "401",
        402 => "402",
        404 => "404",
        409 => "409",
        500 => "500",
        502 => "502",
        503 => "503",
        504 => "504",
        _ => "_OTHER",
    }
}
