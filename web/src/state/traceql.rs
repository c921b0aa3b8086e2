//! How is a search asked in TraceQL? As the spans that match it, ready for a function of metrics behind them.
//!
//! TQ1  What a person typed stays a text: quotes and backslashes never end it.
//! TQ2  A value that reads as a number or a boolean finds both what was sent as such and what was sent as text.

use super::filter::TraceFilter;
use super::{number, time};

/// The spans that match a search.
pub fn spans(filter: &TraceFilter) -> String {
    let mut parts = Vec::new();
    if !filter.service.is_empty() {
        parts.push(format!("resource.service.name = {}", text(&filter.service)));
    }
    if !filter.operation.is_empty() {
        parts.push(format!("name = {}", text(&filter.operation)));
    }
    if !filter.status.is_empty() {
        parts.push(format!("status = {}", filter.status));
    }
    for (sign, typed) in [(">=", &filter.min_duration), ("<=", &filter.max_duration)] {
        if let Some(nanos) = time::span(typed) {
            parts.push(format!("duration {sign} {nanos}ns"));
        }
    }
    parts.extend(filter.attributes.iter().filter_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        Some(attribute(key, value))
    }));
    if parts.is_empty() { "{ }".to_owned() } else { format!("{{ {} }}", parts.join(" && ")) }
}

fn attribute(key: &str, value: &str) -> String {
    let key = format!(".{}", text(key));
    let as_text = format!("{key} = {}", text(value));
    let digits = value.strip_prefix('-').unwrap_or(value);
    let is_number = number::read(digits).is_some_and(|number| number.to_string() == digits);
    let is_literal = is_number || matches!(value, "true" | "false");
    if is_literal { format!("({as_text} || {key} = {value})") } else { as_text }
}

/// A text between quotes.
fn text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_become_one_set_of_spans() {
        let filter = TraceFilter {
            service: "a\"b\\".into(),
            operation: "GET /".into(),
            status: "error".into(),
            min_duration: "1.5s".into(),
            max_duration: "2m".into(),
            attributes: vec!["http.route=/x=y".into(), "n=-5".into(), "ok=true".into(), "id=007".into()],
            order: "longest".into(),
        };
        assert_eq!(
            spans(&filter),
            r#"{ resource.service.name = "a\"b\\" && name = "GET /" && status = error && duration >= 1500000000ns && duration <= 120000000000ns && ."http.route" = "/x=y" && (."n" = "-5" || ."n" = -5) && (."ok" = "true" || ."ok" = true) && ."id" = "007" }"#
        );
        assert_eq!(spans(&TraceFilter::default()), "{ }");
    }
}
