//! Which attributes have the spans that a filter leaves? As far as it is typed, and of so many spans, the newest first (L1, L2).

use super::super::ast::Scope;
use super::super::expression::Spot;
use super::super::lower::lower;
use super::super::span::{Spans, columns_of};
use super::{filter_of, of_the_span, scan_some};
use crate::error::Result;
use crate::exec::Control;
use std::collections::BTreeSet;
use storage::model::schema::column;
use storage::scan::{ScanOrder, ScanRequest, TimeRange};

/// Spans that are looked at.
const MOST_ROWS: usize = 200_000;
/// Keys of a scope; a list of more is nothing to choose from.
const MOST_KEYS: usize = 10_000;

/// Keys by what they are of.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    pub(crate) spans: BTreeSet<String>,
    pub(crate) resources: BTreeSet<String>,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) events: BTreeSet<String>,
    pub(crate) links: BTreeSet<String>,
}

/// The keys of the spans that a filter leaves.
pub(crate) fn keys_of(control: &Control, filter: &str, range: TimeRange) -> Result<Keys> {
    let expression = filter_of(filter)?.and_then(of_the_span);
    let mut names = Vec::new();
    expression.iter().for_each(|expression| expression.names(&mut |name| names.push(name.clone())));
    let mut columns = columns_of(&names);
    columns.extend([column::ATTRIBUTES, column::RESOURCE, column::SCOPE, column::EVENTS, column::LINKS, column::START]);
    let mut request = ScanRequest::all(columns);
    request.time = range;
    request.order = ScanOrder::Newest;
    request.predicate = lower(expression.as_ref()).predicate;
    let mut keys = Keys::default();
    scan_some(control, request, MOST_ROWS, |spans| {
        for row in 0..spans.rows() {
            if expression.as_ref().is_none_or(|expression| expression.holds(Spot { spans, row, place: None })) {
                keys.add(control, spans, row)?;
            }
        }
        Ok(true)
    })?;
    Ok(keys)
}

impl Keys {
    fn add(&mut self, control: &Control, spans: &Spans<'_>, row: usize) -> Result<()> {
        let mut bytes = 0;
        let mut put = |keys: &mut BTreeSet<String>, key: &str| {
            if keys.len() < MOST_KEYS && !keys.contains(key) {
                bytes += 2 * key.len() + size_of::<String>();
                keys.insert(key.to_owned());
            }
        };
        spans.each_attribute(row, |scope, key, _| {
            put(if scope == Scope::Span { &mut self.spans } else { &mut self.resources }, key);
        });
        if let Some(scope) = spans.scope(row) {
            scope.attributes.iter().for_each(|(key, _)| put(&mut self.scopes, key));
        }
        for event in spans.events(row) {
            event.attributes.iter().for_each(|(key, _)| put(&mut self.events, key));
        }
        for link in spans.links(row) {
            link.attributes.iter().for_each(|(key, _)| put(&mut self.links, key));
        }
        control.charge(bytes)
    }
}
