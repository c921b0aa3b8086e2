//! May a page of another origin read the answers? One that this machine serves may; Prometheus lets every page of the internet.
//!
//! - OPTIONS is answered 204 with the methods that there are, as by Prometheus.
//! - Who asks from a loopback origin (a dashboard under development, Grafana without its proxy) is told that its browser may hand the
//!   answer on, and may name a tenant. No credentials are taken, so none are allowed.
//!
//! Not here: who may send telemetry (`collector`, `otlp.cors_origins`).

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use std::net::IpAddr;

/// The headers that let a browser hand an answer on.
const ALLOWED: [(HeaderName, &str); 3] = [
    (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
    (header::ACCESS_CONTROL_ALLOW_HEADERS, "Accept, Authorization, Content-Type, Origin, X-Scope-OrgID"),
    (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Date"),
];

/// Answers OPTIONS, and tells a browser which pages may read answers.
pub(super) async fn told(request: Request, next: Next) -> Response {
    let origin = allowed(request.headers());
    let mut response = if request.method() == Method::OPTIONS {
        let mut response = Response::new(axum::body::Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST, OPTIONS"));
        response
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        ALLOWED.into_iter().for_each(|(name, value)| drop(headers.insert(name, HeaderValue::from_static(value))));
    }
    response
}

/// The origin of the page that asks, if this machine serves it.
fn allowed(headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let page: Uri = origin.to_str().ok()?.parse().ok()?;
    let host = page.host()?.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    (is_loopback || host == "localhost" || host.ends_with(".localhost")).then(|| origin.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_this_machine_may_read() {
        let is_allowed = |origin: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, origin.parse().unwrap());
            allowed(&headers).is_some()
        };
        for origin in ["http://localhost:3000", "https://a.localhost", "http://127.0.0.1:1", "http://[::1]:8080"] {
            assert!(is_allowed(origin), "{origin}");
        }
        for origin in
            ["https://example.com", "http://localhost.example.com", "null", "http://10.0.0.1", "http://xlocalhost"]
        {
            assert!(!is_allowed(origin), "{origin}");
        }
        assert!(allowed(&HeaderMap::new()).is_none());
    }
}
