//! How do requests come in from the network, and messages from Kafka (`kafka`)?
//!
//! Both doors, 4317 and 4318 by convention, understand OTLP/gRPC and OTLP/HTTP alike: who mixes up the ports is
//! served all the same. The Content-Type tells the protocols apart. Prometheus's doors (`prometheus`) are paths of their own, here
//! and in the server of the HTTP API.

mod body;
pub(crate) mod compression;
mod description;
pub mod kafka;
mod otlp_grpc;
mod otlp_http;
mod patience;
mod prometheus;
mod server;
mod status;

pub use description::describe_doors;

use crate::Collector;
use crate::error::Refusal;
use axum::body::Body;
use axum::extract::State;
use axum::routing::any;
use http::{HeaderMap, Request, Response, header};
use storage::model::TenantId;

/// The header that names the tenant; the one that Grafana's stores use.
const TENANT_HEADER: &str = "x-scope-orgid";
/// The media types of OTLP, for messages.
const OTLP_TYPES: &str = "application/x-protobuf or application/json";

impl Collector {
    /// The routes of both protocols, for servers of other making. [`Collector::serve`] is the usual way.
    pub fn router(&self) -> axum::Router {
        axum::Router::new().fallback(dispatch).with_state(self.clone())
    }

    /// The routes of Prometheus's senders alone, OTLP's to it among them, for the server of the HTTP API.
    pub fn prometheus_router(&self) -> axum::Router {
        let routes = prometheus::Door::PATHS.iter().map(|(path, _)| *path).chain([otlp_http::LIKE_PROMETHEUS]);
        routes.fold(axum::Router::new(), |router, path| router.route(path, any(dispatch))).with_state(self.clone())
    }
}

async fn dispatch(State(collector): State<Collector>, request: Request<Body>) -> Response<Body> {
    if let Some(door) = prometheus::Door::at(request.uri().path()) {
        door.call(&collector, request).await
    } else if otlp_grpc::is_grpc(request.headers()) {
        otlp_grpc::call(&collector, request).await
    } else {
        otlp_http::call(&collector, request).await
    }
}

/// The tenant that a request names, or the default one.
fn tenant(headers: &HeaderMap) -> Result<TenantId, Refusal> {
    match headers.get(TENANT_HEADER) {
        None => Ok(TenantId::default()),
        Some(name) => {
            let tenant = TenantId::new(name.to_str().unwrap_or_default())?;
            if tenant.is_own() { Err(Refusal::OwnTenant) } else { Ok(tenant) }
        }
    }
}

/// A header as text; empty where it is absent or no text.
fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
