//! How is a server asked over HTTP? One request, one connection.
//!
//! C1  No answer is held whole but those that are read as JSON, and these have at most `LONGEST` bytes.
//! C2  A server that does not answer is given up after `PATIENCE`.

use axum::http::uri::Scheme;
use axum::http::{Method, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use query_api::error::ErrorBody;
use serde::de::DeserializeOwned;
use std::fmt::Write as _;
use std::io::Write;
use std::time::Duration;
use tokio::net::TcpStream;

/// An error with a sentence for whoever typed the arguments.
pub(super) type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Longest answer that is read as JSON.
const LONGEST: usize = 64 << 20;
/// How long an answer may keep us waiting for its next piece.
const PATIENCE: Duration = Duration::from_secs(330);

/// A server, and who asks it.
#[derive(Debug)]
pub(super) struct Client {
    host: String,
    address: String,
    /// What stands before `/api/v1`, for servers behind another.
    base: String,
    tenant: String,
}

impl Client {
    /// Reads a URL such as `http://127.0.0.1:7726`.
    pub(super) fn new(url: &str, tenant: &str) -> Result<Client> {
        let uri: Uri = url.parse().map_err(|error| format!("`{url}` is no URL: {error}"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(format!("`{url}` is no URL such as http://127.0.0.1:7726").into());
        };
        if *scheme != Scheme::HTTP {
            return Err(format!("`{url}`: only http is spoken, as the server does").into());
        }
        let port = authority.port_u16().unwrap_or(80);
        let base = uri.path().trim_end_matches('/').to_owned();
        let address = format!("{}:{port}", authority.host());
        Ok(Client { host: authority.as_str().to_owned(), address, base, tenant: tenant.to_owned() })
    }

    /// Asks for JSON.
    pub(super) async fn json<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T> {
        let bytes = self.whole(method, path).await?;
        serde_json::from_slice(&bytes).map_err(|error| format!("the answer cannot be read: {error}").into())
    }

    /// Asks for a text that is passed on as it came.
    pub(super) async fn whole(&self, method: Method, path: &str) -> Result<Bytes> {
        let body = self.ask(method, path).await?;
        let whole = tokio::time::timeout(PATIENCE, Limited::new(body, LONGEST).collect());
        Ok(whole.await.map_err(|_| self.silent())??.to_bytes())
    }

    /// Asks for bytes, and writes them as they come.
    pub(super) async fn copy(&self, path: &str, out: &mut dyn Write) -> Result<()> {
        let mut body = self.ask(Method::GET, path).await?;
        while let Some(frame) = tokio::time::timeout(PATIENCE, body.frame()).await.map_err(|_| self.silent())? {
            if let Ok(data) = frame?.into_data() {
                out.write_all(&data)?;
            }
        }
        Ok(out.flush()?)
    }

    async fn ask(&self, method: Method, path: &str) -> Result<Incoming> {
        let stream = tokio::time::timeout(PATIENCE, TcpStream::connect(&self.address)).await;
        let stream = stream
            .map_err(|_| self.silent())?
            .map_err(|error| format!("no server answers at {}: {error}. `--server` says where it is", self.address))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = hyper::Request::builder()
            .method(method)
            .uri(format!("{}{}{path}", self.base, crate::http::PREFIX))
            .header(header::HOST, &self.host)
            .header("x-scope-orgid", &self.tenant)
            .body(Empty::<Bytes>::new())?;
        let response =
            tokio::time::timeout(PATIENCE, sender.send_request(request)).await.map_err(|_| self.silent())??;
        let (parts, body) = response.into_parts();
        if parts.status.is_success() {
            return Ok(body);
        }
        let said = Limited::new(body, LONGEST).collect().await?.to_bytes();
        let message = match serde_json::from_slice::<ErrorBody>(&said) {
            Ok(ErrorBody { error }) => match error.r#where {
                Some(place) => format!("`{place}`: {}", error.message),
                None => error.message,
            },
            Err(_) => "it gave no reason".into(),
        };
        Err(format!("the server answers {}: {message}", parts.status).into())
    }

    fn silent(&self) -> String {
        format!("the server at {} does not answer", self.address)
    }
}

/// A text as part of a path or a query.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            write!(out, "%{byte:02X}").ok();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_host_port_and_path() {
        let client = Client::new("http://example.org/telemetry/", "t").unwrap();
        assert_eq!((&*client.address, &*client.base, &*client.host), ("example.org:80", "/telemetry", "example.org"));
        assert_eq!(Client::new("http://[::1]:7726", "t").unwrap().address, "[::1]:7726");
        for url in ["", "127.0.0.1:7726", "https://example.org", "http://", "/a"] {
            assert!(Client::new(url, "t").is_err(), "{url}");
        }
    }

    #[test]
    fn what_a_path_cannot_hold_is_encoded() {
        assert_eq!(encoded("1-0-7-a.b_c~/?&%ä"), "1-0-7-a.b_c~%2F%3F%26%25%C3%A4");
    }
}
