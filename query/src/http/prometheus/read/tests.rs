//! Can a reader that knows nothing of ours read what remote read answers? It has a decoder of its own, written from the format alone.

use super::*;
use crate::config::Config;
use crate::fixture::{Fixture, NOW, SECOND, TestPoint, points};
use crate::http::state::Host;
use crate::series::{Bucket, Hint, Histogram as Native, Labels, Sample as Stored, stale};
use axum::body::Body as HttpBody;
use http_body_util::BodyExt;
use message::LabelMatcher;
use proptest::prelude::*;
use storage::model::PointData;
use storage::model::record::{Number, put_buckets};
use tower::ServiceExt;

/// Bit after bit of a chunk.
struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Reader<'_> {
    fn bit(&mut self) -> u64 {
        let bit = self.bytes[self.at / 8] >> (7 - self.at % 8) & 1;
        self.at += 1;
        bit.into()
    }

    fn bits(&mut self, count: u32) -> u64 {
        (0..count).fold(0, |value, _| value << 1 | self.bit())
    }

    fn float(&mut self) -> f64 {
        f64::from_bits(self.bits(64))
    }

    fn varint(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.bits(8);
            value |= (byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return value;
            }
            shift += 7;
        }
    }

    fn ones(&mut self, most: u32) -> u32 {
        (0..most).take_while(|_| self.bit() == 1).count().try_into().unwrap()
    }

    fn signed_of(&mut self, count: u32) -> i64 {
        let value = self.bits(count);
        if count < 64 && value > 1 << (count - 1) { value.cast_signed() - (1 << count) } else { value.cast_signed() }
    }

    fn size(&mut self) -> u32 {
        [0, 3, 6, 9, 12, 18, 25, 56, 64][self.ones(8) as usize]
    }

    fn signed(&mut self) -> i64 {
        match self.size() {
            0 => 0,
            count => self.signed_of(count),
        }
    }

    fn unsigned(&mut self) -> u64 {
        let count = self.size();
        self.bits(count)
    }

    fn xor(&mut self, value: &mut f64, window: &mut (u32, u32)) {
        if self.bit() == 0 {
            return;
        }
        if self.bit() == 1 {
            let leading = u32::try_from(self.bits(5)).unwrap();
            let significant = match self.bits(6) {
                0 => 64,
                count => u32::try_from(count).unwrap(),
            };
            *window = (leading, 64 - leading - significant);
        }
        let delta = self.bits(64 - window.0 - window.1) << window.1;
        *value = f64::from_bits(value.to_bits() ^ delta);
    }
}

fn read_floats(data: &[u8]) -> Vec<(i64, f64)> {
    let count = u16::from_be_bytes([data[0], data[1]]);
    let mut reader = Reader { bytes: &data[2..], at: 0 };
    let (mut out, mut delta, mut window) = (Vec::new(), 0i64, (0, 0));
    let zigzag = reader.varint();
    let mut time = (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed();
    let mut value = reader.float();
    for place in 0..count {
        if place == 1 {
            delta = reader.varint().cast_signed();
        } else if place > 1 {
            delta = delta.wrapping_add(match reader.ones(4) {
                0 => 0,
                1 => reader.signed_of(14),
                2 => reader.signed_of(17),
                3 => reader.signed_of(20),
                _ => reader.signed_of(64),
            });
        }
        if place > 0 {
            time = time.wrapping_add(delta);
            reader.xor(&mut value, &mut window);
        }
        out.push((time, value));
    }
    out
}

fn read_buckets(reader: &mut Reader<'_>) -> Vec<i32> {
    let mut indexes = Vec::new();
    let mut next = 0i64;
    for _ in 0..reader.unsigned() {
        let (length, offset) = (reader.unsigned(), reader.signed());
        next += offset;
        for _ in 0..length {
            indexes.push(i32::try_from(next).unwrap());
            next += 1;
        }
    }
    indexes
}

fn read_histograms(data: &[u8], is_whole: bool) -> Vec<(i64, Native)> {
    let count = u16::from_be_bytes([data[0], data[1]]);
    let mut reader = Reader { bytes: &data[3..], at: 0 };
    let zero_threshold = match reader.bits(8) {
        0 => 0.0,
        255 => reader.float(),
        power => 0.5 * 2f64.powi(i32::try_from(power).unwrap() - 243),
    };
    let schema = i32::try_from(reader.signed()).unwrap();
    let (positive, negative) = (read_buckets(&mut reader), read_buckets(&mut reader));
    let mut bounds = Vec::new();
    if schema == -53 {
        for _ in 0..reader.unsigned() {
            let thousandths = reader.unsigned();
            bounds.push(if thousandths == 0 { reader.float() } else { (thousandths - 1) as f64 / 1_000.0 });
        }
    }
    let (mut out, mut time, mut delta) = (Vec::new(), reader.signed(), 0i64);
    let (positives, buckets) = (positive.len(), positive.len() + negative.len());
    let mut fields = Fields { is_whole, positives, ..Fields::default() };
    for place in 0..count {
        if place > 0 {
            delta += reader.signed();
            time += delta;
        }
        let values = if place == 0 { fields.first(&mut reader, buckets) } else { fields.next(&mut reader) };
        let bucket = |(index, count): (&i32, &f64)| Bucket { index: *index, count: *count };
        let hint = match (data[2] & 0b1100_0000, place) {
            (0b1100_0000, _) => Hint::Gauge,
            (_, 1..) => Hint::NotReset,
            (0b1000_0000, 0) => Hint::Reset,
            _ => Hint::Unknown,
        };
        let histogram = Native {
            hint,
            is_whole,
            schema,
            zero_threshold,
            zero_count: values[1],
            count: values[0],
            sum: values[2],
            positive: positive.iter().zip(&values[3..]).map(bucket).collect(),
            negative: negative.iter().zip(&values[3 + positives..]).map(bucket).collect(),
            bounds: bounds.clone().into(),
        };
        out.push((time, histogram));
    }
    out
}

/// Count, count of the zero bucket, sum and buckets of the sample before, and how each of them changed.
#[derive(Default)]
struct Fields {
    is_whole: bool,
    positives: usize,
    floats: Vec<(f64, (u32, u32))>,
    wholes: Vec<(i64, i64)>,
}

impl Fields {
    fn first(&mut self, reader: &mut Reader<'_>, buckets: usize) -> Vec<f64> {
        if !self.is_whole {
            self.floats = (0..3 + buckets).map(|_| (reader.float(), (0, 0))).collect();
            return self.values();
        }
        self.wholes = (0..2).map(|_| (reader.unsigned().cast_signed(), 0)).collect();
        self.floats = vec![(reader.float(), (0, 0))];
        self.wholes.extend((0..buckets).map(|_| (reader.signed(), 0)).collect::<Vec<_>>());
        self.values()
    }

    fn next(&mut self, reader: &mut Reader<'_>) -> Vec<f64> {
        if !self.is_whole {
            self.floats.iter_mut().for_each(|(value, window)| reader.xor(value, window));
            return self.values();
        }
        for place in 0..self.wholes.len() {
            if place == 2 {
                let (sum, window) = &mut self.floats[0];
                reader.xor(sum, window);
            }
            let (value, growth) = &mut self.wholes[place];
            *growth += reader.signed();
            *value += *growth;
        }
        if self.wholes.len() == 2 {
            let (sum, window) = &mut self.floats[0];
            reader.xor(sum, window);
        }
        self.values()
    }

    fn values(&self) -> Vec<f64> {
        if !self.is_whole {
            return self.floats.iter().map(|(value, _)| *value).collect();
        }
        let mut values = vec![self.wholes[0].0 as f64, self.wholes[1].0 as f64, self.floats[0].0];
        // The buckets are told by what each is more than the one before, on both sides from 0.
        let mut count = 0;
        for (place, (delta, _)) in self.wholes[2..].iter().enumerate() {
            count = if place == self.positives { *delta } else { count + delta };
            values.push(count as f64);
        }
        values
    }
}

/// Samples of chunks, as a reader sees them.
fn read(chunks: &[message::Chunk]) -> Vec<(i64, Value)> {
    let mut out = Vec::new();
    for chunk in chunks {
        let before = out.len();
        match chunk.r#type {
            1 => out.extend(read_floats(&chunk.data).into_iter().map(|(time, value)| (time, Value::Float(value)))),
            2 | 3 => {
                let told = read_histograms(&chunk.data, chunk.r#type == 2);
                out.extend(told.into_iter().map(|(time, value)| (time, value.into())));
            }
            other => panic!("no chunk of type {other}"),
        }
        let range = (out[before].0, out.last().unwrap().0);
        assert_eq!((chunk.min_time_ms, chunk.max_time_ms), range);
        assert!(out.len() - before <= 120);
    }
    out
}

fn check(samples: &[Stored]) -> Vec<message::Chunk> {
    let chunks = chunk::chunks(samples);
    let found = read(&chunks);
    assert_eq!(found.len(), samples.len());
    for ((time, value), sample) in found.iter().zip(samples) {
        assert_eq!(*time, sample.time);
        match (value, &sample.value) {
            (Value::Float(a), Value::Float(b)) => assert_eq!(a.to_bits(), b.to_bits()),
            (Value::Histogram(a), Value::Histogram(b)) => {
                // Of those in a chunk each has the buckets of all.
                let compact = |histogram: &Native| {
                    let mut histogram = histogram.clone();
                    histogram.compact();
                    histogram
                };
                assert!(compact(a).is_same(&compact(b)) && a.is_whole == b.has_whole_counts(), "{a:?} {b:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    chunks
}

fn float(time: i64, value: f64) -> Stored {
    Stored { time, start: 0, value: Value::Float(value) }
}

fn native(time: i64, hint: Hint, indexes: &[(i32, f64)]) -> Stored {
    let positive: Vec<Bucket> = indexes.iter().map(|(index, count)| Bucket { index: *index, count: *count }).collect();
    let count = positive.iter().map(|bucket| bucket.count).sum::<f64>() + 2.0;
    let negative = vec![Bucket { index: -2, count: 1.0 }];
    let histogram = Native {
        hint,
        schema: 3,
        zero_threshold: 0.001,
        zero_count: 1.0,
        count,
        sum: 7.5,
        positive,
        negative,
        ..Native::default()
    };
    Stored { time, start: 0, value: histogram.into() }
}

#[test]
fn numbers_are_packed_as_prometheus_packs_them() {
    let regular: Vec<Stored> = (0..300).map(|n| float(1_700_000_000_000 + n * 15_000, n as f64)).collect();
    assert_eq!(check(&regular).len(), 3);
    let odd = [0.0, -0.0, f64::NAN, stale(), f64::INFINITY, f64::MIN_POSITIVE, 1e300, -1.5, -1.5, 5e-324];
    check(&odd.iter().enumerate().map(|(n, value)| float(n as i64 * 1_000, *value)).collect::<Vec<_>>());
    // The ends of each size of a difference.
    let mut time = 0;
    let steps = [1, 8_192, -8_191, 8_193, 65_536, 131_072, 524_288, 524_289, 1 << 40, 1, 1];
    let mut step = 1_000_000;
    let edges: Vec<Stored> = steps
        .into_iter()
        .map(|difference| {
            step += difference;
            time += step;
            float(time, 1.0)
        })
        .collect();
    check(&edges);
    check(&[float(i64::MIN / 1_000_000, 1.0), float(i64::MAX / 1_000_000, 2.0)]);
    // What Prometheus 3.14 writes for these two samples.
    let chunk = &check(&[float(1, 1.0), float(2, 1.0)])[0];
    assert_eq!(chunk.data, [0, 2, 2, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 1, 0]);
}

/// A histogram whose counts came as whole numbers.
fn counted(sample: Stored) -> Stored {
    let histogram = sample.value.histogram().unwrap().as_ref().clone();
    Stored { value: Native { is_whole: true, ..histogram }.into(), ..sample }
}

#[test]
fn histograms_of_whole_counts_are_packed_as_such() {
    let buckets = |n: i64| [(-1, n as f64), (0, 2.0), (7, (3 * n) as f64)];
    let mut samples: Vec<Stored> =
        (0..200).map(|n| counted(native(n * 15_000, Hint::Unknown, &buckets(n * n)))).collect();
    let kinds = |samples: &[Stored]| check(samples).iter().map(|chunk| chunk.r#type).collect::<Vec<_>>();
    assert_eq!(kinds(&samples), [2, 2]);
    let end = Native { is_whole: true, sum: stale(), ..Native::default() };
    samples.push(Stored { time: 4_000_000, start: 0, value: end.into() });
    // Buckets that come later, and those that a fall has emptied.
    for n in 0..100 {
        let later: Vec<(i32, f64)> = (0..=n).map(|index| (index, f64::from(n))).collect();
        samples.push(counted(native(4_100_000 + i64::from(n), Hint::Unknown, &later)));
    }
    samples.push(counted(native(4_200_000, Hint::Unknown, &[(0, 1e6)])));
    // One of halves, one of floats that are whole, and one of more than floats can count.
    samples.push(counted(native(5_000_000, Hint::Unknown, &[(0, 0.5)])));
    samples.push(native(6_000_000, Hint::Unknown, &[(0, 1.0)]));
    samples.push(counted(native(7_000_000, Hint::Unknown, &[(0, 1e17)])));
    samples.push(counted(native(8_000_000, Hint::Gauge, &[(0, 1e15)])));
    samples.push(counted(native(9_000_000, Hint::Gauge, &[(0, 1.0)])));
    assert_eq!(kinds(&samples), [2, 2, 2, 2, 2, 3, 2]);
    // Bit by bit, by Prometheus's description of the format: two samples, no hint, no zero bucket's width, schema 0, one span
    // of one bucket, none below; then time 1, count 1, count of the zero bucket 0, sum 1, bucket 1; then all as before, a second later.
    let one = |time: i64| {
        let positive = vec![Bucket { index: 0, count: 1.0 }];
        let histogram = Native { is_whole: true, count: 1.0, sum: 1.0, positive, ..Native::default() };
        Stored { time, start: 0, value: histogram.into() }
    };
    let chunk = &check(&[one(1), one(2)])[0];
    let bits = [
        "00000000",
        "0",
        "10001",
        "10001",
        "0",
        "0",
        "10001",
        "10001",
        "0",
        "0011111111110000000000000000000000000000000000000000000000000000",
        "10001",
        "10001",
        "0",
        "0",
        "0",
        "0",
    ];
    let mut bytes = vec![0, 2, 0];
    for byte in bits.concat().as_bytes().chunks(8) {
        bytes.push(byte.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0')) << (8 - byte.len()));
    }
    assert_eq!(chunk.data, bytes);
}

#[test]
fn histograms_are_packed_by_layout_and_reset() {
    let growing: Vec<Stored> =
        (0..5).map(|n| native(n * 1_000, Hint::Unknown, &[(-1, n as f64), (0, 2.0), (7, n as f64)])).collect();
    assert_eq!(check(&growing).len(), 1);
    let mut mixed = growing.clone();
    mixed.push(native(6_000, Hint::Unknown, &[(-1, 1.0), (0, 2.0), (7, 1.0)])); // fell
    mixed.push(native(7_000, Hint::Reset, &[(-1, 1.0), (0, 2.0), (7, 1.0)]));
    mixed.push(native(8_000, Hint::NotReset, &[(0, 2.0)])); // other buckets
    mixed.push(native(9_000, Hint::Gauge, &[(0, 3.0)]));
    mixed.push(native(10_000, Hint::Gauge, &[(0, 1.0)]));
    mixed.push(float(11_000, 1.0));
    mixed.push(Stored { time: 12_000, start: 0, value: Native { sum: stale(), ..Native::default() }.into() });
    let bounds: std::sync::Arc<[f64]> = [-1.0, 0.005, 0.1, 1.0 / 3.0, 1e9].into();
    let positive = vec![Bucket { index: 0, count: 1.0 }, Bucket { index: 5, count: 2.0 }];
    let custom = Native { schema: -53, count: 3.0, sum: 4.0, positive, bounds, ..Native::default() };
    mixed.push(Stored { time: 13_000, start: 0, value: custom.into() });
    assert_eq!(check(&mixed).len(), 8);
    for width in [0.0, 0.5f64.powi(128), 1.0, 1e-128, 2048.0, 1024.0, 0.5f64.powi(243), 0.5f64.powi(244)] {
        let histogram = Native { zero_threshold: width, ..Native::default() };
        check(&[Stored { time: 1, start: 0, value: histogram.into() }]);
    }
}

proptest! {
    #[test]
    fn any_numbers_and_times_are_read_back(
        samples in proptest::collection::vec((0..1i64 << 40, any::<u64>(), 0u32..64), 1..300),
    ) {
        let mut time = -(1i64 << 41);
        let samples: Vec<Stored> = samples
            .into_iter()
            .map(|(step, bits, shift)| {
                time += (step >> (shift % 40)) + 1;
                float(time, f64::from_bits(bits << shift))
            })
            .collect();
        check(&samples);
    }

    #[test]
    fn any_histograms_are_read_back(
        samples in proptest::collection::vec(
            (0..4u8, any::<bool>(), proptest::collection::btree_map(-40..40i32, 0..5u8, 0..6)), 1..40),
    ) {
        let samples: Vec<Stored> = samples
            .into_iter()
            .enumerate()
            .map(|(n, (hint, is_whole, buckets))| {
                let hint = [Hint::Unknown, Hint::Reset, Hint::NotReset, Hint::Gauge][usize::from(hint)];
                let buckets: Vec<(i32, f64)> = buckets.into_iter().map(|(index, count)| (index, count.into())).collect();
                let sample = native(n as i64 * 60_000, hint, &buckets);
                if is_whole { counted(sample) } else { sample }
            })
            .collect();
        check(&samples);
    }

    #[test]
    fn r1_any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), packed in any::<bool>()) {
        let body = if packed { snap::raw::Encoder::new().compress_vec(&bytes).unwrap() } else { bytes };
        if let Ok(request) = decoded(&body) {
            request.queries.iter().for_each(|query| drop(Selection::new(query)));
        }
    }
}

struct Server {
    fixture: Fixture,
    router: axum::Router,
}

/// A counter of two routes, half of it in a block, and a native histogram.
async fn server(config: Config) -> Server {
    let fixture = Fixture::new();
    let counter = |route: &'static str, minutes: i64, value: i64| TestPoint {
        name: "http.requests",
        attributes: vec![("route", route)],
        time: NOW - minutes * 60 * SECOND,
        start: Some(NOW - 3_600 * SECOND),
        data: PointData::Sum(Some(Number::Int(value))),
        ..TestPoint::default()
    };
    fixture.put(points(&[counter("/b", 4, 60), counter("/a", 3, 120), counter("/a", 4, 60)])).await;
    fixture.flush().await;
    let mut positive = Vec::new();
    put_buckets(&mut positive, 0, [1, 2]);
    let native = TestPoint {
        name: "size",
        time: NOW - 60 * SECOND,
        data: PointData::ExponentialHistogram {
            count: 4,
            sum: Some(9.0),
            min: None,
            max: None,
            scale: 0,
            zero_count: 1,
            zero_threshold: 0.0,
            positive: Vec::leak(positive),
            negative: &[],
        },
        ..TestPoint::default()
    };
    fixture.put(points(&[counter("/a", 2, 180), native])).await;
    let state = QueryState::new(config, fixture.engine.clone(), fixture.clock.clone(), Host::default());
    let router = crate::http::router(state.unwrap());
    Server { fixture, router }
}

impl Server {
    async fn post(&self, body: Vec<u8>) -> (StatusCode, axum::http::HeaderMap, Vec<u8>) {
        let request = axum::http::Request::post("/prometheus/api/v1/read").body(HttpBody::from(body)).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts.status, parts.headers, body.collect().await.unwrap().to_bytes().to_vec())
    }

    async fn ask(&self, request: &ReadRequest) -> (StatusCode, axum::http::HeaderMap, Vec<u8>) {
        self.post(snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap()).await
    }
}

fn query(matchers: &[(i32, &str, &str)], start: i64, end: i64) -> Query {
    let matcher = |(kind, name, value): &(i32, &str, &str)| LabelMatcher {
        r#type: *kind,
        name: (*name).to_owned(),
        value: (*value).to_owned(),
    };
    let (start_timestamp_ms, end_timestamp_ms) = (start, end);
    Query { start_timestamp_ms, end_timestamp_ms, matchers: matchers.iter().map(matcher).collect() }
}

/// The present, in milliseconds, and a minute.
const MS: i64 = NOW / 1_000_000;
const MINUTE: i64 = 60_000;

fn route(labels: &[Label]) -> &str {
    labels.iter().find(|label| label.name == "route").map_or("", |label| &label.value)
}

#[tokio::test]
async fn r3_samples_of_both_ends_are_answered() {
    let server = server(Config::default()).await;
    let queries = vec![
        query(&[(0, "__name__", "http_requests_total"), (2, "route", "/.*")], MS - 4 * MINUTE, MS - 2 * MINUTE),
        query(&[(0, "__name__", "size")], MS - 5 * MINUTE, MS),
        query(&[(0, "__name__", "http_requests_total"), (1, "route", "/b")], MS - 4 * MINUTE + 1, MS - 2 * MINUTE - 1),
        query(&[(0, "__name__", "none")], 0, MS),
        query(&[(0, "__name__", "http_requests_total")], MS, 0),
    ];
    let (status, headers, body) = server.ask(&ReadRequest { queries, accepted_response_types: vec![] }).await;
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
    assert_eq!(
        (&headers["content-type"], &headers["content-encoding"]),
        (&"application/x-protobuf".parse().unwrap(), &"snappy".parse().unwrap())
    );
    let message = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
    let results = ReadResponse::decode(message.as_slice()).unwrap().results;
    let told = |place: usize| -> Vec<(String, Vec<(i64, f64)>)> {
        let told = results[place].timeseries.iter().map(|series| {
            let samples = series.samples.iter().map(|sample| ((sample.timestamp - MS) / MINUTE, sample.value));
            (route(&series.labels).to_owned(), samples.collect())
        });
        told.collect()
    };
    let a = ("/a".to_owned(), vec![(-4, 60.0), (-3, 120.0), (-2, 180.0)]);
    assert_eq!(told(0), [a, ("/b".to_owned(), vec![(-4, 60.0)])]);
    assert_eq!(told(2), [("/a".to_owned(), vec![(-3, 120.0)])]);
    assert_eq!((told(3), told(4)), (vec![], vec![]));
    let names: Vec<&str> = results[0].timeseries[0].labels.iter().map(|label| label.name.as_str()).collect();
    assert_eq!(names, ["__name__", "instance", "job", "route"]);
    let histogram = &results[1].timeseries[0].histograms[0];
    assert_eq!((histogram.whole_count, histogram.sum, histogram.whole_zero_count), (Some(4), 9.0, Some(1)));
    assert_eq!((&histogram.positive_deltas, histogram.positive_spans[0].offset), (&vec![1, 1], 1));
    assert_eq!((histogram.count, histogram.zero_count, histogram.positive_counts.len()), (None, None, 0));
}

/// Milliseconds in 64 bits reach farther than the store's time.
#[tokio::test]
async fn r3_ranges_that_the_store_cannot_tell_have_no_samples() {
    let server = server(Config::default()).await;
    let (first, last) = (i64::MIN / 1_000_000, i64::MAX / 1_000_000);
    let ranges = [
        (i64::MIN, i64::MAX),
        (first - 1, last + 1),
        (last + 1, i64::MAX),
        (i64::MIN, first - 1),
        (i64::MAX, i64::MAX),
        (i64::MIN, i64::MIN),
        (i64::MAX, i64::MIN),
    ];
    for accepted_response_types in [vec![], vec![1]] {
        let mut lengths = Vec::new();
        for (start, end) in ranges {
            let queries = vec![query(&[(0, "__name__", "http_requests_total")], start, end)];
            let request = ReadRequest { queries, accepted_response_types: accepted_response_types.clone() };
            let (status, _, body) = server.ask(&request).await;
            assert_eq!(status, StatusCode::OK, "{start} {end}: {}", String::from_utf8_lossy(&body));
            lengths.push(body.len());
        }
        let nothing = lengths[6];
        assert!(lengths[0] > nothing + 100 && lengths[1] == lengths[0], "{lengths:?}");
        assert_eq!(lengths[2..], [nothing; 5]);
    }
}

#[tokio::test]
async fn r2_chunks_are_framed_and_checked() {
    let server = server(Config::default()).await;
    let queries = vec![
        query(&[(0, "__name__", "http_requests_total")], MS - 4 * MINUTE, MS),
        query(&[(0, "__name__", "size")], MS - 5 * MINUTE, MS),
    ];
    // A kind that is not known, then chunks, then samples.
    let request = ReadRequest { queries, accepted_response_types: vec![7, 1, 0] };
    let (status, headers, body) = server.ask(&request).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["content-type"], "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse");
    assert!(headers.get("content-encoding").is_none());
    let (mut frames, mut rest) = (Vec::new(), body.as_slice());
    while !rest.is_empty() {
        let mut reader = Reader { bytes: rest, at: 0 };
        let length = usize::try_from(reader.varint()).unwrap();
        let checksum = u32::try_from(reader.bits(32)).unwrap();
        let frame = &rest[reader.at / 8..][..length];
        assert_eq!(crc32c::crc32c(frame), checksum);
        frames.push(ChunkedReadResponse::decode(frame).unwrap());
        rest = &rest[reader.at / 8 + length..];
    }
    let told: Vec<(i64, &str, usize)> = frames
        .iter()
        .map(|frame| {
            let series = &frame.chunked_series[0];
            (frame.query_index, route(&series.labels), read(&series.chunks).len())
        })
        .collect();
    assert_eq!(told, [(0, "/a", 3), (0, "/b", 1), (1, "", 1)]);
    assert_eq!(frames[2].chunked_series[0].chunks[0].r#type, 2);
}

#[test]
fn long_series_are_cut_into_frames() {
    let samples = (0..400_000).map(|n| float(n, (n as f64).sqrt())).collect();
    let series = RawSeries::whole(Labels::new([("__name__", "a")]), samples);
    let bytes: usize = chunk::chunks(&series.samples).iter().map(prost::Message::encoded_len).sum();
    assert!(bytes > 2 * FRAME_BYTES, "{bytes}");
}

#[tokio::test]
async fn r5_errors_are_sentences() {
    let server = server(Config::default()).await;
    let ask = async |request: ReadRequest| {
        let (status, headers, body) = server.ask(&request).await;
        assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
        (status.as_u16(), String::from_utf8(body).unwrap())
    };
    let good = query(&[(0, "__name__", "a")], 0, MS);
    let one = |query: Query, kinds: Vec<i32>| ReadRequest { queries: vec![query], accepted_response_types: kinds };
    let (status, text) = ask(one(good.clone(), vec![9])).await;
    assert!(status == 400 && text.contains("does not support any of the requested response types"), "{text}");
    let (status, text) = ask(one(query(&[(2, "a", "(")], 0, MS), vec![])).await;
    assert!(status == 400 && text.ends_with('\n'), "{status} {text}");
    let (status, text) = ask(one(query(&[(5, "a", "b")], 0, MS), vec![])).await;
    assert!(status == 400 && text.contains("invalid matcher type"), "{text}");
    let many = ReadRequest { queries: vec![good.clone(); 65], accepted_response_types: vec![] };
    assert_eq!(ask(many).await.0, 400);
    for (body, expected) in [
        (vec![0xff, 0xff, 0xff, 0x7f, 0], "exceeds limit 1048576"),
        (b"no snappy".to_vec(), "snappy: corrupt input"),
        (vec![2, 4, 0xff, 0xff], "proto: "),
        (vec![0; (1 << 20) + 1], "longer than 1048576 bytes"),
        (vec![], "snappy: corrupt input"),
    ] {
        let (status, _, answer) = server.post(body).await;
        let text = String::from_utf8(answer).unwrap();
        assert!(status == StatusCode::BAD_REQUEST && text.contains(expected), "{expected}: {text}");
    }
    let get = axum::http::Request::get("/prometheus/api/v1/read").body(HttpBody::empty()).unwrap();
    let response = server.router.clone().oneshot(get).await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    server.fixture.flush().await;
}

#[tokio::test]
async fn r4_an_answer_has_the_memory_of_a_query() {
    let server = server(Config { memory_per_query: 500, ..Config::default() }).await;
    let good = query(&[(0, "__name__", "http_requests_total")], 0, MS);
    let request = ReadRequest { queries: vec![good], accepted_response_types: vec![1] };
    let (status, _, body) = server.ask(&request).await;
    let text = String::from_utf8(body).unwrap();
    assert!(status == StatusCode::BAD_REQUEST && text.contains("a query may hold"), "{status} {text}");
}
