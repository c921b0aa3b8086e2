//! How do a command line's arguments become a load run, and what does it print?
//!
//! Progress goes to stderr, and the report, one JSON object, is the last line on stdout.

use crate::client::{AckFile, Compression, LoadConfig, Observer, Progress, Protocol, Rate, Stop, run_load};
use crate::{Signal, Signals};
use clap::{Args, ValueEnum};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// An error with a sentence for whoever typed the arguments.
type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Where to, what, how much and how fast.
#[derive(Debug, Args)]
pub struct LoadArguments {
    /// The OTLP endpoint, as `http://127.0.0.1:4317`.
    #[arg(long, value_name = "URL")]
    endpoint: String,
    #[arg(long, value_enum, default_value_t = ProtocolName::Grpc)]
    protocol: ProtocolName,
    #[arg(long, value_enum, default_value_t = SignalName::All)]
    signal: SignalName,
    /// Items (spans, log records, data points) per second, or `max`.
    #[arg(long, default_value = "max", value_name = "N|max", value_parser = rate)]
    rate: Rate,
    /// Stop after this many items.
    #[arg(long, value_name = "N", conflicts_with = "duration")]
    count: Option<u64>,
    /// Stop after this time: `30s`, `5m`, `1h`.
    #[arg(long, value_name = "D", value_parser = duration)]
    duration: Option<Duration>,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 2, value_name = "C")]
    connections: usize,
    /// Same seed, same items.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Spans or log records per request.
    #[arg(long, default_value_t = 512)]
    batch: usize,
    #[arg(long, value_enum, default_value_t = CompressionName::None)]
    compression: CompressionName,
    /// Sent as `X-Scope-OrgID`.
    #[arg(long)]
    tenant: Option<String>,
    /// How long one request is tried before it is given up.
    #[arg(long, default_value = "5m", value_name = "D", value_parser = duration)]
    retry_for: Duration,
    /// Writes the ids of every acknowledged span to a file, for checking what a crash left.
    #[arg(long, value_name = "FILE")]
    acknowledged: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ProtocolName {
    Grpc,
    HttpProtobuf,
    HttpJson,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SignalName {
    Spans,
    Logs,
    Metrics,
    All,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CompressionName {
    None,
    Gzip,
    Zstd,
}

fn rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    let rate: f64 = text.parse().map_err(|_| "expected a number or `max`".to_owned())?;
    if rate.is_finite() && rate > 0.0 { Ok(Rate::PerSecond(rate)) } else { Err("expected more than 0".into()) }
}

fn duration(text: &str) -> Result<Duration, String> {
    let expected = || "expected a number and a unit, as `500ms`, `30s`, `5m` or `1h`".to_owned();
    let split = text.find(|digit: char| !digit.is_ascii_digit() && digit != '.').ok_or_else(expected)?;
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(expected()),
    };
    let number: f64 = number.parse().map_err(|_| expected())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())
}

impl LoadArguments {
    fn config(&self) -> Result<LoadConfig> {
        let stop = match (self.count, self.duration) {
            (Some(count), None) => Stop::Count(count),
            (None, Some(duration)) => Stop::After(duration),
            _ => return Err("say when to stop: --count N or --duration D".into()),
        };
        Ok(LoadConfig {
            endpoint: self.endpoint.clone(),
            protocol: match self.protocol {
                ProtocolName::Grpc => Protocol::Grpc,
                ProtocolName::HttpProtobuf => Protocol::HttpProtobuf,
                ProtocolName::HttpJson => Protocol::HttpJson,
            },
            signals: match self.signal {
                SignalName::Spans => Signals::Only(Signal::Spans),
                SignalName::Logs => Signals::Only(Signal::Logs),
                SignalName::Metrics => Signals::Only(Signal::Metrics),
                SignalName::All => Signals::All,
            },
            rate: self.rate,
            stop,
            connections: self.connections,
            seed: self.seed,
            batch: self.batch,
            compression: match self.compression {
                CompressionName::None => Compression::None,
                CompressionName::Gzip => Compression::Gzip,
                CompressionName::Zstd => Compression::Zstd,
            },
            tenant: self.tenant.clone(),
            retry_deadline: self.retry_for,
            ..LoadConfig::default()
        })
    }
}

/// Sends, and prints the report. Fails where something was given up.
pub fn run(arguments: &LoadArguments) -> Result<ExitCode> {
    let config = arguments.config()?;
    let file = match &arguments.acknowledged {
        Some(path) => {
            let created = AckFile::create(path);
            Some(Arc::new(created.map_err(|error| format!("failed to create {}: {error}", path.display()))?))
        }
        None => None,
    };
    let progress: Option<crate::client::OnProgress> =
        std::io::stderr().is_terminal().then(|| -> crate::client::OnProgress {
            let stop = config.stop;
            Box::new(move |progress| draw(progress, stop))
        });
    let observer = Observer { progress, acknowledged: file.clone().map(AckFile::callback) };
    let cancel = CancellationToken::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let on_signal = cancel.clone();
        let watch = tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                on_signal.cancel();
            }
        });
        let report = run_load(config, observer, cancel).await;
        watch.abort();
        report
    })?;
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
    if let Some(error) = file.and_then(|file| file.take_error()) {
        return Err(format!("failed to write the acknowledged spans: {error}").into());
    }
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, &report)?;
    writeln!(out)?;
    Ok(if report.abandoned == 0 && report.rejected == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One line that is drawn over itself.
fn draw(progress: &Progress, stop: Stop) {
    let seconds = progress.elapsed.as_secs_f64();
    let done = match stop {
        Stop::Count(count) => progress.accepted as f64 / count.max(1) as f64,
        Stop::After(duration) => seconds / duration.as_secs_f64().max(f64::MIN_POSITIVE),
    };
    let filled = (done.clamp(0.0, 1.0) * 30.0) as usize;
    let bar = format!("{}{}", "█".repeat(filled), "░".repeat(30 - filled));
    let rate = progress.accepted as f64 / seconds.max(f64::MIN_POSITIVE);
    eprint!("\r{bar} {:>3.0} %  {} sent  {} accepted  {rate:.0}/s ", done * 100.0, progress.sent, progress.accepted);
}
