//! How do the files of the UI reach the browser? Those that the binary holds, compressed when it was built.
//!
//! A path that names no file is the UI's own route and gets `index.html`. Without files there is a page that says how to get them.
//! A call of gRPC that comes here is one of no method.
//!
//! FI1  A browser that has a file asks whether it is the same, and is not sent it again: what it has of an older binary is never shown.

use super::grpc;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use xxhash_rust::xxh3::xxh3_64;

/// Files by name, ascending.
pub type Files = &'static [(&'static str, &'static [u8])];

const INDEX: &str = "index.html";

/// The page of a binary that was built without the web bundle.
const NO_BUNDLE: &str = "<!doctype html><meta charset=utf-8><title>Spanlight</title>\
<p>This binary was built without the web UI; its APIs work. Build the UI with <code>cargo xtask web</code>, then build \
again.</p>";

/// Scripts and styles come from here only; wasm must be allowed to compile.
const POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Answers a path of the UI.
pub fn serve_file(files: Files, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response<Body> {
    if grpc::is_grpc(headers) {
        return grpc::unknown(uri.path());
    }
    if method != Method::GET && method != Method::HEAD {
        return answer(StatusCode::METHOD_NOT_ALLOWED, "text/plain", Bytes::from_static(b"only GET and HEAD\n"));
    }
    let path = uri.path().trim_start_matches('/');
    let name = if find(files, path).is_some() { path } else { INDEX };
    if name == INDEX && path.rsplit('/').next().is_some_and(|last| last.contains('.')) && !path.is_empty() {
        return answer(StatusCode::NOT_FOUND, "text/plain", Bytes::from_static(b"no such file\n"));
    }
    let Some(plain) = find(files, name) else {
        return answer(StatusCode::OK, "text/html; charset=utf-8", Bytes::from_static(NO_BUNDLE.as_bytes()));
    };
    let (content, encoding) = compressed(files, name, headers).unwrap_or((plain, None));
    let tag = format!("\"{:016x}\"", xxh3_64(content));
    let mut response = if is_known(&tag, headers) {
        answer(StatusCode::NOT_MODIFIED, content_type(name), Bytes::new())
    } else {
        answer(StatusCode::OK, content_type(name), Bytes::from_static(content))
    };
    let answered = response.headers_mut();
    answered.extend(HeaderValue::from_str(&tag).ok().map(|tag| (header::ETAG, tag)));
    if let Some(encoding) = encoding {
        answered.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    answered.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
}

fn answer(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    // A new binary must be seen at once: the browser asks each time.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Whether the browser has what a tag stands for.
fn is_known(tag: &str, headers: &HeaderMap) -> bool {
    let told = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|told| told.to_str().ok());
    told.flat_map(|told| told.split(',')).any(|told| told.trim().trim_start_matches("W/") == tag)
}

/// The best compressed neighbour that the browser accepts.
fn compressed(files: Files, name: &str, headers: &HeaderMap) -> Option<(&'static [u8], Option<&'static str>)> {
    let accepted = headers.get(header::ACCEPT_ENCODING)?.to_str().ok()?;
    let accepts = |encoding: &str| {
        accepted.split(',').any(|item| item.split(';').next().is_some_and(|item| item.trim() == encoding))
    };
    let candidates = [("br", "br"), ("gzip", "gz")];
    candidates.into_iter().filter(|(encoding, _)| accepts(encoding)).find_map(|(encoding, suffix)| {
        let content = find(files, &format!("{name}.{suffix}"))?;
        Some((content, Some(encoding)))
    })
}

fn find(files: Files, name: &str) -> Option<&'static [u8]> {
    let index = files.binary_search_by(|(path, _)| (*path).cmp(name)).ok()?;
    files.get(index).map(|(_, content)| *content)
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;

    const FILES: Files =
        &[("index.html", b"<p>"), ("split_a.wasm", b"plain"), ("split_a.wasm.br", b"packed"), ("web.js", b"let a;")];

    async fn get(path: &str, asked: &[(&str, &str)]) -> (StatusCode, HeaderMap, Bytes) {
        let mut headers = HeaderMap::new();
        for (name, value) in asked {
            headers.append(name.parse::<header::HeaderName>().unwrap(), value.parse().unwrap());
        }
        let response = serve_file(FILES, &Method::GET, &path.parse().unwrap(), &headers);
        let (parts, body) = response.into_parts();
        (parts.status, parts.headers, to_bytes(body, 100).await.unwrap())
    }

    #[tokio::test]
    async fn fi1_a_file_that_the_browser_has_is_not_sent_again() {
        let (status, headers, body) = get("/split_a.wasm", &[("accept-encoding", "gzip, br")]).await;
        assert_eq!((status, &body[..]), (StatusCode::OK, &b"packed"[..]));
        assert_eq!(headers["content-type"], "application/wasm");
        assert_eq!(headers["content-encoding"], "br");
        let tag = headers["etag"].to_str().unwrap().to_owned();

        let known = [("accept-encoding", "gzip, br"), ("if-none-match", tag.as_str())];
        let (status, headers, body) = get("/split_a.wasm", &known).await;
        assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0));
        assert_eq!(headers["etag"], tag.as_str());
        let weak = format!("\"other\", W/{tag}");
        let known = [("accept-encoding", "br"), ("if-none-match", weak.as_str())];
        assert_eq!(get("/split_a.wasm", &known).await.0, StatusCode::NOT_MODIFIED);

        // Another form of the file, and another file, are other contents.
        assert_eq!(get("/split_a.wasm", &[("if-none-match", tag.as_str())]).await.0, StatusCode::OK);
        assert_eq!(get("/web.js", &[("if-none-match", tag.as_str())]).await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn paths_of_the_ui_are_its_page_and_missing_files_are_not() {
        assert_eq!(&get("/trace/abc", &[]).await.2[..], b"<p>");
        assert_eq!(get("/split_b.wasm", &[]).await.0, StatusCode::NOT_FOUND);
    }
}
