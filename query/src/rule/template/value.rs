//! What can a template hold, and how is it written?

use crate::series::number::general;
use crate::series::{Histogram, Labels, Value as Measured};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A series of an answer, and its value.
#[derive(Debug, Clone)]
pub(in crate::rule) struct Found {
    pub(in crate::rule) labels: Labels,
    pub(in crate::rule) value: Measured,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Labels(Labels),
    /// What `args` makes.
    Map(Arc<BTreeMap<String, Value>>),
    /// What `query` answers.
    Vector(Arc<[Found]>),
    Found(Box<Found>),
    Histogram(Arc<Histogram>),
    /// The dot and `$`.
    Alert(Box<Found>),
    /// Milliseconds since 1970.
    Time(i64),
    /// Nanoseconds.
    Duration(i64),
}

impl From<&Measured> for Value {
    fn from(value: &Measured) -> Self {
        match value {
            Measured::Float(value) => Value::Float(*value),
            Measured::Histogram(histogram) => Value::Histogram(Arc::clone(histogram)),
        }
    }
}

impl Value {
    /// Whether `if` goes on with it.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(value) => *value,
            Value::Int(value) | Value::Duration(value) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::Labels(labels) => labels.iter().next().is_some(),
            Value::Map(map) => !map.is_empty(),
            Value::Vector(found) => !found.is_empty(),
            Value::Found(_) | Value::Histogram(_) | Value::Alert(_) | Value::Time(_) => true,
        }
    }

    /// What Go calls its type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float64",
            Value::Text(_) => "string",
            Value::Labels(_) => "map[string]string",
            Value::Map(_) => "map[string]interface {}",
            Value::Vector(_) => "template.queryResult",
            Value::Found(_) => "*template.sample",
            Value::Histogram(_) => "*histogram.FloatHistogram",
            Value::Alert(_) => "struct",
            Value::Time(_) => "*time.Time",
            Value::Duration(_) => "*time.Duration",
        }
    }

    /// `.name` of it.
    pub(super) fn field(&self, name: &str) -> Result<Value, String> {
        Ok(match (self, name) {
            (Value::Labels(labels), _) => Value::Text(labels.get(name).to_owned()),
            (Value::Map(map), _) => map.get(name).cloned().unwrap_or(Value::Nil),
            (Value::Found(found) | Value::Alert(found), "Labels") => Value::Labels(found.labels.clone()),
            (Value::Found(found) | Value::Alert(found), "Value") => Value::from(&found.value),
            // There are none: what is stored here is of this server.
            (Value::Alert(_), "ExternalLabels") => Value::Labels(Labels::default()),
            (Value::Alert(_), "ExternalURL") => Value::Text(String::new()),
            _ => return Err(format!("can't evaluate field {name} in type {}", self.type_name())),
        })
    }

    /// As `{{ }}` and `print` write it.
    pub(super) fn printed(&self) -> String {
        match self {
            Value::Nil => "<no value>".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => general(*value),
            Value::Text(text) => text.clone(),
            Value::Labels(labels) => {
                let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}:{value}")).collect();
                format!("map[{}]", pairs.join(" "))
            }
            Value::Map(map) => {
                let pairs: Vec<String> =
                    map.iter().map(|(name, value)| format!("{name}:{}", value.printed())).collect();
                format!("map[{}]", pairs.join(" "))
            }
            Value::Vector(found) => {
                let all: Vec<String> = found.iter().map(written).collect();
                format!("[{}]", all.join(" "))
            }
            Value::Found(found) | Value::Alert(found) => written(found),
            Value::Histogram(histogram) => histogram.to_string(),
            Value::Time(milliseconds) => time(*milliseconds),
            Value::Duration(nanoseconds) => duration(*nanoseconds),
        }
    }

    /// As a number, where Prometheus's functions take one.
    pub(super) fn number(&self) -> Result<f64, String> {
        match self {
            Value::Float(value) => Ok(*value),
            Value::Int(value) => Ok(*value as f64),
            Value::Duration(nanoseconds) => Ok(*nanoseconds as f64 / 1e9),
            Value::Text(text) => parse_float(text).ok_or_else(|| {
                format!("strconv.ParseFloat: parsing {}: invalid syntax", crate::series::quoted(text.as_bytes()))
            }),
            other => Err(format!("can't convert {} to float", other.type_name())),
        }
    }
}

/// A number as Go reads it.
fn parse_float(text: &str) -> Option<f64> {
    let plain = text.strip_prefix('+').unwrap_or(text);
    // What Rust reads besides, Go does too: inf, infinity and nan, in any case.
    plain.parse().ok()
}

fn written(found: &Found) -> String {
    format!("{{{} {}}}", Value::Labels(found.labels.clone()).printed(), Value::from(&found.value).printed())
}

/// As Go prints a time in UTC.
pub(super) fn time(milliseconds: i64) -> String {
    let Ok(moment) = jiff::Timestamp::from_millisecond(milliseconds) else { return "<no value>".to_owned() };
    let moment = moment.to_zoned(jiff::tz::TimeZone::UTC).datetime();
    let (date, clock) = (moment.date(), moment.time());
    let (hour, minute, second) = (clock.hour(), clock.minute(), clock.second());
    let mut text = format!("{date} {hour:02}:{minute:02}:{second:02}");
    let fraction = format!("{:03}", milliseconds.rem_euclid(1_000));
    let fraction = fraction.trim_end_matches('0');
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    text + " +0000 UTC"
}

/// As Go prints a duration: `1h2m3.5s`, `1.5ms`.
fn duration(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let size = nanoseconds.unsigned_abs();
    let fraction = |whole: u64, part: u64, digits: usize| {
        let part = format!("{part:0digits$}");
        let part = part.trim_end_matches('0');
        if part.is_empty() { whole.to_string() } else { format!("{whole}.{part}") }
    };
    let text = match size {
        0 => return "0s".to_owned(),
        1..1_000 => format!("{size}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(size / 1_000, size % 1_000, 3)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(size / 1_000_000, size % 1_000_000, 6)),
        _ => {
            let seconds = size / 1_000_000_000;
            let rest = fraction(seconds % 60, size % 1_000_000_000, 9);
            let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
            match (hours, minutes) {
                (0, 0) => format!("{rest}s"),
                (0, minutes) => format!("{minutes}m{rest}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{rest}s"),
            }
        }
    };
    format!("{sign}{text}")
}
