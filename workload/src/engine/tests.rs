//! Do the traces that the model sends hold together, and do incidents show where the truth says?

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use prost::Message;

use crate::config::SECOND;
use crate::reading::{Seen, by_id, int, run, small, spans, text, value};
use crate::{Batch, Config, Incident, IncidentKind, Service, Shape, Signal, Signals, Workload};

#[test]
fn g1_the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let config = Config { incidents: Incident::demo_schedule(small().start_unix_nano), ..small() };
    let first = run(config.clone());
    assert!(first == run(config.clone()));
    let other = run(Config { seed: 2, ..config });
    assert!(first != other);
    let ids = |batches: &[Batch]| -> BTreeSet<Vec<u8>> {
        spans(batches).into_iter().map(|seen| seen.span.trace_id).collect()
    };
    assert!(ids(&first).is_disjoint(&ids(&other)));
}

#[test]
fn g2_what_is_sent_does_not_change_what_happens() {
    let everything = run(small());
    for signal in Signal::ALL {
        let only = run(Config { signals: Signals::Only(signal), ..small() });
        assert!(only.iter().all(|batch| batch.signal == signal));
        let same: Vec<_> = everything.iter().filter(|batch| batch.signal == signal).cloned().collect();
        assert!(only == same, "{signal:?}");
    }
    let sorted = |batches: &[Batch]| {
        let mut ids: Vec<_> =
            spans(batches).into_iter().map(|seen| (seen.span.start_time_unix_nano, seen.span.span_id)).collect();
        ids.sort();
        ids
    };
    let tiny = run(Config { max_batch: 7, span_delay_nanos: SECOND, ..small() });
    assert!(sorted(&everything) == sorted(&tiny));
}

#[test]
fn g3_every_parent_is_in_the_trace_and_every_link_leads_to_a_span() {
    let seen = spans(&run(small()));
    let known = by_id(&seen);
    let (mut roots, mut links) = (0, 0);
    for Seen { span, .. } in &seen {
        if span.parent_span_id.is_empty() {
            roots += 1;
        } else {
            assert!(known.contains_key(&(&*span.trace_id, &*span.parent_span_id)), "{} has no parent", span.name);
        }
        for link in &span.links {
            let target = known[&(&*link.trace_id, &*link.span_id)];
            assert_eq!(target.span.kind(), SpanKind::Producer);
            links += 1;
        }
    }
    let traces: BTreeSet<_> = seen.iter().map(|seen| &seen.span.trace_id).collect();
    assert_eq!(roots, traces.len(), "one root per trace");
    assert!(links > 100, "{links} links");
}

#[test]
fn spans_lie_within_their_parents_unless_nobody_waits_for_them() {
    let seen = spans(&run(Config { incidents: vec![slow_payment(0, 30)], ..small() }));
    let known = by_id(&seen);
    let (mut checked, mut late) = (0, 0);
    for Seen { span, service, .. } in &seen {
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
        if span.parent_span_id.is_empty() {
            continue;
        }
        let parent = known[&(&*span.trace_id, &*span.parent_span_id)];
        assert!(span.start_time_unix_nano >= parent.span.start_time_unix_nano, "{} before its cause", span.name);
        match (span.kind(), parent.span.kind()) {
            (SpanKind::Consumer, SpanKind::Producer) => {
                assert!(span.start_time_unix_nano >= parent.span.end_time_unix_nano);
            }
            (SpanKind::Server, SpanKind::Client) => {
                assert_ne!(service, &parent.service);
                if span.end_time_unix_nano > parent.span.end_time_unix_nano {
                    assert!(parent.span.events.iter().any(|event| event.name == "exception"), "{} outlives", span.name);
                    late += 1;
                }
            }
            _ => {
                assert_eq!(service, &parent.service);
                assert!(span.end_time_unix_nano <= parent.span.end_time_unix_nano, "{} outlives", span.name);
            }
        }
        checked += 1;
    }
    assert!(checked > 10_000 && late > 5, "{checked} checked, {late} late");
}

#[test]
fn e1_requests_are_what_prost_writes_with_exact_counts_in_due_order() {
    let config = Config { max_batch: 100, ..small() };
    let batches = run(config.clone());
    assert!(batches.is_sorted_by_key(|batch| batch.due_unix_nano));
    let mut full = 0;
    for batch in &batches {
        let bytes = batch.bytes.clone();
        let again = match batch.signal {
            Signal::Spans => {
                let request = ExportTraceServiceRequest::decode(bytes).unwrap();
                assert_eq!(request.resource_spans.len(), 1);
                let scopes = &request.resource_spans[0].scope_spans;
                assert_eq!(scopes.iter().map(|scope| scope.spans.len() as u64).sum::<u64>(), batch.items);
                assert!(scopes.iter().all(|scope| scope.spans.is_sorted_by_key(|span| span.end_time_unix_nano)));
                assert!(batch.items <= 100);
                full += usize::from(batch.items == 100);
                request.encode_to_vec()
            }
            Signal::Logs => ExportLogsServiceRequest::decode(bytes).unwrap().encode_to_vec(),
            Signal::Metrics => ExportMetricsServiceRequest::decode(bytes).unwrap().encode_to_vec(),
        };
        assert!(again == batch.bytes, "{:?} is not canonical", batch.signal);
    }
    assert!(full > 50);
    let merged = run(Config { shape: Shape::Collector(5), ..config });
    let sum = |batches: &[Batch]| batches.iter().map(|batch| batch.items).sum::<u64>();
    assert_eq!(sum(&merged), sum(&batches));
    let request =
        ExportTraceServiceRequest::decode(merged.iter().find(|b| b.signal == Signal::Spans).unwrap().bytes.clone());
    assert_eq!(request.unwrap().resource_spans.len(), 5);
}

#[test]
fn sizes_are_those_of_real_traces() {
    let batches = run(Config { stop_after: Some(3_000), signals: Signals::Only(Signal::Spans), ..small() });
    let items: u64 = batches.iter().map(|batch| batch.items).sum();
    let bytes: usize = batches.iter().map(|batch| batch.bytes.len()).sum();
    let mean = bytes as f64 / items as f64;
    assert!((300.0..420.0).contains(&mean), "{mean} bytes per span");
    let mut sizes: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for seen in spans(&batches) {
        *sizes.entry(seen.span.trace_id).or_default() += 1;
    }
    let mean = items as f64 / sizes.len() as f64;
    assert!((8.0..25.0).contains(&mean), "{mean} spans per trace");
    assert!(sizes.values().any(|size| *size > 30));
}

#[test]
fn t1_spans_follow_the_semantic_conventions() {
    let seen = spans(&run(small()));
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for Seen { span, .. } in &seen {
        let keys: BTreeSet<_> = span.attributes.iter().map(|pair| &pair.key).collect();
        assert_eq!(keys.len(), span.attributes.len(), "{} repeats a key", span.name);
        let typed = span.kind() == SpanKind::Internal || has(span, &["error.type"]);
        assert!(!failed(span) || typed, "{} fails without a type", span.name);
        *kinds.entry(convention(span)).or_default() += 1;
    }
    assert_eq!(kinds.len(), 7, "{kinds:?}");
    assert!(kinds.values().all(|count| *count > 50), "{kinds:?}");
}

fn has(span: &Span, wanted: &[&str]) -> bool {
    wanted.iter().all(|key| value(&span.attributes, key).is_some())
}

fn failed(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code == 2)
}

/// Checks what the convention that a span follows asks of it, and names the convention.
fn convention(span: &Span) -> &'static str {
    let a = &span.attributes;
    if has(span, &["http.request.method"]) && span.kind() == SpanKind::Server {
        assert!(has(span, &["http.route", "url.path", "url.scheme", "http.response.status_code", "server.address"]));
        assert_eq!(failed(span), int(a, "http.response.status_code").unwrap() >= 500);
        assert!(span.name.starts_with(text(a, "http.request.method").unwrap()));
        return "http server";
    }
    if has(span, &["http.request.method"]) {
        assert_eq!(span.kind(), SpanKind::Client);
        assert!(has(span, &["url.full", "server.address", "server.port"]));
        assert_eq!(failed(span), int(a, "http.response.status_code").is_none_or(|code| code >= 400));
        return "http client";
    }
    if has(span, &["rpc.system.name"]) {
        assert!(has(span, &["rpc.method", "rpc.status_code", "server.address", "server.port"]));
        return "rpc";
    }
    if has(span, &["rpc.system"]) {
        assert!(has(span, &["rpc.service", "rpc.method", "rpc.grpc.status_code"]));
        return "rpc before 2026";
    }
    if has(span, &["db.system.name"]) {
        assert!(has(span, &["db.namespace", "db.operation.name", "db.query.text", "server.address"]));
        assert_eq!(text(a, "db.system.name") == Some("postgresql"), has(span, &["db.collection.name"]));
        return "database";
    }
    if has(span, &["messaging.system"]) {
        assert!(has(span, &["messaging.operation.name", "messaging.operation.type", "messaging.destination.name"]));
        assert!(matches!(span.kind(), SpanKind::Producer | SpanKind::Consumer));
        return "messaging";
    }
    assert_eq!(span.kind(), SpanKind::Internal, "{} is of no known kind", span.name);
    assert!(has(span, &["code.function.name"]));
    "internal"
}

#[test]
fn load_is_spread_over_all_instances() {
    let mut per_instance: BTreeMap<(String, String), u64> = BTreeMap::new();
    for Seen { service, instance, .. } in spans(&run(small())) {
        *per_instance.entry((service, instance)).or_default() += 1;
    }
    let deployed: usize = Service::ALL.iter().map(|service| usize::from(service.deployment().instances)).sum();
    assert_eq!(per_instance.len(), deployed);
    for ((service, _), count) in &per_instance {
        let most = per_instance.iter().filter(|((other, _), _)| other == service).map(|(_, count)| count).max();
        assert!(count * 2 > *most.unwrap(), "{service} is not balanced");
    }
}

fn slow_payment(from: u64, to: u64) -> Incident {
    incident(IncidentKind::SlowDependency, Service::Payment, from, to)
}

fn incident(kind: IncidentKind, service: Service, from: u64, to: u64) -> Incident {
    let start = Config::default().start_unix_nano;
    Incident { kind, service, start: start + from * SECOND, end: start + to * SECOND }
}

/// Server spans of a service that began in a window of seconds.
fn served(seen: &[Seen], service: Service, from: u64, to: u64) -> Vec<&Seen> {
    let start = Config::default().start_unix_nano;
    let window = start + from * SECOND..start + to * SECOND;
    let here = |seen: &&Seen| {
        seen.service == service.name()
            && seen.span.kind() == SpanKind::Server
            && window.contains(&seen.span.start_time_unix_nano)
    };
    seen.iter().filter(here).collect()
}

fn error_share(spans: &[&Seen]) -> f64 {
    let errors = spans.iter().filter(|seen| seen.span.status.as_ref().is_some_and(|status| status.code == 2)).count();
    errors as f64 / spans.len() as f64
}

fn median_ms(spans: &[&Seen]) -> f64 {
    let mut took: Vec<_> =
        spans.iter().map(|seen| seen.span.end_time_unix_nano - seen.span.start_time_unix_nano).collect();
    took.sort_unstable();
    took[took.len() / 2] as f64 / 1e6
}

/// A minute of quiet, a minute with an incident, and after a pause another quiet one.
fn incident_run(kind: IncidentKind, service: Service) -> Vec<Seen> {
    let config = Config {
        stop_after: Some(8_000),
        requests_per_second: 30.0,
        incidents: vec![incident(kind, service, 60, 120)],
        signals: Signals::Only(Signal::Spans),
        ..Config::default()
    };
    spans(&run(config))
}

#[test]
fn n1_a_slow_dependency_is_slow_during_the_incident_only_and_spreads_to_dependants_only() {
    let seen = incident_run(IncidentKind::SlowDependency, Service::Payment);
    let ratio =
        |service, from, to| median_ms(&served(&seen, service, from, to)) / median_ms(&served(&seen, service, 0, 60));
    assert!(ratio(Service::Payment, 60, 120) > 4.0, "{}", ratio(Service::Payment, 60, 120));
    assert!(ratio(Service::Payment, 150, 200) < 1.5);
    for bystander in Service::ALL {
        if !Service::Payment.dependants().contains(&bystander) && bystander != Service::Notification {
            let ratio = ratio(bystander, 60, 120);
            assert!((0.6..1.6).contains(&ratio), "{bystander:?} changed by {ratio}");
        }
    }
    assert!(error_share(&served(&seen, Service::Order, 60, 120)) > error_share(&served(&seen, Service::Order, 0, 60)));
}

#[test]
fn n1_an_error_burst_shows_in_the_service_and_its_callers_and_ends() {
    let seen = incident_run(IncidentKind::ErrorBurst, Service::Inventory);
    let share = |service, from, to| error_share(&served(&seen, service, from, to));
    assert!((0.25..0.45).contains(&share(Service::Inventory, 60, 120)));
    assert!(share(Service::Inventory, 0, 60) < 0.01 && share(Service::Inventory, 130, 200) < 0.01);
    assert!(share(Service::Gateway, 60, 120) > 3.0 * share(Service::Gateway, 0, 60).max(0.002));
    for bystander in [Service::User, Service::Search, Service::Payment, Service::Recommend, Service::Shipping] {
        assert!(share(bystander, 60, 120) < 0.02, "{bystander:?}");
    }
}

#[test]
fn n1_a_retry_storm_multiplies_the_load_of_its_service() {
    let seen = incident_run(IncidentKind::RetryStorm, Service::Shipping);
    let count = |from, to| served(&seen, Service::Shipping, from, to).len() as f64 / (to - from) as f64;
    assert!(count(60, 120) > 1.8 * count(0, 60), "{} against {}", count(60, 120), count(0, 60));
    assert!(count(140, 200) < 1.5 * count(0, 60));
    let resent = seen.iter().filter(|seen| int(&seen.span.attributes, "rpc.retry.count").is_some()).count();
    assert!(resent > 100, "{resent} retries");
}

#[test]
fn n1_a_cold_cache_sends_reads_to_the_database() {
    let seen = incident_run(IncidentKind::ColdCache, Service::Cart);
    let start = Config::default().start_unix_nano;
    let reads = |from: u64, to: u64| {
        let window = start + from * SECOND..start + to * SECOND;
        let count = |name: &str| {
            seen.iter()
                .filter(|seen| seen.span.name == name && window.contains(&seen.span.start_time_unix_nano))
                .count()
        };
        count("SELECT cart_items") as f64 / count("HGETALL") as f64
    };
    assert!(reads(0, 60) < 0.15 && reads(130, 200) < 0.15, "{} and {}", reads(0, 60), reads(130, 200));
    assert!(reads(60, 120) > 0.85, "{}", reads(60, 120));
}

#[test]
fn latency_follows_load() {
    let ninetieth_ms = |requests_per_second: f64| {
        let config =
            Config { requests_per_second, stop_after: Some(4_000), signals: Signals::Only(Signal::Spans), ..small() };
        let mut shop = Workload::new(config).unwrap();
        for place in shop.fleet.of(Service::Order) {
            // The same small machines whatever the load.
            shop.fleet.instances[place].workers = 1;
        }
        let batches: Vec<_> = std::iter::from_fn(|| shop.next_batch()).collect();
        let mut took: Vec<_> = spans(&batches)
            .iter()
            .filter(|seen| seen.service == "gateway" && seen.span.name == "GET /orders/{order_id}")
            .map(|seen| seen.span.end_time_unix_nano - seen.span.start_time_unix_nano)
            .collect();
        took.sort_unstable();
        took[took.len() * 9 / 10] as f64 / 1e6
    };
    let (calm, busy) = (ninetieth_ms(5.0), ninetieth_ms(150.0));
    assert!(busy > 1.5 * calm, "{calm} ms at 5/s, {busy} ms at 150/s");
}
