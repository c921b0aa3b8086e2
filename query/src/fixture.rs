//! For tests: a real engine on a simulated disk, with spans, logs and points put in by the model's own builders.

use crate::config::Config;
use crate::error::Result;
use crate::exec::{Control, Executor, QueryContext};
use std::sync::Arc;
use std::time::Duration;
use storage::engine::{Engine, EngineConfig, Store, Write};
use storage::fs::{SimulatedClock, SimulatedDisk};
use storage::model::attribute::{Map, MapBuilder, Value};
use storage::model::origin::{Resource, Scope};
use storage::model::{
    Batch, LogBatchBuilder, LogRecord, MetricHead, Point, PointBatchBuilder, PointData, Signal, Span, SpanBatchBuilder,
    SpanId, TenantId, TraceId,
};
use storage::retention::RetentionConfig;

/// 2026-11-23T06:00:00Z.
pub(crate) const NOW: i64 = 1_795_413_600_000_000_000;
pub(crate) const SECOND: i64 = 1_000_000_000;

/// An engine and what runs queries on it.
pub(crate) struct Fixture {
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: Arc<SimulatedClock>,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::on(Arc::new(SimulatedDisk::new(1)), Arc::new(SimulatedClock::at(NOW)))
    }

    fn on(disk: Arc<SimulatedDisk>, clock: Arc<SimulatedClock>) -> Self {
        let engine = Engine::open(EngineConfig::new("/data"), disk, clock.clone(), Box::new(decode)).unwrap();
        Fixture { engine, clock }
    }

    /// With batches of which each became a block, and the blocks one.
    pub(crate) fn merged(batches: Vec<Batch>) -> Self {
        let (disk, clock) = (Arc::new(SimulatedDisk::new(1)), Arc::new(SimulatedClock::at(NOW)));
        let mut config = EngineConfig::new("/data");
        config.compaction.fan_in = 2;
        let store = Store::open(config, disk.clone(), clock.clone(), &decode).unwrap();
        let written = batches.len();
        for batch in batches {
            let (tenant, signal, payload) =
                (TenantId::default(), batch.signal(), b"bytes of a request".as_slice().into());
            store.commit(&[Write { tenant, signal, received_at: NOW, payload, batch }]).unwrap();
            store.seal().unwrap();
            while store.flush_is_due() {
                store.flush().unwrap();
            }
        }
        let mut merges = 0;
        while store.compact(&mut |_| Ok(())).unwrap() {
            merges += 1;
        }
        assert!(merges > 0 || written < 2, "{written} blocks were not merged");
        drop(store);
        Self::on(disk, clock)
    }

    /// With batches that came at a time; then time passed, in steps between which the store did what was due.
    pub(crate) fn aged(batches: Vec<Batch>, at: i64, retention: &RetentionConfig, steps: &[Duration]) -> Self {
        let (disk, clock) = (Arc::new(SimulatedDisk::new(1)), Arc::new(SimulatedClock::at(at)));
        let config = EngineConfig { retention: retention.clone(), ..EngineConfig::new("/data") };
        config.check().unwrap();
        let store = Store::open(config, disk.clone(), clock.clone(), &decode).unwrap();
        for batch in batches {
            let (tenant, signal, payload) =
                (TenantId::default(), batch.signal(), b"bytes of a request".as_slice().into());
            store.commit(&[Write { tenant, signal, received_at: at, payload, batch }]).unwrap();
        }
        store.seal().unwrap();
        while store.flush_is_due() {
            store.flush().unwrap();
        }
        for step in steps {
            clock.advance(*step);
            while store.compact(&mut |_| Ok(())).unwrap() {}
            store.retain().unwrap();
        }
        drop(store);
        Self::on(disk, clock)
    }

    pub(crate) async fn put(&self, batch: Batch) {
        self.put_as(TenantId::default(), batch).await;
    }

    pub(crate) async fn put_as(&self, tenant: TenantId, batch: Batch) {
        let payload = b"bytes of a request".as_slice().into();
        self.engine.append(Write { tenant, signal: batch.signal(), received_at: NOW, payload, batch }).await.unwrap();
    }

    pub(crate) async fn flush(&self) {
        self.engine.flush().await.unwrap();
    }

    pub(crate) fn executor(&self, config: Config) -> Executor {
        Executor::new(config, self.engine.clone()).unwrap()
    }

    /// Runs one query with the default limits.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Control) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.executor(Config::default()).run(context(), job).await
    }
}

fn decode(_: Signal, _: i64, _: &[u8]) -> std::result::Result<Batch, String> {
    Err("nothing is replayed here".to_owned())
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.engine.close().unwrap();
    }
}

pub(crate) fn context() -> QueryContext {
    QueryContext { tenant: TenantId::default(), timeout: Duration::from_secs(60) }
}

/// Waits for a future on a runtime of its own; for property tests.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(crate) fn trace(number: u8) -> TraceId {
    TraceId([number.max(1); 16])
}

pub(crate) fn span_id(number: u64) -> SpanId {
    SpanId(number.max(1).to_be_bytes())
}

/// Attributes from texts.
pub(crate) fn text_map(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = MapBuilder::default();
    entries.iter().for_each(|(key, value)| builder.push(key, Value::String(value)));
    builder.finish()
}

/// A span, short.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TestSpan {
    pub(crate) trace: u8,
    pub(crate) id: u64,
    pub(crate) parent: Option<u64>,
    pub(crate) service: &'static str,
    pub(crate) instance: &'static str,
    pub(crate) version: &'static str,
    pub(crate) name: &'static str,
    pub(crate) kind: i32,
    pub(crate) start: i64,
    pub(crate) duration: i64,
    pub(crate) status: i32,
    pub(crate) trace_state: &'static str,
    pub(crate) attributes: Vec<(&'static str, &'static str)>,
}

impl Default for TestSpan {
    fn default() -> Self {
        TestSpan {
            trace: 1,
            id: 1,
            parent: None,
            service: "shop",
            instance: "a",
            version: "1",
            name: "GET /",
            kind: 2,
            start: NOW - SECOND,
            duration: 1_000_000,
            status: 0,
            trace_state: "",
            attributes: Vec::new(),
        }
    }
}

pub(crate) fn spans(list: &[TestSpan]) -> Batch {
    let mut builder = SpanBatchBuilder::default();
    for span in list {
        let named = [("service.name", span.service)];
        let rest = [("service.instance.id", span.instance), ("service.version", span.version)];
        // A service that is `-` is not told at all.
        let named = named.into_iter().filter(|(_, name)| *name != "-");
        let resource = text_map(&named.chain(rest).collect::<Vec<_>>());
        builder.set_resource(&Resource { attributes: Map::new(&resource), ..Resource::default() });
        builder.set_scope(&Scope { name: "test", ..Scope::default() });
        let attributes = text_map(&span.attributes);
        builder
            .append(&Span {
                parent_span_id: span.parent.map(span_id),
                name: span.name,
                kind: span.kind,
                start: span.start,
                duration: span.duration,
                status_code: span.status,
                trace_state: span.trace_state,
                attributes: Map::new(&attributes),
                ..Span::new(trace(span.trace), span_id(span.id))
            })
            .unwrap();
    }
    builder.finish().unwrap()
}

/// A log record, short.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TestLog {
    pub(crate) time: i64,
    pub(crate) severity: i32,
    pub(crate) body: String,
    pub(crate) event: &'static str,
    pub(crate) service: &'static str,
    pub(crate) trace: Option<u8>,
    pub(crate) attributes: Vec<(&'static str, &'static str)>,
}

impl Default for TestLog {
    fn default() -> Self {
        TestLog {
            time: NOW - SECOND,
            severity: 9,
            body: "hello".into(),
            event: "",
            service: "shop",
            trace: None,
            attributes: Vec::new(),
        }
    }
}

pub(crate) fn logs(list: &[TestLog]) -> Batch {
    let mut builder = LogBatchBuilder::default();
    for log in list {
        let resource = text_map(&[("service.name", log.service)]);
        builder.set_resource(&Resource { attributes: Map::new(&resource), ..Resource::default() });
        builder.set_scope(&Scope { name: "logger", version: "2", ..Scope::default() });
        let attributes = text_map(&log.attributes);
        let mut body = Vec::new();
        storage::model::attribute::put_value(&mut body, Value::String(&log.body));
        builder
            .append(&LogRecord {
                time: log.time,
                observed_time: Some(log.time + 1),
                severity_number: log.severity,
                body: &body,
                event_name: log.event,
                trace_id: log.trace.map(trace),
                span_id: log.trace.map(|_| span_id(1)),
                flags: 1,
                attributes: Map::new(&attributes),
                ..LogRecord::default()
            })
            .unwrap();
    }
    builder.finish().unwrap()
}

/// A metric point, short.
#[derive(Debug, Clone)]
pub(crate) struct TestPoint {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) description: &'static str,
    pub(crate) service: &'static str,
    pub(crate) instance: &'static str,
    pub(crate) attributes: Vec<(&'static str, &'static str)>,
    pub(crate) temporality: i32,
    pub(crate) time: i64,
    /// A minute before `time` unless given.
    pub(crate) start: Option<i64>,
    pub(crate) exemplars: Vec<u8>,
    pub(crate) data: PointData<'static>,
}

impl Default for TestPoint {
    fn default() -> Self {
        TestPoint {
            name: "requests",
            unit: "1",
            description: "counts",
            service: "shop",
            instance: "a",
            attributes: Vec::new(),
            temporality: 2,
            time: NOW - SECOND,
            start: None,
            exemplars: Vec::new(),
            data: PointData::Sum(Some(storage::model::record::Number::Int(1))),
        }
    }
}

pub(crate) fn points(list: &[TestPoint]) -> Batch {
    let mut builder = PointBatchBuilder::default();
    for point in list {
        let resource = text_map(&[("service.name", point.service), ("service.instance.id", point.instance)]);
        builder.set_resource(&Resource { attributes: Map::new(&resource), ..Resource::default() });
        builder.set_scope(&Scope::default());
        let metadata = text_map(&[("prometheus.type", "counter")]);
        builder.set_metric(&MetricHead {
            name: point.name,
            unit: point.unit,
            description: point.description,
            metadata: Map::new(&metadata),
            temporality: point.temporality,
            is_monotonic: true,
        });
        let attributes = text_map(&point.attributes);
        builder
            .append(&Point {
                attributes: Map::new(&attributes),
                time: point.time,
                start_time: Some(point.start.unwrap_or(point.time.saturating_sub(60 * SECOND))),
                flags: 0,
                exemplars: &point.exemplars,
                data: point.data,
            })
            .unwrap();
    }
    builder.finish().unwrap()
}
