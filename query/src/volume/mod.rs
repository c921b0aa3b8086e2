//! How much is there over time, and which attributes has it? Answered by the store, mostly from statistics.
//!
//! V1  Counts are exact: equal to those of the rows that a search with the same filters would find.
//!
//! Not here: parameters and paths (`http`), how rows are counted (`storage::engine`).

mod attribute;

pub(crate) use attribute::{AttributesQuery, ValuesQuery, keys, values};

use crate::error::Result;
use crate::exec::Control;
use crate::log::{LEVELS, level_of};
use query_api::volume::{GroupVolume, VolumeResponse};
use std::collections::{BTreeMap, HashMap};
use storage::model::Signal;
use storage::scan::{Count, Dimension, Group, Measure, Predicate, TimeRange, VolumeRequest};

/// The names of OpenTelemetry's status codes and kinds, by number.
const STATUSES: [&str; 3] = ["unset", "ok", "error"];
const KINDS: [&str; 6] = ["unspecified", "internal", "server", "client", "producer", "consumer"];

/// What is counted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VolumeQuery {
    /// Of which table.
    pub(crate) signal: Signal,
    /// Rows by time.
    pub(crate) range: TimeRange,
    /// Rows by content.
    pub(crate) predicate: Predicate,
    /// How long a step is.
    pub(crate) step: Step,
    /// What rows are grouped by.
    pub(crate) by: Option<Dimension>,
    /// Whether bytes are wanted too.
    pub(crate) measure: Measure,
    /// How many groups are told apart.
    pub(crate) limit: usize,
}

/// How long a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many nanoseconds.
    Nanos(u64),
    /// As long as so many of them need to be to cover the range.
    Parts(u64),
}

impl Step {
    /// Nanoseconds of a step, and how many steps there are.
    pub(crate) fn of(self, range: TimeRange) -> (u64, u64) {
        let whole = range.end.abs_diff(range.start).max(1);
        let step = match self {
            Step::Nanos(nanos) => nanos.max(1),
            Step::Parts(parts) => whole.div_ceil(parts.max(1)),
        };
        (step, whole.div_ceil(step))
    }
}

/// Rows, and maybe bytes, per step and group.
pub(crate) fn volume(control: &Control, query: &VolumeQuery) -> Result<VolumeResponse> {
    let (step, steps) = query.step.of(query.range);
    let request = VolumeRequest {
        time: query.range,
        step,
        by: query.by,
        predicate: query.predicate.clone(),
        measure: query.measure,
    };
    let counted = control.volume(query.signal, request)?;
    let mut totals: HashMap<&str, u64> = HashMap::new();
    let names: BTreeMap<&Group, String> = counted.keys().map(|(_, group)| (group, name_of(query.by, group))).collect();
    for ((_, group), count) in &counted {
        *totals.entry(names.get(group).map_or("", String::as_str)).or_default() += count.rows;
    }
    let mut order: Vec<(&str, u64)> = totals.into_iter().collect();
    order.sort_unstable_by_key(|&(name, rows)| (std::cmp::Reverse(rows), name));
    let shown = order.len().min(query.limit);
    let steps = usize::try_from(steps).unwrap_or(usize::MAX);
    control.charge((shown + 1).saturating_mul(steps).saturating_mul(2 * size_of::<u64>()))?;
    let mut groups: Vec<GroupVolume> =
        order.iter().take(shown).map(|(name, _)| empty((*name).to_owned(), steps, query.measure)).collect();
    let mut others = (order.len() > shown).then(|| empty(String::new(), steps, query.measure));
    let places: HashMap<&str, usize> = order.iter().take(shown).map(|(name, _)| *name).zip(0..).collect();
    for ((step, group), count) in &counted {
        let place = names.get(group).and_then(|name| places.get(name.as_str()));
        let into = place.and_then(|&place| groups.get_mut(place)).or(others.as_mut());
        if let Some(into) = into {
            add(into, usize::try_from(*step).unwrap_or(usize::MAX), *count);
        }
    }
    Ok(VolumeResponse {
        start_unix_nano: query.range.start,
        step_nano: i64::try_from(step).unwrap_or(i64::MAX),
        groups,
        others,
        stats: control.stats(),
    })
}

fn empty(name: String, steps: usize, measure: Measure) -> GroupVolume {
    let bytes = if measure == Measure::RowsAndBytes { vec![0; steps] } else { Vec::new() };
    GroupVolume { name, rows: vec![0; steps], bytes }
}

fn add(into: &mut GroupVolume, step: usize, count: Count) {
    if let Some(rows) = into.rows.get_mut(step) {
        *rows += count.rows;
    }
    if let Some(bytes) = into.bytes.get_mut(step) {
        *bytes += count.bytes;
    }
}

/// A group's name; numbers that OpenTelemetry does not know stand for themselves.
fn name_of(by: Option<Dimension>, group: &Group) -> String {
    let known = |names: &[&str], number: i32| {
        let name = usize::try_from(number).ok().and_then(|number| names.get(number));
        name.map_or_else(|| number.to_string(), |name| (*name).to_owned())
    };
    match (group, by) {
        (Group::Service(service), _) => service.clone(),
        (Group::Number(number), Some(Dimension::Severity)) => {
            LEVELS.get(level_of(*number)).copied().unwrap_or_default().to_owned()
        }
        (Group::Number(number), Some(Dimension::Status)) => known(&STATUSES, *number),
        (Group::Number(number), Some(Dimension::Kind)) => known(&KINDS, *number),
        (Group::Number(number), _) => number.to_string(),
        (Group::All, _) => String::new(),
    }
}

#[cfg(test)]
mod tests;
