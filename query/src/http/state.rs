//! What does the API need of the process around it?

use crate::config::Config;
use crate::error::{Error, Result};
use crate::exec::Executor;
use crate::rule::Board;
use crate::span_metrics::Maker;
use crate::trace::outline::Shelf;
use query_api::letter::Replayed;
use query_api::status::{DemoStatus, KafkaStatus, LastReceived};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;
use storage::engine::Engine;
use storage::fs::Clock;
use storage::model::TenantId;

/// What to do with the demo workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemoAction {
    /// Tell its state.
    Tell,
    /// Start it; nothing happens when it runs.
    Start,
    /// Stop it; nothing happens when it does not run.
    Stop,
}

/// Tells the newest accepted request of a tenant.
pub type TellLastReceived = Box<dyn Fn(&TenantId) -> Option<LastReceived> + Send + Sync>;
/// Acts on the demo workload and tells its state; `Err` is a sentence that the caller is shown. Must not block.
pub type SwitchDemo = Box<dyn Fn(DemoAction) -> Result<DemoStatus, String> + Send + Sync>;

/// Tells how many series of a tenant came lately, and how many may.
pub type TellActiveSeries = Box<dyn Fn(&TenantId) -> Option<(u64, u64)> + Send + Sync>;

/// Tells how the reading of Kafka goes, if it is read.
pub type TellKafka = Box<dyn Fn(&TenantId) -> Option<KafkaStatus> + Send + Sync>;

/// Tells what is scraped for a tenant, in the words of Prometheus's API: `activeTargets`, `droppedTargets`, `droppedTargetCounts`, `metadata`
/// and `config`; null where nothing is.
pub type TellTargets = Box<dyn Fn(&TenantId) -> serde_json::Value + Send + Sync>;

/// Tells why the file of jobs of scraping cannot be used as it is now, where that is so and the tenant's.
pub type TellScrapeTrouble = Box<dyn Fn(&TenantId) -> Option<String> + Send + Sync>;

/// Tells a job of scraping as YAML, without its secrets; `None` where a tenant has none of that name.
pub type TellScrapePool = Box<dyn Fn(&TenantId, &str) -> Option<String> + Send + Sync>;

/// Applies the rules of a tenant's job to labels, and tells each as a step of Prometheus's API: `rule`, `output` and `keep`.
pub type RelabelSteps =
    Box<dyn Fn(&TenantId, &str, BTreeMap<String, String>) -> Option<serde_json::Value> + Send + Sync>;

/// Appends what the process around the API measures of itself, in Prometheus's text format.
pub type RenderMetrics = Box<dyn Fn(&mut String) + Send + Sync>;

/// A dead letter that is read again.
#[derive(Debug, Clone)]
pub struct Replay {
    /// Its id.
    pub id: String,
    /// The topic that it came from.
    pub topic: String,
    /// The partition of that.
    pub partition: u64,
    /// Its offset there, or those of the batch that it stands for.
    pub offsets: Range<u64>,
    /// `spans`, `logs` or `metrics`.
    pub signal: String,
    /// How it is written.
    pub encoding: String,
    /// Whose its records are.
    pub tenant: String,
    /// When it was kept, in Unix nanoseconds.
    pub time: i64,
    /// When the message was sent.
    pub sent: i64,
    /// The message; where it stands for a batch, its messages are in the topic only.
    pub payload: Option<Vec<u8>>,
    /// By which turn of the store.
    pub turn: u64,
}

/// Stores the records of a dead letter, and with them a record that says so. Where nothing of it can be stored, the message says why;
/// `Err` is a sentence on why not now.
pub type ReplayLetter =
    Box<dyn Fn(Replay) -> Pin<Box<dyn Future<Output = Result<Replayed, String>> + Send>> + Send + Sync>;

/// What only the binary knows.
pub struct Host {
    /// Spanlight's version.
    pub version: String,
    /// Where to send OTLP over gRPC, as a URL.
    pub otlp_grpc_endpoint: String,
    /// Where to send OTLP over HTTP, as a URL.
    pub otlp_http_endpoint: String,
    /// The newest accepted request.
    pub last_received: TellLastReceived,
    /// The active series of a tenant.
    pub active_series: TellActiveSeries,
    /// The reading of Kafka.
    pub kafka: TellKafka,
    /// What is scraped.
    pub targets: TellTargets,
    /// What is wrong with the file of jobs.
    pub scrape_trouble: TellScrapeTrouble,
    /// A job of scraping.
    pub scrape_pool: TellScrapePool,
    /// What its rules do.
    pub relabel_steps: RelabelSteps,
    /// What the doors measure.
    pub metrics: Vec<RenderMetrics>,
    /// The demo workload.
    pub demo: SwitchDemo,
    /// What stores dead letters again.
    pub replay: ReplayLetter,
    /// The doors that take telemetry in, as paths of OpenAPI.
    pub doors: serde_json::Value,
}

impl Default for Host {
    /// A process without doors and without demo.
    fn default() -> Self {
        Host {
            version: env!("CARGO_PKG_VERSION").into(),
            otlp_grpc_endpoint: String::new(),
            otlp_http_endpoint: String::new(),
            last_received: Box::new(|_| None),
            active_series: Box::new(|_| None),
            kafka: Box::new(|_| None),
            targets: Box::new(|_| serde_json::Value::Null),
            scrape_trouble: Box::new(|_| None),
            scrape_pool: Box::new(|_, _| None),
            relabel_steps: Box::new(|_, _, _| None),
            metrics: Vec::new(),
            demo: Box::new(|action| match action {
                DemoAction::Tell => Ok(DemoStatus::default()),
                DemoAction::Start | DemoAction::Stop => Err("this server has no demo workload".into()),
            }),
            replay: Box::new(|_| Box::pin(std::future::ready(Err("this server reads no messages".into())))),
            doors: serde_json::Value::Null,
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("version", &self.version).finish_non_exhaustive()
    }
}

/// What the API answers from.
#[derive(Debug)]
pub struct QueryState {
    engine: Arc<Engine>,
    executor: Executor,
    clock: Arc<dyn Clock>,
    host: Host,
    rules: Board,
    span_metrics: Maker,
    openapi: serde_json::Value,
    started: Instant,
    /// Outlines of traces that are looked at.
    outlines: Arc<Shelf>,
    /// Held while a dead letter is replayed.
    replaying: Arc<tokio::sync::Mutex<()>>,
}

impl QueryState {
    /// Starts the executor. Fails where the system gives it no runtime.
    pub fn new(config: Config, engine: Arc<Engine>, clock: Arc<dyn Clock>, host: Host) -> std::io::Result<Self> {
        let executor = Executor::new(config, engine.clone())?;
        let openapi = super::openapi::with_doors(&host.doors);
        let (rules, started, outlines, replaying) = (Board::default(), Instant::now(), Arc::default(), Arc::default());
        let span_metrics = Maker::default();
        Ok(QueryState { engine, executor, clock, host, rules, span_metrics, openapi, started, outlines, replaying })
    }

    /// Runs the queries.
    pub fn executor(&self) -> &Executor {
        &self.executor
    }

    /// Appends all that the process measures of itself, what is bounded beside its limit, in Prometheus's text format.
    pub fn render_metrics(&self, out: &mut String) {
        self.engine.render_metrics(out);
        self.host.metrics.iter().for_each(|render| render(out));
        self.executor.render_metrics(out);
        self.outlines.render_metrics(out);
        self.rules.render_metrics(out);
    }

    /// What is told of rules.
    pub fn rules(&self) -> &Board {
        &self.rules
    }

    /// What makes metrics of spans.
    pub(crate) fn span_metrics(&self) -> &Maker {
        &self.span_metrics
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// The description of the API and of the process's doors.
    pub(super) fn openapi(&self) -> &serde_json::Value {
        &self.openapi
    }

    pub(super) fn outlines(&self) -> Arc<Shelf> {
        Arc::clone(&self.outlines)
    }

    pub(super) fn replaying(&self) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(&self.replaying)
    }

    /// Whose data there is.
    pub(crate) fn tenants(&self) -> Vec<TenantId> {
        self.engine.tenants()
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now_unix_nano()
    }

    pub(crate) fn monotonic(&self) -> std::time::Duration {
        self.clock.monotonic()
    }

    pub(super) fn uptime_seconds(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    pub(super) fn demo(&self, action: DemoAction) -> Result<DemoStatus> {
        (self.host.demo)(action).map_err(|message| Error::Host { message })
    }
}
