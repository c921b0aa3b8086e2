//! What sets some spans apart from the others? Attributes by how unevenly their values are spread over both.
//!
//! DI1  A share is of all spans of its side, so that an attribute that only one side has differs.
//! DI2  Attributes are ranked by the value whose shares differ most: one of as many values as spans differs in none.
//! DI3  Attributes that say the same (a pod's name, its uid, its host) are told once, with the others' names; key and values are of one.
//! DI4  What filters cannot say becomes a query that says what they said, and it.
//!
//! Not here: how it is asked (`tempo`), what is drawn.

use super::filter::TraceFilter;
use super::order;
use super::query::complete::quoted;
use super::tempo::{self, Instant};
use super::time::Range;
use super::traceql::{self, Written};
use query_api::otlp::{AnyValue, KeyValue};
use std::collections::BTreeMap;

/// Values of each attribute that the server tells.
const TOLD: usize = 40;
/// Values shown of one.
const VALUES: usize = 5;
/// Of attributes that tell the same, the one that everybody knows is told.
const KNOWN: [&str; 4] = ["name", "kind", "status", "resource.service.name"];
/// A difference below this is none.
const LEAST: f64 = 0.01;

/// A box on the heat map: a stretch of time, and of durations in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// Times.
    pub times: Range,
    /// Shortest duration.
    pub low: i64,
    /// Longest, exclusive.
    pub high: i64,
}

impl Section {
    /// Reads `start,end,low,high` from the URL.
    pub fn parse(text: &str) -> Option<Section> {
        let mut numbers = text.split(',').map(str::parse::<i64>);
        let mut next = || numbers.next()?.ok();
        let (start, end, low, high) = (next()?, next()?, next()?, next()?);
        let is_box = start < end && low < high && low >= 0;
        is_box.then_some(Section { times: Range { start, end }, low, high })
    }

    /// Writes it for the URL.
    pub fn write(self) -> String {
        format!("{},{},{},{}", self.times.start, self.times.end, self.low, self.high)
    }

    /// What is asked: how the spans in the box differ from the other ones of a search.
    pub fn request(self, spans: &str, range: Range) -> String {
        let Section { times, low, high } = self;
        let inside = format!("{{ duration >= {low}ns && duration < {high}ns }}");
        let query = format!("{spans} | compare({inside}, {TOLD}, {}, {})", times.start, times.end);
        tempo::request(&query, range)
    }
}

impl Section {
    /// Makes its durations bounds of a search.
    pub fn bound(self, filter: &mut TraceFilter) {
        let Section { low, high, .. } = self;
        if filter.query.is_empty() {
            filter.min_duration = format!("{}us", low / 1_000);
            filter.max_duration = format!("{}us", high.saturating_add(999) / 1_000);
        } else {
            let condition = format!("duration >= {low}ns && duration < {high}ns");
            filter.query = traceql::narrowed(&filter.query, &condition);
        }
    }
}

/// A value, and its share on both sides.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// The value.
    pub value: String,
    /// What it is in a query.
    pub written: Written,
    /// Of the spans in the box.
    pub inside: f64,
    /// Of the others.
    pub outside: f64,
}

impl Share {
    fn difference(&self) -> f64 {
        (self.inside - self.outside).abs()
    }
}

/// An attribute whose values are spread unevenly.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Its key, with `resource.` or `span.` before it; or `name`, `kind`, `status`, `statusMessage`.
    pub key: String,
    /// The values whose shares differ most.
    pub shares: Vec<Share>,
    /// Values beside those.
    pub more: usize,
    /// Other attributes whose values are spread in the same way.
    pub alike: Vec<String>,
}

/// What is known of both sides.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Differences {
    /// Spans in the box.
    pub inside: u64,
    /// The others.
    pub outside: u64,
    /// What differs, most first.
    pub list: Vec<Difference>,
    /// Attributes of more values than are counted.
    pub uncounted: Vec<String>,
}

impl Differences {
    /// From the answer.
    pub fn new(answer: &Instant) -> Differences {
        let mut counts: BTreeMap<(String, String, Written), [f64; 2]> = BTreeMap::new();
        let mut sides = [0.0; 2];
        let mut uncounted = Vec::new();
        for series in &answer.series {
            let Some(label) = series.labels.iter().find(|label| !label.key.starts_with("__meta")) else { continue };
            let side = match tempo::label(&series.labels, "__meta_type").as_str() {
                "selection" => 0,
                "baseline" => 1,
                _ => continue,
            };
            if !tempo::label(&series.labels, "__meta_error").is_empty() {
                if !uncounted.contains(&label.key) {
                    uncounted.push(label.key.clone());
                }
                continue;
            }
            // Every span has a kind.
            if label.key == "kind" {
                sides[side] += series.value;
            }
            let value = super::attribute::text(&label.value);
            counts.entry((label.key.clone(), value, written(&label.value))).or_default()[side] += series.value;
        }
        let mut by_key: BTreeMap<String, Vec<Share>> = BTreeMap::new();
        let share = |count: f64, side: usize| if sides[side] > 0.0 { count / sides[side] } else { 0.0 };
        for ((key, value, written), [inside, outside]) in counts {
            let share = Share { value, written, inside: share(inside, 0), outside: share(outside, 1) };
            by_key.entry(key).or_default().push(share);
        }
        by_key.retain(|key, _| !uncounted.contains(key));
        let list = ranked(by_key);
        Differences { inside: sides[0] as u64, outside: sides[1] as u64, list, uncounted }
    }
}

fn written(value: &AnyValue) -> Written {
    match value {
        AnyValue::BoolValue(_) | AnyValue::IntValue(_) => Written::Bare,
        AnyValue::DoubleValue(value) if value.is_finite() => Written::Bare,
        _ => Written::Quoted,
    }
}

fn ranked(by_key: BTreeMap<String, Vec<Share>>) -> Vec<Difference> {
    let mut list: Vec<Difference> = Vec::new();
    for (key, shares) in by_key {
        let mut shares = order::falling(shares, Share::difference);
        if shares.first().is_none_or(|share| share.difference() < LEAST) {
            continue;
        }
        let more = shares.len().saturating_sub(VALUES);
        shares.truncate(VALUES);
        let spread = |shares: &[Share]| shares.iter().map(|s| (s.inside, s.outside)).collect::<Vec<_>>();
        match list.iter_mut().find(|other| other.more == more && spread(&other.shares) == spread(&shares)) {
            Some(other) if KNOWN.contains(&key.as_str()) && !KNOWN.contains(&other.key.as_str()) => {
                other.shares = shares;
                let told = std::mem::replace(&mut other.key, key);
                other.alike.push(told);
            }
            Some(other) => other.alike.push(key),
            None => list.push(Difference { key, shares, more, alike: Vec::new() }),
        }
    }
    order::falling(list, |difference| difference.shares.first().map_or(0.0, Share::difference))
}

/// Adds what a value says to a search: to its filters where there is one for it.
pub fn narrow(filter: &mut TraceFilter, key: &str, value: &str, written: Written) {
    let attribute = key.strip_prefix("resource.").or_else(|| key.strip_prefix("span."));
    match key {
        _ if !filter.query.is_empty() => {
            filter.query = traceql::narrowed(&filter.query, &traceql::condition(key, value, written))
        }
        // No text is no filter.
        "resource.service.name" if !value.is_empty() => {
            // Operations belong to services.
            if filter.service != value {
                filter.operation.clear();
            }
            filter.service = value.to_owned();
        }
        "name" if !value.is_empty() => filter.operation = value.to_owned(),
        "status" => filter.status = value.to_owned(),
        key => match attribute.filter(|name| is_filter(name) && key != "resource.service.name") {
            Some(name) => {
                let pair = format!("{name}={value}");
                if !filter.attributes.contains(&pair) {
                    filter.attributes.push(pair);
                }
            }
            None => {
                let query = traceql::spans_that(filter, &traceql::condition(key, value, written));
                *filter = TraceFilter { query, order: std::mem::take(&mut filter.order), ..TraceFilter::default() };
            }
        },
    }
}

/// Whether `key=value` names this attribute: its first `=` ends the key.
fn is_filter(key: &str) -> bool {
    !key.contains('=') && !key.trim().is_empty()
}

/// What finds the spans with an attribute, whichever of them has it: a parameter of the search's address.
pub fn search(attribute: &KeyValue) -> (&'static str, String) {
    let value = super::attribute::text(&attribute.value);
    if is_filter(&attribute.key) {
        return ("attr", format!("{}={value}", attribute.key));
    }
    // A key that is no filter's needs quotes here, too.
    let literal = if written(&attribute.value) == Written::Bare { value } else { quoted(&value) };
    ("q", format!("{{ .{} = {literal} }}", quoted(&attribute.key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(side: &str, key: &str, value: &str, count: f64) -> tempo::Value {
        let label = |key: &str, value: &str| KeyValue { key: key.into(), value: AnyValue::StringValue(value.into()) };
        tempo::Value { labels: vec![label("__meta_type", side), label(key, value)], value: count }
    }

    #[test]
    fn attributes_are_ranked_by_the_share_that_differs_most_and_told_once() {
        let mut series = vec![
            one("selection", "kind", "server", 10.0),
            one("baseline", "kind", "server", 100.0),
            one("selection", "span.a", "x", 9.0),
            one("baseline", "span.a", "x", 10.0),
            one("selection", "resource.pod", "p1", 5.0),
            one("baseline", "resource.pod", "p1", 10.0),
            one("selection", "resource.uid", "7", 5.0),
            one("baseline", "resource.uid", "7", 10.0),
            one("selection", "resource.service.name", "s", 5.0),
            one("baseline", "resource.service.name", "s", 10.0),
            one("baseline", "span.even", "z", 0.5),
            one("selection_total", "span.a", "nil", 10.0),
        ];
        series[3].labels.push(KeyValue { key: "__meta_other".into(), value: AnyValue::StringValue("x".into()) });
        let mut failed = one("selection", "span.id", "nil", 10.0);
        failed.labels.push(KeyValue { key: "__meta_error".into(), value: AnyValue::StringValue("y".into()) });
        series.push(failed);
        let found = Differences::new(&Instant { series, ..Instant::default() });
        assert_eq!((found.inside, found.outside), (10, 100));
        assert_eq!(found.list.iter().map(|d| d.key.as_str()).collect::<Vec<_>>(), ["span.a", "resource.service.name"]);
        assert_eq!(
            found.list[0].shares[0],
            Share { value: "x".into(), written: Written::Quoted, inside: 0.9, outside: 0.1 }
        );
        assert_eq!(
            (found.list[1].alike.clone(), found.uncounted),
            (vec!["resource.pod".into(), "resource.uid".into()], vec!["span.id".into()])
        );
    }

    #[test]
    fn a_number_and_a_text_that_reads_the_same_are_two_values() {
        let typed = |side, value, count| {
            let mut one = one(side, "span.n", "", count);
            one.labels[1].value = value;
            one
        };
        let series = vec![
            one("selection", "kind", "server", 10.0),
            typed("selection", AnyValue::IntValue(5), 6.0),
            typed("selection", AnyValue::StringValue("5".into()), 2.0),
        ];
        let found = Differences::new(&Instant { series, ..Instant::default() });
        let of_n = found.list.iter().find(|one| one.key == "span.n").unwrap();
        let conditions: Vec<String> =
            of_n.shares.iter().map(|share| traceql::condition(&of_n.key, &share.value, share.written)).collect();
        assert_eq!(conditions, ["span.n = 5", "span.n = \"5\""]);
    }

    #[test]
    fn a_box_survives_the_url_and_what_is_none_is_refused() {
        let one = Section { times: Range { start: 1, end: 2 }, low: 0, high: 5 };
        assert_eq!(Section::parse(&one.write()), Some(one));
        for bad in ["", "1,2,3", "2,1,0,5", "1,2,5,5", "1,2,-1,5", "a,2,0,5"] {
            assert_eq!(Section::parse(bad), None, "{bad}");
        }
        let mut filter = TraceFilter::default();
        one.bound(&mut filter);
        assert_eq!((filter.min_duration.as_str(), filter.max_duration.as_str()), ("0us", "1us"));
        filter.query = "{ }".into();
        one.bound(&mut filter);
        assert_eq!(filter.query, "{ } | { duration >= 0ns && duration < 5ns }");
        let asked = one.request("{ }", Range { start: 0, end: 9 });
        assert!(asked.starts_with("/tempo/api/metrics/query?q=%7B%20%7D%20%7C%20compare%28"), "{asked}");
    }

    #[test]
    fn a_value_narrows_the_search_where_there_is_a_filter_for_it() {
        let mut filter = TraceFilter { operation: "x".into(), ..TraceFilter::default() };
        let narrow = |filter: &mut TraceFilter, key, value| narrow(filter, key, value, Written::Quoted);
        narrow(&mut filter, "resource.service.name", "a");
        narrow(&mut filter, "span.http.route", "/y");
        narrow(&mut filter, "span.http.route", "/y");
        assert_eq!((filter.service.as_str(), filter.operation.as_str()), ("a", ""));
        assert_eq!(filter.attributes, ["http.route=/y"]);
        assert_eq!(filter.query, "");
        filter.query = "{ }".into();
        narrow(&mut filter, "kind", "server");
        assert_eq!(filter.query, "{ } | { kind = server }");
    }

    #[test]
    fn di4_what_filters_cannot_say_becomes_a_query_with_what_they_said() {
        let said = |key: &str, value: &str, written| {
            let attributes = vec!["n=5".to_owned()];
            let order = "longest".to_owned();
            let mut filter = TraceFilter { service: "a".into(), attributes, order, ..TraceFilter::default() };
            narrow(&mut filter, key, value, written);
            assert_eq!((filter.service.as_str(), filter.attributes.len(), filter.order.as_str()), ("", 0, "longest"));
            let told = r#"{ resource.service.name = "a" && (.n = "5" || .n = 5) && "#;
            filter.query.strip_prefix(told).unwrap().strip_suffix(" }").unwrap().to_owned()
        };
        for (key, value, written, expected) in [
            ("kind", "server", Written::Quoted, "kind = server"),
            ("statusMessage", "x y", Written::Quoted, r#"statusMessage = "x y""#),
            ("event.why", "timeout", Written::Quoted, r#"event.why = "timeout""#),
            ("event.n", "7", Written::Bare, "event.n = 7"),
            ("link.rel", "x", Written::Quoted, r#"link.rel = "x""#),
            ("event:name", "retry", Written::Quoted, r#"event:name = "retry""#),
            ("instrumentation:name", "lib", Written::Quoted, r#"instrumentation:name = "lib""#),
            ("instrumentation.a b", "c", Written::Quoted, r#"instrumentation."a b" = "c""#),
            ("rootName", "GET /", Written::Quoted, r#"rootName = "GET /""#),
            ("rootServiceName", "front", Written::Quoted, r#"rootServiceName = "front""#),
            ("span.a=b", "c", Written::Quoted, r#"span."a=b" = "c""#),
            ("name", "", Written::Quoted, "name = \"\""),
            ("resource.service.name", "", Written::Quoted, "resource.service.name = \"\""),
        ] {
            assert_eq!(said(key, value, written), expected, "{key}");
        }
        let mut empty = TraceFilter::default();
        narrow(&mut empty, "event:name", "retry", Written::Quoted);
        assert_eq!(empty.query, r#"{ event:name = "retry" }"#);
    }

    #[test]
    fn di3_key_and_values_are_of_one_attribute() {
        let side =
            |key: &str, value: &str| [("selection", 5.0), ("baseline", 10.0)].map(|(of, n)| one(of, key, value, n));
        let mut series = vec![one("selection", "kind", "server", 10.0), one("baseline", "kind", "server", 100.0)];
        for (key, value) in [
            ("event.why", "timeout"),
            ("name", "GET /slow"),
            ("resource.service.name", "checkout"),
            ("status", "error"),
        ] {
            series.extend(side(key, value));
        }
        let found = Differences::new(&Instant { series, ..Instant::default() });
        let told: Vec<_> = found.list.iter().map(|one| (one.key.as_str(), one.shares[0].value.as_str())).collect();
        assert_eq!(told, [("name", "GET /slow")]);
        assert_eq!(found.list[0].alike, ["event.why", "resource.service.name", "status"]);
    }

    #[test]
    fn an_attribute_whose_key_has_a_sign_is_found_by_a_query() {
        let with = |key: &str, value| search(&KeyValue { key: key.into(), value });
        assert_eq!(with("a", AnyValue::StringValue("b=c".into())), ("attr", "a=b=c".into()));
        assert_eq!(with("a=b", AnyValue::StringValue("c".into())), ("q", r#"{ ."a=b" = "c" }"#.into()));
        assert_eq!(with("a=b", AnyValue::IntValue(5)), ("q", r#"{ ."a=b" = 5 }"#.into()));
    }
}
