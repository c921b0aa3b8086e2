//! How is a compressed body unpacked within its limit?
//!
//! Z1  Never more than the limit is unpacked, and every step is reserved before it is taken.
//! Z2  A body that ends early, or goes on after its end, is malformed.

use crate::admission::Ticket;
use crate::decode::remote::snappy::{self, SnappyError};
use crate::error::Refusal;
use std::io::Read;

/// Unpacked at a time, between looks at the limits.
const STEP_BYTES: usize = 64 << 10;
/// zstd's window, as a power of two. Common encoders use up to 8 MiB, or the whole message's size; the memory is
/// touched only as far as it is filled, and that is limited.
const ZSTD_WINDOW_LOG: u32 = 26;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
    Deflate,
    /// A block without frame, as remote write has it; OTLP has none.
    Snappy,
}

impl Compression {
    /// Reads Content-Encoding or grpc-encoding. More than one compression on top of another is refused.
    pub(super) fn from_header(value: &str) -> Result<Self, Refusal> {
        let value = &value.to_ascii_lowercase();
        let mut names = value.split(',').map(str::trim).filter(|name| !name.is_empty() && *name != "identity");
        let unsupported = || Refusal::ContentEncoding { found: value.to_owned(), supported: "gzip, zstd or none" };
        let compression = match names.next() {
            None => Compression::None,
            Some("gzip" | "x-gzip") => Compression::Gzip,
            Some("zstd") => Compression::Zstd,
            Some("deflate") => Compression::Deflate,
            Some(_) => return Err(unsupported()),
        };
        if names.next().is_some() { Err(unsupported()) } else { Ok(compression) }
    }

    fn name(self) -> &'static str {
        match self {
            Compression::None => "identity",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
            Compression::Deflate => "deflate",
            Compression::Snappy => "snappy",
        }
    }
}

/// Unpacks a body. What it holds is reserved on the ticket afterwards.
pub(crate) fn decompress(
    compression: Compression,
    input: &[u8],
    limit: usize,
    ticket: &mut Ticket,
) -> Result<Vec<u8>, Refusal> {
    // An empty body is an empty request, whatever its headers say.
    if input.is_empty() {
        return Ok(Vec::new());
    }
    let malformed = |error: std::io::Error| Refusal::Malformed {
        what: format!("the body is not valid {}: {error}", compression.name()),
    };
    match compression {
        Compression::None => Ok(input.to_vec()),
        Compression::Gzip => unpack(flate2::bufread::MultiGzDecoder::new(input), limit, ticket, malformed),
        Compression::Deflate => unpack(flate2::bufread::ZlibDecoder::new(input), limit, ticket, malformed),
        Compression::Snappy => {
            ticket.reserve(snappy::length(input, limit)?)?;
            Ok(snappy::unpack(input, limit)?)
        }
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(malformed)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(malformed)?;
            unpack(decoder, limit, ticket, malformed)
        }
    }
}

impl From<SnappyError> for Refusal {
    fn from(error: SnappyError) -> Self {
        match error {
            SnappyError::TooLarge { limit, .. } => Refusal::TooLarge { limit },
            other => Refusal::Malformed { what: other.to_string() },
        }
    }
}

fn unpack(
    mut decoder: impl Read,
    limit: usize,
    ticket: &mut Ticket,
    malformed: impl Fn(std::io::Error) -> Refusal,
) -> Result<Vec<u8>, Refusal> {
    let mut out = Vec::new();
    loop {
        ticket.reserve(STEP_BYTES)?;
        #[expect(clippy::disallowed_methods, reason = "the reader ends after one step")]
        let step = decoder.by_ref().take(STEP_BYTES as u64).read_to_end(&mut out).map_err(&malformed)?;
        if out.len() > limit {
            return Err(Refusal::TooLarge { limit });
        }
        if step < STEP_BYTES {
            ticket.release(STEP_BYTES - step);
            return Ok(out);
        }
    }
}
