//! Which calls ask for exactly the same as one before? Those below one span whose attributes are equal, and say what was asked.
//!
//! SA1  A call behind a failed one like it is a retry, and no duplicate.
//! SA2  One list of attributes per call is written and compared.

use super::Outline;
use super::repeat::{alike, text_numbers};
use crate::error::Result;
use crate::exec::Control;
use query_api::otlp::{AnyValue, KeyValue, Span, TracesData};
use std::collections::HashMap;

/// Attributes that say what exactly was asked; without one of them nothing is taken for the same call.
const ASKED: [&str; 6] = ["db.query.text", "db.statement", "url.full", "http.url", "url.path", "http.target"];
/// In a statement that stand for values that are not told.
const PLACEHOLDERS: [&str; 4] = ["?", "$1", "%s", ":1"];

/// Of some calls of a trace those that ask the same, in groups of two or more. Their words are charged.
pub(super) fn same(
    control: &Control,
    outline: &Outline,
    mut rows: Vec<usize>,
    data: &TracesData,
) -> Result<Vec<Vec<usize>>> {
    let spans = by_id(data);
    rows.sort_unstable();
    let (mut calls, mut words) = (Vec::new(), Vec::new());
    for at in rows {
        let Some(row) = outline.rows.get(at) else { continue };
        let span = spans.get(row.id.to_string().as_str()).copied().flatten();
        if let Some(asked) = span.and_then(|span| asked(&span.attributes)) {
            let whose = format!("{:?} {} {}", row.parent, row.service, row.name);
            control.charge(whose.len() + asked.len())?;
            calls.push((at, row.is_error() || row.errors_below > 0));
            words.push(format!("{whose} {asked}"));
        }
    }
    let keys: Vec<i64> = text_numbers(words).into_iter().map(|number| number as i64).collect();
    let asked_again = |places: Vec<usize>| {
        let mut is_retry = false;
        let calls = places.into_iter().filter_map(|at| calls.get(at));
        let calls = calls.filter(|(_, failed)| !std::mem::replace(&mut is_retry, *failed));
        calls.map(|(row, _)| *row).collect::<Vec<usize>>()
    };
    Ok(alike(&keys).into_iter().map(asked_again).filter(|calls| calls.len() > 1).collect())
}

/// Spans by their ids; none where several share one.
fn by_id(data: &TracesData) -> HashMap<&str, Option<&Span>> {
    let mut spans: HashMap<&str, Option<&Span>> = HashMap::new();
    let scopes = data.resource_spans.iter().flat_map(|group| &group.scope_spans);
    for span in scopes.flat_map(|scope| &scope.spans) {
        spans.entry(&span.span_id).and_modify(|known| *known = None).or_insert(Some(span));
    }
    spans
}

/// What a call asks for, if its attributes say so to the letter.
fn asked(attributes: &[KeyValue]) -> Option<String> {
    let text = |key: &str| {
        attributes.iter().find(|attribute| attribute.key == key).and_then(|attribute| match &attribute.value {
            AnyValue::StringValue(text) => Some(text),
            _ => None,
        })
    };
    let statement = ASKED.iter().find_map(|key| text(key))?;
    // A path of `?` is a query, in a statement it is a value that is not told.
    let is_url = statement.starts_with('/') || statement.contains("://");
    if !is_url && PLACEHOLDERS.iter().any(|mark| statement.contains(mark)) {
        return None;
    }
    let mut words: Vec<String> = attributes.iter().map(|one| format!("{:?}={:?}", one.key, one.value)).collect();
    words.sort_unstable();
    Some(words.join(" "))
}
