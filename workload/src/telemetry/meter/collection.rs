//! Which data points does an instance export, under which scopes?

use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogram, Gauge, Histogram, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, Summary, SummaryDataPoint, metric::Data,
};
use prost::Message;

use super::{Meter, Timed, runtime, seconds};
use crate::catalog::{Door, ScopeKind, Service};
use crate::engine::Outcome;
use crate::fleet::Instance;
use crate::telemetry::status;
use crate::wire;

/// A string attribute.
pub(super) fn text(key: &str, value: &str) -> KeyValue {
    pair(key, Value::StringValue(value.to_owned()))
}

/// An integer attribute.
pub(super) fn int(key: &str, value: i64) -> KeyValue {
    pair(key, Value::IntValue(value))
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// What a sum may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Cumulative, never falls.
    Counter,
    /// Since the last export.
    Delta,
    /// Cumulative, may fall.
    UpDown,
}

/// Start and end of what is being collected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) start: u64,
    pub(super) last: u64,
    pub(super) now: u64,
}

impl Window {
    fn point(self, start: u64, attributes: Vec<KeyValue>, value: Number) -> NumberDataPoint {
        NumberDataPoint {
            attributes,
            start_time_unix_nano: start,
            time_unix_nano: self.now,
            value: Some(value),
            ..NumberDataPoint::default()
        }
    }

    /// A metric whose points are sums.
    pub(super) fn sum(self, (name, unit, about): Name, kind: Kind, values: Vec<(Vec<KeyValue>, Number)>) -> Metric {
        let start = if kind == Kind::Delta { self.last } else { self.start };
        let temporality = match kind {
            Kind::Delta => AggregationTemporality::Delta,
            Kind::Counter | Kind::UpDown => AggregationTemporality::Cumulative,
        };
        let data_points = values.into_iter().map(|(attributes, value)| self.point(start, attributes, value)).collect();
        let data = Sum { data_points, aggregation_temporality: temporality.into(), is_monotonic: kind != Kind::UpDown };
        metric(name, unit, about, Data::Sum(data))
    }

    /// A metric whose points are momentary values.
    pub(super) fn gauge(self, (name, unit, about): Name, values: Vec<(Vec<KeyValue>, Number)>) -> Metric {
        let data_points = values.into_iter().map(|(attributes, value)| self.point(0, attributes, value)).collect();
        metric(name, unit, about, Data::Gauge(Gauge { data_points }))
    }
}

/// Name, unit and description of an instrument.
pub(super) type Name = (&'static str, &'static str, &'static str);

pub(super) fn metric(name: &str, unit: &str, about: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        description: about.to_owned(),
        unit: unit.to_owned(),
        metadata: Vec::new(),
        data: Some(data),
    }
}

/// Everything that an instance has to say, as an encoded request, with the number of its data points.
pub(crate) fn collect(instance: &mut Instance, now: u64) -> (Vec<u8>, u64) {
    let window = Window { start: instance.meter.start, last: instance.meter.last, now };
    let pools = (instance.busy, instance.workers, instance.queue.len() as u64);
    let meter = &mut instance.meter;
    let mut scopes = Vec::new();
    let language = meter.service.deployment().language;
    for (kind, metrics) in [
        (ScopeKind::HttpServer, http_server(meter, window, pools)),
        (ScopeKind::HttpClient, http_client(meter, window)),
        (ScopeKind::Rpc, rpc(meter, window)),
        (ScopeKind::Sql, database(meter, window, "postgresql", pools)),
        (ScopeKind::Redis, database(meter, window, "redis", pools)),
        (ScopeKind::Kafka, messaging(meter, window)),
        (ScopeKind::Application, application(meter, window, pools)),
        (ScopeKind::Runtime, runtime::metrics(meter, window, pools)),
    ] {
        if metrics.is_empty() {
            continue;
        }
        let (name, version) = language.scope(kind);
        let scope = InstrumentationScope { name: name.to_owned(), version: version.to_owned(), ..Default::default() };
        scopes.push(ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() });
    }
    meter.last = now;
    meter.recent_nanos = 0;
    meter.hits = 0;
    meter.misses = 0;
    meter.collections += 1;
    let items = scopes.iter().flat_map(|scope| &scope.metrics).map(points).sum();
    // The resource is kept encoded: it goes first, and the rest of the message after it.
    let rest =
        ResourceMetrics { resource: None, scope_metrics: scopes, schema_url: instance.origin.schema_url.to_owned() };
    let mut out = Vec::new();
    wire::message(&mut out, 1, |out| {
        wire::bytes(out, 1, &instance.origin.resource);
        out.extend_from_slice(&rest.encode_to_vec());
    });
    (out, items)
}

/// The data points of a metric.
fn points(metric: &Metric) -> u64 {
    let points = match &metric.data {
        Some(Data::Gauge(data)) => data.data_points.len(),
        Some(Data::Sum(data)) => data.data_points.len(),
        Some(Data::Histogram(data)) => data.data_points.len(),
        Some(Data::ExponentialHistogram(data)) => data.data_points.len(),
        Some(Data::Summary(data)) => data.data_points.len(),
        None => 0,
    };
    points as u64
}

/// Busy and all workers, and waiting requests.
pub(super) type Pools = (u32, u32, u64);

fn cumulative(data_points: Vec<opentelemetry_proto::tonic::metrics::v1::HistogramDataPoint>) -> Data {
    Data::Histogram(Histogram { data_points, aggregation_temporality: AggregationTemporality::Cumulative.into() })
}

fn http_attributes<H>(timed: &Timed<H>, client: bool) -> Vec<KeyValue> {
    let Door::Http { method, route } = timed.operation.door else { return Vec::new() };
    let code = status::http(&timed.operation.door, timed.outcome);
    let mut attributes = vec![text("http.request.method", method), text("network.protocol.version", "1.1")];
    if client {
        attributes.push(text("server.address", timed.operation.service.name()));
        attributes.push(int("server.port", i64::from(timed.operation.service.deployment().port)));
    } else {
        attributes.push(text("http.route", route));
        attributes.push(text("url.scheme", "http"));
    }
    if timed.answered {
        attributes.push(int("http.response.status_code", i64::from(code)));
    } else {
        attributes.push(text("error.type", "timeout"));
    }
    if timed.answered && code >= if client { 400 } else { 500 } {
        attributes.push(text("error.type", status::code_text(code)));
    }
    attributes
}

fn http_server(meter: &mut Meter, window: Window, (busy, ..): Pools) -> Vec<Metric> {
    let mut points = Vec::new();
    for timed in meter.served.values_mut() {
        if matches!(timed.operation.door, Door::Http { .. }) {
            let attributes = http_attributes(timed, false);
            points.push(timed.histogram.point(attributes, window.start, window.now));
        }
    }
    if points.is_empty() {
        return Vec::new();
    }
    let active = (vec![text("url.scheme", "http")], Number::AsInt(i64::from(busy)));
    vec![
        metric("http.server.request.duration", "s", "Duration of HTTP server requests.", cumulative(points)),
        window.sum(
            ("http.server.active_requests", "{request}", "Number of active HTTP server requests."),
            Kind::UpDown,
            vec![active],
        ),
    ]
}

fn exponential(points: Vec<opentelemetry_proto::tonic::metrics::v1::ExponentialHistogramDataPoint>) -> Data {
    Data::ExponentialHistogram(ExponentialHistogram {
        data_points: points,
        aggregation_temporality: AggregationTemporality::Cumulative.into(),
    })
}

fn http_client(meter: &mut Meter, window: Window) -> Vec<Metric> {
    let mut points = Vec::new();
    for timed in meter.called.values_mut() {
        if matches!(timed.operation.door, Door::Http { .. }) {
            let attributes = http_attributes(timed, true);
            points.push(timed.histogram.point(attributes, window.start, window.now));
        }
    }
    if points.is_empty() {
        return Vec::new();
    }
    vec![metric("http.client.request.duration", "s", "Duration of HTTP client requests.", exponential(points))]
}

fn rpc_attributes<H>(timed: &Timed<H>, old: bool) -> Vec<KeyValue> {
    let Door::Grpc { service, method } = timed.operation.door else { return Vec::new() };
    let grpc = status::grpc(timed.outcome);
    if old {
        return vec![
            text("rpc.system", "grpc"),
            text("rpc.service", service),
            text("rpc.method", method),
            int("rpc.grpc.status_code", i64::from(grpc.number)),
        ];
    }
    let mut attributes = vec![
        text("rpc.system.name", "grpc"),
        text("rpc.method", &format!("{service}/{method}")),
        text("rpc.status_code", grpc.name),
    ];
    if timed.outcome != Outcome::Done {
        attributes.push(text("error.type", grpc.name));
    }
    attributes
}

fn rpc(meter: &mut Meter, window: Window) -> Vec<Metric> {
    let old = meter.service.deployment().language.speaks_old_rpc();
    let mut served = Vec::new();
    for timed in meter.served.values_mut() {
        if matches!(timed.operation.door, Door::Grpc { .. }) {
            let attributes = rpc_attributes(timed, old);
            served.push(timed.histogram.point(attributes, window.start, window.now));
        }
    }
    let mut called = Vec::new();
    for timed in meter.called.values_mut() {
        if matches!(timed.operation.door, Door::Grpc { .. }) {
            let attributes = rpc_attributes(timed, old);
            called.push(timed.histogram.point(attributes, window.start, window.now));
        }
    }
    let mut metrics = Vec::new();
    if !served.is_empty() {
        let (name, unit) = if old { ("rpc.server.duration", "ms") } else { ("rpc.server.call.duration", "s") };
        metrics.push(metric(name, unit, "Duration of incoming remote procedure calls.", cumulative(served)));
    }
    if !called.is_empty() {
        let name = if old { "rpc.client.duration" } else { "rpc.client.call.duration" };
        metrics.push(metric(name, "s", "Duration of outgoing remote procedure calls.", exponential(called)));
    }
    metrics
}

fn database(meter: &mut Meter, window: Window, system: &'static str, (busy, workers, _): Pools) -> Vec<Metric> {
    let mut points = Vec::new();
    for stored in meter.stored.values_mut().filter(|stored| stored.system == system) {
        let mut attributes = vec![text("db.system.name", system), text("db.operation.name", stored.operation)];
        if !stored.collection.is_empty() {
            attributes.push(text("db.collection.name", stored.collection));
        }
        points.push(stored.histogram.point(attributes, window.start, window.now));
    }
    if points.is_empty() {
        return Vec::new();
    }
    let pool = |state| vec![text("db.client.connection.pool.name", system), text("db.client.connection.state", state)];
    let connections = vec![
        (pool("used"), Number::AsInt(i64::from(busy))),
        (pool("idle"), Number::AsInt(i64::from(workers - busy.min(workers)))),
    ];
    vec![
        metric("db.client.operation.duration", "s", "Duration of database client operations.", exponential(points)),
        window.sum(
            ("db.client.connection.count", "{connection}", "Connections in the state of the attribute."),
            Kind::UpDown,
            connections,
        ),
    ]
}

fn messaging(meter: &Meter, window: Window) -> Vec<Metric> {
    let topic = |name: &str, operation: &str| {
        vec![
            text("messaging.system", "kafka"),
            text("messaging.destination.name", name),
            text("messaging.operation.name", operation),
        ]
    };
    let counted = |counts: &std::collections::BTreeMap<&'static str, u64>, operation| {
        counts
            .iter()
            .map(|(name, count)| (topic(name, operation), Number::AsInt(count.cast_signed())))
            .collect::<Vec<_>>()
    };
    let mut metrics = Vec::new();
    if !meter.sent.is_empty() {
        let name = ("messaging.client.sent.messages", "{message}", "Messages that the producer attempted to send.");
        metrics.push(window.sum(name, Kind::Counter, counted(&meter.sent, "send")));
    }
    if !meter.consumed.is_empty() {
        let name = ("messaging.client.consumed.messages", "{message}", "Messages delivered to the application.");
        metrics.push(window.sum(name, Kind::Counter, counted(&meter.consumed, "process")));
    }
    metrics
}

fn application(meter: &Meter, window: Window, (busy, workers, waiting): Pools) -> Vec<Metric> {
    let whole = |count: u64| vec![(Vec::new(), Number::AsInt(count.cast_signed()))];
    let mut metrics = vec![
        window.gauge(("shop.worker.queue.length", "{request}", "Requests waiting for a worker."), whole(waiting)),
        window.gauge(
            ("shop.worker.utilization", "1", "Share of workers that are busy."),
            vec![(Vec::new(), Number::AsDouble(f64::from(busy) / f64::from(workers)))],
        ),
    ];
    if meter.hits + meter.misses > 0 {
        let result = |result, count: u64| (vec![text("cache.result", result)], Number::AsInt(count.cast_signed()));
        let values = vec![result("hit", meter.hits), result("miss", meter.misses)];
        metrics.push(window.sum(("shop.cache.requests", "{request}", "Cache reads by result."), Kind::Delta, values));
    }
    match meter.service {
        Service::Order => {
            let currency = vec![text("payment.currency", "EUR")];
            metrics.push(window.sum(
                ("shop.orders.placed", "{order}", "Orders placed."),
                Kind::Counter,
                whole(meter.placed),
            ));
            metrics.push(window.sum(
                ("shop.orders.revenue", "EUR", "Value of placed orders."),
                Kind::Counter,
                vec![(currency, Number::AsDouble(meter.revenue))],
            ));
        }
        Service::User => {
            metrics.push(window.sum(
                ("shop.logins", "{login}", "Successful logins."),
                Kind::Counter,
                whole(meter.logins),
            ));
        }
        Service::Shipping => {
            let name = ("shop.parcels.shipped", "{parcel}", "Parcels announced to carriers.");
            metrics.push(window.sum(name, Kind::Counter, whole(meter.parcels)));
        }
        Service::Notification => {
            metrics.push(window.sum(("shop.mails.sent", "{mail}", "Mails sent."), Kind::Counter, whole(meter.mails)));
            metrics.push(summary(meter, window));
        }
        Service::Gateway
        | Service::Cart
        | Service::Inventory
        | Service::Payment
        | Service::Search
        | Service::Recommend => {}
    }
    metrics
}

fn summary(meter: &Meter, window: Window) -> Metric {
    let mut recent = meter.deliveries.recent.clone();
    recent.sort_by(f64::total_cmp);
    let quantile = |quantile: f64| {
        let place = ((recent.len() as f64 * quantile) as usize).min(recent.len().saturating_sub(1));
        ValueAtQuantile { quantile, value: recent.get(place).copied().unwrap_or(f64::NAN) }
    };
    let point = SummaryDataPoint {
        attributes: vec![text("smtp.relay", "mail.example.com")],
        start_time_unix_nano: window.start,
        time_unix_nano: window.now,
        count: meter.deliveries.count,
        sum: meter.deliveries.sum,
        quantile_values: [0.5, 0.9, 0.99].map(quantile).to_vec(),
        flags: 0,
    };
    metric(
        "smtp_delivery_seconds",
        "s",
        "Time to hand a mail to the relay.",
        Data::Summary(Summary { data_points: vec![point] }),
    )
}

/// Seconds of CPU, for the runtime's counters.
pub(super) fn cpu_seconds(meter: &Meter) -> f64 {
    seconds(meter.busy_nanos)
}
