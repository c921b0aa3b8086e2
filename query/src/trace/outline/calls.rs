//! Who calls whom within one trace? The calls between its services, and to databases, queues and peers that send no spans.
//!
//! CA1  Names and kinds of peers are those of the map of all services.
//! CA2  A call is counted once: by who is called, or by the caller where nobody of the trace answers.

use super::Outline;
use super::attributes::each_span;
use crate::column::Columns;
use crate::error::Result;
use crate::exec::Control;
use crate::service::{Names, peer};
use query_api::outline::CallsResponse;
use query_api::service::{Connection, GraphEdge, Red};
use std::collections::BTreeMap;
use storage::model::TraceId;
use storage::model::attribute::Map;
use storage::model::schema::column;

const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;

/// The calls of a trace, by their ends.
pub(crate) fn calls(control: &Control, (trace, outline): (TraceId, &Outline)) -> Result<CallsResponse> {
    let mut edges = Edges::default();
    let mut answered = vec![false; outline.rows.len()];
    for row in &outline.rows {
        let above = row.parent.and_then(|parent| Some((parent, outline.rows.get(parent)?)));
        let Some((parent, above)) = above.filter(|(_, above)| above.service != row.service) else { continue };
        answered.get_mut(parent).into_iter().for_each(|answered| *answered = true);
        let queue = row.kind == CONSUMER || above.kind == PRODUCER;
        let connection = if queue { Connection::MessagingSystem } else { Connection::Direct };
        let failed = row.is_error() || (above.kind == CLIENT && above.is_error());
        edges.add((outline.service_of(above), outline.service_of(row)), connection, (true, failed));
    }
    let mut names = Names::default();
    each_span(control, (trace, outline), &[column::ATTRIBUTES], |at, place, columns: Columns<'_>| {
        let Some(row) = outline.rows.get(at).filter(|row| matches!(row.kind, CLIENT | PRODUCER)) else { return Ok(()) };
        if answered.get(at) == Some(&false) {
            let attributes = Map::new(columns.cells(column::ATTRIBUTES)?.get(place));
            if let Some((name, connection)) = peer(attributes, row.kind, &mut names) {
                edges.add((outline.service_of(row), names.get(name)), connection, (false, row.is_error()));
            }
        }
        Ok(())
    })?;
    control.charge(edges.0.len() * 2 * size_of::<GraphEdge>() + names.memory_bytes())?;
    let edges = edges.0.into_values().collect();
    Ok(CallsResponse { version: outline.version.clone(), edges, stats: control.stats() })
}

#[derive(Default)]
struct Edges(BTreeMap<(String, String), GraphEdge>);

impl Edges {
    fn add(&mut self, (client, server): (&str, &str), connection: Connection, (answers, failed): (bool, bool)) {
        let edge = self.0.entry((client.to_owned(), server.to_owned())).or_insert_with(|| GraphEdge {
            client: client.to_owned(),
            server: server.to_owned(),
            connection,
            call_count: 0,
            failed_count: 0,
            client_side: Some(Red::default()),
            server_side: answers.then(Red::default),
        });
        edge.call_count += 1;
        edge.failed_count += u64::from(failed);
    }
}
