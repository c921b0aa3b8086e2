//! Which requests does a load run send over and over?
//!
//! A pool is the whole output of a model that ends, so that every trace in it is complete. It is prepared once per run:
//! written, scanned for ids and times and, for JSON, rewritten.
//!
//! Invariants
//! - B1: the pool's spans, links and exemplars refer only to spans of the pool.

use bytes::Bytes;

use super::stamp::{self, Clock, Form, Sites};
use super::{LoadConfig, LoadError, Protocol, SpanKey, Stop, json};
use crate::config::{Config, SECOND, Shape, Signal, Signals};
use crate::engine::Workload;
use crate::export::Batch;
use crate::identity::Identity;

/// Requests from outside in a full pool: some 60,000 spans, 25 MB.
const FULL_POOL: u64 = 4_000;
/// Virtual load of a pool with spans: high, so that batches fill.
const DENSE_RATE: f64 = 200.0;
/// Virtual load of a metrics pool: low, so that there are many collections.
const SPARSE_RATE: f64 = 20.0;

/// One request, ready to be copied and stamped.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) signal: Signal,
    pub(super) items: u64,
    /// As protobuf; also the source of a shortened request.
    binary: Bytes,
    binary_sites: Sites,
    text: Option<(Vec<u8>, Sites)>,
    /// Its place among the requests of all signals.
    turn: u64,
}

/// What a run sends, pass after pass.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) requests: Vec<Prepared>,
    pub(super) identity: Identity,
    /// Virtual time of the pool's beginning and end.
    pub(super) begin: u64,
    pub(super) end: u64,
}

impl Pool {
    /// Runs the model and prepares its output.
    pub(super) fn prepare(config: &LoadConfig) -> Result<Self, LoadError> {
        let model = model(config);
        let begin = model.start_unix_nano;
        let mut shop = Workload::new(model)?;
        let mut requests = Vec::new();
        while let Some(batch) = shop.next_batch() {
            let binary_sites = stamp::scan(&batch.bytes, batch.signal, shop.identity())?;
            let text = match config.protocol {
                Protocol::HttpJson => {
                    Some(json::to_json_with_sites(batch.signal, &batch.bytes, shop.identity(), &binary_sites)?)
                }
                Protocol::Grpc | Protocol::HttpProtobuf => None,
            };
            let Batch { signal, bytes: binary, items, .. } = batch;
            requests.push(Prepared { signal, items, binary, binary_sites, text, turn: 0 });
        }
        if requests.iter().all(|request| request.items == 0) {
            return Err(LoadError::Empty);
        }
        interleave(&mut requests);
        // A pass is at least a second long, so that passes in virtual time do not pile up.
        let end = shop.now_unix_nano().max(begin + SECOND);
        Ok(Self { requests, identity: shop.identity().clone(), begin, end })
    }
}

/// Spreads each signal evenly over the pool, so that a short run has all of them; a signal's own order stays.
fn interleave(requests: &mut [Prepared]) {
    const WHOLE: u64 = 1 << 40;
    let count = |signal| requests.iter().filter(|request| request.signal == signal).count() as u64;
    let all = Signal::ALL.map(count);
    let mut seen = [0_u64; Signal::ALL.len()];
    for request in requests.iter_mut() {
        let signal = request.signal as usize;
        request.turn = (2 * seen[signal] + 1) * WHOLE / (2 * all[signal]);
        seen[signal] += 1;
    }
    requests.sort_by_key(|request| request.turn);
}

fn model(config: &LoadConfig) -> Config {
    // About fifteen spans and three log records come of one request from outside.
    let requests = match config.stop {
        Stop::Count(count) => (count / 8 + 20).min(FULL_POOL),
        Stop::After(_) => FULL_POOL,
    };
    let sparse = config.signals == Signals::Only(Signal::Metrics);
    let patience = 600 * SECOND;
    Config {
        seed: config.seed,
        requests_per_second: if sparse { SPARSE_RATE } else { DENSE_RATE },
        stop_after: Some(requests),
        signals: config.signals,
        shape: config.shape,
        max_batch: config.batch,
        span_delay_nanos: if config.shape == Shape::Sdk { patience } else { 5 * SECOND },
        log_delay_nanos: if config.shape == Shape::Sdk { patience } else { 5 * SECOND },
        ..Config::default()
    }
}

impl Prepared {
    /// A body of this pass with its own ids and times; at most `keep` items of it.
    pub(super) fn body(
        &self,
        identity: &Identity,
        generation: u64,
        clock: Clock,
        keep: u64,
    ) -> Result<(Bytes, u64), LoadError> {
        if keep < self.items {
            return self.shortened(identity, generation, clock, keep);
        }
        let (mut body, sites, form) = match &self.text {
            Some((text, sites)) => (text.clone(), sites, Form::Text),
            None => (self.binary.to_vec(), &self.binary_sites, Form::Binary),
        };
        stamp::stamp(&mut body, sites, form, identity, generation, clock);
        Ok((body.into(), self.items))
    }

    fn shortened(
        &self,
        identity: &Identity,
        generation: u64,
        clock: Clock,
        keep: u64,
    ) -> Result<(Bytes, u64), LoadError> {
        let mut body = self.binary.to_vec();
        stamp::stamp(&mut body, &self.binary_sites, Form::Binary, identity, generation, clock);
        let body = super::dispenser::shorten(self.signal, &body, keep).map_err(|_| stamp::malformed())?;
        let body = match self.text {
            Some(_) => json::to_json(self.signal, &body).map_err(|_| stamp::malformed())?,
            None => body,
        };
        Ok((body.into(), keep))
    }

    /// The first `keep` spans of a request in this pass.
    pub(super) fn keys(&self, identity: &Identity, generation: u64, keep: u64) -> Vec<SpanKey> {
        let spans = self.binary_sites.spans.iter().take(usize::try_from(keep).unwrap_or(usize::MAX));
        spans
            .map(|(trace, span)| (identity.trace_id(generation, *trace), identity.span_id(generation, *span)))
            .collect()
    }
}
