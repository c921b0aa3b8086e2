//! Who calls whom, how often and how well? Edges of a graph, of the spans of a range.
//!
//! G1  A call is a span of kind CLIENT or PRODUCER that starts in the range. It goes to the services whose SERVER or CONSUMER spans
//!     have it as their parent; they may start up to [`SLACK`] after the range, or up to [`SKEW`] before it where their clock is behind.
//! G2  A call that no service received goes to what its attributes name: a database, a queue, or somebody who sends no spans. Where
//!     they name nothing there is no edge. A SERVER span without parent was called by [`USER`].
//! G3  Of a call, both ends' durations are told. It failed if either end did.
//! G4  Memory is bounded (`passes`).
//! G5  Who counts spans as they come (`Beside`) counts one that takes longer than [`LONG`] where it ends, since it comes no earlier; of
//!     a call's receivers those that are there then. One of more than [`LONGEST`] counts nowhere.

use super::names::{Names, Numbered, RowMap};
use super::passes::{passes, trace_number};
use super::{STATUS_ERROR, Tally};
use crate::column::{Columns, span_id, trace_id};
use crate::error::Result;
use crate::exec::Control;
use crate::quantile::Count;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{Int64Array, PrimitiveArray};
use query_api::service::{Connection, GraphEdge, ServiceGraphResponse};
use std::collections::BTreeSet;
use storage::model::attribute::{Map, Value};
use storage::model::schema::column;
use storage::model::{Signal, SpanId, TraceId};
use storage::scan::{Compare, Field, Predicate, Scalar, ScanRequest, TimeRange};

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;

/// How long after a range the other end of a call is looked for.
const SLACK: i64 = 30_000_000_000;
/// How far the clock of the other end may be behind: how long before a range it is looked for.
const SKEW: i64 = 10_000_000_000;
/// What takes longer has not come yet when others that began with it have.
pub(crate) const LONG: i64 = 15_000_000_000;
/// How long before a range spans may have begun that end in it.
const LONGEST: i64 = 3_600_000_000_000;
/// Traces whose receivers are looked for at once.
const TRACES_AT_ONCE: usize = 256;
/// Who calls what nobody of the trace called.
const USER: &str = "user";

/// What names the other end of a call: a kind of database, a database, a queue, and any peer; of each the first that a span has counts.
pub(crate) const PEER_KEYS: [&str; 11] = [
    "db.system.name",
    "db.system",
    "db.type",
    "db.namespace",
    "db.name",
    "messaging.destination.name",
    "messaging.system",
    "peer.service",
    "server.address",
    "net.peer.name",
    "rpc.service",
];
const SYSTEMS: std::ops::Range<usize> = 0..3;
const DATABASES: std::ops::Range<usize> = 3..5;
const QUEUES: std::ops::Range<usize> = 5..7;
const PEERS: std::ops::Range<usize> = 7..11;
const SERVICES: std::ops::Range<usize> = 7..8;

const COLUMNS: [&str; 9] = [
    column::TRACE_ID,
    column::SPAN_ID,
    column::PARENT_SPAN_ID,
    column::SERVICE_NAME,
    column::KIND,
    column::START,
    column::DURATION,
    column::STATUS_CODE,
    column::ATTRIBUTES,
];
/// Of what comes before and after the range.
const RECEIVERS: [&str; 6] = [
    column::TRACE_ID,
    column::PARENT_SPAN_ID,
    column::SERVICE_NAME,
    column::KIND,
    column::DURATION,
    column::STATUS_CODE,
];

/// What is made of durations.
pub(crate) trait Figures: Default {
    fn add(&mut self, duration: i64, is_error: bool, stands_for: f64);

    /// Bytes beside those of the value itself.
    fn memory_bytes(&self) -> usize;
}

impl Figures for Tally {
    fn add(&mut self, duration: i64, is_error: bool, stands_for: f64) {
        Tally::add(self, duration, is_error, stands_for);
    }

    fn memory_bytes(&self) -> usize {
        self.durations.memory_bytes()
    }
}

/// Who calls, who is called, and how.
type Ends = (String, String, Connection);

/// The calls of a range.
pub(crate) fn graph(control: &Control, range: TimeRange) -> Result<ServiceGraphResponse> {
    let told = |tally: &Tally| (tally.durations.total() != Count::default()).then(|| tally.red(range));
    let edge = |((client, server, connection), edge): (Ends, Edge<Tally>)| GraphEdge {
        client,
        server,
        connection,
        call_count: edge.calls.total(),
        failed_count: edge.failed.total(),
        client_side: told(&edge.client),
        server_side: told(&edge.server),
    };
    let mut edges: Vec<GraphEdge> = edges(control, range)?.into_iter().map(edge).collect();
    edges.sort_by(|a, b| (&a.client, &a.server, a.connection).cmp(&(&b.client, &b.server, b.connection)));
    let (start_unix_nano, end_unix_nano) = (range.start, range.end);
    Ok(ServiceGraphResponse { edges, start_unix_nano, end_unix_nano, stats: control.stats() })
}

/// The calls of a range, in no order.
pub(crate) fn edges<F: Figures>(control: &Control, range: TimeRange) -> Result<Vec<(Ends, Edge<F>)>> {
    edges_in(control, range, passes(control, range)?, None)
}

/// Who looks at all spans of the range, too, while they are read (G5).
pub(crate) struct Beside<'a> {
    /// What it needs besides the columns that calls are made of.
    pub(crate) columns: &'a [&'static str],
    /// Is given rows, and which of them count.
    pub(crate) each: &'a mut dyn FnMut(Columns<'_>, &Counted<'_>) -> Result<()>,
}

/// Which spans of a scan count.
#[derive(Debug, Clone, Copy)]
enum Share {
    All,
    Short,
    /// Those long ones that end in a range.
    Ended(TimeRange),
}

/// The rows of a batch that count.
#[derive(Debug)]
pub(crate) struct Counted<'a> {
    starts: &'a PrimitiveArray<TimestampNanosecondType>,
    durations: &'a Int64Array,
    share: Share,
}

impl<'a> Counted<'a> {
    fn new(columns: Columns<'a>, share: Share) -> Result<Self> {
        Ok(Counted { starts: columns.times(column::START)?, durations: columns.int64(column::DURATION)?, share })
    }

    /// Whether a row counts.
    pub(crate) fn has(&self, row: usize) -> bool {
        let duration = self.durations.value(row);
        match self.share {
            Share::All => true,
            Share::Short => duration <= LONG,
            Share::Ended(range) => duration > LONG && range.contains(self.starts.value(row).saturating_add(duration)),
        }
    }
}

/// The calls of a range, in no order, with a look at all of its spans.
pub(crate) fn edges_beside<F: Figures>(
    control: &Control,
    range: TimeRange,
    beside: Beside<'_>,
) -> Result<Vec<(Ends, Edge<F>)>> {
    edges_in(control, range, passes(control, range)?, Some(beside))
}

fn edges_in<F: Figures>(
    control: &Control,
    range: TimeRange,
    passes: u64,
    mut beside: Option<Beside<'_>>,
) -> Result<Vec<(Ends, Edge<F>)>> {
    let mut graph = Graph::default();
    let as_they_come = beside.is_some();
    for pass in 0..passes {
        let wanted = |trace: &TraceId| trace_number(trace) % passes == pass;
        // Every span is looked at once, whatever the passes.
        let mut beside = beside.take();
        let share = if as_they_come { Share::Short } else { Share::All };
        let request = ScanRequest { time: range, ..of_calls(beside.as_ref()) };
        let mut calls = graph.calls(control, request, share, wanted, beside.as_mut())?;
        graph.receive_early(&mut calls);
        let before = TimeRange { start: range.start.saturating_sub(SKEW), end: range.start };
        let after = TimeRange { start: range.end, end: range.end.saturating_add(SLACK) };
        for time in [after, before] {
            if !calls.calls.values().all(|call| call.is_received) {
                let request = ScanRequest { time, ..of_kinds(&RECEIVERS, &[SERVER, CONSUMER]) };
                graph.receivers(control, request, &mut calls, wanted)?;
            }
        }
        graph.end(control, calls);
        if as_they_come {
            graph.long(control, range, wanted, beside.as_mut())?;
        }
    }
    Ok(graph.named())
}

/// What calls are made of, and what is looked at beside.
fn of_calls(beside: Option<&Beside<'_>>) -> ScanRequest {
    let mut request = match beside {
        Some(beside) => ScanRequest::all(COLUMNS.iter().chain(beside.columns).copied()),
        None => of_kinds(&COLUMNS, &[SERVER, CLIENT, PRODUCER, CONSUMER]),
    };
    request.columns.push(column::TRACE_STATE);
    request.keys = Some(&PEER_KEYS);
    request
}

fn of_kinds(columns: &[&'static str], kinds: &[i32]) -> ScanRequest {
    let mut request = ScanRequest::all(columns.iter().copied());
    let of = |kind: &i32| Predicate::equal(column::KIND, Scalar::Int((*kind).into()));
    request.predicate = Predicate::Or(kinds.iter().map(of).collect());
    request
}

impl<F: Figures> Graph<F> {
    /// Reads calls, and takes who receives them and what nobody called, with a look at what counts.
    fn calls(
        &mut self,
        control: &Control,
        request: ScanRequest,
        share: Share,
        wanted: impl Fn(&TraceId) -> bool + Copy,
        mut beside: Option<&mut Beside<'_>>,
    ) -> Result<Calls> {
        let mut calls = Calls::default();
        control.scan(Signal::Spans, request, |batch| {
            let columns = Columns(batch);
            let counted = Counted::new(columns, share)?;
            if let Some(beside) = &mut beside {
                (beside.each)(columns, &counted)?;
            }
            calls.add(columns, &mut self.names, wanted, &counted)?;
            if !matches!(share, Share::Ended(_)) {
                self.receive(columns, &mut calls, wanted)?;
            }
            self.greet(columns, wanted, &counted)?;
            calls.charge(control)?;
            self.charge(control)
        })?;
        Ok(calls)
    }

    /// Reads who receives some calls.
    fn receivers(
        &mut self,
        control: &Control,
        request: ScanRequest,
        calls: &mut Calls,
        wanted: impl Fn(&TraceId) -> bool + Copy,
    ) -> Result<()> {
        control.scan(Signal::Spans, request, |batch| {
            self.receive(Columns(batch), calls, wanted)?;
            // Whose caller is not in the range is nobody's business here.
            calls.early.clear();
            self.charge(control)
        })
    }

    /// Takes what ends in the range and is long (G5). Such spans are few: their receivers are looked for by their traces.
    fn long(
        &mut self,
        control: &Control,
        range: TimeRange,
        wanted: impl Fn(&TraceId) -> bool + Copy,
        beside: Option<&mut Beside<'_>>,
    ) -> Result<()> {
        let mut request = of_calls(beside.as_deref());
        request.time = TimeRange { start: range.start.saturating_sub(LONGEST), end: range.end };
        request.predicate = std::mem::replace(&mut request.predicate, Predicate::All).and(Predicate::Compare {
            field: Field::Column(column::DURATION),
            compare: Compare::Greater,
            value: Scalar::Int(LONG),
        });
        let mut calls = self.calls(control, request, Share::Ended(range), wanted, beside)?;
        let start = calls.calls.values().map(|call| call.start).min().unwrap_or(range.end);
        let time = TimeRange { start: start.saturating_sub(SKEW), end: range.end.saturating_add(SLACK) };
        let traces: BTreeSet<TraceId> = calls.calls.keys().map(|(trace, _)| *trace).collect();
        for traces in traces.into_iter().collect::<Vec<_>>().chunks(TRACES_AT_ONCE) {
            let mut request = ScanRequest { time, ..of_kinds(&RECEIVERS, &[SERVER, CONSUMER]) };
            let of_traces = Predicate::Or(traces.iter().copied().map(Predicate::Trace).collect());
            request.predicate = std::mem::replace(&mut request.predicate, Predicate::All).and(of_traces);
            self.receivers(control, request, &mut calls, wanted)?;
        }
        self.end(control, calls);
        Ok(())
    }

    fn charge(&mut self, control: &Control) -> Result<()> {
        let bytes = self.memory_bytes();
        control.charge(bytes.saturating_sub(self.charged))?;
        self.charged = self.charged.max(bytes);
        Ok(())
    }
}

/// Where a call may go, and how.
type Peer = (u32, Connection);

/// The caller's end of a call.
#[derive(Debug)]
struct Call {
    service: u32,
    kind: i32,
    start: i64,
    duration: i64,
    is_error: bool,
    stands_for: f64,
    /// What it names as its other end.
    peer: Option<Peer>,
    is_received: bool,
}

/// The receiver's end of a call.
#[derive(Debug)]
struct Receiver {
    service: u32,
    kind: i32,
    duration: i64,
    is_error: bool,
}

/// Calls of a pass.
#[derive(Debug, Default)]
struct Calls {
    calls: RowMap<(TraceId, SpanId), Call>,
    /// Receivers that came before their callers, if these come.
    early: Vec<((TraceId, SpanId), Receiver)>,
    /// Bytes that were charged for them.
    charged: usize,
}

impl Calls {
    fn add(
        &mut self,
        columns: Columns<'_>,
        names: &mut Names,
        wanted: impl Fn(&TraceId) -> bool,
        counted: &Counted<'_>,
    ) -> Result<()> {
        let (traces, ids) = (columns.fixed(column::TRACE_ID)?, columns.fixed(column::SPAN_ID)?);
        let services = columns.repeated_text(column::SERVICE_NAME)?;
        let (kinds, durations) = (columns.int32(column::KIND)?, columns.int64(column::DURATION)?);
        let codes = columns.int32(column::STATUS_CODE)?;
        let attributes = columns.cells(column::ATTRIBUTES)?;
        let stand_for = columns.stand_for()?;
        let mut numbered = Numbered::new(services.len());
        for (row, kind) in kinds.values().iter().copied().enumerate() {
            if !matches!(kind, CLIENT | PRODUCER) || !counted.has(row) {
                continue;
            }
            let Some(trace) = trace_id(traces, row).filter(&wanted) else { continue };
            let Some(id) = span_id(ids, row) else { continue };
            let call = Call {
                service: numbered.number(services.key(row), names, |key| services.value(key)),
                kind,
                start: counted.starts.value(row),
                duration: durations.value(row),
                is_error: codes.value(row) == STATUS_ERROR,
                stands_for: stand_for.get(row),
                peer: peer(Map::new(attributes.get(row)), kind, names),
                is_received: false,
            };
            self.calls.insert((trace, id), call);
        }
        Ok(())
    }

    fn charge(&mut self, control: &Control) -> Result<()> {
        let bytes = self.memory_bytes();
        control.charge(bytes.saturating_sub(self.charged))?;
        self.charged = self.charged.max(bytes);
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        let early = size_of::<((TraceId, SpanId), Receiver)>() * self.early.capacity();
        2 * size_of::<((TraceId, SpanId), Call)>() * self.calls.len() + early
    }
}

/// What a call's attributes name as its other end.
pub(crate) fn peer(attributes: Map<'_>, kind: i32, names: &mut Names) -> Option<Peer> {
    let mut found: [Option<&str>; PEER_KEYS.len()] = [None; PEER_KEYS.len()];
    for entry in attributes.raw_entries() {
        let place = PEER_KEYS.iter().position(|key| key.as_bytes() == entry.key);
        if let Some(slot) = place.and_then(|place| found.get_mut(place))
            && let Some(Value::String(name)) = Value::parse(entry.value)
            && !name.is_empty()
        {
            *slot = Some(name);
        }
    }
    let first = |keys: std::ops::Range<usize>| found.get(keys).into_iter().flatten().flatten().copied().next();
    // A database may be called as a service is, or by a mere number: its kind tells them apart.
    match (first(SYSTEMS), first(DATABASES), first(QUEUES)) {
        (None, None, Some(queue)) => Some((names.number(queue), Connection::MessagingSystem)),
        (None, None, None) => {
            let connection = if kind == PRODUCER { Connection::MessagingSystem } else { Connection::VirtualNode };
            Some((names.number(first(PEERS)?), connection))
        }
        (system, database, _) => {
            let number = match (first(SERVICES), system, database) {
                (Some(service), ..) => names.number(service),
                (None, Some(system), Some(database)) => names.number_of_both(system, database),
                (None, system, database) => names.number(system.or(database)?),
            };
            Some((number, Connection::Database))
        }
    }
}

/// Both ends' figures of the calls from one to another.
#[derive(Debug, Default)]
pub(crate) struct Edge<F> {
    pub(crate) calls: Count,
    pub(crate) failed: Count,
    pub(crate) client: F,
    pub(crate) server: F,
}

#[derive(Debug, Default)]
struct Graph<F> {
    names: Names,
    edges: RowMap<(u32, u32, Connection), Edge<F>>,
    /// Bytes that were charged for them.
    charged: usize,
}

impl<F: Figures> Graph<F> {
    /// Takes what was received; of whom the caller has not come is kept with the calls.
    fn receive(&mut self, columns: Columns<'_>, calls: &mut Calls, wanted: impl Fn(&TraceId) -> bool) -> Result<()> {
        let (traces, parents) = (columns.fixed(column::TRACE_ID)?, columns.fixed(column::PARENT_SPAN_ID)?);
        let services = columns.repeated_text(column::SERVICE_NAME)?;
        let (kinds, durations) = (columns.int32(column::KIND)?, columns.int64(column::DURATION)?);
        let codes = columns.int32(column::STATUS_CODE)?;
        let mut numbered = Numbered::new(services.len());
        for (row, kind) in kinds.values().iter().copied().enumerate() {
            if !matches!(kind, SERVER | CONSUMER) {
                continue;
            }
            let Some(parent) = span_id(parents, row) else { continue };
            let Some(trace) = trace_id(traces, row).filter(&wanted) else { continue };
            let receiver = Receiver {
                service: numbered.number(services.key(row), &mut self.names, |key| services.value(key)),
                kind,
                duration: durations.value(row),
                is_error: codes.value(row) == STATUS_ERROR,
            };
            match calls.calls.get_mut(&(trace, parent)) {
                Some(call) => self.join(call, &receiver),
                None => calls.early.push(((trace, parent), receiver)),
            }
        }
        Ok(())
    }

    /// Takes those whose callers came after them.
    fn receive_early(&mut self, calls: &mut Calls) {
        for (parent, receiver) in std::mem::take(&mut calls.early) {
            if let Some(call) = calls.calls.get_mut(&parent) {
                self.join(call, &receiver);
            }
        }
    }

    fn join(&mut self, call: &mut Call, receiver: &Receiver) {
        call.is_received = true;
        let by_queue = call.kind == PRODUCER || receiver.kind == CONSUMER;
        let connection = if by_queue { Connection::MessagingSystem } else { Connection::Direct };
        let edge = self.edges.entry((call.service, receiver.service, connection)).or_default();
        let (client, server) = ((call.duration, call.is_error), (receiver.duration, receiver.is_error));
        // Both are of one trace.
        edge.add(Some(client), Some(server), call.stands_for);
    }

    /// Takes what nobody of the trace called.
    fn greet(&mut self, columns: Columns<'_>, wanted: impl Fn(&TraceId) -> bool, counted: &Counted<'_>) -> Result<()> {
        let (traces, parents) = (columns.fixed(column::TRACE_ID)?, columns.fixed(column::PARENT_SPAN_ID)?);
        let services = columns.repeated_text(column::SERVICE_NAME)?;
        let (kinds, durations) = (columns.int32(column::KIND)?, columns.int64(column::DURATION)?);
        let codes = columns.int32(column::STATUS_CODE)?;
        let stand_for = columns.stand_for()?;
        for (row, kind) in kinds.values().iter().copied().enumerate() {
            let is_called = kind != SERVER || span_id(parents, row).is_some();
            if is_called || !counted.has(row) || !trace_id(traces, row).is_some_and(|id| wanted(&id)) {
                continue;
            }
            let ends = (self.names.number(USER), self.names.number(services.get(row)), Connection::VirtualNode);
            let is_error = codes.value(row) == STATUS_ERROR;
            let server = Some((durations.value(row), is_error));
            self.edges.entry(ends).or_default().add(None, server, stand_for.get(row));
        }
        Ok(())
    }

    /// Takes the calls that no service received (G2).
    fn end(&mut self, control: &Control, calls: Calls) {
        control.release(calls.charged);
        for call in calls.calls.into_values().filter(|call| !call.is_received) {
            let Some((peer, connection)) = call.peer else { continue };
            let edge = self.edges.entry((call.service, peer, connection)).or_default();
            edge.add(Some((call.duration, call.is_error)), None, call.stands_for);
        }
    }

    fn memory_bytes(&self) -> usize {
        let bytes = |edge: &Edge<F>| edge.client.memory_bytes() + edge.server.memory_bytes();
        let edges = self.edges.values().map(|edge| size_of::<Edge<F>>() + 64 + bytes(edge));
        self.names.memory_bytes() + edges.sum::<usize>()
    }

    /// The edges by the names of their ends.
    fn named(self) -> Vec<(Ends, Edge<F>)> {
        let names = self.names;
        let name = |number: u32| names.get(number).to_owned();
        let ends = |(client, server, connection)| (name(client), name(server), connection);
        self.edges.into_iter().map(|(key, edge)| (ends(key), edge)).collect()
    }
}

impl<F: Figures> Edge<F> {
    /// Adds a call by its ends: how long, and whether it failed.
    fn add(&mut self, client: Option<(i64, bool)>, server: Option<(i64, bool)>, stands_for: f64) {
        self.calls.add(stands_for);
        if [client, server].into_iter().flatten().any(|(_, is_error)| is_error) {
            self.failed.add(stands_for);
        }
        for (figures, end) in [(&mut self.client, client), (&mut self.server, server)] {
            if let Some((duration, is_error)) = end {
                figures.add(duration, is_error, stands_for);
            }
        }
    }
}

#[cfg(test)]
mod tests;
