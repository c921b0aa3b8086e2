//! How is a question asked over gRPC, on the port of HTTP? A call comes with one message and is answered by a stream of them.
//!
//! M1  A message that comes in is small and read here; those that go out are written on the executor's threads, where the query
//!     runs, and are told as they come (`exec::Pieces`). A client that leaves ends the query.
//! M2  A client's deadline counts, up to the longest that a query may have.
//! M3  An error is a status, by its class, in one place. A method or a service that is not here is UNIMPLEMENTED, never a page
//!     of the UI.
//! M4  A message has about [`MESSAGE_BYTES`]: clients take 4 MiB unless they are told to take more.
//!
//! Not here: which methods there are (`tempo::stream`, `jaeger::remote`), OTLP (the collector's doors).

#[cfg(test)]
pub(super) mod tests;

use super::{QueryState, tenant};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::exec::{Control, Outbox, Pieces, QueryContext, Tell};
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{Buf, BufMut, Bytes};
use futures_util::Stream;
use query_api::error::Class;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, ServerStreamingService};
use tonic::{Code, Status};

/// What a message of an answer has, about.
pub(super) const MESSAGE_BYTES: usize = 1 << 20;
/// What a question may have: a query of a megabyte is none that a person wrote.
const REQUEST_BYTES: usize = 1 << 20;
/// What is told of an error; it travels in a header.
const REASON_LETTERS: usize = 1_000;
/// The client's deadline.
const TIMEOUT: &str = "grpc-timeout";

/// Answers a question, on the executor's threads.
pub(super) type Job = Box<dyn FnOnce(&Control, &Outbox) -> Result<()> + Send>;

/// A question, understood.
pub(super) struct Asked {
    pub(super) job: Job,
    /// How the state of the query is told while there is nothing else to tell.
    pub(super) tell: Option<Tell>,
}

impl Asked {
    pub(super) fn new(job: impl FnOnce(&Control, &Outbox) -> Result<()> + Send + 'static) -> Self {
        Asked { job: Box::new(job), tell: None }
    }

    /// One message.
    pub(super) fn one(job: impl FnOnce(&Control) -> Result<Vec<u8>> + Send + 'static) -> Self {
        Asked::new(move |control, outbox| outbox.send(control, job(control)?))
    }
}

/// Reads the message of a method, now.
pub(super) type Read = fn(&[u8], i64) -> Result<Asked>;

/// A message of some type.
pub(super) fn decode<M: prost::Message + Default>(bytes: &[u8]) -> Result<M> {
    M::decode(bytes).map_err(|error| Error::parameter("message", format!("the message cannot be read: {error}")))
}

/// Answers a call of a method, if there is such a method.
pub(super) async fn answer(state: Arc<QueryState>, request: Request, read: Option<Read>) -> Response {
    if !is_grpc(request.headers()) {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "only application/grpc\n").into_response();
    }
    let Some(read) = read else { return unknown(request.uri().path()) };
    let context = match context(state.executor().config(), request.headers()) {
        Ok(context) => context,
        Err(error) => return status(&error).into_http(),
    };
    let (timeout, call) = (context.timeout, Call { state, context, read });
    let mut grpc = Grpc::new(Raw)
        .max_decoding_message_size(REQUEST_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    match tokio::time::timeout(timeout, grpc.server_streaming(call, request)).await {
        Ok(response) => response.map(Body::new),
        Err(_) => Status::deadline_exceeded("the message did not come in time").into_http(),
    }
}

/// Whether a request is a call.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.strip_prefix("application/grpc").is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

/// The answer to a call of what there is not.
pub(super) fn unknown(path: &str) -> Response {
    Status::unimplemented(shortened(&format!("there is no method {path}"))).into_http()
}

fn context(config: &Config, headers: &HeaderMap) -> Result<QueryContext> {
    let timeout = match headers.get(TIMEOUT) {
        None => config.timeout,
        Some(text) => {
            let timeout = text.to_str().ok().and_then(timeout);
            timeout
                .ok_or_else(|| Error::parameter(TIMEOUT, "expected up to eight digits and a unit: H, M, S, m, u, n"))?
        }
    };
    Ok(QueryContext { tenant: tenant(headers)?, timeout: timeout.min(config.max_timeout) })
}

/// A length of time as gRPC writes it.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number = (1..=8).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| is_number)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// An error as a status (M3).
fn status(error: &Error) -> Status {
    let code = match (error, error.class()) {
        (Error::Cancelled, _) => Code::Cancelled,
        (Error::Deadline { .. }, _) => Code::DeadlineExceeded,
        (_, Class::Caller) => Code::InvalidArgument,
        (_, Class::NotFound) => Code::NotFound,
        (_, Class::Limit) => Code::ResourceExhausted,
        (_, Class::Unavailable) => Code::Unavailable,
        (_, Class::Corrupt) => Code::DataLoss,
        (_, Class::Bug) => Code::Internal,
    };
    match code {
        Code::DataLoss | Code::Internal => tracing::error!(error = ?error, "a query failed"),
        Code::Unavailable => tracing::warn!(error = ?error, "a query was not answered"),
        _ => tracing::debug!(error = %error, "a query was refused"),
    }
    Status::new(code, shortened(&error.body().error.message))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(REASON_LETTERS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A call of a method.
struct Call {
    state: Arc<QueryState>,
    context: QueryContext,
    read: Read,
}

impl ServerStreamingService<Bytes> for Call {
    type Response = Vec<u8>;
    type ResponseStream = Messages;
    type Future = Ready<Result<tonic::Response<Messages>, Status>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let asked = match (self.read)(request.get_ref(), self.state.now()) {
            Ok(asked) => asked,
            Err(error) => return ready(Err(status(&error))),
        };
        let (state, context) = (Arc::clone(&self.state), self.context.clone());
        let pieces = Pieces::of(asked.tell, move |outbox, progress| async move {
            let job = move |control: &Control| (asked.job)(control, &outbox);
            state.executor().run_watched(context, progress, job).await
        });
        ready(Ok(tonic::Response::new(Messages(pieces))))
    }
}

/// The messages of an answer.
struct Messages(Pieces);

impl Stream for Messages {
    type Item = Result<Vec<u8>, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll(context).map(|piece| piece.map(|piece| piece.map_err(|error| status(&error))))
    }
}

/// Messages as bytes: who knows their fields is not here.
#[derive(Debug, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}
