//! Which service calls which? Of every span whose parent is a span of another service, a call.
//!
//! C1  Parents are looked for among the spans of the range. Memory is bounded: where there are many spans, traces are dealt out to
//!     several passes by their ids.
//!
//! Not here: calls to what sends no spans.

use super::names::Names;
use super::passes::{passes, trace_number};
use crate::column::{Columns, span_id, trace_id};
use crate::error::Result;
use crate::exec::Control;
use crate::quantile::Count;
use std::collections::{BTreeMap, HashMap};
use storage::model::schema::column;
use storage::model::{Signal, SpanId, TraceId};
use storage::scan::{ScanRequest, TimeRange};

const COLUMNS: [&str; 5] =
    [column::TRACE_ID, column::SPAN_ID, column::PARENT_SPAN_ID, column::SERVICE_NAME, column::TRACE_STATE];

/// How often a service called another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) parent: String,
    pub(crate) child: String,
    pub(crate) count: u64,
}

/// The calls of the spans in a range, by who calls.
pub(crate) fn calls(control: &Control, range: TimeRange) -> Result<Vec<Call>> {
    let passes = passes(control, range)?;
    calls_in(control, range, passes)
}

fn calls_in(control: &Control, range: TimeRange, passes: u64) -> Result<Vec<Call>> {
    let mut names = Names::default();
    let mut counts: BTreeMap<(u32, u32), Count> = BTreeMap::new();
    for pass in 0..passes {
        let mut spans = Spans::default();
        let mut charged = 0;
        let mut request = ScanRequest::all(COLUMNS);
        request.time = range;
        control.scan(Signal::Spans, request, |batch| {
            spans.add(Columns(batch), &mut names, |trace| trace_number(trace) % passes == pass)?;
            let bytes = spans.memory_bytes();
            control.charge(bytes.saturating_sub(charged))?;
            charged = charged.max(bytes);
            Ok(())
        })?;
        for (parent, child, stands_for) in spans.calls() {
            counts.entry((parent, child)).or_default().add(stands_for);
        }
        control.release(charged);
    }
    let call = |((parent, child), count): (_, Count)| Call {
        parent: names.get(parent).to_owned(),
        child: names.get(child).to_owned(),
        count: count.total(),
    };
    let mut calls: Vec<Call> = counts.into_iter().map(call).collect();
    calls.sort_unstable_by(|a, b| (&a.parent, &a.child).cmp(&(&b.parent, &b.child)));
    Ok(calls)
}

/// The spans of a pass.
#[derive(Debug, Default)]
struct Spans {
    services: HashMap<(TraceId, SpanId), u32>,
    /// Parents that are asked for, who asks, and for how many it stands.
    children: Vec<((TraceId, SpanId), u32, f64)>,
}

impl Spans {
    fn add(&mut self, columns: Columns<'_>, names: &mut Names, wanted: impl Fn(&TraceId) -> bool) -> Result<()> {
        let traces = columns.fixed(column::TRACE_ID)?;
        let ids = columns.fixed(column::SPAN_ID)?;
        let parents = columns.fixed(column::PARENT_SPAN_ID)?;
        let services = columns.repeated_text(column::SERVICE_NAME)?;
        let stand_for = columns.stand_for()?;
        let mut numbers: Vec<Option<u32>> = vec![None; services.len()];
        for row in 0..columns.rows() {
            let Some(trace) = trace_id(traces, row).filter(&wanted) else { continue };
            let key = services.key(row);
            let Some(number) = numbers.get_mut(key) else { continue };
            let service = *number.get_or_insert_with(|| names.number(services.value(key)));
            if let Some(id) = span_id(ids, row) {
                self.services.insert((trace, id), service);
            }
            if let Some(parent) = span_id(parents, row) {
                self.children.push(((trace, parent), service, stand_for.get(row)));
            }
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        let (entry, child) = (size_of::<((TraceId, SpanId), u32)>(), size_of::<((TraceId, SpanId), u32, f64)>());
        // The table is up to half empty.
        entry * 2 * self.services.len() + child * self.children.capacity()
    }

    fn calls(&self) -> impl Iterator<Item = (u32, u32, f64)> {
        self.children.iter().filter_map(|(parent, child, stands_for)| {
            let parent = *self.services.get(parent)?;
            (parent != *child).then_some((parent, *child, *stands_for))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, NOW, SECOND, TestSpan, spans};

    #[tokio::test]
    async fn a_call_is_a_span_whose_parent_is_of_another_service_in_however_many_passes() {
        let fixture = Fixture::new();
        let span = |trace, id, parent, service| TestSpan { trace, id, parent, service, ..TestSpan::default() };
        for trace in 1..=9 {
            let first = [span(trace, 3, Some(2), "db"), span(trace, 1, None, "gateway")];
            fixture.put(spans(&first)).await;
        }
        fixture.flush().await;
        for trace in 1..=9 {
            let rest =
                [span(trace, 2, Some(1), "cart"), span(trace, 4, Some(2), "cart"), span(trace, 5, Some(77), "db")];
            fixture.put(spans(&rest)).await;
        }
        let all = TimeRange { start: NOW - 10 * SECOND, end: NOW };
        let call = |parent: &str, child: &str| Call { parent: parent.into(), child: child.into(), count: 9 };
        for passes in [1, 2, 7] {
            let found = fixture.run(move |control| calls_in(control, all, passes)).await.unwrap();
            assert_eq!(found, [call("cart", "db"), call("gateway", "cart")], "{passes}");
        }
        let none = TimeRange { start: 0, end: NOW - 10 * SECOND };
        assert_eq!(fixture.run(move |control| calls(control, none)).await.unwrap(), []);
        assert_eq!(fixture.run(move |control| calls(control, all)).await.unwrap().len(), 2);
    }
}
