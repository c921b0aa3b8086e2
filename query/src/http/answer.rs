//! How is an answer written? JSON, gzip where the client takes it, the same headers always; errors by class.
//!
//! B1  Writing a large answer is query work: it runs on the executor, and its bytes count.

use crate::error::{Error, Result};
use crate::exec::Control;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use query_api::error::Class;
use serde::Serialize;
use std::io::{self, Write};

/// Below this, compression saves no packet.
const GZIP_FROM: usize = 1024;
/// Memory is charged in such steps while an answer is written.
const CHARGE_STEP: usize = 64 * 1024;

const JSON: &str = "application/json";

/// A written answer.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Bytes,
    is_gzip: bool,
    media: &'static str,
}

impl Body {
    /// Bytes that are written already.
    pub(super) fn plain(bytes: Vec<u8>) -> Self {
        Body { bytes: bytes.into(), is_gzip: false, media: JSON }
    }

    /// The bytes of a small answer.
    pub(super) fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// What somebody sent, as it came.
    pub(super) fn raw(bytes: Vec<u8>) -> Self {
        Body { bytes: bytes.into(), is_gzip: false, media: "application/octet-stream" }
    }
}

/// Writes an answer whose size data decides.
pub(super) fn large(control: &Control, value: &impl Serialize, gzip: bool) -> Result<Body> {
    let mut plain = Charged { control, bytes: Vec::new(), charged: 0, refusal: None };
    if let Err(error) = serde_json::to_writer(&mut plain, value) {
        return Err(plain.refusal.unwrap_or_else(|| Error::bug(format!("an answer cannot be written: {error}"))));
    }
    packed(control, plain.bytes, gzip)
}

/// An answer whose size data decides, already written.
pub(super) fn packed(control: &Control, plain: Vec<u8>, gzip: bool) -> Result<Body> {
    if !gzip || plain.len() < GZIP_FROM {
        return Ok(Body { bytes: plain.into(), is_gzip: false, media: JSON });
    }
    control.check()?;
    let packed = Charged { control, bytes: Vec::new(), charged: 0, refusal: None };
    let mut encoder = GzEncoder::new(packed, Compression::fast());
    if let Err(error) = encoder.write_all(&plain).and_then(|()| encoder.try_finish()) {
        let refusal = encoder.get_mut().refusal.take();
        return Err(refusal.unwrap_or_else(|| Error::bug(format!("an answer cannot be compressed: {error}"))));
    }
    let bytes = std::mem::take(&mut encoder.get_mut().bytes);
    Ok(Body { bytes: bytes.into(), is_gzip: true, media: JSON })
}

/// A small answer, already written.
pub(super) fn written(text: String) -> Body {
    Body { bytes: text.into(), is_gzip: false, media: JSON }
}

/// Writes an answer that is small whatever is stored.
pub(super) fn small(value: &impl Serialize) -> Result<Body> {
    let bytes =
        serde_json::to_vec(value).map_err(|error| Error::bug(format!("an answer cannot be written: {error}")))?;
    Ok(Body { bytes: bytes.into(), is_gzip: false, media: JSON })
}

/// A buffer whose bytes count.
struct Charged<'a> {
    control: &'a Control,
    bytes: Vec<u8>,
    charged: usize,
    refusal: Option<Error>,
}

impl Write for Charged<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let needed = self.bytes.len() + buf.len();
        if needed > self.charged {
            let more = (needed - self.charged).max(CHARGE_STEP);
            if let Err(refusal) = self.control.check().and_then(|()| self.control.charge(more)) {
                self.refusal = Some(refusal);
                return Err(io::Error::other("the answer was given up"));
            }
            self.charged += more;
        }
        self.bytes.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the client takes gzip.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "*");
        let refused = parts.filter_map(|part| part.strip_prefix("q=")).any(|weight| weight.parse() == Ok(0.0));
        is_gzip && !refused
    })
}

/// The answer to a question that has one.
pub(super) fn ok(body: Body) -> Response {
    let mut response = response(StatusCode::OK, body.bytes);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(body.media));
    if body.is_gzip {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// The answer to a question that has none.
pub(super) fn failed(error: &Error) -> Response {
    match error.class() {
        Class::Bug | Class::Corrupt => tracing::error!(error = ?error, "a query failed"),
        Class::Unavailable => tracing::warn!(error = ?error, "a query was not answered"),
        Class::Caller | Class::NotFound | Class::Limit => tracing::debug!(error = %error, "a query was refused"),
    }
    let body = serde_json::to_vec(&error.body()).unwrap_or_default();
    let mut response = response(status(error), body.into());
    if status(error) == StatusCode::SERVICE_UNAVAILABLE {
        let seconds = match error {
            Error::Busy { retry_after, .. } => retry_after.as_secs().max(1),
            _ => 1,
        };
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn status(error: &Error) -> StatusCode {
    match (error, error.class()) {
        (Error::Method { .. }, _) => StatusCode::METHOD_NOT_ALLOWED,
        (Error::ForeignOrigin, _) => StatusCode::FORBIDDEN,
        (_, Class::Caller) => StatusCode::BAD_REQUEST,
        (_, Class::NotFound) => StatusCode::NOT_FOUND,
        (_, Class::Limit) => StatusCode::UNPROCESSABLE_ENTITY,
        (_, Class::Unavailable) => StatusCode::SERVICE_UNAVAILABLE,
        (_, Class::Corrupt | Class::Bug) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

pub(super) fn response(status: StatusCode, body: Bytes) -> Response {
    const HEADERS: [(header::HeaderName, &str); 6] = [
        (header::CONTENT_TYPE, JSON),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::VARY, "accept-encoding"),
    ];
    let mut response = Response::new(axum::body::Body::from(body));
    *response.status_mut() = status;
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_where_it_is_accepted() {
        let cases = [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("*", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("identity", false),
            ("", false),
        ];
        for (list, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, list.parse().unwrap());
            assert_eq!(accepts_gzip(&headers), expected, "{list}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
