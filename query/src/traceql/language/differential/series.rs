//! For tests: what functions of metrics make of the spans that the naive evaluator leaves, as plainly as it leaves them.
//!
//! Values of spans are small whole numbers and halves, so that sums do not depend on their order.

use super::*;

const STEP: i64 = 10;
const STEPS: usize = 5;

/// The spans that a query leaves, each with its trace and its step.
fn left<'n, 'm>(traces: &'n BTreeMap<u8, Naive<'m>>, query: &str) -> Vec<(&'n Naive<'m>, usize, usize)> {
    let Root::Spans(pipeline) = parse(query).unwrap().root else { panic!("{query}") };
    let mut left = Vec::new();
    for naive in traces.values() {
        let spans: BTreeSet<usize> =
            naive.run(&pipeline, (0..naive.spans.len()).collect()).into_iter().flatten().collect();
        let step = |span: &usize| ((naive.spans[*span].start - 1) / (STEP * 1_000_000_000)) as usize;
        left.extend(spans.iter().map(|span| (naive, *span, step(span))));
    }
    left
}

/// A name as a field of a query.
fn field_of(name: &str) -> Field {
    let Root::Spans(pipeline) = parse(&format!("{{ {name} = {name} }}")).unwrap().root else { panic!("{name}") };
    match pipeline.0.into_iter().next() {
        Some(Stage::Spansets(Spansets::Filter(Some(Field::Compare { left, .. })))) => *left,
        other => panic!("{name}: {other:?}"),
    }
}

/// A value as a label is written.
fn label(value: &Simple) -> String {
    match value {
        Simple::Nil => "nil".into(),
        Simple::Bool(value) => value.to_string(),
        Simple::Whole(value) => value.to_string(),
        Simple::Float(value) => format!("{value:?}"),
        Simple::Text(text) => text.clone(),
        Simple::Word(word) => (*word).to_owned(),
        Simple::List(list) => format!("[{}]", list.iter().map(label).collect::<Vec<_>>().join(",")),
        Simple::Other => "other".into(),
    }
}

fn written(values: impl IntoIterator<Item = f64>) -> String {
    let value = |value: f64| if value.is_nan() { "_".to_owned() } else { value.to_string() };
    values.into_iter().map(value).collect::<Vec<_>>().join(" ")
}

/// The sign of a value, and with it the least power of two that is no less than its size, which is found by doubling.
fn power(value: f64) -> (i32, i32) {
    let size = value.abs();
    let power = if size == 0.0 { 0 } else { (-80..80).find(|power| 2f64.powi(*power) >= size).unwrap() };
    let sign = if value == 0.0 { 0 } else { value.signum() as i32 };
    (sign, sign * power)
}

/// So far up between a bucket's bounds.
fn within((sign, power): (i32, i32), share: f64) -> f64 {
    match sign {
        0 => 0.0,
        1 => (f64::from(power) - 1.0 + share).exp2(),
        _ => -(f64::from(-power) - share).exp2(),
    }
}

fn quantile(values: &[f64], quantile: f64) -> f64 {
    let mut powers: Vec<(i32, i32)> = values.iter().map(|value| power(*value)).collect();
    powers.sort_unstable();
    let rank = (quantile * values.len() as f64).ceil().max(1.0) as usize;
    let of_rank = powers[rank - 1];
    let before = powers.iter().filter(|power| **power < of_rank).count();
    let equal = powers.iter().filter(|power| **power == of_rank).count();
    // Those below zero mirror those above.
    let rank = if of_rank.0 < 0 { rank - 1 } else { rank };
    within(of_rank, (rank - before) as f64 / equal as f64)
}

/// A quantile as it is told: never outside of the values.
fn within_values(values: &[f64], rank: f64, unit: f64) -> f64 {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min) / unit;
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max) / unit;
    (quantile(values, rank) / unit).max(least).min(most)
}

/// The lines of a function over the values of each group's steps; `unit` is what a value is divided by when it is told.
fn lines(function: &str, labels: &str, steps: &[Vec<f64>; STEPS], unit: f64) -> Vec<String> {
    let name = function.split('(').next().unwrap();
    let with = |more: &str| match (labels, more) {
        ("", "") => format!("{{__name__={name}}}"),
        ("", more) => format!("{{{more}}}"),
        (labels, "") => format!("{{{labels}}}"),
        (labels, more) => format!("{{{labels}, {more}}}"),
    };
    let known = |of: &dyn Fn(&[f64]) -> f64| {
        written(steps.iter().map(|values| if values.is_empty() { f64::NAN } else { of(values) }))
    };
    let told = |values: &[f64]| values.iter().map(|value| value / unit).collect::<Vec<f64>>();
    match name {
        "count_over_time" => vec![format!("{} {}", with(""), written(steps.iter().map(|values| values.len() as f64)))],
        "rate" => {
            let rates = steps.iter().map(|values| values.len() as f64 / STEP as f64);
            vec![format!("{} {}", with(""), written(rates))]
        }
        "min_over_time" => {
            vec![format!("{} {}", with(""), known(&|values| told(values).into_iter().fold(f64::INFINITY, f64::min)))]
        }
        "max_over_time" => {
            vec![format!(
                "{} {}",
                with(""),
                known(&|values| told(values).into_iter().fold(f64::NEG_INFINITY, f64::max))
            )]
        }
        "sum_over_time" => vec![format!("{} {}", with(""), known(&|values| told(values).iter().sum()))],
        "avg_over_time" => {
            vec![format!("{} {}", with(""), known(&|values| told(values).iter().sum::<f64>() / values.len() as f64))]
        }
        "quantile_over_time" => [0.0, 0.5, 0.9]
            .map(|rank| {
                format!("{} {}", with(&format!("p={rank:?}")), known(&|values| within_values(values, rank, unit)))
            })
            .into(),
        "histogram_over_time" => {
            let powers: BTreeSet<(i32, i32)> = steps.iter().flatten().map(|value| power(*value)).collect();
            let bucket = |of: (i32, i32)| {
                let counts = steps.each_ref().map(|values| values.iter().filter(|value| power(**value) == of).count());
                let labels = with(&format!("__bucket={:?}", within(of, 1.0) / unit));
                format!("{labels} {}", written(counts.map(|count| count as f64)))
            };
            powers.into_iter().map(bucket).collect()
        }
        other => panic!("{other} is not asked here"),
    }
}

fn expected_series(spans: &[SpanModel], query: &str, function: &str, by: &str) -> Vec<String> {
    let traces = traces(spans);
    let argument = function.split(['(', ',', ')']).nth(1).filter(|name| !name.is_empty()).map(field_of);
    let by_field = (!by.is_empty()).then(|| field_of(by));
    let mut groups: BTreeMap<String, [Vec<f64>; STEPS]> = BTreeMap::new();
    for (naive, span, step) in left(&traces, query) {
        let value = match &argument {
            None => Some(1.0),
            Some(field) => naive.value(span, field).number(),
        };
        let Some(value) = value else { continue };
        // The type of a value tells groups apart, too: `{:?}` writes it.
        let key = by_field.as_ref().map(|field| naive.value(span, field));
        let key = key.map_or(String::new(), |key| format!("{by}={}\u{0}{key:?}", label(&key)));
        groups.entry(key).or_default()[step].push(value);
    }
    if groups.is_empty() && by.is_empty() && matches!(function, "rate()" | "count_over_time()") {
        groups.insert(String::new(), Default::default());
    }
    let unit = if function.contains("(duration") { 1e9 } else { 1.0 };
    let of_group = |(key, steps): (&String, &[Vec<f64>; STEPS])| {
        lines(function, key.split('\u{0}').next().unwrap_or_default(), steps, unit)
    };
    let mut lines: Vec<String> = groups.iter().flat_map(of_group).collect();
    if lines.is_empty() {
        lines.push("none".into());
    }
    lines.sort();
    lines
}

/// What is counted of a span when groups are compared.
fn compared(naive: &Naive<'_>, span: usize) -> Vec<(String, String)> {
    let model = naive.spans[span];
    let text = |value: &ValueModel| match value {
        ValueModel::Text(text) => Some(text.clone()),
        ValueModel::Int(value) => Some(value.to_string()),
        ValueModel::Float(value) => Some(format!("{value:?}")),
        ValueModel::Bool(value) => Some(value.to_string()),
        ValueModel::List(_) | ValueModel::Map => None,
    };
    let mut told = vec![
        ("name".to_owned(), model.name.clone()),
        ("kind".to_owned(), super::super::super::ast::KINDS[model.kind as usize].to_owned()),
        ("status".to_owned(), super::super::super::ast::STATUSES[model.status as usize].to_owned()),
        ("resource.service.name".to_owned(), label(&naive.attribute(span, Scope::Resource, "service.name"))),
    ];
    if !model.message.is_empty() {
        told.push(("statusMessage".to_owned(), model.message.clone()));
    }
    let root = naive.spans[naive.root()];
    if root.parent.is_none() {
        let service = root.service.clone().unwrap_or("unknown_service".into());
        told.extend([("rootName".to_owned(), root.name.clone()), ("rootServiceName".to_owned(), service)]);
    }
    let named = [("instrumentation:name", &model.scope_name), ("instrumentation:version", &model.scope_version)];
    told.extend(
        named.iter().filter(|(_, name)| !name.is_empty()).map(|(key, name)| ((*key).to_owned(), (*name).clone())),
    );
    let mut several = BTreeSet::new();
    for (name, _, list) in &model.events {
        several.extend((!name.is_empty()).then(|| ("event:name".to_owned(), name.clone())));
        several.extend(list.iter().filter_map(|(key, value)| Some((format!("event.{key}"), text(value)?))));
    }
    told.extend(several);
    told.extend(model.scope.iter().filter_map(|(key, value)| Some((format!("instrumentation.{key}"), text(value)?))));
    for (scope, list) in [("span", &model.attributes), ("resource", &model.resource)] {
        told.extend(list.iter().filter_map(|(key, value)| Some((format!("{scope}.{key}"), text(value)?))));
    }
    told
}

fn expected_comparison(spans: &[SpanModel], query: &str, selection: &str) -> Vec<String> {
    let traces = traces(spans);
    let Root::Spans(pipeline) = parse(&format!("{{ {selection} }}")).unwrap().root else { panic!("{selection}") };
    let Some(Stage::Spansets(selected)) = pipeline.0.first() else { panic!("{selection}") };
    let mut counts: BTreeMap<String, [f64; STEPS]> = BTreeMap::new();
    for (naive, span, step) in left(&traces, query) {
        let side = match naive.set(selected, &BTreeSet::from([span])).is_empty() {
            true => "baseline",
            false => "selection",
        };
        let told = compared(naive, span);
        for (key, value) in &told {
            counts.entry(format!("{{__meta_type={side}, {key}={value}}}")).or_default()[step] += 1.0;
        }
        for key in told.iter().map(|(key, _)| key).collect::<BTreeSet<_>>() {
            counts.entry(format!("{{__meta_type={side}_total, {key}=nil}}")).or_default()[step] += 1.0;
        }
    }
    let mut lines: Vec<String> =
        counts.into_iter().map(|(labels, counts)| format!("{labels} {}", written(counts))).collect();
    if lines.is_empty() {
        lines.push("none".into());
    }
    lines.sort();
    lines
}

fn any_function() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "rate()",
        "count_over_time()",
        "min_over_time(.a)",
        "min_over_time(duration)",
        "max_over_time(span.b)",
        "max_over_time(.a)",
        "sum_over_time(duration)",
        "sum_over_time(.b)",
        "avg_over_time(span.a)",
        "avg_over_time(duration)",
        "quantile_over_time(duration, 0.0, 0.5, 0.9)",
        "quantile_over_time(.a, 0.0, 0.5, 0.9)",
        "histogram_over_time(duration)",
        "histogram_over_time(span.b)",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn functions_over_time_are_those_of_the_naive_evaluator(
        spans in any_spans(), query in any_spansets(), functions in proptest::collection::vec(any_function(), 3), lie in 0..LIES.len(),
        by in proptest::sample::select(vec!["", "name", "resource.service.name", "status", "kind", "span.b", ".a"]),
    ) {
        block_on(async {
            let fixture = stored(&spans, LIES[lie]).await;
            for function in functions {
                let groups = if by.is_empty() { String::new() } else { format!(" by({by})") };
                let text = format!("{query} | {function}{groups}");
                let mut answered = series_lines(&fixture, STEP, STEP * STEPS as i64, &text).await;
                answered.sort();
                prop_assert_eq!(answered, expected_series(&spans, &query, function, by), "{} in {:?}", text, LIES[lie]);
            }
            Ok(())
        })?;
    }

    #[test]
    fn comparisons_are_those_of_the_naive_evaluator(
        spans in any_spans(), query in any_spansets(), selection in any_field(), lie in 0..LIES.len(),
    ) {
        block_on(async {
            let fixture = stored(&spans, LIES[lie]).await;
            let text = format!("{query} | compare({{ {selection} }}, 1000)");
            let mut answered = series_lines(&fixture, STEP, STEP * STEPS as i64, &text).await;
            answered.sort();
            prop_assert_eq!(answered, expected_comparison(&spans, &query, &selection), "{} in {:?}", text, LIES[lie]);
            Ok(())
        })?;
    }
}
