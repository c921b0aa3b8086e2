//! Which labels has a series, as text? Its name, type, unit, service and scope, and the attributes of its resource, scope and
//! points.
//!
//! A value that is no text is written as OpenTelemetry's collector writes it: `true`, `17`, `0.5`, base64 for bytes, JSON for
//! lists and maps. An empty text is no label, as in Prometheus.
//!
//! Not here: what Prometheus calls a label (`query`).

use super::series::Series;
use crate::model::attribute::{Map, Value};
use crate::model::origin::{Resource, Scope};
use crate::model::record::put_bytes;
use std::borrow::Cow;

/// One label of a series.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Label {
    /// Name of the metric.
    Name,
    /// `gauge`, `sum`, `histogram`, `exponential_histogram` or `summary`.
    Type,
    /// Unit.
    Unit,
    /// `service.name`, or `unknown_service`.
    ServiceName,
    /// Name of the instrumentation scope.
    ScopeName,
    /// Version of the instrumentation scope.
    ScopeVersion,
    /// An attribute of the points.
    Point(String),
    /// An attribute of the resource.
    Resource(String),
    /// An attribute of the instrumentation scope.
    Scope(String),
}

impl Label {
    /// The number in label postings, and the attribute's key.
    fn parts(&self) -> (u8, &str) {
        match self {
            Label::Name => (1, ""),
            Label::Type => (2, ""),
            Label::Unit => (3, ""),
            Label::ServiceName => (4, ""),
            Label::ScopeName => (5, ""),
            Label::ScopeVersion => (6, ""),
            Label::Point(key) => (7, key),
            Label::Resource(key) => (8, key),
            Label::Scope(key) => (9, key),
        }
    }

    /// The attribute's key.
    pub(crate) fn key(&self) -> &str {
        self.parts().1
    }

    /// What the label's entries in the postings begin with: no label's prefix begins with another's.
    pub(crate) fn prefix(&self) -> Vec<u8> {
        let (code, key) = self.parts();
        prefix(code, key)
    }

    /// The label of an entry's start, and how long that start is.
    pub(crate) fn of_prefix(entry: &[u8]) -> Option<(Label, usize)> {
        let (&code, mut rest) = entry.split_first()?;
        let key = std::str::from_utf8(crate::model::record::take_bytes(&mut rest)?).ok()?.to_owned();
        let label = match code {
            1 => Label::Name,
            2 => Label::Type,
            3 => Label::Unit,
            4 => Label::ServiceName,
            5 => Label::ScopeName,
            6 => Label::ScopeVersion,
            7 => Label::Point(key),
            8 => Label::Resource(key),
            9 => Label::Scope(key),
            _ => return None,
        };
        Some((label, entry.len() - rest.len()))
    }

    /// Its value for a series; empty where the series has none.
    pub fn value<'a>(&self, series: &'a Series) -> Cow<'a, str> {
        let attribute = |map: Map<'a>, key: &str| map.get(key).map_or(Cow::Borrowed(""), text_of);
        match self {
            Label::Name => Cow::Borrowed(&*series.name),
            Label::Type => type_text(series.r#type),
            Label::Unit => Cow::Borrowed(&*series.unit),
            Label::ServiceName => Cow::Borrowed(&*series.service_name),
            Label::ScopeName => Cow::Borrowed(series.scope().name),
            Label::ScopeVersion => Cow::Borrowed(series.scope().version),
            Label::Point(key) => attribute(series.attributes(), key),
            Label::Resource(key) => attribute(series.resource().attributes, key),
            Label::Scope(key) => attribute(series.scope().attributes, key),
        }
    }
}

/// The value of an attribute of points, of their cell; empty where there is none.
pub(super) fn point_value<'a>(attributes: &'a [u8], key: &str) -> Cow<'a, str> {
    Map::new(attributes).get(key).map_or(Cow::Borrowed(""), text_of)
}

fn prefix(code: u8, key: &str) -> Vec<u8> {
    let mut prefix = vec![code];
    put_bytes(&mut prefix, key.as_bytes());
    prefix
}

/// A label's prefix and its value.
pub(crate) type LabelText<'a> = (Vec<u8>, Cow<'a, str>);

/// The labels of a series that are not its resource's or scope's.
pub(crate) fn labels_of_series(series: &Series) -> Vec<LabelText<'_>> {
    let own = [
        (Label::Name, Cow::Borrowed(&*series.name)),
        (Label::Type, type_text(series.r#type)),
        (Label::Unit, Cow::Borrowed(&*series.unit)),
        (Label::ServiceName, Cow::Borrowed(&*series.service_name)),
    ];
    let attributes = series.attributes().iter().map(|(key, value)| (prefix(7, key), text_of(value)));
    own.into_iter().map(|(label, text)| (label.prefix(), text)).chain(attributes).collect()
}

impl Series {
    /// Every label that it has.
    pub fn labels(&self) -> Vec<Label> {
        let all = [labels_of_series(self), labels_of_resource(&self.resource), labels_of_scope(&self.scope)];
        let present = all.iter().flatten().filter(|(_, text)| !text.is_empty());
        present.filter_map(|(prefix, _)| Some(Label::of_prefix(prefix)?.0)).collect()
    }
}

/// The labels that a resource's cell gives.
pub(crate) fn labels_of_resource(cell: &[u8]) -> Vec<LabelText<'_>> {
    let map = Resource::parse(cell).unwrap_or_default().attributes;
    map.iter().map(|(key, value)| (prefix(8, key), text_of(value))).collect()
}

/// The labels that a scope's cell gives.
pub(crate) fn labels_of_scope(cell: &[u8]) -> Vec<LabelText<'_>> {
    let scope = Scope::parse(cell).unwrap_or_default();
    let own = [(Label::ScopeName, scope.name), (Label::ScopeVersion, scope.version)];
    let attributes = scope.attributes.iter().map(|(key, value)| (prefix(9, key), text_of(value)));
    own.into_iter().map(|(label, text)| (label.prefix(), Cow::Borrowed(text))).chain(attributes).collect()
}

fn type_text(code: i32) -> Cow<'static, str> {
    match code {
        1 => "gauge".into(),
        2 => "sum".into(),
        3 => "histogram".into(),
        4 => "exponential_histogram".into(),
        5 => "summary".into(),
        other => other.to_string().into(),
    }
}

/// A value as text.
pub fn text_of(value: Value<'_>) -> Cow<'_, str> {
    match value {
        Value::Empty => Cow::Borrowed(""),
        Value::String(text) => Cow::Borrowed(text),
        Value::Bool(value) => Cow::Borrowed(if value { "true" } else { "false" }),
        Value::Int(value) => Cow::Owned(value.to_string()),
        Value::Double(value) => Cow::Owned(double_text(value)),
        Value::Bytes(bytes) => Cow::Owned(base64(bytes)),
        Value::Array(_) | Value::Map(_) => Cow::Owned(json(value).to_string()),
    }
}

/// As Go writes JSON: without exponent from 1e-6 up to 1e21.
fn double_text(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return if value.is_nan() {
            "NaN".into()
        } else if value > 0.0 {
            "+Inf".into()
        } else {
            "-Inf".into()
        };
    }
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{value:e}");
        return if size >= 1.0 { text.replacen('e', "e+", 1) } else { text };
    }
    value.to_string()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let number = group.iter().chain(&[0, 0]).take(3).fold(0usize, |number, &byte| number << 8 | usize::from(byte));
        for place in 0..4 {
            let digit = DIGITS.get(number >> (18 - 6 * place) & 63).copied().map_or('=', char::from);
            text.push(if place > group.len() { '=' } else { digit });
        }
    }
    text
}

fn json(value: Value<'_>) -> serde_json::Value {
    match value {
        Value::Empty => serde_json::Value::Null,
        Value::String(text) => text.into(),
        Value::Bool(value) => value.into(),
        Value::Int(value) => value.into(),
        Value::Double(value) => value.into(),
        Value::Bytes(bytes) => base64(bytes).into(),
        Value::Array(list) => list.iter().map(json).collect(),
        Value::Map(map) => map.iter().map(|(key, value)| (key.to_owned(), json(value))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_the_collector_writes_them() {
        let check = |value: Value<'_>, expected: &str| assert_eq!(text_of(value), expected);
        check(Value::Int(-7), "-7");
        check(Value::Bool(true), "true");
        check(Value::Double(200.0), "200");
        check(Value::Double(0.1), "0.1");
        check(Value::Double(1e21), "1e+21");
        check(Value::Double(1.5e-7), "1.5e-7");
        check(Value::Double(-0.0), "-0");
        check(Value::Bytes(b"\xff"), "/w==");
        check(Value::Bytes(b"ab"), "YWI=");
        check(Value::Bytes(b"abc"), "YWJj");
        check(Value::Empty, "");
    }

    #[test]
    fn a_prefix_tells_its_label() {
        for label in [Label::Name, Label::Point("a".into()), Label::Resource(String::new()), Label::Scope("é".into())]
        {
            let mut entry = label.prefix();
            let length = entry.len();
            entry.extend_from_slice(b"value");
            assert_eq!(Label::of_prefix(&entry), Some((label, length)));
        }
    }
}
