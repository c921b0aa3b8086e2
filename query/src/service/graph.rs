//! Who calls whom, how often and how well? Edges of a graph, of the spans of a range.
//!
//! G1  A call is a span of kind CLIENT or PRODUCER that starts in the range. It goes to the services whose SERVER or CONSUMER spans
//!     have it as their parent; they may start up to [`SLACK`] after the range.
//! G2  A call that no service received goes to what its attributes name: a database, a queue, or somebody who sends no spans. Where
//!     they name nothing there is no edge. A SERVER span without parent was called by [`USER`].
//! G3  Of a call, both ends' durations are told. It failed if either end did.
//! G4  Memory is bounded (`passes`).

use super::names::Names;
use super::passes::{passes, trace_number};
use super::{STATUS_ERROR, Tally};
use crate::column::{Columns, span_id, trace_id};
use crate::error::Result;
use crate::exec::Control;
use query_api::service::{Connection, GraphEdge, ServiceGraphResponse};
use std::collections::{BTreeMap, HashMap};
use storage::model::attribute::{Map, Value};
use storage::model::schema::column;
use storage::model::{Signal, SpanId, TraceId};
use storage::scan::{Predicate, Scalar, ScanRequest, TimeRange};

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;

/// How long after a range the other end of a call is looked for.
const SLACK: i64 = 30_000_000_000;
/// Who calls what nobody of the trace called.
const USER: &str = "user";

/// What names a kind of database, a database, a queue, and any peer; the first that a span has counts.
const SYSTEMS: [&str; 3] = ["db.system.name", "db.system", "db.type"];
const DATABASES: [&str; 2] = ["db.namespace", "db.name"];
const QUEUES: [&str; 2] = ["messaging.destination.name", "messaging.system"];
const PEERS: [&str; 4] = ["peer.service", "server.address", "net.peer.name", "rpc.service"];

const CALLERS: [&str; 7] = [
    column::TRACE_ID,
    column::SPAN_ID,
    column::SERVICE_NAME,
    column::KIND,
    column::DURATION,
    column::STATUS_CODE,
    column::ATTRIBUTES,
];
const RECEIVERS: [&str; 7] = [
    column::TRACE_ID,
    column::PARENT_SPAN_ID,
    column::SERVICE_NAME,
    column::KIND,
    column::START,
    column::DURATION,
    column::STATUS_CODE,
];

/// What is made of durations.
pub(crate) trait Figures: Default {
    fn add(&mut self, duration: i64, is_error: bool);

    /// Bytes beside those of the value itself.
    fn memory_bytes(&self) -> usize;
}

impl Figures for Tally {
    fn add(&mut self, duration: i64, is_error: bool) {
        Tally::add(self, duration, is_error);
    }

    fn memory_bytes(&self) -> usize {
        self.durations.memory_bytes()
    }
}

/// Who calls, who is called, and how.
type Ends = (String, String, Connection);

/// The calls of a range.
pub(crate) fn graph(control: &Control, range: TimeRange) -> Result<ServiceGraphResponse> {
    let told = |tally: &Tally| (tally.durations.total() > 0).then(|| tally.red(range));
    let edge = |((client, server, connection), edge): (Ends, Edge<Tally>)| GraphEdge {
        client,
        server,
        connection,
        call_count: edge.calls,
        failed_count: edge.failed,
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
    edges_in(control, range, passes(control, range)?)
}

fn edges_in<F: Figures>(control: &Control, range: TimeRange, passes: u64) -> Result<Vec<(Ends, Edge<F>)>> {
    let mut graph = Graph::default();
    let mut charged = 0;
    for pass in 0..passes {
        let wanted = |trace: &TraceId| trace_number(trace) % passes == pass;
        let (mut calls, mut held) = (Calls::default(), 0);
        control.scan(Signal::Spans, request(&CALLERS, [CLIENT, PRODUCER], range), |batch| {
            calls.add(Columns(batch), &mut graph.names, wanted)?;
            let bytes = calls.memory_bytes();
            control.charge(bytes.saturating_sub(held))?;
            held = held.max(bytes);
            Ok(())
        })?;
        let later = TimeRange { start: range.start, end: range.end.saturating_add(SLACK) };
        control.scan(Signal::Spans, request(&RECEIVERS, [SERVER, CONSUMER], later), |batch| {
            graph.receive(Columns(batch), &mut calls, range, wanted)?;
            let bytes = graph.memory_bytes();
            control.charge(bytes.saturating_sub(charged))?;
            charged = charged.max(bytes);
            Ok(())
        })?;
        graph.end(calls);
        control.release(held);
    }
    Ok(graph.named())
}

fn request(columns: &[&'static str], kinds: [i32; 2], time: TimeRange) -> ScanRequest {
    let mut request = ScanRequest::all(columns.iter().copied());
    request.time = time;
    let of = |kind: i32| Predicate::equal(column::KIND, Scalar::Int(kind.into()));
    request.predicate = Predicate::Or(kinds.map(of).into());
    request
}

/// Where a call may go, and how.
type Peer = (u32, Connection);

/// The caller's end of a call.
#[derive(Debug)]
struct Call {
    service: u32,
    kind: i32,
    duration: i64,
    is_error: bool,
    /// What it names as its other end.
    peer: Option<Peer>,
    is_received: bool,
}

/// Calls of a pass.
#[derive(Debug, Default)]
struct Calls(HashMap<(TraceId, SpanId), Call>);

impl Calls {
    fn add(&mut self, columns: Columns<'_>, names: &mut Names, wanted: impl Fn(&TraceId) -> bool) -> Result<()> {
        let (traces, ids) = (columns.fixed(column::TRACE_ID)?, columns.fixed(column::SPAN_ID)?);
        let services = columns.repeated_text(column::SERVICE_NAME)?;
        let (kinds, durations) = (columns.int32(column::KIND)?, columns.int64(column::DURATION)?);
        let codes = columns.int32(column::STATUS_CODE)?;
        let attributes = columns.cells(column::ATTRIBUTES)?;
        for row in 0..columns.rows() {
            let Some(trace) = trace_id(traces, row).filter(&wanted) else { continue };
            let Some(id) = span_id(ids, row) else { continue };
            let kind = kinds.value(row);
            let call = Call {
                service: names.number(services.get(row)),
                kind,
                duration: durations.value(row),
                is_error: codes.value(row) == STATUS_ERROR,
                peer: peer(&Map::new(attributes.get(row)), kind, names),
                is_received: false,
            };
            self.0.insert((trace, id), call);
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        2 * size_of::<((TraceId, SpanId), Call)>() * self.0.len()
    }
}

/// What a call's attributes name as its other end.
fn peer(attributes: &Map<'_>, kind: i32, names: &mut Names) -> Option<Peer> {
    let first = |keys: &[&str]| {
        keys.iter().find_map(|key| match attributes.get(key) {
            Some(Value::String(name)) if !name.is_empty() => Some(name),
            _ => None,
        })
    };
    // A database may be called as a service is, or by a mere number: its kind tells them apart.
    let database = match (first(&SYSTEMS), first(&DATABASES)) {
        (Some(system), Some(name)) => Some(format!("{system}/{name}")),
        (system, name) => system.or(name).map(str::to_owned),
    };
    let (name, connection) = match (database, first(&QUEUES)) {
        (Some(database), _) => (first(&["peer.service"]).map_or(database, str::to_owned), Connection::Database),
        (None, Some(queue)) => (queue.to_owned(), Connection::MessagingSystem),
        (None, None) if kind == PRODUCER => (first(&PEERS)?.to_owned(), Connection::MessagingSystem),
        (None, None) => (first(&PEERS)?.to_owned(), Connection::VirtualNode),
    };
    Some((names.number(&name), connection))
}

/// Both ends' figures of the calls from one to another.
#[derive(Debug, Default)]
pub(crate) struct Edge<F> {
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    pub(crate) client: F,
    pub(crate) server: F,
}

#[derive(Debug, Default)]
struct Graph<F> {
    names: Names,
    edges: BTreeMap<(u32, u32, Connection), Edge<F>>,
}

impl<F: Figures> Graph<F> {
    /// Takes what was received.
    fn receive(
        &mut self,
        columns: Columns<'_>,
        calls: &mut Calls,
        range: TimeRange,
        wanted: impl Fn(&TraceId) -> bool,
    ) -> Result<()> {
        let (traces, parents) = (columns.fixed(column::TRACE_ID)?, columns.fixed(column::PARENT_SPAN_ID)?);
        let services = columns.repeated_text(column::SERVICE_NAME)?;
        let (kinds, durations) = (columns.int32(column::KIND)?, columns.int64(column::DURATION)?);
        let (codes, starts) = (columns.int32(column::STATUS_CODE)?, columns.times(column::START)?);
        for row in 0..columns.rows() {
            let Some(trace) = trace_id(traces, row).filter(&wanted) else { continue };
            let (kind, duration, is_error) = (kinds.value(row), durations.value(row), codes.value(row) == STATUS_ERROR);
            let Some(parent) = span_id(parents, row) else {
                if kind == SERVER && range.contains(starts.value(row)) {
                    let edge = self.edge(USER, services.get(row), Connection::VirtualNode);
                    edge.add(None, Some((duration, is_error)));
                }
                continue;
            };
            let Some(call) = calls.0.get_mut(&(trace, parent)) else { continue };
            call.is_received = true;
            let by_queue = call.kind == PRODUCER || kind == CONSUMER;
            let connection = if by_queue { Connection::MessagingSystem } else { Connection::Direct };
            let server = self.names.number(services.get(row));
            let edge = self.edges.entry((call.service, server, connection)).or_default();
            edge.add(Some((call.duration, call.is_error)), Some((duration, is_error)));
        }
        Ok(())
    }

    fn edge(&mut self, client: &str, server: &str, connection: Connection) -> &mut Edge<F> {
        let ends = (self.names.number(client), self.names.number(server));
        self.edges.entry((ends.0, ends.1, connection)).or_default()
    }

    /// Takes the calls that no service received (G2).
    fn end(&mut self, calls: Calls) {
        for call in calls.0.into_values().filter(|call| !call.is_received) {
            let Some((peer, connection)) = call.peer else { continue };
            let edge = self.edges.entry((call.service, peer, connection)).or_default();
            edge.add(Some((call.duration, call.is_error)), None);
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
    fn add(&mut self, client: Option<(i64, bool)>, server: Option<(i64, bool)>) {
        self.calls += 1;
        self.failed += u64::from([client, server].into_iter().flatten().any(|(_, is_error)| is_error));
        for (figures, end) in [(&mut self.client, client), (&mut self.server, server)] {
            if let Some((duration, is_error)) = end {
                figures.add(duration, is_error);
            }
        }
    }
}

#[cfg(test)]
mod tests;
