//! How is a search asked in TraceQL? As the spans that match it, ready for a function of metrics behind them.
//!
//! TQ1  What a person typed stays a text: quotes and backslashes never end it.
//! TQ2  A value that a person typed and that reads as a number or a boolean finds both what was sent as such and what was sent as text;
//!      one that the server told finds what is of its type.
//!
//! Not here: the query that a person goes on typing, which is made of filters (`filter`).

use super::filter::TraceFilter;
use super::query::complete::{attribute, quoted};
use super::{number, time};

/// What a value that the server told is in TraceQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Written {
    /// A text, in quotes.
    Quoted,
    /// A number or a boolean, or a word of the language.
    Bare,
}

/// The spans that match a search.
pub fn spans(filter: &TraceFilter) -> String {
    if !filter.query.is_empty() {
        return filter.query.clone();
    }
    all_of(&said(filter))
}

/// The spans that match filters and of which something holds as well, as one set.
pub fn spans_that(filter: &TraceFilter, condition: &str) -> String {
    let mut parts = said(filter);
    parts.push(condition.to_owned());
    all_of(&parts)
}

fn all_of(parts: &[String]) -> String {
    if parts.is_empty() { "{ }".to_owned() } else { format!("{{ {} }}", parts.join(" && ")) }
}

/// What each filter says.
fn said(filter: &TraceFilter) -> Vec<String> {
    let mut parts = Vec::new();
    let named = [("resource.service.name", &filter.service), ("name", &filter.operation), ("status", &filter.status)];
    parts.extend(
        named.iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| condition(key, value, Written::Quoted)),
    );
    for (sign, typed) in [(">=", &filter.min_duration), ("<=", &filter.max_duration)] {
        if let Some(nanos) = time::span(typed) {
            parts.push(format!("duration {sign} {nanos}ns"));
        }
    }
    let pairs = filter.attributes.iter().filter_map(|pair| pair.split_once('='));
    parts.extend(pairs.map(|(key, value)| equal(&scoped("", key), value)));
    parts
}

/// That a span has a value of what `compare` calls so: an intrinsic (`name`, `kind`, `rootName`, `event:name`), or an attribute with
/// its scope before a dot (`resource.KEY`, `event.KEY`).
pub fn condition(key: &str, value: &str, written: Written) -> String {
    let of = |scope: &str, key: &str| {
        let literal = if written == Written::Bare { value.to_owned() } else { quoted(value) };
        format!("{} = {literal}", scoped(scope, key))
    };
    match (key, key.split_once('.')) {
        ("kind" | "status", _) => format!("{key} = {value}"),
        // Every span has a service, and it is always a text.
        ("resource.service.name", _) | (_, None) => format!("{key} = {}", quoted(value)),
        (_, Some((scope, key))) => of(scope, key),
    }
}

/// An attribute behind its scope; without one, whichever has it.
fn scoped(scope: &str, key: &str) -> String {
    let name = attribute("span", key).text;
    format!("{scope}{}", name.strip_prefix("span").unwrap_or(&name))
}

fn equal(name: &str, value: &str) -> String {
    let as_text = format!("{name} = {}", quoted(value));
    let digits = value.strip_prefix('-').unwrap_or(value);
    let is_number = number::read(digits).is_some_and(|number| number.to_string() == digits);
    let is_literal = is_number || matches!(value, "true" | "false");
    if is_literal { format!("({as_text} || {name} = {value})") } else { as_text }
}

/// The spans of a query of which something holds as well.
pub fn narrowed(query: &str, condition: &str) -> String {
    format!("{} | {{ {condition} }}", query.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_become_one_set_of_spans() {
        let attributes = ["http.route=/x=y", "n=-5", "ok=true", "id=007", "a b=c"];
        let filter = TraceFilter {
            service: "a\"b\\".into(),
            operation: "GET /".into(),
            status: "error".into(),
            min_duration: "1.5s".into(),
            max_duration: "2m".into(),
            attributes: attributes.map(str::to_owned).to_vec(),
            ..TraceFilter::default()
        };
        let expected = r#"{ resource.service.name = "a\"b\\" && name = "GET /" && status = error && duration >= 1500000000ns && duration <= 120000000000ns && .http.route = "/x=y" && (.n = "-5" || .n = -5) && (.ok = "true" || .ok = true) && .id = "007" && ."a b" = "c" }"#;
        assert_eq!(spans(&filter), expected);
        assert_eq!(spans(&TraceFilter::default()), "{ }");
        let query = "{ status = error } >> { }".to_owned();
        assert_eq!(spans(&TraceFilter { query: query.clone(), ..filter }), query);
    }

    #[test]
    fn a_query_is_narrowed_by_what_compare_tells() {
        let narrow = |key, value| narrowed("{ } ", &condition(key, value, Written::Quoted));
        assert_eq!(narrow("kind", "server"), "{ } | { kind = server }");
        assert_eq!(narrow("name", "GET \"x\""), r#"{ } | { name = "GET \"x\"" }"#);
        assert_eq!(narrow("span.n", "5"), r#"{ } | { span.n = "5" }"#);
        assert_eq!(condition("span.n", "5", Written::Bare), "span.n = 5");
        assert_eq!(condition("span.a b", "true", Written::Bare), r#"span."a b" = true"#);
        assert_eq!(narrow("resource.pod", "a"), r#"{ } | { resource.pod = "a" }"#);
    }
}
