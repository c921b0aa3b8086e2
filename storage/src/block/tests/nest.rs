//! The numbers of spans that a block derives are those of its rows' trees, in whatever row groups the traces lie.

use super::*;
use crate::model::attribute::Map;
use crate::model::{Span, SpanBatchBuilder, SpanId};
use crate::scan::{Compare, Field, Predicate, Scalar};
use crate::trace::with_numbers;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Spans of some traces, no two with one start, whose parents are any ids: trees, cycles, spans that come twice.
pub(crate) fn spans(seed: u64, traces: u8, ids: u8, count: i64) -> Vec<Batch> {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut batches = Vec::new();
    for from in (0..count).step_by(37) {
        let mut builder = SpanBatchBuilder::default();
        for row in from..count.min(from + 37) {
            let parent = random.random_range(0..=ids);
            // Odd times ahead and even ones back, so that time goes neither way.
            let start = 1_000_000 + i64::try_from(seed % 1000).unwrap() + if row % 2 == 0 { row } else { -row } * 1000;
            let id = TraceId([random.random_range(0..traces) + 1; 16]);
            let kind = random.random_range(1..4);
            let span_id = SpanId([random.random_range(0..ids) + 1; 8]);
            let parent = (parent > 0).then_some(SpanId([parent; 8]));
            builder.append(&plain(id, span_id, parent, start, kind)).unwrap();
        }
        batches.push(builder.finish().unwrap());
    }
    batches
}

/// A span of which nothing but its place in the tree is said.
pub(crate) fn plain(
    trace_id: TraceId,
    span_id: SpanId,
    parent: Option<SpanId>,
    start: i64,
    kind: i32,
) -> Span<'static> {
    Span {
        trace_id,
        span_id,
        parent_span_id: parent,
        trace_state: "",
        flags: 0,
        name: "n",
        kind,
        start,
        duration: 1,
        status_code: 0,
        status_message: "",
        attributes: Map::default(),
        dropped_attributes_count: 0,
        events: &[],
        dropped_events_count: 0,
        links: &[],
        dropped_links_count: 0,
    }
}

/// What tells a span of [`spans`] from others, and its numbers.
pub(crate) const NUMBERED: [&str; 6] = [
    name::TRACE_ID,
    name::START,
    name::NESTED_SET_LEFT,
    name::NESTED_SET_RIGHT,
    name::NESTED_SET_PARENT,
    name::CHILD_COUNT,
];

/// The rows that a request should answer of spans, by the trees of all of them.
pub(crate) fn numbered(batches: &[RecordBatch], request: &ScanRequest) -> Vec<Row> {
    let batches = with_numbers(batches).unwrap();
    rows(&batches.iter().filter_map(|batch| filter(Signal::Spans, batch, request).unwrap()).collect::<Vec<_>>())
}

fn requests() -> Vec<ScanRequest> {
    let all = || ScanRequest::all(NUMBERED);
    let compare = |column, compare, value| Predicate::Compare {
        field: Field::Column(column),
        compare,
        value: Scalar::Int(value),
    };
    let with = |predicate| ScanRequest { predicate, ..all() };
    vec![
        all(),
        with(compare(name::NESTED_SET_PARENT, Compare::Less, 0)),
        with(compare(name::CHILD_COUNT, Compare::GreaterOrEqual, 3)),
        with(Predicate::Not(Box::new(compare(name::NESTED_SET_LEFT, Compare::Greater, 4)))),
        with(Predicate::Trace(TraceId([2; 16]))),
        with(Predicate::Trace(TraceId([2; 16])).and(compare(name::NESTED_SET_PARENT, Compare::Equal, 1))),
        with(compare(name::KIND, Compare::Equal, 2).and(Predicate::Exists(Field::Column(name::NESTED_SET_LEFT)))),
        ScanRequest { order: ScanOrder::Newest, ..all() },
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn z1_a_block_derives_the_numbers_of_its_rows(
        seed: u64, traces in 1u8..40, ids in 1u8..60, count in 1i64..300, group_rows in prop_oneof![Just(4usize), Just(50), Just(1000)],
    ) {
        let batches = spans(seed, traces, ids, count);
        let config = BlockConfig { row_group_rows: group_rows, ..small() };
        let (block, _disk) = store(Signal::Spans, &batches, &config);
        prop_assert!(group_rows < 1000 || block.meta().traces_apart == Some(0));
        let all = record_batches(&batches);
        for request in requests() {
            prop_assert_eq!(rows(&scan_all(&block, request.clone())), numbered(&all, &request), "{:?}", request);
        }
        let of_trace = block.trace(&TraceId([1; 16]), &NUMBERED).unwrap();
        let request = ScanRequest { predicate: Predicate::Trace(TraceId([1; 16])), ..ScanRequest::all(NUMBERED) };
        prop_assert_eq!(rows(&of_trace), numbered(&all, &request));
    }
}

#[test]
fn z2_a_trace_of_a_hundred_thousand_levels_is_numbered_within_a_row_group_and_across() {
    let id = |number: u64| SpanId(number.to_be_bytes());
    let mut builder = SpanBatchBuilder::default();
    for (trace, levels) in [(1, 30_000), (2, 100_000)] {
        for level in 0..levels {
            let parent = (level > 0).then(|| id(level));
            let start = i64::try_from(level).unwrap();
            builder.append(&plain(TraceId([trace; 16]), id(level + 1), parent, start, 1)).unwrap();
        }
    }
    let (block, _disk) = store(Signal::Spans, &[builder.finish().unwrap()], &BlockConfig::default());
    assert_eq!(block.meta().traces_apart, Some(1));
    for (trace, levels) in [(1, 30_000), (2, 100_000)] {
        let request = ScanRequest {
            predicate: Predicate::Trace(TraceId([trace; 16])),
            ..ScanRequest::all([name::START, name::NESTED_SET_LEFT, name::NESTED_SET_RIGHT])
        };
        let mut seen = 0;
        for batch in scan_all(&block, request) {
            let [level, left, right] = [0, 1, 2].map(|column| as_i64(batch.column(column)));
            for row in 0..batch.num_rows() {
                assert_eq!((left[row], right[row]), (level[row] + 1, levels * 2 - level[row]));
            }
            seen += batch.num_rows();
        }
        assert_eq!(i64::try_from(seen), Ok(levels));
    }
}

#[test]
fn logs_have_no_tree() {
    let (block, _disk) = store(Signal::Logs, &Random::new(1).batches(Signal::Logs, 20), &small());
    let request = ScanRequest::all([name::NESTED_SET_LEFT]);
    assert_eq!(block.scan(&Arc::new(request)).unwrap_err().class(), crate::error::Class::Caller);
    assert_eq!(block.meta().traces_apart, None);
}
