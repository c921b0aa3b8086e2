//! Does a span ask for the same again and again? Calls in a loop (N+1), the very same call made more than once, and retries.
//!
//! RP1  Only calls count: spans of kind client or producer, and spans of another service than their parent's.
//! RP2  A call that follows a failed one like it is a retry, and neither a duplicate nor part of a loop.
//! RP3  One list of attributes per call is written and compared; linear but for the sorting of those.

use super::super::{attribute, order};
use super::tree::{Row, Trace};
use query_api::otlp::KeyValue;
use std::collections::HashMap;

/// Calls alike in a row, from which on they are told as a loop: what profilers of requests take as the mark.
const LOOP: usize = 5;
/// Of those, the share that waited for the one before.
const IN_TURN: f64 = 0.8;
/// Attributes that say what exactly was asked; without one of them nothing is taken for the same call.
const ASKED: [&str; 6] = ["db.query.text", "db.statement", "url.full", "http.url", "url.path", "http.target"];
/// In a statement that stand for values that are not told.
const PLACEHOLDERS: [&str; 4] = ["?", "$1", "%s", ":1"];

/// How it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Calls alike, one after the other.
    Loop,
    /// The very same call.
    Same,
    /// Most of the calls failed, and were tried again.
    Retry,
}

/// What is repeated below one span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeat {
    /// The first of the calls.
    pub first: usize,
    /// Who makes them.
    pub parent: usize,
    /// How many there are.
    pub count: usize,
    /// Nanoseconds that they take together.
    pub total: i64,
    /// How.
    pub how: How,
}

/// All repeats, those that take longest first.
pub fn repeats(trace: &Trace) -> Vec<Repeat> {
    let mut groups: HashMap<(usize, usize, &str), Vec<usize>> = HashMap::new();
    for (row, one) in trace.rows.iter().enumerate() {
        if let Some(parent) = one.parent.filter(|parent| is_call(one, &trace.rows[*parent])) {
            groups.entry((parent, one.service, one.span.name.as_str())).or_default().push(row);
        }
    }
    let mut found = Vec::new();
    for ((parent, ..), rows) in groups.into_iter().filter(|(_, rows)| rows.len() > 1) {
        let repeat = |rows: &[usize], how| {
            let total = rows.iter().map(|row| trace.rows[*row].duration).fold(0, i64::saturating_add);
            Repeat { first: rows[0], parent, count: rows.len(), total, how }
        };
        let is_long = rows.len() >= LOOP && in_turn(trace, &rows) >= IN_TURN;
        let again = rows[..rows.len() - 1].iter().filter(|row| failed(trace, **row)).count();
        if is_long && 2 * again >= rows.len() {
            found.push(repeat(&rows, How::Retry));
        } else if is_long && rows.len() - again >= LOOP {
            found.push(repeat(&rows, How::Loop));
        } else {
            found.extend(same(trace, &rows).iter().map(|rows| repeat(rows, How::Same)));
        }
    }
    let by_row = order::rising(found.iter().map(|repeat| repeat.first as f64));
    order::falling(order::pick(found, &by_row), |repeat| repeat.total as f64)
}

fn is_call(one: &Row, parent: &Row) -> bool {
    matches!(one.span.kind, 3 | 4) || one.service != parent.service
}

/// The share of calls that began when the one before had ended.
fn in_turn(trace: &Trace, rows: &[usize]) -> f64 {
    let waited = rows.windows(2).filter(|pair| trace.rows[pair[0]].end() <= trace.rows[pair[1]].start).count();
    waited as f64 / rows.len().saturating_sub(1).max(1) as f64
}

fn failed(trace: &Trace, row: usize) -> bool {
    trace.rows[row].is_error() || trace.rows[row].errors_below > 0
}

/// Calls whose attributes say that the same was asked, more than once each.
fn same(trace: &Trace, rows: &[usize]) -> Vec<Vec<usize>> {
    let mut by_words: HashMap<String, Vec<usize>> = HashMap::new();
    let mut ended: HashMap<String, bool> = HashMap::new();
    for row in rows {
        let span = &trace.rows[*row].span;
        let Some(words) = asked(&span.attributes) else { continue };
        let before = ended.insert(words.clone(), failed(trace, *row));
        if before != Some(true) {
            by_words.entry(words).or_default().push(*row);
        }
    }
    by_words.into_values().filter(|rows| rows.len() > 1).collect()
}

/// What a call asks for, if its attributes say so to the letter.
fn asked(attributes: &[KeyValue]) -> Option<String> {
    let statement = ASKED.iter().find_map(|key| attribute::find(attributes, key))?;
    // A path of `?` is a query, in a statement it is a value that is not told.
    let is_url = statement.starts_with('/') || statement.contains("://");
    if !is_url && PLACEHOLDERS.iter().any(|mark| statement.contains(mark)) {
        return None;
    }
    let words = attribute::sorted(attributes).into_iter().map(|a| format!("{}={}", a.key, attribute::text(&a.value)));
    Some(words.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::super::sample::{attribute, of, span};
    use super::*;
    use query_api::otlp::{Span, Status};

    fn call(id: u64, start: u64, end: u64, statement: &str, code: i32) -> (&'static str, Span) {
        let attributes = if statement.is_empty() { Vec::new() } else { vec![attribute("db.query.text", statement)] };
        let status = Status { code, ..Status::default() };
        ("a", Span { name: "SELECT".into(), kind: 3, attributes, status, ..span((id, 1, start, end)) })
    }

    fn found(calls: Vec<(&'static str, Span)>) -> Vec<(usize, i64, How)> {
        let mut spans = vec![("a", span((1, 0, 0, 1_000)))];
        spans.extend(calls);
        repeats(&of(spans)).iter().map(|repeat| (repeat.count, repeat.total, repeat.how)).collect()
    }

    #[test]
    fn calls_in_a_loop_are_told_once() {
        let calls = |gap: u64, code| (0..6).map(|n| call(2 + n, n * gap, n * gap + 10, "", code)).collect();
        assert_eq!(found(calls(10, 0)), [(6, 60, How::Loop)]);
        assert_eq!(found(calls(10, 2)), [(6, 60, How::Retry)]);
        // At once they are a fan, not a loop.
        assert_eq!(found(calls(1, 0)), []);
    }

    #[test]
    fn the_same_call_is_told_unless_it_is_a_retry() {
        let pair = |statement, code| found(vec![call(2, 0, 10, statement, code), call(3, 20, 30, statement, 0)]);
        assert_eq!(pair("SELECT 1", 0), [(2, 20, How::Same)]);
        assert_eq!(pair("SELECT 1", 2), []);
        assert_eq!(pair("SELECT a WHERE b = ?", 0), []);
        assert_eq!(pair("", 0), []);
        assert_eq!(pair("/find?a=1", 0), [(2, 20, How::Same)]);
        assert_eq!(found(vec![call(2, 0, 1, "SELECT 1", 0), call(3, 2, 3, "SELECT 2", 0)]), []);
    }
}
