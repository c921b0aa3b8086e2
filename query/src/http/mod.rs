//! How is a question asked over HTTP, and how answered? Spanlight's own API under `/api/v1`; Prometheus's (`prometheus`), Tempo's
//! under `/tempo` (`tempo`) and Jaeger's under `/jaeger` (`jaeger`) beside it. Both have gRPC services on the same port (`grpc`).
//!
//! W1  `endpoint::ENDPOINTS` is the one list of what there is: the router, the check of parameters and the OpenAPI
//!     document are made from it.
//! W2  Every answer, also every error, is JSON with the same headers; an unknown or doubled parameter is an error,
//!     never ignored.
//! W3  Parsing happens here, on the network's threads; work that grows with data happens on the executor's.
//!
//! W1 and W2 are about our own API; `prometheus` keeps to other rules.
//!
//! Not here: what an answer consists of (`trace`, `service`, `log`, `metric`, `promql`), which files the UI has.

mod answer;
mod ask;
mod deletion;
mod endpoint;
mod file;
mod grpc;
mod jaeger;
mod letter;
mod openapi;
mod outline;
mod parameter;
mod prometheus;
mod protobuf;
mod state;
mod status;
mod tempo;
#[cfg(test)]
mod tests;

pub use file::{Files, serve_file};
#[cfg(test)]
pub(crate) use openapi::tests::check_answer;
pub use state::{
    DemoAction, Host, QueryState, RelabelSteps, RenderMetrics, Replay, ReplayLetter, SwitchDemo, TellActiveSeries,
    TellKafka, TellLastReceived, TellScrapePool, TellScrapeTrouble, TellTargets,
};

use crate::error::{Error, Result};
use crate::exec::QueryContext;
use answer::Body;
use ask::{Ask, DataAsk};
use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::Response;
use axum::routing::{MethodFilter, any, on};
use axum::serve::ListenerExt as _;
use endpoint::{ENDPOINTS, Endpoint};
use parameter::Parameters;
use std::sync::Arc;
use storage::model::TenantId;
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

/// Where the API lives.
pub const PREFIX: &str = "/api/v1";
/// The header that names the tenant.
const TENANT: &str = "x-scope-orgid";

/// The API, ready to be merged into the server's router.
pub fn router(state: impl Into<Arc<QueryState>>) -> Router {
    let state: Arc<QueryState> = state.into();
    let mut api: Router<Arc<QueryState>> = Router::new();
    for endpoint in ENDPOINTS {
        let filter = if endpoint.method == Method::POST {
            MethodFilter::POST
        } else if endpoint.method == Method::DELETE {
            MethodFilter::DELETE
        } else {
            MethodFilter::GET
        };
        let handler = move |state, path, request| called(endpoint, state, path, request);
        api = api.route(endpoint.path, on(filter, handler));
    }
    let api = api
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown_path)
        .layer(CatchPanicLayer::custom(panicked))
        .with_state(Arc::clone(&state));
    // What is nested does not see the prefix itself with a slash behind it.
    let own = Router::new().nest(PREFIX, api).route(&format!("{PREFIX}/"), any(unknown_path));
    own.merge(prometheus::router(Arc::clone(&state)))
        .merge(jaeger::router(Arc::clone(&state)))
        .merge(tempo::router(state))
}

/// Answers what comes to a listener until `shutdown` resolves; then finishes what is at hand.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    // An answer in several frames, as gRPC has it, would wait 40 ms for the client to confirm the first.
    let at_once = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "failed to set TCP_NODELAY");
        }
    });
    axum::serve(at_once, router).with_graceful_shutdown(shutdown).await
}

async fn called(
    endpoint: &'static Endpoint,
    State(state): State<Arc<QueryState>>,
    path: Result<Path<Vec<(String, String)>>, PathRejection>,
    request: Request,
) -> Response {
    let span = server_span(endpoint);
    let answering = async {
        let (parts, _) = request.into_parts();
        let outcome = match path {
            Ok(Path(path)) => outcome(endpoint, &state, path, &parts.uri, &parts.headers).await,
            Err(_) => Err(Error::parameter("path", "the path is not valid UTF-8 once its percent signs are decoded")),
        };
        match outcome {
            Ok(body) => answer::ok(body),
            Err(error) => answer::failed(&error),
        }
    };
    let response = answering.instrument(span.clone()).await;
    span.record("http.response.status_code", response.status().as_u16());
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    response
}

/// Spanlight's own span of a request, as OpenTelemetry's conventions for HTTP servers name things.
fn server_span(endpoint: &Endpoint) -> tracing::Span {
    let route = format!("{PREFIX}{}", endpoint.path);
    tracing::info_span!(
        "request",
        otel.name = format!("{} {route}", endpoint.method),
        otel.kind = "server",
        otel.status_code = tracing::field::Empty,
        http.request.method = endpoint.method.as_str(),
        http.route = route,
        http.response.status_code = tracing::field::Empty,
    )
}

async fn outcome(
    endpoint: &'static Endpoint,
    state: &Arc<QueryState>,
    path: Vec<(String, String)>,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Body> {
    let tenant = tenant(headers)?;
    if endpoint.method != Method::GET {
        same_origin(uri, headers)?;
    }
    let mut parameters = Parameters::read(endpoint, path, uri.query().unwrap_or_default(), state.now(), &tenant)?;
    let config = state.executor().config();
    let timeout = parameters.timeout(config)?;
    let ask = Ask::read(endpoint.call, &mut parameters)?;
    parameters.finish()?;
    let gzip = answer::accepts_gzip(headers);
    match ask {
        Ask::Status => answer::small(&status::status(state, &tenant)),
        Ask::Demo(action) => answer::small(&state.demo(action)?),
        Ask::OpenApi => answer::small(state.openapi()),
        Ask::Deletions(most) => deletion::list(state, QueryContext { tenant, timeout }, most, gzip).await,
        Ask::Delete(rows) => deletion::delete(state, QueryContext { tenant, timeout }, rows).await,
        Ask::DeadLetter(id) => letter::download(state, QueryContext { tenant, timeout }, id).await,
        Ask::Replay(id, how) => letter::replay(state, QueryContext { tenant, timeout }, id, how).await,
        Ask::Outline(ask) => {
            let shelf = state.outlines();
            let context = QueryContext { tenant, timeout };
            state.executor().run(context, move |control| ask.answer(control, &shelf, gzip)).await
        }
        Ask::SpanMetrics(range) => {
            answer::small(&crate::span_metrics::fill(state, QueryContext { tenant, timeout }, range).await?)
        }
        Ask::Data(mut ask) => {
            if let DataAsk::Cardinality(query) = &mut ask {
                query.active = (state.host().active_series)(&tenant);
            }
            let context = QueryContext { tenant, timeout };
            state.executor().run(context, move |control| ask.answer(control, gzip)).await
        }
    }
}

fn tenant(headers: &HeaderMap) -> Result<TenantId> {
    let mut names = headers.get_all(TENANT).iter();
    match (names.next(), names.next()) {
        (None, _) => Ok(TenantId::default()),
        (Some(name), None) => name
            .to_str()
            .ok()
            .and_then(|name| TenantId::new(name).ok())
            .ok_or_else(|| Error::parameter("X-Scope-OrgID", storage::model::InvalidTenant.to_string())),
        (Some(_), Some(_)) => Err(Error::parameter("X-Scope-OrgID", "given more than once")),
    }
}

/// A browser tells the origin of the page that asks; programs tell none.
fn same_origin(uri: &Uri, headers: &HeaderMap) -> Result<()> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| uri.authority().map(axum::http::uri::Authority::as_str));
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    match (origin, host) {
        (Some(origin), Some(host)) if origin.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(Error::ForeignOrigin),
    }
}

async fn unknown_path() -> Response {
    let what = format!("no such path; {PREFIX}/openapi.json lists those there are");
    answer::failed(&Error::NotFound { what })
}

async fn wrong_method(method: Method) -> Response {
    answer::failed(&Error::Method { method: method.to_string() })
}

fn panicked(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    answer::failed(&Error::bug("a request handler panicked"))
}
