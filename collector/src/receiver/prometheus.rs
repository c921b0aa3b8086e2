//! How do Prometheus's senders come in? Remote write 1 and 2, at the paths that Prometheus, VictoriaMetrics and Mimir have for it,
//! and texts of metrics by `import`.
//!
//! Q1  What is stored is stored whole and told in the three `-Written` headers; where something was left out, the status is 400
//!     and the text says what, so that no sender takes it for stored, and none sends it again.
//! Q2  A request is refused as OTLP's are: 429 and 503 where sending it again helps, with Retry-After.
//! Q3  The Content-Type tells the message; where it does not, it is that of version 1, as for Prometheus. A text that calls itself
//!     nothing else is OpenMetrics where it ends so, and Prometheus's where not.

use super::compression::Compression;
use super::{body, status, tenant, text};
use crate::collector::{Accepted, Collector, Encoding, Incoming};
use crate::decode::remote::{Version, Written};
use crate::decode::text::TextFormat;
use crate::error::Refusal;
use axum::body::Body;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use storage::model::Signal;

const SAMPLES: HeaderName = HeaderName::from_static("x-prometheus-remote-write-samples-written");
const HISTOGRAMS: HeaderName = HeaderName::from_static("x-prometheus-remote-write-histograms-written");
const EXEMPLARS: HeaderName = HeaderName::from_static("x-prometheus-remote-write-exemplars-written");

const MEDIA_TYPES: &str =
    "application/x-protobuf, with proto=prometheus.WriteRequest or proto=io.prometheus.write.v2.Request";

const TEXT_TYPES: &str = "text/plain or application/openmetrics-text";

/// One of these doors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    RemoteWrite,
    Import,
}

impl Door {
    /// Prometheus's own path, with and without the prefix that its HTTP API has here, Mimir's, and VictoriaMetrics's for texts.
    pub(super) const PATHS: [(&'static str, Door); 8] = [
        ("/prometheus/api/v1/write", Door::RemoteWrite),
        ("/prometheus/api/v1/push", Door::RemoteWrite),
        ("/api/v1/write", Door::RemoteWrite),
        ("/api/v1/push", Door::RemoteWrite),
        ("/api/v1/import", Door::Import),
        ("/api/v1/import/prometheus", Door::Import),
        ("/prometheus/api/v1/import", Door::Import),
        ("/prometheus/api/v1/import/prometheus", Door::Import),
    ];

    pub(super) fn at(path: &str) -> Option<Door> {
        Door::PATHS.iter().find(|(own, _)| *own == path).map(|(_, door)| *door)
    }

    pub(super) async fn call(self, collector: &Collector, request: Request<Body>) -> Response<Body> {
        let (head, mut body) = request.into_parts();
        let outcome = if head.method == Method::POST {
            let read = self.read(collector, &head.headers, &mut body).await;
            match read.inspect_err(|refusal| collector.metrics().refuse(Signal::Metrics, refusal)) {
                Ok(incoming) => collector.process(incoming).await,
                Err(refusal) => Err(refusal),
            }
        } else {
            Err(Refusal::Method { method: head.method.to_string() })
        };
        match outcome {
            Ok(accepted) if self == Door::Import && accepted.rejected == 0 => imported(accepted.written),
            Ok(accepted) => answer(&accepted),
            Err(refusal) => {
                // On HTTP/1 the rest of the body stands between us and the client's ear.
                if head.version < http::Version::HTTP_2 && !matches!(refusal, Refusal::Slow { .. }) {
                    body::drain(&mut body, collector.config().body_timeout).await;
                }
                failure(self, &refusal)
            }
        }
    }

    async fn read(self, collector: &Collector, headers: &HeaderMap, body: &mut Body) -> Result<Incoming, Refusal> {
        let content_type = text(headers, &header::CONTENT_TYPE);
        let content_encoding = text(headers, &header::CONTENT_ENCODING);
        let (encoding, compression) = match self {
            Door::RemoteWrite => (Encoding::RemoteWrite(version(content_type)?), compression(content_encoding)?),
            Door::Import => (Encoding::Text(text_format(content_type)?), Compression::from_header(content_encoding)?),
        };
        let tenant = tenant(headers)?;
        let mut ticket = collector.enter(&tenant)?;
        let config = collector.config();
        let body = body::read(body, config.max_request_bytes, config.body_timeout, &mut ticket).await?;
        let signal = Signal::Metrics;
        Ok(Incoming { tenant, signal, encoding, compression, body, ticket })
    }
}

/// Which message a Content-Type announces (Q3).
fn version(content_type: &str) -> Result<Version, Refusal> {
    let unsupported = || Refusal::MediaType { found: content_type.to_owned(), supported: MEDIA_TYPES };
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    if !essence.is_empty() && !essence.eq_ignore_ascii_case("application/x-protobuf") {
        return Err(unsupported());
    }
    let mut version = Version::One;
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        if !name.trim().eq_ignore_ascii_case("proto") {
            continue;
        }
        version = match value.trim().trim_matches('"') {
            "prometheus.WriteRequest" => Version::One,
            "io.prometheus.write.v2.Request" => Version::Two,
            _ => return Err(unsupported()),
        };
    }
    Ok(version)
}

/// Which text a Content-Type announces; `None` where it announces none in particular, as `curl --data-binary` does.
fn text_format(content_type: &str) -> Result<Option<TextFormat>, Refusal> {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/openmetrics-text" => Ok(Some(TextFormat::OpenMetrics)),
        "" | "text/plain" | "application/x-www-form-urlencoded" | "application/octet-stream" => Ok(None),
        _ => Err(Refusal::MediaType { found: content_type.to_owned(), supported: TEXT_TYPES }),
    }
}

/// Snappy, also where nothing is said, as for Prometheus; zstd, as VictoriaMetrics's agent has it.
fn compression(content_encoding: &str) -> Result<Compression, Refusal> {
    match content_encoding.trim().to_ascii_lowercase().as_str() {
        "" | "snappy" => Ok(Compression::Snappy),
        "zstd" => Ok(Compression::Zstd),
        found => Err(Refusal::ContentEncoding { found: found.to_owned(), supported: "snappy or zstd" }),
    }
}

/// What is said when a request was stored, at least in parts (Q1).
fn answer(accepted: &Accepted) -> Response<Body> {
    let mut response = if accepted.rejected == 0 {
        plain(StatusCode::NO_CONTENT, String::new())
    } else {
        let Written { samples, histograms, exemplars } = accepted.written;
        let first = accepted.message.as_deref().unwrap_or_default();
        let text = format!(
            "{} left out, never to be sent again; stored are {samples} samples, {histograms} histograms and {exemplars} \
             exemplars; {first}\n",
            accepted.rejected
        );
        plain(StatusCode::BAD_REQUEST, text)
    };
    tell_written(&mut response, accepted.written);
    response
}

/// What is said of a text that was stored whole.
fn imported(written: Written) -> Response<Body> {
    let Written { samples, exemplars, .. } = written;
    let mut response = Response::new(Body::from(format!("{{\"samples\":{samples},\"exemplars\":{exemplars}}}\n")));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn failure(door: Door, refusal: &Refusal) -> Response<Body> {
    let mut response = plain(refusal.http_status(), format!("{refusal}\n"));
    let accepted_encodings = if door == Door::Import { "gzip, zstd, deflate, identity" } else { "snappy, zstd" };
    tell_written(&mut response, Written::default());
    let headers = response.headers_mut();
    if let Some(delay) = refusal.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(status::seconds(delay)));
    }
    match refusal {
        Refusal::Method { .. } => drop(headers.insert(header::ALLOW, HeaderValue::from_static("POST"))),
        Refusal::ContentEncoding { .. } => {
            drop(headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accepted_encodings)));
        }
        _ => {}
    }
    response
}

fn plain(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    if status != StatusCode::NO_CONTENT {
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, text);
    }
    response
}

fn tell_written(response: &mut Response<Body>, written: Written) {
    let counts = [(SAMPLES, written.samples), (HISTOGRAMS, written.histograms), (EXEMPLARS, written.exemplars)];
    for (name, count) in counts {
        response.headers_mut().insert(name, HeaderValue::from(count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q3_the_content_type_tells_the_message() {
        let two = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
        for (text, expected) in [
            ("", Some(Version::One)),
            ("application/x-protobuf", Some(Version::One)),
            ("application/x-protobuf; proto=prometheus.WriteRequest", Some(Version::One)),
            (two, Some(Version::Two)),
            ("Application/X-Protobuf ; charset=x ; Proto=\"io.prometheus.write.v2.Request\"", Some(Version::Two)),
            ("application/x-protobuf;proto=io.prometheus.write.v3.Request", None),
            ("application/json", None),
            ("text/plain", None),
        ] {
            assert_eq!(version(text).ok(), expected, "{text}");
        }
    }
}
