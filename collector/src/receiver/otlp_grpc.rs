//! How does OTLP/gRPC come in? Unary calls of three methods, framed by hand: one message of five bytes' header and
//! its content, and the status in trailers.
//!
//! G1  RESOURCE_EXHAUSTED and UNAVAILABLE carry RetryInfo exactly where retrying helps.
//! G2  Every answer says which compressions are understood.
//!
//! The content goes to `decode` as it came; a generated server would build messages first.

use super::compression::Compression;
use super::{body, status, tenant, text};
use crate::collector::{Collector, Encoding, Incoming};
use crate::error::Refusal;
use axum::body::Body;
use bytes::{Buf as _, Bytes};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use storage::model::Signal;
use tonic::{Code, Status};

/// A message's header: whether it is compressed, and its length.
const FRAME_HEADER: usize = 5;
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const ACCEPTED_ENCODINGS: HeaderValue = HeaderValue::from_static("identity,gzip,zstd,deflate");

pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = text(headers, &header::CONTENT_TYPE);
    content_type.strip_prefix("application/grpc").is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

pub(super) async fn call(collector: &Collector, request: Request<Body>) -> Response<Body> {
    let (head, mut body) = request.into_parts();
    let answer = match head.uri.path() {
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => {
            export(collector, Signal::Spans, &head.headers, &mut body).await
        }
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => {
            export(collector, Signal::Logs, &head.headers, &mut body).await
        }
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => {
            export(collector, Signal::Metrics, &head.headers, &mut body).await
        }
        "/grpc.health.v1.Health/Check" => health(collector, &head.headers, &mut body).await,
        path => Err(Status::unimplemented(format!("there is no method {path:?}"))),
    };
    match answer {
        Ok(message) => success(&message),
        Err(status) => failure(status),
    }
}

async fn export(collector: &Collector, signal: Signal, headers: &HeaderMap, body: &mut Body) -> Result<Bytes, Status> {
    let read = read(collector, signal, headers, body).await;
    let incoming = read.map_err(|refusal| {
        collector.metrics().refuse(signal, &refusal);
        status::status_grpc(&refusal)
    })?;
    let accepted = collector.process(incoming).await.map_err(|refusal| status::status_grpc(&refusal))?;
    Ok(status::response_protobuf(&accepted))
}

async fn read(
    collector: &Collector,
    signal: Signal,
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<Incoming, Refusal> {
    let content_type = text(headers, &header::CONTENT_TYPE);
    if content_type.strip_prefix("application/grpc+").is_some_and(|rest| rest.split(';').next() != Some("proto")) {
        return Err(Refusal::MediaType { found: content_type.to_owned(), supported: super::OTLP_TYPES });
    }
    let tenant = tenant(headers)?;
    let compression = Compression::from_header(text(headers, &GRPC_ENCODING))?;
    let mut ticket = collector.enter(&tenant)?;
    let config = collector.config();
    let limit = config.max_request_bytes;
    let framed = body::read(body, limit.saturating_add(FRAME_HEADER), config.body_timeout, &mut ticket).await;
    let framed = framed.map_err(|refusal| match refusal {
        Refusal::TooLarge { .. } => Refusal::TooLarge { limit },
        other => other,
    })?;
    let (body, is_compressed) = message(framed)?;
    let compression = match (is_compressed, compression) {
        (false, _) => Compression::None,
        (true, Compression::None) => {
            return Err(Refusal::Malformed { what: "a message is compressed, but grpc-encoding is not set".into() });
        }
        (true, compression) => compression,
    };
    Ok(Incoming { tenant, signal, encoding: Encoding::Protobuf, compression, body, ticket })
}

/// Takes the one message out of its frame; says whether it is compressed.
fn message(mut framed: Bytes) -> Result<(Bytes, bool), Refusal> {
    let malformed = |what: &str| Refusal::Malformed { what: format!("malformed gRPC framing: {what}") };
    if framed.len() < FRAME_HEADER {
        return Err(malformed("there is no message"));
    }
    let is_compressed = match framed.get_u8() {
        0 => false,
        1 => true,
        _ => return Err(malformed("the compressed flag is neither 0 nor 1")),
    };
    let length = framed.get_u32() as usize;
    match framed.len() {
        found if found < length => Err(malformed("the message is shorter than its length says")),
        found if found > length => Err(malformed("there is more than one message")),
        _ => Ok((framed, is_compressed)),
    }
}

/// grpc.health.v1.Health/Check: the process serves as a whole, so only the empty service name is known.
async fn health(collector: &Collector, headers: &HeaderMap, body: &mut Body) -> Result<Bytes, Status> {
    const SERVING: &[u8] = &[0x08, 1];
    /// No service's name is longer.
    const MAX_BYTES: usize = 4 << 10;
    let refused = |refusal: Refusal| status::status_grpc(&refusal);
    let tenant = tenant(headers).map_err(refused)?;
    let mut ticket = collector.enter(&tenant).map_err(refused)?;
    let framed = body::read(body, MAX_BYTES, collector.config().body_timeout, &mut ticket).await.map_err(refused)?;
    let (request, is_compressed) = message(framed).map_err(refused)?;
    if !is_compressed && request.len() <= 2 {
        Ok(Bytes::from_static(SERVING))
    } else {
        Err(Status::not_found("only the whole process is known, which is the empty service name"))
    }
}

fn success(message: &Bytes) -> Response<Body> {
    let mut framed = Vec::with_capacity(FRAME_HEADER + message.len());
    framed.push(0);
    // At most some kilobytes: a count and a shortened message.
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap_or_default().to_be_bytes());
    framed.extend_from_slice(message);
    let mut trailers = HeaderMap::new();
    trailers.insert(Status::GRPC_STATUS, HeaderValue::from(i32::from(Code::Ok)));
    let body = Full::new(Bytes::from(framed)).with_trailers(std::future::ready(Some(Ok(trailers))));
    with_headers(Response::new(Body::new(body)))
}

fn failure(status: Status) -> Response<Body> {
    with_headers(status.into_http())
}

fn with_headers(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::CONTENT_TYPE, CONTENT_TYPE);
    response.headers_mut().insert(GRPC_ACCEPT_ENCODING, ACCEPTED_ENCODINGS);
    response
}
