//! How is a body read? In pieces, each reserved before it is kept, within a time.

use crate::admission::Ticket;
use crate::error::Refusal;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use std::time::Duration;

/// A refused request is read to its end and thrown away up to this size, for a client that does not look for an
/// answer before it has sent everything would see a broken connection instead of it.
const MAX_DRAINED_BYTES: usize = 256 << 20;

/// Reads a body of at most `limit` bytes.
pub(super) async fn read(
    body: &mut Body,
    limit: usize,
    timeout: Duration,
    ticket: &mut Ticket,
) -> Result<Bytes, Refusal> {
    // Told by Content-Length, where there is one.
    if body.size_hint().lower() > limit as u64 {
        return Err(Refusal::TooLarge { limit });
    }
    tokio::time::timeout(timeout, collect(body, limit, ticket)).await.unwrap_or(Err(Refusal::Slow { timeout }))
}

async fn collect(body: &mut Body, limit: usize, ticket: &mut Ticket) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::Malformed { what: format!("the body broke off: {error}") })?;
        // Anything but data is trailers, which nobody needs.
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + all.len() + data.len() > limit {
            return Err(Refusal::TooLarge { limit });
        }
        ticket.reserve(data.len())?;
        if first.is_empty() && all.is_empty() {
            first = data;
            continue;
        }
        all.extend_from_slice(&std::mem::take(&mut first));
        all.extend_from_slice(&data);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// Throws the rest of a refused body away, as long as that is cheap.
pub(super) async fn drain(body: &mut Body, timeout: Duration) {
    let throw_away = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > MAX_DRAINED_BYTES {
                return;
            }
        }
    };
    if tokio::time::timeout(timeout, throw_away).await.is_err() {
        tracing::debug!("a refused body did not end in time");
    }
}
