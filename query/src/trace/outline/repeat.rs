//! Which calls does a trace make again and again? Loops (N+1) and retries, found of rows in the order of display.
//!
//! RE1  Only calls count: spans of kind client or producer, and spans of another service than their parent's.
//! RE2  Calls are alike that have one service and name, numbers and ids in it left out, and stand below one span, by way of spans
//!      that are alike. That span is the parent, or one of the three above, as long as what lies between is work of the caller's
//!      own, as resolvers and repositories are: neither a call nor the handling of a request or a message.
//! RE3  They are told below the nearest such span where five or more follow each other. Nothing is told twice.
//! RE4  A loop asks one service: calls that another one answers are no part of it. Calls at once are no loop either.
//! RE5  All of it takes n log n steps, whatever the tree looks like. Nothing recurses.
//!
//! Not here: what exactly a call asks (`same`).

use query_api::outline::Repeated;
use query_api::tree::{Rows, rising};
use std::collections::HashMap;

/// Calls alike in a row, from which on they are told as a loop: what profilers of requests take as the mark.
const LOOP: usize = 5;
/// Of five of those, so many waited for the one before.
const IN_TURN: usize = 4;
/// Spans above a call below which it is looked for others: a resolver, a repository and what they stand below, and one to spare.
const LEVELS: usize = 4;
/// What a number or an id is told as.
const ID: char = '…';
/// Hex digits and dashes that are an id whatever they are, such as a UUID; and those that are one if a digit is among them.
const SURELY_HEX: usize = 32;
const HEX: usize = 6;
/// Letters and digits that are an id if a few of them are digits, such as a ULID.
const LONG: usize = 20;
const FEW: usize = 3;

/// What of a span tells whether it is a call, and like another.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Call {
    /// Number of its service.
    pub(super) service: usize,
    /// Number of its name, the same for all that are the same but for numbers and ids ([`plain`]).
    pub(super) name: usize,
    /// OTLP's number of the kind.
    pub(super) kind: i32,
    /// Whether it failed, or what is below it.
    pub(super) failed: bool,
}

/// Calls that are repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repeat {
    /// The calls by start.
    pub(super) rows: Vec<usize>,
    /// The nearest span that all of them are below.
    pub(super) above: usize,
    /// How.
    pub(super) how: Repeated,
}

/// A call, and the way to it from a span above.
#[derive(Debug, Clone, Copy)]
struct Way {
    row: usize,
    above: usize,
    /// Number of the services and names from below that span to the call.
    path: usize,
}

/// Loops and retries of the spans of a trace, and the calls that are neither. `calls` has one for each row.
pub(super) fn repeats(rows: &impl Rows, calls: &[Call]) -> (Vec<Repeat>, Vec<usize>) {
    let (mut found, mut others) = (Vec::new(), Vec::new());
    let named: Vec<i64> = calls.iter().map(|call| pair(call.service, call.name)).collect();
    let spans = numbers(&named);
    let parent = |row: usize| rows.placed(row).parent;
    let is_call = |row: usize| {
        let is_other = |above: usize| calls[row].service != calls[above].service;
        matches!(calls[row].kind, 3 | 4) || parent(row).is_some_and(is_other)
    };
    let way = |row: usize| parent(row).filter(|_| is_call(row)).map(|above| Way { row, above, path: spans[row] });
    let mut ways: Vec<Way> = (0..calls.len()).filter_map(way).collect();
    for level in 1..=LEVELS {
        let (mut higher, mut paths) = (Vec::new(), Vec::new());
        let keys: Vec<i64> = ways.iter().map(|way| pair(way.above, way.path)).collect();
        for group in alike(&keys) {
            let Way { above, path, .. } = ways[group[0]];
            let rest = tell(rows, calls, above, group.iter().map(|at| ways[*at].row).collect(), &mut found);
            let is_own = level < LEVELS && !is_call(above) && !matches!(calls[above].kind, 2 | 5);
            let Some(parent) = parent(above).filter(|_| is_own) else {
                others.extend(rest);
                continue;
            };
            paths.extend(rest.iter().map(|_| pair(spans[above], path)));
            higher.extend(rest.into_iter().map(|row| Way { row, above: parent, path: 0 }));
        }
        ways = higher;
        for (way, path) in ways.iter_mut().zip(numbers(&paths)) {
            way.path = path;
        }
    }
    (found, others)
}

/// Finds what is repeated of calls that are alike (RE3, RE4); gives back those that are not.
fn tell(rows: &impl Rows, calls: &[Call], above: usize, group: Vec<usize>, found: &mut Vec<Repeat>) -> Vec<usize> {
    if group.len() < LOOP {
        return group;
    }
    let by_start = rising(group.iter().map(|row| rows.placed(*row).start));
    let group: Vec<usize> = by_start.into_iter().map(|at| group[at]).collect();
    if how(rows, calls, &group) == Some(Repeated::Retry) {
        found.push(Repeat { rows: group, above, how: Repeated::Retry });
        return Vec::new();
    }
    // 0 where nobody of the trace answers.
    let answers = |row: usize| {
        let answer = rows.children(row).map(|child| calls[child].service).find(|other| *other != calls[row].service);
        pair(0, answer.map_or(0, |service| service + 1))
    };
    let answered: Vec<i64> = group.iter().map(|row| answers(*row)).collect();
    let mut known = answered.iter().filter(|service| **service > 0);
    let first = known.next();
    // Calls without an answer here are those of the others, as long as only one service answers them.
    let parts =
        if known.all(|other| Some(other) == first) { vec![(0..group.len()).collect()] } else { alike(&answered) };
    let mut rest = Vec::new();
    for part in parts {
        let part: Vec<usize> = part.into_iter().map(|at| group[at]).collect();
        match how(rows, calls, &part) {
            Some(how) => found.push(Repeat { rows: part, above, how }),
            None => rest.extend(part),
        }
    }
    rest
}

/// How calls by start are repeated, if they are.
fn how(rows: &impl Rows, calls: &[Call], group: &[usize]) -> Option<Repeated> {
    let follows = |pair: &&[usize]| rows.placed(pair[0]).end <= rows.placed(pair[1]).start;
    let in_turn = group.windows(2).filter(follows).count();
    if group.len() < LOOP || in_turn * LOOP < IN_TURN * (group.len() - 1) {
        return None;
    }
    // A call behind a failed one is a retry, and no part of a loop.
    let again = group[..group.len() - 1].iter().filter(|row| calls[**row].failed).count();
    match () {
        () if 2 * again >= group.len() => Some(Repeated::Retry),
        () if group.len() - again >= LOOP => Some(Repeated::Loop),
        () => None,
    }
}

/// Two numbers below 2^31 as one.
fn pair(high: usize, low: usize) -> i64 {
    ((high as i64) << 32) | low as i64
}

/// The places of equal numbers, each group rising, the groups by their number.
pub(super) fn alike(keys: &[i64]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut last = None;
    for at in rising(keys.iter().copied()) {
        match groups.last_mut().filter(|_| last == Some(keys[at])) {
            Some(group) => group.push(at),
            None => groups.push(vec![at]),
        }
        last = Some(keys[at]);
    }
    groups
}

/// Small numbers for great ones, equal for equal ones.
fn numbers(keys: &[i64]) -> Vec<usize> {
    let mut numbers = vec![0; keys.len()];
    for (number, group) in alike(keys).into_iter().enumerate() {
        for at in group {
            numbers[at] = number;
        }
    }
    numbers
}

/// Numbers for texts, equal for equal ones.
pub(super) fn text_numbers(texts: impl IntoIterator<Item = String>) -> Vec<usize> {
    let mut known: HashMap<String, usize> = HashMap::new();
    texts
        .into_iter()
        .map(|text| {
            let next = known.len();
            *known.entry(text).or_insert(next)
        })
        .collect()
}

/// What calls of these names are called together: their name, but for numbers and ids where those differ.
pub(super) fn name<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = names.into_iter();
    let first = names.next().unwrap_or_default();
    if names.all(|name| name == first) { first.to_owned() } else { plain(first) }
}

/// A name with `…` for each number and id in it.
pub(super) fn plain(name: &str) -> String {
    let is_end = |letter: char| !letter.is_ascii_alphanumeric() && letter != '-';
    let mut plain = String::with_capacity(name.len());
    for run in name.split_inclusive(is_end) {
        let word = run.trim_end_matches(is_end);
        if word.len() >= SURELY_HEX && word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
            plain.push(ID);
            plain.extend(run.chars().next_back().filter(|letter| is_end(*letter)));
        } else {
            run.split_inclusive('-').for_each(|part| push_plain(&mut plain, part));
        }
    }
    plain
}

/// A word without dash, and whatever is behind it.
fn push_plain(plain: &mut String, part: &str) {
    let word = part.trim_end_matches(|letter: char| !letter.is_ascii_alphanumeric());
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let is_hex = || word.len() >= HEX && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_id = digits > 0 && is_hex() || digits >= FEW && word.len() >= LONG;
    let mut in_id = false;
    for letter in part.chars() {
        let was_in_id = in_id;
        in_id = letter.is_ascii_digit() || is_id && letter.is_ascii_alphanumeric();
        match in_id {
            true if was_in_id => {}
            true => plain.push(ID),
            false => plain.push(letter),
        }
    }
}

#[cfg(test)]
mod tests;
