//! What is searched for? The filters of the trace and log pages, between the URL and the API.
//!
//! Q1  A filter read from the URL and written back is the same filter.
//! Q2  What the API would refuse is told beside the field, before a request is sent.

use super::address::Params;
use super::number;
use super::query::complete;
use super::time::{self, Range};

/// How many rows one page of a list asks for.
pub const PAGE: usize = 100;

/// Filters of the trace search, or a query in their place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceFilter {
    /// service.name.
    pub service: String,
    /// Span name.
    pub operation: String,
    /// `error`, `ok`, `unset`, or empty.
    pub status: String,
    /// Shortest duration, as typed.
    pub min_duration: String,
    /// Longest duration, as typed.
    pub max_duration: String,
    /// `key=value`, all of which must hold.
    pub attributes: Vec<String>,
    /// `newest`, `oldest` or `longest`; empty is newest.
    pub order: String,
    /// A query of TraceQL; where there is one, only the order counts beside it.
    pub query: String,
}

const TRACE_KEYS: [&str; 5] = ["service", "operation", "status", "min_duration", "max_duration"];

impl TraceFilter {
    /// Reads it from the URL.
    pub fn read(params: &Params) -> TraceFilter {
        let get = |key| params.get(key).unwrap_or_default().to_owned();
        TraceFilter {
            service: get("service"),
            operation: get("operation"),
            status: get("status"),
            min_duration: get("min_duration"),
            max_duration: get("max_duration"),
            attributes: params.all("attr"),
            order: get("order"),
            query: get("q"),
        }
    }

    /// Writes it into the URL.
    pub fn write(&self, params: &mut Params) {
        params.set("q", Some(&self.query));
        for (key, value) in TRACE_KEYS.iter().zip(self.values()) {
            params.set(key, Some(value));
        }
        params.set_all("attr", &self.attributes);
        params.set("order", Some(&self.order).filter(|o| *o != "newest").map(String::as_str));
    }

    fn values(&self) -> [&str; 5] {
        [&self.service, &self.operation, &self.status, &self.min_duration, &self.max_duration]
    }

    /// Whether nothing is filtered.
    pub fn is_empty(&self) -> bool {
        self.values().iter().all(|v| v.is_empty()) && self.attributes.is_empty() && self.query.is_empty()
    }

    /// The same as a query of TraceQL. An attribute is looked for as a number or a truth value where it reads like one, since
    /// the language tells them from texts.
    pub fn traceql(&self) -> String {
        let mut parts = Vec::new();
        if !self.service.is_empty() {
            parts.push(format!("resource.service.name = {}", complete::quoted(&self.service)));
        }
        if !self.operation.is_empty() {
            parts.push(format!("name = {}", complete::quoted(&self.operation)));
        }
        if !self.status.is_empty() {
            parts.push(format!("status = {}", self.status));
        }
        for (sign, value) in [(">=", &self.min_duration), ("<=", &self.max_duration)] {
            if !value.is_empty() {
                parts.push(format!("duration {sign} {}", value.replace(' ', "")));
            }
        }
        for (key, value) in self.attributes.iter().filter_map(|attribute| attribute.split_once('=')) {
            let bare = matches!(value, "true" | "false") || number::read(value).is_some();
            let value = if bare { value.to_owned() } else { complete::quoted(value) };
            let name = complete::attribute("span", key).text;
            parts.push(format!("{} = {value}", name.strip_prefix("span").unwrap_or(&name)));
        }
        if parts.is_empty() { "{ }".to_owned() } else { format!("{{ {} }}", parts.join(" && ")) }
    }

    /// What is wrong with a field, if anything: the field's name and a sentence.
    pub fn fault(&self) -> Option<(&'static str, String)> {
        if !self.query.is_empty() {
            return None;
        }
        for (field, value) in [("min_duration", &self.min_duration), ("max_duration", &self.max_duration)] {
            if !value.is_empty() && time::span(value).is_none() {
                return Some((field, format!("“{value}” is no duration: write 100ms, 1.5s or 2m")));
            }
        }
        let (min, max) = (time::span(&self.min_duration), time::span(&self.max_duration));
        if min.zip(max).is_some_and(|(min, max)| min > max) {
            return Some(("max_duration", "longest is below shortest".into()));
        }
        let bad = self.attributes.iter().find(|text| attribute_fault(text).is_some())?;
        Some(("attr", attribute_fault(bad)?))
    }

    /// The request of one page.
    pub fn request(&self, range: Range, cursor: Option<&str>) -> String {
        let mut params = Params::default();
        self.write(&mut params);
        within(&mut params, range);
        params.set("limit", Some(&PAGE.to_string()));
        params.set("cursor", cursor);
        params.behind("/api/v1/traces")
    }
}

/// Why a text is no `key=value`, if it is none.
pub fn attribute_fault(text: &str) -> Option<String> {
    match text.split_once('=') {
        Some((key, _)) if !key.trim().is_empty() => None,
        _ => Some(format!("“{text}” is no attribute: write key=value")),
    }
}

/// Filters of the log search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// Text that the body holds.
    pub contains: String,
    /// service.name.
    pub service: String,
    /// Least severe level, or empty.
    pub min_severity: String,
    /// Trace id.
    pub trace_id: String,
    /// Span id.
    pub span_id: String,
}

const LOG_KEYS: [&str; 5] = ["contains", "service", "min_severity", "trace_id", "span_id"];

impl LogFilter {
    /// Reads it from the URL.
    pub fn read(params: &Params) -> LogFilter {
        let get = |key| params.get(key).unwrap_or_default().to_owned();
        LogFilter {
            contains: get("contains"),
            service: get("service"),
            min_severity: get("min_severity"),
            trace_id: get("trace_id"),
            span_id: get("span_id"),
        }
    }

    /// Writes it into the URL.
    pub fn write(&self, params: &mut Params) {
        for (key, value) in LOG_KEYS.iter().zip(self.values()) {
            params.set(key, Some(value));
        }
    }

    fn values(&self) -> [&str; 5] {
        [&self.contains, &self.service, &self.min_severity, &self.trace_id, &self.span_id]
    }

    /// Whether nothing is filtered.
    pub fn is_empty(&self) -> bool {
        self.values().iter().all(|v| v.is_empty())
    }

    /// What is wrong with a field, if anything.
    pub fn fault(&self) -> Option<(&'static str, String)> {
        let hex =
            |text: &str, width| text.is_empty() || (text.len() == width && text.bytes().all(|b| b.is_ascii_hexdigit()));
        if !hex(&self.trace_id, 32) {
            return Some(("trace_id", "a trace id has 32 hex digits".into()));
        }
        if !hex(&self.span_id, 16) {
            return Some(("span_id", "a span id has 16 hex digits".into()));
        }
        None
    }

    /// The request of one page.
    pub fn request(&self, range: Range, cursor: Option<&str>) -> String {
        let mut params = self.params(range);
        params.set("limit", Some(&PAGE.to_string()));
        params.set("cursor", cursor);
        params.behind("/api/v1/logs")
    }

    /// The request of the histogram.
    pub fn histogram_request(&self, range: Range, buckets: usize) -> String {
        let mut params = self.params(range);
        params.set("buckets", Some(&buckets.to_string()));
        params.behind("/api/v1/logs/histogram")
    }

    fn params(&self, range: Range) -> Params {
        let mut params = Params::default();
        self.write(&mut params);
        within(&mut params, range);
        params
    }
}

/// Adds a range to a request.
pub fn within(params: &mut Params, range: Range) {
    params.set("start", Some(&range.start.to_string()));
    params.set("end", Some(&range.end.to_string()));
}

/// A path of the API within a range.
pub fn ranged(path: &str, range: Range) -> String {
    let mut params = Params::default();
    within(&mut params, range);
    params.behind(path)
}

/// Asks for the operations of a service: by a parameter, since browsers take `..` out of a path, however it is written.
pub fn operations(service: &str, range: Range) -> String {
    let mut params = Params::default();
    params.set("service", Some(service));
    within(&mut params, range);
    params.behind("/api/v1/operations")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn operations_are_asked_for_by_a_parameter_whatever_the_service_is_called() {
        let asked = |name| operations(name, Range { start: 1, end: 2 });
        assert_eq!(asked(".."), "/api/v1/operations?service=..&start=1&end=2");
        assert_eq!(asked("a/b"), "/api/v1/operations?service=a%2Fb&start=1&end=2");
    }

    #[test]
    fn faults_are_told_with_their_field() {
        let fault = |min: &str, max: &str, attr: &[&str]| {
            let attributes = attr.iter().map(|a| (*a).to_owned()).collect();
            TraceFilter { min_duration: min.into(), max_duration: max.into(), attributes, ..TraceFilter::default() }
                .fault()
                .map(|(field, _)| field)
        };
        assert_eq!(fault("100ms", "2s", &["a=b"]), None);
        assert_eq!(fault("100", "", &[]), Some("min_duration"));
        assert_eq!(fault("2s", "100ms", &[]), Some("max_duration"));
        assert_eq!(fault("", "", &["=b"]), Some("attr"));
        let logs = LogFilter { trace_id: "ab".into(), ..LogFilter::default() };
        assert_eq!(logs.fault().map(|(field, _)| field), Some("trace_id"));
    }

    #[test]
    fn filters_are_told_as_a_query() {
        let attributes = ["http.response.status_code=500", "user=u \"7\"", "a b=true"].map(str::to_owned).to_vec();
        let filter = TraceFilter {
            service: "cart".into(),
            status: "error".into(),
            min_duration: "1.5 s".into(),
            attributes,
            ..TraceFilter::default()
        };
        let expected = r#"{ resource.service.name = "cart" && status = error && duration >= 1.5s && .http.response.status_code = 500 && .user = "u \"7\"" && ."a b" = true }"#;
        assert_eq!(filter.traceql(), expected);
        assert_eq!(TraceFilter::default().traceql(), "{ }");
    }

    #[test]
    fn a_request_names_range_limit_and_cursor() {
        let filter = TraceFilter { service: "a b".into(), order: "longest".into(), ..TraceFilter::default() };
        let request = filter.request(Range { start: 1, end: 2 }, Some("c"));
        assert_eq!(request, "/api/v1/traces?service=a%20b&order=longest&start=1&end=2&limit=100&cursor=c");
    }

    proptest! {
        #[test]
        fn a_filter_survives_the_url(values in proptest::collection::vec("\\PC{0,6}", 6), attrs in proptest::collection::vec("[a-z]=\\PC{1,5}", 0..3)) {
            let mut it = values.into_iter();
            let mut next = || it.next().unwrap();
            let filter = TraceFilter {
                service: next(), operation: next(), status: next(), min_duration: next(), max_duration: next(),
                attributes: attrs, order: String::new(), query: next(),
            };
            let mut params = Params::default();
            filter.write(&mut params);
            prop_assert_eq!(TraceFilter::read(&Params::parse(&params.encode())), filter);
        }
    }
}
