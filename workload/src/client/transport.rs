//! How does one request get to the endpoint, and what came back?
//!
//! One transport is one connection, made again when it breaks.
//!
//! Invariants
//! - V1: a failure without an answer (refused, reset, timed out) is `Again`, never `Drop`: nobody has judged the request.
//! - V2: an answer is judged by `retry` alone.
//!
//! Not here: pauses and deadlines (`load`).

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tokio::net::TcpStream;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Endpoint;
use tonic_types::StatusExt;

use super::retry::{self, Verdict};
use super::traffic::{Counted, CountingChannel, Traffic, Uncompressed};
use super::{Compression, LoadConfig, LoadError, Protocol, dispenser};
use crate::config::Signal;

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Taken, but for so many items; with the endpoint's remark.
    Accepted { rejected: u64, message: String },
    /// Send it again, not before the pause is over.
    Again { kind: String, pause: Option<Duration>, message: String },
    /// Refused for good.
    Dropped { kind: String, message: String },
}

impl Answer {
    fn again(kind: &str, message: String) -> Self {
        Self::Again { kind: kind.to_owned(), pause: None, message }
    }

    fn judged(verdict: Verdict, kind: String, message: String) -> Self {
        match verdict {
            Verdict::Again(pause) => Self::Again { kind, pause, message },
            Verdict::Accepted | Verdict::Drop => Self::Dropped { kind, message },
        }
    }
}

/// Answers are small; a larger one is a sign of talking to something else.
const LONGEST_ANSWER: usize = 4 << 20;

/// A body that is ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    body: Bytes,
    uncompressed: Uncompressed,
}

/// One connection to the endpoint.
#[derive(Debug)]
pub(super) enum Transport {
    Grpc(Box<GrpcTransport>),
    Http(Box<HttpTransport>),
}

impl Transport {
    /// Prepares a connection; it is made when it is first needed. What it sends adds to `traffic`.
    pub(super) fn new(config: &LoadConfig, traffic: &Arc<Traffic>) -> Result<Self, LoadError> {
        let invalid = || LoadError::Endpoint { endpoint: config.endpoint.clone() };
        let uri: Uri = config.endpoint.parse().map_err(|_| invalid())?;
        if uri.scheme_str() != Some("http") || uri.host().is_none_or(str::is_empty) {
            return Err(invalid());
        }
        let tenant = config
            .tenant
            .as_ref()
            .map(|tenant| HeaderValue::from_str(tenant).map_err(|_| LoadError::Tenant { tenant: tenant.clone() }));
        let tenant = tenant.transpose()?;
        match config.protocol {
            Protocol::Grpc => Ok(Self::Grpc(Box::new(GrpcTransport::new(config, uri, tenant.as_ref(), traffic)?))),
            Protocol::HttpProtobuf | Protocol::HttpJson => {
                let http = HttpTransport::new(config, &uri, tenant, traffic).ok_or_else(invalid)?;
                Ok(Self::Http(Box::new(http)))
            }
        }
    }

    /// Compresses a body if the transport does not do that itself.
    pub(super) fn pack(&self, body: Bytes) -> Packed {
        let uncompressed = Uncompressed(body.len() as u64);
        match self {
            Self::Grpc(_) => Packed { body, uncompressed },
            Self::Http(http) => Packed { body: compress(http.compression, body), uncompressed },
        }
    }

    /// Sends a packed body once.
    pub(super) async fn send(&mut self, signal: Signal, packed: Packed, timeout: Duration) -> Answer {
        let attempt = async {
            match self {
                Self::Grpc(grpc) => grpc.send(signal, packed).await,
                Self::Http(http) => http.send(signal, packed).await,
            }
        };
        if let Ok(answer) = tokio::time::timeout(timeout, attempt).await {
            return answer;
        }
        if let Self::Http(http) = self {
            // The late answer would be taken for the next request's.
            http.connection = None;
        }
        Answer::again("timeout", format!("no answer within {timeout:?}"))
    }
}

fn compress(compression: Compression, body: Bytes) -> Bytes {
    use std::io::Write as _;
    match compression {
        Compression::None => body,
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            match encoder.write_all(&body).and_then(|()| encoder.finish()) {
                Ok(packed) => packed.into(),
                // A vector takes every byte.
                Err(_) => body,
            }
        }
        Compression::Zstd => zstd::bulk::compress(&body, 1).map_or(body, Bytes::from),
    }
}

fn path(signal: Signal, protocol: Protocol) -> &'static str {
    match (signal, protocol) {
        (Signal::Spans, Protocol::Grpc) => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        (Signal::Logs, Protocol::Grpc) => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        (Signal::Metrics, Protocol::Grpc) => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        (Signal::Spans, _) => "/v1/traces",
        (Signal::Logs, _) => "/v1/logs",
        (Signal::Metrics, _) => "/v1/metrics",
    }
}

/// Reads a protobuf answer's partial success.
fn accepted(signal: Signal, body: &[u8]) -> Result<Answer, prost::DecodeError> {
    let partial = match signal {
        Signal::Spans => {
            let response = ExportTraceServiceResponse::decode(body)?;
            response.partial_success.map(|partial| (partial.rejected_spans, partial.error_message))
        }
        Signal::Logs => {
            let response = ExportLogsServiceResponse::decode(body)?;
            response.partial_success.map(|partial| (partial.rejected_log_records, partial.error_message))
        }
        Signal::Metrics => {
            let response = ExportMetricsServiceResponse::decode(body)?;
            response.partial_success.map(|partial| (partial.rejected_data_points, partial.error_message))
        }
    };
    let (rejected, message) = partial.unwrap_or_default();
    Ok(Answer::Accepted { rejected: u64::try_from(rejected).unwrap_or(0), message })
}

/// Reads a JSON answer's partial success; 64-bit integers may be strings or numbers.
fn accepted_json(signal: Signal, body: &[u8]) -> Result<Answer, serde_json::Error> {
    let response: serde_json::Value = serde_json::from_slice(body)?;
    let partial = &response["partialSuccess"];
    let rejected = &partial[match signal {
        Signal::Spans => "rejectedSpans",
        Signal::Logs => "rejectedLogRecords",
        Signal::Metrics => "rejectedDataPoints",
    }];
    let rejected = rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok()).unwrap_or(0);
    let message = partial["errorMessage"].as_str().unwrap_or_default().to_owned();
    Ok(Answer::Accepted { rejected, message })
}

/// OTLP over gRPC.
#[derive(Debug)]
pub(super) struct GrpcTransport {
    client: tonic::client::Grpc<CountingChannel>,
    tenant: Option<MetadataValue<Ascii>>,
}

impl GrpcTransport {
    fn new(
        config: &LoadConfig,
        uri: Uri,
        tenant: Option<&HeaderValue>,
        traffic: &Arc<Traffic>,
    ) -> Result<Self, LoadError> {
        let invalid = || LoadError::Endpoint { endpoint: config.endpoint.clone() };
        let endpoint = Endpoint::new(uri).map_err(|_| invalid())?;
        let endpoint = endpoint.connect_timeout(config.request_timeout).tcp_nodelay(true);
        let channel = CountingChannel::new(endpoint.connect_lazy(), Arc::clone(traffic));
        let mut client = tonic::client::Grpc::new(channel);
        client = match config.compression {
            Compression::None => client,
            Compression::Gzip => client.send_compressed(CompressionEncoding::Gzip),
            Compression::Zstd => client.send_compressed(CompressionEncoding::Zstd),
        };
        let tenant = tenant.map(|tenant| {
            let text = tenant.to_str().unwrap_or_default();
            MetadataValue::try_from(text).map_err(|_| LoadError::Tenant { tenant: text.to_owned() })
        });
        Ok(Self { client, tenant: tenant.transpose()? })
    }

    async fn send(&mut self, signal: Signal, packed: Packed) -> Answer {
        if let Err(error) = self.client.ready().await {
            return Answer::again("connect", chain(&error));
        }
        let mut request = tonic::Request::new(packed.body);
        request.extensions_mut().insert(packed.uncompressed);
        if let Some(tenant) = &self.tenant {
            request.metadata_mut().insert("x-scope-orgid", tenant.clone());
        }
        let path = PathAndQuery::from_static(path(signal, Protocol::Grpc));
        match self.client.unary(request, path, RawCodec).await {
            Ok(response) => accepted(signal, &response.into_inner()).unwrap_or_else(|error| Answer::Dropped {
                kind: "undecodable answer".to_owned(),
                message: error.to_string(),
            }),
            Err(status) => judge_status(&status),
        }
    }
}

fn judge_status(status: &tonic::Status) -> Answer {
    // A status that was made on this side has a source: the connection failed.
    if std::error::Error::source(status).is_some() {
        return Answer::again("connection", chain(status));
    }
    let pause = status.get_details_retry_info().and_then(|info| info.retry_delay);
    let kind = format!("grpc {:?}", status.code());
    Answer::judged(retry::grpc(status.code(), pause), kind, status.message().to_owned())
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Messages go and come as they are.
#[derive(Debug, Clone, Copy)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = tonic::Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), tonic::Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = tonic::Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, tonic::Status> {
        Ok(Some(source.copy_to_bytes(source.remaining())))
    }
}

/// OTLP over HTTP/1.1.
#[derive(Debug)]
pub(super) struct HttpTransport {
    authority: Arc<str>,
    prefix: String,
    protocol: Protocol,
    compression: Compression,
    host: HeaderValue,
    tenant: Option<HeaderValue>,
    connection: Option<SendRequest<HttpBody>>,
    traffic: Arc<Traffic>,
}

type HttpBody = Counted<Full<Bytes>>;

impl HttpTransport {
    fn new(config: &LoadConfig, uri: &Uri, tenant: Option<HeaderValue>, traffic: &Arc<Traffic>) -> Option<Self> {
        let authority = uri.authority()?;
        Some(Self {
            authority: format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80)).into(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            protocol: config.protocol,
            compression: config.compression,
            host: HeaderValue::from_str(authority.as_str()).ok()?,
            tenant,
            connection: None,
            traffic: Arc::clone(traffic),
        })
    }

    async fn connected(&mut self) -> Result<&mut SendRequest<HttpBody>, String> {
        if self.connection.as_ref().is_none_or(SendRequest::is_closed) {
            let stream = TcpStream::connect(&*self.authority).await.map_err(|error| chain(&error))?;
            stream.set_nodelay(true).map_err(|error| chain(&error))?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| chain(&error))?;
            // Ends with the sender; its error reaches the request under way.
            tokio::spawn(connection);
            self.connection = Some(sender);
        }
        self.connection.as_mut().ok_or_else(|| "not connected".to_owned())
    }

    fn request(&self, signal: Signal, packed: Packed) -> Result<Request<HttpBody>, http::Error> {
        let media = if self.protocol == Protocol::HttpJson { "application/json" } else { "application/x-protobuf" };
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{}", self.prefix, path(signal, self.protocol)))
            .header(HOST, self.host.clone())
            .header(CONTENT_TYPE, media);
        request = match self.compression {
            Compression::None => request,
            Compression::Gzip => request.header(CONTENT_ENCODING, "gzip"),
            Compression::Zstd => request.header(CONTENT_ENCODING, "zstd"),
        };
        if let Some(tenant) = &self.tenant {
            request = request.header("x-scope-orgid", tenant.clone());
        }
        let traffic = Arc::clone(&self.traffic);
        request.body(Counted::new(Full::new(packed.body), Some(packed.uncompressed), traffic))
    }

    async fn send(&mut self, signal: Signal, packed: Packed) -> Answer {
        let request = match self.request(signal, packed) {
            Ok(request) => request,
            Err(error) => return Answer::Dropped { kind: "request".to_owned(), message: chain(&error) },
        };
        let sender = match self.connected().await {
            Ok(sender) => sender,
            Err(message) => return Answer::again("connect", message),
        };
        let exchanged = async {
            sender.ready().await?;
            sender.send_request(request).await
        };
        let response = match exchanged.await {
            Ok(response) => response,
            Err(error) => {
                self.connection = None;
                return Answer::again("connection", chain(&error));
            }
        };
        let status = response.status();
        let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let now = i64::try_from(dispenser::wall() / 1_000_000_000).unwrap_or(i64::MAX);
        let after = after.and_then(|value| retry::retry_after(value, now));
        let body = match Limited::new(response.into_body(), LONGEST_ANSWER).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => {
                self.connection = None;
                // The status has come: an answer of 2xx means that the request was taken.
                return match retry::http(status.as_u16(), after) {
                    Verdict::Accepted => Answer::Accepted { rejected: 0, message: error.to_string() },
                    verdict => Answer::judged(verdict, format!("http {}", status.as_u16()), error.to_string()),
                };
            }
        };
        self.judge(signal, status.as_u16(), after, &body)
    }

    fn judge(&self, signal: Signal, status: u16, after: Option<Duration>, body: &[u8]) -> Answer {
        match retry::http(status, after) {
            Verdict::Accepted => {
                let answer = if self.protocol == Protocol::HttpJson && !body.is_empty() {
                    accepted_json(signal, body).map_err(|error| error.to_string())
                } else {
                    accepted(signal, body).map_err(|error| error.to_string())
                };
                answer.unwrap_or_else(|message| Answer::Dropped { kind: "undecodable answer".to_owned(), message })
            }
            verdict => Answer::judged(verdict, format!("http {status}"), self.complaint(body)),
        }
    }

    /// The message of an error body, which is a `Status`.
    fn complaint(&self, body: &[u8]) -> String {
        let status = match self.protocol {
            Protocol::HttpJson => serde_json::from_slice::<serde_json::Value>(body)
                .ok()
                .and_then(|status| status["message"].as_str().map(ToOwned::to_owned)),
            Protocol::Grpc | Protocol::HttpProtobuf => {
                tonic_types::pb::Status::decode(body).ok().map(|status| status.message)
            }
        };
        status.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
    }
}
