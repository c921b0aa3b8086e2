//! Why is a request not accepted, and what does the sender do about it? The one place that maps reasons to HTTP
//! and gRPC.

use crate::decode::Malformed;
use crate::decode::json::JsonError;
use crate::decode::text::TextError;
use http::StatusCode;
use std::time::Duration;
use storage::error::Class;
use tonic::Code;

/// What a sender waits when the store cannot write; a full disk does not empty itself in a second.
const STORE_RETRY: Duration = Duration::from_secs(5);
/// What a sender waits when memory is short; requests take well under a second.
pub(crate) const MEMORY_RETRY: Duration = Duration::from_secs(1);

/// Why a request is not accepted. Nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The body is not what its headers say.
    #[error("{what}")]
    Malformed {
        /// What is wrong, and where.
        what: String,
    },
    /// The request is larger than allowed, possibly after decompression.
    #[error(
        "the request is larger than the {limit} bytes of `otlp.max_request_bytes`, as it came, unpacked or as \
         protobuf; send smaller batches"
    )]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// Receiving and decoding the request takes more memory than one request may ever have.
    #[error(
        "receiving and decoding the request takes {needed} bytes of memory or more, and {setting} allows {limit}; \
         send fewer records at a time"
    )]
    TooHeavy {
        /// What it takes, as far as that was looked at.
        needed: usize,
        /// The limit.
        limit: usize,
        /// The setting or settings that the limit comes from.
        setting: &'static str,
    },
    /// The body took too long to arrive.
    #[error("the body did not arrive within {} s", timeout.as_secs_f32())]
    Slow {
        /// The time allowed.
        timeout: Duration,
    },
    /// The header X-Scope-OrgID is no tenant name.
    #[error("X-Scope-OrgID: {0}")]
    Tenant(#[from] storage::model::InvalidTenant),
    /// The header X-Scope-OrgID names a tenant that Spanlight alone writes to.
    #[error("X-Scope-OrgID: this tenant is Spanlight's own, for the dead letters of Kafka")]
    OwnTenant,
    /// The Content-Type is not one of OTLP's.
    #[error("Content-Type {found:?} is not supported; use {supported}")]
    MediaType {
        /// What was sent.
        found: String,
        /// What the door understands.
        supported: &'static str,
    },
    /// The body is compressed in a way that is not supported.
    #[error("encoding {found:?} is not supported; use {supported}")]
    ContentEncoding {
        /// What was sent.
        found: String,
        /// What the door understands.
        supported: &'static str,
    },
    /// There is nothing at that path.
    #[error("unknown path {path:?}; OTLP/HTTP is at /v1/traces, /v1/logs and /v1/metrics")]
    NotFound {
        /// The path.
        path: String,
    },
    /// Only POST is understood.
    #[error("method {method} is not allowed; use POST")]
    Method {
        /// The method.
        method: String,
    },
    /// The tenant sends faster than allowed.
    #[error("tenant {tenant} sends more than {limit} bytes per second")]
    Rate {
        /// Who.
        tenant: String,
        /// Bytes per second.
        limit: u64,
        /// When the request would be accepted.
        retry_after: Duration,
    },
    /// Too many bytes are in flight.
    #[error("too much is being received at this moment")]
    Memory,
    /// The store refuses.
    #[error("the store does not accept writes at this moment")]
    Store {
        /// Whose fault the store says it is.
        class: Class,
    },
    /// The store shows what others write.
    #[error("{}", storage::error::Error::ReadOnly)]
    ReadOnly,
    /// Kafka, which stands before the store, has not confirmed all of the request.
    #[error("kafka has not confirmed that it keeps the request")]
    Unconfirmed,
    /// A defect of Spanlight.
    #[error("internal error: {what}")]
    Internal {
        /// What went wrong.
        what: &'static str,
    },
}

impl Refusal {
    /// The word in metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Refusal::Malformed { .. } => "malformed",
            Refusal::TooLarge { .. } => "too_large",
            Refusal::TooHeavy { .. } => "too_heavy",
            Refusal::Slow { .. } => "slow",
            Refusal::Tenant(_) | Refusal::OwnTenant => "tenant",
            Refusal::MediaType { .. } | Refusal::ContentEncoding { .. } => "media_type",
            Refusal::NotFound { .. } | Refusal::Method { .. } => "path",
            Refusal::Rate { .. } => "rate",
            Refusal::Memory => "memory",
            Refusal::Store { .. } => "store",
            Refusal::ReadOnly => "read_only",
            Refusal::Unconfirmed => "kafka",
            Refusal::Internal { .. } => "internal",
        }
    }

    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            Refusal::Malformed { .. }
            | Refusal::Slow { .. }
            | Refusal::Tenant(_)
            | Refusal::OwnTenant
            | Refusal::MediaType { .. }
            | Refusal::ContentEncoding { .. }
            | Refusal::NotFound { .. }
            | Refusal::Method { .. }
            | Refusal::ReadOnly => Class::Caller,
            Refusal::TooLarge { .. } | Refusal::TooHeavy { .. } => Class::Limit,
            Refusal::Rate { .. } | Refusal::Memory | Refusal::Unconfirmed => Class::Unavailable,
            Refusal::Store { class } => *class,
            Refusal::Internal { .. } => Class::Bug,
        }
    }

    /// When the same request may succeed; none where retrying cannot help.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Refusal::Rate { retry_after, .. } => Some(*retry_after),
            Refusal::Memory => Some(MEMORY_RETRY),
            Refusal::Store { class } if *class != Class::Bug => Some(STORE_RETRY),
            Refusal::Unconfirmed => Some(STORE_RETRY),
            _ => None,
        }
    }

    pub(crate) fn http_status(&self) -> StatusCode {
        match self {
            Refusal::Malformed { .. } | Refusal::Tenant(_) | Refusal::OwnTenant => StatusCode::BAD_REQUEST,
            Refusal::TooLarge { .. } | Refusal::TooHeavy { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Slow { .. } => StatusCode::REQUEST_TIMEOUT,
            Refusal::MediaType { .. } | Refusal::ContentEncoding { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refusal::NotFound { .. } => StatusCode::NOT_FOUND,
            Refusal::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::Rate { .. } => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Memory | Refusal::Unconfirmed => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::ReadOnly => StatusCode::FORBIDDEN,
            // Even a damaged store is a reason to send the same data again later, when somebody has mended it.
            Refusal::Store { class } if *class != Class::Bug => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Store { .. } | Refusal::Internal { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(crate) fn grpc_code(&self) -> Code {
        match self {
            Refusal::Malformed { .. } | Refusal::Tenant(_) | Refusal::OwnTenant | Refusal::MediaType { .. } => {
                Code::InvalidArgument
            }
            Refusal::TooLarge { .. } | Refusal::TooHeavy { .. } | Refusal::Rate { .. } => Code::ResourceExhausted,
            Refusal::Slow { .. } => Code::DeadlineExceeded,
            Refusal::ContentEncoding { .. } | Refusal::NotFound { .. } | Refusal::Method { .. } => Code::Unimplemented,
            Refusal::Memory | Refusal::Unconfirmed => Code::Unavailable,
            Refusal::ReadOnly => Code::PermissionDenied,
            Refusal::Store { class } if *class != Class::Bug => Code::Unavailable,
            Refusal::Store { .. } | Refusal::Internal { .. } => Code::Internal,
        }
    }
}

impl From<Malformed> for Refusal {
    fn from(error: Malformed) -> Self {
        Refusal::Malformed { what: error.to_string() }
    }
}

impl From<TextError> for Refusal {
    fn from(error: TextError) -> Self {
        Refusal::Malformed { what: error.to_string() }
    }
}

impl From<JsonError> for Refusal {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::TooLarge { limit } => Refusal::TooLarge { limit },
            JsonError::Malformed { .. } => Refusal::Malformed { what: error.to_string() },
        }
    }
}

impl From<storage::error::Error> for Refusal {
    fn from(error: storage::error::Error) -> Self {
        match error {
            storage::error::Error::ReadOnly => Refusal::ReadOnly,
            other => Refusal::Store { class: other.class() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes that OTLP lets clients retry.
    #[test]
    fn c2_a_refusal_is_retryable_exactly_when_it_says_when() {
        let refusals = [
            Refusal::Malformed { what: String::new() },
            Refusal::TooLarge { limit: 1 },
            Refusal::TooHeavy { needed: 2, limit: 1, setting: "" },
            Refusal::Tenant(storage::model::InvalidTenant),
            Refusal::MediaType { found: String::new(), supported: "" },
            Refusal::ContentEncoding { found: String::new(), supported: "" },
            Refusal::NotFound { path: String::new() },
            Refusal::Method { method: String::new() },
            Refusal::Rate { tenant: String::new(), limit: 1, retry_after: Duration::from_secs(2) },
            Refusal::Memory,
            Refusal::Unconfirmed,
            Refusal::Store { class: Class::Unavailable },
            Refusal::Store { class: Class::Corrupt },
            Refusal::Store { class: Class::Bug },
            Refusal::ReadOnly,
            Refusal::Internal { what: "" },
        ];
        for refusal in refusals {
            let says_when = refusal.retry_after().is_some();
            let http = matches!(refusal.http_status().as_u16(), 429 | 502 | 503 | 504);
            let grpc = match refusal.grpc_code() {
                Code::Unavailable | Code::Aborted | Code::OutOfRange | Code::DataLoss | Code::Cancelled => true,
                Code::ResourceExhausted => says_when,
                _ => false,
            };
            assert_eq!((http, grpc), (says_when, says_when), "{refusal:?}");
        }
    }
}
