//! For tests: a span in words.

use storage::model::attribute::{Map, MapBuilder, Value, put_array, put_value};
use storage::model::origin::{Resource, Scope};
use storage::model::record::{Event, Link};
use storage::model::{Batch, Span, SpanBatchBuilder, SpanId, TraceId};

/// What times of cases are counted from: a multiple of every step that they use.
pub(super) const BASE: i64 = 1_795_392_000_000_000_000;
const SECOND: i64 = 1_000_000_000;

/// A value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ValueModel {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    List(Vec<ValueModel>),
    Map,
}

pub(super) type Attributes = Vec<(String, ValueModel)>;

/// A span; times in nanoseconds after [`BASE`].
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct SpanModel {
    pub(super) trace: u8,
    pub(super) id: u64,
    pub(super) parent: Option<u64>,
    pub(super) name: String,
    pub(super) service: Option<String>,
    pub(super) kind: i32,
    pub(super) status: i32,
    pub(super) message: String,
    pub(super) start: i64,
    pub(super) duration: i64,
    pub(super) attributes: Attributes,
    pub(super) resource: Attributes,
    pub(super) scope_name: String,
    pub(super) scope_version: String,
    pub(super) scope: Attributes,
    /// Name, time after the start, attributes.
    pub(super) events: Vec<(String, i64, Attributes)>,
    /// Trace, span, attributes.
    pub(super) links: Vec<(u8, u64, Attributes)>,
}

/// Words, of which those in quotes or brackets hold blanks.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut quoted, mut depth) = (false, 0);
    for letter in text.chars() {
        match letter {
            '"' => quoted = !quoted,
            '[' if !quoted => depth += 1,
            ']' if !quoted => depth -= 1,
            _ => {}
        }
        if letter == ' ' && !quoted && depth == 0 {
            words.push(String::new());
        } else {
            words.last_mut().unwrap().push(letter);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn value_of(text: &str) -> ValueModel {
    if let Some(text) = text.strip_prefix('"') {
        return ValueModel::Text(text.trim_end_matches('"').to_owned());
    }
    if let Some(list) = text.strip_prefix('[') {
        let items = list.trim_end_matches(']').split(',').map(str::trim).filter(|item| !item.is_empty());
        return ValueModel::List(items.map(value_of).collect());
    }
    match text {
        "true" | "false" => ValueModel::Bool(text == "true"),
        "{}" => ValueModel::Map,
        _ => match (text.parse(), text.parse()) {
            (Ok(value), _) => ValueModel::Int(value),
            (_, Ok(value)) => ValueModel::Float(value),
            _ => ValueModel::Text(text.to_owned()),
        },
    }
}

fn plain(text: &str) -> String {
    text.trim_matches('"').to_owned()
}

/// Reads `TRACE ID [parent=ID] [name=…] [.key=value] …`.
pub(super) fn span_of(text: &str) -> Result<SpanModel, String> {
    let words = words(text);
    let number = |word: &str| word.parse::<u64>().map_err(|_| format!("`{word}` is no number"));
    let nanos = |word: &str| crate::time::length(word);
    let mut span = SpanModel {
        trace: u8::try_from(number(&words[0])?).map_err(|_| "traces have numbers up to 255")?,
        id: number(&words[1])?,
        name: "op".into(),
        service: Some("shop".into()),
        kind: 1,
        duration: SECOND,
        ..SpanModel::default()
    };
    span.start = i64::try_from(span.id).unwrap_or(0) * SECOND;
    for word in &words[2..] {
        let (key, text) = word.split_once('=').ok_or_else(|| format!("`{word}` is no `key=value`"))?;
        let position = |names: &[&str]| names.iter().position(|name| *name == text).map(|place| place as i32);
        match key {
            "parent" => span.parent = Some(number(text)?),
            "name" => span.name = plain(text),
            "service" if text == "-" => span.service = None,
            "service" => span.service = Some(plain(text)),
            "kind" => span.kind = position(&super::super::ast::KINDS).ok_or("no such kind")?,
            "status" => span.status = position(&super::super::ast::STATUSES).ok_or("no such status")?,
            "message" => span.message = plain(text),
            "start" => span.start = nanos(text)?,
            "duration" => span.duration = nanos(text)?,
            "scope" => span.scope_name = plain(text),
            "version" => span.scope_version = plain(text),
            "event" => span.events.push((plain(text), 0, Vec::new())),
            "event:at" => span.events.last_mut().ok_or("no event")?.1 = nanos(text)?,
            "link" => {
                let (trace, id) = text.split_once(':').ok_or("a link is `trace:span`")?;
                span.links.push((number(trace)? as u8, number(id)?, Vec::new()));
            }
            _ => {
                let value = value_of(text);
                let (list, key) = match key.split_once('.') {
                    Some(("" | "span", key)) => (&mut span.attributes, key),
                    Some(("resource", key)) => (&mut span.resource, key),
                    Some(("instrumentation", key)) => (&mut span.scope, key),
                    Some(("event", key)) => (&mut span.events.last_mut().ok_or("no event")?.2, key),
                    Some(("link", key)) => (&mut span.links.last_mut().ok_or("no link")?.2, key),
                    _ => return Err(format!("`{key}` is unknown")),
                };
                list.push((key.to_owned(), value));
            }
        }
    }
    Ok(span)
}

fn put(out: &mut Vec<u8>, value: &ValueModel) {
    match value {
        ValueModel::Text(text) => put_value(out, Value::String(text)),
        ValueModel::Int(value) => put_value(out, Value::Int(*value)),
        ValueModel::Float(value) => put_value(out, Value::Double(*value)),
        ValueModel::Bool(value) => put_value(out, Value::Bool(*value)),
        ValueModel::List(list) => put_array(out, |out| list.iter().for_each(|value| put(out, value))),
        ValueModel::Map => put_value(out, Value::Map(Map::default())),
    }
}

fn map(attributes: &Attributes) -> Vec<u8> {
    let mut builder = MapBuilder::default();
    attributes.iter().for_each(|(key, value)| builder.push_with(key, |out| put(out, value)));
    builder.finish()
}

pub(super) fn trace_id(number: u8) -> TraceId {
    TraceId([number; 16])
}

pub(super) fn span_id(number: u64) -> SpanId {
    SpanId(number.to_be_bytes())
}

/// The spans as a batch of the store.
pub(super) fn batch(spans: &[SpanModel]) -> Batch {
    let mut builder = SpanBatchBuilder::default();
    for span in spans {
        let service = span.service.iter().map(|name| ("service.name".to_owned(), ValueModel::Text(name.clone())));
        let resource = map(&service.chain(span.resource.iter().cloned()).collect());
        builder.set_resource(&Resource { attributes: Map::new(&resource), ..Resource::default() });
        let scope = map(&span.scope);
        builder.set_scope(&Scope {
            name: &span.scope_name,
            version: &span.scope_version,
            attributes: Map::new(&scope),
            ..Scope::default()
        });
        let start = BASE + span.start;
        let (mut events, mut links) = (Vec::new(), Vec::new());
        for (name, at, attributes) in &span.events {
            let attributes = map(attributes);
            let time_unix_nano = (start + at).cast_unsigned();
            Event { time_unix_nano, name, attributes: Map::new(&attributes), dropped_attributes_count: 0 }
                .put(&mut events);
        }
        for (trace, id, attributes) in &span.links {
            let attributes = map(attributes);
            Link {
                trace_id: &trace_id(*trace).0,
                span_id: &span_id(*id).0,
                trace_state: "",
                attributes: Map::new(&attributes),
                dropped_attributes_count: 0,
                flags: 0,
            }
            .put(&mut links);
        }
        let attributes = map(&span.attributes);
        builder
            .append(&Span {
                parent_span_id: span.parent.map(span_id),
                name: &span.name,
                kind: span.kind,
                start,
                duration: span.duration,
                status_code: span.status,
                status_message: &span.message,
                attributes: Map::new(&attributes),
                events: &events,
                links: &links,
                ..Span::new(trace_id(span.trace), span_id(span.id))
            })
            .unwrap();
    }
    builder.finish().unwrap()
}
