use super::*;
use crate::model::attribute::{Map, MapBuilder, Value};
use crate::model::origin::{Resource, Scope};
use crate::model::trace_state;
use crate::model::{Span, SpanBatchBuilder, SpanId};
use crate::sampling::{SamplingPolicy, SpanStatus, TailSampling, Traces};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

const SECOND: i64 = 1_000_000_000;
const MOST: u64 = (1 << 56) - 1;

#[derive(Debug, Clone)]
struct Sent {
    randomness: u64,
    id: u64,
    is_root: bool,
    service: &'static str,
    start: i64,
    duration: i64,
    status: i32,
    own: Option<(&'static str, Value<'static>)>,
    of_resource: Option<(&'static str, &'static str)>,
    state: &'static str,
}

fn sent(randomness: u64) -> Sent {
    Sent {
        randomness,
        id: 1,
        is_root: true,
        service: "shop",
        start: SECOND,
        duration: 1_000,
        status: 0,
        own: None,
        of_resource: None,
        state: "",
    }
}

fn trace(randomness: u64) -> TraceId {
    TraceId((u128::from(randomness) | 7 << 64).to_be_bytes())
}

fn policy(name: &str) -> SamplingPolicy {
    SamplingPolicy {
        name: name.into(),
        status: None,
        min_duration_ms: None,
        attribute: None,
        equals: None,
        matches: None,
        keep: None,
        traces_per_second: None,
    }
}

fn policies(list: &[SamplingPolicy]) -> Policies {
    let config = TailSampling { policies: list.to_vec(), ..TailSampling::default() };
    config.check("it").unwrap();
    Policies::new(&config).unwrap()
}

fn gathered(policies: &Policies, spans: &[Sent]) -> Traces {
    let mut traces = Traces::default();
    for span in spans {
        let mut builder = SpanBatchBuilder::default();
        let mut resource = MapBuilder::default();
        resource.push("service.name", Value::String(span.service));
        span.of_resource.into_iter().for_each(|(key, value)| resource.push(key, Value::String(value)));
        let resource = resource.finish();
        builder.set_resource(&Resource { attributes: Map::new(&resource), ..Resource::default() });
        builder.set_scope(&Scope::default());
        let mut attributes = MapBuilder::default();
        span.own.into_iter().for_each(|(key, value)| attributes.push(key, value));
        let attributes = attributes.finish();
        let made = Span {
            start: span.start,
            duration: span.duration,
            status_code: span.status,
            trace_state: span.state,
            attributes: Map::new(&attributes),
            parent_span_id: (!span.is_root).then_some(SpanId([9; 8])),
            ..Span::new(trace(span.randomness), SpanId(span.id.to_be_bytes()))
        };
        builder.append(&made).unwrap();
        traces.add(policies, builder.finish().unwrap().columns(), |_| true).unwrap();
    }
    traces
}

/// What becomes of the traces, each by the name of its policy and whether it is kept, by randomness.
fn decided(list: &[SamplingPolicy], spans: &[Sent]) -> BTreeMap<u64, (String, bool)> {
    let policies = policies(list);
    let traces = gathered(&policies, spans);
    let decided = policies.decide(traces.of.iter());
    let told = |(id, decision): (&TraceId, &Decision)| {
        let told = match decision {
            Decision::Kept(policy, _) => (policies.name(*policy).to_owned(), true),
            Decision::Dropped(policy) => (policies.name(Some(*policy)).to_owned(), false),
        };
        (trace_state::randomness(id), told)
    };
    decided.iter().map(told).collect()
}

fn check(list: &[SamplingPolicy], spans: &[Sent], expected: (&str, bool)) {
    for spans in [spans.to_vec(), spans.iter().rev().cloned().collect()] {
        let decided: Vec<_> = decided(list, &spans).into_values().collect();
        assert_eq!(decided, [(expected.0.to_owned(), expected.1)], "{spans:?}");
    }
}

fn errors() -> SamplingPolicy {
    SamplingPolicy { status: Some(SpanStatus::Error), ..policy("errors") }
}

fn slow() -> SamplingPolicy {
    SamplingPolicy { min_duration_ms: Some(500), ..policy("slow") }
}

fn rest(share: f64) -> SamplingPolicy {
    SamplingPolicy { keep: Some(share), ..policy("rest") }
}

#[test]
fn y1_the_first_policy_that_a_trace_meets_decides() {
    let list = [errors(), slow(), rest(0.5)];
    let failed = Sent { id: 2, status: 2, is_root: false, ..sent(0) };
    check(&list, &[sent(0), failed.clone()], ("errors", true));
    check(&list, &[Sent { duration: 500_000_000, ..sent(0) }], ("slow", true));
    check(&list, &[Sent { duration: 499_999_999, ..sent(0) }], ("rest", false));
    check(&list, &[sent(MOST)], ("rest", true));
    check(&list, &[sent(MOST / 2)], ("rest", false));
    check(&list, &[sent(MOST / 2 + 1)], ("rest", true));
    check(&[errors(), slow()], &[sent(0)], ("default", true));
    check(&[rest(0.0)], &[sent(MOST)], ("rest", false));
    let none_of_errors = SamplingPolicy { keep: Some(0.0), ..errors() };
    check(&[none_of_errors.clone(), rest(1.0)], &[sent(MOST)], ("rest", true));
    check(&[none_of_errors, rest(1.0)], &[Sent { status: 2, ..sent(MOST) }], ("errors", false));
    check(&[errors(), rest(0.0)], &[Sent { status: 1, ..sent(MOST) }], ("rest", false));
    // All conditions of a policy hold, whichever span meets them.
    let both = SamplingPolicy { min_duration_ms: Some(500), ..errors() };
    check(&[both.clone(), rest(0.0)], &[sent(0), failed.clone()], ("rest", false));
    check(&[both, rest(0.0)], &[Sent { duration: SECOND, ..sent(0) }, failed], ("errors", true));
}

#[test]
fn z2_a_duration_reaches_from_the_first_start_to_the_last_end_whatever_clocks_say() {
    let list = [slow(), rest(0.0)];
    let child = |start, duration| Sent { id: 2, is_root: false, start, duration, ..sent(0) };
    check(&list, &[sent(0), child(SECOND + SECOND / 2, 1_000)], ("slow", true));
    check(&list, &[sent(0), child(0, 1_000)], ("slow", true));
    check(&list, &[sent(0), child(SECOND, -5)], ("rest", false));
    check(&list, &[sent(0), child(i64::MIN, i64::MAX)], ("slow", true));
    check(&list, &[sent(0), child(i64::MAX, i64::MAX)], ("slow", true));
}

#[test]
fn attributes_are_those_of_the_span_else_of_its_resource_and_compare_as_text() {
    let of = |key: &str, equals: Option<&str>, matches: Option<&str>| {
        let (equals, matches) = (equals.map(Into::into), matches.map(Into::into));
        [SamplingPolicy { attribute: Some(key.into()), equals, matches, ..policy("it") }, rest(0.0)]
    };
    let own = |value| Sent { own: Some(("k", value)), of_resource: Some(("k", "r")), ..sent(0) };
    let met = |list: &[SamplingPolicy; 2], span: Sent, expected: bool| {
        check(list, &[sent(0), span], if expected { ("it", true) } else { ("rest", false) });
    };
    met(&of("k", Some("a"), None), own(Value::String("a")), true);
    met(&of("k", Some("r"), None), own(Value::String("a")), false);
    met(&of("k", Some("r"), None), Sent { of_resource: Some(("k", "r")), ..sent(0) }, true);
    met(&of("k", Some("200"), None), own(Value::Int(200)), true);
    met(&of("k", Some("true"), None), own(Value::Bool(true)), true);
    met(&of("k", Some("0.5"), None), own(Value::Double(0.5)), true);
    met(&of("k", None, Some("2..")), own(Value::Int(200)), true);
    met(&of("k", None, Some("a")), own(Value::String("ab")), false);
    met(&of("k", None, Some("a|ab")), own(Value::String("ab")), true);
    met(&of("k", None, None), own(Value::Empty), true);
    met(&of("other", None, None), own(Value::String("a")), false);
    met(&of("k", Some(""), None), own(Value::Bytes(b"a")), false);
    met(&of("service.name", Some("shop"), None), sent(0), true);
}

#[test]
fn h1_what_a_span_says_of_its_randomness_counts_instead_of_the_id() {
    let says = Sent { state: "ot=rv:ffffffffffffff", ..sent(0) };
    check(&[rest(0.5)], std::slice::from_ref(&says), ("rest", true));
    check(&[rest(0.5)], &[sent(0), says], ("rest", true));
    check(&[rest(0.5)], &[Sent { state: "ot=rv:00000000000000", ..sent(MOST) }], ("rest", false));
}

fn limited(rate: f64) -> SamplingPolicy {
    SamplingPolicy { traces_per_second: Some(rate), ..policy("limit") }
}

#[test]
fn q1_a_rate_keeps_so_many_of_each_service_and_ten_seconds() {
    let mut spans = Vec::new();
    for number in 0..100u64 {
        let service = if number % 2 == 0 { "shop" } else { "bank" };
        let start = if number < 50 { SECOND } else { 11 * SECOND };
        spans.push(Sent { service, start, ..sent(number << 40) });
    }
    let decided = decided(&[limited(0.7)], &spans);
    let kept: Vec<u64> = decided.iter().filter(|(_, (_, kept))| *kept).map(|(trace, _)| trace >> 40).collect();
    let expected: Vec<u64> = (36..50).chain(86..100).collect();
    assert_eq!(kept, expected);
    // A service has no root here: its earliest span tells.
    let late = Sent { service: "late", is_root: false, start: 5 * SECOND, id: 2, ..sent(1) };
    let early = Sent { service: "early", is_root: false, ..sent(1) };
    let policies = policies(&[limited(1.0)]);
    let traces = [[early.clone(), late.clone()], [late, early]].map(|spans| gathered(&policies, &spans));
    let service = |traces: &Traces| traces.of.values().map(|traits| traits.duration()).collect::<Vec<_>>();
    assert_eq!(service(&traces[0]), service(&traces[1]));
}

#[test]
fn q1_of_traces_with_one_randomness_all_are_kept_or_none() {
    // Eleven where ten may stay: eight of the same, which are not told apart.
    let id = |high: u128, randomness: u64| TraceId((high << 64 | u128::from(randomness)).to_be_bytes());
    let policies = policies(&[limited(1.0)]);
    let one = gathered(&policies, &[sent(5)]).of.into_values().next().unwrap();
    let mut traces: Vec<TraceId> = (0..8).map(|high| id(high + 1, 5)).collect();
    traces.extend((0..5).map(|more| id(9, 6 + more)));
    let decided = policies.decide(traces.iter().map(|id| (id, &one)));
    let kept = decided.iter().filter(|(_, decision)| matches!(decision, Decision::Kept(..)));
    let mut kept: Vec<u64> = kept.map(|(id, _)| trace_state::randomness(id)).collect();
    kept.sort_unstable();
    assert_eq!(kept, [6, 7, 8, 9, 10]);
}

/// Counts of many samplings of the same traces: their mean, and its standard error.
fn estimated(list: &[SamplingPolicy], rounds: u64, traces: u64) -> (f64, f64) {
    let policies = policies(list);
    let mut random = Pcg64::seed_from_u64(7);
    let one = gathered(&policies, &[sent(5)]).of.into_values().next().unwrap();
    let counts: Vec<f64> = (0..rounds)
        .map(|_| {
            let ids: Vec<TraceId> = (0..traces).map(|_| TraceId(random.random::<u128>().to_be_bytes())).collect();
            let decided = policies.decide(ids.iter().map(|id| (id, &one)));
            let weight = |decision: &Decision| match decision {
                Decision::Kept(_, threshold) => threshold.adjusted_count(),
                Decision::Dropped(_) => 0.0,
            };
            decided.values().map(weight).sum()
        })
        .collect();
    let mean = counts.iter().sum::<f64>() / rounds as f64;
    let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / (rounds - 1) as f64;
    (mean, (variance / rounds as f64).sqrt())
}

#[test]
fn y1_what_is_kept_tells_for_how_many_it_stands() {
    for list in [[rest(0.1)], [rest(0.01)], [limited(3.0)], [limited(0.5)]] {
        let (mean, error) = estimated(&list, 400, 1_000);
        assert!((mean - 1_000.0).abs() < 4.0 * error, "{list:?}: {mean} ± {error}");
        assert!(error < 40.0, "{list:?}: {mean} ± {error}");
    }
    assert_eq!(estimated(&[rest(1.0)], 3, 100), (100.0, 0.0));
    assert_eq!(estimated(&[limited(10.0)], 3, 100), (100.0, 0.0));
}
