//! How does Grafana ask for traces? By Tempo's HTTP API, under `/tempo/api`, and by its gRPC service (`stream`).
//!
//! M1  Paths, parameters and shapes are Tempo's; what it does not know of parameters is ignored, as Tempo does.
//! M2  An error is plain text with Tempo's status: 400 for a query that is none, 404 for a trace that is not there.
//! M3  Work that grows with data happens on the executor's threads, within the query limits of the server.
//!
//! Not here: what a query means (`traceql`), Spanlight's own API (the module above).

mod ask;
mod diff;
mod json;
mod llm;
mod mcp;
mod overrides;
mod protobuf;
mod request;
mod series;
mod stream;
mod tag;
#[cfg(test)]
mod tests;
mod trace;

use super::answer::{Body, accepts_gzip, large, small};
use super::{QueryState, panicked, tenant};
use crate::error::{Error, Result};
use crate::exec::{Control, QueryContext};
use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use json::SearchResponse;
use query_api::error::Class;
use request::Request;
use serde_json::json;
use series::{QueryInstantResponse, QueryRangeResponse};
use std::sync::Arc;
use tower_http::catch_panic::CatchPanicLayer;
use trace::Shape;

/// Where the API lives; a data source is given the server's address with this behind it.
const PREFIX: &str = "/tempo";
/// What Grafana asks the version of, to know what it may ask.
const TEMPO_VERSION: &str = "3.0.3";
const PROTOBUF: &str = "application/protobuf";

/// Tempo's API, ready to be merged into the server's router.
pub(super) fn router(state: Arc<QueryState>) -> Router {
    let api = Router::new()
        .route("/api/echo", get(async || text(StatusCode::OK, "echo")))
        .route("/ready", get(async || text(StatusCode::OK, "ready")))
        .route("/api/status/buildinfo", get(buildinfo))
        .route("/api/traces/{id}", get(trace::v1))
        .route("/api/v2/traces/{id}", get(trace::v2))
        .route("/api/v2/traces/diff", post(diff::diff))
        .route("/api/search", get(search))
        .route("/api/metrics/query_range", get(query_range))
        .route("/api/metrics/query", get(query_instant))
        .route("/api/search/tags", get(tags_v1))
        .route("/api/v2/search/tags", get(tags_v2))
        .route("/api/search/tag/{*tag}", get(values_v1))
        .route("/api/v2/search/tag/{*tag}", get(values_v2))
        .route("/api/overrides", get(overrides::get))
        .route("/api/mcp", post(mcp::post))
        .fallback(async || text(StatusCode::NOT_FOUND, "404 page not found"))
        .layer(CatchPanicLayer::custom(panicked))
        .with_state(Arc::clone(&state));
    Router::new().nest(PREFIX, api).merge(stream::router(state))
}

type Asked = (State<Arc<QueryState>>, HeaderMap, RawQuery);

async fn buildinfo(State(state): State<Arc<QueryState>>) -> Response {
    let version = &state.host().version;
    answered(small(&json!({
        "version": TEMPO_VERSION, "revision": format!("spanlight-{version}"), "branch": "HEAD",
        "buildUser": "", "buildDate": "", "goVersion": "",
    })))
}

/// Runs a query that is answered in JSON.
async fn run(
    (State(state), headers, RawQuery(query)): Asked,
    job: impl FnOnce(&Control, Request) -> Result<Box<dyn erased::Answer>> + Send + 'static,
) -> Response {
    answered(outcome(&state, &headers, query.as_deref(), job).await)
}

async fn outcome(
    state: &Arc<QueryState>,
    headers: &HeaderMap,
    query: Option<&str>,
    job: impl FnOnce(&Control, Request) -> Result<Box<dyn erased::Answer>> + Send + 'static,
) -> Result<Body> {
    let request = Request::read(query.unwrap_or_default(), state.now())?;
    let context = QueryContext { tenant: tenant(headers)?, timeout: state.executor().config().timeout };
    let gzip = accepts_gzip(headers);
    state.executor().run(context, move |control| job(control, request)?.write(control, gzip)).await
}

mod erased {
    //! How does an answer of any shape become bytes?

    use super::{Body, Control, Result, large};
    use serde::Serialize;

    /// Something that is written as JSON.
    pub(super) trait Answer {
        fn write(&self, control: &Control, gzip: bool) -> Result<Body>;
    }

    impl<T: Serialize> Answer for T {
        fn write(&self, control: &Control, gzip: bool) -> Result<Body> {
            large(control, self, gzip)
        }
    }
}

async fn search(state: State<Arc<QueryState>>, headers: HeaderMap, query: RawQuery) -> Response {
    run((state, headers, query), |control, request| {
        let (search, query) = ask::search(&request)?;
        let (found, _) = search.page(control, &query)?;
        Ok(Box::new(SearchResponse::new(found, control)))
    })
    .await
}

async fn query_range(state: State<Arc<QueryState>>, headers: HeaderMap, query: RawQuery) -> Response {
    run((state, headers, query), |control, request| {
        let (query, axis, exemplars) = ask::range(&request)?;
        let answer = query.series(control, &axis, exemplars)?;
        Ok(Box::new(QueryRangeResponse::new(answer, &axis, control)))
    })
    .await
}

async fn query_instant(state: State<Arc<QueryState>>, headers: HeaderMap, query: RawQuery) -> Response {
    run((state, headers, query), |control, request| {
        let (query, axis) = ask::instant(&request)?;
        Ok(Box::new(QueryInstantResponse::new(query.series(control, &axis, 0)?, control)))
    })
    .await
}

async fn tags_v1(state: State<Arc<QueryState>>, headers: HeaderMap, query: RawQuery) -> Response {
    run((state, headers, query), |control, request| Ok(Box::new(tag::names(control, &request)?))).await
}

async fn tags_v2(state: State<Arc<QueryState>>, headers: HeaderMap, query: RawQuery) -> Response {
    run((state, headers, query), |control, request| Ok(Box::new(tag::scopes(control, &request)?))).await
}

async fn values_v1(state: State<Arc<QueryState>>, headers: HeaderMap, path: Path<String>, query: RawQuery) -> Response {
    run((state, headers, query), move |control, request| {
        Ok(Box::new(tag::plain_values(control, &request, &tag_of(&path)?)?))
    })
    .await
}

async fn values_v2(state: State<Arc<QueryState>>, headers: HeaderMap, path: Path<String>, query: RawQuery) -> Response {
    if Shape::accepted(&headers) == Shape::Llm {
        let values = run((state, headers, query), move |control, request| {
            Ok(Box::new(llm::TagValues::new(tag::typed_values(control, &request, &tag_of(&path)?)?)))
        });
        return Shape::Llm.typed(values.await);
    }
    run((state, headers, query), move |control, request| {
        Ok(Box::new(tag::typed_values(control, &request, &tag_of(&path)?)?))
    })
    .await
}

/// A tag may hold slashes, so that the path's end is told from it here.
fn tag_of(path: &str) -> Result<String> {
    match path.strip_suffix("/values") {
        Some(tag) if !tag.is_empty() => Ok(tag.to_owned()),
        _ => {
            Err(Error::NotFound { what: "no such path; a tag's values are at `…/search/tag/TAG/values`".to_owned() })
        }
    }
}

fn answered(outcome: Result<Body>) -> Response {
    match outcome {
        Ok(body) => super::answer::ok(body),
        Err(error) => failed(&error),
    }
}

/// Plain text, which Grafana shows as it is (M2).
fn failed(error: &Error) -> Response {
    if matches!(error.class(), Class::Bug | Class::Corrupt) {
        tracing::error!(error = ?error, "a query failed");
    }
    let status = match error.class() {
        Class::Caller => StatusCode::BAD_REQUEST,
        Class::NotFound => StatusCode::NOT_FOUND,
        Class::Limit => StatusCode::UNPROCESSABLE_ENTITY,
        Class::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Class::Corrupt | Class::Bug => StatusCode::INTERNAL_SERVER_ERROR,
    };
    text(status, &error.body().error.message)
}

fn text(status: StatusCode, body: &str) -> Response {
    let mut response = Response::new(axum::body::Body::from(body.to_owned()));
    *response.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
