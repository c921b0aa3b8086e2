//! What does the server measure of itself? `/status/self_metrics`: what stands in its `/metrics`, as JSON of Prometheus's messages.

use super::ask::Asked;
use super::refusal::Refusal;
use regex::Regex;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use storage::re2;

/// A metric, of which `/metrics` has counters and gauges only.
#[derive(Default)]
struct Family<'t> {
    help: &'t str,
    r#type: &'t str,
    metrics: Vec<Value>,
}

/// The families whose whole name fits `metric_name_pattern`, by name.
pub(super) fn metrics(asked: &Asked, text: &str) -> Result<Value, Refusal> {
    let invalid = |error: String| Refusal::bad_data(format!("invalid metric_name_pattern: {error}"));
    let pattern = asked.text("metric_name_pattern").map(|pattern| {
        let anchored = re2::anchored(pattern).map_err(invalid)?;
        Regex::new(&anchored).map_err(|error| invalid(error.to_string()))
    });
    let pattern = pattern.transpose()?;
    let wanted = families(text).into_iter();
    let wanted = wanted.filter(|(name, _)| pattern.as_ref().is_none_or(|pattern| pattern.is_match(name)));
    let told = wanted.map(|(name, family)| {
        json!({ "name": name, "help": family.help, "type": family.r#type.to_uppercase(), "metric": family.metrics })
    });
    Ok(told.collect())
}

/// Reads what this server wrote itself: a family's comments stand before its samples, which have no times.
fn families(text: &str) -> BTreeMap<&str, Family<'_>> {
    let mut families: BTreeMap<&str, Family<'_>> = BTreeMap::new();
    for line in text.lines() {
        let comment = |kind: &str| line.strip_prefix(kind).and_then(|rest| rest.split_once(' '));
        if let Some((name, help)) = comment("# HELP ") {
            families.entry(name).or_default().help = help;
        } else if let Some((name, r#type)) = comment("# TYPE ") {
            families.entry(name).or_default().r#type = r#type;
        } else if let Some((series, value)) = line.rsplit_once(' ') {
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let family = families.entry(name).or_default();
            let labels = labels_of(labels);
            let mut metric = Map::new();
            if !labels.is_empty() {
                metric.insert("label".into(), labels.into());
            }
            metric.insert(family.r#type.into(), json!({ "value": number(value) }));
            family.metrics.push(metric.into());
        }
    }
    families.retain(|_, family| !family.metrics.is_empty());
    families
}

/// What stands behind the opening brace.
fn labels_of(mut rest: &str) -> Vec<Value> {
    let mut labels = Vec::new();
    while let Some((name, after)) = rest.split_once("=\"") {
        let (mut value, mut letters) = (String::new(), after.char_indices());
        let mut end = after.len();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => match letters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, escaped)) => value.push(escaped),
                    None => {}
                },
                letter => value.push(letter),
            }
        }
        labels.push(json!({ "name": name.trim_start_matches(','), "value": value }));
        rest = after.get(end..).unwrap_or_default();
    }
    labels
}

/// As messages write it as JSON: what is no number there is a text.
fn number(text: &str) -> Value {
    match text.parse::<f64>() {
        Ok(value) if value.is_nan() => "NaN".into(),
        Ok(value) if value.is_infinite() => if value > 0.0 { "Infinity" } else { "-Infinity" }.into(),
        Ok(value) if value.fract() == 0.0 && value.abs() < 1e15 => json!(value as i64),
        Ok(value) => json!(value),
        Err(_) => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn own_metrics_are_told_as_messages() {
        let text = "# HELP b_total What b does.\n# TYPE b_total counter\nb_total{x=\"1 \\\"{\\\\\",y=\"a,b\"} 7\nb_total{x=\"2\"} 0.5\n\
                    # HELP a Of a.\n# TYPE a gauge\na +Inf\n# HELP empty None.\n# TYPE empty gauge\n";
        let asked = |pattern: &str| Asked {
            path: HashMap::new(),
            pairs: vec![("metric_name_pattern".to_owned(), pattern.to_owned())],
            now: 0,
        };
        let a =
            json!({ "name": "a", "help": "Of a.", "type": "GAUGE", "metric": [{ "gauge": { "value": "Infinity" } }] });
        let label = |name: &str, value: &str| json!({ "name": name, "value": value });
        let b = json!({ "name": "b_total", "help": "What b does.", "type": "COUNTER", "metric": [
            { "label": [label("x", "1 \"{\\"), label("y", "a,b")], "counter": { "value": 7 } },
            { "label": [label("x", "2")], "counter": { "value": 0.5 } },
        ]});
        assert_eq!(metrics(&asked(""), text).unwrap(), json!([a, b]));
        assert_eq!(metrics(&asked("b_.*"), text).unwrap(), json!([b]));
        assert_eq!(metrics(&asked("_total"), text).unwrap(), json!([]));
        assert!(metrics(&asked("("), text).is_err());
    }
}
