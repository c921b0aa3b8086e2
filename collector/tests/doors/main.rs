//! What must hold at the collector's doors, over real sockets? Every duty of OTLP 1.11 for a server, and every
//! mistake that receivers are known for.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod admission;
mod bad_input;
mod grpc;
mod http;
mod raw;
mod scrape;
mod series;

use bytes::Bytes;
use collector::{Collector, CollectorConfig, Sink};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use storage::engine::Write;
use storage::error::Error;
use storage::fs::SystemClock;
use storage::model::Signal;
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

/// What the sink does with a write.
#[derive(Clone)]
enum Behaviour {
    Keep,
    Refuse(fn() -> Error),
    /// Keeps it once notified.
    Wait(Arc<Notify>),
}

/// A collector that serves on a port of its own and keeps what it gets.
struct Door {
    collector: Collector,
    address: SocketAddr,
    written: Arc<Mutex<Vec<Write>>>,
    behaviour: Arc<Mutex<Behaviour>>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Door {
    async fn open(config: CollectorConfig) -> Door {
        let written: Arc<Mutex<Vec<Write>>> = Arc::default();
        let behaviour = Arc::new(Mutex::new(Behaviour::Keep));
        let sink: Sink = {
            let (written, behaviour) = (written.clone(), behaviour.clone());
            Arc::new(move |write| {
                let (written, behaviour) = (written.clone(), behaviour.lock().unwrap().clone());
                Box::pin(async move {
                    match behaviour {
                        Behaviour::Keep => {}
                        Behaviour::Refuse(why) => return Err(why()),
                        Behaviour::Wait(go) => go.notified().await,
                    }
                    written.lock().unwrap().push(write);
                    Ok(())
                })
            })
        };
        let collector = Collector::new(config, sink, Arc::new(SystemClock::default()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = collector.clone();
        let server = tokio::spawn(async move { serving.serve(listener, async { drop(stopped.await) }).await });
        Door { collector, address, written, behaviour, stop, server }
    }

    async fn usual() -> Door {
        Door::open(CollectorConfig::default()).await
    }

    fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    /// Rows of a signal that have arrived.
    fn rows(&self, signal: Signal) -> usize {
        let written = self.written.lock().unwrap();
        written.iter().filter(|write| write.signal == signal).map(|write| write.batch.num_rows()).sum()
    }

    async fn close(self) {
        self.stop.send(()).unwrap();
        self.server.await.unwrap().unwrap();
    }
}

fn span(id: u8) -> Span {
    Span { trace_id: vec![id; 16], span_id: vec![id; 8], name: "op".into(), ..Span::default() }
}

fn trace_request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] }
}

fn logs_request(records: usize) -> ExportLogsServiceRequest {
    let log_records = vec![LogRecord { severity_text: "INFO".into(), ..LogRecord::default() }; records];
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] }
}

fn metrics_request(points: usize) -> ExportMetricsServiceRequest {
    let data = Some(metric::Data::Gauge(Gauge { data_points: vec![NumberDataPoint::default(); points] }));
    let metrics = vec![Metric { name: "m".into(), data, ..Metric::default() }];
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }],
    }
}

fn good_spans(count: u8) -> Vec<u8> {
    trace_request((1..=count).map(span).collect()).encode_to_vec()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

/// google.rpc.Status, as prost reads it.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

fn rpc_status(body: &Bytes) -> RpcStatus {
    RpcStatus::decode(body.as_ref()).unwrap()
}
