//! What is asked of the attributes of a trace? Which rows hold a text, how spans are grouped by a value, and all of one span. They are
//! read anew each time, for the outline does not keep them.
//!
//! AT1  Counts of groups add up to the spans of the outline, self times to the sum of theirs.
//! AT2  A span without the attribute is in a group of its own, apart from one whose value is an empty text.
//! AT3  Spans that came after the outline was read are not in the answer.

use super::{Outline, Row};
use crate::attribute::any_value;
use crate::column::{Columns, span_id};
use crate::error::{Error, Result};
use crate::exec::Control;
use query_api::otlp::AnyValue;
use query_api::outline::{GroupsResponse, MatchesResponse, OutlineGroup, SpanResponse};
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use storage::model::attribute::{Map, Value};
use storage::model::schema::{self, column};
use storage::model::{Signal, SpanId, TraceId, origin};
use storage::scan::{Predicate, ScanRequest};

/// Groups that are told.
const GROUPS: usize = 1_000;
/// Keys of attributes that are told.
const KEYS: usize = 2_000;

/// What spans are grouped by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Key {
    /// Service and operation.
    #[default]
    Both,
    Service,
    Operation,
    Kind,
    Status,
    /// An attribute: the span's own, else its resource's, else its scope's.
    Attribute(String),
}

impl Key {
    pub(crate) fn parse(text: &str) -> std::result::Result<Key, String> {
        Ok(match text {
            "service" => Key::Service,
            "operation" => Key::Operation,
            "kind" => Key::Kind,
            "status" => Key::Status,
            other => match other.strip_prefix("attr.") {
                Some(key) if !key.is_empty() => Key::Attribute(key.to_owned()),
                _ => return Err("expected service, operation, kind, status or attr.KEY".to_owned()),
            },
        })
    }
}

/// Gives each stored span its row.
struct Places<'a> {
    rows: &'a [Row],
    start: i64,
    /// By id and start.
    sorted: Vec<usize>,
    /// For the first place of some that share both, how many of them are given away.
    given: HashMap<usize, usize>,
}

impl<'a> Places<'a> {
    fn new(outline: &'a Outline) -> Self {
        let rows = outline.rows.as_slice();
        let mut sorted: Vec<usize> = (0..rows.len()).collect();
        sorted.sort_by_key(|at| (rows[*at].id, rows[*at].start));
        Places { rows, start: outline.start, sorted, given: HashMap::new() }
    }

    fn row(&mut self, id: SpanId, start: i64) -> Option<usize> {
        let wanted = (id, start.saturating_sub(self.start));
        let key = |at: usize| (self.rows[at].id, self.rows[at].start);
        let first = self.sorted.partition_point(|at| key(*at) < wanted);
        if self.sorted.get(first).is_none_or(|at| key(*at) != wanted) {
            return None;
        }
        if self.sorted.get(first + 1).is_none_or(|at| key(*at) != wanted) {
            return self.sorted.get(first).copied();
        }
        let given = self.given.entry(first).or_default();
        *given += 1;
        self.sorted.get(first + *given - 1).copied().filter(|at| (self.rows[*at].id, self.rows[*at].start) == wanted)
    }
}

/// Gives every stored span with a row to `each`, with the place in its batch.
pub(super) fn each_span(
    control: &Control,
    (trace, outline): (TraceId, &Outline),
    columns: &[&'static str],
    mut each: impl FnMut(usize, usize, Columns<'_>) -> Result<()>,
) -> Result<()> {
    let mut places = Places::new(outline);
    control.charge(outline.rows.len() * size_of::<usize>())?;
    let all = [column::SPAN_ID, column::START].into_iter().chain(columns.iter().copied());
    control.trace(trace, all, |batch| {
        let columns = Columns(batch);
        let (ids, starts) = (columns.fixed(column::SPAN_ID)?, columns.times(column::START)?);
        for at in 0..columns.rows() {
            let id = span_id(ids, at).unwrap_or(SpanId([0; 8]));
            if let Some(row) = places.row(id, starts.value(at)) {
                each(row, at, columns)?;
            }
        }
        Ok(())
    })
}

/// Which rows are looked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// Whose name, service, id, status message or attributes hold a text, in any case.
    pub(crate) contains: Option<String>,
    /// Whose status is error.
    pub(crate) failed: bool,
    /// Whose service and name are those of a row.
    pub(crate) like: Option<usize>,
    /// How many are told.
    pub(crate) limit: usize,
}

/// The rows that are looked for.
pub(crate) fn matches(
    control: &Control,
    (trace, outline): (TraceId, &Outline),
    wanted: &Wanted,
) -> Result<MatchesResponse> {
    let holding = holding(control, (trace, outline), wanted.contains.as_deref().unwrap_or_default())?;
    let like = wanted.like.map(|at| {
        let row = outline.rows.get(at).map(|row| (row.service, row.name));
        row.ok_or_else(|| Error::parameter("like", format!("the trace has {} rows", outline.rows.len())))
    });
    let like = like.transpose()?;
    let is_wanted = |at: &&usize| {
        outline.rows.get(**at).is_some_and(|row| {
            (!wanted.failed || row.is_error()) && like.is_none_or(|like| like == (row.service, row.name))
        })
    };
    let count = holding.iter().filter(is_wanted).count();
    control.charge((count.min(wanted.limit) + outline.rows.len()) * size_of::<usize>())?;
    Ok(MatchesResponse {
        version: outline.version.clone(),
        count,
        rows: holding.iter().filter(is_wanted).take(wanted.limit).copied().collect(),
        stats: control.stats(),
    })
}

/// The rows that hold a text; all do where it is empty.
pub(super) fn holding(control: &Control, (trace, outline): (TraceId, &Outline), text: &str) -> Result<Arc<Vec<usize>>> {
    let text = text.trim().to_lowercase();
    if text.is_empty() {
        return Ok(Arc::new((0..outline.rows.len()).collect()));
    }
    if let Some(rows) = outline.found(&text) {
        return Ok(rows);
    }
    let rows = Arc::new(search(control, (trace, outline), &text)?);
    outline.keep_found(&text, &rows);
    Ok(rows)
}

fn search(control: &Control, (trace, outline): (TraceId, &Outline), wanted: &str) -> Result<Vec<usize>> {
    let named: Vec<bool> = outline.names.iter().map(|name| holds(name, wanted)).collect();
    let of: Vec<bool> = outline.services.iter().map(|name| holds(name, wanted)).collect();
    let at = |list: &[bool], at: usize| list.get(at).copied().unwrap_or(false);
    let is_known = |row: &Row| at(&named, row.name) || at(&of, row.service) || row.id.to_string() == wanted;
    let mut hits: Vec<bool> = outline.rows.iter().map(is_known).collect();
    control.charge(hits.len())?;
    each_span(control, (trace, outline), &[column::STATUS_MESSAGE, column::ATTRIBUTES], |row, at, columns| {
        let Some(hit) = hits.get_mut(row).filter(|hit| !**hit) else { return Ok(()) };
        let mut entries = Map::new(columns.cells(column::ATTRIBUTES)?.get(at)).iter();
        *hit = holds(columns.text(column::STATUS_MESSAGE)?.get(at), wanted)
            || entries.any(|(key, value)| holds(key, wanted) || value_holds(value, wanted));
        Ok(())
    })?;
    Ok(hits.iter().enumerate().filter(|(_, hit)| **hit).map(|(row, _)| row).collect())
}

/// Whether a text holds one in lower case, in any case.
fn holds(text: &str, wanted: &str) -> bool {
    if !text.is_ascii() {
        return text.to_lowercase().contains(wanted);
    }
    let (text, wanted) = (text.as_bytes(), wanted.as_bytes());
    text.windows(wanted.len().max(1)).any(|part| part.eq_ignore_ascii_case(wanted))
}

fn value_holds(value: Value<'_>, wanted: &str) -> bool {
    match value {
        Value::String(text) => holds(text, wanted),
        other => holds(&text_of(&any_value(other)), wanted),
    }
}

/// A value as one line of text; lists and maps as JSON writes them.
fn text_of(value: &AnyValue) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    match value {
        AnyValue::StringValue(text) | AnyValue::BytesValue(text) => text.clone(),
        AnyValue::BoolValue(value) => value.to_string(),
        AnyValue::IntValue(value) => value.to_string(),
        AnyValue::DoubleValue(value) => value.to_string(),
        AnyValue::Empty(_) => "null".to_owned(),
        AnyValue::ArrayValue(list) => {
            let one = |value: &AnyValue| match value {
                AnyValue::StringValue(text) | AnyValue::BytesValue(text) => quoted(text),
                other => text_of(other),
            };
            format!("[{}]", list.values.iter().map(one).collect::<Vec<_>>().join(", "))
        }
        AnyValue::KvlistValue(map) => {
            let one = |entry: &query_api::otlp::KeyValue| match &entry.value {
                AnyValue::StringValue(text) | AnyValue::BytesValue(text) => {
                    format!("{}: {}", quoted(&entry.key), quoted(text))
                }
                other => format!("{}: {}", quoted(&entry.key), text_of(other)),
            };
            format!("{{{}}}", map.values.iter().map(one).collect::<Vec<_>>().join(", "))
        }
    }
}

/// What groups are sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum By {
    #[default]
    SelfTime,
    Total,
    Average,
    Count,
    Longest,
    Errors,
}

/// The spans of a trace by what they have in common, the greatest figure first, or the least.
pub(crate) fn groups(
    control: &Control,
    (trace, outline): (TraceId, &Outline),
    key: &Key,
    (by, rising): (By, bool),
) -> Result<GroupsResponse> {
    let (values, keys) = values(control, (trace, outline), key)?;
    let mut index: HashMap<(Option<usize>, Option<&str>), usize> = HashMap::new();
    let mut groups: Vec<OutlineGroup> = Vec::new();
    for (at, row) in outline.rows.iter().enumerate() {
        let service = matches!(key, Key::Both | Key::Service).then_some(row.service);
        let name = match key {
            Key::Both | Key::Operation => Some(outline.name_of(row)),
            Key::Service => None,
            Key::Kind => Some(kind_word(row.kind)),
            Key::Status => Some(status_word(row.status)),
            Key::Attribute(_) => values.get(&at).map(|value| &**value),
        };
        let group = *index.entry((service, name)).or_insert_with(|| {
            groups.push(OutlineGroup { service, name: name.map(str::to_owned), row: at, ..OutlineGroup::default() });
            groups.len() - 1
        });
        let Some(group) = groups.get_mut(group) else { continue };
        group.span_count += 1;
        group.error_count += usize::from(row.is_error());
        group.total_nano = group.total_nano.saturating_add(row.duration);
        group.self_nano = group.self_nano.saturating_add(row.own);
        group.longest_nano = group.longest_nano.max(row.duration);
    }
    control.charge(groups.len() * 2 * size_of::<OutlineGroup>())?;
    let figure = |group: &OutlineGroup| match by {
        By::SelfTime => group.self_nano,
        By::Total => group.total_nano,
        By::Average => group.total_nano / i64::try_from(group.span_count).unwrap_or(i64::MAX).max(1),
        By::Count => i64::try_from(group.span_count).unwrap_or(i64::MAX),
        By::Longest => group.longest_nano,
        By::Errors => i64::try_from(group.error_count).unwrap_or(i64::MAX),
    };
    let group_count = groups.len();
    if rising {
        groups.sort_by_key(|group| (figure(group), group.row));
    } else {
        groups.sort_by_key(|group| (Reverse(figure(group)), group.row));
    }
    groups.truncate(GROUPS);
    Ok(GroupsResponse {
        version: outline.version.clone(),
        groups,
        group_count,
        self_nano: outline.rows.iter().map(|row| row.own).fold(0, i64::saturating_add),
        keys,
        stats: control.stats(),
    })
}

/// Values by row.
type Values = HashMap<usize, Arc<str>>;

/// The values of an attribute by row, and the keys of all attributes.
fn values(control: &Control, (trace, outline): (TraceId, &Outline), key: &Key) -> Result<(Values, Vec<String>)> {
    let wanted = if let Key::Attribute(key) = key { Some(key.as_str()) } else { None };
    let mut values = Values::new();
    let mut texts: HashMap<String, Arc<str>> = HashMap::new();
    let mut keys: BTreeSet<String> = BTreeSet::new();
    let columns = [column::ATTRIBUTES, column::RESOURCE, column::SCOPE];
    each_span(control, (trace, outline), &columns, |row, at, columns| {
        let own = Map::new(columns.cells(column::ATTRIBUTES)?.get(at));
        let resource = origin::Resource::parse(columns.repeated_cells(column::RESOURCE)?.get(at));
        let scope = origin::Scope::parse(columns.repeated_cells(column::SCOPE)?.get(at));
        let maps = [Some(own), resource.map(|it| it.attributes), scope.map(|it| it.attributes)].into_iter().flatten();
        let mut value = None;
        for map in maps {
            for (key, found) in map.iter() {
                if !keys.contains(key) && keys.len() < KEYS {
                    keys.insert(key.to_owned());
                }
                if value.is_none() && wanted == Some(key) {
                    value = Some(found);
                }
            }
        }
        if let Some(value) = value {
            let text = text_of(&any_value(value));
            if !texts.contains_key(&text) {
                control.charge(2 * text.len() + 96)?;
                texts.insert(text.clone(), Arc::from(text.as_str()));
            }
            control.charge(size_of::<(usize, Arc<str>)>() * 2)?;
            values.extend(texts.get(&text).map(|text| (row, Arc::clone(text))));
        }
        Ok(())
    })?;
    Ok((values, keys.into_iter().collect()))
}

fn kind_word(kind: i32) -> &'static str {
    match kind {
        1 => "internal",
        2 => "server",
        3 => "client",
        4 => "producer",
        5 => "consumer",
        _ => "unspecified",
    }
}

fn status_word(status: i32) -> &'static str {
    match status {
        1 => "ok",
        2 => "error",
        _ => "unset",
    }
}

/// All of one span, and its place.
pub(crate) fn span(control: &Control, (trace, outline): (TraceId, &Outline), span: SpanId) -> Result<SpanResponse> {
    let at = outline.rows.iter().position(|row| row.id == span);
    let at = at.ok_or_else(|| Error::NotFound { what: format!("trace {trace} has no span {span}") })?;
    let columns = schema::of(Signal::Spans).fields().iter().map(|field| field.name().as_str());
    let mut request = ScanRequest::all(columns);
    request.predicate = Predicate::Trace(trace).and(Predicate::Span(span));
    let (mut batches, mut held) = (Vec::new(), Vec::new());
    control.scan(Signal::Spans, request, |batch| {
        held.push(control.hold(batch.get_array_memory_size())?);
        batches.push(batch.clone());
        Ok(())
    })?;
    let parent = outline.rows.get(at).and_then(|row| row.parent).and_then(|parent| outline.rows.get(parent));
    Ok(SpanResponse {
        version: outline.version.clone(),
        row: outline.row(at),
        parent_id: parent.map(|parent| parent.id.to_string()),
        parent_name: parent.map(|parent| outline.name_of(parent).to_owned()),
        data: super::super::assemble::traces_data(control, &batches, None)?,
        stats: control.stats(),
    })
}
