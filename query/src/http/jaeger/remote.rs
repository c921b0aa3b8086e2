//! How does Jaeger itself run on Spanlight? By its gRPC API of remote storages, `jaeger.storage.v2`: `TraceReader`,
//! `DependencyReader` and `Capabilities`, on the port of HTTP. As of its definitions 0.14.0.
//!
//! S1  A search means what it means in the other APIs (`request`), and has the same limits.
//! S2  Traces are read and sent one after the other, newest first. A message has spans of one trace only; a large trace stands in
//!     several, one behind the other; none is empty. What is not there is left out, and is no error: Jaeger says itself that it
//!     found nothing.
//! S3  What a search would have to leave out of account is refused: a structured filter, pages of what has none.
//! S4  Pages of ids and summaries follow each other without a gap and without a double; a token belongs to its search.
//!
//! Not here: writing. Jaeger sends spans to the collector's doors (`writer` in its configuration), by OTLP.

mod message;
#[cfg(test)]
mod tests;

use super::super::grpc::{self, Asked, MESSAGE_BYTES, Read};
use super::super::protobuf::{Writer, in_chunks};
use super::otlp::Summary;
use super::request::{self, Search};
use super::{model, operations, searched, services, there};
use crate::error::{Error, Result};
use crate::exec::{Control, Outbox};
use crate::http::QueryState;
use crate::service::calls;
use crate::trace::Position;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::post;
use message::{Dependencies, Find, Operations, Traces};
use query_api::trace::TraceSummary;
use std::sync::Arc;
use storage::model::TraceId;

/// Most traces that are asked for by id at once: as many as a search has.
const MOST_IDS: usize = request::MOST_TRACES;

/// The services, ready to be merged into the server's router.
pub(super) fn router(state: Arc<QueryState>) -> Router {
    let call = |reader: fn(&str) -> Option<Read>| {
        post(async move |State(state): State<Arc<QueryState>>, Path(method): Path<String>, request| {
            grpc::answer(state, request, reader(&method)).await
        })
    };
    Router::new()
        .route("/jaeger.storage.v2.TraceReader/{method}", call(trace_reader))
        .route("/jaeger.storage.v2.DependencyReader/{method}", call(dependency_reader))
        .route("/jaeger.storage.v2.Capabilities/{method}", call(capabilities_reader))
        .with_state(state)
}

fn trace_reader(method: &str) -> Option<Read> {
    Some(match method {
        "GetTraces" => get_traces,
        "GetServices" => get_services,
        "GetOperations" => get_operations,
        "FindTraces" => find_traces,
        "FindTraceIDs" => find_trace_ids,
        "FindTraceSummaries" => find_summaries,
        _ => return None,
    })
}

fn dependency_reader(method: &str) -> Option<Read> {
    (method == "GetDependencies").then_some(get_dependencies as Read)
}

fn capabilities_reader(method: &str) -> Option<Read> {
    (method == "GetCapabilities").then_some(get_capabilities as Read)
}

fn get_traces(message: &[u8], _: i64) -> Result<Asked> {
    let ids = grpc::decode::<Traces>(message)?.ids()?;
    if ids.len() > MOST_IDS {
        return Err(Error::parameter("query", format!("at most {MOST_IDS} traces are asked for at once")));
    }
    Ok(Asked::new(move |control, outbox| ids.into_iter().try_for_each(|id| send_trace(control, outbox, id))))
}

fn find_traces(message: &[u8], now: i64) -> Result<Asked> {
    let search = grpc::decode::<Find>(message)?.query()?.search(now)?;
    Ok(Asked::new(move |control, outbox| {
        searched(control, &search, &mut |summary| send_trace(control, outbox, id_of(&summary)?)).map(drop)
    }))
}

/// A trace in chunks, if it is there (S2).
fn send_trace(control: &Control, outbox: &Outbox, id: TraceId) -> Result<()> {
    control.give_back(|| match there(crate::trace::by_id(control, id)) {
        None => Ok(()),
        Some(trace) => in_chunks(&trace?, MESSAGE_BYTES, |chunk| outbox.send(control, chunk)),
    })
}

fn id_of(summary: &TraceSummary) -> Result<TraceId> {
    summary.trace_id.parse().map_err(|_| Error::bug("a search found a trace whose id is none"))
}

fn find_trace_ids(message: &[u8], now: i64) -> Result<Asked> {
    let (search, page) = grpc::decode::<Find>(message)?.query()?.page(now)?;
    Ok(Asked::one(move |control| {
        let mut out = Writer::default();
        let last = searched(control, &search, &mut |summary| {
            let id = id_of(&summary)?;
            let end = summary.start_unix_nano.saturating_add(summary.duration_nano);
            out.message(1, |out| {
                out.bytes(1, &id.0);
                out.message(2, |out| message::write_moment(out, summary.start_unix_nano));
                out.message(3, |out| message::write_moment(out, end));
            });
            Ok(())
        })?;
        write_token(&mut out, &search, page, last);
        Ok(out.0)
    }))
}

fn find_summaries(message: &[u8], now: i64) -> Result<Asked> {
    let (search, page) = grpc::decode::<Find>(message)?.query()?.page(now)?;
    Ok(Asked::new(move |control, outbox| {
        let mut out = Writer::default();
        let last = searched(control, &search, &mut |summary| {
            // The last message is the one with the token, so a full one waits for the next trace.
            if out.0.len() >= MESSAGE_BYTES {
                outbox.send(control, std::mem::take(&mut out).0)?;
            }
            let id = id_of(&summary)?;
            let summary = Summary::new(control, summary)?;
            out.message(1, |out| summary.write(out, id));
            Ok(())
        })?;
        write_token(&mut out, &search, page, last);
        if out.0.is_empty() { Ok(()) } else { outbox.send(control, out.0) }
    }))
}

/// `next_page_token`, where pages are asked for and another one follows.
fn write_token(out: &mut Writer, search: &Search, page: Option<u64>, last: Option<Position>) {
    if let (Some(hash), Some(last)) = (page, last) {
        out.text(2, &message::token(search, hash, last));
    }
}

fn get_services(_: &[u8], _: i64) -> Result<Asked> {
    Ok(Asked::one(|control| {
        let mut out = Writer::default();
        services(control)?.iter().for_each(|name| out.bytes(1, name.as_bytes()));
        Ok(out.0)
    }))
}

fn get_operations(message: &[u8], _: i64) -> Result<Asked> {
    let asked: Operations = grpc::decode(message)?;
    if asked.service.is_empty() {
        return Err(Error::parameter("service", "the service is required"));
    }
    Ok(Asked::one(move |control| {
        let kind = Some(asked.span_kind.as_str()).filter(|kind| !kind.is_empty());
        let mut out = Writer::default();
        for operation in operations(control, &asked.service, kind)? {
            out.message(1, |out| {
                out.text(1, &operation.name);
                out.text(2, operation.span_kind);
            });
        }
        Ok(out.0)
    }))
}

fn get_dependencies(message: &[u8], now: i64) -> Result<Asked> {
    let range = grpc::decode::<Dependencies>(message)?.range(now)?;
    Ok(Asked::one(move |control| {
        let mut out = Writer::default();
        for dependency in calls(control, range)?.into_iter().map(model::Dependency::from) {
            out.message(1, |out| dependency.write(out));
        }
        Ok(out.0)
    }))
}

/// `SearchCapabilities`: a search needs no service, one span meets all conditions, and there are pages.
fn get_capabilities(_: &[u8], _: i64) -> Result<Asked> {
    Ok(Asked::one(|_| {
        let mut out = Writer::default();
        out.message(1, |out| {
            out.varint(1, 1);
            out.varint(2, 1);
            out.varint(4, 1);
        });
        Ok(out.0)
    }))
}
