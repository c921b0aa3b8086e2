//! What may a tenant do, in Tempo's words? `GET /api/overrides`.
//!
//! O1  Nobody changes limits over this API: they stand in the server's settings. So a tenant has none of its own (404, as Tempo says it
//!     of one that has set none), and `scope=merged` tells what applies, by Tempo's names, where Tempo has a name for it.
//!
//! Not here: the settings themselves (the binary).

use super::super::answer::small;
use super::super::parameter::decode;
use super::{answered, failed, text};
use crate::error::Error;
use crate::http::{QueryState, tenant};
use crate::service::PEER_KEYS;
use crate::span_metrics::{self, SLACK_SECONDS};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

/// There has been no other version of what is told.
const VERSION: &str = "0";

pub(super) async fn get(
    State(state): State<Arc<QueryState>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let pairs = match tenant(&headers).and_then(|_| decode(query.as_deref().unwrap_or_default())) {
        Ok(pairs) => pairs,
        Err(error) => return failed(&error),
    };
    let scope = pairs.iter().rev().find(|(name, _)| name == "scope").map_or("api", |(_, scope)| scope.as_str());
    match scope {
        "merged" => {
            let mut response = answered(small(&merged(state.executor().config().span_metrics)));
            response.headers_mut().insert(header::ETAG, HeaderValue::from_static(VERSION));
            response
        }
        "api" | "" => {
            text(StatusCode::NOT_FOUND, "no overrides are set by this API; `scope=merged` tells what applies")
        }
        other => failed(&Error::parameter("scope", format!("'{other}' is neither api nor merged"))),
    }
}

fn merged(makes_metrics: bool) -> Value {
    let processors: &[&str] = if makes_metrics { &["service-graphs", "span-metrics"] } else { &[] };
    let buckets = span_metrics::bounds();
    json!({
        "metrics_generator": {
            "processors": processors,
            "disable_collection": !makes_metrics,
            "collection_interval": format!("{}s", span_metrics::INTERVAL_SECONDS),
            "ingestion_time_range_slack": format!("{SLACK_SECONDS}s"),
            "generate_native_histograms": "classic",
            "processor": {
                "service_graphs": {
                    "histogram_buckets": buckets,
                    "peer_attributes": PEER_KEYS,
                    "enable_client_server_prefix": false,
                    "enable_messaging_system_latency_histogram": false,
                    "enable_tracestate_span_multiplier": true,
                },
                "span_metrics": {
                    "histogram_buckets": buckets,
                    "dimensions": [],
                    "intrinsic_dimensions": {
                        "service": true, "span_name": true, "span_kind": true, "status_code": true,
                        "status_message": false,
                    },
                    "enable_target_info": false,
                    "enable_tracestate_span_multiplier": true,
                },
            },
        },
    })
}
