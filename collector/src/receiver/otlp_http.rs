//! How does OTLP/HTTP come in? POST of protobuf or JSON to OTLP's three paths, or those that Prometheus, Mimir and Loki have for it.
//!
//! H1  The answer has the request's content type, errors too: google.rpc.Status. Where the request's type is none
//!     of ours, the error is JSON, which people can read.
//! H2  Retry-After is there exactly where retrying helps.
//! H3  Browsers: preflight and answers allow the origins of the settings, never credentials.

use super::compression::Compression;
use super::{body, status, tenant, text};
use crate::collector::{Accepted, Collector, Encoding, Incoming};
use crate::error::Refusal;
use axum::body::Body;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use storage::model::Signal;

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// How long a browser remembers a preflight's answer: two hours, the most that any keeps.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("7200");

/// Where Prometheus takes metrics, with the prefix that its HTTP API has here.
pub(super) const LIKE_PROMETHEUS: &str = "/prometheus/api/v1/otlp/v1/metrics";

/// Where each signal comes in.
pub(super) const PATHS: [(&str, Signal); 7] = [
    ("/v1/traces", Signal::Spans),
    ("/v1/logs", Signal::Logs),
    ("/v1/metrics", Signal::Metrics),
    ("/api/v1/otlp/v1/metrics", Signal::Metrics),
    (LIKE_PROMETHEUS, Signal::Metrics),
    ("/otlp/v1/metrics", Signal::Metrics),
    ("/otlp/v1/logs", Signal::Logs),
];

pub(super) async fn call(collector: &Collector, request: Request<Body>) -> Response<Body> {
    let origin = allowed_origin(collector, request.headers());
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight {
        preflight_answer(request.headers(), origin.is_some())
    } else {
        export(collector, request).await
    };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
    }
    response
}

async fn export(collector: &Collector, request: Request<Body>) -> Response<Body> {
    let (head, mut body) = request.into_parts();
    let encoding = encoding(&head.headers);
    let signal = PATHS.iter().find(|(path, _)| *path == head.uri.path()).map(|(_, signal)| *signal);
    let outcome = match signal {
        None => Err(Refusal::NotFound { path: head.uri.path().to_owned() }),
        Some(signal) if head.method == Method::POST => {
            let read = read(collector, signal, &encoding, &head.headers, &mut body).await;
            match read.inspect_err(|refusal| collector.metrics().refuse(signal, refusal)) {
                Ok(incoming) => collector.process(incoming).await.map(|accepted| (signal, accepted)),
                Err(refusal) => Err(refusal),
            }
        }
        Some(_) => Err(Refusal::Method { method: head.method.to_string() }),
    };
    match outcome {
        Ok((signal, accepted)) => success(&encoding, signal, &accepted),
        Err(refusal) => {
            // On HTTP/1 the rest of the body stands between us and the client's ear.
            if head.version < http::Version::HTTP_2 && !matches!(refusal, Refusal::Slow { .. }) {
                body::drain(&mut body, collector.config().body_timeout).await;
            }
            failure(&encoding, &refusal)
        }
    }
}

async fn read(
    collector: &Collector,
    signal: Signal,
    encoding: &Result<Encoding, Refusal>,
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<Incoming, Refusal> {
    let encoding = encoding.clone()?;
    let tenant = tenant(headers)?;
    // Several header lines mean the same as one with commas.
    let encodings: Vec<_> =
        headers.get_all(header::CONTENT_ENCODING).iter().map(|line| line.to_str().unwrap_or("?")).collect();
    let compression = Compression::from_header(&encodings.join(","))?;
    let mut ticket = collector.enter(&tenant)?;
    let config = collector.config();
    let body = body::read(body, config.max_request_bytes, config.body_timeout, &mut ticket).await?;
    Ok(Incoming { tenant, signal, encoding, compression, body, ticket })
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let found = text(headers, &header::CONTENT_TYPE);
    let essence = found.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/x-protobuf") || essence.eq_ignore_ascii_case("application/protobuf") {
        Ok(Encoding::Protobuf)
    } else if essence.eq_ignore_ascii_case("application/json") {
        Ok(Encoding::Json)
    } else {
        Err(Refusal::MediaType { found: found.to_owned(), supported: super::OTLP_TYPES })
    }
}

fn answer(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

fn success(encoding: &Result<Encoding, Refusal>, signal: Signal, accepted: &Accepted) -> Response<Body> {
    match encoding {
        Ok(Encoding::Protobuf) => answer(StatusCode::OK, PROTOBUF, status::response_protobuf(accepted)),
        _ => answer(StatusCode::OK, JSON, status::response_json(signal, accepted)),
    }
}

fn failure(encoding: &Result<Encoding, Refusal>, refusal: &Refusal) -> Response<Body> {
    let mut response = match encoding {
        Ok(Encoding::Protobuf) => answer(refusal.http_status(), PROTOBUF, status::status_protobuf(refusal)),
        _ => answer(refusal.http_status(), JSON, status::status_json(refusal)),
    };
    let headers = response.headers_mut();
    if let Some(delay) = refusal.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(status::seconds(delay)));
    }
    match refusal {
        Refusal::Method { .. } => {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
        }
        Refusal::ContentEncoding { .. } => {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd, deflate, identity"));
        }
        _ => {}
    }
    response
}

/// The request's origin, if it may send.
fn allowed_origin(collector: &Collector, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let allowed = origin.to_str().is_ok_and(|origin| collector.config().cors_origins.allows(origin));
    allowed.then(|| origin.clone())
}

fn preflight_answer(request: &HeaderMap, allowed: bool) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    if !allowed {
        return response;
    }
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    if let Some(wanted) = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
    // Chromium asks before a page of the internet reaches a server on the local network.
    if request.contains_key("access-control-request-private-network") {
        headers.insert("access-control-allow-private-network", HeaderValue::from_static("true"));
    }
    response
}
