//! Are stamped copies valid, different where they must be and equal where they must be?

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use proptest::prelude::*;
use prost::Message;

use super::super::json;
use super::*;
use crate::reading::{by_id, int, logs, metrics, run, small, spans};
use crate::{Batch, Config, Workload};

fn stamped(batches: &[Batch], seed: u64, generation: u64, clock: Clock) -> Vec<Batch> {
    let identity = Identity::new(seed);
    let stamp_one = |batch: &Batch| {
        let sites = scan(&batch.bytes, batch.signal, &identity).unwrap();
        assert_eq!(sites.items, batch.items);
        let mut bytes = batch.bytes.to_vec();
        stamp(&mut bytes, &sites, Form::Binary, &identity, generation, clock);
        Batch { bytes: bytes.into(), ..batch.clone() }
    };
    batches.iter().map(stamp_one).collect()
}

fn config() -> Config {
    Config { stop_after: Some(300), ..small() }
}

#[test]
fn p3_generation_zero_without_a_shift_changes_nothing() {
    let batches = run(config());
    assert!(stamped(&batches, config().seed, 0, Clock::Shift(0)) == batches);
}

#[test]
fn p1_p2_stamped_traces_hold_together_and_only_ids_and_times_differ() {
    let batches = run(config());
    let copy = stamped(&batches, config().seed, 7, Clock::Shift(1_000));
    let (before, after) = (spans(&batches), spans(&copy));
    let known = by_id(&after);
    for seen in &after {
        let span = &seen.span;
        assert!(span.parent_span_id.is_empty() || known.contains_key(&(&*span.trace_id, &*span.parent_span_id)));
        for link in &span.links {
            assert!(known.contains_key(&(&*link.trace_id, &*link.span_id)));
        }
    }
    for (old, new) in before.iter().zip(&after) {
        assert_eq!(old.span.start_time_unix_nano + 1_000, new.span.start_time_unix_nano);
        assert_eq!(old.span.end_time_unix_nano + 1_000, new.span.end_time_unix_nano);
        assert_ne!(old.span.span_id, new.span.span_id);
        assert_eq!((&old.span.name, &old.span.attributes), (&new.span.name, &new.span.attributes));
        for (old, new) in old.span.events.iter().zip(&new.span.events) {
            assert_eq!((old.time_unix_nano + 1_000, &old.attributes), (new.time_unix_nano, &new.attributes));
        }
    }
    for (_, record) in logs(&copy) {
        let id = (&*record.trace_id, &*record.span_id);
        assert!(record.trace_id.is_empty() || known.contains_key(&id));
    }
}

#[test]
fn p2_ids_are_unique_over_generations() {
    let batches = run(config());
    let mut ids = BTreeSet::new();
    let mut traces: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    let mut count = 0;
    for generation in 0..20 {
        for seen in spans(&stamped(&batches, config().seed, generation, Clock::Shift(0))) {
            assert!(ids.insert(seen.span.span_id), "a span id came twice");
            assert_eq!(*traces.entry(seen.span.trace_id).or_insert(generation), generation);
            count += 1;
        }
    }
    assert_eq!(ids.len(), count);
}

#[test]
fn metrics_can_be_moved_to_one_moment() {
    let batches = run(config());
    let copy = stamped(&batches, config().seed, 1, Clock::Fixed { start: 5_000, now: 6_000 });
    let mut gauges = 0;
    for (_, metric) in metrics(&copy) {
        use opentelemetry_proto::tonic::metrics::v1::metric::Data;
        match metric.data.unwrap() {
            Data::Sum(data) => {
                for point in data.data_points {
                    assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (5_000, 6_000));
                }
            }
            Data::Gauge(data) => {
                for point in data.data_points {
                    assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (0, 6_000));
                    gauges += 1;
                }
            }
            Data::Histogram(data) => {
                for point in data.data_points {
                    assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (5_000, 6_000));
                    assert!(point.exemplars.iter().all(|exemplar| exemplar.time_unix_nano == 6_000));
                }
            }
            Data::ExponentialHistogram(data) => assert!(data.data_points.iter().all(|p| p.time_unix_nano == 6_000)),
            Data::Summary(data) => assert!(data.data_points.iter().all(|p| p.time_unix_nano == 6_000)),
        }
    }
    assert!(gauges > 10);
}

#[test]
fn stamped_text_is_the_text_of_the_stamped_message() {
    let batches = run(config());
    let identity = Identity::new(config().seed);
    let mut seen = [0; 3];
    for batch in &batches {
        let sites = scan(&batch.bytes, batch.signal, &identity).unwrap();
        let (mut text, places) = json::to_json_with_sites(batch.signal, &batch.bytes, &identity, &sites).unwrap();
        stamp(&mut text, &places, Form::Text, &identity, 3, Clock::Shift(77_000_000_000));
        let mut binary = batch.bytes.to_vec();
        stamp(&mut binary, &sites, Form::Binary, &identity, 3, Clock::Shift(77_000_000_000));
        assert!(text == json::to_json(batch.signal, &binary).unwrap(), "{:?}", batch.signal);
        seen[batch.signal as usize] += 1;
    }
    assert!(seen.iter().all(|count| *count > 5), "{seen:?}");
}

#[test]
fn the_span_keys_of_a_scan_are_the_spans_of_the_message() {
    let batches = run(Config { max_batch: 50, ..config() });
    let identity = Identity::new(config().seed);
    for batch in batches.iter().filter(|batch| batch.signal == Signal::Spans) {
        let found = scan(&batch.bytes, Signal::Spans, &identity).unwrap().spans;
        let found: Vec<_> =
            found.iter().map(|(t, s)| (identity.trace_id(0, *t).to_vec(), identity.span_id(0, *s).to_vec())).collect();
        let request = ExportTraceServiceRequest::decode(batch.bytes.clone()).unwrap();
        let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        let expected: Vec<_> = scopes.flat_map(|scope| scope.spans).map(|span| (span.trace_id, span.span_id)).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn retries_are_marked_on_spans() {
    // Guards the attribute that durability tests look at against a rename.
    let start = small().start_unix_nano;
    let storm = crate::Incident {
        kind: crate::IncidentKind::RetryStorm,
        service: crate::Service::User,
        start,
        end: start + 60_000_000_000,
    };
    let seen = spans(&run(Config { incidents: vec![storm], ..config() }));
    assert!(seen.iter().any(|seen| int(&seen.span.attributes, "http.request.resend_count").is_some()));
}

proptest! {
    #[test]
    fn garbage_is_malformed_or_passed_but_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0_usize..4_000) {
        let identity = Identity::new(1);
        for signal in Signal::ALL {
            if let Ok(found) = scan(&bytes, signal, &identity) {
                prop_assert!(found.sites.iter().all(|site| (site.at as usize) < bytes.len()));
            }
        }
        static BATCH: std::sync::OnceLock<Batch> = std::sync::OnceLock::new();
        let batch = BATCH.get_or_init(|| Workload::new(config()).unwrap().next_batch().unwrap());
        let cut = cut.min(batch.bytes.len() - 1);
        let short = scan(&batch.bytes[..cut], batch.signal, &identity);
        prop_assert!(short.is_err() || cut == 0);
    }
}
