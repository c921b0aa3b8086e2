//! How does a request that has been read become an acknowledged batch? The part that HTTP, gRPC and the process
//! itself share.

use crate::admission::{Admission, KNOWN_AFTER, LeftOut, Ticket, WINDOW};
use crate::config::CollectorConfig;
use crate::decode::cut::{self, Mould};
use crate::decode::exposition::{Imported, LastExemplars};
use crate::decode::remote::known::{Known, Memory};
use crate::decode::remote::{self, Written};
use crate::decode::text::{self, TextFormat};
use crate::decode::{self, Decoded, identity, json};
use crate::error::Refusal;
use crate::receiver::compression::{self, Compression};
use crate::receiver::kafka::{FrontReport, KafkaFront};
use crate::scrape::ListedTargets;
use crate::telemetry::{CollectorMetrics, LastReceived, Tally};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use storage::engine::{Engine, Write};
use storage::fs::Clock;
use storage::model::{Batch, Signal, TenantId};
use storage::scan::TimeRange;
use xxhash_rust::xxh3::xxh3_64;

/// Where accepted batches go. Resolves when they are durable and visible.
pub type Sink = Arc<dyn Fn(Write) -> BoxFuture<'static, storage::error::Result<()>> + Send + Sync>;

/// The sink that is the store.
pub fn engine_sink(engine: Arc<Engine>) -> Sink {
    Arc::new(move |write| {
        let engine = engine.clone();
        Box::pin(async move { engine.append(write).await })
    })
}

/// Bodies up to this size are decoded where they arrive: handing over to another thread costs more.
const INLINE_BYTES: usize = 128 << 10;
/// The same for compressed ones, which may grow a thousandfold.
const INLINE_COMPRESSED_BYTES: usize = 16 << 10;
/// Memory of a row beside its message: fixed columns, offsets, dictionary keys, doubled as builders grow.
const ROW_BYTES: usize = 192;
/// Memory of a part of a row that is larger in memory than in its message, such as an empty event, doubled as what holds it grows; messages below
/// some bytes are not looked through for them.
const PART_BYTES: usize = 48;
const LARGE_BYTES: usize = 1 << 20;
/// Longest message to a sender, in bytes; it may quote what was sent.
const MAX_MESSAGE_BYTES: usize = 4 << 10;

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// OTLP's protobuf messages.
    Protobuf,
    /// OTLP/JSON.
    Json,
    /// Prometheus's remote write: metrics only.
    RemoteWrite(remote::Version),
    /// A text of metrics; without a format it is OpenMetrics where it ends so. Stored whole or refused.
    Text(Option<TextFormat>),
    /// What a scrape found, as remote write 2. Stored whole or refused.
    Scraped {
        /// So many rows at its end are what it tells of itself, for which there is always room.
        reported: usize,
    },
}

/// What became of a request that was accepted, at least in parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Records that are stored now.
    pub accepted: u64,
    /// Records that were left out. The sender must not send them again.
    pub rejected: u64,
    /// Why the first of them was, in English.
    pub message: Option<String>,
    /// What of a remote write is stored now.
    pub written: Written,
}

/// The collector. Cheap to clone.
#[derive(Clone)]
pub struct Collector {
    shared: Arc<Shared>,
    sink: Sink,
    /// Takes what comes instead of the sink, if set.
    front: Option<KafkaFront>,
}

pub(crate) struct Shared {
    pub(crate) config: CollectorConfig,
    pub(crate) admission: Admission,
    metrics: CollectorMetrics,
    targets: ListedTargets,
    known: Memory,
    imported: Imported,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

/// A request whose body has been read.
pub(crate) struct Incoming {
    pub(crate) tenant: TenantId,
    pub(crate) signal: Signal,
    pub(crate) encoding: Encoding,
    pub(crate) compression: Compression,
    pub(crate) body: Bytes,
    pub(crate) ticket: Ticket,
}

/// A decoded request.
struct Prepared {
    handover: Handover,
    received_at: i64,
    ticket: Ticket,
    accepted: Accepted,
    service: Option<String>,
    tally: Tally,
    told: LastExemplars,
}

/// How a request goes on.
enum Handover {
    Store(Write),
    /// Partitions and messages.
    Kafka(KafkaFront, Vec<(u32, Vec<u8>)>),
    /// There is nothing to keep.
    Nothing,
}

impl Handover {
    /// Resolves when the request is durable.
    async fn keep(self, tenant: &TenantId, signal: Signal, received_at: i64, sink: &Sink) -> Result<(), Refusal> {
        match self {
            Handover::Nothing => Ok(()),
            Handover::Kafka(front, messages) => front.send(tenant, signal, received_at, messages).await,
            Handover::Store(write) => {
                let stored = sink(write).await;
                stored.inspect_err(|error| tracing::warn!(%tenant, %signal, %error, "the store refused a write"))?;
                Ok(())
            }
        }
    }
}

impl Collector {
    /// Makes a collector; it listens nowhere yet.
    pub fn new(config: CollectorConfig, sink: Sink, clock: Arc<dyn Clock>) -> Self {
        let admission = Admission::new(&config);
        let (metrics, targets, known) = (CollectorMetrics::default(), ListedTargets::default(), Memory::default());
        let imported = Imported::default();
        let shared = Shared { config, admission, metrics, targets, known, imported, clock };
        Collector { shared: Arc::new(shared), sink, front: None }
    }

    /// The same collector, with what it takes going to Kafka instead of the store, if there is a front.
    #[must_use]
    pub fn in_front(self, front: Option<KafkaFront>) -> Self {
        Collector { front, ..self }
    }

    /// The same collector, with what it takes going there, whatever stands before the store.
    pub(crate) fn into_sink(self, sink: Sink) -> Self {
        Collector { sink, front: None, ..self }
    }

    /// Takes all of a message of metrics that the process itself made, or says why not.
    pub async fn store_metrics(self, tenant: TenantId, encoding: Encoding, body: Bytes) -> Result<(), String> {
        let stored = self.accept(&tenant, Signal::Metrics, encoding, body).await;
        let Accepted { rejected, message, .. } = stored.map_err(|refusal| refusal.to_string())?;
        if rejected == 0 { Ok(()) } else { Err(message.unwrap_or_default()) }
    }

    /// Takes a request from within the process: the same way as from a door, without compression.
    pub async fn accept(
        &self,
        tenant: &TenantId,
        signal: Signal,
        encoding: Encoding,
        body: Bytes,
    ) -> Result<Accepted, Refusal> {
        let enter = || {
            let limit = self.config().max_request_bytes;
            if body.len() > limit {
                return Err(Refusal::TooLarge { limit });
            }
            let mut ticket = self.enter(tenant)?;
            ticket.reserve(body.len())?;
            Ok(ticket)
        };
        let ticket = enter().inspect_err(|refusal| self.metrics().refuse(signal, refusal))?;
        let compression = Compression::None;
        self.process(Incoming { tenant: tenant.clone(), signal, encoding, compression, body, ticket }).await
    }

    /// The counters.
    pub fn metrics(&self) -> &CollectorMetrics {
        &self.shared.metrics
    }

    /// Appends the counters, and what is bounded beside its limit, in Prometheus' text format.
    pub fn render_metrics(&self, out: &mut String) {
        self.metrics().render(out);
        let (now, peak) = self.bytes_in_flight();
        let (tenants, most_tenants) = self.shared.admission.tenants();
        let (series, most_series, series_left_out) = self.shared.admission.series();
        for (name, help, value) in [
            ("bytes_in_flight", "Bytes of memory reserved for requests at the doors.", now),
            ("bytes_in_flight_peak", "The most that ever were.", peak),
            (
                "bytes_in_flight_limit",
                "Bytes that may be; further requests are refused.",
                self.config().max_bytes_in_flight,
            ),
            ("tenants", "Tenants with an account of their own for memory and rate.", tenants),
            ("tenants_limit", "Such tenants at most; further ones share one.", most_tenants),
            ("active_series", "Series of metrics that came within half an hour to an hour.", series),
            ("active_series_limit", "Such series of all tenants at most; further ones are left out.", most_series),
        ] {
            let name = format!("spanlight_collector_{name}");
            out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"));
        }
        let (name, help) =
            ("spanlight_collector_series_left_out_total", "Data points of series past a tenant's limit.");
        out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} counter\n{name} {series_left_out}\n"));
        if let Some(front) = self.front() {
            front.render(out);
        }
    }

    /// Takes the series of which a store has samples of the last half hour for active, before the doors open: who comes first after a
    /// start must not take the room of those that were there. Where the store cannot tell, fewer are.
    pub async fn remember(&self, store: Arc<Engine>) {
        let known = self.clone();
        let remembering = tokio::task::spawn_blocking(move || known.remember_all(&store)).await;
        if let Ok(Err(error)) = remembering {
            tracing::warn!(%error, "failed to find out which series were active before the start");
        }
    }

    /// Leaves out of rows that came by Kafka those of series that are one too many for their tenant, if there are some.
    pub(crate) fn limit_read(&self, tenant: &TenantId, batch: &mut Batch) -> Option<LeftOut> {
        let admission = &self.shared.admission;
        let left_out =
            admission.admit_series(&admission.account(tenant), tenant, (batch, 0), self.shared.clock.monotonic())?;
        *batch = identity::rest(batch, &left_out.rows)?;
        Some(left_out)
    }

    /// Counts points that were left out of what came by Kafka, once the rest is stored.
    pub(crate) fn left_out_of_read(&self, points: usize) {
        self.shared.admission.left_out(points);
    }

    fn remember_all(&self, store: &Engine) -> storage::error::Result<()> {
        let now = self.shared.clock.monotonic();
        let before = |time: Duration| {
            let time = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
            self.shared.clock.now_unix_nano().saturating_sub(time)
        };
        let (since, long_ago) = (before(WINDOW), before(KNOWN_AFTER));
        let lately = TimeRange { start: since, end: i64::MAX };
        for tenant in store.tenants() {
            let snapshot = store.snapshot(&tenant);
            if snapshot.first_metric_time().is_some_and(|first| first < long_ago) {
                self.shared.admission.know(&tenant);
            }
            snapshot.each_series(&[], lately, |series, facts| {
                facts.last_time < since || self.shared.admission.remember(&tenant, series, now)
            })?;
        }
        Ok(())
    }

    /// How many series of a tenant came within half an hour to an hour, and how many may.
    pub fn active_series(&self, tenant: &TenantId) -> (u64, u64) {
        let (count, limit) = self.shared.admission.series_of(tenant, self.shared.clock.monotonic());
        (count as u64, limit as u64)
    }

    /// What is scraped for a tenant, in the words of Prometheus's API: `activeTargets`, `droppedTargets`, `droppedTargetCounts`, `metadata`
    /// and `config`; `loading` says whether the file of jobs could be used the last time, and since when it is.
    pub fn describe_targets(&self, tenant: &TenantId) -> serde_json::Value {
        let targets = &self.shared.targets;
        // What is scraped is the default tenant's.
        if *tenant != TenantId::default() {
            return serde_json::Value::Null;
        }
        let mut told = targets.described();
        told["metadata"] = targets.metadata();
        told["config"] = targets.config().into();
        told["loading"] = targets.loading();
        told
    }

    /// Why the file of jobs cannot be used as it is now; what is scraped is the default tenant's.
    pub fn scrape_trouble(&self, tenant: &TenantId) -> Option<String> {
        self.shared.targets.trouble().filter(|_| *tenant == TenantId::default())
    }

    /// A tenant's job of scraping as YAML, without its secrets; `None` where there is none of that name.
    pub fn describe_scrape_pool(&self, tenant: &TenantId, job: &str) -> Option<String> {
        self.shared.targets.pool(job).filter(|_| *tenant == TenantId::default()).map(|pool| pool.yaml.clone())
    }

    /// What the rules for targets of a tenant's job make of labels, as steps of Prometheus's API; `None` where there is no such job.
    pub fn relabel_steps(
        &self,
        tenant: &TenantId,
        job: &str,
        labels: BTreeMap<String, String>,
    ) -> Option<serde_json::Value> {
        self.shared.targets.pool(job).filter(|_| *tenant == TenantId::default()).map(|pool| pool.relabel_steps(labels))
    }

    pub(crate) fn listed_targets(&self) -> &ListedTargets {
        &self.shared.targets
    }

    /// For `/ready`: what is amiss, a line each. Asks nobody.
    pub fn readiness(&self) -> String {
        let trouble = self.front().and_then(|front| front.trouble);
        trouble.map_or_else(String::new, |what| format!("kafka does not take what the doors receive: {what}\n"))
    }

    /// How it goes with what is given to Kafka; `None` where the doors give it to the store.
    pub fn front(&self) -> Option<FrontReport> {
        self.front.as_ref().map(KafkaFront::report)
    }

    /// Bytes of memory reserved for requests now, and the most that ever were.
    pub fn bytes_in_flight(&self) -> (usize, usize) {
        self.shared.admission.bytes_in_flight()
    }

    /// What came last from a tenant, if anything has since the start.
    pub fn last_received(&self, tenant: &TenantId) -> Option<LastReceived> {
        self.shared.admission.last_received(tenant)
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.shared.clock)
    }

    pub(crate) fn config(&self) -> &CollectorConfig {
        &self.shared.config
    }

    /// Lets a request in before its body is read.
    pub(crate) fn enter(&self, tenant: &TenantId) -> Result<Ticket, Refusal> {
        self.shared.admission.enter(tenant, self.shared.clock.monotonic())
    }

    /// Decodes and stores a request.
    pub(crate) async fn process(&self, incoming: Incoming) -> Result<Accepted, Refusal> {
        let signal = incoming.signal;
        let outcome = self.decode_and_store(incoming).await;
        outcome.inspect_err(|refusal| {
            tracing::debug!(%signal, reason = refusal.reason(), %refusal, "request refused");
            self.shared.metrics.refuse(signal, refusal);
        })
    }

    async fn decode_and_store(&self, incoming: Incoming) -> Result<Accepted, Refusal> {
        let (tenant, signal) = (incoming.tenant.clone(), incoming.signal);
        // Kafka takes OTLP; what comes otherwise goes to the store of this process.
        let front = match &self.front {
            Some(front) if matches!(incoming.encoding, Encoding::Protobuf | Encoding::Json) => {
                Some((front.clone(), front.mould(signal).await?))
            }
            _ => None,
        };
        let inline = if incoming.compression == Compression::None { INLINE_BYTES } else { INLINE_COMPRESSED_BYTES };
        let prepared = if incoming.body.len() <= inline {
            self.shared.prepare(incoming, front)?
        } else {
            let shared = self.shared.clone();
            let decoding = tokio::task::spawn_blocking(move || shared.prepare(incoming, front));
            decoding.await.map_err(|_| Refusal::Internal { what: "decoding ended early" })??
        };
        let Prepared { handover, received_at, ticket, accepted, service, tally, told } = prepared;
        if !matches!(handover, Handover::Nothing) {
            let sink = Arc::clone(&self.sink);
            // A task of its own goes on when the client leaves, and so does the reservation.
            let kept = tokio::spawn(async move {
                let kept = handover.keep(&tenant, signal, received_at, &sink).await;
                ticket.account().set_last(LastReceived {
                    at: received_at,
                    signal,
                    service: service.unwrap_or_default(),
                });
                kept
            });
            kept.await.map_err(|_| Refusal::Internal { what: "writing ended early" })??;
        }
        self.shared.imported.remember(told);
        self.shared.metrics.add(signal, tally);
        Ok(accepted)
    }
}

impl Shared {
    /// Decompresses and decodes, within the limits. May take long.
    fn prepare(&self, incoming: Incoming, front: Option<(KafkaFront, Mould)>) -> Result<Prepared, Refusal> {
        let Incoming { tenant, signal, encoding, compression, body, mut ticket } = incoming;
        let (started, wire_bytes) = (self.clock.monotonic(), body.len());
        let message = match compression {
            Compression::None => body.clone(),
            _ => compression::decompress(compression, &body, self.config.max_request_bytes, &mut ticket)?.into(),
        };
        let bytes = message.len();
        self.admission.charge(&ticket, &tenant, bytes, self.clock.monotonic())?;
        let received_at = self.clock.now_unix_nano();
        let mut told = LastExemplars::default();
        let (mut decoded, mut payload) = match encoding {
            Encoding::Text(format) => {
                let whose = xxh3_64(tenant.as_str().as_bytes());
                let read = self.text((format, whose), received_at, &message, &mut ticket)?;
                told = read.1;
                read.0
            }
            Encoding::Scraped { .. } => self.whole(received_at, &message, &mut ticket)?,
            Encoding::RemoteWrite(version) => {
                ticket.reserve(wire_bytes)?;
                let decoded = self.remote_write(version, received_at, &message, &mut ticket)?;
                // The log keeps the smaller form where replay can unpack it.
                let (is_snappy, kept) =
                    if compression == Compression::Snappy { (true, &body) } else { (false, &message) };
                (decoded, remote::record(version, is_snappy, kept).into())
            }
            Encoding::Protobuf | Encoding::Json => {
                drop(body);
                if compression != Compression::None {
                    ticket.release(wire_bytes);
                }
                self.otlp(signal, encoding, received_at, message, &mut ticket)?
            }
        };
        if front.is_none() {
            let own = if let Encoding::Scraped { reported } = encoding { reported } else { 0 };
            let rows = decoded.batch.num_rows();
            self.limit_series(&tenant, (&mut decoded, own), &mut payload, &mut ticket)?;
            if decoded.batch.num_rows() < rows {
                // Some of them may have been left out.
                told = LastExemplars::default();
            }
        }
        let mut accepted = Accepted {
            accepted: decoded.batch.num_rows() as u64,
            rejected: decoded.rejected,
            message: decoded.message.take().map(shorten),
            written: std::mem::take(&mut decoded.written),
        };
        let (service, warnings) = (decoded.service.take(), decoded.warnings);
        let handover = match front {
            _ if decoded.batch.num_rows() == 0 => Handover::Nothing,
            None => Handover::Store(Write { tenant, signal, received_at, payload, batch: decoded.batch }),
            Some((front, mould)) => {
                drop(decoded.batch);
                ticket.release(columns_bytes(signal, &payload, &self.config.decode));
                let mut reserve = |bytes| ticket.reserve(bytes);
                let cut = cut::cut(signal, &payload, &decoded.left_out, mould, &mut reserve)?;
                accepted.leave_out_large(&cut, mould);
                ticket.release(payload.len());
                drop(payload);
                if cut.messages.is_empty() { Handover::Nothing } else { Handover::Kafka(front, cut.messages) }
            }
        };
        let tally = Tally {
            accepted: accepted.accepted,
            rejected: accepted.rejected,
            warnings,
            bytes,
            wire_bytes,
            decode: self.clock.monotonic().saturating_sub(started),
        };
        Ok(Prepared { handover, received_at, ticket, accepted, service, tally, told })
    }

    /// Decodes a message of OTLP, and gives its protobuf form, which the log keeps.
    fn otlp(
        &self,
        signal: Signal,
        encoding: Encoding,
        received_at: i64,
        message: Bytes,
        ticket: &mut Ticket,
    ) -> Result<(Decoded, Bytes), Refusal> {
        let bytes = message.len();
        let (payload, json_warnings) = if encoding == Encoding::Json {
            ticket.reserve(bytes)?;
            let json::Transcoded { protobuf, warnings } =
                json::to_protobuf(signal, &message, self.config.max_request_bytes)?;
            drop(message);
            ticket.release((2 * bytes).saturating_sub(protobuf.capacity()));
            (protobuf.into(), warnings)
        } else {
            (message, 0)
        };
        ticket.reserve(columns_bytes(signal, &payload, &self.config.decode))?;
        let mut decoded = decode::decode(signal, received_at, &payload, &self.config.decode)?;
        decoded.warnings += json_warnings;
        Ok((decoded, payload))
    }

    /// Decodes a text of metrics, and gives the message of remote write that says the same, for the log.
    fn text(
        &self,
        (format, whose): (Option<TextFormat>, u64),
        received_at: i64,
        text: &[u8],
        ticket: &mut Ticket,
    ) -> Result<((Decoded, Bytes), LastExemplars), Refusal> {
        ticket.reserve(text::weight(text))?;
        let format = format.unwrap_or_else(|| TextFormat::detect(text));
        let time = received_at.div_euclid(1_000_000);
        let (message, told) = text::to_remote_write(format, text, time, (&self.imported, whose))?;
        Ok((self.whole(received_at, &message, ticket)?, told))
    }

    /// Decodes a message of remote write 2 of which nothing may be left out, and gives the log's form of it.
    fn whole(&self, received_at: i64, message: &[u8], ticket: &mut Ticket) -> Result<(Decoded, Bytes), Refusal> {
        let decoded = self.remote_write(remote::Version::Two, received_at, message, ticket)?;
        if decoded.rejected > 0 {
            return Err(Refusal::Malformed { what: decoded.message.unwrap_or_default() });
        }
        ticket.reserve(message.len())?;
        let packed = remote::snappy::pack(message);
        let record = remote::record(remote::Version::Two, packed.is_some(), packed.as_deref().unwrap_or(message));
        Ok((decoded, record.into()))
    }

    /// Leaves out the points of series that are one too many for their tenant, but for so many rows at the end.
    fn limit_series(
        &self,
        tenant: &TenantId,
        (decoded, own): (&mut Decoded, usize),
        payload: &mut Bytes,
        ticket: &mut Ticket,
    ) -> Result<(), Refusal> {
        let now = self.clock.monotonic();
        let left_out = self.admission.admit_series(ticket.account(), tenant, (&decoded.batch, own), now);
        let Some(left_out) = left_out else { return Ok(()) };
        self.admission.left_out(left_out.rows.len());
        let is_remote_write = decoded.written != Written::default();
        ticket.reserve(payload.len())?;
        *payload = identity::record(&left_out.rows, payload).into();
        let unfit = Refusal::Internal { what: "rows cannot be left out" };
        identity::leave_out(decoded, &left_out.rows).ok_or(unfit)?;
        if is_remote_write {
            decoded.written = identity::written(&decoded.batch);
        }
        decoded.message = Some(match decoded.message.take() {
            Some(first) => format!("{}; {first}", left_out.message),
            None => left_out.message,
        });
        Ok(())
    }

    /// Decodes a message of remote write.
    fn remote_write(
        &self,
        version: remote::Version,
        received_at: i64,
        message: &[u8],
        ticket: &mut Ticket,
    ) -> Result<Decoded, Refusal> {
        remote::check_symbols(version, message).map_err(|what| Refusal::Malformed { what })?;
        ticket.reserve(remote::table_bytes(version, message))?;
        let measured = remote::measure(version, message);
        let rows = measured.rows.min(self.config.decode.records);
        ticket.reserve(measured.bytes.saturating_add(rows.saturating_mul(ROW_BYTES)))?;
        let decode =
            |known: &mut Known| remote::decode_known(version, received_at, message, &self.config.decode, known);
        Ok(self.known.with(decode)?)
    }
}

impl Accepted {
    /// Counts records that fit into no message of Kafka as rejected.
    fn leave_out_large(&mut self, cut: &cut::Cut, mould: Mould) {
        let Some(bytes) = cut.first_too_large else { return };
        self.accepted = self.accepted.saturating_sub(cut.too_large);
        self.rejected += cut.too_large;
        let limit = mould.bytes;
        self.message.get_or_insert_with(|| {
            format!(
                "a record takes {bytes} bytes with its resource, and a message of Kafka has at most {limit}; send it \
                 smaller, or raise `message.max.bytes` of `kafka.librdkafka`"
            )
        });
    }
}

/// Memory of the columns of a message of OTLP: they hold what it holds, and a fixed part for each row.
pub(crate) fn columns_bytes(signal: Signal, payload: &[u8], limits: &decode::DecodeLimits) -> usize {
    let rows = decode::count_records(signal, payload).min(limits.records);
    // What is small as a whole stays so.
    let parts = if payload.len() < LARGE_BYTES { 0 } else { decode::count_small_parts(signal, payload) };
    payload.len().saturating_add(rows.saturating_mul(ROW_BYTES)).saturating_add(parts.saturating_mul(PART_BYTES))
}

/// Cuts a message to [`MAX_MESSAGE_BYTES`].
pub(crate) fn shorten(mut message: String) -> String {
    if message.len() > MAX_MESSAGE_BYTES {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES - '…'.len_utf8()));
        message.push('…');
    }
    message
}
