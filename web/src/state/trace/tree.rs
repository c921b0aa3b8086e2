//! Which span belongs under which? A trace as rows in the order of display, whatever was sent.
//!
//! TR1  Every span that was sent is exactly one row. A row's descendants are the rows right behind it: `subtree` many.
//! TR2  Nothing recurses: chains 100,000 deep, cycles, self-parents and several roots end in linear time.
//! TR3  What is wrong with a trace is told (`warnings`), never repaired in silence.
//! TR4  Self time is the part of a span that no child covers: between zero and the duration.
//!
//! Not here: pixels (`window`), groups (`statistics`), what the server works out of a large trace alike (`query_api::tree`).

use super::super::attribute;
use super::super::lower::lower;
use super::flaws;
use query_api::fault;
use query_api::otlp::{Resource, Scope, Span, TracesData};
use query_api::outline::{OutlineEvent, OutlineFlaw as Flaw, OutlineFlaws, OutlineRepeat, OutlineRow};
use query_api::tree::{Placed, Rows, Section, sections_of};
use std::collections::{HashMap, HashSet};

/// Stretches and events that are drawn of one row.
const MARKS: usize = 60;
/// Kinds of spans.
const SERVER: i32 = 2;
const CLIENT: i32 = 3;

/// One span in its place.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// The span as it was sent.
    pub span: Span,
    /// Index of its resource.
    pub resource: usize,
    /// Index of its scope.
    pub scope: usize,
    /// Index of its service.
    pub service: usize,
    /// Row of its parent.
    pub parent: Option<usize>,
    /// Steps from the top.
    pub depth: usize,
    /// Rows of its subtree, itself included.
    pub subtree: usize,
    /// Start, in nanoseconds after the start of the trace.
    pub start: i64,
    /// Duration in nanoseconds; zero when it ends before it starts.
    pub duration: i64,
    /// Nanoseconds that no child covers.
    pub self_time: i64,
    /// Errors below it, itself excluded.
    pub errors_below: usize,
    /// Why it stands at the top, if it should not.
    pub flaw: Option<Flaw>,
    /// Its place among its siblings, from 1.
    pub place: usize,
    /// How many siblings there are, itself included.
    pub siblings: usize,
}

impl Row {
    /// End, in nanoseconds after the start of the trace.
    pub fn end(&self) -> i64 {
        self.start.saturating_add(self.duration)
    }

    /// Whether its status is error.
    pub fn is_error(&self) -> bool {
        self.span.status.code == 2
    }
}

/// One service's part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// service.name.
    pub name: String,
    /// Its spans.
    pub spans: usize,
    /// Its spans with status error.
    pub errors: usize,
}

/// A trace as it is displayed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trace {
    /// Spans in the order of display.
    pub rows: Vec<Row>,
    /// Resources.
    pub resources: Vec<Resource>,
    /// Scopes.
    pub scopes: Vec<Scope>,
    /// Services by first appearance in `rows`.
    pub services: Vec<Part>,
    /// Start in nanoseconds since 1970 UTC.
    pub start: i64,
    /// From the earliest start to the latest end.
    pub duration: i64,
    /// Spans with status error.
    pub errors: usize,
    /// What is wrong with it, a sentence each.
    pub warnings: Vec<String>,
    /// Calls that are made again and again, as the server found them.
    pub repeats: Vec<OutlineRepeat>,
}

/// What the sender calls a kind: `server`, `client`, …
pub fn kind_word(kind: i32) -> &'static str {
    match kind {
        1 => "internal",
        2 => "server",
        3 => "client",
        4 => "producer",
        5 => "consumer",
        _ => "unspecified",
    }
}

impl Rows for Trace {
    fn count(&self) -> usize {
        self.rows.len()
    }

    fn placed(&self, row: usize) -> Placed {
        let row = &self.rows[row];
        Placed { parent: row.parent, subtree: row.subtree, start: row.start, end: row.end() }
    }
}

impl Trace {
    /// Puts a trace in order.
    pub fn new(data: TracesData) -> Trace {
        let mut trace = Trace::default();
        let flat = trace.flatten(data);
        let (parents, flaws) = parents(&flat);
        let order = preorder(&flat, &parents, &flaws);
        trace.place(flat, &parents, &flaws, &order);
        trace.sum_up();
        trace.warn();
        trace
    }

    /// With what the server found repeated; spans that start at once may stand in another order there.
    pub fn with_repeats(mut self, mut repeats: Vec<OutlineRepeat>) -> Trace {
        for repeat in &mut repeats {
            repeat.row = self.row_of(&repeat.span_id).unwrap_or(0);
        }
        self.repeats = repeats;
        self
    }

    /// Takes the spans out of their resources and scopes; times become relative to the earliest start.
    fn flatten(&mut self, data: TracesData) -> Vec<Row> {
        let mut rows = Vec::new();
        for group in data.resource_spans {
            let resource = self.resources.len();
            self.resources.push(group.resource);
            for part in group.scope_spans {
                let scope = self.scopes.len();
                self.scopes.push(part.scope);
                rows.extend(part.spans.into_iter().map(|span| Row { span, resource, scope, ..Row::default() }));
            }
        }
        let nanos = |unix: u64| i64::try_from(unix).unwrap_or(i64::MAX);
        self.start = rows.iter().map(|row| nanos(row.span.start_time_unix_nano)).min().unwrap_or(0);
        for row in &mut rows {
            let start = nanos(row.span.start_time_unix_nano);
            row.start = start - self.start;
            row.duration = (nanos(row.span.end_time_unix_nano) - start).max(0);
        }
        self.duration = rows.iter().map(Row::end).max().unwrap_or(0);
        rows
    }

    fn place(&mut self, flat: Vec<Row>, parents: &[Option<usize>], flaws: &[Option<Flaw>], order: &[usize]) {
        let mut row_of = vec![0; flat.len()];
        for (row, index) in order.iter().enumerate() {
            row_of[*index] = row;
        }
        let mut slots: Vec<Option<Row>> = flat.into_iter().map(Some).collect();
        let mut service_of: HashMap<String, usize> = HashMap::new();
        let names: Vec<String> = self
            .resources
            .iter()
            .map(|r| attribute::find(&r.attributes, "service.name").unwrap_or_else(|| "unknown_service".into()))
            .collect();
        for index in order {
            let Some(mut row) = slots[*index].take() else { continue };
            let name = &names[row.resource];
            row.service = *service_of.entry(name.clone()).or_insert_with(|| {
                self.services.push(Part { name: name.clone(), ..Part::default() });
                self.services.len() - 1
            });
            row.parent = parents[*index].map(|parent| row_of[parent]);
            row.depth = row.parent.map_or(0, |parent| self.rows[parent].depth + 1);
            row.flaw = flaws[*index];
            row.subtree = 1;
            self.rows.push(row);
        }
    }

    /// Subtree sizes, errors, self times.
    fn sum_up(&mut self) {
        for index in (0..self.rows.len()).rev() {
            let (subtree, errors) = (self.rows[index].subtree, self.rows[index].errors_below);
            let own = usize::from(self.rows[index].is_error());
            if let Some(parent) = self.rows[index].parent {
                self.rows[parent].subtree += subtree;
                self.rows[parent].errors_below += errors + own;
            }
            let part = &mut self.services[self.rows[index].service];
            part.spans += 1;
            part.errors += own;
            self.errors += own;
        }
        let roots = (0..self.rows.len()).filter(|row| self.rows[*row].parent.is_none()).collect();
        self.number(roots);
        for index in 0..self.rows.len() {
            self.rows[index].self_time = self.gaps(index).map(|[start, end]| end - start).sum();
            let children = self.children(index).collect();
            self.number(children);
        }
    }

    /// Tells each its place among its siblings.
    fn number(&mut self, rows: Vec<usize>) {
        for (at, row) in rows.iter().enumerate() {
            (self.rows[*row].place, self.rows[*row].siblings) = (at + 1, rows.len());
        }
    }

    fn warn(&mut self) {
        let count = |which: fn(&Row) -> bool| self.rows.iter().filter(|row| which(row)).count();
        let ids: HashSet<&str> = self.rows.iter().map(|row| row.span.span_id.as_str()).collect();
        let kind = |row: usize| self.rows[row].span.kind;
        let skew = fault::skew(self, |caller, row| kind(caller) == CLIENT && kind(row) == SERVER);
        let found = OutlineFlaws {
            roots: count(|row| row.parent.is_none() && row.flaw.is_none()),
            missing_parent: count(|row| row.flaw == Some(Flaw::MissingParent)),
            cycle: count(|row| matches!(row.flaw, Some(Flaw::Cycle | Flaw::SelfParent))),
            backwards: count(|row| row.span.end_time_unix_nano < row.span.start_time_unix_nano),
            early: skew.early,
            earliest_nano: skew.earliest,
            late: skew.late,
            latest_nano: skew.latest,
            same_id: self.rows.len() - ids.len(),
        };
        self.warnings = flaws::told(&found, self.rows.len());
    }

    /// A row as it is drawn, with its part of the critical path, of that by row.
    pub fn drawn(&self, at: usize, path: &[Section]) -> OutlineRow {
        let row = &self.rows[at];
        let event = |event: &query_api::otlp::Event| OutlineEvent {
            time_nano: i64::try_from(event.time_unix_nano).unwrap_or(i64::MAX).saturating_sub(self.start),
            name: event.name.clone(),
        };
        OutlineRow {
            row: at,
            span_id: row.span.span_id.clone(),
            parent_row: row.parent,
            depth: row.depth,
            place: row.place,
            siblings: row.siblings,
            subtree: row.subtree,
            closed: false,
            errors_below: row.errors_below,
            service: row.service,
            name: row.span.name.clone(),
            kind: row.span.kind,
            failed: row.is_error(),
            flaw: row.flaw,
            start_nano: row.start,
            duration_nano: row.duration,
            self_nano: row.self_time,
            gaps: self.gaps(at).take(MARKS).collect(),
            critical: sections_of(path, at).iter().take(MARKS).map(|s| [s.start, s.end]).collect(),
            events: row.span.events.iter().take(MARKS).map(event).collect(),
        }
    }

    /// Rows to show when those in `closed` are collapsed; of some that include all above them, or of all.
    pub fn shown(&self, closed: &HashSet<usize>, of: Option<&[bool]>) -> Vec<usize> {
        let mut shown = Vec::with_capacity(self.rows.len());
        let mut row = 0;
        while row < self.rows.len() {
            if of.is_some_and(|of| !of[row]) {
                row += self.rows[row].subtree;
                continue;
            }
            shown.push(row);
            row += if closed.contains(&row) { self.rows[row].subtree } else { 1 };
        }
        shown
    }

    /// Some rows, and all above them.
    pub fn with_all_above(&self, rows: &[usize]) -> Vec<bool> {
        let mut of = vec![false; self.rows.len()];
        for row in rows {
            let mut next = Some(*row);
            while let Some(row) = next.filter(|row| !of[*row]) {
                of[row] = true;
                next = self.rows[row].parent;
            }
        }
        of
    }

    /// Where the errors began.
    pub fn origin(&self) -> Option<usize> {
        fault::origin(self, |row| self.rows[row].is_error())
    }

    /// Every row that has children.
    pub fn all_closed(&self) -> HashSet<usize> {
        (0..self.rows.len()).filter(|row| self.rows[*row].subtree > 1).collect()
    }

    /// What is closed after closing one level more: the deepest open rows.
    pub fn close_level(&self, closed: &HashSet<usize>) -> HashSet<usize> {
        let open = |row: &usize| self.rows[*row].subtree > 1 && !closed.contains(row);
        let shown: Vec<usize> = self.shown(closed, None).into_iter().filter(open).collect();
        let Some(deepest) = shown.iter().map(|row| self.rows[*row].depth).max() else { return closed.clone() };
        let mut closed = closed.clone();
        closed.extend(shown.into_iter().filter(|row| self.rows[*row].depth == deepest));
        closed
    }

    /// What is closed after opening one level more: all but the shallowest closed rows.
    pub fn open_level(&self, closed: &HashSet<usize>) -> HashSet<usize> {
        let shallowest = closed.iter().map(|row| self.rows[*row].depth).min();
        closed.iter().copied().filter(|row| Some(self.rows[*row].depth) != shallowest).collect()
    }

    /// Rows of the same service and name as one.
    pub fn alike(&self, at: usize) -> Vec<usize> {
        let Some(one) = self.rows.get(at) else { return Vec::new() };
        let alike = |row: &Row| row.service == one.service && row.span.name == one.span.name;
        (0..self.rows.len()).filter(|row| alike(&self.rows[*row])).collect()
    }

    /// The row of a span id.
    pub fn row_of(&self, span_id: &str) -> Option<usize> {
        self.rows.iter().position(|row| row.span.span_id == span_id)
    }

    /// Rows whose name, service, id or attributes hold the text, in any case.
    pub fn search(&self, wanted: &str) -> Vec<usize> {
        let wanted = lower(wanted.trim());
        if wanted.is_empty() {
            return Vec::new();
        }
        let holds = |row: &Row| {
            lower(&row.span.name).contains(&wanted)
                || lower(&self.services[row.service].name).contains(&wanted)
                || row.span.span_id == wanted
                || lower(&row.span.status.message).contains(&wanted)
                || row.span.attributes.iter().any(|attribute| attribute::matches(attribute, &wanted))
        };
        (0..self.rows.len()).filter(|row| holds(&self.rows[*row])).collect()
    }

    /// Opens whatever hides a row.
    pub fn reveal(&self, row: usize, closed: &mut HashSet<usize>) {
        let mut above = self.rows.get(row).and_then(|row| row.parent);
        while let Some(parent) = above {
            closed.remove(&parent);
            above = self.rows[parent].parent;
        }
    }
}

/// Each span's parent, with circles cut at their earliest span, and why a span has none.
fn parents(rows: &[Row]) -> (Vec<Option<usize>>, Vec<Option<Flaw>>) {
    let mut by_id: HashMap<&str, usize> = HashMap::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        by_id.entry(row.span.span_id.as_str()).or_insert(index);
    }
    let mut flaws = vec![None; rows.len()];
    let mut parents = vec![None; rows.len()];
    for (index, row) in rows.iter().enumerate() {
        let wanted = row.span.parent_span_id.as_str();
        if wanted.is_empty() || wanted.bytes().all(|b| b == b'0') {
            continue;
        }
        if wanted == row.span.span_id {
            flaws[index] = Some(Flaw::SelfParent);
            continue;
        }
        match by_id.get(wanted) {
            Some(parent) => parents[index] = Some(*parent),
            None => flaws[index] = Some(Flaw::MissingParent),
        }
    }
    cut_cycles(rows, &mut parents, &mut flaws);
    (parents, flaws)
}

fn cut_cycles(rows: &[Row], parents: &mut [Option<usize>], flaws: &mut [Option<Flaw>]) {
    // 0 is unseen, `walk` is on the present walk, anything else was settled by an earlier one.
    let mut seen_by = vec![0usize; rows.len()];
    for begin in 0..rows.len() {
        let walk = begin + 1;
        let mut at = begin;
        while seen_by[at] == 0 {
            seen_by[at] = walk;
            match parents[at] {
                Some(parent) => at = parent,
                None => break,
            }
        }
        if seen_by[at] != walk || parents[at].is_none() {
            continue;
        }
        let (mut earliest, mut next) = (at, parents[at]);
        while let Some(member) = next.filter(|member| *member != at) {
            if rows[member].start < rows[earliest].start {
                earliest = member;
            }
            next = parents[member];
        }
        parents[earliest] = None;
        flaws[earliest] = Some(Flaw::Cycle);
    }
}

/// Indexes in the order of display: true roots first, then the rest; siblings by start.
fn preorder(rows: &[Row], parents: &[Option<usize>], flaws: &[Option<Flaw>]) -> Vec<usize> {
    let mut by_parent: Vec<usize> = (0..rows.len()).collect();
    let key = |index: &usize| {
        (parents[*index].map_or(0, |parent| parent + 1), flaws[*index].is_some(), rows[*index].start, *index)
    };
    by_parent.sort_unstable_by_key(key);
    let mut first_child = vec![rows.len(); rows.len() + 1];
    for (position, index) in by_parent.iter().enumerate().rev() {
        first_child[parents[*index].map_or(0, |parent| parent + 1)] = position;
    }
    let children = |slot: usize| {
        let start = first_child[slot];
        by_parent.iter().skip(start).take_while(move |i| parents[**i].map_or(0, |p| p + 1) == slot)
    };
    let mut order = Vec::with_capacity(rows.len());
    let mut stack: Vec<usize> = children(0).copied().collect();
    stack.reverse();
    while let Some(index) = stack.pop() {
        order.push(index);
        let from = stack.len();
        stack.extend(children(index + 1).copied());
        stack[from..].reverse();
    }
    order
}

#[cfg(test)]
mod tests;
