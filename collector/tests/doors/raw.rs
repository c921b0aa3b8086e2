//! A client of HTTP/1 that sends exactly what it is told, and a client of gRPC that frames what it is told.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Sends bytes as they are, on a connection of their own.
pub(super) async fn send(address: SocketAddr, bytes: &[u8]) -> Answer {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    // The answer may come before all is sent; whether sending then fails does not matter.
    let (answer, _) = tokio::join!(receive(&mut reading), writing.write_all(bytes));
    answer.unwrap()
}

/// Reads one answer; `None` where the connection ends before it.
pub(super) async fn receive(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<Answer> {
    let mut read = Vec::new();
    let head = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break read.drain(..end + 4).collect::<Vec<_>>();
        }
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<_> =
        lines.filter_map(|line| line.split_once(": ")).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let length = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case("content-length"));
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
    while read.len() < length {
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
    read.truncate(length);
    Some(Answer { status, headers, body: read.into() })
}

/// A request's bytes.
pub(super) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut out = format!("{method} {path} HTTP/1.1\r\nHost: collector.test\r\n");
    for (key, value) in headers {
        out.push_str(&format!("{key}: {value}\r\n"));
    }
    out.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    [out.as_bytes(), body].concat()
}

/// POSTs a body.
pub(super) async fn post(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    send(address, &request("POST", path, headers, body)).await
}

/// POSTs protobuf.
pub(super) async fn post_protobuf(address: SocketAddr, path: &str, body: &[u8]) -> Answer {
    post(address, path, &[("Content-Type", "application/x-protobuf")], body).await
}

/// POSTs JSON.
pub(super) async fn post_json(address: SocketAddr, path: &str, body: &str) -> Answer {
    post(address, path, &[("Content-Type", "application/json")], body.as_bytes()).await
}

/// Puts a message into a gRPC frame.
pub(super) fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    [&[flag], &u32::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

/// A gRPC call's answer: status, message, headers and trailers together, content.
#[derive(Debug)]
pub(super) struct GrpcAnswer {
    pub(super) code: i32,
    pub(super) message: String,
    pub(super) headers: http::HeaderMap,
    pub(super) body: Bytes,
}

/// Calls a gRPC method with a body as it is.
pub(super) async fn grpc(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> GrpcAnswer {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut request = http::Request::post(format!("http://collector.test{path}"));
    if headers.iter().all(|(key, _)| *key != "content-type") {
        request = request.header("content-type", "application/grpc");
    }
    for (key, value) in headers {
        request = request.header(*key, *value);
    }
    let answer = client.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200, "gRPC tells errors in its own status");
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap();
    let mut headers = head.headers;
    headers.extend(body.trailers().cloned().unwrap_or_default());
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let code = text("grpc-status").unwrap().parse().unwrap();
    let message = text("grpc-message").unwrap_or_default();
    drop(client);
    connection.abort();
    GrpcAnswer { code, message, headers, body: body.to_bytes() }
}

pub(super) const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
