//! How is an error told? `{"status":"error","errorType":…,"error":…}`.

use crate::error::Error;
use crate::http::answer;
use crate::promql::Fault;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use query_api::error::Class;

/// Prometheus's kinds of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    BadData,
    Execution,
    Timeout,
    Canceled,
    NotFound,
    Unavailable,
    Internal,
}

/// An error as it is told.
#[derive(Debug)]
pub(super) struct Refusal {
    kind: Kind,
    message: String,
}

impl Refusal {
    pub(super) fn bad_data(message: impl Into<String>) -> Self {
        Refusal { kind: Kind::BadData, message: message.into() }
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Refusal { kind: Kind::NotFound, message: message.into() }
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Refusal { kind: Kind::Unavailable, message: message.into() }
    }

    pub(super) fn internal() -> Self {
        Refusal { kind: Kind::Internal, message: "a defect of Spanlight; the server's log has the details".into() }
    }

    /// A parameter that does not say what it should.
    pub(super) fn parameter(name: &str, why: impl std::fmt::Display) -> Self {
        Refusal::bad_data(format!("invalid parameter \"{name}\": {why}"))
    }

    /// Why an expression has no value.
    pub(super) fn of_expression(fault: Fault, name: &str, expression: &str) -> Self {
        match fault {
            Fault::Parse { .. } => Refusal::parameter(name, fault.message(expression)),
            Fault::Evaluation(message) => Refusal { kind: Kind::Execution, message },
            Fault::Server(error) => error.into(),
        }
    }

    pub(super) fn response(&self) -> Response {
        response(self.status(), self)
    }

    /// The message alone, where no JSON is expected.
    pub(super) fn as_text(&self) -> Response {
        let mut response = answer::response(self.status(), format!("{}\n", self.message).into());
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, text);
        response
    }

    fn status(&self) -> StatusCode {
        match self.kind {
            Kind::BadData => StatusCode::BAD_REQUEST,
            Kind::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Timeout | Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            // As nginx counts requests that nobody waits for.
            Kind::Canceled => StatusCode::from_u16(499).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

pub(super) fn response(status: StatusCode, refusal: &Refusal) -> Response {
    let kind = match refusal.kind {
        Kind::BadData => "bad_data",
        Kind::Execution => "execution",
        Kind::Timeout => "timeout",
        Kind::Canceled => "canceled",
        Kind::NotFound => "not_found",
        Kind::Unavailable => "unavailable",
        Kind::Internal => "internal",
    };
    let message = serde_json::Value::from(refusal.message.as_str());
    let text = format!("{{\"status\":\"error\",\"errorType\":\"{kind}\",\"error\":{message}}}");
    answer::response(status, text.into())
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let message = error.body().error.message;
        let kind = match (&error, error.class()) {
            (Error::Cancelled, _) => Kind::Canceled,
            (_, Class::Caller) => Kind::BadData,
            (_, Class::NotFound) => Kind::NotFound,
            (Error::Deadline { .. }, _) => Kind::Timeout,
            (_, Class::Limit) => Kind::Execution,
            (_, Class::Unavailable) => Kind::Unavailable,
            (_, Class::Corrupt | Class::Bug) => {
                tracing::error!(error = ?error, "a query failed");
                Kind::Internal
            }
        };
        Refusal { kind, message }
    }
}
