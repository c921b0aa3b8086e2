//! How does a reader of Prometheus ask? Its HTTP API, under `/prometheus/api/v1`, for Grafana's data source and others.
//!
//! G1  Paths, parameters, answers and errors are Prometheus's to the letter: `resultType` before `result`, values as texts,
//!     whole seconds without a fraction, others with three digits.
//! G2  GET takes the query string, POST a form in the body too. Parameters that are not known are ignored, as there.
//! G3  What this server does not have (alertmanagers) is answered as by a Prometheus that has none, or that has it switched off
//!     (administration).
//! G4  What is no path of the API is none of the UI's pages either: everything else under `/prometheus` is not found.
//!
//! - `ask`: parameters; `moment`: times among them.
//! - `reply`: what is computed for them, on the executor's threads.
//! - `federate`: the newest samples, for another Prometheus that scrapes them; `family`: the same as protobuf.
//! - `read`: remote read.
//! - `search`: names and values that are like a text; `own`: what the server measures of itself.
//! - `rules`: rules and alerts; `targets`: what is scraped.
//! - `write`: values as JSON; `tree`: expressions as JSON.
//! - `tsdb`: what there is most of.
//! - `origin`: which pages of a browser may read answers.
//! - `refusal`: errors.
//!
//! Not here: PromQL (`promql`), names of metrics (`prometheus`), the evaluation of rules (`rule`).

mod ask;
mod family;
mod federate;
mod moment;
mod origin;
mod own;
mod read;
mod refusal;
mod reply;
mod rules;
mod search;
mod targets;
#[cfg(test)]
mod tests;
mod tree;
mod tsdb;
mod write;

use super::answer::{self, Body};
use super::state::QueryState;
use crate::exec::QueryContext;
use ask::Asked;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header, request};
use axum::response::Response;
use axum::routing::{MethodFilter, any, get, on, post};
use refusal::Refusal;
use std::collections::HashMap;
use std::sync::Arc;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

/// Where Prometheus would be.
const ROOT: &str = "/prometheus";

/// Where the API lives.
pub(super) const PREFIX: &str = "/prometheus/api/v1";

/// The largest form that is read: an expression is shorter.
const MOST_BODY_BYTES: usize = 2 * 1024 * 1024;

/// What a path does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Query,
    QueryRange,
    QueryExemplars,
    Labels,
    LabelValues,
    Series,
    Metadata,
    FormatQuery,
    ParseQuery,
    BuildInfo,
    RuntimeInfo,
    Tsdb,
    Config,
    Flags,
    WalReplay,
    Rules,
    Alerts,
    Targets,
    TargetsMetadata,
    ScrapePools,
    Alertmanagers,
    Notifications,
    Features,
    Blocks,
    Admin,
    Search(search::Realm),
    ScrapePool,
    RelabelSteps,
    SelfMetrics,
}

/// All paths, and whether they can be posted to, too.
const PATHS: [(&str, Call, bool); 31] = [
    ("/query", Call::Query, true),
    ("/query_range", Call::QueryRange, true),
    ("/query_exemplars", Call::QueryExemplars, true),
    ("/labels", Call::Labels, true),
    ("/label/{name}/values", Call::LabelValues, false),
    ("/series", Call::Series, true),
    ("/metadata", Call::Metadata, false),
    ("/format_query", Call::FormatQuery, true),
    ("/parse_query", Call::ParseQuery, true),
    ("/status/buildinfo", Call::BuildInfo, false),
    ("/status/runtimeinfo", Call::RuntimeInfo, false),
    ("/status/tsdb", Call::Tsdb, false),
    ("/status/config", Call::Config, false),
    ("/status/flags", Call::Flags, false),
    ("/status/walreplay", Call::WalReplay, false),
    ("/rules", Call::Rules, false),
    ("/alerts", Call::Alerts, false),
    ("/targets", Call::Targets, false),
    ("/targets/metadata", Call::TargetsMetadata, false),
    ("/scrape_pools", Call::ScrapePools, false),
    ("/alertmanagers", Call::Alertmanagers, false),
    ("/notifications", Call::Notifications, false),
    ("/features", Call::Features, false),
    ("/status/tsdb/blocks", Call::Blocks, false),
    ("/admin/tsdb/{what}", Call::Admin, true),
    ("/search/metric_names", Call::Search(search::Realm::MetricNames), true),
    ("/search/label_names", Call::Search(search::Realm::LabelNames), true),
    ("/search/label_values", Call::Search(search::Realm::LabelValues), true),
    ("/scrape_pools/config", Call::ScrapePool, false),
    ("/targets/relabel_steps", Call::RelabelSteps, false),
    ("/status/self_metrics", Call::SelfMetrics, false),
];

/// The API, ready to be merged into the server's router.
pub(super) fn router(state: Arc<QueryState>) -> Router {
    let mut api: Router<Arc<QueryState>> = Router::new();
    for (path, call, is_posted) in PATHS {
        let filter = match (call, is_posted) {
            (Call::Admin, _) => MethodFilter::POST.or(MethodFilter::PUT),
            (_, true) => MethodFilter::GET.or(MethodFilter::POST),
            (_, false) => MethodFilter::GET,
        };
        let handler = move |state, path, request| serve(call, state, path, request);
        api = api.route(path, on(filter, handler));
    }
    let api = api
        .route("/read", post(read::serve))
        .method_not_allowed_fallback(async || {
            refusal::response(StatusCode::METHOD_NOT_ALLOWED, &Refusal::bad_data("method not allowed"))
        })
        .fallback(unknown)
        .layer(CatchPanicLayer::custom(panicked))
        .with_state(Arc::clone(&state));
    // Whoever is reached is ready: the doors open after the store.
    let others = Router::new()
        .route(&format!("{ROOT}/federate"), on(MethodFilter::GET.or(MethodFilter::POST), federated))
        .route(&format!("{ROOT}/-/healthy"), get(async || "Prometheus Server is Healthy.\n"))
        .route(&format!("{ROOT}/-/ready"), get(async || "Prometheus Server is Ready.\n"))
        .route(ROOT, any(unknown))
        .route(&format!("{ROOT}/"), any(unknown))
        .route(&format!("{ROOT}/{{*path}}"), any(unknown))
        .layer(CatchPanicLayer::custom(panicked))
        .with_state(state);
    Router::new().nest(PREFIX, api).merge(others).layer(axum::middleware::from_fn(origin::told))
}

async fn unknown() -> Response {
    refusal::response(StatusCode::NOT_FOUND, &Refusal::not_found("no such path"))
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("a request handler panicked");
    Refusal::internal().response()
}

async fn serve(
    call: Call,
    State(state): State<Arc<QueryState>>,
    Path(path): Path<HashMap<String, String>>,
    request: Request,
) -> Response {
    let span = tracing::info_span!(
        "request",
        otel.name = format!("{} {PREFIX} {call:?}", request.method()),
        otel.kind = "server",
        otel.status_code = tracing::field::Empty,
        http.request.method = request.method().as_str(),
        http.response.status_code = tracing::field::Empty,
    );
    let answering = async {
        match answer(call, &state, path, request).await {
            Ok(body) => {
                let mut response = answer::ok(body);
                if let Call::Search(_) = call {
                    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(search::MEDIA));
                }
                response
            }
            Err(refusal) => refusal.response(),
        }
    };
    let response = answering.instrument(span.clone()).await;
    span.record("http.response.status_code", response.status().as_u16());
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    response
}

async fn answer(
    call: Call,
    state: &Arc<QueryState>,
    path: HashMap<String, String>,
    request: Request,
) -> Result<Body, Refusal> {
    let (parts, asked) = asked(state, path, request).await?;
    let tenant = super::tenant(&parts.headers).map_err(Refusal::from)?;
    let config = state.executor().config();
    let gzip = answer::accepts_gzip(&parts.headers);
    if let Some(text) = reply::known(call, &asked, state, &tenant)? {
        return Ok(answer::written(text));
    }
    let timeout = asked.timeout(config.timeout, config.max_timeout)?;
    let context = QueryContext { tenant, timeout };
    // A refusal is an answer too; only what keeps the executor from answering is its error.
    let answered = state
        .executor()
        .run(context, move |control| {
            let replied = reply::computed(call, &asked, control);
            Ok(replied.and_then(|text| Ok(answer::packed(control, text.into_bytes(), gzip)?)))
        })
        .await;
    answered.map_err(Refusal::from)?
}

/// A request's parameters. Of one that is in the form and behind the question mark the form's comes first.
async fn asked(
    state: &QueryState,
    path: HashMap<String, String>,
    request: Request,
) -> Result<(request::Parts, Asked), Refusal> {
    let (parts, body) = request.into_parts();
    let mut pairs = Vec::new();
    if parts.method == Method::POST {
        let form = axum::body::to_bytes(body, MOST_BODY_BYTES).await;
        let form = form.map_err(|error| Refusal::bad_data(format!("error parsing form values: {}", unread(&error))))?;
        let form = std::str::from_utf8(&form).map_err(|_| Refusal::bad_data("error parsing form values: not UTF-8"))?;
        pairs = super::parameter::decode(form).map_err(Refusal::from)?;
    }
    pairs.extend(super::parameter::decode(parts.uri.query().unwrap_or_default()).map_err(Refusal::from)?);
    Ok((parts, Asked { path, pairs, now: state.now().div_euclid(1_000_000) }))
}

/// Why a form was not read.
fn unread(error: &axum::Error) -> String {
    let source = std::error::Error::source(error);
    match source.is_some_and(|source| source.is::<http_body_util::LengthLimitError>()) {
        true => format!("the form is longer than {MOST_BODY_BYTES} bytes"),
        false => "the form cannot be read".to_owned(),
    }
}

/// Answers `/federate`; what goes wrong is told as a text, as by Prometheus.
async fn federated(State(state): State<Arc<QueryState>>, request: Request) -> Response {
    let format = federate::Format::wanted(request.headers());
    match federation(&state, request, format).await {
        Ok((body, left_out)) => {
            let mut response = answer::ok(body);
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media()));
            let warning = HeaderValue::try_from(format!("199 spanlight \"{}\"", federate::warning(left_out)));
            if let (true, Ok(warning)) = (left_out > 0, warning) {
                headers.insert(header::WARNING, warning);
            }
            response
        }
        Err(refusal) => refusal.as_text(),
    }
}

/// The answer, and how many histograms are not in it.
async fn federation(state: &QueryState, request: Request, format: federate::Format) -> Result<(Body, usize), Refusal> {
    let (parts, asked) = asked(state, HashMap::new(), request).await?;
    let tenant = super::tenant(&parts.headers).map_err(Refusal::from)?;
    let (selectors, now) = (asked.selectors()?, asked.now);
    let context = QueryContext { tenant, timeout: state.executor().config().timeout };
    let gzip = answer::accepts_gzip(&parts.headers);
    let answered = state.executor().run(context, move |control| {
        let told = federate::told(control, &selectors, now, format);
        Ok(told.and_then(|told| Ok((answer::packed(control, told.body, gzip)?, told.left_out))))
    });
    answered.await.map_err(Refusal::from)?
}
