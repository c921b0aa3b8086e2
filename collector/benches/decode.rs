//! How much does decoding into columns cost, against prost decoding the same bytes into messages?
//!
//! Prints `bench-row: {json}` lines. The target is a ratio of CPU-bound times in one run, so that it holds on any
//! machine.
#![expect(clippy::print_stdout, reason = "the rows are the product")]
#![expect(clippy::disallowed_methods, reason = "time is what is measured")]
#![expect(clippy::unwrap_used, reason = "a benchmark may end when its own input is wrong")]

use collector::decode::{DecodeLimits, decode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};
use prost::Message as _;
use std::hint::black_box;
use std::time::Instant;
use storage::model::Signal;

const BATCHES: u64 = 40;
const SPANS_PER_BATCH: u64 = 500;
const ROUNDS: usize = 20;

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.into())) });
    KeyValue { key: key.into(), value, ..KeyValue::default() }
}

fn int(key: &str, value: u64) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::IntValue(value.cast_signed())) });
    KeyValue { key: key.into(), value, ..KeyValue::default() }
}

/// A server span as an HTTP instrumentation makes it: about 350 bytes, ten attributes.
fn span(seed: u64) -> Span {
    let mix = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let start = 1_790_000_000_000_000_000 + seed * 1_000_003;
    let id = |salt: u64| (mix ^ salt.wrapping_mul(0xd6e8_feb8_6659_fd93) | 1).to_be_bytes();
    let routes = ["/cart/{id}", "/checkout", "/api/v1/items/{item}", "/health"];
    let route = routes[usize::try_from(mix % 4).unwrap()];
    Span {
        trace_id: [id(1), id(2)].concat(),
        span_id: id(3).to_vec(),
        parent_span_id: id(4).to_vec(),
        flags: 0x101,
        name: format!("GET {route}"),
        kind: span::SpanKind::Server.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: start + mix % 50_000_000,
        attributes: vec![
            text("http.request.method", "GET"),
            text("url.path", format!("/api/v1/items/{}", mix % 10_000)),
            text("url.scheme", "http"),
            text("server.address", "shop.example"),
            int("server.port", 8080),
            int("http.response.status_code", 200),
            text("http.route", route),
            text("network.protocol.version", "1.1"),
            text("client.address", format!("10.0.{}.{}", mix % 256, mix / 256 % 256)),
            text("user_agent.original", "Mozilla/5.0"),
        ],
        status: Some(Status::default()),
        ..Span::default()
    }
}

fn batch(index: u64) -> Vec<u8> {
    let spans = (0..SPANS_PER_BATCH).map(|at| span(index * SPANS_PER_BATCH + at)).collect();
    let scope = Some(InstrumentationScope { name: "http".into(), version: "1.2.3".into(), ..Default::default() });
    let attributes = vec![text("service.name", "cart"), text("host.name", "node-7"), text("service.version", "4.5")];
    let resource = Some(Resource { attributes, ..Resource::default() });
    let scope_spans = vec![ScopeSpans { scope, spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// Nanoseconds per span of one round.
fn round(batches: &[Vec<u8>], mut run: impl FnMut(&[u8])) -> f64 {
    let started = Instant::now();
    batches.iter().for_each(|batch| run(batch));
    started.elapsed().as_secs_f64() * 1e9 / (BATCHES * SPANS_PER_BATCH) as f64
}

fn main() {
    let batches: Vec<_> = (0..BATCHES).map(batch).collect();
    let bytes = batches.iter().map(Vec::len).sum::<usize>() as f64 / (BATCHES * SPANS_PER_BATCH) as f64;
    let limits = DecodeLimits::default();
    // The fastest rounds count, taken in turns: others on the machine only ever make one slower.
    let (mut prost, mut ours) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        prost = prost.min(round(&batches, |batch| {
            black_box(ExportTraceServiceRequest::decode(batch).unwrap());
        }));
        ours = ours.min(round(&batches, |batch| {
            black_box(decode(Signal::Spans, 0, batch, &limits).unwrap());
        }));
    }
    let ratio = ours / prost;
    println!(r#"bench-row: {{"name":"decode.span_bytes","value":{bytes:.0},"unit":"B","target":null}}"#);
    println!(r#"bench-row: {{"name":"decode.prost","value":{prost:.0},"unit":"ns/span","target":null}}"#);
    println!(r#"bench-row: {{"name":"decode.columns","value":{ours:.0},"unit":"ns/span","target":null}}"#);
    println!(r#"bench-row: {{"name":"decode.columns_to_prost","value":{ratio:.2},"unit":"ratio","target":"<= 1"}}"#);
}
