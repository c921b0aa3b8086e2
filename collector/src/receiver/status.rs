//! In which bytes are answers told? ExportXServiceResponse and google.rpc.Status, as protobuf and as JSON.

use crate::collector::{Accepted, shorten};
use crate::error::Refusal;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::time::Duration;
use storage::model::Signal;
use storage::model::record::{put_bytes, put_varint};
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt as _};

/// Keys of length-delimited field 1 and 2 and of varint field 1.
const BYTES_1: u8 = 0x0a;
const BYTES_2: u8 = 0x12;
const VARINT_1: u8 = 0x08;

/// The response message; alike for the three signals. `partial_success` is unset where all was accepted.
pub(super) fn response_protobuf(accepted: &Accepted) -> Bytes {
    let message = accepted.message.as_deref().unwrap_or_default();
    if accepted.rejected == 0 && message.is_empty() {
        return Bytes::new();
    }
    let mut partial = vec![VARINT_1];
    put_varint(&mut partial, accepted.rejected);
    partial.push(BYTES_2);
    put_bytes(&mut partial, message.as_bytes());
    let mut out = vec![BYTES_1];
    put_bytes(&mut out, &partial);
    out.into()
}

/// The same in JSON, where 64-bit integers are strings.
pub(super) fn response_json(signal: Signal, accepted: &Accepted) -> Bytes {
    let message = accepted.message.as_deref().unwrap_or_default();
    if accepted.rejected == 0 && message.is_empty() {
        return Bytes::from_static(b"{}");
    }
    let rejected = match signal {
        Signal::Spans => "rejectedSpans",
        Signal::Logs => "rejectedLogRecords",
        Signal::Metrics => "rejectedDataPoints",
    };
    let mut partial = Map::new();
    partial.insert(rejected.to_owned(), Value::String(accepted.rejected.to_string()));
    partial.insert("errorMessage".to_owned(), Value::String(message.to_owned()));
    json!({ "partialSuccess": partial }).to_string().into()
}

/// google.rpc.Status of a refusal.
pub(super) fn status_protobuf(refusal: &Refusal) -> Bytes {
    let mut out = vec![VARINT_1];
    put_varint(&mut out, u64::from(code(refusal)));
    out.push(BYTES_2);
    put_bytes(&mut out, message(refusal).as_bytes());
    out.into()
}

/// The same in JSON.
pub(super) fn status_json(refusal: &Refusal) -> Bytes {
    json!({ "code": code(refusal), "message": message(refusal) }).to_string().into()
}

/// The gRPC status of a refusal, with RetryInfo exactly where retrying helps.
pub(super) fn status_grpc(refusal: &Refusal) -> Status {
    match refusal.retry_after() {
        None => Status::new(refusal.grpc_code(), message(refusal)),
        Some(delay) => {
            let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(seconds(delay))));
            Status::with_error_details(refusal.grpc_code(), message(refusal), details)
        }
    }
}

/// Whole seconds to wait, at least one.
pub(super) fn seconds(delay: Duration) -> u64 {
    delay.as_secs().saturating_add(u64::from(delay.subsec_nanos() > 0)).max(1)
}

fn code(refusal: &Refusal) -> u32 {
    u32::try_from(i32::from(refusal.grpc_code())).unwrap_or_default()
}

fn message(refusal: &Refusal) -> String {
    shorten(refusal.to_string())
}
