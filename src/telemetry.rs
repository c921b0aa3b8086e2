//! What does Spanlight say of itself? Structured log lines on stderr, and its own spans over OTLP where that is asked
//! for.
//!
//! No loop: spans are made for requests of the HTTP API and their queries, never for what receiving and storing telemetry
//! sets off, since storing our own spans would set it off too.

use crate::config::{Log, LogFormat, SelfTelemetry};
use anyhow::{Context, Result, ensure};
use axum::http::Uri;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::io::IsTerminal as _;
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Ends the export of spans when it is shut down.
pub(crate) struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

/// Starts logging, and the export of spans where an endpoint is set. Needs a tokio runtime for the latter.
pub(crate) fn start(log: &Log, own: &SelfTelemetry) -> Result<Telemetry> {
    let filter = filter(log)?;
    // NO_COLOR says no where it is set to anything.
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let ansi = std::io::stderr().is_terminal() && !is_plain;
    let lines = match log.format {
        LogFormat::Text => fmt::layer().with_ansi(ansi).with_writer(std::io::stderr).boxed(),
        LogFormat::Json => fmt::layer().json().with_writer(std::io::stderr).boxed(),
    };
    let provider = provider(&own.otlp_endpoint)?;
    let spans = provider.as_ref().map(|provider| {
        let tracer = provider.tracer("spanlight");
        // Spans of our own rooms only: those of the network libraries would tell of the export itself.
        let own = filter_fn(|metadata| {
            metadata.is_span()
                && ["spanlight", "query", "storage"].iter().any(|room| metadata.target().starts_with(room))
        });
        tracing_opentelemetry::layer().with_tracer(tracer).with_filter(own)
    });
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(spans).init();
    Ok(Telemetry { provider })
}

/// Which log lines are written.
pub(crate) fn filter(log: &Log) -> Result<EnvFilter> {
    EnvFilter::try_new(&log.filter).with_context(|| format!("`log.filter` is `{}`", log.filter))
}

/// Whether spans of our own can be sent where the settings say.
pub(crate) fn check(own: &SelfTelemetry) -> Result<()> {
    let endpoint = &own.otlp_endpoint;
    let is_url = |uri: Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    ensure!(
        endpoint.is_empty() || endpoint.parse().is_ok_and(is_url),
        "`self_telemetry.otlp_endpoint` is `{endpoint}`; expected a URL such as http://127.0.0.1:4317"
    );
    Ok(())
}

fn provider(endpoint: &str) -> Result<Option<SdkTracerProvider>> {
    if endpoint.is_empty() {
        return Ok(None);
    }
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
    let exporter = exporter.with_context(|| format!("`self_telemetry.otlp_endpoint` is `{endpoint}`"))?;
    let resource = Resource::builder()
        .with_service_name("spanlight")
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(Some(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()))
}

impl Telemetry {
    /// Sends what is left. Blocks for a few seconds at most.
    pub(crate) fn shut_down(self) {
        if let Some(Err(error)) = self.provider.map(|provider| provider.shutdown()) {
            tracing::warn!(%error, "failed to export the last spans");
        }
    }
}
