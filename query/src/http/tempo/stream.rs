//! How does Grafana ask while it watches? By Tempo's gRPC service `tempopb.StreamingQuerier`, on the port of HTTP.
//!
//! S1  A message's fields are the parameters of the HTTP API, and the answers are those of the HTTP API: nothing is decided here.
//! S2  A search tells traces as soon as they are settled, in order, each once; all together are the answer over HTTP. While there
//!     are none it tells how far it is. The last message has the figures of the whole.
//! S3  Series are told as they grow, each message with all that there is so far; the last of a range stands in several messages
//!     where it is large, each with some series, that of an instant in one.
//!
//! Not here: what travels around messages (`grpc`), which fields the answers have (`json`, `series`, `tag`).

#[cfg(test)]
mod tests;

use super::super::grpc::{self, Asked, MESSAGE_BYTES, Read};
use super::super::protobuf::Writer;
use super::json::{SearchMetrics, TraceSearchMetadata};
use super::request::Request;
use super::series::{QueryInstantResponse, QueryRangeResponse};
use super::{ask, tag};
use crate::error::Result;
use crate::exec::{Control, Outbox};
use crate::http::QueryState;
use crate::traceql::Told;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::post;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often traces are told that are there: a page that changes more often cannot be read.
const TRACES_EVERY: Duration = Duration::from_millis(100);
/// How often series are told again: a chart is drawn anew each time.
const SERIES_EVERY: Duration = Duration::from_millis(500);

/// The service, ready to be merged into the server's router.
pub(super) fn router(state: Arc<QueryState>) -> Router {
    let call = async |State(state): State<Arc<QueryState>>, Path(method): Path<String>, request| {
        grpc::answer(state, request, reader(&method)).await
    };
    Router::new().route("/tempopb.StreamingQuerier/{method}", post(call)).with_state(state)
}

fn reader(method: &str) -> Option<Read> {
    Some(match method {
        "Search" => search,
        "SearchTags" => tags_v1,
        "SearchTagsV2" => tags_v2,
        "SearchTagValues" => values_v1,
        "SearchTagValuesV2" => values_v2,
        "MetricsQueryRange" => query_range,
        "MetricsQueryInstant" => query_instant,
        _ => return None,
    })
}

/// `SearchRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct SearchRequest {
    #[prost(map = "string, string", tag = "1")]
    tags: HashMap<String, String>,
    #[prost(uint32, tag = "2")]
    min_duration_ms: u32,
    #[prost(uint32, tag = "3")]
    max_duration_ms: u32,
    #[prost(uint32, tag = "4")]
    limit: u32,
    /// Unix seconds.
    #[prost(uint32, tag = "5")]
    start: u32,
    #[prost(uint32, tag = "6")]
    end: u32,
    #[prost(string, tag = "8")]
    query: String,
    #[prost(uint32, tag = "9")]
    spans_per_span_set: u32,
}

/// `SearchTagsRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct TagsRequest {
    #[prost(string, tag = "1")]
    scope: String,
    #[prost(string, tag = "2")]
    query: String,
    #[prost(uint32, tag = "3")]
    start: u32,
    #[prost(uint32, tag = "4")]
    end: u32,
    #[prost(uint32, tag = "5")]
    max_tags_per_scope: u32,
}

/// `SearchTagValuesRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct ValuesRequest {
    #[prost(string, tag = "1")]
    tag_name: String,
    #[prost(string, tag = "2")]
    query: String,
    #[prost(uint32, tag = "4")]
    start: u32,
    #[prost(uint32, tag = "5")]
    end: u32,
    #[prost(uint32, tag = "6")]
    max_tag_values: u32,
}

/// `QueryRangeRequest`, and what it has in common with `QueryInstantRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct SeriesRequest {
    #[prost(string, tag = "1")]
    query: String,
    /// Unix nanoseconds.
    #[prost(uint64, tag = "2")]
    start: u64,
    #[prost(uint64, tag = "3")]
    end: u64,
    /// Nanoseconds.
    #[prost(uint64, tag = "4")]
    step: u64,
    #[prost(uint32, tag = "16")]
    exemplars: u32,
}

/// Fields as parameters; one that has its default is not given.
#[derive(Default)]
struct Pairs(Vec<(String, String)>);

impl Pairs {
    fn text(mut self, name: &str, value: String) -> Self {
        self.0.push((name.to_owned(), value));
        self
    }

    fn number(self, name: &str, value: impl Into<u64>, unit: &str) -> Self {
        match value.into() {
            0 => self,
            value => self.text(name, format!("{value}{unit}")),
        }
    }
}

fn search(message: &[u8], now: i64) -> Result<Asked> {
    let asked: SearchRequest = grpc::decode(message)?;
    let pairs = Pairs::default()
        .text("q", asked.query)
        .number("minDuration", asked.min_duration_ms, "ms")
        .number("maxDuration", asked.max_duration_ms, "ms")
        .number("limit", asked.limit, "")
        .number("start", asked.start, "")
        .number("end", asked.end, "")
        .number("spss", asked.spans_per_span_set, "");
    let request = Request::of(pairs.0, asked.tags.into_iter().collect(), now);
    let job = move |control: &Control, outbox: &Outbox| {
        let (search, query) = ask::search(&request)?;
        let mut traces = Traces { out: Writer::default(), begun: Instant::now() };
        search.tell(control, &query, &mut |told| {
            // Where a scan follows, what is there does not wait for it.
            let is_due = matches!(told, Told::Scanning) || traces.begun.elapsed() >= TRACES_EVERY;
            if let Some(found) = told.trace() {
                traces.out.message(1, |out| TraceSearchMetadata::new(found).write(out));
            }
            let size = traces.out.0.len();
            if size < MESSAGE_BYTES && (size == 0 || !is_due) {
                return Ok(());
            }
            let (done, all) = control.steps();
            outbox.send(control, traces.message(&SearchMetrics::under_way(done, all)))
        })?;
        outbox.send(control, traces.message(&SearchMetrics::of(control)))
    };
    let tell = |done, all| {
        let mut nothing = Traces { out: Writer::default(), begun: Instant::now() };
        nothing.message(&SearchMetrics::under_way(done, all))
    };
    Ok(Asked { tell: Some(tell), ..Asked::new(job) })
}

/// Traces that are not told yet.
struct Traces {
    out: Writer,
    begun: Instant,
}

impl Traces {
    /// `SearchResponse` of them.
    fn message(&mut self, metrics: &SearchMetrics) -> Vec<u8> {
        self.begun = Instant::now();
        let mut out = std::mem::take(&mut self.out);
        out.message(2, |out| metrics.write(out));
        out.0
    }
}

fn query_range(message: &[u8], now: i64) -> Result<Asked> {
    let request = series_request(message, now)?;
    Ok(Asked::new(move |control, outbox| {
        let (query, axis, exemplars) = ask::range(&request)?;
        let send = |answer| {
            let answer = QueryRangeResponse::new(answer, &axis, control);
            answer.messages(MESSAGE_BYTES, |message| outbox.send(control, message))
        };
        send(query.growing(control, &axis, exemplars, SERIES_EVERY, &mut |so_far| send(so_far))?)
    }))
}

fn query_instant(message: &[u8], now: i64) -> Result<Asked> {
    let request = series_request(message, now)?;
    Ok(Asked::new(move |control, outbox| {
        let (query, axis) = ask::instant(&request)?;
        let send = |answer| outbox.send(control, QueryInstantResponse::new(answer, control).message());
        send(query.growing(control, &axis, 0, SERIES_EVERY, &mut |so_far| send(so_far))?)
    }))
}

fn series_request(message: &[u8], now: i64) -> Result<Request> {
    let asked: SeriesRequest = grpc::decode(message)?;
    let pairs = Pairs::default()
        .text("q", asked.query)
        .number("start", asked.start, "")
        .number("end", asked.end, "")
        .number("step", asked.step, "ns")
        .number("exemplars", asked.exemplars, "");
    Ok(Request::of(pairs.0, Vec::new(), now))
}

fn tags_v1(message: &[u8], now: i64) -> Result<Asked> {
    let request = tags_request(message, now)?;
    Ok(Asked::new(move |control, outbox| send_all(control, outbox, tag::names(control, &request)?.messages())))
}

fn tags_v2(message: &[u8], now: i64) -> Result<Asked> {
    let request = tags_request(message, now)?;
    Ok(Asked::new(move |control, outbox| send_all(control, outbox, tag::scopes(control, &request)?.messages())))
}

fn values_v1(message: &[u8], now: i64) -> Result<Asked> {
    let (request, name) = values_request(message, now)?;
    Ok(Asked::new(move |control, outbox| {
        send_all(control, outbox, tag::plain_values(control, &request, &name)?.messages())
    }))
}

fn values_v2(message: &[u8], now: i64) -> Result<Asked> {
    let (request, name) = values_request(message, now)?;
    Ok(Asked::new(move |control, outbox| {
        send_all(control, outbox, tag::typed_values(control, &request, &name)?.messages())
    }))
}

fn send_all(control: &Control, outbox: &Outbox, messages: Vec<Vec<u8>>) -> Result<()> {
    messages.into_iter().try_for_each(|message| outbox.send(control, message))
}

fn tags_request(message: &[u8], now: i64) -> Result<Request> {
    let asked: TagsRequest = grpc::decode(message)?;
    let pairs = Pairs::default()
        .text("scope", asked.scope)
        .text("q", asked.query)
        .number("start", asked.start, "")
        .number("end", asked.end, "")
        .number("limit", asked.max_tags_per_scope, "");
    Ok(Request::of(pairs.0, Vec::new(), now))
}

fn values_request(message: &[u8], now: i64) -> Result<(Request, String)> {
    let asked: ValuesRequest = grpc::decode(message)?;
    let pairs = Pairs::default()
        .text("q", asked.query)
        .number("start", asked.start, "")
        .number("end", asked.end, "")
        .number("limit", asked.max_tag_values, "");
    Ok((Request::of(pairs.0, Vec::new(), now), asked.tag_name))
}
