//! Which attributes can be asked for, and which values have they? In JSON and in protobuf.
//!
//! G1  Without `q` the answer comes from the store's own lists; with it the spans that match are read, up to a limit. A `q`
//!     that is still being typed counts as far as it can be understood.
//!
//! Not here: the lists (`storage::scan`).

use super::super::grpc::MESSAGE_BYTES;
use super::super::protobuf::Writer;
use super::request::Request;
use crate::error::{Error, Result};
use crate::exec::Control;
use crate::service::has_unnamed;
use crate::traceql::{self, Distinct, Keys, Listed};
use serde::Serialize;
use std::collections::BTreeSet;
use storage::model::Signal;
use storage::model::attribute;
use storage::model::origin::UNKNOWN_SERVICE;
use storage::scan::{AttributeScope, TimeRange};

/// Values answered unless a limit is given.
const DEFAULT_VALUES: usize = 1000;
/// What Tempo looks at where no range is given.
const RECENT: i64 = 3_600_000_000_000;

/// `SearchTagsResponse`.
#[derive(Debug, Serialize)]
pub(super) struct Names {
    #[serde(rename = "tagNames")]
    names: BTreeSet<String>,
}

/// `SearchTagsV2Response`.
#[derive(Debug, Serialize)]
pub(super) struct Scopes {
    scopes: Vec<Scope>,
}

#[derive(Debug, Serialize)]
struct Scope {
    name: &'static str,
    tags: BTreeSet<String>,
}

/// `SearchTagValuesResponse`.
#[derive(Debug, Serialize)]
pub(super) struct PlainValues {
    #[serde(rename = "tagValues")]
    values: BTreeSet<String>,
}

/// `SearchTagValuesV2Response`.
#[derive(Debug, Serialize)]
pub(super) struct TypedValues {
    #[serde(rename = "tagValues")]
    values: Vec<TypedValue>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct TypedValue {
    r#type: &'static str,
    value: String,
}

impl Names {
    pub(super) fn messages(&self) -> Vec<Vec<u8>> {
        in_messages(&self.names, |out, name| out.bytes(1, name.as_bytes()))
    }
}

impl Scopes {
    pub(super) fn messages(&self) -> Vec<Vec<u8>> {
        in_messages(&self.scopes, |out, scope| {
            out.message(1, |out| {
                out.text(1, scope.name);
                scope.tags.iter().for_each(|tag| out.bytes(2, tag.as_bytes()));
            });
        })
    }
}

impl PlainValues {
    pub(super) fn messages(&self) -> Vec<Vec<u8>> {
        in_messages(&self.values, |out, value| out.bytes(1, value.as_bytes()))
    }
}

impl TypedValues {
    /// Gives the type of each, and the value, to `each`.
    pub(super) fn each(self, mut each: impl FnMut(&'static str, String)) {
        self.values.into_iter().for_each(|value| each(value.r#type, value.value));
    }

    pub(super) fn messages(&self) -> Vec<Vec<u8>> {
        in_messages(&self.values, |out, value| {
            out.message(1, |out| {
                out.text(1, value.r#type);
                out.text(2, &value.value);
            });
        })
    }
}

/// A list as messages of bounded size, one at least; a reader puts them together.
fn in_messages<T>(list: impl IntoIterator<Item = T>, write: impl Fn(&mut Writer, T)) -> Vec<Vec<u8>> {
    let mut messages = vec![Writer::default()];
    for entry in list {
        if messages.last().is_some_and(|last| last.0.len() >= MESSAGE_BYTES) {
            messages.push(Writer::default());
        }
        if let Some(last) = messages.last_mut() {
            write(last, entry);
        }
    }
    messages.into_iter().map(|message| message.0).collect()
}

fn range(request: &Request) -> Result<TimeRange> {
    let recent = TimeRange { start: request.now.saturating_sub(RECENT), end: i64::MAX };
    Ok(request.range()?.unwrap_or(recent))
}

/// What keys are listed of.
const SCOPES: [&str; 6] = ["resource", "span", "instrumentation", "event", "link", "intrinsic"];

/// The keys of each scope.
pub(super) fn scopes(control: &Control, request: &Request) -> Result<Scopes> {
    let range = range(request)?;
    let wanted = request.text("scope").filter(|scope| *scope != "none");
    if let Some(unknown) = wanted.filter(|wanted| !SCOPES.contains(wanted)) {
        return Err(Error::parameter("scope", format!("'{unknown}' is none of {}", SCOPES.join(", "))));
    }
    let most = request.count("limit", usize::MAX)?;
    let mut scopes = Vec::new();
    let mut push = |name: &'static str, tags: BTreeSet<String>| {
        if wanted.is_none_or(|wanted| wanted == name) && (!tags.is_empty() || wanted.is_some()) {
            scopes.push(Scope { name, tags: tags.into_iter().take(most).collect() });
        }
    };
    let filter = request.text("q").map(traceql::understood).unwrap_or_default();
    let keys = if filter.is_empty() { all_keys(control, range)? } else { traceql::keys_of(control, &filter, range)? };
    push("resource", keys.resources);
    push("span", keys.spans);
    push("instrumentation", keys.scopes);
    push("event", keys.events);
    push("link", keys.links);
    push("intrinsic", traceql::intrinsic_names().map(str::to_owned).collect());
    Ok(Scopes { scopes })
}

fn all_keys(control: &Control, range: TimeRange) -> Result<Keys> {
    let stored = control.keys(Signal::Spans, range)?;
    let of = |scope: AttributeScope| -> BTreeSet<String> {
        stored.keys.iter().filter(|key| key.scope() == scope).map(|key| key.key.clone()).collect()
    };
    let (events, links) = traceql::keys_of_events_and_links(control, range)?;
    let (spans, resources) = (of(AttributeScope::Own), of(AttributeScope::Resource));
    Ok(Keys { spans, resources, scopes: of(AttributeScope::Scope), events, links })
}

/// All keys together.
pub(super) fn names(control: &Control, request: &Request) -> Result<Names> {
    let all = scopes(control, request)?.scopes;
    let plain = all.into_iter().filter(|scope| scope.name != "intrinsic").flat_map(|scope| scope.tags);
    Ok(Names { names: plain.collect() })
}

/// The values of a tag as texts.
pub(super) fn plain_values(control: &Control, request: &Request, tag: &str) -> Result<PlainValues> {
    // An unscoped name of this endpoint is an attribute.
    let named = traceql::Listed::named(tag)
        .or_else(|_| traceql::Listed::named(&format!(".\"{}\"", tag.replace('"', "\\\""))))?;
    let values = values(control, request, &named)?;
    Ok(PlainValues { values: values.into_iter().map(|typed| typed.value).collect() })
}

/// The values of a tag with their types.
pub(super) fn typed_values(control: &Control, request: &Request, tag: &str) -> Result<TypedValues> {
    Ok(TypedValues { values: values(control, request, &Listed::named(tag)?)? })
}

fn values(control: &Control, request: &Request, tag: &Listed) -> Result<Vec<TypedValue>> {
    let limit = request.count("limit", DEFAULT_VALUES)?;
    if let Some(keywords) = tag.keywords() {
        return Ok(keywords.iter().map(|word| TypedValue { r#type: "keyword", value: (*word).to_owned() }).collect());
    }
    let range = range(request)?;
    let filter = request.text("q").map(traceql::understood).unwrap_or_default();
    let mut found = BTreeSet::new();
    match tag.stored().filter(|_| filter.is_empty()) {
        Some((scope, key)) => {
            let listed = control.values(Signal::Spans, (scope, key), range, "", limit)?;
            found.extend(listed.values.iter().filter_map(|value| typed(attribute::Value::parse(&value.value)?)));
            if scope == AttributeScope::Resource && key == "service.name" {
                // What is no name is none of a service.
                found.retain(|value: &TypedValue| value.r#type == "string" && !value.value.is_empty());
            }
            let of_resources = matches!(scope, AttributeScope::Resource | AttributeScope::Any);
            if of_resources && key == "service.name" && has_unnamed(control, range)? {
                found.insert(TypedValue { r#type: "string", value: UNKNOWN_SERVICE.to_owned() });
            }
        }
        None => {
            let listed = traceql::distinct(control, tag, &filter, Distinct { range, limit })?;
            found.extend(listed.into_iter().map(of_value));
        }
    }
    Ok(found.into_iter().take(limit).collect())
}

fn typed(value: attribute::Value<'_>) -> Option<TypedValue> {
    Some(match value {
        attribute::Value::String(text) => TypedValue { r#type: "string", value: text.to_owned() },
        attribute::Value::Int(value) => TypedValue { r#type: "int", value: value.to_string() },
        attribute::Value::Double(value) => TypedValue { r#type: "float", value: told_float(value) },
        attribute::Value::Bool(value) => TypedValue { r#type: "bool", value: value.to_string() },
        _ => return None,
    })
}

/// A double, with an exponent where there would be many digits without one.
fn told_float(value: f64) -> String {
    let is_plain = value == 0.0 || !value.is_finite() || (1e-7..1e21).contains(&value.abs());
    if is_plain { value.to_string() } else { format!("{value:e}") }
}

fn of_value(value: traceql::Value<'static>) -> TypedValue {
    let r#type = match value {
        traceql::Value::Int(_) => "int",
        traceql::Value::Float(_) => "float",
        traceql::Value::Bool(_) => "bool",
        traceql::Value::Duration(_) => "duration",
        traceql::Value::Status(_) | traceql::Value::Kind(_) => "keyword",
        _ => "string",
    };
    let value = match super::json::any_value(value) {
        query_api::otlp::AnyValue::StringValue(text) => text,
        query_api::otlp::AnyValue::IntValue(value) => value.to_string(),
        query_api::otlp::AnyValue::DoubleValue(value) => told_float(value),
        query_api::otlp::AnyValue::BoolValue(value) => value.to_string(),
        other => format!("{other:?}"),
    };
    TypedValue { r#type, value }
}

#[cfg(test)]
mod tests {
    use super::told_float;

    #[test]
    fn doubles_of_many_digits_have_an_exponent() {
        let told = [0.0, 1.0, -2.5, 1e20, 1e300, -1e21, 5e-9, f64::INFINITY].map(told_float);
        assert_eq!(told, ["0", "1", "-2.5", "100000000000000000000", "1e300", "-1e21", "5e-9", "inf"]);
    }
}
