//! Who calls whom within one trace? The calls between its services, and to databases, queues and peers that send no spans.
//!
//! CA1  Names and kinds of peers are those of the server's map, so that the same thing is called the same on both.
//! CA2  A call is counted once: by who is called, or by the caller where nobody of the trace answers.
//!
//! Not here: where they stand on the map (`map`).

use super::super::attribute;
use super::tree::{Row, Trace};
use query_api::otlp::KeyValue;
use query_api::service::{Connection, GraphEdge, Red};
use query_api::tree::Rows;
use std::collections::BTreeMap;

const SYSTEMS: [&str; 3] = ["db.system.name", "db.system", "db.type"];
const DATABASES: [&str; 2] = ["db.namespace", "db.name"];
const QUEUES: [&str; 2] = ["messaging.destination.name", "messaging.system"];
const PEERS: [&str; 4] = ["peer.service", "server.address", "net.peer.name", "rpc.service"];
const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;

/// The calls of a trace, by their ends.
pub fn edges(trace: &Trace) -> Vec<GraphEdge> {
    let mut edges: BTreeMap<(String, String), GraphEdge> = BTreeMap::new();
    let name = |row: &Row| trace.services[row.service].name.clone();
    let mut add = |client: String, server: String, connection, answers: bool, failed: bool| {
        let edge = edges.entry((client.clone(), server.clone())).or_insert_with(|| GraphEdge {
            client,
            server,
            connection,
            call_count: 0,
            failed_count: 0,
            client_side: Some(Red::default()),
            server_side: answers.then(Red::default),
        });
        edge.call_count += 1;
        edge.failed_count += u64::from(failed);
    };
    for (at, row) in trace.rows.iter().enumerate() {
        if let Some(parent) = row.parent.map(|parent| &trace.rows[parent]).filter(|p| p.service != row.service) {
            let queue = row.span.kind == CONSUMER || parent.span.kind == PRODUCER;
            let connection = if queue { Connection::MessagingSystem } else { Connection::Direct };
            let failed = row.is_error() || (parent.span.kind == CLIENT && parent.is_error());
            add(name(parent), name(row), connection, true, failed);
        }
        let answered = || trace.children(at).any(|child| trace.rows[child].service != row.service);
        let unanswered = matches!(row.span.kind, CLIENT | PRODUCER) && !answered();
        if let Some((peer, connection)) = unanswered.then(|| peer(&row.span.attributes, row.span.kind)).flatten() {
            add(name(row), peer, connection, false, row.is_error());
        }
    }
    edges.into_values().collect()
}

/// What a call's attributes name as its other end.
fn peer(attributes: &[KeyValue], kind: i32) -> Option<(String, Connection)> {
    let first =
        |keys: &[&str]| keys.iter().find_map(|key| attribute::find(attributes, key).filter(|name| !name.is_empty()));
    let database = match (first(&SYSTEMS), first(&DATABASES)) {
        (Some(system), Some(name)) => Some(format!("{system}/{name}")),
        (system, name) => system.or(name),
    };
    if let Some(database) = database {
        return Some((first(&["peer.service"]).unwrap_or(database), Connection::Database));
    }
    if let Some(queue) = first(&QUEUES) {
        return Some((queue, Connection::MessagingSystem));
    }
    let connection = if kind == PRODUCER { Connection::MessagingSystem } else { Connection::VirtualNode };
    Some((first(&PEERS)?, connection))
}

#[cfg(test)]
mod tests {
    use super::super::sample::{attribute, of, span};
    use super::*;
    use query_api::otlp::{Span, Status};

    #[test]
    fn ca2_a_call_is_counted_once_by_who_answers_or_by_the_caller() {
        let call = |id, parent, kind, code, attributes: &[(&str, &str)]| Span {
            kind,
            status: Status { code, ..Status::default() },
            attributes: attributes.iter().map(|(key, value)| attribute(key, value)).collect(),
            ..span((id, parent, 0, 10))
        };
        let trace = of(vec![
            ("a", call(1, 0, 2, 0, &[])),
            ("a", call(2, 1, CLIENT, 2, &[("server.address", "b.example")])),
            ("b", call(3, 2, 2, 0, &[])),
            ("b", call(4, 3, CLIENT, 0, &[("db.system", "postgresql"), ("db.namespace", "orders")])),
            ("b", call(5, 3, CLIENT, 0, &[("db.system", "postgresql"), ("db.namespace", "orders")])),
            ("b", call(6, 3, PRODUCER, 0, &[("messaging.destination.name", "mails")])),
            ("c", call(7, 6, CONSUMER, 0, &[])),
            ("b", call(8, 3, CLIENT, 2, &[("server.address", "bank")])),
            ("b", call(9, 3, CLIENT, 0, &[])),
        ]);
        let found: Vec<_> = edges(&trace)
            .into_iter()
            .map(|e| (e.client, e.server, e.connection, e.call_count, e.failed_count, e.server_side.is_some()))
            .collect();
        let edge = |client: &str, server: &str, connection, calls, failed, answers| {
            (client.to_owned(), server.to_owned(), connection, calls, failed, answers)
        };
        let expected = [
            edge("a", "b", Connection::Direct, 1, 1, true),
            edge("b", "bank", Connection::VirtualNode, 1, 1, false),
            edge("b", "c", Connection::MessagingSystem, 1, 0, true),
            edge("b", "postgresql/orders", Connection::Database, 2, 0, false),
        ];
        assert_eq!(found, expected);
    }
}
