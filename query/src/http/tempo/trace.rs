//! How is one trace told? `GET /api/traces/ID` and `GET /api/v2/traces/ID`, as protobuf, as JSON, or as JSON that is made for a model's context.
//!
//! R1  The second version may tell a part (`q`, `keep_hierarchy`, `match_depth`, `ancestor_depth`) and similar spans as one
//!     (`span_pruning`…), in this order. What is not the whole trace is PARTIAL, and the message says why.
//! R2  `q` is any query of traces, where Tempo takes single filters. A depth that nothing asks for is not read, as in Tempo.
//!
//! Not here: what is kept (`trace::part`) and joined (`trace::prune`).

use super::super::answer::{Body, accepts_gzip, large};
use super::json::{Batches, Trace, TraceById};
use super::request::Request;
use super::{PROTOBUF, answered, llm, protobuf};
use crate::error::{Error, Result};
use crate::exec::{Control, QueryContext};
use crate::http::{QueryState, tenant};
use crate::trace::{Levels, Part, Pruned, Pruning, by_id, part_by_id};
use crate::traceql;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use glob::Pattern;
use query_api::otlp::TracesData;
use std::sync::Arc;
use storage::model::TraceId;

/// How many alike become one, unless asked otherwise.
const USUAL_LEAST: usize = 5;
/// Patterns of attributes that must be the same.
const MOST_PATTERNS: usize = 100;

/// How a trace is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Protobuf,
    Llm,
    Json,
}

impl Shape {
    /// The first of the kinds that a client accepts which there is.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let lists = headers.get_all(header::ACCEPT).iter().filter_map(|list| list.to_str().ok());
        let mut kinds = lists.flat_map(|list| list.split(',')).map(str::trim);
        let known = kinds.find_map(|kind| match kind {
            _ if kind.starts_with(PROTOBUF) => Some(Shape::Protobuf),
            _ if kind.starts_with(llm::ACCEPTED) => Some(Shape::Llm),
            _ => None,
        });
        known.unwrap_or(Shape::Json)
    }

    /// An answer that is written so.
    pub(super) fn typed(self, mut response: Response) -> Response {
        if let Some(media) = self.media().filter(|_| response.status() == StatusCode::OK) {
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        }
        response
    }

    fn media(self) -> Option<&'static str> {
        match self {
            Shape::Protobuf => Some(PROTOBUF),
            Shape::Llm => Some(llm::MEDIA),
            Shape::Json => None,
        }
    }
}

/// What is asked for of a trace.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    part: Option<Part>,
    pruning: Option<Pruning>,
}

/// A trace as it is told, and why it is not whole.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) data: TracesData,
    pub(super) partial: Option<String>,
}

impl Wanted {
    pub(super) fn read(request: &Request) -> Result<Self> {
        Ok(Wanted { part: part(request)?, pruning: pruning(request)? })
    }

    /// Reads the trace.
    pub(super) fn tell(&self, control: &Control, id: TraceId) -> Result<Told> {
        let (mut data, is_whole) = part_by_id(control, id, self.part.as_ref())?;
        let mut reasons = Vec::new();
        if !data.missing.is_empty() {
            reasons.push(damaged(&data));
        }
        if !is_whole {
            reasons.push("only the spans that `q` leaves are told".to_owned());
        }
        let pruned = self.pruning.as_ref().map(|pruning| pruning.prune(control, &mut data)).transpose()?;
        match pruned {
            Some(Pruned::Now) => {
                reasons.push("similar spans are told as one; without `span_pruning` each of them is".to_owned())
            }
            Some(Pruned::Before) => {
                reasons.push("similar spans were made one before the trace came; no others are stored".to_owned());
            }
            Some(Pruned::Not) | None => {}
        }
        Ok(Told { data, partial: (!reasons.is_empty()).then(|| reasons.join("; ")) })
    }
}

fn damaged(data: &TracesData) -> String {
    format!("{} damaged blocks may have more spans of this trace", data.missing.len())
}

fn part(request: &Request) -> Result<Option<Part>> {
    let Some(query) = request.text("q").map(str::trim).filter(|query| !query.is_empty()) else { return Ok(None) };
    let within = traceql::parse(query)?.within()?;
    let keeps = request.flag("keep_hierarchy")?.unwrap_or(false);
    let ancestors = if keeps { levels(request, "ancestor_depth", None)? } else { Some(0) };
    Ok(Some(Part { within, ancestors, descendants: levels(request, "match_depth", Some(0))? }))
}

/// A number of levels; -1 is all.
fn levels(request: &Request, name: &str, default: Levels) -> Result<Levels> {
    let Some(text) = request.text(name) else { return Ok(default) };
    match text.parse::<i64>() {
        Ok(-1) => Ok(None),
        Ok(depth) if depth >= 0 => Ok(Some(usize::try_from(depth).unwrap_or(usize::MAX))),
        _ => {
            let message = format!("invalid {name}: expected a number of levels, or -1 for all, found `{text}`");
            Err(Error::parameter(name, message))
        }
    }
}

fn pruning(request: &Request) -> Result<Option<Pruning>> {
    if request.flag("span_pruning")? != Some(true) {
        return Ok(None);
    }
    let name = "span_pruning_group_by";
    let asked = request.text(name).unwrap_or_default().split(',').map(str::trim).filter(|key| !key.is_empty());
    let same: Vec<Pattern> = asked
        .map(|key| {
            Pattern::new(key).map_err(|error| Error::parameter(name, format!("invalid {name}: `{key}`: {}", error.msg)))
        })
        .collect::<Result<_>>()?;
    if same.len() > MOST_PATTERNS {
        return Err(Error::parameter(name, format!("{name} has at most {MOST_PATTERNS} patterns")));
    }
    let name = "span_pruning_min_spans";
    let least = match request.text(name).map(|text| (text, text.parse::<usize>())) {
        None => USUAL_LEAST,
        Some((_, Ok(least))) if least >= 2 => least,
        Some((text, _)) => {
            let message = format!("invalid {name}: expected a number from 2 on, found `{text}`");
            return Err(Error::parameter(name, message));
        }
    };
    Ok(Some(Pruning { same, least, levels: levels(request, "span_pruning_max_parent_depth", Some(1))? }))
}

pub(super) async fn v1(State(state): State<Arc<QueryState>>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let shape = match Shape::accepted(&headers) {
        Shape::Protobuf => Shape::Protobuf,
        // As in Tempo, what is made for models is the second version's.
        Shape::Llm | Shape::Json => Shape::Json,
    };
    let gzip = accepts_gzip(&headers);
    let job = move |control: &Control, id| {
        let data = by_id(control, id)?;
        match shape {
            Shape::Protobuf => plain(control, protobuf::trace(&data)),
            Shape::Llm | Shape::Json => large(control, &Batches::new(&data), gzip),
        }
    };
    shape.typed(answered(run(&state, &headers, &id, job).await))
}

pub(super) async fn v2(
    State(state): State<Arc<QueryState>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let (shape, gzip) = (Shape::accepted(&headers), accepts_gzip(&headers));
    let read = Request::read(query.as_deref().unwrap_or_default(), state.now());
    let wanted = match read.and_then(|request| Wanted::read(&request)) {
        Ok(wanted) => wanted,
        Err(error) => return answered(Err(error)),
    };
    let job = move |control: &Control, id| {
        let Told { data, partial } = wanted.tell(control, id)?;
        match shape {
            Shape::Protobuf => plain(control, protobuf::trace_by_id(&data, partial.as_deref())),
            Shape::Llm => large(control, &llm::TraceById::new(id, &data, partial.as_deref()), gzip),
            Shape::Json => {
                let status = partial.is_some().then_some("PARTIAL");
                let trace = Trace::new(&data);
                large(control, &TraceById { trace, metrics: Default::default(), status, message: partial }, gzip)
            }
        }
    };
    shape.typed(answered(run(&state, &headers, &id, job).await))
}

async fn run(
    state: &Arc<QueryState>,
    headers: &HeaderMap,
    id: &str,
    job: impl FnOnce(&Control, TraceId) -> Result<Body> + Send + 'static,
) -> Result<Body> {
    let id = trace_id(id)?;
    let context = QueryContext { tenant: tenant(headers)?, timeout: state.executor().config().timeout };
    state.executor().run(context, move |control| job(control, id)).await
}

/// About what the answer in memory takes is what its bytes take.
fn plain(control: &Control, bytes: Vec<u8>) -> Result<Body> {
    control.charge(bytes.len())?;
    Ok(Body::plain(bytes))
}

/// Hex digits, of which leading zeros may be missing.
pub(super) fn trace_id(text: &str) -> Result<TraceId> {
    let is_hex = (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let padded = format!("{text:0>32}");
    match padded.parse() {
        Ok(id) if is_hex => Ok(id),
        _ => Err(Error::parameter("id", "a trace id has 1 to 32 hex digits and is not zero")),
    }
}
