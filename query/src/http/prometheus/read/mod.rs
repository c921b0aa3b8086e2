//! How does another Prometheus read samples? Remote read, as Prometheus 3.14 answers it.
//!
//! R1  A request that cannot be read is refused before memory is taken for what it says; so is one of more queries than [`MOST_QUERIES`].
//! R2  Answers are `SAMPLES`, packed by snappy, or `STREAMED_XOR_CHUNKS`: frames with their length and checksum, each with chunks of one
//!     series, series by ascending labels. The first kind that the request names and that is known here is taken.
//! R3  Samples are those of both ends of the range and between, with the ends of series, as they were stored: the counts of a histogram that
//!     were whole numbers are such. Of OpenTelemetry's metrics they are those that PromQL sees.
//! R4  An answer has the time and the memory of a query. It is whole before its first byte is sent.
//! R5  Errors are sentences, with Prometheus's statuses; what it does not know (a server that is busy) has 503.
//!
//! - `message`: the messages.
//! - `chunk`: how samples are packed into chunks, bit by bit (`bits`).

mod bits;
mod chunk;
mod message;
#[cfg(test)]
mod tests;

use crate::error::Error;
use crate::exec::{Control, QueryContext};
use crate::http::answer;
use crate::http::state::QueryState;
use crate::prometheus::Store;
use crate::prometheus::protobuf::{Histogram, Sample};
use crate::promql::{Fault, Matcher, Reading, Source as _};
use crate::series::{RawSeries, Selected, Value};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use message::{ChunkedReadResponse, ChunkedSeries, Label, Query, QueryResult, ReadRequest, ReadResponse, TimeSeries};
use prost::Message as _;
use query_api::error::Class;
use std::sync::Arc;
use storage::metric::Relation;
use storage::model::TenantId;

/// Bytes of a request, packed and unpacked: a thousand matchers.
const MOST_REQUEST_BYTES: usize = 1 << 20;
/// Queries of a request: Prometheus sends one.
const MOST_QUERIES: usize = 64;
/// Matchers of a query.
const MOST_MATCHERS: usize = 1_000;
/// Bytes of chunks in a frame, more or less: what protobuf's users recommend for a message.
const FRAME_BYTES: usize = 1 << 20;

/// Why there is no answer.
#[derive(Debug)]
struct Refused {
    status: StatusCode,
    message: String,
}

type Result<T> = std::result::Result<T, Refused>;

fn bad(message: impl Into<String>) -> Refused {
    Refused { status: StatusCode::BAD_REQUEST, message: message.into() }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        let status = match error.class() {
            Class::Caller | Class::NotFound | Class::Limit => StatusCode::BAD_REQUEST,
            Class::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Class::Corrupt | Class::Bug => {
                tracing::error!(error = ?error, "a remote read failed");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Refused { status, message: error.body().error.message }
    }
}

impl Refused {
    fn response(&self) -> Response {
        let mut response = answer::response(self.status, format!("{}\n", self.message).into());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// How an answer is written (R2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Samples,
    Chunks,
}

/// Answers `POST /read`.
pub(super) async fn serve(State(state): State<Arc<QueryState>>, request: Request) -> Response {
    match answered(&state, request).await {
        Ok(response) => response,
        Err(refused) => refused.response(),
    }
}

async fn answered(state: &QueryState, request: Request) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let tenant: TenantId = crate::http::tenant(&parts.headers)?;
    let too_long = |_| bad(format!("the request is longer than {MOST_REQUEST_BYTES} bytes"));
    let body = axum::body::to_bytes(body, MOST_REQUEST_BYTES).await.map_err(too_long)?;
    let request = decoded(&body)?;
    let kind = kind(&request.accepted_response_types)?;
    let queries = request.queries.iter().map(Selection::new).collect::<Result<Vec<_>>>()?;
    let context = QueryContext { tenant, timeout: state.executor().config().timeout };
    let job = move |control: &Control| Ok(written(control, &queries, kind));
    let bytes = state.executor().run(context, job).await??;
    let mut response = answer::response(StatusCode::OK, bytes.into());
    let headers = response.headers_mut();
    match kind {
        Kind::Samples => {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        }
        Kind::Chunks => {
            let media = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        }
    }
    Ok(response)
}

/// Unpacks and reads a request (R1).
fn decoded(body: &[u8]) -> Result<ReadRequest> {
    let length = snap::raw::decompress_len(body).map_err(|_| bad("snappy: corrupt input"))?;
    if length > MOST_REQUEST_BYTES {
        return Err(bad(format!("snappy: decoded length {length} exceeds limit {MOST_REQUEST_BYTES}")));
    }
    let message = snap::raw::Decoder::new().decompress_vec(body).map_err(|_| bad("snappy: corrupt input"))?;
    let request = ReadRequest::decode(message.as_slice()).map_err(|error| bad(format!("proto: {error}")))?;
    if request.queries.len() > MOST_QUERIES {
        return Err(bad(format!("more than {MOST_QUERIES} queries in one request")));
    }
    Ok(request)
}

fn kind(accepted: &[i32]) -> Result<Kind> {
    let known = accepted.iter().find_map(|kind| match kind {
        0 => Some(Kind::Samples),
        1 => Some(Kind::Chunks),
        _ => None,
    });
    match known {
        Some(kind) => Ok(kind),
        None if accepted.is_empty() => Ok(Kind::Samples),
        None => {
            let what = "server does not support any of the requested response types";
            Err(bad(format!("{what}: {accepted:?}; supported: SAMPLES, STREAMED_XOR_CHUNKS")))
        }
    }
}

/// What a query asks for.
#[derive(Debug)]
struct Selection {
    matchers: Vec<Matcher>,
    /// Milliseconds; both ends belong to it.
    start: i64,
    end: i64,
}

impl Selection {
    fn new(query: &Query) -> Result<Self> {
        if query.matchers.len() > MOST_MATCHERS {
            return Err(bad(format!("more than {MOST_MATCHERS} matchers in one query")));
        }
        let matchers = query.matchers.iter().map(|matcher| {
            let relation = match matcher.r#type {
                0 => Relation::Equal,
                1 => Relation::NotEqual,
                2 => Relation::Matches,
                3 => Relation::MatchesNot,
                _ => return Err(bad("invalid matcher type")),
            };
            Matcher::new(&matcher.name, relation, &matcher.value).map_err(bad)
        });
        let matchers = matchers.collect::<Result<Vec<_>>>()?;
        Ok(Selection { matchers, start: query.start_timestamp_ms, end: query.end_timestamp_ms })
    }

    fn each(&self, control: &Control, each: &mut dyn FnMut(RawSeries) -> crate::promql::Result<()>) -> Result<()> {
        if self.end < self.start {
            return Ok(());
        }
        let after = self.start.saturating_sub(1);
        let mut raw = |series: Selected| {
            let mut series = series.raw();
            // Of thinned samples there may be some from before.
            series.samples.retain(|sample| sample.time > after);
            if series.samples.is_empty() { Ok(()) } else { each(series) }
        };
        let read = Store::new(control).select(&self.matchers, after, self.end, Reading::WHOLE, &mut raw);
        read.map_err(|fault| match fault {
            Fault::Server(error) => error.into(),
            fault => bad(fault.message("")),
        })
    }
}

fn written(control: &Control, queries: &[Selection], kind: Kind) -> Result<Vec<u8>> {
    match kind {
        Kind::Samples => samples(control, queries),
        Kind::Chunks => frames(control, queries),
    }
}

fn labels(series: &RawSeries) -> Vec<Label> {
    let labels = series.labels.iter();
    labels.map(|(name, value)| Label { name: name.to_owned(), value: value.to_owned() }).collect()
}

fn samples(control: &Control, queries: &[Selection]) -> Result<Vec<u8>> {
    let mut response = ReadResponse::default();
    for query in queries {
        let mut result = QueryResult::default();
        query.each(control, &mut |series| {
            let mut told = TimeSeries { labels: labels(&series), ..TimeSeries::default() };
            for sample in &series.samples {
                match &sample.value {
                    Value::Float(value) => told.samples.push(Sample { value: *value, timestamp: sample.time }),
                    Value::Histogram(histogram) => told.histograms.push(Histogram::stored(histogram, sample.time)),
                }
            }
            // The message, and later its bytes.
            control.charge(told.encoded_len().saturating_mul(2))?;
            result.timeseries.push(told);
            Ok(())
        })?;
        response.results.push(result);
    }
    let message = response.encode_to_vec();
    snap::raw::Encoder::new().compress_vec(&message).map_err(|_| bad("the answer is too long for a snappy block"))
}

fn frames(control: &Control, queries: &[Selection]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for (place, query) in queries.iter().enumerate() {
        let query_index = i64::try_from(place).unwrap_or(i64::MAX);
        query.each(control, &mut |series| {
            let labels = labels(&series);
            let room = FRAME_BYTES.saturating_sub(labels.iter().map(prost::Message::encoded_len).sum());
            let (mut chunks, mut bytes) = (Vec::new(), 0);
            let mut put = |chunks: &mut Vec<message::Chunk>| -> crate::promql::Result<()> {
                let series = ChunkedSeries { labels: labels.clone(), chunks: std::mem::take(chunks) };
                let before = out.len();
                put_frame(&mut out, &ChunkedReadResponse { chunked_series: vec![series], query_index });
                Ok(control.charge(out.len() - before)?)
            };
            for chunk in chunk::chunks(&series.samples) {
                control.check()?;
                bytes += chunk.encoded_len();
                chunks.push(chunk);
                if bytes >= room {
                    put(&mut chunks)?;
                    bytes = 0;
                }
            }
            if chunks.is_empty() { Ok(()) } else { put(&mut chunks) }
        })?;
    }
    Ok(out)
}

/// Length, checksum, message.
fn put_frame(out: &mut Vec<u8>, message: &ChunkedReadResponse) {
    let message = message.encode_to_vec();
    bits::put_varint(out, u64::try_from(message.len()).unwrap_or(u64::MAX));
    out.extend_from_slice(&crc32c::crc32c(&message).to_be_bytes());
    out.extend_from_slice(&message);
}
