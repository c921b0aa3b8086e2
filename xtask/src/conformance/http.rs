//! How is one HTTP/1.1 request sent exactly as a case words it?
//!
//! A client library would repair or refuse what the cases want to send: a false Content-Length, the same header twice,
//! a body that ends early. So a request is written as it is, on a connection of its own, and the answer is read until it
//! is complete.
//!
//! Not here: TLS, keep-alive, redirects.

use anyhow::{Context, Result, bail};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any answer may take, also from an unoptimised server that reads 64 MiB.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request, to the letter.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// `POST`.
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    /// In order; `host` and `connection` are added.
    pub(crate) headers: Vec<(String, String)>,
    /// Sent as it is; `content-length` is among the headers.
    pub(crate) body: Vec<u8>,
    /// Close our side after the body, so that a server that waits for more sees the end.
    pub(crate) hang_up: bool,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    /// Status code.
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body without its transfer coding.
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Sends a request; `None` when the server closed the connection without an answer.
pub(crate) fn send(to: SocketAddr, request: &Request) -> Result<Option<Response>> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE).with_context(|| format!("failed to connect to {to}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut head = format!("{} {} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n", request.method, request.path);
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut writer = stream.try_clone()?;
    std::thread::scope(|scope| {
        // A server may answer before it has read everything, and close: what is written then is lost, as it should be.
        scope.spawn(move || {
            let sent = writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(&request.body));
            if sent.is_ok() && request.hang_up {
                drop(writer.shutdown(Shutdown::Write));
            }
        });
        receive(&mut stream)
    })
}

fn receive(stream: &mut impl Read) -> Result<Option<Response>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        let read = match stream.read(&mut chunk) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                bail!("no complete answer within {PATIENCE:?}")
            }
            Err(error) => return Err(error).context("failed to read the answer"),
        };
        bytes.extend_from_slice(chunk.get(..read).unwrap_or_default());
        if let Some(response) = parse(&bytes, read == 0)? {
            return Ok(Some(response));
        }
        if read == 0 {
            return if bytes.is_empty() { Ok(None) } else { bail!("the answer is cut off") };
        }
    }
}

/// Reads an answer; `None` while it is incomplete. `ended` says that no more bytes will come.
fn parse(bytes: &[u8], ended: bool) -> Result<Option<Response>> {
    let Some(end) = find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let (head, rest) = bytes.split_at(end);
    let rest = rest.get(4..).unwrap_or_default();
    let head = std::str::from_utf8(head).context("the head is no text")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let status = status.with_context(|| format!("no status line in `{head}`"))?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut response = Response { status, headers, body: Vec::new() };
    let body = if response.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        dechunk(rest)?
    } else if let Some(length) = response.header("content-length") {
        let length: usize = length.parse().with_context(|| format!("content-length `{length}`"))?;
        rest.get(..length).map(<[u8]>::to_vec)
    } else if matches!(status, 204 | 304) || ended {
        Some(rest.to_vec())
    } else {
        None
    };
    Ok(body.map(|body| {
        response.body = body;
        response
    }))
}

/// The body behind chunked coding; `None` while it is incomplete.
fn dechunk(mut rest: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let Some(end) = find(rest, b"\r\n") else { return Ok(None) };
        let (line, tail) = rest.split_at(end);
        let line = std::str::from_utf8(line).context("chunk size")?;
        let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
            .with_context(|| format!("chunk size `{line}`"))?;
        if size == 0 {
            return Ok(Some(body));
        }
        let Some(chunk) = tail.get(2..2 + size) else { return Ok(None) };
        body.extend_from_slice(chunk);
        let Some(next) = tail.get(4 + size..) else { return Ok(None) };
        rest = next;
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(u16, &str)>) {
        let response = parse(text.as_bytes(), false).unwrap();
        let seen = response.map(|response| (response.status, String::from_utf8(response.body).unwrap()));
        assert_eq!(seen, expected.map(|(status, body)| (status, body.to_owned())), "{text}");
    }

    #[test]
    fn an_answer_is_read_when_complete() {
        check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab", Some((200, "ab")));
        check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na", None);
        check("HTTP/1.1 200 OK\r\nconten", None);
        check("HTTP/1.1 204 No Content\r\n\r\n", Some((204, "")));
        check(
            "HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            Some((400, "abc")),
        );
        check("HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1", None);
    }

    #[test]
    fn an_answer_without_length_ends_with_the_connection() {
        let text = b"HTTP/1.0 200 OK\r\n\r\nab";
        assert_eq!(parse(text, false).unwrap(), None);
        assert_eq!(parse(text, true).unwrap().unwrap().body, b"ab");
    }

    #[test]
    fn header_names_are_found_in_lower_case() {
        let response = parse(b"HTTP/1.1 204 x\r\nRetry-After: 1\r\n\r\n", true).unwrap().unwrap();
        assert_eq!(response.header("retry-after"), Some("1"));
        assert_eq!(response.header("x"), None);
    }
}
