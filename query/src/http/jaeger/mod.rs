//! How do Jaeger's users ask for traces? By Jaeger's HTTP APIs, under `/jaeger/api`: the first, which Grafana's data source and
//! scripts use, and the third, which Jaeger's own UI searches with; and by Jaeger itself, over gRPC (`remote`).
//!
//! G1  Paths, parameters and shapes are Jaeger's; what it does not know of parameters is ignored, as Jaeger does.
//! G2  An error has Jaeger's shape, `errors` with a code and a message in the first API, `error` in the third, and the HTTP status
//!     that is its code.
//! G3  Work that grows with data happens on the executor's threads, within the query limits of the server.
//! G4  What is stored is told as it is: no clock skew is taken out, and no span is left out because another has its id.
//!
//! Not here: what a search means (`traceql`), who calls whom (`service::calls`), Spanlight's own API (the module above).

mod metrics;
mod model;
mod otlp;
mod remote;
mod request;
#[cfg(test)]
mod tests;

use super::answer::{self, Body, accepts_gzip, large, small};
use super::{QueryState, panicked, tenant};
use crate::error::{Error, Result};
use crate::exec::{Control, QueryContext};
use crate::service::{calls, has_unnamed, operation_kinds};
use crate::trace::Position;
use crate::traceql::{self, SearchQuery};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use metrics::Measure;
use model::{Envelope, Trace};
use query_api::error::Class;
use query_api::otlp::TracesData;
use query_api::trace::{Order, TraceSummary};
use request::{Request, Search};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use storage::model::Signal;
use storage::model::attribute::Value;
use storage::scan::{AttributeScope, TimeRange};
use tower_http::catch_panic::CatchPanicLayer;

/// Where the APIs live; a data source is given the server's address with this behind it.
const PREFIX: &str = "/jaeger";
/// Most bytes of a file that is shown without being stored.
const TRANSFORM_BYTES: usize = 16 << 20;
/// What the third API calls a kind that is not specified; the first has no word for it.
const UNSPECIFIED: &str = "internal";
/// Most services, or operations of one, that are listed.
const MOST_NAMES: usize = 10_000;

/// Which of Jaeger's APIs is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    First,
    Third,
}

/// Jaeger's APIs, ready to be merged into the server's router.
pub(super) fn router(state: Arc<QueryState>) -> Router {
    let api = Router::new()
        .route("/api/services", get(services_v1))
        .route("/api/services/{service}/operations", get(operations_of_v1))
        .route("/api/operations", get(operations_v1))
        .route("/api/traces", get(search_v1))
        .route("/api/traces/{id}", get(trace_v1))
        .route("/api/dependencies", get(dependencies_v1))
        .route(
            "/api/metrics/latencies",
            get(async |state, headers, query| measured((state, headers, query), Measure::Latencies).await),
        )
        .route(
            "/api/metrics/calls",
            get(async |state, headers, query| measured((state, headers, query), Measure::Calls).await),
        )
        .route(
            "/api/metrics/errors",
            get(async |state, headers, query| measured((state, headers, query), Measure::Errors).await),
        )
        .route("/api/metrics/minstep", get(min_step))
        .route("/api/transform", post(transform_v1).layer(DefaultBodyLimit::max(TRANSFORM_BYTES)))
        .route("/api/v3/services", get(services_v3))
        .route("/api/v3/operations", get(operations_v3))
        .route("/api/v3/traces", get(search_v3))
        .route("/api/v3/traces/{id}", get(trace_v3))
        .route("/api/v3/trace-summaries", get(summaries_v3))
        .fallback(async || failed(Version::First, &Error::NotFound { what: "no such path".to_owned() }))
        .layer(CatchPanicLayer::custom(panicked))
        .with_state(Arc::clone(&state));
    Router::new().nest(PREFIX, api).merge(remote::router(state))
}

type Asked = (State<Arc<QueryState>>, HeaderMap, RawQuery);

/// Runs a query whose answer is written on the executor.
async fn run<T: Serialize>(
    version: Version,
    (State(state), headers, RawQuery(query)): Asked,
    job: impl FnOnce(&Control, &Request) -> Result<T> + Send + 'static,
) -> Response {
    let outcome = async {
        let request = Request::read(query.as_deref().unwrap_or_default(), state.now())?;
        let context = QueryContext { tenant: tenant(&headers)?, timeout: state.executor().config().timeout };
        let gzip = accepts_gzip(&headers);
        state.executor().run(context, move |control| large(control, &job(control, &request)?, gzip)).await
    };
    answered(version, outcome.await)
}

async fn services_v1(state: State<Arc<QueryState>>, headers: HeaderMap, query: RawQuery) -> Response {
    run(Version::First, (state, headers, query), |control, _| Ok(Envelope::counted(services(control)?))).await
}

async fn services_v3(state: State<Arc<QueryState>>, headers: HeaderMap, query: RawQuery) -> Response {
    run(Version::Third, (state, headers, query), |control, _| Ok(json!({ "services": services(control)? }))).await
}

/// The services that have a span, by the store's own lists.
fn services(control: &Control) -> Result<Vec<String>> {
    let key = (AttributeScope::Resource, "service.name");
    let listed = control.values(Signal::Spans, key, TimeRange::ALL, "", MOST_NAMES)?;
    let mut names: Vec<String> = listed
        .values
        .iter()
        .filter_map(|value| match Value::parse(&value.value) {
            Some(Value::String(name)) => Some(model::told_service(name.to_owned())),
            _ => None,
        })
        .collect();
    if has_unnamed(control, TimeRange::ALL)? {
        names.push(model::told_service(String::new()));
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

async fn operations_of_v1(
    state: State<Arc<QueryState>>,
    headers: HeaderMap,
    Path(service): Path<String>,
    query: RawQuery,
) -> Response {
    run(Version::First, (state, headers, query), move |control, _| {
        let mut names: Vec<String> =
            operation_kinds(control, model::stored_service(&service))?.into_iter().map(|(name, _)| name).collect();
        names.dedup();
        Ok(Envelope::counted(names))
    })
    .await
}

/// A name that spans of a service have, and their kind.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    name: String,
    span_kind: &'static str,
}

fn operations(control: &Control, service: &str, kind: Option<&str>) -> Result<Vec<Operation>> {
    let all = operation_kinds(control, model::stored_service(service))?.into_iter();
    let all = all.map(|(name, kind)| Operation { name, span_kind: model::kind(kind).unwrap_or_default() });
    Ok(all.filter(|operation| kind.is_none_or(|kind| kind == operation.span_kind)).collect())
}

async fn operations_v1(state: State<Arc<QueryState>>, headers: HeaderMap, query: RawQuery) -> Response {
    run(Version::First, (state, headers, query), |control, request| {
        Ok(Envelope::counted(operations(control, request.required("service")?, request.text("spanKind"))?))
    })
    .await
}

async fn operations_v3(state: State<Arc<QueryState>>, headers: HeaderMap, query: RawQuery) -> Response {
    run(Version::Third, (state, headers, query), |control, request| {
        let service = request.required("service")?;
        let mut operations = operations(control, service, request.either("spanKind", "span_kind"))?;
        for operation in operations.iter_mut().filter(|operation| operation.span_kind.is_empty()) {
            operation.span_kind = UNSPECIFIED;
        }
        Ok(json!({ "operations": operations }))
    })
    .await
}

async fn search_v1(state: State<Arc<QueryState>>, headers: HeaderMap, query: RawQuery) -> Response {
    run(Version::First, (state, headers, query), |control, request| {
        let ids = request.trace_ids()?;
        let (mut traces, mut lost) = (Vec::new(), Vec::new());
        if ids.is_empty() {
            traces = found(control, &request.search_v1()?)?;
        }
        for id in ids {
            match there(crate::trace::by_id(control, id)).transpose()? {
                Some(trace) => traces.push(trace),
                None => lost.push(id),
            }
        }
        Envelope::new(traces.iter().map(Trace::new).collect::<Vec<_>>()).without(&lost).to_value()
    })
    .await
}

/// What was found; nothing where there is none.
fn there(read: Result<TracesData>) -> Option<Result<TracesData>> {
    match read {
        Err(Error::NotFound { .. }) => None,
        read => Some(read),
    }
}

/// Tells the summaries of the traces that a search finds, newest first, each as soon as its place is known; gives the place of the
/// last one where others follow.
fn searched(
    control: &Control,
    asked: &Search,
    tell: &mut dyn FnMut(TraceSummary) -> Result<()>,
) -> Result<Option<Position>> {
    let search = traceql::parse(&asked.text)?.search()?;
    let Search { range, limit, after, .. } = *asked;
    let query = SearchQuery { range, order: Order::Newest, limit, spans_per_set: 0, after };
    search.tell(control, &query, &mut |told| told.trace().map_or(Ok(()), |found| tell(found.summary)))
}

/// The traces that a search finds, whole.
fn found(control: &Control, asked: &Search) -> Result<Vec<TracesData>> {
    let mut traces = Vec::new();
    searched(control, asked, &mut |summary| {
        let id = summary.trace_id.parse().map_err(|_| Error::bug("a search found a trace whose id is none"))?;
        traces.extend(there(crate::trace::by_id(control, id)).transpose()?);
        Ok(())
    })?;
    Ok(traces)
}

async fn search_v3(state: State<Arc<QueryState>>, headers: HeaderMap, query: RawQuery) -> Response {
    run(Version::Third, (state, headers, query), |control, request| {
        let traces = found(control, &request.search_v3()?)?;
        if traces.is_empty() {
            return Err(Error::NotFound { what: "No traces found".to_owned() });
        }
        Ok(otlp::Answer::new(traces.into_iter().flat_map(|trace| trace.resource_spans).collect()))
    })
    .await
}

async fn summaries_v3(state: State<Arc<QueryState>>, headers: HeaderMap, query: RawQuery) -> Response {
    run(Version::Third, (state, headers, query), |control, request| {
        let mut summaries = Vec::new();
        searched(control, &request.search_v3()?, &mut |summary| {
            summaries.push(otlp::Summary::new(control, summary)?);
            Ok(())
        })?;
        Ok(json!({ "summaries": summaries }))
    })
    .await
}

async fn trace_v1(
    state: State<Arc<QueryState>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    query: RawQuery,
) -> Response {
    run(Version::First, (state, headers, query), move |control, _| {
        let trace = by_id(control, &id)?;
        Envelope::new(vec![Trace::new(&trace)]).to_value()
    })
    .await
}

async fn trace_v3(
    state: State<Arc<QueryState>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    query: RawQuery,
) -> Response {
    run(Version::Third, (state, headers, query), move |control, _| {
        Ok(otlp::Answer::new(by_id(control, &id)?.resource_spans))
    })
    .await
}

fn by_id(control: &Control, id: &str) -> Result<TracesData> {
    crate::trace::by_id(control, request::trace_id(id)?).map_err(|error| match error {
        // The words that clients look for.
        Error::NotFound { .. } => Error::NotFound { what: "trace not found".to_owned() },
        other => other,
    })
}

async fn dependencies_v1(state: State<Arc<QueryState>>, headers: HeaderMap, query: RawQuery) -> Response {
    run(Version::First, (state, headers, query), |control, request| {
        let calls = calls(control, request.lookback(request::DAY)?)?.into_iter().map(model::Dependency::from);
        let service = request.text("service").filter(|name| !name.is_empty());
        let is_asked = |call: &model::Dependency| service.is_none_or(|name| call.parent == name || call.child == name);
        Ok(Envelope::counted(calls.filter(is_asked).collect()))
    })
    .await
}

async fn measured(asked: Asked, measure: Measure) -> Response {
    run(Version::First, asked, move |control, request| metrics::family(control, request, measure)).await
}

async fn min_step() -> Response {
    let answer = json!({ "data": metrics::MIN_STEP, "total": 0, "limit": 0, "offset": 0, "errors": null });
    answered(Version::First, small(&answer))
}

/// Shows a file of OTLP/JSON as if it were stored.
async fn transform_v1(State(state): State<Arc<QueryState>>, headers: HeaderMap, body: Bytes) -> Response {
    let outcome = async {
        let context = QueryContext { tenant: tenant(&headers)?, timeout: state.executor().config().timeout };
        let gzip = accepts_gzip(&headers);
        let job = move |control: &Control| {
            control.charge(body.len())?;
            let data: TracesData = serde_json::from_slice(&body)
                .map_err(|error| Error::parameter("body", format!("the body is no OTLP/JSON: {error}")))?;
            large(control, &Envelope::new(model::by_trace(&data)).to_value()?, gzip)
        };
        state.executor().run(context, job).await
    };
    answered(Version::First, outcome.await)
}

fn answered(version: Version, outcome: Result<Body>) -> Response {
    match outcome {
        Ok(body) => answer::ok(body),
        Err(error) => failed(version, &error),
    }
}

/// An error in Jaeger's shape (G2).
fn failed(version: Version, error: &Error) -> Response {
    if matches!(error.class(), Class::Bug | Class::Corrupt) {
        tracing::error!(error = ?error, "a query failed");
    }
    // HTTP's status, gRPC's code.
    let (status, code) = match error.class() {
        Class::Caller => (StatusCode::BAD_REQUEST, 3),
        Class::NotFound => (StatusCode::NOT_FOUND, 5),
        Class::Limit => (StatusCode::UNPROCESSABLE_ENTITY, 8),
        Class::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, 14),
        Class::Corrupt => (StatusCode::INTERNAL_SERVER_ERROR, 15),
        Class::Bug => (StatusCode::INTERNAL_SERVER_ERROR, 13),
    };
    let message = error.body().error.message;
    let body = match version {
        Version::First => json!({
            "data": null, "total": 0, "limit": 0, "offset": 0,
            "errors": [{ "code": status.as_u16(), "msg": message }],
        }),
        Version::Third => json!({ "error": {
            "grpcCode": code, "httpCode": status.as_u16(), "message": message,
            "httpStatus": status.canonical_reason().unwrap_or_default(),
        }}),
    };
    let bytes = small(&body).map(Body::into_bytes).unwrap_or_default();
    answer::response(status, bytes)
}
