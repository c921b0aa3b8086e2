//! How is one text fetched? Within a time and a size, reserved before it is kept (S3).

use bytes::{Bytes, BytesMut};
use reqwest::RequestBuilder;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use std::io::Read as _;

/// Unpacked at a time, between looks at the limits.
const STEP_BYTES: usize = 64 << 10;

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Bytes,
    pub(super) content_type: String,
}

/// Reserves memory, or says why there is none.
pub(super) type Reserve<'r> = &'r mut (dyn FnMut(usize) -> Result<(), String> + Send);

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfetched {
    #[error("the answer is longer than {0} bytes, the least of body_size_limit and `otlp.max_request_bytes`")]
    TooLong(usize),
    #[error("{0}")]
    Other(String),
}

impl From<String> for Unfetched {
    fn from(error: String) -> Self {
        Unfetched::Other(error)
    }
}

impl From<Unfetched> for String {
    fn from(error: Unfetched) -> Self {
        error.to_string()
    }
}

/// Sends a request and reads the answer, of at most so many bytes, also once it is unpacked.
pub(super) async fn whole(request: RequestBuilder, limit: usize, reserve: Reserve<'_>) -> Result<Answer, Unfetched> {
    let mut response = request.send().await.map_err(|error| told(&error))?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(format!("the answer is {}", response.status()).into());
    }
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (content_type, encoding) = (text(CONTENT_TYPE).to_owned(), text(CONTENT_ENCODING).to_ascii_lowercase());
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| told(&error))? {
        if body.len() + chunk.len() > limit {
            return Err(Unfetched::TooLong(limit));
        }
        reserve(chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    let body = match encoding.as_str() {
        "" | "identity" => body.freeze(),
        "gzip" => unpack(&body, limit, reserve)?,
        other => return Err(format!("Content-Encoding {other:?} was not asked for").into()),
    };
    Ok(Answer { body, content_type })
}

fn unpack(packed: &[u8], limit: usize, reserve: Reserve<'_>) -> Result<Bytes, Unfetched> {
    let mut out = Vec::new();
    let mut decoder = flate2::bufread::MultiGzDecoder::new(packed);
    loop {
        reserve(STEP_BYTES)?;
        #[expect(clippy::disallowed_methods, reason = "the reader ends after one step")]
        let step = decoder.by_ref().take(STEP_BYTES as u64).read_to_end(&mut out);
        let step = step.map_err(|error| format!("the answer is not valid gzip: {error}"))?;
        if out.len() > limit {
            return Err(Unfetched::TooLong(limit));
        }
        if step < STEP_BYTES {
            return Ok(out.into());
        }
    }
}

/// An error with its causes.
pub(super) fn told(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
