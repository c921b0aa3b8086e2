//! What do the parameters of a request say? Jaeger's: unknown ones are ignored, of one that is given twice the last counts.
//!
//! P1  A search becomes a TraceQL query: one span meets all conditions. A tag may lie with the span, its resource, its scope, an
//!     event or a link; its value is compared as text, whatever its type.
//! P2  A tag's value with a `*` is also a regular expression that matches all of the text, as Jaeger has it with its searching stores;
//!     with its other stores, it is only that text.
//! P3  A tag's value that is a list in JSON, as the first API tells lists, finds the lists that have all of its elements, too.

use super::super::parameter::decode;
use super::model::stored_service;
use crate::error::{Error, Result};
use crate::time;
use crate::trace::Position;
use crate::traceql;
use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::fmt::Write;
use storage::model::TraceId;
use storage::scan::TimeRange;

const MICROS: i64 = 1_000;
const MILLIS: i64 = 1_000_000;
/// What is looked at where no range is given.
const HOUR: i64 = 3_600_000_000_000;
pub(super) const DAY: i64 = 24 * HOUR;
/// Traces of an answer unless it is said.
pub(super) const USUAL_TRACES: usize = 100;
/// Most traces of an answer: what Jaeger allows with ClickHouse, where nobody says otherwise.
pub(super) const MOST_TRACES: usize = 10_000;
/// Most tags of a search, and traces that are asked for by id.
const MOST_TAGS: usize = 64;
/// Elements of a list that are looked for.
const MOST_ELEMENTS: usize = 16;

/// The scopes of a tag, in TraceQL.
const SCOPES: [&str; 5] = ["span", "resource", "event", "link", "instrumentation"];

/// A search, in TraceQL.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Search {
    pub(super) text: String,
    pub(super) range: TimeRange,
    pub(super) limit: usize,
    /// The last trace of the page before.
    pub(super) after: Option<Position>,
}

/// The parameters of a request.
#[derive(Debug)]
pub(super) struct Request {
    pairs: Vec<(String, String)>,
    now: i64,
}

impl Request {
    pub(super) fn read(query: &str, now: i64) -> Result<Self> {
        Ok(Request { pairs: decode(query)?, now })
    }

    pub(super) fn texts<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a str> {
        self.pairs
            .iter()
            .filter(move |(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// A parameter that is given and not empty.
    pub(super) fn text<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.texts(name).next_back()
    }

    /// A parameter under its name, or the one that it had before.
    pub(super) fn either<'a>(&'a self, name: &'a str, older: &'a str) -> Option<&'a str> {
        self.text(name).or_else(|| self.text(older))
    }

    pub(super) fn required<'a>(&'a self, name: &'a str) -> Result<&'a str> {
        self.text(name).ok_or_else(|| Error::parameter(name, format!("parameter '{name}' is required")))
    }

    /// A whole number of some unit, as nanoseconds.
    pub(super) fn number(&self, name: &str, unit: i64) -> Result<Option<i64>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number: i64 =
            text.parse().map_err(|_| invalid(name, format!("expected a whole number, found `{text}`")))?;
        Ok(Some(number.saturating_mul(unit)))
    }

    /// A duration; one of zero is none, as Jaeger has it.
    fn length(&self, name: &str, text: Option<&str>) -> Result<Option<i64>> {
        let length = text.map(|text| time::length(text).map_err(|why| invalid(name, why))).transpose()?;
        Ok(length.filter(|nanos| *nanos > 0))
    }

    fn limit(&self, name: &str, text: Option<&str>) -> Result<usize> {
        match text.map(str::parse::<u64>) {
            None => depth(name, 0),
            Some(Ok(limit)) => depth(name, usize::try_from(limit).unwrap_or(usize::MAX)),
            Some(Err(_)) => Err(invalid(name, "expected a whole number")),
        }
    }

    /// `traceID`, as often as it is given.
    pub(super) fn trace_ids(&self) -> Result<Vec<TraceId>> {
        let ids: Vec<TraceId> = self.texts("traceID").map(trace_id).collect::<Result<_>>()?;
        if ids.len() > MOST_TAGS {
            return Err(invalid("traceID", format!("at most {MOST_TAGS} traces are asked for by id")));
        }
        Ok(ids)
    }

    /// A search of the first API. Times are microseconds.
    pub(super) fn search_v1(&self) -> Result<Search> {
        let end = self.number("end", MICROS)?.unwrap_or(self.now);
        let start = self.number("start", MICROS)?.unwrap_or(end.saturating_sub(HOUR));
        let mut tags = Vec::new();
        for text in self.texts("tag") {
            let (key, value) =
                text.split_once(':').ok_or_else(|| invalid("tag", format!("expected `key:value`, found `{text}`")))?;
            tags.push((key.to_owned(), value.to_owned()));
        }
        for text in self.texts("tags") {
            tags.extend(tags_of("tags", text)?);
        }
        let conditions = Conditions {
            service: self.text("service"),
            operation: self.text("operation"),
            tags,
            shortest: self.length("minDuration", self.text("minDuration"))?,
            longest: self.length("maxDuration", self.text("maxDuration"))?,
        };
        // The microsecond that is named last belongs to the range.
        let range = range(start, end.saturating_add(MICROS), "start")?;
        Ok(Search { text: conditions.query()?, range, limit: self.limit("limit", self.text("limit"))?, after: None })
    }

    /// A search of the third API.
    pub(super) fn search_v3(&self) -> Result<Search> {
        if self.text("query.filter").is_some() {
            let message = "structured filters are not understood; `query.attributes` are";
            return Err(Error::parameter("query.filter", message));
        }
        let moment = |name: &str, older: &str| {
            let text = self.either(name, older);
            let text = text.ok_or_else(|| Error::parameter(name, format!("{name} is required")))?;
            time::moment(text, self.now).map_err(|why| invalid(name, why))
        };
        let start = moment("query.startTimeMin", "query.start_time_min")?;
        let end = moment("query.startTimeMax", "query.start_time_max")?;
        let length = |name: &str, older: &str| self.length(name, self.either(name, older));
        let tags = self.text("query.attributes").map(|text| tags_of("query.attributes", text)).transpose()?;
        let conditions = Conditions {
            service: self.either("query.serviceName", "query.service_name"),
            operation: self.either("query.operationName", "query.operation_name"),
            tags: tags.unwrap_or_default(),
            shortest: length("query.durationMin", "query.duration_min")?,
            longest: length("query.durationMax", "query.duration_max")?,
        };
        let range = range(start, end.saturating_add(1), "query.startTimeMin")?;
        let limit = self.either("query.searchDepth", "query.search_depth").or_else(|| self.text("query.num_traces"));
        Ok(Search { text: conditions.query()?, range, limit: self.limit("query.searchDepth", limit)?, after: None })
    }

    /// `quantile`, above 0 and at most 1, as it is written.
    pub(super) fn quantile(&self) -> Result<String> {
        let text = self.required("quantile")?;
        match text.parse::<f64>() {
            Ok(quantile) if quantile > 0.0 && quantile <= 1.0 => Ok(format!("{quantile}")),
            _ => Err(invalid("quantile", "expected a number above 0 and at most 1")),
        }
    }

    /// The range that ends at `endTs` and is as long as `lookback`, both in milliseconds.
    pub(super) fn lookback(&self, usual: i64) -> Result<TimeRange> {
        let end = self.number("endTs", MILLIS)?.unwrap_or(self.now);
        let length = self.number("lookback", MILLIS)?.unwrap_or(usual);
        range(end.saturating_sub(length), end, "lookback")
    }
}

pub(super) fn range(start: i64, end: i64, name: &str) -> Result<TimeRange> {
    if start >= end {
        return Err(invalid(name, "the range ends before it begins"));
    }
    Ok(TimeRange { start, end })
}

/// How many traces are answered: as many as are asked for, the usual number for zero, as most of Jaeger's stores have it.
pub(super) fn depth(name: &str, asked: usize) -> Result<usize> {
    match asked {
        0 => Ok(USUAL_TRACES),
        1..=MOST_TRACES => Ok(asked),
        _ => Err(invalid(name, format!("search depth {asked} exceeds maximum allowed {MOST_TRACES}"))),
    }
}

fn invalid(name: &str, why: impl std::fmt::Display) -> Error {
    Error::parameter(name, format!("unable to parse param '{name}': {why}"))
}

/// A JSON object of texts; numbers and booleans are taken as they are written.
fn tags_of(name: &str, text: &str) -> Result<Vec<(String, String)>> {
    let tags: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|error| invalid(name, format!("malformed JSON object: {error}")))?;
    let tag = |(key, value): (String, serde_json::Value)| match value {
        serde_json::Value::String(text) => Ok((key, text)),
        serde_json::Value::Number(_) | serde_json::Value::Bool(_) => Ok((key, value.to_string())),
        _ => Err(invalid(name, format!("the value of `{key}` is no text"))),
    };
    tags.into_iter().map(tag).collect()
}

/// 32 hex digits, of which leading zeros may be missing, or 16 bytes as base64, of either alphabet, padded or not.
pub(super) fn trace_id(text: &str) -> Result<TraceId> {
    let is_hex = (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = match is_hex {
        true => format!("{text:0>32}").parse().ok(),
        false => {
            let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
            let decode = |alphabet| GeneralPurpose::new(alphabet, config).decode(text).ok();
            let bytes = [STANDARD, URL_SAFE].iter().find_map(decode);
            bytes.and_then(|bytes| bytes.try_into().ok()).map(TraceId)
        }
    };
    id.filter(|id| id.0 != [0; 16]).ok_or_else(|| {
        Error::parameter("traceID", "a trace id has 1 to 32 hex digits, or is base64 of 16 bytes, and is not zero")
    })
}

/// What one span of a trace must meet.
pub(super) struct Conditions<'a> {
    pub(super) service: Option<&'a str>,
    pub(super) operation: Option<&'a str>,
    pub(super) tags: Vec<(String, String)>,
    /// Nanoseconds.
    pub(super) shortest: Option<i64>,
    pub(super) longest: Option<i64>,
}

impl Conditions<'_> {
    /// The same in TraceQL (P1).
    pub(super) fn query(&self) -> Result<String> {
        if self.tags.len() > MOST_TAGS {
            return Err(invalid("tags", format!("at most {MOST_TAGS} tags are asked for")));
        }
        if let (Some(shortest), Some(longest)) = (self.shortest, self.longest)
            && shortest > longest
        {
            let message = format!("the minimum duration, {shortest}ns, is above the maximum, {longest}ns");
            return Err(Error::parameter("duration", message));
        }
        let mut parts = Vec::new();
        parts.extend(self.service.map(|name| format!("resource.service.name = {}", quoted(stored_service(name)))));
        parts.extend(self.operation.map(|name| format!("name = {}", quoted(name))));
        parts.extend(self.shortest.map(|nanos| format!("duration >= {nanos}ns")));
        parts.extend(self.longest.map(|nanos| format!("duration <= {nanos}ns")));
        for (key, value) in &self.tags {
            parts.push(format!("({})", tag(key, value).join(" || ")));
        }
        Ok(format!("{{ {} }}", parts.join(" && ")))
    }
}

/// The places where a tag may be found.
fn tag(key: &str, value: &str) -> Vec<String> {
    let (literals, elements) = (literals(value), elements(value));
    let mut places = Vec::new();
    for name in SCOPES.map(|scope| format!("{scope}.{}", name(key))) {
        places.extend(literals.iter().map(|literal| format!("{name} {literal}")));
        let all: Vec<String> = elements.iter().map(|element| format!("{name} {element}")).collect();
        places.extend((!all.is_empty()).then(|| format!("({})", all.join(" && "))));
    }
    let mut texts = |name: &str| places.extend(texts(value).iter().map(|text| format!("{name} {text}")));
    // What OTLP has fields for.
    match (key, value) {
        ("error", "true") => places.push("status = error".to_owned()),
        ("error", "false") => places.push("status != error".to_owned()),
        ("otel.status_code", "ERROR") => places.push("status = error".to_owned()),
        ("otel.status_code", "OK") => places.push("status = ok".to_owned()),
        ("span.kind", "internal" | "server" | "client" | "producer" | "consumer") => {
            places.push(format!("kind = {value}"));
        }
        ("otel.status_description", _) => texts("statusMessage"),
        ("otel.scope.name", _) => texts("instrumentation:name"),
        ("otel.scope.version", _) => texts("instrumentation:version"),
        ("event", _) => texts("event:name"),
        _ => {}
    }
    places
}

/// A value as text, and as what else it may be.
fn literals(value: &str) -> Vec<String> {
    let mut literals = texts(value);
    literals.extend(plain(value).map(|value| format!("= {value}")));
    literals
}

/// A whole number, a decimal or a boolean as TraceQL writes it, if it is one.
fn plain(value: &str) -> Option<&str> {
    let is_decimal = value.strip_prefix('-').unwrap_or(value).split_once('.').is_some_and(|(whole, fraction)| {
        [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit()))
    });
    let is_whole = value.parse::<i64>().is_ok_and(|number| number.to_string() == value);
    (is_whole || is_decimal || matches!(value, "true" | "false")).then_some(value)
}

/// What a list has if it is this one (P3): its first elements; nothing where one of them cannot be looked for.
fn elements(value: &str) -> Vec<String> {
    let list: Vec<serde_json::Value> = match value.starts_with('[') {
        true => serde_json::from_str(value).unwrap_or_default(),
        false => Vec::new(),
    };
    let literal = |element: &serde_json::Value| match element {
        serde_json::Value::String(text) => Some(format!("= {}", quoted(text))),
        other => plain(&other.to_string()).map(|value| format!("= {value}")),
    };
    list.iter().take(MOST_ELEMENTS).map(literal).collect::<Option<_>>().unwrap_or_default()
}

/// A value as text, and as a pattern where it is one (P2).
fn texts(value: &str) -> Vec<String> {
    let mut texts = vec![format!("= {}", quoted(value))];
    let pattern = format!("=~ {}", quoted(value));
    let is_pattern = value.contains('*') && traceql::parse(&format!("{{ name {pattern} }}")).is_ok();
    texts.extend(is_pattern.then_some(pattern));
    texts
}

/// A name as TraceQL quotes it.
fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A text as TraceQL quotes it.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            letter if letter.is_control() => drop(write!(quoted, "\\u{:04x}", u32::from(letter))),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_795_413_600_000_000_000;

    fn read(query: &str) -> Request {
        Request::read(query, NOW).unwrap()
    }

    #[test]
    fn a_search_is_one_span_that_meets_everything() {
        let search = read("service=shop&operation=GET%20%2F&minDuration=1.5ms&tags=%7B%22a%22%3A%22x%22%7D&limit=3");
        let search = search.search_v1().unwrap();
        let tag =
            ["span", "resource", "event", "link", "instrumentation"].map(|scope| format!("{scope}.\"a\" = \"x\""));
        let expected = format!(
            "{{ resource.service.name = \"shop\" && name = \"GET /\" && duration >= 1500000ns && ({}) }}",
            tag.join(" || ")
        );
        assert_eq!((search.text, search.limit), (expected, 3));
        assert_eq!(search.range, TimeRange { start: NOW - HOUR, end: NOW + MICROS });
        assert_eq!(read("").search_v1().unwrap().text, "{  }");
        let third =
            "query.startTimeMin=2026-11-23T05:00:00Z&query.startTimeMax=2026-11-23T06:00:00Z&query.service_name=shop";
        let third = read(third).search_v3().unwrap();
        assert_eq!((third.text.as_str(), third.limit), ("{ resource.service.name = \"shop\" }", USUAL_TRACES));
        assert_eq!(third.range, TimeRange { start: NOW - HOUR, end: NOW + 1 });
    }

    #[test]
    fn values_are_compared_as_what_they_may_be() {
        assert_eq!(literals("7"), ["= \"7\"", "= 7"]);
        assert_eq!(literals("72.5"), ["= \"72.5\"", "= 72.5"]);
        assert_eq!(literals("true"), ["= \"true\"", "= true"]);
        assert_eq!(literals("inf"), ["= \"inf\""]);
        assert_eq!(literals("same.*"), ["= \"same.*\"", "=~ \"same.*\""]);
        assert_eq!(literals("*.example.com"), ["= \"*.example.com\""], "no pattern, but a text");
        assert_eq!(elements(r#"["a\"b",7,-1.5,true]"#), ["= \"a\\\"b\"", "= 7", "= -1.5", "= true"]);
        for none in ["[", "[]", "[[1]]", "[1,null]", "{\"a\":1}", "7"] {
            assert!(elements(none).is_empty(), "{none}");
        }
        assert_eq!(elements(&format!("{:?}", [1; 100])).len(), MOST_ELEMENTS);
        assert!(tag("error", "true").contains(&"status = error".to_owned()));
        assert!(tag("span.kind", "client").contains(&"kind = client".to_owned()));
        assert!(!tag("span.kind", "x || true").iter().any(|place| place.starts_with("kind")));
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        let message = |query: &str| read(query).search_v1().unwrap_err().to_string();
        assert!(message("start=x").contains("'start'"));
        assert!(message("tags=%7B").contains("malformed JSON"));
        assert!(message("tags=%7B%22a%22%3A%5B%5D%7D").contains("`a` is no text"));
        assert!(message("tag=a").contains("key:value"));
        assert!(message("limit=x").contains("whole number"));
        assert!(message("limit=-1").contains("whole number"));
        assert!(message("limit=10001").contains("10001 exceeds maximum allowed 10000"));
        assert!(message("minDuration=2ms&maxDuration=1ms").contains("2000000ns, is above the maximum, 1000000ns"));
        assert!(message("start=2&end=1&x=y").contains("ends before"));
        assert!(message("minDuration=-1s").contains("'minDuration'"));
        assert!(read("").search_v3().unwrap_err().to_string().contains("query.startTimeMin is required"));
        let filtered = "query.startTimeMin=now-1h&query.startTimeMax=now&query.filter=x";
        assert!(read(filtered).search_v3().unwrap_err().to_string().contains("structured filters"));
        let tags: String = (0..65).map(|tag| format!("tag=a{tag}:b&")).collect();
        assert!(message(&tags).contains("at most 64"));
    }

    #[test]
    fn a_limit_of_zero_is_the_usual_one_and_a_duration_of_zero_is_none() {
        let search = |query: &str| read(query).search_v1().unwrap();
        assert_eq!((search("limit=0").limit, search("limit=10000").limit), (USUAL_TRACES, MOST_TRACES));
        assert_eq!(search("minDuration=1ms&maxDuration=0s").text, "{ duration >= 1000000ns }");
        assert_eq!(
            search("minDuration=1ms&maxDuration=1ms").text,
            "{ duration >= 1000000ns && duration <= 1000000ns }"
        );
        for name in ["query.searchDepth", "query.search_depth", "query.num_traces"] {
            let query = format!("query.startTimeMin=now-1h&query.startTimeMax=now&{name}=7");
            assert_eq!(read(&query).search_v3().unwrap().limit, 7, "{name}");
        }
    }

    #[test]
    fn ids_are_hex_or_base64() {
        let id = trace_id("0102030405060708090a0b0c0d0e0f10").unwrap();
        assert_eq!(trace_id("AQIDBAUGBwgJCgsMDQ4PEA==").unwrap(), id);
        assert_eq!(trace_id("AQIDBAUGBwgJCgsMDQ4PEA").unwrap(), id);
        let odd = trace_id("fbfffefbfffefbfffefbfffefbfffe09").unwrap();
        for form in ["+//++//++//++//++//+CQ==", "-__--__--__--__--__-CQ==", "-__--__--__--__--__-CQ"] {
            assert_eq!(trace_id(form).unwrap(), odd, "{form}");
        }
        assert_eq!(trace_id("7").unwrap().to_string(), "00000000000000000000000000000007");
        for none in ["", "0", "xyz", "AAAAAAAAAAAAAAAAAAAAAA==", "AQID"] {
            assert!(trace_id(none).is_err(), "{none}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_is_one_query(service in ".{0,20}", key in ".{1,20}", value in ".{0,20}") {
            let conditions = Conditions {
                service: Some(&service),
                operation: Some(&value),
                tags: vec![(key.clone(), value.clone())],
                shortest: None,
                longest: Some(5),
            };
            let text = conditions.query().unwrap();
            let parsed = crate::traceql::parse(&text);
            prop_assert!(parsed.is_ok(), "{text}: {parsed:?}");
        }
    }
}
