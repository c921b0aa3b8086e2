//! How do spans and log records become requests? As an SDK's batch processor and exporter do it.
//!
//! Items are kept encoded, one buffer per instrumentation scope, in the order in which they ended. A request has one
//! resource and its scopes; a collector's request is several such requests end to end, which protobuf reads as one.
//!
//! Invariants
//! - E1: a request holds at most `max_batch` items of one exporter, and `Batch::items` is their exact number.
//! - E2: batches leave in the order of `due_unix_nano`.
//!
//! Not here: when to flush (`engine`), and how metrics are collected (`telemetry::meter`).

use std::collections::VecDeque;

use bytes::Bytes;

use crate::catalog::ScopeKind;
use crate::config::{Shape, Signal};
use crate::wire;

/// One export request, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Which service of the OTLP collector it is for.
    pub signal: Signal,
    /// `ExportTraceServiceRequest`, `ExportLogsServiceRequest` or `ExportMetricsServiceRequest` in protobuf.
    pub bytes: Bytes,
    /// Spans, log records or data points in it.
    pub items: u64,
    /// Virtual time at which the exporter sends it.
    pub due_unix_nano: u64,
}

/// Encoded items of one exporter, waiting for their batch.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    scopes: [Vec<u8>; ScopeKind::ALL.len()],
    count: usize,
}

/// The field number of the repeated item in `ScopeSpans` and `ScopeLogs`.
const ITEM: u32 = 2;

impl Buffer {
    /// Adds one encoded item to a scope.
    pub(crate) fn push(&mut self, scope: ScopeKind, write: impl FnOnce(&mut Vec<u8>)) {
        wire::message(&mut self.scopes[scope as usize], ITEM, write);
        self.count += 1;
    }

    /// Items waiting.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Takes everything out as one request of this resource.
    pub(crate) fn drain(&mut self, origin: &Origin) -> (Vec<u8>, u64) {
        let size = origin.resource.len() + self.scopes.iter().map(|scope| scope.len() + 128).sum::<usize>();
        let mut out = Vec::with_capacity(size);
        wire::message(&mut out, 1, |out| {
            wire::bytes(out, 1, &origin.resource);
            for kind in ScopeKind::ALL {
                let items = &mut self.scopes[kind as usize];
                if items.is_empty() {
                    continue;
                }
                wire::message(out, 2, |out| {
                    wire::bytes(out, 1, &origin.scopes[kind as usize]);
                    out.extend_from_slice(items);
                });
                items.clear();
            }
            if !origin.schema_url.is_empty() {
                wire::bytes(out, 3, origin.schema_url.as_bytes());
            }
        });
        (out, std::mem::take(&mut self.count) as u64)
    }
}

/// What one process says of itself, encoded.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    /// A `Resource` message.
    pub(crate) resource: Vec<u8>,
    /// An `InstrumentationScope` message per scope kind.
    pub(crate) scopes: [Vec<u8>; ScopeKind::ALL.len()],
    pub(crate) schema_url: &'static str,
}

/// Requests that are ready to be sent.
#[derive(Debug)]
pub(crate) struct Outbox {
    shape: Shape,
    ready: VecDeque<Batch>,
    merging: [Merge; 3],
}

#[derive(Debug, Default)]
struct Merge {
    bytes: Vec<u8>,
    items: u64,
    exports: u16,
}

impl Outbox {
    pub(crate) fn new(shape: Shape) -> Self {
        Self { shape, ready: VecDeque::new(), merging: Default::default() }
    }

    /// Takes one exporter's request; a collector holds it until it has enough.
    pub(crate) fn post(&mut self, signal: Signal, bytes: Vec<u8>, items: u64, now: u64) {
        match self.shape {
            Shape::Sdk => {
                self.ready.push_back(Batch { signal, bytes: bytes.into(), items, due_unix_nano: now });
            }
            Shape::Collector(exports) => {
                let merge = &mut self.merging[signal as usize];
                merge.bytes.extend_from_slice(&bytes);
                merge.items += items;
                merge.exports += 1;
                if merge.exports >= exports {
                    self.send_merged(signal, now);
                }
            }
        }
    }

    /// Sends what the collector still holds.
    pub(crate) fn close(&mut self, now: u64) {
        for signal in Signal::ALL {
            if self.merging[signal as usize].exports > 0 {
                self.send_merged(signal, now);
            }
        }
    }

    fn send_merged(&mut self, signal: Signal, now: u64) {
        let merge = std::mem::take(&mut self.merging[signal as usize]);
        let batch = Batch { signal, bytes: merge.bytes.into(), items: merge.items, due_unix_nano: now };
        self.ready.push_back(batch);
    }

    /// The next request, oldest first.
    pub(crate) fn take(&mut self) -> Option<Batch> {
        self.ready.pop_front()
    }
}
