//! What do functions make of values? Go's own and Prometheus's.

use super::format::printf;
use super::value::{Found, Value, time};
use crate::series::number::significant;
use crate::series::quoted;
use regex::{Regex, RegexBuilder};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::re2;

/// Memory of a compiled pattern at most.
const MOST_PATTERN_BYTES: usize = 1 << 20;

/// Bytes of a text that a function makes.
pub(super) const MOST_TEXT: usize = 256 << 10;

/// Those that there are. `and`, `or` and `query` are the expansion's own: they do not want all values first, or the store.
pub(super) const FUNCTIONS: [&str; 47] = [
    "and",
    "args",
    "eq",
    "externalURL",
    "first",
    "ge",
    "graphLink",
    "gt",
    "html",
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "index",
    "js",
    "label",
    "le",
    "len",
    "lt",
    "match",
    "ne",
    "not",
    "now",
    "or",
    "parseDuration",
    "pathPrefix",
    "print",
    "printf",
    "println",
    "query",
    "reReplaceAll",
    "safeHtml",
    "slice",
    "sortByLabel",
    "stripDomain",
    "stripPort",
    "strvalue",
    "tableLink",
    "title",
    "toDuration",
    "toLower",
    "toTime",
    "toUpper",
    "urlQueryEscape",
    "urlquery",
    "value",
];

/// Whether there is a function of this name.
pub(super) fn is_function(name: &str) -> bool {
    FUNCTIONS.contains(&name)
}

/// What a function makes of values. `now` is in milliseconds.
pub(super) fn call(name: &str, values: &[Value], now: i64) -> Result<Value, String> {
    if let Some(value) = numeric(name, values)? {
        return Ok(value);
    }
    match (name, values) {
        ("print", _) => Ok(Value::Text(print(values))),
        ("println", _) => Ok(Value::Text(spaced(values) + "\n")),
        ("printf", [Value::Text(format), values @ ..]) => Ok(Value::Text(printf(format, values))),
        ("not", [value]) => Ok(Value::Bool(!value.is_true())),
        ("eq", [value, others @ ..]) if !others.is_empty() => {
            let mut is_equal = false;
            for other in others {
                is_equal |= equal(value, other)?;
            }
            Ok(Value::Bool(is_equal))
        }
        ("ne", [a, b]) => Ok(Value::Bool(!equal(a, b)?)),
        ("lt", [a, b]) => Ok(Value::Bool(order(a, b)? == Some(Ordering::Less))),
        ("le", [a, b]) => Ok(Value::Bool(matches!(order(a, b)?, Some(Ordering::Less | Ordering::Equal)))),
        ("gt", [a, b]) => Ok(Value::Bool(order(a, b)? == Some(Ordering::Greater))),
        ("ge", [a, b]) => Ok(Value::Bool(matches!(order(a, b)?, Some(Ordering::Greater | Ordering::Equal)))),
        ("len", [value]) => length(value),
        ("index", [value, places @ ..]) => places.iter().try_fold(value.clone(), |value, place| indexed(&value, place)),
        ("slice", [value, places @ ..]) => slice(value, places),
        // What was nested without end would be too deep to let go of.
        ("args", _) if !values.iter().any(|value| matches!(value, Value::Map(_))) => {
            let named = values.iter().enumerate().map(|(place, value)| (format!("arg{place}"), value.clone()));
            Ok(Value::Map(Arc::new(named.collect::<BTreeMap<_, _>>())))
        }
        ("now", []) => Ok(Value::Float(now as f64 / 1_000.0)),
        // The server does not know under which address people see it.
        ("externalURL" | "pathPrefix", []) => Ok(Value::Text(String::new())),
        _ => of_series(name, values).or_else(|| of_text(name, values)).unwrap_or_else(|| wrong(name, values)),
    }
}

fn wrong<T>(name: &str, values: &[Value]) -> Result<T, String> {
    let types: Vec<&str> = values.iter().map(Value::type_name).collect();
    Err(format!("wrong arguments for {name}: ({})", types.join(", ")))
}

/// Functions of series.
fn of_series(name: &str, values: &[Value]) -> Option<Result<Value, String>> {
    Some(match (name, values) {
        ("first", [Value::Vector(found)]) => match found.first() {
            Some(found) => Ok(Value::Found(Box::new(found.clone()))),
            None => Err("first() called on vector with no elements".to_owned()),
        },
        ("label", [Value::Text(name), Value::Found(found)]) => Ok(Value::Text(found.labels.get(name).to_owned())),
        ("value", [Value::Found(found)]) => Ok(Value::from(&found.value)),
        ("strvalue", [Value::Found(found)]) => Ok(Value::Text(found.labels.get("__value__").to_owned())),
        ("sortByLabel", [Value::Text(name), Value::Vector(found)]) => {
            let mut sorted: Vec<Found> = found.to_vec();
            sorted.sort_by(|a, b| a.labels.get(name).cmp(b.labels.get(name)));
            Ok(Value::Vector(sorted.into()))
        }
        _ => return None,
    })
}

/// Functions of texts.
fn of_text(name: &str, values: &[Value]) -> Option<Result<Value, String>> {
    let text = |text: String| Ok(Value::Text(text));
    Some(match (name, values) {
        ("title", [Value::Text(value)]) => text(title(value)),
        ("toUpper", [Value::Text(value)]) => text(value.to_uppercase()),
        ("toLower", [Value::Text(value)]) => text(value.to_lowercase()),
        ("safeHtml", [Value::Text(value)]) => text(value.clone()),
        ("match", [Value::Text(pattern), Value::Text(value)]) => {
            regex(pattern).map(|regex| Value::Bool(regex.is_match(value)))
        }
        ("reReplaceAll", [Value::Text(pattern), Value::Text(by), Value::Text(value)]) => {
            regex(pattern).and_then(|regex| replaced(&regex, by, value)).map(Value::Text)
        }
        ("stripPort", [Value::Text(value)]) => text(split_port(value).map_or_else(|| value.clone(), |(host, _)| host)),
        ("stripDomain", [Value::Text(value)]) => text(strip_domain(value)),
        ("graphLink", [Value::Text(value)]) => text(format!("/graph?g0.expr={}&g0.tab=0", escaped(value))),
        ("tableLink", [Value::Text(value)]) => text(format!("/graph?g0.expr={}&g0.tab=1", escaped(value))),
        ("urlQueryEscape", [Value::Text(value)]) => text(escaped(value)),
        ("urlquery", _) => text(escaped(&print(values))),
        ("html", _) => text(html(&print(values))),
        ("js", _) => text(js(&print(values))),
        ("parseDuration", [Value::Text(value)]) => {
            let (sign, size) = value.strip_prefix('-').map_or((1.0, value.as_str()), |size| (-1.0, size));
            crate::promql::parse_duration(size).map(|length| Value::Float(sign * length as f64 / 1_000.0))
        }
        _ => return None,
    })
}

/// Functions of one number.
fn numeric(name: &str, values: &[Value]) -> Result<Option<Value>, String> {
    let write: fn(f64) -> Result<Value, String> = match name {
        "humanize" => |value| Ok(Value::Text(humanize(value))),
        "humanize1024" => |value| Ok(Value::Text(humanize_1024(value))),
        "humanizeDuration" => |value| Ok(Value::Text(humanize_duration(value))),
        "humanizePercentage" => |value| Ok(Value::Text(format!("{}%", short(value * 100.0)))),
        "humanizeTimestamp" => {
            |value| Ok(Value::Text(if value.is_finite() { time(milliseconds(value)?) } else { short(value) }))
        }
        "toTime" => |value| {
            if value.is_finite() { milliseconds(value).map(Value::Time) } else { Err("value is NaN or Inf".to_owned()) }
        },
        "toDuration" => |value| Ok(Value::Duration((value * 1e9) as i64)),
        _ => return Ok(None),
    };
    match values {
        [value] => write(value.number()?).map(Some),
        _ => wrong(name, values),
    }
}

/// Go's `%.4g`.
fn short(value: f64) -> String {
    significant(value, 4)
}

fn milliseconds(seconds: f64) -> Result<i64, String> {
    let nanoseconds = seconds * 1e9;
    if nanoseconds.abs() > i64::MAX as f64 {
        let seconds = crate::series::number::general(seconds);
        let what = "cannot be represented as a nanoseconds timestamp since it overflows int64";
        return Err(format!("{seconds} {what}"));
    }
    Ok((nanoseconds as i64).div_euclid(1_000_000))
}

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

/// A number below 1 with the prefix that brings it above.
fn small(mut value: f64) -> String {
    let mut prefix = "";
    for next in SMALL {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = next;
        value *= 1_000.0;
    }
    format!("{}{prefix}", short(value))
}

fn large(mut value: f64, base: f64, letter: &str) -> String {
    let mut prefix = String::new();
    for next in LARGE {
        if value.abs() < base {
            break;
        }
        prefix = format!("{next}{letter}");
        value /= base;
    }
    format!("{}{prefix}", short(value))
}

fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        short(value)
    } else if value.abs() >= 1.0 {
        large(value, 1_000.0, "")
    } else {
        small(value)
    }
}

fn humanize_1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() { short(value) } else { large(value, 1_024.0, "i") }
}

fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return short(value);
    }
    if value == 0.0 {
        return "0s".to_owned();
    }
    let size = value.abs();
    if size < 1.0 {
        return small(value) + "s";
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let whole = size as i64;
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{}s", short(size)),
        (0, 0, _) => format!("{sign}{minutes}m {seconds}s"),
        (0, ..) => format!("{sign}{hours}h {minutes}m {seconds}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
    }
}

/// Side by side; spaces between values of which neither is a text.
fn print(values: &[Value]) -> String {
    let mut out = String::new();
    let mut was_text = true;
    for (place, value) in values.iter().enumerate() {
        let is_text = matches!(value, Value::Text(_));
        if place > 0 && !is_text && !was_text {
            out.push(' ');
        }
        out.push_str(&argument(value));
        was_text = is_text;
    }
    out
}

fn spaced(values: &[Value]) -> String {
    values.iter().map(argument).collect::<Vec<_>>().join(" ")
}

fn argument(value: &Value) -> String {
    if matches!(value, Value::Nil) { "<nil>".to_owned() } else { value.printed() }
}

fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    Ok(match (a, b) {
        (Value::Nil, Value::Nil) => true,
        (Value::Nil, _) | (_, Value::Nil) => false,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Text(a), Value::Text(b)) => a == b,
        _ => order(a, b)? == Some(Ordering::Equal),
    })
}

/// `None` where one is not a number.
fn order(a: &Value, b: &Value) -> Result<Option<Ordering>, String> {
    let number = |value: &Value| match value {
        Value::Int(value) | Value::Duration(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        _ => None,
    };
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Ok(Some(a.cmp(b))),
        (Value::Int(a), Value::Int(b)) | (Value::Time(a), Value::Time(b)) => Ok(Some(a.cmp(b))),
        _ => match (number(a), number(b)) {
            (Some(a), Some(b)) => Ok(a.partial_cmp(&b)),
            _ => Err(format!("incompatible types for comparison: {} and {}", a.type_name(), b.type_name())),
        },
    }
}

fn length(value: &Value) -> Result<Value, String> {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::Labels(labels) => labels.iter().count(),
        Value::Map(map) => map.len(),
        Value::Vector(found) => found.len(),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn indexed(value: &Value, place: &Value) -> Result<Value, String> {
    match (value, place) {
        (Value::Labels(_) | Value::Map(_), Value::Text(name)) => value.field(name),
        (Value::Vector(found), Value::Int(place)) => {
            let found = usize::try_from(*place).ok().and_then(|place| found.get(place));
            found.map(|found| Value::Found(Box::new(found.clone()))).ok_or(format!("index out of range: {place}"))
        }
        (Value::Text(text), Value::Int(place)) => {
            let byte = usize::try_from(*place).ok().and_then(|place| text.as_bytes().get(place));
            byte.map(|byte| Value::Int((*byte).into())).ok_or(format!("index out of range: {place}"))
        }
        _ => Err(format!("can't index item of type {} by {}", value.type_name(), place.type_name())),
    }
}

fn slice(value: &Value, places: &[Value]) -> Result<Value, String> {
    let place = |place: Option<&Value>, default: usize| match place {
        None => Ok(default),
        Some(Value::Int(place)) => usize::try_from(*place).map_err(|_| format!("index out of range: {place}")),
        Some(other) => Err(format!("cannot index slice/array with type {}", other.type_name())),
    };
    let (from, to) = (place(places.first(), 0)?, place(places.get(1), usize::MAX)?);
    match value {
        Value::Text(text) => {
            let cut = text.get(from..to.min(text.len()));
            cut.map(|cut| Value::Text(cut.to_owned())).ok_or(format!("index out of range: {from}"))
        }
        Value::Vector(found) => {
            let cut = found.get(from..to.min(found.len()));
            cut.map(|cut| Value::Vector(cut.into())).ok_or(format!("index out of range: {from}"))
        }
        other => Err(format!("can't slice item of type {}", other.type_name())),
    }
}

fn regex(pattern: &str) -> Result<Regex, String> {
    let said = re2::unanchored(pattern).ok();
    let regex = said.and_then(|said| RegexBuilder::new(&said).size_limit(MOST_PATTERN_BYTES).build().ok());
    regex.ok_or_else(|| format!("the pattern {} cannot be used", quoted(pattern.as_bytes())))
}

fn replaced(regex: &Regex, by: &str, text: &str) -> Result<String, String> {
    let (mut out, mut end) = (String::new(), 0);
    for found in regex.captures_iter(text) {
        let range = found.get_match().range();
        out.push_str(text.get(end..range.start).unwrap_or_default());
        let by_number = |number| found.get(number).map(|group| group.as_str());
        out.push_str(&re2::expand(by, by_number, |name| found.name(name).map(|group| group.as_str())));
        end = range.end;
        if out.len() > MOST_TEXT {
            return Err(format!("a text longer than {MOST_TEXT} bytes"));
        }
    }
    out.push_str(text.get(end..).unwrap_or_default());
    Ok(out)
}

/// The first letter of each word in upper case, the others as they are.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut within = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter.is_alphanumeric() {
            if within {
                out.push(letter)
            } else {
                out.extend(letter.to_uppercase())
            }
            within = true;
            continue;
        }
        // Signs between letters are within a word.
        let joins =
            matches!(letter, '\'' | '’' | '.' | ':' | '·') && letters.peek().is_some_and(|next| next.is_alphabetic());
        within = within && (letter == '_' || joins);
        out.push(letter);
    }
    out
}

/// `host:port`, `[host]:port`.
fn split_port(text: &str) -> Option<(String, String)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    Some((host.to_owned(), port.to_owned()))
}

fn strip_domain(text: &str) -> String {
    let (host, port) = split_port(text).unwrap_or_else(|| (text.to_owned(), String::new()));
    if host.parse::<std::net::IpAddr>().is_ok() {
        return text.to_owned();
    }
    let host = host.split('.').next().unwrap_or_default();
    if port.is_empty() { host.to_owned() } else { format!("{host}:{port}") }
}

/// As a part of a query string.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\0' => out.push(char::REPLACEMENT_CHARACTER),
            letter => out.push(letter),
        }
    }
    out
}

fn js(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | '\'' | '"' => out.extend(['\\', letter]),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", u32::from(letter))),
            letter if letter.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(letter))),
            letter => out.push(letter),
        }
    }
    out
}
