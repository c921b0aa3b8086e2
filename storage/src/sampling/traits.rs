//! What do policies need to know of a trace? It is gathered span by span, in any order.
//!
//! Z1  The service of a trace is that of its root, else of its earliest span; of several such the one whose name comes first.
//! Z2  A trace's duration reaches from its first start to its last end. A clock that is wrong makes it longer: then more is kept.

use super::Policies;
use crate::error::{Error, Result};
use crate::model::attribute::Map;
use crate::model::origin::{Resource, Scope};
use crate::model::schema::column as name;
use crate::model::{TraceId, trace_state};
use crate::scan::required;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch};
use std::collections::HashMap;

/// What is read of each span.
const COLUMNS: [&str; 7] = [
    name::TRACE_ID,
    name::PARENT_SPAN_ID,
    name::TRACE_STATE,
    name::SERVICE_NAME,
    name::START,
    name::DURATION,
    name::STATUS_CODE,
];
const OF_ATTRIBUTES: [&str; 3] = [name::ATTRIBUTES, name::RESOURCE, name::SCOPE];

/// A trace, as far as policies look at it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Traits {
    pub(crate) start: i64,
    end: i64,
    /// How many spans were gathered.
    pub(crate) spans: u64,
    /// A bit for each status code.
    statuses: u32,
    /// A bit for each policy.
    pub(super) attributes: u32,
    /// Where its spans name another than that of its id; of several the least.
    randomness: Option<u64>,
    /// Of its root, or else earliest span: no root, start, service.
    head: (bool, i64, u32),
}

impl Traits {
    pub(super) fn has_status(&self, code: i32) -> bool {
        self.statuses & bit(code) != 0
    }

    pub(super) fn duration(&self) -> u64 {
        self.end.abs_diff(self.start)
    }

    pub(super) fn randomness(&self, trace: &TraceId) -> u64 {
        self.randomness.unwrap_or_else(|| trace_state::randomness(trace))
    }

    /// The number of its service.
    pub(super) fn service(&self) -> u32 {
        self.head.2
    }
}

fn bit(code: i32) -> u32 {
    u32::try_from(code).ok().and_then(|code| 1u32.checked_shl(code)).unwrap_or_default()
}

/// Traces in the making.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    pub(crate) of: HashMap<TraceId, Traits>,
    services: Vec<String>,
    numbers: HashMap<String, u32>,
}

/// The attributes of the resources or scopes of a batch.
struct Owners<'a> {
    keys: &'a [i32],
    maps: Vec<Map<'a>>,
}

impl<'a> Owners<'a> {
    fn of(batch: &'a RecordBatch, column: &str, attributes: impl Fn(&'a [u8]) -> Option<Map<'a>>) -> Result<Self> {
        let column = required(batch, column)?.as_dictionary::<Int32Type>();
        let cells = column.values().as_binary::<i32>().iter();
        let maps = cells.map(|cell| cell.and_then(&attributes).unwrap_or_default());
        Ok(Owners { keys: column.keys().values(), maps: maps.collect() })
    }

    fn get(&self, row: usize) -> Map<'a> {
        let key = self.keys.get(row).and_then(|key| usize::try_from(*key).ok());
        key.and_then(|key| self.maps.get(key)).copied().unwrap_or_default()
    }
}

impl Traces {
    /// What is to be read of spans.
    pub(crate) fn columns(policies: &Policies) -> Vec<&'static str> {
        let others = if policies.look_at_attributes() { &OF_ATTRIBUTES[..] } else { &[] };
        COLUMNS.iter().chain(others).copied().collect()
    }

    /// Gathers the spans of a batch that are of wanted traces.
    pub(crate) fn add(
        &mut self,
        policies: &Policies,
        batch: &RecordBatch,
        wanted: impl Fn(&TraceId) -> bool,
    ) -> Result<()> {
        let ids = required(batch, name::TRACE_ID)?.as_fixed_size_binary();
        let parents = required(batch, name::PARENT_SPAN_ID)?;
        let states = required(batch, name::TRACE_STATE)?.as_string::<i32>();
        let services = required(batch, name::SERVICE_NAME)?.as_dictionary::<Int32Type>();
        let names = services.values().as_string::<i32>();
        let starts = required(batch, name::START)?.as_primitive::<TimestampNanosecondType>().values();
        let durations = required(batch, name::DURATION)?.as_primitive::<Int64Type>().values();
        let codes = required(batch, name::STATUS_CODE)?.as_primitive::<Int32Type>().values();
        let attributes = match policies.look_at_attributes() {
            true => Some((
                required(batch, name::ATTRIBUTES)?.as_binary::<i32>(),
                Owners::of(batch, name::RESOURCE, |cell| Some(Resource::parse(cell)?.attributes))?,
                Owners::of(batch, name::SCOPE, |cell| Some(Scope::parse(cell)?.attributes))?,
            )),
            false => None,
        };
        let mut numbers: Vec<Option<u32>> = vec![None; names.len()];
        let times = starts.iter().zip(durations).zip(codes);
        for (row, ((&start, &duration), &code)) in times.enumerate() {
            let id = ids.is_valid(row).then(|| TraceId::from_slice(ids.value(row))).flatten();
            let Some(id) = id.filter(&wanted) else { continue };
            let key = services.keys().values().get(row).and_then(|key| usize::try_from(*key).ok());
            let Some((key, slot)) = key.and_then(|key| Some((key, numbers.get_mut(key)?))) else {
                return Err(Error::Request { what: "a span without a service".into() });
            };
            let service = *slot.get_or_insert_with(|| self.number(names.value(key)));
            let head = (parents.is_valid(row), start, service);
            let met = attributes.as_ref().map_or(0, |(own, resources, scopes)| {
                policies.of_attributes(&[Map::new(own.value(row)), resources.get(row), scopes.get(row)])
            });
            let state = states.is_valid(row).then(|| states.value(row));
            let span = Traits {
                start,
                end: start.saturating_add(duration.max(0)),
                spans: 1,
                statuses: bit(code),
                attributes: met,
                randomness: state.and_then(trace_state::explicit_randomness),
                head,
            };
            self.join(id, span);
        }
        Ok(())
    }

    fn number(&mut self, service: &str) -> u32 {
        if let Some(number) = self.numbers.get(service) {
            return *number;
        }
        let number = u32::try_from(self.services.len()).unwrap_or(u32::MAX);
        self.services.push(service.to_owned());
        self.numbers.insert(service.to_owned(), number);
        number
    }

    fn join(&mut self, id: TraceId, span: Traits) {
        let Some(trace) = self.of.get_mut(&id) else {
            self.of.insert(id, span);
            return;
        };
        trace.start = trace.start.min(span.start);
        trace.end = trace.end.max(span.end);
        trace.spans += 1;
        trace.statuses |= span.statuses;
        trace.attributes |= span.attributes;
        trace.randomness = [trace.randomness, span.randomness].into_iter().flatten().min();
        let named = |(no_root, start, service): (bool, i64, u32)| {
            (no_root, start, self.services.get(service as usize).map_or("", String::as_str))
        };
        if named(span.head) < named(trace.head) {
            trace.head = span.head;
        }
    }
}
