//! Does the client keep OTLP's rules against endpoints that answer, refuse, vanish and stay silent?

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tokio::net::TcpListener;
use tonic::codec::CompressionEncoding;
use tonic_types::{ErrorDetails, StatusExt};

use super::super::{Compression, LoadConfig, LoadError, Observer, Protocol, SpanKey, Stop, Times, retry};
use super::*;
use crate::config::Signals;

/// What an endpoint has seen: how often each span came, and the last headers per path.
#[derive(Debug, Default)]
struct Inbox {
    spans: Mutex<BTreeMap<SpanKey, u64>>,
    items: AtomicU64,
    requests: AtomicU64,
    /// Of bodies, as they came; over HTTP only.
    bytes: AtomicU64,
    headers: Mutex<BTreeMap<String, HeaderMap>>,
}

impl Inbox {
    fn take(&self, request: &ExportTraceServiceRequest) {
        let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        for span in scopes.flat_map(|scope| &scope.spans) {
            let key = (span.trace_id.clone().try_into().unwrap(), span.span_id.clone().try_into().unwrap());
            *self.spans.lock().unwrap().entry(key).or_default() += 1;
            self.items.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// An answer of a scripted HTTP endpoint.
type Answering = fn(u64) -> (u16, Option<&'static str>, Vec<u8>);

/// Serves HTTP until the test ends; the script gets the request's number and whether it is taken is up to the status.
async fn http_endpoint(listener: TcpListener, inbox: Arc<Inbox>, script: Answering) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let inbox = Arc::clone(&inbox);
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let inbox = Arc::clone(&inbox);
            async move {
                let (parts, body) = request.into_parts();
                let Ok(body) = body.collect().await else { return Ok(Response::new(Full::default())) };
                let number = inbox.requests.fetch_add(1, Ordering::Relaxed);
                let (status, retry_after, answer) = script(number);
                let body = body.to_bytes();
                inbox.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
                if status == 200 {
                    read(&inbox, parts.uri.path(), &parts.headers, &body);
                }
                inbox.headers.lock().unwrap().insert(parts.uri.path().to_owned(), parts.headers);
                let mut response = Response::builder().status(status);
                if let Some(value) = retry_after {
                    response = response.header("retry-after", value);
                }
                Ok::<_, Infallible>(response.body(Full::new(Bytes::from(answer))).unwrap())
            }
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn read(inbox: &Inbox, path: &str, headers: &HeaderMap, body: &[u8]) {
    let mut plain = Vec::new();
    match headers.get("content-encoding").map(|value| value.to_str().unwrap()) {
        None => plain = body.to_vec(),
        Some("gzip") => {
            flate2::read::GzDecoder::new(body).read_to_end(&mut plain).unwrap();
        }
        Some("zstd") => plain = zstd::stream::decode_all(body).unwrap(),
        Some(other) => panic!("{other}"),
    }
    let json = headers["content-type"] == "application/json";
    match path {
        "/v1/traces" if json => inbox.take(&serde_json::from_slice(&plain).unwrap()),
        "/v1/traces" => inbox.take(&ExportTraceServiceRequest::decode(&*plain).unwrap()),
        "/v1/logs" => {
            let request: ExportLogsServiceRequest =
                if json { serde_json::from_slice(&plain).unwrap() } else { Message::decode(&*plain).unwrap() };
            let scopes = request.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
            inbox.items.fetch_add(scopes.map(|scope| scope.log_records.len() as u64).sum(), Ordering::Relaxed);
        }
        "/v1/metrics" => {
            let identity = crate::Identity::new(1);
            let points = super::super::stamp::scan(&plain, Signal::Metrics, &identity).unwrap().items;
            inbox.items.fetch_add(points, Ordering::Relaxed);
        }
        other => panic!("{other}"),
    }
}

async fn http(script: Answering) -> (SocketAddr, Arc<Inbox>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, inbox) = (listener.local_addr().unwrap(), Arc::new(Inbox::default()));
    tokio::spawn(http_endpoint(listener, Arc::clone(&inbox), script));
    (address, inbox)
}

/// A scripted gRPC endpoint for traces.
struct Grpc {
    inbox: Arc<Inbox>,
    script: fn(u64) -> Result<ExportTraceServiceResponse, tonic::Status>,
}

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let answer = (self.script)(self.inbox.requests.fetch_add(1, Ordering::Relaxed))?;
        self.inbox.take(request.get_ref());
        Ok(tonic::Response::new(answer))
    }
}

fn serve_grpc(
    address: SocketAddr,
    script: fn(u64) -> Result<ExportTraceServiceResponse, tonic::Status>,
) -> (SocketAddr, Arc<Inbox>) {
    let incoming = tonic::transport::server::TcpIncoming::bind(address).unwrap();
    let (address, inbox) = (incoming.local_addr().unwrap(), Arc::new(Inbox::default()));
    let service = TraceServiceServer::new(Grpc { inbox: Arc::clone(&inbox), script })
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    (address, inbox)
}

fn grpc(script: fn(u64) -> Result<ExportTraceServiceResponse, tonic::Status>) -> (SocketAddr, Arc<Inbox>) {
    serve_grpc(SocketAddr::from(([127, 0, 0, 1], 0)), script)
}

fn config(address: SocketAddr, protocol: Protocol, count: u64) -> LoadConfig {
    LoadConfig {
        endpoint: format!("http://{address}"),
        protocol,
        signals: Signals::Only(Signal::Spans),
        stop: Stop::Count(count),
        batch: 100,
        ..LoadConfig::default()
    }
}

type Acknowledged = Arc<Mutex<Vec<(SpanKey, bool)>>>;

fn listening() -> (Observer, Acknowledged) {
    let heard = Acknowledged::default();
    let writer = Arc::clone(&heard);
    let acknowledged = move |spans: &[SpanKey], retried| {
        writer.lock().unwrap().extend(spans.iter().map(|span| (*span, retried)));
    };
    (Observer { acknowledged: Some(Box::new(acknowledged)), progress: None }, heard)
}

async fn run(config: LoadConfig, observer: Observer) -> LoadReport {
    let report = run_load(config, observer, CancellationToken::new()).await.unwrap();
    assert_eq!(report.sent, report.accepted + report.rejected + report.abandoned, "{report:?}");
    report
}

fn fine(_: u64) -> (u16, Option<&'static str>, Vec<u8>) {
    (200, None, Vec::new())
}

fn taken(_: u64) -> Result<ExportTraceServiceResponse, tonic::Status> {
    Ok(ExportTraceServiceResponse::default())
}

#[tokio::test]
async fn every_span_arrives_once_and_is_acknowledged_over_grpc_with_any_compression() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let (address, inbox) = grpc(taken);
        let (observer, heard) = listening();
        let report = run(LoadConfig { compression, ..config(address, Protocol::Grpc, 2_345) }, observer).await;
        assert_eq!((report.sent, report.accepted, report.retried), (2_345, 2_345, 0));
        assert!(report.errors.is_empty() && report.ack_p50_ms <= report.ack_max_ms, "{report:?}");
        let framed = report.bytes_uncompressed + 5 * report.requests;
        let is_packed = compression != Compression::None;
        assert!(if is_packed { 2 * report.bytes < framed } else { report.bytes == framed }, "{report:?}");
        let spans = inbox.spans.lock().unwrap();
        assert_eq!(spans.len(), 2_345);
        assert!(spans.values().all(|count| *count == 1));
        let heard: BTreeMap<_, _> = heard.lock().unwrap().iter().copied().collect();
        assert!(heard.keys().eq(spans.keys()) && heard.values().all(|retried| !retried));
    }
}

#[tokio::test]
async fn a_pool_is_sent_again_with_fresh_ids() {
    let (address, inbox) = grpc(taken);
    // The pool of this count is smaller than the count.
    let mut config = config(address, Protocol::Grpc, 70_000);
    config.batch = 1_000;
    config.times = Times::From(1_800_000_000_000_000_000);
    let report = run(config, Observer::default()).await;
    assert_eq!(report.accepted, 70_000);
    let spans = inbox.spans.lock().unwrap();
    assert_eq!(spans.len(), 70_000, "ids came twice");
}

#[tokio::test]
async fn all_signals_arrive_over_http_in_both_encodings() {
    for (protocol, compression, media) in [
        (Protocol::HttpProtobuf, Compression::Gzip, "application/x-protobuf"),
        (Protocol::HttpProtobuf, Compression::Zstd, "application/x-protobuf"),
        (Protocol::HttpJson, Compression::None, "application/json"),
    ] {
        let (address, inbox) = http(fine).await;
        let signals = if protocol == Protocol::HttpJson { Signals::Only(Signal::Spans) } else { Signals::All };
        let config =
            LoadConfig { compression, signals, tenant: Some("acme".to_owned()), ..config(address, protocol, 4_000) };
        let report = run(config, Observer::default()).await;
        assert_eq!((report.accepted, inbox.items.load(Ordering::Relaxed)), (4_000, 4_000), "{report:?}");
        assert_eq!(report.bytes, inbox.bytes.load(Ordering::Relaxed), "{report:?}");
        let is_packed = compression != Compression::None;
        let expected = if is_packed {
            2 * report.bytes < report.bytes_uncompressed
        } else {
            report.bytes == report.bytes_uncompressed
        };
        assert!(expected, "{report:?}");
        let headers = inbox.headers.lock().unwrap();
        assert_eq!(headers.len(), if signals == Signals::All { 3 } else { 1 });
        for headers in headers.values() {
            assert_eq!(
                (&headers["content-type"], &headers["x-scope-orgid"]),
                (&media.parse().unwrap(), &"acme".parse().unwrap())
            );
        }
    }
}

#[tokio::test]
async fn overload_is_waited_out_and_bad_data_is_not_sent_again() {
    let (address, inbox) = http(|number| match number {
        0 => (503, Some("1"), Vec::new()),
        1 => (429, None, Vec::new()),
        4 => (400, None, tonic_types::pb::Status { message: "bad".to_owned(), ..Default::default() }.encode_to_vec()),
        6 => (500, None, b"oops".to_vec()),
        _ => (200, None, Vec::new()),
    })
    .await;
    let (observer, heard) = listening();
    let begin = Instant::now();
    let report = run(LoadConfig { connections: 1, ..config(address, Protocol::HttpProtobuf, 1_000) }, observer).await;
    assert!(begin.elapsed() >= Duration::from_secs(1), "Retry-After was not kept");
    let errors = ["http 400", "http 429", "http 500", "http 503"].map(|kind| (kind.to_owned(), 1));
    assert_eq!((report.retried, report.errors), (2, BTreeMap::from(errors)));
    assert_eq!(report.bytes, inbox.bytes.load(Ordering::Relaxed), "attempts after the first count too");
    assert!(report.rejected > 0 && report.accepted + report.rejected == 1_000);
    assert_eq!(report.accepted, inbox.items.load(Ordering::Relaxed));
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len() as u64, report.accepted);
    // Only the first request was sent more than once.
    let retried = heard.iter().filter(|(_, retried)| *retried).count();
    assert!(retried > 0 && retried < heard.len(), "{retried} of {}", heard.len());
}

#[tokio::test]
async fn exhausted_is_tried_again_only_with_retry_info_and_partial_success_is_counted() {
    let (address, _) = grpc(|number| match number {
        0 => {
            let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(300)));
            Err(tonic::Status::with_error_details(tonic::Code::ResourceExhausted, "later", details))
        }
        2 => Err(tonic::Status::resource_exhausted("too large")),
        3 => {
            let partial = ExportTracePartialSuccess { rejected_spans: 7, error_message: "seven are bad".to_owned() };
            Ok(ExportTraceServiceResponse { partial_success: Some(partial) })
        }
        _ => Ok(ExportTraceServiceResponse::default()),
    });
    let (observer, heard) = listening();
    let begin = Instant::now();
    let report = run(LoadConfig { connections: 1, ..config(address, Protocol::Grpc, 600) }, observer).await;
    assert!(begin.elapsed() >= Duration::from_millis(300));
    assert_eq!((report.retried, report.errors["grpc ResourceExhausted"]), (1, 2));
    assert_eq!(report.last_message.as_deref(), Some("seven are bad"));
    assert!(report.rejected > 7 && report.accepted > 0, "{report:?}");
    // A request that was taken in part is not acknowledged: nobody says which spans were refused.
    assert!((heard.lock().unwrap().len() as u64) < report.accepted);
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_yet_is_waited_for() {
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        // A port that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let load = tokio::spawn(run(config(address, protocol, 500), Observer::default()));
        tokio::time::sleep(Duration::from_millis(250)).await;
        let inbox = if protocol == Protocol::Grpc {
            serve_grpc(address, taken).1
        } else {
            let inbox = Arc::new(Inbox::default());
            let listener = TcpListener::bind(address).await.unwrap();
            tokio::spawn(http_endpoint(listener, Arc::clone(&inbox), fine));
            inbox
        };
        let report = load.await.unwrap();
        assert_eq!((report.accepted, inbox.items.load(Ordering::Relaxed)), (500, 500), "{report:?}");
        assert!(report.retried >= 1 && report.errors.keys().all(|kind| kind.starts_with("connect")), "{report:?}");
    }
}

#[tokio::test]
async fn broken_connections_are_retried_on_both_protocols() {
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let load =
            tokio::spawn(run(LoadConfig { connections: 1, ..config(address, protocol, 300) }, Observer::default()));
        for _ in 0..2 {
            // Takes the connection and a few bytes, and vanishes.
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut some = [0; 16];
            tokio::io::AsyncReadExt::read_exact(&mut stream, &mut some).await.unwrap();
        }
        drop(listener);
        let inbox = if protocol == Protocol::Grpc {
            serve_grpc(address, taken).1
        } else {
            let inbox = Arc::new(Inbox::default());
            tokio::spawn(http_endpoint(TcpListener::bind(address).await.unwrap(), Arc::clone(&inbox), fine));
            inbox
        };
        let report = load.await.unwrap();
        assert_eq!((report.accepted, report.rejected), (300, 0), "{report:?}");
        assert!(report.retried >= 2, "{report:?}");
        assert!(inbox.spans.lock().unwrap().values().all(|count| *count == 1));
    }
}

#[tokio::test]
async fn z1_z3_silence_ends_with_the_deadline_or_the_cancellation() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Connections are taken by the system and never answered.
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let silent = LoadConfig {
            retry_deadline: Duration::from_millis(300),
            request_timeout: Duration::from_millis(100),
            ..config(address, protocol, 200)
        };
        let report = run(silent.clone(), Observer::default()).await;
        assert_eq!((report.sent, report.accepted, report.abandoned), (200, 0, 200), "{report:?}");
        assert!(report.errors.contains_key("timeout"), "{report:?}");
        let cancel = CancellationToken::new();
        let load = tokio::spawn(run_load(
            LoadConfig {
                retry_deadline: Duration::from_secs(600),
                request_timeout: Duration::from_secs(600),
                ..silent
            },
            Observer::default(),
            cancel.clone(),
        ));
        tokio::time::sleep(Duration::from_millis(200)).await;
        cancel.cancel();
        let report = load.await.unwrap().unwrap();
        assert!(report.abandoned > 0 && report.sent == report.abandoned, "{report:?}");
    }
}

#[tokio::test]
async fn a_rate_is_kept_and_progress_is_told() {
    let (address, inbox) = http(fine).await;
    let told = Arc::new(AtomicU64::new(0));
    let writer = Arc::clone(&told);
    let progress = move |progress: &Progress| {
        writer.fetch_max(progress.accepted, Ordering::Relaxed);
    };
    let observer = Observer { progress: Some(Box::new(progress)), acknowledged: None };
    let paced = LoadConfig {
        rate: Rate::PerSecond(2_000.0),
        stop: Stop::After(Duration::from_millis(900)),
        ..config(address, Protocol::HttpProtobuf, 0)
    };
    let report = run(paced, observer).await;
    assert!((1_500..2_200).contains(&report.sent), "{report:?}");
    assert_eq!((report.accepted, told.load(Ordering::Relaxed)), (report.sent, report.sent));
    assert_eq!(inbox.items.load(Ordering::Relaxed), report.sent);
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let refused = |change: fn(&mut LoadConfig)| async move {
        let mut config = LoadConfig::default();
        change(&mut config);
        run_load(config, Observer::default(), CancellationToken::new()).await.unwrap_err()
    };
    for endpoint in ["https://127.0.0.1:1", "127.0.0.1:4317", "http://", "", "file:///x"] {
        let config = LoadConfig { endpoint: endpoint.to_owned(), ..LoadConfig::default() };
        let error = run_load(config, Observer::default(), CancellationToken::new()).await.unwrap_err();
        assert!(matches!(error, LoadError::Endpoint { .. }), "{endpoint}: {error}");
    }
    assert!(matches!(refused(|c| c.connections = 0).await, LoadError::Zero { .. }));
    assert!(matches!(refused(|c| c.batch = 0).await, LoadError::Zero { .. }));
    assert!(matches!(refused(|c| c.rate = Rate::PerSecond(f64::NAN)).await, LoadError::Zero { .. }));
    assert!(matches!(refused(|c| c.tenant = Some("a\nb".to_owned())).await, LoadError::Tenant { .. }));
}

#[test]
fn retry_pauses_are_shorter_than_the_default_deadline() {
    let sum: Duration = (0..12).map(|attempt| retry::pause(attempt, None, 0.5)).sum();
    assert!(sum < LoadConfig::default().retry_deadline);
}
