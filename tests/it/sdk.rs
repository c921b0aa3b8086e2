//! Does an unmodified OpenTelemetry SDK get everything in? Spans, logs and metrics of the Rust SDK over gRPC and over
//! HTTP, found again by the API.

use crate::server::{Server, eventually};
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::{Value, json};

/// The SDK's three providers, exporting to one server.
struct Providers {
    traces: SdkTracerProvider,
    logs: SdkLoggerProvider,
    metrics: SdkMeterProvider,
}

fn resource(service: &str) -> Resource {
    let attributes = [KeyValue::new("service.version", "1.2.3"), KeyValue::new("service.instance.id", "i-1")];
    Resource::builder().with_service_name(service.to_owned()).with_attributes(attributes).build()
}

fn over_grpc(server: &Server, service: &str) -> Providers {
    let endpoint = format!("http://{}", server.otlp_grpc);
    let spans = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(&endpoint).build().unwrap();
    let logs = opentelemetry_otlp::LogExporter::builder().with_tonic().with_endpoint(&endpoint).build().unwrap();
    let metrics = opentelemetry_otlp::MetricExporter::builder().with_tonic().with_endpoint(&endpoint).build().unwrap();
    Providers {
        traces: SdkTracerProvider::builder().with_batch_exporter(spans).with_resource(resource(service)).build(),
        logs: SdkLoggerProvider::builder().with_batch_exporter(logs).with_resource(resource(service)).build(),
        metrics: SdkMeterProvider::builder().with_periodic_exporter(metrics).with_resource(resource(service)).build(),
    }
}

fn over_http(server: &Server, service: &str, protocol: Protocol) -> Providers {
    let url = |path: &str| format!("http://{}{path}", server.otlp_http);
    let spans = opentelemetry_otlp::SpanExporter::builder().with_http().with_protocol(protocol);
    let spans = spans.with_endpoint(url("/v1/traces")).build().unwrap();
    let logs = opentelemetry_otlp::LogExporter::builder().with_http().with_protocol(protocol);
    let logs = logs.with_endpoint(url("/v1/logs")).build().unwrap();
    let metrics = opentelemetry_otlp::MetricExporter::builder().with_http().with_protocol(protocol);
    let metrics = metrics.with_endpoint(url("/v1/metrics")).build().unwrap();
    Providers {
        traces: SdkTracerProvider::builder().with_batch_exporter(spans).with_resource(resource(service)).build(),
        logs: SdkLoggerProvider::builder().with_batch_exporter(logs).with_resource(resource(service)).build(),
        metrics: SdkMeterProvider::builder().with_periodic_exporter(metrics).with_resource(resource(service)).build(),
    }
}

/// One request of a small service: a server span with a client span below, an event, a link, a log line, metrics.
fn serve_one_request(providers: &Providers) -> TraceId {
    let tracer = providers.traces.tracer("checkout");
    let linked = SpanContext::new(
        TraceId::from_bytes([7; 16]),
        opentelemetry::trace::SpanId::from_bytes([8; 8]),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    let server = tracer
        .span_builder("GET /checkout")
        .with_kind(SpanKind::Server)
        .with_attributes([KeyValue::new("http.request.method", "GET"), KeyValue::new("http.response.status_code", 500)])
        .with_links(vec![Link::new(linked, vec![KeyValue::new("why", "retry")], 0)])
        .start(&tracer);
    let trace = server.span_context().trace_id();
    let context = Context::current_with_span(server);
    let mut client = tracer.span_builder("SELECT").with_kind(SpanKind::Client).start_with_context(&tracer, &context);
    client.add_event("exception", vec![KeyValue::new("exception.message", "connection refused")]);
    client.set_status(Status::error("connection refused"));
    client.end();

    let logger = providers.logs.logger("checkout");
    let mut record = logger.create_log_record();
    record.set_severity_number(Severity::Error);
    record.set_severity_text("ERROR");
    record.set_body(AnyValue::String("payment refused".into()));
    record.add_attribute("order.id", 42);
    record.set_trace_context(trace, context.span().span_context().span_id(), Some(TraceFlags::SAMPLED));
    logger.emit(record);

    let meter = providers.metrics.meter("checkout");
    meter.u64_counter("orders").with_unit("{order}").with_description("orders taken").build().add(3, &[]);
    meter.f64_histogram("http.server.request.duration").with_unit("s").build().record(0.25, &[]);
    context.span().end();
    trace
}

async fn check_everything_is_found(server: &Server, service: &str, providers: Providers) {
    let (trace, providers) = tokio::task::spawn_blocking(move || {
        let trace = serve_one_request(&providers);
        providers.traces.force_flush().unwrap();
        providers.logs.force_flush().unwrap();
        providers.metrics.force_flush().unwrap();
        (trace, providers)
    })
    .await
    .unwrap();
    check_trace(server, service, &trace.to_string()).await;
    check_search(server, service, &trace.to_string()).await;
    check_logs(server, service, &trace.to_string()).await;
    check_metrics(server, service).await;
    tokio::task::spawn_blocking(move || providers.traces.shutdown()).await.unwrap().unwrap();
}

async fn check_trace(server: &Server, service: &str, trace: &str) {
    let found = eventually("the trace", || async {
        let (status, body) = server.get(&format!("/api/v1/traces/{trace}")).await;
        (status == 200).then(|| serde_json::from_slice::<Value>(&body).unwrap())
    })
    .await;
    let resource = &found["resourceSpans"][0]["resource"]["attributes"];
    assert!(contains(resource, &json!({"key": "service.name", "value": {"stringValue": service}})), "{found}");
    let spans = found["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
    assert_eq!(spans.len(), 2);
    let server_span = spans.iter().find(|span| span["name"] == "GET /checkout").unwrap();
    let client_span = spans.iter().find(|span| span["name"] == "SELECT").unwrap();
    assert_eq!(client_span["parentSpanId"], server_span["spanId"]);
    assert_eq!(client_span["status"], json!({"code": 2, "message": "connection refused"}));
    assert_eq!(client_span["events"][0]["name"], "exception");
    assert_eq!(server_span["links"][0]["traceId"], "07".repeat(16));
    let status_code = json!({"key": "http.response.status_code", "value": {"intValue": "500"}});
    assert!(contains(&server_span["attributes"], &status_code), "{server_span}");
}

async fn check_search(server: &Server, service: &str, trace: &str) {
    let found = server.json(&format!("/api/v1/traces?service={service}&attr=http.response.status_code=500")).await;
    assert_eq!(found["traces"][0]["trace_id"], trace, "{found}");
    assert_eq!(found["traces"][0]["root_name"], "GET /checkout");
    let services = server.json("/api/v1/services").await;
    let names: Vec<&str> = services["services"].as_array().unwrap().iter().filter_map(|s| s["name"].as_str()).collect();
    assert!(names.contains(&service), "{names:?}");
}

async fn check_logs(server: &Server, service: &str, trace: &str) {
    let log = eventually("the log record", || async {
        let logs = server.json(&format!("/api/v1/logs?trace_id={trace}&contains=REFUSED")).await;
        logs["logs"].get(0).cloned()
    })
    .await;
    assert_eq!(log["body"], json!({"stringValue": "payment refused"}));
    assert_eq!((&log["service"], &log["severity_number"]), (&json!(service), &json!(17)));
    assert!(contains(&log["attributes"], &json!({"key": "order.id", "value": {"intValue": "42"}})), "{log}");
}

async fn check_metrics(server: &Server, service: &str) {
    let series = eventually("the counter", || async {
        let series = server.json(&format!("/api/v1/series?name=orders&service={service}")).await;
        series["series"].get(0).cloned()
    })
    .await;
    assert_eq!((&series["type"], &series["unit"]), (&json!("sum"), &json!("{order}")));
    assert_eq!(series["points"][0]["value"], json!({"int": "3"}));
    let series = server.json(&format!("/api/v1/series?name=http.server.request.duration&service={service}")).await;
    assert_eq!(series["series"][0]["points"][0]["value"]["histogram"]["count"], 1, "{series}");
}

fn contains(list: &Value, item: &Value) -> bool {
    list.as_array().is_some_and(|list| list.contains(item))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_sdk_is_understood_over_grpc() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    check_everything_is_found(&server, "rust-grpc", over_grpc(&server, "rust-grpc")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_sdk_is_understood_over_http_with_protobuf_and_json() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    check_everything_is_found(&server, "rust-http", over_http(&server, "rust-http", Protocol::HttpBinary)).await;
    check_everything_is_found(&server, "rust-json", over_http(&server, "rust-json", Protocol::HttpJson)).await;
}
