use super::*;
use crate::fixture::Fixture;
use query_api::otlp::{Resource, ResourceSpans, Scope, ScopeSpans, Status};

fn span(id: u64, parent: u64, name: &str, took: u64) -> Span {
    let hex = |id: u64| if id == 0 { String::new() } else { format!("{id:016x}") };
    Span {
        trace_id: "01".repeat(16),
        span_id: hex(id),
        parent_span_id: hex(parent),
        name: name.into(),
        kind: 3,
        start_time_unix_nano: 1_000_000 * id,
        end_time_unix_nano: 1_000_000 * (id + took),
        ..Span::default()
    }
}

fn with(span: Span, key: &str, value: &str) -> Span {
    let attributes = vec![KeyValue { key: key.into(), value: AnyValue::StringValue(value.into()) }];
    Span { attributes, ..span }
}

fn failed(span: Span) -> Span {
    Span { status: Status { code: 2, ..Status::default() }, ..span }
}

fn trace(services: Vec<Vec<Span>>) -> TracesData {
    let scope = |spans| ScopeSpans { scope: Scope::default(), spans, schema_url: String::new() };
    let resource = |spans| ResourceSpans {
        resource: Resource::default(),
        scope_spans: vec![scope(spans)],
        schema_url: String::new(),
    };
    TracesData { resource_spans: services.into_iter().map(resource).collect(), missing: Vec::new() }
}

fn pruning(same: &[&str], least: usize, levels: Option<usize>) -> Pruning {
    Pruning { same: same.iter().map(|pattern| Pattern::new(pattern).unwrap()).collect(), least, levels }
}

async fn pruned(pruning: Pruning, mut data: TracesData) -> (Pruned, TracesData) {
    let fixture = Fixture::new();
    fixture.run(move |control| Ok((pruning.prune(control, &mut data)?, data))).await.unwrap()
}

fn number(span: &Span, key: &str) -> i64 {
    let key = format!("aggregation.{key}");
    match span.attributes.iter().find(|attribute| attribute.key == key).map(|attribute| &attribute.value) {
        Some(AnyValue::IntValue(value)) => *value,
        _ => -1,
    }
}

/// Each span's name, its parent's name, and for how many it stands.
fn told(data: &TracesData) -> Vec<(String, String, i64)> {
    let spans: Vec<&Span> = all_spans(data).map(|(_, span)| span).collect();
    let name = |id: &str| spans.iter().find(|span| span.span_id == id).map_or("", |span| &span.name).to_owned();
    let mut told: Vec<_> = spans
        .iter()
        .map(|span| (span.name.clone(), name(&span.parent_span_id), number(span, "span_count").max(1)))
        .collect();
    told.sort();
    told
}

fn expected(list: &[(&str, &str, i64)]) -> Vec<(String, String, i64)> {
    list.iter().map(|(name, parent, count)| ((*name).to_owned(), (*parent).to_owned(), *count)).collect()
}

#[tokio::test]
async fn pr1_what_is_alike_becomes_one_with_the_words_of_the_longest() {
    let select = |id, took| with(span(id, 1, "SELECT", took), "db.id", &id.to_string());
    let list = vec![span(1, 0, "root", 100), select(2, 10), select(3, 30), select(4, 20), failed(select(5, 1))];
    let (outcome, data) = pruned(pruning(&[], 3, Some(1)), trace(vec![list.clone()])).await;
    assert_eq!(outcome, Pruned::Now);
    assert_eq!(told(&data), expected(&[("SELECT", "root", 1), ("SELECT", "root", 3), ("root", "", 1)]));
    let summary = all_spans(&data).map(|(_, span)| span).find(|span| number(span, "span_count") == 3).unwrap();
    let figures = ["duration_min_ns", "duration_max_ns", "duration_avg_ns", "duration_total_ns"];
    assert_eq!(figures.map(|key| number(summary, key) / 1_000_000), [10, 30, 20, 60]);
    assert_eq!((summary.start_time_unix_nano, summary.end_time_unix_nano), (2_000_000, 33_000_000));
    assert_eq!(summary.attributes[0].value, AnyValue::StringValue("3".into()));
    let counts = summary.attributes.iter().find(|attribute| attribute.key.ends_with("bucket_counts")).unwrap();
    let AnyValue::ArrayValue(counts) = &counts.value else { panic!("{counts:?}") };
    let counts: Vec<i64> =
        counts.values.iter().map(|count| if let AnyValue::IntValue(count) = count { *count } else { -1 }).collect();
    assert_eq!(counts, [0, 1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3]);

    let (outcome, same) = pruned(pruning(&["db.*"], 3, Some(1)), trace(vec![list.clone()])).await;
    assert_eq!((outcome, told(&same).len()), (Pruned::Not, 5), "each has an id of its own");
    let (_, again) = pruned(pruning(&[], 3, Some(1)), trace(vec![list])).await;
    assert_eq!(again, data, "PR4");
    let (outcome, twice) = pruned(pruning(&[], 2, Some(1)), data.clone()).await;
    assert_eq!((outcome, twice), (Pruned::Before, data), "PR3");
}

/// The example of the processor's own description.
#[tokio::test]
async fn pr2_who_lost_all_children_is_pruned_level_by_level() {
    let mut list = vec![span(1, 0, "root", 100)];
    for id in [2, 4, 6] {
        list.extend([span(id, 1, "handler", 5), span(id + 1, id, "SELECT", 1)]);
    }
    for id in [8, 10] {
        list.extend([failed(span(id, 1, "handler", 5)), failed(span(id + 1, id, "SELECT", 1))]);
    }
    list.extend([span(12, 1, "handler", 5), span(13, 12, "INSERT", 1)]);
    list.extend([span(14, 1, "worker", 5), span(15, 14, "SELECT", 1)]);
    let all = expected(&[
        ("INSERT", "handler", 1),
        ("SELECT", "handler", 2),
        ("SELECT", "handler", 3),
        ("SELECT", "worker", 1),
        ("handler", "root", 1),
        ("handler", "root", 2),
        ("handler", "root", 3),
        ("root", "", 1),
        ("worker", "root", 1),
    ]);
    // Handlers and what they call are of two services.
    let (below, above): (Vec<Span>, Vec<Span>) = list.iter().cloned().partition(|span| span.name == "SELECT");
    for levels in [Some(1), Some(7), None] {
        let (_, data) = pruned(pruning(&[], 2, levels), trace(vec![above.clone(), below.clone()])).await;
        assert_eq!(told(&data), all, "{levels:?}");
    }
    let (_, data) = pruned(pruning(&[], 2, Some(0)), trace(vec![list])).await;
    assert_eq!(told(&data).iter().filter(|(name, ..)| name == "handler").count(), 6);
}

#[tokio::test]
async fn pr2_what_leads_back_and_what_shares_an_id_ends() {
    // 2 and 3 call each other, 4 itself; 5 is sent twice, of two services.
    let mut list = vec![span(2, 3, "a", 1), span(3, 2, "a", 1), span(4, 4, "a", 1)];
    list.extend((6..12).map(|id| span(id, 5, "leaf", 1)));
    list.extend((12..18).map(|id| span(id, 2, "leaf", 1)));
    let data = trace(vec![list, vec![span(5, 0, "twin", 1)], vec![span(5, 0, "twin", 1)]]);
    let (outcome, data) = pruned(pruning(&[], 2, None), data).await;
    assert_eq!(outcome, Pruned::Now);
    assert_eq!(told(&data).iter().filter(|(_, _, count)| *count == 6).count(), 2);
    assert_eq!(told(&data).len(), 7);
}
