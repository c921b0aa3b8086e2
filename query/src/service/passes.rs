//! How are the spans of a range joined with their parents in bounded memory? Traces are dealt out to passes by their ids, each of
//! which reads the range anew.

use crate::error::Result;
use crate::exec::Control;
use storage::model::{Signal, TraceId};
use storage::scan::{Measure, Predicate, TimeRange, VolumeRequest};

/// Spans of a pass, about.
const SPANS_AT_ONCE: u64 = 1_000_000;

/// How many passes the spans of a range take. Answered by statistics, for the most part.
pub(super) fn passes(control: &Control, range: TimeRange) -> Result<u64> {
    let (step, by, predicate, measure) = (u64::MAX, None, Predicate::All, Measure::Rows);
    let whole = VolumeRequest { time: range, step, by, predicate, measure };
    let spans: u64 = control.volume(Signal::Spans, whole)?.values().map(|count| count.rows).sum();
    Ok(spans.div_ceil(SPANS_AT_ONCE).max(1))
}

/// A number of a trace; the remainder says which pass it belongs to. Ids are random, or at least their ends differ.
pub(super) fn trace_number(trace: &TraceId) -> u64 {
    trace.0.iter().rev().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
