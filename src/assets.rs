//! Which files has the UI? Those of the bundle that was there at build time; `query` serves them.

use axum::body::Body;
use axum::http::{HeaderMap, Method, Response, Uri};
use query::http::serve_file;

mod bundle {
    include!(concat!(env!("OUT_DIR"), "/assets.rs"));
}

/// Answers a path of the UI.
pub(crate) async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response<Body> {
    serve_file(bundle::FILES, &method, &uri, &headers)
}
