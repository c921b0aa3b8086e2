//! Rows and requests from a seed: small pools of everything, so that values meet, and the odd extreme.

use crate::model::attribute::{Map, MapBuilder, Value, put_array, put_map, put_value};
use crate::model::origin::{Resource, Scope};
use crate::model::record::{Event, Exemplar, Link, Number, put_buckets, put_counts, put_doubles, put_quantile};
use crate::model::schema::{self, column as name};
use crate::model::{
    Batch, LogBatchBuilder, LogRecord, MetricHead, Point, PointBatchBuilder, PointData, Signal, Span, SpanBatchBuilder,
    SpanId, TraceId,
};
use crate::scan::{AttributeScope, Compare, Field, Predicate, Scalar, ScanOrder, ScanRequest, TimeRange};
use rand::RngExt;
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

const KEYS: &[&str] = &["a", "b", "http.route", "ü", "", "service.name", "n", "x.y", "zz", "nested"];
const TEXTS: &[&str] =
    &["", "a", "GET", "get", "200", "true", "3.5", "é中", "\u{10ffff}", "/api/users/{id}", "zz", "NaN", "-Infinity"];
const INTS: &[i64] = &[0, 1, -1, 200, i64::MIN, i64::MAX, 1 << 53, (1 << 53) + 1];
const DOUBLES: &[f64] = &[
    0.0,
    -0.0,
    3.5,
    200.0,
    f64::NAN,
    f64::from_bits(0xfff8_0000_dead_beef),
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::MIN_POSITIVE,
    -1e300,
    9_007_199_254_740_992.0,
    9_223_372_036_854_775_808.0,
];
const SERVICES: &[&str] = &["cart", "", "Ünit", "frontend"];

pub(crate) struct Random(Pcg64Mcg);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(Pcg64Mcg::seed_from_u64(seed))
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.0.random_range(0..from.len())]
    }

    fn time(&mut self) -> i64 {
        match self.chance(2) {
            true => self.pick(INTS),
            false => 1_700_000_000_000_000_000 + self.0.random_range(0..1_000_000_000),
        }
    }

    fn trace(&mut self) -> TraceId {
        TraceId([self.0.random_range(1..60); 16])
    }

    fn span(&mut self) -> SpanId {
        SpanId([self.0.random_range(1..40); 8])
    }

    fn value(&mut self, out: &mut Vec<u8>, depth: usize) {
        match self.0.random_range(0..if depth > 1 { 12 } else { 14 }) {
            0..=3 => put_value(out, Value::String(self.pick(TEXTS))),
            4..=6 => put_value(out, Value::Int(self.pick(INTS))),
            7 | 8 => put_value(out, Value::Double(self.pick(DOUBLES))),
            9 => put_value(out, Value::Bool(self.chance(50))),
            10 => put_value(out, Value::Bytes(self.pick(&[&b""[..], b"\xff", b"a"]))),
            11 => put_value(out, Value::Empty),
            12 => put_array(out, |out| (0..2).for_each(|_| self.value(out, depth + 1))),
            _ => {
                let map = self.map(depth + 1);
                put_map(out, |out| out.extend_from_slice(&map));
            }
        }
    }

    fn map(&mut self, depth: usize) -> Vec<u8> {
        let mut builder = MapBuilder::default();
        for _ in 0..self.0.random_range(0..6) {
            let key = self.pick(KEYS);
            let mut value = Vec::new();
            match key {
                // Some keys keep their types, so that they get columns.
                "a" => put_value(&mut value, Value::String(self.pick(TEXTS))),
                "b" => put_value(&mut value, Value::Int(self.pick(&INTS[..4]))),
                "n" => put_value(&mut value, Value::Int(self.0.random_range(-1_000_000..1_000_000))),
                _ => self.value(&mut value, depth),
            }
            builder.push_with(key, |out| out.extend_from_slice(&value));
        }
        builder.finish()
    }

    fn events(&mut self) -> Vec<u8> {
        let mut cell = Vec::new();
        if self.chance(15) {
            let attributes = self.map(1);
            let event = Event {
                time_unix_nano: self.0.random(),
                name: self.pick(TEXTS),
                attributes: Map::new(&attributes),
                dropped_attributes_count: 1,
            };
            event.put(&mut cell);
        }
        cell
    }

    fn links(&mut self) -> Vec<u8> {
        let mut cell = Vec::new();
        if self.chance(5) {
            let link = Link {
                trace_id: &self.trace().0,
                span_id: &[1],
                trace_state: "a=b",
                attributes: Map::default(),
                dropped_attributes_count: 0,
                flags: 1,
            };
            link.put(&mut cell);
        }
        cell
    }

    fn with_origin(&mut self, set: impl FnOnce(&Resource<'_>, &Scope<'_>)) {
        let mut builder = MapBuilder::default();
        builder.push("service.name", Value::String(self.pick(SERVICES)));
        builder.push("a", Value::Int(self.pick(INTS)));
        let attributes = builder.finish();
        let resource = Resource { attributes: Map::new(&attributes), ..Resource::default() };
        let scope_attributes = self.map(1);
        let scope = Scope { name: self.pick(TEXTS), attributes: Map::new(&scope_attributes), ..Scope::default() };
        set(&resource, &scope);
    }

    /// Batches of random sizes, `count` rows together.
    pub(crate) fn batches(&mut self, signal: Signal, count: usize) -> Vec<Batch> {
        let mut left = count;
        let mut batches = vec![Batch::empty(signal)];
        while left > 0 {
            let rows = self.0.random_range(1..=left);
            left -= rows;
            let batch = match signal {
                Signal::Spans => self.span_batch(rows),
                Signal::Logs => self.log_batch(rows, Self::time),
                Signal::Metrics => self.point_batch(rows),
            };
            batches.push(batch);
        }
        batches
    }

    /// Log records whose times are all different.
    pub(crate) fn logs_over_time(&mut self, count: usize) -> Vec<Batch> {
        let mut next = 0;
        let time = |_: &mut Random| {
            next += 1_000;
            next
        };
        vec![self.log_batch(count, time)]
    }

    fn span_batch(&mut self, rows: usize) -> Batch {
        let mut builder = SpanBatchBuilder::default();
        for row in 0..rows {
            if row == 0 || self.chance(20) {
                self.with_origin(|resource, scope| {
                    builder.set_resource(resource);
                    builder.set_scope(scope);
                });
            }
            let (attributes, events, links) = (self.map(0), self.events(), self.links());
            let span_id = self.span();
            let parent = match self.0.random_range(0..10) {
                0 | 1 => None,
                2 => Some(span_id),
                3 => Some(SpanId([0xab; 8])),
                _ => Some(self.span()),
            };
            let span = Span {
                trace_id: self.trace(),
                span_id,
                parent_span_id: parent,
                trace_state: if self.chance(5) { "k=v" } else { "" },
                flags: self.pick(&[0, 1, u32::MAX]),
                name: self.pick(TEXTS),
                kind: self.pick(&[0, 1, 2, 3, i32::MIN]),
                start: self.time(),
                duration: self.pick(&[0, -5, 1_000, 1 << 40, i64::MAX]),
                status_code: self.pick(&[0, 1, 2]),
                status_message: if self.chance(10) { self.pick(TEXTS) } else { "" },
                attributes: Map::new(&attributes),
                dropped_attributes_count: u32::from(self.chance(3)),
                events: &events,
                dropped_events_count: 0,
                links: &links,
                dropped_links_count: u32::MAX,
            };
            builder.append(&span).unwrap();
        }
        builder.finish().unwrap()
    }

    fn log_batch(&mut self, rows: usize, mut time: impl FnMut(&mut Random) -> i64) -> Batch {
        let mut builder = LogBatchBuilder::default();
        for row in 0..rows {
            if row == 0 || self.chance(20) {
                self.with_origin(|resource, scope| {
                    builder.set_resource(resource);
                    builder.set_scope(scope);
                });
            }
            let attributes = self.map(0);
            let mut body = Vec::new();
            if self.chance(90) {
                self.value(&mut body, 0);
            }
            let record = LogRecord {
                time: time(self),
                observed_time: if self.chance(80) { Some(self.time()) } else { None },
                severity_number: self.pick(&[0, 9, 17, -1]),
                severity_text: self.pick(&["", "INFO", "ERROR"]),
                body: &body,
                event_name: if self.chance(5) { "e" } else { "" },
                trace_id: if self.chance(60) { Some(self.trace()) } else { None },
                span_id: if self.chance(60) { Some(self.span()) } else { None },
                flags: 0,
                attributes: Map::new(&attributes),
                dropped_attributes_count: 0,
            };
            builder.append(&record).unwrap();
        }
        builder.finish().unwrap()
    }

    fn point_batch(&mut self, rows: usize) -> Batch {
        let mut builder = PointBatchBuilder::default();
        let mut attributes = self.map(1);
        for row in 0..rows {
            if row == 0 || self.chance(10) {
                self.with_origin(|resource, scope| {
                    builder.set_resource(resource);
                    builder.set_scope(scope);
                });
            }
            if row == 0 || self.chance(15) {
                builder.set_metric(&MetricHead {
                    name: self.pick(TEXTS),
                    unit: "s",
                    description: self.pick(TEXTS),
                    metadata: Map::default(),
                    temporality: 2,
                    is_monotonic: self.chance(50),
                });
            }
            if self.chance(20) {
                attributes = self.map(1);
            }
            let [bounds, counts, positive, negative, quantiles] = self.lists();
            let exemplars = self.exemplars();
            let point = Point {
                attributes: Map::new(&attributes),
                time: if self.chance(30) { self.pick(INTS) } else { self.time() },
                start_time: if self.chance(70) { Some(self.time()) } else { None },
                flags: self.pick(&[0, 0, 0, 1, u32::MAX]),
                exemplars: &exemplars,
                data: match self.0.random_range(0..6) {
                    0 => PointData::Gauge(Some(Number::Double(self.double()))),
                    1 => PointData::Sum(Some(Number::Int(self.pick(INTS)))),
                    2 => PointData::Histogram {
                        count: self.pick(&[0, 7, u64::MAX]),
                        sum: Some(self.double()).filter(|_| self.chance(80)),
                        min: None,
                        max: Some(self.double()).filter(|_| self.chance(20)),
                        explicit_bounds: &bounds,
                        bucket_counts: &counts,
                    },
                    3 => PointData::ExponentialHistogram {
                        count: self.0.random_range(0..1_000),
                        sum: Some(self.double()),
                        min: Some(1.0),
                        max: None,
                        scale: self.pick(&[i32::MIN, -1, 0, 3, i32::MAX]),
                        zero_count: self.pick(&[0, 3]),
                        zero_threshold: self.double(),
                        positive: &positive,
                        negative: &negative,
                    },
                    4 => PointData::Summary { count: 4, sum: self.double(), quantiles: &quantiles },
                    _ => PointData::Gauge(None),
                },
            };
            builder.append(&point).unwrap();
        }
        builder.finish().unwrap()
    }

    /// A double, now and then a NaN with a payload.
    fn double(&mut self) -> f64 {
        match self.0.random_range(0..10) {
            0 => f64::from_bits(0x7ff0_0000_0000_0002),
            1 => f64::from_bits(0xfff8_0000_dead_beef),
            2..6 => f64::from(self.0.random_range(0..100_000)) / 100.0,
            _ => self.pick(DOUBLES),
        }
    }

    /// Bounds, counts, positive and negative buckets, quantiles; now and then cells that are none.
    fn lists(&mut self) -> [Vec<u8>; 5] {
        let mut cells: [Vec<u8>; 5] = Default::default();
        let width = self.pick(&[0, 3, 3, 3, 4]);
        let mut counts = || (0..width).map(|_| self.0.random_range(0..1u64 << 40)).collect::<Vec<_>>();
        let (first, second, third) = (counts(), counts(), counts());
        put_doubles(&mut cells[0], [0.1, 0.5, -0.0]);
        put_counts(&mut cells[1], first);
        put_buckets(&mut cells[2], self.pick(&[-3, 0, 0, 1, i32::MIN, i32::MAX]), second);
        put_buckets(&mut cells[3], self.0.random_range(-2..3), third);
        let quantile = self.double();
        (0..width).for_each(|_| put_quantile(&mut cells[4], 0.5, quantile));
        for cell in &mut cells {
            match self.0.random_range(0..20) {
                0 => cell.extend_from_slice(b"\x80\x00"),
                1 => cell.truncate(3),
                2 => *cell = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f".to_vec(),
                _ => {}
            }
        }
        cells
    }

    fn exemplars(&mut self) -> Vec<u8> {
        let mut cell = Vec::new();
        if self.chance(25) {
            let filtered = self.map(1);
            let exemplar = Exemplar {
                time_unix_nano: self.0.random(),
                value: Some(Number::Double(self.double())),
                trace_id: &self.trace().0,
                span_id: &self.span().0,
                filtered_attributes: Map::new(&filtered),
            };
            exemplar.put(&mut cell);
        }
        cell
    }

    pub(crate) fn request(&mut self, signal: Signal) -> ScanRequest {
        let columns = schema::of(signal).fields().iter().map(|field| field.name().as_str());
        let columns: Vec<&'static str> = columns.filter(|_| self.chance(60)).collect();
        let time = match self.chance(40) {
            true => TimeRange { start: self.time(), end: self.time() },
            false => TimeRange::ALL,
        };
        ScanRequest {
            time,
            predicate: self.predicate(signal, 0),
            columns,
            keys: None,
            order: self.pick(&[ScanOrder::Any, ScanOrder::Newest, ScanOrder::Oldest]),
            threshold: None,
        }
    }

    fn predicate(&mut self, signal: Signal, depth: usize) -> Predicate {
        match self.0.random_range(0..if depth > 2 { 8 } else { 12 }) {
            0 => Predicate::Exists(self.field(signal)),
            1 => Predicate::Contains {
                field: self.field(signal),
                needle: self.pick(&["", "e", "E", "é", "20"]).into(),
                case_sensitive: self.chance(50),
            },
            2 if signal != Signal::Metrics => Predicate::Trace(self.trace()),
            3 if signal != Signal::Metrics => Predicate::Span(self.span()),
            8 => Predicate::Not(Box::new(self.predicate(signal, depth + 1))),
            9 => Predicate::Or(self.list(signal, depth)),
            10 => Predicate::And(self.list(signal, depth)),
            11 => Predicate::All,
            _ => Predicate::Compare {
                field: self.field(signal),
                compare: self.pick(&[
                    Compare::Equal,
                    Compare::Equal,
                    Compare::NotEqual,
                    Compare::Less,
                    Compare::LessOrEqual,
                    Compare::Greater,
                    Compare::GreaterOrEqual,
                ]),
                value: self.scalar(),
            },
        }
    }

    fn list(&mut self, signal: Signal, depth: usize) -> Vec<Predicate> {
        (0..self.0.random_range(0..4)).map(|_| self.predicate(signal, depth + 1)).collect()
    }

    fn field(&mut self, signal: Signal) -> Field {
        if self.chance(50) {
            let scopes = [
                AttributeScope::Own,
                AttributeScope::Own,
                AttributeScope::Any,
                AttributeScope::Resource,
                AttributeScope::Scope,
            ];
            return Field::Attribute(self.pick(&scopes), self.pick(KEYS).into());
        }
        let usual: &[&'static str] = match signal {
            Signal::Spans => &[name::SERVICE_NAME, name::DURATION, name::STATUS_CODE, name::PARENT_SPAN_ID, name::NAME],
            Signal::Logs => &[name::BODY, name::SEVERITY_NUMBER, name::ATTRIBUTES],
            Signal::Metrics => &[name::NAME, name::VALUE_DOUBLE, name::COUNT],
        };
        if self.chance(60) {
            return Field::Column(self.pick(usual));
        }
        let fields = schema::of(signal).fields();
        Field::Column(fields[self.0.random_range(0..fields.len())].name())
    }

    fn scalar(&mut self) -> Scalar {
        match self.0.random_range(0..7) {
            0 | 1 => Scalar::String(self.pick(TEXTS).into()),
            2 => Scalar::String(self.pick(SERVICES).into()),
            3 => Scalar::Int(match self.chance(30) {
                true => self.time(),
                false => self.pick(INTS),
            }),
            4 => Scalar::Double(self.pick(DOUBLES)),
            5 => Scalar::Typed(self.pick(TEXTS).into()),
            _ => match self.chance(50) {
                true => Scalar::Bool(self.chance(50)),
                false => Scalar::Bytes(self.span().0.to_vec()),
            },
        }
    }
}
