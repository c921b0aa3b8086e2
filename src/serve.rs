//! How do all roles run in one process, and how do they end?
//!
//! The addresses are printed to stdout, a line each, once all doors are open. SIGTERM and ctrl-c: the doors stop
//! accepting and finish what they have, the log is synced, the process ends within ten seconds.

use crate::config::Config;
use crate::demo::Demo;
use crate::{assets, telemetry};
use anyhow::{Context, Result};
use axum::Router;
use axum::routing::get;
use collector::kafka::{FrontReport, FrontTopicReport, KafkaReport, PartitionReport, ReplayedLetter as Letter};
use collector::remote::Version;
use collector::{Accepted, Collector, Encoding, KafkaFront, KafkaReceiver};
use query::Door;
use query::http::{Host, QueryState, Replay};
use query::own_work::OwnDoors;
use query_api::letter::Replayed;
use query_api::status::{KafkaFrontTopic, KafkaLeftOut, KafkaPartition, KafkaStatus};
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use storage::engine::Engine;
use storage::fs::{Clock, Disk, SystemClock};
use storage::model::TenantId;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use workload::demo::DemoConfig;

/// How long requests under way may take to finish; with the last sync it stays below ten seconds.
pub(crate) const GRACE: Duration = Duration::from_secs(6);

/// Runs until a signal ends it.
pub(crate) fn run(config: Config, demo: Option<DemoConfig>) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("network").build()?;
    let result = runtime.block_on(serve(config, demo));
    // Whatever hangs on after its grace does not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(500));
    result.map(|()| ExitCode::SUCCESS)
}

/// The doors, open.
struct Doors {
    http: TcpListener,
    otlp_grpc: TcpListener,
    otlp_http: TcpListener,
}

async fn serve(config: Config, demo: Option<DemoConfig>) -> Result<()> {
    // Before anyone learns where the doors are: who does may ask to end at once.
    let mut end = EndSignals::watch()?;
    let telemetry = telemetry::start(&config.log, &config.self_telemetry)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let engine = open_engine(&config, Arc::clone(&clock)).await?;
    let sink = collector::engine_sink(Arc::clone(&engine));
    let front = KafkaFront::start(&config.kafka, config.otlp.max_bytes_in_flight, Arc::clone(&clock));
    let front = front.map_err(anyhow::Error::msg)?;
    let collector = Collector::new(config.collector(), sink, Arc::clone(&clock)).in_front(front.clone());
    let doors = Doors {
        http: bind("http.addr", config.http.addr).await?,
        otlp_grpc: bind("otlp.grpc_addr", config.otlp.grpc_addr).await?,
        otlp_http: bind("otlp.http_addr", config.otlp.http_addr).await?,
    };
    let demo_switch = Arc::new(Demo::new(collector.clone()));
    // Before anything comes in: who comes first has the room of series.
    collector.remember(Arc::clone(&engine)).await;
    let kafka = KafkaReceiver::start(&config.kafka, &collector, &engine).map_err(anyhow::Error::msg)?;
    let host = host(&doors, &collector, &demo_switch, &kafka)?;
    let state = QueryState::new(config.query(), Arc::clone(&engine), clock, host).context("failed to start queries")?;
    announce(&doors)?;
    if let Some(settings) = demo {
        demo_switch.start(settings);
    }

    let shutdown = CancellationToken::new();
    let mut roles = JoinSet::new();
    let state = Arc::new(state);
    let router = router(Arc::clone(&state), &engine, &collector);
    let (jobs, door, closing) = (config.scrape.clone(), collector.clone(), shutdown.clone());
    roles.spawn(async move { jobs.run(door, closing.cancelled_owned()).await.context("scraping") });
    let own = own_doors(&collector);
    let own = query::own_work::run(state, config.rules.clone(), own, shutdown.clone().cancelled_owned());
    roles.spawn(async move {
        own.await;
        Ok(())
    });
    let closing = shutdown.clone();
    roles.spawn(
        async move { query::http::serve(doors.http, router, closing.cancelled_owned()).await.context("HTTP API") },
    );
    for (name, listener) in [("OTLP/gRPC", doors.otlp_grpc), ("OTLP/HTTP", doors.otlp_http)] {
        let (door, closing) = (collector.clone(), shutdown.clone());
        roles.spawn(async move { door.serve(listener, closing.cancelled_owned()).await.context(name) });
    }

    let ended = tokio::select! {
        asked = end.received() => asked,
        Some(role) = roles.join_next() => role.map_err(anyhow::Error::from).flatten(),
    };
    tracing::info!("closing: finishing requests under way");
    shutdown.cancel();
    demo_switch.stop();
    let left = tokio::task::spawn_blocking(move || kafka.stop(GRACE));
    let finished =
        tokio::time::timeout(GRACE + Duration::from_secs(1), async { while roles.join_next().await.is_some() {} })
            .await;
    if finished.is_err() {
        tracing::warn!(grace = ?GRACE, "some requests did not finish in time and were ended");
    }
    left.await?;
    if let Some(front) = front {
        tokio::task::spawn_blocking(move || front.close(Duration::from_secs(1))).await?;
    }
    tokio::task::spawn_blocking(move || engine.close()).await?.context("failed to close the store")?;
    tokio::task::spawn_blocking(move || telemetry.shut_down()).await?;
    ended
}

async fn open_engine(config: &Config, clock: Arc<dyn Clock>) -> Result<Arc<Engine>> {
    let (settings, data_dir) = (config.engine(), config.data_dir.clone());
    let limits = config.collector().decode;
    let open = move || Engine::open(settings, Arc::new(Disk), clock, Box::new(collector::decode::wal_decoder(limits)));
    let opened = tokio::task::spawn_blocking(open).await?;
    let engine = opened.with_context(|| format!("failed to open the data directory {}", data_dir.display()))?;
    let found = engine.recovery();
    tracing::info!(
        data_dir = %data_dir.display(), blocks = found.blocks, replayed_records = found.records,
        replayed_rows = found.rows, "opened the store"
    );
    Ok(engine)
}

async fn bind(setting: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("failed to listen on `{setting}` = {address}"))
}

/// Says where the doors are, for people and for scripts that chose port 0.
fn announce(doors: &Doors) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening http {}", doors.http.local_addr()?)?;
    writeln!(out, "listening otlp-grpc {}", doors.otlp_grpc.local_addr()?)?;
    writeln!(out, "listening otlp-http {}", doors.otlp_http.local_addr()?)?;
    out.flush()?;
    tracing::info!("the UI is at http://{}", doors.http.local_addr()?);
    Ok(())
}

fn host(doors: &Doors, collector: &Collector, demo: &Arc<Demo>, kafka: &KafkaReceiver) -> Result<Host> {
    let (last, switch, door, kafka) = (collector.clone(), Arc::clone(demo), collector.clone(), kafka.clone());
    let (report, read) = (kafka.clone(), kafka.clone());
    let [front, series, targets, pools, rules, troubled, measured] = [(); 7].map(|()| collector.clone());
    Ok(Host {
        version: env!("CARGO_PKG_VERSION").into(),
        otlp_grpc_endpoint: format!("http://{}", doors.otlp_grpc.local_addr()?),
        otlp_http_endpoint: format!("http://{}", doors.otlp_http.local_addr()?),
        last_received: Box::new(move |tenant| {
            last.last_received(tenant).map(|last| query_api::status::LastReceived {
                time_unix_nano: last.at,
                signal: last.signal.as_str().into(),
                service: last.service,
            })
        }),
        active_series: Box::new(move |tenant| Some(series.active_series(tenant))),
        doors: collector::describe_doors(),
        targets: Box::new(move |tenant| targets.describe_targets(tenant)),
        scrape_trouble: Box::new(move |tenant| troubled.scrape_trouble(tenant)),
        scrape_pool: Box::new(move |tenant, job| pools.describe_scrape_pool(tenant, job)),
        relabel_steps: Box::new(move |tenant, job, labels| rules.relabel_steps(tenant, job, labels)),
        metrics: vec![Box::new(move |out| measured.render_metrics(out)), Box::new(move |out| read.render_metrics(out))],
        kafka: Box::new(move |tenant| kafka_status(tenant, report.report(), front.front())),
        demo: Box::new(move |action| Ok(switch.act(action))),
        replay: Box::new(move |letter| {
            let (kafka, door) = (kafka.clone(), door.clone());
            let Replay { id, topic, partition, offsets, signal, encoding, tenant, time, sent, payload, turn } = letter;
            let letter = Letter { id, topic, partition, offsets, signal, encoding, tenant, time, sent, payload, turn };
            Box::pin(async move {
                let Accepted { accepted, rejected, message, .. } = kafka.replay(&door, letter).await?;
                Ok(Replayed { accepted, rejected, message })
            })
        }),
    })
}

fn kafka_status(tenant: &TenantId, report: Option<KafkaReport>, front: Option<FrontReport>) -> Option<KafkaStatus> {
    report.as_ref().map(drop).or_else(|| front.as_ref().map(drop))?;
    let report = report.unwrap_or_default();
    let partition = |((topic, partition), told): ((String, i32), PartitionReport)| KafkaPartition {
        topic,
        partition: u64::try_from(partition).unwrap_or_default(),
        ours: told.ours,
        position: told.position,
        committed: told.committed,
        lag: told.lag(),
        messages: told.messages,
        rows: told.rows,
        dead_letters: told.dead_letters,
        lost: told.lost,
        unreadable: told.unreadable,
        tombstones: told.tombstones,
        stuck: told.stuck,
    };
    let sent = |FrontTopicReport { topic, messages, bytes, unconfirmed }| KafkaFrontTopic {
        topic,
        messages,
        bytes,
        unconfirmed,
    };
    let left_out = |(topic, reason, records, said)| KafkaLeftOut { topic, reason, records, said };
    Some(KafkaStatus {
        left_out: report.left_out_of(tenant).map(left_out).collect(),
        paused: report.paused,
        trouble: report.trouble,
        rebalances: report.rebalances,
        partitions: report.partitions.into_iter().map(partition).collect(),
        front: front.map(|FrontReport { trouble, in_flight, topics }| query_api::status::KafkaFront {
            trouble,
            in_flight,
            topics: topics.into_iter().map(sent).collect(),
        }),
    })
}

/// What is made of stored telemetry comes in by the collector, like anything else.
fn own_doors(collector: &Collector) -> OwnDoors {
    let door = |encoding| {
        let door = collector.clone();
        Door::new(move |tenant, body| door.clone().store_metrics(tenant, encoding, body))
    };
    OwnDoors { json: door(Encoding::Json), remote_write: door(Encoding::RemoteWrite(Version::Two)) }
}

fn router(state: Arc<QueryState>, engine: &Arc<Engine>, collector: &Collector) -> Router {
    let (readied, measured, doors) = (Arc::clone(engine), Arc::clone(&state), collector.prometheus_router());
    // Doors open only after the store was opened and replayed, so who is reached is ready. A store that refuses writes stays so:
    // its answers are whole, its doors tell senders to come back, and unready would take both away.
    // The same holds of a front whose cluster is away.
    let fronted = collector.clone();
    let ready = move || std::future::ready(readied.readiness() + &fronted.readiness());
    let scraped = move || {
        let mut text = String::new();
        measured.render_metrics(&mut text);
        async move { ([("content-type", "text/plain; version=0.0.4; charset=utf-8")], text) }
    };
    query::http::router(state)
        .merge(doors)
        .route("/healthz", get(async || "ok\n"))
        .route("/ready", get(ready))
        .route("/metrics", get(scraped))
        .fallback(assets::serve)
}

/// What asks the process to end: SIGTERM and ctrl-c, from the moment this is made.
struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl EndSignals {
    fn watch() -> Result<EndSignals> {
        let watch = |kind| signal(kind).context("failed to watch for signals");
        Ok(EndSignals { terminate: watch(SignalKind::terminate())?, interrupt: watch(SignalKind::interrupt())? })
    }

    async fn received(&mut self) -> Result<()> {
        let received = tokio::select! {
            received = self.terminate.recv() => received,
            received = self.interrupt.recv() => received,
        };
        received.context("signals cannot be received any more")
    }
}
