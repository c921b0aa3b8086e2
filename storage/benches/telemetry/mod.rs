//! Spans as services with HTTP, database and messaging instrumentation send them: batches of one instance's spans, in the
//! order in which they end, as columns and as the OTLP request that carried them.

use rand::{Rng, RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use std::ops::Range;
use storage::model::attribute::{Map, MapBuilder, Value};
use storage::model::origin::{Resource, Scope};
use storage::model::record::Event;
use storage::model::{Batch, Span, SpanBatchBuilder, SpanId, TraceId};

const BATCH: usize = 500;
const SERVICES: [&str; 8] = ["gateway", "order", "cart", "inventory", "payment", "user", "search", "recommend"];
const INSTANCES: usize = 3;
const TABLES: [&str; 6] = ["orders", "users", "items", "payments", "stock", "sessions"];
const ROUTES: [(&str, &str); 8] = [
    ("GET", "/api/products/{id}"),
    ("POST", "/api/orders"),
    ("GET", "/api/orders/{id}"),
    ("GET", "/api/users/{id}/cart"),
    ("PUT", "/api/users/{id}/cart"),
    ("GET", "/api/search"),
    ("GET", "/api/recommendations/{id}"),
    ("POST", "/api/payments/{id}/capture"),
];
const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "okhttp/5.1.0",
    "python-requests/2.32.3",
    "Go-http-client/2.0",
];

/// What was sent: batches, and the bytes of the requests that carried them.
pub(crate) struct Sent {
    pub(crate) batches: Vec<Batch>,
    pub(crate) requests: Vec<Vec<u8>>,
}

struct Made {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    parent: Option<[u8; 8]>,
    name: String,
    kind: i32,
    start: i64,
    duration: i64,
    failed: bool,
    attributes: Vec<(&'static str, Attribute)>,
}

enum Attribute {
    Text(String),
    Int(i64),
}

/// Makes at least so many spans.
pub(crate) fn spans(seed: u64, count: usize) -> Sent {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut queues: Vec<Vec<Made>> = (0..SERVICES.len() * INSTANCES).map(|_| Vec::new()).collect();
    let mut sent = Sent { batches: Vec::new(), requests: Vec::new() };
    let mut now = 1_790_000_000_000_000_000i64;
    let mut made = 0;
    while made < count {
        now += random.random_range(50_000..2_000_000);
        let mut trace = Trace { id: random.random(), random: &mut random, spans: Vec::new() };
        let route = trace.random.random_range(0..ROUTES.len());
        trace.server(0, None, now, ROUTES[route], 0);
        for (service, span) in trace.spans {
            made += 1;
            let instance = service * INSTANCES + usize::from(span.trace_id[0]) % INSTANCES;
            queues[instance].push(span);
            if queues[instance].len() == BATCH {
                flush(&mut sent, instance, &mut queues[instance]);
            }
        }
    }
    for (instance, queue) in queues.iter_mut().enumerate() {
        flush(&mut sent, instance, queue);
    }
    sent
}

struct Trace<'a> {
    id: [u8; 16],
    random: &'a mut Pcg64Mcg,
    spans: Vec<(usize, Made)>,
}

impl Trace<'_> {
    fn latency(&mut self, typical: f64) -> i64 {
        let normal: f64 = (0..6).map(|_| self.random.random::<f64>()).sum::<f64>() - 3.0;
        (typical * (normal * 0.9).exp() * 1e6) as i64
    }

    fn add(&mut self, service: usize, span: Made) {
        self.spans.push((service, span));
    }

    /// A server span and what it calls; when it ended.
    fn server(
        &mut self,
        service: usize,
        parent: Option<[u8; 8]>,
        start: i64,
        route: (&'static str, &str),
        depth: usize,
    ) -> i64 {
        let span_id: [u8; 8] = self.random.random();
        let failed = self.random.random_range(0..100) == 0;
        let mut at = start + self.latency(0.2);
        for _ in 0..self.random.random_range(0..3) {
            at = self.database(service, span_id, at) + self.latency(0.05);
        }
        let calls = if depth >= 2 { 0 } else { [2, 1][depth] };
        for call in 0..calls {
            let callee = (service * 2 + call + 1) % SERVICES.len();
            at = self.client(service, callee, span_id, at, depth) + self.latency(0.1);
        }
        let path = route.1.replace("{id}", &self.random.random_range(1..50_000).to_string());
        let status = if failed { 500 } else { [200, 200, 200, 201, 404][self.random.random_range(0..5)] };
        let address = format!(
            "10.{}.{}.{}",
            self.random.random_range(0..4),
            self.random.random_range(0..256),
            self.random.random_range(0..256)
        );
        let mut attributes = vec![
            ("http.request.method", Attribute::Text(route.0.into())),
            ("http.route", Attribute::Text(route.1.into())),
            ("url.path", Attribute::Text(path)),
            ("url.scheme", Attribute::Text("http".into())),
            ("server.address", Attribute::Text(format!("{}.shop.svc", SERVICES[service]))),
            ("server.port", Attribute::Int(8080)),
            ("http.response.status_code", Attribute::Int(status)),
            ("network.protocol.version", Attribute::Text("1.1".into())),
            ("client.address", Attribute::Text(address)),
            ("network.peer.port", Attribute::Int(self.random.random_range(32_768..61_000))),
        ];
        if depth == 0 {
            attributes.push((
                "user_agent.original",
                Attribute::Text(AGENTS[self.random.random_range(0..AGENTS.len())].into()),
            ));
            attributes.push(("enduser.id", Attribute::Text(format!("user-{}", self.random.random_range(0..20_000)))));
        }
        let name = format!("{} {}", route.0, route.1);
        let end = at + self.latency(0.3);
        let made = Made {
            trace_id: self.id,
            span_id,
            parent,
            name,
            kind: 2,
            start,
            duration: end - start,
            failed,
            attributes,
        };
        self.add(service, made);
        end
    }

    fn client(&mut self, service: usize, callee: usize, parent: [u8; 8], start: i64, depth: usize) -> i64 {
        let span_id: [u8; 8] = self.random.random();
        let route = ROUTES[callee % ROUTES.len()];
        let sent = start + self.latency(0.3);
        let answered = self.server(callee, Some(span_id), sent, route, depth + 1);
        let end = answered + self.latency(0.3);
        let path = route.1.replace("{id}", &self.random.random_range(1..50_000).to_string());
        let attributes = vec![
            ("http.request.method", Attribute::Text(route.0.into())),
            ("url.full", Attribute::Text(format!("http://{}.shop.svc:8080{path}", SERVICES[callee]))),
            ("server.address", Attribute::Text(format!("{}.shop.svc", SERVICES[callee]))),
            ("server.port", Attribute::Int(8080)),
            ("http.response.status_code", Attribute::Int(200)),
            ("network.peer.address", Attribute::Text(format!("10.1.0.{}", callee * 3 + 7))),
            ("network.protocol.version", Attribute::Text("1.1".into())),
        ];
        self.call(service, (parent, span_id), route.0.to_owned(), start..end, attributes);
        end
    }

    fn database(&mut self, service: usize, parent: [u8; 8], start: i64) -> i64 {
        let table = TABLES[(service + self.random.random_range(0..2)) % TABLES.len()];
        let select = self.random.random_range(0..4) > 0;
        let operation = if select { "SELECT" } else { "UPDATE" };
        let query = if select {
            format!("SELECT * FROM {table} WHERE id = $1 AND tenant_id = $2")
        } else {
            format!("UPDATE {table} SET state = $1, updated_at = now() WHERE id = $2")
        };
        let end = start + self.latency(1.5);
        let attributes = vec![
            ("db.system.name", Attribute::Text("postgresql".into())),
            ("db.namespace", Attribute::Text("shop".into())),
            ("db.collection.name", Attribute::Text(table.into())),
            ("db.operation.name", Attribute::Text(operation.into())),
            ("db.query.text", Attribute::Text(query)),
            ("server.address", Attribute::Text("pg-primary.shop.svc".into())),
            ("server.port", Attribute::Int(5432)),
            ("db.response.returned_rows", Attribute::Int(self.random.random_range(0..40))),
            ("thread.id", Attribute::Int(self.random.random_range(20..60))),
        ];
        let span_id = self.random.random();
        self.call(service, (parent, span_id), format!("{operation} {table}"), start..end, attributes);
        end
    }

    /// Adds the span of a call to another process.
    fn call(
        &mut self,
        service: usize,
        (parent, span_id): ([u8; 8], [u8; 8]),
        name: String,
        time: Range<i64>,
        attributes: Vec<(&'static str, Attribute)>,
    ) {
        let made = Made {
            trace_id: self.id,
            span_id,
            parent: Some(parent),
            name,
            kind: 3,
            start: time.start,
            duration: time.end - time.start,
            failed: false,
            attributes,
        };
        self.add(service, made);
    }
}

fn resource_attributes(instance: usize) -> Vec<(&'static str, String)> {
    let mut id = [0; 16];
    Pcg64Mcg::seed_from_u64(instance as u64).fill_bytes(&mut id);
    vec![
        ("service.name", SERVICES[instance / INSTANCES].into()),
        ("service.version", "1.14.2".into()),
        ("service.namespace", "shop".into()),
        ("service.instance.id", hex(&id)),
        ("deployment.environment.name", "production".into()),
        ("host.name", format!("node-{}", instance % 5)),
        ("k8s.pod.name", format!("{}-6d5f7c9b8-{}", SERVICES[instance / INSTANCES], hex(&id[..3]))),
        ("telemetry.sdk.language", "java".into()),
        ("telemetry.sdk.name", "opentelemetry".into()),
        ("telemetry.sdk.version", "1.55.0".into()),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const SCOPE: (&str, &str) = ("io.opentelemetry.spring-webmvc-6.0", "2.20.1-alpha");
const MESSAGE: &str = "java.lang.IllegalStateException: upstream answered 503";
const TRACE: &str = "java.lang.IllegalStateException: upstream answered 503\n\tat shop.Client.call(Client.java:214)\n\tat shop.Order.place(Order.java:91)\n";

fn flush(sent: &mut Sent, instance: usize, queue: &mut Vec<Made>) {
    if queue.is_empty() {
        return;
    }
    queue.sort_by_key(|span| span.start + span.duration);
    sent.batches.push(batch(instance, queue));
    sent.requests.push(request(instance, queue));
    queue.clear();
}

fn batch(instance: usize, spans: &[Made]) -> Batch {
    let mut builder = SpanBatchBuilder::default();
    let mut map = MapBuilder::default();
    for (key, value) in resource_attributes(instance) {
        map.push(key, Value::String(&value));
    }
    let resource = map.finish();
    builder.set_resource(&Resource { attributes: Map::new(&resource), ..Resource::default() });
    builder.set_scope(&Scope { name: SCOPE.0, version: SCOPE.1, ..Scope::default() });
    for span in spans {
        for (key, value) in &span.attributes {
            match value {
                Attribute::Text(text) => map.push(key, Value::String(text)),
                Attribute::Int(int) => map.push(key, Value::Int(*int)),
            }
        }
        let attributes = map.finish();
        let mut events = Vec::new();
        if span.failed {
            map.push("exception.message", Value::String(MESSAGE));
            map.push("exception.stacktrace", Value::String(TRACE));
            let attributes = map.finish();
            let time_unix_nano = (span.start + span.duration).cast_unsigned();
            let attributes = Map::new(&attributes);
            Event { time_unix_nano, name: "exception", attributes, dropped_attributes_count: 0 }.put(&mut events);
        }
        builder
            .append(&Span {
                parent_span_id: span.parent.map(SpanId),
                flags: 0x101,
                name: &span.name,
                kind: span.kind,
                start: span.start,
                duration: span.duration,
                status_code: if span.failed { 2 } else { 0 },
                status_message: if span.failed { MESSAGE } else { "" },
                attributes: Map::new(&attributes),
                events: &events,
                ..Span::new(TraceId(span.trace_id), SpanId(span.span_id))
            })
            .expect("few spans");
    }
    builder.finish().expect("columns of one length")
}

/// The same spans as an ExportTraceServiceRequest.
fn request(instance: usize, spans: &[Made]) -> Vec<u8> {
    let mut resource = Vec::new();
    for (key, value) in resource_attributes(instance) {
        bytes(&mut resource, 1, &key_value(key, &Attribute::Text(value)));
    }
    let mut scope = Vec::new();
    bytes(&mut scope, 1, SCOPE.0.as_bytes());
    bytes(&mut scope, 2, SCOPE.1.as_bytes());
    let mut scope_spans = Vec::new();
    bytes(&mut scope_spans, 1, &scope);
    for span in spans {
        bytes(&mut scope_spans, 2, &span_message(span));
    }
    let mut resource_spans = Vec::new();
    bytes(&mut resource_spans, 1, &resource);
    bytes(&mut resource_spans, 2, &scope_spans);
    let mut request = Vec::new();
    bytes(&mut request, 1, &resource_spans);
    request
}

fn span_message(span: &Made) -> Vec<u8> {
    let mut message = Vec::new();
    bytes(&mut message, 1, &span.trace_id);
    bytes(&mut message, 2, &span.span_id);
    if let Some(parent) = &span.parent {
        bytes(&mut message, 4, parent);
    }
    bytes(&mut message, 5, span.name.as_bytes());
    varint(&mut message, 6 << 3);
    varint(&mut message, u64::from(span.kind.unsigned_abs()));
    fixed64(&mut message, 7, span.start);
    fixed64(&mut message, 8, span.start + span.duration);
    for (key, value) in &span.attributes {
        bytes(&mut message, 9, &key_value(key, value));
    }
    let mut status = Vec::new();
    if span.failed {
        let mut event = Vec::new();
        fixed64(&mut event, 1, span.start + span.duration);
        bytes(&mut event, 2, b"exception");
        bytes(&mut event, 3, &key_value("exception.message", &Attribute::Text(MESSAGE.into())));
        bytes(&mut event, 3, &key_value("exception.stacktrace", &Attribute::Text(TRACE.into())));
        bytes(&mut message, 11, &event);
        bytes(&mut status, 2, MESSAGE.as_bytes());
        status.extend([3 << 3, 2]);
    }
    bytes(&mut message, 15, &status);
    varint(&mut message, 16 << 3 | 5);
    message.extend_from_slice(&0x101u32.to_le_bytes());
    message
}

fn key_value(key: &str, value: &Attribute) -> Vec<u8> {
    let mut any = Vec::new();
    match value {
        Attribute::Text(text) => bytes(&mut any, 1, text.as_bytes()),
        Attribute::Int(int) => {
            varint(&mut any, 3 << 3);
            varint(&mut any, int.cast_unsigned());
        }
    }
    let mut message = Vec::new();
    bytes(&mut message, 1, key.as_bytes());
    bytes(&mut message, 2, &any);
    message
}

fn bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn fixed64(out: &mut Vec<u8>, field: u64, value: i64) {
    varint(out, field << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn varint(out: &mut Vec<u8>, value: u64) {
    storage::model::record::put_varint(out, value);
}
