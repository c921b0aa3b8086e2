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

/// Sends a request and reads the answer, of at most so many bytes, also once it is unpacked.
pub(super) async fn whole(request: RequestBuilder, limit: usize, reserve: Reserve<'_>) -> Result<Answer, String> {
    let mut response = request.send().await.map_err(|error| told(&error))?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(format!("the answer is {}", response.status()));
    }
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (content_type, encoding) = (text(CONTENT_TYPE).to_owned(), text(CONTENT_ENCODING).to_ascii_lowercase());
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| told(&error))? {
        if body.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        reserve(chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    let body = match encoding.as_str() {
        "" | "identity" => body.freeze(),
        "gzip" => unpack(&body, limit, reserve)?,
        other => return Err(format!("Content-Encoding {other:?} was not asked for")),
    };
    Ok(Answer { body, content_type })
}

fn too_large(limit: usize) -> String {
    format!("the answer is longer than {limit} bytes, the least of body_size_limit and `otlp.max_request_bytes`")
}

fn unpack(packed: &[u8], limit: usize, reserve: Reserve<'_>) -> Result<Bytes, String> {
    let mut out = Vec::new();
    let mut decoder = flate2::bufread::MultiGzDecoder::new(packed);
    loop {
        reserve(STEP_BYTES)?;
        #[expect(clippy::disallowed_methods, reason = "the reader ends after one step")]
        let step = decoder.by_ref().take(STEP_BYTES as u64).read_to_end(&mut out);
        let step = step.map_err(|error| format!("the answer is not valid gzip: {error}"))?;
        if out.len() > limit {
            return Err(too_large(limit));
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
